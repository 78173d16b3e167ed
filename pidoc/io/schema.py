# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Check tables of TOML and JSON files against a schema of `msgspec`; errors name the place and the rule."""

import re
import sys
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, get_args, get_origin, Literal, TypeVar, Union

import msgspec

__all__ = ['FINITE', 'Refused', 'Span', 'Table', 'checked', 'number', 'some']

_MOST = sys.float_info.max
_WORDS = {str: 'a text', bool: 'true or false', int: 'a whole number', float: 'a number', list: 'a list',
          tuple: 'a list', dict: 'a table', Any: 'a value'}


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table whose keys are the fields: those with a default are optional, others are required."""


class Refused(ValueError):
    """Raised for one key of a table in its ``__post_init__``.

    Parameters
    ----------
    key, rule : str
        Key of the table, and the rule for its value.
    value : object
        The value received.
    """

    def __init__(self, key, rule, value):
        super().__init__(f'{key}: must be {rule}, received {value!r}')


# -- types of fields ------------------------------------------------------------------------------


def number(kind=float, *, above=None, least=None, most=None):
    """The type of a finite number within limits.

    Parameters
    ----------
    kind : type, optional
        float, which also accepts whole numbers, or int.
    above, least, most : float, optional
        Open or closed lower limit, and closed upper limit.

    Returns
    -------
    type
    """
    rule = 'a whole number' if kind is int else 'a number'
    low = least if above is None else above
    if low is not None and most is not None:
        rule += f' from {low:g} to {most:g}' if above is None else f' above {low:g} and at most {most:g}'
    elif low is not None:
        rule += f', at least {low:g}' if above is None else f' above {low:g}'
    elif most is not None:
        rule += f', at most {most:g}'
    if kind is float:
        least = -_MOST if low is None else least
        most = _MOST if most is None else most
    return Annotated[kind, msgspec.Meta(gt=above, ge=least, le=most, description=rule)]


FINITE = number()
"""The type of any finite number."""


def some(kind, rule):
    """The type of a value or a list of values of a kind, with its rule for error messages."""
    return Annotated[kind | Annotated[list[kind], msgspec.Meta(min_length=1)], msgspec.Meta(description=rule)]


T = TypeVar('T')


class Span(Table, Generic[T], frozen=True):
    """Limits between which a number is drawn, uniformly in itself or in its logarithm."""

    low: T
    high: T
    scale: Literal['linear', 'log'] = 'linear'

    def __post_init__(self):
        if not self.low < self.high:
            raise Refused('low', f'below high, {self.high:g}', self.low)
        if self.scale == 'log' and not self.low > 0.0:
            raise Refused('low', 'positive for a scale that is log', self.low)


# -- reading --------------------------------------------------------------------------------------


def checked(values, kind, where, *, error=ValueError):
    """Convert plain values to an instance of a schema.

    Parameters
    ----------
    values : object
        Dicts, lists, texts and numbers, as from `tomllib` or `json`.
    kind : type
        A `Table`, or another type supported by `msgspec`.
    where : str
        Beginning of error messages.
    error : type, optional
        Class of exception to raise.

    Returns
    -------
    object
        An instance of ``kind``.

    Raises
    ------
    error
        If the values do not match: with the place, the key, the rule and the value received.
    """
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as problem:
        raise error(_explained(problem, values, kind, where)) from problem.__cause__


def _explained(problem, values, kind, where):
    """The message of msgspec, with the place in TOML terms, the rule of the schema, and the value."""
    text, path = re.fullmatch(r'(.*?)(?: - at (?:`key` in )?`\$([^`]*)`)?', str(problem), re.DOTALL).groups()
    path, entries, _ = (path or '').partition('[...]')
    for part in re.findall(r'\w+', path):
        key = int(part) if isinstance(values, list) else part
        kind, values = _inside(kind, key), values[key]
        where += f' {key + 1}' if isinstance(key, int) else f', {_titled(part, kind)}'
    if entries:
        # msgspec does not say which entry of a dict it is
        kind = _inside(kind, '')
        for key, value in values.items():
            try:
                msgspec.convert(value, kind)
            except msgspec.ValidationError as inner:
                return _explained(inner, value, kind, f'{where}, {key}')
    if problem.__cause__ is not None:
        return f'{where}{", " if isinstance(problem.__cause__, Refused) else ": "}{problem.__cause__}'
    unknown = re.fullmatch(r'Object contains unknown field `(.*)`', text, re.DOTALL)
    if unknown:
        return f'{where}, {unknown[1]}: there is no such key'
    missing = re.fullmatch(r'Object missing required field `(.*)`', text)
    if missing:
        kind = _inside(kind, missing[1])
        return f'{where}, {_titled(missing[1], kind)}: must be {_rule(kind)}, not found'
    return f'{where}: must be {_rule(kind)}, received {values!r}'


def _members(kind):
    """The types in a union, without annotations and None."""
    if get_origin(kind) is Annotated:
        return _members(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [member for each in get_args(kind) if each is not NoneType for member in _members(each)]
    return [kind]


def _is_table(kind):
    kind = get_origin(kind) or kind
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _inside(kind, key):
    """The type of the value under a key or an index."""
    for member in _members(kind):
        if get_origin(member) is (list if isinstance(key, int) else dict):
            return get_args(member)[-1]
        if get_origin(member) is tuple and isinstance(key, int):
            return get_args(member)[key]
        if _is_table(member) and isinstance(key, str):
            return next(field.type for field in msgspec.structs.fields(member) if field.encode_name == key)
    return None


def _titled(key, kind):
    """A key in TOML notation: [key] for a table, [[key]] for a list of tables."""
    member, *others = _members(kind)
    if _is_table(member) and not others:
        return f'[{key}]'
    return f'[[{key}]]' if get_origin(member) is list and _is_table(*get_args(member)) else key


def _rule(kind):
    """The rule for a value: the description of its type, or one composed from it."""
    if get_origin(kind) is Annotated:
        kind, *notes = get_args(kind)
        described = [note.description for note in notes if note.description]
        return described[-1] if described else _rule(kind)
    if get_origin(kind) in (Union, UnionType):
        return ' or '.join(_rule(each) for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is Literal:
        words = ', '.join(map(str, get_args(kind)))
        return f'one of {words}' if len(get_args(kind)) > 1 else words
    return 'a table' if _is_table(kind) else _WORDS[get_origin(kind) or kind]
