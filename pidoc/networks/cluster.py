# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The networks, as functions that build them from stock layers of Keras.

Any backend of Keras loads and runs them: there is no Lambda layer and nothing is pickled. Arrays are
[map, y, x, channel]. What goes in and what comes out are standardised numbers (mean 0, standard deviation 1
over the training set): the networks know no units.
"""

from numbers import Integral

import keras
import numpy as np
from keras import layers

__all__ = ['AGE_DISTANCE_LEARNING_RATE', 'DROPOUT', 'MASS_LEARNING_RATE', 'cluster_network',
           'paper_age_distance_network', 'paper_mass_network']

DROPOUT = 10.0**-2.5
"""Probability of dropout in both networks of the paper (Chardin & Bianchini 2021, section 3.1)."""

MASS_LEARNING_RATE = 10.0**-2.5
"""Learning rate of Adam for the paper's mass network (section 3.1.1)."""

AGE_DISTANCE_LEARNING_RATE = 1e-4
"""Learning rate of Adam for the paper's network of age and distance (section 3.1.2)."""

_LAST = 'channels_last'    # whatever keras.json says: maps are [y, x, channel]
_ENCODER = (32, 64, 128, 128)
_KERNELS = ((10, 16), (10, 32), (5, 64), (5, 128))
_DENSE = (64, 32, 16)


# -- the two networks of the paper ----------------------------------------------------------------


def paper_mass_network(shape=(160, 160, 1), *, seed=None):
    """The paper's encoder-decoder: from the map of light to the map of mass.

    A block is two convolutions (3 x 3, zero padding), each with ReLU, batch normalisation and dropout of
    whole channels; its result is the two, concatenated. Down: four blocks of 32, 64, 128 and 128 channels, a
    maximum over 2 x 2 pixels after each. Up: four blocks of 128, 128, 64 and 32 channels; after each, the map
    is doubled in size, and the second convolution of the encoder's block of that size is concatenated to it.
    A linear 3 x 3 convolution makes the map.

    Parameters
    ----------
    shape : tuple of int, optional
        Height, width and channels of the maps; height and width multiples of 16.
    seed : int, optional
        Of the first weights and of the dropout. None leaves them to `keras.utils.set_random_seed`.

    Returns
    -------
    `keras.Model`
        From standardised log light (n, height, width, channels) to standardised log mass (n, height, width,
        1); not compiled. The paper trains it with `~pidoc.networks.losses.PerceptualLoss` and Adam at
        `MASS_LEARNING_RATE`.

    Raises
    ------
    TypeError, ValueError
        If ``shape`` is not three positive integers or its sides do not halve four times.

    Notes
    -----
    Source: Chardin & Bianchini (2021), section 3.1.1 and Fig. 1; channels and the make-up of a block: the
    authors' released model, which has 2.18 million parameters and takes 2.53 x 10^9 multiplications a map.
    This network has 2,183,169 and 2.49 x 10^9. Two other readings of that description have exactly as many
    and cannot be told from it by counting: the first convolution of a block is passed across instead of the
    second, or both are and the blocks on the way up do not concatenate.

    Examples
    --------
    >>> from pidoc.networks.cluster import paper_mass_network
    >>> network = paper_mass_network()
    >>> network.output_shape, network.count_params()
    ((None, 160, 160, 1), 2183169)
    """
    shape = _check_shape(shape)
    height, width, _ = shape
    halvings = 2 ** len(_ENCODER)
    if height % halvings or width % halvings:
        raise ValueError(f'height and width of shape must be multiples of {halvings}, received {shape!r}')
    seeds = _seeds(seed)
    x = inputs = keras.Input(shape, name='light')
    across = []
    for level, channels in enumerate(_ENCODER, start=1):
        x, second = _block(x, channels, f'encoder{level}', seeds)
        across.append(second)
        x = layers.MaxPooling2D(2, data_format=_LAST, name=f'encoder{level}_pool')(x)
    for level in range(len(_ENCODER), 0, -1):
        x, _ = _block(x, _ENCODER[level - 1], f'decoder{level}', seeds)
        x = layers.UpSampling2D(2, data_format=_LAST, name=f'decoder{level}_up')(x)
        x = layers.Concatenate(name=f'decoder{level}_skip')([x, across[level - 1]])
    # float32 whatever the policy: the loss needs the precision
    mass = layers.Conv2D(1, 3, padding='same', data_format=_LAST, dtype='float32',
                         kernel_initializer=_glorot(seeds), name='mass')(x)
    return keras.Model(inputs, mass, name='paper_mass')


def paper_age_distance_network(shape=(160, 160, 1), *, seed=None):
    """The paper's second network: from the map of light to age and distance.

    Four convolutions without padding (10 x 10 pixels and 16 channels, 10 x 10 and 32, 5 x 5 and 64, 5 x 5
    and 128), each with ReLU, batch normalisation, dropout of whole channels and a maximum over 2 x 2 pixels;
    then dense layers of 64, 32 and 16, each with batch normalisation and ReLU; then two linear numbers.

    Parameters
    ----------
    shape : tuple of int, optional
        Height, width and channels of the maps; at least 91 pixels a side, which leave one pixel at the
        end.
    seed : int, optional
        Of the first weights and of the dropout. None leaves them to `keras.utils.set_random_seed`.

    Returns
    -------
    `keras.Model`
        From standardised log light (n, height, width, channels) to standardised age and distance (n, 2), in
        this order; not compiled. The paper trains it with the mean square error and Adam at
        `AGE_DISTANCE_LEARNING_RATE`.

    Raises
    ------
    TypeError, ValueError
        If ``shape`` is not three positive integers or the maps are too small for the convolutions.

    Notes
    -----
    Source: Chardin & Bianchini (2021), section 3.1.2 and Fig. 2, for the order [age, distance] too; sizes:
    the authors' released model, which has 0.52 million parameters.

    Examples
    --------
    >>> from pidoc.networks.cluster import paper_age_distance_network
    >>> network = paper_age_distance_network()
    >>> network.output_shape, network.count_params()
    ((None, 2), 517954)
    """
    shape = _check_shape(shape)
    smallest = _smallest_side()
    if min(shape[:2]) < smallest:
        raise ValueError(f'height and width of shape must be at least {smallest}, received {shape!r}')
    seeds = _seeds(seed)
    x = inputs = keras.Input(shape, name='light')
    for number, (size, channels) in enumerate(_KERNELS, start=1):
        x = _convolve(x, channels, size, 'valid', f'conv{number}', seeds)
        x = layers.MaxPooling2D(2, data_format=_LAST, name=f'conv{number}_pool')(x)
    x = layers.Flatten(data_format=_LAST, name='flatten')(x)
    for number, width in enumerate(_DENSE, start=1):
        x = layers.Dense(width, kernel_initializer=_glorot(seeds), name=f'dense{number}')(x)
        x = layers.BatchNormalization(name=f'dense{number}_norm')(x)
        x = layers.ReLU(name=f'dense{number}_relu')(x)
    answer = layers.Dense(2, dtype='float32', kernel_initializer=_glorot(seeds), name='age_distance')(x)
    return keras.Model(inputs, answer, name='paper_age_distance')


def _block(x, channels, name, seeds):
    """Two convolutions; returns the two concatenated, and the second."""
    first = _convolve(x, channels, 3, 'same', f'{name}_conv1', seeds)
    second = _convolve(first, channels, 3, 'same', f'{name}_conv2', seeds)
    return layers.Concatenate(name=f'{name}_both')([first, second]), second


def _convolve(x, channels, size, padding, name, seeds):
    """Convolution, ReLU, batch normalisation, dropout of whole channels: the order of the released model."""
    x = layers.Conv2D(channels, size, padding=padding, data_format=_LAST, kernel_initializer=_glorot(seeds),
                      name=name)(x)
    x = layers.ReLU(name=f'{name}_relu')(x)
    x = layers.BatchNormalization(name=f'{name}_norm')(x)
    return layers.SpatialDropout2D(DROPOUT, data_format=_LAST, seed=next(seeds), name=f'{name}_dropout')(x)


# -- what builders share --------------------------------------------------------------------------


def _seeds(seed):
    """Endless seeds, one a layer; None for ever if there is none, so that Keras's own seed rules."""
    if seed is None:
        while True:
            yield None
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.integers(2**31))


def _glorot(seeds):
    """Keras's usual first weights (Glorot & Bengio 2010)."""
    return keras.initializers.GlorotUniform(seed=next(seeds))


def _check_shape(shape):
    """Height, width and channels, as plain integers."""
    is_sequence = isinstance(shape, (tuple, list)) and len(shape) == 3
    if not (is_sequence and all(isinstance(n, Integral) for n in shape)):
        raise TypeError(f'shape must be three integers (height, width, channels), received {shape!r}')
    if min(shape) < 1:
        raise ValueError(f'shape must be positive, received {shape!r}')
    return tuple(int(n) for n in shape)


def _smallest_side():
    """Pixels a side that leave one to the dense layers."""
    side = 1
    for size, _ in reversed(_KERNELS):
        side = 2 * side + size - 1
    return side


# -- ours -----------------------------------------------------------------------------------------


def cluster_network(shape=(40, 40, 1), widths=(24, 48, 96, 128), dense=256, *, seed=None):
    """One network for the mass map, the mass and M/L in the field, age and distance, each with its width.

    An encoder-decoder as in U-net (Ronneberger, Fischer & Brox 2015) with residual convolutions (He+ 2016)
    and without normalisation, so that the level of the flux, which tells the distance, is never divided out.
    It works on means of blocks of pixels. The averages of all scales and the coarsest map lead to the
    scalars, which in turn inform the decoder. What is known of the distance goes in beside the image; where
    nothing is, zeros do.

    Parameters
    ----------
    shape : tuple of int
        Height, width and channels; square, and a multiple of 2 to the power of the scales less one.
    widths : tuple of int
        Channels at each scale, the finest first.
    dense : int
        Units of the first dense layer.
    seed : int, optional
        Of the first weights; None: that of Keras.

    Returns
    -------
    `keras.Model`
        Inputs: image, shape (n, height, width, channels), and distance, shape (n, 3), as
        `pidoc.networks.scaling.Scaling.image` and ``known_distance`` make them. Outputs: ``mass``, shape (n, height,
        width, 2), and ``scalars``, shape (n, 8): means, and natural logarithms of standard deviations.

    Raises
    ------
    TypeError, ValueError
        If the shape is not three positive integers, or does not fit.
    """
    height, width, _ = shape = _check_shape(shape)
    widths = tuple(int(channels) for channels in widths)
    if height != width or height % 2 ** (len(widths) - 1):
        raise ValueError(f'shape must be square, with a side that is a multiple of {2 ** (len(widths) - 1)}, '
                         f'received {shape!r}')
    seeds = _seeds(seed)
    image = keras.Input(shape, name='image')
    distance = keras.Input((3,), name='distance')
    x, scales, averages = image, [], []
    for level, channels in enumerate(widths):
        x = _activated(x, channels, seeds, f'down{level}', strides=2 if level else 1)
        if level:
            x = layers.Add(name=f'down{level}_sum')([x, _activated(x, channels, seeds, f'down{level}_more')])
        scales.append(x)
        averages.append(layers.GlobalAveragePooling2D(data_format=_LAST, name=f'average{level}')(x))
    scalars, code = _scalar_head(x, averages, distance, dense, seeds)
    told = layers.Dense(widths[-1], kernel_initializer=_he(seeds), name='told')(code)
    x = layers.Add(name='told_sum')([x, layers.Reshape((1, 1, widths[-1]), name='told_map')(told)])
    for level in range(len(widths) - 2, -1, -1):
        x = _activated(x, widths[level], seeds, f'up{level}_narrow', size=1)
        x = layers.UpSampling2D(2, data_format=_LAST, name=f'up{level}')(x)
        x = layers.Concatenate(name=f'up{level}_both')([x, scales[level]])
        x = _activated(x, widths[level], seeds, f'up{level}_mix')
    # zeros: the first guess is the mean of all maps with their standard deviation
    mass = layers.Conv2D(2, 3, padding='same', data_format=_LAST, dtype='float32',
                         kernel_initializer='zeros', name='mass')(x)
    return keras.Model([image, distance], [mass, scalars], name='cluster')


def _scalar_head(x, averages, distance, dense, seeds):
    """Scalars, and the code that they come from."""
    few = _activated(x, 32, seeds, 'few', size=1)
    flat = layers.Flatten(data_format=_LAST, name='flatten')(few)
    code = layers.Concatenate(name='summary')([*averages, flat, distance])
    code = layers.Dense(dense, activation='relu', kernel_initializer=_he(seeds), name='dense1')(code)
    # the distance again: the masses are nearly linear in it
    code = layers.Concatenate(name='dense1_distance')([code, distance])
    code = layers.Dense(dense // 2, activation='relu', kernel_initializer=_he(seeds), name='dense2')(code)
    last = layers.Concatenate(name='dense2_distance')([code, distance])
    return layers.Dense(8, dtype='float32', kernel_initializer='zeros', name='scalars')(last), code


def _activated(x, channels, seeds, name, *, size=3, strides=1):
    """Convolution and ReLU."""
    x = layers.Conv2D(channels, size, strides=strides, padding='same', data_format=_LAST,
                      kernel_initializer=_he(seeds), name=name)(x)
    return layers.ReLU(name=f'{name}_relu')(x)


def _he(seeds):
    """First weights for layers with ReLU (He+ 2015)."""
    return keras.initializers.HeNormal(seed=next(seeds))
