# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Maps that the tests of trainings share, and networks of the paper with far fewer channels."""

import pytest

from pidoc.tests.training_helpers import few_large, Maps, slim_networks


@pytest.fixture(scope='module')
def maps():
    return Maps.make(420, 1)


@pytest.fixture(scope='module')
def few():
    return few_large()


@pytest.fixture(scope='module')
def slim():
    with pytest.MonkeyPatch.context() as patch:
        slim_networks(patch)
        yield
