# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Definition of a training set, as a small TOML file: `Recipe`."""

import hashlib
import json
import logging
import math
import re
import tomllib
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from astropy import units as u
from msgspec import defstruct, Meta
from msgspec.structs import force_setattr

from pidoc.cluster.model import ClusterModel
from pidoc.cluster.table import field_value
from pidoc.grid import MapGrid
from pidoc.io.schema import checked, FINITE, number, Refused, some, Span, Table
from pidoc.mock.conditions import Conditions
from pidoc.photometry import BANDS, CORRECTIONS

__all__ = ['Foreign', 'Maps', 'Part', 'Population', 'Recipe', 'RecipeError', 'Values']

log = logging.getLogger(__name__)

SPLITS = ('train', 'validation', 'test')
"""Splits of a set."""

MAX_AGE = 15000.0
"""Largest age of a simulation [Myr]."""

#: conditions that are numbers, and their units
CONDITION_UNITS = {
    'extinction': u.mag, 'sky': u.mag / u.arcsec**2, 'sky_gradient': None, 'sky_angle': u.deg,
    'sky_error': None, 'calibration_error': u.mag, 'zero_point': u.mag, 'exposure': u.s,
    'read_noise': None, 'saturation': None, 'field_stars': u.arcmin**-2, 'field_star_slope': None,
    'bad_pixels': None,
}
#: values of a part that are optional
_OF_SOME_PARTS = ('stars_kept', 'size_factor', 'dispersion_radius')
_NAME = r'[A-Za-z0-9_+-][A-Za-z0-9._+-]*'


class RecipeError(ValueError):
    """A recipe is invalid; the message names the recipe, the table and the key."""


# -- values that are fixed, chosen from a list, or drawn ------------------------------------------


@dataclass(frozen=True)
class Values:
    """Distribution of one parameter of each map.

    Parameters
    ----------
    choices : tuple
        The value, or values from which one is drawn.
    low, high : float or None
        Limits of a uniform distribution, instead of choices.
    log : bool
        Draw uniformly in the logarithm.

    Examples
    --------
    >>> import numpy as np
    >>> from pidoc.training_set.recipe import Values
    >>> value = Values(low=8.0, high=120.0, log=True).draw(np.random.default_rng(1))
    >>> 8 < value < 120
    True
    """

    choices: tuple = ()
    low: float | None = None
    high: float | None = None
    log: bool = False

    def draw(self, rng):
        """Draw a value; no random number is used if there is only one choice."""
        if self.choices:
            number = len(self.choices)
            return self.choices[rng.integers(number) if number > 1 else 0]
        share = rng.uniform()
        return self.low * (self.high / self.low) ** share if self.log else \
            self.low + share * (self.high - self.low)


# -- the tables of the file -----------------------------------------------------------------------

_NAMED = 'a name of letters, digits and . _ + -'
_Name = Annotated[str, Meta(pattern=rf'\A{_NAME}\Z', description=_NAMED)]
_POSITIVE = number(above=0.0)
_AGE = number(least=0.0, most=MAX_AGE)
_SEED = number(int, least=0)
_COUNT = number(int, least=1)
_TWO_OR_MORE = number(int, least=2)
_COUNT_OR_ALL = Annotated[_COUNT | Literal['all'], Meta(description="a whole number above 0 or 'all'")]
_Names = some(str, 'a name or a list of names')
_Magnitudes = Annotated[tuple[FINITE, FINITE], Meta(description='the brightest and the faintest magnitude')]
_Splits = Annotated[dict[Literal[SPLITS], _COUNT_OR_ALL], Meta(
    min_length=1, description=f"numbers of maps, or one 'all', of {', '.join(SPLITS)}")]
_GRID = MapGrid()


def _values(kind):
    """The type of input for `Values`: a number, numbers to choose from, or limits."""
    rule = f'{kind.__metadata__[-1].description}, a list of them, or a table of low, high and perhaps scale'
    return Annotated[kind | Annotated[list[kind], Meta(min_length=1)] | Span[kind], Meta(description=rule)]


_Vectors = Annotated[list[FINITE | list[FINITE]], Meta(min_length=1)] | Literal['random']
_Shift = Annotated[_Vectors | Span[FINITE], Meta(
    description="2 numbers, a list of such, 'random', or a table of low and high")]
_Direction = Annotated[_Vectors, Meta(description="3 numbers, a list of such, 'random'")]
_Rotation = Annotated[_values(FINITE) | Literal['random', 'any'], Meta(
    description="a number, a list of them, 'random', 'any', or a table of low and high")]


def _listed(value):
    return value if isinstance(value, (list, tuple)) else [value]


def _made(value):
    """`Values` from the file's content; words and missing values are unchanged."""
    if isinstance(value, Span):
        return Values(low=value.low, high=value.high, log=value.scale == 'log')
    return Values(tuple(_listed(value))) if isinstance(value, (float, list)) else value


def _made_vectors(table, key, kind, size):
    """`Values` of vectors; words and limits as in `_made`."""
    value = getattr(table, key)
    if not isinstance(value, (list, tuple)):
        return _made(value)
    vectors = value if isinstance(value[0], list) else [value]
    if not all(isinstance(vector, (list, tuple)) and len(vector) == size for vector in vectors):
        raise Refused(key, kind.__metadata__[0].description, value)
    return Values(tuple(map(tuple, vectors)))


class Maps(Table, frozen=True):
    """Common properties of all maps of a set.

    Parameters
    ----------
    field_of_view, pixel_scale : float
        Side of the field and of a pixel [arcsec].
    smoothing : float
        Standard deviation of the Gaussian that smooths both maps [pixel].
    band, correction : str
        See `pidoc.photometry.band_luminosity`.
    oversampling : int
        Sub-pixels per side of a pixel.
    sharp : bool
        Also store the light before smoothing.
    shard : int
        Number of maps per file.

    Raises
    ------
    ValueError
        If the field is not a whole number of pixels, or the correction is not available for the band.
    """

    field_of_view: _POSITIVE = float(_GRID.field_of_view[0].value)
    pixel_scale: _POSITIVE = _GRID.scale
    smoothing: number(least=0.0) = _GRID.smoothing
    band: Literal[tuple(BANDS)] = _GRID.band
    correction: Literal[CORRECTIONS] = CORRECTIONS[0]
    oversampling: _COUNT = 1
    sharp: bool = False
    shard: number(int, least=1, most=10000) = 256

    def __post_init__(self):
        with np.errstate(over='ignore', invalid='ignore'):
            grid = self.grid
        if grid.band != 'V' and self.correction != 'kurucz1992':
            raise Refused('correction', f"'kurucz1992' for the band {self.band}", self.correction)

    @property
    def grid(self):
        """Pixels, smoothing and band of the maps (`~pidoc.grid.MapGrid`)."""
        return MapGrid.of_field(self.field_of_view * u.arcsec, pixel_scale=self.pixel_scale * u.arcsec,
                                smoothing=self.smoothing, band=self.band)


class Foreign(Table, frozen=True):
    """Snapshots of another code, as one simulation.

    Parameters
    ----------
    name : str
    files : tuple of str
        Paths or patterns, relative to the folder of the simulations if they are not absolute.
    at : tuple
        Numbers of the snapshots in each file; (None,) if it has one.
    format, initial : str, optional
    age, metallicity : float, optional
        As for ``Snapshot.read``, with the age in Gyr.
    """

    name: _Name
    files: some(str, 'a path or a list of paths')
    at: some(int, 'a whole number or a list of them') | None = None
    format: str | None = None
    initial: str | None = None
    age: number(least=0.0) | None = None
    metallicity: _POSITIVE | None = None

    def __post_init__(self):
        force_setattr(self, 'files', tuple(_listed(self.files)))
        force_setattr(self, 'at', tuple(_listed(self.at)))

    @property
    def options(self):
        """The options of ``Snapshot.read`` that are given (dict)."""
        given = {key: getattr(self, key) for key in ('format', 'initial', 'age', 'metallicity')}
        return {key: value for key, value in given.items() if value is not None}


class Population(Table, frozen=True):
    """Stars that replace those of the snapshots of a part; each property is `Values`.

    Parameters
    ----------
    number : int
        Number of populations for each snapshot.
    metallicity : `Values`
        Mass fraction Z of metals.
    giant_mass_loss : `Values`
        Reimers' eta.
    age_factor : `Values`
        Age of the stars relative to that of the snapshot; its inverse if they would be older than 13.9 Gyr.
    flattening : `Values` or None
        Added to the slope of the mass function below 0.8 Msun: stars are removed.
    """

    metallicity: _values(_POSITIVE)
    giant_mass_loss: _values(_POSITIVE)
    age_factor: _values(number(least=0.8, most=1.25)) = 1.0
    flattening: _values(number(least=0.0, most=3.0)) | None = None
    number: _COUNT = 1

    def __post_init__(self):
        for key in ('metallicity', 'giant_mass_loss', 'age_factor', 'flattening'):
            if getattr(self, key) is not None:
                force_setattr(self, key, _made(getattr(self, key)))

    @property
    def drawn(self):
        """Column of the maps' table -> `Values`, in the order in which they are drawn."""
        found = {'age_factor': self.age_factor, 'population_metallicity': self.metallicity,
                 'population_giant_mass_loss': self.giant_mass_loss}
        return found if self.flattening is None else found | {'flattening': self.flattening}


class _ConditionsBase(Table, frozen=True):

    def __post_init__(self):
        # check all values at their limits, in all combinations of lowest and highest
        values = self.values()
        for which in (0, -1):
            conditions_of({key: _extreme(value, which) for key, value in values.items()})

    def values(self):
        """The given ones as `Values`; subtract_sky and field_star_magnitudes unchanged."""
        given = {key: getattr(self, key) for key in self.__struct_fields__}
        return {key: _made(value) if key in CONDITION_UNITS else value
                for key, value in given.items() if value is not None}


_Conditions = defstruct(
    '_Conditions', [*((key, _values(FINITE) | None, None) for key in CONDITION_UNITS),
                    ('subtract_sky', bool | None, None),
                    ('field_star_magnitudes', _Magnitudes | None, None)],
    bases=(_ConditionsBase,), frozen=True)


def _extreme(value, which):
    if not isinstance(value, Values):
        return value
    return sorted(value.choices)[which] if value.choices else (value.low, value.high)[which]


def conditions_of(values):
    """`~pidoc.mock.Conditions` from numbers in the units of `CONDITION_UNITS`."""
    made = {}
    for key, value in values.items():
        unit = u.mag if key == 'field_star_magnitudes' else CONDITION_UNITS.get(key)
        made[key] = value if unit is None else value * unit
    return Conditions(**made)


class Part(Table, frozen=True, rename={'_number': 'number'}):
    """Maps of a set with the same distributions: a table [[part]]; numbers, lists and limits are `Values`.

    Parameters
    ----------
    name : str
    splits : dict
        'train', 'validation' or 'test' -> number of maps, None for all of a product.
    simulations : tuple of str
        Names, patterns or groups.
    draw : 'product' or 'random'
    choose : 'simulation' or 'snapshot'
    distance, seeing : `Values`
        In kpc and arcsec.
    shift : `Values` or 'random'
        In arcsec; 'random': both are uniform from -5 to 5.
    rotation : `Values` or str
        In degrees; 'random' (multiples of 90 degrees) or 'any'.
    direction : `Values` or 'random'
        Direction to the observer.
    light_jitter : float
        Standard deviation of the relative change of initial masses, for the light only.
    stars_kept, size_factor : `Values` or None
        Arguments of `Snapshot.rescaled <pidoc.cluster.snapshot.Snapshot.rescaled>`; training split only.
    population : `Population` or None
        Stars that replace those of the simulation; for the training split only.
    dispersion_radius : `Values` or None
        Radius about the centre [arcsec] within which the velocity dispersion of the bright stars is measured.
    field : 'auto' or None
        'auto': each map has the pixel scale with which its field holds the cluster
        (`pidoc.grid.MapGrid.holding`), but not one with which it would look farther away than the largest
        distance of the part does; the seeing is at least the best one of `pidoc.image.prepare` for it.
    conditions : dict or None
        Names of conditions and their `Values`, or a value for all maps.
    """

    simulations: _Names
    distance: _values(_POSITIVE)
    seeing: _values(_POSITIVE)
    name: _Name | None = None
    split: Literal[SPLITS] | None = None
    _number: _COUNT_OR_ALL | None = None
    splits: _Splits | None = None
    draw: Literal['product', 'random'] | None = None
    choose: Literal['simulation', 'snapshot'] = 'simulation'
    shift: _Shift = (0.0, 0.0)
    rotation: _Rotation = 0.0
    direction: _Direction = (0.0, 0.0, 1.0)
    light_jitter: number(least=0.0, most=0.2) = 0.0
    stars_kept: _values(number(above=0.0, most=1.5)) | None = None
    size_factor: _values(number(least=0.1, most=10.0)) | None = None
    population: Population | None = None
    dispersion_radius: _values(_POSITIVE) | None = None
    field: Literal['auto'] | None = None
    conditions: _Conditions | None = None

    def __post_init__(self):
        splits = self._splits()
        made = {'split': None, '_number': None, 'splits': splits, 'name': self.name or '-'.join(splits),
                'draw': self.draw or ('product' if None in splits.values() else 'random'),
                'simulations': tuple(_listed(self.simulations)),
                'shift': _made_vectors(self, 'shift', _Shift, 2),
                'direction': _made_vectors(self, 'direction', _Direction, 3)}
        if isinstance(self.conditions, _Conditions):
            made['conditions'] = self.conditions.values()
        for key in ('distance', 'seeing', 'rotation', *_OF_SOME_PARTS):
            made[key] = _made(getattr(self, key))
        for key, value in made.items():
            force_setattr(self, key, value)
        self._check()

    def _splits(self):
        """Splits and their numbers of maps, None for all."""
        splits = self.splits
        if splits is None:
            splits = {self.split: self._number}
            if self.split is None:
                raise ValueError(f'split must be one of {", ".join(SPLITS)}, or there must be splits, not '
                                 'found')
            if self._number is None:
                raise ValueError("number must be a whole number above 0 or 'all', not found")
        elif (self.split, self._number) != (None, None):
            raise Refused('splits', 'instead of split and number', [self.split, self._number])
        if 'test' in splits and len(splits) > 1:
            raise Refused('splits', 'train and validation, or test alone', list(splits))
        if 'all' in splits.values() and len(splits) > 1:
            raise Refused('splits', "one with 'all' or some with numbers", splits)
        return {split: None if size == 'all' else size for split, size in splits.items()}

    def _check(self):
        if isinstance(self.direction, Values) and not all(map(any, self.direction.choices)):
            raise Refused('direction', 'numbers that are not all 0', self.direction.choices)
        changed = [*self.rescaling, *(['population'] if self.population else ())]
        if changed and set(self.splits) != {'train'}:
            raise Refused(min(changed), 'for the split train alone: others are as simulated',
                          ', '.join(self.splits))
        if self.product:
            for key in ('distance', 'seeing'):
                if not getattr(self, key).choices:
                    raise Refused(key, 'numbers for a product: a distribution has no end of them',
                                  'a distribution')
        elif self.number is None:
            raise Refused('number', "a whole number where draw is 'random'", 'all')
        elif len(self.splits) > 1:
            raise Refused('draw', "'product' for two splits: maps drawn by themselves are not disjoint",
                          'random')

    @property
    def number(self):
        """Number of maps; None for all of a product."""
        return None if None in self.splits.values() else sum(self.splits.values())

    @property
    def product(self):
        """Whether maps are drawn from snapshots x distances x seeings without replacement, or singly."""
        return self.draw == 'product'

    @property
    def evenly(self):
        """For independent draws: whether each simulation, or else each snapshot, has the same probability."""
        return self.choose == 'simulation'

    @property
    def rescaling(self):
        """``stars_kept`` and ``size_factor`` by name, if they are given."""
        return {name: values for name, values in self.own.items() if name in ('stars_kept', 'size_factor')}

    @property
    def own(self):
        """Values that not every part has, by name."""
        both = {name: getattr(self, name) for name in _OF_SOME_PARTS}
        return {name: values for name, values in both.items() if values is not None}


# -- tables of simulations ------------------------------------------------------------------------


class _AgeSpan(Table, frozen=True):
    """Equally spaced ages [Myr]."""

    start: _AGE
    stop: _AGE
    step: _POSITIVE | None = None
    number: _TWO_OR_MORE | None = None

    def __post_init__(self):
        if not self.stop > self.start:
            raise Refused('stop', f'after the start, {self.start:g}', self.stop)
        if (self.step is None) == (self.number is None):
            which = 'none' if self.step is None else 'both'
            raise ValueError(f'there must be either step or number, received {which}')

    def ages(self):
        if self.number is not None:
            return np.linspace(self.start, self.stop, self.number)
        return self.start + self.step * np.arange(math.floor((self.stop - self.start) / self.step + 1e-9) + 1)


_Ages = some(_AGE | _AgeSpan, 'a list of ages [Myr] and of tables of start, stop and either step or number')


def _ages(written):
    """Ages [Myr] from numbers and spans."""
    ages = np.concatenate([item.ages() if isinstance(item, _AgeSpan) else [item]
                           for item in _listed(written)])
    if not (np.all(np.diff(ages) > 0.0) and ages[-1] <= MAX_AGE):
        raise Refused('ages', f'increasing, from 0 to {MAX_AGE:g} Myr', [float(age) for age in ages[:4]])
    return ages


class _SimulationsTable(Table, frozen=True):
    """A table [[simulations]]: named models, and rows of fields."""

    group: _Name
    ages: _Ages
    named: _Names | None = None
    base: str | None = None
    rows: some(dict, 'a list of tables of fields') | None = None

    def __post_init__(self):
        if self.named is None and self.rows is None:
            raise ValueError('must have named or rows, not found')
        _ages(self.ages)


class _GridGroupTable(Table, frozen=True):
    number: _COUNT
    seed: _SEED


class _GridTable(Table, frozen=True):
    """The table [grid]."""

    ages: _Ages
    fields: dict
    groups: Annotated[dict[str, _GridGroupTable],
                      Meta(min_length=1, description='at least one table of number and seed')]
    max_filling: number(above=0.0, most=0.99) | None = None

    def __post_init__(self):
        known = {field.name for field in fields(ClusterModel)} - {'name'}
        for field in self.fields:
            if field not in known:
                raise Refused('fields', 'fields of a model', field)
        for name in self.groups:
            if not re.fullmatch(_NAME, name):
                raise Refused('groups', f'tables with {_NAMED}', name)
        _ages(self.ages)

    def made(self, where):
        options = {'fields': self.fields}
        if self.max_filling is not None:
            options['max_filling'] = self.max_filling
        return [_GridGroup(name, f'{where}, groups, {name}', _ages(self.ages),
                           options | {'number': table.number, 'seed': table.seed})
                for name, table in self.groups.items()]


class _Tables(Table, frozen=True):
    """The complete recipe."""

    name: _Name
    seed: _SEED
    part: Annotated[list[Part], Meta(min_length=1, description='at least one table')]
    description: str = ''
    maps: Maps = Maps()
    simulations: list[_SimulationsTable] = []
    grid: _GridTable | None = None
    foreign: list[Foreign] = []


# -- the recipe -----------------------------------------------------------------------------------


class Recipe:
    """Definition of a training set: simulations, and the maps of their snapshots.

    Parameters
    ----------
    content : dict
        Content as read from a file by `tomllib`.
    source : str, optional
        Name in error messages until the recipe's name is known.

    Attributes
    ----------
    name, description : str
    seed : int
    maps : `Maps`
    foreign : tuple of `Foreign`
    parts : tuple of `Part`

    Raises
    ------
    RecipeError
        If it is not valid.

    Examples
    --------
    >>> from pidoc.training_set import Recipe
    >>> recipe = Recipe.read('table1')
    >>> [(part.name, part.splits) for part in recipe.parts][0]
    ('MW15-R1.6', {'train': 10000, 'validation': 1000})
    """

    def __init__(self, content, *, source='recipe'):
        name = content.get('name') if isinstance(content, dict) else None
        where = f'recipe {name}' if isinstance(name, str) and re.fullmatch(_NAME, name) else source
        tables = checked(content, _Tables, where, error=RecipeError)
        self._content = json.loads(json.dumps(content))
        self.name, self.description, self.seed = tables.name, tables.description, tables.seed
        self.maps, self.foreign, self.parts = tables.maps, tuple(tables.foreign), tuple(tables.part)
        self._groups = [_Group(table, f'{where}, [[simulations]] {k + 1}')
                        for k, table in enumerate(tables.simulations)]
        if tables.grid is not None:
            self._groups += tables.grid.made(f'{where}, [grid]')
        self._check_names()

    def _check_names(self):
        for what, names in (('[[part]]', [part.name for part in self.parts]),
                            ('a group of simulations', [group.name for group in self._groups]),
                            ('[[foreign]]', [foreign.name for foreign in self.foreign])):
            twice = [name for k, name in enumerate(names) if name in names[:k]]
            if twice:
                raise RecipeError(f'recipe {self.name}: names of {what} must be different, received '
                                  f'{twice[0]!r} twice')

    @classmethod
    def text(cls, source):
        """The text of a recipe, including comments.

        Parameters
        ----------
        source : path-like
            As for `read`.

        Returns
        -------
        str
        """
        return cls._path(source).read_text(encoding='utf-8')

    @classmethod
    def _path(cls, source):
        path = Path(source)
        if path.suffix == '.toml' or path.exists():
            return path
        if str(source) not in cls.shipped():
            raise RecipeError(f'recipe must be a file that ends in .toml or one of '
                              f'{", ".join(cls.shipped())}, received {str(source)!r}')
        return _shipped_folder() / f'{source}.toml'

    @classmethod
    def read(cls, source, *, check=True):
        """Read a recipe.

        Parameters
        ----------
        source : path-like
            A file that ends in .toml, or the name of a packaged one: see `shipped`.
        check : bool, optional
            Also draw its grid of models, and check that its parts match simulations.

        Returns
        -------
        Recipe

        Raises
        ------
        FileNotFoundError
            If the file does not exist.
        RecipeError
            If it is not TOML, or not valid.
        """
        try:
            content = tomllib.loads(cls.text(source))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(f'{source} is not TOML: {error}') from error
        recipe = cls(content, source=str(source))
        if check:
            for test, other in recipe.shared_stars():
                log.warning('recipe %s: %s of the test set has the same stars as %s, number, masses and '
                            'seed: another seed makes a fairer test', recipe.name, test, other)
        return recipe

    @staticmethod
    def shipped():
        """Names of the packaged recipes (list of str)."""
        return sorted(path.name.removesuffix('.toml') for path in _shipped_folder().iterdir()
                      if path.name.endswith('.toml'))

    def to_dict(self):
        """The recipe as plain lists, dicts, texts and numbers, newly created."""
        return json.loads(json.dumps(self._content))

    @property
    def digest(self):
        """SHA-256 of the recipe's content, without its description (str)."""
        content = {key: value for key, value in self._content.items() if key != 'description'}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def __eq__(self, other):
        return self.digest == other.digest if isinstance(other, Recipe) else NotImplemented

    def __hash__(self):
        return hash(self.digest)

    def __repr__(self):
        return f'<Recipe {self.name}: {len(self.parts)} parts>'

    @cached_property
    def models(self):
        """The simulations: name -> (`~pidoc.ClusterModel`, ages [Myr])."""
        models = {}
        for group in self._groups:
            for model in group.models:
                if not re.fullmatch(_NAME, model.name):
                    raise RecipeError(f'{group.where}: each model must have {_NAMED}, received '
                                      f'{model.name!r}')
                if model.name in models:
                    raise RecipeError(f'{group.where}: names of models must be different, received '
                                      f'{model.name!r} twice')
                models[model.name] = model, group.ages
        for foreign in self.foreign:
            if foreign.name in models:
                raise RecipeError(f'recipe {self.name}: {foreign.name!r} must not be both foreign and a '
                                  'model')
        return models

    def simulations_of_parts(self, others=None):
        """The simulations used by each part.

        Parameters
        ----------
        others : iterable of str, optional
            Available simulations in addition to those of the recipe. Without it, simulations that are not in
            the recipe are ignored.

        Returns
        -------
        dict
            Name of the part -> names of simulations, sorted.

        Raises
        ------
        RecipeError
            If a name matches no simulation, or one is both in test and in train or validation.
        """
        taken = {}
        for part in self.parts:
            found = [name for pattern in part.simulations for name in self._fitting(part, pattern, others)]
            taken[part.name] = sorted(set(found))
        self._check_disjoint(taken)
        return taken

    def shared_stars(self):
        """Pairs of models, one in test and one not, that have the same stars initially.

        Models with the same seed, number of stars and mass function may differ in the positions of the stars,
        but have the same bright giants at each age.

        Returns
        -------
        list of tuple of str
            Name of a model in test, and of one in train or validation.
        """
        taken = self.simulations_of_parts()
        sides = {False: set(), True: set()}
        for part in self.parts:
            sides['test' in part.splits] |= {name for name in taken[part.name] if name in self.models}
        stars = {name: (model.seed, model.n_stars, model.imf, *model.mass_limits.value)
                 for name, (model, _) in self.models.items()}
        return [(test, other) for test in sorted(sides[True]) for other in sorted(sides[False])
                if stars[test] == stars[other]]

    def _fitting(self, part, pattern, others):
        for group in self._groups:
            if group.name == pattern:
                return [model.name for model in group.models]
        known = [*self.models, *(foreign.name for foreign in self.foreign)]
        for names in (known, others or []):
            found = [name for name in names if fnmatchcase(name, pattern)]
            if found:
                return found
        if others is None and not self._groups:
            return []
        there = sorted({*(group.name for group in self._groups), *known, *(others or [])})
        raise RecipeError(f'recipe {self.name}, [[part]] {part.name}, simulations: {pattern!r} fits none of '
                          f'{", ".join(there) or "no simulations"}')

    def _check_disjoint(self, taken):
        apart = {'test': {}, 'the others': {}}
        for part in self.parts:
            side = 'test' if 'test' in part.splits else 'the others'
            for name in taken[part.name]:
                apart[side].setdefault(name, part.name)
        # the same cluster under two names counts as one
        models = {name: model.replace(name='') for name, (model, _) in self.models.items()}
        for name, part in apart['test'].items():
            for other, other_part in apart['the others'].items():
                same = name == other or (name in models and models.get(other) == models[name])
                if same:
                    also = '' if name == other else f', the same as {other},'
                    raise RecipeError(f'recipe {self.name}: no simulation may be both in test and in train '
                                      f'or validation, received {name} in [[part]] {part}{also} and in '
                                      f'{other_part}')


def _shipped_folder():
    return files('pidoc') / 'data' / 'recipes'


# -- simulations ----------------------------------------------------------------------------------


class _Group:
    """Models of a table [[simulations]]."""

    def __init__(self, table, where):
        self.name, self.where, self.ages, self._table = table.group, where, _ages(table.ages), table

    @cached_property
    def models(self):
        table = self._table
        try:
            base = ClusterModel() if table.base is None else ClusterModel.named(table.base)
            models = [ClusterModel.named(name) for name in _listed(table.named or [])]
            for row in _listed(table.rows or []):
                values = {field: field_value(field, value) for field, value in row.items()}
                if values.get('king_w0') is not None:
                    values.setdefault('profile', 'king')
                models.append(base.replace(**values))
        except (TypeError, ValueError) as error:
            raise RecipeError(f'{self.where}: {error}') from error
        return models


class _GridGroup:
    """One group of the table [grid]."""

    def __init__(self, name, where, ages, options):
        self.name, self.where, self.ages, self._options = name, where, ages, options

    @cached_property
    def models(self):
        # imports numba
        from pidoc.simulation.design import draw_models

        try:
            return draw_models(**self._options, name=self.name)
        except (TypeError, ValueError) as error:
            raise RecipeError(f'{self.where}: {error}') from error
