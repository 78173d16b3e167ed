# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Many runs: in processes and on dask, some of which fail or are killed."""

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from pidoc.simulation import many, read_log, run, run_many
from pidoc.tests.run_helpers import AGES, ALWAYS, contents, FEW_STEPS, hurry, MODEL, start
from pidoc.tests.terminal import Terminal

OTHER = MODEL.replace(name='other', galaxy=None, imf='equal', stellar_evolution=False)
MANY = [MODEL.replace(name='wide', half_mass_radius=30 * u.pc), MODEL, OTHER]


@pytest.fixture(autouse=True)
def quick(monkeypatch, whole):
    hurry(monkeypatch)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run that nothing happened to; not to be changed."""
    folder = tmp_path_factory.mktemp('runs') / 'whole'
    start(folder)
    return folder


def start_many(models, folder, **options):
    return run_many(models, folder,
                    **{'ages': AGES, 'numerics': FEW_STEPS, 'progress': False, **options})


def test_many_models(tmp_path, whole):
    """One that fails stops no other; what comes out is what `run` makes."""
    shutil.copytree(whole, tmp_path / 'other')
    summary = start_many(MANY, tmp_path)
    assert list(summary['name']) == ['wide', 'small', 'other']
    assert list(summary['state']) == ['failed', 'complete', 'failed']
    assert 'half_mass_radius must be smaller than the tidal radius' in summary['error'][0]
    assert 'other holds another run: name is \'small\' there' in summary['error'][2]
    assert summary['error'][1] == ''
    assert contents(tmp_path / 'small') == contents(whole)
    table = read_log(whole)
    for name in ('age', 'n_stars', 'total_mass', 'half_mass_radius', 'mass_to_light'):
        assert summary[name][1] == table[name][-1]
    stored = QTable.read(tmp_path / 'summary.ecsv')
    assert stored['total_mass'].unit == u.Msun and stored['total_mass'][1] == table['total_mass'][-1]
    assert np.isnan(stored['total_mass'][0])


def test_a_run_whose_log_is_not_seen(tmp_path):
    """As when the workers of a scheduler write to a disk of their own."""
    summary = many._summary([MODEL], tmp_path, {})
    assert list(summary['state']) == ['failed']
    assert 'its log cannot be read from here' in summary['error'][0]


@pytest.mark.slow
def test_jobs_do_not_matter(tmp_path):
    models = [OTHER.replace(name=f'm{k}', seed=k) for k in range(3)]
    for jobs in (1, 2):
        start_many(models, tmp_path / str(jobs), jobs=jobs)
    one, two = contents(tmp_path / '1'), contents(tmp_path / '2')
    assert one == two and len(one) == 1 + 3 * 8


def when_there(path, action):
    """Do something as soon as a file is there."""
    def wait():
        for _ in range(60_000):
            if path.exists():
                action()
                return
            time.sleep(0.001)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs a system that can kill')
def test_a_process_is_killed(tmp_path, whole):
    # it takes long enough to be killed on its way
    long = MODEL.replace(name='long', n_stars=4000)
    thread = when_there(tmp_path / 'long/snapshots/snapshot_00000.fits',
                        lambda: [child.kill() for child in multiprocessing.active_children()])
    summary = start_many([long], tmp_path, numerics=None)
    thread.join()
    assert list(summary['state']) == ['failed']
    assert summary['error'][0] == 'the process was killed by signal 9'
    summary = start_many([long], tmp_path, numerics=None)
    assert list(summary['state']) == ['complete']


@pytest.mark.parametrize('names, message', [
    ([], 'there must be at least one model, received none'),
    ([''], "needs a name of letters, digits .* received ''"),
    (['a/b'], "needs a name of letters, digits .* received 'a/b'"),
    (['..'], "needs a name of letters, digits .* received '..'"),
    (['a', 'A'], "names of models must be different, received 'A' twice")])
def test_names_of_many(tmp_path, names, message):
    with pytest.raises(ValueError, match=message):
        start_many([MODEL.replace(name=name) for name in names], tmp_path / 'new')
    assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('jobs', [0, 1.5])
def test_jobs_are_a_number(tmp_path, jobs):
    with pytest.raises(ValueError, match=f'jobs must be a whole number, at least 1, received {jobs}'):
        start_many([MODEL], tmp_path, jobs=jobs)


def test_without_dask(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'distributed', None)
    with pytest.raises(ImportError, match="scheduler needs dask: pip install 'pidoc.all.'"):
        start_many([MODEL], tmp_path, scheduler='tcp://127.0.0.1:1')


def test_a_bar_for_many(tmp_path, whole, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, 'stderr', terminal)
    shutil.copytree(whole, tmp_path / 'small')
    with many._ManyBar(tmp_path, [MODEL, OTHER], 4, True) as bar:
        bar.show()
        # it has failed, or dissolved
        bar.end('other')
    assert '2 models:  50%' in terminal.text and '4/8' in terminal.text
    assert '2 models: 100%' in terminal.lines()[0] and '4/4' in terminal.lines()[0]


@pytest.mark.slow
@pytest.mark.filterwarnings('default')
def test_dask(tmp_path, whole):
    """Two workers, one of which is killed on its way: the other goes on with what it left."""
    distributed = pytest.importorskip('distributed')
    long = MODEL.replace(name='long', n_stars=4000)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True,
                                  dashboard_address=None) as cluster:
        killed = []

        def kill_one():
            with distributed.Client(cluster) as client:
                for address, keys in client.processing().items():
                    if keys:
                        pid = client.run(os.getpid, workers=[address])[address]
                        os.kill(pid, signal.SIGKILL)
                        killed.append((tmp_path / 'long/snapshots/snapshot_00003.fits').exists())

        thread = when_there(tmp_path / 'long/snapshots/snapshot_00001.fits', kill_one)
        summary = start_many([long, MANY[0]], tmp_path, scheduler=cluster.scheduler_address,
                             numerics=None, checkpoint_interval=ALWAYS)
        thread.join()
    assert killed == [False]
    assert list(summary['state']) == ['complete', 'failed']
    assert 'must be smaller than the tidal radius' in summary['error'][1]
    run(long, tmp_path / 'unbroken', ages=AGES, progress=False)
    assert contents(tmp_path / 'unbroken') == contents(tmp_path / 'long')
