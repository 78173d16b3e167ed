# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Initial conditions: masses, positions and velocities of the stars of a new cluster.

A cluster is spherical and isotropic, without mass segregation, and starts in virial equilibrium. There are
two density profiles, Plummer's (drawn as by Aarseth, Henon & Wielen 1974) and King's (1966); mass functions
are those of `pidoc.cluster.mass_function`. A fraction of the bodies are binaries (`primordial_binaries`).

In this module all numbers are plain floats: Msun, pc, km/s. The functions that draw a profile work with G = M
= 1 and the profile's length unit; `initial_conditions` converts the units.
"""

from typing import NamedTuple

import numpy as np
from astropy import units as u

from pidoc.cluster.king import king_radius, king_structure
from pidoc.cluster.mass_function import MASS_FUNCTIONS
from pidoc.stellar import StellarEvolution
from pidoc.units import G

__all__ = [
    'Binaries', 'InitialConditions', 'NO_BINARIES', 'initial_conditions', 'king', 'kroupa_masses', 'pair_up',
    'plummer', 'plummer_radius', 'primordial_binaries', 'shell_energies', 'virialised',
]

# Fraction of a Plummer model's mass that is drawn. The rest is beyond 122 scale radii, outside any realistic
# tidal radius, and would dominate moments of the radius.
PLUMMER_MASS_FRACTION = 0.9999

# lowest mass for which the shallower slope of Kroupa (2001, eq. 2) applies [Msun]
KROUPA_LIMIT = 0.08


# Limits of the orbits of binaries, as in CMC and its catalogue (Kremer+ 2020; `addbinaries`, COSMIC's
# sampler): smallest semi-major axis (and periastron) over the sum of the stellar radii, and smallest orbital
# velocity over the mean relative velocity in the centre, 4 sigma / sqrt(3 pi) with the 3-D dispersion sigma.
CLOSEST_ORBIT = 5.0
HARD_SOFT = 0.7

# Mean and dispersion of log10(period / day): Duquennoy & Mayor (1991, section 6.3).
DUQUENNOY_MAYOR = (4.8, 2.3)

# number of central bodies for the dispersion at the hard/soft boundary: a fraction, and a lower limit
CENTRAL_SHARE, CENTRAL_BODIES = 0.01, 20


class Binaries(NamedTuple):
    """Binaries among the bodies of a new cluster.

    Attributes
    ----------
    body : ndarray of int, shape (m,)
        Indices of these bodies in `InitialConditions`.
    mass : ndarray, shape (m,)
        Masses of the second stars [Msun]; the first ones have the rest of the body's mass.
    semi_major_axis : ndarray, shape (m,)
        [au]
    eccentricity : ndarray, shape (m,)
        0 to 1.
    """

    body: np.ndarray
    mass: np.ndarray
    semi_major_axis: np.ndarray
    eccentricity: np.ndarray


NO_BINARIES = Binaries(np.empty(0, dtype=np.int64), *np.empty((3, 0)))


class InitialConditions(NamedTuple):
    """Bodies of a new cluster, single stars and binaries, sorted by radius.

    Attributes
    ----------
    mass : ndarray, shape (n,)
        Masses [Msun]; for a binary the total mass.
    radius : ndarray, shape (n,)
        Distances from the centre [pc], increasing.
    v_r : ndarray, shape (n,)
        Radial velocities [km/s].
    v_t : ndarray, shape (n,)
        Tangential speeds [km/s], not negative.
    binaries : Binaries or None
        The bodies that are binaries; None: all are single stars.
    """

    mass: np.ndarray
    radius: np.ndarray
    v_r: np.ndarray
    v_t: np.ndarray
    binaries: Binaries | None = None


def initial_conditions(model):
    """Draw the stars of a cluster.

    The half-mass radius of the model is that of the analytic profile (the whole Plummer model, the King
    model), so that of a realisation differs by shot noise. All random numbers are from
    ``numpy.random.default_rng(model.seed)``, first the masses, then radii and velocities; those of
    `primordial_binaries` have a separate generator.

    Parameters
    ----------
    model : pidoc.cluster.model.ClusterModel
        The model of the cluster.

    Returns
    -------
    InitialConditions
        Floats in Msun, pc and km/s, sorted by radius; 2 K = \\|W\\| except for rounding.

    Raises
    ------
    ValueError
        If the profile or the mass function is not known, or its parameters are out of range.
    """
    rng = np.random.default_rng(model.seed)
    lower, upper = model.mass_limits.to_value('Msun')
    mass = model.mass_function.draw(model.n_stars, rng, lower, upper)
    n_bodies = model.n_bodies
    pairs = None
    if n_bodies < model.n_stars:
        own = np.random.default_rng([model.seed, 4])
        mass, *pairs = pair_up(mass, model.n_stars - n_bodies, own)

    if model.profile == 'plummer':
        radius, v_r, v_t = plummer(n_bodies, rng)
        half_mass_radius = plummer_radius(0.5)
    elif model.profile == 'king':
        radius, v_r, v_t = king(n_bodies, rng, w0=model.king_w0)
        half_mass_radius = king_structure(model.king_w0).half_mass_radius
    else:
        raise ValueError(f"profile must be 'plummer' or 'king', received {model.profile!r}")

    radius = radius * (model.half_mass_radius.to_value('pc') / half_mass_radius)
    order = np.argsort(radius)
    # masses are independent of position, so only the phase-space coordinates are sorted
    initial = virialised(mass, radius[order], v_r[order], v_t[order])
    if pairs is None:
        return initial
    return initial._replace(binaries=primordial_binaries(
        initial, *pairs, own, metallicity=model.metallicity, periods=model.binary_periods))


# -- masses ---------------------------------------------------------------------------------------


def kroupa_masses(n_stars, rng, *, lower, upper):
    """Draw masses from the mass function of Kroupa (2001, eq. 2).

    Parameters
    ----------
    n_stars : int
    rng : numpy.random.Generator
    lower, upper : float
        Limits [Msun], ``0.08 <= lower < upper``.

    Returns
    -------
    ndarray, shape (n_stars,)
        Masses [Msun].

    Raises
    ------
    ValueError
        If the limits are not in order, or the lower one is in the range of brown dwarfs, where the power law
        has another slope.
    """
    if not KROUPA_LIMIT <= lower < upper:
        raise ValueError(
            f'mass limits must obey {KROUPA_LIMIT} <= lower < upper [Msun], '
            f'received {lower} and {upper}'
        )
    return MASS_FUNCTIONS['kroupa2001'].draw(n_stars, rng, lower, upper)


# -- binaries -------------------------------------------------------------------------------------


def pair_up(mass, number, rng):
    """Combine stars with given masses to binaries, which keeps the mass function of all stars.

    First stars are chosen at random. For each a companion mass is drawn uniformly between the lowest mass and
    its own, as for mass ratios in CMC (Kremer+ 2020), and the companion is the remaining star with the next
    higher mass, for all binaries in the order of the drawn masses. If more companions are needed than there
    are stars of that mass, their masses shift upwards.

    Parameters
    ----------
    mass : ndarray, shape (n,)
        Masses of all stars [Msun].
    number : int
        Number of binaries, at most n / 2.
    rng : numpy.random.Generator

    Returns
    -------
    mass : ndarray, shape (n - number,)
        Masses of binaries and of single stars [Msun], not ordered.
    body : ndarray of int, shape (number,)
        Indices of the binaries among them.
    second : ndarray, shape (number,)
        Masses of the lighter stars of the binaries [Msun].

    Examples
    --------
    >>> import numpy as np
    >>> from pidoc.simulation.initial import pair_up
    >>> mass, body, second = pair_up(np.array([0.2, 0.4, 0.6, 0.8]), 1, np.random.default_rng(1))
    >>> print(mass.size, f'{mass.sum():.1f}')
    3 2.0
    """
    order = rng.permutation(mass.size)
    first, rest = mass[order[:number]], np.sort(mass[order[number:]])
    wanted = rng.uniform(mass.min(), first)
    by_wish = np.argsort(wanted)
    rank = np.arange(number)
    # each index only once: the next free one, and none beyond the end
    place = rank + np.maximum.accumulate(np.searchsorted(rest, wanted[by_wish]) - rank)
    place = np.minimum(place, rest.size - number + rank)
    companion = np.empty(number)
    companion[by_wish] = rest[place]
    bodies = np.concatenate([first + companion, np.delete(rest, place)])
    where = rng.permutation(bodies.size)
    return bodies[np.argsort(where)], where[:number], np.minimum(first, companion)


def primordial_binaries(initial, body, second, rng, *, metallicity, periods):
    """Draw orbits of the binaries of a new cluster.

    Periods are drawn between two limits, those of nearly touching stars (semi-major axis five times the sum
    of the stellar radii) and of the boundary between hard and soft binaries (orbital velocity 0.7 times the
    mean relative velocity in the centre); if the second is smaller, orbits have the first. Eccentricities are
    thermal (Jeans 1919), up to the value for which the periastron distance equals the first limit. All of
    this is as in CMC.

    Parameters
    ----------
    initial : InitialConditions
        Bodies of a new cluster.
    body : ndarray of int, shape (m,)
        Indices of the binaries among them.
    second : ndarray, shape (m,)
        Masses of the lighter stars of the binaries [Msun].
    rng : numpy.random.Generator
    metallicity : float
        Mass fraction of metals, for the stellar radii.
    periods : {'log-uniform', 'duquennoy1991'}
        Uniform in the logarithm, or the log-normal distribution of Duquennoy & Mayor (1991).

    Returns
    -------
    Binaries
    """
    from scipy.special import ndtr, ndtri

    mass = initial.mass[body]
    stars = StellarEvolution(metallicity)
    reach = sum(stars.state(m, 0.0).radius for m in (mass - second, second)) * u.Rsun
    closest = CLOSEST_ORBIT * reach.to_value(u.au)
    slowest = HARD_SOFT * 4.0 / np.sqrt(3.0 * np.pi) * _central_dispersion(initial)
    widest = np.maximum((G * mass / slowest**2 * u.pc).to_value(u.au), closest)
    low, high = (np.log10(_period(a, mass)) for a in (closest, widest))
    share = rng.random(body.size)
    if periods == 'log-uniform':
        log_period = low + share * (high - low)
    else:
        mean, width = DUQUENNOY_MAYOR
        below, above = (ndtr((x - mean) / width) for x in (low, high))
        log_period = mean + width * ndtri(below + share * (above - below))
    semi_major_axis = closest * 10.0 ** ((log_period - low) / 1.5)
    highest = 1.0 - closest / semi_major_axis
    eccentricity = np.maximum(highest, 0.0) * np.sqrt(rng.random(body.size))
    return Binaries(body, second, semi_major_axis, eccentricity)


def _period(semi_major_axis, mass):
    """Orbital period [day] for a semi-major axis [au] and a total mass [Msun]: Kepler's third law."""
    return 365.25 * np.sqrt(semi_major_axis**3 / mass)


def _central_dispersion(initial):
    """Three-dimensional velocity dispersion of the innermost bodies, weighted by mass [km/s]."""
    inner = slice(max(CENTRAL_BODIES, int(CENTRAL_SHARE * initial.mass.size)))
    square = initial.v_r[inner] ** 2 + initial.v_t[inner] ** 2
    return np.sqrt(np.average(square, weights=initial.mass[inner]))


# -- Plummer --------------------------------------------------------------------------------------


def plummer_radius(mass_fraction):
    """Radius that contains a given fraction of the mass of a Plummer model, in scale radii.

    Aarseth, Henon & Wielen (1974, appendix).

    Examples
    --------
    >>> round(float(plummer_radius(0.5)), 6)
    1.304766
    """
    return (np.asarray(mass_fraction, dtype=float) ** (-2.0 / 3.0) - 1.0) ** -0.5


def plummer(n_stars, rng, *, mass_fraction=PLUMMER_MASS_FRACTION):
    """Draw radii and velocities of a Plummer model with G = M = scale radius = 1.

    Based on the appendix of Aarseth, Henon & Wielen (1974). For their distribution of the speed in units of
    the escape speed, q^2 (1 - q^2)^(7/2), q^2 has a beta distribution with parameters 3/2 and 9/2; it is
    drawn directly, not by rejection.

    Parameters
    ----------
    n_stars : int
    rng : numpy.random.Generator
    mass_fraction : float, optional
        Fraction of the mass, from the centre outwards, that is drawn.

    Returns
    -------
    radius, v_r, v_t : ndarray, shape (n_stars,)
        Not sorted.
    """
    # 1 - random() is in (0, 1]: no star at a mass fraction of exactly zero
    radius = plummer_radius(mass_fraction * (1.0 - rng.random(n_stars)))
    escape_speed = np.sqrt(2.0) * (1.0 + radius**2) ** -0.25
    speed = escape_speed * np.sqrt(rng.beta(1.5, 4.5, n_stars))
    return radius, *_isotropic(speed, rng)


# -- King -----------------------------------------------------------------------------------------


def king(n_stars, rng, *, w0):
    """Draw radii and velocities of a King (1966) model with G = M = core radius r_0 = 1.

    Parameters
    ----------
    n_stars : int
    rng : numpy.random.Generator
    w0 : float
        Central potential W_0, between 0.1 and 15.

    Returns
    -------
    radius, v_r, v_t : ndarray, shape (n_stars,)
        Not sorted.

    Raises
    ------
    ValueError
        If ``w0`` is out of range.
    """
    from scipy.interpolate import PchipInterpolator

    structure = king_structure(w0)
    radius = king_radius(1.0 - rng.random(n_stars), w0=w0)
    potential = PchipInterpolator(structure.radius, structure.potential)(radius)
    return radius, *_isotropic(structure.sigma * _king_speeds(potential, rng), rng)


def _king_speeds(potential, rng):
    """Speeds in sigma from f ~ exp(W - u^2/2) - 1, by rejection.

    For y = u^2/2 the density is sqrt(y) (exp(W - y) - 1). Candidates are from sqrt(y) (W - y), the limit for
    small W, where y is W times a beta variable; the ratio of the two decreases with y.
    """
    energy = np.zeros_like(potential)
    todo = np.flatnonzero(potential > 0.0)
    while todo.size:
        depth = potential[todo]
        left = depth * rng.beta(2.0, 1.5, todo.size)  # W - y
        accepted = rng.random(todo.size) * np.expm1(depth) * left < np.expm1(left) * depth
        energy[todo[accepted]] = (depth - left)[accepted]
        todo = todo[~accepted]
    return np.sqrt(2.0 * energy)


# -- common to both -------------------------------------------------------------------------------


def _isotropic(speed, rng):
    """Split speeds into radial velocity and tangential speed, for isotropic directions."""
    cosine = rng.uniform(-1.0, 1.0, speed.size)
    return speed * cosine, speed * np.sqrt(1.0 - cosine**2)


def shell_energies(mass, radius, v_r, v_t):
    """Kinetic and potential energy of stars treated as thin spherical shells.

    Henon's (1971) potential, without the self-interaction of a star:
    W = -G sum_i m_i M_i / r_i, where M_i is the mass of the stars inside star i.

    Parameters
    ----------
    mass, radius, v_r, v_t : ndarray, shape (n,)
        Msun, pc, km/s; sorted by radius.

    Returns
    -------
    kinetic, potential : float
        Msun (km/s)^2.

    Raises
    ------
    ValueError
        If the stars are not sorted by radius.

    Examples
    --------
    Two shells of 1 Msun at 1 and 2 pc, in units of G: the outer one is in the potential of the inner one.

    >>> import numpy as np
    >>> from pidoc.units import G
    >>> still = np.zeros(2)
    >>> _, potential = shell_energies(np.ones(2), np.array([1.0, 2.0]), still, still)
    >>> round(float(potential / G), 6)
    -0.5
    """
    if np.any(np.diff(radius) < 0.0):
        raise ValueError('stars must be sorted by radius, received radii that decrease')
    kinetic = 0.5 * np.sum(mass * (v_r**2 + v_t**2))
    potential = -G * np.sum(mass * (np.cumsum(mass) - mass) / radius)
    return kinetic, potential


def virialised(mass, radius, v_r, v_t):
    """Scale velocities to virial equilibrium: twice the kinetic energy equals the absolute potential energy.

    The potential is that of `shell_energies`. The scale of the input velocities is irrelevant.

    Parameters
    ----------
    mass, radius, v_r, v_t : ndarray, shape (n,)
        Msun, pc, any unit of velocity; sorted by radius.

    Returns
    -------
    InitialConditions
        Velocities in km/s.

    Raises
    ------
    ValueError
        If the stars are not sorted by radius.
    """
    kinetic, potential = shell_energies(mass, radius, v_r, v_t)
    factor = np.sqrt(-0.5 * potential / kinetic)
    return InitialConditions(mass, radius, v_r * factor, v_t * factor)
