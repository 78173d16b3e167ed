# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Figures show what the tables say."""

import matplotlib as mpl
import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from pidoc.evaluation.scores import AGE_EDGES, Comparison, PIXEL_EDGES
from pidoc.plotting.comparison import plot_comparison
from pidoc.plotting.distances import plot_distances
from pidoc.plotting.history import plot_history
from pidoc.plotting.maps import plot_maps
from pidoc.plotting.profiles import plot_profiles
from pidoc.plotting.run import plot_run
from pidoc.prediction.profiles import mass_profile, mass_to_light_profile


def a_log(age=None):
    age = np.linspace(0, 14, 29) if age is None else np.asarray(age, dtype=float)
    rest = np.exp(-age / 10)
    table = QTable({'age': age * u.Gyr, 'n_stars': (5e4 * rest).astype(int),
                    'total_mass': 3e4 * rest ** 2 * u.Msun,
                    'mass_to_light': (0.02 + 0.15 * age) * u.Msun / u.Lsun})
    sizes = {'r_01': 0.2, 'r_10': 1, 'core_radius': 0.9, 'half_light_radius': 2.5, 'half_mass_radius': 3,
             'r_90': 9, 'tidal_radius': 60}
    for name, size in sizes.items():
        table[name] = size * (1 + age / 14) * u.pc
    table.meta['CLNAME'] = 'MW15'
    return table


def lines(axis):
    return {line.get_label(): line.get_xydata().T for line in axis.lines}


def test_the_lines_are_the_columns():
    log = a_log()
    content, radii, light = plot_run(log).axes
    age = log['age'].value
    drawn = lines(content)
    assert set(drawn) == {'stars: 50,000 at 0 Gyr', r'mass: 30,000 M$_\odot$ at 0 Gyr'}
    np.testing.assert_allclose(drawn['stars: 50,000 at 0 Gyr'], [age, log['n_stars'] / 50000])
    np.testing.assert_allclose(drawn[r'mass: 30,000 M$_\odot$ at 0 Gyr'],
                               [age, log['total_mass'].value / 30000])
    shown = {line.get_ydata()[0]: line for line in radii.lines}
    assert sorted(shown) == [0.2, 0.9, 1, 2.5, 3, 9, 60]
    np.testing.assert_allclose(shown[2.5].get_ydata(), log['half_light_radius'].value)
    assert shown[3].get_label() == 'half of the mass' and shown[0.9].get_label() == 'core'
    np.testing.assert_allclose(light.lines[0].get_ydata(), log['mass_to_light'].value)
    assert [axis.get_ylabel() for axis in (content, radii)] == ['remaining fraction', 'radius [pc]']
    assert light.get_xlabel() == 'age [Gyr]'
    assert radii.get_yscale() == light.get_yscale() == 'log'
    assert light.get_xlim() == (0, 14)


def test_any_unit():
    log = a_log()
    log['age'] = log['age'].to(u.Myr)
    log['half_mass_radius'] = log['half_mass_radius'].to(u.lyr)
    _, radii, light = plot_run(log).axes
    assert light.get_xlim() == pytest.approx((0, 14))
    assert min(abs(line.get_ydata()[0] - 3) for line in radii.lines) < 1e-9


def test_lines_differ_without_colour():
    """Those with a name of their own differ in dashes or by far in width."""
    for axis in plot_run(a_log()).axes[:2]:
        looks = [(line.get_linestyle(), line._unscaled_dash_pattern, round(line.get_linewidth()))
                 for line in axis.lines if not line.get_label().startswith('_')]
        assert len(set(map(str, looks))) == len(looks)


@pytest.mark.parametrize('age, scale, expected', [
    (np.linspace(0, 14, 141), None, 'linear'), (np.geomspace(0.001, 14, 50), None, 'log'),
    (np.linspace(0, 14, 141), 'log', 'log'), (np.geomspace(0.001, 14, 50), 'linear', 'linear'),
    ([0, *np.geomspace(0.001, 14, 50)], None, 'log')])
def test_scale_of_the_ages(age, scale, expected):
    axis = plot_run(a_log(age), age_scale=scale).axes[-1]
    assert axis.get_xscale() == expected
    assert axis.get_xlim()[0] == (min(x for x in age if x > 0) if expected == 'log' else age[0])


@pytest.mark.parametrize('age', [[0], [5], [0, 1], [1, 5], [0, 0.001]])
@pytest.mark.parametrize('scale', [None, 'log'])
def test_short_runs(age, scale, tmp_path):
    figure = plot_run(a_log(age), age_scale=scale)
    if len(age) == 1:
        assert figure.axes[0].lines[0].get_marker() == 'o'
    figure.savefig(tmp_path / 'short.png')


def test_an_isolated_cluster():
    log = a_log()
    log['tidal_radius'] = np.inf * u.pc
    assert 'tidal' not in lines(plot_run(log).axes[1])
    assert 'tidal' in lines(plot_run(a_log()).axes[1])


def test_the_name_is_the_title():
    assert plot_run(a_log()).get_suptitle() == 'MW15'
    log = a_log()
    log.meta['CLNAME'] = ''
    assert plot_run(log).get_suptitle() == ''


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match='log of a run must have at least one row, received an empty one'):
        plot_run(a_log()[:0])
    with pytest.raises(ValueError, match="age_scale must be linear or log, received 'sqrt'"):
        plot_run(a_log(), age_scale='sqrt')


def test_nothing_else_changes():
    """The figure belongs to the caller alone: no backend, no setting, and the table as it was."""
    settings, log = dict(mpl.rcParams), a_log()
    plot_run(log)
    assert dict(mpl.rcParams) == settings
    assert all(np.all(log[name] == a_log()[name]) for name in log.colnames)


# -- training -------------------------------------------------------------------------------------


HISTORY = {'loss': [4, 2, 1], 'val_loss': [5, 3, 2], 'r_squared': [0.5, 0.8, 0.9],
           'val_r_squared': [0.4, 0.7, 0.8]}


def test_a_history():
    loss, square = plot_history(HISTORY).axes
    drawn = lines(loss)
    np.testing.assert_allclose(drawn['training'], [[1, 2, 3], [4, 2, 1]])
    np.testing.assert_allclose(drawn['validation'], [[1, 2, 3], [5, 3, 2]])
    np.testing.assert_allclose(lines(square)['validation'][1], [0.4, 0.7, 0.8])
    levels = [line.get_ydata()[0] for line in square.lines if line.get_label().startswith('_')]
    assert levels == [0.7, 0.8, 0.9]
    assert loss.get_yscale() == 'log' and square.get_xlabel() == 'epoch'


def test_histories_side_by_side():
    figure = plot_history({'masses': HISTORY, 'ages': {'loss': [-1, -2]}})
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ['masses', 'ages', '', '']
    # a likelihood may be below zero: no logarithm then
    assert [axis.get_yscale() for axis in figure.axes[:2]] == ['log', 'linear']
    assert not [line for line in figure.axes[3].lines if line.get_label() == 'training']
    assert len(plot_history({'loss': [1]}).axes) == 1
    assert plot_history({'loss': [1]}).axes[0].lines[0].get_marker() == 'o'


@pytest.mark.parametrize(('history', 'text'), [
    ({}, "a history must have 'loss', received nothing"),
    ({'mse': [1]}, "a history must have 'loss', received 'mse'"),
    ({'loss': [1, 2], 'val_loss': [1]}, 'value for each epoch under every name, received 1 to 2'),
    ({'loss': []}, 'value for each epoch under every name, received 0 to 0')])
def test_what_is_no_history(history, text):
    with pytest.raises(ValueError, match=text):
        plot_history(history)


# -- maps -----------------------------------------------------------------------------------------


def some_maps(number=4):
    rng = np.random.default_rng(0)
    mass = rng.uniform(0.1, 5, (number, 20, 30)) * u.Msun
    return mass.value * 1e-5 * u.Lsun / u.kpc**2, mass, mass * 1.1


def test_rows_of_maps(tmp_path):
    light, mass, found = some_maps()
    age, distance = [1, 5, 9, 13] * u.Gyr, [15, 30, 60, 80] * u.kpc
    figure = plot_maps(light, mass, found.to(u.kg), true_age=age, predicted_age=(age * 1.1).to(u.Myr),
                       true_distance=distance, predicted_distance=distance * 0.9)
    axes = np.array(figure.axes[:12]).reshape(3, 4)
    for row, values in zip(axes, (light, mass, found)):
        for axis, each in zip(row, values):
            np.testing.assert_allclose(axis.images[0].get_array(), each.value)
            assert axis.images[0].origin == 'lower'
            assert axis.images[0].get_extent() == [-3.75, 3.75, -2.5, 2.5]
    assert {axis.images[0].norm for axis in axes[1:].flat} == {axes[1, 0].images[0].norm}
    assert axes[1, 1].texts[0].get_text() == '5.00 Gyr\n30.0 kpc'
    assert axes[2, 1].texts[0].get_text() == '5.50 Gyr\n27.0 kpc'
    figure.savefig(tmp_path / 'maps.png')
    assert found.unit == u.Msun and np.all(found == mass * 1.1)


def test_maps_without_words():
    light, mass, found = some_maps(1)
    light[0, 0, 0] = -1 * light.unit
    light[0, 0, 1] = 0 * light.unit
    figure = plot_maps(light, mass, found)
    assert figure.axes[3 - 1].texts[0].get_text() == ''
    assert np.all(figure.axes[0].images[0].get_array() > 0)


def test_colour_maps_become_brighter_all_the_way():
    light, mass, found = some_maps(1)
    comparison = Comparison(AGE_EDGES, log=False, label='age', unit='Gyr')
    comparison.add(np.array([1.0, 2.0, 2.0]), np.array([1.0, 2.0, 3.0]))
    for figure in (plot_maps(light, mass, found), plot_comparison(comparison)):
        coloured = [each for axis in figure.axes for each in (*axis.images, *axis.collections)
                    if each.get_array() is not None]
        assert coloured
        for each in coloured:
            red, green, blue, _ = each.get_cmap()(np.linspace(0, 1, 64)).T
            # luma of Rec. 601: what a black and white printer makes of it
            assert np.all(np.diff(0.299 * red + 0.587 * green + 0.114 * blue) > 0)


def test_maps_that_cannot_be_drawn():
    light, mass, found = some_maps()
    with pytest.raises(ValueError, match=r'\(n, ny, nx\), received \(4, 20, 30\), \(4, 20, 30\), \(3, 20'):
        plot_maps(light, mass, found[:3])
    with pytest.raises(ValueError, match=r'received \(0, 20, 30\)'):
        plot_maps(light[:0], mass[:0], found[:0])
    with pytest.raises(ValueError, match='maps must have positive pixels, received a maximum of 0.0'):
        plot_maps(light * 0, mass, found)


# -- predicted against true -----------------------------------------------------------------------


def a_comparison(log=True):
    rng = np.random.default_rng(1)
    if log:
        true = 10 ** rng.uniform(-1.9, 0.9, 5000)
        comparison = Comparison(PIXEL_EDGES, log=True, label='pixel mass', unit='Msun')
        comparison.add(true * np.exp(0.2 * rng.normal(size=5000)), true)
        return comparison
    true = rng.uniform(1, 13, 5000)
    comparison = Comparison(AGE_EDGES, log=False, label='age', unit='Gyr')
    comparison.add(true + 0.3, true)
    return comparison


def test_a_comparison(tmp_path):
    comparison = a_comparison()
    figure = plot_comparison(comparison, minimum_count=30)
    main, side, below, bar = figure.axes
    (mesh,) = main.collections
    counts = mesh.get_array().reshape(comparison.counts.shape)
    # up is the predicted value
    np.testing.assert_array_equal(counts.filled(0), comparison.counts.T)
    assert main.get_title() == 'pixel mass' and bar.get_ylabel() == 'number'
    np.testing.assert_array_equal(*main.lines[0].get_xydata().T)
    for axis, by, place, value in ((side, 'predicted', 1, 0), (below, 'true', 0, 1)):
        table = comparison.bins(by=by)
        shown = table['n'] >= 30
        assert 0 < np.count_nonzero(shown) < len(table)
        drawn = axis.lines[0].get_xydata().T
        np.testing.assert_allclose(drawn[place], comparison.centers[shown])
        np.testing.assert_allclose(drawn[value], table['residual'][shown])
    assert below.get_xlabel() == 'true log10 [Msun]' and below.get_ylabel() == 'residual [dex]'
    assert side.get_ylabel() == 'predicted log10 [Msun]'
    figure.savefig(tmp_path / 'comparison.png')


def test_comparisons_side_by_side():
    figure = plot_comparison(a_comparison(), a_comparison(log=False))
    assert [axis.get_title() for axis in figure.axes if axis.get_title()] == ['pixel mass', 'age']
    (below,) = [axis for axis in figure.axes if axis.get_xlabel() == 'true [Gyr]']
    np.testing.assert_allclose(below.lines[0].get_ydata(), 0.3)
    assert below.get_ylabel() == 'residual [Gyr]'


def test_no_comparison():
    with pytest.raises(ValueError, match='plot_comparison needs at least one comparison, received none'):
        plot_comparison()
    with pytest.raises(ValueError, match="must have values in its bins, received none of 'empty'"):
        plot_comparison(Comparison([0, 1], log=True, label='empty'))


# -- profiles and distances -----------------------------------------------------------------------


def some_profiles(number=2):
    _, mass, found = some_maps(number)
    light = [np.ones(each.shape) * u.Lsun for each in mass]
    return ([mass_profile(each) for each in mass], [mass_profile(each) for each in found],
            [mass_to_light_profile(*each) for each in zip(mass, light)],
            [mass_to_light_profile(*each) for each in zip(found, light)])


def test_profiles(tmp_path):
    tables = some_profiles()
    figure = plot_profiles(*tables, labels=['young', 'old'])
    mass, ratio, mass_share, ratio_share = figure.axes
    assert mass.get_legend_handles_labels()[1] == ['young', 'old', 'true', 'predicted']
    solid, dashed = mass.lines[:2]
    np.testing.assert_allclose(solid.get_ydata(), tables[0][0]['mass'].value)
    np.testing.assert_allclose(dashed.get_ydata(), tables[1][0]['mass'].value)
    assert solid.get_linestyle() == '-' and dashed.get_linestyle() == '--'
    assert solid.get_color() == dashed.get_color() != mass.lines[2].get_color()
    # in print clusters differ by their markers
    assert solid.get_marker() == dashed.get_marker() != mass.lines[2].get_marker()
    assert mass_share.lines[0].get_marker() != mass_share.lines[1].get_marker()
    np.testing.assert_allclose(ratio.lines[3].get_ydata(), tables[3][1]['mass_to_light'].value)
    for axis in (mass_share, ratio_share):
        for line in axis.lines[:2]:
            # no pixel in the innermost ring
            assert np.isnan(line.get_ydata()[0])
            np.testing.assert_allclose(line.get_ydata()[1:], 1.1)
    assert mass_share.get_xlabel() == 'separation [arcsec]'
    figure.savefig(tmp_path / 'profiles.png')


def test_profiles_that_cannot_be_drawn():
    tables = some_profiles()
    with pytest.raises(ValueError, match='must be of the same 1 to 8 clusters, received 2, 1, 2 and 2'):
        plot_profiles(tables[0], tables[1][:1], *tables[2:])
    with pytest.raises(ValueError, match='of the same 1 to 8 clusters, received 0, 0, 0 and 0'):
        plot_profiles([], [], [], [])
    with pytest.raises(ValueError, match='of the same 1 to 8 clusters, received 9, 9, 9 and 9'):
        plot_profiles(*(9 * [table[0]] for table in tables))


def test_distributions_of_distances(tmp_path):
    rng = np.random.default_rng(2)
    true = rng.choice([15, 30, 60, 80], 2000) * u.kpc
    figure = plot_distances((true * np.exp(0.1 * rng.normal(size=2000))).to(u.pc), true)
    (axis,) = figure.axes
    for stairs, distance in zip(axis.patches, (15, 30, 60, 80), strict=True):
        values, edges, _ = stairs.get_data()
        assert np.sum(values * np.diff(edges)) == pytest.approx(1)
        mean = np.sum(values * np.diff(edges) * 0.5 * (edges[1:] + edges[:-1]))
        assert mean == pytest.approx(distance, rel=0.03)
    assert sorted(line.get_xdata()[0] for line in axis.lines) == [15, 30, 60, 80]
    assert axis.get_legend_handles_labels()[1] == ['15 kpc', '30 kpc', '60 kpc', '80 kpc']
    figure.savefig(tmp_path / 'distances.png')


def test_distances_that_cannot_be_drawn():
    with pytest.raises(ValueError, match='at most 8 different true distances, received 9'):
        plot_distances(np.ones(9) * u.kpc, np.arange(1, 10) * u.kpc)
    with pytest.raises(ValueError, match=r'lists of the same length, received the shapes \(9,\) and \(8,\)'):
        plot_distances(np.ones(9) * u.kpc, np.ones(8) * u.kpc)


def test_no_figure_is_left_open():
    """None is made through pyplot, which would keep it."""
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    plot_comparison(a_comparison())
    plot_history(HISTORY)
    plot_maps(*some_maps(1))
    plot_profiles(*some_profiles(1))
    plot_distances([1, 2] * u.kpc, [1, 2] * u.kpc)
    assert plt.get_fignums() == before
