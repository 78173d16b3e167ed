#!/usr/bin/env python
"""A mixture of normal distributions beside a coupling flow: ``python benchmarks/flows.py MODEL SET``.

Both predict the scalars from what the encoder of a trained model sees in the maps of its set, through the
same two dense layers, in as many steps: our mixture (`pidoc.networks.mixture`), with some numbers of
components, and the affine and the spline flow of BayesFlow 2 (``pip install bayesflow``). Likelihood of the
validation part in nats a map, above that of one normal distribution for all maps; weights; time of a step;
and of 1000 draws for one map. A mixture is conditioned on what was measured in closed form, and has its
margins so; a flow needs a network of its own for each choice of what is known, or draws and weights.
"""

import argparse
import time
from types import SimpleNamespace

import keras
import numpy as np
from keras import layers, ops

from pidoc.inference.estimator import Estimator
from pidoc.networks.cluster import cluster_network
from pidoc.networks.losses import MixtureNLL
from pidoc.networks.mixture import Layout
from pidoc.training.data import conditioned
from pidoc.training_set.dataset import TrainingSet
from pidoc.training_set.truths import truths

DENSE = 256
ATOM = 0.25         # share of maps with the same value
LIKELIHOOD = 0.5 * np.log(2.0 * np.pi)    # of each variable, which our loss leaves out


def seen_by(estimator, maps, number, seed):
    """What the encoder sees, what is known exactly, and the standardised scalars."""
    rows = np.unique(np.linspace(0, len(maps) - 1, number).astype(int))
    maps = maps[rows]
    network = cluster_network(**estimator.config)
    weights = estimator.networks[0].weights
    for variable in network.weights:
        variable.assign(weights[next(name for name in weights if variable.path.endswith(name))])
    encoder = keras.Model(network.inputs, network.get_layer('seen').output)
    true = {name: values for name, values in truths(maps.table).items()}
    code = conditioned(np.random.default_rng(seed), true, estimator.scaling, 0.0)
    light = maps.light()
    channels = [light] if len(estimator.grid.channels) == 1 else [light, maps.sharp()]
    found = []
    for begin in range(0, len(rows), 256):
        piece = slice(begin, begin + 256)
        stack = np.stack([np.asarray(each[piece]) for each in channels], axis=-1)
        image = estimator.scaling.image_of_blocks(estimator.scaling.blocks(stack))
        found.append(ops.convert_to_numpy(encoder([image, code[piece]])))
    # densities have no upper limit for a quantity that is often exactly the same, as no black holes, and for
    # one that follows from the flux and two others
    smooth = [each.name != 'mass_to_light'
              and np.unique(true[each.name], return_counts=True)[1].max() < ATOM * len(rows)
              for each in estimator.outputs]
    seen = np.concatenate([np.concatenate(found), code], axis=1)
    true = estimator.scaling.standardised(true)
    # a dispersion of few stars is not known
    whole = np.isfinite(true).all(axis=1)
    return seen[whole], true[np.ix_(whole, smooth)]


def summary(width, outputs=DENSE // 2):
    x = given = keras.Input((width,))
    x = layers.Dropout(0.3)(x)
    x = layers.Dense(DENSE, activation='relu')(x)
    x = layers.Dropout(0.3)(x)
    return keras.Model(given, layers.Dense(outputs, activation='relu')(x))


class Mixture(keras.Model):
    """Our head."""

    def __init__(self, width, variables, components):
        super().__init__()
        self.layout = Layout(variables, components=components, covariance='full')
        self.summary, self.last = summary(width), layers.Dense(self.layout.size)
        self.loss_of, self.variables_ = MixtureNLL(variables, components=components), variables

    def call(self, inputs, training=False):
        seen, true = inputs
        self.add_loss(ops.mean(self.variables_ * self.loss_of.call(
            true, self.last(self.summary(seen, training=training)))))
        return seen[:, :1]

    def draw(self, seen, number):
        weights, means, factors = self.layout.mixture(ops.convert_to_numpy(self.last(self.summary(seen))))
        rng = np.random.default_rng(0)
        which = rng.choice(weights.shape[1], number, p=weights[0] / weights[0].sum())
        noise = rng.normal(size=(number, means.shape[2], 1))
        return means[0, which] + (factors[0, which] @ noise)[..., 0]


class Flow(keras.Model):
    """A flow of BayesFlow on the same summary."""

    def __init__(self, width, variables, transform):
        import bayesflow

        super().__init__()
        self.summary = summary(width)
        self.flow = bayesflow.networks.CouplingFlow(transform=transform)
        self.flow.build((None, variables), (None, DENSE // 2))
        self.variables_ = variables

    def call(self, inputs, training=False):
        seen, true = inputs
        found = self.flow.log_prob(true, conditions=self.summary(seen, training=training))
        self.add_loss(-ops.mean(found) - LIKELIHOOD * self.variables_)
        return seen[:, :1]

    def draw(self, seen, number):
        conditions = ops.repeat(self.summary(seen), number, axis=0)
        return ops.convert_to_numpy(self.flow.sample((number,), conditions=conditions))


def fitted(model, train, validation, options):
    """The least loss of the validation, the best epoch, and seconds a step."""
    steps = options.epochs * -(-len(train.seen) // options.batch)
    model.compile(optimizer=keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(1e-3, steps), weight_decay=1e-4, clipnorm=1.0))
    start = time.perf_counter()
    log = model.fit([train.seen, train.true], epochs=options.epochs, batch_size=options.batch, verbose=0,
                    validation_data=([validation.seen, validation.true], None))
    losses = log.history['val_loss']
    return min(losses), int(np.argmin(losses)) + 1, (time.perf_counter() - start) / steps


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model')
    parser.add_argument('set')
    parser.add_argument('--maps', type=int, default=10000, help='of the training part')
    parser.add_argument('--validation', type=int, default=2000)
    parser.add_argument('--epochs', type=int, default=20)
    parser.add_argument('--batch', type=int, default=64)
    parser.add_argument('--components', type=int, nargs='+', default=[1, 3, 6])
    options = parser.parse_args()
    estimator, maps = Estimator.load(options.model), TrainingSet.read(options.set)
    train, validation = (SimpleNamespace(**dict(zip(('seen', 'true'), seen_by(
        estimator, maps.split(name), number, seed), strict=True)))
        for seed, (name, number) in enumerate((('train', options.maps), ('validation', options.validation))))
    width, variables = train.seen.shape[1], train.true.shape[1]
    # all maps alike: the normal distribution of the training part
    center, spread = train.true.mean(axis=0), np.cov(train.true.T)
    away = np.linalg.solve(np.linalg.cholesky(spread), (validation.true - center).T)
    none = -0.5 * np.mean(np.sum(away**2, axis=0)) - 0.5 * np.linalg.slogdet(spread)[1]
    print(f'{variables} scalars, {len(train.seen)} maps, {options.epochs} epochs')
    print(f'{"head":24} {"nats":>6} {"epoch":>6} {"weights":>8} {"ms/step":>8} {"ms/1000 draws":>14}')
    heads = {f'mixture, {n} component(s)': (Mixture, n) for n in options.components}
    heads |= {f'{name} flow': (Flow, name) for name in ('affine', 'spline')}
    for name, (kind, how) in heads.items():
        keras.utils.set_random_seed(1)
        model = kind(width, variables, how)
        loss, epoch, step = fitted(model, train, validation, options)
        model.draw(validation.seen[:1], 1000)
        start = time.perf_counter()
        model.draw(validation.seen[:1], 1000)
        drawn = time.perf_counter() - start
        print(f'{name:24} {-loss - none:6.2f} {epoch:6d} {model.count_params():8d} {1e3 * step:8.1f} '
              f'{1e3 * drawn:14.1f}', flush=True)


if __name__ == '__main__':
    main()
