# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Predicted and true profiles."""

import numpy as np
from astropy import units as u
from matplotlib.figure import Figure

from pidoc.plotting.style import BLACK, COLOURS, DASHED, DOTTED, MARKERS, set_log_y

__all__ = ['plot_profiles']

def plot_profiles(true_mass, predicted_mass, true_ratio, predicted_ratio, *, labels=None):
    """Profiles of mass and M/L, true and predicted, and their ratio (Chardin & Bianchini 2021, Fig. 7).

    Parameters
    ----------
    true_mass, predicted_mass : sequence of `~astropy.table.QTable`
        From `pidoc.prediction.profiles.mass_profile`, one per cluster.
    true_ratio, predicted_ratio : sequence of `~astropy.table.QTable`
        From `pidoc.prediction.profiles.mass_to_light_profile`.
    labels : sequence of str, optional
        Labels of the clusters.

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
    if not 1 <= number <= len(COLOURS) or others != {number}:
        raise ValueError('profiles must be of the same 1 to 8 clusters, received '
                         f'{number}, {len(predicted_mass)}, {len(true_ratio)} and {len(predicted_ratio)}')
    figure = Figure(figsize=(9.6, 5.8), layout='constrained')
    axes = figure.subplots(2, 2, sharex=True, height_ratios=(3, 1))
    for column, name, unit, pairs in (
            (axes[:, 0], 'mass', u.Msun, zip(true_mass, predicted_mass, strict=True)),
            (axes[:, 1], 'mass_to_light', u.Msun / u.Lsun, zip(true_ratio, predicted_ratio, strict=True))):
        for i, ((true, predicted), label) in enumerate(zip(pairs, labels, strict=True)):
            # the marker identifies the cluster without colours; at different separations for each
            style = {'color': COLOURS[i], 'marker': MARKERS[i], 'ms': 4, 'markevery': (i, number)}
            place = true['separation'].to_value(u.arcsec)
            t, p = (each[name].to_value(unit) for each in (true, predicted))
            column[0].plot(place, t, label=label, **style)
            column[0].plot(place, p, ls=DASHED, mfc='none', **style)
            share = np.divide(p, t, out=np.full(t.shape, np.nan), where=t > 0.0)
            column[1].plot(place, share, **style)
        set_log_y(column[0])
        column[1].axhline(1.0, color=BLACK, lw=0.8, ls=DOTTED)
        column[1].set_ylabel('predicted / true')
        column[1].set_xlabel('separation [arcsec]')
    axes[0, 0].set_ylabel(r'mass per pixel [M$_\odot$]')
    axes[0, 1].set_ylabel(r'$M/L_V$ [M$_\odot$/L$_\odot$]')
    axes[0, 0].plot([], [], color=BLACK, label='true')
    axes[0, 0].plot([], [], color=BLACK, ls=DASHED, label='predicted')
    axes[0, 0].legend(frameon=False, fontsize='small')
    return figure
