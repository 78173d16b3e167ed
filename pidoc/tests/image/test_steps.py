# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Steps of the level: found along whole columns and rows, and never in the light of stars."""

import numpy as np
import pytest

from pidoc.image.steps import find_steps
from pidoc.tests.image_helpers import paint, stars, tan_wcs

SHAPE = 160, 180


def sky(seed=1, number=3000, noise=5.0, fwhm=1.1):
    counts = 20.0 * paint(stars(number, radius=10.0, seed=seed), tan_wcs(SHAPE, 0.4), SHAPE, fwhm=fwhm)
    return counts + noise * np.random.default_rng(seed).normal(size=SHAPE)


def found(pixels, bad=False):
    return find_steps(pixels, np.isfinite(pixels) & ~np.broadcast_to(bad, SHAPE))


@pytest.mark.parametrize('size', [120.0, -120.0, 500.0])
@pytest.mark.parametrize('where', [np.s_[:, 80:84], np.s_[:, 30:50], np.s_[70:79], np.s_[20:40]])
def test_bands(size, where):
    pixels = sky()
    pixels[where] += size
    bands, single = found(pixels)
    must = np.zeros(SHAPE, dtype=bool)
    must[where] = True
    np.testing.assert_array_equal(bands, must)
    assert single == ()


def test_single_ones():
    pixels = sky(number=300)
    pixels[:, 100:] += 100.0
    pixels[60:] -= 100.0
    # pixels without data are ignored
    pixels[10:14] = np.nan
    bad = np.zeros(SHAPE, dtype=bool)
    bad[:, 120:125] = True
    pixels[bad] = 1e5
    bands, single = found(pixels, bad)
    assert [its[:2] for its in single] == [('column', 100), ('row', 60)] and not bands.any()
    assert [its[2] for its in single] == pytest.approx([100.0, -100.0], abs=10.0)


@pytest.mark.parametrize('size', [-120.0, 500.0])
@pytest.mark.parametrize('where', [np.s_[:, :20], np.s_[:, 165:], np.s_[:12], np.s_[150:]])
def test_strips_at_an_edge(size, where):
    """An overscan, or what was not exposed."""
    pixels = sky()
    pixels[where] += size
    bands, single = found(pixels)
    must = np.zeros(SHAPE, dtype=bool)
    must[where] = True
    np.testing.assert_array_equal(bands, must)
    assert single == ()


def test_a_pattern_is_no_band():
    """Amplifiers that differ by turns: no half of them is bad."""
    pixels = sky() + 120.0 * (np.arange(SHAPE[1]) // 30 % 2)
    bands, single = found(pixels)
    assert [its[:2] for its in single] == [('column', at) for at in range(30, 180, 30)] and not bands.any()


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('number', [30, 3000, 30_000])
def test_none_in_light(seed, number):
    for fwhm in (0.6, 1.1, 2.0):
        for noise in (0.0, 5.0):
            bands, single = found(sky(seed, number, noise, fwhm))
            assert single == () and not bands.any()


def test_none_in_profiles():
    down, right = np.indices(SHAPE) - 80.0
    for power in (0.5, 1.5, 4.0):
        core = 5e4 / (1.0 + (down**2 + right**2) / 20.0**2) ** power
        for pixels in (core, core + sky(number=3), 100.0 * right + sky(), right**2):
            bands, single = found(pixels)
            assert single == () and not bands.any()


def test_none_in_small_images():
    for shape in ((3, 3), (200, 5), (5, 200), (48, 8)):
        bands, single = find_steps(np.ones(shape), np.ones(shape, dtype=bool))
        assert bands.shape == shape and not bands.any() and single == ()
