# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Bolometric corrections against model atmospheres, V luminosities against magnitudes by hand."""

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u

from pidoc import photometry
from pidoc.photometry import (
    apparent_flux,
    apparent_magnitude,
    atmosphere,
    band_luminosity,
    BANDS,
    bolometric_correction,
    effective_temperature,
    iron_abundance,
    johnson_to_ps1,
    light_at,
    ps1_to_johnson,
    v_luminosity,
    white_dwarf_atmosphere,
)

KURUCZ = Path(__file__).parents[3] / 'shared' / 'data' / 'tables' / 'Kurucz.dat'


def test_bolometric_correction_by_hand():
    """At 10^4 K only the constant is left; at 10^5 K it is the sum of all coefficients."""
    expected = [-0.438, -8.499 + 13.421 - 8.131 - 3.901 - 0.438]
    found = bolometric_correction([1e4, 1e5] * u.K)
    assert found.unit == u.mag
    np.testing.assert_allclose(found.value, expected, rtol=1e-12)


def test_bolometric_correction_is_best_near_seven_thousand_kelvin():
    """Most of the light of a star of about 7000 K is in V: there BC has its maximum, near zero."""
    temperature = np.geomspace(3000.0, 50000.0, 500) * u.K
    correction = bolometric_correction(temperature).value
    assert 6500.0 < temperature.value[np.argmax(correction)] < 7500.0
    assert -0.1 < correction.max() < 0.0
    # Outside the range of the fit it falls on both sides.
    assert bolometric_correction(1500 * u.K) < correction[0] * u.mag
    assert bolometric_correction(3e5 * u.K) < correction[-1] * u.mag


@pytest.mark.skipif(not KURUCZ.exists(), reason='the original table Kurucz.dat is not there')
def test_bolometric_correction_against_model_atmospheres():
    """Kurucz (1992), solar composition, dwarfs and giants of 4500 to 20,000 K."""
    metallicity, temperature, gravity, expected = np.loadtxt(KURUCZ, usecols=(0, 1, 2, 3)).T
    chosen = (metallicity == 0.0) & np.isin(gravity, (2.0, 4.5))
    chosen &= (temperature >= 4500.0) & (temperature <= 20000.0)
    assert chosen.sum() > 40
    difference = bolometric_correction(temperature[chosen] * u.K).value - expected[chosen]
    assert np.abs(difference).max() < 0.15
    assert abs(difference.mean()) < 0.06


def test_bolometric_correction_refuses_nonsense():
    with pytest.raises(TypeError, match='temperature must be an astropy Quantity in K'):
        bolometric_correction(5772.0)
    with pytest.raises(ValueError, match='temperature must be positive, received 0.0 K'):
        bolometric_correction(0.0 * u.K)
    with pytest.raises(u.UnitConversionError, match='temperature must have a unit'):
        bolometric_correction(3 * u.pc)


def test_v_luminosity_by_magnitudes():
    luminosity, temperature = 80.0 * u.Lsun, 4500.0 * u.K
    absolute = 4.74 - 2.5 * np.log10(80.0) - bolometric_correction(temperature).value
    expected = 10.0 ** (-0.4 * (absolute - 4.83))
    assert v_luminosity(luminosity, temperature, 3).to_value(u.Lsun) == pytest.approx(expected)


def test_v_luminosity_of_the_sun():
    """0.92: Reed's corrections belong to a solar M_bol 0.09 mag brighter than 4.74."""
    assert v_luminosity(1 * u.Lsun, 5772 * u.K, 1).value == pytest.approx(0.920, abs=0.001)


def test_v_luminosity_units_and_shapes():
    light = v_luminosity([[1.0], [2.0]] * u.Lsun, [5e3, 6e3, 7e3] * u.K, 1)
    assert light.shape == (2, 3)
    np.testing.assert_allclose(light[1], 2.0 * light[0])
    watts = v_luminosity((1 * u.Lsun).to(u.W), 5e3 * u.K, 1)
    assert watts.to_value(u.Lsun) == pytest.approx(light[0, 0].value)
    assert v_luminosity(1 * u.Lsun, 5e3 * u.K, 1).shape == ()


def test_dark_remnants_need_no_temperature():
    kind = np.arange(16)
    temperature = np.where(kind < 13, 5000.0, np.nan) * u.K
    light = v_luminosity(np.ones(16) * u.Lsun, temperature, kind).value
    assert np.all(light[:13] > 0.0)
    np.testing.assert_array_equal(light[13:], 0.0)
    assert v_luminosity(0 * u.Lsun, 0 * u.K, 10) == 0 * u.Lsun


@pytest.mark.parametrize('kind, received', [([1, 16], '16'), ([-1, 0], '-1'), (1.0, 'float64')])
def test_v_luminosity_refuses_other_kinds(kind, received):
    with pytest.raises(ValueError, match=f'kind must be integers .*, received .*{received}'):
        v_luminosity([1.0, 1.0] * u.Lsun, 5e3 * u.K, kind)


def test_v_luminosity_refuses_nonsense():
    with pytest.raises(ValueError, match='luminosity must not be negative, received'):
        v_luminosity(-1 * u.Lsun, 5e3 * u.K, 1)
    with pytest.raises(TypeError, match='temperature must be an astropy Quantity'):
        v_luminosity(1 * u.Lsun, 5e3, 1)
    with pytest.raises(ValueError, match='temperature must be positive'):
        v_luminosity(1 * u.Lsun, 0 * u.K, 1)


# -- stars of which luminosity and radius are known -----------------------------------------------

def test_effective_temperature_is_that_of_stefan_and_boltzmann():
    from astropy.constants import sigma_sb

    light, size = [1.0, 3000.0, 0.01] * u.Lsun, [1.0, 100.0, 0.012] * u.Rsun
    expected = (light / (4.0 * np.pi * size**2 * sigma_sb)) ** 0.25
    found = effective_temperature(light, size)
    np.testing.assert_allclose(found.to_value(u.K), expected.to_value(u.K), rtol=1e-4)


def test_what_has_no_radius_or_no_light_has_no_temperature():
    heat = effective_temperature([[1.0], [0.0]] * u.Lsun, [0.0, 2.0] * u.Rsun)
    np.testing.assert_array_equal(heat.value > 0.0, [[False, True], [False, False]])
    with pytest.raises(ValueError, match='luminosity must not be negative, received -1.0 solLum'):
        effective_temperature(-1 * u.Lsun, 1 * u.Rsun)
    with pytest.raises(TypeError, match='radius must be an astropy Quantity in solRad'):
        effective_temperature(1 * u.Lsun, 1)


def test_the_light_of_stars_as_they_evolve():
    """A main-sequence star, a white dwarf and a black hole; other bands as in `band_luminosity`."""
    from pidoc.stellar import StellarEvolution

    state = StellarEvolution(0.001).state(np.array([0.8, 3.0, 40.0]), 12000.0)
    for band, correction in (('V', 'reed1998'), ('F814W', 'kurucz1992')):
        light = light_at(state, metallicity=0.001, band=band, correction=correction)
        heat = effective_temperature(state.luminosity * u.Lsun, state.radius * u.Rsun)
        expected = band_luminosity(state.luminosity * u.Lsun, heat, state.kind, mass=state.mass * u.Msun,
                                   metallicity=0.001, band=band, correction=correction)
        assert light[0] > light[1] > 0.0 and light[2] == 0.0
        np.testing.assert_array_equal(light, expected)


# -- zero points ----------------------------------------------------------------------------------

SUN = dict(luminosity=1 * u.Lsun, temperature=5772 * u.K, kind=1, mass=1 * u.Msun, metallicity=0.02)


def test_what_makes_the_sun_right():
    """M_bol,Sun = 4.650 on Reed's scale; all M/L differ by the same 8.0 per cent."""
    assert 4.83 + bolometric_correction(5772 * u.K).value == pytest.approx(4.650, abs=5e-4)
    paper = band_luminosity(**SUN, correction='reed1998').value
    assert paper == v_luminosity(1 * u.Lsun, 5772 * u.K, 1).value == pytest.approx(0.9203, abs=5e-5)
    for correction in ('reed1998-solar', 'kurucz1992'):
        assert band_luminosity(**SUN, correction=correction).value == pytest.approx(1.0, abs=1e-12)
    stars = dict(luminosity=[0.1, 30.0, 500.0] * u.Lsun, temperature=[4e3, 8e3, 4.4e3] * u.K, kind=[0, 4, 3])
    ratio = band_luminosity(**stars) / band_luminosity(**stars, correction='reed1998-solar')
    np.testing.assert_allclose(ratio, 0.9203, atol=5e-5)


@pytest.mark.parametrize('band, tolerance', [('B', 0.04), *((band, 0.03) for band in
                                                            ('g', 'r', 'I', 'F606W', 'F814W', 'VIS'))])
def test_the_colours_of_the_sun(band, tolerance):
    """The Sun's model atmosphere has the Sun's published magnitudes."""
    light = band_luminosity(**SUN, band=band, correction='kurucz1992').value
    assert abs(2.5 * np.log10(light)) < tolerance


def test_every_band_is_named():
    assert list(BANDS) == ['B', 'V', 'g', 'r', 'I', 'F606W', 'F814W', 'VIS']
    for band in BANDS.values():
        assert band.system in ('Vega', 'AB') and band.source and 4.0 < band.solar_magnitude < 6.0
    # Willmer (2018), Vega magnitudes of Johnson B and V: 5.44 and 4.81, good to 0.02-0.04
    assert abs(BANDS['B'].solar_magnitude - 5.44) < 0.05
    assert abs(BANDS['V'].solar_magnitude - 4.81) < 0.03


# -- model atmospheres ----------------------------------------------------------------------------


@pytest.mark.skipif(not KURUCZ.exists(), reason='the original table Kurucz.dat is not there')
def test_the_nodes_are_the_table():
    rows = np.loadtxt(KURUCZ)[::37]
    for iron, heat, gravity, correction, _, colour, *_ in rows:
        found = atmosphere(heat * u.K, gravity, iron)
        assert found[0].value == pytest.approx(correction, abs=1e-9)
        assert found[1].value == pytest.approx(colour, abs=1e-9)
    path = KURUCZ.with_name('wdhyd.dat')
    for heat, gravity, correction, _, colour, *_ in np.loadtxt(path, comments='T')[::17]:
        found = white_dwarf_atmosphere(heat * u.K, gravity)
        assert found[0].value == pytest.approx(correction, abs=1e-9)
        assert found[1].value == pytest.approx(colour, abs=1e-9)


def test_between_nodes_an_independent_interpolation_agrees():
    from astropy.io import fits
    from scipy.interpolate import RegularGridInterpolator

    with fits.open(Path(photometry.__file__).parent / 'data' / 'atmospheres.fits') as hdus:
        axes = hdus['STARS_AXES'].data[0]
        cube = hdus['STARS'].data / 1000.0
        grid = (np.array(axes['fe_h']), np.log10(axes['temperature']), np.array(axes['log_g']))
    rng = np.random.default_rng(1)
    heat, gravity = 10.0 ** rng.uniform(3.55, 4.69, 50), rng.uniform(0.0, 5.0, 50)
    points = np.column_stack([np.full(50, -1.34), np.log10(heat), gravity])
    correction, colour = atmosphere(heat * u.K, gravity, -1.34)
    expected = RegularGridInterpolator(grid, cube)(points)
    np.testing.assert_allclose(correction.value, expected[:, 0], atol=1e-12)
    np.testing.assert_allclose(colour.value, expected[:, 1], atol=1e-12)


def colours(heat, gravity, iron, bands):
    """V minus each band [mag] of stars of 1 Msun."""
    radius = 10.0 ** (0.5 * (4.438 - gravity))
    luminosity = radius**2 * (heat / 5772.0) ** 4
    z = 0.02 if iron == 0.0 else 0.02 * 10.0**iron * 0.76 / 0.70     # about
    stars = {'luminosity': luminosity * u.Lsun, 'temperature': heat * u.K, 'kind': 1, 'mass': 1 * u.Msun,
             'metallicity': z, 'correction': 'kurucz1992'}
    light = {band: band_luminosity(**stars, band=band).value for band in (*bands, 'V')}
    magnitude = {band: BANDS[band].solar_magnitude - 2.5 * np.log10(x) for band, x in light.items()}
    return [magnitude['V'] - magnitude[band] for band in bands]


@pytest.mark.skipif(not KURUCZ.exists(), reason='the original table Kurucz.dat is not there')
@pytest.mark.parametrize('gravity', [1.0, 2.5, 4.5])
def test_two_tables_agree_in_the_red(gravity):
    """V - I of the spectra of Castelli & Kurucz (2003), and V - R + R - I of Kurucz (1992)."""
    rows = np.loadtxt(KURUCZ)
    rows = rows[(rows[:, 0] == 0.0) & (rows[:, 2] == gravity) & (rows[:, 1] >= 4250) & (rows[:, 1] <= 9000)]
    assert len(rows) > 15
    (found,) = colours(rows[:, 1], gravity, 0.0, ['I'])
    np.testing.assert_allclose(found, rows[:, 6] + rows[:, 7], atol=0.03)


def test_colours_of_vega():
    """9550 K, log g = 3.95, [M/H] = -0.5 (Castelli & Kurucz 1994): V = I = 0.03, and 0 for HST."""
    v_i, v_606, v_814 = colours(np.array([9550.0]), 3.95, -0.5, ['I', 'F606W', 'F814W'])
    assert abs(v_i[0]) < 0.02 and abs(v_606[0] - 0.03) < 0.02 and abs(v_814[0] - 0.03) < 0.02


def test_hubble_against_a_published_transformation():
    """Sirianni et al. (2005, PASP 117, 1049), table 22: V = F606W + 26.325 - 26.398 + 0.236 (V - I) and
    I = F814W + 25.495 - 25.501 - 0.002 (V - I), of stars in two clusters, good to 0.06 and 0.02 mag.

    Ours are 0.10 and 0.05 mag brighter than the observed ones, as the Sun says (F606W = 4.64, F814W = 4.10).
    """
    heat = np.linspace(4500.0, 6500.0, 9)
    v_i, v_606, v_814 = colours(heat, 4.0, -1.0, ['I', 'F606W', 'F814W'])
    np.testing.assert_allclose(v_606 - (-0.073 + 0.236 * v_i), 0.10, atol=0.04)
    np.testing.assert_allclose(v_814 - v_i - (-0.006 - 0.002 * v_i), 0.05, atol=0.02)


def test_vis_lies_between_its_neighbours():
    """VIS (5500-9000 A) is F606W and F814W together: AB fluxes of smooth spectra agree with their mean."""
    heat = np.linspace(4000.0, 12000.0, 9)
    v_606, v_814, v_vis = colours(heat, 4.5, 0.0, ['F606W', 'F814W', 'VIS'])
    # AB - Vega of the two: 0.08 and 0.42 (FSPS: 4.72 - 4.64, 4.52 - 4.10)
    flux = [10.0 ** (0.4 * x) for x in (v_606 - 0.08, v_814 - 0.42, v_vis)]
    np.testing.assert_allclose(flux[2], 0.5 * (flux[0] + flux[1]), rtol=0.06)


def test_beyond_the_ends():
    """Hot stars: V is on the Rayleigh-Jeans tail, BC falls by 7.5 mag a decade in T; else the end holds."""
    hot, hotter = atmosphere([6e4, 6e5] * u.K, 5.0, 0.0)[0].value
    assert hotter - hot == pytest.approx(-7.5, abs=1.0)
    cool = atmosphere([3500, 3200, 2900, 1999, 1000] * u.K, 1.0, 0.0)
    assert np.all(np.diff(cool[0].value[:4]) < 0.0) and cool[0][3] > cool[0][4] - 0.01 * u.mag
    np.testing.assert_array_equal(cool[1].value[1:], cool[1].value[0])
    # dwarfs of 3050 K (M5.5) have BC_V = -3.3 (Pecaut & Mamajek 2013)
    assert atmosphere(3050 * u.K, 5.0, 0.0)[0].value == pytest.approx(-3.3, abs=0.6)
    # Reed's relation continues cool giants
    assert cool[0].value[2] == pytest.approx(bolometric_correction(2900 * u.K).value, abs=0.35)
    assert atmosphere(5e3 * u.K, -1.0, -9.0) == atmosphere(5e3 * u.K, 0.0, -3.0)
    assert white_dwarf_atmosphere(1e4 * u.K, 6.0) == white_dwarf_atmosphere(1e4 * u.K, 7.0)


def test_a_white_dwarf():
    """0.6 Msun at 10^4 K, R = 0.0128 Rsun: M_V = 12.15 (Holberg & Bergeron 2006), at any metallicity."""
    luminosity = 0.0128**2 * (1e4 / 5772) ** 4
    light = [band_luminosity(luminosity * u.Lsun, 1e4 * u.K, 11, mass=0.6 * u.Msun, metallicity=z,
                             correction='kurucz1992').value for z in (0.0001, 0.02)]
    assert light[0] == light[1]
    assert 4.83 - 2.5 * np.log10(light[0]) == pytest.approx(12.15, abs=0.15)


def test_the_two_corrections_agree_where_stars_shine():
    """Within 0.25 mag from 4000 to 15,000 K, the most for cool metal-poor dwarfs."""
    heat = np.geomspace(4000.0, 15000.0, 30) * u.K
    for gravity, iron in ((4.5, 0.0), (4.5, -1.3), (2.0, 0.0), (2.0, -1.3)):
        found = atmosphere(heat, np.where(heat.value > 9000.0, max(gravity, 3.5), gravity), iron)[0]
        difference = found - bolometric_correction(heat) - 0.004 * u.mag
        assert np.abs(difference.value).max() < 0.25
        assert np.abs(difference.value).mean() < 0.09


def test_iron_abundance():
    assert iron_abundance(0.02) == 0.0
    # the paper: Z = 0.001 is [Fe/H] = -1.3
    assert iron_abundance(0.001) == pytest.approx(-1.3, abs=0.05)
    with pytest.raises(ValueError, match='metallicity must be above 0 and below 0.1, received 0.2'):
        iron_abundance(0.2)
    many = [[1e-4, 0.001], [0.02, 0.03]]
    assert iron_abundance(many).tolist() == [[iron_abundance(each) for each in row] for row in many]
    with pytest.raises(ValueError, match='metallicity must be above 0 and below 0.1, received 0.3'):
        iron_abundance([0.001, 0.3])


# -- bands ----------------------------------------------------------------------------------------


def test_ps1_and_johnson_are_inverse():
    b, v = np.meshgrid(np.linspace(10, 20, 8), np.linspace(10, 16, 7)) * u.mag
    g, r = johnson_to_ps1(b, v)
    back = ps1_to_johnson(g, r)
    np.testing.assert_allclose(back[0].value, b.value, atol=1e-12)
    np.testing.assert_allclose(back[1].value, v.value, atol=1e-12)


def test_ps1_against_other_published_relations():
    """Tonry's own third relation V - g, and Kostov & Bonev (2018), within their scatters."""
    x = np.linspace(0.1, 1.2, 12)
    v = ps1_to_johnson((x + 15) * u.mag, np.full(12, 15) * u.mag)[1].value
    g = x + 15
    np.testing.assert_allclose(v, g + 0.005 - 0.536 * x + 0.011 * x**2, atol=0.002)
    np.testing.assert_allclose(v, g - 0.020 - 0.498 * x - 0.008 * x**2, atol=0.04)


def test_apparent_flux_of_the_sun():
    """At 10 pc the Sun has m = M: F = 1 / (4 pi 0.01^2) Lsun/kpc^2; five magnitudes are a factor of 100."""
    for name, band in BANDS.items():
        flux = apparent_flux(band.solar_magnitude * u.mag, name)
        assert flux.to_value(u.Lsun / u.kpc**2) == pytest.approx(1.0 / (4.0 * np.pi * 1e-4))
        assert apparent_magnitude(flux / 100, name).value == pytest.approx(band.solar_magnitude + 5.0)


def test_the_light_of_a_band_refuses_nonsense():
    with pytest.raises(ValueError, match="band must be one of B, V, g, r, I, .*VIS, received 'z'"):
        band_luminosity(**SUN, band='z')
    with pytest.raises(ValueError, match="band must be one of B, V, g, r, I, .*VIS, received 'z'"):
        apparent_flux(1 * u.mag, 'z')
    with pytest.raises(ValueError, match="correction must be one of reed1998, .* received 'reed'"):
        band_luminosity(**SUN, correction='reed')
    with pytest.raises(ValueError, match="'reed1998' knows the band V only, received 'g'"):
        band_luminosity(**SUN, band='g')
    for missing in ('mass', 'metallicity'):
        with pytest.raises(TypeError, match=f'needs the mass and the metallicity: no {missing} received'):
            band_luminosity(**{**SUN, missing: None}, correction='kurucz1992')
    with pytest.raises(ValueError, match='mass of a star that shines must be positive, received 0.0 solMass'):
        band_luminosity(**{**SUN, 'mass': 0 * u.Msun}, correction='kurucz1992')
    with pytest.raises(ValueError, match='b - v must be above -14 mag, received -20.0 mag'):
        johnson_to_ps1(0 * u.mag, 20 * u.mag)
    with pytest.raises(ValueError, match='flux must be positive, received 0.0'):
        apparent_magnitude(0 * u.Lsun / u.kpc**2)


# -- an old population ----------------------------------------------------------------------------


def population(metallicity, age, slope, band='V', correction='kurucz1992', dark=(13, 14), eta=None):
    """Mass left, mass without the kinds `dark`, light: per Msun formed, by quadrature."""
    from pidoc.stellar import StellarEvolution

    # dense where stars of old populations are giants, for which a moment of mass is a life
    edges = np.concatenate([np.geomspace(0.1, 0.7, 3000), np.linspace(0.7, 1.2, 200000)[1:-1],
                            np.geomspace(1.2, 50.0, 3000)])
    mass = np.sqrt(edges[1:] * edges[:-1])
    weight = mass**-2.3 * np.diff(edges)
    if slope == 'kroupa':
        weight *= np.where(mass < 0.5, 2.0 * mass, 1.0)
    if slope == 'baumgardt':
        weight *= np.where(mass < 0.4, 0.4**-1.35 * mass**2.0, np.where(mass < 1.0, mass**0.65, 1.0))
    weight /= np.sum(weight * mass)
    state = StellarEvolution(metallicity, giant_mass_loss=eta).state(mass, age)
    heat = 5772.0 * (state.luminosity / state.radius**2) ** 0.25
    light = band_luminosity(state.luminosity * u.Lsun, heat * u.K, state.kind, mass=state.mass * u.Msun,
                            metallicity=metallicity, band=band, correction=correction).value
    luminous = ~np.isin(state.kind, dark)
    return (np.sum(weight * state.mass), np.sum(weight * (state.mass * luminous)), np.sum(weight * light))


@pytest.mark.parametrize('metallicity, slope, published, tolerance', [
    # Maraston (2005): spectrum of her Kroupa model with a red horizontal branch at 10 Gyr, Bessell V, Vega
    (0.001, 'kroupa', 6.11, 0.08), (0.02, 'kroupa', 6.71, 0.10),
    # Vazdekis et al. (2012), Padova 2000 tracks, Salpeter, 10 Gyr
    (0.001, 'salpeter', 6.354, 0.10), (0.02, 'salpeter', 7.127, 0.25)])
def test_the_light_of_an_old_population(metallicity, slope, published, tolerance):
    """M_V per Msun formed, against two published syntheses."""
    *_, light = population(metallicity, 10000.0, slope)
    assert 4.83 - 2.5 * np.log10(light) == pytest.approx(published, abs=tolerance)


def test_mass_to_light_of_a_globular_cluster():
    """Z = 0.001, 10-13 Gyr, Kroupa: within the 1.4-2.5 of real clusters (Baumgardt et al. 2020).

    Neutron stars and black holes left out, as most leave with their kick. Maraston (2005) has 1.88 at
    10 Gyr. The correction of the paper gives 9 to 12 per cent more.
    """
    for age in (10000.0, 13000.0):
        _, mass, light = population(0.001, age, 'kroupa')
        assert 1.4 < mass / light < 2.5
        if age == 10000.0:
            assert mass / light == pytest.approx(1.88, rel=0.05)
        _, _, paper = population(0.001, age, 'kroupa', correction='reed1998')
        assert light / paper == pytest.approx(1.10, abs=0.02)


@pytest.mark.parametrize('metallicity, change', [(0.0002, -0.20), (0.001, -0.215), (0.002, -0.23),
                                                 (0.01, -0.275)])
def test_fewer_dwarfs(metallicity, change):
    """M/L_V at 12 Gyr with the mass function of Baumgardt et al. (2023) instead of Kroupa's.

    A first estimate with the same tracks found 2.02 -> 1.62, 2.19 -> 1.72, 2.72 -> 2.09, 2.98 -> 2.16.
    """
    (_, mass, light), (_, other, less) = (population(metallicity, 12000.0, slope)
                                          for slope in ('kroupa', 'baumgardt'))
    assert other / less / (mass / light) - 1 == pytest.approx(change, abs=0.01)


def test_mass_to_light_rises_with_age_and_metallicity():
    """From 9 to 14 Gyr, within 1 %; SSE itself has 2.37, 3.15, 4.10 at 10, 13, 14 Gyr and Z = 0.002."""
    found = []
    for z in (0.0001, 0.0005, 0.001, 0.002, 0.004, 0.01):
        populations = [population(z, age, 'kroupa') for age in (9e3, 11.5e3, 14e3)]
        found.append([mass / light for _, mass, light in populations])
    found = np.array(found)
    assert np.all(np.diff(found, axis=1) > 0)
    assert np.all(found[1:] > 0.99 * found[:-1])
    # without a step
    growth = np.diff(np.log(found), axis=1)
    assert np.all((growth > 0.12) & (growth < 0.30))


@pytest.mark.parametrize('metallicity, published', [
    (0.0001, (1.41, 1.58, 1.66)), (0.0004, (1.44, 1.59, 1.66)), (0.004, (1.94, 2.20, 2.32))])
def test_living_stars_of_another_synthesis(metallicity, published):
    """M/L_V at 10, 12 and 13 Gyr of Bruzual & Charlot (2003) with MILES, Kroupa, living stars."""
    for age, expected in zip((10e3, 12e3, 13e3), published, strict=True):
        _, mass, light = population(metallicity, age, 'kroupa', dark=range(10, 16))
        assert mass / light == pytest.approx(expected, rel=0.10 if metallicity < 0.004 else 0.13)


def test_the_colour_of_an_old_population():
    """Integrated B - V at Z = 0.001, 10 Gyr: 0.70 in Vazdekis et al. (2012)."""
    *_, blue = population(0.001, 10000.0, 'salpeter', 'B')
    *_, visual = population(0.001, 10000.0, 'salpeter')
    assert 5.48 - 4.83 - 2.5 * np.log10(blue / visual) == pytest.approx(0.70, abs=0.04)
