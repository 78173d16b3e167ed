# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Files that appear whole or not at all, and folders that one process uses at a time."""

import logging
import os
from contextlib import contextmanager
from pathlib import Path

__all__ = ['check_free', 'locked', 'replacing']

log = logging.getLogger(__name__)


@contextmanager
def replacing(path):
    """Write a file under another name, which it changes when the block ends well.

    Parameters
    ----------
    path : path-like
        A file of this name is replaced.

    Yields
    ------
    `~pathlib.Path`
        Where to write: in the same folder, so that the last step is one rename, and with the same ending. If
        an exception ends the block, what was written is removed.

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
    """Refuse to replace files that were not to be replaced.

    Parameters
    ----------
    *paths : path-like
    overwrite : bool
        Whether they may be.

    Raises
    ------
    OSError
        If one of them exists and ``overwrite`` is False.
    """
    taken = [path for path in paths if Path(path).exists()]
    if taken and not overwrite:
        raise OSError(f'{taken[0]} exists: say overwrite=True to replace it')


@contextmanager
def locked(folder, in_use):
    """Keep other processes out of a folder; the lock goes with the process, however it ends.

    Parameters
    ----------
    folder : path-like
        Its file ``.lock``, which stays, is locked.
    in_use : Exception
        What to raise if another has locked it.

    Notes
    -----
    Where the system or the disk knows no locks, that is logged and the block goes on.

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
