# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Cluster models from texts and from tables of every kind."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable, Table

from pidoc import ClusterModel
from pidoc.cluster.model import _QUANTITIES
from pidoc.cluster.table import FIELD_UNITS, field_value, read_models

KMS = u.km / u.s


def test_units_are_those_of_the_model():
    assert FIELD_UNITS == {'mass_limits': u.Msun,
                           **{name: unit for name, (unit, _, _) in _QUANTITIES.items()}}


@pytest.mark.parametrize('field, given, expected', [
    ('half_mass_radius', '3.2', 3.2 * u.pc),
    ('half_mass_radius', 3.2, 3.2 * u.pc),
    ('half_mass_radius', ' 3.2 pc ', 3.2 * u.pc),
    ('half_mass_radius', '3.2pc', 3.2 * u.pc),
    ('half_mass_radius', '3.2e-3 kpc', 0.0032 * u.kpc),
    ('half_mass_radius', 2 * u.lyr, 2 * u.lyr),
    ('galactocentric_distance', '8', 8 * u.kpc),
    ('galactocentric_distance', '8000 pc', 8000 * u.pc),
    ('neutron_star_kick', '265', 265 * KMS),
    ('neutron_star_kick', '265 km/s', 265 * KMS),
    ('mass_limits', '0.1 50', [0.1, 50] * u.Msun),
    ('mass_limits', '0.1, 50 solMass', [0.1, 50] * u.Msun),
    ('mass_limits', [0.1, 50], [0.1, 50] * u.Msun)])
def test_quantities(field, given, expected):
    value = field_value(field, given)
    assert value.unit == expected.unit
    assert np.all(value == expected) and value.shape == expected.shape


@pytest.mark.parametrize('field, given, expected', [
    ('n_stars', '50000', 50000), ('n_stars', '5e4', 50000), ('n_stars', np.int16(500), 500),
    ('n_stars', 500.0, 500), ('seed', '7', 7), ('metallicity', '0.001', 0.001), ('king_w0', '6', 6.0),
    ('giant_mass_loss', '0.2', 0.2),
    ('king_w0', 'none', None), ('coulomb_gamma', '0.03', 0.03), ('coulomb_gamma', 'none', None),
    ('galaxy', 'None', None), ('galaxy', 'logarithmic', 'logarithmic'),
    ('galactocentric_distance', 'none', None), ('perigalacticon', None, None), ('name', 'none', 'none'),
    ('imf', ' -1.3 -2.3 @ 0.5 ', '-1.3 -2.3 @ 0.5'), ('imf', -2.35, -2.35), ('imf', 'equal', 'equal'),
    ('stellar_evolution', 'False', False), ('stellar_evolution', 'yes', True),
    ('stellar_evolution', np.True_, True)])
def test_other_fields(field, given, expected):
    value = field_value(field, given)
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize('field, given, message', [
    ('half_mass_radius', 'wide', "half_mass_radius must be a number, .* such as pc, received 'wide'"),
    ('half_mass_radius', '', "half_mass_radius must be a number, .* received ''"),
    ('half_mass_radius', '3 4', "half_mass_radius must be a number, .* received '3 4'"),
    ('half_mass_radius', '3 4 pc', "half_mass_radius must be a number, .* received '3 4 pc'"),
    ('half_mass_radius', '3 parrots', "half_mass_radius must be a number, .* received '3 parrots'"),
    ('half_mass_radius', '3 percent', "half_mass_radius must be a number, .* received '3 percent'"),
    ('mass_limits', '0.1', "mass_limits must be two masses, .* such as solMass, received '0.1'"),
    ('mass_limits', 'low high', "mass_limits must be two masses, .* received 'low high'"),
    ('n_stars', '12.5', "n_stars must be a whole number, received 12.5"),
    ('n_stars', 12.5, 'n_stars must be a whole number, received 12.5'),
    ('n_stars', True, 'n_stars must be a whole number, received True'),
    ('seed', 'seven', "seed must be a number, received 'seven'"),
    ('metallicity', 'solar', "metallicity must be a number, received 'solar'"),
    ('stellar_evolution', 'perhaps', "stellar_evolution must be true or false, received 'perhaps'"),
    ('radius', '1', "a model has the fields name, n_stars, .* seed, received 'radius'")])
def test_what_does_not_fit(field, given, message):
    with pytest.raises(ValueError, match=message):
        field_value(field, given)


MODELS = [ClusterModel(name='a', n_stars=1000, half_mass_radius=1 * u.pc, perigalacticon=3 * u.kpc, seed=4),
          ClusterModel(name='b', n_stars=2000, half_mass_radius=2.5 * u.pc, mass_limits=[0.1, 20] * u.Msun,
                       stellar_evolution=False)]


@pytest.fixture
def table():
    return QTable({
        'name': ['a', 'b'], 'n_stars': [1000, 2000], 'half_mass_radius': [0.001, 0.0025] * u.kpc,
        'perigalacticon': MaskedColumn([3.0, 0.0], mask=[False, True], unit='kpc'),
        'mass_limits': [[0.1, 50], [0.1, 20]] * u.Msun, 'stellar_evolution': [True, False],
        'seed': np.array([4, 0], dtype=np.int16)})


@pytest.mark.parametrize('name', ['models.ecsv', 'models.fits'])
def test_a_file_with_units(table, tmp_path, name):
    table.write(tmp_path / name)
    assert read_models(tmp_path / name) == MODELS
    assert read_models(str(tmp_path / name)) == MODELS


def test_a_table_with_units(table):
    assert read_models(table) == MODELS
    assert read_models(Table(table)) == MODELS


def test_a_file_without_units(tmp_path):
    path = tmp_path / 'models.csv'
    path.write_text('name,n_stars,half_mass_radius,perigalacticon,mass_limits,stellar_evolution,seed\n'
                    'a,1e3,1,3000 pc,,,4\nb,2000,2.5 pc,,0.1 20,False,\n')
    assert read_models(path) == MODELS


@pytest.mark.parametrize('name', ['models.csv', 'models.ecsv', 'models.fits'])
def test_mass_functions(tmp_path, name):
    texts = ['-0.3 -1.65 -2.3 @ 0.4 1.1', 'equal', '-2.35', 'baumgardt2023']
    QTable({'imf': texts}).write(tmp_path / name)
    assert [model.imf for model in read_models(tmp_path / name)] == texts


def test_a_column_of_slopes(tmp_path):
    (tmp_path / 'models.csv').write_text('name,imf\nsteep,-2.7\nplain,-2\n')
    assert [model.imf for model in read_models(tmp_path / 'models.csv')] == ['-2.7', '-2']


def test_an_isolated_model(tmp_path):
    path = tmp_path / 'models.csv'
    path.write_text('name,galaxy\na,none\nb,logarithmic\n')
    assert [model.isolated for model in read_models(path)] == [True, False]


def test_models_are_handed_through():
    assert read_models(iter(MODELS)) == MODELS
    with pytest.raises(TypeError, match="models must be ClusterModel objects or a table, received 'MW15'"):
        read_models(['MW15'])


def test_an_unknown_column():
    with pytest.raises(ValueError, match="columns of a table .* among name, .*, received 'mass'"):
        read_models(Table({'mass': [1.0]}))


@pytest.mark.parametrize('column, message', [
    ({'n_stars': [1000, 5]},
     'row 2 of the table of models: n_stars must be a whole number from 100 to 4000000, received 5'),
    ({'half_mass_radius': ['q', '1']}, "row 1 of the table of models: half_mass_radius .* received 'q'"),
    ({'half_mass_radius': [1, -1] * u.pc}, 'row 2 .* half_mass_radius must be positive, received -1.0 pc'),
    ({'half_mass_radius': [1, 1] * u.s}, 'row 1 .* half_mass_radius must have a unit that converts to pc')])
def test_a_row_that_is_no_model(column, message):
    with pytest.raises(ValueError, match=message):
        read_models(QTable(column))


def test_files_that_are_no_tables(tmp_path):
    (tmp_path / 'models.fits').write_text('no table')
    with pytest.raises(ValueError, match='models.fits is not a table that astropy can read: '):
        read_models(tmp_path / 'models.fits')
    with pytest.raises(FileNotFoundError):
        read_models(tmp_path / 'absent.ecsv')
