# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Evaluation: errors that were put in come out, of every mode, in every table and in the files."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from pidoc.evaluation.report import (
    _paper_edges,
    _richness,
    _RICHNESS_COLUMNS,
    channels_of,
    evaluate,
    known_values,
)
from pidoc.evaluation.scores import AGE_EDGES, coverage, TOTAL_MASS_EDGES
from pidoc.grid import Channel, MapGrid
from pidoc.inference.estimates import ENDS, Interval
from pidoc.networks.variables import CONSTRAINTS
from pidoc.tests.evaluation_helpers import a_set, DISTANCES, Oracle, plummer_snapshot

FEW = {'minimum_pixels': 20, 'minimum_maps': 1}


@pytest.fixture(scope='module')
def maps():
    return a_set(24)


@pytest.fixture(scope='module')
def training():
    return a_set(16, split='train', ages=(1.0, 5.0, 9.0, 13.0), seed=100)


@pytest.fixture(scope='module')
def report(maps, training):
    """Masses a tenth too large, ages 0.3 Gyr too old, distances a tenth too far."""
    return evaluate(Oracle(maps, factor=1.1, older=0.3, further=1.1), maps, given=('image', 'distance'),
                    training=training, snapshots=[plummer_snapshot()], name='tenth', **FEW)


def test_what_was_put_in_comes_out(report):
    for column in ('image', 'distance'):
        for name in ('pixel', 'pixel_above', 'total_mass', 'mass_to_light'):
            assert report.score(f'{name}.bins', column) == pytest.approx(100 * 0.1 / 1.1, rel=1e-4)
            assert report.score(f'{name}.bins_true', column) == pytest.approx(10, rel=1e-4)
            assert report.score(f'{name}.minimum', column) == pytest.approx(100 * 0.1 / 1.1, rel=1e-4)
        for name in ('pixel', 'total_mass', 'total_mass_own', 'mass_to_light_own'):
            assert report.score(f'{name}.sample', column) == pytest.approx(100 * 0.1 / 1.1, rel=1e-4)
        assert report.score('age.bins', column) == pytest.approx(0.3)
        assert report.score('distance.mean', column) == pytest.approx(0.1 * np.mean(DISTANCES))
        assert 0 < report.score('time', column) < 1000
        assert report.score('age.r_squared', column) == pytest.approx(
            1 - 24 * 0.09 / np.sum((np.repeat([1, 5, 11], 8) - 17 / 3) ** 2))


def test_the_papers_numbers_stand_beside(report):
    assert report.score('pixel.bins', 'paper') == 27.4
    assert np.isnan(report.score('pixel.sample', 'paper'))
    assert report.tables['scores'].colnames == [
        'score', 'text', 'unit', 'section', 'paper', 'image', 'distance', 'constant_ml',
        'constant_ml_distance', 'mean_profile', 'floor']
    with pytest.raises(KeyError, match="no score 'beauty' of 'image'"):
        report.score('beauty', 'image')
    with pytest.raises(KeyError, match="no score 'pixel.bins' of 'text'"):
        report.score('pixel.bins', 'text')


def test_baselines_are_worse_than_an_oracle(report, maps, training):
    for baseline in ('constant_ml', 'constant_ml_distance', 'mean_profile'):
        assert report.score('pixel.bins', baseline) > 20
        # every training age is one of 1, 5, 9, 13, the median 7
        assert report.score('age.sample', baseline) == pytest.approx(
            np.mean(np.abs(7 - np.array([1, 5, 11]))))
    assert report.score('distance.mean', 'constant_ml_distance') == pytest.approx((30 + 15 + 15 + 35) / 4)
    assert np.isnan(report.score('distance.mean', 'constant_ml'))
    assert np.isnan(report.score('time', 'constant_ml'))
    ratio = np.exp(np.mean(np.log((training.table['mass'] / training.table['luminosity']).value)))
    found = ratio * maps.table['luminosity'].value
    expected = np.mean(np.abs(found - maps.table['mass'].value) / found)
    assert report.score('total_mass.sample', 'constant_ml') == pytest.approx(100 * expected, rel=1e-4)


def test_the_floor_stands_beside(report):
    assert 2 < report.score('pixel_above.bins', 'floor') < 15
    assert report.score('total_mass.sample', 'floor') < 3
    assert np.isnan(report.score('age.bins', 'floor'))


def test_coverage_of_everything(report, maps):
    table = report.tables['coverage']
    names = ('pixel_mass', 'total_mass', 'mass_to_light', 'age', 'distance')
    assert len(table) == 2 * len(names) * 5
    # ln 1.1 = 0.0953 is inside 0.1, 0.3 Gyr is not
    for row in table:
        inside = 0 if row['quantity'] == 'age' else 100
        assert row['share_68'].value == inside
        if row['quantity'] == 'pixel_mass':
            assert np.isnan(row['share_95'])
        else:
            assert row['share_95'].value == inside and row['n'] == (24 if row['group'] == 'all' else 6)
    found = maps._mass * 1.1
    counted = table['n'][(table['quantity'] == 'pixel_mass') & (table['group'] == 'all')]
    assert list(counted) == [np.count_nonzero((found >= 0.01) & (found <= 10))] * 2


def test_pixels_without_mass_are_in_no_bin(maps):
    some = maps[np.arange(8)]
    some._mass = some._mass.copy()
    some._mass[:, :40] = 0
    table = evaluate(Oracle(some), some, **FEW).tables['coverage']
    counted = table['n'][(table['quantity'] == 'pixel_mass') & (table['group'] == 'all')]
    assert list(counted) == [np.count_nonzero((some._mass >= 0.01) & (some._mass <= 10))]


def test_coverage_by_distance_is_that_of_the_function(maps):
    class Noisy(Oracle):
        def estimate(self, light, **options):
            guess = super().estimate(light, **options)
            rng = np.random.default_rng(1)
            off = rng.normal(0, 0.1, len(light))
            interval = guess.scalars['age']
            guess.scalars['age'] = Interval(interval.value + off, *(end + off for end in interval.ends))
            return guess

    report = evaluate(Noisy(maps), maps, **FEW)
    row = report.maps['image']
    ends = [row[f'age_{end}'].to_value(u.Gyr) for end in ENDS[1:]]
    expected = coverage(ends, row['true_age'].value, distance=row['true_distance'].value)
    table = report.tables['coverage']
    found = table[table['quantity'] == 'age']
    assert 30 < found['share_68'][0].value < 95
    np.testing.assert_array_equal(found['share_68'].value, expected['share_68'].value)
    assert list(found['group']) == ['all', '15 kpc', '30 kpc', '60 kpc', '80 kpc']


def test_table_2_of_the_report(report):
    table = report.tables['distances']
    assert list(table['mode']) == ['image'] * 4 + ['distance'] * 4
    np.testing.assert_allclose(table['mean'][:4].to_value(u.kpc), 1.1 * np.array(DISTANCES))
    error = table['mean_absolute_error'].to_value(u.kpc)
    np.testing.assert_allclose(error[4:], 0.1 * np.array(DISTANCES))
    np.testing.assert_allclose(table['paper_mean_absolute_error'][:4].to_value(u.kpc), [5.6, 7.4, 6.5, 6.0])


def test_the_paper_has_a_bias_at_its_own_distances_only():
    assert np.isnan(_paper_edges(np.array([14.0, 30.0, 90.0]))).all()
    low, high = _paper_edges(np.array([15.0, 99.0]))
    assert low == pytest.approx(5.3) and np.isnan(high)


def test_a_report_on_networks_of_the_paper_tells_what_their_loss_saw():
    maps = a_set(4)
    oracle = Oracle(maps)
    assert 'VGG16' not in evaluate(oracle, maps, progress=False).to_rst()
    oracle.about = {'settings': {'vgg': 'random, seed 0'}}
    report = evaluate(oracle, maps, progress=False)
    assert report.meta['perceptual_loss'] == 'random, seed 0'
    assert 'VGG16 with the weights random, seed 0.' in report.to_rst()


def test_bias_and_groups(report):
    bias = report.tables['bias']
    for row in bias[bias['mode'] == 'image']:
        known = {'age': [0.3] * 3, 'distance': [4.625, 1.5, 8.0]}
        expected = known.get(row['quantity'], [np.log10(1.1)] * 3)
        found = [row['all'], row['lowest_tenth'], row['highest_tenth']]
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        # Table 2: 20.3 kpc at 15 kpc, 77.6 at 80; of the rest the paper has no numbers
        paper = [5.3, -2.4] if row['quantity'] == 'distance' else [np.nan] * 2
        np.testing.assert_allclose([row['paper_lowest'], row['paper_highest']], paper)
    groups = report.tables['groups']
    image = groups[groups['mode'] == 'image']
    # one simulation and one number of stars: no groups of those
    assert list(image['group']) == ['15 kpc', '30 kpc', '60 kpc', '80 kpc', '1-4 Gyr', '4-8 Gyr', '8-12 Gyr']
    np.testing.assert_allclose(image['mass_error'].to_value(u.percent), 100 * 0.1 / 1.1, rtol=1e-4)
    np.testing.assert_allclose(image['age_bias'].to_value(u.Gyr), 0.3)
    np.testing.assert_allclose(image['distance_error'][:4].to_value(u.kpc), 0.1 * np.array(DISTANCES))


def test_errors_by_number_of_stars(maps):
    both = a_set(8)
    both.table['n_stars'][4:] = 9000
    both.table['simulation'] = ['one'] * 4 + ['two'] * 4
    both.table['age'][0] = 0.01 * u.Gyr
    groups = evaluate(Oracle(both, factor=2), both, **FEW).tables['groups']
    names = list(groups['group'][groups['by'] == 'n_stars'])
    assert names == ['4000 stars', '9000 stars']
    assert list(groups['group'][groups['by'] == 'simulation']) == ['one', 'two']
    assert '0-0.1 Gyr' in list(groups['group'])
    np.testing.assert_allclose(groups['mass_error'].value, 50, rtol=1e-4)


def test_the_bins_are_the_papers_where_they_fit(report, maps):
    low = report.tables['age_image']
    np.testing.assert_allclose(low['low'], AGE_EDGES[:-1])
    heavy = a_set(4)
    heavy.table['mass'] *= 1000
    table = evaluate(Oracle(heavy), heavy, **FEW).tables['total_mass_image']
    assert len(table) == 19 and table['low'][0] > 4 and table['high'][-1] > 5
    young = a_set(4, n_stars=20000)
    table = evaluate(Oracle(young), young, **FEW).tables['total_mass_image']
    np.testing.assert_allclose(table['high'], TOTAL_MASS_EDGES[1:])


def test_what_is_given(maps):
    oracle = Oracle(maps)
    report = evaluate(oracle, maps, given=['image', 'distance', 'distance+age'], **FEW)
    (_, nothing), (_, distance), (_, both) = oracle.calls
    assert nothing == {} and set(distance) == {'distance', 'distance_error'}
    assert set(both) == {*distance, 'age', 'age_error'}
    # the default errors, drawn; the same whatever else is given
    np.testing.assert_array_equal(both['distance'], distance['distance'])
    off = np.log(distance['distance'] / maps.table['distance'].value)
    assert 0.01 < np.std(off) < 0.04 and np.abs(np.mean(off)) < 0.02
    np.testing.assert_allclose(distance['distance_error'], 0.02 * distance['distance'])
    # nobody would believe an age below 0
    seen = np.isfinite(both['age'])
    off = (both['age'] - maps.table['age'].value)[seen]
    assert 0.35 < np.std(off) < 1.5 and seen.sum() > 16
    np.testing.assert_allclose(both['age_error'], np.where(seen, 0.75, np.nan))
    assert report.meta['given'] == 'image, distance, distance+age'
    assert list(report.maps) == ['image', 'distance', 'distance+age']
    assert 'pixels_by_true_distance+age' in report.tables
    assert report.score('pixel.bins', 'distance+age') == pytest.approx(0, abs=1e-4)


def test_what_is_known_exactly_is_always_given():
    constraints = [CONSTRAINTS[name] for name in ('distance', 'metallicity', 'seeing', 'sky_error')]
    truth = {'distance': np.full(4000, 20.0), 'metallicity': np.full(4000, -1.5),
             'seeing': np.linspace(0.5, 1.5, 4000), 'age': np.full(4000, 12.0)}
    assert set(known_values(truth, 'image', constraints)) == {'seeing'}
    known = known_values(truth, 'metallicity+distance', constraints, seed=3)
    assert set(known) == {'seeing', 'metallicity', 'metallicity_error', 'distance', 'distance_error'}
    np.testing.assert_array_equal(known['seeing'], truth['seeing'])
    np.testing.assert_allclose(known['metallicity_error'], 0.15)
    # a standard deviation is known to 1 / sqrt(2 n), 1.1 %
    assert np.std(known['metallicity']) == pytest.approx(0.15, rel=0.05)
    assert np.mean(known['metallicity']) == pytest.approx(-1.5, abs=0.01)
    assert np.std(np.log(known['distance'])) == pytest.approx(0.02, rel=0.05)
    # errors of different quantities are independent
    together = np.corrcoef(known['metallicity'], known['distance'])[0, 1]
    assert abs(together) < 0.07
    for name in ('age', 'colour', 'distance+age', '', 'distance+', 'image+distance'):
        with pytest.raises(ValueError, match=f"given must be 'image' or of .*, joined by +, received '{name}'"
                           .replace('+', r'\+')):
            known_values(truth, name, constraints)


def test_the_seed_decides(maps):
    given = []
    for seed in (1, 1, 2):
        oracle = Oracle(maps)
        evaluate(oracle, maps, given=('distance',), seed=seed, **FEW)
        given.append(oracle.calls[0][1]['distance'])
    assert np.all(given[0] == given[1]) and np.all(given[0] != given[2])


def test_maps_are_streamed(maps, monkeypatch):
    """In pieces, to the same result."""
    from pidoc.evaluation import report as evaluation

    whole = evaluate(Oracle(maps, factor=1.1), maps, **FEW)
    monkeypatch.setattr(evaluation, '_BATCH', 7)
    maps.asked.clear()
    pieces = evaluate(Oracle(maps, factor=1.1), maps, **FEW)
    assert maps.asked == [7, 7, 7, 3]
    for name in ('pixel.bins', 'pixel.r_squared', 'total_mass.bins', 'age.bins'):
        assert pieces.score(name, 'image') == pytest.approx(whole.score(name, 'image'))


def test_an_estimator_without_distances_or_widths(maps):
    from pidoc.inference.estimates import Estimates

    class MassOnly(Oracle):
        def estimate(self, light, **options):
            return Estimates(super().estimate(light, **options).mass)

    report = evaluate(MassOnly(maps, factor=1.1), maps, **FEW)
    assert 'coverage' not in report.tables and 'distances' not in report.tables
    assert np.isnan(report.score('age.bins', 'image'))
    assert report.score('total_mass.sample', 'image') == pytest.approx(100 * 0.1 / 1.1, rel=1e-4)
    groups = report.tables['groups']
    assert np.all(np.isnan(groups['age_error'])) and np.all(np.isnan(groups['mass_to_light_error']))
    assert 'Table 2' not in report.to_rst()


def test_one_row_a_map(report, maps):
    table = report.maps['image']
    assert len(table) == 24
    np.testing.assert_allclose(table['total_mass'].to_value(u.Msun), 1.1 * maps.table['mass'].value,
                               rtol=1e-5)
    np.testing.assert_allclose(table['age'].to_value(u.Gyr), maps.table['age'].value + 0.3)
    assert table['true_mass_to_light'].unit == u.Msun / u.Lsun and table['true_luminosity'].unit == u.Lsun
    assert table['distance'].unit == u.kpc and table['mass_to_light_own'].unit == u.Msun / u.Lsun
    assert table['total_mass_low_68'].unit == u.Msun and table['age_high_95'].unit == u.Gyr


def test_one_row_a_map_with_the_whole_cluster():
    """All that a model predicts, with the units of its outputs, beside the truth where it is known."""
    ends = np.array([1.0, 0.8, 1.3, 0.5, 2.0])
    values = {'cluster_mass': 2e4, 'half_light_radius': 3.0, 'central_dispersion': 5.0, 'dark_share': 0.3}

    class Whole(Oracle):
        def estimate(self, light, **options):
            found = super().estimate(light, **options)
            for name, value in values.items():
                found.scalars[name] = Interval(*(value * end * np.ones(len(light)) for end in ends))
            return found

    maps = a_set(4)
    maps.table['cluster_mass'] = [1e4] * 4 * u.Msun
    table = evaluate(Whole(maps), maps, **FEW).maps['image']
    units = {'cluster_mass': u.Msun, 'half_light_radius': u.pc, 'central_dispersion': u.km / u.s}
    for name, value in values.items():
        for suffix, end in zip(('', '_low_68', '_high_68', '_low_95', '_high_95'), ends, strict=True):
            column = table[f'{name}{suffix}']
            assert getattr(column, 'unit', None) == units.get(name)
            np.testing.assert_allclose(u.Quantity(column).value, value * end)
    np.testing.assert_array_equal(table['true_cluster_mass'].to_value(u.Msun), 1e4)
    # the truth of these is not in the set
    assert not {'true_half_light_radius', 'true_dark_share'} & set(table.colnames)


# -- written --------------------------------------------------------------------------------------


def test_what_is_written_reads_back(report, tmp_path):
    report.write(tmp_path / 'new' / 'folder', figures=[('fig5.png', 'Pixels.')])
    folder = tmp_path / 'new' / 'folder'
    names = {path.name for path in folder.iterdir()}
    assert names == {'report.rst', *(f'{name}.ecsv' for name in report.tables), 'maps_image.ecsv',
                     'maps_distance.ecsv'}
    scores = QTable.read(folder / 'scores.ecsv')
    np.testing.assert_array_equal(scores['image'], report.tables['scores']['image'])
    assert scores.meta['model'] == 'tenth' and scores.meta['minimum_pixels'] == 20
    bins = QTable.read(folder / 'pixels_by_predicted_image.ecsv')
    expected = report.tables['pixels_by_predicted_image']['error']
    np.testing.assert_allclose(bins['error'].to_value('%'), expected.to_value('%'))
    assert QTable.read(folder / 'maps_image.ecsv')['age'].unit == u.Gyr
    with pytest.raises(OSError, match=r'report.rst exists: give overwrite=True to replace it'):
        report.write(folder)
    (folder / 'report.rst').write_text('old')
    report.write(folder, overwrite=True)
    assert 'Scores of tenth' in (folder / 'report.rst').read_text(encoding='utf-8')
    assert {path.name for path in folder.iterdir()} == names


def test_the_page_is_sound_rst(report):
    pytest.importorskip('docutils')
    from docutils.core import publish_doctree

    text = report.to_rst(figures=[('fig5.png', 'Pixels.')])
    tree = publish_doctree(text, settings_overrides={'halt_level': 2, 'report_level': 2})
    assert str(tree).count('<table') == 6 and '<figure' in str(tree)
    # a lone hyphen would be a bullet
    assert '<bullet_list' not in str(tree)


def test_the_page_says_the_numbers(report):
    lines = report.to_rst().splitlines()
    (line,) = [line for line in lines if line.startswith('pixel mass, all bins, Eq. 2 [%]')]
    # paper, image, distance, three baselines, the floor
    assert line.split()[7:10] == ['27.4', '9.09', '9.09'] and len(line.split()) == 7 + 7
    assert 'tenth' in lines[0] and '24 maps' in lines[3]
    (line,) = [line for line in lines if line.startswith('pixel mass, mean over pixels, Eq. 2')]
    assert line.split()[8] == '–'


# -- what cannot be -------------------------------------------------------------------------------


def test_what_cannot_be_evaluated(maps):
    with pytest.raises(ValueError, match=r"given must be 'image' or of .*, joined by \+, received 'colour'"):
        evaluate(Oracle(maps), maps, given=('colour',))
    with pytest.raises(ValueError, match="given must be at least 'image', received nothing"):
        evaluate(Oracle(maps), maps, given=())
    with pytest.raises(ValueError, match='an evaluation needs at least one map, received none'):
        evaluate(Oracle(maps), maps[0:0])


def test_a_silly_estimator(maps):
    class Silly(Oracle):
        def estimate(self, light, **options):
            guess = super().estimate(light, **options)
            return replace(guess, mass=self.change(guess.mass), log_mass_error=None)

    silly = Silly(maps)
    silly.change = lambda mass: mass[:, ::2]
    with pytest.raises(ValueError, match=r'mass maps of the shape \(24, 160, 160\), received \(24, 80'):
        evaluate(silly, maps)
    silly.change = lambda mass: mass * np.nan
    with pytest.raises(ValueError, match='predicted must be finite, received 614400 values that are not'):
        evaluate(silly, maps)
    silly.change = lambda mass: -mass
    with pytest.raises(ValueError, match='values must not be negative, received -'):
        evaluate(silly, maps)


def test_old_clusters_by_their_number_of_stars(report, maps):
    """Masses a tenth too large, in intervals of a tenth and a fifth; light times two where M/L is 2.7."""
    table = report.tables['richness']
    assert set(table['stars']) == {'0e0 to 1e5'} and set(table['n']) == {8}
    assert list(table['estimate']) == ['image', 'distance', 'ml2']
    for row in table[:2]:
        assert row['mass_error'].value == pytest.approx(10) and row['mass_bias'].value == pytest.approx(10)
        assert row['mass_to_light_error'].value == pytest.approx(10)
        assert (row['share_68'].value, row['share_95'].value) == (100, 100)
        assert np.isnan(row['cluster_mass_error'])
    ratio = np.median((maps.table['mass'] / maps.table['luminosity']).value[maps.table['age'] > 9 * u.Gyr])
    assert table['mass_bias'].value[2] == pytest.approx(100 * (2 / ratio - 1), abs=3)
    assert np.isnan(table['share_68'].value[2])
    assert 'by the number of stars at birth' in report.to_rst()


def a_tally(scalars, mass):
    """What `_richness` looks at."""
    return SimpleNamespace(interval=scalars.get, columns={'total_mass': mass})


def test_each_bin_of_richness_has_its_row():
    ones = np.ones(6)
    truth = {'age': 12.0 * ones, 'mass': 1e4 * ones, 'n_stars': np.array([1e4, 1e5, 2e5, 5e5, 6e5, 2e6]),
             'scalars': {'mass_to_light': 2.0 * ones, 'cluster_mass': 1e5 * ones}}
    truth['age'][0] = 3.0
    mass = np.array([1.0, 1.1, 1.2, 0.9, 1.5, 1.3]) * 1e4
    interval = Interval(mass, 0.75 * mass, 1.25 * mass, 0.75 * mass, 1.4 * mass)
    scalars = {'total_mass': interval, 'mass_to_light': Interval(np.array([2, 2.5, 1.8, 2.2, 2, 6])),
               'cluster_mass': Interval(np.array([1, 1, 1.3, 1.5, 2, 2]) * 1e5)}
    rows = list(_richness('x', truth, a_tally(scalars, None)))
    assert [row[:3] for row in rows] == [
        ('x', '0e0 to 1e5', 1), ('x', '1e5 to 5e5', 2), ('x', 'above 5e5', 2)]
    # of two maps the median of the absolute errors; the bias is that of the median logarithm
    np.testing.assert_allclose([row[3:7] for row in rows], [
        [10, 10, 25, 0], [15, 100 * (1.08**0.5 - 1), 10, 40], [40, 100 * (1.95**0.5 - 1), 100, 100]])
    np.testing.assert_allclose([row[7:9] for row in rows], [[100, 100], [100, 100], [50, 50]])
    # a cluster without intervals of its mass, a tenth of which is in the field
    np.testing.assert_allclose([row[9:] for row in rows], [[np.nan, np.nan, 10]] * 3)
    whole = scalars['cluster_mass'].value
    scalars['cluster_mass'] = Interval(whole, 0.7 * whole, 1.1 * whole, 0.6 * whole, 1.2 * whole)
    rows = list(_richness('x', truth, a_tally(scalars, None)))
    np.testing.assert_allclose([row[9:] for row in rows], [[100, 100, 10], [50, 100, 10], [0, 0, 10]])
    # without a truth, or one that is not known of all
    truth['scalars'] = {'mass_to_light': np.where(np.arange(6) == 1, np.nan, 2.0)}
    rows = list(_richness('x', truth, a_tally(scalars, None)))
    np.testing.assert_allclose([row[5:7] for row in rows], [[np.nan, np.nan], [10, np.nan], [100, np.nan]])
    # by the sum of the map where nothing else is predicted
    rows = list(_richness('x', truth, a_tally({}, mass)))
    np.testing.assert_allclose([row[3] for row in rows], [10, 15, 40])
    assert np.all(np.isnan([row[5:] for row in rows]))
    assert len(rows[0]) == 3 + len(_RICHNESS_COLUMNS)
    del truth['n_stars']
    assert not list(_richness('x', truth, a_tally(scalars, None)))


def test_richness_of_a_set_that_knows_the_whole_cluster():
    """Coverage, medians and their columns, from the table of a set to the report."""
    class Whole(Oracle):
        def estimate(self, light, **options):
            found = super().estimate(light, **options)
            found.scalars['cluster_mass'] = Interval(np.full(len(light), 1.2e4))
            return found

    maps = a_set(4, ages=(11.0,))
    maps.table['cluster_mass'] = [1e4] * 4 * u.Msun
    report = evaluate(Whole(maps, factor=1.3, half=0.2), maps, **FEW)
    (row,) = report.tables['richness']
    assert row['cluster_mass_error'].value == pytest.approx(20)
    assert row['mass_error'].value == pytest.approx(30)
    # ln 1.3 = 0.26 is outside 0.2 and inside 0.4
    assert (row['share_68'].value, row['share_95'].value) == (0, 100)
    assert report.tables['richness'].colnames == [
        'estimate', 'stars', 'n', 'mass_error', 'mass_bias', 'mass_to_light_error', 'cluster_mass_error',
        'share_68', 'share_95', 'cluster_share_68', 'cluster_share_95', 'field_share']
    assert 'cluster_mass' not in set(report.tables['coverage']['quantity'])


def test_an_estimator_that_sees_sharp_light():
    class Sharp(Oracle):
        grid = MapGrid(channels=(Channel(), Channel(smoothed=False)))

        def estimate(self, light, **options):
            self.seen = light
            return super().estimate(light[..., 0], **options)

    maps = a_set(3)
    sharp = np.sqrt(maps._light)
    sharp[1, 20, 30] = np.nan
    maps.sharp = lambda rows: sharp[rows]
    oracle = Sharp(maps)
    evaluate(oracle, maps, **FEW)
    expected = np.stack([maps._light, np.where(np.isnan(sharp), maps._light, sharp)], axis=-1)
    np.testing.assert_array_equal(oracle.seen, expected)
    assert channels_of(Oracle(maps), maps, np.arange(3), maps._light) is maps._light
