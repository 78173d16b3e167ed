# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""A run on disk: a folder with the snapshots and the log of one model. For many, see `pidoc.simulation.many`.

An interrupted run is resumed when it is started again, and gives identical files: they depend only on the
model, the numerics and the ages.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import re
import time
from contextlib import contextmanager
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable, Table

from pidoc import __version__
from pidoc.cluster.model import ClusterModel
from pidoc.io.files import locked, replacing
from pidoc.io.fits import damage_of, float_type, read_table, table_hdu, write_hdus
from pidoc.io.progress import ProgressBar
from pidoc.simulation import kernels
from pidoc.simulation.evolve import check_ages, CheckpointError, ESCAPE_REASONS, Numerics, Simulation
from pidoc.simulation.ledger import ENERGY_CHANNELS, MASS_CHANNELS
from pidoc.units import to_value

if TYPE_CHECKING:
    import os

__all__ = ['RunFolderError', 'read_log', 'run']

log = logging.getLogger(__name__)

_FORMAT_VERSION = 1
_NUMERICS_CARDS = {
    'theta_max': ('THETAMAX', '[rad] rms deflection in one step'),
    'encounters': ('NENCOUNT', 'encounters of a star in one step'),
    'compensated': ('COMPENS', 'deflections raised for those that are capped'),
    'relaxation_step': ('RELAXSTP', 'longest step over relaxation time'),
    'mass_loss_step': ('MLSTEP', 'largest mass loss in one step'),
    'escape': ('ESCAPE', 'criterion of tidal escape'),
    'angular_momentum': ('ANGMOM', 'when the potential changes: kept or scaled'),
}
#: values that are closest to runs before a parameter was introduced
_BEFORE = {'compensated': False, 'angular_momentum': 'kept'}
_ENERGY = u.Msun * u.km ** 2 / u.s ** 2
#: columns of the log: unit (None: a whole number) and meaning
_COLUMNS = {
    'age': (u.Gyr, 'age of the cluster'),
    'n_stars': (None, 'stars, components of binaries counted'),
    'n_bodies': (None, 'single stars and binaries'),
    'n_binaries': (None, 'binaries'),
    'n_white_dwarfs': (None, 'stars of type 10 to 12'),
    'n_neutron_stars': (None, 'stars of type 13'),
    'n_black_holes': (None, 'stars of type 14'),
    'total_mass': (u.Msun, 'mass of all stars and remnants'),
    'v_luminosity': (u.Lsun, 'V luminosity, in that of the Sun'),
    'mass_to_light': (u.Msun / u.Lsun, 'total mass over V luminosity'),
    'r_01': (u.pc, 'radius with 1 % of the mass'),
    'r_10': (u.pc, 'radius with 10 % of the mass'),
    'half_mass_radius': (u.pc, 'radius with 50 % of the mass'),
    'r_90': (u.pc, 'radius with 90 % of the mass'),
    'core_radius': (u.pc, 'Casertano & Hut density radius'),
    'half_light_radius': (u.pc, 'radius with 50 % of the V light'),
    'tidal_radius': (u.pc, 'tidal radius, infinite if isolated'),
    'relaxation_time': (u.Myr, 'half-mass relaxation time'),
    'virial_ratio': (u.one, 'kinetic over absolute potential energy'),
    **{f'n_lost_{reason}': (None, f'stars lost so far: {reason}') for reason in ESCAPE_REASONS},
    **{f'mass_lost_{name}': (u.Msun, f'mass lost so far: {name}') for name in MASS_CHANNELS},
    'energy': (_ENERGY, 'energy of the stars as bodies'),
    **{f'energy_{channel}': (_ENERGY, f'energy gained so far: {channel}')
       for channel in ENERGY_CHANNELS},
    'energy_error': (u.one, 'unexplained over initial energy'),
    'steps': (None, 'global steps'),
}
#: files in a run folder, in addition to ``snapshots/snapshot_00000.fits`` and so on
_FILES = ('model.fits', 'log.fits', 'escapers.fits', 'checkpoint.npz', 'quicklook.png', '.lock')
#: temporary files of `pidoc.io.files.replacing`, left by killed runs
_LEFTOVER = re.compile(r'\.\d+\.(.+)')
_SNAPSHOT = re.compile(r'snapshot_\d{5,}\.fits')


class RunFolderError(ValueError):
    """A folder cannot be used for a run: it has other content, is in use, or damaged."""

# -- one model ------------------------------------------------------------------------------------


def run(model: ClusterModel, folder: str | os.PathLike[str], *, ages: u.Quantity,
        numerics: Numerics | None = None, threads: int = 1, progress: bool = True,
        checkpoint_interval: u.Quantity | str = 30 * u.s, dtype: str = 'float32',
        overwrite: bool = False) -> QTable:
    """Simulate a cluster and store everything in a folder.

    An interrupted run is resumed from its last checkpoint when it is started again, and gives files
    identical, to the last bit, to those of an uninterrupted run. A complete run is left unchanged. If a
    checkpoint is damaged, or belongs to another version of the physics, a warning is logged, and the run
    starts from the beginning.

    Parameters
    ----------
    model : `~pidoc.ClusterModel`
        Cluster to simulate.
    folder : path-like
        Created if needed; it must not contain anything else.
    ages : `~astropy.units.Quantity`, shape (n,)
        Ages of the snapshots, increasing, from 0 to 15 Gyr.
    numerics : `~pidoc.simulation.evolve.Numerics`, optional
        Accuracy parameters.
    threads : int, optional
        Number of threads; the result does not depend on it.
    progress : bool, optional
        Show a progress bar, if there is a terminal.
    checkpoint_interval : `~astropy.units.Quantity`, optional
        Wall-clock time between checkpoints: the largest loss by an interruption.
    dtype : {'float32', 'float64'}, optional
        Precision of the snapshots in the files.
    overwrite : bool, optional
        Delete the files of an earlier run in the folder, even of the same model.

    Returns
    -------
    `~astropy.table.QTable`
        The log, with one row per snapshot; its ``meta['STATE']`` is 'complete', or 'dissolved' if fewer than
        100 bodies were left before the last age.

    Raises
    ------
    TypeError
        If ``model`` is not a cluster model.
    ValueError
        If the ages or another argument are invalid, or the half-mass radius is not inside the tidal radius.
    RunFolderError
        If the folder has other content, a run of another model, numerics or ages (the message lists the
        differences), or is in use by another process.
    OSError
        If a file cannot be written, for example because the disk is full. Complete files are kept.
    `~pidoc.simulation.ledger.LedgerError`
        If mass or energy is not conserved.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from astropy import units as u
    >>> from pidoc import ClusterModel
    >>> from pidoc.simulation import run
    >>> with TemporaryDirectory() as folder:
    ...     log = run(ClusterModel(n_stars=500, seed=1), folder, ages=[0, 5] * u.Myr)
    >>> print(len(log), log['n_stars'][0], log.meta['STATE'])
    2 500 complete
    """
    if not isinstance(model, ClusterModel):
        raise TypeError(f'model must be a ClusterModel, received {model!r}')
    record = _Record(model, numerics or Numerics(), check_ages(ages), _check_dtype(dtype))
    seconds = to_value(checkpoint_interval, u.s, 'checkpoint_interval', non_negative=True)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _check_contents(folder)
    with locked(folder, RunFolderError(f'{folder} is being used by another run')):
        if overwrite:
            _clear(folder)
        _remove_leftovers(folder)
        _Run(folder, record, seconds, threads, progress).finish()
    return read_log(folder)


def read_log(folder: str | os.PathLike[str]) -> QTable:
    """The log of a run.

    Parameters
    ----------
    folder : path-like
        The folder of a run, finished or not, or its ``log.fits``.

    Returns
    -------
    `~astropy.table.QTable`
        One row per snapshot. The header is in ``meta``, with the model and ``STATE``: 'running' (or
        interrupted), 'complete' or 'dissolved'.

    Raises
    ------
    FileNotFoundError
        If there is no log.
    RunFolderError
        If it is damaged or not the log of a run.
    """
    path = Path(folder)
    path = path / 'log.fits' if path.is_dir() else path
    stored = read_table(path, 'LOG', RunFolderError)
    table, header = QTable(), stored.meta['header']
    with damage_of(path, RunFolderError):
        for name, (unit, _) in _COLUMNS.items():
            values = np.array(stored[name], dtype=np.int64 if unit is None else np.float64)
            table[name] = values if unit in (None, u.one) else values * unit
    table.meta.update((keyword, header[keyword]) for keyword in header.copy(strip=True)
                      if keyword not in ('EXTNAME', 'CHECKSUM', 'DATASUM'))
    return table


def _check_dtype(dtype):
    return float_type(dtype).name


class _Run:
    """A running simulation with its files, in a locked folder."""

    def __init__(self, folder, record, seconds, threads, progress):
        self.folder = folder
        self.record = record
        self.seconds = seconds
        self.threads = threads
        self.progress = progress
        self.rows = []
        self.simulation = None

    def finish(self):
        """Continue from the present state to the end."""
        if not self._is_complete():
            with _Bar(self.record, self.progress) as bar:
                self._take_up(bar)
                self._simulate(bar)
        # all files so far are complete; later steps can be repeated
        self._draw()
        (self.folder / 'checkpoint.npz').unlink(missing_ok=True)

    # -- state of the folder

    def _is_complete(self):
        path = self.folder / 'model.fits'
        if not path.exists():
            return False
        there = _Record.read(path)
        there.check_same(self.record, self.folder)
        try:
            table = read_log(self.folder)
        except FileNotFoundError:
            table = None
        except RunFolderError as error:
            log.warning('%s; the run starts again from the beginning', error)
            (self.folder / 'log.fits').unlink()
            table = None
        if table is not None and table.meta['STATE'] != 'running':
            if self._has_snapshots(len(table)):
                return True
            log.warning('%s: snapshots are missing; the run starts again from the beginning', self.folder)
            (self.folder / 'log.fits').unlink()
        there.check_version(self.folder)
        return False

    def _take_up(self, bar):
        """Resume from the checkpoint, or start."""
        if not self._load():
            self.rows = []
            self.simulation = Simulation(self.record.model, numerics=self.record.numerics,
                                         threads=self.threads)
            with self._writing():
                (self.folder / 'snapshots').mkdir(exist_ok=True)
                self.record.write(self.folder / 'model.fits')
        bar.begin(self.simulation.age)

    def _load(self):
        """Load the checkpoint and all earlier results, if they exist."""
        path = self.folder / 'checkpoint.npz'
        if not path.exists():
            return False
        try:
            simulation = Simulation.load(path, threads=self.threads)
            if simulation.model != self.record.model or simulation.numerics != self.record.numerics:
                raise CheckpointError(f'{path} belongs to another run')
            rows = self._rows_until(simulation.age)
        except (CheckpointError, RunFolderError) as error:
            log.warning('%s; the run starts again from the beginning', error)
            return False
        self.simulation, self.rows = simulation, rows
        log.info('%s continues from %.1f Myr', self.folder, simulation.age)
        return True

    def _rows_until(self, age):
        """Rows of the log up to an age [Myr]."""
        path = self.folder / 'log.fits'
        if not path.exists():
            raise RunFolderError(f'{path}, which a checkpoint needs, is missing')
        table = read_log(path)
        columns = [np.asarray(table[name]).tolist() for name in _COLUMNS]
        rows = [dict(zip(_COLUMNS, row, strict=True)) for row in zip(*columns, strict=True)]
        number = int(np.count_nonzero(self.record.ages < age))
        # a checkpoint may be at exactly the age of a snapshot, before or after it
        if number < self.record.ages.size and self.record.ages[number] == age and len(rows) > number:
            number += 1
        if len(rows) < number or not self._has_snapshots(number):
            raise RunFolderError(f'{self.folder} must hold {number} snapshots and rows of the log, '
                                 'the number at its checkpoint: some are missing')
        return rows[:number]

    def _has_snapshots(self, number):
        """Whether so many snapshots exist; a complete FITS file is a multiple of 2880 bytes long."""
        paths = [self._snapshot_path(k) for k in range(number)]
        sizes = [path.stat().st_size if path.exists() else 0 for path in paths]
        return all(size > 0 and size % 2880 == 0 for size in sizes)

    def _snapshot_path(self, k):
        return self.folder / 'snapshots' / f'snapshot_{k:05d}.fits'

    # -- simulation

    def _simulate(self, bar):
        simulation, ages = self.simulation, self.record.ages
        self._saved_at = time.monotonic()
        for k in range(len(self.rows), ages.size):
            simulation.advance_to(ages[k], each_step=partial(self._after_step, bar))
            if simulation.dissolved:
                log.warning('%s: the cluster dissolved at %.1f Myr', self.folder, simulation.age)
                break
            self._take_snapshot(k)
        with self._writing():
            self._write_log('dissolved' if simulation.dissolved else 'complete')

    def _after_step(self, bar, simulation):
        bar.show(simulation)
        if time.monotonic() - self._saved_at >= self.seconds:
            with self._writing():
                # in this order: the log must never be older than the checkpoint
                self._write_log('running')
                simulation.save(self.folder / 'checkpoint.npz')
            self._saved_at = time.monotonic()

    def _take_snapshot(self, k):
        snapshot = self.simulation.snapshot()
        row = _log_row(self.simulation, snapshot)
        with self._writing():
            snapshot.write(self._snapshot_path(k), overwrite=True, dtype=self.record.dtype)
        self.rows.append(row)

    @contextmanager
    def _writing(self):
        try:
            yield
        except OSError as error:
            message = (f'{self.folder} could not be written at {self.simulation.age:.1f} Myr: {error}; all '
                       'complete snapshots are kept, and the run continues when it is started again')
            raise (OSError(message) if error.errno is None else OSError(error.errno, message)) from error

    # -- files

    def _write_log(self, state):
        escapers = self.simulation.escapers
        counts = _escapers_so_far(escapers, self.record.ages[:len(self.rows)])
        rows = [{**row, **count} for row, count in zip(self.rows, counts, strict=True)]
        header = self.record.to_header()
        header['STATE'] = (state, 'running, complete or dissolved')
        header['ENDAGE'] = (self.simulation.age / 1000.0, '[Gyr] age that the run has reached')
        write_hdus([fits.PrimaryHDU(), table_hdu(Table(escapers), 'ESCAPERS')], self.folder / 'escapers.fits')
        write_hdus([fits.PrimaryHDU(), _log_hdu(rows, header)], self.folder / 'log.fits')

    def _draw(self):
        path = self.folder / 'quicklook.png'
        table = read_log(self.folder)
        if path.exists() or not len(table):
            return
        from pidoc.plotting.run import plot_run

        with replacing(path) as temporary:
            # without the version of matplotlib, which would depend on the machine
            plot_run(table).savefig(temporary, dpi=150, metadata={'Software': None})


def _log_row(simulation, snapshot):
    """One row of the log, as plain numbers, without the counts of escapers."""
    kind = snapshot.stars['kind']
    summary = {name: value for name, value in snapshot.summary().items() if name in _COLUMNS}
    ledger, units = simulation.ledger, simulation.units
    row = {
        **summary,
        'n_bodies': simulation.n_bodies,
        'n_binaries': snapshot.n_stars - simulation.n_bodies,
        'n_white_dwarfs': np.count_nonzero((kind >= 10) & (kind <= 12)),
        'n_neutron_stars': np.count_nonzero(kind == 13),
        'n_black_holes': np.count_nonzero(kind == 14),
        'r_01': snapshot.lagrangian_radii(0.01),
        'tidal_radius': simulation.tidal_radius * u.pc,
        'relaxation_time': simulation.relaxation_time * u.Myr,
        'virial_ratio': simulation.virial_ratio * u.one,
        'energy': math.fsum([ledger.initial_energy, *ledger.energy.values()]) * units.energy * _ENERGY,
        'energy_error': simulation.energy_error * u.one,
        'steps': simulation.steps,
    }
    for channel, value in ledger.mass.items():
        row[f'mass_lost_{channel}'] = (0.0 - value) * units.mass * u.Msun
    for channel, value in ledger.energy.items():
        row[f'energy_{channel}'] = value * units.energy * _ENERGY
    return {name: int(value) if _COLUMNS[name][0] is None else float(value.to_value(_COLUMNS[name][0]))
            for name, value in row.items()}


def _escapers_so_far(escapers, ages):
    """Number of escapers by reason before each age [Myr] of a snapshot.

    Stars leave at the end of a step, and so before a snapshot at that age; those with a birth kick leave at
    its start, and so after it.
    """
    left = escapers['age'].to_value(u.Myr)
    counts = []
    for reason in ESCAPE_REASONS:
        side = 'left' if reason == 'kick' else 'right'
        counts.append(np.searchsorted(left[escapers['reason'] == reason], ages, side=side))
    return [{f'n_lost_{reason}': int(n) for reason, n in zip(ESCAPE_REASONS, row, strict=True)}
            for row in np.transpose(counts)]


def _log_hdu(rows, header):
    columns = []
    for name, (unit, _) in _COLUMNS.items():
        array = np.array([row[name] for row in rows], dtype=np.int64 if unit is None else np.float64)
        text = None if unit in (None, u.one) else unit.to_string('fits')
        columns.append(fits.Column(name, 'K' if unit is None else 'D', text, array=array))
    hdu = fits.BinTableHDU.from_columns(columns, name='LOG')
    for k, (_, meaning) in enumerate(_COLUMNS.values()):
        hdu.header.comments[f'TTYPE{k + 1}'] = meaning
    hdu.header.extend(header)
    return hdu


# -- record of the run ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Record:
    """Definition of a run in its folder; ``model.fits``."""

    model: ClusterModel
    numerics: Numerics
    ages: np.ndarray  # Myr
    dtype: str
    version: str = __version__

    def to_header(self):
        header = fits.Header()
        header['RUNFMT'] = (_FORMAT_VERSION, 'version of the format of run folders')
        header['PIDOCVER'] = (self.version, 'version of pidoc that made the run')
        header['SNAPTYPE'] = (self.dtype, 'precision of the snapshots')
        header.extend(self.model.to_header())
        for field in dataclasses.fields(Numerics):
            keyword, comment = _NUMERICS_CARDS[field.name]
            value = getattr(self.numerics, field.name)
            if isinstance(value, Real) and not isinstance(value, bool):
                # with all digits: a card only has room for 20 characters of a number
                value = int(value) if isinstance(value, Integral) else repr(float(value))
            header[keyword] = (value, comment)
        return header

    def write(self, path):
        column = fits.Column('age', 'D', 'Myr', array=self.ages)
        hdu = fits.BinTableHDU.from_columns([column], name='MODEL')
        hdu.header.extend(self.to_header())
        write_hdus([fits.PrimaryHDU(), hdu], path)

    @classmethod
    def read(cls, path):
        table = read_table(path, 'MODEL', RunFolderError)
        header = table.meta['header']
        try:
            if header['RUNFMT'] != _FORMAT_VERSION:
                raise ValueError(f'its format must be version {_FORMAT_VERSION}, the one this pidoc '
                                 f'knows, received {header["RUNFMT"]!r}')
            values = {name: header.get(keyword, _BEFORE[name]) if name in _BEFORE else header[keyword]
                      for name, (keyword, _) in _NUMERICS_CARDS.items()}
            numerics = Numerics(**{name: float(value) if _is_float(name, value) else value
                                   for name, value in values.items()})
            return cls(ClusterModel.from_header(header), numerics,
                       np.array(table['age'], dtype=float), header['SNAPTYPE'], header['PIDOCVER'])
        except (KeyError, TypeError, ValueError) as error:
            raise RunFolderError(f'{path} is not a valid record of a run: {error}') from error

    def check_same(self, other, folder):
        """Compare the existing run with the requested one."""
        differences = [*_differing_fields(self.model, other.model),
                       *_differing_fields(self.numerics, other.numerics),
                       *_differing_ages(self.ages, other.ages)]
        if self.dtype != other.dtype:
            differences.append(f'dtype is {self.dtype} there, {other.dtype} here')
        if differences:
            raise RunFolderError(f'{folder} holds another run: {"; ".join(differences)}. Use another '
                                 'folder, or overwrite=True')

    def check_version(self, folder):
        if self.version != __version__:
            raise RunFolderError(f'{folder} holds a run begun by pidoc {self.version}, which '
                                 f'{__version__} cannot continue. Use another folder, or '
                                 'overwrite=True')


def _is_float(name, value):
    return isinstance(value, str) and not isinstance(getattr(Numerics, name), str)


def _differing_fields(there, here):
    """Sentences on the fields in which two models or numerics differ."""
    for field in dataclasses.fields(there):
        a, b = getattr(there, field.name), getattr(here, field.name)
        same = a is b or (a is not None and b is not None and bool(np.all(a == b)))
        if not same:
            yield f'{field.name} is {_shown(a)} there, {_shown(b)} here'


def _shown(value):
    return repr(value) if isinstance(value, str) else str(value)


def _differing_ages(there, here):
    if there.size != here.size:
        yield f'ages are {there.size} there, {here.size} here'
    elif np.any(there != here):
        k = int(np.argmax(there != here))
        yield f'ages[{k}] is {there[k]!s} Myr there, {here[k]!s} Myr here'


# -- the folder -----------------------------------------------------------------------------------


def _check_contents(folder):
    """Check that a folder without a run is empty, so that a run is not mixed with other files."""
    if (folder / 'model.fits').exists():
        return
    foreign = [path.name for path in sorted(folder.iterdir())
               if not (path.name in (*_FILES, 'snapshots') or _LEFTOVER.fullmatch(path.name))]
    if foreign:
        raise RunFolderError(f'{folder} must be empty or hold a run, received one with {foreign[0]}')


def _clear(folder):
    """Remove the files of an earlier run, and no others; the record last."""
    for name in ('log.fits', 'escapers.fits', 'checkpoint.npz', 'quicklook.png'):
        (folder / name).unlink(missing_ok=True)
    for path in _listed(folder / 'snapshots'):
        if _SNAPSHOT.fullmatch(path.name):
            path.unlink()
    (folder / 'model.fits').unlink(missing_ok=True)


def _remove_leftovers(folder):
    """Remove temporary files of a killed run."""
    for path in [*_listed(folder), *_listed(folder / 'snapshots')]:
        match = _LEFTOVER.fullmatch(path.name)
        if match and (match[1] in _FILES or _SNAPSHOT.fullmatch(match[1])):
            path.unlink()


def _listed(folder):
    return list(folder.iterdir()) if folder.is_dir() else []


class _Bar:
    """Progress of one run in age."""

    _FORMAT = '{desc}: {percentage:3.0f}%|{bar}| {n:.2f}/{total:.4g} Gyr [{elapsed}<{remaining}{postfix}]'

    def __init__(self, record, progress):
        self._name = record.model.name or 'cluster'
        self._compiling = not _compiled()
        self._bar = ProgressBar(record.ages[-1] / 1000.0,
                                'compiling (first run only)' if self._compiling else self._name,
                                progress=progress, bar_format=self._FORMAT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()

    def begin(self, age):
        """Start to measure time, at this age [Myr]."""
        self._bar.initial = self._bar.n = age / 1000.0
        self._bar.unpause()

    def show(self, simulation):
        if self._bar.disable:
            return
        if self._compiling:
            self._bar.desc = self._name
            self._compiling = False
        self._bar.set_postfix_str(f'{simulation.n_bodies} stars', refresh=False)
        self._bar.update(simulation.age / 1000.0 - self._bar.n)


def _compiled():
    """Whether numba has compiled the kernels, in memory or on disk."""
    cache = Path(kernels.advance.stats.cache_path)
    return bool(kernels.advance.signatures) or any(cache.glob('kernels.advance-*.nbi'))
