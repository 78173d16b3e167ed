# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The training domain: which images are similar to the training data, and the deviations of others.

`~pidoc.inference.features` measures physical quantities of light maps, `Domain.fit` learns their ranges and
their joint distribution from the training maps, `Domain.check` reports deviations of new maps. Inputs and
outputs are arrays. The results are the bits of `FLAGS`; `decode_flags` gives their names.
"""

import math
from dataclasses import dataclass

import numpy as np

from pidoc.inference.features import FEATURES, GIVEN, on_scale
from pidoc.inference.flags import flag_bits, OUTSIDE
from pidoc.inference.likeness import Likeness
from pidoc.units import plain_number

__all__ = ['Domain', 'Verdict', 'check_numbers']

_FORMAT = 1
_NEIGHBOURS = 3
_TAILS = (0.01, 0.005, 0.002, 0.001, 0.0)     # fractions of the training maps outside either end of a range
_CHOSEN = ('seeing', 'distance', 'pixel_scale', *GIVEN)   # by the recipe: their ranges are exact
_MEASURED = 0.05           # tolerance for given properties, as a fraction of the range
_REFERENCE = 3000          # training maps that are kept
_DECIMALS = 4
# arcsec: a model sees other pixels as another distance (`pidoc.networks.variables.ZOOM`)
_PIXEL_SCALES = 0.1, 1.0
_PIXEL_TOLERANCE = 0.02    # relative difference of pixel scales that is ignored
_BY_NAME = {feature.name: feature for feature in FEATURES}
_JOINT = {'image': ('total_flux', 'flux_5', 'contrast', 'granularity'),
          'distance': ('total_flux', 'flux_5', 'contrast', 'granularity', 'distance')}


@dataclass(frozen=True)
class Verdict:
    """The result of `Domain.check` for one map.

    Parameters
    ----------
    flags : int
        Bits of `FLAGS`; 0: inside.
    reasons : tuple of str
        A sentence for each flag, with the quantity, its value and the range in training.
    """

    flags: int = 0
    reasons: tuple = ()

    @property
    def inside(self):
        """Whether the map is inside the training domain."""
        return not self.flags & OUTSIDE


#: fraction of the validation maps that a domain may flag
FLAGGED = 0.05


def check_numbers(n_training, n_validation, flagged=FLAGGED):
    """Reject a domain from too few maps.

    Raises
    ------
    ValueError
        If there are too few to estimate the fraction that is flagged.
    """
    at_least = math.ceil(2.0 / flagged)
    for name, number in (('training', n_training), ('validation', n_validation)):
        if number < at_least:
            raise ValueError(f'{name} must have at least {at_least} maps, received {number}')


class Domain:
    """The training domain of networks, in the quantities of `FEATURES`, made by `Domain.fit`.

    Parameters
    ----------
    ranges : dict
        Name -> (low, high), for log10 of the value if `Feature.log`.
    reference : dict
        Name -> values for training maps, for the quantities that are compared jointly.
    thresholds : dict
        'image' or 'distance' -> largest allowed distance to the third neighbour in the reference.
    likeness : `~pidoc.inference.likeness.Likeness`, optional
        Network that recognises altered maps.
    most_unlike : dict, optional
        'image' or 'distance' -> largest allowed score of the network.
    """

    def __init__(self, ranges, reference, thresholds, likeness=None, most_unlike=None):
        self.ranges = {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
        self.reference = {name: np.asarray(values, dtype=np.float32) for name, values in reference.items()}
        self.thresholds = {mode: float(value) for mode, value in thresholds.items()}
        self.likeness = likeness
        self.most_unlike = {mode: float(value) for mode, value in (most_unlike or {}).items()}
        self._spaces = {mode: _Space(self.reference, _JOINT[mode]) for mode in self.thresholds}

    def __repr__(self):
        return (f'<Domain of {len(self.ranges)} quantities and {len(self._spaces)} combinations: '
                f'{", ".join(self.ranges)}>')

    @classmethod
    def fit(cls, training, validation, *, likeness=None, flagged=FLAGGED, seed=0):
        """Learn the domain.

        The ranges exclude at either end as large a fraction of the training maps, at most 1 %, as is possible
        with at most half of ``flagged`` of the validation maps outside any range; if the full ranges are too
        narrow for this, all are widened by the same fraction of their width. The ranges of seeing and
        distance, which are chosen by the recipe, are the full ones; that of the pixel scale includes 0.1 to 1
        arcsec, for which a model sees the same cluster at another distance. The largest allowed distance to
        the neighbours, or with a ``likeness`` this and the largest score of it, are then set such that the
        other half is flagged. These are conformal quantiles (Lei et al. 2018): of new maps from the
        distribution of the validation maps at most about ``flagged`` are flagged.

        Parameters
        ----------
        training, validation : dict
            Results of `~pidoc.inference.features`. The validation maps should be of other simulations than
            the training maps. If both have the distance, the domains with and without a given distance are
            learned. For a ``likeness`` that needs it, the validation maps with their ``encoding``.
        likeness : `~pidoc.inference.likeness.Likeness`, optional
            Network that recognises altered maps.
        flagged : float, optional
            Fraction of the validation maps that may be flagged.
        seed : int, optional
            Seed of the selection of maps that are kept.

        Returns
        -------
        Domain

        Raises
        ------
        ValueError
            If there are too few maps, or a quantity is finite only in some maps.
        """
        plain_number(flagged, 'flagged', above=0, below=1)
        known = [feature.name for feature in FEATURES if _known(training, 'training', feature.name)
                 and _known(validation, 'validation', feature.name)]
        check_numbers(len(training['total_flux']), len(validation['total_flux']), flagged)
        ranges = _ranges(training, validation, known, 0.5 * flagged)
        reference = _reference(training, known, seed)
        modes = [mode for mode in _JOINT if set(_JOINT[mode]) <= set(known)]
        domain = cls(ranges, reference, dict.fromkeys(modes, math.inf), likeness)
        share = 0.5 * flagged / (1 if likeness is None else 2)
        for mode in domain.thresholds:
            apart, _ = domain._spaces[mode].apart(on_scale(validation, _JOINT[mode]))
            domain.thresholds[mode] = round(_conformal(apart, share), _DECIMALS)
            if likeness is not None:
                scores = likeness.scores(likeness.inputs(validation, distance=mode == 'distance'))
                domain.most_unlike[mode] = round(_conformal(scores, share), _DECIMALS)
        return domain

    def check(self, measured):
        """Compare maps with the training maps.

        Parameters
        ----------
        measured : dict
            Result of `~pidoc.inference.features`. If a distance is NaN, quantities that depend on it are
            ignored. May have ``age_error`` and so on, for what is given: a value is flagged if it is outside
            its range by more than its error.

        Returns
        -------
        list of Verdict
            One result for each map.
        """
        number = len(measured['total_flux'])
        found = [[] for _ in range(number)]
        for name, (low, high) in self.ranges.items():
            feature = _BY_NAME[name]
            values = np.asarray(measured[name], dtype=float)
            spare = _spare(measured, name)
            bad = ~((feature.inside(values + spare) >= low) & (feature.inside(values - spare) <= high))
            if name in _OPTIONAL:
                bad &= ~np.isnan(values)
            for k in np.flatnonzero(bad):
                found[k].append((name, _sentence(feature, values[k], low, high)))
        self._check_combination(measured, found)
        self._check_likeness(measured, found)
        return [Verdict(flag_bits(*(name for name, _ in each)), tuple(text for _, text in each))
                for each in found]

    def _check_combination(self, measured, found):
        given = np.isfinite(measured['distance'])
        for mode, rows in (('image', ~given), ('distance', given)):
            # if distances are unknown in training, a given one has no effect
            mode = mode if mode in self._spaces else 'image'
            rows = np.flatnonzero(rows)
            if not rows.size or mode not in self._spaces:
                continue
            some = {name: np.asarray(measured[name])[rows] for name in _JOINT[mode]}
            numbers = on_scale(some, _JOINT[mode])
            apart, most = self._spaces[mode].apart(numbers)
            for k in np.flatnonzero(apart > self.thresholds[mode]):
                feature = _BY_NAME[_JOINT[mode][most[k]]]
                value = _show(feature, float(measured[feature.name][rows[k]]))
                found[rows[k]].append(('combination', (
                    f'combination: the map stands {apart[k]:.2g} apart from those of the training, at most '
                    f'{self.thresholds[mode]:.2g} is usual, most of all in {feature.name} ({value}), for its '
                    f'{", ".join(n for n in _JOINT[mode] if n != feature.name)}')))

    def _check_likeness(self, measured, found):
        if self.likeness is None:
            return
        inputs = self.likeness.inputs(measured)
        modes = np.where(inputs[:, -1] > 0.0, 'distance', 'image')
        limits = np.array([self.most_unlike.get(mode, self.most_unlike['image']) for mode in modes])
        rows = np.flatnonzero(self.likeness.scores(inputs) > limits)
        for k, name in zip(rows, self.likeness.most_unlike(inputs[rows]), strict=True):
            what = ('its pattern of light' if name == 'encoding' else
                    f'{name} ({_show(_BY_NAME[name], float(measured[name][k]))})')
            found[k].append(('combination', (
                'combination: the map looks less like those of the training than like altered ones (other '
                'light, two clusters, stars without a cluster, other combinations), most of all in '
                + what)))

    def to_dict(self):
        """The domain as plain numbers, for JSON.

        Returns
        -------
        dict
        """
        values = {'format': _FORMAT, 'ranges': {name: list(ends) for name, ends in self.ranges.items()},
                  'thresholds': self.thresholds,
                  'reference': {name: [round(float(value), _DECIMALS) for value in values]
                                for name, values in self.reference.items()}}
        if self.likeness is not None:
            values |= {'likeness': self.likeness.to_dict(), 'most_unlike': self.most_unlike}
        return values

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
            If it has another format or is incomplete.
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
            likeness = Likeness.from_dict(values['likeness']) if 'likeness' in values else None
            return cls(values['ranges'], values['reference'], values['thresholds'], likeness,
                       {} if likeness is None else values['most_unlike'])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError('a domain must have numbers for each of its quantities, received one that is '
                             f'damaged: {error!r}') from error


_OPTIONAL = ('sharp_scatter', 'seeing', 'distance', 'luminosity', 'size', *GIVEN)


def _spare(measured, name):
    """How far outside of its range a given value may be, 0 for others."""
    error = np.asarray(measured.get(f'{name}_error', 0.0), dtype=float) if name in GIVEN else 0.0
    return np.where(np.isfinite(error), error, 0.0)


def _known(maps, what, name):
    """Whether a quantity is known for all maps; if only for some, an error is raised."""
    finite = np.isfinite(np.asarray(maps[name], dtype=float))
    if finite.all():
        return True
    if finite.any() or name not in _OPTIONAL:
        raise ValueError(f'{name} must be finite in all maps of the {what}, received '
                         f'{np.count_nonzero(~finite)} of {finite.size} that are not')
    return False


def _ranges(training, validation, known, share):
    """The narrowest ranges that exclude at most a given fraction of the validation maps."""
    for tail in _TAILS:
        ranges = {name: _range(_BY_NAME[name], training[name], tail) for name in known}
        widening = _conformal(_excess(ranges, validation), share)
        if widening <= 0.0:
            break
    widened = {name: _widened(low, high, 0.0 if name in _CHOSEN else widening)
               for name, (low, high) in ranges.items()}
    return {name: (0.0 if _BY_NAME[name].from_zero else low, high) for name, (low, high) in widened.items()}


def _range(feature, values, tail):
    values = np.asarray(values, dtype=float)
    if feature.name == 'pixel_scale':
        low, high = min(_PIXEL_SCALES[0], values.min()), max(_PIXEL_SCALES[1], values.max())
        return float(low) * (1.0 - _PIXEL_TOLERANCE), float(high) * (1.0 + _PIXEL_TOLERANCE)
    ends = (0.0, 1.0) if feature.name in _CHOSEN else (tail, 1.0 - tail)
    low, high = np.quantile(feature.inside(values), ends).tolist()
    beyond = _MEASURED * (high - low) if feature.name in GIVEN else 0.0
    return low - beyond, high + beyond


def _excess(ranges, maps):
    """Largest distance of each map outside a range that can be widened, in widths; negative inside."""
    worst = np.full(len(maps['total_flux']), -np.inf)
    for name in set(ranges) - set(_CHOSEN):
        low, high = ranges[name]
        numbers = _BY_NAME[name].inside(np.asarray(maps[name]))
        worst = np.maximum(worst, np.maximum(low - numbers, numbers - high) / _width(low, high))
    return worst


def _width(low, high):
    # a quantity that is constant in training has no width
    return max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-6)


def _widened(low, high, share):
    grown = max(share, 0.0) * _width(low, high)
    # slightly more, for rounding in the file and for constant quantities
    spare = 1e-3 * _width(low, high) + 1e-6
    return round(low - grown - spare, 6), round(high + grown + spare, 6)


def _conformal(scores, share):
    """The value that at most a given fraction of new scores will exceed."""
    rank = min(math.ceil((scores.size + 1) * (1.0 - share)), scores.size)
    return float(np.sort(scores)[rank - 1])


def _reference(training, known, seed):
    names = [name for name in _JOINT['distance'] if name in known]
    number = len(training['total_flux'])
    rows = np.sort(np.random.default_rng(seed).permutation(number)[:_REFERENCE])
    numbers = on_scale({name: np.asarray(training[name])[rows] for name in names}, names)
    return {name: np.round(column, _DECIMALS) for name, column in zip(names, numbers.T, strict=True)}


class _Space:
    """Training maps as points: quantities minus their median, divided by their scatter."""

    def __init__(self, reference, names):
        from scipy.spatial import cKDTree

        points = np.column_stack([reference[name] for name in names]).astype(float)
        self.middle = np.median(points, axis=0)
        spread = 1.4826 * np.median(np.abs(points - self.middle), axis=0)
        self.spread = np.where(spread > 0.0, spread, 1.0)
        self.points = (points - self.middle) / self.spread
        self.tree = cKDTree(self.points)

    def apart(self, numbers):
        """Distance to the third neighbour, and the quantity that contributes most to it."""
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
