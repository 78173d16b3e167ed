# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Files of a model folder: checksums, finite weights, sizes, characters."""

import json
import os
import re
import tracemalloc
import zipfile

import numpy as np
import pytest

from pidoc.inference import folder as module
from pidoc.inference.folder import ModelFolderError, read_card, read_weights, seal, write_card, write_weights

CARD = {'format': 2, 'about': {'name': 'small', 'description': 'Two\nlines.', 'domain': {'low': 0.1}},
        'turns': 1, 'config': {'shape': [8, 8, 1]}, 'scaling': {}, 'calibration': {}, 'grid': {},
        'posterior': {}, 'sha256': {'a.npz': 'abc'}}


class Network:
    """What `write_weights` asks of a network."""

    def __init__(self, **weights):
        self.weights = {name: np.array(value) for name, value in weights.items()}


# -- model.json -----------------------------------------------------------------------------------


def test_a_card_comes_back_whole_however_it_is_laid_out(tmp_path):
    write_card(tmp_path, CARD)
    card = read_card(tmp_path)
    assert len(card.pop('checksum')) == 64 and card == CARD
    (tmp_path / 'model.json').write_text(json.dumps(read_card(tmp_path), sort_keys=True))
    assert read_card(tmp_path)['about'] == CARD['about']
    # what is written again has the checksum of what it is now
    write_card(tmp_path, {**read_card(tmp_path), 'turns': 4})
    assert read_card(tmp_path)['turns'] == 4


@pytest.mark.parametrize('change', [
    lambda card: card['about']['domain'].update(low=0.2),
    lambda card: card['calibration'].update(image={}),
    lambda card: card.update(turns=2),
    lambda card: card.update(more=1),
    lambda card: card.update(checksum='0' * 64),
])
def test_a_card_that_was_changed_is_refused_until_it_is_sealed(tmp_path, change):
    write_card(tmp_path, CARD)
    card = read_card(tmp_path)
    change(card)
    (tmp_path / 'model.json').write_text(json.dumps(card))
    with pytest.raises(ModelFolderError, match='was edited: its checksum is not that of its content; pidoc'):
        read_card(tmp_path)
    seal(tmp_path)
    assert {**read_card(tmp_path), 'checksum': ''} == {**card, 'checksum': ''}


def test_a_card_without_a_checksum_is_refused_until_it_is_sealed(tmp_path):
    (tmp_path / 'model.json').write_text(json.dumps(CARD))
    with pytest.raises(ModelFolderError, match=r'its checksum is missing; pidoc.*folder.seal\(folder\)'):
        read_card(tmp_path)
    seal(tmp_path)
    assert read_card(tmp_path)['sha256'] == CARD['sha256']


def test_a_card_must_be_json(tmp_path):
    path = tmp_path / 'model.json'
    for content, message in ((b'{', 'model.json is damaged: Expecting'), (b'\xff', 'damaged: .*codec'),
                             (b'[' * 10**5, 'model.json is damaged: maximum recursion depth'),
                             (b'{"format": ' + b'9' * 5000 + b'}', 'json is damaged: Exceeds the limit'),
                             (b'[]', r'model.json: must be a table, received \[\]')):
        path.write_bytes(content)
        with pytest.raises(ModelFolderError, match=message):
            read_card(tmp_path)


def test_a_card_must_be_a_file_of_a_few_megabytes(tmp_path):
    os.mkfifo(tmp_path / 'model.json')
    with pytest.raises(ModelFolderError, match='holds no model: there is no model.json'):
        read_card(tmp_path)
    (tmp_path / 'model.json').unlink()
    with open(tmp_path / 'model.json', 'wb') as file:
        file.truncate(2**40)
    with pytest.raises(ModelFolderError, match='must have at most 33554432 bytes, received 1099511627776'):
        read_card(tmp_path)


@pytest.mark.parametrize('change, message', [
    (lambda card: card['about'].update(name='a\x1b[2J'), r"name must have no control .*'a\\x1b\[2J'"),
    (lambda card: card['about'].update(name='a\nb'), r"name must have no control .*'a\\nb'"),
    (lambda card: card['about'].update(description='a\x07'), 'description must have no control characters'),
    (lambda card: card['about'].update(name='a\u202eb'), r"name must have no control .*'a\\u202eb'"),
    (lambda card: card['about'].update(name='\ud800'), r"name must have no control .*'\\ud800'"),
    (lambda card: card['about'].update({'\x9b': 1}), r"names must have no control .*'\\x9b'"),
    (lambda card: card['scaling'].update(outputs=[{'unit': '\x00'}]), r"unit must have no control .*'\\x00'"),
])
def test_texts_have_no_control_characters(tmp_path, change, message):
    card = json.loads(json.dumps(CARD))
    change(card)
    with pytest.raises(ValueError, match=message):
        write_card(tmp_path, card)
    (tmp_path / 'model.json').write_text(json.dumps(card))
    with pytest.raises(ModelFolderError, match=message):
        seal(tmp_path)


# -- weights --------------------------------------------------------------------------------------


def test_weights_come_back_in_their_order(tmp_path):
    write_weights(Network(b=[1.0, 2.0], a=[[0.5]]), tmp_path / 'a.npz')
    weights = read_weights(tmp_path / 'a.npz')
    assert list(weights) == ['b', 'a'] and weights['b'].dtype == np.float32
    np.testing.assert_array_equal(weights['b'], [1.0, 2.0])


def test_weights_must_be_weights(tmp_path):
    path = tmp_path / 'weights.npz'
    path.write_bytes(b'PK no archive')
    with pytest.raises(ModelFolderError, match='weights.npz is damaged'):
        read_weights(path)
    np.savez(path, a=np.array(['x']))
    with pytest.raises(ModelFolderError, match="'a.npy' must be of real numbers, received <U1"):
        read_weights(path)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_weights_are_finite(tmp_path, value):
    with pytest.raises(ValueError, match='the weights b must be finite, received 1 of 2 that are not'):
        write_weights(Network(a=[1.0], b=[1.0, value]), tmp_path / 'a.npz')
    assert not list(tmp_path.iterdir())
    np.savez(tmp_path / 'a.npz', **{'000 a': np.array([value])})
    with pytest.raises(ModelFolderError, match='the weights 000 a must be finite, received 1 of 1 that'):
        read_weights(tmp_path / 'a.npz')


def test_what_half_precision_cannot_hold_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match='the weights a must be finite, received 1 of 1'):
        write_weights(Network(a=[7e4]), tmp_path / 'a.npz')
    write_weights(Network(a=[7e4]), tmp_path / 'a.npz', dtype=np.float32)
    np.testing.assert_array_equal(read_weights(tmp_path / 'a.npz')['a'], [7e4])


def _bomb(path, shape, zeros):
    """An archive with one array of a shape, and so many bytes of zeros."""
    head = str({'descr': '<f2', 'fortran_order': False, 'shape': shape}).ljust(117) + '\n'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive, archive.open('a.npy', 'w') as file:
        file.write(b'\x93NUMPY\x01\x00' + len(head).to_bytes(2, 'little') + head.encode())
        for _ in range(zeros // 2**20):
            file.write(bytes(2**20))


@pytest.mark.parametrize('shape, zeros, message', [
    ((10**6, 10**6), 0, r"at most 30000000 numbers, received an array of 1000000 x 1000000, 'a.npy'"),
    ((30000001,), 2**20, "at most 30000000 numbers, received an array of 30000001, 'a.npy'"),
    ((10,), 2**28, 'must unpack to at most 240000000 bytes, received 268435'),
])
def test_archives_that_unpack_to_much_are_refused_before(tmp_path, shape, zeros, message):
    _bomb(tmp_path / 'a.npz', shape, zeros)
    assert (tmp_path / 'a.npz').stat().st_size < 2**19
    tracemalloc.start()
    try:
        with pytest.raises(ModelFolderError, match=message):
            read_weights(tmp_path / 'a.npz')
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_files_of_weights_are_bounded_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, '_MOST_NUMBERS', 10)
    (tmp_path / 'a.npz').write_bytes(bytes(51))
    with pytest.raises(ModelFolderError, match=re.escape('a.npz must have at most 50 bytes, received 51')):
        module.weight_files(tmp_path, CARD)
