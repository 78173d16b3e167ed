# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Stars in front of clusters, painted by formula."""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData
from scipy.signal import fftconvolve

from pidoc.image.preparation import prepare
from pidoc.image.psf import fitted_stars, Psf
from pidoc.image.stars import find_compact, find_stars
from pidoc.tests.image_helpers import CENTER, expected, stars, tan_wcs, ZERO_POINT

pytest.importorskip('reproject')
pytest.importorskip('photutils')

PSF = Psf(fwhm=3.0, beta=2.8)
SHAPE = (150, 150)


@pytest.fixture(autouse=True)
def _quiet_log(caplog):
    caplog.set_level('CRITICAL', logger='pidoc.image')


def light_of(x, y, flux, psf=PSF, shape=SHAPE):
    down, right = np.indices(shape)
    return flux * psf.at(right - x, down - y)


def convolved(x, y, flux, psf):
    """Stars in the middle of pixels."""
    edges = np.arange(SHAPE[0] + 1) - 0.5
    down, right = np.indices((61, 61)) - 30
    image = np.histogram2d(y, x, [edges, edges], weights=flux)[0]
    return fftconvolve(image, psf.at(right, down), mode='same')


def crowd(seed=0):
    """A cluster of faint stars with noise."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(75.0, 15.0, (2, 300))
    return rng.normal(50.0, 3.0, SHAPE) + convolved(x, y, rng.uniform(50.0, 1500.0, 300), PSF)


def nothing_bad():
    return np.zeros(SHAPE, dtype=bool)


def test_share_of_the_light():
    """All of it is 1: the wings of a Moffat function reach far."""
    down, right = np.indices((2001, 2001)) - 1000
    assert PSF.at(right, down).sum() == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize(('x', 'y'), [(40.3, 101.7), (75.0, 75.0), (2.2, 140.5)])
def test_found(x, y):
    pixels = crowd() + light_of(x, y, 50_000.0)
    found = find_stars(pixels, nothing_bad(), PSF, 10_000.0, 50.0)
    assert len(found) == 1
    assert (found.x[0], found.y[0]) == pytest.approx((x, y), abs=0.1)
    assert found.flux[0] == pytest.approx(50_000.0, rel=0.05)
    light, cores = found.model(SHAPE)
    assert np.abs(light - light_of(x, y, 50_000.0))[~cores].max() < 30.0
    assert cores[round(y), round(x)] and cores.sum() <= np.pi * 7.6**2


def test_brightest_first_and_none_below_the_limit():
    pixels = crowd() + light_of(30.0, 30.0, 2e4) + light_of(110.0, 40.0, 5e4) + light_of(40.0, 120.0, 8e3)
    found = find_stars(pixels, nothing_bad(), PSF, 1e4, 50.0)
    assert found.flux == pytest.approx([5e4, 2e4], rel=0.05)
    assert len(find_stars(pixels, nothing_bad(), PSF, 1e6, 50.0)) == 0


def test_the_core_of_a_cluster_is_no_star():
    down, right = np.indices(SHAPE) - 75
    core = 4000.0 / (1.0 + (down**2 + right**2) / 6.0**2) ** 1.5
    assert len(find_stars(crowd() + core, nothing_bad(), PSF, 1e4, 50.0)) == 0


@pytest.mark.parametrize('separation', [4.0, 5.0, 6.0, 8.0])
@pytest.mark.parametrize('number', [2, 3, 5])
def test_stars_that_touch(separation, number):
    """In a chain, each beyond a gap: all are found, none twice."""
    x = 75.0 + separation * (np.arange(number) - 1.0)
    y = 90.0 + 1.5 * np.sin(x)
    fluxes = np.linspace(50_000.0, 35_000.0, number)
    pixels = crowd() + sum(light_of(*star) for star in zip(x, y, fluxes, strict=True))
    found = find_stars(pixels, nothing_bad(), PSF, 10_000.0, 50.0)
    np.testing.assert_allclose(found.flux, fluxes, rtol=0.08)
    np.testing.assert_allclose(found.x, x, atol=0.2)
    light, cores = found.model(SHAPE)
    assert np.abs(pixels - light - crowd())[~cores].max() < 60.0


def test_a_core_of_many_maxima_is_no_group_of_stars():
    """Noise makes maxima of it, with no gaps between them."""
    down, right = np.indices(SHAPE) - 75
    core = 4000.0 / (1.0 + (down**2 + right**2) / 8.0**2) ** 1.5
    pixels = crowd() + core + np.random.default_rng(2).normal(0.0, 100.0, SHAPE)
    assert len(find_stars(pixels, nothing_bad(), PSF, 1e4, 50.0)) == 0


class TestCompact:
    """What is no star of the PSF: discs of light on a cluster."""

    @staticmethod
    def disc(x, y, size, flux=50_000.0):
        down, right = np.indices(SHAPE)
        shape = (np.hypot(right - x, down - y) <= size).astype(float)
        return flux * shape / shape.sum()

    @staticmethod
    def found(pixels, bad=None, least=10_000.0):
        return find_compact(pixels, nothing_bad() if bad is None else bad, (4.0, 8.0), (75.0, 75.0), least,
                            level=50.0, noise=3.0)

    @pytest.mark.parametrize('size', [2.0, 4.0, 8.0])
    @pytest.mark.parametrize('x', [4.0, 40.0, 110.0])
    def test_found(self, size, x):
        [(column, row, radius, flux)] = self.found(crowd() + self.disc(x, 110.0, size))
        assert (column, row) == pytest.approx((x, 110.0), abs=0.9 * radius)
        share = 1.0 if x > 10.0 else self.disc(x, 110.0, size)[:, :150].sum() / 50_000.0
        assert flux == pytest.approx(share * 50_000.0, rel=0.1)

    @pytest.mark.parametrize('size', [1.0, 3.0, 6.0, 12.0])
    def test_not_of_the_cluster(self, size):
        """Its core, wherever it is in it."""
        down, right = np.indices(SHAPE) - 75
        core = (1.0 + (down**2 + right**2) / size**2) ** -2.0
        assert self.found(crowd() + 500_000.0 * core / core.sum()) == []

    def test_of_fine_pixels(self):
        """Squares of them are enough."""
        pixels, bad = (np.kron(each, np.ones((4, 4))) for each in (
            crowd() + self.disc(110.0, 40.0, 3.0), nothing_bad()))
        [(x, y, radius, flux)] = find_compact(pixels[:, :-3] / 16.0, bad[:, :-3].astype(bool), (16.0, 32.0),
                                              (301.5, 301.5), 10_000.0, level=50.0 / 16.0, noise=0.2)
        assert (x, y) == pytest.approx((441.5, 161.5), abs=8.0) and flux == pytest.approx(5e4, rel=0.1)

    def test_not_where_little_is_good(self):
        bad = nothing_bad()
        bad[95:125, 25:55] = True
        assert self.found(crowd() + self.disc(40.0, 110.0, 4.0), bad) == []

    def test_brightest_first(self):
        found = self.found(crowd() + self.disc(40.0, 110.0, 3.0, 2e4) + self.disc(110.0, 40.0, 3.0))
        assert [round(flux / 1e4) for *_, flux in found] == [5, 2]


def test_what_cannot_be_fitted():
    flat = np.ones(SHAPE)
    assert fitted_stars(flat, nothing_bad(), [(70, 70)], PSF, 0.1) == []
    assert fitted_stars(flat, ~nothing_bad(), [(70, 70)], PSF, 0.1) == []
    dip = flat - light_of(70.0, 70.0, 100.0)
    assert fitted_stars(dip, nothing_bad(), [(70, 70)], PSF, 0.1) == []


# -- in maps ----------------------------------------------------------------------------------------

WCS = tan_wcs(SHAPE, 0.4)
# a star of V = 12 in counts of the zero point
BRIGHT = 10.0 ** (-0.4 * (12.0 - ZERO_POINT.value))
HOW = {'zero_point': ZERO_POINT, 'band': 'V', 'center': CENTER, 'field_of_view': 30 * u.arcsec}


def cluster_with(flux=0.0, seed=1):
    """A cluster whose brightest star is of V = 15.5, and a star 9 arcsec beside its centre."""
    psf = Psf(fwhm=2.75, beta=3.0)
    east, north, counts = stars(300, radius=10.0, seed=seed)
    counts = 100.0 * np.minimum(counts, 400.0)
    light = convolved(74.5 - east / 0.4, 74.5 + north / 0.4, counts, psf)
    light += light_of(97.3, 74.6, flux, psf) + np.random.default_rng(seed).normal(0.0, 30.0, SHAPE)
    return CCDData(light, unit='adu', wcs=WCS)


class TestMaps:
    def test_taken_off_where_the_distance_is_known(self):
        clean = prepare(cluster_with(), **HOW, distance=15 * u.kpc)
        light = prepare(cluster_with(BRIGHT), **HOW, distance=15 * u.kpc)
        assert clean.meta['FLAGS'] == '' and 'NFOREGND' not in clean.meta
        assert light.meta['FLAGS'].split() == ['gaps', 'foreground-stars'] and light.meta['NFOREGND'] == 1
        good = ~light.mask
        assert light.data[good].sum() == pytest.approx(clean.data[good].sum(), rel=0.03)
        assert light.meta['FORELITE'] == pytest.approx(1.0 - clean.data.sum() / prepare(
            cluster_with(BRIGHT), **HOW).data.sum(), rel=0.25)

    def test_of_the_cluster_where_it_may_be(self):
        """At 3 kpc a giant is as bright."""
        light = prepare(cluster_with(BRIGHT), **HOW, distance=3 * u.kpc)
        assert light.meta['FLAGS'] == '' and light.mask is None

    def test_noted_without_a_distance(self):
        assert prepare(cluster_with(BRIGHT), **HOW).meta['FLAGS'] == 'bright-star'
        assert prepare(cluster_with(0.02 * BRIGHT), **HOW).meta['FLAGS'] == ''

    @pytest.mark.parametrize('distance', [None, 15 * u.kpc])
    @pytest.mark.parametrize('seeing', [None, 1.1 * u.arcsec])
    def test_what_is_no_star_of_the_psf_is_noted(self, distance, seeing):
        """With its share of the light: in trailed images, of which no PSF is known, and as a galaxy."""
        clean, spoiled = (cluster_with(flux) for flux in (0.0, BRIGHT))
        trail = np.zeros((31, 31))
        trail[15, 5:26] = 1.0 / 21.0
        for image in (clean, spoiled):
            image.data = fftconvolve(image.data, trail, mode='same')
            image.data += np.random.default_rng(4).normal(0.0, 30.0, SHAPE)
        how = HOW | {'distance': distance, 'seeing': seeing}
        unknown = 'seeing-unknown ' if seeing is None else ''
        assert prepare(clean, **how).meta['FLAGS'] == unknown.strip()
        light = prepare(spoiled, **how)
        assert light.meta['FLAGS'] == f'{unknown}bright-star'
        its = 1.0 - prepare(clean, **how).data.sum() / light.data.sum()
        assert light.meta['STARLITE'] == pytest.approx(its, rel=0.2)

    @pytest.mark.parametrize('size', [0.0, 0.3, 0.6])
    @pytest.mark.parametrize('off', [0.0, 1.0, 4.0])
    @pytest.mark.parametrize('seeing', [None, 1.1 * u.arcsec])
    def test_a_cluster_as_compact_as_a_star(self, size, off, seeing):
        """Near the given centre, off by some arcsec, it stays and is noted; a star elsewhere is taken off."""
        psf = Psf(fwhm=2.75, beta=3.0)
        rng = np.random.default_rng(5)
        # of the cluster, of the field, and one in front
        x, y = rng.normal(74.5, size / 0.4, (2, 200)), rng.uniform(5, 145, (2, 40))
        counts = np.full(200, BRIGHT / 200), rng.uniform(0.002, 0.01, 40) * BRIGHT
        light = sum(convolved(*at, flux, psf) for at, flux in zip((x, y), counts))
        light += light_of(100.2, 90.7, BRIGHT, psf) + rng.normal(0.0, 30.0, SHAPE)
        how = HOW | {'center': (74.5 + off / 0.4, 74.5), 'distance': 15 * u.kpc, 'seeing': seeing,
                     'field_of_view': 40 * u.arcsec}
        light = prepare(CCDData(light, unit='adu', wcs=WCS), **how)
        assert light.meta['NFOREGND'] == 1
        must = expected(BRIGHT)
        assert must < light.data.sum() < 1.25 * must
        # one that is too wide for the PSF is no star, and nothing is noted
        assert ('bright-star' in light.meta['FLAGS']) == (size < 0.5 or off > 1.0)
        assert light.meta.get('STARLITE', 0.6) == pytest.approx(0.6, abs=0.2)

    def test_a_star_over_a_cluster_is_none(self):
        """Even at its centre, if the cluster has most of the light."""
        image = cluster_with(BRIGHT)
        light = prepare(image, **(HOW | {'center': (97.0, 74.0), 'distance': 15 * u.kpc}))
        assert 'foreground-stars' in light.meta['FLAGS'] and 'bright-star' not in light.meta['FLAGS']

    def test_the_distance_of_the_catalogue(self):
        """NGC 5466 is at 16 kpc."""
        sky = cluster_with(BRIGHT)
        sky.wcs = WCS.deepcopy()
        sky.wcs.wcs.crval = [211.3637, 28.5344]
        light = prepare(sky, **(HOW | {'center': 'NGC 5466'}))
        assert 'foreground-stars' in light.meta['FLAGS']

    def test_no_distance(self):
        with pytest.raises(TypeError, match='distance must be an astropy Quantity in kpc'):
            prepare(cluster_with(), **HOW, distance=15.0)
