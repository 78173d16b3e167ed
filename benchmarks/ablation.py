#!/usr/bin/env python
"""Effect of each choice in the training of our network: ``python benchmarks/ablation.py SET FOLDER``.

Trains one small network for each variant, all with the same numbers of training maps and steps, and scores
them on the validation part, never on the test part; can be interrupted and resumed. Mean absolute errors,
from the image only and with the distance given to 2 %: of ln M of pixels above 0.1 Msun, of ln of the mass in
the field, of ln of M/L, of the age [Gyr] and of ln of the distance; of ln of the sum of the mass map, and the
difference between it and the predicted mass. ``plain`` has two seeds: differences smaller than theirs are not
significant.
"""

import numpy as np
from astropy.table import Table
from common import parser_of_trainings, prediction_errors

from pidoc.training import Selection, Settings, train
from pidoc.training_set.dataset import TrainingSet

COLUMNS = ('pixels', 'mass', 'M/L', 'age', 'distance', 'sum', 'apart')

# the smallest and the largest cluster of paper-range, about as in the paper's Table 1
TWO_CLUSTERS = {'simulations': ('train-R1.6-17', 'train-R4-18')}
# within 8 % of the distances of the paper [kpc]
FIVE_DISTANCES = {'distances': tuple((d * np.exp(-0.08), d * np.exp(0.08))
                                     for d in (10.0, 25.0, 50.0, 75.0, 100.0))}
NO_YOUNG = {'ages': ((0.1, 20.0),)}     # Gyr

#: name: (description, selection of training maps, settings)
VARIANTS = {
    'plain': ('as the packaged models, but smaller', {}, {}),
    'plain-seed1': ('the same with another seed', {}, {'seed': 1}),
    'members2': ('two networks', {}, {'members': 2}),
    'turns4': ('four orientations at prediction', {}, {'turns': 4}),
    'no-turns': ('no data augmentation', {}, {'orientations': 1}),
    'two-clusters': ('maps of two clusters only', TWO_CLUSTERS, {}),
    'five-distances': ('maps at the five distances of the paper', FIVE_DISTANCES, {}),
    'no-young': ('no maps before 100 Myr', NO_YOUNG, {}),
    'beta0': ('the likelihood itself (beta = 0)', {}, {'beta': 0.0}),
    'beta1': ('means as with least squares (beta = 1)', {}, {'beta': 1.0}),
    'block8': ('blocks of 8 x 8 pixels', {}, {'block': 8, 'widths': (24, 48, 96)}),
    'narrow': ('half as many channels', {}, {'widths': (12, 24, 48, 64)}),
    'wide': ('half as many channels more', {}, {'widths': (36, 72, 144, 192)}),
    'by-network': ('the network sees the distance', {}, {'constraints': ('distance', 'seeing')}),
    'map-only': ('map head alone', {}, {'loss_weights': (1.0, 0.0)}),
    'scalars-only': ('head of scalars alone', {}, {'loss_weights': (0.0, 1.0)}),
    'no-ties': ('scalars as they are, not what physics leaves over of them', {}, {'ties': False}),
    'pooled': ('and standardised together', {}, {'pooled': True, 'ties': False}),
    'log': ('logarithms, cut at the floor, not arcsinh', {}, {'compression': 'logarithm'}),
    'distance-itself': ('d in place of ln d', {}, {'distance_scale': 'linear'}),
    'sharp': ('light before the smoothing too', {}, {'channels': ('light', 'sharp')}),
    'one-component': ('a single normal distribution', {}, {'components': 1}),
    'diagonal': ('and no covariance', {}, {'components': 1, 'covariance': 'diagonal'}),
}


# -- training and scores ----------------------------------------------------------------------------


def settings_of(name, maps, options):
    """Settings of a variant: all train in as many steps."""
    _, chosen, changes = VARIANTS[name]
    selection = Selection(**chosen, number=options.maps)
    number = len(selection.rows(maps.split('train').table))
    epochs = max(1, round(options.epochs * options.maps / max(1, number)))
    return Settings(epochs=epochs, patience=epochs, precision=options.precision, train_maps=selection,
                    validation_maps=Selection(number=options.validation), **changes)


def scores(estimator, maps):
    """Errors from the image only and with the distance given, in the order of COLUMNS."""
    return [error for given in ('image', 'distance')
            for error in prediction_errors(estimator, maps, given)[:len(COLUMNS)]]


def main():
    parser = parser_of_trainings(__doc__, VARIANTS, maps=3000)
    parser.add_argument('--validation', type=int, default=1500, help='maps of the validation part')
    options = parser.parse_args()
    maps = TrainingSet.read(options.set)
    checked = maps.split('validation')
    checked = checked[Selection(number=options.validation).rows(checked.table)]
    names = [*COLUMNS, *(f'{name}, d' for name in COLUMNS)]
    table = Table(names=['variant', 'what', *names], dtype=['U20', 'U60', *[float] * len(names)])
    for name in options.only:
        estimator = train(maps, options.folder / name, settings=settings_of(name, maps, options))
        found = scores(estimator, checked)
        table.add_row([name, VARIANTS[name][0], *found])
        table.write(options.folder / 'scores.ecsv', overwrite=True)
        print(f'{VARIANTS[name][0]:44} ' + ' '.join(f'{value:7.4f}' for value in found), flush=True)


if __name__ == '__main__':
    main()
