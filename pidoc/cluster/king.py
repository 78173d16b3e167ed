# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""King (1966) models: structure, projected profile, and the potential for a concentration."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

__all__ = ['KingStructure', 'core_radius', 'king_density', 'king_potential', 'king_radius', 'king_structure',
           'king_surface_density']

# central potentials for which the integration has been checked
KING_W0_LIMITS = (0.1, 15.0)


class KingStructure(NamedTuple):
    """A King (1966) model in units of its core radius r_0 (King's radius) and G = M = 1.

    Attributes
    ----------
    radius : ndarray
        Grid of radii, from 0 to the tidal radius [r_0].
    potential : ndarray
        W, the relative potential in units of sigma^2, at these radii; 0 at the tidal radius.
    mass : ndarray
        Fraction of the mass inside these radii, from 0 to 1.
    half_mass_radius : float
        [r_0]
    tidal_radius : float
        [r_0]
    sigma : float
        Velocity parameter of the distribution function, in sqrt(G M / r_0).
    """

    radius: np.ndarray
    potential: np.ndarray
    mass: np.ndarray
    half_mass_radius: float
    tidal_radius: float
    sigma: float

    @property
    def concentration(self):
        """Logarithm of tidal over core radius, King's c."""
        return float(np.log10(self.tidal_radius))


def king_density(potential):
    """Density of a King model for a relative potential W, up to a constant.

    The integral of the lowered Maxwellian exp(W - u^2/2) - 1 over velocity u (King 1966; Binney &
    Tremaine 2008, eq. 4.111) written as exp(W) P(5/2, W), with P the regularised incomplete gamma
    function (Gieles & Zocchi 2015): free of cancellation, unlike the form with an error function.
    """
    from scipy.special import gammainc

    potential = np.maximum(potential, 0.0)
    return np.exp(potential) * gammainc(2.5, potential)


@lru_cache(maxsize=64)
def king_structure(w0):
    """Integrate Poisson's equation of a King (1966) model.

    With x = r / r_0 and r_0^2 = 9 sigma^2 / (4 pi G rho_0), Poisson's equation reads
    (x^2 W')' = -9 x^2 rho(W) / rho(W_0) (King 1966; Binney & Tremaine 2008, eq. 4.112).

    Parameters
    ----------
    w0 : float
        Central potential W_0, between 0.1 and 15.

    Returns
    -------
    KingStructure

    Raises
    ------
    ValueError
        If ``w0`` is out of range.

    Examples
    --------
    >>> round(king_structure(5.0).concentration, 2)
    1.03
    """
    from scipy.integrate import solve_ivp
    from scipy.interpolate import PchipInterpolator

    low, high = KING_W0_LIMITS
    if w0 is None or not low <= w0 <= high:
        raise ValueError(f'king_w0 must lie between {low:g} and {high:g}, received {w0}')

    central = king_density(w0)

    def slopes(x, state):
        potential, gravity = state  # gravity is G M(<x) in units of sigma^2 r_0
        return -gravity / x**2, 9.0 * x**2 * king_density(potential) / central

    def edge(x, state):
        return state[0]

    edge.terminal = True
    first = 1e-3  # W = W_0 - 3 x^2 / 2 to rounding this close to the centre
    solution = solve_ivp(
        slopes,
        (first, 1e5),
        (w0 - 1.5 * first**2, 3.0 * first**3),
        method='DOP853',
        rtol=1e-11,
        atol=1e-13,
        dense_output=True,
        events=edge,
    )
    tidal_radius = float(solution.t_events[0][0])
    total = float(solution.y_events[0][0][1])
    # fine both in the core and at the edge, where W vanishes
    inner = np.geomspace(first, 0.5 * tidal_radius, 4000)
    outer = tidal_radius * (1.0 - np.geomspace(0.5, 1e-3, 500)[1:])
    radius = np.concatenate((inner, outer))
    potential, gravity = solution.sol(radius)
    mass = gravity / total
    # near the edge the density is so low that the mass is constant in double precision
    growing = (np.diff(mass, prepend=0.0) > 1e-13 * mass) & (mass < 1.0 - 1e-13)
    radius = np.concatenate(([0.0], radius[growing], [tidal_radius]))
    potential = np.concatenate(([w0], potential[growing], [0.0]))
    mass = np.concatenate(([0.0], mass[growing], [1.0]))
    half_mass_radius = float(PchipInterpolator(mass, radius)(0.5))
    sigma = total**-0.5
    return KingStructure(radius, potential, mass, half_mass_radius, tidal_radius, sigma)


def king_radius(mass_fraction, *, w0):
    """Radius that contains a given fraction of the mass of a King model, in core radii r_0.

    Parameters
    ----------
    mass_fraction : float or array
        From 0 to 1.
    w0 : float
        Central potential W_0, between 0.1 and 15.

    Returns
    -------
    float or array

    Raises
    ------
    ValueError
        If ``w0`` is out of range.

    Examples
    --------
    >>> print(f'{king_radius(0.5, w0=5.0):.3f}')
    1.998
    """
    from scipy.interpolate import PchipInterpolator

    structure = king_structure(w0)
    # M(<x) ~ x^3 in the core: its cube root is interpolated accurately
    return PchipInterpolator(np.cbrt(structure.mass), structure.radius)(np.cbrt(mass_fraction))


@lru_cache(maxsize=64)
def king_potential(concentration):
    """Central potential W_0 of the King (1966) model with a concentration log10(r_t / r_0).

    Parameters
    ----------
    concentration : float
        Concentration in the range of globular clusters: 0.5 to 2.5.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If no King model between W_0 = 0.2 and 14.5 has it.

    Examples
    --------
    >>> print(f'{king_potential(1.03):.1f}')
    5.0
    """
    from scipy.optimize import brentq

    low, high = 0.2, 14.5
    ends = [king_structure(w0).concentration for w0 in (low, high)]
    if not ends[0] < concentration < ends[1]:
        raise ValueError(f'concentration must be between {ends[0]:.2f} and {ends[1]:.2f}, '
                         f'received {concentration}')
    return float(brentq(lambda w0: king_structure(w0).concentration - concentration, low, high, xtol=1e-3))


@lru_cache(maxsize=64)
def king_surface_density(w0):
    """Projected density of a King (1966) model: the integral of the density along the line of sight.

    Parameters
    ----------
    w0 : float
        Central potential W_0, between 0.1 and 15.

    Returns
    -------
    radius : ndarray
        From 0 to the tidal radius [r_0].
    density : ndarray
        At these radii, in units of the central one.

    Raises
    ------
    ValueError
        If ``w0`` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from pidoc.cluster.king import king_surface_density
    >>> radius, density = king_surface_density(5.0)
    >>> print(f'{np.interp(2.0, radius, density):.3f} {density[-1]:.0f}')
    0.128 0
    """
    radius = np.concatenate(([0.0], np.geomspace(1e-2, king_structure(w0).tidal_radius, 400)))
    density = _column_density(w0, radius, np.geomspace(1e-4, 1.0, 400))
    return radius, density / density[0]


def _column_density(w0, radius, steps):
    """Integrals of the density along half of a line of sight, in steps of it, up to the tidal radius."""
    from scipy.integrate import trapezoid
    from scipy.interpolate import PchipInterpolator

    structure = king_structure(w0)
    potential = PchipInterpolator(structure.radius, structure.potential)
    edge, radius = structure.tidal_radius, np.reshape(radius, (-1, 1))
    # closer to each other near the centre
    away = np.concatenate(([0.0], steps)) * np.sqrt(np.maximum(edge**2 - radius**2, 0.0))
    return trapezoid(king_density(potential(np.minimum(np.hypot(radius, away), edge))), away, axis=1)


@lru_cache(maxsize=64)
def core_radius(w0):
    """Core radius of a King model, where the projected density is half the central one, in units of r_0.

    Parameters
    ----------
    w0 : float
        Central potential W_0, between 0.1 and 15.

    Returns
    -------
    float

    Examples
    --------
    King's r_0 is slightly larger, especially for less concentrated models.

    >>> from pidoc.cluster.king import core_radius
    >>> print(f'{core_radius(3.0):.2f} {core_radius(9.0):.2f}')
    0.74 0.98
    """
    from scipy.optimize import brentq

    steps = np.geomspace(1e-3, 1.0, 2000)
    (center,) = _column_density(w0, 0.0, steps)

    def above_half(separation):
        return _column_density(w0, separation, steps)[0] - 0.5 * center

    return float(brentq(above_half, 1e-3, min(2.0, 0.99 * king_structure(w0).tidal_radius)))
