# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What a step of the Monte Carlo code costs, beside what bounds it, and how long whole clusters take.

    python benchmarks/simulator.py step         # a minute: cost per star and step at four N
    python benchmarks/simulator.py clusters     # ten minutes: MW15, MW15-R1.6 and 2 x 10^5 stars to 14 Gyr
    python benchmarks/simulator.py million      # twenty minutes: 10^6 stars to 14 Gyr
    python benchmarks/simulator.py pair         # two minutes: two models on two cores against one

Times are the least of several repetitions, in processor time of one core; ratios are taken side by side in
one run. The bound of a step: a star needs two turning points and some two trial radii, each of them a
search among all shells, so that no step is faster than four searches of random radii in the same array.
"""

import argparse
import resource
import subprocess
import sys
import time

import numpy as np
from astropy import units as u
from common import least, machine, table
from numba import njit

from pidoc import ClusterModel
from pidoc.simulation import kernels, simulate, Simulation
from pidoc.simulation.initial import initial_conditions

SIZES = (10_000, 50_000, 200_000, 1_000_000)


def best(function):
    """Least processor time [s] of one call."""
    return least(function, 5)


@njit
def search_all(r, values):
    """Four searches a star, as many as a step cannot do without."""
    total = 0
    for _ in range(4):
        for x in values:
            low, high = -1, r.size
            while high - low > 1:
                middle = (low + high) >> 1
                if r[middle] <= x:
                    low = middle
                else:
                    high = middle
            total += low
    return total


def shells_of(model):
    """Shells, stars and work of a new cluster in Henon units."""
    simulation = Simulation(model, initial=initial_conditions(model))
    return simulation._shells, simulation._stars, simulation._work


def step():
    """Nanoseconds per star and step, by part."""
    print('nanoseconds per star')
    row = table([('stars', '9d'), ('relax', '10.0f'), ('binaries', '9.0f'), ('resample', '9.0f'),
                 ('step', '7.0f'), ('bound', '7.0f'), ('ratio', '6.1f')])
    for n in SIZES:
        sh, stars, work = shells_of(ClusterModel(n_stars=n))
        dt, coulomb = 1e-6, 6.0
        kernels.advance(sh, stars, work, n, dt, coulomb, 1.0, 1, 1, True, False)
        values = np.random.default_rng(0).permutation(sh.r)
        search_all(sh.r, values[:10])
        scale = 1e9 / n
        parts = (best(lambda: kernels.relax(sh, stars, work, 0, n, dt, coulomb, 1, True)),
                 best(lambda: kernels.form_binaries(sh, stars, work, 0, n, dt)),
                 best(lambda: kernels.resample(sh, work, n, 1, False)))
        whole = best(lambda: kernels.advance(sh, stars, work, n, dt, coulomb, 1.0, 1, 1, True, False))
        bound = best(lambda: search_all(sh.r, values))
        row(n, *(part * scale for part in (*parts, whole, bound)), whole / bound)


def clusters():
    """Clusters of the paper and one four times as rich."""
    models = {name: ClusterModel.named(name) for name in ('MW15', 'MW15-R1.6', 'MW15-R4')}
    evolve({**models, '2 x 10^5': ClusterModel(n_stars=200_000)}, 200)


def million():
    """A million stars."""
    evolve({'10^6': ClusterModel(n_stars=1_000_000)}, 15)


def evolve(models, n_snapshots):
    """To 14 Gyr with that many snapshots, on one core."""
    list(simulate(ClusterModel(n_stars=1000), ages=[1] * u.Myr))
    for name, model in models.items():
        start = time.process_time()
        count = sum(1 for _ in simulate(model, ages=np.linspace(0, 14, n_snapshots) * u.Gyr))
        print(f'{name:10} {count} snapshots {time.process_time() - start:7.0f} s', flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f'peak memory {peak:.2f} GB')


def pair():
    """Two models on two cores against one on one: wall-clock times, alternating."""
    code = ('from astropy import units as u\n'
            'from pidoc import ClusterModel\n'
            'from pidoc.simulation import simulate\n'
            'list(simulate(ClusterModel(n_stars=20000), ages=[3] * u.Gyr))')

    def run(count):
        start = time.perf_counter()
        for process in [subprocess.Popen([sys.executable, '-c', code]) for _ in range(count)]:
            if process.wait():
                raise RuntimeError(f'a model must end with status 0, received {process.returncode}')
        return time.perf_counter() - start

    run(1)
    times = [(run(1), run(2)) for _ in range(3)]
    one, two = (min(column) for column in zip(*times))
    print(f'one model {one:.1f} s, two models on two cores {two:.1f} s, ratio {two / one:.2f}')


def main(args=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=['step', 'clusters', 'million', 'pair'])
    what = parser.parse_args(args).what
    print(machine())
    {'step': step, 'clusters': clusters, 'million': million, 'pair': pair}[what]()


if __name__ == '__main__':
    main()
