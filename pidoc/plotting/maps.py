# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Predicted and true maps."""

import numpy as np
from astropy import units as u
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from pidoc.grid import MapGrid
from pidoc.plotting.style import DECADES

__all__ = ['plot_maps']

def plot_maps(light, true_mass, predicted_mass, *, true_age=None, predicted_age=None, true_distance=None,
              predicted_distance=None, pixel_scale=MapGrid.pixel_scale):
    """Light, true and predicted mass of some clusters (Chardin & Bianchini 2021, Fig. 4).

    Both rows of masses have the same scale. The brightness of the colours is sufficient to read it.

    Parameters
    ----------
    light, true_mass, predicted_mass : `~astropy.units.Quantity`, shape (n, ny, nx)
    true_age, predicted_age, true_distance, predicted_distance : `~astropy.units.Quantity`, optional
        Shape (n,); printed on the masses.
    pixel_scale : `~astropy.units.Quantity`, optional
        Of all maps, or shape (n,).

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    ValueError
        If the maps differ in shape, there are none, or one of them has no positive pixel.
    """
    maps = [np.asarray(each.to_value(each.unit), dtype=float) for each in (light, true_mass, predicted_mass)]
    if maps[0].ndim != 3 or not len(maps[0]) or len({each.shape for each in maps}) > 1:
        raise ValueError('maps must be three arrays of the same shape (n, ny, nx), received '
                         f'{", ".join(str(each.shape) for each in maps)}')
    maps[2] *= predicted_mass.unit.to(true_mass.unit)
    number, ny, nx = maps[0].shape
    figure = Figure(figsize=(2.3 * number + 1.6, 6.6), layout='compressed')
    scales = np.broadcast_to(pixel_scale.to_value(u.arcsec), number)
    one = np.ptp(scales) == 0.0
    axes = figure.subplots(3, number, sharex=True if one else 'col', sharey=one, squeeze=False)
    sides = 0.5 * np.array([-nx, nx, -ny, ny])
    mass_norm = _map_norm(maps[1])
    for row, norm, colours in ((0, _map_norm(maps[0]), 'cividis'), (1, mass_norm, 'viridis'),
                               (2, mass_norm, 'viridis')):
        for axis, values, scale in zip(axes[row], maps[row], scales, strict=True):
            image = axis.imshow(np.maximum(values, norm.vmin), origin='lower', extent=scale * sides,
                                norm=norm, cmap=colours, interpolation='nearest')
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
    return LogNorm(max(top * 10.0**-DECADES, values[values > 0.0].min()), top)


def _what(age, distance, i):
    lines = [] if age is None else [f'{age[i].to_value(u.Gyr):.2f} Gyr']
    return '\n'.join(lines + ([] if distance is None else [f'{distance[i].to_value(u.kpc):.1f} kpc']))
