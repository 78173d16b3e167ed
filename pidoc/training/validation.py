# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Calibration of intervals, and the training domain, from maps not used in training."""

import json

import numpy as np

from pidoc.inference.calibration import Calibration, given_names, subsets
from pidoc.inference.domain import Domain
from pidoc.inference.features import GIVEN
from pidoc.io.files import replacing
from pidoc.training.data import measured
from pidoc.training.likeness import features_of, learn_likeness
from pidoc.training_set.files import CHUNK
from pidoc.training_set.truths import truths

__all__ = ['calibrate']


def calibrate(estimator, data, *, seed=0):
    """Factors for the intervals, from maps not used in training, for each subset of given properties.

    Parameters
    ----------
    estimator : `~pidoc.inference.estimator.Estimator`
    data : object
        Object with ``light`` and ``mass`` in blocks, shapes (n, y, x, channels) and (n, y, x), and
        ``truths``, name -> shape (n,).
    seed : int, optional
        Seed of the errors of given properties, which are drawn as in training.

    Returns
    -------
    `~pidoc.inference.calibration.Calibration`
    """
    known = measured(np.random.default_rng(seed), data.truths, estimator.constraints)
    exact = [each.name for each in estimator.constraints if each.errors is None]
    chosen = [*subsets(estimator.constraints)]
    given = [{name: known[name] for name in (*exact, *each, *(f'{name}_error' for name in each))}
             for each in chosen]
    scores = _scores(estimator, data, given)
    return Calibration.fit(dict(zip([given_names(each) for each in chosen], scores, strict=True)))


def _scores(estimator, data, given):
    """Absolute normal scores of the truth, for each choice of what is given: quantity -> (n,)."""
    parts = []
    names = [each.name for each in estimator.outputs]
    for rows in data.pieces():
        parts.append(estimator.normal_scores(
            np.asarray(data.light[rows]), np.asarray(data.mass[rows]),
            {name: data.truths[name][rows] for name in names},
            known=[{name: values[rows] for name, values in each.items()} for each in given],
            batch_size=CHUNK))
    return [{name: np.abs(np.concatenate([part[k][name] for part in parts])) for name in parts[0][k]}
            for k in range(len(given))]


def learn_domain(maps, work, progress):
    """The training domain from the maps of both splits, as a dictionary; cached in ``work``."""
    path = work / 'domain.json'
    if not path.exists():
        training, validation = (_features(maps[split], progress) for split in ('train', 'validation'))
        likeness = learn_likeness(maps['train'], training, progress=progress)
        domain = Domain.fit(training, validation, likeness=likeness)
        with replacing(path) as new:
            new.write_text(json.dumps(domain.to_dict()), encoding='utf-8')
    return json.loads(path.read_text(encoding='utf-8'))


def _features(maps, progress):
    known = truths(maps.table)
    return features_of(maps, progress=progress) | {name: known[name] for name in GIVEN if name in known}
