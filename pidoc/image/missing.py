# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Find unmarked pixels without valid data: `find_missing`.

Files mark pixels without data, or spoiled ones, in many ways that no header documents: by -99, -32768, 65535
or 1e30, by exact zeros, or by the saturation level of the detector; cosmic rays and hot pixels are not marked
at all. They are recognised by properties that light with noise cannot have: exactly repeated values, values
far below all pixels around, or structure sharper than the point spread function.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from pidoc.image.steps import find_steps
from pidoc.image.zero_points import header_number

__all__ = ['KINDS', 'Missing', 'find_cosmic_rays', 'find_flat_tops', 'find_missing', 'noise_of',
           'smoothed_over', 'without_sides']

KINDS = {
    'sentinel': 'a value for no data, repeated or far below the sky',
    'zero': 'exactly zero among noise',
    'dead': 'far below all pixels around',
    'saturated': 'at the ceiling of the detector, or zero in the middle of a star',
    'cosmic': 'sharper than the point spread function: cosmic rays, hot pixels and columns',
}
"""Kinds of pixels without valid data, with descriptions."""

_FEWEST_GOOD = 25          # pixels needed for any statistics
_MOST_SORTED = 1_000_000    # pixels
_ONE_PER_CENT = 2.33       # standard deviations below the mean of the first percentile
_FEWEST = 8                # equal values, at least, of a sentinel
_OFTEN = 8                 # times as frequent as neighbouring values
_BESIDE = 8                # neighbouring values on either side
_SOLID = 6, 36             # side of a square, and length of a line, of one value, that noise does not make
_AMONG = 0.6               # share of that value in the pixels around, beyond which it may
_SPECKS = 0.005            # share of other values within, beyond which it is no gap
_FEW_OTHERS = 0.01         # share of other values, below which the repeated one is the sky
_MOST_SOLID = 10           # values with such regions: more are blocks of a compression
_FAR = 20.0                # standard deviations below the sky, too low for any light
_ABSURD = 1e15             # larger than values in any unit of photons
_CLEAR = 10.0              # standard deviations of the noise, of a significant difference
_FAINTEST = 0.1            # share of the pixels that are faint where a cluster fills what is not cut off
_BELOW, _JUST_ABOVE = 0.01, 0.06    # shares of pixels below a value, and above by less than the noise
_GRAINS = 0.1              # share of extremes in a row, from which on there are stars or noise
_STEP = 0.1                # light at the edge of a gap, relative to the median, at least
_TURNS = 0.4               # share of extremes in a row, from which on there is noise
_FOURTH_TURNS = 0.7        # likewise of fourth differences that change their sign, in the faintest pixels
_ROUNDING = 1e-5           # fourth differences, relative to the light, that rounding may make
_SATURATED = 0.98          # share of the saturation level of the header
_CEILINGS = ('SATURATE', 'SATLEVEL', 'SATURATA', 'SATURATB', 'DATAMAX', 'MAXLIN')
_MOST_SATURATED = 0.2      # share of pixels above the level, beyond which it is wrong
_SCATTERS = 0.01, 0.02, 0.05, 0.1       # half widths of a scattered ceiling, relative to it
_FEWEST_FLAT = 12          # pixels of flat tops, at least: two stars that touch have 8
_SEVERAL = 3               # stars with them, at least, where no PSF is known
# times as many as just below, and as stars of the PSF have there, or as just below without a PSF
_PILED = 2.0, 3.0
_ABOVE = 0.1               # brighter pixels, at most, relative to them
_PER_STAR = 1.133          # FWHM^2 of a Gaussian, pixels whose light differs by a factor of e
_WING = 0.01               # light beside the saturated middle of a star, relative to the ceiling, at least
_DEAD = 0.2                # largest light of a dead pixel, relative to its faintest neighbour
_SHARP = 0.6               # least light beside a star's peak, relative to that expected
_NARROWEST = 1.3           # pixels, FWHM below which a star looks like a cosmic ray
_SIDELESS = 0.05           # light beside a peak, relative to it, below which it is no star of any PSF
_LINE = 64                 # pixels in a row among which those of a hot column are counted: more than any PSF
_LINED = 0.7               # share of them that must be brighter than both sides
# width of a line, and how many times as bright as its sides it must be: more than a trail as wide as stars
_LINE_SIDES = (1, 2.0), (2, 6.0)
_MOST_LINES = 0.15         # share of the columns, beyond which they are a pattern of the detector


@dataclass(frozen=True, eq=False)
class Missing:
    """Pixels without valid data, found by `find_missing`.

    Parameters
    ----------
    kinds : dict
        Kind, one of `KINDS`, -> array of bool.
    values : tuple of float
        The sentinel values.
    base, noise : float
        A level below which the sky rarely is, and the standard deviation of the noise.
    noisy : bool
        Whether the image has noise.
    steps : tuple of tuple
        Steps of the level, by `~pidoc.image.steps.find_steps`.
    """

    kinds: dict
    values: tuple = ()
    base: float = 0.0
    noise: float = 0.0
    noisy: bool = False
    steps: tuple = ()

    @classmethod
    def none(cls, shape):
        """The result for an image in which nothing is missing."""
        return cls({kind: np.zeros(shape, dtype=bool) for kind in KINDS})

    @property
    def mask(self):
        """All missing pixels: array of bool."""
        return np.logical_or.reduce(list(self.kinds.values()))

    def counts(self, part=(slice(None), slice(None))):
        """The number of each kind found, in a part of the image: dict."""
        counts = {kind: int(np.count_nonzero(where[part])) for kind, where in self.kinds.items()}
        return {kind: number for kind, number in counts.items() if number}

    def text(self, part=(slice(None), slice(None))):
        """The counts as text, such as '300 sentinel (-999), 12 saturated'."""
        values = f' ({", ".join(f"{value:g}" for value in self.values)})' if self.values else ''
        return ', '.join(f'{number} {kind}{values if kind == "sentinel" else ""}'
                         for kind, number in self.counts(part).items())


def find_missing(pixels, bad, *, header=None):
    """Find pixels without valid data, except those that are recognised by the PSF.

    See `find_cosmic_rays` and `find_flat_tops` for these.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
        Pixels as stored, not magnitudes.
    bad : `~numpy.ndarray` of bool
        Known bad pixels, which are ignored.
    header : mapping, optional
        Header, from which the saturation level is read: SATURATE, SATLEVEL, SATURATA, SATURATB, DATAMAX or
        MAXLIN, a number or text of one.

    Returns
    -------
    Missing

    Examples
    --------
    >>> import numpy as np
    >>> from pidoc.image.missing import find_missing
    >>> pixels = np.random.default_rng(1).normal(0.0, 5.0, (50, 50))
    >>> pixels[:, 20] = -99.0
    >>> find_missing(pixels, np.zeros((50, 50), dtype=bool)).text()
    '50 sentinel (-99)'
    """
    kinds = Missing.none(pixels.shape).kinds
    good = ~bad & np.isfinite(pixels)
    pixels = _finite(pixels)
    kinds['sentinel'] |= good & (np.abs(pixels) > _ABSURD)
    good &= ~kinds['sentinel']
    # of large images some rows are enough
    some = slice(None, None, -(-pixels.size // _MOST_SORTED))
    values = np.sort(pixels[some][good[some]])
    if values.size < _FEWEST_GOOD or values[0] == values[-1]:
        return Missing(kinds)
    solid = _solid_regions(pixels, good)
    # where an image is cut off, much of its sky has the value of a region
    others = good & ~np.isin(pixels, list(solid))
    if solid and (_sharply_cut(pixels, others, solid) or np.mean(others[good]) > _FEW_OTHERS and (
            noise_of(pixels, others)[1] or _noise_beside_gaps(pixels, others, list(solid)))):
        for value, where in solid.items():
            kinds['zero' if value == 0.0 else 'sentinel'] |= where
            good &= ~where
        values = np.sort(pixels[some][good[some]])
        if values.size < _FEWEST_GOOD or values[0] == values[-1]:
            return Missing(kinds)
    else:
        solid = {}
    plateaus, rest = _plateaus(values)
    if 0.0 in plateaus and values[0] == 0.0 and _scattered(pixels == 0.0, good):
        # of so few photons that most pixels have none
        plateaus, rest = [], values
    low, base, middle = (float(rest[int(share * rest.size)]) for share in (0.01, 0.05, 0.5))
    noise, noisy = noise_of(pixels, good & ~np.isin(pixels, plateaus) if plateaus else good)
    found = _find_values(kinds, pixels, good, plateaus, rest, (middle, low, noise, noisy))
    found = sorted({*found, *(value for value in solid if value != 0.0)})
    good &= ~kinds['zero']
    spread = max((middle - low) / _ONE_PER_CENT, noise, _step(np.unique(rest)))
    kinds['sentinel'] |= good & (pixels < middle - _FAR * spread)
    good &= ~kinds['sentinel']
    _find_saturated(kinds, pixels, good, header or {})
    steps = ()
    noisy = noisy or (noise > 0.0 and _noise_on_light(pixels[_rows(pixels)], good[_rows(pixels)]))
    if noisy:
        _find_ceiling(kinds, pixels, good, plateaus, rest, middle + _CLEAR * noise)
        _find_holes(kinds, pixels, good, bad, (middle, base, noise))
        _find_columns(kinds, pixels, base, noise)
        free = good & ~np.logical_or.reduce(list(kinds.values()))
        kinds['cosmic'] |= _hot_lines(pixels, free, base, noise) | _hot_lines(pixels.T, free.T, base, noise).T
        bands, steps = find_steps(pixels, free & ~kinds['cosmic'])
        kinds['cosmic'] |= bands & free
    return Missing(kinds, tuple(found), base, noise, noisy, steps)


def find_cosmic_rays(pixels, bad, found, fwhm):
    """Find structure sharper than the PSF: cosmic rays, hot pixels and columns.

    In a star the mean of the two pixels beside the peak, or above and below, is at least its profile at a
    distance of one pixel: for a Gaussian 16^(-1 / FWHM^2) of the peak, for a Moffat function more. This also
    holds for the sum of stars and sky above a base. A pixel beside which there is less than 0.6 of that,
    given the noise, is not light.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
    bad : `~numpy.ndarray` of bool
        Bad pixels, including those that are missing already.
    found : Missing
        Result of `find_missing`, to which the new pixels are added.
    fwhm : float
        Full width at half maximum of the PSF [pixels]; if it is not known (NaN), only the sharpest are found.
        Below 1.3 pixels stars look like cosmic rays, and no search is made.
    """
    width = _NARROWEST if math.isnan(fwhm) else fwhm
    if not found.noisy or width < _NARROWEST:
        return
    here = _Bright(_finite(pixels), bad, found)
    sharp = here.excess(_SHARP * 16.0 ** (-1.0 / width**2)) > 0.5 * _CLEAR * found.noise
    # if most bright structure is sharper than the PSF, the PSF is wrong; of a known one, what has no light
    # on its sides at all says nothing: it is sharper than any
    telling = here.peak if math.isnan(fwhm) else here.peak & ~here.sideless()
    if 2 * np.count_nonzero(sharp & telling) <= np.count_nonzero(telling):
        found.kinds['cosmic'][here.rows[sharp], here.columns[sharp]] = True


def find_flat_tops(pixels, bad, found, fwhm):
    """Find saturated pixels whose ceiling is scattered, by flat-fielding or subtraction of a bias.

    In stars there are as many pixels within a per cent of one level as of another: pi FWHM^2 / (4 ln 2) for a
    factor of e, of a Gaussian. More of them at the top than that, and than just below, are a ceiling.

    Parameters
    ----------
    pixels, bad, found
        As for `find_cosmic_rays`.
    fwhm : float
        Full width at half maximum of the PSF [pixels]; if it is not known (NaN), several stars must have the
        ceiling, since one that is out of focus is flat, too.
    """
    from scipy import ndimage

    light = np.where(bad, 0.0, _finite(pixels) - found.base)
    # single pixels are no top
    top = float(np.max(ndimage.minimum_filter(light, size=2), initial=0.0))
    # without noise it may be a model: it must have stars; and of maps made by pidoc nothing was measured
    known = found.noise > 0.0 and not math.isnan(fwhm)
    if not (found.noisy or known) or top < _CLEAR * found.noise:
        return
    bright = light[light > (1.0 - 3.0 * max(_SCATTERS)) * top]
    for scatter in _SCATTERS:
        above, near_top, wider = (np.count_nonzero(bright > (1.0 + times * scatter) * top)
                                  for times in (1.0, -1.0, -3.0))
        number, below = near_top - above, wider - near_top
        if number < _FEWEST_FLAT or above > _ABOVE * number:
            continue
        flat = light > (1.0 - scatter) * top
        sizes = np.bincount(ndimage.label(flat, structure=np.ones((3, 3)))[0].ravel())[1:]
        if math.isnan(fwhm):
            usual = _PILED[1] * below if np.count_nonzero(sizes >= _FEWEST_FLAT / 3) >= _SEVERAL else math.inf
        else:
            usual = max(_PILED[0] * below, _PILED[1] * 2.0 * scatter * _PER_STAR * fwhm**2 * sizes.size)
        if number > usual:
            edge = light > (1.0 - 3.0 * scatter) * top
            found.kinds['saturated'] |= flat | (edge & ndimage.binary_dilation(flat, np.ones((3, 3))))
            return


def without_sides(pixels, bad, found):
    """Bright pixels without light on two opposite sides, as cosmic rays have none and stars of any PSF do.

    Where stars are no wider than a pixel these are stars. They serve to measure the PSF on what remains,
    since many cosmic rays are brighter than most stars.

    Parameters
    ----------
    pixels, bad, found
        As for `find_cosmic_rays`.

    Returns
    -------
    `~numpy.ndarray` of bool
    """
    result = np.zeros(pixels.shape, dtype=bool)
    if found.noisy:
        here = _Bright(_finite(pixels), bad, found)
        its = here.sideless()
        result[here.rows[its], here.columns[its]] = True
    return result


def smoothed_over(pixels, bad, rays):
    """Replace pixels by the median of the good ones around; returns the image, and what remains bad.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
    bad, rays : `~numpy.ndarray` of bool
        Bad pixels, and those to be replaced.

    Returns
    -------
    values : `~numpy.ndarray`
    bad : `~numpy.ndarray` of bool
    """
    values, still = pixels.copy(), bad | rays
    rows, columns = np.nonzero(rays)
    around = np.array([np.where(still[place], np.nan, pixels[place])
                       for place in _shifted(rows, columns, _AROUND, bad.shape)])
    known = ~np.isnan(around).all(axis=0)
    values[rows[known], columns[known]] = np.nanmedian(around[:, known], axis=0)
    still[rows[known], columns[known]] = False
    return values, still


def _shifted(rows, columns, steps, shape):
    """Rows and columns of pixels at these steps (down, right) from others, but inside the image."""
    return [(np.clip(rows + down, 0, shape[0] - 1), np.clip(columns + right, 0, shape[1] - 1))
            for down, right in steps]


class _Bright:
    """Pixels far above the sky, off the edge of the image, compared with those around."""

    def __init__(self, pixels, bad, found):
        self.base, self.noise = found.base, found.noise
        rows, columns = np.nonzero((~bad & (pixels > self.base + 1.5 * _CLEAR * self.noise))[1:-1, 1:-1])
        self.rows, self.columns = rows, columns = rows + 1, columns + 1
        self.value = pixels[rows, columns] - self.base
        highest = np.max([np.where(bad[rows + dy, columns + dx], -np.inf, pixels[rows + dy, columns + dx])
                          for dy, dx in _AROUND], axis=0, initial=-np.inf)
        self.peak = pixels[rows, columns] >= highest
        self._pairs = []
        for dy, dx in ((0, 1), (1, 0)):
            one, other = (rows + dy, columns + dx), (rows - dy, columns - dx)
            pair = 0.5 * (pixels[one] + pixels[other]) - self.base
            self._pairs.append(np.where(bad[one] | bad[other], np.inf, pair))
        ring = [steps for steps in itertools.product(range(-2, 3), repeat=2) if max(map(abs, steps)) == 2]
        around = [np.where(bad[at], np.nan, pixels[at]) for at in _shifted(rows, columns, ring, bad.shape)]
        # without any, the base
        around.append(np.where(np.isnan(around).all(axis=0), self.base, np.nan))
        self._level = np.nanmedian(around, axis=0) - self.base

    def excess(self, share):
        """By how much the light on two sides falls short of a share of that of the pixel."""
        return share * self.value - np.minimum(*self._pairs)

    def sideless(self):
        """Whether on two sides there is no more than a little farther away."""
        above = self.value - self._level
        side = np.minimum(*self._pairs) - self._level
        return (above > _CLEAR * self.noise) & (side < _SIDELESS * above + 2.0 * self.noise)


def _finite(pixels):
    """Set non-finite pixels to 0, to avoid differences of infinities; they must be bad."""
    finite = np.isfinite(pixels)
    return pixels if finite.all() else np.where(finite, pixels, 0.0)


def noise_of(pixels, good, *, share=0.5):
    """Standard deviation of the noise, from differences of neighbours, and whether there is noise at all.

    In white noise two of three pixels are the largest or smallest of three in a row; in smooth light few are.

    Parameters
    ----------
    pixels : `~numpy.ndarray`
    good : `~numpy.ndarray` of bool
    share : float, optional
        Share of the pixels, the faintest ones, in which it is measured.

    Returns
    -------
    noise : float
        0 if no row has three good pixels.
    noisy : bool
    """
    rows, fine = pixels[_rows(pixels)], good[_rows(pixels)]
    three = fine[:, 2:] & fine[:, 1:-1] & fine[:, :-2]
    if not three.any():
        # of every second pixel, say: the good ones of each row, moved together
        first = np.argsort(~fine, axis=1, kind='stable')
        rows, fine = (np.take_along_axis(each, first, axis=1) for each in (rows, fine))
        three = fine[:, 2:]
    if not three.any():
        return 0.0, False
    first, second = (rows[:, 1:-1] - rows[:, :-2])[three], (rows[:, 2:] - rows[:, 1:-1])[three]
    # where faint light varies little
    faint = rows[:, 1:-1][three]
    faint = faint <= np.quantile(faint, share)
    noise = 1.4826 / math.sqrt(2.0) * float(np.median(np.abs(first[faint])))
    return noise, noise > 0.0 and float(np.mean((first * second)[faint] < 0.0)) > _TURNS


def _rows(pixels):
    """Some rows, which are enough for the noise; not every third, say, since these may all be missing."""
    step = max(1, pixels.shape[0] // 64)
    some = np.arange(pixels.shape[0] // step) * step
    return some + np.arange(some.size) % step


def _noise_on_light(pixels, good):
    """Whether there is noise where light varies more than that between neighbours, as in a rich cluster.

    Fourth differences have little of light that a PSF has smoothed, and change their sign from pixel to pixel
    in white noise four times out of five. Rounding is no noise.
    """
    six = np.logical_and.reduce([good[:, k:max(good.shape[1] - 5 + k, 0)] for k in range(6)])
    if not six.any():
        return False
    differences = np.diff(pixels, n=4, axis=1)
    here, value = differences[:, :-1][six], pixels[:, 2:-3][six]
    faint = value <= np.quantile(value, _FAINTEST)
    turns = np.mean((here * differences[:, 1:][six])[faint] < 0.0)
    return bool(turns > _FOURTH_TURNS and np.median(np.abs(here[faint])) > _ROUNDING * np.median(
        np.abs(value[faint])))


def _plateaus(values):
    """Values that are much more frequent than neighbouring values; and all others, sorted."""
    starts = np.concatenate([[0], 1 + np.flatnonzero(values[1:] != values[:-1])])
    numbers = np.diff(starts, append=values.size)
    plateaus = []
    padded = np.concatenate([[0], numbers, [0]])
    # next to it, of whole numbers: noise may have few values, each of them frequent
    levels = values[starts]
    close = np.concatenate([[False], np.diff(levels) <= 1.5 * _step(levels), [False]])
    next_to = np.maximum(padded[:-2] * close[:-1], padded[2:] * close[1:])
    often = numbers >= np.maximum(_FEWEST, 1 + 2 * np.maximum(next_to, np.minimum(padded[:-2], padded[2:])))
    for k in np.flatnonzero(often):
        if len(plateaus) > 50:
            # values with few digits
            return [], values
        beside = np.concatenate([numbers[max(0, k - _BESIDE):k], numbers[k + 1:k + 1 + _BESIDE]])
        if beside.size >= 3 and numbers[k] >= _OFTEN * np.median(beside):
            plateaus.append(float(values[starts[k]]))
    if not plateaus:
        return [], values
    rest = values[~np.isin(values, plateaus)]
    return (plateaus, rest) if rest.size > _FEW_OTHERS * values.size else ([], values)


def _step(levels):
    """The step in which numbers are stored, of those that are there, in order."""
    return float(np.quantile(np.diff(levels), 0.25)) if levels.size > 1 else 0.0


def _solid_regions(pixels, good):
    """Squares and lines of one value, larger than noise makes them, except of the highest: value -> mask."""
    same = [good[1:] & good[:-1] & (pixels[1:] == pixels[:-1]),
            good[:, 1:] & good[:, :-1] & (pixels[:, 1:] == pixels[:, :-1])]
    if max(map(np.count_nonzero, same)) < _SOLID[1] - 1:
        return {}
    seeds = _opened(same, pixels.shape)
    candidates = np.unique(pixels[seeds])
    candidates = candidates[candidates < np.max(pixels[good])]
    if candidates.size > _MOST_SOLID:
        return {}
    step = _step(np.unique(pixels[good]))
    regions = {float(value): _gap(pixels, pixels == value, seeds, good, step) for value in candidates}
    return {value: where for value, where in regions.items() if where is not None}


def _noise_beside_gaps(pixels, others, values):
    """Whether the faintest pixels have noise, and none of these values is where an image was cut off."""
    noise, noisy = noise_of(pixels, others, share=_FAINTEST)
    light = pixels[others]
    return noisy and all(
        np.mean(light < value) > _BELOW or np.mean((light > value) & (light < value + noise)) < _JUST_ABOVE
        for value in values)


def _sharply_cut(pixels, others, solid):
    """Whether light ends at all of these regions in one step, as a PSF and a clipped sky never make it."""
    from scipy import ndimage

    for value, where in solid.items():
        edge = others & ndimage.binary_dilation(where, np.ones((3, 3)))
        if np.count_nonzero(edge) < _FEWEST_GOOD:
            return False
        light = pixels[others] - value
        step = float(np.median(pixels[edge])) - value
        if step < _STEP * abs(np.median(light)) or np.mean(light < _STEP * step) > _BELOW:
            return False
    # a smooth model may end there
    three = others[:, 2:] & others[:, 1:-1] & others[:, :-2]
    steps = np.diff(pixels, axis=1)
    return bool(three.any() and np.mean((steps[:, 1:] * steps[:, :-1] < 0.0)[three]) > _GRAINS)


def _opened(same, shape):
    """Pixels of squares and lines in which all neighbours are the same."""
    from scipy import ndimage

    result = np.zeros(shape, dtype=bool)
    side, length = _SOLID
    for high, wide in ((side, side), (length, 1), (1, length)):
        # the pixels below and to the right of each, as far as the figure goes
        corners = np.ones(shape, dtype=bool)
        for axis, number in enumerate((high, wide)):
            steps = np.zeros(shape, dtype=np.uint8)
            steps[:shape[0] - (axis == 0), :shape[1] - (axis == 1)] = same[axis]
            figure = [high, wide]
            figure[axis] = number - 1
            if figure[axis] > 0:
                corners &= ndimage.minimum_filter(steps, size=figure, mode='constant',
                                                  origin=[-(n // 2) for n in figure]) > 0
        result |= ndimage.maximum_filter(corners, size=(high, wide), mode='constant',
                                         origin=[(n - 1) // 2 for n in (high, wide)])
    return result


def _gap(pixels, here, seeds, good, step):
    """A region without data: of one value, which is rare around and has no others in it; else None."""
    from scipy import ndimage

    seeds = seeds & here
    region = here & ndimage.binary_dilation(seeds, np.ones((5, 5)))
    ring = good & ndimage.binary_dilation(region, np.ones((9, 9))) & ~region
    specks = good & ~here & ndimage.binary_closing(np.pad(seeds, 4), np.ones((7, 7)))[4:-4, 4:-4]
    if not ring.any() or np.mean(here[ring]) > _AMONG or (
            np.count_nonzero(specks) > _SPECKS * np.count_nonzero(region)):
        return None
    # a sky with less noise than the steps of whole numbers, into which light fades
    rim = ring & ~here & ndimage.binary_dilation(region, np.ones((3, 3)))
    if rim.any() and np.median(np.abs(pixels[rim] - pixels[region][0])) <= 1.5 * step:
        return None
    return region


def _find_values(kinds, pixels, good, plateaus, rest, sky):
    """Mark repeated values below the sky, and exact zeros; returns the sentinels."""
    middle, low, noise, noisy = sky
    found = []
    for value in plateaus:
        here = good & (pixels == value)
        like = np.searchsorted(rest, [value - 0.05 * noise, value + 0.05 * noise])
        if np.count_nonzero(here) < _OFTEN * (like[1] - like[0]) and not _coherent(here):
            # among rounded numbers, some of which are rounded more coarsely
            continue
        below = np.searchsorted(rest, value) / rest.size
        # a clipped image has no lower values, and many just above
        above = np.searchsorted(rest, value + noise, side='right') - np.searchsorted(rest, value)
        alone = below == 0.0 and 2 * above < np.count_nonzero(here)
        if value == 0.0:
            if noisy and (below > 0.01 or alone):
                kinds['zero'] |= here
        elif value < middle and (alone or 0.0 < below < 0.5) and (noisy or _negative(value, rest)):
            kinds['sentinel'] |= here
            found.append(value)
    return found


def _negative(value, rest):
    """Whether a value is below 0 by more than the step in which numbers are stored, which may not meet it."""
    steps = np.diff(rest[:1000])
    steps = steps[steps > 0.0]
    return value < (-float(steps.min()) if steps.size else 0.0)


def _scattered(here, good):
    """Whether pixels adjoin others of their kind no more often than by chance."""
    pair = good[:, 1:] & good[:, :-1]
    first, second = here[:, :-1][pair], here[:, 1:][pair]
    share = np.mean(second)
    return 0.0 < share < 1.0 and np.mean(second[~first]) > 0.5 * share


def _coherent(here):
    """Whether at least half of the pixels have another one to the side or above."""
    beside = np.zeros(here.shape, dtype=bool)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        both = here[one] & here[other]
        beside[one] |= both
        beside[other] |= both
    return 2 * np.count_nonzero(beside) >= np.count_nonzero(here)


def _find_saturated(kinds, pixels, good, header):
    """Mark pixels above the saturation level of the header, unless there are too many for it to be right."""
    for keyword in _CEILINGS:
        level = header_number(header, keyword)
        if level is not None and level > 0.0:
            above = good & (pixels >= _SATURATED * level)
            if np.count_nonzero(above) <= _MOST_SATURATED * np.count_nonzero(good):
                kinds['saturated'] |= above


def _find_ceiling(kinds, pixels, good, plateaus, rest, least):
    """Mark the shared value of the brightest pixels: rare values in noise are never equal."""
    top = float(np.max(pixels[good]))
    here = good & (pixels == top)
    rare = np.unique(rest[-40:]).size >= min(38, rest.size)
    if top > least and (top in plateaus or (rare and np.count_nonzero(here) >= 3)):
        kinds['saturated'] |= here


def _find_columns(kinds, pixels, base, noise):
    """What is at the ceiling with nothing to its sides, or above and below, is no middle of a star."""
    here = kinds['saturated']
    if not here.any():
        return
    beside = np.minimum(_brightest_beside(pixels, here), _brightest_beside(pixels.T, here.T).T)
    columns = here & (pixels != 0.0) & (beside - base < np.maximum(_WING * (pixels - base), 3.0 * noise))
    kinds['saturated'] &= ~columns
    kinds['cosmic'] |= columns


def _hot_lines(pixels, good, base, noise):
    """Columns, or long parts of them, one or two pixels wide, that are brighter than what is beside them."""
    from scipy import ndimage

    none = np.zeros(pixels.shape, dtype=bool)
    if min(pixels.shape) < 5:
        return none
    bright = none
    for width, times in _LINE_SIDES:
        beside = _beside(np.where(good, pixels, np.inf), width)
        bright = bright | (good & (pixels - beside > 0.5 * _CLEAR * noise)
                           & (pixels - base > times * (beside - base)))
    length = min(_LINE, pixels.shape[0])
    share = ndimage.uniform_filter1d(bright.astype(np.float32), length, axis=0, mode='constant')
    # half of a window at an end of the column is beyond it
    ends = 1 + 2 * math.ceil((_LINED - 0.5) * length)
    its = bright & ndimage.maximum_filter1d(share >= _LINED, ends, axis=0, mode='constant')
    if np.count_nonzero(its.any(axis=0)) > max(2.0, _MOST_LINES * pixels.shape[1]):
        return none
    # through what is brighter than the column, too
    first, last = (np.maximum.accumulate(each, axis=0) for each in (its, its[::-1]))
    return good & first & last[::-1]


def _beside(pixels, width):
    """Mean of the two sides, each the faintest within a distance; next to bad pixels, that of one side."""
    padded = np.pad(pixels, ((0, 0), (width, width)), mode='reflect')
    sides = [np.min([padded[:, width + sign * step:][:, :pixels.shape[1]] for step in range(1, width + 1)],
                    axis=0) for sign in (-1, 1)]
    lower, upper = np.minimum(*sides), np.maximum(*sides)
    return np.where(np.isfinite(upper), 0.5 * (lower + upper), lower)


def _brightest_beside(pixels, here):
    """Of pixels of groups, the brighter one of the two in the row that end the group."""
    place = np.arange(pixels.shape[1])
    left = np.maximum.accumulate(np.where(here, -1, place), axis=1)
    right = np.minimum.accumulate(np.where(here, place.size, place)[:, ::-1], axis=1)[:, ::-1]
    values = [np.where(there, np.take_along_axis(pixels, np.clip(end, 0, place.size - 1), axis=1), -np.inf)
              for end, there in ((left, left >= 0), (right, right < place.size))]
    return np.maximum(*values)


def _find_holes(kinds, pixels, good, bad, sky):
    """Mark saturated cores stored as zeros, and pixels far below all around them."""
    middle, base, noise = sky
    bright = max(middle, 0.0) + _CLEAR * noise
    zeros = (good | kinds['zero']) & (pixels == 0.0)
    if np.any(zeros[:, 1:] & (pixels[:, :-1] > bright)):
        cores = _enclosed(zeros, bad, pixels, bright)
        kinds['saturated'] |= cores
        kinds['zero'] &= ~cores
    # bad pixels are not used: they count as no lower than their neighbours
    values = np.where(good & ~kinds['saturated'], pixels, np.inf)
    beside = np.minimum(values[1:-1, :-2], values[1:-1, 2:])
    rows, columns = np.nonzero((beside > bright) & (values[1:-1, 1:-1] < beside - _CLEAR * noise))
    rows, columns = rows + 1, columns + 1
    lowest = np.min([values[rows + dy, columns + dx] for dy, dx in _AROUND], axis=0)
    here = pixels[rows, columns]
    dead = np.isfinite(lowest) & (lowest - here > _CLEAR * noise) & (here - base < _DEAD * (lowest - base))
    kinds['dead'][rows[dead], columns[dead]] = True


_AROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]


def _enclosed(zeros, bad, pixels, bright):
    """Groups of zeros with only bright neighbours."""
    from scipy import ndimage

    labels, number = ndimage.label(zeros, structure=np.ones((3, 3)))
    rim = np.where(zeros | bad, 0, ndimage.grey_dilation(labels, size=(3, 3)))
    lowest = np.full(number + 1, np.inf)
    np.minimum.at(lowest, rim[rim > 0], pixels[rim > 0])
    return zeros & (lowest[labels] > bright) & np.isfinite(lowest[labels])
