# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Posterior: margins, draws, calibration."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from pidoc.inference.posterior import Posterior
from pidoc.networks.variables import OLDEST, OUTPUTS, Product, Variable

PLAIN = Variable(name='a'), Variable(name='b', scale='logarithm', mean=2.0, sd=0.5)
COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.5]])


def _normal(variables=PLAIN, covariance=COVARIANCE, mean=(0.3, -0.2)):
    return Posterior.of(variables, np.ones((1, 1)), np.array([[mean]]),
                        np.linalg.cholesky(covariance)[np.newaxis, np.newaxis])


def _mixture():
    """Two components, one of which is narrow."""
    return Posterior.of(PLAIN, np.array([[0.25, 0.75]]), np.array([[[-2.0, 0.0], [1.0, 1.0]]]),
                        np.array([[0.05 * np.eye(2), np.eye(2)]]))


def test_intervals_of_one_normal_distribution_are_exact():
    found = _normal().intervals()
    np.testing.assert_allclose([found['a'].value[0], *np.ravel(found['a'].ends)], [0.3, -0.7, 1.3, -1.7, 2.3],
                               atol=1e-4)
    sd = 0.5 * np.sqrt(0.5)
    np.testing.assert_allclose(np.log([found['b'].value[0], *np.ravel(found['b'].ends)]),
                               1.9 + sd * np.array([0.0, -1.0, 1.0, -2.0, 2.0]), atol=1e-4)


def test_draws_have_the_covariance():
    draws = _normal().sample(200000, seed=2)
    sample = np.stack([draws['a'][0], (np.log(draws['b'][0]) - 2.0) / 0.5])
    np.testing.assert_allclose(sample.mean(axis=1), [0.3, -0.2], atol=0.01)
    np.testing.assert_allclose(np.cov(sample), COVARIANCE, atol=0.01)
    assert np.array_equal(_normal().sample(5, seed=3)['a'], _normal().sample(5, seed=3)['a'])
    assert not np.array_equal(_normal().sample(5, seed=3)['a'], _normal().sample(5, seed=4)['a'])


def test_intervals_and_draws_of_a_mixture_agree():
    mixture = _mixture()
    found, draws = mixture.intervals()['a'], mixture.sample(400000, seed=5)['a'][0]
    levels = norm.cdf([0.0, -1.0, 1.0, -2.0, 2.0])
    np.testing.assert_allclose([found.value[0], *np.ravel(found.ends)], np.quantile(draws, levels), atol=0.01)
    # the narrow component is there
    assert np.mean(np.abs(draws + 2.0) < 0.2) == pytest.approx(0.25, abs=0.01)


def test_quantiles_have_their_scores_however_the_components_lie():
    rng = np.random.default_rng(7)
    number, components = 40, 6
    factors = np.tril(rng.normal(size=(number, components, 2, 2))) + np.eye(2)
    factors *= 10.0 ** rng.uniform(-2.5, 0.5, (number, components, 1, 1))
    many = Posterior.of(PLAIN, rng.dirichlet(np.full(components, 0.5), number),
                        5.0 * rng.normal(size=(number, components, 2)), factors)
    scores = np.linspace(-4.0, 4.0, 17)
    many = many.stretched(np.tile([1.0, 2.0], (number, 2, 1)))
    values = many._values_at(np.tile(scores, (number, 2, 1)))
    assert np.all(np.diff(values, axis=-1) >= 0.0)
    back = np.stack([many._scores_at(each) for each in np.moveaxis(values, -1, 0)], axis=-1)
    # in a gap between components a value is less exact than its score
    np.testing.assert_allclose(back, np.broadcast_to(scores, back.shape), atol=1e-4)
    # one map at a time gives the same bits
    np.testing.assert_array_equal(many[3:4]._values_at(np.tile(scores, (1, 2, 1))), values[3:4])


def test_normal_scores_of_draws_are_standard_normal():
    mixture = _mixture()
    draws = mixture.sample(20000, seed=6)
    many = Posterior.joined([mixture] * 200)
    scores = many.normal_scores({name: values[0, :200] for name, values in draws.items()})
    assert scores.shape == (200, 2)
    np.testing.assert_allclose(scores.mean(axis=0), 0.0, atol=0.2)
    np.testing.assert_allclose(scores.std(axis=0), 1.0, atol=0.12)
    exact = norm.ppf(0.25 * norm.cdf(0.4, -2.0, 0.05) + 0.75 * norm.cdf(0.4, 1.0, 1.0))
    score = mixture.normal_scores({'a': np.array([0.4]), 'b': np.ones(1)})[0, 0]
    assert score == pytest.approx(exact, abs=1e-3)


def test_a_component_of_almost_no_weight_changes_nothing():
    """After conditioning, weights may be as small as numbers can be."""
    mixture = Posterior.of(PLAIN, np.array([[1.0, 1e-310]]), np.array([[[0.3, -0.2], [-3.0, 3.0]]]),
                           np.array([[np.linalg.cholesky(COVARIANCE), np.eye(2)]]))
    values = {'a': np.array([0.8]), 'b': np.array([9.0])}
    np.testing.assert_allclose(mixture.normal_scores(values), _normal().normal_scores(values), rtol=1e-12)


def test_far_from_all_components_scores_are_those_of_the_nearer_tail():
    posterior = _normal()
    for value in (-8.0, 8.0):
        score = posterior.normal_scores({'a': np.array([0.3 + value]), 'b': np.ones(1)})[0, 0]
        assert score == pytest.approx(value, abs=0.01)


def test_stretching_widens_margins_and_keeps_what_goes_with_what():
    plain = _normal()
    wide = plain.stretched([[[1.5, 4.0], [1.0, 2.0]]])
    one, other = wide.intervals(), plain.intervals()
    np.testing.assert_allclose(np.ravel(one['a'].ends), [-1.2, 1.8, -3.7, 4.3], atol=1e-3)
    np.testing.assert_allclose(one['b'].ends, other['b'].ends)
    draws, before = wide.sample(50000, seed=7), plain.sample(50000, seed=7)
    assert np.mean(np.abs(draws['a'][0] - 0.3) < 1.5) == pytest.approx(0.6827, abs=0.01)
    assert np.mean(np.abs(draws['a'][0] - 0.3) < 4.0) == pytest.approx(0.9545, abs=0.01)
    for name in 'ab':
        np.testing.assert_array_equal(np.argsort(draws[name][0]), np.argsort(before[name][0]))


def test_a_multiple_of_a_scalar_has_multiples_of_its_draws():
    mixture = _mixture()
    other = mixture.scaled('b', np.array([3.0]))
    for name, factor in (('a', 1.0), ('b', 3.0)):
        draws, ends = mixture.sample(50, seed=1)[name], mixture.intervals()[name].high_95
        np.testing.assert_allclose(other.sample(50, seed=1)[name], factor * draws)
        np.testing.assert_allclose(other.intervals()[name].high_95, factor * ends)
    with pytest.raises(ValueError, match='with the scale logarithm can be scaled, a has linear'):
        mixture.scaled('a', np.array([3.0]))


def test_draws_are_possible_values():
    variables = tuple(OUTPUTS[name] for name in ('age', 'total_mass', 'black_hole_share', 'dark_share'))
    wild = Posterior.of(variables, np.ones((1, 1)), np.zeros((1, 1, 4)),
                        30.0 * np.eye(4)[np.newaxis, np.newaxis])
    draws = wild.sample(5000, seed=8)
    assert draws['age'].min() >= 0.0 and draws['age'].max() <= OLDEST
    assert draws['total_mass'].min() > 0.0 and np.all(np.isfinite(draws['total_mass']))
    for name in ('black_hole_share', 'dark_share'):
        assert draws[name].min() >= 0.0
    assert draws['dark_share'].max() <= 1.0


def test_conditioning_is_bayes_theorem():
    """A normal posterior and a normal measurement: mean and covariance by the textbook."""
    found = _normal().conditioned({'a': (np.array([1.3]), np.array([0.5]))})
    precision = np.linalg.inv(COVARIANCE) + np.diag([1.0 / 0.25, 0.0])
    covariance = np.linalg.inv(precision)
    mean = covariance @ (np.linalg.inv(COVARIANCE) @ [0.3, -0.2] + [1.3 / 0.25, 0.0])
    np.testing.assert_allclose(found.means[0, 0], mean, rtol=1e-6)
    np.testing.assert_allclose(found.factors[0, 0] @ found.factors[0, 0].T, covariance, rtol=1e-5)


def test_conditioning_a_mixture_is_weighting_its_draws():
    found = _mixture().conditioned({'a': (np.array([-1.5]), np.array([0.4]))})
    draws = _mixture().sample(400000, seed=3)
    weight = np.exp(-0.5 * ((draws['a'][0] + 1.5) / 0.4) ** 2)
    for name in 'ab':
        values = draws[name][0] if name == 'a' else np.log(draws[name][0])
        mine = found.sample(400000, seed=4)[name][0]
        mine = mine if name == 'a' else np.log(mine)
        assert np.mean(mine) == pytest.approx(np.average(values, weights=weight), abs=0.02)
    assert found.weights.sum() == pytest.approx(1.0) and found.weights[0, 0] > 0.5


LENGTHS = (Variable(name='length', scale='logarithm', mean=1.0, sd=0.7),
           Variable(name='far', scale='logarithm', mean=3.0, sd=0.4), Variable(name='other'))
ANGLE = Product('angle', (('length', 1.0), ('far', -1.0)), 206.26)


def _angle(draws):
    return 206.26 * draws['length'][0] / draws['far'][0]


def _lengths():
    rng = np.random.default_rng(5)
    factors = np.tril(rng.normal(size=(1, 2, 3, 3))) + np.eye(3)
    return Posterior.of(LENGTHS, np.array([[0.4, 0.6]]), rng.normal(size=(1, 2, 3)), factors)


def test_the_margin_of_a_product_is_that_of_its_draws():
    draws = _lengths().sample(400000, seed=2)
    found = _lengths().margin(ANGLE).intervals()['angle']
    levels = norm.cdf([0.0, -1.0, 1.0, -2.0, 2.0])
    np.testing.assert_allclose(np.log([found.value[0], *np.ravel(found.ends)]),
                               np.log(np.quantile(_angle(draws), levels)), atol=0.02)


def test_conditioning_on_a_product_is_weighting_draws():
    measured, error = np.log(45.0), 0.3
    found = _lengths().conditioned({ANGLE: (np.array([measured]), np.array([error]))})
    draws = _lengths().sample(1_000_000, seed=3)
    weight = np.exp(-0.5 * ((np.log(_angle(draws)) - measured) / error) ** 2)
    mine = found.sample(400000, seed=4)
    for name in found.names:
        values, own = (each[name][0] if name == 'other' else np.log(each[name][0]) for each in (draws, mine))
        mean = np.average(values, weights=weight)
        assert np.mean(own) == pytest.approx(mean, abs=0.02)
        assert np.var(own) == pytest.approx(np.average((values - mean) ** 2, weights=weight), rel=0.04)


def test_a_product_of_one_scalar_is_that_scalar():
    value, error = np.array([1.7]), np.array([0.3])
    alone = _lengths().conditioned({'far': ((value - 3.0) / 0.4, error / 0.4)})
    product = _lengths().conditioned({Product('same', (('far', 1.0),)): (value, error)})
    np.testing.assert_allclose(product.weights, alone.weights, rtol=1e-9)
    np.testing.assert_allclose(product.means, alone.means, rtol=1e-9)
    np.testing.assert_allclose(product.factors, alone.factors, rtol=1e-9)


def test_what_was_not_measured_changes_nothing():
    nothing = np.array([np.nan])
    for measured in ({}, {'a': (nothing, nothing)}, {Product('c', (('b', 2.0),)): (nothing, nothing)}):
        found = _mixture().conditioned(measured)
        np.testing.assert_allclose(found.weights, _mixture().weights)
        np.testing.assert_allclose(found.means, _mixture().means)
        np.testing.assert_allclose(found.factors, _mixture().factors, atol=1e-6)


def test_the_margin_of_one_scalar_is_that_of_all():
    for posterior in (_normal(), _mixture().stretched([[[1.2, 2.2], [0.9, 2.5]]])):
        alone, found = posterior.margin('b').intervals()['b'], posterior.intervals()['b']
        np.testing.assert_allclose(alone.value, found.value, rtol=1e-9)
        np.testing.assert_allclose(alone.ends, found.ends, rtol=1e-9)


def test_some_maps_are_taken_and_joined():
    both = Posterior.joined([_normal(), _normal(mean=(5.0, 0.0))])
    assert len(both) == 2 and both.names == ('a', 'b')
    assert both[1].intervals()['a'].value[0] == pytest.approx(5.0, abs=1e-3)
    assert len(both[:1]) == 1 and len(both[np.array([1, 0, 1])]) == 3


def test_the_density_of_draws_is_that_of_the_mixture():
    """The joint distribution, not only its margins: by the share of draws inside an ellipse."""
    draws = _normal().sample(100000, seed=9)
    sample = np.stack([draws['a'][0], (np.log(draws['b'][0]) - 2.0) / 0.5], axis=1)
    density = multivariate_normal([0.3, -0.2], COVARIANCE).pdf(sample)
    # the largest density times exp(-1/2) is the contour that holds 1 - exp(-1/2)
    top = multivariate_normal([0.3, -0.2], COVARIANCE).pdf([0.3, -0.2])
    assert np.mean(density > top * np.exp(-0.5)) == pytest.approx(1.0 - np.exp(-0.5), abs=0.01)
