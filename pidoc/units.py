# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Constants, and the conversion of quantities to plain numbers.

In the public interface, everything with a unit is an `~astropy.units.Quantity`. Internally, arrays are plain
floats in solar masses, parsecs, million years and km/s. `to_value` converts and checks a quantity,
`scalar_value` also requires a single number. Numbers without a unit are checked by `whole_number` or
`plain_number`. Results are multiplied by their unit. Only the simulation uses N-body units (`HenonUnits`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from astropy import constants
from astropy import units as u

if TYPE_CHECKING:
    from typing import Any

__all__ = ['G', 'G_MYR', 'KMS_IN_PC_PER_MYR', 'SOLAR_MBOL', 'SOLAR_MV', 'SOLAR_TEFF', 'HenonUnits',
           'as_distance', 'as_distance_error', 'as_quantity', 'is_number', 'plain_number', 'scalar_value',
           'to_value', 'whole_number']

G = float(constants.G.to_value(u.pc * (u.km / u.s) ** 2 / u.Msun))
"""Gravitational constant [pc (km/s)^2 / Msun] (CODATA 2018, as in `astropy.constants`)."""

G_MYR = float(constants.G.to_value(u.pc ** 3 / (u.Msun * u.Myr ** 2)))
"""Gravitational constant [pc^3 / (Msun Myr^2)]."""

KMS_IN_PC_PER_MYR = float((u.km / u.s).to(u.pc / u.Myr))
"""One km/s in pc/Myr."""

SOLAR_MV = 4.83
"""Absolute magnitude of the Sun in Johnson V, Vega system (Binney & Merrifield 1998, table 2.1)."""

SOLAR_MBOL = 4.74
"""Absolute bolometric magnitude of the Sun (IAU 2015 resolution B2)."""

SOLAR_TEFF = 5772.0
"""Effective temperature of the Sun [K] (nominal value, IAU 2015 resolution B3)."""


def as_quantity(value: Any, unit: u.UnitBase | str, name: str) -> u.Quantity:
    """Return a quantity unchanged, and convert a string such as '20 kpc' to one.

    Parameters
    ----------
    value : `~astropy.units.Quantity` or str
    unit : unit-like
        A unit that it should convert to, for error messages.
    name : str
        Name of the quantity, with which every error message starts.

    Returns
    -------
    `~astropy.units.Quantity`

    Raises
    ------
    TypeError
        If it is neither a quantity nor a string.
    ValueError
        If a string is not a number with a unit.

    Examples
    --------
    >>> from pidoc.units import as_quantity
    >>> as_quantity('20 kpc', 'pc', 'distance')
    <Quantity 20. kpc>
    """
    unit = u.Unit(unit)
    if isinstance(value, u.Quantity):
        return value
    if not isinstance(value, str):
        raise TypeError(f'{name} must be an astropy Quantity in {unit}, received {value!r}')
    try:
        quantity = u.Quantity(value, subok=True)
        # astropy reads "1 2 pc" as 1 of the unit "2 pc"
        if getattr(quantity.unit, 'scale', 1.0) == 1.0:
            return quantity
    except (TypeError, ValueError):
        pass
    raise ValueError(f'{name} must be a number with a unit, such as "5 {unit}", received {value!r}')


def as_distance(value: Any, name: str = 'distance') -> u.Quantity:
    """Return a distance; a true distance modulus (without extinction), in mag, is converted to one.

    Parameters
    ----------
    value : `~astropy.units.Quantity` or str
        In any unit; only magnitudes are changed.
    name : str
        Name of the quantity, with which every error message starts.

    Returns
    -------
    `~astropy.units.Quantity`

    Raises
    ------
    TypeError, ValueError
        As for `as_quantity`.

    Examples
    --------
    >>> from pidoc.units import as_distance
    >>> as_distance('15 mag')
    <Quantity 10. kpc>
    """
    value = as_quantity(value, u.kpc, name)
    if not _in_magnitudes(value):
        return value
    # one that overflows is refused later, since it is not finite
    with np.errstate(over='ignore'):
        return 10.0 ** np.asarray(0.2 * value.to_value(u.mag) - 2.0, dtype=float) * u.kpc


def as_distance_error(error: Any, distance: Any, name: str = 'distance_error') -> u.Quantity:
    """Return the standard error of a distance; that of a distance modulus, in mag, is converted to one.

    Parameters
    ----------
    error : `~astropy.units.Quantity` or str
    distance : `~astropy.units.Quantity` or str
        The distance, or the distance modulus.
    name : str
        Name of the error, with which every error message starts.

    Returns
    -------
    `~astropy.units.Quantity`

    Raises
    ------
    TypeError, ValueError
        As for `as_quantity`.

    Examples
    --------
    >>> from pidoc.units import as_distance_error
    >>> print(f"{as_distance_error('0.1 mag', '10 kpc'):.3f}")
    0.461 kpc
    """
    error = as_quantity(error, u.kpc, name)
    if not _in_magnitudes(error):
        return error
    return 0.2 * math.log(10.0) * error.to_value(u.mag) * as_distance(distance)


def _in_magnitudes(value):
    # not dex
    return value.unit.is_equivalent(u.mag) and 'mag' in str(value.unit)


def to_value(quantity: u.Quantity | str, unit: u.UnitBase | str, name: str, *, positive: bool = False,
             non_negative: bool = False) -> Any:
    """Check a quantity and convert it to plain numbers in a given unit.

    Parameters
    ----------
    quantity : `~astropy.units.Quantity` or str
        Scalar or array, in any unit that converts to ``unit``; or a string (`as_quantity`).
    unit : unit-like
        The unit of the returned numbers.
    name : str
        Name of the quantity, with which every error message starts.
    positive, non_negative : bool, optional
        Whether each value must be above zero, or at least zero.

    Returns
    -------
    float or `~numpy.ndarray`
        A float for a scalar, otherwise a new float64 array of the same shape, never a view of the input.

    Raises
    ------
    TypeError
        If ``quantity`` is not a Quantity.
    `~astropy.units.UnitConversionError`
        If its dimension is not that of ``unit``.
    ValueError
        If a value is NaN, infinite, or has a sign that is not allowed.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.units import to_value
    >>> to_value(0.5 * u.kpc, u.pc, 'half_mass_radius', positive=True)
    500.0
    >>> to_value(3.2, u.pc, 'half_mass_radius')
    Traceback (most recent call last):
        ...
    TypeError: half_mass_radius must be an astropy Quantity in pc, received 3.2
    """
    unit, quantity = u.Unit(unit), as_quantity(quantity, unit, name)
    try:
        value = np.array(quantity.to_value(unit), dtype=float)
    except u.UnitConversionError:
        raise u.UnitConversionError(f'{name} must have a unit that converts to {unit}, '
                                    f'received {_show(quantity)}') from None
    _check(value, quantity, np.isfinite(value), f'{name} must be finite')
    if positive:
        _check(value, quantity, value > 0, f'{name} must be positive')
    if non_negative:
        _check(value, quantity, value >= 0, f'{name} must not be negative')
    return value if value.ndim else float(value)


def scalar_value(quantity: u.Quantity | str, unit: u.UnitBase | str, name: str, **rules: bool) -> float:
    """Check a scalar quantity and convert it to a plain number, like `to_value`.

    Parameters
    ----------
    quantity, unit, name, **rules
        As for `to_value`.

    Returns
    -------
    float

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        As for `to_value`; or if it is an array.
    """
    value = to_value(quantity, unit, name, **rules)
    if not isinstance(value, float):
        raise ValueError(f'{name} must be a scalar, received an array of shape {value.shape}')
    return value


def whole_number(value: Any, name: str, *, at_least: int | None = None, at_most: int | None = None,
                 floats: bool = False) -> int:
    """Check a whole number without a unit.

    Parameters
    ----------
    value : int
        A number of Python or numpy; True and False are not accepted.
    name : str
        Name of the number, with which every error message starts.
    at_least, at_most : int, optional
        Limits of its range, inclusive.
    floats : bool, optional
        Whether 4.0 is accepted for 4.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it is anything else.

    Examples
    --------
    >>> from pidoc.units import whole_number
    >>> whole_number(4.0, 'jobs', at_least=1, floats=True)
    4
    >>> whole_number(0, 'jobs', at_least=1)
    Traceback (most recent call last):
        ...
    ValueError: jobs must be a whole number, at least 1, received 0
    """
    whole = _is_real(value) and (isinstance(value, Integral) or (floats and float(value).is_integer()))
    if not (whole and _within(value, at_least, at_most)):
        raise ValueError(f'{name} must be a whole number{_limits(at_least, at_most)}, received {value!r}')
    return int(value)


def is_number(text: str) -> bool:
    """Whether a text, or a cell of a table, is a number.

    Parameters
    ----------
    text : str

    Returns
    -------
    bool

    Examples
    --------
    >>> from pidoc.units import is_number
    >>> is_number('1e3'), is_number('1 pc')
    (True, False)
    """
    try:
        float(text)
    except ValueError:
        return False
    return True


def plain_number(value: Any, name: str, *, at_least: float | None = None, at_most: float | None = None,
                 above: float | None = None, below: float | None = None, of: str = '') -> float:
    """Check a finite number without a unit.

    Parameters
    ----------
    value : float
        A number of Python or numpy; True, False and Quantity are not accepted.
    name : str
        Name of the number, with which every error message starts.
    at_least, at_most, above, below : float, optional
        Limits of its range, inclusive (``at_``) or exclusive.
    of : str, optional
        What it counts or measures, for the error message: 'pixels'.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If it is anything else.

    Examples
    --------
    >>> from pidoc.units import plain_number
    >>> plain_number(3, 'smoothing', at_least=0, of='pixels')
    3.0
    >>> plain_number(1.5, 'beta', above=0, at_most=1)
    Traceback (most recent call last):
        ...
    ValueError: beta must be a number above 0 and at most 1, received 1.5
    """
    try:
        number = float(value) if _is_real(value) else math.nan
    except OverflowError:
        # a whole number can be larger than any float
        number = math.inf
    if not (math.isfinite(number) and _within(number, at_least, at_most, above, below)):
        rule = f'a number{" of " * bool(of)}{of}{_limits(at_least, at_most, above, below)}'
        raise ValueError(f'{name} must be {rule}, received {value!r}')
    return number


def _is_real(value):
    # numpy's bool is not a Real, but Python's is
    return isinstance(value, Real) and not isinstance(value, bool)


def _within(value, at_least=None, at_most=None, above=None, below=None):
    return ((at_least is None or value >= at_least) and (at_most is None or value <= at_most)
            and (above is None or value > above) and (below is None or value < below))


def _limits(at_least=None, at_most=None, above=None, below=None):
    """The text of a range: ' from 0 to 1', ', at least 1', ' above 0 and below 1'."""
    if at_least is not None and at_most is not None:
        return f' from {_plain(at_least)} to {_plain(at_most)}'
    low = '' if at_least is None else f', at least {_plain(at_least)}'
    low = low if above is None else f' above {_plain(above)}'
    high = '' if at_most is None else f'at most {_plain(at_most)}'
    high = high if below is None else f'below {_plain(below)}'
    return low + (f' and {high}' if low else f', {high}') if high else low


def _plain(number):
    """A number as text: 1000000, 0.5, 1 for 1.0."""
    return str(number) if isinstance(number, Integral) else f'{number:g}'


def _check(value, quantity, good, rule):
    """Raise a ValueError with the first value that violates the rule."""
    if not good.all():
        bad = quantity if value.ndim == 0 else quantity[np.unravel_index(good.argmin(), good.shape)]
        raise ValueError(f'{rule}, received {_show(bad)}')


def _show(quantity):
    """Short text of a quantity: its value if it is a scalar, else its unit and shape."""
    if quantity.ndim == 0:
        return str(quantity).strip()
    return f"an array of shape {quantity.shape} in '{quantity.unit}'"


@dataclass(frozen=True)
class HenonUnits:
    """N-body units of a cluster: G = 1 and the given mass and length are 1.

    With the total mass and the virial radius ``G M^2 / (2 |W|)`` they are the units of Hénon
    (1971; Heggie & Mathieu 1986), in which a cluster in equilibrium has the total energy -1/4.

    Parameters
    ----------
    mass : float
        Unit of mass [Msun].
    length : float
        Unit of length [pc].

    Raises
    ------
    ValueError
        If one of them is not a positive, finite number.

    Examples
    --------
    >>> from pidoc.units import HenonUnits
    >>> units = HenonUnits(mass=1e4, length=1.0)
    >>> print(f'{units.time:.4f} Myr, {units.velocity:.4f} km/s')
    0.1491 Myr, 6.5581 km/s
    """

    mass: float
    length: float

    def __post_init__(self):
        for name in ('mass', 'length'):
            plain_number(getattr(self, name), f'the Henon unit of {name}', above=0)

    @property
    def time(self) -> float:
        """Unit of time, ``sqrt(length^3 / (G mass))`` [Myr]."""
        return math.sqrt(self.length ** 3 / (G_MYR * self.mass))

    @property
    def velocity(self) -> float:
        """Unit of velocity, ``sqrt(G mass / length)`` [km/s]."""
        return math.sqrt(G * self.mass / self.length)

    @property
    def energy(self) -> float:
        """Unit of energy, ``G mass^2 / length`` [Msun (km/s)^2]."""
        return G * self.mass ** 2 / self.length

    @property
    def density(self) -> float:
        """Unit of mass density, ``mass / length^3`` [Msun / pc^3]."""
        return self.mass / self.length ** 3
