# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Scores: by hand, against plain numpy, and the paper's numbers as they stand in it."""

import numpy as np
import pytest
from astropy import units as u

from pidoc.evaluation.scores import (
    AGE_EDGES,
    Comparison,
    coverage,
    distance_scores,
    edge_bias,
    groups_of,
    paper_numbers,
    PIXEL_EDGES,
    r_squared,
    TOTAL_MASS_EDGES,
)


def masses(number=20000, seed=0, width=0.3):
    rng = np.random.default_rng(seed)
    true = 10 ** rng.uniform(-1.8, 0.8, number)
    return true * np.exp(width * rng.normal(size=number)), true


# -- R^2 ------------------------------------------------------------------------------------------


def test_the_forms_of_equation_1_by_hand():
    predicted, true = [1.5, 2.0, 3.5], [1.0, 2.0, 4.5]   # mean 2.5, spread 2.25 + 0.25 + 4
    assert r_squared(predicted, true) == pytest.approx(1 - (0.25 + 0 + 1) / 6.5)
    assert r_squared(predicted, true, form='explained') == pytest.approx((1 + 0.25 + 1) / 6.5)


def test_the_forms_agree_for_a_least_squares_line():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=50), rng.normal(size=50)
    line = np.polyval(np.polyfit(x, y, 1), x)
    assert r_squared(line, y) == pytest.approx(r_squared(line, y, form='explained'))
    # and are the square of the correlation
    assert r_squared(line, y) == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)


def test_a_mean_explains_nothing():
    true = np.arange(10.0)
    assert r_squared(np.full(10, true.mean()), true) == pytest.approx(0)
    assert r_squared(true, true) == 1
    assert np.isnan(r_squared(true, np.ones(10)))


@pytest.mark.parametrize('log', [True, False])
def test_streamed_r_squared_is_the_same(log):
    predicted, true = masses()
    comparison = Comparison(PIXEL_EDGES, log=log)
    assert np.isnan(comparison.r_squared())
    for part in np.array_split(np.arange(true.size), 7):
        comparison.add(predicted[part], true[part])
    x, y = (np.log10(predicted), np.log10(true)) if log else (predicted, true)
    for form in ('residual', 'explained'):
        assert comparison.r_squared(form=form) == pytest.approx(r_squared(x, y, form=form))


def test_streamed_r_squared_far_from_zero():
    """A shift of a million keeps the digits."""
    predicted, true = masses(1000)
    comparison = Comparison([0, 1], log=False)
    comparison.add(predicted + 1e6, true + 1e6)
    assert comparison.r_squared() == pytest.approx(r_squared(predicted, true), rel=1e-6)
    same = Comparison([0, 1], log=False)
    same.add([1, 2], [3, 3])
    assert np.isnan(same.r_squared())


# -- bins -----------------------------------------------------------------------------------------


def test_the_released_bins():
    for edges, number, low, high in ((PIXEL_EDGES, 49, -2, 1), (TOTAL_MASS_EDGES, 19, 3, 4.5),
                                     (AGE_EDGES, 19, 0, 14)):
        assert edges.size == number + 1 and (edges[0], edges[-1]) == (low, high)


def test_equation_2_by_hand():
    """Two bins of log M, 0 to 1 and 1 to 2; middles 10^0.5 and 10^1.5."""
    comparison = Comparison([0, 1, 2], log=True)
    comparison.add([2.0, 5.0, 20.0], [1.0, 6.0, 25.0])
    table = comparison.bins()
    np.testing.assert_array_equal(table['n'], [2, 1])
    np.testing.assert_allclose(table['error'].to_value(u.percent), [(50 + 20) / 2, 25])
    np.testing.assert_allclose(table['error_true'].to_value(u.percent), [(100 + 100 / 6) / 2, 20])
    middle = 10**0.5, 10**1.5
    expected = [50 * ((middle[0] - 1) / 1 + (6 - middle[0]) / 6), 100 * (middle[1] - 25) / 25]
    np.testing.assert_allclose(table['error_released'].to_value(u.percent), expected)
    residual = np.log10([2, 5 / 6, 20 / 25])
    np.testing.assert_allclose(table['residual'], [residual[:2].mean(), residual[2]])
    np.testing.assert_allclose(table['standard_deviation'], [residual[:2].std(), 0], atol=1e-8)
    scores = comparison.scores()
    assert scores['bins'] == pytest.approx(30) and scores['sample'] == pytest.approx(95 / 3)
    assert (scores['minimum'], scores['maximum']) == (pytest.approx(25), pytest.approx(35))
    assert (scores['n_bins'], scores['n'], scores['share']) == (2, 3, 1)


def test_equation_4_by_hand():
    comparison = Comparison([0, 7, 14], log=False, unit='Gyr')
    comparison.add([1.0, 3.0, 10.0, 14.0], [2.0, 2.5, 13.0, 14.0])
    table = comparison.bins()
    np.testing.assert_allclose(table['error'].to_value(u.Gyr), [0.75, 1.5])
    np.testing.assert_allclose(table['error_released'].to_value(u.Gyr), [(1.5 + 1) / 2, (2.5 + 3.5) / 2])
    np.testing.assert_allclose(table['residual'], [(-1 + 0.5) / 2, -1.5])
    assert comparison.scores()['bins'] == pytest.approx(1.125)


def test_each_bin_by_plain_numpy():
    predicted, true = masses()
    comparison = Comparison(PIXEL_EDGES, log=True)
    for part in np.array_split(np.arange(true.size), 5):
        comparison.add(predicted[part].reshape(-1, 10), true[part].reshape(-1, 10))
    table = comparison.bins()
    for i in range(49):
        chosen = (np.log10(predicted) >= PIXEL_EDGES[i]) & (np.log10(predicted) < PIXEL_EDGES[i + 1])
        p, t = predicted[chosen], true[chosen]
        assert table['n'][i] == p.size
        if p.size:
            assert table['error'][i].value == pytest.approx(100 * np.mean(np.abs(p - t) / p))
            assert table['error_true'][i].value == pytest.approx(100 * np.mean(np.abs(p - t) / t))
            middle = 10 ** comparison.centers[i]
            released = 100 * np.mean(np.abs(middle - t) / t)
            assert table['error_released'][i].value == pytest.approx(released)
        chosen = (np.log10(true) >= PIXEL_EDGES[i]) & (np.log10(true) < PIXEL_EDGES[i + 1])
        residual = np.log10(predicted / true)[chosen]
        assert comparison.bins(by='true')['n'][i] == residual.size
        if residual.size:
            assert comparison.bins(by='true')['residual'][i] == pytest.approx(residual.mean())
            assert comparison.bins(by='true')['standard_deviation'][i] == pytest.approx(residual.std())
    assert table['n'].sum() == comparison.scores()['n'] < comparison.n == true.size


def test_pieces_make_no_difference(monkeypatch):
    predicted, true = masses(5000)
    half = np.full(5000, 0.2)
    whole, pieces = (Comparison(PIXEL_EDGES, log=True) for _ in range(2))
    whole.add(predicted, true, half)
    monkeypatch.setattr('pidoc.evaluation.scores._PIECE', 300)
    pieces.add(predicted, true, half)
    for name in whole.bins().colnames:
        np.testing.assert_allclose(np.asarray(pieces.bins()[name]), np.asarray(whole.bins()[name]), rtol=1e-9)
    np.testing.assert_array_equal(pieces.counts, whole.counts)
    assert pieces.n == 5000 and pieces.r_squared() == pytest.approx(whole.r_squared())


def test_a_known_scatter():
    """ln p - ln t normal with sd s, t log-even: <|p - t| / p> = <|1 - exp(s x)|>, by quadrature."""
    predicted, true = masses(400000, width=0.3)
    comparison = Comparison(np.linspace(-1, 0, 11), log=True)
    comparison.add(predicted, true)
    x = np.linspace(-8, 8, 200001)
    weight = np.exp(-0.5 * x**2)
    expected = 100 * np.sum(np.abs(1 - np.exp(0.3 * x)) * weight) / np.sum(weight)
    scores = comparison.scores()
    assert scores['bins'] == pytest.approx(expected, rel=0.01)
    assert scores['bins_true'] == pytest.approx(expected, rel=0.01)
    # the middle of the bin adds its own width to the scatter
    assert expected < scores['bins_released'] < 1.1 * expected


def test_bins_with_few_do_not_count():
    comparison = Comparison([0, 1, 2, 3], log=True)
    comparison.add([2] * 5 + [20] * 2 + [200] * 9, [1] * 5 + [1] * 2 + [100] * 9)
    assert comparison.scores(minimum_count=1)['bins'] == pytest.approx((50 + 95 + 50) / 3)
    assert comparison.scores(minimum_count=3)['bins'] == pytest.approx(50)
    assert comparison.scores(minimum_count=3)['n'] == 14
    assert comparison.scores(above=1.0)['bins'] == pytest.approx((95 + 50) / 2)
    nothing = comparison.scores(minimum_count=99)
    assert nothing['n_bins'] == 0 and np.isnan(nothing['bins']) and np.isnan(nothing['minimum'])
    assert np.isnan(nothing['sample'])


def test_above_minus_one():
    """The middles of 16 bins are not above log M = -1."""
    predicted, true = masses(200000)
    comparison = Comparison(PIXEL_EDGES, log=True)
    comparison.add(predicted, true)
    low = comparison.scores(above=-1)
    assert comparison.scores()['n_bins'] - low['n_bins'] == np.count_nonzero(comparison.centers <= -1) == 16


def test_the_ends_of_the_bins():
    comparison = Comparison([0, 1, 2], log=False)
    comparison.add([-0.1, 0, 1, 2, 2.1], [0, 0, 0, 0, 0])
    np.testing.assert_array_equal(comparison.bins()['n'], [1, 2])
    assert comparison.scores()['share'] == pytest.approx(0.6)


def test_pixels_without_mass():
    """Over the true mass there is no error; over the predicted it is 100 %."""
    comparison = Comparison([0, 1], log=True)
    comparison.add([2.0, 2.0, 0.0], [0.0, 1.0, 1.0], half=[9.0, 9.0, 9.0])
    table = comparison.bins()
    assert table['n'][0] == 2 and table['error'][0].value == 75
    assert table['error_true'][0].value == 100 and table['residual'][0] == pytest.approx(np.log10(2))
    assert table['covered'][0].value == 50
    assert comparison.n == 3


def test_coverage_in_bins():
    predicted, true = masses(100000)
    comparison = Comparison(np.linspace(-1, 0, 3), log=True)
    comparison.add(predicted, true, half=np.full(true.shape, 0.3))
    np.testing.assert_allclose(comparison.bins()['covered'].to_value(u.percent), 68.27, atol=1)
    linear = Comparison([0, 1], log=False)
    linear.add([0.5, 0.5], [0.6, 0.8], half=[0.2, 0.2])
    assert linear.bins()['covered'][0].value == 50


def test_the_histogram_holds_everything_in_range():
    predicted, true = masses()
    comparison = Comparison(PIXEL_EDGES, log=True, cells=2)
    comparison.add(predicted, true)
    expected, *_ = np.histogram2d(np.log10(true), np.log10(predicted), bins=comparison.fine_edges)
    np.testing.assert_array_equal(comparison.counts, expected)
    assert comparison.counts.shape == (98, 98)
    np.testing.assert_allclose(comparison.fine_edges[::2], PIXEL_EDGES)


# -- scalars --------------------------------------------------------------------------------------


def test_bias_at_the_edges():
    true = np.linspace(0, 10, 1001)
    shrunk = 5 + 0.8 * (true - 5)
    low, high = edge_bias(shrunk, true)
    assert low == pytest.approx(0.2 * 4.5, rel=1e-3) and high == pytest.approx(-0.2 * 4.5, rel=1e-3)
    assert edge_bias(shrunk, true, share=0.5)[0] == pytest.approx(0.2 * 2.5, rel=1e-3)


def test_table_2_by_hand():
    table = distance_scores([14, 20, 55, 66, 65], [15, 15, 60, 60, 60])
    np.testing.assert_allclose(table['distance'].to_value(u.kpc), [15, 60])
    np.testing.assert_array_equal(table['n'], [2, 3])
    np.testing.assert_allclose(table['mean'].to_value(u.kpc), [17, 62])
    np.testing.assert_allclose(table['standard_deviation'].to_value(u.kpc), [3, np.std([55, 66, 65])])
    np.testing.assert_allclose(table['mean_absolute_error'].to_value(u.kpc), [3, 16 / 3])


def test_distances_of_all_kinds_are_grouped():
    rng = np.random.default_rng(2)
    true = rng.uniform(10, 90, 4000)
    table = distance_scores(true + 1, true)
    assert len(table) == 8 and table['n'].sum() == 4000
    np.testing.assert_allclose(table['mean_absolute_error'].value, 1)
    np.testing.assert_allclose(table['distance'].value, np.arange(15, 90, 10), atol=0.5)


def test_groups():
    assert [name for name, _ in groups_of(np.array([3, 1, 1]), 'stars')] == ['1 stars', '3 stars']
    assert [name for name, _ in groups_of(np.array(['b', 'a']), '')] == ['a', 'b']
    members = [chosen for _, chosen in groups_of(np.linspace(0, 1, 100), '')]
    np.testing.assert_array_equal(np.sum(members, axis=0), 1)


def test_normal_errors_are_covered():
    rng = np.random.default_rng(3)
    number = 40000
    true, width = rng.normal(size=number), rng.uniform(0.5, 2, number)
    value = true + width * rng.normal(size=number)
    distance = rng.choice([15.0, 30.0], number)
    value[distance == 30] += 10
    ends = value - width, value + width, value - 1.96 * width, value + 1.96 * width
    table = coverage(ends, true, distance=distance)
    assert list(table['group']) == ['all', '15 kpc', '30 kpc']
    assert table['n'][0] == number == table['n'][1:].sum()
    near = table[1]
    assert near['share_68'].to_value('%') == pytest.approx(68.27, abs=4 * near['error_68'].value)
    assert near['share_95'].to_value('%') == pytest.approx(95.0, abs=4 * near['error_95'].value)
    assert near['error_68'].value == pytest.approx(100 * np.sqrt(0.6827 * 0.3173 / near['n']), rel=0.02)
    assert table[2]['share_95'].value < 1
    assert len(coverage(ends, true)) == 1


def test_ends_belong_to_the_interval():
    """And need not be alike on both sides."""
    table = coverage([[1, 1, 1, 1], [2, 2, 2, 2], [0, 0, 0, 0], [9, 9, 9, 9]], [1, 2, 2.1, 9.1])
    assert (table['share_68'].value, table['share_95'].value) == (50, 75)


# -- the paper ------------------------------------------------------------------------------------


def test_the_papers_numbers():
    """As printed in sections 4.1.2 to 4.2.2 and table 2."""
    table = paper_numbers()
    value = dict(zip(table['score'], table['value'], strict=True))
    assert [value[f'pixel.{name}'] for name in ('bins', 'minimum', 'maximum')] == [27.4, 13.7, 95.0]
    assert [value[f'pixel_above.{name}'] for name in ('bins', 'minimum', 'maximum')] == [17.6, 13.7, 22.1]
    assert [value[f'total_mass.{name}'] for name in ('bins', 'minimum', 'maximum')] == [15.6, 6.2, 43.5]
    assert [value[f'mass_to_light.{name}'] for name in ('bins', 'minimum', 'maximum')] == [11.8, 5.1, 18.1]
    assert [value[f'age.{name}'] for name in ('bins', 'minimum', 'maximum')] == [1.26, 0.33, 1.64]
    assert value['distance.mean'] == np.mean([5.6, 7.4, 6.5, 6.0])
    assert [value[f'distance.{d}kpc.mean'] for d in (15, 30, 60, 80)] == [20.3, 35.2, 60.6, 77.6]
    assert value['distance.60kpc.standard_deviation'] == 8.8
    assert all(np.isfinite(table['value'])) and all(table['section'] != '')


# -- what cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(('function', 'text'), [
    (lambda: r_squared([1, 2], [1, 2], form='best'), "form must be residual or explained, received 'best'"),
    (lambda: r_squared([1, 2], [1, 2, 3]), r'same shape and not be empty, received \(2,\) and \(3,\)'),
    (lambda: r_squared([], []), 'must have the same shape and not be empty'),
    (lambda: r_squared([1, np.nan], [1, 2]), 'predicted must be finite, received 1 values that are not'),
    (lambda: r_squared([1, 2], [np.inf, np.inf]), 'true must be finite, received 2 values that are not'),
    (lambda: edge_bias([1, 2], [1, 2], share=0.6),
     'share must be a number above 0 and at most 0.5, received 0.6'),
    (lambda: coverage([[1, 3], [2, 2], [0, 0], [4, 4]], [1, 2]),
     'the ends of an interval must be in order, received 1 of 2 that are not'),
    (lambda: coverage([[1, 1], [2, 2], [3, 3], [2, 2]], [1, 2]),
     'the ends of an interval must be in order, received 2 of 2 that are not'),
    (lambda: coverage([[1, 1], [2, 2], [0, 0], [4, 4, 4]], [1, 2]),
     r'same shape and not be empty, received \(3,\) and \(2,\)'),
    (lambda: coverage([[1, np.nan], [2, 2], [0, 0], [4, 4]], [1, 2]),
     'predicted must be finite, received 1 values that are not'),
    (lambda: Comparison([1, 1], log=True), r'at least two numbers that increase, received \[1, 1\]'),
    (lambda: Comparison([1], log=True), 'edges must be at least two numbers that increase'),
    (lambda: Comparison([0, 1], log=True).add([1, -1], [1, 1]), 'values must not be negative, received -1.0'),
    (lambda: Comparison([0, 1], log=True).add([1], [1], half=[-1]), 'half must be 1 numbers that are not'),
    (lambda: Comparison([0, 1], log=True).add([np.nan], [1]), 'predicted must be finite'),
    (lambda: Comparison([0, 1], log=True).bins(by='mass'), "by must be predicted or true, received 'mass'"),
    (lambda: Comparison([0, 1], log=True).r_squared(form='x'), "residual or explained, received 'x'")])
def test_what_cannot_be(function, text):
    with pytest.raises(ValueError, match=text):
        function()
