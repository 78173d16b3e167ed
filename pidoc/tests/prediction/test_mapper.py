# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""`MassMapper`: what goes in, what comes out."""

import sys
import types
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData
from scipy.special import erf

from pidoc import catalogs
from pidoc.cluster.snapshot import Snapshot
from pidoc.inference.domain import Domain
from pidoc.inference.features import features
from pidoc.inference.flags import flag_bits
from pidoc.inference.folder import read_card, write_card
from pidoc.mock.conditions import Conditions
from pidoc.mock.mock import Mock
from pidoc.mock.observation import observe
from pidoc.networks.variables import CONSTRAINTS
from pidoc.prediction import mapper as module
from pidoc.prediction.mapper import fill_pixels, MassMapper, predict, pretrained_models
from pidoc.prediction.prediction import Prediction
from pidoc.tests.prediction.test_prediction import same
from pidoc.tests.stand_in import RATIO, SharpStandIn, StandIn, TOGETHER

FLUX = u.Lsun / u.kpc**2


def a_mock(seed=0, *, distance=20, number=3000, **options):
    rng = np.random.default_rng(seed)
    stars = dict(zip('xyz', rng.normal(0, 0.5, (3, number)) * u.pc, strict=True)) | {
        'mass': np.full(number, 0.5) * u.Msun, 'luminosity': rng.uniform(0, 1, number) * u.Lsun,
        'temperature': np.full(number, 5e3) * u.K}
    return observe(Snapshot(stars, 11 * u.Gyr), distance=distance * u.kpc, seed=seed,
                   simulation=f'cluster {seed}', **options)


@pytest.fixture(scope='module')
def mock():
    return a_mock(shift=[2, -3] * u.arcsec)


@pytest.fixture(scope='module')
def domain():
    """Of clusters like a_mock(), at 15 to 30 kpc."""
    rng = np.random.default_rng(1)
    away, seeing = rng.uniform(15, 30, 160), rng.uniform(0.6, 1.4, 160)
    light = np.array([a_mock(k + 10, distance=d, seeing=s * u.arcsec, number=int(rng.uniform(2000, 5000)),
                             shift='random').light.data
                      for k, (d, s) in enumerate(zip(away, seeing, strict=True))])
    measured = features(light, distance=away, seeing=seeing)
    return Domain.fit({name: values[:80] for name, values in measured.items()},
                      {name: values[80:] for name, values in measured.items()})


@pytest.fixture
def mapper(domain):
    return MassMapper(StandIn(), domain=domain, name='stand-in', sha256='ab' * 32)


def test_packaged_models_are_listed_with_what_they_are_for():
    found = MassMapper.list()
    assert list(found) == pretrained_models()
    lines = str(found).splitlines()
    assert lines == repr(found).splitlines() and len(lines) == len(found) + 1
    for line, (name, description) in zip(lines, found.items(), strict=False):
        assert line.split()[0] == name and line.endswith(f'  {description}') and len(description) > 20
    assert lines[-1].endswith("MassMapper.from_pretrained('path/to/folder')")
    page = found._repr_html_()
    assert page.count('<tr>') == len(found) and 'Chardin &amp; Bianchini' in page


# -- out ------------------------------------------------------------------------------------------


def test_texts_with_units_are_as_good_as_quantities(mapper, mock):
    texts = mapper.predict(mock, distance='20000 pc', distance_error='0.5kpc', seeing='1 arcsec')
    same(texts, mapper.predict(mock, distance=20 * u.kpc, distance_error=0.5 * u.kpc, seeing=1 * u.arcsec))
    assert texts.known['distance'] == 20 * u.kpc
    with pytest.raises(ValueError, match='distance must be a number with a unit, such as "5 kpc"'):
        mapper.predict(mock, distance='far')
    with pytest.raises(u.UnitConversionError, match='seeing must have a unit that converts to arcsec'):
        mapper.predict(mock, seeing='1 kpc')


def test_a_mock(mapper, mock):
    prediction = mapper.predict(mock)
    total = np.float32(mock.light.data).sum(dtype=float)
    luminosity = 4 * np.pi * 25.0**2 * total
    assert prediction.luminosity.to_value(u.Lsun) == pytest.approx(luminosity)
    assert prediction.total_mass.in_unit(u.Msun) == pytest.approx(
        RATIO * luminosity * np.exp([0, -0.1, 0.1, -0.25, 0.25]))
    assert prediction.mass_to_light.in_unit(u.Msun / u.Lsun) == pytest.approx(
        2 * np.exp([0, -0.05, 0.05, -0.12, 0.12]))
    assert prediction.age.in_unit(u.Gyr) == pytest.approx([9, 8, 10, 6.5, 11.5])
    # the distance of the mock, 20 kpc, is not looked at
    assert prediction.distance.in_unit(u.kpc) == pytest.approx(25 * np.exp([0, -0.2, 0.2, -0.4, 0.4]))
    assert not prediction.distance_given and prediction.known == prediction.sources == {}
    assert prediction.mass.data.sum(dtype=float) == pytest.approx(RATIO * luminosity)
    np.testing.assert_allclose(prediction.mass.uncertainty.array, prediction.mass.data * np.sinh(0.3),
                               rtol=1e-5)
    np.testing.assert_array_equal(prediction.light.data, np.float32(mock.light.data))
    assert prediction.mass.unit == u.Msun and prediction.mass.wcs is not None
    assert prediction.light.meta['PSFFWHM'] == 1.0
    assert (prediction.name, prediction.model) == ('cluster 0', 'stand-in')
    assert prediction.model_sha256 == 'ab' * 32
    # the profiles are about the cluster
    assert prediction.center == pytest.approx((79.5 + 8, 79.5 - 12))
    assert prediction.in_domain and prediction.flags == 0 and prediction.reasons == ()


def test_with_a_distance(mapper, mock):
    prediction = mapper.predict(mock, distance=20 * u.kpc, distance_error=1000 * u.pc)
    assert prediction.distance_given
    assert prediction.known == {'distance': 20 * u.kpc, 'distance_error': 1 * u.kpc}
    assert prediction.distance.in_unit(u.kpc) == pytest.approx(20 * np.exp([0, -0.05, 0.05, -0.1, 0.1]))
    assert prediction.luminosity.value == pytest.approx(mock.luminosity.value, rel=1e-6)
    default = mapper.predict(mock, distance=20 * u.kpc)
    assert default.distance.in_unit(u.kpc)[1] == pytest.approx(20 * np.exp(-0.02))


def test_with_all_that_may_be_known(mapper, mock):
    given = {'distance': '20 kpc', 'age': 9500 * u.Myr, 'age_error': 1 * u.Gyr, 'metallicity': -1.5,
             'metallicity_error': 0.1, 'velocity_dispersion': 4000 * u.m / u.s,
             'velocity_dispersion_error': 0.3 * u.km / u.s, 'dispersion_radius': 0.5 * u.arcmin,
             'b_v': 0.7 * u.mag, 'b_v_error': 0.05 * u.mag, 'mass_function_slope': -0.5,
             'mass_function_slope_error': 0.1, 'effective_radius': 0.6 * u.arcmin}
    prediction = mapper.predict(mock, **given)
    assert prediction.known == {
        'effective_radius': 36 * u.arcsec,
        'distance': 20 * u.kpc, 'age': 9.5 * u.Gyr, 'age_error': 1 * u.Gyr, 'metallicity': -1.5,
        'metallicity_error': 0.1, 'velocity_dispersion': 4 * u.km / u.s,
        'velocity_dispersion_error': 0.3 * u.km / u.s, 'b_v': 0.7 * u.mag, 'b_v_error': 0.05 * u.mag,
        'dispersion_radius': 30 * u.arcsec, 'mass_function_slope': -0.5, 'mass_function_slope_error': 0.1}
    # what the estimator is given: an array for each of its constraints, in its unit
    (known,) = mapper.estimator.known
    expected = {'distance': 20, 'distance_error': np.nan, 'age': 9.5, 'age_error': 1, 'metallicity': -1.5,
                'metallicity_error': 0.1, 'velocity_dispersion': 4, 'velocity_dispersion_error': 0.3,
                'b_v': 0.7, 'b_v_error': 0.05, 'mass_function_slope': -0.5, 'mass_function_slope_error': 0.1,
                'dispersion_radius': 30, 'seeing': 1.0, 'sky_error': np.nan, 'effective_radius': 36,
                'effective_radius_error': np.nan}
    assert set(known) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(known[name], [value], err_msg=name)
    assert prediction.row_values()['given'].split() == [
        'distance', 'age', 'metallicity', 'velocity_dispersion', 'dispersion_radius', 'b_v',
        'mass_function_slope', 'effective_radius']


def test_the_error_of_the_sky_is_told(mapper, mock):
    """In the mean light of a pixel; the preparation notes it per pixel."""
    light = mock.light.copy()
    light.meta['SKYERROR'] = 0.02 * float(light.data.mean())
    mapper.predict(light, seeing=1.4 * u.arcsec)
    (known,) = mapper.estimator.known
    assert known['sky_error'] == pytest.approx([0.02]) and known['seeing'] == pytest.approx([1.4])


def test_draws_go_with_the_numbers(mapper, mock):
    prediction = mapper.predict(mock)
    draws = prediction.sample(3000, seed=1)
    for name, value in prediction.scalars.items():
        numbers = value.in_unit(draws[name].unit)
        assert np.median(draws[name].value) == pytest.approx(numbers[0], abs=0.1 * (numbers[2] - numbers[0]))
    # by the correlation of the logarithms, of which the mass is stretched
    correlation = np.corrcoef(np.log(draws['total_mass'].value), np.log(draws['distance'].value))[0, 1]
    assert correlation == pytest.approx(TOGETHER, abs=0.04)


def test_tension(mapper, mock):
    """An age of 9 +- 1 Gyr and one that is given with an error of 0.75 Gyr."""
    width = np.hypot(1, 0.75)
    for off, text in ((3.2, 'above'), (-3.2, 'below')):
        age = 9 + off * width
        prediction = mapper.predict(mock, age=age * u.Gyr)
        assert prediction.flag_names == ('tension',) and not prediction.in_domain
        assert prediction.reasons == (
            f'tension: age was given as {age:g} Gyr, 3.2 standard deviations {text} what follows from '
            'the image and the other given properties',)
    for off in (-2.8, 2.8):
        prediction = mapper.predict(mock, age=(9 + off * width) * u.Gyr)
        assert prediction.flags == 0 and prediction.in_domain
    assert mapper.predict(mock, age=14 * u.Gyr, age_error=2 * u.Gyr).flags == 0


@pytest.mark.parametrize(('factor', 'said'), [(0.75, False), (0.8, True), (1.2, True), (1.3, False)])
def test_a_map_that_does_not_add_up(mapper, mock, monkeypatch, factor, said):
    """Twice the light, times a factor; the 95 % interval of the mass is exp(-0.25) to exp(0.25) about it."""
    original = StandIn.estimate

    def estimate(self, light, **options):
        found = original(self, light, **options)
        return replace(found, mass=found.mass * np.float32(factor))

    monkeypatch.setattr(StandIn, 'estimate', estimate)
    prediction = mapper.predict(mock)
    assert prediction.flag_names == (() if said else ('inconsistent',)) and prediction.in_domain is said
    if not said:
        total = prediction.mass.data.sum(dtype=float)
        _, _, _, low, high = prediction.total_mass.in_unit(u.Msun)
        assert prediction.reasons == (
            f'inconsistent: the mass map adds up to {total:.4g} solMass, outside the 95 % interval of the '
            f'mass in the field, {low:.4g} to {high:.4g} solMass',)


def test_tension_of_a_plain_number(mapper, mock):
    estimate = mapper.estimator.estimate
    mapper.estimator.estimate = lambda light, *, known, pixel_scale: replace(
        estimate(light, known=known), tension={'metallicity': np.array([-5.0])})
    assert mapper.predict(mock, metallicity=-1.5).reasons[0].startswith(
        'tension: metallicity was given as -1.5, 5.0 standard deviations below')


def test_outside(mapper, mock):
    far = mapper.predict(mock, distance=200 * u.kpc)
    assert not far.in_domain
    assert {'distance', 'luminosity', 'size'} <= set(far.flag_names)
    assert any(reason.startswith('distance: distance that was given is 200 kpc, above')
               for reason in far.reasons)
    bright = Mock(**{**vars(mock), 'light': CCDData(mock.light.data * 1000, unit=FLUX, wcs=mock.light.wcs)})
    assert 'total_flux' in mapper.predict(bright).flag_names
    blurred = mapper.predict(mock, seeing=4 * u.arcsec)
    assert blurred.flag_names == ('seeing',)


def test_no_domain(mock):
    prediction = MassMapper(StandIn()).predict(mock)
    assert prediction.flag_names == ('no_domain',) and not prediction.in_domain
    assert repr(MassMapper(StandIn())) == (
        '<MassMapper without a name: 160 x 160 pixels of 0.25 arcsec in V, smoothed with 4 pixels>')


# -- in -------------------------------------------------------------------------------------------


def test_all_that_is_on_the_grid_is_one(mapper, mock, tmp_path):
    mock.write(tmp_path / 'a.fits', dtype=np.float64)
    with fits.open(tmp_path / 'a.fits') as hdus:
        images = [mock, tmp_path / 'a.fits', str(tmp_path / 'a.fits'), mock.light, hdus, hdus[0],
                  CCDData(mock.light.data, unit=FLUX, wcs=mock.light.wcs), mock.light.data * FLUX,
                  (mock.light.data * FLUX).to(u.Lsun / u.Mpc**2)]
        # the last ones do not show it
        known = {'center': (87.5, 67.5), 'seeing': 1 * u.arcsec}
        predictions = [mapper.predict(x, **(known if k > 5 else {})) for k, x in enumerate(images)]
    for prediction in predictions:
        np.testing.assert_allclose(prediction.mass.data, predictions[0].mass.data, rtol=1e-5, atol=1e-12)
        assert prediction.center == pytest.approx((87.5, 67.5))
        assert prediction.flags == 0
    names = ['cluster 0', 'a.fits', 'a.fits']
    assert [prediction.name for prediction in predictions[:3]] == names


def test_without_a_place_on_the_sky(mapper, mock):
    prediction = mapper.predict(mock.light.data * FLUX)
    assert prediction.mass.wcs is None and prediction.center == (79.5, 79.5)


def test_the_center_of_the_profiles(mapper, mock):
    there = SkyCoord(0 * u.deg, 0 * u.deg)
    assert mapper.predict(mock, center=there).center == pytest.approx((87.5, 67.5))
    assert mapper.predict(mock, center=(70, 71)).center == (70.0, 71.0)
    with pytest.raises(ValueError, match='center must be on the map'):
        mapper.predict(mock, center=(70, 171))


def test_other_images_are_prepared(mapper, mock):
    """The mock before its smoothing, as counts on a larger field: out comes what it is with it."""
    pytest.importorskip('reproject')
    from pidoc.photometry import apparent_magnitude

    reference = mapper.predict(a_mock())
    wide = a_mock(smoothing=0, field_of_view=60 * u.arcsec)
    counts = CCDData(wide.light.data * 1e7, unit='adu', wcs=wide.light.wcs)
    prediction = mapper.predict(counts, center=SkyCoord(0 * u.deg, 0 * u.deg), band='V', seeing=1 * u.arcsec,
                                zero_point=apparent_magnitude(1e-7 * FLUX))
    assert prediction.mass.shape == (160, 160)
    np.testing.assert_allclose(prediction.light.data, reference.light.data, rtol=0.02,
                               atol=1e-3 * reference.light.data.max())
    assert prediction.center == pytest.approx((79.5, 79.5), abs=0.01)


def test_what_the_preparation_noted_is_passed_on(mapper, mock):
    light = mock.light.copy()
    light.meta['FLAGS'] = 'background gaps'
    prediction = mapper.predict(light)
    assert prediction.flag_names == ('preparation',) and prediction.in_domain
    assert prediction.reasons == ('preparation: background gaps (see "Your own image" in the documentation)',)


def test_stars_in_front_are_taken_off_where_the_distance_is_given(mapper):
    """It is given to the preparation, too."""
    pytest.importorskip('reproject')
    pytest.importorskip('photutils')
    from pidoc.tests.image.test_stars import BRIGHT, cluster_with, HOW

    image = cluster_with(BRIGHT)
    how = {name: value for name, value in HOW.items() if name != 'field_of_view'}
    known, unknown = mapper.predict(image, distance=15 * u.kpc, **how), mapper.predict(image, **how)
    assert known.light.meta['NFOREGND'] == 1 and 'NFOREGND' not in unknown.light.meta
    assert 'bright-star' in unknown.light.meta['FLAGS'].split()


def test_a_map_of_another_smoothing_is_not_taken_as_it_is(mapper):
    sharp = a_mock(smoothing=0)
    prediction = mapper.predict(sharp)
    inner = slice(40, 120), slice(40, 120)
    np.testing.assert_allclose(prediction.light.data[inner], a_mock().light.data[inner], rtol=1e-3)


# -- light before the smoothing -------------------------------------------------------------------


@pytest.fixture
def sharp_mapper():
    return MassMapper(SharpStandIn(), name='sharp one')


def test_sharp_light_of_a_mock(sharp_mapper, tmp_path):
    mock = a_mock()
    mock.write(tmp_path / 'a.fits.gz', dtype=np.float64)
    for x in (mock, tmp_path / 'a.fits.gz', str(tmp_path / 'a.fits.gz')):
        prediction = sharp_mapper.predict(x)
        np.testing.assert_allclose(sharp_mapper.estimator.sharp[0], mock.sharp.data, rtol=1e-6)
        np.testing.assert_allclose(prediction.light.data, mock.light.data, rtol=1e-6)
    # several, with and without a distance
    list(sharp_mapper.predict_many([mock, mock], distance=[20, np.nan] * u.kpc))
    assert sharp_mapper.estimator.sharp.shape == (2, 160, 160)


def test_sharp_pixels_that_are_filled(sharp_mapper):
    mock = a_mock()
    mock.light.data[50, 60] = np.nan
    mock.sharp.data[70, 71] = np.nan
    prediction = sharp_mapper.predict(mock)
    assert prediction.mass.mask.sum() == 1
    sharp = sharp_mapper.estimator.sharp[0]
    # with the light as it is smoothed
    assert sharp[50, 60] == prediction.light.data[50, 60] and sharp[70, 71] == prediction.light.data[70, 71]
    assert sharp[70, 72] == np.float32(mock.sharp.data[70, 72])


def test_sharp_light_of_an_image(sharp_mapper):
    """What the preparation leaves of it: the mock before its smoothing, on a larger field."""
    pytest.importorskip('reproject')
    wide = a_mock(smoothing=0, field_of_view=60 * u.arcsec)
    image = CCDData(wide.light.data, unit=FLUX, wcs=wide.light.wcs, meta={'BAND': 'V'})
    sharp_mapper.predict(image, center=SkyCoord(0 * u.deg, 0 * u.deg), seeing=1 * u.arcsec)
    expected = a_mock().sharp.data
    np.testing.assert_allclose(sharp_mapper.estimator.sharp[0], expected, atol=0.05 * expected.max())


def test_light_that_is_smoothed_already(sharp_mapper, tmp_path):
    mock = a_mock(keep_sharp=False)
    mock.write(tmp_path / 'smooth.fits')
    for x, name in ((mock, 'cluster 0'), (tmp_path / 'smooth.fits', 'smooth.fits'),
                    (mock.light.data * FLUX, 'the image')):
        with pytest.raises(ValueError, match=f'{name} does not hold it: give the image itself, or a Mock|'
                                             f'{name} was smoothed before: the light before the smoothing'):
            sharp_mapper.predict(x)
    assert repr(sharp_mapper) == ('<MassMapper sharp one: 160 x 160 pixels of 0.25 arcsec in V, V (sharp), '
                                  'smoothed with 4 pixels>')


# -- pixels that are not there --------------------------------------------------------------------


def test_filled_pixels(mapper, mock):
    light = mock.light.copy()
    light.mask = np.zeros(light.shape, bool)
    light.mask[50, 60] = True
    light.data[50, 60] = 1e9
    light.data[51, 60] = np.nan
    prediction = mapper.predict(light)
    assert prediction.flag_names == ('filled',) and prediction.in_domain
    assert prediction.reasons == ('filled: 2 of 25600 pixels were masked or not finite',)
    assert prediction.mass.mask.sum() == 2 and prediction.mass.mask[50, 60] and prediction.mass.mask[51, 60]
    whole = mapper.predict(mock)
    np.testing.assert_allclose(prediction.light.data[50, 60], whole.light.data[50, 60], rtol=0.2)
    assert prediction.total_mass.value == pytest.approx(whole.total_mass.value, rel=1e-3)
    assert light.data[50, 60] == 1e9 and np.isnan(light.data[51, 60])


def test_mostly_filled(mapper, mock):
    light = mock.light.copy()
    light.data[:, :20] = np.nan
    prediction = mapper.predict(light)
    assert {'filled', 'mostly_filled'} <= set(prediction.flag_names) and not prediction.in_domain
    assert 'mostly_filled: 12 % of the pixels were filled in' in prediction.reasons


def test_the_mask_of_a_mock(mapper):
    bad = a_mock(conditions=Conditions(bad_pixels=0.01), number=2500)
    prediction = mapper.predict(bad)
    np.testing.assert_array_equal(prediction.mass.mask, bad.light.mask)


def test_filling():
    rng = np.random.default_rng(0)
    values = rng.uniform(1, 2, (40, 50))
    bad = rng.uniform(size=values.shape) < 0.3
    bad[:, 25:] = True
    broken = np.where(bad, np.nan, values)
    before = broken.copy()
    filled = fill_pixels(broken, bad)
    np.testing.assert_array_equal(broken, before)
    np.testing.assert_array_equal(filled[~bad], values[~bad])
    assert np.all((filled >= 1) & (filled <= 2))
    # by the rule, at all pixels
    around = np.pad(filled, 1, constant_values=np.nan)
    mean = np.nanmean([around[2:, 1:-1], around[:-2, 1:-1], around[1:-1, 2:], around[1:-1, :-2]], axis=0)
    np.testing.assert_allclose(filled[bad], mean[bad], rtol=1e-10)
    # with nothing beyond, the last column is the mean of what is before it
    assert filled[:, 49] == pytest.approx(1.5, abs=0.1)


def test_gaps_have_no_edges():
    """A slope goes on through a column and a hole; a map keeps its kind of pixels."""
    slope = np.add.outer(np.arange(30.0), 2.0 * np.arange(30.0)).astype(np.float32)
    for gap in (np.s_[:, 11], np.s_[9:20, 8:25]):
        bad = np.zeros(slope.shape, dtype=bool)
        bad[gap] = True
        filled = fill_pixels(np.where(bad, np.nan, slope), bad)
        # a column that ends at the edge of the map is drawn to the mean there
        inner = np.s_[5:-5]
        np.testing.assert_allclose(filled[inner], slope[inner], atol=0.1)
        assert filled.dtype == np.float32


def test_a_map_of_one_number():
    values = np.full((30, 30), 3.0)
    np.testing.assert_allclose(fill_pixels(values, np.arange(900).reshape(30, 30) % 7 > 0), 3.0)
    with pytest.raises(ValueError, match='an image must have a good pixel, received 900 that are masked'):
        fill_pixels(values, np.ones((30, 30), bool))


# -- many -----------------------------------------------------------------------------------------


def test_many_are_one_by_one(mapper):
    mocks = [a_mock(k) for k in range(5)]
    distances = [20, np.nan, 22, 25, 30] * u.kpc
    predictions = list(mapper.predict_many(iter(mocks), distance=distances, batch_size=2))
    assert mapper.estimator.batches == [2, 2, 1]
    for k, (one, many) in enumerate(zip(mocks, predictions, strict=True)):
        alone = mapper.predict(one, distance=None if k == 1 else distances[k])
        same(alone, many)
    assert [prediction.distance_given for prediction in predictions] == [True, False, True, True, True]


def test_memory_is_that_of_a_batch(mapper):
    asked = []

    def images():
        for k in range(6):
            asked.append(k)
            yield a_mock(k, number=50)

    predictions = mapper.predict_many(images(), batch_size=2)
    next(predictions)
    assert asked == [0, 1]


def test_one_bad_image_does_not_stop_the_others(mapper, mock, tmp_path):
    (tmp_path / 'bad.fits').write_text('no image')
    images = [mock, tmp_path / 'bad.fits', tmp_path / 'none.fits', -mock.light.data * FLUX, mock]
    results = list(mapper.predict_many(images, return_errors=True, batch_size=4))
    kinds = [type(result) for result in results]
    assert kinds == [Prediction, ValueError, FileNotFoundError, ValueError, Prediction]
    assert 'the flux in the field must be positive' in str(results[3])
    same(results[0], results[4])
    with pytest.raises(ValueError, match='bad.fits'):
        list(mapper.predict_many(images))
    assert list(mapper.predict_many(images[1:3], return_errors=True))[1].errno == 2


@pytest.mark.parametrize(('known', 'message'), [
    ({'distance': [20, 30] * u.kpc}, 'distance must have a value for each image, received 2'),
    ({'distance': [20 * u.kpc] * 4}, 'distance must have a value for each image, received 4 for 3 images'),
    ({'seeing': [None]}, 'seeing must have a value for each image, received 1'),
    ({'center': [(80, 80)]}, 'center must have a value for each image, received 1'),
    ({'batch_size': 0}, 'batch_size must be a whole number, at least 1, received 0')])
def test_lists_that_do_not_fit(mapper, known, message):
    with pytest.raises(ValueError, match=message):
        list(mapper.predict_many([a_mock(k, number=20) for k in range(3)], **known))


def test_one_for_all(mapper, mock):
    results = list(mapper.predict_many([mock, mock], center=(70, 71), distance=20 * u.kpc))
    assert all(result.center == (70.0, 71.0) and result.distance_given for result in results)


def test_options_may_be_one_for_each(mapper, mock):
    pytest.importorskip('reproject')
    adu = mock.light.data * 1e9
    images = [CCDData(adu, unit='adu', wcs=mock.light.wcs) for _ in range(3)]
    known = {'band': 'V', 'seeing': 1 * u.arcsec, 'distance': 20 * u.kpc, 'center': (79.5, 79.5)}
    results = list(mapper.predict_many(images, zero_point=[25 * u.mag, 26 * u.mag, None], return_errors=True,
                                       **known))
    alone = [mapper.predict(images[k], zero_point=zero * u.mag, **known) for k, zero in ((0, 25), (1, 26))]
    same(results[0], alone[0])
    same(results[1], alone[1])
    assert alone[0].luminosity.value / alone[1].luminosity.value == pytest.approx(10**0.4)
    # None is not given, and this image needs it
    assert isinstance(results[2], ValueError) and 'zero_point' in str(results[2])
    with pytest.raises(ValueError, match='zero_point must have a value for each image, received 1'):
        list(mapper.predict_many(images, zero_point=[25 * u.mag], **known))


def test_an_image_that_the_networks_refuse_does_not_stop_its_batch(mapper, mock, monkeypatch):
    original = StandIn.estimate

    def estimate(self, light, **known):
        if np.any(light.max(axis=(1, 2)) > 1.5 * mock.light.data.max()):
            raise ArithmeticError('too bright for me')
        return original(self, light, **known)

    monkeypatch.setattr(StandIn, 'estimate', estimate)
    images = [mock, 2 * mock.light.data * FLUX, mock]
    results = list(mapper.predict_many(images, return_errors=True))
    assert [type(result) for result in results] == [Prediction, ArithmeticError, Prediction]
    same(results[0], results[2])
    with pytest.raises(ArithmeticError, match='too bright for me'):
        list(mapper.predict_many(images))


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(('options', 'kind', 'message'), [
    ({'distance': 20}, TypeError, 'distance must be an astropy Quantity in kpc, received 20'),
    ({'distance': 1e300 * u.kpc}, ValueError, 'distance must be from 1e-06 to 1e.08 kpc, received 1e.300'),
    ({'distance': -20 * u.kpc}, ValueError, 'distance must be positive, received -20.0 kpc'),
    ({'distance': 20 * u.s}, u.UnitConversionError, 'distance must have a unit that converts to kpc'),
    ({'distance': [20, 30] * u.kpc}, ValueError, r'distance must be a scalar, received an array of shape'),
    ({'distance_error': 1 * u.kpc}, ValueError, 'distance_error needs distance, received 1 alone'),
    ({'distance': 20 * u.kpc, 'distance_error': 0 * u.kpc}, ValueError, 'distance_error must be positive'),
    ({'velocity_dispersion': 5 * u.km / u.s}, ValueError, 'velocity_dispersion needs dispersion_radius, the'),
    ({'seeing': 0 * u.arcsec}, ValueError, 'seeing must be positive'),
    ({'zero_point': 25 * u.mag}, ValueError, 'zero_point must be left out for a map that is on the grid'),
    ({'distence': 20 * u.kpc}, TypeError, "an image has no option 'distence': did you mean distance"),
    ({'metalicity': -2}, TypeError, "an image has no option 'metalicity': did you mean metallicity"),
    ({'clustre': 'M 13'}, TypeError, "an image has no option 'clustre': did you mean cluster"),
    ({'zeropoint': 25 * u.mag}, TypeError, "an image has no option 'zeropoint': did you mean zero_point"),
    ({'xyzzy': 1}, TypeError, "an image has no option 'xyzzy', it has grid, .*, distance, .*, cluster$")])
def test_impossible_arguments(mapper, mock, options, kind, message):
    with pytest.raises(kind, match=message):
        mapper.predict(mock, **options)


def test_what_the_model_cannot_be_conditioned_on(mapper, mock, monkeypatch):
    monkeypatch.setattr(StandIn, 'constraints', (CONSTRAINTS['distance'], CONSTRAINTS['age']))
    with pytest.raises(ValueError, match='the model stand-in cannot use metallicity: it can be conditioned '
                                         'on age, distance; received metallicity = -2'):
        mapper.predict(mock, metallicity=-2.0)
    mapper.predict(mock, age=9 * u.Gyr)
    assert set(mapper.estimator.known[0]) == {'distance', 'distance_error', 'age', 'age_error'}


def test_impossible_images(mapper, mock):
    with pytest.raises(TypeError, match='an image must be given, received a Prediction'):
        mapper.predict(mapper.predict(mock))
    with pytest.raises(ValueError, match='the flux in the field must be positive, received 0 Lsun / kpc2 in'):
        mapper.predict(np.zeros((160, 160)) * FLUX)
    with pytest.raises(ValueError, match='an image must have a good pixel'):
        mapper.predict(np.full((160, 160), np.nan) * FLUX)


@pytest.mark.parametrize('zoom', [0.4, 4.0])
def test_other_pixels_are_another_distance(zoom):
    """A mock of z times the pixels at 1/z of the distance has the same mass in the same pixels."""
    mapper = MassMapper.from_pretrained()
    known = {'velocity_dispersion': 3 * u.km / u.s, 'age': 11 * u.Gyr}
    one, other = (mapper.predict(
        a_mock(distance=20 / z, seeing=0.8 * z * u.arcsec, pixel_scale=0.25 * z * u.arcsec,
               field_of_view=40 * z * u.arcsec, keep_sharp=True),
        distance=20 / z * u.kpc, dispersion_radius=15 * z * u.arcsec, **known) for z in (1.0, zoom))
    np.testing.assert_allclose(other.mass.data, one.mass.data, rtol=1e-3)
    for name in ('total_mass', 'mass_to_light', 'age', 'cluster_mass'):
        np.testing.assert_allclose(getattr(other, name).value, getattr(one, name).value, rtol=1e-4)
    assert other.distance.value * zoom == pytest.approx(one.distance.value, rel=1e-4)
    assert other.pixel_scale.value == pytest.approx(0.25 * zoom)
    assert other.light.data.sum() == pytest.approx(zoom**2 * one.light.data.sum(), rel=1e-4)
    # the radius of half of the mass is the same length
    half = [each.half_mass_radius.to_value(u.pc) for each in (one, other)]
    assert half[1] == pytest.approx(half[0], rel=1e-3)
    assert [flag for flag in other.flag_names if flag != 'pixel_scale'] == list(one.flag_names)


def test_pixels_that_were_not_tested(mapper):
    mock = a_mock(pixel_scale=2 * u.arcsec, field_of_view=320 * u.arcsec, distance=2.5, seeing=8 * u.arcsec)
    prediction = mapper.predict(mock)
    assert 'pixel_scale' in prediction.flag_names and not prediction.in_domain
    mock = a_mock(pixel_scale=0.5 * u.arcsec, field_of_view=80 * u.arcsec, distance=10,
                  seeing=2 * u.arcsec)
    assert mapper.predict(mock).in_domain
    # what is out of range is given as the model sees it
    (reason,) = mapper.predict(mock, seeing=4 * u.arcsec).reasons
    assert reason.startswith('seeing: ') and ' is 2 arcsec, above' in reason
    assert reason.endswith('of the training, as seen with pixels of 0.25 arcsec')


def test_the_field_of_view(mapper, tmp_path):
    """As many pixels as the model takes: of a given field, or of one that holds the cluster."""
    wide = a_mock(smoothing=0, distance=5, pixel_scale=0.5 * u.arcsec, field_of_view=200 * u.arcsec)
    for field, scale in ((160 * u.arcsec, 1.0), ('100 arcsec', 0.625), ([40, 40] * u.arcsec, 0.25),
                         ('auto', 0.4), (None, 0.4)):
        prediction = mapper.predict(wide, **({} if field is None else {'field_of_view': field}))
        assert prediction.pixel_scale.value == pytest.approx(scale)
        # what a Gaussian of 0.5 pc has in a square
        inside = erf(80 * scale / (0.5e-3 / 5 / np.radians(1 / 3600)) / np.sqrt(2)) ** 2
        assert prediction.light.data.sum() == pytest.approx(wide.light.data.sum() * inside, rel=0.1)
    # 64 arcsec would be as 40 arcsec at 48 kpc, beyond the training
    assert mapper.predict(wide, distance=30 * u.kpc).pixel_scale.value == pytest.approx(0.25)
    with pytest.raises(ValueError, match='must have 160 x 160 pixels, smoothed with 4 pixels, for this '
                                         'model, received 160 x 80 pixels'):
        mapper.predict(wide, field_of_view=[80, 40] * u.arcsec)
    with pytest.raises(ValueError, match='received 160 x 160 pixels, smoothed with 2: leave out'):
        mapper.predict(wide, smoothing=2)
    with pytest.raises(ValueError, match='received 80 x 80 pixels, smoothed with 4: leave out output_pixel'):
        mapper.predict(wide, output_pixel_scale=0.5 * u.arcsec)


def test_the_input_is_not_changed(mapper, mock):
    before = mock.light.data.copy()
    prediction = mapper.predict(mock)
    prediction.light.data[:] = 0
    prediction.light.meta['PSFFWHM'] = 9
    np.testing.assert_array_equal(mock.light.data, before)
    assert mock.light.meta['PSFFWHM'] == 1.0


# -- models ---------------------------------------------------------------------------------------


@pytest.fixture
def models(tmp_path, domain, monkeypatch):
    """A package with two models, of stand-ins."""
    estimator = types.ModuleType('pidoc.inference.estimator')
    estimator.Estimator = StandIn
    monkeypatch.setitem(sys.modules, 'pidoc.inference.estimator', estimator)
    monkeypatch.setattr(module, '_MODELS', tmp_path / 'models')
    StandIn().save(tmp_path / 'models' / 'default', {'name': 'default', 'domain': domain.to_dict()})
    StandIn().save(tmp_path / 'models' / 'paper', {})
    return tmp_path / 'models'


def test_packaged_models(models, mock):
    assert pretrained_models() == ['default', 'paper']
    mapper = MassMapper.from_pretrained()
    assert mapper.name == 'default' and len(mapper.sha256) == 64
    assert mapper.predict(mock).in_domain
    paper = MassMapper.from_pretrained('paper')
    assert paper.name == 'paper' and paper.domain is None
    again = MassMapper.from_pretrained(models / 'default')
    assert again.predict(mock).reasons == mapper.predict(mock).reasons


def test_predict_in_one_call(models, mock, tmp_path, monkeypatch):
    from pidoc.image.ps1 import retrieval

    def fetch(name, **options):
        asked.append((name, options))
        if name == 'M 999':
            raise ValueError('it is in no catalogue')
        return mock.light

    asked = []
    monkeypatch.setattr(retrieval, 'fetch', fetch)
    mock.write(tmp_path / 'a.fits', dtype=np.float64)
    expected = MassMapper.from_pretrained('paper').predict(mock, distance=20 * u.kpc)
    for x in (mock, tmp_path / 'a.fits', str(tmp_path / 'a.fits')):
        prediction = predict(x, model='paper', distance=20 * u.kpc)
        np.testing.assert_allclose(prediction.mass.data, expected.mass.data, rtol=1e-6)
        assert (prediction.model, prediction.known) == ('paper', {'distance': 20 * u.kpc})
    assert asked == []
    # the name of a cluster: what the catalogues know of it, but for what is given
    prediction = predict('NGC 5466', age=9 * u.Gyr)
    # no field in which it would look farther than all of the training
    (name, how), = asked
    farthest = 10 ** MassMapper.from_pretrained().domain.ranges['distance'][1]
    assert name == 'NGC 5466' and how.pop('farthest').to_value(u.kpc) == pytest.approx(farthest)
    assert how.pop('distance') is None
    assert how == {'grid': StandIn.grid, 'field_of_view': 'auto'}
    predict('NGC 5466', field_of_view=80 * u.arcsec, distance=20 * u.kpc)
    assert asked[1][1]['grid'].scale == 0.5 and asked[1][1]['distance'] == 20 * u.kpc
    known = catalogs.known('NGC 5466')
    assert prediction.known['distance'].value == pytest.approx(known['distance'].value.to_value(u.kpc))
    assert prediction.known['age'] == 9 * u.Gyr and 'age' not in prediction.sources
    assert prediction.sources['distance'] == known['distance'].source
    with pytest.raises(ValueError, match="a file or the name of a cluster, received 'M 999': it is in no"):
        predict('M 999')
    # what looks like a file is one
    with pytest.raises(FileNotFoundError, match='none.fits'):
        predict('none.fits')


def test_the_colour_of_two_images_is_known_unless_another_is(mapper, mock):
    light = mock.light.copy()
    light.meta |= {'COLBV': 0.7, 'COLBVERR': 0.06}
    found = mapper.predict(light)
    assert found.known == {'b_v': 0.7 * u.mag, 'b_v_error': 0.06 * u.mag}
    assert found.sources == {'b_v': 'the images in g and r'}
    assert mapper.predict(light, b_v=0.5 * u.mag).known == {'b_v': 0.5 * u.mag}
    of_catalogue = mapper.predict(light, cluster='NGC 5466')
    assert 'Harris' in of_catalogue.sources['b_v'] and of_catalogue.known['b_v'] != 0.7 * u.mag
    for wrong in ({'COLBV': 'red'}, {'COLBV': 9.9}, {'COLBVERR': 0.0}, {'COLBVERR': None}):
        bad = mock.light.copy()
        bad.meta |= {'COLBV': 0.7, 'COLBVERR': 0.06} | wrong
        assert mapper.predict(bad).known == {}
    # the colour of a sky is not that of the cluster
    light.meta['FLAGS'] = 'background'
    assert mapper.predict(light).known == {}


def test_a_model_without_colours_does_not_use_that_of_the_images(domain, mock):
    light = mock.light.copy()
    light.meta |= {'COLBV': 0.7, 'COLBVERR': 0.06}
    estimator = StandIn()
    estimator.constraints = tuple(each for each in estimator.constraints if each.name != 'b_v')
    assert MassMapper(estimator, domain=domain, name='plain', sha256='ab' * 32).predict(light).known == {}


def test_a_model_that_is_not_there(models, tmp_path):
    with pytest.raises(ValueError, match="one of default, paper, or an existing folder, received 'best'"):
        MassMapper.from_pretrained('best')
    for path in models.glob('*/model.json'):
        path.unlink()
    with pytest.raises(ValueError, match=r'a model must be one of \(none is packaged\), or an existing'):
        MassMapper.from_pretrained()


def test_damaged_weights(models):
    (models / 'default' / 'network-0.weights.h5').write_bytes(b'formulas')
    with pytest.raises(ValueError, match='network-0.weights.h5 is damaged: its SHA-256 is not that'):
        MassMapper.from_pretrained()


def test_fit_trains_and_loads(models, tmp_path, monkeypatch):
    asked = []

    def train(training_set, folder, **options):
        asked.append((training_set, options))
        StandIn().save(folder, {'name': 'mine'})

    training = types.ModuleType('pidoc.training.fit')
    training.train = train
    monkeypatch.setitem(sys.modules, 'pidoc.training.fit', training)
    # a folder of the name of a packaged model is still the folder
    monkeypatch.chdir(tmp_path)
    mapper = MassMapper.fit('a training set', 'default', progress=False)
    assert asked == [('a training set', {'progress': False})] and mapper.name == 'mine'


def test_save(tmp_path, domain, mock):
    pytest.importorskip('tensorflow')
    from pidoc.inference.estimator import Estimator
    from pidoc.networks.cluster import cluster_network
    from pidoc.networks.scaling import Scaling

    config = {'shape': [40, 40, 1], 'widths': [4, 8], 'dense': 16, 'known': 3, 'scalars': 8}
    estimator = Estimator([cluster_network(**config, seed=1)], Scaling(), config=config)
    mapper = MassMapper(estimator, domain=domain, name='mine')
    mapper.save(tmp_path / 'mine')
    again = MassMapper.from_pretrained(tmp_path / 'mine')
    one, other = (m.predict(mock, distance=20 * u.kpc) for m in (mapper, again))
    np.testing.assert_array_equal(one.mass.data, other.mass.data)
    # weights are stored in half precision
    assert one.age.in_unit(u.Gyr) == pytest.approx(other.age.in_unit(u.Gyr), rel=1e-3)
    assert (one.flags, one.reasons) == (other.flags, other.reasons)
    assert again.name == 'mine' and len(again.sha256) == 64
    with pytest.raises(FileExistsError, match='holds a model already'):
        mapper.save(tmp_path / 'mine')
    mapper.save(tmp_path / 'mine', overwrite=True)


def test_the_checksum_without_the_networks(models):
    assert module.model_checksum('default') == MassMapper.from_pretrained().sha256
    assert module.model_checksum(models / 'default') == module.model_checksum('default')
    with pytest.raises(ValueError, match="or an existing folder, received 'best'"):
        module.model_checksum('best')


def test_the_checksum_of_several_weights(models):
    card = read_card(models / 'default')
    (models / 'default' / 'other.weights.h5').write_bytes(b'formulae')
    card['sha256']['other.weights.h5'] = card['sha256']['network-0.weights.h5']
    one = MassMapper.from_pretrained().sha256
    write_card(models / 'default', card)
    two = MassMapper.from_pretrained().sha256
    assert one == card['sha256']['other.weights.h5'] != two and len(two) == 64
    assert flag_bits('filled') > 0
