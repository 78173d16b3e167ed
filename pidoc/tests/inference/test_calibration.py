# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Calibration of posteriors."""

import numpy as np
import pytest

from pidoc.inference.calibration import Calibration, given_names, LOW_MASS, subsets
from pidoc.networks.variables import CONSTRAINTS


def test_all_choices_of_what_is_known():
    chosen = subsets(CONSTRAINTS.values())
    assert len(chosen) == 2**7 and chosen[0] == ()
    assert chosen[-1] == ('distance', 'age', 'metallicity', 'velocity_dispersion', 'b_v',
                          'mass_function_slope', 'effective_radius')
    assert [given_names(each) for each in chosen[:3]] == ['image', 'distance', 'age']
    assert given_names(('distance', 'age')) == 'distance+age'


def test_clusters_of_low_mass_are_a_group_of_their_own():
    rng = np.random.default_rng(1)
    mass = 10.0 ** rng.uniform(3.0, 6.0, 40_000)
    low = mass < LOW_MASS
    # too narrow by 3 for those, and by nothing for the others
    scores = np.abs(rng.normal(size=mass.size)) * np.where(low, 3.0, 1.0)
    sharp = np.abs(rng.normal(size=mass.size)) * np.where(low, 0.1, 1.0)
    found = Calibration.fit({'image': {'cluster_mass': scores, 'half_mass_radius': sharp, 'age': scores}},
                            {'image': mass})
    names = ['image'] * 2
    np.testing.assert_allclose(found.at(names, 'cluster_mass', [1e4, 1e5])[0], [3.0, 6.0], rtol=0.03)
    for name in ('cluster_mass', 'half_mass_radius', 'age'):
        factors = found.at(names, name, [1e4, 1e5])
        # without a mass as for most
        np.testing.assert_array_equal(found.at(names, name), factors[[1, 1]])
        assert np.all(factors[0] >= factors[1])
    # never narrower, and only what is of the whole cluster
    for name in ('half_mass_radius', 'age'):
        factors = found.at(names, name, [1e4, 1e5])
        np.testing.assert_array_equal(factors[0], factors[1])
    few = Calibration.fit({'image': {'cluster_mass': scores[:200]}}, {'image': np.full(200, 1e5)})
    assert not few.low_mass and Calibration.fit({'image': {'cluster_mass': scores}}).low_mass == {}


def test_factors_of_low_mass_that_are_none():
    with pytest.raises(ValueError, match=r'factors of cluster_mass .image. must .* received 2 and 1'):
        Calibration({}, {'image': {'cluster_mass': (2, 1)}})
    for limit in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=f'limit of a calibration must be a mass .* received {limit}'):
            Calibration({}, {}, limit)


def test_conformal_quantiles_cover_what_they_promise():
    rng = np.random.default_rng(0)
    # neither normal nor of the width that was claimed
    low, high = Calibration.quantiles(np.abs(rng.laplace(0.0, 3.0, 20000)))
    fresh = np.abs(rng.laplace(0.0, 3.0, 200000))
    assert np.mean(fresh <= low) == pytest.approx(0.6827, abs=0.01)
    assert np.mean(fresh <= high) == pytest.approx(0.9545, abs=0.005)


def test_factors_are_those_of_what_is_known_of_each_map():
    rng = np.random.default_rng(1)
    scores = {given: {'age': np.abs(rng.normal(0.0, width, 50000))}
              for given, width in (('image', 1.0), ('distance', 2.0))}
    calibration = Calibration.fit(scores)
    found = calibration.at(['distance', 'image', 'age'], 'age')
    np.testing.assert_allclose(found, [[2.0, 4.0], [1.0, 2.0], [1.0, 2.0]], rtol=0.02)
    # of what was not measured nothing is changed
    np.testing.assert_array_equal(found[2], [1.0, 2.0])
    np.testing.assert_array_equal(calibration.at(['image'], 'mass_to_light'), [[1.0, 2.0]])


def test_scores_that_are_all_the_same_still_make_an_interval():
    low, high = Calibration.quantiles(np.ones(200))
    assert low == 1.0 < high < 1.001


def test_refuses_too_little_or_impossible():
    with pytest.raises(ValueError, match='at least 100 scores, received 5'):
        Calibration.quantiles(np.ones(5))
    with pytest.raises(ValueError, match='scores of a calibration must be finite, received 1 that are not'):
        Calibration.quantiles(np.append(np.ones(199), np.inf))
    with pytest.raises(ValueError, match=r'the factors of age \(image\) must be positive and increasing'):
        Calibration({'image': {'age': (2.0, 1.0)}})
