#!/usr/bin/env python
"""Effect of physics that the training lacks: ``python benchmarks/other_physics.py SET FOLDER``.

For each uncertain ingredient of the simulations, the mass function at birth, the wind of giants, the kicks of
remnants and the rate of relaxation, two small networks are trained: one on the clusters of either end of its
range. Both are scored on the same maps of the test part, those older than 9 Gyr of one end, for each end:
once by the network of that end and once by the network of the other. Printed are the median error and the
median bias of the mass in the field, and the coverage of its 68 and 95 % intervals, from what is given.
Networks are calibrated on the validation part of their own end. Can be interrupted and resumed.
"""

import numpy as np
from astropy.table import Table
from common import parser_of_trainings

from pidoc.evaluation.report import channels_of, known_values
from pidoc.training import Selection, Settings, train
from pidoc.training_set.dataset import TrainingSet
from pidoc.training_set.truths import truths

GIVEN = 'image', 'distance', 'distance+age+metallicity', 'distance+age+metallicity+velocity_dispersion'
OLD = 9.0     # Gyr


def _eta(table, models):
    """Reimers' eta of each map, whose stars may be another population."""
    own = np.array([models[name].giant_mass_loss for name in table['simulation']])
    other = np.asarray(table['population_giant_mass_loss'], dtype=float)
    return np.where(np.isfinite(other), other, own)


def _of_model(field):
    return lambda table, models: np.array([getattr(models[name], field) for name in table['simulation']])


#: ingredient: (value of each map, names of the ends and whether a value belongs to them)
INGREDIENTS = {
    'mass function': (lambda table, models: np.array([str(models[name].imf) for name in table['simulation']]),
                      {'Kroupa': lambda imf: imf == 'kroupa2001',
                       'Baumgardt': lambda imf: imf == 'baumgardt2023'}),
    'wind of giants': (_eta, {'eta < 0.25': lambda eta: eta < 0.25, 'eta > 0.35': lambda eta: eta > 0.35}),
    'kicks': (_of_model('natal_kicks'), {'delayed': lambda kicks: kicks == 'delayed',
                                         'full': lambda kicks: kicks == 'full'}),
    'relaxation': (_of_model('coulomb_gamma'), {'gamma < 0.02': lambda gamma: gamma < 0.02,
                                                'gamma > 0.04': lambda gamma: gamma > 0.04}),
}


def ends_of(maps, ingredient):
    """Name of an end -> its maps."""
    models = {name: model for name, (model, _) in maps.recipe.models.items()}
    value, ends = INGREDIENTS[ingredient]
    values = value(maps.table, models)
    return {name: maps[np.flatnonzero(inside(values))] for name, inside in ends.items()}


def simulations(maps, split):
    return len(set(maps.split(split).table['simulation']))


def settings_of(maps, options):
    """As for ``default``, but shorter and narrower."""
    number = min(options.maps, len(maps.split('train')))
    epochs = max(1, round(options.epochs * options.maps / number))
    return Settings(epochs=epochs, patience=epochs, precision=options.precision, widths=(16, 32, 64, 96),
                    dropout=0.3, weight_decay=0.02, turns=4, train_maps=Selection(number=number))


def scores(estimator, maps, given):
    """Median error and bias [%], and coverage [%] of the 68 and 95 % intervals, of the mass in the field."""
    true = truths(maps.table)
    known = known_values(true, given, estimator.constraints)
    rows = np.arange(len(maps))
    light = channels_of(estimator, maps, rows, np.asarray(maps.light(rows)))
    mass = estimator.estimate(light, known=known, pixel_scale=maps.pixel_scales).scalars['total_mass']
    off, true = mass.value / true['total_mass'] - 1.0, true['total_mass']
    inside = [np.mean((low <= true) & (true <= high))
              for low, high in ((mass.low_68, mass.high_68), (mass.low_95, mass.high_95))]
    return [100.0 * each for each in (np.median(np.abs(off)), np.median(off), *inside)]


def old_test_maps(maps):
    """Those of which all that may be given is known."""
    test = maps.split('test')
    true = truths(test.table)
    return test[np.flatnonzero((true['age'] > OLD) & np.isfinite(true['velocity_dispersion']))]


def main():
    options = parser_of_trainings(__doc__, INGREDIENTS, maps=5000).parse_args()
    maps = TrainingSet.read(options.set)
    names = 'error', 'bias', 'share_68', 'share_95'
    table = Table(names=['ingredient', 'scored', 'trained', 'given', 'n', *names],
                  dtype=['U20', 'U20', 'U20', 'U60', int, *[float] * len(names)])
    for ingredient in options.only:
        ends = ends_of(maps, ingredient)
        networks = {}
        for name, its in ends.items():
            folder = f'{ingredient} {name}'.replace(' ', '_').replace('<', 'to').replace('>', 'from')
            networks[name] = train(its, options.folder / folder, settings=settings_of(its, options))
        for scored, its in ends.items():
            chosen = old_test_maps(its)
            print(f'{ingredient}, {scored}: {simulations(its, "train")} clusters to learn from, '
                  f'{simulations(its, "test")} in the test, {len(chosen)} maps', flush=True)
            for given in GIVEN:
                for trained, network in networks.items():
                    found = scores(network, chosen, given)
                    table.add_row([ingredient, scored, trained, given, len(chosen), *found])
                    print(f'  {given:52} trained on {trained:13}'
                          + ' '.join(f'{value:6.1f}' for value in found), flush=True)
        table.write(options.folder / 'scores.ecsv', overwrite=True)


if __name__ == '__main__':
    main()
