#!/usr/bin/env python
# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The mass of an image by the age and the [Fe/H] that are given, beside the M/L of populations.

    python benchmarks/known.py                    # the packaged model and example; some seconds
    python benchmarks/known.py --model models/mine

For the same light the mass should change with a given age or [Fe/H] as M/L of a population does. Printed are
both, relative to those of the example, and their ratio. The posterior is a mixture of normal distributions,
in which ln M/L is linear in the scales of age and [Fe/H] (`pidoc.networks.variables.SCALES`); a model with a
`pidoc.inference.curvature.Curvature` adds what that misses.
"""

import argparse
import logging

from astropy import units as u
from common import table

from pidoc import example, MassMapper
from pidoc.cluster.population import population_mass_to_light
from pidoc.mock.mock import Mock
from pidoc.photometry import iron_abundance

METALLICITIES = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 4e-3, 7e-3, 1e-2)
AGES = (9.0, 10.0, 11.0, 12.0, 13.0, 13.5)       # Gyr
PRECISE = {'age_error': 0.2 * u.Gyr, 'metallicity_error': 0.05, 'distance_error': 0.1 * u.kpc}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--model', default='default')
    model = parser.parse_args().model
    logging.disable(logging.WARNING)
    mapper, mock = MassMapper.from_pretrained(model), Mock.read(example())
    own = {'age': mock.age, 'metallicity': float(mock.header['METALZ'])}

    def mass(age, metallicity):
        given = {'age': age, 'metallicity': float(iron_abundance(metallicity)), **PRECISE}
        return mapper.predict(mock, distance=mock.distance, **given).total_mass.value

    first = mass(**own), population_mass_to_light(**own).value
    row = table([('given', '>12s'), ('mass', '8.2f'), ('population', '8.2f'), ('ratio', '8.2f')])
    cases = [({'metallicity': each}, f'{float(iron_abundance(each)):+.2f}') for each in METALLICITIES]
    cases += [({'age': age * u.Gyr}, f'{age:g} Gyr') for age in AGES]
    for changes, name in cases:
        found = mass(**{**own, **changes}) / first[0]
        expected = population_mass_to_light(**{**own, **changes}).value / first[1]
        row(name, found, expected, found / expected)


if __name__ == '__main__':
    main()
