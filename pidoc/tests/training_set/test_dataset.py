# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Tests of pidoc.training_set."""

import errno
import hashlib
import json
import multiprocessing
import os
import pickle
import re
import shutil
import signal
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from scipy import stats

from pidoc import ClusterModel, Snapshot
from pidoc.grid import MapGrid
from pidoc.io.files import locked
from pidoc.io.processes import WorkLost
from pidoc.mock.conditions import Conditions
from pidoc.mock.observation import observe
from pidoc.networks.variables import CONSTRAINTS, OUTPUTS
from pidoc.simulation.run import run
from pidoc.training_set import build as building
from pidoc.training_set import maps as maps_module
from pidoc.training_set import shards
from pidoc.training_set.dataset import TrainingSet
from pidoc.training_set.files import TrainingSetError
from pidoc.training_set.recipe import Population, Recipe
from pidoc.training_set.sampler import draw_maps
from pidoc.training_set.sources import _foreign_source, simulate, Source
from pidoc.training_set.truths import truths

AGES = [0.0, 20.0, 100.0]
ROWS = [{'name': name, 'n_stars': 400, 'half_mass_radius': radius, 'seed': seed}
        for name, radius, seed in (('a', 1.0, 1), ('b', 3.0, 2), ('c', 2.0, 3))]
GRID = MapGrid()
NOISE = {'sky': 21.0, 'zero_point': 25.0, 'exposure': {'low': 10, 'high': 1000, 'scale': 'log'},
         'sky_error': {'low': 0.01, 'high': 0.2}, 'calibration_error': 0.05}


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """A folder with three small runs."""
    folder = tmp_path_factory.mktemp('runs')
    models = Recipe(content()).models
    for model, _ in models.values():
        run(model, folder / model.name, ages=AGES * u.Myr, progress=False)
    return folder


def content(**changes):
    return {
        'name': 'small', 'seed': 7,
        'maps': {'sharp': True, 'shard': 4, 'field_of_view': 20.0, 'pixel_scale': 0.5},
        'simulations': [{'group': 'all', 'rows': ROWS, 'ages': AGES}],
        'part': [part(), part(name='noisy', number=5, conditions=NOISE),
                 part(name='last', simulations='c', split='test', number='all', distance=[10, 30],
                      seeing=1.0, light_jitter=0.0)],
    } | changes


def part(**changes):
    return {'name': 'first', 'simulations': ['a', 'b'], 'split': 'train', 'number': 10,
            'distance': {'low': 8, 'high': 120, 'scale': 'log'}, 'seeing': {'low': 0.5, 'high': 1.5},
            'shift': 'random', 'rotation': 'any', 'direction': 'random', 'light_jitter': 0.01} | changes


def build(folder, runs, *, jobs=1, **changes):
    return TrainingSet.build(Recipe(content(**changes)), folder, simulations=runs, jobs=jobs, progress=False)


@pytest.fixture(scope='module')
def made(runs, tmp_path_factory):
    """The small set."""
    return build(tmp_path_factory.mktemp('made') / 'set', runs)


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def snapshot_of(row, runs):
    return Snapshot.read(runs / row['simulation'] / 'snapshots' / f'snapshot_{row["snapshot"]:05d}.fits')


def observed(row, runs, **options):
    """The mock observation that a row of the table describes."""
    shift = u.Quantity([row['shift_x'], row['shift_y']])
    return observe(snapshot_of(row, runs), distance=row['distance'], seeing=row['seeing'], shift=shift,
                   rotation=row['rotation'], direction='random', field_of_view=20 * u.arcsec,
                   pixel_scale=0.5 * u.arcsec, seed=row['seed'], keep_sharp=True, **options)


def conditions_of(row):
    return Conditions(**{name: row[name] for name in NOISE})


# -- what is in a set -----------------------------------------------------------------------------


def test_the_parts_have_the_numbers_of_the_recipe(made):
    assert len(made) == 10 + 5 + 3 * 2
    assert [int(np.sum(made.table['part'] == name)) for name in ('first', 'noisy', 'last')] == [10, 5, 6]
    assert len(made.split('train')) == 15
    assert set(made.split('test').table['simulation']) == {'c'}
    assert set(made.split('train').table['simulation']) == {'a', 'b'}
    assert made.grid.pixel_scale == 0.5 * u.arcsec
    assert made.recipe == Recipe(content())
    assert repr(made).startswith('<TrainingSet small: 21 maps in ')


def test_every_map_of_a_product_is_there_once(made):
    table = made.split('test').table
    there = sorted(zip(table['snapshot'].tolist(), table['distance'].value.tolist(), strict=True))
    assert there == [(k, d) for k in range(3) for d in (10.0, 30.0)]


def test_the_table_tells_of_the_model_and_the_snapshot(made, runs):
    for row in made.table[::4]:
        snapshot = snapshot_of(row, runs)
        assert row['age'] == snapshot.age
        assert row['n_stars'] == 400
        assert row['half_mass_radius0'] == snapshot.model.half_mass_radius
        assert row['metallicity'] == 0.001
    assert np.all(np.isnan(made.table['exposure'][made.table['part'] != 'noisy']))
    assert np.all(made.table['sky'][made.table['part'] == 'noisy'] == 21.0 * u.mag / u.arcsec**2)


def test_the_truth_of_a_set(made):
    """All that networks may predict, but for the dispersion in a radius, for which no radius is given."""
    found = truths(made.table)
    assert set(found) == (set(OUTPUTS) | set(CONSTRAINTS)) - {'velocity_dispersion', 'dispersion_radius'}
    noisy = made.table['part'] == 'noisy'
    np.testing.assert_array_equal(np.isfinite(found['sky_error']), noisy)
    assert np.all((found['sky_error'][noisy] >= 0.01) & (found['sky_error'][noisy] <= 0.2))
    np.testing.assert_allclose(found['metallicity'], -1.34, atol=0.005)
    assert np.all((found['dark_share'] >= 0.0) & (found['dark_share'] < 0.5))
    np.testing.assert_array_equal(found['age'], made.table['age'].to_value(u.Gyr))


def test_maps_without_noise_and_jitter_are_those_of_observe(made, runs):
    rows = np.flatnonzero(made.table['part'] == 'last')
    for i, light, mass, sharp in zip(rows, made.light(rows), made.mass(rows), made.sharp(rows), strict=True):
        mock = observed(made.table[i], runs)
        np.testing.assert_array_equal(light, mock.light.data.astype(np.float32))
        np.testing.assert_array_equal(mass, mock.mass.data.astype(np.float32))
        np.testing.assert_array_equal(sharp, mock.sharp.data.astype(np.float32))
        assert made.table['mass'][i] == mock.total_mass
        assert made.table['luminosity'][i] == mock.luminosity


def test_noise_is_that_of_the_row_and_the_table_has_the_light_without_it(made, runs):
    (row,) = made.table[made.table['part'] == 'noisy'][:1]
    stars = snapshot_of(row, runs)
    light = maps_module._jittered_light(stars, 0.01, int(row['seed']), made.recipe.maps, 'a')
    noisy = observed(row, runs, conditions=conditions_of(row), luminosities=light)
    i = int(np.flatnonzero(made.table['part'] == 'noisy')[0])
    np.testing.assert_array_equal(made.light([i])[0], noisy.light.data.astype(np.float32))
    clean = observed(row, runs, luminosities=light)
    assert row['luminosity'].value == pytest.approx(clean.luminosity.value, rel=1e-9)


def test_a_row_becomes_a_mock(made, runs, tmp_path):
    for i in (int(np.flatnonzero(made.table['part'] == name)[1]) for name in ('last', 'noisy')):
        mock, row = made.mock(i), made.table[i]
        np.testing.assert_array_equal(mock.light.data, made.light([i])[0])
        assert mock.distance == row['distance']
        assert mock.age == row['age']
        assert mock.total_mass.value == pytest.approx(row['mass'].value, rel=1e-5)
        conditions = None
        if row['part'] == 'noisy':
            conditions = conditions_of(row)
        true = observed(row, runs, conditions=conditions)
        for keyword, value in mock.light.meta.items():
            # who drew it is known to the set alone; jitter changed the light
            if keyword not in ('SHIFTBY', 'ROTBY', 'LUMTRUE'):
                assert true.light.meta[keyword] == value, keyword
        assert mock.light.wcs.wcs == true.light.wcs.wcs
        mock.write(tmp_path / f'{i}.fits')
        assert type(mock).read(tmp_path / f'{i}.fits').seed == row['seed']
    assert made.mock(-1).seed == made.table['seed'][-1]


def test_fields_that_hold_the_cluster(runs, tmp_path):
    """Maps with pixels of their own: the truth and the table fit them."""
    how = {'number': 12, 'distance': {'low': 0.2, 'high': 60, 'scale': 'log'}, 'light_jitter': 0.0}
    made = build(tmp_path / 'set', runs, part=[part(**how), part(name='field', field='auto', **how)])
    scales = made.pixel_scales
    plain = made.table['part'] == 'first'
    np.testing.assert_array_equal(scales[plain], 0.5)
    np.testing.assert_array_equal(made.zoom, scales / 0.5)
    assert len(set(scales[~plain])) > 2 and set(np.round(scales[~plain], 3)) <= {0.5, 0.8, 1.25, 2.0}
    for i in np.flatnonzero(~plain):
        row, grid = made.table[i], MapGrid.of_field(20 * u.arcsec, pixel_scale=0.5 * u.arcsec)
        # no farther than the farthest of the part, as a network sees it
        assert row['distance'].value * made.zoom[i] <= 60.0
        radius = (snapshot_of(row, runs).projected_half_light_radius / row['distance']).to(
            u.arcsec, u.dimensionless_angles())
        expected = grid.holding(radius, largest=60 * u.kpc / row['distance'] * 20 * u.arcsec)
        assert scales[i] == pytest.approx(expected.scale)
        assert row['seeing'].value >= 2.0 * scales[i] * (1 - 1e-9)
        mock = made.mock(i)
        assert mock.grid.scale == pytest.approx(scales[i])
        assert mock.total_mass.value == pytest.approx(row['mass'].value, rel=1e-5)
        true = observe(
            snapshot_of(row, runs), distance=row['distance'], seeing=row['seeing'], grid=expected,
            shift=u.Quantity([row['shift_x'], row['shift_y']]), rotation=row['rotation'], direction='random',
            seed=row['seed'], keep_sharp=True)
        np.testing.assert_allclose(made.light([i])[0], true.light.data, rtol=1e-5)


def test_rows_are_read_in_the_order_that_is_asked_for(made):
    every = made.light()
    assert every.shape == (21, 40, 40)
    assert every.dtype == np.float32
    rows = np.array([20, 3, 3, 11, 0])
    np.testing.assert_array_equal(made.light(rows), every[rows])
    np.testing.assert_array_equal(made.light(slice(5, 9)), every[5:9])
    np.testing.assert_array_equal(made.light(made.table['split'] == 'test'), every[-6:])
    np.testing.assert_array_equal(made.split('test').light([2]), every[[17]])
    np.testing.assert_array_equal(made.split('train')[[4, 2]].mass(), made.mass([4, 2]))
    np.testing.assert_array_equal(made.light(4), every[[4]])
    with pytest.raises(IndexError):
        made.light([21])


def test_a_set_that_was_read_maps_the_files(made):
    again = TrainingSet.read(made.folder, check=True)
    np.testing.assert_array_equal(again.sharp(), made.sharp())
    assert isinstance(again._cube('LIGHT', 0), np.memmap)
    assert again.table.colnames == made.table.colnames
    # what travels to another process is the table, not the maps
    assert len(pickle.dumps(again)) < 0.5 * again.light().nbytes
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(again)).light([1]), again.light([1]))


def test_shards_are_plain_fits_without_dates(made):
    shards = sorted(made.folder.glob('*-*.fits'))
    assert [path.name for path in shards] == [
        'first-train-0000.fits', 'first-train-0001.fits', 'first-train-0002.fits', 'last-test-0000.fits',
        'last-test-0001.fits', 'noisy-train-0000.fits', 'noisy-train-0001.fits']
    with fits.open(shards[0], checksum=True) as hdus:
        assert [hdu.name for hdu in hdus] == ['PRIMARY', 'LIGHT', 'MASS', 'SHARP', 'MAPS']
        assert [hdu.header.get('BUNIT') for hdu in hdus[1:4]] == ['solLum kpc-2', 'solMass', 'solLum kpc-2']
        assert hdus['LIGHT'].shape == (4, 40, 40)
        assert len(hdus['MAPS'].data) == hdus[0].header['NMAPS'] == 4
        assert hdus[0].header['RECIPE'] == 'small'
        for hdu in hdus:
            assert not re.search(r'DATE|\d{4}-\d\d-\d\d', hdu.header.tostring())


def test_each_snapshot_is_read_once_in_a_row(made):
    for name in ('first', 'noisy', 'last'):
        rows = made.table[made.table['part'] == name]
        pairs = list(zip(rows['simulation'], rows['snapshot'], strict=True))
        assert pairs == sorted(pairs)


# -- what is drawn --------------------------------------------------------------------------------


def sources(*counts):
    return [Source(f's{n}', [None] * count, [{}] * count, '') for n, count in enumerate(counts)]


def drawn(counts=(10, 40), **changes):
    recipe = Recipe(content(part=[part(**changes)]))
    return draw_maps(recipe, recipe.parts[0], sources(*counts))


def test_a_map_follows_from_the_seed_the_part_and_its_number():
    few, many = (np.sort(drawn(number=number), order='number') for number in (10, 300))
    for name in few.dtype.names:
        np.testing.assert_array_equal(few[name], many[name][:10])
    assert not set(few['seed']) & set(drawn(name='other')['seed'])
    assert len(set(many['seed'])) == 300


def test_draws_are_distributed_as_the_recipe_says():
    rows = drawn(number=3000)
    assert stats.kstest(np.log(rows['distance'] / 8) / np.log(15), 'uniform').pvalue > 1e-3
    assert stats.kstest(rows['seeing'] - 0.5, 'uniform').pvalue > 1e-3
    for name in ('shift_x', 'shift_y'):
        assert stats.kstest((rows[name] + 5) / 10, 'uniform').pvalue > 1e-3
    assert stats.kstest(rows['rotation'] / 360, 'uniform').pvalue > 1e-3
    assert np.all(np.isnan(rows['view_x']))
    # each simulation as often, though one has four times the snapshots
    assert np.mean(rows['source'] == 0) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(3000))
    number = np.bincount(rows['snapshot'][rows['source'] == 1], minlength=40)
    assert stats.chisquare(number).pvalue > 1e-3


def test_or_each_snapshot_as_often():
    rows = drawn(number=3000, choose='snapshot')
    assert np.mean(rows['source'] == 0) == pytest.approx(0.2, abs=4 * 0.4 / np.sqrt(3000))
    assert rows['snapshot'][rows['source'] == 0].max() == 9


def test_values_pairs_and_directions_that_are_given():
    rows = drawn(number=200, shift=[[1.0, 2.0], [3.0, 4.0]], rotation='random', direction=[1, 0, 0],
                 distance=[10, 20])
    assert set(zip(rows['shift_x'], rows['shift_y'], strict=True)) == {(1.0, 2.0), (3.0, 4.0)}
    assert set(rows['rotation']) == {0.0, 90.0, 180.0, 270.0}
    assert set(rows['view_x']) == {1.0}
    assert set(rows['distance']) == {10.0, 20.0}
    rows = drawn(number=200, shift={'low': 0.0, 'high': 2.0}, rotation=33.0)
    assert 0.0 <= rows['shift_x'].min() < rows['shift_x'].max() <= 2.0
    assert np.any(rows['shift_x'] != rows['shift_y'])
    assert set(rows['rotation']) == {33.0}


def test_train_and_validation_of_a_product_are_disjoint():
    changes = {'distance': [10, 20, 40], 'seeing': [0.5, 1.0], 'draw': 'product'}
    recipe_part = part(splits={'train': 200, 'validation': 60}, **changes)
    del recipe_part['split'], recipe_part['number']
    recipe = Recipe(content(part=[recipe_part]))
    rows = draw_maps(recipe, recipe.parts[0], sources(10, 40))
    names = ['source', 'snapshot', 'distance', 'seeing']
    assert len(np.unique(rows[names])) == 260
    assert np.sum(rows['split'] == 0) == 200
    assert np.sum(rows['split'] == 1) == 60
    # every combination is as likely
    assert np.mean(rows['distance'] == 20) == pytest.approx(1 / 3, abs=0.1)
    assert np.mean(rows['source'] == 0) == pytest.approx(0.2, abs=0.1)
    with pytest.raises(TrainingSetError, match='snapshots x distances x seeings, 300, received 301'):
        drawn(number=301, **changes)


# -- the play of the light ------------------------------------------------------------------------


def test_a_jitter_of_nothing_is_the_light_of_the_snapshot(runs):
    snapshot = Snapshot.read(runs / 'a' / 'snapshots' / 'snapshot_00002.fits')
    maps = Recipe(content()).maps
    light = maps_module._jittered_light(snapshot, 0.0, 1, maps, 'a')
    # snapshots are in single precision
    np.testing.assert_allclose(light.value, snapshot.stars['v_luminosity'].value, rtol=2e-3, atol=1e-6)


def test_jitter_moves_the_light_of_heavy_stars_only(runs):
    snapshot = Snapshot.read(runs / 'a' / 'snapshots' / 'snapshot_00000.fits')
    maps = Recipe(content()).maps
    own, initial = snapshot.stars['v_luminosity'].value, snapshot.stars['initial_mass'].value
    one, same, other = (maps_module._jittered_light(snapshot, 0.01, seed, maps, 'a').value
                        for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    heavy = initial > 0.5
    np.testing.assert_array_equal(one[~heavy], own[~heavy])
    assert np.all(one[heavy] != own[heavy])
    assert np.all(one[heavy] != other[heavy])
    # on the main sequence of low mass L ~ m^4 to m^5, in V a little steeper
    dwarfs = heavy & (initial < 1.0)
    scatter = np.std(np.log(one[dwarfs] / own[dwarfs])) / 0.01
    assert 3.5 < scatter < 7.5


def test_jitter_leaves_the_mass_alone(made, runs):
    rows = np.flatnonzero(made.table['part'] == 'first')
    i = int(rows[np.argmax(made.table['age'][rows])])
    mock = observed(made.table[i], runs)
    np.testing.assert_array_equal(made.mass([i])[0], mock.mass.data.astype(np.float32))
    assert np.any(made.light([i])[0] != mock.light.data.astype(np.float32))


def test_rescaled_clusters_are_those_of_the_row(runs, tmp_path):
    few = {'stars_kept': {'low': 0.3, 'high': 1.0}, 'size_factor': {'low': 0.8, 'high': 1.25, 'scale': 'log'}}
    made = build(tmp_path / 'set', runs, part=[part(number=6, light_jitter=0.0, **few)])
    table = TrainingSet.read(tmp_path / 'set').table
    assert np.unique(table['stars_kept']).size == np.unique(table['size_factor']).size == 6
    assert table['stars_kept'].min() >= 0.3 and 0.8 <= table['size_factor'].min()
    for k, row in enumerate(table):
        whole = snapshot_of(row, runs)
        cluster = whole.rescaled(stars=row['stars_kept'], size=row['size_factor'],
                                 seed=np.random.SeedSequence(row['seed'], spawn_key=(2,)))
        mock = observe(cluster, distance=row['distance'], seeing=row['seeing'],
                       shift=u.Quantity([row['shift_x'], row['shift_y']]), rotation=row['rotation'],
                       direction='random', field_of_view=20 * u.arcsec, pixel_scale=0.5 * u.arcsec,
                       seed=row['seed'])
        np.testing.assert_allclose(made.mass([k])[0], mock.mass.data, rtol=1e-6)
        np.testing.assert_allclose(made.light([k])[0], mock.light.data, rtol=1e-6)
        assert row['n_stars'] == round(row['stars_kept'] * whole.model.n_stars)
        assert u.isclose(row['half_mass_radius0'], row['size_factor'] * whole.model.half_mass_radius)


OTHER = Population(metallicity=0.001, giant_mass_loss=0.4)


def test_populations_are_those_of_the_row(runs, tmp_path):
    population = {'number': 2, 'metallicity': [0.0001, 0.0004, 0.006],
                  'age_factor': {'low': 0.85, 'high': 1.2}, 'giant_mass_loss': {'low': 0.1, 'high': 0.5},
                  'flattening': {'low': 0.0, 'high': 1.5}}
    made = build(tmp_path / 'set', runs, part=[part(number=8, light_jitter=0.0, population=population)])
    table = TrainingSet.read(tmp_path / 'set').table
    assert set(np.unique(table['population'])) == {0, 1}
    different = {}
    for k, row in enumerate(table):
        whole = snapshot_of(row, runs)
        cluster = whole.repopulated(age=whole.age * row['age_factor'],
                                    metallicity=float(row['population_metallicity']),
                                    giant_mass_loss=float(row['population_giant_mass_loss']),
                                    flattening=float(row['flattening']))
        mock = observe(cluster, distance=row['distance'], seeing=row['seeing'],
                       shift=u.Quantity([row['shift_x'], row['shift_y']]), rotation=row['rotation'],
                       direction='random', field_of_view=20 * u.arcsec, pixel_scale=0.5 * u.arcsec,
                       seed=row['seed'])
        np.testing.assert_allclose(made.mass([k])[0], mock.mass.data, rtol=1e-6)
        np.testing.assert_allclose(made.light([k])[0], mock.light.data, rtol=1e-6)
        assert row['metallicity'] == row['population_metallicity']
        assert u.isclose(row['age'], cluster.age)
        assert u.isclose(row['cluster_mass'], cluster.total_mass)
        assert row['mass_function_slope'] == cluster.mass_function_slope()[0]
        different.setdefault((row['simulation'], row['snapshot'], row['population']), set()).add(
            (row['age_factor'], row['population_metallicity'], row['population_giant_mass_loss'],
             row['flattening']))
    # all maps of one population show the same stars
    assert all(len(numbers) == 1 for numbers in different.values()) and len(different) > 1


def test_no_population_is_older_than_the_universe(runs):
    snapshot = snapshot_of({'simulation': 'a', 'snapshot': 0}, runs)
    old = Snapshot(snapshot.stars, 13 * u.Gyr, snapshot.model)
    row = {'age_factor': 1.1, 'population_metallicity': 0.001, 'population_giant_mass_loss': 0.4}
    made = maps_module.populated_snapshot(old, SimpleNamespace(name='few', population=OTHER), row)
    assert u.isclose(made.age, 13 * u.Gyr / 1.1)


def test_populations_need_initial_masses(runs):
    stars = snapshot_of({'simulation': 'a', 'snapshot': 0}, runs).stars['x', 'y', 'z', 'mass']
    row = {'age_factor': 1.0, 'population_metallicity': 0.001, 'population_giant_mass_loss': 0.4}
    with pytest.raises(TrainingSetError, match=r'\[\[part\]\] few: population: stars must have initial_mass'):
        maps_module.populated_snapshot(Snapshot(stars, 1 * u.Gyr),
                                       SimpleNamespace(name='few', population=OTHER), row)


def test_whole_clusters_beside_the_maps(runs, tmp_path):
    few = {'stars_kept': [0.5, 1.5], 'size_factor': [0.8, 1.25], 'dispersion_radius': {'low': 3, 'high': 30}}
    build(tmp_path / 'set', runs, part=[part(number=6, light_jitter=0.0, **few)])
    table = TrainingSet.read(tmp_path / 'set').table
    assert np.unique(table['dispersion_radius']).size == 6 and table['dispersion_radius'].unit == u.arcsec
    assert set(np.unique(table['stars_kept'])) == {0.5, 1.5}
    for row in table:
        whole = snapshot_of(row, runs)
        cluster = whole.rescaled(stars=row['stars_kept'], size=row['size_factor'], seed=1)
        aperture = row['dispersion_radius'] * row['distance']
        aperture = aperture.to(u.pc, u.dimensionless_angles())
        share, exact = row['stars_kept'], whole.quantities()
        assert u.isclose(row['cluster_mass'], share * exact['total_mass'])
        assert u.isclose(row['cluster_luminosity'], share * exact['v_luminosity'])
        assert u.isclose(row['cluster_half_mass_radius'], row['size_factor'] * exact['half_mass_radius'])
        # a random share of some hundred stars moves otherwise
        moving = cluster.velocity_dispersion(aperture)
        assert row['velocity_dispersion'].to_value(u.km / u.s) == pytest.approx(moving.value, rel=0.6)
        # what no number and no size changes
        assert row['black_hole_share'] == pytest.approx(exact['black_hole_share'], rel=1e-6)
        assert row['dark_share'] == pytest.approx(sum(
            exact[f'{name}_share'] for name in ('white_dwarf', 'neutron_star', 'black_hole')), rel=1e-6)
        assert row['cluster_half_light_radius'] == row['size_factor'] * exact['projected_half_light_radius']


def test_velocities_of_a_rescaled_cluster_follow_the_virial_theorem(runs, tmp_path):
    row = np.zeros(1, [(name, float) for name in ('distance', 'stars_kept', 'size_factor')])[0]
    row['distance'], row['stars_kept'], row['size_factor'] = 10.0, 1.2, 0.5
    snapshot = Snapshot.read(runs / 'a' / 'snapshots' / 'snapshot_00000.fits')
    found, plain = maps_module.whole_cluster(snapshot, row, GRID), snapshot.quantities()
    ratio = found['central_dispersion'] / maps_module._whole_cluster(snapshot)['central_dispersion']
    assert ratio**2 == pytest.approx(found['cluster_mass'] / plain['total_mass'].value
                                     / (found['cluster_half_mass_radius'] / plain['half_mass_radius'].value))
    # that of the field, which is larger in the snapshot than in the small copy
    radius = np.sqrt(GRID.nx * GRID.ny / np.pi) * GRID.scale * u.arcsec * 10 * u.kpc / 0.5
    assert found['b_v'] == snapshot.colour(aperture=radius.to(u.pc, u.dimensionless_angles())).value
    # no aperture was asked for
    assert np.isnan(found['velocity_dispersion'])


def test_jitter_needs_initial_masses(runs):
    snapshot = Snapshot.read(runs / 'a' / 'snapshots' / 'snapshot_00000.fits')
    stars = snapshot.stars
    stars.remove_column('initial_mass')
    for model, table in ((snapshot.model, stars), (None, snapshot.stars)):
        other = Snapshot(table, 1 * u.Gyr, model)
        with pytest.raises(TrainingSetError, match='snapshots with initial_mass .* those of a are others'):
            maps_module._jittered_light(other, 0.01, 1, Recipe(content()).maps, 'a')


# -- stopped and gone on with ---------------------------------------------------------------------


def stop_at(monkeypatch, number, error):
    """Let the shard of this number fail."""
    original, calls = building.make_shard, []

    def fail(task):
        calls.append(task.path.name)
        if len(calls) == number:
            # what a killed process leaves behind
            (task.path.parent / f'.123.{task.path.name}').write_bytes(b'half')
            raise error
        return original(task)

    monkeypatch.setattr(building, 'make_shard', fail)
    return calls


@pytest.mark.parametrize('number', [1, 2, 7])
def test_a_build_that_was_stopped_goes_on_to_the_same_bytes(made, runs, tmp_path, monkeypatch, number):
    with monkeypatch.context() as context:
        stop_at(context, number, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / 'set', runs)
        with pytest.raises(TrainingSetError, match=f'set is not complete: {number - 1} of 7 files are there'):
            TrainingSet.read(tmp_path / 'set')
    calls = stop_at(monkeypatch, 0, None)
    build(tmp_path / 'set', runs)
    assert len(calls) == 7 - number + 1
    assert digests(tmp_path / 'set') == digests(made.folder)


def test_a_complete_set_is_left_as_it_is(made, runs, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in made.folder.glob('*.*s*')}
    calls = stop_at(monkeypatch, 0, None)
    build(made.folder, runs)
    assert calls == []
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_shard_that_is_gone_or_cut_is_made_again(made, runs, tmp_path, caplog):
    folder = tmp_path / 'set'
    shutil.copytree(made.folder, folder)
    (folder / 'first-train-0001.fits').unlink()
    size = (folder / 'last-test-0000.fits').stat().st_size
    os.truncate(folder / 'last-test-0000.fits', 2880)
    (folder / 'maps.fits').unlink()
    with pytest.raises(TrainingSetError, match='first-train-0001.fits is missing'):
        TrainingSet.read(folder)
    build(folder, runs)
    assert f'last-test-0000.fits must have {size} bytes, received 2880' in caplog.text
    assert digests(folder) == digests(made.folder)


def test_a_full_disk_leaves_nothing_half_written(made, runs, tmp_path, monkeypatch):
    original, written = shards.write_hdus, []

    def full(hdus, path):
        if len(written) == 3:
            raise OSError(errno.ENOSPC, 'No space left on device')
        written.append(path)
        original(hdus, path)

    with monkeypatch.context() as context:
        context.setattr(shards, 'write_hdus', full)
        with pytest.raises(OSError, match='not be written: .*No space left.*is started again') as caught:
            build(tmp_path / 'set', runs)
    assert caught.value.errno == errno.ENOSPC
    assert len(list((tmp_path / 'set').glob('*-*.fits'))) == 3
    build(tmp_path / 'set', runs)
    assert digests(tmp_path / 'set') == digests(made.folder)


@pytest.mark.slow
def test_processes_make_the_same_bytes(made, runs, tmp_path):
    build(tmp_path / 'set', runs, jobs=2)
    assert digests(tmp_path / 'set') == digests(made.folder)


@pytest.mark.slow
def test_a_killed_worker_is_told_and_made_good(runs, tmp_path):
    changes = {'part': [part(number=120)]}

    def kill():
        while not multiprocessing.active_children():
            time.sleep(0.01)
        while not list(tmp_path.glob('set/first-*.fits')):
            time.sleep(0.01)
        multiprocessing.active_children()[0].kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(TrainingSetError, match='a worker process was killed'):
        build(tmp_path / 'set', runs, jobs=2, **changes)
    thread.join()
    build(tmp_path / 'set', runs, **changes)
    build(tmp_path / 'other', runs, **changes)
    assert digests(tmp_path / 'set') == digests(tmp_path / 'other')


def test_a_shard_that_a_scheduler_lets_fall_is_told(runs, tmp_path, monkeypatch):
    def lost(function, tasks, **where):
        yield tasks[0][0], None, WorkLost('the dask scheduler says: cancelled')

    monkeypatch.setattr(building, 'work', lost)
    with pytest.raises(TrainingSetError, match='first-train-0000.fits was not made, the dask scheduler says: '
                                               'cancelled; complete files are kept'):
        build(tmp_path / 'set', runs)


@pytest.mark.slow
@pytest.mark.filterwarnings('default')
@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs a system that can kill')
def test_a_dask_worker_that_is_killed_is_made_good(runs, tmp_path):
    """Two workers in processes; one is killed when the first shards are there, and the set is the same."""
    distributed = pytest.importorskip('distributed')
    changes = {'part': [part(number=120)]}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True,
                                  dashboard_address=None) as cluster:
        killed = []

        def kill():
            while not list(tmp_path.glob('set/first-*.fits')):
                time.sleep(0.01)
            with distributed.Client(cluster) as client:
                address, pid = next(iter(client.run(os.getpid).items()))
                os.kill(pid, signal.SIGKILL)
                killed.append(address)

        thread = threading.Thread(target=kill)
        thread.start()
        TrainingSet.build(Recipe(content(**changes)), tmp_path / 'set', simulations=runs, progress=False,
                          scheduler=cluster.scheduler_address)
        thread.join()
    assert len(killed) == 1
    build(tmp_path / 'other', runs, **changes)
    assert digests(tmp_path / 'set') == digests(tmp_path / 'other')


@pytest.mark.slow
def test_dask_makes_the_same_bytes(made, runs, tmp_path):
    distributed = pytest.importorskip('distributed')
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False,
                                  dashboard_address=None) as cluster:
        TrainingSet.build(Recipe(content()), tmp_path / 'set', simulations=runs, progress=False,
                          scheduler=cluster.scheduler_address)
    assert digests(tmp_path / 'set') == digests(made.folder)


# -- folders, simulations and files that do not fit ------------------------------------------------


def test_a_byte_that_changed_is_found(made, tmp_path):
    folder = tmp_path / 'set'
    shutil.copytree(made.folder, folder)
    with open(folder / 'noisy-train-0000.fits', 'r+b') as stream:
        stream.seek(20000)
        stream.write(b'x')
    TrainingSet.read(folder)
    with pytest.raises(TrainingSetError, match='noisy-train-0000.fits is not what was written: its SHA-256'):
        TrainingSet.read(folder, check=True)


def test_a_shard_that_is_cut_while_it_is_open(made, tmp_path):
    folder = tmp_path / 'set'
    shutil.copytree(made.folder, folder)
    opened = TrainingSet.read(folder)
    os.truncate(folder / 'noisy-train-0000.fits', 5760)
    with pytest.raises(TrainingSetError, match='must have .* bytes, received 5760'):
        opened.light()


def test_no_set_and_no_manifest(tmp_path):
    with pytest.raises(FileNotFoundError, match='holds no training set: no manifest.json in it'):
        TrainingSet.read(tmp_path)
    (tmp_path / 'manifest.json').write_text('{', encoding='utf-8')
    with pytest.raises(TrainingSetError, match='manifest.json is damaged, or no manifest'):
        TrainingSet.read(tmp_path)
    (tmp_path / 'manifest.json').write_text('{"format_version": 9}', encoding='utf-8')
    with pytest.raises(TrainingSetError, match='must be of format version 1, .*received 9'):
        TrainingSet.read(tmp_path)


@pytest.mark.parametrize('change', [
    {'files': ['x']}, {'recipe': 'x'}, {'table': None}, {'files': {'first-train-0000.fits': {'maps': 4}}},
    {'files': {'first-train-0000.fits': {'maps': 10**30, 'bytes': 1, 'sha256': ''}}},
    {'files': {'../first-train-0000.fits': {'maps': 4, 'bytes': 1, 'sha256': ''}}},
    {'files': {'/etc/passwd': {'maps': 4, 'bytes': 1, 'sha256': ''}}}])
def test_manifests_that_are_damaged(made, tmp_path, change):
    content = json.loads((made.folder / 'manifest.json').read_text(encoding='utf-8'))
    (tmp_path / 'manifest.json').write_text(json.dumps(content | change), encoding='utf-8')
    with pytest.raises(TrainingSetError, match='manifest.json is damaged, or no manifest of a training'):
        TrainingSet.read(tmp_path)


@pytest.mark.parametrize(('old', 'new', 'message'), [
    (b"'LIGHT   '", b"'DARK    '", 'is damaged or cut short'),
    (b'=                  -32', b'=                  -64', 'is damaged or cut short'),
    (b'NAXIS3  =                    4', b'NAXIS3  =                    3', 'is damaged or cut short'),
    (b'SIMPLE  =', b'simple  =', 'a FITS file must begin with SIMPLE')])
def test_cubes_that_are_not_what_the_manifest_says(made, tmp_path, old, new, message):
    folder = tmp_path / 'set'
    shutil.copytree(made.folder, folder)
    path = folder / 'first-train-0000.fits'
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(TrainingSetError, match=f'first-train-0000.fits:? {message}'):
        TrainingSet.read(folder).light([0])


def test_a_damaged_table(made, tmp_path):
    folder = tmp_path / 'set'
    shutil.copytree(made.folder, folder)
    with open(folder / 'maps.fits', 'r+b') as stream:
        stream.seek(9000)
        stream.write(b'xxxx')
    with pytest.raises(TrainingSetError, match='maps.fits is damaged'):
        TrainingSet.read(folder)


def test_the_folder_of_another_recipe_is_refused(made, runs):
    with pytest.raises(TrainingSetError, match='holds the set of another recipe: seed differ. Use another'):
        build(made.folder, runs, seed=8)


def test_a_folder_with_something_else_is_refused(runs, tmp_path):
    (tmp_path / 'thesis.tex').write_text('important', encoding='utf-8')
    with pytest.raises(TrainingSetError, match='must be empty or hold a training set, .*thesis.tex'):
        build(tmp_path, runs)


def test_a_folder_that_is_in_use_is_refused(runs, tmp_path):
    (tmp_path / 'set').mkdir()
    match = 'is being used by another build'
    with locked(tmp_path / 'set', OSError('free')), pytest.raises(TrainingSetError, match=match):
        build(tmp_path / 'set', runs)


def test_another_version_does_not_go_on(runs, tmp_path, monkeypatch):
    with monkeypatch.context() as context:
        stop_at(context, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / 'set', runs)
    content = json.loads((tmp_path / 'set' / 'manifest.json').read_text(encoding='utf-8'))
    (tmp_path / 'set' / 'manifest.json').write_text(json.dumps(content | {'pidoc': '0.0'}), encoding='utf-8')
    with pytest.raises(TrainingSetError, match='was begun by pidoc 0.0, which .* cannot continue'):
        build(tmp_path / 'set', runs)


def test_simulations_must_be_there_complete_and_the_right_ones(runs, tmp_path):
    with pytest.raises(TrainingSetError, match='simulations must be a folder, .*none is none'):
        build(tmp_path / 'set', tmp_path / 'none')
    folder = tmp_path / 'runs'
    shutil.copytree(runs, folder)
    model = ClusterModel(**{**ROWS[0], 'half_mass_radius': 1.5 * u.pc})
    with pytest.raises(TrainingSetError, match='a is a run of another model .*: half_mass_radius differ'):
        build(tmp_path / 'set', folder, simulations=[{'group': 'all', 'ages': AGES, 'rows': [
            {**ROWS[0], 'half_mass_radius': model.half_mass_radius.value}, *ROWS[1:]]}])
    with pytest.raises(TrainingSetError, match='a run with other ages than in the recipe: 3 there, 2 in'):
        build(tmp_path / 'set', folder, simulations=[{'group': 'all', 'rows': ROWS, 'ages': AGES[:2]}])
    (folder / 'a' / 'snapshots' / 'snapshot_00001.fits').unlink()
    with pytest.raises(TrainingSetError, match='must have its 3 snapshots: snapshot_00001.fits not found'):
        build(tmp_path / 'set', folder)
    with fits.open(folder / 'a' / 'log.fits') as hdus:
        hdus['LOG'].header['STATE'] = 'running'
        hdus['LOG'].add_checksum()
        hdus.writeto(folder / 'a' / 'log.fits', overwrite=True)
    with pytest.raises(TrainingSetError, match='a is not complete: the run has 3 of 3 snapshots'):
        build(tmp_path / 'set', folder)
    (folder / 'a' / 'log.fits').unlink()
    with pytest.raises(TrainingSetError, match='a is an unfinished run without any snapshots'):
        build(tmp_path / 'set', folder)
    shutil.rmtree(folder / 'a')
    with pytest.raises(TrainingSetError, match='must hold the simulations of recipe small: a not found'):
        build(tmp_path / 'set', folder)
    assert not (tmp_path / 'set').exists()


def test_a_set_of_other_simulations_is_refused(made, runs, tmp_path):
    folder = tmp_path / 'runs'
    shutil.copytree(runs, folder)
    with fits.open(folder / 'b' / 'log.fits') as hdus:
        hdus['LOG'].header['HISTORY'] = 'another run'
        hdus['LOG'].add_checksum()
        hdus.writeto(folder / 'b' / 'log.fits', overwrite=True)
    with pytest.raises(TrainingSetError, match='was made of other simulations: b changed since'):
        build(made.folder, folder)


def test_a_damaged_snapshot_is_told(runs, tmp_path):
    folder = tmp_path / 'runs'
    shutil.copytree(runs, folder)
    for path in (folder / 'c' / 'snapshots').iterdir():
        os.truncate(path, 2880 * 5)
    with pytest.raises(TrainingSetError, match='snapshot .*snapshot_00000.fits cannot be read: .*damaged'):
        build(tmp_path / 'set', folder)


@pytest.mark.parametrize('jobs', [0, 1.5, True])
def test_jobs_must_be_whole(runs, tmp_path, jobs):
    with pytest.raises(ValueError, match='jobs must be a whole number, at least 1'):
        build(tmp_path, runs, jobs=jobs)


def test_splits_and_sharp_that_are_not_there(runs, tmp_path):
    plain = build(tmp_path / 'set', runs, maps={'field_of_view': 5.0}, part=[part(number=2)])
    with pytest.raises(ValueError, match="split must be one of train, received 'test'"):
        plain.split('test')
    with pytest.raises(ValueError, match=r'sharp must be kept by the recipe \(.*\), small does not'):
        plain.sharp()
    assert plain.mock(0).sharp is None


# -- simulations and snapshots of others ------------------------------------------------------------


@pytest.mark.slow
def test_a_recipe_runs_what_is_missing(runs, tmp_path):
    recipe = Recipe(content(simulations=[{'group': 'all', 'rows': ROWS[:1], 'ages': [0.0]}],
                            part=[part(simulations='all', number=2)]))
    simulate(recipe, tmp_path / 'runs', jobs=1, progress=False)
    made = TrainingSet.build(recipe, tmp_path / 'set', simulations=tmp_path / 'runs', jobs=1, progress=False)
    assert set(made.table['age'].value) == {0.0}
    other = Recipe(content(simulations=[{'group': 'all', 'rows': [{**ROWS[0], 'seed': 9}], 'ages': [0.0]}],
                           part=[part(simulations='all')]))
    with pytest.raises(TrainingSetError, match='1 of 1 simulations failed: a: .*: seed is 1 there'):
        simulate(other, tmp_path / 'runs', jobs=1, progress=False)


def test_runs_that_the_recipe_does_not_describe(runs, tmp_path):
    made = build(tmp_path / 'set', runs, simulations=[], part=[part(simulations='[ab]', number=6)])
    assert set(made.table['simulation']) == {'a', 'b'}


def test_snapshots_of_others(runs, tmp_path):
    stars = {'x': [0.0, 0.5, 1.0] * u.pc, 'y': [0.0, 0.2, 0.1] * u.pc, 'z': [0.0, 3.0, 1.0] * u.pc,
             'mass': [0.8, 1.4, 0.3] * u.Msun, 'luminosity': [30.0, 0.0, 0.1] * u.Lsun,
             'temperature': [5000.0, 5000.0, 3500.0] * u.K, 'kind': [3, 13, 0]}
    (tmp_path / 'theirs').mkdir()
    for k, age in enumerate((3.0, 5.0)):
        Snapshot(stars, age * u.Gyr).write(tmp_path / 'theirs' / f'out_{k}.fits')
    theirs = {'simulations': 'theirs', 'split': 'test', 'number': 'all', 'name': 'foreign',
              'direction': [0, 0, 1], 'distance': 1000.0, 'seeing': 1.0}
    pattern = tmp_path / 'theirs' / 'out_*.fits'
    for files in (os.path.relpath(pattern, runs), str(pattern)):
        made = build(tmp_path / f'set{len(files)}', runs, foreign=[{'name': 'theirs', 'files': files}],
                     part=[part(), theirs]).split('test')
        np.testing.assert_array_equal(made.table['age'].value, [3.0, 5.0])
        np.testing.assert_allclose(made.table['mass'].value, 2.5, rtol=0.02)
        assert list(made.table['n_stars']) == [-1, -1]
        assert np.all(np.isnan(made.table['half_mass_radius0']))
    with pytest.raises(TrainingSetError, match='simulation theirs: .*nothing.dat fits no file'):
        build(tmp_path / 'x', runs, foreign=[{'name': 'theirs', 'files': 'nothing.dat'}], part=[theirs])


def test_one_simulation_under_two_names_is_found(runs, tmp_path):
    parts = [part(simulations='a'), part(name='last', simulations='copy', split='test', number=1)]
    folder = tmp_path / 'runs'
    folder.mkdir()
    (folder / 'a').symlink_to(runs / 'a')
    (folder / 'copy').symlink_to(runs / 'a')
    with pytest.raises(TrainingSetError, match='in test and in train or validation: copy is the same as a'):
        build(tmp_path / 'set', folder, simulations=[], part=parts)
    foreign = [{'name': name, 'files': 'a/snapshots/*.fits'} for name in ('x', 'y')]
    parts = [part(simulations='x'), part(name='last', simulations='y', split='test', number=1)]
    with pytest.raises(TrainingSetError, match='y is the same as x'):
        build(tmp_path / 'set', folder, simulations=[], foreign=foreign, part=parts)


def test_what_a_foreign_reader_is_told(tmp_path):
    (tmp_path / 'a.dat').write_text('x', encoding='utf-8')
    recipe = Recipe(content(foreign=[{'name': 'f', 'files': 'a.*', 'at': [0, 4], 'format': 'cmc', 'age': 2}]))
    source = _foreign_source(recipe.foreign[0], tmp_path)
    assert source.paths == [tmp_path / 'a.dat'] * 2
    assert source.options == [{'format': 'cmc', 'age': 2 * u.Gyr, 'at': at} for at in (0, 4)]
