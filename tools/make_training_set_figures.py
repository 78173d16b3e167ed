# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Make the figures of docs/training_sets.rst from a training set, and print its numbers and the paper's.

    python tools/make_training_set_figures.py sets/table1
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use('agg')

from matplotlib import pyplot as plt  # noqa: E402

from pidoc.training_set.dataset import TrainingSet  # noqa: E402

FOLDER = Path(__file__).parents[1] / 'docs' / 'images'
#: mean and standard deviation from the training of the authors' released network
RELEASED = {'flux': (-5.382, 0.970), 'mass': (-0.851, 0.449)}
#: The paper: log10 of the mass in the field [Msun]; luminosity in it above 11 Gyr at 10 to 40 kpc [Lsun].
PAPER_MASS = (3.0, 4.5)
PAPER_LIGHT = (300.0, 5000.0)
LABELS = {'flux': 'log10 of flux per pixel [Lsun/kpc²]', 'mass': 'log10 of mass per pixel [Msun]'}
#: distinguishable without colours, too
_TRAIN, _TEST = {'color': '#0072B2', 'ls': '-'}, {'color': '#D55E00', 'ls': '--'}


def percentiles(values, which, form):
    return ', '.join(f'{x:{form}}' for x in np.percentile(values, which))


def pixels(maps, name, number=1500):
    """log10 of all pixels of some maps, evenly spaced, and the fraction of empty ones."""
    rows = np.unique(np.linspace(0, len(maps) - 1, number).astype(int))
    values = np.concatenate([getattr(maps, 'light' if name == 'flux' else 'mass')(part).ravel()
                             for part in np.array_split(rows, 20)])
    return np.log10(values[values > 0.0]), np.mean(values <= 0.0)


def distributions(training, test):
    figure, axes = plt.subplots(1, 3, figsize=(9.4, 3.1), layout='constrained')
    for axis, name in zip(axes, LABELS, strict=False):
        for maps, style, label in ((training, _TRAIN, 'train'), (test, _TEST, 'test')):
            values, empty = pixels(maps, name)
            print(f'{label:5}  {LABELS[name]:38}  mean {values.mean():.3f}  sd {values.std():.3f}  '
                  f'1, 50, 99 %: {percentiles(values, [1, 50, 99], ".2f")}  empty {empty:.4f}')
            axis.hist(values, bins=80, range=np.percentile(values, [0.05, 99.95]), density=True,
                      histtype='step', label=label, **style)
        mean, width = RELEASED[name]
        axis.axvspan(mean - width, mean + width, color='0.9', zorder=0)
        axis.axvline(mean, color='0.5', lw=1, label='released network')
        axis.set_xlabel(LABELS[name])
        axis.set_yticks([])
    axes[0].legend(fontsize=7, loc='upper left')
    for maps, style, label in ((training, _TRAIN, 'train'), (test, _TEST, 'test')):
        mass = np.log10(maps.table['mass'].value)
        print(f'{label:5}  log10 of mass in the field  1, 16, 50, 84, 99 %: '
              f'{percentiles(mass, [1, 16, 50, 84, 99], ".2f")}  '
              f'between 3 and 4.5: {np.mean((mass >= 3.0) & (mass <= 4.5)):.3f}')
        axes[2].hist(mass, bins=60, range=(1.9, 4.7), density=True, histtype='step',
                     **style)
    axes[2].axvspan(*PAPER_MASS, color='0.9', zorder=0)
    axes[2].set_xlabel('log10 of mass in the field [Msun]')
    axes[2].set_yticks([])
    figure.savefig(FOLDER / 'training_set_distributions.png', dpi=75)
    plt.close(figure)


def light(training):
    """Luminosity and M/L_V in the field against age, at each distance."""
    table = training.table
    age, distance = table['age'].value, table['distance'].value
    luminosity, mass = table['luminosity'].value, table['mass'].value
    figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.6), layout='constrained')
    distances = np.unique(distance)
    for k, far in enumerate(distances):
        at = distance == far
        colour = plt.get_cmap('viridis')(0.9 * k / max(len(distances) - 1, 1))
        axes[0].plot(age[at], luminosity[at], '.', ms=2, color=colour, label=f'{far:g} kpc')
        axes[1].plot(age[at], mass[at] / luminosity[at], '.', ms=2, color=colour)
        old = at & (age > 11.0)
        print(f'{far:5g} kpc, above 11 Gyr: L in the field '
              f'{percentiles(luminosity[old], [1, 16, 50, 84, 99], ".0f")} Lsun (1, 16, 50, 84, 99 %); M/L_V '
              f'{percentiles(mass[old] / luminosity[old], [16, 50, 84], ".2f")} (16, 50, 84 %)')
    near = (distance <= 40.0) & (age > 11.0)
    within = (luminosity[near] > PAPER_LIGHT[0]) & (luminosity[near] < PAPER_LIGHT[1])
    print(f'up to 40 kpc, above 11 Gyr: {within.mean():.3f} of {near.sum()} maps between 300 and 5000 Lsun, '
          f'all between {luminosity[near].min():.0f} and {luminosity[near].max():.0f}')
    axes[0].fill_between([11, 14], *PAPER_LIGHT, color='none', edgecolor='black', lw=1.2, zorder=3)
    for axis, label in zip(axes, ('V luminosity in the field [Lsun]', 'M/L_V in the field [Msun/Lsun]'),
                           strict=True):
        axis.set_yscale('log')
        axis.set_xlabel('age [Gyr]')
        axis.set_ylabel(label)
    axes[0].set_ylim(50, 1e6)
    axes[1].set_ylim(0.005, 8)
    axes[0].legend(fontsize=7, markerscale=5)
    figure.savefig(FOLDER / 'training_set_light.png', dpi=75)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', help='of a set with the parts of table1')
    maps = TrainingSet.read(parser.parse_args().folder)
    print(maps.recipe.name, len(maps.split('train')), len(maps.split('test')))
    distributions(maps.split('train'), maps.split('test'))
    light(maps.split('train'))
    for name in ('distributions', 'light'):
        print(f'{(FOLDER / f"training_set_{name}.png").stat().st_size / 1e3:.0f} kB {name}')


if __name__ == '__main__':
    main()
