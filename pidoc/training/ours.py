# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Training of our network, `~pidoc.networks.cluster_network`."""

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from pidoc.inference.curvature import Curvature, NEEDED
from pidoc.inference.estimator import Estimator
from pidoc.inference.folder import read_card, set_weights, weight_files
from pidoc.networks.backend import keras
from pidoc.networks.cluster import cluster_network
from pidoc.networks.losses import GaussianNLL, MixtureNLL
from pidoc.networks.mixture import Layout
from pidoc.networks.scaling import Scaling
from pidoc.networks.variables import CONSTRAINTS, OUTPUTS
from pidoc.training.data import augmented, conditioned, in_blocks, shuffled
from pidoc.training.loop import Course

__all__ = ['Ours']


class Ours:
    """An ensemble of `~pidoc.networks.cluster_network`."""

    every = Estimator.every

    def __init__(self, settings):
        self.settings, self.stated = settings, json.loads(json.dumps(asdict(settings)))
        self._start = _Start(settings.start) if settings.start else None
        if self._start:
            self.stated['start'] = self._start.name

    def read(self, maps, name, work, progress):
        self.band = maps.grid.band
        return in_blocks(maps, name, self.settings, work, progress)

    def courses(self, data):
        settings, train = self.settings, data['train']
        self.scaling = self._start.scaling(train) if self._start else self._scaling(train)
        outputs, constraints = ([each.name for each in variables]
                                for variables in (self.scaling.outputs, self.scaling.constraints))
        mixture = {'components': settings.components, 'covariance': settings.covariance}
        self.loss = MixtureNLL(len(outputs), **mixture)
        self.posterior = mixture | {'constraints': [each.to_dict() for each in self._measured(
            outputs, constraints)]}
        if NEEDED <= set(outputs):
            self.posterior['curvature'] = Curvature.of_populations(self.band).to_dict()
        self.config = {'shape': [*train.light.shape[1:3], len(settings.channels)],
                       'widths': list(settings.widths), 'known': self.scaling.code_width,
                       'scalars': Layout(len(outputs), **mixture).size,
                       'dropout': settings.dropout}
        return [Course(
            number=member, seed=settings.seed * 1000 + member,
            title=f'network {member + 1} of {settings.members}',
            build=partial(self._build, member), compile=self._compile,
            batches=partial(self._batches, train, member),
            checks=partial(self._checks, data['validation']), size=len(train),
            batch_size=settings.batch_size, epochs=settings.epochs, patience=settings.patience,
            criterion='val_likelihood', summary=_with_likelihood) for member in range(settings.members)]

    def _build(self, member):
        network = cluster_network(**self.config)
        if self._start:
            set_weights(network, self._start.paths[member])
        return network

    def _scaling(self, train):
        settings, (outputs, constraints) = self.settings, self._variables(train)
        return Scaling.fit(
            train.light[:], train.mass, {name: train.truths[name] for name in outputs},
            {name: train.truths[name] for name in constraints}, pooled=settings.pooled, outputs=outputs,
            constraints=constraints, block=settings.block, channels=settings.channels,
            compression=settings.compression, ties=settings.ties)

    def _variables(self, train):
        """The predicted variables, and the constraints, from the set and the settings."""
        settings = self.settings
        exact = {name: each for name, each in CONSTRAINTS.items() if each.errors is None}
        chosen = [dict(default) if names is None else {name: all_of[name] for name in names}
                  for all_of, default, names in ((OUTPUTS, OUTPUTS, settings.outputs),
                                                 (CONSTRAINTS, exact, settings.constraints))]
        for variables, names in zip(chosen, (settings.outputs, settings.constraints), strict=True):
            missing = [name for name in variables if not _complete(train, name)]
            if missing and names is not None:
                raise ValueError(f'the training set must have {", ".join(missing)} of all its maps, or '
                                 'outputs and constraints must leave them out, received a set without')
            for name in missing:
                del variables[name]
            if settings.distance_scale != 'logarithm' and 'distance' in variables:
                variables['distance'] = replace(variables['distance'], scale=settings.distance_scale)
        return chosen

    def _measured(self, outputs, constraints):
        """Constraints on which the posterior is conditioned in closed form."""
        names = self.settings.measured
        if names is None:
            scales = {each.name: each.scale for each in self.scaling.outputs}
            names = [name for name, each in CONSTRAINTS.items()
                     if each.errors is not None and name not in constraints and set(each.needs) <= set(scales)
                     and (each.product is None or {scales[other] for other in each.needs} == {'logarithm'})]
        missing = {other for name in names for other in CONSTRAINTS[name].needs} - set(outputs)
        if missing:
            raise ValueError(f'measured must be of the outputs, received {", ".join(sorted(missing))} too')
        return [CONSTRAINTS[name] for name in names]

    def _batches(self, data, member, epoch):
        """Batches for one epoch, in random order and orientation, with randomly given properties."""
        settings, scaling = self.settings, self.scaling
        for number, rows in enumerate(shuffled(len(data), settings, member, epoch)):
            rng = np.random.default_rng((settings.seed, member, epoch, 1, number))
            light = data.light[rows]
            image, mass = augmented(rng, settings.orientations, scaling.image_of_blocks(light),
                                    scaling.mass_of_blocks(data.mass[rows]))
            true = {name: values[rows] for name, values in data.truths.items()}
            yield ([image, conditioned(rng, true, scaling, settings.given)],
                   [mass, scaling.targets(true, light)])

    def _checks(self, data):
        """The validation split, with given properties as in training, but fixed."""
        scaling = self.scaling
        known = conditioned(np.random.default_rng(0), data.truths, scaling, self.settings.given)
        for rows in data.pieces():
            light, true = data.light[rows], {name: each[rows] for name, each in data.truths.items()}
            yield ([scaling.image_of_blocks(light), known[rows]],
                   [scaling.mass_of_blocks(data.mass[rows]), scaling.targets(true, light)])

    def _compile(self, network, steps):
        settings = self.settings
        total = settings.epochs * steps
        rise = min(200, max(1, total // 10))
        rate = keras.optimizers.schedules.CosineDecay(
            0.05 * settings.learning_rate, max(1, total - rise), alpha=0.0,
            warmup_target=settings.learning_rate, warmup_steps=rise)
        optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay, clipnorm=1.0)
        network.compile(optimizer=optimizer, loss=[GaussianNLL(beta=settings.beta), self.loss],
                        loss_weights=list(settings.loss_weights),
                        metrics=[[_square_error, _likelihood], [self._scalar_likelihood]])

    def _scalar_likelihood(self, true, output):
        return self.loss.call(true, output)

    def estimator(self, networks):
        return Estimator(networks, self.scaling, config=self.config, posterior=self.posterior,
                         turns=self.settings.turns)


class _Start:
    """The model whose weights a training begins with."""

    def __init__(self, folder):
        self.card = read_card(folder)
        self.paths = weight_files(folder, self.card)
        weights = ''.join(self.card['sha256'].values())
        self.name = f'{self.card["about"].get("name") or Path(folder).name} ({weights[:16]})'

    def scaling(self, train):
        found = Scaling.from_dict(self.card['scaling'])
        missing = [each.name for each in (*found.outputs, *found.constraints)
                   if not _complete(train, each.name)]
        if missing:
            raise ValueError('the training set must have what the model that the training starts from uses, '
                             f'received a set without {", ".join(missing)}')
        return found


def _complete(split, name):
    """Whether a quantity is known for all maps; exact constraints may be missing for some."""
    if name not in split.truths:
        return False
    return (name in CONSTRAINTS and CONSTRAINTS[name].errors is None) or bool(
        np.all(np.isfinite(split.truths[name])))


def _with_likelihood(logs):
    return {**logs, 'val_likelihood': logs['val_mass__likelihood'] + logs['val_scalars__scalar_likelihood']}


def _square_error(true, output):
    """Mean square error of the predicted means."""
    number = true.shape[-1]
    return keras.ops.mean(keras.ops.square(true - output[..., :number]), axis=-1)


def _likelihood(true, output):
    """Negative log likelihood, which unlike the loss with beta allows a comparison of networks."""
    return GaussianNLL(beta=0.0).call(true, output)
