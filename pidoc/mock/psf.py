# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Point spread functions of mock observations, on cells."""

import math
from collections import namedtuple
from functools import lru_cache

import numpy as np
from astropy import units as u

from pidoc.units import scalar_value

__all__ = ['MOFFAT_BETA', 'Named', 'psf_kernel']

MOFFAT_BETA = 2.5
"""Exponent of the Moffat function: Trujillo et al. (2001), as in Chardin & Bianchini (2021)."""

_WINGS = 5e-4              # share of a star's light in the truncated wings
_SUBPIXELS = 7             # per side, for the integration of the PSF over a pixel

Named = namedtuple('Named', 'name fwhm')
"""Name and width of a PSF for the header."""


class _Kernel:
    """A square PSF on cells: bytes of its values, cells to a side, FWHM [arcsec], name."""

    def __init__(self, array, fwhm, name):
        self.values, self.side = array.tobytes(), array.shape[1]
        self.fwhm, self.name = fwhm, name


def psf_kernel(psf, seeing, scale, fine, pixels):
    """The kernel of any kind of PSF."""
    if psf is None:
        return _moffat(scalar_value(seeing, u.arcsec, 'seeing', positive=True), scale / fine)
    if callable(psf) and hasattr(psf, 'param_names'):
        half = fine * (pixels // 2)
        line = np.arange(-half, half + 1) / fine
        array, name = psf(*np.meshgrid(line, line)), type(psf).__name__
    else:
        if fine > 1:
            raise ValueError('oversampling needs the default PSF or a model of one, received an array')
        array = getattr(psf, 'array', psf)
        name = 'array' if isinstance(psf, np.ndarray) else type(psf).__name__
    if not isinstance(array, np.ndarray):
        raise TypeError('psf must be an array, a Kernel2D or a model of astropy or photutils, received '
                        f'{type(psf).__name__}')
    array = _square(np.asarray(getattr(array, 'value', array), dtype=float))
    return _Kernel(array / array.sum(), _half_width(array) * scale / fine, name)


def _square(array):
    """Check a PSF array, and pad it with zeros if it is not square."""
    if array.ndim != 2 or any(n % 2 == 0 for n in array.shape):
        raise ValueError('a PSF must be an array of two dimensions with an odd number of pixels in both, '
                         f'received the shape {array.shape}')
    if not (np.all(np.isfinite(array)) and array.sum() > 0.0):
        raise ValueError(f'a PSF must be finite, with a positive sum, received {array.sum()}')
    side = max(array.shape)
    return np.pad(array, [((side - n) // 2,) * 2 for n in array.shape])


@lru_cache(maxsize=32)
def _moffat(fwhm, cell):
    """Moffat function integrated over cells, by the midpoint rule."""
    core = 0.5 * fwhm / math.sqrt(2.0 ** (1.0 / MOFFAT_BETA) - 1.0)
    # light outside R: (1 + (R / core)^2)^(1 - beta)
    half = math.ceil(core * math.sqrt(_WINGS ** (1.0 / (1.0 - MOFFAT_BETA)) - 1.0) / cell)
    # one quadrant, in sub-pixels; the others are its mirror images
    line = np.arange(half + 1)
    inside = (np.arange(_SUBPIXELS) + 0.5) / _SUBPIXELS - 0.5
    place = ((line[:, np.newaxis] + inside).ravel() * cell / core) ** 2
    values = 1.0 + place[:, np.newaxis] + place
    # to the power of -2.5, faster
    values = 1.0 / (values * values * np.sqrt(values))
    array = values.reshape(line.size, _SUBPIXELS, line.size, _SUBPIXELS).sum(axis=(1, 3))
    array = np.pad(array, (half, 0), mode='reflect')
    return _Kernel(array / array.sum(), fwhm, 'Moffat')


def _half_width(array):
    """FWHM in pixels: diameter of the circle with the area of the pixels above half of the maximum."""
    from scipy.ndimage import map_coordinates

    peak = np.array(np.unravel_index(array.argmax(), array.shape))
    # only pixels near the maximum matter
    near = math.ceil(2.0 * math.sqrt(np.sum(array > 0.5 * array.max()) / math.pi)) + 2
    half = min(near, *peak, *(np.array(array.shape) - 1 - peak))
    fine = max(1, min(20, 500 // max(half, 1)))
    line = np.arange(-half * fine, half * fine + 1) / fine
    values = map_coordinates(array, np.meshgrid(line + peak[0], line + peak[1], indexing='ij'), order=3)
    return 2.0 * math.sqrt(np.sum(values > 0.5 * array.max()) / math.pi) / fine
