# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Tidal radii against limits, published numbers and galpy; escape against its limits."""

import math

import numpy as np
import pytest
from astropy import units as u

from pidoc.cluster.king import king_structure
from pidoc.cluster.model import ClusterModel
from pidoc.simulation import tides
from pidoc.units import G, KMS_IN_PC_PER_MYR


class PointMass:
    """A galaxy that is a point mass of 1e11 Msun: everything is known of its orbits."""

    mass = 1e11

    def potential(self, r):
        return -G * self.mass / r

    def slope(self, r):
        return G * self.mass / r**2

    def curvature(self, r):
        return -2.0 * G * self.mass / r**3


@pytest.fixture(params=[tides.MilkyWay(), tides.LogarithmicGalaxy(210.0), PointMass()])
def galaxy(request):
    return request.param


def circular_velocity(galaxy, r):
    return math.sqrt(r * galaxy.slope(r))


# -- galaxies -------------------------------------------------------------------------------------


@pytest.mark.parametrize('r', [500.0, 8500.0, 15000.0, 60000.0])
def test_derivatives_of_the_potential(galaxy, r):
    h = 1e-4 * r
    slope = (galaxy.potential(r + h) - galaxy.potential(r - h)) / (2.0 * h)
    curvature = (galaxy.slope(r + h) - galaxy.slope(r - h)) / (2.0 * h)
    assert galaxy.slope(r) == pytest.approx(slope, rel=1e-6)
    assert galaxy.curvature(r) == pytest.approx(curvature, rel=1e-6)


def test_milky_way_circular_velocities():
    """220 km/s at 8.5 kpc by construction; 231.8 at 20 kpc in a published NBODY6 input."""
    galaxy = tides.MilkyWay()
    assert circular_velocity(galaxy, 8500.0) == pytest.approx(220.0, rel=1e-12)
    assert circular_velocity(galaxy, 20000.0) == pytest.approx(231.8, abs=0.05)
    # The halo alone is left far out, so the constant of the potential's logarithm shows.
    assert circular_velocity(galaxy, 1e8) == pytest.approx(220.0, rel=1e-3)


@pytest.fixture(scope='module')
def galpy_milky_way():
    potential = pytest.importorskip('galpy.potential')
    galaxy = tides.MilkyWay()
    units = {'ro': 8.5, 'vo': 220.0}
    bulge = potential.KeplerPotential(amp=1.5e10 * u.Msun, **units)
    disc = potential.MiyamotoNagaiPotential(
        amp=5e10 * u.Msun, a=4 * u.kpc, b=0.5 * u.kpc, **units
    )
    halo = potential.LogarithmicHaloPotential(
        amp=(220.0 * u.km / u.s) ** 2, core=galaxy.halo_core_radius * u.pc, **units
    )
    return bulge + disc + halo


@pytest.mark.parametrize('distance', [2.0, 8.5, 15.0, 50.0])
def test_circular_orbit_against_galpy(galpy_milky_way, distance):
    potential = pytest.importorskip('galpy.potential')
    model = ClusterModel(galactocentric_distance=distance * u.kpc)
    field = tides.TidalField(model)
    # galpy has its own G: a relative difference of 1e-4 is its.
    kwargs = {'ro': 8.5, 'vo': 220.0, 'use_physical': True}
    velocity = potential.vcirc(galpy_milky_way, distance / 8.5, **kwargs)
    frequency = np.ravel(velocity)[0] / (1000.0 * distance) * KMS_IN_PC_PER_MYR
    assert field.angular_frequency == pytest.approx(frequency, rel=1e-4)
    radius = potential.rtide(galpy_milky_way, distance / 8.5, 0.0, M=3e4 * u.Msun, **kwargs)
    radius_pc = 1000.0 * np.ravel(radius)[0]
    assert field.tidal_radius(3e4) == pytest.approx(radius_pc, rel=3e-4)


def test_eccentric_orbit_against_an_integration(galpy_milky_way):
    """Follow the orbit from its apogalacticon and look at its next perigalacticon."""
    orbit_class = pytest.importorskip('galpy.orbit').Orbit
    peri, apo = 5000.0, 15000.0
    frequency = tides.orbital_frequency(tides.MilkyWay(), peri, apo)
    start = frequency * peri**2 / apo  # tangential velocity at the apogalacticon
    orbit = orbit_class(
        [15.0 * u.kpc, 0.0 * u.km / u.s, start * u.km / u.s, 0.0 * u.deg], ro=8.5, vo=220.0
    )
    orbit.turn_physical_off()
    orbit.integrate(np.linspace(0.0, 60.0, 20001), galpy_milky_way, method='dop853')
    assert 8500.0 * orbit.rperi() == pytest.approx(peri, rel=2e-4)


# -- tidal radius ---------------------------------------------------------------------------------


def test_logarithmic_galaxy_has_the_known_tidal_radius():
    """r_t = (G M / (2 Omega^2))^(1/3) in a flat rotation curve."""
    field = tides.TidalField(ClusterModel(galaxy='logarithmic', circular_velocity=200 * u.km / u.s))
    omega = 200.0 / 15000.0
    assert field.angular_frequency == pytest.approx(omega * KMS_IN_PC_PER_MYR, rel=1e-12)
    expected = (G * 1e5 / (2.0 * omega**2)) ** (1.0 / 3.0)
    assert field.tidal_radius(1e5) == pytest.approx(expected, rel=1e-12)
    assert not field.isolated


@pytest.mark.parametrize('eccentricity', [0.0, 0.3, 0.8])
def test_point_mass_galaxy_as_in_king_1962(eccentricity, monkeypatch):
    """King (1962): r_t = R_p (M / (M_g (3 + e)))^(1/3)."""
    monkeypatch.setattr(tides, '_galaxy', lambda model: PointMass())
    apo = 10.0 * u.kpc
    peri = apo * (1.0 - eccentricity) / (1.0 + eccentricity)
    field = tides.TidalField(ClusterModel(galactocentric_distance=apo, perigalacticon=peri))
    ratio = 1e5 / (PointMass.mass * (3.0 + eccentricity))
    assert field.tidal_radius(1e5) == pytest.approx(peri.to_value(u.pc) * np.cbrt(ratio), rel=1e-9)
    # Kepler at the perigalacticon: Omega^2 = G M_g (1 + e) / R_p^3.
    omega = math.sqrt(G * PointMass.mass * (1.0 + eccentricity) / peri.to_value(u.pc) ** 3)
    assert field.angular_frequency == pytest.approx(omega * KMS_IN_PC_PER_MYR, rel=1e-9)


def test_almost_circular_orbit_is_continuous(galaxy):
    circular = tides.orbital_frequency(galaxy, 1e4, 1e4)
    for eccentricity in (1e-9, 1e-7, 1e-5):
        frequency = tides.orbital_frequency(galaxy, 1e4 * (1.0 - eccentricity), 1e4)
        assert frequency == pytest.approx(circular, rel=10.0 * eccentricity + 1e-8)


def test_smaller_perigalacticon_smaller_tidal_radius():
    radii = [
        tides.TidalField(ClusterModel(perigalacticon=p * u.kpc)).tidal_radius(3e4)
        for p in (15.0, 10.0, 5.0, 2.0)
    ]
    assert np.all(np.diff(radii) < 0.0)
    circular = tides.TidalField(ClusterModel()).tidal_radius(3e4)
    assert radii[0] == pytest.approx(circular, rel=1e-12)


def test_tidal_radius_of_many_masses():
    field = tides.TidalField(ClusterModel())
    masses = np.array([1e3, 8e3])
    np.testing.assert_allclose(field.tidal_radius(masses) / field.tidal_radius(1e3), [1.0, 2.0])


def test_isolated_cluster():
    field = tides.TidalField(ClusterModel(galaxy=None))
    assert field.isolated
    assert field.angular_frequency == 0.0
    assert field.tidal_radius(1e4) == np.inf
    np.testing.assert_array_equal(field.tidal_radius(np.ones(2)), [np.inf, np.inf])


def test_unknown_galaxy():
    model = ClusterModel()
    object.__setattr__(model, 'galaxy', 'andromeda')
    with pytest.raises(ValueError, match="galaxy must be .* received 'andromeda'"):
        tides.TidalField(model)


def test_too_large_cluster_is_refused():
    model = ClusterModel(n_stars=1000, half_mass_radius=30 * u.pc)
    with pytest.raises(
        ValueError, match=r'half_mass_radius must be smaller than .* of 18.\d+ pc, received 30 pc'
    ):
        tides.check_tidally_bound(model)
    tides.check_tidally_bound(model.replace(half_mass_radius=10 * u.pc))
    tides.check_tidally_bound(model.replace(galaxy=None))


# -- escape ---------------------------------------------------------------------------------------


def test_critical_energy_tends_to_that_of_the_smooth_potential():
    few, many = (
        tides.critical_energy(1e5, 50.0, n, gamma=0.1) / (-G * 1e5 / 50.0) for n in (10**4, 10**15)
    )
    assert many == pytest.approx(1.5, abs=0.002)
    assert few < many
    # By hand: ln 1000 = 6.9078, / 1e4, fourth root 0.16212, so alpha = 1.0136.
    assert few == pytest.approx(1.0136, abs=1e-4)


def test_critical_energy_of_an_isolated_or_tiny_cluster():
    assert tides.critical_energy(1e5, np.inf, 1000, gamma=0.1) == 0.0
    assert tides.critical_energy(2.0, 1.0, 5, gamma=0.1) == pytest.approx(-3.0 * G)


def test_critical_energy_needs_stars():
    with pytest.raises(ValueError, match='n_stars must be at least 1, received 0'):
        tides.critical_energy(1.0, 1.0, 0, gamma=0.1)


def test_remaining_fraction_scales_with_the_square_of_the_excess():
    """Fukushige & Heggie (2000): the escape time goes as the excess to the power -2."""
    half = tides.remaining_fraction(0.1, 0.02, 400.0)
    assert tides.remaining_fraction(0.2, 0.02, 100.0) == pytest.approx(half)
    assert tides.remaining_fraction(0.1, 0.01, 800.0) == pytest.approx(half)


def test_remaining_fraction_limits():
    assert tides.remaining_fraction(0.3, 0.02, 0.0) == 1.0
    assert tides.remaining_fraction(-0.1, 0.02, 1e4) == 1.0
    times = np.linspace(0.0, 1e4, 50)
    fractions = [tides.remaining_fraction(0.3, 0.02, t) for t in times]
    assert np.all(np.diff(fractions) < 0.0)
    # Late: (1.6 x)^-0.8
    late = tides.remaining_fraction(1.0, 1.0, 1e9)
    assert late == pytest.approx(1.6e9**-0.8, rel=1e-6)


class HillCluster:
    """King model (W_0 = 5) that fills its tidal radius on a circular orbit where the rotation curve is flat.

    Units G = M = r_t = 1, rotating frame, so omega^2 = 1/2 and the energy of the Lagrange points is
    -3/2: the experiment of Fukushige & Heggie (2000) in another galaxy.
    """

    omega = math.sqrt(0.5)

    def __init__(self):
        structure = king_structure(5.0)
        self.radius = structure.radius / structure.tidal_radius
        self.mass = structure.mass
        grid, inside = self.radius[1:], self.mass[1:]
        pull = inside / grid**2
        steps = 0.5 * (pull[1:] + pull[:-1]) * np.diff(grid)
        self.potential = -1.0 - np.append(np.cumsum(steps[::-1])[::-1], 0.0)

    def acceleration(self, place, velocity):
        r = np.sqrt(np.sum(place**2, axis=0))
        force = -place * np.interp(r, self.radius, self.mass) / r**3
        force[0] += 2.0 * self.omega**2 * place[0] + 2.0 * self.omega * velocity[1]
        force[1] -= 2.0 * self.omega * velocity[0]
        force[2] -= self.omega**2 * place[2]
        return force

    def stars(self, energy, number, rng):
        """Places and velocities inside r_t of stars of one energy without the tide, evenly in phase space."""
        place = rng.uniform(-1.0, 1.0, (3, 60 * number))
        radius = np.sqrt(np.sum(place**2, axis=0))
        square = 2.0 * (energy - np.interp(radius, self.radius[1:], self.potential))
        inside = (radius < 1.0) & (square > 0.0)
        place, speed = place[:, inside], np.sqrt(square[inside])
        kept = np.flatnonzero(rng.random(speed.size) * speed.max() < speed)[:number]
        direction = rng.normal(size=(3, kept.size))
        direction /= np.sqrt(np.sum(direction**2, axis=0))
        place, velocity = place[:, kept], speed[kept] * direction
        # seen from the rotating frame
        velocity[0] += self.omega * place[1]
        velocity[1] -= self.omega * place[0]
        return place, velocity

    def step(self, place, velocity, dt):
        """Classical Runge-Kutta."""
        a1 = self.acceleration(place, velocity)
        v2 = velocity + 0.5 * dt * a1
        a2 = self.acceleration(place + 0.5 * dt * velocity, v2)
        v3 = velocity + 0.5 * dt * a2
        a3 = self.acceleration(place + 0.5 * dt * v2, v3)
        v4 = velocity + dt * a3
        a4 = self.acceleration(place + dt * v3, v4)
        place = place + dt / 6.0 * (velocity + 2.0 * v2 + 2.0 * v3 + v4)
        return place, velocity + dt / 6.0 * (a1 + 2.0 * a2 + 2.0 * a3 + a4)


def test_remaining_fraction_against_orbits():
    """Integrate stars 24 per cent above the energy of the Lagrange points until they leave.

    The tolerance covers the shot noise (0.025), the few regular orbits that never leave, and that it
    matters by 0.05 where in the cluster the stars begin.
    """
    cluster, excess, dt = HillCluster(), 0.24, 0.02
    place, velocity = cluster.stars(-1.5 * (1.0 - excess), 400, rng=np.random.default_rng(1))
    number, time = place.shape[1], 0.0
    assert number == 400
    for x in (0.5, 1.0, 2.0):
        while time < x / excess**2 / cluster.omega:
            place, velocity = cluster.step(place, velocity, dt)
            time += dt
            bound = np.sum(place**2, axis=0) < 1.2**2
            place, velocity = place[:, bound], velocity[:, bound]
        expected = tides.remaining_fraction(excess, cluster.omega, time)
        assert place.shape[1] / number == pytest.approx(expected, abs=0.08)
