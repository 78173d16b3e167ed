# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What all commands do alike: errors on one line, and the status they end with."""

import argparse
import logging
import math
import os
import re
import shlex
import sys

from pidoc import __version__

__all__ = ['BAD', 'HelpFormatter', 'INTERRUPTED', 'NO_POSITION', 'Parser', 'above_zero',
           'add_quiet_and_debug', 'quantity', 'run', 'sky_position']

BAD = 2
INTERRUPTED = 130
NO_POSITION = ('{} must be the RA and Dec of the cluster, like "250.42 36.46" (degrees) or '
               '"16h41m41s +36d27m35s", received {!r}')


class Parser(argparse.ArgumentParser):
    """A parser with ``--version``, that puts an error on one line."""

    def __init__(self, prog, *, description, epilog):
        super().__init__(prog=prog, description=description, epilog=epilog, formatter_class=HelpFormatter)
        self.add_argument('--version', action='version', version=f'pidoc {__version__}')

    def error(self, message):
        self.exit(BAD, f'{self.prog}: {" ".join(message.split())}\n')


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Long options beside their help, and the epilogue as it is written."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=30)


def add_quiet_and_debug(group, *, quiet='no progress bar, no summary'):
    """Add the last options of every command to a parser, or a group of one."""
    group.add_argument('--quiet', action='store_true', help=quiet)
    group.add_argument('--debug', action='store_true', help='show where an error came from')


def above_zero(text):
    """Converter of an argument that is a number of things: whole, at least 1.

    Parameters
    ----------
    text : str

    Returns
    -------
    int
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'must be a whole number, at least 1, received {text!r}')
    return int(text)


def quantity(unit):
    """Converter of an argument that is a number in a unit, or a number with a unit of its own.

    Parameters
    ----------
    unit : str or `~astropy.units.Unit`

    Returns
    -------
    callable
        For the ``type`` of an argument: text to `~astropy.units.Quantity`, finite.
    """
    def convert(text):
        # late: --help must not wait for it
        from astropy import units as u

        try:
            value = u.Quantity(text)
            value = value * u.Unit(unit) if value.unit == u.one else value.to(unit)
        except (TypeError, ValueError):
            raise argparse.ArgumentTypeError(f'must be a number [{unit}], received {text!r}') from None
        if not math.isfinite(value.value):
            raise argparse.ArgumentTypeError(f'must be finite, received {text!r}')
        return value
    return convert


def sky_position(text, *, option):
    """A position on the sky if a text is one, else None: it may be a name.

    Parameters
    ----------
    text : str
        Right ascension and declination: degrees, or hours and degrees with minutes and seconds.
    option : str
        What errors begin with.

    Returns
    -------
    `~astropy.coordinates.SkyCoord` or None

    Raises
    ------
    ValueError
        If it is numbers, or hours, that are no position.
    """
    from astropy.coordinates import SkyCoord

    parts = text.replace(',', ' ').split()
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    hours = len(parts) in (2, 6) and re.match(r'\d+[h:\s]\s*\d+', text)
    if not (numbers or hours):
        return None
    try:
        return SkyCoord(*numbers, unit='deg') if len(numbers) == 2 else SkyCoord(
            text, unit=('hourangle', 'deg'))
    except Exception:
        # astropy raises many kinds; what was wrong is always the text
        raise ValueError(NO_POSITION.format(option, text)) from None


def run(parser, work, args=None, *, interrupted):
    """Read the arguments of a command and do its work.

    Parameters
    ----------
    parser : `Parser`
        Its name begins every message.
    work : callable
        Gets the `argparse.Namespace` of the options, with the whole ``command``; returns the status, or None
        for 0. With ``options.debug`` errors are not caught.
    args : list of str, optional
        Arguments, without the name of the command; by default those of the process.
    interrupted : str
        What to say after Ctrl-C.

    Returns
    -------
    int
        The status of the work; `BAD` for an error, which is put on one line of the standard error;
        `INTERRUPTED`.
    """
    options = parser.parse_args(args)
    options.command = shlex.join([parser.prog, *(sys.argv[1:] if args is None else map(str, args))])
    logging.basicConfig(format=f'{parser.prog}: %(message)s')
    try:
        status = work(options) or 0
        # here and not when Python ends, where nobody could tell of it
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print(f'\n{parser.prog}: interrupted; {interrupted}', file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # who read the output, `head` perhaps, has seen enough
        _drop_output()
        return BAD
    except Exception as error:
        if options.debug:
            raise
        kind = '' if isinstance(error, (ValueError, TypeError, OSError)) else f'{type(error).__name__}: '
        print(f'{parser.prog}: {kind}{" ".join(str(error).split())}', file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        return BAD


def _drop_output():
    """Let Python not try again to write what cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
