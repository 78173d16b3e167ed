# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Training: from a training set to a model folder, `train`.

`Settings` train our network, `PaperSettings` those of Chardin & Bianchini (2021), with the same loop.

All random numbers depend only on the seed, the member, the epoch and the batch, so that an interrupted
training is resumed from its last epoch with the same result.
"""

from pathlib import Path

import numpy as np

from pidoc import __version__
from pidoc.networks.variables import OUTPUTS
from pidoc.training.checks import check_data, check_maps, check_texts, check_writable, selected
from pidoc.training.data import digest_of
from pidoc.training.device import device_of
from pidoc.training.loop import train_network
from pidoc.training.model_card import write_model_card
from pidoc.training.ours import Ours
from pidoc.training.papers import Papers
from pidoc.training.settings import PaperSettings, Settings
from pidoc.training.state import check_same, State
from pidoc.training.validation import calibrate, learn_domain, measure
from pidoc.training_set.truths import truths

__all__ = ['calibrate', 'prior_of', 'train']

_LEVELS = (0.025, 0.5, 0.975)
_PROTOCOLS = {Settings: Ours, PaperSettings: Papers}


def prior_of(table):
    """Prior defined by a training set: quantiles of important quantities.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table of the training split.

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

    An interrupted training is resumed from the last epoch, with the same result. A finished one is continued
    if the settings have more epochs, more patience or more members, and the model is written again. The
    learning rate is then that of a training with the new number of epochs at this point: it increases again,
    the more epochs are added.

    All requirements are checked before the first step: enough maps, finite numbers, a writable folder,
    networks that match the maps.

    Parameters
    ----------
    training_set : `~pidoc.training_set.TrainingSet`
        With the splits train and validation.
    folder : path-like
        Folder of the model; the state for resuming is in its folder ``work``, which can be removed later.
    settings : `Settings` or `PaperSettings`, optional
    name, description : str, optional
        For the model card.
    progress : bool, optional
        Show progress bars, if there is a terminal.

    Returns
    -------
    `~pidoc.inference.estimator.Estimator`
        Calibrated on the validation split, with the training domain.

    Raises
    ------
    TrainingError
        If the folder has another training, or one with more epochs.
    ConnectionError, OSError, TypeError, ValueError
        If a split has too few maps, the folder is not writable, or the weights of the perceptual loss are not
        available: `~pidoc.networks.losses.PerceptualLoss`.
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
    check_data(data, protocol.every)
    # before the networks, so that a map without a value of a quantity is found at once
    quantities = measure(maps, work, progress)
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
    domain = learn_domain(maps, quantities, estimator, progress)
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
