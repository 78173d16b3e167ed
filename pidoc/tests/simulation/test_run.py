# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Run folders: what is in them, and that nothing which happens to a run changes what it ends with."""

import dataclasses
import errno
import itertools
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable, Table

import pidoc
from pidoc import ClusterModel, Snapshot
from pidoc.io.files import locked
from pidoc.simulation import evolve, Numerics, Simulation
from pidoc.simulation import run as run_exported
from pidoc.simulation.evolve import ESCAPE_REASONS
from pidoc.simulation.ledger import ENERGY_CHANNELS, MASS_CHANNELS
from pidoc.tests.run_helpers import AGES, ALWAYS, contents, FEW_STEPS, hurry, MODEL, start
from pidoc.tests.terminal import Terminal

# the function of this name hides the module
module = sys.modules['pidoc.simulation.run']
RunFolderError, read_log, run = module.RunFolderError, module.read_log, module.run

@pytest.fixture(autouse=True)
def quick(monkeypatch, whole):
    hurry(monkeypatch)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run that nothing happened to; not to be changed."""
    folder = tmp_path_factory.mktemp('runs') / 'whole'
    start(folder)
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / 'copy'))


class Stop(Exception):
    """What stops a run in these tests."""


def stop_after(monkeypatch, owner, name, calls, *, error=Stop):
    """Let a function raise when it was called that often."""
    original, count = getattr(owner, name), [0]

    def stopping(*args, **kwargs):
        count[0] += 1
        if count[0] > calls:
            raise error
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, stopping)


def start_and_stop(folder, owner, name, calls):
    """A run, with a checkpoint after every step, until a function was called that often."""
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, owner, name, calls)
        with pytest.raises(Stop):
            start(folder, checkpoint_interval=ALWAYS)


# -- what is in a folder --------------------------------------------------------------------------


def test_the_files(whole):
    assert list(contents(whole)) == [
        'escapers.fits', 'log.fits', 'model.fits', 'quicklook.png',
        *(f'snapshots/snapshot_{k:05d}.fits' for k in range(4))]
    assert (whole / 'quicklook.png').read_bytes().startswith(b'\x89PNG')


def test_the_functions_are_exported():
    assert run_exported is run


def test_snapshots_are_those_of_the_simulation(whole):
    simulation = Simulation(MODEL, numerics=FEW_STEPS)
    for k, age in enumerate(AGES.value):
        simulation.advance_to(age)
        expected = simulation.snapshot()
        snapshot = Snapshot.read(whole / f'snapshots/snapshot_{k:05d}.fits')
        assert snapshot.model == MODEL
        assert snapshot.age == expected.age
        for name in ('id', 'radius', 'v_r', 'mass'):
            np.testing.assert_allclose(snapshot.stars[name], expected.stars[name], rtol=1e-6)


def test_the_log_against_the_snapshots(whole):
    table = read_log(whole)
    assert table.meta['STATE'] == 'complete' and table.meta['ENDAGE'] == 0.02
    assert ClusterModel.from_header(table.meta) == MODEL
    assert table['age'].unit == u.Gyr
    np.testing.assert_allclose(table['age'].to_value(u.Myr), AGES.value)
    for k, row in enumerate(table):
        snapshot = Snapshot.read(whole / f'snapshots/snapshot_{k:05d}.fits')
        assert row['n_stars'] == snapshot.n_stars == row['n_bodies'] + row['n_binaries']
        for name in ('total_mass', 'half_mass_radius', 'core_radius', 'half_light_radius', 'v_luminosity',
                     'mass_to_light'):
            assert row[name].unit == getattr(snapshot, name).unit
            assert row[name].value == pytest.approx(getattr(snapshot, name).value, rel=1e-5)
        for name, share in (('r_01', 0.01), ('r_10', 0.1), ('r_90', 0.9)):
            assert row[name].value == pytest.approx(snapshot.lagrangian_radii(share).value, rel=1e-5)
        kind = snapshot.stars['kind']
        assert row['n_neutron_stars'] == np.sum(kind == 13)
        assert row['n_black_holes'] == np.sum(kind == 14)
        assert row['n_white_dwarfs'] == np.sum((kind >= 10) & (kind < 13))


def test_the_log_against_the_simulation(whole):
    simulation = Simulation(MODEL, numerics=FEW_STEPS)
    simulation.advance_to(5.0)
    simulation.advance_to(10.0)
    row = read_log(whole)[2]
    assert row['tidal_radius'] == simulation.tidal_radius * u.pc
    assert row['relaxation_time'] == simulation.relaxation_time * u.Myr
    assert row['virial_ratio'] == simulation.virial_ratio
    assert row['energy_error'] == simulation.energy_error
    assert row['steps'] == simulation.steps
    channel = simulation.ledger.energy['binaries'] + simulation.ledger.energy['stellar_evolution']
    assert (row['energy_binaries'] + row['energy_stellar_evolution']).to_value(
        u.Msun * u.km ** 2 / u.s ** 2) == pytest.approx(channel * simulation.units.energy)


def test_the_books_in_the_log_close(whole):
    table = read_log(whole)
    lost = sum(table[f'mass_lost_{channel}'] for channel in MASS_CHANNELS)
    np.testing.assert_allclose((table['total_mass'] + lost).value, table['total_mass'][0].value, rtol=1e-6)
    gained = sum(table[f'energy_{channel}'] for channel in ENERGY_CHANNELS)
    np.testing.assert_allclose((table['energy'] - gained).value, table['energy'][0].value, rtol=1e-6)
    assert table['mass_lost_stellar_evolution'][-1] > 1 * u.Msun


def test_escapers_in_the_log(whole):
    """Numbers and masses, counted from the table of escapers, are those that the ledger booked."""
    table, escapers = read_log(whole), QTable.read(whole / 'escapers.fits')
    assert escapers['mass'].unit == u.Msun and escapers['age'].unit == u.Myr
    assert table['n_lost_kick'][-1] > 0
    number = sum(table[f'n_lost_{reason}'] for reason in ESCAPE_REASONS)
    assert number[-1] == len(escapers) > 10
    assert list(table['n_stars'] + number) == [300] * 4
    for reason in ESCAPE_REASONS:
        mass = escapers['mass'][escapers['reason'] == reason].to_value(u.Msun)
        total = np.concatenate([[0.0], np.cumsum(mass)])[table[f'n_lost_{reason}']]
        np.testing.assert_allclose(total, table[f'mass_lost_{reason}'].to_value(u.Msun), rtol=1e-6,
                                   atol=1e-9)


def test_others_can_read_the_log(whole):
    table = Table.read(whole / 'log.fits')
    assert table['half_mass_radius'].unit == u.pc and table['age'].unit == u.Gyr
    with fits.open(whole / 'log.fits') as hdus:
        assert hdus['LOG'].header.comments['TTYPE1'] == 'age of the cluster'
        assert 'DATE' not in hdus['LOG'].header


def test_an_isolated_cluster_without_stellar_evolution(tmp_path):
    model = ClusterModel(n_stars=200, galaxy=None, imf='equal', stellar_evolution=False)
    table = run(model, tmp_path, ages=[1, 3] * u.Myr, progress=False, dtype='float64')
    assert np.all(np.isinf(table['tidal_radius']))
    assert fits.getdata(tmp_path / 'snapshots/snapshot_00000.fits', 1).dtype['mass'] == '>f8'
    start(tmp_path, model, ages=[1, 3] * u.Myr, dtype='float64', numerics=None)


@pytest.mark.parametrize('change, error, message', [
    ({'model': 'MW15'}, TypeError, "model must be a ClusterModel, received 'MW15'"),
    ({'ages': [5, 4] * u.Myr}, ValueError, 'ages must increase'),
    ({'dtype': 'int32'}, ValueError, 'dtype must be float32 or float64, received int32'),
    ({'checkpoint_interval': 30}, TypeError, 'checkpoint_interval must be an astropy Quantity in s'),
    ({'checkpoint_interval': -1 * u.s}, ValueError, 'checkpoint_interval must not be negative')])
def test_arguments(tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        start(tmp_path / 'new', **change)
    assert not (tmp_path / 'new').exists()


def test_numerics_have_a_card_each(whole):
    assert module._Record.read(whole / 'model.fits').numerics == FEW_STEPS
    odd = Numerics(theta_max=1 / 3, relaxation_step=np.float64(1e-7 / 3), escape='energy', encounters=4,
                   compensated=False, angular_momentum='scaled')
    record = module._Record(MODEL, odd, np.array([0.1 + 0.2]), 'float64')
    path = whole.parent / 'odd.fits'
    record.write(path)
    again = module._Record.read(path)
    assert (again.model, again.numerics, list(again.ages), again.dtype) == (
        MODEL, odd, [0.1 + 0.2], 'float64')


def test_a_record_of_before_numerics_could_be_compensated(copy):
    with fits.open(copy / 'model.fits', mode='update', checksum=True) as hdus:
        del hdus[1].header['COMPENS'], hdus[1].header['ANGMOM']
    numerics = module._Record.read(copy / 'model.fits').numerics
    assert numerics == dataclasses.replace(FEW_STEPS, compensated=False)


@pytest.mark.parametrize(('gamma', 'expected'), [(None, 0.02), ('0.0125', 0.0125)])
def test_a_record_of_before_models_had_a_coulomb_logarithm(copy, gamma, expected):
    with fits.open(copy / 'model.fits', mode='update', checksum=True) as hdus:
        del hdus[1].header['COULFAC']
        hdus[1].header['COULGAM'] = (gamma, 'gamma of ln(gamma N), none: default')
    record = module._Record.read(copy / 'model.fits')
    assert record.model == MODEL.replace(coulomb_gamma=expected)
    assert record.numerics == FEW_STEPS
    with pytest.raises(RunFolderError, match=f'coulomb_gamma is {expected} there, None here'):
        record.check_same(dataclasses.replace(record, model=MODEL), copy)


# -- interruptions --------------------------------------------------------------------------------


@pytest.mark.parametrize('interval', [ALWAYS, 1 * u.h], ids=['checkpoints', 'no checkpoints'])
@pytest.mark.parametrize('share', [0.0, 0.4, 0.99])
def test_stopped_at_a_step(whole, tmp_path, monkeypatch, share, interval):
    steps = max(1, int(share * read_log(whole)['steps'][-1]))
    with monkeypatch.context() as patch:
        stop_after(patch, module._Bar, 'show', steps)
        with pytest.raises(Stop):
            start(tmp_path, checkpoint_interval=interval)
    assert read_state(tmp_path) in ('running', None)
    assert (tmp_path / 'checkpoint.npz').exists() == (interval == ALWAYS)
    table = start(tmp_path)
    assert table.meta['STATE'] == 'complete'
    assert contents(tmp_path) == contents(whole)


def read_state(folder):
    try:
        return read_log(folder).meta['STATE']
    except FileNotFoundError:
        return None


@pytest.mark.parametrize('owner, name', [
    (Simulation, 'save'), (Simulation, 'snapshot'), (module, 'write_hdus'), (os, 'replace')])
@pytest.mark.parametrize('calls', [0, 2])
def test_stopped_between_files(whole, tmp_path, monkeypatch, owner, name, calls):
    stopped = 0
    for again in range(3):
        with monkeypatch.context() as patch:
            stop_after(patch, owner, name, calls + again)
            try:
                start(tmp_path, checkpoint_interval=ALWAYS)
            except Stop:
                stopped += 1
    assert stopped
    start(tmp_path)
    assert contents(tmp_path) == contents(whole)


def test_a_resumed_run_takes_no_step_twice(tmp_path, monkeypatch):
    steps = []
    step = Simulation._step
    monkeypatch.setattr(Simulation, '_step', lambda self, age: (step(self, age), steps.append(self.steps)))
    start_and_stop(tmp_path, Simulation, 'save', 5)
    # the sixth was not saved
    assert steps.pop() == 6
    start(tmp_path)
    assert steps == list(range(1, steps[-1] + 1)) and len(steps) > 6


SCRIPT = """
from astropy import units as u
from pidoc import ClusterModel
from pidoc.simulation.evolve import Numerics
from pidoc.simulation.run import run
run(ClusterModel(name='small', n_stars=300, half_mass_radius=1 * u.pc, seed=3), {folder!r},
    ages=[0, 5, 10, 20] * u.Myr, checkpoint_interval=0 * u.s, progress=False,
    numerics=Numerics(relaxation_step=0.1, mass_loss_step=0.04))
"""


@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs a system that can kill')
def test_killed(whole, tmp_path):
    folder = tmp_path / 'killed'
    child = subprocess.Popen([sys.executable, '-c', SCRIPT.format(folder=str(folder))],
                             cwd=Path(pidoc.__file__).parents[1])
    wanted = folder / 'snapshots/snapshot_00001.fits'
    while child.poll() is None and not wanted.exists():
        time.sleep(0.001)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert read_state(folder) == 'running'
    start(folder)
    assert contents(folder) == contents(whole)


def test_leftovers_of_a_killed_run_go_and_other_files_stay(copy, whole):
    for name in ('.123.log.fits', '.77.checkpoint.npz', 'snapshots/.5.snapshot_00001.fits'):
        (copy / name).write_text('half')
    for name in ('notes.txt', '.12.notes.txt', 'snapshots/notes.txt'):
        (copy / name).write_text('mine')
    start(copy)
    mine = {'notes.txt', '.12.notes.txt', 'snapshots/notes.txt'}
    assert set(contents(copy)) == set(contents(whole)) | mine


def test_a_complete_run_is_left_alone(copy):
    before = {path: path.stat().st_mtime_ns for path in copy.rglob('*') if path.is_file()}
    table = start(copy)
    assert table.meta['STATE'] == 'complete'
    assert {path: path.stat().st_mtime_ns for path in before} == {
        **before, copy / '.lock': (copy / '.lock').stat().st_mtime_ns}


def test_a_lost_picture_is_drawn_again(copy, whole):
    (copy / 'quicklook.png').unlink()
    start(copy)
    assert contents(copy) == contents(whole)


# -- damage ---------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def stopped_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'stopped'
    start_and_stop(folder, Simulation, 'snapshot', 2)
    return folder


@pytest.fixture
def stopped(stopped_once, tmp_path):
    """A run with a checkpoint and two snapshots."""
    return Path(shutil.copytree(stopped_once, tmp_path / 'stopped'))


def cut(path):
    path.write_bytes(path.read_bytes()[:3000])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize('name, damage, message', [
    ('checkpoint.npz', flip, 'checkpoint.npz is not a complete checkpoint'),
    ('log.fits', cut, 'log.fits is damaged'),
    ('log.fits', Path.unlink, 'log.fits, which a checkpoint needs, is missing'),
    ('snapshots/snapshot_00000.fits', Path.unlink, 'must hold 2 snapshots .* some are missing'),
    ('snapshots/snapshot_00001.fits', cut, 'must hold 2 snapshots .* some are missing')])
def test_damage_to_a_stopped_run(stopped, whole, caplog, name, damage, message):
    damage(stopped / name)
    with caplog.at_level(logging.WARNING):
        start(stopped)
    assert contents(stopped) == contents(whole)
    assert any('starts again from the beginning' in text for text in caplog.messages)
    caplog_matches(caplog, message)


def caplog_matches(caplog, message):
    assert re.search(message, ' '.join(caplog.messages))


def test_a_checkpoint_of_another_physics(stopped, whole, caplog, monkeypatch):
    written = evolve.PHYSICS
    monkeypatch.setattr(evolve, 'PHYSICS', 99)
    start(stopped)
    message = f'version 99 of the physics, .* received version {written}: .*the run starts again'
    caplog_matches(caplog, message)
    # from the beginning: nothing else differs here
    assert contents(stopped) == contents(whole)


def test_a_checkpoint_of_another_run(stopped, whole, caplog):
    Simulation(MODEL.replace(seed=4)).save(stopped / 'checkpoint.npz')
    start(stopped)
    assert contents(stopped) == contents(whole)
    caplog_matches(caplog, 'checkpoint.npz belongs to another run; the run starts again')


@pytest.mark.parametrize('name, damage, message', [
    ('log.fits', cut, 'log.fits is damaged or cut short: .*; the run starts again'),
    ('snapshots/snapshot_00003.fits', Path.unlink, 'snapshots are missing; the run starts again')])
def test_damage_to_a_complete_run(copy, whole, caplog, name, damage, message):
    damage(copy / name)
    start(copy)
    assert contents(copy) == contents(whole)
    caplog_matches(caplog, message)


def test_a_log_of_something_else(copy):
    table = fits.BinTableHDU(Table({'age': [1.0]}), name='LOG')
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(copy / 'log.fits', overwrite=True)
    with pytest.raises(RunFolderError, match="log.fits is damaged or cut short: 'n_stars'"):
        read_log(copy)


def test_a_damaged_record(copy):
    cut(copy / 'model.fits')
    with pytest.raises(RunFolderError, match='model.fits is damaged or cut short'):
        start(copy)


@pytest.mark.parametrize('keyword, value, message', [
    ('RUNFMT', 2, 'its format must be version 1, the one this pidoc knows, received 2'),
    ('NSTARS', 5, 'model.fits is not a valid record of a run: n_stars must be'),
    ('THETAMAX', 'wide', 'model.fits is not a valid record of a run: could not convert')])
def test_a_record_that_is_none(copy, keyword, value, message):
    with fits.open(copy / 'model.fits', mode='update', checksum=True) as hdus:
        hdus[1].header[keyword] = value
    with pytest.raises(RunFolderError, match=message):
        start(copy)


def test_a_full_disk(whole, tmp_path, monkeypatch):
    """The disk is full for every file in turn; what is complete stays, and the run goes on from there."""
    full = OSError(errno.ENOSPC, 'No space left on device')
    complete = {}
    for calls in itertools.count(1):
        with monkeypatch.context() as patch:
            stop_after(patch, fits.HDUList, 'writeto', calls, error=full)
            failure = None
            try:
                start(tmp_path, checkpoint_interval=ALWAYS)
            except OSError as error:
                failure = error
        if failure is None:
            break
        assert failure.errno == errno.ENOSPC
        assert re.search('could not be written at .* No space left .* continues when', str(failure))
        now = contents(tmp_path)
        assert not any(module._LEFTOVER.fullmatch(name.removeprefix('snapshots/')) for name in now)
        snapshots = {name: data for name, data in now.items() if name.startswith('snapshots')}
        assert complete.items() <= snapshots.items()
        complete = snapshots
    assert calls > 5 and len(complete) > 1
    assert contents(tmp_path) == contents(whole)


# -- whose folder ---------------------------------------------------------------------------------


@pytest.mark.parametrize('change, message', [
    ({'model': MODEL.replace(seed=4)}, 'seed is 3 there, 4 here'),
    ({'model': MODEL.replace(n_stars=400, galaxy=None)},
     'n_stars is 300 there, 400 here; galaxy is \'miholics2014\' there, None here; '
     'galactocentric_distance is 15.0 kpc there, None here'),
    ({'model': MODEL.replace(mass_limits=[0.1, 60] * u.Msun)},
     r'mass_limits is \[ 0.1 50. \] solMass there, \[ 0.1 60. \] solMass here'),
    ({'numerics': Numerics(relaxation_step=0.1)}, 'mass_loss_step is 0.04 there, 0.01 here'),
    ({'numerics': None}, 'relaxation_step is 0.1 there, 0.01 here; mass_loss_step'),
    ({'ages': [0, 5, 11, 20] * u.Myr}, r'ages\[2\] is 10.0 Myr there, 11.0 Myr here'),
    ({'ages': [0, 5] * u.Myr}, 'ages are 4 there, 2 here'),
    ({'dtype': 'float64'}, 'dtype is float32 there, float64 here')])
def test_another_run_is_refused(copy, whole, change, message):
    with pytest.raises(RunFolderError, match=f'copy holds another run: {message}.* overwrite=True'):
        start(copy, **change)
    assert contents(copy) == contents(whole)


def test_overwrite(tmp_path, whole):
    start(tmp_path, MODEL.replace(seed=4), ages=[0, 1, 2, 3, 4, 5] * u.Myr)
    start(tmp_path, overwrite=True)
    assert contents(tmp_path) == contents(whole)


def test_overwrite_starts_again(copy, monkeypatch):
    stop_after(monkeypatch, module._Bar, 'show', 0)
    with pytest.raises(Stop):
        start(copy, overwrite=True)
    assert list(contents(copy)) == ['model.fits', 'snapshots/snapshot_00000.fits']


def test_a_folder_with_something_else(tmp_path):
    (tmp_path / 'thesis.tex').write_text('precious')
    for overwrite in (False, True):
        with pytest.raises(RunFolderError, match='must be empty or hold a run, received one with thesis.tex'):
            start(tmp_path, overwrite=overwrite)
    assert os.listdir(tmp_path) == ['thesis.tex']


def test_one_run_at_a_time(copy):
    pytest.importorskip('fcntl')
    match = 'copy is being used by another run'
    with locked(copy, OSError('free')), pytest.raises(RunFolderError, match=match):
        start(copy)
    start(copy)


def test_another_version(stopped, copy, monkeypatch):
    monkeypatch.setattr(module, '__version__', '99.0')
    with pytest.raises(RunFolderError, match=f'begun by pidoc {pidoc.__version__}, which 99.0 cannot'):
        start(stopped)
    # what is complete is as good as ever
    assert start(copy).meta['PIDOCVER'] == pidoc.__version__


def test_a_cluster_that_does_not_fit_leaves_no_record(tmp_path):
    with pytest.raises(ValueError, match='half_mass_radius must be smaller than the tidal radius'):
        start(tmp_path, MODEL.replace(half_mass_radius=30 * u.pc))
    assert contents(tmp_path) == {}


def test_there_is_no_log(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_log(tmp_path)


# -- dissolution and progress ---------------------------------------------------------------------

def test_dissolution(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(evolve, 'DISSOLVED', 290)
    table = start(tmp_path / 'a')
    caplog_matches(caplog, 'the cluster dissolved at')
    assert table.meta['STATE'] == 'dissolved'
    assert 1 <= len(table) < 4
    assert table['age'][-1] <= table.meta['ENDAGE'] * u.Gyr < 0.02 * u.Gyr
    assert (tmp_path / 'a/quicklook.png').exists()
    assert len(os.listdir(tmp_path / 'a/snapshots')) == len(table)
    # that is an end too
    before = contents(tmp_path / 'a')
    caplog.clear()
    start(tmp_path / 'a')
    assert contents(tmp_path / 'a') == before and not caplog.messages
    # gone before the first snapshot
    table = start(tmp_path / 'b', ages=[19, 20] * u.Myr)
    assert len(table) == 0 and table.meta['STATE'] == 'dissolved'
    assert not (tmp_path / 'b/quicklook.png').exists()


def test_a_dissolving_run_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(evolve, 'DISSOLVED', 285)
    start(tmp_path / 'whole')
    for name in ('snapshot', 'save'):
        start_and_stop(tmp_path / 'a', Simulation, name, 1)
    start(tmp_path / 'a')
    assert contents(tmp_path / 'a') == contents(tmp_path / 'whole')


def test_the_bar_on_a_terminal(tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, 'stderr', terminal)
    monkeypatch.setattr(module, '_compiled', lambda: False)
    start(tmp_path, progress=True)
    assert 'compiling (first run only)' in terminal.text
    assert 'small' in terminal.text and '/0.02 Gyr [' in terminal.text and ' stars]' in terminal.text
    assert '100%' in terminal.text


@pytest.mark.parametrize('progress', [True, False])
def test_silent_without_a_terminal(tmp_path, capfd, progress):
    start(tmp_path, progress=progress)
    assert capfd.readouterr() == ('', '')


def test_it_is_known_whether_all_is_compiled(whole, monkeypatch, tmp_path):
    assert module._compiled()

    class Kernel:
        signatures = ()
        stats = type('Stats', (), {'cache_path': str(tmp_path)})

    monkeypatch.setattr(module.kernels, 'advance', Kernel)
    assert not module._compiled()
    (tmp_path / 'kernels.advance-804.py311.nbi').write_text('')
    assert module._compiled()
