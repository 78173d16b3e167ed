# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Estimates without a network find what they are made to find."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from pidoc import ClusterModel, Snapshot
from pidoc.cluster.population import population_mass_to_light
from pidoc.evaluation.envelope import Envelope, KNOWN_ERRORS, known_of, observed
from pidoc.grid import MapGrid
from pidoc.simulation.initial import initial_conditions

GRID = MapGrid.of_field(20 * u.arcsec, pixel_scale=1 * u.arcsec)


class Lawful:
    """Maps of Gaussian light whose M/L follows a law of five coefficients."""

    grid = GRID
    law = np.array([-0.6, 0.5, 0.1, 0.15, -0.05, 0.2])

    def __init__(self, number=300, youngest=5.5, seed=0):
        rng = np.random.default_rng(seed)
        self.size = rng.uniform(1.5, 4.0, number)        # arcsec
        distance, age = rng.uniform(5, 30, number), rng.uniform(youngest, 13.5, number)
        metallicity = 10.0 ** rng.uniform(-3.9, -2.0, number)
        luminosity = 10.0 ** rng.uniform(4, 5.5, number)
        y, x = np.indices(GRID.shape) - 9.5
        profile = np.exp(-0.5 * (x**2 + y**2) / self.size[:, None, None] ** 2)
        profile /= profile.sum(axis=(1, 2), keepdims=True)
        self._light = profile * (luminosity / (4 * np.pi * distance**2))[:, None, None]
        self.table = QTable({'distance': distance * u.kpc, 'age': age * u.Gyr, 'metallicity': metallicity,
                             'luminosity': luminosity * u.Lsun})
        half = np.radians(observed(self._light, GRID.scale)[1] / 3600) * 1e3 * distance
        iron = known_of(self.table, errors={})['iron']
        t = np.log(age)
        terms = np.stack([np.ones(number), t, t**2, np.log(half), np.log(distance), iron], axis=1)
        self.pixel_scales = np.full(number, GRID.scale)
        self.table['mass'] = np.exp(terms @ self.law) * luminosity * u.Msun

    def light(self, rows=slice(None)):
        return self._light[rows]


def test_the_light_and_where_half_of_it_is():
    maps = Lawful(40)
    flux, half = observed(maps.light(), GRID.scale)
    luminosity = 4 * np.pi * maps.table['distance'].value ** 2 * flux
    np.testing.assert_allclose(luminosity, maps.table['luminosity'].value)
    # a Gaussian has half of its light within 1.177 sigma; radii are counted in pixels of 1 arcsec
    np.testing.assert_allclose(half, 1.177 * maps.size, rtol=0.15)


def test_a_regression_finds_the_law():
    maps = Lawful()
    envelope = Envelope.fit(maps)
    other = Lawful(50, seed=1)
    found = envelope.masses(*observed(other.light(), GRID.scale), known_of(other.table, errors={}))
    np.testing.assert_allclose(found['regression'], other.table['mass'].value, rtol=1e-6)
    np.testing.assert_allclose(found['ml2'], 2 * other.table['luminosity'].value, rtol=1e-6)
    # no dispersions in this set
    assert set(found) == {'ml2', 'population', 'regression'}


def test_young_clusters_are_fitted_only_where_there_are_few_old_ones():
    mixed = Lawful(400, youngest=0.2)
    old = mixed.table['age'] > 5 * u.Gyr
    # what a law of old clusters does not hold for
    mixed.table['mass'][~old] *= 10
    np.testing.assert_allclose(Envelope.fit(mixed).coefficients, Lawful.law, atol=1e-6)
    few = Lawful(60, youngest=0.2)
    np.testing.assert_allclose(Envelope.fit(few).coefficients, Lawful.law, atol=1e-6)


def test_populations_are_those_of_the_age_and_metallicity():
    maps = Lawful(20)
    known = known_of(maps.table, errors={})
    ratio = Envelope(None).masses(*observed(maps.light(), GRID.scale), known)['population'] / maps.table[
        'luminosity'].value
    for k in range(0, 20, 5):
        own = population_mass_to_light(maps.table['age'][k], maps.table['metallicity'][k])
        assert ratio[k] == pytest.approx(own.value, rel=0.1)


def test_a_virial_estimate_is_that_of_a_plummer_model():
    """From the dispersion of all stars that are seen within a quarter of the half-light radius."""
    model = ClusterModel(n_stars=20000, imf='equal', half_mass_radius=3 * u.pc, galaxy=None)
    start = initial_conditions(model)
    snapshot = Snapshot({'radius': start.radius * u.pc, 'v_r': start.v_r * u.km / u.s,
                         'v_t': start.v_t * u.km / u.s, 'mass': start.mass * u.Msun,
                         'luminosity': start.mass * u.Lsun, 'temperature': np.full(20000, 5772.0) * u.K},
                        1 * u.Gyr)
    light, distance, radius = snapshot.v_luminosity.value, 10.0, snapshot.projected_half_light_radius
    known = {'distance': np.array([distance]), 'age': np.array([1.0]), 'luminosity': np.array([light]),
             'dispersion': snapshot.velocity_dispersion(radius / 4, faintest=None).value[None],
             'radius': radius.value[None]}
    flux = np.array([light / (4 * np.pi * distance**2)])
    (mass,) = Envelope(None).masses(flux, np.array([5.0]), known)['virial']
    assert mass == pytest.approx(20000, rel=0.08)


def test_what_is_known_has_the_errors_that_are_said():
    number = 4000
    table = QTable({'distance': np.full(number, 10.0) * u.kpc, 'age': np.full(number, 10.0) * u.Gyr,
                    'metallicity': np.full(number, 0.002),
                    'central_dispersion': np.full(number, 5.0) * u.km / u.s,
                    'cluster_half_light_radius': np.full(number, 3.0) * u.pc,
                    'cluster_luminosity': np.full(number, 1e5) * u.Lsun})
    known, again, exact = known_of(table, seed=1), known_of(table, seed=1), known_of(table, errors={})
    assert np.std(np.log(known['distance'])) == pytest.approx(KNOWN_ERRORS['distance'], rel=0.05)
    assert np.std(np.log(known['dispersion'])) == pytest.approx(KNOWN_ERRORS['dispersion'], rel=0.05)
    assert np.std(known['age']) == pytest.approx(KNOWN_ERRORS['age'], rel=0.05)
    assert np.std(known['iron']) == pytest.approx(KNOWN_ERRORS['iron'], rel=0.05)
    np.testing.assert_array_equal(known['age'], again['age'])
    assert np.all(exact['age'] == 10.0) and np.all(known['radius'] == 3.0)


def test_known_ages_stay_possible():
    table = QTable({'distance': np.full(500, 10.0) * u.kpc, 'age': np.full(500, 13.9) * u.Gyr})
    assert known_of(table)['age'].max() == 14.0 and 'iron' not in known_of(table)
