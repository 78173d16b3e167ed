# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""``pidoc-simulate``: simulate clusters from the command line."""

import argparse
import math
import re
import sys
from pathlib import Path

from pidoc.scripts.command import above_zero, add_quiet_and_debug, Parser, run

__all__ = ['main']

#: option, field of the model, placeholder in the help, default of ClusterModel (repeated here to keep the
#: help fast), help
_OPTIONS = (
    ('--n-stars', 'n_stars', 'N', '50000', 'initial number of stars, 100 to 4000000'),
    ('--half-mass-radius', 'half_mass_radius', 'LENGTH', '3.2', 'initial half-mass radius [pc]'),
    ('--king-w0', 'king_w0', 'W0', 'none',
     'start from a King model of this central potential, 1 to 12, instead of a Plummer sphere'),
    ('--metallicity', 'metallicity', 'Z', '0.001', 'mass fraction of metals, 0.0001 to 0.03'),
    ('--imf', 'imf', 'IMF', 'kroupa2001',
     'initial mass function: kroupa2001, baumgardt2023, equal (stars of one mass), or slopes @ breaks '
     '[solMass] like "-1.3 -2.3 @ 0.5"'),
    ('--mass-limits', 'mass_limits', 'LOW,HIGH', '0.1,50', 'lowest and highest initial mass [solMass]'),
    ('--binary-fraction', 'binary_fraction', 'FRACTION', '0.0',
     'primordial binary fraction, 0 to 0.5'),
    ('--binary-periods', 'binary_periods', 'NAME', 'log-uniform',
     'distribution of the initial periods of binaries: log-uniform or duquennoy1991'),
    ('--galaxy', 'galaxy', 'NAME', 'miholics2014', 'miholics2014 or logarithmic'),
    ('--galactocentric-distance', 'galactocentric_distance', 'LENGTH', '15',
     'radius of the circular orbit, or apogalacticon [kpc]'),
    ('--perigalacticon', 'perigalacticon', 'LENGTH', 'none', 'smallest distance of an eccentric orbit [kpc]'),
    ('--circular-velocity', 'circular_velocity', 'SPEED', '220',
     'circular velocity of the logarithmic galaxy [km/s]'),
    ('--giant-mass-loss', 'giant_mass_loss', 'ETA', '0.5',
     "Reimers' eta, the strength of the wind of red giants, 0.1 to 0.5"),
    ('--natal-kicks', 'natal_kicks', 'NAME', 'delayed',
     'supernova model: delayed or rapid, with fallback reducing black-hole kicks, or full kicks'),
    ('--neutron-star-kick', 'neutron_star_kick', 'SPEED', '265', '1-D dispersion of birth kicks [km/s]'),
    ('--black-hole-kick', 'black_hole_kick', 'SPEED', '265', '1-D dispersion of birth kicks [km/s]'),
    ('--neutron-star-retention', 'neutron_star_retention', 'FRACTION', '0.0', 'fraction born without a kick'),
    ('--black-hole-retention', 'black_hole_retention', 'FRACTION', '0.0', 'fraction born without a kick'),
    ('--coulomb-gamma', 'coulomb_gamma', 'GAMMA', 'none',
     'factor in the Coulomb logarithm of relaxation, above 0 and at most 1; none: that of the mass function'),
    ('--seed', 'seed', 'SEED', '0', 'seed of all random numbers: another seed, another realisation'),
)
_EPILOG = """\
Values are numbers in the unit in brackets, or have their own unit: 3.2, "3.2 pc", 0.0032kpc.

An interrupted run is continued when the same command is given again. A complete run is left unchanged.

examples:
  pidoc-simulate MW15 -o mw15 --end 14 --snapshots 141
  pidoc-simulate MW15-R1.6 MW15 MW15-R4 -o runs --jobs 2
  pidoc-simulate MW15 -o mw15 --ages "1,3,10,30,100:14000:50 Myr"
  pidoc-simulate --n-stars 20000 --half-mass-radius 2.5 --king-w0 6 --seed 7 -o king
  pidoc-simulate --table models.ecsv -o runs --jobs 8
"""


def main(args=None):
    """Simulate clusters; the command ``pidoc-simulate``: see `pidoc.scripts.command.run`.

    The status is 1 if some of many models failed.
    """
    return run(_parser(), _simulate, args, interrupted='the same command continues from the last checkpoint')


def _simulate(options):
    ages = _ages(options.end, options.snapshots, options.ages)
    models, many = _models(options)
    return (_simulate_many if many else _simulate_one)(models, ages, options)


def _parser():
    parser = Parser('pidoc-simulate', epilog=_EPILOG,
                    description='Simulate star clusters, star by star, with the Monte Carlo method, and '
                                'keep snapshots of them.')
    what = parser.add_argument_group('what to simulate')
    what.add_argument('names', nargs='*', metavar='NAME',
                      help='named models: MW15-R1.6, MW15, MW15-R4; modified by the options below')
    what.add_argument('--table', metavar='FILE',
                      help='a table of models (ECSV, CSV, FITS ...), one in each row; columns are named like '
                           'fields of pidoc.ClusterModel; name is the name of the folder')
    what.add_argument('--name', help='another name for the model')
    for option, field, metavar, default, text in _OPTIONS:
        what.add_argument(option, dest=field, metavar=metavar, type=_field_type(field),
                          default=argparse.SUPPRESS,
                          help=f'{text} (default: {default})'.replace('%', '%%'))
    what.add_argument('--isolated', action='store_true', help='no tidal field')
    what.add_argument('--no-stellar-evolution', action='store_true', help='no stellar evolution')
    how = parser.add_argument_group('how')
    how.add_argument('-o', '--output', metavar='FOLDER', required=True,
                     help='folder of the run; for many models, the parent folder of their folders')
    how.add_argument('--end', metavar='TIME', type=_time,
                     help='age at the end [Gyr], up to 15 (default: 14)')
    how.add_argument('--snapshots', metavar='N', type=above_zero,
                     help='number of snapshots, equally spaced: the first at age 0, the last at the end '
                          '(default: 141, one every 0.1 Gyr of 14)')
    how.add_argument('--ages', metavar='LIST', type=_list_of_ages,
                     help='instead: ages of the snapshots [Gyr], with commas; first:last:step for many '
                          'equally spaced ones; a unit at the end is for all, like '
                          '"1,3,10,30,100:14000:50 Myr"')
    how.add_argument('--dtype', choices=('float32', 'float64'), default='float32',
                     help='precision of the snapshots in the files (default: float32)')
    how.add_argument('--threads', metavar='N', type=above_zero, default=1,
                     help='number of threads for one model; useful above some 10^5 stars (default: 1)')
    how.add_argument('--jobs', metavar='N', type=above_zero, default=2,
                     help='number of models run in parallel, with one thread each (default: 2)')
    how.add_argument('--scheduler', metavar='ADDRESS',
                     help='for many models: use the workers of this dask scheduler (tcp://...)')
    how.add_argument('--overwrite', action='store_true',
                     help='delete the files of an earlier run in the folder')
    add_quiet_and_debug(how)
    return parser


def _field_type(field):
    def convert(text):
        from pidoc.cluster.table import field_value

        try:
            return field_value(field, text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return convert


def _time(text):
    from astropy import units as u

    try:
        quantity = u.Quantity(text)
        return quantity * u.Gyr if quantity.unit.is_equivalent(u.one) else quantity.to(u.Gyr)
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(f'must be a time [Gyr], received {text!r}') from None


def _list_of_ages(text):
    from astropy import units as u

    rule = (f'must be ages with commas, first:last:step among them, perhaps with a unit at the end, '
            f'received {text!r}')
    match = re.fullmatch(r'([-+.,:0-9eE\s]+?)\s*([A-Za-z]*)', text)
    if match is None:
        raise argparse.ArgumentTypeError(rule)
    ages = []
    try:
        unit = u.Unit(match[2] or 'Gyr')
        for item in match[1].split(','):
            numbers = [float(number) for number in item.split(':')]
            if len(numbers) == 1:
                ages += numbers
                continue
            first, last, step = numbers
            # include the last one if only rounding excludes it
            ages += [first + k * step for k in range(math.floor((last - first) / step + 1e-9) + 1)]
        return (ages * unit).to(u.Myr)
    except (TypeError, ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(rule) from None


def _ages(end, number, ages):
    """Ages of the snapshots: the given ones, or equally spaced from 0 to the end."""
    import numpy as np
    from astropy import units as u

    if ages is not None:
        if end is not None or number is not None:
            raise ValueError('--ages defines all snapshots: give neither --end nor --snapshots')
        # further checks are made where they are used
        return ages
    end = (14.0 * u.Gyr if end is None else end).to_value(u.Myr)
    number = 141 if number is None else number
    if not 0.0 < end <= 15000.0:
        raise ValueError(f'--end must be above 0 and at most 15 Gyr, received {end / 1000.0:g} Gyr')
    if number < 2:
        raise ValueError('--snapshots must be at least 2, the first at age 0 and the last at the end, '
                         f'received {number}')
    return np.linspace(0.0, end, number) * u.Myr


def _models(options):
    """The models, and whether there are many (each then gets a folder of its own)."""
    changes = _changes(options)
    if options.table is not None:
        if options.names or changes or options.name is not None:
            raise ValueError('--table defines its models completely: give no other model '
                             'and no option that changes one')
        from pidoc.cluster.table import read_models

        return read_models(options.table), True
    if not (options.names or changes):
        raise ValueError('which model is to be simulated? Give a NAME, such as MW15-R1.6, or --table, or an '
                         'option that describes one, such as --n-stars; received none')
    models = [_model(name, changes, options.name) for name in options.names or [None]]
    if len(models) > 1 and options.name is not None:
        raise ValueError(f'--name is for one model, received {len(models)}')
    return models, len(models) > 1


def _changes(options):
    # options that were given, even as 'none'
    changes = {field: getattr(options, field) for _, field, *_ in _OPTIONS if hasattr(options, field)}
    if options.isolated:
        if {'galaxy', 'galactocentric_distance', 'perigalacticon'} & set(changes):
            raise ValueError('--isolated and an orbit or a galaxy contradict each other')
        changes |= {'galaxy': None, 'galactocentric_distance': None}
    if options.no_stellar_evolution:
        changes['stellar_evolution'] = False
    if changes.get('king_w0') is not None:
        changes['profile'] = 'king'
    return changes


def _model(name, changes, new_name):
    from pidoc import ClusterModel

    model = (ClusterModel() if name is None else ClusterModel.named(name)).replace(**changes)
    if new_name is None:
        # any change except of the seed makes a different model
        changed = name is not None and model.replace(seed=0) != ClusterModel.named(name)
        new_name = f'{name}-modified' if changed else model.name
    return model.replace(name=new_name)


def _simulate_one(models, ages, options):
    # imports numba, which would delay --help and errors in the arguments
    from pidoc.simulation.run import run

    if options.scheduler is not None:
        raise ValueError('--scheduler is for many models, received one')
    log = run(models[0], options.output, ages=ages, threads=options.threads, dtype=options.dtype,
              progress=not options.quiet, overwrite=options.overwrite)
    if not options.quiet:
        _print_log(log, Path(options.output))
    return 0


def _simulate_many(models, ages, options):
    from pidoc.simulation.many import run_many

    if options.threads != 1:
        raise ValueError('--threads is for one model; many models run in parallel with --jobs')
    summary = run_many(models, options.output, ages=ages, jobs=options.jobs, scheduler=options.scheduler,
                       dtype=options.dtype, progress=not options.quiet, overwrite=options.overwrite)
    for row in summary[summary['state'] == 'failed']:
        print(f'pidoc-simulate: {row["name"]} failed: {row["error"]}', file=sys.stderr)
    if not options.quiet:
        names = ['name', 'state', *_SHOWN]
        print(*_formatted(summary, names), sep='\n')
        print(f'\nsummary     {Path(options.output) / "summary.ecsv"}\n'
              f'runs        {Path(options.output) / "<name>"}')
    return int('failed' in summary['state'])


#: column of the log: heading and format of the summary
_SHOWN = {'age': ('age [Gyr]', '{:.2f}'), 'n_stars': ('N', '{:d}'),
          'total_mass': ('mass [Msun]', '{:.0f}'), 'half_mass_radius': ('r_h [pc]', '{:.2f}'),
          'mass_to_light': ('M/L_V', '{:.3f}')}


def _print_log(log, folder):
    import numpy as np

    rows = np.unique(np.linspace(0, len(log) - 1, 8).round().astype(int)) if len(log) else []
    print(*_formatted(log[rows], list(_SHOWN)), sep='\n')
    if log.meta['STATE'] == 'dissolved':
        print(f'\nThe cluster dissolved at {log.meta["ENDAGE"]:.2f} Gyr.')
    print(f'\nsnapshots   {folder / "snapshots"} ({len(log)})\n'
          f'log         {folder / "log.fits"}\n'
          f'escapers    {folder / "escapers.fits"}')
    if len(log):
        print(f'picture     {folder / "quicklook.png"}')


def _formatted(table, names):
    """Lines of a table with aligned columns."""
    columns = []
    for name in names:
        heading, form = _SHOWN.get(name, (name, '{}'))
        values = [getattr(value, 'value', value) for value in table[name]]
        cells = [heading, *(form.format(value) for value in values)]
        if name in _SHOWN and 'state' in names:
            # a failed model has no numbers
            cells[1:] = ['-' if state == 'failed' else cell
                         for state, cell in zip(table['state'], cells[1:], strict=True)]
        width = max(map(len, cells))
        columns.append([cell.ljust(width) if name not in _SHOWN else cell.rjust(width) for cell in cells])
    return ['  '.join(row).rstrip() for row in zip(*columns, strict=True)]


if __name__ == '__main__':
    sys.exit(main())
