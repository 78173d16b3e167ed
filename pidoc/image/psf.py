# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Point spread functions of images: measured on stars, and matched between two images."""

import itertools
import math
import warnings
from dataclasses import dataclass, replace

import numpy as np

from pidoc.mock.psf import MOFFAT_BETA

__all__ = ['KERNEL_REACH', 'Psf', 'fitted_stars', 'matching_kernel', 'measure_psf', 'rebuilt_cores']

KERNEL_REACH = 5.0
"""Half width of the kernels that match two PSFs [arcsec]."""

_DAMPING = 1e-6            # of the Wiener filter, relative to the power of the sharper PSF
_GAUSS = 0.5 / math.sqrt(3.0)
_FEWEST_STARS, _MOST_STARS = 3, 40
_BRIGHT = 15.0             # least peak of a star, in units of the scatter of the image
_NEIGHBOUR = 0.05          # least peak of a neighbour that counts, relative to the star
_MISFIT = 0.05             # largest rms residual of a star, relative to its peak
_ENOUGH = 12               # rows on either side of the centre of a star
_STEPS = 30                # iterations of a fit
_ROUNDS = 3                # of the measurement, each with the width from the previous one


@dataclass(frozen=True, kw_only=True)
class Psf:
    """A Moffat function.

    Parameters
    ----------
    fwhm : float
        Full width at half maximum [arcsec, or pixels]; NaN: not known.
    beta : float, optional
        Exponent of the Moffat function.
    scatter : float, optional
        Standard deviation of the width from star to star.
    n_stars : int, optional
        Number of stars used in the measurement.
    """

    fwhm: float
    beta: float = MOFFAT_BETA
    scatter: float = math.nan
    n_stars: int = 0

    @property
    def known(self):
        """Whether the width is known."""
        return math.isfinite(self.fwhm)

    def scaled(self, factor):
        """The same PSF in a unit that is smaller by a factor."""
        return replace(self, fwhm=self.fwhm * factor, scatter=self.scatter * factor)

    def at(self, x, y):
        """Share of the light in a pixel at an offset from the star, with the width in pixels."""
        # the integral over the plane is pi alpha^2 / (beta - 1)
        square = self.fwhm**2 / (4.0 * (2.0 ** (1.0 / self.beta) - 1.0))
        return _moffat(x, y, self.fwhm, self.beta) * (self.beta - 1.0) / (math.pi * square)

    def image(self, half, scale):
        """Image of (2 half + 1)^2 pixels, integrated over pixels of a given side, with sum 1."""
        y, x = np.indices((2 * half + 1,) * 2) - half
        values = _moffat(x, y, self.fwhm / scale, self.beta)
        return values / values.sum()


def _moffat(x, y, width, beta):
    """Mean over pixels of a Moffat function with peak 1; Gauss quadrature with two points per axis."""
    square = 4.0 * (2.0 ** (1.0 / beta) - 1.0) / width**2
    across, along = ([(values + step) ** 2 for step in (-_GAUSS, _GAUSS)] for values in (x, y))
    return 0.25 * sum((1.0 + square * (a + b)) ** -beta for a in across for b in along)


# -- measuring ------------------------------------------------------------------------------------


def measure_psf(pixels, bad, *, expected=4.0):
    """Measure the PSF of an image: the median of Moffat functions fitted to isolated stars.

    Stars are peaks (`photutils.detection.find_peaks`) without a neighbour or a bad pixel near. A Moffat
    function, integrated over the pixels, and a level are fitted to the brightest.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
        Image, proportional to light.
    bad : `~numpy.ndarray` of bool
    expected : float, optional
        Approximate full width at half maximum [pixels].

    Returns
    -------
    Psf
        PSF, in pixels; not known if fewer than three stars are fitted.
    """
    for _ in range(_ROUNDS):
        psf = _measured(pixels, bad, expected)
        if not psf.known or 0.7 < psf.fwhm / expected < 1.4:
            break
        expected = psf.fwhm
    return psf


def _measured(pixels, bad, expected):
    half = max(4, math.ceil(2.25 * expected))
    places = list(itertools.islice(_stars(pixels, bad, half, expected), _MOST_STARS))
    found = np.empty((0, 2))
    if places:
        # for wide stars some rows and columns are sufficient
        step = max(1, half // _ENOUGH)
        reach = half - half % step
        found = _fit_stars(np.array([pixels[y - reach:y + reach + 1:step, x - reach:x + reach + 1:step]
                                     for x, y in places]), expected, step)
    if len(found) >= _FEWEST_STARS:
        away = np.abs(found[:, 0] - np.median(found[:, 0]))
        found = found[away <= 3.0 * max(1.4826 * np.median(away), 0.02 * np.median(found[:, 0]))]
    if len(found) < _FEWEST_STARS:
        return Psf(fwhm=math.nan, n_stars=len(found))
    width, beta = np.median(found, axis=0)
    return Psf(fwhm=float(width), beta=float(beta), scatter=float(np.std(found[:, 0])), n_stars=len(found))


def _stars(pixels, bad, half, expected):
    """Columns and rows of isolated peaks, brightest first."""
    from photutils.detection import find_peaks

    good = pixels[~bad]
    if good.size == 0:
        return
    sky = np.median(good)
    noise = 1.4826 * np.median(np.abs(good - sky))
    least = sky + max(_BRIGHT * noise, 1e-12 * abs(sky))
    with warnings.catch_warnings():
        # it warns if nothing is found
        warnings.simplefilter('ignore')
        peaks = find_peaks(np.where(bad, sky, pixels), least, box_size=2 * math.ceil(0.5 * expected) + 1)
    if peaks is None:
        return
    peaks.sort('peak_value', reverse=True)
    x, y, height = (np.asarray(peaks[name]) for name in ('x_peak', 'y_peak', 'peak_value'))
    height = height - sky
    ny, nx = pixels.shape
    for k in np.flatnonzero((half <= x) & (x < nx - half) & (half <= y) & (y < ny - half)):
        beside = (height > _NEIGHBOUR * height[k]) & (np.hypot(x - x[k], y - y[k]) < 1.5 * half)
        window = bad[y[k] - half:y[k] + half + 1, x[k] - half:x[k] + half + 1]
        if beside.sum() == 1 and not window.any():
            yield int(x[k]), int(y[k])


def _fit_stars(cutouts, expected, step):
    """Widths [pixels] and exponents of Moffat functions on a constant level, for stars with a good fit.

    Levenberg-Marquardt for all stars at a time: one after the other they take ten times as long, most of it
    outside numpy.

    Parameters
    ----------
    cutouts : `~numpy.ndarray`
        [star, y, x], each with a star in the centre.
    expected : float
        Approximate full width at half maximum.
    step : int
        Pixels from one row or column to the next.

    Returns
    -------
    `~numpy.ndarray`
        Width and exponent of each star with a good fit.
    """
    number, side, _ = cutouts.shape
    half = side // 2
    level = np.median(cutouts, axis=(1, 2))[:, np.newaxis]
    values = cutouts.reshape(number, -1)
    values = (values - level) / (cutouts[:, half, half, np.newaxis] - level)
    y, x = (step * (axis.ravel() - half) for axis in np.indices((side, side)))
    low = np.array([-2.0, -2.0, 0.2 * expected, 1.2, 0.2, -0.5])
    high = np.array([2.0, 2.0, 3.0 * expected, 20.0, 9.0, 0.5])
    place = np.tile([0.0, 0.0, expected, 3.0, 1.0, 0.0], (number, 1))
    damping = np.full(number, 1e-3)
    error, slope, misfit = _stars_and_slopes(place, values, x, y)
    active = np.arange(number)
    for _ in range(_STEPS):
        matrix = slope[active].transpose(0, 2, 1) @ slope[active]
        matrix += damping[active, np.newaxis, np.newaxis] * matrix * np.eye(6) + 1e-12 * np.eye(6)
        towards = (slope[active].transpose(0, 2, 1) @ error[active, :, np.newaxis])[..., 0]
        move = np.linalg.solve(matrix, towards[..., np.newaxis])[..., 0]
        tried = np.clip(place[active] + move, low, high)
        new_error, new_slope, new_misfit = _stars_and_slopes(tried, values[active], x, y)
        better = new_misfit <= misfit[active]
        small = np.abs(tried - place[active]).max(axis=1) < 1e-3
        chosen = active[better]
        place[chosen], misfit[chosen] = tried[better], new_misfit[better]
        error[chosen], slope[chosen] = new_error[better], new_slope[better]
        damping[active] = np.where(better, 0.1 * damping[active], 10.0 * damping[active])
        active = active[~(small & better) & (damping[active] < 1e6)]
        if active.size == 0:
            break
    width, beta = place[:, 2], place[:, 3]
    fits = (np.sqrt(misfit) <= _MISFIT) & (width > 0.3 * expected) & (width < 2.5 * expected)
    return np.column_stack([width, beta])[fits]


def _stars_and_slopes(place, values, x, y):
    """Residuals, their derivatives by each parameter, and mean squares, for the functions of `_moffat`."""
    x0, y0, width, beta, height, low = (column[:, np.newaxis] for column in place.T)
    root = 2.0 ** (1.0 / beta)
    square = 4.0 * (root - 1.0) / width**2
    model, by_x, by_y, by_square, by_beta = (np.zeros(values.shape) for _ in range(5))
    for across in (-_GAUSS, _GAUSS):
        for along in (-_GAUSS, _GAUSS):
            dx, dy = x + across - x0, y + along - y0
            distance = dx**2 + dy**2
            base = 1.0 + square * distance
            logarithm = np.log(base)
            part = 0.25 * np.exp(-beta * logarithm)
            model += part
            by_beta -= part * logarithm
            part *= beta / base
            by_square -= part * distance
            by_x += part * dx
            by_y += part * dy
    by_x, by_y = (2.0 * square * height * part for part in (by_x, by_y))
    by_width = -2.0 * square / width * height * by_square
    by_beta = height * (by_beta - 4.0 * root * math.log(2.0) / (beta * width) ** 2 * by_square)
    error = values - height * model - low
    slope = np.stack([by_x, by_y, by_width, by_beta, model, np.ones(values.shape)], axis=-1)
    return error, slope, np.mean(error**2, axis=1)


def fitted_stars(pixels, bad, places, psf, most):
    """Fit stars with a given PSF and a constant level together, about pixels.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
    bad : `~numpy.ndarray` of bool
    places : list of tuple of int
        Column and row of each star.
    psf : Psf
        PSF, in pixels.
    most : float
        Largest rms residual, relative to the peak of the brightest star.

    Returns
    -------
    list of tuple of float
        Column, row and flux of each star; none if the fit is not good.
    """
    from scipy.optimize import least_squares

    near = np.zeros(pixels.shape, dtype=bool)
    half = math.ceil(1.5 * psf.fwhm)
    for x, y in places:
        near[max(0, y - half):y + half + 1, max(0, x - half):x + half + 1] = True
    rows, columns = np.nonzero(near & ~bad)
    values = pixels[rows, columns]
    if values.size < 12 * len(places) or np.ptp(values) == 0.0:
        return []

    def parts(at):
        stars = [psf.at(columns - x, rows - y) for x, y in at.reshape(-1, 2)]
        matrix = np.column_stack([*stars, np.ones(values.size)])
        fit = np.linalg.lstsq(matrix, values, rcond=None)[0]
        return fit, matrix @ fit - values

    first = np.array(places, dtype=float).ravel()
    result = least_squares(lambda at: parts(at)[1] / np.ptp(values), first, bounds=(first - 1.5, first + 1.5),
                           max_nfev=30)
    (*fluxes, _), residual = parts(result.x)
    height = max(fluxes) * psf.at(0.0, 0.0)
    if height <= 0.0 or math.sqrt(np.mean(residual**2)) > most * height:
        return []
    return [(float(x), float(y), float(flux))
            for (x, y), flux in zip(result.x.reshape(-1, 2), fluxes, strict=True)]


# -- matching -------------------------------------------------------------------------------------


def matching_kernel(source, target, scale):
    """Kernel, with sum 1, that converts a PSF to a broader one.

    Uses `photutils.psf_matching.make_wiener_kernel`.

    Parameters
    ----------
    source, target : Psf
        PSFs, in arcsec.
    scale : float
        Side of a pixel [arcsec].

    Returns
    -------
    `~numpy.ndarray`

    Raises
    ------
    ValueError
        If the target is sharper than the source.
    """
    from photutils.psf_matching import make_wiener_kernel

    if target.fwhm < source.fwhm:
        raise ValueError(f'the target must not be sharper than the source, received {target.fwhm:.3f} and '
                         f'{source.fwhm:.3f} arcsec')
    half = math.ceil(KERNEL_REACH / scale)
    # four times as wide, to avoid wrap-around
    wide = 4 * half
    kernel = make_wiener_kernel(*(psf.image(wide, scale) for psf in (source, target)),
                                regularization=_DAMPING)
    kernel = kernel[wide - half:wide + half + 1, wide - half:wide + half + 1]
    return kernel / kernel.sum()


# -- saturated stars ------------------------------------------------------------------------------


def rebuilt_cores(pixels, bad, cores, psf):
    """Reconstruct the light of saturated cores from the wings of their stars.

    A star and a constant level are fitted to the pixels within one full width at half maximum of each group
    of saturated pixels. A core is no fainter than the pixels beside it.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
    bad : `~numpy.ndarray` of bool
        Bad pixels, including the cores.
    cores : `~numpy.ndarray` of bool
        Saturated pixels.
    psf : Psf
        PSF, in pixels.

    Returns
    -------
    values : `~numpy.ndarray`
        The image, with reconstructed cores.
    known : `~numpy.ndarray` of bool
        The reconstructed pixels.
    """
    from scipy import ndimage

    values, known = pixels.copy(), np.zeros(pixels.shape, dtype=bool)
    labels, _ = ndimage.label(cores, structure=np.ones((3, 3)))
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        margin = math.ceil(psf.fwhm)
        window = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in box)
        core = labels[window] == number
        star = _star_around(pixels[window], bad[window], core, psf)
        if star is not None:
            values[window] = np.where(core, star, values[window])
            known[window] |= core
    return values, known


def _star_around(cutout, bad, core, psf):
    """Fit a star and a level to the surroundings of its core; None if there are too few pixels."""
    from scipy.optimize import least_squares

    y, x = np.nonzero(core)
    middle = np.array([x.mean(), y.mean()])
    rows, columns = np.indices(cutout.shape)
    distance = np.hypot(columns - middle[0], rows - middle[1])
    near = ~bad & (distance <= distance[core].max() + psf.fwhm)
    if np.count_nonzero(near) < 8:
        return None
    around = cutout[near]

    def parts(place):
        """A star at a position, with its best-fitting height and level."""
        shape = _moffat(columns - place[0], rows - place[1], psf.fwhm, psf.beta)
        matrix = np.column_stack([shape[near], np.ones(around.size)])
        return shape, np.linalg.lstsq(matrix, around, rcond=None)[0]

    def misfit(place):
        shape, (height, level) = parts(place)
        return (height * shape[near] + level - around) / np.ptp(around)

    if np.ptp(around) == 0.0:
        return None
    fit = least_squares(misfit, middle, bounds=(middle - psf.fwhm, middle + psf.fwhm), max_nfev=20)
    shape, (height, level) = parts(fit.x)
    beside = around[distance[near] <= distance[core].max() + 1.5]
    return np.maximum(height * shape + level, np.max(beside, initial=-np.inf))
