# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What a step of the Monte Carlo code costs, beside what bounds it, and how long whole clusters take.

    python benchmarks/simulator.py step         # a minute: cost per star and step at four N
    python benchmarks/simulator.py clusters     # ten minutes: MW15, MW15-R1.6 and 2 x 10^5 stars to 14 Gyr
    python benchmarks/simulator.py rich         # two minutes: 4 x 10^5 stars, beside CMC's steps and seconds
    python benchmarks/simulator.py million      # five minutes: 10^6 stars to 13.5 Gyr, 20 snapshots
    python benchmarks/simulator.py pair         # two minutes: two models on two cores against one

Times are the least of several repetitions, in processor time of one core; ratios are taken side by side in
one run.

What bounds a step is the sum of three times, of what no step of this method can do without:

- ``meet``: one encounter a star pair, its random numbers and its square roots, stars in order of radius;
- ``orbit``: the formulae of two turning points and two trial radii, with all places among the shells known;
- ``look up``: four places of random radii in the same array (two turning points, two trial radii) with a
  guide to them.

The rest of a step is density and dispersion of neighbours, the bisection that turning points need in place of
a look-up, sorting, the new potential and what follows from it.
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
#: Ages of the rich cluster, and global steps and processor time [s] of CMC to the last of them.
RICH_AGES = (0.1, 1.0, 3.0, 13.6)
CMC_RICH = (115, 330)


def best(function):
    """Least processor time [s] of one call."""
    return least(function, 5)


@njit
def look_up_all(work, lanes, active, values):
    """Four places a star, with the guide, a block at a time."""
    total = 0
    for _ in range(4):
        for start in range(0, values.size - lanes.size + 1, lanes.size):
            for i in range(lanes.size):
                lanes[i].radius = values[start + i]
            kernels._find_shells(work, lanes, active, lanes.size)
            total += lanes[0].k
    return total


@njit
def follow_all(sh, work, lanes, n):
    """Turning points and two trial radii of every star that is at its place and turns next to it."""
    for start in range(0, n - lanes.size + 1, lanes.size):
        for i in range(lanes.size):
            k = start + i
            lane = lanes[i]
            kernels._set_orbit(work, lane, work.energy[k], work.ang_mom[k], k, sh.m[k],
                               kernels.stream(np.uint64(1), k))
            lane.k_p, lane.k_a = k - 1, k
            if kernels._begin(work, n, np.inf, lane):
                for _ in range(2):
                    kernels._try_radius(lane)
                    lane.k = k
                    kernels._is_taken(work.nodes, lane)


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
                 ('step', '6.0f'), ('meet', '6.0f'), ('orbit', '6.0f'), ('look up', '8.0f'),
                 ('bound', '6.0f'), ('ratio', '6.1f')])
    for n in SIZES:
        # old enough for one partner a step
        sh, stars, work = shells_of(ClusterModel(n_stars=n, imf='equal'))
        dt, coulomb = 1e-6, 6.0
        kernels.advance(sh, stars, work, n, dt, coulomb, 1.0, 1, 1, True, False)
        values = np.random.default_rng(0).permutation(sh.r)
        lanes = np.zeros(kernels.BLOCK, dtype=kernels.LANE)
        lanes['k_p'], lanes['k_a'] = -1, n - 1
        active = np.arange(kernels.BLOCK)
        key = np.uint64(1)
        parts = [best(lambda: kernels.relax(sh, stars, work, 0, n, dt, coulomb, 1, True)),
                 best(lambda: kernels.form_binaries(sh, stars, work, 0, n, dt)),
                 best(lambda: kernels.fill_field(work, sh.r, sh.phi, sh.cum, n))]
        meet = best(lambda: kernels._meet(sh, stars, work, key, 0, n - 1, 1, dt, coulomb))
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
        work.energy[:] = 0.5 * (sh.vr ** 2 + sh.vt ** 2) + sh.phi
        work.ang_mom[:] = sh.r * sh.vt
        kernels.fill_field(work, sh.r, sh.phi, sh.cum, n)
        bounds = [meet, best(lambda: follow_all(sh, work, lanes.copy(), n)),
                  best(lambda: look_up_all(work, lanes.copy(), active, values))]
        bound = sum(bounds)
        row(n, *(part * 1e9 / n for part in (*parts, whole, *bounds, bound)), whole / bound)


def clusters():
    """Clusters of the paper and one four times as rich."""
    models = {name: ClusterModel.named(name) for name in ('MW15', 'MW15-R1.6', 'MW15-R4')}
    evolve({**models, '2 x 10^5': ClusterModel(n_stars=200_000)}, 200)


def million():
    """A million stars."""
    evolve({'10^6': ClusterModel(n_stars=1_000_000)}, 20, end=13.5)


def evolve(models, n_snapshots, end=14.0):
    """To 14 Gyr with that many snapshots, on one core."""
    list(simulate(ClusterModel(n_stars=1000), ages=[1] * u.Myr))
    for name, model in models.items():
        start = time.process_time()
        count = sum(1 for _ in simulate(model, ages=np.linspace(0, end, n_snapshots) * u.Gyr))
        print(f'{name:10} {count} snapshots {time.process_time() - start:7.0f} s', flush=True)
    print_memory()


def print_memory():
    """The most memory that the process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f'peak memory {peak:.2f} GB')


def rich():
    """Steps and processor time of 4 x 10^5 stars to 13.6 Gyr, beside those of CMC on a like machine."""
    list(simulate(ClusterModel(n_stars=1000), ages=[1] * u.Myr))
    start = time.process_time()
    simulation = Simulation(ClusterModel(n_stars=400_000, half_mass_radius=4 * u.pc,
                                         galactocentric_distance=10 * u.kpc))
    row = table([('age [Gyr]', '9.1f'), ('steps', '6d'), ('seconds', '8.0f'), ('stars', '8d'),
                 ('mass [Msun]', '12.0f'), ('r_h [pc]', '9.2f')])
    for age in RICH_AGES:
        simulation.advance_to(1e3 * age)
        shells = simulation._shells
        r_h = np.interp(0.5 * shells.cum[-1], shells.cum, shells.r) * simulation.units.length
        row(age, simulation.steps, time.process_time() - start, simulation.n_bodies,
            simulation.cluster_mass, r_h)
    print(f'CMC: {CMC_RICH[0]} steps, {CMC_RICH[1]} s')
    print_memory()


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
    parser.add_argument('what', choices=['step', 'clusters', 'rich', 'million', 'pair'])
    what = parser.parse_args(args).what
    print(machine())
    {'step': step, 'clusters': clusters, 'rich': rich, 'million': million, 'pair': pair}[what]()


if __name__ == '__main__':
    main()
