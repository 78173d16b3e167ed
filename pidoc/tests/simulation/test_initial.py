# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Initial conditions against theorems, published King models and an independent King code."""

import numpy as np
import pytest
from astropy import units as u
from scipy.integrate import quad
from scipy.stats import ks_1samp, norm

from pidoc.cluster.king import king_density, king_structure
from pidoc.cluster.model import ClusterModel
from pidoc.simulation import initial
from pidoc.units import G

N = 100_000
# One chance in 1000 for a sample of the right distribution, and seeds are fixed.
P_VALUE = 1e-3


def rng(seed=0):
    return np.random.default_rng(seed)


def sorted_by_radius(radius, v_r, v_t):
    order = np.argsort(radius)
    return radius[order], v_r[order], v_t[order]


# -- Plummer --------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def plummer():
    return sorted_by_radius(*initial.plummer(N, rng(1)))


def test_plummer_energies(plummer):
    """E = -3 pi G M^2 / (64 a), with K half of W before any scaling (virial theorem)."""
    kinetic, potential = initial.shell_energies(np.full(N, 1.0 / N), *plummer)
    total = -3.0 * np.pi / 64.0
    assert kinetic == pytest.approx(-total, rel=0.01)
    assert potential / G == pytest.approx(2.0 * total, rel=0.01)


def test_plummer_radii_follow_the_mass_profile(plummer):
    def mass_inside(r):
        return r**3 * (1.0 + r**2) ** -1.5 / initial.PLUMMER_MASS_FRACTION

    assert ks_1samp(plummer[0], mass_inside).pvalue > P_VALUE
    outermost = initial.plummer_radius(initial.PLUMMER_MASS_FRACTION)
    assert outermost == pytest.approx(122.5, rel=1e-3)
    assert plummer[0].max() <= outermost


def test_plummer_lagrangian_radii(plummer):
    """r_h = a / sqrt(2^(2/3) - 1), and the 10 and 90 per cent radii likewise."""
    for fraction in (0.1, 0.5, 0.9):
        expected = 1.0 / np.sqrt(fraction ** (-2.0 / 3.0) - 1.0)
        assert initial.plummer_radius(fraction) == pytest.approx(expected, rel=1e-12)
        assert np.quantile(plummer[0], fraction) == pytest.approx(expected, rel=0.02)


def test_plummer_speeds_follow_the_distribution_function(plummer):
    radius, v_r, v_t = plummer
    q = np.hypot(v_r, v_t) / (np.sqrt(2.0) * (1.0 + radius**2) ** -0.25)
    grid = np.linspace(0.0, 1.0, 20001)
    density = grid**2 * (1.0 - grid**2) ** 3.5
    cumulative = np.concatenate(([0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))))
    result = ks_1samp(q, lambda value: np.interp(value, grid, cumulative / cumulative[-1]))
    assert result.pvalue > P_VALUE
    assert q.max() < 1.0


def test_plummer_dispersion_profile(plummer):
    """One-dimensional dispersion: sigma^2 = G M / (6 sqrt(r^2 + a^2)) at every radius."""
    radius, v_r, v_t = plummer
    for members in np.array_split(np.arange(N), 10):
        expected = np.mean(1.0 / (6.0 * np.sqrt(1.0 + radius[members] ** 2)))
        # The variance of 10^4 velocities is known to 1.4 per cent or a little worse.
        assert np.mean(v_r[members] ** 2) == pytest.approx(expected, rel=0.06)
        assert np.mean(v_t[members] ** 2) == pytest.approx(2.0 * expected, rel=0.06)


# -- binaries -------------------------------------------------------------------------------------


def test_pairs_keep_all_masses_and_have_uniform_mass_ratios():
    mass = ClusterModel().mass_function.draw(N, rng(3), 0.1, 50.0)
    bodies, body, second = initial.pair_up(mass, N // 11, rng(4))
    assert bodies.size == N - N // 11 and np.unique(body).size == second.size == N // 11
    first = bodies[body] - second
    assert np.all(first >= second * (1 - 1e-12))
    single = np.delete(bodies, body)
    np.testing.assert_allclose(np.sort(np.concatenate([first, second, single])), np.sort(mass), rtol=1e-12)
    # where the lowest mass leaves room for nearly all ratios
    heavy = first > 2.0
    assert heavy.sum() > 100
    assert ks_1samp((second[heavy] - 0.1) / (first[heavy] - 0.1), lambda q: q).pvalue > P_VALUE
    assert ks_1samp(np.random.default_rng(1).permutation((second - 0.1) / (first - 0.1))[:2000],
                    lambda q: q).statistic < 0.06
    # binaries are anywhere among the bodies
    assert np.mean(body) == pytest.approx(bodies.size / 2, rel=0.02)


@pytest.mark.parametrize('fraction', [0.5, 0.01])
def test_pairs_of_equal_masses_and_of_many_stars(fraction):
    bodies, body, second = initial.pair_up(np.ones(301), int(301 * fraction / 1.5), rng(1))
    assert np.all(second == 1.0) and np.all(bodies[body] == 2.0) and bodies.sum() == 301.0
    mass = rng(2).uniform(0.1, 10.0, 301)
    bodies, body, second = initial.pair_up(mass, int(301 * fraction / 1.5), rng(1))
    assert bodies.sum() == pytest.approx(mass.sum(), rel=1e-12)


@pytest.fixture(scope='module', params=['log-uniform', 'duquennoy1991'])
def orbits(request):
    model = ClusterModel(n_stars=N, binary_fraction=0.3, binary_periods=request.param,
                         half_mass_radius=30 * u.pc, seed=3)
    return model, initial.initial_conditions(model)


def test_orbits_lie_between_contact_and_the_hard_soft_boundary(orbits):
    model, cluster = orbits
    pairs = cluster.binaries
    assert cluster.mass.size == model.n_bodies and pairs.body.size == N - model.n_bodies
    both = cluster.mass[pairs.body]
    # 1 Msun is 1 Rsun or less
    assert np.all(pairs.semi_major_axis * (1 - pairs.eccentricity) > 5 * 0.1 * (1 * u.Rsun).to_value(u.au))
    v_orbit = np.sqrt(G * both / (pairs.semi_major_axis * u.au).to_value(u.pc))
    inner = slice(cluster.mass.size // 100)
    sigma2 = np.average(cluster.v_r[inner] ** 2 + cluster.v_t[inner] ** 2, weights=cluster.mass[inner])
    slowest = 0.7 * 4 * np.sqrt(sigma2 / (3 * np.pi))
    assert v_orbit.min() == pytest.approx(slowest, rel=0.05 if model.binary_periods == 'log-uniform' else 0.2)
    assert v_orbit.min() >= slowest * (1 - 1e-9)
    # thermal: e^2 is uniform, but for the tightest
    wide = pairs.semi_major_axis > 10.0
    assert ks_1samp(pairs.eccentricity[wide] ** 2, lambda x: x).statistic < 0.02


def test_distribution_of_periods(orbits):
    model, cluster = orbits
    pairs = cluster.binaries
    period = 365.25 * np.sqrt(pairs.semi_major_axis ** 3 / cluster.mass[pairs.body])
    # inside of the limits of all but the most massive ones
    low, high = 1.5, 4.5
    log_period = np.log10(period[(period > 10 ** low) & (period < 10 ** high)])
    if model.binary_periods == 'log-uniform':
        expected = (log_period - low) / (high - low)
    else:
        at_low, at_high = (norm.cdf(x, 4.8, 2.3) for x in (low, high))
        expected = (norm.cdf(log_period, 4.8, 2.3) - at_low) / (at_high - at_low)
    assert log_period.size > 10_000 and ks_1samp(expected, lambda x: x).statistic < 0.02


def test_kepler_with_the_earth_and_jupiter():
    np.testing.assert_allclose(initial._period(np.array([1.0, 5.2028]), 1.0), [365.25, 4333.0], rtol=2e-3)


def test_binaries_do_not_change_what_singles_get():
    plain, same = (initial.initial_conditions(ClusterModel(n_stars=500, seed=2, binary_fraction=f))
                   for f in (0.0, 1e-4))
    assert plain.binaries is None and same.binaries is None
    for a, b in zip(plain[:4], same[:4], strict=True):
        np.testing.assert_array_equal(a, b)


# -- King -----------------------------------------------------------------------------------------


@pytest.fixture(scope='module', params=[1.0, 7.0, 12.0])
def king(request):
    return request.param, sorted_by_radius(*initial.king(N, rng(2), w0=request.param))


def test_king_radii_follow_the_density(king):
    """Mass inside r by a direct quadrature of the density of the potential."""
    w0, (radius, _, _) = king
    structure = king_structure(w0)
    x = np.linspace(0.0, 1.0, 200001) ** 2 * structure.tidal_radius
    density = x**2 * king_density(np.interp(x, structure.radius, structure.potential))
    mass = np.concatenate(([0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(x))))
    result = ks_1samp(radius, lambda value: np.interp(value, x, mass / mass[-1]))
    assert result.pvalue > P_VALUE
    assert radius[-1] <= structure.tidal_radius
    assert radius[N // 2] == pytest.approx(structure.half_mass_radius, rel=0.03)


def test_king_is_in_virial_equilibrium_before_scaling(king):
    _, stars = king
    kinetic, potential = initial.shell_energies(np.full(N, 1.0 / N), *stars)
    assert 2.0 * kinetic == pytest.approx(-potential / G, rel=0.01)


@pytest.mark.parametrize('w', [1e-3, 1.0, 4.0, 12.0])
def test_king_speeds_follow_the_lowered_maxwellian(w):
    speed = initial._king_speeds(np.full(20000, w), rng(3))
    grid = np.linspace(0.0, np.sqrt(2.0 * w), 20001)
    density = grid**2 * np.expm1(w - 0.5 * grid**2)
    cumulative = np.concatenate(([0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))))
    result = ks_1samp(speed, lambda value: np.interp(value, grid, cumulative / cumulative[-1]))
    assert result.pvalue > P_VALUE
    assert speed.max() < np.sqrt(2.0 * w)


def test_king_star_on_the_edge_does_not_move():
    np.testing.assert_array_equal(initial._king_speeds(np.zeros(3), rng()), np.zeros(3))


@pytest.mark.parametrize('w0', [0.0, 15.5, None])
def test_king_refuses_other_w0(w0):
    with pytest.raises(ValueError, match=rf'king_w0 must lie between 0.1 and 15, received {w0}'):
        initial.king(10, rng(), w0=w0)


# -- both profiles --------------------------------------------------------------------------------


def test_velocities_are_isotropic(plummer):
    for _, v_r, v_t in (plummer, initial.king(N, rng(4), w0=5.0)):
        cosine = v_r / np.hypot(v_r, v_t)
        assert ks_1samp(cosine, lambda mu: 0.5 * (mu + 1.0)).pvalue > P_VALUE
        assert np.all(v_t >= 0.0)
        # The beta parameter, 1 - <v_t^2> / (2 <v_r^2>), has a scatter of about 0.006.
        assert abs(1.0 - np.mean(v_t**2) / (2.0 * np.mean(v_r**2))) < 0.03


# -- masses ---------------------------------------------------------------------------------------


def kroupa(m):
    return (m / 0.5) ** np.where(m < 0.5, -1.3, -2.3)


@pytest.mark.parametrize('lower, upper', [(0.1, 50.0), (0.08, 0.4), (0.6, 100.0), (0.5, 1.0)])
def test_kroupa_masses_follow_the_power_law(lower, upper):
    mass = initial.kroupa_masses(20000, rng(5), lower=lower, upper=upper)
    grid = np.geomspace(lower, upper, 20001)
    density = kroupa(grid) * grid  # per unit of ln m
    cumulative = np.concatenate(([0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))))
    result = ks_1samp(mass, lambda value: np.interp(value, grid, cumulative / cumulative[-1]))
    assert result.pvalue > P_VALUE
    assert lower <= mass.min() and mass.max() <= upper


def test_kroupa_mean_mass():
    """0.6103 Msun between 0.1 and 50, by quadrature and in the sample (whose error is 0.0017)."""
    first, zeroth = (
        quad(lambda m: m**k * kroupa(m), 0.1, 50.0, points=[0.5], limit=200)[0] for k in (1, 0)
    )
    assert first / zeroth == pytest.approx(0.6103, abs=1e-4)
    mass = initial.kroupa_masses(1_000_000, rng(6), lower=0.1, upper=50.0)
    assert mass.mean() == pytest.approx(first / zeroth, abs=0.007)


@pytest.mark.parametrize('lower, upper', [(0.05, 50.0), (2.0, 1.0), (1.0, 1.0), (np.nan, 1.0)])
def test_kroupa_refuses_wrong_limits(lower, upper):
    with pytest.raises(ValueError, match=rf'0.08 <= lower < upper .* received {lower} and {upper}'):
        initial.kroupa_masses(10, rng(), lower=lower, upper=upper)


# -- energies and scaling -------------------------------------------------------------------------


def test_shell_potential_is_the_work_of_assembly():
    """Bring shells in from infinity, innermost first: W is minus the work gained."""
    mass, radius = np.array([3.0, 1.0, 2.0]), np.array([0.5, 0.7, 4.0])
    work = 0.0
    for i in range(3):
        # Star i is brought in from infinity through the field of those inside of it.
        work += quad(lambda r, i=i: G * mass[:i].sum() * mass[i] / r**2, radius[i], np.inf)[0]
    _, potential = initial.shell_energies(mass, radius, np.zeros(3), np.zeros(3))
    assert potential == pytest.approx(-work, rel=1e-12)


def test_shell_energies_refuse_an_unsorted_cluster():
    with pytest.raises(ValueError, match='sorted by radius, received radii that decrease'):
        initial.shell_energies(np.ones(2), np.array([2.0, 1.0]), np.zeros(2), np.zeros(2))


def test_virialised_scales_only_the_velocities():
    mass, radius = np.array([1.0, 2.0]), np.array([1.0, 3.0])
    v_r, v_t = np.array([1.0, -2.0]), np.array([0.5, 4.0])
    stars = initial.virialised(mass, radius, v_r, v_t)
    kinetic, potential = initial.shell_energies(*stars[:4])
    assert 2.0 * kinetic == pytest.approx(-potential, rel=1e-14)
    np.testing.assert_allclose(stars.v_r / v_r, stars.v_t / v_t)
    np.testing.assert_array_equal(stars.mass, mass)
    np.testing.assert_array_equal(stars.radius, radius)


# -- initial_conditions ---------------------------------------------------------------------------

MODELS = [
    {},
    {'profile': 'king', 'king_w0': 6.0},
    {'imf': 'baumgardt2023', 'seed': 1},
    {'imf': '-1 -2.5 @ 0.7', 'mass_limits': [0.1, 20] * u.Msun},
    {'imf': 'equal', 'n_stars': 10000, 'half_mass_radius': 0.5 * u.pc}, {'binary_fraction': 0.3},
]


@pytest.mark.parametrize('fields', MODELS)
def test_initial_conditions(fields):
    model = ClusterModel(**fields)
    stars = initial.initial_conditions(model)
    assert all(column.shape == (model.n_bodies,) for column in stars[:4])
    assert all(np.all(np.isfinite(column)) for column in stars[:4])
    kinetic, potential = initial.shell_energies(*stars[:4])
    assert 2.0 * kinetic == pytest.approx(-potential, rel=1e-12)
    # Shot noise of the median radius: 0.4 per cent for 50,000 stars, 1 per cent for 10,000.
    r_h = model.half_mass_radius.to_value(u.pc)
    assert np.median(stars.radius) == pytest.approx(r_h, rel=0.03)
    total = model.expected_total_mass.to_value(u.Msun)
    assert stars.mass.sum() == pytest.approx(total, rel=0.05)


def test_plummer_energy_in_physical_units():
    """Total energy of the cluster: -3 pi G M^2 / (64 a), in Msun (km/s)^2."""
    model = ClusterModel(imf='equal', half_mass_radius=2.0 * u.pc)
    kinetic, potential = initial.shell_energies(*initial.initial_conditions(model)[:4])
    scale_radius = 2.0 * np.sqrt(2.0 ** (2.0 / 3.0) - 1.0)
    expected = -3.0 * np.pi * G * model.n_stars**2 / (64.0 * scale_radius)
    assert kinetic + potential == pytest.approx(expected, rel=0.01)


def test_masses_do_not_depend_on_position():
    stars = initial.initial_conditions(ClusterModel())
    rank = np.argsort(np.argsort(stars.mass))
    correlation = np.corrcoef(rank, np.arange(rank.size))[0, 1]
    assert abs(correlation) < 4.0 / np.sqrt(rank.size)


def test_seed_decides():
    model = ClusterModel(n_stars=1000, seed=3)
    first, again = initial.initial_conditions(model), initial.initial_conditions(model)
    other = initial.initial_conditions(model.replace(seed=4))
    for a, b, c in zip(first[:4], again[:4], other[:4]):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


@pytest.mark.parametrize('field, value', [('imf', 'salpeter'), ('profile', 'sersic')])
def test_unknown_choices(field, value):
    """ClusterModel refuses these itself: a model made some other way must not pass either."""
    model = ClusterModel(n_stars=100)
    object.__setattr__(model, field, value)
    with pytest.raises(ValueError, match=f"{field} must be .* received '{value}'"):
        initial.initial_conditions(model)
