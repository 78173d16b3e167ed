# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""From stars on the sky to pixels: cells of a field, convolution with the PSF, smoothing."""

import math
from functools import cached_property, lru_cache

import numpy as np

from pidoc.grid import GAUSSIAN_END

__all__ = ['Frame', 'gaussian_margin']

_STRIP = 40                # pixels smoothed together: fast with the margins of the usual smoothing


def gaussian_margin(smoothing):
    """Margin [pixels] that a Gaussian needs around a field."""
    return math.ceil(GAUSSIAN_END * smoothing)


class Frame:
    """The field with margins: cells are pixels, or sub-pixels, of field and margins.

    The field has a margin for the smoothing, and this another one for the PSF.
    """

    def __init__(self, nx, ny, scale, fine, reach, margin):
        self.nx, self.ny, self.scale, self.fine, self.reach, self.margin = nx, ny, scale, fine, reach, margin
        self.padded = tuple((n + 2 * margin) * fine + 2 * reach for n in (nx, ny))
        self.smoothed_shape = (ny + 2 * margin, nx + 2 * margin)

    @cached_property
    def transformed(self):
        """Rows and columns with empty ones at the ends, to sizes with fast Fourier transforms."""
        from scipy import fft

        return tuple(fft.next_fast_len(n, real=True) for n in self.padded[::-1])

    def cells(self, x, y):
        """Numbers of the cells of positions [arcsec from the centre] that are inside, and which those are."""
        width, height = self.padded
        column, row = self._line(x, width), self._line(y, height)
        within = column >= 0.0
        for also in (column < width, row >= 0.0, row < height):
            within &= also
        inside = np.flatnonzero(within)
        row *= self.transformed[1]
        row += column
        return row[inside].astype(np.intp), inside

    def _line(self, place, length):
        """Rows or columns, as whole floats."""
        line = place * (self.fine / self.scale)
        line += 0.5 * length
        return np.floor(line, out=line)

    def histogram(self, cells, weights):
        """Sum of weights in each cell [row, column], with empty ones at the ends: see ``transformed``."""
        height, width = self.transformed
        # without weights it would return integers
        sums = np.bincount(cells, weights, height * width).astype(float, copy=False)
        return sums.reshape(height, width)

    def blocks(self, cells):
        """Cells without the margin of the PSF, binned to pixels."""
        width, height = self.padded
        return self._sum(cells[self.reach:height - self.reach, self.reach:width - self.reach])

    def _sum(self, cells):
        if self.fine == 1:
            return cells
        height, width = (n // self.fine for n in cells.shape)
        return cells.reshape(height, self.fine, width, self.fine).sum(axis=(1, 3))

    def convolve(self, cells, kernel, smoothing):
        """Convolve cells with a kernel and bin them to pixels; smooth them, if smoothing is not None.

        Without smoothing, the margin for it is kept.
        """
        from scipy import fft

        folded = smoothing is not None and self.fine == 1
        width, height = self.padded
        transfer = _transfer(kernel.values, kernel.side, cells.shape, smoothing if folded else 0.0)
        spectrum = fft.rfft2(cells)
        spectrum *= transfer
        skip = self.reach + self.margin if folded else self.reach
        # inverse transform, only along the lines needed
        spectrum = fft.ifft(spectrum, axis=0, norm='forward', overwrite_x=True)
        lines = fft.irfft(spectrum[skip:height - skip], cells.shape[1], norm='forward')
        # rounding errors must not make light negative
        image = np.maximum(lines[:, skip:width - skip], 0.0)
        image *= 1.0 / cells.size
        if folded:
            return image
        image = self._sum(image)
        return image if smoothing is None else self.smooth(image, smoothing)

    def smooth(self, pixels, smoothing):
        """Smooth pixels with the margin, and remove the margin."""
        return self.smooth_cut(pixels, smoothing) if smoothing else np.ascontiguousarray(pixels)

    def smooth_cut(self, pixels, smoothing):
        half = np.empty((self.ny, pixels.shape[1]))
        for rows, margins, band in _strips(self.ny, smoothing):
            np.matmul(band, pixels[margins], out=half[rows])
        result = np.empty((self.ny, self.nx))
        for columns, margins, band in _strips(self.nx, smoothing):
            result[:, columns] = half[:, margins] @ band.T
        return result

    def smoothed_sum(self, pixels, smoothing):
        """Sum of pixels with the margin after smoothing and removal of the margin, without smoothing them."""
        if not smoothing:
            return float(pixels.sum())
        return float(_shares(self.ny, smoothing) @ pixels @ _shares(self.nx, smoothing))

    def cut(self, pixels):
        """Remove the margin of the smoothing."""
        return pixels[self.margin:self.margin + self.ny, self.margin:self.margin + self.nx].copy()

    def along(self, angle):
        """Coordinate along a direction from the centre [widths of the field], for pixels with the margin."""
        y, x = np.indices(self.smoothed_shape, dtype=float)
        height, width = self.smoothed_shape
        x, y = x - 0.5 * (width - 1), y - 0.5 * (height - 1)
        return (x * math.cos(angle) + y * math.sin(angle)) / self.nx


@lru_cache(maxsize=16)
def _gaussian(smoothing):
    """Weights of the pixels of a truncated Gaussian with sum 1."""
    margin = gaussian_margin(smoothing)
    if not margin:
        return np.ones(1)
    weights = np.exp(-0.5 * (np.arange(-margin, margin + 1) / smoothing) ** 2)
    return weights / weights.sum()


@lru_cache(maxsize=16)
def _band(number, smoothing):
    """Matrix that smooths a column of pixels and removes its margins."""
    weights = _gaussian(smoothing)
    matrix = np.zeros((number, number + weights.size - 1))
    for row in range(number):
        matrix[row, row:row + weights.size] = weights
    return matrix


@lru_cache(maxsize=16)
def _shares(number, smoothing):
    """Share of each pixel, margins included, that remains after smoothing and removal of the margins."""
    return _band(number, smoothing).sum(axis=0)


def _strips(number, smoothing):
    """Pieces of a column: output range, input range with margins, and the matrix in between.

    The matrix of the whole column consists mostly of zeros.
    """
    margin = gaussian_margin(smoothing)
    for start in range(0, number, _STRIP):
        size = min(_STRIP, number - start)
        yield slice(start, start + size), slice(start, start + size + 2 * margin), _band(size, smoothing)


@lru_cache(maxsize=16)
def _transfer(values, side, shape, smoothing):
    """Transform of a kernel about cell (0, 0), times that of the smoothing; real if it is symmetric."""
    from scipy import fft

    kernel = np.frombuffer(values).reshape(-1, side)
    half = kernel.shape[0] // 2, side // 2
    cells = np.zeros(shape)
    cells[:kernel.shape[0], :side] = kernel
    result = fft.rfft2(np.roll(cells, (-half[0], -half[1]), axis=(0, 1)))
    if smoothing:
        weights = _gaussian(smoothing)
        lines = []
        for length in shape:
            line = np.zeros(length)
            line[:weights.size] = weights
            lines.append(fft.fft(np.roll(line, -(weights.size // 2))).real)
        result *= lines[0][:, np.newaxis] * lines[1][:result.shape[1]]
    symmetric = np.abs(result.imag).max() < 1e-13
    return np.ascontiguousarray(result.real) if symmetric else result
