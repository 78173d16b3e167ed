# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Files that appear whole or not at all, and folders that one process uses at a time."""

import logging
import sys

import pytest

from pidoc.io.files import check_free, locked, replacing


def test_a_file_is_replaced_when_the_block_ends(tmp_path):
    path = tmp_path / 'name.fits'
    path.write_text('old')
    with replacing(path) as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == '.fits'
        temporary.write_text('new')
        assert path.read_text() == 'old'
    assert path.read_text() == 'new' and list(tmp_path.iterdir()) == [path]


def _fill(path):
    with replacing(path) as temporary:
        temporary.write_text('ha')
        raise OSError('disk full')


def test_nothing_is_left_of_a_block_that_fails(tmp_path):
    path = tmp_path / 'name.fits'
    path.write_text('old')
    with pytest.raises(OSError, match='disk full'):
        _fill(path)
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


def test_a_folder_is_locked_once_and_then_free(tmp_path):
    pytest.importorskip('fcntl')
    # locks of one file that was opened twice exclude each other also in one process
    with locked(tmp_path, OSError('never')), \
            pytest.raises(KeyError, match='busy'), locked(tmp_path, KeyError('busy')):
        pytest.fail('in spite of the lock')
    with pytest.raises(RuntimeError, match='in the block'), locked(tmp_path, OSError('never')):
        raise RuntimeError('in the block')
    with locked(tmp_path, OSError('a lock is left')):
        pass


def test_where_there_are_no_locks_that_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, 'fcntl', None)
    with caplog.at_level(logging.INFO), locked(tmp_path, OSError('never')):
        assert 'cannot be locked here' in caplog.text


def test_files_that_are_in_the_way(tmp_path):
    (tmp_path / 'a.txt').write_text('mine')
    check_free(tmp_path / 'b.txt', overwrite=False)
    check_free(tmp_path / 'a.txt', overwrite=True)
    with pytest.raises(OSError, match='a.txt exists: give overwrite=True to replace it'):
        check_free(tmp_path / 'b.txt', tmp_path / 'a.txt', overwrite=False)
