# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Tests of pidoc.training_set.recipe."""

import logging
import pickle
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u

import pidoc
from pidoc import ClusterModel
from pidoc.grid import MapGrid
from pidoc.simulation.design import draw_models
from pidoc.training_set.recipe import conditions_of, Recipe, RecipeError, Values


def content(**changes):
    """A small recipe."""
    return {
        'name': 'small', 'seed': 1,
        'simulations': [{'group': 'ours', 'rows': [{'name': 'a', 'seed': 1}, {'name': 'b', 'seed': 2}],
                         'ages': [0, 10]},
                        {'group': 'theirs', 'named': ['MW15'],
                         'ages': [{'start': 0, 'stop': 100, 'step': 50}]}],
        'part': [part(), part(name='last', split='test', number='all', simulations=['theirs'],
                              distance=[10, 20])],
    } | changes


def part(**changes):
    basis = {'simulations': ['ours'], 'split': 'train', 'number': 5, 'distance': {'low': 8, 'high': 120},
             'seeing': [0.5, 1.5]}
    return {key: value for key, value in (basis | changes).items() if value is not None}


def test_what_a_recipe_says():
    recipe = Recipe(content(maps={'sharp': True, 'smoothing': 2}))
    assert recipe.maps.sharp
    assert recipe.maps.smoothing == 2.0
    assert recipe.maps.grid == MapGrid(smoothing=2.0)
    first, last = recipe.parts
    assert (first.name, first.splits, first.number, first.product) == ('train', {'train': 5}, 5, False)
    assert (last.name, last.splits, last.number, last.product) == ('last', {'test': None}, None, True)
    assert first.distance == Values(low=8.0, high=120.0)
    assert first.seeing == Values((0.5, 1.5))
    assert first.conditions is None
    assert recipe.models['a'][0] == ClusterModel(name='a', seed=1)
    np.testing.assert_array_equal(recipe.models['MW15'][1], [0.0, 50.0, 100.0])
    assert recipe.simulations_of_parts() == {'train': ['a', 'b'], 'last': ['MW15']}


def test_a_recipe_comes_back_from_what_it_is_kept_as():
    recipe = Recipe(content(description='this'))
    again = Recipe(recipe.to_dict())
    assert again == recipe
    assert hash(again) == hash(recipe)
    # words about it do not matter, all else does
    assert Recipe(content(description='that')) == recipe
    assert Recipe(content(seed=2)) != recipe
    recipe.to_dict()['seed'] = 99
    assert again == recipe


def test_parts_and_foreign_snapshots_go_to_other_processes():
    """What is made of them as they are written is made once."""
    recipe = Recipe(content(foreign=[{'name': 'x', 'files': 'y', 'age': 3}],
                            part=[part(shift={'low': -1, 'high': 2}, conditions={'sky': [20, 21]}),
                                  part(name='last', split='test', number='all', distance=10)]))
    again = pickle.loads(pickle.dumps(recipe))
    assert (again.parts, again.foreign, again.maps) == (recipe.parts, recipe.foreign, recipe.maps)
    assert recipe.foreign[0].files == ('y',)
    assert recipe.foreign[0].at == (None,)
    assert recipe.foreign[0].options == {'age': 3.0}


def test_the_maps_of_no_table_are_on_the_grid_of_the_paper():
    assert Recipe(content()).maps.grid == MapGrid()


def test_simulations_by_name_pattern_group_and_folder():
    recipe = Recipe(content(part=[part(simulations=['b']), part(name='x', simulations=['[ab]']),
                                  part(name='y', simulations=['foo*', 'b'])]))
    assert recipe.simulations_of_parts(['foo1', 'foo2', 'bar']) == {
        'train': ['b'], 'x': ['a', 'b'], 'y': ['b', 'foo1', 'foo2']}
    with pytest.raises(RecipeError, match=r"part\]\] y, simulations: 'foo\*' fits none of MW15, a, b, bar"):
        recipe.simulations_of_parts(['bar'])


def test_rows_and_their_base():
    rows = [{'name': 'k', 'king_w0': 6, 'half_mass_radius': '2 pc'}]
    group = {'group': 'g', 'base': 'MW15-R4', 'rows': rows, 'ages': [0]}
    recipe = Recipe(content(simulations=[group], part=[part(simulations=['g'])]))
    assert recipe.models['k'][0] == ClusterModel.named('MW15-R4').replace(
        name='k', profile='king', king_w0=6.0, half_mass_radius=2 * u.pc)


def test_mass_functions():
    """They are other stars; the same one in other words is not."""
    rows = [{'name': name, 'imf': imf} for name, imf in [
        ('kroupa', 'kroupa2001'), ('flat', 'baumgardt2023'), ('steep', -2.7), ('same', '-1.3 -2.3 @ 0.5')]]
    groups = [{'group': row['name'], 'rows': [row], 'ages': [0]} for row in rows]
    parts = [part(simulations=['kroupa', 'steep']),
             part(name='last', split='test', number=1, simulations=['flat', 'same'], draw='random')]
    recipe = Recipe(content(simulations=groups, part=parts[:1]))
    texts = [model.imf for model, _ in recipe.models.values()]
    assert texts == ['kroupa2001', 'baumgardt2023', '-2.7', 'kroupa2001']
    with pytest.raises(RecipeError, match='no simulation may be both in test and .* the same as kroupa'):
        Recipe(content(simulations=groups, part=parts)).shared_stars()
    rows[3]['half_mass_radius'] = 1
    assert Recipe(content(simulations=groups, part=parts)).shared_stars() == [('same', 'kroupa')]


def test_a_grid():
    fields = {'half_mass_radius': {'low': 1.0, 'high': 3.0}}
    grid = {'ages': [0, 1], 'fields': fields,
            'groups': {'tr': {'number': 3, 'seed': 1}, 'te': {'number': 1, 'seed': 2}}}
    recipe = Recipe(content(simulations=[], grid=grid, part=[part(simulations=['tr'])]))
    assert list(recipe.models) == ['tr-000', 'tr-001', 'tr-002', 'te-000']
    assert [model for model, _ in recipe.models.values()][:3] == draw_models(fields, 3, seed=1, name='tr')
    assert recipe.simulations_of_parts() == {'train': ['tr-000', 'tr-001', 'tr-002']}


def test_ages_are_those_of_numpy():
    ages = [1, 2.5, {'start': 10, 'stop': 40, 'step': 10}, {'start': 100, 'stop': 14000, 'number': 7}]
    recipe = Recipe(content(simulations=[{'group': 'ours', 'named': ['MW15'], 'ages': ages}], part=[part()]))
    np.testing.assert_array_equal(recipe.models['MW15'][1],
                                  [1, 2.5, 10, 20, 30, 40, *np.linspace(100.0, 14000.0, 7)])


# -- values ---------------------------------------------------------------------------------------


def test_drawn_values_have_the_distribution_that_is_asked_for():
    rng = np.random.default_rng(5)
    linear = np.array([Values(low=2.0, high=6.0).draw(rng) for _ in range(4000)])
    logarithmic = np.array([Values(low=2.0, high=32.0, log=True).draw(rng) for _ in range(4000)])
    chosen = np.array([Values((1.0, 5.0)).draw(rng) for _ in range(4000)])
    # mean and standard deviation of an even distribution, within 4 standard errors
    for drawn, low, high in ((linear, 2.0, 6.0), (np.log2(logarithmic), 1.0, 5.0)):
        assert drawn.min() >= low
        assert drawn.max() <= high
        width = high - low
        assert drawn.mean() == pytest.approx((low + high) / 2, abs=4 * width / np.sqrt(12 * 4000))
        assert drawn.std() == pytest.approx(width / np.sqrt(12), rel=0.05)
    assert np.mean(chosen == 5.0) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(4000))
    assert set(chosen) == {1.0, 5.0}


def test_a_value_that_is_given_draws_nothing():
    rng = np.random.default_rng(5)
    assert Values((3.0,)).draw(rng) == 3.0
    assert rng.bit_generator.state == np.random.default_rng(5).bit_generator.state


def test_conditions_get_their_units():
    conditions = conditions_of({'sky': 21.5, 'zero_point': 25.0, 'exposure': 60.0, 'subtract_sky': False,
                                'field_star_magnitudes': (14.0, 22.0), 'field_stars': 3.0})
    assert conditions.sky == 21.5 * u.mag / u.arcsec**2
    assert conditions.exposure == 60 * u.s
    assert conditions.subtract_sky is False
    np.testing.assert_array_equal(conditions.field_star_magnitudes, [14, 22] * u.mag)
    assert conditions.field_stars == 3 / u.arcmin**2


# -- what is shipped ------------------------------------------------------------------------------


def test_table1_is_that_of_the_paper():
    recipe = Recipe.read('table1')
    compact, extended, test = recipe.parts
    for training in (compact, extended):
        assert training.splits == {'train': 10000, 'validation': 1000}
        assert training.distance.choices == (10, 25, 50, 75, 100)
        assert training.seeing.choices == (0.5, 1.5)
        assert training.product
    assert test.splits == {'test': None}
    assert test.distance.choices == (15, 30, 60, 80)
    assert test.seeing.choices == (1.0,)
    assert {(part.shift, part.rotation, part.conditions) for part in recipe.parts} == {
        ('random', 'random', None)}
    ages = {name: ages for name, (_, ages) in recipe.models.items()}
    assert {name: len(values) for name, values in ages.items()} == {
        'MW15-R1.6': 5781, 'MW15-R4': 1462, 'MW15': 2043}
    assert {(values[0], values[-1]) for values in ages.values()} == {(0.0, 14000.0)}
    for name, (model, _) in recipe.models.items():
        assert model.replace(seed=0) == ClusterModel.named(name)
    assert not recipe.shared_stars()


def test_paper_range():
    recipe = Recipe.read('paper-range')
    taken = recipe.simulations_of_parts()
    assert [len(taken[name]) for name in ('train', 'validation', 'test')] == [16, 4, 1]
    assert [part.number for part in recipe.parts] == [24000, 4000, None]
    assert [part.light_jitter for part in recipe.parts] == [0.01, 0.0, 0.0]
    assert recipe.parts[0].distance == Values(low=8.0, high=120.0, log=True)
    assert recipe.parts[0].seeing == Values(low=0.4, high=1.8)
    assert recipe.maps.sharp
    assert not recipe.shared_stars()


def test_default():
    recipe = Recipe.read('default')
    number = {}
    for piece in recipe.parts:
        # the level of the sky is never known exactly
        assert piece.conditions['sky_error'].high <= 0.3 and piece.choose == 'snapshot'
        for split, size in piece.splits.items():
            of = split, 'sky' in piece.conditions
            number[of] = number.get(of, 0) + size
    assert number == {
        ('train', False): 12000, ('train', True): 24000, ('validation', False): 1950,
        ('validation', True): 4050, ('test', False): 2600, ('test', True): 5400}
    # fields that hold the cluster, as predictions choose them
    assert [piece.field == 'auto' for piece in recipe.parts] == [piece.name.endswith('-field') for piece in
                                                                 recipe.parts]
    groups = [name.split('-')[0] for name in recipe.models]
    assert {name: groups.count(name) for name in set(groups)} == {'train': 60, 'validation': 14, 'test': 14}
    models = [model for model, _ in recipe.models.values()]
    assert all(0.01 <= model.coulomb_gamma <= 0.08 for model in models)
    assert all(2e4 <= model.n_stars <= 2e6 for model in models)
    assert sum(model.n_stars > 5e5 for model in models) > 15
    assert {model.binary_fraction for model in models} == {0.0, 0.05, 0.1, 0.2}
    # old ones are half of the ages
    _, ages = recipe.models['train-001']
    assert 0.4 < np.mean(ages >= 9000.0) < 0.6
    assert recipe.maps.sharp and not recipe.shared_stars()


def test_the_noise_of_default_is_that_of_ps1_to_twice_that():
    """5 sigma at V = 23.6 with a PSF of 1.3 arcsec: sigma of the flux in 4 pi s^2 of sky alone."""
    recipe = Recipe.read('default')
    values, *others = [piece.conditions for piece in recipe.parts if 'sky' in piece.conditions]
    assert others == [values] * 5
    assert values['calibration_error'].choices == (0.05,)
    assert (values['sky_error'].low, values['sky_error'].high) == (0.005, 0.3)
    area = 4.0 * np.pi * (1.3 / (2.0 * np.sqrt(2.0 * np.log(2.0)))) ** 2
    limits = []
    for exposure in (values['exposure'].low, values['exposure'].high):
        electrons = exposure * 10.0 ** (0.4 * values['zero_point'].choices[0])
        noise = np.sqrt(area * electrons * 10.0 ** (-0.4 * values['sky'].choices[0]))
        limits.append(-2.5 * np.log10(5.0 * noise / electrons))
    # twice the noise is 0.75 mag brighter, a tenth of it 2.5 mag fainter
    np.testing.assert_allclose(limits, [23.6 - 0.753, 23.6 + 2.5], atol=0.05)


def test_what_is_shipped_is_listed_and_read_as_it_is():
    assert Recipe.shipped() == ['default', 'paper-range', 'table1']
    assert "name = 'table1'" in Recipe.text('table1')
    assert Recipe.read('table1', check=False) == Recipe.read('table1')


def test_a_file_is_read(tmp_path):
    path = tmp_path / 'my.toml'
    path.write_text(Recipe.text('table1'), encoding='utf-8')
    assert Recipe.read(path) == Recipe.read('table1')
    assert repr(Recipe.read(path)) == '<Recipe table1: 3 parts>'


def test_the_same_stars_in_train_and_test_are_told(caplog, tmp_path):
    """A size is no other cluster, to whom looks at the light of giants; a seed is."""
    path = tmp_path / 'same.toml'
    same = Recipe.text('table1').replace('half_mass_radius = 4.0, seed = 2', 'half_mass_radius = 4.0')
    path.write_text(same, encoding='utf-8')
    with caplog.at_level(logging.WARNING):
        assert Recipe.read(path).shared_stars() == [('MW15', 'MW15-R4')]
    assert 'MW15 of the test set has the same stars as MW15-R4' in caplog.text
    caplog.clear()
    Recipe.read('table1')
    assert caplog.text == ''


def test_the_recipe_in_the_documentation_is_one():
    page = Path(pidoc.__file__).parents[1] / 'docs' / 'training_sets.rst'
    if not page.exists():
        pytest.skip('the documentation is not installed')
    block = page.read_text(encoding='utf-8').split('.. code-block:: toml\n')[1].split('\nA part with')[0]
    recipe = Recipe(tomllib.loads(textwrap.dedent(block)))
    taken = recipe.simulations_of_parts()
    assert len(taken['train']) == 64 + 1 + 1
    assert taken['both'] == ['large']
    assert recipe.foreign[0].options == {'format': 'cmc'}


# -- what is not accepted -------------------------------------------------------------------------


def test_no_recipe_of_that_name():
    with pytest.raises(RecipeError, match='ends in .toml or one of default, paper-range, table1, received'):
        Recipe.read('tabel1')


def test_no_toml(tmp_path):
    path = tmp_path / 'bad.toml'
    path.write_text('name = ', encoding='utf-8')
    with pytest.raises(RecipeError, match='bad.toml is not TOML: Invalid value'):
        Recipe.read(path)
    with pytest.raises(FileNotFoundError):
        Recipe.read(tmp_path / 'none.toml')


@pytest.mark.parametrize(('changes', 'match'), [
    ({'name': 3}, 'recipe, name: must be a name of letters, digits and . _ [+] -, received 3'),
    ({'name': 'a b'}, 'recipe, name: must be a name of letters'),
    ({'seed': -1}, 'recipe small, seed: must be a whole number, at least 0, received -1'),
    ({'seed': 1.5}, 'seed: must be a whole number'),
    ({'seed': True}, 'seed: must be a whole number'),
    ({'sed': 1}, 'recipe small, sed: there is no such key'),
    ({'part': []}, r'recipe small, \[\[part\]\]: must be at least one table, received \[\]'),
    ({'part': 3}, r'\[\[part\]\]: must be at least one table, received 3'),
    ({'part': [3]}, r'\[\[part\]\] 1: must be a table, received 3'),
    ({'part': [part(), part()]}, r"names of \[\[part\]\] must be different, received 'train' twice"),
    ({'foreign': [{'name': 'x', 'files': 'y'}] * 2}, r"names of \[\[foreign\]\] must be different"),
    ({'foreign': [{'name': 'x'}]}, r'\[\[foreign\]\] 1, files: must be a path or a list of paths, not found'),
    ({'foreign': [{'name': 'x', 'files': 'y', 'at': 'z'}]}, 'at: must be a whole number or a list of them'),
    ({'foreign': [{'name': 'x', 'files': 'y', 'age': -1}]}, 'age: must be a number, at least 0, received -1'),
    ({'maps': {'sharp': 1}}, r'recipe small, \[maps\], sharp: must be true or false, received 1'),
    ({'maps': {'smoothing': -1}}, r'\[maps\], smoothing: must be a number, at least 0, received -1'),
    ({'maps': {'pixel_scale': 0}}, 'pixel_scale: must be a number above 0, received 0'),
    ({'maps': {'field_of_view': 1e308, 'pixel_scale': 0.1}}, 'field_of_view must be of at most 8192 pixels'),
    ({'maps': {'field_of_view': 0.3}}, 'field_of_view must be a whole number of pixels of 0.25 arcsec'),
    ({'maps': {'smoothing': 200}}, 'smoothing must be of no more pixels than the map has, 160, received 200'),
    ({'maps': {'band': 'K'}}, "band: must be one of B, V, g, r, I, F606W, F814W, VIS, received 'K'"),
    ({'maps': {'band': 'B'}}, "correction: must be 'kurucz1992' for the band B, received 'reed1998'"),
    ({'maps': {'shard': 0}}, 'shard: must be a whole number from 1 to 10000, received 0'),
    ({'maps': {'size': 3}}, r'\[maps\], size: there is no such key'),
    ({'maps': 3}, r'recipe small, \[maps\]: must be a table, received 3'),
    ({'grid': {'ages': [0], 'fields': {}, 'groups': {}}},
     r'\[grid\], groups: must be at least one table of number and seed, received'),
    ({'grid': {'ages': [0], 'fields': {'name': 'x'}, 'groups': {'g': {'number': 1, 'seed': 1}}}},
     "fields: must be fields of a model, received 'n"),
    ({'grid': {'ages': [0], 'fields': {}, 'groups': {'a b': {'number': 1, 'seed': 1}}}},
     "groups: must be tables with a name of letters, digits and . _ [+] -, received 'a b'"),
    ({'grid': {'ages': [0], 'fields': {}, 'groups': {'g': {'number': 0, 'seed': 1}}}},
     r'recipe small, \[grid\], groups, g, number: must be a whole number, at least 1, received 0'),
    ({'grid': {'ages': [0], 'fields': {}, 'groups': {'g': {'number': 1}}}},
     'groups, g, seed: must be a whole number, at least 0, not found'),
    ({'grid': {'ages': [0], 'fields': {}, 'groups': {'ours': {'number': 1, 'seed': 1}}}},
     "names of a group of simulations must be different, received 'ours' twice")])
def test_errors_of_the_whole(changes, match):
    with pytest.raises(RecipeError, match=match):
        Recipe(content(**changes))


@pytest.mark.parametrize(('changes', 'match'), [
    ({'simulations': []}, r'\[\[part\]\] 1, simulations: must be a name or a list of names, received \[\]'),
    ({'simulations': [1]}, 'simulations 1: must be a text, received 1'),
    ({'split': 'trial'}, "split: must be one of train, validation, test, received 'trial'"),
    ({'number': None}, r"\[\[part\]\] 1: number must be a whole number above 0 or 'all', not found"),
    ({'split': None}, 'split must be one of train, validation, test, or there must be splits, not found'),
    ({'splits': {'train': 3}}, r"splits: must be instead of split and number, received \['train', 5\]"),
    ({'number': 0}, "number: must be a whole number above 0 or 'all', received 0"),
    ({'number': 2.5}, "number: must be a whole number above 0 or 'all', received 2.5"),
    ({'split': None, 'number': None, 'splits': {}},
     "splits: must be numbers of maps, or one 'all', of train, val"),
    ({'split': None, 'number': None, 'splits': {'trial': 1}},
     "splits: must be numbers of maps, .* of train, validation, test, received {'trial': 1}"),
    ({'split': None, 'number': None, 'splits': {'train': 0}},
     "splits, train: must be a whole number above 0 or 'all', received 0"),
    ({'split': None, 'number': None, 'splits': {'train': 1, 'test': 1}},
     'splits: must be train and validation, or test alone'),
    ({'split': None, 'number': None, 'splits': {'train': 1, 'validation': 'all'}},
     'splits: must be one with'),
    ({'split': None, 'number': None, 'splits': {'train': 1, 'validation': 1}},
     "draw: must be 'product' for two splits: maps drawn by themselves are not disjoint"),
    ({'draw': 'some'}, 'draw: must be one of product, random'),
    ({'draw': 'product'}, 'distance: must be numbers for a product: a distribution has no end'),
    ({'draw': 'random', 'number': 'all'},
     "number: must be a whole number where draw is 'random', received 'all'"),
    ({'choose': 'any'}, 'choose: must be one of simulation, snapshot'),
    ({'distance': None}, r'\[\[part\]\] 1, distance: must be a number above 0, a list .*, not found'),
    ({'distance': 0}, 'distance: must be a number above 0, a list of them, or a table'),
    ({'distance': []}, 'distance: must be a number above 0'),
    ({'distance': [10, 'x']}, "distance 2: must be a number above 0, received 'x'"),
    ({'distance': {'low': 3}}, 'distance, high: must be a number above 0, not found'),
    ({'distance': {'low': 3, 'high': 4, 'max': 5}},
     'distance, max: there is no such key'),
    ({'distance': {'low': 3, 'high': 3}}, 'distance, low: must be below high, 3, received 3'),
    ({'distance': {'low': 0, 'high': 3}}, 'distance, low: must be a number above 0, received 0'),
    ({'distance': {'low': 1, 'high': 3, 'scale': 'sqrt'}},
     "distance, scale: must be one of linear, log, received 'sqrt'"),
    ({'seeing': -1}, 'seeing: must be a number above 0'),
    ({'shift': 5},
     "shift: must be 2 numbers, a list of such, 'random', or a table of low and high, received 5"),
    ({'shift': [1, 2, 3]}, 'shift: must be 2 numbers'),
    ({'rotation': 'some'}, "rotation: must be a number, a list of them"),
    ({'rotation': {'low': 0, 'high': 90, 'scale': 'log'}},
     'rotation, low: must be positive for a scale that is log, received 0'),
    ({'direction': [0, 0]}, "direction: must be 3 numbers, a list of such, 'random', received"),
    ({'direction': [0, 0, 0]}, 'direction: must be numbers that are not all 0'),
    ({'light_jitter': 0.5}, 'light_jitter: must be a number from 0 to 0.2, received 0.5'),
    ({'stars_kept': 1.6}, 'stars_kept: must be a number above 0 and at most 1.5, a list'),
    ({'dispersion_radius': 0}, 'dispersion_radius: must be a number above 0, a list'),
    ({'size_factor': 0}, 'size_factor: must be a number from 0.1 to 10, a list'),
    ({'size_factor': 1.2, 'split': 'validation'},
     "size_factor: must be for the split train alone: others are as simulated, received 'validation'"),
    ({'conditions': {'sky': 'dark'}}, r'\[conditions\], sky: must be a number'),
    ({'conditions': {'moon': 1}}, r'\[\[part\]\] 1, \[conditions\], moon: there is no such key'),
    ({'conditions': {'exposure': 3}}, r'\[conditions\]: zero_point and exposure go together'),
    ({'conditions': {'extinction': {'low': -1, 'high': 1}}},
     r'\[conditions\]: extinction must not be negative'),
    ({'conditions': {'field_star_magnitudes': [14]}}, 'must be the brightest and the faintest magnitude'),
    ({'conditions': {'subtract_sky': 'no'}}, 'subtract_sky: must be true or false'),
    ({'shfit': 'random'}, r'\[\[part\]\] 1, shfit: there is no such key')])
def test_errors_of_a_part(changes, match):
    with pytest.raises(RecipeError, match=match):
        Recipe(content(part=[part(**changes)]))


@pytest.mark.parametrize(('group', 'match'), [
    ({'group': 'g', 'ages': [0]}, r'\[\[simulations\]\] 1: must have named or rows, not found'),
    ({'group': 'g', 'named': ['MW15']}, 'ages: must be a list of ages .*, not found'),
    ({'group': 'g', 'named': ['MW15'], 'ages': ['x']},
     "ages 1: must be a number from 0 to 15000 or a table, received 'x'"),
    ({'group': 'g', 'named': ['MW15'], 'ages': [3, 2]}, 'ages: must be increasing, from 0 to 15000 Myr'),
    ({'group': 'g', 'named': ['MW15'], 'ages': [-3, 2]},
     'ages 1: must be a number from 0 to 15000 or a table, received -3'),
    ({'group': 'g', 'named': ['MW15'], 'ages': [{'start': 0, 'stop': 10}]},
     'ages 1: there must be either step or number, received none'),
    ({'group': 'g', 'named': ['MW15'], 'ages': [{'start': 0, 'stop': 20000, 'step': 1}]},
     'ages 1, stop: must be a number from 0 to 15000, received 20000'),
    ({'group': 'g', 'named': ['MW15'], 'ages': [{'start': 10, 'stop': 1, 'step': 1}]},
     'ages 1, stop: must be after the start, 10, received 1'),
    ({'group': 'g', 'named': ['MW15'], 'ages': [{'start': 0, 'stop': 2, 'step': 1, 'number': 2}]},
     'ages 1: there must be either step or number, received both')])
def test_errors_of_simulations(group, match):
    with pytest.raises(RecipeError, match=match):
        Recipe(content(simulations=[group], part=[part(simulations=['g'])]))


@pytest.mark.parametrize(('changes', 'match'), [
    ({'simulations': [{'group': 'ours', 'named': ['MW99'], 'ages': [0]}]},
     r'\[\[simulations\]\] 1: the name must be'),
    ({'simulations': [{'group': 'ours', 'rows': [{'mass': 3}], 'ages': [0]}]}, "received 'mass'"),
    ({'simulations': [{'group': 'ours', 'rows': [{'n_stars': 5}], 'ages': [0]}]},
     'n_stars must be a whole number from 100'),
    ({'simulations': [{'group': 'ours', 'rows': [{}], 'ages': [0]}]},
     "each model must have a name of letters, digits and . _ [+] -, received ''"),
    ({'simulations': [{'group': 'ours', 'rows': [{'name': 'a'}] * 2, 'ages': [0]}]},
     "names of models must be different, received 'a' twice"),
    ({'foreign': [{'name': 'a', 'files': 'x'}]}, "'a' must not be both foreign and a model"),
    ({'grid': {'ages': [0], 'fields': {'n_stars': {'low': 3}}, 'groups': {'g': {'number': 1, 'seed': 1}}}},
     r'\[grid\], groups, g: the distribution of n_stars must have'),
    ({'part': [part(simulations=['c'])]}, "simulations: 'c' fits none of MW15, a, b, ours, theirs"),
    ({'part': [part(), part(name='t', split='test', simulations=['b'])]},
     r'may be both in test and in train or validation, received b in \[\[part\]\] t and in train'),
    ({'simulations': [{'group': 'ours', 'rows': [{'name': 'a'}, {'name': 'b'}], 'ages': [0]}],
      'part': [part(simulations=['a']), part(name='t', split='test', simulations=['b'])]},
     'received b in .* t, the same as a, and in train')])
def test_errors_of_what_is_simulated(changes, match):
    recipe = Recipe(content(**changes))
    with pytest.raises(RecipeError, match=match):
        recipe.simulations_of_parts()
