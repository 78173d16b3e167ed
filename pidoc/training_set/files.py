# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The files of a training set: manifest, tables, and the check of its folder."""

import hashlib
import json
import os
import re
from pathlib import Path

from pidoc import __version__
from pidoc.io import fits
from pidoc.io.files import replacing

__all__ = ['TrainingSetError']

FORMAT_VERSION = 1
MANIFEST_FILE = 'manifest.json'
TABLE_FILE = 'maps.fits'
CHUNK = 256             # maps read at a time
_MOST_MAPS = 2**31      # in a file
_SHARD = re.compile(r'[A-Za-z0-9._+-]+-(train|validation|test)-\d{4,}\.fits')
_LEFTOVER = re.compile(r'\.\d+\.(.+)')


class TrainingSetError(ValueError):
    """A training set, or a necessary simulation, is missing, damaged, unfinished, or a different one."""


class Manifest:
    """The content of a folder: ``manifest.json``."""

    def __init__(self, recipe, digest, simulations, n_shards, version=__version__, state='building',
                 shards=None, table=None, snapshots=None):
        self.recipe, self.digest, self.simulations, self.n_shards = recipe, digest, simulations, n_shards
        self.version, self.state, self.shards, self.table = version, state, shards or {}, table
        # for streamed sets: number of snapshots of each finished simulation
        self.snapshots = snapshots

    def write(self, folder):
        content = {'format': 'pidoc training set', 'format_version': FORMAT_VERSION, 'pidoc': self.version,
                   'state': self.state, 'recipe_sha256': self.digest, 'recipe': self.recipe,
                   'simulations': self.simulations, 'n_files': self.n_shards, 'files': self.shards,
                   'table': self.table}
        if self.snapshots is not None:
            content['snapshots'] = self.snapshots
        with replacing(folder / MANIFEST_FILE) as temporary, open(temporary, 'w', encoding='utf-8') as stream:
            json.dump(content, stream, indent=1)
            stream.write('\n')
            stream.flush()
            os.fsync(stream.fileno())

    @classmethod
    def read(cls, folder):
        path = Path(folder) / MANIFEST_FILE
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            if content['format_version'] != FORMAT_VERSION:
                raise TrainingSetError(f'{path} must be of format version {FORMAT_VERSION}, the one this '
                                       f'pidoc knows, received {content["format_version"]!r}')
            keys = 'recipe', 'recipe_sha256', 'simulations', 'n_files', 'pidoc', 'state', 'files', 'table'
            manifest = cls(*(content[key] for key in keys), snapshots=content.get('snapshots'))
            manifest._check()
            return manifest
        except FileNotFoundError:
            raise FileNotFoundError(f'{folder} holds no training set: no {MANIFEST_FILE} in it') from None
        except TrainingSetError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise TrainingSetError(f'{path} is damaged, or no manifest of a training set: {error}') from error

    def _check(self):
        """Check types; names must be those of files in the folder."""
        if not all(isinstance(each, dict) for each in (self.recipe, self.simulations, self.shards)):
            raise ValueError('recipe, simulations and files must be tables')
        if not all(type(number) is int and number >= 0 for number in (self.snapshots or {}).values()):
            raise ValueError(f'snapshots must be whole numbers, received {self.snapshots}')
        whole = self.state == 'complete'
        table = [(TABLE_FILE, {'maps': 1, **self.table})] if whole else []
        for name, entry in [*self.shards.items(), *table]:
            if not (_SHARD.fullmatch(name) or name == TABLE_FILE):
                raise ValueError(f'files must be shards, received {name!r}')
            if not (type(entry['maps']) is type(entry['bytes']) is int and 0 < entry['maps'] < _MOST_MAPS):
                raise ValueError(f'{name} must have whole numbers of maps and bytes, received {entry}')
            _ = entry['sha256']

    def check_same(self, other, folder):
        """Check whether a build can continue another one."""
        if self.digest != other.digest:
            keys = sorted(key for key in {*self.recipe, *other.recipe} - {'description'}
                          if self.recipe.get(key) != other.recipe.get(key))
            raise TrainingSetError(f'{folder} holds the set of another recipe: {", ".join(keys)} differ. Use '
                                   'another folder')
        if (self.snapshots is None) != (other.snapshots is None):
            how = 'from' if self.snapshots is None else 'without'
            raise TrainingSetError(f'{folder} holds a set that was begun {how} a folder of simulations: go '
                                   'on in the same way, or use another folder')
        changed = sorted(name for name in {*self.simulations, *other.simulations}
                         if self.simulations.get(name) != other.simulations.get(name))
        if changed:
            raise TrainingSetError(f'{folder} was made of other simulations: {", ".join(changed)} changed '
                                   'since. Use another folder')
        if self.version != other.version and self.state != 'complete':
            raise TrainingSetError(f'{folder} was begun by pidoc {self.version}, which {other.version} '
                                   'cannot continue. Use another folder')


def read_table(path, name):
    """Read and check a table written by `write_hdus`."""
    try:
        return fits.read_table(path, name, TrainingSetError)
    except FileNotFoundError:
        raise TrainingSetError(f'{path} is missing') from None


def sha256_of(path):
    with open(path, 'rb') as stream:
        return hashlib.file_digest(stream, 'sha256').hexdigest()


def check_size(path, size):
    try:
        there = path.stat().st_size
    except FileNotFoundError:
        raise TrainingSetError(f'{path} is missing') from None
    if there != size:
        raise TrainingSetError(f'{path} must have {size} bytes, received {there}: it was cut short, or '
                               'changed')


def _is_ours(name):
    return name in (MANIFEST_FILE, TABLE_FILE, '.lock') or is_shard(name)


def is_shard(name):
    """Whether a file has the name of a shard."""
    return bool(_SHARD.fullmatch(name))


def check_contents(folder):
    """Check that a folder without a manifest is empty, so that a set is not mixed with other files."""
    if (folder / MANIFEST_FILE).exists():
        return
    foreign = []
    for path in sorted(folder.iterdir()):
        leftover = _LEFTOVER.fullmatch(path.name)
        if path.name != '.lock' and not (leftover and _is_ours(leftover[1])):
            foreign.append(path.name)
    if foreign:
        raise TrainingSetError(f'{folder} must be empty or hold a training set, received one with '
                               f'{foreign[0]}')


def remove_leftovers(folder):
    """Remove temporary files of a killed build."""
    for path in folder.iterdir():
        leftover = _LEFTOVER.fullmatch(path.name)
        if leftover and _is_ours(leftover[1]):
            path.unlink()
