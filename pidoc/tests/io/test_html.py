# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What notebooks show: tables that parse, with everything escaped."""

from xml.etree import ElementTree

import pytest
from astropy import units as u
from astropy.table import QTable

from pidoc import ClusterModel, Prediction, Snapshot
from pidoc.io.html import html_table
from pidoc.mock.mock import Mock
from pidoc.scripts.pidoc_predict import EXAMPLE
from pidoc.tests.prediction.test_prediction import a_prediction
from pidoc.training_set.dataset import TrainingSet
from pidoc.training_set.recipe import Recipe

NASTY = '<script>alert("x")</script> & \'y\''


def parsed(page):
    """Caption and rows of a table; an error if it is not well-formed."""
    tree = ElementTree.fromstring(page)
    assert tree.tag == 'table' and {node.tag for node in tree.iter()} == {'table', 'caption', 'tr', 'td'}
    return tree.findtext('caption'), {row[0].text: row[1].text for row in tree.iter('tr')}


def test_everything_is_escaped():
    caption, rows = parsed(html_table(NASTY, [(NASTY, NASTY), ('number', 3)]))
    assert caption == NASTY and rows == {NASTY: NASTY, 'number': '3'}


def test_a_cluster_model():
    caption, rows = parsed(ClusterModel.named('MW15')._repr_html_())
    assert caption == 'ClusterModel MW15' and rows['half_mass_radius'] == '3.2 pc'
    assert rows['n_stars'] == '50000'


def test_a_snapshot():
    stars = {axis: [0.0, 1.0] * u.pc for axis in 'xyz'} | {'mass': [1.0, 2.0] * u.Msun}
    caption, rows = parsed(Snapshot(stars, 2 * u.Gyr)._repr_html_())
    assert caption == 'Snapshot' and rows['age'] == '2 Gyr' and rows['mass'] == '3 solMass'
    assert rows['stars'] == '2' and rows['half-mass radius'].endswith(' pc')


def test_a_mock():
    caption, rows = parsed(Mock.read(EXAMPLE)._repr_html_())
    assert caption.startswith('Mock of ') and rows['distance'] == '20 kpc' and rows['pixels'] == '160 x 160'


@pytest.mark.parametrize('name', ['a.fits', NASTY])
def test_a_prediction(name):
    prediction = a_prediction(name=name)
    assert isinstance(prediction, Prediction)
    caption, rows = parsed(prediction._repr_html_())
    assert caption == f'{name}, model default' and rows['age'] == '11.0 (10.0 to 12.0) Gyr'


def test_a_training_set():
    recipe = Recipe.read('table1')
    table = QTable({'split': ['train', 'train', 'test']})
    caption, rows = parsed(TrainingSet('a & b', recipe, table, None, None, None)._repr_html_())
    assert caption == 'TrainingSet table1'
    assert rows == {'folder': 'a & b', 'test': '1 maps', 'train': '2 maps'}
