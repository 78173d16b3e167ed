"""
Make mock observations
======================

An image of a simulated cluster, as a telescope would take it, and the map of its mass.
"""
# %%
# Stars
# -----
#
# Any `~pidoc.cluster.Snapshot` can be used: from a file, from another code (:doc:`08_own_simulation`), or
# made here.

from astropy import units as u

from pidoc import ClusterModel
from pidoc.simulation import simulate

(snapshot,) = simulate(ClusterModel(name='example', n_stars=8000, seed=2), ages=[200] * u.Myr)
print(snapshot)

# %%
# An image
# --------
#
# `~pidoc.mock.observe` projects the stars on the sky and bins their light, convolved with a seeing of 1", and
# their mass, without seeing, into pixels of 0.25". Both are then smoothed with a Gaussian of 4 pixels. The
# light is the input of the network, the mass its target.

from pidoc.mock import observe

mock = observe(snapshot, distance=20 * u.kpc, seeing=1 * u.arcsec, keep_sharp=True, seed=1)
print(mock)
print(f'in the field: {mock.total_mass:.0f}, {mock.luminosity:.0f}, M/L {mock.mass_to_light:.3f}')

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

figure = Figure(figsize=(10, 3.4), layout='constrained')
shown = (('light, not smoothed', mock.sharp, 'magma'), ('light', mock.light, 'magma'),
         ('mass', mock.mass, 'viridis'))
for axis, (label, image, colours) in zip(figure.subplots(1, 3), shown, strict=True):
    top = image.data.max()
    drawn = axis.imshow(np.maximum(image.data, 1e-4 * top), origin='lower', extent=[-20, 20, -20, 20],
                        cmap=colours, norm=LogNorm(1e-4 * top, top))
    axis.set(title=label, xlabel='x [arcsec]', ylabel='y [arcsec]')
    figure.colorbar(drawn, ax=axis, label=f'{image.unit} per pixel')

# %%
# The few bright spots of the light are single stars. They do not stand out in the mass map: most mass is in
# stars too faint to be seen. Inferring it is the task of the network.
#
# The light is in apparent flux: solar luminosities over 4πd², with d in kiloparsecs (:doc:`/conventions`).
#
# Other distances
# ---------------
#
# Distance, seeing, viewing direction, and position in the field can be chosen. At twice the distance, the
# field holds more of the cluster, and its light is less grainy:

figure = Figure(figsize=(10, 3.2), layout='constrained')
for axis, distance in zip(figure.subplots(1, 4), (10, 20, 40, 80), strict=True):
    each = observe(snapshot, distance=distance * u.kpc, seeing=1.5 * u.arcsec, direction='random',
                   shift='random', seed=distance)
    top = each.light.data.max()
    axis.imshow(np.maximum(each.light.data, 1e-4 * top), origin='lower', cmap='magma',
                norm=LogNorm(1e-4 * top, top))
    axis.set(title=f'{distance} kpc\n{each.luminosity:.0f}', xticks=[], yticks=[])

# %%
# Observing conditions
# --------------------
#
# `~pidoc.mock.Conditions` adds a sky, photon noise, field stars, extinction, and bad pixels:

from pidoc.mock import Conditions

night = Conditions(sky=21.0 * u.mag / u.arcsec**2, zero_point=25 * u.mag, exposure=120 * u.s,
                   field_stars=20 / u.arcmin**2, extinction=0.2 * u.mag, bad_pixels=0.002)
noisy = observe(snapshot, distance=40 * u.kpc, conditions=night, keep_sharp=True, seed=3)
figure = Figure(figsize=(7, 3.4), layout='constrained')
shown = (('as observed', noisy.sharp), ('smoothed', noisy.light))
for axis, (label, image) in zip(figure.subplots(1, 2), shown, strict=True):
    low, high = np.nanpercentile(image.data, [5, 99.5])
    drawn = axis.imshow(image.data, origin='lower', cmap='magma', vmin=low, vmax=high)
    axis.set(title=label, xticks=[], yticks=[])
    figure.colorbar(drawn, ax=axis, label=f'{image.unit} per pixel')

# %%
# Save it
# -------
#
# The file holds both maps, and its header all settings: the same snapshot, options and seed
# give the same file again.

import tempfile
from pathlib import Path

from pidoc.mock import Mock

folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / 'mock.fits'
mock.write(path)
print(Mock.read(path))

# %%
# .. code-block:: console
#
#    $ pidoc-mock mw15/snapshots/*.fits --distance 10 25 50 --seeing 0.5 1.5 --random -o mocks
#
# :doc:`/mock` describes how light is computed, and how accurate the images are. Thousands of mocks make a
# training set: :doc:`06_train`.

folder.cleanup()
