# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""``pidoc-predict``: mass, M/L, age and distance of clusters from their images, from the command line."""

import argparse
import sys
from pathlib import Path

from pidoc.scripts.command import above_zero, add_quiet_and_debug, BAD, Parser, quantity, run, sky_position

__all__ = ['EXAMPLE', 'main']

EXAMPLE = Path(__file__).parents[1] / 'data' / 'example.fits'
"""A mock image of a cluster, which ``--example`` runs on."""

_FEW = 10              # images up to which nobody wants to wait for a batch
_MOST_TO_SEND = 20     # files at once, to people's screens

_EPILOG = """\
Lengths, angles and the rest are numbers in the unit in brackets, or carry their own: 17.4, "17.4 kpc",
17400pc. --zero-point and what follows it tell how an image is calibrated; files of pidoc-mock need none of
it.

For each image a FITS file <image>-pidoc.fits is written, with the maps MASS (solar masses per pixel),
MASS_ERR, ML and LIGHT, and the tables PROFILE and PARAMS. Intervals on the screen are those of 68 %. If an
image is outside the training domain, the reasons are told, and its numbers are not to be trusted. The status
is 0 if all images were worked on, and 2 if one could not be; its row of the table says why.

A list is a text file with a path on each line, or a table with the column file and any of name, distance,
distance_error [kpc], seeing [arcsec], ra, dec [deg], zero_point, extinction [mag], exposure [s], pixel_scale
[arcsec], band, unit and hdu; what it tells of an image comes before what the command line tells of all.

examples:
  pidoc-predict --example
  pidoc-predict cluster.fits --distance 17.4 --distance-error 0.4 --plot
  pidoc-predict stack.fits --center "250.42 36.46" --zero-point 25 --band V -o results
  pidoc-predict mocks/*.fits -o results --table results/all.ecsv
  pidoc-predict --list images.ecsv -o results --table results/all.fits --jobs 4
  pidoc-predict --list images.ecsv -o results --table results/all.fits --jobs 4 --resume
"""


def main(args=None):
    """Predict; the command ``pidoc-predict``: see `pidoc.scripts.command.run`.

    The status is 2 also if an image could not be worked on.
    """
    return run(_parser(), _predict_all, args,
               interrupted='the files that are there are complete; --resume goes on')


def _parser():
    parser = Parser('pidoc-predict', epilog=_EPILOG,
                    description='Predict the mass map, the mass-to-light ratio, the age and the distance of '
                                'star clusters from V-band images.')
    parser.add_argument('images', nargs='*', metavar='IMAGE', type=Path, help='FITS files')
    parser.add_argument('--list', metavar='FILE', type=Path,
                        help='text file or table of images: see below')
    parser.add_argument('--example', action='store_true', help='work on a mock image that comes with pidoc')
    known = parser.add_argument_group('what is known')
    known.add_argument('--distance', metavar='LENGTH', type=quantity('kpc'),
                       help='of the cluster [kpc]: makes all else much more certain')
    known.add_argument('--distance-error', metavar='LENGTH', type=quantity('kpc'),
                       help='its standard deviation [kpc] (default: 2 %% of it)')
    known.add_argument('--center', metavar='WHERE',
                       help='RA and Dec, like "250.42 36.46" or "16h41m41s +36d27m35s", or the name of a '
                            'globular cluster (default: found)')
    known.add_argument('--seeing', metavar='ANGLE', type=quantity('arcsec'),
                       help='full width at half maximum of the PSF [arcsec] (default: from the header or the '
                            'stars)')
    for name, unit, text in (
            ('zero-point', 'mag', 'magnitude of one count (per second) [mag]'),
            ('exposure', 's', 'exposure time [s]'),
            ('pixel-scale', 'arcsec', 'side of a pixel, of images without world coordinates [arcsec]')):
        known.add_argument(f'--{name}', metavar='VALUE', type=quantity(unit), help=text)
    known.add_argument('--extinction', metavar='VALUE', type=_magnitude_or_catalogue,
                       help='to be corrected for, in V [mag]; "catalogue": 3.1 E(B-V) of Harris 2010, where '
                            '--center is a name (default: none)')
    known.add_argument('--band', metavar='NAME', help='of the image (default: from the header)')
    known.add_argument('--unit', metavar='UNIT', help='of the pixels, instead of BUNIT')
    known.add_argument('--hdu', metavar='HDU', type=_hdu, help='number or name of the HDU with the image')
    known.add_argument('--mask', metavar='FILE',
                       help='which pixels are bad: FILE or FILE[HDU]; extensions MASK and DQ count '
                            'without it')
    known.add_argument('--good-bits', metavar='BITS',
                       help='bits of the mask, or names of its planes, that do not spoil a pixel: 96, '
                            '"CTE,WARM"')
    known.add_argument('--weight', metavar='FILE',
                       help='how certain pixels are, as FILE or FILE[HDU]: an inverse variance, unless the '
                            'HDU is named VARIANCE or ERR')
    known.add_argument('--sky', metavar='LEVEL', type=_level_or_fit,
                       help='level of the sky in the image, in its unit, to be subtracted; "fit": that '
                            'beside a model of the cluster (default: nothing is subtracted)')
    known.add_argument('--sky-error', metavar='ERROR', type=_number, help='standard error of --sky')
    known.add_argument('--annulus', metavar='RADIUS', nargs='*', type=quantity('arcsec'),
                       help='subtract the sky in an annulus: of two radii [arcsec], or as far out as fits '
                            'on the image; only for images much larger than the cluster')
    out = parser.add_argument_group('model and output')
    out.add_argument('--model', metavar='NAME', default='default',
                     help='name of a model that comes with pidoc, or a folder (default: default)')
    out.add_argument('-o', '--output', metavar='PATH', type=Path, default=Path(),
                     help='folder of the files; of one image, a file that ends in .fits or .fits.gz '
                          '(default: here)')
    out.add_argument('--plot', action='store_true', help='draw a figure beside each file, .png')
    out.add_argument('--table', metavar='FILE', type=Path,
                     help='write the numbers of all images as one table, .ecsv, .csv or .fits')
    out.add_argument('--table-only', action='store_true', help='write the table and no file for each image')
    out.add_argument('--overwrite', action='store_true', help='replace files that are there')
    out.add_argument('--samp', action='store_true',
                     help='send the files to the programs at the SAMP hub: DS9, Aladin, TOPCAT')
    add_quiet_and_debug(out, quiet='no summary on the screen')
    many = parser.add_argument_group('many images')
    many.add_argument('--jobs', metavar='N', type=above_zero, default=1,
                      help='how many processes work at the same time (default: 1)')
    many.add_argument('--scheduler', metavar='ADDRESS',
                      help='let the workers of this dask scheduler (tcp://...) do the work')
    many.add_argument('--resume', action='store_true',
                      help='go on after a stop: what is done is not repeated, what failed is tried again')
    return parser


def _hdu(text):
    return int(text) if text.isdigit() else text


def _magnitude_or_catalogue(text):
    return text if text == 'catalogue' else quantity('mag')(text)


def _number(text):
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'must be a number, received {text!r}') from None


def _level_or_fit(text):
    return text if text == 'fit' else _number(text)


def _background(options):
    """What ``background`` of `pidoc.image.prepare` is, of --sky and --annulus; None: not given."""
    if options.annulus is None:
        return options.sky
    if options.sky is not None:
        raise ValueError('only one of --sky and --annulus can be given, received both')
    if len(options.annulus) not in (0, 2):
        raise ValueError(f'--annulus must have two radii or none, received {len(options.annulus)}')
    return tuple(options.annulus) or 'annulus'


def _center(text):
    """A position if the text is one, else the text itself: a name."""
    return text if text is None else sky_position(text, option='--center') or text


def _predict_all(options):
    from contextlib import nullcontext

    images, folder = _images(options)
    if options.table_only and not options.table:
        raise ValueError('--table-only needs --table, received none')
    if options.samp and (options.table_only or len(images) > _MOST_TO_SEND):
        raise ValueError(f'--samp is for the files of at most {_MOST_TO_SEND} images, received {len(images)}'
                         f'{" without files" if options.table_only else ""}')
    from pidoc.prediction.samp import connected

    # that no hub runs is known before the work
    with connected() if options.samp else nullcontext() as client:
        rows = _survey(images, folder, options)
        if client:
            _send(client, rows, options)
    bad = sum(rows['error'] != '')
    if options.list and not options.quiet:
        _count(rows, bad, options)
    return BAD if bad else 0


def _images(options):
    """The list of images, and the folder of their products."""
    from pidoc.prediction.survey import ImageList

    given = [name for name, there in (('images', options.images), ('--list', options.list),
                                      ('--example', options.example)) if there]
    if len(given) != 1:
        raise ValueError('images, --list or --example must be given, received '
                         f'{" and ".join(given) or "none"}')
    images = ImageList.read(options.list) if options.list else ImageList(
        [EXAMPLE] if options.example else options.images)
    output = options.output
    if not output.name.endswith(('.fits', '.fits.gz')):
        return images, output
    if len(images) > 1:
        raise ValueError(f'--output must be a folder, for {len(images)} images, received {output}')
    return ImageList(images.files, products=[output.name]), output.parent


def _survey(images, folder, options):
    """The table of all predictions."""
    from pidoc.prediction.survey import survey

    # thousands of summaries are read by nobody
    one_by_one = not (options.list or options.scheduler or options.jobs > 1)
    show = one_by_one and not options.quiet

    def report(item, error, summary):
        if error:
            print(f'pidoc-predict: {item.file}: {error}', file=sys.stderr)
        elif show:
            where = '' if options.table_only else f'\n  {"written to":<18} {folder / item.product}'
            print(f'{summary}{where}', flush=True)

    return survey(
        images, folder, model=options.model, told=_told(options), table=options.table, jobs=options.jobs,
        scheduler=options.scheduler, resume=options.resume, overwrite=options.overwrite,
        products=not options.table_only, plot=options.plot, command=options.command, summaries=show,
        batch_size=1 if len(images) < _FEW and show else None, report=report, stop=options.debug,
        progress=not (options.quiet or one_by_one), journal=options.resume or len(images) > 1)


def _count(rows, bad, options):
    outside = sum((rows['error'] == '') & ~rows['in_domain'])
    print(f'{len(rows)} images, {bad} failed, {outside} outside the training domain'
          f'{f"; {options.table}" if options.table else ""}')


def _send(client, rows, options):
    from pidoc.prediction.samp import send

    sent = [(path, False) for path in rows['output'] if path]
    if options.table and options.table.suffix == '.fits':
        sent.append((options.table, True))
    for path, table in sent:
        takers = send(client, path, table=table)
        if not options.quiet:
            print(f'  {"sent to":<18} {", ".join(takers) or "no program at the hub"}')


def _told(options):
    """What goes to `MassMapper.predict`, if it was given."""
    names = ('distance', 'distance_error', 'seeing', 'zero_point', 'exposure', 'extinction', 'pixel_scale',
             'band', 'unit', 'hdu', 'mask', 'good_bits', 'weight', 'sky_error')
    told = {name: getattr(options, name) for name in names} | {'center': _center(options.center)}
    told['background'] = _background(options)
    return {name: value for name, value in told.items() if value is not None}


if __name__ == '__main__':
    sys.exit(main())
