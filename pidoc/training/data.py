# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Inputs of training: splits in memory or on disk, batches, data augmentation."""

import hashlib

import numpy as np

from pidoc.io.files import replacing
from pidoc.io.progress import ProgressBar
from pidoc.networks.orientation import turned
from pidoc.networks.scaling import block_mean, reduced
from pidoc.networks.variables import zoomed
from pidoc.training.state import TrainingError
from pidoc.training_set.files import CHUNK
from pidoc.training_set.truths import truths

__all__ = ['Split', 'Streamed', 'augmented', 'conditioned', 'digest_of', 'in_blocks', 'measured', 'seen',
           'shuffled']

_SHARE_OF_EXTREMES = 0.125           # of maps with no given properties, and of those with all
_SHARE_UNKNOWN = 0.1                 # of maps with unknown seeing and other exact constraints


class Split:
    """Maps of a split, and their true values in memory, as a network sees them (`zoomed`)."""

    def __init__(self, maps, light, mass):
        self.table, self.light, self.mass = maps.table, light, mass
        self.truths = zoomed(truths(maps.table), maps.zoom)

    def __len__(self):
        return len(self.table)

    def pieces(self):
        """Slices of the maps, in batches."""
        return (slice(k, min(k + CHUNK, len(self))) for k in range(0, len(self), CHUNK))


def digest_of(table):
    """Identifier of a selection of maps: SHA-256 of their masses, luminosities, ages and distances."""
    values = [np.asarray(table[name].value, dtype='<f8')
              for name in ('mass', 'luminosity', 'age', 'distance')]
    return hashlib.sha256(np.stack(values).tobytes()).hexdigest()


def in_blocks(maps, name, settings, folder, progress):
    """A split in blocks, memory-mapped."""
    cubes = [_cached(seen(maps, image), len(maps), settings.block, image, folder / f'{name}-{image}.npy',
                     progress)
             for image in (*settings.channels, 'mass')]
    return Split(maps, _Beside(cubes[:-1]), cubes[-1])


def seen(maps, image):
    """Reader of the images of a set as a network sees them, from rows to maps.

    Parameters
    ----------
    maps : `~pidoc.training_set.dataset.TrainingSet`
    image : {'light', 'sharp', 'mass'}

    Returns
    -------
    callable
    """
    read, zoom = getattr(maps, image), maps.zoom
    if image == 'mass' or np.all(zoom == 1.0):
        return read
    area = (zoom**2).astype(np.float32)[:, np.newaxis, np.newaxis]
    return lambda rows=slice(None): read(rows) / area[rows]


class _Beside:
    """Several images of the same maps as channels, shape (n, y, x, c)."""

    def __init__(self, cubes):
        self.cubes = cubes
        self.shape = (*cubes[0].shape, len(cubes))

    def __getitem__(self, rows):
        return np.stack([cube[rows] for cube in self.cubes], axis=-1)


class Streamed:
    """Whole maps, read from the shards on access."""

    def __init__(self, read):
        self.read = read

    def __getitem__(self, rows):
        return np.asarray(self.read(rows))


def _cached(read, number, block, image, path, progress):
    """Maps in blocks in a memory-mapped file, which is created if needed."""
    def blocks(rows):
        return block_mean(read(rows), block) if image == 'mass' else reduced(read(rows), block, image)

    if not path.exists():
        first = blocks(slice(0, 1))
        with replacing(path) as new, ProgressBar(number, path.stem, progress=progress, unit=' maps') as bar:
            cube = np.lib.format.open_memmap(new, 'w+', np.float32, (number, *first.shape[1:]))
            for k in range(0, number, CHUNK):
                cube[k:k + CHUNK] = blocks(slice(k, k + CHUNK))
                bar.update(min(CHUNK, number - k))
            cube.flush()
    cube = np.load(path, mmap_mode='r')
    if len(cube) != number:
        raise TrainingError(f'{path} must hold {number} maps, received {len(cube)}: remove the folder')
    return cube


def shuffled(total, settings, member, epoch):
    """Rows of each batch of an epoch, without the remainder after the last complete batch."""
    order = np.random.default_rng((settings.seed, member, epoch, 0)).permutation(total)
    size = settings.batch_size
    for number in range(total // size):
        # in file order, for memory-mapped access
        yield np.sort(order[number * size:(number + 1) * size])


def augmented(rng, orientations, *maps):
    """Data augmentation: the maps of a batch (n, y, x, c) in one of the first orientations of a square."""
    turn, mirrored = rng.integers(4), rng.random() < 0.5
    return [np.ascontiguousarray(turned(each, (turn + 4 * mirrored) % orientations)) for each in maps]


def measured(rng, truths, constraints):
    """Mock measurements for each map: name, and name with ``_error``, -> shape (n,)."""
    known = {}
    for each in constraints:
        values, errors = each.measured(truths[each.name], rng)
        known[each.name] = values
        if each.errors is not None:
            known[f'{each.name}_error'] = errors
    return known


def conditioned(rng, truths, scaling, share):
    """Inputs for given properties: each constraint for a fraction of the maps, with a random error.

    For an eighth of the maps nothing is given, for another eighth everything. Exact constraints, such as the
    seeing, are given for nearly all.
    """
    number = len(truths['distance'])
    known = measured(rng, truths, scaling.constraints)
    kind = rng.random(number)
    for each in scaling.constraints:
        if each.errors is not None:
            given = (rng.random(number) < share) & (kind > _SHARE_OF_EXTREMES)
            given |= kind > 1.0 - _SHARE_OF_EXTREMES
        else:
            given = rng.random(number) > _SHARE_UNKNOWN
        known[each.name] = np.where(given, known[each.name], np.nan)
    return scaling.code(known, number)
