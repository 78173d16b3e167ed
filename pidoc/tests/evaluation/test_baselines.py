# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Baselines say what averages say; the floor is shot noise and nothing else."""

import math

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from pidoc import Snapshot
from pidoc.evaluation.baselines import expected_mass_map, fit_baselines, shot_noise_floor, truth_of
from pidoc.grid import MapGrid
from pidoc.mock.observation import observe
from pidoc.tests.evaluation_helpers import a_set, plummer_snapshot


@pytest.fixture(scope='module')
def training():
    return a_set(16, split='train', ages=(1.0, 5.0, 9.0, 13.0))


# -- baselines ------------------------------------------------------------------------------------


def test_a_constant_ratio(training):
    baseline = fit_baselines(training)['constant_ml']
    ratio = training.table['mass'] / training.table['luminosity']
    expected = np.exp(np.mean(np.log(ratio.value)))
    test = a_set(4, seed=50)
    guess = baseline.estimate(test.light([0, 1, 2, 3]), distance=test.table['distance'].value)
    # the light holds the distance away from its total
    np.testing.assert_allclose(guess.mass.sum(axis=(1, 2)), expected * test.table['luminosity'].value,
                               rtol=1e-5)
    np.testing.assert_allclose(guess.scalars['mass_to_light'].value, expected)
    np.testing.assert_allclose(guess.scalars['age'].value, 7)
    assert 'distance' not in guess.scalars and guess.scalars['age'].low_68 is None


def test_a_constant_distance(training):
    baseline = fit_baselines(training)['constant_ml_distance']
    test = a_set(4, seed=50)
    guess = baseline.estimate(test.light([0, 1, 2, 3]), distance=None)
    np.testing.assert_allclose(guess.scalars['distance'].value, 45)
    known = fit_baselines(training)['constant_ml'].estimate(test.light([0, 1]), distance=[45, 45])
    np.testing.assert_allclose(guess.mass[:2], known.mass)


def test_a_mean_profile(training):
    """As much as light times a constant; from one distance, roughly the profile that its clusters have."""
    baselines, test = fit_baselines(training), a_set(4, seed=70, ages=(5.0,), n_stars=20000)
    rows, distance = np.arange(4), test.table['distance'].value
    totals = [baselines[name].estimate(test.light(rows), distance=distance).mass.sum(axis=(1, 2))
              for name in ('constant_ml', 'mean_profile')]
    np.testing.assert_allclose(*totals, rtol=1e-5)
    snapshot = plummer_snapshot(20000, ratio=1.5)
    mock = observe(snapshot, distance=60 * u.kpc)
    alike = training[np.flatnonzero(training.table['distance'] == 60 * u.kpc)]
    baseline = fit_baselines(alike)['mean_profile']
    (profile,) = baseline.estimate(mock.light.data[np.newaxis], distance=[60]).mass
    expected = expected_mass_map(snapshot, distance=60 * u.kpc).value
    inner = expected > 0.02 * expected.max()
    ratio = profile[inner] / expected[inner]
    # shifted clusters lose what is out of the field: it stays rough
    assert np.std(ratio) < 0.3 * np.mean(ratio)
    assert np.std(expected[inner]) > 0.8 * np.mean(expected[inner])


def test_a_mean_profile_goes_with_the_light(training):
    baseline, image = fit_baselines(training)['mean_profile'], np.zeros((1, 160, 160))
    image[0, 70:90, 60:75] = 2.0
    (first,) = baseline.estimate(image, distance=[20]).mass
    (shifted,) = baseline.estimate(np.roll(image, (10, -5), axis=(1, 2)), distance=[20]).mass
    np.testing.assert_allclose(shifted[20:, 5:-20] / shifted.max(), first[10:-10, 10:-15] / first.max(),
                               rtol=1e-6)
    (brighter,) = baseline.estimate(3 * image, distance=[40]).mass
    np.testing.assert_allclose(brighter, 12 * first)
    assert np.unravel_index(first.argmax(), first.shape) in ((79, 67), (80, 67))


def test_the_training_part_needs_maps(training):
    with pytest.raises(ValueError, match='need at least one map of the training part, received none'):
        fit_baselines(training[0:0])
    dark = training[0:2]
    dark._light = dark._light * 0
    with pytest.raises(ValueError, match='map must be finite, with light in it, received the sum 0.0'):
        fit_baselines(dark)


def test_few_maps_make_the_profile(training):
    fit_baselines(training, n_maps=3)
    training.asked.clear()
    fit_baselines(training, n_maps=3)
    assert sum(training.asked) == 3


def test_the_truth_of_a_table(training):
    truth = truth_of(training.table)
    ratio = training.table['mass'] / training.table['luminosity']
    np.testing.assert_allclose(truth['mass_to_light'], ratio.value)
    table = QTable(training.table, copy=True)
    table['distance'] = table['distance'].to(u.pc)
    np.testing.assert_allclose(truth_of(table)['distance'], truth['distance'])
    table['age'][0] = 0 * u.Gyr
    assert truth_of(table)['age'][0] == 0
    table['luminosity'][1] = 0 * u.Lsun
    with pytest.raises(ValueError, match='luminosity of a set must be finite and positive, received 0.0'):
        truth_of(table)
    table.remove_column('mass')
    with pytest.raises(ValueError, match='must have the columns mass, luminosity, .* none called mass'):
        truth_of(table)


# -- the floor ------------------------------------------------------------------------------------


def test_the_expected_map_of_a_shell():
    """Sigma(R) = m / (2 pi r (r^2 - R^2)^(1/2)), far from its bright edge."""
    shell = Snapshot({'radius': [3.0] * u.pc, 'v_r': [0.0] * u.km / u.s, 'v_t': [0.0] * u.km / u.s,
                      'mass': [1000.0] * u.Msun}, 5 * u.Gyr)
    image = expected_mass_map(shell, distance=40 * u.kpc, grid=MapGrid(smoothing=0)).value
    assert image.sum() == pytest.approx(1000)
    pixel = 40e3 * math.radians(0.25 / 3600)
    y, x = np.indices(image.shape) - 79.5
    separation = pixel * np.hypot(x, y)
    expected = 1000 * pixel**2 / (2 * np.pi * 3 * np.sqrt(np.maximum(9 - separation**2, 1e-9)))
    for low, high in ((0.5, 1), (1, 1.5), (1.5, 2), (2, 2.5)):
        ring = (separation > low) & (separation < high)
        assert image[ring].mean() == pytest.approx(expected[ring].mean(), rel=0.02)
    assert np.all(image[separation > 3.1] == 0)


def test_the_expected_map_of_a_plummer_model():
    """Smooth: M a^2 / (pi (a^2 + R^2)^2) per area, itself smoothed by the Gaussian."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(1)
    share = (np.arange(20000) + rng.uniform(size=20000)) / 20000
    radius = 2.0 / np.sqrt(share ** (-2 / 3) - 1)
    model = Snapshot({'radius': radius * u.pc, 'v_r': 0 * radius * u.km / u.s, 'v_t': 0 * radius * u.km / u.s,
                      'mass': np.full(20000, 0.5) * u.Msun}, 5 * u.Gyr)
    image = expected_mass_map(model, distance=40 * u.kpc).value
    pixel = 40e3 * math.radians(0.25 / 3600)
    y, x = (np.indices((220, 220)) - 109.5) * pixel
    density = 1e4 * pixel**2 * 4 / (np.pi * (4 + x**2 + y**2) ** 2)
    expected = gaussian_filter(density, 4, truncate=5)[30:-30, 30:-30]
    np.testing.assert_allclose(image, expected, rtol=0.03)
    assert image.sum() == pytest.approx(expected.sum(), rel=0.002)


def test_the_expected_map_is_the_mean_of_many():
    snapshot = plummer_snapshot(3000)
    expected = expected_mass_map(snapshot, distance=40 * u.kpc).value
    mean = np.mean([observe(snapshot, distance=40 * u.kpc, direction='random', seed=i).mass.data
                    for i in range(50)], axis=0)
    inner = expected > 0.1 * expected.max()
    # 50 maps of some 30 stars in a smoothed pixel: some 3 % each
    assert np.std(mean[inner] / expected[inner]) < 0.06
    assert mean.sum() == pytest.approx(expected.sum(), rel=0.002)


def test_the_floor_falls_with_the_number_of_stars():
    """Errors of a Poisson process go as one over the root of the number; half as many in the mean of |x|."""
    few, many = (shot_noise_floor([plummer_snapshot(number, mass=800 / number)], distances=[40, 60] * u.kpc)
                 for number in (4000, 64000))
    assert few['pixel.sample'] / many['pixel.sample'] == pytest.approx(4, rel=0.25)
    assert few['total_mass.sample'] < 3 and many['total_mass.sample'] < 0.7
    assert 'pixel_above.bins' in few


def test_the_floor_has_a_seed():
    first, again, other = (shot_noise_floor([plummer_snapshot(500)], distances=[40] * u.kpc, seed=seed)
                           for seed in (1, 1, 2))
    assert first['pixel.sample'] == again['pixel.sample'] != other['pixel.sample']


def test_what_the_floor_needs():
    with pytest.raises(ValueError, match='the floor needs at least one snapshot, received none'):
        shot_noise_floor([])
    with pytest.raises(ValueError, match='distance must be positive, received -1.0 kpc'):
        expected_mass_map(plummer_snapshot(100), distance=-1 * u.kpc)
