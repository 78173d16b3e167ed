# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What networks say of n light maps: values and half-widths of intervals."""

from dataclasses import dataclass

import numpy as np

__all__ = ['Estimates', 'Interval']

@dataclass(frozen=True)
class Interval:
    """Estimates of one scalar for n maps: values, and half-widths of their 68 % and 95 % intervals."""

    value: np.ndarray
    half_68: np.ndarray
    half_95: np.ndarray


@dataclass(frozen=True)
class Estimates:
    """What networks say of n light maps.

    Parameters
    ----------
    mass : ndarray of float32, shape (n, ny, nx)
        Mass per pixel [Msun].
    log_mass_error : ndarray of float32, shape (n, ny, nx)
        Half-width of the 68 % interval of its natural logarithm.
    scalars : dict
        Of `Interval`: ``log_total_mass`` (ln of the mass in the field [Msun]), ``log_mass_to_light`` (ln of
        M/L_V in the field), ``age`` [Gyr], ``log_distance`` (ln kpc).
    """

    mass: np.ndarray
    log_mass_error: np.ndarray
    scalars: dict

    def __len__(self):
        return len(self.mass)
