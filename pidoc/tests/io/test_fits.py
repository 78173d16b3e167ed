# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""FITS files: what is damaged is refused, what is written is whole; images and tables as HDUs."""

import gzip
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import FITSFixedWarning, WCS

from pidoc.io.fits import (
    card,
    card_value,
    damage_of,
    FitsProduct,
    float_type,
    image_hdus,
    image_of,
    is_structure,
    mask_hdu,
    meta_of,
    opened_fits,
    read_table,
    table_hdu,
    wcs_of,
    write_hdus,
    WrongContentError,
)


class OursError(ValueError):
    pass


@pytest.fixture
def path(tmp_path):
    """A file of an image, a mask and a table, with checksums."""
    table = Table({'name': ['a', 'bc', 'd'], 'mass': [1.0, np.nan, 3.0], 'number': [1, 2, 3]})
    table['mass'].unit = u.Msun
    hdus = [fits.PrimaryHDU(np.arange(12000.0).reshape(100, 120)), table_hdu(table, 'TABLE')]
    hdus[1].header['NOTHING'] = None
    write_hdus(hdus, tmp_path / 'a.fits')
    return tmp_path / 'a.fits'


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


# -- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize('open_it', [str, lambda path: path, lambda path: path.open('rb')])
def test_a_whole_file(path, open_it):
    with opened_fits(open_it(path)) as hdus:
        assert [hdu.name for hdu in hdus] == ['PRIMARY', 'TABLE'] and hdus[0].data[1, 2] == 122


@pytest.mark.parametrize('share', [0.9, 0.5, 0.001, 0.0])
def test_cut_short(path, share):
    content = path.read_bytes()
    path.write_bytes(content[:int(share * len(content))])
    with pytest.raises(OursError, match='a.fits is damaged or cut short: '), \
            opened_fits(path, OursError) as hdus:
        _ = [hdu.data for hdu in hdus]


def test_a_flipped_bit(path):
    flip(path, 50_000)
    with pytest.raises(OursError, match='a.fits is damaged or cut short: Checksum verification failed'), \
            opened_fits(path, OursError) as hdus:
        _ = hdus[0].data
    with opened_fits(path, checksum=False) as hdus:
        assert hdus[0].shape == (100, 120)


def test_another_name(path):
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match='^the answer is damaged or cut short'), \
            opened_fits(path, name='the answer') as hdus:
        _ = hdus[0].data


def test_compressed(path):
    content = gzip.compress(path.read_bytes())
    path.write_bytes(content)
    with opened_fits(path) as hdus:
        assert len(hdus) == 2
    path.write_bytes(content[:1000])
    with pytest.raises(ValueError, match='a.fits is damaged or cut short'), opened_fits(path) as hdus:
        _ = hdus[0].data


def test_no_file_and_no_fits(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.fits'), opened_fits(tmp_path / 'none.fits', OursError):
        pass
    with pytest.raises(IsADirectoryError), opened_fits(tmp_path, OursError):
        pass
    (tmp_path / 'a.fits').write_text('<html>503</html>')
    with pytest.raises(OursError, match="a.fits: a FITS file must begin with SIMPLE, received b'<html>503"), \
            opened_fits(tmp_path / 'a.fits', OursError):
        pass


@pytest.mark.parametrize(('reason', 'text'), [
    (OSError('two\n lines'), 'two lines'), (KeyError('MASS'), "'MASS'"), (AssertionError(), 'AssertionE')])
def test_whatever_goes_wrong_is_damage(reason, text):
    with pytest.raises(OursError, match=f'^a.fits is damaged or cut short: {text}') as raised, \
            damage_of('a.fits', OursError):
        raise reason
    assert raised.value.__cause__ is reason


def test_what_is_whole_but_something_else():
    with pytest.raises(OursError, match='^a.fits: a map must have MASS$'), damage_of('a.fits', OursError):
        raise WrongContentError('a map must have MASS')


def test_warnings_of_astropy():
    for strict in (True, False):
        with pytest.raises(ValueError, match='File may have been truncated'), damage_of('a', strict=strict):
            warnings.warn('\nFile may have been truncated: ', AstropyUserWarning, stacklevel=1)
        with damage_of('a', strict=strict):
            warnings.warn("'datfix' made the change", FITSFixedWarning, stacklevel=1)
    with damage_of('a', strict=False):
        warnings.warn('non-ASCII characters', AstropyUserWarning, stacklevel=1)
    with pytest.raises(ValueError, match='a is damaged or cut short: non-ASCII'), damage_of('a'):
        warnings.warn('non-ASCII characters', AstropyUserWarning, stacklevel=1)


def test_a_table(path):
    table = read_table(path, 'TABLE')
    assert list(table['name']) == ['a', 'bc', 'd'] and table['name'].dtype.kind == 'U'
    assert table['mass'].unit == u.Msun and np.isnan(table['mass'][1])
    assert all(table[name].dtype.isnative for name in table.colnames)
    header = table.meta['header']
    assert header.comments['CHECKSUM'] == 'checksum of the HDU' and card_value(header['NOTHING']) is None
    with pytest.raises(OursError, match="a.fits is damaged or cut short: .*Extension .*'OTHER'.* not found"):
        read_table(path, 'OTHER', OursError)


# -- images ---------------------------------------------------------------------------------------


def a_wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ['RA---TAN', 'DEC--TAN'], ['deg', 'deg']
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = (10, 20), (3, 4), (-1e-4, 1e-4)
    return wcs


@pytest.mark.parametrize('wcs', [a_wcs(), None])
def test_images_go_to_hdus_and_back(tmp_path, wcs):
    light = CCDData(np.arange(6.0).reshape(2, 3), unit=u.Lsun / u.kpc**2)
    hdus = image_hdus({'': light, 'MASS': CCDData(light.data + 1, unit=u.Msun)}, wcs, np.float64)
    mask = light.data > 4
    write_hdus([*hdus, mask_hdu(mask, wcs)], tmp_path / 'a.fits')
    with opened_fits(tmp_path / 'a.fits') as hdus:
        assert [hdu.name for hdu in hdus] == ['PRIMARY', 'MASS', 'MASK']
        place = wcs_of(hdus['MASS'].header)
        back = image_of(hdus['MASS'], wcs=place, mask=hdus['MASK'].data.astype(bool))
        assert hdus[0].header.comments['BUNIT'] == 'per pixel'
    np.testing.assert_array_equal(back.data, light.data + 1)
    np.testing.assert_array_equal(back.mask, mask)
    assert back.unit == u.Msun and back.data.dtype.isnative and back.data.dtype == np.float64
    assert place is None if wcs is None else place.wcs.compare(wcs.wcs, tolerance=1e-12)
    assert image_hdus({'': light})[0].data.dtype == np.float32


@pytest.mark.parametrize('dtype', [np.int16, np.float16, '>f4'])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(ValueError, match='dtype must be float32 or float64, received'):
        float_type(dtype)


def test_cards():
    assert str(card('AGE', 12.0, '[Gyr] age')).rstrip() == 'AGE     =                 12.0 / [Gyr] age'
    assert card('NAME', 'x' * 40, 'y' * 20).comment == 'y' * 20
    assert card('NAME', 'x' * 41, 'y' * 20).comment == ''
    assert card('NAME', 'Größe').value == 'Gr??e'


def test_what_is_stored_besides_the_image():
    hdu = fits.ImageHDU(np.zeros((3, 3)), header=a_wcs().to_header(), name='A')
    hdu.header.extend([('BUNIT', 'Jy'), ('AGE', 12.0), ('VIEWX', None), ('MJD-OBS', 5.0), ('HISTORY', 'x')])
    assert meta_of(hdu.header) == {'AGE': 12.0, 'VIEWX': None, 'MJD-OBS': 5.0}
    assert meta_of(hdu.header, skip=['MJD-OBS']) == {'AGE': 12.0, 'VIEWX': None}
    assert is_structure('CRVAL1') and is_structure('') and not is_structure('AGE')


# -- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize('ending', ['fits', 'fits.gz'])
def test_the_same_bytes_and_nothing_else(tmp_path, monkeypatch, ending):
    for name, now in ((f'b.{ending}', 1e9), (f'c.{ending}', 2e9)):
        monkeypatch.setattr('time.time', lambda now=now: now)
        write_hdus([fits.PrimaryHDU(np.ones((3, 3)))], tmp_path / name)
    assert (tmp_path / f'b.{ending}').read_bytes() == (tmp_path / f'c.{ending}').read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == [f'b.{ending}', f'c.{ending}']
    with opened_fits(tmp_path / f'b.{ending}') as hdus:
        assert hdus[0].data.sum() == 9


def test_no_checksums(tmp_path):
    write_hdus([fits.PrimaryHDU()], tmp_path / 'd.fits', checksum=False)
    assert 'CHECKSUM' not in fits.getheader(tmp_path / 'd.fits')


def test_the_last_touch_comes_before_the_name(tmp_path):
    def finish(temporary):
        assert not (tmp_path / 'a.fits').exists()
        fits.setval(temporary, 'AGE', value=12.0)

    write_hdus([fits.PrimaryHDU()], tmp_path / 'a.fits', checksum=False, finish=finish)
    assert fits.getval(tmp_path / 'a.fits', 'AGE') == 12.0


@pytest.mark.parametrize(('error', 'message'), [
    (OSError('30 requested and 10 written'), '30 requested and 10 written; the disk may be full'),
    (OSError(28, 'No space left on device'), r'\[Errno 28\] No space left on device$')])
def test_a_write_that_fails_leaves_nothing(tmp_path, path, error, message):
    def fail(temporary):
        raise error

    before = path.read_bytes()
    with pytest.raises(OSError, match=f'a.fits could not be written: {message}') as raised:
        write_hdus([fits.PrimaryHDU()], path, finish=fail)
    assert raised.value.errno == error.errno
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ['a.fits']


@dataclass
class Number(FitsProduct):
    value: int

    def to_hdulist(self, *, dtype=np.float32):
        return fits.HDUList([fits.PrimaryHDU(np.full((2, 2), self.value, dtype=float_type(dtype)))])

    @classmethod
    def from_hdulist(cls, hdus):
        if hdus[0].data is None:
            raise WrongContentError('a number must have an image')
        return cls(int(hdus[0].data[0, 0]))


def test_a_product(tmp_path):
    path = tmp_path / 'a.fits'
    Number(3).write(path)
    assert Number.read(path) == Number(3)
    with pytest.raises(OSError, match='a.fits exists: give overwrite=True to replace it'):
        Number(4).write(path)
    with pytest.raises(ValueError, match='dtype must be float32 or float64, received int16'):
        Number(4).write(path, overwrite=True, dtype=np.int16)
    assert Number.read(path) == Number(3)
    Number(4).write(path, overwrite=True, dtype=np.float64)
    assert Number.read(path) == Number(4)
    fits.PrimaryHDU().writeto(tmp_path / 'b.fits')
    with pytest.raises(ValueError, match='b.fits: a number must have an image'):
        Number.read(tmp_path / 'b.fits')


def test_no_file_without_an_end(tmp_path):
    """As images: see there for all that is refused."""
    import os

    os.mkfifo(tmp_path / 'a.fits')
    with pytest.raises(ValueError, match='must be a regular file'), opened_fits(tmp_path / 'a.fits'):
        pass
