#!/usr/bin/env python
# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Models of the CMC Cluster Catalog (Kremer+ 2020), simulated again with pidoc.

    python benchmarks/cmc_catalogue.py FILE                         # all eight, half an hour of one core
    python benchmarks/cmc_catalogue.py FILE --models N2-RV2-RG8-Z0.1
    python benchmarks/cmc_catalogue.py --draw                       # print the stored results

FILE is a table of the catalogue's models at several ages, made from the tables that came with Rui+ (2021,
ApJ 912, 102): columns model, n_objects, virial_radius [pc], galactocentric [kpc], Z, age [Gyr], mass,
mass_bh, l_bol, l_v, half_light_radius (projected), sigma_core, sigma_half (1-D dispersions at a tenth of it
and at it), n_wd, n_ns, n_bh.

The models: King profiles of W0 = 5, Kroupa (2001) from 0.08 to 150 Msun, 5 % primordial binaries, rapid
explosions with fallback, circular orbits at 220 km/s, Reimers' mass loss with eta = 0.5. That is what ours
begin with, and the Coulomb logarithm is theirs, ln(0.01 N). Everything else (escape, steps) is our default.
Light in V is that of black bodies, as in the release. Each model is run once, theirs were too: the half-light
radius of a cluster with so few bright giants and the number of the last black holes have a noise that no code
can avoid.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.modeling.physical_models import BlackBody
from astropy.table import Table, vstack
from common import table

from pidoc import ClusterModel
from pidoc.cluster.quantities import half_separation, share_within, sight_moment
from pidoc.photometry import effective_temperature
from pidoc.simulation import Simulation
from pidoc.units import SOLAR_TEFF

STORED = Path(__file__).resolve().parents[1] / 'docs' / 'validation' / 'cmc-catalogue.ecsv'
AGE = 12.0            # Gyr
#: N 2 to 8 x 10^5, three metallicities, tides of 2, 8 and 20 kpc, virial radii of 1 to 4 pc.
MODELS = ('N2-RV1-RG20-Z0.01', 'N2-RV2-RG8-Z0.1', 'N2-RV2-RG20-Z1.0', 'N2-RV4-RG20-Z0.01',
          'N4-RV2-RG2-Z0.1', 'N4-RV2-RG20-Z1.0', 'N4-RV4-RG8-Z0.1', 'N8-RV2-RG20-Z0.1')
#: Half-mass over virial radius of a King model of W0 = 5.
HALF_MASS_RADIUS = 0.815
BINARY_FRACTION = 0.05
#: gamma of ln(gamma N) in CMC (Rodriguez+ 2022); with our 0.05, relaxation would be 17 to 19 % faster here.
COULOMB_GAMMA = 0.01
GIANT, BRIGHTEST_DWARF = (2, 10), 0.6     # types of giants; lightest dwarf with a measured velocity [Msun]
#: Column: (what is asked, by what factor it may differ).
AIMS = {'mass': 1.04, 'half_light_radius': 1.08, 'sigma_core': 1.05, 'm_to_l': 1.06, 'n_bh': 1.5}
COLUMNS = ('mass', 'n_wd', 'n_ns', 'n_bh', 'mass_bh', 'l_bol', 'l_v', 'm_to_l', 'half_light_radius',
           'sigma_core', 'sigma_half')


def cluster_model(row, seed=0):
    """The initial conditions of one model of the catalogue."""
    return ClusterModel(
        name=str(row['model']), n_stars=round((1.0 + BINARY_FRACTION) * row['n_objects']),
        binary_fraction=BINARY_FRACTION, profile='king', king_w0=5.0,
        half_mass_radius=HALF_MASS_RADIUS * row['virial_radius'] * u.pc, metallicity=float(row['Z']),
        imf='kroupa2001', mass_limits=[0.08, 150] * u.Msun, galaxy='logarithmic',
        galactocentric_distance=row['galactocentric'] * u.kpc, natal_kicks='rapid', giant_mass_loss=0.5,
        coulomb_gamma=COULOMB_GAMMA, seed=seed)


def visual_share(temperature):
    """Share of its light that a black body sends out in V, over that of the Sun (V: 505 to 595 nm)."""
    wave = np.linspace(505.0, 595.0, 31) * u.nm

    def share(kelvin):
        flux = BlackBody(kelvin * u.K)(wave[:, None]) / wave[:, None] ** 2
        return np.trapezoid(flux.value, wave.value, axis=0) / kelvin ** 4

    return share(np.atleast_1d(temperature)) / share(np.array([SOLAR_TEFF]))


def measured(snapshot):
    """What the catalogue says of a cluster, of one of ours."""
    stars = snapshot.stars
    order = np.argsort(stars['radius'].value)
    kind, mass = np.asarray(stars['kind'])[order], stars['mass'].to_value(u.Msun)[order]
    radius, v_r, v_t = (stars[name].value[order] for name in ('radius', 'v_r', 'v_t'))
    bolometric = stars['luminosity'].to_value(u.Lsun)[order]
    shines = kind < 13
    size = stars['stellar_radius'].to_value(u.Rsun)[order]
    light = np.zeros(kind.size)
    kelvin = effective_temperature(bolometric[shines] * u.Lsun, size[shines] * u.Rsun).value
    light[shines] = bolometric[shines] * visual_share(kelvin)
    half = half_separation(radius, light)
    bright = ((kind >= GIANT[0]) & (kind < GIANT[1])) | ((kind < GIANT[0]) & (mass > BRIGHTEST_DWARF))
    motion = [column[bright] for column in (radius, v_r, v_t)]
    remnants = {f'n_{name}': int(np.sum(np.isin(kind, kinds)))
                for name, kinds in {'wd': (10, 11, 12), 'ns': (13,), 'bh': (14,)}.items()}
    return {'mass': mass.sum(), 'mass_bh': mass[kind == 14].sum(), 'l_bol': bolometric[shines].sum(),
            'l_v': light.sum(), 'm_to_l': mass.sum() / light.sum(),
            'm_to_l_dwarfs': mass.sum() / light[kind < GIANT[0]].sum(), 'half_light_radius': half,
            'sigma_core': dispersion(motion, 0.05 * half, 0.15 * half),
            'sigma_half': dispersion(motion, 0.8 * half, 1.2 * half), **remnants}


def dispersion(motion, inner, outer):
    """One-dimensional dispersion [km/s] between two separations on the sky, over all directions."""
    square, share = (np.sum(f(*columns, outer)) - np.sum(f(*columns, inner))
                     for f, columns in ((sight_moment, motion), (share_within, motion[:1])))
    return float(np.sqrt(square / share))


def simulated(row):
    """One model to the age of its row: a row of ours."""
    start = time.process_time()
    simulation = Simulation(cluster_model(row))
    simulation.advance_to(1e3 * row['age'])
    found = {name: float(f'{value:.5g}') if isinstance(value, float) else value
             for name, value in measured(simulation.snapshot()).items()}
    return {'model': str(row['model']), 'age': float(row['age']), **found, 'steps': simulation.steps,
            'energy_error': float(f'{simulation.energy_error:.1e}'),
            'cpu': round(time.process_time() - start)}


def catalogue(path):
    """Rows of the catalogue closest to `AGE`: name -> row."""
    rows = Table.read(path, format='ascii.ecsv')
    rows['m_to_l'] = rows['mass'] / rows['l_v']
    return {name: min((row for row in rows if row['model'] == name), key=lambda row: abs(row['age'] - AGE))
            for name in MODELS}


def store(row, theirs):
    """Put a row into the stored table, in place of an earlier one."""
    row = row | {f'cmc_{name}': float(f'{theirs[name]:.5g}') for name in COLUMNS}
    fresh = Table(rows=[row])
    if STORED.exists():
        old = Table.read(STORED, format='ascii.ecsv')
        fresh = vstack([old[old['model'] != row['model']], fresh], metadata_conflicts='silent')
    fresh.sort('model')
    fresh.meta = {'title': f'Models of the CMC Cluster Catalog at about {AGE:g} Gyr: ours, and theirs (cmc_)'}
    temporary = STORED.with_suffix('.tmp')
    fresh.write(temporary, format='ascii.ecsv', overwrite=True)
    os.replace(temporary, STORED)


def report():
    """Print ratios of ours to theirs, and how many are as asked."""
    rows = Table.read(STORED, format='ascii.ecsv')
    print('ours / CMC; black holes: ours and theirs')
    ratios = [name for name in COLUMNS if name not in ('n_bh', 'mass_bh')]
    line = table([('model', '20s'), *((name, '9.3f') for name in ratios), ('n_bh', '9s'), ('steps', '6d'),
                  ('cpu', '5d')])
    for row in rows:
        line(row['model'], *(row[name] / row[f'cmc_{name}'] for name in ratios),
             f'{row["n_bh"]} {row["cmc_n_bh"]:.0f}', row['steps'], row['cpu'])
    print()
    line = table([('quantity', '18s'), *((name, '7s') for name in ('median', 'scatter', 'asked', 'within'))])
    for name, factor in AIMS.items():
        some = rows[rows[f'cmc_{name}'] > 0]
        ratio = np.log(np.maximum(some[name], 1) / some[f'cmc_{name}'])
        within = int(np.sum(np.abs(ratio) <= np.log(factor)))
        line(name, f'{np.expm1(np.median(ratio)):+.1%}', f'{np.std(ratio):.1%}', f'{factor - 1.0:.0%}',
             f'{within} of {len(some)}')


def main(args=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('file', nargs='?', help='the table of the catalogue (ECSV)')
    parser.add_argument('--models', nargs='+', choices=MODELS, default=MODELS, metavar='NAME')
    parser.add_argument('--draw', action='store_true', help='only print what is stored')
    options = parser.parse_args(args)
    if not options.draw:
        if options.file is None:
            parser.error('the table of the catalogue is needed, or --draw')
        theirs = catalogue(options.file)
        for name in options.models:
            store(simulated(theirs[name]), theirs[name])
            print(name, 'done', flush=True)
    report()


if __name__ == '__main__':
    main()
