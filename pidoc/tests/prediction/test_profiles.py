# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Profiles: what is in the rings is what is in the map."""

import numpy as np
import pytest
from astropy import units as u

from pidoc.prediction.profiles import half_mass_radius, mass_profile, mass_to_light_profile

SCALE = 0.25


def plummer(scale, *, size=160, center=None, total=1e4):
    """Projected Plummer (1911) model [Msun per pixel], scale in pixels; density at the middle of pixels."""
    center = ((size - 1) / 2,) * 2 if center is None else center
    y, x = np.indices((size, size))
    square = (x - center[0]) ** 2 + (y - center[1]) ** 2
    return total * scale**2 / (np.pi * (scale**2 + square) ** 2) * u.Msun


def test_equation_3_by_hand():
    """A map of 4 x 4 pixels: rings of one pixel about the corner between the inner four."""
    mass = np.arange(16.0).reshape(4, 4) * u.Msun
    # separations: inner four 0.707, eight at 1.581, corners 2.121 pixels
    table = mass_profile(mass, pixel_scale=1 * u.arcsec, n_bins=3, bin_width=0.9 * u.arcsec)
    np.testing.assert_array_equal(table['n_pixels'], [4, 8, 4])
    np.testing.assert_allclose(table['mass'].value, [(5 + 6 + 9 + 10) / 4,
                                                     (1 + 2 + 4 + 7 + 8 + 11 + 13 + 14) / 8,
                                                     (0 + 3 + 12 + 15) / 4])
    np.testing.assert_allclose(table['cumulative_mass'].value, [30, 90, 120])
    np.testing.assert_allclose(table['separation'].value, [0.45, 1.35, 2.25])
    np.testing.assert_allclose(table['separation_low'][1:].value, table['separation_high'][:-1].value)
    assert [str(table[name].unit) for name in ('separation', 'mass', 'cumulative_mass')] == [
        'arcsec', 'solMass', 'solMass']


def test_the_papers_rings():
    """25 bins of about 1.2 arcsec: section 4.1.4."""
    for shift in (0.0, 5.0):
        center = 79.5 + shift / SCALE
        table = mass_profile(plummer(20), center=(center, 79.5))
        assert len(table) == 25
        width = (table['separation_high'] - table['separation_low']).to_value(u.arcsec)
        np.testing.assert_allclose(width, width[0])
        assert 1.1 < width[0] < 1.3


@pytest.mark.parametrize('n_bins', [1, 7, 25])
@pytest.mark.parametrize('center', [None, (12.3, 140.0), (-30.0, 79.5)])
def test_nothing_is_lost(n_bins, center):
    mass = np.random.default_rng(1).exponential(1, (40, 60)) * u.Msun
    table = mass_profile(mass, n_bins=n_bins, center=center)
    assert table['n_pixels'].sum() == mass.size
    assert np.nansum(table['mass'] * table['n_pixels']).value == pytest.approx(mass.sum().value)
    assert table['cumulative_mass'][-1].value == pytest.approx(mass.sum().value)


def test_a_known_density():
    """The mean in a ring is the density there; per arcsec2 it does not know the pixels."""
    table = mass_profile(plummer(20, center=(90, 70)), center=(90, 70), bin_width=0.5 * u.arcsec, n_bins=40)
    place = table['separation'].value[4:] / SCALE
    expected = 1e4 * 20**2 / (np.pi * (20**2 + place**2) ** 2)
    np.testing.assert_allclose(table['mass'].value[4:], expected, rtol=0.03)
    np.testing.assert_allclose(table['surface_density'].to_value(u.Msun / u.arcsec**2)[4:],
                               expected / SCALE**2, rtol=0.03)


def test_masked_pixels_do_not_count():
    mass = plummer(15)
    broken, mask = mass.copy(), np.zeros(mass.shape, dtype=bool)
    mask[80:90, 70:75] = True
    broken[mask] = 1e9 * u.Msun
    broken[3, 4] = np.nan
    table, whole = mass_profile(broken, mask=mask), mass_profile(mass)
    assert whole['n_pixels'].sum() - table['n_pixels'].sum() == 51
    np.testing.assert_allclose(table['mass'].value, whole['mass'].value, rtol=0.02)
    assert broken[80, 70].value == 1e9 and np.isnan(broken[3, 4])
    empty = np.hypot(*(np.indices(mass.shape) - 79.5)) < 8
    table = mass_profile(mass, mask=empty, bin_width=1 * u.arcsec)
    assert np.isnan(table['mass'][0]) and table['n_pixels'][0] == 0 and table['cumulative_mass'][1] == 0


def test_errors_of_rings_are_the_scatter_of_many_maps():
    rng = np.random.default_rng(2)
    errors = rng.uniform(0.5, 2, (20, 20))
    draws = [mass_profile((5 + errors * rng.normal(size=errors.shape)) * u.Msun, n_bins=4)
             for _ in range(800)]
    table = mass_profile(np.full((20, 20), 5) * u.Msun, n_bins=4, errors=errors * u.Msun)
    for name in ('mass', 'surface_density', 'cumulative_mass'):
        scatter = np.std([draw[name].value for draw in draws], axis=0)
        np.testing.assert_allclose(table[f'{name}_error'].value, scatter, rtol=0.1)


def test_correlated_errors_add_up():
    errors = np.full((20, 20), 0.3) * u.Msun
    table = mass_profile(np.ones((20, 20)) * u.Msun, n_bins=4, errors=errors, correlated=True)
    np.testing.assert_allclose(table['mass_error'].value, 0.3)
    np.testing.assert_allclose(table['cumulative_mass_error'], 0.3 * table['cumulative_mass'])


def test_units_of_the_map_are_free():
    mass = plummer(10, size=20)
    for name in ('mass', 'cumulative_mass', 'surface_density'):
        np.testing.assert_allclose(mass_profile(mass.to(u.kg))[name].value, mass_profile(mass)[name].value)
    small = mass_profile(mass, pixel_scale=(0.25 / 60) * u.arcmin)
    np.testing.assert_allclose(small['separation'].value, mass_profile(mass)['separation'].value)


# -- mass to light --------------------------------------------------------------------------------


def test_ratio_of_sums():
    """A bright pixel counts as much as it shines."""
    mass, light = [[1.0, 3.0]] * u.Msun, [[1.0, 9.0]] * u.Lsun
    table = mass_to_light_profile(mass, light, n_bins=1)
    assert table['mass_to_light'][0] == 0.4 * u.Msun / u.Lsun


def test_segregation_shows():
    """Mass twice as wide as the light: M/L(R) is the ratio of the two densities."""
    mass, light = plummer(30), plummer(15).value * u.Lsun
    table = mass_to_light_profile(mass, light, bin_width=0.5 * u.arcsec, n_bins=30)
    place = table['separation'].value[4:] / SCALE
    expected = (30**2 / (30**2 + place**2) ** 2) / (15**2 / (15**2 + place**2) ** 2)
    np.testing.assert_allclose(table['mass_to_light'].value[4:], expected, rtol=0.01)
    # of everything: M(R) = M R^2 / (R^2 + a^2)
    edge = table['separation_high'].value[4:] / SCALE
    np.testing.assert_allclose(table['cumulative_mass_to_light'].value[4:],
                               (15**2 + edge**2) / (30**2 + edge**2), rtol=0.05)


def test_a_flux_with_a_distance_is_a_luminosity():
    mass, light = plummer(10, size=40), np.random.default_rng(3).uniform(1, 2, (40, 40)) * u.Lsun
    flux = (light / (4 * np.pi * (8 * u.kpc) ** 2)).to(u.Lsun / u.pc**2)
    found = mass_to_light_profile(mass, flux, distance=8000 * u.pc, light_errors=flux * 0.1)
    expected = mass_to_light_profile(mass, light, light_errors=light * 0.1)
    for name in ('mass_to_light', 'mass_to_light_error', 'cumulative_mass_to_light_error'):
        np.testing.assert_allclose(found[name].value, expected[name].value)
    with pytest.raises(ValueError, match='distance must be given, received None'):
        mass_to_light_profile(mass, flux)


def test_errors_of_the_ratio_are_the_scatter_of_many_maps():
    rng = np.random.default_rng(4)
    shape = (20, 20)
    draws = [mass_to_light_profile((5 + 0.3 * rng.normal(size=shape)) * u.Msun,
                                   (9 + 0.8 * rng.normal(size=shape)) * u.Lsun, n_bins=3)
             for _ in range(800)]
    table = mass_to_light_profile(np.full(shape, 5) * u.Msun, np.full(shape, 9) * u.Lsun, n_bins=3,
                                  mass_errors=np.full(shape, 0.3) * u.Msun,
                                  light_errors=np.full(shape, 0.8) * u.Lsun)
    for name in ('mass_to_light', 'cumulative_mass_to_light'):
        scatter = np.std([draw[name].value for draw in draws], axis=0)
        np.testing.assert_allclose(table[f'{name}_error'].value, scatter, rtol=0.1)


def test_no_light_no_ratio():
    light = np.where(np.hypot(*(np.indices((40, 40)) - 19.5)) < 10, 1.0, -0.1) * u.Lsun
    table = mass_to_light_profile(np.ones((40, 40)) * u.Msun, light, bin_width=2 * u.arcsec, n_bins=3)
    assert table['mass_to_light'][0].value == 1 and np.isnan(table['mass_to_light'][2])
    assert 'mass_to_light_error' not in table.colnames


def test_a_pixel_without_light_counts_in_neither():
    mass, light = np.ones((4, 4)) * u.Msun, np.ones((4, 4)) * u.Lsun
    light[1, 1], mass[2, 2] = np.nan, np.nan * u.Msun
    table = mass_to_light_profile(mass, light, n_bins=1)
    assert table['n_pixels'][0] == 14 and table['mass_to_light'][0].value == 1


# -- half of the mass -----------------------------------------------------------------------------


@pytest.mark.parametrize('center', [None, (70.2, 88.7)])
def test_half_of_a_plummer_model(center):
    """Within its scale is half of the projected mass."""
    found = half_mass_radius(plummer(6, size=160, center=center), center=center)
    # the field holds all but R^2 / (R^2 + a^2): about half a per cent is outside
    assert found.to_value(u.arcsec) == pytest.approx(6 * SCALE, rel=0.02)


def test_half_of_an_even_disc():
    y, x = np.indices((161, 161)) - 80
    disc = (np.hypot(x, y) <= 60) * 1.0 * u.Msun
    assert half_mass_radius(disc, pixel_scale=1 * u.arcsec).value == pytest.approx(60 / np.sqrt(2), abs=0.3)


def test_half_of_two_pixels():
    """Both at the same separation."""
    mass = np.zeros((3, 3)) * u.Msun
    mass[1, 0] = mass[1, 2] = 2 * u.Msun
    assert half_mass_radius(mass, pixel_scale=1 * u.arcsec).value == pytest.approx(1)


def test_half_with_a_hole():
    """What is masked is filled by its ring: the result hardly moves, without it it would."""
    mass = plummer(15)
    mask = np.zeros(mass.shape, dtype=bool)
    mask[72:88, 80:95] = True
    whole, filled = half_mass_radius(mass), half_mass_radius(mass, mask=mask)
    emptied = half_mass_radius(np.where(mask, 0 * u.Msun, mass))
    assert abs(filled / whole - 1) < 0.005
    assert abs(emptied / whole - 1) > 0.05


def test_it_agrees_with_the_profile():
    mass = plummer(20, center=(60, 75))
    table = mass_profile(mass, center=(60, 75), n_bins=400)
    from_profile = np.interp(0.5 * mass.sum().value, table['cumulative_mass'].value,
                             table['separation_high'].value)
    assert half_mass_radius(mass, center=(60, 75)).value == pytest.approx(from_profile, rel=0.01)


# -- what cannot be -------------------------------------------------------------------------------


MAP = np.ones((4, 6)) * u.Msun


@pytest.mark.parametrize(('options', 'error', 'text'), [
    ({'n_bins': 0}, ValueError, 'n_bins must be a whole number, at least 1, received 0'),
    ({'n_bins': 2.5}, ValueError, 'n_bins must be a whole number, at least 1, received 2.5'),
    ({'bin_width': -1 * u.arcsec}, ValueError, 'bin_width must be positive, received -1.0 arcsec'),
    ({'pixel_scale': 0.25}, TypeError, 'pixel_scale must be an astropy Quantity in arcsec, received 0.25'),
    ({'pixel_scale': [1, 2] * u.arcsec}, ValueError, 'pixel_scale must be a scalar, received an array of sh'),
    ({'center': (1, 2, 3)}, ValueError, r'center must be two numbers, .* received \(1, 2, 3\)'),
    ({'center': (1, np.nan)}, ValueError, 'center must be two numbers'),
    ({'mask': np.zeros((6, 4), dtype=bool)}, ValueError, r'shape of the map, \(4, 6\), received \(6, 4\)'),
    ({'mask': np.zeros((4, 6))}, TypeError, 'mask must be boolean, received float64'),
    ({'mask': np.ones((4, 6), dtype=bool)}, ValueError, 'a pixel that counts, received 24 masked ones'),
    ({'errors': np.ones((4, 5)) * u.Msun}, ValueError, r'errors must have the shape of the map, \(4, 6\), r'),
    ({'errors': np.ones((4, 6))}, TypeError, 'errors must be an astropy Quantity in solMass, received nd'),
    ({'errors': -MAP}, ValueError, 'errors must not be negative'),
    ({'errors': np.ones((4, 6)) * u.pc}, u.UnitConversionError, 'errors must have a unit that converts to')])
def test_impossible_options(options, error, text):
    with pytest.raises(error, match=text):
        mass_profile(MAP, **options)


@pytest.mark.parametrize(('mass', 'error', 'text'), [
    (np.ones((4, 4)), TypeError, 'mass_map must be an astropy Quantity in solMass, received ndarray'),
    (np.ones(4) * u.Msun, ValueError, r'mass_map must have two dimensions, received the shape \(4,\)'),
    (np.ones((0, 4)) * u.Msun, ValueError, r'mass_map must have two dimensions, received the shape \(0, 4\)'),
    (np.ones((4, 4)) * u.Lsun, u.UnitConversionError, "converts to solMass, received 'solLum'"),
    (np.full((4, 4), np.inf) * u.Msun, ValueError, 'mass_map must not be infinite where it is not masked')])
@pytest.mark.parametrize('function', [mass_profile, half_mass_radius,
                                      lambda mass: mass_to_light_profile(mass, np.ones((4, 4)) * u.Lsun)])
def test_impossible_maps(function, mass, error, text):
    with pytest.raises(error, match=text):
        function(mass)


def test_impossible_light():
    with pytest.raises(ValueError, match=r'must have the shape of mass_map, \(4, 6\), received \(2, 2\)'):
        mass_to_light_profile(MAP, np.ones((2, 2)) * u.Lsun)
    with pytest.raises(TypeError, match='light_map must be an astropy Quantity in solLum, received ndarray'):
        mass_to_light_profile(MAP, np.ones((4, 6)))
    with pytest.raises(ValueError, match='sum of mass_map must be positive, received 0.0 Msun'):
        half_mass_radius(0 * MAP)
