# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Many mock observations on disk, to train networks on: `TrainingSet`.

A folder of FITS files, shards, each with the cubes of some hundred maps and a table that says how each was
made; a table of all maps; and a manifest with the recipe and checksums. The k-th map of a part follows from
the recipe's seed, the name of the part and k alone: whoever makes it, in any order, makes the same bytes.
"""

import hashlib
import json
import logging
import os
import re
import time
import warnings
from collections import namedtuple
from functools import lru_cache
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.io.registry import IORegistryError
from astropy.nddata import CCDData
from astropy.table import QTable, Table
from astropy.utils.exceptions import AstropyWarning
from tqdm import tqdm

from pidoc import __version__, Snapshot
from pidoc.cluster.model import ClusterModel
from pidoc.io.files import locked, replacing
from pidoc.mock.observation import APPARENT_FLUX, MASS_PER_PIXEL, Mock, mock_header, observe, star_light
from pidoc.io.html import html_table
from pidoc.photometry import band_luminosity
from pidoc.io.processes import begin_worker, scheduler_client, threads_each
from pidoc.training_set.recipe import CONDITION_UNITS, conditions_of, Recipe, Values
from pidoc.cluster.snapshot import write_hdus
from pidoc.units import SOLAR_TEFF

__all__ = ['TrainingSet', 'TrainingSetError', 'simulate']

log = logging.getLogger(__name__)

_FORMAT_VERSION = 1
_MANIFEST = 'manifest.json'
_TABLE = 'maps.fits'
_CUBES = {'LIGHT': APPARENT_FLUX, 'MASS': MASS_PER_PIXEL, 'SHARP': APPARENT_FLUX}
_MOST_MAPS = 2**31      # in a file
_JITTER_ABOVE = 0.5     # Msun: initial masses whose light is given play; lighter stars hardly shine
_SHARD = re.compile(r'[A-Za-z0-9._+-]+-(train|validation|test)-\d{4,}\.fits')
_LEFTOVER = re.compile(r'\.\d+\.(.+)')

#: Numbers of each map that are worked out before it is made.
_DRAWN = {
    'number': (None, 'of the map in its part'), 'snapshot': (None, 'number of the snapshot, from 0'),
    'distance': (u.kpc, 'of the cluster'), 'seeing': (u.arcsec, 'full width at half maximum of the PSF'),
    'shift_x': (u.arcsec, 'of the cluster to the right'), 'shift_y': (u.arcsec, 'of the cluster upwards'),
    'rotation': (u.deg, 'counter-clockwise'),
    'view_x': (u.one, 'direction of the observer, NaN: from the seed'),
    'view_y': (u.one, 'direction of the observer'), 'view_z': (u.one, 'direction of the observer'),
    'seed': (None, 'of everything else that is drawn'),
}
#: Numbers of each map that are known when it is made.
_MEASURED = {
    'age': (u.Gyr, 'age of the cluster'), 'mass': (u.Msun, 'in the field'),
    'luminosity': (u.Lsun, 'of the cluster in the field, without noise'),
    'n_stars': (None, 'initial number of the model, -1: not known'),
    'half_mass_radius0': (u.pc, 'initial one of the model'),
    'metallicity': (u.one, 'of the model'),
}
_INTEGERS = ('number', 'snapshot', 'seed', 'n_stars')
#: Order of the columns of the table of maps; the conditions come after them.
_COLUMNS = ('split', 'part', 'simulation', 'snapshot', 'age', 'distance', 'seeing', 'shift_x', 'shift_y',
            'rotation', 'seed', 'mass', 'luminosity', 'n_stars', 'half_mass_radius0', 'metallicity', 'number',
            'view_x', 'view_y', 'view_z')


class TrainingSetError(ValueError):
    """A training set, or a simulation that it needs, is missing, damaged, unfinished, or another's."""


# -- the set --------------------------------------------------------------------------------------


class TrainingSet:
    """Maps of light and mass, and a table of how each was made. Made by `build` or `read`.

    Attributes
    ----------
    table : `~astropy.table.QTable`
        One row a map: ``split``, ``part``, ``simulation``, ``snapshot``, ``age`` [Gyr], ``distance`` [kpc],
        ``seeing``, ``shift_x``, ``shift_y`` [arcsec], ``rotation`` [deg], ``seed``, ``mass`` [Msun] and
        ``luminosity`` [Lsun] in the field (the light of the cluster alone, without noise and extinction),
        ``n_stars``, ``half_mass_radius0`` [pc] and ``metallicity`` of the model (-1 and NaN where there is
        none; of rescaled clusters those that they now have), ``number`` of the map in its part, ``view_x`` to
        ``view_z`` (NaN where drawn from the seed), and a column for ``stars_kept``, ``size_factor`` and each
        condition of the recipe that is there.
    recipe : `~pidoc.training_set.recipe.Recipe`
    folder : `~pathlib.Path`

    Examples
    --------
    One simulation of 300 stars, observed four times:

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from astropy import units as u
    >>> from pidoc.training_set.recipe import Recipe
    >>> from pidoc.simulation import run
    >>> from pidoc.training_set.dataset import TrainingSet
    >>> recipe = Recipe({'name': 'four', 'seed': 1, 'maps': {'sharp': False},
    ...                  'simulations': [{'group': 'all', 'base': 'MW15', 'ages': [5],
    ...                                   'rows': [{'name': 'few', 'n_stars': 300, 'seed': 1}]}],
    ...                  'part': [{'name': 'train', 'simulations': 'few', 'split': 'train', 'number': 4,
    ...                            'distance': [10, 20], 'seeing': 1.0, 'rotation': 'any'}]})
    >>> with TemporaryDirectory() as folder:
    ...     for name, (model, ages) in recipe.models.items():
    ...         log = run(model, Path(folder) / name, ages=ages * u.Myr)
    ...     maps = TrainingSet.build(recipe, Path(folder) / 'set', simulations=folder, jobs=1)
    ...     print(len(maps), maps.light([0, 3]).shape, maps.table['mass'].unit)
    4 (2, 160, 160) solMass
    """

    def __init__(self, folder, recipe, table, shard, place, files):
        self.folder, self.recipe, self.table = folder, recipe, table
        self._shard, self._place, self._files = shard, place, files
        self._cubes = {}

    def __len__(self):
        return len(self.table)

    def __repr__(self):
        return f'<TrainingSet {self.recipe.name}: {len(self)} maps in {self.folder}>'

    def _repr_html_(self):
        splits, counts = np.unique(self.table['split'], return_counts=True)
        maps = [(split, f'{count} maps') for split, count in zip(splits, counts, strict=True)]
        return html_table(f'TrainingSet {self.recipe.name}', [('folder', self.folder), *maps])

    def __getstate__(self):
        # a mapped file would travel with all that is in it
        return self.__dict__ | {'_cubes': {}}

    @property
    def pixel_scale(self):
        """Side of a pixel."""
        return self.recipe.maps.pixel_scale * u.arcsec

    @property
    def has_sharp(self):
        """Whether the light before the smoothing was kept."""
        return self.recipe.maps.sharp

    def split(self, name):
        """The maps of one split.

        Parameters
        ----------
        name : {'train', 'validation', 'test'}

        Returns
        -------
        TrainingSet
            Of the same files.

        Raises
        ------
        ValueError
            If there are none.
        """
        rows = np.flatnonzero(self.table['split'] == name)
        if not rows.size:
            raise ValueError(f'split must be one of {", ".join(sorted(set(self.table["split"])))}, '
                             f'received {name!r}')
        return self[rows]

    def __getitem__(self, rows):
        """The set of some rows: a slice, integers, or booleans."""
        rows = self._rows(rows)
        return TrainingSet(self.folder, self.recipe, self.table[rows], self._shard[rows], self._place[rows],
                           self._files)

    def light(self, rows=slice(None)):
        """Light maps: apparent flux F = L / (4 pi d^2) per pixel [Lsun/kpc^2].

        Parameters
        ----------
        rows : slice or array of int or bool, optional
            Which maps; by default all.

        Returns
        -------
        array of float32, shape (n, ny, nx)
            Only these maps are read from the files.

        Raises
        ------
        TrainingSetError
            If a file is missing or cut short.
        """
        return self._read('LIGHT', rows)

    def mass(self, rows=slice(None)):
        """Mass maps: Msun per pixel; as `light`."""
        return self._read('MASS', rows)

    def sharp(self, rows=slice(None)):
        """Light before the smoothing; as `light`. NaN where a pixel is bad.

        Raises
        ------
        ValueError
            If it was not kept.
        """
        if not self.has_sharp:
            raise ValueError('sharp must be kept by the recipe ([maps], sharp = true), '
                             f'{self.recipe.name} does not')
        return self._read('SHARP', rows)

    def mock(self, row):
        """One map as a mock observation.

        Parameters
        ----------
        row : int

        Returns
        -------
        `~pidoc.mock.Mock`
            In the precision of the set, without the mask.
        """
        values = self.table[int(row)]
        maps = self.recipe.maps
        part = next(part for part in self.recipe.parts if part.name == values['part'])
        header, wcs = mock_header(
            maps.n_pixels, maps.pixel_scale, shift=[values['shift_x'].value, values['shift_y'].value],
            simulation=str(values['simulation']), age=values['age'].value, distance=values['distance'].value,
            seeing=values['seeing'].value, band=maps.band, correction=maps.correction,
            smoothing=maps.smoothing, oversampling=maps.oversampling, rotation=values['rotation'].value,
            seed=int(values['seed']), view=[float(values[f'view_{axis}']) for axis in 'xyz'],
            conditions=_conditions(part, values))
        if part.conditions is not None:
            header['LUMTRUE'] = float(values['luminosity'].value)
        rows = [int(row) % len(self)]
        light, mass = self.light(rows)[0], self.mass(rows)[0]
        sharp = CCDData(self.sharp(rows)[0], unit=APPARENT_FLUX, wcs=wcs) if self.has_sharp else None
        return Mock(light=CCDData(light, unit=APPARENT_FLUX, wcs=wcs, meta=header),
                    mass=CCDData(mass, unit=MASS_PER_PIXEL, wcs=wcs), sharp=sharp, age=values['age'],
                    distance=values['distance'], psf_fwhm=values['seeing'], band=maps.band,
                    simulation=str(values['simulation']), seed=int(values['seed']))

    def _rows(self, rows):
        rows = np.arange(len(self))[rows]
        return np.atleast_1d(rows)

    def _read(self, name, rows):
        rows = self._rows(rows)
        side = self.recipe.maps.n_pixels
        result = np.empty((rows.size, side, side), dtype=np.float32)
        shard, place = self._shard[rows], self._place[rows]
        for number in np.unique(shard):
            here = np.flatnonzero(shard == number)
            result[here] = self._cube(name, int(number))[place[here]]
        return result

    def _cube(self, name, number):
        """A cube of a shard, mapped into memory."""
        if (name, number) not in self._cubes:
            entry = self._files[number]
            path = self.folder / entry['file']
            _check_size(path, entry['bytes'])
            try:
                # opened here, because astropy does not close what it cannot read
                with warnings.catch_warnings(), open(path, 'rb') as stream, fits.open(stream) as hdus:
                    warnings.simplefilter('error', AstropyWarning)
                    hdu = hdus[name]
                    offset, shape = hdu.fileinfo()['datLoc'], hdu.shape
                side = self.recipe.maps.n_pixels
                if shape != (entry['maps'], side, side) or hdu.header['BITPIX'] != -32:
                    raise ValueError(f'{name} must hold {entry["maps"]} maps of {side} x {side} pixels, '
                                     f'received {shape}')
            except Exception as error:
                # astropy has many kinds of errors for files that do not hold what they promise
                raise TrainingSetError(f'{path} is damaged, or not what it should be: {error}') from error
            self._cubes[name, number] = np.memmap(path, '>f4', 'r', offset, shape)
        return self._cubes[name, number]

    # -- from and to disk

    @classmethod
    def read(cls, folder, *, check=False):
        """Open a training set; the maps stay on disk until they are asked for.

        Parameters
        ----------
        folder : path-like
        check : bool, optional
            Read all files and compare their SHA-256 with the manifest; else only their sizes are.

        Returns
        -------
        TrainingSet

        Raises
        ------
        FileNotFoundError
            If there is no training set.
        TrainingSetError
            If it is not complete, or a file is missing, cut short, or (with ``check``) changed.
        """
        folder = Path(folder)
        manifest = _Manifest.read(folder)
        if manifest.state != 'complete':
            raise TrainingSetError(f'{folder} is not complete: {len(manifest.shards)} of {manifest.n_shards} '
                                   'files are there; the command that began it goes on with it')
        files = [{'file': name, **entry} for name, entry in manifest.shards.items()]
        for entry in [*files, {'file': _TABLE, **manifest.table}]:
            _check_size(folder / entry['file'], entry['bytes'])
            if check and _sha256(folder / entry['file']) != entry['sha256']:
                raise TrainingSetError(f'{folder / entry["file"]} is not what was written: its SHA-256 is '
                                       'not that in the manifest; remove it, and build the set again')
        table = _read_table(folder / _TABLE, 'MAPS')
        number = [entry['maps'] for entry in files]
        shard = np.repeat(np.arange(len(files)), number)
        place = np.concatenate([np.arange(n) for n in number])
        return cls(folder, Recipe(manifest.recipe), table, shard, place, files)

    @classmethod
    def build(cls, recipe, folder, *, simulations, jobs=2, scheduler=None, progress=True):
        """Make the maps of a recipe.

        Started again after it was stopped, at whatever moment, it goes on with the files that are missing
        and ends with the same bytes.

        Parameters
        ----------
        recipe : `~pidoc.training_set.recipe.Recipe` or path-like
            A recipe, the name of one that is shipped, or a file.
        folder : path-like
            Made if need be; to hold this set and nothing else.
        simulations : path-like
            Folder with the folders of the runs.
        jobs : int, optional
            Processes that work at the same time. The result does not depend on it.
        scheduler : str, optional
            Address of a dask scheduler ('tcp://...'), whose workers then do the work instead; they must see
            both folders under the same paths.
        progress : bool, optional
            Whether to show a progress bar, if there is a terminal.

        Returns
        -------
        TrainingSet

        Raises
        ------
        RecipeError
            If the recipe is not acceptable.
        TrainingSetError
            If a simulation is missing, unfinished or another one than the recipe says; if the folder holds
            something else, or is being used; if a snapshot lacks what is needed; if a worker was killed.
        OSError
            If a file cannot be written, because the disk is full, say. What was complete stays.

        Notes
        -----
        Processes are started with the 'spawn' method, so a script that calls this with ``jobs`` above 1 must
        do so under ``if __name__ == '__main__':``.
        """
        if not isinstance(recipe, Recipe):
            recipe = Recipe.read(recipe)
        if isinstance(jobs, bool) or int(jobs) != jobs or jobs < 1:
            raise ValueError(f'jobs must be a whole number above 0, received {jobs!r}')
        folder = Path(folder).absolute()
        sources = _sources(recipe, Path(simulations).absolute())
        folder.mkdir(parents=True, exist_ok=True)
        _check_contents(folder)
        with locked(folder, TrainingSetError(f'{folder} is being used by another build')):
            _remove_leftovers(folder)
            _Build(recipe, folder, sources, int(jobs), scheduler, progress).finish()
        return cls.read(folder)


# -- simulations ----------------------------------------------------------------------------------


_Source = namedtuple('_Source', 'name paths options fingerprint model', defaults=[None])
"""Of a simulation: file of each snapshot, what its reader is told, what tells it from others, its model."""


def _sources(recipe, folder):
    """The simulations that the parts of a recipe take, looked up in a folder."""
    if not folder.is_dir():
        raise TrainingSetError(f'simulations must be a folder, {folder} is none')
    runs = sorted(path.parent.name for path in folder.glob('*/model.fits'))
    taken = recipe.simulations_of_parts(runs)
    foreign = {item.name: item for item in recipe.foreign}
    names = sorted({name for names in taken.values() for name in names})
    missing = [name for name in names if name not in foreign and name not in runs]
    if missing:
        raise TrainingSetError(f'{folder} must hold the simulations of recipe {recipe.name}: '
                               f'{", ".join(missing)} not found')
    sources = {name: _foreign_source(foreign[name], folder) if name in foreign
               else _run_source(name, folder / name, recipe.models.get(name)) for name in names}
    _check_apart(recipe, taken, sources)
    return sources


def _check_apart(recipe, taken, sources):
    """What the recipe cannot see: the same cluster, or the same files, under two names."""
    test, others = ({name for part in recipe.parts if ('test' in part.splits) == side
                     for name in taken[part.name]} for side in (True, False))
    seen = {}
    for name in sorted(others):
        source = sources[name]
        seen.update(dict.fromkeys((path.resolve() for path in source.paths), name))
        if source.model is not None:
            seen[source.model.replace(name='')] = name
    for name in sorted(test):
        source = sources[name]
        marks = [path.resolve() for path in source.paths]
        marks += [] if source.model is None else [source.model.replace(name='')]
        same = next((seen[mark] for mark in marks if mark in seen), None)
        if same is not None:
            raise TrainingSetError('no simulation may be both in test and in train or validation: '
                                   f'{name} is the same as {same}')


def _run_source(name, folder, expected):
    """A run of ours, which must be complete, and what the recipe says, if it says anything."""
    record = _read_table(folder / 'model.fits', 'MODEL')
    model = ClusterModel.from_header(record.meta['header'])
    ages = record['age'].to_value(u.Myr)
    if expected is not None:
        _check_run(folder, model, ages, *expected)
    if not (folder / 'log.fits').exists():
        raise TrainingSetError(f'{folder} is a run that has not come far yet: let it be finished')
    rows = _read_table(folder / 'log.fits', 'LOG')
    if rows.meta['header']['STATE'] == 'running':
        raise TrainingSetError(f'{folder} is not complete: the run has {len(rows)} of {len(ages)} snapshots; '
                               'let it be finished')
    paths = [folder / 'snapshots' / f'snapshot_{k:05d}.fits' for k in range(len(rows))]
    absent = [path for path in paths if not path.exists()]
    if absent or not paths:
        raise TrainingSetError(f'{folder} must have its {len(rows)} snapshots: '
                               f'{absent[0].name if absent else "none"} not found')
    return _Source(name, paths, [{}] * len(paths), _sha256(folder / 'log.fits'), model)


def _check_run(folder, model, ages, expected, expected_ages):
    if model != expected:
        fields = [field for field in expected.__dataclass_fields__
                  if np.any(getattr(model, field) != getattr(expected, field))]
        raise TrainingSetError(f'{folder} is a run of another model than the recipe says: '
                               f'{", ".join(fields)} differ')
    if not np.array_equal(ages, expected_ages):
        raise TrainingSetError(f'{folder} is a run with other ages than the recipe says: {len(ages)} there, '
                               f'{len(expected_ages)} in the recipe')


def _foreign_source(foreign, folder):
    options = dict(foreign.options)
    if 'age' in options:
        options['age'] = options['age'] * u.Gyr
    paths = []
    for pattern in foreign.files:
        # of an absolute path the folder is forgotten
        place = folder / pattern
        base = Path(place.anchor)
        found = sorted(base.glob(str(place.relative_to(base))))
        if not found:
            raise TrainingSetError(f'simulation {foreign.name}: {place} fits no file')
        paths += found
    told = [options | ({} if at is None else {'at': at}) for at in foreign.at]
    sizes = [[path.name, path.stat().st_size] for path in paths]
    fingerprint = hashlib.sha256(json.dumps([sizes, foreign.at, str(options)]).encode()).hexdigest()
    return _Source(foreign.name, [path for path in paths for _ in told], told * len(paths), fingerprint)


def simulate(recipe, folder, *, jobs=2, scheduler=None, progress=True):
    """Run the simulations of a recipe that are not there yet.

    Parameters
    ----------
    recipe : `~pidoc.training_set.recipe.Recipe`
    folder : path-like
        Where the folders of the runs go, or are.
    jobs, scheduler, progress
        As for `pidoc.simulation.run_many`.

    Raises
    ------
    TrainingSetError
        If one of them failed; the others are finished.
    """
    from pidoc.simulation import run_many

    wanted = {name for names in recipe.simulations_of_parts([]).values() for name in names}
    same_ages = {}
    for name, (model, ages) in recipe.models.items():
        if name in wanted:
            same_ages.setdefault(tuple(ages), []).append(model)
    failed = []
    for ages, models in same_ages.items():
        summary = run_many(models, folder, ages=np.array(ages) * u.Myr, jobs=jobs, scheduler=scheduler,
                           progress=progress)
        failed += [f'{row["name"]}: {row["error"]}' for row in summary[summary['state'] == 'failed']]
    if failed:
        raise TrainingSetError(f'{len(failed)} of {len(wanted)} simulations failed: {"; ".join(failed)}')


# -- what is drawn --------------------------------------------------------------------------------


def _key_of(name):
    """A number that stands for a name in a seed."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], 'big')


def _condition_names(part):
    return [name for name in CONDITION_UNITS if name in (part.conditions or {})]


def _own_names(part):
    """Columns that not every part has."""
    return [*part.rescaling, *_condition_names(part)]


def _draws(recipe, part, sources):
    """All maps of a part: a structured array, one row a map, sorted by split, simulation and snapshot."""
    counts = np.array([len(source.paths) for source in sources])
    key = _key_of(part.name)
    pairs = _product(recipe, part, counts, key) if part.product else None
    number = part.number if pairs is None else len(pairs[0])
    own = part.rescaling | {name: part.conditions[name] for name in _condition_names(part)}
    dtype = [(name, np.int64 if name in _INTEGERS else np.float64) for name in _DRAWN]
    rows = np.zeros(number, [*dtype, *((name, np.float64) for name in own), ('split', np.int8),
                             ('source', np.int32)])
    start = np.concatenate([[0], np.cumsum(counts)])
    for k in range(number):
        rng = np.random.default_rng(np.random.SeedSequence(recipe.seed, spawn_key=(key, k)))
        row = rows[k]
        row['number'], row['seed'] = k, rng.integers(2**62)
        if pairs is None:
            row['source'], row['snapshot'] = _one_of(rng, part.evenly, counts, start)
            row['distance'], row['seeing'] = part.distance.draw(rng), part.seeing.draw(rng)
        row['shift_x'], row['shift_y'] = _draw_shift(part.shift, rng)
        row['rotation'] = _draw_rotation(part.rotation, rng)
        view = (np.nan,) * 3 if part.direction == 'random' else part.direction.draw(rng)
        row['view_x'], row['view_y'], row['view_z'] = view
        for name, values in own.items():
            row[name] = values.draw(rng)
    if pairs is not None:
        for name, values in zip(('source', 'snapshot', 'distance', 'seeing'), pairs, strict=True):
            rows[name] = values
    begin = 0
    for which, size in enumerate(part.splits.values()):
        rows['split'][begin:None if size is None else begin + size] = which
        begin += size or 0
    return rows[np.lexsort([rows[name] for name in ('number', 'snapshot', 'source', 'split')])]


def _product(recipe, part, counts, key):
    """Source, snapshot, distance and seeing of each map, none twice."""
    distances, seeings = part.distance.choices, part.seeing.choices
    each = len(distances) * len(seeings)
    total = int(counts.sum()) * each
    if part.number is None:
        chosen = np.arange(total)
    elif part.number > total:
        raise TrainingSetError(f'recipe {recipe.name}, [[part]] {part.name}: must have at most as many maps '
                               f'as there are snapshots x distances x seeings, {total}, received '
                               f'{part.number}')
    else:
        rng = np.random.default_rng(np.random.SeedSequence(recipe.seed, spawn_key=(key,)))
        chosen = rng.choice(total, part.number, replace=False)
    snapshot, rest = np.divmod(chosen, each)
    start = np.concatenate([[0], np.cumsum(counts)])
    source = np.searchsorted(start, snapshot, side='right') - 1
    return (source, snapshot - start[source], np.array(distances)[rest // len(seeings)],
            np.array(seeings)[rest % len(seeings)])


def _one_of(rng, evenly, counts, start):
    """A simulation and one of its snapshots."""
    if evenly:
        source = int(rng.integers(len(counts)))
        return source, int(rng.integers(counts[source]))
    snapshot = int(rng.integers(start[-1]))
    source = int(np.searchsorted(start, snapshot, side='right')) - 1
    return source, snapshot - int(start[source])


def _draw_shift(shift, rng):
    if shift == 'random':
        return tuple(rng.uniform(-5.0, 5.0, 2))
    return shift.draw(rng) if shift.choices else (shift.draw(rng), shift.draw(rng))


def _draw_rotation(rotation, rng):
    if isinstance(rotation, Values):
        return rotation.draw(rng)
    return 90.0 * rng.integers(4) if rotation == 'random' else rng.uniform(0.0, 360.0)


# -- shards ---------------------------------------------------------------------------------------


_Task = namedtuple('_Task', 'path recipe part split draws names files')
"""A shard to be made: its file, what it is of, the rows of `_draws`, and for each row the name of its
simulation and the (path, options) of its snapshot."""


def _tasks(recipe, folder, sources):
    taken = recipe.simulations_of_parts(sources)
    for part in recipe.parts:
        here = [sources[name] for name in taken[part.name]]
        draws = _draws(recipe, part, here)
        for which, split in enumerate(part.splits):
            rows = draws[draws['split'] == which]
            for number, begin in enumerate(range(0, len(rows), recipe.maps.shard)):
                piece = rows[begin:begin + recipe.maps.shard]
                names = [here[row['source']].name for row in piece]
                files = [(here[row['source']].paths[row['snapshot']],
                          here[row['source']].options[row['snapshot']]) for row in piece]
                path = folder / f'{part.name}-{split}-{number:04d}.fits'
                yield _Task(path, recipe, part, split, piece, names, files)


def _make_shard(task):
    """Make and write a shard; its number of maps, size and SHA-256."""
    maps, side = task.recipe.maps, task.recipe.maps.n_pixels
    cubes = {name: np.empty((len(task.draws), side, side), dtype='>f4')
             for name in _CUBES if name != 'SHARP' or maps.sharp}
    measured, snapshot, last = [], None, None
    for k, (row, name, file) in enumerate(zip(task.draws, task.names, task.files, strict=True)):
        if file != last:
            snapshot, last = _read_snapshot(*file), file
        varied = _rescaled(snapshot, task.part, row)
        mock = _observe(varied, task.recipe, task.part, row, name)
        cubes['LIGHT'][k], cubes['MASS'][k] = mock.light.data, mock.mass.data
        if maps.sharp:
            cubes['SHARP'][k] = mock.sharp.data
        measured.append(_measured(varied, mock))
    try:
        write_hdus(_shard_hdus(task, cubes, measured), task.path)
        with open(task.path, 'r+b') as stream:
            # a manifest must not speak of what only the memory knows
            os.fsync(stream.fileno())
    except OSError as error:
        message = (f'{task.path} could not be written: {error}; what is complete is kept, and the build goes '
                   'on when it is started again')
        raise (OSError(message) if error.errno is None else OSError(error.errno, message)) from error
    return {'maps': len(task.draws), 'bytes': task.path.stat().st_size, 'sha256': _sha256(task.path)}


def _read_snapshot(path, options):
    try:
        return Snapshot.read(path, **options)
    except (OSError, ValueError, TypeError, IORegistryError) as error:
        raise TrainingSetError(f'the snapshot {path} cannot be read: {error}') from error


def _rescaled(snapshot, part, row):
    """The cluster of a map: with more than what was simulated a network learns less by heart."""
    if not part.rescaling:
        return snapshot
    return snapshot.rescaled(
        stars=float(row['stars_kept']) if part.stars_kept else 1.0,
        size=float(row['size_factor']) if part.size_factor else 1.0,
        seed=np.random.SeedSequence(int(row['seed']), spawn_key=(2,)))


def _observe(snapshot, recipe, part, row, name):
    maps = recipe.maps
    view = [row['view_x'], row['view_y'], row['view_z']]
    luminosities = None
    if part.light_jitter:
        luminosities = _jittered_light(snapshot, part.light_jitter, int(row['seed']), maps, name)
    return observe(
        snapshot, distance=row['distance'] * u.kpc, seeing=row['seeing'] * u.arcsec,
        field_of_view=maps.field_of_view * u.arcsec, pixel_scale=maps.pixel_scale * u.arcsec,
        shift=[row['shift_x'], row['shift_y']] * u.arcsec, rotation=row['rotation'] * u.deg,
        direction='random' if np.isnan(view[0]) else view, smoothing=maps.smoothing, band=maps.band,
        correction=maps.correction, luminosities=luminosities, oversampling=maps.oversampling,
        conditions=_conditions(part, row), keep_sharp=maps.sharp, simulation=name, seed=int(row['seed']))


def _conditions(part, row):
    """`~pidoc.mock.Conditions` of a map."""
    if part.conditions is None:
        return None
    drawn = {name: float(getattr(row[name], 'value', row[name])) for name in _condition_names(part)}
    return conditions_of(part.conditions | drawn)


@lru_cache(maxsize=4)
def _evolution(metallicity):
    # it brings numba
    from pidoc.stellar import StellarEvolution

    return StellarEvolution(metallicity)


def _jittered_light(snapshot, amount, seed, maps, name):
    """Luminosities in the band of stars whose initial masses were a little other ones; masses stay.

    A network must not learn by heart the few giants that give a simulation its light.
    """
    native, model = snapshot._native, snapshot.model
    if 'initial_mass' not in native or model is None or not model.stellar_evolution:
        raise TrainingSetError('light_jitter needs snapshots with initial_mass and a model whose stars '
                               f'evolve, those of {name} are others')
    light = star_light(snapshot, band=maps.band, correction=maps.correction)
    heavy = np.flatnonzero(native['initial_mass'] > _JITTER_ABOVE)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    evolution = _evolution(model.metallicity)
    mass = native['initial_mass'][heavy] * (1.0 + amount * rng.standard_normal(heavy.size))
    state = evolution.state(np.clip(mass, *evolution.mass_limits), snapshot.age.to_value(u.Myr))
    # as a snapshot does it
    flux = np.divide(state.luminosity, state.radius**2, out=np.zeros_like(mass), where=state.radius > 0.0)
    light[heavy] = band_luminosity(
        state.luminosity * u.Lsun, SOLAR_TEFF * flux**0.25 * u.K, state.kind, mass=state.mass * u.Msun,
        metallicity=model.metallicity, band=maps.band, correction=maps.correction)
    return light


def _measured(snapshot, mock):
    model = snapshot.model
    light = mock.light.meta.get('LUMTRUE')
    share, size = snapshot.meta.get('STARSHAR', 1.0), snapshot.meta.get('SIZEFACT', 1.0)
    return {
        'age': snapshot.age.to_value(u.Gyr), 'mass': mock.total_mass.value,
        'luminosity': mock.luminosity.value if light is None else light,
        'n_stars': -1 if model is None else round(share * model.n_stars),
        'half_mass_radius0': np.nan if model is None else size * model.half_mass_radius.to_value(u.pc),
        'metallicity': np.nan if model is None else model.metallicity}


def _shard_hdus(task, cubes, measured):
    maps = task.recipe.maps
    primary = fits.PrimaryHDU()
    for keyword, value, comment in (
            ('TSETFMT', _FORMAT_VERSION, 'version of the format of training sets'),
            ('PIDOCVER', __version__, 'version of pidoc'),
            ('RECIPE', task.recipe.name, 'name of the recipe'),
            ('RECIPEID', task.recipe.digest[:16], 'begin of its SHA-256'),
            ('RECSEED', task.recipe.seed, 'seed of the recipe'),
            ('PART', task.part.name, 'part of the recipe'), ('SPLIT', task.split, 'what the maps are for'),
            ('NMAPS', len(task.draws), 'number of maps'),
            ('CONVENT', 'apparent flux', 'light: F = L / (4 pi d^2) per pixel'),
            ('BAND', maps.band, 'letter of the band'), ('BCORR', maps.correction, 'bolometric correction'),
            ('PIXSCALE', maps.pixel_scale, '[arcsec] side of a pixel'),
            ('SMOOTH', maps.smoothing, '[pixel] sigma of the smoothing of both maps'),
            ('JITTER', task.part.light_jitter, 'relative, of initial masses, for light only')):
        # a long name leaves no room for a comment
        primary.header[keyword] = (value, comment if len(str(value)) < 20 else '')
    hdus = [primary]
    for name, cube in cubes.items():
        hdu = fits.ImageHDU(cube, name=name)
        hdu.header['BUNIT'] = (_CUBES[name].to_string('fits'), 'per pixel')
        hdus.append(hdu)
    return [*hdus, _maps_hdu(task, measured)]


def _maps_hdu(task, measured):
    table = Table()
    number, names = len(task.draws), _own_names(task.part)
    units = {**_DRAWN, **_MEASURED}
    for name in (*_COLUMNS, *names):
        if name in ('split', 'part'):
            table[name] = [getattr(task, name) if name == 'split' else task.part.name] * number
        elif name == 'simulation':
            table[name] = task.names
        elif name in _MEASURED:
            table[name] = np.array([row[name] for row in measured])
        else:
            table[name] = task.draws[name]
        unit = CONDITION_UNITS.get(name) if name in names else units.get(name, (None,))[0]
        if unit not in (None, u.one):
            table[name].unit = unit
    hdu = fits.table_to_hdu(table)
    hdu.name = 'MAPS'
    for k, name in enumerate(table.colnames):
        if name in units:
            hdu.header.comments[f'TTYPE{k + 1}'] = units[name][1]
    return hdu


# -- the build ------------------------------------------------------------------------------------


class _Build:
    """A build on its way, the folder being locked."""

    def __init__(self, recipe, folder, sources, jobs, scheduler, progress):
        self.recipe, self.folder, self.sources = recipe, folder, sources
        self.jobs, self.scheduler, self.progress = jobs, scheduler, progress

    def finish(self):
        tasks = {task.path.name: task for task in _tasks(self.recipe, self.folder, self.sources)}
        manifest = self._manifest(tasks)
        if manifest.state == 'complete':
            return
        waiting = [task for name, task in tasks.items() if name not in manifest.shards]
        with tqdm(total=sum(len(task.draws) for task in tasks.values()), unit=' maps', desc=self.recipe.name,
                  initial=sum(entry['maps'] for entry in manifest.shards.values()),
                  disable=None if self.progress else True) as bar:
            if waiting:
                # before the first shard: from now on the folder is this recipe's
                manifest.write(self.folder)
            for name, entry in self._work(waiting):
                manifest.shards[name] = entry
                manifest.write(self.folder)
                bar.update(entry['maps'])
        manifest.shards = {name: manifest.shards[name] for name in tasks}
        _write_table(self.folder, tasks)
        table = self.folder / _TABLE
        manifest.table = {'bytes': table.stat().st_size, 'sha256': _sha256(table)}
        manifest.state = 'complete'
        manifest.write(self.folder)

    def _manifest(self, tasks):
        """What the folder has of this set."""
        prints = {name: source.fingerprint for name, source in self.sources.items()}
        new = _Manifest(self.recipe.to_dict(), self.recipe.digest, prints, len(tasks))
        if not (self.folder / _MANIFEST).exists():
            return new
        there = _Manifest.read(self.folder)
        there.check_same(new, self.folder)
        for name, entry in list(there.shards.items()):
            try:
                _check_size(self.folder / name, entry['bytes'])
            except TrainingSetError as error:
                log.warning('%s; it is made again', error)
                del there.shards[name]
                there.state = 'building'
        if there.state == 'complete':
            try:
                _check_size(self.folder / _TABLE, there.table['bytes'])
            except TrainingSetError as error:
                log.warning('%s; it is made again', error)
                there.state = 'building'
        return there

    def _work(self, tasks):
        """Name and entry of each shard, as they are made."""
        if self.scheduler is not None:
            return _work_with_dask(tasks, self.scheduler)
        if self.jobs == 1 or len(tasks) < 2:
            return ((task.path.name, _make_shard(task)) for task in tasks)
        return _work_in_processes(tasks, self.jobs)


def _work_in_processes(tasks, jobs):
    import multiprocessing
    from concurrent.futures import as_completed, ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    pool = ProcessPoolExecutor(min(jobs, len(tasks)), multiprocessing.get_context('spawn'), begin_worker)
    try:
        with threads_each(1):
            futures = {pool.submit(_make_shard, task): task.path.name for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise TrainingSetError('a worker process was killed, for want of memory perhaps; what is complete is '
                               'kept, and the build goes on when it is started again') from None
    finally:
        # not those that have not begun
        pool.shutdown(wait=True, cancel_futures=True)


def _work_with_dask(tasks, scheduler):
    with scheduler_client(scheduler) as client:
        futures = {client.submit(_make_shard, task, pure=False): task.path.name for task in tasks}
        while futures:
            for future in [future for future in futures if future.done()]:
                name = futures.pop(future)
                if future.status not in ('finished', 'error'):
                    raise TrainingSetError(f'{name} was not made, the dask scheduler says: {future.status}; '
                                           'what is complete is kept')
                try:
                    entry = future.result()
                except (TrainingSetError, OSError):
                    raise
                except Exception as error:
                    if type(error).__name__ != 'KilledWorker':
                        raise
                    raise TrainingSetError(f'a dask worker was killed while it made {name}; what is complete '
                                           'is kept, and the build goes on when it is started '
                                           'again') from error
                yield name, entry
            time.sleep(0.05 if futures else 0.0)


# -- files ----------------------------------------------------------------------------------------


class _Manifest:
    """What a folder holds: ``manifest.json``."""

    def __init__(self, recipe, digest, simulations, n_shards, version=__version__, state='building',
                 shards=None, table=None):
        self.recipe, self.digest, self.simulations, self.n_shards = recipe, digest, simulations, n_shards
        self.version, self.state, self.shards, self.table = version, state, shards or {}, table

    def write(self, folder):
        content = {'format': 'pidoc training set', 'format_version': _FORMAT_VERSION, 'pidoc': self.version,
                   'state': self.state, 'recipe_sha256': self.digest, 'recipe': self.recipe,
                   'simulations': self.simulations, 'n_files': self.n_shards, 'files': self.shards,
                   'table': self.table}
        with replacing(folder / _MANIFEST) as temporary, open(temporary, 'w', encoding='utf-8') as stream:
            json.dump(content, stream, indent=1)
            stream.write('\n')
            stream.flush()
            os.fsync(stream.fileno())

    @classmethod
    def read(cls, folder):
        path = Path(folder) / _MANIFEST
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            if content['format_version'] != _FORMAT_VERSION:
                raise TrainingSetError(f'{path} must be of format version {_FORMAT_VERSION}, the one this '
                                       f'pidoc knows, received {content["format_version"]!r}')
            keys = 'recipe', 'recipe_sha256', 'simulations', 'n_files', 'pidoc', 'state', 'files', 'table'
            manifest = cls(*(content[key] for key in keys))
            manifest._check()
            return manifest
        except FileNotFoundError:
            raise FileNotFoundError(f'{folder} holds no training set: no {_MANIFEST} in it') from None
        except TrainingSetError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise TrainingSetError(f'{path} is damaged, or no manifest of a training set: {error}') from error

    def _check(self):
        """Of the right kinds; names are those of files in the folder, and nowhere else."""
        if not all(isinstance(each, dict) for each in (self.recipe, self.simulations, self.shards)):
            raise ValueError('recipe, simulations and files must be tables')
        whole = self.state == 'complete'
        for name, entry in [*self.shards.items(), *([(_TABLE, {'maps': 1, **self.table})] if whole else [])]:
            if not (_SHARD.fullmatch(name) or name == _TABLE):
                raise ValueError(f'files must be shards, received {name!r}')
            if not (type(entry['maps']) is type(entry['bytes']) is int and 0 < entry['maps'] < _MOST_MAPS):
                raise ValueError(f'{name} must have whole numbers of maps and bytes, received {entry}')
            _ = entry['sha256']

    def check_same(self, other, folder):
        """Whether a build may go on with what another has begun."""
        if self.digest != other.digest:
            keys = sorted(key for key in {*self.recipe, *other.recipe} - {'description'}
                          if self.recipe.get(key) != other.recipe.get(key))
            raise TrainingSetError(f'{folder} holds the set of another recipe: {", ".join(keys)} differ. Use '
                                   'another folder')
        changed = sorted(name for name in {*self.simulations, *other.simulations}
                         if self.simulations.get(name) != other.simulations.get(name))
        if changed:
            raise TrainingSetError(f'{folder} was made of other simulations: {", ".join(changed)} changed '
                                   'since. Use another folder')
        if self.version != other.version and self.state != 'complete':
            raise TrainingSetError(f'{folder} was begun by pidoc {self.version}, which {other.version} must '
                                   'not go on with. Use another folder')


def _write_table(folder, tasks):
    """The tables of all shards, one after the other."""
    tables = [_read_table(folder / name, 'MAPS') for name in tasks]
    whole = Table()
    # the conditions of a part are no columns of another
    for name in dict.fromkeys(name for table in tables for name in table.colnames):
        column = next(table[name] for table in tables if name in table.colnames)
        whole[name] = np.concatenate([getattr(table[name], 'value', table[name]) if name in table.colnames
                                      else np.full(len(table), np.nan) for table in tables])
        whole[name].unit = getattr(column, 'unit', None)
    hdu = fits.table_to_hdu(whole)
    hdu.name = 'MAPS'
    write_hdus([fits.PrimaryHDU(), hdu], folder / _TABLE)


def _read_table(path, name):
    """A table that `write_hdus` wrote, checked."""
    try:
        with warnings.catch_warnings():
            # astropy warns of a short file or a wrong checksum, and goes on
            warnings.simplefilter('error', AstropyWarning)
            with open(path, 'rb') as stream, fits.open(stream, memmap=False, checksum=True) as hdus:
                table = QTable.read(hdus[name], mask_invalid=False)
                table.convert_bytestring_to_unicode()
                for column in table.colnames:
                    # FITS has the other byte order, which not everything takes
                    table[column] = table[column].astype(table[column].dtype.newbyteorder('='))
                # its own values: those in meta are not None where a card has none
                table.meta = {'header': hdus[name].header.copy()}
                return table
    except FileNotFoundError:
        raise TrainingSetError(f'{path} is missing') from None
    except Exception as error:
        # astropy has many kinds of errors for files that do not hold what they promise
        raise TrainingSetError(f'{path} is damaged, or not what it should be: {error}') from error


def _sha256(path):
    with open(path, 'rb') as stream:
        return hashlib.file_digest(stream, 'sha256').hexdigest()


def _check_size(path, size):
    try:
        there = path.stat().st_size
    except FileNotFoundError:
        raise TrainingSetError(f'{path} is missing') from None
    if there != size:
        raise TrainingSetError(f'{path} must have {size} bytes, received {there}: it was cut short, or '
                               'changed')


def _is_ours(name):
    return name in (_MANIFEST, _TABLE, '.lock') or bool(_SHARD.fullmatch(name))


def _check_contents(folder):
    """A folder without a manifest must be empty: this is no place to throw a set into."""
    if (folder / _MANIFEST).exists():
        return
    foreign = []
    for path in sorted(folder.iterdir()):
        leftover = _LEFTOVER.fullmatch(path.name)
        if path.name != '.lock' and not (leftover and _is_ours(leftover[1])):
            foreign.append(path.name)
    if foreign:
        raise TrainingSetError(f'{folder} must be empty or hold a training set, received one with '
                               f'{foreign[0]}')


def _remove_leftovers(folder):
    """Remove temporary files of a killed build."""
    for path in folder.iterdir():
        leftover = _LEFTOVER.fullmatch(path.name)
        if leftover and _is_ours(leftover[1]):
            path.unlink()
