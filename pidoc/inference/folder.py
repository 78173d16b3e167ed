# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The files of a model folder: ``model.json`` and the weights of each network.

``model.json`` has the checksums of the weights and one of itself. Files that claim to be large are rejected
before they are read into memory.
"""

import hashlib
import json
import math
import re
import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from pidoc.io.files import replacing
from pidoc.io.schema import checked

__all__ = ['ModelFolderError', 'read_card', 'seal']

FORMAT = 2

_MOST_BYTES = 2**25        # of model.json
_MOST_NUMBERS = 3 * 10**7  # weights: thirty times those of the packaged models
_MOST_SIDE = 1024          # of the input of a network, in blocks of pixels
_MOST_VARIABLES = 100      # outputs, constraints, channels, components, networks
# control characters, characters that reverse the direction of text, and surrogates
_CONTROL = re.compile('[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


class ModelFolderError(ValueError):
    """A folder has no model, or a damaged one."""


class _Card(msgspec.Struct):
    """model.json; later versions may have more fields."""

    format: Literal[FORMAT]
    about: dict
    turns: Any
    config: dict
    scaling: dict
    calibration: dict
    grid: dict
    posterior: dict
    sha256: Annotated[dict[str, str], msgspec.Meta(
        min_length=1, max_length=_MOST_VARIABLES, description='a table of checksums of weights')]
    checksum: str = ''
    low_mass: dict = msgspec.field(default_factory=dict)


# -- model.json -----------------------------------------------------------------------------------


def read_card(folder):
    """Read model.json of a model folder and verify its checksum, without loading a network.

    Raises
    ------
    ModelFolderError
        If it is missing, damaged, of another format, or has too large sizes.
    """
    path, card = _read(folder)
    if card.get('checksum') != _checksum(card):
        what = 'is not that of its content' if card.get('checksum') else 'is missing'
        raise ModelFolderError(f'{path} is damaged or was edited: its checksum {what}; '
                               'pidoc.inference.folder.seal(folder) writes it anew for one that you trust')
    return card


def seal(folder):
    """Write the checksum of a model.json that was edited by hand, or written by an older version.

    Parameters
    ----------
    folder : path-like
        Folder of a model that you trust.

    Raises
    ------
    ModelFolderError
        As for `read_card`, except for the checksum.

    Examples
    --------
    >>> from pidoc.inference.folder import seal
    >>> seal('mine')                                                                       # doctest: +SKIP
    """
    write_card(folder, _read(folder)[1])


def write_card(folder, card):
    """Write model.json with its checksum, atomically.

    Parameters
    ----------
    folder : path-like
    card : dict
        Content of model.json.

    Raises
    ------
    ValueError
        If a text has control characters.
    """
    card = json.loads(json.dumps(card))
    check_characters(card)
    text = json.dumps({**card, 'checksum': _checksum(card)}, indent=1)
    with replacing(Path(folder) / 'model.json') as new:
        new.write_text(text + '\n', encoding='utf-8')


def _read(folder):
    """Path and content of model.json, verified except for the checksum."""
    path = Path(folder) / 'model.json'
    if not path.is_file():
        raise ModelFolderError(f'{folder} holds no model: there is no model.json')
    _check_bytes(path, _MOST_BYTES)
    try:
        card = json.loads(path.read_text(encoding='utf-8'))
        checked(card, _Card, str(path), error=ModelFolderError)
        check_characters(card)
        _check_sizes(card)
    except ModelFolderError:
        raise
    except (RecursionError, ValueError) as error:
        raise ModelFolderError(f'{path} is damaged: {error}') from error
    return path, card


def _checksum(card):
    """SHA-256 of the content without the checksum, independent of formatting."""
    content = {key: value for key, value in card.items() if key != 'checksum'}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _check_bytes(path, most):
    size = path.stat().st_size
    if size > most:
        raise ModelFolderError(f'{path} must have at most {most} bytes, received {size}')


def check_characters(values):
    """Reject texts with control characters.

    Parameters
    ----------
    values : dict
        Texts, and lists and dicts of texts; other values are ignored. A ``description`` can have line breaks.

    Raises
    ------
    ValueError
        If there is one.
    """
    left = [('', values)]
    while left:
        place, value = left.pop()
        if isinstance(value, str):
            found = _CONTROL.search(value.replace('\n', '') if place == 'description' else value)
            if found:
                raise ValueError(f'{place} must have no control characters, received {value[:80]!a}')
        elif isinstance(value, dict):
            left += [item for key, each in value.items() for item in (('names', key), (key, each))]
        elif isinstance(value, list):
            left += [(place, each) for each in value if isinstance(each, (str, dict, list))]


def _check_sizes(card):
    """Reject sizes of arrays larger than those of any model, before arrays are created."""
    for value in card['config'].get('shape') or ():
        if isinstance(value, int) and value > _MOST_SIDE:
            raise ValueError(f'shape must be of numbers up to {_MOST_SIDE}, received {value}')
    components = card['posterior'].get('components')
    if isinstance(components, (int, float)) and components > _MOST_VARIABLES:
        raise ValueError(f'components must be up to {_MOST_VARIABLES}, received {components}')
    for part in ('scaling', 'posterior'):
        for name, value in card[part].items():
            if isinstance(value, list) and len(value) > _MOST_VARIABLES:
                raise ValueError(f'{name} must have at most {_MOST_VARIABLES} entries, received {len(value)}')


# -- weights --------------------------------------------------------------------------------------


def weight_files(folder, card):
    """Paths of the weights of a model, with verified checksums.

    Raises
    ------
    ModelFolderError
        If one is missing, damaged or too large.
    """
    paths = []
    for name, digest in card['sha256'].items():
        path = Path(folder) / name
        if Path(name).name != name or not path.is_file():
            raise ModelFolderError(f'{folder}: the weights {name} are missing')
        # single precision, and the header of each array
        _check_bytes(path, 5 * _MOST_NUMBERS)
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise ModelFolderError(f'{path} is damaged: its SHA-256 is not that in model.json')
        paths.append(path)
    return paths


def weights_of(network):
    """Name -> array of the weights of a network, in order.

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
    """Write the weights of a network as a compressed numpy file, atomically.

    Parameters
    ----------
    network : `keras.Model` or `~pidoc.networks.forward.ClusterForward`
    path : `~pathlib.Path`
    dtype : dtype, optional
        Half precision has 3 digits, more than are significant after training, at half the size.

    Raises
    ------
    ValueError
        If a weight is not finite in this precision.
    """
    arrays = {}
    for k, (name, value) in enumerate(weights_of(network).items()):
        # values out of range of half precision become infinite
        with np.errstate(over='ignore'):
            arrays[f'{k:03d} {name}'] = _finite(name, np.asarray(value, dtype=dtype))
    with replacing(path) as new, open(new, 'wb') as file:
        np.savez_compressed(file, **arrays)


def read_weights(path):
    """Name -> array of the weights written by `write_weights`.

    Raises
    ------
    ModelFolderError
        If the file is damaged, its arrays are larger than those of any network, or not all are finite.
    """
    try:
        _check_arrays(path)
        with open(path, 'rb') as file, np.load(file, allow_pickle=False) as arrays:
            return {name.partition(' ')[2]: _finite(name, arrays[name].astype(np.float32))
                    for name in sorted(arrays.files)}
    except Exception as error:
        # numpy and zipfile raise many kinds of errors for damaged files
        raise ModelFolderError(f'{path} is damaged: {error}') from error


def _check_arrays(path):
    """Reject arrays by their headers, before they are created."""
    left = _MOST_NUMBERS
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        # limits the number of bytes that are unpacked
        size = sum(member.file_size for member in members)
        if size > 8 * _MOST_NUMBERS:
            raise ValueError(f'it must unpack to at most {8 * _MOST_NUMBERS} bytes, received {size}')
        for member in members:
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                head = (np.lib.format.read_array_header_1_0 if version == (1, 0)
                        else np.lib.format.read_array_header_2_0)
                shape, _, dtype = head(file)
            if dtype.kind != 'f':
                raise ValueError(f'{member.filename!a} must be of real numbers, received {dtype}')
            left -= math.prod(shape)
            if left < 0:
                raise ValueError(f'it must hold at most {_MOST_NUMBERS} numbers, received an array of '
                                 f'{" x ".join(map(str, shape))}, {member.filename!a}')


def _finite(name, values):
    """The values, if all are finite; otherwise an error."""
    bad = values.size - np.count_nonzero(np.isfinite(values))
    if bad:
        raise ValueError(f'the weights {name} must be finite, received {bad} of {values.size} that are not')
    return values


def set_weights(network, path):
    """Set the weights of a Keras network from a file of `write_weights`.

    Raises
    ------
    ModelFolderError
        If the file is damaged, or has the weights of another network.
    """
    values = list(read_weights(path).values())
    shapes = [tuple(weight.shape) for weight in network.weights]
    if [value.shape for value in values] != shapes:
        raise ModelFolderError(f'{path} holds the weights of another network: {len(values)} arrays, where '
                               f'{len(shapes)} of given shapes are needed')
    network.set_weights(values)
