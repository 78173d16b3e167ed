# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Files that are not part of the package, for tests that are skipped without them."""

import os
from pathlib import Path

import pytest

import pidoc


def shared(*parts):
    """Path of a file in the folder that PIDOC_SHARED_DATA names, by default beside the clone; or a skip."""
    beside = Path(pidoc.__file__).resolve().parents[2] / 'shared' / 'data'
    path = Path(os.environ.get('PIDOC_SHARED_DATA', beside)).joinpath(*parts)
    if not path.exists():
        pytest.skip(f'needs {"/".join(parts)} in the folder that PIDOC_SHARED_DATA names')
    return path
