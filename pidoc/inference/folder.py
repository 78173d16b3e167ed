# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The files of a model folder: ``model.json`` and the weights of each network."""

import json
from pathlib import Path

import numpy as np

from pidoc.io.files import replacing

__all__ = ['ModelFolderError']

FORMAT = 1


class ModelFolderError(ValueError):
    """A folder holds no model, or a damaged one."""


def read_card(folder):
    """model.json of a model folder, without loading a network.

    Raises
    ------
    ModelFolderError
        If it is missing, damaged or of another format.
    """
    path = Path(folder) / 'model.json'
    try:
        card = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise ModelFolderError(f'{folder} holds no model: there is no model.json') from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelFolderError(f'{path} is damaged: {error}') from error
    if not isinstance(card, dict) or card.get('format') != FORMAT:
        raise ModelFolderError(f'{path} must be of format {FORMAT}, received '
                               f'{card.get("format") if isinstance(card, dict) else type(card).__name__}')
    missing = {'about', 'turns', 'config', 'scaling', 'calibration', 'sha256'} - set(card)
    if missing or not isinstance(card['sha256'], dict) or not card['sha256']:
        raise ModelFolderError(f'{path} lacks {", ".join(sorted(missing)) or "the checksums of weights"}')
    for name in ('about', 'config', 'scaling', 'calibration'):
        if not isinstance(card[name], dict):
            raise ModelFolderError(f'{path} must have a table of {name}, received {card[name]!r}')
    return card


def write_weights(network, path, *, dtype=np.float16):
    """Write the weights of a network as a compressed file of numpy, atomically.

    Parameters
    ----------
    network : `keras.Model`
    path : `~pathlib.Path`
    dtype : dtype, optional
        Half precision is 3 digits more than training leaves significant, at half the size.
    """
    arrays = {f'{k:03d} {weight.path}': np.asarray(value, dtype=dtype)
              for k, (weight, value) in enumerate(zip(network.weights, network.get_weights(), strict=True))}
    with replacing(path) as new, open(new, 'wb') as file:
        np.savez_compressed(file, **arrays)


def read_weights(network, path):
    """Give a network the weights that `write_weights` wrote.

    Raises
    ------
    ModelFolderError
        If the file is damaged, or of another network.
    """
    try:
        with open(path, 'rb') as file, np.load(file, allow_pickle=False) as arrays:
            values = [arrays[name].astype(np.float32) for name in sorted(arrays.files)]
    except Exception as error:
        # numpy and zipfile have many kinds of errors for damaged files
        raise ModelFolderError(f'{path} is damaged: {error}') from error
    shapes = [tuple(weight.shape) for weight in network.weights]
    if [value.shape for value in values] != shapes:
        raise ModelFolderError(f'{path} holds the weights of another network: {len(values)} arrays, where '
                               f'{len(shapes)} of given shapes are needed')
    network.set_weights(values)
