# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The training domain: is an image like those that the networks were trained on, and if not, in what?

`features` measures a few physical quantities of light maps, `Domain.fit` learns their ranges and what goes
with what from the maps of the training, `Domain.check` says of new maps where they fall outside. Arrays in,
arrays out. The results are the bits of `FLAGS`; `decode_flags` names them.
"""

import math
from dataclasses import dataclass

import numpy as np

from pidoc.inference.features import FEATURES, GIVEN
from pidoc.inference.flags import flag_bits, OUTSIDE
from pidoc.units import plain_number

__all__ = ['Domain', 'Verdict', 'check_numbers']

_FORMAT = 1
_NEIGHBOURS = 3
_TAILS = (0.01, 0.005, 0.002, 0.001, 0.0)     # shares of the training outside either end of a range
_CHOSEN = ('seeing', 'distance', 'pixel_scale', *GIVEN)   # by who made the training: their ranges are exact
_MEASURED = 0.05           # of the range of what was given that its error may lead beyond
_REFERENCE = 3000          # maps of the training that are kept
_DECIMALS = 4
_PIXEL_TOLERANCE = 0.02    # relative difference of pixel scales that does not count
_BY_NAME = {feature.name: feature for feature in FEATURES}
_JOINT = {'image': ('total_flux', 'flux_5', 'contrast', 'granularity'),
          'distance': ('total_flux', 'flux_5', 'contrast', 'granularity', 'distance')}


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


#: Share of the validation maps that a domain may flag.
FLAGGED = 0.05


def check_numbers(n_training, n_validation, flagged=FLAGGED):
    """Refuse to learn a domain from too few maps.

    Raises
    ------
    ValueError
        If there are too few to estimate the share that is flagged.
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
        plain_number(flagged, 'flagged', above=0, below=1)
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


_OPTIONAL = ('sharp_scatter', 'seeing', 'distance', 'luminosity', 'size', *GIVEN)


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
    low, high = np.quantile(feature.inside(values), ends).tolist()
    beyond = _MEASURED * (high - low) if feature.name in GIVEN else 0.0
    return low - beyond, high + beyond


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
