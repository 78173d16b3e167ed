# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Common parts of all commands: errors on one line, and exit status."""

import argparse
import difflib
import logging
import math
import os
import re
import shlex
import signal
import sys
import threading
from contextlib import contextmanager

from pidoc import __version__

__all__ = ['BAD', 'HelpFormatter', 'INTERRUPTED', 'NO_POSITION', 'Parser', 'TERMINATED', 'above_zero',
           'add_quiet_and_debug', 'angle_or_auto', 'distance_error_of', 'distance_of', 'is_fits_name',
           'quantity', 'run', 'sky_position', 'spelled']

BAD = 2
INTERRUPTED = 130
TERMINATED = 128 + signal.SIGTERM
_FITS_ENDINGS = tuple(f'.{name}{packed}' for name in ('fits', 'fit', 'fts') for packed in ('', '.gz'))
NO_POSITION = ('{} must be the RA and Dec of the cluster, like "250.42 36.46" (degrees) or '
               '"16h41m41s +36d27m35s", received {!r}')


# names that others have for options
_MEANT = {'--filter': '--band', '--filt': '--band', '--zp': '--zero-point', '--zeropoint': '--zero-point',
          '--magzp': '--zero-point', '--exptime': '--exposure', '--fov': '--field-of-view',
          '--fwhm': '--seeing', '--psf': '--seeing', '--sky-level': '--sky', '--background': '--sky',
          '--color': '--colour',
          '--feh': '--metallicity', '--sigma': '--velocity-dispersion', '--dist': '--distance',
          '--av': '--extinction', '--name': '--cluster', '--scale': '--pixel-scale', '--ext': '--hdu',
          '--out': '--output', '--clobber': '--overwrite', '--threads': '--jobs'}


class Parser(argparse.ArgumentParser):
    """A parser with ``--version``, which prints an error on one line."""

    def __init__(self, prog, *, description, epilog):
        super().__init__(prog=prog, description=description, epilog=epilog, formatter_class=HelpFormatter)
        self.add_argument('--version', action='version', version=f'pidoc {__version__}')

    def error(self, message):
        self.exit(BAD, f'{self.prog}: {" ".join(message.split())}{self._near(message)}\n')

    def _near(self, message):
        """Suggest existing options for unknown ones."""
        begin = 'unrecognized arguments: '
        if not message.startswith(begin):
            return ''
        ours = [name for action in self._actions for name in action.option_strings]
        words = [word.partition('=')[0] for word in message.removeprefix(begin).split()]
        near = [[_MEANT[word]] if _MEANT.get(word) in ours
                else difflib.get_close_matches(word, ours, n=1, cutoff=0.7)
                for word in words if word[0] == '-']
        near = [name for names in near for name in names]
        return f': did you mean {" and ".join(near)}' if near else ''


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Long options next to their help, and the epilogue unchanged."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=30)


def add_quiet_and_debug(group, *, quiet='no progress bar, no summary'):
    """Add the last options of every command to a parser, or a group of one."""
    group.add_argument('--quiet', action='store_true', help=quiet)
    group.add_argument('--debug', action='store_true', help='show where an error came from')


def is_fits_name(path):
    """Whether a path has the ending of a FITS file, compressed or not.

    Parameters
    ----------
    path : `~pathlib.Path`

    Returns
    -------
    bool
    """
    return path.name.lower().endswith(_FITS_ENDINGS)


def spelled(message, parser):
    """A message of the package with arguments replaced by options of the command line.

    Parameters
    ----------
    message : str
        As 'give zero_point' or 'band must be ...'.
    parser : `argparse.ArgumentParser`

    Returns
    -------
    str
        As 'give --zero-point' or '--band must be ...'.
    """
    names = {}
    for action in parser._actions:
        for option in action.option_strings:
            if option.startswith('--'):
                names[action.dest] = option

    def name(match):
        return names.get(match[1], match[1])

    def value(match):
        # a number with a unit is one word
        given = f'"{match[2]}"' if match[2] else ''
        return f'{names[match[1]]} {given}' if match[1] in names else match[0]

    # name=value, names of several words, and words where a sentence says what to give
    message = re.sub(r'\b([a-z]\w*)=False\b', lambda match: names.get(f'no_{match[1]}', match[0]), message)
    message = re.sub(r'\b([a-z]\w*)=True\b', lambda match: names.get(match[1], match[0]), message)
    text = re.sub(r'(?<![\w./-])([a-z]\w*)=(\S+ (?:s|mag|arcsec|kpc)\b|(?=\S))', value, message)
    text = re.sub(r'(?<![\w./-])([a-z]+(?:_[a-z\d]+)+)(?![\w/(=]|\.\w)', name, text)
    text = re.sub(r'^([a-z]+)(?= (?:must|goes|needs)\b)', name, text)
    for before, behind in ((r'\bgive ', ''), (r'\bwith ', ''), (r'\bsay ', ''), (r'\bneeds ', ''),
                           (r'\bleave ', ' out'), (r'--[\w-]+ (?:and|or) ', ''), ('[,)] ', r' \('),
                           ('[;:] ', ' is [^;]+ there, ')):
        text = re.sub(f'({before})([a-z]+)\\b(?={behind})',
                      lambda match: match[1] + names.get(match[2], match[2]), text)
    return text


def above_zero(text):
    """Converter of an argument that is a count: a whole number of at least 1.

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
    """Converter of an argument that is a number in a default unit, or a number with its own unit.

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

        from pidoc.units import as_quantity

        try:
            value = as_quantity(text, unit, 'it')
            value = value * u.Unit(unit) if value.unit == u.one else value.to(unit)
        except (TypeError, ValueError):
            raise argparse.ArgumentTypeError(f'must be a number [{unit}], received {text!r}') from None
        if not math.isfinite(value.value):
            raise argparse.ArgumentTypeError(f'must be finite, received {text!r}')
        return value
    return convert


def distance_of(text):
    """Converter of a distance [kpc], or a distance modulus with its unit, to `~astropy.units.Quantity`."""
    from pidoc.units import as_distance

    value = as_distance(_length_or_modulus(text))
    if not math.isfinite(value.value):
        raise argparse.ArgumentTypeError(f'must be finite, received {text!r}')
    return value


def distance_error_of(text):
    """Converter of the error of a distance [kpc], or of a distance modulus [mag]."""
    return _length_or_modulus(text)


def _length_or_modulus(text):
    try:
        return quantity('mag' if text.strip().endswith('mag') else 'kpc')(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(str(error).replace('[mag]', '[kpc]')) from None


def angle_or_auto(text):
    """Converter of an argument that is an angle [arcsec] or 'auto'."""
    return text if text == 'auto' else quantity('arcsec')(text)


def sky_position(text, *, option):
    """A position on the sky if a text is one, else None: it may be a name.

    Parameters
    ----------
    text : str
        Right ascension and declination: degrees, or hours and degrees with minutes and seconds.
    option : str
        Name of the option, with which error messages begin.

    Returns
    -------
    `~astropy.coordinates.SkyCoord` or None

    Raises
    ------
    ValueError
        If it is numbers, or hours, but not a position.
    """
    from astropy.coordinates import SkyCoord

    parts = re.sub(r'\s*deg(?:rees?)?\s*$', '', text.replace(',', ' ')).split()
    if len(parts) == 1:
        # written without a blank
        text = re.sub(r'^(\d+[h:].*\d[sm]?)([+-]\d+[d:].*)$', r'\1 \2', text)
        parts = text.split()
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    hours = len(parts) in (2, 6) and re.match(r'\d+[h:\s]\s*\d+', text)
    degrees = len(parts) == 2 and all(re.match(r'[+-]?\d+(?:\.\d*)?d', part) for part in parts)
    if not (numbers or hours or degrees):
        return None
    try:
        return SkyCoord(*numbers, unit='deg') if len(numbers) == 2 else SkyCoord(
            text, unit='deg' if degrees else ('hourangle', 'deg'))
    except Exception:
        # astropy raises many kinds; what was wrong is always the text
        raise ValueError(NO_POSITION.format(option, text)) from None


def run(parser, work, args=None, *, interrupted):
    """Parse the arguments of a command and run it.

    Parameters
    ----------
    parser : `Parser`
        Its name begins every message.
    work : callable
        Called with the `argparse.Namespace` of the options, including the whole ``command``; returns the
        status, or None for 0. With ``options.debug`` errors are not caught.
    args : list of str, optional
        Arguments, without the name of the command; by default those of the process.
    interrupted : str
        Message after Ctrl-C or SIGTERM.

    Returns
    -------
    int
        The status of the work; `BAD` for an error, which is printed on one line of the standard error, with
        options as they are `spelled` on the command line; `INTERRUPTED`; `TERMINATED`.
    """
    _open_streams()
    options = parser.parse_args(args)
    # late: --help must not wait for it
    from pidoc.io.progress import AboveBars

    options.command = shlex.join([parser.prog, *(sys.argv[1:] if args is None else map(str, args))])
    logging.basicConfig(format=f'{parser.prog}: %(message)s', handlers=[AboveBars()])
    try:
        with _ending_like_an_interrupt():
            status = work(options) or 0
        # here, since an error could not be reported when Python exits
        sys.stdout.flush()
        return status
    except _Terminated:
        print(f'{parser.prog}: terminated; {interrupted}', file=sys.stderr)
        return TERMINATED
    except KeyboardInterrupt:
        print(f'\n{parser.prog}: interrupted; {interrupted}', file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of the output, `head` for example, has closed it
        _drop_output()
        return BAD
    except Exception as error:
        if options.debug:
            raise
        kind = '' if isinstance(error, (ValueError, TypeError, OSError)) else f'{type(error).__name__}: '
        message = spelled(' '.join(str(error).split()), parser)
        print(f'{parser.prog}: {kind}{message}', file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        return BAD


class _Terminated(KeyboardInterrupt):
    """SIGTERM, handled like an interrupt."""


@contextmanager
def _ending_like_an_interrupt():
    """Handle SIGTERM, which batch systems send, like Ctrl-C; only possible in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number, frame):
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        # None: it was not set from Python
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _open_streams():
    """Reopen standard streams that are closed; otherwise the next opened file would take their place."""
    for number, (name, mode) in enumerate((('stdin', 'r'), ('stdout', 'w'), ('stderr', 'w'))):
        try:
            os.fstat(number)
        except OSError:
            # the lowest that is free: this one
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            # not that number, which a file may have by now
            setattr(sys, name, open(os.devnull, mode))


def _drop_output():
    """Keep Python from writing again to a closed output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
