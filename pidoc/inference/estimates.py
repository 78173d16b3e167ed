# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What networks say of n light maps: values and half-widths of intervals."""

from dataclasses import dataclass, field

import numpy as np

__all__ = ['Estimates', 'Interval']

@dataclass(frozen=True)
class Interval:
    """Estimates of one scalar for n maps: values, and half-widths of 68 % and 95 % intervals if known."""

    value: np.ndarray
    half_68: np.ndarray = None
    half_95: np.ndarray = None


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
        Of `Interval`: ``log_total_mass`` (ln of the mass in the field [Msun]), ``log_mass_to_light`` (ln of
        M/L in the field), ``age`` [Gyr], ``log_distance`` (ln kpc). Baselines have some of them only.
    """

    mass: np.ndarray
    log_mass_error: np.ndarray = None
    scalars: dict = field(default_factory=dict)

    def __len__(self):
        return len(self.mass)
