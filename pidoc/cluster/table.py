# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Cluster models from tables, and from text input."""

import dataclasses
import os

import numpy as np
from astropy import units as u
from astropy.table import QTable, Row, Table

from pidoc.cluster.model import ClusterModel
from pidoc.units import is_number, whole_number

__all__ = ['FIELD_UNITS', 'field_value', 'read_models']

#: units of numbers without a unit in a text or a table: those of the fields of `~pidoc.ClusterModel`
FIELD_UNITS = {
    'half_mass_radius': u.pc, 'mass_limits': u.Msun, 'galactocentric_distance': u.kpc,
    'perigalacticon': u.kpc, 'circular_velocity': u.km / u.s, 'neutron_star_kick': u.km / u.s,
    'black_hole_kick': u.km / u.s,
}
_INTEGERS = ('n_stars', 'seed')
_FLOATS = ('metallicity', 'king_w0', 'giant_mass_loss', 'binary_fraction', 'neutron_star_retention',
           'black_hole_retention', 'coulomb_gamma')
_FIELDS = tuple(field.name for field in dataclasses.fields(ClusterModel))


def field_value(field, value):
    """Convert a text, a number or a quantity to the value of a field of `~pidoc.ClusterModel`.

    Parameters
    ----------
    field : str
        Name of the field.
    value : str, number, bool, `~astropy.units.Quantity` or None
        Numbers without a unit are in `FIELD_UNITS`. A text can have a unit ('3.2 pc'), and 'none' is None.
        The two masses of ``mass_limits`` are an array, or a text such as '0.1 50 solMass'.

    Returns
    -------
    object
        Value for `~pidoc.ClusterModel`, which checks it.

    Raises
    ------
    ValueError
        If there is no such field, or the text is not a value for it.

    Examples
    --------
    >>> from pidoc.cluster.table import field_value
    >>> field_value('half_mass_radius', '3.2'), field_value('half_mass_radius', '0.4 kpc')
    (<Quantity 3.2 pc>, <Quantity 0.4 kpc>)
    """
    if field not in _FIELDS:
        raise ValueError(f'a model has the fields {", ".join(_FIELDS)}, received {field!r}')
    if isinstance(value, str):
        value = value.strip()
        # a name can be "none"
        if field != 'name' and value.lower() == 'none':
            return None
    if value is None or isinstance(value, u.Quantity):
        return value
    if field in FIELD_UNITS:
        return _quantity(field, value, FIELD_UNITS[field])
    if field in _INTEGERS:
        return _integer(field, value)
    if field in _FLOATS and isinstance(value, str):
        return _number(field, value)
    if field == 'stellar_evolution':
        return _boolean(field, value)
    return value


def _quantity(field, value, unit):
    if not isinstance(value, str):
        return np.asarray(value, dtype=float) * unit
    rule = f'{field} must be {"two masses" if field == "mass_limits" else "a number"}, ' \
           f'with or without a unit such as {unit}, received {value!r}'
    numbers, words = [], value.replace(',', ' ').split()
    while words and is_number(words[0]):
        numbers.append(float(words.pop(0)))
    try:
        if not numbers and field != 'mass_limits':
            # '3.2pc'
            quantity = u.Quantity(value)
        else:
            quantity = u.Quantity(numbers, u.Unit(' '.join(words)) if words else unit)
    except (TypeError, ValueError):
        raise ValueError(rule) from None
    if quantity.size != (2 if field == 'mass_limits' else 1) or quantity.unit.is_equivalent(u.one):
        raise ValueError(rule)
    return quantity if field == 'mass_limits' else quantity.reshape(())


def _number(field, value):
    if not is_number(value):
        raise ValueError(f'{field} must be a number, received {value!r}')
    return float(value)


def _integer(field, value):
    number = _number(field, value) if isinstance(value, str) else value
    # 5e4, or whole numbers stored as floats
    return whole_number(number, field, floats=True)


def _boolean(field, value):
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    words = {'true': True, 'yes': True, '1': True, 'false': False, 'no': False, '0': False}
    if str(value).lower() not in words:
        raise ValueError(f'{field} must be true or false, received {value!r}')
    return words[str(value).lower()]


def read_models(source):
    """Read cluster models from a table with one model per row, and columns named like its fields.

    Missing columns and empty cells mean the default values of `~pidoc.ClusterModel`.

    Parameters
    ----------
    source : path-like, `~astropy.table.Table` or iterable of `~pidoc.ClusterModel`
        A table, or a file in any format that astropy recognises (ECSV, CSV, FITS, VOTable ...). Cells are
        read by `field_value`. Models are returned unchanged.

    Returns
    -------
    list of `~pidoc.ClusterModel`

    Raises
    ------
    ValueError
        If a column is unknown or a row is not a valid model; the message gives the row.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from pidoc.cluster.table import read_models
    >>> table = Table({'name': ['small', 'large'], 'half_mass_radius': ['1.6 pc', '4']})
    >>> [model.half_mass_radius for model in read_models(table)]
    [<Quantity 1.6 pc>, <Quantity 4. pc>]
    """
    if isinstance(source, (str, os.PathLike)):
        source = _read_table(source)
    if not isinstance(source, Table):
        return [_checked(model) for model in source]
    unknown = [name for name in source.colnames if name not in _FIELDS]
    if unknown:
        raise ValueError(f'the columns of a table of models must be among {", ".join(_FIELDS)}, '
                         f'received {unknown[0]!r}')
    table = source if isinstance(source, QTable) else QTable(source)
    return [_model(row) for row in table]


def _read_table(path):
    try:
        return QTable.read(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # each format has its own errors
        reason = str(error).partition('\n')[0]
        raise ValueError(f'{os.fspath(path)} is not a table that astropy can read: {reason}') from error


def _checked(model):
    if not isinstance(model, ClusterModel):
        raise TypeError(f'models must be ClusterModel objects or a table, received {model!r}')
    return model


def _model(row: Row):
    values = {}
    for field in row.colnames:
        value = row[field]
        if np.all(getattr(value, 'mask', False)) or value is np.ma.masked:
            continue
        if isinstance(value, bytes):
            value = value.decode()
        if isinstance(value, str) and not value.strip():
            continue
        values[field] = value
    try:
        return ClusterModel(**{field: field_value(field, _plain(value))
                               for field, value in values.items()})
    except (TypeError, ValueError) as error:
        raise ValueError(f'row {row.index + 1} of the table of models: {error}') from error


def _plain(value):
    """A cell as a Python type; a quantity without its mask."""
    if isinstance(value, u.Quantity):
        return u.Quantity(getattr(value, 'unmasked', value))
    return str(value) if isinstance(value, str) else value
