# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""``pidoc-trainingset``: build training sets from the command line."""

import sys
from pathlib import Path

from pidoc.scripts.command import above_zero, add_quiet_and_debug, Parser, run

__all__ = ['main']

_EPILOG = """\
A recipe is a small TOML file, or the name of a packaged one: --list lists them, --show prints one to start
from. An interrupted build is continued when the same command is given again. With --simulate but without
--simulations, snapshots are observed as they are made, and not kept.

examples:
  pidoc-trainingset --list
  pidoc-trainingset table1 --simulate -o sets/table1
  pidoc-trainingset table1 --simulations runs --simulate -o sets/table1
  pidoc-trainingset --show default > mine.toml
  pidoc-trainingset mine.toml --simulations runs -o sets/mine --jobs 8
  pidoc-trainingset --check -o sets/mine
"""


def main(args=None):
    """Build the maps of a recipe; the command ``pidoc-trainingset``: see `pidoc.scripts.command.run`."""
    return run(_parser(), _work, args, interrupted='the same command continues where it stopped')


def _parser():
    parser = Parser('pidoc-trainingset', epilog=_EPILOG,
                    description='Make many mock observations of simulated clusters to train networks '
                                'on: FITS files with cubes of maps, and a table of the parameters of each.')
    parser.add_argument('recipe', nargs='?', metavar='RECIPE',
                        help='a TOML file, or the name of a packaged recipe')
    what = parser.add_argument_group('what to do')
    what.add_argument('-o', '--output', metavar='FOLDER', type=Path, help='folder of the set')
    what.add_argument('--simulations', metavar='FOLDER', type=Path,
                      help='parent folder of the folders of the runs, with their snapshots')
    what.add_argument('--simulate', action='store_true',
                      help='run the simulations of the recipe that are not complete in the folder of '
                           '--simulations; without that folder run all, and keep no snapshots')
    what.add_argument('--check', action='store_true',
                      help='compare all files of the set with their checksums; without RECIPE, only this')
    what.add_argument('--list', action='store_true', help='list the packaged recipes')
    what.add_argument('--show', action='store_true', help='print the recipe')
    how = parser.add_argument_group('how')
    how.add_argument('--jobs', metavar='N', type=above_zero, default=2,
                     help='number of processes (default: 2)')
    how.add_argument('--scheduler', metavar='ADDRESS',
                     help='use the workers of this dask scheduler (tcp://...)')
    add_quiet_and_debug(how)
    return parser


def _work(options):
    if options.list:
        _list()
    elif options.recipe is None and not options.check:
        raise ValueError('a RECIPE must be given: --list lists the packaged ones')
    elif options.show:
        _show(options.recipe)
    elif options.output is None:
        raise ValueError('the folder of the set must be given: -o FOLDER')
    elif options.recipe is None:
        _check(options)
    else:
        _build(options)


def _list():
    from pidoc.training_set.recipe import Recipe

    for name in Recipe.shipped():
        print(f'{name:12}  {Recipe.read(name, check=False).description}')


def _show(name):
    from pidoc.training_set.recipe import Recipe

    print(Recipe.text(name), end='')


def _build(options):
    from pidoc.training_set.dataset import TrainingSet
    from pidoc.training_set.recipe import Recipe
    from pidoc.training_set.sources import simulate

    if options.simulations is None and not options.simulate:
        raise ValueError('the folder of the simulations must be given, --simulations FOLDER; or --simulate, '
                         'which needs none')
    recipe = Recipe.read(options.recipe)
    how = {'jobs': options.jobs, 'scheduler': options.scheduler, 'progress': not options.quiet}
    if options.simulate and options.simulations is not None:
        simulate(recipe, options.simulations, **how)
    made = TrainingSet.build(recipe, options.output, simulations=options.simulations, **how)
    if options.check:
        made = TrainingSet.read(options.output, check=True)
    _tell(made, options)


def _check(options):
    from pidoc.training_set.dataset import TrainingSet

    _tell(TrainingSet.read(options.output, check=True), options)


def _tell(made, options):
    if options.quiet:
        return
    print('split       part               maps  simulations   age [Gyr]     d [kpc]')
    for part in made.recipe.parts:
        for split in part.splits:
            rows = made.table[(made.table['part'] == part.name) & (made.table['split'] == split)]
            age, distance = rows['age'].value, rows['distance'].value
            print(f'{split:10}  {part.name:15}  {len(rows):6d}  {len(set(rows["simulation"])):11d}  '
                  f'{age.min():5.2f}-{age.max():<6.2f} {distance.min():4.0f}-{distance.max():.0f}')
    size = sum(path.stat().st_size for path in options.output.glob('*.fits'))
    print(f'\n{len(made)} maps, {size / 1e9:.2f} GB in {options.output}'
          + (', as they were written' if options.check else ''))


if __name__ == '__main__':
    sys.exit(main())
