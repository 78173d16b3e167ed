# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What notebooks show: tables that parse, with everything escaped."""

import base64
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from matplotlib.image import imread

import pidoc
from pidoc import ClusterModel, Prediction, Snapshot
from pidoc.image.light import Light
from pidoc.io.html import html_table
from pidoc.mock.mock import Mock
from pidoc.tests.prediction.test_prediction import a_prediction
from pidoc.training_set.dataset import TrainingSet
from pidoc.training_set.recipe import Recipe

NASTY = '<script>alert("x")</script> & \'y\''


def parsed(page):
    """Caption and rows of a table; an error if it is not well-formed."""
    tree = ElementTree.fromstring(page)
    (table,) = tree.iter('table')
    assert {node.tag for node in table.iter()} == {'table', 'caption', 'tr', 'td'}
    return table.findtext('caption'), {row[0].text: row[1].text for row in table.iter('tr')}


def pictures(page):
    """Name -> pixels of the thumbnails, from 0 to 1, as they are seen: the first row on top."""
    found = {}
    for node in ElementTree.fromstring(page).iter('img'):
        kind, _, content = node.get('src').partition(',')
        assert kind == 'data:image/png;base64' and node.get('title') == node.get('alt')
        found[node.get('alt')] = imread(BytesIO(base64.b64decode(content)), format='png')
    return found


def test_everything_is_escaped():
    caption, rows = parsed(html_table(NASTY, [(NASTY, NASTY), ('number', 3)]))
    assert caption == NASTY and rows == {NASTY: NASTY, 'number': '3'}


def test_a_thumbnail_shows_the_map_in_the_logarithm():
    data = np.zeros((40, 60))
    data[2, 3], data[30, 50], data[10, 10] = 100.0, 1.0, np.nan
    (name, picture), = pictures(html_table('a', [], images={NASTY: data})).items()
    assert name == NASTY and picture.shape == (40, 60, 4)
    # up is up
    bright = picture[::-1, :, :3].sum(axis=-1)
    assert np.unravel_index(bright.argmax(), bright.shape) == (2, 3)
    assert bright[2, 3] > bright[30, 50] > bright[10, 10] == bright[0, 0]


@pytest.mark.parametrize(('shape', 'size'), [((160, 160), (160, 160)), ((1000, 480), (167, 160)),
                                             ((1, 3), (1, 3))])
def test_a_thumbnail_is_small(shape, size):
    (picture,) = pictures(html_table('a', [], images={'dark': np.zeros(shape)})).values()
    assert picture.shape[:2] == size and np.ptp(picture[..., :3]) < 0.1


def test_light():
    light = Light(np.ones((4, 6)), unit=u.Lsun / u.kpc**2,
                  meta={'BAND': 'V', 'OBJECT': NASTY, 'PSFFWHM': 0.9})
    page = light._repr_html_()
    caption, rows = parsed(page)
    assert caption == f'Light of {NASTY}'
    assert rows == {'band': 'V', 'pixels': '6 x 4', 'unit': 'solLum / kpc2', 'seeing [arcsec]': '0.9'}
    assert list(pictures(page)) == ['light']


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
    page = Mock.read(pidoc.example())._repr_html_()
    caption, rows = parsed(page)
    assert caption.startswith('Mock of ') and rows['distance'] == '20 kpc' and rows['pixels'] == '160 x 160'
    assert list(pictures(page)) == ['light', 'mass'] and len(page) < 80_000


@pytest.mark.parametrize('name', ['a.fits', NASTY])
def test_a_prediction(name):
    prediction = a_prediction(name=name)
    assert isinstance(prediction, Prediction)
    page = prediction._repr_html_()
    caption, rows = parsed(page)
    assert caption == f'{name}, model default' and rows['age'] == '11.0 (10.0 to 12.0) Gyr'
    assert list(pictures(page)) == ['light', 'mass']


def test_a_training_set():
    recipe = Recipe.read('table1')
    table = QTable({'split': ['train', 'train', 'test']})
    caption, rows = parsed(TrainingSet('a & b', recipe, table, None, None, None)._repr_html_())
    assert caption == 'TrainingSet table1'
    assert rows == {'folder': 'a & b', 'test': '1 maps', 'train': '2 maps'}
