# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What a model, or a baseline, finds for some maps: `Estimates`."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ['ENDS', 'Estimates', 'Interval']

ENDS = 'value', 'low_68', 'high_68', 'low_95', 'high_95'
"""Of a quantity and its intervals, in the order in which they are given."""


@dataclass(frozen=True)
class Interval:
    """A quantity of n maps with the ends of its 68 % and 95 % intervals.

    Parameters
    ----------
    value : ndarray, shape (n,)
    low_68, high_68, low_95, high_95 : ndarray, shape (n,), optional
        None where they are not known, as of baselines.
    """

    value: np.ndarray
    low_68: np.ndarray = None
    high_68: np.ndarray = None
    low_95: np.ndarray = None
    high_95: np.ndarray = None

    @property
    def ends(self):
        """Both ends of 68 % and both of 95 %."""
        return self.low_68, self.high_68, self.low_95, self.high_95


@dataclass(frozen=True)
class Estimates:
    """What a model, or a baseline, finds for n light maps.

    Parameters
    ----------
    mass : ndarray of float32, shape (n, ny, nx)
        Mass per pixel [Msun].
    log_mass_error : ndarray of float32, shape (n, ny, nx), optional
        Half-width of the 68 % interval of its natural logarithm; None where it is not known.
    scalars : dict, optional
        Of `Interval`, physical values in the units of `pidoc.networks.variables.OUTPUTS`. Baselines have
        some of them only.
    posterior : `~pidoc.inference.posterior.Posterior`, optional
        The joint posterior that the intervals are margins of.
    tension : dict, optional
        Name of a constraint -> by how many standard deviations, shape (n,), the value given differs from what
        the image and the other constraints say; NaN where it is not given.
    """

    mass: np.ndarray
    log_mass_error: np.ndarray = None
    scalars: dict = field(default_factory=dict)
    posterior: Any = None
    tension: dict = field(default_factory=dict)

    def __len__(self):
        return len(self.mass)
