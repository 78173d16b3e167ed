# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Units of pixels as people write them."""

import pytest
from astropy import units as u

from pidoc.image.pixel_units import pixel_unit

NANOMAGGY = 3.6307805e-6


class TestCounts:
    @pytest.mark.parametrize('name', ['adu', 'ADU', 'DN', 'counts', 'ELECTRONS', 'adu / pix', '', 'e-',
                                      'photons', 'data numbers',
                                      'DATA UNITS', 'Counts/pixel', 'electron', 'dimensionless', '1', 'N/A',
                                      'none', 'unknown', 'e^-', 'photoelectron', 'Digital Units'])
    def test_of_the_pixels(self, name):
        unit = pixel_unit(name)
        assert (unit.kind, unit.per_second, unit.per_arcsec2, unit.scale) == ('counts', False, None, 1.0)

    @pytest.mark.parametrize('name', ['ELECTRONS/S', 'COUNTS/S', 'e-/s', 'DN/s', 'counts/sec', 'cps', 'CPS',
                                      'e/s', 'E/S', 'e- / s',
                                      'electrons per second', 'ADU s-1', 'adu.s-1', 'electron s**-1',
                                      'DN/s/pixel',
                                      'COUNTS/SECOND', 'count rate', 'e^-/s'])
    def test_of_a_second(self, name):
        unit = pixel_unit(name)
        assert (unit.kind, unit.per_second, unit.per_arcsec2, unit.scale) == ('counts', True, None, 1.0)

    def test_several(self):
        assert pixel_unit('2 adu').scale == 2.0
        assert pixel_unit('100 e-/s').scale == pytest.approx(100.0)

    def test_which_are_electrons(self):
        assert pixel_unit('e-/s').electrons and pixel_unit('ELECTRONS').electrons
        assert not pixel_unit('adu').electrons and not pixel_unit('counts').electrons


@pytest.mark.parametrize(('name', 'jansky'), [
    ('Jy', 1), ('JY', 1), ('mJy', 1e-3), ('mjy', 1e-3), ('UJY', 1e-6), ('uJy', 1e-6), ('\N{MICRO SIGN}Jy',
                                                                                       1e-6), ('MICROJY',
                                                                                               1e-6),
    ('micro Jansky', 1e-6), ('nJy', 1e-9), ('10*nanoJansky', 1e-8), ('Jy/pixel', 1), ('JY/PIX', 1),
    ('Jy pixel-1', 1),
    ('3.631e-06 Jy', 3.631e-6), ('3.631E-06 JY', 3.631e-6), ('3.631e-6Jy', 3.631e-6), ('10 nJy', 1e-8),
    ('3.631e-6*Jy', 3.631e-6), ('1.0E-6 * Jy', 1e-6),
    ('nanomaggy', NANOMAGGY), ('NANOMAGGY', NANOMAGGY), ('nmgy', NANOMAGGY), ('NMGY', NANOMAGGY),
    ('nanomaggies', NANOMAGGY), ('maggy', NANOMAGGY * 1e9), ('erg/s/cm2/Hz', 1e23), ('ERG/S/CM**2/HZ', 1e23),
    ('W/m2/Hz', 1e26), ('10**-29 W/m2/Hz', 1e-3), ('10^-29 W m^-2 Hz^-1', 1e-3)])
def test_flux_densities(name, jansky):
    unit = pixel_unit(name)
    assert (unit.kind, unit.per_arcsec2, unit.per_wavelength) == ('flux', None, False)
    assert unit.jansky == pytest.approx(jansky, rel=1e-6)
    assert unit.at_wavelength(5500.0) == unit.jansky


@pytest.mark.parametrize(('name', 'jansky'), [
    ('MJy/sr', 2.350443e-5), ('MJY/SR', 2.350443e-5), ('MJy sr-1', 2.350443e-5), ('MJY SR-1', 2.350443e-5),
    ('kJy/sr', 2.350443e-8), ('Jy / sr', 2.350443e-11), ('Jy/arcsec2', 1), ('JY/ARCSEC^2', 1), ('mJy/arcsec2',
                                                                                                1e-3),
    ('nanomaggy/arcsec2', NANOMAGGY), ('uJy/sq. arcsec', 1e-6), ('MJy/str', 2.350443e-5)])
def test_surface_brightnesses(name, jansky):
    unit = pixel_unit(name)
    assert (unit.kind, unit.per_arcsec2, unit.per_wavelength) == ('flux', 1.0, False)
    assert unit.jansky == pytest.approx(jansky, rel=1e-6)


@pytest.mark.parametrize(('name', 'number'), [
    ('erg/s/cm2/A', 1), ('ERG/S/CM2/ANGSTROM', 1), ('erg s-1 cm-2 Angstrom-1', 1), ('erg/(s cm2 AA)', 1),
    ('(erg/s/cm2/A)', 1), ('1e-17 erg/s/cm2/Ang', 1e-17), ('10**(-20)*erg/s/cm**2/Angstrom', 1e-20),
    ('10^-20 erg/s/cm^2/\N{LATIN CAPITAL LETTER A WITH RING ABOVE}', 1e-20), ('W/m2/um', 0.1),
    ('W m-2 micron-1', 0.1),
    ('W/m2/nm', 100), ('FLAM', 1)])
def test_per_wavelength(name, number):
    """f_nu = f_lambda lambda^2 / c: 3.63e-9 erg/s/cm2/A at 5475 A are the 3631 Jy of AB (ST) magnitude 0."""
    unit = pixel_unit(name)
    assert (unit.kind, unit.per_arcsec2, unit.per_wavelength) == ('flux', None, True)
    assert unit.jansky == pytest.approx(number, rel=1e-6)
    assert 3.63e-9 / number * unit.at_wavelength(5475.0) == pytest.approx(3631.0, rel=1e-3)


def test_per_wavelength_and_area():
    unit = pixel_unit('1e-18 erg/s/cm2/A/arcsec2')
    assert (unit.kind, unit.per_arcsec2, unit.per_wavelength) == ('flux', 1.0, True)


@pytest.mark.parametrize(('name', 'kind', 'per_area', 'scale'), [
    *((name, 'magnitude', 1.0, 1.0) for name in ('mag/arcsec2', 'mag arcsec-2', 'MAG/ARCSEC^2',
                                                 'mag/sq arcsec', 'mag/arcsec**2',
                                                 'MAG/SQARCSEC', 'mag/square arcsec',
                                                 'mag per arcsec squared')),
    *((name, 'apparent', None, 1.0) for name in ('solLum / kpc2', 'Lsun/kpc2', 'LSUN/KPC^2')),
    *((name, 'surface', 1.0, 1.0) for name in ('Lsun/pc2', 'LSUN/PC^2', 'L_sun/pc^2', 'Lsol/pc2',
                                               'solLum / pc2')),
    ('10 Lsun/pc2', 'surface', 1.0, 10.0)])
def test_suns_and_magnitudes(name, kind, per_area, scale):
    unit = pixel_unit(name)
    assert (unit.kind, unit.per_arcsec2, unit.scale) == (kind, per_area, pytest.approx(scale))


def test_units_of_astropy():
    assert pixel_unit(u.MJy / u.sr).per_arcsec2 == 1.0
    assert pixel_unit(u.Unit('3e-6 Jy')).jansky == pytest.approx(3e-6)
    assert pixel_unit(u.electron / u.s).per_second


@pytest.mark.parametrize('name', ['furlong', 'Jy/beam', 'K', 'mag', 'Lsun/Mpc2', 'W/m2', 'erg/s', 's', 'Jy s',
                                  '0 Jy', '-1 Jy', '5', '1e60', '2 / s',
                                  'nan Jy', '1e400 Jy'])
def test_others_are_refused(name):
    with pytest.raises(ValueError, match=f"the unit of the image must be one of counts .*received '{name}'"):
        pixel_unit(name)


@pytest.mark.parametrize('name', ['MJY', 'MJY/PIXEL'])
def test_a_capital_that_may_be_both(name):
    with pytest.raises(ValueError, match=f"must be mJy or MJy, received '{name}', which may be both: give "
                                         f"unit"):
        pixel_unit(name)


def test_not_a_unit():
    with pytest.raises(TypeError, match='unit must be a unit or its name, received 3'):
        pixel_unit(3)
