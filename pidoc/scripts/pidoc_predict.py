# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""``pidoc-predict``: mass, M/L, age and distance of clusters from their images, from the command line."""

import os
import shlex
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pidoc import __version__
from pidoc.files import replacing
from pidoc.scripts.command import BAD, HelpFormatter, Parser, quantity, run_command

__all__ = ['EXAMPLE', 'main']

EXAMPLE = Path(__file__).parents[1] / 'data' / 'example.fits'
"""A mock image of a cluster, which ``--example`` runs on."""

_EPILOG = """\
Lengths, angles and the rest are numbers in the unit in brackets, or carry their own: 17.4, "17.4 kpc",
17400pc. --zero-point and what follows it tell how an image is calibrated; files of pidoc-mock need none of
it.

For each image a FITS file <image>-pidoc.fits is written, with the maps MASS (solar masses per pixel),
MASS_ERR, ML and LIGHT, and the tables PROFILE and PARAMS. Intervals on the screen are those of 68 %. If an
image is outside the training domain, the reasons are told, and its numbers are not to be trusted. The status
is 0 if all images were worked on, and 2 if one could not be.

examples:
  pidoc-predict --example
  pidoc-predict cluster.fits --distance 17.4 --distance-error 0.4 --plot
  pidoc-predict stack.fits --center "250.42 36.46" --zero-point 25 --band V -o results
  pidoc-predict mocks/*.fits -o results --table results/all.ecsv
"""


def main(args=None):
    """Predict; the command ``pidoc-predict``.

    Parameters
    ----------
    args : list of str, optional
        Arguments, without the name of the command; by default those of the process.

    Returns
    -------
    int
        0 if all went well, 2 if an image could not be worked on (told on one line of the standard error),
        130 if interrupted.
    """
    parser = _parser()
    options = parser.parse_args(args)
    options.command = shlex.join([parser.prog, *(sys.argv[1:] if args is None else map(str, args))])
    return run_command(parser, options, _predict_all, interrupted='the files that are there are complete')


def _parser():
    parser = Parser(prog='pidoc-predict', epilog=_EPILOG, formatter_class=HelpFormatter,
                    description='Predict the mass map, the mass-to-light ratio, the age and the distance of '
                                'star clusters from V-band images.')
    parser.add_argument('--version', action='version', version=f'pidoc {__version__}')
    parser.add_argument('images', nargs='*', metavar='IMAGE', type=Path, help='FITS files')
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
    known.add_argument('--annulus', action='store_true',
                       help='subtract the background, measured around the field')
    out = parser.add_argument_group('model and output')
    out.add_argument('--model', metavar='NAME', default='default',
                     help='name of a model that comes with pidoc, or a folder (default: default)')
    out.add_argument('-o', '--output', metavar='PATH', type=Path, default=Path(),
                     help='folder of the files; of one image, a file that ends in .fits or .fits.gz '
                          '(default: here)')
    out.add_argument('--plot', action='store_true', help='draw a figure beside each file, .png')
    out.add_argument('--table', metavar='FILE', type=Path,
                     help='write the numbers of all images as one table, .ecsv, .csv or .fits')
    out.add_argument('--overwrite', action='store_true', help='replace files that are there')
    out.add_argument('--quiet', action='store_true', help='no summary on the screen')
    out.add_argument('--debug', action='store_true', help='show where an error came from')
    return parser


def _hdu(text):
    return int(text) if text.isdigit() else text


def _magnitude_or_catalogue(text):
    return text if text == 'catalogue' else quantity('mag')(text)


def _center(text):
    """A position if the text is one, else the text itself: a name."""
    from astropy.coordinates import SkyCoord

    if text is None:
        return None
    try:
        parts = [float(part) for part in text.replace(',', ' ').split()]
    except ValueError:
        parts = None
    try:
        return SkyCoord(text) if parts is None else SkyCoord(*parts, unit='deg')
    except Exception:
        # astropy raises many kinds; numbers that are no position are no name either
        if parts is None:
            return text
        raise ValueError('--center must be the RA and Dec of the cluster, like "250.42 36.46" (degrees) or '
                         f'"16h41m41s +36d27m35s", or its name, received {text!r}') from None


def _predict_all(options):
    images = [EXAMPLE] if options.example else options.images
    if bool(options.images) == options.example:
        raise ValueError('either images or --example must be given, received '
                         f'{"both" if options.example else "neither"}')
    paths = _paths(images, options.output)
    _check_free(options, paths)
    told = _told(options)
    mapper = _load(options)
    rows, failed = [], 0
    for image, path in zip(images, paths, strict=True):
        try:
            prediction = replace(mapper.predict(image, **told), command=options.command)
            _write(prediction, path, options)
        except Exception as error:
            if options.debug:
                raise
            failed += 1
            # one bad image must not stop the others
            print(f'pidoc-predict: {image}: {" ".join(str(error).split())}', file=sys.stderr)
            continue
        rows.append(prediction.to_row())
        if not options.quiet:
            print(f'{prediction.summary()}\n  {"written to":<18} {path}', flush=True)
    if options.table and rows:
        _write_table(rows, options.table)
    return BAD if failed else 0


def _load(options):
    """The model."""
    if options.debug:
        from pidoc.mapper import MassMapper

        return MassMapper.from_pretrained(options.model)
    with _hushed():
        from pidoc.mapper import MassMapper

        return MassMapper.from_pretrained(options.model)


@contextmanager
def _hushed():
    """Keep what libraries write to the standard error, at the level of the system; show it after an error.

    TensorFlow tells of the machine's instructions before it can be asked not to.
    """
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except Exception as error:
            said.seek(0)
            # an error of ours says all there is to say
            if not isinstance(error, (ValueError, OSError)):
                os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _told(options):
    """What goes to `MassMapper.predict`, if it was given."""
    names = ('distance', 'distance_error', 'seeing', 'zero_point', 'exposure', 'extinction', 'pixel_scale',
             'band', 'unit', 'hdu')
    told = {name: getattr(options, name) for name in names} | {'center': _center(options.center)}
    if options.annulus:
        told['background'] = 'annulus'
    return {name: value for name, value in told.items() if value is not None}


def _write(prediction, path, options):
    path.parent.mkdir(parents=True, exist_ok=True)
    prediction.write(path, overwrite=options.overwrite)
    if options.plot:
        figure = _figure_path(path)
        with replacing(figure) as temporary:
            prediction.plot().savefig(temporary, dpi=110)


def _write_table(rows, path):
    from astropy.table import vstack

    table = vstack(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        table.write(temporary, overwrite=True)


def _paths(images, output):
    """Where the prediction of each image goes."""
    if output.name.endswith(('.fits', '.fits.gz')):
        if len(images) > 1:
            raise ValueError(f'--output must be a folder, for {len(images)} images, received {output}')
        return [output]
    paths = [output / f'{_stem(image)}-pidoc.fits' for image in images]
    double = [path for path in set(paths) if paths.count(path) > 1]
    if double:
        raise ValueError(f'{min(double)} would be written twice: rename images of the same name')
    return paths


def _stem(image):
    name = image.name.removesuffix('.gz').removesuffix('.fz')
    return name.removesuffix('.fits').removesuffix('.fit')


def _figure_path(path):
    return path.with_name(f'{_stem(path)}.png')


def _check_free(options, paths):
    """No file that is there is replaced unasked, and this is known before the work."""
    if options.table and options.table.suffix not in ('.ecsv', '.csv', '.fits'):
        raise ValueError(f'--table must end in .ecsv, .csv or .fits, received {options.table}')
    wanted = list(paths) + ([options.table] if options.table else [])
    wanted += [_figure_path(path) for path in paths] if options.plot else []
    for path in wanted:
        if path.exists() and not options.overwrite:
            raise OSError(f'{path} exists: say --overwrite to replace it')


if __name__ == '__main__':
    sys.exit(main())
