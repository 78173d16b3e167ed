# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Training: what follows from the seed, going on after an interruption and after the end, checks."""

import dataclasses
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from pidoc.inference.calibration import Calibration
from pidoc.inference.domain import Domain
from pidoc.inference.estimator import Estimator
from pidoc.inference.folder import read_card, write_card
from pidoc.tests.training_helpers import Maps, SMALL
from pidoc.training import ours, Selection, Settings, train, TrainingError


@pytest.fixture(scope='module')
def trained(maps, tmp_path_factory):
    folder = tmp_path_factory.mktemp('model')
    return folder, train(maps, folder, settings=SMALL, name='small', progress=False)


def test_training_lowers_the_loss_and_writes_a_model(trained, maps):
    folder, estimator = trained
    (history,) = estimator.about['history']
    assert len(history['loss']) == len(history['val_loss']) == 3
    assert history['val_loss'][-1] < history['val_loss'][0]
    assert {'val_mass__square_error', 'val_scalars__scalar_likelihood'} <= set(history)
    read = Estimator.load(folder)
    assert read.about['name'] == 'small' and read.about['n_train'] == 294
    light = maps.split('validation').light(slice(0, 4))
    np.testing.assert_allclose(read.estimate(light).scalars['age'].value,
                               estimator.estimate(light).scalars['age'].value, rtol=0.02)
    Domain.from_dict(read.about['domain'])
    # all that the set has, and nothing else
    assert [each.name for each in read.scaling.outputs] == ['total_mass', 'mass_to_light', 'age', 'distance']
    assert [each.name for each in read.scaling.constraints] == ['seeing']
    assert [each.name for each in read.constraints] == ['distance', 'age', 'seeing']
    assert (read.posterior['components'], read.posterior['covariance']) == (3, 'full')
    assert set(read.calibration.factors) == {'image', 'distance', 'age', 'distance+age'}
    assert all(set(each) == {'pixel_mass', 'total_mass', 'mass_to_light', 'age', 'distance'}
               for each in read.calibration.factors.values())


def test_half_precision_learns_as_much_and_leaves_single_precision(trained, maps, tmp_path):
    before = keras.config.dtype_policy().name
    settings = dataclasses.replace(SMALL, precision='bfloat16')
    half = train(maps, tmp_path / 'half', settings=settings, progress=False)
    assert keras.config.dtype_policy().name == before == 'float32'
    (history,), (single,) = half.about['history'], trained[1].about['history']
    assert history['loss'] != single['loss']
    # by chance it may learn more
    assert history['val_loss'][-1] < single['val_loss'][-1] + 0.06
    read = Estimator.load(tmp_path / 'half')
    assert {value.dtype.name for value in read.networks[0].weights.values()} == {'float32'}
    light = maps.split('validation').light(slice(0, 4))
    np.testing.assert_allclose(read.estimate(light).scalars['age'].value,
                               half.estimate(light).scalars['age'].value, rtol=0.02)
    assert 'precision bfloat16' in (tmp_path / 'half' / 'CARD.rst').read_text()


def test_an_interrupted_training_ends_with_the_same_weights(trained, maps, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    real = keras.Model.train_on_batch

    def die(self, *args, **options):
        if int(self.optimizer.iterations) == 30:
            raise Killed
        return real(self, *args, **options)

    # in the middle of the second epoch of 18 batches, after the state of the first was written
    monkeypatch.setattr(keras.Model, 'train_on_batch', die)
    with pytest.raises(Killed):
        train(maps, tmp_path, settings=SMALL, name='small', progress=False)
    assert not (tmp_path / 'model.json').exists()
    assert (tmp_path / 'work' / 'state-0.npz').exists()
    monkeypatch.undo()
    estimator = train(maps, tmp_path, settings=SMALL, name='small', progress=False)
    folder, whole = trained
    for one, two in zip(estimator.networks[0].get_weights(), whole.networks[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (tmp_path / 'model.json').read_bytes() == (folder / 'model.json').read_bytes()


def test_a_complete_training_is_not_done_again(trained, maps, monkeypatch):
    folder, _ = trained
    monkeypatch.setattr(keras.Model, 'train_on_batch', None)
    train(maps, folder, settings=SMALL, name='small', progress=False)


def test_another_training_does_not_go_on_in_the_folder(trained, maps):
    folder, _ = trained
    with pytest.raises(TrainingError, match='is of another training'):
        train(maps, folder, settings=dataclasses.replace(SMALL, seed=1), progress=False)
    with pytest.raises(TrainingError, match='is of another training'):
        train(maps[1:], folder, settings=SMALL, progress=False)


def test_damaged_states_are_refused(trained, maps, tmp_path):
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    state, best = tmp_path / 'work' / 'state-0.npz', tmp_path / 'work' / 'best-0.npz'
    content = best.read_bytes()
    best.write_bytes(content + b' ')
    with pytest.raises(TrainingError, match='best-0.npz does not go with state-0.npz'):
        train(maps, tmp_path, settings=SMALL, progress=False)
    best.write_bytes(content)
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(TrainingError, match='state-0.npz is damaged'):
        train(maps, tmp_path, settings=SMALL, progress=False)


def test_cached_maps_must_be_as_many(maps, tmp_path):
    (tmp_path / 'work').mkdir()
    np.save(tmp_path / 'work' / 'train-light.npy', np.zeros((3, 8, 8), np.float32))
    with pytest.raises(TrainingError, match='must hold 294 maps, received 3'):
        train(maps, tmp_path, settings=SMALL, progress=False)


IMPATIENT = Settings(members=2, epochs=6, batch_size=64, widths=(4, 4), patience=1, learning_rate=0.05)


@pytest.fixture(scope='module')
def impatient(maps, tmp_path_factory):
    folder = tmp_path_factory.mktemp('impatient')
    return folder, train(maps, folder, settings=IMPATIENT, progress=False)


def test_members_differ_and_patience_ends_a_training(impatient):
    estimator = impatient[1]
    one, two = (network.get_weights()[0] for network in estimator.networks)
    assert np.abs(one - two).max() > 0.01
    for history in estimator.about['history']:
        losses = history['val_likelihood']
        assert len(losses) == 6 or losses[-1] > min(losses)


def test_a_loss_that_is_not_finite_ends_the_training(maps, tmp_path, monkeypatch):
    monkeypatch.setattr(ours, '_square_error', lambda true, output: keras.ops.mean(output) * np.nan)
    monkeypatch.setattr(ours.GaussianNLL, 'call',
                        lambda self, true, output: keras.ops.mean(output, axis=-1) * np.nan)
    with pytest.raises(TrainingError, match='the validation loss of epoch 1 must be finite, received nan'):
        train(maps, tmp_path, settings=SMALL, progress=False)


def test_too_few_maps_for_a_domain_are_refused_at_once(tmp_path):
    # three tenths of these are for the validation
    few = Maps.make(100, 1)
    received = len(few.split('validation'))
    assert received < 40 <= len(few.split('train'))
    with pytest.raises(ValueError, match=f'validation must have at least 40 maps, received {received}'):
        train(few, tmp_path / 'model', settings=SMALL, progress=False)
    assert not (tmp_path / 'model').exists()


def test_too_few_maps_for_a_batch(maps, tmp_path):
    settings = Settings(epochs=1, batch_size=1000, widths=(4, 8))
    with pytest.raises(ValueError, match='must hold a batch of 1000 maps, received 294'):
        train(maps, tmp_path, settings=settings, progress=False)


def test_too_few_maps_for_a_calibration_are_refused_at_once(tmp_path):
    few = Maps.make(300, 1)
    with pytest.raises(ValueError, match='at least 100 maps in the validation split, received 90'):
        train(few, tmp_path / 'model', settings=SMALL, progress=False)
    assert not (tmp_path / 'model').exists()


def test_maps_without_mass_are_refused_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.Model, 'train_on_batch', None)
    empty, damaged = Maps.make(420, 1), Maps.make(420, 1)
    empty._mass = 1e-9 * empty._mass
    with pytest.raises(ValueError, match='100 pixels above 0.01 Msun in the validation split, received 0'):
        train(empty, tmp_path / 'empty', settings=SMALL, progress=False)
    # where nearly all have it the others are left out
    damaged.table['luminosity'][-30:] = np.nan
    with pytest.raises(ValueError, match='in all maps of the validation split, received 30 that are not'):
        train(damaged, tmp_path / 'damaged', settings=SMALL, progress=False)
    # at birth there is no logarithm of the age
    born = Maps.make(420, 1)
    born.table['age'][0] *= 0.0
    with pytest.raises(ValueError, match='in all maps of the train split, received 1 that are not'):
        train(born, tmp_path / 'born', settings=SMALL, progress=False)


def test_what_is_no_text_and_a_folder_that_is_none_are_refused_at_once(maps, tmp_path):
    with pytest.raises(TypeError, match='description must be a text, received 5'):
        train(maps, tmp_path / 'model', settings=SMALL, description=5, progress=False)
    with pytest.raises(ValueError, match=r"name must have no control characters, received 'a\\x1bc'"):
        train(maps, tmp_path / 'model', settings=SMALL, name='a\x1bc', progress=False)
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match='file must be a folder that can be written in, received: '):
        train(maps, tmp_path / 'file', settings=SMALL, progress=False)


def test_a_selection_without_maps_is_refused(maps, tmp_path):
    settings = dataclasses.replace(SMALL, train_maps=Selection(simulations=['none']))
    with pytest.raises(ValueError, match='train_maps must choose maps of the train split, received Sel'):
        train(maps, tmp_path, settings=settings, progress=False)


def test_what_a_set_does_not_have_cannot_be_learned(maps, tmp_path):
    for changes, name in (({'outputs': ('age', 'metallicity')}, 'metallicity'),
                          ({'constraints': ('distance', 'sky_error')}, 'sky_error')):
        with pytest.raises(ValueError, match=f'the training set must have {name} of all its maps, or outputs '
                                             'and constraints must leave them out, received a set without'):
            train(maps, tmp_path / name, settings=dataclasses.replace(SMALL, **changes), progress=False)


# -- going on after the end -----------------------------------------------------------------------


LONGER = dataclasses.replace(SMALL, epochs=5, members=2)


@pytest.fixture(scope='module')
def continued(trained, maps, tmp_path_factory):
    """A training that goes on, whose model could not be written, and the learning rates of its steps."""
    folder = tmp_path_factory.mktemp('on')
    shutil.copytree(trained[0], folder, dirs_exist_ok=True)
    rates, real = [], keras.Model.train_on_batch

    def noted(self, *args, **options):
        rates.append(float(self.optimizer.learning_rate))
        return real(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, 'train_on_batch', noted)
        patch.setattr(Path, 'replace', None)
        with pytest.raises(TypeError):
            train(maps, folder, settings=LONGER, name='small', progress=False)
    return folder, rates


def test_a_model_survives_while_another_is_written(trained, continued, maps):
    light = maps.light(slice(0, 2))
    np.testing.assert_array_equal(Estimator.load(continued[0]).estimate(light).mass,
                                  Estimator.load(trained[0]).estimate(light).mass)


def test_the_rate_of_a_training_that_goes_on_is_that_of_a_longer_one(continued):
    # two epochs of 18 batches for the first member, five for the second
    rates = continued[1]
    assert len(rates) == 7 * 18
    # half of a wave that rises for a tenth of the 90 steps
    expected = 0.5 * SMALL.learning_rate * (1.0 + np.cos(np.pi * (54 - 9) / 81))
    assert rates[0] == pytest.approx(expected, rel=0.05) and rates[35] < 0.01 * SMALL.learning_rate


def test_a_finished_training_goes_on_with_more_epochs(trained, continued, maps, tmp_path, monkeypatch):
    shutil.copytree(continued[0], tmp_path / 'on')
    monkeypatch.setattr(keras.Model, 'train_on_batch', None)
    estimator = train(maps, tmp_path / 'on', settings=LONGER, name='small', progress=False)
    first, second = estimator.about['history']
    assert first['loss'][:3] == trained[1].about['history'][0]['loss']
    assert len(first['loss']) == len(second['loss']) == 5
    assert estimator.about['plans'] == [[[0, 3], [3, 5]], [[0, 5]]]
    assert estimator.about['settings']['epochs'] == 5
    # the model was written anew, and nothing of the old one is left
    read = Estimator.load(tmp_path / 'on')
    assert len(read.networks) == 2
    names = {path.name for path in (tmp_path / 'on').iterdir()}
    assert names == {'CARD.rst', 'work', 'model.json', *read_card(tmp_path / 'on')['sha256']}
    text = 'Network 1 was to be trained for 3 epochs, and from epoch 4 on for 5.'
    assert text in (tmp_path / 'on' / 'CARD.rst').read_text()
    with pytest.raises(TrainingError, match='of 5 epochs: epochs must be at least as many, received 3'):
        train(maps, tmp_path / 'on', settings=SMALL, progress=False)


def test_more_patience_goes_on_with_what_had_ended(impatient, maps, tmp_path):
    shutil.copytree(impatient[0], tmp_path, dirs_exist_ok=True)
    before = impatient[1].about['history'][0]['loss']
    patient = dataclasses.replace(IMPATIENT, members=1, patience=6)
    history = train(maps, tmp_path, settings=patient, progress=False).about['history'][0]['loss']
    assert len(history) == 6 and history[:len(before)] == before


# -- from the weights of another model --------------------------------------------------------------


def test_a_training_begins_with_the_weights_of_a_model(trained, maps, tmp_path):
    """Steps of no size leave them, and with them all that the model says before its calibration."""
    settings = dataclasses.replace(SMALL, epochs=1, learning_rate=1e-12, weight_decay=0.0, start=trained[0])
    same = train(maps, tmp_path / 'same', settings=settings, progress=False)
    assert same.scaling == trained[1].scaling and same.config == trained[1].config
    assert same.about['settings']['start'].startswith('small (')
    light = maps.split('validation').light(slice(0, 20))
    before, after = (each.replace(calibration=Calibration()).estimate(light, known={'age': np.full(20, 9.0)})
                     for each in (Estimator.load(trained[0]), same))
    np.testing.assert_allclose(after.mass, before.mass, rtol=1e-3)
    for name, scalar in before.scalars.items():
        np.testing.assert_allclose(after.scalars[name].value, scalar.value, rtol=1e-3)
    more = train(maps, tmp_path / 'more', settings=dataclasses.replace(settings, learning_rate=1e-3),
                 progress=False)
    assert np.abs(more.estimate(light).mass / before.mass - 1.0).max() > 0.01


@pytest.mark.parametrize(('changes', 'message'), [
    ({'widths': (2, 2)}, r'widths must be that of the model .*, \(.*\), received \(2, 2\)'),
    ({'components': 2}, 'components must be that of the model .*, 3, received 2'),
    ({'outputs': ('age',)}, r"outputs must be that of the model .*, None, received \('age',\)"),
])
def test_networks_of_other_settings_cannot_begin_like_this(changes, message, trained, maps, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(maps, tmp_path, settings=dataclasses.replace(SMALL, start=trained[0], **changes),
              progress=False)


def test_maps_of_another_kind_cannot_begin_with_these_weights(trained, maps, tmp_path, monkeypatch):
    settings = dataclasses.replace(SMALL, start=trained[0])
    with monkeypatch.context() as patch:
        patch.setattr(maps, 'grid', dataclasses.replace(maps.grid, smoothing=2.0))
        with pytest.raises(ValueError, match='the maps must be those of the model .* arcsec .*, received'):
            settings.completed(maps)
    with monkeypatch.context() as patch:
        patch.setattr(ours, '_complete', lambda split, name: name != 'age')
        with pytest.raises(ValueError, match='the model that the training starts from uses, received a set '
                                             'without age'):
            train(maps, tmp_path / 'a', settings=settings, progress=False)
    shutil.copytree(trained[0], tmp_path / 'nothing')
    card = read_card(trained[0])
    del card['about']['settings']
    write_card(tmp_path / 'nothing', card)
    with pytest.raises(ValueError, match='start must be a model of our network with its settings, received'):
        train(maps, tmp_path / 'b', settings=dataclasses.replace(SMALL, start=tmp_path / 'nothing'),
              progress=False)


# -- variants -------------------------------------------------------------------------------------


@pytest.mark.parametrize('changes', [
    {'channels': ('light', 'sharp'), 'compression': 'logarithm', 'orientations': 1},
    {'distance_scale': 'linear', 'loss_weights': (0.0, 1.0), 'given': 1.0},
    {'outputs': ('distance', 'total_mass'), 'constraints': ('distance',), 'components': 1,
     'covariance': 'diagonal'},
    {'pooled': True, 'train_maps': Selection(simulations=['odd'], ages=[(2.0, 14.0)], number=100)},
])
def test_variants_are_settings_and_the_folder_knows_what_predictions_need(changes, maps, tmp_path):
    settings = dataclasses.replace(SMALL, epochs=2, **changes)
    estimator = train(maps, tmp_path, settings=settings, progress=False)
    read = Estimator.load(tmp_path)
    assert read.scaling == estimator.scaling and read.grid == estimator.grid
    validation_maps = maps.split('validation')
    names = settings.channels
    light = np.stack([getattr(validation_maps, name)(slice(0, 50)) for name in names], axis=-1)
    light = light[..., 0] if len(names) == 1 else light
    truth = validation_maps.table['distance'][:50].value
    found, own = read.estimate(light, known={'distance': truth}), read.estimate(light)
    assert np.all(np.isfinite(found.mass)) and found.mass.shape == (50, 32, 32)
    assert list(found.scalars) == list(changes.get('outputs', [each.name for each in read.scaling.outputs]))
    for each in (found, own):
        *_, low, high = each.scalars['distance'].ends
        assert np.mean((truth > low) & (truth < high)) > 0.8
    assert np.all(found.scalars['distance'].value != own.scalars['distance'].value)
    assert {each.name: each.scale for each in read.outputs}['distance'] == settings.distance_scale
    # what is not given is not in tension with anything
    assert np.all(np.isnan(own.tension['distance'])) and np.all(np.isfinite(found.tension['distance']))
    with pytest.raises(ValueError, match='light must have the shape'):
        read.estimate(light[:, :-1])
    assert read.about['n_train'] == (100 if 'train_maps' in changes else 294)
