#!/usr/bin/env python
# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Masses of clusters of another code, the CMC Cluster Catalog (Kremer+ 2020), from images with their light.

    python benchmarks/catalogue_masses.py FILE [--model NAME]

FILE is a table of the catalogue's models at several ages, with the columns of
``benchmarks/cmc_catalogue.py``. The catalogue has no positions of stars: an image is of stars drawn with the
age, the metallicity, the total light and the projected half-light radius of a model, from a King profile with
W0 = 6 and the mass function of Kroupa (2001). The light is the bolometric one of the catalogue times L_V / L
of our population of the same age and metallicity, since the V of the catalogue is that of black bodies. What
is known are its age and [Fe/H], its distance, its central dispersion and its projected half-light radius,
with the usual errors. Distances are drawn from 3 to 30 kpc, fields are 40 to 160" wide, as predictions choose
them. Asked for is the mass of the whole cluster. Models of Z = 0.02, above the training range, are counted
apart.
"""

import argparse

import numpy as np
from astropy import units as u
from astropy.table import Table
from common import any_distance, interval_scores, seen_as_chosen, table

from pidoc import ClusterModel, MassMapper
from pidoc.cluster.king import king_radius
from pidoc.cluster.snapshot import Snapshot
from pidoc.evaluation.envelope import Envelope, KNOWN_ERRORS
from pidoc.networks.variables import CONSTRAINTS
from pidoc.photometry import effective_temperature, iron_abundance, light_at
from pidoc.simulation.initial import kroupa_masses
from pidoc.stellar import StellarEvolution

KING_W0 = 6.0
CORE = 0.1                     # projected half-light radii, within which the dispersion is
RICH = 1e6                     # objects at birth: the border of the two bins
HIGHEST = 0.0101               # metallicity of the training range
LOWEST, HEAVIEST = 0.08, 150.0 # Msun
AGES = 11.5, 12.5              # Gyr
GIVEN = {'nothing': (), 'distance': ('distance',), 'and age, [Fe/H]': ('distance', 'age', 'metallicity'),
         'distance, dispersion': ('distance', 'velocity_dispersion'),
         'all four': ('distance', 'age', 'metallicity', 'velocity_dispersion'),
         'first three, radius': ('distance', 'age', 'metallicity', 'effective_radius'),
         'all four and radius': ('distance', 'age', 'metallicity', 'velocity_dispersion', 'effective_radius')}


def drawn(row, rng):
    """Stars of a model of the catalogue: a snapshot, and the luminosity in V [Lsun]."""
    years, metals = 1e3 * row['age'], float(row['Z'])
    tracks = StellarEvolution(metals)
    many = tracks.state(kroupa_masses(1_000_000, rng, lower=LOWEST, upper=HEAVIEST), years)
    number = int(row['l_bol'] / many.luminosity.mean())
    stars = tracks.state(kroupa_masses(number, rng, lower=LOWEST, upper=HEAVIEST), years)
    light = light_at(stars, metallicity=metals, correction='kurucz1992').value
    place = rng.normal(size=(3, number))
    place *= king_radius(rng.random(number), w0=KING_W0) / np.linalg.norm(place, axis=0)
    place *= row['half_light_radius'] / np.median(np.hypot(*place[:2]))
    columns = dict(zip('xyz', place * u.pc, strict=True)) | {
        'mass': stars.mass * u.Msun, 'luminosity': stars.luminosity * u.Lsun, 'kind': stars.kind,
        'temperature': effective_temperature(stars.luminosity * u.Lsun, stars.radius * u.Rsun)}
    snapshot = Snapshot(columns, row['age'] * u.Gyr, ClusterModel(metallicity=metals))
    return snapshot, float(light.sum())


def known_of(row, distance, rng):
    """What an observer knows, with errors: keyword arguments of a prediction."""
    off = {name: error * rng.normal() for name, error in KNOWN_ERRORS.items()}
    effective = np.degrees(row['half_light_radius'] / (1e3 * distance)) * 3600.0
    error = CONSTRAINTS['effective_radius'].default_error * rng.normal()
    return {'distance': distance * np.exp(off['distance']) * u.kpc,
            'age': min(row['age'] + off['age'], 13.9) * u.Gyr,
            'metallicity': iron_abundance(float(row['Z'])) + off['iron'],
            'velocity_dispersion': row['sigma_core'] * np.exp(off['dispersion']) * u.km / u.s,
            'dispersion_radius': max(CORE * effective, 2.0) * u.arcsec,
            'effective_radius': effective * np.exp(error) * u.arcsec}


def measured(row, mapper, rng):
    """Masses of one model: true; ours for each choice of what is known; the envelope's."""
    distance = any_distance(rng)
    snapshot, light = drawn(row, rng)
    mock, _ = seen_as_chosen(mapper, snapshot, row['half_light_radius'], distance, rng,
                             correction='kurucz1992')
    known = known_of(row, distance, rng)
    found = {}
    for title, names in GIVEN.items():
        extra = ('dispersion_radius',) if 'velocity_dispersion' in names else ()
        prediction = mapper.predict(mock, **{name: known[name] for name in (*names, *extra)})
        found[title] = (*prediction.cluster_mass.in_unit(u.Msun), prediction.in_domain)
    away = known['distance'].to_value(u.kpc)
    envelope = Envelope(None).masses(light / (4.0 * np.pi * distance**2), None, {
        'distance': away, 'dispersion': known['velocity_dispersion'].to_value(u.km / u.s),
        'radius': row['half_light_radius'] * away / distance, 'luminosity': light * (away / distance) ** 2})
    return row['mass'], found, envelope


def report(rows, results):
    """Errors of the mass in two bins, with coverage; models out of range apart."""
    true = np.array([each[0] for each in results])
    rich = np.array(rows['n_objects']) >= RICH
    inside = np.array(rows['Z']) < HIGHEST
    bins = (('up to 8e5', inside & ~rich), ('above', inside & rich), ('Z = 0.02', ~inside))
    print('models:', ', '.join(f'{name}: {np.count_nonzero(some)}' for name, some in bins))
    line = table([('known', '22s'), *((f'{name}: error, bias, 68/95, inside', '34s') for name, _ in bins)])
    for title in GIVEN:
        ours = np.array([found[title] for _, found, _ in results]).T
        line(title, *(interval_scores(true[some], ours[:, some]) for _, some in bins))
    for title in results[0][2]:
        off = np.array([envelope[title] for *_, envelope in results]) / true - 1.0
        line(title, *(f'{100 * np.median(np.abs(off[some])):3.0f} %, {100 * np.median(off[some]):+3.0f} %'
                      for _, some in bins))


def main(args=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('file', help='the table of the catalogue (ECSV)')
    parser.add_argument('--model', default='default')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args(args)
    rows = Table.read(options.file)
    rows = rows[(rows['age'] > AGES[0]) & (rows['age'] < AGES[1])]
    mapper = MassMapper.from_pretrained(options.model)
    results = []
    for k, row in enumerate(rows):
        results.append(measured(row, mapper, np.random.default_rng([options.seed, k])))
        true, found, _ = results[-1]
        print(f'{row["model"]}: {true:.3g}', *(f'{each[0]:.3g}' for each in found.values()), flush=True)
    report(rows, results)


if __name__ == '__main__':
    main()
