# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Checks before a training starts, for all requirements until its end."""

import logging
import tempfile

import numpy as np

from pidoc.inference.calibration import check_scores as check_number_of_scores
from pidoc.inference.domain import check_numbers
from pidoc.inference.estimator import FAINTEST
from pidoc.inference.folder import check_characters
from pidoc.networks.variables import OUTPUTS
from pidoc.training_set.dataset import has_light
from pidoc.training_set.truths import truths

__all__ = ['SPLITS', 'check_data', 'check_maps', 'check_texts', 'check_writable', 'selected']

log = logging.getLogger(__name__)

SPLITS = ('train', 'validation')
_NEARLY_ALL = 0.9


def check_texts(**texts):
    """Reject texts that a model folder cannot store.

    Raises
    ------
    TypeError, ValueError
        If one is not a text, or has control characters.
    """
    for name, text in texts.items():
        if not isinstance(text, str):
            raise TypeError(f'{name} must be a text, received {text!r}')
    check_characters(texts)


def selected(training_set, settings):
    """The maps of both splits selected by the settings: split -> training set.

    Raises
    ------
    ValueError
        If a split has none of them.
    """
    maps = {}
    for split, selection in zip(SPLITS, (settings.train_maps, settings.validation_maps), strict=True):
        there = training_set.split(split)
        rows = selection.rows(there.table)
        rows = rows[_usable(there[rows])] if rows.size else rows
        if not rows.size:
            raise ValueError(f'{split}_maps must choose maps of the {split} split, received '
                             f'{selection}, which chooses none of its {len(there)}')
        maps[split] = there if rows.size == len(there) else there[rows]
    return maps


def _usable(maps):
    """Maps with light and all true values that nearly all maps have; others are excluded, with warnings."""
    return _with_known_truths(maps.table) & has_light(maps)


def _with_known_truths(table):
    known = {name: np.isfinite(values) for name, values in truths(table).items() if name in OUTPUTS}
    good = np.logical_and.reduce([each for each in known.values() if each.mean() >= _NEARLY_ALL])
    lacking = [name for name, each in known.items() if _NEARLY_ALL <= each.mean() < 1.0]
    if lacking:
        log.warning('%d of %d maps are left out: %s not known', np.count_nonzero(~good), good.size,
                    ', '.join(lacking))
    return good


def check_maps(maps, settings):
    """Reject a training with too few maps for a step, the calibration or the domain.

    Raises
    ------
    ValueError
        If a split has too few.
    """
    number = len(maps['train'])
    if number < settings.batch_size:
        raise ValueError(f'the training split must hold a batch of {settings.batch_size} maps, received '
                         f'{number}')
    check_numbers(number, len(maps['validation']))
    # each map has one score in each mode
    check_number_of_scores(len(maps['validation']), 'maps in the validation split')


def check_data(data, every):
    """Reject truths without a logarithm, and a validation split with too few scores for the calibration.

    Parameters
    ----------
    data : dict
        Split -> what the training reads of it, with ``truths``.
    every : int
        Step in rows and columns of the pixels used.

    Raises
    ------
    ValueError
        If a mass, a mass-to-light ratio, an age or a distance is not positive and finite, or pixels with mass
        are too few.
    """
    for split, each in data.items():
        bad = ~np.logical_and.reduce([np.isfinite(each.truths[name]) & (each.truths[name] > 0.0)
                                      for name in ('total_mass', 'mass_to_light', 'age', 'distance')])
        if bad.any():
            raise ValueError('mass, luminosity, age and distance must be positive and finite in all maps of '
                             f'the {split} split, received {np.count_nonzero(bad)} that are not')
    counted = sum(int(np.count_nonzero(data['validation'].mass[rows][:, ::every, ::every] > FAINTEST))
                  for rows in data['validation'].pieces())
    check_number_of_scores(counted, f'pixels above {FAINTEST:g} Msun in the validation split')


def check_writable(*folders):
    """Create folders, and check that they are writable.

    Raises
    ------
    OSError
        If one is not.
    """
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise OSError(f'{folder} must be a folder that can be written in, received: {error}') from error
