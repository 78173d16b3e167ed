# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Whatever goes in, the same answer, a flag or a documented error comes out.

Examples are made by hypothesis: few and always the same ones here; 300 for each test with
``pytest pidoc/tests/test_fuzz.py --hypothesis-profile=long --hypothesis-seed=1``.
"""

import copy
import gzip
import hashlib
import io
import json
import math
import re
import shutil
import sys
import types
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.io.registry import IORegistryError
from astropy.nddata import CCDData
from astropy.wcs import WCS
from hypothesis import given, note
from hypothesis import strategies as st

import pidoc
from pidoc import Snapshot
from pidoc.grid import MapGrid
from pidoc.image.preparation import IMAGE_FLAGS, prepare
from pidoc.inference.folder import write_card
from pidoc.networks.shapes import weight_shapes
from pidoc.prediction.known import KNOWN
from pidoc.prediction.mapper import MassMapper
from pidoc.prediction.prediction import Prediction
from pidoc.scripts.pidoc_predict import main
from pidoc.tests.image_helpers import CENTER, expected, paint, stars, tan_wcs, truth, ZERO_POINT
from pidoc.tests.stand_in import StandIn
from pidoc.training_set.dataset import TrainingSet
from pidoc.training_set.recipe import Recipe

pytest.importorskip('reproject')

DOCUMENTED = (ValueError, TypeError, OSError)
# a small field makes cheap examples
FIELD, SIDE, SMOOTHING = 20.0, 40, 2.0
SMALL = {
    'field_of_view': FIELD * u.arcsec,
    'output_pixel_scale': FIELD / SIDE * u.arcsec,
    'smoothing': SMOOTHING,
}
SAMPLE = stars(150, radius=4.0)
COUNTS = 10.0 ** (0.4 * ZERO_POINT.value)
JANSKY = float(u.AB.to(u.Jy))


def documented(error):
    """Whether an error is one that the docstrings name, with words in it."""
    assert isinstance(error, DOCUMENTED), repr(error)
    # these are ValueErrors and TypeErrors of somebody else, who knows nothing of images
    text = ' '.join(str(error).split())
    assert len(text) > 15, repr(error)
    return text


def attempt(function, *args, **options):
    """What a function returns, or the text of a documented error; any other error fails the test."""
    try:
        return function(*args, **options)
    except DOCUMENTED as error:
        return documented(error)


# -- one sky in many forms ------------------------------------------------------------------------

FLUXES = {
    'Jy': 1.0,
    'mJy': 1e-3,
    'uJy': 1e-6,
    'nJy': 1e-9,
    'nanomaggy': 1e-9 * JANSKY,
    'MJy/sr': 1e6,
    'Jy / arcsec2': 1.0,
}


@st.composite
def skies(draw):
    """The same cluster, as somebody else would have stored it: HDU, and what has to be given."""
    scale = draw(st.sampled_from([0.2, 0.25, 0.258, 0.4, 0.5]))
    ny, nx = (math.ceil(n / scale) for n in draw(st.tuples(st.integers(56, 66), st.integers(56, 66))))
    offset = draw(st.tuples(st.floats(-4, 4), st.floats(-4, 4)))
    wcs = tan_wcs((ny, nx), scale, turn=draw(st.floats(0, 360)), offset=offset, mirror=draw(st.booleans()))
    options = {'center': CENTER, 'seeing': 1.0 * u.arcsec, 'background': 0.0} | SMALL
    # none without light, which has no magnitude
    pixels = np.maximum(paint(SAMPLE, wcs, (ny, nx)), 1e-9)
    header = fits.Header({'FILTER': 'V'})
    pixels = draw(calibrated(pixels, scale, header, options))
    header.update(draw(placed(wcs)))
    if header.get('BUNIT') != 'mag/arcsec2' and draw(st.booleans()):
        pixels = draw(as_integers(pixels))
    else:
        pixels = pixels.astype(draw(st.sampled_from(['>f8', '<f8', '>f4'])))
    if draw(st.booleans()):
        pixels, header = draw(padded(pixels, header))
    return pixels, header, options


@st.composite
def calibrated(draw, pixels, scale, header, options):
    kind = draw(st.sampled_from(['header', 'given', 'ab', 'rate', 'mag', *FLUXES]))
    vega = ZERO_POINT.value
    # of V in AB minus Vega: Blanton & Roweis (2007), table 1
    ab = vega + 0.02
    if kind == 'header':
        header['PHOTZP'], header['BUNIT'] = vega, draw(st.sampled_from(['adu', 'ct', 'electron', 'DN', '']))
    elif kind == 'given':
        options['zero_point'] = ZERO_POINT
    elif kind == 'ab':
        header['MAGZERO'], header['MAGSYS'] = ab, 'AB'
    elif kind == 'rate':
        # counts of a 100 s exposure, whose zero point is of one a second
        options['zero_point'], options['exposure'] = (vega - 5.0) * u.mag, 100.0 * u.s
    elif kind == 'mag':
        header['BUNIT'] = 'mag/arcsec2'
        pixels = vega - 2.5 * np.log10(pixels / scale**2)
    else:
        header['BUNIT'] = kind
        jansky = pixels * JANSKY * 10.0 ** (-0.4 * ab)
        area = {'MJy/sr': float((scale * u.arcsec).to_value(u.rad)) ** 2, 'Jy / arcsec2': scale**2}
        pixels = jansky / FLUXES[kind] / area.get(kind, 1.0)
    return pixels


@st.composite
def placed(draw, wcs):
    """World coordinates in one of the ways to write them."""
    header = wcs.to_header()
    matrix = np.array(wcs.wcs.cd)
    way = draw(st.sampled_from(['pc', 'cd', 'arcsec', 'galactic', 'fk5']))
    for keyword in ('PC1_1', 'PC1_2', 'PC2_1', 'PC2_2', 'CDELT1', 'CDELT2'):
        header.pop(keyword, None)
    unit = 1.0 if way != 'arcsec' else 3600.0
    if way == 'arcsec':
        header['CUNIT1'] = header['CUNIT2'] = 'arcsec'
        for keyword in ('CRVAL1', 'CRVAL2'):
            header[keyword] *= 3600.0
    if way == 'galactic':
        matrix = to_galactic(header) @ matrix
    if way == 'fk5':
        header['RADESYS'], header['EQUINOX'] = 'FK5', 2000.0
    split = way == 'pc'
    step = np.hypot(*matrix[:, 0]) if split else 1.0
    for i in (1, 2):
        for j in (1, 2):
            header[f'{"PC" if split else "CD"}{i}_{j}'] = matrix[i - 1, j - 1] * unit / step
        if split:
            header[f'CDELT{i}'] = step
    return header


def to_galactic(header):
    """Turn a header to galactic coordinates; the rotation of the plane, longitude growing to the left."""
    galactic = CENTER.galactic
    header['CTYPE1'], header['CTYPE2'] = 'GLON-TAN', 'GLAT-TAN'
    header['CRVAL1'], header['CRVAL2'] = galactic.l.deg, galactic.b.deg
    for keyword in ('RADESYS', 'EQUINOX'):
        header.pop(keyword, None)
    north = CENTER.directional_offset_by(0 * u.deg, 1 * u.arcsec).galactic
    angle = galactic.position_angle(north).rad
    # of what points to the north, and of what points to the east
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


@st.composite
def as_integers(draw, pixels):
    """Integers with BSCALE and BZERO, fine enough."""
    bits = draw(st.sampled_from([16, 32]))
    low, high = float(pixels.min()), float(pixels.max())
    scale = (high - low) / (2.0**bits - 100.0)
    zero = low + scale * (2.0 ** (bits - 1) - 50.0)
    stored = np.round((pixels - zero) / scale).astype(f'>i{bits // 8}')
    return stored, scale, zero


@st.composite
def padded(draw, pixels, header):
    """More rows and columns around, in which nothing was seen."""
    if isinstance(pixels, tuple):
        return pixels, header
    left, low, right, high = draw(st.tuples(*[st.integers(0, 9)] * 4))
    pixels = np.pad(pixels, ((low, high), (left, right)), constant_values=np.nan)
    header = header.copy()
    header['CRPIX1'] += left
    header['CRPIX2'] += low
    return pixels, header


@st.composite
def stored(draw, pixels, header):
    """In memory, or as a file: the bytes of a file, or an object."""
    scaled = None
    if isinstance(pixels, tuple):
        pixels, *scaled = pixels
    way = draw(st.sampled_from(['primary', 'extension', 'gzip', 'tiles', 'cube', 'hdus', 'ccd']))
    if way == 'cube':
        pixels = pixels[np.newaxis]
    if scaled:
        # what is in the file is what was written
        hdu = fits.ImageHDU(pixels, header)
        hdu.header['BSCALE'], hdu.header['BZERO'] = scaled
        pixels = hdu.data if way in ('hdus', 'ccd') else pixels
        if way in ('ccd', 'hdus', 'tiles'):
            values, header = pixels.astype(float) * scaled[0] + scaled[1], header.copy()
            pixels, scaled = values.astype('>f4'), None
    if way == 'ccd':
        meta = header.copy()
        unit = meta.pop('BUNIT', '') or 'adu'
        return CCDData(np.array(pixels, dtype=float), unit=_unit(unit), wcs=WCS(header), meta=meta)
    if way == 'hdus':
        return fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels, header, name='SCI')])
    if way == 'tiles':
        kind = draw(st.sampled_from(['GZIP_1', 'GZIP_2']))
        hdu = fits.CompImageHDU(pixels, header, compression_type=kind, quantize_level=0.0)
        return written([fits.PrimaryHDU(), hdu])
    first = [] if way in ('primary', 'gzip', 'cube') else [fits.PrimaryHDU()]
    hdu = (fits.ImageHDU if first else fits.PrimaryHDU)(pixels, header)
    content = written([*first, hdu])
    if scaled:
        content = with_scaling(content, *scaled)
    return gzip.compress(content) if way == 'gzip' else content


def _unit(text):
    return u.Unit({'nanomaggy': '1e-9 mgy', 'mag/arcsec2': 'mag/arcsec2'}.get(text, text))


def written(hdus):
    """The bytes of a file."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        fits.HDUList(hdus).writeto(stream, output_verify='ignore')
    return stream.getvalue()


def with_scaling(content, scale, zero):
    """BSCALE and BZERO put into the bytes: astropy would scale what it is given."""
    end = content.rfind(b'BITPIX', 0, len(content))
    cards = b''.join(
        f'{keyword:<8}= {value!r:>20}'.ljust(80).encode()
        for keyword, value in (('BSCALE', scale), ('BZERO', zero))
    )
    # after the last card of the header that holds the image
    stop = content.find(b'END'.ljust(80), end)
    start = (
        content.rfind(b'SIMPLE', 0, end)
        if content.rfind(b'XTENSION', 0, end) < 0
        else content.rfind(b'XTENSION', 0, end)
    )
    old = len(content[start:stop]) + 80
    room = -old % 2880
    rest = content[start + old + room :]
    head = content[start:stop] + cards + b'END'.ljust(80)
    return content[:start] + head + b' ' * (-len(head) % 2880) + rest


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    return tmp_path_factory.mktemp('fuzz')


def put(place, image):
    """A path where there were bytes; what is in memory as it is."""
    if not isinstance(image, bytes):
        return image
    path = place / ('image.fits.gz' if image.startswith(b'\x1f\x8b') else 'image.fits')
    path.write_bytes(image)
    return path


@given(st.data())
def test_one_sky_in_many_forms(place, data):
    pixels, header, options = data.draw(skies())
    image = data.draw(stored(pixels, header))
    light = prepare(put(place, image), **options)
    wanted = expected(truth(SAMPLE, smoothing=SMOOTHING, number=SIDE, scale=FIELD / SIDE))
    error = np.abs(np.nan_to_num(light.data) - wanted).max() / wanted.max()
    note(f'largest error {error:.4f}, total {light.data.sum() / wanted.sum():.4f}, {light.meta["FLAGS"]}')
    # a share of a pixel: pixels of the map are as large as those of the image here
    assert error < 0.04
    assert light.data.sum() == pytest.approx(wanted.sum(), rel=5e-3)
    assert set(light.meta['FLAGS'].split()) <= {'coarse-pixels'}


# -- headers that are wrong ------------------------------------------------------------------------


class Small(StandIn):
    """Of maps of 10 arcsec."""

    grid = MapGrid(shape=(40, 40))


MAPPER = MassMapper(Small(), name='stand-in')
OF_MAPPER = {'field_of_view': 10.0 * u.arcsec}


def plain():
    """An image of 60 x 60 pixels of 0.4 arcsec, with a complete header."""
    wcs = tan_wcs((60, 60), 0.4, turn=20.0)
    header = fits.Header(
        {
            'BUNIT': 'adu',
            'PHOTZP': ZERO_POINT.value,
            'MAGSYS': 'Vega',
            'FILTER': 'V',
            # of another one the zero point may be of one count a second, which is noted
            'EXPTIME': 1.0,
            'OBJECT': 'NGC 1',
        }
    )
    header.update(wcs.to_header())
    return paint(SAMPLE, wcs, (60, 60)).astype('>f4'), header


def numbers(prediction):
    return np.array([*prediction.total_mass.in_unit(u.Msun), *prediction.luminosity.in_unit(u.Lsun)])


@pytest.fixture(scope='module')
def right(place):
    """What is said of the image as it should be."""
    return numbers(MAPPER.predict(put(place, written([fits.PrimaryHDU(*plain())])), **OF_MAPPER))


VITAL = [
    'BUNIT',
    'PHOTZP',
    'FILTER',
    'CTYPE1',
    'CTYPE2',
    'CRPIX1',
    'CRVAL2',
    'CUNIT1',
    'CDELT1',
    'CDELT2',
    'PC1_1',
    'PC1_2',
    'PC2_1',
    'PC2_2',
    'RADESYS',
    'LONPOLE',
    'LATPOLE',
    'MAGSYS',
]
JUNK = [
    '',
    "'",
    "''",
    "'   '",
    'T',
    'F',
    'NaN',
    'INF',
    "'NaN'",
    "'12,5'",
    '1E400',
    '-1E400',
    '0',
    '0.0',
    '1D308',
    '-99',
    "'V '",
    "'unknown'",
    '(1, 2)',
    "'\xe4\xf6'",
    '9' * 60,
    "'" + 'x' * 60,
    "'a' / 'b' / 'c'",
    'not a value',
    '1.0.0',
    '0x10',
    '+',
    '--3',
    "'<b>'",
    "'{}'",
    "'%s'",
    '2000-01-01',
]


def card(keyword, text):
    return f'{keyword:<8}= {text}'[:80].ljust(80).encode('latin-1')


class Content(bytes):
    """Bytes of a file that remember what was done to them."""

    def __new__(cls, content, changes=()):
        self = super().__new__(cls, content)
        self.changes = tuple(changes)
        return self

    def __repr__(self):
        return f'<{len(self)} bytes, {self.changes}>'


@st.composite
def spoiled(draw):
    """The bytes of the image, some cards of which are not what they should be; and whether these matter."""
    content = written([fits.PrimaryHDU(*plain())])
    end = content.index(b'END'.ljust(80))
    cards = [content[k : k + 80] for k in range(0, end, 80)]
    matters, before = False, list(cards)
    for _ in range(draw(st.integers(1, 3))):
        way = draw(st.sampled_from(['value', 'gone', 'twice', 'strange', 'extra', 'bytes']))
        keyword = draw(st.sampled_from(VITAL))
        rows = [k for k, each in enumerate(cards) if each.startswith(keyword.ljust(8).encode())]
        if way in ('value', 'gone', 'bytes') and rows:
            matters = True
        if way == 'value' and rows:
            cards[rows[0]] = card(keyword, draw(st.sampled_from(JUNK)))
        elif way == 'gone' and rows:
            del cards[rows[0]]
        elif way == 'twice':
            # a reader takes the first one
            cards.append(card(keyword, draw(st.sampled_from(JUNK))))
            matters = matters or not rows
        elif way == 'strange':
            text = draw(
                st.sampled_from(
                    [
                        'HIERARCH A B = 1',
                        'lower   = 1',
                        'COMMENT \xff\xfe',
                        'NO EQUALS',
                        '= 3',
                        '\x00' * 80,
                        'HISTORY \t',
                        "CONTINUE  'x",
                        'END OF IT = 2',
                        'D\xc3\xbcrer  = 1',
                        "CLUSTER = 'M\xfcnchen'",
                    ]
                )
            )
            cards.insert(draw(st.integers(5, len(cards))), text[:80].ljust(80).encode('latin-1'))
        elif way == 'extra':
            name = draw(
                st.sampled_from(
                    [
                        'EXPTIME',
                        'MAGZERO',
                        'PHOTFLAM',
                        'PHOTPLAM',
                        'MAGZPT',
                        'FLAGS',
                        'BSOFTEN',
                        'CONVENT',
                        'SMOOTH',
                        'PSFFWHM',
                        'PIXSCALE',
                        'CD1_1',
                        'CROTA2',
                        'PV2_1',
                        'A_ORDER',
                        'EQUINOX',
                        'DATE-OBS',
                        'MJD-OBS',
                        'BLANK',
                        'BZERO',
                        'BSCALE',
                        'WCSAXES',
                        'CTYPE3',
                        'PCOUNT',
                        'GROUPS',
                        'EXTEND',
                        'OBJECT',
                        'FPA.ZP',
                        'D2IMDIS1',
                        'CPDIS1',
                        'NAXIS3',
                        'LATPOLE',
                        'VELREF',
                        'TELESCOP',
                    ]
                )
            )
            matters = True
            cards.insert(draw(st.integers(5, len(cards))), card(name, draw(st.sampled_from(JUNK))))
        elif way == 'bytes':
            k = draw(st.integers(0, len(cards) - 1))
            matters = True
            place, value = draw(st.integers(0, 79)), draw(st.integers(0, 255))
            cards[k] = cards[k][:place] + bytes([value]) + cards[k][place + 1 :]
    head = b''.join(cards) + b'END'.ljust(80)
    start = end + 80 + -(end + 80) % 2880
    changes = [each for each in cards if each not in before]
    changes += [b'without ' + each for each in before if each not in cards]
    return Content(head + b' ' * (-len(head) % 2880) + content[start:], changes), matters


@given(spoiled())
def test_spoiled_headers(place, right, example):
    content, matters = example
    prediction = attempt(MAPPER.predict, put(place, content), **OF_MAPPER)
    note(str(prediction))
    if isinstance(prediction, str):
        return
    found = numbers(prediction)
    assert np.all(np.isfinite(found)) and np.all(found > 0.0)
    flags = str(prediction.light.meta['FLAGS']).split()
    assert not set(flags) - set(IMAGE_FLAGS)
    if not (matters or flags):
        np.testing.assert_allclose(found, right, rtol=1e-5)


@given(st.sampled_from(VITAL), st.sampled_from(['', *JUNK, None]), st.sampled_from(['pc', 'cd']))
def test_one_vital_card(place, right, keyword, text, way):
    """Gone, or no number where one is needed: an error, a flag, or it did not matter."""
    pixels, header = plain()
    if way == 'cd':
        for i in (1, 2):
            for j in (1, 2):
                header[f'CD{i}_{j}'] = header.pop(f'PC{i}_{j}')
            del header[f'CDELT{i}']
        keyword = keyword.replace('PC', 'CD')
    content = written([fits.PrimaryHDU(pixels, header)])
    start = content.find(f'{keyword:<8}='.encode())
    new = b' ' * 80 if text is None else card(keyword, text)
    if start < 0:
        return
    content = Content(content[:start] + new + content[start + 80 :], [new])
    prediction = attempt(MAPPER.predict, put(place, content), **OF_MAPPER)
    note(str(prediction))
    if isinstance(prediction, str):
        return
    legal = text is not None and re.fullmatch(r'-?[\d.]+', text)
    if text is None and keyword[:2] in ('PC', 'CD') and keyword[3:4] == '_':
        # the standard says what they are where they are missing: 1 and 0
        return
    if not (legal or prediction.light.meta['FLAGS']):
        np.testing.assert_allclose(numbers(prediction), right, rtol=1e-5)


# -- files that are damaged -----------------------------------------------------------------------


@st.composite
def damaged(draw, content):
    """Cut short, with other bytes in places, or something else altogether."""
    way = draw(st.sampled_from(['cut', 'bytes', 'bytes', 'block', 'doubled', 'other']))
    size = len(content)
    if way == 'cut':
        end = draw(st.one_of(st.integers(0, size), st.integers(0, size // 2880).map(lambda n: 2880 * n)))
        return Content(content[:end], [f'cut to {end}'])
    if way == 'bytes':
        # headers are at the beginning
        low = draw(st.sampled_from([min(6000, size), size])) - 1
        changes = draw(
            st.lists(st.tuples(st.integers(0, max(low, 0)), st.integers(0, 255)), min_size=1, max_size=6)
        )
        new = bytearray(content)
        for where, value in changes:
            new[where] = value
        return Content(new, changes)
    if way == 'block':
        where = draw(st.integers(0, size // 2880)) * 2880
        return Content(content[:where] + content[where + 2880 :], [f'without the block at {where}'])
    if way == 'doubled':
        where = draw(st.integers(0, size // 2880)) * 2880
        return Content(content[:where] + content[max(where - 2880, 0) :], [f'a block twice at {where}'])
    return Content(
        draw(
            st.one_of(
                st.binary(max_size=200),
                st.sampled_from(
                    [
                        b'<!DOCTYPE html><html><body>404 Not Found</body></html>',
                        b'{"error": "no such file"}',
                        b'',
                        b'\n',
                        b'SIMPLE  =                    T',
                        gzip.compress(b'no image', mtime=0),
                        gzip.compress(content, mtime=0)[:400],
                        b'\x1f\x8b',
                        b'BZh91AY&SY',
                        b'\xfd7zXZ\x00',
                        b'PK\x03\x04' + b'\0' * 40,
                        b'\x89HDF\r\n\x1a\n' + b'\0' * 100,
                        b'\x80\x04\x95',
                        b'SIMPLE  =                    T'.ljust(80) + b'END'.ljust(2800),
                        b'version https://git-lfs.github.com/spec/v1\noid sha256:0\n',
                    ]
                ),
            )
        ),
        ['something else'],
    )


@given(data=st.data(), compressed=st.booleans())
def test_damaged_images(place, right, data, compressed):
    hdus = [fits.PrimaryHDU(*plain())]
    if compressed:
        hdus = [fits.PrimaryHDU(), fits.CompImageHDU(*plain(), compression_type='GZIP_1', quantize_level=0)]
    image = data.draw(damaged(written(hdus)))
    prediction = attempt(MAPPER.predict, put(place, image), **OF_MAPPER)
    note(str(prediction))
    if not isinstance(prediction, str):
        assert np.all(np.isfinite(numbers(prediction)))
        if image.changes[0] == 'something else' or str(image.changes[0]).startswith('cut'):
            np.testing.assert_allclose(numbers(prediction), right, rtol=1e-5)


# without a checksum nobody can see that a column less is a lie
@given(
    size=st.sampled_from(['0', '-1', '61', '3000000000', '99999999999999999999', "'60'", '60.0', 'T']),
    keyword=st.sampled_from(
        ['NAXIS1', 'NAXIS2', 'NAXIS', 'BITPIX', 'PCOUNT', 'GCOUNT', 'ZNAXIS1', 'ZTILE1', 'ZBITPIX', 'TFIELDS']
    ),
    compressed=st.booleans(),
)
def test_sizes_that_are_not_those(place, right, size, keyword, compressed):
    """A header that promises more, or less, than there is."""
    hdus = [fits.PrimaryHDU(*plain())]
    if compressed:
        hdus = [fits.PrimaryHDU(), fits.CompImageHDU(*plain(), compression_type='GZIP_1', quantize_level=0)]
    content = written(hdus)
    start = content.rfind(f'{keyword:<8}='.encode())
    if start < 0:
        return
    prediction = attempt(
        MAPPER.predict, put(place, content[:start] + card(keyword, size) + content[start + 80 :]), **OF_MAPPER
    )
    note(str(prediction))
    if not isinstance(prediction, str):
        np.testing.assert_allclose(numbers(prediction), right, rtol=1e-5)


# -- pixels and arguments -------------------------------------------------------------------------


@given(data=st.data())
def test_strange_pixels(data):
    """No number that is not finite comes out, and what went in stays as it was."""
    pixels, header = plain()
    pixels = pixels.astype(
        data.draw(st.sampled_from(['f8', 'f4', '>f4', 'f2', 'c16', 'i2', 'u8', 'bool', 'O', 'U5']))
    )
    with np.errstate(all='ignore'), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for _ in range(data.draw(st.integers(0, 3))):
            rows, columns = (slice(*sorted(data.draw(st.tuples(*[st.integers(0, 60)] * 2)))) for _ in 'yx')
            value = data.draw(
                st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1e6, 1e30, 1e300, -1e300, 5e-324, 65535])
            )
            try:
                pixels[rows, columns] = value
            except (OverflowError, ValueError):
                pass
    shape = data.draw(
        st.sampled_from([None, (1, 3600), (3600,), (60, 60, 1), (1, 1, 60, 60), (0, 60), (2, 30, 60)])
    )
    pixels = pixels if shape is None else pixels[:0] if shape == (0, 60) else pixels.reshape(shape)
    mask = data.draw(st.sampled_from([None, 'none', 'all', 'wrong', 'some']))
    mask = {
        'none': np.zeros(pixels.shape, bool),
        'all': np.ones(pixels.shape, bool),
        'wrong': np.zeros((3, 3), bool),
        'some': np.indices(pixels.shape).sum(axis=0) % 5 == 0,
    }.get(mask)
    before = pixels.copy()
    prediction = attempt(
        MAPPER.predict,
        pixels,
        mask=mask,
        unit='adu',
        zero_point=ZERO_POINT,
        band='V',
        pixel_scale=0.4 * u.arcsec,
        center=data.draw(st.sampled_from([None, (29.5, 29.5)])),
        **OF_MAPPER,
    )
    note(str(prediction))
    np.testing.assert_array_equal(pixels.astype(str), before.astype(str))
    if not isinstance(prediction, str):
        found = numbers(prediction)
        assert np.all(np.isfinite(found)) and np.all(found > 0.0)
        assert np.all(np.isfinite(prediction.mass.data)) and np.all(np.isfinite(prediction.light.data))


ODD = [
    None,
    '',
    'x',
    0,
    -1,
    1.5,
    math.nan,
    math.inf,
    True,
    1 * u.arcsec,
    -1 * u.arcsec,
    0 * u.arcsec,
    math.nan * u.arcsec,
    1 * u.mag,
    [1, 2] * u.arcsec,
    [3, 1] * u.arcsec,
    math.inf * u.mag,
    1 * u.kpc,
    [1, 2] * u.kpc,
    math.nan * u.kpc,
    -1 * u.kpc,
    1e300 * u.kpc,
    1e-300 * u.kpc,
    1 * u.s,
    0 * u.s,
    (1, 2),
    (math.nan, 1),
    [1, 2],
    [],
    {},
    {'g': 1},
    b'x',
    'M13',
    'annulus',
    u.adu,
    u.kg,
    'adu',
    'kg',
    'mag/arcsec2',
    'V',
    'r',
    np.zeros(3),
    np.zeros((60, 60)),
    CENTER,
    object(),
    1e9 * u.arcsec,
    1e-9 * u.arcsec,
    500 * u.mag,
    -500 * u.mag,
    10**30,
    'SCI',
    ('SCI', 1),
    StandIn,
    len,
]


@given(
    st.dictionaries(
        st.sampled_from(
            [
                'hdu',
                'unit',
                'zero_point',
                'exposure',
                'band',
                'pixel_scale',
                'center',
                'seeing',
                'seeing_range',
                'background',
                'mask',
                'weight',
                'colour',
                'extinction',
                'min_coverage',
                *KNOWN,
            ]
        ),
        st.sampled_from(range(len(ODD))),
        min_size=1,
        max_size=2,
    )
)
def test_strange_arguments(place, chosen):
    path = put(place, written([fits.PrimaryHDU(*plain())]))
    prediction = attempt(MAPPER.predict, path, **OF_MAPPER, **{name: ODD[k] for name, k in chosen.items()})
    note(f'{ {name: ODD[k] for name, k in chosen.items()} }: {prediction}')
    if not isinstance(prediction, str):
        found = numbers(prediction)
        assert np.all(np.isfinite(found)) and np.all(found > 0.0)


@given(
    st.sampled_from(['smoothing', 'field_of_view', 'output_pixel_scale', 'image']),
    st.sampled_from(range(len(ODD))),
)
def test_strange_grids(place, name, k):
    path = put(place, written([fits.PrimaryHDU(*plain())]))
    if name == 'image':
        attempt(prepare, ODD[k])
        return
    found = attempt(prepare, path, **(SMALL | {name: ODD[k]}))
    note(f'{ODD[k]!r}: {found}')


# -- predictions, snapshots, models, sets, recipes --------------------------------------------------


@pytest.fixture(scope='module')
def product(place):
    """The bytes of the file of a prediction, with and without checksums."""
    prediction = MAPPER.predict(put(place, written([fits.PrimaryHDU(*plain())])), **OF_MAPPER)
    prediction.write(place / 'product.fits', overwrite=True)
    return prediction, (place / 'product.fits').read_bytes()


@given(data=st.data(), sums=st.booleans())
def test_damaged_predictions(place, product, data, sums):
    prediction, content = product
    if not sums:
        content = content.replace(b'CHECKSUM=', b'CHECKSUN=').replace(b'DATASUM =', b'DATASUN =')
    content = data.draw(damaged(content))
    path = place / 'damaged.fits'
    path.write_bytes(content)
    again = attempt(Prediction.read, path)
    note(str(again))
    if sums and not isinstance(again, str):
        np.testing.assert_allclose(numbers(again), numbers(prediction), rtol=1e-5)
    if not isinstance(again, str):
        attempt(again.summary)
        attempt(again.to_row)


SOURCES = [
    'nbody6',
    'petar',
    'petar-text',
    'hdf5',
    'cmc',
    'amuse',
    'table.ecsv',
    'table.csv',
    'table.fits',
    'snapshot.fits',
]


@pytest.fixture(scope='module')
def snapshots(tmp_path_factory):
    """Small files of all formats: their bytes, and what their reader needs."""
    from pidoc.tests.cluster import test_foreign as made

    folder = tmp_path_factory.mktemp('snapshots')
    table = made.star_table()
    found = {
        'nbody6': (made.nbody_bytes(times=(0.0, 1.0)), {'at': 0}),
        'petar': (made.petar_bytes(), {}),
        'petar-text': (made.petar_text().encode(), {}),
    }
    for ending in ('ecsv', 'csv', 'fits'):
        path = folder / f'table.{ending}'
        table.write(path, overwrite=True)
        found[path.name] = path.read_bytes(), {'age': 1 * u.Gyr}
    Snapshot.read(folder / 'table.ecsv', age=1 * u.Gyr).write(folder / 'snapshot.fits')
    found['snapshot.fits'] = (folder / 'snapshot.fits').read_bytes(), {}
    return found


# astropy leaves files open in which it looks in vain for something compressed
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@given(data=st.data(), name=st.sampled_from(SOURCES))
def test_damaged_snapshots(place, snapshots, data, name):
    if name not in snapshots:
        return
    content, options = snapshots[name]
    path = place / name
    path.write_bytes(data.draw(damaged(content)))
    try:
        snapshot = attempt(Snapshot.read, path, **options)
    except IORegistryError as error:
        # no format is recognised
        snapshot = str(error)
    note(str(snapshot))
    if not isinstance(snapshot, str):
        assert np.isfinite(snapshot.total_mass.value)


@st.composite
def other_values(draw, tree):
    """A tree of dicts and lists in which one or two values are other ones, gone, or of another kind."""
    tree = json.loads(json.dumps(tree))
    for _ in range(draw(st.integers(1, 2))):
        branch, key = tree, None
        while True:
            keys = list(branch) if isinstance(branch, dict) else list(range(len(branch)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(branch[key], (dict, list)) and branch[key] and draw(st.integers(0, 3)):
                branch = branch[key]
                continue
            if draw(st.integers(0, 3)):
                # a copy: the next round may change what is in it
                branch[key] = copy.deepcopy(draw(
                    st.sampled_from(
                        [
                            None,
                            0,
                            -1,
                            1e308,
                            0.5,
                            '',
                            'x',
                            '../x',
                            '/etc/passwd',
                            [],
                            {},
                            [1],
                            True,
                            {'low': 1},
                            {'low': 2, 'high': 1},
                            [[]],
                            10**30,
                            'nan',
                            'é',
                            3,
                            math.nan,
                            math.inf,
                        ]
                    )
                ))
            else:
                del branch[key]
            break
    return tree


@given(data=st.data())
def test_damaged_recipes(data):
    from pidoc.tests.training_set.test_dataset import content, NOISE, part

    recipe = content(part=[part(conditions=NOISE)])
    attempt(Recipe, data.draw(other_values(recipe)))


@given(data=st.data(), name=st.sampled_from(['table1', 'default']))
def test_damaged_recipe_files(place, data, name):
    path = next(iter((Path(pidoc.__file__).parent / 'data' / 'recipes').glob('*.toml')))
    content = path.read_bytes()
    (place / 'recipe.toml').write_bytes(data.draw(damaged(content)))
    attempt(Recipe.read, place / 'recipe.toml')


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """model.json of a packaged model, with weights of few bytes."""
    source = next(iter(sorted((Path(pidoc.__file__).parent / 'models').glob('*/model.json'))))
    return json.loads(source.read_text(encoding='utf-8'))


@given(data=st.data())
def test_damaged_models(place, model, monkeypatch, data):
    from pidoc.inference import estimator

    folder = place / 'model'
    folder.mkdir(exist_ok=True)
    card = dict(model, sha256={name: hashlib.sha256(b'weights').hexdigest() for name in model['sha256']})
    for name in card['sha256']:
        (folder / name).write_bytes(b'weights')
    if data.draw(st.booleans()):
        (folder / 'model.json').write_bytes(data.draw(damaged(json.dumps(card).encode())))
    else:
        # with the right checksum, or nothing else would be looked at
        write_card(folder, data.draw(other_values(card)))
    # as if the weights were those that the card asks for
    monkeypatch.setattr(estimator, 'read_weights', lambda path: None)
    monkeypatch.setattr(estimator, 'ClusterForward', lambda weights, config: weight_shapes(**config))
    attempt(MassMapper.from_pretrained, folder)


@pytest.fixture(scope='module')
def a_set(tmp_path_factory):
    from pidoc.simulation.run import run
    from pidoc.tests.training_set.test_dataset import AGES, build, content, part

    folder = tmp_path_factory.mktemp('set')
    for model, _ in Recipe(content()).models.values():
        run(model, folder / 'runs' / model.name, ages=AGES * u.Myr, progress=False)
    build(folder / 'set', folder / 'runs', part=[part(number=4)])
    return folder


@given(
    data=st.data(),
    name=st.sampled_from(['manifest.json', 'manifest.json', 'maps.fits', 'first-train-0000.fits']),
)
def test_damaged_sets(a_set, place, data, name):
    folder = place / 'set'
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(a_set / 'set', folder)
    content = (folder / name).read_bytes()
    if name == 'manifest.json' and data.draw(st.booleans()):
        content = json.dumps(data.draw(other_values(json.loads(content)))).encode()
    else:
        content = data.draw(damaged(content))
    (folder / name).write_bytes(content)
    found = attempt(TrainingSet.read, folder)
    note(f'{name}: {found}')
    if not isinstance(found, str):
        attempt(found.light)
        attempt(found.mock, 0)


# astropy leaves files open in which it looks in vain for something compressed
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@given(data=st.data(), name=st.sampled_from(['model.fits', 'log.fits', 'snapshots/snapshot_00001.fits']))
def test_damaged_runs(a_set, place, data, name):
    from pidoc.simulation.run import _Record, read_log

    folder = place / 'run'
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(a_set / 'runs' / 'a', folder)
    (folder / name).write_bytes(data.draw(damaged((folder / name).read_bytes())))
    attempt(read_log, folder)
    attempt(_Record.read, folder / 'model.fits')
    attempt(Snapshot.read, folder / 'snapshots' / 'snapshot_00001.fits')


@given(data=st.data())
def test_damaged_checkpoints(a_set, place, data):
    from pidoc.simulation.evolve import Simulation

    if not (a_set / 'checkpoint.npz').exists():
        from pidoc.tests.training_set.test_dataset import content

        model, _ = next(iter(Recipe(content()).models.values()))
        simulation = Simulation(model)
        simulation.save(a_set / 'checkpoint.npz')
    (place / 'checkpoint.npz').write_bytes(data.draw(damaged((a_set / 'checkpoint.npz').read_bytes())))
    attempt(Simulation.load, place / 'checkpoint.npz')


# -- the command ----------------------------------------------------------------------------------


class Whole(StandIn):
    """Loads without looking."""

    @classmethod
    def load(cls, folder):
        return cls()


@given(data=st.data())
def test_the_command(place, monkeypatch, data):
    """One line for each bad image, and status 2; the others are worked on."""
    estimator = types.ModuleType('pidoc.inference.estimator')
    estimator.Estimator = Whole
    monkeypatch.setitem(sys.modules, 'pidoc.inference.estimator', estimator)
    (place / 'stand-in').mkdir(exist_ok=True)
    (place / 'stand-in' / 'model.json').write_text('{}')
    wcs = tan_wcs((110, 110), 0.5)
    header = fits.Header({'BUNIT': 'adu', 'PHOTZP': ZERO_POINT.value, 'FILTER': 'V'})
    header.update(wcs.to_header())
    image = written([fits.PrimaryHDU(paint(SAMPLE, wcs, (110, 110)).astype('>f4'), header)])
    (place / 'bad.fits').write_bytes(data.draw(damaged(image)))
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        status = main(
            [
                str(place / 'bad.fits'),
                '-o',
                str(place / 'out'),
                '--overwrite',
                '--model',
                str(place / 'stand-in'),
            ]
        )
    lines = [line for line in errors.getvalue().splitlines() if 'pidoc-predict: ' in line]
    note(errors.getvalue())
    assert 'Traceback' not in errors.getvalue()
    assert status in (0, 2)
    assert (status == 0) == ('written to' in output.getvalue())
    if status == 2:
        assert len(lines) == 1 and lines[0].startswith('pidoc-predict: ')
