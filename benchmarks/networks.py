#!/usr/bin/env python
"""Time per map of the networks of the paper, compared with the paper's 70 ms.

Chardin & Bianchini (2021), section 4.1: "about 70 milliseconds on a single Intel Xeon CPU at 2.70GHz" for the
mass map. Weights are random, which does not affect the time.

Each line: multiplications per map, counted from the kernels of the layers; milliseconds per map, one at a
time and in batches, the minimum of several repeats; multiplications per second in batches. The network is
called as a compiled function; the column ``predict`` uses Keras's method of that name instead, one map at a
time.

One core: ``OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/networks.py``. The backend is that of Keras
(``KERAS_BACKEND``).
"""

import keras
import numpy as np
from common import least, machine, multiplications, parser, table

from pidoc.networks.losses import PerceptualLoss
from pidoc.networks.paper import paper_age_distance_network, paper_mass_network

PAPER = 70.0    # ms


def compiled(network):
    """The network as a function of arrays, compiled once for each shape."""
    if keras.backend.backend() == 'tensorflow':
        import tensorflow as tf
        call = tf.function(lambda maps: network(maps, training=False))
    elif keras.backend.backend() == 'jax':
        import jax
        call = jax.jit(lambda maps: network(maps, training=False))
    else:
        import torch

        def call(maps):
            with torch.no_grad():
                return network(maps, training=False)
    return lambda maps: keras.ops.convert_to_numpy(call(maps))


def main():
    how = parser(__doc__, repeats=7)
    how.add_argument('--batch', type=int, default=64, help='maps in a batch')
    how.add_argument('--loss', action='store_true', help='the perceptual loss too: VGG16 twice')
    options = how.parse_args()
    light = np.random.default_rng(1).normal(size=(options.batch, 160, 160, 1)).astype('float32')

    def milliseconds(function, maps, more=1):
        return 1e3 * least(lambda: function(maps), more * options.repeats, options.clock) / len(maps)

    print(f'{machine()}, Keras {keras.__version__}, {keras.backend.backend()}; {options.clock} time; '
          f'the paper: {PAPER:g} ms a mass map')
    row = table([('', '20s'), ('10^9 mult.', '10.2f'), ('one, ms', '8.1f'), ('predict, ms', '8.1f'),
                 ('batch, ms', '9.1f'), ('10^9/s', '7.0f')])
    for build in (paper_mass_network, paper_age_distance_network):
        network = build()
        call, count = compiled(network), multiplications(network)
        one = milliseconds(call, light[:1], 4)
        predict = milliseconds(lambda maps, predict=network.predict: predict(maps, verbose=0), light[:1], 4)
        batch = milliseconds(call, light)
        row(network.name, count / 1e9, one, predict, batch, count / 1e6 / batch)
    if options.loss:
        loss = PerceptualLoss(weights=None)
        each = milliseconds(lambda maps: float(loss(maps, 0.9 * maps)), light[:8])
        print(f'perceptual loss, forward only, batches of 8: {each:.1f} ms a map')


if __name__ == '__main__':
    main()
