# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""`work`, many tasks in processes of this machine or on the workers of dask; and how processes behave."""

import math
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import traceback
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain, islice
from multiprocessing import connection

__all__ = ['WorkerKilled', 'WorkLost', 'begin_worker', 'end_with_parent', 'hushed', 'one_line',
           'scheduler_client', 'single_threaded_blas', 'threads_each', 'work']

_THREADS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'TF_NUM_INTRAOP_THREADS',
            'TF_NUM_INTEROP_THREADS')
_TERMINATED = 128 + signal.SIGTERM
_TICK = 0.5                # s
_PATIENCE = 10.0           # s that a process has to end by itself
_ROOM_EVERY = 5.0          # s: workers of dask come and go


class WorkLost(RuntimeError):
    """A task has neither a result nor an error of its own: the scheduler let it fall, say."""


class WorkerKilled(WorkLost):
    """The process that did a task has ended on the way; on dask several, one after the other."""


def work(function, tasks, *, jobs=1, scheduler=None, one_by_one=False, threads=1, tick=None):
    """Do many tasks, several at a time; each is handed out as soon as it is done.

    Parameters
    ----------
    function : callable
        At the top level of a module. What it takes and returns must be fit for `pickle`.
    tasks : iterable of tuple
        Of each the key, any object, and the tuple of the arguments. A task is drawn when a worker is free
        for it: the list may be longer than the memory.
    jobs : int, optional
        Processes of this machine, one task each at a time. With 0, the work is done in this process.
    scheduler : str, optional
        Address of a dask scheduler ('tcp://...'), whose workers then do the work: two tasks for each of
        their threads are on their way.
    one_by_one : bool, optional
        On dask, only one task is on its way. The scheduler else gives up not only a task that kills workers,
        but sometimes one that only waited on them.
    threads : int, optional
        With which each process computes, unless the user says otherwise.
    tick : callable, optional
        Called every half second or more often while processes or dask work.

    Yields
    ------
    key : object
    result : object
        None if there was an error.
    error : Exception or None
        What the function raised, with the lines where as a note; `WorkerKilled`; `WorkLost`. The other
        tasks go on.

    Raises
    ------
    ImportError
        If a scheduler is given and dask is not installed.
    OSError
        If no scheduler answers.
    KeyboardInterrupt
        Also if it is a process that was interrupted.

    Notes
    -----
    Close the generator, with `contextlib.closing` say, when it may be left early: no other task is begun,
    and processes on their way are ended, so that what they were writing is removed. They also end when this
    process is gone, however it went. They are started with the 'spawn' method, and stay for the next task;
    one that was killed is replaced.

    Examples
    --------
    >>> from pidoc.io.processes import work
    >>> for key, result, error in work(int, [('a', ('12',)), ('b', ('x',))], jobs=0):
    ...     print(key, result, error)
    a 12 None
    b None invalid literal for int() with base 10: 'x'
    """
    tasks = iter(tasks)
    if scheduler is not None:
        return _on_dask(function, tasks, scheduler, one_by_one, tick)
    return _in_processes(function, tasks, jobs, threads, tick) if jobs else _here(function, tasks)


def _here(function, tasks):
    for key, arguments in tasks:
        try:
            result, error = function(*arguments), None
        except Exception as caught:
            result, error = None, caught
        yield key, result, error


# -- processes of this machine --------------------------------------------------------------------


def _in_processes(function, tasks, jobs, threads, tick):
    first = list(islice(tasks, jobs))
    tasks = chain(first, tasks)
    idle, busy, done = [], {}, []
    try:
        # all are started before one is waited for
        for _ in first:
            idle.append(_Worker(threads))
        while True:
            for key, arguments in islice(tasks, len(idle)):
                worker = idle.pop()
                worker = worker if worker.is_alive() else _Worker(threads)
                busy[worker] = key
                worker.begin(function, arguments)
            yield from done
            if not busy:
                return
            done = []
            for worker in _ready(busy):
                done.append((busy[worker], *worker.answer()))
                idle.append(worker)
                del busy[worker]
            if tick:
                tick()
    finally:
        for worker in (*idle, *busy):
            worker.end(at_once=worker in busy)
        for worker in (*idle, *busy):
            worker.wait()


def _ready(workers):
    """Those that have an answer, or are gone."""
    found = set(connection.wait([end for worker in workers for end in worker.ends], timeout=_TICK))
    return [worker for worker in workers if not found.isdisjoint(worker.ends)]


class _Worker:
    """A process that does one task at a time."""

    def __init__(self, threads):
        context = multiprocessing.get_context('spawn')
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with threads_each(threads):
            self._process.start()
        theirs.close()
        self.ends = self._pipe, self._process.sentinel

    def is_alive(self):
        return self._process.is_alive()

    def begin(self, function, arguments):
        task = pickle.dumps((function, arguments))
        try:
            self._pipe.send_bytes(task)
        except OSError:
            # it was killed just now: there will be no answer
            pass

    def answer(self):
        """Result and error of its task."""
        try:
            # of a process that is gone there may be a last word
            answer = self._pipe.recv_bytes() if self._pipe.poll() else None
        except (EOFError, OSError):
            answer = None
        return pickle.loads(answer) if answer else (None, self._death())

    def _death(self):
        self._process.join()
        code = self._process.exitcode
        if code == -signal.SIGINT:
            raise KeyboardInterrupt
        if code == _TERMINATED:
            code = -signal.SIGTERM
        return WorkerKilled(f'the process was killed by signal {-code}' if code < 0 else
                            f'the process ended with code {code}')

    def end(self, at_once):
        if at_once:
            self._process.terminate()
        self._pipe.close()

    def wait(self):
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


def _serve(pipe):
    """Main function of a worker: tasks in, answers out, until there are no more."""
    begin_worker()
    # what is half-written is removed on the way out
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    while True:
        try:
            task = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        pipe.send_bytes(_answer(task))


def _answer(task):
    try:
        function, arguments = pickle.loads(task)
        return pickle.dumps((function(*arguments), None))
    except Exception as error:
        return pickle.dumps((None, _portable(error)))


def _portable(error):
    """The error, or one that says the same where it would not survive the way to another process."""
    lines = ''.join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(one_line(error))
    error.add_note(f'In another process:\n{lines}')
    return error


# -- workers of dask ------------------------------------------------------------------------------


def _on_dask(function, tasks, address, one_by_one, tick):
    done, running = threading.Event(), {}
    with scheduler_client(address) as client:
        room = _Room(client, one_by_one)
        while True:
            for key, arguments in islice(tasks, room.left(len(running))):
                future = client.submit(function, *arguments, pure=False)
                future.add_done_callback(lambda _: done.set())
                running[future] = key
            if not running:
                return
            done.wait(_TICK)
            done.clear()
            for future in [future for future in running if future.done()]:
                yield running.pop(future), *_outcome(future)
            if tick:
                tick()


class _Room:
    """How many tasks are on their way: two for each thread, so that none waits for the next."""

    def __init__(self, client, one_by_one):
        self._client = client
        self._asked, self._room = (math.inf, 1) if one_by_one else (-math.inf, 0)

    def left(self, taken):
        if time.monotonic() >= self._asked + _ROOM_EVERY:
            self._room = 2 * max(1, sum(self._client.nthreads().values()))
            self._asked = time.monotonic()
        return max(0, self._room - taken)


def _outcome(future):
    """Result and error of a task."""
    from concurrent.futures import CancelledError

    from distributed import KilledWorker

    try:
        return future.result(), None
    except CancelledError:
        return None, WorkLost(f'the dask scheduler says: {future.status}')
    except KilledWorker as error:
        return None, WorkerKilled(f'workers of dask were killed: {one_line(error)}')
    except Exception as error:
        return None, error


# -- how processes behave -------------------------------------------------------------------------


def begin_worker():
    """First thing that a worker process does: it ends at Ctrl-C, silently, and with its parent."""
    from tqdm import tqdm

    # the terminal's Ctrl-C reaches everybody: end at once, and let the parent do the talking
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # the semaphore of its progress bars would be left behind, and the parent warned of it
    tqdm.set_lock(threading.RLock())
    end_with_parent()


def end_with_parent():
    """End this process when the one that started it is gone, however it went."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


@contextmanager
def threads_each(number=1):
    """Processes that are started in the block compute with so many threads, unless the user says otherwise.

    Parameters
    ----------
    number : int, optional
    """
    names = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(names, str(number)))
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]


@contextmanager
def single_threaded_blas():
    """Linear algebra of numpy with one thread in the block; yields the number of threads that it had.

    The threads of BLAS wait for each other, in small products for longer than they work.
    """
    blas = _blas()
    threads = max((library.num_threads for library in blas.lib_controllers), default=1)
    with blas.limit(limits=1):
        yield threads


@lru_cache(maxsize=1)
def _blas():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api='blas')


def scheduler_client(address):
    """Client of a dask scheduler.

    Parameters
    ----------
    address : str
        Like 'tcp://10.0.0.1:8786'.

    Returns
    -------
    `distributed.Client`

    Raises
    ------
    ImportError
        If dask is not installed.
    OSError
        If nothing answers there.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ImportError("scheduler needs dask: pip install 'pidoc[all]'") from None
    return Client(address)


def one_line(error):
    """An error on one line; with its kind where the message alone would not explain it.

    Parameters
    ----------
    error : BaseException

    Returns
    -------
    str

    Examples
    --------
    >>> from pidoc.io.processes import one_line
    >>> one_line(ValueError('must be\\n positive')), one_line(KeyError('x'))
    ('must be positive', "KeyError: 'x'")
    """
    text = ' '.join(str(error).split())
    return text if isinstance(error, (ValueError, TypeError, OSError, WorkLost)) and text else \
        f'{type(error).__name__}: {text}'


@contextmanager
def hushed():
    """Keep what libraries write to the standard error, at the level of the system; show it after an error.

    TensorFlow logs the instruction set of the machine before its own log level can be set.
    """
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except Exception as error:
            said.seek(0)
            # an error of ours says all there is to say
            if not isinstance(error, (ValueError, OSError)):
                os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
