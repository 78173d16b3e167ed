# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Keras starts in silence, and predictions with a model that ships do without it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pidoc

WHERE = Path(pidoc.__file__).parents[1]


def said_by(code, **environment):
    """Standard output and standard error of a new interpreter."""
    known = {name: value for name, value in os.environ.items() if name != 'TF_CPP_MIN_LOG_LEVEL'}
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True,
                            cwd=WHERE, env=known | environment)
    return result.stdout, result.stderr


@pytest.mark.parametrize('code', [
    'from pidoc.networks.cluster import cluster_network; import numpy as np\n'
    'cluster_network((8, 8, 1), (4, 8)).predict_on_batch([np.zeros((1, 8, 8, 1)), np.zeros((1, 3))])',
    'from pidoc.training import train'])
def test_nothing_is_written_when_keras_starts(code):
    assert said_by(code) == ('', '')


def test_the_level_that_somebody_sets_is_left_alone():
    code = ('import os\nfrom pidoc.networks.backend import keras\n'
            'print(os.environ["TF_CPP_MIN_LOG_LEVEL"], keras.__name__)')
    assert said_by(code)[0] == '3 keras\n'
    assert said_by(code, TF_CPP_MIN_LOG_LEVEL='2')[0] == '2 keras\n'


def test_a_backend_that_is_not_there_is_told():
    with pytest.raises(subprocess.CalledProcessError) as caught:
        said_by('import pidoc.networks.backend', KERAS_BACKEND='nothing')
    assert 'ValueError' in caught.value.stderr and 'nothing' in caught.value.stderr


def test_a_prediction_needs_neither_keras_nor_matplotlib():
    code = ('import sys\nfrom pidoc import MassMapper\nfrom pidoc.scripts.pidoc_predict import EXAMPLE\n'
            'MassMapper.from_pretrained().predict(EXAMPLE)\n'
            'heavy = "keras", "tensorflow", "numba", "matplotlib"\n'
            'print([name for name in heavy if name in sys.modules])')
    assert said_by(code) == ('[]\n', '')
