# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What does not belong to a training set, and the network that recognises it."""

import numpy as np
import pytest

from pidoc.grid import MapGrid
from pidoc.inference.features import features
from pidoc.tests.training_helpers import Maps
from pidoc.training import likeness as module
from pidoc.training.likeness import learn_likeness


def measured(maps, light=None):
    light = maps.light() if light is None else light
    return features(light, sharp=maps.sharp(), seeing=maps.table['seeing'].value,
                    distance=maps.table['distance'].value)


@pytest.fixture(scope='module')
def maps():
    return Maps.make(600, 5)


def test_it_knows_what_has_the_wrong_light_for_its_distance(maps):
    half = np.arange(600) % 2 == 0
    learned = learn_likeness(maps[half], measured(maps[half]), progress=False)
    assert 'distance' in learned.names and 'flux_5' in learned.names
    new = maps[~half]

    def scores(factor):
        found = measured(new)
        found |= {name: factor * found[name] for name in ('total_flux', 'noise')}
        return learned.scores(learned.inputs(found))

    limit = np.quantile(scores(1.0), 0.975)
    # luminosities differ by 30 %, and distances are known
    for factor in (30.0, 1 / 30.0):
        assert np.mean(scores(factor) > limit) > 0.9, factor


def test_it_follows_from_the_seed(maps):
    first, again, other = (learn_likeness(maps, measured(maps), seed=seed).to_dict() for seed in (1, 1, 2))
    assert first == again != other


def test_other_light_changes_fluxes_only(maps):
    usual = measured(maps)
    altered = module._other_light(usual, np.random.default_rng(0))
    factor = altered['total_flux'] / usual['total_flux']
    bright = np.maximum(factor, 1 / factor)
    assert 5.0 <= bright.min() and bright.max() <= 300.0 and 0.4 < np.mean(factor > 1) < 0.6
    np.testing.assert_allclose(altered['noise'], factor * usual['noise'])
    assert altered['contrast'] is usual['contrast']


def test_a_second_cluster_has_its_light_and_its_place():
    grid = MapGrid(shape=(160, 160))
    images = np.zeros((2, 40, 160, 160))
    images[:, np.arange(40), 80, 80] = np.arange(1.0, 41.0)
    both = module._two_clusters(images, None, grid, np.random.default_rng(1))
    assert np.all(both[:, np.arange(40), 80, 80] == images[:, np.arange(40), 80, 80])
    for image, light in zip(both[1], range(1, 41), strict=True):
        (y, x), = set(zip(*np.nonzero(image), strict=True)) - {(80, 80)}
        assert 5.5 < np.hypot(y - 80, x - 80) * 0.25 < 16.5
        assert 0.2 <= image[y, x] / light <= 5.0
    assert images.sum() == 2 * np.arange(1, 41).sum()       # left as they were


def test_stars_without_a_cluster():
    grid = MapGrid(shape=(160, 160))
    rng = np.random.default_rng(2)
    smoothed, sharp = module._only_stars(np.zeros((2, 30, 160, 160)), np.full(30, 1.0), grid, rng)
    assert np.all(smoothed.sum(axis=(1, 2)) > 0)
    np.testing.assert_allclose(smoothed.mean(), sharp.mean(), rtol=0.05)
    # no place is preferred
    y, x = np.unravel_index(sharp.reshape(30, -1).argmax(axis=1), (160, 160))
    assert np.std(y) > 30 and np.std(x) > 30
