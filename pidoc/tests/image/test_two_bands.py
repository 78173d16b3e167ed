# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""V from g and r: the tangent to a relation, the colour of each place, noise."""

import math

import numpy as np
import pytest
from astropy import units as u

from pidoc.image.ps1 import files as ps1
from pidoc.image.two_bands import _Band, _colours, _filled, _tangent
from pidoc.photometry import ps1_to_johnson


@pytest.mark.parametrize('relation', ps1.RELATIONS)
def test_exact_at_its_colour(relation):
    """The tangent meets the relation where it touches it, at every level of light."""
    for g, r in ((15.0, 14.6), (21.0, 20.2), (18.0, 18.1)):
        factors = _tangent(ps1.RELATIONS[relation], g - r)
        flux = factors[0] * 10 ** (-0.4 * g) + factors[1] * 10 ** (-0.4 * r)
        if relation == 'kostov2018':
            v = ps1.ps1_to_v(g * u.mag, r * u.mag).value
        else:
            v = ps1_to_johnson(g * u.mag, r * u.mag)[1].value
        assert -2.5 * math.log10(flux) == pytest.approx(v, abs=1e-9)


def test_the_linear_law():
    # F_V ~ F_g^0.492 F_r^0.508 at the colour of a cluster
    g, r = 10 ** (-0.4 * 15.6), 10 ** (-0.4 * 15.0)
    factors = _tangent(ps1.RELATIONS['kostov2018'], 0.6)
    share = factors[0] * g / (factors[0] * g + factors[1] * r)
    assert share == pytest.approx(0.492, abs=0.002)


def test_noise_does_not_bias():
    """The mean over noise of pixels as bright as their noise; magnitudes would lose a third of them."""
    rng = np.random.default_rng(0)
    g, r = rng.normal(1.0, 1.0, 100000), rng.normal(1.5, 1.0, 100000)
    factors = _tangent(ps1.RELATIONS['kostov2018'], -2.5 * math.log10(1 / 1.5))
    expected = factors[0] * 1.0 + factors[1] * 1.5
    assert np.mean(factors[0] * g + factors[1] * r) == pytest.approx(expected, rel=0.01)
    assert np.mean((g > 0) & (r > 0)) < 0.8


def test_colours_where_there_is_signal():
    """Half of the field is bright and red, half is noise; a place of impossible colour is left out."""
    rng = np.random.default_rng(1)
    light = np.where(np.arange(80) < 40, 100.0, 0.0) * np.ones((60, 80))
    bands = []
    for factor in (10**-0.4, 1.0):
        flux = light * factor + rng.normal(size=light.shape)
        bands.append(_Band(flux, np.ones(light.shape), np.ones(light.shape)))
    bands[1].flux[20:30, 10:20] *= 10.0
    colour, own = _colours(*bands, np.ones(light.shape, dtype=bool), 0.3, 2.0)
    assert own[:10, 10:30].all() and not own[:, 50:].any() and not own[23:27, 13:17].any()
    assert np.all(colour[~own] == 0.3)
    assert np.median(colour[own]) == pytest.approx(1.0, abs=0.01)


def test_gaps_are_filled_from_what_is_near():
    values = np.full((60, 60), 3.0)
    assert _filled(values) is values
    values[10:14, 10:14] = np.nan
    values[:, 40:] = np.nan
    filled = _filled(values)
    np.testing.assert_allclose(filled[:, :42], 3.0)
    assert np.all(filled[:, 58:] == 0.0)
