# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The simulations from which a recipe takes its snapshots."""

import hashlib
import json
from collections import namedtuple
from pathlib import Path

import numpy as np
from astropy import units as u

from pidoc.cluster.model import ClusterModel
from pidoc.training_set.files import read_table, sha256_of, TrainingSetError

__all__ = ['simulate']

Source = namedtuple('Source', 'name paths options fingerprint model', defaults=[None])
"""A simulation: file of each snapshot, options of its reader, fingerprint, model."""


def find_sources(recipe, folder):
    """The simulations used by the parts of a recipe, searched for in a folder."""
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
    """Check whether the same cluster, or the same files, occur under two names."""
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
    """A run of pidoc, which must be complete, and agree with the recipe if that describes it."""
    record = read_table(folder / 'model.fits', 'MODEL')
    model = ClusterModel.from_header(record.meta['header'])
    ages = record['age'].to_value(u.Myr)
    if expected is not None:
        _check_run(folder, model, ages, *expected)
    if not (folder / 'log.fits').exists():
        raise TrainingSetError(f'{folder} is an unfinished run without any snapshots: finish it first')
    rows = read_table(folder / 'log.fits', 'LOG')
    if rows.meta['header']['STATE'] == 'running':
        raise TrainingSetError(f'{folder} is not complete: the run has {len(rows)} of {len(ages)} snapshots; '
                               'finish it first')
    paths = [folder / 'snapshots' / f'snapshot_{k:05d}.fits' for k in range(len(rows))]
    absent = [path for path in paths if not path.exists()]
    if absent or not paths:
        raise TrainingSetError(f'{folder} must have its {len(rows)} snapshots: '
                               f'{absent[0].name if absent else "none"} not found')
    return Source(name, paths, [{}] * len(paths), sha256_of(folder / 'log.fits'), model)


def _check_run(folder, model, ages, expected, expected_ages):
    if model != expected:
        fields = [field for field in expected.__dataclass_fields__
                  if np.any(getattr(model, field) != getattr(expected, field))]
        raise TrainingSetError(f'{folder} is a run of another model than in the recipe: '
                               f'{", ".join(fields)} differ')
    if not np.array_equal(ages, expected_ages):
        raise TrainingSetError(f'{folder} is a run with other ages than in the recipe: {len(ages)} there, '
                               f'{len(expected_ages)} in the recipe')


def _foreign_source(foreign, folder):
    options = dict(foreign.options)
    if 'age' in options:
        options['age'] = options['age'] * u.Gyr
    paths = []
    for pattern in foreign.files:
        # for an absolute path the folder is ignored
        place = folder / pattern
        base = Path(place.anchor)
        found = sorted(base.glob(str(place.relative_to(base))))
        if not found:
            raise TrainingSetError(f'simulation {foreign.name}: {place} fits no file')
        paths += found
    each = [options | ({} if at is None else {'at': at}) for at in foreign.at]
    sizes = [[path.name, path.stat().st_size] for path in paths]
    fingerprint = hashlib.sha256(json.dumps([sizes, foreign.at, str(options)]).encode()).hexdigest()
    return Source(foreign.name, [path for path in paths for _ in each], each * len(paths), fingerprint)


def simulate(recipe, folder, *, jobs=2, scheduler=None, progress=True):
    """Run the missing simulations of a recipe.

    Parameters
    ----------
    recipe : `~pidoc.training_set.recipe.Recipe`
    folder : path-like
        Parent folder of the folders of the runs.
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
