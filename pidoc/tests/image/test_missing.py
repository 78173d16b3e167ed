# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Pixels that hold no light, put into images of stars; and light that must not be taken for them."""

import itertools
import math

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData

from pidoc.image.missing import (
    find_cosmic_rays,
    find_flat_tops,
    find_missing,
    KINDS,
    Missing,
    noise_of,
)
from pidoc.image.preparation import prepare
from pidoc.tests.image_helpers import CENTER, paint, stars, tan_wcs, ZERO_POINT

pytest.importorskip('reproject')
pytest.importorskip('photutils')

SHAPE, SCALE, FWHM = (160, 160), 0.4, 1.1
WCS = tan_wcs(SHAPE, SCALE)
NOISE = 20.0


@pytest.fixture(autouse=True)
def _quiet_log(caplog):
    caplog.set_level('CRITICAL', logger='pidoc.image')


def sky(level=0.0, seed=4, number=3000, dtype=float):
    """A cluster of stars, a sky, and photon noise of a bright one that was taken off."""
    counts = 20.0 * paint(stars(number, radius=10.0, seed=seed), WCS, SHAPE, fwhm=FWHM)
    noise = np.random.default_rng(seed).normal(0.0, np.sqrt(NOISE**2 + counts))
    return (counts + level + noise).astype(dtype)


def rich(seed=4, noise=1.0):
    """So many stars that their light varies more from pixel to pixel than the noise does."""
    counts = 20.0 * paint(stars(20_000, radius=10.0, seed=seed), WCS, SHAPE, fwhm=FWHM)
    return counts + noise * np.random.default_rng(seed).normal(0.0, np.sqrt(5.0**2 + 0.2 * counts))


def found_in(pixels, fwhm=FWHM / SCALE, header=None):
    """What is missing, cosmic rays too."""
    bad = ~np.isfinite(pixels)
    found = find_missing(pixels, bad, header=header)
    find_cosmic_rays(pixels, bad | found.mask, found, fwhm)
    return found


def spoiled(pixels, where, value):
    result = pixels.copy()
    result[where] = value
    return result


COLUMN, BLOCK = np.s_[:, 83], np.s_[40:60, 60:75]


class TestSentinels:
    @pytest.mark.parametrize('value', [-99.0, -999.0, -9999.0, -32768.0, -2147483648.0, 1e30, -1e30, 3.4e38])
    @pytest.mark.parametrize('where', [COLUMN, BLOCK, np.s_[70:73, 80:84]])
    @pytest.mark.parametrize('level', [0.0, 900.0])
    def test_wherever_they_are(self, value, where, level):
        pixels = spoiled(sky(level), where, value)
        found = found_in(pixels)
        np.testing.assert_array_equal(found.kinds['sentinel'], pixels == value)
        assert found.counts() == {'sentinel': np.count_nonzero(pixels == value)}

    @pytest.mark.parametrize('value', [0.0, -1.0, -99.0])
    @pytest.mark.parametrize('step', [2, 3, 4])
    @pytest.mark.parametrize('pattern', ['columns', 'rows', 'squares', 'all others'])
    @pytest.mark.parametrize('size', [SHAPE[0], 200])
    def test_in_a_pattern(self, value, step, pattern, size):
        """However few pixels are side by side, and whichever rows are looked at."""
        down, right = np.indices(SHAPE)
        where = {'columns': right % step == 0, 'rows': down % step == 0,
                 'squares': (down + right) % step == 0,
                 'all others': (down % step > 0) | (right % step > 0)}[pattern]
        pixels = spoiled(sky(), where, value)
        if size > SHAPE[0]:
            pixels, where = (np.pad(each, (0, size - SHAPE[0]), mode='wrap') for each in (pixels, where))
        found = find_missing(pixels, np.zeros(pixels.shape, dtype=bool))
        kind = 'zero' if value == 0.0 else 'sentinel'
        its = found.kinds[kind] | found.kinds['saturated']
        assert its[where].all() and not its[~where].any()

    def test_of_most_of_the_image(self):
        pixels = spoiled(sky(), np.s_[:, 60:], -32768.0)
        assert found_in(pixels).text() == '16000 sentinel (-32768)'

    def test_here_and_there(self):
        where = np.random.default_rng(1).uniform(size=SHAPE) < 0.05
        for value in (-99.0, -32768.0):
            np.testing.assert_array_equal(found_in(spoiled(sky(), where, value)).mask, where)

    def test_of_whole_numbers(self):
        """Of which many pixels are equal, and some are the sentinel by chance."""
        pixels = spoiled(np.rint(sky()), COLUMN, -59.0)
        found = found_in(pixels)
        assert found.kinds['sentinel'][COLUMN].all() and found.values == (-59.0,)
        assert not found_in(np.rint(sky())).mask.any()

    def test_a_single_one(self):
        assert found_in(spoiled(sky(), (30, 30), -5000.0)).counts() == {'sentinel': 1}

    def test_unsigned_ceilings(self):
        """65535 in a column is a value at the ceiling, and no light either."""
        found = found_in(spoiled(sky(900.0), COLUMN, 65535.0))
        assert found.mask[COLUMN].all() and found.mask.sum() == SHAPE[0]


class TestWhatIsLeftOfARichCluster:
    """Without any sky around it, by which its noise would be known."""

    @pytest.mark.parametrize('noise', [0.0, 1.0])
    @pytest.mark.parametrize('value', [0.0, 0.001, -1.0])
    @pytest.mark.parametrize('radius', [15.0, 30.0, 60.0])
    def test_in_a_circle(self, noise, value, radius):
        pixels = rich(noise=noise)
        where = np.hypot(*(np.indices(SHAPE) - 79.5)) > radius
        found = found_in(spoiled(pixels, where, value))
        np.testing.assert_array_equal(found.mask, where)
        assert found.values == ((value,) if value else ())

    @pytest.mark.parametrize('number', [30, 300, 3000])
    def test_not_where_stamps_of_stars_end(self, number):
        """As in models, which have no sky beyond them."""
        east, north, flux = stars(number)
        down, right = np.indices(SHAPE)
        pixels = np.zeros(SHAPE)
        for x, y, its in zip(80.0 - east / SCALE, 80.0 + north / SCALE, flux):
            away = np.hypot(right - x, down - y)
            pixels += np.where(away < 15.0, its / (1.0 + (away / 2.0) ** 2) ** 2.5, 0.0)
        assert not found_in(pixels).mask.any()


def test_among_many_stars():
    """Cosmic rays and hot columns are sharper than stars, however bright these are."""
    rays = np.zeros(SHAPE, dtype=bool)
    rays[np.random.default_rng(1).integers(0, 160, 40), np.random.default_rng(2).integers(0, 160, 40)] = True
    rays[COLUMN] = True
    pixels = rich()
    assert not noise_of(pixels, np.ones(SHAPE, dtype=bool))[1]
    its = found_in(pixels + 2e4 * rays).kinds['cosmic']
    assert its[rays].mean() > 0.97 and not its[~rays].any()
    for clean in (pixels, rich(noise=0.0)):
        assert not found_in(clean).mask.any()


class TestZeros:
    @pytest.mark.parametrize('where', [COLUMN, BLOCK, np.s_[:, :80], np.s_[:7]])
    @pytest.mark.parametrize('level', [0.0, 900.0])
    def test_blocks_and_columns(self, where, level):
        pixels = spoiled(sky(level), where, 0.0)
        found = found_in(pixels)
        np.testing.assert_array_equal(found.mask, pixels == 0.0)

    @pytest.mark.parametrize('radius', [40.0, 50.0, 60.0, 79.0, 95.0])
    @pytest.mark.parametrize('level', [0.0, 60.0, 900.0])
    @pytest.mark.parametrize('stored', [np.asarray, np.rint])
    def test_outside_a_circle(self, radius, level, stored):
        """Of a vignetted image, or one that was cut out: its corners and more."""
        down, right = np.indices(SHAPE) - 79.5
        outside = np.hypot(down, right) > radius
        found = found_in(spoiled(stored(sky(level)), outside, 0.0))
        # in the very corners they may be few
        assert np.mean(found.kinds['zero'][outside]) > (0.9 if radius > 80.0 else 0.999)
        assert np.count_nonzero(found.mask & ~outside) <= 0.01 * SHAPE[0] * SHAPE[1]

    @pytest.mark.parametrize('level', [0.0, 30.0, 60.0, 70.0, 80.0, 150.0, 900.0])
    @pytest.mark.parametrize('stored', [np.asarray, np.trunc, lambda each: np.maximum(each, 0.0)])
    @pytest.mark.parametrize('where', [COLUMN, BLOCK, np.s_[:, 80:100]])
    def test_however_far_below_the_sky_and_however_stored(self, where, stored, level):
        """Of whole numbers and of those cut off at 0 many pixels are 0 by chance; none counts twice."""
        pixels = spoiled(stored(sky(level)), where, 0.0)
        found = found_in(pixels)
        gap = spoiled(np.zeros(SHAPE, dtype=bool), where, True)
        assert found.kinds['zero'][gap].all()
        # some beside it are 0, too
        assert np.count_nonzero(found.mask & ~gap) <= 0.02 * gap.size
        assert not (found.mask & (pixels != 0.0)).any()
        assert sum(found.counts().values()) == np.count_nonzero(found.mask)

    @pytest.mark.parametrize('value', [-7.0, 0.0, 20.0, 99.0, 999.0])
    @pytest.mark.parametrize('stored', [np.asarray, np.rint])
    @pytest.mark.parametrize('where', [COLUMN, BLOCK])
    def test_any_value(self, where, stored, value):
        """Above the median of the sky, too."""
        found = found_in(spoiled(stored(sky()), where, value))
        gap = spoiled(np.zeros(SHAPE, dtype=bool), where, True)
        assert found.mask[gap].all() and np.count_nonzero(found.mask & ~gap) <= 0.01 * gap.size
        assert found.values == ((value,) if value else ())

    @pytest.mark.parametrize('quantile', [0.995, 0.999, 0.9999])
    def test_cores(self, quantile):
        """Saturated ones, stored as 0, down to a single pixel."""
        clean = sky()
        cores = clean > np.quantile(clean, quantile)
        found = found_in(spoiled(clean, cores, 0.0))
        np.testing.assert_array_equal(found.kinds['saturated'] | found.kinds['dead'], cores)
        assert not (found.mask & ~cores).any()

    def test_a_dead_pixel(self):
        clean = sky()
        row, column = np.unravel_index(clean.argmax(), SHAPE)
        assert found_in(spoiled(clean, (row, column), 13.0)).counts() == {'dead': 1}


class TestSaturated:
    @pytest.mark.parametrize('quantile', [0.99, 0.999])
    def test_at_a_ceiling(self, quantile):
        clean = sky()
        ceiling = np.quantile(clean, quantile)
        found = found_in(np.minimum(clean, ceiling))
        np.testing.assert_array_equal(found.kinds['saturated'], clean >= ceiling)

    @pytest.mark.parametrize('where', [COLUMN, np.s_[30]])
    def test_columns_and_trails_are_no_stars(self, where):
        """A trail over a star's saturated middle: what of it is beside the star, is no light of it."""
        clean = sky()
        ceiling = np.quantile(clean, 0.999)
        cores = clean >= ceiling
        found = found_in(spoiled(np.minimum(clean, ceiling), where, ceiling))
        trail = np.zeros(SHAPE, dtype=bool)
        trail[where] = True
        assert found.kinds['saturated'][cores & ~trail].all()
        assert found.kinds['cosmic'][trail].mean() > 0.9 and not found.kinds['cosmic'][~trail].any()
        assert found.mask[trail].all()

    @pytest.mark.parametrize('keyword', ['SATURATE', 'SATLEVEL', 'DATAMAX'])
    def test_by_the_header(self, keyword):
        clean = sky()
        found = found_in(clean, header={keyword: 5000})
        np.testing.assert_array_equal(found.kinds['saturated'], clean >= 4900.0)

    def test_a_ceiling_of_other_numbers(self):
        """If most pixels were saturated, the ceiling is that of other counts."""
        assert not found_in(sky(900.0), header={'SATURATE': 800.0}).mask.any()
        assert not found_in(sky(), header={'SATURATE': 'high'}).mask.any()
        assert not found_in(sky(), header={'SATURATE': True, 'DATAMAX': math.nan}).mask.any()

    @pytest.mark.parametrize('cards', [{'SATURATE': '3000.0'}, {'MAXLIN': 3000}, {'DATAMAX': 3000.0}])
    def test_level_of_the_header_however_written(self, cards):
        clean = sky()
        found = found_in(clean, header=cards)
        np.testing.assert_array_equal(found.kinds['saturated'], clean >= 0.98 * 3000.0)


class TestScatteredCeilings:
    """Not one value: pixels were divided by a flat field, or a bias was subtracted."""

    @staticmethod
    def found(pixels, fwhm=FWHM / SCALE):
        found = find_missing(pixels, np.zeros(pixels.shape, dtype=bool))
        find_flat_tops(pixels, found.mask, found, fwhm)
        return found

    @pytest.mark.parametrize('scatter', [0.001, 0.005, 0.01])
    @pytest.mark.parametrize('quantile', [0.99, 0.999])
    def test_of_many_stars(self, scatter, quantile):
        clean = sky(seed=5)
        ceiling = np.quantile(clean, quantile)
        flat = 1.0 + scatter * np.random.default_rng(3).normal(size=SHAPE)
        saturated = clean > ceiling
        its = self.found(np.where(saturated, ceiling * flat, clean)).kinds['saturated']
        assert its[saturated].all() and np.count_nonzero(its) < 1.4 * np.count_nonzero(saturated)

    @pytest.mark.parametrize('scatter', [0.001, 0.01, 0.03])
    def test_of_one_star(self, scatter):
        pixels = sky() + paint((np.array([12.0]), np.array([5.0]), np.array([3e6])), WCS, SHAPE, fwhm=FWHM)
        saturated = pixels > 2e4
        flat = 1.0 + scatter * np.random.default_rng(3).normal(size=SHAPE)
        its = self.found(np.where(saturated, 2e4 * flat, pixels)).kinds['saturated']
        assert its[saturated].all() and np.count_nonzero(its) < 1.4 * np.count_nonzero(saturated)

    @pytest.mark.parametrize('scatter', [0.0, 0.01, 0.03, 0.05])
    @pytest.mark.parametrize('share', [0.3, 0.6])
    @pytest.mark.parametrize('pixels', [sky(seed=6, number=300), rich()], ids=['sparse', 'rich'])
    def test_spread_below_the_ceiling(self, scatter, share, pixels):
        """From the ceiling to a few per cent below it."""
        ceiling = share * np.sort(pixels, axis=None)[-20]
        saturated = pixels > ceiling
        flat = 1.0 - scatter * np.random.default_rng(3).uniform(size=SHAPE)
        its = self.found(np.where(saturated, ceiling * flat, pixels)).kinds['saturated']
        assert its[saturated].mean() > 0.95 and np.count_nonzero(its) < 2.0 * np.count_nonzero(saturated)

    @pytest.mark.parametrize('seed', range(8))
    def test_not_of_many_stars(self, seed):
        for pixels in (rich(seed), rich(seed, noise=0.0)):
            assert not self.found(pixels).mask.any()

    @pytest.mark.parametrize('seed', range(8))
    @pytest.mark.parametrize('number', [30, 300, 3000])
    def test_not_of_stars(self, seed, number):
        for fwhm in (FWHM / SCALE, math.nan):
            assert not self.found(sky(seed=seed, number=number), fwhm).mask.any()

    @pytest.mark.parametrize('power', [0.5, 1.5, 4.0])
    def test_not_of_a_wide_core(self, power):
        down, right = np.indices(SHAPE) - 80
        core = 5e4 / (1.0 + (down**2 + right**2) / 20.0**2) ** power
        assert not self.found(sky() + core).mask.any()

    def test_without_a_psf(self):
        """One star may be out of focus; several are not as bright by chance."""
        down, right = np.indices(SHAPE)
        pixels = sky()
        for number, (x, y) in enumerate([(40, 40), (120, 50), (60, 120)], start=1):
            flat = 6e4 * (1.0 + 0.01 * np.random.default_rng(number).normal(size=SHAPE))
            pixels = np.where(np.hypot(right - x, down - y) < 5.0, flat, pixels)
            assert self.found(pixels, math.nan).kinds['saturated'].any() == (number == 3)

    def test_rebuilt_and_flagged(self):
        pixels = sky()
        cores = pixels > np.quantile(pixels, 0.999)
        ceiling = np.quantile(pixels, 0.999) * (1.0 + 0.01 * np.random.default_rng(3).normal(size=SHAPE))
        light = light_of(np.where(cores, ceiling, pixels))
        assert light.data.sum() == pytest.approx(light_of(pixels).data.sum(), rel=0.015)
        assert light.meta['FLAGS'] == 'saturated' and light.meta['SATLIGHT'] > 0.01


class TestCosmicRays:
    def test_tracks_hot_pixels_and_columns(self):
        clean = sky()
        rng = np.random.default_rng(5)
        hit = np.zeros(SHAPE, dtype=bool)
        for row, column in rng.integers(5, 150, (40, 2)):
            length, direction = rng.integers(1, 6), rng.integers(0, 3)
            for k in range(length):
                hit[row + k * (direction != 0), column + k * (direction != 1)] = True
        hit[:, 133] = True
        found = found_in(clean + 3000.0 * hit)
        assert np.mean(found.kinds['cosmic'][hit]) > 0.9
        assert not (found.mask & ~hit).any()

    @pytest.mark.parametrize('number', [30, 300, 1000])
    def test_more_of_them_than_stars(self, number):
        """Where the PSF is known, what has no sides is no reason to doubt it."""
        clean = sky()
        hit = np.random.default_rng(8).permutation(clean.size).reshape(SHAPE) < number
        hit[[0, -1]] = hit[:, [0, -1]] = False
        found = found_in(clean + 4000.0 * hit)
        assert np.mean(found.kinds['cosmic'][hit]) > 0.9
        assert not (found.mask & ~hit).any()

    @pytest.mark.parametrize(('where', 'excess'), [
        *itertools.product([COLUMN, np.s_[30], np.s_[40:, 20], np.s_[:, [5, 80, 159]]],
                           [500.0, 2000.0, 30000.0]), (np.s_[:, 79:81], 30000.0)])
    def test_hot_lines(self, excess, where):
        """Through the middle of the cluster, too, which is brighter than some."""
        clean = sky()
        hot = spoiled(np.zeros(SHAPE, dtype=bool), where, True)
        found = found_in(clean + excess * hot, math.nan)
        assert np.mean(found.kinds['cosmic'][hot]) > 0.85
        assert not (found.mask & ~hot).any()

    @pytest.mark.parametrize('number', [10, 20])
    @pytest.mark.parametrize('excess', [300.0, 3000.0])
    def test_many_hot_columns(self, number, excess):
        """Of a detector with more of them than one would like; faint ones are seen beside the cluster."""
        clean = sky()
        hot = np.zeros(SHAPE, dtype=bool)
        hot[:, 2 + np.random.default_rng(4).choice(78, number, replace=False) * 2] = True
        found = found_in(clean + excess * hot, math.nan)
        assert np.mean(found.kinds['cosmic'][hot]) > (0.6 if excess < 1000.0 else 0.85)
        assert not (found.mask & ~hot).any()

    def test_a_pattern_of_the_detector_is_none(self):
        clean = sky()
        clean[:, ::4] += 250.0
        assert not find_missing(clean, np.zeros(SHAPE, dtype=bool)).mask.any()

    def test_wide_trails_and_large_stars_are_no_lines(self):
        y, x = np.indices(SHAPE) - 79.5
        for light in (3000.0 * np.exp(-0.5 * (x / 1.2) ** 2), 1e6 / (1.0 + (x**2 + y**2) / 9.0) ** 1.5):
            assert not find_missing(sky() + light, np.zeros(SHAPE, dtype=bool)).mask.any()

    @pytest.mark.parametrize('fwhm', [1.4, 2.0, 2.75, 4.0, 6.0])
    def test_stars_are_none(self, fwhm):
        clean = 20.0 * paint(stars(3000, radius=10.0), WCS, SHAPE, fwhm=fwhm * SCALE)
        pixels = clean + np.random.default_rng(0).normal(0.0, np.sqrt(25.0 + clean))
        for given in (fwhm, math.nan):
            assert not found_in(pixels, given).mask.any()

    def test_a_psf_that_is_much_too_wide_is_not_believed(self):
        assert not found_in(sky(), 3.0 * FWHM / SCALE).mask.any()

    def test_where_stars_are_as_sharp_none_are_looked_for(self):
        assert not found_in(spoiled(sky(), (30, 30), 9000.0), 1.0).mask.any()


class TestLightIsNotTakenForThem:
    """Images without a sentinel, of all kinds of noise."""

    @pytest.mark.parametrize('mean', [0.01, 0.1, 0.5, 1.0, 3.0, 30.0])
    def test_few_photons(self, mean):
        rng = np.random.default_rng(2)
        counts = rng.poisson(mean, SHAPE).astype(float)
        for pixels in (counts, counts / rng.normal(1.0, 0.02, SHAPE)):
            assert not found_in(pixels).mask.any()

    def test_cut_off_at_zero(self):
        for pixels in (np.maximum(sky(), 0.0), np.maximum(np.rint(sky(10.0)), 0.0), np.maximum(sky(), -15.0)):
            assert not found_in(pixels).mask.any()

    @pytest.mark.parametrize('cut', [-20.0, 0.0, 20.0, 40.0])
    def test_cut_off_anywhere(self, cut):
        assert not found_in(np.maximum(sky(), cut)).mask.any()
        assert not found_in(np.maximum(np.rint(sky()), cut)).mask.any()

    def test_a_few_random_pixels_on_an_empty_sky(self):
        random = np.random.default_rng(1).uniform(size=(15, 15))
        pixels = spoiled(np.zeros(SHAPE), np.s_[70:85, 75:90], random)
        assert not found_in(pixels).mask.any()

    @pytest.mark.parametrize('step', [1.0, 5.0, 20.0, 60.0])
    def test_rounded_coarsely(self, step):
        assert not found_in(step * np.rint(sky() / step)).mask.any()

    def test_models_without_noise(self):
        y, x = np.indices(SHAPE) - 79.5
        smooth = 1e4 / (1.0 + (x**2 + y**2) / 400.0) ** 2
        for pixels in (smooth, np.where(x**2 + y**2 < 2500, smooth, 0.0), -smooth, np.zeros(SHAPE),
                       20.0 * paint(stars(300), WCS, SHAPE)):
            assert not found_in(pixels).mask.any()

    def test_a_sky_of_zero_that_integers_do_not_meet(self):
        """Of whole numbers with BSCALE and BZERO, by which 0 comes out a little below it."""
        counts = paint(stars(150, radius=4.0), WCS, SHAPE)
        stored = np.round(counts / 0.00093)
        assert found_in(stored * 0.00093 - 1.9e-6).text() == ''

    @pytest.mark.parametrize('noise', [0.1, 0.3, 0.7, 1.0, 1.5, 3.0])
    @pytest.mark.parametrize('level', [0.0, 1200.0])
    @pytest.mark.parametrize('bright', [0.1, 1.0])
    def test_whole_numbers_with_little_noise(self, noise, level, bright):
        """Of which the sky has a few values only, each far more often than any that is light."""
        wcs = tan_wcs((300, 300), 1.2)
        light = bright * paint(stars(8000, radius=12.0), wcs, (300, 300), fwhm=2.8)
        pixels = np.rint(light + level + np.random.default_rng(0).normal(0.0, noise, light.shape))
        assert not found_in(pixels, 2.8 / 1.2).mask.any()

    def test_rounded_numbers_and_tiles(self):
        assert not found_in(np.round(sky(), 1)).mask.any()
        assert not found_in(sky(dtype=np.float32).astype(float)).mask.any()

    def test_too_few_pixels(self):
        assert not find_missing(np.eye(3), np.zeros((3, 3), dtype=bool)).mask.any()


def test_noise():
    rng = np.random.default_rng(0)
    white = rng.normal(5.0, 3.0, (100, 100))
    noise, noisy = noise_of(white, np.ones(white.shape, dtype=bool))
    assert noise == pytest.approx(3.0, rel=0.05) and noisy
    assert not noise_of(np.indices((50, 50))[1] * 1.0, np.ones((50, 50), dtype=bool))[1]
    assert noise_of(white, np.zeros(white.shape, dtype=bool)) == (0.0, False)


def test_text():
    kinds = Missing.none((2, 3)).kinds
    assert list(kinds) == list(KINDS)
    kinds['zero'][0] = kinds['sentinel'][1, 1] = True
    found = Missing(kinds, (-99.0, -1.0))
    assert found.text() == '1 sentinel (-99, -1), 3 zero'
    assert found.text(np.s_[:1, :2]) == '2 zero'


# -- in the map -------------------------------------------------------------------------------------

HOW = {'unit': 'adu', 'zero_point': ZERO_POINT, 'band': 'V', 'center': CENTER, 'seeing': FWHM * u.arcsec,
       'field_of_view': 30 * u.arcsec}


def light_of(pixels, **how):
    return prepare(CCDData(pixels, unit='adu', wcs=WCS), **(HOW | how))


@pytest.fixture(scope='module')
def clean():
    pixels = sky()
    return pixels, light_of(pixels)


class TestMaps:
    @pytest.mark.parametrize(('where', 'value', 'kind'), [
        (COLUMN, -999.0, 'sentinel (-999)'), (COLUMN, 0.0, 'zero'), (np.s_[78:80, 60:90], 1e30, 'sentinel')])
    def test_the_light_is_that_of_the_clean_image(self, clean, where, value, kind):
        light = light_of(spoiled(clean[0], where, value))
        assert np.nansum(light.data) == pytest.approx(clean[1].data.sum(), rel=0.015)
        assert light.meta['MISSING'].split(' ', 1)[1] == kind
        assert light.meta['NMISSING'] == int(light.meta['MISSING'].split()[0]) > 20
        assert 'MISSING' not in clean[1].meta

    @pytest.mark.parametrize('radius', [45.0, 60.0, 75.0])
    def test_a_round_image(self, clean, radius):
        """What is outside is no sky: the same as if it were not a number."""
        down, right = np.indices(SHAPE) - 79.5
        outside = np.hypot(down, right) > radius
        zero, marked = (light_of(spoiled(clean[0], outside, value), center=None, field_of_view='auto')
                        for value in (0.0, np.nan))
        np.testing.assert_allclose(zero.data, marked.data, rtol=1e-6, atol=1e-6 * np.nanmax(marked.data))
        assert 'zero' in zero.meta['MISSING'] and zero.meta['FLAGS'] == marked.meta['FLAGS']

    def test_cosmic_rays(self, clean):
        hit = np.random.default_rng(7).uniform(size=SHAPE) < 0.002
        light = light_of(clean[0] + 2e4 * hit)
        assert light.data.sum() == pytest.approx(clean[1].data.sum(), rel=0.01)
        assert light.meta['MISSING'].endswith('cosmic')

    @pytest.mark.parametrize('seeing', [FWHM * u.arcsec, None])
    @pytest.mark.parametrize('number', [20, 200, 1000])
    def test_cosmic_rays_spoil_neither_centre_nor_field_nor_psf(self, clean, seeing, number):
        hit = np.random.default_rng(9).permutation(clean[0].size).reshape(SHAPE) < number
        hit[[0, -1]] = hit[:, [0, -1]] = False
        must, light = (light_of(pixels, seeing=seeing, center=None, field_of_view='auto')
                       for pixels in (clean[0], clean[0] + 2e4 * hit))
        assert light.data.sum() == pytest.approx(must.data.sum(), rel=0.02)
        for keyword in ('CENX', 'CENY', 'PIXSCALE', 'PSFFWHM'):
            assert light.meta[keyword] == pytest.approx(must.meta[keyword], rel=0.02)

    @pytest.mark.parametrize('stored', ['zero', 'ceiling'])
    def test_saturated_stars_are_rebuilt_and_flagged(self, clean, stored):
        pixels, must = clean
        cores = pixels > np.quantile(pixels, 0.999)
        low = 0.0 if stored == 'zero' else np.quantile(pixels, 0.999)
        light = light_of(spoiled(pixels, cores, low))
        assert light.data.sum() == pytest.approx(must.data.sum(), rel=0.015)
        assert light.meta['FLAGS'] == 'saturated' and light.mask is None
        its = pixels[cores].sum() / pixels[27:133, 27:133].sum()
        assert light.meta['SATLIGHT'] == pytest.approx(its, rel=0.25)

    def test_without_a_psf_they_stay_masked(self, clean):
        pixels = clean[0]
        cores = pixels > np.quantile(pixels, 0.999)
        light = light_of(spoiled(pixels, cores, 0.0), seeing=None, mask=_dotted(cores))
        assert light.meta['FLAGS'].split()[:1] == ['seeing-unknown'] and light.meta['SATLIGHT'] == 0.0

    def test_half_of_the_field(self, clean):
        """The centre is found where the light is, not in the middle of the half that is left."""
        light = light_of(spoiled(clean[0], np.s_[:, :79], 0.0), center=None, min_coverage=0.4)
        assert light.meta['FLAGS'] == 'gaps'
        assert math.hypot(light.meta['CENX'] - 79.5, light.meta['CENY'] - 79.5) < 5.0

    def test_uncertainty_of_what_was_rebuilt(self, clean):
        pixels, weight = clean[0], np.full(SHAPE, NOISE**-2.0)
        cores = pixels > np.quantile(pixels, 0.9999)
        plain, rebuilt = (light_of(each, weight=weight, smoothing=0).uncertainty.array
                          for each in (pixels, spoiled(pixels, cores, 0.0)))
        assert rebuilt.max() > 2.0 * plain.max()

    def test_maps_and_magnitudes_are_not_looked_at(self):
        header = WCS.to_header()
        header['BUNIT'] = 'mag/arcsec2'
        from astropy.io import fits

        data = np.full(SHAPE, 20.0) + np.random.default_rng(0).normal(0, 0.01, SHAPE)
        data[BLOCK] = 30.0
        light = prepare(fits.PrimaryHDU(data, header), band='V', center=CENTER, seeing=1 * u.arcsec,
                        field_of_view=30 * u.arcsec)
        assert 'MISSING' not in light.meta


def _dotted(cores):
    """Bad pixels so close that no star is without one."""
    mask = np.zeros(SHAPE, dtype=bool)
    mask[::4, ::4] = True
    return mask & ~cores
