# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The files of a model folder: ``model.json`` and the weights of each network."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from pidoc.io.files import replacing
from pidoc.io.schema import checked

__all__ = ['ModelFolderError']

FORMAT = 2


class ModelFolderError(ValueError):
    """A folder holds no model, or a damaged one."""


class _Card(msgspec.Struct):
    """model.json; a later version may say more."""

    format: Literal[FORMAT]
    about: dict
    turns: Any
    config: dict
    scaling: dict
    calibration: dict
    grid: dict
    posterior: dict
    sha256: Annotated[dict[str, str], msgspec.Meta(
        min_length=1, description='a table of checksums of weights')]


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
    checked(card, _Card, str(path), error=ModelFolderError)
    return card


def weights_of(network):
    """Name -> array of the weights of a network, in its order.

    Parameters
    ----------
    network : `keras.Model` or `~pidoc.networks.forward.ClusterForward`

    Returns
    -------
    dict
    """
    if isinstance(network.weights, dict):
        return network.weights
    return {weight.path: value for weight, value in zip(network.weights, network.get_weights(), strict=True)}


def write_weights(network, path, *, dtype=np.float16):
    """Write the weights of a network as a compressed file of numpy, atomically.

    Parameters
    ----------
    network : `keras.Model` or `~pidoc.networks.forward.ClusterForward`
    path : `~pathlib.Path`
    dtype : dtype, optional
        Half precision is 3 digits more than training leaves significant, at half the size.
    """
    arrays = {f'{k:03d} {name}': np.asarray(value, dtype=dtype)
              for k, (name, value) in enumerate(weights_of(network).items())}
    with replacing(path) as new, open(new, 'wb') as file:
        np.savez_compressed(file, **arrays)


def read_weights(path):
    """Name -> array of the weights that `write_weights` wrote.

    Raises
    ------
    ModelFolderError
        If the file is damaged.
    """
    try:
        with open(path, 'rb') as file, np.load(file, allow_pickle=False) as arrays:
            return {name.partition(' ')[2]: arrays[name].astype(np.float32) for name in sorted(arrays.files)}
    except Exception as error:
        # numpy and zipfile have many kinds of errors for damaged files
        raise ModelFolderError(f'{path} is damaged: {error}') from error


def set_weights(network, path):
    """Give a network of Keras the weights that `write_weights` wrote.

    Raises
    ------
    ModelFolderError
        If the file is damaged, or of another network.
    """
    values = list(read_weights(path).values())
    shapes = [tuple(weight.shape) for weight in network.weights]
    if [value.shape for value in values] != shapes:
        raise ModelFolderError(f'{path} holds the weights of another network: {len(values)} arrays, where '
                               f'{len(shapes)} of given shapes are needed')
    network.set_weights(values)
