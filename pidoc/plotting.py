# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Figures, drawn from tables and other nouns: nothing is computed or read here."""

import numpy as np
from astropy import units as u
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

__all__ = ['plot_run']

# Okabe & Ito (2008): told apart by colour-blind readers; the dashes tell them apart in print.
BLACK, BLUE, VERMILION = '#000000', '#0072B2', '#D55E00'
_DASHED, _DASH_DOT, _DOTTED = (0, (5, 1.5)), (0, (6, 1.5, 1.2, 1.5)), (0, (1, 1.3))
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
    >>> from pidoc.plotting import plot_run
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
