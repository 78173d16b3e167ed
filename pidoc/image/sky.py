# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What is measured on an image of a cluster before it is used: its centre, its background, its seeing.

Everything here works on plain arrays [y, x]; bad pixels are told by a boolean array.
"""

import math

import numpy as np

__all__ = ['background_in_annulus', 'find_centre', 'measure_seeing']

_ROUNDS = 50             # of centroids at most
_BETA = 2.5               # of the Moffat function, as in `pidoc.mock`
_MOST_STARS = 30          # that are fitted
_FEWEST_STARS = 3         # that a seeing is measured with
_MISFIT = 0.15            # largest rms residual of a star in its peak
_SIDES = 3                # sub-pixels to a side that the model is integrated with


def find_centre(pixels, bad, *, least):
    """Centre of the light of a cluster.

    Pixels brighter than 99 of 100 count as those, so that single giants do not decide. The first guess is the
    brightest place of the image when it is smoothed with a Gaussian of sigma ``least``. Then the centroid
    (`photutils.centroids.centroid_com`) is taken of what, in a circle about it, is brighter than at the edge
    of the circle, until it stays. The circle holds half of the light of the image, but is as large as
    ``least``.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
        Proportional to light.
    bad : `~numpy.ndarray` of bool
    least : float
        Smallest diameter of the circle [pixels].

    Returns
    -------
    x, y : float
        Column and row, 0 is the middle of the first pixel.

    Raises
    ------
    ValueError
        If there is nothing to be found.
    """
    good = ~bad
    if not good.any() or np.ptp(pixels[good]) == 0.0:
        raise ValueError('no centre can be found where pixels are all bad, or all the same: give center')
    light = np.where(good, np.minimum(pixels, np.percentile(pixels[good], 99.0)), 0.0)
    frame = np.ones(pixels.shape, dtype=bool)
    edge = max(1, min(pixels.shape) // 20)
    frame[edge:-edge, edge:-edge] = False
    sky = np.median(light[good & frame]) if (good & frame).any() else -np.inf
    light = np.where(good, light - max(sky, np.percentile(light[good], 1.0)), 0.0)
    x, y = _brightest(light, good, least)
    rows, columns = np.indices(pixels.shape, dtype=float)
    for _ in range(_ROUNDS):
        separation = np.hypot(columns - x, rows - y)
        radius = max(0.5 * least, _half_light_radius(light, separation, 0.5 * min(pixels.shape)))
        new_x, new_y = _centroid(light, good, separation, radius, (x, y))
        moved = math.hypot(new_x - x, new_y - y)
        x, y = new_x, new_y
        if moved < 0.01:
            break
    return x, y


def _brightest(light, good, sigma):
    from scipy.ndimage import gaussian_filter

    share = gaussian_filter(good.astype(float), sigma, mode='constant')
    smooth = gaussian_filter(light, sigma, mode='constant') / np.maximum(share, 0.2)
    row, column = np.unravel_index(smooth.argmax(), smooth.shape)
    return float(column), float(row)


def _half_light_radius(light, separation, largest):
    """Of the light within the largest radius."""
    order = np.argsort(separation, axis=None)
    radii = separation.ravel()[order]
    inside = radii <= largest
    grown = np.cumsum(light.ravel()[order][inside])
    if grown.size == 0 or grown[-1] <= 0.0:
        return 0.0
    return float(radii[inside][np.argmax(grown >= 0.5 * grown[-1])])


def _centroid(light, good, separation, radius, before):
    """Centroid of what is brighter than at the edge of a circle."""
    from photutils.centroids import centroid_com

    inside = good & (separation <= radius)
    edge = inside & (separation > 0.8 * radius)
    if inside.sum() < 10 or not edge.any():
        return before
    above = np.where(inside, light - np.mean(light[edge]), 0.0)
    if above.sum() <= 0.0:
        return before
    # noise must not throw it out of the circle
    x, y = (float(v) for v in centroid_com(np.maximum(above, 0.0)))
    return x, y


def background_in_annulus(pixels, bad, centre, inner, outer):
    """Level of the sky in an annulus, clipped at 3 sigma: `photutils.background.SExtractorBackground`.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
    bad : `~numpy.ndarray` of bool
    centre : tuple of float
        Column and row.
    inner, outer : float
        Radii [pixels].

    Returns
    -------
    level, error : float
        Per pixel, and the standard deviation of a pixel over the root of their number.

    Raises
    ------
    ValueError
        If fewer than 50 good pixels are in the annulus.
    """
    from astropy.stats import SigmaClip
    from photutils.background import SExtractorBackground, StdBackgroundRMS

    rows, columns = np.indices(pixels.shape, dtype=float)
    separation = np.hypot(columns - centre[0], rows - centre[1])
    values = pixels[~bad & (separation >= inner) & (separation <= outer)]
    if values.size < 50:
        raise ValueError('the annulus of the background must have at least 50 good pixels, received '
                         f'{values.size}')
    clip = SigmaClip(sigma=3.0)
    level = float(SExtractorBackground(sigma_clip=clip)(values))
    return level, float(StdBackgroundRMS(sigma_clip=clip)(values)) / math.sqrt(values.size)


def measure_seeing(pixels, bad, *, expected=4.0):
    """Full width at half maximum of the stars of an image.

    A circular Moffat function with beta = 2.5, integrated over the pixels, and a level are fitted to the
    brightest peaks (`photutils.detection.find_peaks`) that stand alone. The median is over those that fit.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
        Proportional to light.
    bad : `~numpy.ndarray` of bool
    expected : float, optional
        Roughly what it is [pixels].

    Returns
    -------
    fwhm, scatter : float
        In pixels; the scatter from star to star. Both NaN if fewer than three stars fit.
    number : int
        Of stars that were used.
    """
    half = max(3, math.ceil(1.5 * expected))
    widths = []
    for x, y in _lone_peaks(pixels, bad, half):
        fwhm = _fit_star(pixels[y - half:y + half + 1, x - half:x + half + 1], expected)
        if fwhm is not None:
            widths.append(fwhm)
        if len(widths) == _MOST_STARS:
            break
    widths = np.array(widths)
    if widths.size >= _FEWEST_STARS:
        middle = np.median(widths)
        spread = 1.4826 * np.median(np.abs(widths - middle))
        widths = widths[np.abs(widths - middle) <= max(3.0 * spread, 0.05 * middle)]
    if widths.size < _FEWEST_STARS:
        return math.nan, math.nan, int(widths.size)
    return float(np.median(widths)), float(np.std(widths)), int(widths.size)


def _lone_peaks(pixels, bad, half):
    """Columns and rows of peaks with no brighter neighbour, brightest first."""
    from photutils.detection import find_peaks

    good = pixels[~bad]
    if good.size == 0:
        return []
    sky = np.median(good)
    noise = 1.4826 * np.median(np.abs(good - sky))
    filled = np.where(bad, sky, pixels)
    with np.errstate(invalid='ignore'):
        import warnings
        with warnings.catch_warnings():
            # it warns where it finds nothing
            warnings.simplefilter('ignore')
            peaks = find_peaks(filled, sky + max(10.0 * noise, 1e-12 * abs(sky)), box_size=2 * half + 1)
    if peaks is None:
        return []
    peaks.sort('peak_value', reverse=True)
    ny, nx = pixels.shape
    found = []
    for x, y in zip(np.asarray(peaks['x_peak']), np.asarray(peaks['y_peak'])):
        inside = half <= x < nx - half and half <= y < ny - half
        if inside and not bad[y - half:y + half + 1, x - half:x + half + 1].any():
            found.append((int(x), int(y)))
    return found[:3 * _MOST_STARS]


def _fit_star(cutout, expected):
    """FWHM in pixels, None if it is no lone star."""
    from scipy.optimize import least_squares

    half = cutout.shape[0] // 2
    level = np.median(cutout)
    peak = cutout[half, half] - level
    if not peak > 0.0:
        return None
    line = np.arange(-half, half + 1)
    inside = (np.arange(_SIDES) + 0.5) / _SIDES - 0.5
    fine = (line[:, np.newaxis] + inside).ravel()
    values = (cutout - level) / peak

    def model(parameters):
        height, x, y, fwhm, low = parameters
        core = 0.5 * fwhm / math.sqrt(2.0 ** (1.0 / _BETA) - 1.0)
        square = ((fine - x)**2 + ((fine - y)**2)[:, np.newaxis]) / core**2
        star = (1.0 + square) ** -_BETA
        return height * star.reshape(line.size, _SIDES, line.size, _SIDES).mean(axis=(1, 3)) + low

    fit = least_squares(lambda parameters: (model(parameters) - values).ravel(),
                        (1.0, 0.0, 0.0, expected, 0.0), max_nfev=40,
                        bounds=((0.0, -2.0, -2.0, 0.3, -1.0), (50.0, 2.0, 2.0, 4.0 * half, 1.0)))
    height, _, _, fwhm, _ = fit.x
    misfit = math.sqrt(2.0 * fit.cost / values.size)
    return float(fwhm) if height > 0.2 and misfit < _MISFIT and fwhm < 2.0 * half else None
