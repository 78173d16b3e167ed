# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Foreground stars of a cluster, brighter than its own giants can be, and their wings."""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from pidoc.image.psf import fitted_stars

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
_BOX = 0.7                 # least distance of two local maxima [FWHM]
_TOUCH = 2.5               # distance below which stars are fitted together [FWHM]
_TOGETHER = 8              # stars, at most, that are
_GAP = 0.9                 # largest light between two of them, relative to the fainter one


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


def _blend(pixels, bad, star, its, psf, least, level):
    """Light by which crowding may make the brightest star appear brighter.

    The mean light there besides the stars of a group, plus three times its scatter for giants of a third of
    the brightest star.
    """
    reach = math.ceil(_AROUND[1] * psf.fwhm)
    rows, columns = (slice(max(0, round(at) - reach), round(at) + reach + 1) for at in (star[1], star[0]))
    down, right = np.mgrid[rows.start:min(rows.stop, pixels.shape[0]),
                           columns.start:min(columns.stop, pixels.shape[1])]
    away = np.min([np.hypot(right - x, down - y) for x, y, _ in its], axis=0) / psf.fwhm
    around = ~bad[rows, columns] & (away > _AROUND[0]) & (away < _AROUND[1])
    if not around.any():
        return 0.0
    rest = pixels[rows, columns] - sum(flux * psf.at(right - x, down - y) for x, y, flux in its) - level
    light = max(float(np.mean(rest[around])), 0.0) * math.pi * psf.fwhm**2
    return light + 3.0 * math.sqrt(light * least / 3.0)


def _places(pixels, bad, psf, threshold, level):
    """Columns and rows of local maxima, brightest first; two stars that touch have one each."""
    from photutils.detection import find_peaks

    # usually there is none, which causes a warning
    if not np.any(pixels[~bad] > threshold):
        return []
    peaks = find_peaks(np.where(bad, level, pixels), threshold, box_size=2 * max(1, int(_BOX * psf.fwhm)) + 1,
                       n_peaks=_MOST)
    if peaks is None:
        return []
    peaks.sort('peak_value', reverse=True)
    return list(zip(peaks['x_peak'].tolist(), peaks['y_peak'].tolist(), strict=True))


def _groups(places, reach):
    """Lists of places that are within reach of one another, directly or through others."""
    groups = []
    for place in places:
        near = [group for group in groups if any(math.dist(place, other) <= reach for other in group)]
        groups = [group for group in groups if group not in near] + [[*itertools.chain(*near), place]]
    return groups


def _fitted(pixels, bad, places, psf, level):
    """Stars of a group of local maxima, fitted together, or else each alone: lists that were fitted."""
    if 1 < len(places) <= _TOGETHER:
        its = fitted_stars(pixels, bad, places, psf, _MISFIT)
        if its and all(_apart(pixels, *two, level) for two in itertools.combinations(its, 2)):
            return [its]
    alone, tried = [], []
    for place in places:
        # two maxima of one star
        if all(max(map(abs, np.subtract(place, other))) > math.ceil(psf.fwhm) for other in tried):
            tried.append(place)
            alone.append(fitted_stars(pixels, bad, [place], psf, _MISFIT))
    return [its for its in alone if its]


def _apart(pixels, one, other, level):
    """Whether there is a gap between two stars, as there is none in the core of a cluster."""
    steps = np.linspace(0.0, 1.0, 2 + math.ceil(math.dist(one[:2], other[:2])))
    x, y = (np.rint(one[k] + steps * (other[k] - one[k])).astype(int) for k in (0, 1))
    line = pixels[y.clip(0, pixels.shape[0] - 1), x.clip(0, pixels.shape[1] - 1)] - level
    return line.min() < _GAP * min(line[0], line[-1])


def find_stars(pixels, bad, psf, least, level=0.0):
    """Find stars above a flux.

    Local maxima of at least half the peak of a star of that flux are candidates. A star and a level are
    fitted to the pixels within one and a half full widths at half maximum; stars that touch are fitted
    together, if there is a gap between them. The core of a cluster is wider than the PSF and not fitted well;
    in crowded places a star must be brighter, since it may be a blend.

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
    places = _places(pixels, bad, psf, level + _PEAK * least * psf.at(0.0, 0.0), level)
    found = [star for group in _groups(places, _TOUCH * psf.fwhm)
             for its in _fitted(pixels, bad, group, psf, level)
             for star in its if star[2] > least + _blend(pixels, bad, star, its, psf, least, level)]
    found = sorted(found, key=lambda star: -star[2])
    x, y, flux = np.array(found).reshape(-1, 3).T
    return ForegroundStars(x, y, flux, psf)
