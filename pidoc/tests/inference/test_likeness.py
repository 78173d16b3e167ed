# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""`Likeness`: the network that recognises altered maps, and what a domain does with it."""

import json

import numpy as np
import pytest

from pidoc.inference.domain import Domain
from pidoc.inference.flags import decode_flags
from pidoc.inference.likeness import Likeness
from pidoc.tests.inference.test_domain import measured

# The score is 10 (|total_flux| - 1), in standard deviations, plus the contrast if there is a distance.
LAYERS = [(np.array([[10.0, -10.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 100.0]]), np.array([0.0, 0.0, -100.0])),
          (np.array([[1.0], [1.0], [1.0]]), np.array([-10.0]))]


def two(**changes):
    return Likeness(**{'names': ('total_flux', 'contrast'), 'middle': [1.0, 2.0], 'spread': [0.5, 0.1],
                       'layers': LAYERS} | changes)


def maps(flux, contrast, distance):
    return {'total_flux': 10.0 ** np.array(flux), 'contrast': 10.0 ** np.array(contrast),
            'distance': np.array(distance, dtype=float)}


def test_scores():
    likeness = two()
    inputs = likeness.inputs(maps([1.0, 2.0, 0.0, 9.0], [2.0, 2.3, 2.3, 2.0], [np.nan, np.nan, 20.0, 5.0]))
    # standardised, cut at six standard deviations, and whether there is a distance
    np.testing.assert_allclose(inputs, [[0, 0, 0], [2, 3, 0], [-2, 3, 1], [6, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(likeness.scores(inputs), [-10, 10, 13, 50])
    assert likeness.most_unlike(inputs[1:]) == ['total_flux'] * 3
    assert likeness.most_unlike(np.array([[0.0, 3.0, 1.0]])) == ['contrast']


def test_what_is_not_known_is_usual():
    inputs = two().inputs(maps([1.5], [np.nan], [3.0]) | {'contrast': np.array([np.nan])})
    np.testing.assert_allclose(inputs, [[1, 0, 1]])


def test_an_encoding_follows_the_features():
    likeness = two(middle=[1.0, 2.0, np.log(3.0), 0.0], spread=[0.5, 0.1, 2.0, 1.0], layers=[
        (np.array([[1.0], [0.0], [10.0], [100.0], [0.0]]), np.array([0.0]))])
    assert likeness.n_encoding == 2
    measured = maps([2.0, 1.0], [2.0, 2.0], [np.nan, 5.0])
    encoding = np.array([[2.0, 0.0], [3.0 * np.e**4 - 1.0, np.e - 1.0]])
    inputs = likeness.inputs(measured | {'encoding': encoding})
    np.testing.assert_allclose(inputs, [[2, 0, 0, 0, 0], [0, 0, 2, 1, 1]], atol=1e-12)
    np.testing.assert_allclose(likeness.scores(inputs), [2, 120])
    # as a whole
    assert likeness.most_unlike(inputs) == ['total_flux', 'encoding']
    assert Likeness.from_dict(json.loads(json.dumps(likeness.to_dict()))).n_encoding == 2
    for other in ({}, {'encoding': encoding[:, :1]}, {'encoding': None}):
        with pytest.raises(ValueError, match=r'encoding must have the shape \(2, 2\), received \('):
            likeness.inputs(measured | other)


def test_the_file():
    values = json.loads(json.dumps(two(middle=[1 / 3, 2.0]).to_dict()))
    again = Likeness.from_dict(values)
    assert again.to_dict() == values and again.middle[0] == 0.3333
    inputs = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(again.scores(inputs), two().scores(inputs))


@pytest.mark.parametrize('change', [{'names': ('flux_2', 'flux_5', 'noise')}, {'middle': [1.0]},
                                    {'spread': [0.5]}, {'layers': LAYERS[:1]}, {'layers': LAYERS[::-1]}])
def test_shapes_that_do_not_fit(change):
    with pytest.raises(ValueError, match='the layers must lead from at least . quantities, and whether'):
        two(**change)


def test_a_domain_flags_as_many_of_its_own_kind_as_without_and_those_that_are_unlike():
    rng = np.random.default_rng(3)
    training, validation = measured(600, rng), measured(400, rng)
    flux = np.log10(training['total_flux'])
    # altered maps are fainter
    faint = two(names=('total_flux', 'flux_5'), middle=[flux.mean(), 0.0], spread=[flux.std(), 1.0],
                layers=[(np.array([[-1.0], [0.0], [0.0]]), np.array([0.0]))])
    domain = Domain.fit(training, validation, likeness=faint)
    assert set(domain.most_unlike) == {'image', 'distance'}
    new = measured(400, rng)
    assert np.mean([not verdict.inside for verdict in domain.check(new)]) < 0.09
    low = domain.ranges['total_flux'][0]
    unlike = {name: values.copy() for name, values in new.items()}
    unlike['total_flux'][:] = 10.0**low * 1.01       # inside the range, and fainter than nearly all
    for verdict in domain.check(unlike):
        assert 'combination' in decode_flags(verdict.flags)
        assert any('looks less like those of the training than like altered ones' in reason
                   and 'most of all in total_flux' in reason for reason in verdict.reasons)
    again = Domain.from_dict(json.loads(json.dumps(domain.to_dict())))
    assert again.check(unlike) == domain.check(unlike)


def test_a_domain_says_that_the_pattern_of_light_is_unlike():
    rng = np.random.default_rng(5)
    likeness = two(middle=[0.0, 0.0, 0.5], spread=[1.0, 1.0, 0.1], layers=[
        (np.array([[0.0], [0.0], [1.0], [0.0]]), np.array([0.0]))])
    training, validation, new = measured(600, rng), measured(400, rng), measured(400, rng)
    usual = {'encoding': np.expm1(rng.normal(0.5, 0.1, (400, 1)))}
    domain = Domain.fit(training, validation | usual, likeness=likeness)
    share = np.mean([not verdict.inside for verdict in domain.check(new | usual)])
    assert 0.01 < share < 0.09
    for verdict in domain.check(new | {'encoding': np.full((400, 1), np.expm1(0.9))}):
        assert any(reason.endswith('most of all in its pattern of light') for reason in verdict.reasons)
    with pytest.raises(ValueError, match='encoding must have the shape'):
        domain.check(new)


def test_a_damaged_network_in_a_file():
    rng = np.random.default_rng(4)
    values = Domain.fit(measured(60, rng), measured(60, rng), likeness=two()).to_dict()
    more = values['likeness'] | {'names': ['contrast', 'noise', 'offset']}
    for change in ({'likeness': {}}, {'likeness': more}, {'most_unlike': 3}):
        with pytest.raises(ValueError, match='a domain must have '):
            Domain.from_dict(values | change)
