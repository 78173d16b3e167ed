# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Tests of pidoc.training_set.stream: sets whose snapshots are not kept."""

import errno
import json
import multiprocessing
import re
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u

from pidoc.io import files as io_files
from pidoc.simulation import evolve
from pidoc.simulation.evolve import Simulation
from pidoc.simulation.run import run
from pidoc.tests.training_set.test_dataset import content, digests, NOISE, part
from pidoc.training_set import shards, stream
from pidoc.training_set.dataset import TrainingSet
from pidoc.training_set.files import Manifest, TrainingSetError
from pidoc.training_set.recipe import Recipe
from pidoc.training_set.sources import simulate

AGES = [0.0, 1.0, 4.0, 8.0]
ROWS = [{'name': name, 'n_stars': number, 'half_mass_radius': radius, 'seed': seed}
        for name, number, radius, seed in (('a', 305, 1.0, 1), ('b', 300, 3.0, 2), ('c', 309, 2.0, 3))]
PAIRS = part(name='pairs', splits={'train': 6, 'validation': 4}, draw='product', distance=[10, 20, 40],
             seeing=[0.5, 1.0])
del PAIRS['split'], PAIRS['number']
SMALL = {'sharp': True, 'shard': 3, 'field_of_view': 10.0, 'pixel_scale': 0.5}
#: With fewer bodies clusters have dissolved: a, b and c after two, one and three snapshots.
MANY = 300


def recipe(**changes):
    parts = [part(), PAIRS, part(name='noisy', number=5, choose='snapshot', conditions=NOISE),
             part(name='varied', number=4, light_jitter=0.0, stars_kept=[0.5, 1.0], size_factor=[0.9, 1.2]),
             part(name='last', simulations='c', split='test', number='all', distance=[10, 30], seeing=1.0,
                  light_jitter=0.0)]
    return Recipe(content(**{'maps': SMALL, 'part': parts, 'simulations': [
        {'group': 'all', 'rows': ROWS, 'ages': AGES}]} | changes))


def build(folder, *, jobs=1, **changes):
    return TrainingSet.build(recipe(**changes), folder, jobs=jobs, progress=False)


def build_twice(folder, **changes):
    """With runs in a folder first."""
    simulate(recipe(**changes), folder / 'runs', jobs=1, progress=False)
    return TrainingSet.build(recipe(**changes), folder / 'kept', simulations=folder / 'runs', jobs=1,
                             progress=False)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    return build(tmp_path_factory.mktemp('made') / 'set')


@pytest.fixture
def checkpoints(monkeypatch):
    """A checkpoint after each step."""
    monkeypatch.setattr(stream, '_CHECKPOINT_EVERY', 0.0)


def assert_same_maps(one, other):
    assert (one.folder / 'maps.fits').read_bytes() == (other.folder / 'maps.fits').read_bytes()
    for name in ('light', 'mass', 'sharp'):
        np.testing.assert_array_equal(getattr(one, name)(), getattr(other, name)())


def count_steps(monkeypatch):
    original, steps = Simulation._step, []

    def step(self, until):
        steps.append(self.model.name)
        return original(self, until)

    monkeypatch.setattr(Simulation, '_step', step)
    return steps


def stop_at(monkeypatch, owner, name, number, error=KeyboardInterrupt):
    """Let a function fail when it is called for this time, before it does anything."""
    original, calls = getattr(owner, name), []

    def fail(*args, **options):
        calls.append(name)
        if len(calls) == number:
            raise error
        return original(*args, **options)

    monkeypatch.setattr(owner, name, fail)
    return calls


# -- what is in a streamed set --------------------------------------------------------------------


def test_maps_are_those_of_snapshots_in_files(made, tmp_path):
    kept = build_twice(tmp_path)
    assert_same_maps(made, kept)
    # of the whole sequence of ages, though no map of this one is of most of them
    few = {'part': [part(number=2)]}
    once = build(tmp_path / 'few', **few)
    assert len(set(once.table['snapshot'])) < len(AGES)
    again = TrainingSet.build(recipe(**few), tmp_path / 'again', simulations=tmp_path / 'runs', jobs=1,
                              progress=False)
    assert_same_maps(once, again)


def test_a_file_has_maps_of_one_simulation(made):
    for shard in np.unique(made._shard):
        rows = made.table[made._shard == shard]
        assert len(set(rows['simulation'])) == 1
        assert len(rows) <= 3
    names = [entry['file'] for entry in made._files]
    assert [name for name in names if name.startswith('last')] == [
        f'last-test-0000000{k}.fits' for k in range(3)]
    assert {name[:15] for name in names if name.startswith('first')} == {'first-train-000'}
    assert 'first-train-00010000.fits' in names


def test_nothing_else_is_left(made):
    there = {path.name for path in made.folder.iterdir()}
    assert there == {'.lock', 'manifest.json', 'maps.fits', *(entry['file'] for entry in made._files)}
    assert TrainingSet.read(made.folder, check=True).table.colnames == made.table.colnames
    assert Manifest.read(made.folder).snapshots == {'a': 4, 'b': 4, 'c': 4}


def test_snapshots_that_no_map_is_of_are_not_taken(tmp_path, monkeypatch):
    taken = stop_at(monkeypatch, Simulation, 'snapshot', 0)
    made = build(tmp_path / 'set', part=[part(number=3)])
    assert len(taken) == len(set(zip(made.table['simulation'], made.table['snapshot'], strict=True)))


def test_a_complete_set_is_left_as_it_is(made, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in made.folder.glob('*.*s*')}
    steps = count_steps(monkeypatch)
    build(made.folder)
    assert steps == []
    assert before == {path: path.stat().st_mtime_ns for path in before}


# -- stopped and gone on with ---------------------------------------------------------------------


@pytest.mark.parametrize(('owner', 'name', 'number'), [
    (shards, 'observe_map', 17), (shards, 'write_hdus', 4), (shards, 'sha256_of', 5), (Simulation, 'save', 1),
    (io_files.os, 'replace', 12), (io_files.os, 'replace', 13), (stream._Stream, '_write_maps', 5),
    (stream.shutil, 'rmtree', 1), (Manifest, 'write', 2), (Manifest, 'write', 4), (Manifest, 'write', 5)])
def test_a_build_that_was_stopped_goes_on_to_the_same_bytes(made, tmp_path, monkeypatch, checkpoints, owner,
                                                            name, number):
    folder = tmp_path / 'set'
    with monkeypatch.context() as context:
        stop_at(context, owner, name, number)
        with pytest.raises(KeyboardInterrupt):
            build(folder)
        with pytest.raises(TrainingSetError, match='is not complete: '):
            TrainingSet.read(folder)
    build(folder)
    assert digests(folder) == digests(made.folder)


def test_a_simulation_goes_on_from_its_checkpoint(made, tmp_path, monkeypatch, checkpoints, caplog):
    caplog.set_level('INFO', logger='pidoc.training_set.stream')
    with monkeypatch.context() as context:
        whole = count_steps(context)
        stop_at(context, Simulation, 'snapshot', 4)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / 'set')
    assert set(whole) == {'c'}
    unfinished = tmp_path / 'set' / 'unfinished'
    assert [path.name for path in unfinished.iterdir()] == ['c']
    # what a killed process leaves
    (unfinished / 'c' / '.12.maps.npz').write_bytes(b'half')
    steps = count_steps(monkeypatch)
    build(tmp_path / 'set')
    assert 'c continues from 8.0 Myr' in caplog.text
    assert 'c' not in steps
    assert digests(tmp_path / 'set') == digests(made.folder)


def test_finished_simulations_are_not_run_again(made, tmp_path, monkeypatch):
    with monkeypatch.context() as context:
        stop_at(context, stream, 'stream_simulation', 3)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / 'set')
    with pytest.raises(TrainingSetError, match=r'is not complete: \d+ of \d+ files are there'):
        TrainingSet.read(tmp_path / 'set')
    steps = count_steps(monkeypatch)
    build(tmp_path / 'set')
    assert set(steps) == {'b'}
    assert digests(tmp_path / 'set') == digests(made.folder)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(('harm', 'message'), [
    (lambda folder: cut(folder / 'checkpoint.npz'), 'checkpoint.npz is not a complete checkpoint'),
    (lambda folder: cut(folder / 'maps.npz'), 'maps.npz is damaged or missing: '),
    (lambda folder: (folder / 'maps.npz').unlink(), 'maps.npz is damaged or missing: .*No such file'),
    (lambda folder: shutil.copy(folder / 'first.npz', folder / 'maps.npz'),
     r'maps.npz must hold the first \d maps of last-test-00000000.fits, .*received 0'),
    (lambda folder: Simulation(recipe().models['a'][0]).save(folder / 'checkpoint.npz'),
     'checkpoint.npz belongs to another simulation'),
    (lambda folder: cut(folder.parents[1] / 'last-test-00000000.fits'), 'last-test-00000000.fits must have'),
    (lambda folder: (folder.parents[1] / 'last-test-00000000.fits').unlink(), '00000000.fits is missing')])
def test_unfinished_files_that_are_damaged(made, tmp_path, monkeypatch, checkpoints, caplog, harm, message):
    work = tmp_path / 'set' / 'unfinished' / 'c'
    with monkeypatch.context() as context:
        original = stream._Stream._write_maps

        def write(self):
            original(self)
            if not (work / 'first.npz').exists():
                # before the first map
                self.open, kept = {}, self.open
                original(self)
                shutil.copy(work / 'maps.npz', work / 'first.npz')
                self.open = kept
                original(self)

        context.setattr(stream._Stream, '_write_maps', write)
        stop_at(context, Simulation, 'snapshot', 4)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / 'set')
    harm(work)
    build(tmp_path / 'set')
    assert 'the simulation c starts again from the beginning' in caplog.text
    assert any(re.search(message, line) for line in caplog.messages)
    assert digests(tmp_path / 'set') == digests(made.folder)


def test_a_file_that_is_gone_is_made_again(made, tmp_path, monkeypatch, caplog):
    folder = tmp_path / 'set'
    shutil.copytree(made.folder, folder)
    (folder / 'first-train-00010000.fits').unlink()
    steps = count_steps(monkeypatch)
    build(folder)
    assert 'first-train-00010000.fits is missing; it is made again' in caplog.text
    assert set(steps) == {'b'}
    assert digests(folder) == digests(made.folder)


@pytest.mark.parametrize('what', ['shards', 'checkpoint', 'maps', 'folder'])
def test_a_full_disk(made, tmp_path, monkeypatch, checkpoints, what):
    owner, name = {'shards': (shards, 'write_hdus'), 'checkpoint': (Simulation, 'save'),
                   'maps': (stream.np, 'savez'), 'folder': (Path, 'mkdir')}[what]
    with monkeypatch.context() as context:
        stop_at(context, owner, name, 2, OSError(errno.ENOSPC, 'No space left on device'))
        with pytest.raises(OSError, match='not be written: .*No space left.*is started again') as caught:
            build(tmp_path / 'set')
    assert caught.value.errno == errno.ENOSPC
    assert not list((tmp_path / 'set').rglob('.*.fits')) + list((tmp_path / 'set').rglob('.*.npz'))
    build(tmp_path / 'set')
    assert digests(tmp_path / 'set') == digests(made.folder)


@pytest.mark.slow
def test_processes_make_the_same_bytes(made, tmp_path):
    build(tmp_path / 'set', jobs=2)
    assert digests(tmp_path / 'set') == digests(made.folder)


@pytest.mark.slow
def test_a_killed_worker_is_told_and_made_good(tmp_path):
    changes = {'part': [part(simulations='all', number=300)]}

    def kill():
        while not list(tmp_path.glob('set/*-*.fits')):
            time.sleep(0.01)
        multiprocessing.active_children()[0].kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(TrainingSetError, match='1 of 3 simulations failed: .: the process was killed by '
                                               'signal 9; complete files are kept'):
        build(tmp_path / 'set', jobs=2, **changes)
    thread.join()
    build(tmp_path / 'set', **changes)
    build(tmp_path / 'other', **changes)
    assert digests(tmp_path / 'set') == digests(tmp_path / 'other')


@pytest.mark.slow
def test_dask_makes_the_same_bytes(made, tmp_path):
    distributed = pytest.importorskip('distributed')
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False,
                                  dashboard_address=None) as cluster:
        TrainingSet.build(recipe(), tmp_path / 'set', progress=False, scheduler=cluster.scheduler_address)
    assert digests(tmp_path / 'set') == digests(made.folder)


def test_progress_is_that_of_the_files(made, tmp_path, monkeypatch):
    class Bar:
        disable, shown = False, []

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def refresh(self):
            self.shown.append((self.n, self.total))

    monkeypatch.setattr(stream.StreamedBuild, '_bar', lambda self, tasks, done: Bar())
    build(tmp_path / 'set')
    assert Bar.shown[0][0] < Bar.shown[-1][0] == Bar.shown[-1][1] == len(made)
    assert Bar.shown == sorted(Bar.shown)


# -- clusters that dissolve -----------------------------------------------------------------------


@pytest.fixture
def dissolving(monkeypatch):
    monkeypatch.setattr(evolve, 'DISSOLVED', MANY)


@pytest.fixture(scope='module')
def kept(tmp_path_factory):
    """The set of clusters that dissolve, from runs in a folder."""
    folder = tmp_path_factory.mktemp('kept')
    with pytest.MonkeyPatch.context() as context:
        context.setattr(evolve, 'DISSOLVED', MANY)
        for model, ages in recipe().models.values():
            run(model, folder / 'runs' / model.name, ages=ages * u.Myr, progress=False)
    return TrainingSet.build(recipe(), folder / 'set', simulations=folder / 'runs', jobs=1, progress=False)


def test_maps_of_clusters_that_dissolve(kept, dissolving, tmp_path, monkeypatch, caplog):
    steps = count_steps(monkeypatch)
    made = build(tmp_path / 'set')
    counts = Manifest.read(tmp_path / 'set').snapshots
    assert counts == {'a': 2, 'b': 1, 'c': 3}
    assert 'the cluster dissolved at' in caplog.text
    assert_same_maps(made, kept)
    assert {path.name for path in made.folder.iterdir()} == {
        '.lock', 'manifest.json', 'maps.fits', *(entry['file'] for entry in made._files)}
    # and no more once that is known
    steps.clear()
    (made.folder / 'maps.fits').unlink()
    assert_same_maps(build(made.folder), kept)
    assert steps == []


@pytest.mark.parametrize(('owner', 'name', 'number'), [
    (Manifest, 'write', 3), (Manifest, 'write', 6), (shards, 'write_hdus', 12),
    (stream.StreamedBuild, '_drawn', 2), (stream.StreamedBuild, '_clear', 1), (Simulation, 'save', 15)])
def test_such_a_build_that_was_stopped(kept, dissolving, tmp_path, monkeypatch, checkpoints, owner, name,
                                       number):
    with monkeypatch.context() as context:
        stop_at(context, owner, name, number)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / 'set')
    made = build(tmp_path / 'set')
    assert_same_maps(made, kept)
    build(tmp_path / 'whole')
    assert digests(tmp_path / 'set') == digests(tmp_path / 'whole')


def test_a_cluster_without_a_snapshot(tmp_path, monkeypatch):
    late = {'simulations': [{'group': 'all', 'rows': ROWS[:1], 'ages': [5, 6]}],
            'part': [part(simulations='a')]}
    monkeypatch.setattr(evolve, 'DISSOLVED', 1000)
    for _ in range(2):
        with pytest.raises(TrainingSetError, match='the cluster a dissolves before the first age .* 5 Myr'):
            build(tmp_path / 'set', **late)


# -- what cannot be -------------------------------------------------------------------------------


def test_one_that_fails_stops_no_other(tmp_path):
    rows = [*ROWS[:2], {'name': 'wide', 'n_stars': 900, 'half_mass_radius': 80.0}]
    changes = {'simulations': [{'group': 'all', 'rows': rows, 'ages': AGES}],
               'part': [part(simulations='all')]}
    with pytest.raises(TrainingSetError, match='1 of 3 simulations failed: wide: half_mass_radius must be '
                                               'smaller .*; complete files are kept'):
        build(tmp_path / 'set', **changes)
    assert Manifest.read(tmp_path / 'set').snapshots == {'a': 4, 'b': 4}


def test_simulations_in_files_need_their_folder(tmp_path):
    foreign = {'foreign': [{'name': 'theirs', 'files': '*.dat'}],
               'part': [part(), part(name='last', simulations='theirs', split='test', number=1)]}
    with pytest.raises(TrainingSetError, match='takes simulations from files, theirs: the folder of'):
        build(tmp_path / 'set', **foreign)
    with pytest.raises(ValueError, match="'run7' fits none of"):
        build(tmp_path / 'set', part=[part(simulations='run7')])
    assert not (tmp_path / 'set').exists()


def test_other_sets_are_refused(made, tmp_path):
    with pytest.raises(TrainingSetError, match='holds the set of another recipe: seed differ'):
        build(made.folder, seed=8)
    kept = build_twice(tmp_path)
    with pytest.raises(TrainingSetError, match='a set that was begun from a folder of simulations: go on in'):
        build(kept.folder)
    with pytest.raises(TrainingSetError, match='a set that was begun without a folder of simulations: go on'):
        TrainingSet.build(recipe(), made.folder, simulations=tmp_path / 'runs')


def test_another_physics_is_refused(made, monkeypatch):
    monkeypatch.setattr(stream, 'PHYSICS', 0)
    with pytest.raises(TrainingSetError, match='was made of other simulations: a, b, c changed since'):
        build(made.folder)


@pytest.mark.parametrize('snapshots', [[1], {'a': 1.5}, {'a': -1}])
def test_damaged_numbers_of_snapshots(made, tmp_path, snapshots):
    content = json.loads((made.folder / 'manifest.json').read_text(encoding='utf-8'))
    (tmp_path / 'manifest.json').write_text(json.dumps(content | {'snapshots': snapshots}), encoding='utf-8')
    with pytest.raises(TrainingSetError, match='manifest.json is damaged, or no manifest of a training'):
        TrainingSet.read(tmp_path)
