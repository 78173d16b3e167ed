# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""``pidoc-predict``: mass, M/L, age and distance of clusters from their images, from the command line."""

import argparse
import re
import sys
from pathlib import Path

from pidoc.io.files import example
from pidoc.scripts.command import (
    above_zero,
    add_quiet_and_debug,
    angle_or_auto,
    BAD,
    distance_error_of,
    distance_of,
    is_fits_name,
    Parser,
    quantity,
    run,
    sky_position,
    spelled,
)

__all__ = ['EXAMPLE', 'main']

EXAMPLE = example()
"""A mock image of a cluster, which ``--example`` runs on."""

_FEW = 10              # up to this number images are processed one by one, without batches
_MOST_TO_SEND = 20     # files at once, to people's screens
_NO_FOLDERS = ('.fz', '.gz', '.bz2', '.xz', '.zip', '.png', '.pdf', '.jpg', '.csv', '.ecsv', '.txt', '.h5',
               '.hdf5')

_EPILOG = """\
Values are numbers in the unit in brackets, or have their own unit: 17.4, "17.4 kpc", 17400pc.
--zero-point and the options after it describe the calibration of the image; files of pidoc-mock need none of
them.

For each image a FITS file <image>-pidoc.fits is written, with the maps MASS (solar masses per pixel),
MASS_ERR, ML, LIGHT and MASK, and the tables PROFILE, PARAMS, KNOWN, VARIABLES and POSTERIOR. Printed
intervals are 68 %. If an image is outside the training domain, the reasons are printed, and the prediction is
not to be trusted. The exit status is 0 if all images were processed, and 2 if one was not; its row of the
table has the reason.

A list is a text file with a path on each line, or a table with the column file and any of name, distance,
distance_error [kpc], age, age_error [Gyr], metallicity, metallicity_error, velocity_dispersion,
velocity_dispersion_error [km/s], dispersion_radius, seeing, field_of_view [arcsec], b_v, b_v_error [mag],
mass_function_slope, mass_function_slope_error, effective_radius, effective_radius_error [arcsec], cluster,
ra, dec [deg], zero_point, extinction, colour [mag], exposure [s], pixel_scale [arcsec], band, unit, hdu,
plane and wcs_frame. Values in the list override options of the command line. Columns may have other units,
those of the distance mag: its modulus.

Two images in g and r are combined into V: --image g=a.fits --image r=b.fits. Their pixels, seeing and
orientation may differ. Values for each of them are given as g=25.1,r=24.9.

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

    The status is also 2 if an image could not be processed.
    """
    return run(_parser(), _predict_all, args,
               interrupted='the files that were written are complete; --resume continues')


def _parser():
    parser = Parser('pidoc-predict', epilog=_EPILOG,
                    description='Predict the mass map, the mass-to-light ratio, the age and the distance of '
                                'star clusters from V-band images.')
    parser.add_argument('images', nargs='*', metavar='IMAGE', type=Path, help='FITS files')
    parser.add_argument('--image', metavar='BAND=FILE', action='append', type=_band_and_file, default=[],
                        help='an image in this band; twice, in g and r, for two that are combined into V')
    parser.add_argument('--list', metavar='FILE', type=Path,
                        help='text file or table of images: see below')
    parser.add_argument('--example', action='store_true', help='predict on the mock image in pidoc')
    _add_cluster(parser)
    _add_image(parser)
    _add_output(parser)
    return parser


def _add_cluster(parser):
    known = parser.add_argument_group('known properties of the cluster')
    known.add_argument('--distance', metavar='LENGTH', type=distance_of,
                       help='distance to the cluster, if known [kpc], or true distance modulus, like '
                            '14.5mag; makes all other predictions much more certain')
    known.add_argument('--distance-error', metavar='LENGTH', type=distance_error_of,
                       help='standard error of --distance [kpc], or of the modulus, like 0.1mag (default: 2 '
                            '%% of the distance)')
    known.add_argument('--age', metavar='TIME', type=quantity('Gyr'),
                       help='age of the cluster, if known [Gyr]; distinguishes old, rich clusters from '
                            'young, poor ones')
    known.add_argument('--age-error', metavar='TIME', type=quantity('Gyr'),
                       help='standard error of --age [Gyr] (default: 0.75)')
    known.add_argument('--metallicity', metavar='[Fe/H]', type=float,
                       help='metallicity of the cluster, if known')
    known.add_argument('--metallicity-error', metavar='DEX', type=float,
                       help='standard error of --metallicity (default: 0.15)')
    known.add_argument('--velocity-dispersion', metavar='SPEED', type=quantity('km/s'),
                       help='velocity dispersion along the line of sight, if known, of bright stars within '
                            '--dispersion-radius [km/s]')
    known.add_argument('--velocity-dispersion-error', metavar='SPEED', type=quantity('km/s'),
                       help='standard error of --velocity-dispersion [km/s] (default: 5 %% of it)')
    known.add_argument('--dispersion-radius', metavar='ANGLE', type=quantity('arcsec'),
                       help='radius about the centre within which the velocity dispersion was measured '
                            '[arcsec]')
    known.add_argument('--b-v', metavar='VALUE', type=quantity('mag'),
                       help='integrated colour B - V of the cluster, if known, corrected for reddening [mag]')
    known.add_argument('--b-v-error', metavar='VALUE', type=quantity('mag'),
                       help='standard error of --b-v [mag] (default: 0.03)')
    known.add_argument('--mass-function-slope', metavar='SLOPE', type=float,
                       help='slope of the mass function of the whole cluster, if known from counts of its '
                            'stars from 0.2 to 0.8 Msun: dN/dm ~ m^slope, -2.35 for Salpeter')
    known.add_argument('--mass-function-slope-error', metavar='VALUE', type=float,
                       help='standard error of --mass-function-slope (default: 0.2)')
    known.add_argument('--effective-radius', metavar='ANGLE', type=quantity('arcsec'),
                       help='half-light radius of the whole cluster on the sky, if known from a profile that '
                            'reaches further than the image [arcsec]; improves the mass of the whole cluster')
    known.add_argument('--effective-radius-error', metavar='ANGLE', type=quantity('arcsec'),
                       help='standard error of --effective-radius [arcsec] (default: 10 %% of it)')
    known.add_argument('--cluster', metavar='NAME',
                       help='name of a Milky Way cluster: take the properties above, --center and '
                            '--extinction from catalogues, unless they are given')
    known.add_argument('--center', metavar='WHERE',
                       help='RA and Dec, like "250.42 36.46" or "16h41m41s +36d27m35s", the name of a '
                            'globular cluster, or column and row from 0, like "180 190 pix" (default: the '
                            'cluster is searched for)')


def _add_image(parser):
    image = parser.add_argument_group('properties of the image')
    image.add_argument('--seeing', metavar='ANGLE', type=quantity('arcsec'),
                       help='full width at half maximum of the PSF [arcsec] (default: from the header or the '
                            'stars)')
    for name, convert, text in (
            ('zero-point', _zero_point, 'magnitude of one unit of the pixels, or with --exposure of one a '
                                        'second, in the system of the band or like "26 ABmag" [mag]'),
            ('exposure', quantity('s'), 'exposure time [s]'),
            ('pixel-scale', quantity('arcsec'), 'side of a pixel, for images without world coordinates '
                                                '[arcsec]')):
        image.add_argument(f'--{name}', metavar='VALUE', type=_of_each_band(convert), help=text)
    image.add_argument('--colour', metavar='VALUE', type=quantity('mag'),
                       help='colour of the cluster: V minus the magnitude in the band of the image [mag] '
                            '(default: that of an old population)')
    image.add_argument('--extinction', metavar='VALUE', type=_magnitude_or_catalogue,
                       help='extinction to correct for, in V [mag]; "catalogue": 3.1 E(B-V) of Harris 2010, '
                            'if --center is a name (default: none)')
    image.add_argument('--band', metavar='NAME', help='band of the image, overriding the header')
    image.add_argument('--relation', choices=('kostov2018', 'tonry2012'),
                       help='transformation from g and r to V (default: kostov2018)')
    image.add_argument('--unit', metavar='UNIT', type=_of_each_band(str),
                       help='unit of the pixels, overriding BUNIT')
    image.add_argument('--hdu', metavar='HDU', type=_of_each_band(_hdu),
                       help='number or name of the HDU with the image')
    image.add_argument('--plane', metavar='N', type=_of_each_band(_plane),
                       help='which image of data with more than two dimensions, from 0; two numbers for four '
                            'dimensions: 0:3')
    image.add_argument('--mask', metavar='FILE', type=_of_each_band(str),
                       help='mask of bad pixels: FILE or FILE[HDU]; extensions MASK and DQ are used '
                            'without it')
    image.add_argument('--good-bits', metavar='BITS', type=_of_each_band(str),
                       help='bits of the mask, or names of its planes, to ignore: 96, "CTE,WARM"')
    image.add_argument('--weight', metavar='FILE', type=_of_each_band(str),
                       help='weights of pixels, as FILE or FILE[HDU]: an inverse variance, unless the '
                            'HDU is named VARIANCE or ERR')
    image.add_argument('--wcs-frame', metavar='FRAME', choices=('icrs', 'fk5', 'fk4', 'galactic', 'none'),
                       help='frame of the world coordinates, overriding the header: icrs, fk5, fk4, '
                            'galactic; none ignores them')
    image.add_argument('--field-of-view', metavar='ANGLE', type=angle_or_auto,
                       help='width of the field that is used, always as many pixels as the model takes '
                            '[arcsec]; "auto" (the default): 40 to 160 arcsec, at least twice the half-light '
                            'radius if the image is large enough; less makes use of seeing better than 0.5 '
                            'arcsec')
    image.add_argument('--min-coverage', metavar='SHARE', type=float,
                       help='share of the field that must have good pixels (default: 0.5)')
    image.add_argument('--seeing-range', metavar='ANGLE', nargs=2, type=quantity('arcsec'),
                       help='best and worst seeing of the training of the model [arcsec]: better seeing is '
                            'degraded, worse is flagged (default: 2 and 6 pixels of the field, which are 0.5 '
                            'and 1.5 for 40 arcsec)')
    image.add_argument('--sky', metavar='LEVEL', type=_of_each_band(_level_or_fit),
                       help='level of the sky to be subtracted, in the unit of the image; "fit": fitted '
                            'together with a model of the cluster (default: nothing is subtracted)')
    image.add_argument('--sky-error', metavar='ERROR', type=_of_each_band(_number),
                       help='standard error of --sky')
    image.add_argument('--annulus', metavar='RADIUS', nargs='*', type=quantity('arcsec'),
                       help='subtract the sky in an annulus, with two radii [arcsec], or by default as far '
                            'out as the image allows; only for images much larger than the cluster')


def _add_output(parser):
    out = parser.add_argument_group('model and output')
    out.add_argument('--model', metavar='NAME', default='default',
                     help='name of a model that comes with pidoc, or a folder (default: default)')
    out.add_argument('-o', '--output', metavar='PATH', type=Path, default=Path(),
                     help='folder of the files; for one image, a file that ends in .fits or .fits.gz '
                          '(default: here)')
    out.add_argument('--plot', action='store_true', help='draw a figure for each file, .png')
    out.add_argument('--table', metavar='FILE', type=Path,
                     help='write the results of all images to one table, .ecsv, .csv or .fits')
    out.add_argument('--table-only', action='store_true', help='write only the table, no file for each image')
    out.add_argument('--overwrite', action='store_true', help='replace existing files')
    out.add_argument('--samp', action='store_true',
                     help='send the files to the programs at the SAMP hub: DS9, Aladin, TOPCAT')
    add_quiet_and_debug(out, quiet='print no summary')
    many = parser.add_argument_group('many images')
    many.add_argument('--jobs', metavar='N', type=above_zero, default=1,
                      help='number of processes (default: 1)')
    many.add_argument('--scheduler', metavar='ADDRESS',
                      help='use the workers of this dask scheduler (tcp://...)')
    many.add_argument('--resume', action='store_true',
                      help='continue after an interruption: skip completed images, try failed ones again')


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


def _zero_point(text):
    """Converter of a magnitude, also one in ABmag."""
    match = re.fullmatch(r'\s*(\S+?)\s*(?:AB\s*mag|mag\s*\(?AB\)?)\s*', text, flags=re.IGNORECASE)
    value = quantity('mag')(match[1] if match else text)
    if not match:
        return value
    from astropy import units as u

    return value.value * u.ABmag


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
    """The argument ``background`` of `pidoc.image.prepare` from --sky and --annulus; None: not given."""
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

    # fail before the work if no hub is running
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
        if output.suffix.lower() in _NO_FOLDERS and not output.is_dir():
            raise ValueError('--output must be a folder, or for one image a file that ends in .fits or '
                             f'.fits.gz, received {output}')
        return images, output
    if len(images) > 1:
        raise ValueError(f'--output must be a folder, for {len(images)} images, received {output}')
    return images.with_products([output.name]), output.parent


def _bands(options):
    """The image of --image: one file with its band, or two that are combined into V."""
    bands = dict(options.image)
    if len(bands) != len(options.image):
        raise ValueError('--image must be of two bands, received '
                         f'{" and ".join(band for band, _ in options.image)}')
    if len(bands) > 1:
        return bands
    [(band, file)] = bands.items()
    if options.band is not None:
        raise ValueError(f'--band must be left out with --image, which gives it, received {options.band}')
    options.band = band
    return file


def _survey(images, folder, options):
    """The table of all predictions."""
    from pidoc.io.progress import say
    from pidoc.prediction.survey import survey

    # no summaries for thousands of images
    one_by_one = not (options.list or options.scheduler or options.jobs > 1)
    show = one_by_one and not options.quiet
    parser = _parser()

    def report(item, error, summary):
        if error:
            say(f'pidoc-predict: {item.file}: {spelled(error, parser)}', sys.stderr)
        elif show:
            where = '' if options.table_only else f'\n  {"written to":<18} {folder / item.product}'
            print(f'{summary}{where}', flush=True)

    return survey(
        images, folder, model=options.model, options=_given(options), table=options.table, jobs=options.jobs,
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


def _given(options):
    """Arguments of `MassMapper.predict` that were given."""
    from pidoc.prediction.known import KNOWN

    names = (*KNOWN, 'cluster', 'seeing', 'zero_point', 'exposure', 'extinction', 'pixel_scale', 'colour',
             'band', 'relation', 'unit', 'hdu', 'plane', 'mask', 'good_bits', 'weight', 'wcs_frame',
             'field_of_view', 'min_coverage', 'sky_error')
    given = {name: getattr(options, name) for name in names} | {'center': _center(options.center)}
    given['background'] = _background(options)
    if options.seeing_range:
        from astropy import units as u

        given['seeing_range'] = u.Quantity(options.seeing_range)
    return {name: value for name, value in given.items() if value is not None}


if __name__ == '__main__':
    sys.exit(main())
