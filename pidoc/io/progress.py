# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Progress bars on a terminal, and messages that do not break them."""

import logging

from tqdm import tqdm

__all__ = ['AboveBars', 'ProgressBar', 'say']

_ROOM = 2                  # columns on the right of a bar, for the ^C that a terminal shows at Ctrl-C
_NARROW = 60               # columns: with fewer there is no room for numbers and rate
_SHORT = '{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}'


class ProgressBar(tqdm):
    """A progress bar on the standard error, if that is a terminal.

    Parameters
    ----------
    total : float
    desc : str
        What it is the progress of.
    progress : bool
        Whether there may be a bar.
    **options
        As for ``tqdm.tqdm``.
    """

    def __init__(self, total, desc, *, progress, **options):
        # None: no output without a terminal; dynamic: the width of a terminal may change
        super().__init__(total=total, desc=desc, disable=None if progress else True, dynamic_ncols=True,
                         **options)

    @property
    def format_dict(self):
        """What the text of the bar is made of."""
        found = super().format_dict
        if found['ncols']:
            found['ncols'] = max(1, found['ncols'] - _ROOM)
            if found['ncols'] < _NARROW:
                found['bar_format'] = _SHORT
        return found


def say(text, file):
    """Print a line, above the progress bars of this process if there are any.

    Parameters
    ----------
    text : str
    file : file-like
        Standard output or standard error.
    """
    tqdm.write(text, file=file)


class AboveBars(logging.StreamHandler):
    """A handler that prints messages above progress bars."""

    def emit(self, record):
        """Print a message."""
        try:
            say(self.format(record), self.stream)
            self.flush()
        except Exception:
            self.handleError(record)
