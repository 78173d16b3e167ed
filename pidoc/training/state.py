# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The state of a training after each epoch, stored on disk for resuming it."""

import hashlib
import json
import math
import zipfile
from contextlib import contextmanager

import numpy as np

from pidoc.inference.folder import write_weights
from pidoc.io.files import replacing
from pidoc.networks.backend import keras

__all__ = ['State', 'TrainingError', 'check_same']


class TrainingError(ValueError):
    """A training cannot be continued: its folder has another one, or a damaged one."""


#: settings that may differ when a training is continued
_FREE = ('epochs', 'members', 'patience', 'turns')


def check_same(work, identity):
    """Reject the continuation of a training with another set or other settings.

    Parameters
    ----------
    work : `~pathlib.Path`
    identity : dict
        Identity of a training, including the settings that affect what is learned.

    Raises
    ------
    TrainingError
        If it differs.
    """
    settings = {name: value for name, value in identity['settings'].items() if name not in _FREE}
    path = work / 'training.json'
    text = json.dumps({**identity, 'settings': settings}, indent=1, sort_keys=True)
    if not path.exists():
        with replacing(path) as new:
            new.write_text(text, encoding='utf-8')
    elif path.read_text(encoding='utf-8') != text:
        raise TrainingError(f'{work} is of another training (its training set or settings differ): remove '
                            'it, or choose another folder')


class State:
    """Stores the state after every epoch: weights, optimiser, history, and the best weights so far.

    ``plan`` has the requested numbers of epochs, each with the epoch from which it applied.
    """

    def __init__(self, work, course, network=None):
        self.course, self.network = course, network
        self.path = work / f'state-{course.number}.npz'
        self.best_path = work / f'best-{course.number}.npz'
        self.history, self.epoch, self.best = {}, 0, math.inf
        self.plan = [[0, course.epochs]]

    @property
    def finished(self):
        judged = self.history.get(self.course.criterion)
        waited = len(judged) - 1 - int(np.argmin(judged)) if judged else 0
        return self.epoch >= self.course.epochs or waited >= self.course.patience

    @property
    def _seeds(self):
        """States of the random numbers of the layers, which are not among the weights."""
        generators = (getattr(layer, 'seed_generator', None) for layer in self.network.layers)
        return [generator.state for generator in generators if generator is not None]

    def add(self, logs):
        """Add the results of an epoch."""
        for name, value in self.course.summary(logs).items():
            self.history.setdefault(name, []).append(value)
        loss = self.history[self.course.criterion][-1]
        if not math.isfinite(loss):
            raise TrainingError(f'the validation loss of epoch {self.epoch + 1} must be finite, received '
                                f'{loss}: a smaller learning_rate may help')
        if loss < self.best:
            self.best = loss
            write_weights(self.network, self.best_path, dtype=np.float32)
        self.epoch += 1
        self._save()

    def _save(self):
        state = {f'weight {k}': value for k, value in enumerate(self.network.get_weights())}
        state |= {f'optimizer {k}': keras.ops.convert_to_numpy(value)
                  for k, value in enumerate(self.network.optimizer.variables)}
        state |= {f'seed {k}': keras.ops.convert_to_numpy(value) for k, value in enumerate(self._seeds)}
        best = hashlib.sha256(self.best_path.read_bytes()).hexdigest()
        note = json.dumps({'epoch': self.epoch, 'best': self.best, 'plan': self.plan,
                           'history': self.history, 'best_sha256': best})
        with replacing(self.path) as new, open(new, 'wb') as file:
            np.savez(file, note=note, **state)

    def check(self):
        """Reject fewer epochs than were requested before; without a state nothing is done.

        Raises
        ------
        TrainingError
            Also if the state is damaged.
        """
        if not self.path.exists():
            return
        with self._reading() as state:
            planned = json.loads(str(state['note']))['plan'][-1][1]
        if self.course.epochs < planned:
            raise TrainingError(f'{self.path} is of a training of {planned} epochs: epochs must be at least '
                                f'as many, received {self.course.epochs}')

    def load(self):
        """Resume from a stored state, if there is one."""
        if not self.path.exists():
            return
        with self._reading() as state:
            note = json.loads(str(state['note']))
            weights = [state[f'weight {k}'] for k in range(len(self.network.weights))]
            self.network.optimizer.build(self.network.trainable_variables)
            variables = self.network.optimizer.variables
            values = [state[f'optimizer {k}'] for k in range(len(variables))]
            seeds = [state[f'seed {k}'] for k in range(len(self._seeds))]
        best = self.best_path.read_bytes() if self.best_path.exists() else b''
        if hashlib.sha256(best).hexdigest() != note['best_sha256']:
            raise TrainingError(f'{self.best_path} does not go with {self.path.name}: remove both')
        self.network.set_weights(weights)
        for variable, value in zip([*variables, *self._seeds], [*values, *seeds], strict=True):
            variable.assign(value)
        self.epoch, self.best = note['epoch'], note['best']
        self.history, self.plan = note['history'], note['plan']
        if self.course.epochs > self.plan[-1][1]:
            self.plan.append([self.epoch, self.course.epochs])

    @contextmanager
    def _reading(self):
        try:
            with open(self.path, 'rb') as file, np.load(file) as state:
                yield state
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise TrainingError(f'{self.path} is damaged ({error}): remove it') from error
