# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Send files to the programs connected to a SAMP hub: DS9, Aladin, TOPCAT and others."""

import logging
import queue
import warnings
from contextlib import contextmanager
from pathlib import Path

from pidoc import __version__
from pidoc.io.processes import one_line

__all__ = ['connected', 'send']

log = logging.getLogger(__name__)

_PATIENCE = 60     # s, with a program that loads


def _samp():
    """The library: in astropy until version 8, in pyvo from 1.8 on."""
    try:
        from pyvo import samp
    except ImportError:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            from astropy import samp
    return samp


@contextmanager
def connected():
    """Connect to the running hub.

    Yields
    ------
    SAMPIntegratedClient

    Raises
    ------
    ConnectionError
        If no hub runs.
    """
    samp = _samp()
    # with an address it does not look for the network
    client = samp.SAMPIntegratedClient(name='pidoc', addr='127.0.0.1',
                                       metadata={'pidoc.version': __version__})
    try:
        client.connect()
    except (samp.SAMPHubError, OSError):
        raise ConnectionError('no SAMP hub runs: start DS9, Aladin or TOPCAT first') from None
    try:
        yield client
    finally:
        client.disconnect()


def send(client, path, *, table=False):
    """Let all programs load a FITS file (``image.load.fits``, ``table.load.fits``), and wait for answers.

    Parameters
    ----------
    client : SAMPIntegratedClient
        See `connected`.
    path : path-like
        The file; the programs must have access to it under this path.
    table : bool, optional
        Whether it is a table, not an image.

    Returns
    -------
    list of str
        Names of the programs that have loaded it. Answers of the others are logged as warnings.
    """
    path = Path(path).absolute()
    kind = 'table.load.fits' if table else 'image.load.fits'
    params = {'url': path.as_uri(), 'name': path.name} | ({'table-id': path.as_uri()} if table else {})
    done = []
    for key in client.get_subscribed_clients(kind):
        name = client.get_metadata(key).get('samp.name', key)
        try:
            answer = _answer(client, key, {'samp.mtype': kind, 'samp.params': params})
        except Exception as error:
            # as many kinds as there are hubs
            answer = {'samp.error': {'samp.errortxt': one_line(error)}}
        if answer.get('samp.status') == 'samp.ok':
            done.append(name)
        else:
            log.warning('%s was not loaded by %s: %s', path, name,
                        answer.get('samp.error', {}).get('samp.errortxt', 'no reason given'))
    return sorted(done)


def _answer(client, key, message):
    """Send a message to a program and wait for its answer: a notification may be lost when its sender leaves.

    The hub's own call that waits loses answers that come at once.
    """
    answers, tag = queue.Queue(), message['samp.params']['url']
    client.bind_receive_response(tag, lambda *received: answers.put(received[-1]))
    try:
        client.call(key, tag, message)
        return answers.get(timeout=_PATIENCE)
    except queue.Empty:
        raise TimeoutError(f'no answer within {_PATIENCE} s') from None
    finally:
        client.unbind_receive_response(tag)
