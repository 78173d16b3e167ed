# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Make the figures of docs/mock.rst: half a minute, most of it the simulation.

    python tools/make_mock_figures.py
"""

from pathlib import Path

import matplotlib
import numpy as np
from astropy import units as u

matplotlib.use('agg')

from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.colors import LogNorm  # noqa: E402

from pidoc import ClusterModel  # noqa: E402
from pidoc.mock.observation import observe  # noqa: E402
from pidoc.photometry import (  # noqa: E402
    atmosphere,
    bolometric_correction,
    iron_abundance,  # noqa: E402
)
from pidoc.simulation import simulate  # noqa: E402
from pidoc.stellar import StellarEvolution  # noqa: E402

FOLDER = Path(__file__).parents[1] / 'docs' / 'images'
DISTANCES = (10, 25, 50, 100) * u.kpc
SEEINGS = (0.5, 1.0, 1.5) * u.arcsec


def mocks():
    """One snapshot at four distances: three seeings without smoothing, then both maps of the paper."""
    model = ClusterModel(n_stars=20000, name='N = 20,000, r_h = 3.2 pc', seed=1)
    (snapshot,) = simulate(model, ages=[1.0] * u.Gyr)
    rows = [(f'light, seeing {s.value:g}"', 'light', {'seeing': s, 'smoothing': 0}) for s in SEEINGS]
    rows += [('light, seeing 1", smoothed', 'light', {}), ('mass, smoothed', 'mass', {})]
    figure, axes = plt.subplots(len(rows), len(DISTANCES), figsize=(8.4, 9.4), layout='constrained')
    for row, (label, name, options) in zip(axes, rows, strict=True):
        for axis, distance in zip(row, DISTANCES, strict=True):
            image = getattr(observe(snapshot, distance=distance, **options), name)
            top = image.data.max()
            low = max(top / 3e3, image.data[image.data > 0].min())
            shown = axis.imshow(np.maximum(image.data, 0.1 * low), norm=LogNorm(low, top),
                                origin='lower', cmap='magma' if name == 'light' else 'viridis',
                                extent=(-20, 20, -20, 20))
            axis.set_xticks([])
            axis.set_yticks([])
            # an arrow where the map goes on below the bar
            bar = figure.colorbar(shown, ax=axis, fraction=0.046, pad=0.02,
                                  extend='min' if image.data.min() < low else 'neither')
            bar.ax.tick_params(labelsize=6, which='both')
            bar.ax.set_title(image.unit.to_string('latex_inline'), fontsize=6)
        row[0].set_ylabel(label, fontsize=9)
    for axis, distance in zip(axes[0], DISTANCES, strict=True):
        axis.set_title(f'{distance:g}', fontsize=10)
    figure.savefig(FOLDER / 'mock.png', dpi=75)
    plt.close(figure)


def corrections():
    """Reed's corrections and those of the model atmospheres along isochrones of 12 Gyr."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.6), layout='constrained')
    mass = np.concatenate([np.geomspace(0.1, 0.75, 200), np.linspace(0.75, 1.05, 6000)])
    sun = atmosphere(5772 * u.K, 4.438, 0.0)[0] - bolometric_correction(5772 * u.K)
    # metallicities differ in width, too, for those who see no colours
    for metallicity, colour, width in ((0.001, '#0072B2', 2.4), (0.02, '#D55E00', 1.0)):
        state = StellarEvolution(metallicity).state(mass, 12000.0)
        shines = state.kind < 5
        radius, kind = state.radius[shines], state.kind[shines]
        heat = 5772 * (state.luminosity[shines] / radius**2) ** 0.25
        gravity = 4.438 + np.log10(state.mass[shines] / radius**2)
        model = atmosphere(heat * u.K, gravity, iron_abundance(metallicity))[0] - sun
        reed = bolometric_correction(heat * u.K)
        for kinds, style, what in (((0, 1), '-', 'main sequence'), ((2, 3), '--', 'giant branch'),
                                   ((4,), ':', 'core helium burning')):
            here = np.isin(kind, kinds)
            label = f'Z = {metallicity:g}, {what}'
            left.plot(heat[here], model[here].value, style, color=colour, lw=width, label=label)
            right.plot(heat[here], (model - reed)[here].value, style, color=colour, lw=width)
    heat = np.geomspace(2800, 7500, 300)
    left.plot(heat, bolometric_correction(heat * u.K).value, color='0.5', ls=(0, (1, 4)), lw=1.6,
              label='Reed (1998)')
    left.set_ylabel('BC$_V$ [mag], the Sun at Reed\'s -0.18')
    right.set_ylabel('Kurucz (1992) - Reed (1998) [mag]')
    right.axhline(0, color='k', lw=0.8)
    right.axvline(3500, color='0.7', lw=0.8)
    left.axvline(3500, color='0.7', lw=0.8)
    for axis in (left, right):
        axis.set_xlim(7000, 2900)
        axis.set_xlabel('effective temperature [K]')
    left.set_ylim(-3.5, 0.2)
    right.set_ylim(-0.6, 0.9)
    left.legend(fontsize=6.5)
    figure.savefig(FOLDER / 'bolometric_corrections.png', dpi=100)
    plt.close(figure)


if __name__ == '__main__':
    corrections()
    mocks()
