# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Figure of one simulation."""

import numpy as np
from astropy import units as u
from matplotlib.figure import Figure

from pidoc.plotting.style import (
    BLACK,
    BLUE,
    DASH_DOT,
    DASHED,
    DOTTED,
    draw_legend,
    draw_line,
    scale_of_ages,
    set_age_axis,
    set_log_y,
    VERMILION,
)

__all__ = ['plot_run']

#: column of the log, label, colour, dashes, width of the line; one label for a family of radii
_RADII = (
    ('tidal_radius', 'tidal', 'grey', DOTTED, 1.5),
    ('half_mass_radius', 'half of the mass', BLUE, '-', 2.4),
    ('r_01', '1, 10, 90 % of the mass', BLUE, '-', 0.9),
    ('r_10', None, BLUE, '-', 0.9),
    ('r_90', None, BLUE, '-', 0.9),
    ('half_light_radius', 'half of the V light', VERMILION, DASHED, 1.7),
    ('core_radius', 'core', BLACK, DASH_DOT, 1.5),
)


def plot_run(log, *, age_scale=None):
    """Overview of a run: stars and mass, radii, and mass-to-light ratio against age.

    Parameters
    ----------
    log : `~astropy.table.QTable`
        The log of a run, from `~pidoc.simulation.run.read_log` or `~pidoc.simulation.run.run`.
    age_scale : {'linear', 'log'}, optional
        Scale of the age axis. By default logarithmic if most snapshots are within the first tenth of the run.
        An age of zero is not shown on a logarithmic axis.

    Returns
    -------
    `~matplotlib.figure.Figure`
        To be saved with its method ``savefig``.

    Raises
    ------
    ValueError
        If the log has no rows, or ``age_scale`` is not one of these.

    Examples
    --------
    >>> from pidoc.plotting import plot_run
    >>> from pidoc.simulation.run import read_log
    >>> plot_run(read_log('mw15')).savefig('mw15.pdf')  # doctest: +SKIP
    """
    if not len(log):
        raise ValueError('the log of a run must have at least one row, received an empty one')
    age = log['age'].to_value(u.Gyr)
    scale = scale_of_ages(age) if age_scale is None else age_scale
    if scale not in ('linear', 'log'):
        raise ValueError(f'age_scale must be linear or log, received {age_scale!r}')
    figure = Figure(figsize=(6.4, 7.6), layout='constrained')
    axes = figure.subplots(3, 1, sharex=True, height_ratios=(1, 1.7, 1))
    shown = age > 0.0 if scale == 'log' and np.any(age > 0.0) else np.ones(age.size, dtype=bool)
    for axis, draw in zip(axes, (_draw_content, _draw_radii, _draw_mass_to_light), strict=True):
        draw(axis, log, age, shown)
        axis.tick_params(which='both', direction='in', top=True, right=True)
    set_age_axis(axes[-1], age[shown], scale)
    if log.meta.get('CLNAME'):
        figure.suptitle(log.meta['CLNAME'])
    return figure


def _draw_content(axis, log, age, shown):
    """Number of stars and mass, relative to the first snapshot."""
    stars, mass = np.asarray(log['n_stars'], dtype=float), log['total_mass'].to_value(u.Msun)
    begin = f'at {age[0]:g} Gyr'
    draw_line(axis, age[shown], stars[shown] / stars[0], BLACK, '-', f'stars: {stars[0]:,.0f} {begin}')
    draw_line(axis, age[shown], mass[shown] / mass[0], BLUE, DASHED,
          rf'mass: {mass[0]:,.0f} M$_\odot$ {begin}')
    axis.set_ylim(0.0, 1.05)
    axis.set_ylabel('remaining fraction')
    draw_legend(axis, 2)


def _draw_radii(axis, log, age, shown):
    for name, label, colour, dashes, width in _RADII:
        values = log[name].to_value(u.pc)
        # an isolated cluster has no tidal radius
        if np.all(np.isfinite(values)):
            draw_line(axis, age[shown], values[shown], colour, dashes, label, width=width)
    set_log_y(axis)
    axis.set_ylabel('radius [pc]')
    draw_legend(axis, 3)


def _draw_mass_to_light(axis, log, age, shown):
    draw_line(axis, age[shown], log['mass_to_light'].to_value(u.Msun / u.Lsun)[shown], BLACK, '-', None)
    set_log_y(axis)
    axis.set_ylabel(r'$M/L_V$ [M$_\odot$/L$_\odot$]')
