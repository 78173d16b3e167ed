# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Ranks and expected coverage of posteriors that are calibrated, too narrow, or wrong together."""

import numpy as np
import pytest

from pidoc.evaluation.coverage import coverage_table, expected_coverage, simulation_ranks
from pidoc.inference.posterior import Posterior
from pidoc.networks.variables import Variable
from pidoc.plotting.coverage import plot_coverage

VARIABLES = Variable(name='a'), Variable(name='b')
COVARIANCE = np.array([[1.0, 0.9], [0.9, 1.0]])
NUMBER = 600


def _posterior(width=1.0, covariance=COVARIANCE):
    """Posteriors about means that scatter, and truths that are drawn from those of width 1."""
    rng = np.random.default_rng(1)
    means = rng.normal(size=(NUMBER, 2)) * 2.0
    truth = means + rng.multivariate_normal([0.0, 0.0], COVARIANCE, NUMBER)
    factor = width * np.linalg.cholesky(covariance)
    posterior = Posterior.of(VARIABLES, np.ones((NUMBER, 1)), means[:, np.newaxis],
                             np.tile(factor, (NUMBER, 1, 1, 1)))
    return posterior, dict(zip('ab', truth.T, strict=True))


def _largest(values):
    return coverage_table({'x': values})['largest'][0]


def test_ranks_of_a_calibrated_posterior_are_uniform():
    posterior, truth = _posterior()
    for values in simulation_ranks(posterior, truth).values():
        assert values.mean() == pytest.approx(0.5, abs=0.04) and _largest(values) < 0.06
    assert _largest(expected_coverage(posterior, truth)) < 0.07


def test_a_posterior_that_is_too_narrow_has_ranks_at_the_ends():
    posterior, truth = _posterior(width=0.4)
    assert all(_largest(values) > 0.15 for values in simulation_ranks(posterior, truth).values())
    assert _largest(expected_coverage(posterior, truth)) > 0.12
    # stretched by what it is too narrow it is calibrated again
    wide = posterior.stretched(np.tile([2.5, 5.0], (NUMBER, 2, 1)))
    assert all(_largest(values) < 0.06 for values in simulation_ranks(wide, truth).values())


def test_margins_may_be_right_where_the_joint_posterior_is_not():
    posterior, truth = _posterior(covariance=np.array([[1.0, -0.9], [-0.9, 1.0]]))
    assert all(_largest(values) < 0.06 for values in simulation_ranks(posterior, truth).values())
    assert _largest(expected_coverage(posterior, truth)) > 0.08


def test_what_is_not_known_is_left_out():
    posterior, truth = _posterior()
    ranks = simulation_ranks(posterior, {'a': truth['a']})
    assert np.all(np.isnan(ranks['b'])) and np.all(np.isfinite(ranks['a']))
    table = coverage_table(ranks)
    assert list(table['quantity']) == ['a'] and table['n'][0] == NUMBER


def test_the_figure_has_a_panel_for_each_and_a_line_for_each_quantity():
    posterior, truth = _posterior()
    joint = {'joint': expected_coverage(posterior, truth)}
    table = coverage_table(simulation_ranks(posterior, truth) | joint)
    figure = plot_coverage({'image': table, 'distance+age': table})
    assert [axis.get_title() for axis in figure.axes] == ['image', 'distance, age']
    assert len(figure.axes[0].lines) == 4
