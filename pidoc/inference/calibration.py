# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Calibrated posteriors: factors that widen the networks' intervals, for each set of given properties."""

import math
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

__all__ = ['Calibration', 'IMAGE_ONLY', 'PIXEL_MASS', 'given_names', 'subsets']

PIXEL_MASS = 'pixel_mass'
"""Name of the mass per pixel among the calibrated quantities."""

IMAGE_ONLY = 'image'
"""Name of the case without given properties."""

_LEAST_SCORES = 100
_NONE = 1.0, 2.0          # factors without effect


def subsets(constraints):
    """All subsets of constraints that can be given.

    Parameters
    ----------
    constraints : iterable of `~pidoc.networks.variables.Constraint`
        Those that are known exactly, such as the seeing, are excluded.

    Returns
    -------
    list of tuple of str
        From the empty to the full set.

    Examples
    --------
    >>> from pidoc.inference.calibration import subsets
    >>> from pidoc.networks.variables import CONSTRAINTS
    >>> subsets([CONSTRAINTS['distance'], CONSTRAINTS['age'], CONSTRAINTS['seeing']])
    [(), ('distance',), ('age',), ('distance', 'age')]
    """
    names = [each.name for each in constraints if each.errors is not None]
    return [chosen for number in range(len(names) + 1) for chosen in combinations(names, number)]


def given_names(chosen):
    """The name of a subset: 'image', or constraints joined by '+'."""
    return '+'.join(chosen) or IMAGE_ONLY


@dataclass(frozen=True)
class Calibration:
    """Factors that widen marginal intervals, measured on simulations not used in training.

    Split conformal prediction (Lei+ 2018, section 2.2), with the absolute normal score of the truth in its
    predicted distribution as the conformity score: its 68.27 % and 95.45 % quantiles, which are 1 and 2 for
    an exact posterior, define the intervals.

    Parameters
    ----------
    factors : dict, optional
        Given properties (`given_names`) -> quantity -> the two quantiles. Missing ones are 1 and 2.

    Raises
    ------
    ValueError
        If factors are not positive and increasing.
    """

    factors: dict = field(default_factory=dict)

    def __post_init__(self):
        for given, quantities in self.factors.items():
            for name, (low, high) in quantities.items():
                if not 0.0 < low < high < math.inf:
                    raise ValueError(f'the factors of {name} ({given}) must be positive and increasing, '
                                     f'received {low!r} and {high!r}')

    def at(self, given, name):
        """Factors of one quantity.

        Parameters
        ----------
        given : sequence of str
            Given properties of each map, in the form of `given_names`.
        name : str

        Returns
        -------
        ndarray, shape (n, 2)
            For 68 % and 95 %.
        """
        return np.array([self.factors.get(each, {}).get(name, _NONE) for each in given])

    @classmethod
    def fit(cls, scores):
        """Compute the factors with `quantiles`.

        Parameters
        ----------
        scores : dict
            Given properties -> quantity -> absolute normal scores of the truth, shape (n,).

        Returns
        -------
        Calibration

        Raises
        ------
        ValueError
            As for `quantiles` and the class.
        """
        return cls({given: {name: cls.quantiles(values) for name, values in quantities.items()}
                    for given, quantities in scores.items()})

    @staticmethod
    def quantiles(scores):
        """Conformal quantiles for 68.27 % and 95.45 %.

        Parameters
        ----------
        scores : ndarray
            Scores, at least 100, not negative.

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
        low, high = (float(scores[rank - 1]) for rank in ranks)
        # half of the scores may be equal
        return low, max(high, low * (1.0 + 1e-6))


def check_scores(number, what='scores'):
    """Reject a calibration with too few scores.

    Raises
    ------
    ValueError
        If there are fewer than 100.
    """
    if number < _LEAST_SCORES:
        raise ValueError(f'a calibration needs at least {_LEAST_SCORES} {what}, received {number}')
