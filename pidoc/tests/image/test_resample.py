# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Areas, blurring and smoothing, against formulas and against `pidoc.mock`."""

import tracemalloc

import numpy as np
import pytest
from astropy import units as u
from astropy.wcs.utils import proj_plane_pixel_area
from scipy.ndimage import gaussian_filter

from pidoc.grid import MapGrid
from pidoc.image.psf import Psf
from pidoc.image.resample import blurred, Layer, pixel_areas, Plane
from pidoc.mock.render import _band
from pidoc.tests.image_helpers import CENTER, tan_wcs

POSITION = CENTER.ra.deg, CENTER.dec.deg


def grid(side=10.0, scale=0.25, smoothing=4.0):
    return MapGrid.of_field(side * u.arcsec, pixel_scale=scale * u.arcsec, smoothing=smoothing)


def test_areas():
    target = grid().wcs(POSITION)
    for how in ({}, {'turn': 33.0}, {'mirror': True}):
        wcs = tan_wcs((30, 30), 0.4, **how)
        np.testing.assert_allclose(pixel_areas(wcs, (30, 30), target), (0.4 / 0.25)**2, rtol=1e-6)
    # far from the point that the plane touches pixels cover less of the sky: cos^3
    wcs = tan_wcs((30, 30), 0.4, offset=(36000, 0))
    sky = wcs.pixel_to_world(14.5, 14.5)
    there = grid().wcs((sky.icrs.ra.deg, sky.icrs.dec.deg))
    areas = pixel_areas(wcs, (30, 30), there) * 0.25**2
    angle = sky.separation(CENTER).rad
    assert angle > 0.06
    assert areas[15, 15] == pytest.approx(proj_plane_pixel_area(wcs) * 3600**2 * np.cos(angle)**3, rel=1e-4)


def test_smoothing_is_that_of_mocks():
    pixels = np.random.default_rng(0).uniform(size=(60, 60))
    theirs = _band(20, 4.0) @ pixels @ _band(20, 4.0).T
    np.testing.assert_allclose(blurred(pixels, 4.0)[20:40, 20:40], theirs, rtol=1e-12)


def test_squares_of_the_weights():
    """Variance of the mean of independent pixels: 1 / (4 pi sigma^2) of theirs."""
    ones = np.ones((120, 120))
    assert blurred(ones, 4.0, power=2)[60, 60] == pytest.approx(1 / (4 * np.pi * 16), rel=1e-3)


def test_a_mean_over_what_is_seen():
    share = (np.random.default_rng(1).uniform(size=(80, 80)) > 0.3).astype(float)
    plane = Plane(3.0 * share, share, None, None).smoothed(4.0, 20)
    np.testing.assert_allclose(plane.total, 3.0, rtol=1e-12)
    np.testing.assert_array_equal(plane.seen, share[20:60, 20:60])
    assert plane.variance is None
    nothing = Plane(np.zeros((80, 80)), np.zeros((80, 80)), np.zeros((80, 80)), None).smoothed(4.0, 20)
    assert np.isnan(nothing.total).all() and np.isnan(nothing.variance).all()


def layer(scale=0.4, number=60, seeing=1.0, smoothed=0.0, on_grid=False):
    rng = np.random.default_rng(5)
    flux = rng.uniform(size=(number, number))
    return Layer(flux, np.zeros(flux.shape, dtype=bool), np.full(flux.shape, 0.2), 0.2,
                 tan_wcs(flux.shape, scale), grid(), scale, POSITION, on_grid, Psf(fwhm=seeing), smoothed,
                 None, {}, ())


class TestLayers:
    def test_coordinates_in_which_pixels_fall_on_one_line(self):
        """The middle may look as it should, and numbers have no digits left elsewhere."""
        line = tan_wcs((20, 20), 0.4)
        line.wcs.cd = [[-0.4 / 3600, 9e59], [3e-5, 0.4 / 3600]]
        bad = np.zeros((20, 20), dtype=bool)
        layer = Layer(np.ones((20, 20)), bad, None, 0.2, line, grid(), 0.4, POSITION, False, Psf(fwhm=1.0),
                      0.0, None, {}, ())
        with pytest.raises(ValueError, match='world coordinates must give each pixel an area, received some '
                                             'with'):
            layer.plane(grid(), 0)

    def test_flux_and_variance_add_up(self):
        pytest.importorskip('reproject')
        one = layer(number=20)
        plane = one.plane(grid(20.0), 0)
        assert plane.total.sum() == pytest.approx(one.flux.sum(), rel=1e-6)
        assert plane.variance.sum() == pytest.approx(400 * 0.04, rel=1e-6)
        assert plane.share.sum() * 0.25**2 == pytest.approx(64.0, rel=1e-6)

    @pytest.mark.parametrize(('seeing', 'best', 'fwhm'),
                             [(0.3, 0.5, 0.4), (0.5, 0.5, 0.0), (0.9, 0.5, 0.0), (np.nan, 0.5, 0.0)])
    def test_widths_of_gaussians_add_in_squares(self, seeing, best, fwhm):
        one = layer(seeing=seeing)
        assert one.blur(grid(), best) == pytest.approx(fwhm / 2.354820 / 0.25, rel=1e-6)
        assert one.meta['PSFBLUR'] == pytest.approx(fwhm)
        assert one.meta['PSFFWHM'] == (None if np.isnan(seeing) else max(seeing, best))

    @pytest.mark.parametrize('scale', [0.12, 0.25, 0.4, 0.6])
    def test_points_that_are_smoothed(self, scale, monkeypatch):
        """Single pixels become Gaussians, as those of areas of overlap do that are as large."""
        number = round(60 / scale)
        flux = np.zeros((number, number))
        rows, columns = np.random.default_rng(2).integers(int(0.3 * number), int(0.7 * number), (2, 60))
        np.add.at(flux, (rows, columns), 1.0)
        wcs = tan_wcs(flux.shape, scale, turn=20.0)
        one = Layer(flux, flux < 0.0, flux + 1.0, 0.0, wcs, grid(), scale, POSITION, False, Psf(fwhm=1.0),
                    0.0, None, {}, ())
        points = one.put(grid(), 0.5)
        x, y = grid().wcs(POSITION).world_to_pixel(wcs.pixel_to_world(columns, rows))
        down, right = np.indices(points.total.shape)
        # as wide as pixels of the image spread light when they were exposed, which these were not
        wide = 16.0 - (scale / 0.25) ** 2 / 12.0
        truth = sum(np.exp(-0.5 * ((right - a) ** 2 + (down - b) ** 2) / wide)
                    for a, b in zip(x, y, strict=True))
        truth /= 2.0 * np.pi * wide
        assert np.abs(points.total - truth).max() < 0.01 * truth.max()
        monkeypatch.setattr('pidoc.image.resample._SMOOTH', 1e9)
        overlaps = one.put(grid(), 0.5)
        np.testing.assert_allclose(points.variance, overlaps.variance, rtol=0.2)
        if scale > 0.2:
            assert np.abs(points.total - overlaps.total).max() < 0.01 * truth.max()

    @pytest.mark.parametrize('scale', [0.03, 0.015])
    def test_blocks_of_small_pixels(self, scale, monkeypatch):
        """With masked pixels and variances: as without blocks, and to the Gaussians that they become."""
        rng = np.random.default_rng(7)
        shape = round(26 / scale), round(25 / scale) + 1
        flux = np.zeros(shape)
        rows, columns = (rng.integers(int(0.3 * n), int(0.7 * n), 80) for n in shape)
        np.add.at(flux, (rows, columns), 1.0)
        bad = (rng.uniform(size=shape) < 0.2) & (flux == 0.0)
        # nothing at all in a part
        bad[-40:] = bad[:, :40] = True
        one = Layer(np.where(bad, np.nan, flux), bad, np.where(bad, np.inf, flux + 1.0), 0.0,
                    tan_wcs(shape, scale, turn=20.0), grid(), scale, POSITION, False, Psf(fwhm=1.0), 0.0,
                    None, {}, ())
        assert one._side(grid()) == {0.03: 1, 0.015: 2}[scale]
        coarse, plane = one.put(grid(), 0.5), one.plane(grid(), 20)
        np.testing.assert_allclose(plane.total.sum(), flux.sum(), rtol=1e-12)
        monkeypatch.setattr('pidoc.image.resample._FINE', 1e9)
        fine = one.put(grid(), 0.5)
        for name in ('total', 'share', 'variance'):
            its, other = getattr(coarse, name), getattr(fine, name)
            np.testing.assert_array_equal(np.isnan(its), np.isnan(other))
            assert np.nanmax(np.abs(its - other)) < 0.01 * np.nanmax(other), name
        # single pixels, in the share of those about them that are good
        wide = 16.0 - (scale / 0.25) ** 2 / 12.0
        x, y = grid().wcs(POSITION).world_to_pixel(one.wcs.pixel_to_world(columns, rows))
        down, right = np.indices(coarse.total.shape)
        truth = sum(np.exp(-0.5 * ((right - a) ** 2 + (down - b) ** 2) / wide)
                    for a, b in zip(x, y, strict=True)) / (2.0 * np.pi * wide)
        assert np.abs(coarse.total * coarse.share - truth).max() < 0.01 * truth.max()

    def test_blocks_keep_the_sharp_map(self, monkeypatch):
        """Of stars as sharp as those of Hubble, before the smoothing."""
        scale, number = 0.015, 1200
        flux = np.zeros((number, number))
        rows, columns = np.random.default_rng(8).integers(450, 750, (2, 40))
        np.add.at(flux, (rows, columns), 1.0)
        flux = gaussian_filter(flux, 0.1 / 2.3548 / scale)
        one = Layer(flux, flux < 0.0, None, 0.0, tan_wcs(flux.shape, scale), grid(), scale, POSITION, False,
                    Psf(fwhm=0.1), 0.0, None, {}, ())
        coarse = one.put(grid(), 0.5).sharp
        monkeypatch.setattr('pidoc.image.resample._FINE', 1e9)
        fine = one.put(grid(), 0.5).sharp
        assert one._side(grid()) == 1 and np.abs(coarse - fine).max() < 0.01 * fine.max()

    def test_pixels_are_not_held_in_copies(self):
        """Fewer than three further numbers for each pixel, where blocks are small."""
        shape = 2000, 2000
        one = Layer(np.ones(shape), np.zeros(shape, dtype=bool), None, 0.0, tan_wcs(shape, 0.02),
                    grid(40.0, 1.0), 0.02, POSITION, False, Psf(fwhm=1.0), 0.0, None, {}, ())
        tracemalloc.start()
        try:
            plane = one.plane(grid(40.0, 1.0), 2)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert plane.total.sum() == pytest.approx(4e6)
        assert most < 3 * one.flux.nbytes

    def test_what_is_still_to_be_smoothed(self):
        assert layer(on_grid=True, scale=0.25).missing(grid()) == 4.0
        assert layer(on_grid=True, scale=0.25, smoothed=1.0).missing(grid()) == 0.0
        assert layer(on_grid=True, scale=0.25, smoothed=0.6).missing(grid()) == pytest.approx(3.2)
        # pixels of 0.6 arcsec, once; again, in three parts to a side; and those of the grid
        spread = (0.6**2 * (2 - 1 / 9) + 0.25**2) / 12
        assert layer(scale=0.6).missing(grid()) == pytest.approx(4 * np.sqrt(1 - spread))
        # so large that they are taken as they are, twice
        assert layer(scale=0.8).missing(grid()) == pytest.approx(4 * np.sqrt(1 - 2 * 0.8**2 / 12))
        with pytest.raises(ValueError, match='smoothed with a Gaussian of 1.2 arcsec, more than the 1 '
                                             'arcsec'):
            layer(smoothed=1.2).missing(grid())
