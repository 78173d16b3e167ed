# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Commands set up the logging of their process: afterwards it is as before."""

import logging

import pytest


@pytest.fixture(autouse=True)
def kept_logging():
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
