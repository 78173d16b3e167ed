# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Files that appear whole or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path

__all__ = ['replacing']


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
    >>> from pidoc.files import replacing
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
