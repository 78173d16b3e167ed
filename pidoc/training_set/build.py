# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""A build on its way: shards made by one process, several, or a dask cluster; resumed where it stopped."""

import logging
import time

from tqdm import tqdm

from pidoc.io.processes import begin_worker, scheduler_client, threads_each
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
    """A build on its way, the folder being locked."""

    def __init__(self, recipe, folder, sources, jobs, scheduler, progress):
        self.recipe, self.folder, self.sources = recipe, folder, sources
        self.jobs, self.scheduler, self.progress = jobs, scheduler, progress

    def finish(self):
        tasks = {task.path.name: task for task in shard_tasks(self.recipe, self.folder, self.sources)}
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
        write_table(self.folder, tasks)
        table = self.folder / TABLE_FILE
        manifest.table = {'bytes': table.stat().st_size, 'sha256': sha256_of(table)}
        manifest.state = 'complete'
        manifest.write(self.folder)

    def _manifest(self, tasks):
        """What the folder has of this set."""
        prints = {name: source.fingerprint for name, source in self.sources.items()}
        new = Manifest(self.recipe.to_dict(), self.recipe.digest, prints, len(tasks))
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

    def _work(self, tasks):
        """Name and entry of each shard, as they are made."""
        if self.scheduler is not None:
            return _work_with_dask(tasks, self.scheduler)
        if self.jobs == 1 or len(tasks) < 2:
            return ((task.path.name, make_shard(task)) for task in tasks)
        return _work_in_processes(tasks, self.jobs)


def _work_in_processes(tasks, jobs):
    import multiprocessing
    from concurrent.futures import as_completed, ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    pool = ProcessPoolExecutor(min(jobs, len(tasks)), multiprocessing.get_context('spawn'), begin_worker)
    try:
        with threads_each(1):
            futures = {pool.submit(make_shard, task): task.path.name for task in tasks}
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
        futures = {client.submit(make_shard, task, pure=False): task.path.name for task in tasks}
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
