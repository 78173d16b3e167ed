# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The command ``pidoc-evaluate``: what is typed, what is written."""

import logging
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, vstack

from pidoc.evaluation.report import evaluate
from pidoc.scripts.pidoc_evaluate import _distances, _like, main
from pidoc.tests import stand_in
from pidoc.tests.evaluation_helpers import a_set, Oracle, plummer_snapshot, StandIn
from pidoc.training_set.dataset import has_light


@pytest.fixture(scope='module')
def everything():
    """A test part and a training part in one set."""
    test, train = a_set(12), a_set(8, split='train', seed=100)
    both = object.__new__(StandIn)
    both._light, both._mass = (np.concatenate([getattr(part, name) for part in (test, train)])
                               for name in ('_light', '_mass'))
    both.table, both.grid, both.asked = vstack([test.table, train.table]), test.grid, []
    return both


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch, everything):
    """What the two folders hold, in place of files."""
    found = {'folders': []}

    class Estimator:
        @classmethod
        def load(cls, folder):
            found['folders'].append(folder)
            found['oracle'] = Oracle(everything, factor=1.1, older=0.3)
            return found['oracle']

    class TrainingSet:
        @classmethod
        def read(cls, folder):
            found['folders'].append(folder)
            return found.get('set', everything)

    for name, noun in (('inference.estimator', Estimator), ('training_set.dataset', TrainingSet)):
        module = ModuleType(f'pidoc.{name}')
        setattr(module, noun.__name__, noun)
        module.has_light = has_light
        monkeypatch.setitem(sys.modules, f'pidoc.{name}', module)
    return found


def test_what_is_written_is_what_evaluate_says(tmp_path, everything, stand_ins, capsys):
    assert main(['models/tenth', 'sets/table1', '-o', str(tmp_path / 'new'), '--given', 'image',
                 'distance+age', '--no-figures']) == 0
    assert stand_ins['folders'] == [Path('sets/table1'), Path('models/tenth')]
    output, errors = capsys.readouterr()
    assert errors == ''
    expected = evaluate(Oracle(everything, factor=1.1, older=0.3), everything.split('test'),
                        given=('image', 'distance+age'), training=everything.split('train'))
    scores = QTable.read(tmp_path / 'new' / 'scores.ecsv')
    for name in scores.colnames[4:]:
        same = scores['score'] != 'time'
        np.testing.assert_allclose(scores[name][same], expected.tables['scores'][name][same], rtol=1e-12)
    assert 'floor' not in scores.colnames and 'constant_ml' in scores.colnames
    lines = output.splitlines()
    assert lines[0].split()[:4] == ['12', 'maps', 'paper', 'image']
    assert lines[1].split()[-3:] == ['27.4', '9.09', '9.09']
    assert lines[-1] == f'baselines and all else: {tmp_path / "new" / "report.rst"}'
    assert 'Scores of tenth' in (tmp_path / 'new' / 'report.rst').read_text()
    assert not list((tmp_path / 'new').glob('*.png'))


def test_figures(tmp_path):
    mode = 'distance+age'
    assert main(['m', 's', '-o', str(tmp_path), '--given', mode, '--no-baselines', '--quiet']) == 0
    text = (tmp_path / 'report.rst').read_text()
    names = {path.name for path in tmp_path.glob('*.png')}
    assert names == {f'{name}_{mode}.png' for name in ('pixels', 'totals', 'ages', 'distances', 'examples',
                                                       'profiles')}
    for name in names:
        assert f'.. figure:: {name}' in text
        assert (tmp_path / name).read_bytes()[:4] == b'\x89PNG'
    assert 'constant_ml' not in QTable.read(tmp_path / 'scores.ecsv').colnames
    assert not list(tmp_path.glob('.*'))


def test_few_maps(tmp_path, stand_ins):
    assert main(['m', 's', '-o', str(tmp_path), '--maps', '5', '--no-figures', '--quiet']) == 0
    assert len(QTable.read(tmp_path / 'maps_image.ecsv')) == 5
    assert stand_ins['oracle'].calls[0][0] == 5
    again = ['m', 's', '-o', str(tmp_path), '--maps', '99', '--no-figures', '--quiet', '--overwrite']
    assert main(again) == 0
    assert len(QTable.read(tmp_path / 'maps_image.ecsv')) == 12


def test_maps_without_light_are_left_out(tmp_path, everything, stand_ins, caplog):
    maps = stand_ins['set'] = everything[np.arange(len(everything))]
    maps._light = maps._light.copy()
    maps._light[[2, 13]] *= -1.0
    assert main(['m', 's', '-o', str(tmp_path), '--no-figures', '--quiet']) == 0
    assert len(QTable.read(tmp_path / 'maps_image.ecsv')) == 11
    assert set(caplog.messages) >= {f'1 of {number} maps are left out: no light above the sky'
                                    for number in (12, 8)}
    assert all(np.isfinite(QTable.read(tmp_path / 'scores.ecsv')['constant_ml'][:3]))


def test_maps_of_some_parts(tmp_path, everything, stand_ins, capsys):
    maps = stand_ins['set'] = everything[np.arange(len(everything))]
    maps.table['part'] = np.where(np.arange(len(maps)) % 3, 'train', 'rest')
    maps.recipe = SimpleNamespace(parts=[*maps.recipe.parts, SimpleNamespace(name='rest', field=None)])
    how = ['m', 's', '-o', str(tmp_path), '--no-figures', '--quiet', '--overwrite']
    test = maps.split('test').table['part']
    for parts, number in ((['rest'], np.sum(test == 'rest')), (['train', 'rest'], 12)):
        assert main([*how, '--parts', *parts]) == 0
        assert len(QTable.read(tmp_path / 'maps_image.ecsv')) == number
    assert main([*how, '--parts', 'train', 'none']) == 2
    assert '--parts must be of rest, train, received none' in capsys.readouterr().err


def test_the_regression_is_of_fields_like_those_that_are_scored():
    """A set whose validation part alone has maps of fields that hold the cluster."""
    class Set:
        recipe = SimpleNamespace(parts=[SimpleNamespace(name=name, field='auto' if 'field' in name else None)
                                        for name in ('a', 'b', 'b-field', 'c', 'c-field')])

        def __init__(self, table):
            self.table = table

        def __getitem__(self, rows):
            return Set(self.table[rows])

    maps = Set(QTable({'part': ['a', 'b', 'b-field', 'c', 'c-field'] * 3,
                       'split': ['train', 'validation', 'validation', 'test', 'test'] * 3}))

    def parts(name, split='test'):
        found = _like(maps, maps[maps.table['part'] == name], split)
        return None if found is None else set(map(str, found.table['part']))

    assert parts('c') == {'a'} and parts('c-field') == {'b-field'}
    assert parts('b-field', 'validation') is None
    both = maps[np.isin(maps.table['part'], ['c', 'c-field'])]
    assert set(_like(maps, both, 'test').table['part']) == {'b', 'b-field'}


def test_what_is_given_and_the_seed(tmp_path, stand_ins):
    for seed in ('3', '4'):
        assert main(['m', 's', '-o', str(tmp_path / seed), '--given', 'distance', '--seed', seed,
                     '--no-figures', '--quiet']) == 0
        _, known = stand_ins['oracle'].calls[0]
        assert set(known) == {'distance', 'distance_error'}
        np.testing.assert_allclose(known['distance_error'], 0.02 * known['distance'])
        stand_ins[seed] = known['distance']
    assert np.all(stand_ins['3'] != stand_ins['4'])


def test_the_floor(tmp_path):
    for i in range(2):
        plummer_snapshot(2000, seed=i).write(tmp_path / f'{i}.fits')
    assert main(['m', 's', '-o', str(tmp_path / 'out'), '--no-figures', '--quiet', '--snapshots',
                 *(str(tmp_path / f'{i}.fits') for i in range(2))]) == 0
    table = QTable.read(tmp_path / 'out' / 'scores.ecsv')
    assert 0 < table['floor'][table['score'] == 'pixel.sample'][0] < 60


def test_distances_of_all_kinds(everything):
    """More than eight: a histogram in place of curves."""
    many = everything[:]
    many.table = QTable(everything.table, copy=True)
    many.table['distance'] = np.linspace(10, 90, len(many)) * u.kpc
    for maps, label in ((many, 'true [kpc]'), (everything, 'predicted distance [kpc]')):
        report = evaluate(Oracle(maps), maps)
        figure, name = _distances(report, 'image', report.comparisons['image']['distance'])
        assert name == 'distances' and label in [axis.get_xlabel() for axis in figure.axes]


def test_no_training_part(tmp_path, everything, stand_ins, caplog):
    stand_ins['set'] = everything.split('test')
    with caplog.at_level(logging.WARNING):
        assert main(['m', 's', '-o', str(tmp_path), '--no-figures', '--quiet']) == 0
    assert 'no baselines: the set has no training part besides the one that is scored' in caplog.text
    assert 'constant_ml' not in QTable.read(tmp_path / 'scores.ecsv').colnames


def test_what_cannot_be_given(tmp_path, capsys):
    assert main(['m', 's', '-o', str(tmp_path / 'out'), '--given', 'image', 'colour', '--quiet']) == 2
    error = capsys.readouterr().err
    assert error.startswith("pidoc-evaluate: --given must be 'image' or of ") and error.count('\n') == 1
    assert "joined by +, received 'colour'" in error and not (tmp_path / 'out').exists()


def test_nothing_is_replaced(tmp_path, stand_ins, capsys):
    (tmp_path / 'report.rst').write_text('old')
    assert main(['m', 's', '-o', str(tmp_path)]) == 2
    assert 'report.rst exists: give --overwrite to replace it' in capsys.readouterr().err
    # found out before anything was read
    assert stand_ins['folders'] == [] and (tmp_path / 'report.rst').read_text() == 'old'


@pytest.mark.parametrize(('arguments', 'text'), [
    (['--maps', '0'], "--maps: must be a whole number, at least 1, received '0'"),
    (['--maps', 'x'], "--maps: must be a whole number, at least 1, received 'x'"),
    (['--given'], '--given: expected at least one argument'),
    (['--mode', 'both'], 'unrecognized arguments: --mode both')])
def test_impossible_arguments(arguments, text, capsys):
    with pytest.raises(SystemExit) as error:
        main(['m', 's', '-o', 'x', *arguments])
    assert error.value.code == 2
    assert text in capsys.readouterr().err


# -- the paper's clusters -------------------------------------------------------------------------


@pytest.fixture
def formulae(monkeypatch, tmp_path):
    """A mapper of formulae in place of networks; empty caches."""
    from astropy.config import set_temp_cache

    from pidoc.prediction import mapper

    monkeypatch.setattr(mapper.MassMapper, 'from_pretrained',
                        lambda name: mapper.MassMapper(stand_in.StandIn(), name=f'formulae of {name}'))
    (tmp_path / 'cache').mkdir()
    with set_temp_cache(tmp_path / 'cache'):
        yield tmp_path


def test_no_cache_and_no_network(formulae, capsys, caplog):
    out = formulae / 'out'
    assert main(['--clusters', '-o', str(out), '--offline']) == 2
    errors = capsys.readouterr().err
    assert ('none of the 17 clusters is in the cache, and the survey does not answer: nothing was written '
            '(--stand-ins runs on synthetic images)') in errors
    assert len([record for record in caplog.records if 'not in the cache' in record.getMessage()]) == 17
    assert not out.exists()


def test_nobody_answers(formulae, capsys, monkeypatch):
    """The first cluster is waited for, the others are not."""
    from pidoc.image.ps1 import retrieval

    waits = []
    monkeypatch.setattr(retrieval.time, 'sleep', waits.append)

    def no_mast(position, *, bands=None):
        raise retrieval.ServiceError('MAST does not answer')

    monkeypatch.setattr(retrieval, 'mast_listing', no_mast)
    assert main(['--clusters', '-o', str(formulae / 'out'), '--server', 'http://127.0.0.1:9']) == 2
    assert 'nothing was written' in capsys.readouterr().err
    assert waits == [2.0, 4.0, 8.0, 16.0] and not (formulae / 'out').exists()


@pytest.mark.slow
def test_from_the_cache(formulae, capsys, caplog):
    """One cluster is in the cache, by a server of our own; the report names the others."""
    pytest.importorskip('reproject')
    from pidoc.image.ps1.retrieval import Archive, fetch
    from pidoc.tests import ps1_sky as sky

    server = sky.Server(sky.Survey(formulae))
    try:
        fetch('NGC 5466', archive=Archive(server=server.address, retries=0))
        asked = len(server.requests)
        assert main(['--clusters', '-o', str(formulae / 'out'), '--server', server.address, '--offline']) == 2
        assert len(server.requests) == asked
    finally:
        server.close()
    output = capsys.readouterr().out
    assert output.startswith("The paper's clusters, model formulae of default\n")
    table = QTable.read(formulae / 'out' / 'clusters.ecsv')
    assert list(table['name']) == ['NGC 5466'] and table.meta['synthetic'] is False
    text = (formulae / 'out' / 'report.rst').read_text()
    assert '- NGC 5053: ``' in text and 'ynthetic' not in text and 'SYNTHETIC' not in text
    assert len(list((formulae / 'out').glob('*.png'))) == 11


@pytest.mark.slow
def test_stand_ins(formulae, capsys, monkeypatch, stand_ins):
    """Two of them, from drawn stars to the report, with a training set."""
    pytest.importorskip('reproject')
    from pidoc import catalogs
    from pidoc.evaluation import real_clusters

    few = catalogs.paper_table()[[1, 8]]
    for module in (catalogs, real_clusters):
        monkeypatch.setattr(module, 'paper_table', lambda: few.copy())
    rng = np.random.default_rng(1)

    class Maps:
        table = QTable({'split': ['train'] * 400, 'age': np.full(400, 12.0) * u.Gyr,
                        'distance': rng.uniform(8, 30, 400) * u.kpc,
                        'luminosity': rng.uniform(300, 5000, 400) * u.Lsun})

        def split(self, name):
            return self

    stand_ins['set'] = Maps()
    out = formulae / 'out'
    assert main(['--clusters', 'mine', 's', '--stand-ins', '-o', str(out)]) == 0
    output = capsys.readouterr().out
    assert output.startswith("SYNTHETIC stand-ins of the paper's clusters, model formulae of mine\n")
    assert '  1 out of range  flagged: 1 (image), 1 (distance), 1 (known), 1 (slope), 1 (disper' in output
    table = QTable.read(out / 'clusters.ecsv')
    assert list(table['name']) == ['Pal 11', 'NGC 4147'] and table.meta['synthetic'] is True
    assert list(table['in_range']) == [True, False]
    # Pal 11 fills the field: sky is left in it
    assert np.all(np.abs(table['luminosity'] / table['true_luminosity'] - 1.0) < [0.2, 0.06])
    assert main(['--clusters', '--stand-ins', '-o', str(out)]) == 2
    assert 'report.rst exists: give --overwrite' in capsys.readouterr().err


@pytest.mark.parametrize(('arguments', 'message'), [
    (['m'], 'MODEL and SET must be given, or --clusters'),
    (['m', 's', '--offline'], '--offline is for --clusters'),
    (['m', 's', '--stand-ins'], '--stand-ins is for --clusters'),
    (['m', 's', '--field-of-view', 'auto'], '--field-of-view is for --clusters'),
    (['--clusters', '--parts', 'a'], '--parts is not for --clusters'),
    (['--clusters', '--card'], '--card is not for --clusters'),
    (['--clusters', '--given', 'distance'], '--given is not for --clusters'),
    (['--clusters', '--no-baselines'], '--no-baselines is not for --clusters'),
    (['--clusters', '--stand-ins', '--offline'], '--stand-ins needs no images: --offline and --server must')])
def test_what_does_not_go_together(arguments, message, capsys, tmp_path):
    assert main([*arguments, '-o', str(tmp_path / 'out')]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_help_is_light():
    code = ('import sys\nfrom pidoc.scripts.pidoc_evaluate import main\n'
            'try:\n    main(["--help"])\nexcept SystemExit:\n    pass\n'
            'heavy = "matplotlib", "scipy", "keras", "tensorflow"\n'
            'print([name for name in heavy if name in sys.modules])')
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert 'MODEL' in result.stdout and result.stdout.splitlines()[-1] == '[]'
