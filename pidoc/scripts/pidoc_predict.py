# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""``pidoc-predict``: mass, M/L, age and distance of clusters from their images, from the command line."""

import argparse
import re
import sys
from pathlib import Path

from pidoc.scripts.command import (
    above_zero,
    add_quiet_and_debug,
    BAD,
    is_fits_name,
    Parser,
    quantity,
    run,
    sky_position,
    spelled,
)

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
distance_error [kpc], age, age_error [Gyr], metallicity, metallicity_error, velocity_dispersion,
velocity_dispersion_error [km/s], dispersion_radius, seeing [arcsec], b_v, b_v_error [mag], cluster, ra, dec
[deg], zero_point, extinction, colour [mag], exposure [s], pixel_scale [arcsec], band, unit, hdu, plane and
wcs_frame; what it tells of an image comes before what the command line tells of all.

Two images in g and r make V together: --image g=a.fits --image r=b.fits. Their pixels, seeing and orientation
may differ. An option of one of them is told as g=25.1,r=24.9.

examples:
  pidoc-predict --example
  pidoc-predict cluster.fits --distance 17.4 --distance-error 0.4 --plot
  pidoc-predict ngc5466.fits --distance 16 --age 12.5 --metallicity -1.98 \\
      --velocity-dispersion 1.6 --dispersion-radius 20
  pidoc-predict ngc5466.fits --cluster "NGC 5466"
  pidoc-predict stack.fits --center "250.42 36.46" --zero-point 25 --band V -o results
  pidoc-predict --image g=m13-g.fits --image r=m13-r.fits --center "NGC 6205" --distance 7.1
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
    parser.add_argument('--image', metavar='BAND=FILE', action='append', type=_band_and_file, default=[],
                        help='an image in that band; twice, in g and r, for two that make V together')
    parser.add_argument('--list', metavar='FILE', type=Path,
                        help='text file or table of images: see below')
    parser.add_argument('--example', action='store_true', help='work on a mock image that comes with pidoc')
    known = parser.add_argument_group('what is known')
    known.add_argument('--distance', metavar='LENGTH', type=quantity('kpc'),
                       help='to the cluster [kpc]: makes all else much more certain')
    known.add_argument('--distance-error', metavar='LENGTH', type=quantity('kpc'),
                       help='its standard error [kpc] (default: 2 %% of it)')
    known.add_argument('--age', metavar='TIME', type=quantity('Gyr'),
                       help='of the cluster [Gyr]: with it old and rich cannot be taken for young and poor')
    known.add_argument('--age-error', metavar='TIME', type=quantity('Gyr'),
                       help='its standard error [Gyr] (default: 0.75)')
    known.add_argument('--metallicity', metavar='[Fe/H]', type=float, help='of the cluster')
    known.add_argument('--metallicity-error', metavar='DEX', type=float,
                       help='its standard error (default: 0.15)')
    known.add_argument('--velocity-dispersion', metavar='SPEED', type=quantity('km/s'),
                       help='along the line of sight, of bright stars within --dispersion-radius [km/s]')
    known.add_argument('--velocity-dispersion-error', metavar='SPEED', type=quantity('km/s'),
                       help='its standard error [km/s] (default: 5 %% of it)')
    known.add_argument('--dispersion-radius', metavar='ANGLE', type=quantity('arcsec'),
                       help='about the centre, of the stars whose velocities were measured [arcsec]')
    known.add_argument('--b-v', metavar='VALUE', type=quantity('mag'),
                       help='colour B - V of all light of the cluster, freed from reddening [mag]')
    known.add_argument('--b-v-error', metavar='VALUE', type=quantity('mag'),
                       help='its standard error [mag] (default: 0.03)')
    known.add_argument('--cluster', metavar='NAME',
                       help='of the Milky Way: what the catalogues know of it stands in for whatever of all '
                            'this, of --center and of --extinction is not given')
    known.add_argument('--center', metavar='WHERE',
                       help='RA and Dec, like "250.42 36.46" or "16h41m41s +36d27m35s", the name of a '
                            'globular cluster, or column and row from 0, like "180 190 pix" (default: found)')
    known.add_argument('--seeing', metavar='ANGLE', type=quantity('arcsec'),
                       help='full width at half maximum of the PSF [arcsec] (default: from the header or the '
                            'stars)')
    for name, unit, text in (
            ('zero-point', 'mag', 'magnitude of one count (per second) [mag]'),
            ('exposure', 's', 'exposure time [s]'),
            ('pixel-scale', 'arcsec', 'side of a pixel, of images without world coordinates [arcsec]')):
        known.add_argument(f'--{name}', metavar='VALUE', type=_of_each_band(quantity(unit)), help=text)
    known.add_argument('--colour', metavar='VALUE', type=quantity('mag'),
                       help='V minus the magnitude in the band of the image, of the cluster [mag] (default: '
                            'that of an old population)')
    known.add_argument('--extinction', metavar='VALUE', type=_magnitude_or_catalogue,
                       help='to be corrected for, in V [mag]; "catalogue": 3.1 E(B-V) of Harris 2010, where '
                            '--center is a name (default: none)')
    known.add_argument('--band', metavar='NAME', help='of the image, whatever the header says (default: from '
                                                      'it)')
    known.add_argument('--relation', choices=('kostov2018', 'tonry2012'), help='from g and r to V (default: '
                       'kostov2018)')
    known.add_argument('--unit', metavar='UNIT', type=_of_each_band(str), help='of the pixels, instead of '
                                                                               'BUNIT')
    known.add_argument('--hdu', metavar='HDU', type=_of_each_band(_hdu),
                       help='number or name of the HDU with the image')
    known.add_argument('--plane', metavar='N', type=_of_each_band(_plane),
                       help='which image of data with more dimensions, from 0; of four dimensions two '
                            'numbers: 0:3')
    known.add_argument('--mask', metavar='FILE', type=_of_each_band(str),
                       help='which pixels are bad: FILE or FILE[HDU]; extensions MASK and DQ count '
                            'without it')
    known.add_argument('--good-bits', metavar='BITS', type=_of_each_band(str),
                       help='bits of the mask, or names of its planes, that do not spoil a pixel: 96, '
                            '"CTE,WARM"')
    known.add_argument('--weight', metavar='FILE', type=_of_each_band(str),
                       help='how certain pixels are, as FILE or FILE[HDU]: an inverse variance, unless the '
                            'HDU is named VARIANCE or ERR')
    known.add_argument('--wcs-frame', metavar='FRAME', choices=('icrs', 'fk5', 'fk4', 'galactic', 'none'),
                       help='of the world coordinates, whatever the header says: icrs, fk5, fk4, galactic; '
                            'none leaves them out')
    known.add_argument('--min-coverage', metavar='SHARE', type=float,
                       help='of the field that must have good pixels (default: 0.5)')
    known.add_argument('--seeing-range', metavar='ANGLE', nargs=2, type=quantity('arcsec'),
                       help='best and worst seeing that the model knows [arcsec]: better is made worse, '
                            'worse is noted (default: 0.5 1.5)')
    known.add_argument('--sky', metavar='LEVEL', type=_of_each_band(_level_or_fit),
                       help='level of the sky in the image, in its unit, to be subtracted; "fit": that '
                            'beside a model of the cluster (default: nothing is subtracted)')
    known.add_argument('--sky-error', metavar='ERROR', type=_of_each_band(_number),
                       help='standard error of --sky')
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


def _plane(text):
    if not re.fullmatch(r'\d+(:\d+)*', text):
        raise argparse.ArgumentTypeError(f'must be a number from 0, or several like 0:3, received {text!r}')
    numbers = tuple(map(int, text.split(':')))
    return numbers if len(numbers) > 1 else numbers[0]


def _band_and_file(text):
    band, sign, file = text.partition('=')
    if not (band and sign and file):
        raise argparse.ArgumentTypeError(f'must be a band and a file, like g=a.fits, received {text!r}')
    return band.strip(), Path(file)


def _of_each_band(convert):
    """Converter of a value, or of one for each of two bands: g=25.1,r=24.9."""
    def convert_each(text):
        parts = re.fullmatch(r'\s*([gr])=(.+),\s*([gr])=(.+)', text)
        if not parts:
            return convert(text)
        if parts[1] == parts[3]:
            raise argparse.ArgumentTypeError(f'must be of g and of r, received {text!r}')
        return {parts[1]: convert(parts[2].strip()), parts[3]: convert(parts[4].strip())}
    return convert_each


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
    """A position if the text is one, column and row of "180 190 pix", else the text itself: a name."""
    if text is None:
        return None
    pixels = re.fullmatch(r'\s*(\S+?)\s*[ ,]\s*(\S+?)\s*(?:pix|px|pixels?)\s*', text)
    if pixels:
        try:
            return float(pixels[1]), float(pixels[2])
        except ValueError:
            raise ValueError('--center must be column and row from 0, like "180 190 pix", received '
                             f'{text!r}') from None
    return sky_position(text, option='--center') or text


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

    given = [name for name, there in (('images', options.images), ('--image', options.image),
                                      ('--list', options.list), ('--example', options.example)) if there]
    if len(given) != 1:
        raise ValueError('images, --image, --list or --example must be given, received '
                         f'{" and ".join(given) or "none"}')
    images = options.images or [EXAMPLE]
    if options.image:
        images = [_bands(options)]
    images = ImageList.read(options.list) if options.list else ImageList(images)
    output = options.output
    if not is_fits_name(output):
        return images, output
    if len(images) > 1:
        raise ValueError(f'--output must be a folder, for {len(images)} images, received {output}')
    return images.with_products([output.name]), output.parent


def _bands(options):
    """The one image of --image: a file, whose band is then told, or two that make V together."""
    bands = dict(options.image)
    if len(bands) != len(options.image):
        raise ValueError('--image must be of two bands, received '
                         f'{" and ".join(band for band, _ in options.image)}')
    if len(bands) > 1:
        return bands
    [(band, file)] = bands.items()
    if options.band is not None:
        raise ValueError(f'--band must be left out with --image, which tells it, received {options.band}')
    options.band = band
    return file


def _survey(images, folder, options):
    """The table of all predictions."""
    from pidoc.prediction.survey import survey

    # thousands of summaries are read by nobody
    one_by_one = not (options.list or options.scheduler or options.jobs > 1)
    show = one_by_one and not options.quiet
    parser = _parser()

    def report(item, error, summary):
        if error:
            print(f'pidoc-predict: {item.file}: {spelled(error, parser)}', file=sys.stderr)
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
    from pidoc.prediction.known import KNOWN

    names = (*KNOWN, 'cluster', 'seeing', 'zero_point', 'exposure', 'extinction', 'pixel_scale', 'colour',
             'band', 'relation', 'unit', 'hdu', 'plane', 'mask', 'good_bits', 'weight', 'wcs_frame',
             'min_coverage', 'sky_error')
    told = {name: getattr(options, name) for name in names} | {'center': _center(options.center)}
    told['background'] = _background(options)
    if options.seeing_range:
        from astropy import units as u

        told['seeing_range'] = u.Quantity(options.seeing_range)
    return {name: value for name, value in told.items() if value is not None}


if __name__ == '__main__':
    sys.exit(main())
