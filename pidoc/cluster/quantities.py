# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Global quantities of clusters, from plain arrays of their stars in Msun, pc and km/s.

`~pidoc.Snapshot` has them with units. Projected quantities are averages over all directions: each star is
treated as a shell, and nothing is drawn. The cosine of the angle between its position and the line of sight
is uniform, and a star at a radius r is within a separation R of the centre with the probability 1 - (1 - R^2
/ r^2)^(1/2). For an aspherical cluster they are averages over its orientations.
"""

import math

import numpy as np

from pidoc.cluster.mass_function import MassFunction
from pidoc.units import G, G_MYR

__all__ = ['escape_speed', 'half_separation', 'power_law_slope', 'relaxation_time', 'share_within',
           'sight_moment', 'unit_vector']


def share_within(radius, separation):
    """Probability that a star is within a projected separation of the centre, over all directions.

    Parameters
    ----------
    radius : array
        Distances of the stars from the centre.
    separation : float
        Projected separation, in the same unit.

    Returns
    -------
    array
        From 0 to 1; 1 if the radius is not larger.

    Examples
    --------
    >>> from pidoc.cluster.quantities import share_within
    >>> share_within([1.0, 2.0, 1e9], 1.6)
    array([1.00e+00, 4.00e-01, 1.28e-18])
    """
    radius = np.asarray(radius, dtype=float)
    square = np.ones_like(radius)
    np.divide(separation, radius, out=square, where=radius > separation)
    np.square(square, out=square)
    # 1 - (1 - x)^(1/2), exact for small x too
    return square / (1.0 + np.sqrt(1.0 - square))


def half_separation(radius, weight):
    """Projected separation that contains half of a weight, averaged over all directions.

    Parameters
    ----------
    radius : array
        Distances from the centre [pc], in increasing order.
    weight : array
        Masses or luminosities.

    Returns
    -------
    float
        In pc; NaN if all weights are zero.
    """
    from scipy.optimize import brentq

    cumulative = np.cumsum(weight)
    half = 0.5 * cumulative[-1]
    if not half > 0.0:
        return math.nan
    # not above the three-dimensional radius
    largest = float(radius[np.searchsorted(cumulative, half)])
    counts = weight > 0.0
    radius, weight = radius[counts], weight[counts]
    if not weight[radius == 0.0].sum() < half:
        return 0.0

    def excess(separation):
        return share_within(radius, separation) @ weight - half

    # except for rounding, if all other stars are at infinity
    return brentq(excess, 0.0, largest, xtol=1e-9 * largest) if excess(largest) > 0.0 else largest


def sight_moment(radius, v_r, v_t, separation):
    """Mean over all directions of the squared line-of-sight velocity, counted only within a separation.

    At a separation R the radial and the tangential motion contribute (1 - R^2 / r^2) v_r^2 and (R^2 / r^2)
    v_t^2 / 2 (Binney & Mamon 1982), here integrated up to the given separation. Its sum divided by that of
    `share_within` is the mean square in the aperture.

    Parameters
    ----------
    radius : array
        Distances from the centre [pc].
    v_r, v_t : array
        Radial and tangential velocities [km/s].
    separation : float
        Projected separation [pc].

    Returns
    -------
    array
        In (km/s)^2.
    """
    inside = share_within(radius, separation)
    # integrals of c^2 and 1 - c^2 over the cosine c from the edge of the aperture to 1
    across = inside**2 * (1.0 - inside / 3.0)
    return v_r**2 * (inside - across) + 0.5 * v_t**2 * across


def power_law_slope(mass, *, low, high, weight=None):
    """Slope of a power law dN/dm ~ m^slope between two masses, by maximum likelihood.

    For the truncated power law (Maschberger & Kroupa 2009, whose exponent is minus the slope; Clauset et al.
    2009 without an upper limit), unbinned. Logarithms of the masses have a truncated exponential
    distribution, and their mean is a sufficient statistic.

    Parameters
    ----------
    mass : array
        Masses; those outside the interval are ignored.
    low, high : float
        Ends of the interval, in the same unit.
    weight : array, optional
        Probability of each star to be included.

    Returns
    -------
    slope, error : float
        The standard error is for the expected number of stars. Both are NaN if no star is in the interval, or
        all are at one end of it.

    Examples
    --------
    >>> import numpy as np
    >>> from pidoc.cluster.quantities import power_law_slope
    >>> slope, error = power_law_slope(np.geomspace(0.2, 0.8, 1000), low=0.2, high=0.8)
    >>> print(f'{slope:.2f} +- {error:.2f}')
    -1.00 +- 0.08
    """
    mass = np.asarray(mass, dtype=float)
    inside = (mass >= low) & (mass <= high)
    weight = np.ones(mass.size) if weight is None else np.asarray(weight, dtype=float)
    number = weight[inside].sum()
    half_width = 0.5 * math.log(high / low)
    if not number > 0.0:
        return math.nan, math.nan
    # scaled to -1 to 1
    mean = float(weight[inside] @ np.log(mass[inside] / math.sqrt(low * high)) / (number * half_width))
    if not abs(mean) < 1.0 - 1e-12:
        return math.nan, math.nan
    steepness, information = _inverse_langevin(mean)
    return steepness / half_width - 1.0, 1.0 / (half_width * math.sqrt(number * information))


def _inverse_langevin(mean):
    """k of the density e^(k y) from -1 to 1 with a given mean, coth k - 1 / k, and its variance."""
    k = mean * (3.0 - mean**2) / (1.0 - mean**2)   # within 5 per cent (Cohen 1991)
    for _ in range(20):
        value, variance = _langevin(k)
        step = (value - mean) / variance
        k -= step
        if abs(step) <= 1e-12 * max(1.0, abs(k)):
            break
    return k, _langevin(k)[1]


def _langevin(k):
    if abs(k) < 0.01:
        return k / 3.0 - k**3 / 45.0, 1.0 / 3.0 - k**2 / 15.0
    cotangent = 1.0 / math.tanh(k)
    return cotangent - 1.0 / k, 1.0 / k**2 - (cotangent**2 - 1.0)


def escape_speed(radius, mass, at):
    """Escape speed from the stars, each of which is treated as a shell.

    (-2 Phi)^(1/2), with the enclosed mass divided by the radius, plus the sum of mass over radius outside, as
    the potential -Phi / G (Binney & Tremaine 2008, eq. 2.28). At the centre, stars exactly there are
    excluded.

    Parameters
    ----------
    radius, mass : array
        Radii and masses of the stars [pc, Msun], in increasing order of radius.
    at : array
        Radii at which the speed is computed [pc].

    Returns
    -------
    array
        In km/s.
    """
    at = np.asarray(at, dtype=float)
    inverse = np.zeros_like(radius)
    np.divide(mass, radius, out=inverse, where=radius > 0.0)
    within = np.concatenate(([0.0], np.cumsum(mass)))
    beyond = np.concatenate((np.cumsum(inverse[::-1])[::-1], [0.0]))
    place = np.searchsorted(radius, at, side='right')
    depth = np.zeros(at.shape)
    np.divide(within[place], at, out=depth, where=at > 0.0)
    return np.sqrt(2.0 * G * (depth + beyond[place]))


def relaxation_time(number, mass, half_mass_radius, *, gamma=MassFunction.coulomb_gamma):
    """Half-mass relaxation time.

    Spitzer & Hart (1971); Spitzer (1987), eq. 2-63: ``0.138 N^(1/2) r_h^(3/2) / (m^(1/2) G^(1/2) ln(gamma
    N))`` with the mean mass m; gamma is 0.11 for equal masses (Giersz & Heggie 1994); for a spectrum of
    masses see `pidoc.cluster.mass_function`.

    Parameters
    ----------
    number : int
        Number of single stars and binaries.
    mass : float
        Total mass [Msun].
    half_mass_radius : float
        In pc.
    gamma : float, optional
        Factor of the Coulomb logarithm; by default that of a mass spectrum.

    Returns
    -------
    float
        In Myr; NaN if gamma N is not above 1, or there is no mass.

    Examples
    --------
    >>> from pidoc.cluster.quantities import relaxation_time
    >>> print(f'{relaxation_time(20000, 12205.0, 2.5):.0f}')
    213
    """
    encounters = gamma * number
    if not (encounters > 1.0 and mass > 0.0):
        return math.nan
    return 0.138 * number * math.sqrt(half_mass_radius**3 / (mass * G_MYR)) / math.log(encounters)


def unit_vector(direction):
    """Check a direction and normalise it to length 1.

    Parameters
    ----------
    direction : array-like of 3

    Returns
    -------
    array

    Raises
    ------
    ValueError
        If it is anything else.

    Examples
    --------
    >>> from pidoc.cluster.quantities import unit_vector
    >>> unit_vector([0, 3, 4])
    array([0. , 0.6, 0.8])
    """
    vector = np.asarray(direction, dtype=float)
    length = np.linalg.norm(vector) if vector.shape == (3,) else np.nan
    if not (np.isfinite(length) and length > 0.0):
        raise ValueError(f'direction must be three numbers, not all zero, received {direction!r}')
    return vector / length
