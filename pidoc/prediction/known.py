# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Known properties of a cluster, as plain numbers: `~pidoc.prediction.known.checked`.

This is where units cross the boundary: outside are quantities, inside numbers in the units of
`pidoc.networks.variables.CONSTRAINTS`.
"""

import difflib
import math

import numpy as np
from astropy import units as u

from pidoc.networks.variables import CONSTRAINTS, OLDEST
from pidoc.units import as_distance, as_distance_error, as_quantity, plain_number, scalar_value

__all__ = ['checked', 'KNOWN', 'LIMITS', 'UNITS']

KNOWN = tuple(name for each in CONSTRAINTS.values() if each.name not in ('seeing', 'sky_error')
              for name in ((each.name, f'{each.name}_error') if each.errors else (each.name,)))
"""Properties that a prediction can be conditioned on: names of arguments of `pidoc.MassMapper.predict`."""

UNITS = {name: u.Unit(CONSTRAINTS[name.removesuffix('_error')].unit) if
         CONSTRAINTS[name.removesuffix('_error')].unit else None for name in KNOWN}
"""Their units; None for a plain number."""

LIMITS = {'distance': (1e-6, 1e8), 'age': (1e-4, OLDEST + 6.0), 'metallicity': (-5.0, 1.0),
           'velocity_dispersion': (1e-3, 1e4), 'b_v': (-1.0, 3.0), 'mass_function_slope': (-10.0, 10.0),
           'effective_radius': (1e-2, 1e5), 'dispersion_radius': (1e-2, 1e5)}
"""Possible values: beyond the Universe on both sides, and before numbers overflow."""


def checked(given, constraints, *, model=''):
    """Check the known properties of one cluster and convert them to plain numbers.

    Parameters
    ----------
    given : dict
        Name, one of `KNOWN`, -> `~astropy.units.Quantity` (or a text such as '20 kpc'), a number for
        properties without a unit (`UNITS`); None or NaN if it is not known. A distance and its error may be
        those of the distance modulus [mag].
    constraints : sequence of `~pidoc.networks.variables.Constraint`
        What the model can be conditioned on.
    model : str, optional
        Name of the model.

    Returns
    -------
    dict
        Name -> float, for the properties that are known.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If a name is unknown, the model cannot use it, a value is of the wrong kind or impossible, or an error
        is given without its value; a dispersion needs its radius.
    """
    found = {}
    for name, value in given.items():
        if name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, 1)
            raise ValueError(f'a known property must be one of {", ".join(KNOWN)}, received {name!r}'
                             f'{f" (did you mean {near[0]}?)" if near else ""}')
        value = _number(name, _length(name, value, given))
        if value is not None:
            found[name] = value
    usable = {each.name for each in constraints}
    for name, value in found.items():
        of = name.removesuffix('_error')
        if of not in usable:
            raise ValueError(f'the model {model or "given"} cannot use {name}: it can be conditioned on '
                             f'{", ".join(sorted(usable & set(KNOWN)))}; received {name} = {value:g}')
        if of not in found:
            raise ValueError(f'{name} needs {of}, received {value:g} alone')
    if 'velocity_dispersion' in found and 'dispersion_radius' not in found:
        raise ValueError('velocity_dispersion needs dispersion_radius, the radius about the centre in which '
                         f'it was measured, received {found["velocity_dispersion"]:g} km / s alone')
    return found


def _of_text(name, text, unit):
    if unit is not None:
        return as_quantity(text, unit, name)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f'{name} must be a number, received {text!r}') from None


def _length(name, value, given):
    """A distance or its error, given as those of a distance modulus; all else as it is."""
    if not isinstance(value, (str, u.Quantity)):
        return value
    if name == 'distance':
        return as_distance(value)
    if name == 'distance_error' and isinstance(given.get('distance'), (str, u.Quantity)):
        return as_distance_error(value, given['distance'])
    if name == 'distance_error' and as_quantity(value, u.kpc, name).unit == u.mag:
        raise ValueError(f'{name} needs distance, received {value} alone')
    return value


def _number(name, value):
    """A value as a plain number, or None if it is not known."""
    if value is None:
        return None
    unit = UNITS[name]
    if isinstance(value, str):
        value = _of_text(name, value, unit)
    if isinstance(value, (u.Quantity, float)) and np.all(np.isnan(value)):
        return None
    if unit is None and isinstance(value, u.Quantity):
        value = float(value.to_value(u.dimensionless_unscaled))
    of, is_error = name.removesuffix('_error'), name.endswith('_error')
    if unit is None:
        number = plain_number(value, name, **({'above': 0} if is_error else {}))
    else:
        number = scalar_value(value, unit, name, positive=is_error or CONSTRAINTS[of].positive)
    low, high = (0.0, math.inf) if is_error and of != 'distance' else LIMITS[of]
    if not low <= number <= high:
        raise ValueError(f'{name} must be from {low:g} to {high:g} {unit or ""}'.rstrip()
                         + f', received {value}')
    return float(number)
