# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Build of a training set: shards are made by one or several processes or a dask cluster, and resumed."""

import logging
from contextlib import closing
from functools import partial

from pidoc.io.processes import work, WorkerKilled, WorkLost
from pidoc.io.progress import ProgressBar
from pidoc.training_set.files import (
    check_size,
    Manifest,
    MANIFEST_FILE,
    sha256_of,
    TABLE_FILE,
    TrainingSetError,
)
from pidoc.training_set.shards import make_shard, shard_tasks, write_table

__all__ = ['Build']

log = logging.getLogger(__name__)


class Build:
    """A running build with snapshots in files, in a locked folder."""

    def __init__(self, recipe, folder, jobs, scheduler, progress):
        self.recipe, self.folder = recipe, folder
        self.jobs, self.scheduler, self.progress = jobs, scheduler, progress

    def finish(self, sources):
        """Make the missing files."""
        tasks = {task.path.name: task for task in shard_tasks(self.recipe, self.folder, sources)}
        manifest = self._taken_up(Manifest(
            self.recipe.to_dict(), self.recipe.digest,
            {name: source.fingerprint for name, source in sources.items()}, len(tasks)))
        if manifest.state == 'complete':
            return
        waiting = [task for name, task in tasks.items() if name not in manifest.shards]
        with self._bar(tasks, sum(entry['maps'] for entry in manifest.shards.values())) as bar:
            if waiting:
                # before the first shard: reserves the folder for this recipe
                manifest.write(self.folder)
            with closing(self._work(make_shard, [(task.path.name, (task,)) for task in waiting])) as done:
                for name, entry, error in done:
                    if error is not None:
                        raise _why_not(name, error)
                    manifest.shards[name] = entry
                    manifest.write(self.folder)
                    bar.update(entry['maps'])
        self._complete(manifest, tasks)

    def _taken_up(self, new):
        """The files of this set in the folder."""
        if not (self.folder / MANIFEST_FILE).exists():
            return new
        there = Manifest.read(self.folder)
        there.check_same(new, self.folder)
        for name, entry in list(there.shards.items()):
            try:
                check_size(self.folder / name, entry['bytes'])
            except TrainingSetError as error:
                log.warning('%s; it is made again', error)
                del there.shards[name]
                there.state = 'building'
        if there.state == 'complete':
            try:
                check_size(self.folder / TABLE_FILE, there.table['bytes'])
            except TrainingSetError as error:
                log.warning('%s; it is made again', error)
                there.state = 'building'
        return there

    def _complete(self, manifest, tasks):
        """Finish a set with all shards: add the table of all maps."""
        manifest.shards = {name: manifest.shards[name] for name in tasks}
        write_table(self.folder, tasks)
        table = self.folder / TABLE_FILE
        manifest.table = {'bytes': table.stat().st_size, 'sha256': sha256_of(table)}
        manifest.state = 'complete'
        manifest.write(self.folder)

    def _bar(self, tasks, done):
        return ProgressBar(sum(len(task.draws) for task in tasks.values()), self.recipe.name,
                           progress=self.progress, unit=' maps', initial=done)

    def _work(self, function, tasks, tick=None):
        """Name, result and error of each task, in order of completion."""
        jobs = self.jobs if self.jobs > 1 and len(tasks) > 1 else 0
        if tick and not jobs and self.scheduler is None:
            function = partial(function, tick=tick)
        return work(function, tasks, jobs=jobs, scheduler=self.scheduler, tick=tick)


def _why_not(name, error):
    """The exception to raise for a shard that was not made."""
    if isinstance(error, WorkerKilled):
        return TrainingSetError(f'a worker process was killed while it made {name}, perhaps for lack of '
                                'memory; complete files are kept, and the build continues when it is started '
                                'again')
    if isinstance(error, WorkLost):
        return TrainingSetError(f'{name} was not made, {error}; complete files are kept')
    return error
