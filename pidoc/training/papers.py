# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Training of the two networks of the paper."""

import json
from dataclasses import asdict
from functools import partial

from pidoc.inference.estimator import PaperEstimator
from pidoc.networks.backend import keras
from pidoc.networks.losses import PerceptualLoss
from pidoc.networks.paper import paper_age_distance_network, paper_mass_network
from pidoc.networks.scaling import PaperScaling
from pidoc.training.data import seen, shuffled, Split, Streamed
from pidoc.training.loop import Course

__all__ = ['Papers', 'square_error']


class Papers:
    """The mass network, and the network for age and distance: Chardin & Bianchini (2021), section 3."""

    every = PaperEstimator.every

    def __init__(self, settings):
        self.settings = settings
        # now, so that unavailable weights cause an error at once
        self.loss = PerceptualLoss(None if settings.vgg == 'random' else settings.vgg, seed=settings.seed)
        # not the path, which is specific to a machine
        self.stated = {'network': 'paper', **asdict(settings), 'vgg': self.loss.weights_used}
        self.stated = json.loads(json.dumps(self.stated))

    def read(self, maps, name, work, progress):
        return Split(maps, Streamed(seen(maps, 'light')), Streamed(maps.mass))

    def courses(self, data):
        train = data['train']
        self.scaling = PaperScaling.fit(((train.light[rows], train.mass[rows]) for rows in train.pieces()),
                                        train.truths['age'], train.truths['distance'],
                                        pooled=self.settings.pooled)
        self.config = {'shape': [*train.light[:1].shape[1:], 1]}
        return [self._course(0, 'mass network', paper_mass_network, self.loss, self._mass, data),
                self._course(1, 'age and distance network', paper_age_distance_network, 'mean_squared_error',
                             self._labels, data)]

    def _course(self, number, title, build, loss, truth, data):
        settings = self.settings
        train, validation = data['train'], data['validation']

        def batch(split, rows):
            return self.scaling.image(split.light[rows]), truth(split, rows)

        def compile_it(network, steps):
            network.compile(optimizer=keras.optimizers.Adam(settings.learning_rates[number]), loss=loss,
                            metrics=[square_error, _mean, _mean_square])

        return Course(
            number=number, seed=settings.seed * 1000 + number, title=title,
            build=partial(build, **self.config), compile=compile_it,
            batches=lambda epoch: (batch(train, rows)
                                   for rows in shuffled(len(train), settings, number, epoch)),
            checks=lambda: (batch(validation, slice(k, k + settings.batch_size))
                            for k in range(0, len(validation), settings.batch_size)),
            size=len(train), batch_size=settings.batch_size, epochs=settings.epochs[number],
            patience=settings.patience, criterion='val_loss', summary=_with_r_squared)

    def _mass(self, split, rows):
        return self.scaling.mass_image(split.mass[rows])

    def _labels(self, split, rows):
        return self.scaling.labels(split.truths['age'][rows], split.truths['distance'][rows])

    def estimator(self, networks):
        return PaperEstimator(networks, self.scaling, config=self.config)


def square_error(true, output):
    """Mean square error, the paper's first measure of a training."""
    return keras.ops.mean(keras.ops.square(true - output), axis=-1)


def _mean(true, output):
    return keras.ops.mean(true, axis=-1)


def _mean_square(true, output):
    return keras.ops.mean(keras.ops.square(true), axis=-1)


def _with_r_squared(logs):
    """Replace the moments of the truth by the coefficient of determination, Eq. 1."""
    logs = dict(logs)
    for prefix in ('', 'val_'):
        variance = logs.pop(f'{prefix}_mean_square') - logs.pop(f'{prefix}_mean') ** 2
        logs[f'{prefix}r_squared'] = 1.0 - logs[f'{prefix}square_error'] / variance
    return logs
