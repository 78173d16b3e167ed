# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What all commands do alike, at the level of the system: output that cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pidoc

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
