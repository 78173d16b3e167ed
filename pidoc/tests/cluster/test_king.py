# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""King (1966) models."""

import numpy as np
import pytest
from scipy.special import erf

from pidoc.cluster.king import (
    core_radius,
    king_density,
    king_potential,
    king_radius,
    king_structure,
    king_surface_density,
)


@pytest.mark.parametrize(
    'w0, concentration', [(3, 0.67), (5, 1.03), (6, 1.25), (7, 1.53), (9, 2.12), (12, 2.74)]
)
def test_king_concentration_as_published(w0, concentration):
    """log10(r_t / r_c) of King models, two decimals (King 1966, Binney & Tremaine 2008 fig. 4.9)."""
    assert king_structure(w0).concentration == pytest.approx(concentration, abs=0.011)


def test_king_density_is_the_form_with_the_error_function():
    w = np.array([0.5, 1.0, 3.0, 8.0, 12.0])
    expected = np.exp(w) * erf(np.sqrt(w)) - np.sqrt(4.0 * w / np.pi) * (1.0 + 2.0 * w / 3.0)
    np.testing.assert_allclose(king_density(w), expected, rtol=1e-10)
    assert king_density(-1.0) == 0.0


@pytest.mark.parametrize('w0', [0.1, 1.0, 5.0, 9.0, 12.0, 15.0])
def test_king_structure_against_limepy(w0):
    limepy = pytest.importorskip('limepy').limepy
    # Its default tolerance is coarser than what is wanted here.
    other = limepy(w0, 1, ode_rtol=1e-10, ode_atol=1e-12)
    structure = king_structure(w0)
    assert structure.tidal_radius == pytest.approx(other.rt / other.r0, rel=1e-5)
    assert structure.half_mass_radius == pytest.approx(other.rh / other.r0, rel=1e-3)
    # limepy's velocity parameter s and G M / r_0 in its own units
    assert structure.sigma == pytest.approx(
        np.sqrt(other.s2 * other.r0 / (other.G * other.M)), rel=1e-4
    )


@pytest.mark.parametrize('w0', [2.0, 7.0, 12.0])
def test_potential_is_the_inverse_of_the_concentration(w0):
    assert king_potential(king_structure(w0).concentration) == pytest.approx(w0, abs=0.01)


@pytest.mark.parametrize('concentration', [-1.0, 3.9])
def test_impossible_concentrations(concentration):
    with pytest.raises(ValueError, match=f'concentration must be between .*, received {concentration}'):
        king_potential(concentration)


@pytest.mark.parametrize('w0', [3.0, 8.0])
def test_core_radius_by_stars(w0):
    """Counts within a tenth of the core, and of those about its edge: half of the density."""
    rng = np.random.default_rng(2)
    radius = king_radius(rng.random(1_500_000), w0=w0)
    height = rng.uniform(-1.0, 1.0, radius.size)
    apart, edge = radius * np.sqrt(1.0 - height**2), core_radius(w0)
    middle = np.count_nonzero(apart < 0.2 * edge) / 0.2**2
    ring = np.count_nonzero((apart > 0.95 * edge) & (apart < 1.05 * edge)) / (1.05**2 - 0.95**2)
    assert ring / middle == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize('w0', [1.0, 5.0, 9.0, 14.0])
def test_the_projected_density_has_the_mass_of_the_model(w0):
    """Mass in circles: the integral of the surface density, and that of the shares of all spheres in them."""
    radius, density = king_surface_density(w0)
    assert density[0] == 1.0 and density[-1] == 0.0 and np.all(np.diff(density) <= 0.0)
    ring = np.pi * np.diff(radius**2)
    inside = np.concatenate(([0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * ring)))
    structure = king_structure(w0)
    shell = np.diff(structure.mass)
    place = 0.5 * (structure.radius[1:] + structure.radius[:-1])
    for circle in (0.5, 2.0, 0.3 * structure.tidal_radius):
        hidden = np.sqrt(np.maximum(1.0 - (circle / place) ** 2, 0.0))
        share = np.where(place > circle, 1.0 - hidden, 1.0)
        assert np.interp(circle, radius, inside) / inside[-1] == pytest.approx(shell @ share, rel=5e-3)


def test_the_projected_density_of_a_halo():
    """Between the core and the edge a concentrated model is nearly an isothermal sphere: 1 / R."""
    radius, density = king_surface_density(14.0)
    slope = np.gradient(np.log(density[1:-1]), np.log(radius[1:-1]))
    assert np.interp(50.0, radius[1:-1], slope) == pytest.approx(-1.0, abs=0.2)
