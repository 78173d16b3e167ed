# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Calibrations against numbers that others have published."""

import math

import numpy as np
import pytest
from astropy import units as u

from pidoc.image.calibration import (
    AB_MINUS_VEGA_V,
    band_of,
    calibrate,
    header_zero_points,
    pixel_unit,
)
from pidoc.photometry import apparent_flux

V = {'FILTER': 'V'}


def magnitude(calibration):
    """V of one unit."""
    return -2.5 * math.log10(calibration.factor / apparent_flux(0 * u.mag).value)


class TestUnits:
    @pytest.mark.parametrize(('name', 'kind', 'jansky', 'per_second'), [
        ('adu', 'counts', 1, False), ('ADU', 'counts', 1, False), ('DN', 'counts', 1, False),
        ('counts', 'counts', 1, False), ('ELECTRONS', 'counts', 1, False), ('ELECTRONS/S', 'counts', 1, True),
        ('COUNTS/S', 'counts', 1, True), ('e-/s', 'counts', 1, True), ('DN/s', 'counts', 1, True),
        ('counts/sec', 'counts', 1, True), ('adu / pix', 'counts', 1, False), ('', 'counts', 1, False),
        ('Jy', 'flux', 1, False), ('mJy', 'flux', 1e-3, False), ('nJy', 'flux', 1e-9, False),
        ('Jy/pixel', 'flux', 1, False), ('nanomaggy', 'flux', 3.631e-6, False),
        ('nmgy', 'flux', 3.631e-6, False),
        ('nanomaggies', 'flux', 3.631e-6, False), ('maggy', 'flux', 3631, False),
        ('MJy/sr', 'flux', 2.350443e-5, False), ('mag/arcsec2', 'magnitude', 1, False),
        ('mag arcsec-2', 'magnitude', 1, False), ('solLum / kpc2', 'apparent', 1, False),
        ('Lsun/pc2', 'surface', 1, False)])
    def test_names(self, name, kind, jansky, per_second):
        unit = pixel_unit(name)
        assert (unit.kind, unit.per_second) == (kind, per_second)
        assert unit.jansky == pytest.approx(jansky, rel=1e-4)
        assert (unit.per_arcsec2 is not None) == (name in ('MJy/sr', 'mag/arcsec2', 'mag arcsec-2',
                                                           'Lsun/pc2'))

    @pytest.mark.parametrize('name', ['furlong', 'Jy/beam', 'K', 'mag', 'Lsun/Mpc2', 'W/m2',
                                      'erg/s/cm2/Angstrom', 'MJY/SR'])
    def test_others_are_refused(self, name):
        with pytest.raises(ValueError, match="the unit of the image must be one of counts .*received "
                                             f"'{name}'"):
            pixel_unit(name)

    def test_not_a_unit(self):
        with pytest.raises(TypeError, match='unit must be a unit or its name, received 3'):
            pixel_unit(3)

    def test_brightness_of_suns_and_of_magnitudes(self):
        """mu = M_sun + 21.572 - 2.5 log10 Sigma (Lsun/pc^2): Binney & Merrifield (1998), section 2.3."""
        area = np.ones((1, 1))
        suns = calibrate(V, unit='Lsun/pc2').scale(area)
        calibration = calibrate(V, unit='mag/arcsec2')
        mags = calibration.linear(np.array([4.83 + 21.572])) * calibration.scale(area)
        np.testing.assert_allclose(suns, mags, rtol=2e-4)

    def test_nanomaggies_have_the_zero_point_22_5(self):
        assert magnitude(calibrate(V, unit='nanomaggy')) == pytest.approx(22.5 - AB_MINUS_VEGA_V, abs=1e-9)
        assert magnitude(calibrate(V, unit='nJy')) == pytest.approx(31.4 - AB_MINUS_VEGA_V, abs=1e-3)

    @pytest.mark.parametrize(('band', 'difference'), [('I', 0.42), ('F606W', 0.08), ('F814W', 0.42)])
    def test_bands_in_the_other_system(self, band, difference):
        """AB magnitudes are fainter by AB - Vega of the band: those of the Sun in FSPS."""
        vega, ab = (calibrate({'BAND': band}, zero_point=25 * unit, colour=0.5 * u.mag).factor
                    for unit in (u.mag, u.ABmag))
        assert 2.5 * np.log10(vega / ab) == pytest.approx(-difference)

    def test_suns_of_another_band(self):
        """A source of V - g = -0.3: 1 Lsun of g per kpc^2 times 10^(-0.4 (5.03 - 0.3 - 4.83)) in V."""
        factor = calibrate({'BAND': 'g'}, unit='Lsun/kpc2', colour=-0.3 * u.mag).factor
        assert factor == pytest.approx(10 ** (-0.4 * (5.03 - 0.3 - 4.83)))
        with pytest.raises(ValueError, match="must be in one of the bands B, V, .*VIS, whose Sun is known, "
                                             "received 'i'"):
            calibrate({'BAND': 'i'}, unit='Lsun/kpc2', colour=0.3 * u.mag)


class TestBands:
    @pytest.mark.parametrize(('cards', 'band'), [
        ({'FILTER': 'V'}, 'V'), ({'FILTER': 'Johnson V'}, 'V'), ({'FILTER': 'V_BESSELL'}, 'V'),
        ({'FILTER': 'V#641'}, 'V'),
        ({'FILTER': 'r DECam SDSS c0002 6415.0 1480.0'}, 'r'), ({'FPA.FILTERID': 'g.00000'}, 'g'),
        ({'BAND': 'r   '}, 'r'),
        ({'FILTER1': 'CLEAR1L', 'FILTER2': 'F606W'}, 'F606W'), ({'FILTER': 'SDSS g'}, 'g'),
        ({'FILTER': None}, None),
        ({}, None), ({'FILTER': 'Clear', 'BAND': 'B'}, 'B')])
    def test_named_by_headers(self, cards, band):
        assert band_of(cards) == band

    @pytest.mark.parametrize(('header', 'how', 'error', 'rule'), [
        ({}, {}, ValueError, 'the image does not say its band: give band, such as V'),
        (V, {'band': 'g'}, ValueError, "band must be that of the image, 'V' by its header, received 'g'"),
        ({}, {'band': 5}, TypeError, 'band must be the name of a band, such as V, received 5'),
        ({}, {'band': 'F555W'}, ValueError, "the image is in 'F555W', not in V: give colour, the magnitude "
                                            "V - F555W"),
        (V, {'colour': 0.1 * u.mag}, ValueError, 'colour must be left out where the image is in V, '
                                                 'received 0.1 mag'),
        ({}, {'band': 'g', 'colour': 0.1}, TypeError, 'colour must be an astropy Quantity in mag'),
        ({}, {'band': 'g', 'colour': (1, 2) * u.mag}, ValueError, 'colour must be a scalar'),
        ({}, {'band': 'g', 'target': 'r'}, ValueError, "an image in 'r' is needed, received one in 'g'"),
        (V, {'extinction': -1 * u.mag}, ValueError, 'extinction must not be negative, received -1.0 mag'),
        (V, {'extinction': (1, 1) * u.mag}, ValueError, 'extinction must be a scalar')])
    def test_refused(self, header, how, error, rule):
        with pytest.raises(error, match=rule):
            calibrate(header, unit='Jy', **how)


class TestZeroPoints:
    def test_given(self):
        assert magnitude(calibrate(V, zero_point=25 * u.mag)) == pytest.approx(25.0)
        assert magnitude(calibrate(V, zero_point=25 * u.ABmag)) == pytest.approx(25.0 - 0.02)
        assert magnitude(calibrate(V, zero_point=25 * u.mag, exposure=100 * u.s)) == pytest.approx(30.0)
        assert magnitude(calibrate(V, zero_point=25 * u.mag, extinction=0.3 * u.mag)) == pytest.approx(24.7)

    @pytest.mark.parametrize(('cards', 'zero'), [
        ({'PHOTZP': 26.1}, 26.1), ({'MAGZP': 26.1, 'MAGSYS': 'AB'}, 26.08),
        ({'MAGZERO': 30.12, 'MAGZPT': 25.109,
                                                                           'EXPTIME': 101.0}, 30.12),
        ({'FPA.ZP': 25.0, 'EXPTIME': 602.0}, 25.0 + 6.949 - 0.02),
        # F606W of ACS/WFC has 26.49 (AB): Sirianni et al. (2005), table 10
        ({'PHOTFLAM': 7.862481e-20, 'PHOTPLAM': 5921.1, 'BUNIT': 'ELECTRONS/S'}, 26.49 - 0.02),
        ({'PHOTFLAM': 7.862481e-20, 'PHOTPLAM': 5921.1, 'BUNIT': 'ELECTRONS', 'EXPTIME': 100.0},
         31.49 - 0.02)])
    def test_of_headers(self, cards, zero):
        assert magnitude(calibrate(V | cards)) == pytest.approx(zero, abs=0.005)

    def test_numbers_without_a_unit_are_counts(self):
        for unit in (u.one, '1', None):
            assert magnitude(calibrate(V, unit=unit, zero_point=25 * u.mag)) == pytest.approx(25.0)

    def test_words_are_no_numbers(self):
        assert header_zero_points({'PHOTZP': 'NaN', 'MAGZERO': float('nan'), 'MAGZP': True}) == {}
        # without MAGZERO it may be of anything
        assert header_zero_points({'MAGZPT': 25.0, 'EXPTIME': 10.0}) == {}

    def test_what_is_given_is_held_against_the_header(self):
        calibration = calibrate(V | {'PHOTZP': 26.0}, zero_point=26.02 * u.mag)
        assert calibration.flags == ()
        assert (calibration.meta['ZPHEADER'], calibration.meta['ZPKEYWRD']) == (26.0, 'PHOTZP')
        assert calibrate(V | {'PHOTZP': 26.0}, zero_point=26.2 * u.mag).flags == ('zero-point',)
        # a header that is not complete does not matter
        assert calibrate(V | {'FPA.ZP': 25.0}, zero_point=26.2 * u.mag).flags == ()

    @pytest.mark.parametrize(('header', 'how', 'error', 'rule'), [
        ({}, {}, ValueError, 'an image in no unit needs a zero point, and its header has none of PHOTZP'),
        ({'BUNIT': 'adu'}, {}, ValueError, 'an image in adu needs a zero point'),
        ({}, {'exposure': 5 * u.s}, ValueError, 'exposure goes with zero_point, received only exposure'),
        ({'FPA.ZP': 25.0}, {}, ValueError, 'FPA.ZP is of one count a second and the header has no EXPTIME'),
        ({'PHOTFLAM': 1e-19}, {}, ValueError, 'the header has PHOTFLAM but no PHOTPLAM: give zero_point'),
        ({'PHOTFLAM': -1e-19, 'PHOTPLAM': 5000.0}, {}, ValueError, 'PHOTFLAM and PHOTPLAM must be positive'),
        ({'PHOTFLAM': 1e-19, 'PHOTPLAM': 5000.0, 'EXPTIME': 9.0}, {}, ValueError, 'PHOTFLAM needs BUNIT, '
                                                                                  'whether the pixels '
         'are per second'),
        ({'PHOTZP': 25.0, 'MAGZP': 25.3}, {}, ValueError,
         r'two zero points, PHOTZP \(25.000 mag\) and MAGZP \(25.300'),
        ({'MAGZERO': 30.12, 'EXPTIME': 101.0}, {'zero_point': 25.24 * u.mag}, ValueError, 'looks like one '
                                                                                          'count a second: '
         'then give exposure=101 s too'),
        ({'BUNIT': 'Jy'}, {'zero_point': 25 * u.mag}, ValueError, "are for counts: the image is in 'Jy'"),
        ({'BUNIT': 'adu/s'}, {'zero_point': 25 * u.mag, 'exposure': 9 * u.s}, ValueError, 'exposure must '
                                                                                          'be left out where '
         'the pixels are per second'),
        ({}, {'zero_point': 25.0}, TypeError, 'zero_point must be an astropy Quantity in mag'),
        ({}, {'zero_point': 25 * u.STmag}, ValueError, 'zero_point must be in mag or ABmag'),
        ({}, {'zero_point': (25, 26) * u.mag}, ValueError, 'zero_point must be a scalar'),
        ({}, {'zero_point': 25 * u.mag, 'exposure': -1 * u.s}, ValueError, 'exposure must be positive'),
        ({'HISTORY': 'Generated by CDS HiPS2FITS service'}, {'zero_point': 25 * u.mag}, ValueError,
         'an image of hips2fits '
         'has no photometry')])
    def test_refused(self, header, how, error, rule):
        with pytest.raises(error, match=rule):
            calibrate(V | header, **how)

    def test_the_system_of_g_is_ab(self):
        with pytest.raises(ValueError, match='must be in the system of Pan-STARRS1 g, AB, received Vega'):
            calibrate({'BAND': 'g', 'PHOTZP': 25.0, 'MAGSYS': 'VEGAMAG'}, colour=-0.3 * u.mag)
