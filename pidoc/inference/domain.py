# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The training domain: is an image like those that the networks were trained on, and if not, in what?

`features` measures a few physical quantities of light maps, `Domain.fit` learns their ranges and what goes
with what from the maps of the training, `Domain.check` says of new maps where they fall outside. Arrays in,
arrays out. The results are the bits of `FLAGS`; `decode_flags` names them.
"""

import math
from dataclasses import dataclass

import numpy as np

__all__ = ['FEATURES', 'FLAGS', 'OUTSIDE', 'Domain', 'Feature', 'Flag', 'Verdict', 'check_numbers',
           'decode_flags', 'features', 'flag_bits', 'flag_table']

_FORMAT = 1
_CHUNK = 32                # maps whose features are measured at a time: they fit into the cache
_TINY = 1e-6               # what a share or a ratio counts for at least, before its logarithm is taken
_PARSEC = math.radians(1.0 / 3600.0) * 1e3    # of one arcsec at one kpc
_NEIGHBOURS = 3
_TAILS = (0.01, 0.005, 0.002, 0.001, 0.0)     # shares of the training outside either end of a range
_CHOSEN = ('seeing', 'distance', 'pixel_scale')   # by who made the training: their ranges are exact
_REFERENCE = 3000          # maps of the training that are kept
_DECIMALS = 4
_PIXEL_TOLERANCE = 0.02    # relative difference of pixel scales that does not count


# -- the quantities -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Feature:
    """A quantity of an image.

    Parameters
    ----------
    name, description, unit : str
    log : bool
        Whether its range is one of its logarithm.
    """

    name: str
    description: str
    unit: str = ''
    log: bool = True

    def inside(self, value):
        """The number that ranges are made of."""
        return np.log10(np.maximum(value, 1e-30)) if self.log else value

    def outside(self, number):
        return 10.0**number if self.log else number


FEATURES = (
    Feature('total_flux', 'flux in the field', 'Lsun/kpc2'),
    Feature('flux_2', 'share of the flux within 2" of the brightest place', log=False),
    Feature('flux_5', 'share of the flux within 5" of the brightest place', log=False),
    Feature('flux_10', 'share of the flux within 10" of the brightest place', log=False),
    Feature('half_light_radius', 'radius of half of the flux in the field', 'arcsec'),
    Feature('contrast', 'brightness within 2" of the brightest place over that at the edge'),
    Feature('clumpiness', 'rms of structure of about 1", over the mean'),
    Feature('granularity', 'flux of a typical star over that in the field, from the scatter around rings'),
    Feature('asymmetry', 'share of the flux within 10" that changes in half a turn', log=False),
    Feature('sharpness', 'structure of single pixels over that of 1": the smoothing and the PSF'),
    Feature('noise', 'scatter near the edge, in a pixel', 'Lsun/kpc2'),
    Feature('offset', 'of the brightest place from the middle of the field', 'arcsec', log=False),
    Feature('sharp_scatter', 'rms of what the smoothing took away, over the mean'),
    Feature('seeing', 'full width at half maximum of the PSF', 'arcsec', log=False),
    Feature('pixel_scale', 'side of a pixel', 'arcsec', log=False),
    Feature('distance', 'distance that was given', 'kpc'),
    Feature('luminosity', 'luminosity in the field at that distance', 'Lsun'),
    Feature('size', 'radius of half of the light in the field at that distance', 'pc'),
)
"""The quantities, in this order. The last six are only looked at where they are known."""

_BY_NAME = {feature.name: feature for feature in FEATURES}
_JOINT = {'image': ('total_flux', 'flux_5', 'contrast', 'granularity'),
          'distance': ('total_flux', 'flux_5', 'contrast', 'granularity', 'distance')}


def features(light, *, sharp=None, pixel_scale=0.25, seeing=None, distance=None):
    """Measure the quantities of `FEATURES`.

    "Brightest place" is the maximum of the map after smoothing with a Gaussian of 3", which single giants do
    not rule. Structure of 1" is the map less itself smoothed with a Gaussian of 1". The granularity is the
    sum over rings of 1.5" to 12" of the squared scatter of that structure around the ring, over the flux of
    the rings: as in surface brightness fluctuations (Tonry & Schneider 1988) this is the flux of a typical
    star, up to a factor that the PSF sets. Over the flux of the field it is about one over the number of
    stars that shine.

    Parameters
    ----------
    light : ndarray, shape (n, ny, nx)
        Apparent flux per pixel [Lsun/kpc^2], smoothed as in training, finite; even numbers of pixels, at
        least 16.
    sharp : ndarray, shape (n, ny, nx), optional
        The same before the smoothing.
    pixel_scale : float, optional
        [arcsec].
    seeing, distance : ndarray of shape (n,) or float, optional
        [arcsec] and [kpc]; NaN where not known.

    Returns
    -------
    dict
        Of float arrays of shape (n,), in the units of `FEATURES`; NaN where not known, and in maps without
        flux.

    Raises
    ------
    ValueError
        If a shape is not possible, a pixel of ``light`` not finite, or ``pixel_scale`` not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from pidoc.inference.domain import features
    >>> y, x = np.indices((160, 160)) - 79.5
    >>> light = 1e-4 * np.exp(-0.5 * (x**2 + y**2) / 16**2)
    >>> found = features(light[np.newaxis])
    >>> print(f"{found['total_flux'][0]:.4f}, {found['half_light_radius'][0]:.1f} arcsec")
    0.1608, 4.8 arcsec
    """
    light = np.asarray(light)
    if light.ndim != 3 or min(light.shape[1:]) < 16 or light.shape[1] % 2 or light.shape[2] % 2:
        raise ValueError('light must have the shape (n, ny, nx) with even numbers of pixels, at least 16, '
                         f'received {light.shape}')
    if not np.all(np.isfinite(light)):
        raise ValueError('the pixels of light must be finite, received '
                         f'{np.count_nonzero(~np.isfinite(light))} that are not')
    if sharp is not None and np.shape(sharp) != light.shape:
        raise ValueError(f'sharp must have the shape of light, {light.shape}, received {np.shape(sharp)}')
    if not (math.isfinite(pixel_scale) and pixel_scale > 0.0):
        raise ValueError(f'pixel_scale must be positive, received {pixel_scale!r}')
    number = len(light)
    found = {feature.name: np.full(number, np.nan) for feature in FEATURES}
    for name, values in (('seeing', seeing), ('distance', distance)):
        if values is not None:
            found[name][:] = values
    found['pixel_scale'][:] = pixel_scale
    rulers = _rulers(light.shape[1:], pixel_scale)
    for start in range(0, number, _CHUNK):
        part = slice(start, start + _CHUNK)
        shining = np.flatnonzero(np.sum(light[part], axis=(1, 2), dtype=float) > 0.0)
        if shining.size:
            unsmoothed = None if sharp is None else np.asarray(sharp[part])[shining]
            measured = _measure(light[part][shining], unsmoothed, pixel_scale, rulers)
            for name, values in measured.items():
                found[name][start + shining] = values
    found['luminosity'] = 4.0 * np.pi * found['distance']**2 * found['total_flux']
    found['size'] = _PARSEC * found['distance'] * found['half_light_radius']
    return found


def _rulers(shape, pixel_scale):
    """What depends on the grid alone: matrices that smooth, of blocks of 2 x 2 pixels."""
    side = 2.0 * pixel_scale
    return [[_smoothing(n // 2, sigma / side) for n in shape] for sigma in (1.0, 3.0)]


def _smoothing(number, sigma):
    place = np.arange(number)
    matrix = np.exp(-0.5 * ((place[:, np.newaxis] - place) / sigma) ** 2)
    return (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32)


def _measure(light, sharp, pixel_scale, rulers):
    """Features of maps that have flux."""
    number, pixels = len(light), light.shape[1] * light.shape[2]
    total = light.sum(axis=(1, 2), dtype=float)
    mean = total / pixels
    full = (light / mean[:, np.newaxis, np.newaxis]).astype(np.float32)
    # what is smoothed with 1" loses nothing in blocks of 0.5"
    blocks = 0.25 * (full[:, ::2, ::2] + full[:, 1::2, ::2] + full[:, ::2, 1::2] + full[:, 1::2, 1::2])
    (rows, columns), (wide_rows, wide_columns) = rulers
    structure = blocks - rows @ blocks @ columns.T
    power = np.maximum(np.mean(structure**2, axis=(1, 2), dtype=float), _TINY**2)
    curvature = _curvature(full)
    edge = _edge(blocks.shape[1:], 2.0 * pixel_scale)
    near_edge = structure.reshape(number, -1)[:, edge]
    found = {'total_flux': total, 'clumpiness': np.sqrt(power),
             'sharpness': np.sqrt(np.mean(curvature**2, axis=(1, 2), dtype=float) / power),
             'noise': 1.4826 * np.median(np.abs(near_edge), axis=1) * mean}
    wide = (wide_rows @ blocks @ wide_columns.T).reshape(number, -1)
    peaks = np.column_stack(np.unravel_index(wide.argmax(axis=1), blocks.shape[1:]))
    middle = (np.array(blocks.shape[1:]) - 1) / 2
    centres = peaks + _vertex(wide.reshape(blocks.shape), peaks)
    found['offset'] = np.hypot(*(centres - middle).T) * 2.0 * pixel_scale
    found |= _radial(blocks, structure, centres, 2.0 * pixel_scale)
    outside = np.median(blocks.reshape(number, -1)[:, edge], axis=1)
    inside = found['flux_2'] * blocks[0].size / (np.pi * (1.0 / pixel_scale) ** 2)
    found['contrast'] = inside / np.maximum(outside, 1e-4)
    if sharp is not None:
        found['sharp_scatter'] = np.sqrt(np.mean((sharp - light) ** 2, axis=(1, 2), dtype=float)) / mean
    return found


def _vertex(maps, peaks):
    """From the largest pixel to the maximum of the parabolas through it and its neighbours, [y, x]."""
    moved = np.zeros(peaks.shape)
    each = np.arange(len(maps))
    for axis in (0, 1):
        step = np.eye(2, dtype=int)[axis]
        inner = (peaks[:, axis] > 0) & (peaks[:, axis] < maps.shape[1 + axis] - 1)
        k, place = each[inner], peaks[inner]
        below, here, above = (maps[k, *(place + d * step).T].astype(float) for d in (-1, 0, 1))
        bend = below - 2.0 * here + above
        shift = np.divide(0.5 * (below - above), bend, out=np.zeros_like(bend), where=bend < 0.0)
        moved[inner, axis] = np.clip(shift, -0.5, 0.5)
    return moved


def _curvature(full):
    """Discrete Laplace operator at every second pixel."""
    inner = full[:, 1:-1:2, 1:-1:2]
    return (full[:, 1:-1:2, :-2:2] + full[:, 1:-1:2, 2::2] + full[:, :-2:2, 1:-1:2] + full[:, 2::2, 1:-1:2]
            - 4.0 * inner)


def _edge(shape, side):
    """Indices of the blocks within 5" of the edge of the field."""
    width = max(1, min(round(5.0 / side), min(shape) // 4))
    ring = np.ones(shape, dtype=bool)
    ring[width:-width, width:-width] = False
    return np.flatnonzero(ring)


def _radial(blocks, structure, centres, side):
    """Features about the brightest place; blocks have a mean of 1."""
    names = ('flux_2', 'flux_5', 'flux_10', 'half_light_radius', 'granularity', 'asymmetry')
    found = {name: np.empty(len(blocks)) for name in names}
    rows, columns = (np.arange(n, dtype=np.float32) for n in blocks.shape[1:])
    first, last = 1.5 / side, 12.0 / side
    for k, (centre, block) in enumerate(zip(centres, blocks, strict=True)):
        away = np.sqrt((rows - centre[0])[:, np.newaxis] ** 2 + (columns - centre[1]) ** 2).ravel()
        ring = (away + 0.5).astype(np.intp)
        flux, number = np.bincount(ring, block.ravel()), np.bincount(ring)
        share = np.cumsum(flux) / block.size
        reach = (np.arange(share.size) + 0.5) * side
        for radius in (2, 5, 10):
            found[f'flux_{radius}'][k] = np.interp(radius, reach, share)
        # with a sky taken off the share need not grow everywhere
        found['half_light_radius'][k] = np.interp(0.5, np.maximum.accumulate(share), reach)
        number = np.maximum(number, 1)
        profile = np.bincount(ring, structure[k].ravel()) / number
        annulus = np.flatnonzero((away > first) & (away < last))
        scatter = structure[k].ravel()[annulus] - np.interp(
            away[annulus], np.bincount(ring, away) / number, profile)
        ringed = block.ravel()[annulus].sum(dtype=float)
        found['granularity'][k] = np.sum(scatter**2) / ringed / block.size if ringed > 0.0 else np.nan
        around = block[tuple(_about(*each, 10.0 / side) for each in zip(centre, block.shape, strict=True))]
        found['asymmetry'][k] = 0.5 * np.abs(around - around[::-1, ::-1]).sum() / np.abs(around).sum()
    found['half_light_radius'] = np.maximum(found['half_light_radius'], 0.1 * side)
    found['granularity'] = np.maximum(found['granularity'], _TINY**2)
    return found


def _about(centre, number, half):
    """The pixels within a distance of a centre that have a partner on its other side."""
    # to half a pixel: then a turn needs no interpolation
    twice = round(2.0 * centre)
    first = max(math.ceil(0.5 * twice - half), 0, twice - number + 1)
    return slice(first, twice - first + 1)


# -- flags ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Flag:
    """A bit of the flags of a prediction, its name, and what it means."""

    bit: int
    name: str
    description: str


FLAGS = tuple(Flag(1 << k, name, text) for k, (name, text) in enumerate([
    *((feature.name, f'outside training: {feature.description}') for feature in FEATURES),
    ('combination', 'outside training: flux, concentration, contrast and granularity do not go together'),
    ('no_domain', 'the model does not say what it was trained on'),
    ('mostly_filled', 'more than a tenth of the pixels were filled in'),
    ('filled', 'pixels that were masked or not finite were filled in for the network'),
    ('preparation', 'something was noted when the image was put on the grid'),
]))
"""All flags, from the lowest bit."""

_BITS = {flag.name: flag.bit for flag in FLAGS}

_HARMLESS = ('filled', 'preparation')

OUTSIDE = sum(flag.bit for flag in FLAGS if flag.name not in _HARMLESS)
"""The bits with which an image counts as outside the training domain: all but the last two."""


def flag_bits(*names):
    """The sum of the bits of flags.

    Parameters
    ----------
    *names : str

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If there is no flag of that name.

    Examples
    --------
    >>> from pidoc.inference.domain import flag_bits
    >>> flag_bits('total_flux', 'flux_5')
    5
    """
    for name in names:
        if name not in _BITS:
            raise ValueError(f'a flag must be one of {", ".join(_BITS)}, received {name!r}')
    return sum(_BITS[name] for name in set(names))


def decode_flags(flags):
    """Names of the flags that are set.

    Parameters
    ----------
    flags : int

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        If there are bits that mean nothing.

    Examples
    --------
    >>> from pidoc.inference.domain import decode_flags
    >>> decode_flags(5)
    ('total_flux', 'flux_5')
    """
    if isinstance(flags, bool) or int(flags) != flags or not 0 <= flags < 2 * FLAGS[-1].bit:
        raise ValueError(f'flags must be a whole number from 0 to {2 * FLAGS[-1].bit - 1}, '
                         f'received {flags!r}')
    return tuple(flag.name for flag in FLAGS if int(flags) & flag.bit)


def flag_table():
    """The flags as a table: bit, name and description.

    Returns
    -------
    `~astropy.table.Table`
    """
    from astropy.table import Table

    return Table({key: [getattr(flag, key) for flag in FLAGS] for key in ('bit', 'name', 'description')})


@dataclass(frozen=True)
class Verdict:
    """What `Domain.check` says of one map.

    Parameters
    ----------
    flags : int
        Bits of `FLAGS`; 0: inside.
    reasons : tuple of str
        For each flag a sentence with the quantity, its value and the range in training.
    """

    flags: int = 0
    reasons: tuple = ()

    @property
    def inside(self):
        """Whether it is like the maps of the training."""
        return not self.flags & OUTSIDE


# -- the domain -----------------------------------------------------------------------------------

#: Share of the validation maps that a domain may flag.
FLAGGED = 0.05


def check_numbers(n_training, n_validation, flagged=FLAGGED):
    """Refuse to learn a domain from too few maps.

    Raises
    ------
    ValueError
        If there are too few to tell the share that is flagged.
    """
    at_least = math.ceil(2.0 / flagged)
    for name, number in (('training', n_training), ('validation', n_validation)):
        if number < at_least:
            raise ValueError(f'{name} must have at least {at_least} maps, received {number}')


class Domain:
    """What networks were trained on, in the quantities of `FEATURES`; made by `fit`.

    Parameters
    ----------
    ranges : dict
        name -> (low, high), of log10 of the value where `Feature.log`.
    reference : dict
        name -> values, of maps of the training, for the quantities that are looked at together.
    thresholds : dict
        'image' or 'distance' -> largest distance to the third neighbour in the reference.
    """

    def __init__(self, ranges, reference, thresholds):
        self.ranges = {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
        self.reference = {name: np.asarray(values, dtype=np.float32) for name, values in reference.items()}
        self.thresholds = {mode: float(value) for mode, value in thresholds.items()}
        self._spaces = {mode: _Space(self.reference, _JOINT[mode]) for mode in self.thresholds}

    def __repr__(self):
        return (f'<Domain of {len(self.ranges)} quantities and {len(self._spaces)} combinations: '
                f'{", ".join(self.ranges)}>')

    @classmethod
    def fit(cls, training, validation, *, flagged=FLAGGED, seed=0):
        """Learn the domain.

        The ranges leave out as much of the training at either end, at most 1 %, as lets not more than half of
        ``flagged`` of the validation maps fall outside any of them; if the full ranges are too narrow for
        this, all are widened by the same share of their width. Those of seeing, distance and pixel scale,
        which whoever makes a training set chooses, are the full ones. How far a map may stand apart from its
        neighbours is then set so that the other half is flagged. These are conformal quantiles (Lei et al.
        2018): of new maps like those of the validation about ``flagged`` are flagged at most.

        Parameters
        ----------
        training, validation : dict
            From `features`. The validation should be of other simulations than the training. Where the
            distance is known in both, both ways of prediction are learned, with and without a distance given.
        flagged : float, optional
            Share of the validation maps that may be flagged.
        seed : int, optional
            Of the choice of maps that are kept.

        Returns
        -------
        Domain

        Raises
        ------
        ValueError
            If there are too few maps, or a quantity is not finite in a map though it is in others.
        """
        if not 0.0 < flagged < 1.0:
            raise ValueError(f'flagged must be between 0 and 1, received {flagged!r}')
        known = [feature.name for feature in FEATURES if _known(training, 'training', feature.name)
                 and _known(validation, 'validation', feature.name)]
        check_numbers(len(training['total_flux']), len(validation['total_flux']), flagged)
        ranges = _ranges(training, validation, known, 0.5 * flagged)
        reference = _reference(training, known, seed)
        modes = [mode for mode in _JOINT if set(_JOINT[mode]) <= set(known)]
        domain = cls(ranges, reference, dict.fromkeys(modes, math.inf))
        for mode in domain.thresholds:
            apart, _ = domain._spaces[mode].apart(_numbers(validation, _JOINT[mode]))
            domain.thresholds[mode] = round(_conformal(apart, 0.5 * flagged), _DECIMALS)
        return domain

    def check(self, measured):
        """Compare maps with those of the training.

        Parameters
        ----------
        measured : dict
            From `features`. Where a distance is NaN, quantities that need it are not looked at.

        Returns
        -------
        list of Verdict
            One for each map.
        """
        number = len(measured['total_flux'])
        found = [[] for _ in range(number)]
        for name, (low, high) in self.ranges.items():
            feature = _BY_NAME[name]
            values = np.asarray(measured[name], dtype=float)
            numbers = feature.inside(values)
            bad = ~((numbers >= low) & (numbers <= high))
            if name in _OPTIONAL:
                bad &= ~np.isnan(values)
            for k in np.flatnonzero(bad):
                found[k].append((name, _sentence(feature, values[k], low, high)))
        self._check_combination(measured, found)
        return [Verdict(flag_bits(*(name for name, _ in each)), tuple(text for _, text in each))
                for each in found]

    def _check_combination(self, measured, found):
        given = np.isfinite(measured['distance'])
        for mode, rows in (('image', ~given), ('distance', given)):
            # without distances in the training a given one changes nothing
            mode = mode if mode in self._spaces else 'image'
            rows = np.flatnonzero(rows)
            if not rows.size or mode not in self._spaces:
                continue
            some = {name: np.asarray(measured[name])[rows] for name in _JOINT[mode]}
            numbers = _numbers(some, _JOINT[mode])
            apart, most = self._spaces[mode].apart(numbers)
            for k in np.flatnonzero(apart > self.thresholds[mode]):
                feature = _BY_NAME[_JOINT[mode][most[k]]]
                value = _show(feature, float(measured[feature.name][rows[k]]))
                found[rows[k]].append(('combination', (
                    f'combination: the map stands {apart[k]:.2g} apart from those of the training, at most '
                    f'{self.thresholds[mode]:.2g} is usual, most of all in {feature.name} ({value}), for its '
                    f'{", ".join(n for n in _JOINT[mode] if n != feature.name)}')))

    def to_dict(self):
        """As plain numbers, for JSON.

        Returns
        -------
        dict
        """
        return {'format': _FORMAT, 'ranges': {name: list(ends) for name, ends in self.ranges.items()},
                'thresholds': self.thresholds,
                'reference': {name: [round(float(value), _DECIMALS) for value in values]
                              for name, values in self.reference.items()}}

    @classmethod
    def from_dict(cls, values):
        """The inverse of `to_dict`.

        Parameters
        ----------
        values : dict

        Returns
        -------
        Domain

        Raises
        ------
        ValueError
            If it is of another format or incomplete.
        """
        if not isinstance(values, dict) or values.get('format') != _FORMAT:
            raise ValueError(f'a domain must be a dict of format {_FORMAT}, received '
                             f'{values.get("format") if isinstance(values, dict) else values!r}')
        missing = {'ranges', 'thresholds', 'reference'} - set(values)
        ranges = values.get('ranges', {})
        unknown = set(map(str, ranges if isinstance(ranges, dict) else [ranges])) - set(_BY_NAME)
        if missing or unknown:
            raise ValueError('a domain must have ranges of quantities that are known, thresholds and a '
                             f'reference, received one {"without" if missing else "with"} '
                             f'{", ".join(sorted(missing or unknown))}')
        try:
            return cls(values['ranges'], values['reference'], values['thresholds'])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError('a domain must have numbers for each of its quantities, received one that is '
                             f'damaged: {error!r}') from error


_OPTIONAL = ('sharp_scatter', 'seeing', 'distance', 'luminosity', 'size')


def _known(maps, what, name):
    """Whether a quantity is known of all maps; that of some is an error."""
    finite = np.isfinite(np.asarray(maps[name], dtype=float))
    if finite.all():
        return True
    if finite.any() or name not in _OPTIONAL:
        raise ValueError(f'{name} must be finite in all maps of the {what}, received '
                         f'{np.count_nonzero(~finite)} of {finite.size} that are not')
    return False


def _ranges(training, validation, known, share):
    """The narrowest ranges that leave out not more than a share of the validation."""
    for tail in _TAILS:
        ranges = {name: _range(_BY_NAME[name], training[name], tail) for name in known}
        widening = _conformal(_excess(ranges, validation), share)
        if widening <= 0.0:
            break
    return {name: _widened(low, high, 0.0 if name in _CHOSEN else widening)
            for name, (low, high) in ranges.items()}


def _range(feature, values, tail):
    values = np.asarray(values, dtype=float)
    if feature.name == 'pixel_scale':
        return float(values.min()) * (1.0 - _PIXEL_TOLERANCE), float(values.max()) * (1.0 + _PIXEL_TOLERANCE)
    ends = (0.0, 1.0) if feature.name in _CHOSEN else (tail, 1.0 - tail)
    return tuple(np.quantile(feature.inside(values), ends).tolist())


def _excess(ranges, maps):
    """By how many widths each map is outside any range that can be widened, at most; negative inside."""
    worst = np.full(len(maps['total_flux']), -np.inf)
    for name in set(ranges) - set(_CHOSEN):
        low, high = ranges[name]
        numbers = _BY_NAME[name].inside(np.asarray(maps[name]))
        worst = np.maximum(worst, np.maximum(low - numbers, numbers - high) / _width(low, high))
    return worst


def _width(low, high):
    # a quantity that was the same in all of the training has none
    return max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-6)


def _widened(low, high, share):
    grown = max(share, 0.0) * _width(low, high)
    # a little more, for what the file rounds off and for a quantity that never changed
    spare = 1e-3 * _width(low, high) + 1e-6
    return round(low - grown - spare, 6), round(high + grown + spare, 6)


def _conformal(scores, share):
    """The value above which not more than a share of new scores will be."""
    rank = min(math.ceil((scores.size + 1) * (1.0 - share)), scores.size)
    return float(np.sort(scores)[rank - 1])


def _reference(training, known, seed):
    names = [name for name in _JOINT['distance'] if name in known]
    number = len(training['total_flux'])
    rows = np.sort(np.random.default_rng(seed).permutation(number)[:_REFERENCE])
    numbers = _numbers({name: np.asarray(training[name])[rows] for name in names}, names)
    return {name: np.round(column, _DECIMALS) for name, column in zip(names, numbers.T, strict=True)}


def _numbers(maps, names):
    return np.column_stack([_BY_NAME[name].inside(np.asarray(maps[name], dtype=float)) for name in names])


class _Space:
    """Maps of the training as points: quantities less their median, over their scatter."""

    def __init__(self, reference, names):
        from scipy.spatial import cKDTree

        points = np.column_stack([reference[name] for name in names]).astype(float)
        self.middle = np.median(points, axis=0)
        spread = 1.4826 * np.median(np.abs(points - self.middle), axis=0)
        self.spread = np.where(spread > 0.0, spread, 1.0)
        self.points = (points - self.middle) / self.spread
        self.tree = cKDTree(self.points)

    def apart(self, numbers):
        """Distance to the third neighbour, and the quantity that has the largest part in it."""
        place = (numbers - self.middle) / self.spread
        finite = np.isfinite(place)
        known = finite.all(axis=1)
        distance, most = np.full(len(place), np.inf), np.argmin(finite, axis=1)
        lengths, nearest = self.tree.query(place[known], k=range(1, min(_NEIGHBOURS, len(self.points)) + 1))
        away = self.points[nearest] - place[known, np.newaxis]
        distance[known], most[known] = lengths[:, -1], np.argmax(np.abs(away.mean(axis=1)), axis=1)
        return distance, most


def _show(feature, value):
    return f'{value:.3g} {feature.unit}'.strip()


def _sentence(feature, value, low, high):
    """The quantity, its value and the range."""
    low, high = feature.outside(low), feature.outside(high)
    if not np.isfinite(value):
        return (f'{feature.name}: {feature.description} cannot be measured, it is {low:.3g} to '
                f'{_show(feature, high)} in the training')
    side = 'below' if value < low else 'above'
    return (f'{feature.name}: {feature.description} is {_show(feature, value)}, {side} the {low:.3g} to '
            f'{_show(feature, high)} of the training')
