# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Stars in front of a cluster: those that are brighter than its own giants can be, and their wings."""

import math
from dataclasses import dataclass

import numpy as np

from pidoc.image.psf import fitted_star

__all__ = ['BRIGHTEST_GIANT', 'ForegroundStars', 'find_stars']

BRIGHTEST_GIANT = -3.4
"""Absolute V magnitude of the brightest stars of old clusters: after the asymptotic giant branch (Bond 2005,
ASP Conf. Ser. 332, 48); giants reach -2.7."""

_PEAK = 0.5                # of the peak of a star of the limit, from which on pixels are looked at
_MISFIT = 0.1              # largest rms residual of a star, in its peak
_CORE = 2.5                # radius that is masked [FWHM]; beyond it wings are subtracted
_WINGS = 25.0              # to which wings are subtracted [FWHM]
_AROUND = 1.5, 5.0         # radii between which the light around a star is measured [FWHM]
_MOST = 30                 # stars that are looked at


@dataclass(frozen=True, eq=False)
class ForegroundStars:
    """Stars of an image: made by `find_stars`.

    Parameters
    ----------
    x, y : `~numpy.ndarray`
        Columns and rows.
    flux : `~numpy.ndarray`
        Sums of their pixels, brightest first.
    psf : `~pidoc.image.psf.Psf`
        In pixels.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    psf: object

    def __len__(self):
        return len(self.flux)

    def model(self, shape):
        """Their light in the pixels of an image, as far as wings reach, and which pixels are their cores."""
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
    """Light that giants of a crowded place may add to the brightest of them.

    The mean light there, and three times its scatter, which giants of a third of the brightest star make.
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

    A pixel that is the highest about it and half as high as a star of that flux would be is taken for the
    middle of one. A star and a level are fitted to the pixels within one and a half full widths at half
    maximum. The middle of a cluster is wider than the PSF and does not fit; and where it is crowded a star
    must be brighter, as it may be several.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
    bad : `~numpy.ndarray` of bool
    psf : `~pidoc.image.psf.Psf`
        In pixels.
    least : float
        Sum of the pixels of the faintest star that is wanted.
    level : float, optional
        Of the sky.

    Returns
    -------
    ForegroundStars
    """
    from photutils.detection import find_peaks

    threshold = level + _PEAK * least * psf.at(0.0, 0.0)
    found = []
    # almost always there is none, and it warns of that
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
