# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Settings of a training: `Settings` for our network, `PaperSettings` for those of the paper."""

import math
import os
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from pidoc.grid import Channel, MapGrid
from pidoc.inference.folder import read_card
from pidoc.networks.mixture import COVARIANCES
from pidoc.networks.scaling import check_compression
from pidoc.networks.variables import CONSTRAINTS, OUTPUTS
from pidoc.units import plain_number, whole_number

__all__ = ['PaperSettings', 'Selection', 'Settings']

PRECISIONS = ('auto', 'float32', 'bfloat16')

#: images of the light in a training set, by the name of its method: smoothed or not
CHANNELS = {'light': True, 'sharp': False}

#: settings that the weights of a network depend on
_OF_NETWORK = ('members', 'outputs', 'constraints', 'measured', 'components', 'covariance', 'channels',
               'widths', 'block', 'compression', 'distance_scale', 'pooled', 'ties')


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Selection of maps of a split; by default all.

    Parameters
    ----------
    simulations : tuple of str
        Names of simulations; empty for all.
    ages, distances : tuple of tuple of float
        Ranges (lowest, highest) [Gyr], [kpc]: a map must be in one of them; empty for all.
    number : int, optional
        Largest number of maps, evenly spaced in the selection.

    Raises
    ------
    ValueError
        If a range is not two numbers in order, or ``number`` not a positive whole number.

    Examples
    --------
    >>> from pidoc.training import Selection
    >>> Selection(ages=[(0.1, 13.0)], number=3000).ages
    ((0.1, 13.0),)
    """

    simulations: tuple = ()
    ages: tuple = ()
    distances: tuple = ()
    number: int | None = None

    def __post_init__(self):
        object.__setattr__(self, 'simulations', tuple(map(str, self.simulations)))
        for name in ('ages', 'distances'):
            object.__setattr__(self, name, tuple(_range(name, each) for each in getattr(self, name)))
        if self.number is not None:
            whole_number(self.number, 'number', at_least=1)

    def rows(self, table):
        """Indices of the selected maps in the table of a training set.

        Parameters
        ----------
        table : `~astropy.table.QTable`
            The table of a `~pidoc.training_set.TrainingSet`.

        Returns
        -------
        ndarray of int
            In increasing order.

        Examples
        --------
        >>> from astropy import units as u
        >>> from astropy.table import QTable
        >>> from pidoc.training import Selection
        >>> table = QTable({'simulation': ['a', 'b', 'b'], 'age': [12, 5, 12] * u.Gyr})
        >>> Selection(simulations=['b'], ages=[(10, 14)]).rows(table)
        array([2])
        """
        chosen = np.ones(len(table), dtype=bool)
        if self.simulations:
            chosen &= np.isin(table['simulation'], self.simulations)
        for ranges, name, unit in ((self.ages, 'age', 'Gyr'), (self.distances, 'distance', 'kpc')):
            if ranges:
                values = table[name].to_value(unit)
                chosen &= np.any([(low <= values) & (values <= high) for low, high in ranges], axis=0)
        rows = np.flatnonzero(chosen)
        if self.number is None or not rows.size:
            return rows
        return rows[np.unique(np.linspace(0, len(rows) - 1, self.number).astype(int))]


def _range(name, ends):
    try:
        low, high = (float(end) for end in ends)
    except (TypeError, ValueError):
        low = high = np.nan
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f'{name} must be ranges (lowest, highest), both finite, received {ends!r}')
    return low, high


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings for the training of our network.

    Parameters
    ----------
    members : int
        Number of networks of the ensemble, with different seeds.
    epochs : int
        Number of passes over the training set.
    batch_size : int
        Maps in a training step.
    learning_rate : float
        Largest learning rate: it increases in the first 200 steps and then decreases to zero as a half cosine
        (Loshchilov & Hutter 2017).
    weight_decay : float
        Weight decay of AdamW.
    dropout : float
        Dropout rate in front of the layer that predicts the scalars, against overfitting of few simulations.
    beta : float
        Exponent of `~pidoc.networks.losses.GaussianNLL`.
    loss_weights : tuple of float
        Weights of the mass map and of the scalars in the loss.
    orientations : {8, 4, 1}
        Data augmentation: number of orientations of the maps; 1: none.
    outputs : tuple of str or None
        Predicted scalars, from `pidoc.networks.variables.OUTPUTS`; None: all in the set.
    constraints : tuple of str or None
        Properties that the network is conditioned on, from `pidoc.networks.variables.CONSTRAINTS`; None:
        those known exactly, such as the seeing, that the set has.
    measured : tuple of str or None
        Constraints that the posterior is conditioned on in closed form; None: all other predicted ones. A
        network with [Fe/H] as an input would overfit the simulations, each of which has its own value.
    given : float
        Fraction of the maps for which each constraint is given, with a random error.
    components : int
        Number of normal distributions in the mixture posterior of the scalars.
    covariance : {'full', 'diagonal'}
        Covariance of each of them.
    channels : tuple of str or None
        Input images of the network: 'light', smoothed, and 'sharp', before smoothing. None: all in the
        training set.
    widths : tuple of int
        Channels at each scale of `~pidoc.networks.cluster_network`.
    block : int
        Side of a block [pixels].
    compression : {'arcsinh', 'logarithm'}
        Transformation of the pixels: `~pidoc.networks.scaling.COMPRESSIONS`.
    distance_scale : {'logarithm', 'linear'}
        Scale on which the distance is learned: `~pidoc.networks.variables.SCALES`.
    pooled : bool
        Standardise all scalars together, or each separately.
    ties : bool
        Predict the scalars in `~pidoc.networks.coordinates.Coordinates`, or as they are.
    train_maps, validation_maps : `Selection`
        Selected maps of either split.
    turns : int
        Number of orientations that the finished model averages over, 1 to 8.
    start : path-like or None
        Folder of a trained model with whose weights the training begins, instead of random ones
        (fine-tuning). Its scaling, and the settings of its networks and outputs, are used again; those given
        here must be equal to them, or the defaults.
    patience : int
        Early stopping: epochs without a better likelihood of the validation split.
    precision : {'auto', 'float32', 'bfloat16'}
        Precision between the layers; weights and results are always in single precision. 'auto': half
        precision (bfloat16) on a GPU, else single. Processors with instructions for bfloat16 (AMX) train
        twice as fast with it.
    seed : int

    Raises
    ------
    TypeError, ValueError
        If a value has a wrong type or is out of range.

    Examples
    --------
    >>> from pidoc.training import Settings
    >>> Settings(epochs=10, channels=('light',)).learning_rate
    0.001
    >>> Settings(epochs=0)
    Traceback (most recent call last):
        ...
    ValueError: epochs must be a whole number, at least 1, received 0
    """

    members: int = 1
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    dropout: float = 0.3
    beta: float = 0.5
    loss_weights: tuple = (1.0, 1.0)
    orientations: int = 8
    outputs: tuple | None = None
    constraints: tuple | None = None
    measured: tuple | None = None
    given: float = 0.5
    components: int = 3
    covariance: str = 'full'
    channels: tuple | None = None
    widths: tuple = (24, 48, 96, 128)
    block: int = 4
    compression: str = 'arcsinh'
    distance_scale: str = 'logarithm'
    pooled: bool = False
    ties: bool = True
    train_maps: Selection = field(default_factory=Selection)
    validation_maps: Selection = field(default_factory=Selection)
    turns: int = 1
    start: str | None = None
    patience: int = 10
    precision: str = 'auto'
    seed: int = 0

    def __post_init__(self):
        if self.start is not None:
            object.__setattr__(self, 'start', os.fspath(self.start))
        for name in ('members', 'epochs', 'batch_size', 'block', 'components', 'patience'):
            whole_number(getattr(self, name), name, at_least=1, floats=True)
        whole_number(self.turns, 'turns', at_least=1, at_most=8, floats=True)
        plain_number(self.learning_rate, 'learning_rate', above=0, below=1)
        plain_number(self.weight_decay, 'weight_decay', at_least=0, below=1)
        plain_number(self.dropout, 'dropout', at_least=0, below=1)
        for name in ('beta', 'given'):
            plain_number(getattr(self, name), name, at_least=0, at_most=1)
        _check_choice(self, 'orientations', (1, 4, 8))
        check_compression(self.compression)
        _check_choice(self, 'distance_scale', ('logarithm', 'linear'))
        _check_choice(self, 'covariance', COVARIANCES)
        _check_choice(self, 'ties', (True, False))
        _check_common(self)
        _pair(self, 'loss_weights', lambda one, two: min(one, two) >= 0.0 < one + two,
              'not negative, and not both 0')
        for name, known in (('outputs', OUTPUTS), ('constraints', CONSTRAINTS), ('measured', CONSTRAINTS),
                            ('channels', CHANNELS)):
            _check_names(self, name, known)
        object.__setattr__(self, 'widths', tuple(
            whole_number(width, 'each of widths', at_least=1, floats=True) for width in self.widths))

    def completed(self, training_set):
        """These settings, with the channels of a training set if none are named, or those of ``start``."""
        if self.start is not None:
            return self._of_start(training_set)
        if self.channels is not None:
            return self
        return replace(self, channels=tuple(CHANNELS) if training_set.has_sharp else ('light',))

    def _of_start(self, training_set):
        """These settings, with those of the model ``start`` for all that its weights depend on."""
        card = read_card(self.start)
        theirs, defaults = card['about'].get('settings', {}), type(self)()
        if card.get('kind', 'cluster') != 'cluster' or set(_OF_NETWORK) - set(theirs):
            raise ValueError(f'start must be a model of our network with its settings, received {self.start}')
        theirs = {name: theirs[name] for name in _OF_NETWORK}
        for name, value in asdict(replace(defaults, **theirs)).items():
            mine = getattr(self, name)
            if name in theirs and mine not in (value, getattr(defaults, name)):
                raise ValueError(f'{name} must be that of the model {self.start}, {value}, received {mine}')
        found = replace(self, **theirs)
        grid, expected = found.grid(training_set.grid), MapGrid.from_dict(card['grid'])
        if grid != expected:
            raise ValueError(f'the maps must be those of the model {self.start}, {expected}, received {grid}')
        return found

    def grid(self, grid):
        """The grid of a model from that of its training set, with the input channels of the network."""
        return replace(grid, channels=tuple(Channel(grid.band, CHANNELS[name]) for name in self.channels))


@dataclass(frozen=True, kw_only=True)
class PaperSettings:
    """Settings for the training of the two networks of the paper, by default those of its section 3.

    Not given in Chardin & Bianchini (2021): the batch size, and the end of the training except for "the
    beginning of the plateau observed for the validation set", at 50 to 100 epochs for the mass and at 200 for
    age and distance. Here the weights of the epoch with the lowest validation loss are used.

    Parameters
    ----------
    epochs : tuple of int
        Number of passes over the training set, for the mass network and for that of age and distance.
    learning_rates : tuple of float
        Learning rates of Adam for the two networks.
    batch_size : int
        Maps in a training step.
    patience : int
        Early stopping: epochs without a lower validation loss.
    pooled : bool
        Standardise age and distance together, like the authors' released code, or each separately.
    train_maps, validation_maps : `Selection`
        Selected maps of either split.
    vgg : str or path-like
        Weights of VGG16 in the perceptual loss: 'imagenet', as in the paper; 'random'; or a file. See
        `~pidoc.networks.losses.PerceptualLoss`. They are recorded in the model folder and on its card.
    precision : {'auto', 'float32', 'bfloat16'}
        As for `Settings`; the perceptual loss is always in single precision.
    seed : int

    Raises
    ------
    ValueError
        If a value is out of range.

    Examples
    --------
    >>> from pidoc.training import PaperSettings
    >>> PaperSettings(vgg='random').epochs
    (100, 200)
    """

    epochs: tuple = (100, 200)
    learning_rates: tuple = (10.0**-2.5, 1e-4)
    batch_size: int = 32
    patience: int = 20
    pooled: bool = True
    train_maps: Selection = field(default_factory=Selection)
    validation_maps: Selection = field(default_factory=Selection)
    vgg: str = 'imagenet'
    precision: str = 'auto'
    seed: int = 0

    def __post_init__(self):
        for name in ('batch_size', 'patience'):
            whole_number(getattr(self, name), name, at_least=1, floats=True)
        _check_common(self)
        for name, of in (('epochs', int), ('learning_rates', float)):
            values = tuple(map(of, getattr(self, name)))
            if len(values) != 2 or min(values) <= 0:
                raise ValueError(f'{name} must be two numbers above 0, of the mass network and of the other, '
                                 f'received {getattr(self, name)!r}')
            object.__setattr__(self, name, values)

    def completed(self, training_set):
        """These settings, which are complete."""
        return self

    def grid(self, grid):
        """The grid of a model, equal to that of its training set."""
        return grid


def _check_common(settings):
    _check_choice(settings, 'precision', PRECISIONS)
    for name in ('train_maps', 'validation_maps'):
        if not isinstance(getattr(settings, name), Selection):
            raise TypeError(f'{name} must be a Selection, received {getattr(settings, name)!r}')


def _check_names(settings, name, known):
    names = getattr(settings, name)
    if names is None:
        return
    if isinstance(names, str) or not names or set(names) - set(known) or len(set(names)) < len(names):
        raise ValueError(f'{name} must be different ones of {", ".join(known)}, received {names!r}')
    object.__setattr__(settings, name, tuple(names))


def _check_choice(settings, name, choices):
    if getattr(settings, name) not in choices:
        raise ValueError(f'{name} must be one of {", ".join(map(str, choices))}, received '
                         f'{getattr(settings, name)!r}')


def _pair(settings, name, rule, text):
    values = getattr(settings, name)
    pair = tuple(plain_number(value, f'each of {name}') for value in values)
    if len(pair) != 2 or not rule(*pair):
        raise ValueError(f'{name} must be two numbers, {text}, received {values!r}')
    object.__setattr__(settings, name, pair)
