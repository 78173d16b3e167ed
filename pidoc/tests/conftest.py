# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Maps that the tests of trainings share, and networks of the paper with far fewer channels."""

import pytest

# the helpers import Keras: only where they are needed


@pytest.fixture(scope='session')
def _domains():
    from pidoc.tests.training_helpers import domains_once

    with pytest.MonkeyPatch.context() as patch:
        domains_once(patch)
        yield


@pytest.fixture(scope='session')
def maps(_domains):
    from pidoc.tests.training_helpers import Maps

    return Maps.make(420, 1)


@pytest.fixture(scope='session')
def few(_domains):
    from pidoc.tests.training_helpers import few_large

    return few_large()


@pytest.fixture(scope='module')
def slim():
    from pidoc.tests.training_helpers import slim_networks

    with pytest.MonkeyPatch.context() as patch:
        slim_networks(patch)
        yield
