# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
import dataclasses
import math

import numpy as np
import pytest
from astropy import units as u

from pidoc import units
from pidoc.units import (
    as_distance,
    as_distance_error,
    as_quantity,
    HenonUnits,
    plain_number,
    scalar_value,
    to_value,
    whole_number,
)

# Defined or nominal values, IAU 2012 resolution B2 and 2015 resolutions B2 and B3 (SI units).
ASTRONOMICAL_UNIT = 149597870700.0
PARSEC = ASTRONOMICAL_UNIT * 648000 / math.pi
SOLAR_GM = 1.3271244e20
SOLAR_LUMINOSITY = 3.828e26
SOLAR_RADIUS = 6.957e8
ZERO_MAGNITUDE_LUMINOSITY = 3.0128e28
JULIAN_YEAR = 31557600.0

NO_NUMBERS = [True, np.True_, None, '3', [3], np.array([3]), 3 * u.one, math.nan, math.inf]


def test_g_follows_from_the_nominal_solar_mass_parameter():
    assert units.G == pytest.approx(SOLAR_GM / PARSEC / 1e6, rel=1e-7)
    assert units.G_MYR == pytest.approx(SOLAR_GM * (1e6 * JULIAN_YEAR) ** 2 / PARSEC ** 3, rel=1e-7)


def test_kepler_the_earth_goes_round_in_a_year():
    radius = math.pi / 648000  # 1 au in pc
    assert 2 * math.pi * math.sqrt(radius ** 3 / units.G_MYR) == pytest.approx(1e-6, rel=3e-5)


def test_one_km_per_second_in_pc_per_myr():
    assert units.KMS_IN_PC_PER_MYR == pytest.approx(1e3 * 1e6 * JULIAN_YEAR / PARSEC, rel=1e-12)
    assert math.sqrt(units.G_MYR / units.G) == pytest.approx(units.KMS_IN_PC_PER_MYR, rel=1e-12)


def test_the_sun_has_the_nominal_magnitude_and_temperature():
    magnitude = -2.5 * math.log10(SOLAR_LUMINOSITY / ZERO_MAGNITUDE_LUMINOSITY)
    assert units.SOLAR_MBOL == pytest.approx(magnitude, abs=1e-4)
    stefan_boltzmann = 5.670374419e-8
    temperature = (SOLAR_LUMINOSITY / (4 * math.pi * SOLAR_RADIUS ** 2 * stefan_boltzmann)) ** 0.25
    assert units.SOLAR_TEFF == pytest.approx(temperature, abs=0.5)


@pytest.mark.parametrize(('given', 'distance'), [
    (0 * u.mag, 0.01), ('14.5 mag', 7.943282), (15 * u.mag, 10.0), (25 * u.mag, 1000.0), (3 * u.pc, 0.003)])
def test_distances_and_their_moduli(given, distance):
    assert as_distance(given).to_value(u.kpc) == pytest.approx(distance, rel=1e-6)
    error = as_distance_error('0.002 mag', given).to_value(u.kpc)
    assert error == pytest.approx(distance * 0.002 * math.log(10) / 5)


def test_no_distance_modulus():
    with pytest.raises(TypeError, match='distance must be an astropy Quantity in kpc, received 14.5'):
        as_distance(14.5)
    with pytest.raises(ValueError, match='error must be a number with a unit, such as "5 kpc", received'):
        as_distance_error('small', 14.5 * u.mag, 'error')
    assert math.isinf(as_distance(1e6 * u.mag).value)


def test_to_value_scalar_is_a_float_in_the_unit():
    value = to_value(2.5 * u.kpc, 'pc', 'distance')
    assert type(value) is float
    assert value == 2500.0


def test_to_value_array_is_a_new_float64_array():
    radii = np.array([[1, 2, 3]], dtype=np.float32) * u.pc
    value = to_value(radii, u.pc, 'radius', positive=True)
    assert value.dtype == np.float64
    assert value.shape == (1, 3)
    value[:] = 0
    assert np.all(radii.value == [[1, 2, 3]])
    same_type = np.array([1.0, 2.0]) * u.pc
    to_value(same_type, u.pc, 'radius')[0] = 7
    assert same_type[0] == 1 * u.pc


def test_to_value_of_nothing_is_nothing():
    assert to_value([] * u.pc, u.pc, 'radius', positive=True).shape == (0,)


@pytest.mark.parametrize('bare', [3.2, np.array([1.0, 2.0]), None, u.pc, ['3 pc']])
def test_to_value_refuses_bare_numbers(bare):
    rule = 'half_mass_radius must be an astropy Quantity in pc, received'
    with pytest.raises(TypeError, match=rule):
        to_value(bare, u.pc, 'half_mass_radius')


@pytest.mark.parametrize(('quantity', 'received'), [
    (3 * u.s, '3.0 s'), (u.Quantity(3.0), '3.0'), ([1, 2] * u.s, "an array of shape (2,) in 's'")])
def test_to_value_refuses_another_dimension(quantity, received):
    with pytest.raises(u.UnitConversionError) as caught:
        to_value(quantity, u.pc, 'half_mass_radius')
    rule = 'half_mass_radius must have a unit that converts to pc'
    assert str(caught.value) == f'{rule}, received {received}'


@pytest.mark.parametrize(('values', 'options', 'message'), [
    (np.nan, {}, 'mass must be finite, received nan solMass'),
    ([1, np.inf], {}, 'mass must be finite, received inf solMass'),
    (-1.0, {'positive': True}, 'mass must be positive, received -1.0 solMass'),
    ([[1, 2], [3, 0]], {'positive': True}, 'mass must be positive, received 0.0 solMass'),
    ([3, -2], {'non_negative': True}, 'mass must not be negative, received -2.0 solMass')])
def test_to_value_refuses_bad_values(values, options, message):
    with pytest.raises(ValueError, match=message):
        to_value(values * u.Msun, u.Msun, 'mass', **options)


@pytest.mark.parametrize('text', ['3200 pc', '3.2kpc', ' 3.2 kpc ', '3.2e3 pc'])
def test_a_text_with_a_unit_is_a_quantity(text):
    assert to_value(text, u.pc, 'distance') == pytest.approx(3200.0)
    assert scalar_value(text, u.pc, 'distance', positive=True) == pytest.approx(3200.0)


def test_a_quantity_is_itself():
    distance = 3 * u.kpc
    assert as_quantity(distance, u.pc, 'distance') is distance


@pytest.mark.parametrize('text', ['', 'far', 'pc', '3 parsecs', '1 2 pc', '3 pc pc2)'])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match='distance must be a number with a unit, such as "5 pc", received'):
        to_value(text, u.pc, 'distance')


@pytest.mark.parametrize('text', ['3', '3 s'])
def test_a_text_must_have_a_unit_that_fits(text):
    with pytest.raises(u.UnitConversionError, match='distance must have a unit that converts to pc'):
        to_value(text, u.pc, 'distance')


def test_a_text_is_checked_as_a_quantity_is():
    with pytest.raises(ValueError, match='distance must be positive, received -3.0 pc'):
        to_value('-3 pc', u.pc, 'distance', positive=True)
    with pytest.raises(ValueError, match='distance must be finite, received inf pc'):
        to_value('inf pc', u.pc, 'distance')


def test_to_value_lets_zero_and_negative_values_through_when_allowed():
    assert to_value(0 * u.km / u.s, u.km / u.s, 'kick', non_negative=True) == 0
    assert to_value(-3 * u.km / u.s, u.km / u.s, 'v_r') == -3


def test_the_error_shows_the_unit_that_was_given():
    with pytest.raises(ValueError, match='radius must be positive, received -2.0 kpc'):
        to_value(-2 * u.kpc, u.pc, 'radius', positive=True)


def test_one_value_is_a_scalar():
    assert scalar_value(2.5 * u.kpc, u.pc, 'distance') == 2500.0
    with pytest.raises(ValueError, match=r'distance must be a scalar, received an array of shape \(2,\)'):
        scalar_value([1, 2] * u.kpc, u.pc, 'distance')


@pytest.mark.parametrize('value', [3, np.int16(3), np.uint64(3), 10**400])
def test_whole_numbers(value):
    number = whole_number(value, 'seed', at_least=3, at_most=10**400)
    assert type(number) is int and number == value


@pytest.mark.parametrize('value', [3.0, np.float32(3.0)])
def test_floats_are_whole_where_that_is_allowed(value):
    number = whole_number(value, 'jobs', floats=True)
    assert type(number) is int and number == 3
    with pytest.raises(ValueError, match='jobs must be a whole number, received'):
        whole_number(value, 'jobs')


@pytest.mark.parametrize('value', [*NO_NUMBERS, 2.5])
def test_what_is_no_whole_number(value):
    with pytest.raises(ValueError, match='^jobs must be a whole number, received'):
        whole_number(value, 'jobs', floats=True)


@pytest.mark.parametrize('limits, value, words', [
    ({'at_least': 1}, 0, ', at least 1'), ({'at_most': 8}, 9, ', at most 8'),
    ({'at_least': 100, 'at_most': 1_000_000}, 99, ' from 100 to 1000000')])
def test_whole_numbers_out_of_range(limits, value, words):
    with pytest.raises(ValueError, match=f'^n must be a whole number{words}, received {value}$'):
        whole_number(value, 'n', **limits)


@pytest.mark.parametrize('value', [3, 3.0, np.float32(3.0), np.int16(3)])
def test_plain_numbers(value):
    number = plain_number(value, 'beta', above=2, at_most=3)
    assert type(number) is float and number == 3.0


@pytest.mark.parametrize('value', [*NO_NUMBERS, 10**400])
def test_what_is_no_plain_number(value):
    with pytest.raises(ValueError, match='^beta must be a number, received'):
        plain_number(value, 'beta')


@pytest.mark.parametrize('limits, value, words', [
    ({'at_least': 0}, -1, ', at least 0'), ({'at_most': 0.5}, 1, ', at most 0.5'),
    ({'above': 0.0}, 0.0, ' above 0'), ({'below': 1}, 1, ', below 1'),
    ({'at_least': 0, 'at_most': 1.0}, 2.0, ' from 0 to 1'),
    ({'above': 0, 'below': 1}, 1.0, ' above 0 and below 1'),
    ({'above': 0, 'at_most': 1}, 0.0, ' above 0 and at most 1'),
    ({'at_least': 0, 'below': 1}, 1.0, ', at least 0 and below 1'),
    ({'at_least': 0, 'of': 'pixels'}, -1, ' of pixels, at least 0')])
def test_plain_numbers_out_of_range(limits, value, words):
    with pytest.raises(ValueError, match=f'^x must be a number{words}, received {value}$'):
        plain_number(value, 'x', **limits)


def test_henon_units_against_quantities():
    henon = HenonUnits(mass=3e4, length=2.5)
    mass, length = 3e4 * u.Msun, 2.5 * u.pc
    gravity = SOLAR_GM * u.m ** 3 / u.s ** 2 / u.Msun
    time = np.sqrt(length ** 3 / (gravity * mass)).to_value(u.Myr)
    assert henon.time == pytest.approx(time, rel=1e-7)
    velocity = np.sqrt(gravity * mass / length).to_value(u.km / u.s)
    assert henon.velocity == pytest.approx(velocity, rel=1e-7)
    energy = (gravity * mass ** 2 / length).to_value(u.Msun * (u.km / u.s) ** 2)
    assert henon.energy == pytest.approx(energy, rel=1e-7)
    density = (mass / length ** 3).to_value(u.Msun / u.pc ** 3)
    assert henon.density == pytest.approx(density, rel=1e-12)


def test_henon_units_are_consistent_among_themselves():
    henon = HenonUnits(mass=3e4, length=2.5)
    velocity = henon.velocity * units.KMS_IN_PC_PER_MYR
    assert velocity * henon.time == pytest.approx(henon.length, rel=1e-12)
    assert henon.energy == pytest.approx(henon.mass * henon.velocity ** 2, rel=1e-12)


def test_a_plummer_sphere_has_energy_minus_a_quarter():
    """Energy -3 pi / 64 G M^2 / a, virial radius 16 a / (3 pi) (Heggie & Hut 2003, table 8.1)."""
    mass, scale = 1e5, 1.7
    energy = -3 * math.pi / 64 * units.G * mass ** 2 / scale
    henon = HenonUnits(mass, length=16 * scale / (3 * math.pi))
    assert energy / henon.energy == pytest.approx(-0.25, rel=1e-12)


@pytest.mark.parametrize(('fields', 'message'), [
    ({'mass': 0.0, 'length': 1.0},
     'the Henon unit of mass must be a number above 0, received 0.0'),
    ({'mass': 1.0, 'length': math.nan},
     'the Henon unit of length must be a number above 0, received nan'),
    ({'mass': 1.0, 'length': math.inf},
     'the Henon unit of length must be a number above 0, received inf'),
    ({'mass': 1.0, 'length': 2 * u.pc},
     'the Henon unit of length must be a number above 0, received <Q')])
def test_henon_units_refuses(fields, message):
    with pytest.raises(ValueError, match=message):
        HenonUnits(**fields)


def test_henon_units_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError, match='mass'):
        HenonUnits(mass=1.0, length=1.0).mass = 2.0
