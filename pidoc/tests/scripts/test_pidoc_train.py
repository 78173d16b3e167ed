# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The command pidoc-train."""

import json

import pytest

from pidoc.inference.estimator import Estimator
from pidoc.scripts.pidoc_train import _OPTIONS, _PAPER, main
from pidoc.training.settings import PaperSettings, Settings


def test_the_command_trains(maps, tmp_path, monkeypatch, capsys):
    from pidoc.training_set.dataset import TrainingSet

    monkeypatch.setattr(TrainingSet, 'read', lambda folder: maps)
    code = main(['a-set', '-o', str(tmp_path), '--epochs', '1', '--widths', '4,8', '--name', 'mine', '--log',
                 '--plot'])
    assert code == 0
    out = capsys.readouterr().out
    assert 'network 1: 1 epochs, best validation likelihood (-ln)' in out
    assert '294 to train, 126 to validate' in out
    listed = out[out.index('settings   members 1, epochs 1, '):]
    assert max(map(len, listed.splitlines())) <= 80
    assert json.loads((tmp_path / 'model.json').read_text())['about']['name'] == 'mine'
    assert (tmp_path / 'history.png').read_bytes().startswith(b'\x89PNG')


def test_the_command_trains_the_paper(few, slim, tmp_path, monkeypatch, capsys):
    from pidoc.training_set.dataset import TrainingSet

    monkeypatch.setattr(TrainingSet, 'read', lambda folder: few)
    assert main(['a-set', '-o', str(tmp_path), '--network', 'paper', '--vgg', 'random', '--epochs', '1',
                 '--batch-size', '8', '--plot', '--precision', 'bfloat16']) == 0
    assert 'network 2: 1 epochs, best validation loss' in capsys.readouterr().out
    assert (tmp_path / 'history.png').exists()
    # trained in half precision, it answers in single
    networks = Estimator.load(tmp_path).networks
    assert {layer.compute_dtype for each in networks for layer in each.layers} == {'float32'}


def test_the_command_says_what_is_wrong_on_one_line(tmp_path, capsys):
    assert main([str(tmp_path / 'nothing'), '-o', str(tmp_path / 'model')]) == 2
    assert capsys.readouterr().err.count('\n') == 1


def test_a_finished_training_goes_on_by_the_command(maps, tmp_path, monkeypatch, capsys):
    from pidoc.training_set.dataset import TrainingSet

    monkeypatch.setattr(TrainingSet, 'read', lambda folder: maps)
    common = ['a-set', '-o', str(tmp_path), '--widths', '4,8', '--batch-size', '64', '--channels',
              'light,sharp']
    for epochs in ('1', '2'):
        assert main([*common, '--epochs', epochs]) == 0
        assert f'network 1: {epochs} epochs' in capsys.readouterr().out
    assert main([*common, '--epochs', '1']) == 2
    assert 'epochs must be at least as many, received 1' in capsys.readouterr().err
    assert [channel.smoothed for channel in Estimator.load(tmp_path).grid.channels] == [True, False]


def as_text(value):
    return ','.join(map(str, value)) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize('name', sorted(_OPTIONS))
def test_every_default_in_the_help_is_that_of_the_settings(name):
    kind, default, _ = _OPTIONS[name]
    ours = getattr(Settings, name)
    none = {'constraints': 'those known exactly', 'measured': 'all other predicted ones',
            'start': 'random weights'}
    expected = none.get(name, 'all in the set') if ours is None else as_text(ours)
    if name not in _PAPER:
        expected += '; ours only'
    elif as_text(getattr(PaperSettings, name)) != expected:
        expected += f', paper: {as_text(getattr(PaperSettings, name))}'
    assert default == expected
    # the text of a default makes the default
    if ours is not None:
        made = kind(as_text(ours))
        assert made in (ours, (ours,))


def test_the_help_has_the_defaults_of_both_networks(capsys):
    with pytest.raises(SystemExit, match='0'):
        main(['--help'])
    shown = ' '.join(capsys.readouterr().out.split())
    for text in ('(default: 20, paper: 100,200)', '(default: 24,48,96,128; ours only)',
                 '(default: all in the set; ours only)', '(default: 3; ours only)'):
        assert text in shown


@pytest.mark.parametrize('options, message', [
    (['--network', 'paper', '--members', '2'], '--members is not for --network paper'),
    (['--vgg', 'random'], '--vgg is not for --network cluster'),
    (['--epochs', '1,2'], '--epochs must be one number'),
    (['--start', 'nothing'], 'a model must be one of'),
    (['--network', 'paper', '--epochs', '1,2,3'], 'or for --network paper two, received 1,2,3'),
])
def test_options_of_the_other_network_are_refused(options, message, tmp_path, capsys):
    assert main(['a-set', '-o', str(tmp_path), *options]) == 2
    assert message in capsys.readouterr().err


def test_words_for_numbers(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(['a-set', '-o', str(tmp_path), '--widths', 'a,b'])
    assert "must be whole numbers, such as 4,8, received 'a,b'" in capsys.readouterr().err
