# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What does not belong to a training set, and the network that recognises it."""

import numpy as np
import pytest

from pidoc.grid import MapGrid
from pidoc.inference.features import features
from pidoc.networks.variables import CONSTRAINTS
from pidoc.tests.training_helpers import Maps
from pidoc.training import likeness as module
from pidoc.training.likeness import encodings_of, features_of, learn_likeness
from pidoc.training.settings import Settings
from pidoc.training.validation import learn_domain, measure


def measured(maps, light=None):
    light = maps.light() if light is None else light
    return features(light, sharp=maps.sharp(), seeing=maps.table['seeing'].value,
                    distance=maps.table['distance'].value)


@pytest.fixture(scope='module')
def maps():
    return Maps.make(600, 5)


class Network:
    """Encodes images by two numbers: the logarithm of their light, and the share of it in the left half."""

    def __init__(self, grid, size=2, constraints=()):
        self.grid, self.size, self.constraints = grid, size, constraints

    def encode(self, light):
        light = light[..., 0]
        total = light.sum(axis=(1, 2))
        assert np.all(total > 0.0)
        left = light[:, :, :light.shape[2] // 2].sum(axis=(1, 2)) / total
        return np.stack([20.0 + np.log(total), left], axis=1)[:, :self.size].astype(np.float32)


@pytest.fixture(scope='module')
def blind(maps):
    return Network(maps.grid, size=0)


def test_it_knows_what_has_the_wrong_light_for_its_distance(maps, blind):
    half = np.arange(600) % 2 == 0
    learned = learn_likeness(maps[half], measured(maps[half]), blind, progress=False)
    assert learned.n_encoding == 0
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


def test_it_follows_from_the_seed(maps, blind):
    first, again, other = (learn_likeness(maps, measured(maps), blind, seed=seed).to_dict()
                           for seed in (1, 1, 2))
    assert first == again != other


def test_it_uses_what_the_network_sees(maps):
    """Light that is moved to one side, which no quantity but the offset of the peak shows."""
    half = np.arange(600) % 2 == 0
    network = Network(maps.grid)
    learned = learn_likeness(maps[half], measured(maps[half]), network, progress=False)
    assert learned.n_encoding == 2
    np.testing.assert_allclose(learned.middle[-1], np.log1p(0.5), atol=0.02)
    usual = measured(maps[~half]) | {'encoding': encodings_of(maps[~half], network)}
    scores = learned.scores(learned.inputs(usual))
    beside = usual['encoding'].copy()
    beside[:, 1] = 0.97
    aside = learned.scores(learned.inputs(usual | {'encoding': beside}))
    assert np.mean(aside > np.quantile(scores, 0.975)) > 0.9


@pytest.mark.parametrize('channels', [('light',), ('light', 'sharp')])
def test_quantities_that_a_network_cannot_use_are_not_tested(channels, maps, tmp_path):
    both = {split: maps.split(split) for split in ('train', 'validation')}
    quantities = measure(both, tmp_path, False)
    assert np.isfinite(quantities['train']['age']).all()
    for given in ((), (CONSTRAINTS['age'],)):
        network = Network(Settings(channels=channels).grid(maps.grid), constraints=given)
        domain = learn_domain(both, quantities, network, False)
        assert ('age' in domain['ranges']) == bool(given)
        for names in (domain['ranges'], domain['likeness']['names']):
            assert ('sharp_scatter' in names) == ('sharp' in channels)


def test_altered_maps_are_encoded_too_but_those_without_light(maps):
    def darkened(images, seeing, grid):
        images = images.copy()
        images[:, ::3] *= -1.0
        return images

    some = maps[:30]
    found = features_of(some, darkened, Network(maps.grid))
    light = some.light()[np.arange(30) % 3 > 0].sum(axis=(1, 2))
    np.testing.assert_allclose(found['total_flux'], light, rtol=1e-5)
    np.testing.assert_allclose(found['encoding'][:, 0], 20.0 + np.log(light), rtol=1e-5)


def test_other_light_changes_the_light_only(maps):
    images = np.stack([maps.light(), maps.sharp()])
    altered = module._other_light(images, None, maps.grid, np.random.default_rng(0))
    factor = altered[0].sum(axis=(1, 2)) / images[0].sum(axis=(1, 2))
    bright = np.maximum(factor, 1 / factor)
    assert 5.0 <= bright.min() and bright.max() <= 300.0 and 0.4 < np.mean(factor > 1) < 0.6
    np.testing.assert_allclose(altered, images * factor[:, np.newaxis, np.newaxis], rtol=1e-5)


def test_each_quantity_is_that_of_another_map_and_the_encoding_is_whole():
    usual = {'contrast': np.arange(50.0), 'distance': np.arange(50.0),
             'encoding': np.repeat(np.arange(50.0)[:, np.newaxis], 3, axis=1)}
    mixed = module._mixed(usual, np.random.default_rng(1))
    for name, values in mixed.items():
        np.testing.assert_array_equal(np.sort(values, axis=0), usual[name])
    assert np.mean(mixed['contrast'] == mixed['distance']) < 0.2
    np.testing.assert_array_equal(mixed['encoding'], np.repeat(mixed['encoding'][:, :1], 3, axis=1))


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
