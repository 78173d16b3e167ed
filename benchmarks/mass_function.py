#!/usr/bin/env python
# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Masses of clusters whose mass function is flatter than that of any simulation.

    python benchmarks/mass_function.py RUNS [--model NAME]

RUNS is a folder of simulations that the model was not trained on, with snapshots at several ages. Of each
cluster older than 9 Gyr light stars are removed such that the slope of its mass function is larger by 0,
0.5 and 1 (`pidoc.cluster.Snapshot.repopulated`): those of the Milky Way have a median of -0.4, most
simulated ones are steeper (docs, Limits). They are seen at 3 to 30 kpc, in fields as predictions choose
them, without a sky. Printed are the median error and bias of the mass in the field, and the coverage of the
68 and 95 % intervals.
"""

import argparse
from pathlib import Path

import numpy as np
from astropy import units as u
from common import any_distance, interval_scores, seen_as_chosen, table

from pidoc import MassMapper, Snapshot
from pidoc.networks.variables import CONSTRAINTS
from pidoc.photometry import iron_abundance

FLATTENINGS = 0.0, 0.5, 1.0
OLD = 9.0 * u.Gyr
GIVEN = {'distance': ('distance',), 'age, [Fe/H]': ('distance', 'age', 'metallicity'),
         'slope': ('distance', 'age', 'metallicity', 'mass_function_slope'),
         'dispersion': ('distance', 'age', 'metallicity', 'velocity_dispersion'),
         'both': ('distance', 'age', 'metallicity', 'velocity_dispersion', 'mass_function_slope')}


def clusters(folder, rng, number):
    """Some old snapshots of each simulation."""
    for run in sorted(path for path in Path(folder).iterdir() if (path / 'snapshots').is_dir()):
        old = [path for path in sorted((run / 'snapshots').glob('*.fits')) if Snapshot.read(path).age > OLD]
        for path in rng.permutation(old)[:number]:
            yield Snapshot.read(path)


def measured(mapper, cluster, rng):
    """True mass in the field, slope, and the intervals for each choice of what is known."""
    distance, half = any_distance(rng), cluster.projected_half_light_radius
    mock, radius = seen_as_chosen(mapper, cluster, half.to_value(u.pc), distance, rng, direction='random')
    true = {'distance': distance, 'age': cluster.age.to_value(u.Gyr),
            'metallicity': iron_abundance(cluster.model.metallicity),
            'mass_function_slope': cluster.mass_function_slope()[0],
            'velocity_dispersion': cluster.velocity_dispersion(half).value}
    known = {}
    for name, value in true.items():
        error = CONSTRAINTS[name].default_error * rng.normal()
        value = value * np.exp(error) if CONSTRAINTS[name].relative else value + error
        value = min(value, 13.9) if name == 'age' else value
        known[name] = value * u.Unit(CONSTRAINTS[name].unit) if CONSTRAINTS[name].unit else value
    found = []
    for names in GIVEN.values():
        given = {name: known[name] for name in names}
        if 'velocity_dispersion' in given:
            given['dispersion_radius'] = radius
        prediction = mapper.predict(mock, **given)
        found.append((*prediction.total_mass.in_unit(u.Msun), prediction.in_domain))
    return mock.total_mass.to_value(u.Msun), true['mass_function_slope'], np.array(found, dtype=float)


def main(args=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', help='the folder of the simulations')
    parser.add_argument('--model', default='default')
    parser.add_argument('--number', type=int, default=6, help='snapshots of each (default: 6)')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args(args)
    mapper, rng = MassMapper.from_pretrained(options.model), np.random.default_rng(options.seed)
    found = {each: [] for each in FLATTENINGS}
    for cluster in clusters(options.runs, rng, options.number):
        for each, results in found.items():
            results.append(measured(mapper, cluster.repopulated(flattening=each), rng))
    line = table([('flatter by', '10.1f'), ('maps', '4d'), ('slope', '6.2f'),
                  *((f'{name}: error, bias, 68/95, inside', '32s') for name in GIVEN)])
    for each, results in found.items():
        true, slope, ours = (np.array(column) for column in zip(*results, strict=True))
        line(each, len(true), np.median(slope),
             *(interval_scores(true, mode) for mode in np.moveaxis(ours, 0, -1)))


if __name__ == '__main__':
    main()
