# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""`Measured`: a Quantity with intervals."""

import copy
import pickle

import numpy as np
import pytest
from astropy import units as u

from pidoc.prediction.measured import Measured


@pytest.fixture
def age():
    return Measured(*[12.0, 11.5, 12.6, 11.0, 13.1] * u.Gyr)


def test_value_and_ends(age):
    assert isinstance(age.value, float) and age.value == 12.0 and age.unit == u.Gyr
    ends = age.low_68, age.high_68, age.low_95, age.high_95
    assert ends == (11.5 * u.Gyr, 12.6 * u.Gyr, 11 * u.Gyr, 13.1 * u.Gyr)
    assert type(age.plain) is type(age.low_68) is u.Quantity and age.plain == 12 * u.Gyr
    assert age.error.to_value(u.Gyr) == pytest.approx(0.55)
    assert age.in_unit(u.Myr) == pytest.approx([12000, 11500, 12600, 11000, 13100])
    assert age.to_value(u.Myr) == pytest.approx(12000)


def test_ends_may_be_in_other_units():
    length = Measured(1 * u.kpc, 900 * u.pc, 1100 * u.pc, 0.8 * u.kpc, 1200 * u.pc)
    assert length.unit == u.kpc and length.in_unit(u.pc) == pytest.approx([1000, 900, 1100, 800, 1200])


def test_conversion_keeps_the_intervals(age):
    other = age.to(u.Myr)
    assert type(other) is Measured and other.unit == u.Myr
    assert other.in_unit(u.Gyr) == pytest.approx(age.in_unit(u.Gyr))
    assert other.low_95 == 11000 * u.Myr
    # one in which larger is smaller would not have them in order
    depth = Measured(*[2.0, 1.0, 3.0, 0.5, 4.0] * u.pc)
    with pytest.raises(ValueError, match='an interval must be in order'):
        depth.to(u.mas, equivalencies=u.parallax())
    with pytest.raises(u.UnitConversionError, match="'Gyr' .* and 'kpc' .* are not convertible"):
        age.to(u.kpc)


def test_comparison(age):
    assert age > 1 * u.Gyr and age == 12000 * u.Myr and not age < 11.5 * u.Gyr
    assert age.low_95 < age < age.high_95
    assert age != 12 * u.kpc
    with pytest.raises(u.UnitConversionError, match="Can only apply 'less' function to dimensionless"):
        age < 3  # noqa: B015
    np.testing.assert_allclose(age, 12 * u.Gyr)


@pytest.mark.parametrize(('calculated', 'expected'), [
    (lambda x: x / 2, 6 * u.Gyr), (lambda x: 2 * x, 24 * u.Gyr), (lambda x: x + 1 * u.Gyr, 13 * u.Gyr),
    (lambda x: 14 * u.Gyr - x, 2 * u.Gyr), (lambda x: x - x, 0 * u.Gyr), (lambda x: -x, -12 * u.Gyr),
    (lambda x: x * x, 144 * u.Gyr**2), (lambda x: x**2, 144 * u.Gyr**2),
    (lambda x: np.sqrt(x), 12**0.5 * u.Gyr**0.5), (lambda x: x * u.km, 12 * u.Gyr * u.km),
    (lambda x: x / u.Gyr, 12 * u.one), (lambda x: np.log10(x / u.Gyr), np.log10(12) * u.one),
    (lambda x: np.hypot(x, 5 * u.Gyr), 13 * u.Gyr), (abs, 12 * u.Gyr)])
def test_what_is_calculated_has_no_intervals(age, calculated, expected):
    result = calculated(age)
    assert type(result) is u.Quantity and u.isclose(result, expected)
    assert not hasattr(result, 'low_68')
    assert age.in_unit(u.Gyr) == [12.0, 11.5, 12.6, 11.0, 13.1]


def test_several_in_an_array(age):
    both = u.Quantity([age, 2 * age])
    assert type(both) is u.Quantity and list(both.value) == [12, 24] and both.unit == u.Gyr


@pytest.mark.parametrize(('ends', 'unit', 'text'), [
    ([12.0, 11.5, 12.6, 11.0, 13.1], u.Gyr, '12.0 (11.5 to 12.6) Gyr'),
    (1000 * np.exp([0, -0.1, 0.1, -0.3, 0.3]), u.Msun, '1000 (905 to 1105) solMass'),
    (3e5 * np.exp([0, -0.1, 0.1, -0.3, 0.3]), u.Msun, '3.000e+05 (2.715e+05 to 3.316e+05) solMass'),
    ([-1.5, -1.6, -1.38, -1.8, -1.2], u.one, '-1.50 (-1.60 to -1.38)'),
    ([1e-3, 0.0, 2.5e-3, 0.0, 5e-3], u.one, '0.0010 (0.0000 to 0.0025)'),
    ([2.0] * 5, u.kpc, '2 (2 to 2) kpc'), ([2.0, 1.0, np.inf, 0.0, np.inf], u.kpc, '2 (1 to inf) kpc')])
def test_as_text(ends, unit, text):
    value = Measured(*ends * unit)
    assert str(value) == f'{value}' == text and repr(value) == f'<Measured {text}>'


def test_formats(age):
    assert f'{age:.2f}' == '12.00 Gyr' and f'{age.to(u.Myr):.3e}' == '1.200e+04 Myr'


@pytest.mark.parametrize('copied', [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy])
def test_copies(age, copied):
    again = copied(age)
    assert type(again) is Measured and again.unit == u.Gyr
    assert again.in_unit(u.Gyr) == age.in_unit(u.Gyr)


@pytest.mark.parametrize('ends', [
    [1, 2, 3, 0, 4], [2, 1, 3, 1.5, 4], [2, 1, 3, 0, 2.5], [2, np.nan, 3, 0, 4], [np.nan, 1, 3, 0, 4]])
def test_intervals_in_order(ends):
    with pytest.raises(ValueError, match='an interval must be in order, .* received'):
        Measured(*ends * u.Gyr)


def test_ends_of_another_dimension():
    with pytest.raises(u.UnitConversionError, match="'kpc' .* and 'Gyr' .* are not convertible"):
        Measured(1 * u.Gyr, 1 * u.kpc, 1 * u.Gyr, 1 * u.Gyr, 1 * u.Gyr)
