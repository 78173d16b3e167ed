# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What is known of a cluster: from quantities to plain numbers."""

import numpy as np
import pytest
from astropy import units as u

from pidoc.networks.variables import CONSTRAINTS
from pidoc.prediction.known import checked, KNOWN, UNITS

ALL = tuple(CONSTRAINTS.values())


def test_names_and_units():
    assert KNOWN == ('distance', 'distance_error', 'age', 'age_error', 'metallicity', 'metallicity_error',
                     'velocity_dispersion', 'velocity_dispersion_error', 'b_v', 'b_v_error',
                     'mass_function_slope', 'mass_function_slope_error', 'effective_radius',
                     'effective_radius_error', 'dispersion_radius')
    assert [UNITS[name] for name in KNOWN] == [
        u.kpc, u.kpc, u.Gyr, u.Gyr, None, None, u.km / u.s, u.km / u.s, u.mag, u.mag, None, None, u.arcsec,
        u.arcsec, u.arcsec]


def test_plain_numbers_in_the_units_of_the_constraints():
    found = checked({'distance': 17000 * u.pc, 'distance_error': '400 pc', 'age': 12500 * u.Myr,
                     'age_error': None, 'metallicity': -1.98, 'metallicity_error': 0.1,
                     'velocity_dispersion': 1600 * u.m / u.s, 'dispersion_radius': 0.5 * u.arcmin,
                     'b_v': -50 * u.mmag}, ALL)
    assert found == pytest.approx({
        'distance': 17, 'distance_error': 0.4, 'age': 12.5, 'metallicity': -1.98, 'metallicity_error': 0.1,
        'velocity_dispersion': 1.6, 'dispersion_radius': 30, 'b_v': -0.05})
    assert {type(value) for value in found.values()} == {float}


@pytest.mark.parametrize(('distance', 'error', 'must'), [
    (14.5 * u.mag, 0.1 * u.mag, (7.943282, 0.365802)), ('14.5 mag', '0.1mag', (7.943282, 0.365802)),
    (14500 * u.mmag, 0.2 * u.kpc, (7.943282, 0.2)), (u.Magnitude(10.0), 200 * u.pc, (1.0, 0.2)),
    (10 * u.kpc, 0.1 * u.mag, (10.0, 0.460517)), (-5.0 * u.mag, 1 * u.mag, (0.001, 0.000460517))])
def test_distance_moduli(distance, error, must):
    found = checked({'distance': distance, 'distance_error': error}, ALL)
    assert (found['distance'], found['distance_error']) == pytest.approx(must, rel=1e-5)
    # in any order
    assert checked({'distance_error': error, 'distance': distance}, ALL) == found


@pytest.mark.parametrize('nothing', [None, np.nan, np.nan * u.kpc, float('nan')])
def test_what_is_not_known(nothing):
    assert checked({'distance': nothing}, ALL) == {}
    # a model that cannot use it does not mind
    assert checked({'distance': nothing}, []) == {}


@pytest.mark.parametrize('value', [-1.5, '-1.5', -1.5 * u.dimensionless_unscaled, -150 * u.percent,
                                   np.float32(-1.5)])
def test_the_metallicity_is_a_number(value):
    assert checked({'metallicity': value}, ALL) == {'metallicity': -1.5}


@pytest.mark.parametrize(('given', 'kind', 'message'), [
    ({'distanse': 2 * u.kpc}, ValueError,
     r"a known property must be one of distance, .*, received 'distanse' \(did you mean distance\?\)"),
    ({'x': 2}, ValueError, "a known property must be one of distance, .* dispersion_radius, received 'x'$"),
    ({'distance': 20}, TypeError, 'distance must be an astropy Quantity in kpc, received 20'),
    ({'distance': 20 * u.s}, u.UnitConversionError, 'distance must have a unit that converts to kpc'),
    ({'distance': 'far'}, ValueError, 'distance must be a number with a unit, such as .* received'),
    ({'distance': [20, 30] * u.kpc}, ValueError, 'distance must be a scalar, received an array of shape'),
    ({'distance': -20 * u.kpc}, ValueError, 'distance must be positive, received -20.0 kpc'),
    ({'distance': 1e300 * u.kpc}, ValueError, 'distance must be from 1e-06 to 1e.08 kpc, received 1e.300'),
    ({'distance': 2 * u.kpc, 'distance_error': 0 * u.kpc}, ValueError, 'distance_error must be positive'),
    ({'distance': 2 * u.kpc, 'distance_error': 1e9 * u.kpc}, ValueError,
     'distance_error must be from 1e-06 to 1e.08 kpc'),
    ({'age': 0 * u.Gyr}, ValueError, 'age must be positive, received 0.0 Gyr'),
    ({'age': 1e-5 * u.Gyr}, ValueError, 'age must be from 0.0001 to 20 Gyr, received 1e-05 Gyr'),
    ({'age': 21 * u.Gyr}, ValueError, 'age must be from 0.0001 to 20 Gyr, received 21.0 Gyr'),
    ({'age': 1 * u.Gyr, 'age_error': -1 * u.Gyr}, ValueError, 'age_error must be positive'),
    ({'metallicity': -6}, ValueError, 'metallicity must be from -5 to 1, received -6'),
    ({'metallicity': 1.5}, ValueError, 'metallicity must be from -5 to 1, received 1.5'),
    ({'metallicity': np.inf}, ValueError, 'metallicity must be'),
    ({'metallicity': 'poor'}, ValueError, "metallicity must be a number, received 'poor'"),
    ({'metallicity': -1 * u.kpc}, u.UnitConversionError, "'kpc' .* and '' .* are not convertible"),
    ({'metallicity': [-1, -2]}, ValueError, r'metallicity must be a number, received \[-1, -2\]'),
    ({'metallicity': -1, 'metallicity_error': 0}, ValueError,
     'metallicity_error must be a number above 0, received 0'),
    ({'velocity_dispersion': 1e5 * u.km / u.s, 'dispersion_radius': 1 * u.arcsec}, ValueError,
     'velocity_dispersion must be from 0.001 to 10000 km / s, received 100000.0 km / s'),
    ({'dispersion_radius': 1e-3 * u.arcsec}, ValueError,
     'dispersion_radius must be from 0.01 to 100000 arcsec, received 0.001 arcsec'),
    ({'velocity_dispersion': 5 * u.km / u.s}, ValueError,
     'velocity_dispersion needs dispersion_radius, the radius about the centre in which it was measured, '
     'received 5 km / s alone'),
    ({'distance_error': 1 * u.kpc}, ValueError, 'distance_error needs distance, received 1 alone'),
    ({'distance_error': 1 * u.mag}, ValueError, 'distance_error needs distance, received 1.0 mag alone'),
    ({'distance_error': '1 mag', 'distance': np.nan}, ValueError, 'distance_error needs distance, received'),
    ({'distance': 1e5 * u.mag}, ValueError, 'distance must be finite, received inf kpc'),
    ({'distance': np.inf * u.mag}, ValueError, 'distance must be finite, received inf kpc'),
    ({'distance': 60 * u.mag}, ValueError, 'distance must be from 1e-06 to 1e.08 kpc, received 1000'),
    ({'distance': 20 * u.ABmag}, u.UnitConversionError, 'distance must have a unit that converts to kpc'),
    ({'age': None, 'age_error': 1 * u.Gyr}, ValueError, 'age_error needs age, received 1 alone')])
def test_what_cannot_be_known(given, kind, message):
    with pytest.raises(kind, match=message):
        checked(given, ALL)


def test_what_a_model_cannot_use():
    constraints = [CONSTRAINTS['distance'], CONSTRAINTS['age'], CONSTRAINTS['seeing']]
    given = {'distance': 3 * u.kpc, 'metallicity': -1.5}
    with pytest.raises(ValueError, match='the model mine cannot use metallicity: it can be conditioned on '
                                         'age, distance; received metallicity = -1.5'):
        checked(given, constraints, model='mine')
    with pytest.raises(ValueError, match='the model given cannot use metallicity_error: .* = 0.1'):
        checked({'metallicity_error': 0.1}, constraints)
    assert checked({'distance': 3 * u.kpc}, constraints) == {'distance': 3.0}
