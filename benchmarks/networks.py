#!/usr/bin/env python
"""Time that the networks of the paper take for a map, beside the paper's own 70 ms.

Chardin & Bianchini (2021), section 4.1: "about 70 milliseconds on a single Intel Xeon CPU at 2.70GHz" for the
mass map. Weights are random: time does not depend on them.

Each line: multiplications a map, counted from the kernels of the layers; milliseconds a map, one at a time
and in batches, the median over repeats; multiplications a second in batches. The network is called as a
compiled function; the column ``predict`` has Keras's method of that name instead, one map at a time.

One core: ``OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/networks.py``. The backend is that of Keras
(``KERAS_BACKEND``). On a machine that does other work too, ``--cpu-time`` counts the process's own time.
"""

import argparse
import time

import keras
import numpy as np

from pidoc.losses import PerceptualLoss
from pidoc.networks import paper_age_distance_network, paper_mass_network

PAPER = 70.0    # ms


def multiplications(network):
    """Of one map: for each kernel, its size times the pixels that it is applied at."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += int(np.prod(layer.output.shape[1:3]) * np.prod(layer.kernel.shape))
        elif isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total


def milliseconds(function, maps, repeats, clock):
    """Median time of a map, after one call that is not counted: it compiles."""
    function(maps)
    times = []
    for _ in range(repeats):
        start = clock()
        function(maps)
        times.append(clock() - start)
    return 1e3 * float(np.median(times)) / len(maps)


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
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, default=64, help='maps in a batch')
    parser.add_argument('--repeats', type=int, default=7)
    parser.add_argument('--loss', action='store_true', help='the perceptual loss too: VGG16 twice')
    parser.add_argument('--cpu-time', action='store_true', help='time of the processor, all cores together')
    options = parser.parse_args()
    clock = time.process_time if options.cpu_time else time.perf_counter
    light = np.random.default_rng(1).normal(size=(options.batch, 160, 160, 1)).astype('float32')
    print(f'Keras {keras.__version__}, {keras.backend.backend()}; the paper: {PAPER:g} ms a mass map')
    print(f'{"":20} {"10^9 mult.":>10} {"one, ms":>8} {"predict, ms":>11} {"batch, ms":>9} {"10^9/s":>7}')
    for build in (paper_mass_network, paper_age_distance_network):
        network = build()
        call, count = compiled(network), multiplications(network)
        one = milliseconds(call, light[:1], 4 * options.repeats, clock)
        predict = milliseconds(lambda maps, predict=network.predict: predict(maps, verbose=0), light[:1],
                               4 * options.repeats, clock)
        batch = milliseconds(call, light, options.repeats, clock)
        print(f'{network.name:20} {count / 1e9:10.2f} {one:8.1f} {predict:11.1f} {batch:9.1f} '
              f'{count / 1e6 / batch:7.0f}')
    if options.loss:
        loss = PerceptualLoss(weights=None)
        each = milliseconds(lambda maps: float(loss(maps, 0.9 * maps)), light[:8], options.repeats,
                            clock)
        print(f'perceptual loss, forward only, batches of 8: {each:.1f} ms a map')


if __name__ == '__main__':
    main()
