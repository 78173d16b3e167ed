# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What is measured on an image of a cluster before it is used: its centre and its background.

Everything here works on plain arrays [y, x]; bad pixels are told by a boolean array.
"""

import math

import numpy as np

__all__ = ['background_in_annulus', 'find_center']

_ACROSS = 20             # bins, at least, to the least diameter that a centre is the centroid of
_MOST = 200_000          # pixels of which a percentile is taken
_ROUNDS = 50             # of centroids at most


def find_center(pixels, bad, *, least):
    """Centre of the light of a cluster.

    Pixels brighter than 99 of 100 count as those, so that single giants do not decide. Small pixels are put
    together, so that 20 of them or a little more are as wide as ``least``. The first guess is the
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
    light = np.where(good, np.minimum(pixels, _percentile(pixels[good], 99.0)), 0.0)
    # no circle is larger than the image
    least = min(least, min(pixels.shape))
    size = max(1, int(least / _ACROSS))
    x, y = _center_of(*_binned(light, good, size), least / size)
    return (x + 0.5) * size - 0.5, (y + 0.5) * size - 0.5


def _center_of(light, good, least):
    """Centre of light that is no longer cut off."""
    frame = np.ones(light.shape, dtype=bool)
    edge = max(1, min(light.shape) // 20)
    frame[edge:-edge, edge:-edge] = False
    sky = np.median(light[good & frame]) if (good & frame).any() else -np.inf
    light = np.where(good, light - max(sky, np.percentile(light[good], 1.0)), 0.0)
    x, y = _brightest(light, good, least)
    rows, columns = np.indices(light.shape, dtype=float)
    for _ in range(_ROUNDS):
        separation = np.hypot(columns - x, rows - y)
        radius = max(0.5 * least, _half_light_radius(light, separation, 0.5 * min(light.shape)))
        new_x, new_y = _centroid(light, good, separation, radius, (x, y))
        moved = math.hypot(new_x - x, new_y - y)
        x, y = new_x, new_y
        if moved < 0.01:
            break
    return x, y


def _binned(light, good, size):
    """Means of the good pixels in squares, and which squares are good; the rest at the far edges is left."""
    if size == 1:
        return light, good
    ny, nx = (number // size for number in light.shape)
    total, number = (values[:ny * size, :nx * size].reshape(ny, size, nx, size).sum(axis=(1, 3), dtype=float)
                     for values in (light, good))
    enough = number > 0.5 * size**2
    return total / np.maximum(number, 1.0), enough if enough.any() else number > 0.0


def _percentile(values, percent):
    """Of many values some tell it."""
    return np.percentile(values[::max(1, values.size // _MOST)], percent)


def _brightest(light, good, sigma):
    from scipy.ndimage import gaussian_filter

    share = gaussian_filter(good.astype(float), sigma, mode='constant')
    smooth = gaussian_filter(light, sigma, mode='constant') / np.maximum(share, 0.2)
    # in a gap there is only what is beside it
    smooth[~good] = -np.inf
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

    inside = good & _mirrored(good, before) & (separation <= radius)
    edge = inside & (separation > 0.8 * radius)
    if inside.sum() < 10 or not edge.any():
        return before
    above = np.where(inside, light - np.mean(light[edge]), 0.0)
    if above.sum() <= 0.0:
        return before
    # noise must not throw it out of the circle
    x, y = (float(v) for v in centroid_com(np.maximum(above, 0.0)))
    return x, y


def _mirrored(good, center):
    """Where the pixel on the other side of a centre is good: without it, light on one side draws to it."""
    result = good
    for axis, at in zip((1, 0), center, strict=True):
        size = good.shape[axis]
        other = np.rint(2.0 * at - np.arange(size)).astype(int)
        there = (other >= 0) & (other < size)
        result = np.take(result, np.clip(other, 0, size - 1), axis=axis)
        result &= there if axis else there[:, np.newaxis]
    return result


def background_in_annulus(pixels, bad, center, inner, outer):
    """Level of the sky in an annulus, clipped at 3 sigma: `photutils.background.SExtractorBackground`.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
    bad : `~numpy.ndarray` of bool
    center : tuple of float
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
    separation = np.hypot(columns - center[0], rows - center[1])
    values = pixels[~bad & (separation >= inner) & (separation <= outer)]
    if values.size < 50:
        raise ValueError('the annulus of the background must have at least 50 good pixels, received '
                         f'{values.size}')
    clip = SigmaClip(sigma=3.0)
    level = float(SExtractorBackground(sigma_clip=clip)(values))
    return level, float(StdBackgroundRMS(sigma_clip=clip)(values)) / math.sqrt(values.size)
