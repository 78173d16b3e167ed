# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What all commands do alike, at the level of the system: output that cannot be written."""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from astropy import units as u

import pidoc
from pidoc.scripts import pidoc_mock, pidoc_predict, pidoc_simulate
from pidoc.scripts.command import (
    BAD,
    INTERRUPTED,
    is_fits_name,
    Parser,
    quantity,
    run,
    sky_position,
    spelled,
    TERMINATED,
)
from pidoc.tests.terminal import Terminal

LIST = [sys.executable, '-m', 'pidoc.scripts.pidoc_trainingset', '--show', 'table1']
WHERE = {**os.environ, 'PYTHONPATH': str(Path(pidoc.__file__).parents[1])}


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='needs /dev/full')
def test_a_full_disk_behind_the_output():
    with open('/dev/full', 'w') as full:
        result = subprocess.run(LIST, stdout=full, stderr=subprocess.PIPE, text=True, env=WHERE)
    assert result.returncode == 2
    assert result.stderr == 'pidoc-trainingset: [Errno 28] No space left on device\n'


def test_a_reader_that_has_seen_enough():
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(LIST, stdout=writer, stderr=subprocess.PIPE, text=True, env=WHERE)
    os.close(writer)
    assert (result.returncode, result.stderr) == (2, '')


@pytest.mark.parametrize('closed', ['>&-', '2>&-', '<&-', '>&- 2>&- <&-'])
def test_closed_streams(closed, tmp_path):
    """A file that is opened must not get the number of the standard output."""
    code = ('import sys\nfrom pidoc.scripts.pidoc_trainingset import main\n'
            'with open("kept", "wb") as file:\n    status = main(["--show", "table1"])\n    '
            'file.write(b"x")\n'
            'sys.exit(status)')
    result = subprocess.run(f'{sys.executable} -c "$CODE" {closed}', shell=True, cwd=tmp_path,
                            capture_output=True,
                            env=WHERE | {'CODE': code})
    assert (result.returncode, result.stderr) == (0, b'')
    assert (tmp_path / 'kept').read_bytes() == b'x'
    assert (b'[' in result.stdout) == ('>&- ' not in f'{closed} '.replace('2>&-', ''))


def ends(number):
    """The work of a command that gets a signal."""
    def work(options):
        os.kill(os.getpid(), number)
        signal.pause()
    return work


@pytest.mark.parametrize(('number', 'status', 'text'), [
    (signal.SIGTERM, TERMINATED, 'pidoc-x: terminated; --resume goes on\n'),
    (signal.SIGINT, INTERRUPTED, '\npidoc-x: interrupted; --resume goes on\n')])
def test_how_to_go_on(number, status, text, capsys):
    before = signal.getsignal(signal.SIGTERM)
    parser = Parser('pidoc-x', description='', epilog='')
    parser.add_argument('--debug', action='store_true')
    # a shell has it ignored by what runs in the background
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run(parser, ends(number), [], interrupted='--resume goes on') == status
    finally:
        signal.signal(signal.SIGINT, interrupt)
    assert capsys.readouterr().err == text
    assert signal.getsignal(signal.SIGTERM) == before and TERMINATED == 143


@pytest.mark.parametrize(('args', 'hint'), [
    (['a.fits', '--distence', '15'], ': did you mean --distance\n'),
    (['a.fits', '--filter', 'V'], ': did you mean --band\n'),
    (['a.fits', '--zp', '25'], ': did you mean --zero-point\n'),
    (['a.fits', '--sky-level', '2'], ': did you mean --sky\n'),
    (['a.fits', '--zeropoint=25', '--sceeing', '1'], ': did you mean --zero-point and --seeing\n'),
    (['a.fits', '--xyzzy'], '--xyzzy\n')])
def test_options_that_there_are_not(args, hint, capsys):
    with pytest.raises(SystemExit) as stop:
        pidoc_predict.main(args)
    errors = capsys.readouterr().err
    assert stop.value.code == BAD
    assert errors.startswith('pidoc-predict: unrecognized arguments: ') and errors.endswith(hint)


@pytest.mark.parametrize(('message', 'ours'), [
    ('an image needs a zero point: give zero_point, of one unit (with exposure, if it is of one count a '
     'second)',
     'an image needs a zero point: give --zero-point, of one unit (with --exposure, if it is of one count a '
     'second)'),
    ('lacks the band and a scale: give band (such as V), pixel_scale (side of a pixel)',
     'lacks the band and a scale: give --band (such as V), --pixel-scale (side of a pixel)'),
    ('band must be the name of a band', '--band must be the name of a band'),
    ('of several images choose one with hdu', 'of several images choose one with --hdu'),
    ('out.fits exists: give overwrite to replace it', 'out.fits exists: give --overwrite to replace it'),
    ('out.fits exists: give overwrite=True to replace it', 'out.fits exists: give --overwrite to replace it'),
    ('exposure goes with zero_point', '--exposure goes with --zero-point'),
    ('age_error needs age, received 1 alone', '--age-error needs --age, received 1 alone'),
    ('then give exposure=101 s too', 'then give --exposure "101 s" too'),
    ('leave extinction out', 'leave --extinction out'),
    ('zero_point and exposure go together', '--zero-point and --exposure go together'),
    # names of files, other words, and what the command has not
    ('dir/zero_point.fits: the unit and the band of largest_pixel', 'dir/zero_point.fits: the unit and the '
                                                                    'band of largest_pixel')])
def test_options_by_their_names_here(message, ours):
    assert spelled(message, pidoc_predict._parser()) == ours


def test_what_a_command_does_not_have():
    assert spelled('give zero_point or band', pidoc_mock._parser()) == 'give --zero-point or --band'
    assert spelled('give pixels', pidoc_mock._parser()) == 'give pixels'


def test_what_differs_between_two_runs():
    message = ("a holds another run: king_w0 is 4 there, None here; seed is 3 there, 4 here. Use another "
               'folder, or overwrite=True')
    assert spelled(message, pidoc_simulate._parser()) == (
        'a holds another run: --king-w0 is 4 there, None here; --seed is 3 there, 4 here. Use another '
        'folder, or --overwrite')


@pytest.mark.parametrize(('name', 'is_one'), [
    ('a.fits', True), ('a.fit', True), ('A.FITS', True), ('a.fts', True), ('a.fits.gz', True), ('a.fit.gz',
                                                                                                True),
    ('a', False), ('a.fits.d', False), ('fits', False)])
def test_names_of_fits_files(name, is_one):
    assert is_fits_name(Path(name)) == is_one


@pytest.mark.parametrize('command', ['evaluate', 'fetch', 'mock', 'predict', 'simulate', 'train',
                                     'trainingset'])
def test_help_waits_for_nothing_heavy(command):
    code = (f'import sys\nfrom pidoc.scripts.pidoc_{command} import main\ntry:\n    main(["--help"])\n'
            'except SystemExit as stop:\n    assert stop.code == 0\n'
            'heavy = "numpy", "astropy", "scipy", "matplotlib", "numba", "keras", "tensorflow"\n'
            'print([name for name in heavy if name in sys.modules])')
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True,
                            env=WHERE)
    assert result.stderr == ''
    assert f'usage: pidoc-{command}' in result.stdout and result.stdout.splitlines()[-1] == '[]'


@pytest.mark.parametrize('text', [
    '211 28', '211,28', '211 28 deg', '211d 28d', '211.0d +28.0d', '14h04m00s +28d00m00s',
    '14:04:00 +28:00:00', '14h04m00s+28d00m00s', '14:04:00.0+28:00:00', '14 04 00 +28 00 00'])
def test_positions_as_people_write_them(text):
    found = sky_position(text, option='--center')
    assert (found.ra.deg, found.dec.deg) == pytest.approx((211.0, 28.0))


@pytest.mark.parametrize('name', ['M 13', 'C1403+287', '47 Tuc', 'E 3', '2MS-GC01', 'Pal 5', 'Djorg 1'])
def test_names_are_no_positions(name):
    assert sky_position(name, option='--center') is None


def test_a_quantity_with_and_without_its_unit():
    assert quantity('mag / arcsec2')('21') == 21 * u.mag / u.arcsec**2
    assert quantity('kpc')('3000 pc') == 3 * u.kpc
    with pytest.raises(argparse.ArgumentTypeError, match=r"must be a number \[1 / arcmin2\], received 'x'"):
        quantity('1 / arcmin2')('x')
    with pytest.raises(argparse.ArgumentTypeError, match="must be finite, received 'nan'"):
        quantity('s')('nan')


BAR = """
import logging, sys
from pidoc.io.progress import ProgressBar
from pidoc.scripts.command import Parser, run

def work(options):
    with ProgressBar(10, 'maps', progress=True) as bar:
        bar.update(5)
        logging.getLogger('pidoc').warning('beware')
        bar.update(5)

sys.exit(run(Parser('pidoc-test', description='', epilog=''), work, [], interrupted=''))
"""


@pytest.mark.parametrize('columns', [40, 80])
def test_warnings_are_above_the_progress_bar(columns):
    pty, termios = pytest.importorskip('pty'), pytest.importorskip('termios')
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    result = subprocess.run([sys.executable, '-c', BAR], stdout=theirs, stderr=theirs, env=WHERE)
    os.close(theirs)
    terminal = Terminal()
    terminal.write(os.read(ours, 10_000).decode().replace('\r\n', '\n'))
    os.close(ours)
    warning, bar, empty = terminal.lines()
    assert result.returncode == 0 and warning == 'pidoc-test: beware' and empty == ''
    assert bar.startswith('maps: 100%|')
