# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Common parts of networks: initial weights, layers."""

import numpy as np

from pidoc.networks.backend import keras, layers

__all__ = ['LAST', 'activated', 'glorot', 'he', 'layer_seeds']

LAST = 'channels_last'    # independent of keras.json: maps are [y, x, channel]


def layer_seeds(seed):
    """Endless seeds, one per layer; always None without a seed, so that Keras's own seed is used."""
    if seed is None:
        while True:
            yield None
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.integers(2**31))


def glorot(seeds):
    """Default initial weights of Keras (Glorot & Bengio 2010)."""
    return keras.initializers.GlorotUniform(seed=next(seeds))


def activated(x, channels, seeds, name, *, size=3, strides=1):
    """Convolution and ReLU."""
    x = layers.Conv2D(channels, size, strides=strides, padding='same', data_format=LAST,
                      kernel_initializer=he(seeds), name=name)(x)
    return layers.ReLU(name=f'{name}_relu')(x)


def he(seeds):
    """Initial weights for layers with ReLU (He+ 2015)."""
    return keras.initializers.HeNormal(seed=next(seeds))
