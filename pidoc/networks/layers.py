# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What the builders of networks share: initial weights, common layers."""

import numpy as np

from pidoc.networks.backend import keras, layers

__all__ = ['LAST', 'activated', 'glorot', 'he', 'layer_seeds']

LAST = 'channels_last'    # whatever keras.json says: maps are [y, x, channel]


def layer_seeds(seed):
    """Endless seeds, one a layer; None for ever if there is none, so that Keras's own seed rules."""
    if seed is None:
        while True:
            yield None
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.integers(2**31))


def glorot(seeds):
    """Keras's usual first weights (Glorot & Bengio 2010)."""
    return keras.initializers.GlorotUniform(seed=next(seeds))


def activated(x, channels, seeds, name, *, size=3, strides=1):
    """Convolution and ReLU."""
    x = layers.Conv2D(channels, size, strides=strides, padding='same', data_format=LAST,
                      kernel_initializer=he(seeds), name=name)(x)
    return layers.ReLU(name=f'{name}_relu')(x)


def he(seeds):
    """First weights for layers with ReLU (He+ 2015)."""
    return keras.initializers.HeNormal(seed=next(seeds))
