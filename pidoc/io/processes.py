# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What work in many processes has in common: how they begin and end, their threads, what they say."""

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from contextlib import contextmanager

__all__ = ['begin_worker', 'end_with_parent', 'hushed', 'one_line', 'scheduler_client', 'threads_each']

_THREADS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'TF_NUM_INTRAOP_THREADS',
            'TF_NUM_INTEROP_THREADS')


def begin_worker():
    """First thing that a worker process does: it ends at Ctrl-C, silently, and with its parent."""
    # the terminal's Ctrl-C reaches everybody: end at once, and let the parent do the talking
    signal.signal(signal.SIGINT, signal.SIG_DFL)
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
    """An error on one line; the kind is told where the message alone would be a riddle.

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
    return text if isinstance(error, (ValueError, TypeError, OSError)) and text else \
        f'{type(error).__name__}: {text}'


@contextmanager
def hushed():
    """Keep what libraries write to the standard error, at the level of the system; show it after an error.

    TensorFlow tells of the machine's instructions before it can be asked not to.
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
