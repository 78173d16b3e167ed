# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Quantities of whole clusters, against theorems about Plummer's model, power laws and projections."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from pidoc.cluster.model import ClusterModel
from pidoc.cluster.quantities import (
    escape_speed,
    half_separation,
    power_law_slope,
    relaxation_time,
    share_within,
    sight_moment,
)
from pidoc.cluster.snapshot import Snapshot
from pidoc.photometry import v_luminosity
from pidoc.simulation.initial import initial_conditions, kroupa_masses, plummer_radius
from pidoc.units import G

KMS = u.km / u.s
SCALE, MASS = 1.5, 1e5     # pc and Msun, of the Plummer model


def plummer(anisotropy=0.0, n_stars=20000):
    """Radii at equal steps of mass, and the velocity dispersions there as the stars' velocities.

    The family of Dejonghe (1987): with his q, sigma_r^2 is G M / ((6 - q) (r^2 + a^2)^(1/2)), and the
    anisotropy beta is q r^2 / (2 (r^2 + a^2)).
    """
    radius = SCALE * plummer_radius((np.arange(n_stars) + 0.5) / n_stars)
    depth = G * MASS / np.sqrt(radius**2 + SCALE**2)
    radial = depth / (6.0 - anisotropy)
    beta = 0.5 * anisotropy * radius**2 / (radius**2 + SCALE**2)
    return {'radius': radius * u.pc, 'v_r': np.sqrt(radial) * KMS,
            'v_t': np.sqrt(2.0 * radial * (1.0 - beta)) * KMS,
            'mass': np.full(n_stars, MASS / n_stars) * u.Msun}


def drawn(seed=3, **changes):
    """A Kroupa population in Plummer's model, with light."""
    model = ClusterModel(n_stars=20000, half_mass_radius=2 * u.pc, seed=seed, **changes)
    stars = initial_conditions(model)
    columns = {'radius': stars.radius * u.pc, 'v_r': stars.v_r * KMS, 'v_t': stars.v_t * KMS,
               'mass': stars.mass * u.Msun, 'luminosity': np.minimum(stars.mass, 2.0)**4 * u.Lsun,
               'stellar_radius': stars.mass * u.Rsun, 'kind': np.ones(model.n_stars, dtype=int)}
    return Snapshot(columns, 0 * u.Gyr, model, seed=seed)


@pytest.fixture(scope='module')
def population():
    return drawn()


def seen_from(snapshot):
    """The stars of a snapshot as Cartesian ones."""
    columns = snapshot.stars
    columns.remove_columns(['radius', 'v_r', 'v_t'])
    return Snapshot(columns, snapshot.age)


# -- projection -----------------------------------------------------------------------------------


@pytest.mark.parametrize('separation', [0.3, 1.0, 2.9, 3.0, 8.0])
def test_projection_is_the_mean_over_directions(separation):
    """A star at 3 pc with v_r = 2 and v_t = 5 km/s, its directions evenly in the cosine."""
    cosine = (np.arange(200000) + 0.5) / 200000
    inside = 3.0 * np.sqrt(1.0 - cosine**2) <= separation
    square = 2.0**2 * cosine**2 + 0.5 * 5.0**2 * (1.0 - cosine**2)
    radius, v_r, v_t = (np.array([value]) for value in (3.0, 2.0, 5.0))
    assert share_within(radius, separation)[0] == pytest.approx(inside.mean(), abs=1e-5)
    assert sight_moment(radius, v_r, v_t, separation)[0] == pytest.approx(
        (inside * square).mean(), rel=1e-3)


def test_projection_has_no_rounding_far_out():
    np.testing.assert_allclose(share_within([1e9, 0.0], 1.0), [0.5e-18, 1.0], rtol=1e-12)


def test_plummer_projected_half_mass_radius_is_its_scale():
    """M(R) = M R^2 / (R^2 + a^2) in projection: 0.766 of the radius in three dimensions."""
    snapshot = Snapshot(plummer(), 1 * u.Gyr)
    projected = snapshot.projected_half_mass_radius
    assert projected.to_value(u.pc) == pytest.approx(SCALE, rel=1e-3)
    assert (projected / snapshot.half_mass_radius).value == pytest.approx(0.766, rel=1e-3)


def test_half_separation_by_hand():
    """Of one shell, half is within the separation where the cosine is 1/2."""
    weight = np.array([1.0, 0.0])
    assert half_separation(np.array([2.0, 5.0]), weight) == pytest.approx(np.sqrt(3.0))
    assert half_separation(np.array([0.0, 5.0]), np.ones(2)) == 0.0
    assert half_separation(np.array([2.0, 1e20]), np.ones(2)) == 2.0
    assert np.isnan(half_separation(np.array([2.0, 5.0]), np.zeros(2)))


def test_half_of_the_light_is_not_half_of_the_mass():
    columns = plummer() | {'temperature': np.full(20000, 5772.0) * u.K}
    even = Snapshot(columns | {'luminosity': np.ones(20000) * u.Lsun}, 1 * u.Gyr)
    assert even.projected_half_light_radius.value == pytest.approx(even.projected_half_mass_radius.value)
    inner = (columns['radius'] < 1 * u.pc).astype(float) * u.Lsun
    inner = Snapshot(columns | {'luminosity': inner}, 1 * u.Gyr)
    assert inner.projected_half_light_radius < inner.half_light_radius < 1 * u.pc


# -- velocities -----------------------------------------------------------------------------------


def plummer_dispersion(aperture):
    """Isotropic: the mean, within a separation, of 3 pi G M / (64 (R^2 + a^2)^(1/2)) (Dejonghe 1987)."""
    x = 1.0 + (aperture / SCALE) ** 2
    return np.sqrt(np.pi * G * MASS / (32.0 * SCALE) * (1.0 - x**-1.5) * x / (x - 1.0))


@pytest.mark.parametrize('aperture', [0.1, 1.0, 5.0, 1000.0])
def test_dispersion_of_an_isotropic_plummer_model(aperture):
    found = Snapshot(plummer(), 1 * u.Gyr).velocity_dispersion(aperture * u.pc, faintest=None)
    assert found.to_value(KMS) == pytest.approx(plummer_dispersion(aperture), rel=2e-3)


@pytest.mark.parametrize('anisotropy', [-6.0, 0.0, 1.0, 2.0])
def test_virial_theorem(anisotropy):
    """All lines of sight to all stars: a third of 2 K / M = -W / M = 3 pi G M / (32 a), whatever beta is."""
    snapshot = Snapshot(plummer(anisotropy), 1 * u.Gyr)
    found = snapshot.velocity_dispersion(1e5 * u.pc, faintest=None).to_value(KMS)
    assert found**2 == pytest.approx(np.pi * G * MASS / (32.0 * SCALE), rel=2e-3)


def test_radial_orbits_raise_the_central_dispersion():
    central = [Snapshot(plummer(anisotropy), 1 * u.Gyr).velocity_dispersion(0.2 * u.pc, faintest=None)
               for anisotropy in (-6.0, 0.0, 2.0)]
    assert central[0] < central[1] < central[2]


@pytest.mark.parametrize('aperture', [0.7, 2.0, 100.0])
def test_one_direction_agrees_with_all(population, aperture):
    """Within four standard errors of the stars that are in the aperture."""
    mean = population.velocity_dispersion(aperture * u.pc, faintest=None)
    place = population.stars
    for direction, axes in (([0, 0, 1], 'xy'), ([-2, 0, 0], 'yz')):
        inside = np.hypot(place[axes[0]], place[axes[1]]) <= aperture * u.pc
        one = population.velocity_dispersion(aperture * u.pc, faintest=None, direction=direction)
        line_of_sight = {'xy': 'vz', 'yz': 'vx'}[axes]
        expected = np.sqrt(np.mean(place[line_of_sight][inside] ** 2))
        assert one.to_value(KMS) == pytest.approx(expected.to_value(KMS), rel=1e-12)
        assert abs(one / mean - 1.0) < 4.0 / np.sqrt(2.0 * inside.sum())


def test_spherical_and_cartesian_stars_have_the_same(population):
    other = seen_from(population)
    for options in ({}, {'faintest': None}, {'direction': [1, 2, 3]}):
        one, two = (s.velocity_dispersion(1 * u.pc, **options).value for s in (population, other))
        assert one == pytest.approx(two, rel=1e-9)
    for direction in (None, [1, 2, 3]):
        one, two = (s.mass_function_slope(aperture=1 * u.pc, direction=direction)
                    for s in (population, other))
        assert one == pytest.approx(two, rel=1e-9)


def test_three_axes_of_a_flat_rotating_cluster():
    """In an aperture that holds all, the mean square over all directions is that of x, y and z."""
    rng = np.random.default_rng(1)
    place, velocity = rng.normal(size=(2, 3, 50)) * [[1.0], [1.0], [0.1]]
    velocity[:2] += 3.0 * np.array([-place[1], place[0]])
    columns = dict(zip('xyz', place * u.pc)) | dict(zip(('vx', 'vy', 'vz'), velocity * KMS))
    snapshot = Snapshot(columns | {'mass': np.ones(50) * u.Msun}, 1 * u.Gyr)
    squares = [snapshot.velocity_dispersion(99 * u.pc, faintest=None, direction=axis).value ** 2
               for axis in np.eye(3)]
    mean = snapshot.velocity_dispersion(99 * u.pc, faintest=None).value ** 2
    assert np.mean(squares) == pytest.approx(mean, rel=1e-9)
    assert np.ptp(squares) > mean


def two_pairs(**changes):
    """A binary whose centre moves at 2 km/s, a bright star at 4 km/s, a faint one, a black hole: all on z."""
    zero = np.zeros(5)
    columns = {
        'x': zero * u.pc, 'y': zero * u.pc, 'z': np.array([1.0, 1.0, -2.0, 3.0, 0.1]) * u.pc,
        'vx': zero * KMS, 'vy': zero * KMS, 'vz': np.array([12.0, -28.0, 4.0, 99.0, 50.0]) * KMS,
        'mass': [3.0, 1.0, 1.0, 0.5, 20.0] * u.Msun, 'temperature': np.full(5, 5772.0) * u.K,
        'luminosity': [6.0, 6.0, 12.0, 6.0, 0.0] * u.Lsun, 'kind': np.array([1, 1, 3, 1, 14]),
        'id': np.arange(5), 'partner': np.array([1, 0, -1, -1, -1]), **changes}
    return Snapshot(columns, 1 * u.Gyr)


def test_a_binary_is_one_bright_star_that_moves_as_its_center():
    """Both components together have the light of the bright star, each of them half of it."""
    sun = v_luminosity(1 * u.Lsun, 5772 * u.K, 1).value
    limit = (4.83 - 2.5 * np.log10(11.9 * sun)) * u.mag
    expected = np.sqrt((2.0**2 + 4.0**2) / 2.0)
    for direction in (None, [0, 0, 1]):
        found = two_pairs().velocity_dispersion(0.5 * u.pc, faintest=limit, direction=direction)
        if direction is not None:
            assert found.to_value(KMS) == pytest.approx(expected)
        else:
            # weights are the shares of directions
            weight = share_within([1.0, 2.0], 0.5)
            moment = sight_moment(np.array([1.0, 2.0]), np.array([2.0, 4.0]), np.zeros(2), 0.5)
            assert found.to_value(KMS) == pytest.approx(np.sqrt(moment.sum() / weight.sum()))


def test_the_faint_and_the_dark_count_when_asked_for():
    snapshot = two_pairs()
    found = snapshot.velocity_dispersion(0.5 * u.pc, faintest=None, direction=[0, 0, -1]).value
    assert found == pytest.approx(np.sqrt((2.0**2 + 4.0**2 + 99.0**2 + 50.0**2) / 4.0))
    found = snapshot.velocity_dispersion(0.5 * u.pc, faintest=9 * u.mag, direction=[0, 0, -1]).value
    assert found == pytest.approx(np.sqrt((2.0**2 + 4.0**2 + 99.0**2) / 3.0))


def test_no_bright_stars():
    snapshot = two_pairs()
    for direction in (None, [0, 0, 1]):
        found = snapshot.velocity_dispersion(1 * u.pc, faintest=-9 * u.mag, direction=direction)
        assert np.isnan(found) and found.unit == KMS
    # seen from the side they are out of the aperture
    assert np.isnan(snapshot.velocity_dispersion(0.05 * u.pc, direction=[1, 0, 0]))


# -- escape and relaxation ------------------------------------------------------------------------


def test_escape_from_a_plummer_model():
    """2 G M / (r^2 + a^2)^(1/2)."""
    snapshot = Snapshot(plummer(), 1 * u.Gyr)
    radius = np.array([0.0, 1.0, 3.0, 20.0, 1e4])
    expected = np.sqrt(2.0 * G * MASS / np.sqrt(radius**2 + SCALE**2))
    found = snapshot.escape_velocity(radius=radius * u.pc)
    np.testing.assert_allclose(found.to_value(KMS), expected, rtol=2e-3)
    assert snapshot.escape_velocity() == found[0] and snapshot.escape_velocity().isscalar


def test_escape_by_hand():
    """A star of 1 Msun at the centre, of 2 at 4 pc: outside all of the mass, inside the inner one."""
    radius, mass = np.array([0.0, 4.0]), np.array([1.0, 2.0])
    expected = 2.0 * G * np.array([2.0 / 4.0, 1.0 / 2.0 + 2.0 / 4.0, 3.0 / 4.0, 3.0 / 8.0])
    np.testing.assert_allclose(escape_speed(radius, mass, [0.0, 2.0, 4.0, 8.0]) ** 2, expected)


@pytest.mark.parametrize('change', [{}, {'imf': 'equal'}, {'coulomb_gamma': 0.01}])
def test_relaxation_time_is_that_of_the_model(change):
    snapshot = drawn(**change)
    model = snapshot.model
    number, mass = model.n_stars, model.expected_total_mass.to_value(u.Msun)
    assert relaxation_time(number, mass, 2.0, gamma=model.coulomb_factor) == pytest.approx(
        model.relaxation_time.to_value(u.Myr), rel=1e-12)
    # the drawn radius has a scatter of 1 per cent, the drawn mass one of 2
    assert snapshot.relaxation_time.to_value(u.Myr) == pytest.approx(
        model.relaxation_time.to_value(u.Myr), rel=0.04)


def test_relaxation_time_counts_a_binary_once_and_nothing_without_mass(population):
    stars = population.stars[:1002]
    columns = {name: stars[name] for name in ('radius', 'v_r', 'v_t', 'mass')}
    columns['partner'] = np.full(1002, -1)
    columns['partner'][[0, 7]] = 7, 0
    for name in ('radius', 'v_r', 'v_t'):
        columns[name][7] = columns[name][0]
    columns['mass'][11] = 0 * u.Msun
    snapshot = Snapshot(columns, 1 * u.Gyr)
    expected = relaxation_time(1000, snapshot.total_mass.value, snapshot.half_mass_radius.value)
    assert snapshot.relaxation_time.to_value(u.Myr) == pytest.approx(expected)


def test_too_few_stars_to_relax():
    assert np.isnan(relaxation_time(20, 12.0, 1.0))
    assert np.isnan(relaxation_time(500, 0.0, 1.0))


# -- the mass function ----------------------------------------------------------------------------


@pytest.mark.parametrize('slope', [-2.35, -1.0, -0.98, 0.0, 5.0])
def test_slope_of_a_power_law(slope):
    """Masses at equal steps of the cumulative distribution, so without scatter."""
    share, power = (np.arange(100000) + 0.5) / 100000, slope + 1.0
    if power == 0.0:
        mass = 0.2 * 4.0**share
    else:
        mass = (0.2**power + share * (0.8**power - 0.2**power)) ** (1.0 / power)
    found, error = power_law_slope(mass, low=0.2, high=0.8)
    assert found == pytest.approx(slope, abs=1e-4)
    # of ln m, which has this scatter
    assert error == pytest.approx(1.0 / (np.log(mass).std() * np.sqrt(100000)), rel=1e-3)


@pytest.mark.parametrize(('low', 'high', 'slope'), [(0.2, 0.5, -1.3), (0.5, 0.8, -2.3)])
def test_slopes_of_kroupa(low, high, slope):
    """Between its breaks the mass function is a power law, found with the scatter that the errors say."""
    rng = np.random.default_rng(2)
    masses = [kroupa_masses(4000, rng, lower=0.1, upper=50.0) for _ in range(200)]
    found, error = np.array([power_law_slope(mass, low=low, high=high) for mass in masses]).T
    pull = (found - slope) / error
    assert abs(pull.mean()) < 4.0 / np.sqrt(200)
    assert pull.std() == pytest.approx(1.0, abs=0.2)


def test_slope_of_a_population(population):
    """From 0.2 to 0.8 Msun Kroupa's function has a break: the slope is that between -1.3 and -2.3."""
    slope, error = population.mass_function_slope()
    assert -1.9 < slope < -1.3 and error < 0.05
    limits = [200, 500] * u.Mjup
    low, high = limits.to_value(u.Msun)
    assert population.mass_function_slope(limits=limits) == power_law_slope(
        population.stars['mass'].value, low=low, high=high)


def test_slope_in_an_aperture(population):
    """Without segregation the same, with an error of fewer stars; seen from one side within that error."""
    whole, error = population.mass_function_slope()
    inner, larger = population.mass_function_slope(aperture=population.projected_half_mass_radius)
    assert larger == pytest.approx(np.sqrt(2.0) * error, rel=0.05)
    assert abs(inner - whole) < 4.0 * larger
    seen, same = population.mass_function_slope(aperture=population.projected_half_mass_radius,
                                                direction=[0, 1, 1])
    assert same == pytest.approx(larger, rel=0.05) and abs(seen - inner) < 4.0 * larger
    wide = population.mass_function_slope(aperture=1e9 * u.pc)
    assert wide == pytest.approx((whole, error))


def test_segregation_flattens_the_inner_mass_function(population):
    stars = population.stars['mass', 'kind']
    order = np.argsort(stars['mass'])[::-1]
    radius = np.sort(population.stars['radius'])
    columns = {'mass': stars['mass'][order], 'radius': radius, 'v_r': 0 * radius.value * KMS,
               'v_t': 0 * radius.value * KMS}
    segregated = Snapshot(columns, 1 * u.Gyr)
    inner, _ = segregated.mass_function_slope(aperture=segregated.projected_half_mass_radius)
    outer, _ = segregated.mass_function_slope()
    assert inner > outer + 0.5


def test_only_the_main_sequence_counts():
    columns = plummer(n_stars=3) | {'mass': [0.3, 0.5, 0.6] * u.Msun}
    kinds = Snapshot(columns | {'kind': [0, 1, 11]}, 1 * u.Gyr)
    assert kinds.mass_function_slope() == power_law_slope([0.3, 0.5], low=0.2, high=0.8)
    without = Snapshot(columns, 1 * u.Gyr)
    assert without.mass_function_slope() == power_law_slope([0.3, 0.5, 0.6], low=0.2, high=0.8)


@pytest.mark.parametrize('mass', [[], [1.0, 2.0], [0.2, 0.2], [0.8]])
def test_no_slope(mass):
    assert np.isnan(power_law_slope(mass, low=0.2, high=0.8)).all()


# -- remnants and the row -------------------------------------------------------------------------


def test_remnants():
    columns = plummer(n_stars=7) | {'kind': [1, 10, 11, 12, 13, 14, 15],
                                    'mass': [0.8, 0.5, 0.6, 1.2, 1.4, 20.0, 0.0] * u.Msun}
    masses = Snapshot(columns, 1 * u.Gyr).remnant_masses
    assert {name: mass.to_value(u.Msun) for name, mass in masses.items()} == pytest.approx(
        {'white_dwarfs': 2.3, 'neutron_stars': 1.4, 'black_holes': 20.0})
    row = Snapshot(columns, 1 * u.Gyr).quantities()
    assert row['black_hole_mass'] == 20 * u.Msun
    assert row['white_dwarf_share'] == pytest.approx(2.3 / 24.5)


def test_a_row_of_all(population):
    row = population.quantities(aperture=1 * u.pc)
    assert list(row) == [
        'age', 'n_stars', 'total_mass', 'half_mass_radius', 'projected_half_mass_radius', 'relaxation_time',
        'escape_velocity', 'v_luminosity', 'mass_to_light', 'projected_half_light_radius',
        'mass_function_slope', 'mass_function_slope_error', 'aperture', 'aperture_mass_function_slope',
        'aperture_mass_function_slope_error', 'velocity_dispersion', 'white_dwarf_mass', 'neutron_star_mass',
        'black_hole_mass', 'white_dwarf_share', 'neutron_star_share', 'black_hole_share']
    for name in list(row)[:6] + list(row)[7:10]:
        assert row[name] == getattr(population, name)
    assert row['velocity_dispersion'] == population.velocity_dispersion(1 * u.pc)
    assert row['aperture_mass_function_slope'] == population.mass_function_slope(aperture=1 * u.pc)[0]
    table = QTable(rows=[row, population.quantities()])
    assert table['relaxation_time'].unit == u.Myr and table['velocity_dispersion'].unit == KMS
    assert table['aperture'][1] == population.projected_half_light_radius


def test_a_row_of_what_there_is():
    """Without light, stellar types and velocities."""
    columns = {name: np.array([1.0, 2.0, 3.0]) * u.pc for name in 'xyz'} | {'mass': [0.3, 0.5, 1.0] * u.Msun}
    row = Snapshot(columns, 1 * u.Gyr).quantities()
    assert {'velocity_dispersion', 'v_luminosity', 'black_hole_mass'} & set(row) == set()
    assert row['aperture'] == row['projected_half_mass_radius']
    assert np.isfinite(row['aperture_mass_function_slope'])


def test_a_cluster_of_another_size(population):
    """Homology: lengths as the size, velocities as its root's inverse, times as its power 3/2."""
    before = population.quantities()
    after = population.rescaled(size=2.0).quantities()
    powers = {'half_mass_radius': 1.0, 'projected_half_light_radius': 1.0, 'aperture': 1.0,
              'escape_velocity': -0.5, 'velocity_dispersion': -0.5, 'relaxation_time': 1.5,
              'aperture_mass_function_slope': 0.0, 'total_mass': 0.0}
    for name, power in powers.items():
        assert float(after[name] / before[name]) == pytest.approx(2.0**power, rel=1e-6), name


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(('method', 'arguments', 'error', 'message'), [
    ('velocity_dispersion', (1.0,), TypeError, 'aperture must be an astropy Quantity in pc, received 1.0'),
    ('velocity_dispersion', (0 * u.pc,), ValueError, 'aperture must be positive, received 0.0 pc'),
    ('velocity_dispersion', (1 * u.deg,), u.UnitConversionError, 'aperture must have a unit that converts'),
    ('quantities', {'aperture': [1, 2] * u.pc}, ValueError, 'aperture must be a scalar, received an array'),
    ('velocity_dispersion', {'aperture': 1 * u.pc, 'faintest': 3.5}, TypeError,
     'faintest must be an astropy Quantity in mag, received 3.5'),
    ('velocity_dispersion', {'aperture': 1 * u.pc, 'direction': [0, 0, 0]}, ValueError,
     r'direction must be three numbers, not all zero, received \[0, 0, 0\]'),
    ('mass_function_slope', {'aperture': 1 * u.pc, 'direction': [1, 0]}, ValueError,
     r'direction must be three numbers, not all zero, received \[1, 0\]'),
    ('mass_function_slope', {'limits': 0.5 * u.Msun}, ValueError,
     'limits must be two masses in increasing order, received 0.5 solMass'),
    ('mass_function_slope', {'limits': [0.8, 0.2] * u.Msun}, ValueError, 'limits must be two masses'),
    ('mass_function_slope', {'limits': [0.0, 0.2] * u.Msun}, ValueError, 'limits must be positive'),
    ('escape_velocity', {'radius': -1 * u.pc}, ValueError, 'radius must not be negative, received -1.0 pc'),
])
def test_arguments_are_checked(population, method, arguments, error, message):
    positional, named = (arguments, {}) if isinstance(arguments, tuple) else ((), arguments)
    with pytest.raises(error, match=message):
        getattr(population, method)(*positional, **named)


def test_what_needs_columns_that_are_not_there():
    columns = {name: np.ones(3) * u.pc for name in 'xyz'} | {'mass': np.ones(3) * u.Msun}
    snapshot = Snapshot(columns, 1 * u.Gyr)
    with pytest.raises(ValueError, match='velocity_dispersion needs velocities, received .* x, y, z'):
        snapshot.velocity_dispersion(1 * u.pc)
    with pytest.raises(ValueError, match='remnant_masses needs the column kind, received x, y, z'):
        snapshot.remnant_masses  # noqa: B018
    with pytest.raises(ValueError, match='the light needs the columns luminosity'):
        snapshot.projected_half_light_radius  # noqa: B018
    with pytest.raises(ValueError, match='the light needs the columns luminosity'):
        Snapshot(plummer(n_stars=3), 1 * u.Gyr).velocity_dispersion(1 * u.pc)
