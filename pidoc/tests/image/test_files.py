# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Maps of light as files, in which every card says what it means."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty

from pidoc.image.files import write_map
from pidoc.image.preparation import prepare
from pidoc.mock.mock import Mock
from pidoc.tests.image_helpers import CENTER, paint, stars, tan_wcs, ZERO_POINT

pytest.importorskip('reproject')
pytest.importorskip('photutils')


@pytest.fixture(scope='module')
def images():
    wcs = tan_wcs((120, 120), 0.4)
    counts = paint(stars(), wcs, (120, 120))
    counts[50:60, 60:70] = np.nan
    return {band: CCDData(counts, unit='adu', wcs=wcs, uncertainty=StdDevUncertainty(np.ones(counts.shape)))
            for band in 'gr'}


@pytest.fixture(scope='module', params=['V', 'gr'])
def light(images, request):
    how = {'zero_point': ZERO_POINT, 'center': CENTER, 'field_of_view': 20 * u.arcsec}
    if request.param == 'V':
        return prepare(images['g'], band='V', extinction=0.2 * u.mag, **how)
    return prepare(images, seeing={'g': 1.1 * u.arcsec, 'r': 0.9 * u.arcsec}, **how)


def test_what_is_written_is_read(light, tmp_path):
    path = tmp_path / 'map.fits'
    write_map(light, path)
    image = CCDData.read(path)
    assert image.unit == light.unit
    np.testing.assert_array_equal(image.data, light.data.astype(np.float32))
    assert isinstance(image.uncertainty, StdDevUncertainty)
    np.testing.assert_array_equal(image.uncertainty.array, light.uncertainty.array)
    np.testing.assert_array_equal(image.mask, light.mask)
    assert image.wcs.pixel_to_world(3, 4).separation(light.wcs.pixel_to_world(3, 4)) < 1e-3 * u.arcsec
    header = fits.getheader(path)
    for keyword, value in light.meta.items():
        if isinstance(value, float):
            value = pytest.approx(value, rel=1e-7)
        assert header[keyword] == value
        assert header.comments[keyword], keyword
    again = prepare(path, field_of_view=20 * u.arcsec)
    np.testing.assert_allclose(again.data[~light.mask], light.data[~light.mask], rtol=1e-6)
    assert again.meta['FLAGS'] == light.meta['FLAGS'] == 'gaps'


def test_same_map_same_bytes_and_nothing_is_replaced(light, tmp_path):
    path = tmp_path / 'map.fits'
    write_map(light, path)
    first = path.read_bytes()
    with pytest.raises(OSError, match='exists: give overwrite=True'):
        write_map(light, path)
    write_map(light, path, overwrite=True)
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]


def test_without_mask_and_uncertainty(tmp_path):
    wcs = tan_wcs((160, 160), 0.25)
    light = prepare(CCDData(np.full((160, 160), 1e-3), unit='Lsun/kpc2', wcs=wcs), band='V', smoothing=0,
                    seeing=1 * u.arcsec)
    write_map(light, tmp_path / 'map.fits')
    with fits.open(tmp_path / 'map.fits') as hdus:
        assert [hdu.name for hdu in hdus] == ['PRIMARY', 'SHARP']
    with pytest.raises(ValueError, match='a mock observation must have MOCKFMT'):
        Mock.read(tmp_path / 'map.fits')
