# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Common colours, dashes and axes of figures."""

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

__all__ = ['COLOURS', 'DASHES', 'DECADES', 'MARKERS', 'draw_legend', 'draw_line', 'scale_of_ages',
           'set_age_axis', 'set_log_y']

# Okabe & Ito (2008): distinguishable for colour-blind readers; dashes distinguish them in print
BLACK, BLUE, VERMILION = '#000000', '#0072B2', '#D55E00'
COLOURS = (BLUE, VERMILION, '#009E73', BLACK, '#CC79A7', '#56B4E9', '#E69F00', 'grey')
DASHED, DASH_DOT, DOTTED = (0, (5, 1.5)), (0, (6, 1.5, 1.2, 1.5)), (0, (1, 1.3))
DASHES = ('-', DASHED, DASH_DOT, DOTTED, (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (2, 2)),
           (0, (9, 1, 1, 1)))
MARKERS = 'osD^vPX*'
DECADES = 3.5             # shown in a map, below its brightest pixel


def scale_of_ages(age):
    crowded = age.size > 3 and age[-1] > 0.0 and np.median(age) < 0.1 * age[-1]
    return 'log' if crowded else 'linear'


def set_age_axis(axis, age, scale):
    axis.set_xlabel('age [Gyr]')
    if scale == 'log' and age[0] > 0.0:
        axis.set_xscale('log')
    if age.size > 1:
        axis.set_xlim(age[0], age[-1])


def draw_line(axis, age, values, colour, dashes, label, *, width=1.5):
    # a single snapshot is a dot, since a line would be invisible
    axis.plot(age, values, color=colour, ls=dashes, marker='o' if age.size == 1 else None, label=label,
              lw=width, solid_capstyle='butt', dash_capstyle='butt')


def draw_legend(axis, columns):
    """Legend above the frame, away from the lines."""
    axis.legend(frameon=False, loc='lower center', bbox_to_anchor=(0.5, 0.99), ncols=columns,
                handlelength=2.8, columnspacing=1.5, borderaxespad=0.2)


def set_log_y(axis):
    """Logarithmic axis with plain numbers."""
    axis.set_yscale('log')
    low, high = axis.get_ylim()
    steps = (1.0,) if high > 1000.0 * low else (1.0, 2.0, 5.0)
    axis.yaxis.set_major_locator(LogLocator(subs=steps))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axis.yaxis.set_minor_formatter(NullFormatter())
