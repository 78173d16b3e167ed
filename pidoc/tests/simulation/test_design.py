# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Tests of pidoc.simulation.design."""

import numpy as np
import pytest
from astropy import units as u

from pidoc.simulation.design import draw_models
from pidoc.simulation.tides import TidalField

FIELDS = {'n_stars': {'low': 1e4, 'high': 1e5, 'scale': 'log'},
          'half_mass_radius': {'low': 1.0, 'high': 5.0},
          'metallicity': {'low': 1e-4, 'high': 1e-2, 'scale': 'log'}}


def shares(models):
    """Where the models are between the limits of FIELDS, 0 to 1."""
    return np.array([[np.log10(model.n_stars / 1e4),
                      (model.half_mass_radius.to_value(u.pc) - 1.0) / 4.0,
                      np.log10(model.metallicity / 1e-4) / 2.0] for model in models])


def test_values_lie_between_the_limits_and_cover_them():
    place = shares(draw_models(FIELDS, 64, seed=3, max_filling=0.9))
    assert place.min() >= -1e-5
    assert place.max() <= 1.0 + 1e-5
    # a Sobol' sequence: one point in each of 16 equal parts; a shift of the whole loses at most one
    for column in place.T:
        number, _ = np.histogram(column, bins=16, range=(0.0, 1.0))
        assert number.min() >= 3
        assert number.max() <= 5
    # and evenly in pairs, which 64 independent draws are not: 16 squares hold about 4 each
    number, _, _ = np.histogram2d(*place.T[:2], bins=4, range=((0, 1), (0, 1)))
    assert number.min() >= 2


def test_the_same_seed_makes_the_same_models_and_another_does_not():
    models = draw_models(FIELDS, 4, seed=1)
    assert models == draw_models(FIELDS, 4, seed=1)
    assert not set(shares(models)[:, 0]) & set(shares(draw_models(FIELDS, 4, seed=2))[:, 0])


def test_a_small_grid_begins_a_large_one():
    assert draw_models(FIELDS, 9, seed=5)[:4] == draw_models(FIELDS, 4, seed=5)


def test_names_and_seeds():
    models = draw_models(FIELDS, 3, seed=7, name='train')
    assert [model.name for model in models] == ['train-000', 'train-001', 'train-002']
    assert [model.seed for model in models] == [7000, 7001, 7002]
    assert draw_models(FIELDS | {'seed': 4}, 2, seed=7)[1].seed == 4


def test_choices_fixed_values_and_units():
    fields = {'king_w0': {'choices': ['none', 5, 7]}, 'half_mass_radius': '0.002 kpc', 'n_stars': 20000}
    models = draw_models(fields, 12, seed=1)
    assert {(model.profile, model.king_w0) for model in models} == \
        {('plummer', None), ('king', 5.0), ('king', 7.0)}
    assert {model.half_mass_radius for model in models} == {2 * u.pc}
    assert {model.n_stars for model in models} == {20000}


def test_mass_functions():
    texts = ['kroupa2001', 'baumgardt2023', '-0.5 -2.3 @ 0.5']
    models = draw_models({'imf': {'choices': texts}}, 12, seed=1)
    assert {model.imf for model in models} == set(texts)
    models = draw_models({'imf': {'low': -2.5, 'high': -2.1}}, 5, seed=1)
    slopes = [model.mass_function.slopes for model in models]
    assert len(set(slopes)) == 5 and all(-2.5 < slope < -2.1 for (slope,) in slopes)


def test_the_coulomb_logarithm_can_vary():
    fields = {'coulomb_gamma': {'low': 0.03, 'high': 0.08, 'scale': 'log'}}
    models = draw_models(fields, 16, seed=1)
    gamma = np.array([model.coulomb_gamma for model in models])
    assert 0.03 <= gamma.min() < 0.034 and 0.071 < gamma.max() <= 0.08
    times = np.array([model.relaxation_time.value for model in models])
    np.testing.assert_allclose(times * np.log(gamma * 50000), times[0] * np.log(gamma[0] * 50000))


def test_no_cluster_overfills_its_tidal_radius():
    fields = {'n_stars': 10000, 'half_mass_radius': {'low': 1.0, 'high': 10.0},
              'galactocentric_distance': {'low': 3.0, 'high': 30.0}}
    # without the rule a third of them would
    for model in draw_models(fields, 20, seed=1, max_filling=0.1):
        tidal = TidalField(model).tidal_radius(model.expected_total_mass.to_value(u.Msun))
        assert model.half_mass_radius.to_value(u.pc) <= 0.1 * tidal


def test_without_fields_all_are_the_default():
    (model,) = draw_models({}, 1, seed=0)
    assert model.replace(name='') == type(model)()


@pytest.mark.parametrize(('change', 'match'), [
    ({'n_stars': {'low': 1e4}}, 'distribution of n_stars must have either choices, or low, high'),
    ({'n_stars': {}}, 'perhaps scale and of, received nothing'),
    ({'n_stars': {'low': 1, 'high': 2, 'choices': [1]}}, 'received choices, high, low'),
    ({'n_stars': {'low': 1e4, 'high': 1e5, 'scale': 'sqrt'}}, "scale of n_stars must be linear or log"),
    ({'n_stars': {'low': 1e5, 'high': 1e4}}, 'low and high of n_stars must be increasing numbers'),
    ({'metallicity': {'low': 0.0, 'high': 0.01, 'scale': 'log'}}, 'for a log scale positive ones'),
    ({'metallicity': {'low': 'a', 'high': 0.01}}, "received 'a' and 0.01"),
    ({'king_w0': {'choices': []}}, 'the choices of king_w0 must be a list with at least one, received'),
    ({'king_w0': {'choices': 5}}, 'the choices of king_w0 must be a list with at least one, received 5'),
    ({'half_mass_radius': '3 kg'}, 'half_mass_radius'),
    ({'imf': {'choices': ['salpeter']}}, 'imf must be one of kroupa2001, baumgardt2023, equal, or slopes'),
    ({'mass': 3}, "a model has the fields .* received 'mass'"),
    ({'half_mass_radius': 200.0}, 'max_filling 0.1 left 0 of 2 models after 200 draws')])
def test_what_is_not_accepted(change, match):
    with pytest.raises(ValueError, match=match):
        draw_models(change, 2, seed=1)


@pytest.mark.parametrize('number', [0, 1.5, True])
def test_the_number_must_be_whole(number):
    with pytest.raises(ValueError, match='number must be a whole number, at least 1'):
        draw_models({}, number, seed=1)


@pytest.mark.parametrize('filling', [0.0, 1.0, np.nan])
def test_the_filling_must_be_a_share(filling):
    with pytest.raises(ValueError, match='max_filling must be a number above 0 and below 1'):
        draw_models({}, 1, seed=1, max_filling=filling)


def test_share_of_another_field():
    fields = {'galactocentric_distance': {'low': 2.0, 'high': 40.0, 'scale': 'log'},
              'perigalacticon': {'low': 0.25, 'high': 1.0, 'of': 'galactocentric_distance'},
              'half_mass_radius': '1 pc'}
    models = draw_models(fields, 16, seed=1)
    shares = [(model.perigalacticon / model.galactocentric_distance).value for model in models]
    assert 0.25 <= min(shares) < 0.4
    assert 0.85 < max(shares) <= 1.0


def test_share_of_a_field_that_is_not_there_yet():
    fields = {'perigalacticon': {'low': 0.25, 'high': 1.0, 'of': 'galactocentric_distance'},
              'galactocentric_distance': 10.0}
    with pytest.raises(ValueError, match='perigalacticon must be a share of a field that stands before it, '
                                         "received 'galactocentric_distance'"):
        draw_models(fields, 1, seed=1)
