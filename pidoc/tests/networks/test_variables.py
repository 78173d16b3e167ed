# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Quantities as numbers for networks, and what may be known."""

import numpy as np
import pytest
from astropy import units as u

from pidoc.cluster.population import population_mass_to_light
from pidoc.networks.variables import Constraint, CONSTRAINTS, OLDEST, OUTPUTS, Product, SCALES, Variable
from pidoc.photometry import iron_abundance

VALUES = {'linear': [-3.0, 0.0, 2.0], 'logarithm': [1e-3, 1.0, 1e6], 'root': [0.0, 0.01, 14.0],
          'age': [0.02, 1.0, 13.9], 'log_age': [0.02, 1.0, 13.9], 'iron': [-2.5, -1.0, 0.3],
          'share': [0.01, 0.5, 0.98], 'rare': [0.0, 1e-3, 0.3]}


@pytest.mark.parametrize('name', SCALES)
def test_scales_are_monotonic_and_come_back(name):
    scale, values = SCALES[name], np.array(VALUES[name])
    numbers = scale.forward(values)
    assert np.all(np.diff(numbers) > 0.0)
    np.testing.assert_allclose(scale.back(numbers), values, rtol=1e-9, atol=1e-12)


def test_whatever_a_network_says_is_a_possible_value():
    wild = np.array([-1e4, -30.0, 0.0, 30.0, 1e4])
    for variable in OUTPUTS.values():
        values = variable.physical(wild)
        assert np.all(np.isfinite(values))
        if variable.scale not in ('linear', 'iron'):
            assert np.all(values >= 0.0)
    assert OUTPUTS['age'].physical(1e4) == pytest.approx(OLDEST)
    assert OUTPUTS['dark_share'].physical(1e4) == pytest.approx(1.0)


def test_fitted_variables_standardise():
    values = np.random.default_rng(1).lognormal(3.0, 0.5, 2000)
    variable = OUTPUTS['distance'].fitted(np.append(values, np.nan))
    numbers = variable.standardised(values)
    assert numbers.mean() == pytest.approx(0.0, abs=1e-9) and numbers.std() == pytest.approx(1.0, abs=1e-9)
    assert Variable(**variable.to_dict()) == variable


def test_measured_values_scatter_by_their_errors():
    rng = np.random.default_rng(2)
    for name, true in (('distance', 10.0), ('age', 12.0), ('metallicity', -1.5)):
        constraint = CONSTRAINTS[name]
        seen, errors = constraint.measured(np.full(20000, true), rng)
        good = np.isfinite(seen)
        # an age of 12 Gyr with an error of 3 is below 0 once in 30,000
        assert good.mean() > 0.999
        off = np.log(seen / true) if constraint.relative else seen - true
        error = errors / seen if constraint.relative else errors
        assert np.std((off / error)[good]) == pytest.approx(1.0, abs=0.02)
        low, high = constraint.errors
        assert error[good].min() >= 0.999 * low and error[good].max() <= 1.001 * high
        # evenly in the logarithm
        assert np.median(error[good]) == pytest.approx(np.sqrt(low * high), rel=0.05)


def test_a_value_that_nobody_would_believe_is_not_known():
    seen, errors = CONSTRAINTS['age'].measured(np.full(2000, 0.1), np.random.default_rng(3))
    assert 0.2 < np.isnan(seen).mean() < 0.6 and np.nanmin(seen) > 0.0
    np.testing.assert_array_equal(np.isnan(errors), np.isnan(seen))


def test_what_is_known_exactly_stays_as_it_is():
    seen, errors = CONSTRAINTS['seeing'].measured(np.array([0.8, 1.2]), np.random.default_rng(4))
    np.testing.assert_array_equal(seen, [0.8, 1.2])
    assert np.all(np.isnan(errors)) and CONSTRAINTS['seeing'].width == 2


def test_measurements_are_those_of_the_standardised_variable():
    distance = OUTPUTS['distance'].fitted(np.array([5.0, 20.0, 80.0]))
    value, error = CONSTRAINTS['distance'].measurement(distance, [20.0, np.nan], [2.0, np.nan])
    assert value[0] == pytest.approx((np.log(20.0) - distance.mean) / distance.sd, abs=1e-6)
    assert error[0] == pytest.approx(0.1 / distance.sd, rel=0.01)
    assert np.isnan(value[1]) and np.isnan(error[1])
    # ages: only possible ones count, so that a measurement near the oldest is below its value
    age = OUTPUTS['age']
    value, error = CONSTRAINTS['age'].measurement(age, [7.0, 13.5, 13.5], [0.1, 1.0, np.nan])
    assert age.physical(value[0]) == pytest.approx(7.0, abs=0.01)
    assert age.physical(value[0] + error[0]) == pytest.approx(7.1, abs=0.01)
    assert 12.5 < age.physical(value[1]) < 13.5 and np.isfinite(error).all()
    iron = OUTPUTS['metallicity']
    value, error = CONSTRAINTS['metallicity'].measurement(iron, [-1.5, -0.3], [0.05, np.nan])
    np.testing.assert_allclose(iron.physical(value), [-1.5, -0.3], atol=0.02)
    np.testing.assert_allclose(iron.physical(value + error) - iron.physical(value), [0.05, 0.15], rtol=0.1)


def test_the_light_of_old_populations_is_linear_in_age_and_iron():
    """A posterior of normal distributions can only have linear relations of M/L with age and [Fe/H]."""
    metallicities, ages = np.geomspace(1e-4, 0.01, 7), np.array([9.0, 11.0, 12.5, 13.5])
    values = np.log([[population_mass_to_light(age * u.Gyr, each).value for each in metallicities]
                     for age in ages])
    iron = np.array([float(iron_abundance(each)) for each in metallicities])

    def worst(of_age, of_iron):
        columns = [np.ones(values.size), np.repeat(SCALES[of_age].forward(ages), iron.size),
                   np.tile(SCALES[of_iron].forward(iron), ages.size)]
        fit = np.linalg.lstsq(np.stack(columns, axis=1), values.ravel(), rcond=None)[0]
        return np.abs(values.ravel() - np.stack(columns, axis=1) @ fit).max()

    assert worst(OUTPUTS['age'].scale, OUTPUTS['metallicity'].scale) < 0.07
    assert worst('age', 'linear') > 0.1


def test_codes_are_zero_where_nothing_is_known():
    age = CONSTRAINTS['age']
    code = age.encoded([12.0, np.nan, 10.0], [1.0, 1.0, np.nan])
    typical = np.sqrt(0.2 * 3.0)
    np.testing.assert_allclose(code, [[1, 12, -np.log(typical)], [0, 0, 0], [1, 10, np.log(0.75 / typical)]],
                               rtol=1e-6)


@pytest.mark.parametrize('values, message', [
    ({'scale': 'cube'}, "the scale of x must be one of linear, logarithm, .* received 'cube'"),
    ({'mean': np.nan}, 'the mean of x must be finite and its standard deviation positive, received nan and'),
    ({'sd': 0.0}, 'received 0.0 and 0.0'),
    ({'errors': (0.2, 0.1), 'default_error': 0.15}, 'the errors of x must be positive and in order with'),
    ({'errors': (0.1, 0.2), 'default_error': 0.3}, r'received \(0.1, 0.2\) and 0.3'),
])
def test_refuses_impossible_values(values, message):
    with pytest.raises(ValueError, match=message):
        Constraint(name='x', **values)


def test_an_effective_radius_is_a_length_over_a_distance():
    its = CONSTRAINTS['effective_radius']
    assert its.needs == ('half_light_radius', 'distance') and CONSTRAINTS['distance'].needs == ('distance',)
    length, far = np.array([3.0, 10.74]) * u.pc, np.array([10.0, 16.9]) * u.kpc
    angle = (length / far).to_value(u.arcsec, u.dimensionless_angles())
    variables = [OUTPUTS['distance'].fitted(far.value), OUTPUTS['age'], OUTPUTS['half_light_radius']]
    line, constant = its.product.line(variables)
    numbers = np.stack([variables[0].standardised(far.value), [0.0, 0.0],
                        variables[2].standardised(length.value)], axis=1)
    np.testing.assert_allclose(numbers @ line + constant, np.log(angle), rtol=1e-12)
    assert Constraint(**its.to_dict()) == its


def test_products_that_are_none():
    with pytest.raises(ValueError, match='the factor of x must be positive, received -1'):
        Product('x', (('distance', 1.0),), -1.0)
    product = Product('x', (('distance', 1.0), ('age', 2.0)))
    with pytest.raises(ValueError, match='x needs scalars with the scale logarithm, received none .* age'):
        product.line([OUTPUTS['distance'], OUTPUTS['age']])
    with pytest.raises(ValueError, match='none such named distance, age'):
        product.line([OUTPUTS['total_mass']])
