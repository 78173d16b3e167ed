# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""From stacks to a V map: a cluster goes through the survey's format and comes back."""

import logging
import math
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, VarianceUncertainty
from astropy.stats import gaussian_fwhm_to_sigma

from pidoc.grid import APPARENT_FLUX
from pidoc.image.ps1 import files as ps1
from pidoc.image.ps1 import stacks as ps1_map
from pidoc.image.ps1.stacks import Frame, make_v_map, matching_kernel, measure_psf, Psf
from pidoc.mock.observation import observe
from pidoc.photometry import ps1_to_johnson
from pidoc.tests import ps1_sky as sky


def frames(survey, *, form='cutout', size=640):
    """Band -> frames, through files in the survey's format."""
    readers = {'stack': ps1.read_stack, 'wt': ps1.read_variance, 'mask': ps1.read_mask}
    result = {}
    for band in 'gr':
        result[band] = []
        for cell, *_ in survey.cells:
            read = {}
            for kind, reader in readers.items():
                name = survey.filename(cell, band, kind)
                path = survey.folder / 'file.fits'
                path.write_bytes(survey.skycell(name) if form == 'skycell' else
                                 survey.cutout(name, sky.CENTRE.ra.deg, sky.CENTRE.dec.deg, size))
                read[kind] = reader(path)
            result[band].append(Frame(stack=read['stack'], variance=read['wt'][0], mask=read['mask'][0]))
    return result


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('ps1')


@pytest.fixture(scope='module')
def clean(folder):
    """Frames of one skycell without noise, and the map."""
    found = frames(sky.Survey(folder, noise=False), form='skycell')
    return found, make_v_map(found['g'], found['r'], sky.CENTRE)


@pytest.fixture(scope='module')
def noisy(folder):
    found = frames(sky.Survey(folder))
    return found, make_v_map(found['g'], found['r'], sky.CENTRE)


@pytest.fixture(scope='module')
def truth():
    """The same cluster as `observe` sees it in V, through the broader of the two seeings."""
    return observe(sky.snapshot(), distance=sky.DISTANCE, seeing=1.3 * u.arcsec, band='V',
                   correction='kurucz1992', oversampling=10, centre=sky.CENTRE)


# a smaller map, with the seeing told, takes a quarter of the time
SMALL = {'psf_fwhm': (1.3 * u.arcsec, 1.1 * u.arcsec), 'field_of_view': 20 * u.arcsec}


def elements(image, side=10):
    """Sums over resolution elements of 2.5 arcsec."""
    number = image.shape[0] // side
    return image.reshape(number, side, number, side).sum(axis=(1, 3))


class TestRoundTrip:
    def test_where_and_what(self, clean, truth):
        image = clean[1]
        assert image.shape == truth.light.shape == (160, 160)
        assert image.unit == APPARENT_FLUX
        for place in ((0, 0), (80, 20), (159, 159)):
            here, there = image.wcs.pixel_to_world(*place), truth.light.wcs.pixel_to_world(*place)
            assert here.separation(there) < 0.001 * u.arcsec

    def test_light_is_kept(self, clean):
        """0.02 mag in each resolution element, 2 % in the field; the truth is the V of each star."""
        image = clean[1]
        expected = sky.v_by_star('kostov2018', image.wcs, 160)
        difference = -2.5 * np.log10(elements(image.data) / elements(expected))
        assert np.abs(difference).max() < 0.02
        assert np.std(difference) < 0.006
        assert image.data.sum() == pytest.approx(expected.sum(), rel=0.005)

    @pytest.mark.slow
    def test_light_is_kept_by_the_other_relation(self, clean):
        found = clean[0]
        image = make_v_map(found['g'], found['r'], sky.CENTRE, relation='tonry2012')
        expected = sky.v_by_star('tonry2012', image.wcs, 160)
        difference = -2.5 * np.log10(elements(image.data) / elements(expected))
        assert np.abs(difference).max() < 0.02

    def test_beside_the_mock_observation(self, clean, truth):
        """`observe` has another relation, by which the cluster is 0.015 mag fainter; this is recorded."""
        image = clean[1]
        assert image.data.sum() == pytest.approx(truth.light.data.sum(), rel=0.02)
        # by that relation both roads to the truth meet
        expected = sky.v_by_star('tonry2012', image.wcs, 160)
        np.testing.assert_allclose(elements(expected), elements(truth.light.data), rtol=0.02)
        assert expected.sum() == pytest.approx(truth.light.data.sum(), rel=0.003)
        off = -2.5 * np.log10(image.data.sum() / truth.light.data.sum())
        assert image.meta['VCHECK'] == pytest.approx(-off, abs=0.004)

    def test_with_noise(self, noisy, clean, truth):
        image = noisy[1]
        assert image.data.sum() == pytest.approx(truth.light.data.sum(), rel=0.02)
        bright = elements(truth.light.data) > np.median(elements(truth.light.data))
        off = -2.5 * np.log10(elements(image.data)[bright] / elements(truth.light.data)[bright])
        assert np.abs(np.median(off)) < 0.02
        assert np.std(off) < 0.02
        # what noise does is what the variance says, pixel by pixel
        chi = (image.data - clean[1].data) / np.sqrt(image.uncertainty.array)
        assert 0.7 < np.std(chi) < 1.4

    def test_a_cutout_and_a_skycell_are_the_same(self, noisy, folder):
        other = frames(sky.Survey(folder), form='skycell')
        image = make_v_map(other['g'], other['r'], sky.CENTRE, **SMALL)
        again = make_v_map(noisy[0]['g'], noisy[0]['r'], sky.CENTRE, **SMALL)
        np.testing.assert_allclose(image.data, again.data, rtol=1e-3, atol=1e-4 * again.data.max())
        assert image.meta['FORMG'] == 'skycell' and again.meta['FORMG'] == 'cutout'

    def test_two_skycells_that_split_the_cluster(self, folder, clean):
        """Their exposure times differ, so counts do not match at the seam, but flux does."""
        cells = ((59, 0, 365), (58, 350, sky.SIDE))
        split = frames(sky.Survey(folder, noise=False, cells=cells,
                                  exposures={(58, 'g'): 300.0, (58, 'r'): 1500.0}))
        image = make_v_map(split['g'], split['r'], sky.CENTRE, **SMALL)
        whole = make_v_map(clean[0]['g'], clean[0]['r'], sky.CENTRE, **SMALL)
        np.testing.assert_allclose(image.data, whole.data, rtol=2e-3)
        assert image.meta['NCELLG'] == 2 and image.meta['BADFRAC'] == 0.0
        assert image.meta['CELLG'] == 'skycell.1784.059 skycell.1784.058'

    def test_too_little_of_the_field(self, clean):
        frame = clean[0]['g'][0]
        counts = frame.stack.counts.copy()
        counts[:, :380] = np.nan
        edge = [replace(frame, stack=replace(frame.stack, counts=counts))]
        with pytest.raises(ValueError, match='at least 50% of the field must have data in g, received'):
            make_v_map(edge, clean[0]['r'], sky.CENTRE, **SMALL)

    @pytest.mark.slow
    def test_masked_stars_and_gaps(self, folder, clean):
        """What is masked is filled with the mean of what is near; the mask tells where."""
        holes = ((395, 300, 5, ps1.MASK_BITS['SAT']), (330, 420, 6, ps1.MASK_BITS['BLANK']),
                 (300, 340, 5, ps1.MASK_BITS['STARCORE']))
        found = frames(sky.Survey(folder, noise=False, holes=holes))
        image = make_v_map(found['g'], found['r'], sky.CENTRE)
        assert np.isfinite(image.data).all()
        area = math.pi * (5.5**2 + 6.5**2)
        assert image.mask.sum() == pytest.approx(area, rel=0.35)
        assert image.meta['BADFRAC'] == pytest.approx(image.mask.mean())
        assert image.meta['DOUBTFUL'] > 0
        assert image.data.sum() == pytest.approx(clean[1].data.sum(), rel=0.03)
        # away from them nothing changes
        y, x = np.nonzero(image.mask)
        yy, xx = np.indices(image.shape)
        far = np.min(np.hypot(yy[..., None] - y[::7], xx[..., None] - x[::7]), axis=-1) > 45
        np.testing.assert_allclose(image.data[far], clean[1].data[far], rtol=0.01)
        # with another choice of bits a star core is bad, too
        more = make_v_map(found['g'], found['r'], sky.CENTRE, bad=ps1.BAD | ps1.MASK_BITS['STARCORE'])
        assert more.mask.sum() > image.mask.sum() + 60
        assert 'STARCORE' in more.meta['BADNAMES']




class TestHeader:
    def test_every_step_is_told(self, noisy):
        meta = noisy[1].meta
        assert meta['ZEROPTG'] == pytest.approx(25 + 2.5 * np.log10(602))
        assert meta['ZEROPTR'] == pytest.approx(25 + 2.5 * np.log10(880))
        assert meta['EXPTIMEG'] == 602 and meta['EXPTIMER'] == 880
        assert meta['CONVENT'] == 'apparent flux' and meta['BAND'] == 'V' and meta['SUNMAG'] == 4.83
        assert meta['RELATION'] == 'kostov2018' and meta['PSFMATCH'] is True
        assert meta['PSFFWHM'] == pytest.approx(1.3, rel=0.01)
        assert meta['PSFR'] == pytest.approx(1.1, rel=0.01)
        assert meta['PSFNUMG'] > 10 and meta['PSFBYG'] == 'stars'
        assert meta['SMOOTH'] == 4.0 and meta['PIXSCALE'] == 0.25
        assert meta['EBV'] == 0.0 and meta['EXTCORR'] is False
        assert 0.3 < meta['COLOUR'] < 0.5 and 0.3 < meta['COLFRAC'] < 1.0
        assert meta['WEIGHTG'] == 'weight image'

    def test_file(self, noisy, tmp_path):
        path = tmp_path / 'map.fits'
        ps1_map.write_map(noisy[1], path)
        image = CCDData.read(path)
        assert image.unit == APPARENT_FLUX
        np.testing.assert_array_equal(image.data, noisy[1].data.astype(np.float32))
        assert isinstance(image.uncertainty, VarianceUncertainty)
        np.testing.assert_array_equal(image.uncertainty.array, noisy[1].uncertainty.array)
        np.testing.assert_array_equal(image.mask, noisy[1].mask)
        assert image.wcs.pixel_to_world(3, 4).separation(noisy[1].wcs.pixel_to_world(3, 4)) < 1e-3 * u.arcsec
        header = fits.getheader(path)
        for keyword, value in noisy[1].meta.items():
            assert header[keyword] == (pytest.approx(value, rel=1e-7) if isinstance(value, float) else value)
            assert header.comments[keyword]
        first = path.read_bytes()
        with pytest.raises(OSError, match='exists: say overwrite=True'):
            ps1_map.write_map(noisy[1], path)
        ps1_map.write_map(noisy[1], path, overwrite=True)
        assert path.read_bytes() == first
        assert list(tmp_path.iterdir()) == [path]


class TestOptions:
    def test_extinction(self, clean):
        found = clean[0]
        red = make_v_map(found['g'], found['r'], sky.CENTRE, reddening=0.3 * u.mag, reddening_source='me',
                         **SMALL)
        same = make_v_map(found['g'], found['r'], sky.CENTRE, **SMALL)
        np.testing.assert_allclose(red.data, same.data * 10 ** (0.4 * 3.1 * 0.3), rtol=1e-12)
        np.testing.assert_allclose(red.uncertainty.array, same.uncertainty.array * 10 ** (0.8 * 3.1 * 0.3))
        assert red.meta['EBV'] == 0.3 and red.meta['EXTINCT'] == pytest.approx(0.93)
        assert red.meta['EBVFROM'] == 'me' and red.meta['EXTCORR'] is True

    @pytest.mark.slow
    def test_smoothing_and_field(self, clean):
        found, plain = clean
        sharp = make_v_map(found['g'], found['r'], sky.CENTRE, smoothing=0, psf_fwhm=SMALL['psf_fwhm'],
                           field_of_view=50 * u.arcsec)
        assert sharp.shape == (200, 200)
        assert sharp.data[20:-20, 20:-20].max() > 3 * plain.data.max()
        # smoothing moves little light over the edge
        assert sharp.data[20:-20, 20:-20].sum() == pytest.approx(plain.data.sum(), rel=0.01)
        from scipy.ndimage import gaussian_filter
        smooth = gaussian_filter(sharp.data, 4, truncate=5)[20:-20, 20:-20]
        np.testing.assert_allclose(smooth, make_v_map(found['g'], found['r'], sky.CENTRE,
                                                      psf_fwhm=SMALL['psf_fwhm']).data, rtol=0.02)

    @pytest.mark.slow
    def test_a_sky_that_is_left(self, folder, clean, caplog):
        found = frames(sky.Survey(folder, noise=False, sky=250.0))
        with caplog.at_level(logging.WARNING, 'pidoc'):
            image = make_v_map(found['g'], found['r'], sky.CENTRE)
        assert 'the level of the sky far from the centre would be' in caplog.text
        # the cluster itself reaches there
        own = clean[1].meta['SKYG']
        assert image.meta['SKYG'] - own == pytest.approx(250, abs=5)
        assert image.data.sum() > 1.2 * clean[1].data.sum()
        better = make_v_map(found['g'], found['r'], sky.CENTRE, subtract_sky=True)
        assert better.meta['SKYSUB'] is True and better.meta['SKYSHARE'] == 0.0
        assert better.data.sum() == pytest.approx(clean[1].data.sum(), rel=0.03)

    @pytest.mark.slow
    def test_without_weight_and_mask(self, noisy):
        found, full = noisy
        bare = {band: [replace(frame, variance=None, mask=None) for frame in found[band]] for band in 'gr'}
        image = make_v_map(bare['g'], bare['r'], sky.CENTRE)
        np.testing.assert_allclose(image.data, full.data, rtol=1e-3, atol=1e-3 * full.data.max())
        assert image.meta['WEIGHTG'] == 'scatter of the sky' and 'DOUBTFUL' not in image.meta
        # far from the centre the sky makes nearly all of the noise
        ratio = image.uncertainty.array[:20, :20] / full.uncertainty.array[:20, :20]
        assert 0.5 < np.median(ratio) < 2.0

    @pytest.mark.slow
    def test_the_centre(self, clean):
        """A map about another place shows the same light there."""
        found, plain = clean
        other = plain.wcs.pixel_to_world(79.5 + 16, 79.5 - 8)
        moved = make_v_map(found['g'], found['r'], other, psf_fwhm=SMALL['psf_fwhm'])
        whole = make_v_map(found['g'], found['r'], sky.CENTRE, psf_fwhm=SMALL['psf_fwhm'])
        np.testing.assert_allclose(moved.data[30:130, 30:130], whole.data[22:122, 46:146], rtol=0.01)

    @pytest.mark.parametrize(('options', 'error', 'message'), [
        ({'relation': 'jester2005'}, ValueError, 'relation must be one of kostov2018, tonry2012, received'),
        ({'reddening': -0.1 * u.mag}, ValueError, 'reddening must not be negative'),
        ({'reddening': 0.1}, TypeError, 'reddening must be an astropy Quantity in mag'),
        ({'field_of_view': 40.1 * u.arcsec}, ValueError, 'field_of_view must be a whole number of pixels of'),
        ({'smoothing': -1.0}, ValueError, 'smoothing must be a number of pixels, not negative'),
        ({'psf_fwhm': (1 * u.arcsec,)}, ValueError, 'psf_fwhm must be two angles, of g and r'),
        ({'psf_fwhm': (0 * u.arcsec, 1 * u.arcsec)}, ValueError, 'psf_fwhm must be positive'),
        ({'distance': 0 * u.kpc}, ValueError, 'distance must be positive')])
    def test_bad_options(self, clean, options, error, message):
        with pytest.raises(error, match=message):
            make_v_map(clean[0]['g'], clean[0]['r'], sky.CENTRE, **options)

    def test_bad_frames(self, clean):
        found = clean[0]
        with pytest.raises(ValueError, match='there must be a stack in r, received none'):
            make_v_map(found['g'], [], sky.CENTRE)
        with pytest.raises(ValueError, match='a stack of g must have been taken in g, received one of r'):
            make_v_map(found['r'], found['r'], sky.CENTRE)
        with pytest.raises(TypeError, match='centre must be one SkyCoord, received'):
            make_v_map(found['g'], found['r'], (211.0, 28.0))
        with pytest.raises(ValueError, match=r'mask of skycell.1784.059 must have the shape \(720, 720\)'):
            replace(found['g'][0], mask=np.zeros((3, 3), dtype=int))
        timeless = [replace(found['g'][0], stack=replace(found['g'][0].stack, exposure=None))]
        with pytest.raises(ValueError, match='must have EXPTIME'):
            make_v_map(timeless, found['r'], sky.CENTRE)

    def test_no_light(self, clean):
        stack = clean[0]['r'][0].stack
        dark = [replace(clean[0]['r'][0], stack=replace(stack, counts=-np.abs(stack.counts) - 1))]
        with pytest.raises(ValueError, match='the light in the field must be positive in g and r'):
            make_v_map(clean[0]['g'], dark, sky.CENTRE, **SMALL)


class TestPsf:
    def test_measured(self):
        for band, seeing in sky.SEEING.items():
            psf = measure_psf(sky.counts(band)[0])
            assert psf.fwhm == pytest.approx(seeing, rel=0.01)
            assert psf.beta == pytest.approx(sky.BETA, rel=0.05)
            assert psf.n_stars >= 10

    @pytest.mark.slow
    def test_saturated_stars_are_not_used(self):
        pixels = sky.counts('g')[0]
        pixels[pixels > np.quantile(pixels, 0.9995)] = np.nan
        assert measure_psf(pixels).fwhm == pytest.approx(sky.SEEING['g'], rel=0.02)

    def test_no_stars(self, clean, caplog):
        noise = np.random.default_rng(0).normal(size=(100, 100))
        with pytest.raises(ValueError, match='at least 3 stars must stand alone to measure the PSF'):
            measure_psf(noise)
        with pytest.raises(ValueError, match='no star can be measured in an image without data'):
            measure_psf(np.full((50, 50), np.nan))
        # then the survey's median is taken, and said
        stack = replace(clean[0]['g'][0].stack, counts=noise - noise.min() + 1)
        wcs = stack.wcs.deepcopy()
        x, y = wcs.world_to_pixel(sky.CENTRE)
        wcs.wcs.crpix = wcs.wcs.crpix - [float(x) - 50, float(y) - 50]
        frame = Frame(stack=replace(stack, wcs=wcs))
        red = Frame(stack=replace(stack, wcs=wcs, band='r'))
        with caplog.at_level(logging.WARNING, 'pidoc'):
            image = make_v_map([frame], [red], sky.CENTRE, field_of_view=20 * u.arcsec)
        assert 'taking the median of the survey, 1.31 arcsec' in caplog.text
        assert image.meta['PSFBYG'] == 'median of the survey' and image.meta['PSFG'] == 1.31

    def test_images(self):
        image = Psf(fwhm=1.2, beta=2.5, n_stars=0).image(40)
        assert image.sum() == pytest.approx(1.0)
        # half of the peak at half the width (2.4 pixels), up to the width of a pixel
        assert np.interp(2.4, np.arange(5), image[40, 40:45]) / image[40, 40] == pytest.approx(0.5, abs=0.02)

    @pytest.mark.parametrize(('beta', 'other'), [(2.5, 2.5), (2.5, 3.5), (4.0, 2.8)])
    def test_matching(self, beta, other):
        from scipy.signal import fftconvolve

        source = Psf(fwhm=1.05, beta=beta, n_stars=0)
        target = Psf(fwhm=1.30, beta=other, n_stars=0)
        kernel = matching_kernel(source, target)
        assert kernel.sum() == pytest.approx(1.0)
        matched = fftconvolve(source.image(60), kernel, mode='same')
        wanted = target.image(60)
        assert np.abs(matched - wanted).max() < 0.01 * wanted.max()

    def test_of_gaussians(self):
        """With a large exponent a Moffat function is a Gaussian, whose widths subtract in squares."""
        source, target = (Psf(fwhm=width, beta=400.0, n_stars=0) for width in (1.0, 1.25))
        kernel = matching_kernel(source, target)
        y, x = np.indices(kernel.shape) - kernel.shape[0] // 2
        sigma = math.sqrt((x**2 * kernel).sum())
        expected = gaussian_fwhm_to_sigma * math.sqrt(1.25**2 - 1.0**2) / 0.25
        assert sigma == pytest.approx(expected, rel=0.03)

    def test_not_sharper(self):
        with pytest.raises(ValueError, match='the target must not be sharper than the source, received 1'):
            matching_kernel(Psf(fwhm=1.2, beta=2.5, n_stars=0), Psf(fwhm=1.0, beta=2.5, n_stars=0))


class TestV:
    @pytest.mark.parametrize('relation', ps1.RELATIONS)
    def test_is_exact_at_its_colour(self, relation):
        """The tangent meets the relation where it touches it, at every level of light."""
        for g, r in ((15.0, 14.6), (21.0, 20.2), (18.0, 18.1)):
            factors = ps1_map._tangent_factors(ps1.RELATIONS[relation], g - r)
            flux = factors[0] * 10 ** (-0.4 * g) + factors[1] * 10 ** (-0.4 * r)
            if relation == 'kostov2018':
                v = ps1.ps1_to_v(g * u.mag, r * u.mag).value
            else:
                v = ps1_to_johnson(g * u.mag, r * u.mag)[1].value
            assert -2.5 * math.log10(flux) == pytest.approx(v, abs=1e-9)

    def test_the_linear_law(self):
        # F_V ~ F_g^0.492 F_r^0.508 at the colour of a cluster
        g, r = 10 ** (-0.4 * 15.6), 10 ** (-0.4 * 15.0)
        factors = ps1_map._tangent_factors(ps1.RELATIONS['kostov2018'], 0.6)
        share = factors[0] * g / (factors[0] * g + factors[1] * r)
        assert share == pytest.approx(0.492, abs=0.002)

    def test_noise_does_not_bias(self):
        """The mean over noise of pixels as bright as their noise; magnitudes would lose a third of them."""
        rng = np.random.default_rng(0)
        g, r = rng.normal(1.0, 1.0, 100000), rng.normal(1.5, 1.0, 100000)
        factors = ps1_map._tangent_factors(ps1.RELATIONS['kostov2018'], -2.5 * math.log10(1 / 1.5))
        expected = factors[0] * 1.0 + factors[1] * 1.5
        assert np.mean(factors[0] * g + factors[1] * r) == pytest.approx(expected, rel=0.01)
        assert np.mean((g > 0) & (r > 0)) < 0.8
