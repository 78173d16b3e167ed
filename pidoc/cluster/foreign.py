# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Read snapshots of other codes: NBODY6, NBODY6++, PeTar, CMC, AMUSE, and tables.

Importing this module (also by ``from pidoc import Snapshot``) adds formats to
`~pidoc.cluster.snapshot.Snapshot.read`. The format is detected from the content of the file, except for FITS
tables, which need ``format='table'``:

============  =====================================================================================
``nbody6``    OUT3 of NBODY6 and NBODY6tt: Fortran records, many ages in one file
``nbody6++``  conf.3_* of NBODY6++, or its HDF5 files snap.40_*.h5part
``petar``     data.N of PeTar, text or binary, with or without SSE/BSE and a galactic potential
``cmc``       initial conditions and snapshots of CMC (HDF5)
``amuse``     one set of star particles of an AMUSE file (HDF5)
``table``     any table that `astropy.table.Table` reads, with named columns and units
============  =====================================================================================

All readers have these optional keyword arguments:

``at`` : int or `~astropy.units.Quantity`
    Which snapshot of a file with several: its number from 0 (negative from the end), or a time, for
    which the nearest is used. See `ages`.
``age`` : `~astropy.units.Quantity`
    Age of the stars, if the file does not have it or its time does not start at their birth.
``metallicity`` : float
    For files without luminosities: compute luminosity, radius and type of every star from its initial
    mass with `~pidoc.stellar.StellarEvolution`. Masses are unchanged; objects below the
    lowest stellar mass (0.08 Msun) are dark.
``initial`` : Snapshot or 'mass'
    Source of the initial masses if the file has none: a snapshot at birth with the same
    ``id``, or the present masses (simulations without stellar evolution).
``center`` : 'density' or 'origin'
    Origin of Cartesian coordinates: the density centre, from the file or computed as in
    Casertano & Hut (1985), at rest with the inner half of the mass (the default), or the origin of
    the file (the default for tables).
``max_radius`` : `~astropy.units.Quantity`
    Exclude stars farther from the centre, such as escapers.
``seed`` : int
    Seed of the directions of spherical snapshots.

The cards SRCFMT, SRCINDEX, CENTRE and LIGHTSRC ('file', 'pidoc' or 'none') of
`~pidoc.cluster.snapshot.Snapshot.meta` record the source. A snapshot without luminosities is complete except
for its light, which raises an error on access.
"""

import ast
import difflib
import logging
import math
import re
import struct
import warnings
import zlib
from collections import namedtuple
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import registry
from astropy.table import QTable, Table
from astropy.utils.data import get_readable_fileobj
from astropy.utils.exceptions import AstropyWarning

from pidoc.cluster.snapshot import _neighbour_density, Snapshot
from pidoc.units import HenonUnits, is_number, KMS_IN_PC_PER_MYR, to_value

__all__ = ['ages', 'read_all']

log = logging.getLogger(__name__)

# units of the columns in this module
_UNITS = {
    'x': u.pc, 'y': u.pc, 'z': u.pc, 'radius': u.pc,
    'vx': u.km / u.s, 'vy': u.km / u.s, 'vz': u.km / u.s, 'v_r': u.km / u.s, 'v_t': u.km / u.s,
    'mass': u.Msun, 'initial_mass': u.Msun, 'luminosity': u.Lsun, 'stellar_radius': u.Rsun,
    'temperature': u.K,
}
_INTEGERS = {'id': np.int64, 'kind': np.int64, 'partner': np.int64}

# beyond these limits it is not a star cluster
_MAX_STAR = 1000.0     # Msun, for the median, which allows a few intermediate-mass black holes
_MAX_MASS = 1e8        # Msun
_MAX_RADIUS = 1000.0   # pc, half-mass
# a smaller sum of the masses [Msun] indicates N-body units, where it is at most 1
_MIN_MASS = 2.0

# errors of truncated compressed files
_CUT = (EOFError, zlib.error)

_HDF5 = b'\x89HDF\r\n\x1a\n'

# result of a format: plain arrays by column name, and the density centre [pc] if it is known
_Stars = namedtuple('_Stars', 'columns center', defaults=[None])


# -- public ---------------------------------------------------------------------------------------


def ages(path, *, format=None, **options):
    """Ages of the snapshots in a file, in the order of the file.

    Parameters
    ----------
    path : path-like
    format : str, optional
        One of the formats of this module; by default detected from the file.
    **options
        Options of the format, such as the units of a code.

    Returns
    -------
    `~astropy.units.Quantity`
        Times of the file [Gyr].

    Raises
    ------
    ValueError
        If the format is not recognised, the file is damaged, or it has no age.
    """
    with _opened(path, format, options) as source:
        if np.isnan(source.times).any():
            raise ValueError(f'{source.name} does not say its age')
        return (source.times * u.Myr).to(u.Gyr)


def read_all(path, *, format=None, **options):
    """Yield all snapshots of a file in order.

    Parameters
    ----------
    path : path-like
    format : str, optional
        One of the formats of this module; by default detected from the file.
    **options
        Options of `~pidoc.cluster.snapshot.Snapshot.read`, without ``at``.

    Yields
    ------
    Snapshot

    Raises
    ------
    ValueError
        As for `~pidoc.cluster.snapshot.Snapshot.read`.
    """
    common = {key: options.pop(key) for key in _COMMON if key in options}
    with _opened(path, format, options) as source:
        for number in range(len(source.times)):
            yield _snapshot(source, number, **common)


# -- from the result of a format to a snapshot ----------------------------------------------------


def _read(source, at=None, **common):
    return _snapshot(source, _choose(source.times, at, source.name), **common)


def _snapshot(source, number, age=None, metallicity=None, initial=None, center=None,
              max_radius=None, seed=0):
    name = source.name
    if center not in (None, 'density', 'origin'):
        raise ValueError(f"center must be 'density' or 'origin', received {center!r}")
    myr = _age_in_myr(source, number, age)
    columns, place = source.read(number)
    columns.setdefault('id', np.arange(columns['mass'].size))
    _drop(columns, ~(columns['mass'] > 0.0), 'have no mass', name)
    if not columns['mass'].size:
        raise ValueError(f'{name} must have stars, received none with a mass')
    meta = {'SRCFMT': source.format, 'SRCINDEX': number, 'CENTRE': 'origin'}
    if 'x' in columns and (center or source.center) == 'density':
        _center(columns, place)
        meta['CENTRE'] = 'density'
    _refuse_galaxies(columns, name)
    if max_radius is not None:
        limit = to_value(max_radius, u.pc, 'max_radius', positive=True)
        _drop(columns, _radii(columns) > limit, f'are beyond {limit:g} pc', name)
    meta['LIGHTSRC'] = _light(columns, myr, metallicity, initial, name)
    if metallicity is not None:
        meta['LIGHTZ'] = float(metallicity)
    table = QTable({key: values if key in _INTEGERS else values * _UNITS[key]
                    for key, values in columns.items()})
    try:
        return Snapshot(table, (myr * u.Myr).to(u.Gyr), seed=seed, meta=meta)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{name} does not hold a valid snapshot: {error}') from error


_COMMON = ('age', 'metallicity', 'initial', 'center', 'max_radius', 'seed')


def _choose(times, at, name):
    """Number of the requested snapshot."""
    if at is None:
        if len(times) > 1:
            raise ValueError(
                f'{name} holds {len(times)} snapshots from {times.min():.5g} to '
                f'{times.max():.5g} Myr: choose one with at=, a number from 0 or a time'
            )
        return 0
    if isinstance(at, Integral) and not isinstance(at, bool):
        if not -len(times) <= at < len(times):
            raise ValueError(f'at must be a number below {len(times)}, the number of snapshots in '
                             f'{name}, received {at}')
        return int(at) % len(times)
    wanted = to_value(at, u.Myr, 'at')
    # tolerance, so that a printed time is found
    slack = 1e-3 * max(times.max(), 1.0)
    if not times.min() - slack <= wanted <= times.max() + slack:
        raise ValueError(f'at must lie within {times.min():.5g} to {times.max():.5g} Myr, the times '
                         f'of {name}, received {at}')
    return int(np.argmin(np.abs(times - wanted)))


def _age_in_myr(source, number, age):
    if age is not None:
        return to_value(age, u.Myr, 'age', non_negative=True)
    if math.isnan(source.times[number]):
        raise ValueError(f'{source.name} does not say its age: give it as age=')
    return float(source.times[number])


def _drop(columns, gone, why, name):
    """Remove rows, and the partners of those that remain."""
    if not gone.any():
        return
    log.info('%s: %d of %d stars %s and are left out', name, gone.sum(), gone.size, why)
    lost = columns['id'][gone]
    for key in columns:
        columns[key] = columns[key][~gone]
    if 'partner' in columns:
        columns['partner'][np.isin(columns['partner'], lost)] = -1


def _vectors(columns, names):
    return np.column_stack([columns[name] for name in names])


def _radii(columns):
    if 'x' not in columns:
        return columns['radius']
    return np.sqrt(np.sum(_vectors(columns, 'xyz')**2, axis=1))


def _half_mass_radius(columns):
    radius, mass = _radii(columns), columns['mass']
    order = np.argsort(radius)
    return radius[order][np.searchsorted(np.cumsum(mass[order]), 0.5 * mass.sum())]


def _center(columns, place):
    """Move the origin to the density centre, at rest with the inner half of the mass."""
    stars, mass = _vectors(columns, 'xyz'), columns['mass']
    if place is None:
        weights = _neighbour_density(stars, mass) if mass.size > 6 else mass
        place = np.average(stars, axis=0, weights=weights)
    for name, value in zip('xyz', place):
        columns[name] = columns[name] - value
    if 'vx' in columns:
        inner = _radii(columns) <= _half_mass_radius(columns)
        for name in ('vx', 'vy', 'vz'):
            columns[name] = columns[name] - np.average(columns[name][inner], weights=mass[inner])


def _refuse_galaxies(columns, name):
    mass = columns['mass']
    for what, value, limit, unit in (
            ('the median mass of its particles', np.median(mass), _MAX_STAR, 'Msun'),
            ('its mass', mass.sum(), _MAX_MASS, 'Msun'),
            ('its half-mass radius', _half_mass_radius(columns), _MAX_RADIUS, 'pc')):
        if not value <= limit:
            raise ValueError(f'{name} is not a star cluster: {what} must be at most {limit:g} '
                             f'{unit}, received {value:.4g} {unit}')


def _light(columns, age, metallicity, initial, name):
    """Add missing luminosities, radii and types of stars; returns their source."""
    seen = 'luminosity' in columns
    if seen and columns.keys() & {'temperature', 'stellar_radius'} and metallicity is not None:
        raise ValueError(f'{name} has luminosities of its own: metallicity must not be given, '
                         f'received {metallicity!r}')
    if metallicity is None:
        return 'file' if seen else 'none'
    if seen:
        log.info('%s: luminosities without temperatures or radii are replaced', name)
    from pidoc.stellar import DARK, StellarEvolution

    born = columns['initial_mass'] = _initial_masses(columns, initial, name)
    try:
        stars = StellarEvolution(metallicity)
        lowest = stars.mass_limits[0]
        state = stars.state(np.maximum(born, lowest), age)
    except ValueError as error:
        raise ValueError(f'{name}, stars without luminosities: {error}') from error
    brown = born < lowest
    if brown.any():
        log.info('%s: %d stars below %g Msun are taken as dark', name, brown.sum(), lowest)
    columns['luminosity'] = np.where(brown, DARK, state.luminosity)
    columns['stellar_radius'] = state.radius
    columns['kind'] = state.kind.astype(np.int64)
    columns.pop('temperature', None)
    return 'pidoc'


def _initial_masses(columns, initial, name):
    if 'initial_mass' in columns:
        return columns['initial_mass']
    if isinstance(initial, str) and initial == 'mass':
        return columns['mass'].copy()
    if not isinstance(initial, Snapshot):
        raise ValueError(
            f'{name} has no initial masses, which luminosities need: initial must be the Snapshot '
            f"at birth, or 'mass' if the simulation had no stellar evolution, received {initial!r}"
        )
    born = initial.stars
    order = np.argsort(born['id'])
    ids = columns['id']
    found = np.searchsorted(born['id'], ids, sorter=order)
    found = order[np.minimum(found, order.size - 1)]
    missing = np.asarray(born['id'])[found] != ids
    if missing.any():
        raise ValueError(f'initial must have every star of {name}, received a snapshot without '
                         f'{missing.sum()} of them, id {ids[missing][0]} first')
    return born['mass'][found].to_value(u.Msun)


def _henon_units(mass_unit, length_unit, name):
    """Units from the arguments; None if neither is given."""
    if mass_unit is None and length_unit is None:
        return None
    if mass_unit is None or length_unit is None:
        raise ValueError(f'{name} needs both mass_unit and length_unit, received only one')
    return HenonUnits(to_value(mass_unit, u.Msun, 'mass_unit', positive=True),
                      to_value(length_unit, u.pc, 'length_unit', positive=True))


# -- NBODY6, NBODY6++ (Fortran) -------------------------------------------------------------------


class _Nbody:
    """OUT3 of NBODY6 or conf.3 of NBODY6++: two Fortran records for each snapshot.

    The first has the integers NTOT, MODEL, NRUN, NK, the second NK numbers and then the stars, in N-body
    units: masses, (++: densities, neighbour numbers,) positions, velocities, (++: potentials,) names. Of the
    NK numbers these are used, counted from 1: 1 time, 2 number of regularised pairs, 3 RBAR [pc], 4 ZMBAR
    [Msun], 7 to 9 density centre, 11 TSCALE [Myr], 12 VSTAR [km/s] (output.f of NBODY6, output.F of
    NBODY6++). Pairs come first, two stars each; their centres of mass come last and are not stars.
    """

    center = 'density'
    # format -> numbers for each star before mass, positions, velocities and after them
    LAYOUTS = {'nbody6': (0, 0), 'nbody6++': (2, 1)}

    def __init__(self, file, name, format):
        self._file, self.name, self.format = file, name, format
        self._order = _byte_order(file, name)
        self._index = list(self._scan())
        if not self._index:
            raise ValueError(f'{name} is cut short: it has no complete snapshot')
        self._headers = [self._header(entry) for entry in self._index]
        self.times = np.array([header[0] * header[10] for header in self._headers])

    def _scan(self):
        """Particles, header numbers, file position and type of real of every snapshot."""
        records = _fortran_records(self._file, self._order, self.name)
        for place, size in records:
            if size != 16:
                raise ValueError(f'{self.name} is not a file of {self.format}: each snapshot must '
                                 f'begin with a record of 16 bytes, received {size}')
            self._file.seek(place)
            total, _, _, n_header = struct.unpack(self._order + '4i', self._file.read(16))
            entry = next(records, None)
            if entry is None:
                return
            layout, real = _nbody_layout(total, n_header, entry[1])
            if layout != self.format:
                what = f"of {layout}: say format='{layout}'" if layout else \
                    f'with {total} stars in a record of {entry[1]} bytes'
                raise ValueError(f'{self.name} is not a file of {self.format}, but one {what}')
            yield total, n_header, entry[0], self._order + real

    def _header(self, entry):
        _, n_header, place, real = entry
        self._file.seek(place)
        size = np.dtype(real).itemsize * n_header
        header = np.frombuffer(self._file.read(size), real).astype(float)
        length, mass = header[2], header[3]
        good = np.isfinite(header).all() and length > 0.0 and mass > 0.0
        if not (good and math.isclose(header[11], HenonUnits(mass, length).velocity, rel_tol=0.01)
                and math.isclose(header[10], HenonUnits(mass, length).time, rel_tol=0.01)):
            raise ValueError(
                f'{self.name} is not a file of {self.format}: TSCALE and VSTAR must be the units '
                f'of RBAR = {length:g} pc and ZMBAR = {mass:g} Msun, received {header[10]:g} Myr '
                f'and {header[11]:g} km/s'
            )
        return header

    def read(self, number):
        total, n_header, place, real = self._index[number]
        header = self._headers[number]
        before, after = self.LAYOUTS[self.format]
        self._file.seek(place + np.dtype(real).itemsize * n_header)
        size = np.dtype(real).itemsize * total
        values = np.frombuffer(self._file.read(size * (7 + before + after)), real).astype(float)
        names = np.frombuffer(self._file.read(4 * total), self._order + 'i4').astype(np.int64)
        mass = values[:total] * header[3]
        start = total * (1 + before)
        places = values[start:start + 3 * total].reshape(total, 3) * header[2]
        velocities = values[start + 3 * total:start + 6 * total].reshape(total, 3) * header[11]
        pairs = int(header[1])
        if not 0 <= 3 * pairs <= total:
            raise ValueError(f'{self.name} is damaged: {pairs} pairs among {total} particles')
        partner = _pairs(names, mass, pairs)
        n_stars = total - pairs
        columns = {'id': names[:n_stars], 'mass': mass[:n_stars], 'partner': partner[:n_stars]}
        columns.update(zip('xyz', places[:n_stars].T.copy()))
        columns.update(zip(('vx', 'vy', 'vz'), velocities[:n_stars].T.copy()))
        return _Stars(columns, header[6:9] * header[2])


def _pairs(names, mass, pairs):
    """Names of partners: rows 0 and 1, 2 and 3 ... of the first pairs, if they agree with their
    centre of mass (in hierarchies they do not)."""
    partner = np.full(names.size, -1)
    first = 2 * np.arange(pairs)
    centers = mass[names.size - pairs:]
    whole = np.abs(mass[first] + mass[first + 1] - centers) < 1e-3 * centers
    first = first[whole & (mass[first] > 0.0) & (mass[first + 1] > 0.0)]
    partner[first], partner[first + 1] = names[first + 1], names[first]
    return partner


def _byte_order(file, name):
    """Byte order of the marker of the first record, which must have four integers."""
    file.seek(0)
    marker = file.read(4)
    for order in '<>':
        if marker == struct.pack(order + 'i', 16):
            return order
    size = struct.unpack('<i', marker)[0] if len(marker) == 4 else None
    hint = ', as in Gadget files of galaxies' if size == 256 else ''
    raise ValueError(f'{name} is not an OUT3 or conf.3 file: its first record must have 16 bytes '
                     f'(NTOT, MODEL, NRUN, NK), received {size}{hint}')


def _fortran_records(file, order, name):
    """Position and size of every complete record of a Fortran unformatted file."""
    end = file.seek(0, 2)
    place = 0
    while place + 4 <= end:
        file.seek(place)
        size = struct.unpack(order + 'i', file.read(4))[0]
        last = place + 4 + size
        if size < 0 or last + 4 > end:
            break
        file.seek(last)
        if struct.unpack(order + 'i', file.read(4))[0] != size:
            raise ValueError(f'{name} is damaged: the record at byte {place} does not end as it '
                             'begins')
        yield place + 4, size
        place = last + 4
    if place < end:
        log.warning('%s is cut short after byte %d: what follows is left out', name, place)


def _nbody_layout(total, n_header, size):
    """Format and type of real of a record of stars; Nones if it matches none."""
    if total > 0 and 12 <= n_header <= 1000:
        for layout, others in _Nbody.LAYOUTS.items():
            for real in ('f4', 'f8'):
                width = np.dtype(real).itemsize
                if size == width * (n_header + total * (7 + sum(others))) + 4 * total:
                    return layout, real
    return None, None


def _recognise_nbody(file):
    """Format of a Fortran file from its first two records, which may be incomplete."""
    file.seek(0)
    head = file.read(28)
    for order in '<>':
        if len(head) == 28:
            begin, total, _, _, n_header, close, size = struct.unpack(order + '7i', head)
            if begin == close == 16:
                return _nbody_layout(total, n_header, size)[0]
    return None


# -- HDF5 -----------------------------------------------------------------------------------------


def _h5py():
    try:
        import h5py
    except ImportError as error:
        raise ImportError("HDF5 files need h5py: pip install h5py, or pidoc with the extra 'all'") \
            from error
    return h5py


def _open_hdf5(file, name):
    h5py = _h5py()
    file.seek(0)
    if file.read(8) != _HDF5:
        raise ValueError(f'{name} is not an HDF5 file, or its beginning is lost')
    file.seek(0)
    try:
        return h5py.File(file, 'r')
    except OSError as error:
        raise ValueError(f'{name} is damaged or cut short: {error}') from error


def _recognise_hdf5(file):
    try:
        groups = _open_hdf5(file, 'the file')
    except ValueError:
        # accept the file, so that its reader raises the error
        return 'table'
    with groups:
        if 'CLUS_OBJ_DATA' in groups or any(_CMC_KEY.fullmatch(key) for key in groups):
            return 'cmc'
        if any(key.startswith('Step#') for key in groups):
            return 'nbody6++'
        if 'particles' in groups and any('attributes' in group
                                         for group in groups['particles'].values()):
            return 'amuse'
    return 'table'


class _Hdf5:
    """A source in an HDF5 file; `read` and `times` are defined by the format."""

    center = 'density'

    def __init__(self, file, name):
        self.name = name
        self._groups = _open_hdf5(file, name)

    def close(self):
        self._groups.close()


def _array(group, key):
    return np.asarray(group[key][...], dtype=float)


class _Nbody6ppHdf5(_Hdf5):
    """snap.40_* of NBODY6++: a group ``Step#<i>`` for each time, in Msun, pc, km/s, Lsun, Rsun, K.

    Newer versions number the columns ('023 M'), list both stars of every pair among the singles and give the
    units in '000 Scalars'; older ones have a group 'Binaries' with the relative positions of the stars [AU],
    and times in N-body units only: ``time_unit`` is their unit (custom_output.F, custom_output_facility.F).
    Stars of hierarchical triples are stored separately by NBODY6++ and are not read; their number is logged.
    """

    format = 'nbody6++'
    COLUMNS = {'X1': 'x', 'X2': 'y', 'X3': 'z', 'V1': 'vx', 'V2': 'vy', 'V3': 'vz', 'M': 'mass',
               'R*': 'stellar_radius', 'RS': 'stellar_radius', 'L*': 'luminosity',
               'L': 'luminosity', 'Teff*': 'temperature', 'TE': 'temperature', 'KW': 'kind',
               'Name': 'id', 'NAM': 'id'}
    # of the older pairs; 1 or 2 is appended
    COMPONENTS = {'M': 'mass', 'RS': 'stellar_radius', 'L': 'luminosity', 'TE': 'temperature',
                  'KW': 'kind', 'NAM': 'id'}

    def __init__(self, file, name, *, time_unit=None):
        super().__init__(file, name)
        self._keys = sorted((key for key in self._groups if key.startswith('Step#')),
                            key=lambda key: int(key[5:]))
        if not self._keys:
            raise ValueError(f'{name} is not a file of NBODY6++: no group is named Step#...')
        unit = None if time_unit is None else to_value(time_unit, u.Myr, 'time_unit', positive=True)
        self.times = np.array([self._time(self._groups[key], unit) for key in self._keys])

    def _time(self, step, unit):
        if unit is None and '000 Scalars' in step:
            unit = float(step['000 Scalars'][10])
        if 'Time' not in step.attrs:
            raise ValueError(f'{self.name} is not a file of NBODY6++: {step.name} has no Time')
        return float(np.ravel(step.attrs['Time'])[0]) * (math.nan if unit is None else unit)

    def read(self, number):
        step = self._groups[self._keys[number]]
        plain = {re.sub(r'^\d{3} ', '', key): key for key in step}
        columns = {ours: _array(step, plain[theirs]) for theirs, ours in self.COLUMNS.items()
                   if theirs in plain}
        missing = [ours for ours in ('x', 'y', 'z', 'mass', 'id') if ours not in columns]
        if missing:
            raise ValueError(f'{self.name} is not a file of NBODY6++: {step.name} has no '
                             f'{", ".join(missing)}')
        columns['partner'] = np.full(columns['mass'].size, -1.0)
        if 'Type' in plain:
            _drop(columns, _array(step, plain['Type']) == 1, 'are centres of mass', self.name)
        if 'Bin Name1' in plain:
            _join(columns, _array(step, plain['Bin Name1']), _array(step, plain['Bin Name2']))
        if 'Binaries' in step and 'M1' in step['Binaries']:
            self._add_pairs(columns, step['Binaries'])
        for key in _INTEGERS:
            if key in columns:
                columns[key] = columns[key].astype(np.int64)
        scalars = _array(step, '000 Scalars') if '000 Scalars' in step else None
        self._warn_of_triples(step, scalars)
        return _Stars(columns, self._scale(columns, scalars))

    def _add_pairs(self, columns, pairs):
        mass = [_array(pairs, 'M1'), _array(pairs, 'M2')]
        share = [mass[1] / (mass[0] + mass[1]), -mass[0] / (mass[0] + mass[1])]
        au = float(u.AU.to(u.pc))
        for one, other in ((0, 1), (1, 0)):
            added = {ours: _array(pairs, f'{theirs}{one + 1}')
                     for theirs, ours in self.COMPONENTS.items() if f'{theirs}{one + 1}' in pairs}
            added['partner'] = _array(pairs, f'NAM{other + 1}')
            for axis, (place, velocity) in enumerate((('x', 'vx'), ('y', 'vy'), ('z', 'vz')), 1):
                added[place] = (_array(pairs, f'XC{axis}')
                                + share[one] * _array(pairs, f'XR{axis}') * au)
                added[velocity] = (_array(pairs, f'VC{axis}')
                                   + share[one] * _array(pairs, f'VR{axis}'))
            for key in columns:
                if key not in added:
                    raise ValueError(f'{self.name} is damaged: its binaries have no {key}')
                columns[key] = np.concatenate((columns[key], added[key]))

    def _warn_of_triples(self, step, scalars):
        triples = int(scalars[69]) if scalars is not None and scalars.size > 69 else 0
        if 'Mergers' in step:
            triples = int(np.ravel(step['Mergers'].attrs.get('N_MERGER', 0))[0])
        if triples:
            log.warning('%s: the stars of %d hierarchical triples are left out', self.name, triples)

    def _scale(self, columns, scalars):
        """Convert N-body units, an option of NBODY6++, to ours; returns the centre [pc]."""
        in_units = columns['mass'].sum() > _MIN_MASS
        if scalars is None:
            if not in_units:
                raise ValueError(f'{self.name} is in N-body units and does not say which: the sum '
                                 f'of the masses is {columns["mass"].sum():.3g}')
            return None
        if not in_units:
            for names, factor in (('xyz', scalars[2]), (('vx', 'vy', 'vz'), scalars[11]),
                                  (('mass',), scalars[3])):
                for name in names:
                    columns[name] = columns[name] * factor
        return scalars[6:9] * scalars[2]


def _join(columns, first, second):
    """Fill in partners from the names of the two stars of each pair, with a star in one pair at most."""
    row = {int(name): number for number, name in enumerate(columns['id'])}
    for one, other in zip(first.astype(int), second.astype(int)):
        rows = row.get(one), row.get(other)
        if None not in rows and all(columns['partner'][number] == -1 for number in rows):
            columns['partner'][rows[0]], columns['partner'][rows[1]] = other, one


# -- PeTar ----------------------------------------------------------------------------------------


class _Petar:
    """data.N of PeTar, text or binary: a header and a row of 8-byte numbers for each star.

    The header has file number, number of stars and time, and in a galactic potential position and velocity of
    the cluster. A row has mass, position, velocity, binary state; with stellar evolution radius, mass change,
    two times; with SSE/BSE type, mass0, mass, radius, core mass and radius, spin, epoch, time, luminosity;
    search radius, id, two numbers of groups, two changeover radii; acceleration, potential, soft potential,
    in a galactic potential that too, number of neighbours (tools/analysis/data.py of PeTar). Units are Msun,
    pc, pc/Myr and Myr (its option -u 1), or Henon units if ``mass_unit`` and ``length_unit`` are given.
    Binaries are read as two stars at their positions, without ``partner``.
    """

    format = 'petar'
    center = 'density'
    # numbers in a row -> those before 'search radius'
    ROWS = {20: 8, 24: 12, 34: 22, 21: 8, 25: 12, 35: 22}
    # numbers in a header -> possible rows
    HEADERS = {3: (20, 24, 34), 9: (21, 25, 35)}

    def __init__(self, file, name, *, mass_unit=None, length_unit=None):
        self.name = name
        self._units = _henon_units(mass_unit, length_unit, name)
        file.seek(0)
        head = file.read(4096)
        read = self._text if _is_text(head) else self._binary
        header, self._rows, self._integers = read(file)
        if not math.isfinite(header[2]) or header[2] < 0.0:
            raise ValueError(f'{name} is not a file of PeTar: its time is {header[2]}')
        self.times = np.array([header[2] * (self._units.time if self._units else 1.0)])

    def _text(self, file):
        file.seek(0)
        header = _numbers(file.readline())
        if header is None or len(header) not in self.HEADERS:
            raise ValueError(f'{self.name} is not a file of PeTar: its first line must have 3 or 9 '
                             'numbers')
        with warnings.catch_warnings():
            # about empty input, which is reported below
            warnings.simplefilter('ignore', UserWarning)
            try:
                rows = np.loadtxt(file, ndmin=2)
            except ValueError as error:
                raise ValueError(f'{self.name} is damaged or cut short: {error}') from error
        if len(rows) != header[1]:
            raise ValueError(f'{self.name} is damaged or cut short: it must have {header[1]:.0f} '
                             f'stars, received {len(rows)}')
        self._check_row(rows.shape[1], len(header))
        return header, rows, rows

    def _binary(self, file):
        size = file.seek(0, 2)
        file.seek(0)
        header, row = _petar_binary(file.read(72), size)
        if row is None:
            raise ValueError(f'{self.name} is not a file of PeTar, or cut short: its {size} bytes '
                             'are not a header and as many stars as it says')
        file.seek(8 * len(header))
        data = file.read()
        # id and type are integers in the same bytes
        return header, *(np.frombuffer(data, kind).reshape(-1, row) for kind in ('<f8', '<i8'))

    def _check_row(self, row, header):
        if row not in self.HEADERS[header]:
            raise ValueError(
                f'{self.name} is not a file of PeTar that is known here: after a header of {header} '
                f'numbers a star must have {", ".join(map(str, self.HEADERS[header]))}, '
                f'received {row}'
            )

    def read(self, number):
        rows, before = self._rows, self.ROWS[self._rows.shape[1]]
        columns = {'id': self._integers[:, before + 1].astype(np.int64), 'mass': rows[:, 0].copy()}
        total = columns['mass'].sum()
        if self._units is None and not total > _MIN_MASS:
            raise ValueError(f'{self.name} is not in solar masses (their sum is {total:.3g}): give '
                             'mass_unit and length_unit')
        length, velocity = 1.0, 1.0 / KMS_IN_PC_PER_MYR
        if self._units:
            columns['mass'] *= self._units.mass
            length, velocity = self._units.length, self._units.velocity
        columns.update(zip('xyz', length * rows[:, 1:4].T))
        columns.update(zip(('vx', 'vy', 'vz'), velocity * rows[:, 4:7].T))
        if before == 22:
            columns['kind'] = self._integers[:, 12].astype(np.int64)
            columns['stellar_radius'], columns['luminosity'] = rows[:, 15].copy(), rows[:, 21].copy()
        return _Stars(columns)


def _is_text(head):
    return bool(head) and not head.translate(None, b'0123456789+-.eE \t\r\nnaifNAIF')


def _numbers(line):
    """Numbers of a line of text; None if there is anything else."""
    try:
        return [float(word) for word in line.split()]
    except ValueError:
        return None


def _petar_binary(head, size):
    """Header, and the number of values per star (None if it is not a whole number)."""
    for length, rows in _Petar.HEADERS.items():
        if len(head) >= 8 * length:
            header = struct.unpack(f'<qqd{length - 3}d', head[:8 * length])
            row, rest = divmod(size - 8 * length, 8 * max(header[1], 1))
            if header[0] >= 0 and header[1] > 0 and rest == 0 and row in rows:
                return header, row
    return None, None


def _recognise_petar(file):
    file.seek(0)
    head = file.read(4096)
    if not _is_text(head):
        return 'petar' if _petar_binary(head[:72], file.seek(0, 2))[1] else None
    lines = head.splitlines()
    header, row = _numbers(lines[0]), _numbers(lines[1]) if len(lines) > 1 else None
    if header and row and len(row) in _Petar.HEADERS.get(len(header), ()):
        return 'petar'
    return None


# -- CMC ------------------------------------------------------------------------------------------

_CMC_KEY = re.compile(r'(\d+)\(t=([-+.\deE]+)(Gyr)?\)')


class _Cmc(_Hdf5):
    """HDF5 files of CMC: initial conditions (CLUS_OBJ_DATA) or one table for each time.

    Initial conditions have the units MCLUS [Msun] and RVIR [pc]; ``length_unit`` overrides the latter, like
    OVERWRITE_RVIR in CMC. The units of snapshots are in ``<name>.conv.sh`` in the same folder, or given as
    ``mass_unit`` and ``length_unit`` (and ``time_unit`` if the times are in code units). First and last rows
    without mass are markers, not stars. Binaries become two stars at one position.
    """

    format = 'cmc'
    center = 'origin'

    def __init__(self, file, name, *, mass_unit=None, length_unit=None, time_unit=None):
        super().__init__(file, name)
        self._keys = sorted((key for key in self._groups if _CMC_KEY.fullmatch(key)),
                            key=lambda key: int(_CMC_KEY.fullmatch(key)[1]))
        if 'CLUS_OBJ_DATA' in self._groups:
            self._units = self._initial_units(mass_unit, length_unit)
            self.times = np.zeros(1)
        elif self._keys:
            written = _conversions(name)
            self._units = _henon_units(mass_unit, length_unit, name) or self._code_units(written)
            self.times = np.array([self._time(key, time_unit, written) for key in self._keys])
        else:
            raise ValueError(f'{name} is not a file of CMC: it must have CLUS_OBJ_DATA or tables '
                             'named <i>(t=<time>Gyr)')

    def _initial_units(self, mass_unit, length_unit):
        attributes = self._groups['CLUS_OBJ_DATA/block0_values'].attrs
        if mass_unit is None and 'MCLUS' in attributes:
            mass_unit = float(attributes['MCLUS']) * u.Msun
        if length_unit is None and 'RVIR' in attributes:
            length_unit = float(attributes['RVIR']) * u.pc
        units = _henon_units(mass_unit, length_unit, self.name)
        if units is None:
            raise ValueError(f'{self.name} does not say its units: give mass_unit and length_unit')
        return units

    def _code_units(self, written):
        try:
            return HenonUnits(written['massunitmsun'], written['lengthunitparsec'])
        except KeyError:
            raise ValueError(f'the units of {self.name} are not known: there must be a file of CMC '
                             'beside it whose name ends in .conv.sh and begins like it, or '
                             'mass_unit and length_unit be given') from None

    def _time(self, key, time_unit, written):
        _, value, gyr = _CMC_KEY.fullmatch(key).groups()
        if gyr:
            return 1000.0 * float(value)
        if time_unit is not None:
            return float(value) * to_value(time_unit, u.Myr, 'time_unit', positive=True)
        return float(value) * written.get('timeunitsmyr', math.nan)

    def read(self, number):
        rows = self._snapshot_rows(number) if self._keys else self._initial_rows()
        columns = {key: np.concatenate([part[key] for part in rows]) for key in rows[0]}
        columns['radius'] = columns['radius'] * self._units.length
        for key in ('v_r', 'v_t'):
            columns[key] = columns[key] * self._units.velocity
        for key in _INTEGERS:
            columns[key] = columns[key].astype(np.int64)
        return _Stars(columns)

    def _snapshot_rows(self, number):
        table = self._groups[self._keys[number]]
        needed = {'id', 'm_MSUN', 'r', 'vr', 'vt', 'binflag', 'startype', 'luminosity_LSUN',
                  'radius_RSUN'}
        missing = sorted(needed - set(getattr(table.dtype, 'names', None) or ()))
        if missing:
            raise ValueError(f'{self.name} is not a file of CMC: {self._keys[number]} has no '
                             f'{", ".join(missing)}')
        table = table[...]
        table = table[table['m_MSUN'] > 0.0]
        pairs = table['binflag'] == 1
        single, binary = table[~pairs], table[pairs]
        parts = [_cmc_part(single, single['id'], -1, single['m_MSUN'], single['startype'],
                           single['luminosity_LSUN'], single['radius_RSUN'])]
        for one, other in (('0', '1'), ('1', '0')):
            parts.append(_cmc_part(
                binary, binary[f'id{one}'], binary[f'id{other}'], binary[f'm{one}_MSUN'],
                binary[f'bin_startype{one}'], binary[f'bin_star_lum{one}_LSUN'],
                binary[f'bin_star_radius{one}_RSUN']))
        return parts

    def _initial_rows(self):
        stars = _pandas_frame(self._groups['CLUS_OBJ_DATA'])
        stars = stars[stars['m'] > 0.0]
        single, binary = stars[stars['binind'] == 0], stars[stars['binind'] > 0]
        mass, radius = self._units.mass, self._units.length * float(u.pc.to(u.Rsun))
        parts = [_cmc_part(single, single['id'], -1, mass * single['m'], single['k'], None,
                           radius * single['Reff'])]
        if binary.size:
            pairs = self._initial_pairs(binary['binind'])
            for one, other in (('1', '2'), ('2', '1')):
                parts.append(_cmc_part(binary, pairs[f'id{one}'], pairs[f'id{other}'],
                                       mass * pairs[f'm{one}'], pairs[f'k{one}'], None,
                                       radius * pairs[f'Reff{one}']))
        for part in parts:
            part['initial_mass'] = part['mass'].copy()
        return parts

    def _initial_pairs(self, wanted):
        pairs = _pandas_frame(self._groups['CLUS_BINARY_DATA'])
        order = np.argsort(pairs['index'])
        found = np.searchsorted(pairs['index'], wanted, sorter=order)
        found = order[np.minimum(found, order.size - 1)]
        if np.any(pairs['index'][found] != wanted):
            raise ValueError(f'{self.name} is damaged: a binary of CLUS_OBJ_DATA is not in '
                             'CLUS_BINARY_DATA')
        return pairs[found]


def _cmc_part(rows, ids, partner, mass, kind, luminosity, radius):
    """Columns of some stars, with positions and velocities still in code units."""
    part = {'id': ids, 'partner': np.broadcast_to(partner, ids.shape), 'radius': rows['r'],
            'v_r': rows['vr'], 'v_t': rows['vt'], 'mass': mass, 'kind': kind,
            'stellar_radius': radius}
    if luminosity is not None:
        part['luminosity'] = luminosity
    return part


def _pandas_frame(group):
    """A table written by pandas in its fixed format, with one type of numbers."""
    names = [name.decode() for name in group['block0_items'][...]]
    return np.rec.fromarrays(np.asarray(group['block0_values'][...]).T, names=names)


def _conversions(name):
    """Numbers in the <prefix>.conv.sh of a CMC file, if there is one."""
    path = Path(name)
    for script in sorted(path.parent.glob('*.conv.sh')):
        if path.name.startswith(script.name[:-len('conv.sh')]):
            text = script.read_text(encoding='utf-8')
            found = re.findall(r'^(\w+)=([-+.\deE]+)$', text, flags=re.MULTILINE)
            return {key: float(value) for key, value in found}
    return {}


# -- AMUSE ----------------------------------------------------------------------------------------


class _Amuse(_Hdf5):
    """One particle set of an AMUSE HDF5 file: masses, positions, velocities in SI units.

    ``particles`` is the number of the set, from 1, required if there are several. A set with properties of
    gas is rejected. The file has no age.
    """

    format = 'amuse'
    GAS = ('u', 'internal_energy', 'density', 'rho', 'h_smooth', 'pressure')

    def __init__(self, file, name, *, particles=None):
        super().__init__(file, name)
        self.times = np.array([math.nan])
        if 'particles' not in self._groups:
            raise ValueError(f'{name} is not an AMUSE file: it has no group particles')
        sets = {int(key): group['attributes'] for key, group in self._groups['particles'].items()
                if key.isdecimal() and 'attributes' in group}
        self._set = self._choose(sets, particles)

    def _choose(self, sets, particles):
        listing = '; '.join(f'{number}: {_amuse_describe(group)}'
                            for number, group in sorted(sets.items()))
        if particles is None and len(sets) == 1:
            particles = next(iter(sets))
        if particles is None:
            raise ValueError(f'{self.name} holds {len(sets)} sets of particles ({listing}), and '
                             'gas is not stars: choose one with particles=')
        if particles not in sets:
            raise ValueError(f'particles must be the number of a set of {self.name} ({listing}), '
                             f'received {particles!r}')
        gas = [name for name in self.GAS if name in sets[particles]]
        if gas:
            raise ValueError(f'particles must be a set of stars, received {particles} of '
                             f'{self.name}, which is gas: it has {", ".join(gas)}')
        return sets[particles]

    def read(self, number):
        columns = {}
        for name in ('x', 'y', 'z', 'vx', 'vy', 'vz', 'mass'):
            if name not in self._set:
                raise ValueError(f'{self.name} is not a star cluster: its particles have no {name}')
            text = self._set[name].attrs.get('units', '')
            unit = _amuse_unit(text.decode() if isinstance(text, bytes) else str(text))
            if unit is None or not unit.is_equivalent(_UNITS[name]):
                raise ValueError(f'{name} in {self.name} must be in SI units that fit it, '
                                 f'received {text!r}')
            columns[name] = (_array(self._set, name) * unit).to_value(_UNITS[name])
        return _Stars(columns)


def _amuse_describe(group):
    names = sorted({value.decode(errors='replace') for value in group['name'][...]}) \
        if 'name' in group and group['name'].dtype.kind == 'S' else []
    size = next((values.shape[0] for values in group.values()), 0)
    return f'{size} particles' + (f' named {", ".join(names[:3])}' if names else '')


_AMUSE_BASES = {'length': u.m, 'mass': u.kg, 'time': u.s}


def _amuse_unit(text):
    """Parse AMUSE's text of a unit: SI base units, numbers, products and powers; None for anything else."""
    try:
        return u.Unit(_evaluate(ast.parse(text, mode='eval').body))
    except (SyntaxError, TypeError, ValueError, KeyError, AttributeError):
        return None


def _evaluate(node):
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_evaluate(node.operand)
    if isinstance(node, ast.BinOp):
        left, right = _evaluate(node.left), _evaluate(node.right)
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Div):
            return left / right
        if isinstance(node.op, ast.Pow):
            return left**right
    # system.get('S.I.').base('length')
    if isinstance(node, ast.Call) and node.func.attr == 'base' \
            and ast.unparse(node.func.value) == "system.get('S.I.')":
        return _AMUSE_BASES[node.args[0].value]
    raise ValueError('not a unit that is known here')


# -- tables ---------------------------------------------------------------------------------------


class _Table:
    """Any table that `astropy.table.Table` reads, with columns named as in `Snapshot`.

    Names can be in upper or lower case; some others are known (SYNONYMS). ``columns`` gives further ones
    ({'mass': 'M_star'}) and ``units`` the units of columns without units in the file ({'mass': 'solMass'});
    ``table_format`` and other arguments are passed on to `astropy.table.Table.read`. Other columns are
    ignored, except for sm2, ik2, slum2 and rad2 in addition to sm1 and so on (MOCCA): a row with a second
    mass is a binary. The age is ``age`` or a quantity with that name in the table's ``meta``.
    """

    format = 'table'
    center = 'origin'
    SYNONYMS = {'m': 'mass', 'r': 'radius', 'vr': 'v_r', 'vt': 'v_t', 'lum': 'luminosity',
                'teff': 'temperature', 'rad': 'stellar_radius', 'm_ini': 'initial_mass',
                'kstar': 'kind', 'name': 'id', 'sm1': 'mass', 'ik1': 'kind', 'slum1': 'luminosity',
                'rad1': 'stellar_radius'}
    # columns of the second star of a binary in MOCCA
    COMPANIONS = {'mass': 'sm2', 'kind': 'ik2', 'luminosity': 'slum2', 'stellar_radius': 'rad2'}

    def __init__(self, file, name, *, columns=None, units=None, table_format=None, **options):
        self.name = name
        file.seek(0)
        if file.read(8) == _HDF5:
            _refuse_gadget(file, name)
        self._table = _read_table(name, table_format, options)
        self._names = self._find(columns or {})
        self._units = self._checked_units(units or {})
        age = self._table.meta.get('age')
        known = isinstance(age, u.Quantity)
        self.times = np.array([to_value(age, u.Myr, 'age') if known else math.nan])

    def _find(self, columns):
        """Our name -> name in the table."""
        unknown = [key for key in columns if key not in (*_UNITS, *_INTEGERS)]
        if unknown:
            raise ValueError(f'columns must give names of {", ".join((*_INTEGERS, *_UNITS))}, '
                             f'received {unknown[0]!r}')
        found = {}
        for theirs in self._table.colnames:
            ours = self.SYNONYMS.get(theirs.lower(), theirs.lower())
            if ours not in (*_UNITS, *_INTEGERS) or ours in columns:
                continue
            if ours in found:
                raise ValueError(f'{self.name} has two columns for {ours}, {found[ours]!r} and '
                                 f'{theirs!r}: choose one with columns=')
            found[ours] = theirs
        for ours, theirs in columns.items():
            found[ours] = self._named(theirs)
        unused = [name for name in self._table.colnames if name not in found.values()]
        if unused:
            log.info('%s: columns not used: %s', self.name, ', '.join(unused))
        return found

    def _named(self, theirs):
        """A column by its name, or in a table without names by its number from 1."""
        names = self._table.colnames
        if str(theirs) in names:
            return str(theirs)
        numbered = [f'col{k}' for k in range(1, len(names) + 1)] == names
        if numbered and str(theirs).isdecimal() and 1 <= int(theirs) <= len(names):
            return f'col{int(theirs)}'
        near = difflib.get_close_matches(str(theirs), names, n=1, cutoff=0.6)
        has = f'numbers from 1 to {len(names)}' if numbered else ', '.join(names)
        raise ValueError(f'columns must name columns of {self.name}, which are {has}, received {theirs!r}'
                         f'{f": did you mean {near[0]}" if near else ""}')

    def _checked_units(self, units):
        unknown = [key for key in units if key not in self._names]
        if unknown:
            raise ValueError(f'units must be of columns that are in {self.name}, '
                             f'received {unknown[0]!r}')
        found = {ours: units.get(ours, self._table[theirs].unit) for ours, theirs in self._names.items()
                 if ours not in _INTEGERS}
        without = [ours for ours, unit in found.items() if unit is None]
        if without:
            columns = ', '.join(repr(self._names[ours]) for ours in without)
            given = ', '.join(f"{ours!r}: '{_UNITS[ours]}'" for ours in without)
            raise ValueError(f'columns of {self.name} must have units, received none of {columns}: give '
                             f'them, such as units={{{given}}}')
        result = {}
        for ours, unit in found.items():
            theirs, result[ours] = self._names[ours], u.Unit(unit)
            if not result[ours].is_equivalent(_UNITS[ours]):
                raise ValueError(f'the column {theirs!r} of {self.name} must have a unit that '
                                 f"converts to {_UNITS[ours]}, received '{result[ours]}'")
        return result

    def read(self, number):
        columns = {}
        for ours, theirs in self._names.items():
            column = self._table[theirs]
            if np.any(getattr(column, 'mask', False)):
                raise ValueError(f'the column {theirs!r} of {self.name} must be complete, '
                                 f'received {np.sum(column.mask)} missing values')
            values = np.asarray(getattr(column, 'value', column))
            if ours in _INTEGERS:
                columns[ours] = self._whole(values, theirs)
            else:
                columns[ours] = (values.astype(float) * self._units[ours]).to_value(_UNITS[ours])
        if 'mass' not in columns or not ({'x', 'y', 'z'} <= columns.keys()
                                         or {'radius', 'v_r', 'v_t'} <= columns.keys()):
            raise ValueError(f'{self.name} is not a table of stars: it must have mass and x, y, z '
                             f'or radius, v_r, v_t, received {", ".join(self._table.colnames)}')
        return _Stars(self._with_companions(columns))

    def _with_companions(self, columns):
        """Second stars of binaries as separate rows, at the same position."""
        theirs = {name.lower(): name for name in self._table.colnames}
        if self._names['mass'].lower() != 'sm1' or 'sm2' not in theirs:
            return columns
        number = columns['mass'].size
        mass = (np.asarray(self._table[theirs['sm2']], dtype=float) * self._units['mass']).to_value(u.Msun)
        first = np.flatnonzero(mass > 0.0)
        second = {name: values[first] for name, values in columns.items()}
        for ours, name in self.COMPANIONS.items():
            if ours in columns and name in theirs:
                values = np.asarray(self._table[theirs[name]])[first]
                second[ours] = self._whole(values, name) if ours in _INTEGERS else (
                    values.astype(float) * self._units[ours]).to_value(_UNITS[ours])
            elif ours in columns:
                raise ValueError(f'{self.name} has {self._names[ours]!r} of the first star of a binary, but '
                                 f'no column {name!r} of the second')
        partner = np.full(number + first.size, -1, dtype=np.int64)
        partner[first], partner[number:] = number + np.arange(first.size), first
        columns = {name: np.concatenate([values, second[name]]) for name, values in columns.items()}
        return columns | {'id': np.arange(number + first.size), 'partner': partner}

    def _whole(self, values, theirs):
        if values.dtype.kind not in 'iuf' or np.any(values != np.round(values)):
            raise ValueError(f'the column {theirs!r} of {self.name} must be whole numbers')
        return values.astype(np.int64)


def _text_format(name):
    """astropy's format of a text with blank-separated columns; None: let astropy detect it."""
    return _text_columns(name)[0]


def _text_columns(name):
    """Format of a text with blank-separated columns, and their names.

    Names are in the first line, commented or not; without such a line columns have numbers.
    """
    if not str(name).lower().endswith(('.dat', '.txt', '.asc', '.out', '.snap')):
        return None, []
    try:
        with open(name, encoding='utf-8') as file:
            lines = [line for line in (file.readline(10_000) for _ in range(200)) if line.strip()]
    except (OSError, UnicodeDecodeError):
        return None, []
    if not lines or ',' in lines[-1]:
        return None, []
    rows = [line for line in lines if not line.startswith('#')]
    if rows and all(is_number(word) for word in rows[0].split()):
        header = [line for line in lines if line.startswith('#')]
        names = header[0].lstrip('#').split() if len(header) == 1 else []
        if len(names) == len(rows[0].split()):
            return 'ascii.commented_header', names
        return 'ascii.no_header', []
    return 'ascii.basic', rows[0].split() if rows else []


def _read_table(name, table_format, options):
    with warnings.catch_warnings():
        # warns of several tables in one file, of which the first is used, and of too large numbers
        warnings.simplefilter('error', AstropyWarning)
        try:
            return Table.read(name, format=table_format or _text_format(name), **options)
        except FileNotFoundError:
            raise
        except (OSError, ValueError, TypeError, KeyError, IndexError, AstropyWarning,
                registry.IORegistryError) as error:
            raise ValueError(f'{name} cannot be read as a table: {error}') from error


def _refuse_gadget(file, name):
    with _open_hdf5(file, name) as groups:
        parts = sorted(key for key in groups if key.startswith('PartType'))
    if parts:
        raise ValueError(f'{name} is not a star cluster: {", ".join(parts)} are those of Gadget, '
                         'AREPO and similar codes, whose particles are not single stars')


# -- detection of the format ----------------------------------------------------------------------

_SOURCES = {
    'nbody6': lambda file, name, **options: _Nbody(file, name, 'nbody6', **options),
    'nbody6++': lambda file, name, **options: _nbody6pp(file, name, **options),
    'petar': _Petar, 'cmc': _Cmc, 'amuse': _Amuse, 'table': _Table,
}


def _nbody6pp(file, name, **options):
    file.seek(0)
    if file.read(8) == _HDF5:
        return _Nbody6ppHdf5(file, name, **options)
    return _Nbody(file, name, 'nbody6++', **options)


def _recognise(file, name):
    """Name of the format of an open file, None if it is not one of this module."""
    file.seek(0)
    head = file.read(16)
    if head[:8] == _HDF5:
        return _recognise_hdf5(file)
    if head.startswith(b'SIMPLE  ='):
        # FITS: snapshots of pidoc, or tables with format='table'
        return None
    if head.startswith(b'# %ECSV') or str(name).lower().endswith(('.ecsv', '.csv')):
        return 'table'
    return _recognise_nbody(file) or _recognise_petar(file) or _recognise_text(name)


def _recognise_text(name):
    names = {_Table.SYNONYMS.get(each.lower(), each.lower()) for each in _text_columns(name)[1]}
    return 'table' if 'mass' in names and names & {'x', 'radius'} else None


@contextmanager
def _opened(path, format, options):
    """The source of an open file, or of a path that is opened and closed here."""
    if hasattr(path, 'read'):
        with _source(path, str(getattr(path, 'name', 'the file')), format, options) as source:
            yield source
        return
    # a Path is never interpreted as an address to download
    with get_readable_fileobj(Path(path), encoding='binary') as file:
        with _source(file, str(path), format, options) as source:
            yield source


@contextmanager
def _source(file, name, format, options):
    try:
        found = format or _recognise(file, name)
    except _CUT:
        found = None
    if found not in _SOURCES:
        received = 'a file that is not recognised' if format is None else repr(format)
        raise ValueError(f'the format of {name} must be one of {", ".join(_SOURCES)}, '
                         f'received {received}')
    source = None
    try:
        source = _SOURCES[found](file, name, **options)
        yield source
    except _CUT as error:
        raise ValueError(f'{name} is damaged or cut short: {error}') from error
    finally:
        if hasattr(source, 'close'):
            source.close()


def _reader(format):
    def read(path, *, at=None, **options):
        common = {key: options.pop(key) for key in _COMMON if key in options}
        with _opened(path, format, options) as source:
            return _read(source, at, **common)
    return read


def _identifier(format):
    def identify(origin, path, fileobj, *args, **kwargs):
        if origin != 'read' or fileobj is None:
            return False
        place = fileobj.tell()
        try:
            return _recognise(fileobj, path) == format
        except _CUT:
            return False
        finally:
            fileobj.seek(place)
    return identify


for _format, *_described in (('nbody6', _Nbody), ('nbody6++', _Nbody, _Nbody6ppHdf5),
                             ('petar', _Petar), ('cmc', _Cmc), ('amuse', _Amuse),
                             ('table', _Table)):
    _function = _reader(_format)
    _function.__doc__ = '\n    '.join([str(_source_class.__doc__) for _source_class in _described]
                                      + ['Arguments of every format: see `pidoc.cluster.foreign`.'])
    registry.register_reader(_format, Snapshot, _function)
    registry.register_identifier(_format, Snapshot, _identifier(_format))
