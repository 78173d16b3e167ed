# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Calibrated intervals: how much wider than the networks say they must be."""

import math
from dataclasses import dataclass, field

import numpy as np

__all__ = ['Calibration']

MODES = ('image', 'distance')
"""The two modes: from the image only, and with the distance given."""

QUANTITIES = ('log_mass', 'log_total_mass', 'log_mass_to_light', 'age', 'log_distance')
"""Whose intervals are calibrated: ln of the mass per pixel, and the scalars."""

LEAST_SCORES = 100
_MIDDLE = 30.0             # kpc: where the factors of a calibration hold
_SMALLEST_MISS = 1e-2      # standard deviations


@dataclass(frozen=True)
class Calibration:
    """How much wider than the networks say intervals must be, measured on validation simulations.

    Split conformal prediction (Lei+ 2018, section 2.2): the half-width of an interval is the quantile of
    abs(estimate - truth) / sd over maps that were not trained on, times sd. Locally weighted (their section
    5.2): networks are surer of themselves at some distances than at others, so each sd is first multiplied by
    (d / 30 kpc)^slope, with d the distance that they find.

    Parameters
    ----------
    factors : dict
        mode -> quantity -> (68 %, 95 %) factors on the standard deviation at 30 kpc.
    slopes : dict, optional
        mode -> quantity -> slope; by default 0.
    distances : tuple of float, optional
        The nearest and the farthest distance [kpc] at which it was measured: it is as there beyond them.

    Raises
    ------
    ValueError
        If factors are not positive and increasing, slopes not finite, or the distances not in order.
    """

    factors: dict = field(default_factory=lambda: {
        mode: {name: (1.0, 2.0) for name in QUANTITIES} for mode in MODES})
    slopes: dict = field(default_factory=lambda: {mode: dict.fromkeys(QUANTITIES, 0.0) for mode in MODES})
    distances: tuple = (_MIDDLE, _MIDDLE)

    def __post_init__(self):
        near, far = self.distances
        if not 0.0 < near <= far < math.inf:
            raise ValueError('the distances of a calibration must be positive and in order, received '
                             f'{near!r} and {far!r} kpc')
        for mode in MODES:
            for name in QUANTITIES:
                low, high = self.factors[mode][name]
                if not 0.0 < low <= high < math.inf:
                    raise ValueError(f'the factors of {name} ({mode}) must be positive and increasing, '
                                     f'received {low!r} and {high!r}')
                if not math.isfinite(self.slopes[mode][name]):
                    raise ValueError(f'the slope of {name} ({mode}) must be finite, received '
                                     f'{self.slopes[mode][name]!r}')

    def at(self, mode, name, log_distance):
        """Factors on the standard deviations of one quantity.

        Parameters
        ----------
        mode, name : str
            Of `MODES` and `QUANTITIES`.
        log_distance : ndarray, shape (n,)
            ln of the distance [kpc] that networks find.

        Returns
        -------
        ndarray, shape (n, 2)
            For 68 and 95 %.
        """
        trend = _trend(self.slopes[mode][name], log_distance, self.distances)
        return trend[:, np.newaxis] * np.array(self.factors[mode][name])

    @classmethod
    def fit(cls, misses, distances):
        """Slopes by least squares of ln(score) against ln(d), then factors by `quantiles`.

        Parameters
        ----------
        misses : dict
            mode -> quantity -> scores abs(estimate - truth) / sd, and ln of the distance [kpc] that networks
            find in the same maps: `Estimator.misses`.
        distances : tuple of float
            The nearest and the farthest distance of the maps [kpc].

        Returns
        -------
        Calibration

        Raises
        ------
        ValueError
            As `quantiles` and the calibration itself.
        """
        factors, slopes = ({mode: {} for mode in misses} for _ in range(2))
        for mode, found in misses.items():
            for name, (scores, log_distance) in found.items():
                slope = _slope(scores, np.clip(log_distance, *np.log(distances)))
                slopes[mode][name] = slope
                factors[mode][name] = cls.quantiles(scores / _trend(slope, log_distance, distances))
        return cls(factors, slopes, tuple(distances))

    @staticmethod
    def quantiles(scores):
        """Factors from scores abs(estimate - truth) / sd: conformal quantiles for 68 % and 95 %.

        Parameters
        ----------
        scores : ndarray
            At least 100 of them.

        Returns
        -------
        tuple of float

        Raises
        ------
        ValueError
            If there are too few, or one is not finite.
        """
        scores = np.sort(np.ravel(scores))
        check_scores(scores.size)
        if not np.all(np.isfinite(scores)):
            raise ValueError('the scores of a calibration must be finite, received '
                             f'{np.count_nonzero(~np.isfinite(scores))} that are not')
        ranks = [min(math.ceil((scores.size + 1) * share), scores.size) for share in (0.6827, 0.9545)]
        return tuple(float(scores[rank - 1]) for rank in ranks)


def check_scores(number, what='scores'):
    """Refuse to calibrate with too few scores.

    Raises
    ------
    ValueError
        If there are fewer than 100.
    """
    if number < LEAST_SCORES:
        raise ValueError(f'a calibration needs at least {LEAST_SCORES} {what}, received {number}')


def _slope(scores, log_distance):
    """Least squares of ln(score) against ln(d); 0 where the distances are the same within 10 %."""
    away = log_distance - np.mean(log_distance, dtype=float)
    if np.std(away) < 0.1:
        return 0.0
    # a miss of nothing at all would count without limit
    return float(np.mean(away * np.log(np.maximum(scores, _SMALLEST_MISS))) / np.mean(away**2))


def _trend(slope, log_distance, distances):
    """(d / 30 kpc)^slope, as at the ends beyond the distances [kpc] of the calibration."""
    return np.exp(slope * (np.clip(log_distance, *np.log(distances)) - math.log(_MIDDLE)))
