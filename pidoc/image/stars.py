# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Foreground stars of a cluster, brighter than its own giants can be, and their wings."""

import math
from dataclasses import dataclass

import numpy as np

from pidoc.image.psf import fitted_star

__all__ = ['BRIGHTEST_GIANT', 'ForegroundStars', 'find_stars']

BRIGHTEST_GIANT = -3.4
"""Absolute V magnitude of the brightest stars of old clusters: after the asymptotic giant branch (Bond 2005,
ASP Conf. Ser. 332, 48); giants reach -2.7."""

_PEAK = 0.5                # least peak, relative to that of a star at the limit
_MISFIT = 0.1              # largest rms residual of a star, relative to its peak
_CORE = 2.5                # radius that is masked [FWHM]; beyond it wings are subtracted
_WINGS = 25.0              # radius to which wings are subtracted [FWHM]
_AROUND = 1.5, 5.0         # radii between which the light around a star is measured [FWHM]
_MOST = 30                 # stars, at most, that are fitted


@dataclass(frozen=True, eq=False)
class ForegroundStars:
    """Foreground stars of an image, made by `find_stars`.

    Parameters
    ----------
    x, y : `~numpy.ndarray`
        Columns and rows.
    flux : `~numpy.ndarray`
        Total fluxes, brightest first.
    psf : `~pidoc.image.psf.Psf`
        PSF, in pixels.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    psf: object

    def __len__(self):
        return len(self.flux)

    def model(self, shape):
        """Light of the stars in the pixels of an image, with their wings; and the mask of their cores."""
        light, cores = np.zeros(shape), np.zeros(shape, dtype=bool)
        reach = math.ceil(_WINGS * self.psf.fwhm)
        for x, y, flux in zip(self.x, self.y, self.flux, strict=True):
            rows, columns = (slice(max(0, round(at) - reach), min(size, round(at) + reach + 1))
                             for at, size in ((y, shape[0]), (x, shape[1])))
            down, right = np.ogrid[rows, columns]
            light[rows, columns] += flux * self.psf.at(right - x, down - y)
            cores[rows, columns] |= np.hypot(right - x, down - y) < _CORE * self.psf.fwhm
        return light, cores


def _blend(pixels, bad, star, psf, least, level):
    """Light by which crowding may make the brightest star appear brighter.

    The mean light there, plus three times its scatter for giants of a third of the brightest star.
    """
    reach = math.ceil(_AROUND[1] * psf.fwhm)
    rows, columns = (slice(max(0, round(at) - reach), round(at) + reach + 1) for at in (star[1], star[0]))
    down, right = np.mgrid[rows.start:min(rows.stop, pixels.shape[0]),
                           columns.start:min(columns.stop, pixels.shape[1])]
    away = np.hypot(right - star[0], down - star[1]) / psf.fwhm
    around = ~bad[rows, columns] & (away > _AROUND[0]) & (away < _AROUND[1])
    if not around.any():
        return 0.0
    rest = pixels[rows, columns] - star[2] * psf.at(right - star[0], down - star[1]) - level
    light = max(float(np.mean(rest[around])), 0.0) * math.pi * psf.fwhm**2
    return light + 3.0 * math.sqrt(light * least / 3.0)


def find_stars(pixels, bad, psf, least, level=0.0):
    """Find single stars above a flux.

    Local maxima of at least half the peak of a star of that flux are candidates. A star and a level are
    fitted to the pixels within one and a half full widths at half maximum. The core of a cluster is wider
    than the PSF and not fitted well; in crowded places a star must be brighter, since it may be a blend.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
    bad : `~numpy.ndarray` of bool
    psf : `~pidoc.image.psf.Psf`
        PSF, in pixels.
    least : float
        Flux of the faintest star to be found.
    level : float, optional
        Level of the sky.

    Returns
    -------
    ForegroundStars
    """
    from photutils.detection import find_peaks

    threshold = level + _PEAK * least * psf.at(0.0, 0.0)
    found = []
    # usually there is none, which causes a warning
    if np.any(pixels[~bad] > threshold):
        peaks = find_peaks(np.where(bad, level, pixels), threshold, box_size=2 * math.ceil(psf.fwhm) + 1,
                           n_peaks=_MOST)
        for peak in () if peaks is None else peaks:
            star = fitted_star(pixels, bad, (int(peak['x_peak']), int(peak['y_peak'])), psf, _MISFIT)
            if star is not None and star[2] > least + _blend(pixels, bad, star, psf, least, level):
                found.append(star)
    found = sorted(found, key=lambda star: -star[2])
    x, y, flux = np.array(found).reshape(-1, 3).T
    return ForegroundStars(x, y, flux, psf)
