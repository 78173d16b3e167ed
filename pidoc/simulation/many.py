# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Many runs in parallel, in local processes or on the workers of dask.

Each is a `pidoc.simulation.run.run` in a separate folder.
"""

from __future__ import annotations

import logging
import math
import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from astropy import units as u
from astropy.table import QTable

from pidoc.cluster.table import read_models
from pidoc.io.files import replacing
from pidoc.io.processes import one_line, work
from pidoc.io.progress import ProgressBar
from pidoc.simulation.evolve import check_ages
from pidoc.simulation.run import _check_dtype, _COLUMNS, read_log, run, RunFolderError
from pidoc.units import whole_number

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from astropy.table import Table

    from pidoc.cluster.model import ClusterModel
    from pidoc.simulation.evolve import Numerics

__all__ = ['run_many']

log = logging.getLogger(__name__)

_FOLDER_NAME = re.compile(r'[A-Za-z0-9_+-][A-Za-z0-9._+-]*')


def run_many(models: str | os.PathLike[str] | Table | Iterable[ClusterModel], folder: str | os.PathLike[str],
             *, ages: u.Quantity, jobs: int = 2, scheduler: str | None = None,
             numerics: Numerics | None = None, progress: bool = True,
             checkpoint_interval: u.Quantity | str = 30 * u.s, dtype: str = 'float32',
             overwrite: bool = False) -> QTable:
    """Simulate many clusters in parallel, each in a separate folder.

    If a model fails, others continue. When started again, finished runs are left unchanged and the others are
    resumed, so a run that failed for lack of memory or disk space can be tried again.

    Parameters
    ----------
    models : path-like, `~astropy.table.Table` or iterable of `~pidoc.ClusterModel`
        As for `~pidoc.cluster.table.read_models`. Their names become those of the folders.
    folder : path-like
        Parent folder of the folders of the runs.
    ages, numerics, checkpoint_interval, dtype, overwrite
        As for `~pidoc.simulation.run.run`, equal for all.
    jobs : int, optional
        Number of processes, each with one thread. The result does not depend on it.
    scheduler : str, optional
        Address of a dask scheduler ('tcp://...'), whose workers are used instead; they must have access to
        the folder under the same path.
    progress : bool, optional
        Show a progress bar (for all snapshots of all models), if there is a terminal.

    Returns
    -------
    `~astropy.table.QTable`
        One row per model, in the order of ``models``: name, ``state`` ('complete', 'dissolved' or 'failed'),
        the last snapshot's age, number of stars, mass, half-mass radius and M/L in V, and for failures the
        error. It is also written to ``summary.ecsv``.

    Raises
    ------
    ValueError
        If an argument is invalid; names must be different and suitable for folders.
    ImportError
        If a scheduler is given and dask is not installed.

    Notes
    -----
    Processes are started with the 'spawn' method, so a script must call this under ``if __name__ ==
    '__main__':``. Each simulates one model at a time: if one is killed, the others continue.
    """
    models = read_models(models)
    _check_names([model.name for model in models])
    ages_myr = check_ages(ages)
    jobs = whole_number(jobs, 'jobs', at_least=1, floats=True)
    folder = Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    options = {'ages': ages_myr * u.Myr, 'numerics': numerics, 'dtype': _check_dtype(dtype),
               'checkpoint_interval': checkpoint_interval, 'overwrite': overwrite}
    # the largest first, so that none of them is left for the end
    tasks = [(model.name, (model, folder / model.name, options))
             for model in sorted(models, key=lambda model: -model.n_stars)]
    errors = {}
    with _ManyBar(folder, models, ages_myr.size, progress) as bar, \
            closing(work(_run_task, tasks, jobs=jobs, scheduler=scheduler, tick=bar.show)) as done:
        for name, _, error in done:
            bar.end(name)
            if error is not None:
                log.debug('%s failed', name, exc_info=error)
                errors[name] = one_line(error)
    summary = _summary(models, folder, errors)
    with replacing(folder / 'summary.ecsv') as temporary:
        summary.write(temporary, format='ascii.ecsv', overwrite=True)
    return summary


def _check_names(names):
    if not names:
        raise ValueError('there must be at least one model, received none')
    for name in names:
        if not _FOLDER_NAME.fullmatch(name):
            raise ValueError('each of many models needs a name of letters, digits and . _ + - that can '
                             f'be a folder, received {name!r}')
    lower = [name.lower() for name in names]
    twice = [name for k, name in enumerate(names) if lower.index(name.lower()) < k]
    if twice:
        raise ValueError(f'names of models must be different, received {twice[0]!r} twice')


def _run_task(model, folder, options):
    run(model, folder, threads=1, progress=False, **options)


def _summary(models, folder, errors):
    """One row per model, from the logs."""
    rows = []
    for model in models:
        row = {'name': model.name, 'state': 'failed', 'age': math.nan, 'n_stars': 0,
               'total_mass': math.nan, 'half_mass_radius': math.nan, 'mass_to_light': math.nan,
               'error': errors.get(model.name, '')}
        # nothing is certain for a failed model, not even the owner of the folder
        if not row['error']:
            _fill(row, folder / model.name)
        rows.append(row)
    summary = QTable(rows=rows)
    for name in ('age', 'total_mass', 'half_mass_radius', 'mass_to_light'):
        summary[name] = summary[name] * _COLUMNS[name][0]
    return summary


def _fill(row, folder):
    """Fill in the last row of the log of a successful run."""
    try:
        table = read_log(folder)
    except (FileNotFoundError, RunFolderError) as error:
        row['error'] = f'the run ended, but its log cannot be read from here: {error}'
        return
    row['state'] = table.meta['STATE']
    if len(table):
        for name in ('age', 'n_stars', 'total_mass', 'half_mass_radius', 'mass_to_light'):
            row[name] = getattr(table[name][-1], 'value', table[name][-1])


class _ManyBar:
    """Progress of many runs, from the number of snapshots on disk."""

    def __init__(self, folder, models, n_ages, progress):
        self._open = {model.name: folder / model.name for model in models}
        self._n_ages = n_ages
        self._counts = dict.fromkeys(self._open, 0)
        self._bar = ProgressBar(n_ages * len(models), f'{len(models)} model{"s" * (len(models) > 1)}',
                                progress=progress, unit=' snapshots')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()

    def show(self):
        if self._bar.disable:
            return
        for name in self._open:
            self._count(name)
        self._bar.n = min(sum(self._counts.values()), self._bar.total)
        self._bar.refresh()

    def end(self, name):
        """Expect no further snapshots of this model, which may have dissolved or failed."""
        if self._bar.disable:
            return
        self._count(name)
        self._bar.total -= self._n_ages - self._counts[name]
        del self._open[name]
        self.show()

    def _count(self, name):
        self._counts[name] = min(self._n_ages, len(list(self._open[name].glob('snapshots/*'))))
