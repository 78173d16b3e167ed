# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Where the steps of a training are made: several devices, and those of each backend."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest

import pidoc
from pidoc.training import device

# two CPUs stand for two GPUs
_TWO_DEVICES = """
import sys
import tensorflow

cpu, = tensorflow.config.list_physical_devices('CPU')
tensorflow.config.set_logical_device_configuration(cpu, [tensorflow.config.LogicalDeviceConfiguration()] * 2)

import keras
import numpy as np

import pytest

from pidoc.tests.training_helpers import few_large, Maps, PAPER, slim_networks, SMALL
from pidoc.training import device as training
from pidoc.training import fit, train

training.gpus = lambda: ['cpu:0', 'cpu:1']


def maps_in_a_step(true, output):
    return keras.ops.cast(keras.ops.shape(true)[:1], 'float32')


# without clipping, a step in two parts is a step
x, y = np.arange(24.0).reshape(8, 3) / 24.0, np.arange(8.0).reshape(8, 1)
found = []
for device in ('two', 'one'):
    keras.utils.set_random_seed(1)
    with training.device_of('float32') as two:
        assert two.parts == 2
        line = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        line.compile('sgd', 'mse', metrics=[maps_in_a_step])
        use = two if device == 'two' else training.Device()
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

slim_networks(pytest.MonkeyPatch())
# it is learned on one device
fit.learn_domain = lambda maps, quantities, estimator, progress: None
for maps, settings, name in ((Maps.make(420, 1), SMALL, 'ours'), (few_large(), PAPER, 'papers')):
    model = train(maps, f'{sys.argv[1]}/{name}', settings=settings, progress=False)
    # six steps of 10^-4 do not show whether age and distance are learned
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

from pidoc.tests.training_helpers import Maps, SMALL
from pidoc.training import device as training
from pidoc.training.fit import train

maps, found = Maps.make(420, 1), []
for number in (1, 2):
    training.gpus = lambda: keras.distribution.list_devices()[:number] if number > 1 else []
    settings = dataclasses.replace(SMALL, precision='float32')
    model = train(maps, f'{sys.argv[1]}/{number}', settings=settings, progress=False)
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
    assert device.gpus() == ['gpu:0', 'gpu:1']
    assert device._tensorflow_names(['gpu:0', 'GPU:1']) == ['/gpu:0', '/gpu:1']
    monkeypatch.setattr(keras.distribution, 'list_devices', lambda: ['cpu:0'])
    assert device.gpus() == []
    # Keras has no list for PyTorch
    monkeypatch.setattr(keras.backend, 'backend', lambda: 'torch')
    monkeypatch.setattr(keras.distribution, 'list_devices', None)
    for there, expected in ((True, ['cuda:0']), (False, [])):
        cuda = SimpleNamespace(is_available=lambda there=there: there)
        monkeypatch.setitem(sys.modules, 'torch', SimpleNamespace(cuda=cuda))
        assert device.gpus() == expected
