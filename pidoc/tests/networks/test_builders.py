# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The networks of the paper: their sizes, their layers, that they learn and come back from a file."""


import keras
import numpy as np
import pytest

from pidoc.networks.paper import (
    AGE_DISTANCE_LEARNING_RATE,
    DROPOUT,
    MASS_LEARNING_RATE,
    paper_age_distance_network,
    paper_mass_network,
)
from pidoc.tests.networks.backends import run_with_backend

SMALL = {paper_mass_network: (16, 32, 1), paper_age_distance_network: (91, 95, 1)}
BUILDERS = list(SMALL)


@pytest.fixture(scope='module')
def networks():
    """Both at full size, for questions that change nothing."""
    return {build: build() for build in BUILDERS}


def multiplications(network):
    """Of one map, from the layers' kernels and outputs alone."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += np.prod(layer.output.shape[1:3]) * np.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += np.prod(layer.kernel.shape)
    return int(total)


def maps(shape, n=4, seed=1):
    return np.random.default_rng(seed).normal(size=(n, *shape)).astype('float32')


def answer(network, light, *, training=False):
    return keras.ops.convert_to_numpy(network(light, training=training))


# -- what is known of the released models ---------------------------------------------------------


def test_size_of_the_mass_network(networks):
    # the authors' released model: 2.18 million parameters, 2.53e9 multiplications a map
    network = networks[paper_mass_network]
    assert network.count_params() == pytest.approx(2.18e6, rel=0.003)
    assert multiplications(network) == pytest.approx(2.53e9, rel=0.02)


def test_size_of_the_age_distance_network(networks):
    # the authors' released model: 0.52 million parameters
    network = networks[paper_age_distance_network]
    assert network.count_params() == pytest.approx(0.52e6, rel=0.01)
    # by hand, from the kernels: 151^2 10^2 16 + 66^2 10^2 16 32 + 29^2 5^2 32 64 + 10^2 5^2 64 128 + dense
    assert multiplications(network) == 36481600 + 223027200 + 43059200 + 20480000 + 207392


def test_multiplications_by_hand():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(5, 3, padding='valid')(inputs)
    x = keras.layers.Dense(2)(keras.layers.Flatten()(x))
    assert multiplications(keras.Model(inputs, x)) == 6 * 6 * 9 * 3 * 5 + 6 * 6 * 5 * 2


def test_shapes(networks):
    assert networks[paper_mass_network].input_shape == (None, 160, 160, 1)
    assert networks[paper_mass_network].output_shape == (None, 160, 160, 1)
    assert networks[paper_age_distance_network].output_shape == (None, 2)


@pytest.mark.parametrize('build', BUILDERS)
def test_shapes_of_other_maps(build):
    network = build((112, 128, 2))
    assert network.input_shape == (None, 112, 128, 2)
    expected = (2, 112, 128, 1) if build is paper_mass_network else (2, 2)
    assert network(maps((112, 128, 2), n=2)).shape == expected


def test_constants_of_the_paper():
    assert pytest.approx(3.1623e-3, rel=1e-4) == DROPOUT == MASS_LEARNING_RATE
    assert AGE_DISTANCE_LEARNING_RATE == 1e-4


def test_order_within_a_convolution(networks):
    # convolution, ReLU, normalisation, dropout of channels at the paper's rate
    network = networks[paper_mass_network]
    names = [layer.name for layer in network.layers]
    start = names.index('encoder2_conv1')
    kinds = [type(layer).__name__ for layer in network.layers[start:start + 4]]
    assert kinds == ['Conv2D', 'ReLU', 'BatchNormalization', 'SpatialDropout2D']
    rates = {layer.rate for layer in network.layers if isinstance(layer, keras.layers.SpatialDropout2D)}
    assert rates == {DROPOUT}


def test_levels_of_the_mass_network(networks):
    network = networks[paper_mass_network]
    # height, channels: two convolutions concatenated; doubled in size and the encoder's beside them
    expected = {'encoder1_both': (160, 64), 'encoder2_both': (80, 128), 'encoder3_both': (40, 256),
                'encoder4_both': (20, 256), 'encoder4_pool': (10, 256), 'decoder4_both': (10, 256),
                'decoder4_skip': (20, 384), 'decoder3_skip': (40, 384), 'decoder2_skip': (80, 192),
                'decoder1_both': (80, 64), 'decoder1_skip': (160, 96)}
    for name, (height, channels) in expected.items():
        assert network.get_layer(name).output.shape == (None, height, height, channels), name


@pytest.mark.parametrize('name', ['encoder1_conv2', 'encoder4_conv2'])
def test_skip_connections_carry(name):
    network = paper_mass_network((32, 32, 1), seed=1)
    across = keras.Model(network.input, network.get_layer(f'{name}_dropout').output)
    skip = keras.Model(network.input, network.get_layer(name.replace('encoder', 'decoder')
                                                        .replace('conv2', 'skip')).output)
    light = maps((32, 32, 1))
    carried, both = answer(across, light), answer(skip, light)
    np.testing.assert_array_equal(both[..., -carried.shape[-1]:], carried)


@pytest.mark.parametrize('build', BUILDERS)
def test_stock_layers_all_named(build):
    stock = {'InputLayer', 'Conv2D', 'ReLU', 'BatchNormalization', 'SpatialDropout2D', 'MaxPooling2D',
             'UpSampling2D', 'Concatenate', 'Flatten', 'Dense'}
    first, second = build(SMALL[build]), build(SMALL[build])
    assert {type(layer).__name__ for layer in first.layers} <= stock
    # names of Keras's own making count upwards: the second network would have others
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


# -- shapes and seeds -----------------------------------------------------------------------------


@pytest.mark.parametrize('build', BUILDERS)
@pytest.mark.parametrize(('shape', 'error', 'message'), [
    ((160, 160), TypeError, r'shape must be three integers .* received \(160, 160\)'),
    (160, TypeError, 'shape must be three integers .* received 160'),
    ((160.0, 160, 1), TypeError, r'shape must be three integers .* received \(160.0, 160, 1\)'),
    ((160, 160, 0), ValueError, r'shape must be positive, received \(160, 160, 0\)')])
def test_shapes_that_are_none(build, shape, error, message):
    with pytest.raises(error, match=message):
        build(shape)


def test_sides_that_do_not_halve():
    with pytest.raises(ValueError, match=r'must be multiples of 16, received \(160, 150, 1\)'):
        paper_mass_network((160, 150, 1))


def test_smallest_map_for_the_convolutions():
    assert paper_age_distance_network((91, 91, 1)).get_layer('conv4_pool').output.shape == (None, 1, 1, 128)
    with pytest.raises(ValueError, match=r'must be at least 91, received \(160, 90, 1\)'):
        paper_age_distance_network((160, 90, 1))


@pytest.mark.parametrize('build', BUILDERS)
def test_seed(build):
    shape = SMALL[build]
    one, same, other = (build(shape, seed=seed).get_weights() for seed in (1, 1, 2))
    for a, b in zip(one, same):
        np.testing.assert_array_equal(a, b)
    kernels = [(a, b) for a, b in zip(one, other) if a.ndim > 1]
    assert all((a != b).any() for a, b in kernels) and len(kernels) > 3
    # no two layers alike
    firsts = [a.flat[0] for a, _ in kernels]
    assert len(set(firsts)) == len(firsts)


def test_without_a_seed_that_of_keras_rules():
    starts = []
    for seed in (3, 3, 4):
        keras.utils.set_random_seed(seed)
        starts.append(paper_mass_network((16, 16, 1)).get_layer('encoder1_conv1').get_weights()[0])
    np.testing.assert_array_equal(starts[0], starts[1])
    assert (starts[0] != starts[2]).any()


# -- learning, saving -----------------------------------------------------------------------------


@pytest.mark.parametrize(('build', 'rate'), [(paper_mass_network, MASS_LEARNING_RATE),
                                             (paper_age_distance_network, AGE_DISTANCE_LEARNING_RATE)])
def test_training_lowers_the_loss(build, rate):
    network = build(SMALL[build], seed=1)
    n = 16    # fewer, and the dropout makes more noise, by way of the normalisation, than training gains
    light = maps(SMALL[build], n)
    truth = 0.5 * light - 0.3 if build is paper_mass_network else maps((2,), n, seed=2)
    # step by step: compilation would take ten times as long as the rest; with JAX it is the other way round
    eagerly = keras.backend.backend() != 'jax'
    network.compile(optimizer=keras.optimizers.Adam(rate), loss='mse', run_eagerly=eagerly)
    history = network.fit(light, truth, epochs=6, batch_size=n, shuffle=False, verbose=0).history['loss']
    assert np.isfinite(history).all()
    assert history[-1] < 0.6 * history[0]


@pytest.mark.parametrize('build', BUILDERS)
def test_weights_come_back(build, tmp_path):
    shape = SMALL[build]
    network, other = build(shape, seed=1), build(shape, seed=2)
    light = maps(shape)
    fresh = answer(network, light)
    answer(network, light, training=True)    # moves the means and variances of the normalisation
    expected = answer(network, light)
    assert not np.allclose(expected, fresh) and not np.allclose(answer(other, light), expected)
    network.save_weights(tmp_path / 'network.weights.h5')
    other.load_weights(tmp_path / 'network.weights.h5')
    np.testing.assert_array_equal(answer(other, light), expected)


@pytest.mark.parametrize('build', BUILDERS)
def test_the_whole_network_comes_back_in_safe_mode(build, tmp_path):
    network = build(SMALL[build], seed=1)
    network.save(tmp_path / 'network.keras')
    other = keras.saving.load_model(tmp_path / 'network.keras', safe_mode=True)
    light = maps(SMALL[build])
    np.testing.assert_array_equal(answer(other, light), answer(network, light))


@pytest.mark.parametrize('build', BUILDERS)
def test_half_precision_ends_in_full(build):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy('mixed_bfloat16')
    try:
        network = build(SMALL[build])
    finally:
        keras.config.set_dtype_policy(policy)
    assert network.layers[1].compute_dtype == 'bfloat16'
    assert network.layers[-1].compute_dtype == 'float32'


@pytest.mark.slow
@pytest.mark.parametrize('backend', ['jax', 'torch'])
def test_backend(backend):
    """Every other test of this file, with another backend of Keras, in a new interpreter."""
    run_with_backend(backend, __file__)
