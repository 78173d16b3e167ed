# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What all commands do alike, at the level of the system: output that cannot be written."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest
from astropy import units as u

import pidoc
from pidoc.scripts.command import quantity

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


def test_a_quantity_with_and_without_its_unit():
    assert quantity('mag / arcsec2')('21') == 21 * u.mag / u.arcsec**2
    assert quantity('kpc')('3000 pc') == 3 * u.kpc
    with pytest.raises(argparse.ArgumentTypeError, match=r"must be a number \[1 / arcmin2\], received 'x'"):
        quantity('1 / arcmin2')('x')
    with pytest.raises(argparse.ArgumentTypeError, match="must be finite, received 'nan'"):
        quantity('s')('nan')
