#!/usr/bin/env python
"""Effect of averaging over several orientations of each map: ``python benchmarks/turns.py MODEL SET``.

Mean absolute errors on the validation part, for 1, 2, 4 and 8 orientations, from the image only and with
the distance given to 2 %: of ln M of pixels above 0.1 Msun, of ln of the mass in the field, of ln of M/L,
of the age [Gyr] and of ln of the distance; and the time of a map.
"""

import argparse

from common import prediction_errors

from pidoc import MassMapper
from pidoc.training_set.dataset import TrainingSet


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', help='name or folder of a model')
    parser.add_argument('set', help='folder of its training set')
    options = parser.parse_args()
    estimator = MassMapper.from_pretrained(options.model).estimator
    maps = TrainingSet.read(options.set).split('validation')
    print(f'{"turns":5} {"given":9} {"pixels":>7} {"mass":>7} {"M/L":>7} {"age":>7} {"d":>7} {"ms":>7}')
    for turns in (1, 2, 4, 8):
        looking = estimator.replace(turns=turns)
        for given in ('image', 'distance'):
            *errors, _, _, took = prediction_errors(looking, maps, given)
            print(f'{turns:5d} {given:9} ' + ' '.join(f'{error:7.4f}' for error in errors) + f' {took:7.2f}')


if __name__ == '__main__':
    main()
