# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The two networks of Chardin & Bianchini (2021)."""

from pidoc.networks.backend import keras, layers
from pidoc.networks.layers import glorot, LAST, layer_seeds
from pidoc.networks.shapes import check_shape

__all__ = [
    'AGE_DISTANCE_LEARNING_RATE',
    'DROPOUT',
    'MASS_LEARNING_RATE',
    'paper_age_distance_network',
    'paper_mass_network',
]

DROPOUT = 10.0**-2.5
"""Probability of dropout in both networks of the paper (Chardin & Bianchini 2021, section 3.1)."""

MASS_LEARNING_RATE = 10.0**-2.5
"""Learning rate of Adam for the paper's mass network (section 3.1.1)."""

AGE_DISTANCE_LEARNING_RATE = 1e-4
"""Learning rate of Adam for the paper's network for age and distance (section 3.1.2)."""

_ENCODER = (32, 64, 128, 128)
_KERNELS = ((10, 16), (10, 32), (5, 64), (5, 128))
_DENSE = (64, 32, 16)


def paper_mass_network(shape=(160, 160, 1), *, seed=None):
    """The paper's encoder-decoder: from the map of the light to the map of the mass.

    A block is two convolutions (3 x 3, zero padding), each with ReLU, batch normalisation and dropout of
    whole channels; its result is the two, concatenated. Encoder: four blocks of 32, 64, 128 and 128 channels,
    each followed by a maximum over 2 x 2 pixels. Decoder: four blocks of 128, 128, 64 and 32 channels; after
    each, the map is doubled in size, and the second convolution of the encoder's block of that size is
    concatenated to it. A linear 3 x 3 convolution yields the map.

    Parameters
    ----------
    shape : tuple of int, optional
        Height, width and channels of the maps; height and width multiples of 16.
    seed : int, optional
        Seed of the initial weights and of the dropout. None: that of `keras.utils.set_random_seed`.

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
    Source: Chardin & Bianchini (2021), section 3.1.1 and Fig. 1; channels and structure of a block: the
    authors' released model, which has 2.18 million parameters and 2.53 x 10^9 multiplications per map. This
    network has 2,183,169 and 2.49 x 10^9. Two other interpretations of the description have exactly as many
    and cannot be distinguished from it by counting: the first convolution of a block is concatenated in the
    decoder instead of the second, or both are and the blocks of the decoder do not concatenate.

    Examples
    --------
    >>> from pidoc.networks import paper_mass_network
    >>> network = paper_mass_network()
    >>> network.output_shape, network.count_params()
    ((None, 160, 160, 1), 2183169)
    """
    shape = check_shape(shape)
    height, width, _ = shape
    halvings = 2 ** len(_ENCODER)
    if height % halvings or width % halvings:
        raise ValueError(f'height and width of shape must be multiples of {halvings}, received {shape!r}')
    seeds = layer_seeds(seed)
    x = inputs = keras.Input(shape, name='light')
    across = []
    for level, channels in enumerate(_ENCODER, start=1):
        x, second = _block(x, channels, f'encoder{level}', seeds)
        across.append(second)
        x = layers.MaxPooling2D(2, data_format=LAST, name=f'encoder{level}_pool')(x)
    for level in range(len(_ENCODER), 0, -1):
        x, _ = _block(x, _ENCODER[level - 1], f'decoder{level}', seeds)
        x = layers.UpSampling2D(2, data_format=LAST, name=f'decoder{level}_up')(x)
        x = layers.Concatenate(name=f'decoder{level}_skip')([x, across[level - 1]])
    # float32 for any policy: the loss needs the precision
    mass = layers.Conv2D(1, 3, padding='same', data_format=LAST, dtype='float32',
                         kernel_initializer=glorot(seeds), name='mass')(x)
    return keras.Model(inputs, mass, name='paper_mass')


def paper_age_distance_network(shape=(160, 160, 1), *, seed=None):
    """The paper's second network: from the map of the light to age and distance.

    Four convolutions without padding (10 x 10 pixels and 16 channels, 10 x 10 and 32, 5 x 5 and 64, 5 x 5
    and 128), each with ReLU, batch normalisation, dropout of whole channels and a maximum over 2 x 2 pixels;
    then dense layers of 64, 32 and 16, each with batch normalisation and ReLU; then two linear numbers.

    Parameters
    ----------
    shape : tuple of int, optional
        Height, width and channels of the maps; at least 91 pixels per side, which leave one pixel at the end.
    seed : int, optional
        Seed of the initial weights and of the dropout. None: that of `keras.utils.set_random_seed`.

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
    Source: Chardin & Bianchini (2021), section 3.1.2 and Fig. 2, also for the order [age, distance]; sizes:
    the authors' released model, which has 0.52 million parameters.

    Examples
    --------
    >>> from pidoc.networks import paper_age_distance_network
    >>> network = paper_age_distance_network()
    >>> network.output_shape, network.count_params()
    ((None, 2), 517954)
    """
    shape = check_shape(shape)
    smallest = _smallest_side()
    if min(shape[:2]) < smallest:
        raise ValueError(f'height and width of shape must be at least {smallest}, received {shape!r}')
    seeds = layer_seeds(seed)
    x = inputs = keras.Input(shape, name='light')
    for number, (size, channels) in enumerate(_KERNELS, start=1):
        x = _convolve(x, channels, size, 'valid', f'conv{number}', seeds)
        x = layers.MaxPooling2D(2, data_format=LAST, name=f'conv{number}_pool')(x)
    x = layers.Flatten(data_format=LAST, name='flatten')(x)
    for number, width in enumerate(_DENSE, start=1):
        x = layers.Dense(width, kernel_initializer=glorot(seeds), name=f'dense{number}')(x)
        x = layers.BatchNormalization(name=f'dense{number}_norm')(x)
        x = layers.ReLU(name=f'dense{number}_relu')(x)
    answer = layers.Dense(2, dtype='float32', kernel_initializer=glorot(seeds), name='age_distance')(x)
    return keras.Model(inputs, answer, name='paper_age_distance')


def _block(x, channels, name, seeds):
    """Two convolutions; returns the two concatenated, and the second."""
    first = _convolve(x, channels, 3, 'same', f'{name}_conv1', seeds)
    second = _convolve(first, channels, 3, 'same', f'{name}_conv2', seeds)
    return layers.Concatenate(name=f'{name}_both')([first, second]), second


def _convolve(x, channels, size, padding, name, seeds):
    """Convolution, ReLU, batch normalisation, dropout of whole channels: the order of the released model."""
    x = layers.Conv2D(channels, size, padding=padding, data_format=LAST, kernel_initializer=glorot(seeds),
                      name=name)(x)
    x = layers.ReLU(name=f'{name}_relu')(x)
    x = layers.BatchNormalization(name=f'{name}_norm')(x)
    return layers.SpatialDropout2D(DROPOUT, data_format=LAST, seed=next(seeds), name=f'{name}_dropout')(x)


def _smallest_side():
    """Pixels per side that leave one pixel for the dense layers."""
    side = 1
    for size, _ in reversed(_KERNELS):
        side = 2 * side + size - 1
    return side
