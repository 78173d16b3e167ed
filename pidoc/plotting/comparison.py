# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Predicted against true values."""

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pidoc.plotting.style import BLACK, BLUE, DOTTED, VERMILION

__all__ = ['plot_comparison']

def plot_comparison(*comparisons, minimum_count=1):
    """Predicted against true values: 2D histograms and residuals (Chardin & Bianchini 2021, Figs. 5, 6, 8).

    Lower panels: mean and standard deviation of predicted - true in bins of the true value (the learning
    error); side panels: in bins of the predicted value (the recovery uncertainty). Residuals of masses are in
    dex.

    Parameters
    ----------
    *comparisons : `~pidoc.evaluation.scores.Comparison`
        One for each panel.
    minimum_count : int, optional
        Residuals are not drawn for bins with fewer values.

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    ValueError
        If there are none, or one has no values in its bins.

    Examples
    --------
    >>> import numpy as np
    >>> from pidoc.plotting import plot_comparison
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
        place, mean = comparison.centers[shown], np.asarray(table['residual'])[shown]
        spread = np.asarray(table['standard_deviation'])[shown]
        if by == 'predicted':
            axis.fill_betweenx(place, mean - spread, mean + spread, color=BLUE, alpha=0.25, lw=0)
            axis.plot(mean, place, color=BLUE, marker='.', ms=3)
            axis.axvline(0.0, color=BLACK, lw=0.8, ls=DOTTED)
            axis.xaxis.set_major_locator(MaxNLocator(2, symmetric=True))
            axis.tick_params(axis='x', labelsize='small')
        else:
            axis.fill_between(place, mean - spread, mean + spread, color=BLUE, alpha=0.25, lw=0)
            axis.plot(place, mean, color=BLUE, marker='.', ms=3)
            axis.axhline(0.0, color=BLACK, lw=0.8, ls=DOTTED)
