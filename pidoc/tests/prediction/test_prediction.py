# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""`Prediction`: what follows from it, and its file."""

import os
import warnings
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.table import QTable, vstack
from astropy.wcs import WCS

from pidoc.inference.flags import flag_bits
from pidoc.prediction.prediction import (
    checked_center,
    Measured,
    measured_age,
    measured_from_log,
    Prediction,
    row_units,
)


def a_wcs(crpix=(81.0, 79.0)):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ['RA---TAN', 'DEC--TAN']
    wcs.wcs.cunit = ['deg', 'deg']
    wcs.wcs.crval = (250.42, 36.46)
    wcs.wcs.cdelt = [-0.25 / 3600, 0.25 / 3600]
    wcs.wcs.crpix = crpix
    wcs.wcs.radesys = 'ICRS'
    return wcs


def a_prediction(*, bad=(), **changes):
    """A Gaussian of light with M/L rising outwards, at 20 kpc."""
    y, x = np.indices((160, 160)) - 79.5
    light = (1e-3 * np.exp(-(x**2 + y**2) / 800) + 1e-6).astype(np.float32)
    ratio = (1.0 + 0.02 * np.hypot(x, y)).astype(np.float32)
    mass = (ratio * light * 4 * np.pi * 20.0**2).astype(np.float32)
    mask = None
    if bad:
        mask = np.zeros(light.shape, bool)
        mask[bad] = True
    wcs = a_wcs()
    values = {
        'light': CCDData(light, unit=u.Lsun / u.kpc**2, wcs=wcs, mask=mask, meta={
            'PSFFWHM': 1.1, 'SIMUL': 'a simulation', 'VIEWX': None, 'MOCKSEED': 4, 'SKYSUB': True}),
        'mass': CCDData(mass, unit=u.Msun, wcs=wcs, mask=mask, uncertainty=StdDevUncertainty(0.3 * mass)),
        'total_mass': measured_from_log(np.log(5000.0), 0.1, 0.2, u.Msun),
        'mass_to_light': measured_from_log(np.log(1.6), 0.05, 0.1, u.Msun / u.Lsun),
        'age': measured_age(11.0, 1.0, 2.0), 'distance': measured_from_log(np.log(20.0), 0.02, 0.04, u.kpc),
        'distance_given': True, 'pixel_scale': 0.25 * u.arcsec, 'center': (80.0, 78.0),
        'flags': flag_bits('seeing', 'filled'), 'reasons': ('seeing: too large', 'filled: 3 of 9 pixels'),
        'name': 'NGC 0.fits', 'model': 'default', 'model_sha256': 'ab' * 32,
        'command': 'pidoc-predict ' + 'a' * 90}
    return Prediction(**values | changes)


def same(one, other, *, rtol=0.0):
    for name in ('light', 'mass'):
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(a.data, b.data, rtol=rtol)
        assert a.unit == b.unit and a.data.dtype == b.data.dtype
        assert (a.mask is None) == (b.mask is None)
        if a.mask is not None:
            np.testing.assert_array_equal(a.mask, b.mask)
        for key in ('crval', 'crpix', 'cdelt'):
            np.testing.assert_allclose(getattr(a.wcs.wcs, key), getattr(b.wcs.wcs, key), rtol=1e-12)
    np.testing.assert_allclose(one.mass.uncertainty.array, other.mass.uncertainty.array, rtol=rtol)
    assert set(one.light.meta) == set(other.light.meta)
    for key, value in one.light.meta.items():
        # a card holds 16 digits
        expected = pytest.approx(value, rel=1e-14) if isinstance(value, float) else value
        assert other.light.meta[key] == expected, key
    for name in ('total_mass', 'mass_to_light', 'age', 'distance', 'distance_given', 'pixel_scale', 'center',
                 'flags', 'reasons', 'name', 'model', 'model_sha256', 'command'):
        assert getattr(one, name) == getattr(other, name), name


# -- one number -----------------------------------------------------------------------------------


def test_measured():
    mass = measured_from_log(np.log(1000.0), 0.1, 0.3, u.Msun)
    assert mass.value.value == pytest.approx(1000) and mass.unit == u.Msun
    expected = np.array([1, *np.exp([-0.1, 0.1, -0.3, 0.3])]) * 1e3 * u.Msun.to(u.kg)
    np.testing.assert_allclose(mass.in_unit(u.kg), expected)
    assert mass.error.value == pytest.approx(1000 * np.sinh(0.1))
    assert str(mass) == '1000 (905 to 1105) solMass'
    large = measured_from_log(np.log(3e5), 0.1, 0.3, u.Msun)
    assert str(large) == '3.000e+05 (2.715e+05 to 3.316e+05) solMass'
    assert str(Measured(*[2.0] * 5 * u.kpc)) == '2 (2 to 2) kpc'


def test_no_age_below_zero():
    age = measured_age(0.2, 0.5, 1.0)
    assert age.in_unit(u.Gyr) == pytest.approx([0.2, 0.0, 0.7, 0.0, 1.2])
    assert measured_age(-0.1, 0.5, 1.0).value == 0 * u.Gyr


@pytest.mark.parametrize('ends', [
    [1, 2, 3, 0, 4], [2, 1, 3, 1.5, 4], [2, 1, 3, 0, 2.5], [2, np.nan, 3, 0, 4]])
def test_intervals_in_order(ends):
    with pytest.raises(ValueError, match='an interval must be in order, .* received'):
        Measured(*ends * u.Gyr)


# -- what follows ---------------------------------------------------------------------------------


def test_luminosity():
    prediction = a_prediction()
    total = prediction.light.data.sum(dtype=float)
    assert prediction.luminosity.value.to_value(u.Lsun) == pytest.approx(4 * np.pi * 20**2 * total)
    # as the square of the distance
    value, _, high, low, _ = prediction.luminosity.in_unit(u.Lsun)
    assert (high / value, low / value) == pytest.approx((np.exp(0.04), np.exp(-0.08)))


def test_surface_density():
    prediction = a_prediction(bad=(3, 4))
    density = prediction.surface_density
    side = 20e3 * u.pc * (0.25 * u.arcsec).to_value(u.rad)
    total = np.sum(density.data) * density.unit * side**2
    assert total.to_value(u.Msun) == pytest.approx(prediction.mass.data.sum(dtype=float), rel=1e-5)
    np.testing.assert_allclose(density.uncertainty.array, 0.3 * density.data, rtol=1e-5)
    assert density.mask[3, 4] and density.mask.sum() == 1


def test_mass_to_light_map():
    light = a_prediction().light.copy()
    light.data[0, 0], light.data[0, 1] = 0.0, -1e-9
    ratio = a_prediction(light=light).mass_to_light_map
    y, x = np.indices((160, 160)) - 79.5
    expected = 1.0 + 0.02 * np.hypot(x, y)
    expected[0, :2] = np.nan
    np.testing.assert_allclose(ratio.data, expected, rtol=1e-5)
    assert ratio.unit == u.Msun / u.Lsun


def test_profiles():
    prediction = a_prediction(center=(79.5, 79.5), bad=(0, 0))
    profile, ratio = prediction.mass_profile, prediction.mass_to_light_profile
    assert len(profile) == len(ratio) == 25
    np.testing.assert_allclose(profile['mass_error'], 0.3 * profile['mass'], rtol=1e-5)
    np.testing.assert_allclose(ratio['mass_to_light_error'], 0.3 * ratio['mass_to_light'], rtol=1e-5)
    # 1 + 0.02 r [pixel], by the light of a ring
    middle = 1 + 0.02 * ratio['separation'].to_value(u.arcsec) / 0.25
    np.testing.assert_allclose(ratio['mass_to_light'].value, middle, rtol=0.06)
    assert profile['n_pixels'].sum() == 160**2 - 1
    moved = a_prediction(center=(100.0, 79.5)).mass_profile
    assert moved['mass'][0] < 0.8 * profile['mass'][0]


def test_domain():
    assert not a_prediction().in_domain
    assert a_prediction(flags=flag_bits('filled', 'preparation')).in_domain
    assert a_prediction().flag_names == ('seeing', 'filled')


# -- shown ----------------------------------------------------------------------------------------


def test_what_is_shown():
    prediction = a_prediction(name='<b>.fits')
    text = prediction.summary()
    assert text.splitlines()[0] == '<b>.fits  (model default)'
    for part in ('5000 (4524 to 5526) solMass', '1.60 (1.52 to 1.68) solMass / solLum',
                 '11.0 (10.0 to 12.0) Gyr', '20.00 (19.60 to 20.40) kpc, given', 'seeing, filled',
                 'OUTSIDE: do not trust these numbers', '    seeing: too large'):
        assert part in text
    assert len(text.splitlines()) < 24
    page = prediction._repr_html_()
    assert '&lt;b&gt;.fits' in page and '<b>' not in page and '5000 (4524 to 5526)' in page
    assert 'OUTSIDE' in repr(prediction) and 'inside' in repr(a_prediction(flags=0))
    assert 'flags' not in a_prediction(flags=0, reasons=()).summary()


def test_rows_of_a_table(tmp_path):
    rows = [a_prediction().to_row(), a_prediction(name='b', flags=0, distance_given=False).to_row()]
    table = vstack(rows)
    table.write(tmp_path / 'all.ecsv')
    again = QTable.read(tmp_path / 'all.ecsv')
    assert list(again['name']) == ['NGC 0.fits', 'b'] and list(again['in_domain']) == [False, True]
    assert again['flag_names'][0] == 'seeing filled' and list(again['distance_given']) == [True, False]
    assert again['total_mass'].unit == u.Msun and again['mass_to_light'].unit == u.Msun / u.Lsun
    np.testing.assert_allclose(again['age_low_68'], [10, 10] * u.Gyr)
    np.testing.assert_allclose(again['total_mass_high_95'], [5000 * np.exp(0.2)] * 2 * u.Msun)


def test_the_picture(tmp_path):
    figure = a_prediction(bad=(5, 6)).plot()
    figure.savefig(tmp_path / 'a.png', dpi=50)
    assert (tmp_path / 'a.png').stat().st_size > 10_000
    axes = {axis.get_ylabel() or 'text': axis for axis in figure.axes}
    drawn = axes['mass [M$_\\odot$ per pixel]'].lines[0].get_xydata().T
    profile = a_prediction(bad=(5, 6)).mass_profile
    np.testing.assert_allclose(drawn, [profile['separation'].value, profile['mass'].value])
    said = ''.join(text.get_text() for axis in figure.axes for text in axis.texts)
    assert 'OUTSIDE the training domain' in said and 'mass in the field: 5000 (4524 to 5526)' in said
    maps = [axis.images[0] for axis in figure.axes if axis.images]
    np.testing.assert_allclose(maps[1].get_array(), a_prediction().mass.data)
    # zero is the centre
    assert maps[0].get_extent() == pytest.approx((-20.125, 19.875, -19.625, 20.375))


def test_a_picture_without_light(tmp_path):
    dark = a_prediction()
    dark.light.data[:] = -1e-9
    dark.light.data[0, 0] = 1e-3
    dark.plot().savefig(tmp_path / 'dark.png', dpi=40)


# -- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize('bad', [(), (5, 6)])
def test_round_trip(tmp_path, bad):
    prediction = a_prediction(bad=bad)
    prediction.write(tmp_path / 'a.fits')
    again = Prediction.read(tmp_path / 'a.fits')
    same(prediction, again)
    again.write(tmp_path / 'b.fits')
    assert (tmp_path / 'a.fits').read_bytes() == (tmp_path / 'b.fits').read_bytes()
    assert list(tmp_path.glob('.*')) == []


def test_round_trip_without_a_place_on_the_sky(tmp_path):
    prediction = a_prediction()
    for image in (prediction.light, prediction.mass):
        image.wcs = None
    prediction.write(tmp_path / 'a.fits.gz', dtype=np.float64)
    again = Prediction.read(tmp_path / 'a.fits.gz')
    assert again.mass.wcs is None and again.mass.data.dtype == np.float64
    np.testing.assert_array_equal(again.mass.data, prediction.mass.data)


def test_many_reasons(tmp_path):
    reasons = tuple(f'quantity{k}: {"x" * 150} is {k}' for k in range(22))
    a_prediction(reasons=reasons).write(tmp_path / 'a.fits')
    assert Prediction.read(tmp_path / 'a.fits').reasons == reasons


def test_the_file(tmp_path):
    prediction = a_prediction(bad=(5, 6))
    prediction.write(tmp_path / 'a.fits')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with fits.open(tmp_path / 'a.fits', checksum=True) as hdus:
            hdus.verify('exception')
            names = [hdu.name for hdu in hdus]
            header = hdus[0].header
            params = QTable.read(hdus['PARAMS'])
            profile = QTable.read(hdus['PROFILE'])
            ratio, mask = hdus['ML'].data, hdus['MASK'].data
            light = hdus['LIGHT'].header
    assert names == ['MASS', 'MASS_ERR', 'ML', 'LIGHT', 'MASK', 'PROFILE', 'PARAMS']
    assert header['TOTMASS'] == pytest.approx(5000) and header.comments['TOTMASS'] == '[solMass] total mass'
    assert header['TOTMASSE'] == pytest.approx(5000 * np.sinh(0.1))
    assert header['AGE'] == 11 and header['AGEE'] == 1 and header['DISTANCE'] == pytest.approx(20)
    assert header['MODEL'] == 'default' and header['MODELSHA'] == 'ab' * 32
    assert header['COMMAND'] == prediction.command and header['REASON1'] == 'seeing: too large'
    assert header['FLAGNAME'] == 'seeing filled' and header['INDOMAIN'] is False
    assert list(params['name']) == ['total_mass', 'luminosity', 'mass_to_light', 'age', 'distance']
    assert list(params['unit']) == ['solMass', 'solLum', 'solMass / solLum', 'Gyr', 'kpc']
    assert params['low_95'][3] == 9
    np.testing.assert_allclose(profile['mass'], prediction.mass_profile['mass'])
    assert profile['mass_to_light'].unit == u.Msun / u.Lsun and profile['separation'].unit == u.arcsec
    np.testing.assert_allclose(ratio, prediction.mass_to_light_map.data)
    assert mask[5, 6] == 1 and mask.sum() == 1
    assert light['PSFFWHM'] == 1.1 and light['BUNIT'] == 'solLum kpc-2'


def test_other_programs_read_it(tmp_path):
    """DS9, Aladin and jdaviz want world coordinates and a name in each image; TOPCAT units of columns."""
    prediction = a_prediction(bad=(5, 6))
    prediction.write(tmp_path / 'a.fits')
    with fits.open(tmp_path / 'a.fits') as hdus:
        hdus.verify('exception')
        assert isinstance(prediction.to_hdulist(), fits.HDUList)
        for hdu in hdus:
            assert hdu.header['EXTNAME'] == hdu.name != ''
            if not hdu.is_image:
                continue
            wcs = WCS(hdu.header)
            assert wcs.has_celestial and wcs.array_shape == (160, 160)
            there = wcs.pixel_to_world(80, 78)
            assert (there.ra.deg, there.dec.deg) == pytest.approx((250.42, 36.46))
            if hdu.name != 'MASK':
                assert u.Unit(hdu.header['BUNIT'], format='fits') in (u.Msun, u.Msun / u.Lsun,
                                                                      u.Lsun / u.kpc**2)
        columns = hdus['PROFILE'].columns
        assert all(u.Unit(column.unit, format='fits') for column in columns
                   if column.unit and column.name != 'number')
        units = {column.name: column.unit for column in columns}
        assert units['separation'] == 'arcsec' and units['mass'] == 'solMass'
        assert not any('O' in column.format or 'P' in column.format for hdu in hdus if not hdu.is_image
                       for column in hdu.columns)


def test_plain_rows():
    prediction = a_prediction()
    row, values = prediction.to_row(), prediction.row_values()
    assert list(values) == row.colnames == list(row_units())
    for name, unit in row_units().items():
        assert row[name].unit == unit if unit else not hasattr(row[name][0], 'unit')
        assert type(values[name]) in (str, bool, int, float)
        assert getattr(row[name][0], 'value', row[name][0]) == values[name]


def test_astropy_reads_it(tmp_path):
    prediction = a_prediction(bad=(5, 6))
    prediction.write(tmp_path / 'a.fits')
    mass = CCDData.read(tmp_path / 'a.fits', hdu_uncertainty='MASS_ERR')
    np.testing.assert_array_equal(mass.data, prediction.mass.data)
    np.testing.assert_array_equal(mass.uncertainty.array, prediction.mass.uncertainty.array)
    assert mass.mask[5, 6] and mass.unit == u.Msun
    ra, dec = mass.wcs.wcs_pix2world(80.0, 78.0, 0)
    assert (float(ra), float(dec)) == pytest.approx((250.42, 36.46))


def test_what_a_header_cannot_hold(tmp_path):
    prediction = a_prediction(name='Größe.fits')
    prediction.light.meta.update({
        'long keyword': 1, 'LIST': [1, 2], 'BAD': np.nan, 'HISTORY': 'x', 'N': np.int64(3)})
    prediction.write(tmp_path / 'a.fits')
    again = Prediction.read(tmp_path / 'a.fits')
    assert again.name == 'Gr??e.fits' and again.light.meta['N'] == 3
    assert not {'long keyword', 'LIST', 'BAD', 'HISTORY'} & set(again.light.meta)


def test_no_file_is_replaced_unasked(tmp_path):
    path = tmp_path / 'a.fits'
    path.write_text('mine')
    with pytest.raises(OSError, match='a.fits exists: say overwrite=True'):
        a_prediction().write(path)
    assert path.read_text() == 'mine'
    a_prediction().write(path, overwrite=True)
    assert Prediction.read(path).name == 'NGC 0.fits'
    with pytest.raises(ValueError, match='dtype must be float32 or float64, received int16'):
        a_prediction().write(path, overwrite=True, dtype=np.int16)


def test_nothing_half_written_stays(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError('no space left')

    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(OSError, match='no space left'):
        a_prediction().write(tmp_path / 'a.fits')
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_prediction(tmp_path):
    with pytest.raises(FileNotFoundError):
        Prediction.read(tmp_path / 'none.fits')
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / 'b.fits')
    with pytest.raises(ValueError, match='b.fits: a prediction must have PREDFMT = 1 and the extensions'):
        Prediction.read(tmp_path / 'b.fits')
    a_prediction().write(tmp_path / 'a.fits')
    whole = (tmp_path / 'a.fits').read_bytes()
    (tmp_path / 'c.fits').write_bytes(whole[:len(whole) // 2])
    with pytest.raises(ValueError, match='c.fits'):
        Prediction.read(tmp_path / 'c.fits')
    changed = bytearray(whole)
    changed[20000] ^= 255
    (tmp_path / 'd.fits').write_bytes(changed)
    with pytest.raises(ValueError, match='d.fits is damaged or cut short'):
        Prediction.read(tmp_path / 'd.fits')
    hdus = a_prediction().to_hdulist()
    hdus['PARAMS'].data = hdus['PARAMS'].data[:3]
    with pytest.raises(ValueError, match='the table PARAMS must have rows for age, distance: not found'):
        Prediction.from_hdulist(hdus)


# -- the centre -----------------------------------------------------------------------------------


def test_the_center():
    shape = (160, 160)
    assert checked_center(None, None, shape) == (79.5, 79.5)
    assert checked_center(None, a_wcs(), shape) == (80.0, 78.0)
    assert checked_center(None, a_wcs((-300.0, 20.0)), shape) == (79.5, 79.5)
    assert checked_center((3, 4.5), a_wcs(), shape) == (3.0, 4.5)
    # one pixel north
    there = SkyCoord(250.42, 36.46 + 0.25 / 3600, unit='deg')
    assert checked_center(there, a_wcs(), shape) == pytest.approx((80.0, 79.0), abs=1e-3)
    with pytest.raises(ValueError, match='center must be on the map, .* pixels, received column 200'):
        checked_center((200, 3), None, shape)
    with pytest.raises(ValueError, match='column and row for a map without world coord.* received <SkyCoord'):
        checked_center(there, None, shape)
    with pytest.raises(ValueError, match="center must be a SkyCoord, or column and row, .* received 'M 13'"):
        checked_center('M 13', a_wcs(), shape)


def test_a_prediction_is_not_changed_by_what_is_asked():
    prediction = a_prediction(bad=(5, 6))
    before = prediction.mass.data.copy(), prediction.light.data.copy()
    prediction.surface_density.data[:] = 0
    prediction.surface_density.mask[:] = True
    prediction.to_hdulist()[0].data[:] = 0
    np.testing.assert_array_equal(prediction.mass.data, before[0])
    np.testing.assert_array_equal(prediction.light.data, before[1])
    assert prediction.mass.mask.sum() == 1
    assert replace(prediction, command='x').command == 'x'
