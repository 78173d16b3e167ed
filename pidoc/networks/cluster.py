# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Our network, `cluster_network`, for the mass map and all scalars."""

from pidoc.networks.backend import keras, layers
from pidoc.networks.layers import activated, he, LAST, layer_seeds
from pidoc.networks.shapes import check_cluster

__all__ = ['cluster_network']


def cluster_network(shape=(40, 40, 1), widths=(24, 48, 96, 128), dense=256, *, known=3, scalars=8,
                    dropout=0.0, seed=None):
    """Network for the mass map with its error, and for the joint posterior of all scalars.

    A U-net encoder-decoder (Ronneberger, Fischer & Brox 2015) with residual convolutions (He+ 2016) and
    without normalisation layers, which would remove the level of the flux, a measure of the distance. It
    works on blocks of pixels. The scalars are predicted from the averages of all scales and the coarsest map,
    and are inputs of the decoder. Given properties are further inputs, at three depths; unknown ones are
    zeros.

    Parameters
    ----------
    shape : tuple of int
        Height, width and channels; square, and a multiple of 2 to the power of the scales minus one.
    widths : tuple of int
        Channels at each scale, finest scale first.
    dense : int
        Units of the first dense layer.
    known, scalars : int
        Number of inputs in addition to the image, and of outputs in addition to the map.
    dropout : float, optional
        Dropout rate of the inputs of the scalars in training (Srivastava+ 2014), except for given properties.
    seed : int, optional
        Seed of the initial weights; None: that of Keras.

    Returns
    -------
    `keras.Model`
        Inputs: image, shape (n, height, width, channels), and code of the given properties, shape (n, known),
        from `pidoc.networks.scaling.Scaling.image` and ``code``. Outputs: ``mass``, shape (n, height, width,
        2), means and natural logarithms of standard deviations, and ``scalars``, shape (n, scalars), as in
        `pidoc.networks.mixture`.

    Raises
    ------
    TypeError, ValueError
        If the shape is not three positive integers, or does not match the scales; if widths or dense are not
        positive integers.
    """
    shape, widths, dense = check_cluster(shape, widths, dense)
    seeds = layer_seeds(seed)
    image = keras.Input(shape, name='image')
    given = keras.Input((known,), name='known')
    x, scales, averages = image, [], []
    for level, channels in enumerate(widths):
        x = activated(x, channels, seeds, f'down{level}', strides=2 if level else 1)
        if level:
            x = layers.Add(name=f'down{level}_sum')([x, activated(x, channels, seeds, f'down{level}_more')])
        scales.append(x)
        averages.append(layers.GlobalAveragePooling2D(data_format=LAST, name=f'average{level}')(x))
    numbers, code = _scalar_head(x, averages, given, dense, scalars, dropout, seeds)
    latent = layers.Dense(widths[-1], kernel_initializer=he(seeds), name='latent')(code)
    x = layers.Add(name='latent_sum')([x, layers.Reshape((1, 1, widths[-1]), name='latent_map')(latent)])
    for level in range(len(widths) - 2, -1, -1):
        x = activated(x, widths[level], seeds, f'up{level}_narrow', size=1)
        x = layers.UpSampling2D(2, data_format=LAST, name=f'up{level}')(x)
        x = layers.Concatenate(name=f'up{level}_both')([x, scales[level]])
        x = activated(x, widths[level], seeds, f'up{level}_mix')
    # zeros: the initial prediction is the mean of all maps with their standard deviation
    mass = layers.Conv2D(2, 3, padding='same', data_format=LAST, dtype='float32',
                         kernel_initializer='zeros', name='mass')(x)
    return keras.Model([image, given], [mass, numbers], name='cluster')


def _scalar_head(x, averages, given, dense, scalars, dropout, seeds):
    """Scalars, and the code from which they are predicted."""
    few = activated(x, 32, seeds, 'few', size=1)
    flat = layers.Flatten(data_format=LAST, name='flatten')(few)
    seen = layers.Concatenate(name='seen')([*averages, flat])
    code = layers.Concatenate(name='summary')([_dropped(seen, dropout, seeds, 'seen'), given])
    code = layers.Dense(dense, activation='relu', kernel_initializer=he(seeds), name='dense1')(code)
    code = _dropped(code, dropout, seeds, 'dense1')
    # given properties again: the masses are nearly linear in the distance
    code = layers.Concatenate(name='dense1_known')([code, given])
    code = layers.Dense(dense // 2, activation='relu', kernel_initializer=he(seeds), name='dense2')(code)
    code = _dropped(code, dropout, seeds, 'dense2')
    last = layers.Concatenate(name='dense2_known')([code, given])
    # nearly zeros, like the map; different, or the components of a mixture would remain equal
    small = keras.initializers.RandomNormal(stddev=0.01, seed=next(seeds))
    return layers.Dense(scalars, dtype='float32', kernel_initializer=small, name='scalars')(last), code


def _dropped(x, share, seeds, name):
    return layers.Dropout(share, seed=next(seeds), name=f'{name}_dropout')(x) if share else x
