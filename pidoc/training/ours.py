# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""How our network is trained, `~pidoc.networks.cluster_network`: one for everything."""

import json
from dataclasses import asdict
from functools import partial

import numpy as np

from pidoc.inference.estimator import Estimator
from pidoc.networks.backend import keras
from pidoc.networks.cluster import cluster_network
from pidoc.networks.losses import GaussianNLL
from pidoc.networks.scaling import Scaling
from pidoc.training.data import augmented, conditioned, reduced, shuffled
from pidoc.training.loop import Course

__all__ = ['Ours']


class Ours:
    """An ensemble of `~pidoc.networks.cluster_network`."""

    every = Estimator.every

    def __init__(self, settings):
        self.settings, self.stated = settings, json.loads(json.dumps(asdict(settings)))

    def read(self, maps, name, work, progress):
        return reduced(maps, name, self.settings, work, progress)

    def courses(self, data):
        settings, train = self.settings, data['train']
        self.scaling = Scaling.fit(train.light[:], train.mass, train.scalars, pooled=settings.pooled,
                                   block=settings.block, compression=settings.compression,
                                   distance_scale=settings.distance_scale)
        self.config = {'shape': [*train.light.shape[1:3], len(settings.channels)],
                       'widths': list(settings.widths)}
        return [Course(
            number=member, seed=settings.seed * 1000 + member,
            title=f'network {member + 1} of {settings.members}',
            build=partial(cluster_network, **self.config), compile=self._compile,
            batches=partial(self._batches, train, member),
            checks=partial(self._checks, data['validation']), size=len(train),
            batch_size=settings.batch_size, epochs=settings.epochs, patience=settings.patience,
            criterion='val_likelihood', summary=_with_likelihood) for member in range(settings.members)]

    def _batches(self, data, member, epoch):
        """Batches in random order and orientation, conditioned on the distance or not, for one epoch."""
        settings, scaling = self.settings, self.scaling
        for number, rows in enumerate(shuffled(len(data), settings, member, epoch)):
            rng = np.random.default_rng((settings.seed, member, epoch, 1, number))
            image, mass = augmented(rng, settings.orientations, scaling.image_of_blocks(data.light[rows]),
                                    scaling.mass_of_blocks(data.mass[rows]))
            known = conditioned(rng, data.distance[rows], scaling, settings.known_distance,
                                settings.distance_errors)
            yield [image, known], [mass, scaling.standardised(data.scalars[rows])]

    def _checks(self, data):
        """The validation split: every other map with its distance, errors as in training, always the same."""
        scaling = self.scaling
        known = conditioned(np.random.default_rng(0), data.distance, scaling, 1.0,
                            self.settings.distance_errors)
        known[::2] = 0.0
        for rows in data.pieces():
            yield ([scaling.image_of_blocks(data.light[rows]), known[rows]],
                   [scaling.mass_of_blocks(data.mass[rows]), scaling.standardised(data.scalars[rows])])

    def _compile(self, network, steps):
        settings = self.settings
        total = settings.epochs * steps
        rise = min(200, max(1, total // 10))
        rate = keras.optimizers.schedules.CosineDecay(
            0.05 * settings.learning_rate, max(1, total - rise), alpha=0.0,
            warmup_target=settings.learning_rate, warmup_steps=rise)
        optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay, clipnorm=1.0)
        loss = GaussianNLL(beta=settings.beta)
        metrics = [_square_error, _likelihood]
        network.compile(optimizer=optimizer, loss=[loss, loss], loss_weights=list(settings.loss_weights),
                        metrics=[metrics, metrics])

    def estimator(self, networks):
        return Estimator(networks, self.scaling, config=self.config, turns=self.settings.turns)


def _with_likelihood(logs):
    return {**logs, 'val_likelihood': logs['val_mass__likelihood'] + logs['val_scalars__likelihood']}


def _square_error(true, output):
    """Mean square error of the means among the outputs."""
    number = true.shape[-1]
    return keras.ops.mean(keras.ops.square(true - output[..., :number]), axis=-1)


def _likelihood(true, output):
    """Negative log likelihood: unlike the loss with beta it says which of two networks is the better."""
    return GaussianNLL(beta=0.0).call(true, output)
