# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Estimator: symmetries, what is known, calibration, model folders."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pidoc.inference.calibration import Calibration, PIXEL_MASS
from pidoc.inference.estimator import Estimator, PaperEstimator
from pidoc.inference.folder import ModelFolderError, write_card
from pidoc.networks.cluster import cluster_network
from pidoc.networks.mixture import Layout
from pidoc.networks.scaling import PaperScaling, Scaling
from pidoc.networks.variables import CONSTRAINTS, OUTPUTS

NAMES = 'total_mass', 'mass_to_light', 'age', 'distance'
# ages of some Gyr, far from their limit
SCALING = Scaling(constraints=tuple(CONSTRAINTS[name] for name in ('distance', 'age', 'seeing')),
                  outputs=tuple(replace(OUTPUTS[name], mean=-1.0, sd=0.2) if name == 'age' else OUTPUTS[name]
                                for name in NAMES))
POSTERIOR = {'components': 2, 'covariance': 'full'}
CONFIG = {'shape': [8, 8, 1], 'widths': [4, 8], 'dense': 16, 'known': SCALING.code_width,
          'scalars': Layout(4, **POSTERIOR).size}


def _network(seed):
    network = cluster_network(**CONFIG, seed=seed)
    rng = np.random.default_rng(seed)
    # the heads begin at nearly zero: give them something to say
    for name in ('mass', 'scalars'):
        layer = network.get_layer(name)
        layer.set_weights([rng.normal(0.0, 0.1, value.shape) for value in layer.get_weights()])
    return network


def _estimator(networks, **options):
    return Estimator(networks, SCALING, config=CONFIG, posterior=POSTERIOR, **options)


@pytest.fixture(scope='module')
def estimator():
    return _estimator([_network(1), _network(2)], about={'name': 'test'})


@pytest.fixture(scope='module')
def light():
    rng = np.random.default_rng(3)
    return 10.0 ** rng.normal(-5.0, 0.5, (5, 32, 32))


def test_estimates_have_the_promised_shapes_and_are_sane(estimator, light):
    estimates = estimator.estimate(light)
    assert len(estimates) == len(estimates.posterior) == 5
    assert estimates.mass.shape == estimates.log_mass_error.shape == (5, 32, 32)
    assert np.all(estimates.mass >= 0.0) and np.all(estimates.log_mass_error > 0.0)
    assert tuple(estimates.scalars) == estimates.posterior.names == NAMES
    # two networks, two components each
    assert estimates.posterior.weights.shape == (5, 4)
    np.testing.assert_allclose(estimates.posterior.weights.sum(axis=1), 1.0)
    for interval in estimates.scalars.values():
        low, high, lowest, highest = interval.ends
        assert interval.value.shape == (5,)
        assert np.all((lowest < low) & (low < interval.value) & (interval.value < high) & (high < highest))


def test_batches_do_not_change_the_estimates(estimator, light):
    one, two = estimator.estimate(light), estimator.estimate(light, batch_size=2)
    np.testing.assert_allclose(one.mass, two.mass, rtol=1e-5)
    np.testing.assert_allclose(one.scalars['age'].high_95, two.scalars['age'].high_95, rtol=1e-5)


def test_eight_orientations_make_estimates_turn_with_the_image(estimator, light):
    eight = estimator.replace(turns=8)
    here = eight.estimate(light)
    turned = eight.estimate(np.rot90(light, 1, axes=(1, 2)))
    mirrored = eight.estimate(light[:, :, ::-1])
    np.testing.assert_allclose(np.rot90(here.mass, 1, axes=(1, 2)), turned.mass, rtol=2e-4)
    np.testing.assert_allclose(here.mass[:, :, ::-1], mirrored.mass, rtol=2e-4)
    for name in NAMES:
        np.testing.assert_allclose(here.scalars[name].value, turned.scalars[name].value, rtol=1e-4)
        np.testing.assert_allclose(here.scalars[name].low_95, mirrored.scalars[name].low_95, rtol=1e-4)
    # one orientation does not have this symmetry: the test can fail
    one = estimator.estimate(np.rot90(light, 1, axes=(1, 2)))
    assert np.abs(one.scalars['age'].value / estimator.estimate(light).scalars['age'].value - 1).max() > 1e-4


def test_the_encoding_turns_with_nothing_and_is_that_of_the_first_network(estimator, light, tmp_path):
    eight = estimator.replace(turns=8)
    here = eight.encode(light[..., np.newaxis])
    assert here.shape == (5, 4 + 8) and here.dtype == np.float32 and np.all(here >= 0.0)
    np.testing.assert_allclose(eight.encode(np.rot90(light, 1, axes=(1, 2))), here, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(_estimator([_network(1)], turns=8).encode(light), here, rtol=1e-5, atol=1e-6)
    assert np.abs(_estimator([_network(2)], turns=8).encode(light) - here).max() > 0.01
    # estimates have it, whatever is known, and whatever the batches; so has the model that is read again
    known = eight.estimate(light, known={'distance': np.full(5, 20.0)}, batch_size=2)
    np.testing.assert_allclose(known.encoding, here, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(eight.encode(light, batch_size=2), here, rtol=1e-4, atol=1e-6)
    eight.save(tmp_path / 'model')
    np.testing.assert_allclose(Estimator.load(tmp_path / 'model').encode(light), here, rtol=5e-3, atol=1e-4)
    with pytest.raises(ValueError, match='the flux in a light map must be positive'):
        eight.encode(-light)


def test_the_encoding_of_other_pixels_is_that_of_the_map_as_the_network_sees_it(estimator, light):
    zoomed = estimator.estimate(light, pixel_scale=np.full(5, 0.5)).encoding
    np.testing.assert_allclose(zoomed, estimator.encode(light / 4.0), rtol=1e-5, atol=1e-6)


def test_the_posterior_of_an_ensemble_is_the_even_mixture(light):
    networks = [_network(seed) for seed in (1, 2)]
    first, second = (_estimator([network]).estimate(light).posterior for network in networks)
    both = _estimator(networks).estimate(light).posterior
    np.testing.assert_allclose(both.weights, np.concatenate([first.weights, second.weights], axis=1) / 2)
    np.testing.assert_allclose(both.means, np.concatenate([first.means, second.means], axis=1), rtol=1e-5)
    np.testing.assert_allclose(both.factors, np.concatenate([first.factors, second.factors], axis=1),
                               rtol=1e-4, atol=1e-6)


def test_what_is_known_of_one_map_does_not_change_another(estimator, light):
    distance = np.array([20.0, np.nan, 20.0, 50.0, np.nan])
    free = estimator.estimate(light)
    known = estimator.estimate(light, known={'distance': distance})
    given = np.isfinite(distance)
    changed = known.scalars['total_mass'].value != free.scalars['total_mass'].value
    np.testing.assert_array_equal(changed, given)
    np.testing.assert_allclose(known.mass[~given], free.mass[~given], rtol=1e-4)
    # an error that is not given is the default one
    same = estimator.estimate(light, known={'distance': distance, 'distance_error': 0.02 * distance})
    np.testing.assert_allclose(same.mass, known.mass, rtol=1e-5)
    other = estimator.estimate(light, known={'distance': distance, 'distance_error': 0.2 * distance})
    assert np.abs(other.mass[given] / known.mass[given] - 1.0).max() > 1e-4


def test_tension_is_the_distance_from_what_the_rest_says(estimator, light):
    known = {'distance': np.full(5, 20.0), 'distance_error': np.full(5, 1.0), 'age': np.full(5, 12.0)}
    tension = estimator.estimate(light, known=known).tension
    # what the image and the age say of the distance, and its own error
    found = estimator.estimate(light, known={'age': known['age']}).scalars['distance']
    off = np.log(20.0 / found.value)
    width = np.where(off > 0.0, np.log(found.high_68 / found.value), np.log(found.value / found.low_68))
    np.testing.assert_allclose(tension['distance'], off / np.hypot(width, 0.05), rtol=1e-4)
    assert np.all(np.isfinite(tension['age'])) and set(tension) == {'distance', 'age'}
    assert np.all(np.isnan(estimator.estimate(light).tension['distance']))


def test_a_posterior_may_be_conditioned_in_closed_form(light):
    """The network sees the seeing; distance and age are measurements of its posterior."""
    scaling = Scaling(constraints=(CONSTRAINTS['seeing'],))
    config = {**CONFIG, 'known': scaling.code_width}
    network = cluster_network(**config, seed=3)
    rng = np.random.default_rng(3)
    network.get_layer('scalars').set_weights([rng.normal(0.0, 0.1, value.shape) for value in
                                              network.get_layer('scalars').get_weights()])
    measured = [CONSTRAINTS[name].to_dict() for name in ('distance', 'age')]
    closed = Estimator([network], scaling, config=config, posterior={**POSTERIOR, 'constraints': measured})
    assert [each.name for each in closed.constraints] == ['distance', 'age', 'seeing']
    free = closed.estimate(light)
    far = 2.0 * free.scalars['distance'].value
    known = {'distance': far, 'distance_error': 0.01 * far}
    found = closed.estimate(light, known=known)
    np.testing.assert_allclose(found.scalars['distance'].value, far, rtol=0.01)
    width = np.log(found.scalars['distance'].high_68 / found.scalars['distance'].low_68)
    assert np.all(width < 0.021)
    # the map has the mass of the posterior
    np.testing.assert_allclose(found.mass.sum(axis=(1, 2)), found.scalars['total_mass'].value, rtol=1e-3)
    np.testing.assert_allclose(found.mass / found.mass.sum(axis=(1, 2), keepdims=True),
                               free.mass / free.mass.sum(axis=(1, 2), keepdims=True), rtol=0.05)
    off = np.log(far / free.scalars['distance'].value)
    spread = np.log(free.scalars['distance'].high_68 / free.scalars['distance'].value)
    np.testing.assert_allclose(found.tension['distance'], off / np.hypot(spread, 0.01), rtol=1e-3)
    assert np.all(np.isnan(found.tension['age']))


def _estimator_of_cluster():
    return _with_outputs('total_mass', 'cluster_mass', 'distance')


def _with_radius():
    """An estimator whose posterior has a half-light radius, which is measured as an angle."""
    return _with_outputs('total_mass', 'half_light_radius', 'distance',
                         measured=('distance', 'effective_radius'))


def _with_outputs(*names, measured=()):
    outputs = tuple(OUTPUTS[name] for name in names)
    scaling = Scaling(constraints=(CONSTRAINTS['seeing'],), outputs=outputs)
    config = {**CONFIG, 'known': scaling.code_width, 'scalars': Layout(3, **POSTERIOR).size}
    network = cluster_network(**config, seed=4)
    rng = np.random.default_rng(4)
    network.get_layer('scalars').set_weights([rng.normal(0.0, 0.1, value.shape) for value in
                                              network.get_layer('scalars').get_weights()])
    constraints = [CONSTRAINTS[name].to_dict() for name in measured]
    return Estimator([network], scaling, config=config, posterior={**POSTERIOR, 'constraints': constraints})


def test_an_angle_is_a_length_at_the_given_distance(light):
    estimator, number = _with_radius(), np.full(5, 1.0)
    known = {'distance': 10.0 * number, 'distance_error': 0.005 * 10.0 * number}
    free = estimator.estimate(light, known=known)
    length = 1.2 * free.scalars['half_light_radius'].value
    angle = np.degrees(length / 1e4) * 3600.0
    found = estimator.estimate(light, known=known | {'effective_radius': angle,
                                                     'effective_radius_error': 0.02 * angle})
    np.testing.assert_allclose(found.scalars['half_light_radius'].value, length, rtol=0.01)
    # how far the angle is from that of the free posterior, in its standard deviations
    spread = np.log(free.scalars['half_light_radius'].high_68 / free.scalars['half_light_radius'].value)
    expected = np.log(1.2) / np.hypot(np.hypot(spread, 0.005), 0.02)
    np.testing.assert_allclose(found.tension['effective_radius'], expected, rtol=0.05)
    assert np.all(np.isnan(free.tension['effective_radius']))


def test_an_angle_in_other_pixels_is_at_another_distance(light):
    estimator, zoom = _with_radius(), 2.5
    angle = np.array([3.0, np.nan, 20.0, 50.0, 10.0])
    here = estimator.estimate(light, known={'effective_radius': angle})
    there = estimator.estimate(light * zoom**2, pixel_scale=0.25 * zoom,
                               known={'effective_radius': zoom * angle})
    for name, factor in (('total_mass', 1.0), ('half_light_radius', 1.0), ('distance', 1.0 / zoom)):
        np.testing.assert_allclose(there.scalars[name].value, here.scalars[name].value * factor, rtol=1e-4)
    np.testing.assert_allclose(there.tension['effective_radius'], here.tension['effective_radius'], rtol=1e-4)


def test_a_constraint_needs_its_scalars():
    measured = {**POSTERIOR, 'constraints': [CONSTRAINTS['effective_radius'].to_dict()]}
    with pytest.raises(ValueError, match='effective_radius needs scalars .* none .* half_light_radius'):
        Estimator([_network(1)], SCALING, config=CONFIG, posterior=measured)


@pytest.mark.parametrize('change, known, message', [
    (lambda light: light[0], {}, r'light must have the shape \(n, 32, 32\), received \(32, 32\)'),
    (lambda light: light[:, :16], {}, r'received \(5, 16, 32, 1\)'),
    (lambda light: light[:0], {}, r'received \(0, 32, 32, 1\)'),
    (lambda light: light * np.nan, {}, 'must be finite, received 5120'),
    (lambda light: 0.0 * light, {}, 'the flux in a light map must be positive, received 0'),
    (lambda light: light, {'distance': np.full(5, -1.0)}, 'distance must be positive and finite, .* -1'),
    (lambda light: light, {'distance': [1.0]}, r'distance must have the shape \(5,\), received \(1,\)'),
    (lambda light: light, {'distance': np.full(5, 9.0), 'distance_error': np.zeros(5)},
     'distance_error must be positive'),
    (lambda light: light, {'age_error': np.ones(5)}, 'age_error needs age, received it alone'),
    (lambda light: light, {'age': np.full(5, np.inf)}, 'age must be finite, received inf Gyr'),
    (lambda light: light, {'colour': np.ones(5)}, "be one of distance, distance_error, age, .* 'colour'"),
])
def test_refuses_impossible_input(estimator, light, change, known, message):
    with pytest.raises(ValueError, match=message):
        estimator.estimate(change(light), known=known)


@pytest.mark.parametrize('zoom', [0.4, 4.0, np.array([1.0, 0.4, 2.0, 4.0, 1.0])])
def test_other_pixels_are_another_distance(estimator, light, zoom):
    """Light per pixel times z^2, angles times z and distances over z: the same cluster (`ZOOM`)."""
    zoom = np.broadcast_to(zoom, 5)
    distance = np.array([20.0, np.nan, 20.0, 50.0, np.nan])
    known = {'distance': distance, 'distance_error': 0.1 * distance, 'age': np.full(5, 9.0),
             'seeing': np.full(5, 0.9)}
    here = estimator.estimate(light, known=known)
    there = estimator.estimate(
        light * (zoom**2)[:, np.newaxis, np.newaxis], pixel_scale=0.25 * zoom,
        known=known | {'distance': distance / zoom, 'distance_error': 0.1 * distance / zoom,
                       'seeing': 0.9 * zoom})
    np.testing.assert_allclose(there.mass, here.mass, rtol=2e-5)
    np.testing.assert_allclose(there.tension['age'], here.tension['age'], rtol=1e-4)
    for name in NAMES:
        factor = 1.0 / zoom if name == 'distance' else 1.0
        for one, other in zip((there.scalars[name].value, *there.scalars[name].ends),
                              (here.scalars[name].value, *here.scalars[name].ends), strict=True):
            np.testing.assert_allclose(one, other * factor, rtol=1e-4)
        np.testing.assert_allclose(there.posterior.sample(20)[name],
                                   here.posterior.sample(20)[name] * np.reshape(factor, (-1, 1)), rtol=1e-3)


@pytest.mark.parametrize('scale', [0.0, -1.0, np.nan, np.inf])
def test_impossible_pixels(estimator, light, scale):
    with pytest.raises(ValueError, match=f'pixel_scale must be positive and finite, received {scale}'):
        estimator.estimate(light, pixel_scale=scale)


def test_input_is_not_modified(estimator, light):
    kept, distance = light.copy(), np.array([20.0] * 5)
    estimator.estimate(light, known={'distance': distance})
    np.testing.assert_array_equal(light, kept)
    np.testing.assert_array_equal(distance, 20.0)


def test_calibration_is_that_of_what_is_known(estimator, light):
    factors = {'distance': {name: (1.5, 4.0) for name in (*NAMES, PIXEL_MASS)}}
    calibrated = estimator.replace(calibration=Calibration(factors))
    known = {'distance': np.array([20.0, np.nan, 20.0, 50.0, np.nan])}
    wide, plain = calibrated.estimate(light, known=known), estimator.estimate(light, known=known)
    given = np.isfinite(known['distance'])
    np.testing.assert_allclose(wide.log_mass_error[given], 1.5 * plain.log_mass_error[given], rtol=1e-5)
    np.testing.assert_allclose(wide.log_mass_error[~given], plain.log_mass_error[~given], rtol=1e-5)
    for name in NAMES:
        one, other = wide.scalars[name], plain.scalars[name]
        np.testing.assert_allclose(one.value, other.value)
        assert np.all(one.high_68[given] > other.high_68[given])
        # 1.5 and 4 are beyond 1 and 2
        assert np.all(one.low_95[given] < other.low_95[given])
        np.testing.assert_allclose(one.low_95[~given], other.low_95[~given])


def test_clusters_of_low_mass_have_wider_intervals(light, tmp_path):
    estimator = _estimator_of_cluster()
    free = estimator.estimate(light)
    mass = free.scalars['cluster_mass'].value
    wide = Calibration({}, {'image': {'cluster_mass': (3.0, 5.0)}}, float(np.sort(mass)[1:3].mean()))
    estimator.replace(calibration=wide).save(tmp_path)
    found = Estimator.load(tmp_path).estimate(light)
    low = mass < wide.limit
    assert np.count_nonzero(low) == 2
    its, before = found.scalars['cluster_mass'], free.scalars['cluster_mass']
    np.testing.assert_allclose(its.value, before.value, rtol=1e-3)
    width, free_width = (np.log(each.high_68 / each.low_68) for each in (its, before))
    assert np.all(width[low] > 2.0 * free_width[low])
    np.testing.assert_allclose(width[~low], free_width[~low], rtol=1e-2)
    np.testing.assert_allclose(found.scalars['distance'].ends, free.scalars['distance'].ends, rtol=1e-2)


def test_normal_scores_of_draws_are_standard_normal(estimator, light):
    one = np.repeat(light[:1], 400, axis=0)
    draws = estimator.estimate(light[:1]).posterior.sample(400, seed=1)
    truth = {name: values[0] for name, values in draws.items()}
    mass = np.repeat(np.repeat(one[:1, ::4, ::4], 400, axis=0), 1, axis=1) * 1e5
    (scores,), _ = estimator.normal_scores(one[..., np.newaxis], mass, truth, known=[{}])
    assert set(scores) == {*NAMES, PIXEL_MASS}
    for name in NAMES:
        assert np.mean(scores[name]) == pytest.approx(0.0, abs=0.15)
        assert np.std(scores[name]) == pytest.approx(1.0, abs=0.12)


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


def _edit(folder, change):
    card = json.loads((folder / 'model.json').read_text())
    change(card)
    write_card(folder, card)


@pytest.mark.parametrize('change, message', [
    (lambda card: card.update(format=99), 'model.json, format: must be 2, received 99'),
    (lambda card: card.pop('scaling'), 'model.json, scaling: must be a table, not found'),
    (lambda card: card.update(about=3), 'model.json, about: must be a table, received 3'),
    (lambda card: card.update(grid=3), 'model.json, grid: must be a table, received 3'),
    (lambda card: card.update(sha256={}), 'sha256: must be a table of checksums of weights, received {}'),
    (lambda card: card.update(sha256={'a.npz': 3}), 'sha256, a.npz: must be a text, received 3'),
    (lambda card: card['sha256'].update({'../../evil.h5': '0'}), 'the weights ../../evil.h5 are missing'),
    (lambda card: card['config'].update(widths=[4]), 'weights must be those of a network with'),
    (lambda card: card['config'].update(dense=10**6),
     "weights must be those of a network with .*'dense': 1000000"),
    (lambda card: card['config'].update(shape=[10**6, 10**6, 1]),
     'shape must be of numbers up to 1024, received 1000000'),
    (lambda card: card['posterior'].update(components=1e9),
     'components must be up to 100, received 1000000000'),
    (lambda card: card['scaling'].update(outputs=[{}] * 101),
     'outputs must have at most 100 entries, received 101'),
    (lambda card: card['config'].update(depth=4), 'holds no model that this version reads'),
    (lambda card: card['scaling'].pop('block'), 'that this version reads: a scaling must have'),
    (lambda card: card['posterior'].update(covariance='round'), "covariance must be one of diagonal, full, "
     "received 'round'"),
    (lambda card: card['scaling']['outputs'][0].update(scale='x'), 'the scale of total_mass must be one of'),
])
def test_cards_that_do_not_fit_are_refused(estimator, tmp_path, change, message):
    estimator.save(tmp_path)
    _edit(tmp_path, change)
    with pytest.raises(ModelFolderError, match=message):
        Estimator.load(tmp_path)


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
    with pytest.raises(ValueError, match='must be two, with one orientation .turns., received 1 and 1 turns'):
        PaperEstimator([None], PaperScaling(), config=config)
    with pytest.raises(ValueError, match='received 2 and 4 turns'):
        PaperEstimator([None, None], PaperScaling(), config=config, turns=4)


def test_a_curvature_needs_what_it_is_a_function_of():
    curvature = {'ages': [1.0, 10.0], 'metallicities': [-2.0, 0.0],
                 'log_mass_to_light': [[0.0, 0.1], [1.0, 1.2]]}
    with pytest.raises(ValueError, match='needs the outputs age, .* received none of metallicity'):
        Estimator([_network(1)], SCALING, config=CONFIG, posterior=POSTERIOR | {'curvature': curvature})
