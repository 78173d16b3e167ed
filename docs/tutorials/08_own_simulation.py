"""
Use your own simulation
=======================

From a table with named columns, written by any N-body code, to an image and a prediction.
"""
# %%
# Your simulation
# ---------------
#
# As an example: 1000 stars in a Plummer sphere, integrated directly with a leapfrog. There is no stellar
# evolution, and the masses are those of stars that are still on the main sequence or giants after 12 Gyr.

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
    """Softened acceleration of each star by all others; G = total mass = 1."""
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
# The output of such a code: columns with its own names, and no units.

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
# `Snapshot.read <pidoc.cluster.Snapshot.read>` needs the meaning of the columns, unless they have the names
# that pidoc uses, and units.

from astropy import units as u

from pidoc import Snapshot

options = {'columns': {'x': 'X', 'y': 'Y', 'z': 'Z', 'vx': 'VX', 'vy': 'VY', 'vz': 'VZ', 'mass': 'M'},
           'units': {'x': 'pc', 'y': 'pc', 'z': 'pc', 'vx': 'km/s', 'vy': 'km/s', 'vz': 'km/s',
                     'mass': 'solMass'},
           'age': 12 * u.Gyr, 'center': 'density'}
dark = Snapshot.read(path, **options)
print(dark)
print(f'{dark.total_mass:.0f}, half of it within {dark.half_mass_radius:.2f}')

# %%
# Add the light
# -------------
#
# There is none in this file. With a metallicity, every star gets the luminosity of a single star of its
# initial mass at that age; ``initial='mass'`` takes the masses of the file as initial masses, because nothing
# evolved.

snapshot = Snapshot.read(path, **options, metallicity=0.001, initial='mass')
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
# The packaged models were trained on clusters of 20,000 stars and more. One of a thousand looks like a sparse
# larger one, so the training domain does not exclude it, and the mass is too large. If you have enough
# simulations of your own, train on them: a recipe includes them as ``[[foreign]]`` (:doc:`06_train`,
# :doc:`/training_sets`).
#
# Files of NBODY6, NBODY6++, PeTar, CMC and AMUSE are recognised and need no options: :doc:`/foreign`.

folder.cleanup()
