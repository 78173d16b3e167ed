# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Masks by the conventions of those who make them: what means bad is bad, and nothing else."""

import numpy as np
import pytest
from astropy.io import fits

from pidoc.image.masks import MaskPlanes, planes_of
from pidoc.image.read import opened
from pidoc.tests.shared_data import shared

RUBIN = ('BAD', 'SAT', 'INTRP', 'CR', 'EDGE', 'DETECTED', 'DETECTED_NEGATIVE', 'SUSPECT', 'NO_DATA')


def bad_numbers(planes, numbers=range(15)):
    """Bits of which one alone makes a pixel bad."""
    numbers = list(numbers)
    return [k for k, bad in zip(numbers, planes.bad(2.0 ** np.array(numbers)), strict=True) if bad]


@pytest.mark.parametrize(('header', 'image_header', 'origin', 'bad'), [
    ({f'MP_{name}': k for k, name in enumerate(RUBIN)}, {}, 'MP_ cards', [0, 1, 3, 8]),
    ({'EXTNAME': 'DQ'}, {'TELESCOP': 'HST', 'INSTRUME': 'ACS'}, 'HST',
     [k for k in range(15) if k not in (5, 6)]),
    ({'EXTNAME': 'DQ'}, {'TELESCOP': 'JWST'}, 'JWST', [0]),
    ({'DES_EXT': 'MASK'}, {}, 'DES', [0, 1, 3, 4, 6, 7, 9, 10]),
    ({'EXTNAME': 'MSK'}, {'INSTRUME': 'DECam'}, 'DES', [0, 1, 3, 4, 6, 7, 9, 10]),
    ({'PLVER': 'V3.2'}, {'INSTRUME': 'DECam'}, 'DECam before version 3.5', [k for k in range(15) if k != 2]),
    ({}, {}, 'any', list(range(15))),
    ({'TELESCOP': None}, {'TELESCOP': 'Palomar'}, 'any', list(range(15)))])
def test_conventions(header, image_header, origin, bad):
    planes = planes_of(header, image_header)
    assert planes.origin == origin
    assert bad_numbers(planes) == bad
    assert not planes.bad(np.zeros(1))[0] and planes.bad(np.array([np.nan]))[0]
    # together with what does not matter
    assert planes.bad(np.array([2.0**5 + 2.0 ** bad[0]]))[0]


def test_codes():
    planes = planes_of({}, {'INSTRUME': 'DECam', 'PLVER': 'V4.8.2a'})
    assert planes.codes and planes.names[3] == 'SATURATED'
    np.testing.assert_array_equal(planes.bad(np.arange(9.0)), np.arange(9) > 0)
    np.testing.assert_array_equal(planes.forgiving('difference, 6').bad(np.arange(9.0)),
                                  [False, True, True, True, True, True, False, False, True])


def test_of_a_real_one():
    file = shared('images/decam_pal13/c4d_170916_045042_ood_r_ls9.N15.fits')
    with opened(file) as source:
        assert planes_of(source.header).origin == 'DECam'


@pytest.mark.parametrize('good', [96, '32,64', '32 64', ['CTE', 64], 'cte,WARM', (32, 'warm'), np.int64(96)])
def test_forgiving(good):
    plain = MaskPlanes('HST', {5: 'CTE', 6: 'WARM'})
    assert bad_numbers(plain.forgiving(good)) == [k for k in range(15) if k not in (5, 6)]
    assert bad_numbers(plain) == list(range(15))


@pytest.mark.parametrize(('good', 'error', 'message'), [
    ('WET', ValueError, "good_bits must be values or names of planes of the mask, CTE, received 'WET'"),
    (0, ValueError, 'good_bits must be above 0, received 0'),
    (1.5, TypeError, 'good_bits must be whole numbers or names of planes, received 1.5'),
    (True, TypeError, 'good_bits must be whole numbers or names')])
def test_what_cannot_be_forgiven(good, error, message):
    with pytest.raises(error, match=message):
        MaskPlanes('HST', {5: 'CTE'}).forgiving(good)
    with pytest.raises(ValueError, match="which has no names, received 'WET'"):
        MaskPlanes().forgiving('WET')


# -- in files ---------------------------------------------------------------------------------------

PIXELS, ALL = np.arange(12.0).reshape(3, 4), (0, 3, 0, 4)


def bad_of(image, **how):
    """Numbers of the bad pixels."""
    with opened(image, **how) as source:
        return np.flatnonzero(source.read(ALL)[1]).tolist()


def rubin(mask):
    """As Rubin writes its images."""
    header = fits.Header()
    for k, name in enumerate(RUBIN):
        header[f'HIERARCH MP_{name}'] = k
    return fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(PIXELS, name='IMAGE'),
                         fits.ImageHDU(np.array(mask, dtype=np.int32).reshape(3, 4), header, name='MASK'),
                         fits.ImageHDU(PIXELS * 0 + 1, name='VARIANCE')])


def test_what_was_detected_is_not_bad():
    image = rubin([0, 32, 33, 2, 4, 8, 16, 64, 128, 256, 0, 0])
    assert bad_of(image) == [2, 3, 5, 9]
    assert bad_of(image, good_bits='CR,BAD') == [3, 9]


def test_extension_dq():
    """Beside the image of its number, by the telescope of the primary header."""
    primary = fits.PrimaryHDU()
    primary.header['TELESCOP'] = 'HST'
    hdus = fits.HDUList([primary])
    for version, value in ((1, 64), (2, 4096)):
        hdus.append(fits.ImageHDU(PIXELS, name='SCI', ver=version))
        hdus.append(fits.ImageHDU(np.where(PIXELS == 5, value, 0).astype(np.int16), name='DQ', ver=version))
    assert bad_of(hdus, hdu=('SCI', 1)) == []
    assert bad_of(hdus, hdu=('SCI', 2)) == [5]
    assert bad_of(hdus, hdu=('SCI', 2), good_bits=4096) == []


def test_a_hdu_of_a_file(tmp_path):
    rubin([0, 1, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0]).writeto(tmp_path / 'a.fits')
    for mask in ('a.fits[MASK]', 'a.fits[2]'):
        assert bad_of(PIXELS, mask=tmp_path / mask) == [1]
    with opened(PIXELS, weight=str(tmp_path / 'a.fits[VARIANCE]')) as source:
        # by its name
        np.testing.assert_allclose(source.read(ALL)[2], 1.0)
    with pytest.raises(ValueError, match='mask must be one of the images of a.fits, .*: 1 IMAGE, 2 MASK'):
        bad_of(PIXELS, mask=tmp_path / 'a.fits[DQ]')
    with pytest.raises(FileNotFoundError, match='b.fits'):
        bad_of(PIXELS, mask=tmp_path / 'b.fits[1]')


@pytest.mark.parametrize(('name', 'deviation'), [('ERR', 4.0), ('VAR', 2.0), ('IVAR', 0.5), ('WHT', 0.5)])
def test_kinds_of_weights_by_name(name, deviation, tmp_path):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(PIXELS * 0 + 4, name=name)]).writeto(tmp_path / 'w.fits')
    with opened(PIXELS, weight=tmp_path / f'w.fits[{name}]') as source:
        np.testing.assert_allclose(source.read(ALL)[2], deviation)


def test_bits_without_a_mask():
    with pytest.raises(ValueError, match='good_bits are of a mask, which array has not: give mask, rec'):
        bad_of(PIXELS, good_bits=4)


def test_an_array_is_of_no_observatory():
    header = fits.Header({'TELESCOP': 'HST'})
    mask = np.where(PIXELS == 7, 64, 0)
    assert bad_of(fits.PrimaryHDU(PIXELS, header), mask=mask) == [7]
