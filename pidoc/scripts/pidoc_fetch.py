# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""``pidoc-fetch``: V maps of clusters from Pan-STARRS1 from the command line."""

import logging
import re
import sys
from pathlib import Path

from pidoc.scripts.command import (
    add_quiet_and_debug,
    angle_or_auto,
    BAD,
    is_fits_name,
    Parser,
    quantity,
    run,
    sky_position,
    spelled,
)

__all__ = ['main']

_EPILOG = """\
A cluster is a name, like "NGC 5466", M53 or "Palomar 11", or the RA and Dec of the centre of the map, like
"211.3637 28.5344" (degrees) or "14h05m27.3s +28d32m04s".

The map is in apparent flux per pixel [Lsun/kpc2], corrected for extinction. Field, pixels and smoothing are
by default those of Chardin & Bianchini (2021). Downloads are kept in astropy's cache; --offline uses only
those.

examples:
  pidoc-fetch "NGC 5466"
  pidoc-fetch "NGC 5053" "Pal 11" M53 -o maps
  pidoc-fetch "211.3637 28.5344" --reddening 0.02 -o field.fits
"""
_RELATIONS = ('kostov2018', 'tonry2012')


def main(args=None):
    """Fetch maps of clusters; the command ``pidoc-fetch``: see `pidoc.scripts.command.run`.

    The status is also 2 if a cluster could not be fetched.
    """
    return run(_parser(), _fetch_all, args,
               interrupted='the files that were written are complete; begin again with --overwrite')


def _parser():
    parser = Parser('pidoc-fetch', epilog=_EPILOG,
                    description='Fetch g and r images of star clusters from Pan-STARRS1 and make maps of '
                                'their V light.')
    parser.add_argument('clusters', nargs='+', metavar='CLUSTER', help='names or positions')
    light = parser.add_argument_group('light')
    light.add_argument('--reddening', metavar='MAG', type=quantity('mag'),
                       help='E(B-V) [mag] (default: that of Harris 2010)')
    light.add_argument('--no-extinction', action='store_true', help='do not correct for extinction')
    light.add_argument('--relation', choices=_RELATIONS, default='kostov2018',
                       help='transformation from g and r to V (default: kostov2018)')
    light.add_argument('--seeing', metavar='ANGLE', nargs=2, type=quantity('arcsec'),
                       help='FWHM of stars in g and in r [arcsec] (default: measured)')
    light.add_argument('--subtract-sky', action='store_true',
                       help='subtract the remaining sky level around the field')
    light.add_argument('--field-of-view', metavar='ANGLE', type=angle_or_auto,
                       help="side of the map [arcsec] (default: the paper's, 40); \"auto\": 40 to 160, twice "
                            'the half-light radius, with as many pixels')
    light.add_argument('--smoothing', metavar='PIXELS', type=float,
                       help="standard deviation of the Gaussian (default: the paper's)")
    archive = parser.add_argument_group('archive')
    archive.add_argument('--offline', action='store_true', help='use only what is in the cache')
    archive.add_argument('--refresh', action='store_true', help='download again what is in the cache')
    archive.add_argument('--skycells', action='store_true',
                         help='fetch whole skycells, 100 MB each, instead of cutouts')
    archive.add_argument('--timeout', metavar='TIME', type=quantity('s'), default='60',
                         help='timeout [s] (default: 60)')
    archive.add_argument('--retries', metavar='N', type=int, default=4,
                         help='number of retries (default: 4)')
    archive.add_argument('--server', metavar='URL', help="address of the survey's services")
    out = parser.add_argument_group('output')
    out.add_argument('-o', '--output', metavar='PATH', type=Path, default=Path(),
                     help='folder of the files; for one cluster, a file that ends in .fits or .fits.gz '
                          '(default: here)')
    out.add_argument('--overwrite', action='store_true', help='replace existing files')
    add_quiet_and_debug(out, quiet='print no table of results')
    return parser


def _target(text):
    """A position if the text is one, else the text itself: a name."""
    return sky_position(text, option='CLUSTER') or text


def _paths(clusters, output):
    if is_fits_name(output):
        if len(clusters) > 1:
            raise ValueError(f'--output must be a folder, for {len(clusters)} clusters, received {output}')
        return [output]
    paths = [output / f'{re.sub(r"[^A-Za-z0-9.+-]+", "_", name.strip())}.fits' for name in clusters]
    double = [path for path in set(paths) if paths.count(path) > 1]
    if double:
        raise ValueError(f'{min(double)} would be written twice: name each cluster once')
    return paths


def _fetch_all(options):
    from pidoc.image.files import write_map
    from pidoc.image.ps1.retrieval import Archive, fetch

    if options.no_extinction and options.reddening is not None:
        raise ValueError('--reddening and --no-extinction exclude each other, received both')
    paths = _paths(options.clusters, options.output)
    taken = [path for path in paths if path.exists()]
    if taken and not options.overwrite:
        raise OSError(f'{taken[0]} exists: give --overwrite to replace it')
    server = {'server': options.server.rstrip('/')} if options.server else {}
    archive = Archive(offline=options.offline, refresh=options.refresh, timeout=options.timeout,
                      retries=options.retries, form='skycell' if options.skycells else 'cutout', **server)
    seeing = None if options.seeing is None else dict(zip('gr', options.seeing, strict=True))
    failed = 0
    headed = options.quiet
    for text, path in zip(options.clusters, paths, strict=True):
        try:
            image = fetch(_target(text), archive=archive, extinction=not options.no_extinction,
                          reddening=options.reddening, field_of_view=options.field_of_view,
                          smoothing=options.smoothing, seeing=seeing, relation=options.relation,
                          background='annulus' if options.subtract_sky else None)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_map(image, path, overwrite=options.overwrite)
        except (OSError, ValueError) as error:
            if options.debug or len(paths) == 1:
                raise
            message = spelled(' '.join(str(error).split()), _parser())
            logging.getLogger(__name__).error('%s: %s', text, message)
            failed += 1
            continue
        if not options.quiet:
            if not headed:
                print('cluster         L in the field [Lsun]  E(B-V)  seeing ["]  bad [%]  file')
                headed = True
            print(_line(image, path))
    return BAD if failed else 0


def _line(image, path):
    import numpy as np

    meta = image.meta
    light = '-'
    if 'DISTANCE' in meta:
        light = f'{np.nansum(image.data) * 4 * np.pi * meta["DISTANCE"] ** 2:.0f}'
    return (f'{meta["OBJECT"]:<15} {light:>21}  {meta["EBV"]:6.2f}  {meta["PSFFWHM"]:10.2f}  '
            f'{100 * (1 - meta["COVERAGE"]):7.1f}  {path}')


if __name__ == '__main__':
    sys.exit(main())
