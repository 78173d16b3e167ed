# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Initial mass functions of stars: broken power laws, and stars of one mass.

All masses are plain floats in Msun. Each mass function has a short text form, for headers, tables of models,
recipes and the command line: a name of `MASS_FUNCTIONS`, or slopes and breaks, such as ``-0.3 -1.65 -2.3 @
0.4 1``.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from numbers import Real
from typing import ClassVar

import numpy as np

__all__ = ['EqualMasses', 'MASS_FUNCTIONS', 'MassFunction', 'mass_function']

_STEEPEST = 10.0        # a steeper slope overflows far from its break
_LOGARITHMIC = 1e-8     # smaller exponents are treated as zero: the power law 1 / m


def _numbers(values, name):
    """A tuple of finite floats."""
    try:
        # normalise -0.0 to 0.0
        numbers = tuple(float(value) + 0.0 for value in values)
    except (TypeError, ValueError):
        raise ValueError(f'{name} must be numbers, received {values!r}') from None
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f'{name} must be finite numbers, received {_words(numbers)}')
    return numbers


def _words(numbers):
    """Numbers separated by blanks, with all digits, and whole ones without a point."""
    return ' '.join(repr(number).removesuffix('.0') for number in numbers)


def _integral(start, stop, exponent):
    """Integral of x^(exponent - 1)."""
    if abs(exponent) < _LOGARITHMIC:
        return np.log(stop / start)
    return (stop ** exponent - start ** exponent) / exponent


def _inverse(start, exponent, integral):
    """Upper limit for which the integral of x^(exponent - 1) from ``start`` has the given value."""
    if abs(exponent) < _LOGARITHMIC:
        return start * np.exp(integral)
    # for the steepest slopes the sum may be zero after rounding
    power = np.maximum(start ** exponent + exponent * integral, np.finfo(float).tiny)
    return power ** (1.0 / exponent)


@dataclass(frozen=True, repr=False)
class MassFunction:
    """A broken power law, continuous: the number of stars per unit of mass is dN/dm ~ m^slope.

    Compared by value. It has no limits: the lowest and the highest mass are arguments of the methods.

    Parameters
    ----------
    slopes : sequence of float
        Slope of each segment, from low to high masses, -10 to 10 (Salpeter: -2.35).
    breaks : sequence of float, optional
        Masses between the segments, increasing [Msun].

    Raises
    ------
    ValueError
        If the slopes or the breaks are invalid, or their numbers do not match.

    Examples
    --------
    >>> from pidoc.cluster.mass_function import MassFunction
    >>> flat = MassFunction(slopes=(-0.3, -1.65, -2.3), breaks=(0.4, 1))
    >>> flat
    <MassFunction baumgardt2023>
    >>> print(MassFunction([-2.35]), '|', MassFunction([-1.3, -2.35], [0.6]))
    -2.35 | -1.3 -2.35 @ 0.6
    >>> print(f'{flat.mean_mass(0.1, 50):.2f}, {flat.cumulative(0.5, 0.1, 50):.2f}')
    0.96, 0.55
    """

    slopes: tuple
    breaks: tuple = ()

    one_mass: ClassVar[bool] = False
    default_limits: ClassVar[tuple] = (0.1, 50.0)
    #: factor of the Coulomb logarithm ln(gamma N) for a spectrum of masses: fitted to direct N-body
    #: integrations (docs/validation.rst)
    coulomb_gamma: ClassVar[float] = 0.05

    def __post_init__(self):
        for name in ('slopes', 'breaks'):
            object.__setattr__(self, name, _numbers(getattr(self, name), name))
        if not self.slopes or max(map(abs, self.slopes)) > _STEEPEST:
            raise ValueError(f'slopes must be at least one number from {-_STEEPEST:g} to {_STEEPEST:g}, '
                             f'received {_words(self.slopes) or "none"}')
        edges = (0.0, *self.breaks)
        if not all(low < high for low, high in pairwise(edges)):
            raise ValueError(f'breaks must be increasing masses above 0, received {_words(self.breaks)}')
        if len(self.breaks) != len(self.slopes) - 1:
            raise ValueError(f'there must be a break between two slopes, received {len(self.slopes)} '
                             f'slopes and {len(self.breaks)} breaks')

    def __str__(self):
        for name, known in MASS_FUNCTIONS.items():
            if self == known:
                return name
        return _words(self.slopes) + (f' @ {_words(self.breaks)}' if self.breaks else '')

    def __repr__(self):
        return f'<MassFunction {self}>'

    def density(self, mass):
        """Number of stars per unit of mass, not normalised: 1 at the first break.

        Parameters
        ----------
        mass : float or array
            [Msun]

        Returns
        -------
        array
        """
        scaled = np.asarray(mass, dtype=float) / self._scale
        segment = np.searchsorted(self.breaks, mass, side='right')
        return np.array(self._heights)[segment] * scaled ** np.array(self.slopes)[segment]

    def mean_mass(self, lower, upper):
        """Mean mass of the stars between two masses (float)."""
        return self._scale * float(np.sum(self._integrals(lower, upper, 1))
                                   / np.sum(self._integrals(lower, upper, 0)))

    def cumulative(self, mass, lower, upper):
        """Fraction of the stars between two masses that are less massive than a given mass.

        Parameters
        ----------
        mass : float or array
            [Msun]
        lower, upper : float
            Limits of the mass function [Msun].

        Returns
        -------
        array
            From 0 to 1.
        """
        mass = np.clip(np.asarray(mass, dtype=float), lower, upper)
        share = np.sum(self._integrals(lower, mass, 0), axis=0) / np.sum(self._integrals(lower, upper, 0))
        return np.minimum(share, 1.0)    # to rounding

    def draw(self, number, rng, lower, upper):
        """Draw masses of stars by inversion of `cumulative`, with one random number each.

        Parameters
        ----------
        number : int
        rng : numpy.random.Generator
        lower, upper : float
            Limits [Msun].

        Returns
        -------
        ndarray, shape (number,)

        Raises
        ------
        ValueError
            If the limits are not increasing, positive masses.
        """
        if not 0.0 < lower < upper:
            raise ValueError(f'limits must be increasing masses above 0, received {lower} and {upper}')
        counts = self._integrals(lower, upper, 0)
        below = np.cumsum([0.0, *counts])
        place = rng.random(number) * below[-1]
        segment = np.searchsorted(below[1:-1], place, side='right')
        mass = np.empty(number)
        for k, (start, _, slope, height) in enumerate(self._segments(lower, upper)):
            here = segment == k
            mass[here] = _inverse(start, slope + 1.0, (place[here] - below[k]) / height)
        return np.clip(mass * self._scale, lower, upper)

    @property
    def _scale(self):
        """Unit of mass in the integrals."""
        return self.breaks[0] if self.breaks else 1.0

    @property
    def _heights(self):
        """Factors of the powers of mass / scale that make the function continuous."""
        heights = [1.0]
        for (left, right), edge in zip(pairwise(self.slopes), self.breaks, strict=True):
            heights.append(heights[-1] * (edge / self._scale) ** (left - right))
        return heights

    def _segments(self, lower, upper):
        """Start and stop in units of the scale, slope and factor; segments outside the limits are empty."""
        edges = np.array([lower, *self.breaks])
        stops = [*self.breaks, np.inf]
        for edge, stop, slope, height in zip(edges, stops, self.slopes, self._heights, strict=True):
            ends = (np.clip(end, lower, upper) / self._scale for end in (edge, stop))
            yield *ends, slope, height

    def _integrals(self, lower, upper, power):
        """Integrals of m^power dN/dm over each segment between the limits, in units of the scale."""
        return [height * _integral(start, stop, slope + power + 1.0)
                for start, stop, slope, height in self._segments(lower, upper)]


@dataclass(frozen=True)
class EqualMasses:
    """Stars of equal mass, with the interface of `MassFunction`; both limits are that mass."""

    one_mass: ClassVar[bool] = True
    default_limits: ClassVar[tuple] = (1.0, 1.0)
    #: Giersz & Heggie 1994
    coulomb_gamma: ClassVar[float] = 0.11

    def __str__(self):
        return 'equal'

    def mean_mass(self, lower, upper):
        """The mass (float)."""
        return float(lower)

    def draw(self, number, rng, lower, upper):
        """The mass, repeated for each star (ndarray); nothing is drawn."""
        return np.full(number, lower)


MASS_FUNCTIONS = {
    # Kroupa (2001, eq. 2): the two segments above the hydrogen-burning limit
    'kroupa2001': MassFunction((-1.3, -2.3), (0.5,)),
    # Baumgardt et al. (2023, MNRAS 521, 3991): 120 clusters of the Milky Way and the Magellanic Clouds
    'baumgardt2023': MassFunction((-0.3, -1.65, -2.3), (0.4, 1.0)),
    'equal': EqualMasses(),
}
"""Named mass functions."""


def mass_function(value):
    """The mass function described by a text, a number or a mass function.

    Parameters
    ----------
    value : str, float, `MassFunction` or `EqualMasses`
        A name of `MASS_FUNCTIONS`; slopes, and breaks after an @, separated by blanks or commas; or one
        slope.

    Returns
    -------
    `MassFunction` or `EqualMasses`
        Its `str` is the shortest equivalent text.

    Raises
    ------
    ValueError
        If it is not one of these.

    Examples
    --------
    >>> from pidoc.cluster.mass_function import mass_function
    >>> mass_function('-0.5 -2.3 @ 0.5').slopes
    (-0.5, -2.3)
    >>> str(mass_function('-1.30, -2.3 @ 0.5'))
    'kroupa2001'
    """
    if isinstance(value, (MassFunction, EqualMasses)):
        return value
    if isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
        value = repr(float(value))
    if not isinstance(value, str):
        raise ValueError(f'{_rule()}, received {value!r}')
    return _of_text(value.strip())


@lru_cache(maxsize=256)
def _of_text(text):
    if text in MASS_FUNCTIONS:
        return MASS_FUNCTIONS[text]
    slopes, _, breaks = text.partition('@')
    try:
        slopes, breaks = ([float(word) for word in part.replace(',', ' ').split()]
                          for part in (slopes, breaks))
    except ValueError:
        raise ValueError(f'{_rule()}, received {text!r}') from None
    try:
        return MassFunction(slopes, breaks)
    except ValueError as error:
        raise ValueError(f'imf {text!r}: {error}') from None


def _rule():
    return f"imf must be one of {', '.join(MASS_FUNCTIONS)}, or slopes and breaks such as '-1.3 -2.3 @ 0.5'"
