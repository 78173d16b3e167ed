# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Maps of a training as the networks see them: splits in memory or on disk, batches, data augmentation."""

import hashlib

import numpy as np
from astropy import units as u
from tqdm import tqdm

from pidoc.io.files import replacing
from pidoc.networks.orientation import turned
from pidoc.networks.scaling import block_mean, SCALARS
from pidoc.training.state import TrainingError

__all__ = ['CHUNK', 'Split', 'Streamed', 'augmented', 'conditioned', 'digest_of', 'reduced', 'shuffled']

CHUNK = 256                          # maps that are read at a time


class Split:
    """Maps and scalars of a split: scalars in memory."""

    def __init__(self, table, light, mass):
        self.table, self.light, self.mass = table, light, mass
        mass, light = (self.table[name].value.astype(float) for name in ('mass', 'luminosity'))
        age, distance = self.table['age'].to_value(u.Gyr), self.table['distance'].to_value(u.kpc)
        self.scalars = np.stack([np.log(mass), np.log(mass / light), np.sqrt(age), np.log(distance)], axis=1)

    def __len__(self):
        return len(self.table)

    @property
    def distance(self):
        return np.exp(self.scalars[:, SCALARS.index('log_distance')])

    @property
    def age(self):
        return self.scalars[:, SCALARS.index('root_age')] ** 2

    def pieces(self):
        """Some maps at a time: slices."""
        return (slice(k, min(k + CHUNK, len(self))) for k in range(0, len(self), CHUNK))



def digest_of(table):
    """What distinguishes a choice of maps: SHA-256 of their masses, luminosities, ages and distances."""
    values = [np.asarray(table[name].value, dtype='<f8')
              for name in ('mass', 'luminosity', 'age', 'distance')]
    return hashlib.sha256(np.stack(values).tobytes()).hexdigest()


def reduced(maps, name, settings, folder, progress):
    """A split in blocks, mapped from disk."""
    cubes = [_cached(getattr(maps, image), len(maps), settings.block, folder / f'{name}-{image}.npy',
                     progress)
             for image in (*settings.channels, 'mass')]
    return Split(maps.table, cubes[0] if len(cubes) == 2 else _Beside(cubes[:-1]), cubes[-1])


class _Beside:
    """Several images of the same maps as channels, shape (n, y, x, c)."""

    def __init__(self, cubes):
        self.cubes = cubes
        self.shape = (*cubes[0].shape, len(cubes))

    def __getitem__(self, rows):
        return np.stack([cube[rows] for cube in self.cubes], axis=-1)


class Streamed:
    """Whole maps, read from the shards when they are asked for."""

    def __init__(self, read):
        self.read = read

    def __getitem__(self, rows):
        return np.asarray(self.read(rows))


def _cached(read, number, block, path, progress):
    """Block means of maps in a file that is mapped into memory; made if it is not there."""
    if not path.exists():
        first = block_mean(read(slice(0, 1)), block)
        with replacing(path) as new, tqdm(total=number, desc=path.stem, unit='map',
                                          disable=None if progress else True) as bar:
            cube = np.lib.format.open_memmap(new, 'w+', np.float32, (number, *first.shape[1:]))
            for k in range(0, number, CHUNK):
                cube[k:k + CHUNK] = block_mean(read(slice(k, k + CHUNK)), block)
                bar.update(min(CHUNK, number - k))
            cube.flush()
    cube = np.load(path, mmap_mode='r')
    if len(cube) != number:
        raise TrainingError(f'{path} must hold {number} maps, received {len(cube)}: remove the folder')
    return cube


def shuffled(total, settings, member, epoch):
    """Rows of each batch of an epoch; what is left over after the last whole batch is not seen in it."""
    order = np.random.default_rng((settings.seed, member, epoch, 0)).permutation(total)
    size = settings.batch_size
    for number in range(total // size):
        # in the order of the file, which is mapped from disk
        yield np.sort(order[number * size:(number + 1) * size])


def augmented(rng, orientations, *maps):
    """Data augmentation: all maps of a batch (n, y, x, c) in one of the first orientations of a square."""
    turn, mirrored = rng.integers(4), rng.random() < 0.5
    return [np.ascontiguousarray(turned(each, (turn + 4 * mirrored) % orientations)) for each in maps]


def conditioned(rng, distance, scaling, share, errors):
    """Distances that the network is conditioned on, and their errors, for a share of the maps; else zeros."""
    low, high = np.log(errors)
    error = np.exp(rng.uniform(low, high, distance.size))
    seen = distance * np.exp(error * rng.normal(size=distance.size))
    seen[rng.random(distance.size) >= share] = np.nan
    return scaling.known_distance(seen, error)
