# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Atomic writing of files, and locking of folders."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from pathlib import Path

__all__ = ['check_free', 'example', 'locked', 'replacing']

log = logging.getLogger(__name__)


def example() -> Path:
    """The image that comes with pidoc: a mock observation of a cluster of 12 Gyr at 20 kpc.

    Returns
    -------
    `~pathlib.Path`
        Of a FITS file, on which no packaged model was trained. `pidoc.mock.Mock.read` reads it with the true
        mass, age and distance.

    Examples
    --------
    >>> import pidoc
    >>> pidoc.example().name
    'example.fits'
    """
    return Path(__file__).parents[1] / 'data' / 'example.fits'


@contextmanager
def replacing(path):
    """Write a file under a temporary name, and rename it when the block ends without an error.

    Parameters
    ----------
    path : path-like
        Path of the file, which is replaced if it exists.

    Yields
    ------
    `~pathlib.Path`
        Path to write to: in the same folder, so that the last step is a rename, and with the same ending. If
        an exception ends the block, the file is removed.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from pidoc.io.files import replacing
    >>> with TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / 'a.txt') as temporary:
    ...         _ = temporary.write_text('whole')
    ...     print([path.name for path in Path(folder).iterdir()])
    ['a.txt']
    """
    path = Path(path)
    temporary = path.with_name(f'.{os.getpid()}.{path.name}')
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_free(*paths, overwrite):
    """Raise an error if files exist that must not be replaced.

    Parameters
    ----------
    *paths : path-like
    overwrite : bool
        Whether they may be replaced.

    Raises
    ------
    OSError
        If one of them exists and ``overwrite`` is False.
    """
    taken = [path for path in paths if Path(path).exists()]
    if taken and not overwrite:
        raise OSError(f'{taken[0]} exists: give overwrite=True to replace it')


@contextmanager
def locked(folder, in_use):
    """Lock a folder against other processes; the lock ends with the process in any case.

    Parameters
    ----------
    folder : path-like
        The file ``.lock`` in it is locked, and not removed.
    in_use : Exception
        Raised if another process has locked it.

    Notes
    -----
    If the system or the disk does not support locks, this is logged and the block is run.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from pidoc.io.files import locked
    >>> with TemporaryDirectory() as folder:
    ...     with locked(folder, RuntimeError('somebody else writes here')):
    ...         print('alone')
    alone
    """
    with open(Path(folder) / '.lock', 'a', encoding='utf-8') as stream:
        try:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise in_use from None
        except (ImportError, OSError) as error:
            log.info('%s cannot be locked here (%s): let only one process write to it', folder, error)
        yield
