# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Calibration of intervals, and the training domain, from maps not used in training."""

import numpy as np

from pidoc.inference.calibration import Calibration, given_names, subsets
from pidoc.inference.domain import Domain
from pidoc.inference.features import GIVEN
from pidoc.io.files import replacing
from pidoc.training.data import measured
from pidoc.training.likeness import encodings_of, features_of, learn_likeness
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
    scores, masses = _scores(estimator, data, given)
    names = [given_names(each) for each in chosen]
    return Calibration.fit(dict(zip(names, scores, strict=True)), dict(zip(names, masses, strict=False)))


def _scores(estimator, data, given):
    """For each choice of what is given, absolute normal scores of the truth, quantity -> (n,), and masses."""
    parts, masses = [], []
    names = [each.name for each in estimator.outputs]
    for rows in data.pieces():
        some, mass = estimator.normal_scores(
            np.asarray(data.light[rows]), np.asarray(data.mass[rows]),
            {name: data.truths[name][rows] for name in names},
            known=[{name: values[rows] for name, values in each.items()} for each in given],
            batch_size=CHUNK)
        parts.append(some)
        masses.append(mass)
    return ([{name: np.abs(np.concatenate([part[k][name] for part in parts])) for name in parts[0][k]}
             for k in range(len(given))], [np.concatenate(each) for each in zip(*masses, strict=True)])


def measure(maps, work, progress):
    """Quantities of the maps of both splits, which define the training domain; cached in ``work``.

    Parameters
    ----------
    maps : dict
        'train' and 'validation' -> `~pidoc.training_set.dataset.TrainingSet`.
    work : path
    progress : bool

    Returns
    -------
    dict
        'train' and 'validation' -> quantity -> values.

    Raises
    ------
    ValueError
        If there are too few maps, or a quantity is finite only in some maps.
    """
    found = {split: _measured(each, work / f'quantities-{split}.npz', progress)
             for split, each in maps.items()}
    # without a network, only to refuse maps that do not define a domain
    Domain.fit(found['train'], found['validation'])
    return found


def _measured(maps, path, progress):
    if not path.exists():
        known = truths(maps.table)
        found = features_of(maps, progress=progress) | {name: known[name] for name in GIVEN if name in known}
        with replacing(path) as new, open(new, 'wb') as file:
            np.savez(file, **found)
    with np.load(path) as found:
        return dict(found)


def learn_domain(maps, quantities, estimator, progress):
    """The training domain of trained networks.

    Parameters
    ----------
    maps : dict
        'train' and 'validation' -> `~pidoc.training_set.dataset.TrainingSet`.
    quantities : dict
        The result of `measure`.
    estimator : `~pidoc.inference.estimator.Estimator`
    progress : bool

    Returns
    -------
    dict
        As of `~pidoc.inference.domain.Domain.to_dict`.
    """
    training, validation = (_of_use(quantities[split], estimator) for split in ('train', 'validation'))
    likeness = learn_likeness(maps['train'], training, estimator, progress=progress)
    encoding = encodings_of(maps['validation'], estimator, progress=progress)
    return Domain.fit(training, validation | {'encoding': encoding}, likeness=likeness).to_dict()


def _of_use(quantities, estimator):
    """Quantities without those that the networks do not see, and cannot be given."""
    unseen = set(GIVEN) - {each.name for each in estimator.constraints}
    if all(channel.smoothed for channel in estimator.grid.channels):
        unseen.add('sharp_scatter')
    return {name: np.full(len(values), np.nan) if name in unseen else values
            for name, values in quantities.items()}
