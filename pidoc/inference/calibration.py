# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Calibrated posteriors: factors that widen the networks' intervals, for each set of given properties."""

import math
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

__all__ = ['Calibration', 'IMAGE_ONLY', 'LOW_MASS', 'OF_CLUSTER', 'PIXEL_MASS', 'given_names', 'subsets']

PIXEL_MASS = 'pixel_mass'
"""Name of the mass per pixel among the calibrated quantities."""

IMAGE_ONLY = 'image'
"""Name of the case without given properties."""

LOW_MASS = 2e4
"""Msun: of clusters of less than that, most are nearly dissolved."""

OF_CLUSTER = ('cluster_mass', 'half_mass_radius', 'half_light_radius', 'mass_function_slope', 'dark_share',
              'black_hole_share')
"""Properties of the whole cluster, which an image of part of it shows least if it is nearly dissolved."""

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
    an exact posterior, define the intervals. Clusters of low mass are a group of their own: Mondrian
    conformal prediction (Vovk, Gammerman & Shafer 2005, *Algorithmic Learning in a Random World*, section
    4.5).

    Parameters
    ----------
    factors : dict, optional
        Given properties (`given_names`) -> quantity -> the two quantiles. Missing ones are 1 and 2.
    low_mass : dict, optional
        The same for clusters whose predicted mass is less than ``limit``, of some quantities. Missing ones
        are those of ``factors``.
    limit : float, optional
        [Msun].

    Raises
    ------
    ValueError
        If factors are not positive and increasing, or the limit is negative or not finite.
    """

    factors: dict = field(default_factory=dict)
    low_mass: dict = field(default_factory=dict)
    limit: float = LOW_MASS

    def __post_init__(self):
        for given, quantities in (*self.factors.items(), *self.low_mass.items()):
            for name, (low, high) in quantities.items():
                if not 0.0 < low < high < math.inf:
                    raise ValueError(f'the factors of {name} ({given}) must be positive and increasing, '
                                     f'received {low!r} and {high!r}')
        if not 0.0 <= self.limit < math.inf:
            raise ValueError('the limit of a calibration must be a mass in Msun, at least 0, received '
                             f'{self.limit!r}')

    def at(self, given, name, mass=None):
        """Factors of one quantity.

        Parameters
        ----------
        given : sequence of str
            Given properties of each map, in the form of `given_names`.
        name : str
        mass : ndarray, shape (n,), optional
            Predicted mass of each cluster [Msun]; without it none has a low mass.

        Returns
        -------
        ndarray, shape (n, 2)
            For 68 % and 95 %.
        """
        found = np.array([self.factors.get(each, {}).get(name, _NONE) for each in given])
        for k in () if mass is None else np.flatnonzero(np.asarray(mass) < self.limit):
            found[k] = self.low_mass.get(given[k], {}).get(name, found[k])
        return found

    @classmethod
    def fit(cls, scores, masses=None):
        """Compute the factors with `quantiles`.

        Parameters
        ----------
        scores : dict
            Given properties -> quantity -> absolute normal scores of the truth, shape (n,).
        masses : dict, optional
            Given properties -> predicted masses of the clusters [Msun], shape (n,). Quantities of
            `OF_CLUSTER` get factors for less than `LOW_MASS`, at least those of all maps, if 100 maps have
            that.

        Returns
        -------
        Calibration

        Raises
        ------
        ValueError
            As for `quantiles` and the class.
        """
        factors = {given: {name: cls.quantiles(values) for name, values in quantities.items()}
                   for given, quantities in scores.items()}
        low_mass = {}
        for given, mass in (masses or {}).items():
            low = np.asarray(mass) < LOW_MASS
            if np.count_nonzero(low) >= _LEAST_SCORES:
                low_mass[given] = {name: tuple(map(max, factors[given][name],
                                                   cls.quantiles(scores[given][name][low])))
                                   for name in OF_CLUSTER if name in scores[given]}
        return cls(factors, low_mass)

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
