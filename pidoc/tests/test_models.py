# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The packaged models: whole, described, and saying what they said when they were packaged."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u

from pidoc import MassMapper
from pidoc.cluster.population import population_mass_to_light
from pidoc.grid import MapGrid
from pidoc.image.light import Light
from pidoc.inference.domain import Domain
from pidoc.inference.estimator import Estimator
from pidoc.inference.folder import read_card
from pidoc.mock.mock import Mock
from pidoc.photometry import iron_abundance
from pidoc.prediction.mapper import _MODELS, pretrained_models
from pidoc.scripts.pidoc_predict import EXAMPLE
from pidoc.training.model_card import card_text

# what each said of the example when it was packaged: mass in the field [Msun], M/L_V, age [Gyr], distance
# [kpc], medians of the posterior; first from the image only, then with the true distance of 20 kpc
STORED = {
    'default': ((42413.2, 1.25696, 10.0478, 22.4073), (39316.2, 1.35920, 10.6914, 20.0088)),
    'paper-range': ((4839.24, 0.213072, 1.01952, 17.8779), (5502.54, 0.190098, 0.774066, 19.6771)),
}


@pytest.fixture(scope='module', params=sorted(STORED))
def mapper(request):
    return MassMapper.from_pretrained(request.param)


@pytest.fixture(scope='module')
def example():
    return Mock.read(EXAMPLE)


def _numbers(prediction):
    units = (u.Msun, u.Msun / u.Lsun, u.Gyr, u.kpc)
    measured = (prediction.total_mass, prediction.mass_to_light, prediction.age, prediction.distance)
    return [each.to_value(unit) for each, unit in zip(measured, units, strict=True)]


def test_every_packaged_model_has_stored_numbers():
    assert pretrained_models() == sorted(STORED)


def test_predictions_are_those_of_the_day_of_packaging(mapper, example):
    image, given = STORED[mapper.name]
    np.testing.assert_allclose(_numbers(mapper.predict(example)), image, rtol=2e-3)
    np.testing.assert_allclose(_numbers(mapper.predict(example, distance=20 * u.kpc)), given, rtol=2e-3)


@pytest.mark.parametrize('names', [(), ('distance',), ('distance', 'age', 'metallicity'),
                                   ('distance', 'velocity_dispersion', 'dispersion_radius')])
def test_the_truth_of_the_example_lies_in_the_95_percent_intervals(names, example):
    """`paper-range` knows clusters of 50,000 stars only, and the example has ten times as many."""
    # pidoc/data/README.rst
    known = {'distance': example.distance, 'age': example.age, 'metallicity': -1.58,
             'velocity_dispersion': 4.5 * u.km / u.s, 'dispersion_radius': 20 * u.arcsec}
    prediction = MassMapper.from_pretrained().predict(example, **{name: known[name] for name in names})
    assert prediction.in_domain, prediction.reasons
    for measured, truth in ((prediction.total_mass, example.total_mass), (prediction.age, example.age),
                            (prediction.mass_to_light, example.mass_to_light)):
        assert measured.low_95 < truth < measured.high_95


def test_what_is_known_narrows_the_mass(example):
    known = {'distance': example.distance}
    dispersion = {'velocity_dispersion': 4.5 * u.km / u.s, 'dispersion_radius': 20 * u.arcsec}
    found = [MassMapper.from_pretrained().predict(example, **each).total_mass
             for each in ({}, known, known | dispersion)]
    free, given, moving = (float(each.error / each) for each in found)
    assert free > 1.2 * given > 1.2 * 2.0 * moving


def test_a_known_radius_narrows_the_mass_of_the_cluster(example):
    """The field holds a fifth of the mass: how much is outside, an image does not show."""
    known = {'distance': example.distance, 'age': example.age, 'metallicity': -1.58}
    mapper = MassMapper.from_pretrained()
    # the true one of the cluster, in which 201,451 solar masses are left
    free, given = (mapper.predict(example, **known, **more) for more in (
        {}, {'effective_radius': 46 * u.arcsec}))
    assert float(given.cluster_mass.error / given.cluster_mass) < 0.85 * float(
        free.cluster_mass.error / free.cluster_mass)
    assert given.cluster_mass.to_value(u.Msun) == pytest.approx(201451, rel=0.06)
    assert free.cluster_mass.to_value(u.Msun) < 0.85 * 201451
    assert float(given.total_mass / free.total_mass) == pytest.approx(1.0, abs=0.02)
    assert given.known_texts()['effective_radius'] == '46 ± 4.6 arcsec, given'
    assert given.in_domain and 'effective_radius' in str(given.row_values()['given'])


@pytest.mark.parametrize('changes', [{'metallicity': 1e-4}, {'metallicity': 0.01}, {'age': 9 * u.Gyr},
                                     {'age': 13.5 * u.Gyr}], ids=str)
def test_masses_follow_what_is_known_as_those_of_populations(changes, example):
    """For the same light. M/L is no linear function of [Fe/H] and age, as it is in a normal distribution."""
    def mass(age, metallicity):
        iron = float(iron_abundance(metallicity))
        return mapper.predict(example, distance=example.distance, age=age, age_error=0.2 * u.Gyr,
                              metallicity=iron, metallicity_error=0.05).total_mass

    mapper, own = MassMapper.from_pretrained(), {'age': 12 * u.Gyr, 'metallicity': 0.00057}
    found, expected = ((function(**own | changes) / function(**own)).value
                       for function in (mass, population_mass_to_light))
    assert float(found) == pytest.approx(float(expected), rel=0.06)


def test_a_map_brighter_than_any_cluster_is_outside(mapper, example):
    bright = Light(1e5 * example.light.data, unit=example.light.unit, wcs=example.light.wcs,
                   meta=dict(example.light.meta), sharp=1e5 * example.sharp.data)
    assert not mapper.predict(bright, distance=example.distance).in_domain


def test_a_prediction_without_age_and_dispersion_says_what_that_means(mapper, example):
    """`paper-range` knows clusters of one richness: it cannot be given a dispersion."""
    summary = mapper.predict(example, distance='20 kpc').summary()
    noted = 'neither age nor velocity dispersion is given' in summary
    assert noted == (mapper.name == 'default')
    assert ('comparison with the paper' in summary) == (mapper.name == 'paper-range')
    if noted:
        for known in ({'age': 12 * u.Gyr}, {'velocity_dispersion': 4.5 * u.km / u.s,
                                            'dispersion_radius': 20 * u.arcsec}):
            assert 'neither age' not in mapper.predict(example, **known).summary()


@pytest.mark.parametrize('name', sorted(STORED))
def test_cards_are_those_of_the_models(name):
    card = read_card(_MODELS / name)
    assert card['about']['name'] == name
    assert (_MODELS / name / 'CARD.rst').read_text(encoding='utf-8') == card_text(
        card['about'], sha256=card['sha256'])
    assert card['about']['scores']['rows'] and Domain.from_dict(card['about']['domain'])


def test_packaged_models_are_small():
    assert sum(path.stat().st_size for path in _MODELS.rglob('*') if path.is_file()) < 12e6


@pytest.mark.parametrize('name', sorted(STORED))
def test_they_have_the_shape_of_the_grid(name):
    grid = Estimator.load(_MODELS / name).grid
    assert replace(grid, channels=MapGrid().channels) == MapGrid() and grid.band == 'V'
