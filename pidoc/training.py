# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Training: from a training set to a model folder, `train`.

Everything that is random follows from the seed, the member, the epoch and the batch, so that a training that
was stopped goes on from its last epoch to the same result.
"""

import hashlib
import json
import logging
import math
import zipfile
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
from astropy import units as u
from tqdm import tqdm

from pidoc import __version__
from pidoc.domain import Domain, features
from pidoc.estimator import Calibration, Estimator, named_scalars, read_weights, turned, write_weights
from pidoc.files import replacing
from pidoc.losses import GaussianNLL
from pidoc.model_card import write_model_card
from pidoc.networks import cluster_network
from pidoc.scaling import block_mean, SCALARS, Scaling

__all__ = ['Settings', 'calibrate', 'train']

log = logging.getLogger(__name__)

_PRECISIONS = ('auto', 'float32', 'bfloat16')
_CHUNK = 256                          # maps that are read at a time
_DISTANCE_ERRORS = (0.005, 0.2)       # relative errors of the distances that networks are told in training
_FAINTEST = 1e-2                      # Msun per pixel: fainter pixels do not count in the calibration


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
        Of `~pidoc.losses.GaussianNLL`.
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
        for name in ('members', 'epochs', 'batch_size', 'block', 'turns', 'patience'):
            value = getattr(self, name)
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise ValueError(f'{name} must be a whole number above 0, received {value!r}')
        for name, low, high in (('learning_rate', 0.0, 1.0), ('weight_decay', -1e-300, 1.0),
                                ('beta', -1e-300, 1.0 + 1e-9), ('known_distance', -1e-300, 1.0 + 1e-9)):
            if not low < getattr(self, name) < high:
                raise ValueError(f'{name} must be between 0 and 1, received {getattr(self, name)!r}')
        if self.precision not in _PRECISIONS:
            raise ValueError(f'precision must be one of {", ".join(_PRECISIONS)}, received '
                             f'{self.precision!r}')
        object.__setattr__(self, 'widths', tuple(int(width) for width in self.widths))


# -- data -----------------------------------------------------------------------------------------


class _Reduced:
    """A split in blocks: maps mapped from disk, scalars in memory."""

    def __init__(self, training_set, split, block, folder, progress):
        maps = training_set.split(split)
        self.table = maps.table
        self.light = _cached(maps.light, len(maps), block, folder / f'{split}-light.npy', progress)
        self.mass = _cached(maps.mass, len(maps), block, folder / f'{split}-mass.npy', progress)
        mass, light = (self.table[name].value.astype(float) for name in ('mass', 'luminosity'))
        age, distance = self.table['age'].to_value(u.Gyr), self.table['distance'].to_value(u.kpc)
        self.scalars = np.stack([np.log(mass), np.log(mass / light), np.sqrt(age), np.log(distance)], axis=1)

    def __len__(self):
        return len(self.table)

    @property
    def distance(self):
        return np.exp(self.scalars[:, SCALARS.index('log_distance')])


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
    order = np.random.default_rng((settings.seed, member, epoch, 0)).permutation(len(data))
    size = settings.batch_size
    for number in range(len(data) // size):
        # in the order of the file, which is mapped from disk
        rows = np.sort(order[number * size:(number + 1) * size])
        rng = np.random.default_rng((settings.seed, member, epoch, 1, number))
        image, mass = _turn(rng, scaling.image_of_blocks(data.light[rows]),
                            scaling.mass_of_blocks(data.mass[rows]))
        told = _told(rng, data.distance[rows], scaling, settings.known_distance)
        yield [image, told], [mass, scaling.standardised(data.scalars[rows])]


def _fixed_batches(data, scaling):
    """The validation split: every other map with its distance, errors as in training, always the same."""
    told = _told(np.random.default_rng(0), data.distance, scaling, 1.0)
    told[::2] = 0.0
    for k in range(0, len(data), _CHUNK):
        rows = slice(k, k + _CHUNK)
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
    """Train an ensemble on a training set and write a model folder.

    Started again after it was stopped, it goes on from the last epoch, to the same result.

    Parameters
    ----------
    training_set : `~pidoc.training_set.TrainingSet`
        With the splits train and validation.
    folder : path-like
        Of the model; what is needed to go on is below ``work`` in it, and may be removed in the end.
    settings : `Settings`, optional
    name, description : str, optional
        For the model card.
    progress : bool, optional
        Whether to show progress bars, if there is a terminal.

    Returns
    -------
    `~pidoc.estimator.Estimator`
        Calibrated on the validation split, with the training domain.

    Raises
    ------
    TrainingError
        If the folder is of another training.
    """
    settings = settings or Settings()
    folder = Path(folder)
    work = folder / 'work'
    work.mkdir(parents=True, exist_ok=True)
    _check_same(work, _identity(training_set, settings))
    data = {split: _Reduced(training_set, split, settings.block, work, progress)
            for split in ('train', 'validation')}
    scaling = Scaling.fit(data['train'].light, data['train'].mass, data['train'].scalars,
                          block=settings.block)
    config = {'shape': [*data['train'].light.shape[1:], 1], 'widths': list(settings.widths)}
    with _device(settings.precision):
        histories = [_train_member(member, data, scaling, config, settings, work, progress)
                     for member in range(settings.members)]
    networks = [_with_weights(config, work / f'best-{member}.npz')
                for member in range(settings.members)]
    estimator = Estimator(networks, scaling, config=config, turns=settings.turns)
    estimator = estimator.replace(calibration=calibrate(estimator, data['validation']))
    about = {'name': name, 'description': description, 'version': __version__, 'history': histories,
             'settings': asdict(settings), 'recipe': training_set.recipe.to_dict(),
             'n_train': len(data['train']), 'n_validation': len(data['validation']),
             'domain': _domain(training_set, progress).to_dict()}
    estimator = estimator.replace(about=about)
    estimator.save(folder, overwrite=True)
    write_model_card(folder)
    return estimator


def _identity(training_set, settings):
    return {'recipe': training_set.recipe.digest, 'settings': asdict(settings)}


def _check_same(work, identity):
    """Refuse to go on with a training that was begun with another set or other settings."""
    path, text = work / 'training.json', json.dumps(identity, indent=1, sort_keys=True)
    if not path.exists():
        with replacing(path) as new:
            new.write_text(text, encoding='utf-8')
    elif path.read_text(encoding='utf-8') != text:
        raise TrainingError(f'{work} is of another training (its training set or settings differ): remove '
                            'it, or choose another folder')




@contextmanager
def _device(precision):
    """The precision asked for, and all GPUs where there are several."""
    gpus = [device for device in keras.distribution.list_devices() if 'cpu' not in device.lower()]
    before = keras.config.dtype_policy()
    strategy = nullcontext()
    if len(gpus) > 1:
        if keras.backend.backend() == 'tensorflow':
            import tensorflow

            strategy = tensorflow.distribute.MirroredStrategy().scope()
        else:
            keras.distribution.set_distribution(keras.distribution.DataParallel(devices=gpus))
    if precision == 'bfloat16' or (gpus and precision == 'auto'):
        keras.config.set_dtype_policy('mixed_bfloat16')
    log.info('training on %s, %s', ', '.join(gpus) or 'the CPU', keras.config.dtype_policy().name)
    try:
        with strategy:
            yield
    finally:
        keras.config.set_dtype_policy(before)


def _train_member(member, data, scaling, config, settings, work, progress):
    """One network; returns its history, a dict of lists."""
    keras.utils.set_random_seed(settings.seed * 1000 + member)
    network = cluster_network(**config)
    steps = len(data['train']) // settings.batch_size
    if steps < 1:
        raise ValueError(f'the training split must hold a batch of {settings.batch_size} maps, received '
                         f'{len(data["train"])}')
    _compile(network, settings, steps)
    state = _State(work, member, settings, network)
    state.load()
    what = f'network {member + 1} of {settings.members}'
    with tqdm(total=settings.epochs * steps, initial=state.epoch * steps, desc=what, unit='batch',
              disable=None if progress else True) as bar:
        while not state.finished:
            logs = _epoch(network, data, scaling, settings, member, state.epoch, bar)
            state.add(logs)
            log.info('%s, epoch %d: loss %.4f; on the validation %.4f, -ln likelihood %.4f', what,
                     state.epoch, logs['loss'], logs['val_loss'], state.history['val_likelihood'][-1])
            bar.set_postfix(loss=f'{logs["loss"]:.3f}', validation=f'{logs["val_loss"]:.3f}')
    return state.history


def _epoch(network, data, scaling, settings, member, epoch, bar):
    """All training maps once, then the validation maps; returns the means of losses and metrics.

    Batch by batch, not by `keras.Model.fit`: TensorFlow 2.21 may lock up for ever when it ends an epoch whose
    batches come from Python.
    """
    found = _Means()
    for inputs, truth in _batches(data['train'], scaling, settings, member, epoch):
        network.reset_metrics()
        found.add(network.train_on_batch(inputs, truth, return_dict=True), len(truth[0]))
        bar.update(1)
    checked = _Means('val_')
    for inputs, truth in _fixed_batches(data['validation'], scaling):
        network.reset_metrics()
        checked.add(network.test_on_batch(inputs, truth, return_dict=True), len(truth[0]))
    return found.values() | checked.values()


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


def _compile(network, settings, steps):
    total = settings.epochs * steps
    rise = min(200, max(1, total // 10))
    rate = keras.optimizers.schedules.CosineDecay(
        0.05 * settings.learning_rate, max(1, total - rise), alpha=0.0, warmup_target=settings.learning_rate,
        warmup_steps=rise)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay, clipnorm=1.0)
    loss = GaussianNLL(beta=settings.beta)
    metrics = [_square_error, _likelihood]
    network.compile(optimizer=optimizer, loss=[loss, loss], metrics=[metrics, metrics])


def _square_error(true, output):
    """Mean square error of the means among the outputs."""
    number = true.shape[-1]
    return keras.ops.mean(keras.ops.square(true - output[..., :number]), axis=-1)


def _likelihood(true, output):
    """Negative log likelihood: unlike the loss with beta it tells which of two networks is the better."""
    return GaussianNLL(beta=0.0).call(true, output)


def _with_weights(config, path):
    network = cluster_network(**config)
    read_weights(network, path)
    return network


class _State:
    """Keeps the state after every epoch: weights, optimiser, history, and the best weights so far."""

    def __init__(self, work, member, settings, network):
        self.settings, self.network = settings, network
        self.path = work / f'state-{member}.npz'
        self.best_path = work / f'best-{member}.npz'
        self.history, self.epoch, self.best, self.stopped = {}, 0, math.inf, False

    @property
    def finished(self):
        return self.stopped or self.epoch >= self.settings.epochs

    def add(self, logs):
        """What an epoch brought."""
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)
        loss = logs['val_mass__likelihood'] + logs['val_scalars__likelihood']
        self.history.setdefault('val_likelihood', []).append(loss)
        if not math.isfinite(loss):
            raise TrainingError(f'the validation loss of epoch {self.epoch + 1} must be finite, received '
                                f'{loss}: a smaller learning_rate may help')
        if loss < self.best:
            self.best = loss
            write_weights(self.network, self.best_path, dtype=np.float32)
        self.epoch += 1
        since = len(self.history['val_likelihood']) - 1 - int(np.argmin(self.history['val_likelihood']))
        self.stopped = since >= self.settings.patience
        self._save()

    def _save(self):
        state = {f'weight {k}': value for k, value in enumerate(self.network.get_weights())}
        state |= {f'optimizer {k}': np.asarray(value)
                  for k, value in enumerate(self.network.optimizer.variables)}
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
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise TrainingError(f'{self.path} is damaged ({error}): remove it') from error
        best = self.best_path.read_bytes() if self.best_path.exists() else b''
        if hashlib.sha256(best).hexdigest() != note['best_sha256']:
            raise TrainingError(f'{self.best_path} does not go with {self.path.name}: remove both')
        self.network.set_weights(weights)
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.epoch, self.best, self.stopped = note['epoch'], note['best'], note['stopped']
        self.history = note['history']


# -- after the training ---------------------------------------------------------------------------


def calibrate(estimator, data, *, distance_error=0.02, seed=0):
    """How much wider intervals must be than the networks say, from maps that were not trained on.

    Parameters
    ----------
    estimator : `~pidoc.estimator.Estimator`
    data : object
        With ``light`` and ``mass`` in blocks, shape (n, y, x), and ``scalars``, shape (n, 4).
    distance_error : float, optional
        Relative error of the distances given, which are drawn with it.
    seed : int, optional

    Returns
    -------
    `~pidoc.estimator.Calibration`
    """
    rng = np.random.default_rng(seed)
    true = np.exp(data.scalars[:, SCALARS.index('log_distance')])
    given = true * np.exp(distance_error * rng.normal(size=true.size))
    modes = {'image': (None, None), 'distance': (given, distance_error * given)}
    return Calibration({mode: _mode_factors(estimator, data, *told) for mode, told in modes.items()})


def _mode_factors(estimator, data, distance, error):
    map_mean, map_sd, mean, sd = estimator.raw(np.asarray(data.light), distance=distance,
                                               distance_error=error, batch_size=_CHUNK)
    mass = np.asarray(data.mass)
    counts = mass > _FAINTEST
    scores = np.abs(np.arcsinh(mass / (2.0 * estimator.scaling.mass_floor)) - map_mean) / map_sd
    factors = {'log_mass': Calibration.quantiles(scores[counts])}
    truth = named_scalars(data.scalars, np.zeros_like(data.scalars))
    for name, (value, width) in named_scalars(mean, sd).items():
        factors[name] = Calibration.quantiles(np.abs(value - truth[name][0]) / width)
    return factors


def _domain(training_set, progress):
    measured = [_features(training_set.split(split), progress) for split in ('train', 'validation')]
    return Domain.fit(*measured)


def _features(maps, progress):
    parts = []
    with tqdm(total=len(maps), desc='domain', unit='map', disable=None if progress else True) as bar:
        for k in range(0, len(maps), _CHUNK):
            table = maps.table[k:k + _CHUNK]
            parts.append(features(maps.light(slice(k, k + _CHUNK)), pixel_scale=maps.pixel_scale.value,
                                  seeing=table['seeing'].to_value(u.arcsec),
                                  distance=table['distance'].to_value(u.kpc)))
            bar.update(len(table))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
