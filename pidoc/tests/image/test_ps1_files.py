# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Files of Pan-STARRS1: scaling, keywords, what is refused; the real header where it is there."""

import warnings
from functools import partial

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from pidoc.image.ps1 import files as ps1
from pidoc.photometry import ps1_to_johnson
from pidoc.tests import shared_data

shared = partial(shared_data.shared, 'ps1')


def real_header():
    """The header of skycell 1784.059, which was transcribed one card a line."""
    lines = shared('skycell.1784.059.stk.g.unconv.hdr.txt').read_text().splitlines()
    return fits.Header.fromstring(''.join(line.ljust(80)[:80] for line in lines if line))


@pytest.fixture
def wcs():
    result = WCS(naxis=2)
    result.wcs.ctype = ['RA---TAN', 'DEC--TAN']
    result.wcs.crval = [85.7142791747971, 21.9999999999992]
    result.wcs.crpix = [-22955, -2858]
    result.wcs.cdelt = [6.94444461259988e-05] * 2
    result.wcs.pc = [[-1, 0], [0, 1]]
    result.wcs.radesys = 'FK5'
    return result


@pytest.fixture
def counts():
    """Noise of 10 counts, a star that is 10^5 times as bright, and a border without data."""
    result = np.random.default_rng(1).normal(3.0, 10.0, (60, 80))
    result[20:25, 30:35] += 1e6
    result[:4] = np.nan
    return result


KEYS = {'band': 'g', 'skycell': 'skycell.1784.059'}


class TestScaling:
    def test_inverse(self):
        values = np.array([-500.0, -1.0, 0.0, 3.2, 1e3, 1e6])
        stored = ps1.asinh_counts(values, 71.50399587, 3.232116937637)
        np.testing.assert_allclose(ps1.linear_counts(stored, 71.50399587, 3.232116937637), values, rtol=1e-10)

    def test_linear_when_faint_and_magnitudes_when_bright(self):
        # near zero 2 b s / a; far off, one unit is a magnitude
        assert ps1.linear_counts(1e-4, 70.0, 0.0) == pytest.approx(2 * 70 * 1e-4 / 1.0857362, rel=1e-6)
        ratio = ps1.linear_counts(11.0, 70.0, 0.0) / ps1.linear_counts(10.0, 70.0, 0.0)
        assert ratio == pytest.approx(10**0.4, rel=1e-6)

    @pytest.mark.parametrize(('header', 'scaling'), [
        ({}, None), ({'BSOFTEN': 'NaN', 'BOFFSET': np.nan}, None),
        ({'BSOFTEN': 71, 'BOFFSET': 3.2}, (71.0, 3.2))])
    def test_found_in_headers(self, header, scaling):
        assert ps1.asinh_scaling(header) == scaling

    def test_half_of_it(self):
        with pytest.raises(ValueError, match='must have both BSOFTEN and BOFFSET, received only one of them'):
            ps1.asinh_scaling({'BSOFTEN': 70.0, 'BOFFSET': True})

    def test_of_the_real_header(self):
        header = real_header()
        scale, zero = header['BSCALE'], header['BZERO']
        stored = zero + scale * np.array([-32767, 32766])
        low, high = ps1.linear_counts(stored, header['BSOFTEN'], header['BOFFSET'])
        # from noise below the sky to the brightest star, under CELL.SATURATION = 1.15e6
        assert -2000 < low < 0
        assert 1e5 < high < header['CELL.SATURATION']


class TestV:
    @pytest.mark.parametrize(('g', 'r', 'v'),
                             [(15.5, 15.0, 15.229), (20.0, 20.0, 19.98), (18.0, 17.0, 17.474)])
    def test_kostov_and_bonev(self, g, r, v):
        assert ps1.ps1_to_v(g * u.mag, r * u.mag).value == pytest.approx(v, abs=1e-9)

    def test_beside_tonry(self):
        x = np.linspace(-0.3, 1.4, 18)
        kostov = ps1.ps1_to_v((15 + x) * u.mag, 15 * u.mag)
        tonry = ps1_to_johnson((15 + x) * u.mag, 15 * u.mag)[1]
        # two calibrations with a scatter of 0.012 mag; they part at the blue end
        assert np.abs((kostov - tonry).value).max() < 0.04
        assert np.abs((kostov - tonry).value[(x > 0.35) & (x < 1.4)]).max() < 0.015

    def test_the_linear_form(self):
        x = np.linspace(0.0, 1.2, 13)
        linear = 15 + x - 0.017 - 0.508 * x
        assert np.abs(ps1.ps1_to_v((15 + x) * u.mag, 15 * u.mag).value - linear).max() < 0.005

    def test_units(self):
        with pytest.raises(TypeError, match='g must be an astropy Quantity in mag, received 15'):
            ps1.ps1_to_v(15.0, 14.0 * u.mag)


class TestMaskBits:
    def test_what_is_bad_is_the_template_of_the_pipeline(self):
        assert ps1.BAD == 8575
        assert ps1.flags(ps1.BAD) == ['DETECTOR', 'FLAT', 'DARK', 'BLANK', 'CTE', 'SAT', 'LOW', 'CR',
                                      'CONV.BAD']

    def test_names(self):
        assert ps1.flags(0x1020) == ['SAT', 'STARCORE']
        assert ps1.flags(0x8000) == []


class TestSkycell:
    def test_round_trip(self, tmp_path, counts, wcs):
        path = tmp_path / 'a.fits'
        ps1.write_skycell(path, counts, wcs, exposure=602 * u.s, **KEYS)
        stack = ps1.read_stack(path)
        assert (stack.form, stack.band, stack.skycell) == ('skycell', 'g', 'skycell.1784.059')
        assert stack.zero_point.value == pytest.approx(25 + 2.5 * np.log10(602))
        np.testing.assert_array_equal(np.isnan(stack.counts), np.isnan(counts))
        # a step is 2e-4 mag of what is bright, and a hundredth of the noise
        star = slice(20, 25), slice(30, 35)
        assert np.abs(stack.counts[star] / counts[star] - 1).max() < 1.2e-4
        faint = np.abs(counts) < 50
        assert np.abs(stack.counts[faint] - counts[faint]).max() < 0.01
        x, y = stack.wcs.world_to_pixel(wcs.pixel_to_world(12.3, 45.6))
        assert (float(x), float(y)) == pytest.approx((12.3, 45.6), abs=1e-3)

    def test_is_stored_as_the_survey_does(self, tmp_path, counts, wcs):
        path = tmp_path / 'a.fits'
        ps1.write_skycell(path, counts, wcs, exposure=602 * u.s, **KEYS)
        with fits.open(path, disable_image_compression=True) as hdus:
            assert hdus[0].header['NAXIS'] == 0
            header = hdus[1].header
        for name in ('ZIMAGE', 'ZCMPTYPE', 'ZBITPIX', 'PC001001', 'BSOFTEN', 'BOFFSET', 'BZERO', 'BSCALE',
                     'BLANK', 'ZBLANK', 'EXPTIME', 'FPA.ZP', 'FPA.FILTER', 'SKYCELL'):
            assert name in header
        assert 'RADESYS' not in header and 'PC1_1' not in header
        assert header['ZCMPTYPE'] == 'RICE_1' and header['ZBITPIX'] == 16
        real = real_header()
        for name in ('ZCMPTYPE', 'ZBITPIX', 'ZTILE2', 'BLANK', 'ZBLANK', 'CTYPE1', 'CRVAL1', 'FPA.ZP',
                     'FPA.FILTER', 'STK_TYPE', 'EXPTIME', 'SKYCELL', 'TESS_ID'):
            assert header[name] == real[name]

    def test_the_file_must_be_scaled_back(self, tmp_path, counts, wcs):
        """Whoever reads the pixels as they are has magnitudes: the trap is there."""
        path = tmp_path / 'a.fits'
        ps1.write_skycell(path, counts, wcs, exposure=602 * u.s, **KEYS)
        assert np.nanmax(fits.getdata(path)) < 20 < 1e5 < np.nanmax(ps1.read_stack(path).counts)

    def test_variance_is_not_asinh_scaled(self, tmp_path, wcs):
        variance = np.random.default_rng(2).uniform(100, 200, (30, 40))
        variance[5] = np.nan
        path = tmp_path / 'a.wt.fits'
        ps1.write_skycell(path, variance, wcs, kind='wt', **KEYS)
        read, place = ps1.read_variance(path)
        np.testing.assert_allclose(read, variance, atol=0.002)
        assert place.wcs.radesys == 'FK5'

    def test_a_variance_that_is_asinh_scaled(self, tmp_path, wcs):
        """The cards decide, whatever the image is called."""
        variance = np.random.default_rng(2).uniform(100, 200, (30, 40))
        variance[3, 3] = -1.0
        path = tmp_path / 'a.wt.fits'
        ps1.write_skycell(path, variance, wcs, kind='stack', **KEYS)
        read, _ = ps1.read_variance(path)
        assert np.isnan(read[3, 3])
        np.testing.assert_allclose(read[4:], variance[4:], rtol=1e-3)

    @pytest.mark.parametrize('write', [ps1.write_skycell, ps1.write_cutout])
    def test_mask(self, tmp_path, wcs, write):
        mask = np.zeros((30, 40), dtype=int)
        mask[3, 4], mask[5, 6], mask[7, 8] = 0x20, 0x9000, 0x8000
        path = tmp_path / 'a.mask.fits'
        write(path, mask, wcs, kind='mask', **KEYS)
        read, _ = ps1.read_mask(path)
        assert read.dtype.kind == 'i'
        assert read[3, 4] == 0x20 and read[5, 6] == 0x1000 and read[7, 8] == 0
        assert np.count_nonzero(read) == 2

    def test_the_cutout_service_makes_nan_of_zero(self, tmp_path, wcs):
        path = tmp_path / 'a.mask.fits'
        ps1.write_cutout(path, np.zeros((4, 4), dtype=int), wcs, kind='mask', **KEYS)
        assert np.isnan(fits.getdata(path)).all()

    def test_no_mask(self, tmp_path, wcs):
        path = tmp_path / 'a.mask.fits'
        ps1.write_cutout(path, np.full((4, 4), 1.5), wcs, kind='mask', **KEYS)
        with pytest.raises(ValueError, match='must be a mask of 16 bits, received a value of 1.5'):
            ps1.read_mask(path)


class TestCutout:
    def test_round_trip(self, tmp_path, counts, wcs):
        path = tmp_path / 'a.fits'
        ps1.write_cutout(path, counts, wcs, exposure=602 * u.s, **KEYS)
        stack = ps1.read_stack(path)
        assert stack.form == 'cutout'
        np.testing.assert_array_equal(stack.counts, counts.astype(np.float32))
        header = fits.getheader(path)
        assert header['RADESYS'] == 'FK5' and header['BITPIX'] == -32 and 'BSOFTEN' not in header

    def test_a_part(self, tmp_path, counts, wcs):
        for write, name in ((ps1.write_cutout, 'a.fits'), (ps1.write_skycell, 'b.fits')):
            path = tmp_path / name
            write(path, counts, wcs, exposure=602 * u.s, **KEYS)
            whole = ps1.read_stack(path)
            place = whole.wcs.pixel_to_world(40.0, 30.0)
            part = ps1.read_stack(path, center=place, size=20)
            np.testing.assert_array_equal(part.counts, whole.counts[20:40, 30:50])
            x, y = part.wcs.world_to_pixel(place)
            assert (float(x), float(y)) == pytest.approx((10.0, 10.0), abs=1e-6)
            # at the edge there is less of it
            edge = ps1.read_stack(path, center=whole.wcs.pixel_to_world(2.0, 57.0), size=20)
            assert edge.counts.shape == (13, 12)

    def test_a_part_that_is_outside(self, tmp_path, counts, wcs):
        path = tmp_path / 'a.fits'
        ps1.write_cutout(path, counts, wcs, exposure=602 * u.s, **KEYS)
        with pytest.raises(ValueError, match='the position .* is outside the image'):
            ps1.read_stack(path, center=wcs.pixel_to_world(500.0, 10.0), size=20)


class TestCoordinates:
    def test_the_real_header(self):
        place = ps1.skycell_wcs(real_header())
        assert place.wcs.radesys == 'FK5'
        origin = SkyCoord(*place.wcs.crval, unit='deg', frame='fk5')
        first = place.pixel_to_world(0, 0)
        # tangent plane: tan of the angle is the distance on it
        expected = np.arctan(np.hypot(22956, 2859) * np.radians(6.94444461259988e-05))
        assert origin.separation(first).rad == pytest.approx(expected, rel=1e-9)
        # east to the left, north up
        assert place.pixel_to_world(100, 0).ra < first.ra
        assert place.pixel_to_world(0, 100).dec > first.dec

    def test_astropy_would_take_another_frame(self):
        with warnings.catch_warnings():
            # it also complains of PC001001
            warnings.simplefilter('ignore')
            assert WCS(real_header()).wcs.radesys == 'ICRS'


class TestRefused:
    def write(self, path, **cards):
        header = fits.Header()
        header['CTYPE1'], header['CTYPE2'] = 'RA---TAN', 'DEC--TAN'
        header['CRVAL1'], header['CRVAL2'] = 10.0, 20.0
        header['HIERARCH FPA.FILTER'] = 'r.00000'
        header['EXPTIME'] = 100.0
        for name, value in cards.items():
            if value is None:
                del header[name.replace('_', '.')]
            elif name == 'HISTORY':
                header.add_history(value)
            else:
                header[name] = value
        fits.PrimaryHDU(np.ones((4, 4), dtype=np.float32), header).writeto(path)
        return path

    def test_as_it_is(self, tmp_path):
        stack = ps1.read_stack(self.write(tmp_path / 'a.fits'))
        assert stack.band == 'r' and stack.zero_point.value == pytest.approx(30.0)

    def test_hips2fits(self, tmp_path):
        path = self.write(tmp_path / 'a.fits', HISTORY='Generated by CDS HiPS2FITS service')
        with pytest.raises(ValueError, match='comes from hips2fits, which loses the scaling'):
            ps1.read_stack(path)

    def test_the_galaxy_from_hips2fits(self):
        with pytest.raises(ValueError, match='m61.fits comes from hips2fits'):
            ps1.read_stack(shared('panstarrs-g-m61.fits'))

    def test_something_else(self, tmp_path):
        path = self.write(tmp_path / 'a.fits', FPA_FILTER=None)
        with pytest.raises(ValueError, match='is not a stack of Pan-STARRS1: it must have FPA.FILTER'):
            ps1.read_stack(path)

    def test_no_exposure_time(self, tmp_path):
        path = self.write(tmp_path / 'a.fits', EXPTIME=None, SKYCELL='skycell.1784.059')
        stack = ps1.read_stack(path)
        assert stack.exposure is None
        with pytest.raises(ValueError, match='stack skycell.1784.059 must have EXPTIME, .* received none'):
            stack.zero_point  # noqa: B018

    @pytest.mark.parametrize('value', [0.0, -30.0, 'NaN'])
    def test_bad_exposure_time(self, tmp_path, value):
        with pytest.raises(ValueError, match='EXPTIME must be positive, received'):
            ps1.read_stack(self.write(tmp_path / 'a.fits', EXPTIME=value))

    def test_half_a_scaling(self, tmp_path):
        with pytest.raises(ValueError, match='a.fits: an asinh-scaled image must have both'):
            ps1.read_stack(self.write(tmp_path / 'a.fits', BSOFTEN=70.0))

    def test_cut_short(self, tmp_path, counts, wcs):
        for write, name in ((ps1.write_cutout, 'a.fits'), (ps1.write_skycell, 'b.fits')):
            path = tmp_path / name
            write(path, counts, wcs, exposure=602 * u.s, **KEYS)
            content = path.read_bytes()
            for share in (0.3, 0.6, 0.9):
                path.write_bytes(content[:int(share * len(content))])
                with pytest.raises(ValueError, match='is damaged or cut short|must hold an image'):
                    ps1.read_stack(path)

    def test_html(self, tmp_path):
        path = tmp_path / 'a.fits'
        path.write_text('<html><body>Error</body></html>')
        with pytest.raises(ValueError, match="a.fits: a FITS file must begin with SIMPLE, received b'<html>"):
            ps1.read_stack(path)

    def test_no_image(self, tmp_path):
        path = tmp_path / 'a.fits'
        fits.PrimaryHDU().writeto(path)
        with pytest.raises(ValueError, match='must hold an image, received none'):
            ps1.read_stack(path)

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            ps1.read_stack(tmp_path / 'none.fits')

    def test_writing(self, tmp_path, counts, wcs):
        path = tmp_path / 'a.fits'
        for write in (ps1.write_cutout, ps1.write_skycell):
            with pytest.raises(ValueError, match="kind must be 'stack', 'wt' or 'mask', received 'psf'"):
                write(path, counts, wcs, kind='psf', **KEYS)
            path.write_text('mine')
            with pytest.raises(OSError, match='exists: give overwrite=True'):
                write(path, counts, wcs, **KEYS)
            assert path.read_text() == 'mine'
            assert sorted(tmp_path.iterdir()) == [path]


HEAD = 'projcell subcell ra dec filter mjd type filename shortname badflag\n'


class TestListing:
    def test_rows(self):
        name = '/rings.v3.skycell/1405/053/rings.v3.skycell.1405.053.stk.g.unconv.fits'
        table = ps1.parse_listing(f'{HEAD}1405 53 -27.4 2.19 g 0.0 stack {name} {name.rsplit("/", 1)[1]} 0\n')
        assert len(table) == 1
        assert table['projcell'][0] == 1405 and table['ra'][0] == -27.4 and table['filename'][0] == name

    def test_an_older_form(self):
        # without the last column
        table = ps1.parse_listing('projcell subcell ra dec filter mjd type filename shortname\n'
                                  '1 2 3 4 r 0 stack /a b\n')
        assert table['filter'].tolist() == ['r']

    def test_no_rows(self):
        assert len(ps1.parse_listing(HEAD)) == 0

    @pytest.mark.parametrize(('text', 'message'), [
        ('', "must begin with projcell subcell ra ..., received ''"),
        ('<html>Service down</html>', "received '<html>Service"),
        (HEAD + '1405 53 2.0\n', 'must have 10 fields, received'),
        (HEAD + '1405 53 x 2.19 g 0.0 stack /a b 0\n', "ra in the list of files must be numbers, received")])
    def test_something_else(self, text, message):
        with pytest.raises(ValueError, match=message):
            ps1.parse_listing(text)
