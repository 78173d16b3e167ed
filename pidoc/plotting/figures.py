# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Figures, drawn from tables and other nouns: nothing is computed or read here."""

from collections.abc import Mapping

import numpy as np
from astropy import units as u
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

__all__ = ['plot_comparison', 'plot_distances', 'plot_history', 'plot_maps', 'plot_profiles', 'plot_run']

# Okabe & Ito (2008): told apart by colour-blind readers; the dashes tell them apart in print.
BLACK, BLUE, VERMILION = '#000000', '#0072B2', '#D55E00'
_COLOURS = (BLUE, VERMILION, '#009E73', BLACK, '#CC79A7', '#56B4E9', '#E69F00', 'grey')
_DASHED, _DASH_DOT, _DOTTED = (0, (5, 1.5)), (0, (6, 1.5, 1.2, 1.5)), (0, (1, 1.3))
_DASHES = ('-', _DASHED, _DASH_DOT, _DOTTED, (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (2, 2)),
           (0, (9, 1, 1, 1)))
_MARKERS = 'osD^vPX*'
_DECADES = 3.5             # that a map shows below its brightest pixel
#: column of the log, label, colour, dashes, width of the line; one label for a family of radii
_RADII = (
    ('tidal_radius', 'tidal', 'grey', _DOTTED, 1.5),
    ('half_mass_radius', 'half of the mass', BLUE, '-', 2.4),
    ('r_01', '1, 10, 90 % of the mass', BLUE, '-', 0.9),
    ('r_10', None, BLUE, '-', 0.9),
    ('r_90', None, BLUE, '-', 0.9),
    ('half_light_radius', 'half of the V light', VERMILION, _DASHED, 1.7),
    ('core_radius', 'core', BLACK, _DASH_DOT, 1.5),
)


def plot_run(log, *, age_scale=None):
    """Quick look at a run: stars and mass, radii, and mass-to-light ratio against age.

    Parameters
    ----------
    log : `~astropy.table.QTable`
        The log of a run, from `~pidoc.simulation.run.read_log` or `~pidoc.simulation.run.run`.
    age_scale : {'linear', 'log'}, optional
        Scale of the age axis. By default logarithmic if most snapshots crowd within the first tenth
        of the run. An age of zero has no place on a logarithmic axis and is left out.

    Returns
    -------
    `~matplotlib.figure.Figure`
        To be saved with its method ``savefig``.

    Raises
    ------
    ValueError
        If the log has no rows, or ``age_scale`` is another.

    Examples
    --------
    >>> from pidoc.plotting.figures import plot_run
    >>> from pidoc.simulation.run import read_log
    >>> plot_run(read_log('mw15')).savefig('mw15.pdf')  # doctest: +SKIP
    """
    if not len(log):
        raise ValueError('the log of a run must have at least one row, received an empty one')
    age = log['age'].to_value(u.Gyr)
    scale = _age_scale(age) if age_scale is None else age_scale
    if scale not in ('linear', 'log'):
        raise ValueError(f'age_scale must be linear or log, received {age_scale!r}')
    figure = Figure(figsize=(6.4, 7.6), layout='constrained')
    axes = figure.subplots(3, 1, sharex=True, height_ratios=(1, 1.7, 1))
    shown = age > 0.0 if scale == 'log' and np.any(age > 0.0) else np.ones(age.size, dtype=bool)
    for axis, draw in zip(axes, (_draw_content, _draw_radii, _draw_mass_to_light), strict=True):
        draw(axis, log, age, shown)
        axis.tick_params(which='both', direction='in', top=True, right=True)
    _set_age_axis(axes[-1], age[shown], scale)
    if log.meta.get('CLNAME'):
        figure.suptitle(log.meta['CLNAME'])
    return figure


def _age_scale(age):
    crowded = age.size > 3 and age[-1] > 0.0 and np.median(age) < 0.1 * age[-1]
    return 'log' if crowded else 'linear'


def _set_age_axis(axis, age, scale):
    axis.set_xlabel('age [Gyr]')
    if scale == 'log' and age[0] > 0.0:
        axis.set_xscale('log')
    if age.size > 1:
        axis.set_xlim(age[0], age[-1])


def _line(axis, age, values, colour, dashes, label, *, width=1.5):
    # a lone snapshot is a dot: a line through it would be invisible
    axis.plot(age, values, color=colour, ls=dashes, marker='o' if age.size == 1 else None, label=label,
              lw=width, solid_capstyle='butt', dash_capstyle='butt')


def _draw_content(axis, log, age, shown):
    """Number of stars and mass, relative to the first snapshot."""
    stars, mass = np.asarray(log['n_stars'], dtype=float), log['total_mass'].to_value(u.Msun)
    begin = f'at {age[0]:g} Gyr'
    _line(axis, age[shown], stars[shown] / stars[0], BLACK, '-', f'stars: {stars[0]:,.0f} {begin}')
    _line(axis, age[shown], mass[shown] / mass[0], BLUE, _DASHED,
          rf'mass: {mass[0]:,.0f} M$_\odot$ {begin}')
    axis.set_ylim(0.0, 1.05)
    axis.set_ylabel('remaining fraction')
    _legend(axis, 2)


def _draw_radii(axis, log, age, shown):
    for name, label, colour, dashes, width in _RADII:
        values = log[name].to_value(u.pc)
        # an isolated cluster has no tidal radius
        if np.all(np.isfinite(values)):
            _line(axis, age[shown], values[shown], colour, dashes, label, width=width)
    _set_log_y(axis)
    axis.set_ylabel('radius [pc]')
    _legend(axis, 3)


def _draw_mass_to_light(axis, log, age, shown):
    _line(axis, age[shown], log['mass_to_light'].to_value(u.Msun / u.Lsun)[shown], BLACK, '-', None)
    _set_log_y(axis)
    axis.set_ylabel(r'$M/L_V$ [M$_\odot$/L$_\odot$]')


def _legend(axis, columns):
    """Above the frame, where no line is."""
    axis.legend(frameon=False, loc='lower center', bbox_to_anchor=(0.5, 0.99), ncols=columns,
                handlelength=2.8, columnspacing=1.5, borderaxespad=0.2)


def _set_log_y(axis):
    """Logarithmic, with plain numbers."""
    axis.set_yscale('log')
    low, high = axis.get_ylim()
    steps = (1.0,) if high > 1000.0 * low else (1.0, 2.0, 5.0)
    axis.yaxis.set_major_locator(LogLocator(subs=steps))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axis.yaxis.set_minor_formatter(NullFormatter())


# -- training -------------------------------------------------------------------------------------


def plot_history(history, *, loss='loss', r_squared='r_squared'):
    """Loss and coefficient of determination against the epoch (Chardin & Bianchini 2021, Fig. 3).

    Parameters
    ----------
    history : dict
        Name -> values, one an epoch, as in ``keras.callbacks.History.history``; a name that begins with
        ``val_`` is that of the validation set. Or title -> such a dict, for networks side by side.
    loss, r_squared : str, optional
        Names of the two. What is not there is not drawn.

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    ValueError
        If there is no loss, or a history has lists of unlike lengths.

    Examples
    --------
    >>> from pidoc.plotting.figures import plot_history
    >>> figure = plot_history({'loss': [2.0, 1.0, 0.5], 'val_loss': [2.1, 1.2, 0.9]})
    >>> [axis.get_xlabel() for axis in figure.axes]
    ['epoch']
    """
    columns = history if history and all(isinstance(v, Mapping) for v in history.values()) else {'': history}
    for each in columns.values():
        _check_history(each, loss)
    both = any(name in each for each in columns.values() for name in (r_squared, f'val_{r_squared}'))
    figure = Figure(figsize=(4.6 * len(columns) + 0.4, 5.6 if both else 3.6), layout='constrained')
    axes = figure.subplots(1 + both, len(columns), sharex='col', squeeze=False)
    for column, (title, each) in zip(axes.T, columns.items(), strict=True):
        column[0].set_title(title)
        _draw_epochs(column[0], each, loss)
        column[0].set_ylabel(loss.replace('_', ' '))
        if all(np.all(np.asarray(each[name]) > 0.0) for name in (loss, f'val_{loss}') if name in each):
            column[0].set_yscale('log')
        column[0].legend(frameon=False)
        if both:
            _draw_epochs(column[1], each, r_squared)
            column[1].set_ylabel(r'$R^2$')
            column[1].set_ylim(0.0, 1.02)
            for level in (0.7, 0.8, 0.9):
                column[1].axhline(level, color='grey', lw=0.8, ls=_DOTTED)
        column[-1].set_xlabel('epoch')
    return figure


def _check_history(history, loss):
    if loss not in history:
        received = ', '.join(map(repr, history)) or 'nothing'
        raise ValueError(f'a history must have {loss!r}, received {received}')
    lengths = {len(values) for values in history.values()}
    if len(lengths) > 1 or lengths == {0}:
        raise ValueError('a history must have a value for each epoch under every name, received '
                         f'{min(lengths)} to {max(lengths)}')


def _draw_epochs(axis, history, name):
    for key, colour, dashes, label in ((name, VERMILION, '-', 'training'),
                                       (f'val_{name}', BLUE, _DASHED, 'validation')):
        if key in history:
            _line(axis, np.arange(1, len(history[key]) + 1), np.asarray(history[key], dtype=float), colour,
                  dashes, label, width=1.6)
            if len(history[key]) == 1:
                axis.lines[-1].set_marker('o')


# -- maps -----------------------------------------------------------------------------------------


def plot_maps(light, true_mass, predicted_mass, *, true_age=None, predicted_age=None, true_distance=None,
              predicted_distance=None, pixel_scale=0.25 * u.arcsec):
    """Light, true and predicted mass of some clusters (Chardin & Bianchini 2021, Fig. 4).

    Both rows of masses have one scale. The colours tell brightness alone too.

    Parameters
    ----------
    light, true_mass, predicted_mass : `~astropy.units.Quantity`, shape (n, ny, nx)
    true_age, predicted_age, true_distance, predicted_distance : `~astropy.units.Quantity`, optional
        Shape (n,); written on the masses.
    pixel_scale : `~astropy.units.Quantity`, optional

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    ValueError
        If the maps differ in shape, or there are none, or one of them has no positive pixel.
    """
    maps = [np.asarray(each.to_value(each.unit), dtype=float) for each in (light, true_mass, predicted_mass)]
    if maps[0].ndim != 3 or not len(maps[0]) or len({each.shape for each in maps}) > 1:
        raise ValueError('maps must be three arrays of the same shape (n, ny, nx), received '
                         f'{", ".join(str(each.shape) for each in maps)}')
    maps[2] *= predicted_mass.unit.to(true_mass.unit)
    number, ny, nx = maps[0].shape
    figure = Figure(figsize=(2.3 * number + 1.6, 6.6), layout='compressed')
    axes = figure.subplots(3, number, sharex=True, sharey=True, squeeze=False)
    scale = pixel_scale.to_value(u.arcsec)
    extent = (-0.5 * nx * scale, 0.5 * nx * scale, -0.5 * ny * scale, 0.5 * ny * scale)
    mass_norm = _map_norm(maps[1])
    for row, norm, colours in ((0, _map_norm(maps[0]), 'cividis'), (1, mass_norm, 'viridis'),
                               (2, mass_norm, 'viridis')):
        for axis, values in zip(axes[row], maps[row], strict=True):
            image = axis.imshow(np.maximum(values, norm.vmin), origin='lower', extent=extent, norm=norm,
                                cmap=colours, interpolation='nearest')
        if row != 1:
            unit = light.unit if row == 0 else true_mass.unit
            label = f'{"light" if row == 0 else "mass"} per pixel [{unit.to_string("latex_inline")}]'
            figure.colorbar(image, ax=axes[0] if row == 0 else axes[1:], label=label, fraction=0.03)
    for row, name, age, distance in ((1, 'true', true_age, true_distance),
                                     (2, 'predicted', predicted_age, predicted_distance)):
        axes[row, 0].set_ylabel(f'{name} mass\ny [arcsec]')
        for i, axis in enumerate(axes[row]):
            axis.text(0.04, 0.95, _what(age, distance, i), transform=axis.transAxes, color='white', va='top',
                      fontsize='small', bbox={'facecolor': 'black', 'alpha': 0.5, 'lw': 0, 'pad': 1.5})
    axes[0, 0].set_ylabel('light\ny [arcsec]')
    for axis in axes[-1]:
        axis.set_xlabel('x [arcsec]')
    return figure


def _map_norm(values):
    top = values.max()
    if not top > 0.0:
        raise ValueError(f'maps must have positive pixels, received a maximum of {top}')
    return LogNorm(max(top * 10.0**-_DECADES, values[values > 0.0].min()), top)


def _what(age, distance, i):
    lines = [] if age is None else [f'{age[i].to_value(u.Gyr):.2f} Gyr']
    return '\n'.join(lines + ([] if distance is None else [f'{distance[i].to_value(u.kpc):.1f} kpc']))


# -- predicted against true -----------------------------------------------------------------------


def plot_comparison(*comparisons, minimum_count=1):
    """Predicted against true values: 2D histograms and residuals (Chardin & Bianchini 2021, Figs. 5, 6, 8).

    Below: mean and standard deviation of predicted - true in bins of the true value (the learning error); at
    the side: in bins of the predicted one (the recovery uncertainty). Residuals of masses are in dex.

    Parameters
    ----------
    *comparisons : `~pidoc.evaluation.scores.Comparison`
        One a panel, side by side.
    minimum_count : int, optional
        Bins with fewer values have no residual drawn.

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    ValueError
        If there are none, or one has no value in its bins.

    Examples
    --------
    >>> import numpy as np
    >>> from pidoc.plotting.figures import plot_comparison
    >>> from pidoc.evaluation.scores import AGE_EDGES, Comparison
    >>> ages = Comparison(AGE_EDGES, log=False, label='age', unit='Gyr')
    >>> ages.add(np.array([3.0, 11.0]), np.array([4.0, 12.0]))
    >>> plot_comparison(ages).axes[0].get_title()
    'age'
    """
    if not comparisons:
        raise ValueError('plot_comparison needs at least one comparison, received none')
    figure = Figure(figsize=(6.2 * len(comparisons), 5.6), layout='constrained')
    grid = figure.add_gridspec(2, 2 * len(comparisons), height_ratios=(4, 1),
                               width_ratios=(1, 4) * len(comparisons))
    for i, comparison in enumerate(comparisons):
        if not comparison.counts.any():
            raise ValueError('a comparison must have values in its bins, received none of '
                             f'{comparison.label!r}')
        main = figure.add_subplot(grid[0, 2 * i + 1])
        side = figure.add_subplot(grid[0, 2 * i], sharey=main)
        below = figure.add_subplot(grid[1, 2 * i + 1], sharex=main)
        _draw_histogram(figure, main, comparison)
        _draw_residuals(side, below, comparison, minimum_count)
        label, unit = comparison.label, 'dex' if comparison.log else comparison.unit
        side.set_ylabel(f'predicted {_axis_label(comparison)}')
        below.set_xlabel(f'true {_axis_label(comparison)}')
        side.set_xlabel(f'residual [{unit}]')
        below.set_ylabel(f'residual [{unit}]')
        main.set_title(label)
    return figure


def _axis_label(comparison):
    return f'log10 [{comparison.unit}]' if comparison.log else f'[{comparison.unit}]'


def _draw_histogram(figure, axis, comparison):
    edges = comparison.fine_edges
    counts = np.ma.masked_equal(comparison.counts.T, 0)
    image = axis.pcolormesh(edges, edges, counts, norm=LogNorm(1, max(2, counts.max())), cmap='cividis',
                            rasterized=True)
    figure.colorbar(image, ax=axis, label='number', pad=0.01)
    axis.plot(edges[[0, -1]], edges[[0, -1]], color=VERMILION, lw=1.2)
    axis.tick_params(labelbottom=False, labelleft=False)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_ylim(edges[0], edges[-1])


def _draw_residuals(side, below, comparison, minimum_count):
    for axis, by in ((side, 'predicted'), (below, 'true')):
        table = comparison.bins(by=by)
        shown = table['n'] >= max(minimum_count, 1)
        place, mean = comparison.centres[shown], np.asarray(table['residual'])[shown]
        spread = np.asarray(table['standard_deviation'])[shown]
        if by == 'predicted':
            axis.fill_betweenx(place, mean - spread, mean + spread, color=BLUE, alpha=0.25, lw=0)
            axis.plot(mean, place, color=BLUE, marker='.', ms=3)
            axis.axvline(0.0, color=BLACK, lw=0.8, ls=_DOTTED)
            axis.xaxis.set_major_locator(MaxNLocator(2, symmetric=True))
            axis.tick_params(axis='x', labelsize='small')
        else:
            axis.fill_between(place, mean - spread, mean + spread, color=BLUE, alpha=0.25, lw=0)
            axis.plot(place, mean, color=BLUE, marker='.', ms=3)
            axis.axhline(0.0, color=BLACK, lw=0.8, ls=_DOTTED)


# -- profiles -------------------------------------------------------------------------------------


def plot_profiles(true_mass, predicted_mass, true_ratio, predicted_ratio, *, labels=None):
    """Profiles of mass and M/L, true and predicted, and their ratio (Chardin & Bianchini 2021, Fig. 7).

    Parameters
    ----------
    true_mass, predicted_mass : sequence of `~astropy.table.QTable`
        From `pidoc.prediction.profiles.mass_profile`, one a cluster.
    true_ratio, predicted_ratio : sequence of `~astropy.table.QTable`
        From `pidoc.prediction.profiles.mass_to_light_profile`.
    labels : sequence of str, optional
        Of the clusters.

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    ValueError
        If the sequences differ in length, or there are no clusters or more than eight.
    """
    number = len(true_mass)
    labels = [None] * number if labels is None else labels
    others = {len(each) for each in (predicted_mass, true_ratio, predicted_ratio, labels)}
    if not 1 <= number <= len(_COLOURS) or others != {number}:
        raise ValueError('profiles must be of the same 1 to 8 clusters, received '
                         f'{number}, {len(predicted_mass)}, {len(true_ratio)} and {len(predicted_ratio)}')
    figure = Figure(figsize=(9.6, 5.8), layout='constrained')
    axes = figure.subplots(2, 2, sharex=True, height_ratios=(3, 1))
    for column, name, unit, pairs in (
            (axes[:, 0], 'mass', u.Msun, zip(true_mass, predicted_mass, strict=True)),
            (axes[:, 1], 'mass_to_light', u.Msun / u.Lsun, zip(true_ratio, predicted_ratio, strict=True))):
        for i, ((true, predicted), label) in enumerate(zip(pairs, labels, strict=True)):
            # the marker tells the cluster where there is no colour; not all at the same separations
            style = {'color': _COLOURS[i], 'marker': _MARKERS[i], 'ms': 4, 'markevery': (i, number)}
            place = true['separation'].to_value(u.arcsec)
            t, p = (each[name].to_value(unit) for each in (true, predicted))
            column[0].plot(place, t, label=label, **style)
            column[0].plot(place, p, ls=_DASHED, mfc='none', **style)
            share = np.divide(p, t, out=np.full(t.shape, np.nan), where=t > 0.0)
            column[1].plot(place, share, **style)
        _set_log_y(column[0])
        column[1].axhline(1.0, color=BLACK, lw=0.8, ls=_DOTTED)
        column[1].set_ylabel('predicted / true')
        column[1].set_xlabel('separation [arcsec]')
    axes[0, 0].set_ylabel(r'mass per pixel [M$_\odot$]')
    axes[0, 1].set_ylabel(r'$M/L_V$ [M$_\odot$/L$_\odot$]')
    axes[0, 0].plot([], [], color=BLACK, label='true')
    axes[0, 0].plot([], [], color=BLACK, ls=_DASHED, label='predicted')
    axes[0, 0].legend(frameon=False, fontsize='small')
    return figure


# -- distances ------------------------------------------------------------------------------------


def plot_distances(predicted, true, *, n_bins=60):
    """Distribution of the predicted distances at each true one (Chardin & Bianchini 2021, Fig. 9).

    Parameters
    ----------
    predicted, true : `~astropy.units.Quantity`, shape (n,)
    n_bins : int, optional

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    ValueError
        If the shapes differ, or there are more than eight different true distances (draw `plot_comparison`
        then).
    """
    predicted, true = predicted.to_value(u.kpc), true.to_value(u.kpc)
    if predicted.shape != true.shape or predicted.ndim != 1 or not predicted.size:
        raise ValueError('predicted and true distances must be two lists of the same length, received the '
                         f'shapes {predicted.shape} and {true.shape}')
    different = np.unique(true)
    if different.size > len(_COLOURS):
        raise ValueError(f'there must be at most 8 different true distances, received {different.size}')
    figure = Figure(figsize=(6.4, 4.2), layout='constrained')
    axis = figure.subplots()
    edges = np.linspace(0.0, 1.05 * max(predicted.max(), true.max()), n_bins + 1)
    for distance, colour, dashes in zip(different, _COLOURS, _DASHES, strict=False):
        density, _ = np.histogram(predicted[true == distance], edges, density=True)
        axis.stairs(density, edges, color=colour, ls=dashes, lw=1.6, label=f'{distance:g} kpc')
        axis.axvline(distance, color=colour, lw=1.0, ls=dashes)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_xlabel('predicted distance [kpc]')
    axis.set_ylabel('probability density [1/kpc]')
    axis.legend(frameon=False, title='true distance')
    return figure
