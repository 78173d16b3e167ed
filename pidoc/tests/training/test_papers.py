# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Trainings of the networks of the paper."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

from pidoc.inference.domain import Domain
from pidoc.inference.estimator import Estimator, PaperEstimator
from pidoc.tests.training_helpers import Maps, PAPER
from pidoc.training import PaperSettings, train, TrainingError


@pytest.fixture(scope='module')
def papers(few, slim, tmp_path_factory):
    folder = tmp_path_factory.mktemp('paper')
    return folder, train(few, folder, settings=PAPER, name='chardin', progress=False)


def test_the_defaults_are_those_of_the_paper():
    settings = PaperSettings()
    assert settings.learning_rates == (10**-2.5, 1e-4)
    assert settings.vgg == 'imagenet' and settings.pooled and settings.epochs == (100, 200)


def test_both_networks_of_the_paper_learn(papers):
    mass, other = papers[1].about['history']
    for history in (mass, other):
        assert set(history) == {prefix + name for name in ('loss', 'square_error', 'r_squared')
                                for prefix in ('', 'val_')}
        assert history['loss'][-1] < history['loss'][0]
    # perceptual, and mean square
    assert mass['loss'] != mass['square_error']
    np.testing.assert_allclose(other['loss'], other['square_error'], rtol=1e-5)
    # Eq. 1: standardised numbers have a variance near 1
    assert other['val_r_squared'][-1] == pytest.approx(1.0 - other['val_square_error'][-1], abs=0.3)


def test_the_folder_of_the_paper_loads_and_predicts(papers, few):
    folder, estimator = papers
    read = Estimator.load(folder)
    assert isinstance(read, PaperEstimator) and read.grid.shape == (96, 96)
    light = few.light(slice(0, 5))
    one, two = read.estimate(light), estimator.estimate(light)
    np.testing.assert_array_equal(one.mass, two.mass)
    away = few.table['distance'][:5].value
    given = read.estimate(light, known={'distance': away})
    np.testing.assert_array_equal(given.mass, one.mass)
    for estimates in (one, given):
        total = estimates.scalars['total_mass'].value
        np.testing.assert_allclose(total, estimates.mass.sum(axis=(1, 2), dtype=float), rtol=1e-5)
        # M/L by the light at the distance that it states
        distance = estimates.scalars['distance'].value
        luminosity = 4.0 * np.pi * distance**2 * light.sum(axis=(1, 2), dtype=float)
        np.testing.assert_allclose(estimates.scalars['mass_to_light'].value, total / luminosity, rtol=1e-5)
        # one width for all maps
        for name, scale in (('total_mass', np.log), ('mass_to_light', np.log), ('age', np.asarray)):
            interval = estimates.scalars[name]
            half = scale(interval.high_68) - scale(interval.value)
            assert half[0] > 0.01
            np.testing.assert_allclose(half, half[0], rtol=1e-6)
            np.testing.assert_allclose(scale(interval.value) - scale(interval.low_68), half, rtol=1e-6)
        assert np.ptp(estimates.log_mass_error) == 0.0
    # the distance that is given, with its default error
    np.testing.assert_allclose(given.scalars['distance'].value, away)
    np.testing.assert_allclose(given.scalars['distance'].high_95, away * np.exp(2 * 0.02))
    worse = read.estimate(light, known={'distance': away, 'distance_error': 0.1 * away})
    np.testing.assert_allclose(worse.scalars['distance'].low_68, away * np.exp(-0.1))
    with pytest.raises(ValueError, match='must be one of distance, distance_error, received .age.'):
        read.estimate(light, known={'age': away})
    assert Domain.from_dict(read.about['domain'])


def test_intervals_of_the_paper_hold_what_was_calibrated(papers, few):
    validation = few.split('validation')
    scalars = papers[1].estimate(validation.light()).scalars
    age = scalars['age']
    true = validation.table['age'].value
    inside = (age.low_68 <= true) & (true <= age.high_68)
    assert inside.mean() == pytest.approx(0.6827, abs=0.02)
    mass, true = scalars['total_mass'], validation.table['mass'].value
    assert np.mean((mass.low_95 <= true) & (true <= mass.high_95)) == pytest.approx(0.9545, abs=0.02)


def test_the_model_tells_which_weights_its_loss_had(papers):
    folder, _ = papers
    card = json.loads((folder / 'model.json').read_text())
    assert card['kind'] == 'paper' and card['about']['settings']['vgg'] == 'random, seed 0'
    assert 'VGG16 with the weights random, seed 0' in (folder / 'CARD.rst').read_text()


def test_the_paper_goes_on_to_the_same_weights(papers, few, slim, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    real, steps = keras.Model.train_on_batch, []

    def die(self, *args, **options):
        steps.append(self.name)
        # in the second epoch, of three batches, of each network
        if len(steps) in (5, 13):
            raise Killed
        return real(self, *args, **options)

    monkeypatch.setattr(keras.Model, 'train_on_batch', die)
    for _ in range(2):
        with pytest.raises(Killed):
            train(few, tmp_path, settings=PAPER, name='chardin', progress=False)
    assert steps[-1] == 'paper_age_distance'
    monkeypatch.undo()
    estimator = train(few, tmp_path, settings=PAPER, name='chardin', progress=False)
    for k, network in enumerate(papers[1].networks):
        for one, two in zip(network.get_weights(), estimator.networks[k].get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)
    assert estimator.about == papers[1].about


def test_other_weights_of_vgg_are_another_training(papers, few):
    settings = dataclasses.replace(PAPER, seed=1)
    with pytest.raises(TrainingError, match='is of another training'):
        train(few, papers[0], settings=settings, progress=False)
    with pytest.raises(FileNotFoundError, match='no such file: nowhere.h5'):
        train(few, papers[0], settings=dataclasses.replace(PAPER, vgg='nowhere.h5'), progress=False)


def test_either_network_of_the_paper_goes_on(papers, few, slim, tmp_path):
    shutil.copytree(papers[0], tmp_path / 'on')
    fewer = dataclasses.replace(PAPER, epochs=(3, 1))
    with pytest.raises(TrainingError, match='state-1.npz is of a training of 2 epochs: .* received 1'):
        train(few, tmp_path / 'on', settings=fewer, progress=False)
    more = dataclasses.replace(PAPER, epochs=(3, 2))
    estimator = train(few, tmp_path / 'on', settings=more, progress=False)
    assert [len(history['loss']) for history in estimator.about['history']] == [3, 2]
    assert estimator.about['plans'] == [[[0, 2], [2, 3]], [[0, 2]]]


def test_maps_too_small_for_the_second_network_are_refused_at_once(tmp_path, slim, monkeypatch):
    monkeypatch.setattr(keras.Model, 'train_on_batch', None)
    small = Maps.make(420, 1)
    with pytest.raises(ValueError, match='shape'):
        train(small, tmp_path, settings=PAPER, progress=False)
