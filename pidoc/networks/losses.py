# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Loss functions."""

import hashlib
import os
from pathlib import Path

import numpy as np

from pidoc.networks.backend import keras, layers, ops
from pidoc.networks.mixture import Layout, LIMITS
from pidoc.units import plain_number

__all__ = ['GaussianNLL', 'IMAGENET_SPREAD', 'MixtureNLL', 'PerceptualLoss']

IMAGENET_SPREAD = 57.7
"""Standard deviation of ImageNet's pixels with values up to 255: 255 times the mean of 0.229, 0.224 and
0.225, the customary values for its three colours."""

# VGG16 up to the last layer used: name, output channels, whether the loss uses it
_VGG16 = (('block1_conv1', 64, True), ('block1_conv2', 64, True),
          ('block2_conv1', 128, False), ('block2_conv2', 128, True))
_POOL_BEFORE = 'block2_conv1'
# MD5 of the two files of ImageNet weights that Keras distributes, as keras.applications states them
_IMAGENET_FILES = {'64373286793e3c8b2b4e3219cbf3544b', '6d6bbae143d832006294945121d1f1fc'}


@keras.saving.register_keras_serializable(package='pidoc')
class PerceptualLoss(keras.losses.Loss):
    """Mean square error between features of VGG16 for two maps: Chardin & Bianchini (2021), Appendix A.

    Both maps are inputs of VGG16 (Simonyan & Zisserman 2014). For each of its layers block1_conv1,
    block1_conv2 and block2_conv2, all after ReLU, the mean square error of the layer's output is computed,
    and the three are summed with equal weights. This is the feature loss of Johnson, Alahi & Fei-Fei (2016),
    their Eq. 2.

    VGG16 is frozen, in float32, and truncated after block2_conv2.

    Parameters
    ----------
    weights : str, path or None, optional
        'imagenet': those of `keras.applications`, downloaded once and cached by Keras. A path: a file of
        VGG16 weights, with or without its dense layers, written by Keras 3 (``.weights.h5``) or an older
        Keras (``.h5``, such as the distributed ones). None: random ones, for tests.
    scale : float, optional
        Factor for the maps as inputs of VGG16. See the notes.
    seed : int, optional
        Seed of random weights; equal for all backends.
    reduction, name : str, optional
        As for any `keras.losses.Loss`.

    Attributes
    ----------
    weights_used : str
        Description of the weights: 'imagenet', 'random, seed 0', or the file's name and the start of its
        SHA-256. A file distributed by Keras is described as imagenet. Report it with every result.

    Raises
    ------
    ConnectionError
        If the ImageNet weights are not cached and cannot be fetched.
    FileNotFoundError
        If the file of weights does not exist.
    TypeError, ValueError
        If ``weights`` is something else, the file is not one of VGG16's weights, ``scale`` is not a positive
        number, or, when the loss is called, the maps have other than one channel.

    Notes
    -----
    VGG16 was trained on images of three colours with 255 levels, with their mean subtracted. A map has one
    channel and is standardised. It is repeated to three channels, and multiplied by ``scale``, by default the
    standard deviation of those images, so that inputs have the same range as in its training: smaller ones
    would be negligible compared with its biases. The mean is already zero. The sum is divided by ``scale``
    squared, which keeps the loss in squared units of the standardised map and has no effect with Adam. The
    paper does not mention scaling; ``scale=1`` follows its text literally.

    Examples
    --------
    >>> import numpy as np
    >>> from pidoc.networks import PerceptualLoss
    >>> loss = PerceptualLoss(weights=None)
    >>> loss.weights_used
    'random, seed 0'
    >>> maps = np.ones((2, 16, 16, 1), dtype='float32')
    >>> float(loss(maps, maps))
    0.0
    """

    def __init__(self, weights='imagenet', *, scale=IMAGENET_SPREAD, seed=0, reduction='sum_over_batch_size',
                 name='perceptual'):
        super().__init__(name=name, reduction=reduction, dtype='float32')
        self.scale = plain_number(scale, 'scale', above=0)
        self._config = {'weights': None if weights is None else str(weights), 'seed': seed}
        arrays, self.weights_used = _vgg16_weights(weights, seed)
        network = _vgg16(arrays)
        # inside a function: otherwise Keras would store VGG16 in every weights file of the trained network
        self._features = lambda maps: network(maps, training=False)

    def call(self, y_true, y_pred):
        for name, maps in (('y_true', y_true), ('y_pred', y_pred)):
            if len(maps.shape) != 4 or maps.shape[-1] != 1:
                raise ValueError(f'{name} must be maps of shape (n, height, width, 1), received '
                                 f'{tuple(maps.shape)}')
        true, predicted = self._see(y_true), self._see(y_pred)
        errors = [ops.mean(ops.square(a - b), axis=(1, 2, 3)) for a, b in zip(true, predicted)]
        return sum(errors[1:], errors[0]) / self.scale**2

    def _see(self, maps):
        """The outputs of the three layers."""
        return self._features(ops.repeat(maps * self.scale, 3, axis=-1))

    def get_config(self):
        return {**super().get_config(), **self._config, 'scale': self.scale}


def _vgg16(arrays):
    """VGG16 up to the last layer used, with given weights; its outputs are those of the layers used."""
    x = inputs = keras.Input((None, None, 3), name='picture', dtype='float32')
    outputs = []
    for name, channels, counts in _VGG16:
        if name == _POOL_BEFORE:
            x = layers.MaxPooling2D(2, data_format='channels_last', dtype='float32', name='block1_pool')(x)
        x = layers.Conv2D(channels, 3, padding='same', activation='relu', data_format='channels_last',
                          dtype='float32', name=name)(x)
        if counts:
            outputs.append(x)
    network = keras.Model(inputs, outputs, name='vgg16_features')
    for name, _, _ in _VGG16:
        network.get_layer(name).set_weights(arrays[name])
    network.trainable = False
    return network


def _vgg16_weights(weights, seed):
    """Kernel and bias of each layer by name, and the description of the weights."""
    if weights is None:
        return _random_weights(seed), f'random, seed {seed}'
    if weights == 'imagenet':
        return _imagenet_weights(), 'imagenet'
    if not isinstance(weights, (str, os.PathLike)):
        raise TypeError(f"weights must be 'imagenet', None or a path, received {weights!r}")
    path = Path(weights)
    if not path.is_file():
        raise FileNotFoundError(f"weights must be 'imagenet', None or a file, no such file: {path}")
    return _weights_of_file(path), _name_of_file(path)


def _shapes():
    """Name of each layer and the shapes of its kernel and bias."""
    channels_in = 3
    for name, channels, _ in _VGG16:
        yield name, [(3, 3, channels_in, channels), (channels,)]
        channels_in = channels


def _random_weights(seed):
    """Uniform as in Glorot & Bengio (2010), the initial weights of VGG16 in Keras; biases zero."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, (kernel, bias) in _shapes():
        limit = np.sqrt(6.0 / (9.0 * (kernel[2] + kernel[3])))
        arrays[name] = [rng.uniform(-limit, limit, kernel).astype('float32'), np.zeros(bias, dtype='float32')]
    return arrays


def _imagenet_weights():
    """ImageNet weights from Keras, which downloads the file once, caches it, and verifies its MD5."""
    try:
        network = keras.applications.VGG16(include_top=False, weights='imagenet', input_shape=(32, 32, 3))
    except Exception as error:    # Keras raises a bare Exception here
        raise ConnectionError('the ImageNet weights of VGG16 are not cached and could not be fetched: give '
                              'the path of a local file as weights, or None for random ones. Keras said: '
                              f"'{error}'") from error
    return {name: network.get_layer(name).get_weights() for name, _, _ in _VGG16}


def _weights_of_file(path):
    """Read the layers used from a file of VGG16 weights; all must be there."""
    import h5py

    if not h5py.is_hdf5(path):
        raise ValueError(f"a file of VGG16's weights must be HDF5, received {path}")
    arrays = {}
    with h5py.File(path, 'r') as file:
        for name, shapes in _shapes():
            found = _layer_of_file(file, name)
            if found is None:
                raise ValueError(f"a file of VGG16's weights must have a layer {name}, not found in {path}")
            received = [array.shape for array in found]
            if received != shapes:
                raise ValueError(f'{name} of VGG16 must have arrays of shapes {shapes}, received {received} '
                                 f'in {path}')
            arrays[name] = found
    return arrays


def _layer_of_file(file, name):
    """The arrays of a layer, in Keras's order; None if there is no such layer."""
    # Keras 3 names groups by type; the layer's name is an attribute
    for group in file.get('layers', {}).values():
        variables = group.get('vars', {})
        if getattr(variables, 'attrs', {}).get('name') == name:
            return [variables[key][()] for key in sorted(variables, key=int)]
    root = file.get('model_weights', file)
    if name not in root or 'weight_names' not in root[name].attrs:
        return None
    keys = [key.decode() if isinstance(key, bytes) else key for key in root[name].attrs['weight_names']]
    return [root[name][key][()] for key in keys]


def _name_of_file(path):
    """Description of a file by its content."""
    content = path.read_bytes()
    if hashlib.md5(content, usedforsecurity=False).hexdigest() in _IMAGENET_FILES:
        return 'imagenet'
    return f'{path.name}, SHA-256 {hashlib.sha256(content).hexdigest()[:16]}'


@keras.saving.register_keras_serializable(package='pidoc')
class MixtureNLL(keras.losses.Loss):
    """Negative log likelihood of a mixture of multivariate normal distributions, for each variable.

    See `pidoc.networks.mixture` for the outputs of the network; constants of the likelihood are omitted, and
    it is divided by the number of variables.

    Parameters
    ----------
    variables, components : int
    covariance : {'diagonal', 'full'}
    reduction, name : str, optional
        As for any `keras.losses.Loss`.

    Notes
    -----
    Shapes: truth (n, variables); prediction (n, size), with the size of `~pidoc.networks.mixture.Layout`.
    """

    def __init__(self, variables, components=1, covariance='full', *, reduction='sum_over_batch_size',
                 name='mixture_nll'):
        super().__init__(reduction=reduction, name=name)
        self.arguments = {'variables': variables, 'components': components, 'covariance': covariance}
        self.layout = Layout(**self.arguments)

    def call(self, y_true, y_pred):
        layout = self.layout
        if y_pred.shape[-1] != layout.size or y_true.shape[-1] != layout.variables:
            raise ValueError(f'a prediction must have {layout.size} numbers for {layout.variables} '
                             f'variables, received {y_pred.shape[-1]} for {y_true.shape[-1]}')
        shape = (-1, layout.components, layout.variables)
        means, log_sd, below, logits = layout.parts(y_pred)
        log_sd = ops.reshape(ops.clip(log_sd, *LIMITS), shape)
        away = (ops.expand_dims(y_true, 1) - ops.reshape(means, shape)) * ops.exp(-log_sd)
        if layout.full:
            matrix = ops.matmul(ops.reshape(below, (-1, layout.components, layout.pairs)), layout.spread())
            matrix = ops.reshape(matrix, (*shape, layout.variables))
            away = away + ops.sum(matrix * ops.expand_dims(away, 2), axis=-1)
        log_density = -ops.sum(0.5 * ops.square(away) + log_sd, axis=-1)
        if layout.components > 1:
            log_density = ops.logsumexp(log_density + ops.log_softmax(logits, axis=-1), axis=-1)
        else:
            log_density = log_density[:, 0]
        return -log_density / layout.variables

    def get_config(self):
        return {**super().get_config(), **self.arguments}


@keras.saving.register_keras_serializable(package='pidoc')
class GaussianNLL(keras.losses.Loss):
    """Negative log likelihood of a normal distribution with predicted mean and standard deviation.

    -ln p = ln s + (y - m)^2 / 2 s^2 (Nix & Weigend 1994), each term times s^(2 beta), whose gradient is
    stopped, so that targets with large errors are also learned (Seitzer+ 2022, Eq. 4).

    Parameters
    ----------
    beta : float, optional
        0: the likelihood; 1: gradients of the mean as for the mean square error.
    reduction, name : str, optional
        As for any `keras.losses.Loss`.

    Notes
    -----
    Shapes: truth (..., k); prediction (..., 2 k), the means and then the natural logarithms of the standard
    deviations, which are clipped to -5 to 3.
    """

    def __init__(self, *, beta=0.5, reduction='sum_over_batch_size', name='gaussian_nll'):
        super().__init__(reduction=reduction, name=name)
        plain_number(beta, 'beta', at_least=0, at_most=1)
        self.beta = beta

    def call(self, y_true, y_pred):
        number = y_true.shape[-1]
        if y_pred.shape[-1] != 2 * number:
            raise ValueError('a prediction must have a mean and a width for each true value, received '
                             f'{y_pred.shape[-1]} for {number}')
        log_width = ops.clip(y_pred[..., number:], -5.0, 3.0)
        error = y_true - y_pred[..., :number]
        loss = log_width + 0.5 * ops.square(error) * ops.exp(-2.0 * log_width)
        weight = ops.stop_gradient(ops.exp(2.0 * self.beta * log_width))
        return ops.mean(weight * loss, axis=-1)

    def get_config(self):
        return {**super().get_config(), 'beta': self.beta}
