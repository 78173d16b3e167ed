# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Files to a SAMP hub: one of our own, on this machine, which writes nothing into anybody's home."""

from contextlib import contextmanager

import pytest

from pidoc.prediction.samp import _samp, connected, send

KINDS = 'image.load.fits', 'table.load.fits'


class Viewer:
    """A program that notes what it is asked to load."""

    def __init__(self, kinds=KINDS, refuses=False):
        self.refuses = refuses
        self.got = set()
        self.client = _samp().SAMPIntegratedClient(name='a viewer', addr='127.0.0.1')
        self.client.connect()
        for kind in kinds:
            self.client.bind_receive_call(kind, self.note)

    def note(self, private_key, sender_id, message_id, mtype, params, extra):
        self.got.add((mtype, params['url']))
        if self.refuses:
            self.client.ereply(message_id, 'samp.error', error={'samp.errortxt': 'no such file'})
        else:
            self.client.ereply(message_id, 'samp.ok', result={})


@contextmanager
def hub(folder, monkeypatch, kinds=KINDS, refuses=False):
    """A hub whose lock file is in the folder, with one viewer."""
    monkeypatch.setattr(_samp().conf, 'use_internet', False)
    lock = folder / 'samp-lock'
    monkeypatch.setenv('SAMP_HUB', f'std-lockurl:{lock.as_uri()}')
    server = _samp().SAMPHubServer(web_profile=False, lockfile=str(lock), mode='multiple', addr='127.0.0.1')
    server.start()
    viewer = None
    try:
        viewer = Viewer(kinds, refuses)
        yield viewer
    finally:
        if viewer is not None:
            viewer.client.disconnect()
        server.stop()


def test_files_are_sent(tmp_path, monkeypatch):
    image, table = tmp_path / 'an image é.fits', tmp_path / 't.fits'
    with hub(tmp_path, monkeypatch) as viewer:
        with connected() as client:
            assert send(client, image) == send(client, table, table=True) == ['a viewer']
    assert viewer.got == {('image.load.fits', image.as_uri()), ('table.load.fits', table.as_uri())}
    assert '%20' in image.as_uri()


def test_an_answer_that_comes_at_once_is_not_lost(tmp_path, monkeypatch):
    with hub(tmp_path, monkeypatch), connected() as client:
        for k in range(40):
            assert send(client, tmp_path / f'{k}.fits') == ['a viewer']


def test_a_program_that_does_not_answer(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr('pidoc.prediction.samp._PATIENCE', 0.2)
    with hub(tmp_path, monkeypatch) as viewer, connected() as client:
        for kind in KINDS:
            viewer.client.bind_receive_call(kind, lambda *received: None)
        assert send(client, tmp_path / 'a.fits') == []
    assert 'a.fits was not loaded by a viewer: no answer within 0.2 s' in caplog.text


def test_nobody_takes_images(tmp_path, monkeypatch):
    with hub(tmp_path, monkeypatch, kinds=('table.load.fits',)), connected() as client:
        assert send(client, tmp_path / 'a.fits') == []


def test_a_program_that_cannot_load_it_is_told(tmp_path, monkeypatch, caplog):
    with hub(tmp_path, monkeypatch, refuses=True) as viewer, connected() as client:
        assert send(client, tmp_path / 'a.fits') == []
    assert len(viewer.got) == 1 and 'a.fits was not loaded by a viewer: no such file' in caplog.text


def test_the_hub_forgets_us(tmp_path, monkeypatch):
    with hub(tmp_path, monkeypatch) as viewer:
        with connected():
            names = {viewer.client.get_metadata(key).get('samp.name')
                     for key in viewer.client.get_registered_clients()}
            assert 'pidoc' in names
        names = {viewer.client.get_metadata(key).get('samp.name')
                 for key in viewer.client.get_registered_clients()}
        assert 'pidoc' not in names


def test_no_hub(tmp_path, monkeypatch):
    monkeypatch.setenv('SAMP_HUB', f'std-lockurl:{(tmp_path / "none").as_uri()}')
    with pytest.raises(ConnectionError, match='no SAMP hub runs: start DS9'), connected():
        pass
