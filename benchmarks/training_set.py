# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What a training set costs: maps a second, and memory, which must not grow with the number of maps.

    python benchmarks/training_set.py                  # some minutes
    python benchmarks/training_set.py --jobs 2

One cluster of 50,000 stars in a Plummer sphere (not evolved dynamically, but aged: it is as dear as
any other), 120 snapshots on disk; the parts of table 1 and of the recipe paper-range with it, in numbers of
maps that differ fourfold. Each build is a process of its own; told are its time on the clock, that of the
processor, start included, and the peak of its memory.
"""

import os

for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'):
    os.environ[name] = '1'

import argparse  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import resource  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from astropy import units as u  # noqa: E402

from pidoc import ClusterModel, Snapshot  # noqa: E402
from pidoc.recipe import Recipe  # noqa: E402
from pidoc.simulation.initial import initial_conditions  # noqa: E402
from pidoc.simulation.stellar import StellarEvolution  # noqa: E402
from pidoc.training_set import TrainingSet  # noqa: E402

AGES = np.linspace(1.0, 14.0, 120) * u.Gyr
TABLE1 = {'draw': 'product', 'distance': [10, 25, 50, 75, 100], 'seeing': [0.5, 1.5], 'shift': 'random',
          'rotation': 'random'}
CONTINUOUS = {'distance': {'low': 8, 'high': 120, 'scale': 'log'}, 'seeing': {'low': 0.4, 'high': 1.8},
              'shift': 'random', 'rotation': 'any', 'direction': 'random', 'light_jitter': 0.01}


def write_snapshots(folder):
    """The stars of a new cluster at many ages, where they were at the start."""
    model = ClusterModel.named('MW15')
    start, stars = initial_conditions(model), StellarEvolution(model.metallicity)
    for k, age in enumerate(AGES):
        state = stars.state(start.mass, age.to_value(u.Myr))
        Snapshot({
            'radius': start.radius * u.pc, 'v_r': start.v_r * u.km / u.s, 'v_t': start.v_t * u.km / u.s,
            'mass': state.mass * u.Msun, 'initial_mass': start.mass * u.Msun,
            'luminosity': state.luminosity * u.Lsun, 'stellar_radius': state.radius * u.Rsun,
            'kind': state.kind}, age, model).write(folder / f'aged_{k:03d}.fits')


def recipe(options, number, sharp):
    part = {'name': 'part', 'simulations': 'aged', 'split': 'train', 'number': number, **options}
    return Recipe({'name': 'benchmark', 'seed': 1, 'maps': {'sharp': sharp}, 'part': [part],
                   'foreign': [{'name': 'aged', 'files': 'aged_*.fits'}]})


def measure(content, folder, jobs):
    """One build; seconds of the clock and the processor, and the largest process's peak of memory [MB]."""
    start = time.perf_counter()
    TrainingSet.build(Recipe(content), folder / 'set', simulations=folder, jobs=jobs, progress=False)
    seconds = time.perf_counter() - start
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({'seconds': seconds, 'cpu': sum(use.ru_utime + use.ru_stime for use in usage),
                      'peak': max(use.ru_maxrss for use in usage) / 1024.0}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument('--maps', type=int, default=300, help='of the smallest set')
    parser.add_argument('--one', nargs=2, metavar=('RECIPE', 'FOLDER'), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(json.loads(options.one[0]), Path(options.one[1]), options.jobs)
        return
    print(f'{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, '
          f'numpy {np.__version__}, {options.jobs} process(es)')
    print('                                     maps   seconds  maps/s  processor ms/map  peak MB')
    for label, values, sharp in (('table 1', TABLE1, False), ('continuous, sharp, jitter', CONTINUOUS, True)):
        for number in (options.maps, 4 * options.maps):
            with tempfile.TemporaryDirectory() as folder:
                write_snapshots(Path(folder))
                command = [sys.executable, __file__, '--jobs', str(options.jobs), '--one',
                           json.dumps(recipe(values, number, sharp).to_dict()), folder]
                done = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            print(f'{label:35} {number:6d} {done["seconds"]:9.1f} {number / done["seconds"]:7.1f} '
                  f'{1e3 * done["cpu"] / number:17.1f} {done["peak"]:8.0f}', flush=True)
            if label == 'table 1' and number > options.maps:
                clock, cpu = (30172 / number * done[name] / 60 for name in ('seconds', 'cpu'))
                print(f'  all of table 1, 30,172 maps, at this rate: {clock:.0f} min ({cpu:.0f} of the '
                      'processor)')


if __name__ == '__main__':
    main()
