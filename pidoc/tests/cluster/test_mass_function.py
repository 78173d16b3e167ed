# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Broken power laws: theorems, quadrature, samples, and the text that says them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import ks_1samp

from pidoc.cluster.mass_function import EqualMasses, mass_function, MASS_FUNCTIONS, MassFunction

KROUPA, BAUMGARDT = MASS_FUNCTIONS['kroupa2001'], MASS_FUNCTIONS['baumgardt2023']
# some of them with the slopes -1 and -2, where integrals are logarithms
LAWS = [KROUPA, BAUMGARDT, MassFunction([-2.35]), MassFunction([-1]), MassFunction([-2]), MassFunction([0.5]),
        MassFunction([1, -1, -2, -4.5], [0.3, 0.7, 6]), MassFunction([-10, 10], [1])]
LIMITS = [(0.1, 50.0), (0.08, 0.3), (0.4, 1.0), (0.45, 0.9), (2.0, 150.0)]
P_VALUE = 1e-4


@st.composite
def laws(draw):
    number = draw(st.integers(1, 5))
    breaks = draw(st.lists(st.floats(0.01, 200), min_size=number - 1, max_size=number - 1, unique=True))
    slopes = draw(st.lists(st.floats(-10, 10), min_size=number, max_size=number))
    return MassFunction(slopes, sorted(breaks))


def integral(law, low, high, power):
    """Of m^power dN/dm, by quadrature in ln m, piece by piece."""
    edges = [low, *(edge for edge in law.breaks if low < edge < high), high]
    return sum(quad(lambda x: math.exp(x * (power + 1)) * float(law.density(math.exp(x))),
                    math.log(start), math.log(stop), epsrel=1e-11, limit=200)[0]
               for start, stop in zip(edges[:-1], edges[1:], strict=True))


# -- the power laws -------------------------------------------------------------------------------


def test_slopes_and_breaks_of_the_literature():
    assert (KROUPA.slopes, KROUPA.breaks) == ((-1.3, -2.3), (0.5,))
    assert (BAUMGARDT.slopes, BAUMGARDT.breaks) == ((-0.3, -1.65, -2.3), (0.4, 1.0))
    assert list(MASS_FUNCTIONS) == ['kroupa2001', 'baumgardt2023', 'equal']


@pytest.mark.parametrize('law', LAWS, ids=str)
def test_slopes_of_the_density(law):
    edges = (law.breaks[0] / 4 if law.breaks else 0.3, *law.breaks)
    stops = (*law.breaks, edges[-1] * 4)
    for slope, start, stop in zip(law.slopes, edges, stops, strict=True):
        low, high = start * (1 + 1e-9), stop * (1 - 1e-9)
        found = math.log(law.density(high) / law.density(low)) / math.log(high / low)
        assert found == pytest.approx(slope, abs=1e-9)


@pytest.mark.parametrize('law', LAWS, ids=str)
def test_segments_meet_at_the_breaks(law):
    for edge in law.breaks:
        below, above = law.density([edge * (1 - 1e-12), edge * (1 + 1e-12)])
        assert below == pytest.approx(above, rel=1e-10)
    if law.breaks:
        assert law.density(law.breaks[0]) == 1.0


@pytest.mark.parametrize('limits', LIMITS)
@pytest.mark.parametrize('law', LAWS, ids=str)
def test_mean_mass_and_shares_against_quadrature(law, limits):
    total = integral(law, *limits, 0)
    assert law.mean_mass(*limits) == pytest.approx(integral(law, *limits, 1) / total, rel=1e-9)
    masses = np.geomspace(*limits, 7)[1:-1]
    shares = [integral(law, limits[0], mass, 0) / total for mass in masses]
    np.testing.assert_allclose(law.cumulative(masses, *limits), shares, rtol=1e-8)


def test_mean_mass_of_salpeter_in_closed_form():
    """x^(-0.35) and x^(-1.35) between the limits."""
    first, zeroth = ((50 ** p - 0.1 ** p) / p for p in (-0.35, -1.35))
    assert MassFunction([-2.35]).mean_mass(0.1, 50) == pytest.approx(first / zeroth, rel=1e-14)
    assert MassFunction([-1]).mean_mass(1, math.e) == pytest.approx(math.e - 1, rel=1e-14)
    assert MassFunction([0]).mean_mass(1, 4) == pytest.approx(2.5, rel=1e-14)


def test_share_below_a_break_in_closed_form():
    """Kroupa between 0.1 and 50: both integrals begin or end at the break with dN/dm = 1."""
    below = 0.5 * (1 - 0.2 ** -0.3) / -0.3
    above = 0.5 * (100 ** -1.3 - 1) / -1.3
    assert KROUPA.cumulative(0.5, 0.1, 50) == pytest.approx(below / (below + above), rel=1e-14)


@settings(max_examples=60, deadline=None)
@given(laws(), st.floats(0.08, 2), st.floats(1.01, 70))
def test_the_cumulative_share(law, lower, ratio):
    upper = lower * ratio
    share = law.cumulative(np.geomspace(0.5 * lower, 2 * upper, 50), lower, upper)
    assert np.all(np.diff(share) >= -1e-9)
    assert share[0] == 0.0 and share[-1] == pytest.approx(1.0, abs=1e-9)
    assert np.all(share <= 1.0)
    assert lower <= law.mean_mass(lower, upper) <= upper
    # more of the massive ones: a theorem for densities whose ratio increases
    flatter = MassFunction([min(slope + 0.1, 10) for slope in law.slopes], law.breaks)
    if max(law.slopes) <= 9.9:
        assert flatter.mean_mass(lower, upper) > law.mean_mass(lower, upper)


def test_nearly_logarithmic_integrals_go_over_into_logarithms():
    for slope in (-1, -2):
        means = [MassFunction([slope + step]).mean_mass(0.1, 50) for step in (-2e-8, -5e-9, 0.0, 2e-8)]
        np.testing.assert_allclose(means, means[2], rtol=2e-7)


# -- samples --------------------------------------------------------------------------------------


@pytest.mark.parametrize('limits', LIMITS)
@pytest.mark.parametrize('law', LAWS, ids=str)
def test_samples_follow_the_cumulative_share(law, limits):
    mass = law.draw(20000, np.random.default_rng(5), *limits)
    assert ks_1samp(mass, lambda value: law.cumulative(value, *limits)).pvalue > P_VALUE
    assert limits[0] <= mass.min() and mass.max() <= limits[1]
    assert mass.mean() == pytest.approx(law.mean_mass(*limits), abs=5 * mass.std() / math.sqrt(mass.size))


@settings(max_examples=60, deadline=None)
@given(laws(), st.floats(0.08, 2), st.floats(1.01, 70))
def test_samples_are_the_inverse(law, lower, ratio):
    upper = lower * ratio
    mass = law.draw(200, np.random.default_rng(1), lower, upper)
    shares = np.random.default_rng(1).random(200)
    assert np.all(np.isfinite(mass))
    np.testing.assert_allclose(law.cumulative(mass, lower, upper), shares, atol=1e-9)


def test_the_steepest_slope_at_its_end():
    class Last:
        def random(self, number):
            return np.full(number, np.nextafter(1.0, 0.0))

    mass = MassFunction([-10]).draw(3, Last(), 0.08, 150.0)
    assert np.all((mass > 1.0) & (mass <= 150.0))


@pytest.mark.parametrize('limits', [*LIMITS, (0.5, 1.0), (0.1, 0.5)])
def test_masses_of_kroupa_to_the_last_bit(limits):
    """Two powers, inverted by hand: masses of a seed are those of every simulation that there is."""
    low, high = (np.clip(edge, *limits) / 0.5 for edge in (limits[0], limits[1]))
    turn = np.clip(0.5, *limits) / 0.5
    shallow, steep = 1.0 - 1.3, 1.0 - 2.3
    below = (turn ** shallow - low ** shallow) / shallow
    above = (high ** steep - turn ** steep) / steep
    number = np.random.default_rng(3).random(100_000) * (below + above)
    small = number < below
    mass = np.empty(number.size)
    mass[small] = (low ** shallow + shallow * number[small]) ** (1.0 / shallow)
    mass[~small] = (turn ** steep + steep * (number[~small] - below)) ** (1.0 / steep)
    drawn = KROUPA.draw(100_000, np.random.default_rng(3), *limits)
    np.testing.assert_array_equal(drawn, np.clip(0.5 * mass, *limits))


def test_masses_of_a_seed_stay_the_same():
    mass = KROUPA.draw(3, np.random.default_rng(0), 0.1, 50.0)
    assert mass == pytest.approx([0.3884193168698232, 0.16637912586205508, 0.10751780172294498], rel=1e-14)


def test_limits_of_samples():
    for limits in [(0.0, 1.0), (2.0, 1.0), (1.0, 1.0), (math.nan, 1.0)]:
        with pytest.raises(ValueError, match=rf'increasing masses above 0, received {limits[0]} and'):
            KROUPA.draw(10, np.random.default_rng(), *limits)


def test_equal_masses():
    equal = MASS_FUNCTIONS['equal']
    assert equal == EqualMasses() and str(equal) == 'equal'
    assert equal.mean_mass(0.7, 0.7) == 0.7
    np.testing.assert_array_equal(equal.draw(3, None, 0.7, 0.7), [0.7] * 3)


def test_coulomb_logarithms():
    """Other values are another physics: raise `pidoc.simulation.evolve.PHYSICS`."""
    assert [law.coulomb_gamma for law in MASS_FUNCTIONS.values()] == [0.05, 0.05, 0.11]
    assert [law.one_mass for law in MASS_FUNCTIONS.values()] == [False, False, True]


# -- text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(('value', 'text'), [
    ('kroupa2001', 'kroupa2001'), (' baumgardt2023 ', 'baumgardt2023'), ('equal', 'equal'),
    ('-1.3 -2.3 @ 0.5', 'kroupa2001'), ('-0.30,-1.65,-2.3@0.4,1', 'baumgardt2023'),
    (BAUMGARDT, 'baumgardt2023'), ('-1.3, -2.35 @ .6', '-1.3 -2.35 @ 0.6'),
    ('-2.35', '-2.35'), (-2.35, '-2.35'), (np.float64(-2), '-2'),
    (0, '0'), (-0.0, '0'), ('-1e0 -2.3 @ 1e1', '-1 -2.3 @ 10'), (MassFunction([1 / 3]), '0.3333333333333333'),
    (EqualMasses(), 'equal')])
def test_texts(value, text):
    law = mass_function(value)
    assert str(law) == text
    assert mass_function(text) == law


@given(laws())
def test_a_text_says_everything(law):
    assert mass_function(str(law)) == law
    assert repr(law) == f'<MassFunction {law}>'


def test_compared_by_value():
    assert len({KROUPA, MassFunction([-1.3, -2.3], [0.5]), MassFunction([-1.3, -2.3], [0.6])}) == 2
    assert KROUPA != 'kroupa2001'


@pytest.mark.parametrize(('value', 'message'), [
    ('salpeter', 'imf must be one of kroupa2001, baumgardt2023, equal, or slopes and breaks such as '
                 "'-1.3 -2.3 @ 0.5', received 'salpeter'"),
    (None, 'imf must be one of .* received None'), (True, 'imf must be one of .* received True'),
    (['equal'], "imf must be one of .* received \\['equal'\\]"), ('-1 @ 2 @ 3', 'imf must be one of .* @ 3'),
    ('', "imf '': slopes must be at least one number from -10 to 10, received none"),
    ('-1 -11 @ 1', "imf '-1 -11 @ 1': slopes must be at least one number from -10 to 10, received -1 -11"),
    ('nan', 'slopes must be finite numbers, received nan'),
    ('-1 -2 @ inf', 'breaks must be finite numbers, received inf'),
    ('-1 -2', 'must be a break between two slopes, received 2 slopes and 0 breaks'),
    ('-1 @ 0.5', 'received 1 slopes and 1 breaks'),
    ('-1 -2 -3 @ 0.5 0.5', 'breaks must be increasing masses above 0, received 0.5 0.5'),
    ('-1 -2 @ 0', 'breaks must be increasing masses above 0, received 0')])
def test_what_is_none(value, message):
    with pytest.raises(ValueError, match=message):
        mass_function(value)


def test_slopes_that_are_no_numbers():
    with pytest.raises(ValueError, match="slopes must be numbers, received 'steep'"):
        MassFunction('steep')
    with pytest.raises(ValueError, match='breaks must be numbers, received 0.5'):
        MassFunction([-1.3, -2.3], 0.5)
