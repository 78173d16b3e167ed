# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Populations of single stars beside published ones, and beside a sum over drawn stars."""

import numpy as np
import pytest
from astropy import units as u

from pidoc.cluster.mass_function import mass_function
from pidoc.cluster.population import population_mass_to_light
from pidoc.photometry import v_luminosity
from pidoc.stellar import StellarEvolution
from pidoc.units import SOLAR_TEFF


def test_an_integral_is_the_sum_over_many_stars():
    rng = np.random.default_rng(1)
    born = mass_function('kroupa2001').draw(400_000, rng, 0.1, 50.0)
    stars = StellarEvolution(0.001).state(born, 3000.0)
    heat = SOLAR_TEFF * (stars.luminosity / stars.radius**2) ** 0.25
    light = v_luminosity(stars.luminosity * u.Lsun, heat * u.K, stars.kind).sum().value
    mass = stars.mass[stars.kind < 13].sum()
    # the giants of a sample are few
    assert population_mass_to_light(3 * u.Gyr, 0.001).value == pytest.approx(mass / light, rel=0.05)


def test_populations_of_bruzual_and_charlot():
    """Living stars of Kroupa's mass function at 10 Gyr, Z = 0.0004: 1.44 with MILES spectra."""
    ours = population_mass_to_light(10 * u.Gyr, 0.0004, remnants=False, correction='kurucz1992')
    assert ours.unit == u.Msun / u.Lsun and ours.value == pytest.approx(1.44, rel=0.1)


def test_fewer_dwarfs_are_brighter():
    ages = [8, 12] * u.Gyr
    kroupa, flat = (population_mass_to_light(ages, 0.001, imf=imf) for imf in ('kroupa2001', 'baumgardt2023'))
    assert kroupa.shape == (2,)
    assert np.all(flat < 0.85 * kroupa) and np.all(np.diff(kroupa) > 0)


def test_an_impossible_age():
    with pytest.raises(ValueError, match='age must be positive'):
        population_mass_to_light(0 * u.Gyr, 0.001)
