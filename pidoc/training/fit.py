# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Training: from a training set to a model folder, `train`.

`Settings` train our network, `PaperSettings` those of Chardin & Bianchini (2021); one loop serves both.

Everything that is random follows from the seed, the member, the epoch and the batch, so that a training that
was stopped goes on from its last epoch to the same result.
"""

import hashlib
import json
import logging
import math
import zipfile
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from astropy import units as u
from tqdm import tqdm

from pidoc import __version__
from pidoc.inference.calibration import Calibration, MODES, QUANTITIES
from pidoc.inference.domain import check_numbers, Domain
from pidoc.inference.estimator import Estimator, PaperEstimator
from pidoc.inference.features import features
from pidoc.inference.folder import set_weights, write_weights
from pidoc.io.files import replacing
from pidoc.networks.backend import keras
from pidoc.networks.cluster import cluster_network
from pidoc.networks.losses import GaussianNLL, PerceptualLoss
from pidoc.networks.orientation import turned
from pidoc.networks.paper import (
    AGE_DISTANCE_LEARNING_RATE,
    MASS_LEARNING_RATE,
    paper_age_distance_network,
    paper_mass_network,
)
from pidoc.networks.scaling import block_mean, PaperScaling, SCALARS, Scaling
from pidoc.training.model_card import write_model_card
from pidoc.units import plain_number, whole_number

__all__ = ['PaperSettings', 'Settings', 'calibrate', 'train']

log = logging.getLogger(__name__)

_PRECISIONS = ('auto', 'float32', 'bfloat16')
_CHUNK = 256                          # maps that are read at a time
_DISTANCE_ERRORS = (0.005, 0.2)       # relative errors of the distances that networks are told in training


class TrainingError(ValueError):
    """A training cannot go on: its folder is of another one, or damaged."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How networks are trained.

    Parameters
    ----------
    members : int
        Networks of the ensemble, which differ in their seeds.
    epochs : int
        Times that each map is seen.
    batch_size : int
        Maps in a step.
    learning_rate : float
        Largest one: it rises in the first 200 steps and then falls as half a cosine wave (Loshchilov &
        Hutter 2017).
    weight_decay : float
        Of AdamW.
    beta : float
        Of `~pidoc.networks.losses.GaussianNLL`.
    known_distance : float
        Share of the maps whose distance the network is told, with an error that is drawn.
    widths : tuple of int
        Channels at each scale of `~pidoc.networks.cluster_network`.
    block : int
        Pixels to a side of a block.
    turns : int
        Orientations that the finished model looks at.
    patience : int
        Epochs without a better likelihood of the validation split after which a member is finished.
    precision : {'auto', 'float32', 'bfloat16'}
        Of the numbers between the layers; weights and results are always in single precision. 'auto': half
        precision (bfloat16) on a GPU, else single. Processors with instructions for bfloat16 (AMX) train
        twice as fast with it.
    seed : int

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    members: int = 1
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    beta: float = 0.5
    known_distance: float = 0.5
    widths: tuple = (24, 48, 96, 128)
    block: int = 4
    turns: int = 1
    patience: int = 10
    precision: str = 'auto'
    seed: int = 0

    def __post_init__(self):
        _check_whole(self, 'members', 'epochs', 'batch_size', 'block', 'turns', 'patience')
        plain_number(self.learning_rate, 'learning_rate', above=0, below=1)
        plain_number(self.weight_decay, 'weight_decay', at_least=0, below=1)
        for name in ('beta', 'known_distance'):
            plain_number(getattr(self, name), name, at_least=0, at_most=1)
        _check_precision(self)
        object.__setattr__(self, 'widths', tuple(int(width) for width in self.widths))

    def protocol(self):
        """What `train` does with them."""
        return _Ours(self)


@dataclass(frozen=True, kw_only=True)
class PaperSettings:
    """How the two networks of the paper are trained: the defaults are Chardin & Bianchini (2021), section 3.

    What the paper does not tell: the maps in a step; when a training is over but for "the beginning of the
    plateau observed for the validation set", which it puts at 50 to 100 epochs for the mass and at 200 for
    age and distance. Here the weights of the epoch with the lowest validation loss are kept.

    Parameters
    ----------
    epochs : tuple of int
        Times that each map is seen: by the mass network, and by that of age and distance.
    learning_rates : tuple of float
        Of Adam, likewise.
    batch_size : int
        Maps in a step.
    patience : int
        Epochs without a lower validation loss after which a network is finished.
    pooled : bool
        Standardise age and distance together, as the authors' released code does, or each by itself.
    vgg : str or path-like
        Weights of VGG16 in the perceptual loss: 'imagenet', the paper's; 'random'; or a file. See
        `~pidoc.networks.losses.PerceptualLoss`. Which they were stands in the model folder and on its card.
    precision : {'auto', 'float32', 'bfloat16'}
        As in `Settings`; the perceptual loss is always in single precision.
    seed : int

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    epochs: tuple = (100, 200)
    learning_rates: tuple = (MASS_LEARNING_RATE, AGE_DISTANCE_LEARNING_RATE)
    batch_size: int = 32
    patience: int = 20
    pooled: bool = True
    vgg: str = 'imagenet'
    precision: str = 'auto'
    seed: int = 0

    def __post_init__(self):
        _check_whole(self, 'batch_size', 'patience')
        _check_precision(self)
        for name, of in (('epochs', int), ('learning_rates', float)):
            values = tuple(map(of, getattr(self, name)))
            if len(values) != 2 or min(values) <= 0:
                raise ValueError(f'{name} must be two numbers above 0, of the mass network and of the other, '
                                 f'received {getattr(self, name)!r}')
            object.__setattr__(self, name, values)

    def protocol(self):
        """What `train` does with them."""
        return _Papers(self)


def _check_precision(settings):
    if settings.precision not in _PRECISIONS:
        raise ValueError(f'precision must be one of {", ".join(_PRECISIONS)}, received '
                         f'{settings.precision!r}')


def _check_whole(settings, *names):
    for name in names:
        whole_number(getattr(settings, name), name, at_least=1, floats=True)


# -- data -----------------------------------------------------------------------------------------


class _Split:
    """Maps and scalars of a split: scalars in memory."""

    def __init__(self, table, light, mass):
        self.table, self.light, self.mass = table, light, mass
        mass, light = (self.table[name].value.astype(float) for name in ('mass', 'luminosity'))
        age, distance = self.table['age'].to_value(u.Gyr), self.table['distance'].to_value(u.kpc)
        self.scalars = np.stack([np.log(mass), np.log(mass / light), np.sqrt(age), np.log(distance)], axis=1)

    def __len__(self):
        return len(self.table)

    @property
    def distance(self):
        return np.exp(self.scalars[:, SCALARS.index('log_distance')])

    @property
    def age(self):
        return self.scalars[:, SCALARS.index('root_age')] ** 2

    def pieces(self):
        """Some maps at a time: slices."""
        return (slice(k, min(k + _CHUNK, len(self))) for k in range(0, len(self), _CHUNK))


def _reduced(training_set, split, block, folder, progress):
    """A split in blocks, mapped from disk."""
    maps = training_set.split(split)
    return _Split(maps.table, *(_cached(read, len(maps), block, folder / f'{split}-{name}.npy', progress)
                                for name, read in (('light', maps.light), ('mass', maps.mass))))


class _Streamed:
    """Whole maps, read from the shards when they are asked for."""

    def __init__(self, read):
        self.read = read

    def __getitem__(self, rows):
        return np.asarray(self.read(rows))


def _cached(read, number, block, path, progress):
    """Block means of maps in a file that is mapped into memory; made if it is not there."""
    if not path.exists():
        first = block_mean(read(slice(0, 1)), block)
        with replacing(path) as new, tqdm(total=number, desc=path.stem, unit='map',
                                          disable=None if progress else True) as bar:
            cube = np.lib.format.open_memmap(new, 'w+', np.float32, (number, *first.shape[1:]))
            for k in range(0, number, _CHUNK):
                cube[k:k + _CHUNK] = block_mean(read(slice(k, k + _CHUNK)), block)
                bar.update(min(_CHUNK, number - k))
            cube.flush()
    cube = np.load(path, mmap_mode='r')
    if len(cube) != number:
        raise TrainingError(f'{path} must hold {number} maps, received {len(cube)}: remove the folder')
    return cube


def _batches(data, scaling, settings, member, epoch):
    """Batches in random order and orientation, with distances told or not, for one epoch."""
    for number, rows in enumerate(_shuffled(len(data), settings, member, epoch)):
        rng = np.random.default_rng((settings.seed, member, epoch, 1, number))
        image, mass = _turn(rng, scaling.image_of_blocks(data.light[rows]),
                            scaling.mass_of_blocks(data.mass[rows]))
        told = _told(rng, data.distance[rows], scaling, settings.known_distance)
        yield [image, told], [mass, scaling.standardised(data.scalars[rows])]


def _shuffled(total, settings, member, epoch):
    """Rows of each batch of an epoch; what is left over after the last whole batch is not seen in it."""
    order = np.random.default_rng((settings.seed, member, epoch, 0)).permutation(total)
    size = settings.batch_size
    for number in range(total // size):
        # in the order of the file, which is mapped from disk
        yield np.sort(order[number * size:(number + 1) * size])


def _fixed_batches(data, scaling):
    """The validation split: every other map with its distance, errors as in training, always the same."""
    told = _told(np.random.default_rng(0), data.distance, scaling, 1.0)
    told[::2] = 0.0
    for rows in data.pieces():
        yield ([scaling.image_of_blocks(data.light[rows]), told[rows]],
               [scaling.mass_of_blocks(data.mass[rows]), scaling.standardised(data.scalars[rows])])


def _turn(rng, *maps):
    """All maps of a batch (n, y, x, c) in one of the eight orientations of a square."""
    turn, mirrored = rng.integers(4), rng.random() < 0.5
    return [np.ascontiguousarray(turned(each, turn + 4 * mirrored)) for each in maps]


def _told(rng, distance, scaling, share):
    """Distances that the network is told, with errors of a size that it is told too; zeros for the rest."""
    low, high = np.log(_DISTANCE_ERRORS)
    error = np.exp(rng.uniform(low, high, distance.size))
    seen = distance * np.exp(error * rng.normal(size=distance.size))
    seen[rng.random(distance.size) >= share] = np.nan
    return scaling.known_distance(seen, error)


# -- training -------------------------------------------------------------------------------------


def train(training_set, folder, *, settings=None, name='', description='', progress=True):
    """Train on a training set and write a model folder.

    Started again after it was stopped, it goes on from the last epoch, to the same result.

    Parameters
    ----------
    training_set : `~pidoc.training_set.TrainingSet`
        With the splits train and validation.
    folder : path-like
        Of the model; what is needed to go on is below ``work`` in it, and may be removed in the end.
    settings : `Settings` or `PaperSettings`, optional
    name, description : str, optional
        For the model card.
    progress : bool, optional
        Whether to show progress bars, if there is a terminal.

    Returns
    -------
    `~pidoc.inference.estimator.Estimator`
        Calibrated on the validation split, with the training domain.

    Raises
    ------
    TrainingError
        If the folder is of another training.
    ConnectionError, OSError, ValueError
        If a split has too few maps, or the weights of the perceptual loss cannot be had:
        `~pidoc.networks.losses.PerceptualLoss`.
    """
    settings = settings or Settings()
    protocol = settings.protocol()
    # the domain is learned last: too few maps for it should not be found out after hours
    check_numbers(*(len(training_set.split(split)) for split in ('train', 'validation')))
    folder = Path(folder)
    work = folder / 'work'
    work.mkdir(parents=True, exist_ok=True)
    _check_same(work, {'recipe': training_set.recipe.digest, 'settings': protocol.told})
    data = {split: protocol.read(training_set, split, work, progress) for split in ('train', 'validation')}
    courses = protocol.courses(data)
    with _device(settings.precision) as device:
        histories = [_train_network(course, device, work, progress) for course in courses]
    estimator = protocol.estimator([course.with_best_weights(work) for course in courses])
    estimator = estimator.replace(grid=training_set.grid)
    estimator = estimator.replace(calibration=calibrate(estimator, data['validation']))
    about = {'name': name, 'description': description, 'version': __version__, 'history': histories,
             'settings': protocol.told, 'recipe': training_set.recipe.to_dict(),
             'n_train': len(data['train']), 'n_validation': len(data['validation']),
             'domain': _domain(training_set, progress).to_dict()}
    estimator = estimator.replace(about=about)
    estimator.save(folder, overwrite=True)
    write_model_card(folder)
    return estimator


def _check_same(work, identity):
    """Refuse to go on with a training that was begun with another set or other settings."""
    path, text = work / 'training.json', json.dumps(identity, indent=1, sort_keys=True)
    if not path.exists():
        with replacing(path) as new:
            new.write_text(text, encoding='utf-8')
    elif path.read_text(encoding='utf-8') != text:
        raise TrainingError(f'{work} is of another training (its training set or settings differ): remove '
                            'it, or choose another folder')



@dataclass(frozen=True)
class _Course:
    """How one network is trained: all that the loop asks for."""

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
    criterion: str          # of what the lowest value tells the best epoch
    summary: Callable       # means of losses and metrics -> what of an epoch goes into the history

    def with_best_weights(self, work):
        network = self.build()
        set_weights(network, work / f'best-{self.number}.npz')
        return network


class _Device:
    """Where steps are made; one at a time, or in equal parts on several GPUs of TensorFlow."""

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
        # train_on_batch would give every GPU the whole batch (Keras 3.15)
        return self._in_parts(network, (inputs, truth))

    def _in_parts(self, network, data):
        if network.train_function is None:
            # all variables must be there before TensorFlow compiles a step for several devices
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
def _device(precision):
    """The precision asked for, and all GPUs where there are several; yields a `_Device`."""
    gpus, before = _gpus(), keras.config.dtype_policy()
    strategy, scope = None, nullcontext()
    if len(gpus) > 1:
        if keras.backend.backend() == 'tensorflow':
            strategy = _mirrored(tuple(_tensorflow_names(gpus)))
            scope = strategy.scope()
        else:
            scope = keras.distribution.DataParallel(devices=gpus).scope()
    if precision == 'bfloat16' or (gpus and precision == 'auto'):
        keras.config.set_dtype_policy('mixed_bfloat16')
    log.info('training on %s, %s', ', '.join(gpus) or 'the CPU', keras.config.dtype_policy().name)
    try:
        with scope:
            yield _Device(strategy)
    finally:
        keras.config.set_dtype_policy(before)


@lru_cache(maxsize=1)
def _mirrored(names):
    """One for the process: those of two strategies on the same devices get into each other's way."""
    import tensorflow

    return tensorflow.distribute.MirroredStrategy(names)


def _gpus():
    """Names of the accelerators that training can use."""
    if keras.backend.backend() == 'torch':
        # Keras knows no distribution there; it takes the first by itself
        import torch

        return ['cuda:0'] if torch.cuda.is_available() else []
    return [device for device in keras.distribution.list_devices() if 'cpu' not in device.lower()]


def _tensorflow_names(devices):
    """From Keras's names, such as gpu:1, to TensorFlow's, /gpu:1."""
    return [f'/{device.lower().lstrip("/")}' for device in devices]


def _train_network(course, device, work, progress):
    """One network; returns its history, a dict of lists."""
    keras.utils.set_random_seed(course.seed)
    network = course.build()
    steps = course.size // course.batch_size
    if steps < 1:
        raise ValueError(f'the training split must hold a batch of {course.batch_size} maps, received '
                         f'{course.size}')
    device.check(course.batch_size)
    course.compile(network, steps)
    state = _State(work, course, network)
    state.load()
    with tqdm(total=course.epochs * steps, initial=state.epoch * steps, desc=course.title, unit='batch',
              disable=None if progress else True) as bar:
        while not state.finished:
            logs = _epoch(network, course, device, state.epoch, bar)
            state.add(logs)
            log.info('%s, epoch %d: loss %.4f; on the validation %.4f, %s %.4f', course.title,
                     state.epoch, logs['loss'], logs['val_loss'], course.criterion,
                     state.history[course.criterion][-1])
            bar.set_postfix(loss=f'{logs["loss"]:.3f}', validation=f'{logs["val_loss"]:.3f}')
    return state.history


def _epoch(network, course, device, epoch, bar):
    """All training maps once, then the validation maps; returns the means of losses and metrics.

    Batch by batch, not by `keras.Model.fit`: TensorFlow 2.21 may lock up for ever when it ends an epoch whose
    batches come from Python.
    """
    found = _Means()
    for inputs, truth in map(_for_backend, course.batches(epoch)):
        network.reset_metrics()
        found.add(device.step(network, inputs, truth), _number(truth))
        bar.update(1)
    checked = _Means('val_')
    for inputs, truth in map(_for_backend, course.checks()):
        network.reset_metrics()
        checked.add(network.test_on_batch(inputs, truth, return_dict=True), _number(truth))
    return found.values() | checked.values()


def _for_backend(batch):
    """With PyTorch Keras gives metrics the truth as it came: arrays and tensors do not mix."""
    if keras.backend.backend() != 'torch':
        return batch
    return keras.tree.map_structure(keras.ops.convert_to_tensor, batch)


def _number(truth):
    return len(truth[0]) if isinstance(truth, list) else len(truth)


class _Means:
    """Means over the maps of what each batch reports."""

    def __init__(self, prefix=''):
        self.prefix, self.sums, self.number = prefix, {}, 0

    def add(self, logs, number):
        self.number += number
        for name, value in logs.items():
            self.sums[name] = self.sums.get(name, 0.0) + number * float(value)

    def values(self):
        return {self.prefix + name: value / self.number for name, value in self.sums.items()}


class _State:
    """Keeps the state after every epoch: weights, optimiser, history, and the best weights so far."""

    def __init__(self, work, course, network):
        self.course, self.network = course, network
        self.path = work / f'state-{course.number}.npz'
        self.best_path = work / f'best-{course.number}.npz'
        self.history, self.epoch, self.best, self.stopped = {}, 0, math.inf, False

    @property
    def finished(self):
        return self.stopped or self.epoch >= self.course.epochs

    @property
    def _seeds(self):
        """States of the random numbers of the layers, which count as no weights."""
        generators = (getattr(layer, 'seed_generator', None) for layer in self.network.layers)
        return [generator.state for generator in generators if generator is not None]

    def add(self, logs):
        """What an epoch brought."""
        for name, value in self.course.summary(logs).items():
            self.history.setdefault(name, []).append(value)
        judged = self.history[self.course.criterion]
        loss = judged[-1]
        if not math.isfinite(loss):
            raise TrainingError(f'the validation loss of epoch {self.epoch + 1} must be finite, received '
                                f'{loss}: a smaller learning_rate may help')
        if loss < self.best:
            self.best = loss
            write_weights(self.network, self.best_path, dtype=np.float32)
        self.epoch += 1
        self.stopped = len(judged) - 1 - int(np.argmin(judged)) >= self.course.patience
        self._save()

    def _save(self):
        state = {f'weight {k}': value for k, value in enumerate(self.network.get_weights())}
        state |= {f'optimizer {k}': keras.ops.convert_to_numpy(value)
                  for k, value in enumerate(self.network.optimizer.variables)}
        state |= {f'seed {k}': keras.ops.convert_to_numpy(value) for k, value in enumerate(self._seeds)}
        best = hashlib.sha256(self.best_path.read_bytes()).hexdigest()
        note = json.dumps({'epoch': self.epoch, 'best': self.best, 'stopped': self.stopped,
                           'history': self.history, 'best_sha256': best})
        with replacing(self.path) as new, open(new, 'wb') as file:
            np.savez(file, note=note, **state)

    def load(self):
        """Go on from the state that is there; nothing is done if there is none."""
        if not self.path.exists():
            return
        try:
            with open(self.path, 'rb') as file, np.load(file) as state:
                note = json.loads(str(state['note']))
                weights = [state[f'weight {k}'] for k in range(len(self.network.weights))]
                self.network.optimizer.build(self.network.trainable_variables)
                variables = self.network.optimizer.variables
                values = [state[f'optimizer {k}'] for k in range(len(variables))]
                seeds = [state[f'seed {k}'] for k in range(len(self._seeds))]
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise TrainingError(f'{self.path} is damaged ({error}): remove it') from error
        best = self.best_path.read_bytes() if self.best_path.exists() else b''
        if hashlib.sha256(best).hexdigest() != note['best_sha256']:
            raise TrainingError(f'{self.best_path} does not go with {self.path.name}: remove both')
        self.network.set_weights(weights)
        for variable, value in zip([*variables, *self._seeds], [*values, *seeds], strict=True):
            variable.assign(value)
        self.epoch, self.best, self.stopped = note['epoch'], note['best'], note['stopped']
        self.history = note['history']


# -- ours: one network for everything -------------------------------------------------------------


class _Ours:
    """An ensemble of `~pidoc.networks.cluster_network`."""

    def __init__(self, settings):
        self.settings, self.told = settings, asdict(settings)

    def read(self, training_set, split, work, progress):
        return _reduced(training_set, split, self.settings.block, work, progress)

    def courses(self, data):
        settings, train = self.settings, data['train']
        self.scaling = Scaling.fit(train.light, train.mass, train.scalars, block=settings.block)
        self.config = {'shape': [*train.light.shape[1:], 1], 'widths': list(settings.widths)}
        return [_Course(
            number=member, seed=settings.seed * 1000 + member,
            title=f'network {member + 1} of {settings.members}',
            build=partial(cluster_network, **self.config), compile=self._compile,
            batches=partial(_batches, train, self.scaling, settings, member),
            checks=partial(_fixed_batches, data['validation'], self.scaling), size=len(train),
            batch_size=settings.batch_size, epochs=settings.epochs, patience=settings.patience,
            criterion='val_likelihood', summary=_with_likelihood) for member in range(settings.members)]

    def _compile(self, network, steps):
        settings = self.settings
        total = settings.epochs * steps
        rise = min(200, max(1, total // 10))
        rate = keras.optimizers.schedules.CosineDecay(
            0.05 * settings.learning_rate, max(1, total - rise), alpha=0.0,
            warmup_target=settings.learning_rate, warmup_steps=rise)
        optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay, clipnorm=1.0)
        loss = GaussianNLL(beta=settings.beta)
        metrics = [_square_error, _likelihood]
        network.compile(optimizer=optimizer, loss=[loss, loss], metrics=[metrics, metrics])

    def estimator(self, networks):
        return Estimator(networks, self.scaling, config=self.config, turns=self.settings.turns)


def _with_likelihood(logs):
    return {**logs, 'val_likelihood': logs['val_mass__likelihood'] + logs['val_scalars__likelihood']}


def _square_error(true, output):
    """Mean square error of the means among the outputs."""
    number = true.shape[-1]
    return keras.ops.mean(keras.ops.square(true - output[..., :number]), axis=-1)


def _likelihood(true, output):
    """Negative log likelihood: unlike the loss with beta it tells which of two networks is the better."""
    return GaussianNLL(beta=0.0).call(true, output)


# -- the paper's: two networks --------------------------------------------------------------------


class _Papers:
    """The mass network, and that of age and distance: Chardin & Bianchini (2021), section 3."""

    def __init__(self, settings):
        self.settings = settings
        # now, so that weights which cannot be had are told at once
        self.loss = PerceptualLoss(None if settings.vgg == 'random' else settings.vgg, seed=settings.seed)
        # not the path, which is of one machine
        self.told = {'network': 'paper', **asdict(settings), 'vgg': self.loss.weights_used}
        self.told = json.loads(json.dumps(self.told))

    def read(self, training_set, split, work, progress):
        maps = training_set.split(split)
        return _Split(maps.table, _Streamed(maps.light), _Streamed(maps.mass))

    def courses(self, data):
        train = data['train']
        self.scaling = PaperScaling.fit(((train.light[rows], train.mass[rows]) for rows in train.pieces()),
                                        train.age, train.distance, pooled=self.settings.pooled)
        self.config = {'shape': [*train.light[:1].shape[1:], 1]}
        return [self._course(0, 'mass network', paper_mass_network, self.loss, self._mass, data),
                self._course(1, 'age and distance network', paper_age_distance_network, 'mean_squared_error',
                             self._labels, data)]

    def _course(self, number, title, build, loss, truth, data):
        settings = self.settings
        train, validation = data['train'], data['validation']

        def batch(split, rows):
            return self.scaling.image(split.light[rows]), truth(split, rows)

        def compile_it(network, steps):
            network.compile(optimizer=keras.optimizers.Adam(settings.learning_rates[number]), loss=loss,
                            metrics=[square_error, _mean, _mean_square])

        return _Course(
            number=number, seed=settings.seed * 1000 + number, title=title,
            build=partial(build, **self.config), compile=compile_it,
            batches=lambda epoch: (batch(train, rows)
                                   for rows in _shuffled(len(train), settings, number, epoch)),
            checks=lambda: (batch(validation, slice(k, k + settings.batch_size))
                            for k in range(0, len(validation), settings.batch_size)),
            size=len(train), batch_size=settings.batch_size, epochs=settings.epochs[number],
            patience=settings.patience, criterion='val_loss', summary=_with_r_squared)

    def _mass(self, split, rows):
        return self.scaling.mass_image(split.mass[rows])

    def _labels(self, split, rows):
        return self.scaling.labels(split.age[rows], split.distance[rows])

    def estimator(self, networks):
        return PaperEstimator(networks, self.scaling, config=self.config)


def square_error(true, output):
    """Mean square error, the paper's first measure of a training."""
    return keras.ops.mean(keras.ops.square(true - output), axis=-1)


def _mean(true, output):
    return keras.ops.mean(true, axis=-1)


def _mean_square(true, output):
    return keras.ops.mean(keras.ops.square(true), axis=-1)


def _with_r_squared(logs):
    """The coefficient of determination, Eq. 1, in place of the moments of the truth that it needs."""
    logs = dict(logs)
    for prefix in ('', 'val_'):
        variance = logs.pop(f'{prefix}_mean_square') - logs.pop(f'{prefix}_mean') ** 2
        logs[f'{prefix}r_squared'] = 1.0 - logs[f'{prefix}square_error'] / variance
    return logs


# -- after the training ---------------------------------------------------------------------------


def calibrate(estimator, data, *, distance_error=0.02, seed=0):
    """How much wider intervals must be than the networks say, from maps that were not trained on.

    Parameters
    ----------
    estimator : `~pidoc.inference.estimator.Estimator`
    data : object
        With ``light`` and ``mass`` in blocks, shape (n, y, x), and ``scalars``, shape (n, 4).
    distance_error : float, optional
        Relative error of the distances given, which are drawn with it.
    seed : int, optional

    Returns
    -------
    `~pidoc.inference.calibration.Calibration`
    """
    rng = np.random.default_rng(seed)
    true = np.exp(data.scalars[:, SCALARS.index('log_distance')])
    given = true * np.exp(distance_error * rng.normal(size=true.size))
    modes = dict(zip(MODES, ((None, None), (given, distance_error * given)), strict=True))
    misses = {mode: _misses(estimator, data, *told) for mode, told in modes.items()}
    return Calibration.fit(misses, (float(true.min()), float(true.max())))


def _misses(estimator, data, distance, error):
    parts = {name: [] for name in QUANTITIES}
    for k in range(0, len(data.scalars), _CHUNK):
        rows = slice(k, k + _CHUNK)
        told = {} if distance is None else {'distance': distance[rows], 'distance_error': error[rows]}
        found = estimator.misses(np.asarray(data.light[rows]), np.asarray(data.mass[rows]),
                                 data.scalars[rows], batch_size=_CHUNK, **told)
        for name, each in found.items():
            parts[name].append(each)
    return {name: [np.concatenate(values) for values in zip(*each, strict=True)]
            for name, each in parts.items()}


def _domain(training_set, progress):
    measured = [_features(training_set.split(split), progress) for split in ('train', 'validation')]
    return Domain.fit(*measured)


def _features(maps, progress):
    parts = []
    with tqdm(total=len(maps), desc='domain', unit='map', disable=None if progress else True) as bar:
        for k in range(0, len(maps), _CHUNK):
            table = maps.table[k:k + _CHUNK]
            parts.append(features(maps.light(slice(k, k + _CHUNK)), pixel_scale=maps.grid.scale,
                                  seeing=table['seeing'].to_value(u.arcsec),
                                  distance=table['distance'].to_value(u.kpc)))
            bar.update(len(table))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
