#!/usr/bin/env python
# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The Monte Carlo simulator compared with theory, direct N-body runs, and another Monte Carlo code.

    python benchmarks/validation.py collapse --cmc-file FILE  # core collapse of equal masses (11 min)
    python benchmarks/validation.py two-mass                  # mass segregation of 1024 stars (4 min)
    python benchmarks/validation.py adiabatic                 # slow mass loss without relaxation (1 min)
    python benchmarks/validation.py dissolution               # lifetimes in a tidal field (4 min)
    python benchmarks/validation.py segregation               # equipartition and M/L in MW15 (2 min)
    python benchmarks/validation.py cmc --tracks FILE         # CMC's cluster of 50,000 stars (16 min)
    python benchmarks/validation.py cmc-stars --tracks FILE --cmc-file FILE   # stars of CMC, one by one (1 s)
    python benchmarks/validation.py cmc-same --tracks FILE --cmc-file FILE    # CMC's own 5000 stars (1 min)
    python benchmarks/validation.py models                    # the ledgers of four models (9 min)
    python benchmarks/validation.py binaries                  # equal masses with 10 % binaries (4 min)

Each command runs its simulations (times are those of one core), stores the results in
``docs/validation/<name>.ecsv``, draws ``<name>.png`` beside it and prints a table. With ``--draw`` it only
draws and prints what is stored; ``cmc --runs`` replaces some of the runs and keeps the others. The page
``docs/validation.rst`` says what the numbers mean.

Henon units (G = M = 1, E = -1/4) are used for star clusters without a size of their own; a relaxation time
is then 0.138 N r_h^1.5 / ln(gamma N) (Spitzer 1987, eq. 2-63) with r_h = 0.76857, that of a Plummer model.
"""

import argparse
import os
import time
from pathlib import Path

import matplotlib
import numpy as np
from astropy import units as u
from astropy.table import Table, vstack
from scipy.optimize import brentq, curve_fit

from pidoc import ClusterModel, Snapshot
from pidoc.cluster.king import king_structure
from pidoc.photometry import light_at
from pidoc.simulation import Numerics, Simulation
from pidoc.simulation.evolve import BLACK_HOLE, NEUTRON_STAR
from pidoc.simulation.initial import (
    initial_conditions,
    InitialConditions,
    kroupa_masses,
    plummer,
    plummer_radius,
    virialised,
)
from pidoc.simulation.tides import TidalField
from pidoc.stellar import StellarEvolution
from pidoc.units import G

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'docs' / 'validation'
REFERENCE = ROOT / 'pidoc' / 'tests' / 'data' / 'two_mass_nbody.ecsv'

#: Half-mass radius of a Plummer model and its scale radius, in Henon units.
PLUMMER_HALF, PLUMMER_SCALE = 0.76857, 3.0 * np.pi / 16.0
#: The core has collapsed when binaries have given the cluster this part of its initial energy.
COLLAPSE_HEAT = 1e-3
#: Colours that the colour-blind can distinguish (Okabe & Ito), each with a dash of its own.
COLOURS = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000']
DASHES = ['-', '--', '-.', ':', (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2))]


# ---------------------------------------------------------------- what all cases share


def store(name, table, **meta):
    """Write a table, whole or not at all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    table.meta.update(meta)
    path = FOLDER / f'{name}.ecsv'
    temporary = path.with_suffix('.tmp')
    table.write(temporary, format='ascii.ecsv', overwrite=True)
    os.replace(temporary, path)


def stored(name):
    """A table that was written before."""
    return Table.read(FOLDER / f'{name}.ecsv', format='ascii.ecsv')


def rounded(rows, digits=5):
    """A table of rows (dicts), its numbers cut to some significant digits."""
    table = Table(rows=rows)
    for name in table.colnames:
        if table[name].dtype.kind == 'f':
            table[name] = [float(f'{value:.{digits}g}') for value in table[name]]
    return table


def show(rows, formats):
    """Print rows (dicts or table rows): one column an entry of formats."""
    print('  '.join(f'{name:>{width}}' for name, (width, _) in formats.items()))
    for row in rows:
        cells = (format(row[name], spec).rjust(width) for name, (width, spec) in formats.items())
        print('  '.join(cells), flush=True)


def figure(columns, height=3.4):
    """A figure and its panels, side by side."""
    plt.rcParams.update({'font.size': 9, 'axes.grid': True, 'grid.alpha': 0.3, 'legend.fontsize': 8,
                         'legend.frameon': False, 'lines.linewidth': 1.4})
    fig, axes = plt.subplots(1, columns, figsize=(7.6, height), layout='constrained')
    return fig, np.atleast_1d(axes)


def save_figure(fig, name):
    fig.savefig(FOLDER / f'{name}.png', dpi=120, metadata={'Software': None})
    plt.close(fig)


def lagrange(sim, fractions):
    """Lagrange radii [pc] without the cost of a snapshot, for the histories of thousands of steps."""
    shells = sim._shells
    return np.interp(np.asarray(fractions) * shells.cum[-1], shells.cum, shells.r) * sim.units.length


def heat(sim):
    """Energy that binaries have given to the cluster, in units of its initial energy."""
    return sim.ledger.energy['binaries'] / abs(sim.ledger.initial_energy)


def half_mass(stars, chosen):
    """Radius [pc] that holds half of the mass of the chosen stars (NaN: there are none)."""
    radius, mass = stars['radius'].to_value(u.pc)[chosen], stars['mass'].to_value(u.Msun)[chosen]
    if radius.size == 0:
        return np.nan
    order = np.argsort(radius)
    cumulative = np.cumsum(mass[order])
    return float(np.interp(0.5 * cumulative[-1], cumulative, radius[order]))


def groups(stars):
    """Main-sequence stars above 0.6 and below 0.3 Msun, and white dwarfs."""
    kind, mass = np.asarray(stars['kind']), stars['mass'].to_value(u.Msun)
    return {'ms_high': (kind < 2) & (mass > 0.6), 'ms_low': (kind < 2) & (mass < 0.3),
            'white_dwarfs': (kind >= 10) & (kind <= 12)}


def anisotropy(stars):
    """1 - <v_t^2> / (2 <v_r^2>) of stars, a table or a dict of plain numbers in one unit; 0 if isotropic."""
    v_r, v_t = ((stars[name] << u.km / u.s).value for name in ('v_r', 'v_t'))
    return float(1.0 - np.mean(v_t ** 2) / (2.0 * np.mean(v_r ** 2)))


class Watch:
    """Follows a simulation step by step: extremes of the virial ratio, moment of core collapse.

    The core has collapsed when binaries have given the cluster 0.1 % of its initial energy. The smallest
    radius of 1 % of the mass up to the moment when they have given 1 % is kept beside it.
    """

    def __init__(self):
        self.virial = [np.inf, -np.inf]
        self.collapse = np.nan
        self.smallest = (np.inf, np.nan)

    def __call__(self, sim):
        ratio = sim.virial_ratio
        self.virial = [min(self.virial[0], ratio), max(self.virial[1], ratio)]
        gained = heat(sim)
        if np.isnan(self.collapse) and gained >= COLLAPSE_HEAT:
            self.collapse = sim.age
        radius = float(lagrange(sim, 0.01))
        if gained < 10.0 * COLLAPSE_HEAT and radius < self.smallest[0]:
            self.smallest = (radius, sim.age)


# ---------------------------------------------------------------- (a) core collapse of equal masses

COLLAPSE_RUNS = [(10_000, seed) for seed in range(5)] + [(50_000, seed) for seed in range(2)]
COLLAPSE_END = 25.0
#: Stars, seeds, and numerics of collapses with other encounters than the default's.
ENCOUNTER_RUNS = [(10_000, 4, 1, False), (10_000, 4, 4, False), (10_000, 2, 16, False),
                  (10_000, 4, 4, True)]
#: Columns of a file of Lagrange radii of CMC with 1, 10, 50 and 90 % of the mass; its unit of time,
#: N / ln(gamma N) Henon times, in initial half-mass relaxation times; its core collapse in its unit.
CMC_COLUMNS, CMC_UNIT, CMC_COLLAPSE = (11, 16, 20, 24), 10.75462, 1.7243
RADII = ('r01', 'r10', 'r50', 'r90')


def collapse_run(n, seed):
    """History (rows) and summary of one isolated Plummer model of equal masses."""
    model = ClusterModel(n_stars=n, imf='equal', galaxy=None, stellar_evolution=False, seed=seed)
    sim = Simulation(model)
    unit = 0.138 * n * PLUMMER_HALF ** 1.5 / np.log(0.11 * n) * sim.units.time
    rows, lowest, state = [], [np.inf, np.nan], {'growth': 0.0, 'error': 0.0, 'collapse': np.nan}
    interval = 0.1 if seed == 0 else 0.5

    def look(sim):
        t = sim.age / unit
        shells = sim._shells
        density = shells.cum[19] / (4.0 / 3.0 * np.pi * shells.r[19] ** 3)
        growth = density * 4.0 / 3.0 * np.pi * PLUMMER_SCALE ** 3
        if state['growth'] < 1e4 and np.isnan(state['collapse']):
            state['error'] = max(state['error'], abs(sim.energy_error))
        state['growth'] = max(state['growth'], growth)
        if np.isnan(state['collapse']) and heat(sim) >= COLLAPSE_HEAT:
            state.update(collapse=t, cpu=time.process_time() - start)
        inner = float(lagrange(sim, 0.003)) / sim.units.length
        if heat(sim) < 0.04 and inner < lowest[0]:
            lowest[:] = inner, t
        if not rows or t >= rows[-1]['t'] + interval - 1e-9:
            radii = lagrange(sim, [0.01, 0.1, 0.5, 0.9]) / sim.units.length
            rows.append({'n': n, 'seed': seed, 't': t, **dict(zip(RADII, radii)), 'r003': inner,
                         'growth': growth, 'heat': heat(sim), 'error': sim.energy_error,
                         'virial': sim.virial_ratio})

    start = time.process_time()
    look(sim)
    sim.advance_to(COLLAPSE_END * unit, each_step=look)
    binaries = int(np.sum(sim.snapshot().stars['partner'] >= 0)) // 2
    summary = {'n': n, 'seed': seed, 't_collapse': state['collapse'], 't_smallest': lowest[1],
               'r003_smallest': lowest[0], 'r003_end': rows[-1]['r003'], 'r50_start': rows[0]['r50'],
               'r50_end': rows[-1]['r50'], 'growth': state['growth'], 'error_before': state['error'],
               'error_end': sim.energy_error, 'heat_end': heat(sim), 'binaries_end': binaries,
               'cpu_collapse': state.get('cpu', np.nan), 'cpu': time.process_time() - start}
    return rows, summary


def collapse(args):
    """Core collapse of isolated Plummer models of equal masses."""
    if not args.draw:
        history, summaries = [], []
        for n, seed in COLLAPSE_RUNS:
            rows, summary = collapse_run(n, seed)
            history += rows
            summaries.append(summary)
            store('collapse', rounded(history, 4), title='Isolated Plummer models of equal masses; '
                  'radii in Henon units, t in initial half-mass relaxation times')
            store('collapse_runs', rounded(summaries), title='Core collapse of these models')
    history, runs = stored('collapse'), stored('collapse_runs')
    show(runs, {'n': (6, 'd'), 'seed': (4, 'd'), 't_collapse': (10, '.2f'), 't_smallest': (10, '.2f'),
                'growth': (9, '.2g'), 'error_before': (12, '.1e'), 'error_end': (9, '.1e'),
                'r003_smallest': (13, '.4f'), 'r003_end': (8, '.4f'), 'r50_start': (9, '.3f'),
                'r50_end': (7, '.3f'), 'heat_end': (8, '.3f'), 'binaries_end': (12, 'd'),
                'cpu_collapse': (12, '.0f'), 'cpu': (5, '.0f')})
    for n in np.unique(runs['n']):
        times = runs['t_collapse'][runs['n'] == n]
        error = np.std(times, ddof=1) / np.sqrt(len(times)) if len(times) > 1 else np.nan
        print(f'N = {n}: collapse at {np.mean(times):.2f} +- {error:.2f} t_rh(0), {len(times)} seeds')
    print(f'virial ratio from {history["virial"].min():.4f} to {history["virial"].max():.4f}')
    cmc = None
    if args.cmc_file:
        cmc = np.loadtxt(args.cmc_file, usecols=(0, *CMC_COLUMNS))
        cmc[:, 0] *= CMC_UNIT
        compare_collapse(history, runs, cmc)
    draw_collapse(history, runs, cmc)


class Collapsed(Exception):
    """The core has collapsed: the rest need not be simulated."""


def collapse_time(n, seed, **numerics):
    """When the core of an isolated Plummer model of equal masses collapses, and processor time."""
    model = ClusterModel(n_stars=n, imf='equal', galaxy=None, stellar_evolution=False, seed=seed)
    sim = Simulation(model, numerics=Numerics(**numerics))
    unit = 0.138 * n * PLUMMER_HALF ** 1.5 / np.log(0.11 * n) * sim.units.time

    def look(sim):
        if heat(sim) >= COLLAPSE_HEAT:
            raise Collapsed

    start = time.process_time()
    try:
        sim.advance_to(COLLAPSE_END * unit, each_step=look)
    except Collapsed:
        return sim.age / unit, time.process_time() - start
    return np.nan, time.process_time() - start


def encounters(args):
    """Core collapse with other numbers of encounters in a step, compensated for the cap or not."""
    if not args.draw:
        rows = []
        for n, seeds, number, compensated in ENCOUNTER_RUNS:
            for seed in range(seeds):
                when, cpu = collapse_time(n, seed, encounters=number, compensated=compensated)
                rows.append({'n': n, 'seed': seed, 'encounters': number, 'compensated': compensated,
                             't_collapse': when, 'cpu': cpu})
                store('encounters', rounded(rows), title='Core collapse with other encounters in a step')
    runs = stored('encounters')
    show(runs, {'n': (6, 'd'), 'seed': (4, 'd'), 'encounters': (10, 'd'), 'compensated': (11, ''),
                't_collapse': (10, '.2f'), 'cpu': (5, '.0f')})


def compare_collapse(history, runs, cmc):
    """Print Lagrange radii relative to CMC's: at the same time, and as far on the way to collapse."""
    cmc_time = CMC_COLLAPSE * CMC_UNIT
    print(f"Lagrange radii relative to CMC's (collapse at {cmc_time:.2f} t_rh(0)), mean of all seeds, in %")
    print('     N  t/t_rh  same time: 1%   10%   50%   90%   same t/t_collapse: 1%   10%   50%   90%')
    for n in np.unique(history['n']):
        for t in (2.0, 5.0, 10.0, 15.0, 17.0):
            same, scaled = [], []
            for run in runs[runs['n'] == n]:
                own = history[(history['n'] == n) & (history['seed'] == run['seed'])]
                stretch = run['t_collapse'] / cmc_time
                for result, when in ((same, t), (scaled, t * stretch)):
                    result.append([np.interp(when, own['t'], own[name])
                                   / smooth_at(cmc, t, 1 + k) for k, name in enumerate(RADII)])
            cells = [' '.join(f'{100 * (x - 1):+5.1f}' for x in np.mean(part, axis=0))
                     for part in (same, scaled)]
            print(f'{n:6d}  {t:6.1f}       {cells[0]}                 {cells[1]}')


def smooth_at(table, t, column, width=0.1):
    """Mean of a column of a noisy table over times within ``width`` of t."""
    near = np.abs(table[:, 0] - t) < width
    return table[near, column].mean() if near.any() else np.interp(t, table[:, 0], table[:, column])


def draw_collapse(history, runs, cmc):
    fig, (left, right) = figure(2, 3.6)
    if cmc is not None:
        thinned = cmc[:: max(1, len(cmc) // 500)]
        for column in range(1, 5):
            left.plot(thinned[:, 0], thinned[:, column], color='0.6', lw=2.5, alpha=0.8,
                      label='CMC' if column == 1 else None)
    for k, n in enumerate(np.unique(runs['n'])):
        own = history[(history['n'] == n) & (history['seed'] == 0)]
        for j, name in enumerate(RADII):
            left.plot(own['t'], own[name], color=COLOURS[k], ls=DASHES[k], lw=1,
                      label=f'N = {n}' if j == 0 else None)
        right.plot(own['t'], own['growth'], color=COLOURS[k], ls=DASHES[k], lw=1, label=f'N = {n}')
        for t in runs['t_collapse'][runs['n'] == n]:
            right.axvline(t, color=COLOURS[k], ls=DASHES[k], lw=0.6)
    left.set(yscale='log', ylim=(0.004, 10), xlim=(0, COLLAPSE_END), xlabel='time [$t_{rh}(0)$]',
             ylabel='radius of 1, 10, 50, 90 % of the mass [Henon]')
    left.legend(loc='lower left')
    right.set(yscale='log', xlim=(0, COLLAPSE_END), xlabel='time [$t_{rh}(0)$]',
              ylabel='central density [initial]')
    right.legend(title='thin: collapse of each seed', loc='upper left')
    save_figure(fig, 'collapse')


# ---------------------------------------------------------------- (b) two masses, direct N-body

TWO_MASS_GAMMAS = (0.01, 0.02, 0.035, 0.05, 0.07, 0.11, 0.2)
TWO_MASS_COLUMNS = ('r10_heavy', 'r50_heavy', 'r10_light', 'r50_light')
TWO_MASS_SEEDS = 40


def two_mass_run(gamma, seed, times, meta):
    """Radii of 10 and 50 % of heavy and light stars at times in Henon units; escapers count as far out."""
    n, n_heavy, ratio = meta['n_stars'], meta['n_heavy'], meta['mass_ratio']
    rng = np.random.default_rng([77, seed])
    radius, v_r, v_t = plummer(n, rng)
    order = np.argsort(radius)
    mass = np.ones(n)
    mass[rng.permutation(n)[:n_heavy]] = ratio
    model = ClusterModel(n_stars=n, galaxy=None, stellar_evolution=False, coulomb_gamma=gamma, seed=seed)
    sim = Simulation(model, initial=virialised(mass, radius[order], v_r[order], v_t[order]))
    rows = []
    for t in times:
        sim.advance_to(t * sim.units.time)
        stars = sim.snapshot().stars
        heavy = stars['mass'] > 1.5 * u.Msun
        row = {'gamma': gamma, 'seed': seed, 'time': t}
        for kind, chosen, total in (('heavy', heavy, n_heavy), ('light', ~heavy, n - n_heavy)):
            r = np.sort(stars['radius'][chosen].to_value(u.pc)) / sim.units.length
            part = (np.arange(r.size) + 0.5) / total
            for percent in (10, 50):
                row[f'r{percent}_{kind}'] = np.interp(percent / 100.0, part, r)
        rows.append(row)
    return rows


def two_mass(args):
    """Mass segregation in a cluster of two kinds of stars, beside direct N-body runs."""
    reference = Table.read(REFERENCE)
    unit = reference.meta['relaxation_time']
    times = np.arange(0.0, 1.5 * unit, 1.5)
    if not args.draw:
        rows = []
        for gamma in TWO_MASS_GAMMAS:
            for seed in range(TWO_MASS_SEEDS):
                rows += two_mass_run(gamma, seed, times, reference.meta)
        store('two-mass', mean_rows(Table(rows=rows), times), title='Means over seeds of radii of 10 and 50 '
              'per cent of heavy and light stars; Henon units; <column>_error: of the mean')
        store('two-mass_late', mean_rows(late_means(Table(rows=rows), unit), [0.0]),
              title='Means over seeds of the mean radius from 0.5 to 1.5 relaxation times')
    ours, late = stored('two-mass'), stored('two-mass_late')
    theirs = mean_rows(keyed(reference), times)
    their_late = mean_rows(late_means(keyed(reference), unit), [0.0])
    chi2 = np.array([report_two_mass(gamma, ours, theirs, late, their_late) for gamma in TWO_MASS_GAMMAS])
    report_best_gamma(chi2)
    draw_two_mass(ours, theirs, unit)


def keyed(reference):
    """The direct runs with the columns of ours; gamma 0 stands for N-body."""
    table = Table({'gamma': np.zeros(len(reference)), 'seed': reference['seed'], 'time': reference['time']})
    for name in TWO_MASS_COLUMNS:
        table[name] = reference[name]
    return table


def late_means(table, unit):
    """One row a seed: the mean radii from 0.5 to 1.5 relaxation times, which are little correlated."""
    rows = []
    for gamma in np.unique(table['gamma']):
        for seed in np.unique(table['seed'][table['gamma'] == gamma]):
            own = table[(table['gamma'] == gamma) & (table['seed'] == seed)
                        & (table['time'] >= 0.5 * unit) & (table['time'] <= 1.5 * unit)]
            rows.append({'gamma': gamma, 'seed': seed, 'time': 0.0,
                         **{name: np.mean(own[name]) for name in TWO_MASS_COLUMNS}})
    return Table(rows=rows)


def mean_rows(table, times):
    """Mean and its error over the seeds, for every gamma and time."""
    rows = []
    for gamma in np.unique(table['gamma']):
        for t in times:
            own = table[(table['gamma'] == gamma) & (np.abs(table['time'] - t) < 1e-6)]
            row = {'gamma': float(gamma), 'time': float(t), 'seeds': len(own)}
            for name in TWO_MASS_COLUMNS:
                row[name] = np.mean(own[name])
                row[name + '_error'] = np.std(own[name], ddof=1) / np.sqrt(len(own))
            rows.append(row)
    return rounded(rows)


def sigmas(a, b, name):
    """Difference of two tables of means in units of its standard error."""
    return (a[name] - b[name]) / np.hypot(a[name + '_error'], b[name + '_error'])


def report_two_mass(gamma, ours, theirs, late, their_late):
    """Print how far one gamma is from the direct runs; returns chi^2 of the four late means."""
    own, mean = ours[ours['gamma'] == gamma], late[late['gamma'] == gamma]
    later = own['time'] > 0.0
    print(f'gamma = {gamma} ({own["seeds"][0]} seeds against {theirs["seeds"][0]})')
    chi2 = 0.0
    for name in TWO_MASS_COLUMNS:
        z = sigmas(own, theirs, name)[later]
        z_late = float(sigmas(mean, their_late, name)[0])
        chi2 += z_late ** 2
        print(f'  {name}: mean of 0.5-1.5 t_rh {mean[name][0]:.4f} against {their_late[name][0]:.4f}, '
              f'{z_late:+.2f} sigma; all times: rms {np.sqrt(np.mean(z ** 2)):.2f}, '
              f'largest {z[np.argmax(np.abs(z))]:+.2f}')
    print(f'  chi^2 of the four means: {chi2:.2f}')
    return chi2


def report_best_gamma(chi2):
    """Print the gamma of least chi^2, by a parabola in ln gamma through the points near the least."""
    x = np.log(TWO_MASS_GAMMAS)
    k = min(max(int(np.argmin(chi2)), 2), len(x) - 3)
    a, b, c = np.polyfit(x[k - 2:k + 3], chi2[k - 2:k + 3], 2)
    if a > 0.0:
        best, width = -0.5 * b / a, a ** -0.5
        print(f'best gamma {np.exp(best):.3f}, 1 sigma {np.exp(best - width):.3f} to '
              f'{np.exp(best + width):.3f}, chi^2 {c - 0.25 * b * b / a:.1f} for 3 degrees of freedom')


def draw_two_mass(ours, theirs, unit):
    fig, axes = figure(2)
    for axis, percent in zip(axes, (10, 50)):
        for kind, shade in (('heavy', '#D55E00'), ('light', '#0072B2')):
            name = f'r{percent}_{kind}'
            t = theirs['time'] / unit
            low, high = (theirs[name] + s * theirs[name + '_error'] for s in (-1, 1))
            axis.fill_between(t, low, high, color=shade, alpha=0.3, lw=0, label=f'N-body, {kind}')
            for gamma, dash in ((0.05, '-'), (0.02, ':')):
                own = ours[ours['gamma'] == gamma]
                axis.plot(own['time'] / unit, own[name], color=shade, ls=dash,
                          label=f'{kind}, $\\gamma$ = {gamma}')
        axis.set(xlabel='time [$t_{rh}(0)$]', ylabel=f'radius of {percent} % of the stars [Henon]',
                 xlim=(0, 1.5), ylim=(0, None))
    axes[1].legend(loc='lower left', ncol=2)
    save_figure(fig, 'two-mass')


# ---------------------------------------------------------------- (c) CMC's cluster

#: The settings of COSMIC with which CMC's own stars are had (`cmc_stars`); other ones ship with pidoc.
#: python tools/make_stellar_tracks.py table --metallicity 0.001 --output FILE \
#:     --set zsun=0.014 pts1=0.05 pts2=0.01 pts3=0.02 ecsn=2.5 ecsn_mlow=1.4
CMC_METALLICITY = 0.001
#: Runs with CMC's own 5000 stars: seeds, last age [Gyr], numerics in place of CMC_NUMERICS.
CMC_SAME_RUNS = {'ours': (8, 3.1, {}), 'short steps': (2, 0.6, {'relaxation_step': 3e-4}),
                 'short, kept': (2, 0.6, {'relaxation_step': 3e-4, 'angular_momentum': 'kept'})}
#: CMC caps deflections too, but its step is the shortest that any group of stars needs: caps hardly matter.
CMC_NUMERICS = {'theta_max': 1.41, 'escape': 'energy', 'angular_momentum': 'scaled'}
CMC_MODEL = {'coulomb_gamma': 0.01, 'natal_kicks': 'full'}
#: name: (numerics, changes of the model, seeds); with CMC's tracks of stars where there are numerics
CMC_RUNS = {
    'cmc-settings': (CMC_NUMERICS, CMC_MODEL, 3),
    'defaults': ({}, {}, 2),
    'full-kicks': ({}, {'natal_kicks': 'full'}, 2),
    'kept': ({**CMC_NUMERICS, 'angular_momentum': 'kept'}, CMC_MODEL, 3),
    'gamma': (CMC_NUMERICS, {**CMC_MODEL, 'coulomb_gamma': 0.05}, 3),
    'apocentre': ({**CMC_NUMERICS, 'escape': 'apocentre'}, CMC_MODEL, 1),
    'black-holes': (CMC_NUMERICS, {**CMC_MODEL, 'black_hole_retention': 0.1}, 3),
    'large': (CMC_NUMERICS, {**CMC_MODEL, 'n_stars': 200_000}, 1),
}
CMC_AGES = (0.0, 0.1, 0.3, 1.0, 1.03, 1.3, 2.5, 4.0, 5.0, 5.01, 6.0, 7.0, 7.5, 8.0, 9.0, 10.0, 11.0, 12.0,
            13.0, 13.8, 14.0)
#: What CMC gives: (run with 50,000 stars?, age [Gyr], column): value.
CMC_VALUES = {
    (50, 1.03): {'n_stars': 47688, 'mass': 19496, 'r_h': 5.44},
    (50, 5.01): {'n_stars': 44631, 'mass': 16570, 'r_h': 6.87},
    (50, 8.0): {'n_stars': 41478, 'mass': 15305, 'r_h': 7.37},
    (50, 10.0): {'ms_high': 5.54, 'ms_low': 11.65, 'white_dwarfs': 4.23, 'm_to_l': 2.0},
    (50, 1.3): {'m_to_l': 0.40}, (50, 5.0): {'m_to_l': 0.95}, (50, 7.5): {'m_to_l': 1.6},
    (200, 1.0): {'mass': 79346, 'r_h': 5.41}, (200, 6.0): {'mass': 69434, 'r_h': 6.93},
    (200, 13.8): {'n_stars': 183951, 'mass': 64816, 'r_h': 7.98},
}


def cmc_run(name, seed, tracks):
    """Rows at `CMC_AGES` and a summary of one run; ``tracks`` is a file of CMC's."""
    numerics, changes, _ = CMC_RUNS[name]
    model = ClusterModel(galaxy='logarithmic', seed=seed).replace(**changes)
    stars = StellarEvolution(CMC_METALLICITY, table=tracks) if numerics else None
    sim, watch, rows = Simulation(model, numerics=Numerics(**numerics), tracks=stars), Watch(), []
    start = time.process_time()
    for age in CMC_AGES:
        sim.advance_to(1e3 * age, each_step=watch)
        snapshot = sim.snapshot()
        stars = snapshot.stars
        row = {'run': name, 'seed': seed, 'age': age, 'n_stars': snapshot.n_stars,
               'mass': snapshot.total_mass.to_value(u.Msun)}
        row['r_1'], row['r_h'] = (float(r) for r in lagrange(sim, [0.01, 0.5]))
        row |= {key: half_mass(stars, chosen) for key, chosen in groups(stars).items()}
        row['m_to_l'] = snapshot.mass_to_light.value
        row['anisotropy'] = anisotropy(stars)
        rows.append(row)
    summary = {'run': name, 'seed': seed, 'collapse': watch.collapse, 'smallest': watch.smallest[1],
               'virial_min': watch.virial[0], 'virial_max': watch.virial[1],
               'energy_error': sim.energy_error, 'cpu': time.process_time() - start}
    return rows, summary


def replace_rows(name, fresh, run, seed):
    """The stored table with the rows of one run and seed replaced."""
    if not (FOLDER / f'{name}.ecsv').exists():
        return fresh
    old = stored(name)
    old = old[~((old['run'] == run) & (old['seed'] == seed))]
    return vstack([old, fresh], metadata_conflicts='silent') if len(old) else fresh


def cmc(args):
    """The cluster of 50,000 stars of a run of CMC, with its settings and with ours."""
    if not args.draw:
        for name in args.runs or CMC_RUNS:
            for seed in range(CMC_RUNS[name][2]):
                rows, summary = cmc_run(name, seed, args.tracks)
                store('cmc', replace_rows('cmc', rounded(rows), name, seed), title='Plummer models of '
                      'r_h = 3.2 pc, Z = 0.001, 15 kpc, 220 km/s; age Gyr, mass Msun, radii pc')
                store('cmc_runs', replace_rows('cmc_runs', rounded([summary]), name, seed),
                      title='Core collapse (binaries have given 0.1 % of the initial energy) and smallest '
                            '1 % radius before they have given 1 %: ages in Myr')
                print(name, seed, f'{summary["cpu"]:.0f} s', flush=True)
        store('cmc-population', rounded(population(args.tracks), 3), title='M/L_V of stars that do not meet, '
              'and its relative noise in a cluster of 50,000')
    table, runs = stored('cmc'), stored('cmc_runs')
    show(stored('cmc-population'), {'tracks': (10, ''), 'age': (5, '.1f'), 'm_to_l': (7, '.3f'),
                                    'noise': (6, '.2f')})
    for name in CMC_RUNS:
        own = table[table['run'] == name]
        if len(own):
            report_cmc(name, own)
    show(runs, {'run': (12, ''), 'seed': (4, 'd'), 'collapse': (8, '.0f'), 'smallest': (8, '.0f'),
                'virial_min': (10, '.4f'), 'virial_max': (10, '.4f'), 'energy_error': (12, '.1e'),
                'cpu': (5, '.0f')})
    draw_cmc(table)


def population(tracks):
    """M/L_V of a million stars that do not meet, and the noise of it in a cluster of 50,000: rows."""
    rng, rows = np.random.default_rng(1), []
    born = kroupa_masses(1_000_000, rng, lower=0.1, upper=50.0)
    for name, table in (('pidoc', None), ('like CMC', tracks)):
        stars = StellarEvolution(CMC_METALLICITY, table=table)
        for age in (1.3, 5.0, 7.5, 10.0):
            state = stars.state(born, 1e3 * age)
            light = light_at(state, metallicity=CMC_METALLICITY).value
            here = state.kind < NEUTRON_STAR
            rows.append({'tracks': name, 'age': age, 'm_to_l': state.mass[here].sum() / light.sum(),
                         'noise': np.sqrt(np.sum(light ** 2) * born.size / 50_000) / light.sum()})
    return rows


def report_cmc(name, own):
    """Print the means of one run over its seeds beside CMC's values."""
    print(f'{name}, {len(np.unique(own["seed"]))} seeds')
    size = 200 if name == 'large' else 50
    for (stars, age), values in sorted(CMC_VALUES.items()):
        if stars != size:
            continue
        now = own[np.abs(own['age'] - age) < 1e-6]
        cells = []
        for column, value in values.items():
            mean = np.mean(now[column])
            spread = f' +- {np.std(now[column], ddof=1):.3g}' if len(now) > 1 else ''
            cells.append(f'{column} {mean:.5g}{spread} ({100 * (mean / value - 1):+.1f} %)')
        print(f'  {age:5.2f} Gyr: ' + ', '.join(cells))
    cells = (f'{age:g} Gyr {np.mean(own["anisotropy"][own["age"] == age]):+.2f}'
             for age in (0.0, 0.3, 1.0, 5.0, 10.0, 14.0))
    print('  anisotropy: ' + ', '.join(cells), flush=True)


def draw_cmc(table):
    fig, axes = figure(3, 3.2)
    for k, name in enumerate(n for n in CMC_RUNS if n != 'large' and n in table['run']):
        own = table[(table['run'] == name) & (table['seed'] == 0)]
        for axis, column in zip(axes, ('mass', 'r_h', 'm_to_l')):
            axis.plot(own['age'], own[column], color=COLOURS[k], ls=DASHES[k], label=name)
    for (stars, age), values in CMC_VALUES.items():
        for axis, column in zip(axes, ('mass', 'r_h', 'm_to_l')):
            if stars == 50 and column in values:
                axis.plot(age, values[column], 'ko', ms=5, mfc='w', mew=1.5)
    axes[0].plot([], [], 'ko', ms=5, mfc='w', mew=1.5, ls='', label='CMC')
    axes[0].set(ylabel='mass [$M_\\odot$]', yscale='log', ylim=(1e4, 3.2e4))
    axes[0].set_yticks([1e4, 2e4, 3e4], ['10 000', '20 000', '30 000'], rotation=90, va='center')
    axes[0].minorticks_off()
    axes[1].set(ylabel='half-mass radius [pc]', ylim=(3, 9))
    axes[2].set(ylabel='M/L$_V$ [solar]', ylim=(0, None))
    axes[0].legend()
    for axis in axes:
        axis.set(xlabel='age [Gyr]', xlim=(0, 14))
    save_figure(fig, 'cmc')


#: Stellar types of Hurley+ (2000).
CMC_KINDS = {'main sequence': (0, 1), 'giants': (2, 9), 'white dwarfs': (10, 12)}


def cmc_stars(args):
    """Stars of a run of CMC, one by one, beside the tracks of pidoc and those of --tracks."""
    if not args.draw:
        first = Snapshot.read(args.cmc_file, at=0).stars
        born = dict(zip(first['id'], first['mass'].to_value(u.Msun)))
        later = [Snapshot.read(args.cmc_file, at=number) for number in (1, 4, 8, 12)]
        kept = np.sum(later[0].stars['kind'] == BLACK_HOLE)
        rows = []
        for name, table in (('pidoc', None), ('like CMC', args.tracks)):
            ours = StellarEvolution(CMC_METALLICITY, table=table)
            made = np.sum(ours.state(list(born.values()), 250.0).kind == BLACK_HOLE)
            print(f'black holes after 250 Myr: {made} with the tracks {name}, {kept} in the cluster of CMC')
            for snapshot in later:
                rows += star_rows(name, ours, snapshot, born)
        store('cmc-stars', rounded(rows, 3), title='Single stars of a run of CMC: how far the tracks are '
              'from them, medians, and how many are of another type (Hurley+ 2000)')
    show(stored('cmc-stars'), {'tracks': (10, ''), 'age': (6, '.2f'), 'kind': (14, ''), 'stars': (6, 'd'),
                               'mass': (10, '.1e'), 'luminosity': (11, '.1e'), 'other_type': (11, 'd')})


def star_rows(name, ours, snapshot, born):
    """One row a kind of stars: medians of the differences in mass and luminosity."""
    stars = snapshot.stars[np.isin(snapshot.stars['id'], list(born))]
    kind = np.asarray(stars['kind'])
    state = ours.state([born[star] for star in stars['id']], snapshot.age.to_value(u.Myr))
    rows = []
    for what, (low, high) in CMC_KINDS.items():
        chosen = (kind >= low) & (kind <= high)
        same = chosen & (state.kind >= low) & (state.kind <= high)
        mass, light = (np.median(np.abs(value[same] / stars[column].value[same] - 1.0))
                       for value, column in ((state.mass, 'mass'), (state.luminosity, 'luminosity')))
        rows.append({'tracks': name, 'age': snapshot.age.to_value(u.Gyr), 'kind': what,
                     'stars': int(chosen.sum()), 'mass': mass, 'luminosity': light,
                     'other_type': int(np.sum(state.kind[chosen] != kind[chosen]))})
    return rows


def cmc_same(args):
    """The very stars of a run of CMC with 5000 of them, at the same places and speeds."""
    if not args.draw:
        first = Snapshot.read(args.cmc_file, at=0)
        stars = first.stars[np.argsort(first.stars['radius'])]
        initial = InitialConditions(*(stars[name].to_value(unit) for name, unit in (
            ('mass', u.Msun), ('radius', u.pc), ('v_r', u.km / u.s), ('v_t', u.km / u.s))))
        theirs = [Snapshot.read(args.cmc_file, at=number) for number in (1, 2, 3, 4, 8, 12)]
        rows = [{'run': 'CMC', 'seed': 0, 'age': one.age.to_value(u.Gyr), 'n_stars': one.n_stars,
                 'mass': one.total_mass.to_value(u.Msun), 'r_h': one.half_mass_radius.to_value(u.pc)}
                for one in theirs]
        ages = [row['age'] for row in rows]
        for name, (seeds, last, changes) in CMC_SAME_RUNS.items():
            for seed in range(seeds):
                model = ClusterModel(n_stars=initial.mass.size, galaxy='logarithmic', seed=seed,
                                     **CMC_MODEL)
                sim = Simulation(model, numerics=Numerics(**{**CMC_NUMERICS, **changes}), initial=initial,
                                 tracks=StellarEvolution(CMC_METALLICITY, table=args.tracks))
                for age in [age for age in ages if age < last]:
                    sim.advance_to(1e3 * age)
                    rows.append({'run': name, 'seed': seed, 'age': age, 'n_stars': sim.n_bodies,
                                 'mass': sim.cluster_mass, 'r_h': float(lagrange(sim, 0.5))})
        store('cmc-same', rounded(rows), title="CMC's own 5000 stars: age Gyr, mass Msun, radius pc")
    table = stored('cmc-same')
    theirs = table[table['run'] == 'CMC']
    for name in CMC_SAME_RUNS:
        for row in theirs:
            own = table[(table['run'] == name) & (table['age'] == row['age'])]
            if len(own):
                print(f'{name:12} {row["age"]:5.2f} Gyr  ' + ', '.join(
                    f'{column} {row[column]:.5g} ours {np.mean(own[column]):.5g} '
                    f'+- {np.std(own[column], ddof=1):.2g} '
                    f'({100 * (np.mean(own[column]) / row[column] - 1):+.1f} %)'
                    for column in ('n_stars', 'mass', 'r_h')))


# ---------------------------------------------------------------- (d) adiabatic mass loss


#: What becomes of angular momenta: `Numerics.angular_momentum`.
RULES = ('kept', 'scaled')


class Unrelaxed(Simulation):
    """A cluster whose stars do not meet: orbits are sampled, nothing else."""

    coulomb_logarithm = 1e-9
    relaxation_time = 2000.0  # a step is 1 % of it


def adiabatic_run(rule):
    """Rows of `MW15` without relaxation, by what becomes of angular momenta."""
    model = ClusterModel(galaxy=None)
    sim = Unrelaxed(model, numerics=Numerics(angular_momentum=rule))
    # the profile's own radii: those of the stars drawn have their shot noise
    profile = plummer_radius([0.1, 0.5, 0.9]) / plummer_radius(0.5)
    first = profile * model.half_mass_radius.to_value(u.pc) * sim.cluster_mass
    rows = []
    for age in (0.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0):
        sim.advance_to(age)
        radii = lagrange(sim, [0.1, 0.5, 0.9]) * sim.cluster_mass
        rows.append({'rule': rule, 'age': age, 'mass': sim.cluster_mass,
                     **dict(zip(('r10_m', 'r50_m', 'r90_m'), radii / first)),
                     'anisotropy': anisotropy(sim.snapshot().stars), 'virial': sim.virial_ratio})
    return rows


def adiabatic(args):
    """Stellar evolution without relaxation."""
    if not args.draw:
        rows = [row for rule in RULES for row in adiabatic_run(rule)]
        store('adiabatic', rounded(rows), title='MW15 alone in space, its stars evolve but do not meet: '
              'age Myr, mass Msun; Lagrange radius times mass in units of that of the profile; anisotropy '
              '1 - <v_t^2> / (2 <v_r^2>)')
    table = stored('adiabatic')
    show(table, {'rule': (6, ''), 'age': (7, '.0f'), 'mass': (7, '.0f'), 'r10_m': (6, '.3f'),
                 'r50_m': (6, '.3f'), 'r90_m': (6, '.3f'), 'anisotropy': (10, '.3f'), 'virial': (7, '.4f')})
    fig, axes = figure(2, 2.9)
    kept = table[table['rule'] == 'kept']
    age = np.maximum(kept['age'], 1)
    for k, (name, label) in enumerate((('r10_m', '10 %'), ('r50_m', '50 %'), ('r90_m', '90 %'))):
        axes[0].plot(age, kept[name], color=COLOURS[k], ls=DASHES[k], marker='.', label=label)
    axes[0].plot(age, kept['mass'] / kept['mass'][0], 'k:', label='mass alone')
    for k, rule in enumerate(RULES):
        axes[1].plot(age, table['anisotropy'][table['rule'] == rule], color=COLOURS[k], ls=DASHES[k],
                     marker='.', label=f'angular momentum {rule}')
    axes[0].set(xscale='log', xlabel='age [Myr]', ylabel='Lagrange radius x mass [initial]')
    axes[1].set(xscale='log', xlabel='age [Myr]', ylabel='anisotropy', ylim=(-0.6, 0.4))
    for axis in axes:
        axis.legend()
    save_figure(fig, 'adiabatic')


# ---------------------------------------------------------------- (e) the noise of few stars

#: What becomes of angular momenta, longest step in relaxation times, seeds.
STEP_RUNS = [('kept', 0.01, 6), ('kept', 0.002, 6), ('scaled', 0.01, 6), ('scaled', 0.002, 6),
             ('scaled', 0.0005, 2)]
STEP_AGES = (0.25, 1.0, 2.0, 3.0)
#: A run of CMC with 5000 stars, black holes kept: anisotropies at these ages.
CMC_SMALL = {0.25: (4424, -0.35), 1.0: (3556, 0.32), 2.0: (2505, 0.32), 3.0: (1454, 0.32)}


#: Numerics of 10^5 stars with r_h = 4 pc at 10 kpc; all but the first are compared with the first.
LENGTH_RUNS = {'short': {'relaxation_step': 0.0025, 'mass_loss_step': 0.0025}, 'default': {}}
LENGTH_SEEDS = 1
LENGTH_AGES = (0.1, 0.5, 1.0, 3.0, 6.0, 12.0)


def lengths_of_steps(args):
    """A cluster of 10^5 stars with short and usual steps; the same stars at the start for a seed."""
    quantities = ['n_stars', 'mass', 'r_01', 'r_10', 'r_50', 'r_90', 'segregation']
    if not args.draw:
        rows = []
        for seed in range(LENGTH_SEEDS):
            for name, numerics in LENGTH_RUNS.items():
                model = ClusterModel(n_stars=100_000, half_mass_radius=4 * u.pc, seed=seed,
                                     galactocentric_distance=10 * u.kpc)
                sim, start = Simulation(model, numerics=Numerics(**numerics)), time.process_time()
                for age in LENGTH_AGES:
                    sim.advance_to(1e3 * age)
                    m = sim._shells.m
                    inside = np.searchsorted(sim._shells.cum, 0.1 * sim._shells.cum[-1])
                    values = [sim.n_bodies, sim.cluster_mass, *lagrange(sim, [0.01, 0.1, 0.5, 0.9]),
                              m[:inside].mean() / m.mean()]
                    rows.append({'name': name, 'seed': seed, 'age': age, 'steps': sim.steps,
                                 'cpu': time.process_time() - start,
                                 **dict(zip(quantities, map(float, values), strict=True))})
                store('step_lengths', rounded(rows), title='Plummer models of 100,000 stars, r_h = 4 pc, '
                      'Z = 0.001, 10 kpc: age Gyr, radii pc, mean mass within r_10 over that of all stars')
    table = stored('step_lengths')
    short = table[table['name'] == 'short']
    print(f'10^5 stars, difference from short steps in per cent, mean of {LENGTH_SEEDS} seeds')
    for name in LENGTH_RUNS:
        own = table[table['name'] == name]
        for age in LENGTH_AGES:
            now, then = own[own['age'] == age], short[short['age'] == age]
            cells = [f'{q} {100.0 * np.mean(now[q] / then[q] - 1.0):+5.1f}' for q in quantities]
            print(f'  {name:8} {age:4.1f} Gyr {np.mean(now["steps"]):5.0f} steps '
                  f'{np.mean(now["cpu"]):4.0f} s  ' + '  '.join(cells))


def steps(args):
    """A cluster of 5000 stars with steps of several lengths: noise grows with their number."""
    lengths_of_steps(args)
    if not args.draw:
        rows = []
        for rule, step, seeds in STEP_RUNS:
            for seed in range(seeds):
                model = ClusterModel(n_stars=5000, galaxy='logarithmic', seed=seed, **CMC_MODEL)
                numerics = CMC_NUMERICS | {'angular_momentum': rule, 'relaxation_step': step}
                sim = Simulation(model, numerics=Numerics(**numerics))
                for age in STEP_AGES:
                    sim.advance_to(1e3 * age)
                    r_10, r_h = (float(r) for r in lagrange(sim, [0.1, 0.5]))
                    rows.append({'rule': rule, 'step': step, 'seed': seed, 'age': age, 'steps': sim.steps,
                                 'n_stars': sim.n_bodies, 'mass': sim.cluster_mass, 'r_10': r_10, 'r_h': r_h,
                                 'anisotropy': anisotropy(sim.snapshot().stars)})
        store('steps', rounded(rows), title='Plummer models of 5000 stars, r_h = 3.2 pc, Z = 0.001, 15 kpc: '
              'age Gyr, mass Msun, radii pc')
    table = stored('steps')
    for rule, step, seeds in STEP_RUNS:
        own = table[(table['rule'] == rule) & (table['step'] == step)]
        print(f'{rule}, {step} relaxation times, {seeds} seeds')
        for age in STEP_AGES:
            now = own[own['age'] == age]
            n, r_10, r_h, beta = (np.mean(now[name]) for name in ('n_stars', 'r_10', 'r_h', 'anisotropy'))
            print(f'  {age:4.2f} Gyr: {np.mean(now["steps"]):6.0f} steps, {n:5.0f} stars (CMC '
                  f'{CMC_SMALL[age][0]}), r_10 {r_10:.2f}, r_h {r_h:.2f} pc, anisotropy {beta:+.2f} (CMC '
                  f'{CMC_SMALL[age][1]:+.2f})')


# ---------------------------------------------------------------- (f) dissolution in a tidal field

#: (stars, galactocentric distance [kpc], escape, factor in the Coulomb logarithm, seeds)
DISSOLUTION_RUNS = [(8192, 8.5, 'delayed', 0.05, 4), (16384, 8.5, 'delayed', 0.05, 2),
                    (32768, 8.5, 'delayed', 0.05, 2), (8192, 5.0, 'delayed', 0.05, 2),
                    (8192, 15.0, 'delayed', 0.05, 2), (8192, 8.5, 'delayed', 0.03, 4),
                    (16384, 8.5, 'delayed', 0.03, 2), (32768, 8.5, 'delayed', 0.03, 1),
                    (8192, 8.5, 'delayed', 0.08, 4), (16384, 8.5, 'delayed', 0.08, 2),
                    (32768, 8.5, 'delayed', 0.08, 1), (8192, 8.5, 'energy', 0.05, 2),
                    (16384, 8.5, 'energy', 0.05, 1)]
#: That of the figure.
DISSOLUTION_GAMMA = 0.05


def baumgardt_makino(n, distance):
    """Age [Myr] at which 95 % of the mass are lost: Baumgardt & Makino (2003, eq. 7), King W0 = 5."""
    return 1.91 * (n / np.log(0.02 * n)) ** 0.75 * distance


def filling_model(n, distance, w0=5.0):
    """A King model whose edge is its tidal radius, with the stars of Baumgardt & Makino (2003)."""
    model = ClusterModel(n_stars=n, profile='king', king_w0=w0, half_mass_radius=1 * u.pc,
                         galaxy='logarithmic', galactocentric_distance=distance * u.kpc,
                         mass_limits=[0.1, 15] * u.Msun, neutron_star_retention=1.0,
                         black_hole_retention=1.0)
    tidal = TidalField(model).tidal_radius(model.expected_total_mass.to_value(u.Msun))
    king = king_structure(w0)
    return model.replace(half_mass_radius=tidal * king.half_mass_radius / king.tidal_radius * u.pc)


def slope(mass, low=0.1, high=0.5):
    """Exponent a of dN/dm ~ m^-a between two masses, of greatest likelihood."""
    mean = np.mean(np.log(mass[(mass > low) & (mass < high)]))
    grid = np.geomspace(low, high, 400)

    def excess(a):
        weight = grid ** (1.0 - a)
        return np.sum(weight * np.log(grid)) / np.sum(weight) - mean

    return brentq(excess, -8.0, 8.0)


def dissolution_run(n, distance, escape, gamma, seed):
    """History of one cluster until 95 % of its mass are gone."""
    model = filling_model(n, distance).replace(coulomb_gamma=gamma, seed=seed)
    sim = Simulation(model, numerics=Numerics(escape=escape))
    first, rows, lost = sim.cluster_mass, [], 0.0
    expected = baumgardt_makino(n, distance)
    while not rows or (rows[-1]['mass'] > 0.05 and not sim.dissolved):
        stars = sim.snapshot().stars
        kind, mass = np.asarray(stars['kind']), stars['mass'].to_value(u.Msun)
        outside = stars['radius'].to_value(u.pc) > sim.tidal_radius
        rows.append({'n': n, 'distance': distance, 'escape': escape, 'gamma': gamma, 'seed': seed,
                     'age': sim.age, 'mass': sim.cluster_mass / first,
                     'outside': mass[outside].sum() / mass.sum(), 'slope': slope(mass[kind < 2]),
                     'r_h': float(lagrange(sim, 0.5)), 'heat': heat(sim), 'error': sim.energy_error})
        sim.advance_to(sim.age + expected / 50.0)
        lost = 1.0 - sim.cluster_mass / first if sim.n_bodies else 1.0
        if lost >= 0.95 or sim.dissolved:
            rows.append({**rows[-1], 'age': sim.age, 'mass': 1.0 - lost})
            break
    return rows


def dissolution_results(table):
    """One row a kind of run: life time and slopes of the mass function, means over the seeds."""
    results = []
    for n, distance, escape, gamma, _ in DISSOLUTION_RUNS:
        own = table[(table['n'] == n) & (table['distance'] == distance) & (table['escape'] == escape)
                    & (table['gamma'] == gamma)]
        seeds = [own[own['seed'] == seed] for seed in np.unique(own['seed'])]
        if not seeds:
            continue
        expected = baumgardt_makino(n, distance)
        ages = [at_mass(one, 0.05, 'age') for one in seeds]
        row = {'n': n, 'distance': distance, 'escape': escape, 'gamma': gamma, 'seeds': len(seeds),
               'age': np.mean(ages), 'expected': expected, 'excess': 100 * (np.mean(ages) / expected - 1),
               'scatter': 100 * np.ptp(ages) / expected, 'outside': 100 * at_mass(seeds[0], 0.5, 'outside')}
        for part in (1.0, 0.5, 0.25, 0.1):
            row[f'slope_{part:g}'] = np.mean([at_mass(one, part, 'slope') for one in seeds])
        results.append(row)
    return results


def at_mass(run, part, column):
    """A column of one run where this part of the mass is left."""
    return np.interp(part, run['mass'][::-1], run[column][::-1])


def dissolution(args):
    """Life times of clusters that fill their tidal radius."""
    if not args.draw:
        rows = []
        for *run, seeds in DISSOLUTION_RUNS:
            for seed in range(seeds):
                start = time.process_time()
                rows += dissolution_run(*run, seed)
                print(*run, seed, f'{rows[-1]["age"]:.0f} Myr, cpu {time.process_time() - start:.0f} s',
                      flush=True)
                store('dissolution', rounded(rows, 4), title='King models (W0 = 5) that fill their tidal '
                      'radius: distance kpc, age Myr, mass in units of the first, part of it outside the '
                      'tidal radius, slope a of dN/dm ~ m^-a of main-sequence stars of 0.1 to 0.5 Msun')
    table = stored('dissolution')
    results = dissolution_results(table)
    show(results, {'n': (6, 'd'), 'distance': (8, '.1f'), 'escape': (8, ''), 'gamma': (5, ''),
                   'seeds': (5, 'd'), 'age': (7, '.0f'), 'expected': (8, '.0f'), 'excess': (7, '+.0f'),
                   'scatter': (7, '.0f'), 'outside': (7, '.1f'), 'slope_1': (7, '.2f'),
                   'slope_0.5': (9, '.2f'), 'slope_0.25': (10, '.2f'), 'slope_0.1': (9, '.2f')})
    shown = [row for row in results if row['gamma'] == DISSOLUTION_GAMMA]
    at_home = [row for row in shown if row['distance'] == 8.5 and row['escape'] == 'delayed']
    if len(at_home) > 1:
        x = [np.log(row['n'] / np.log(0.02 * row['n'])) for row in at_home]
        exponent = np.polyfit(x, np.log([row['age'] for row in at_home]), 1)[0]
        print(f'exponent x of the fit to 8.5 kpc: {exponent:.2f} (0.75)')
    draw_dissolution(table[(table['gamma'] == DISSOLUTION_GAMMA) & (table['seed'] == 0)], shown)


def draw_dissolution(table, results):
    fig, axes = figure(2)
    for k, row in enumerate(results):
        own = table[(table['n'] == row['n']) & (table['distance'] == row['distance'])
                    & (table['escape'] == row['escape'])]
        extra = '' if row['escape'] == 'delayed' else ', energy'
        label = f'{row["n"]}, {row["distance"]:g} kpc{extra}'
        axes[0].plot(own['age'] / row['expected'], own['mass'], color=COLOURS[k], ls=DASHES[k], label=label)
        axes[1].plot(own['mass'][:-1], own['slope'][:-1], color=COLOURS[k], ls=DASHES[k], lw=1)
    axes[0].axvline(1.0, color='k', lw=1, ymax=0.4)
    axes[0].axhline(0.05, color='k', lw=1)
    axes[0].set(xlabel='age [Baumgardt & Makino, eq. 7]', xlim=(0, None))
    axes[0].set(ylabel='mass [initial]', ylim=(0, 1))
    axes[1].set(xlabel='mass [initial]', ylabel='slope of dN/dm, 0.1-0.5 $M_\\odot$', xlim=(1, 0))
    axes[0].legend(title='stars, distance', fontsize=7)
    save_figure(fig, 'dissolution')


# ---------------------------------------------------------------- (g) equipartition and M/L

SEGREGATION_AGES = (4.0, 8.0, 12.0)
SEGREGATION_EDGES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
#: Parts of the cluster, and how the figure calls them.
REGIONS = {'all': 'all', 'half': '$r < r_{50}$', 'tenth': '$r < r_{10}$'}
SHELL_EDGES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


def segregation_rows(snapshot, age):
    """Dispersions by mass and M/L by shell of one snapshot."""
    stars = snapshot.stars
    kind, mass, radius = np.asarray(stars['kind']), stars['mass'].value, stars['radius'].value
    square = (stars['v_r'].value ** 2 + stars['v_t'].value ** 2) / 3.0
    r_10, r_50 = snapshot.lagrangian_radii([0.1, 0.5]).to_value(u.pc)
    rows = []
    for region, edge in zip(REGIONS, (np.inf, r_50, r_10)):
        chosen = (kind < 2) & (radius < edge)
        for low, high in zip(SEGREGATION_EDGES[:-1], SEGREGATION_EDGES[1:]):
            own = chosen & (mass >= low) & (mass < high)
            rows.append({'age': age, 'what': 'sigma ' + region, 'x': np.mean(mass[own]),
                         'y': np.sqrt(np.mean(square[own])),
                         'y_error': np.sqrt(np.mean(square[own]) / (6.0 * own.sum()))})
    edges = np.concatenate([[0.0], snapshot.lagrangian_radii(SHELL_EDGES[1:]).to_value(u.pc)])
    for low, high in zip(edges[:-1], edges[1:]):
        own = (radius > low) & (radius <= high)
        light = stars['v_luminosity'].value[own]
        value = mass[own].sum() / light.sum()
        rows.append({'age': age, 'what': 'm_to_l', 'x': np.median(radius[own]), 'y': value,
                     'y_error': value * np.sqrt(np.sum(light ** 2)) / light.sum()})
    r_h = half_mass(stars, mass > 0.0)
    for name, chosen in groups(stars).items():
        own = half_mass(stars, chosen)
        rows.append({'age': age, 'what': name, 'x': own, 'y': own / r_h,
                     'y_error': 1.25 * np.std(radius[chosen]) / np.sqrt(chosen.sum()) / r_h})
    return rows


def segregation(args):
    """Equipartition, M/L and where the stars of different mass are in MW15."""
    if not args.draw:
        sim, rows = Simulation(ClusterModel.named('MW15')), []
        for age in SEGREGATION_AGES:
            sim.advance_to(1e3 * age)
            rows += segregation_rows(sim.snapshot(), age)
        store('segregation', rounded(rows), title='MW15: sigma (1-D, km/s) of main-sequence stars against '
              'mass, all and inside the radius of half or a tenth of the mass; M/L_V of shells against '
              'median radius; half-mass radii x of kinds of stars, y in units of that of all; age Gyr')
    table = stored('segregation')
    for age in SEGREGATION_AGES:
        report_segregation(table[table['age'] == age], age)
    draw_segregation(table)


def report_segregation(now, age):
    """Print the degree of equipartition, the profile of M/L and half-mass radii at one age."""
    for region in REGIONS:
        own = now[now['what'] == 'sigma ' + region]
        eta, eta_error, inverse, inverse_error = equipartition(own)
        print(f'{age:4.0f} Gyr, {region:5s}: eta {eta:.3f} +- {eta_error:.3f}, 1 / m_eq {inverse:.2f} +- '
              f'{inverse_error:.2f} / Msun, sigma {own["y"][0]:.2f} ({own["x"][0]:.2f} Msun) to '
              f'{own["y"][-1]:.2f} km/s ({own["x"][-1]:.2f} Msun)')
    shells = now[now['what'] == 'm_to_l']
    print('  M/L_V from centre to edge: '
          + ', '.join(f'{row["y"]:.2f} +- {row["y_error"]:.2f}' for row in shells))
    for name in ('white_dwarfs', 'ms_high', 'ms_low'):
        row = now[now['what'] == name][0]
        print(f'  half-mass radius of {name}: {row["x"]:.2f} pc = {row["y"]:.2f} +- {row["y_error"]:.2f} r_h')


def draw_segregation(table):
    fig, (left, right) = figure(2)
    for k, age in enumerate(SEGREGATION_AGES):
        now = table[table['age'] == age]
        style = {'color': COLOURS[k], 'marker': 'os^'[k], 'ms': 4}
        for region, dash, face in (('half', '-', COLOURS[k]), ('tenth', ':', 'w')):
            own = now[now['what'] == 'sigma ' + region]
            left.errorbar(own['x'], own['y'], own['y_error'], ls=dash, mfc=face, **style,
                          label=f'{age:g} Gyr, {REGIONS[region]}')
        own = now[now['what'] == 'm_to_l']
        right.errorbar(own['x'], own['y'], own['y_error'], ls=DASHES[k], **style, label=f'{age:g} Gyr')
    left.set(xscale='log', xlabel='stellar mass [$M_\\odot$]', ylabel='$\\sigma$ (1-D) [km/s]')
    left.set_xticks([0.1, 0.2, 0.4, 0.8], ['0.1', '0.2', '0.4', '0.8'])
    left.minorticks_off()
    left.set_ylim(top=1.25 * left.get_ylim()[1])
    left.legend(ncol=2)
    right.set(xscale='log', xlabel='radius (3-D) [pc]', ylabel='M/L$_V$ of a shell [solar]', ylim=(0, None))
    right.legend(loc='upper left')
    save_figure(fig, 'segregation')


def equipartition(own):
    """Degree of equipartition: eta and 1 / m_eq, each followed by its error.

    sigma ~ m^-eta (Trenti & van der Marel 2013), sigma ~ exp(-m / (2 m_eq)) (Bianchini+ 2016).
    """
    log, error = np.log(own['y']), own['y_error'] / own['y']
    power, cov = curve_fit(lambda x, a, b: a - b * x, np.log(own['x']), log, sigma=error, absolute_sigma=True)
    exponential, cov_e = curve_fit(lambda x, a, b: a - 0.5 * b * x, np.asarray(own['x']), log, sigma=error,
                                   absolute_sigma=True)
    return power[1], np.sqrt(cov[1, 1]), exponential[1], np.sqrt(cov_e[1, 1])


# ---------------------------------------------------------------- (h) the ledgers of four models

MODELS = {'MW15': ClusterModel.named('MW15'), 'MW15-R1.6': ClusterModel.named('MW15-R1.6'),
          'MW15-R4': ClusterModel.named('MW15-R4'),
          'N200000': ClusterModel(name='N200000', n_stars=200_000)}


def models(args):
    """The ledgers of four models at 14 Gyr."""
    if not args.draw:
        for name in args.runs or MODELS:
            rows, summary = model_run(name)
            store('models', replace_rows('models', rounded(rows, 4), name, 0),
                  title='Age Gyr, mass Msun, radii pc')
            store('models_runs', replace_rows('models_runs', rounded([summary]), name, 0),
                  title='Ledgers at 14 Gyr: mass_* in units of the initial mass, energy_* of the size of the '
                        'initial energy; ages of core collapse in Myr; cpu s')
            print(name, f'{summary["cpu"]:.0f} s', flush=True)
    table, runs = stored('models'), stored('models_runs')
    for run in runs:
        print(run['run'])
        print('  ' + ', '.join(f'{name} {run[name]:.4g}' for name in runs.colnames[2:]))
    draw_models(table, runs)


def model_run(name):
    """History and ledger of one model."""
    sim, watch, rows = Simulation(MODELS[name]), Watch(), []
    start = time.process_time()
    for age in np.concatenate([[0.0], np.geomspace(0.01, 1.0, 9), np.arange(1.25, 14.01, 0.25)]):
        sim.advance_to(1e3 * age, each_step=watch)
        r_1, r_h = lagrange(sim, [0.01, 0.5])
        rows.append({'run': name, 'seed': 0, 'age': age, 'n': sim.n_bodies, 'mass': sim.cluster_mass,
                     'r_1': r_1, 'r_h': r_h, 'heat': heat(sim), 'virial': sim.virial_ratio})
    ledger, energy = sim.ledger, abs(sim.ledger.initial_energy)
    summary = {'run': name, 'seed': 0, 'n_stars': sim.snapshot().n_stars, 'mass': sim.cluster_mass,
               'r_h': rows[-1]['r_h']}
    summary |= {f'mass_{key}': value / ledger.initial_mass for key, value in ledger.mass.items()}
    summary['mass_gap'] = ledger.mass_error(sim.cluster_mass / sim.units.mass)
    summary |= {f'energy_{key}': value / energy for key, value in ledger.energy.items()}
    summary['energy_gap'] = sim.energy_error
    summary |= {'virial_min': watch.virial[0], 'virial_max': watch.virial[1], 'collapse': watch.collapse,
                'smallest': watch.smallest[1], 'steps': sim.steps, 'cpu': time.process_time() - start}
    return rows, summary


def draw_models(table, runs):
    fig, axes = figure(3, 3.2)
    for k, name in enumerate(n for n in MODELS if n in table['run']):
        own = table[table['run'] == name]
        style = {'color': COLOURS[k], 'ls': DASHES[k], 'label': name}
        axes[0].plot(own['age'], own['r_h'], **style)
        axes[0].plot(own['age'], own['r_1'], color=COLOURS[k], ls=DASHES[k], lw=0.9)
        axes[1].plot(own['age'], own['mass'] / own['mass'][0], **style)
        axes[2].plot(own['age'], own['virial'], **style | {'lw': 0.9})
    axes[0].set(yscale='log', ylabel='radius of 50 and 1 % of the mass [pc]')
    axes[1].set(ylabel='mass [initial]', ylim=(0, 1))
    axes[2].axhspan(0.48, 0.52, color='0.9')
    axes[2].set(ylabel='virial ratio', ylim=(0.475, 0.525))
    axes[1].legend()
    for axis in axes:
        axis.set(xlabel='age [Gyr]', xlim=(0, 14))
    save_figure(fig, 'models')


# ---------------------------------------------------------------- (h) primordial binaries

#: Bodies, share of binaries and seed of each run.
BINARY_RUNS = ((10_000, 0.1, 0), (10_000, 0.1, 1), (10_000, 0.1, 2), (100_000, 0.1, 0), (10_000, 0.0, 0))
#: Their end, in initial half-mass relaxation times; binding energies of binaries [kT of the centre].
BINARY_END, BINARY_ENERGIES = 60.0, (3.0, 133.0)


def bound_pairs(cluster, seed):
    """Equal masses, and binaries of binding energies alike in the logarithm (CMC's ``addbinaries``)."""
    pairs, rng = cluster.binaries, np.random.default_rng([seed, 100])
    inner = slice(cluster.mass.size // 100)
    square = cluster.v_r[inner] ** 2 + cluster.v_t[inner] ** 2
    temperature = np.mean(cluster.mass[inner] * square) / 3.0
    low, high = BINARY_ENERGIES
    energy = temperature * low * (high / low) ** rng.random(pairs.mass.size)
    first = cluster.mass[pairs.body] - pairs.mass
    size = (G * first * pairs.mass / (2.0 * energy) * u.pc).to_value(u.au)
    return cluster._replace(binaries=pairs._replace(semi_major_axis=size))


def binary_run(n, fraction, seed):
    """History of one isolated Plummer model of n bodies of equal masses."""
    model = ClusterModel(n_stars=round(n * (1.0 + fraction)), binary_fraction=fraction, imf='equal',
                         galaxy=None, stellar_evolution=False, seed=seed)
    cluster = initial_conditions(model)
    sim = Simulation(model, initial=bound_pairs(cluster, seed) if fraction else cluster)
    unit = 0.138 * n * PLUMMER_HALF ** 1.5 / np.log(0.11 * n) * sim.units.time
    rows, start = [], time.process_time()

    def look(sim):
        t = sim.age / unit
        if rows and t < rows[-1]['t'] + 0.5:
            return
        radii = lagrange(sim, [0.01, 0.1, 0.5])
        core = sim.snapshot().core_radius.value
        rows.append({'n': n, 'fraction': fraction, 'seed': seed, 't': t,
                     **dict(zip(('r01', 'r10', 'r50'), radii / sim.units.length)),
                     'core': core / sim.units.length, 'core_half': core / radii[2],
                     'binaries': len(sim.binaries),
                     'heat': heat(sim), 'escape': sim.ledger.energy['escape'] / 0.25,
                     'error': sim.energy_error, 'cpu': time.process_time() - start})

    look(sim)
    sim.advance_to((BINARY_END if fraction else COLLAPSE_END) * unit, each_step=look)
    return rows


def binaries(args):
    """Isolated Plummer models of equal masses, with 10 % primordial binaries and without."""
    if not args.draw:
        history = []
        for run in BINARY_RUNS:
            history += binary_run(*run)
            store('binaries', rounded(history, 4), title='Plummer models of n bodies of equal masses; '
                  'radii in Henon units, t in initial half-mass relaxation times, energies in units of the '
                  'initial one')
    table = stored('binaries')
    print('core radius over half-mass radius: when first below 0.1, mean from 20 to 60 t_rh(0), smallest;\n'
          'share of binaries left at 20 and at the end; energy set free, and taken away by escapers; error')
    for n, fraction, seed in BINARY_RUNS:
        own = table[(table['n'] == n) & (table['fraction'] == fraction) & (table['seed'] == seed)]
        if not len(own):
            continue
        first = own['t'][np.argmax(own['core_half'] < 0.1)]
        left = [np.interp(t, own['t'], own['binaries']) / (fraction * n) if fraction else np.nan
                for t in (20.0, BINARY_END)]
        steady = own['core_half'][own['t'] > 20.0]
        print(f'N = {n}, {100 * fraction:.0f} %, seed {seed}: {first:.1f} t_rh, '
              f'{np.mean(steady) if len(steady) else np.nan:.3f}, {own["core_half"].min():.4f}; '
              f'{left[0]:.2f}, {left[1]:.2f}; '
              f'{own["heat"][-1]:.2f}, {own["escape"][-1]:.2f}; {np.abs(own["error"]).max():.1e}; '
              f'{own["cpu"][-1]:.0f} s')
    draw_binaries(table)


def draw_binaries(table):
    fig, (left, right) = figure(2)
    for k, (n, fraction, seed) in enumerate(BINARY_RUNS):
        own = table[(table['n'] == n) & (table['fraction'] == fraction) & (table['seed'] == seed)]
        label = None if 0 < seed else f'N = {n}, {100 * fraction:.0f} %'
        style = {'color': COLOURS[0 if seed else k], 'lw': 0.7 if seed else 1.4, 'label': label}
        left.plot(own['t'], own['core_half'], **style)
        if fraction:
            right.plot(own['t'], own['binaries'] / (fraction * n), **style)
    left.set(yscale='log', xlabel='time [$t_{rh}(0)$]', ylabel='core radius [half-mass radius]')
    right.set(xlabel='time [$t_{rh}(0)$]', ylabel='binaries [initial]', ylim=(0, 1))
    left.legend()
    save_figure(fig, 'binaries')


# ---------------------------------------------------------------- command line

CASES = {'collapse': collapse, 'encounters': encounters, 'two-mass': two_mass, 'adiabatic': adiabatic,
         'steps': steps, 'dissolution': dissolution, 'segregation': segregation, 'cmc': cmc,
         'cmc-stars': cmc_stars, 'cmc-same': cmc_same, 'models': models, 'binaries': binaries}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cases = parser.add_subparsers(dest='case', required=True)
    for name, function in CASES.items():
        case = cases.add_parser(name, help=function.__doc__)
        case.add_argument('--draw', action='store_true', help='only draw and print what is stored')
        if name == 'collapse':
            case.add_argument('--cmc-file', help="CMC's Lagrange radii of an isolated Plummer model")
        if name in ('cmc-stars', 'cmc-same'):
            case.add_argument('--cmc-file', help='snapshots of CMC (HDF5), conv.sh beside them')
        if name.startswith('cmc'):
            case.add_argument('--tracks', help="a table of tracks with CMC's settings of COSMIC")
        if name in ('cmc', 'models'):
            case.add_argument('--runs', nargs='+', choices=CMC_RUNS if name == 'cmc' else MODELS,
                              help='replace these runs only')
    args = parser.parse_args()
    if 'tracks' in args and not (args.tracks or args.draw):
        parser.error(f'{args.case} needs --tracks (see CMC_METALLICITY in this file), or --draw')
    start = time.process_time()
    CASES[args.case](args)
    print(f'{time.process_time() - start:.0f} s of processor time')


if __name__ == '__main__':
    main()
