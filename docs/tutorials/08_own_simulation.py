"""
Use your own simulation
=======================

A table with named columns, from any N-body code, becomes an image and a prediction.
"""
# %%
# Your simulation
# ---------------
#
# In place of yours: 1000 stars, born as a Plummer sphere, each of which pulls all the others, by the simplest
# of all integrators. Nothing evolves in it, and the masses are those of stars that still burn after 12 Gyr.

import numpy as np

from pidoc.simulation.initial import kroupa_masses, plummer
from pidoc.units import HenonUnits

rng = np.random.default_rng(1)
number = 1000
mass = kroupa_masses(number, rng, lower=0.1, upper=0.85)


def isotropic(length):
    """Vectors of these lengths in random directions."""
    vectors = rng.normal(size=(length.size, 3))
    return vectors * (length / np.linalg.norm(vectors, axis=1))[:, np.newaxis]


def acceleration(place):
    """Of each star by all others; G = total mass = 1, softened a little."""
    apart = place[np.newaxis] - place[:, np.newaxis]
    square = (apart**2).sum(axis=-1) + 0.01**2
    return np.einsum('ijk,ij->ik', apart, (mass / mass.sum()) * square**-1.5)


radius, v_r, v_t = plummer(number, rng)
place, velocity = isotropic(radius), isotropic(np.hypot(v_r, v_t))
step = 0.02
pull = acceleration(place)
for _ in range(80):
    velocity += 0.5 * step * pull
    place += step * velocity
    pull = acceleration(place)
    velocity += 0.5 * step * pull

# %%
# Written as such a code writes: columns with names of its own, and no units.

import tempfile
from pathlib import Path

from astropy.table import Table

folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / 'stars.csv'
scale = HenonUnits(mass=mass.sum(), length=1.2)
columns = [*(place * scale.length).T, *(velocity * scale.velocity).T, mass]
Table(columns, names=['X', 'Y', 'Z', 'VX', 'VY', 'VZ', 'M']).write(path)
print(*path.read_text().splitlines()[:3], sep='\n')

# %%
# Read it
# -------
#
# `Snapshot.read <pidoc.cluster.Snapshot.read>` needs to know which column is which. A column that is named as
# pidoc names it and has a unit needs no word.

from astropy import units as u

from pidoc import Snapshot

told = {'columns': {'x': 'X', 'y': 'Y', 'z': 'Z', 'vx': 'VX', 'vy': 'VY', 'vz': 'VZ', 'mass': 'M'},
        'units': {'x': 'pc', 'y': 'pc', 'z': 'pc', 'vx': 'km/s', 'vy': 'km/s', 'vz': 'km/s',
                  'mass': 'solMass'},
        'age': 12 * u.Gyr, 'center': 'density'}
dark = Snapshot.read(path, **told)
print(dark)
print(f'{dark.total_mass:.0f}, half of it within {dark.half_mass_radius:.2f}')

# %%
# Let there be light
# ------------------
#
# There is none in this file. With a metallicity, every star shines as a single star of its initial mass does
# at that age; ``initial='mass'`` says that initial masses are those of the file, because nothing evolved.

snapshot = Snapshot.read(path, **told, metallicity=0.001, initial='mass')
print(f'{snapshot.v_luminosity:.0f}, M/L {snapshot.mass_to_light:.2f}')
for kind, name in ((0, 'below 0.7 solMass'), (1, 'main sequence'), (3, 'red giants'), (11, 'white dwarfs')):
    print(f'{name:18}', np.count_nonzero(snapshot.stars['kind'] == kind))

# %%
# Observe and predict
# -------------------

from pidoc import MassMapper
from pidoc.mock import observe

mock = observe(snapshot, distance=10 * u.kpc, seeing=1 * u.arcsec)
prediction = MassMapper.from_pretrained().predict(mock, distance=10 * u.kpc)
print(prediction.summary())
print(f'\ntruth: mass {mock.total_mass:.0f}, M/L {mock.mass_to_light:.2f}, age {mock.age:.0f}')
figure = prediction.plot()

# %%
# The line *domain* tells whether such a cluster, of so few stars, is among what the network knows; the
# packaged ones have learned from far larger ones. If you have enough simulations of your own kind, train on
# them: a recipe takes them as ``[[foreign]]`` (:doc:`06_train`, :doc:`/training_sets`).
#
# Files of NBODY6, NBODY6++, PeTar, CMC and AMUSE are read without being told anything: :doc:`/foreign`.

folder.cleanup()
