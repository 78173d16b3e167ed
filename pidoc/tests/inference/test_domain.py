# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The training domain: what is measured, and who is flagged."""

import json
import re

import numpy as np
import pytest

from pidoc.inference.domain import Domain, Verdict
from pidoc.inference.features import _smoothing, FEATURES, features
from pidoc.inference.flags import decode_flags, flag_bits, flag_table, FLAGS, OUTSIDE

SIDE, SCALE = 80, 0.5        # the field of the paper in larger pixels, for speed
Y, X = (np.indices((SIDE, SIDE)) - (SIDE - 1) / 2) * SCALE


def gaussian(sigma, x=0.0, y=0.0):
    return np.exp(-0.5 * ((X - x) ** 2 + (Y - y) ** 2) / sigma**2)


def measure(light, **options):
    return features(np.atleast_3d(light).reshape(-1, *np.shape(light)[-2:]), pixel_scale=SCALE, **options)


def clusters(number, rng, *, brighter=1.0, n_stars=(50, 400), distances=(10, 100)):
    """Maps of stars of equal light, smoothed with 1", and their distances and seeings."""
    smooth = _smoothing(SIDE, 1.0 / SCALE)
    sharp, distance = np.empty((number, SIDE, SIDE)), rng.uniform(*distances, number)
    for k in range(number):
        stars = int(brighter * np.exp(rng.uniform(*np.log(n_stars))))
        place = rng.normal(0.0, 100.0 / distance[k], (2, stars))
        sharp[k] = np.histogram2d(*place, bins=SIDE, range=[[-20, 20]] * 2)[0] / distance[k] ** 2 + 1e-7
    return smooth @ sharp @ smooth.T, sharp, distance, rng.uniform(0.5, 1.5, number)


def measured(*args, **options):
    light, sharp, distance, seeing = clusters(*args, **options)
    return measure(light, sharp=sharp, seeing=seeing, distance=distance)


@pytest.fixture(scope='module')
def fitted():
    rng = np.random.default_rng(0)
    return Domain.fit(measured(600, rng), measured(400, rng))


def picked(maps, rows):
    return {name: values[rows] for name, values in maps.items()}


# -- quantities -----------------------------------------------------------------------------------


def test_a_gaussian():
    found = measure(gaussian(4.0))
    np.testing.assert_allclose(found['total_flux'], 2 * np.pi * (4.0 / SCALE) ** 2, rtol=1e-4)
    np.testing.assert_allclose(found['half_light_radius'], 4.0 * np.sqrt(2 * np.log(2)), rtol=0.04)
    for radius in (2, 5, 10):
        expected = 1 - np.exp(-0.5 * radius**2 / 16.0)
        np.testing.assert_allclose(found[f'flux_{radius}'], expected, atol=0.03)
    assert found['asymmetry'] < 1e-6 and found['offset'] < 1.0
    # as flat as the floor lets it be
    assert found['contrast'] == pytest.approx(found['flux_2'] * 40**2 / (np.pi * 4) / 1e-4, rel=0.01)


def test_an_even_sky():
    found = measure(np.full((SIDE, SIDE), 3.0))
    assert found['contrast'] == pytest.approx(1.0, rel=0.6)      # the brightest place may be in a corner
    assert found['clumpiness'] < 1e-5 and found['noise'] < 1e-4 and found['asymmetry'] < 1e-5


def test_the_offset_and_the_asymmetry():
    found = measure(gaussian(2.0, 6.0, -3.0))
    assert found['offset'] == pytest.approx(np.hypot(6, 3), abs=0.8)
    # half of the light is at one side, and about the other half everything turns
    two = measure(gaussian(2.5) * 1.01 + gaussian(1.0, 8.0) * 2.5**2)
    assert two['asymmetry'] == pytest.approx(0.5, abs=0.15)


def test_granularity_is_one_over_the_number_of_stars():
    rng = np.random.default_rng(1)
    few, many = (measured(60, rng, n_stars=(n, n), distances=(20, 20))['granularity'] for n in (400, 4000))
    assert np.log10(np.median(few) / np.median(many)) == pytest.approx(1.0, abs=0.1)
    # and does not know the distance: the same stars are as granular if all are fainter
    light = clusters(5, rng)[0]
    np.testing.assert_allclose(measure(light)['granularity'], measure(light / 7)['granularity'], rtol=1e-4)


def test_only_fluxes_scale():
    light, sharp, distance, seeing = clusters(8, np.random.default_rng(4))
    one = measure(light, sharp=sharp, distance=distance, seeing=seeing)
    ten = measure(10 * light, sharp=10 * sharp, distance=distance, seeing=seeing)
    for feature in FEATURES:
        factor = 10.0 if feature.name in ('total_flux', 'noise', 'luminosity') else 1.0
        np.testing.assert_allclose(ten[feature.name], factor * one[feature.name], rtol=1e-4,
                                   err_msg=feature.name)


@pytest.mark.parametrize('turn', [lambda a: a[:, ::-1], lambda a: a[..., ::-1], lambda a: a.swapaxes(1, 2)])
def test_nothing_depends_on_how_the_camera_was_turned(turn):
    light = clusters(8, np.random.default_rng(5))[0]
    one, other = measure(light), measure(turn(light))
    for feature in FEATURES:
        # it looks at every second pixel
        rtol = 5e-3 if feature.name == 'sharpness' else 1e-3
        np.testing.assert_allclose(other[feature.name], one[feature.name], rtol=rtol, atol=1e-6,
                                   err_msg=feature.name)


def test_with_a_distance():
    found = measure(gaussian(4.0), distance=20.0)
    assert found['luminosity'] == pytest.approx(4 * np.pi * 20.0**2 * found['total_flux'])
    # 4.7 arcsec at 20 kpc, by the small angle
    assert found['size'] == pytest.approx(20e3 * np.radians(found['half_light_radius'] / 3600))
    for name in ('luminosity', 'size', 'distance', 'seeing', 'sharp_scatter'):
        assert np.isnan(measure(gaussian(4.0))[name]).all()


def test_what_the_smoothing_took_away():
    found = measure(gaussian(4.0), sharp=(gaussian(4.0) + 0.1 * np.cos(np.pi * X / SCALE))[np.newaxis])
    mean = gaussian(4.0).mean()
    expected = 0.1 * np.sqrt(np.mean(np.cos(np.pi * X / SCALE) ** 2)) / mean
    assert found['sharp_scatter'] == pytest.approx(expected, rel=1e-3)


def test_maps_are_alone():
    light, _, distance, seeing = clusters(70, np.random.default_rng(6))
    together = measure(light, distance=distance, seeing=seeing)
    alone = measure(light[69], distance=distance[69:], seeing=seeing[69:])
    for name, values in together.items():
        np.testing.assert_allclose(values[69:], alone[name], rtol=1e-6)


def test_a_map_without_light(fitted):
    found = measure(np.stack([gaussian(3.0), np.zeros((SIDE, SIDE)), -gaussian(3.0)]))
    assert np.isnan(found['total_flux']).tolist() == [False, True, True]
    verdict = fitted.check(found)[1]
    assert 'total_flux' in decode_flags(verdict.flags) and not verdict.inside
    assert 'cannot be measured' in verdict.reasons[0]


@pytest.mark.parametrize(('change', 'message'), [
    ({'light': np.ones((80, 80))}, r'received \(80, 80\)'),
    ({'light': np.ones((1, 81, 80))}, r'even numbers of pixels, at least 16, received \(1, 81, 80\)'),
    ({'light': np.ones((1, 8, 8))}, r'received \(1, 8, 8\)'),
    ({'light': np.full((1, 80, 80), np.nan)}, 'must be finite, received 6400 that are not'),
    ({'sharp': np.ones((2, 80, 80))}, r'sharp must have the shape of light, \(1, 80, 80\), received \(2'),
    ({'pixel_scale': 0.0}, 'pixel_scale must be a number of arcsec above 0, received 0.0')])
def test_impossible_maps(change, message):
    with pytest.raises(ValueError, match=message):
        features(**({'light': np.ones((1, 80, 80))} | change))


def test_the_input_is_not_changed():
    light = gaussian(3.0)[np.newaxis]
    before = light.copy()
    features(light, pixel_scale=SCALE)
    np.testing.assert_array_equal(light, before)


# -- who is flagged -------------------------------------------------------------------------------


def test_few_that_are_inside_are_flagged(fitted):
    new = measured(600, np.random.default_rng(7))
    with_distance = np.mean([not verdict.inside for verdict in fitted.check(new)])
    unknown = new | {name: np.full(600, np.nan) for name in ('distance', 'luminosity', 'size')}
    without = np.mean([not verdict.inside for verdict in fitted.check(unknown)])
    # five in a hundred, and the scatter of 400 and of 600 maps
    assert 0.005 < with_distance < 0.08 and 0.005 < without < 0.08


def test_brighter_clusters_are_flagged(fitted):
    bright = measured(200, np.random.default_rng(8), brighter=10.0)
    verdicts = fitted.check(bright)
    assert np.mean([not verdict.inside for verdict in verdicts]) > 0.95
    # those that no cluster of the training comes near are so by their luminosity, at any distance
    top = bright['luminosity'] > 10.0 ** fitted.ranges['luminosity'][1]
    assert top.sum() > 50
    assert all(v.flags & flag_bits('luminosity') for v, beyond in zip(verdicts, top) if beyond)


def test_brighter_clusters_are_flagged_without_a_distance(fitted):
    bright = measured(200, np.random.default_rng(9), brighter=10.0)
    bright |= {name: np.full(200, np.nan) for name in ('distance', 'luminosity', 'size')}
    assert np.mean([not verdict.inside for verdict in fitted.check(bright)]) > 0.85


@pytest.mark.parametrize(('name', 'value', 'side'), [
    ('seeing', 2.5, 'above'), ('distance', 300.0, 'above'), ('distance', 3.0, 'below'),
    ('total_flux', 1e6, 'above'), ('half_light_radius', 0.1, 'below'), ('pixel_scale', 0.09, 'below'),
    ('pixel_scale', 1.1, 'above'),
    ('sharp_scatter', 1e4, 'above')])
def test_the_quantity_is_named(fitted, name, value, side):
    one = picked(measured(1, np.random.default_rng(10)), slice(0, 1)) | {name: np.array([value])}
    (verdict,) = fitted.check(one)
    assert name in decode_flags(verdict.flags) and not verdict.inside
    (reason,) = (text for text in verdict.reasons if text.startswith(f'{name}: '))
    assert re.search(rf' is {re.escape(f"{value:.3g}")}[, ]', reason) and f', {side} the ' in reason


def test_an_image_that_is_centred_well_is_usual(fitted):
    one = picked(measured(1, np.random.default_rng(10)), slice(0, 1)) | {'offset': np.array([0.0])}
    (verdict,) = fitted.check(one)
    assert 'offset' not in decode_flags(verdict.flags)
    (verdict,) = fitted.check(one | {'offset': np.array([19.0])})
    assert 'offset' in decode_flags(verdict.flags)


def test_the_range_in_the_reason_is_that_of_the_training(fitted):
    one = measured(1, np.random.default_rng(10)) | {'seeing': np.array([2.5])}
    low, high = fitted.ranges['seeing']
    assert (low, high) == pytest.approx((0.5, 1.5), abs=0.01)
    assert fitted.check(one)[0].reasons == (
        f'seeing: full width at half maximum of the PSF is 2.5 arcsec, above the {low:.3g} to {high:.3g} '
        'arcsec of the training',)


def test_an_image_that_was_not_smoothed(fitted):
    _, sharp, distance, seeing = clusters(20, np.random.default_rng(11))
    for verdict in fitted.check(measure(sharp, distance=distance, seeing=seeing)):
        assert 'sharpness' in decode_flags(verdict.flags)


def test_what_does_not_go_together():
    """Points on a line: all within both ranges, few near the line."""
    rng = np.random.default_rng(12)

    def line(number):
        maps = measured(1, np.random.default_rng(0))
        maps = {name: np.repeat(values, number) for name, values in maps.items()}
        place = rng.uniform(0, 1, number)
        return maps | {'total_flux': 10**place, 'contrast': 10 ** (place + rng.normal(0, 0.02, number))}

    fitted = Domain.fit(line(400), line(400))
    across = line(200) | {name: 10 ** rng.uniform(0.1, 0.9, 200) for name in ('total_flux', 'contrast')}
    far = np.abs(np.log10(across['total_flux'] / across['contrast'])) > 0.2
    verdicts = fitted.check(across)
    assert far.sum() > 50
    for verdict in np.array(verdicts)[far]:
        assert decode_flags(verdict.flags) == ('combination',)
        assert re.match('combination: the map stands .* apart .* most of all in (total_flux|contrast)',
                        verdict.reasons[0])


def test_a_training_without_distances():
    rng = np.random.default_rng(13)

    def unknown(number):
        light, *_ = clusters(number, rng)
        return measure(light)

    fitted = Domain.fit(unknown(100), unknown(100))
    assert set(fitted.thresholds) == {'image'} and 'distance' not in fitted.ranges
    light, _, distance, _ = clusters(50, rng)
    flags = [verdict.flags for verdict in fitted.check(measure(light, distance=distance))]
    assert np.mean(np.array(flags) == 0) > 0.8


def test_the_file(fitted):
    text = json.dumps(fitted.to_dict())
    assert len(text) < 300_000
    again = Domain.from_dict(json.loads(text))
    new = measured(100, np.random.default_rng(14))
    new['total_flux'][:20] *= 30
    assert again.check(new) == fitted.check(new)
    assert again.to_dict() == fitted.to_dict()
    assert any(verdict.flags for verdict in again.check(new))
    assert repr(again) == repr(fitted) and '18 quantities and 2 combinations' in repr(fitted)


def test_a_full_reference_is_small(monkeypatch):
    big = {name: np.repeat(values, 40) for name, values in measured(100, np.random.default_rng(15)).items()}
    fitted = Domain.fit(big, big)
    assert len(fitted.reference['total_flux']) == 3000
    assert len(json.dumps(fitted.to_dict())) < 300_000


@pytest.mark.parametrize(('values', 'message'), [
    ('x', "must be a dict of format 1, received 'x'"),
    ({'format': 7}, 'of format 1, received 7'),
    ({'format': 1, 'ranges': {}, 'reference': {}}, 'received one without thresholds'),
    ({'format': 1, 'ranges': {'taste': [0, 1]}, 'reference': {}, 'thresholds': {}}, 'one with taste')])
def test_no_domain(values, message):
    with pytest.raises(ValueError, match=message):
        Domain.from_dict(values)


def test_what_cannot_be_fitted():
    maps = measured(50, np.random.default_rng(16))
    with pytest.raises(ValueError, match='flagged must be a number above 0 and below 1, received 1.5'):
        Domain.fit(maps, maps, flagged=1.5)
    with pytest.raises(ValueError, match='training must have at least 40 maps, received 10'):
        Domain.fit(picked(maps, slice(10)), maps)
    with pytest.raises(ValueError, match='validation must have at least 40 maps, received 20'):
        Domain.fit(maps, picked(maps, slice(20)))
    some = maps | {'seeing': np.where(np.arange(50) < 20, np.nan, 1.0)}
    with pytest.raises(ValueError, match='seeing must be finite in all maps of the training, received 20'):
        Domain.fit(some, maps)
    with pytest.raises(ValueError, match='contrast must be finite in all maps of the validation'):
        Domain.fit(maps, maps | {'contrast': np.full(50, np.nan)})


# -- flags ----------------------------------------------------------------------------------------


def test_every_flag_has_its_bit_and_its_words():
    assert [flag.bit for flag in FLAGS] == [1 << k for k in range(len(FLAGS))]
    assert FLAGS[-1].bit < 2**31
    assert len({flag.name for flag in FLAGS}) == len({flag.description for flag in FLAGS}) == len(FLAGS)
    assert [flag.name for flag in FLAGS][:len(FEATURES)] == [feature.name for feature in FEATURES]
    for flag in FLAGS:
        assert decode_flags(flag.bit) == (flag.name,) and flag_bits(flag.name) == flag.bit
        assert Verdict(flag.bit).inside == (flag.name in ('filled', 'preparation'))
    assert decode_flags(2 * FLAGS[-1].bit - 1) == tuple(flag.name for flag in FLAGS)
    assert decode_flags(0) == () and flag_bits() == 0 and flag_bits('seeing', 'seeing') == flag_bits('seeing')
    assert decode_flags(OUTSIDE)[-1] == 'mostly_filled'


def test_the_table_is_the_flags():
    table = flag_table()
    assert list(table['bit']) == [flag.bit for flag in FLAGS]
    assert list(table['description']) == [flag.description for flag in FLAGS]


@pytest.mark.parametrize('flags', [-1, 2 * FLAGS[-1].bit, 1.5, True])
def test_bits_without_a_meaning(flags):
    with pytest.raises(ValueError, match=f'flags must be a whole number from 0 to .*, received {flags}'):
        decode_flags(flags)


def test_a_flag_that_is_none():
    with pytest.raises(ValueError, match="a flag must be one of total_flux, .*, received 'beauty'"):
        flag_bits('beauty')


@pytest.mark.parametrize('change', [{'ranges': 3}, {'reference': {}}, {'reference': None},
                                    {'thresholds': {'x': 1}}, {'thresholds': []}])
def test_damaged_domains(change):
    maps = np.random.default_rng(0).uniform(1.0, 2.0, (50, 32, 32))
    measured = features(maps, seeing=np.ones(50), distance=np.full(50, 20.0))
    values = Domain.fit(measured, measured).to_dict()
    with pytest.raises(ValueError, match='a domain must have '):
        Domain.from_dict(values | change)


# -- what is given --------------------------------------------------------------------------------


def test_what_is_given_must_be_within_the_training_and_what_its_error_adds():
    rng = np.random.default_rng(5)

    def known(number):
        maps = measured(number, rng)
        return maps | {'age': rng.uniform(1.0, 13.0, number), 'metallicity': rng.uniform(-2.2, -0.3, number)}

    domain = Domain.fit(known(600), known(400))
    assert domain.ranges['age'] == pytest.approx((0.4, 13.6), abs=0.3)
    assert domain.ranges['metallicity'] == pytest.approx((-2.3, -0.2), abs=0.05)
    maps = known(3)
    free = maps | {'age': np.full(3, np.nan), 'metallicity': np.full(3, np.nan)}
    before = [verdict.flags for verdict in domain.check(free)]
    given = maps | {'age': np.array([12.0, 16.0, np.nan]), 'metallicity': np.array([-1.0, np.nan, 0.3])}
    after = domain.check(given)
    assert [verdict.flags for verdict in after] == [
        before[0], before[1] | flag_bits('age'), before[2] | flag_bits('metallicity')]
    assert any('age that was given is 16 Gyr, above the' in reason for reason in after[1].reasons)
    # an error is allowed, if it is known
    uncertain = given | {'age_error': np.array([9.0, 3.0, np.nan]),
                         'metallicity_error': np.array([0.1, 9.0, 0.4])}
    assert [verdict.flags for verdict in domain.check(uncertain)] == [
        before[0], before[1], before[2] | flag_bits('metallicity')]
    certain = given | {'age_error': np.full(3, np.nan), 'metallicity_error': np.array([0.1, 0.1, 0.6])}
    assert [verdict.flags for verdict in domain.check(certain)] == [
        before[0], before[1] | flag_bits('age'), before[2]]
    # what was not in the training cannot be judged
    assert 'velocity_dispersion' not in domain.ranges
