# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Tests of a file again, with another backend of Keras."""

import importlib.util
import os
import subprocess
import sys

import keras
import pytest


def run_with_backend(backend, file):
    """Run all tests of a file but ``test_backend`` in a new interpreter; skip if there is no such backend."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f'{backend} is not installed')
    # their warnings are not ours to mend
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '-W', 'default', '-k',
               'not test_backend', file]
    environment = {**os.environ, 'KERAS_BACKEND': backend}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:]
    assert keras.backend.backend() != backend
