# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What networks see of maps in a training."""

import numpy as np
import pytest

from pidoc.networks.scaling import Scaling
from pidoc.tests.training_helpers import Maps
from pidoc.training.data import augmented, conditioned, digest_of, reduced
from pidoc.training.loop import Means
from pidoc.training.settings import Settings


def test_a_share_of_the_maps_is_conditioned_on_distances_with_the_errors_stated():
    rng, scaling = np.random.default_rng(0), Scaling()
    distance = np.full(20000, 30.0)
    told = conditioned(rng, distance, scaling, 0.5, (0.005, 0.2))
    known = told[:, 0] == 1.0
    assert known.mean() == pytest.approx(0.5, abs=0.02)
    assert np.all(told[~known] == 0.0)
    mean, sd = scaling.scalars[3]
    error = 0.03 * np.exp(told[known, 2])
    pulls = (mean + sd * told[known, 1] - np.log(30.0)) / error
    # ln(1 + e x) is a little less than e x
    assert pulls.std() == pytest.approx(1.0, abs=0.03)
    assert error.min() > 0.0049 and error.max() < 0.201


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
    one = reduced(maps, 'train', Settings(), tmp_path, False)
    two = reduced(maps, 'train', Settings(channels=('light', 'sharp')), tmp_path, False)
    assert one.light.shape == (20, 8, 8) and two.light.shape == (20, 8, 8, 2)
    rows = np.array([3, 4, 11])
    np.testing.assert_array_equal(two.light[rows][..., 0], one.light[rows])
    np.testing.assert_allclose(two.light[:][..., 1].mean(), maps.sharp().mean(), rtol=1e-5)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {'train-light.npy', 'train-mass.npy', 'train-sharp.npy'}


def test_the_digest_follows_the_maps():
    maps = Maps.make(20, 3)
    assert digest_of(maps.table) == digest_of(Maps.make(20, 3).table) != digest_of(maps[1:].table)


def test_means_are_over_all_maps():
    means = Means('val_')
    means.add({'loss': 1.0}, 30)
    means.add({'loss': 4.0}, 10)
    assert means.values() == {'val_loss': pytest.approx(1.75)}
