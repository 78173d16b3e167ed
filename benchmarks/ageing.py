#!/usr/bin/env python
# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Clusters of ageing stars of many masses: the Monte Carlo simulator and direct N-body integrations.

    python benchmarks/ageing.py direct --model narrow   # the reference: 20 seeds, 10 minutes of one core
    python benchmarks/ageing.py direct --model wide     # one cluster, more than an hour
    python benchmarks/ageing.py                         # the simulator, five Coulomb logarithms, 8 minutes
    python benchmarks/ageing.py --draw                  # print and draw the stored results

Isolated Plummer models of r_h = 3.2 pc, Z = 0.001, up to 250 Myr: heavy stars sink to the centre and lose
their mass there. ``narrow`` has 1024 stars of 0.1 to 6 Msun (Kroupa 2001), which all become white dwarfs; 250
Myr are 1.5 of its initial half-mass relaxation times. ``wide`` has 5000 stars of up to 50 Msun; neutron stars
and black holes leave at birth, in both methods. Both methods start with the same stars at the same radii and
speeds; differences are taken seed by seed. Radii contain a fraction of the mass or of the number of all stars
without a kick, including escapers, which are counted at larger radii.

The direct integrations are those of ``benchmarks/direct_nbody.py``. Sixteen times in a Henon time, when all
stars have come to the same moment, they get the masses of their age, and the energy that goes with the lost
mass is booked: what is then missing is the error of the integration, which may be 1e-4. A seed with more,
because of a tight binary, ends there, and is left out if others went farther.
"""

import argparse

import numpy as np
from astropy import units as u
from astropy.table import Table, vstack
from direct_nbody import (
    center_and_core_radius,
    Cluster,
    directions,
    EnergyError,
    force,
    largest_binding_energy,
    MAXIMUM_STEP,
)
from validation import anisotropy, COLOURS, figure, FOLDER, rounded, save_figure, store, stored

from pidoc import ClusterModel
from pidoc.simulation import Simulation
from pidoc.simulation.evolve import NEUTRON_STAR
from pidoc.simulation.initial import initial_conditions
from pidoc.stellar import StellarEvolution

AGES = (0.0, 10.0, 25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 250.0)     # Myr
LATE = 100.0            # differences are means of the ages from here on
GAMMAS = (0.01, 0.02, 0.05, 0.11, 0.2)
#: name: (stars, limits of their masses [Msun], seeds, Monte Carlo runs of each seed)
MODELS = {'narrow': (1024, (0.1, 6.0), 20, 2), 'wide': (5000, (0.1, 50.0), 1, 8)}
FRACTIONS = {'r_10': 0.1, 'r_50': 0.5, 'r_90': 0.9}
#: Limits of the initial mass [Msun] of groups whose radius of half of the number is taken.
GROUPS = {'light': (0.1, 0.3), 'heavy': (0.8, 6.0)}
COLUMNS = (*FRACTIONS, *GROUPS)
#: Beside the radii, which are compared: 1 - <v_t^2> / (2 <v_r^2>) of stars inside r_90.
ANISOTROPY = 'anisotropy'


def model(name, seed):
    n_stars, limits, *_ = MODELS[name]
    return ClusterModel(n_stars=n_stars, mass_limits=limits * u.Msun, galaxy=None, natal_kicks='full',
                        seed=seed)


def masses(tracks, born, age):
    """Masses [Msun] at an age; none of what leaves as a neutron star or black hole."""
    mass, kind = tracks.mass(born, age)
    return np.where(kind >= NEUTRON_STAR, 0.0, mass)


def radii(radius, mass, born, every_born, total):
    """Radii [pc] of parts of the mass ``total``, and of the numbers of the groups among ``every_born``."""
    order = np.argsort(radius)
    middle = np.cumsum(mass[order]) - 0.5 * mass[order]
    row = {name: np.interp(part * total, middle, radius[order]) for name, part in FRACTIONS.items()}
    for name, (low, high) in GROUPS.items():
        own = np.sort(radius[(born >= low) & (born < high)])
        number = np.sum((every_born >= low) & (every_born < high))
        row[name] = np.interp(0.5 * number, np.arange(own.size) + 0.5, own)
    return row


# ---------------------------------------------------------------- direct integrations


class AgeingCluster(Cluster):
    """Stars under integration whose masses change."""

    def set_masses(self, mass):
        """New masses, of all stars at one moment; the change of the energy is not an error."""
        before = self.energy()
        self.mass[:] = mass
        acc, jerk = np.empty(3), np.empty(3)
        for i in range(self.mass.size):
            force(i, self.mass, self.pos, self.vel, acc, jerk)
            self.acc[:, i], self.jerk[:, i] = acc, jerk
        self.first_energy += self.energy() - before


def placed(initial, units, rng):
    """Masses, positions and velocities in Henon units: radii and speeds in random directions."""
    outward, across = directions(initial.mass.size, rng), directions(initial.mass.size, rng)
    across -= outward * np.sum(outward * across, axis=0)
    across /= np.linalg.norm(across, axis=0)
    mass = initial.mass / units.mass
    pos = outward * initial.radius / units.length
    vel = (outward * initial.v_r + across * initial.v_t) / units.velocity
    # the barycentre at rest
    return mass, pos - (pos @ mass)[:, None] / mass.sum(), vel - (vel @ mass)[:, None] / mass.sum()


def direct_rows(name, seed):
    """Rows of one direct integration, as they come."""
    initial, units = initial_conditions(model(name, seed)), Simulation(model(name, seed)).units
    tracks = StellarEvolution(model(name, seed).metallicity)
    cluster = AgeingCluster(*placed(initial, units, np.random.default_rng([3, seed])))
    for age in AGES:
        while cluster.time * units.time < age:
            cluster.integrate(cluster.time + MAXIMUM_STEP)
            cluster.set_masses(masses(tracks, initial.mass, cluster.time * units.time) / units.mass)
        here = cluster.mass > 0.0
        mass, born, vel = cluster.mass[here] * units.mass, initial.mass[here], cluster.vel[:, here]
        pos = cluster.pos[:, here]
        binding = largest_binding_energy(cluster.mass[here], pos, vel) * 6 * here.size
        pos = pos - center_and_core_radius(cluster.mass[here], pos)[0][:, None]
        distance = np.linalg.norm(pos, axis=0)
        row = radii(distance * units.length, mass, born, born, mass.sum())
        v_r, inside = np.sum(pos * vel, axis=0) / distance, distance * units.length < row['r_90']
        v_t = np.sqrt(np.sum(vel ** 2, axis=0) - v_r ** 2)
        yield {'model': name, 'seed': seed, 'age': age, **row,
               ANISOTROPY: anisotropy({'v_r': v_r[inside], 'v_t': v_t[inside]}),
               'binding': binding, 'energy_error': cluster.energy_error()}


def direct(name):
    """Integrate the seeds that are not stored yet; one that loses too much energy is left out."""
    path = FOLDER / 'ageing_nbody.ecsv'
    for seed in range(MODELS[name][2]):
        table = stored('ageing_nbody') if path.exists() else None
        if table is not None and np.any((table['model'] == name) & (table['seed'] == seed)):
            continue
        rows = []
        try:
            for row in direct_rows(name, seed):
                rows.append(row)
                print(', '.join(f'{key} {value:.4g}' if isinstance(value, float) else f'{key} {value}'
                                for key, value in row.items()), flush=True)
        except EnergyError as error:
            print(f'seed {seed} of {name} ends after {rows[-1]["age"]:g} Myr: {error}', flush=True)
            if rows[-1]['age'] < LATE:
                continue
        # others may have written in the meantime
        table = [stored('ageing_nbody')] if path.exists() else []
        table = vstack([*table, rounded(rows)], metadata_conflicts='silent')
        table.sort(['model', 'seed', 'age'])
        store('ageing_nbody', table, title='Direct integrations of ageing stars: Myr, pc; binding: of the '
              'tightest pair, in kT = 1/(6 N); energy_error: relative')


# ---------------------------------------------------------------- Monte Carlo


def monte_carlo_rows(name, seed, gamma, draw):
    """Rows of one run of the simulator, with the stars of that seed."""
    initial = initial_conditions(model(name, seed))
    sim = Simulation(model(name, 1000 * (draw + 1) + seed).replace(coulomb_gamma=gamma), initial=initial)
    tracks = StellarEvolution(sim.model.metallicity)
    for age in AGES:
        sim.advance_to(age)
        stars = sim.snapshot().stars
        left, radius = masses(tracks, initial.mass, age), stars['radius'].to_value(u.pc)
        row = radii(radius, stars['mass'].to_value(u.Msun), initial.mass[stars['id']],
                    initial.mass[left > 0.0], left.sum())
        yield {'model': name, 'gamma': gamma, 'seed': seed, 'draw': draw, 'age': age, **row,
               ANISOTROPY: anisotropy(stars[radius < row['r_90']])}


def monte_carlo():
    rows = []
    for name, (*_, seeds, draws) in MODELS.items():
        for gamma in GAMMAS:
            for seed in range(seeds):
                for draw in range(draws):
                    rows += monte_carlo_rows(name, seed, gamma, draw)
            print(f'{name}, gamma = {gamma}: done', flush=True)
    store('ageing', rounded(summary(rows)),
          title='Monte Carlo runs of ageing stars, means and scatter of the runs of each seed: Myr, pc')


def summary(rows):
    """Rows of means over the runs of each seed, and their scatter."""
    keys, columns = ['model', 'gamma', 'seed', 'age'], [*COLUMNS, ANISOTROPY]
    table = Table(rows=rows).group_by(keys)
    return [{**{key: group[key][0] for key in keys}, **{name: np.mean(group[name]) for name in columns},
             **{f'{name}_scatter': np.std(group[name], ddof=1) for name in columns}}
            for group in table.groups]


# ---------------------------------------------------------------- comparison


def comparable(name):
    """Both stored tables of a model, of the seeds whose direct integration went farthest."""
    ours, theirs = (table[table['model'] == name] for table in (stored('ageing'), stored('ageing_nbody')))
    if len(theirs):
        seeds = theirs['seed'][theirs['age'] == np.max(theirs['age'])]
        ours, theirs = (table[np.isin(table['seed'], seeds)] for table in (ours, theirs))
    return ours, theirs


def late_means(table, seeds, ages, columns=COLUMNS):
    """Means of the late ages, one row a seed: (seeds, columns)."""
    late = table[(table['age'] >= LATE) & np.isin(table['age'], ages)]
    return np.array([[np.mean(late[name][late['seed'] == seed]) for name in columns] for seed in seeds])


def relative_differences(name, own, reference, seeds, ages):
    """Differences (ours over the reference, minus 1), one row a seed, and the error of their mean.

    One seed says nothing of its error: there it is the scatter of the Monte Carlo runs, which a direct
    integration has as well.
    """
    relative = late_means(own, seeds, ages) / reference - 1.0
    if len(seeds) > 1:
        return relative, relative.std(axis=0, ddof=1) / np.sqrt(len(seeds))
    scatter = late_means(own, seeds, ages, [column + '_scatter' for column in COLUMNS])
    return relative, (scatter / reference)[0] * np.sqrt(1.0 + 1.0 / MODELS[name][3])


def report(name, ours, theirs):
    """Print both, and the differences seed by seed in units of their error."""
    seeds, ages = np.unique(theirs['seed']), np.unique(theirs['age'])
    reference = late_means(theirs, seeds, ages)
    print(f'{name}: means from {LATE:g} to {ages[-1]:g} Myr, {len(seeds)} seeds; largest energy error of '
          f'N-body {np.max(np.abs(theirs["energy_error"])):.1e}')
    print('           ' + ''.join(f'{column:>19}' for column in COLUMNS) + '     chi^2')
    print('N-body     ' + ''.join(f'{value:19.3f}' for value in reference.mean(axis=0))
          + f'     anisotropy {late_means(theirs, seeds, ages, [ANISOTROPY]).mean():+.3f}')
    for gamma in GAMMAS:
        own = ours[ours['gamma'] == gamma]
        relative, error = relative_differences(name, own, reference, seeds, ages)
        z = relative.mean(axis=0) / error
        print(f'{gamma:<11g}' + ''.join(f'{100 * m:+9.1f} % {s:+5.1f} s' for m, s in
                                        zip(relative.mean(axis=0), z)) + f'{np.sum(z ** 2):10.1f}'
              + f'     anisotropy {late_means(own, seeds, ages, [ANISOTROPY]).mean():+.3f}')


def draw(ours, theirs):
    fig, axes = figure(2)
    for axis, names in zip(axes, (tuple(FRACTIONS), tuple(GROUPS))):
        for k, name in enumerate(names):
            mean, error = (np.array([f(theirs[name][theirs['age'] == age]) for age in AGES]) for f in
                           (np.mean, lambda x: np.std(x, ddof=1) / np.sqrt(len(x))))
            axis.fill_between(AGES, mean - error, mean + error, color=COLOURS[k], alpha=0.3, lw=0,
                              label=f'N-body, {name}')
            for gamma, dash in ((0.05, '-'), (0.02, ':')):
                own = ours[ours['gamma'] == gamma]
                axis.plot(AGES, [np.mean(own[name][own['age'] == age]) for age in AGES], color=COLOURS[k],
                          ls=dash, label=f'{name}, $\\gamma$ = {gamma}')
        axis.set(xlabel='age [Myr]', xlim=(0, AGES[-1]))
        axis.legend(fontsize=7, loc='upper left', ncol=len(names), columnspacing=1.0, handlelength=1.5)
    axes[0].set(ylabel='radius of 10, 50, 90 % of the mass [pc]', yscale='log', ylim=(0.6, 150))
    axes[1].set(ylabel='radius of half of the stars [pc]', ylim=(2, 9))
    save_figure(fig, 'ageing')


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', nargs='?', choices=['direct'], help='make the reference')
    parser.add_argument('--model', choices=list(MODELS), default='narrow', help='of the reference')
    parser.add_argument('--draw', action='store_true', help='only draw and print what is stored')
    args = parser.parse_args()
    if args.what == 'direct':
        direct(args.model)
        return
    if not args.draw:
        monte_carlo()
    for name in MODELS:
        ours, theirs = comparable(name)
        if len(theirs):
            report(name, ours, theirs)
    draw(*comparable('narrow'))


if __name__ == '__main__':
    main()
