# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The perceptual loss: against its formula in numpy, the weights it reads, that a network learns by it."""


import h5py
import keras
import numpy as np
import pytest

from pidoc.networks import losses
from pidoc.networks.losses import IMAGENET_SPREAD, PerceptualLoss
from pidoc.networks.paper import MASS_LEARNING_RATE, paper_mass_network
from pidoc.tests.networks.backends import run_with_backend

CHANNELS = {'block1_conv1': (3, 64), 'block1_conv2': (64, 64),
            'block2_conv1': (64, 128), 'block2_conv2': (128, 128)}
SCALES = (1.0, IMAGENET_SPREAD)


def maps(seed, shape=(2, 8, 6, 1)):
    return np.random.default_rng(seed).normal(size=shape).astype('float32')


def features(loss):
    """What the loss says of two fixed maps; it stands for its weights."""
    return float(loss(maps(1), maps(2)))


def vgg16_like(seed=0):
    """Kernels and biases of VGG16's shapes; biases far from zero, as trained ones are."""
    rng = np.random.default_rng(seed)
    return {name: [rng.normal(0, 0.1, (3, 3, *channels)).astype('float32'),
                   rng.normal(0, 2.0, channels[1]).astype('float32')] for name, channels in CHANNELS.items()}


def write_old(path, arrays, *, root='', tail=':0'):
    """The layout of the files that Keras distributes: a group a layer, with the names of its arrays."""
    with h5py.File(path, 'w') as file:
        group = file.create_group(root) if root else file
        for name, (kernel, bias) in arrays.items():
            layer = group.create_group(name)
            names = [f'{name}/{name}_W_1{tail}', f'{name}/{name}_b_1{tail}']
            layer.attrs['weight_names'] = [text.encode() for text in names]
            for text, array in zip(names, (kernel, bias)):
                layer[text] = array
    return path


# -- the formula, without Keras -------------------------------------------------------------------


def convolve(x, kernel, bias):
    """3 x 3 with zeros around, then ReLU; x is (n, y, x, channel)."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    total = np.zeros((*x.shape[:3], len(bias)))
    for dy in range(3):
        for dx in range(3):
            total += padded[:, dy:dy + height, dx:dx + width] @ kernel[dy, dx].astype(float)
    return np.maximum(total + bias, 0.0)


def pool(x):
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def by_hand(true, predicted, arrays, scale):
    """Appendix A: the mean square errors of three layers, summed; one number a map."""
    total = np.zeros(len(true))
    pair = [np.repeat(scale * x.astype(float), 3, axis=-1) for x in (true, predicted)]
    for name in CHANNELS:
        if name == 'block2_conv1':
            pair = [pool(x) for x in pair]
        pair = [convolve(x, *arrays[name]) for x in pair]
        if name != 'block2_conv1':
            total += ((pair[0] - pair[1]) ** 2).mean(axis=(1, 2, 3))
    return total / scale**2


@pytest.mark.parametrize('scale', [IMAGENET_SPREAD, 1.0])
def test_the_formula(tmp_path, scale):
    arrays = vgg16_like()
    loss = PerceptualLoss(write_old(tmp_path / 'vgg16.h5', arrays), scale=scale, reduction=None)
    result = keras.ops.convert_to_numpy(loss(maps(1), maps(2)))
    np.testing.assert_allclose(result, by_hand(maps(1), maps(2), arrays, scale), rtol=1e-4)


def test_scale_matters_because_of_biases(tmp_path):
    path = write_old(tmp_path / 'vgg16.h5', vgg16_like())
    one, usual = (features(PerceptualLoss(path, scale=scale)) for scale in SCALES)
    assert abs(one / usual - 1.0) > 0.1
    # without biases VGG16 is homogeneous, and the scale drops out
    one, usual = (features(PerceptualLoss(None, scale=scale)) for scale in SCALES)
    assert one == pytest.approx(usual, rel=1e-5)


def test_imagenet_spread():
    assert pytest.approx(255 * np.mean([0.229, 0.224, 0.225]), rel=2e-3) == IMAGENET_SPREAD


def test_equal_maps_have_no_loss():
    loss = PerceptualLoss(None)
    assert float(loss(maps(1), maps(1))) == 0.0
    assert float(loss(maps(1), maps(2))) > 0.0


def test_mean_over_maps():
    each = keras.ops.convert_to_numpy(PerceptualLoss(None, reduction=None)(maps(1), maps(2)))
    assert each.shape == (2,)
    loss = PerceptualLoss(None)
    assert features(loss) == pytest.approx(each.mean(), rel=1e-6)
    only_first = loss(maps(1), maps(2), sample_weight=np.array([1.0, 0.0], dtype='float32'))
    assert float(only_first) == pytest.approx(each[0] / 2.0, rel=1e-6)


@pytest.mark.parametrize('shape', [(2, 8, 8, 3), (2, 8, 8), (2, 2)])
def test_maps_of_one_channel_only(shape):
    loss = PerceptualLoss(None)
    with pytest.raises(ValueError, match=r'y_pred must be maps of shape \(n, .* 1\), received \(2'):
        loss(maps(1), maps(2, shape))
    with pytest.raises(ValueError, match=r'y_true must be maps of shape \(n, .* 1\), received \(2'):
        loss(maps(2, shape), maps(1))


# -- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize(('root', 'tail'), [('', ':0'), ('model_weights', ''), ('', '')])
def test_older_files(tmp_path, root, tail):
    arrays = vgg16_like()
    path = write_old(tmp_path / 'vgg16.h5', arrays, root=root, tail=tail)
    expected = by_hand(maps(1), maps(2), arrays, IMAGENET_SPREAD).mean()
    assert features(PerceptualLoss(str(path))) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('suffix', ['.weights.h5', '.h5'])
def test_files_that_keras_writes(tmp_path, suffix):
    network = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    for name, arrays in vgg16_like().items():
        network.get_layer(name).set_weights(arrays)
    path = tmp_path / f'vgg16{suffix}'
    (network.save_weights if suffix == '.weights.h5' else network.save)(path)
    expected = by_hand(maps(1), maps(2), vgg16_like(), IMAGENET_SPREAD).mean()
    assert features(PerceptualLoss(path)) == pytest.approx(expected, rel=1e-4)


def test_the_name_of_a_file_tells_its_content(tmp_path):
    one = write_old(tmp_path / 'one.h5', vgg16_like(1))
    other = write_old(tmp_path / 'other.h5', vgg16_like(2))
    used = [PerceptualLoss(path).weights_used for path in (one, other)]
    assert used[0].startswith('one.h5, SHA-256 ') and used[1].startswith('other.h5, SHA-256 ')
    assert used[0].split()[-1] != used[1].split()[-1]
    assert str(tmp_path) not in used[0]


def test_a_copy_of_the_imagenet_file_is_called_so(tmp_path, monkeypatch):
    import hashlib
    path = write_old(tmp_path / 'copy.h5', vgg16_like())
    monkeypatch.setattr(losses, '_IMAGENET_FILES', {hashlib.md5(path.read_bytes()).hexdigest()})
    assert PerceptualLoss(path).weights_used == 'imagenet'


def test_imagenet_files_are_those_of_keras():
    import inspect
    source = inspect.getsource(inspect.unwrap(keras.applications.VGG16))
    assert len(losses._IMAGENET_FILES) == 2
    assert all(md5 in source for md5 in losses._IMAGENET_FILES)


def test_imagenet(monkeypatch):
    """What keras.applications returns is what is used; only its download is replaced."""
    asked = []

    def vgg16(**options):
        asked.append(dict(options))
        network = real(**{**options, 'weights': None})
        for name, arrays in vgg16_like(7).items():
            network.get_layer(name).set_weights(arrays)
        return network

    real = keras.applications.VGG16
    monkeypatch.setattr(keras.applications, 'VGG16', vgg16)
    loss = PerceptualLoss()
    assert asked[0]['weights'] == 'imagenet'
    assert loss.weights_used == 'imagenet'
    expected = by_hand(maps(1), maps(2), vgg16_like(7), IMAGENET_SPREAD).mean()
    assert features(loss) == pytest.approx(expected, rel=1e-4)


def test_imagenet_without_network(monkeypatch):
    def vgg16(**options):
        raise Exception('URL fetch failure on https://example.org/vgg16.h5: None -- no route to host')

    monkeypatch.setattr(keras.applications, 'VGG16', vgg16)
    with pytest.raises(ConnectionError, match="could not be fetched: .* Keras said: 'URL fetch"):
        PerceptualLoss()


def test_random_weights():
    one, same, other = (PerceptualLoss(None, seed=seed) for seed in (1, 1, 2))
    assert features(one) == features(same) != features(other)
    assert one.weights_used == 'random, seed 1'
    # the spread of Glorot & Bengio: variance 2 / (fan in + fan out)
    kernel, bias = losses._random_weights(3)['block2_conv2']
    assert kernel.var() == pytest.approx(2.0 / (9 * 256), rel=0.02)
    assert not bias.any()


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="None or a file, no such file: .*none.h5"):
        PerceptualLoss(tmp_path / 'none.h5')


def test_weights_of_another_kind():
    with pytest.raises(TypeError, match="must be 'imagenet', None or a path, received 3"):
        PerceptualLoss(3)


def test_no_hdf5_file(tmp_path):
    path = tmp_path / 'vgg16.h5'
    path.write_text('not found on this server')
    with pytest.raises(ValueError, match="a file of VGG16's weights must be HDF5, received .*vgg16.h5"):
        PerceptualLoss(path)


@pytest.mark.parametrize('layout', ['old', 'new', 'half'])
def test_files_of_another_network(tmp_path, layout):
    path = tmp_path / 'other.weights.h5'
    missing = 'block1_conv1'
    if layout == 'old':
        write_old(path, {'conv1': vgg16_like()['block1_conv1']})
    elif layout == 'new':
        paper_mass_network((16, 16, 1)).save_weights(path)
    else:
        missing = 'block2_conv2'
        write_old(path, {name: arrays for name, arrays in vgg16_like().items() if name != missing})
    with pytest.raises(ValueError, match=f"must have a layer {missing}, not found in .*other.weights.h5"):
        PerceptualLoss(path)


def test_arrays_of_another_shape(tmp_path):
    arrays = vgg16_like()
    arrays['block1_conv2'][0] = arrays['block1_conv2'][0][:, :, :32]
    path = write_old(tmp_path / 'thin.h5', arrays)
    with pytest.raises(ValueError, match=r'block1_conv2 of VGG16 must have arrays of .* received .*32, 64'):
        PerceptualLoss(path)


@pytest.mark.parametrize('scale', [0.0, -1.0, np.inf, 'large', None])
def test_scales_that_are_none(scale):
    with pytest.raises(ValueError, match='scale must be a number above 0, received'):
        PerceptualLoss(None, scale=scale)


# -- with a network -------------------------------------------------------------------------------


def test_training_lowers_the_loss():
    network = paper_mass_network((16, 16, 1), seed=1)
    light = maps(1, (4, 16, 16, 1))
    mass = 0.5 * light - 0.3
    loss = PerceptualLoss(None)
    network.compile(optimizer=keras.optimizers.Adam(MASS_LEARNING_RATE), loss=loss,
                    run_eagerly=keras.backend.backend() != 'jax')
    before = loss._features(np.repeat(light, 3, axis=-1))
    history = network.fit(light, mass, epochs=8, batch_size=4, verbose=0).history['loss']
    # the gradient came through VGG16, which did not move
    assert np.isfinite(history).all()
    assert history[-1] < 0.7 * history[0]
    for a, b in zip(before, loss._features(np.repeat(light, 3, axis=-1))):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b))


def test_the_gradient_is_that_of_the_formula(tmp_path):
    """One linear pixel-wise weight w: fit's first step of plain descent is w - rate dL/dw."""
    arrays = vgg16_like()
    loss = PerceptualLoss(write_old(tmp_path / 'vgg16.h5', arrays))
    light, mass = maps(1), maps(2)
    inputs = keras.Input(light.shape[1:])
    output = keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer='ones')(inputs)
    network = keras.Model(inputs, output)
    network.compile(optimizer=keras.optimizers.SGD(1e-4), loss=loss,
                    run_eagerly=keras.backend.backend() != 'jax')
    network.fit(light, mass, epochs=1, verbose=0)
    step = (network.get_weights()[0].item() - 1.0) / -1e-4
    h = 1e-4
    up, down = (by_hand(mass, w * light, arrays, IMAGENET_SPREAD).mean() for w in (1 + h, 1 - h))
    assert step == pytest.approx((up - down) / (2 * h), rel=5e-3)


def test_vgg16_is_not_stored_with_the_network(tmp_path):
    network = paper_mass_network((16, 16, 1), seed=1)
    network.save_weights(tmp_path / 'without.weights.h5')
    network.compile(optimizer='sgd', loss=PerceptualLoss(None))
    network.save_weights(tmp_path / 'with.weights.h5')
    without, with_loss = ((tmp_path / f'{name}.weights.h5').stat().st_size for name in ('without', 'with'))
    # VGG16's four layers have 260,160 numbers
    assert abs(with_loss - without) < 1e5


def test_config():
    loss = PerceptualLoss(None, scale=2.0, seed=5, name='seen')
    other = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(other) is PerceptualLoss
    assert other.get_config() == loss.get_config()
    assert features(other) == features(loss)


@pytest.mark.slow
@pytest.mark.parametrize('backend', ['jax', 'torch'])
def test_backend(backend):
    """Every other test of this file, with another backend of Keras, in a new interpreter."""
    run_with_backend(backend, __file__)
