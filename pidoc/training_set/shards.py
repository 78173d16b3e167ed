# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Shards: FITS files with the cubes of some hundred maps and a table of their parameters."""

import os
from collections import namedtuple
from contextlib import contextmanager

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table

from pidoc import __version__
from pidoc.grid import APPARENT_FLUX, MASS_PER_PIXEL
from pidoc.io.fits import table_hdu, write_hdus
from pidoc.training_set.files import FORMAT_VERSION, read_table, sha256_of, TABLE_FILE
from pidoc.training_set.maps import (
    MEASURED,
    measured_row,
    observe_map,
    populated_snapshot,
    read_snapshot,
    rescaled_snapshot,
    whole_cluster,
)
from pidoc.training_set.recipe import CONDITION_UNITS
from pidoc.training_set.sampler import draw_maps, DRAWN, own_columns

__all__ = ['OpenShard', 'ShardTask', 'make_shard', 'shard_tasks', 'streamed_shard_tasks',
           'write_table', 'writing']

_CUBES = {'LIGHT': APPARENT_FLUX, 'MASS': MASS_PER_PIXEL, 'SHARP': APPARENT_FLUX}

#: order of the columns of the table of maps, followed by the conditions
_COLUMNS = ('split', 'part', 'simulation', 'snapshot', 'age', 'distance', 'seeing', 'shift_x', 'shift_y',
            'rotation', 'seed', 'mass', 'luminosity', 'n_stars', 'half_mass_radius0', 'metallicity', 'number',
            'view_x', 'view_y', 'view_z', 'cluster_mass', 'cluster_luminosity', 'cluster_half_mass_radius',
            'cluster_half_light_radius', 'mass_function_slope', 'dark_share', 'black_hole_share',
            'central_dispersion', 'velocity_dispersion', 'b_v')

#: units and comments of columns that not every part has
_OWN_UNITS = {**CONDITION_UNITS, 'dispersion_radius': u.arcsec, 'pixel_scale': u.arcsec}

ShardTask = namedtuple('ShardTask', 'path recipe part split draws names files')
"""A shard to be made: its file, recipe, part and split, the rows of `draw_maps`, and for each row the name of
its simulation and the (path, options) of its snapshot, if that is in a file."""


def shard_tasks(recipe, folder, sources):
    """The shards of a set with snapshots in files, each as large as allowed."""
    for part, split, rows, here in _drawn(recipe, sources):
        for number, piece in _pieces(rows, recipe):
            names = [here[row['source']].name for row in piece]
            files = [(here[row['source']].paths[row['snapshot']],
                      here[row['source']].options[row['snapshot']]) for row in piece]
            path = folder / f'{part.name}-{split}-{number:04d}.fits'
            yield ShardTask(path, recipe, part, split, piece, names, files)


def streamed_shard_tasks(recipe, folder, sources):
    """The shards of a set with discarded snapshots, for one simulation each; maps in the same order."""
    for part, split, rows, here in _drawn(recipe, sources):
        for k, source in enumerate(here):
            for number, piece in _pieces(rows[rows['source'] == k], recipe):
                # includes the number of the simulation, so that names do not depend on other simulations
                path = folder / f'{part.name}-{split}-{k:04d}{number:04d}.fits'
                yield ShardTask(path, recipe, part, split, piece, [source.name] * len(piece), None)


def _drawn(recipe, sources):
    """Part, split, rows of `draw_maps`, and the sources to which their indices refer."""
    taken = recipe.simulations_of_parts(sources)
    for part in recipe.parts:
        here = [sources[name] for name in taken[part.name]]
        draws = draw_maps(recipe, part, here)
        for which, split in enumerate(part.splits):
            yield part, split, draws[draws['split'] == which], here


def _pieces(rows, recipe):
    step = recipe.maps.shard
    return enumerate(rows[begin:begin + step] for begin in range(0, len(rows), step))


def make_shard(task):
    """Make and write a shard from snapshots in files; returns its number of maps, size and SHA-256."""
    shard, snapshot, last = OpenShard(task), None, None
    for file in task.files:
        if file != last:
            snapshot, last = read_snapshot(*file), file
        shard.add(snapshot)
    return shard.write()


class OpenShard:
    """An unfinished shard with the maps made so far.

    Parameters
    ----------
    task : `ShardTask`

    Attributes
    ----------
    cubes : dict
        Name -> array, of which the first `len` maps are complete.
    measured : list of dict
        Measured quantities of each map.
    """

    def __init__(self, task):
        self.task, self.measured = task, []
        maps = task.recipe.maps
        self.cubes = {name: np.empty((len(task.draws), *maps.grid.shape), dtype='>f4')
                      for name in _CUBES if name != 'SHARP' or maps.sharp}

    def __len__(self):
        return len(self.measured)

    def add(self, snapshot):
        """Make the next map from its snapshot."""
        task, k = self.task, len(self)
        row = task.draws[k]
        snapshot = populated_snapshot(snapshot, task.part, row)
        varied = rescaled_snapshot(snapshot, task.part, row)
        mock = observe_map(varied, task.recipe, task.part, row, task.names[k])
        for name, cube in self.cubes.items():
            cube[k] = getattr(mock, name.lower()).data
        self.measured.append(measured_row(varied, mock) | whole_cluster(snapshot, row, mock.grid))

    def write(self):
        """Write the file; returns its number of maps, size and SHA-256."""
        path = self.task.path
        with writing(path):
            write_hdus(_shard_hdus(self.task, self.cubes, self.measured), path)
            with open(path, 'r+b') as stream:
                # the file must be on disk before the manifest refers to it
                os.fsync(stream.fileno())
        return {'maps': len(self), 'bytes': path.stat().st_size, 'sha256': sha256_of(path)}


@contextmanager
def writing(path):
    """Convert an error in the block to one that names the file and the consequences for the build."""
    try:
        yield
    except OSError as error:
        message = (f'{path} could not be written: {error}; complete files are kept, and the build '
                   'continues when it is started again')
        raise (OSError(message) if error.errno is None else OSError(error.errno, message)) from error


def _shard_hdus(task, cubes, measured):
    maps = task.recipe.maps
    primary = fits.PrimaryHDU()
    for keyword, value, comment in (
            ('TSETFMT', FORMAT_VERSION, 'version of the format of training sets'),
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
    number, names = len(task.draws), own_columns(task.part)
    units = {**DRAWN, **MEASURED}
    for name in (*_COLUMNS, *names):
        if name in ('split', 'part'):
            table[name] = [getattr(task, name) if name == 'split' else task.part.name] * number
        elif name == 'simulation':
            table[name] = task.names
        elif name in measured[0]:
            table[name] = np.array([row[name] for row in measured])
        else:
            table[name] = task.draws[name]
        unit = _OWN_UNITS.get(name) if name in names else units.get(name, (None,))[0]
        if unit not in (None, u.one):
            table[name].unit = unit
    hdu = table_hdu(table, 'MAPS')
    for k, name in enumerate(table.colnames):
        if name in units:
            hdu.header.comments[f'TTYPE{k + 1}'] = units[name][1]
    return hdu


def write_table(folder, tasks):
    """The tables of all shards, concatenated."""
    tables = [read_table(folder / name, 'MAPS') for name in tasks]
    whole = Table()
    # not all parts have the same conditions
    for name in dict.fromkeys(name for table in tables for name in table.colnames):
        column = next(table[name] for table in tables if name in table.colnames)
        whole[name] = np.concatenate([getattr(table[name], 'value', table[name]) if name in table.colnames
                                      else np.full(len(table), np.nan) for table in tables])
        whole[name].unit = getattr(column, 'unit', None)
    write_hdus([fits.PrimaryHDU(), table_hdu(whole, 'MAPS')], folder / TABLE_FILE)
