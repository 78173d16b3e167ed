# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Scaling: exact inverses, standardisation, blocks."""

import numpy as np
import pytest

from pidoc.networks.scaling import block_max, block_mean, PaperScaling, Scaling, soft_exp, soft_log
from pidoc.networks.variables import CONSTRAINTS, OUTPUTS

NAMES = 'total_mass', 'mass_to_light', 'age', 'distance'


@pytest.fixture
def maps():
    """Light, with a channel, mass, scalars, and what is known."""
    rng = np.random.default_rng(1)
    light = 10.0 ** rng.normal(-5.4, 1.0, (50, 16, 16, 1))
    mass = 10.0 ** rng.normal(-0.9, 0.4, (50, 16, 16))
    values = np.exp(rng.normal([8.0, 0.5, 1.5, 3.0], [1.0, 0.3, 0.3, 0.7], (50, 4)))
    scalars = dict(zip(NAMES, values.T, strict=True))
    return light, mass, scalars, {name: scalars[name] for name in ('distance', 'age')}


def test_soft_log_and_soft_exp_are_inverse_at_any_size_and_sign():
    values = np.concatenate([-np.logspace(-9, 3, 50), [0.0], np.logspace(-9, 3, 50)])
    np.testing.assert_allclose(soft_exp(soft_log(values, 1e-4), 1e-4), values, rtol=1e-12)


def test_soft_log_is_the_logarithm_far_from_zero_and_linear_near_it():
    assert soft_log(5.0, 1e-3) == pytest.approx(np.log(5e3), abs=1e-7)
    assert soft_log(1e-6, 1e-3) == pytest.approx(5e-4, rel=1e-6)


def test_block_means_keep_the_sum():
    maps = np.random.default_rng(2).normal(size=(3, 12, 8))
    blocks = block_mean(maps, 4)
    assert blocks.shape == (3, 3, 2)
    np.testing.assert_allclose(16 * blocks.sum(axis=(1, 2)), maps.sum(axis=(1, 2)))
    assert blocks[1, 2, 0] == pytest.approx(maps[1, 8:, :4].mean())


def test_block_maxima_are_the_brightest_pixels():
    maps = np.random.default_rng(2).normal(size=(3, 12, 8))
    assert block_max(maps, 4)[1, 2, 0] == maps[1, 8:, :4].max()
    assert np.all(block_max(maps, 4) >= block_mean(maps, 4))


@pytest.mark.parametrize('shape', [(7, 8), (3, 8, 10), (8,)])
def test_blocks_refuse_what_does_not_fit(shape):
    for function in (block_mean, block_max):
        with pytest.raises(ValueError, match='multiples of 4 pixels, received the shape'):
            function(np.zeros(shape), 4)


def test_fitted_scaling_standardises(maps):
    light, mass, scalars, known = maps
    scaling = Scaling.fit(light, mass, scalars, known, block=1)
    for numbers in (scaling.image(light), scaling.mass_of_blocks(mass)):
        assert numbers.shape == (50, 16, 16, 1) and numbers.dtype == np.float32
        assert numbers.mean() == pytest.approx(0.0, abs=1e-5)
        assert numbers.std() == pytest.approx(1.0, abs=1e-5)
    numbers = scaling.standardised(scalars)
    assert tuple(each.name for each in scaling.outputs) == NAMES
    assert [each.name for each in scaling.constraints] == ['distance', 'age']
    np.testing.assert_allclose(numbers.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(numbers.std(axis=0), 1.0, atol=1e-6)


def test_mass_maps_come_back_and_are_enlarged_smoothly(maps):
    y, x = np.indices((160, 160)) - 79.5
    mass = np.exp(-(x**2 + (y - 10)**2) / (2 * 20.0**2))[np.newaxis] + 0.01
    scaling = Scaling(block=4)
    blocks = scaling.mass_of_blocks(block_mean(mass, 4))
    value, error = scaling.masses(np.concatenate([blocks, np.zeros_like(blocks)], axis=-1))
    assert value.shape == error.shape == (1, 160, 160)
    # block means of a curved map lie below its peak: 0.7 % is what 4 x 4 blocks cost here
    np.testing.assert_allclose(soft_exp(value, scaling.mass_floor), mass, rtol=0.02)
    np.testing.assert_allclose(error, scaling.mass[1], rtol=1e-6)
    exact = Scaling(block=1)
    blocks = exact.mass_of_blocks(mass)
    value, _ = exact.masses(np.concatenate([blocks, blocks], axis=-1))
    np.testing.assert_allclose(soft_exp(value, exact.mass_floor), mass, rtol=1e-5)


def test_the_code_holds_each_constraint_in_turn():
    scaling = Scaling(constraints=tuple(CONSTRAINTS[name] for name in ('distance', 'metallicity', 'seeing')))
    known = {'distance': np.array([10.0, np.nan]), 'metallicity': np.array([np.nan, -1.5]),
             'metallicity_error': np.array([np.nan, 0.3]), 'seeing': np.array([0.8, 0.8])}
    code = scaling.code(known, 2)
    assert scaling.code_width == code.shape[1] == 8
    error = np.log(0.02 / np.sqrt(0.005 * 0.2))
    np.testing.assert_allclose(code[0], [1, np.log(10.0), error, 0, 0, 0, 1, np.log(0.8)], rtol=1e-6)
    np.testing.assert_allclose(code[1, :6], [0, 0, 0, 1, -1.5, np.log(0.3 / np.sqrt(0.025))], rtol=1e-6)
    without = scaling.without(code, 'metallicity')
    np.testing.assert_array_equal(without[:, 3:6], 0.0)
    np.testing.assert_array_equal(np.delete(without, [3, 4, 5], axis=1), np.delete(code, [3, 4, 5], axis=1))
    assert code[1, 3] == 1.0
    # nothing is known: zeros
    np.testing.assert_array_equal(scaling.code({}, 3), np.zeros((3, 8)))


def test_channels_are_standardised_each_by_itself(maps):
    light, *rest = maps
    both = np.concatenate([light, 10.0 * light], axis=-1)
    scaling = Scaling.fit(both, *rest, block=2, channels=('light', 'sharp'))
    assert len(scaling.flux) == 2 and scaling.flux[1][0] > scaling.flux[0][0] + 2.0
    image = scaling.image(both)
    assert image.shape == (50, 8, 8, 2) and image.dtype == np.float32
    np.testing.assert_array_equal(image[..., :1], Scaling.fit(*maps, block=2).image(light))
    # of the light before the smoothing the brightest pixels
    np.testing.assert_array_equal(scaling.blocks(both)[..., 1], block_max(both[..., 1], 2))
    assert Scaling.from_dict(scaling.to_dict()) == scaling
    with pytest.raises(ValueError, match=r'\(n, ny, nx, 2\), with the channels light, sharp, received'):
        scaling.image(light)


def test_logarithms_are_cut_at_the_floor_and_come_back(maps):
    scaling = Scaling.fit(*maps, block=1, compression='logarithm')
    mass = np.array([0.0, 1e-3, 5.0])
    numbers = scaling.compressed_mass(mass)
    np.testing.assert_allclose(numbers, [0.0, 0.0, np.log(5e3)])
    back, steepness = scaling.expanded_mass(numbers)
    np.testing.assert_allclose(back, [1e-3, 1e-3, 5.0])
    np.testing.assert_array_equal(steepness, 1.0)
    assert scaling.image(maps[0]).std() == pytest.approx(1.0, abs=1e-5)


def test_all_scalars_may_be_standardised_together(maps):
    scaling = Scaling.fit(*maps, pooled=True)
    assert len({(each.mean, each.sd) for each in scaling.outputs}) == 1
    numbers = scaling.standardised(maps[2])
    assert numbers.mean() == pytest.approx(0.0, abs=1e-5) and numbers.std() == pytest.approx(1.0, abs=1e-5)


def test_round_trip_through_json(maps):
    scaling = Scaling.fit(*maps, block=2, flux_floor=1e-9)
    assert Scaling.from_dict(scaling.to_dict()) == scaling
    values = scaling.to_dict()
    del values['flux']
    with pytest.raises(ValueError, match='a scaling must have the fields'):
        Scaling.from_dict(values)


@pytest.mark.parametrize('values, message', [
    ({'block': 0}, 'block must be a whole number, at least 1, received 0'),
    ({'block': 1.5}, 'block must be a whole number, at least 1, received 1.5'),
    ({'flux_floor': 0.0}, 'flux_floor must be a number above 0, received 0.0'),
    ({'mass_floor': np.nan}, 'mass_floor must be a number above 0, received nan'),
    ({'flux': ((0.0, 0.0),)}, 'a standard deviation positive, received 0.0 and 0.0'),
    ({'channels': ('light', 'sharp')}, r"with a pair of flux for each, received \('light', 'sharp'\) and 1"),
    ({'channels': ('dark',)}, 'channels must be of light, sharp'),
    ({'compression': 'root'}, "compression must be one of arcsinh, logarithm, received 'root'"),
    ({'outputs': ({**OUTPUTS['age'].to_dict(), 'sd': 0.0},)}, 'the mean of age must be finite and its stand'),
])
def test_refuses_impossible_values(values, message):
    with pytest.raises(ValueError, match=message):
        Scaling(**values)


def test_refuses_pixels_that_are_not_finite():
    light = np.ones((2, 8, 8, 1))
    light[1, 3, 3] = np.nan
    with pytest.raises(ValueError, match='must be finite, received 1 that are not'):
        Scaling().image(light)


# -- the paper's ----------------------------------------------------------------------------------


def test_the_papers_scaling_standardises_and_comes_back():
    rng = np.random.default_rng(1)
    light, mass = 10.0 ** rng.normal(-5.4, 1.0, (9, 8, 8)), 10.0 ** rng.normal(-0.9, 0.4, (9, 8, 8))
    age, distance = rng.uniform(0.0, 14.0, 9), rng.uniform(10.0, 100.0, 9)
    pieces = [(light[:4], mass[:4]), (light[4:], mass[4:])]
    scaling = PaperScaling.fit(pieces, age, distance)
    for image in (scaling.image(light), scaling.mass_image(mass)):
        assert image.dtype == np.float32 and image.shape == (9, 8, 8, 1)
        assert image.mean() == pytest.approx(0.0, abs=1e-4) and image.std() == pytest.approx(1.0, rel=1e-4)
    np.testing.assert_allclose(np.exp(scaling.log_masses(scaling.mass_image(mass))), mass, rtol=1e-5)
    wild = np.array([-1e9, 1e9], dtype=np.float32).reshape(1, 1, 2, 1)
    mean, sd = scaling.mass
    held = scaling.log_masses(wild).ravel() / np.log(10.0)
    np.testing.assert_allclose(held, [mean - 10 * sd, mean + 10 * sd])
    # together they have mean 0 and variance 1
    labels = scaling.labels(age, distance)
    assert scaling.age == scaling.distance
    assert labels.mean() == pytest.approx(0.0, abs=1e-6) and labels.std() == pytest.approx(1.0, rel=1e-5)
    for found, true in zip(scaling.age_distance(labels), (age, distance), strict=True):
        np.testing.assert_allclose(found, true, rtol=1e-4, atol=1e-4)
    alone = PaperScaling.fit(pieces, age, distance, pooled=False).labels(age, distance)
    np.testing.assert_allclose(alone.std(axis=0), 1.0, rtol=1e-5)
    assert PaperScaling.from_dict(scaling.to_dict()) == scaling


def test_in_the_released_scaling_age_hardly_counts():
    # the authors' constants: of the variance of both labels, age has 1.5 % (ages to 14 Gyr, their distances)
    ages, distances = np.linspace(0.0, 14.0, 500), np.repeat([10.0, 25.0, 50.0, 75.0, 100.0], 100)
    age, distance = PaperScaling().labels(ages, distances).T
    assert np.var(age) / (np.var(age) + np.var(distance)) == pytest.approx(0.015, abs=0.003)


def test_the_papers_scaling_takes_what_is_faint_for_its_floor():
    scaling = PaperScaling()
    image = scaling.image(np.array([[[0.0, -1.0], [1e-9, 1e-8]]]))
    assert np.all(image == image[0, 1, 1])
    with pytest.raises(ValueError, match='must be finite, received 1 that are not'):
        scaling.image(np.array([[[np.nan, 1.0]]]))
    with pytest.raises(ValueError, match='mass_floor must be a number above 0, received 0.0'):
        PaperScaling(mass_floor=0.0)
    with pytest.raises(ValueError, match='a standard deviation positive, received 1 and 0'):
        PaperScaling(age=(1, 0))
