# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What is learned from maps that were not trained on: the calibration of intervals, the training domain."""

import json

import numpy as np
from astropy import units as u
from tqdm import tqdm

from pidoc.inference.calibration import Calibration, MODES, QUANTITIES
from pidoc.inference.domain import Domain
from pidoc.inference.features import features
from pidoc.io.files import replacing
from pidoc.networks.scaling import SCALARS
from pidoc.training.data import CHUNK

__all__ = ['calibrate']


def calibrate(estimator, data, *, distance_error=0.02, seed=0):
    """How much wider intervals must be than the networks say, from maps that were not trained on.

    Parameters
    ----------
    estimator : `~pidoc.inference.estimator.Estimator`
    data : object
        With ``light`` and ``mass`` in blocks, shape (n, y, x), and ``scalars``, shape (n, 4).
    distance_error : float, optional
        Relative error of the distances given, which are drawn with it.
    seed : int, optional

    Returns
    -------
    `~pidoc.inference.calibration.Calibration`
    """
    rng = np.random.default_rng(seed)
    true = np.exp(data.scalars[:, SCALARS.index('log_distance')])
    given = true * np.exp(distance_error * rng.normal(size=true.size))
    modes = dict(zip(MODES, ((None, None), (given, distance_error * given)), strict=True))
    misses = {mode: _misses(estimator, data, *told) for mode, told in modes.items()}
    return Calibration.fit(misses, (float(true.min()), float(true.max())))


def _misses(estimator, data, distance, error):
    parts = {name: [] for name in QUANTITIES}
    for k in range(0, len(data.scalars), CHUNK):
        rows = slice(k, k + CHUNK)
        told = {} if distance is None else {'distance': distance[rows], 'distance_error': error[rows]}
        found = estimator.misses(np.asarray(data.light[rows]), np.asarray(data.mass[rows]),
                                 data.scalars[rows], batch_size=CHUNK, **told)
        for name, each in found.items():
            parts[name].append(each)
    return {name: [np.concatenate(values) for values in zip(*each, strict=True)]
            for name, each in parts.items()}


def learn_domain(maps, work, progress):
    """The training domain from the maps of both splits, as a dictionary; kept in ``work``."""
    path = work / 'domain.json'
    if not path.exists():
        measured = [_features(maps[split], progress) for split in ('train', 'validation')]
        with replacing(path) as new:
            new.write_text(json.dumps(Domain.fit(*measured).to_dict()), encoding='utf-8')
    return json.loads(path.read_text(encoding='utf-8'))


def _features(maps, progress):
    parts = []
    with tqdm(total=len(maps), desc='domain', unit='map', disable=None if progress else True) as bar:
        for k in range(0, len(maps), CHUNK):
            table = maps.table[k:k + CHUNK]
            parts.append(features(maps.light(slice(k, k + CHUNK)), pixel_scale=maps.grid.scale,
                                  seeing=table['seeing'].to_value(u.arcsec),
                                  distance=table['distance'].to_value(u.kpc)))
            bar.update(len(table))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
