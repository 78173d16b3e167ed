# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Tests of pidoc.io.schema: what fits is read, what does not is named with place, rule and value."""

import math
from typing import Any, Literal

import pytest

from pidoc.io.schema import checked, FINITE, number, Refused, some, Span, Table


class Inner(Table, frozen=True):
    size: number(above=0.0)
    word: Literal['a', 'b'] = 'a'

    def __post_init__(self):
        if self.size == 13:
            raise Refused('size', 'another number', self.size)
        if self.size == 14:
            raise ValueError('size and word go together')


class Outer(Table, frozen=True):
    inner: Inner
    several: list[Inner] = []
    named: dict[str, Inner] = {}
    pair: tuple[FINITE, FINITE] = (0.0, 0.0)
    value: FINITE | Span[FINITE] | None = None
    names: some(str, 'a name or some') | None = None
    on: bool = False
    count: number(int, least=1, most=9) = 1
    text: str = ''
    anything: dict = {}


def read(**values):
    return checked({'inner': {'size': 1}} | values, Outer, 'the file')


def test_what_fits_is_read_and_the_rest_has_its_default():
    outer = read(several=[{'size': 2, 'word': 'b'}], value={'low': 0, 'high': 1}, names=['x'],
                 anything={'a': []})
    assert outer.inner == Inner(1.0)
    assert outer.several == [Inner(2.0, 'b')]
    assert outer.value == Span(0.0, 1.0, 'linear')
    assert (outer.names, outer.count, outer.anything) == (['x'], 1, {'a': []})
    # whole numbers become floats where those are asked for
    assert isinstance(outer.inner.size, float)


@pytest.mark.parametrize(('values', 'message'), [
    ({'other': 1}, 'the file, other: there is no such key'),
    ({'inner': {}}, 'the file, [inner], size: must be a number above 0, not found'),
    ({'inner': 3}, 'the file, [inner]: must be a table, received 3'),
    ({'inner': {'size': 1, 'word': 'c'}}, "the file, [inner], word: must be one of a, b, received 'c'"),
    ({'inner': {'size': math.inf}}, 'the file, [inner], size: must be a number above 0, received inf'),
    ({'inner': {'size': math.nan}}, 'the file, [inner], size: must be a number above 0, received nan'),
    ({'inner': {'size': True}}, 'the file, [inner], size: must be a number above 0, received True'),
    ({'inner': {'size': 13}}, 'the file, [inner], size: must be another number, received 13.0'),
    ({'inner': {'size': 14}}, 'the file, [inner]: size and word go together'),
    ({'several': {}}, 'the file, [[several]]: must be a list, received {}'),
    ({'several': [{'size': 1}, 3]}, 'the file, [[several]] 2: must be a table, received 3'),
    ({'several': [{'size': 1}, {'siez': 1}]}, 'the file, [[several]] 2, siez: there is no such key'),
    ({'named': {'x': {'size': 1}, 'y': {'size': 0}}},
     'the file, named, y, size: must be a number above 0, received 0'),
    ({'named': {'x': {}}}, 'the file, named, x, size: must be a number above 0, not found'),
    ({'pair': [1]}, 'the file, pair: must be a list, received [1]'),
    ({'pair': [1, 'x']}, "the file, pair 2: must be a number, received 'x'"),
    ({'value': 'x'}, "the file, value: must be a number or a table, received 'x'"),
    ({'value': {'low': 3}}, 'the file, value, high: must be a number, not found'),
    ({'value': {'low': 3, 'high': 2}}, 'the file, value, low: must be below high, 2, received 3.0'),
    ({'value': {'low': 0, 'high': 2, 'scale': 'log'}},
     'the file, value, low: must be positive for a scale that is log, received 0.0'),
    ({'names': []}, 'the file, names: must be a name or some, received []'),
    ({'names': ['x', 1]}, 'the file, names 2: must be a text, received 1'),
    ({'on': 1}, 'the file, on: must be true or false, received 1'),
    ({'count': 10}, 'the file, count: must be a whole number from 1 to 9, received 10'),
    ({'count': 1.5}, 'the file, count: must be a whole number from 1 to 9, received 1.5'),
    ({'text': 1}, 'the file, text: must be a text, received 1')])
def test_what_does_not_fit_is_named(values, message):
    with pytest.raises(ValueError, match='^the file') as info:
        read(**values)
    assert str(info.value) == message


def test_a_value_of_any_kind_is_missing():
    class Loose(Table, frozen=True):
        anything: Any

    with pytest.raises(ValueError, match='the file, anything: must be a value, not found'):
        checked({}, Loose, 'the file')


def test_the_kind_of_error_and_what_is_no_table():
    with pytest.raises(KeyError, match=r'the file: must be a table, received \[\]'):
        checked([], Outer, 'the file', error=KeyError)


@pytest.mark.parametrize(('options', 'rule'), [
    ({}, 'a number'), ({'above': 0}, 'a number above 0'), ({'least': 0.5}, 'a number, at least 0.5'),
    ({'most': 3}, 'a number, at most 3'), ({'above': 0, 'most': 1}, 'a number above 0 and at most 1'),
    ({'least': 1, 'most': 2}, 'a number from 1 to 2')])
def test_rules_of_numbers(options, rule):
    with pytest.raises(ValueError, match=f'^it: must be {rule}, received -inf$'):
        checked(-math.inf, number(**options), 'it')
