# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The loop over epochs and batches that trains one network."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pidoc.inference.folder import set_weights
from pidoc.io.progress import ProgressBar
from pidoc.networks.backend import keras
from pidoc.training.state import State

__all__ = ['Course', 'Means', 'epoch_of', 'train_network']

log = logging.getLogger(__name__)

_BAR = '{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}'
_EPOCH = 1_000_003     # between the seeds of epochs, a prime larger than those of networks


@dataclass(frozen=True)
class Course:
    """Definition of the training of one network, for the loop."""

    number: int             # of the files of its state
    seed: int
    title: str
    build: Callable         # () -> network
    compile: Callable       # network, steps of an epoch -> None
    batches: Callable       # epoch -> (inputs, truth) of training
    checks: Callable        # () -> (inputs, truth) of validation
    size: int               # maps to train
    batch_size: int
    epochs: int
    patience: int
    criterion: str          # quantity whose lowest value defines the best epoch
    summary: Callable       # means of losses and metrics -> entries of an epoch in the history

    def with_best_weights(self, work):
        network = self.build()
        set_weights(network, work / f'best-{self.number}.npz')
        return network


def train_network(course, device, work, progress):
    """Train one network; returns its history, a dict of lists, and the requested epochs."""
    keras.utils.set_random_seed(course.seed)
    network = course.build()
    steps = course.size // course.batch_size
    device.check(course.batch_size)
    course.compile(network, steps)
    state = State(work, course, network)
    state.load()
    with ProgressBar(course.epochs * steps, course.title, progress=progress, initial=state.epoch * steps,
                     bar_format=_BAR) as bar:
        while not state.finished:
            # with PyTorch, layers draw from the global random numbers, which are not part of a state
            keras.utils.set_random_seed((course.seed + _EPOCH * (state.epoch + 1)) % 2**32)
            logs = epoch_of(network, course, device, state.epoch, bar)
            state.add(logs)
            log.info('%s, epoch %d: loss %.4f; on the validation %.4f, %s %.4f', course.title,
                     state.epoch, logs['loss'], logs['val_loss'], course.criterion,
                     state.history[course.criterion][-1])
            bar.set_postfix_str(f'loss {logs["loss"]:.3f}, validation {logs["val_loss"]:.3f}')
    return state.history, [step for step in state.plan if step[0] < state.epoch]


def epoch_of(network, course, device, epoch, bar):
    """One pass over the training maps, then over the validation maps; returns means of losses and metrics.

    A loop over batches, not `keras.Model.fit`: on arrays that gives the same weights, but a step takes 8 %
    more processor time and an epoch is in memory three times (``benchmarks/training.py --loop all``), which
    was 12 GB for 20,000 whole maps of the paper's networks; from a `keras.utils.PyDataset` a step takes 20 %
    more.
    """
    found = Means()
    for inputs, truth in map(_for_backend, course.batches(epoch)):
        network.reset_metrics()
        found.add(device.step(network, inputs, truth), _number(truth))
        bar.update(1)
    checked = Means('val_')
    for inputs, truth in map(_for_backend, course.checks()):
        network.reset_metrics()
        checked.add(network.test_on_batch(inputs, truth, return_dict=True), _number(truth))
    return found.values() | checked.values()


def _for_backend(batch):
    """With PyTorch, Keras passes the truth unchanged to metrics, where arrays and tensors cannot be mixed."""
    if keras.backend.backend() != 'torch':
        return batch
    return keras.tree.map_structure(keras.ops.convert_to_tensor, batch)


def _number(truth):
    return len(truth[0]) if isinstance(truth, list) else len(truth)


class Means:
    """Means, over all maps, of the values reported for batches."""

    def __init__(self, prefix=''):
        self.prefix, self.sums, self.number = prefix, {}, 0

    def add(self, logs, number):
        self.number += number
        for name, value in logs.items():
            self.sums[name] = self.sums.get(name, 0.0) + number * float(value)

    def values(self):
        return {self.prefix + name: value / self.number for name, value in self.sums.items()}
