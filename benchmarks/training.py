#!/usr/bin/env python
"""Time of a training step, compared with that of the arithmetic.

The default network (`pidoc.networks.cluster_network`), its loss and optimiser, batches of 32 maps of noise,
which does not affect the time. The limit: a step needs the multiplications of the network three times,
forward, for the gradients of the maps and for those of the weights, and none is faster than those of a
product of large matrices in the same library, which is also measured.

With ``--loop`` it trains for some epochs on maps of noise instead, in one of three ways: batch by batch, like
pidoc; by `keras.Model.fit` on the arrays of an epoch; by ``fit`` on a `keras.utils.PyDataset`. It prints the
time of a step, including validation, the memory of the process, and a checksum of the weights. ``--loop all``
does one after the other, each in a separate process.
"""

import hashlib
import subprocess
import sys
import time
from types import SimpleNamespace

import keras
import numpy as np
from astropy import units as u
from astropy.table import QTable
from common import CLOCKS, least, machine, multiplications, parser, peak_memory, table

from pidoc.networks.cluster import cluster_network
from pidoc.networks.losses import GaussianNLL
from pidoc.training import Settings
from pidoc.training.data import Split
from pidoc.training.device import Device
from pidoc.training.loop import epoch_of
from pidoc.training.ours import Ours

MATRIX = 1024


def compiled(widths):
    """The network, compiled as in `pidoc.training`."""
    network = cluster_network(widths=widths, seed=0)
    loss, optimizer = GaussianNLL(beta=0.5), keras.optimizers.AdamW(1e-3, weight_decay=1e-4, clipnorm=1.0)
    network.compile(optimizer=optimizer, loss=[loss, loss])
    return network


def product_rate(repeats, clock):
    """Multiplications per second of a product of matrices."""
    a, b = (keras.ops.convert_to_tensor(each) for each in
            np.random.default_rng(0).normal(size=(2, MATRIX, MATRIX)).astype('float32'))
    return MATRIX**3 / least(lambda: keras.ops.convert_to_numpy(keras.ops.matmul(a, b)), repeats, clock)


# -- loops ------------------------------------------------------------------------------------------


def noise(rng, number, side):
    """A split of maps of noise."""
    uniform = {name: rng.uniform(low, high, number) * unit for name, low, high, unit in (
        ('age', 1.0, 13.0, u.Gyr), ('distance', 8.0, 80.0, u.kpc), ('mass', 1e3, 1e4, u.Msun),
        ('luminosity', 1e3, 1e4, u.Lsun))}
    light, mass = np.abs(rng.normal(size=(2, number, side, side))).astype('float32')
    return Split(SimpleNamespace(table=QTable(uniform), zoom=np.ones(number)), 1e-5 * light, 0.1 * mass)


def gathered(batches):
    """All batches as one."""
    return keras.tree.map_structure(lambda *each: np.concatenate(each), *batches)


class Batches(keras.utils.PyDataset):
    """The batches of an epoch for ``fit``, which comes back to Python for each."""

    def __init__(self, course, epoch):
        super().__init__()
        self.batches = list(course.batches(epoch))

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, number):
        return tuple(map(tuple, self.batches[number]))


def by_batches(network, course, epoch):
    return epoch_of(network, course, Device(), epoch, SimpleNamespace(update=lambda n: None))


def by_arrays(network, course, epoch):
    inputs, truth = gathered(course.batches(epoch))
    network.fit(inputs, truth, batch_size=course.batch_size, shuffle=False, verbose=0,
                validation_data=gathered(course.checks()), validation_batch_size=256)


def by_dataset(network, course, epoch):
    network.fit(Batches(course, epoch), shuffle=False, verbose=0,
                validation_data=gathered(course.checks()), validation_batch_size=256)


LOOPS = {'batches': by_batches, 'arrays': by_arrays, 'dataset': by_dataset}


def loop(options):
    """Train in one of the ways; print what it took after the first epoch."""
    rng = np.random.default_rng(0)
    data = {name: noise(rng, number, options.side) for name, number in
            (('train', options.maps), ('validation', options.maps // 5))}
    settings = Settings(epochs=options.epochs, batch_size=options.batch, widths=tuple(options.widths))
    (course,) = Ours(settings).courses(data)
    keras.utils.set_random_seed(course.seed)
    network, steps = course.build(), course.size // course.batch_size
    course.compile(network, steps)
    step, longest = {name: [] for name in CLOCKS}, 0.0
    for epoch in range(options.epochs):
        start = {name: now() for name, now in CLOCKS.items()}
        LOOPS[options.loop](network, course, epoch)
        took = {name: now() - start[name] for name, now in CLOCKS.items()}
        if epoch:
            longest = max(longest, took['wall'])
            for name, each in took.items():
                step[name].append(1e3 * each / steps)
    digest = hashlib.sha256(b''.join(each.tobytes() for each in network.get_weights())).hexdigest()[:12]
    row = table([('', '8s'), ('ms/step', '8.1f'), ('ms/step, processor', '8.1f'),
                 ('longest epoch [s]', '6.2f'), ('memory [MB]', '6.0f'), ('weights', '12s')])
    row(options.loop, np.median(step['wall']), np.median(step['processor']), longest, peak_memory(),
        digest)


def all_loops():
    start = time.perf_counter()
    for name in LOOPS:
        place = sys.argv.index('all')
        subprocess.run([sys.executable, *sys.argv[:place], name, *sys.argv[place + 1:]], check=True)
    print(f'{time.perf_counter() - start:.0f} s')


def main():
    how = parser(__doc__)
    how.add_argument('--batch', type=int, default=32)
    how.add_argument('--precision', choices=('float32', 'bfloat16'), default='float32',
                     help='of the network; bfloat16 as `pidoc-train --precision bfloat16`')
    how.add_argument('--widths', type=int, nargs='+', default=(24, 48, 96, 128))
    how.add_argument('--loop', choices=[*LOOPS, 'all'], help='train, in this way')
    how.add_argument('--maps', type=int, default=320, help='with --loop (default: 320)')
    how.add_argument('--side', type=int, default=40, help='of the maps, with --loop (default: 40)')
    how.add_argument('--epochs', type=int, default=5, help='with --loop (default: 5)')
    options = how.parse_args()
    if options.loop:
        return all_loops() if options.loop == 'all' else loop(options)
    rng = np.random.default_rng(1)
    size = options.batch
    image, known, *truth = (rng.normal(size=(size, *shape)).astype('float32')
                            for shape in ((40, 40, 1), (3,), (40, 40, 1), (4,)))
    if options.precision == 'bfloat16':
        keras.config.set_dtype_policy('mixed_bfloat16')
    network = compiled(tuple(options.widths))
    count = multiplications(network)
    rate = product_rate(options.repeats, options.clock)
    print(f'{machine()}, Keras {keras.__version__}, {keras.backend.backend()}; {options.clock} time')
    print(f'{network.count_params() / 1e6:.2f} million parameters, {count / 1e6:.0f} million multiplications '
          f'a map; matrices: {rate / 1e9:.0f} x 10^9 multiplications a second')
    row = table([('', '24s'), ('ms/batch', '9.1f'), ('ms/map', '8.2f'), ('limit ms/map', '8.2f'),
                 ('ratio', '6.1f')])
    for label, function, times in (
            ('prediction', lambda: network.predict_on_batch([image, known]), 1),
            ('step of the training', lambda: network.train_on_batch([image, known], truth), 3)):
        took = 1e3 * least(function, options.repeats, options.clock)
        limit = 1e3 * times * count / rate
        row(label, took, took / size, limit, took / size / limit)


if __name__ == '__main__':
    main()
