# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Snapshots: coordinates, sums over stars against Plummer's model, files that come back."""

import os

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits, registry
from astropy.table import QTable, Table
from scipy.stats import ks_1samp

from pidoc.cluster.model import ClusterModel
from pidoc.cluster.snapshot import Snapshot
from pidoc.photometry import band_luminosity, v_luminosity
from pidoc.simulation.evolve import simulate
from pidoc.simulation.initial import initial_conditions, plummer_radius
from pidoc.stellar import StellarEvolution

KMS = u.km / u.s
MODEL = ClusterModel(n_stars=20000, imf='equal', half_mass_radius=2 * u.pc, seed=5)
SCALE_RADIUS = 2.0 / plummer_radius(0.5)


def spherical_stars(model=MODEL):
    stars = initial_conditions(model)
    return {
        'id': np.arange(10, 10 + model.n_stars, dtype=np.int32),
        'radius': stars.radius * u.pc, 'v_r': stars.v_r * KMS, 'v_t': stars.v_t * KMS,
        'mass': stars.mass * u.Msun, 'initial_mass': 1.1 * stars.mass * u.Msun,
        'luminosity': stars.mass**3 * u.Lsun, 'stellar_radius': stars.mass * u.Rsun,
        'kind': np.ones(model.n_stars, dtype=np.int16),
        'partner': np.full(model.n_stars, -1, dtype=np.int32),
    }


def few_stars(**changes):
    """Four stars in a small Cartesian table; None takes a column away."""
    columns = {
        'x': [3.0, 0.0, 0.0, -1.0] * u.pc, 'y': [4.0, 2.0, 0.0, 0.0] * u.pc,
        'z': [0.0, 0.0, 0.0, 0.0] * u.pc,
        'vx': [3.0, 1.0, 0.0, 0.0] * KMS, 'vy': [4.0, 0.0, 2.0, 0.0] * KMS,
        'vz': [2.0, 0.0, 0.0, 1.0] * KMS,
        'mass': [1.0, 2.0, 3.0, 4.0] * u.Msun,
        **changes,
    }
    return {name: column for name, column in columns.items() if column is not None}


@pytest.fixture(scope='module')
def spherical():
    return Snapshot(spherical_stars(), 12 * u.Gyr, MODEL, seed=3, meta={'STEP': 7})


@pytest.fixture(scope='module')
def cartesian(spherical):
    columns = spherical.stars
    columns.remove_columns(['radius', 'v_r', 'v_t'])
    return Snapshot(columns, 12 * u.Gyr, MODEL)


# -- colours ----------------------------------------------------------------------------------------


def test_the_colour_of_all_light_is_that_of_the_sum():
    whole = born_at(11 * u.Gyr, 0.001)
    stars = whole.stars
    light = {band: band_luminosity(stars['luminosity'], stars['temperature'], stars['kind'],
                                   mass=stars['mass'], metallicity=0.001, band=band,
                                   correction='kurucz1992') for band in 'BV'}
    expected = 5.48 - 4.83 - 2.5 * np.log10(light['B'].sum() / light['V'].sum())
    assert whole.colour() == expected * u.mag
    # whatever the size and the number of stars of each kind
    assert u.isclose(whole.rescaled(stars=2.0, size=3.0).colour(), whole.colour())
    # all of it is inside, and next to nothing
    assert u.isclose(whole.colour(aperture=5 * u.pc), whole.colour())
    inner = whole.stars['radius'] < 0.5 * u.pc
    assert not u.isclose(whole.colour(aperture=0.5 * u.pc), whole.colour(), rtol=1e-3)
    assert u.isclose(Snapshot(stars[inner], 11 * u.Gyr, whole.model).colour(aperture=0.5 * u.pc),
                     Snapshot(stars[inner], 11 * u.Gyr, whole.model).colour())
    assert u.isclose(whole.colour(('B', 'V')), -whole.colour(('V', 'B')))


def test_clusters_without_light_have_no_colour():
    dark = spherical_stars() | {'kind': np.full(MODEL.n_stars, 14)}
    assert np.isnan(Snapshot(dark, 1 * u.Gyr, MODEL).colour())
    with pytest.raises(ValueError, match='a colour needs a model, for the metallicity, and stars with lumin'):
        Snapshot(few_stars(), 1 * u.Gyr).colour()


# -- rescaled clusters ------------------------------------------------------------------------------


def energies(snapshot):
    """Kinetic and potential energy of spherical stars, of these in shells, in units of G = 1."""
    stars = snapshot.stars
    order = np.argsort(stars['radius'])
    mass, radius = stars['mass'].value[order], stars['radius'].value[order]
    inside = np.cumsum(mass) - 0.5 * mass
    speed2 = (stars['v_r'] ** 2 + stars['v_t'] ** 2).value[order]
    return 0.5 * np.sum(mass * speed2), np.sum(mass * inside / radius)


@pytest.mark.parametrize(('share', 'size'), [(1.0, 1.6), (0.4, 1.0), (0.5, 0.7)])
def test_a_rescaled_cluster_stays_in_virial_equilibrium(spherical, share, size):
    other = spherical.rescaled(stars=share, size=size, seed=4)
    assert other.n_stars == round(share * spherical.n_stars)
    fractions = [0.1, 0.5, 0.9]
    ratio = other.lagrangian_radii(fractions) / spherical.lagrangian_radii(fractions)
    # the scatter of a radius measured with some thousand stars
    np.testing.assert_allclose(ratio.value, size, rtol=0.05 if share < 1.0 else 1e-12)
    (kinetic, potential), (before, deep) = energies(other), energies(spherical)
    assert kinetic / potential == pytest.approx(before / deep, rel=0.02)
    assert potential == pytest.approx(deep * share**2 / size, rel=0.02)
    assert other.meta == {'STEP': 7, 'STARSHAR': share, 'SIZEFACT': size}
    assert other.age == spherical.age and other.model is spherical.model


def test_more_stars_than_there_were(spherical):
    other = spherical.rescaled(stars=1.4, seed=2)
    number = spherical.n_stars
    assert other.n_stars == round(1.4 * number) and other.meta['STARSHAR'] == 1.4
    (kinetic, potential), (before, deep) = energies(other), energies(spherical)
    assert kinetic / potential == pytest.approx(before / deep, rel=0.02)
    assert potential == pytest.approx(deep * 1.4**2, rel=0.04)
    first, twins = other.stars[:number], other.stars[number:]
    np.testing.assert_array_equal(first['mass'], spherical.stars['mass'])
    # each star at most twice, the second time at its own radius in another direction
    assert np.unique(other.stars['id']).size == other.n_stars
    row = np.asarray(twins['id']) - (max(spherical.stars['id']) + 1)
    same = {int(one): k for k, one in enumerate(spherical.stars['id'])}
    row = [same[int(one)] for one in row]
    np.testing.assert_array_equal(twins['radius'], first['radius'][row])
    assert np.all(twins['x'] != first['x'][row])


def test_twins_of_binaries_are_binaries():
    stars = {'id': [3, 5, 9], 'partner': [5, 3, -1], 'radius': [1, 1, 2] * u.pc, 'v_r': [0, 0, 1] * KMS,
             'v_t': [1, 1, 0] * KMS, 'mass': [1, 2, 3] * u.Msun}
    whole = Snapshot(stars, 1 * u.Gyr).rescaled(stars=2.0, seed=1).stars
    assert whole['id'].tolist() == [3, 5, 9, 13, 15, 19]
    assert whole['partner'].tolist() == [5, 3, -1, 15, 13, -1]
    Snapshot(whole, 1 * u.Gyr)


def test_rescaling_leaves_the_stars_themselves(spherical):
    other = spherical.rescaled(stars=0.25, size=2.0, seed=1)
    before = spherical.stars
    before.add_index('id')
    kept = before.loc[other.stars['id']]
    for name in ('mass', 'initial_mass', 'luminosity', 'temperature', 'kind'):
        np.testing.assert_array_equal(other.stars[name], kept[name])
    np.testing.assert_allclose(other.stars['radius'], 2.0 * kept['radius'])
    again, third = (spherical.rescaled(stars=0.25, seed=seed).stars['id'] for seed in (1, 2))
    np.testing.assert_array_equal(other.stars['id'], again)
    assert len(set(again) & set(third)) < len(again)


def test_rescaling_of_cartesian_stars_and_binaries():
    snapshot = Snapshot(few_stars(), 1 * u.Gyr)
    other = snapshot.rescaled(size=4.0)
    np.testing.assert_allclose(other.stars['x'], 4.0 * snapshot.stars['x'])
    np.testing.assert_allclose(other.stars['vz'], 0.5 * snapshot.stars['vz'])
    pairs = Snapshot(binary_stars(), 1 * u.Gyr)
    for seed in range(20):
        identities = set(pairs.rescaled(stars=0.4, seed=seed).stars['id'])
        assert len(identities & {11, 14}) != 1 and len(identities - {14}) == 2


@pytest.mark.parametrize(('options', 'message'), [
    ({'stars': 0.0}, 'stars must be a number above 0 and at most 2, received 0.0'),
    ({'stars': 2.1}, 'stars must be a number above 0 and at most 2, received 2.1'),
    ({'stars': 1.1}, 'stars must be at most 1 where stars have directions'),
    ({'stars': 0.01}, 'stars must leave at least one of 4, received 0.01'),
    ({'size': 0.0}, 'size must be a number above 0, received 0.0'),
    ({'size': np.nan}, 'size must be a number above 0, received nan'),
])
def test_impossible_rescaling(options, message):
    with pytest.raises(ValueError, match=message):
        Snapshot(few_stars(), 1 * u.Gyr).rescaled(**options)


# -- other populations -----------------------------------------------------------------------------


def born_at(age, metallicity, giant_mass_loss=0.5, number=4000):
    """Stars of one mass function at one age, in a sphere of their own."""
    rng = np.random.default_rng(5)
    model = ClusterModel(metallicity=metallicity, giant_mass_loss=giant_mass_loss)
    initial = np.exp(rng.uniform(np.log(0.1), np.log(60.0), number))
    state = StellarEvolution.of(model).state(initial, age.to_value(u.Myr))
    stars = {'radius': rng.uniform(0.1, 5.0, number) * u.pc, 'v_r': rng.normal(0, 3, number) * KMS,
             'v_t': abs(rng.normal(0, 4, number)) * KMS, 'mass': state.mass * u.Msun,
             'initial_mass': initial * u.Msun, 'luminosity': state.luminosity * u.Lsun,
             'stellar_radius': state.radius * u.Rsun, 'kind': state.kind}
    return Snapshot(stars, age, model)


def test_the_same_population_again_is_the_same_cluster():
    whole = born_at(11 * u.Gyr, 0.001)
    again = whole.repopulated(age=11 * u.Gyr, metallicity=0.001, giant_mass_loss=0.5)
    for name in whole.stars.colnames:
        np.testing.assert_allclose(again.stars[name], whole.stars[name], rtol=1e-12)
    assert again.meta == {'DYNAGE': 11.0} and not whole.meta


@pytest.mark.parametrize('other', [
    {'age': 9.5 * u.Gyr}, {'metallicity': 0.006}, {'giant_mass_loss': 0.2},
    {'age': 13 * u.Gyr, 'metallicity': 0.0002, 'giant_mass_loss': 0.3}])
def test_another_population_is_as_if_born_so(other):
    whole = born_at(11 * u.Gyr, 0.001)
    born = born_at(**({'age': 11 * u.Gyr, 'metallicity': 0.001} | other))
    made = whole.repopulated(**other)
    assert made.age == born.age
    assert (made.model.metallicity, made.model.giant_mass_loss) == (
        born.model.metallicity, born.model.giant_mass_loss)
    free = (whole.stars['kind'] < 13) & (born.stars['kind'] < 13)
    assert free.sum() > 2500 and np.any(made.stars['mass'][free] != whole.stars['mass'][free])
    for name in ('mass', 'luminosity', 'stellar_radius', 'kind', 'temperature'):
        np.testing.assert_allclose(made.stars[name][free], born.stars[name][free], rtol=1e-12)
        # neutron stars and black holes are those that were simulated
        np.testing.assert_array_equal(made.stars[name][~free], whole.stars[name][~free])


def test_another_population_keeps_the_virial_ratio():
    whole = born_at(0.3 * u.Gyr, 0.001)
    other = whole.repopulated(age=12 * u.Gyr, metallicity=0.008)
    (kinetic, potential), (before, deep) = energies(other), energies(whole)
    # a fifth of the mass goes
    assert potential < 0.9 * deep
    assert kinetic / potential == pytest.approx(before / deep, rel=0.03)
    np.testing.assert_array_equal(other.stars['radius'], whole.stars['radius'])


@pytest.mark.parametrize('flattening', [0.5, 1.5])
def test_a_flatter_mass_function(flattening):
    whole = born_at(12 * u.Gyr, 0.001, number=20000)
    flat = whole.repopulated(flattening=flattening, seed=3)
    before, error = whole.mass_function_slope()
    slope, larger = flat.mass_function_slope()
    assert slope - before == pytest.approx(flattening, abs=3.0 * larger) and larger < 0.07
    # all that is heavier is kept, so the light is
    heavy = [each.stars['initial_mass'] > 0.8 * u.Msun for each in (whole, flat)]
    np.testing.assert_array_equal(*(each.stars['radius'][some] for each, some in
                                    zip((whole, flat), heavy, strict=True)))
    assert flat.stars['luminosity'].sum() > 0.9 * whole.stars['luminosity'].sum()
    assert flat.total_mass < whole.total_mass
    (kinetic, potential), (start, deep) = energies(flat), energies(whole)
    assert kinetic / potential == pytest.approx(start / deep, rel=0.03)
    assert flat.meta == {'DYNAGE': 12.0, 'FLATTEN': flattening}
    again, other = (whole.repopulated(flattening=flattening, seed=seed).n_stars for seed in (3, 4))
    assert again == flat.n_stars != other


def test_binaries_stay_or_go_together():
    columns = binary_stars()
    for name in ('mass', 'initial_mass'):
        columns[name] = np.array([0.9, 0.3, 0.9, 0.2, 0.5, 0.9]) * u.Msun
    columns['kind'] = np.ones(6, dtype=int)
    pairs = Snapshot(columns, 1 * u.Gyr, ClusterModel())
    kept = [set(pairs.repopulated(flattening=2.0, seed=seed).stars['id']) for seed in range(100)]
    assert all(len(each & {11, 14}) != 1 and {10, 12, 15} <= each for each in kept)
    # by the heavier one: (0.5 / 0.8)^2 and (0.2 / 0.8)^2
    assert np.mean([11 in each for each in kept]) == pytest.approx(0.39, abs=0.15)
    assert np.mean([13 in each for each in kept]) == pytest.approx(0.06, abs=0.08)


@pytest.mark.parametrize(('snapshot', 'options', 'message'), [
    (lambda: born_at(1 * u.Gyr, 0.001), {'flattening': -0.5}, 'flattening must be a number, at least 0'),
    (lambda: Snapshot(few_stars(), 1 * u.Gyr), {}, 'stars must have initial_mass and kind, and a model'),
    (lambda: born_at(1 * u.Gyr, 0.001), {'metallicity': 0.2}, 'metallicity must be'),
    (lambda: born_at(1 * u.Gyr, 0.001), {'giant_mass_loss': 0.05}, 'giant_mass_loss must be'),
    (lambda: born_at(1 * u.Gyr, 0.001), {'age': 30 * u.Gyr}, 'age must be between 0 and'),
])
def test_impossible_populations(snapshot, options, message):
    with pytest.raises(ValueError, match=message):
        snapshot().repopulated(**options)


# -- coordinates ----------------------------------------------------------------------------------


def test_directions_are_isotropic(spherical):
    stars = spherical.stars
    for name in 'xyz':
        cosine = (stars[name] / stars['radius']).to_value(u.one)
        assert ks_1samp(cosine, lambda c: 0.5 * (c + 1.0)).pvalue > 1e-3
    # The velocity ellipsoid of an isotropic cluster is a sphere: 1 per cent scatter, by 20,000.
    dispersions = [np.mean(stars[name].value ** 2) for name in ('vx', 'vy', 'vz')]
    assert np.ptp(dispersions) / np.mean(dispersions) < 0.04
    # No rotation: the mean angular momentum is small against its scatter.
    spin = (stars['x'] * stars['vy'] - stars['y'] * stars['vx']).value
    assert abs(spin.mean()) < 4.0 * spin.std() / np.sqrt(spin.size)


def test_spherical_and_cartesian_are_the_same_stars(spherical, cartesian):
    assert spherical.is_spherical and not cartesian.is_spherical
    assert (cartesian.stars['x'] == spherical.stars['x']).all()
    for name in ('radius', 'v_r', 'v_t'):
        np.testing.assert_allclose(
            cartesian.stars[name].value, spherical.stars[name].value, rtol=1e-9, atol=1e-9
        )


def test_seed_decides_the_directions(spherical):
    same = Snapshot(spherical_stars(), 12 * u.Gyr, seed=3)
    other = Snapshot(spherical_stars(), 12 * u.Gyr, seed=4)
    assert (same.stars['x'] == spherical.stars['x']).all()
    assert not (other.stars['x'] == spherical.stars['x']).any()
    assert other.half_mass_radius == spherical.half_mass_radius


def test_cartesian_by_hand():
    stars = Snapshot(few_stars(), 0 * u.Gyr).stars
    np.testing.assert_allclose(stars['radius'].value, [5.0, 2.0, 0.0, 1.0])
    np.testing.assert_allclose(stars['v_r'].value, [5.0, 0.0, 0.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(stars['v_t'].value, [2.0, 1.0, 2.0, 1.0])
    np.testing.assert_array_equal(stars['id'], [0, 1, 2, 3])


def test_cartesian_without_velocities():
    stars = Snapshot(few_stars(vx=None, vy=None, vz=None), 0 * u.Gyr).stars
    assert 'radius' in stars.colnames
    assert not {'vx', 'v_r', 'v_t'} & set(stars.colnames)


def test_units_are_converted():
    snapshot = Snapshot(few_stars(mass=[1, 2, 3, 4] * u.kg), 500 * u.Myr)
    assert snapshot.total_mass.to_value(u.kg) == pytest.approx(10.0)
    assert snapshot.age.unit == u.Gyr
    assert snapshot.age.value == pytest.approx(0.5)


# -- binaries -------------------------------------------------------------------------------------


def binary_stars():
    columns = {name: column[:6] for name, column in spherical_stars().items()}
    columns['partner'] = np.array([-1, 14, -1, -1, 11, -1])
    for name in ('radius', 'v_r', 'v_t'):
        columns[name][4] = columns[name][1]
    return columns


def test_components_of_a_binary_share_their_place():
    stars = Snapshot(binary_stars(), 1 * u.Gyr).stars
    for name in ('x', 'y', 'z', 'vx', 'vy', 'vz'):
        assert stars[name][1] == stars[name][4]
        assert np.unique(stars[name]).size == 5


@pytest.mark.parametrize('partner, message', [
    ([-1, 99, -1, -1, 11, -1], 'partner must be the id of a star, received 99'),
    ([-1, 14, -1, -1, -1, -1], 'must have that star as its own, received 14 for star 11'),
    ([-1, 11, -1, -1, -1, -1], 'must have that star as its own, received 11 for star 11'),
    ([-1, -1, 15, -1, -1, 12], 'radius must be the same for both .* star 12 differs'),
])
def test_partners_are_checked(partner, message):
    columns = binary_stars() | {'partner': np.array(partner)}
    with pytest.raises(ValueError, match=message):
        Snapshot(columns, 1 * u.Gyr)


# -- sums -----------------------------------------------------------------------------------------


def test_radii_of_a_plummer_model(spherical, cartesian):
    fractions = [0.1, 0.5, 0.9]
    expected = SCALE_RADIUS * plummer_radius(np.array(fractions))
    for snapshot in (spherical, cartesian):
        radii = snapshot.lagrangian_radii(fractions)
        np.testing.assert_allclose(radii.to_value(u.pc), expected, rtol=0.03)
        assert snapshot.half_mass_radius == radii[1]
        assert snapshot.total_mass.to_value(u.Msun) == pytest.approx(20000.0)


def test_core_radius_of_a_plummer_model(spherical, cartesian):
    """Casertano & Hut (1985): the density-weighted mean radius is, by integration, 0.679 a."""
    r = np.linspace(0.0, 100.0, 200001)
    weight = r**2 * (1.0 + r**2) ** -5.0
    expected = SCALE_RADIUS * np.sum(r * weight) / np.sum(weight)
    assert expected / SCALE_RADIUS == pytest.approx(0.679, abs=0.001)
    for snapshot in (spherical, cartesian):
        assert snapshot.core_radius.to_value(u.pc) == pytest.approx(expected, rel=0.04)


def test_core_radius_with_a_spectrum_of_masses():
    """Masses drawn independently of position do not bias the mass density."""
    model = ClusterModel(n_stars=20000, half_mass_radius=2 * u.pc)
    snapshot = Snapshot(spherical_stars(model), 1 * u.Gyr)
    # The few most massive stars are weighty neighbours: more scatter than with equal masses.
    assert snapshot.core_radius.to_value(u.pc) == pytest.approx(0.679 * SCALE_RADIUS, rel=0.08)


@pytest.mark.parametrize('kind', ['spherical', 'cartesian'])
def test_core_radius_where_bodies_are_binaries(kind, request):
    """Two stars at one place are no dense core: a pair counts as one body."""
    snapshot = request.getfixturevalue(kind)
    names = ('radius', 'v_r', 'v_t') if kind == 'spherical' else ('x', 'y', 'z', 'vx', 'vy', 'vz')
    number = len(snapshot)
    pairs = np.arange(0, number, 3)
    rows = np.concatenate([np.arange(number), pairs])
    columns = {name: snapshot.stars[name][rows] for name in names}
    columns['mass'] = snapshot.stars['mass'][rows]
    columns['mass'][pairs] *= 0.5
    columns['mass'][number:] *= 0.5
    columns['id'] = np.arange(rows.size)
    columns['partner'] = np.full(rows.size, -1)
    columns['partner'][pairs], columns['partner'][number:] = np.arange(number, rows.size), pairs
    paired = Snapshot(columns, 1 * u.Gyr)
    assert len(paired) == rows.size > number
    assert paired.core_radius.value == pytest.approx(snapshot.core_radius.value, rel=1e-12)


def test_core_radius_does_not_need_the_right_center(cartesian):
    columns = cartesian.stars
    columns['x'] += 30 * u.pc
    moved = Snapshot(columns, 1 * u.Gyr)
    assert moved.core_radius.value == pytest.approx(cartesian.core_radius.value, rel=1e-9)
    assert moved.half_mass_radius > 10 * cartesian.half_mass_radius


def test_core_radius_needs_seven_stars():
    with pytest.raises(ValueError, match='core_radius needs at least 7 stars, received 4'):
        Snapshot(few_stars(), 0 * u.Gyr).core_radius  # noqa: B018


def test_stars_at_one_place_do_not_break_the_core_radius(spherical):
    columns = {name: column.copy() for name, column in spherical_stars().items()}
    for name in ('radius', 'v_r', 'v_t'):
        columns[name][:12] = columns[name][11]
    core = Snapshot(columns, 1 * u.Gyr).core_radius
    assert core.value == pytest.approx(spherical.core_radius.value, rel=0.05)


def test_lagrangian_radii_by_hand():
    """Masses 3, 4, 2, 1 at 0, 1, 2, 5 pc: cumulative 3, 7, 9, 10."""
    snapshot = Snapshot(few_stars(), 0 * u.Gyr)
    assert snapshot.lagrangian_radii(0.7).to_value(u.pc) == pytest.approx(1.0)
    assert snapshot.half_mass_radius.to_value(u.pc) == pytest.approx(0.5)
    assert snapshot.lagrangian_radii([[0.3, 1.0]]).to_value(u.pc).tolist() == [[0.0, 5.0]]


@pytest.mark.parametrize('fractions, received', [(0, '0.0'), ([0.5, 1.1], '1.1'), (np.nan, 'nan')])
def test_lagrangian_radii_refuse_other_fractions(fractions, received):
    with pytest.raises(ValueError, match=f'above 0 and at most 1, received {received}'):
        Snapshot(few_stars(), 0 * u.Gyr).lagrangian_radii(fractions)


def test_massless_cluster_has_no_half_mass_radius():
    assert np.isnan(Snapshot(few_stars(mass=np.zeros(4) * u.Msun), 0 * u.Gyr).half_mass_radius)


# -- light ----------------------------------------------------------------------------------------

LIGHT = {
    'luminosity': [1.0, 100.0, 5.0, 0.0] * u.Lsun,
    'stellar_radius': [1.0, 10.0, 1e-5, 0.0] * u.Rsun,
    'kind': np.array([1, 3, 13, 15]),
}


def test_temperature_and_light():
    """5772 K for the Sun; L = 100 R^2 is the same temperature; a neutron star is dark."""
    snapshot = Snapshot(few_stars(**LIGHT), 0 * u.Gyr)
    stars = snapshot.stars
    np.testing.assert_allclose(stars['temperature'][:2].to_value(u.K), 5772.0)
    assert stars['temperature'][3] == 0 * u.K
    sun = v_luminosity(1 * u.Lsun, 5772 * u.K, 1).value
    np.testing.assert_allclose(stars['v_luminosity'].value, [sun, 100.0 * sun, 0.0, 0.0])
    assert snapshot.v_luminosity.to_value(u.Lsun) == pytest.approx(101.0 * sun)
    ratio = snapshot.mass_to_light.to_value(u.Msun / u.Lsun)
    assert ratio == pytest.approx(10.0 / (101.0 * sun))
    # By radius the light is 0, 0, 100, 1 at 0, 1, 2, 5 pc: half of it at 1 + 50.5 / 100.
    assert snapshot.half_light_radius.to_value(u.pc) == pytest.approx(1.505)


def test_given_temperature_counts():
    light = LIGHT | {'temperature': [4e3, 4e3, 4e3, 4e3] * u.K}
    light.pop('stellar_radius')
    light.pop('kind')
    stars = Snapshot(few_stars(**light), 0 * u.Gyr).stars
    expected = v_luminosity(LIGHT['luminosity'], 4e3 * u.K, 1)
    np.testing.assert_allclose(stars['v_luminosity'].value, expected.value)
    assert 'kind' not in stars.colnames


def test_no_light_without_luminosities():
    snapshot = Snapshot(few_stars(), 0 * u.Gyr)
    with pytest.raises(ValueError, match='the light needs the columns luminosity and .* mass'):
        snapshot.v_luminosity  # noqa: B018
    assert 'v_luminosity' not in snapshot.stars.colnames


def test_summary(spherical):
    row = spherical.summary()
    assert row['n_stars'] == len(spherical) == 20000
    for name in ('age', 'total_mass', 'core_radius', 'v_luminosity', 'mass_to_light'):
        assert row[name] == getattr(spherical, name)
    assert row['r_10'] < row['half_mass_radius'] < row['r_90']
    table = QTable(rows=[row, row])
    assert table['r_90'].unit == u.pc
    columns = {k: v for k, v in spherical_stars().items() if k != 'luminosity'}
    assert set(row) - set(Snapshot(columns, 1 * u.Gyr).summary()) == {
        'v_luminosity', 'mass_to_light', 'half_light_radius'
    }


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize('changes, error, message', [
    ({'mass': None}, ValueError, r'stars must have a mass and .*: mass not found'),
    ({'x': None}, ValueError, r'either radius, v_r and v_t or x, y and z .*: x not found'),
    ({'vy': None}, ValueError, r'all of vx, vy and vz or none.*: vy not found'),
    ({'teff': [1, 1, 1, 1] * u.K}, ValueError, "columns must be among .* received 'teff'"),
    ({'mass': [1, 2, 3, -4] * u.Msun}, ValueError, 'mass must not be negative, received -4.0'),
    ({'mass': [1, 2, 3, np.nan] * u.Msun}, ValueError, 'mass must be finite, received nan'),
    ({'mass': np.ones(4)}, TypeError, 'mass must be an astropy Quantity'),
    ({'mass': np.ones(4) * u.pc}, u.UnitConversionError, 'mass must have a unit that converts'),
    ({'kind': [1, 2, 3, 16]}, ValueError, 'kind must be 0 to 15, received 1 to 16'),
    ({'kind': [1.0, 2.0, 3.0, 4.0]}, TypeError, 'kind must be integers, received .* float64'),
    ({'id': [1, 2, 2, 3]}, ValueError, 'id must be unique, received 2 more than once'),
    ({'id': [1, 2, 3, 2**40]}, ValueError, 'id must lie within -2147483648 to 2147483647'),
])
def test_columns_are_checked(changes, error, message):
    with pytest.raises(error, match=message):
        Snapshot(few_stars(**changes), 0 * u.Gyr)


def test_empty_table():
    empty = {name: column[:0] for name, column in few_stars().items()}
    with pytest.raises(ValueError, match='at least one star, received an empty table'):
        Snapshot(empty, 0 * u.Gyr)


@pytest.mark.parametrize('changes, error, message', [
    ({'age': -1 * u.Gyr}, ValueError, 'age must not be negative, received -1.0 Gyr'),
    ({'age': 5.0}, TypeError, 'age must be an astropy Quantity in Gyr, received 5.0'),
    ({'age': [1, 2] * u.Gyr}, ValueError, r'age must be a scalar, .* of shape \(2,\)'),
    ({'model': 'MW15'}, TypeError, "model must be a ClusterModel or None, received 'MW15'"),
    ({'seed': 1.5}, ValueError, 'seed must be a whole number, at least 0, received 1.5'),
    ({'seed': -1}, ValueError, 'seed must be a whole number, at least 0, received -1'),
    ({'meta': {'lower': 1}}, ValueError, "a keyword of meta .* received 'lower'"),
    ({'meta': {'TOO-LONG-': 1}}, ValueError, "a keyword of meta .* received 'TOO-LONG-'"),
    ({'meta': {'AGE': 1}}, ValueError, "a keyword of meta .* received 'AGE'"),
    ({'meta': {'NSTARS': 1}}, ValueError, "a keyword of meta .* received 'NSTARS'"),
    ({'meta': {'TTYPE1': 1}}, ValueError, "a keyword of meta .* received 'TTYPE1'"),
    ({'meta': {'A': [1]}}, TypeError, r"meta\['A'\] must be a string, .* received \[1\]"),
])
def test_the_rest_is_checked(changes, error, message):
    with pytest.raises(error, match=message):
        Snapshot(few_stars(), **({'age': 0 * u.Gyr} | changes))


def test_a_snapshot_does_not_change_with_its_table():
    columns = few_stars()
    snapshot = Snapshot(QTable(columns), 0 * u.Gyr)
    columns['mass'][:] = 0 * u.Msun
    snapshot.stars['mass'][:] = 0 * u.Msun
    snapshot.stars['id'][:] = 7
    assert snapshot.total_mass == 10 * u.Msun
    assert snapshot.stars['id'][0] == 0


# -- files ----------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'snapshot.fits'


def test_float64_comes_back_exactly(spherical, path):
    spherical.write(path, dtype=np.float64)
    again = Snapshot.read(path)
    assert again.is_spherical
    assert again.model == MODEL
    assert again.age == spherical.age
    assert again.seed == spherical.seed
    assert again.meta == {'STEP': 7}
    assert again.stars.colnames == spherical.stars.colnames
    for name in spherical.stars.colnames:
        np.testing.assert_array_equal(again.stars[name], spherical.stars[name])
        assert again.stars[name].dtype == spherical.stars[name].dtype


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_as_stored_is_what_comes_back_from_a_file(spherical, cartesian, path, dtype):
    simulated = next(simulate(MODEL.replace(n_stars=500, imf='kroupa2001'), ages=[1 / 3] * u.Myr))
    for k, snapshot in enumerate((spherical, cartesian, simulated)):
        snapshot.write(path, overwrite=k > 0, dtype=dtype)
        read, stored = Snapshot.read(path), snapshot.as_stored(dtype=dtype)
        assert (stored.age, stored.model, stored.seed, stored.meta) == \
            (read.age, read.model, read.seed, read.meta)
        assert list(stored._native) == list(read._native)
        for name, column in read._native.items():
            assert stored._native[name].dtype == column.dtype
            assert stored._native[name].tobytes() == column.tobytes()


def test_float32_is_the_default(spherical, path):
    spherical.write(path)
    again = Snapshot.read(path)
    assert fits.getdata(path, 1).dtype['mass'] == np.dtype('>f4')
    for name in ('mass', 'x', 'vz', 'v_luminosity'):
        np.testing.assert_allclose(
            again.stars[name].value, spherical.stars[name].value, rtol=2e-6, atol=2e-6
        )
    assert again.total_mass.value == pytest.approx(spherical.total_mass.value, rel=1e-7)


@pytest.mark.parametrize('name', ['bare.fits', 'bare.fits.gz', 'BARE.FITS'])
def test_cartesian_without_a_model(tmp_path, name):
    snapshot = Snapshot(few_stars(**LIGHT), 3.3 * u.Gyr)
    snapshot.write(tmp_path / name, dtype='float64')
    again = Snapshot.read(tmp_path / name)
    assert again.model is None
    assert not again.is_spherical
    assert (again.stars['x'] == snapshot.stars['x']).all()
    assert again.age == snapshot.age
    assert os.listdir(tmp_path) == [name]


def test_binaries_come_back(path):
    Snapshot(binary_stars(), 1 * u.Gyr).write(path)
    assert Snapshot.read(path).stars['partner'].tolist() == [-1, 14, -1, -1, 11, -1]


def test_no_time_of_the_day_in_the_file(spherical, path):
    spherical.write(path)
    with fits.open(path) as hdus:
        for hdu in hdus:
            for keyword in ('CHECKSUM', 'DATASUM'):
                assert hdu.header.comments[keyword] == 'checksum of the HDU'
            assert 'DATE' not in hdu.header


def test_others_can_read_the_file(spherical, path):
    spherical.write(path)
    table = QTable.read(path)
    units = {name: table[name].unit for name in ('radius', 'v_t', 'mass', 'stellar_radius')}
    assert units == {'radius': u.pc, 'v_t': KMS, 'mass': u.Msun, 'stellar_radius': u.Rsun}
    assert table.meta['AGE'] == 12.0
    # What fits to the digit for a program that knows nothing of astropy's units.
    header = fits.getheader(path, 1)
    assert [header[f'TUNIT{i}'] for i in (2, 3, 5, 7, 8)] == [
        'pc', 'km s-1', 'solMass', 'solLum', 'solRad'
    ]
    assert 'PIDOCVER' in header


def test_an_existing_file_is_kept(path):
    snapshot = Snapshot(few_stars(), 0 * u.Gyr)
    path.write_text('precious')
    with pytest.raises(OSError, match='snapshot.fits exists: give overwrite=True'):
        snapshot.write(path)
    assert path.read_text() == 'precious'
    snapshot.write(path, overwrite=True)
    assert len(Snapshot.read(path)) == 4


def test_a_failed_write_leaves_nothing(path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError('no space left')

    monkeypatch.setattr(os, 'replace', fail)
    path.write_text('precious')
    with pytest.raises(OSError, match='no space left'):
        Snapshot(few_stars(), 0 * u.Gyr).write(path, overwrite=True)
    assert path.read_text() == 'precious'
    assert os.listdir(path.parent) == ['snapshot.fits']


def test_other_dtypes_are_refused(path):
    with pytest.raises(ValueError, match='dtype must be float32 or float64, received int64'):
        Snapshot(few_stars(), 0 * u.Gyr).as_stored(dtype=int)
    with pytest.raises(ValueError, match='dtype must be float32 or float64, received int64'):
        Snapshot(few_stars(), 0 * u.Gyr).write(path, dtype=int)
    assert not path.exists()


@pytest.mark.parametrize('share', [0.999, 0.7, 0.3, 0.001, 0.0])
def test_a_file_cut_short(spherical, path, share):
    spherical.write(path)
    content = path.read_bytes()
    path.write_bytes(content[:int(share * len(content))])
    with pytest.raises(ValueError, match='snapshot.fits is damaged or cut short'):
        Snapshot.read(path)


def test_a_file_cut_after_its_first_block(spherical, path):
    spherical.write(path)
    path.write_bytes(path.read_bytes()[:2880])
    with pytest.raises(ValueError, match='is not a pidoc snapshot, or cut short'):
        Snapshot.read(path)


def test_a_compressed_file_cut_short(spherical, tmp_path):
    path = tmp_path / 'snapshot.fits.gz'
    spherical.write(path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(ValueError, match='cut short'):
        Snapshot.read(path)


def test_one_flipped_bit(spherical, path):
    spherical.write(path)
    content = bytearray(path.read_bytes())
    content[200_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match='is damaged or cut short: Checksum verification failed'):
        Snapshot.read(path)


def test_a_foreign_table(path):
    Table(few_stars()).write(path)
    with pytest.raises(ValueError, match='is not a pidoc snapshot.* the keyword PIDOCFMT'):
        Snapshot.read(path)


def test_something_else(tmp_path):
    (tmp_path / 'snapshot.txt').write_text('3 stars')
    with pytest.raises(registry.IORegistryError, match='Format could not be identified'):
        Snapshot.read(tmp_path / 'snapshot.txt')
    with pytest.raises(ValueError, match="a FITS file must begin with SIMPLE, received b'3 stars'"):
        Snapshot.read(tmp_path / 'snapshot.txt', format='pidoc')
    # HDF5 in a file that is named like FITS
    (tmp_path / 'snapshot.fits').write_bytes(b'\x89HDF\r\n\x1a\n' + bytes(100))
    with pytest.raises(ValueError, match='snapshot.fits: a FITS file must begin with SIMPLE, received'):
        Snapshot.read(tmp_path / 'snapshot.fits')


@pytest.mark.parametrize('options', [{}, {'format': 'pidoc'}])
def test_a_missing_file(path, options):
    with pytest.raises(FileNotFoundError, match='snapshot.fits'):
        Snapshot.read(path, **options)


@pytest.mark.parametrize('keyword, value, message', [
    ('PIDOCFMT', 2, 'its format must be version 1, .* received 2'),
    ('AGE', None, 'its header must have AGE: not found'),
    ('AGE', -1.0, 'age must not be negative, received -1.0 Gyr'),
    ('NSTARS', None, 'must hold NSTARS: not found'),
    ('TUNIT5', None, 'mass must be an astropy Quantity'),
])
def test_an_altered_header(spherical, path, keyword, value, message):
    spherical.write(path)
    with fits.open(path, mode='update', checksum=True) as hdus:
        if value is None:
            del hdus[1].header[keyword]
        else:
            hdus[1].header[keyword] = value
    with pytest.raises(ValueError, match=f'does not hold a valid snapshot: .*{message}'):
        Snapshot.read(path)


def test_other_formats_can_be_registered(tmp_path):
    """What a reader of somebody else's simulation has to do: nothing here needs to change."""
    def read_text(source):
        mass, x = np.loadtxt(source).T
        zero = np.zeros_like(x) * u.pc
        return Snapshot({'mass': mass * u.Msun, 'x': x * u.pc, 'y': zero, 'z': zero}, 1 * u.Gyr)

    path = tmp_path / 'stars.dat'
    path.write_text('1.0 2.0\n0.5 3.0\n')
    registry.register_reader('test_text', Snapshot, read_text)
    try:
        assert Snapshot.read(path, format='test_text').total_mass == 1.5 * u.Msun
    finally:
        registry.unregister_reader('test_text', Snapshot)


def test_repr(spherical):
    assert repr(spherical) == '<Snapshot of 20000 stars at 12 Gyr (no model)>'
    named = Snapshot(few_stars(), 2 * u.Gyr, ClusterModel.named('MW15'))
    assert repr(named) == '<Snapshot of 4 stars at 2 Gyr (MW15)>'
