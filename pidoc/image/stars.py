# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Foreground stars of a cluster, brighter than its own giants can be, and their wings."""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from pidoc.image.psf import fitted_stars

__all__ = ['BRIGHTEST_GIANT', 'ForegroundStars', 'find_compact', 'find_stars']

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
_TOUCH = 3.0               # distance below which stars are fitted together [FWHM]
_TOGETHER = 8              # stars, at most, that are
_GAP = 0.9                 # largest light between two of them, relative to the fainter one
_RING = 1.3, 2.2           # radii of the ring about compact light [radius of its disc]
_NEAR = 1.5                # distance from the centre, within which it is the cluster's [radius of the disc]
_FINE = 3.0                # pixels in the radius of the smallest disc, and in a ring of the profile
_SEEN = 0.5                # least share of good pixels of disc and ring
_CLEAR = 3.0               # standard deviations by which compact light must be brighter
# <L^2> / <L> of the stars of a cluster (Tonry & Schneider 1988, AJ 96, 807), relative to the brightest one
_CLUMPS = 0.1


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

    def some(self, which):
        """Those of the stars for which an array of bool is True."""
        return ForegroundStars(self.x[which], self.y[which], self.flux[which], self.psf)

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


def find_compact(pixels, bad, radii, here, least, *, level=0.0, noise=0.0):
    """Find light that is more compact than the cluster, and brighter than a star of it can be.

    It may be a star of any PSF, a blend, a trail or a galaxy: the light in a disc beside the profile of the
    cluster, above that of the ring around it, is compared with that of the brightest star. In crowded places
    there must be more, since giants are clumped by chance. The centre of the cluster itself is left out.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
    bad : `~numpy.ndarray` of bool
    radii : sequence of float
        Radii of the discs [pixels].
    here : tuple of float
        Column and row of the centre of the cluster.
    least : float
        Flux of the brightest star that the cluster may have.
    level, noise : float, optional
        Level of the sky, and standard deviation of a pixel.

    Returns
    -------
    list of tuple of float
        Column, row, radius and flux of each, brightest first.
    """
    block = max(1, int(min(radii) / _FINE))
    light, good = (_summed(each, block) for each in (np.where(bad, 0.0, pixels - level), 1.0 - bad))
    middle = [(at + 0.5) / block - 0.5 for at in here]
    down, right = np.ogrid[:light.shape[0], :light.shape[1]]
    away = np.hypot(right - middle[0], down - middle[1])
    lumps = light - good * _profile(light, good, away)
    found = []
    for radius in np.asarray(radii) / block:
        above, margin = _disc_and_ring(light, lumps, good, radius, least * _CLUMPS, noise)
        above[(away < _NEAR * radius) | ~(above > least + margin)] = -np.inf
        while np.isfinite(above.max()):
            y, x = np.unravel_index(np.argmax(above), above.shape)
            found.append((*((at + 0.5) * block - 0.5 for at in (x, y)), radius * block, float(above[y, x])))
            above[np.hypot(right - x, down - y) < _RING[1] * radius] = -np.inf
    found.sort(key=lambda its: -its[3])
    # each by the disc in which it is brightest
    return [its for k, its in enumerate(found)
            if all(math.dist(its[:2], other[:2]) > its[2] + other[2] for other in found[:k])]


def _summed(image, block):
    """Sums over squares of pixels; those at an end that make no square are left out."""
    ny, nx = (size // block for size in image.shape)
    return image[:ny * block, :nx * block].reshape(ny, block, nx, block).sum(axis=(1, 3))


def _profile(light, good, away):
    """Median of the light of a pixel in rings about the centre of the cluster: image."""
    whole = good > _SEEN * good.max()
    rings = np.rint(away / _FINE).astype(int)
    levels = np.zeros(rings.max() + 1)
    for ring in np.unique(rings[whole]):
        its = whole & (rings == ring)
        levels[ring] = np.median(light[its] / good[its])
    return np.interp(away / _FINE, np.arange(levels.size), levels)


def _disc_and_ring(light, lumps, good, radius, giant, noise):
    """Light in discs above that of the rings around them, and how much of it may be by chance: images.

    Of lumps; their scatter is that of stars of one flux, which have all light, and that of the noise.
    """
    from scipy.signal import fftconvolve

    reach = math.ceil(_RING[1] * radius)
    away = np.hypot(*np.mgrid[-reach:reach + 1, -reach:reach + 1])
    disc, ring = ((away <= radius).astype(float),
                  ((away >= _RING[0] * radius) & (away <= _RING[1] * radius)).astype(float))
    inside, seen = (fftconvolve(image, disc, mode='same') for image in (lumps, good))
    around, whole, seen_around = (fftconvolve(image, ring, mode='same') for image in (lumps, light, good))
    area = np.sum(disc) * good.max()
    known = (seen > _SEEN * area) & (seen_around > _SEEN * np.sum(ring) * good.max())
    seen_around = np.maximum(seen_around, 1.0)
    above = np.where(known, inside - around / seen_around * seen, -np.inf)
    clumps = np.maximum(whole / seen_around, 0.0) * area * giant
    return above, _CLEAR * np.sqrt(clumps + noise**2 * area)
