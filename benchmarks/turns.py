#!/usr/bin/env python
"""What looking at each map in several orientations brings: ``python benchmarks/turns.py MODEL SET``.

Mean absolute errors on the validation part, for 1, 2, 4 and 8 orientations, from the image only and with
the distance given to 2 %: of ln M of pixels above 0.1 Msun, of ln of the mass in the field, of ln of M/L,
of the square root of the age [Gyr] and of ln of the distance; and the time of a map.
"""

import argparse
import time

import numpy as np
from astropy import units as u

from pidoc import MassMapper
from pidoc.networks.scaling import block_mean, soft_log
from pidoc.training_set.dataset import TrainingSet

FAINTEST = 0.1     # Msun per pixel


def truth(maps, scaling):
    """Compressed masses in blocks, and the scalars, of all maps."""
    mass = np.concatenate([block_mean(maps.mass(slice(k, k + 256)), scaling.block)
                           for k in range(0, len(maps), 256)])
    table = maps.table
    total, light = table['mass'].to_value(u.Msun), table['luminosity'].to_value(u.Lsun)
    scalars = [np.log(total), np.log(total / light), np.sqrt(table['age'].to_value(u.Gyr)),
               np.log(table['distance'].to_value(u.kpc))]
    return soft_log(mass, scaling.mass_floor), mass > FAINTEST, np.stack(scalars, axis=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', help='name or folder of a model')
    parser.add_argument('set', help='folder of its training set')
    options = parser.parse_args()
    estimator = MassMapper.from_pretrained(options.model).estimator
    maps = TrainingSet.read(options.set).split('validation')
    block = estimator.scaling.block
    light = np.concatenate([block_mean(maps.light(slice(k, k + 256)), block)
                            for k in range(0, len(maps), 256)])
    log_mass, bright, scalars = truth(maps, estimator.scaling)
    distance = np.exp(scalars[:, 3])
    given = distance * np.exp(0.02 * np.random.default_rng(0).normal(size=distance.size))
    print(f'{"turns":5} {"distance":9} {"pixels":>7} {"mass":>7} {"M/L":>7} {"age":>7} {"d":>7} {"ms":>7}')
    for turns in (1, 2, 4, 8):
        looking = estimator.replace(turns=turns)
        for mode, told in (('not given', None), ('given', given)):
            begin = time.perf_counter()
            found, _, mean, _ = looking.raw(light, distance=told, batch_size=256)
            took = 1e3 * (time.perf_counter() - begin) / len(light)
            errors = np.abs(mean - scalars).mean(axis=0)
            print(f'{turns:5d} {mode:9} {np.abs(found - log_mass)[bright].mean():7.4f} '
                  + ' '.join(f'{error:7.4f}' for error in errors) + f' {took:7.2f}')


if __name__ == '__main__':
    main()
