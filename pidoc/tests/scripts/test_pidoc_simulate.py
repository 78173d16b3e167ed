# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The command ``pidoc-simulate``: what is typed, what comes back."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

import pidoc
from pidoc import ClusterModel
from pidoc.cluster.mass_function import MassFunction
from pidoc.cluster.table import field_value
from pidoc.scripts import pidoc_simulate
from pidoc.scripts.pidoc_simulate import main
from pidoc.simulation import read_log

SMALL = ['--n-stars', '1000', '--half-mass-radius', '1.5 pc', '--seed', '3',
         '--end', '10Myr', '--snapshots', '3']


def parsed(*args):
    """Models, ages and options that a command line stands for."""
    options = pidoc_simulate._parser().parse_args([*args, '-o', 'x'])
    models, many = pidoc_simulate._models(options)
    return models, many, pidoc_simulate._ages(options.end, options.snapshots, options.ages), options


def test_a_run_and_its_summary(tmp_path, capsys):
    folder = tmp_path / 'run'
    assert main([*SMALL, '-o', str(folder)]) == 0
    output, errors = capsys.readouterr()
    assert errors == ''
    log = read_log(folder)
    assert ClusterModel.from_header(log.meta) == ClusterModel(
        n_stars=1000, half_mass_radius=1.5 * u.pc, seed=3)
    np.testing.assert_allclose(log['age'].to_value(u.Myr), [0, 5, 10])
    rows = [line.split() for line in output.splitlines()]
    assert output.splitlines()[0].split('  ')[-1].strip() == 'M/L_V'
    for row, expected in zip(rows[1:4], log, strict=True):
        assert row == [f'{expected["age"].value:.2f}', str(expected['n_stars']),
                       f'{expected["total_mass"].value:.0f}', f'{expected["half_mass_radius"].value:.2f}',
                       f'{expected["mass_to_light"].value:.3f}']
    for name in ('snapshots', 'log.fits', 'escapers.fits', 'quicklook.png'):
        assert str(folder / name) in output and (folder / name).exists()
    # again: nothing to do; another model: refused
    assert main([*SMALL, '-o', str(folder), '--quiet']) == 0
    assert capsys.readouterr() == ('', '')
    assert main([*SMALL, '-o', str(folder), '--seed', '4']) == 2
    output, errors = capsys.readouterr()
    assert output == '' and errors.count('\n') == 1
    assert 'holds another run: --seed is 3 there, 4 here' in errors
    assert main([*SMALL, '-o', str(folder), '--seed', '4', '--overwrite', '--quiet']) == 0
    assert read_log(folder).meta['SIMSEED'] == 4


@pytest.mark.parametrize(('text', 'expected'), [
    ('12', [12000.0]), ('0,0.01, 1e1', [0.0, 10.0, 10000.0]), ('3,10Myr', [3.0, 10.0]),
    ('1,2.5,10:40:10 Myr', [1.0, 2.5, 10.0, 20.0, 30.0, 40.0]), ('0:1:0.4', [0.0, 400.0, 800.0])])
def test_ages_that_are_listed(text, expected):
    np.testing.assert_allclose(parsed('MW15', '--ages', text)[2].to_value(u.Myr), expected, rtol=1e-15)


def test_a_long_list_of_ages_is_exact():
    ages = parsed('MW15', '--ages', '65,80,100:14000:50 Myr')[2].to_value(u.Myr)
    np.testing.assert_array_equal(ages, [65, 80, *range(100, 14001, 50)])
    assert len(parsed('MW15')[2]) == 141


def test_many_from_a_table(tmp_path, capsys):
    (tmp_path / 'models.csv').write_text('name,n_stars,half_mass_radius,seed\na,1000,1.5,3\nb,1000,30,3\n')
    args = ['--table', str(tmp_path / 'models.csv'), '-o', str(tmp_path),
            '--end', '2 Myr', '--snapshots', '2']
    assert main(args) == 1
    output, errors = capsys.readouterr()
    assert errors.startswith('pidoc-simulate: b failed: half_mass_radius must be smaller than the tidal')
    assert errors.count('\n') == 1
    lines = [line.split() for line in output.splitlines()]
    assert lines[1][:2] == ['a', 'complete'] and lines[2] == ['b', 'failed', *'-----']
    assert list(QTable.read(tmp_path / 'summary.ecsv')['state']) == ['complete', 'failed']
    assert len(read_log(tmp_path / 'a')) == 2


def test_a_named_model():
    models, many, ages, _ = parsed('MW15', '--snapshots', '2044')
    assert models == [ClusterModel.named('MW15')] and not many
    assert ages.size == 2044 and ages[0] == 0 * u.Myr and ages[-1] == 14 * u.Gyr
    np.testing.assert_allclose(np.diff(ages.to_value(u.Myr)), 14000 / 2043)


def test_the_default_ages():
    models, _, ages, _ = parsed('--n-stars', '1000')
    assert models == [ClusterModel(n_stars=1000)]
    np.testing.assert_allclose(ages.to_value(u.Gyr), np.arange(141) / 10)


def test_names_of_changed_models():
    assert parsed('MW15', '--seed', '5')[0][0] == ClusterModel.named('MW15').replace(seed=5)
    assert parsed('MW15', '--n-stars', '1000')[0][0].name == 'MW15-modified'
    assert parsed('MW15', '--n-stars', '1000', '--name', 'mine')[0][0].name == 'mine'
    assert parsed('--n-stars', '1000')[0][0].name == ''
    models, many, _, _ = parsed('MW15', 'MW15-R4', '--seed', '2')
    assert many and [(model.name, model.seed) for model in models] == [('MW15', 2), ('MW15-R4', 2)]


@pytest.mark.parametrize('args, change', [
    (['--half-mass-radius', '2'], {'half_mass_radius': 2 * u.pc}),
    (['--half-mass-radius', '0.002 kpc'], {'half_mass_radius': 0.002 * u.kpc}),
    (['--king-w0', '6'], {'profile': 'king', 'king_w0': 6}),
    (['--metallicity', '0.02'], {'metallicity': 0.02}),
    (['--imf', 'equal'], {'imf': 'equal'}), (['--imf', 'baumgardt2023'], {'imf': 'baumgardt2023'}),
    (['--imf', '-0.3 -1.65 -2.3 @ 0.4 1.1'], {'imf': MassFunction([-0.3, -1.65, -2.3], [0.4, 1.1])}),
    (['--imf=-0.5,-2.3@0.5'], {'imf': '-0.5 -2.3 @ 0.5'}), (['--imf', '-2.35'], {'imf': -2.35}),
    (['--mass-limits', '0.1,20'], {'mass_limits': [0.1, 20] * u.Msun}),
    (['--binary-fraction', '0.1', '--binary-periods', 'duquennoy1991'],
     {'binary_fraction': 0.1, 'binary_periods': 'duquennoy1991'}),
    (['--galaxy', 'logarithmic', '--circular-velocity', '200'],
     {'galaxy': 'logarithmic', 'circular_velocity': 200 * u.km / u.s}),
    (['--galactocentric-distance', '8', '--perigalacticon', '3000 pc'],
     {'galactocentric_distance': 8 * u.kpc, 'perigalacticon': 3 * u.kpc}),
    (['--galactocentric-distance', 'none'], {'galaxy': None}),
    (['--isolated'], {'galaxy': None}),
    (['--no-stellar-evolution'], {'stellar_evolution': False}),
    (['--natal-kicks', 'full'], {'natal_kicks': 'full'}),
    (['--neutron-star-kick', '0', '--black-hole-kick', '10 km/s'],
     {'neutron_star_kick': 0 * u.km / u.s, 'black_hole_kick': 10 * u.km / u.s}),
    (['--neutron-star-retention', '0.1', '--black-hole-retention', '0.5'],
     {'neutron_star_retention': 0.1, 'black_hole_retention': 0.5}),
    (['--giant-mass-loss', '0.2'], {'giant_mass_loss': 0.2}),
    (['--coulomb-gamma', '0.03'], {'coulomb_gamma': 0.03}), (['--coulomb-gamma', 'none'], {})])
def test_options_of_the_model(args, change):
    assert parsed(*args)[0] == [ClusterModel(**change)]


def test_every_field_has_an_option():
    fields = {field for _, field, *_ in pidoc_simulate._OPTIONS}
    # king_w0 stands for the profile too
    assert fields | {'name', 'profile', 'stellar_evolution'} == set(ClusterModel.__dataclass_fields__)


@pytest.mark.parametrize('args, message', [
    (['MW16'], "the name must be one of MW15-R1.6, MW15, MW15-R4, received 'MW16'"),
    (['--half-mass-radius', 'wide'], 'argument --half-mass-radius: half_mass_radius must be a number'),
    (['--half-mass-radius', '3 km/s'], '--half-mass-radius must have a unit that converts to pc'),
    (['--half-mass-radius', 'none'], '--half-mass-radius must be an astropy Quantity in pc, received None'),
    (['--half-mass-radius', '100'], '--half-mass-radius must be smaller than the tidal radius'),
    (['--n-stars', '5'], '--n-stars must be a whole number from 100 to 4000000, received 5'),
    (['--imf', 'salpeter'], "imf must be one of kroupa2001, .* received 'salpeter'"),
    (['--imf', 'none'], 'imf must be one of .* received None'),
    (['--end', '16'], '--end must be above 0 and at most 15 Gyr, received 16 Gyr'),
    (['--end', '0'], '--end must be above 0'),
    (['--end', 'soon'], "argument --end: must be a time .Gyr., received 'soon'"),
    (['--end', '3 pc'], "argument --end: must be a time .Gyr., received '3 pc'"),
    (['--snapshots', '1'], '--snapshots must be at least 2'),
    (['--ages', '1,x'], "argument --ages: must be ages with commas, .* received '1,x'"),
    (['--ages', '1:2'], "argument --ages: must be ages with commas, .* received '1:2'"),
    (['--ages', '1:2:0'], "argument --ages: must be ages with commas, .* received '1:2:0'"),
    (['--ages', '1 pc'], "argument --ages: must be ages with commas, .* received '1 pc'"),
    (['MW15', '--ages', '3,2'], '--ages must increase, received 3000 Myr before 2000 Myr'),
    (['--ages', '1,2', '--end', '3'], '--ages defines all snapshots: give neither --end'),
    (['--ages', '1,2', '--snapshots', '3'], '--ages defines all snapshots'),
    (['--snapshots', '2.5'], "argument --snapshots: must be a whole number, at least 1, received '2.5'"),
    (['--jobs', '0'], "argument --jobs: must be a whole number, at least 1, received '0'"),
    (['--isolated', '--perigalacticon', '3'], '--isolated and an orbit or a galaxy contradict'),
    (['--table', 'absent.ecsv'], 'No such file'),
    (['--table', 'absent.ecsv', '--seed', '3'], '--table defines its models completely'),
    (['MW15', 'MW15-R4', '--name', 'mine'], '--name is for one model, received 2'),
    (['MW15', 'MW15-R4', '--threads', '2'], '--threads is for one model'),
    (['MW15', '--scheduler', 'tcp://127.0.0.1:1'], '--scheduler is for many models, received one'),
    (['--fast'], 'unrecognized arguments: --fast')])
def test_errors_are_one_line(tmp_path, capsys, args, message):
    try:
        status = main([*args, '-o', str(tmp_path / 'x')])
    except SystemExit as stop:
        # what argparse itself finds
        status = stop.code
    output, errors = capsys.readouterr()
    assert status == 2 and output == ''
    assert errors.startswith('pidoc-simulate: ') and errors.count('\n') == 1
    assert re.search(message, errors)


def test_a_model_is_asked_for(tmp_path, capsys):
    assert main(['-o', str(tmp_path / 'x')]) == 2
    assert capsys.readouterr().err == (
        'pidoc-simulate: which model is to be simulated? Give a NAME, such as MW15-R1.6, or --table, or an '
        'option '
        'that describes one, such as --n-stars; received none\n')
    assert not (tmp_path / 'x').exists()


def test_debug_shows_where(tmp_path):
    with pytest.raises(ValueError, match='tidal radius'):
        main(['--half-mass-radius', '100', '--debug', '-o', str(tmp_path / 'x')])


def test_interrupted(tmp_path, capsys, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules['pidoc.simulation.run'], 'run', interrupt)
    assert main(['MW15', '-o', str(tmp_path)]) == 130
    assert 'interrupted; the same command continues' in capsys.readouterr().err


def test_a_dissolved_cluster(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('pidoc.simulation.evolve.DISSOLVED', 995)
    assert main([*SMALL, '-o', str(tmp_path)]) == 0
    output, errors = capsys.readouterr()
    assert 'The cluster dissolved at 0.00 Gyr.' in output or 'The cluster dissolved at 0.01 Gyr.' in output


def test_help_is_light_and_has_units():
    code = ('import sys\nfrom pidoc.scripts.pidoc_simulate import main\ntry:\n    main(["--help"])\n'
            'except SystemExit as stop:\n    assert stop.code == 0\n'
            'print([name for name in ("numba", "matplotlib", "scipy") if name in sys.modules])')
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True,
                            cwd=Path(pidoc.__file__).parents[1])
    *text, loaded = result.stdout.splitlines()
    assert loaded == '[]'
    text = ' '.join(' '.join(text).split())
    for words in ('initial half-mass radius [pc] (default: 3.2)', 'apogalacticon [kpc] (default: 15)',
                  'age at the end [Gyr]', 'of the logarithmic galaxy [km/s] (default: 220)'):
        assert words in text


def test_the_entry_point():
    result = subprocess.run([sys.executable, '-m', 'pidoc.scripts.pidoc_simulate', '--version'],
                            capture_output=True, text=True, check=True, cwd=Path(pidoc.__file__).parents[1])
    assert result.stdout == f'pidoc {pidoc.__version__}\n'


def test_defaults_in_the_help_are_those_of_a_model():
    model = ClusterModel()
    for option, field, _, default, _ in pidoc_simulate._OPTIONS:
        assert np.all(field_value(field, default.replace(',', ' ')) == getattr(model, field)), option
