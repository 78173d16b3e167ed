# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Zero points in headers, against numbers that observatories publish."""

import numpy as np
import pytest
from astropy.io import fits

from pidoc.image.read import opened
from pidoc.image.zero_points import (
    agreed,
    exposure_time,
    header_number,
    header_zero_points,
    magnitude_system,
    no_time,
    strange_system,
    surface_factor,
)


def readings(header, **how):
    """keyword: the magnitudes it may be."""
    return {keyword: [round(its.magnitude, 3) for its in each]
            for keyword, each in header_zero_points(header, **how).items()}


@pytest.mark.parametrize('keyword', ['PHOTZP', 'MAGZERO', 'MAGZP', 'ZP', 'ZPT', 'ABMAGZP', 'ZEROPT',
                                     'IMAGEZPT', 'MAGZEROP'])
def test_of_the_pixels_or_of_a_second(keyword):
    assert readings({keyword: 25.0, 'EXPTIME': 100.0}) == {keyword: [25.0, 30.0]}
    assert [its.of for its in header_zero_points({keyword: 25.0, 'EXPTIME': 100.0})[keyword]] == [
        'one unit of the pixels', 'one unit a second']
    # no choice
    for header, how in (({'EXPTIME': 1.0}, {}), ({}, {}), ({'EXPTIME': 100.0}, {'per_second': True})):
        assert readings({keyword: 25.0} | header, **how) == {keyword: [25.0]}


@pytest.mark.parametrize('keyword', ['MAGZPT', 'ESO QC ZPOINT', 'PHOT_C', 'L1ZP'])
def test_of_a_second_or_of_the_pixels(keyword):
    assert readings({keyword: 25.0, 'EXPTIME': 100.0}) == {keyword: [30.0, 25.0]}
    # the more usual one cannot be computed
    first, other = header_zero_points({keyword: 25.0})[keyword]
    assert (first.magnitude, first.of) == (25.0, 'one unit of the pixels')
    assert np.isnan(other.magnitude) and other.of == 'one unit a second'


@pytest.mark.parametrize('time', ['100', ' 100.0 ', '1e2', '100 s', '100.0 sec', '100 seconds'])
def test_numbers_that_are_text(time):
    assert readings({'MAGZPT': '25.0', 'EXPTIME': time}) == {'MAGZPT': [30.0, 25.0]}
    assert exposure_time({'EXPTIME': time}) == 100.0


@pytest.mark.parametrize('text', ['NaN', 'inf', 'none', '', '12:30:00', '100 m', '1 2', True, None])
def test_text_that_is_no_number(text):
    assert header_number({'EXPTIME': text}, 'EXPTIME') is None


@pytest.mark.parametrize('keyword', ['EXPTIME', 'TEXPTIME', 'TEXP', 'INTTIME', 'ELAPTIME'])
def test_keywords_of_the_exposure_time(keyword):
    assert exposure_time({keyword: 100.0}) == 100.0


@pytest.mark.parametrize(('header', 'per_second', 'magnitude'), [
    ({'FPA.ZP': 25.0, 'EXPTIME': 602.0}, False, 25.0 + 6.949),
    # ACS/WFC F606W has 26.49 (AB): Sirianni et al. (2005), table 10
    ({'PHOTFLAM': 7.862481e-20, 'PHOTPLAM': 5921.1}, True, 26.491),
    ({'PHOTFLAM': 7.862481e-20, 'PHOTPLAM': 5921.1, 'EXPTIME': 100.0}, False, 31.491),
    # the same in Jy: f_lambda lambda^2 / c
    ({'PHOTFNU': 9.195e-8}, True, 26.491),
    # Hyper Suprime-Cam coadds have 27.0
    ({'FLUXMAG0': 63095734448.0}, False, 27.0),
    ({'FLUX20': 2000.0}, False, 20.0 + 8.253), ({'NMGY': 0.005}, False, 22.5 + 5.753)])
def test_others(header, per_second, magnitude):
    [[reading]] = header_zero_points(header, per_second=per_second).values()
    assert reading.magnitude == pytest.approx(magnitude, abs=0.002) and reading.system == 'AB'


def test_surface_brightness_of_webb():
    assert surface_factor({'PHOTMJSR': 0.5}, per_second=True) == 0.5
    assert surface_factor({'PHOTMJSR': 0.5, 'XPOSURE': 100.0}, per_second=False) == 0.005
    assert surface_factor({}, per_second=True) is surface_factor({'PHOTMJSR': 0.0}, per_second=True) is None
    with pytest.raises(ValueError, match='PHOTMJSR is of one count a second and the header has no EXPTIME'):
        surface_factor({'PHOTMJSR': 0.5}, per_second=False)


def test_words_are_no_numbers():
    assert header_zero_points({'PHOTZP': 'NaN', 'MAGZERO': float('nan'), 'MAGZP': True, 'ZP': 0.0}) == {}
    assert exposure_time({'EXPTIME': 'long', 'EXPOSURE': -1.0}) is None
    assert exposure_time({'EXPTIME': 0.0, 'XPOSURE': 5.0}) == 5.0


@pytest.mark.parametrize(('cards', 'system'), [
    ({}, None), ({'MAGSYS': 'AB'}, 'AB'), ({'PHOTSYS': 'ABMAG'}, 'AB'), ({'MAGSYS': 'VEGAMAG'}, 'Vega'),
    ({'MAGSYS': 'STMAG'}, 'ST'), ({'MAGSYS': 'st'}, 'ST'), ({'MAGSYS': 'standard'}, None),
    *(({'MAGSYS': word}, 'AB') for word in ('ABNU', 'AB magnitudes', 'AB_MAG', 'mag(AB)', 'mAB', 'SDSS')),
    *(({'MAGSYS': word}, 'Vega') for word in ('Vega (Johnson)', 'vega mag', 'VEGAmag', 'Johnson-Cousins',
                                              'Landolt', 'UBVRI', 'mag(Vega)')),
    *(({'PHOTSYS': word}, 'ST') for word in ('ST magnitudes', 'mag(ST)', 'STMAGS')),
    ({'MAGSYS': 'unknown', 'PHOTSYS': 'AB'}, 'AB'), ({'MAGSYS': 'mag'}, None)])
def test_systems(cards, system):
    assert magnitude_system(cards) == system
    assert header_zero_points({'PHOTZP': 25.0} | cards)['PHOTZP'][0].system == system
    # which the keyword says itself
    assert header_zero_points({'ABMAGZP': 25.0} | cards)['ABMAGZP'][0].system == 'AB'


@pytest.mark.parametrize('word', ['FOO', 'instrumental', 'absolute', 'AB and Vega', 'standard stars', True])
def test_systems_that_are_not_known(word):
    assert magnitude_system({'MAGSYS': word}) is None
    assert strange_system({'MAGSYS': word}) == f'MAGSYS = {str(word)!r}'
    assert strange_system({'MAGSYS': 'standard'}) is strange_system({}) is None


@pytest.mark.parametrize(('header', 'rule'), [
    ({'FPA.ZP': 25.0}, 'FPA.ZP is of one count a second and the header has no EXPTIME'),
    ({'PHOTFLAM': 1e-19}, 'the header has PHOTFLAM but no PHOTPLAM: give zero_point'),
    ({'PHOTFLAM': -1e-19, 'PHOTPLAM': 5000.0}, 'PHOTFLAM must be positive, received -1e-19'),
    *(({'PHOTFLAM': 1e-19, 'PHOTPLAM': value}, 'PHOTPLAM must be in Angstrom, from 1000 to 300000, received')
      for value in (550.0, 0.55, 5.5e-7, -5500.0))])
def test_refused(header, rule):
    with pytest.raises(ValueError, match=rule):
        header_zero_points(header)


def twice(keyword, *values, **cards):
    """A header with several cards of a keyword, as it is read."""
    header = fits.Header()
    for value in values:
        header.append((keyword, value))
    header.update(cards)
    with opened(fits.PrimaryHDU(np.ones((3, 3)), header)) as source:
        return source.header


@pytest.mark.parametrize('values', [(100.0, 100), (100.0, '100.0'), ('100', 100.0), (100.0, '100 s'),
                                    (100.0, 100.003), (100.0, 'long'), ('long', 100.0, 0.0)])
def test_cards_that_agree_are_one(values):
    header = twice('EXPTIME', *values, ZP=25.0)
    assert exposure_time(header) == 100.0 and readings(header) == {'ZP': [25.0, 30.0]}


def test_cards_that_differ():
    """Both readings, between which another keyword decides, or the user."""
    header = twice('EXPTIME', 100.0, 10.0, MAGZPT=25.0)
    assert exposure_time(header) is None
    assert readings(header) == {'MAGZPT': [30.0, 27.5, 25.0]}
    assert agreed(header_zero_points(header | {'MAGZERO': 27.5}))[0].magnitude == 27.5
    assert str(no_time(header, 'MAGZPT')).endswith(
        'and the header has EXPTIME twice, with 100 and 10: give zero_point, and exposure if it is of one '
        'count a second')
    with pytest.raises(ValueError, match='PHOTMJSR is of one .* has EXPTIME twice, with 100 and 10: give'):
        surface_factor(header | {'PHOTMJSR': 0.5}, per_second=False)
    assert header_number(twice('GAIN', 1.5, 2.0), 'GAIN') is None


class TestAgreed:
    @pytest.mark.parametrize(('header', 'first', 'other'), [
        # DECam: one in each way
        ({'MAGZERO': 30.12, 'MAGZPT': 25.109, 'EXPTIME': 101.0}, 30.12, None),
        # both of a second, although neither is usually
        ({'MAGZPT': 25.0, 'L1ZP': 25.0, 'EXPTIME': 100.0}, 30.0, 25.0),
        ({'PHOTZP': 25.0, 'MAGZP': 25.02, 'EXPTIME': 100.0}, 25.0, 30.0),
        ({'PHOTZP': 25.0, 'FPA.ZP': 25.0, 'EXPTIME': 100.0}, 30.0, None),
        ({'PHOTZP': 25.0}, 25.0, None)])
    def test_on_one(self, header, first, other):
        found = agreed(header_zero_points(header))
        assert [its and pytest.approx(its.magnitude, abs=1e-6) for its in found] == [first, other]

    def test_on_none(self):
        with pytest.raises(ValueError, match=r'two zero points, PHOTZP \(25.000 mag\) and MAGZP \(25.300'):
            agreed(header_zero_points({'PHOTZP': 25.0, 'MAGZP': 25.3}))
