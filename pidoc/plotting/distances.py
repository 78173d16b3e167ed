# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Predicted distances for each true distance."""

import numpy as np
from astropy import units as u
from matplotlib.figure import Figure

from pidoc.plotting.style import COLOURS, DASHES

__all__ = ['plot_distances']

def plot_distances(predicted, true, *, n_bins=60):
    """Distribution of the predicted distances for each true distance (Chardin & Bianchini 2021, Fig. 9).

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
        If the shapes differ, or there are more than eight different true distances (use `plot_comparison`
        then).
    """
    predicted, true = predicted.to_value(u.kpc), true.to_value(u.kpc)
    if predicted.shape != true.shape or predicted.ndim != 1 or not predicted.size:
        raise ValueError('predicted and true distances must be two lists of the same length, received the '
                         f'shapes {predicted.shape} and {true.shape}')
    different = np.unique(true)
    if different.size > len(COLOURS):
        raise ValueError(f'there must be at most 8 different true distances, received {different.size}')
    figure = Figure(figsize=(6.4, 4.2), layout='constrained')
    axis = figure.subplots()
    edges = np.linspace(0.0, 1.05 * max(predicted.max(), true.max()), n_bins + 1)
    for distance, colour, dashes in zip(different, COLOURS, DASHES, strict=False):
        density, _ = np.histogram(predicted[true == distance], edges, density=True)
        axis.stairs(density, edges, color=colour, ls=dashes, lw=1.6, label=f'{distance:g} kpc')
        axis.axvline(distance, color=colour, lw=1.0, ls=dashes)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_xlabel('predicted distance [kpc]')
    axis.set_ylabel('probability density [1/kpc]')
    axis.legend(frameon=False, title='true distance')
    return figure
