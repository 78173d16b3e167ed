# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Cost of a training set: maps per second, and memory, which must not grow with the number of maps.

    python benchmarks/training_set.py                  # some minutes
    python benchmarks/training_set.py --jobs 2

One cluster of 50,000 stars in a Plummer sphere (not evolved dynamically, but aged, which takes the same time
to observe), 120 snapshots on disk; the parts of table 1 and of the recipe paper-range with it, in numbers of
maps that differ by a factor of four. Each build is a separate process; its wall-clock and processor time and
its peak memory are printed. The limit is the mock itself: ``mock.py``.
"""

import os

for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'):
    os.environ[name] = '1'

import argparse  # noqa: E402
import json  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from astropy import units as u  # noqa: E402
from common import machine, peak_memory, spent, table  # noqa: E402

from pidoc import ClusterModel, Snapshot  # noqa: E402
from pidoc.simulation.initial import initial_conditions  # noqa: E402
from pidoc.stellar import StellarEvolution  # noqa: E402
from pidoc.training_set.dataset import TrainingSet  # noqa: E402
from pidoc.training_set.recipe import Recipe  # noqa: E402

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
    start = spent()
    TrainingSet.build(Recipe(content), folder / 'set', simulations=folder, jobs=jobs, progress=False)
    print(json.dumps(spent(start) | {'peak': peak_memory()}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument('--maps', type=int, default=300, help='of the smallest set')
    parser.add_argument('--one', nargs=2, metavar=('RECIPE', 'FOLDER'), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(json.loads(options.one[0]), Path(options.one[1]), options.jobs)
        return
    print(f'{machine()}; {options.jobs} process(es)')
    row = table([('', '28s'), ('maps', '6d'), ('wall s', '8.1f'), ('maps/s', '7.1f'),
                 ('processor ms/map', '8.1f'), ('peak MB', '7.0f')])
    for label, values, sharp in (('table 1', TABLE1, False), ('continuous, sharp, jitter', CONTINUOUS, True)):
        for number in (options.maps, 4 * options.maps):
            with tempfile.TemporaryDirectory() as folder:
                write_snapshots(Path(folder))
                command = [sys.executable, __file__, '--jobs', str(options.jobs), '--one',
                           json.dumps(recipe(values, number, sharp).to_dict()), folder]
                done = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            row(label, number, done['wall'], number / done['wall'], 1e3 * done['processor'] / number,
                done['peak'])
            if label == 'table 1' and number > options.maps:
                clock, cpu = (30172 / number * done[name] / 60 for name in ('wall', 'processor'))
                print(f'  all of table 1, 30,172 maps, at this rate: {clock:.0f} min ({cpu:.0f} of the '
                      'processor)')


if __name__ == '__main__':
    main()
