# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""A predicted number with its intervals: `Measured`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u

if TYPE_CHECKING:
    from typing import Any

__all__ = ['Measured']


class Measured(u.Quantity):
    """A quantity with its 68 % and 95 % intervals: the median of a posterior and four of its quantiles.

    It behaves like an `~astropy.units.Quantity`; results of calculations with it have no intervals. To
    propagate the errors of several quantities, use joint draws: `pidoc.Prediction.sample`.

    Parameters
    ----------
    value, low_68, high_68, low_95, high_95 : `~astropy.units.Quantity`
        Scalars of one dimension, in order.

    Raises
    ------
    ValueError
        If they are not in order.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.prediction import Measured
    >>> age = Measured(*[12.0, 11.5, 12.6, 11.0, 13.1] * u.Gyr)
    >>> print(age)
    12.0 (11.5 to 12.6) Gyr
    >>> age.error, bool(age > 1 * u.Gyr), f'{age:.2f}'
    (<Quantity 0.55 Gyr>, True, '12.00 Gyr')
    >>> print(age.to(u.Myr))
    12000 (11500 to 12600) Myr
    >>> age / 2
    <Quantity 6. Gyr>
    """

    if TYPE_CHECKING:
        low_68: u.Quantity
        high_68: u.Quantity
        low_95: u.Quantity
        high_95: u.Quantity

    def __new__(cls, value: u.Quantity, low_68: u.Quantity, high_68: u.Quantity, low_95: u.Quantity,
                high_95: u.Quantity) -> Measured:
        made = u.Quantity(value).view(cls)
        ends = [float(u.Quantity(each).to_value(made.unit)) for each in (low_68, high_68, low_95, high_95)]
        made._ends = tuple(ends)
        low, high, lowest, highest = ends
        if not lowest <= low <= float(made.to_value(made.unit)) <= high <= highest:
            raise ValueError('an interval must be in order, 95 % about 68 % about the value, received '
                             f'{", ".join(map(str, made.in_unit(made.unit)))}')
        return made

    def __array_finalize__(self, obj):
        super().__array_finalize__(obj)
        self._ends = getattr(obj, '_ends', None)

    def __array_ufunc__(self, function, method, *inputs, **kwargs):
        plain = [each.plain if isinstance(each, Measured) else each for each in inputs]
        return getattr(function, method)(*plain, **kwargs)

    def __quantity_subclass__(self, unit):
        return u.Quantity, False

    def __reduce__(self):
        return type(self), tuple(number * self.unit for number in self.in_unit(self.unit))

    @property
    def plain(self) -> u.Quantity:
        """The value alone (`~astropy.units.Quantity`)."""
        return u.Quantity(self.value, self.unit)

    if not TYPE_CHECKING:
        low_68, high_68, low_95, high_95 = (
            property(lambda self, k=k: u.Quantity(self._ends[k], self.unit),
                     doc=f'{"Upper" if k % 2 else "Lower"} end of the {95 if k > 1 else 68} % interval.')
            for k in range(4))

    @property
    def error(self) -> u.Quantity:
        """Half of the width of the 68 % interval."""
        return 0.5 * (self.high_68 - self.low_68)

    def in_unit(self, unit: u.UnitBase | str) -> list[float]:
        """Value and limits of the 68 % and 95 % intervals, as plain numbers.

        Parameters
        ----------
        unit : unit-like

        Returns
        -------
        list of float
        """
        return [float(each.to_value(unit)) for each in
                (self.plain, self.low_68, self.high_68, self.low_95, self.high_95)]

    def to(self, unit: u.UnitBase | str, equivalencies: Any = (), copy: bool = True) -> Measured:
        """Convert to another unit, with the intervals.

        Parameters
        ----------
        unit : unit-like
        equivalencies, copy
            As for `~astropy.units.Quantity.to`.

        Returns
        -------
        Measured
        """
        ends = [self.plain, self.low_68, self.high_68, self.low_95, self.high_95]
        return Measured(*(each.to(unit, equivalencies=equivalencies) for each in ends))

    def __str__(self):
        value, low, high, *_ = self.in_unit(self.unit)
        digits = _digits(value, high - low)
        return f'{value:{digits}} ({low:{digits}} to {high:{digits}}) {self.unit}'.rstrip()

    def __format__(self, spec):
        return format(self.plain, spec) if spec else str(self)

    def __repr__(self):
        return f'<Measured {self}>'


def _digits(value, width):
    """Format in which the first two digits of the width can be seen."""
    if not (np.isfinite(width) and width > 0.0):
        return '.4g'
    if max(abs(value), width) >= 1e5:
        return '.3e'
    return f'.{max(0, 1 - int(np.floor(np.log10(width))))}f'
