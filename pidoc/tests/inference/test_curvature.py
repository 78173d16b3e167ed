# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""M/L for given ages and [Fe/H] in posteriors that are linear in both."""

import numpy as np
import pytest

from pidoc.inference.curvature import Curvature
from pidoc.inference.posterior import Posterior
from pidoc.networks.variables import Variable

SIZE = 201


def _curvature(function):
    ages, iron = np.geomspace(1.0, 60.0, SIZE), np.linspace(-4.0, 1.0, SIZE)
    return Curvature(ages=ages, metallicities=iron,
                     log_mass_to_light=function(np.log(ages)[:, np.newaxis], iron[np.newaxis]))


def _posterior(slope, scatter=0.05, spread=(0.25, 0.4)):
    """ln M/L a linear function of ln age and [Fe/H], with some scatter."""
    variables = (Variable(name='mass_to_light', scale='logarithm', sd=0.5),
                 Variable(name='age', unit='Gyr', scale='logarithm', mean=2.2, sd=0.5),
                 Variable(name='metallicity', mean=-1.2, sd=0.6))
    covariance = np.diag(np.square(spread))
    factor = np.zeros((3, 3))
    factor[1:, 1:] = np.linalg.cholesky(covariance)
    factor[0] = slope @ factor[1:]
    factor[0, 0] = scatter
    sds = np.array([each.sd for each in variables])
    means = np.array([0.0, 2.1, -1.3])
    standard = (means - [each.mean for each in variables]) / sds
    return Posterior.of(variables, np.ones((1, 1)), standard[np.newaxis, np.newaxis],
                        (factor / sds[:, np.newaxis])[np.newaxis, np.newaxis])


def _given(posterior, age, iron):
    """Exactly known age and [Fe/H]."""
    return posterior.conditioned({
        name: (np.array([float(variable.standardised(value))]), np.array([1e-6]))
        for name, variable, value in zip(('age', 'metallicity'), posterior.variables[1:], (age, iron),
                                         strict=True)})


def _mean(posterior):
    variable = posterior.variables[0]
    return variable.mean + variable.sd * posterior.means[0, 0, 0]


def test_a_linear_population_changes_nothing():
    slope = np.array([0.8, 0.2])
    curvature = _curvature(lambda age, iron: slope[0] * age + slope[1] * iron)
    before = _posterior(slope)
    after = _given(before, 12.0, -0.4)
    assert _mean(curvature.bent(before, after)) == pytest.approx(_mean(after), abs=1e-5)
    assert _mean(curvature.bent(before, before)) == pytest.approx(_mean(before), abs=1e-12)


@pytest.mark.parametrize('age, iron', [(12.0, -0.5), (12.0, -2.1), (5.0, -1.3), (8.2, -1.3)])
def test_a_curved_population_is_followed_to_its_value(age, iron):
    """The linear regression of a quadratic function, conditioned and bent, gives the function."""
    def function(log_age, metallicity):
        return 0.7 * (log_age - 2.1) + 0.2 * (metallicity + 1.3) + 0.3 * (
            (metallicity + 1.3) ** 2 - 0.4**2) - 0.2 * ((log_age - 2.1) ** 2 - 0.25**2)

    before = _posterior(np.array([0.7, 0.2]))
    after = _given(before, age, iron)
    bent = _curvature(function).bent(before, after)
    truth = function(np.log(age), iron)
    assert _mean(bent) == pytest.approx(truth, abs=0.005)
    # nothing else moves
    np.testing.assert_array_equal(bent.means[..., 1:], after.means[..., 1:])
    np.testing.assert_array_equal(bent.factors, after.factors)


def test_scalars_follow_by_their_exponents():
    exponents = _curvature(lambda age, iron: age + iron).exponents
    assert exponents == {'mass_to_light': 1.0, 'total_mass': 1.0, 'cluster_mass': 1.0,
                         'central_dispersion': 0.5, 'velocity_dispersion': 0.5}


def test_beyond_the_table_its_edge_is_taken():
    curvature = _curvature(lambda age, iron: age + iron)
    np.testing.assert_allclose(curvature.at(np.array([99.0, 0.01]), np.array([-2.0, 3.0])),
                               [np.log(60.0) - 2.0, 1.0])


def test_that_of_populations_comes_back_from_its_dictionary():
    curvature = Curvature.of_populations()
    assert Curvature(**curvature.to_dict()).to_dict() == curvature.to_dict()
    ratio = np.exp(curvature.at(np.array([12.0, 12.0]), np.array([-0.3, -2.3])))
    # docs, Simulating: M/L_V of 2.3 and 3.5
    np.testing.assert_allclose(ratio, [3.55, 2.29], rtol=0.03)


@pytest.mark.parametrize('changes, message', [
    ({'log_mass_to_light': [[0.0, 1.0]]}, r'a row for each age .* received the shape \(1, 2\)'),
    ({'log_mass_to_light': [[0.0, 1.0], [0.0, np.nan]]}, 'must have finite numbers'),
    ({'ages': (2.0, 1.0)}, r'ages must be positive, and .* received \(2.0, 1.0\)'),
    ({'metallicities': (0.0, 0.0)}, 'increase, received'),
])
def test_refuses_tables_that_are_none(changes, message):
    values = {'ages': (1.0, 2.0), 'metallicities': (-1.0, 0.0), 'log_mass_to_light': [[0.0, 1.0], [1.0, 2.0]]}
    with pytest.raises(ValueError, match=message):
        Curvature(**values | changes)
