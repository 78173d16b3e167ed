# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Figures of the paper's clusters: Figs. 10, 11 and 12 of Chardin & Bianchini (2021), from a report."""

import numpy as np
from astropy import units as u

__all__ = ['plot_light', 'plot_literature', 'plot_predictions']

_MOST = 4000               # training maps that are drawn
_BLUE, _RED = '#0072B2', '#D55E00'


def plot_light(report, *, seed=0):
    """V luminosity in the field against age: training maps and clusters (Fig. 10).

    Clusters out of range have open symbols.

    Parameters
    ----------
    report : `~pidoc.evaluation.real_clusters.ClusterReport`
    seed : int, optional
        Seed of the selection of training maps, if there are more than 4000.

    Returns
    -------
    `~matplotlib.figure.Figure`
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.6), layout='constrained')
    axis = figure.subplots()
    if report.training is not None:
        rows = np.random.default_rng(seed).permutation(len(report.training))[:_MOST]
        shown = report.training[rows]
        points = axis.scatter(shown['age'].to_value(u.Gyr), shown['luminosity'].to_value(u.Lsun), s=2,
                              c=shown['distance'].to_value(u.kpc), cmap='viridis', norm=LogNorm(),
                              rasterized=True)
        figure.colorbar(points, label='distance of the training map [kpc]')
    else:
        low, high = report.table['range_low'][0].value, report.table['range_high'][0].value
        axis.fill_between([11, 14], low, high, color='grey', alpha=0.3, lw=0,
                          label="the paper's training above 11 Gyr")
    age, light = report.table['literature_age'].to_value(u.Gyr), report.table['luminosity'].to_value(u.Lsun)
    inside = np.asarray(report.table['in_range'])
    axis.scatter(age[inside], light[inside], color='black', s=30, zorder=3, label='cluster, in range')
    axis.scatter(age[~inside], light[~inside], facecolors='white', edgecolors='black', s=30, zorder=3,
                 label='cluster, out of range')
    axis.set_yscale('log')
    axis.set_xlim(0, 14.5)
    axis.set_xlabel('age [Gyr]')
    axis.set_ylabel(r'V luminosity in the field [L$_\odot$]')
    axis.legend(fontsize='small')
    _title(figure, report)
    return figure


def plot_literature(report, mode):
    """Predicted M/L, age and distance against the literature, and their residuals (Fig. 11).

    Properties that are given in the mode have no panel.

    Red: the five clusters in the paper's range; open: flagged as outside the training domain; bars: 68 %
    intervals; crosses: the paper's predictions.

    Parameters
    ----------
    report : `~pidoc.evaluation.real_clusters.ClusterReport`
    mode : str
        One of ``report.modes``.

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    ValueError
        If there is no such mode.
    """
    from matplotlib.figure import Figure

    if mode not in report.predictions:
        raise ValueError(f'mode must be one of {", ".join(report.modes)}, received {mode!r}')
    table = report.table
    panels = [('mass_to_light', 'literature_mass_to_light', 'paper_mass_to_light', u.Msun / u.Lsun, 'M/L'),
              ('age', 'literature_age', 'paper_age', u.Gyr, 'age'),
              ('distance', 'distance', 'paper_distance', u.kpc, 'distance')]
    panels = [panel for panel in panels if panel[0] not in report.given(mode)]
    figure = Figure(figsize=(3.4 * len(panels), 6.0), layout='constrained')
    axes = figure.subplots(2, len(panels), height_ratios=(3, 2), squeeze=False)
    light = table['luminosity'].to_value(u.Lsun)
    inside = np.asarray(table[f'in_domain.{mode}'])
    paper_five = np.asarray(table['in_paper_range'])
    for column, (name, known, theirs, unit, label) in zip(axes.T, panels, strict=True):
        true, value = table[known].to_value(unit), table[f'{name}.{mode}'].to_value(unit)
        ends = [np.maximum(np.abs(table[f'{name}_{end}_68.{mode}'].to_value(unit) - value), 0.0)
                for end in ('low', 'high')]
        old = table[theirs].to_value(unit)
        for axis, x, y, spread, other in (
                (column[0], true, value, ends, old),
                (column[1], light, true - value, ends[::-1], true - old)):
            axis.scatter(x, other, marker='x', color='grey', s=18, lw=0.8)
            for chosen, colour in ((paper_five, _RED), (~paper_five, _BLUE)):
                axis.errorbar(x[chosen], y[chosen], [each[chosen] for each in spread], fmt='none',
                              ecolor=colour, lw=0.8)
                for here, fill in ((chosen & inside, colour), (chosen & ~inside, 'white')):
                    axis.scatter(x[here], y[here], s=26, facecolors=fill, edgecolors=colour, zorder=3)
        ends = [min(true.min(), value.min(), old.min()), max(true.max(), value.max(), old.max())]
        column[0].plot(ends, ends, color='grey', ls='--', lw=1)
        column[1].axhline(0.0, color='grey', ls='--', lw=1)
        column[1].set_xscale('log')
        column[0].set_xlabel(f'{label}, literature [{unit.to_string("unicode")}]')
        column[0].set_ylabel(f'{label}, predicted')
        column[1].set_xlabel(r'V luminosity in the field [L$_\odot$]')
        column[1].set_ylabel('literature - predicted')
    _title(figure, report)
    return figure


def plot_predictions(report, mode, *, number=4):
    """Light and predicted mass of the least luminous clusters in the field (Fig. 12).

    Parameters
    ----------
    report : `~pidoc.evaluation.real_clusters.ClusterReport`
    mode : str
        One of ``report.modes``.
    number : int, optional
        Number of clusters.

    Returns
    -------
    `~matplotlib.figure.Figure`
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    table = report.table
    rows = np.argsort(table['paper_luminosity'].value)[:number]
    figure = Figure(figsize=(2.4 * len(rows) + 0.8, 5.4), layout='constrained')
    axes = figure.subplots(2, len(rows), squeeze=False, sharex=True, sharey=True)
    for column, row in zip(axes.T, rows, strict=True):
        said, known = report.predictions[mode][row], table[row]
        for axis, image, colours in ((column[0], said.light.data, 'cividis'),
                                     (column[1], said.mass.data, 'viridis')):
            top = float(np.nanmax(image))
            half = 0.5 * image.shape[0] * said.pixel_scale.to_value(u.arcsec)
            axis.imshow(np.maximum(image, 10**-2.5 * top), origin='lower', cmap=colours,
                        norm=LogNorm(10**-2.5 * top, top), extent=(-half, half, -half, half))
        column[0].set_title(f'{known["name"]}\n{known["literature_age"].value:g} Gyr, '
                            f'{known["distance"].value:g} kpc', fontsize='small')
        column[1].set_title(f'log M = {np.log10(said.total_mass.value):.2f}, '
                            f'M/L = {said.mass_to_light.value:.2f}\n{said.age.value:.1f} Gyr, '
                            f'{said.distance.value:.1f} kpc'
                            f'{"" if said.in_domain else ", OUTSIDE"}', fontsize='small')
        column[1].set_xlabel('x [arcsec]')
    axes[0, 0].set_ylabel('light\ny [arcsec]')
    axes[1, 0].set_ylabel('predicted mass\ny [arcsec]')
    _title(figure, report)
    return figure


def _title(figure, report):
    if report.synthetic:
        figure.suptitle('SYNTHETIC images', color=_RED, fontsize='medium')
