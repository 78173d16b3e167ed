#!/usr/bin/env python
"""How often a model flags images: those of its test simulations, and of clusters that are too bright.

``python benchmarks/domain.py MODEL SET``: shares of the maps of the test part that are flagged, as they are;
and with all light times ten, first of all maps (most of them then look like other, younger or richer clusters
of the training), then of those that are by this brighter at their distance than the training: than the upper
end of the model's range of luminosities. Each from the image only and with the distance given.
"""

import argparse

import numpy as np
from astropy import units as u

from pidoc import MassMapper
from pidoc.inference.features import features
from pidoc.inference.flags import OUTSIDE
from pidoc.training_set.dataset import TrainingSet


def flagged(domain, light, table, given):
    """Which maps are outside."""
    distance = table['distance'].to_value(u.kpc) if given else None
    measured = features(light, seeing=table['seeing'].to_value(u.arcsec), distance=distance)
    return np.array([bool(verdict.flags & OUTSIDE) for verdict in domain.check(measured)])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', help='name or folder of a model')
    parser.add_argument('set', help='folder of its training set')
    parser.add_argument('--maps', type=int, default=2000, help='of the test part, evenly through it')
    options = parser.parse_args()
    domain = MassMapper.from_pretrained(options.model).domain
    maps = TrainingSet.read(options.set).split('test')
    maps = maps[np.unique(np.linspace(0, len(maps) - 1, options.maps).astype(int))]
    light, table = maps.light(), maps.table
    # ranges are of its logarithm
    brightest = 10.0 ** domain.ranges['luminosity'][1]
    beyond = 10.0 * table['luminosity'].to_value(u.Lsun) > brightest
    print(f'{len(maps)} maps; ten times as bright, {np.count_nonzero(beyond)} are brighter than '
          f'{brightest:.3g} Lsun, the end of the range of {options.model}')
    for given in (False, True):
        usual, bright = (flagged(domain, factor * light, table, given) for factor in (1.0, 10.0))
        print(f'distance {"given" if given else "not given":9}: as they are {100 * usual.mean():5.1f} %, '
              f'ten times as bright {100 * bright.mean():5.1f} %, of these brighter than any '
              f'{100 * bright[beyond].mean():5.1f} %')


if __name__ == '__main__':
    main()
