# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Point spread functions that are known, measured on stars; and the kernels between them."""

import math

import numpy as np
import pytest
from astropy.stats import gaussian_fwhm_to_sigma

from pidoc.image.psf import matching_kernel, measure_psf, Psf
from pidoc.tests import ps1_sky as sky

pytest.importorskip('photutils')


def nothing_bad(pixels):
    return np.zeros(pixels.shape, dtype=bool)


def moffat_stars(fwhm, *, number=40, noise=1.0, seed=2, beta=2.5):
    """Moffat functions, each at a place of its own between the pixels."""
    rng = np.random.default_rng(seed)
    shape = (260, 260)
    pixels = rng.normal(30.0, noise, shape)
    y, x = np.indices(shape, dtype=float)
    core = 0.5 * fwhm / math.sqrt(2 ** (1 / beta) - 1)
    fine = (np.arange(5) + 0.5) / 5 - 0.5
    for place in rng.uniform(15, 245, (number, 2)):
        at = tuple(slice(max(0, int(middle) - 25), int(middle) + 26) for middle in place[::-1])
        for dy in fine:
            for dx in fine:
                square = ((x[at] + dx - place[0])**2 + (y[at] + dy - place[1])**2) / core**2
                pixels[at] += 2000 / 25 * (1 + square)**-beta
    return pixels


class TestMeasured:
    @pytest.mark.parametrize('fwhm', [1.8, 3.2, 5.5, 9.0])
    @pytest.mark.parametrize('beta', [2.5, 4.0])
    def test_of_moffat_functions(self, fwhm, beta):
        pixels = moffat_stars(fwhm, beta=beta)
        psf = measure_psf(pixels, nothing_bad(pixels), expected=4.0)
        assert psf.known
        assert psf.fwhm == pytest.approx(fwhm, rel=0.02)
        assert psf.beta == pytest.approx(beta, rel=0.15)
        assert psf.scatter < 0.05 * fwhm
        assert psf.n_stars >= 5

    @pytest.mark.parametrize('band', 'gr')
    def test_of_stacks(self, band):
        pixels = sky.counts(band)[0]
        psf = measure_psf(pixels, nothing_bad(pixels)).scaled(0.25)
        assert psf.fwhm == pytest.approx(sky.SEEING[band], rel=0.01)
        assert psf.beta == pytest.approx(sky.BETA, rel=0.05)
        assert psf.n_stars >= 10

    @pytest.mark.slow
    def test_saturated_stars_are_not_used(self):
        pixels = sky.counts('g')[0]
        psf = measure_psf(pixels, pixels > np.quantile(pixels, 0.9995)).scaled(0.25)
        assert psf.fwhm == pytest.approx(sky.SEEING['g'], rel=0.02)

    def test_no_stars(self):
        noise = np.random.default_rng(0).normal(0, 1, (80, 80))
        psf = measure_psf(noise, nothing_bad(noise))
        assert not psf.known and math.isnan(psf.scatter) and psf.n_stars < 3
        assert measure_psf(noise, np.ones((80, 80), dtype=bool)).n_stars == 0
        flat = np.zeros((80, 80))
        assert not measure_psf(flat, nothing_bad(flat)).known

    def test_galaxies_are_no_stars(self):
        """Wide and flat things do not fit."""
        y, x = np.indices((200, 200), dtype=float)
        pixels = np.random.default_rng(0).normal(0, 1, (200, 200))
        for at in (40, 100, 160):
            pixels[(np.abs(x - at) < 8) & (np.abs(y - at) < 2)] += 500.0
        assert not measure_psf(pixels, nothing_bad(pixels), expected=3.0).known


class TestKernels:
    def test_images(self):
        image = Psf(fwhm=1.2).image(40, 0.25)
        assert image.sum() == pytest.approx(1.0)
        # half of the peak at half the width (2.4 pixels), up to the width of a pixel
        assert np.interp(2.4, np.arange(5), image[40, 40:45]) / image[40, 40] == pytest.approx(0.5, abs=0.02)

    @pytest.mark.parametrize(('beta', 'other'), [(2.5, 2.5), (2.5, 3.5), (4.0, 2.8)])
    def test_matching(self, beta, other):
        from scipy.signal import fftconvolve

        source, target = Psf(fwhm=1.05, beta=beta), Psf(fwhm=1.30, beta=other)
        kernel = matching_kernel(source, target, 0.25)
        assert kernel.shape == (41, 41) and kernel.sum() == pytest.approx(1.0)
        matched = fftconvolve(source.image(60, 0.25), kernel, mode='same')
        wanted = target.image(60, 0.25)
        assert np.abs(matched - wanted).max() < 0.01 * wanted.max()

    def test_of_gaussians(self):
        """With a large exponent a Moffat function is a Gaussian, whose widths subtract in squares."""
        kernel = matching_kernel(*(Psf(fwhm=width, beta=400.0) for width in (1.0, 1.25)), 0.25)
        y, x = np.indices(kernel.shape) - kernel.shape[0] // 2
        sigma = math.sqrt((x**2 * kernel).sum())
        expected = gaussian_fwhm_to_sigma * math.sqrt(1.25**2 - 1.0**2) / 0.25
        assert sigma == pytest.approx(expected, rel=0.03)

    def test_not_sharper(self):
        with pytest.raises(ValueError, match='the target must not be sharper than the source, received 1'):
            matching_kernel(Psf(fwhm=1.2), Psf(fwhm=1.0), 0.25)
