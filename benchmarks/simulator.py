# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What a step of the Monte Carlo code costs, beside what bounds it, and how long whole clusters take.

    python benchmarks/simulator.py step         # a minute: cost per star and step at four N
    python benchmarks/simulator.py clusters     # ten minutes: MW15, MW15-R1.6 and 2 x 10^5 stars to 14 Gyr
    python benchmarks/simulator.py million      # twenty minutes: 10^6 stars to 14 Gyr
    python benchmarks/simulator.py pair         # two minutes: two models on two cores against one

Times are the least of several repetitions, in processor time of one core; ratios are taken side by side in
one run. The bound of a step: a star needs two turning points and some two trial radii, each of them a
look-up among all shells; no step is faster than four look-ups of random radii in the same array, each with a
guide to it (``guided``, the kernels' own), which waits for memory about twice. ``plain`` is the same by
bisection of one star after the other.
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


@njit
def look_up_all(work, lanes, active, values):
    """The same with the guide, a block at a time."""
    total = 0
    for _ in range(4):
        for start in range(0, values.size - lanes.size + 1, lanes.size):
            for i in range(lanes.size):
                lanes[i].radius = values[start + i]
            kernels._find_shells(work, lanes, active, lanes.size)
            total += lanes[0].k
    return total


@njit
def turn_all(work, lanes, n, own):
    """The shells below both turning points of every orbit."""
    for start in range(0, n - lanes.size + 1, lanes.size):
        for i in range(lanes.size):
            k = start + i
            kernels._set_orbit(work, lanes[i], work.energy[k], work.ang_mom[k], k, own[k],
                               kernels.stream(np.uint64(1), k))
        kernels._find_pericentres(work, lanes, lanes.size)
        kernels._find_apocentres(work, n, lanes, lanes.size)


def shells_of(model):
    """Shells, stars and work of a new cluster in Henon units."""
    simulation = Simulation(model, initial=initial_conditions(model))
    return simulation._shells, simulation._stars, simulation._work


def step():
    """Nanoseconds per star and step, by part."""
    print('nanoseconds per star')
    row = table([('stars', '9d'), ('relax', '6.0f'), ('binaries', '9.0f'), ('lay out', '8.0f'),
                 ('turning', '8.0f'), ('draw', '6.0f'), ('sort', '6.0f'), ('follow', '7.0f'),
                 ('step', '6.0f'), ('plain', '6.0f'), ('guided', '7.0f'), ('ratio', '6.1f')])
    for n in SIZES:
        sh, stars, work = shells_of(ClusterModel(n_stars=n))
        dt, coulomb = 1e-6, 6.0
        kernels.advance(sh, stars, work, n, dt, coulomb, 1.0, 1, 1, True, False)
        values = np.random.default_rng(0).permutation(sh.r)
        lanes = np.zeros(kernels.BLOCK, dtype=kernels.LANE)
        lanes['k_p'], lanes['k_a'] = -1, n - 1
        active = np.arange(kernels.BLOCK)
        scale = 1e9 / n
        key = np.uint64(1)
        parts = [best(lambda: kernels.relax(sh, stars, work, 0, n, dt, coulomb, 1, True)),
                 best(lambda: kernels.form_binaries(sh, stars, work, 0, n, dt)),
                 best(lambda: kernels.fill_field(work, sh.r, sh.phi, sh.cum, n))]
        kernels.resample(sh, work, n, 1, False)
        # orbits of the shells as they now are
        work.energy[:] = 0.5 * (sh.vr ** 2 + sh.vt ** 2) + sh.phi
        work.ang_mom[:] = sh.r * sh.vt
        kernels.fill_field(work, sh.r, sh.phi, sh.cum, n)
        turning = best(lambda: turn_all(work, lanes.copy(), n, sh.m))
        places = best(lambda: kernels._new_places(sh, work, n, np.inf, key, 0, n))
        parts += [turning, places - turning, best(lambda: kernels._sort_places(work, n))]
        parts.append(best(lambda: kernels.resample(sh, work, n, 1, False)) - parts[2] - places - parts[5])
        whole = best(lambda: kernels.advance(sh, stars, work, n, dt, coulomb, 1.0, 1, 1, True, False))
        kernels.fill_field(work, sh.r, sh.phi, sh.cum, n)
        plain = best(lambda: search_all(sh.r, values))
        guided = best(lambda: look_up_all(work, lanes, active, values))
        row(n, *(part * scale for part in (*parts, whole, plain, guided)), whole / guided)


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
