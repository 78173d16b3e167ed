# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Checks of the shapes of maps and weights of networks, without Keras."""

from numbers import Integral

__all__ = ['check_cluster', 'check_shape', 'weight_shapes']


def check_shape(shape):
    """Check and return height, width and channels as plain integers."""
    is_sequence = isinstance(shape, (tuple, list)) and len(shape) == 3
    if not (is_sequence and all(isinstance(n, Integral) for n in shape)):
        raise TypeError(f'shape must be three integers (height, width, channels), received {shape!r}')
    if min(shape) < 1:
        raise ValueError(f'shape must be positive, received {shape!r}')
    return tuple(int(n) for n in shape)


def check_cluster(shape, widths, dense):
    """Check shape, widths and dense units of a `~pidoc.networks.cluster.cluster_network`; plain integers."""
    height, width, _ = shape = check_shape(shape)
    numbers = (*widths, dense)
    if len(numbers) < 2 or not all(isinstance(n, Integral) and n > 0 for n in numbers):
        raise ValueError('widths, at least one, and dense must be whole numbers above 0, received '
                         f'{widths!r} and {dense!r}')
    coarse = 2 ** (len(widths) - 1)
    if height != width or height % coarse:
        raise ValueError(f'shape must be square, with a side that is a multiple of {coarse}, received '
                         f'{shape!r}')
    return shape, tuple(map(int, widths)), int(dense)


def weight_shapes(shape=(40, 40, 1), widths=(24, 48, 96, 128), dense=256, *, known=3, scalars=8, dropout=0.0,
                  seed=None):
    """Names and shapes of the weights of `~pidoc.networks.cluster.cluster_network`, in order.

    Parameters
    ----------
    shape, widths, dense, known, scalars, dropout, seed
        As for `~pidoc.networks.cluster.cluster_network`.

    Returns
    -------
    dict
        Name -> shape, two for each layer: kernel and bias.

    Raises
    ------
    TypeError, ValueError
        As for `~pidoc.networks.cluster.cluster_network`.
    """
    (side, _, channels), widths, dense = check_cluster(shape, widths, dense)
    coarse = side // 2 ** (len(widths) - 1)
    kernels = {}
    for level, wide in enumerate(widths):
        kernels[f'down{level}'] = 3, 3, channels, wide
        if level:
            kernels[f'down{level}_more'] = 3, 3, wide, wide
        channels = wide
    kernels['few'] = 1, 1, channels, 32
    kernels['dense1'] = sum(widths) + 32 * coarse**2 + known, dense
    kernels['dense2'] = dense + known, dense // 2
    kernels['latent'] = dense // 2, channels
    for level in reversed(range(len(widths) - 1)):
        kernels[f'up{level}_narrow'] = 1, 1, widths[level + 1], widths[level]
        kernels[f'up{level}_mix'] = 3, 3, 2 * widths[level], widths[level]
    kernels['mass'] = 3, 3, widths[0], 2
    kernels['scalars'] = dense // 2 + known, scalars
    return {f'{name}/{part}': tuple(size) for name, kernel in kernels.items()
            for part, size in (('kernel', kernel), ('bias', kernel[-1:]))}
