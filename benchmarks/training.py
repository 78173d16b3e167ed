#!/usr/bin/env python
"""What a step of a training takes, beside what the arithmetic alone would.

The default network (`pidoc.networks.cluster_network`), its loss and optimiser, batches of 32 maps of noise:
time does not depend on what is in them. The limit: a step needs the multiplications of the network three
times, forward, for the gradients of the maps and for those of the weights, and none is faster than those of a
product of large matrices in the same library, measured beside it.
"""

import keras
import numpy as np
from common import least, machine, multiplications, parser, table

from pidoc.networks.cluster import cluster_network
from pidoc.networks.losses import GaussianNLL

MATRIX = 1024


def compiled(widths):
    """The network, ready to be trained as `pidoc.training` does."""
    network = cluster_network(widths=widths, seed=0)
    loss, optimizer = GaussianNLL(beta=0.5), keras.optimizers.AdamW(1e-3, weight_decay=1e-4, clipnorm=1.0)
    network.compile(optimizer=optimizer, loss=[loss, loss])
    return network


def product_rate(repeats, clock):
    """Multiplications a second of a product of matrices."""
    a, b = (keras.ops.convert_to_tensor(each) for each in
            np.random.default_rng(0).normal(size=(2, MATRIX, MATRIX)).astype('float32'))
    return MATRIX**3 / least(lambda: keras.ops.convert_to_numpy(keras.ops.matmul(a, b)), repeats, clock)


def main():
    how = parser(__doc__)
    how.add_argument('--batch', type=int, default=32)
    how.add_argument('--precision', choices=('float32', 'bfloat16'), default='float32',
                     help='of the network; bfloat16 as `pidoc-train --precision bfloat16`')
    how.add_argument('--widths', type=int, nargs='+', default=(24, 48, 96, 128))
    options = how.parse_args()
    rng = np.random.default_rng(1)
    size = options.batch
    image, told, *truth = (rng.normal(size=(size, *shape)).astype('float32')
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
            ('prediction', lambda: network.predict_on_batch([image, told]), 1),
            ('step of the training', lambda: network.train_on_batch([image, told], truth), 3)):
        took = 1e3 * least(function, options.repeats, options.clock)
        limit = 1e3 * times * count / rate
        row(label, took, took / size, limit, took / size / limit)


if __name__ == '__main__':
    main()
