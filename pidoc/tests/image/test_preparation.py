# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Images made into maps: painted clusters whose map is known by formula, mocks, and real files."""

import re
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Galactic, SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.wcs import WCS

import pidoc
from pidoc import catalogs
from pidoc.cluster.model import ClusterModel
from pidoc.cluster.snapshot import Snapshot
from pidoc.grid import APPARENT_FLUX, MapGrid
from pidoc.image.preparation import IMAGE_FLAGS, prepare, SEEING_RANGE
from pidoc.inference.features import FEATURES
from pidoc.inference.flags import FLAGS
from pidoc.mock.observation import observe
from pidoc.photometry import apparent_flux, BANDS
from pidoc.tests.image_helpers import CENTER, expected, paint, stars, tan_wcs, truth, ZERO_POINT
from pidoc.tests.shared_data import shared

pytest.importorskip('reproject')
pytest.importorskip('photutils')

SAMPLE, FEW = stars(), stars(25, radius=4.0)
COUNTS = {'unit': 'adu', 'zero_point': ZERO_POINT, 'band': 'V', 'center': CENTER, 'seeing': 1 * u.arcsec,
          'field_of_view': 20 * u.arcsec}
# as it is by default, which takes its time
FULL = {name: value for name, value in COUNTS.items() if name != 'field_of_view'}


@pytest.fixture(autouse=True)
def _quiet_log(caplog):
    caplog.set_level('CRITICAL', logger='pidoc.image')


def image(scale=0.25, side=45.0, **how):
    """Counts on a TAN plane."""
    number = round(side / scale)
    wcs = tan_wcs((number, number), scale, **how)
    return CCDData(paint(SAMPLE, wcs, (number, number)), unit='adu', wcs=wcs)


def same_map(light, *, total=0.003, rms=0.01, sample=SAMPLE, **how):
    """Whether a map is what the stars must make: its light, and the rms of its error in that of the map."""
    must = expected(truth(sample, number=len(light.data), **how))
    assert light.shape == must.shape
    assert light.data.sum() == pytest.approx(must.sum(), rel=total)
    assert np.sqrt(np.mean((light.data - must)**2)) < rms * np.sqrt(np.mean(must**2))


def flags(light):
    return light.meta['FLAGS'].split()


def cluster(number=300, seed=5):
    """A snapshot of bright stars about 2 pc across."""
    rng = np.random.default_rng(seed)
    place = rng.normal(0.0, 1.0, (3, number)) * u.pc
    columns = dict(zip('xyz', place)) | {
        'mass': np.full(number, 0.8) * u.Msun, 'luminosity': rng.pareto(1.5, number) * 10 * u.Lsun,
        'temperature': np.full(number, 5000.0) * u.K, 'kind': np.full(number, 3)}
    return Snapshot(columns, 12 * u.Gyr)


# -- the same sky, however it was imaged ----------------------------------------------------------


class TestTheSameSky:
    @pytest.mark.parametrize('how', [
        {}, {'turn': 30.0}, {'turn': 137.0, 'mirror': True}, {'scale': 0.4}, {'scale': 0.7, 'turn': -71.0},
        {'scale': 0.11, 'turn': 10.0, 'side': 38.0}, {'offset': (3.3, -7.9)}])
    def test_turned_rescaled_mirrored_shifted(self, how):
        same_map(prepare(image(**how), **COUNTS))

    def test_the_field_of_the_networks(self):
        light = prepare(image(side=66.0, turn=30.0), **FULL)
        assert light.shape == (160, 160)
        same_map(light)

    def test_pixels_as_large_as_the_smoothing(self):
        light = prepare(image(1.0, 60.0), **COUNTS)
        same_map(light, rms=0.05)
        assert flags(light) == []
        assert flags(prepare(image(1.2, 60.0), **COUNTS)) == ['coarse-pixels']

    def test_a_field_that_holds_the_cluster(self):
        """Twice the half-light radius, as far as the image reaches and up to z times d = 100 kpc."""
        auto = FULL | {'field_of_view': 'auto'}
        for spread, side, distance, field in (
                (5.0, 250.0, 5, 40.0), (24.0, 250.0, 5, 64.0), (36.0, 250.0, 5, 100.0),
                (36.0, 250.0, None, 100.0), (36.0, 90.0, 5, 64.0), (36.0, 50.0, 5, 40.0),
                (36.0, 250.0, 50, 64.0), (36.0, 250.0, 70, 40.0)):
            number = round(side / 0.5)
            wcs = tan_wcs((number, number), 0.5)
            y, x = np.indices((number, number)) - 0.5 * (number - 1)
            counts = 1e3 * np.exp(-0.5 * (x**2 + y**2) / (2 * spread) ** 2) + 0.5
            away = None if distance is None else distance * u.kpc
            light = prepare(CCDData(counts, unit='adu', wcs=wcs), **auto, farthest=100 * u.kpc, distance=away)
            assert light.shape == (160, 160)
            assert light.meta['PIXSCALE'] * 160 == pytest.approx(field)
            # seeing and smoothing are in proportion
            assert light.meta['PSFFWHM'] == max(1.0, 0.5 * field / 40) and light.meta['SMOOTH'] == 4.0

    @pytest.mark.parametrize(('background', 'field'), [
        (None, 100.0), ('fit', 100.0), ('annulus', 64.0), ((50, 70) * u.arcsec, 64.0),
        ((30, 40) * u.arcsec, 40.0)])
    def test_an_annulus_is_beside_the_field(self, background, field):
        wcs = tan_wcs((280, 280), 0.5)
        y, x = np.indices((280, 280)) - 139.5
        counts = 1e3 * np.exp(-0.5 * (x**2 + y**2) / 100**2) + 5.0
        light = prepare(CCDData(counts, unit='adu', wcs=wcs), **FULL | {'field_of_view': 'auto'},
                        background=background)
        assert light.meta['PIXSCALE'] * 160 == pytest.approx(field)

    def test_the_field_by_the_catalogue(self):
        """M 13 has a half-light radius of 1.69 arcmin (Harris 2010), Palomar 4 0.51 arcmin."""
        for name, field in (('NGC 6205', 160.0), ('Pal 4', 64.0)):
            place = catalogs.cluster(name)['position']
            wcs = tan_wcs((180, 180), 1.0)
            wcs.wcs.crval = place.ra.deg, place.dec.deg
            y, x = np.indices((180, 180)) - 89.5
            sky = CCDData(20 * np.exp(-0.5 * (x**2 + y**2) / 10**2), unit='adu', wcs=wcs)
            light = prepare(sky, **COUNTS | {'field_of_view': 'auto', 'center': name})
            assert light.meta['PIXSCALE'] * 160 == pytest.approx(field)

    def test_the_field_of_a_map_of_ours_is_its_own(self, tmp_path):
        mock = observe(cluster(), distance=10 * u.kpc, pixel_scale=0.7 * u.arcsec, seeing=2 * u.arcsec,
                       field_of_view=112 * u.arcsec)
        mock.write(tmp_path / 'a.fits')
        light = prepare(tmp_path / 'a.fits', field_of_view='auto')
        assert light.meta['PIXSCALE'] == pytest.approx(0.7) and light.meta['CENFROM'] == 'grid'
        np.testing.assert_allclose(light.data, mock.light.data, rtol=1e-6)

    def test_two_bands_have_one_field(self):
        number = 300
        wcs = tan_wcs((number, number), 0.5)
        y, x = np.indices((number, number)) - 0.5 * (number - 1)
        sky = {band: CCDData(1e3 * np.exp(-0.5 * (x**2 + y**2) / wide**2) + 1.0, unit='adu', wcs=wcs)
               for band, wide in (('g', 40.0), ('r', 70.0))}
        how = {name: value for name, value in FULL.items() if name != 'band'}
        light = prepare(sky, **how, field_of_view='auto')
        assert light.shape == (160, 160) and light.meta['PIXSCALE'] == pytest.approx(0.4)

    def test_not_smoothed(self):
        light = prepare(image(0.25, offset=(0.5, 0.5)), smoothing=0, **COUNTS)
        # spread over an image's pixel, 0.25 / sqrt(12) arcsec in each direction
        same_map(light, smoothing=0.0, fwhm=np.hypot(1.0, np.sqrt(8 * np.log(2) * 2 / 12) * 0.25), rms=0.05)
        assert light.meta['SMOOTH'] == 0.0

    def test_another_grid(self):
        light = prepare(image(side=60.0), **FULL, field_of_view=(30, 20) * u.arcsec, smoothing=2,
                        output_pixel_scale=0.5 * u.arcsec)
        assert light.shape == (40, 60)
        whole = expected(truth(SAMPLE))[40:120, 20:140].sum()
        assert light.data.sum() == pytest.approx(whole, rel=0.003)

    def test_the_grid_of_a_model(self):
        """A grid holds all three; options stand in place of its own."""
        grid = MapGrid.of_field((30, 20) * u.arcsec, pixel_scale=0.5 * u.arcsec, smoothing=2)
        light = prepare(image(side=60.0), **FULL, grid=grid)
        assert grid.holds(light)
        other = prepare(image(side=60.0), **FULL, field_of_view=(30, 20) * u.arcsec, smoothing=2,
                        output_pixel_scale=0.5 * u.arcsec)
        np.testing.assert_array_equal(light.data, other.data)
        assert prepare(image(side=60.0), **FULL, grid=grid, smoothing=0).meta['SMOOTH'] == 0.0

    def test_flux_is_conserved_without_smoothing(self):
        number = 200
        wcs = tan_wcs((number, number), 0.17, turn=33.0)
        counts = np.zeros((number, number))
        counts[90:110, 95:105] = np.random.default_rng(1).uniform(size=(20, 10))
        light = prepare(CCDData(counts, unit='adu', wcs=wcs), smoothing=0, **COUNTS, min_coverage=0.0)
        assert np.nansum(light.data) == pytest.approx(expected(counts.sum()), rel=1e-6)

    def test_wcs_of_the_map(self):
        light = prepare(image(turn=50.0), **COUNTS)
        assert light.wcs.pixel_to_world(39.5, 39.5).separation(CENTER).arcsec < 1e-6
        north, east = light.wcs.pixel_to_world(39.5, 79.5), light.wcs.pixel_to_world(-0.5, 39.5)
        assert CENTER.separation(north).arcsec == pytest.approx(10.0, rel=1e-6)
        assert abs(CENTER.position_angle(north).wrap_at('180d').deg) < 1e-3
        assert CENTER.position_angle(east).deg == pytest.approx(90.0, abs=0.01)
        assert light.unit == APPARENT_FLUX

    def test_input_is_not_modified(self):
        sky = image(0.4)
        before = sky.data.copy()
        sky.data.flags.writeable = False
        prepare(sky, **COUNTS)
        np.testing.assert_array_equal(sky.data, before)


class TestWorldCoordinates:
    def test_sip(self):
        shape = (170, 170)
        header = tan_wcs(shape, 0.25, turn=20.0).to_header()
        header['CTYPE1'], header['CTYPE2'] = 'RA---TAN-SIP', 'DEC--TAN-SIP'
        header.update({'A_ORDER': 2, 'B_ORDER': 2, 'A_2_0': 2e-5, 'B_1_1': -3e-5, 'A_0_2': 1e-5})
        wcs = WCS(header)
        light = prepare(CCDData(_by_pixel(wcs, shape), unit='adu', wcs=wcs), **COUNTS)
        same_map(light, rms=0.01, sample=FEW)

    def test_tpv(self):
        shape = (170, 170)
        header = tan_wcs(shape, 0.25).to_header()
        header['CTYPE1'], header['CTYPE2'] = 'RA---TPV', 'DEC--TPV'
        # PV in degrees: 20 % over the field
        header.update({'PV1_1': 1.0, 'PV1_4': 2.0, 'PV2_1': 1.0, 'PV2_4': -1.0})
        wcs = WCS(header)
        light = prepare(CCDData(_by_pixel(wcs, shape), unit='adu', wcs=wcs), **COUNTS)
        same_map(light, rms=0.01, sample=FEW)

    def test_old_pc_keywords_and_no_radesys(self):
        sky = image(0.25)
        header = fits.Header({
            'CTYPE1': 'RA---TAN', 'CTYPE2': 'DEC--TAN', 'CRVAL1': CENTER.ra.deg, 'CRVAL2': CENTER.dec.deg,
            'CRPIX1': 90.5, 'CRPIX2': 90.5, 'CDELT1': 0.25 / 3600, 'CDELT2': 0.25 / 3600,
            'PC001001': -1.0, 'PC001002': 0.0, 'PC002001': 0.0, 'PC002002': 1.0})
        same_map(prepare(fits.PrimaryHDU(sky.data, header), **COUNTS))

    def test_galactic(self):
        shape = (180, 180)
        place = CENTER.galactic
        wcs = tan_wcs(shape, 0.25)
        wcs.wcs.ctype = ['GLON-TAN', 'GLAT-TAN']
        wcs.wcs.crval = [place.l.deg, place.b.deg]
        wcs.wcs.radesys = ''
        assert isinstance(wcs.pixel_to_world(0, 0).frame, Galactic)
        light = prepare(CCDData(paint(SAMPLE, wcs, shape), unit='adu', wcs=wcs), **COUNTS)
        same_map(light)

    def test_axes_of_length_one(self):
        sky = image(0.25)
        header = sky.wcs.to_header()
        header.update({'CTYPE3': 'FREQ', 'CRVAL3': 5e14, 'CRPIX3': 1.0, 'CDELT3': 1.0, 'CUNIT3': 'Hz'})
        same_map(prepare(fits.PrimaryHDU(sky.data[np.newaxis], header), **COUNTS))


def _by_pixel(wcs, shape):
    """Counts on distorted pixels: the surface brightness at nine places of each, times its area."""
    y, x = np.indices(shape, dtype=float)
    plane = tan_wcs((1, 1), 1.0)
    total = np.zeros(shape)
    sigma = 1.0 / np.sqrt(8 * np.log(2))
    east, north, flux = FEW
    for dy in (-1 / 3, 0, 1 / 3):
        for dx in (-1 / 3, 0, 1 / 3):
            px, py = plane.world_to_pixel(wcs.pixel_to_world(x + dx, y + dy))
            px = -px
            # Jacobian by differences
            area = np.abs(np.gradient(px, axis=1) * np.gradient(py, axis=0)
                          - np.gradient(px, axis=0) * np.gradient(py, axis=1))
            light = np.zeros(shape)
            for e, n, f in zip(east, north, flux):
                light += f * np.exp(-0.5 * ((px - e)**2 + (py - n)**2) / sigma**2)
            total += light * area / (2 * np.pi * sigma**2) / 9
    return total


# -- units ----------------------------------------------------------------------------------------


def _per_count(scale):
    """One count of ZERO_POINT (V, Vega) in other units, per pixel of a side [arcsec]."""
    ab = 3630.7805477 * 10 ** (-0.4 * (ZERO_POINT.value + 0.02))
    area = scale**2
    sterad = area / (180 * 3600 / np.pi)**2
    lsun_kpc2 = expected(1.0)
    return {
        'Jy': ab, 'nJy': 1e9 * ab, 'nanomaggy': ab / 3.6307805477e-6, 'MJy/sr': ab / sterad / 1e6,
        # sigma = L / (theta d)^2
        'Lsun/pc2': lsun_kpc2 * 4 * np.pi / sterad / 1e6, 'Lsun/kpc2': lsun_kpc2}


@pytest.fixture(scope='module')
def small():
    """An image, and the map of a small field in it."""
    sky = image(0.4, 36.0, turn=15.0)
    return sky, prepare(sky, **COUNTS)


@pytest.mark.parametrize('unit', ['Jy', 'nJy', 'nanomaggy', 'MJy/sr', 'Lsun/pc2', 'Lsun/kpc2'])
def test_units(unit, small):
    sky, must = small
    header = sky.wcs.to_header()
    header['BUNIT'], header['FILTER'] = unit, 'V'
    options = {name: COUNTS[name] for name in ('center', 'seeing', 'field_of_view')}
    light = prepare(fits.PrimaryHDU(sky.data * _per_count(0.4)[unit], header), **options)
    np.testing.assert_allclose(light.data, must.data, rtol=2e-5, atol=0)
    assert light.meta['IMGUNIT'] == unit


def test_options_may_be_texts(small):
    options = {name: str(COUNTS[name]) for name in ('zero_point', 'seeing', 'field_of_view')}
    light = prepare(small[0], **(COUNTS | options), extinction='0.3 mag', pixel_scale='0.4 arcsec',
                    distance='20 kpc', background='2 adu', sky_error=0.1)
    same = prepare(small[0], **COUNTS, extinction=0.3 * u.mag, pixel_scale=0.4 * u.arcsec,
                   distance=20 * u.kpc, background=2 * u.adu, sky_error=0.1)
    np.testing.assert_array_equal(light.data, same.data)
    assert light.meta == same.meta


def test_no_world_coordinates(small):
    sky, must = small
    light = prepare(sky.data, **(COUNTS | {'center': _pixel(sky)}), pixel_scale=0.4 * u.arcsec)
    # it is not turned
    assert light.data.sum() == pytest.approx(must.data.sum(), rel=0.02)
    assert flags(light) == ['no-sky-position']
    assert light.meta['CENRA'] is None


def test_magnitudes_per_area(small):
    sky, must = small
    # a pixel without light has no magnitude
    data = ZERO_POINT.value - 2.5 * np.log10(np.maximum(sky.data, 1e-20) / 0.4**2)
    header = sky.wcs.to_header()
    header['BUNIT'] = 'mag/arcsec2'
    light = prepare(fits.PrimaryHDU(data, header), band='V', center=CENTER, seeing=1 * u.arcsec,
                    field_of_view=COUNTS['field_of_view'])
    np.testing.assert_allclose(light.data, must.data, rtol=1e-4, atol=1e-20)


def _pixel(sky):
    return tuple(float(v) for v in sky.wcs.world_to_pixel(CENTER))


# -- mocks and maps come through ------------------------------------------------------------------


class TestMapsComeThrough:
    def test_a_mock_file(self, tmp_path):
        mock = observe(cluster(), distance=20 * u.kpc, seeing=0.8 * u.arcsec, shift=(2, -1) * u.arcsec)
        mock.write(tmp_path / 'mock.fits')
        light = prepare(tmp_path / 'mock.fits')
        np.testing.assert_allclose(light.data, mock.light.data, rtol=1e-6, atol=0)
        assert light.meta['SMOOTH'] == 4.0
        assert light.meta['SMOOTHBY'] == 0.0
        assert light.meta['PSFFWHM'] == 0.8
        assert light.meta['DISTANCE'] == 20.0
        assert light.mask is None
        assert flags(light) == []
        assert light.wcs.pixel_to_world(0, 99).separation(mock.light.wcs.pixel_to_world(0, 99)).arcsec < 1e-6

    def test_a_mock_and_its_light(self):
        mock = observe(cluster(), distance=20 * u.kpc)
        for image in (mock, mock.light):
            np.testing.assert_array_equal(prepare(image).data, mock.light.data)

    def test_a_mock_that_is_not_smoothed(self):
        sharp, smooth = (observe(cluster(), distance=30 * u.kpc, smoothing=s).light for s in (0, 4))
        light = prepare(sharp)
        # without what lies beyond the edges: compare inside
        inner = slice(25, 135)
        np.testing.assert_allclose(light.data[inner, inner], smooth.data[inner, inner], rtol=1e-3,
                                   atol=1e-4 * smooth.data.max())
        assert light.meta['SMOOTHBY'] == pytest.approx(4.0)

    def test_gaussians_add_up(self):
        half, smooth = (observe(cluster(), distance=30 * u.kpc, smoothing=s).light for s in (2.5, 4))
        light = prepare(half)
        assert light.meta['SMOOTHBY'] == pytest.approx(np.sqrt(16 - 6.25))
        inner = slice(25, 135)
        np.testing.assert_allclose(light.data[inner, inner], smooth.data[inner, inner], rtol=2e-3,
                                   atol=1e-4 * smooth.data.max())

    def test_a_mock_on_another_grid(self):
        wide = observe(cluster(), distance=30 * u.kpc, field_of_view=72 * u.arcsec,
                       pixel_scale=0.3 * u.arcsec, smoothing=0,
                       oversampling=6)
        must = observe(cluster(), distance=30 * u.kpc, oversampling=6)
        light = prepare(wide, center=SkyCoord(0, 0, unit='deg'))
        assert light.meta['SEEFROM'] == 'header'
        assert light.data.sum() == pytest.approx(must.light.data.sum(), rel=0.003)
        error = np.sqrt(np.mean((light.data - must.light.data)**2) / np.mean(must.light.data**2))
        assert error < 0.02

    def test_smoothed_more_than_asked_for(self):
        light = observe(cluster(), distance=30 * u.kpc).light
        with pytest.raises(ValueError, match='smoothed with a Gaussian of 1 arcsec, more than the 0 arcsec'):
            prepare(light, smoothing=0)

    def test_a_map_of_its_own(self, tmp_path):
        first = prepare(image(0.4), **COUNTS)
        first.write(tmp_path / 'map.fits')
        again = prepare(tmp_path / 'map.fits', field_of_view=20 * u.arcsec)
        np.testing.assert_array_equal(again.data, first.data)
        for keyword in ('IMGZP', 'IMGUNIT', 'IMGBAND', 'PSFFWHM', 'SMOOTH', 'CENRA', 'FLAGS', 'ZPFROM'):
            assert again.meta[keyword] == first.meta[keyword]

    def test_mask_and_uncertainty_come_through(self, tmp_path):
        sky = image(0.4)
        sky.mask = np.zeros(sky.shape, dtype=bool)
        sky.mask[50:60, 60:70] = True
        sky.uncertainty = StdDevUncertainty(np.full(sky.shape, 2.0))
        first = prepare(sky, **COUNTS)
        assert first.mask.sum() > 100
        first.write(tmp_path / 'map.fits')
        again = prepare(tmp_path / 'map.fits', field_of_view=20 * u.arcsec)
        np.testing.assert_array_equal(again.mask, first.mask)
        good = ~first.mask
        np.testing.assert_allclose(again.data[good], first.data[good], rtol=1e-12)
        np.testing.assert_allclose(again.uncertainty.array[good], first.uncertainty.array[good], rtol=1e-12)
        assert flags(again) == flags(first) == ['gaps']
        assert again.meta['COVERAGE'] == first.meta['COVERAGE']

    def test_a_map_of_unknown_seeing(self):
        light = observe(cluster(), distance=20 * u.kpc).light
        light.meta['PSFFWHM'] = None
        assert flags(prepare(light)) == ['seeing-unknown']

    def test_extinction_of_a_map(self):
        light = observe(cluster(), distance=20 * u.kpc).light
        np.testing.assert_allclose(prepare(light, extinction=1 * u.mag).data, light.data * 10**0.4)


# -- bands ----------------------------------------------------------------------------------------


class TestBands:
    def test_a_colour(self, small):
        light = prepare(small[0], **(COUNTS | {'band': 'r', 'colour': 0.25 * u.mag}))
        np.testing.assert_allclose(light.data, small[1].data * 10**-0.1)
        assert light.meta['IMGBAND'] == 'r'
        assert light.meta['BAND'] == 'V'

    def test_extinction_makes_brighter(self, small):
        light = prepare(small[0], **COUNTS, extinction=0.5 * u.mag)
        np.testing.assert_allclose(light.data, small[1].data * 10**0.2)
        assert light.meta['EXTCORR'] == 0.5

    def test_a_grid_in_another_band(self, small):
        """An image in that band comes through with its own zero point; nothing else does."""
        grid = MapGrid.of_field(20 * u.arcsec, band='B')
        how = {'center': CENTER, 'seeing': 1 * u.arcsec, 'grid': grid}
        light = prepare(small[0], band='B', zero_point=ZERO_POINT, **how)
        sun = BANDS['B'].solar_magnitude - BANDS['V'].solar_magnitude
        np.testing.assert_allclose(light.data, small[1].data * 10 ** (0.4 * sun))
        assert light.meta['BAND'] == light.meta['IMGBAND'] == 'B' and grid.holds(light)
        assert light.meta['SUNMAG'] == BANDS['B'].solar_magnitude
        with pytest.raises(ValueError, match="an image in 'B' is needed, received one in 'V'"):
            prepare(small[0], band='V', zero_point=ZERO_POINT, **how)
        with pytest.raises(ValueError, match="is that in V: give that in the band of the grid, 'B'"):
            prepare(small[0], band='B', grid=grid, center='NGC 5466', extinction='catalogue')
        with pytest.raises(ValueError, match="make V: the grid must be in V, received one in 'B'"):
            prepare({'g': small[0], 'r': small[0]}, zero_point=ZERO_POINT, **how)

    @pytest.mark.parametrize('colour', [0.3, 0.9])
    def test_g_and_r_of_one_colour(self, colour):
        """V = g - 0.020 - 0.498 x - 0.008 x^2 of counts whose zero points in g and r differ by x."""
        r = 26.0
        images = {'g': image(0.25, turn=20.0), 'r': image(0.3)}
        light = prepare(images, unit='adu', center=CENTER, seeing=1 * u.arcsec, field_of_view=20 * u.arcsec,
                        zero_point={'g': (r + colour) * u.mag, 'r': r * u.mag})
        v = r + colour - 0.020 - 0.498 * colour - 0.008 * colour**2
        must = expected(truth(SAMPLE, number=80)) * 10**(-0.4 * (v - ZERO_POINT.value))
        assert light.data.sum() == pytest.approx(must.sum(), rel=0.003)
        assert np.sqrt(np.mean((light.data - must)**2) / np.mean(must**2)) < 0.01
        assert light.meta['COLOUR'] == pytest.approx(colour, abs=0.005)
        assert light.meta['IMGBAND'] == 'g+r'

    def test_g_and_r_of_two_colours(self):
        """A red and a blue group of stars, apart: each gets its own V."""
        rng = np.random.default_rng(2)
        groups = []
        for at in (-5.0, 5.0):
            groups.append((at + rng.normal(0, 1, 40), rng.normal(0, 1, 40), rng.uniform(50, 100, 40)))
        wcs = tan_wcs((180, 180), 0.25)
        blue, red = (paint(group, wcs, (180, 180)) for group in groups)
        # in magnitudes of r = 26: g - r = 0.2 and 1.2
        planes = {'r': blue + red, 'g': blue * 10**-0.08 + red * 10**-0.48}
        light = prepare({band: CCDData(plane, unit='adu', wcs=wcs) for band, plane in planes.items()},
                        zero_point=26 * u.mag, center=CENTER, seeing=1 * u.arcsec,
                        field_of_view=20 * u.arcsec)
        scale = 10**(-0.4 * (26.0 - ZERO_POINT.value))
        for group, x, half in zip(groups, (0.2, 1.2), (slice(40, 80), slice(0, 40))):
            v_minus_r = x - 0.020 - 0.498 * x - 0.008 * x**2
            must = expected(truth(group, number=80)) * scale * 10**(-0.4 * v_minus_r)
            assert light.data[:, half].sum() == pytest.approx(must[:, half].sum(), rel=0.02)

    def test_seeing_of_g_and_r_is_matched(self):
        wcs = tan_wcs((180, 180), 0.25)
        images = {band: CCDData(paint(SAMPLE, wcs, (180, 180), fwhm=f), unit='adu', wcs=wcs)
                  for band, f in (('g', 1.4), ('r', 0.8))}
        light = prepare(images, zero_point=26 * u.mag, center=CENTER, field_of_view=20 * u.arcsec,
                        seeing={'g': 1.4 * u.arcsec, 'r': 0.8 * u.arcsec})
        assert light.meta['PSFFWHM'] == 1.4
        must = expected(truth(SAMPLE, fwhm=1.4, number=80)) * 10**(-0.4 * (26.0 - 0.020 - ZERO_POINT.value))
        # Gaussians, which are matched as if they were Moffat functions
        assert np.sqrt(np.mean((light.data - must)**2) / np.mean(must**2)) < 0.02

    def test_maps_of_two_bands_are_matched(self):
        """Both are on the grid already, without a margin: their light at the edges is kept."""
        light, same = (prepare({band: observe(
            cluster(), distance=20 * u.kpc, seeing=width * u.arcsec, smoothing=0, band=band,
            correction='kurucz1992', metallicity=0.002).light for band, width in zip('gr', seeing)})
            for seeing in ((1.3, 0.9), (1.3, 1.3)))
        assert light.meta['PSFMATCH'] is True and same.meta['PSFMATCH'] is False
        assert light.meta['PSFFWHM'] == 1.3 and light.meta['SMOOTHBY'] == 4.0
        np.testing.assert_allclose(light.data, same.data, atol=0.01 * same.data.max())
        assert light.data.sum() == pytest.approx(same.data.sum(), rel=2e-3)

    def test_the_center_is_found_in_r(self):
        images = {'g': image(0.3, turn=40.0), 'r': image(0.3, offset=(4.0, 2.0))}
        light = prepare(images, zero_point=26 * u.mag, seeing=1 * u.arcsec, field_of_view=20 * u.arcsec,
                        background={'g': 0.0, 'r': None})
        alone = prepare(images['r'], **(COUNTS | {'center': None}))
        assert (light.meta['CENRA'], light.meta['CENDEC']) == (alone.meta['CENRA'], alone.meta['CENDEC'])
        assert (light.meta['BKGFROMG'], light.meta['BKGFROMR']) == ('given', 'none')
        np.testing.assert_allclose(light.data, alone.data * 10**(0.4 * 1.020), atol=0.02 * light.data.max())

    def test_noise_does_not_make_the_colour(self):
        rng = np.random.default_rng(8)
        wcs = tan_wcs((180, 180), 0.25)
        clean = paint(SAMPLE, wcs, (180, 180))
        images = {band: CCDData(clean + rng.normal(0, 2.0, clean.shape), unit='adu', wcs=wcs,
                                uncertainty=StdDevUncertainty(np.full(clean.shape, 2.0))) for band in 'gr'}
        light = prepare(images, zero_point=27 * u.mag, center=CENTER, seeing=1 * u.arcsec,
                        field_of_view=20 * u.arcsec)
        must = expected(truth(SAMPLE, number=80)) * 10**(0.4 * 0.020)
        pull = (light.data - must) / light.uncertainty.array
        assert abs(pull.mean()) < 0.5
        assert 0.5 < pull.std() < 1.3
        assert light.data.sum() == pytest.approx(must.sum(), rel=0.02)

    @pytest.mark.parametrize(('images', 'how', 'rule'), [
        ({'g': 1}, {}, "two bands must be {'g': ..., 'r': ...}, received \\['g'\\]"),
        ({'g': 1, 'i': 1}, {}, r"received \['g', 'i'\]"),
        ({'g': 'a.fits', 'r': Path('a.fits')}, {}, "'g' and 'r' must be two, received a.fits as both"),
        ({'g': 1, 'r': 1}, {'band': 'V'}, "band and colour must be left out where images in both g and r"),
        ({'g': 1, 'r': 1}, {'colour': 1 * u.mag}, 'band and colour must be left out')])
    def test_what_two_bands_must_be(self, images, how, rule):
        with pytest.raises(ValueError, match=rule):
            prepare(images, **how)

    @pytest.mark.parametrize(('colour', 'extinction', 'noted'), [
        (-0.6, None, True), (-0.3, None, False), (0.6, 0.0, False), (1.5, None, False), (1.5, 0.3, True),
        (1.5, 2.5, False), (1.7, None, True)])
    def test_colours_of_no_cluster(self, colour, extinction, noted):
        """Of bands that are exchanged, or a wrong zero point."""
        light = prepare({band: image() for band in 'gr'}, center=CENTER, seeing=1 * u.arcsec,
                        zero_point={'g': (26.0 + colour) * u.mag, 'r': 26 * u.mag},
                        extinction=None if extinction is None else extinction * u.mag,
                        field_of_view=20 * u.arcsec)
        assert ('colour-range' in flags(light)) == noted

    def test_the_other_relation(self):
        images = {band: image() for band in 'gr'}
        how = {'zero_point': {'g': 26.6 * u.mag, 'r': 26 * u.mag}, 'center': CENTER, 'seeing': 1 * u.arcsec,
               'field_of_view': 20 * u.arcsec}
        light, other = (prepare(images, relation=name, **how) for name in ('kostov2018', 'tonry2012'))
        fainter = -2.5 * np.log10(other.data.sum() / light.data.sum())
        assert light.meta['VCHECK'] == pytest.approx(fainter, abs=1e-6) and 0.001 < abs(fainter) < 0.03
        assert other.meta['VCHECK'] == pytest.approx(-fainter, abs=1e-6)
        assert other.meta['RELATION'] == 'tonry2012'
        with pytest.raises(ValueError, match='relation must be one of kostov2018, tonry2012, received'):
            prepare(images, relation='jester2005', **how)

    def test_extinction_comes_after_v(self):
        images = {band: image() for band in 'gr'}
        how = {'zero_point': {'g': 26.6 * u.mag, 'r': 26 * u.mag}, 'center': CENTER, 'seeing': 1 * u.arcsec,
               'field_of_view': 20 * u.arcsec}
        plain, freed = prepare(images, **how), prepare(images, extinction=0.93 * u.mag, **how)
        np.testing.assert_allclose(freed.data, plain.data * 10 ** (0.4 * 0.93), rtol=1e-12)
        assert (plain.meta['EXTCORR'], freed.meta['EXTCORR']) == (0.0, 0.93)
        assert freed.meta['COLOUR'] == plain.meta['COLOUR']
        with pytest.raises(ValueError, match='extinction must not be negative'):
            prepare(images, extinction=-1 * u.mag, **how)

    def test_a_colour_is_that_of_the_cluster_if_the_extinction_is_known(self):
        """The Sun: g - r = 0.44 is B - V = 0.65 (Willmer 2018, ApJS 236, 47), behind E(B-V) = 0.1."""
        images = {band: image() for band in 'gr'}
        how = {'zero_point': {'g': 26.44 * u.mag, 'r': 26 * u.mag}, 'center': CENTER, 'seeing': 1 * u.arcsec,
               'field_of_view': 20 * u.arcsec}
        assert 'COLBV' not in prepare(images, **how).meta
        free, red = (prepare(images, extinction=dust * u.mag, **how).meta for dust in (0.0, 0.31))
        assert free['COLBV'] == pytest.approx(0.65, abs=0.05) and 0.03 < free['COLBVERR'] < 0.1
        assert red['COLBV'] == pytest.approx(free['COLBV'] - 0.1, abs=0.002)

    def test_the_colour_of_a_mock_in_two_bands_is_its_own(self):
        stars = Snapshot(cluster().stars, 12 * u.Gyr, ClusterModel(metallicity=0.002))
        both = {band: observe(stars, distance=20 * u.kpc, seeing=1 * u.arcsec, smoothing=0, band=band,
                              correction='kurucz1992').light for band in 'gr'}
        meta = prepare(both, extinction=0 * u.mag).meta
        true = stars.colour().to_value(u.mag)
        assert meta['COLBV'] == pytest.approx(true, abs=2.0 * meta['COLBVERR'])

    def test_no_light_in_one_band(self):
        sky = image()
        dark = CCDData(-sky.data, unit='adu', wcs=sky.wcs)
        with pytest.raises(ValueError, match='positive in both bands, received -.* in g and .* in r'):
            prepare({'g': dark, 'r': sky}, zero_point=26 * u.mag, center=CENTER, seeing=1 * u.arcsec,
                    field_of_view=20 * u.arcsec)

    def test_two_bands_without_a_position(self):
        sky = image()
        with pytest.raises(ValueError, match='without world coordinates need center, received None'):
            prepare({'g': sky.data, 'r': sky.data}, zero_point=26 * u.mag, pixel_scale=0.25 * u.arcsec)


# -- masks, weights, noise ------------------------------------------------------------------------


class TestMasksAndNoise:
    def test_bad_pixels_are_left_out(self):
        sky = image(0.3)
        bad = np.random.default_rng(4).uniform(size=sky.shape) < 0.05
        broken = sky.data.copy()
        broken[bad] = 1e6
        for how in ({'mask': bad}, {'mask': bad.astype(np.int32) * 64}):
            light = prepare(CCDData(broken, unit='adu', wcs=sky.wcs), **COUNTS, **how)
            same_map(light, total=0.01, rms=0.05)
        broken[bad] = np.nan
        same_map(prepare(CCDData(broken, unit='adu', wcs=sky.wcs), **COUNTS), total=0.01, rms=0.05)
        broken[bad] = -np.inf
        same_map(prepare(CCDData(broken, unit='adu', wcs=sky.wcs), **COUNTS), total=0.01, rms=0.05)
        masked = np.ma.masked_array(np.where(bad, 1e9, sky.data), bad)
        light = prepare(masked, **(COUNTS | {'center': _pixel(sky)}), pixel_scale=0.3 * u.arcsec)
        same_map(light, total=0.01, rms=0.05)

    def test_a_hole_is_masked_and_flagged(self):
        sky = image(0.25)
        sky.data[:80] = np.nan
        light = prepare(sky, **COUNTS)
        # 40 rows south of the centre, of which 10 are left
        np.testing.assert_array_equal(light.mask.sum(axis=0), np.full(80, 30))
        assert light.meta['COVERAGE'] == pytest.approx(50 / 80)
        assert flags(light) == ['gaps']
        # a Gaussian of 4 pixels reaches 20
        np.testing.assert_array_equal(np.isnan(light.data).sum(axis=0), np.full(80, 10))

    def test_too_little_of_the_field(self):
        sky = image(0.25)
        sky.data[:92] = np.nan
        with pytest.raises(ValueError, match='good pixels in 50 % of the field, received 4[78] % about '
                                             'column 89.5, row 89.5: give min_coverage'):
            prepare(sky, **COUNTS)
        assert prepare(sky, **COUNTS, min_coverage=0.4).meta['COVERAGE'] < 0.5

    @pytest.mark.parametrize('scale', [pytest.param(0.25, marks=pytest.mark.slow), 0.5])
    def test_uncertainty_is_the_scatter(self, scale):
        """Of many maps of nothing but noise, whose pixels differ in it."""
        rng = np.random.default_rng(11)
        shape = (round(34 / scale),) * 2
        noise = np.where(np.arange(shape[1]) < shape[1] // 2, 1.0, 3.0) * np.ones(shape)
        wcs = tan_wcs(shape, scale, turn=12.0)
        maps = []
        for _ in range(8):
            sky = CCDData(rng.normal(0.0, noise), unit='adu', wcs=wcs, uncertainty=StdDevUncertainty(noise))
            light = prepare(sky, **COUNTS)
            maps.append(light.data)
        # the mean is 0
        ratio = np.sqrt(np.mean(np.square(maps), axis=0)) / light.uncertainty.array
        # pixels that are used twice, in part, are not independent any more: a little too cautious
        assert 0.85 < np.median(ratio) < 1.1
        left, right = light.uncertainty.array[40, 5], light.uncertainty.array[40, 75]
        assert right / left == pytest.approx(3.0, rel=0.1)

    def test_kinds_of_weights(self, small):
        sky = small[0].copy()
        deviation = 2.0 * np.ones(sky.shape)
        maps = [prepare(sky, **COUNTS, weight=weight).uncertainty.array for weight in (
            deviation**-2, InverseVariance(deviation**-2), VarianceUncertainty(deviation**2),
            StdDevUncertainty(deviation))]
        for one in maps[1:]:
            np.testing.assert_allclose(one, maps[0])
        sky.uncertainty = VarianceUncertainty(deviation**2)
        np.testing.assert_allclose(prepare(sky, **COUNTS).uncertainty.array, maps[0])

    def test_no_weight_is_no_pixel(self):
        sky = image(0.25)
        weight = np.ones(sky.shape)
        weight[:80] = 0.0
        assert prepare(sky, **COUNTS, weight=weight).meta['COVERAGE'] == pytest.approx(50 / 80)

    def test_uncertainty_of_magnitudes(self):
        number = 120
        wcs = tan_wcs((number, number), 0.25)
        header = wcs.to_header()
        header['BUNIT'] = 'mag/arcsec2'
        data = np.full((number, number), 20.0)
        light = prepare(fits.PrimaryHDU(data, header), band='V', center=CENTER, seeing=1 * u.arcsec,
                        weight=StdDevUncertainty(np.full(data.shape, 0.1)), smoothing=0,
                        field_of_view=20 * u.arcsec)
        np.testing.assert_allclose(light.uncertainty.array / light.data, 0.1 * 0.4 * np.log(10), rtol=1e-3)


# -- centre, background, seeing -------------------------------------------------------------------


class TestCenter:
    def test_given_named_and_by_function(self):
        sky = image(0.3)
        sky.wcs.wcs.crval = [211.36, 28.53]
        light = prepare(sky, **(COUNTS | {'center': 'NGC 5466'}))
        assert light.meta['CENFROM'] == 'NGC 5466'
        ngc5466 = SkyCoord('14h05m27.29s +28d32m04s')
        assert light.wcs.pixel_to_world(39.5, 39.5).separation(ngc5466).arcsec < 0.1
        from photutils.centroids import centroid_com

        light = prepare(image(0.3), **(COUNTS | {'center': centroid_com}))
        assert light.meta['CENFROM'] == 'centroid_com'
        assert light.wcs.pixel_to_world(39.5, 39.5).separation(CENTER).arcsec < 3.0

    @pytest.mark.parametrize('seed', range(3))
    def test_found(self, seed):
        sky = image(0.4, 90.0)
        wcs = tan_wcs(sky.shape, 0.4, offset=(30, -20), turn=70.0)
        counts = paint(stars(3000, seed=seed), wcs, sky.shape)
        counts += 200 + np.random.default_rng(seed).normal(0, 5, counts.shape)
        light = prepare(CCDData(counts, unit='adu', wcs=wcs), **(COUNTS | {'center': None}),
                        background='annulus')
        assert light.meta['CENFROM'] == 'found'
        found = SkyCoord(light.meta['CENRA'], light.meta['CENDEC'], unit='deg')
        assert found.separation(CENTER).arcsec < 2.0
        assert light.wcs.pixel_to_world(39.5, 39.5).separation(found).arcsec < 1e-6

    @pytest.mark.parametrize(('center', 'error', 'rule'), [
        (SkyCoord(10, 10, unit='deg'), ValueError, 'center must be on the image, received'),
        (SkyCoord(226.1, 28.5, unit='deg'), ValueError, 'center must be on the image, which has 180 x 180 '
                                                        'pixels'),
        ((500, 20), ValueError, 'center must be on the image, which has 180 x 180 pixels, received .500, '
                                '20.'),
        ((np.nan, 1), ValueError, 'center must be finite'),
        (SkyCoord([1, 2], [3, 4], unit='deg'), ValueError, 'center must be one position, received 2'),
        (3.0, TypeError, 'center must be a SkyCoord, the name of a cluster, column and row, or a function'),
        ((1, 2, 3), TypeError, 'center must be a SkyCoord'),
        ('NGC 99999', ValueError, 'name must be that of a globular cluster'),
        (lambda data, mask: (np.nan, 1), ValueError, 'center must return column and row')])
    def test_wrong(self, center, error, rule):
        with pytest.raises(error, match=rule):
            prepare(image(), **(COUNTS | {'center': center}))

    def test_a_position_without_coordinates(self):
        with pytest.raises(ValueError, match='has no world coordinates: center must be column and row'):
            prepare(np.ones((200, 200)), **COUNTS, pixel_scale=0.25 * u.arcsec)

    def test_too_large_to_search(self):
        blank = np.broadcast_to(np.float32(1.0), (10, 5000))
        with pytest.raises(ValueError, match='more than 4096 pixels to a side is not searched: give center'):
            prepare(blank, **(COUNTS | {'center': None}), pixel_scale=0.25 * u.arcsec)

    def test_nothing_to_find(self):
        with pytest.raises(ValueError, match='no centre can be found where pixels are all bad, or all the '
                                             'same'):
            prepare(np.ones((200, 200)), **(COUNTS | {'center': None}), pixel_scale=0.25 * u.arcsec)


class TestBackground:
    def sky(self, level=300.0, side=160.0):
        sky = image(0.5, side)
        sky.data += level + np.random.default_rng(0).normal(0, 2, sky.shape)
        return sky

    @pytest.mark.parametrize('background', ['annulus', (50, 70) * u.arcsec, (50 * u.arcsec, 70 * u.arcsec),
                                            300 * u.adu, 300.0])
    def test_subtracted(self, background):
        light = prepare(self.sky(), **COUNTS, background=background)
        assert light.meta['BKGLEVEL'] == pytest.approx(300.0, abs=1.0)
        must = expected(truth(SAMPLE, number=80))
        # what of the cluster is in the annulus is taken off, too
        assert light.data.sum() == pytest.approx(must.sum(), rel=0.1)
        assert np.abs(light.data - must).max() < 0.05 * must.max()
        assert flags(light) == []

    def test_not_subtracted_is_flagged(self):
        assert flags(prepare(self.sky(), **COUNTS)) == ['background']
        # where the image ends at the field
        assert flags(prepare(self.sky(side=24.0), **COUNTS)) == ['background']
        assert flags(prepare(image(), **COUNTS)) == []

    @pytest.mark.parametrize('how', ['annulus', 'fit', 30.0])
    def test_what_is_left_is_told(self, how):
        """In the unit of the map, and as a share of the light in the field, with its error."""
        light, better = (prepare(self.sky(30.0), **COUNTS, background=each) for each in (None, how))
        assert light.meta['SKYLEFT'] == pytest.approx(30.0, abs=0.5)
        removed = (light.data - better.data).mean()
        assert removed == pytest.approx(expected(30.0) * (0.25 / 0.5) ** 2, rel=0.02)
        assert light.meta['SKYLEVEL'] == pytest.approx(removed, rel=0.02)
        assert light.meta['SKYSHARE'] == pytest.approx(1.0 - better.data.sum() / light.data.sum(), rel=0.02)
        assert 0.0 < light.meta['SKYERROR'] < 0.05 * removed and flags(light) == ['background']
        assert flags(better) == []
        if how != 30.0:
            assert abs(better.meta['SKYLEVEL']) < 2.5 * better.meta['SKYERROR'] < 0.1 * removed

    def test_a_level_with_its_error(self):
        light = prepare(self.sky(30.0), **COUNTS, background=29.0 * u.adu, sky_error=2.0 * u.adu)
        assert (light.meta['BKGLEVEL'], light.meta['BKGERROR'], light.meta['SKYLEVEL']) == (29.0, 2.0, 0.0)
        assert light.meta['SKYERROR'] == pytest.approx(expected(2.0) * 0.25, rel=1e-3)
        assert 'SKYERROR' not in prepare(self.sky(30.0), **COUNTS, background=29.0).meta

    @pytest.mark.parametrize(('error', 'background', 'message'), [
        (1.0, None, 'sky_error goes with a level of the background, received 1.0 without one'),
        (1.0, 'fit', 'sky_error goes with a level of the background'),
        (-1.0, 5.0, 'sky_error must be a finite number, at least 0, received -1.0'),
        (np.inf, 5.0, 'sky_error must be a finite number'), (True, 5.0, 'sky_error must be a finite number')])
    def test_errors_that_are_none(self, error, background, message):
        with pytest.raises(ValueError, match=message):
            prepare(self.sky(), **COUNTS, background=background, sky_error=error)

    def test_no_fit(self):
        with pytest.raises(ValueError, match="background='fit' needs at least three annuli about the centre"):
            prepare(np.ones((10, 10)), **(COUNTS | {'center': (5, 5)}), pixel_scale=2.5 * u.arcsec,
                    background='fit')

    @pytest.mark.parametrize(('share', 'noted'), [(0.0, []), (0.05, ['background']), (-0.05, ['background'])])
    def test_five_per_cent_are_seen(self, share, noted):
        sky = self.sky(0.0)
        sky.data += share * sky.data[120:200, 120:200].mean()
        light = prepare(sky, **FULL)
        assert flags(light) == noted
        assert light.meta['SKYLEVEL'] / light.data.mean() == pytest.approx(share, abs=0.015)

    def test_an_annulus_in_a_cluster_is_flagged(self):
        """It takes off the cluster's own light, which is seen afterwards."""
        y, x = np.indices((400, 400)) - 199.5
        halo = 500.0 / (1.0 + (x**2 + y**2) / 60.0**2) ** 1.5
        wide = CCDData(halo + np.random.default_rng(0).normal(0, 2, halo.shape), unit='adu',
                       wcs=tan_wcs((400, 400), 0.5))
        assert flags(prepare(wide, **FULL)) == []
        assert flags(prepare(wide, **FULL, background=(35, 45) * u.arcsec)) == ['background']
        light = prepare(wide, **FULL, background='fit')
        assert flags(light) == [] and light.meta['BKGFROM'] == 'fit'

    def test_light_of_the_cluster_around_the_field_is_none(self):
        """It is looked for as far from the cluster as may be: a halo next to the field is no sky."""
        y, x = np.indices((400, 400)) - 199.5
        halo = 500.0 / (1.0 + (x**2 + y**2) / 50.0**2) ** 2
        light = prepare(CCDData(halo, unit='adu', wcs=tan_wcs((400, 400), 0.5)), **COUNTS)
        assert abs(light.meta['SKYSHARE']) < 0.02 and flags(light) == []

    @pytest.mark.parametrize(('background', 'error', 'rule'), [
        ('annulus', ValueError, 'must lie outside the field, 14.1 arcsec .* but the image only reaches 9.9'),
        ('median', ValueError, "must be None, 'annulus', 'fit', two radii or a level, received 'med"),
        ((30, 20) * u.arcsec, ValueError, 'radii of the background must be two, the smaller one first'),
        ((1, 2, 3) * u.arcsec, ValueError, 'radii of the background must be two'),
        ((30, 40) * u.arcsec, ValueError, 'annulus of the background must have at least 50 good pixels, '
                                          'received 0'),
        ((30, 40) * u.kg, u.UnitConversionError, 'background must have a unit that converts to arcsec'),
        (np.nan, ValueError, 'background must be finite, received nan'),
        (5 * u.Jy, ValueError, "level of the background must be in the unit of the image, 'adu', received "
                               "5.0 Jy"),
        (b'3', TypeError, 'background must be None')])
    def test_wrong(self, background, error, rule):
        with pytest.raises(error, match=rule):
            prepare(image(0.25, 20.0), **COUNTS, background=background)


class TestSeeing:
    def stars(self, fwhm, scale=0.25):
        rng = np.random.default_rng(6)
        number = round(100 / scale)
        wcs = tan_wcs((number, number), scale)
        sample = rng.uniform(-45, 45, 60), rng.uniform(-45, 45, 60), rng.uniform(500, 5000, 60)
        counts = paint(sample, wcs, (number, number), fwhm=fwhm) + rng.normal(0, 1, (number, number))
        return CCDData(counts, unit='adu', wcs=wcs)

    @pytest.mark.parametrize(('fwhm', 'scale'), [(0.8, 0.25), (1.3, 0.6), pytest.param(0.7, 0.12,
                                                                                       marks=pytest.mark.slow)])
    def test_measured_on_stars(self, fwhm, scale):
        how = {name: value for name, value in COUNTS.items() if name != 'seeing'}
        light = prepare(self.stars(fwhm, scale), **how)
        # a Moffat function with beta = 2.5 fitted to Gaussians is a little narrower at half maximum
        assert light.meta['PSFFWHM'] == pytest.approx(fwhm, rel=0.12)
        assert light.meta['SEEFROM'] == 'stars'
        assert light.meta['SEESTARS'] >= 10

    def test_of_mocks(self):
        rng = np.random.default_rng(3)
        place = rng.uniform(-2, 2, (3, 40)) * u.pc
        columns = dict(zip('xyz', place)) | {'mass': np.ones(40) * u.Msun,
                                             'luminosity': np.full(40, 100) * u.Lsun,
                                             'temperature': np.full(40, 5000) * u.K, 'kind': np.full(40, 3)}
        mock = observe(Snapshot(columns, 12 * u.Gyr), distance=15 * u.kpc, seeing=1.1 * u.arcsec, smoothing=0,
                       field_of_view=60 * u.arcsec, oversampling=2)
        # no card has its seeing
        sky = CCDData(mock.light.data, unit='solLum / kpc2', wcs=mock.light.wcs)
        light = prepare(sky, band='V', center=SkyCoord(0, 0, unit='deg'), field_of_view=10 * u.arcsec)
        assert light.meta['PSFFWHM'] == pytest.approx(1.1, rel=0.08)

    def test_better_is_degraded(self):
        how = COUNTS | {'seeing': 0.3 * u.arcsec}
        wcs = tan_wcs((260, 260), 0.15)
        sky = CCDData(paint(SAMPLE, wcs, (260, 260), fwhm=0.3), unit='adu', wcs=wcs)
        light = prepare(sky, smoothing=0, **how)
        # two pixels of the image and the PSF of 0.5 arcsec
        fwhm = np.hypot(0.5, np.sqrt(8 * np.log(2) * 2 / 12) * 0.15)
        same_map(light, fwhm=fwhm, smoothing=0.0, rms=0.15)
        assert light.meta['PSFFWHM'] == 0.5
        assert light.meta['PSFBLUR'] == pytest.approx(0.4)
        same_map(prepare(sky, **how), fwhm=0.5)
        assert prepare(sky, seeing_range=None, **how).meta['PSFFWHM'] == 0.3

    def test_worse_is_flagged(self):
        assert flags(prepare(image(), **(COUNTS | {'seeing': 1.6 * u.arcsec}))) == ['seeing-worse']
        assert flags(prepare(image(), **(COUNTS | {'seeing': SEEING_RANGE[1]}))) == []

    def test_unknown_is_flagged(self):
        light = prepare(image(0.25, offset=(0.0, 0.0)), **(COUNTS | {'seeing': None}), mask=_dotted())
        assert flags(light)[0] == 'seeing-unknown'
        assert light.meta['PSFFWHM'] is None


def _dotted():
    """Bad pixels so close that no star is without one."""
    mask = np.zeros((180, 180), dtype=bool)
    mask[::4, ::4] = True
    return mask


# -- files ----------------------------------------------------------------------------------------


class TestFiles:
    """The same pixels however they are stored."""

    def written(self, path, data, wcs, **cards):
        header = wcs.to_header()
        header.update({'FILTER': 'Johnson V', 'PHOTZP': ZERO_POINT.value, 'BUNIT': 'adu'} | cards)
        fits.PrimaryHDU(data, header).writeto(path)
        return path

    how = {name: COUNTS[name] for name in ('center', 'seeing', 'field_of_view')}

    def test_calibrated_by_its_header(self, small, tmp_path):
        sky, must = small
        light = prepare(self.written(tmp_path / 'a.fits', sky.data, sky.wcs), **self.how)
        np.testing.assert_allclose(light.data, must.data, rtol=1e-9)
        assert light.meta['ZPFROM'] == 'PHOTZP'
        assert light.meta['IMAGE'] == 'a.fits'

    @pytest.mark.parametrize('dtype', ['>f4', '<f4', '>i4', 'u2'])
    def test_kinds_of_pixels(self, small, tmp_path, dtype):
        sky, must = small
        data = np.round(sky.data * 10).astype(dtype)
        path = self.written(tmp_path / 'a.fits', data, sky.wcs, PHOTZP=ZERO_POINT.value + 2.5)
        light = prepare(path, **self.how)
        np.testing.assert_allclose(light.data, must.data, atol=1e-3 * must.data.max())
        array = prepare(data, **(COUNTS | {'center': _pixel(sky), 'zero_point': ZERO_POINT + 2.5 * u.mag}),
                        pixel_scale=0.4 * u.arcsec)
        assert array.data.sum() == pytest.approx(must.data.sum(), rel=0.02)

    def test_blank_integers_are_bad(self, small, tmp_path):
        sky, must = small
        data = np.round(sky.data * 10).astype(np.int32)
        data[40:43, 40:43] = -999
        path = self.written(tmp_path / 'a.fits', data, sky.wcs, PHOTZP=ZERO_POINT.value + 2.5, BLANK=-999)
        light = prepare(path, **self.how)
        assert light.mask.sum() == pytest.approx(9 * 0.4**2 / 0.25**2, abs=4)
        assert light.data.min() >= 0.0

    @pytest.mark.parametrize('method', ['RICE_1', 'GZIP_2', 'HCOMPRESS_1'])
    def test_compressed(self, small, tmp_path, method):
        sky, must = small
        header = sky.wcs.to_header()
        header.update({'FILTER': 'V', 'PHOTZP': ZERO_POINT.value})
        hdu = fits.CompImageHDU(sky.data.astype(np.float32), header, compression_type=method,
                                quantize_level=16)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / 'a.fits.fz')
        light = prepare(tmp_path / 'a.fits.fz', **self.how)
        np.testing.assert_allclose(light.data, must.data, atol=2e-3 * must.data.max())
        assert light.meta['IMAGEHDU'] == '1 COMPRESSED_IMAGE'

    def test_gzipped(self, small, tmp_path):
        sky, must = small
        light = prepare(self.written(tmp_path / 'a.fits.gz', sky.data, sky.wcs), **self.how)
        np.testing.assert_allclose(light.data, must.data, rtol=1e-9)

    def test_an_asinh_scaled_stack(self, small, tmp_path):
        """As Pan-STARRS1 stores its stacks: 2.5 / ln 10 asinh((counts - BOFFSET) / 2 BSOFTEN)."""
        sky, must = small
        stored = 2.5 / np.log(10) * np.arcsinh((100 * sky.data - 3.2) / (2 * 71.5))
        header = sky.wcs.to_header()
        header.update({'EXPTIME': 602.0, 'BSOFTEN': 71.5, 'BOFFSET': 3.2, 'HIERARCH FPA.ZP': 25.0,
                       'HIERARCH FPA.FILTERID': 'g.00000', 'HIERARCH CHIP.SEEING': 'NaN'})
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(stored.astype(np.float32), header,
                                                           quantize_level=64)]
                     ).writeto(tmp_path / 'a.fits')
        light = prepare(tmp_path / 'a.fits', **self.how, colour=-0.3 * u.mag)
        zero = 25.0 + 2.5 * np.log10(602.0) - 0.3
        np.testing.assert_allclose(light.data, must.data * 100 * 10**(-0.4 * (zero - ZERO_POINT.value)),
                                   atol=3e-3 * light.data.max())
        assert light.meta['MAGSYS'] == 'AB'
        assert light.meta['ZPFROM'] == 'FPA.ZP'

    def test_only_the_part_about_the_center_is_read(self, tmp_path):
        """Of a file of 1.6 GB, most of it a hole that no disk holds."""
        wcs = tan_wcs((20000, 20000), 0.4, offset=(7000, -6000))
        header = fits.PrimaryHDU(np.zeros((2, 2), dtype=np.float32), wcs.to_header()).header
        header.update({'NAXIS1': 20000, 'NAXIS2': 20000, 'FILTER': 'V', 'PHOTZP': ZERO_POINT.value})
        x, y = (int(round(float(v))) for v in wcs.world_to_pixel(CENTER))
        block = paint(SAMPLE, wcs[y - 100:y + 100, x - 100:x + 100], (200, 200), scale=0.4)
        text = header.tostring(padding=True).encode()
        with open(tmp_path / 'large.fits', 'wb') as file:
            file.write(text)
            for row in range(200):
                file.seek(len(text) + 4 * (20000 * (y - 100 + row) + x - 100))
                file.write(block[row].astype('>f4').tobytes())
            size = len(text) + 4 * 20000**2
            file.truncate(size + -size % 2880)
        import tracemalloc

        tracemalloc.start()
        light = prepare(tmp_path / 'large.fits', **self.how)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 50e6
        must = expected(truth(SAMPLE, number=80))
        assert light.data.sum() == pytest.approx(must.sum(), rel=0.003)
        with pytest.raises(ValueError, match='more than 4096 pixels to a side is not searched: give center'):
            prepare(tmp_path / 'large.fits', seeing=1 * u.arcsec)


# -- what is known of an image --------------------------------------------------------------------


class TestNotes:
    """What had to be chosen is noted, and the light is that of the choice."""

    def lit(self, small, header, **how):
        """The map of the counts of `small` with other cards; and its light over that of V with ZERO_POINT."""
        sky, must = small
        hdu = fits.PrimaryHDU(sky.data, sky.wcs.to_header())
        hdu.header.update(header)
        how = {name: value for name, value in COUNTS.items() if name not in ('unit', 'zero_point',
                                                                             'band')} | how
        light = prepare(hdu, **how)
        return light, light.data.sum() / must.data.sum()

    def test_a_zero_point_that_may_be_read_in_two_ways(self, small):
        plain = {'FILTER': 'V', 'PHOTZP': ZERO_POINT.value}
        light, ratio = self.lit(small, plain | {'EXPTIME': 100.0})
        assert flags(light) == ['zero-point-reading'] and ratio == pytest.approx(1.0)
        assert light.meta['ZPREAD'] == 'one unit of the pixels'
        assert light.meta['ZPOTHER'] == pytest.approx(ZERO_POINT.value + 5.0)
        light, ratio = self.lit(small, {'FILTER': 'V', 'MAGZPT': ZERO_POINT.value - 5.0, 'EXPTIME': 100.0})
        assert flags(light) == ['zero-point-reading'] and ratio == pytest.approx(1.0)
        assert light.meta['ZPREAD'] == 'one unit a second'
        # an exposure of a second, pixels per second, a second keyword, and what is given, leave no choice
        for header, how in (({'EXPTIME': 1.0}, {}), ({'EXPTIME': 100.0, 'BUNIT': 'adu/s'}, {}),
                            ({'EXPTIME': 100.0, 'MAGZPT': ZERO_POINT.value - 5.0}, {}),
                            ({'EXPTIME': 100.0}, {'zero_point': ZERO_POINT})):
            light, ratio = self.lit(small, plain | header, **how)
            assert flags(light) == [] and ratio == pytest.approx(1.0)

    def test_light_that_no_cluster_has(self, small):
        header = {'FILTER': 'V', 'PHOTZP': ZERO_POINT.value - 10.0, 'EXPTIME': 1e3}
        with pytest.raises(ValueError, match=r'must be that of a cluster, received V = .* with PHOTZP as '
                                             r'that of one unit of the pixels, while it is .* if that is not '
                                             r'so: give zero_point=24.500 mag'):
            self.lit(small, header)
        # where there is no choice it is as it says
        assert self.lit(small, header | {'BUNIT': 'adu/s'})[1] == pytest.approx(10**(0.4 * 10.0))

    def test_brighter_than_the_catalogue(self, small):
        """At the place of NGC 5466, V = 9.04."""
        here = {'CRVAL1': 211.36371, 'CRVAL2': 28.53444, 'FILTER': 'V', 'EXPTIME': 100.0}
        # so near that no star is too bright for a cluster
        where = {'center': 'NGC 5466', 'distance': 0.3 * u.kpc}
        light, ratio = self.lit(small, here | {'PHOTZP': ZERO_POINT.value}, **where)
        magnitude = -2.5 * np.log10(light.data.sum() / apparent_flux(0 * u.mag).value)
        bright = ZERO_POINT.value - (magnitude - 9.04)
        # not yet half a magnitude brighter than the whole
        assert flags(self.lit(small, here | {'PHOTZP': bright - 0.45}, **where)[0]) == ['zero-point-reading']
        with pytest.raises(ValueError, match=r'must be less than that of NGC 5466, V = 9.04, received V = '
                                             r'8.4\d with PHOTZP as that of one unit of the pixels, while it '
                                             r'is 13.4\d if'):
            self.lit(small, here | {'PHOTZP': bright - 0.55}, **where)
        # without another reading it is noted
        light, _ = self.lit(small, here | {'PHOTZP': bright - 0.55, 'EXPTIME': 1.0}, **where)
        assert 'catalogue' in flags(light)
        # and elsewhere it may be
        light, _ = self.lit(small, {'FILTER': 'V', 'PHOTZP': bright - 0.55})
        assert flags(light) == []

    def test_another_band_by_the_header(self, small):
        light, ratio = self.lit(small, {'FILTER': 'R', 'PHOTZP': ZERO_POINT.value}, band='Vj')
        assert flags(light) == ['band'] and light.meta['BANDHEAD'] == 'R' and light.meta['IMGBAND'] == 'V'
        assert ratio == pytest.approx(1.0)

    def test_the_colour_of_an_old_population(self, small):
        light, ratio = self.lit(small, {'FILTER': 'F606W', 'PHOTZP': ZERO_POINT.value - 0.25})
        assert flags(light) == ['colour'] and ratio == pytest.approx(1.0)
        assert (light.meta['COLOUR'], light.meta['COLERR'], light.meta['COLFROM']) == (0.25, 0.03,
                                                                                       'old population')
        light, ratio = self.lit(small, {'FILTER': 'F606W', 'PHOTZP': ZERO_POINT.value - 0.25},
                                colour=0.25 * u.mag)
        assert flags(light) == [] and ratio == pytest.approx(1.0)

    def test_electrons_with_a_gain(self, small):
        light, ratio = self.lit(small, {'FILTER': 'V', 'PHOTZP': ZERO_POINT.value, 'BUNIT': 'electron',
                                        'GAIN': 2.5})
        assert flags(light) == ['gain'] and light.meta['GAIN'] == 2.5 and ratio == pytest.approx(1.0)
        for cards in ({'BUNIT': 'adu', 'GAIN': 2.5}, {'BUNIT': 'electron', 'GAIN': 1.0}):
            assert flags(self.lit(small, {'FILTER': 'V', 'PHOTZP': ZERO_POINT.value} | cards)[0]) == []


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(('how', 'error', 'rule'), [
    ({'zero_point': None}, ValueError, "an image in adu needs a zero point, and its header has none of "
                                       "PHOTZP"),
    ({'band': None}, ValueError, 'the image does not say its band: give band, such as V'),
    ({'band': 'F435W'}, ValueError, "the image is in 'F435W', not in V: give colour, the magnitude V - F435W "
                                    "of the cluster"),
    ({'band': None, 'zero_point': None}, ValueError,
     r'CCDData lacks a zero point and the band: give zero_point \(.*\), band \(such as V\)'),
    ({'zero_point': -20 * u.mag}, ValueError,
     r'the light in the field must be that of a cluster, received V = -\d+'),
    ({'seeing': 'good'}, ValueError, 'seeing must be a number with a unit, such as "5 arcsec", received'),
    ({'extinction': 'much'}, ValueError, "extinction must be a magnitude or 'catalogue', received 'much'"),
    ({'seeing': 1.0}, TypeError, 'seeing must be an astropy Quantity in arcsec'),
    ({'seeing': (1, 2) * u.arcsec}, ValueError,
     r'seeing must be a scalar, received an array of shape \(2,\)'),
    ({'seeing_range': 1 * u.arcsec}, ValueError, 'seeing_range must be two angles, the smaller one first'),
    ({'seeing_range': (2, 1) * u.arcsec}, ValueError, 'seeing_range must be two angles'),
    ({'pixel_scale': 0.3 * u.arcsec}, ValueError, 'pixel_scale must be that of the world coordinates, 0.4 '
                                                  'arcsec, or be '),
    ({'field_of_view': 40.1 * u.arcsec}, ValueError, 'a whole number of pixels of 0.25 arcsec, received '
                                                     '40.1 arcsec'),
    ({'farthest': 50 * u.kpc}, ValueError,
     "farthest goes with field_of_view='auto', received 50.0 kpc without it"),
    ({'field_of_view': 'auto', 'farthest': -1 * u.kpc}, ValueError, 'farthest must be positive'),
    ({'field_of_view': 'auto', 'output_pixel_scale': 1 * u.arcsec}, ValueError,
     "output_pixel_scale must be left out with field_of_view='auto', received 1.0 arcsec"),
    ({'field_of_view': 'wide'}, ValueError, 'field_of_view must be a number with a unit'),
    ({'output_pixel_scale': -1 * u.arcsec}, ValueError, 'output_pixel_scale must be positive'),
    ({'output_pixel_scale': (1, 1) * u.arcsec}, ValueError, 'output_pixel_scale must be a scalar'),
    ({'smoothing': 161.0}, ValueError, 'smoothing must be of no more pixels than the map has, 80, received'),
    ({'grid': (160, 160)}, TypeError, r'grid must be a MapGrid, received \(160, 160\)'),
    ({'smoothing': -1}, ValueError, 'smoothing must be a number of pixels, at least 0, received -1'),
    ({'min_coverage': 2}, ValueError, 'min_coverage must be from 0 to 1, received 2'),
    ({'hdu': 1}, ValueError, 'hdu is for FITS files, received hdu=1 with CCDData'),
    ({'mask': np.zeros((3, 3))}, ValueError,
     r'mask must have the shape of the image, \(90, 90\), received \(3, 3\)'),
    ({'weight': -np.ones((90, 90))}, ValueError, 'weights and uncertainties must not be negative, received '
                                                 '-1')])
def test_refused(small, how, error, rule):
    with pytest.raises(error, match=rule):
        prepare(small[0], **(COUNTS | how))


def test_all_that_is_missing_is_named_at_once(small):
    with pytest.raises(ValueError, match=r'^array lacks a zero point, the band and a scale: give '
                                         r'zero_point \(magnitude of one unit of the pixels\), band \(such '
                                         r'as V\), pixel_scale \(side of a pixel\)$'):
        prepare(small[0].data)


def test_options_that_there_are_not(small):
    for name, meant in (('wait', 'weight'), ('zeropoint', 'zero_point'), ('centre', 'center')):
        with pytest.raises(TypeError, match=f"an image has no option '{name}': did you mean {meant}"):
            prepare(small[0], **{name: 1})
    with pytest.raises(TypeError,
                       match="an image has no option 'xyzzy', it has grid, hdu, unit, .*wcs_frame$"):
        prepare(small[0], xyzzy=1)


def test_no_pixel_scale(small):
    with pytest.raises(ValueError, match='array has no world coordinates: give pixel_scale, the side of a '
                                         'pixel'):
        prepare(small[0].data, **COUNTS)


def test_all_bad(small):
    with pytest.raises(ValueError, match='has no good pixel where the cluster is'):
        prepare(CCDData(np.full((90, 90), np.nan), unit='adu', wcs=small[0].wcs), **COUNTS)


def test_dark_is_flagged(small):
    dark = CCDData(-small[0].data, unit='adu', wcs=small[0].wcs)
    assert 'no-light' in flags(prepare(dark, **COUNTS))


@pytest.mark.parametrize(('cards', 'rule'), [
    ({'CD1_2': 0.4 / 3600, 'CD2_1': -0.4 / 3600}, 'make pixels without an area'),
    ({'CD1_2': 0.4 / 3600, 'CD2_1': -0.4 / 3600 * (1 + 1e-9)}, 'make pixels without an area'),
    ({'CD2_2': 4 / 3600}, 'must be about square, received sides of 0.4 and 4 arcsec, 90 degrees apart'),
    ({'CD1_2': 0.4 / 3600}, None),
    ({'CD1_2': 4 / 3600, 'CD2_2': 0.4 / 3600}, 'must be about square, received sides of 0.4 and 4.02 arcsec'),
    ({'CD1_1': -1e50, 'CD2_2': 1e50}, 'pixels of .* must be smaller than a degree, received .* degrees'),
    ({'CD1_1': -1e-9 / 3600, 'CD2_2': 1e-9 / 3600}, 'at least 1 arcsec wide, received 9.*e-08 arcsec, with '
     "pixels of 1.*e-09 arcsec by its world coordinates: correct them, or give wcs_frame='none'"),
    ({'CTYPE1': 'RA---XXX', 'CTYPE2': 'DEC--XXX'}, 'world coordinates of PrimaryHDU.0 PRIMARY. are not '
                                                   'understood'),
    ({'CRPIX1': 1e7, 'CTYPE1': 'RA---SIN', 'CTYPE2': 'DEC--SIN'}, 'give no position for its middle')])
def test_broken_world_coordinates(small, cards, rule):
    """Refused at once, with no search of stars as wide as the image."""
    header = fits.Header({'CTYPE1': 'RA---TAN', 'CTYPE2': 'DEC--TAN', 'CRVAL1': 10.0, 'CRVAL2': 20.0,
                          'CRPIX1': 45.5,
                          'CRPIX2': 45.5, 'CD1_1': -0.4 / 3600, 'CD2_2': 0.4 / 3600} | cards)
    how = COUNTS | {'unit': None, 'center': (44.5, 44.5), 'field_of_view': 10 * u.arcsec}
    if rule is None:
        # sheared by 45 degrees is far, but not too far
        assert prepare(fits.PrimaryHDU(small[0].data, header), **how).data.sum() > 0.0
        return
    with pytest.raises(ValueError, match=rule):
        prepare(fits.PrimaryHDU(small[0].data, header), **how)


def test_coordinates_in_which_pixels_fall_on_one_line(small):
    """So far from the tangential point that numbers have no digits left; the middle looks as it should."""
    header = fits.Header({'CTYPE1': 'RA---TAN', 'CTYPE2': 'DEC--TAN', 'CRVAL1': 10.0, 'CRVAL2': 20.0,
                          'CRPIX1': 45.5, 'CRPIX2': 45.5, 'CD1_1': -0.4 / 3600, 'CD1_2': 9e59,
                          'CD2_1': 3e-5, 'CD2_2': 0.4 / 3600})
    options = COUNTS | {'unit': None, 'center': (45.0, 45.0)}
    with pytest.raises(ValueError, match='must be about square, received sides of 0.414 and 3.24e.05 arcsec'):
        prepare(fits.PrimaryHDU(small[0].data, header), **options)


def test_every_flag_is_met():
    """In these files, in a comparison."""
    folder = Path(__file__).parent
    text = ''.join((folder / f'test_{name}.py').read_text(encoding='utf-8')
                   for name in ('preparation', 'calibration', 'missing', 'stars'))
    text += (folder.parent / 'test_cases.py').read_text(encoding='utf-8')
    assert [flag for flag in IMAGE_FLAGS if f"'{flag}'" not in text] == []


# -- real files -----------------------------------------------------------------------------------


class TestM13:
    """SkyView's image of the core of M 13: 300 x 300 pixels of 1 arcsec, without a band or a zero point."""

    @pytest.mark.parametrize('name', ['m13', 'm13real', 'm13_rice', 'm13_gzip', 'm13_hcomp'])
    def test_photometry_needs_a_zero_point(self, name):
        path = shared(f'images/{name}.fits')
        with pytest.raises(ValueError, match='lacks a zero point and the band: give zero_point'):
            prepare(path)
        with pytest.raises(ValueError, match='the image does not say its band'):
            prepare(path, zero_point=22 * u.mag)

    def test_answers_when_one_is_given(self):
        how = {'zero_point': 22 * u.mag, 'band': 'V', 'background': 'annulus'}
        light = prepare(shared('images/m13.fits'), **how)
        assert light.shape == (160, 160)
        # Harris 2010
        cluster = SkyCoord('16h41m41.24s +36d27m35.5s')
        assert light.wcs.pixel_to_world(79.5, 79.5).separation(cluster).arcsec < 8.0
        assert 2.0 < light.meta['PSFFWHM'] < 4.0
        assert flags(light) == ['seeing-worse']
        rice = prepare(shared('images/m13_rice.fits'), **how)
        np.testing.assert_allclose(rice.data, light.data, rtol=1e-6)
        # the same, one count and a sky of 0.84 counts more
        other = prepare(shared('images/m13real.fits'), **how)
        assert other.data.sum() == pytest.approx(light.data.sum(), rel=1e-3)

    def test_the_light_is_that_of_the_counts(self):
        level, zero = 116.0, 22.0
        light = prepare(shared('images/m13.fits'), zero_point=zero * u.mag, band='V', background=level,
                        center='M 13')
        counts = fits.getdata(shared('images/m13.fits')).astype(float)
        wcs = WCS(fits.getheader(shared('images/m13.fits')))
        x, y = wcs.world_to_pixel(SkyCoord('16h41m41.24s +36d27m35.5s'))
        rows, columns = np.indices(counts.shape)
        inside = (np.abs(rows - y) < 20) & (np.abs(columns - x) < 20)
        must = apparent_flux(zero * u.mag).value * np.sum(counts[inside] - level)
        # pixels at the edge, and what the smoothing carries over it
        assert light.data.sum() == pytest.approx(must, rel=0.03)

    def test_the_sky_that_is_left_is_flagged(self):
        light = prepare(shared('images/m13.fits'), zero_point=22 * u.mag, band='V')
        assert 'background' in flags(light)


class TestPal13:
    """A CCD of DECam in r: TPV, with weight and mask beside; 26 arcsec wide."""

    folder = 'images/decam_pal13/c4d_170916_045042'
    how = {'colour': 0.3 * u.mag, 'field_of_view': 20 * u.arcsec, 'center': (50, 50),
           'seeing': 1.2 * u.arcsec}

    def test_reads(self):
        light = prepare(shared(f'{self.folder}_ooi_r_ls9.N15.fits'), **self.how,
                        weight=shared(f'{self.folder}_oow_r_ls9.N15.fits'),
                        mask=shared(f'{self.folder}_ood_r_ls9.N15.fits'), background=369 * u.adu)
        assert light.meta['IMGBAND'] == 'r'
        assert light.meta['IMGZP'] == 30.12
        assert light.meta['IMGSCALE'] == pytest.approx(0.2626, abs=0.001)
        assert light.meta['COVERAGE'] == 1.0
        # 68 arcsec off the cluster
        assert flags(light) == ['no-cluster']
        # the noise of blank sky is what the weights say
        scatter = np.median(np.abs(light.data - np.median(light.data)))
        assert scatter < 2.0 * np.median(light.uncertainty.array)

    def test_two_zero_points(self):
        """25.241 of a count a second (CCD table) and 30.12 of one (header), EXPTIME = 101: 0.13 mag apart."""
        path = shared(f'{self.folder}_ooi_r_ls9.N15.fits')
        with pytest.raises(ValueError, match='30.120 mag by MAGZERO in the header; received 25.241 mag, '
                                             'which looks like one count a second: then give exposure=101 s '
                                             'too'):
            prepare(path, **self.how, zero_point=25.241 * u.mag)
        ours = prepare(path, **self.how, background=369 * u.adu)
        theirs = prepare(path, **self.how, background=369 * u.adu, zero_point=25.241 * u.mag,
                         exposure=101 * u.s)
        assert flags(theirs) == ['zero-point', 'no-cluster']
        assert theirs.meta['IMGZP'] == pytest.approx(30.252, abs=1e-3)
        assert theirs.meta['ZPHEADER'] == 30.12
        np.testing.assert_allclose(theirs.data, ours.data * 10**(-0.4 * 0.1318), rtol=1e-4)

    def test_does_not_fill_the_field(self):
        with pytest.raises(ValueError, match='good pixels in 50 % of the field, received 43 %'):
            prepare(shared(f'{self.folder}_ooi_r_ls9.N15.fits'),
                    **(self.how | {'field_of_view': 40 * u.arcsec}))

    def test_band_is_not_v(self):
        path, how = shared(f'{self.folder}_ooi_r_ls9.N15.fits'), self.how | {'background': 369 * u.adu}
        corrected = prepare(path, **how)
        assert 'colour' not in flags(corrected)
        how.pop('colour')
        found, given = prepare(path, **how), prepare(path, **how, band='V')
        assert 'colour' in flags(found) and found.meta['COLOUR'] == 0.26
        np.testing.assert_allclose(found.data, given.data * 10**(-0.4 * 0.26), rtol=1e-4)
        assert 'band' in flags(given) and given.meta['BANDHEAD'] == 'r'


def test_m61_of_hips2fits_is_refused():
    path = shared('ps1/panstarrs-g-m61.fits')
    for how in ({}, {'zero_point': 25 * u.mag, 'band': 'g', 'colour': -0.3 * u.mag}):
        with pytest.raises(ValueError, match='an image of hips2fits has no photometry'):
            prepare(path, **how)


def test_header_of_a_real_stack(small):
    """All cards of a native stack of Pan-STARRS1: band, zero point, and its coordinates."""
    lines = shared('ps1/skycell.1784.059.stk.g.unconv.hdr.txt').read_text().splitlines()
    cards = [fits.Card.fromstring(line.ljust(80)) for line in lines if not line.startswith('END')]
    skip = ('XTENSION', 'BITPIX', 'NAXIS', 'PCOUNT', 'GCOUNT', 'TFIELDS', 'TTYPE', 'TFORM', 'Z', 'BZERO',
            'BSCALE',
            'BLANK', 'CRPIX')
    header = fits.Header([card for card in cards if not card.keyword.startswith(skip)])
    header['CRPIX1'], header['CRPIX2'] = 45.5, 45.5
    counts = 3000 * small[0].data
    stored = 2.5 / np.log(10) * np.arcsinh((counts - header['BOFFSET']) / (2 * header['BSOFTEN']))
    light = prepare(fits.ImageHDU(stored, header), colour=-0.3 * u.mag, center=(44.5, 44.5),
                    seeing=1.2 * u.arcsec,
                    field_of_view=15 * u.arcsec)
    assert light.meta['IMGBAND'] == 'g'
    assert light.meta['IMGZP'] == pytest.approx(25 + 2.5 * np.log10(602))
    assert light.meta['IMGSCALE'] == pytest.approx(0.25, abs=1e-4)
    around = slice(15, 75)
    must = apparent_flux((light.meta['IMGZP'] - 0.3) * u.mag).value * counts[around, around].sum()
    assert light.data.sum() == pytest.approx(must, rel=0.05)


# -- the table of the documentation ---------------------------------------------------------------


def refused_rows():
    """Input and message of each row of the table in docs/image_messages.rst, if it is there."""
    page = Path(pidoc.__file__).resolve().parents[1] / 'docs' / 'image_messages.rst'
    if not page.exists():
        return []
    text = page.read_text(encoding='utf-8').split('Rejected input')[1]
    rows = re.findall(r'^   \* - (.*?)\n     - (.*?)(?=\n   \* -|\n\n|\Z)', text, re.DOTALL | re.MULTILINE)
    return [tuple(' '.join(cell.split()) for cell in row) for row in rows][1:]


def test_every_note_is_in_the_table():
    page = Path(pidoc.__file__).resolve().parents[1] / 'docs' / 'image_messages.rst'
    if not page.exists():
        pytest.skip('the documentation is not here')
    notes = page.read_text(encoding='utf-8').split('\nNotes\n-----')[1].split('\nRejected input\n')[0]
    first, second = (re.findall(r'^   \* - ``(.*)``\n     - \S.*', part, re.MULTILINE)
                     for part in notes.split('A further note'))
    assert first == list(IMAGE_FLAGS)
    features = {feature.name for feature in FEATURES}
    assert second == [flag.name for flag in FLAGS if flag.name not in features]


def _header(**cards):
    """Of an image of 90 x 90 pixels of 0.4 arcsec."""
    return fits.Header({'CTYPE1': 'RA---TAN', 'CTYPE2': 'DEC--TAN', 'CRVAL1': CENTER.ra.deg,
                        'CRVAL2': CENTER.dec.deg, 'CRPIX1': 45.5, 'CRPIX2': 45.5, 'CD1_1': -0.4 / 3600,
                        'CD2_2': 0.4 / 3600} | cards)


def _hdu(**cards):
    return fits.PrimaryHDU(np.ones((90, 90)), _header(**cards))


def _bytes(tmp_path, content):
    path = tmp_path / 'a.fits'
    path.write_bytes(content)
    return path


def _cut_short(tmp_path):
    path = tmp_path / 'a.fits'
    _hdu(FILTER='V').writeto(path)
    path.write_bytes(path.read_bytes()[:20000])
    return path


def _big():
    # of which nothing is read
    shape = 20000, 20000
    return CCDData(np.broadcast_to(np.float32(1), shape), unit='adu', wcs=tan_wcs(shape, 0.4))


PLAIN = {name: value for name, value in COUNTS.items() if name not in ('unit', 'zero_point', 'band')}
DECAM = 'images/decam_pal13/c4d_170916_045042_ooi_r_ls9.N15.fits'
REFUSED = {
    "SkyView's image of M 13, as downloaded": lambda s, t: prepare(shared('images/m13.fits')),
    'the same with a zero point': lambda s, t: prepare(shared('images/m13.fits'), zero_point=22 * u.mag),
    'a zero point of -20 instead of 27': lambda s, t: prepare(s, **(COUNTS | {'zero_point': -20 * u.mag})),
    'an image in F435W': lambda s, t: prepare(_hdu(FILTER='F435W', PHOTZP=25.0), **PLAIN),
    'an array and nothing else': lambda s, t: prepare(s.data),
    'an image in r given as the g image of two': lambda s, t: prepare(
        {'g': _hdu(FILTER='r', PHOTZP=25.0), 'r': _hdu(FILTER='r', PHOTZP=25.0)}, **PLAIN),
    'a zero point that gives a light no cluster has': lambda s, t: prepare(
        _hdu(FILTER='V', PHOTZP=13.0, EXPTIME=600.0), **PLAIN),
    'a DECam image of 101 s (MAGZERO = 30.12) with the zero point for one second': lambda s, t: prepare(
        shared(DECAM), **TestPal13.how, zero_point=25.241 * u.mag),
    'a header with two zero points that differ': lambda s, t: prepare(
        _hdu(FILTER='V', PHOTZP=25.0, MAGZP=25.3), **PLAIN),
    'a Pan-STARRS1 header without EXPTIME': lambda s, t: prepare(
        _hdu(FILTER='V', **{'HIERARCH FPA.ZP': 25.0}), **PLAIN),
    'PHOTFLAM alone': lambda s, t: prepare(_hdu(FILTER='V', PHOTFLAM=1e-19), **PLAIN),
    'PHOTFLAM without BUNIT': lambda s, t: prepare(
        _hdu(FILTER='V', PHOTFLAM=1e-19, PHOTPLAM=5000.0, EXPTIME=9.0), **PLAIN),
    'a zero point for an image in Jy': lambda s, t: prepare(s.data * u.Jy, zero_point=25 * u.mag, band='V'),
    "BUNIT = 'Jy/beam', 'K', 'mag'": lambda s, t: prepare(_hdu(FILTER='V', BUNIT='Jy/beam'), **PLAIN),
    'an image of hips2fits (M 61)': lambda s, t: prepare(shared('ps1/panstarrs-g-m61.fits')),
    'BSOFTEN without BOFFSET': lambda s, t: prepare(_hdu(FILTER='V', PHOTZP=25.0, BSOFTEN=1.0), **PLAIN),
    'an array, or a file without coordinates': lambda s, t: prepare(s.data, **COUNTS),
    'another pixel scale than that of the coordinates': lambda s, t: prepare(
        s, **COUNTS, pixel_scale=0.3 * u.arcsec),
    'coordinates with a singular matrix': lambda s, t: prepare(
        _hdu(CD1_2=0.4 / 3600, CD2_1=-0.4 / 3600), **(COUNTS | {'unit': None})),
    'coordinates of an unknown projection': lambda s, t: prepare(
        _hdu(CTYPE1='RA---XXX', CTYPE2='DEC--XXX'), **(COUNTS | {'unit': None})),
    'a position that is not on the image': lambda s, t: prepare(
        image(0.25, 70.0), **(COUNTS | {'center': SkyCoord(227.0, 28.5, unit='deg')})),
    'a position for an image without coordinates': lambda s, t: prepare(
        s.data, **COUNTS, pixel_scale=0.4 * u.arcsec),
    "'NGC 99999'": lambda s, t: prepare(s, **(COUNTS | {'center': 'NGC 99999'})),
    '20000 x 20000 pixels without ``center``': lambda s, t: prepare(_big(), **(COUNTS | {'center': None})),
    'the same value in all pixels': lambda s, t: prepare(_hdu(), **(COUNTS | {'center': None, 'unit': None})),
    'NaN everywhere': lambda s, t: prepare(
        CCDData(np.full((90, 90), np.nan), unit='adu', wcs=s.wcs), **COUNTS),
    'a CCD of 26 arcsec': lambda s, t: prepare(
        shared(DECAM), **(TestPal13.how | {'field_of_view': 40 * u.arcsec})),
    "a sky of 900 counts, ``background='fit'`` and 40 arcsec of a cluster": lambda s, t: prepare(
        CCDData(image(0.4, 40.0).data + 900.0, unit='adu', wcs=image(0.4, 40.0).wcs), **FULL,
        background='fit'),
    "'annulus' for an image no larger than the field": lambda s, t: prepare(
        image(0.25, 40.0), **FULL, background='annulus'),
    'a level of the background in another unit': lambda s, t: prepare(s, **COUNTS, background=5 * u.Jy),
    'a smoothed map, where an unsmoothed one was asked for': lambda s, t: prepare(
        prepare(s, **COUNTS), smoothing=0, field_of_view=20 * u.arcsec),
    'g and i': lambda s, t: prepare({'g': s, 'i': s}),
    'the same file as g and r': lambda s, t: prepare({'g': 'a.fits', 'r': 'a.fits'}),
    'two bands, one of them without light': lambda s, t: prepare(
        {'g': CCDData(-s.data, unit='adu', wcs=s.wcs), 'r': s}, zero_point=26 * u.mag, center=CENTER,
        seeing=1 * u.arcsec, field_of_view=20 * u.arcsec),
    'a file with several images': lambda s, t: prepare(fits.HDUList(
        [fits.PrimaryHDU(), *(fits.ImageHDU(s.data, name=name) for name in 'AB')])),
    'a table': lambda s, t: prepare(shared('images/decam_pal13/survey-ccds-1.fits.gz')),
    'a plane that does not exist': lambda s, t: prepare(np.ones((2, 3, 4)), **COUNTS, plane=2),
    "RADESYS = 'GAPPT'": lambda s, t: prepare(_hdu(RADESYS='GAPPT'), **PLAIN),
    'oblong pixels, or two axes that are nearly parallel': lambda s, t: prepare(
        _hdu(CD2_2=4 / 3600), **(COUNTS | {'unit': None})),
    'pixels of 1e-9 arcsec': lambda s, t: prepare(
        _hdu(CD1_1=-1e-9 / 3600, CD2_2=1e-9 / 3600), **(COUNTS | {'unit': None})),
    'PHOTPLAM in nm': lambda s, t: prepare(
        _hdu(PHOTFLAM=1e-19, PHOTPLAM=550.0), **{k: v for k, v in COUNTS.items() if k != 'zero_point'}),
    'a cube': lambda s, t: prepare(np.ones((2, 3, 4)), **COUNTS),
    'an error page of a server': lambda s, t: prepare(_bytes(t, b'<html>sorry</html>')),
    'a truncated file': lambda s, t: prepare(_cut_short(t), **PLAIN),
    'mask or weight of another shape': lambda s, t: prepare(s, **COUNTS, mask=np.zeros((3, 3))),
    'negative weights': lambda s, t: prepare(s, **COUNTS, weight=-np.ones((90, 90))),
    'a ``.wt`` image of Pan-STARRS1 as ``weight``': lambda s, t: prepare(
        s, **COUNTS, weight=fits.PrimaryHDU(np.ones((90, 90)), fits.Header(
            {'HIERARCH FPA.FILTER': 'g.00000', 'HIERARCH FPA.TELESCOPE': 'PS1', 'STK_TYPE': 'DEEP_STACK'}))),
    "``extinction='catalogue'`` without the name of a cluster": lambda s, t: prepare(
        s, **COUNTS, extinction='catalogue'),
    "``extinction='harris'``": lambda s, t: prepare(s, **COUNTS, extinction='harris'),
    "``extinction='catalogue'`` for an image that is already corrected": lambda s, t: prepare(
        _hdu(FILTER='V', PHOTZP=25.0, EXTCORR=0.3), center='NGC 5466', extinction='catalogue'),
}


def test_every_row_is_tried():
    rows = refused_rows()
    if not rows:
        pytest.skip('the documentation is not here')
    assert sorted(row[0] for row in rows) == sorted(REFUSED)


@pytest.mark.parametrize(('what', 'message'), refused_rows())
def test_refused_as_the_table_says(what, message, small, tmp_path):
    said = re.escape(message.replace('``', '')).replace(r'\.\.\.', '.*')
    with pytest.raises((ValueError, TypeError, OSError)) as error:
        REFUSED[what](small[0], tmp_path)
    assert re.match(said, ' '.join(str(error.value).split())), str(error.value)


def test_extinction_of_a_cluster_without_one(small):
    """Baumgardt & Hilker have some that Harris has not."""
    from pidoc.catalogs import clusters

    table = clusters()
    name = str(table['name'][np.flatnonzero(table['reddening'].mask)[0]])
    with pytest.raises(ValueError, match='the reddening of .* is in no catalogue here: give extinction'):
        prepare(small[0], **(COUNTS | {'center': name}), extinction='catalogue')


# -- what the header or a mask says that cannot be ---------------------------------------------------


@pytest.mark.parametrize(('cards', 'message'), [
    ((('FILTER', 'V'), ('FILTER', 'R'), ('PHOTZP', 25.0)),
     "does not say its band: give band, such as V; the header has FILTER twice, with 'V' and 'R'"),
    ((('FILTER', 'V'), ('PHOTZP', 25.0), ('PHOTZP', 26.0)),
     'give .*; the header has PHOTZP twice, with 25.0 and 26.0'),
    ((('FILTER', 'V'), ('FILTER', 'R'), ('MAGZERO', 25.0), ('MAGZERO', 26.0)),
     "lacks a zero point and the band: give .*; the header has FILTER twice, with 'V' and 'R', MAGZERO "
     'twice'),
    ((('FILTER', 'V'), ('HIERARCH FPA.ZP', 25.0), ('EXPTIME', 10.0), ('EXPTIME', 20.0)),
     'the header has EXPTIME twice, with 10 and 20: give zero_point, and exposure if it is of one count a s'),
    ((('FILTER', 'V'), ('MAGZPT', 25.0), ('EXPTIME', 10.0), ('EXPTIME', 20.0)),
     'MAGZPT is of one count a second and the header has EXPTIME twice, with 10 and 20: give zero_point'),
    ((('FILTER', 'V'), ('PHOTZP', 25.0), ('BUNIT', 'adu'), ('BUNIT', 'electron')),
     "the header has BUNIT twice, with 'adu' and 'electron': give unit")])
def test_cards_that_are_there_twice_are_told(cards, message, small):
    header = small[0].wcs.to_header()
    header.extend(cards)
    unit = None if 'BUNIT' in header else 'adu'
    with pytest.raises(ValueError, match=message):
        prepare(fits.PrimaryHDU(small[0].data, header), unit=unit, center=CENTER)


@pytest.mark.parametrize('cards', [
    (('EXPTIME', 100.0), ('EXPTIME', '100.0 s')), (('FILTER', 'Johnson V'),), (('BUNIT', 'ADU '),),
    (('HIERARCH FPA.ZP', '22.0'),), (('EQUINOX', 2000.0), ('EQUINOX', '2000'))])
def test_cards_that_are_there_twice_and_agree(cards, small):
    header = small[0].wcs.to_header()
    header.extend([('FILTER', 'V'), ('BUNIT', 'adu'), ('HIERARCH FPA.ZP', 22.0), ('EXPTIME', 100.0)])
    light = prepare(fits.PrimaryHDU(small[0].data, header), center=CENTER)
    header.extend(cards)
    again = prepare(fits.PrimaryHDU(small[0].data, header), center=CENTER)
    assert np.nansum(again.data) == np.nansum(light.data) and again.meta['FLAGS'] == light.meta['FLAGS']


@pytest.mark.parametrize('center', [CENTER, None])
def test_a_mask_of_good_pixels_is_named(center, small):
    """The reason, rather than options of the place and the coverage, which do not help."""
    mask = np.ones(small[0].data.shape, dtype=np.uint8)
    images = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(mask, name='BPM'),
                           fits.ImageHDU(small[0].data, small[0].wcs.to_header(), name='SCI')])
    how = COUNTS | {'center': center}
    with pytest.raises(ValueError, match='the mask BPM of HDUList.* must leave good pixels about the '
                                         'cluster, received 100 % that are bad by it: give good_bits'):
        prepare(images, **how)
    mask[3, 4] = 0
    with pytest.raises(ValueError, match='the mask BPM of .* if it is 0 where pixels are bad, give weight'):
        prepare(images, **how)
    if center is not None:
        assert prepare(images, **how, good_bits=1).meta['COVERAGE'] > 0.9


def test_a_scale_that_is_far_too_small():
    with pytest.raises(ValueError, match='at least 1 arcsec wide, received 0.09 arcsec, with pixels of 0.001 '
                                         'arcsec by pixel_scale: give another pixel_scale'):
        prepare(np.ones((90, 90)), pixel_scale=0.001 * u.arcsec, band='V', zero_point=25 * u.mag)


@pytest.mark.parametrize('scale', [7.0, 30.0])
@pytest.mark.parametrize('distance', [None, 15 * u.kpc])
def test_pixels_larger_than_stars(scale, distance):
    """Of a very coarse image, nothing is too compact."""
    y, x = np.mgrid[:90, :90] - 44.5
    counts = 500 / (1 + (x**2 + y**2) / 15**2) ** 2
    light = prepare(counts, pixel_scale=scale * u.arcsec, zero_point=25 * u.mag, band='V', distance=distance,
                    seeing=2 * scale * u.arcsec, center=(44.5, 44.5), field_of_view=40 * u.arcsec)
    assert 'coarse-pixels' in light.meta['FLAGS'] and light.data.sum() > 0.0
