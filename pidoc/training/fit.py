# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Training: from a training set to a model folder, `train`.

`Settings` train our network, `PaperSettings` those of Chardin & Bianchini (2021); one loop serves both.

Everything that is random follows from the seed, the member, the epoch and the batch, so that a training that
was stopped goes on from its last epoch to the same result.
"""

from pathlib import Path

import numpy as np

from pidoc import __version__
from pidoc.networks.variables import OUTPUTS
from pidoc.training.checks import check_maps, check_scores, check_texts, check_writable, selected
from pidoc.training.data import digest_of
from pidoc.training.device import device_of
from pidoc.training.loop import train_network
from pidoc.training.model_card import write_model_card
from pidoc.training.ours import Ours
from pidoc.training.papers import Papers
from pidoc.training.settings import PaperSettings, Settings
from pidoc.training.state import check_same, State
from pidoc.training.validation import calibrate, learn_domain
from pidoc.training_set.truths import truths

__all__ = ['calibrate', 'prior_of', 'train']

_LEVELS = (0.025, 0.5, 0.975)
_PROTOCOLS = {Settings: Ours, PaperSettings: Papers}


def prior_of(table):
    """What the draws of a training set imply where nothing is known: quantiles of what may matter.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Of the training part.

    Returns
    -------
    dict
        Quantity -> its 2.5 %, 50 % and 97.5 % quantiles, as plain numbers in the units of
        `pidoc.networks.variables`; and ``n_stars``, at birth.
    """
    values = {name: each for name, each in truths(table).items() if name in OUTPUTS}
    if 'n_stars' in table.colnames:
        values['n_stars'] = np.asarray(table['n_stars'], dtype=float)
    return {name: [float(f'{each:.4g}') for each in np.nanquantile(numbers, _LEVELS)]
            for name, numbers in values.items()}


def train(training_set, folder, *, settings=None, name='', description='', progress=True):
    """Train on a training set and write a model folder.

    Started again after it was stopped, it goes on from the last epoch, to the same result. In a folder that
    is finished it goes on if there are more epochs or more patience in the settings, or more members, and
    writes the model anew. The learning rate is then that which a training of so many epochs has at this
    point: it rises again, the more so the more epochs are added.

    What the end needs is checked before the first step: enough maps, numbers that are finite, a folder that
    can be written in, networks that fit the maps.

    Parameters
    ----------
    training_set : `~pidoc.training_set.TrainingSet`
        With the splits train and validation.
    folder : path-like
        Of the model; what is needed to go on is below ``work`` in it, and may be removed in the end.
    settings : `Settings` or `PaperSettings`, optional
    name, description : str, optional
        For the model card.
    progress : bool, optional
        Whether to show progress bars, if there is a terminal.

    Returns
    -------
    `~pidoc.inference.estimator.Estimator`
        Calibrated on the validation split, with the training domain.

    Raises
    ------
    TrainingError
        If the folder is of another training, or of one of more epochs.
    ConnectionError, OSError, TypeError, ValueError
        If a split has too few maps, the folder cannot be written in, or the weights of the perceptual loss
        cannot be had: `~pidoc.networks.losses.PerceptualLoss`.
    """
    settings = (settings or Settings()).completed(training_set)
    check_texts(name=name, description=description)
    maps = selected(training_set, settings)
    check_maps(maps, settings)
    protocol = _PROTOCOLS[type(settings)](settings)
    folder = Path(folder)
    work = folder / 'work'
    check_writable(folder, work)
    check_same(work, {'recipe': training_set.recipe.digest, 'settings': protocol.stated,
                      'maps': {split: digest_of(each.table) for split, each in maps.items()}})
    data = {split: protocol.read(each, split, work, progress) for split, each in maps.items()}
    check_scores(data['validation'], protocol.every)
    # learned before the networks: a map in which a quantity has no value should not be found out after hours
    domain = learn_domain(maps, work, progress)
    courses = protocol.courses(data)
    for course in courses:
        course.build()
        State(work, course).check()
    with device_of(settings.precision) as device:
        found = [train_network(course, device, work, progress) for course in courses]
    histories, plans = zip(*found, strict=True)
    estimator = protocol.estimator([course.with_best_weights(work) for course in courses])
    estimator = estimator.replace(grid=settings.grid(training_set.grid))
    estimator = estimator.replace(calibration=calibrate(estimator, data['validation']))
    about = {'name': name, 'description': description, 'version': __version__, 'history': list(histories),
             'settings': protocol.stated, 'recipe': training_set.recipe.to_dict(),
             'prior': prior_of(maps['train'].table), 'n_train': len(data['train']),
             'n_validation': len(data['validation']), 'domain': domain}
    if max(map(len, plans)) > 1:
        about['plans'] = list(plans)
    estimator = estimator.replace(about=about)
    estimator.save(folder, overwrite=True)
    write_model_card(folder)
    return estimator
