# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The packaged models: whole, described, and saying what they said when they were packaged."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u

from pidoc import MassMapper
from pidoc.grid import MapGrid
from pidoc.image.light import Light
from pidoc.inference.domain import Domain
from pidoc.inference.estimator import Estimator
from pidoc.inference.folder import read_card
from pidoc.mock.mock import Mock
from pidoc.prediction.mapper import _MODELS, pretrained_models
from pidoc.scripts.pidoc_predict import EXAMPLE
from pidoc.training.model_card import card_text

# what each said of the example when it was packaged: mass in the field [Msun], M/L_V, age [Gyr], distance
# [kpc], medians of the posterior; first from the image only, then with the true distance of 20 kpc
STORED = {
    'default': ((3631.22, 1.24707, 9.69454, 23.2443), (3090.62, 1.57197, 11.3218, 20.1377)),
    'paper-range': ((2861.75, 1.54314, 11.3525, 19.7680), (2939.76, 1.55036, 11.1012, 19.9419)),
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


def test_the_truth_of_the_example_lies_in_the_95_percent_intervals(mapper, example):
    if mapper.name == 'paper-range':
        pytest.skip('it learned from another version of the physics: such a cluster kept more of its mass')
    everything = {'distance': example.distance, 'age': example.age, 'metallicity': -1.34}
    for known in ({}, {'distance': example.distance}, everything):
        prediction = mapper.predict(example, **known)
        assert prediction.in_domain, prediction.reasons
        for measured, truth in ((prediction.total_mass, example.total_mass), (prediction.age, example.age)):
            assert measured.low_95 < truth < measured.high_95


def test_what_is_known_narrows_the_mass(example):
    mapper = MassMapper.from_pretrained()
    known, widths = {}, []
    for name, value in (('distance', example.distance), ('age', example.age), ('metallicity', -1.34)):
        found = mapper.predict(example, **known).total_mass
        widths.append(float(found.error / found))
        known[name] = value
    assert widths[0] > 1.3 * widths[1] and widths[1] > widths[2]


def test_a_map_brighter_than_any_cluster_is_outside(mapper, example):
    bright = Light(1e5 * example.light.data, unit=example.light.unit, wcs=example.light.wcs,
                   meta=dict(example.light.meta), sharp=1e5 * example.sharp.data)
    assert not mapper.predict(bright, distance=example.distance).in_domain


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
