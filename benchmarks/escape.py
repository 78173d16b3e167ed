#!/usr/bin/env python
# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Two constants of the dynamics: the time scale of escape, and the factor of the Coulomb logarithm.

    python benchmarks/escape.py orbits    # escape of single stars from a cluster (3 min)
    python benchmarks/escape.py delay     # lifetimes with other delays (2 min)
    python benchmarks/escape.py gamma     # chi^2 of the factor, from stored results of other benchmarks
    python benchmarks/escape.py both      # the two constants at once, from stored results

``orbits`` is the experiment of Fukushige & Heggie (2000): a King model fills its tidal radius on a circular
orbit in the galaxy; stars with one energy E above the critical E_c = -3 G M / (2 r_t) are integrated in the
rotating frame until they are two tidal radii away. A star has escaped at its last passage of the tidal
radius. Energy is that of a spherical code, without the tide; initial positions are uniform in the accessible
space (``anywhere``), or inside a fifth of the tidal radius, where encounters give most stars their energy
(``centre``). The galaxy has a flat rotation curve, or is a point mass. ``--draw`` prints the stored results.
``delay`` is ``validation.py dissolution`` with other constants b of the delay.

``gamma`` reads the tables of ``validation.py two-mass``, ``validation.py dissolution`` and ``ageing.py``.
"""

import argparse
import math

import numpy as np
from ageing import comparable, late_means, relative_differences
from astropy.table import Table
from numba import njit
from scipy.optimize import least_squares
from validation import (
    at_mass,
    baumgardt_makino,
    DISSOLUTION_GAMMA,
    dissolution_results,
    dissolution_run,
    keyed,
    mean_rows,
    REFERENCE,
    rounded,
    sigmas,
    store,
    stored,
    TWO_MASS_COLUMNS,
)
from validation import (
    late_means as two_mass_means,
)

from pidoc.cluster.king import king_structure
from pidoc.simulation import tides

EXCESSES = (0.02, 0.04, 0.08, 0.12, 0.16, 0.24, 0.32, 0.4, 0.5, 0.7)
TIMES = np.geomspace(0.5, 100.0, 16)        # 1 / omega
STARS = 600
#: Where the circular velocity is flat, or about a point mass: (4 Omega^2 - kappa^2) / Omega^2, which is
#: also G M / (omega^2 r_t^3).
GALAXIES = {'flat': 2.0, 'point': 3.0}
#: (W0, galaxy, where stars begin); the constants are those of the first four.
ORBITS = [(5.0, 'flat', 'anywhere'), (5.0, 'flat', 'centre'), (7.0, 'flat', 'anywhere'),
          (7.0, 'flat', 'centre'), (3.0, 'flat', 'anywhere'), (3.0, 'flat', 'centre'),
          (5.0, 'point', 'anywhere'), (5.0, 'point', 'centre')]
#: Other constants b than the one that ships, and clusters whose life times they decide (N, seeds).
DELAYS, DELAY_RUNS = (1.0, 2.5), ((8192, 2), (16384, 1), (32768, 1))
#: ln b of the four kinds of orbits scatters by this.
ORBIT_ERROR = 0.3
#: Errors that the scatter of seeds does not know, relative: of radii and of life times.
FLOOR, LIFE_TIME_ERROR = 0.03, 0.1
#: Grids of the two constants, and the factors that there are life times for.
GAMMAS, DELAY_GRID = np.geomspace(0.015, 0.2, 261), np.geomspace(0.4, 8.0, 301)
LIFE_GAMMAS = (0.03, 0.05, 0.08)


# ---------------------------------------------------------------- orbits


@njit
def acceleration(x, v, omega, stretch, step, mass):
    r = math.sqrt(x[0] ** 2 + x[1] ** 2 + x[2] ** 2)
    k = int(r / step)
    inside = 1.0
    if k < mass.size - 1:
        inside = mass[k] + (r / step - k) * (mass[k + 1] - mass[k])
    pull = -inside / max(r, step) ** 3
    return np.array((pull * x[0] + 2.0 * omega * v[1] + stretch * omega ** 2 * x[0],
                     pull * x[1] - 2.0 * omega * v[0], pull * x[2] - omega ** 2 * x[2]))


@njit
def leaving_times(places, velocities, omega, stretch, step, mass, end):
    """When each star passes the tidal radius for the last time; infinite if it has not gone by the end."""
    times = np.full(len(places), np.inf)
    for i in range(len(places)):
        x, v, t, last, inside = places[i], velocities[i], 0.0, 0.0, True
        while t < end:
            r2 = np.sum(x * x)
            if r2 > 4.0:
                times[i] = last
                break
            # a part of the period of the orbit
            h = 0.05 * min(1.0 / omega, (r2 + 0.0025) ** 0.75)
            a1 = acceleration(x, v, omega, stretch, step, mass)
            v2 = v + 0.5 * h * a1
            a2 = acceleration(x + 0.5 * h * v, v2, omega, stretch, step, mass)
            v3 = v + 0.5 * h * a2
            a3 = acceleration(x + 0.5 * h * v2, v3, omega, stretch, step, mass)
            v4 = v + h * a3
            a4 = acceleration(x + h * v3, v4, omega, stretch, step, mass)
            x, v = x + h / 6.0 * (v + 2.0 * (v2 + v3) + v4), v + h / 6.0 * (a1 + 2.0 * (a2 + a3) + a4)
            t += h
            out = np.sum(x * x) > 1.0
            if out and inside:
                last = t
            inside = not out
    return times


def draw(energy, where, radius, potential, rng):
    """Places and velocities, G = M = r_t = 1, without the rotation of the frame."""
    weight = radius ** 2 * np.sqrt(np.maximum(2.0 * (energy - potential), 0.0))
    if where == 'centre':
        weight = weight * (radius < 0.2)
    r = np.interp(rng.random(STARS), np.cumsum(weight) / weight.sum(), radius)
    v = np.sqrt(np.maximum(2.0 * (energy - np.interp(r, radius, potential)), 0.0))
    unit = rng.normal(size=(2, STARS, 3))
    unit /= np.linalg.norm(unit, axis=2)[..., None]
    return r[:, None] * unit[0], v[:, None] * unit[1]


def orbit_rows(w0, galaxy, where):
    """Share of the stars that remain, one row an excess and a time."""
    king, radius = king_structure(w0), np.linspace(0.0, 1.0, 4000)
    mass = np.interp(radius, king.radius / king.tidal_radius, king.mass)
    pull = mass / np.maximum(radius, radius[1]) ** 2
    potential = -1.0 - np.append(np.cumsum((0.5 * radius[1] * (pull[1:] + pull[:-1]))[::-1])[::-1], 0.0)
    stretch, rng, rows = GALAXIES[galaxy], np.random.default_rng(2), []
    omega = stretch ** -0.5
    for excess in EXCESSES:
        place, velocity = draw(-1.5 * (1.0 - excess), where, radius, potential, rng)
        velocity = velocity - np.cross([0.0, 0.0, omega], place)
        left = omega * leaving_times(place, velocity, omega, stretch, radius[1], mass, TIMES[-1] / omega)
        rows += [{'w0': w0, 'galaxy': galaxy, 'where': where, 'excess': excess, 'time': t,
                  'remaining': np.mean(left > t)} for t in TIMES]
    return rows


def fitted(table, *fixed):
    """b, c, the exponent of the excess, and the rms residual; ``fixed``: c and the exponent."""
    def share(p):
        b, c, power = (*p, *fixed)
        return (1.0 + math.exp(b) * table['excess'] ** power * table['time']) ** -c

    result = least_squares(lambda p: share(p) - table['remaining'], [0.0, 0.8, 2.0][:3 - len(fixed)])
    b, c, power = (*result.x, *fixed)
    return math.exp(b), c, power, np.sqrt(np.mean(result.fun ** 2))


def orbits(args):
    """How long stars above the critical energy need to leave."""
    if not args.draw:
        rows = [row for kind in ORBITS for row in orbit_rows(*kind)]
        store('escape', rounded(rows, 4), title='Share of the stars that remain: energy excess (E - E_c) / '
              '|E_c|, time in 1 / omega')
    table = stored('escape')
    kinds = [table[(table['w0'] == w0) & (table['galaxy'] == galaxy) & (table['where'] == where)]
             for w0, galaxy, where in ORBITS]
    main = table[(table['w0'] > 3.0) & (table['galaxy'] == 'flat')]
    c = tides.DELAY[1]
    for name, own in (('all of W0 = 5 and 7, flat', main), *zip(ORBITS, kinds)):
        b, slope, power, rms = fitted(own)
        fixed_b, *_, fixed_rms = fitted(own, c, 2.0)
        print(f'{name!s:28}: b {b:.2f}, c {slope:.2f}, exponent {power:.2f}, rms {rms:.3f};  '
              f'with c {c:g} and 2: b {fixed_b:.2f}, rms {fixed_rms:.3f}')


# ---------------------------------------------------------------- life times


def delay(args):
    """Life times at 8.5 kpc with other constants b, in units of those of the one that ships."""
    if not args.draw:
        rows, (shipped, c) = [], tides.DELAY
        for b in DELAYS:
            tides.DELAY = b, c
            for n, seeds in DELAY_RUNS:
                for seed in range(seeds):
                    run = Table(rows=dissolution_run(n, 8.5, 'delayed', DISSOLUTION_GAMMA, seed))
                    rows.append({'b': b, 'n': n, 'seed': seed, 'age': at_mass(run, 0.05, 'age')})
                    print(b, n, seed, f'{rows[-1]["age"]:.0f} Myr', flush=True)
        tides.DELAY = shipped, c
        store('delay', rounded(rows), title='Life times [Myr] as in dissolution.ecsv, with other constants b '
              'of the delay of escape')
    print(f'life times go with b to the power {power_of_delay():.3f}')


def shipped_life_times(gamma):
    """{N: life time [Myr]} at 8.5 kpc, delayed escape with the constants that ship."""
    return {row['n']: row['age'] for row in dissolution_results(stored('dissolution'))
            if (row['escape'], row['distance'], row['gamma']) == ('delayed', 8.5, gamma)}


def power_of_delay():
    """Power of b with which life times go."""
    ages, table = shipped_life_times(DISSOLUTION_GAMMA), stored('delay')
    ratio = [[np.log(np.mean(table['age'][(table['b'] == b) & (table['n'] == n)]) / ages[n])
              for n, _ in DELAY_RUNS] for b in DELAYS]
    x = np.log(np.array(DELAYS) / tides.DELAY[0])
    return np.sum(x * np.mean(ratio, axis=1)) / np.sum(x ** 2)


# ---------------------------------------------------------------- the factor in the Coulomb logarithm


def two_mass_chi2():
    """{gamma: chi^2} of four radii of two kinds of stars, 20 direct integrations."""
    reference, late = Table.read(REFERENCE), stored('two-mass_late')
    theirs = mean_rows(two_mass_means(keyed(reference), reference.meta['relaxation_time']), [0.0])
    return {float(gamma): sum(float(sigmas(late[late['gamma'] == gamma], theirs, name)[0]) ** 2
                              for name in TWO_MASS_COLUMNS) for gamma in np.unique(late['gamma'])}


def ageing_chi2(name):
    """{gamma: chi^2} of five radii of ageing stars; the floor is added to the errors."""
    ours, theirs = comparable(name)
    seeds, ages = np.unique(theirs['seed']), np.unique(theirs['age'])
    reference, chi2 = late_means(theirs, seeds, ages), {}
    for gamma in np.unique(ours['gamma']):
        own = ours[ours['gamma'] == gamma]
        relative, error = relative_differences(name, own, reference, seeds, ages)
        chi2[float(gamma)] = np.sum((relative.mean(axis=0) / np.hypot(error, FLOOR)) ** 2)
    return chi2


def dissolution_chi2():
    """{gamma: chi^2} of the mean life time, delayed escape: one error for all, that of the relation."""
    rows = [row for row in dissolution_results(stored('dissolution'))
            if row['escape'] == 'delayed' and row['distance'] == 8.5]
    return {gamma: (np.mean([row['excess'] for row in rows if row['gamma'] == gamma])
                    / (100.0 * LIFE_TIME_ERROR)) ** 2 for gamma in sorted({row['gamma'] for row in rows})}


def gamma(args):
    """Print chi^2 of the factor by each reference, and of all together."""
    grid = GAMMAS
    total = np.zeros_like(grid)
    references = {'two masses': two_mass_chi2(), '1024 ageing stars': ageing_chi2('narrow'),
                  '5000 ageing stars': ageing_chi2('wide'), 'life times': dissolution_chi2()}
    for name, chi2 in references.items():
        print(f'{name:18}', ', '.join(f'{x:g}: {value:.1f}' for x, value in chi2.items()))
        total += report(name, grid, chi2)
    best('all', grid, total)


def both(args):
    """The two constants at once: gamma by isolated clusters, b by orbits, and life times, which know both."""
    isolated = sum(report(name, GAMMAS, chi2) for name, chi2 in (
        ('two masses', two_mass_chi2()), ('1024 ageing stars', ageing_chi2('narrow')),
        ('5000 ageing stars', ageing_chi2('wide'))))
    mean = {gamma: np.mean([np.log(age / baumgardt_makino(n, 8.5))
                            for n, age in shipped_life_times(gamma).items()]) for gamma in LIFE_GAMMAS}
    by_gamma = np.polyfit(np.log(list(mean)), list(mean.values()), 1)
    by_delay, delays = power_of_delay(), np.log(DELAY_GRID / tides.DELAY[0])
    life = ((np.polyval(by_gamma, np.log(GAMMAS))[:, None] + by_delay * delays) / LIFE_TIME_ERROR) ** 2
    orbits = (delays / ORBIT_ERROR) ** 2
    print(f'life times go as gamma^{by_gamma[0]:.3f} b^{by_delay:.3f}')
    for name, chi2 in (('life times and isolated clusters', life + isolated[:, None]),
                       ('life times and orbits', life + orbits),
                       ('all', life + isolated[:, None] + orbits)):
        print(name, end=': ')
        best('gamma', GAMMAS, chi2.min(axis=1))
        print(' ' * len(name), end='  ')
        best('b', DELAY_GRID, chi2.min(axis=0))


def report(name, grid, chi2):
    """chi^2 on the grid: a parabola in ln gamma through the four values near the least."""
    x, y = np.log(list(chi2)), np.array(list(chi2.values()))
    k = np.sort(np.argsort(y)[:4])
    curve = np.polyval(np.polyfit(x[k], y[k], 2), np.log(grid))
    best(name, grid, curve)
    return curve


def best(name, grid, curve):
    near = grid[curve < curve.min() + 1.0]
    print(f'{name:18} {grid[np.argmin(curve)]:.3f}, {near[0]:.3f} to {near[-1]:.3f}, '
          f'chi^2 {curve.min():.1f}')


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=['orbits', 'delay', 'gamma', 'both'])
    parser.add_argument('--draw', action='store_true', help='only print what is stored')
    args = parser.parse_args()
    {'orbits': orbits, 'delay': delay, 'gamma': gamma, 'both': both}[args.what](args)


if __name__ == '__main__':
    main()
