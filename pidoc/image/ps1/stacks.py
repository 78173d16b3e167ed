# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""From stacks of Pan-STARRS1 in g and r to a map of the V light of a cluster: `make_v_map`.

The map is what `pidoc.mock.observe` makes of a simulated cluster: apparent flux F = L / (4 pi d^2) per pixel,
160 x 160 pixels of 0.25 arcsec, smoothed with a Gaussian of 4 pixels.
"""

import logging
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, VarianceUncertainty
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_area

from pidoc import __version__
from pidoc.catalogs import EXTINCTION_RATIO
from pidoc.cluster.snapshot import write_hdus
from pidoc.grid import APPARENT_FLUX
from pidoc.image.ps1.files import BAD, flags, MASK_BITS, MEDIAN_SEEING, PIXEL_SCALE, RELATIONS, Stack
from pidoc.photometry import apparent_flux, BANDS
from pidoc.units import to_value

__all__ = ['Frame', 'Psf', 'make_v_map', 'matching_kernel', 'measure_psf', 'write_map']

log = logging.getLogger(__name__)

_SCALE = PIXEL_SCALE.to_value(u.arcsec)
_GAUSSIAN_END = 5.0        # where the Gaussian of the smoothing is cut, in its standard deviations
_KERNEL_HALF = 20          # pixels, of the kernel that matches two PSFs
_RESOLUTION = 2.0          # pixels, standard deviation of the Gaussian that colours are measured in
_ENOUGH_SIGNAL = 10.0      # signal to noise in both bands, of a colour that is used
_COLOURS = (-0.5, 1.8)     # g - r of the stars that the relations are made with
_MIN_COVERAGE = 0.5
_SKY_WARNING = 0.05        # share of the light in the field that a left-over sky may have
_FEWEST_STARS, _MOST_STARS = 3, 40
_BETA = 2.5                # of a Moffat function whose width alone is known, as in `pidoc.mock`
_GAUSS = 0.5 / math.sqrt(3.0)
_FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """A stack with the images that belong to it.

    Parameters
    ----------
    stack : `pidoc.image.ps1.files.Stack`
    variance : array, optional
        Of the counts, on the same pixels. Without it, the scatter of the sky is taken.
    mask : array of int, optional
        Bits, see `pidoc.image.ps1.files.MASK_BITS`.

    Raises
    ------
    ValueError
        If the three have not the same shape.
    """

    stack: Stack
    variance: np.ndarray = None
    mask: np.ndarray = None

    def __post_init__(self):
        shape = self.stack.counts.shape
        for name in ('variance', 'mask'):
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise ValueError(f'{name} of {self.stack.skycell or "a stack"} must have the shape {shape}, '
                                 f'received {value.shape}')

    def flux(self, bad):
        """Flux in units of magnitude 0 (AB), NaN where it is missing or a bit of ``bad`` is set."""
        flux = self.stack.counts * self._per_count
        return flux if self.mask is None else np.where(self.mask & bad, np.nan, flux)

    def flux_variance(self, flux):
        """Variance of `flux`; NaN where that is."""
        variance = self.variance
        if variance is None:
            good = self.stack.counts[np.isfinite(flux)]
            variance = np.full(flux.shape, (1.4826 * np.median(np.abs(good - np.median(good)))) ** 2)
        return np.where(np.isfinite(flux), variance, np.nan) * self._per_count**2

    @property
    def _per_count(self):
        return 10.0 ** (-0.4 * self.stack.zero_point.to_value(u.mag))


# -- the map --------------------------------------------------------------------------------------


def make_v_map(g, r, centre, *, reddening=0.0 * u.mag, field_of_view=40.0 * u.arcsec, smoothing=4.0,
               psf_fwhm=None, subtract_sky=False, relation='kostov2018', bad=BAD, name='', distance=None,
               reddening_source='given'):
    """Make a map of the V light of a cluster from stacks in g and r.

    In this order: counts become flux by the exposure time; bad pixels and gaps are left out; the PSF is
    measured on stars and the level of the sky is looked at; skycells are put onto the grid and together; the
    sharper band is convolved to the PSF of the other; V is formed with the colour of each resolution element
    where both bands have signal, else with that of the whole field; the light is freed from extinction; the
    map is smoothed, as the mean over good pixels, and cut.

    Parameters
    ----------
    g, r : list of Frame
        Skycells of each band, of which a pixel is taken from the first that has it.
    centre : `~astropy.coordinates.SkyCoord`
        The middle of the map.
    reddening : `~astropy.units.Quantity`, optional
        E(B-V) of the cluster; the light is multiplied by 10^(0.4 3.1 E(B-V)).
    field_of_view : `~astropy.units.Quantity`, optional
        Side of the map, a whole number of pixels.
    smoothing : float, optional
        Standard deviation of the Gaussian [pixel]; 0: not at all.
    psf_fwhm : tuple of 2 `~astropy.units.Quantity`, optional
        Full width at half maximum of stars in g and r. By default measured; if there are not enough stars,
        the survey's median, with a warning.
    subtract_sky : bool, optional
        Subtract the level that is found far from the centre. The survey has already subtracted the sky;
        around a big cluster it has subtracted light of the cluster, too.
    relation : str, optional
        One of `pidoc.image.ps1.files.RELATIONS`. The difference that the other would make is recorded.
    bad : int, optional
        Bits of the mask that make a pixel bad.
    name, distance, reddening_source
        Recorded.

    Returns
    -------
    `~astropy.nddata.CCDData`
        In Lsun/kpc^2, with variance, mask (pixels without data of their own), WCS, and a ``meta`` that tells
        every step. The variance is that of a pixel; smoothed pixels are correlated.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If an argument is impossible, a stack is of another band or has no exposure time, less than half of
        the field has data, or there is no light in it.
    """
    red, far, given = _check(g, r, centre, reddening, relation, distance, psf_fwhm)
    grid = _Grid(centre, field_of_view, smoothing)
    planes = []
    for band, frames in (('g', g), ('r', r)):
        plane = _Plane(band, frames, grid, bad)
        plane.look_at_sky(centre, frames[0], bad, subtract_sky)
        planes.append(plane)
    for plane, frames, width in zip(planes, (g, r), given, strict=True):
        plane.find_psf(frames, bad, width)
    broad = max(planes, key=lambda plane: plane.psf.fwhm)
    for plane in planes:
        plane.match(broad.psf)
    v = _form_v(*planes, relation, grid)
    zero = apparent_flux(0.0 * u.mag).to_value(APPARENT_FLUX) * 10.0 ** (0.4 * EXTINCTION_RATIO * red)
    light, variance, mask = grid.finish(v.flux * zero, v.variance * zero**2)
    meta = _meta(name, centre, grid, planes, broad.psf, v, bad, mask, relation)
    meta |= {'SKYSUB': bool(subtract_sky), 'SKYSHARE': _warn_of_sky(planes, v, grid), 'EBV': red,
             'EBVFROM': reddening_source, 'EXTINCT': EXTINCTION_RATIO * red, 'EXTCORR': red > 0.0}
    meta['DISTANCE'] = far
    for plane in planes:
        meta |= plane.meta()
    meta = {keyword: value for keyword, value in meta.items() if value is not None}
    return CCDData(light, unit=APPARENT_FLUX, uncertainty=VarianceUncertainty(variance), mask=mask,
                   wcs=grid.wcs, meta=meta)


def _check(g, r, centre, reddening, relation, distance, psf_fwhm):
    for band, frames in (('g', g), ('r', r)):
        if not frames:
            raise ValueError(f'there must be a stack in {band}, received none')
        for frame in frames:
            if frame.stack.band != band:
                raise ValueError(f'a stack of {band} must have been taken in {band}, received one of '
                                 f'{frame.stack.band}')
    if not (isinstance(centre, SkyCoord) and centre.isscalar):
        raise TypeError(f'centre must be one SkyCoord, received {centre!r}')
    if relation not in RELATIONS:
        raise ValueError(f'relation must be one of {", ".join(RELATIONS)}, received {relation!r}')
    given = (None, None)
    if psf_fwhm is not None:
        if len(psf_fwhm) != 2:
            raise ValueError(f'psf_fwhm must be two angles, of g and r, received {psf_fwhm!r}')
        given = tuple(to_value(width, u.arcsec, 'psf_fwhm', positive=True) for width in psf_fwhm)
    far = None if distance is None else to_value(distance, u.kpc, 'distance', positive=True)
    return to_value(reddening, u.mag, 'reddening', non_negative=True), far, given


def _warn_of_sky(planes, v, grid):
    total = np.nansum(grid.inner(v.flux))
    share = sum(plane.left_sky * v.weights[plane.band] for plane in planes) * grid.number**2 / total
    if abs(share) > _SKY_WARNING:
        log.warning('the level of the sky far from the centre would be %.0f %% of the light in the field: '
                    'the map may be off by as much', 100.0 * share)
    return float(share)


class _Grid:
    """The pixels of the map with a margin, north up, and what is done on them."""

    def __init__(self, centre, field_of_view, smoothing):
        side = to_value(field_of_view, u.arcsec, 'field_of_view', positive=True) / _SCALE
        if abs(side - round(side)) > 1e-6:
            raise ValueError(f'field_of_view must be a whole number of pixels of {_SCALE} arcsec, received '
                             f'{field_of_view}')
        if not (math.isfinite(smoothing) and smoothing >= 0.0):
            raise ValueError(f'smoothing must be a number of pixels, not negative, received {smoothing!r}')
        self.centre, self.number, self.smoothing = centre, round(side), float(smoothing)
        self.margin = math.ceil(_GAUSSIAN_END * smoothing) + _KERNEL_HALF
        self.padded = self.number + 2 * self.margin
        self.wcs = _tangent(centre, self.number)
        self.padded_wcs = _tangent(centre, self.padded)

    def inner(self, image):
        """Without the margin."""
        return image[self.margin:self.margin + self.number, self.margin:self.margin + self.number]

    def put(self, frame_flux, wcs, *, exact=True):
        """An image on the padded grid: flux is conserved, and NaN where a pixel is not covered.

        What is smooth need not be exact, which takes ten times as long.
        """
        from reproject import reproject_exact, reproject_interp

        frame_flux, wcs = self._near(frame_flux, wcs)
        reproject = reproject_exact if exact else reproject_interp
        result, footprint = reproject((frame_flux, wcs), self.padded_wcs,
                                      shape_out=(self.padded, self.padded))
        # it conserves brightness; skycells are up to two degrees off the point their plane touches the sky in
        x, y = (0.5 * (n - 1) for n in frame_flux.shape[::-1])
        ratio = _pixel_area(self.padded_wcs, 0.5 * (self.padded - 1), 0.5 * (self.padded - 1))
        ratio /= _pixel_area(wcs, x, y)
        return np.where(footprint > 0.999, result * ratio, np.nan)

    def _near(self, image, wcs):
        """The part of an image that can fall on the grid, whichever way it is turned."""
        x, y = (float(value) for value in wcs.world_to_pixel(self.centre))
        reach = 0.75 * self.padded
        (left, right), (low, high) = ((int(np.clip(middle - reach, 0, n - 1)),
                                       int(np.clip(middle + reach, 1, n)))
                                      for middle, n in zip((x, y), image.shape[::-1], strict=True))
        return image[low:high, left:right], wcs[low:high, left:right]

    def finish(self, flux, variance):
        """Smoothed and cut: light, variance, and which pixels had no data."""
        mask = self.inner(~np.isfinite(flux)).copy()
        if not self.smoothing:
            return self.inner(flux).copy(), self.inner(variance).copy(), mask
        good = np.isfinite(flux)
        share = _gaussian(good.astype(float), self.smoothing)
        light = _gaussian(np.where(good, flux, 0.0), self.smoothing)
        spread = _gaussian(np.where(good, variance, 0.0), self.smoothing, squared=True)
        with np.errstate(divide='ignore', invalid='ignore'):
            light, spread = light / share, spread / share**2
        holes = share < 1e-3
        light[holes] = spread[holes] = np.nan
        return self.inner(light).copy(), self.inner(spread).copy(), mask


def _tangent(centre, number):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ['RA---TAN', 'DEC--TAN']
    wcs.wcs.cunit = ['deg', 'deg']
    wcs.wcs.crval = [centre.icrs.ra.deg, centre.icrs.dec.deg]
    wcs.wcs.cdelt = [-_SCALE / 3600.0, _SCALE / 3600.0]
    wcs.wcs.crpix = [0.5 * (number + 1)] * 2
    wcs.wcs.radesys = 'ICRS'
    wcs.array_shape = (number, number)
    return wcs


def _pixel_area(wcs, x, y):
    """Solid angle of a pixel of a tangent plane [deg^2]: that where the plane touches times cos^3."""
    place = wcs.pixel_to_world(x, y)
    origin = SkyCoord(*wcs.wcs.crval, unit='deg', frame=place.frame.name)
    return proj_plane_pixel_area(wcs) * math.cos(place.separation(origin).rad) ** 3


def _gaussian(image, sigma, *, squared=False):
    """Convolution with a Gaussian that is cut and has the sum 1, or with its square."""
    from scipy import ndimage

    reach = math.ceil(_GAUSSIAN_END * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    if squared:
        weights = weights**2
    for axis in (0, 1):
        image = ndimage.correlate1d(image, weights, axis=axis, mode='constant')
    return image


# -- one band -------------------------------------------------------------------------------------


class _Plane:
    """One band on the padded grid: flux and variance (AB, magnitude 0 is 1), NaN where there are no data."""

    def __init__(self, band, frames, grid, bad):
        self.band, self.frames = band, frames
        self.flux = np.full((grid.padded,) * 2, np.nan)
        self.variance = self.flux.copy()
        self.used = []
        for frame in frames:
            native = frame.flux(bad)
            if not np.isfinite(native).any():
                continue
            flux = grid.put(native, frame.stack.wcs)
            new = np.isnan(self.flux) & np.isfinite(flux)
            if new.any():
                variance = _filled(grid.put(frame.flux_variance(native), frame.stack.wcs, exact=False))
                self.flux[new], self.variance[new] = flux[new], variance[new]
                self.used.append(frame)
        self.coverage = float(np.isfinite(grid.inner(self.flux)).mean())
        if self.coverage < _MIN_COVERAGE:
            raise ValueError(f'at least {_MIN_COVERAGE:.0%} of the field must have data in {band}, received '
                             f'{self.coverage:.0%}: it is at the edge of what was observed, or masked')

    def look_at_sky(self, centre, frame, bad, subtract):
        """The level far from the centre, per pixel; taken off if that is wanted."""
        flux = frame.flux(bad)
        y, x = np.indices(flux.shape)
        x0, y0 = frame.stack.wcs.world_to_pixel(centre)
        apart = np.hypot(x - x0, y - y0)
        seen = apart[np.isfinite(flux)]
        outside = flux[np.isfinite(flux) & (apart > 0.7 * np.quantile(seen, 0.95))]
        self.sky, self.sky_radius = _mode(outside), float(0.7 * np.quantile(seen, 0.95) * _SCALE)
        self.left_sky = 0.0 if subtract else self.sky
        if subtract:
            self.flux = self.flux - self.sky

    def find_psf(self, frames, bad, given):
        if given is not None:
            self.psf = Psf(fwhm=given, beta=_BETA, n_stars=0, origin='given')
            return
        try:
            self.psf = measure_psf(frames[0].flux(bad))
        except ValueError as error:
            width = MEDIAN_SEEING[self.band].to_value(u.arcsec)
            log.warning('%s in %s: taking the median of the survey, %.2f arcsec', error, self.band, width)
            self.psf = Psf(fwhm=width, beta=_BETA, n_stars=0, origin='median of the survey')

    def match(self, target):
        """Convolve to a PSF that is not sharper."""
        if target is self.psf:
            return
        from scipy import signal

        kernel = matching_kernel(self.psf, target)
        missing = np.isnan(self.flux)
        flux = signal.fftconvolve(_filled(self.flux), kernel, mode='same')
        variance = signal.fftconvolve(_filled(self.variance), kernel**2, mode='same')
        self.flux = np.where(missing, np.nan, flux)
        self.variance = np.where(missing, np.nan, np.maximum(variance, 0.0))

    def meta(self):
        b = self.band.upper()
        stacks = [frame.stack for frame in self.used]
        return {
            f'ZEROPT{b}': float(stacks[0].zero_point.value), f'EXPTIME{b}': float(stacks[0].exposure.value),
            f'CELL{b}': ' '.join(stack.skycell for stack in stacks), f'FORM{b}': stacks[0].form,
            f'NCELL{b}': len(stacks), f'COVER{b}': self.coverage,
            f'WEIGHT{b}': 'scatter of the sky' if self.used[0].variance is None else 'weight image',
            f'PSF{b}': self.psf.fwhm, f'PSFBETA{b}': self.psf.beta, f'PSFNUM{b}': self.psf.n_stars,
            f'PSFBY{b}': self.psf.origin, f'SKY{b}': self.sky / self.used[0]._per_count}


def _mode(values):
    """The level that most pixels have, stars clipped."""
    from astropy.stats import SigmaClip
    from photutils.background import SExtractorBackground

    return float(SExtractorBackground(sigma_clip=SigmaClip(sigma=3.0, maxiters=10))(values))


def _filled(image):
    """NaN replaced by the mean of what is near."""
    good = np.isfinite(image)
    if good.all():
        return image
    result, sigma = image.copy(), 1.0
    while np.isnan(result).any():
        if sigma > _KERNEL_HALF:
            # far from everything, where it does not matter
            return np.nan_to_num(result)
        share = _gaussian(good.astype(float), sigma)
        near = _gaussian(np.where(good, image, 0.0), sigma)
        new = np.isnan(result) & (share > 0.05)
        result[new] = near[new] / share[new]
        sigma *= 2.0
    return result


# -- point spread functions -----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Psf:
    """A Moffat function: full width at half maximum [arcsec], exponent, and where it is from."""

    fwhm: float
    beta: float
    n_stars: int
    origin: str = 'stars'

    def image(self, half):
        """Integrals over pixels, about the middle of (2 half + 1)^2, of sum 1."""
        y, x = np.indices((2 * half + 1,) * 2) - half
        values = _moffat(x, y, self.fwhm / _SCALE, self.beta)
        return values / values.sum()


def _moffat(x, y, width, beta):
    """Mean over pixels of a Moffat function that is 1 in its middle; two points of Gauss to an axis."""
    square = 4.0 * (2.0 ** (1.0 / beta) - 1.0) / width**2
    across, along = ([(values + step) ** 2 for step in (-_GAUSS, _GAUSS)] for values in (x, y))
    return 0.25 * sum((1.0 + square * (a + b)) ** -beta for a in across for b in along)


def measure_psf(flux):
    """The PSF of an image, from stars that stand alone: the median of Moffat functions fitted to each.

    Parameters
    ----------
    flux : array
        [y, x], pixels of 0.25 arcsec, NaN where there are no data.

    Returns
    -------
    Psf

    Raises
    ------
    ValueError
        If fewer than three stars can be used.
    """
    from photutils.detection import DAOStarFinder

    good = np.isfinite(flux)
    if not good.any():
        raise ValueError('no star can be measured in an image without data')
    level = float(np.median(flux[good]))
    noise = 1.4826 * float(np.median(np.abs(flux[good] - level)))
    if noise == 0.0:
        noise = float(np.std(flux[good])) or 1.0
    half = 10
    plane = np.where(good, flux - level, 0.0)
    with warnings.catch_warnings():
        # it warns where it finds nothing
        warnings.simplefilter('ignore')
        found = DAOStarFinder(15.0 * noise, 4.5, exclude_border=True)(plane)
    stars = [] if found is None else _alone(found, plane, good, half)
    fits_ = [fit for fit in (_fit_star(plane, x, y, half) for x, y in stars[:_MOST_STARS]) if fit]
    if len(fits_) >= _FEWEST_STARS:
        widths = np.array(fits_)
        middle = np.median(widths[:, 0])
        spread = max(1.4826 * np.median(np.abs(widths[:, 0] - middle)), 0.02 * middle)
        fits_ = widths[np.abs(widths[:, 0] - middle) < 3.0 * spread]
    if len(fits_) < _FEWEST_STARS:
        raise ValueError(f'at least {_FEWEST_STARS} stars must stand alone to measure the PSF, received '
                         f'{len(fits_)}')
    width, beta = np.median(fits_, axis=0)
    return Psf(fwhm=float(width * _SCALE), beta=float(beta), n_stars=len(fits_))


def _alone(found, plane, good, half):
    """Columns and rows of stars without a neighbour or a missing pixel near, brightest first."""
    names = ('x_centroid', 'y_centroid') if 'x_centroid' in found.colnames else ('xcentroid', 'ycentroid')
    x, y = (np.asarray(found[name], dtype=float) for name in names)
    peak = np.asarray(found['peak'], dtype=float)
    ny, nx = plane.shape
    chosen = []
    for i in np.argsort(-peak):
        column, row = round(x[i]), round(y[i])
        if not (half <= column < nx - half and half <= row < ny - half):
            continue
        near = np.hypot(x - x[i], y - y[i])
        crowd = (near > 0.0) & (near < 1.5 * half) & (peak > 0.05 * peak[i])
        window = good[row - half:row + half + 1, column - half:column + half + 1]
        if not crowd.any() and window.all():
            chosen.append((x[i], y[i]))
    return chosen


def _fit_star(plane, x, y, half):
    """Width and exponent of a Moffat function on a level [pixel]; None if it does not fit."""
    from scipy.optimize import least_squares

    column, row = round(x), round(y)
    cut = plane[row - half:row + half + 1, column - half:column + half + 1]
    yy, xx = np.indices(cut.shape) - half
    top = cut.max()

    def model(p):
        x0, y0, width, beta, height, base = p
        return base + height * _moffat(xx - x0, yy - y0, width, beta)

    start = (x - column, y - row, 4.5, 3.0, 1.0, 0.0)
    low, high = (-2.0, -2.0, 1.0, 1.2, 0.2, -0.5), (2.0, 2.0, 12.0, 20.0, 3.0, 0.5)
    result = least_squares(lambda p: (model(p) - cut / top).ravel(), start, bounds=(low, high))
    width, beta = result.x[2:4]
    poor = np.sqrt(np.mean(result.fun**2)) > 0.05
    return None if poor or not result.success or not 1.5 < width < 11.0 else (width, beta)


def matching_kernel(source, target, *, half=_KERNEL_HALF):
    """The kernel that turns a PSF into a broader one, of sum 1.

    The ratio of their transforms, damped where the source has none left (Wiener; as Boucaud et al. 2016,
    A&A 596, A63).

    Parameters
    ----------
    source, target : Psf
    half : int, optional
        The kernel has 2 half + 1 pixels to a side.

    Returns
    -------
    array

    Raises
    ------
    ValueError
        If the target is sharper than the source.
    """
    if target.fwhm < source.fwhm:
        raise ValueError(f'the target must not be sharper than the source, received {target.fwhm:.3f} and '
                         f'{source.fwhm:.3f} arcsec')
    wide = 4 * half
    own, wanted = (np.fft.fft2(np.fft.ifftshift(psf.image(wide))) for psf in (source, target))
    ratio = wanted * np.conj(own) / (np.abs(own) ** 2 + 1e-6)
    kernel = np.fft.fftshift(np.fft.ifft2(ratio).real)
    kernel = kernel[wide - half:wide + half + 1, wide - half:wide + half + 1]
    return kernel / kernel.sum()


# -- V --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class _V:
    """V flux and variance (Vega, magnitude 0 is 1) and what was found on the way."""

    flux: np.ndarray
    variance: np.ndarray
    colour: float
    own_colour: float
    check: float
    weights: dict


def _form_v(g, r, relation, grid):
    """V from the matched planes of g and r.

    V = g + p(x) is not linear in flux, so noise would make it too bright or nothing at all. About a colour c
    its tangent is: F_V = 10^(-0.4 p(c)) [(1 + p'(c)) F_g - p'(c) 10^(-0.4 c) F_r], which is exact at that
    colour (F_V is homogeneous of degree 1 in F_g and F_r) and whose sums are not biased. c is the colour of
    the resolution element where both bands have signal, else that of the field.
    """
    both = np.isfinite(g.flux) & np.isfinite(r.flux)
    inside = np.zeros(both.shape, dtype=bool)
    grid.inner(inside)[...] = grid.inner(both)
    total = [float(np.sum(plane.flux[inside])) for plane in (g, r)]
    if min(total) <= 0.0:
        raise ValueError('the light in the field must be positive in g and r, received '
                         f'{total[0]:.3g} and {total[1]:.3g} times that of magnitude 0')
    whole = float(np.clip(-2.5 * np.log10(total[0] / total[1]), *_COLOURS))
    colour, own = _colours(g, r, both, whole)
    factors = _tangent_factors(RELATIONS[relation], colour)
    flux = factors[0] * g.flux + factors[1] * r.flux
    variance = factors[0] ** 2 * g.variance + factors[1] ** 2 * r.variance
    middle = _tangent_factors(RELATIONS[relation], whole)
    # what the other relation would have made of the light in the field
    other = next(name for name in RELATIONS if name != relation)
    other_factors = _tangent_factors(RELATIONS[other], colour)
    light = np.sum((factors[0] * g.flux + factors[1] * r.flux)[inside])
    second = np.sum((other_factors[0] * g.flux + other_factors[1] * r.flux)[inside])
    return _V(flux=flux, variance=variance, colour=whole, own_colour=float(grid.inner(own).mean()),
              check=float(-2.5 * np.log10(second / light)) if min(light, second) > 0.0 else None,
              weights=dict(zip('gr', middle, strict=True)))


def _tangent_factors(coefficients, colour):
    value = np.polynomial.polynomial.polyval(colour, coefficients)
    slope = coefficients[1] + 2.0 * coefficients[2] * colour
    base = 10.0 ** (-0.4 * value)
    return base * (1.0 + slope), -base * slope * 10.0 ** (-0.4 * colour)


def _colours(g, r, both, whole):
    """g - r of every resolution element, and where it is its own."""
    smooth, noise = [], []
    for plane in (g, r):
        smooth.append(_gaussian(np.where(both, plane.flux, 0.0), _RESOLUTION))
        noise.append(np.sqrt(_gaussian(np.where(both, plane.variance, 0.0), _RESOLUTION, squared=True)))
    own = both.copy()
    for light, error in zip(smooth, noise, strict=True):
        own &= (light > _ENOUGH_SIGNAL * error) & (light > 0.0)
    colour = np.full(both.shape, whole)
    colour[own] = -2.5 * np.log10(smooth[0][own] / smooth[1][own])
    own &= (colour >= _COLOURS[0]) & (colour <= _COLOURS[1])
    return np.where(own, colour, whole), own


# -- the file -------------------------------------------------------------------------------------


def _meta(name, centre, grid, planes, psf, v, bad, mask, relation):
    """What was done: keyword and value."""
    raw = [frame.mask for plane in planes for frame in plane.used if frame.mask is not None]
    doubtful = MASK_BITS['STARCORE'] | MASK_BITS['SUSPECT'] | MASK_BITS['CONV.POOR']
    suspect = float(np.mean([np.mean((bits & doubtful) != 0) for bits in raw])) if raw else None
    band = BANDS['V']
    made_up = {}
    for plane in planes:
        for frame in plane.used:
            made_up |= frame.stack.truth
    return {
        'PS1FMT': _FORMAT_VERSION, 'PIDOCVER': __version__, 'CONVENT': 'apparent flux',
        'OBJECT': f'{name} (synthetic)'.strip() if made_up else name,
        'SURVEY': 'synthetic, in the format of Pan-STARRS1' if made_up else 'Pan-STARRS1 stacks',
        **made_up, 'RA_CEN': centre.icrs.ra.deg, 'DEC_CEN': centre.icrs.dec.deg,
        'DISTANCE': None, 'BAND': 'V', 'BANDNAME': band.name, 'MAGSYS': band.system,
        'SUNMAG': band.solar_magnitude,
        'PIXSCALE': _SCALE, 'SMOOTH': grid.smoothing, 'PSF': 'Moffat', 'PSFFWHM': psf.fwhm,
        'PSFBETA': psf.beta, 'PSFMATCH': planes[0].psf is not planes[1].psf, 'SKYSUB': None,
        'SKYRAD': planes[0].sky_radius, 'SKYSHARE': None, 'RELATION': relation,
        'COLOUR': v.colour, 'COLFRAC': v.own_colour, 'VCHECK': v.check, 'EBV': None,
        'EBVFROM': None, 'EXTINCT': None, 'EXTCORR': None, 'BADBITS': bad,
        'BADNAMES': ' '.join(flags(bad)), 'BADFRAC': float(mask.mean()), 'DOUBTFUL': suspect}


_COMMENTS = {
    'PS1FMT': 'version of the format of these maps', 'PIDOCVER': 'version of pidoc',
    'CONVENT': 'F = L / (4 pi d^2) per pixel', 'OBJECT': 'name of the cluster',
    'SURVEY': 'where the images are from', 'SYNTHET': 'no image of the sky',
    'TRUEMASS': '[solMass] of the model in 40 x 40 arcsec', 'TRUELUM': '[solLum] likewise, in V',
    'TRUEDIST': '[kpc] of the model', 'TRUEAGE': '[Gyr] of the model', 'TRUEFEH': '[Fe/H] of the model',
    'TRUEEBV': '[mag] E(B-V) of the model', 'RA_CEN': '[deg] middle of the map',
    'DEC_CEN': '[deg] middle of the map', 'DISTANCE': '[kpc] from the catalogue',
    'BAND': 'letter of the band', 'BANDNAME': 'the band', 'MAGSYS': 'magnitude system of the band',
    'SUNMAG': '[mag] absolute magnitude of the Sun in the band', 'PIXSCALE': '[arcsec] side of a pixel',
    'SMOOTH': '[pixel] sigma of the smoothing', 'PSF': 'point spread function',
    'PSFFWHM': '[arcsec] its full width at half maximum', 'PSFBETA': 'its exponent',
    'PSFMATCH': 'was a band convolved to the PSF of the other', 'SKYSUB': 'was the level below subtracted',
    'SKYRAD': '[arcsec] from where on the sky is looked at',
    'SKYSHARE': 'what it would be of the light in the field', 'RELATION': 'from g and r to V',
    'COLOUR': '[mag] g - r of the light in the field',
    'COLFRAC': 'share of pixels with a colour of their own',
    'VCHECK': '[mag] V by the other relation minus this', 'EBV': '[mag] E(B-V)',
    'EBVFROM': 'where it is from', 'EXTINCT': '[mag] extinction in V that was corrected',
    'EXTCORR': 'is the light freed from extinction', 'BADBITS': 'bits of the mask that make a pixel bad',
    'BADNAMES': 'their names', 'BADFRAC': 'share of pixels without data of their own',
    'DOUBTFUL': 'share with SUSPECT, STARCORE, CONV.POOR'}
for _b in 'GR':
    _COMMENTS |= {
        f'ZEROPT{_b}': '[mag] AB magnitude of a count', f'EXPTIME{_b}': '[s] exposure time',
        f'CELL{_b}': 'skycells', f'FORM{_b}': 'skycell (asinh-scaled) or cutout (linear)',
        f'NCELL{_b}': 'number of skycells', f'COVER{_b}': 'share of the field with data',
        f'WEIGHT{_b}': 'where the variance is from', f'PSF{_b}': '[arcsec] FWHM before matching',
        f'PSFBETA{_b}': 'exponent of the Moffat function', f'PSFNUM{_b}': 'stars it was measured on',
        f'PSFBY{_b}': 'how it is known', f'SKY{_b}': '[counts] level of the sky, per pixel'}


def write_map(image, filename, *, overwrite=False):
    """Write a map as FITS: the flux with all cards, and extensions MASK and UNCERT (variance).

    `astropy.nddata.CCDData.read` reads it back with unit, variance, mask and world coordinates.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        Of `make_v_map`.
    filename : path-like
        Ending in .fits or .fits.gz.
    overwrite : bool, optional
        Replace a file of that name.

    Raises
    ------
    OSError
        If the file exists and ``overwrite`` is False.
    """
    filename = Path(filename)
    if filename.exists() and not overwrite:
        raise OSError(f'{filename} exists: say overwrite=True to replace it')
    place = image.wcs.to_header()
    primary = fits.PrimaryHDU(image.data.astype(np.float32))
    primary.header['BUNIT'] = (image.unit.to_string('fits'), 'per pixel')
    mask = fits.ImageHDU(image.mask.astype(np.uint8), name='MASK')
    variance = fits.ImageHDU(image.uncertainty.array.astype(np.float64), name='UNCERT')
    variance.header['UTYPE'] = type(image.uncertainty).__name__
    variance.header['BUNIT'] = (image.unit**2).to_string('fits')
    for hdu in (primary, mask, variance):
        hdu.header.update(place)
    for keyword, value in image.meta.items():
        if isinstance(value, float):
            # so that the comment has room
            value = float(f'{value:.8g}')
        comment = _COMMENTS.get(keyword, '')
        crowded = isinstance(value, str) and len(value) + len(comment) > 60
        primary.header[keyword] = (value, '' if crowded else comment)
    write_hdus([primary, mask, variance], filename)
