# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Light before the smoothing: in memory and in files."""

import gzip

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData

from pidoc.grid import MapGrid
from pidoc.image import prepare
from pidoc.image.files import write_map
from pidoc.image.light import Light, sharp_of


@pytest.fixture(scope='module')
def prepared():
    """A faint wide source, and a bright star a pixel wide."""
    y, x = np.mgrid[:240, :240] - 119.5
    counts = 100.0 * np.exp(-(x**2 + y**2) / (2 * 30.0**2)) + 1e4 * np.exp(-((x - 20)**2 + y**2) / 2.0)
    return prepare(counts, unit='adu', zero_point=25 * u.mag, band='V', pixel_scale=0.25 * u.arcsec,
                   center=(119.5, 119.5), seeing=0.6 * u.arcsec)


def test_both_maps_have_the_same_light_and_the_sharp_one_is_sharper(prepared):
    sharp = prepared.sharp
    assert sharp.shape == prepared.shape == (160, 160)
    inner = np.s_[30:-30, 30:-30]
    assert sharp[inner].sum() == pytest.approx(prepared.data[inner].sum(), rel=0.01)
    # a star of sigma 1 pixel, smoothed with 4: its peak falls by 1 + 16
    star = sharp.max() - np.median(sharp)
    assert star / (prepared.data.max() - np.median(prepared.data)) > 10.0
    row, column = np.unravel_index(np.argmax(sharp), sharp.shape)
    assert abs(row - 79.5) <= 1 and abs(column - 99.5) <= 1


def test_what_came_smoothed_has_no_sharp_light(prepared):
    again = prepare(CCDData(prepared.data, unit=prepared.unit, wcs=prepared.wcs, meta=prepared.meta))
    assert again.sharp is None
    np.testing.assert_allclose(again.data, prepared.data)


@pytest.mark.parametrize('name', ['light.fits', 'light.fits.gz'])
def test_files_hold_it(prepared, tmp_path, name):
    path = tmp_path / name
    write_map(prepared, path)
    np.testing.assert_allclose(sharp_of(path), prepared.sharp, rtol=1e-5)
    read = CCDData.read(path)
    np.testing.assert_allclose(read.data, prepared.data, rtol=1e-5)


def test_other_files_hold_none(prepared, tmp_path):
    plain = Light(prepared.data, unit=prepared.unit, wcs=prepared.wcs, meta=prepared.meta)
    write_map(plain, tmp_path / 'plain.fits')
    CCDData(np.ones((4, 4)), unit='adu').write(tmp_path / 'other.fits')
    (tmp_path / 'text.fits').write_text('nothing')
    with gzip.open(tmp_path / 'cut.fits.gz', 'wb') as file:
        file.write(b'CONVENT =' * 1000)
    (tmp_path / 'broken.fits.gz').write_bytes((tmp_path / 'cut.fits.gz').read_bytes()[:30])
    for name in ('plain.fits', 'other.fits', 'text.fits', 'cut.fits.gz', 'broken.fits.gz', 'absent.fits'):
        assert sharp_of(tmp_path / name) is None, name


def test_both_maps_have_one_shape():
    with pytest.raises(ValueError, match=r'must have the shape of the map, \(4, 4\), received \(4, 5\)'):
        Light(np.ones((4, 4)), unit=u.Lsun / u.kpc**2, sharp=np.ones((4, 5)))


def test_the_smoothing_of_the_grid_is_that_of_the_map(prepared):
    assert prepared.meta['SMOOTH'] == MapGrid().smoothing
