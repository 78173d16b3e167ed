# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Pixels, channels and units of the maps."""

import json
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData

from pidoc.grid import APPARENT_FLUX, Channel, MapGrid

WIDE = MapGrid(shape=(80, 120), pixel_scale=1 * u.arcsec, smoothing=1.5,
               channels=(Channel('r'), Channel('r', smoothed=False)))


def test_the_default_is_the_grid_of_the_paper():
    grid = MapGrid()
    assert grid.shape == (160, 160) and np.all(grid.field_of_view == 40 * u.arcsec)
    assert (grid.scale, grid.smoothing, grid.band) == (0.25, 4.0, 'V')
    assert str(grid) == '160 x 160 pixels of 0.25 arcsec in V, smoothed with 4 pixels'
    assert grid == MapGrid() and hash(grid) == hash(MapGrid()) and grid != WIDE


def test_what_follows_from_it():
    assert (WIDE.ny, WIDE.nx, WIDE.scale, WIDE.band) == (80, 120, 1.0, 'r')
    assert list(WIDE.field_of_view.to_value(u.arcsec)) == [120.0, 80.0]
    assert WIDE.reach == pytest.approx(np.hypot(60, 40))
    assert str(WIDE) == '120 x 80 pixels of 1 arcsec in r, r (sharp), smoothed with 1.5 pixels'
    assert str(MapGrid(smoothing=0)).endswith('in V, not smoothed')


def test_units_are_turned_into_arcsec():
    assert MapGrid(pixel_scale=0.25 / 60 * u.arcmin) == MapGrid()


@pytest.mark.parametrize('grid', [MapGrid(), WIDE])
def test_to_json_and_back(grid):
    assert MapGrid.from_dict(json.loads(json.dumps(grid.to_dict()))) == grid


@pytest.mark.parametrize('change', [
    {'shape': None}, {'smoothing': -1}, {'pixel_scale': 'wide'}, {'channels': [{'colour': 'V'}]},
    {'channels': []}, {'more': 1}])
def test_damaged_dictionaries(change):
    with pytest.raises(ValueError, match='must have shape, pixel_scale, smoothing and channels, received'):
        MapGrid.from_dict({**MapGrid().to_dict(), **change})


def test_a_field():
    assert MapGrid.of_field() == MapGrid()
    grid = MapGrid.of_field([30, 20] * u.arcsec, pixel_scale=0.5 * u.arcsec, smoothing=2, band='g')
    assert grid == MapGrid(shape=(40, 60), pixel_scale=0.5 * u.arcsec, smoothing=2.0,
                           channels=(Channel('g'),))
    # what is not given is that of the other grid
    assert MapGrid.of_field(smoothing=3.0, grid=WIDE).channels == WIDE.channels
    assert MapGrid.of_field(40 * u.arcsec, grid=WIDE).shape == (40, 40)
    assert MapGrid.of_field(pixel_scale=0.5 * u.arcsec, grid=WIDE).shape == (160, 240)


@pytest.mark.parametrize(('options', 'error', 'match'), [
    ({'shape': (160,)}, ValueError, r'shape must be two whole numbers from 1 to 8192, received \(160,\)'),
    ({'shape': (160, 0)}, ValueError, 'shape must be two whole numbers from 1 to 8192'),
    ({'shape': (9000, 9000)}, ValueError, 'shape must be two whole numbers from 1 to 8192'),
    ({'pixel_scale': 0.25}, TypeError, 'pixel_scale must be an astropy Quantity in arcsec'),
    ({'pixel_scale': -1 * u.arcsec}, ValueError, 'pixel_scale must be positive'),
    ({'pixel_scale': [1, 2] * u.arcsec}, ValueError, 'pixel_scale must be a scalar'),
    ({'smoothing': -1}, ValueError, 'smoothing must be a number of pixels, at least 0, received -1'),
    ({'smoothing': np.nan}, ValueError, 'smoothing must be a number of pixels'),
    ({'smoothing': 200}, ValueError, 'smoothing must be of no more pixels than the map has, 160'),
    ({'channels': ()}, ValueError, 'channels must be at least one Channel'),
    ({'channels': ('V',)}, ValueError, 'channels must be at least one Channel')])
def test_impossible_grids(options, error, match):
    with pytest.raises(error, match=match):
        MapGrid(**options)


@pytest.mark.parametrize(('field', 'scale', 'match'), [
    (10.1, 0.25, 'field_of_view must be a whole number of pixels of 0.25 arcsec, received 10.1 arcsec'),
    (0.1, 0.25, 'field_of_view must be a whole number of pixels'),
    ([1, 2, 3], 0.25, 'field_of_view must be one angle or two'),
    (10000, 1, 'field_of_view must be of at most 8192 pixels to a side, received 1e')])
def test_impossible_fields(field, scale, match):
    with pytest.raises(ValueError, match=match):
        MapGrid.of_field(field * u.arcsec, pixel_scale=scale * u.arcsec)


def test_bands_are_known():
    with pytest.raises(ValueError, match="band must be one of B, V, .*VIS, received 'z'"):
        Channel('z')


def test_world_coordinates():
    """The position is in the middle, a shift to the right and up moves it there, a margin adds pixels."""
    place = SkyCoord(10 * u.deg, -30 * u.deg)
    at = [float(n) for n in WIDE.wcs((10.0, -30.0)).world_to_pixel(place)]
    assert at == pytest.approx([59.5, 39.5], abs=1e-6)
    moved = WIDE.wcs((10.0, -30.0), margin=5, shift=(2.0, -3.0))
    assert [float(n) for n in moved.world_to_pixel(place)] == pytest.approx([59.5 + 7, 39.5 + 2], abs=1e-6)
    assert moved.array_shape == (90, 130)
    # north is up, east to the left
    north = place.directional_offset_by(0 * u.deg, 1 * u.arcsec)
    x, y = (float(n) for n in WIDE.wcs((10.0, -30.0)).world_to_pixel(north))
    assert (x, y) == pytest.approx((59.5, 40.5), abs=1e-4)


def on_grid(**changes):
    options = {'data': np.ones((80, 120)), 'unit': APPARENT_FLUX, 'wcs': WIDE.wcs((0.0, 0.0)),
               'meta': {'BAND': 'r', 'SMOOTH': 1.5}} | changes
    return CCDData(options.pop('data'), **options)


def test_what_it_holds():
    assert WIDE.holds(on_grid())
    # what an image does not say of itself is not held against it
    assert WIDE.holds(on_grid(wcs=None, meta={}))
    assert WIDE.holds(on_grid(unit='Lsun / pc2'))


@pytest.mark.parametrize('changes', [
    {'data': np.ones((80, 80))}, {'unit': 'Jy'}, {'meta': {'BAND': 'V'}}, {'meta': {'SMOOTH': 4.0}},
    {'wcs': MapGrid().wcs((0.0, 0.0))}, {'wcs': None, 'meta': {'PIXSCALE': 0.25}}])
def test_what_it_does_not_hold(changes):
    assert not WIDE.holds(on_grid(**changes))


@pytest.mark.parametrize(('radius', 'largest', 'scale'), [
    (5, None, 0.25), (20, None, 0.25), (21, None, 0.4), (40, None, 0.625), (80, None, 1.0), (500, None, 1.0),
    (500, 100, 0.625), (45, 99, 0.4), (500, 10, 0.25)])
def test_the_field_that_holds_a_cluster(radius, largest, scale):
    grid = MapGrid(channels=(Channel('r'), Channel('r', smoothed=False)))
    found = grid.holding(radius * u.arcsec, **({} if largest is None else {'largest': largest * u.arcsec}))
    assert found.scale == pytest.approx(scale)
    assert (found.shape, found.smoothing, found.channels) == (grid.shape, grid.smoothing, grid.channels)


@pytest.mark.parametrize(('distance', 'scale'), [(None, 1.0), (5, 1.0), (25, 1.0), (26, 0.625), (50, 0.4),
                                                   (500, 0.25)])
def test_no_field_in_which_a_cluster_looks_too_far(distance, scale):
    away = None if distance is None else distance * u.kpc
    found = MapGrid().holding(500 * u.arcsec, distance=away, farthest=0.1 * u.Mpc)
    assert found.scale == pytest.approx(scale)


def test_maps_of_another_pixel_scale():
    fine = replace(WIDE, pixel_scale=0.3 * u.arcsec)
    image = on_grid()
    assert WIDE.resized(image) is WIDE
    assert fine.resized(image).scale == pytest.approx(1.0)
    assert replace(fine, smoothing=2.0).resized(image) is None
    assert replace(fine, shape=(80, 80)).resized(image) is None
    # another scale is believed only where the smoothing is known
    assert fine.resized(on_grid(meta={'BAND': 'r'})) is None
    assert fine.resized(on_grid(wcs=None)) is fine
