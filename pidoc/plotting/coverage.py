# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Ranks of the truth in its posterior, compared with those of a calibrated posterior."""

import numpy as np

__all__ = ['plot_coverage']


def plot_coverage(tables):
    """Cumulative distributions of ranks minus the diagonal: zero for a calibrated posterior.

    Parameters
    ----------
    tables : dict
        Given properties -> table of `pidoc.evaluation.coverage.coverage_table`; one for each panel.

    Returns
    -------
    `~matplotlib.figure.Figure`
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.0 * len(tables), 4.2), layout='constrained')
    axes = figure.subplots(1, len(tables), squeeze=False, sharey=True)[0]
    for axis, (given, table) in zip(axes, tables.items(), strict=True):
        levels = np.linspace(0.0, 1.0, len(table['share'][0]))
        for row in table:
            joint = row['quantity'] == 'joint'
            axis.plot(levels, row['share'] - levels, lw=2.2 if joint else 0.9,
                      color='black' if joint else None, label=row['quantity'].replace('_', ' '))
        axis.axhline(0.0, color='0.7', lw=0.8, zorder=0)
        axis.set(xlabel='rank', title=given.replace('+', ', '), xlim=(0, 1))
    axes[0].set_ylabel('share of maps below it, less the rank')
    axes[-1].legend(frameon=False, fontsize=6, ncols=2)
    return figure
