# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Mixtures as networks describe them, beside scipy's normal distributions."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from pidoc.networks.losses import MixtureNLL
from pidoc.networks.mixture import Layout, LIMITS

CASES = [(1, 1, 'diagonal'), (4, 1, 'diagonal'), (4, 1, 'full'), (3, 2, 'full'), (5, 3, 'diagonal')]


def _output(layout, number=6, seed=1):
    return np.random.default_rng(seed).normal(0.0, 0.7, (number, layout.size)).astype(np.float32)


@pytest.mark.parametrize('case', CASES, ids=str)
def test_the_loss_is_the_likelihood_of_the_mixture(case):
    layout = Layout(*case)
    output = _output(layout)
    true = np.random.default_rng(2).normal(size=(len(output), layout.variables)).astype(np.float32)
    weights, means, factors = layout.mixture(output)
    expected = []
    for k, truth in enumerate(true):
        each = [np.log(weights[k, c])
                + multivariate_normal(means[k, c], factors[k, c] @ factors[k, c].T).logpdf(truth)
                for c in range(layout.components)]
        # constants are left out
        expected.append(-(logsumexp(each) + 0.5 * layout.variables * np.log(2.0 * np.pi)) / layout.variables)
    loss = MixtureNLL(*case, reduction=None)
    np.testing.assert_allclose(np.asarray(loss(true, output)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('case', CASES, ids=str)
def test_factors_are_lower_triangular_and_weights_add_up(case):
    layout = Layout(*case)
    weights, means, factors = layout.mixture(_output(layout))
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert means.shape == (6, layout.components, layout.variables)
    np.testing.assert_allclose(np.triu(factors, 1), 0.0, atol=1e-12)
    assert np.all(np.diagonal(factors, axis1=-2, axis2=-1) > 0.0)


def test_one_diagonal_component_is_means_and_widths():
    layout = Layout(3)
    assert layout.size == 6
    weights, means, factors = layout.mixture(np.array([[1.0, 2.0, 3.0, 0.0, np.log(2.0), -99.0]]))
    np.testing.assert_allclose(means, [[[1.0, 2.0, 3.0]]])
    np.testing.assert_allclose(np.diagonal(factors[0, 0]), [1.0, 2.0, np.exp(LIMITS[0])])
    assert weights == 1.0


def test_training_on_correlated_numbers_finds_their_covariance():
    """The loss has its minimum where it should: a mixture without input is fitted by gradient descent."""
    from pidoc.networks.backend import keras, ops

    covariance = np.array([[1.0, 0.7], [0.7, 0.8]])
    sample = np.random.default_rng(3).multivariate_normal([0.5, -1.0], covariance, 4000).astype(np.float32)
    inputs = keras.Input((1,))
    network = keras.Model(inputs, keras.layers.Dense(Layout(2, 1, 'full').size, use_bias=True)(inputs))
    network.compile(optimizer=keras.optimizers.Adam(0.05), loss=MixtureNLL(2, 1, 'full'))
    nothing = np.zeros((len(sample), 1), dtype=np.float32)
    for _ in range(250):
        network.train_on_batch(nothing, sample)
    _, means, factors = Layout(2, 1, 'full').mixture(ops.convert_to_numpy(network(nothing[:1])))
    np.testing.assert_allclose(means[0, 0], sample.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(factors[0, 0] @ factors[0, 0].T, np.cov(sample.T), atol=0.03)


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="covariance must be one of diagonal, full, received 'round'"):
        Layout(3, 1, 'round')
    loss = MixtureNLL(3, 2)
    with pytest.raises(ValueError, match='must have 20 numbers for 3 variables, received 19 for 3'):
        loss(np.zeros((2, 3)), np.zeros((2, 19)))


def test_the_loss_comes_back_from_its_config():
    loss = MixtureNLL(3, 2, 'diagonal')
    again = MixtureNLL.from_config(loss.get_config())
    assert again.layout.size == loss.layout.size == 14
