# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Results of a model, or a baseline, for a set of maps: `Estimates`."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ['ENDS', 'Estimates', 'Interval']

ENDS = 'value', 'low_68', 'high_68', 'low_95', 'high_95'
"""Names of the ends of the intervals, in order."""


@dataclass(frozen=True)
class Interval:
    """A quantity for n maps with its 68 % and 95 % intervals.

    Parameters
    ----------
    value : ndarray, shape (n,)
    low_68, high_68, low_95, high_95 : ndarray, shape (n,), optional
        None if they are not known, as for baselines.
    """

    value: np.ndarray
    low_68: np.ndarray = None
    high_68: np.ndarray = None
    low_95: np.ndarray = None
    high_95: np.ndarray = None

    @property
    def ends(self):
        """Both ends of the 68 % and both of the 95 % interval."""
        return self.low_68, self.high_68, self.low_95, self.high_95


@dataclass(frozen=True)
class Estimates:
    """Results of a model, or a baseline, for n light maps.

    Parameters
    ----------
    mass : ndarray of float32, shape (n, ny, nx)
        Mass per pixel [Msun].
    log_mass_error : ndarray of float32, shape (n, ny, nx), optional
        Half-width of the 68 % interval of its natural logarithm; None if it is not known.
    scalars : dict, optional
        Name -> `Interval`, physical values in the units of `pidoc.networks.variables.OUTPUTS`. Baselines have
        only some of them.
    posterior : `~pidoc.inference.posterior.Posterior`, optional
        The joint posterior whose marginal intervals these are.
    tension : dict, optional
        Name of a constraint -> difference, in standard deviations, shape (n,), between the given value and
        that inferred from the image and the other constraints; NaN if it is not given.
    encoding : ndarray of float32, shape (n, k), optional
        How the maps appear to the network: see `~pidoc.inference.estimator.Estimator.encode`.
    """

    mass: np.ndarray
    log_mass_error: np.ndarray = None
    scalars: dict = field(default_factory=dict)
    posterior: Any = None
    tension: dict = field(default_factory=dict)
    encoding: np.ndarray = None

    def __len__(self):
        return len(self.mass)
