# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""A small set of mock observations of Plummer models, and estimators whose errors are known."""

from types import SimpleNamespace

import numpy as np
from astropy import units as u
from astropy.table import QTable

from pidoc import ClusterModel, Snapshot
from pidoc.grid import MapGrid
from pidoc.inference.estimates import Estimates, Interval
from pidoc.mock.observation import observe
from pidoc.networks.variables import CONSTRAINTS

DISTANCES = (15.0, 30.0, 60.0, 80.0)


def plummer_snapshot(number=4000, *, scale=2.0, age=5.0, seed=0, mass=0.5, ratio=2.0):
    """A spherical snapshot of stars of equal mass and temperature; its light follows its mass."""
    rng = np.random.default_rng(seed)
    radius = scale / np.sqrt(rng.uniform(0.001, 0.999, number) ** (-2 / 3) - 1)
    still = np.zeros(number) * u.km / u.s
    stars = {'radius': radius * u.pc, 'v_r': still, 'v_t': still,
             'mass': np.full(number, mass) * u.Msun, 'luminosity': np.full(number, mass / ratio) * u.Lsun,
             'temperature': np.full(number, 5500.0) * u.K}
    return Snapshot(stars, age * u.Gyr, ClusterModel(n_stars=number, name='plummer'))


class StandIn:
    """What `TrainingSet` offers, from mocks in memory."""

    recipe = SimpleNamespace(models={}, parts=[SimpleNamespace(name=name, field=None)
                                               for name in ('train', 'validation', 'test')])

    def __init__(self, mocks, *, split='test', n_stars=4000):
        self._light = np.array([mock.light.data for mock in mocks], dtype=np.float32)
        self._mass = np.array([mock.mass.data for mock in mocks], dtype=np.float32)
        self.table = QTable({
            'split': [split] * len(mocks), 'part': [split] * len(mocks),
            'simulation': [mock.simulation for mock in mocks],
            'age': u.Quantity([mock.age for mock in mocks]),
            'distance': u.Quantity([mock.distance for mock in mocks]),
            'mass': self._mass.sum(axis=(1, 2), dtype=float) * u.Msun,
            'luminosity': u.Quantity([mock.luminosity for mock in mocks]),
            'shift_x': [mock.light.meta['SHIFTX'] for mock in mocks] * u.arcsec,
            'shift_y': [mock.light.meta['SHIFTY'] for mock in mocks] * u.arcsec,
            'n_stars': np.full(len(mocks), n_stars)})
        self.grid = MapGrid()
        self.asked = []

    def __len__(self):
        return len(self.table)

    @property
    def pixel_scales(self):
        return np.full(len(self), self.grid.scale)

    def __getitem__(self, rows):
        new = object.__new__(StandIn)
        new._light, new._mass, new.table = self._light[rows], self._mass[rows], self.table[rows]
        new.grid, new.asked = self.grid, []
        return new

    def split(self, name):
        return self[np.flatnonzero(self.table['split'] == name)]

    def light(self, rows):
        self.asked.append(np.size(rows))
        return self._light[rows]

    def mass(self, rows):
        return self._mass[rows]


def a_set(number=12, *, split='test', ages=(1.0, 5.0, 11.0), seed=0, n_stars=4000):
    """``number`` mocks, the four distances in turn."""
    snapshots = [plummer_snapshot(n_stars, age=age, seed=i, ratio=0.5 + 0.2 * age)
                 for i, age in enumerate(ages)]
    mocks = [observe(snapshots[(i // 4) % len(ages)], distance=DISTANCES[i % 4] * u.kpc, seed=seed + i,
                     direction='random', shift='random') for i in range(number)]
    return StandIn(mocks, split=split, n_stars=n_stars)


class Oracle:
    """Answers with the truth, changed by factors and terms that a test knows.

    Half of the width of its 68 % intervals is ``half``, in the logarithm but for the age; that of 95 % twice.
    """

    grid = MapGrid()
    constraints = CONSTRAINTS['distance'], CONSTRAINTS['age']

    def __init__(self, maps, *, factor=1.0, older=0.0, further=1.0, half=0.1):
        self.maps, self.factor, self.older, self.further, self.half = maps, factor, older, further, half
        self.calls = []

    def estimate(self, light, *, known=None, pixel_scale=None, batch_size=64):
        self.calls.append((len(light), known))
        # found by its light: the caller gives nothing else
        rows = [int(np.flatnonzero((self.maps._light[:, 80, 80] == image[80, 80])
                                   & (self.maps._light[:, 7, 9] == image[7, 9]))[0]) for image in light]
        table = self.maps.table[rows]
        mass, light = table['mass'].value * self.factor, table['luminosity'].value
        values = {'total_mass': mass, 'mass_to_light': mass / light,
                  'distance': table['distance'].value * self.further}
        ends = self.half * np.array([0, -1, 1, -2, 2])[:, np.newaxis]
        scalars = {name: Interval(*value * np.exp(ends)) for name, value in values.items()}
        scalars['age'] = Interval(*table['age'].value + self.older + ends)
        return Estimates(self.maps._mass[rows] * np.float32(self.factor),
                         np.full(self.maps._mass[rows].shape, self.half), scalars)
