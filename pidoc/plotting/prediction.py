# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Figure of a prediction; it draws results without computing any."""

import numpy as np
from astropy import units as u

__all__ = ['plot_prediction']

# Okabe & Ito (2008), as in pidoc.plotting
_BLUE, _VERMILION = '#0072B2', '#D55E00'
_DECADES = 3.5             # shown, below the brightest pixel
_LABELS = {'total_mass': 'mass in the field', 'luminosity': '{} luminosity', 'mass_to_light': 'M/L$_{}$',
           'metallicity': '[Fe/H]'}


def plot_prediction(prediction, *, ax=None, panel=None):
    """Light, mass and M/L maps of an image, its profiles, and the results with their intervals.

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
        figure = Figure(figsize=(10.5, 6.6), layout='constrained')
        for axis, draw in zip(figure.subplots(2, 3).flat, _PANELS.values(), strict=True):
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


def _show(axis, prediction, data, label, **style):
    shown = axis.imshow(data, origin='lower', extent=_extent(prediction), interpolation='nearest', **style)
    axis.set_xlabel('x [arcsec]')
    axis.set_ylabel('y [arcsec]')
    return axis.get_figure().colorbar(shown, ax=axis, location='top', label=label)


def _map(axis, prediction, data, label, colours):
    from matplotlib.colors import LogNorm

    top = float(np.nanmax(data))
    _show(axis, prediction, np.maximum(data, top * 10.0**-(_DECADES + 1)), label, cmap=colours,
          norm=LogNorm(top * 10.0**-_DECADES, top))


def _light_map(axis, prediction):
    _map(axis, prediction, prediction.light.data, 'light [L$_\\odot$/kpc$^2$ per pixel]', 'magma')


def _mass_map(axis, prediction):
    _map(axis, prediction, prediction.mass.data, 'mass [M$_\\odot$ per pixel]', 'viridis')


def _ratio_map(axis, prediction):
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    data = prediction.mass_to_light_map.data
    good = data[np.isfinite(data) & (data > 0.0)]
    # otherwise a few faint pixels would determine the colour scale
    low, high = np.percentile(good, [1.0, 99.0]) if good.size else (1.0, 10.0)
    bar = _show(axis, prediction, data, f'M/L$_{prediction.band}$ [M$_\\odot$/L$_\\odot$]',
                cmap='cividis', norm=LogNorm(low, max(high, 1.1 * low)))
    # for one or two decades powers of ten are too few labels, and all of their multiples too many
    bar.ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    bar.ax.xaxis.set_major_formatter(FormatStrFormatter('%g'))
    bar.ax.xaxis.set_minor_formatter(NullFormatter())


def _with_errors(axis, profile, name, unit, colour):
    separation = profile['separation'].to_value(u.arcsec)
    value, error = (profile[key].to_value(unit) for key in (name, f'{name}_error'))
    low = np.maximum(value - error, 1e-3 * np.abs(value))
    axis.fill_between(separation, low, value + error, color=colour, alpha=0.25, lw=0)
    axis.plot(separation, value, color=colour, marker='.')
    axis.set_yscale('log')
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
    lines = [f'model {prediction.model}', '']
    for name, measured in prediction.parameters().items():
        given = ', given' if name in prediction.known else ''
        text = str(measured).replace(' / ', '/')
        text = text.replace('solMass', 'M$_\\odot$').replace('solLum', 'L$_\\odot$')
        lines.append(f'{_LABELS.get(name, name.replace("_", " ")).format(prediction.band)}: {text}{given}')
    lines += ['', 'inside the training domain' if prediction.in_domain else 'OUTSIDE the training domain']
    lines += [f'  {name}' for name in prediction.flag_names]
    axis.text(0.0, 1.0, '\n'.join(lines), va='top', transform=axis.transAxes, fontsize=9,
              color='black' if prediction.in_domain else _VERMILION)


# in the order of the figure
_PANELS = {'light': _light_map, 'mass': _mass_map, 'mass_to_light': _ratio_map, 'numbers': _numbers,
           'mass_profile': _mass_profile, 'mass_to_light_profile': _ratio_profile}
