# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The grid that images are put on, and how their light gets there: areas of overlap, blurring, smoothing.

A `Layer` is what has been read of an image; `Layer.put` makes a `Plane` of it, whose pixels are those of a
`Grid`.
"""

import math
import warnings
from dataclasses import dataclass
from numbers import Real

import numpy as np
from astropy import units as u
from astropy.wcs import WCS

from pidoc.units import to_value

__all__ = ['GAUSSIAN_END', 'Grid', 'Layer', 'Plane', 'blurred', 'pixel_areas']

GAUSSIAN_END = 5.0
"""Where Gaussians are cut, in their standard deviations, as in `pidoc.mock`."""

_MOST_PIXELS = 8192        # to a side
_PER_FWHM = 1.0 / math.sqrt(8.0 * math.log(2.0))


@dataclass(frozen=True)
class Grid:
    """Columns, rows, pixel [arcsec] and smoothing [pixels] of the map."""

    nx: int
    ny: int
    scale: float
    smoothing: float

    @classmethod
    def of(cls, field_of_view, scale, smoothing):
        scale = to_value(scale, u.arcsec, 'output_pixel_scale', positive=True)
        if not isinstance(scale, float):
            raise ValueError('output_pixel_scale must be a scalar, received an array')
        angles = np.atleast_1d(to_value(field_of_view, u.arcsec, 'field_of_view', positive=True))
        number = angles / scale
        whole = np.abs(number - np.round(number)) < 1e-6 * number
        if angles.shape not in ((1,), (2,)) or not whole.all() or np.any(number < 0.5):
            raise ValueError('field_of_view must be one angle or two, a whole number of pixels of '
                             f'{scale:g} arcsec, received '
                             f'{field_of_view}')
        if not (isinstance(smoothing, Real) and math.isfinite(smoothing) and smoothing >= 0.0):
            raise ValueError(f'smoothing must be a number of pixels, not negative, received {smoothing!r}')
        if number.max() > _MOST_PIXELS or smoothing > number.max():
            raise ValueError(f'field_of_view must be of at most {_MOST_PIXELS} pixels to a side, and '
                             'smoothing of no more than there are, received '
                             f'{number.max():.4g} and {smoothing:.4g}')
        number = np.round(number).astype(int)
        return cls(int(number[0]), int(number[-1]), scale, float(smoothing))

    @property
    def shape(self):
        return self.ny, self.nx

    @property
    def reach(self):
        """Half of its diagonal [arcsec]."""
        return 0.5 * math.hypot(self.nx, self.ny) * self.scale

    def wcs(self, position, margin=0):
        """Tangent plane about a position (degrees), north up, with a margin around."""
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ['RA---TAN', 'DEC--TAN']
        wcs.wcs.cunit = ['deg', 'deg']
        wcs.wcs.crval = position
        wcs.wcs.cdelt = [-self.scale / 3600.0, self.scale / 3600.0]
        wcs.wcs.crpix = [(self.nx + 1) / 2 + margin, (self.ny + 1) / 2 + margin]
        wcs.wcs.radesys = 'ICRS'
        wcs.array_shape = self.ny + 2 * margin, self.nx + 2 * margin
        return wcs


@dataclass
class Layer:
    """A part of an image, calibrated: what is needed to put it on a grid."""

    flux: np.ndarray           # apparent flux per pixel
    bad: np.ndarray
    deviation: np.ndarray      # of flux, or None
    wcs: WCS                   # of this part
    scale: float               # arcsec
    position: tuple            # of the centre, degrees
    on_grid: bool
    seeing: float              # arcsec, NaN if unknown
    smoothed: float            # sigma that it has been smoothed with [arcsec]
    meta: dict
    flags: tuple

    def put(self, grid, best):
        """The layer on a grid, smoothed as this says: `Plane`.

        Parameters
        ----------
        grid : Grid
        best : float
            Seeing [arcsec] that a better one is degraded to.

        Raises
        ------
        ValueError
            If it has been smoothed with more than was asked for.
        """
        sigma = math.hypot(self.blur(grid, best), self.missing(grid))
        self.meta |= {'SMOOTH': grid.smoothing, 'SMOOTHBY': sigma, 'PIXSCALE': grid.scale}
        margin = self.margin(sigma)
        return self.plane(grid, margin).smoothed(sigma, margin)

    def margin(self, sigma):
        """Pixels that a Gaussian needs around the grid."""
        return 0 if self.on_grid else math.ceil(GAUSSIAN_END * sigma)

    def blur(self, grid, best):
        """Standard deviation [pixels of the grid] of the Gaussian that makes the seeing the best one."""
        square = best**2 - self.seeing**2 if self.seeing < best else 0.0
        self.meta |= {'PSFFWHM': max(self.seeing, best) if math.isfinite(self.seeing) else None,
                      'PSFBLUR': math.sqrt(square)}
        return math.sqrt(square) * _PER_FWHM / grid.scale

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

        target = grid.wcs(self.position, margin)
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


@dataclass
class Plane:
    """Values on a grid: sums over the seen share of a pixel; that share; variance that adds up, or None."""

    total: np.ndarray
    share: np.ndarray
    variance: np.ndarray
    wcs: WCS
    seen: np.ndarray = None    # share of the pixels of the field before smoothing

    def smoothed(self, sigma, margin):
        """Means over what was seen, without the margin; NaN where nothing was."""
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
        return Plane(values, share, variance, self.wcs, self.share[inner])


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
