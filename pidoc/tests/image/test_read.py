# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Images as they come: which HDU, which pixels, what is bad, and every bad file."""

import bz2
import gzip
import io
import lzma
import os
import time
import warnings
import zipfile

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import (
    CCDData,
    InverseVariance,
    NDData,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.utils import minversion
from astropy.wcs import WCS

from pidoc.image import read
from pidoc.image.read import opened, Source
from pidoc.io import fits as io_fits
from pidoc.tests.image_helpers import tan_wcs
from pidoc.tests.shared_data import shared

PIXELS = np.arange(12.0).reshape(3, 4)
ALL = (0, 3, 0, 4)


def hdus(*names, shape=(3, 4)):
    """An empty primary HDU and images."""
    return fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(np.full(shape, i, dtype=float), name=name)
                                              for i, name in enumerate(names, 1))])


def first(image, **how):
    """Number in the first pixel."""
    with opened(image, **how) as source:
        return source.read(ALL)[0][0, 0]


class TestWhichHdu:
    def test_the_only_one(self, tmp_path):
        path = tmp_path / 'a.fits'
        hdus('N15').writeto(path)
        with opened(path) as source:
            assert (source.name, source.part, source.shape) == ('a.fits', '1 N15', (3, 4))
            assert str(source) == 'a.fits[1 N15]'

    def test_companions_do_not_count(self):
        assert first(hdus('MASS', 'IMAGE', 'WHT', 'DQ')) == 2.0
        assert first(hdus('ERR', 'SCI', 'OTHER')) == 2.0
        # if there is nothing else
        assert first(hdus('WHT')) == 1.0

    @pytest.mark.parametrize('name', [
        'MASK', 'MSK', 'BPM', 'BADPIX', 'DQ', 'FLAGS', 'QUALITY', 'STAT', 'VAR', 'RMS', 'SIGMA', 'STDDEV',
        'UNC', 'IVAR', 'INVVAR', 'WGT', 'EXPOSURE', 'EXPMAP', 'COVERAGE', 'SKY', 'SEGMENTATION'])
    def test_companions_by_any_name(self, name):
        assert first(hdus(name, 'IMAGE')) == 2.0

    def test_data_are_the_image(self):
        assert first(hdus('STAT', 'DATA', 'OTHER')) == 2.0
        assert first(hdus('DATA', 'SCI')) == 2.0

    def test_name_and_version(self, tmp_path):
        two = hdus('B', 'B', 'A, 1')
        two[2].ver = 2
        two.writeto(tmp_path / 'a.fits')
        for hdu in ('B,2', 'b , 2', ('B', 2)):
            assert first(tmp_path / 'a.fits', hdu=hdu) == 2.0
        assert first(tmp_path / 'a.fits', hdu='A, 1') == 3.0
        assert first(tmp_path / 'a.fits[B,2]') == first(f'{tmp_path}/a.fits[2]') == 2.0
        with pytest.raises(ValueError, match=r'images of a.fits: 1 B, 2 B, 3 A, 1; received .B,3.'):
            first(tmp_path / 'a.fits', hdu='B,3')

    def test_hdu_in_the_name_of_the_file(self, tmp_path):
        hdus('A', 'B').writeto(tmp_path / 'a.fits')
        assert first(tmp_path / 'a.fits[B]') == first(tmp_path / 'a.fits[2]', hdu=2) == 2.0
        with pytest.raises(ValueError, match=r"hdu must be left out where the file names one, '.*\[2\]'"):
            first(tmp_path / 'a.fits[2]', hdu=1)
        with pytest.raises(FileNotFoundError, match='none.fits'):
            first(tmp_path / 'none.fits[1]')
        # a file whose name is that
        hdus('A').writeto(tmp_path / 'a.fits[2]')
        assert first(tmp_path / 'a.fits[2]') == 1.0

    @pytest.mark.parametrize(('hdu', 'number'), [(2, 2), ('B', 2), (('B', 1), 2), (-1, 3), ('b', 2)])
    def test_chosen(self, hdu, number):
        assert first(hdus('A', 'B', 'C'), hdu=hdu) == number

    @pytest.mark.parametrize('hdu', [7, 'D', 0, ('A', 4)])
    def test_no_such(self, hdu):
        with pytest.raises(ValueError, match='hdu must be one of the images of HDUList: 1 A, 2 B; received'):
            first(hdus('A', 'B'), hdu=hdu)

    def test_several(self):
        with pytest.raises(ValueError, match='HDUList has several images, 1 A, 2 B: choose one with hdu'):
            first(hdus('A', 'B'))

    def test_tables_are_no_images(self):
        table = fits.BinTableHDU.from_columns([fits.Column('a', 'E', array=np.zeros(3))])
        with pytest.raises(ValueError, match='HDUList has no image'):
            first(fits.HDUList([fits.PrimaryHDU(), table]))

    def test_cubes_are_refused(self):
        with pytest.raises(ValueError,
                           match=r'an image must have two dimensions, received the shape \(2, 3, 4\)'):
            first(fits.PrimaryHDU(np.zeros((2, 3, 4))))
        with pytest.raises(ValueError, match=r'two dimensions, received the shape \(4,\) of array'):
            first(np.zeros(4))

    def test_cards_of_the_primary_header(self):
        both = hdus('A')
        both[0].header.update({'FILTER': 'V', 'EXPTIME': 5.0})
        both[1].header['EXPTIME'] = 6.0
        both[0].header['HISTORY'] = 'one'
        both[0].header['HISTORY'] = 'two'
        with opened(both) as source:
            assert (source.header['FILTER'], source.header['EXPTIME']) == ('V', 6.0)
            assert 'one two' in source.header['HISTORY']


class TestKindsOfImages:
    def test_array_quantity_nddata(self):
        assert first(PIXELS + 5) == 5.0
        with opened((PIXELS + 5) * u.Jy) as source:
            assert source.unit == u.Jy
        with opened(NDData(PIXELS + 5, meta={'FILTER': 'V'}), unit='adu') as source:
            assert (source.unit, source.header, source.wcs) == ('adu', {'FILTER': 'V'}, None)

    def test_coordinates(self):
        wcs = tan_wcs((3, 4), 0.5)
        with opened(CCDData(PIXELS, unit='adu', wcs=wcs)) as source:
            assert source.wcs.has_celestial
        with opened(fits.PrimaryHDU(PIXELS, wcs.to_header())) as source:
            assert source.wcs.has_celestial
        linear = WCS(naxis=2)
        with opened(CCDData(PIXELS, unit='adu', wcs=linear)) as source:
            assert source.wcs is None
        with opened(fits.PrimaryHDU(PIXELS)) as source:
            assert source.wcs is None

    def test_parts(self, tmp_path):
        path = tmp_path / 'a.fits'
        fits.PrimaryHDU(PIXELS.astype('>i2')).writeto(path)
        with opened(path) as source:
            values, bad, deviation = source.read((1, 3, 2, 4))
        np.testing.assert_array_equal(values, [[6, 7], [10, 11]])
        assert values.dtype == np.float64 and values.dtype.isnative
        assert not bad.any()
        assert deviation is None

    @pytest.mark.parametrize(('image', 'how', 'error', 'rule'), [
        (3.0, {}, TypeError, 'an image must be a path, HDU, CCDData, Quantity or array, received float'),
        (PIXELS * u.Jy, {'unit': 'adu'}, ValueError, "unit must be left out where the image has one, 'Jy', "
                                                     "received 'adu'"),
        (CCDData(PIXELS, unit='adu'), {'unit': 'Jy'}, ValueError, 'unit must be left out'),
        (PIXELS, {'hdu': 1}, ValueError, 'hdu is for FITS files, received hdu=1 with ndarray'),
        (CCDData(PIXELS, unit='adu', uncertainty=UnknownUncertainty(PIXELS)), {}, TypeError,
         'the uncertainty of the image must be of one of the kinds StdDevUncertainty, .* received '
         'UnknownUncertainty')])
    def test_refused(self, image, how, error, rule):
        with pytest.raises(error, match=rule):
            first(image, **how)


class TestMasksAndWeights:
    def test_all_masks_count(self):
        image = CCDData(PIXELS.copy(), unit='adu', mask=PIXELS == 1)
        image.data[0, 2] = np.nan
        with opened(image, mask=(PIXELS == 3).astype(int) * 8) as source:
            bad = source.read(ALL)[1]
        np.testing.assert_array_equal(np.flatnonzero(bad), [1, 2, 3])

    def test_extensions(self):
        extra = hdus('A')
        extra.append(fits.ImageHDU((PIXELS == 5).astype(np.uint8), name='MASK'))
        extra.append(fits.ImageHDU(PIXELS + 4, name='UNCERT'))
        extra['UNCERT'].header['UTYPE'] = 'VarianceUncertainty'
        with opened(extra) as source:
            _, bad, deviation = source.read(ALL)
        np.testing.assert_array_equal(np.flatnonzero(bad), [5])
        np.testing.assert_allclose(deviation, np.sqrt(PIXELS + 4))
        extra['UNCERT'].header['UTYPE'] = 'guess'
        with pytest.raises(ValueError, match='the extension UNCERT must be of one of the kinds .*, '
                                             'received guess'):
            first(extra)

    @pytest.mark.parametrize('name', ['MASK', 'DQ', 'MSK', 'BPM', 'BADPIX', 'UNCERT', 'WHT'])
    def test_of_another_shape_are_others(self, name, caplog):
        extra = hdus('A')
        extra.append(fits.ImageHDU(np.ones((2, 2)), name=name))
        with opened(extra) as source:
            assert not source.read(ALL)[1].any()
        assert (f'HDUList[1 A]: the extension {name} is not used: it has the shape (2, 2), not that of the '
                'image, (3, 4)') in caplog.text

    @pytest.mark.parametrize('name', ['MASK', 'DQ', 'MSK', 'BPM', 'BADPIX'])
    def test_masks_by_any_name(self, name, caplog):
        extra = hdus('SCI', 'WGT')
        extra.append(fits.ImageHDU((PIXELS == 5).astype(np.uint8), name=name))
        with opened(extra) as source:
            np.testing.assert_array_equal(np.flatnonzero(source.read(ALL)[1]), [5])
        assert not caplog.text

    @pytest.mark.parametrize('name', ['WHT', 'WGT', 'WEIGHT', 'IVAR', 'INVVAR', 'EXP', 'EXPOSURE', 'EXPMAP',
                                      'COVERAGE', 'SAMP', 'TIME'])
    def test_weights_of_0_are_no_data(self, name, caplog):
        weights = np.full((3, 4), 2.5)
        weights.flat[[2, 5, 7]] = 0.0, np.nan, -1.0
        extra = hdus('SCI')
        extra.append(fits.ImageHDU(weights, name=name))
        with opened(extra) as source:
            _, bad, deviation = source.read(ALL)
            np.testing.assert_array_equal(np.flatnonzero(bad), [2, 5, 7])
            assert deviation is None
            source.check_marked()
        extra[name].data = np.zeros((3, 4))
        with opened(extra) as source:
            source.read(ALL)
            with pytest.raises(ValueError, match=f'the extension {name} of .* must leave good pixels about '
                                                 '.*, received 100 % .*: give another center, or remove'):
                source.check_marked()
        # as Hubble writes one that is the same everywhere
        extra[name] = fits.ImageHDU(name=name)
        with opened(extra) as source:
            assert not source.read(ALL)[1].any()
        assert not caplog.text

    def test_masks_add_up_and_keep_their_meaning(self):
        """MSK of the Dark Energy Survey: 32 is a star."""
        extra = hdus('SCI')
        extra.append(fits.ImageHDU(np.where(PIXELS == 5, 1, 32), name='MSK'))
        extra.append(fits.ImageHDU((PIXELS == 7).astype(np.uint8), name='BPM'))
        with opened(extra) as source:
            np.testing.assert_array_equal(np.flatnonzero(source.read(ALL)[1]), [5, 7])

    @pytest.mark.parametrize('name', ['FLAGS', 'QUALITY'])
    def test_what_may_be_a_mask_is_told(self, name, caplog):
        with opened(hdus('SCI', name)) as source:
            assert not source.read(ALL)[1].any()
        assert f'the extension {name} is not used' in caplog.text and 'give it as the mask' in caplog.text

    def test_a_mask_of_good_pixels_is_named(self):
        extra = hdus('SCI')
        extra.append(fits.ImageHDU((PIXELS != 5).astype(np.uint8), name='MASK'))
        with opened(extra) as source:
            source.read(ALL)
            # without a field that must be covered
            source.check_marked()
            source.check_marked((slice(1, 2), slice(1, 4)), min_coverage=0.5)
            for how in ({'part': (slice(0, 1), slice(0, 4))}, {'min_coverage': 0.9}):
                with pytest.raises(ValueError, match='the mask MASK of .* must leave good pixels about the '
                                                     'cluster, received .* % that are bad by it: give good'):
                    source.check_marked(**how)
        with opened(extra, good_bits=1) as source:
            assert not source.read(ALL)[1].any()
        # what the message says of one that is 0 where pixels are bad
        with opened(extra, good_bits=1, weight=extra['MASK'].data.astype(float)) as source:
            np.testing.assert_array_equal(source.read(ALL)[1], PIXELS == 5)
        with opened(PIXELS, weight=0 * PIXELS) as source:
            source.read(ALL)
            with pytest.raises(ValueError, match='the weight array of array must leave .*, received 100 %'):
                source.check_marked()

    @pytest.mark.parametrize(('name', 'marks'), [
        ('VARIANCE', (0.0, 1e30)), ('VAR', (0.0, 1e30)), ('STAT', (0.0, 1e30)), ('ERR', (0.0, 1e30, 1e15)),
        ('RMS', (0.0, 1e30)), ('UNC', (0.0, 1e30)), ('IVAR', (0.0, 1e-30)), ('WHT', (0.0, 1e-30))])
    def test_no_data_by_the_weight(self, tmp_path, name, marks):
        """0, and 1e30 as SExtractor and SWarp write it, in single precision."""
        weight = np.full((3, 4), 4.0, dtype=np.float32)
        weight[0, :len(marks)] = marks
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(weight, name=name)]).writeto(tmp_path / 'w.fits')
        with opened(PIXELS, weight=tmp_path / f'w.fits[{name}]') as source:
            _, bad, deviation = source.read(ALL)
        np.testing.assert_array_equal(np.flatnonzero(bad), np.arange(len(marks)))
        good = {'VAR': 2.0, 'VARIANCE': 2.0, 'STAT': 2.0, 'IVAR': 0.5, 'WHT': 0.5}.get(name, 4.0)
        np.testing.assert_allclose(deviation[~bad], good)

    @pytest.mark.parametrize('what', ['mask', 'weight'])
    def test_the_option_that_names_no_image(self, tmp_path, what):
        hdus('A', 'B').writeto(tmp_path / 'a.fits')
        for hdu, how in ((9, {}), ('C,1', {}), (None, {'hdu': 7})):
            path = tmp_path / ('a.fits' if hdu is None else f'a.fits[{hdu}]')
            image = PIXELS if hdu else hdus(*'ABCDEFG')
            with pytest.raises(ValueError, match=rf'{what} must be one of the images of a.fits, '
                                                 r"FILE\[HDU\]: 1 A, 2 B; received '.*a.fits"):
                first(image, **how, **{what: path})
        assert first(PIXELS, **{what: tmp_path / 'a.fits[B,1]'}) == 0.0

    @pytest.mark.parametrize(('weight', 'kind'), [
        (0.25 * np.ones((3, 4)), 'inverse variance'), (InverseVariance(0.25 * np.ones((3, 4))), ''),
        (VarianceUncertainty(4 * np.ones((3, 4))), ''), (StdDevUncertainty(2 * np.ones((3, 4))), '')])
    def test_weights(self, weight, kind):
        with opened(PIXELS, weight=weight) as source:
            np.testing.assert_allclose(source.read(ALL)[2], 2.0, err_msg=kind)

    def test_files_beside(self, tmp_path):
        hdus('A', 'B').writeto(tmp_path / 'image.fits')
        hdus('A', 'B').writeto(tmp_path / 'weight.fits')
        with opened(tmp_path / 'image.fits', hdu='B', weight=tmp_path / 'weight.fits') as source:
            # of several, that in the same place: inverse variance 2
            np.testing.assert_allclose(source.read(ALL)[2], 2**-0.5)

    @pytest.mark.parametrize(('how', 'error', 'rule'), [
        ({'mask': np.zeros((2, 2), dtype=bool)}, ValueError,
         r'mask must have the shape of the image, \(3, 4\), received'),
        ({'weight': np.zeros((2, 2))}, ValueError,
         r'weight must have the shape of the image, \(3, 4\), received \(2, 2\)'),
        ({'weight': -PIXELS}, ValueError, 'weights and uncertainties must not be negative, received -11'),
        ({'weight': UnknownUncertainty(PIXELS)}, TypeError, 'weight must be of one of the kinds '
                                                            'StdDevUncertainty'),
        ({'weight': fits.PrimaryHDU(PIXELS, fits.Header([('HIERARCH FPA.ZP', 25.0)]))}, ValueError,
         'is of Pan-STARRS1, whose weights are variances')])
    def test_refused(self, how, error, rule):
        with pytest.raises(error, match=rule), opened(PIXELS, **how) as source:
            source.read(ALL)


class TestBadFiles:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / 'a.fits'
        fits.PrimaryHDU(np.zeros((300, 300), dtype=np.float32)).writeto(path)
        return path

    def test_none(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='none.fits'):
            first(tmp_path / 'none.fits')
        with pytest.raises(IsADirectoryError):
            first(tmp_path)

    @pytest.mark.parametrize(('content', 'message'), [
        (b'', ' is damaged or cut short'), (b'SIMPLE  =', ' is damaged or cut short'),
        (b'<!DOCTYPE html><title>503 Unavailable</title>',
         ": a FITS file must begin with SIMPLE, received b'<!DOCTYPE html>")])
    def test_not_fits(self, tmp_path, content, message):
        path = tmp_path / 'a.fits'
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f'a.fits{message}'):
            first(path)

    @pytest.mark.parametrize('size', [2880, 100_000, 3000])
    def test_cut_short(self, path, size):
        with open(path, 'r+b') as file:
            file.truncate(size)
        with pytest.raises(ValueError, match='a.fits is damaged or cut short'):
            first(path)

    def test_damaged_where_it_is_read(self):
        class Damaged:
            shape = (3, 4)

            def __getitem__(self, key):
                raise OSError('bad block')

        with pytest.raises(ValueError, match='a.fits is damaged or cut short: bad block'):
            Source('a.fits', Damaged(), {}).read(ALL)

    def test_compressed_and_cut_short(self, path):
        content = gzip.compress(path.read_bytes()[:50_000] + np.random.default_rng(0).bytes(300_000))
        short = path.with_name('b.fits.gz')
        short.write_bytes(content[:20_000])
        with pytest.raises(ValueError, match='b.fits.gz.* is damaged or cut short'):
            first(short)

    def test_real_ones(self):
        with opened(shared('images/m13_rice.fits')) as rice, opened(shared('images/m13.fits')) as plain:
            box = (100, 140, 50, 80)
            np.testing.assert_array_equal(rice.read(box)[0], plain.read(box)[0])
        folder = 'images/decam_pal13'
        with opened(shared(f'{folder}/c4d_170916_045042_ooi_r_ls9.N15.fits')) as source:
            assert source.header['FILTER'].startswith('r DECam')
            assert source.header['EXTNAME'] == 'N15'
            # the polynomials of TPV, by hand
            np.testing.assert_allclose(source.wcs.pixel_to_world_values(50, 49.5),
                                       (346.68399444, 12.79099069), atol=1e-7)
        with pytest.raises(ValueError, match='survey-ccds-1.fits.gz has no image'):
            first(shared(f'{folder}/survey-ccds-1.fits.gz'))


# -- headers and files that fuzzing found -----------------------------------------------------------


def placed(changes=(), *, cd=False):
    """The bytes of an image with world coordinates, some cards of which are other ones."""
    header = tan_wcs((3, 4), 1.0, turn=30.0).to_header()
    if cd:
        for i, j in ((1, 1), (1, 2), (2, 1), (2, 2)):
            header[f'CD{i}_{j}'] = header.pop(f'PC{i}_{j}')
        del header['CDELT1'], header['CDELT2']
    header['BUNIT'], header['OBJECT'] = 'adu', 'M 1'
    content = bytes(fits.PrimaryHDU(PIXELS, header).header.tostring().encode())
    for keyword, text in dict(changes).items():
        start = content.find(f'{keyword:<8}='.encode())
        assert start >= 0
        new = ' ' * 80 if text is None else f'{keyword:<8}= {text}'.ljust(80)
        content = content[:start] + new.encode() + content[start + 80:]
    return content + PIXELS.astype('>f8').tobytes().ljust(2880, b'\0')


def written(tmp_path, content, name='a.fits'):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def test_cards_that_cannot_be_read_are_no_numbers(tmp_path):
    with opened(written(tmp_path, placed({'OBJECT': 'M 1', 'BUNIT': '1.0.0'}))) as source:
        assert source.header['OBJECT'] == source.header['BUNIT'] == '(unreadable)'


def test_what_is_told_twice_and_differently_is_not_chosen_from(tmp_path):
    header = tan_wcs((3, 4), 1.0).to_header()
    header['PHOTZP'], header['SAME'] = 25.0, 1
    header.append(('PHOTZP', 26.0))
    header.append(('SAME', 1))
    fits.PrimaryHDU(PIXELS, header).writeto(tmp_path / 'a.fits')
    with opened(tmp_path / 'a.fits') as source:
        assert source.header['PHOTZP'] == '(ambiguous)' and source.header['SAME'] == 1
        assert source.header['PHOTZP'].conflict == '25.0 and 26.0'


@pytest.mark.parametrize('card', [
    'GAIN    =2.0', 'GAIN      2.0', 'GAIN = 2.0', "GAIN    =  'a", 'gain    = 2.0', 'GAIN    = 2,0',
    'GAIN    = 2.0 e-/ADU'])
def test_cards_that_are_not_standard_are_quiet(tmp_path, card):
    """Warnings are errors in tests."""
    content = placed({'OBJECT': 'x'})
    start = content.index(b'OBJECT')
    content = content[:start] + card.encode().ljust(80) + content[start + 80:]
    path = written(tmp_path, content)
    with opened(path) as source:
        assert source.header['BUNIT'] == 'adu'
    with warnings.catch_warnings():
        # theirs
        warnings.simplefilter('ignore')
        theirs = fits.open(path)
    with theirs, opened(theirs) as source:
        assert source.header['BUNIT'] == 'adu'


@pytest.mark.parametrize(('changes', 'cd', 'message'), [
    ({'CRPIX1': None}, False, 'must have CRPIX1, a number: not found'),
    ({'CRVAL2': None}, False, 'must have CRVAL2, a number: not found'),
    ({'CDELT1': None}, False, 'must have CDELT1 or CD1_1 or CD1_2, a number: not found'),
    ({'CRVAL1': "'211.0'"}, False, "CRVAL1 of a.fits.* must be a number, received '211.0': correct the head"),
    ({'CRPIX2': "'a'"}, False, "CRPIX2 of a.fits.* must be a number, received 'a'"),
    ({'CDELT1': "'a'"}, False, "CDELT1 of a.fits.* must be a number, received 'a'"),
    ({'BUNIT': '3'}, False, 'CRVAL1 of .* must be a number, received 226.0 and 3, since it is there twice'),
    ({'PC1_2': "'0.5'"}, False, "PC1_2 of a.fits.* must be a number, received '0.5'"),
    ({'PC1_2': 'INF'}, False, "PC1_2 of a.fits.* must be a number, received '.unreadable.'"),
    ({'CD1_2': "''"}, True, "CD1_2 of a.fits.* must be a number, received ''"),
    ({'LONPOLE': 'INF'}, False, "LONPOLE of a.fits.* must be a number, received '.unreadable.'"),
    ({'LATPOLE': 'T'}, False, 'LATPOLE of a.fits.* must be a number, received True'),
    ({'RADESYS': "'FK9'"}, False, "in a frame that astropy knows, received RA---TAN, DEC--TAN and .* 'FK9'")])
def test_half_told_world_coordinates(tmp_path, changes, cd, message):
    content = placed(changes, cd=cd)
    if 'twice' in message:
        content = content.replace(b'BUNIT   =', b'CRVAL1  =')
    with pytest.raises(ValueError, match=message), opened(written(tmp_path, content)):
        pass


@pytest.mark.parametrize('content', [b'PK\x03\x04' + b'\0' * 40, b'\xfd7zXZ\x00', b'BZh91AY&SY', b'\x1f\x8b'])
def test_archives_that_are_none(tmp_path, content):
    with pytest.raises(ValueError, match='a.fits is damaged or cut short'):
        first(written(tmp_path, content))


@pytest.mark.parametrize(('keyword', 'value'), [('ZTILE1', '0'), ('ZNAXIS1', '99999'), ('TFIELDS', '-1'),
                                                ('TFIELDS', '3000000000'), ('NAXIS', '3000000000')])
def test_tiles_that_do_not_fit(tmp_path, keyword, value):
    hdu = fits.CompImageHDU(np.ones((30, 30)), compression_type='GZIP_1')
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / 'a.fits')
    content = (tmp_path / 'a.fits').read_bytes()
    start = content.find(f'{keyword:<8}='.encode())
    content = content[:start] + f'{keyword:<8}= {value:>20}'.ljust(80).encode() + content[start + 80:]
    with pytest.raises(ValueError, match='damaged'), opened(written(tmp_path, content)) as source:
        source.read((0, 30, 0, 30))


@pytest.mark.parametrize('pack', [bytes, gzip.compress])
def test_more_axes_than_there_can_be(tmp_path, pack):
    content = placed({'NAXIS': f'{3000000000:>20}'})
    with pytest.raises(ValueError, match='a.fits is damaged or cut short: NAXIS must be from 0 to 999, rec'):
        first(written(tmp_path, pack(content)))


@pytest.mark.parametrize('pixels', [PIXELS + 1j, PIXELS.astype(str), PIXELS.astype(object)])
def test_pixels_are_real_numbers(pixels):
    with pytest.raises(TypeError, match='the pixels of array must be real numbers, received'):
        first(pixels)


# -- files that are none, or have no end ------------------------------------------------------------


def test_a_fifo_and_a_device(tmp_path):
    """Nobody may ever write into it."""
    os.mkfifo(tmp_path / 'a.fits')
    for path in (tmp_path / 'a.fits', '/dev/zero'):
        with pytest.raises(ValueError, match='a FITS file must be a regular file, received a FIFO, socket'):
            first(path)


PACKERS = {'fits': bytes, 'fits.gz': gzip.compress, 'fits.bz2': bz2.compress, 'fits.xz': lzma.compress}


def in_zip(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr('a.fits', content)
    return buffer.getvalue()


PACKERS['zip'] = in_zip


@pytest.mark.parametrize('ending', PACKERS)
def test_headers_without_an_end(tmp_path, ending):
    """100 bytes, or 24 MB, compressed or not, in the first HDU or a later one, are refused at once."""
    promise = {'NAXIS': f'{2000000000:>20}'}
    whole = placed()
    later = b'XTENSION= \'IMAGE   \''.ljust(80) + placed(promise)[80:]
    endless = whole[:whole.index(b'END' + b' ' * 77)] + b'HISTORY x'.ljust(80) * 300_000
    cases = [(PACKERS[ending](content), message) for content, message in (
        (placed(promise), 'NAXIS must be from 0 to 999, received 2000000000'),
        (whole + later, 'NAXIS must be from 0 to 999, received 2000000000'),
        (endless, 'a header must end within 36000 cards, received more'))]
    start = time.process_time()
    for packed, message in cases:
        with pytest.raises(ValueError, match=f'damaged or cut short: {message}'):
            first(written(tmp_path, packed, f'a.{ending}'))
    assert time.process_time() - start < 3.0
    # and what is whole is read
    with opened(written(tmp_path, PACKERS[ending](whole), f'b.{ending}')) as source:
        np.testing.assert_array_equal(source.read(ALL)[0], PIXELS)


class Counted(io.FileIO):
    """A file that counts the bytes that are read from it."""

    n_read = 0

    def readinto(self, buffer):
        n = super().readinto(buffer)
        self.n_read += n
        return n


@pytest.mark.parametrize('ending', PACKERS)
def test_what_is_compressed_is_unpacked_a_few_times_only(tmp_path, monkeypatch, ending):
    """Not once for each row; parts of it, scaled and of a cube, are those of the plain file."""
    cube = np.random.default_rng(0).integers(-30_000, 30_000, (2, 300, 200)).astype(np.int16)
    hdu = fits.PrimaryHDU(cube)
    hdu.header['BSCALE'], hdu.header['BZERO'], hdu.header['BLANK'] = 0.5, 7.0, int(cube[1, 50, 60])
    content = io.BytesIO()
    hdu.writeto(content)
    path = written(tmp_path, PACKERS[ending](content.getvalue()), f'a.{ending}')
    files = []

    def counted(name):
        files.append(io.BufferedReader(Counted(name)))
        return files[-1]

    monkeypatch.setattr(read, 'open_regular', counted)
    expected = 0.5 * cube[1, 40:90, 30:120] + 7.0
    with opened(path, plane=1) as source:
        for box in ((0, 300, 0, 200), (40, 90, 0, 200), (40, 90, 30, 120)):
            values, bad, _ = source.read(box)
        np.testing.assert_array_equal(values[~bad], expected[~bad])
        assert bad[10, 30] and bad.sum() < 5
        assert files[0].raw.n_read < 3 * path.stat().st_size
    # and one that somebody else has opened: of .xz only newer versions of astropy can
    if ending.endswith('xz') and not minversion('astropy', '7.1'):
        return
    with io.BufferedReader(Counted(path)) as file, fits.open(file) as theirs:
        with opened(theirs, plane=1) as source:
            np.testing.assert_array_equal(source.raw((40, 90, 30, 120))[~bad], expected[~bad])
        assert file.raw.n_read < 6 * path.stat().st_size


@pytest.mark.parametrize('ending', ['fits.gz', 'fits.bz2', 'fits.xz', 'zip'])
def test_more_than_there_is_room_for(tmp_path, monkeypatch, ending):
    """Refused before the pixels are unpacked."""
    monkeypatch.setattr(io_fits, '_MOST_UNPACKED', 2**20)
    huge = placed({'NAXIS1': f'{10**6:>20}', 'NAXIS2': f'{10**6:>20}'})
    with pytest.raises(ValueError, match=r'a\..*: a compressed file must hold at most 0.0 GiB, received '
                                         'more: unpack it, or give more room'):
        first(written(tmp_path, PACKERS[ending](huge), f'a.{ending}'))


@pytest.mark.parametrize(('keyword', 'value', 'message'), [
    ('NAXIS2', '0', 'damaged'), ('NAXIS', 'T', 'NAXIS must be a whole number, received none'),
    ('NAXIS', '3', 'NAXIS3 must be a whole number, received none'),
    ('NAXIS1', '-4', 'NAXIS1 must be a whole number, received -4'),
    ('BITPIX', '17', 'BITPIX must be one of 8, 16, 32, 64, -32, -64, received 17'),
    ('BITPIX', "'a'", 'BITPIX must be one of .* received no number'), ('SIMPLE', 'F', 'has no image')])
def test_headers_that_do_not_say_what_they_must(tmp_path, keyword, value, message):
    content = placed({keyword: f'{value:>20}'})
    with pytest.raises(ValueError, match=message):
        first(written(tmp_path, content))


@pytest.mark.parametrize('text', ["'a", '=1', '1.0.0'])
def test_names_that_cannot_be_read(tmp_path, text):
    hdus('SCI', 'DQ').writeto(tmp_path / 'a.fits')
    content = (tmp_path / 'a.fits').read_bytes()
    start = content.index(b'EXTNAME')
    content = content[:start] + f'EXTNAME = {text}'.ljust(80).encode() + content[start + 80:]
    with pytest.raises(ValueError, match='a.fits is damaged or cut short: Unparsable card .EXTNAME'):
        first(written(tmp_path, content))


@pytest.mark.parametrize('block', range(4))
def test_blocks_twice_or_not_at_all(tmp_path, block):
    """The same image, or a refusal in words."""
    hdus('SCI', 'DQ', shape=(30, 40)).writeto(tmp_path / 'a.fits')
    content = (tmp_path / 'a.fits').read_bytes()
    for other in (content[:2880 * (block + 1)] + content[2880 * block:],
                  content[:2880 * block] + content[2880 * (block + 1):]):
        path = written(tmp_path, other)
        if (block, len(other) > len(content)) == (0, True):
            # the empty primary HDU twice
            assert first(path) == 1.0
        else:
            with pytest.raises(ValueError, match='damaged or cut short|has no image|must begin'):
                first(path)
