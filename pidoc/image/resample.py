# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Put the light of an image on the grid of a map: overlap areas, blurring, smoothing.

A `Layer` is an image as read; `Layer.put` converts it to a `Plane`, whose pixels are those of a
`pidoc.grid.MapGrid`.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from astropy.wcs import WCS

from pidoc.grid import GAUSSIAN_END, MapGrid
from pidoc.image.psf import Psf

__all__ = ['Layer', 'Plane', 'blurred', 'pixel_areas']

_SMOOTH = 1.5              # pixels, sigma of a Gaussian above which parts of pixels count as points
# blocks of an image in a pixel of the map, per side, that are as good as smaller pixels
_FINE = 8
_NODES = 12                # per side, where world coordinates are computed exactly
_EXACT = 1e-3              # pixels, largest error of the interpolation between them


@dataclass(eq=False)
class Layer:
    """A calibrated part of an image, with all that is needed to put it on a grid."""

    flux: np.ndarray           # apparent flux per pixel
    bad: np.ndarray
    deviation: np.ndarray      # of flux, or None
    scatter: float             # of the flux of pixels about their median, due to sky, noise and stars
    wcs: WCS                   # of this part
    grid: MapGrid              # that it is meant for
    scale: float               # arcsec
    position: tuple            # of the centre, degrees
    on_grid: bool
    psf: Psf                   # in arcsec
    smoothed: float            # sigma that it has been smoothed with [arcsec]
    around: object             # flux of an arcsec^2 of the sky that is left (`SkyFit`), or None
    meta: dict
    flags: tuple

    def put(self, grid, best):
        """Put the layer on a grid and smooth it.

        Parameters
        ----------
        grid : `~pidoc.grid.MapGrid`
        best : float
            Seeing [arcsec] to which a better one is degraded.

        Raises
        ------
        ValueError
            If it has been smoothed more than requested.
        """
        blur = self.blur(grid, best)
        sigma = math.hypot(blur, self.missing(grid))
        self.meta |= {'SMOOTH': grid.smoothing, 'SMOOTHBY': sigma, 'PIXSCALE': grid.scale}
        margin = self.margin(sigma)
        return self.plane(grid, margin).smoothed(sigma, margin, None if self.smoothed else blur)

    def margin(self, sigma):
        """Margin [pixels] that a Gaussian needs around the grid."""
        return 0 if self.on_grid else math.ceil(GAUSSIAN_END * sigma)

    def blur(self, grid, best):
        """Standard deviation [pixels of the grid] of the Gaussian that degrades to the best seeing."""
        sigma, cards = blur_of(self.psf, best)
        self.meta |= cards
        return sigma / grid.scale

    def missing(self, grid):
        """Standard deviation [pixels of the grid] of the remaining smoothing."""
        wanted = grid.smoothing * grid.scale
        if self.smoothed > 1.01 * wanted + 1e-9:
            raise ValueError(f'the image has been smoothed with a Gaussian of {self.smoothed:g} arcsec, '
                             'more than '
                             f'the {wanted:g} arcsec that were asked for')
        spread = 0.0 if self.on_grid else self._spread(grid)
        return math.sqrt(max(wanted**2 - self.smoothed**2 - spread, 0.0)) / grid.scale

    def _spread(self, grid):
        """Variance [arcsec^2] of the smoothing by the pixels, past and future."""
        # large pixels smooth twice: at exposure, and when their light is distributed over their area here
        if not self._smooth_enough(grid):
            return 2.0 * self.scale**2 / 12.0
        parts, side = self._parts(grid), self._side(grid) * self.scale
        return (2.0 - parts**-2) * side**2 / 12.0 + grid.scale**2 / 12.0

    def _smooth_enough(self, grid):
        """Whether the smoothing is so large that parts of pixels may count as points."""
        wanted = grid.smoothing * grid.scale
        room = wanted**2 - self.smoothed**2 - 2.0 * self.scale**2 / 12.0
        return room > (_SMOOTH * max(grid.scale, self.scale)) ** 2

    def _parts(self, grid):
        """Number of parts per side of a pixel, each no larger than a pixel of the grid."""
        return max(1, math.ceil(self.scale / grid.scale - 1e-3))

    def _side(self, grid):
        """Pixels per side of the blocks that are resampled as one: much smaller than a pixel of the grid."""
        if not self._smooth_enough(grid):
            return 1
        return max(1, math.floor(grid.scale / (_FINE * self.scale) + 1e-3))

    def plane(self, grid, margin):
        """The layer on a grid with a margin, not smoothed."""
        if not self.on_grid:
            return self._resampled(grid, margin)
        variance = None if self.deviation is None else self.deviation**2
        return Plane(np.nan_to_num(self.flux), (~self.bad).astype(float), variance, self.wcs)

    def _resampled(self, grid, margin):
        """Resample to the grid and a margin: by points if it is smoothed later, else by overlap areas."""
        target = grid.wcs(self.position, margin=margin)
        side = self._side(grid)
        x, y = _corners(self.wcs, self.flux.shape, target, side)
        areas, good = _areas(x, y), ~self.bad
        if np.any(areas[_summed(good, side) > 0.0] == 0.0):
            raise ValueError('world coordinates must give each pixel an area, received some without')
        if not self._smooth_enough(grid):
            return self._overlapped(grid, target, areas, good)
        share = _summed(good, side) / _summed(np.ones_like(good), side)
        layers = [_summed(np.where(good, self.flux, 0.0), side), areas * share]
        if self.deviation is not None:
            layers.append(_summed(np.where(good, self.deviation, 0.0) ** 2, side))
        values = _shared_out(layers, x, y, self._parts(grid), target.array_shape)
        return Plane(values[0], values[1], values[2] if len(values) > 2 else None, grid.wcs(self.position))

    def _overlapped(self, grid, target, areas, good):
        """Resample by overlap areas of pixels."""
        from reproject import reproject_exact

        layers = [np.where(good, self.flux / areas, 0.0), good.astype(float)]
        if self.deviation is not None:
            layers.append(np.where(good, self.deviation**2 / areas, 0.0))
        with warnings.catch_warnings():
            # it divides by the areas of pixels outside the image
            warnings.simplefilter('ignore')
            values, reached = reproject_exact((np.array(layers), self.wcs), target,
                                              shape_out=target.array_shape)
        values = np.where(np.isfinite(values), values, 0.0) * np.nan_to_num(reached)
        return Plane(values[0], values[1], values[2] if len(values) > 2 else None, grid.wcs(self.position))


@dataclass(eq=False)
class Plane:
    """Values on a grid: sums over the observed share of a pixel; that share; additive variance, or None.

    ``sharp``: the values before smoothing, with the best seeing; None if the image was smoothed already.
    """

    total: np.ndarray
    share: np.ndarray
    variance: np.ndarray
    wcs: WCS
    seen: np.ndarray | None = None    # share of the pixels of the field before smoothing
    sharp: np.ndarray | None = None

    def smoothed(self, sigma, margin, blur=None):
        """Means over the observed parts, without the margin; NaN without data.

        With ``blur``, the standard deviation for degrading to the best seeing, also ``sharp``.
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
    """Standard deviation [arcsec] of the Gaussian that degrades a PSF to the best one, with cards."""
    square = best**2 - psf.fwhm**2 if psf.fwhm < best else 0.0
    cards = {'PSFFWHM': max(psf.fwhm, best) if psf.known else None, 'PSFBLUR': math.sqrt(square)}
    return math.sqrt(square) * gaussian_fwhm_to_sigma, cards


def blurred(array, sigma, *, power=1):
    """Smooth with a normalised Gaussian, or with its weights squared."""
    from scipy.ndimage import convolve1d

    half = math.ceil(GAUSSIAN_END * sigma)
    weights = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    weights = (weights / weights.sum()) ** power
    for axis in (0, 1):
        array = convolve1d(array, weights, axis=axis, mode='constant')
    return array


def pixel_areas(wcs, shape, target):
    """Areas of pixels in units of pixels of another plane, from the corners of each (shoelace formula)."""
    return _areas(*_corners(wcs, shape, target))


def _summed(array, side):
    """Sums over blocks of pixels, ``side`` x ``side`` but for the last ones."""
    if side == 1:
        return array
    rows, columns = (np.arange(0, number, side) for number in array.shape)
    return np.add.reduceat(np.add.reduceat(array, rows, axis=0, dtype=float), columns, axis=1)


def _corners(wcs, shape, target, side=1):
    """Columns and rows, in another plane, of the corners of blocks of pixels: one more than blocks per side.

    Some are computed, the others interpolated by splines, which are checked on further computed ones.
    """
    from scipy.interpolate import RectBivariateSpline

    edges = [np.append(np.arange(0, number, side), number) - 0.5 for number in shape]
    if min(shape) > 4 * _NODES:
        nodes = [np.linspace(edge[0], edge[-1], _NODES) for edge in edges]
        between = [0.5 * (node[1:] + node[:-1]) for node in nodes]
        known, tried = _mapped(wcs, target, *nodes), _mapped(wcs, target, *between)
        if np.all(np.isfinite(known)):
            splines = [RectBivariateSpline(*nodes, values) for values in known]
            if max(np.max(np.abs(spline(*between) - values))
                   for spline, values in zip(splines, tried, strict=True)) < _EXACT:
                return tuple(spline(*edges) for spline in splines)
    return _mapped(wcs, target, *edges)


def _mapped(wcs, target, rows, columns):
    """Columns and rows in another plane."""
    columns, rows = np.meshgrid(columns, rows)
    return target.world_to_pixel(wcs.pixel_to_world(columns, rows))


def _shared_out(layers, x, y, parts, shape):
    """Distribute the values of pixels, in parts, to the four nearest pixels of another plane.

    Weights are bilinear: sums and centroids are conserved, and light is smoothed with a variance of 1/12 of a
    pixel, in addition to that of the parts of a pixel.

    Parameters
    ----------
    layers : list of `~numpy.ndarray`
    x, y : `~numpy.ndarray`
        Columns and rows of the corners of the pixels.
    parts : int
        Number of parts per side of a pixel.
    shape : tuple of int
        Shape of the other plane.
    """
    ny, nx = shape
    # light beyond the edges goes to rows and columns that are cut off
    result = np.zeros((len(layers), (ny + 2) * (nx + 2)))
    for down in (np.arange(parts) + 0.5) / parts:
        for right in (np.arange(parts) + 0.5) / parts:
            column, row = (_within(corners, down, right) + 1.0 for corners in (x, y))
            inside = (column >= 0.0) & (column < nx + 1) & (row >= 0.0) & (row < ny + 1)
            values = [layer[inside] / parts**2 for layer in layers]
            column, row = column[inside], row[inside]
            left, low = column.astype(np.intp), row.astype(np.intp)
            across, along, place = column - left, row - low, low * (nx + 2) + left
            for step, share in ((0, (1.0 - across) * (1.0 - along)), (1, across * (1.0 - along)),
                                (nx + 2, (1.0 - across) * along), (nx + 3, across * along)):
                for sums, layer in zip(result, values, strict=True):
                    sums += np.bincount(place + step, weights=share * layer, minlength=sums.size)
    return result.reshape(len(layers), ny + 2, nx + 2)[:, 1:-1, 1:-1]


def _within(corners, down, right):
    """Positions inside pixels, from their corners."""
    above = corners[:-1, :-1] + right * (corners[:-1, 1:] - corners[:-1, :-1])
    below = corners[1:, :-1] + right * (corners[1:, 1:] - corners[1:, :-1])
    return above + down * (below - above)


def _areas(x, y):
    ax, ay = x[1:, 1:] - x[:-1, :-1], y[1:, 1:] - y[:-1, :-1]
    bx, by = x[1:, :-1] - x[:-1, 1:], y[1:, :-1] - y[:-1, 1:]
    return 0.5 * np.abs(ax * by - ay * bx)
