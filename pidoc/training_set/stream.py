# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""A streamed build: simulations are run from age to age, and their snapshots observed and discarded.

The unit of work is one simulation with all of its maps, for any part and split. Its checkpoint, and the maps
that are not yet in files, are in a folder of its own in ``unfinished``.
"""

import hashlib
import json
import logging
import os
import shutil
import time
from collections import namedtuple
from contextlib import closing

import numpy as np

from pidoc.io.files import replacing
from pidoc.io.processes import one_line
from pidoc.simulation.evolve import CheckpointError, PHYSICS, Simulation
from pidoc.training_set.build import Build
from pidoc.training_set.files import check_size, is_shard, Manifest, TrainingSetError
from pidoc.training_set.shards import OpenShard, streamed_shard_tasks, writing
from pidoc.training_set.sources import Source

__all__ = ['StreamedBuild', 'StreamTask', 'stream_simulation', 'streamed_sources']

log = logging.getLogger(__name__)

UNFINISHED = 'unfinished'
_CHECKPOINT_EVERY = 30.0    # s

StreamTask = namedtuple('StreamTask', 'model ages number folder shards')
"""A simulation to be run: its model, all ages [Myr], the number of them required by its maps, the folder for
unfinished work, and the tasks of its shards."""


# -- one simulation -------------------------------------------------------------------------------


def stream_simulation(task, *, tick=None):
    """Run a simulation and make its maps, from the last checkpoint if there is one.

    Parameters
    ----------
    task : `StreamTask`
    tick : callable, optional
        Called after each snapshot.

    Returns
    -------
    number : int
        Number of snapshots until its end.
    files : dict
        Name of each shard -> its entry of the manifest; empty if there are fewer snapshots than the maps
        require, which are then drawn anew.
    """
    return _Stream(task, tick).finish()


class _Stream:
    """A running simulation with its maps."""

    def __init__(self, task, tick):
        self.task, self.tick = task, tick
        self.simulation, self.done, self.open = None, {}, {}
        self._checkpoint, self._maps = task.folder / 'checkpoint.npz', task.folder / 'maps.npz'

    def finish(self):
        with writing(self.task.folder):
            self.task.folder.mkdir(parents=True, exist_ok=True)
            for leftover in self.task.folder.glob('.*.npz'):
                leftover.unlink()
        first = self._take_up()
        self._saved_at = time.monotonic()
        # all ages, also those without maps: steps end at each, which affects later snapshots
        for k in range(first, self.task.number):
            self.simulation.advance_to(self.task.ages[k], each_step=self._after_step)
            if self.simulation.dissolved:
                log.warning('%s: the cluster dissolved at %.1f Myr, after %d snapshots', self.task.model.name,
                            self.simulation.age, k)
                return k, {}
            self._observe(k)
            if self.tick:
                self.tick()
        return self.task.number, self.done

    def _observe(self, k):
        """Make all missing maps of a snapshot."""
        waiting = [(shard, _rows_until(shard, k + 1)) for shard in self.task.shards
                   if shard.path.name not in self.done and k in shard.draws['snapshot']]
        if not waiting:
            return
        snapshot = self.simulation.snapshot().as_stored()
        for task, until in waiting:
            name = task.path.name
            if name not in self.open:
                self.open[name] = OpenShard(task)
            shard = self.open[name]
            while len(shard) < until:
                shard.add(snapshot)
            if len(shard) == len(task.draws):
                self.done[name] = shard.write() | {'draws': _digest(task)}
                del self.open[name]

    # -- checkpoints

    def _after_step(self, simulation):
        if time.monotonic() - self._saved_at >= _CHECKPOINT_EVERY:
            with writing(self._checkpoint):
                # in this order: the maps must never be older than the checkpoint
                self._write_maps()
                simulation.save(self._checkpoint)
            self._saved_at = time.monotonic()

    def _write_maps(self):
        meta = {'done': self.done, 'open': {name: [_digest(shard.task), shard.measured]
                                            for name, shard in self.open.items()}}
        cubes = {f'{name}/{kind}': cube[:len(shard)] for name, shard in self.open.items()
                 for kind, cube in shard.cubes.items()}
        with replacing(self._maps) as temporary, open(temporary, 'wb') as stream:
            np.savez(stream, meta=np.array(json.dumps(meta)), **cubes)
            stream.flush()
            os.fsync(stream.fileno())

    def _take_up(self):
        """Resume from the checkpoint, or start; returns the number of the next snapshot."""
        if self._checkpoint.exists():
            try:
                return self._load()
            except (CheckpointError, TrainingSetError) as error:
                log.warning('%s; the simulation %s starts again from the beginning', error,
                            self.task.model.name)
                self.done, self.open = {}, {}
        self.simulation = Simulation(self.task.model)
        return 0

    def _load(self):
        simulation = Simulation.load(self._checkpoint)
        if simulation.model != self.task.model:
            raise CheckpointError(f'{self._checkpoint} belongs to another simulation')
        self._read_maps()
        # a snapshot at the age of the checkpoint is repeated; its existing maps are kept
        first = int(np.searchsorted(self.task.ages, simulation.age))
        for shard in self.task.shards:
            name, needed = shard.path.name, _rows_until(shard, first)
            if name not in self.done and needed > len(self.open.get(name, ())):
                raise TrainingSetError(f'{self._maps} must hold the first {needed} maps of {name}, as its '
                                       f'checkpoint needs, received {len(self.open.get(name, ()))}')
        self.simulation = simulation
        log.info('%s continues from %.1f Myr', self.task.model.name, simulation.age)
        return first

    def _read_maps(self):
        """Maps from before the interruption, for shards that are still needed."""
        tasks = {shard.path.name: shard for shard in self.task.shards}
        try:
            # opened here, since numpy does not close damaged files
            with open(self._maps, 'rb') as stream, np.load(stream, allow_pickle=False) as archive:
                data = dict(archive)
            meta = json.loads(str(data['meta']))
            for name, (digest, measured) in meta['open'].items():
                if name in tasks and digest == _digest(tasks[name]):
                    self.open[name] = shard = OpenShard(tasks[name])
                    shard.measured = measured
                    for kind, cube in shard.cubes.items():
                        cube[:len(shard)] = data[f'{name}/{kind}']
            self.done = {name: entry for name, entry in meta['done'].items()
                         if name in tasks and entry['draws'] == _digest(tasks[name])}
        except Exception as error:
            # numpy and zipfile raise many kinds of errors for damaged files
            raise TrainingSetError(f'{self._maps} is damaged or missing: {one_line(error)}') from error
        for name, entry in self.done.items():
            check_size(tasks[name].path, entry['bytes'])


def _rows_until(shard, number):
    """Number of maps of a shard from earlier snapshots than a given one."""
    return int(np.searchsorted(shard.draws['snapshot'], number))


def _digest(shard):
    """Digest of the parameters of the maps of a shard, which depend on the number of snapshots."""
    return hashlib.sha256(shard.draws.tobytes()).hexdigest()[:16]


# -- all of them ----------------------------------------------------------------------------------


def streamed_sources(recipe, counts=None):
    """The simulations used by the parts of a recipe, without their snapshots.

    Parameters
    ----------
    recipe : `~pidoc.training_set.recipe.Recipe`
    counts : dict, optional
        Known numbers of snapshots; for other simulations one per age is assumed.

    Returns
    -------
    dict
        Name -> a ``Source`` of `pidoc.training_set.sources`.

    Raises
    ------
    TrainingSetError
        If the recipe does not describe one, so that it must be read from files, or one has no snapshot.
    """
    taken = recipe.simulations_of_parts([])
    names = sorted({name for names in taken.values() for name in names})
    foreign = [name for name in names if name not in recipe.models]
    if foreign:
        raise TrainingSetError(f'recipe {recipe.name} takes simulations from files, {", ".join(foreign)}: '
                               'the folder of the simulations must be given')
    sources = {}
    for name in names:
        model, ages = recipe.models[name]
        number = (counts or {}).get(name, len(ages))
        if not number:
            raise TrainingSetError(f'the cluster {name} dissolves before the first age of its snapshots, '
                                   f'{ages[0]:g} Myr')
        sources[name] = Source(name, [None] * number, [None] * number, f'streamed, physics {PHYSICS}', model)
    return sources


class StreamedBuild(Build):
    """A running build with discarded snapshots, in a locked folder.

    The parameters of maps depend on the number of snapshots, which is smaller for a cluster that dissolves
    before its last age. They are then drawn anew, and maps that differ are made again.
    """

    def finish(self, sources):
        """Make the missing files."""
        manifest = self._taken_up(Manifest(
            self.recipe.to_dict(), self.recipe.digest,
            {name: source.fingerprint for name, source in sources.items()}, 0, snapshots={}))
        if manifest.state == 'complete':
            return
        manifest.state = 'building'
        tasks = self._drawn(manifest)
        with self._bar(tasks, 0) as bar:
            while waiting := self._waiting(tasks, manifest):
                manifest.write(self.folder)
                self._stream(waiting, manifest, lambda tasks=tasks: _show(bar, tasks))
                tasks = self._drawn(manifest)
            _show(bar, tasks)
        self._clear(tasks)
        # in a fixed order, not that of completion
        manifest.snapshots = dict(sorted(manifest.snapshots.items()))
        self._complete(manifest, tasks)

    def _drawn(self, manifest):
        """Tasks of all shards; entries of other shards are removed from the manifest."""
        sources = streamed_sources(self.recipe, manifest.snapshots)
        tasks = {task.path.name: task for task in streamed_shard_tasks(self.recipe, self.folder, sources)}
        manifest.shards = {name: manifest.shards[name] for name, task in tasks.items()
                           if manifest.shards.get(name, {}).get('draws') == _digest(task)}
        manifest.n_shards = len(tasks)
        return tasks

    def _waiting(self, tasks, manifest):
        """Names and tasks of the unfinished simulations, largest first."""
        shards = {name: [] for name in manifest.simulations}
        for task in tasks.values():
            shards[task.names[0]].append(task)
        waiting = []
        for name, own in shards.items():
            if name in manifest.snapshots and all(task.path.name in manifest.shards for task in own):
                continue
            model, ages = self.recipe.models[name]
            number = manifest.snapshots.get(name, len(ages))
            waiting.append((name, StreamTask(model, ages, number, self.folder / UNFINISHED / name, own)))
        return sorted(waiting, key=lambda item: -item[1].model.n_stars)

    def _stream(self, waiting, manifest, tick):
        """Run simulations; others continue if one fails, unless the disk is full."""
        failed, tasks = [], [(name, (task,)) for name, task in waiting]
        with closing(self._work(stream_simulation, tasks, tick)) as done:
            for name, result, error in done:
                if isinstance(error, OSError):
                    raise error
                if error is not None:
                    log.debug('%s failed', name, exc_info=error)
                    failed.append((name, error))
                    continue
                manifest.snapshots[name] = result[0]
                manifest.shards |= result[1]
                manifest.write(self.folder)
                shutil.rmtree(self.folder / UNFINISHED / name, ignore_errors=True)
                tick()
        if failed:
            causes = '; '.join(f'{name}: {one_line(error)}' for name, error in failed)
            raise TrainingSetError(f'{len(failed)} of {len(waiting)} simulations failed: {causes}; '
                                   'complete files are kept') from failed[0][1]

    def _clear(self, tasks):
        """Remove files of simulations whose maps were drawn anew."""
        shutil.rmtree(self.folder / UNFINISHED, ignore_errors=True)
        for path in self.folder.iterdir():
            if is_shard(path.name) and path.name not in tasks:
                path.unlink()


def _show(bar, tasks):
    """Progress, in maps of complete files, made by any process."""
    if bar.disable:
        return
    bar.total = sum(len(task.draws) for task in tasks.values())
    bar.n = sum(len(task.draws) for task in tasks.values() if task.path.exists())
    bar.refresh()
