# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What all commands do alike: errors on one line, and the status they end with."""

import argparse
import logging
import math
import os
import sys

__all__ = ['BAD', 'INTERRUPTED', 'HelpFormatter', 'Parser', 'above_zero', 'quantity', 'run_command']

BAD = 2
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """A parser that tells of an error on one line."""

    def error(self, message):
        self.exit(BAD, f'{self.prog}: {" ".join(message.split())}\n')


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Long options beside their help, and the epilogue as it is written."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=30)


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


def run_command(parser, options, work, *, interrupted):
    """Do the work of a command.

    Parameters
    ----------
    parser : `Parser`
        Its name begins every message.
    options : `argparse.Namespace`
        What the work gets; with ``options.debug`` errors are not caught.
    work : callable
        Returns the status, or None for 0.
    interrupted : str
        What to say after Ctrl-C.

    Returns
    -------
    int
        The status of the work; `BAD` for an error, told on one line of the standard error; `INTERRUPTED`.
    """
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
