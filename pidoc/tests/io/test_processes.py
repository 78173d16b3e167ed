# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Many tasks in processes and on dask; how worker processes begin and end, and what they say."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

import pidoc
from pidoc.io import processes
from pidoc.io.files import replacing
from pidoc.io.processes import (
    begin_worker,
    hushed,
    one_line,
    scheduler_client,
    single_threaded_blas,
    threads_each,
    work,
    WorkerKilled,
    WorkLost,
)

log = logging.getLogger(__name__)


def test_threads_of_those_that_are_started(monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setenv('MKL_NUM_THREADS', '7')
    with threads_each(3):
        assert os.environ['OMP_NUM_THREADS'] == os.environ['TF_NUM_INTRAOP_THREADS'] == '3'
        # what the user has said
        assert os.environ['MKL_NUM_THREADS'] == '7'
    assert 'OMP_NUM_THREADS' not in os.environ and os.environ['MKL_NUM_THREADS'] == '7'


def test_threads_are_set_back_after_an_error(monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    with pytest.raises(RuntimeError, match='no'), threads_each():
        raise RuntimeError('no')
    assert 'OMP_NUM_THREADS' not in os.environ


PARENT = """
import multiprocessing, os, time
from pidoc.io.processes import end_with_parent

def child(path):
    end_with_parent()
    with open(path, 'w') as stream:
        stream.write(str(os.getpid()))
    time.sleep(60)

if __name__ == '__main__':
    process = multiprocessing.get_context('spawn').Process(target=child, args=({path!r},))
    process.start()
    process.join()
"""


@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs a system that can kill')
def test_a_child_ends_with_its_parent_that_was_killed(tmp_path):
    script, pid = tmp_path / 'parent.py', tmp_path / 'pid'
    script.write_text(PARENT.format(path=str(pid)))
    parent = subprocess.Popen([sys.executable, script])
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child = int(pid.read_text())
    os.kill(child, 0)
    parent.kill()
    parent.wait()
    while alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # one that nobody has waited for is a zombie
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii') as stream:
            return stream.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def interrupted():
    begin_worker()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)


@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs a system with signals')
def test_a_worker_ends_silently_when_interrupted(capfd):
    process = multiprocessing.get_context('spawn').Process(target=interrupted)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGINT
    assert 'Traceback' not in capfd.readouterr().err


@pytest.mark.parametrize('error, text', [
    (ValueError('must be\n positive'), 'must be positive'), (OSError(28, 'No space'), '[Errno 28] No space'),
    (KeyError('x'), "KeyError: 'x'"), (ValueError(), 'ValueError: ')])
def test_one_line(error, text):
    assert one_line(error) == text


# -- many tasks -----------------------------------------------------------------------------------


needs_kill = pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs a system that can kill')


class Peculiar(Exception):
    """An error that does not survive the way to another process."""

    def __init__(self, one, two):
        super().__init__(f'{one} and {two}')


def act(what, *more):
    if what == 'fail':
        raise ValueError('no good')
    if what == 'peculiar':
        raise Peculiar('one', 'two')
    if what == 'unfit':
        return lambda: None
    if what == 'kill':
        os.kill(os.getpid(), more[0])
        time.sleep(60)
    if what == 'exit':
        os._exit(3)
    if what == 'write':
        with replacing(more[0]) as temporary:
            temporary.write_text('half')
            time.sleep(60)
    if what == 'slow':
        time.sleep(more[0])
    if what == 'warn':
        log.warning('beware of %s', more[0])
        log.debug('nobody asked for this')
    if what == 'threads':
        return os.environ['OMP_NUM_THREADS']
    return os.getpid()


def acted(*whats, **options):
    """Of each key: what came back, and the error."""
    tasks = ((k, what if isinstance(what, tuple) else (what,)) for k, what in enumerate(whats))
    with closing(work(act, tasks, **options)) as done:
        found = {key: (result, error) for key, result, error in done}
    assert not multiprocessing.active_children()
    return [found[k] for k in range(len(whats))]


@pytest.mark.parametrize('jobs', [0, 2])
def test_an_error_stops_no_other(jobs):
    good, bad, other = acted('pid', 'fail', 'pid', jobs=jobs)
    assert good[1] is other[1] is bad[0] is None
    assert (good[0] == os.getpid()) == (jobs == 0)
    assert isinstance(bad[1], ValueError) and str(bad[1]) == 'no good'
    if jobs:
        # where it was raised
        assert "raise ValueError('no good')" in bad[1].__notes__[0]


def test_what_processes_log_is_logged_here(caplog):
    (pid, error), (_, failed) = acted(('warn', 'this'), 'fail', jobs=1)
    assert error is None and pid != os.getpid() and str(failed) == 'no good'
    assert [record.getMessage() for record in caplog.records] == ['beware of this']
    assert (caplog.records[0].name, caplog.records[0].levelname) == (__name__, 'WARNING')


def test_processes_stay_for_the_next_task():
    assert len({result for result, _ in acted(*['pid'] * 6, jobs=2)}) <= 2


def test_what_cannot_be_sent_from_a_process():
    peculiar, unfit, good = acted('peculiar', 'unfit', 'pid', jobs=1)
    assert isinstance(peculiar[1], RuntimeError) and str(peculiar[1]) == 'Peculiar: one and two'
    assert 'lambda' in str(unfit[1])
    assert good[1] is None


def test_what_cannot_be_sent_to_a_process():
    # Python 3.13 names the object only
    with pytest.raises(Exception, match='(?i)pickle|local object'):
        acted(('pid', lambda: None), jobs=1)
    assert not multiprocessing.active_children()


@needs_kill
def test_a_process_that_is_killed_takes_one_task_with_it():
    killed, ended, left, *good = acted(('kill', signal.SIGKILL), ('kill', signal.SIGTERM), 'exit',
                                       *['pid'] * 3, jobs=2)
    for (result, error), message in ((killed, 'by signal 9'), (ended, 'the process was killed by signal 15'),
                                     (left, 'the process ended with code 3')):
        assert result is None and isinstance(error, WorkerKilled) and message in str(error)
    assert one_line(killed[1]) == 'the process was killed by signal 9'
    assert all(error is None for _, error in good)


@needs_kill
def test_a_process_that_is_killed_between_two_tasks_is_replaced():
    with closing(work(act, [(k, ('pid',)) for k in range(4)], jobs=1)) as done:
        pids = []
        for _, pid, error in done:
            assert error is None
            pids.append(pid)
            # it has done the next task by now
            time.sleep(0.3)
            if len(pids) == 2:
                os.kill(pid, signal.SIGKILL)
                time.sleep(0.3)
    assert pids[0] == pids[1] == pids[2] != pids[3]


@needs_kill
def test_a_worker_that_is_gone():
    worker = processes._Worker(1)
    worker._process.kill()
    worker._process.join()
    assert not worker.is_alive()
    # or only just
    worker.begin(act, ('pid',))
    assert 'killed by signal 9' in str(worker.answer()[1])
    worker.end(at_once=True)
    worker.wait()


@needs_kill
def test_a_process_that_is_interrupted_interrupts():
    with pytest.raises(KeyboardInterrupt):
        acted(('kill', signal.SIGINT), ('slow', 60), jobs=2)
    assert not multiprocessing.active_children()


BARS = """
import os, signal, sys, time
from contextlib import closing
from pidoc.io.processes import work

def bar(path):
    from tqdm import tqdm
    with tqdm(total=2, file=sys.stdout) as shown:
        shown.update(1)
        open(path, 'w').close()
        time.sleep(60)

if __name__ == '__main__':
    tasks = [(k, (f'ready-{k}',)) for k in range(2)]
    def both():
        if all(os.path.exists(f'ready-{k}') for k in range(2)):
            os.killpg(os.getpid(), signal.SIGINT)
    try:
        with closing(work(bar, tasks, jobs=2, tick=both)) as done:
            list(done)
    except KeyboardInterrupt:
        print('interrupted')
"""


@needs_kill
def test_progress_bars_of_interrupted_workers_leave_no_semaphores(tmp_path):
    (tmp_path / 'bars.py').write_text(BARS)
    where = {**os.environ, 'PYTHONPATH': str(Path(pidoc.__file__).parents[1])}
    result = subprocess.run([sys.executable, 'bars.py'], cwd=tmp_path, env=where, capture_output=True,
                            text=True,
                            start_new_session=True, timeout=300)
    assert 'interrupted' in result.stdout and 'semaphore' not in result.stderr, result.stderr


@needs_kill
def test_a_process_that_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr(processes, '_PATIENCE', 0.2)
    worker = processes._Worker(1)
    worker.begin(act, ('slow', 60))
    os.kill(worker._process.pid, signal.SIGSTOP)
    worker.end(at_once=True)
    worker.wait()
    assert not multiprocessing.active_children()


def test_who_leaves_early_leaves_nothing(tmp_path):
    """No further task is begun, and half of a file is removed."""
    drawn = []

    def tasks():
        for k, arguments in enumerate([('pid',), ('write', tmp_path / 'a.txt'), *[('pid',)] * 5]):
            drawn.append(k)
            yield k, arguments

    with closing(work(act, tasks(), jobs=2)) as done:
        for _ in done:
            while not list(tmp_path.iterdir()):
                time.sleep(0.01)
            break
    assert not multiprocessing.active_children() and not list(tmp_path.iterdir())
    assert len(drawn) <= 3


def test_tasks_are_drawn_when_there_is_room():
    drawn, ended = [], []

    def tasks():
        for k in range(8):
            drawn.append(k)
            assert len(drawn) - len(ended) <= 2 + 2
            yield k, ('pid',)

    for key, _, _ in work(act, tasks(), jobs=2):
        ended.append(key)
    assert sorted(ended) == drawn == list(range(8))


def test_threads_and_ticks(monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    ticks = []
    found = acted('threads', ('slow', 1.2), jobs=2, threads=3, tick=lambda: ticks.append(1))
    assert found[0][0] == '3' and len(ticks) >= 3
    assert 'OMP_NUM_THREADS' not in os.environ


INTERRUPTED = """
import signal
from pidoc.io.processes import work
from pidoc.tests.io.test_processes import act

if __name__ == '__main__':
    # a shell's background jobs ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for _, pid, _ in work(act, [(k, ('pid',) if k < 2 else ('slow', 60)) for k in range(4)], jobs=2):
        print(pid, flush=True)
"""


@needs_kill
@pytest.mark.parametrize('all_of_them', [True, False])
def test_nothing_is_left_behind_by_ctrl_c(tmp_path, all_of_them):
    """Which reaches all processes of a terminal, or only the one that it is sent to."""
    script = tmp_path / 'parent.py'
    script.write_text(INTERRUPTED)
    where = str(Path(pidoc.__file__).parents[1])
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, env={**os.environ, 'PYTHONPATH': where}, start_new_session=True)
    pids = [int(parent.stdout.readline()) for _ in range(2)]
    (os.killpg if all_of_them else os.kill)(parent.pid, signal.SIGINT)
    _, said = parent.communicate(timeout=60)
    assert said.count('Traceback') == 1 and 'KeyboardInterrupt' in said
    assert not any(alive(pid) for pid in pids)


# -- on dask --------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def cluster():
    distributed = pytest.importorskip('distributed')
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True,
                                  dashboard_address=None) as cluster:
        yield cluster


@needs_kill
@pytest.mark.slow
@pytest.mark.filterwarnings('default')
def test_on_dask(cluster):
    bad, killed, *good = acted_on_dask('fail', ('kill', signal.SIGKILL), *['pid'] * 6, cluster=cluster)
    assert isinstance(bad[1], ValueError) and str(bad[1]) == 'no good'
    assert isinstance(killed[1], WorkerKilled) and 'workers of dask were killed: Killed' in str(killed[1])
    assert all(error is None and pid != os.getpid() for pid, error in good)


def acted_on_dask(*whats, cluster):
    ticks = []
    tasks = ((k, what if isinstance(what, tuple) else (what,)) for k, what in enumerate(whats))
    found = {key: (result, error) for key, result, error in
             work(act, tasks, scheduler=cluster.scheduler_address, tick=lambda: ticks.append(1))}
    assert ticks
    return [found[k] for k in range(len(whats))]


@pytest.mark.slow
@pytest.mark.filterwarnings('default')
def test_what_a_scheduler_lets_fall(cluster):
    """A task that somebody cancels is lost; and no more are drawn than there is room for."""
    from distributed import Client, Future

    drawn = []

    def tasks():
        for k in range(20):
            drawn.append(k)
            yield k, ('slow', 0.5)

    outcomes = []

    def cancel(client):
        while not client.processing() or not sum(map(len, client.processing().values())):
            time.sleep(0.05)
        assert len(drawn) <= 4
        keys = [key for keys in client.processing().values() for key in keys]
        client.cancel([Future(key, client=client) for key in keys], force=True)

    with Client(cluster) as client:
        thread = threading.Thread(target=cancel, args=(client,))
        thread.start()
        for _, _, error in work(act, tasks(), scheduler=cluster.scheduler_address):
            outcomes.append(error)
        thread.join()
    lost = [error for error in outcomes if error is not None]
    assert len(outcomes) == 20 and lost
    assert all(isinstance(error, WorkLost) and not isinstance(error, WorkerKilled) for error in lost)
    assert 'the dask scheduler says: cancelled' in str(lost[0])


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, 'distributed', None)
    with pytest.raises(ImportError, match="scheduler needs dask: pip install 'pidoc.all.'"):
        scheduler_client('tcp://127.0.0.1:1')


def test_libraries_are_kept_quiet(capfd):
    with hushed():
        subprocess.run([sys.executable, '-c', 'import sys; sys.stderr.write("oneDNN is on")'], check=True)
    assert capfd.readouterr() == ('', '')
    # but not when they fail
    with pytest.raises(ImportError, match='no keras'):
        fail_to_load()
    assert capfd.readouterr().err == 'cannot open x.so'


def fail_to_load():
    with hushed():
        subprocess.run([sys.executable, '-c', 'import sys; sys.stderr.write("cannot open x.so")'], check=True)
        raise ImportError('no keras')


def test_blas_has_one_thread_in_the_block_and_its_own_after_it():
    from threadpoolctl import threadpool_info, threadpool_limits

    def threads():
        return {each['filepath']: each['num_threads'] for each in threadpool_info()
                if each['user_api'] == 'blas'}

    with threadpool_limits(2, user_api='blas'):
        before = threads()
        with single_threaded_blas() as number:
            assert set(threads().values()) == {1}
        assert threads() == before and number == max(before.values())
