# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Bolometric corrections against model atmospheres, V luminosities against magnitudes by hand."""

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u

from pidoc.photometry import bolometric_correction, v_luminosity

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


@pytest.mark.skipif(not KURUCZ.exists(), reason='shared/data/tables/Kurucz.dat is not there')
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
