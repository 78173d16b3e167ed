# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Training sets in memory, and settings of small trainings."""

import numpy as np
from astropy import units as u
from astropy.table import QTable

from pidoc.grid import MapGrid
from pidoc.networks import losses, paper
from pidoc.training import fit
from pidoc.training.data import digest_of
from pidoc.training.settings import PaperSettings, Settings

SIDE = 32
SMALL = Settings(epochs=3, batch_size=16, widths=(4, 8), block=4, learning_rate=3e-3, channels=('light',))
PAPER = PaperSettings(epochs=(2, 2), batch_size=16, vgg='random')


class Recipe:
    digest = 'of the test'

    def to_dict(self):
        return {'name': 'test'}


class Maps:
    """A training set in memory: blobs whose mass is their luminosity times an M/L that the age sets."""

    recipe = Recipe()
    has_sharp = True

    def __init__(self, table, light, mass, zoom=None):
        self.table, self._light, self._mass = table, light, mass
        self.zoom = np.ones(len(table)) if zoom is None else zoom
        self.grid = MapGrid(shape=light.shape[1:])

    @classmethod
    def make(cls, number, seed, side=SIDE):
        rng = np.random.default_rng(seed)
        age, distance = rng.uniform(1.0, 13.0, number), np.exp(rng.uniform(np.log(8), np.log(100), number))
        y, x = np.indices((side, side)) - 0.5 * (side - 1)
        width = 60.0 / distance + 4.0
        shape = np.exp(-0.5 * (x**2 + y**2) / width[:, np.newaxis, np.newaxis] ** 2)
        shape /= shape.sum(axis=(1, 2), keepdims=True)
        luminosity = 5000.0 * np.exp(rng.normal(0.0, 0.3, number))
        mass = luminosity * 0.2 * age
        flux = luminosity / (4 * np.pi * distance**2)
        split = np.where(np.arange(number) < 0.7 * number, 'train', 'validation')
        table = QTable({'split': split, 'simulation': np.where(np.arange(number) % 2, 'odd', 'even'),
                        'age': age * u.Gyr, 'distance': distance * u.kpc,
                        'mass': mass * u.Msun, 'luminosity': luminosity * u.Lsun,
                        'seeing': rng.uniform(0.5, 1.5, number) * u.arcsec})
        return cls(table, flux[:, np.newaxis, np.newaxis] * shape, mass[:, np.newaxis, np.newaxis] * shape)

    def __len__(self):
        return len(self.table)

    def __getitem__(self, rows):
        return Maps(self.table[rows], self._light[rows], self._mass[rows], self.zoom[rows])

    def split(self, name):
        return self[np.flatnonzero(self.table['split'] == name)]

    def light(self, rows=slice(None)):
        return self._light[rows].astype(np.float32)

    def sharp(self, rows=slice(None)):
        return np.sqrt(self._light[rows] * self._light.max()).astype(np.float32)

    def mass(self, rows=slice(None)):
        return self._mass[rows].astype(np.float32)


def few_large():
    """Few maps, of the smallest side that both networks of the paper take; the calibration asks for 100."""
    maps = Maps.make(160, 2, side=96)
    maps.table['split'] = np.where(np.arange(160) < 48, 'train', 'validation')
    return maps


def slim_networks(patch):
    """Far fewer channels in the networks of the paper and in VGG16, by a `pytest.MonkeyPatch`."""
    patch.setattr(paper, '_ENCODER', (4, 4, 4, 4))
    patch.setattr(paper, '_KERNELS', ((10, 4), (10, 4), (5, 8), (5, 8)))
    patch.setattr(losses, '_VGG16', tuple((name, 4, counts) for name, _, counts in losses._VGG16))


def domains_once(patch):
    """Learn the domain of the same maps once: it is half of the work of a small training.

    It is then that of another training of the same kind of network.
    """
    learned, learn, measured, measure = {}, fit.learn_domain, {}, fit.measure

    def key(maps):
        return tuple((digest_of(each.table), each.grid.shape) for each in maps.values())

    def measure_once(maps, work, progress):
        if key(maps) not in measured:
            measured[key(maps)] = measure(maps, work, progress)
        return measured[key(maps)]

    def learn_once(maps, quantities, estimator, progress):
        kind = key(maps), estimator.kind, repr(estimator.config)
        if kind not in learned:
            learned[kind] = learn(maps, quantities, estimator, progress)
        return learned[kind]

    patch.setattr(fit, 'measure', measure_once)
    patch.setattr(fit, 'learn_domain', learn_once)
