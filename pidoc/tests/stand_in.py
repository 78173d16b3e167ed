# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""A stand-in for `pidoc.inference.estimator.Estimator` without networks: formulae that tests can work out."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from pidoc.grid import Channel, MapGrid
from pidoc.inference.estimates import Estimates
from pidoc.inference.folder import ModelFolderError, write_card
from pidoc.inference.posterior import Posterior
from pidoc.networks.variables import CONSTRAINTS, OUTPUTS

RATIO, AGE, DISTANCE = 2.0, 9.0, 25.0     # M/L [Msun/Lsun], Gyr, kpc
TOGETHER = 0.8                            # correlation of ln M and ln d


class StandIn:
    """M/L of 2 everywhere, 9 Gyr, 25 kpc or what is given; errors that differ from each other.

    It can be conditioned on everything, and looks at the distance alone; an age that is given is in tension
    with its own, of 9 +- 1 Gyr.
    """

    grid = MapGrid()
    outputs = (OUTPUTS['total_mass'], OUTPUTS['mass_to_light'], replace(OUTPUTS['age'], scale='linear'),
               OUTPUTS['distance'])
    constraints = tuple(CONSTRAINTS.values())

    def __init__(self):
        self.batches, self.known = [], []

    def estimate(self, light, *, known=None, pixel_scale=None, batch_size=64):
        assert light.shape[1:] == (*self.grid.shape, len(self.grid.channels)) and np.isfinite(light).all()
        light = light[..., 0]
        self.batches.append(len(light))
        self.known.append(known)
        nothing = np.full(len(light), np.nan)
        distance, distance_error, age, age_error = (
            (known or {}).get(name, nothing) for name in ('distance', 'distance_error', 'age', 'age_error'))
        away = np.where(np.isfinite(distance), distance, DISTANCE)
        error = CONSTRAINTS['distance'].scale_error(distance, distance_error)
        error = np.where(np.isnan(distance), 0.2, error)
        mass = (RATIO * 4 * np.pi * away[:, None, None] ** 2 * np.maximum(light, 0)).astype(np.float32)
        posterior = self._posterior(np.log(mass.sum((1, 2), dtype=float)), np.log(away), error)
        tension = (age - AGE) / np.hypot(1.0, CONSTRAINTS['age'].scale_error(age, age_error))
        return Estimates(mass, np.full(light.shape, 0.3, dtype=np.float32), posterior.intervals(), posterior,
                         {'age': tension, 'distance': nothing})

    def _posterior(self, log_mass, log_distance, error):
        """Normal in ln M, ln M/L, age and ln d; intervals of 95 % 2.5, 2.4, 2.5 and 2 times as wide."""
        ones = np.ones_like(log_mass)
        factors = np.zeros((len(ones), 1, 4, 4))
        factors[:, 0, range(3), range(3)] = 0.1, 0.05, 1.0
        factors[:, 0, 3, 0] = TOGETHER * error
        factors[:, 0, 3, 3] = np.sqrt(1 - TOGETHER**2) * error
        means = np.stack([log_mass, np.log(RATIO) * ones, AGE * ones, log_distance], axis=1)
        posterior = Posterior.of(self.outputs, ones[:, None], means[:, None], factors)
        return posterior.stretched(np.tile([[1.0, 2.5], [1.0, 2.4], [1.0, 2.5], [1.0, 2.0]],
                                           (len(ones), 1, 1)))

    def save(self, folder, about):
        """A model folder, its weights the letters 'formulae'."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'network-0.weights.h5').write_bytes(b'formulae')
        sums = {'network-0.weights.h5': hashlib.sha256(b'formulae').hexdigest()}
        card = {'format': 2, 'about': about, 'turns': 1, 'config': {}, 'scaling': {}, 'calibration': {},
                'grid': self.grid.to_dict(), 'posterior': {}}
        write_card(folder, card | {'sha256': sums})

    @classmethod
    def load(cls, folder):
        card = json.loads((Path(folder) / 'model.json').read_text())
        for name, digest in card['sha256'].items():
            if hashlib.sha256((Path(folder) / name).read_bytes()).hexdigest() != digest:
                raise ModelFolderError(f'{name} is damaged: its SHA-256 is not that in model.json')
        return cls()


class SharpStandIn(StandIn):
    """One that sees the light before the smoothing, too."""

    grid = MapGrid(channels=(Channel(), Channel(smoothed=False)))

    def estimate(self, light, **options):
        self.sharp = light[..., 1]
        return super().estimate(light, **options)
