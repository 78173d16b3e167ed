# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Files that appear whole or not at all."""

import pytest

from pidoc.files import replacing


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
