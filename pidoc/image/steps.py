# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Steps of the level of an image from one column or row to the next: `find_steps`.

Light that a PSF has smoothed makes none that runs through the whole image. Two of opposite sign enclose a
band of bad columns, and one near an edge an overscan or a part that was not exposed; any other is between two
amplifiers of a detector, or chips, of different level.
"""

import warnings

import numpy as np

__all__ = ['find_steps']

_PARTS = 6                 # of a column: the step must be the same in each
_MOST_ROWS = 64            # rows of each, at most, that are used
_FEWEST_ROWS = 8           # good ones of each, at least
_CLEAR, _PERHAPS = 8.0, 5.0         # standard errors of a step, at least, and of the other one of a band
# of a part, and the parts with so clear a step; others are full of stars
_CLEAR_PART, _CLEAR_IN = 2.0, 4
_UNLIKE = 3.0, 0.6         # largest difference of a part: standard errors, and relative to the step
_BESIDE = 0.2              # differences of the next columns, relative to the step, at most
_OF_TWO = 1.15             # error of the difference to the median of five, relative to that of one
_SAME = 0.3                # relative difference of the two steps of a band
_WIDEST = 0.15             # share of the columns in bands, at most


def find_steps(pixels, good):
    """Find steps between columns and between rows, and the bands that two of them enclose.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
    good : `~numpy.ndarray` of bool

    Returns
    -------
    bands : `~numpy.ndarray` of bool
        Pixels of bands that are higher or lower than what is on both sides, by the same, or on one at an
        edge.
    single : tuple of tuple
        All other steps: 'column' or 'row', the number of the first one on the new level, and the difference.
    """
    bands, single = np.zeros(pixels.shape, dtype=bool), ()
    for name, turned, fine, its in (('column', pixels, good, bands), ('row', pixels.T, good.T, bands.T)):
        steps, perhaps = _steps(turned, fine)
        found = _enclosed(steps, perhaps, turned.shape[1])
        # more of them are a pattern of the detector
        if sum(last - first for first, last in found) <= _WIDEST * turned.shape[1]:
            for first, last in found:
                its[:, first:last] = True
                steps = steps - {first, last}
        single += tuple((name, at, perhaps[at]) for at in sorted(steps))
    return bands, single


def _steps(pixels, good):
    """Steps between columns: the first column after each; and the sizes of those that may be some."""
    ny, nx = pixels.shape
    if ny < _PARTS * _FEWEST_ROWS or nx < 8:
        return set(), {}
    sizes, errors = np.array([_jumps(pixels[part], good[part]) for part in _parts(ny)]).swapaxes(0, 1)
    with np.errstate(divide='ignore', invalid='ignore'):
        weights = errors**-2.0
        total = np.sum(weights, axis=0)
        size = np.sum(weights * sizes, axis=0) / total
        # comparisons with NaN, where nothing is known, are False
        clear = np.abs(size) * total**0.5
    perhaps = (clear > _PERHAPS) & np.all(
        np.abs(sizes - size) < _UNLIKE[0] * errors + _UNLIKE[1] * np.abs(size), axis=0)
    # the wings of a trail along columns, say, are no steps
    beside = np.maximum(np.abs(np.roll(size, 1)), np.abs(np.roll(size, -1)))
    perhaps &= beside < _BESIDE * np.abs(size) + _UNLIKE[0] * total**-0.5
    its = perhaps & (clear > _CLEAR) & (
        np.count_nonzero(np.sign(size) * sizes > _CLEAR_PART * errors, axis=0) >= _CLEAR_IN)
    return ({int(at) + 3 for at in np.flatnonzero(its)},
            {int(at) + 3: float(size[at]) for at in np.flatnonzero(perhaps)})


def _parts(ny):
    """Rows of each part of a column."""
    ends = np.linspace(0, ny, _PARTS + 1).astype(int)
    return [slice(first, last, -(-(last - first) // _MOST_ROWS)) for first, last in zip(ends[:-1], ends[1:])]


def _jumps(pixels, good):
    """Median difference of neighbouring columns, beyond that of others around, and its standard error."""
    differences = np.where(good[:, 1:] & good[:, :-1], np.diff(pixels, axis=1), np.nan)
    number = np.count_nonzero(np.isfinite(differences), axis=0)
    with warnings.catch_warnings():
        # of columns without good pixels
        warnings.simplefilter('ignore', RuntimeWarning)
        middle = np.nanmedian(differences, axis=0)
        scatter = 1.4826 * np.nanmedian(np.abs(differences - middle), axis=0)
    middle[number < _FEWEST_ROWS] = np.nan
    error = 1.253 * scatter / np.sqrt(np.maximum(number, 1))
    # of a gradient there is as much beside
    around = np.median([middle[k:middle.size - 4 + k] for k in range(5)], axis=0)
    return middle[2:-2] - around, _OF_TWO * error[2:-2]


def _enclosed(steps, sizes, nx):
    """First column of each band, and the one after its last: two steps, one certain, or one and an edge."""
    found, edges = [], sorted(sizes)
    for first, last in zip(edges[:-1], edges[1:]):
        if (steps & {first, last} and (not found or found[-1][1] <= first)
                and abs(sizes[first] + sizes[last]) < _SAME * max(abs(sizes[first]), abs(sizes[last]))):
            found.append((first, last))
    alone = sorted(steps - {at for band in found for at in band})
    if alone and alone[0] <= _WIDEST * nx and alone[0] == edges[0]:
        found.append((0, alone.pop(0)))
    if alone and nx - alone[-1] <= _WIDEST * nx and alone[-1] == edges[-1]:
        found.append((alone[-1], nx))
    return found
