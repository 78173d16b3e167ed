# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Figure of a prediction; it draws results without computing any."""

import textwrap

import numpy as np
from astropy import units as u

__all__ = ['plot_prediction']

# Okabe & Ito (2008), as in pidoc.plotting
_BLUE, _VERMILION = '#0072B2', '#D55E00'
_DECADES = 3.5             # shown, below the brightest pixel
_LINE, _LEADING = 52, 0.15  # characters of a line of text; inches from line to line
_LABELS = {'total_mass': 'mass in the field', 'luminosity': '{} luminosity', 'mass_to_light': 'M/L$_{}$',
           'metallicity': '[Fe/H]'}


def plot_prediction(prediction, *, ax=None, panel=None):
    """Light, mass and M/L maps of an image, its profiles, and the results with their intervals.

    Beside them it states what was known, what was done about the sky and foreground stars, and what was
    masked; that is hatched in the maps.

    Parameters
    ----------
    prediction : `~pidoc.prediction.Prediction`
    ax : `~matplotlib.axes.Axes`, optional
        Draw a single panel in these axes instead of a figure with all panels.
    panel : str, optional
        Which panel: 'light', 'mass', 'mass_to_light', 'numbers', 'mass_profile' or 'mass_to_light_profile';
        by default all panels, or with ``ax`` the mass.

    Returns
    -------
    `~matplotlib.figure.Figure`
        To be saved with its method ``savefig``; with ``ax``, the figure of these axes.

    Raises
    ------
    ValueError
        If there is no such panel.

    Examples
    --------
    >>> from pidoc.prediction import Prediction
    >>> from pidoc.plotting.prediction import plot_prediction
    >>> plot_prediction(Prediction.read('m13-pidoc.fits')).savefig('m13.pdf')  # doctest: +SKIP
    """
    from matplotlib.figure import Figure

    if panel is not None and panel not in _PANELS:
        raise ValueError(f'panel must be one of {", ".join(_PANELS)}, received {panel!r}')
    if ax is None and panel is None:
        # the axes of the profiles have labels below them
        below = max(3.0, 0.6 + _LEADING * len(_lines(prediction)))
        figure = Figure(figsize=(10.5, 3.6 + below), layout='constrained')
        axes = figure.subplots(2, 3, height_ratios=(3.6, below))
        for axis, draw in zip(axes.flat, _PANELS.values(), strict=True):
            draw(axis, prediction)
        figure.suptitle(prediction.name or None)
        return figure
    if ax is None:
        ax = Figure(figsize=(4.2, 3.8), layout='constrained').subplots()
    _PANELS[panel or 'mass'](ax, prediction)
    return ax.get_figure()


def _extent(prediction):
    """Edges of the map in arcsec from the centre."""
    scale = prediction.pixel_scale.to_value(u.arcsec)
    ny, nx = prediction.mass.shape
    x, y = prediction.center
    return [scale * edge for edge in (-0.5 - x, nx - 0.5 - x, -0.5 - y, ny - 0.5 - y)]


def _show(axis, prediction, data, label, low, high, **style):
    """A map on a logarithmic scale; where it goes on beyond the bar, the bar has an arrow."""
    from matplotlib.colors import LogNorm

    shown = axis.imshow(data, origin='lower', extent=_extent(prediction), interpolation='nearest',
                        norm=LogNorm(low, high), **style)
    axis.set_xlabel('x [arcsec]')
    axis.set_ylabel('y [arcsec]')
    beyond = np.nanmin(data) < low, np.nanmax(data) > high
    extend = {(True, False): 'min', (False, True): 'max', (True, True): 'both'}.get(beyond, 'neither')
    bar = axis.get_figure().colorbar(shown, ax=axis, location='top', label=label, extend=extend)
    _set_ticks(bar.ax.xaxis, low, high)
    if prediction.mass.mask is not None:
        hatched = axis.contourf(prediction.mass.mask.astype(float), levels=(0.5, 1.5), colors='none',
                                hatches=['xxxx'], extent=_extent(prediction))
        hatched.set_edgecolor('white')


def _set_ticks(axis, low, high):
    """More numbers where powers of ten would be too few."""
    from matplotlib.ticker import (
        FormatStrFormatter,
        LogFormatterSciNotation,
        LogLocator,
        MaxNLocator,
        NullFormatter,
    )

    if high > 100.0 * low:
        return
    small = high < 0.01
    steps = (1.0, 3.0) if small else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=steps) if high > 6.0 * low else MaxNLocator(3 if small else 4))
    axis.set_major_formatter(LogFormatterSciNotation(minor_thresholds=(np.inf, np.inf)) if small
                             else FormatStrFormatter('%g'))
    axis.set_minor_formatter(NullFormatter())


def _map(axis, prediction, data, label, colours):
    top = float(np.nanmax(data))
    faint = top * 10.0**-_DECADES
    low = max(faint, float(np.min(data[data > 0.0])))
    # below the bar, but a number
    _show(axis, prediction, np.maximum(data, 0.1 * faint), label, low, max(top, 1.1 * low), cmap=colours)


def _light_map(axis, prediction):
    _map(axis, prediction, prediction.light.data, 'light [L$_\\odot$/kpc$^2$ per pixel]', 'magma')


def _mass_map(axis, prediction):
    _map(axis, prediction, prediction.mass.data, 'mass [M$_\\odot$ per pixel]', 'viridis')


def _ratio_map(axis, prediction):
    data = prediction.mass_to_light_map.data
    good = data[np.isfinite(data) & (data > 0.0)]
    # otherwise a few faint pixels would determine the colour scale
    low, high = np.percentile(good, [1.0, 99.0]) if good.size else (1.0, 10.0)
    _show(axis, prediction, data, f'M/L$_{prediction.band}$ [M$_\\odot$/L$_\\odot$]', low,
          max(high, 1.1 * low), cmap='cividis')


def _with_errors(axis, profile, name, unit, colour):
    separation = profile['separation'].to_value(u.arcsec)
    value, error = (profile[key].to_value(unit) for key in (name, f'{name}_error'))
    low = np.maximum(value - error, 1e-3 * np.abs(value))
    axis.fill_between(separation, low, value + error, color=colour, alpha=0.25, lw=0)
    axis.plot(separation, value, color=colour, marker='.')
    axis.set_yscale('log')
    _set_ticks(axis.yaxis, *axis.get_ylim())
    axis.set_xlabel('separation [arcsec]')


def _mass_profile(axis, prediction):
    _with_errors(axis, prediction.mass_profile, 'mass', u.Msun, _BLUE)
    axis.set_ylabel('mass [M$_\\odot$ per pixel]')


def _ratio_profile(axis, prediction):
    _with_errors(axis, prediction.mass_to_light_profile, 'mass_to_light', u.Msun / u.Lsun, _VERMILION)
    whole = prediction.mass_to_light
    axis.axhline(whole.to_value(u.Msun / u.Lsun), color='black', lw=0.8, ls='--', label='whole field')
    axis.legend(frameon=False)
    axis.set_ylabel(f'M/L$_{prediction.band}$ [M$_\\odot$/L$_\\odot$]')


def _numbers(axis, prediction):
    axis.axis('off')
    axis.text(0.0, 1.0, '\n'.join(_lines(prediction)), va='top', transform=axis.transAxes, fontsize=8.5,
              color='black' if prediction.in_domain else _VERMILION)


# in the order of the figure
_PANELS = {'light': _light_map, 'mass': _mass_map, 'mass_to_light': _ratio_map, 'numbers': _numbers,
           'mass_profile': _mass_profile, 'mass_to_light_profile': _ratio_profile}


# -- what is written ------------------------------------------------------------------------------


def _lines(prediction):
    """The numbers, what they rest on, and what was noted."""
    lines = [f'model {prediction.model}', '']
    for name, measured in prediction.parameters().items():
        given = ', given' if name in prediction.known else ''
        label = _LABELS.get(name, name.replace('_', ' ')).format(prediction.band)
        lines.append(f'{label}: {_plain(measured)}{given}')
    lines += ['', *_known(prediction), *_treatment(prediction), '',
              'inside the training domain' if prediction.in_domain else 'OUTSIDE the training domain']
    noted = str(prediction.light.meta.get('FLAGS') or '').replace(' ', ', ')
    lines += [f'  {name}' + (f': {noted}' if name == 'preparation' and noted else '')
              for name in prediction.flag_names]
    return [part for line in lines for part in textwrap.wrap(line, _LINE, subsequent_indent='    ') or ['']]


def _plain(value):
    text = str(value).replace(' / ', '/')
    return text.replace('solMass', 'M$_\\odot$').replace('solLum', 'L$_\\odot$')


def _known(prediction):
    """What the prediction is conditioned on, with errors and sources."""
    texts = prediction.known_texts()
    for name, text in texts.items():
        yield f'known: {_LABELS.get(name, name.replace("_", " "))} {text}'
    if not texts:
        yield 'known: nothing but the image'
    meta = prediction.light.meta
    if meta.get('EXTCORR'):
        source = prediction.sources.get('extinction', 'given')
        yield f'extinction taken off: A$_V$ = {meta["EXTCORR"]:.2f} mag, {source}'


def _treatment(prediction):
    """What was done to the image: seeing, sky, stars in front, masks."""
    meta = prediction.light.meta
    if meta.get('PSFFWHM'):
        yield f'seeing: {meta["PSFFWHM"]:.2g} arcsec ({meta.get("SEEFROM") or "header"})'
    for band in ('', 'G', 'R'):
        yield from _sky(meta, band)
    error, total = meta.get('SKYERROR'), float(prediction.light.data.sum(dtype=float))
    if error and total > 0.0:
        level = meta.get('SKYLEVEL') or 0.0
        share = 100.0 * prediction.light.data.size / total
        yield f'sky that is left: {share * level:.1f} ± {share * error:.1f} % of the light'
    if meta.get('NFOREGND'):
        yield (f'stars in front, taken off: {meta["NFOREGND"]}, with {100.0 * meta["FORELITE"]:.1f} % of the '
               'light')
    if meta.get('STARLITE'):
        yield f'bright star left in, with {100.0 * meta["STARLITE"]:.1f} % of the light'
    # of two bands that of g has the same name as that of one
    for key in ('MISSING', 'MISSINR'):
        if meta.get(key):
            yield f'pixels without light, found: {meta[key]}'
    mask = prediction.mass.mask
    number = 0 if mask is None else np.count_nonzero(mask)
    yield 'masked: ' + (f'{number} of {mask.size} pixels (hatched)' if number else 'nothing')


def _sky(meta, band):
    """What was subtracted, of an image or of one of two bands."""
    way, level = meta.get(f'BKGFROM{band}'), meta.get(f'BKGLEVE{band or "L"}')
    name = f'sky in {band.lower()}' if band else 'sky'
    if way == 'none':
        yield f'{name}: nothing subtracted'
    elif way is not None and level is not None:
        error = '' if meta.get('BKGERROR') is None or band else f' ± {meta["BKGERROR"]:.2g}'
        unit = (meta.get(f'IMGUNIT{band}') or '').replace('no unit', '')
        yield f'{name}: {level:.5g}{error} {unit}'.rstrip() + f' a pixel subtracted ({way})'
