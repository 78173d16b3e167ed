# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Centre and background of images whose truth is known."""

import math
import time

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pidoc.cluster.king import core_radius, king_potential, king_radius
from pidoc.image.sky import background_in_annulus, concentration, find_center, fit_sky
from pidoc.tests.image_helpers import paint, stars, tan_wcs

pytest.importorskip('photutils')


def field(at=(0.0, 0.0), *, number=3000, shape=(200, 220), level=100.0, noise=3.0, seed=1, radius=8.0):
    """A cluster of stars on 0.5 arcsec pixels, its centre off the middle by pixels."""
    wcs = tan_wcs(shape, 0.5, offset=at)
    counts = paint(stars(number, seed=seed, radius=radius), wcs, shape)
    return counts + np.random.default_rng(seed).normal(level, noise, shape)


def nothing_bad(pixels):
    return np.zeros(pixels.shape, dtype=bool)


class TestConcentration:
    def test_of_fields_of_stars_is_that_of_chance(self):
        rng = np.random.default_rng(3)
        wcs, found = tan_wcs((120, 120), 0.5), []
        for number in (30, 60, 100, 300, 1000) * 8:
            sample = (*rng.uniform(-30.0, 30.0, (2, number)), 30.0 * rng.pareto(0.75, number))
            counts = paint(sample, wcs, (120, 120)) + rng.normal(0.0, 3.0, (120, 120))
            found.append(concentration(counts, nothing_bad(counts), (59.5, 59.5), 0.5))
        # standard errors of 40 numbers; a star may shine in two cells
        assert np.mean(found) == pytest.approx(0.0, abs=3.0 / np.sqrt(40))
        assert 0.8 < np.std(found) < 1.5

    def test_of_clusters(self):
        pixels = field((20.0, -30.0))
        bad = nothing_bad(pixels)
        assert concentration(pixels, bad, (129.5, 69.5), 0.5) > 10.0
        # whatever the level and the unit; less about another place
        same = concentration(3.0 * pixels - 1e4, bad, (129.5, 69.5), 0.5)
        assert same == pytest.approx(concentration(pixels, bad, (129.5, 69.5), 0.5))
        assert concentration(pixels, bad, (180.0, 150.0), 0.5) < 5.0
        bad[:, ::3] = True
        assert concentration(np.where(bad, np.nan, pixels), bad, (129.5, 69.5), 0.5) > 10.0

    def test_of_what_cannot_be_told(self):
        flat = np.ones((100, 100))
        assert concentration(flat, nothing_bad(flat), (50, 50), 0.5) == 0.0
        assert math.isnan(concentration(flat, nothing_bad(flat), (50, 50), 0.1))
        assert math.isnan(concentration(flat, flat > 0.0, (50, 50), 0.5))


class TestCenter:
    @pytest.mark.parametrize('at', [(0.0, 0.0), (40.0, -25.0), (-60.0, 30.0)])
    def test_found_wherever_it_is(self, at):
        pixels = field(at)
        x, y = find_center(pixels, nothing_bad(pixels), least=40)
        assert math.hypot(x - 109.5 - at[0], y - 99.5 - at[1]) < 4.0

    def test_moves_with_the_image(self):
        pixels = field()
        bad = nothing_bad(pixels)
        x, y = find_center(pixels, bad, least=40)
        turned = find_center(pixels[::-1, ::-1], bad, least=40)
        assert turned == pytest.approx((219 - x, 199 - y), abs=0.3)
        brighter = find_center(7.0 * pixels + 500.0, bad, least=40)
        assert brighter == pytest.approx((x, y), abs=1e-6)

    def test_a_bright_star_and_bad_pixels_do_not_decide(self):
        pixels = field()
        bad = nothing_bad(pixels)
        x, y = find_center(pixels, bad, least=40)
        pixels[20:24, 30:34] += 1e6
        assert find_center(pixels, bad, least=40) == pytest.approx((x, y), abs=1.0)
        pixels[20:60, 30:60] = np.nan
        bad = np.isnan(pixels)
        assert find_center(pixels, bad, least=40) == pytest.approx((x, y), abs=1.5)

    @pytest.mark.parametrize('pixels', [np.ones((30, 30)), np.full((30, 30), np.nan)])
    def test_nothing_there(self, pixels):
        with pytest.raises(ValueError, match='no centre can be found where pixels are all bad, or all the '
                                             'same'):
            find_center(pixels, np.isnan(pixels), least=10)


class TestBackground:
    def test_level_and_error(self):
        levels = []
        for seed in range(20):
            pixels = np.random.default_rng(seed).normal(50.0, 4.0, (100, 100))
            level, error = background_in_annulus(pixels, nothing_bad(pixels), (49.5, 49.5), 30, 45)
            levels.append(level)
        number = np.pi * (45**2 - 30**2)
        assert error == pytest.approx(4.0 / math.sqrt(number), rel=0.1)
        # SExtractor's 2.5 medians less 1.5 means scatters more than a mean
        assert np.mean(levels) == pytest.approx(50.0, abs=4 * error)
        assert np.std(levels) < 4 * error

    def test_stars_are_clipped(self):
        pixels = field(number=300, radius=30.0)
        level, _ = background_in_annulus(pixels, nothing_bad(pixels), (109.5, 99.5), 70, 95)
        assert level == pytest.approx(100.0, abs=1.0)

    def test_bad_pixels_do_not_count(self):
        pixels = np.full((100, 100), 50.0) + np.random.default_rng(0).normal(0, 1, (100, 100))
        bad = nothing_bad(pixels)
        pixels[:60], bad[:60] = 60.0, True
        assert background_in_annulus(pixels, bad, (49.5, 49.5), 30, 45)[0] == pytest.approx(50.0, abs=0.3)

    def test_outside_of_the_image(self):
        with pytest.raises(ValueError, match='must have at least 50 good pixels, received 0'):
            background_in_annulus(np.ones((20, 20)), np.zeros((20, 20), dtype=bool), (9.5, 9.5), 30, 45)


class TestSmallPixels:
    def test_a_large_image(self):
        """Hubble's pixels: 20 arcsec are 400 of them."""
        rng = np.random.default_rng(3)
        y, x = np.indices((2048, 2048), dtype=np.float32)
        pixels = rng.normal(0.0, 5.0, x.shape).astype(np.float32)
        pixels += 100.0 / (1.0 + ((x - 900.0) ** 2 + (y - 1300.0) ** 2) / 300.0**2) ** 2
        start = time.process_time()
        found = find_center(pixels, nothing_bad(pixels), least=400.0)
        assert time.process_time() - start < 2.0
        assert found == pytest.approx((900.0, 1300.0), abs=4.0)

    def test_pixels_of_nothing(self):
        """In which 20 arcsec are more than any image has."""
        pixels = field()
        assert find_center(pixels, nothing_bad(pixels), least=2e10) == pytest.approx((109.5, 99.5), abs=8.0)

    def test_a_gap_beside_the_center(self):
        pixels = field(number=6000)
        bad = nothing_bad(pixels)
        bad[:, :105] = True
        assert find_center(pixels, bad, least=40) == pytest.approx((109.5, 99.5), abs=6.0)


def king_field(core, concentration, *, side=220, scale=0.5, number=20_000, seed=1, noise=3.0, level=0.0):
    """Stars of a King profile [arcsec] in noise, and the mean of their light within 20 arcsec."""
    rng = np.random.default_rng(seed)
    radius = np.geomspace(0.01, core * 10**concentration, 2000)
    density = (1.0 / np.sqrt(1.0 + (radius / core) ** 2) - 1.0 / np.sqrt(1.0 + 100.0**concentration)) ** 2
    grown = np.cumsum(density * radius * np.gradient(radius))
    reach = 0.5 * side * scale * 1.5
    grown /= np.interp(reach, radius, grown)
    away, angle = np.interp(rng.uniform(size=number), grown, radius), rng.uniform(0.0, 2.0 * np.pi, number)
    # a few giants have half of the light
    flux = 30.0 * np.minimum(rng.pareto(1.3, number), 100.0) + 20.0
    edges = (np.arange(side + 1) - 0.5 * side) * scale
    light = np.histogram2d(away * np.sin(angle), away * np.cos(angle), [edges, edges], weights=flux)[0]
    light = gaussian_filter(light, 1.0)
    y, x = np.indices(light.shape) - 0.5 * (side - 1)
    field = light[np.hypot(x, y) * scale < 20.0].mean()
    return light + rng.normal(level * field, noise, light.shape), field


def fitted(pixels, field, **how):
    """Level and error in the mean light of the field."""
    middle = tuple(0.5 * (n - 1) for n in reversed(pixels.shape))
    fit = fit_sky(pixels, nothing_bad(pixels), middle, 0.5, **({'reach': 20.0, 'noise': 3.0} | how))
    return fit.level / field, fit.error / field


class TestFit:
    @pytest.mark.parametrize('level', [-0.05, 0.0, 0.05, 0.3, 20.0])
    @pytest.mark.parametrize(('core', 'concentration'), [(5.0, 1.2), (10.0, 1.0), (4.0, 2.0)])
    def test_of_compact_clusters(self, core, concentration, level):
        """Smaller than the image: the level is known to 3 % of the light, and the error says how well."""
        for seed in (1, 2):
            found, error = fitted(*king_field(core, concentration, level=level, seed=seed))
            assert error < 0.03 and abs(found - level) < 2.5 * error

    @pytest.mark.parametrize('level', [0.0, 0.05])
    def test_of_clusters_that_fill_the_image(self, level):
        """Nothing is found that is not there: what cannot be separated is in the error."""
        for core, side in ((30.0, 220), (80.0, 220), (30.0, 88), (15.0, 88)):
            pixels, field = king_field(core, 1.0, side=side, level=level)
            found, error = fitted(pixels, field)
            assert abs(found - level) < 2.5 * error and error < 0.5
            # which the catalogue makes smaller
            better, smaller = fitted(pixels, field, known=(core, 1.0))
            assert abs(better - level) < 2.5 * smaller and smaller < 1.3 * error

    @pytest.mark.parametrize('concentration', [2.0, 2.5])
    def test_of_a_halo_in_a_wide_field(self, concentration):
        """A King (1966) model with c = 2.5 falls as 1 / R where those of King (1962) fall as 1 / R^2."""
        w0, core, rng = king_potential(concentration), 4.0, np.random.default_rng(1)
        radius = core / core_radius(w0) * king_radius(rng.random(60_000), w0=w0)
        away = radius * np.sqrt(1.0 - rng.uniform(-1.0, 1.0, radius.size) ** 2)
        angle = rng.uniform(0.0, 2.0 * np.pi, radius.size)
        flux = 30.0 * np.minimum(rng.pareto(1.3, radius.size), 100.0) + 20.0
        edges = (np.arange(401) - 200.0) * 0.5
        pixels = np.histogram2d(away * np.sin(angle), away * np.cos(angle), [edges, edges], weights=flux)[0]
        pixels = gaussian_filter(pixels, 1.0)
        y, x = np.indices(pixels.shape) - 199.5
        field = pixels[np.hypot(x, y) * 0.5 < 80.0].mean()
        pixels += rng.normal(0.0, 1.0, pixels.shape)
        found, error = fitted(pixels, field, reach=80.0, noise=1.0, outermost=120.0,
                              known=(core, concentration))
        assert abs(found) < 2.5 * error and error < 0.04

    def test_bad_pixels_and_bright_stars_do_not_count(self):
        pixels, field = king_field(5.0, 1.2)
        bad = nothing_bad(pixels)
        pixels[:, 60:70], bad[:, 60:70] = 1e9, True
        rng = np.random.default_rng(0)
        for row, column in rng.integers(5, 215, (30, 2)):
            pixels[row - 2:row + 3, column - 2:column + 3] += 2000.0
        fit = fit_sky(pixels, bad, (109.5, 109.5), 0.5, reach=20.0, noise=3.0)
        assert abs(fit.level) < 2.5 * fit.error < 0.1 * field

    def test_too_small(self):
        for shape in ((5, 5), (12, 12)):
            assert fit_sky(np.ones(shape), np.zeros(shape, dtype=bool), (2.0, 2.0), 0.5, reach=20.0) is None
        nothing = np.ones((100, 100), dtype=bool)
        assert fit_sky(np.ones((100, 100)), nothing, (50.0, 50.0), 0.5, reach=20.0) is None

    def test_an_image_cut_off_at_zero(self):
        """Most annuli have the same faint light, 0: no warning, and a level near it."""
        pixels = np.maximum(field(level=0.0), 0.0)
        pixels[:, :95] = 0.0
        fit = fit_sky(pixels, nothing_bad(pixels), (109.5, 99.5), 0.5, reach=20.0)
        assert abs(fit.level) < 0.05 * pixels[60:140, 70:150].mean() + 3.0
        assert 0.0 < fit.error < math.inf
