# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The limit of populations is what is left when all but one uncertainty is gone."""

import numpy as np
import pytest
from astropy import units as u

from pidoc import ClusterModel
from pidoc.cluster.population import population_mass_to_light
from pidoc.evaluation.envelope import KNOWN_ERRORS
from pidoc.evaluation.limit import population_limit
from pidoc.evaluation.report import evaluate
from pidoc.tests.evaluation_helpers import a_set, Oracle

KROUPA = ClusterModel(imf='kroupa2001')
BAUMGARDT = ClusterModel(imf='baumgardt2023')
EXACT = dict.fromkeys(KNOWN_ERRORS, 1e-4)
NUMBER = 1500
HALF = 0.6745       # of a normal distribution is within so many standard deviations


def limit(models=(KROUPA,), *, light=0.0, virial=False, **errors):
    """Errors of clusters of 12 Gyr and Z = 0.001, of which only what is named is uncertain."""
    rng = np.random.default_rng(3)
    return population_limit(models, np.full(NUMBER, 12.0), np.full(NUMBER, 0.001),
                            light * rng.normal(size=NUMBER), dispersion=virial, errors=EXACT | errors)


def test_nothing_is_uncertain():
    assert np.abs(limit()).max() < 2e-3


@pytest.mark.parametrize('options, sigma', [
    # the light of a distance is proportional to its square
    ({'distance': 0.03}, 0.06),
    ({'light': 0.05}, 0.05),
    ({'light': 0.05, 'distance': 0.03}, np.hypot(0.05, 0.06)),
])
def test_one_population(options, sigma):
    errors = limit(**options)
    assert np.median(np.abs(errors)) == pytest.approx(HALF * sigma, rel=0.08)
    assert np.median(errors) == pytest.approx(0.0, abs=0.12 * sigma)


def test_uncertain_ages_cost_what_populations_change():
    ages = np.random.default_rng(0).uniform(9.0, 14.0, NUMBER)
    errors = population_limit([KROUPA], ages, np.full(NUMBER, 0.001), np.zeros(NUMBER),
                              errors=EXACT | {'age': 0.5})
    middle = (ages > 10.5) & (ages < 12.5)
    ratio = population_mass_to_light([11.0, 12.0] * u.Gyr, 0.001).value
    sigma = 0.5 * np.log(ratio[1] / ratio[0])
    assert np.median(np.abs(errors[middle])) == pytest.approx(HALF * sigma, rel=0.12)


def test_two_mass_functions_are_confused():
    """Of a cluster of one of two populations nothing is better than either: half are wrong by the whole."""
    ratio = [population_mass_to_light(12 * u.Gyr, 0.001, imf=model.imf,
                                      giant_mass_loss=model.giant_mass_loss).value
             for model in (KROUPA, BAUMGARDT)]
    errors = limit((KROUPA, BAUMGARDT))
    wrong = np.abs(errors) > 0.02
    assert np.mean(wrong) == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(np.abs(errors[wrong]), np.log(ratio[0] / ratio[1]), rtol=0.02)
    # known by a dispersion, they are not
    assert np.abs(limit((KROUPA, BAUMGARDT), virial=True)).max() < 0.01


def test_a_dispersion_gives_the_mass_whatever_the_light():
    """The mass by the virial theorem is proportional to the square of the dispersion, and to the distance."""
    errors = limit(virial=True, light=0.8, dispersion=0.02, distance=0.05)
    assert np.median(np.abs(errors)) == pytest.approx(HALF * np.hypot(0.04, 0.05), rel=0.08)


def test_what_cannot_be_answered():
    ones = np.ones(2)
    with pytest.raises(ValueError, match='needs models of clusters, received none'):
        population_limit([], 12.0 * ones, 1e-3 * ones, 0.0 * ones)
    with pytest.raises(ValueError, match='ages must be 9 to 14 Gyr, received 3 to 3'):
        population_limit([KROUPA], 3.0 * ones, 1e-3 * ones, 0.0 * ones)


def test_a_report_has_the_limit_beside_the_scores():
    """Of the old maps of a set whose recipe has models; light of a known M/L is seen without error."""
    maps = a_set(12)
    maps.recipe.models = {'one': (KROUPA, [11e3])}
    maps.table['metallicity'] = 0.001
    try:
        table = evaluate(Oracle(maps), maps, minimum_pixels=1, minimum_maps=1).tables['richness']
    finally:
        maps.recipe.models = {}
    limits = table[np.char.startswith(table['estimate'], 'limit')]
    assert list(limits['estimate']) == ['limit: distance+age+metallicity',
                                        'limit: distance+age+metallicity+velocity_dispersion']
    assert set(limits['n']) == {4}
    # the light is seen, and the distance known to 2 %
    assert 0.0 < limits['mass_error'].value[0] < 15.0
    assert np.isnan(limits['share_68']).all()
