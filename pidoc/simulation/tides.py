# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The tidal field of the galaxy: tidal radius on an orbit, and escape of stars.

There are two galaxies, the Milky Way of Miholics, Webb & Sills (2014) and a logarithmic potential. The orbit
is in the plane of the disc. An eccentric orbit is represented by its perigalacticon.

In this module all numbers are plain floats: Msun, pc, km/s, Myr. Energies are per unit mass.
"""

import math

import numpy as np

from pidoc.units import G, KMS_IN_PC_PER_MYR

__all__ = [
    'LogarithmicGalaxy', 'MilkyWay', 'TidalField', 'check_tidally_bound', 'critical_energy',
    'orbital_frequency', 'remaining_fraction',
]


class MilkyWay:
    """Milky Way of Miholics, Webb & Sills (2014), in the plane of its disc.

    A point-mass bulge of 1.5e10 Msun, a Miyamoto & Nagai (1975) disc of 5e10 Msun with a = 4 kpc and b = 0.5
    kpc, and a logarithmic halo for which the circular velocity at 8.5 kpc is 220 km/s: NBODY6's field of
    point mass, disc and halo. As there, the circular velocity of the halo tends to 220 km/s at large radii,
    which determines its core radius: 8.81 kpc.

    The parameters are those of a sample input published by one of the authors with a variant of NBODY6 (the
    2014 paper describes them in words), which also gives 231.8 km/s for a circular orbit at 20 kpc.

    Examples
    --------
    >>> import math
    >>> print(f'{math.sqrt(20e3 * MilkyWay().slope(20e3)):.1f} km/s')
    231.8 km/s
    """

    BULGE_MASS = 1.5e10
    DISC_MASS = 5.0e10
    DISC_SCALE = 4000.0 + 500.0  # a + b: only the sum matters in the plane
    CIRCULAR_VELOCITY = 220.0
    SOLAR_DISTANCE = 8500.0

    def __init__(self):
        distance, velocity = self.SOLAR_DISTANCE, self.CIRCULAR_VELOCITY
        baryons = self._bulge_and_disc_slope(distance) * distance
        # v^2 R^2 / (R^2 + c^2) must supply the rest of v^2 at 8.5 kpc
        self.halo_core_radius = distance * math.sqrt(baryons / (velocity**2 - baryons))

    def _bulge_and_disc_slope(self, r):
        disc = G * self.DISC_MASS * r / (r**2 + self.DISC_SCALE**2) ** 1.5
        return G * self.BULGE_MASS / r**2 + disc

    def potential(self, r):
        """Potential at distance ``r`` [pc] from the centre [(km/s)^2], up to a constant."""
        halo = 0.5 * self.CIRCULAR_VELOCITY**2 * math.log(r**2 + self.halo_core_radius**2)
        disc = -G * self.DISC_MASS / math.hypot(r, self.DISC_SCALE)
        return -G * self.BULGE_MASS / r + disc + halo

    def slope(self, r):
        """First derivative of the potential [(km/s)^2 / pc]."""
        halo = self.CIRCULAR_VELOCITY**2 * r / (r**2 + self.halo_core_radius**2)
        return self._bulge_and_disc_slope(r) + halo

    def curvature(self, r):
        """Second derivative of the potential [(km/s)^2 / pc^2]."""
        scale, core = self.DISC_SCALE**2, self.halo_core_radius**2
        bulge = -2.0 * G * self.BULGE_MASS / r**3
        disc = G * self.DISC_MASS * (scale - 2.0 * r**2) / (r**2 + scale) ** 2.5
        halo = self.CIRCULAR_VELOCITY**2 * (core - r**2) / (r**2 + core) ** 2
        return bulge + disc + halo


class LogarithmicGalaxy:
    """The potential v^2 ln r, with a constant circular velocity v.

    Parameters
    ----------
    circular_velocity : float
        [km/s]

    Examples
    --------
    >>> from pidoc.simulation.tides import LogarithmicGalaxy, orbital_frequency
    >>> print(f'{orbital_frequency(LogarithmicGalaxy(220.0), 8000.0, 8000.0):.4f} km/s/pc')
    0.0275 km/s/pc
    """

    def __init__(self, circular_velocity):
        self.circular_velocity = circular_velocity

    def potential(self, r):
        """Potential at distance ``r`` [pc] from the centre [(km/s)^2], up to a constant."""
        return self.circular_velocity**2 * math.log(r)

    def slope(self, r):
        """First derivative of the potential [(km/s)^2 / pc]."""
        return self.circular_velocity**2 / r

    def curvature(self, r):
        """Second derivative of the potential [(km/s)^2 / pc^2]."""
        return -((self.circular_velocity / r) ** 2)


def orbital_frequency(galaxy, perigalacticon, apogalacticon):
    """Angular velocity of the cluster at its perigalacticon.

    Energy and angular momentum are the same at both ends of the orbit, where the radial velocity is
    zero: L^2 = 2 (Phi(R_a) - Phi(R_p)) / (R_p^-2 - R_a^-2), and Omega = L / R_p^2. A circular orbit
    has Omega^2 = Phi'(R) / R.

    Parameters
    ----------
    galaxy : MilkyWay, LogarithmicGalaxy or alike
        Object with ``potential`` and ``slope``.
    perigalacticon, apogalacticon : float
        Distances from the centre of the galaxy [pc].

    Returns
    -------
    float
        [km/s / pc]
    """
    if apogalacticon - perigalacticon < 1e-8 * apogalacticon:  # would be 0 / 0
        return math.sqrt(galaxy.slope(apogalacticon) / apogalacticon)
    gain = galaxy.potential(apogalacticon) - galaxy.potential(perigalacticon)
    momentum_squared = 2.0 * gain / (perigalacticon**-2 - apogalacticon**-2)
    return math.sqrt(momentum_squared) / perigalacticon**2


class TidalField:
    """The galaxy's tidal field on the orbit of a cluster.

    Parameters
    ----------
    model : pidoc.cluster.model.ClusterModel
        The model, whose galaxy and orbit are used.

    Attributes
    ----------
    isolated : bool
        Whether there is no galaxy.
    angular_frequency : float
        Angular velocity of the cluster [1/Myr], at the perigalacticon if the orbit is eccentric;
        0 if isolated.

    Examples
    --------
    >>> from pidoc.cluster.model import ClusterModel
    >>> field = TidalField(ClusterModel.named('MW15'))
    >>> print(f'{field.tidal_radius(3e4):.1f} pc')
    66.0 pc
    """

    def __init__(self, model):
        self.isolated = model.galaxy is None
        self.angular_frequency = 0.0
        self._stretch = 0.0  # Omega^2 - Phi'' [(km/s)^2 / pc^2]
        if self.isolated:
            return
        galaxy = _galaxy(model)
        apogalacticon = model.galactocentric_distance.to_value('pc')
        perigalacticon = apogalacticon
        if model.perigalacticon is not None:
            perigalacticon = model.perigalacticon.to_value('pc')
        frequency = orbital_frequency(galaxy, perigalacticon, apogalacticon)
        self.angular_frequency = frequency * KMS_IN_PC_PER_MYR
        self._stretch = frequency**2 - galaxy.curvature(perigalacticon)

    def tidal_radius(self, mass):
        """Distance from the cluster's centre to its inner Lagrange point.

        King (1962), Innanen, Harris & Webbink (1983): r_t^3 = G M / (Omega^2 - d^2 Phi / dR^2), at
        the perigalacticon, with the angular velocity there. On a circular orbit it is the exact
        Jacobi radius to first order in r_t / R (Bertin & Varri 2008).

        Parameters
        ----------
        mass : float or ndarray
            Mass of the cluster [Msun].

        Returns
        -------
        float or ndarray
            [pc]; infinite if isolated.
        """
        if self.isolated:
            return np.full(np.shape(mass), np.inf)[()]
        return np.cbrt(G * mass / self._stretch)


def _galaxy(model):
    if model.galaxy == 'miholics2014':
        return MilkyWay()
    if model.galaxy == 'logarithmic':
        return LogarithmicGalaxy(model.circular_velocity.to_value('km/s'))
    raise ValueError(f"galaxy must be 'miholics2014' or 'logarithmic', received {model.galaxy!r}")


def check_tidally_bound(model):
    """Reject a cluster that is not bound in the tidal field.

    Parameters
    ----------
    model : pidoc.cluster.model.ClusterModel

    Raises
    ------
    ValueError
        If the half-mass radius is not smaller than the tidal radius of the expected total mass.
    """
    half_mass_radius = model.half_mass_radius.to_value('pc')
    tidal_radius = TidalField(model).tidal_radius(model.expected_total_mass.to_value('Msun'))
    if half_mass_radius >= tidal_radius:
        raise ValueError(
            f'half_mass_radius must be smaller than the tidal radius of {tidal_radius:.4g} pc, '
            f'received {half_mass_radius:.4g} pc'
        )


# -- escape ---------------------------------------------------------------------------------------


def critical_energy(mass, tidal_radius, n_stars, *, gamma):
    """Energy above which a star is an escaper in a Monte Carlo code.

    Giersz, Heggie & Hurley (2008): E_c = -alpha G M / r_t, with
    alpha = 1.5 - 3 (ln(gamma N) / N)^(1/4). The threshold of the smooth potential is alpha = 1.5;
    a smaller alpha increases it, because stars above it need time to escape, and may be scattered back in the
    meantime. The formula is for N well above 1000. If gamma N < 1 the logarithm is set to zero.

    Parameters
    ----------
    mass : float
        Mass of the cluster [Msun].
    tidal_radius : float
        [pc]; if infinite, the critical energy is zero.
    n_stars : int
        Number of stars N.
    gamma : float
        Factor of the Coulomb logarithm.

    Returns
    -------
    float
        Energy per unit mass [(km/s)^2], negative or zero.

    Raises
    ------
    ValueError
        If there are no stars.

    Examples
    --------
    >>> energy = critical_energy(3e4, 66.0, 50_000, gamma=0.02)
    >>> print(f'{energy:.3f} (km/s)^2')
    -2.297 (km/s)^2
    """
    if n_stars < 1:
        raise ValueError(f'n_stars must be at least 1, received {n_stars}')
    logarithm = max(math.log(gamma * n_stars), 0.0)
    alpha = 1.5 - 3.0 * (logarithm / n_stars) ** 0.25
    return -alpha * G * mass / tidal_radius


#: Constants b and c of `remaining_fraction`.
DELAY = (1.6, 0.8)


def remaining_fraction(excess, angular_frequency, time):
    """Fraction of the stars above the critical energy that have not yet left the cluster.

    Such a star, a potential escaper, must find one of the two gaps around the Lagrange points. Fukushige &
    Heggie (2000) found that the time scale of escape is proportional to the inverse square of the excess
    energy, and that regular orbits never escape. As in Giersz et al. (2013), the fraction is (1 + b x)^-c
    with x = excess^2 omega t and c = 0.8, whose slow decline represents the regular orbits.

    b = 1.6 was fitted to orbits (``benchmarks/escape.py``) in King models of W_0 = 5 and 7 that fill their
    tidal radius, for a flat rotation curve, with the energy of a spherical code, without the tide: 1.1 to 2.2
    for stars at any position or starting near the centre; a free exponent of the excess is 2.1. With the
    Jacobi energy, for a point mass and for W_0 = 3, as in the experiment of Fukushige & Heggie, b is about 3.

    Parameters
    ----------
    excess : float or ndarray
        (E - E_c) / \\|E_c\\|, with E_c = -3 G M / (2 r_t) and E the energy in the potential of the cluster
        only. For zero or less the star never escapes.
    angular_frequency : float
        Angular velocity of the cluster [1/Myr].
    time : float
        Time since the star has had this energy [Myr].

    Returns
    -------
    float or ndarray
        From 1 at time 0, towards 0.

    Examples
    --------
    >>> round(float(remaining_fraction(0.1, 0.0156, 3000.0)), 4)
    0.6395
    """
    b, c = DELAY
    return (1.0 + b * np.maximum(excess, 0.0) ** 2 * angular_frequency * time) ** -c
