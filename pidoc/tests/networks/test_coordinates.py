# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Coordinates of a mixture: the ties of physics, and what is left over."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pidoc.networks.coordinates import Coordinates, TIES
from pidoc.networks.scaling import Scaling
from pidoc.networks.variables import OUTPUTS

NAMES = 'total_mass', 'mass_to_light', 'half_light_radius', 'age', 'distance'


@pytest.fixture(scope='module')
def clusters():
    """Scalars of clusters that obey the ties, and ln of their flux."""
    rng = np.random.default_rng(0)
    distance, ratio = 10.0 ** rng.uniform(0.5, 2.0, 500), 10.0 ** rng.normal(0.2, 0.1, 500)
    flux = 10.0 ** rng.normal(1.0, 0.5, 500)
    scalars = {'total_mass': 4.0 * np.pi * distance**2 * flux * ratio, 'mass_to_light': ratio,
               'half_light_radius': distance * 10.0 ** rng.normal(-0.6, 0.2, 500),
               'age': 14.0 / (1.0 + 10.0 ** rng.normal(-0.5, 0.3, 500)), 'distance': distance}
    variables = [OUTPUTS[name].fitted(scalars[name]) for name in NAMES]
    standardised = np.stack([each.standardised(scalars[each.name]) for each in variables], axis=1)
    return variables, standardised, np.log(flux)


def test_coordinates_of_the_training_set_are_uncorrelated(clusters):
    variables, standardised, log_flux = clusters
    found = Coordinates.fit(variables, standardised, log_flux).of(standardised, log_flux)
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-9)
    # the first, what is left of the field mass, is the same for all
    np.testing.assert_allclose(np.cov(found[:, 1:].T), np.eye(4), atol=1e-6)
    np.testing.assert_allclose(found[:, 0], 0.0, atol=1e-6)


def test_the_distance_moves_masses_and_radii_but_not_what_is_left_of_them(clusters):
    variables, standardised, log_flux = clusters
    coordinates = Coordinates.fit(variables, standardised, log_flux)
    step = np.zeros((1, len(NAMES)))
    for name, exponent in (('distance', 1.0), ('total_mass', 2.0), ('half_light_radius', 1.0)):
        j = NAMES.index(name)
        step[:, j] = exponent * np.log(1.5) / variables[j].sd
    moved = coordinates.of(standardised + step, log_flux) - coordinates.of(standardised, log_flux)
    alone = np.array(coordinates.matrix)[NAMES.index('distance'), NAMES.index('distance')]
    # the distance is the last scalar: its coordinate has no other in it
    np.testing.assert_allclose(moved[:, -1], np.log(1.5) / variables[-1].sd * alone)
    brighter = coordinates.of(standardised + step * 0.0, log_flux + 0.3)
    step = np.zeros((1, len(NAMES)))
    step[:, 0] = 0.3 / variables[0].sd
    np.testing.assert_allclose(coordinates.of(standardised - step, log_flux), brighter)


def test_normal_distributions_come_back(clusters):
    variables, standardised, log_flux = clusters
    coordinates = Coordinates.fit(variables, standardised, log_flux)
    rng = np.random.default_rng(1)
    means, factors = rng.normal(size=(500, 2, 5)), rng.normal(size=(500, 2, 5, 5))
    back, spread = coordinates.back(means, factors, log_flux)
    normal = rng.normal(size=5)
    draws = back + spread @ normal
    for k in range(2):
        np.testing.assert_allclose(coordinates.of(draws[:, k], log_flux), (means + factors @ normal)[:, k],
                                   atol=1e-6)


def test_with_the_distance_known_the_mass_is_the_light_times_the_ratio(clusters):
    variables, standardised, log_flux = clusters
    coordinates = Coordinates.fit(variables, standardised, log_flux)
    # a network that has learned nothing: the standard normal distribution
    means, factors = coordinates.back(np.zeros((500, 1, 5)), np.tile(np.eye(5), (500, 1, 1, 1)), log_flux)
    covariance = factors @ np.swapaxes(factors, -1, -2)
    known = [NAMES.index(name) for name in ('mass_to_light', 'distance')]
    off = (standardised[:, np.newaxis] - means)[..., known]
    gain = covariance[:, :, 0][..., known] @ np.linalg.inv(covariance[:, :, known][..., known])
    mass = means[..., 0] + np.sum(gain[:, 0] * off, axis=-1)
    np.testing.assert_allclose(mass[:, 0], standardised[:, 0], atol=1e-3)


def test_ties_are_of_known_scalars_on_a_logarithmic_scale(clusters):
    variables, standardised, log_flux = clusters
    assert set(TIES) <= set(OUTPUTS)
    linear = [replace(each, scale='linear') if each.name == 'distance' else each for each in variables]
    assert Coordinates.fit(linear, standardised, log_flux).flux == (0.0,) * 5
    only = Coordinates.fit(variables[3:4], standardised[:, 3:4], log_flux)
    np.testing.assert_allclose(only.of(standardised[:, 3:4], log_flux), standardised[:, 3:4], atol=0.01)


def test_a_scalar_that_is_the_same_in_all_maps_is_accepted(clusters):
    variables, standardised, log_flux = clusters
    standardised = standardised.copy()
    standardised[:, 3] = 0.0
    found = Coordinates.fit(variables, standardised, log_flux).of(standardised, log_flux)
    assert np.all(np.isfinite(found)) and np.abs(found[:, 3]).max() < 1e-6


def test_fewer_maps_than_scalars_are_enough(clusters):
    variables, standardised, log_flux = clusters
    few = Coordinates.fit(variables, standardised[:3], log_flux[:3])
    assert np.all(np.isfinite(few.of(standardised, log_flux)))


def test_coordinates_are_stored_with_the_scaling(clusters):
    variables, standardised, log_flux = clusters
    scaling = Scaling(outputs=variables, coordinates=Coordinates.fit(variables, standardised, log_flux))
    assert Scaling.from_dict(json.loads(json.dumps(scaling.to_dict()))) == scaling


@pytest.mark.parametrize(('matrix', 'flux', 'message'), [
    ([[1.0, 0.0]], [0.0, 0.0], r'a square matrix .*received shapes \(1, 2\)'),
    (np.eye(2), [0.0], r'two vectors of its size, received shapes \(2, 2\), \(1,\), \(2,\)'),
    ([[1.0, np.nan], [0.0, 1.0]], [0.0, 0.0], 'finite numbers'),
    (np.eye(2), [0.0, np.inf], 'finite numbers'),
    (np.ones((2, 2)), [0.0, 0.0], 'an inverse, received one of rank 1 for 2 scalars'),
])
def test_refuses_impossible_coordinates(matrix, flux, message):
    with pytest.raises(ValueError, match=message):
        Coordinates(matrix, flux, [0.0, 0.0])
