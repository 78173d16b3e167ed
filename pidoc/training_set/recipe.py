# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What a training set is made of, as a small TOML file: `Recipe`."""

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
from numbers import Integral, Real
from pathlib import Path

import numpy as np
from astropy import units as u

from pidoc.cluster.model import ClusterModel
from pidoc.cluster.table import field_value
from pidoc.grid import MapGrid
from pidoc.mock.conditions import Conditions
from pidoc.photometry import BANDS, CORRECTIONS

__all__ = ['Foreign', 'Maps', 'Part', 'Recipe', 'RecipeError', 'Values']

log = logging.getLogger(__name__)

SPLITS = ('train', 'validation', 'test')
"""What the maps of a set are for."""

MAX_AGE = 15000.0
"""Of a simulation [Myr]."""

#: Conditions that are numbers, and their units.
CONDITION_UNITS = {
    'extinction': u.mag, 'sky': u.mag / u.arcsec**2, 'sky_gradient': None, 'sky_angle': u.deg,
    'zero_point': u.mag, 'exposure': u.s, 'read_noise': None, 'saturation': None,
    'field_stars': u.arcmin**-2, 'field_star_slope': None, 'bad_pixels': None,
}
_MOST_PIXELS = 8192        # to a side of a map
_NAME = re.compile(r'[A-Za-z0-9_+-][A-Za-z0-9._+-]*')


class RecipeError(ValueError):
    """A recipe says something that cannot be; the message names the recipe, the table and the key."""


# -- tables of a TOML file, read once and completely ----------------------------------------------


class _Table:
    """A table of a recipe: keys are taken one by one, and what is left over is an error."""

    def __init__(self, values, where):
        if not isinstance(values, dict):
            raise RecipeError(f'{where} must be a table, received {values!r}')
        self.where = where
        self._left = dict(values)

    def error(self, key, rule, value):
        return RecipeError(f'{self.where}, {key}: must be {rule}, received {value!r}')

    def __contains__(self, key):
        return key in self._left

    def take(self, key, default=..., rule='given'):
        """The value as it is."""
        if key not in self._left:
            if default is ...:
                raise RecipeError(f'{self.where}, {key}: must be {rule}, not found')
            return default
        return self._left.pop(key)

    def text(self, key, default=...):
        value = self.take(key, default, 'a text')
        if not isinstance(value, str):
            raise self.error(key, 'a text', value)
        return value

    def name(self, key, default=...):
        value = self.text(key, default)
        if not _NAME.fullmatch(value):
            raise self.error(key, 'a name of letters, digits and . _ + -', value)
        return value

    def choice(self, key, choices, default=...):
        value = self.take(key, default, f'one of {", ".join(choices)}')
        if value not in choices:
            raise self.error(key, f'one of {", ".join(choices)}', value)
        return value

    def boolean(self, key, default=...):
        value = self.take(key, default, 'true or false')
        if not isinstance(value, bool):
            raise self.error(key, 'true or false', value)
        return value

    def number(self, key, default=..., *, low=-math.inf, high=math.inf, open_low=False, whole=False):
        rule = f'a {"whole " if whole else ""}number{_limits(low, high, open_low)}'
        value = self.take(key, default, rule)
        if not _is_number(value, low, high, open_low) or (whole and not isinstance(value, Integral)):
            raise self.error(key, rule, value)
        return int(value) if whole else float(value)

    def list_of(self, key, kind, rule, default=...):
        value = self.take(key, default, rule)
        value = value if isinstance(value, list) else [value]
        if not value or not all(isinstance(item, kind) for item in value):
            raise self.error(key, rule, value)
        return value

    def tables(self, key):
        """The tables [[key]]."""
        value = self.take(key, [])
        if not isinstance(value, list):
            raise self.error(key, f'tables [[{key}]]', value)
        return [_Table(item, f'{self.where}, [[{key}]] {n + 1}') for n, item in enumerate(value)]

    def table(self, key, default=...):
        """The table [key]."""
        return _Table(self.take(key, default, f'a table [{key}]'), f'{self.where}, [{key}]')

    def items(self):
        """All that is left, taken."""
        items, self._left = list(self._left.items()), {}
        return items

    def finish(self):
        if self._left:
            raise RecipeError(f'{self.where}, {next(iter(self._left))}: there is no such key')


def _limits(low, high, open_low):
    if low > -math.inf and high < math.inf:
        return f' {"above" if open_low else "from"} {low:g} {"and at most" if open_low else "to"} {high:g}'
    if low > -math.inf:
        return f' above {low:g}' if open_low else f', at least {low:g}'
    return ''


def _is_number(value, low=-math.inf, high=math.inf, open_low=False):
    real = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    return real and (low < value if open_low else low <= value) and value <= high


# -- values that are given, one of several, or drawn ----------------------------------------------


@dataclass(frozen=True)
class Values:
    """What a recipe says about one number of each map.

    Parameters
    ----------
    choices : tuple
        The value, or those of which one is drawn.
    low, high : float or None
        Instead of choices: limits of what is drawn.
    log : bool
        Draw evenly in the logarithm.

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
        """One value; nothing is drawn where there is only one."""
        if self.choices:
            number = len(self.choices)
            return self.choices[rng.integers(number) if number > 1 else 0]
        share = rng.uniform()
        return self.low * (self.high / self.low) ** share if self.log else \
            self.low + share * (self.high - self.low)


def _values(table, key, default=..., *, low=-math.inf, high=math.inf, open_low=False):
    """A number, a list of numbers, or a distribution."""
    limits = _limits(low, high, open_low)
    value = table.take(key, default, f'a number{limits}')
    if value is None or isinstance(value, Values):
        return value
    if isinstance(value, dict):
        return _distribution(table, key, value, low, high, open_low)
    numbers = value if isinstance(value, list) else [value]
    if not numbers or not all(_is_number(number, low, high, open_low) for number in numbers):
        raise table.error(key, f'a number{limits}, a list of them, or a table of low, high and perhaps scale',
                          value)
    return Values(tuple(float(number) for number in numbers))


def _distribution(table, key, value, low, high, open_low):
    if not {'low', 'high'} <= set(value) <= {'low', 'high', 'scale'}:
        raise table.error(key, 'a table of low, high and perhaps scale', value)
    scale = value.get('scale', 'linear')
    if scale not in ('linear', 'log'):
        raise table.error(f'{key}.scale', "'linear' or 'log'", scale)
    for name in ('low', 'high'):
        if not _is_number(value[name], low, high, open_low):
            raise table.error(f'{key}.{name}', f'a number{_limits(low, high, open_low)}', value[name])
    if not value['low'] < value['high']:
        raise table.error(key, 'a table with low below high', value)
    if scale == 'log' and not value['low'] > 0.0:
        raise table.error(f'{key}.low', 'positive for a scale that is log', value['low'])
    return Values(low=float(value['low']), high=float(value['high']), log=scale == 'log')


def _vectors(table, key, number, words, default):
    """Some numbers, a list of such, a distribution that holds for each, or a word."""
    value = table.take(key, default)
    rule = f'{number} numbers, a list of such{"".join(f", {word!r}" for word in words)}'
    if value in words:
        return value
    if isinstance(value, dict) and number == 2:
        return _distribution(table, key, value, -math.inf, math.inf, False)
    vectors = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    for vector in vectors:
        if not (isinstance(vector, list) and len(vector) == number and all(map(_is_number, vector))):
            raise table.error(key, rule + (', or a table of low and high' if number == 2 else ''), value)
    if number == 3 and not all(any(vector) for vector in vectors):
        raise table.error(key, 'numbers that are not all 0', value)
    return Values(tuple(tuple(float(x) for x in vector) for vector in vectors))


# -- the tables -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Maps:
    """What all maps of a set have in common.

    Parameters
    ----------
    field_of_view, pixel_scale : float
        Side of the field and of a pixel [arcsec].
    smoothing : float
        Standard deviation of the Gaussian that both maps are smoothed with [pixel].
    band, correction : str
        As in `pidoc.photometry.band_luminosity`.
    oversampling : int
        Sub-pixels to a side of a pixel.
    sharp : bool
        Keep the light before the smoothing beside the maps.
    shard : int
        Maps in one file.
    """

    field_of_view: float = 40.0
    pixel_scale: float = 0.25
    smoothing: float = 4.0
    band: str = 'V'
    correction: str = 'reed1998'
    oversampling: int = 1
    sharp: bool = False
    shard: int = 256

    @property
    def grid(self):
        """Pixels, smoothing and band of the maps (`~pidoc.grid.MapGrid`)."""
        return MapGrid.of_field(self.field_of_view * u.arcsec, pixel_scale=self.pixel_scale * u.arcsec,
                                smoothing=self.smoothing, band=self.band)

    @classmethod
    def _read(cls, table):
        maps = cls(
            field_of_view=table.number('field_of_view', 40.0, low=0.0, open_low=True),
            pixel_scale=table.number('pixel_scale', 0.25, low=0.0, open_low=True),
            smoothing=table.number('smoothing', 4.0, low=0.0),
            band=table.choice('band', tuple(BANDS), 'V'),
            correction=table.choice('correction', CORRECTIONS, 'reed1998'),
            oversampling=table.number('oversampling', 1, low=1, whole=True),
            sharp=table.boolean('sharp', False),
            shard=table.number('shard', 256, low=1, high=10000, whole=True))
        number = maps.field_of_view / maps.pixel_scale
        if not 0.5 <= number <= _MOST_PIXELS or abs(number - round(number)) > 1e-6 * number:
            raise table.error('field_of_view', f'a whole number of pixels of {maps.pixel_scale:g} arcsec, at '
                              f'most {_MOST_PIXELS}', maps.field_of_view)
        if maps.band != 'V' and maps.correction != 'kurucz1992':
            raise table.error('correction', f"'kurucz1992' for the band {maps.band}", maps.correction)
        table.finish()
        return maps


@dataclass(frozen=True)
class Foreign:
    """Snapshots of another code, as one simulation.

    Parameters
    ----------
    name : str
    files : tuple of str
        Paths or patterns, from the folder of the simulations if they are not absolute.
    at : tuple
        Numbers of the snapshots in each file; (None,) where it has one.
    options : dict
        What `Snapshot.read` is told: format, age [Gyr], metallicity, initial.
    """

    name: str
    files: tuple
    at: tuple = (None,)
    options: dict = None

    @classmethod
    def _read(cls, table):
        options = {key: table.text(key) for key in ('format', 'initial') if key in table}
        if 'age' in table:
            options['age'] = table.number('age', low=0.0)
        if 'metallicity' in table:
            options['metallicity'] = table.number('metallicity', low=0.0, open_low=True)
        at = table.list_of('at', int, 'a whole number or a list of them') if 'at' in table else [None]
        foreign = cls(table.name('name'), tuple(table.list_of('files', str, 'a path or a list of paths')),
                      tuple(at), options)
        table.finish()
        return foreign


@dataclass(frozen=True)
class Part:
    """Maps of a set that are drawn alike.

    Parameters
    ----------
    name : str
    splits : dict
        'train', 'validation' or 'test' and the number of maps, None for all of a product.
    simulations : tuple of str
        Names, patterns or groups.
    product : bool
        Whether maps are taken, none twice, from snapshots x distances x seeings; else each is drawn by
        itself.
    evenly : bool
        Of a map that is drawn by itself: whether each simulation, or else each snapshot, is as likely.
    distance, seeing : `Values`
        In kpc and arcsec.
    shift : `Values` or 'random'
        In arcsec; 'random': both evenly from -5 to 5.
    rotation : `Values` or str
        In degrees; 'random' (quarter turns) or 'any'.
    direction : `Values` or 'random'
        Of the observer.
    light_jitter : float
        Standard deviation of the relative change that initial masses get, for the light only.
    stars_kept, size_factor : `Values` or None
        Of `Snapshot.rescaled <pidoc.cluster.snapshot.Snapshot.rescaled>`; for the training split alone.
    conditions : dict or None
        Names of conditions and their `Values`, or what is the same for all maps.
    """

    name: str
    splits: dict
    simulations: tuple
    product: bool
    evenly: bool
    distance: Values
    seeing: Values
    shift: object
    rotation: object
    direction: object
    light_jitter: float
    stars_kept: Values | None
    size_factor: Values | None
    conditions: dict | None

    @property
    def number(self):
        """How many maps; None for all of a product."""
        return None if None in self.splits.values() else sum(self.splits.values())

    @classmethod
    def _read(cls, table):
        splits = cls._splits(table)
        every = None in splits.values()
        draw = table.choice('draw', ('product', 'random'), 'product' if every else 'random')
        turn = table.take('rotation', 0.0) if table._left.get('rotation') in ('random', 'any') else None
        part = cls(
            name=table.name('name', '-'.join(splits)), splits=splits,
            simulations=tuple(table.list_of('simulations', str, 'a name or a list of names')),
            product=draw == 'product',
            evenly=table.choice('choose', ('simulation', 'snapshot'), 'simulation') == 'simulation',
            distance=_values(table, 'distance', low=0.0, open_low=True),
            seeing=_values(table, 'seeing', low=0.0, open_low=True),
            shift=_vectors(table, 'shift', 2, ('random',), [0.0, 0.0]),
            rotation=turn or _values(table, 'rotation', Values((0.0,))),
            direction=_vectors(table, 'direction', 3, ('random',), [0.0, 0.0, 1.0]),
            light_jitter=table.number('light_jitter', 0.0, low=0.0, high=0.2),
            stars_kept=_values(table, 'stars_kept', None, low=0.0, high=1.0, open_low=True),
            size_factor=_values(table, 'size_factor', None, low=0.1, high=10.0),
            conditions=_conditions(table.table('conditions')) if 'conditions' in table else None)
        part._check(table)
        table.finish()
        return part

    @staticmethod
    def _splits(table):
        if 'splits' not in table:
            split = table.choice('split', SPLITS)
            number = table.take('number', rule="a whole number or 'all'")
            return {split: Part._number(table, 'number', number)}
        inner = table.table('splits')
        splits = {}
        for split, number in inner.items():
            if split not in SPLITS:
                raise inner.error(split, f'one of {", ".join(SPLITS)}', split)
            splits[split] = Part._number(inner, split, number)
        if 'test' in splits and len(splits) > 1:
            raise table.error('splits', 'train and validation, or test alone', list(splits))
        if not splits or (None in splits.values() and len(splits) > 1):
            raise table.error('splits', "one with 'all' or some with numbers", list(splits))
        return splits

    @staticmethod
    def _number(table, key, number):
        if number == 'all':
            return None
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise table.error(key, "a whole number above 0 or 'all'", number)
        return number

    @property
    def rescaling(self):
        """Those of ``stars_kept`` and ``size_factor`` that are asked for, by name."""
        both = {'stars_kept': self.stars_kept, 'size_factor': self.size_factor}
        return {name: values for name, values in both.items() if values is not None}

    def _check(self, table):
        if self.rescaling and set(self.splits) != {'train'}:
            raise table.error(min(self.rescaling), 'for the split train alone: others are as simulated',
                              ', '.join(self.splits))
        if self.product:
            for key in ('distance', 'seeing'):
                if not getattr(self, key).choices:
                    raise table.error(key, 'numbers for a product: a distribution has no end of them',
                                      'a distribution')
        elif self.number is None:
            raise table.error('number', "a whole number where draw is 'random'", 'all')
        elif len(self.splits) > 1:
            raise table.error('draw', "'product' for two splits: maps drawn by themselves are not disjoint",
                              'random')


def _conditions(table):
    """Checked: conditions and their `Values`; subtract_sky and field_star_magnitudes as they are."""
    values = {key: _values(table, key) for key in CONDITION_UNITS if key in table}
    if 'subtract_sky' in table:
        values['subtract_sky'] = table.boolean('subtract_sky')
    if 'field_star_magnitudes' in table:
        rule = 'the brightest and the faintest magnitude'
        limits = table.list_of('field_star_magnitudes', (int, float), rule)
        if len(limits) != 2:
            raise table.error('field_star_magnitudes', rule, limits)
        values['field_star_magnitudes'] = tuple(map(float, limits))
    table.finish()
    # the limits of all values, in all combinations of lowest and highest
    for which in (0, -1):
        try:
            conditions_of({key: _extreme(value, which) for key, value in values.items()})
        except (TypeError, ValueError) as error:
            raise RecipeError(f'{table.where}: {error}') from error
    return values


def _extreme(value, which):
    if not isinstance(value, Values):
        return value
    return sorted(value.choices)[which] if value.choices else (value.low, value.high)[which]


def conditions_of(values):
    """`~pidoc.mock.Conditions` of numbers in the units of `CONDITION_UNITS`."""
    made = {}
    for key, value in values.items():
        unit = u.mag if key == 'field_star_magnitudes' else CONDITION_UNITS.get(key)
        made[key] = value if unit is None else value * unit
    return Conditions(**made)


# -- the recipe -----------------------------------------------------------------------------------


class Recipe:
    """What a training set is made of: simulations, and the maps that are made of their snapshots.

    Parameters
    ----------
    content : dict
        As `tomllib` reads it from a file.
    source : str, optional
        What errors call it until its name is known.

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
        If it is not acceptable.

    Examples
    --------
    >>> from pidoc.training_set.recipe import Recipe
    >>> recipe = Recipe.read('table1')
    >>> [(part.name, part.splits) for part in recipe.parts][0]
    ('MW15-R1.6', {'train': 10000, 'validation': 1000})
    """

    def __init__(self, content, *, source='recipe'):
        self._content = json.loads(json.dumps(content))
        table = _Table(content, source)
        self.name = table.name('name')
        table.where = f'recipe {self.name}'
        self.description = table.text('description', '')
        self.seed = table.number('seed', low=0, whole=True)
        self.maps = Maps._read(table.table('maps', {}))
        self._groups = [_Group(inner) for inner in table.tables('simulations')]
        if 'grid' in table:
            self._groups += _grid_groups(table.table('grid'))
        self.foreign = tuple(Foreign._read(inner) for inner in table.tables('foreign'))
        self.parts = tuple(Part._read(inner) for inner in table.tables('part'))
        table.finish()
        self._check_names()

    def _check_names(self):
        if not self.parts:
            raise RecipeError(f'recipe {self.name}: must have at least one table [[part]], not found')
        for what, names in (('[[part]]', [part.name for part in self.parts]),
                            ('a group of simulations', [group.name for group in self._groups]),
                            ('[[foreign]]', [foreign.name for foreign in self.foreign])):
            twice = [name for k, name in enumerate(names) if name in names[:k]]
            if twice:
                raise RecipeError(f'recipe {self.name}: names of {what} must be different, received '
                                  f'{twice[0]!r} twice')

    @classmethod
    def text(cls, source):
        """The text of a recipe, comments included.

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
            A file that ends in .toml, or the name of one that is shipped: see `shipped`.
        check : bool, optional
            Also draw its grid of models, and see whether its parts find their simulations.

        Returns
        -------
        Recipe

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        RecipeError
            If it is no TOML, or says something impossible.
        """
        try:
            content = tomllib.loads(cls.text(source))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(f'{source} is no TOML: {error}') from error
        recipe = cls(content, source=str(source))
        if check:
            for test, other in recipe.shared_stars():
                log.warning('recipe %s: %s of the test set has the same stars as %s, number, masses and '
                            'seed: another seed makes a fairer test', recipe.name, test, other)
        return recipe

    @staticmethod
    def shipped():
        """Names of the recipes that come with pidoc (list of str)."""
        return sorted(path.name.removesuffix('.toml') for path in _shipped_folder().iterdir()
                      if path.name.endswith('.toml'))

    def to_dict(self):
        """The recipe as plain lists, dicts, texts and numbers, a new one each time."""
        return json.loads(json.dumps(self._content))

    @property
    def digest(self):
        """SHA-256 of what the recipe says, without its description (str)."""
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
        """What to simulate: name -> (`~pidoc.ClusterModel`, ages [Myr])."""
        models = {}
        for group in self._groups:
            for model in group.models:
                if not _NAME.fullmatch(model.name):
                    raise RecipeError(f'{group.where}: the name of a model must be one of letters, digits '
                                      f'and . _ + -, received {model.name!r}')
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
        """Which simulations the parts take.

        Parameters
        ----------
        others : iterable of str, optional
            Simulations that there are, besides those of the recipe. Without it, what the recipe does not
            know is passed over.

        Returns
        -------
        dict
            Name of the part -> names of simulations, sorted.

        Raises
        ------
        RecipeError
            If a name fits no simulation, or one is both in test and in train or validation.
        """
        taken = {}
        for part in self.parts:
            found = [name for pattern in part.simulations for name in self._fitting(part, pattern, others)]
            taken[part.name] = sorted(set(found))
        self._check_disjoint(taken)
        return taken

    def shared_stars(self):
        """Pairs of models, one in test and one not, that begin with the very same stars.

        Models of one seed, number of stars and mass function may differ in where their stars are, but at each
        age the few giants that make the light are the same.

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
        # the same cluster under two names is no other cluster
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
    """A table [[simulations]]: named models, and rows of fields."""

    def __init__(self, table):
        self.where = table.where
        self.name = table.name('group')
        self.ages = _ages(table)
        self._named = table.list_of('named', str, 'a name or a list of names', []) if 'named' in table else []
        self._base = table.text('base') if 'base' in table else None
        self._rows = table.list_of('rows', dict, 'a list of tables of fields') if 'rows' in table else []
        if not self._named and not self._rows:
            raise RecipeError(f'{self.where}: must have named or rows, not found')
        table.finish()

    @cached_property
    def models(self):
        try:
            base = ClusterModel() if self._base is None else ClusterModel.named(self._base)
            models = [ClusterModel.named(name) for name in self._named]
            for row in self._rows:
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
        # it brings numba
        from pidoc.simulation.design import draw_models

        try:
            return draw_models(**self._options, name=self.name)
        except (TypeError, ValueError) as error:
            raise RecipeError(f'{self.where}: {error}') from error


def _grid_groups(table):
    ages = _ages(table)
    filling = table.number('max_filling', 0.1, low=0.0, open_low=True, high=0.99)
    model_fields = dict(table.table('fields').items())
    known = [field.name for field in fields(ClusterModel)]
    for field in model_fields:
        if field not in known or field == 'name':
            raise RecipeError(f'{table.where}, fields: must be fields of a model, received {field!r}')
    groups = []
    for name, values in table.table('groups').items():
        inner = _Table(values, f'{table.where}, groups, {name}')
        if not _NAME.fullmatch(name):
            raise RecipeError(f'{inner.where}: must be a name of letters, digits and . _ + -')
        options = {'fields': model_fields, 'max_filling': filling,
                   'number': inner.number('number', low=1, whole=True),
                   'seed': inner.number('seed', low=0, whole=True)}
        inner.finish()
        groups.append(_GridGroup(name, inner.where, ages, options))
    if not groups:
        raise RecipeError(f'{table.where}, groups: must have at least one group, not found')
    table.finish()
    return groups


def _ages(table):
    """Ages [Myr]: numbers, and tables of start, stop and either step or number."""
    rule = 'a list of ages [Myr] and of tables of start, stop and either step or number'
    ages = []
    for item in table.list_of('ages', (int, float, dict), rule):
        if not isinstance(item, dict):
            ages.append([item])
            continue
        span = _Table(item, f'{table.where}, ages')
        start = span.number('start', low=0.0, high=MAX_AGE)
        stop = span.number('stop', low=start, high=MAX_AGE, open_low=True)
        if 'number' in span:
            ages.append(np.linspace(start, stop, span.number('number', low=2, whole=True)))
        else:
            step = span.number('step', low=0.0, open_low=True)
            ages.append(start + step * np.arange(math.floor((stop - start) / step + 1e-9) + 1))
        span.finish()
    ages = np.concatenate(ages).astype(float)
    if not (np.all(np.diff(ages) > 0.0) and ages[0] >= 0.0 and ages[-1] <= MAX_AGE):
        raise table.error('ages', f'increasing, from 0 to {MAX_AGE:g} Myr', [float(age) for age in ages[:4]])
    return ages
