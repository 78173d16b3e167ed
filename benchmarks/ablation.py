#!/usr/bin/env python
"""What each choice in the training of our network brings: ``python benchmarks/ablation.py SET FOLDER``.

Trains one small network for each variant, all on as many maps of the training part and in as many steps, and
scores them on the validation part, never on the test part; goes on where it was stopped. Mean absolute
errors, from the image only and with the distance given to 2 %: of ln M of pixels above 0.1 Msun, of ln of
the mass in the field, of ln of M/L, of the age [Gyr] and of ln of the distance; of ln of the sum of the map
of the mass, and how far that is from what the network says of the mass. ``plain`` is there with two seeds:
differences smaller than theirs mean nothing.
"""

import argparse
from contextlib import contextmanager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
from astropy import units as u
from astropy.table import Table

from pidoc.inference.estimator import Estimator
from pidoc.networks import scaling
from pidoc.networks.cluster import cluster_network
from pidoc.networks.scaling import block_mean, SCALARS, Scaling, soft_log
from pidoc.training import fit as training
from pidoc.training.fit import Settings
from pidoc.training_set.dataset import TrainingSet

FAINTEST = 0.1                          # Msun per pixel
WINDOWS = (10.0, 25.0, 50.0, 75.0, 100.0)   # kpc: the distances of the paper
COLUMNS = ('pixels', 'mass', 'M/L', 'age', 'distance', 'sum', 'apart')


# -- variants: rows of the training part, settings, and what is put in the place of a function ------


def everything(table, number):
    """Evenly through the part."""
    return evenly(np.arange(len(table)), number)


def two_clusters(table, number):
    """The smallest and the largest by name, about as in the paper's Table 1."""
    names = np.unique(table['simulation'])
    chosen = [name for name in names if name in ('train-R1.6-17', 'train-R4-18')] or names[[0, -1]]
    return evenly(np.flatnonzero(np.isin(table['simulation'], chosen)), number)


def five_distances(table, number):
    """Within 8 % of the five distances of the paper."""
    away = np.abs(np.log(table['distance'].to_value(u.kpc)[:, np.newaxis] / np.array(WINDOWS))).min(axis=1)
    return evenly(np.flatnonzero(away < 0.08), number)


def no_young(table, number):
    """Nothing before 100 Myr."""
    return evenly(np.flatnonzero(table['age'].to_value(u.Gyr) >= 0.1), number)


def evenly(rows, number):
    return rows[np.unique(np.linspace(0, len(rows) - 1, number).astype(int))]


def no_turns():
    return mock.patch.object(training, '_turn', lambda rng, *maps: list(maps))


def weighted(maps, scalars):
    """Only one of the two heads is trained."""
    plain = training._Ours._compile

    def compiled(ours, network, steps):
        plain(ours, network, steps)
        loss = training.GaussianNLL(beta=ours.settings.beta)
        metrics = [training._square_error, training._likelihood]
        network.compile(optimizer=network.optimizer, loss=[loss, loss], loss_weights=[maps, scalars],
                        metrics=[metrics, metrics])
    return lambda: mock.patch.object(training._Ours, '_compile', compiled)


class PlainDistance(training._Split):
    """Scalars with d / 30 kpc in place of ln d."""

    def __init__(self, *args):
        super().__init__(*args)
        self.kpc = np.exp(self.scalars[:, -1])
        self.scalars[:, -1] = self.kpc / 30.0

    @property
    def distance(self):
        return self.kpc


@contextmanager
def distance_itself():
    plain = Estimator.raw

    def raw(self, *args, **options):
        *rest, mean, sd = plain(self, *args, **options)
        # scores compare ln d
        mean[:, SCALARS.index('log_distance')] = np.log(30.0 * np.maximum(mean[:, -1], 0.01))
        return *rest, mean, sd

    # the calibration means nothing then, and has no part in the scores
    with mock.patch.object(training, '_Split', PlainDistance), mock.patch.object(Estimator, 'raw', raw):
        yield


def light_blocks(maps, block):
    return in_blocks(maps.light, len(maps), block)


def both_lights(maps, block):
    """Smoothed and unsmoothed, as two channels."""
    return np.stack([in_blocks(read, len(maps), block) for read in (maps.light, maps.sharp)], axis=-1)


def in_blocks(read, number, block):
    return np.concatenate([block_mean(read(slice(k, k + 256)), block) for k in range(0, number, 256)])


@contextmanager
def with_sharp():
    """The light before the smoothing as a second channel; blocks of pixels only, never whole maps."""
    def reduced(training_set, split, block, folder, progress):
        maps = training_set.split(split)
        return training._Split(maps.table, both_lights(maps, block), in_blocks(maps.mass, len(maps), block))

    def network(shape, **options):
        return cluster_network((*shape[:2], 2), **options)

    def image(self, light):
        mean, sd = self.flux
        return ((soft_log(light, self.flux_floor) - mean) / sd).astype(np.float32)

    with ExitStack() as stack:
        for owner, name, new in ((training, '_reduced', reduced), (training, 'cluster_network', network),
                                 (Scaling, 'image_of_blocks', image),
                                 (Estimator, '_blocks', lambda self, light: light)):
            stack.enter_context(mock.patch.object(owner, name, new))
        stack.enter_context(mock.patch.dict(globals(), light_blocks=both_lights))
        yield


def logarithms():
    """Logarithms, cut at the floor, where the packaged models have arcsinh."""
    def cut(values, floor):
        return np.log(np.maximum(values, floor) / floor)
    return mock.patch.object(scaling, 'soft_log', cut)


def pooled():
    """One mean and one standard deviation for all scalars."""
    plain = Scaling.fit.__func__

    def fit(cls, light, mass, scalars, **options):
        moments = (float(np.mean(scalars)), float(np.std(scalars)))
        return replace(plain(cls, light, mass, scalars, **options), scalars=(moments,) * len(SCALARS))

    return mock.patch.object(Scaling, 'fit', classmethod(fit))


#: name: (what it is, rows, settings, patch)
VARIANTS = {
    'plain': ('as the packaged models, but smaller', everything, {}, nullcontext),
    'plain-seed1': ('the same with another seed', everything, {'seed': 1}, nullcontext),
    'members2': ('two networks', everything, {'members': 2}, nullcontext),
    'turns4': ('four orientations at prediction', everything, {'turns': 4}, nullcontext),
    'no-turns': ('no orientations in training', everything, {}, no_turns),
    'two-clusters': ('maps of two clusters only', two_clusters, {}, nullcontext),
    'five-distances': ('maps at the five distances of the paper', five_distances, {}, nullcontext),
    'no-young': ('no maps before 100 Myr', no_young, {}, nullcontext),
    'beta0': ('the likelihood itself (beta = 0)', everything, {'beta': 0.0}, nullcontext),
    'beta1': ('means as with least squares (beta = 1)', everything, {'beta': 1.0}, nullcontext),
    'block8': ('blocks of 8 x 8 pixels', everything, {'block': 8, 'widths': (24, 48, 96)}, nullcontext),
    'narrow': ('half as many channels', everything, {'widths': (12, 24, 48, 64)}, nullcontext),
    'wide': ('half as many channels more', everything, {'widths': (36, 72, 144, 192)}, nullcontext),
    'never-told': ('distance never told', everything, {'known_distance': 0.0}, nullcontext),
    'map-only': ('map head alone', everything, {}, weighted(1.0, 0.0)),
    'scalars-only': ('head of scalars alone', everything, {}, weighted(0.0, 1.0)),
    'pooled': ('scalars standardised together', everything, {}, pooled),
    'log': ('logarithms, cut at the floor, not arcsinh', everything, {}, logarithms),
    'distance-itself': ('d in place of ln d', everything, {}, distance_itself),
    'sharp': ('light before the smoothing too', everything, {}, with_sharp),
}


# -- training and scores ----------------------------------------------------------------------------


def trained(name, maps, folder, options):
    _, choose, settings, _ = VARIANTS[name]
    rows = np.flatnonzero(maps.table['split'] == 'train')
    chosen = rows[choose(maps.table[rows], options.maps)]
    checked = evenly(np.flatnonzero(maps.table['split'] == 'validation'), options.validation)
    # as many steps for all
    epochs = max(1, round(options.epochs * options.maps / len(chosen)))
    return training.train(maps[np.concatenate([chosen, checked])], folder / name,
                          settings=Settings(epochs=epochs, patience=epochs, precision=options.precision,
                                            **settings))


def scores(estimator, maps):
    """Errors of both modes, in the order of COLUMNS."""
    block, floor = estimator.scaling.block, estimator.scaling.mass_floor
    light = light_blocks(maps, block)
    masses = in_blocks(maps.mass, len(maps), block)
    table = maps.table
    mass, luminosity = table['mass'].to_value(u.Msun), table['luminosity'].to_value(u.Lsun)
    age, distance = table['age'].to_value(u.Gyr), table['distance'].to_value(u.kpc)
    truth = np.stack([np.log(mass), np.log(mass / luminosity), age, np.log(distance)], axis=1)
    told = distance * np.exp(0.02 * np.random.default_rng(0).normal(size=distance.size))
    errors = []
    for given in (None, told):
        pixels, pixel_sd, mean, _ = estimator.raw(light, distance=given, batch_size=256)
        mean[:, 2] **= 2
        away = np.abs(pixels - soft_log(masses, floor))[masses > FAINTEST]
        # the second is of errors, which have no part in this
        expected, _ = estimator._mass(pixels, pixel_sd, np.ones(len(pixels)))
        summed = np.log(block ** 2 * expected.sum(axis=(1, 2)))
        errors += [away.mean(), *np.abs(mean - truth).mean(axis=0), np.abs(summed - truth[:, 0]).mean(),
                   np.abs(summed - mean[:, 0]).mean()]
    return errors


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('set', help='folder of the training set')
    parser.add_argument('folder', type=Path, help='of the models; its scores.ecsv has the table')
    parser.add_argument('--maps', type=int, default=3000, help='of the training part')
    parser.add_argument('--validation', type=int, default=1500, help='of the validation part')
    parser.add_argument('--epochs', type=int, default=10)
    parser.add_argument('--precision', choices=('auto', 'float32', 'bfloat16'), default='auto')
    parser.add_argument('--only', nargs='+', choices=list(VARIANTS), default=list(VARIANTS))
    options = parser.parse_args()
    maps = TrainingSet.read(options.set)
    checked = maps[evenly(np.flatnonzero(maps.table['split'] == 'validation'), options.validation)]
    names = [*COLUMNS, *(f'{name}, d' for name in COLUMNS)]
    table = Table(names=['variant', 'what', *names], dtype=['U20', 'U60', *[float] * len(names)])
    for name in options.only:
        with VARIANTS[name][-1]():
            found = scores(trained(name, maps, options.folder, options), checked)
        table.add_row([name, VARIANTS[name][0], *found])
        table.write(options.folder / 'scores.ecsv', overwrite=True)
        print(f'{VARIANTS[name][0]:44} ' + ' '.join(f'{value:7.4f}' for value in found), flush=True)


if __name__ == '__main__':
    main()
