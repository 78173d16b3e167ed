#!/usr/bin/env python
# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""M/L_V of old stellar populations by mass function and tracks, without dynamics.

    python benchmarks/populations.py                           # a minute
    python benchmarks/populations.py --imf "-0.5 -2.3 @ 0.5"   # another one in addition
    python benchmarks/populations.py --correction reed1998     # the light of the paper

The mass function of stars of 0.1 to 50 Msun, integrated over the packaged tracks. Mass is that of living
stars and white dwarfs (or of living stars only): neutron stars and black holes, most of which leave at birth,
are excluded. For comparison: an earlier estimate with other tracks, at 12 Gyr, and the simple stellar
populations of Bruzual & Charlot (2003) with MILES spectra, whose mass is that of living stars. Then the
effect of the mass loss of giants (Reimers' eta) on M/L_V, and at 12.5 Gyr on the horizontal branch: its
fraction of V, the median temperature of its stars, and the mass they have lost. Galactic clusters: eta =
0.477 +- 0.070 (McDonald & Zijlstra 2015, MNRAS 448, 502); 0.1 to 0.3 Msun, more in metal-rich ones (Tailo et
al. 2021, MNRAS 503, 694).
"""

import argparse

import numpy as np
from astropy import units as u
from common import table

from pidoc.cluster.mass_function import mass_function
from pidoc.cluster.population import population_mass_to_light
from pidoc.photometry import CORRECTIONS, effective_temperature, light_at
from pidoc.stellar import StellarEvolution

AGES = (10.0, 12.0, 13.0)       # Gyr
GIANT_AGES = (9.0, 10.0, 12.0, 13.0, 14.0)
GIANT_METALLICITIES = (0.0002, 0.001, 0.002, 0.004, 0.01)
IMFS = ('kroupa2001', 'baumgardt2023')
ETAS = (0.1, 0.2, 0.3, 0.4, 0.5)
#: Z: M/L_V of the two mass functions at 12 Gyr in the first estimate
ESTIMATE = {0.0002: (2.02, 1.62), 0.001: (2.19, 1.72), 0.002: (2.72, 2.09), 0.01: (2.98, 2.16)}
#: Z: M/L_V of living stars in Bruzual & Charlot at AGES, Kroupa (2001)
BRUZUAL_CHARLOT = {0.0001: (1.41, 1.58, 1.66), 0.0004: (1.44, 1.59, 1.66), 0.004: (1.94, 2.20, 2.32),
                   0.008: (2.46, 2.79, 2.96), 0.02: (3.33, 3.87, 4.14)}
#: Cells of initial mass [Msun], fine where stars of such ages are giants.
EDGES = np.concatenate([np.geomspace(0.1, 0.7, 3000), np.linspace(0.7, 1.2, 200_000)[1:-1],
                        np.geomspace(1.2, 50.0, 3000)])
HORIZONTAL_BRANCH = 4


def mass_to_light(imf, metallicity, age, correction, eta=None, remnants=True):
    """M/L_V at an age [Gyr], with white dwarfs or of living stars alone."""
    return population_mass_to_light(age * u.Gyr, metallicity, imf=imf, remnants=remnants,
                                    correction=correction, giant_mass_loss=eta).value


def show_mass_functions(imfs, correction):
    """A row for each Z and age: M/L_V of each mass function, and the first estimate."""
    row = table([('Z', '7g'), ('Gyr', '4g'), *((imf, '8.2f') for imf in imfs), ('change', '7s'),
                 ('estimate', '12s')])
    for metallicity, estimate in ESTIMATE.items():
        for age in AGES:
            values = [mass_to_light(imf, metallicity, age, correction) for imf in imfs]
            row(metallicity, age, *values, f'{100 * (values[1] / values[0] - 1):+.0f} %',
                '{} -> {}'.format(*estimate) if age == 12.0 else '')


def show_living_stars(correction):
    """A row for each Z: M/L_V of living stars of Kroupa's mass function beside Bruzual & Charlot."""
    row = table([('Z', '7g'), *((f'{age:g} Gyr', '6.2f') for age in AGES),
                 *((f'BC03 {age:g}', '6.2f') for age in AGES), ('pidoc / BC03', '12s')])
    for metallicity, published in BRUZUAL_CHARLOT.items():
        values = [mass_to_light(IMFS[0], metallicity, age, correction, remnants=False) for age in AGES]
        row(metallicity, *values, *published,
            ' '.join(f'{value / other:.2f}' for value, other in zip(values, published, strict=True)))


def horizontal_branch(metallicity, age, correction, eta):
    """Share of V, median temperature [K] and mass lost by its stars [Msun], at an age [Gyr]."""
    middle = np.sqrt(EDGES[1:] * EDGES[:-1])
    stars = StellarEvolution(metallicity, giant_mass_loss=eta).state(middle, 1e3 * age)
    share = np.diff(mass_function(IMFS[0]).cumulative(EDGES, EDGES[0], EDGES[-1]))
    here = stars.kind == HORIZONTAL_BRANCH
    heat = effective_temperature(stars.luminosity * u.Lsun, stars.radius * u.Rsun).value
    light = light_at(stars, metallicity=metallicity, correction=correction).value
    lost = (middle - stars.mass)[here]
    return np.sum((share * light)[here]) / np.sum(share * light), np.median(heat[here]), lost.min()


def show_giants(correction):
    """A row for each Z and eta: M/L_V at several ages, and the horizontal branch of 12.5 Gyr."""
    row = table([('Z', '7g'), ('eta', '4g'), *((f'{age:g} Gyr', '7.2f') for age in GIANT_AGES),
                 ('V [%]', '6.1f'), ('T [K]', '6.0f'), ('lost', '6.3f')])
    for metallicity in GIANT_METALLICITIES:
        for eta in ETAS:
            values = [mass_to_light(IMFS[0], metallicity, age, correction, eta) for age in GIANT_AGES]
            share, heat, lost = horizontal_branch(metallicity, 12.5, correction, eta)
            row(metallicity, eta, *values, 100 * share, heat, lost)


def main(args=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--imf', action='append', default=[], type=mass_function,
                        help='another mass function, as of pidoc-simulate; may be given several times')
    parser.add_argument('--correction', choices=CORRECTIONS, default='kurucz1992')
    options = parser.parse_args(args)
    imfs = list(dict.fromkeys([*IMFS, *map(str, options.imf)]))
    print(f'M/L_V, living stars and white dwarfs, {options.correction}; change of the second mass function')
    show_mass_functions(imfs, options.correction)
    print(f'\nM/L_V, living stars, {IMFS[0]}, {options.correction}, and Bruzual & Charlot')
    show_living_stars(options.correction)
    print(f'\nM/L_V by eta, {IMFS[0]}, {options.correction}; the horizontal branch of 12.5 Gyr')
    show_giants(options.correction)


if __name__ == '__main__':
    main()
