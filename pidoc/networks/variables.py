# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Physical quantities as numbers for networks: predicted ones and given ones.

`OUTPUTS` and `CONSTRAINTS` are all that a model can have; those of a model are stored in its folder. A new
one is a row in these tables, and its true value is defined in `pidoc.training_set.truths`.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np

__all__ = ['CONSTRAINTS', 'Constraint', 'OLDEST', 'OUTPUTS', 'Product', 'SCALES', 'Scale', 'Variable', 'ZOOM',
           'zoomed']

OLDEST = 14.0
"""Gyr: upper limit of ages, above the age of the Universe (13.8 Gyr; Planck Collaboration 2020, A&A 641,
A6)."""

_EDGE = 1e-3              # limit of fractions close to 0 or 1
_FEW = 1e-4               # a fraction treated as zero
_ARCSEC = math.degrees(1e-3) * 3600.0      # of a length of one pc at one kpc
_SHARP = 10.0             # of the bend of an age's logarithm near its limit
_IRON = -2.1, 0.65        # [dex]: where and how fast M/L begins to rise with [Fe/H]


@dataclass(frozen=True)
class Scale:
    """A monotonic transformation to a scale on which errors of a quantity are nearly normal.

    Parameters
    ----------
    forward, back : callable
        From physical values to numbers, and back: ``back`` returns a valid value for any number.
    """

    forward: Callable
    back: Callable


def _logit(share):
    share = np.clip(share, _EDGE, 1.0 - _EDGE)
    return np.log(share / (1.0 - share))


def _expit(number):
    return 1.0 / (1.0 + np.exp(-np.clip(number, -50.0, 50.0)))


def _exp(number):
    return np.exp(np.clip(number, -80.0, 80.0))


def _log_age(age):
    """ln(age / OLDEST) for most ages, and without limit towards OLDEST."""
    share = np.clip(np.asarray(age) / OLDEST, _EDGE, 1.0 - _EDGE)
    return -np.log(np.expm1(-_SHARP * np.log(share))) / _SHARP


def _age_of(number):
    return OLDEST * (1.0 + np.exp(-_SHARP * np.clip(number, -30.0, 30.0))) ** (-1.0 / _SHARP)


SCALES = {
    'linear': Scale(np.asarray, np.asarray),
    'logarithm': Scale(np.log, _exp),
    'root': Scale(lambda x: np.sqrt(np.maximum(x, 0.0)), lambda z: np.maximum(z, 0.0) ** 2),
    # between 0 and OLDEST
    'age': Scale(lambda x: _logit(np.asarray(x) / OLDEST), lambda z: OLDEST * _expit(z)),
    # the same; ln M/L of a population is nearly linear in it, and for [Fe/H] in 'iron'
    'log_age': Scale(_log_age, _age_of),
    'iron': Scale(lambda x: np.sinh((np.asarray(x) - _IRON[0]) / _IRON[1]),
                  lambda z: _IRON[0] + _IRON[1] * np.arcsinh(z)),
    'share': Scale(_logit, _expit),
    # a fraction that can be 0
    'rare': Scale(lambda x: np.log(np.maximum(x, 0.0) + _FEW), lambda z: np.maximum(_exp(z) - _FEW, 0.0)),
}
"""Name -> `Scale`."""


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A physical quantity and its transformation to a number with mean 0 and standard deviation 1.

    Parameters
    ----------
    name : str
    unit : str
        Unit of its physical values, as written by `astropy.units`; '' for plain numbers.
    scale : str
        One of `SCALES`.
    mean, sd : float
        Mean and standard deviation on that scale in the training set.

    Raises
    ------
    ValueError
        If the scale is unknown, the mean not finite, or the standard deviation not positive.
    """

    name: str
    unit: str = ''
    scale: str = 'linear'
    mean: float = 0.0
    sd: float = 1.0

    def __post_init__(self):
        if self.scale not in SCALES:
            raise ValueError(f'the scale of {self.name} must be one of {", ".join(SCALES)}, received '
                             f'{self.scale!r}')
        if not (math.isfinite(self.mean) and math.isfinite(self.sd) and self.sd > 0.0):
            raise ValueError(f'the mean of {self.name} must be finite and its standard deviation positive, '
                             f'received {self.mean!r} and {self.sd!r}')

    def on_scale(self, values):
        """Transform physical values to the scale, without standardisation."""
        return SCALES[self.scale].forward(np.asarray(values, dtype=float))

    def physical(self, values):
        """Transform values on the scale to physical ones."""
        return SCALES[self.scale].back(np.asarray(values, dtype=float))

    def standardised(self, values):
        """Standardised values for networks from physical values."""
        return (self.on_scale(values) - self.mean) / self.sd

    def fitted(self, values):
        """The variable with the mean and the standard deviation of these physical values."""
        numbers = self.on_scale(values)
        numbers = numbers[np.isfinite(numbers)]
        return replace(self, mean=float(np.mean(numbers)), sd=max(float(np.std(numbers)), 1e-6))

    def to_dict(self):
        """Values for a JSON file."""
        return asdict(self)


@dataclass(frozen=True)
class Product:
    """A product of powers of scalars whose scale is the logarithm; an angle is a length over a distance.

    Parameters
    ----------
    name : str
    powers : tuple of (str, float)
        Names of the scalars, and their exponents.
    factor : float, optional
        Positive.

    Raises
    ------
    ValueError
        If the factor is not positive.
    """

    name: str
    powers: tuple
    factor: float = 1.0

    def __post_init__(self):
        if not (math.isfinite(self.factor) and self.factor > 0.0):
            raise ValueError(f'the factor of {self.name} must be positive, received {self.factor!r}')

    def line(self, variables):
        """Its logarithm as a linear function of standardised scalars.

        Parameters
        ----------
        variables : sequence of `Variable`
            The D scalars.

        Returns
        -------
        coefficients : ndarray, shape (D,)
        constant : float

        Raises
        ------
        ValueError
            If one of its factors is missing, or its scale is not the logarithm.
        """
        scales = {each.name: each.scale for each in variables}
        others = [name for name, _ in self.powers if scales.get(name) != 'logarithm']
        if others:
            raise ValueError(f'{self.name} needs scalars with the scale logarithm, received none such named '
                             f'{", ".join(others)}')
        powers = np.array([dict(self.powers).get(each.name, 0.0) for each in variables])
        return (powers * [each.sd for each in variables],
                math.log(self.factor) + float(powers @ [each.mean for each in variables]))


@dataclass(frozen=True, kw_only=True)
class Constraint(Variable):
    """A property of a cluster, or of its image, that may be known independently of the light.

    Parameters
    ----------
    name, unit, scale, mean, sd
        As for `Variable`.
    errors : tuple of float or None
        Smallest and largest standard error in training: relative ones for the scale 'logarithm', otherwise in
        ``unit``. None: known exactly, such as the seeing.
    default_error : float or None
        The error if none is given, in the same form.
    positive : bool
        Whether values must be positive.
    powers : sequence of (str, float), optional
        Scalars and exponents, if it is a `Product` of these, not the scalar with its name.
    factor : float
        Of the product.
    """

    errors: tuple | None = None
    default_error: float | None = None
    positive: bool = True
    powers: tuple = ()
    factor: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, 'powers', tuple(tuple(each) for each in self.powers))
        if self.errors is None:
            return
        low, high = map(float, self.errors)
        if not (0.0 < low <= high and low <= self.default_error <= high):
            raise ValueError(f'the errors of {self.name} must be positive and in order with the default '
                             f'between them, received {self.errors!r} and {self.default_error!r}')
        object.__setattr__(self, 'errors', (low, high))

    @cached_property
    def product(self):
        """The `Product` that it is, or None."""
        return Product(self.name, self.powers, self.factor) if self.powers else None

    @property
    def needs(self):
        """Names of the scalars that determine it."""
        return tuple(name for name, _ in self.product.powers) if self.powers else (self.name,)

    @property
    def width(self):
        """Number of inputs of a network for this constraint."""
        return 2 if self.errors is None else 3

    @property
    def relative(self):
        """Whether errors are relative."""
        return self.scale == 'logarithm'

    def scale_error(self, values, errors):
        """Errors on the scale from physical ones; default errors for NaN."""
        errors = np.asarray(errors, dtype=float)
        errors = errors / values if self.relative else errors
        return np.where(np.isnan(errors), self.default_error, errors)

    def physical_error(self, values, errors):
        """Physical errors from errors on the scale."""
        return errors * values if self.relative else errors

    def measured(self, values, rng):
        """Mock measurements with random errors.

        Parameters
        ----------
        values : ndarray, shape (n,)
            True physical values.
        rng : `numpy.random.Generator`

        Returns
        -------
        values, errors : ndarray, shape (n,)
            Physical values, NaN if a value that must be positive is not; for constraints without errors exact
            values, and NaN.
        """
        values = np.asarray(values, dtype=float)
        if self.errors is None:
            return values, np.full(values.shape, np.nan)
        low, high = np.log(self.errors)
        error = np.exp(rng.uniform(low, high, values.shape))
        off = error * rng.normal(size=values.shape)
        seen = values * np.exp(off) if self.relative else values + off
        # an implausible value, which is discarded
        seen = np.where(seen > 0.0, seen, np.nan) if self.positive else seen
        return seen, np.where(np.isnan(seen), np.nan, self.physical_error(seen, error))

    def measurement(self, variable, values, errors):
        """A measurement as a normal distribution of the standardised variable.

        Parameters
        ----------
        variable : `Variable`
            The measured scalar, which may have another scale.
        values, errors : ndarray, shape (n,)
            Physical values; an error that is NaN is the default one.

        Returns
        -------
        value, error : ndarray, shape (n,)
            Mean and standard deviation over valid values; NaN without a measurement.
        """
        values, errors = np.asarray(values, dtype=float), np.asarray(errors, dtype=float)
        error = self.scale_error(values, errors)
        place = np.linspace(-3.5, 3.5, 71)
        seen = self.on_scale(values)[:, np.newaxis] + error[:, np.newaxis] * place
        seen = SCALES[self.scale].back(seen)
        numbers = variable.standardised(variable.physical(variable.on_scale(seen)))
        possible = np.abs(seen - variable.physical(variable.on_scale(seen))) <= 1e-2 * np.abs(seen)
        weight = np.where(possible, np.exp(-0.5 * place**2), 0.0)
        total = weight.sum(axis=1)
        with np.errstate(invalid='ignore', divide='ignore'):
            mean = np.nansum(weight * numbers, axis=1) / total
            spread = np.sqrt(np.nansum(weight * (numbers - mean[:, np.newaxis]) ** 2, axis=1) / total)
        return np.where(np.isfinite(values), mean, np.nan), np.where(np.isfinite(values), spread, np.nan)

    def encoded(self, values, errors):
        """Inputs of a network: zeros if the value is NaN.

        Parameters
        ----------
        values, errors : ndarray, shape (n,)
            Physical values; an error that is NaN is the default one.

        Returns
        -------
        ndarray of float32, shape (n, `width`)
            1 if it is known; the standardised value; and the logarithm of the error relative to the geometric
            mean of ``errors``.
        """
        values = np.asarray(values, dtype=float)
        given = np.isfinite(values)
        code = np.zeros((values.size, self.width), dtype=np.float32)
        code[given, 0] = 1.0
        code[given, 1] = self.standardised(values[given])
        if self.errors is not None:
            error = self.scale_error(values[given], np.asarray(errors, dtype=float)[given])
            code[given, 2] = np.log(error / math.sqrt(math.prod(self.errors)))
        return code


def _table(kind, *rows):
    return {row['name']: kind(**row) for row in rows}


OUTPUTS = _table(
    Variable,
    # in the field
    {'name': 'total_mass', 'unit': 'solMass', 'scale': 'logarithm'},
    {'name': 'mass_to_light', 'unit': 'solMass / solLum', 'scale': 'logarithm'},
    # of the whole cluster
    {'name': 'cluster_mass', 'unit': 'solMass', 'scale': 'logarithm'},
    {'name': 'half_mass_radius', 'unit': 'pc', 'scale': 'logarithm'},
    {'name': 'half_light_radius', 'unit': 'pc', 'scale': 'logarithm'},
    {'name': 'mass_function_slope', 'scale': 'linear'},
    {'name': 'dark_share', 'scale': 'share'},
    {'name': 'black_hole_share', 'scale': 'rare'},
    {'name': 'central_dispersion', 'unit': 'km / s', 'scale': 'logarithm'},
    {'name': 'velocity_dispersion', 'unit': 'km / s', 'scale': 'logarithm'},
    {'name': 'b_v', 'unit': 'mag', 'scale': 'linear'},
    {'name': 'age', 'unit': 'Gyr', 'scale': 'log_age'},
    {'name': 'distance', 'unit': 'kpc', 'scale': 'logarithm'},
    {'name': 'metallicity', 'scale': 'iron'},
)
"""Name -> `Variable`: all scalars that a network can predict."""

CONSTRAINTS = _table(
    Constraint,
    {'name': 'distance', 'unit': 'kpc', 'scale': 'logarithm', 'errors': (0.005, 0.2), 'default_error': 0.02},
    {'name': 'age', 'unit': 'Gyr', 'scale': 'linear', 'errors': (0.2, 3.0), 'default_error': 0.75},
    {'name': 'metallicity', 'scale': 'linear', 'errors': (0.05, 0.5), 'default_error': 0.15,
     'positive': False},
    {'name': 'velocity_dispersion', 'unit': 'km / s', 'scale': 'logarithm', 'errors': (0.03, 0.3),
     'default_error': 0.05},
    {'name': 'b_v', 'unit': 'mag', 'scale': 'linear', 'errors': (0.01, 0.15), 'default_error': 0.03,
     'positive': False},
    {'name': 'mass_function_slope', 'scale': 'linear', 'errors': (0.05, 0.5), 'default_error': 0.2,
     'positive': False},
    {'name': 'effective_radius', 'unit': 'arcsec', 'scale': 'logarithm', 'errors': (0.02, 0.5),
     'default_error': 0.1, 'powers': (('half_light_radius', 1.0), ('distance', -1.0)), 'factor': _ARCSEC},
    # properties of the observation
    {'name': 'dispersion_radius', 'unit': 'arcsec', 'scale': 'logarithm'},
    {'name': 'seeing', 'unit': 'arcsec', 'scale': 'logarithm'},
    {'name': 'sky_error', 'scale': 'logarithm'},
)
"""Name -> `Constraint`: all properties that a network can be conditioned on. ``metallicity`` is [Fe/H];
``b_v`` is the integrated colour of the cluster in the field, corrected for reddening; ``mass_function_slope``
that of main-sequence stars of the whole cluster from 0.2 to 0.8 Msun; ``effective_radius`` the projected
half-light radius of the whole cluster, as an angle; ``sky_error`` the standard error of the level of the sky,
in units of the mean light of a pixel of the field."""

ZOOM = {'distance': 1, 'seeing': -1, 'dispersion_radius': -1, 'effective_radius': -1}
"""Name -> power of the zoom z with which a quantity appears in an image; 0 for all others.

An image with pixels z times as large as those of a model is the same as one, with the pixels of the model,
of the same cluster at z times the distance: pixels have the same size in pc and the same luminosity
4 pi d^2 F, angles are smaller by z, and fluxes by z^2."""


def zoomed(values, zoom):
    """Quantities as they appear in images with the pixels of a model: see `ZOOM`.

    Parameters
    ----------
    values : dict
        Name of a quantity, or with ``_error`` of its standard error, -> values, shape (n,).
    zoom : ndarray, shape (n,)
        Side of a pixel over that of the model.

    Returns
    -------
    dict
    """
    return {name: each * zoom ** ZOOM.get(name.removesuffix('_error'), 0) for name, each in values.items()}
