# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Estimator: symmetries, calibration, model folders."""

import json

import numpy as np
import pytest

from pidoc.inference.calibration import Calibration, MODES, QUANTITIES
from pidoc.inference.estimator import age_from_root, Estimator, PaperEstimator
from pidoc.inference.folder import ModelFolderError, read_card, read_weights
from pidoc.networks.cluster import cluster_network
from pidoc.networks.scaling import PaperScaling, Scaling

CONFIG = {'shape': [8, 8, 1], 'widths': [4, 8], 'dense': 16}


def _network(seed):
    network = cluster_network(**CONFIG, seed=seed)
    rng = np.random.default_rng(seed)
    # the heads begin at zero: give them something to say
    for name in ('mass', 'scalars'):
        layer = network.get_layer(name)
        layer.set_weights([rng.normal(0.0, 0.1, value.shape) for value in layer.get_weights()])
    return network


@pytest.fixture(scope='module')
def estimator():
    return Estimator([_network(1), _network(2)], Scaling(), config=CONFIG, about={'name': 'test'})


@pytest.fixture(scope='module')
def light():
    rng = np.random.default_rng(3)
    return 10.0 ** rng.normal(-5.0, 0.5, (5, 32, 32))


def test_estimates_have_the_promised_shapes_and_are_sane(estimator, light):
    estimates = estimator.estimate(light)
    assert len(estimates) == 5
    assert estimates.mass.shape == estimates.log_mass_error.shape == (5, 32, 32)
    assert np.all(estimates.mass >= 0.0) and np.all(estimates.log_mass_error > 0.0)
    assert list(estimates.scalars) == list(QUANTITIES[1:])
    for interval in estimates.scalars.values():
        assert interval.value.shape == (5,)
        np.testing.assert_allclose(interval.half_95, 2.0 * interval.half_68)


def test_batches_do_not_change_the_estimates(estimator, light):
    one, two = estimator.estimate(light), estimator.estimate(light, batch_size=2)
    np.testing.assert_allclose(one.mass, two.mass, rtol=1e-5)
    np.testing.assert_allclose(one.scalars['age'].value, two.scalars['age'].value, rtol=1e-5)


def test_eight_orientations_make_estimates_turn_with_the_image(estimator, light):
    eight = estimator.replace(turns=8)
    here = eight.estimate(light)
    turned = eight.estimate(np.rot90(light, 1, axes=(1, 2)))
    mirrored = eight.estimate(light[:, :, ::-1])
    np.testing.assert_allclose(np.rot90(here.mass, 1, axes=(1, 2)), turned.mass, rtol=2e-4)
    np.testing.assert_allclose(here.mass[:, :, ::-1], mirrored.mass, rtol=2e-4)
    for name in QUANTITIES[1:]:
        np.testing.assert_allclose(here.scalars[name].value, turned.scalars[name].value, rtol=1e-4)
    # one orientation does not have this symmetry: the test can fail
    one = estimator.estimate(np.rot90(light, 1, axes=(1, 2)))
    assert np.abs(one.scalars['age'].value / estimator.estimate(light).scalars['age'].value - 1).max() > 1e-4


def test_mean_and_width_of_an_ensemble_are_those_of_the_mixture(light):
    networks = [_network(seed) for seed in (1, 2)]
    raw = [Estimator([network], Scaling(), config=CONFIG).raw(light) for network in networks]
    both = Estimator(networks, Scaling(), config=CONFIG).raw(light)
    means, sds = (np.stack([each[k] for each in raw]) for k in (2, 3))
    np.testing.assert_allclose(both[2], means.mean(axis=0), rtol=1e-5)
    variance = (sds**2 + means**2).mean(axis=0) - means.mean(axis=0) ** 2
    np.testing.assert_allclose(both[3] ** 2, variance, rtol=1e-4)


def test_a_given_distance_is_kept_and_informs_the_rest(estimator, light):
    distance = np.array([20.0, np.nan, 20.0, 50.0, np.nan])
    error = np.array([1.0, np.nan, np.nan, 5.0, np.nan])
    free, told = estimator.estimate(light), estimator.estimate(light, distance=distance, distance_error=error)
    given = np.isfinite(distance)
    interval = told.scalars['log_distance']
    np.testing.assert_allclose(np.exp(interval.value[given]), distance[given])
    np.testing.assert_allclose(interval.half_68[given], [0.05, 0.02, 0.1])
    np.testing.assert_allclose(interval.value[~given], free.scalars['log_distance'].value[~given], rtol=1e-5)
    changed = told.scalars['log_total_mass'].value != free.scalars['log_total_mass'].value
    assert np.all(changed[given])
    np.testing.assert_allclose(told.mass[~given], free.mass[~given], rtol=1e-4)


@pytest.mark.parametrize('change, options, message', [
    (lambda light: light[0], {}, r'light must have the shape \(n, 32, 32\), received \(32, 32\)'),
    (lambda light: light[:, :16], {}, r'received \(5, 16, 32\)'),
    (lambda light: light[:0], {}, r'received \(0, 32, 32\)'),
    (lambda light: light * np.nan, {}, 'must be finite, received 5120'),
    (lambda light: 0.0 * light, {}, 'the flux in a light map must be positive, received 0'),
    (lambda light: light, {'distance': np.full(5, -1.0)}, 'distance must be positive and finite, received'),
    (lambda light: light, {'distance': [1.0]}, r'distance must have the shape \(5,\), received \(1,\)'),
    (lambda light: light, {'distance': np.full(5, 9.0), 'distance_error': np.zeros(5)},
     'distance_error must be positive'),
])
def test_refuses_impossible_input(estimator, light, change, options, message):
    with pytest.raises(ValueError, match=message):
        estimator.estimate(change(light), **options)


def test_input_is_not_modified(estimator, light):
    kept, distance = light.copy(), np.array([20.0] * 5)
    estimator.estimate(light, distance=distance)
    np.testing.assert_array_equal(light, kept)
    np.testing.assert_array_equal(distance, 20.0)


def test_calibration_widens_intervals_by_its_factors(estimator, light):
    factors = {mode: {name: (1.5, 4.0) for name in QUANTITIES} for mode in MODES}
    wide = estimator.replace(calibration=Calibration(factors)).estimate(light)
    plain = estimator.estimate(light)
    for name in QUANTITIES[1:]:
        np.testing.assert_allclose(wide.scalars[name].half_68, 1.5 * plain.scalars[name].half_68)
        np.testing.assert_allclose(wide.scalars[name].half_95, 2.0 * plain.scalars[name].half_95)
        np.testing.assert_allclose(wide.scalars[name].value, plain.scalars[name].value)
    np.testing.assert_allclose(wide.log_mass_error, 1.5 * plain.log_mass_error, rtol=1e-5)


def test_conformal_quantiles_cover_what_they_promise():
    rng = np.random.default_rng(0)
    # neither normal nor of the width that was claimed
    low, high = Calibration.quantiles(np.abs(rng.laplace(0.0, 3.0, 20000)))
    fresh = np.abs(rng.laplace(0.0, 3.0, 200000))
    assert np.mean(fresh <= low) == pytest.approx(0.6827, abs=0.01)
    assert np.mean(fresh <= high) == pytest.approx(0.9545, abs=0.005)


def test_calibration_follows_the_distance_and_stops_at_its_ends(estimator, light):
    factors = {mode: {name: (1.5, 4.0) for name in QUANTITIES} for mode in MODES}
    slopes = {mode: dict.fromkeys(QUANTITIES, 0.5) for mode in MODES}
    flat = estimator.replace(calibration=Calibration(factors)).estimate(light)
    found = np.exp(flat.scalars['log_distance'].value)
    near, far = np.sort(found)[[1, 3]]
    steep = estimator.replace(calibration=Calibration(factors, slopes, (near, far))).estimate(light)
    wider = np.sqrt(np.clip(found, near, far) / 30.0)
    assert np.ptp(wider) > 1e-4
    for name in QUANTITIES[1:]:
        for half in ('half_68', 'half_95'):
            np.testing.assert_allclose(getattr(steep.scalars[name], half),
                                       wider * getattr(flat.scalars[name], half))
    np.testing.assert_allclose(steep.log_mass_error, wider[:, None, None] * flat.log_mass_error, rtol=1e-5)


def test_fitted_calibration_covers_at_every_distance():
    rng = np.random.default_rng(1)

    def draw(number):
        log_distance = np.log(rng.uniform(10.0, 100.0, number))
        # off by more than was claimed, and the more the nearer
        return np.abs(rng.normal(size=number)) * 3.0 * np.exp(log_distance) ** -0.4, log_distance

    misses = {mode: {name: draw(20000) for name in QUANTITIES} for mode in MODES}
    calibration = Calibration.fit(misses, (10.0, 100.0))
    assert calibration.slopes['image']['age'] == pytest.approx(-0.4, abs=0.03)
    scores, log_distance = draw(200000)
    for mode in MODES:
        halves = calibration.at(mode, 'age', log_distance)
        for low, high in ((10, 20), (40, 60), (80, 100)):
            here = (log_distance > np.log(low)) & (log_distance < np.log(high))
            shares = np.mean(scores[here, None] < halves[here], axis=0)
            np.testing.assert_allclose(shares, (0.6827, 0.9545), atol=0.015)
    # one factor for all does not: the test can fail
    flat = Calibration.quantiles(misses['image']['age'][0])
    assert np.mean(scores[log_distance < np.log(20)] < flat[0]) < 0.6


def test_calibration_at_one_distance_has_no_slope():
    rng = np.random.default_rng(2)
    misses = {mode: {name: (np.abs(rng.normal(size=500)), np.full(500, 3.0)) for name in QUANTITIES}
              for mode in MODES}
    assert set(Calibration.fit(misses, (20.0, 20.0)).slopes['image'].values()) == {0.0}


def test_calibration_refuses_too_little_or_impossible():
    with pytest.raises(ValueError, match='at least 100 scores, received 5'):
        Calibration.quantiles(np.ones(5))
    with pytest.raises(ValueError, match='scores of a calibration must be finite, received 1 that are not'):
        Calibration.quantiles(np.append(np.ones(199), np.inf))
    factors = {mode: {name: (2.0, 1.0) for name in QUANTITIES} for mode in MODES}
    with pytest.raises(ValueError, match=r'the factors of log_mass \(image\) must be positive'):
        Calibration(factors)
    slopes = {mode: dict.fromkeys(QUANTITIES, np.nan) for mode in MODES}
    with pytest.raises(ValueError, match=r'the slope of log_mass \(image\) must be finite, received nan'):
        Calibration(slopes=slopes)
    with pytest.raises(ValueError, match='must be positive and in order, received 50.0 and 20.0 kpc'):
        Calibration(distances=(50.0, 20.0))


def test_age_from_its_root_against_a_sample():
    rng = np.random.default_rng(5)
    sample = rng.normal(2.5, 0.3, 1_000_000) ** 2
    mean, sd = age_from_root(np.array([2.5]), np.array([0.3]))
    assert mean[0] == pytest.approx(sample.mean(), rel=1e-3)
    assert sd[0] == pytest.approx(sample.std(), rel=5e-3)


# -- folders --------------------------------------------------------------------------------------


def test_round_trip_through_a_folder(estimator, light, tmp_path):
    estimator.replace(turns=2).save(tmp_path / 'model')
    read = Estimator.load(tmp_path / 'model')
    assert read.about == {'name': 'test'} and read.turns == 2 and read.grid.shape == (32, 32)
    assert read.scaling == estimator.scaling and len(read.networks) == 2
    # weights are kept in half precision: 3 digits
    np.testing.assert_allclose(read.estimate(light).mass, estimator.replace(turns=2).estimate(light).mass,
                               rtol=0.02)
    read.save(tmp_path / 'again')
    np.testing.assert_array_equal(Estimator.load(tmp_path / 'again').estimate(light).mass,
                                  read.estimate(light).mass)
    assert sorted(path.name for path in (tmp_path / 'model').iterdir()) == [
        'model.json', 'network-0.npz', 'network-1.npz']


def test_an_existing_model_is_only_replaced_on_request(estimator, tmp_path):
    estimator.save(tmp_path)
    with pytest.raises(FileExistsError, match='holds a model already'):
        estimator.save(tmp_path)
    estimator.replace(turns=3).save(tmp_path, overwrite=True)
    assert Estimator.load(tmp_path).turns == 3


def test_damaged_folders_are_refused(estimator, tmp_path):
    with pytest.raises(ModelFolderError, match='there is no model.json'):
        Estimator.load(tmp_path)
    estimator.save(tmp_path)
    weights = tmp_path / 'network-1.npz'
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + b'x')
    with pytest.raises(ModelFolderError, match='network-1.npz is damaged: its SHA-256'):
        Estimator.load(tmp_path)
    weights.unlink()
    with pytest.raises(ModelFolderError, match='the weights network-1.npz are missing'):
        Estimator.load(tmp_path)


def test_weights_must_be_weights(estimator, tmp_path):
    path = tmp_path / 'weights.npz'
    path.write_bytes(b'PK no archive')
    with pytest.raises(ModelFolderError, match='weights.npz is damaged'):
        read_weights(path)


def _edit(folder, change):
    card = json.loads((folder / 'model.json').read_text())
    change(card)
    (folder / 'model.json').write_text(json.dumps(card))


@pytest.mark.parametrize('change, message', [
    (lambda card: card.update(format=99), 'model.json, format: must be 1, received 99'),
    (lambda card: card.pop('scaling'), 'model.json, scaling: must be a table, not found'),
    (lambda card: card.update(about=3), 'model.json, about: must be a table, received 3'),
    (lambda card: card.update(grid=3), 'model.json, grid: must be a table, received 3'),
    (lambda card: card.update(sha256={}), 'sha256: must be a table of checksums of weights, received {}'),
    (lambda card: card.update(sha256={'a.npz': 3}), 'sha256, a.npz: must be a text, received 3'),
    (lambda card: card['sha256'].update({'../../evil.h5': '0'}), 'the weights ../../evil.h5 are missing'),
    (lambda card: card['config'].update(widths=[4]), 'weights must be those of a network with'),
    (lambda card: card['config'].update(depth=4), 'holds no model that this version reads'),
    (lambda card: card['scaling'].pop('block'), 'that this version reads: a scaling must have'),
])
def test_cards_that_do_not_fit_are_refused(estimator, tmp_path, change, message):
    estimator.save(tmp_path)
    _edit(tmp_path, change)
    with pytest.raises(ModelFolderError, match=message):
        Estimator.load(tmp_path)


def test_a_card_must_be_json(tmp_path):
    (tmp_path / 'model.json').write_text('{')
    with pytest.raises(ModelFolderError, match='model.json is damaged'):
        read_card(tmp_path)
    (tmp_path / 'model.json').write_text('[]')
    with pytest.raises(ModelFolderError, match=r'model.json: must be a table, received \[\]'):
        read_card(tmp_path)


def test_an_estimator_needs_a_network_and_a_number_of_turns(estimator):
    with pytest.raises(ValueError, match='at least one network, received none'):
        Estimator([], Scaling(), config=CONFIG)
    with pytest.raises(ValueError, match='turns must be a whole number from 1 to 8, received 9'):
        estimator.replace(turns=9)


def test_kinds_of_models_and_what_the_papers_must_be(estimator, tmp_path):
    estimator.save(tmp_path)
    assert 'kind' not in json.loads((tmp_path / 'model.json').read_text())
    _edit(tmp_path, lambda card: card.update(kind='other'))
    with pytest.raises(ModelFolderError, match="kind must be one of cluster, paper, received 'other'"):
        Estimator.load(tmp_path)
    config = {'shape': [96, 96, 1]}
    with pytest.raises(ValueError, match='are two, and look at each map once, received 1 and 1 turns'):
        PaperEstimator([None], PaperScaling(), config=config)
    with pytest.raises(ValueError, match='received 2 and 4 turns'):
        PaperEstimator([None, None], PaperScaling(), config=config, turns=4)
