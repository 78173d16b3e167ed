# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""V from an image in g and one in r: their PSFs are matched, and the light is combined pixel by pixel."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from astropy import units as u

from pidoc.grid import APPARENT_FLUX, GAUSSIAN_END
from pidoc.image.ps1.files import RELATIONS
from pidoc.image.psf import KERNEL_REACH, matching_kernel
from pidoc.image.resample import blur_of, blurred, Plane
from pidoc.image.sky import SkyFit
from pidoc.photometry import apparent_flux

__all__ = ['combine']

_RESOLUTION = 0.5          # arcsec, sigma of the Gaussian in which colours are measured
_ENOUGH_SIGNAL = 10.0      # least signal to noise in both bands for a colour
_COLOURS = (-0.5, 1.8)     # range of g - r in which the relations are valid
_FILLED = 2.0              # pixels, sigma of the Gaussian that fills gaps


@dataclass(eq=False)
class _Band:
    """One band on the grid with its margin: values of whole pixels, in units of AB = 0; NaN: no data."""

    flux: np.ndarray
    variance: np.ndarray
    seen: np.ndarray           # share of each pixel

    @classmethod
    def of(cls, layer, band, grid, margin):
        plane = layer.plane(grid, margin)
        unit = apparent_flux(0.0 * u.mag, band).to_value(APPARENT_FLUX)
        variance = plane.variance
        if variance is None:
            variance = plane.share * (layer.scatter * grid.scale / layer.scale) ** 2
        empty = ~(plane.share > 1e-3)
        with np.errstate(divide='ignore', invalid='ignore'):
            return cls(np.where(empty, np.nan, plane.total / (plane.share * unit)),
                       np.where(empty, np.nan, variance / (plane.share * unit) ** 2),
                       np.where(empty, 0.0, plane.share))

    def convolve(self, kernel):
        """The convolved band; pixels without data remain so."""
        from scipy.signal import fftconvolve

        missing, half = np.isnan(self.flux), kernel.shape[0] // 2
        # an image on the grid has no margin: beyond its edges the edge values are used
        flux, variance = (fftconvolve(np.pad(_filled(values), half, mode='edge'), weights, mode='valid')
                          for values, weights in ((self.flux, kernel), (self.variance, kernel**2)))
        self.flux = np.where(missing, np.nan, flux)
        self.variance = np.where(missing, np.nan, np.maximum(variance, 0.0))


def combine(g, r, grid, best, relation):
    """Combine two layers to the plane of their V light.

    The sharper one is convolved to the PSF of the other (`pidoc.image.psf.matching_kernel`). V = g + p(x) is
    not linear in flux, so with noise it would be biased or undefined. At a colour c its tangent is
    F_V = 10^(-0.4 p(c)) [(1 + p'(c)) F_g - p'(c) 10^(-0.4 c) F_r], which is exact at that colour (F_V is
    homogeneous of degree 1 in F_g and F_r) and whose sums are unbiased. c is the colour of the resolution
    element if both bands have signal, else that of the field.

    Parameters
    ----------
    g, r : `~pidoc.image.resample.Layer`
        Apparent flux, each in its own band.
    grid : `~pidoc.grid.MapGrid`
    best : float
        Seeing [arcsec] to which a better one is degraded.
    relation : str
        One of `pidoc.image.ps1.files.RELATIONS`.

    Returns
    -------
    plane : `~pidoc.image.resample.Plane`
        Apparent flux in V, smoothed.
    around : `~pidoc.image.sky.SkyFit` or None
        Residual sky per arcsec^2.
    meta : dict
        Keywords and values that describe the combination.

    Raises
    ------
    ValueError
        If the light in the field is not positive, or was smoothed more than requested.
    """
    broad = max((layer.psf for layer in (g, r) if layer.psf.known), key=lambda psf: psf.fwhm, default=g.psf)
    sharp = [layer for layer in (g, r) if layer.psf.known and layer.psf.fwhm < broad.fwhm]
    blur, cards = blur_of(broad, best)
    sigma = math.hypot(blur / grid.scale, min(g.missing(grid), r.missing(grid)))
    # an image on the grid has no margin
    margin = math.ceil(GAUSSIAN_END * sigma) + (math.ceil(KERNEL_REACH / grid.scale) if sharp else 0)
    margin = 0 if g.on_grid or r.on_grid else margin
    bands = [_Band.of(layer, name, grid, margin) for layer, name in ((g, 'g'), (r, 'r'))]
    for band, layer in zip(bands, (g, r), strict=True):
        if layer in sharp:
            band.convolve(matching_kernel(layer.psf, broad, grid.scale))
    inner = np.zeros(bands[0].flux.shape, dtype=bool)
    inner[margin:margin + grid.ny, margin:margin + grid.nx] = True
    flux, variance, about = _v(*bands, inner, max(_RESOLUTION / grid.scale, 0.5), RELATIONS[relation])
    unit = apparent_flux(0.0 * u.mag).to_value(APPARENT_FLUX)
    seen = np.minimum(bands[0].seen, bands[1].seen)
    if g.deviation is None or r.deviation is None:
        variance = None
    else:
        variance = np.nan_to_num(variance) * (unit * seen) ** 2
    wcs = grid.wcs(g.position) if not g.on_grid else g.wcs
    plane = Plane(np.nan_to_num(flux) * unit * seen, seen, variance, wcs).smoothed(
        sigma, margin, None if g.smoothed or r.smoothed else blur / grid.scale)
    other = next(name for name in RELATIONS if name != relation)
    meta = cards | {
        'PSFBETA': broad.beta if broad.known else None, 'PSFMATCH': bool(sharp), 'RELATION': relation,
        'COLOUR': about['colour'], 'COLFRAC': about['own'],
        'VCHECK': _difference(bands, inner, about, RELATIONS[relation], RELATIONS[other]),
        'SMOOTH': grid.smoothing, 'SMOOTHBY': sigma, 'PIXSCALE': grid.scale}
    return plane, _around(g, r, about, RELATIONS[relation], unit), meta


def _filled(values):
    """Replace NaN by the weighted mean of nearby pixels, or by 0 far from all, where it does not matter."""
    from astropy.convolution import Gaussian2DKernel, interpolate_replace_nans

    if np.isfinite(values).all():
        return values
    with warnings.catch_warnings():
        # it warns of remaining NaN
        warnings.simplefilter('ignore')
        return np.nan_to_num(interpolate_replace_nans(values, Gaussian2DKernel(_FILLED), boundary='extend'))


# -- V --------------------------------------------------------------------------------------------


def _v(g, r, inner, resolution, relation):
    """Flux and variance in V (Vega, magnitude 0 is 1), and the colours used."""
    both = np.isfinite(g.flux) & np.isfinite(r.flux)
    total = [float(np.sum(band.flux[both & inner])) for band in (g, r)]
    if min(total) <= 0.0:
        raise ValueError('the light in the field must be positive in both bands, received '
                         f'{total[0]:.3g} in g and {total[1]:.3g} in r, times that of magnitude 0')
    whole = float(np.clip(-2.5 * np.log10(total[0] / total[1]), *_COLOURS))
    colour, own = _colours(g, r, both, whole, resolution)
    of_g, of_r = _tangent(relation, colour)
    about = {'colour': whole, 'local': colour, 'own': float(own[inner].mean()), 'both': both}
    return (of_g * g.flux + of_r * r.flux, of_g**2 * g.variance + of_r**2 * r.variance, about)


def _tangent(relation, colour):
    """Coefficients of F_g and F_r in F_V near a colour."""
    value = np.polynomial.polynomial.polyval(colour, relation)
    slope = relation[1] + 2.0 * relation[2] * colour
    base = 10.0 ** (-0.4 * value)
    return base * (1.0 + slope), -base * slope * 10.0 ** (-0.4 * colour)


def _colours(g, r, both, whole, resolution):
    """g - r of every resolution element, and the mask of those with a colour of their own."""
    smooth, own = [], both.copy()
    for band in (g, r):
        light = blurred(np.where(both, band.flux, 0.0), resolution)
        noise = np.sqrt(blurred(np.where(both, band.variance, 0.0), resolution, power=2))
        own &= (light > _ENOUGH_SIGNAL * noise) & (light > 0.0)
        smooth.append(light)
    colour = np.full(both.shape, whole)
    colour[own] = -2.5 * np.log10(smooth[0][own] / smooth[1][own])
    own &= (colour >= _COLOURS[0]) & (colour <= _COLOURS[1])
    return np.where(own, colour, whole), own


def _difference(bands, inner, about, relation, other):
    """Magnitude of the light in the field by another relation minus that by this one; None without light."""
    lights = []
    for each in (relation, other):
        of_g, of_r = _tangent(each, about['local'])
        chosen = inner & about['both']
        lights.append(float(np.sum((of_g * bands[0].flux + of_r * bands[1].flux)[chosen])))
    return -2.5 * math.log10(lights[1] / lights[0]) if min(lights) > 0.0 else None


def _around(g, r, about, relation, unit):
    if g.around is None or r.around is None:
        return None
    units = np.array([apparent_flux(0.0 * u.mag, band).to_value(APPARENT_FLUX) for band in 'gr'])
    parts = np.array(_tangent(relation, about['colour'])) / units
    levels, errors = np.array([(layer.around.level, layer.around.error) for layer in (g, r)]).T
    # from one model: the errors of the bands are not independent
    return SkyFit(float(parts @ levels) * unit, float(np.abs(parts) @ errors) * unit)
