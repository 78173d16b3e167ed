# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""``pidoc-mock``: mock observations of snapshots from the command line."""

import argparse
import re
import shlex
import sys
from pathlib import Path

from pidoc.scripts.command import (
    add_quiet_and_debug,
    distance_of,
    is_fits_name,
    NO_POSITION,
    Parser,
    quantity,
    run,
    sky_position,
)

__all__ = ['main']

_EPILOG = """\
Values are numbers in the unit in brackets, or have their own unit: 20, "20 kpc", 20000pc.

For each observation a FITS file <snapshot>-<distance>kpc-<seeing>.fits, or as given with -o, is written, with
the image, the true map of the mass and all settings.

examples:
  pidoc-mock run/snapshots/snapshot_00100.fits --distance 20
  pidoc-mock run/snapshots/*.fits --distance 10 25 50 --seeing 0.5 1.5 -o mocks --random --seed 1
  pidoc-mock run --at "12 Gyr" --distance 20
  pidoc-mock stars.dat --column mass=m x=X y=Y z=Z --column-unit mass=solMass x=pc y=pc z=pc --age 12 \\
      --evolve-stars 0.001 --masses-are-initial --distance 10
  pidoc-mock m13.fits --distance 7.1 --center "250.42 36.46" --sky 21 --zero-point 25 --exposure 60
"""

# those of pidoc.photometry, which the help need not wait for
_BANDS = ('B', 'V', 'g', 'r', 'I', 'F606W', 'F814W', 'VIS')
_CORRECTIONS = ('reed1998', 'reed1998-solar', 'kurucz1992')


def main(args=None):
    """Observe snapshots; the command ``pidoc-mock``: see `pidoc.scripts.command.run`."""
    return run(_parser(), _observe_all, args,
               interrupted='the files that were written are complete; begin again with --overwrite')


def _parser():
    parser = Parser('pidoc-mock', epilog=_EPILOG,
                    description='Make mock observations of snapshots of star clusters: FITS images of their '
                                'light, with the map of their mass.')
    parser.add_argument('snapshots', nargs='+', metavar='SNAPSHOT',
                        help='files that pidoc.Snapshot reads, tables, or folders of pidoc-simulate runs')
    _add_view(parser)
    _add_reading(parser)
    _add_maps(parser)
    _add_conditions(parser)
    _add_output(parser)
    return parser


def _add_view(parser):
    what = parser.add_argument_group('what to observe')
    what.add_argument('--distance', nargs='+', metavar='LENGTH', type=distance_of, required=True,
                      help='distance to the cluster [kpc]; one observation for each of several values')
    what.add_argument('--seeing', nargs='+', metavar='ANGLE', type=quantity('arcsec'),
                      help='full width at half maximum of the PSF, a Moffat function with beta = 2.5 '
                           '[arcsec]; one observation for each of several values (default: 1)')
    what.add_argument('--random', action='store_true',
                      help='random shift of up to 5 arcsec, rotation by multiples of 90 deg and direction')
    what.add_argument('--direction', metavar='X,Y,Z', type=_numbers(3),
                      help='direction to the observer, in the coordinates of the snapshot (default: 0,0,1)')
    what.add_argument('--rotation', metavar='ANGLE', type=quantity('deg'), help='counter-clockwise [deg]')
    what.add_argument('--shift', metavar='X,Y', type=_numbers(2),
                      help="shift of the cluster's centre to the right and upwards [arcsec]")
    what.add_argument('--center', metavar='"RA DEC"',
                      help='position of the cluster on the sky (default: 0 0)')
    what.add_argument('--seed', metavar='SEED', type=int, default=0,
                      help='seed of the first observation, incremented for each further one (default: 0)')


def _add_reading(parser):
    others = parser.add_argument_group('snapshots of other codes (see pidoc.cluster.foreign)')
    others.add_argument('--format', metavar='NAME',
                        help='nbody6, nbody6++, petar, cmc, amuse or table (default: detected from the file)')
    others.add_argument('--at', metavar='WHICH', type=_which,
                        help='for a file with many snapshots or a run: the number of the snapshot, from 0 or '
                             'negative from the end, or a time with its unit, like 500Myr')
    others.add_argument('--column', metavar='NAME=COLUMN', nargs='+', action='extend', type=_pair, default=[],
                        dest='columns',
                        help='for a table: the columns of the mass, x, y, z, vx, vy, vz, radius, v_r, v_t, '
                             'luminosity, temperature, stellar_radius, kind, initial_mass, id; by name, or '
                             'by number from 1 where columns have no names')
    others.add_argument('--column-unit', metavar='NAME=UNIT', nargs='+', action='extend', type=_pair,
                        default=[],
                        dest='units', help='units for a table without them, like mass=solMass x=pc')
    others.add_argument('--age', metavar='TIME', type=quantity('Gyr'),
                        help='age of the stars, if not in the file [Gyr]')
    others.add_argument('--evolve-stars', metavar='Z', type=float,
                        help='for a file without luminosities: compute them from the initial masses, for '
                             'this metallicity')
    others.add_argument('--masses-are-initial', action='store_true',
                        help='for --evolve-stars: the masses in the file are initial masses')


def _add_maps(parser):
    how = parser.add_argument_group('how')
    how.add_argument('--field-of-view', metavar='ANGLE', type=quantity('arcsec'),
                     help="side of the field [arcsec] (default: the paper's)")
    how.add_argument('--pixel-scale', metavar='ANGLE', type=quantity('arcsec'),
                     help="side of a pixel [arcsec] (default: the paper's)")
    how.add_argument('--smoothing', metavar='PIXELS', type=float,
                     help='standard deviation of the Gaussian that smooths both maps [pixels] (default: '
                          "the paper's)")
    how.add_argument('--oversampling', metavar='N', type=int, default=1,
                     help='sub-pixels per side of a pixel (default: 1)')
    how.add_argument('--band', choices=_BANDS, default='V', help='photometric band (default: V)')
    how.add_argument('--correction', choices=_CORRECTIONS, default='reed1998',
                     help='bolometric correction; bands other than V need kurucz1992 (default: reed1998)')
    how.add_argument('--metallicity', metavar='Z', type=float,
                     help="metallicity for kurucz1992 (default: the model's)")


def _add_conditions(parser):
    noise = parser.add_argument_group('extinction, noise and defects (default: none)')
    for name, unit, text in (
            ('extinction', 'mag', 'extinction of the cluster in the band [mag]'),
            ('sky', 'mag / arcsec2', 'surface brightness of the sky, which is subtracted [mag/arcsec2]'),
            ('zero-point', 'mag', 'magnitude of one electron a second [mag]: with --exposure, photon noise'),
            ('exposure', 's', 'exposure time [s]'),
            ('field-stars', '1 / arcmin2', 'density of field stars of magnitude 14 to 24 [1/arcmin2]')):
        noise.add_argument(f'--{name}', metavar='VALUE', type=quantity(unit), help=text)
    noise.add_argument('--sky-gradient', metavar='FRACTION', type=float,
                       help='gradient of the sky across the field')
    noise.add_argument('--read-noise', metavar='ELECTRONS', type=float, help='read noise of a pixel')
    noise.add_argument('--saturation', metavar='ELECTRONS', type=float, help='full well of a pixel')
    noise.add_argument('--bad-pixels', metavar='FRACTION', type=float, help='share of pixels that are masked')


def _add_output(parser):
    out = parser.add_argument_group('output')
    out.add_argument('-o', '--output', metavar='PATH', type=Path, default=Path(),
                     help='folder of the files; for one observation, a file that ends in .fits or .fits.gz '
                          '(default: here)')
    out.add_argument('--dtype', choices=('float32', 'float64'), default='float32',
                     help='precision in the files (default: float32)')
    out.add_argument('--overwrite', action='store_true', help='replace existing files')
    add_quiet_and_debug(out, quiet='print no table of results')


def _pair(text):
    name, sign, value = text.partition('=')
    if not (name and sign and value):
        raise argparse.ArgumentTypeError(f'must be like mass=m, received {text!r}')
    return name.strip(), value.strip()


def _which(text):
    from astropy import units as u

    try:
        return int(text)
    except ValueError:
        pass
    try:
        return u.Quantity(text).to(u.Myr)
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(f'must be a number or a time, received {text!r}') from None


def _numbers(count):
    def convert(text):
        try:
            values = [float(part) for part in text.split(',')]
        except ValueError:
            values = []
        if len(values) != count:
            raise argparse.ArgumentTypeError(f'must be {count} numbers with commas, received {text!r}')
        return values
    return convert


def _center(text):
    if text is None:
        return None
    position = sky_position(text, option='--center')
    if position is None:
        raise ValueError(NO_POSITION.format('--center', text))
    return position


def _conditions(options):
    from pidoc.mock.conditions import Conditions

    names = ('extinction', 'sky', 'sky_gradient', 'zero_point', 'exposure', 'read_noise', 'saturation',
             'field_stars', 'bad_pixels')
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return Conditions(**given) if given else None


def _reader_options(options):
    """The options of `Snapshot.read` that were given."""
    # FITS files are those of pidoc, unless columns are given
    table = 'table' if options.columns or options.units else None
    given = {'format': options.format or table, 'at': options.at, 'age': options.age,
             'columns': dict(options.columns) or None, 'units': dict(options.units) or None,
             'metallicity': options.evolve_stars, 'initial': 'mass' if options.masses_are_initial else None}
    return {name: value for name, value in given.items() if value is not None}


def _observe_all(options):
    from astropy import units as u

    from pidoc import Snapshot
    from pidoc.mock.observation import observe

    if options.random and (options.shift or options.rotation is not None or options.direction):
        raise ValueError('--random draws shift, rotation and direction: give none of them')
    drawn = 'random' if options.random else None
    same = {
        'shift': drawn if options.shift is None else options.shift * u.arcsec,
        'rotation': drawn if options.rotation is None else options.rotation,
        'direction': drawn if options.direction is None else options.direction,
        'field_of_view': options.field_of_view, 'pixel_scale': options.pixel_scale,
        'smoothing': options.smoothing, 'oversampling': options.oversampling, 'band': options.band,
        'correction': options.correction, 'metallicity': options.metallicity,
        'center': _center(options.center), 'conditions': _conditions(options)}
    reader = _reader_options(options)
    jobs = [(path, distance, seeing) for name in options.snapshots for path in _files(Path(name), options,
                                                                                      reader)
            for distance in options.distance for seeing in options.seeing or [1.0 * u.arcsec]]
    paths = _paths(jobs, options.output)
    taken = [path for path in paths if path.exists()]
    if taken and not options.overwrite:
        raise OSError(f'{taken[0]} exists: give --overwrite to replace it')
    snapshot, last = None, None
    for number, ((name, distance, seeing), path) in enumerate(zip(jobs, paths, strict=True)):
        if name != last:
            snapshot, last = _snapshot(Snapshot, name, reader), name
        mock = observe(snapshot, distance=distance, seeing=seeing, seed=options.seed + number, **same)
        path.parent.mkdir(parents=True, exist_ok=True)
        mock.write(path, overwrite=options.overwrite, dtype=options.dtype)
        if not options.quiet:
            if number == 0:
                print('age [Gyr]   d [kpc]  mass [Msun]  light [Lsun]     M/L  file')
            light = mock.luminosity.value
            ratio = f'{mock.total_mass.value / light:6.3f}' if light > 0 else f'{"-":>6}'
            print(f'{mock.age.value:9.3f}  {mock.distance.value:8.2f}  {mock.total_mass.value:11.1f}  '
                  f'{light:12.1f}  {ratio}  {path}')


def _files(path, options, reader):
    """The files of an argument: itself, or those of the snapshots of a run, from which --at chooses one."""
    if not path.is_dir():
        return [path]
    found = sorted((path / 'snapshots').glob('*.fits')) or sorted(path.glob('snapshot_*.fits'))
    if not found:
        raise ValueError(f'{path} must be a file, or the folder of a run with snapshots in it: none found')
    which = reader.pop('at', None)
    if which is None:
        return found
    if isinstance(which, int):
        if not -len(found) <= which < len(found):
            raise ValueError(f'--at must be a number below {len(found)}, the number of snapshots in {path}, '
                             f'received {which}')
        return [found[which]]
    return [min(found, key=lambda file: abs(_age(file) - which))]


def _age(file):
    """Age of a snapshot of pidoc, read from its header only."""
    from astropy import units as u
    from astropy.io import fits

    return fits.getval(file, 'AGE', 1) * u.Gyr


def _snapshot(kind, path, reader):
    """Read a snapshot; error messages name the options of this command."""
    from astropy.io.registry import IORegistryError

    try:
        snapshot = kind.read(path, **reader)
        snapshot._check_light()
        return snapshot
    except IORegistryError as error:
        raise ValueError(f'{path} must be a snapshot of pidoc or of another code, received a file that is '
                         'not recognised: give --format, or for a table its columns, such as --column mass=m'
                         ) from error
    except (ValueError, TypeError) as error:
        text = str(error)
        for pattern, ours in _OPTIONS:
            text = re.sub(pattern, ours, text)
        raise type(error)(text) from error


def _unit_options(units):
    pairs = re.findall(r"'(\w+)': '([^']+)'", units.group(1))
    return '--column-unit ' + ' '.join(f'{name}={shlex.quote(unit)}' for name, unit in pairs)


#: arguments in messages of `pidoc.Snapshot.read`, and the options of this command
_OPTIONS = (
    (r'units=\{(.*)\}', _unit_options), (r'columns=', '--column'), (r'\bat=', '--at'), (r'\bage=', '--age'),
    (r'particles=', 'pidoc.Snapshot.read'),
    (r"initial must be the Snapshot at birth, or 'mass' if the simulation had no stellar evolution, "
     'received None', 'give --masses-are-initial if the simulation had no stellar evolution'),
    (r'give them, or metallicity= when reading a file', 'give them with --column, or --evolve-stars Z'),
    (r'metallicity must not be given', '--evolve-stars must be left out'),
)


def _paths(jobs, output):
    """Path of the file of each observation."""
    if is_fits_name(output):
        if len(jobs) > 1:
            raise ValueError(f'--output must be a folder, for {len(jobs)} observations, received {output}')
        return [output]
    paths = []
    for name, distance, seeing in jobs:
        stem = name.name.removesuffix('.gz')
        stem = stem.removesuffix(name.suffix) if is_fits_name(name) else stem
        paths.append(output / f'{stem}-{distance.value:g}kpc-{seeing.value:g}.fits')
    double = [path for path in set(paths) if paths.count(path) > 1]
    if double:
        raise ValueError(f'{min(double)} would be written twice: rename snapshots of the same name')
    return paths


if __name__ == '__main__':
    sys.exit(main())
