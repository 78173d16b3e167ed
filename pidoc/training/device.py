# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Devices for the steps of a training: a CPU, a GPU or several, in single or half precision."""

import logging
from contextlib import contextmanager, nullcontext
from functools import lru_cache

from pidoc.networks.backend import keras

__all__ = ['Device', 'device_of', 'gpus']

log = logging.getLogger(__name__)


class Device:
    """Executes steps, on one device, or in equal parts on several GPUs with TensorFlow."""

    def __init__(self, strategy=None):
        self.strategy = strategy
        self.parts = 1 if strategy is None else strategy.num_replicas_in_sync

    def check(self, batch_size):
        if batch_size % self.parts:
            raise ValueError(f'batch_size must be a multiple of the {self.parts} GPUs, received {batch_size}')

    def step(self, network, inputs, truth):
        """Train on a batch; returns losses and metrics."""
        if self.parts == 1:
            return network.train_on_batch(inputs, truth, return_dict=True)
        # train_on_batch would use the whole batch on every GPU (Keras 3.15)
        return self._in_parts(network, (inputs, truth))

    def _in_parts(self, network, data):
        if network.train_function is None:
            # all variables must exist before TensorFlow compiles a step for several devices
            network.optimizer.build(network.trainable_variables)
            network.test_on_batch(*data)
        network.make_train_function()
        network.reset_metrics()

        def part(context):
            rows = slice(context.replica_id_in_sync_group, None, self.parts)
            return keras.tree.map_structure(lambda array: keras.ops.convert_to_tensor(array[rows]), data)

        distributed = self.strategy.experimental_distribute_values_from_function(part)
        logs = network.train_function(iter([distributed]))
        return {name: float(value) for name, value in logs.items()}


@contextmanager
def device_of(precision):
    """Set the precision, and use all GPUs if there are several; yields a `Device`."""
    devices, before = gpus(), keras.config.dtype_policy()
    strategy, scope = None, nullcontext()
    if len(devices) > 1:
        if keras.backend.backend() == 'tensorflow':
            strategy = _mirrored(tuple(_tensorflow_names(devices)))
            scope = strategy.scope()
        else:
            scope = keras.distribution.DataParallel(devices=devices).scope()
    if precision == 'bfloat16' or (devices and precision == 'auto'):
        keras.config.set_dtype_policy('mixed_bfloat16')
    log.info('training on %s, %s', ', '.join(devices) or 'the CPU', keras.config.dtype_policy().name)
    try:
        with scope:
            yield Device(strategy)
    finally:
        keras.config.set_dtype_policy(before)


@lru_cache(maxsize=1)
def _mirrored(names):
    """One strategy per process: two strategies on the same devices have conflicting variables."""
    import tensorflow

    return tensorflow.distribute.MirroredStrategy(names)


def gpus():
    """Names of the accelerators available for training."""
    if keras.backend.backend() == 'torch':
        # Keras has no distribution there; it uses the first one
        import torch

        return ['cuda:0'] if torch.cuda.is_available() else []
    return [device for device in keras.distribution.list_devices() if 'cpu' not in device.lower()]


def _tensorflow_names(devices):
    """Convert Keras's names, such as gpu:1, to TensorFlow's, /gpu:1."""
    return [f'/{device.lower().lstrip("/")}' for device in devices]
