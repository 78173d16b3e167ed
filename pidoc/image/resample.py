# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""How the light of an image gets onto the grid of a map: areas of overlap, blurring, smoothing.

A `Layer` is what has been read of an image; `Layer.put` makes a `Plane` of it, whose pixels are those of a
`pidoc.grid.MapGrid`.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from astropy.wcs import WCS

from pidoc.grid import GAUSSIAN_END
from pidoc.image.psf import Psf

__all__ = ['Layer', 'Plane', 'blurred', 'pixel_areas']


@dataclass(eq=False)
class Layer:
    """A part of an image, calibrated: what is needed to put it on a grid."""

    flux: np.ndarray           # apparent flux per pixel
    bad: np.ndarray
    deviation: np.ndarray      # of flux, or None
    scatter: float             # of the flux of pixels about their median, in which are sky, noise and stars
    wcs: WCS                   # of this part
    scale: float               # arcsec
    position: tuple            # of the centre, degrees
    on_grid: bool
    psf: Psf                   # arcsec
    smoothed: float            # sigma that it has been smoothed with [arcsec]
    around: float              # flux of an arcsec^2 of the sky that is left around the field, or None
    meta: dict
    flags: tuple

    def put(self, grid, best):
        """The layer on a grid, smoothed as this says: `Plane`.

        Parameters
        ----------
        grid : `~pidoc.grid.MapGrid`
        best : float
            Seeing [arcsec] that a better one is degraded to.

        Raises
        ------
        ValueError
            If it has been smoothed with more than was asked for.
        """
        blur = self.blur(grid, best)
        sigma = math.hypot(blur, self.missing(grid))
        self.meta |= {'SMOOTH': grid.smoothing, 'SMOOTHBY': sigma, 'PIXSCALE': grid.scale}
        margin = self.margin(sigma)
        return self.plane(grid, margin).smoothed(sigma, margin, None if self.smoothed else blur)

    def margin(self, sigma):
        """Pixels that a Gaussian needs around the grid."""
        return 0 if self.on_grid else math.ceil(GAUSSIAN_END * sigma)

    def blur(self, grid, best):
        """Standard deviation [pixels of the grid] of the Gaussian that makes the seeing the best one."""
        sigma, cards = blur_of(self.psf, best)
        self.meta |= cards
        return sigma / grid.scale

    def missing(self, grid):
        """Standard deviation [pixels of the grid] of the smoothing that is still to be done."""
        wanted = grid.smoothing * grid.scale
        if self.smoothed > 1.01 * wanted + 1e-9:
            raise ValueError(f'the image has been smoothed with a Gaussian of {self.smoothed:g} arcsec, '
                             'more than '
                             f'the {wanted:g} arcsec that were asked for')
        # large pixels spread light twice: when they were exposed, and evenly over their area here
        spread = 0.0 if self.on_grid else 2.0 * self.scale**2 / 12.0
        return math.sqrt(max(wanted**2 - self.smoothed**2 - spread, 0.0)) / grid.scale

    def plane(self, grid, margin):
        """The layer on a grid with a margin, not smoothed."""
        if not self.on_grid:
            return self._resampled(grid, margin)
        variance = None if self.deviation is None else self.deviation**2
        return Plane(np.nan_to_num(self.flux), (~self.bad).astype(float), variance, self.wcs)

    def _resampled(self, grid, margin):
        """On the grid and a margin, by the areas in which pixels overlap."""
        from reproject import reproject_exact

        target = grid.wcs(self.position, margin=margin)
        areas = pixel_areas(self.wcs, self.flux.shape, target)
        good = ~self.bad
        if np.any(areas[good] == 0.0):
            raise ValueError('world coordinates must give each pixel an area, received some without')
        layers = [np.where(good, self.flux / areas, 0.0), good.astype(float)]
        if self.deviation is not None:
            layers.append(np.where(good, self.deviation**2 / areas, 0.0))
        with warnings.catch_warnings():
            # it divides by the areas of pixels that the image does not reach
            warnings.simplefilter('ignore')
            values, reached = reproject_exact((np.array(layers), self.wcs), target,
                                              shape_out=target.array_shape)
        values = np.where(np.isfinite(values), values, 0.0) * np.nan_to_num(reached)
        return Plane(values[0], values[1], values[2] if len(values) > 2 else None, grid.wcs(self.position))


@dataclass(eq=False)
class Plane:
    """Values on a grid: sums over the seen share of a pixel; that share; variance that adds up, or None.

    ``sharp``: what it was before the smoothing, with the best seeing; None of what came smoothed.
    """

    total: np.ndarray
    share: np.ndarray
    variance: np.ndarray
    wcs: WCS
    seen: np.ndarray = None    # share of the pixels of the field before smoothing
    sharp: np.ndarray = None

    def smoothed(self, sigma, margin, blur=None):
        """Means over what was seen, without the margin; NaN where nothing was.

        With ``blur``, the standard deviation that makes the seeing the best one, ``sharp``, too.
        """
        inner = (slice(margin, self.share.shape[0] - margin), slice(margin, self.share.shape[1] - margin))
        total = np.where(self.share > 0.0, self.total, 0.0)
        share, variance = self.share, self.variance
        if sigma > 0.0:
            total, share = (blurred(array, sigma)[inner] for array in (total, share))
            if variance is not None:
                variance = blurred(np.where(self.share > 0.0, variance, 0.0), sigma, power=2)[inner]
        else:
            total, share = total[inner], share[inner]
            variance = None if variance is None else variance[inner]
        values = np.full(share.shape, np.nan)
        np.divide(total, share, out=values, where=share > 1e-12)
        if variance is not None:
            result = np.full(share.shape, np.nan)
            np.divide(variance, share**2, out=result, where=share > 1e-12)
            variance = result
        sharp = None if blur is None else self.smoothed(blur, margin).total
        return Plane(values, share, variance, self.wcs, self.share[inner], sharp)


def blur_of(psf, best):
    """Standard deviation [arcsec] of the Gaussian that makes a PSF as wide as the best one, and cards."""
    square = best**2 - psf.fwhm**2 if psf.fwhm < best else 0.0
    cards = {'PSFFWHM': max(psf.fwhm, best) if psf.known else None, 'PSFBLUR': math.sqrt(square)}
    return math.sqrt(square) * gaussian_fwhm_to_sigma, cards


def blurred(array, sigma, *, power=1):
    """Smoothed with a Gaussian of weights that add up to 1, or with the squares of these."""
    from scipy.ndimage import convolve1d

    half = math.ceil(GAUSSIAN_END * sigma)
    weights = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    weights = (weights / weights.sum()) ** power
    for axis in (0, 1):
        array = convolve1d(array, weights, axis=axis, mode='constant')
    return array


def pixel_areas(wcs, shape, target):
    """Areas of pixels in pixels of another plane, by the corners of each (shoelace formula)."""
    rows, columns = np.indices((shape[0] + 1, shape[1] + 1)) - 0.5
    x, y = target.world_to_pixel(wcs.pixel_to_world(columns, rows))
    ax, ay = x[1:, 1:] - x[:-1, :-1], y[1:, 1:] - y[:-1, :-1]
    bx, by = x[1:, :-1] - x[:-1, 1:], y[1:, :-1] - y[:-1, 1:]
    return 0.5 * np.abs(ax * by - ay * bx)
