# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Sets of mock observations on disk, for the training of networks: `TrainingSet`.

A folder of FITS files, shards, each with the cubes of some hundred maps and a table of their parameters; a
table of all maps; and a manifest with the recipe and checksums. The k-th map of a part depends only on the
recipe's seed, the name of the part and k, so that any process makes the same bytes, in any order.
"""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.nddata import CCDData

from pidoc.grid import APPARENT_FLUX, MASS_PER_PIXEL
from pidoc.io.files import locked
from pidoc.io.fits import opened_fits, WrongContentError
from pidoc.io.html import html_table
from pidoc.mock.mock import Mock
from pidoc.mock.observation import mock_header
from pidoc.training_set.build import Build
from pidoc.training_set.files import (
    check_contents,
    check_size,
    CHUNK,
    Manifest,
    read_table,
    remove_leftovers,
    sha256_of,
    TABLE_FILE,
    TrainingSetError,
)
from pidoc.training_set.maps import map_conditions
from pidoc.training_set.recipe import Recipe
from pidoc.training_set.sources import find_sources
from pidoc.units import whole_number

__all__ = ['TrainingSet', 'has_light']

log = logging.getLogger(__name__)


def has_light(maps):
    """Which maps have a positive total flux, as predictions require; a warning says how many have not.

    The error of the sky can be larger than the light of a cluster of few stars.

    Parameters
    ----------
    maps : TrainingSet

    Returns
    -------
    array of bool
    """
    totals = [maps.light(slice(k, k + CHUNK)).sum(axis=(1, 2), dtype=float)
              for k in range(0, len(maps), CHUNK)]
    good = np.concatenate([[], *totals]) > 0.0
    if not good.all():
        log.warning('%d of %d maps are left out: no light above the sky', np.count_nonzero(~good), good.size)
    return good


class TrainingSet:
    """Maps of light and mass with a table of their parameters: `TrainingSet.build`, `TrainingSet.read`.

    Attributes
    ----------
    table : `~astropy.table.QTable`
        One row per map: ``split``, ``part``, ``simulation``, ``snapshot``, ``age`` [Gyr], ``distance`` [kpc],
        ``seeing``, ``shift_x``, ``shift_y`` [arcsec], ``rotation`` [deg], ``seed``, ``mass`` [Msun] and
        ``luminosity`` [Lsun] in the field (the light of the cluster only, without noise and extinction),
        ``n_stars``, ``half_mass_radius0`` [pc] and ``metallicity`` of the model (-1 and NaN if unknown; for
        rescaled clusters after the rescaling), ``number`` of the map in its part, ``view_x`` to ``view_z``
        (NaN if drawn from the seed); for the whole cluster ``cluster_mass``, ``cluster_luminosity``,
        ``cluster_half_mass_radius``, ``cluster_half_light_radius`` (projected, V), ``mass_function_slope``
        (0.2 to 0.8 Msun), ``dark_share`` and ``black_hole_share``, the mass fractions of remnants and of
        black holes, ``central_dispersion`` (line of sight, bright stars within a quarter of the half-light
        radius), and ``velocity_dispersion`` (within the ``dispersion_radius`` of the map; NaN without one);
        and columns for ``stars_kept``, ``size_factor``, ``dispersion_radius``, ``pixel_scale`` [arcsec] of
        parts that choose their field, and each condition of the recipe, if used.
    recipe : `~pidoc.training_set.recipe.Recipe`
    folder : `~pathlib.Path`

    Examples
    --------
    One simulation of 300 stars, observed four times:

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from astropy import units as u
    >>> from pidoc.training_set import Recipe
    >>> from pidoc.simulation import run
    >>> from pidoc.training_set import TrainingSet
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
        # a memory-mapped file would be pickled with its content
        return self.__dict__ | {'_cubes': {}}

    @property
    def grid(self):
        """Pixels, smoothing and band of the maps (`~pidoc.grid.MapGrid`)."""
        return self.recipe.maps.grid

    @property
    def pixel_scales(self):
        """Side of a pixel of each map [arcsec], shape (n,)."""
        if 'pixel_scale' not in self.table.colnames:
            return np.full(len(self), self.grid.scale)
        scales = self.table['pixel_scale'].to_value(u.arcsec)
        return np.where(np.isfinite(scales), scales, self.grid.scale)

    @property
    def zoom(self):
        """Side of a pixel of each map over that of the grid, shape (n,): `pidoc.networks.variables.ZOOM`."""
        return self.pixel_scales / self.grid.scale

    @property
    def has_sharp(self):
        """Whether the light before smoothing was kept."""
        return self.recipe.maps.sharp

    def split(self, name):
        """The maps of one split.

        Parameters
        ----------
        name : {'train', 'validation', 'test'}

        Returns
        -------
        TrainingSet
            With the same files.

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
        """The set with some of the rows: a slice, integers, or booleans."""
        rows = self._rows(rows)
        return TrainingSet(self.folder, self.recipe, self.table[rows], self._shard[rows], self._place[rows],
                           self._files)

    def light(self, rows=slice(None)):
        """Light maps: apparent flux F = L / (4 pi d^2) per pixel [Lsun/kpc^2].

        Parameters
        ----------
        rows : slice or array of int or bool, optional
            Selected maps; by default all.

        Returns
        -------
        array of float32, shape (n, ny, nx)
            Read from the files, only for these maps.

        Raises
        ------
        TrainingSetError
            If a file is missing or cut short.
        """
        return self._read('LIGHT', rows)

    def mass(self, rows=slice(None)):
        """Mass maps: Msun per pixel; see `light`."""
        return self._read('MASS', rows)

    def sharp(self, rows=slice(None)):
        """Light before smoothing; see `light`. NaN in bad pixels.

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
            With the precision of the set, without the mask.
        """
        values = self.table[int(row)]
        maps = self.recipe.maps
        part = next(part for part in self.recipe.parts if part.name == values['part'])
        grid = replace(self.grid, pixel_scale=self.pixel_scales[int(row)] * u.arcsec)
        header, wcs = mock_header(
            grid, shift=[values['shift_x'].value, values['shift_y'].value],
            simulation=str(values['simulation']), age=values['age'].value, distance=values['distance'].value,
            seeing=values['seeing'].value, correction=maps.correction, oversampling=maps.oversampling,
            rotation=values['rotation'].value, seed=int(values['seed']),
            view=[float(values[f'view_{axis}']) for axis in 'xyz'], conditions=map_conditions(part, values))
        if part.conditions is not None:
            header['LUMTRUE'] = float(values['luminosity'].value)
        rows = [int(row) % len(self)]
        light, mass = self.light(rows)[0], self.mass(rows)[0]
        sharp = CCDData(self.sharp(rows)[0], unit=APPARENT_FLUX, wcs=wcs) if self.has_sharp else None
        return Mock(light=CCDData(light, unit=APPARENT_FLUX, wcs=wcs, meta=header),
                    mass=CCDData(mass, unit=MASS_PER_PIXEL, wcs=wcs), sharp=sharp, age=values['age'],
                    distance=values['distance'], psf_fwhm=values['seeing'], band=self.grid.band,
                    simulation=str(values['simulation']), seed=int(values['seed']))

    def _rows(self, rows):
        rows = np.arange(len(self))[rows]
        return np.atleast_1d(rows)

    def _read(self, name, rows):
        rows = self._rows(rows)
        result = np.empty((rows.size, *self.grid.shape), dtype=np.float32)
        shard, place = self._shard[rows], self._place[rows]
        for number in np.unique(shard):
            here = np.flatnonzero(shard == number)
            result[here] = self._cube(name, int(number))[place[here]]
        return result

    def _cube(self, name, number):
        """A memory-mapped cube of a shard."""
        if (name, number) not in self._cubes:
            entry = self._files[number]
            path = self.folder / entry['file']
            check_size(path, entry['bytes'])
            with opened_fits(path, TrainingSetError, checksum=False) as hdus:
                hdu = hdus[name]
                offset, shape = hdu.fileinfo()['datLoc'], hdu.shape
                if shape != (entry['maps'], *self.grid.shape) or hdu.header['BITPIX'] != -32:
                    raise WrongContentError(
                        f'{name} must hold {entry["maps"]} maps of {self.grid}, in 32-bit floats, received '
                        f'the shape {shape} and BITPIX = {hdu.header["BITPIX"]}')
            self._cubes[name, number] = np.memmap(path, '>f4', 'r', offset, shape)
        return self._cubes[name, number]

    # -- files

    @classmethod
    def read(cls, folder, *, check=False):
        """Open a training set; maps are read from disk on access.

        Parameters
        ----------
        folder : path-like
        check : bool, optional
            Verify the SHA-256 of all files; otherwise only their sizes are checked.

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
        manifest = Manifest.read(folder)
        if manifest.state != 'complete':
            raise TrainingSetError(f'{folder} is not complete: {len(manifest.shards)} of {manifest.n_shards} '
                                   'files are there; the command that started it continues it')
        files = [{'file': name, **entry} for name, entry in manifest.shards.items()]
        for entry in [*files, {'file': TABLE_FILE, **manifest.table}]:
            check_size(folder / entry['file'], entry['bytes'])
            if check and sha256_of(folder / entry['file']) != entry['sha256']:
                raise TrainingSetError(f'{folder / entry["file"]} is not what was written: its SHA-256 is '
                                       'not that in the manifest; remove it, and build the set again')
        table = read_table(folder / TABLE_FILE, 'MAPS')
        number = [entry['maps'] for entry in files]
        shard = np.repeat(np.arange(len(files)), number)
        place = np.concatenate([np.arange(n) for n in number])
        return cls(folder, Recipe(manifest.recipe), table, shard, place, files)

    @classmethod
    def build(cls, recipe, folder, *, simulations=None, jobs=2, scheduler=None, progress=True):
        """Make the maps of a recipe.

        An interrupted build is resumed when it is started again, with the missing files, and gives the same
        bytes. A simulation of a streamed build is resumed from its last checkpoint, which is in
        ``unfinished`` in the folder of the set until the simulation is complete.

        Parameters
        ----------
        recipe : `~pidoc.training_set.recipe.Recipe` or path-like
            A recipe, the name of a packaged one, or a file.
        folder : path-like
            Created if needed; it must not contain anything else.
        simulations : path-like, optional
            Parent folder of the folders of the runs. Without it, the set is streamed: the simulations of the
            recipe are run, and each snapshot is observed when it is made, and discarded. The maps are the
            same, but no file has maps of two simulations.
        jobs : int, optional
            Number of processes. The result does not depend on it.
        scheduler : str, optional
            Address of a dask scheduler ('tcp://...'), whose workers are used instead; they must have access
            to both folders under the same paths.
        progress : bool, optional
            Show a progress bar, if there is a terminal.

        Returns
        -------
        TrainingSet

        Raises
        ------
        RecipeError
            If the recipe is not valid.
        TrainingSetError
            If a simulation is missing, unfinished or different from that of the recipe; if the folder has
            other content, or is in use; if a snapshot lacks necessary data; if a worker was killed; in a
            streamed build, if a simulation failed (the others are finished first), dissolved before its first
            snapshot, or must be read from files.
        OSError
            If a file cannot be written, for example because the disk is full. Complete files are kept.

        Notes
        -----
        Processes are started with the 'spawn' method, so a script must call this with ``jobs`` above 1 under
        ``if __name__ == '__main__':``.
        """
        if not isinstance(recipe, Recipe):
            recipe = Recipe.read(recipe)
        jobs = whole_number(jobs, 'jobs', at_least=1, floats=True)
        folder = Path(folder).absolute()
        kind, sources = _sources(recipe, simulations)
        folder.mkdir(parents=True, exist_ok=True)
        check_contents(folder)
        with locked(folder, TrainingSetError(f'{folder} is being used by another build')):
            remove_leftovers(folder)
            kind(recipe, folder, jobs, scheduler, progress).finish(sources)
        return cls.read(folder)


def _sources(recipe, simulations):
    """Class of the build, and its sources."""
    if simulations is not None:
        return Build, find_sources(recipe, Path(simulations).absolute())
    # imports numba
    from pidoc.training_set.stream import streamed_sources, StreamedBuild

    return StreamedBuild, streamed_sources(recipe)
