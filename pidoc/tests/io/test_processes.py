# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""How worker processes begin and end, and what they say."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from pidoc.io.processes import begin_worker, hushed, one_line, scheduler_client, threads_each


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
