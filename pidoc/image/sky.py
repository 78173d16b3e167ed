# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Measure the centre and the background of an image of a cluster.

All functions take plain arrays [y, x]; bad pixels are given by a boolean array.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from pidoc.cluster.king import core_radius, king_structure, king_surface_density

__all__ = ['background_in_annulus', 'concentration', 'find_center', 'fit_sky', 'half_light_radius', 'SkyFit']

_BOX = 2.0               # arcsec, side of the boxes for the faint light
_INNERMOST = 4.0         # arcsec, radius of the disk inside the annuli
_ANNULI, _SECTORS = 12, 6
_FEWEST_BOXES = 12       # least number in an annulus
_FAINT = 25.0            # percentile of the boxes that defines the faint light
_BELOW = 0.674           # standard deviations of that percentile below the mean, in noise
_UNLIKE = 0.05, 0.1      # relative model error of the faint light: in the catalogue, or not
_SYSTEMATIC = 0.008      # systematic error of a level, relative to the light in the field
_CORES = np.geomspace(2.0, 300.0, 26)          # arcsec
_CONCENTRATIONS = np.linspace(0.5, 2.6, 15)
_USUAL = 1.5, 0.5        # concentration of globular clusters (Harris 2010): mean and standard deviation
_POWERS = (1.0, 1.5, 2.0, 2.5)                 # of the profiles of young clusters
_CATALOGUED = 0.2, 0.15  # catalogue errors of the core radius (its logarithm) and concentration
_POTENTIALS = tuple(0.5 * k for k in range(2, 30))   # W_0 of the King (1966) models
_WRONG = 4.0             # log prior penalty for profiles that differ from the catalogue
_LIKELY = 0.1            # standard deviation of the prior of the sky, relative to the light in the field
_ACROSS = 14             # bins, at least, across the smallest aperture of the centroid
_MOST = 200_000          # pixels, at most, for a percentile
_CELL = 4.0              # arcsec, side of the cells for the concentration of the light
_FEWEST_CELLS = 20
_ROUNDS = 50             # iterations of the centroid at most
_RING = 4.47             # arcsec, radius of a circle with the area of a ring of the field
_FINE = 1.0              # arcsec, side of the boxes for the half-light radius
_EDGE = 0.85             # inner radius of the edge of its circle, relative to the outer one


def find_center(pixels, bad, *, least):
    """Find the centre of the light of a cluster.

    Pixels are clipped at the 99th percentile, so that single giants do not dominate. Small pixels are binned,
    to 14 or a little more across ``least``. The first guess is the brightest position of the image smoothed
    with a Gaussian of sigma ``least``. Then the centroid (`photutils.centroids.centroid_com`) of the light
    above that at the edge of a circular aperture is iterated until it converges. The aperture contains half
    of the light of the image, and is at least ``least`` wide.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
        Image, proportional to light.
    bad : `~numpy.ndarray` of bool
    least : float
        Smallest diameter of the aperture [pixels].

    Returns
    -------
    x, y : float
        Column and row; 0 is the centre of the first pixel.

    Raises
    ------
    ValueError
        If there is nothing to be found.
    """
    good = ~bad
    if not good.any() or np.ptp(pixels[good]) == 0.0:
        raise ValueError('no centre can be found where pixels are all bad, or all the same: give center')
    light = np.where(good, np.minimum(pixels, _percentile(pixels[good], 99.0)), 0.0)
    # no aperture is larger than the image
    least = min(least, min(pixels.shape))
    size = max(1, int(least / _ACROSS))
    x, y = _center_of(*_binned(light, good, size), least / size)
    return (x + 0.5) * size - 0.5, (y + 0.5) * size - 0.5


def _center_of(light, good, least):
    """Centre of clipped light."""
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
    """Means of the good pixels in squares, and the good squares; remainders at the far edges are dropped."""
    if size == 1:
        return light, good
    means, share = _squares(light, good, size)
    enough = share > 0.5
    return means, enough if enough.any() else share > 0.0


def _squares(light, good, size):
    """Means of the good pixels in squares, and their share of the pixels; the light is 0 in bad ones."""
    ny, nx = (number // size for number in light.shape)
    total, number = (values[:ny * size, :nx * size].reshape(ny, size, nx, size).sum(axis=(1, 3), dtype=float)
                     for values in (light, good))
    return total / np.maximum(number, 1.0), number / size**2


def _separations(shape, center, size, scale):
    """Distances [arcsec] of the middles of squares of pixels from a centre, given in pixels."""
    rows, columns = np.indices(shape)
    x, y = ((at + 0.5) / size - 0.5 for at in center)
    return np.hypot(columns - x, rows - y) * size * scale


def _percentile(values, percent):
    """Percentile, from a subset if there are many values."""
    return np.percentile(values[::max(1, values.size // _MOST)], percent)


def _brightest(light, good, sigma):
    from scipy.ndimage import gaussian_filter

    share = gaussian_filter(good.astype(float), sigma, mode='constant')
    smooth = gaussian_filter(light, sigma, mode='constant') / np.maximum(share, 0.2)
    # in a gap the smoothed light is only that of its surroundings
    smooth[~good] = -np.inf
    row, column = np.unravel_index(smooth.argmax(), smooth.shape)
    return float(column), float(row)


def half_light_radius(pixels, bad, center, scale, *, largest):
    """Radius of half of the light of a cluster within a circle, above the median at its edge.

    It is a lower limit for clusters that fill the circle, whose light at its edge passes for sky.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
        Proportional to light.
    bad : `~numpy.ndarray` of bool
    center : tuple of float
        Column and row.
    scale : float
        Side of a pixel [arcsec].
    largest : float
        Radius of the circle [arcsec].

    Returns
    -------
    float
        [arcsec]; 0 without light above that at the edge.

    Examples
    --------
    >>> import numpy as np
    >>> from pidoc.image.sky import half_light_radius
    >>> y, x = np.mgrid[:160, :160] - 79.5
    >>> light = np.exp(-(x**2 + y**2) / (2 * 12**2)) + 0.1
    >>> print(f'{half_light_radius(light, light < 0, (79.5, 79.5), 0.5, largest=40.0):.1f}')
    7.1
    """
    size = max(1, int(_FINE / scale))
    light, good = _binned(np.where(bad, 0.0, pixels), ~bad, size)
    separation = _separations(light.shape, center, size, scale)
    edge = good & (separation > _EDGE * largest) & (separation <= largest)
    if not edge.any():
        return 0.0
    return _half_light_radius(np.where(good, light - np.median(light[edge]), 0.0), separation, largest)


def _half_light_radius(light, separation, largest):
    """Half-light radius of the light within the largest radius."""
    order = np.argsort(separation, axis=None)
    radii = separation.ravel()[order]
    inside = radii <= largest
    grown = np.cumsum(light.ravel()[order][inside])
    if grown.size == 0 or grown[-1] <= 0.0:
        return 0.0
    return float(radii[inside][np.argmax(grown >= 0.5 * grown[-1])])


def _centroid(light, good, separation, radius, before):
    """Centroid of the light above that at the edge of an aperture."""
    from photutils.centroids import centroid_com

    inside = good & _mirrored(good, before) & (separation <= radius)
    edge = inside & (separation > 0.8 * radius)
    if inside.sum() < 10 or not edge.any():
        return before
    above = np.where(inside, light - np.mean(light[edge]), 0.0)
    if above.sum() <= 0.0:
        return before
    # noise must not move it out of the aperture
    x, y = (float(v) for v in centroid_com(np.maximum(above, 0.0)))
    return x, y


def _mirrored(good, center):
    """Pixels whose counterpart opposite the centre is good too: gaps on one side would shift the centroid."""
    result = good
    for axis, at in zip((1, 0), center, strict=True):
        size = good.shape[axis]
        other = np.rint(2.0 * at - np.arange(size)).astype(int)
        there = (other >= 0) & (other < size)
        result = np.take(result, np.clip(other, 0, size - 1), axis=axis)
        result &= there if axis else there[:, np.newaxis]
    return result


def concentration(pixels, bad, center, scale, *, outermost=90.0):
    """By how many standard deviations the light is seen to be concentrated about a centre.

    That of Spearman's rank correlation of the light in cells of 4 arcsec with their nearness: without a
    cluster it is 0 with a scatter of 1 to 1.4, however bright some stars are.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
        Proportional to light.
    bad : `~numpy.ndarray` of bool
    center : tuple of float
        Column and row.
    scale : float
        Side of a pixel [arcsec].
    outermost : float, optional
        Largest distance from the centre [arcsec].

    Returns
    -------
    float
        NaN where there are fewer than 20 cells, at least half of each good.

    Examples
    --------
    >>> import numpy as np
    >>> from pidoc.image.sky import concentration
    >>> y, x = np.mgrid[:80, :80] - 39.5
    >>> light = np.exp(-np.hypot(x, y) / 10)
    >>> round(concentration(light, light < 0, (39.5, 39.5), 0.5), 1)
    9.9
    """
    size = max(1, round(_CELL / scale))
    light, share = _squares(np.where(bad, 0.0, pixels), ~bad, size)
    away = _separations(light.shape, center, size, scale)
    seen = (share >= 0.5) & (away < outermost)
    if np.count_nonzero(seen) < _FEWEST_CELLS:
        return math.nan
    ranks = [_ranks(values[seen]) for values in (light, -away)]
    if np.ptp(ranks[0]) == 0.0:
        return 0.0
    return float(np.corrcoef(ranks)[0, 1]) * math.sqrt(np.count_nonzero(seen) - 1.0)


def _ranks(values):
    """Ranks from 0; equal values have that in their middle."""
    _, place, number = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(number) - 0.5 * (number + 1.0))[place.ravel()]


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
        Level per pixel, and the standard deviation of a pixel over the square root of their number.

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


# -- the sky fitted with a model of the cluster -----------------------------------------------------


@dataclass(frozen=True)
class SkyFit:
    """The sky level fitted together with a model of the cluster, by `fit_sky`.

    Parameters
    ----------
    level, error : float
        Level per pixel: mean and standard deviation of its posterior.
    """

    level: float
    error: float


def fit_sky(pixels, bad, center, scale, *, reach, noise=0.0, outermost=90.0, known=None):
    """Fit the sky level in an image of a cluster, which may fill it, with profiles plus a constant.

    The fit is to the faint light: the 25th percentile, in each annulus, of the means of boxes of 2 arcsec. It
    contains few giants, which make most of the scatter of the light, but all of the sky. The models are the
    profiles of King (1962, AJ 67, 471), I ~ (1 / sqrt(1 + (r / r_c)^2) - 1 / sqrt(1 + (r_t / r_c)^2))^2, and
    of Elson, Fall & Freeman (1987, ApJ 323, 54), I ~ (1 + (r / a)^2)^-power; with ``known`` above all the
    models of King (1966, AJ 71, 64) about the catalogued one. The level is the mean over all
    of them, weighted by their likelihoods, with flat priors for the light in the field and the logarithm of
    the radius. The prior of the sky is 0 +- 10 % of the light in the field; if the faintest of the faint
    light is more than half of that light, the width is the faintest. The sky is not above the faintest.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
    bad : `~numpy.ndarray` of bool
    center : tuple of float
        Column and row.
    scale : float
        Side of a pixel [arcsec].
    reach : float
        Radius of the field [arcsec].
    noise : float, optional
        Standard deviation of the noise of a pixel.
    outermost : float, optional
        Largest radius that is used [arcsec].
    known : tuple of float, optional
        Core radius [arcsec] and concentration log10(r_t / r_c) of the cluster from a catalogue.

    Returns
    -------
    SkyFit or None
        None if there are fewer than three annuli, or no light in them.
    """
    light = _faint_light(pixels, bad, center, scale, noise, reach, outermost, _UNLIKE[known is None])
    if light is None:
        return None
    radius, faint, error, field = light
    # enough rings that the innermost is inside every profile
    rings = max(20, math.ceil((reach / _RING) ** 2))
    within = reach * np.sqrt((np.arange(rings) + 0.5) / rings)
    models, prior = _profiles(np.concatenate([radius, within]), known)
    models, weight = models[:, :radius.size], prior + np.log(models[:, radius.size:].mean(axis=1))
    usable = (models**2).sum(axis=1) > 1e-8
    models, weight = models[usable], weight[usable]
    most = float(np.min(faint + 2.0 * error))
    # without sky subtraction it may be most of the light
    width = _LIKELY * abs(field) if abs(most) < 0.5 * abs(field) else abs(most)
    low, high = -4.0 * width, most
    for _ in range(5):
        levels = np.linspace(low, high, 161)
        chance = _chances(models, weight, faint, error, levels) - 0.5 * (levels / width) ** 2
        chance = np.exp(chance - chance.max())
        chance /= chance.sum()
        mean = float(chance @ levels)
        spread = math.sqrt(float(chance @ (levels - mean) ** 2))
        step = levels[1] - levels[0]
        if spread > 4.0 * step:
            break
        low, high = mean - 6.0 * max(spread, step), min(most, mean + 6.0 * max(spread, step))
    return SkyFit(mean, math.hypot(max(spread, step), _SYSTEMATIC * (field - mean)))


def _faint_light(pixels, bad, center, scale, noise, reach, outermost, unlike):
    """Radii, faint light with errors in annuli, and the mean light; None if there are too few annuli."""
    size = min(max(1, round(_BOX / scale)), min(pixels.shape) // _ANNULI)
    if size < 1:
        return None
    ny, nx = (number // size for number in pixels.shape)
    good = ~bad
    total, number = (values[:ny * size, :nx * size].reshape(ny, size, nx, size).sum(axis=(1, 3))
                     for values in (np.where(good, pixels, 0.0), good))
    rows, columns = np.nonzero(number > 0.5 * size**2)
    boxes = total[rows, columns] / number[rows, columns]
    down, right = ((place + 0.5) * size - 0.5 - at
                   for place, at in ((rows, center[1]), (columns, center[0])))
    radius = np.hypot(down, right) * scale
    if boxes.size < 3 * _FEWEST_BOXES:
        return None
    edges = np.geomspace(min(_INNERMOST, 0.2 * radius.max()), 1.0001 * min(outermost, radius.max()), _ANNULI)
    sector = np.floor((np.arctan2(down, right) / (2.0 * math.pi) + 0.5) * _SECTORS).astype(int) % _SECTORS
    annuli = _faint_light_of_annuli(boxes, radius, sector, edges)
    if len(annuli) < 3:
        return None
    radius, faint, error = np.array(annuli).T
    # too uncertain in one annulus: assume the same relative error of the light, and the same noise, in all
    above = faint - faint.min()
    typical = np.maximum(above, np.median(above))
    # most annuli have the same light where an image is cut off at 0
    seen = typical > 0.0
    share = math.hypot(np.median(error[seen] / typical[seen]) if seen.any() else 0.0, unlike)
    field = float(boxes[np.hypot(down, right) * scale < max(edges[0], reach)].mean())
    least = max(float(np.median(error[-4:])), 1e-4 * max(float(np.abs(faint).max()), abs(field)))
    if least == 0.0:
        # no light at all
        return None
    return radius, faint + _BELOW * noise / size, np.hypot(least, share * above), field


def _faint_light_of_annuli(boxes, radius, sector, edges):
    """Mean radius, faint light, and its error from the scatter of sectors, of annuli with enough boxes."""
    annulus = np.searchsorted(edges, radius, side='right')
    result = []
    for k in range(_ANNULI):
        its = annulus == k
        parts = [np.percentile(boxes[its & (sector == j)], _FAINT) for j in range(_SECTORS)
                 if np.count_nonzero(its & (sector == j)) >= _FEWEST_BOXES // 2]
        if np.count_nonzero(its) >= _FEWEST_BOXES and len(parts) >= 3:
            result.append((radius[its].mean(), np.percentile(boxes[its], _FAINT),
                           np.std(parts, ddof=1) / math.sqrt(len(parts))))
    return result


def _profiles(radius, known):
    """Profiles at radii, with central value 1, and the logarithms of their prior probabilities."""
    cores, concentrations = (grid.ravel() for grid in np.meshgrid(_CORES, _CONCENTRATIONS))
    end = 1.0 / np.sqrt(1.0 + 100.0**concentrations)[:, np.newaxis]
    king = np.maximum(1.0 / np.sqrt(1.0 + (radius / cores[:, np.newaxis]) ** 2) - end, 0.0) / (1.0 - end)
    others = [(1.0 + (radius / _CORES[:, np.newaxis]) ** 2) ** -power for power in _POWERS]
    models = np.vstack([king**2, *others])
    prior = np.concatenate([-0.5 * ((concentrations - _USUAL[0]) / _USUAL[1]) ** 2,
                            np.zeros(len(_POWERS) * _CORES.size)])
    if known is None:
        return models, prior
    # the others in case the cluster differs from the catalogue
    catalogued, probable = _catalogued(radius, *known)
    return np.vstack([catalogued, models]), np.concatenate([probable, prior - _WRONG])


def _catalogued(radius, core, concentration):
    """King (1966) models about those of a catalogue, and the logarithms of their prior probabilities."""
    # few of the models, since each takes a twentieth of a second
    ends = (concentration + sign * 2.5 * _CATALOGUED[1] for sign in (-1.0, 1.0))
    first, last = (bisect_left(_POTENTIALS, end, key=_concentration) for end in ends)
    first = min(first, len(_POTENTIALS) - 1)
    models, prior = [], []
    for w0 in _POTENTIALS[first:max(last, first + 1)]:
        wrong = (_concentration(w0) - concentration) / _CATALOGUED[1]
        place, density = king_surface_density(w0)
        unit = core / core_radius(w0)
        for factor in np.linspace(-2.5, 2.5, 11):
            away = radius / (unit * np.exp(_CATALOGUED[0] * factor))
            models.append(np.interp(away, place, density, right=0.0))
            prior.append(-0.5 * (factor**2 + wrong**2))
    return np.array(models), np.array(prior)


def _concentration(w0):
    return king_structure(w0).concentration


def _chances(models, weight, faint, error, levels):
    """Log likelihood of levels, marginalised over all models, each with its best-fitting height."""
    exact = 1.0 / error**2
    square = (models**2) @ exact
    along = (models @ (exact * faint))[:, np.newaxis] - np.outer(models @ exact, levels)
    misfit = exact @ faint**2 - 2.0 * levels * (exact @ faint) + levels**2 * exact.sum()
    misfit = misfit - along**2 / square[:, np.newaxis]
    # integral over the height of a model about the best one
    each = (weight - 0.5 * np.log(square))[:, np.newaxis] - 0.5 * misfit
    each = np.where(along > 0.0, each, -np.inf)
    top = each.max()
    return np.log(np.exp(each - top).sum(axis=0) + 1e-300) + top
