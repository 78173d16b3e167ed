# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What networks see of maps in a training."""

import numpy as np
import pytest

from pidoc.networks.scaling import Scaling
from pidoc.networks.variables import CONSTRAINTS
from pidoc.tests.training_helpers import Maps
from pidoc.training.checks import selected
from pidoc.training.data import augmented, conditioned, digest_of, in_blocks
from pidoc.training.likeness import features_of
from pidoc.training.loop import Means
from pidoc.training.settings import Settings


def test_each_constraint_is_given_for_a_share_of_the_maps_and_sometimes_none_or_all():
    number = 40000
    scaling = Scaling(constraints=tuple(CONSTRAINTS[name] for name in ('distance', 'metallicity', 'seeing')))
    truths = {'distance': np.full(number, 30.0), 'metallicity': np.full(number, -1.0),
              'seeing': np.full(number, 0.9)}
    code = conditioned(np.random.default_rng(0), truths, scaling, 0.5)
    distance, metallicity, seeing = (code[:, k] == 1.0 for k in (0, 3, 6))
    # an eighth with nothing, an eighth with everything, half of the rest
    assert distance.mean() == pytest.approx(0.5, abs=0.01)
    assert np.mean(distance & metallicity) == pytest.approx(0.125 + 0.25 * 0.75, abs=0.01)
    assert np.mean(~distance & ~metallicity) == pytest.approx(0.125 + 0.25 * 0.75, abs=0.01)
    assert seeing.mean() == pytest.approx(0.9, abs=0.01)
    assert np.all(code[~distance, :3] == 0.0) and np.all(code[~metallicity, 3:6] == 0.0)
    # values scatter by the errors that are given
    error = np.sqrt(0.005 * 0.2) * np.exp(code[distance, 2])
    pulls = (code[distance, 1] - np.log(30.0)) / error
    assert pulls.std() == pytest.approx(1.0, abs=0.02)
    none = conditioned(np.random.default_rng(0), truths, scaling, 0.0)
    assert np.mean(none[:, 0]) == pytest.approx(0.125, abs=0.01)


@pytest.mark.parametrize('orientations', [1, 4, 8])
def test_maps_are_turned_together(orientations):
    rng = np.random.default_rng(3)
    maps = rng.normal(size=(4, 8, 8, 1)).astype(np.float32)
    seen = set()
    for _ in range(60):
        one, two = augmented(rng, orientations, maps, 2.0 * maps)
        np.testing.assert_array_equal(two, 2.0 * one)
        np.testing.assert_allclose(np.sort(one.ravel()), np.sort(maps.ravel()))
        seen.add(one[0].tobytes())
    assert len(seen) == orientations


def test_channels_are_read_into_blocks_and_lie_beside_each_other(tmp_path):
    maps = Maps.make(20, 3)
    one = in_blocks(maps, 'train', Settings(channels=('light',)), tmp_path, False)
    two = in_blocks(maps, 'train', Settings(channels=('light', 'sharp')), tmp_path, False)
    assert one.light.shape == (20, 8, 8, 1) and two.light.shape == (20, 8, 8, 2)
    rows = np.array([3, 4, 11])
    np.testing.assert_array_equal(two.light[rows][..., :1], one.light[rows])
    np.testing.assert_allclose(one.light[:].mean(), maps.light().mean(), rtol=1e-5)
    # the brightest pixels of blocks
    sharp = maps.sharp().reshape(20, 8, 4, 8, 4).max(axis=(2, 4))
    np.testing.assert_array_equal(two.light[:][..., 1], sharp)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {'train-light.npy', 'train-mass.npy', 'train-sharp.npy'}


def test_maps_of_other_pixels_are_seen_as_farther_or_nearer(tmp_path):
    """To a network a cluster with z times larger pixels is one at z times the distance."""
    maps = Maps.make(20, 3)
    zoom = np.random.default_rng(0).choice([0.4, 1.0, 4.0], 20)
    table = maps.table.copy()
    table['distance'] /= zoom
    table['seeing'] *= zoom
    area = zoom[:, np.newaxis, np.newaxis] ** 2
    other = Maps(table, maps.light() * area, maps.mass(), zoom=zoom)
    other.sharp = lambda rows=slice(None): maps.sharp(rows) * area[rows]
    settings = Settings(channels=('light', 'sharp'))
    one, two = (in_blocks(each, name, settings, tmp_path, False)
                for name, each in (('one', maps), ('two', other)))
    np.testing.assert_allclose(two.light[:], one.light[:], rtol=1e-5)
    np.testing.assert_array_equal(two.mass, one.mass)
    for name, values in one.truths.items():
        np.testing.assert_allclose(two.truths[name], values, rtol=1e-9)
    for name, values in features_of(maps).items():
        # up to single precision
        np.testing.assert_allclose(features_of(other)[name], values, rtol=1e-3, atol=1e-4)


def test_the_digest_follows_the_maps():
    maps = Maps.make(20, 3)
    assert digest_of(maps.table) == digest_of(Maps.make(20, 3).table) != digest_of(maps[1:].table)


def test_means_are_over_all_maps():
    means = Means('val_')
    means.add({'loss': 1.0}, 30)
    means.add({'loss': 4.0}, 10)
    assert means.values() == {'val_loss': pytest.approx(1.75)}


def test_maps_that_lack_a_truth_that_nearly_all_have_are_left_out(caplog):
    maps = Maps.make(200, 3)
    maps.table['half_light_radius'] = 1.0
    slope = np.ones(200)
    slope[:5] = np.nan
    maps.table['mass_function_slope'] = slope
    maps.table['dark_share'] = np.where(np.arange(200) < 100, np.nan, 0.2)
    chosen = selected(maps, Settings(channels=('light',)))
    # five of the training lack the slope; the share of remnants, which half of them have, does not count
    assert len(chosen['train']) == 135 and len(chosen['validation']) == 60
    assert '5 of 140 maps are left out: mass_function_slope not known' in caplog.text


def test_maps_whose_light_the_sky_has_taken_are_left_out(caplog):
    """A prediction refuses them; one of them made the training domain lack the flux."""
    maps = Maps.make(200, 3)
    maps._light[[3, 150]] -= maps._light[[3, 150]].mean(axis=(1, 2), keepdims=True) * 1.01
    chosen = selected(maps, Settings(channels=('light',)))
    assert len(chosen['train']) == 139 and len(chosen['validation']) == 59
    assert '1 of 140 maps are left out: no light above the sky' in caplog.text
    assert all(np.isfinite(features_of(each)['total_flux']).all() for each in chosen.values())
