# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""World coordinates as headers have them: the position that must come out, or the refusal."""

import astropy
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import FK4, FK5, Galactic, ICRS, SkyCoord
from astropy.io import fits

from pidoc.image.read import opened
from pidoc.image.world import celestial_wcs, check_pixels, FRAMES

RA, DEC = 211.0, 28.0


def header(**cards):
    """A TAN plane about RA, DEC in the middle of 11 x 11 pixels, in no frame that is named."""
    head = fits.Header({
        'CTYPE1': 'RA---TAN', 'CTYPE2': 'DEC--TAN', 'CRVAL1': RA, 'CRVAL2': DEC, 'CRPIX1': 6.0, 'CRPIX2': 6.0,
        'CDELT1': -1e-4, 'CDELT2': 1e-4, 'CUNIT1': 'deg', 'CUNIT2': 'deg'})
    for keyword, value in cards.items():
        head[keyword] = value
    return head


def middle(cards, *, shape=(11, 11), **how):
    """Position of the middle of an image with these cards."""
    with opened(fits.PrimaryHDU(np.zeros(shape), cards), **how) as source:
        return source.wcs.pixel_to_world(5, 5)


def assert_at(place, frame):
    assert place.separation(SkyCoord(RA * u.deg, DEC * u.deg, frame=frame)) < 1e-3 * u.arcsec


B1950, J2000 = FK4(equinox='B1950'), FK5(equinox='J2000')


@pytest.mark.parametrize(('cards', 'frame'), [
    ({}, ICRS()), ({'RADESYS': 'ICRS'}, ICRS()), ({'RADESYS': 'icrs'}, ICRS()), ({'RADESYS': 'ICRF'}, ICRS()),
    ({'RADESYS': ''}, ICRS()), ({'EQUINOX': 2000.0}, J2000), ({'EQUINOX': 'J2000'}, J2000),
    ({'EQUINOX': 'J2000.0'}, J2000), ({'EQUINOX': '2000.0'}, J2000), ({'EQUINOX': '2000'}, J2000),
    ({'EQUINOX': 'J2000', 'RADESYS': 'ICRS'}, ICRS()), ({'RADESYS': 'fk5'}, J2000), ({'RADESYS': 'J2000'},
                                                                                     J2000),
    ({'RADESYS': 'FK5 (J2000)'}, J2000), ({'RADECSYS': 'FK5'}, J2000), ({'RADECSYS': 'fk5'}, J2000),
    # half a degree off in the frame of today
    ({'EQUINOX': 'B1950'}, B1950), ({'EQUINOX': '1950.0'}, B1950), ({'EQUINOX': 1950.0}, B1950),
    ({'RADESYS': 'B1950'}, B1950), ({'RADESYS': 'fk4', 'EQUINOX': 'B1950'}, B1950),
    ({'EQUINOX': 'unknown'}, ICRS()),
    # not set
    ({'EQUINOX': 0.0}, ICRS()), ({'EQUINOX': 1}, ICRS()), ({'EQUINOX': '0.0'}, ICRS()),
    ({'EPOCH': 0}, ICRS()),
    ({'EQUINOX': 0, 'RADESYS': 'FK5'}, J2000), ({'EQUINOX': 0.0, 'RADESYS': 'FK4'}, B1950)])
def test_frames(cards, frame):
    assert_at(middle(header(**cards)), frame)


@pytest.mark.parametrize('cards', [
    {'LATPOLE': '28.0'}, {'LATPOLE': 'N/A'}, {'LATPOLE': ''}, {'LONPOLE': '180.0'}, {'LONPOLE': '180.0',
                                                                                     'LATPOLE': '28'},
    {'CUNIT1': 'DEG', 'CUNIT2': 'Degrees'}, {'CUNIT1': '', 'CUNIT2': ''}, {'CUNIT1': 'degree',
                                                                           'CUNIT2': 'degree'},
    {'CTYPE1': 'ra---tan', 'CTYPE2': 'dec--tan'}])
def test_cards_that_are_put_right(cards):
    assert_at(middle(header(**cards)), ICRS())


def test_coefficients_of_a_distortion_that_ctype_does_not_name(capfd):
    """They are used, without a word of astropy about it."""
    cards = {'A_ORDER': 2, 'B_ORDER': 2, 'A_2_0': 1e-3, 'B_0_2': 1e-3}
    with astropy.log.log_to_list() as messages:
        with opened(fits.PrimaryHDU(np.zeros((11, 11)), header(**cards))) as source:
            east = source.wcs.pixel_to_world(10, 5)
            source.wcs[2:8, 2:8].pixel_to_world(1, 1)
        level = astropy.log.level
        middle(header(**cards, CTYPE1='RA---TAN-SIP', CTYPE2='DEC--TAN-SIP'))
    assert not messages and capfd.readouterr() == ('', '')
    assert astropy.log.level == level
    # 5 pixels and 1e-3 x 5^2
    separation = east.separation(SkyCoord(RA * u.deg, DEC * u.deg))
    assert separation.to_value(u.deg) == pytest.approx(5.025e-4, rel=1e-5)


def test_a_pole_that_counts():
    """LONPOLE in quotation marks turns the image as the number does."""
    with opened(fits.PrimaryHDU(np.zeros((11, 11)), header(LONPOLE='90.0'))) as source:
        text = source.wcs.pixel_to_world(5, 10)
    with opened(fits.PrimaryHDU(np.zeros((11, 11)), header(LONPOLE=90.0))) as source:
        number = source.wcs.pixel_to_world(5, 10)
    assert text.separation(number) < 1e-6 * u.arcsec
    assert text.separation(middle(header())) > 1 * u.arcsec
    with opened(fits.PrimaryHDU(np.zeros((11, 11)), header())) as source:
        assert text.separation(source.wcs.pixel_to_world(5, 10)) > 1 * u.arcsec


def test_a_pole_that_is_none():
    # as by default
    assert middle(header(LONPOLE=999.0)).separation(middle(header())) < 1e-6 * u.arcsec
    with pytest.raises(ValueError, match='LONPOLE of .* must be from -360 to 360 degrees, received 1e.308'):
        middle(header(LONPOLE=1e308))


@pytest.mark.parametrize(('frame', 'its'), [('icrs', ICRS()), ('fk5', J2000), ('fk4', B1950), ('galactic',
                                                                                               Galactic())])
@pytest.mark.parametrize('cards', [
    {'RADESYS': 'GAPPT'}, {'RADESYS': 'FK9', 'EQUINOX': 'J2000'}, {'CUNIT1': 'micron', 'CUNIT2': 'micron'},
    {'CUNIT1': 'pixel', 'CUNIT2': 'pixel'}, {'CUNIT1': 'hourangle'}, {'EQUINOX': 1950.0},
    {'CTYPE1': 'GLON-TAN', 'CTYPE2': 'GLAT-TAN'}])
def test_the_frame_that_is_given(cards, frame, its):
    assert_at(middle(header(**cards), wcs_frame=frame), its)


@pytest.mark.parametrize(('cards', 'rule'), [
    ({'RADESYS': 'GAPPT'}, "in a frame that astropy knows, received RA---TAN, DEC--TAN and RADESYS 'GAPPT': "
                           "give wcs_frame, that they are in"),
    ({'CUNIT1': 'micron', 'CUNIT2': 'micron'}, "are not understood: .*: give wcs_frame, that they are in, or "
                                               "'none'"),
    ({'CUNIT1': 'furlong'}, "are not understood: .*: give wcs_frame"),
    ({'CUNIT1': 'hourangle'}, "are not understood: .*: give wcs_frame")])
def test_what_is_asked_for(cards, rule):
    with pytest.raises(ValueError, match=rule):
        middle(header(**cards))


def test_none():
    with opened(fits.PrimaryHDU(np.zeros((11, 11)), header(RADESYS='GAPPT')), wcs_frame='none') as source:
        assert source.wcs is None


def test_other_frames_are_refused():
    with pytest.raises(ValueError, match="wcs_frame must be one of icrs, fk5, fk4, galactic, none, received "
                                         "'J2000'"):
        middle(header(), wcs_frame='J2000')
    with pytest.raises(ValueError,
                       match="wcs_frame is for FITS files, received wcs_frame='icrs' with ndarray"):
        with opened(np.zeros((3, 3)), wcs_frame='icrs'):
            pass
    assert celestial_wcs(header(), fits.HDUList(), None, frame='none') is None and 'none' in FRAMES


CUBE = {'CTYPE3': 'WAVE', 'CRVAL3': 1.0, 'CRPIX3': 1.0, 'CDELT3': 0.1}


class TestCubes:
    @pytest.mark.parametrize('unit', ['um', 'micron', 'Microns', 'Angstrom', 'furlong'])
    def test_units_of_the_third_axis(self, unit):
        assert_at(middle(header(**CUBE, CUNIT3=unit), shape=(4, 11, 11), plane=0), ICRS())

    def test_planes(self):
        cube = np.arange(24.0).reshape(2, 3, 2, 2)
        for plane in ((0, 0), (1, 2)):
            with opened(cube, plane=plane) as source:
                np.testing.assert_array_equal(source.raw((0, 2, 0, 2)), cube[plane])
        # an axis of length 1 needs no number
        with opened(cube[:, :1], plane=1) as source:
            np.testing.assert_array_equal(source.raw((0, 2, 0, 2)), cube[1, 0])
        hdu = fits.PrimaryHDU(cube[0], header(**CUBE))
        with opened(fits.HDUList([hdu]), plane=2) as source:
            np.testing.assert_array_equal(source.raw((0, 2, 0, 2)), cube[0, 2])

    def test_the_mask_of_a_plane(self):
        masks = np.zeros((3, 2, 2), dtype=np.uint8)
        masks[1, 0, 0] = 1
        for mask in (masks, masks[1]):
            hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((3, 2, 2)), name='SCI'),
                                 fits.ImageHDU(mask, name='MASK')])
            with opened(hdus, plane=1) as source:
                assert source.read((0, 2, 0, 2))[1].tolist() == [[True, False], [False, False]]

    @pytest.mark.parametrize(('shape', 'plane', 'rule'), [
        ((4, 2, 2), None, r'two dimensions, received the shape \(4, 2, 2\) of array: choose one of 4 images '
                          r'with plane'),
        ((3, 4, 2, 2), None, 'choose one of 3 x 4 images with plane'),
        ((4, 2, 2), 4, 'plane must be one of 4 images of array, from 0, received 4'),
        ((4, 2, 2), -1, 'plane must be one of 4 images of array, from 0, received -1'),
        ((4, 2, 2), (0, 1), r'plane must be one of 4 images of array, from 0, received \(0, 1\)'),
        ((4, 2, 2), 1.0, 'plane must be one of 4 images of array, from 0, received 1.0'),
        ((2, 2), 0, 'plane must be one of no images of array, from 0, received 0'),
        ((5,), None, r'an image must have two dimensions, received the shape \(5,\)')])
    def test_refused(self, shape, plane, rule):
        with pytest.raises(ValueError, match=rule), opened(np.zeros(shape), plane=plane):
            pass

    def test_the_sky_along_other_axes(self):
        turned = header(CTYPE3='DEC--TAN', CTYPE2='WAVE', CRVAL3=DEC, CRPIX3=6.0, CDELT3=1e-4, CUNIT2='um')
        with pytest.raises(ValueError, match='must have the sky along the first two axes, received axes 1 '
                                             'and 3'):
            middle(turned, shape=(11, 11, 11), plane=0)


@pytest.mark.parametrize(('sides', 'angle', 'rule'), [
    ((0.4, 0.4), 0.0, 'make pixels without an area'), ((0.0, 0.4), 90.0, 'make pixels without an area'),
    ((0.4, 2.1), 90.0, 'pixels of it must be about square, received sides of 0.4 and 2.1 arcsec, 90 degrees '
                       'apart'),
    ((0.4, 0.4), 19.0, 'about square, received sides of 0.4 and 0.4 arcsec, 19 degrees apart')])
def test_pixels_that_are_no_squares(sides, angle, rule):
    with pytest.raises(ValueError, match=rule):
        check_pixels(sides, angle, 'it')
    check_pixels((0.4, 1.9), 21.0, 'it')
