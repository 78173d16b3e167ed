# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Common parts of the timing benchmarks: the machine, the minimum of several times, tables.

There are two clocks: wall-clock, and the processor time of the process. On a machine with other work only the
second one is meaningful; it is the sum over all cores.
"""

import argparse
import os
import platform
import resource
import time
from pathlib import Path

import numpy as np

__all__ = ['aged_cluster', 'any_distance', 'interval_scores', 'least', 'machine', 'multiplications', 'parser',
           'parser_of_trainings', 'peak_memory', 'prediction_errors', 'seen_as_chosen', 'spent', 'table']

CLOCKS = {'wall': time.perf_counter, 'processor': time.process_time}


def machine():
    """One line on the machine, its load and software."""
    name = platform.processor() or platform.machine()
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as stream:
            name = next(line.split(':', 1)[1].strip() for line in stream if line.startswith('model name'))
    except (OSError, StopIteration):
        pass
    cores = os.cpu_count()
    used = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else cores
    load = f', load {os.getloadavg()[0]:.1f}' if hasattr(os, 'getloadavg') else ''
    return (f'{name}, {used} of {cores} cores, {os.environ.get("OMP_NUM_THREADS", "all")} thread(s){load}; '
            f'Python {platform.python_version()}, numpy {np.__version__}')


def parser(doc, *, repeats=5):
    """Parser of a benchmark: its docstring, ``--repeats`` and ``--clock``."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument('--repeats', type=int, default=repeats, help=f'default: {repeats}')
    made.add_argument('--clock', choices=CLOCKS, default='processor',
                      help='processor time, of all cores together (the default), or that on the wall')
    return made


def parser_of_trainings(doc, choices, *, maps):
    """Parser of a benchmark that trains small networks: set, folder, sizes, and which of the choices."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument('set', help='folder of the training set')
    made.add_argument('folder', type=Path, help='of the models; its scores.ecsv has the table')
    made.add_argument('--maps', type=int, default=maps, help=f'of the training part (default: {maps})')
    made.add_argument('--epochs', type=int, default=10)
    made.add_argument('--precision', choices=('auto', 'float32', 'bfloat16'), default='auto')
    made.add_argument('--only', nargs='+', choices=list(choices), default=list(choices))
    return made


def least(function, repeats, clock='processor'):
    """Least time of several calls [s], after one that is not counted: it compiles and fills caches."""
    now = CLOCKS[clock]
    function()
    times = []
    for _ in range(repeats):
        start = now()
        function()
        times.append(now() - start)
    return min(times)


def spent(start=None):
    """Times of this process and of its children that have ended, since an earlier call.

    Returns
    -------
    dict
        'wall' and 'processor' [s].
    """
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    now = {'wall': time.perf_counter(), 'processor': sum(use.ru_utime + use.ru_stime for use in usage)}
    return now if start is None else {name: now[name] - start[name] for name in now}


def peak_memory():
    """Peak memory of the largest of this process and its children that have ended [MB]."""
    return max(resource.getrusage(who).ru_maxrss
               for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024.0


def table(heads, rows=()):
    """Print a table; without rows its heading, and return a function that prints a row.

    Parameters
    ----------
    heads : list of (str, str)
        Heading, and format of the cells beneath, like '8.2f': its width is that of the column.
    rows : iterable of tuple, optional

    Returns
    -------
    callable
        Takes the cells of one row.
    """
    widths = [max(len(head), int(''.join(c for c in form.split('.')[0] if c.isdigit()) or 0))
              for head, form in heads]

    def row(*cells):
        parts = []
        for cell, (_, form), width in zip(cells, heads, widths, strict=True):
            text = cell if isinstance(cell, str) else format(cell, form)
            parts.append(text.ljust(width) if form.endswith('s') else text.rjust(width))
        print('  '.join(parts).rstrip(), flush=True)

    print('  '.join(head.ljust(width) if form.endswith('s') else head.rjust(width)
                    for (head, form), width in zip(heads, widths, strict=True)).rstrip(), flush=True)
    for cells in rows:
        row(*cells)
    return row


def aged_cluster(number, age=None):
    """Snapshot of a new cluster whose stars have aged, 10 Gyr by default, and have not moved."""
    from astropy import units as u

    from pidoc import ClusterModel, Snapshot
    from pidoc.simulation.initial import initial_conditions
    from pidoc.stellar import StellarEvolution

    age = 10.0 * u.Gyr if age is None else age
    model = ClusterModel(n_stars=number)
    start = initial_conditions(model)
    state = StellarEvolution(model.metallicity).state(start.mass, age.to_value(u.Myr))
    return Snapshot({
        'radius': start.radius * u.pc, 'v_r': start.v_r * u.km / u.s, 'v_t': start.v_t * u.km / u.s,
        'mass': state.mass * u.Msun, 'luminosity': state.luminosity * u.Lsun,
        'stellar_radius': state.radius * u.Rsun, 'kind': state.kind}, age, model)


DISTANCES, FARTHEST = (3.0, 30.0), 100.0     # kpc: of clusters, and as far as one may look in larger pixels


def any_distance(rng):
    """A distance of a cluster of the Milky Way [kpc]."""
    return float(np.exp(rng.uniform(*np.log(DISTANCES))))


def seen_as_chosen(mapper, cluster, radius, distance, rng, **options):
    """A mock in the field that a prediction chooses for a half-light radius [pc], and the angle of that."""
    from astropy import units as u

    from pidoc.mock.observation import observe

    distance = distance * u.kpc
    angle = (radius * u.pc / distance).to(u.arcsec, u.dimensionless_angles())
    grid = mapper.grid.holding(angle, distance=distance, farthest=FARTHEST * u.kpc)
    seeing = max(1.0 * u.arcsec, grid.seeing_range[0])
    return observe(cluster, distance=distance, seeing=seeing, grid=grid, seed=int(rng.integers(2**31)),
                   **options), angle


def interval_scores(true, predicted):
    """Median error, bias, coverage of the 68 and 95 % intervals, and share inside the domain, as a text.

    ``predicted`` has the value, the ends of the two intervals, and whether it is inside, shape (6, n).
    """
    value, low, high, lowest, highest, inside = predicted
    off = value / true - 1.0
    numbers = (np.median(np.abs(off)), np.median(off), np.mean((low < true) & (true < high)),
               np.mean((lowest < true) & (true < highest)), np.mean(inside))
    return '{:3.0f} %, {:+3.0f} %, {:.0f}/{:.0f}, {:.0f} %'.format(*(100.0 * number for number in numbers))


def multiplications(network):
    """Number for one map by a Keras network: each kernel's size times the pixels that it is applied at."""
    import keras

    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += int(np.prod(layer.output.shape[1:3]) * np.prod(layer.kernel.shape))
        elif isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total


FAINTEST = 0.1     # Msun per pixel


def prediction_errors(estimator, maps, given):
    """Mean absolute errors of an estimator on maps of a set, with something given.

    Returns those of ln M of pixels above 0.1 Msun; of ln of the mass in the field, ln of M/L, the age [Gyr]
    and ln of the distance, by the medians of the posterior; of ln of the sum of the map; the mean distance of
    that sum from the mass in the field; and the time of a map [ms].
    """
    from pidoc.evaluation.report import channels_of, known_values
    from pidoc.training_set.truths import truths

    true = truths(maps.table)
    known = known_values(true, given, estimator.constraints)
    sums, number, took = np.zeros(7), 0, 0.0
    for start in range(0, len(maps), 256):
        rows = np.arange(start, min(start + 256, len(maps)))
        channels = channels_of(estimator, maps, rows, np.asarray(maps.light(rows)))
        begin = time.perf_counter()
        found = estimator.estimate(channels, known={name: values[rows] for name, values in known.items()},
                                   pixel_scale=maps.pixel_scales[rows])
        took += time.perf_counter() - begin
        mass = np.asarray(maps.mass(rows))
        bright = mass > FAINTEST
        value = {name: interval.value for name, interval in found.scalars.items()}
        total, summed = value['total_mass'], found.mass.sum(axis=(1, 2), dtype=float)
        off = [np.log(value[name] / true[name][rows]) for name in ('total_mass', 'mass_to_light')]
        off += [value['age'] - true['age'][rows], np.log(value['distance'] / true['distance'][rows]),
                np.log(summed / true['total_mass'][rows]), np.log(summed / total)]
        pixels = np.abs(np.log(np.maximum(found.mass[bright], 1e-6) / mass[bright])).mean()
        sums += len(rows) * np.array([pixels, *(np.abs(each).mean() for each in off)])
        number += len(rows)
    return [*(sums / number), 1e3 * took / number]
