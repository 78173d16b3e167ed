# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Model cards: what they say, and scores that are put into a model folder."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import QTable

from pidoc.inference.domain import Domain
from pidoc.inference.folder import ModelFolderError, read_card, write_card
from pidoc.training.model_card import add_scores, card_text, write_model_card

ABOUT = {'name': 'small', 'description': 'Ten clusters.', 'n_train': 300, 'n_validation': 40,
         'recipe': {'name': 'mine', 'description': 'few maps'},
         'settings': {'epochs': 3, 'widths': [4, 8], 'channels': None},
         'history': [{'val_likelihood': [0.5, 0.1, 0.2]}],
         'domain': Domain({'total_flux': (-3.0, 0.0), 'flux_5': (0.1, 0.9)}, {}, {}).to_dict()}


@pytest.fixture
def folder(tmp_path):
    card = {'format': 2, 'about': ABOUT, 'turns': 1, 'config': {}, 'scaling': {}, 'calibration': {},
            'grid': {}, 'posterior': {},
            'sha256': {'network-0.npz': 'abc'}}
    write_card(tmp_path, card)
    return tmp_path


def test_a_card_has_training_limits_and_weights(folder):
    write_model_card(folder)
    text = (folder / 'CARD.rst').read_text(encoding='utf-8')
    for part in ('Model card: small\n=================', '``mine``: 300 training maps, 40 validation maps',
                 'epochs 3, widths 4-8, channels all',
                 '3 epochs, best validation likelihood (-ln) 0.1000 after epoch 2',
                 '0.001 to 1 Lsun/kpc2', '0.1 to 0.9', 'Not yet scored', '``network-0.npz``: SHA-256'):
        assert part in text
    assert [path.name for path in sorted(folder.iterdir())] == ['CARD.rst', 'model.json']


def test_a_card_without_a_domain_says_so():
    assert 'no image counts as inside' in card_text({'name': 'x'})
    assert card_text({}).startswith('Model card: without a name\n')


def test_scores_go_into_the_model_and_its_card(folder):
    table = QTable({'score': ['a', 'b', 'c'], 'text': ['age', 'mass', 'unknown'], 'unit': ['Gyr', '', ''],
                    'section': ['4'] * 3, 'paper': [1.26, np.nan, 2.0], 'image': [0.51234, 7.0, np.nan],
                    'floor': [np.nan] * 3})
    add_scores(folder, SimpleNamespace(tables={'scores': table}, meta={'maps': 99}), split='test')
    card = read_card(folder)
    assert card['about']['scores']['rows'] == [['age [Gyr]', 1.26, 0.5123], ['mass', None, 7.0]]
    assert card['sha256'] == {'network-0.npz': 'abc'} and card['about']['name'] == 'small'
    text = (folder / 'CARD.rst').read_text(encoding='utf-8')
    assert 'On the test part of its training set, 99 maps' in text
    assert 'age [Gyr]  1.26   0.512' in text and 'mass       –      7' in text
    report = SimpleNamespace(tables={'scores': table}, meta={'maps': 9})
    add_scores(folder, report, split='test', parts=['a', 'b'])
    assert read_card(folder)['about']['scores']['text'] == (
        'On the test part of its training set, 9 maps (a, b) of simulations that it was not trained on.')


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelFolderError, match='there is no model.json'):
        write_model_card(tmp_path)
