# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""A cluster of stars painted on any world coordinates, and the map that it must become: all by formula."""


import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from scipy.special import erf

CENTER = SkyCoord(226.0, 28.5, unit='deg')
ZERO_POINT = 27.0 * u.mag          # V
_SIGMA = np.sqrt(8.0 * np.log(2.0))


def stars(number=400, *, radius=8.0, seed=3):
    """Offsets east and north [arcsec] and fluxes [counts of ZERO_POINT] of a projected Plummer sphere."""
    rng = np.random.default_rng(seed)
    separation = radius * np.sqrt(1.0 / (1.0 - rng.uniform(0.0, 0.95, number)) - 1.0)
    angle = rng.uniform(0.0, 2.0 * np.pi, number)
    return separation * np.sin(angle), separation * np.cos(angle), 100.0 * rng.pareto(2.0, number) + 20.0


def tan_wcs(shape, scale, *, turn=0.0, offset=(0.0, 0.0), mirror=False):
    """TAN about CENTRE, turned by degrees, its reference off the middle by pixels."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ['RA---TAN', 'DEC--TAN']
    wcs.wcs.cunit = ['deg', 'deg']
    wcs.wcs.crval = [CENTER.ra.deg, CENTER.dec.deg]
    wcs.wcs.crpix = [(n + 1) / 2 + by for n, by in zip(reversed(shape), offset)]
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    hand = 1.0 if mirror else -1.0
    wcs.wcs.cd = np.array([[hand * cosine, -hand * sine], [sine, cosine]]) * scale / 3600.0
    wcs.wcs.radesys = 'ICRS'
    return wcs


def paint(sample, wcs, shape, *, fwhm=1.0, scale=None):
    """Counts in the pixels: Gaussians integrated over them, exact where pixels are squares."""
    east, north, flux = sample
    # offsets in the tangent plane: through a plane without rotation
    plane = tan_wcs((1, 1), 1.0)
    sky = plane.pixel_to_world(-east, north)
    x, y = wcs.world_to_pixel(sky)
    if scale is None:
        scale = np.sqrt(wcs.proj_plane_pixel_area().to_value(u.arcsec**2))
    sigma = fwhm / _SIGMA / scale

    def share(at, number):
        edges = (np.arange(number + 1) - 0.5 - at[:, np.newaxis]) / (np.sqrt(2.0) * sigma)
        return np.diff(0.5 * erf(edges), axis=1)

    return share(np.atleast_1d(y), shape[0]).T @ (flux[:, np.newaxis] * share(np.atleast_1d(x), shape[1]))


def truth(sample, *, fwhm=1.0, smoothing=4.0, number=160, scale=0.25):
    """What the map must be, in counts: the same stars with PSF and smoothing in one Gaussian."""
    total = np.hypot(fwhm, smoothing * scale * _SIGMA)
    return paint(sample, tan_wcs((number, number), scale), (number, number), fwhm=total)


def expected(counts):
    """Apparent flux of counts: L = 4 pi (10 pc)^2 F of magnitude 4.83 at 10 pc is one Sun."""
    return counts * 10.0 ** (-0.4 * (ZERO_POINT.value - 4.83)) / (4.0 * np.pi * 0.01**2)
