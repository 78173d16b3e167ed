# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Training: what follows from the seed, going on after an interruption, calibration, the command."""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

import pidoc
from pidoc.grid import MapGrid
from pidoc.inference.domain import Domain
from pidoc.inference.estimator import Estimator, PaperEstimator
from pidoc.networks import losses
from pidoc.networks import paper as networks
from pidoc.networks.scaling import Scaling
from pidoc.scripts.pidoc_train import _DEFAULTS, _PAPER_DEFAULTS, main
from pidoc.training import fit as training
from pidoc.training.fit import PaperSettings, Settings, train, TrainingError

SIDE = 32
SMALL = Settings(epochs=3, batch_size=16, widths=(4, 8), block=4, learning_rate=3e-3)


class Recipe:
    digest = 'of the test'

    def to_dict(self):
        return {'name': 'test'}


class Maps:
    """A training set in memory: blobs whose mass is their luminosity times an M/L that the age sets."""

    recipe = Recipe()

    def __init__(self, table, light, mass):
        self.table, self._light, self._mass = table, light, mass
        self.grid = MapGrid(shape=light.shape[1:])

    @classmethod
    def make(cls, number, seed, side=SIDE):
        rng = np.random.default_rng(seed)
        age, distance = rng.uniform(1.0, 13.0, number), np.exp(rng.uniform(np.log(8), np.log(100), number))
        y, x = np.indices((side, side)) - 0.5 * (side - 1)
        width = 60.0 / distance + 4.0
        shape = np.exp(-0.5 * (x**2 + y**2) / width[:, np.newaxis, np.newaxis] ** 2)
        shape /= shape.sum(axis=(1, 2), keepdims=True)
        luminosity = 5000.0 * np.exp(rng.normal(0.0, 0.3, number))
        mass = luminosity * 0.2 * age
        flux = luminosity / (4 * np.pi * distance**2)
        split = np.where(np.arange(number) < 0.7 * number, 'train', 'validation')
        table = QTable({'split': split, 'age': age * u.Gyr, 'distance': distance * u.kpc,
                        'mass': mass * u.Msun, 'luminosity': luminosity * u.Lsun,
                        'seeing': rng.uniform(0.5, 1.5, number) * u.arcsec})
        return cls(table, flux[:, np.newaxis, np.newaxis] * shape, mass[:, np.newaxis, np.newaxis] * shape)

    def __len__(self):
        return len(self.table)

    def split(self, name):
        rows = np.flatnonzero(self.table['split'] == name)
        return Maps(self.table[rows], self._light[rows], self._mass[rows])

    def light(self, rows=slice(None)):
        return self._light[rows].astype(np.float32)

    def mass(self, rows=slice(None)):
        return self._mass[rows].astype(np.float32)


@pytest.fixture(scope='module')
def maps():
    return Maps.make(420, 1)


@pytest.fixture(scope='module')
def trained(maps, tmp_path_factory):
    folder = tmp_path_factory.mktemp('model')
    return folder, train(maps, folder, settings=SMALL, name='small', progress=False)


def test_training_lowers_the_loss_and_writes_a_model(trained, maps):
    folder, estimator = trained
    (history,) = estimator.about['history']
    assert len(history['loss']) == len(history['val_loss']) == 3
    assert history['val_loss'][-1] < history['val_loss'][0]
    assert {'val_mass__square_error', 'val_scalars__square_error'} <= set(history)
    read = Estimator.load(folder)
    assert read.about['name'] == 'small' and read.about['n_train'] == 294
    light = maps.split('validation').light(slice(0, 4))
    np.testing.assert_allclose(read.estimate(light).scalars['age'].value,
                               estimator.estimate(light).scalars['age'].value, rtol=0.02)
    Domain.from_dict(read.about['domain'])


def test_half_precision_learns_as_much_and_leaves_single_precision(trained, maps, tmp_path):
    before = keras.config.dtype_policy().name
    settings = dataclasses.replace(SMALL, precision='bfloat16')
    half = train(maps, tmp_path / 'half', settings=settings, progress=False)
    assert keras.config.dtype_policy().name == before == 'float32'
    (history,), (single,) = half.about['history'], trained[1].about['history']
    assert history['loss'] != single['loss']
    assert history['val_loss'][-1] == pytest.approx(single['val_loss'][-1], rel=0.1)
    read = Estimator.load(tmp_path / 'half')
    assert {value.dtype.name for value in read.networks[0].weights.values()} == {'float32'}
    light = maps.split('validation').light(slice(0, 4))
    np.testing.assert_allclose(read.estimate(light).scalars['age'].value,
                               half.estimate(light).scalars['age'].value, rtol=0.02)
    assert 'precision bfloat16' in (tmp_path / 'half' / 'CARD.rst').read_text()


def test_an_interrupted_training_ends_with_the_same_weights(trained, maps, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    real = keras.Model.train_on_batch

    def die(self, *args, **options):
        if int(self.optimizer.iterations) == 30:
            raise Killed
        return real(self, *args, **options)

    # in the middle of the second epoch of 18 batches, after the state of the first was written
    monkeypatch.setattr(keras.Model, 'train_on_batch', die)
    with pytest.raises(Killed):
        train(maps, tmp_path, settings=SMALL, name='small', progress=False)
    assert not (tmp_path / 'model.json').exists()
    assert (tmp_path / 'work' / 'state-0.npz').exists()
    monkeypatch.undo()
    estimator = train(maps, tmp_path, settings=SMALL, name='small', progress=False)
    folder, whole = trained
    for one, two in zip(estimator.networks[0].get_weights(), whole.networks[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (tmp_path / 'model.json').read_bytes() == (folder / 'model.json').read_bytes()


def test_a_complete_training_is_not_done_again(trained, maps, monkeypatch):
    folder, _ = trained
    monkeypatch.setattr(keras.Model, 'train_on_batch', None)
    train(maps, folder, settings=SMALL, name='small', progress=False)


def test_another_training_does_not_go_on_in_the_folder(trained, maps):
    folder, _ = trained
    with pytest.raises(TrainingError, match='is of another training'):
        train(maps, folder, settings=Settings(epochs=4, batch_size=16, widths=(4, 8)), progress=False)


def test_damaged_states_are_refused(maps, tmp_path):
    train(maps, tmp_path, settings=SMALL, progress=False)
    state, best = tmp_path / 'work' / 'state-0.npz', tmp_path / 'work' / 'best-0.npz'
    content = best.read_bytes()
    best.write_bytes(content + b' ')
    with pytest.raises(TrainingError, match='best-0.npz does not go with state-0.npz'):
        train(maps, tmp_path, settings=SMALL, progress=False)
    best.write_bytes(content)
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(TrainingError, match='state-0.npz is damaged'):
        train(maps, tmp_path, settings=SMALL, progress=False)


def test_cached_maps_must_be_as_many(maps, tmp_path):
    (tmp_path / 'work').mkdir()
    np.save(tmp_path / 'work' / 'train-light.npy', np.zeros((3, 8, 8), np.float32))
    with pytest.raises(TrainingError, match='must hold 294 maps, received 3'):
        train(maps, tmp_path, settings=SMALL, progress=False)


def test_members_differ_and_patience_ends_a_training(maps, tmp_path, monkeypatch):
    settings = Settings(members=2, epochs=6, batch_size=64, widths=(4, 4), patience=1, learning_rate=0.05)
    monkeypatch.setattr(training, '_domain', lambda *_: Domain({}, {}, {}))
    estimator = train(maps, tmp_path, settings=settings, progress=False)
    one, two = (network.get_weights()[0] for network in estimator.networks)
    assert np.abs(one - two).max() > 0.01
    for history in estimator.about['history']:
        losses = history['val_likelihood']
        assert len(losses) == 6 or losses[-1] > min(losses)


def test_a_loss_that_is_not_finite_ends_the_training(maps, tmp_path, monkeypatch):
    monkeypatch.setattr(training, '_square_error', lambda true, output: keras.ops.mean(output) * np.nan)
    monkeypatch.setattr(training.GaussianNLL, 'call',
                        lambda self, true, output: keras.ops.mean(output, axis=-1) * np.nan)
    with pytest.raises(TrainingError, match='the validation loss of epoch 1 must be finite, received nan'):
        train(maps, tmp_path, settings=SMALL, progress=False)


def test_means_are_over_all_maps():
    means = training._Means('val_')
    means.add({'loss': 1.0}, 30)
    means.add({'loss': 4.0}, 10)
    assert means.values() == {'val_loss': pytest.approx(1.75)}


def test_too_few_maps_for_a_domain_are_refused_at_once(tmp_path):
    # three tenths of these are for the validation
    few = Maps.make(100, 1)
    received = len(few.split('validation'))
    assert received < 40 <= len(few.split('train'))
    with pytest.raises(ValueError, match=f'validation must have at least 40 maps, received {received}'):
        train(few, tmp_path / 'model', settings=SMALL, progress=False)
    assert not (tmp_path / 'model').exists()


def test_too_few_maps_for_a_batch(maps, tmp_path):
    settings = Settings(epochs=1, batch_size=1000, widths=(4, 8))
    with pytest.raises(ValueError, match='must hold a batch of 1000 maps, received 294'):
        train(maps, tmp_path, settings=settings, progress=False)


@pytest.mark.parametrize('values, message', [
    ({'epochs': 0}, 'epochs must be a whole number, at least 1, received 0'),
    ({'members': 1.5}, 'members must be a whole number, at least 1, received 1.5'),
    ({'learning_rate': 0.0}, 'learning_rate must be a number above 0 and below 1, received 0.0'),
    ({'beta': 2.0}, 'beta must be a number from 0 to 1, received 2.0'),
    ({'precision': 'float16'}, "precision must be one of auto, float32, bfloat16, received 'float16'"),
])
def test_settings_are_checked(values, message):
    with pytest.raises(ValueError, match=message):
        Settings(**values)


def test_distances_are_told_to_a_share_of_the_maps_with_the_errors_stated():
    rng, scaling = np.random.default_rng(0), Scaling()
    distance = np.full(20000, 30.0)
    told = training._told(rng, distance, scaling, 0.5)
    known = told[:, 0] == 1.0
    assert known.mean() == pytest.approx(0.5, abs=0.02)
    assert np.all(told[~known] == 0.0)
    mean, sd = scaling.scalars[3]
    error = 0.03 * np.exp(told[known, 2])
    pulls = (mean + sd * told[known, 1] - np.log(30.0)) / error
    # ln(1 + e x) is a little less than e x
    assert pulls.std() == pytest.approx(1.0, abs=0.03)
    assert error.min() > 0.0049 and error.max() < 0.201


def test_maps_are_turned_together():
    rng = np.random.default_rng(3)
    maps = rng.normal(size=(4, 8, 8, 1)).astype(np.float32)
    seen = set()
    for _ in range(60):
        one, two = training._turn(rng, maps, 2.0 * maps)
        np.testing.assert_array_equal(two, 2.0 * one)
        np.testing.assert_allclose(np.sort(one.ravel()), np.sort(maps.ravel()))
        seen.add(one[0].tobytes())
    assert len(seen) == 8


# -- the networks of the paper --------------------------------------------------------------------


PAPER = PaperSettings(epochs=(2, 2), batch_size=16, vgg='random')


@pytest.fixture(scope='module')
def few():
    """Few maps, of the smallest side that both networks take; the calibration asks for 100 of them."""
    maps = Maps.make(160, 2, side=96)
    maps.table['split'] = np.where(np.arange(160) < 48, 'train', 'validation')
    return maps


@pytest.fixture(scope='module')
def slim():
    """Far fewer channels: what is tested here does not depend on them."""
    patch = pytest.MonkeyPatch()
    patch.setattr(networks, '_ENCODER', (4, 4, 4, 4))
    patch.setattr(networks, '_KERNELS', ((10, 4), (10, 4), (5, 8), (5, 8)))
    patch.setattr(losses, '_VGG16', tuple((name, 4, counts) for name, _, counts in losses._VGG16))
    yield
    patch.undo()


@pytest.fixture(scope='module')
def papers(few, slim, tmp_path_factory):
    folder = tmp_path_factory.mktemp('paper')
    return folder, train(few, folder, settings=PAPER, name='chardin', progress=False)


def test_the_defaults_are_those_of_the_paper():
    settings = PaperSettings()
    assert settings.learning_rates == (10**-2.5, 1e-4)
    assert settings.vgg == 'imagenet' and settings.pooled and settings.epochs == (100, 200)


def test_both_networks_of_the_paper_learn(papers):
    mass, other = papers[1].about['history']
    for history in (mass, other):
        assert set(history) == {prefix + name for name in ('loss', 'square_error', 'r_squared')
                                for prefix in ('', 'val_')}
        assert history['loss'][-1] < history['loss'][0]
    # perceptual, and mean square
    assert mass['loss'] != mass['square_error']
    np.testing.assert_allclose(other['loss'], other['square_error'], rtol=1e-5)
    # Eq. 1: standardised numbers have a variance near 1
    assert other['val_r_squared'][-1] == pytest.approx(1.0 - other['val_square_error'][-1], abs=0.3)


def test_the_folder_of_the_paper_loads_and_predicts(papers, few):
    folder, estimator = papers
    read = Estimator.load(folder)
    assert isinstance(read, PaperEstimator) and read.grid.shape == (96, 96)
    light = few.light(slice(0, 5))
    one, two = read.estimate(light), estimator.estimate(light)
    np.testing.assert_array_equal(one.mass, two.mass)
    given = read.estimate(light, distance=few.table['distance'][:5].value)
    np.testing.assert_array_equal(given.mass, one.mass)
    for estimates in (one, given):
        total = np.exp(estimates.scalars['log_total_mass'].value)
        np.testing.assert_allclose(total, estimates.mass.sum(axis=(1, 2), dtype=float), rtol=1e-5)
        # M/L by the light at the distance that it states
        distance = np.exp(estimates.scalars['log_distance'].value)
        luminosity = 4.0 * np.pi * distance**2 * light.sum(axis=(1, 2), dtype=float)
        np.testing.assert_allclose(np.exp(estimates.scalars['log_mass_to_light'].value), total / luminosity,
                                   rtol=1e-5)
        # one width for all maps
        for name in ('log_total_mass', 'log_mass_to_light', 'age'):
            assert np.ptp(estimates.scalars[name].half_68) == 0.0 < estimates.scalars[name].half_68[0]
        assert np.ptp(estimates.log_mass_error) == 0.0
    np.testing.assert_allclose(np.exp(given.scalars['log_distance'].value), few.table['distance'][:5].value)
    assert Domain.from_dict(read.about['domain'])


def test_intervals_of_the_paper_hold_what_was_calibrated(papers, few):
    validation = few.split('validation')
    scalars = papers[1].estimate(validation.light()).scalars
    age = scalars['age']
    inside = np.abs(age.value - validation.table['age'].value) <= age.half_68
    assert inside.mean() == pytest.approx(0.6827, abs=0.02)
    off = np.abs(scalars['log_total_mass'].value - np.log(validation.table['mass'].value))
    assert np.mean(off <= scalars['log_total_mass'].half_95) == pytest.approx(0.9545, abs=0.02)


def test_the_model_tells_which_weights_its_loss_had(papers):
    folder, _ = papers
    card = json.loads((folder / 'model.json').read_text())
    assert card['kind'] == 'paper' and card['about']['settings']['vgg'] == 'random, seed 0'
    assert 'VGG16 with the weights random, seed 0' in (folder / 'CARD.rst').read_text()


def test_the_paper_goes_on_to_the_same_weights(papers, few, slim, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    real, steps = keras.Model.train_on_batch, []

    def die(self, *args, **options):
        steps.append(self.name)
        # in the second epoch, of three batches, of each network
        if len(steps) in (5, 13):
            raise Killed
        return real(self, *args, **options)

    monkeypatch.setattr(keras.Model, 'train_on_batch', die)
    for _ in range(2):
        with pytest.raises(Killed):
            train(few, tmp_path, settings=PAPER, name='chardin', progress=False)
    assert steps[-1] == 'paper_age_distance'
    monkeypatch.undo()
    estimator = train(few, tmp_path, settings=PAPER, name='chardin', progress=False)
    for k, network in enumerate(papers[1].networks):
        for one, two in zip(network.get_weights(), estimator.networks[k].get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)
    assert estimator.about == papers[1].about


def test_other_weights_of_vgg_are_another_training(papers, few):
    settings = dataclasses.replace(PAPER, seed=1)
    with pytest.raises(TrainingError, match='is of another training'):
        train(few, papers[0], settings=settings, progress=False)
    with pytest.raises(FileNotFoundError, match='no such file: nowhere.h5'):
        train(few, papers[0], settings=dataclasses.replace(PAPER, vgg='nowhere.h5'), progress=False)


@pytest.mark.parametrize('values, message', [
    ({'epochs': (1,)}, r'epochs must be two numbers above 0, .* received \(1,\)'),
    ({'learning_rates': (0.1, 0.0)}, 'learning_rates must be two numbers above 0'),
    ({'patience': 0}, 'patience must be a whole number, at least 1, received 0'),
    ({'precision': 'half'}, "precision must be one of auto, float32, bfloat16, received 'half'"),
])
def test_settings_of_the_paper_are_checked(values, message):
    with pytest.raises(ValueError, match=message):
        PaperSettings(**values)


# -- several devices ------------------------------------------------------------------------------


# two CPUs stand for two GPUs
_TWO_DEVICES = """
import sys
import tensorflow

cpu, = tensorflow.config.list_physical_devices('CPU')
tensorflow.config.set_logical_device_configuration(cpu, [tensorflow.config.LogicalDeviceConfiguration()] * 2)

import keras
import numpy as np

from pidoc.networks import losses
from pidoc.networks import paper as networks
from pidoc.training import fit as training
from pidoc.tests.training.test_fit import Maps, PAPER, SMALL

training._gpus = lambda: ['cpu:0', 'cpu:1']


def maps_in_a_step(true, output):
    return keras.ops.cast(keras.ops.shape(true)[:1], 'float32')


# without clipping, a step in two parts is a step
x, y = np.arange(24.0).reshape(8, 3) / 24.0, np.arange(8.0).reshape(8, 1)
found = []
for device in ('two', 'one'):
    keras.utils.set_random_seed(1)
    with training._device('float32') as two:
        assert two.parts == 2
        line = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        line.compile('sgd', 'mse', metrics=[maps_in_a_step])
        use = two if device == 'two' else training._Device()
        logs = [use.step(line, x, y) for _ in range(3)]
    found.append([*line.get_weights(), *(each['loss'] for each in logs)])
    # train_on_batch would give the whole batch to each device
    assert [each['maps_in_a_step'] for each in logs] == [4.0 if device == 'two' else 8.0] * 3
for a, b in zip(*found):
    np.testing.assert_allclose(a, b, rtol=1e-5)
try:
    two.check(7)
except ValueError as error:
    assert 'batch_size must be a multiple of the 2 GPUs, received 7' in str(error)
else:
    raise AssertionError

networks._ENCODER, networks._KERNELS = (4,) * 4, ((10, 4), (10, 4), (5, 8), (5, 8))
losses._VGG16 = tuple((name, 4, counts) for name, _, counts in losses._VGG16)
few = Maps.make(160, 2, side=96)
few.table['split'] = np.where(np.arange(160) < 48, 'train', 'validation')
for maps, settings, name in ((Maps.make(420, 1), SMALL, 'ours'), (few, PAPER, 'papers')):
    model = training.train(maps, f'{sys.argv[1]}/{name}', settings=settings, progress=False)
    # six steps of 10^-4 do not tell whether age and distance are learned
    history = model.about['history'][0]
    assert history['loss'][-1] < history['loss'][0], history
    assert np.all(np.isfinite(model.estimate(maps.light(slice(0, 3))).mass))
print('done')
"""


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != 'tensorflow', reason='a strategy of TensorFlow')
def test_several_devices_share_the_maps_of_a_step(tmp_path):
    root = str(Path(pidoc.__file__).parents[1])
    result = subprocess.run([sys.executable, '-c', _TWO_DEVICES, str(tmp_path)], capture_output=True,
                            text=True, cwd=root)
    assert result.returncode == 0 and result.stdout.endswith('done\n'), result.stderr[-3000:]


_TWO_DEVICES_OF_JAX = """
import dataclasses
import sys

import keras
import numpy as np

from pidoc.training import fit as training
from pidoc.tests.training.test_fit import Maps, SMALL

maps, found = Maps.make(420, 1), []
for number in (1, 2):
    training._gpus = lambda: keras.distribution.list_devices()[:number] if number > 1 else []
    settings = dataclasses.replace(SMALL, precision='float32')
    model = training.train(maps, f'{sys.argv[1]}/{number}', settings=settings, progress=False)
    found.append(model.about['history'][0]['val_loss'])
    assert keras.distribution.distribution() is None
np.testing.assert_allclose(*found, rtol=1e-3)
print('done')
"""


@pytest.mark.slow
def test_two_devices_of_jax_learn_what_one_does(tmp_path):
    if importlib.util.find_spec('jax') is None:
        pytest.skip('jax is not installed')
    environment = {**os.environ, 'KERAS_BACKEND': 'jax',
                   'XLA_FLAGS': '--xla_force_host_platform_device_count=2'}
    result = subprocess.run([sys.executable, '-c', _TWO_DEVICES_OF_JAX, str(tmp_path)], capture_output=True,
                            text=True, cwd=str(Path(pidoc.__file__).parents[1]), env=environment)
    assert result.returncode == 0 and result.stdout.endswith('done\n'), result.stderr[-3000:]


def test_devices_of_each_backend(monkeypatch):
    monkeypatch.setattr(keras.distribution, 'list_devices', lambda: ['gpu:0', 'gpu:1'])
    monkeypatch.setattr(keras.backend, 'backend', lambda: 'jax')
    assert training._gpus() == ['gpu:0', 'gpu:1']
    assert training._tensorflow_names(['gpu:0', 'GPU:1']) == ['/gpu:0', '/gpu:1']
    monkeypatch.setattr(keras.distribution, 'list_devices', lambda: ['cpu:0'])
    assert training._gpus() == []
    # Keras has no list for PyTorch
    monkeypatch.setattr(keras.backend, 'backend', lambda: 'torch')
    monkeypatch.setattr(keras.distribution, 'list_devices', None)
    for there, expected in ((True, ['cuda:0']), (False, [])):
        cuda = SimpleNamespace(is_available=lambda there=there: there)
        monkeypatch.setitem(sys.modules, 'torch', SimpleNamespace(cuda=cuda))
        assert training._gpus() == expected


# -- the command ----------------------------------------------------------------------------------


def test_the_command_trains(maps, tmp_path, monkeypatch, capsys):
    from pidoc.training_set.dataset import TrainingSet

    monkeypatch.setattr(TrainingSet, 'read', lambda folder: maps)
    code = main(['a-set', '-o', str(tmp_path), '--epochs', '1', '--widths', '4,8', '--name', 'mine', '--log',
                 '--plot'])
    assert code == 0
    out = capsys.readouterr().out
    assert 'network 1: 1 epochs, best validation likelihood (-ln)' in out
    assert '294 to train, 126 to validate' in out
    assert json.loads((tmp_path / 'model.json').read_text())['about']['name'] == 'mine'
    assert (tmp_path / 'history.png').read_bytes().startswith(b'\x89PNG')


def test_the_command_trains_the_paper(few, slim, tmp_path, monkeypatch, capsys):
    from pidoc.training_set.dataset import TrainingSet

    monkeypatch.setattr(TrainingSet, 'read', lambda folder: few)
    assert main(['a-set', '-o', str(tmp_path), '--network', 'paper', '--vgg', 'random', '--epochs', '1',
                 '--batch-size', '8', '--plot', '--precision', 'bfloat16']) == 0
    assert 'network 2: 1 epochs, best validation loss' in capsys.readouterr().out
    assert (tmp_path / 'history.png').exists()
    # trained in half precision, it answers in single
    networks = Estimator.load(tmp_path).networks
    assert {layer.compute_dtype for each in networks for layer in each.layers} == {'float32'}


def test_the_command_says_what_is_wrong_on_one_line(tmp_path, capsys):
    assert main([str(tmp_path / 'nothing'), '-o', str(tmp_path / 'model')]) == 2
    assert capsys.readouterr().err.count('\n') == 1


def test_the_defaults_of_the_command_are_those_of_the_settings():
    assert all(getattr(Settings(), field) == value for field, value in _DEFAULTS.items())
    assert all(getattr(PaperSettings(), field) == value for field, value in _PAPER_DEFAULTS.items())


@pytest.mark.parametrize('options, message', [
    (['--network', 'paper', '--members', '2'], '--members is not for --network paper'),
    (['--vgg', 'random'], '--vgg is not for --network cluster'),
    (['--epochs', '1,2'], '--epochs must be one number'),
    (['--network', 'paper', '--epochs', '1,2,3'], 'or for --network paper two, received 1,2,3'),
])
def test_options_of_the_other_network_are_refused(options, message, tmp_path, capsys):
    assert main(['a-set', '-o', str(tmp_path), *options]) == 2
    assert message in capsys.readouterr().err


def test_words_for_numbers(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(['a-set', '-o', str(tmp_path), '--widths', 'a,b'])
    assert "must be whole numbers, such as 4,8, received 'a,b'" in capsys.readouterr().err
