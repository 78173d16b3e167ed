# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Centre and background of images whose truth is known."""

import math
import time

import numpy as np
import pytest

from pidoc.image.sky import background_in_annulus, find_center
from pidoc.tests.image_helpers import paint, stars, tan_wcs

pytest.importorskip('photutils')


def field(at=(0.0, 0.0), *, number=3000, shape=(200, 220), level=100.0, noise=3.0, seed=1, radius=8.0):
    """A cluster of stars on 0.5 arcsec pixels, its centre off the middle by pixels."""
    wcs = tan_wcs(shape, 0.5, offset=at)
    counts = paint(stars(number, seed=seed, radius=radius), wcs, shape)
    return counts + np.random.default_rng(seed).normal(level, noise, shape)


def nothing_bad(pixels):
    return np.zeros(pixels.shape, dtype=bool)


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
