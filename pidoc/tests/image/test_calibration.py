# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Calibrations against numbers that others have published."""

import math
import pickle

import numpy as np
import pytest
from astropy import units as u

from pidoc.image.calibration import AB_MINUS_VEGA_V, calibrate, MissingError
from pidoc.image.filters import FILTERS
from pidoc.photometry import apparent_flux

V = {'FILTER': 'V'}


def magnitude(calibration):
    """V of one unit."""
    return -2.5 * math.log10(calibration.factor / apparent_flux(0 * u.mag).value)


class TestUnits:
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

    @pytest.mark.parametrize(('band', 'ab_minus_st'), [
        ('F555W', 18.692 - 5 * np.log10(5361.0)), ('F814W', 18.692 - 5 * np.log10(8045.0))])
    def test_magnitudes_of_flux_per_wavelength(self, band, ab_minus_st):
        """By the pivot wavelengths of ACS; a zero point of ST in the header is none of Vega."""
        ab, st = (calibrate({'FILTER': band, 'MAGSYS': system, 'PHOTZP': 25.0}, unit='adu').factor
                  for system in ('AB', 'STMAG'))
        assert 2.5 * np.log10(ab / st) == pytest.approx(ab_minus_st, abs=0.03)

    @pytest.mark.parametrize(('band', 'system'), [('I', 'Vega'), ('i', 'AB')])
    def test_a_system_that_is_not_known(self, band, system):
        """It is taken for that of the band, with a note; what is given needs none."""
        header, colour = {'FILTER': band, 'PHOTZP': 25.0}, {'colour': 0.5 * u.mag}
        plain, strange = (calibrate(header | more, **colour) for more in ({}, {'MAGSYS': 'FOO'}))
        assert strange.factor == plain.factor and strange.meta['MAGSYS'] == system
        assert strange.flags == ('magnitude-system',) and strange.meta['SYSHEAD'] == "MAGSYS = 'FOO'"
        assert plain.flags == () and 'SYSHEAD' not in plain.meta
        header |= {'MAGSYS': 'FOO'}
        for given in (25 * u.mag, 25 * u.ABmag):
            assert calibrate(header, zero_point=given, **colour).flags == ()
        assert calibrate(header, unit='Jy', **colour).flags == ()
        assert calibrate(header, unit='mag/arcsec2', **colour).flags == ('magnitude-system',)
        assert calibrate({'FILTER': band, 'ABMAGZP': 25.0, 'MAGSYS': 'FOO'}, **colour).flags == ()

    @pytest.mark.parametrize('wavelength', [550.0, 0.55])
    def test_wavelengths_are_in_angstrom(self, wavelength):
        with pytest.raises(ValueError, match='PHOTPLAM must be in Angstrom, from 1000 to 300000, received'):
            calibrate(V | {'PHOTPLAM': wavelength}, unit='erg/s/cm2/A')

    def test_suns_of_another_band(self):
        """A source of V - g = -0.3: 1 Lsun of g per kpc^2 times 10^(-0.4 (5.03 - 0.3 - 4.83)) in V."""
        factor = calibrate({'BAND': 'g'}, unit='Lsun/kpc2', colour=-0.3 * u.mag).factor
        assert factor == pytest.approx(10 ** (-0.4 * (5.03 - 0.3 - 4.83)))
        with pytest.raises(ValueError, match="must be in one of the bands B, V, .*VIS, whose Sun is known, "
                                             "received 'i'"):
            calibrate({'BAND': 'i'}, unit='Lsun/kpc2', colour=0.3 * u.mag)

    @pytest.mark.parametrize(('name', 'zero'), [
        ('MJY/SR', 20.472), ('3.631e-06 Jy', 22.5), ('100 nJy', 26.4), ('erg/s/cm2/A', -21.10),
        ('1e-17 erg/s/cm2/A', 21.4)])
    def test_as_people_write_them(self, name, zero):
        """AB of a unit (per arcsec2 if it is per area); erg/s/cm2/A: -21.10 of ST, which is AB at 5475 A."""
        assert magnitude(calibrate(V, unit=name)) == pytest.approx(zero - AB_MINUS_VEGA_V, abs=0.003)

    def test_per_wavelength(self):
        """At the pivot wavelength of the header, else that of the band; unknown filters have none."""
        for cards, pivot in (({'PHOTPLAM': 5921.1}, 5921.1), ({}, 5918.0)):
            its = calibrate({'FILTER': 'F606W'} | cards, unit='erg/s/cm2/A', colour=0.0 * u.mag)
            jansky = pivot**2 / 2.99792458e18 * 1e23
            assert magnitude(its) == pytest.approx(-2.5 * math.log10(jansky / 3630.78) - 0.08, abs=1e-5)
        with pytest.raises(ValueError, match="'erg/s/cm2/A' is per wavelength and needs a pivot wavelength: "
                                             ".*, received 'Ha'|; received 'Ha'"):
            calibrate({'FILTER': 'Ha'}, unit='erg/s/cm2/A', colour=0.0 * u.mag)

    def test_several_counts_in_one_unit(self):
        assert magnitude(calibrate(V | {'ZP': 25.0}, unit='10 adu')) == pytest.approx(22.5)
        # what is given is that of the unit
        assert magnitude(calibrate(V, unit='10 adu', zero_point=25 * u.mag)) == pytest.approx(25.0)
        assert calibrate(V, unit='10 Lsun/kpc2').factor == pytest.approx(10.0)

    def test_surface_brightness_of_webb(self):
        """One DN/s of PHOTMJSR = 0.5 MJy/sr, 20.472 mag/arcsec2 (AB) of 1 MJy/sr."""
        header = V | {'PHOTMJSR': 0.5, 'BUNIT': 'DN/s'}
        calibration = calibrate(header)
        assert calibration.per_area
        assert magnitude(calibration) == pytest.approx(20.472 + 0.7526 - AB_MINUS_VEGA_V, abs=0.001)
        # not of an image that is in MJy/sr already
        assert magnitude(calibrate(header | {'BUNIT': 'MJy/sr'})) == pytest.approx(20.472 - AB_MINUS_VEGA_V,
                                                                                   abs=0.001)
        # nor where a zero point is given
        assert magnitude(calibrate(header, zero_point=25 * u.mag)) == pytest.approx(25.0)


class TestBands:
    def test_all_names_of_one(self):
        for name in ('V', 'Vj', 'BESS_V', 'Photometric V'):
            for header, how in (({'FILTER': name}, {}), ({}, {'band': name})):
                calibration = calibrate(header, zero_point=25 * u.mag, **how)
                assert magnitude(calibration) == pytest.approx(25.0)
                assert calibration.meta['IMGBAND'] == 'V' and calibration.flags == ()

    def test_the_one_that_is_given_overrules(self):
        calibration = calibrate({'FILTER': 'R'}, zero_point=25 * u.mag, band='V')
        assert calibration.flags == ('band',) and calibration.meta['BANDHEAD'] == 'R'
        assert magnitude(calibration) == pytest.approx(25.0)

    @pytest.mark.parametrize(('band', 'colour'), [
        ('B', -0.73), ('g', -0.26), ('r', 0.26), ('I', 0.94), ('F475W', -0.45), ('F555W', -0.05), ('F606W',
                                                                                                   0.25),
        ('F814W', 0.98),
        ('VIS', 0.40), ('G', 0.23), ('R', 0.46), ('i', 0.49)])
    def test_the_colour_of_an_old_population(self, band, colour):
        """V of a magnitude in the band's own system, and in AB."""
        calibration = calibrate({'FILTER': band}, zero_point=25 * u.mag)
        assert magnitude(calibration) == pytest.approx(25.0 + colour)
        assert calibration.flags == ('colour',)
        assert calibration.meta['COLOUR'] == colour and 0.0 < calibration.meta['COLERR'] < 0.15
        assert calibration.meta['COLFROM'] == 'old population'
        # freed from A_V = 1: the colour is that of reddened light, the light is 1 mag brighter
        its = FILTERS[band]
        red = calibrate({'FILTER': band}, zero_point=25 * u.mag, extinction=1 * u.mag)
        assert magnitude(red) == pytest.approx(25.0 + colour + (1.0 - its.extinction) - 1.0)
        if its.system == 'Vega':
            ab = calibrate({'FILTER': band}, zero_point=25 * u.ABmag)
            assert magnitude(ab) == pytest.approx(25.0 + colour - its.ab_minus_vega)
        given = calibrate({'FILTER': band}, zero_point=25 * u.mag, colour=0.1 * u.mag)
        assert magnitude(given) == pytest.approx(25.1) and given.flags == ()
        assert given.meta['COLFROM'] == 'given'

    @pytest.mark.parametrize(('header', 'how', 'error', 'rule'), [
        ({}, {}, ValueError, 'the image does not say its band: give band, such as V'),
        ({}, {'band': 'air'}, TypeError, "band must be the name of a band, such as V, received 'air'"),
        ({}, {'band': 5}, TypeError, 'band must be the name of a band, such as V, received 5'),
        ({}, {'band': 'F435W'}, ValueError, "the image is in 'F435W', not in V: give colour, the magnitude "
                                            "V - F435W"),
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

    def test_a_second_without_an_exposure_time(self):
        """MAGZPT is usually of one count a second: that it was not taken for this is flagged."""
        calibration = calibrate(V | {'MAGZPT': 25.0})
        assert magnitude(calibration) == pytest.approx(25.0) and calibration.flags == ('zero-point-reading',)
        assert calibration.meta['ZPREAD'] == 'one unit of the pixels' and 'ZPOTHER' not in calibration.meta
        given = calibrate(V | {'MAGZPT': 25.0}, zero_point=25 * u.mag, exposure=100 * u.s)
        assert magnitude(given) == pytest.approx(30.0) and given.flags == ('zero-point',)

    @pytest.mark.parametrize('keyword', ['GAIN', 'EGAIN'])
    def test_electrons_whose_gain_is_in_the_header(self, keyword):
        assert 'gain' in calibrate(V | {'BUNIT': 'electron', 'ZP': 25.0, keyword: 4.0}).flags

    def test_read_in_two_ways(self):
        calibration = calibrate(V | {'ZP': 25.0, 'EXPTIME': 100.0})
        assert magnitude(calibration) == pytest.approx(25.0) and calibration.flags == ('zero-point-reading',)
        assert calibration.meta['ZPREAD'] == 'one unit of the pixels' and calibration.meta['ZPOTHER'] == 30.0
        # either of the two may be given
        for value in (25, 30):
            given = calibrate(V | {'ZP': 25.0, 'EXPTIME': 100.0}, zero_point=value * u.mag)
            assert magnitude(given) == pytest.approx(value) and given.flags == ()
        assert calibrate(V | {'ZP': 25.0, 'EXPTIME': 100.0}, zero_point=27 * u.mag).flags == ('zero-point',)
        # of two zero points that differ, too
        assert calibrate(V | {'ZP': 25.0, 'MAGZP': 26.0}, zero_point=26 * u.mag).flags == ()

    def test_electrons_with_a_gain(self):
        header = V | {'ZP': 25.0, 'GAIN': 2.5}
        calibration = calibrate(header, unit='electron')
        assert calibration.flags == ('gain',) and calibration.meta['GAIN'] == 2.5
        assert magnitude(calibration) == pytest.approx(25.0)
        assert calibrate(header, unit='adu').flags == calibrate(header | {'GAIN': 1.0},
                                                                unit='electron').flags == ()

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
        ({'PHOTFLAM': -1e-19, 'PHOTPLAM': 5000.0}, {}, ValueError, 'PHOTFLAM must be positive'),
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

    def test_all_that_is_missing_is_named_at_once(self):
        with pytest.raises(MissingError, match=r'the image lacks a zero point and the band: give '
                                               r'zero_point \(magnitude .*\), band \(such as V\)'):
            calibrate({})
        with pytest.raises(MissingError, match=r'lacks a zero point and the colour: give .*, colour '
                                               r'\(V - Ha\)'):
            calibrate({'FILTER': 'Ha'})

    def test_it_survives_the_way_to_another_process(self):
        error = MissingError([('a scale', 'pixel_scale', 'side', 'give pixel_scale'),
                              ('the band', 'band', 'such as V', 'give band')], 'b.fits')
        again = pickle.loads(pickle.dumps(error))
        assert str(again) == str(error)
        assert str(error) == ('b.fits lacks a scale and the band: give pixel_scale (side), '
                              'band (such as V)')

    def test_the_system_of_g_is_ab(self):
        with pytest.raises(ValueError, match='must be in the system of Pan-STARRS1 g, AB, received Vega'):
            calibrate({'BAND': 'g', 'PHOTZP': 25.0, 'MAGSYS': 'VEGAMAG'}, colour=-0.3 * u.mag)
