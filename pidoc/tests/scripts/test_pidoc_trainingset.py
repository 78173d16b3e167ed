# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Tests of the command pidoc-trainingset."""

import subprocess
import sys

import numpy as np
import pytest
from astropy import units as u

from pidoc import ClusterModel
from pidoc.scripts.pidoc_trainingset import main
from pidoc.simulation.run import run
from pidoc.training_set.dataset import TrainingSet
from pidoc.training_set.recipe import Recipe

RECIPE = """\
name = 'tiny'
description = 'two maps'
seed = 1

[maps]
field_of_view = 10.0

[[simulations]]
group = 'all'
rows = [{name = 'a', n_stars = 300}]
ages = [0.0]

[[part]]
simulations = 'all'
split = 'train'
number = 2
distance = [10, 20]
seeing = 1.0
"""


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with a recipe and its simulation."""
    folder = tmp_path_factory.mktemp('place')
    (folder / 'tiny.toml').write_text(RECIPE, encoding='utf-8')
    run(ClusterModel(name='a', n_stars=300), folder / 'runs' / 'a', ages=[0.0] * u.Myr, progress=False)
    return folder


def arguments(place, output, *more):
    return [str(place / 'tiny.toml'), '-o', str(output), '--simulations', str(place / 'runs'), '--jobs', '1',
            *more]


def test_a_set_is_built_and_summarised(place, tmp_path, capsys):
    assert main(arguments(place, tmp_path / 'set')) == 0
    out, err = capsys.readouterr()
    assert 'train       train                 2            1   0.00-0.00' in out
    assert f'2 maps, 0.00 GB in {tmp_path / "set"}\n' in out
    assert err == ''
    assert len(TrainingSet.read(tmp_path / 'set')) == 2
    # and once more, and checked
    assert main(arguments(place, tmp_path / 'set', '--check')) == 0
    assert capsys.readouterr().out.endswith(', as they were written\n')


def test_quiet_says_nothing(place, tmp_path, capsys):
    assert main(arguments(place, tmp_path / 'set', '--quiet')) == 0
    assert capsys.readouterr() == ('', '')


@pytest.mark.slow
def test_what_is_missing_is_simulated_first(place, tmp_path, capsys):
    changed = [str(place / 'tiny.toml'), '-o', str(tmp_path / 'set'), '--simulations', str(tmp_path / 'runs'),
               '--jobs', '1', '--quiet']
    assert main(changed) == 2
    assert 'simulations must be a folder' in capsys.readouterr().err
    assert main([*changed, '--simulate']) == 0
    assert (tmp_path / 'runs' / 'a' / 'log.fits').exists()
    assert len(TrainingSet.read(tmp_path / 'set')) == 2


@pytest.mark.slow
def test_a_set_without_snapshots(place, tmp_path, capsys):
    output = tmp_path / 'set'
    assert main([str(place / 'tiny.toml'), '--simulate', '-o', str(output), '--check']) == 0
    assert f'2 maps, 0.00 GB in {output}, as they were written' in capsys.readouterr().out
    kept = tmp_path / 'kept'
    main(arguments(place, kept, '--quiet'))
    assert (output / 'maps.fits').read_bytes() == (kept / 'maps.fits').read_bytes()
    np.testing.assert_array_equal(TrainingSet.read(output).light(), TrainingSet.read(kept).light())
    # what one of the two began is not for the other
    assert main(arguments(place, output)) == 2
    assert 'holds a set that was begun without a folder of simulations' in capsys.readouterr().err


def test_check_alone(place, tmp_path, capsys):
    main(arguments(place, tmp_path / 'set', '--quiet'))
    assert main(['--check', '-o', str(tmp_path / 'set')]) == 0
    assert ', as they were written' in capsys.readouterr().out
    with open(tmp_path / 'set' / 'train-train-0000.fits', 'r+b') as stream:
        stream.seek(9000)
        stream.write(b'xx')
    assert main(['--check', '-o', str(tmp_path / 'set')]) == 2
    out, err = capsys.readouterr()
    assert out == ''
    assert err.startswith('pidoc-trainingset: ')
    assert 'train-train-0000.fits is not what was written' in err
    assert err.count('\n') == 1


def test_list_and_show(capsys):
    assert main(['--list']) == 0
    assert 'table1        Table 1 of Chardin & Bianchini (2021)\n' in capsys.readouterr().out
    assert main(['--show', 'table1']) == 0
    assert capsys.readouterr().out == Recipe.text('table1')


@pytest.mark.parametrize(('args', 'message'), [
    ([], 'a RECIPE must be given: --list lists the packaged ones'),
    (['table1'], 'the folder of the set must be given: -o FOLDER'),
    (['--check'], 'the folder of the set must be given: -o FOLDER'),
    (['table1', '-o', 'x'], 'the folder of the simulations must be given, --simulations FOLDER; or --'),
    (['tabel1', '-o', 'x', '--simulations', 'y'], 'a file that ends in .toml or one of default'),
    (['table1', '-o', 'x', '--simulations', 'nowhere'], 'simulations must be a folder, '),
    (['--show', 'none.toml'], 'No such file')])
def test_errors_are_told_on_one_line(args, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(args) == 2
    out, err = capsys.readouterr()
    assert out == ''
    assert message in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith('pidoc-trainingset: ')
    assert list(tmp_path.iterdir()) == []


def test_jobs_must_be_whole(capsys):
    with pytest.raises(SystemExit, match='2'):
        main(['table1', '--jobs', '0'])
    assert "argument --jobs: must be a whole number, at least 1, received '0'" in capsys.readouterr().err


def test_help_needs_nothing_heavy():
    code = ('import sys\nfrom pidoc.scripts.pidoc_trainingset import main\ntry:\n    main(["--help"])\n'
            'except SystemExit:\n    pass\nprint(*[name for name in ("numba", "scipy", "matplotlib") if '
            'name in sys.modules], file=sys.stderr)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ''
    assert 'pidoc-trainingset table1 --simulate -o sets/table1' in done.stdout
    assert 'pidoc-trainingset table1 --simulations runs --simulate -o sets/table1' in done.stdout
