# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""`work` runs many tasks in local processes or on the workers of dask; and settings of processes."""

import logging
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
from logging.handlers import QueueHandler
from multiprocessing import connection

__all__ = ['WorkerKilled', 'WorkLost', 'begin_worker', 'end_with_parent', 'hushed', 'one_line',
           'scheduler_client', 'single_threaded_blas', 'threads_each', 'work']

_THREADS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'TF_NUM_INTRAOP_THREADS',
            'TF_NUM_INTEROP_THREADS')
_TERMINATED = 128 + signal.SIGTERM
_TICK = 0.5                # s
_PATIENCE = 10.0           # s, before a process that does not end is killed
_ROOM_EVERY = 5.0          # s between updates of the number of dask workers


class WorkLost(RuntimeError):
    """A task has neither a result nor an error of its own, for example because the scheduler dropped it."""


class WorkerKilled(WorkLost):
    """The process of a task was killed; on dask several, one after the other."""


def work(function, tasks, *, jobs=1, scheduler=None, threads=1, tick=None):
    """Run many tasks in parallel; each result is yielded as soon as it is complete.

    Parameters
    ----------
    function : callable
        Function at the top level of a module. Arguments and results must support `pickle`.
    tasks : iterable of tuple
        Key, any object, and tuple of the arguments of each task. Tasks are drawn when a worker is free: the
        list may be longer than the memory.
    jobs : int, optional
        Number of local processes, with one task each at a time. With 0, tasks run in this process.
    scheduler : str, optional
        Address of a dask scheduler ('tcp://...'), whose workers are used instead: two tasks are submitted for
        each of their threads. A task with which workers died is tried again when no other one runs, since
        dask also blames those that were waiting for the same worker.
    threads : int, optional
        Threads of each process, unless the user sets another number.
    tick : callable, optional
        Called at least every half second while processes or dask work.

    Yields
    ------
    key : object
    result : object
        None if there was an error.
    error : Exception or None
        Exception of the function, with its traceback as a note; `WorkerKilled`; `WorkLost`. Other tasks
        continue.

    Raises
    ------
    ImportError
        If a scheduler is given and dask is not installed.
    OSError
        If no scheduler answers.
    KeyboardInterrupt
        Also if a worker process was interrupted.

    Notes
    -----
    Close the generator, for example with `contextlib.closing`, if it may be left early: then no further task
    is started, and running processes are ended, so that unfinished files are removed. They also end when this
    process ends for any reason. They are started with the 'spawn' method, and kept for further tasks; a
    killed one is replaced. What they log is logged in this process.

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
        return _on_dask(function, tasks, scheduler, tick)
    return _in_processes(function, tasks, jobs, threads, tick) if jobs else _here(function, tasks)


def _here(function, tasks):
    for key, arguments in tasks:
        try:
            result, error = function(*arguments), None
        except Exception as caught:
            result, error = None, caught
        yield key, result, error


# -- local processes ------------------------------------------------------------------------------


def _in_processes(function, tasks, jobs, threads, tick):
    first = list(islice(tasks, jobs))
    tasks = chain(first, tasks)
    idle, busy, done = [], {}, []
    try:
        # start all before waiting for the first
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
                answer = worker.answer()
                if answer is not None:
                    done.append((busy.pop(worker), *answer))
                    idle.append(worker)
            if tick:
                tick()
    finally:
        for worker in (*idle, *busy):
            worker.end(at_once=worker in busy)
        for worker in (*idle, *busy):
            worker.wait()


def _ready(workers):
    """Workers that have an answer or a message, or have died."""
    found = set(connection.wait([end for worker in workers for end in worker.ends], timeout=_TICK))
    return [worker for worker in workers if not found.isdisjoint(worker.ends)]


class _Worker:
    """A process that runs one task at a time."""

    def __init__(self, threads):
        context = multiprocessing.get_context('spawn')
        self._pipe, theirs = context.Pipe()
        level = logging.getLogger('pidoc').getEffectiveLevel()
        self._process = context.Process(target=_serve, args=(theirs, level), daemon=True)
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
            # it was killed just now, and will not answer
            pass

    def answer(self):
        """Result and error of the task; None if it has only logged something."""
        dead = not self.is_alive()
        try:
            # a dead process may have sent an answer before
            while self._pipe.poll():
                answer = pickle.loads(self._pipe.recv_bytes())
                if not isinstance(answer, logging.LogRecord):
                    return answer
                logging.getLogger(answer.name).handle(answer)
        except (EOFError, OSError):
            dead = True
        return (None, self._death()) if dead else None

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


class _Log(QueueHandler):
    """Sends what is logged through the pipe to the parent."""

    def enqueue(self, record):
        self.queue.send_bytes(pickle.dumps(record))


def _serve(pipe, level):
    """Main function of a worker: receives tasks and sends answers until the pipe is closed.

    Parameters
    ----------
    pipe : `multiprocessing.connection.Connection`
    level : int
        Level of the messages that are sent to the parent.
    """
    begin_worker()
    # without a format, which the parent has
    log = _Log(pipe)
    logging.root.addHandler(log)
    logging.root.setLevel(level)
    # unfinished files are removed on exit
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    while True:
        try:
            task = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        answer = _answer(task)
        # no message of another thread inside of it
        with log.lock:
            pipe.send_bytes(answer)


def _answer(task):
    try:
        function, arguments = pickle.loads(task)
        return pickle.dumps((function(*arguments), None))
    except Exception as error:
        return pickle.dumps((None, _portable(error)))


def _portable(error):
    """The error, or an equivalent one if it cannot be pickled."""
    lines = ''.join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(one_line(error))
    error.add_note(f'In another process:\n{lines}')
    return error


# -- workers of dask ------------------------------------------------------------------------------


def _on_dask(function, tasks, address, tick):
    done, running, suspects = threading.Event(), {}, []
    with scheduler_client(address) as client:
        room = _Room(client)

        def submit(task, *, alone=False):
            future = client.submit(function, *task[1], pure=False)
            future.add_done_callback(lambda _: done.set())
            running[future] = task, alone

        while True:
            for task in islice(tasks, room.left(len(running))):
                submit(task)
            if not running and suspects:
                submit(suspects.pop(), alone=True)
            if not running:
                return
            done.wait(_TICK)
            done.clear()
            for future in [future for future in running if future.done()]:
                task, alone = running.pop(future)
                result, error = _outcome(future)
                if isinstance(error, WorkerKilled) and not alone:
                    suspects.append(task)
                else:
                    yield task[0], result, error
            if tick:
                tick()


class _Room:
    """Number of submitted tasks: two for each thread, so that no thread waits."""

    def __init__(self, client):
        self._client = client
        self._asked, self._room = -math.inf, 0

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


# -- settings of processes ------------------------------------------------------------------------


def begin_worker():
    """Initialise a worker process: it ends silently at Ctrl-C, and with its parent."""
    from tqdm import tqdm

    # Ctrl-C reaches all processes of the terminal: end at once, and leave messages to the parent
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # the semaphore of progress bars would leak, with a warning in the parent
    tqdm.set_lock(threading.RLock())
    end_with_parent()


def end_with_parent():
    """End this process when its parent ends for any reason."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


@contextmanager
def threads_each(number=1):
    """Set the number of threads of processes started in the block, unless the user has set it.

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
    """Use one thread for the linear algebra of numpy in the block; yields the previous number of threads.

    For small products, threads of BLAS wait for each other longer than they work.
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
        Address, such as 'tcp://10.0.0.1:8786'.

    Returns
    -------
    `distributed.Client`

    Raises
    ------
    ImportError
        If dask is not installed.
    OSError
        If there is no answer.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ImportError("scheduler needs dask: pip install 'pidoc[all]'") from None
    return Client(address)


def one_line(error):
    """An error on one line, with its type if the message alone would not explain it.

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
    """Capture the standard error of libraries, at system level; show it after an error.

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
            # messages of pidoc's own errors are sufficient
            if not isinstance(error, (ValueError, OSError)):
                os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
