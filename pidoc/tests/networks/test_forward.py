# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The network in numpy beside the same in Keras."""

from contextlib import nullcontext
from itertools import product

import numpy as np
import pytest

from pidoc.inference.folder import read_card, read_weights, weights_of, write_weights
from pidoc.networks import forward
from pidoc.networks.backend import keras, layers
from pidoc.networks.cluster import cluster_network
from pidoc.networks.forward import ClusterForward
from pidoc.networks.shapes import weight_shapes
from pidoc.prediction.mapper import _MODELS, pretrained_models

CONFIGS = [
    {'shape': (40, 40, 1)},
    {'shape': (8, 8, 1), 'widths': (4, 8), 'dense': 16},
    {'shape': (24, 24, 3), 'widths': (6, 5, 7, 9), 'dense': 31, 'known': 11, 'scalars': 29},
    {'shape': (20, 20, 2), 'widths': (16, 24, 32)},
    {'shape': (5, 5, 1), 'widths': (3,), 'dense': 8},
    {'shape': (6, 6, 2), 'widths': (1, 1), 'dense': 2},
]


def _random(config, seed=1):
    """A network whose outputs have a variance of about one."""
    network = cluster_network(**config, seed=seed)
    rng = np.random.default_rng(seed)
    network.set_weights([
        rng.normal(0.0, 0.1 if value.ndim == 1 else np.sqrt(1.5 / np.prod(value.shape[:-1])), value.shape)
        for value in network.get_weights()])
    return network


def _inputs(config, number, seed=2):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(number, *config['shape'])).astype(np.float32),
            rng.normal(size=(number, config.get('known', 3))).astype(np.float32)]


def _same(ours, keras):
    for one, other in zip(ours, keras, strict=True):
        assert one.dtype == np.float32 and one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=1e-5 * max(1.0, float(np.std(other))), rtol=0.0)


@pytest.mark.parametrize('config', CONFIGS, ids=str)
def test_outputs_are_those_of_keras(config):
    network, inputs = _random(config), _inputs(config, 7)
    expected = network.predict_on_batch(inputs)
    assert all(0.1 < np.std(each) < 10.0 for each in expected)
    _same(ClusterForward(weights_of(network), config).predict_on_batch(inputs), expected)


@pytest.mark.parametrize('name', pretrained_models())
def test_packaged_models_predict_what_keras_predicts(name):
    config = read_card(_MODELS / name)['config']
    weights = read_weights(_MODELS / name / 'network-0.npz')
    network = cluster_network(**config)
    network.set_weights(list(weights.values()))
    inputs = _inputs(config, 16)
    _same(ClusterForward(weights, config).predict_on_batch(inputs), network.predict_on_batch(inputs))


def test_scalars_with_several_things_known_are_those_with_each():
    config = CONFIGS[2]
    network, (image, known) = ClusterForward(weights_of(_random(config)), config), _inputs(config, 5)
    others = [known, known[::-1].copy(), np.zeros_like(known)]
    mass, scalars, _ = network.predict_with(image, others)
    assert scalars.shape == (5, 3, 29)
    for k, other in enumerate(others):
        alone = network.predict_on_batch([image, other])
        np.testing.assert_allclose(scalars[:, k], alone[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(mass, network.predict_on_batch([image, known])[0])


@pytest.mark.parametrize('config', CONFIGS, ids=str)
def test_the_encoding_is_that_of_keras(config):
    """Averages at all scales, which are there for every image whatever is known of it."""
    network, (image, known) = _random(config), _inputs(config, 5)
    *_, encoding = ClusterForward(weights_of(network), config).predict_with(image, [known])
    averages = [layer.output for layer in network.layers if isinstance(layer, layers.GlobalAveragePooling2D)]
    expected = keras.Model(network.inputs, averages).predict_on_batch([image, 0.0 * known])
    _same([encoding], [np.concatenate([*expected] if len(averages) > 1 else [expected], axis=1)])


def test_parts_do_not_change_the_outputs(monkeypatch):
    config = CONFIGS[3]
    network, inputs = ClusterForward(weights_of(_random(config)), config), _inputs(config, 9)
    whole = network.predict_on_batch(inputs)
    for pixels, floats in product((1, 800), (1, 2000)):
        monkeypatch.setattr(forward, '_PIXELS', pixels)
        monkeypatch.setattr(forward, '_FLOATS', floats)
        _same(network.predict_on_batch(inputs), whole)
    one = network.predict_on_batch([each[4:5] for each in inputs])
    _same(one, [each[4:5] for each in whole])


@pytest.mark.parametrize('threads', [2, 3, 50])
def test_threads_do_not_change_a_bit(monkeypatch, threads):
    config = CONFIGS[3]
    network, inputs = ClusterForward(weights_of(_random(config)), config), _inputs(config, 9)
    monkeypatch.setattr(forward, '_PIXELS', 1)
    monkeypatch.setattr(forward, 'single_threaded_blas', lambda: nullcontext(1))
    alone = network.predict_on_batch(inputs)
    monkeypatch.setattr(forward, 'single_threaded_blas', lambda: nullcontext(threads))
    for one, other in zip(network.predict_on_batch(inputs), alone, strict=True):
        np.testing.assert_array_equal(one, other)


def test_input_and_earlier_output_are_left_alone():
    config = CONFIGS[1]
    network, inputs = ClusterForward(weights_of(_random(config)), config), _inputs(config, 3)
    kept = [each.copy() for each in inputs]
    first = network.predict_on_batch(inputs)
    again = [each.copy() for each in first]
    network.predict_on_batch([each + 1 for each in inputs])
    for one, other in zip([*inputs, *first], [*kept, *again], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('config', CONFIGS, ids=str)
def test_names_and_shapes_of_weights_are_those_of_keras(config):
    keras = {name: value.shape for name, value in weights_of(cluster_network(**config)).items()}
    assert weight_shapes(**config) == keras
    assert list(weight_shapes(**config)) == list(keras)


def test_weights_written_from_either_are_the_same(tmp_path):
    config = CONFIGS[1]
    network = _random(config)
    write_weights(network, tmp_path / 'keras.npz', dtype=np.float32)
    write_weights(ClusterForward(weights_of(network), config), tmp_path / 'ours.npz', dtype=np.float32)
    ours, keras = (read_weights(tmp_path / f'{name}.npz') for name in ('ours', 'keras'))
    assert list(ours) == list(keras)
    for name, value in ours.items():
        np.testing.assert_array_equal(value, keras[name])


def test_refuses_weights_of_another_network():
    config = CONFIGS[1]
    weights = weights_of(_random(config))
    with pytest.raises(ValueError, match='must be those of a network with .* 22 arrays, where 30 of'):
        ClusterForward(weights, {**config, 'widths': (4, 8, 8)})
    with pytest.raises(ValueError, match='must be those of a network with'):
        ClusterForward(weights, {**config, 'widths': (5, 8)})
    with pytest.raises(TypeError, match='depth'):
        ClusterForward(weights, {**config, 'depth': 3})


@pytest.mark.parametrize(('config', 'error', 'message'), [
    ({'shape': (8, 6, 1)}, ValueError, 'shape must be square, with a side that is a multiple of 8, received'),
    ({'shape': (8, 8)}, TypeError, 'shape must be three integers'),
    ({'shape': (8, 8, 1), 'widths': ()}, ValueError, r'widths, at least one, and .* received \(\)'),
    ({'shape': (8, 8, 1), 'widths': (4, 'x')}, ValueError, 'must be whole numbers above 0'),
    ({'shape': (8, 8, 1), 'dense': 0}, ValueError, 'received .* and 0'),
])
def test_impossible_networks_are_refused_alike(config, error, message):
    for build in (weight_shapes, cluster_network):
        with pytest.raises(error, match=message):
            build(**config)
