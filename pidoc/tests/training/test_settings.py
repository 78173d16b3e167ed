# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Settings of trainings, and which maps they choose."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from pidoc.grid import Channel, MapGrid
from pidoc.networks.paper import AGE_DISTANCE_LEARNING_RATE, MASS_LEARNING_RATE
from pidoc.training.settings import PaperSettings, Selection, Settings


@pytest.mark.parametrize('values, message', [
    ({'epochs': 0}, 'epochs must be a whole number, at least 1, received 0'),
    ({'members': 1.5}, 'members must be a whole number, at least 1, received 1.5'),
    ({'learning_rate': 0.0}, 'learning_rate must be a number above 0 and below 1, received 0.0'),
    ({'beta': 2.0}, 'beta must be a number from 0 to 1, received 2.0'),
    ({'turns': 9}, 'turns must be a whole number from 1 to 8, received 9'),
    ({'orientations': 2}, 'orientations must be one of 1, 4, 8, received 2'),
    ({'loss_weights': (0.0, 0.0)}, 'loss_weights must be two numbers, not negative, and not both 0'),
    ({'loss_weights': (1.0,)}, r'loss_weights must be two numbers, .* received \(1.0,\)'),
    ({'given': -0.1}, 'given must be a number from 0 to 1, received -0.1'),
    ({'components': 0}, 'components must be a whole number, at least 1, received 0'),
    ({'covariance': 'none'}, "covariance must be one of diagonal, full, received 'none'"),
    ({'outputs': ('age', 'colour')}, r"outputs must be different ones of total_mass, .*, received \('age', "),
    ({'outputs': ()}, r'outputs must be different ones of total_mass, .*, received \(\)'),
    ({'constraints': 'distance'}, "constraints must be different ones of distance, age, .*, received 'dist"),
    ({'constraints': ('age', 'age')}, r"constraints must be different ones of .*, received \('age', 'age'\)"),
    ({'channels': ('light', 'dark')}, "channels must be different ones of light, sharp, received"),
    ({'widths': (8, 0)}, 'each of widths must be a whole number, at least 1, received 0'),
    ({'compression': 'sqrt'}, "compression must be one of arcsinh, logarithm, received 'sqrt'"),
    ({'distance_scale': 'd'}, "distance_scale must be one of logarithm, linear, received 'd'"),
    ({'precision': 'float16'}, "precision must be one of auto, float32, bfloat16, received 'float16'"),
])
def test_settings_are_checked(values, message):
    with pytest.raises(ValueError, match=message):
        Settings(**values)


@pytest.mark.parametrize('values, message', [
    ({'epochs': (1,)}, r'epochs must be two numbers above 0, .* received \(1,\)'),
    ({'learning_rates': (0.1, 0.0)}, 'learning_rates must be two numbers above 0'),
    ({'patience': 0}, 'patience must be a whole number, at least 1, received 0'),
    ({'precision': 'half'}, "precision must be one of auto, float32, bfloat16, received 'half'"),
])
def test_settings_of_the_paper_are_checked(values, message):
    with pytest.raises(ValueError, match=message):
        PaperSettings(**values)


def test_maps_are_chosen_by_a_selection():
    with pytest.raises(TypeError, match='train_maps must be a Selection, received 5'):
        Settings(train_maps=5)
    with pytest.raises(ValueError, match=r'ages must be ranges .*, both finite, received \(2, 1\)'):
        Selection(ages=[(2, 1)])
    with pytest.raises(ValueError, match='distances must be ranges .*, received 10'):
        Selection(distances=[10])
    with pytest.raises(ValueError, match='number must be a whole number, at least 1, received 0'):
        Selection(number=0)


def test_a_selection_chooses_by_simulation_age_distance_and_number():
    age, distance = np.arange(12.0), np.repeat([5.0, 10.0, 20.0], 4)
    table = QTable({'simulation': ['a', 'b', 'c'] * 4, 'age': age * u.Gyr, 'distance': distance * 1e3 * u.pc})
    assert Selection().rows(table).tolist() == list(range(12))
    assert Selection(simulations=['a', 'c']).rows(table).tolist() == [0, 2, 3, 5, 6, 8, 9, 11]
    assert Selection(ages=[(0, 1), (7, 8)]).rows(table).tolist() == [0, 1, 7, 8]
    assert Selection(distances=[(4, 6), (19, 21)], ages=[(3, 9)]).rows(table).tolist() == [3, 8, 9]
    assert Selection(number=3).rows(table).tolist() == [0, 5, 11]
    assert Selection(number=30, ages=[(3, 4)]).rows(table).tolist() == [3, 4]
    assert Selection(simulations='d', number=4).rows(table).size == 0


def test_channels_are_those_of_the_grid():
    grid = Settings(channels=['light', 'sharp']).grid(MapGrid())
    assert grid.channels == (Channel('V', True), Channel('V', False)) and grid.shape == (160, 160)
    assert Settings(channels=['light']).grid(MapGrid()) == PaperSettings().grid(MapGrid()) == MapGrid()


def test_settings_are_completed_with_what_a_set_has():
    smooth, sharp = SimpleNamespace(has_sharp=False), SimpleNamespace(has_sharp=True)
    assert Settings(epochs=3).completed(smooth) == Settings(epochs=3, channels=('light',))
    assert Settings(epochs=3).completed(sharp) == Settings(epochs=3, channels=('light', 'sharp'))
    # what is said stays
    for channels in (('light',), ('sharp',), ('sharp', 'light')):
        settings = Settings(channels=channels)
        assert settings.completed(smooth) is settings.completed(sharp) is settings
    assert PaperSettings().completed(sharp) == PaperSettings()


def test_lists_of_names_become_tuples():
    settings = Settings(outputs=['age', 'distance'], constraints=['seeing'], channels=['sharp'])
    assert (settings.outputs, settings.constraints, settings.channels) == (('age', 'distance'), ('seeing',),
                                                                           ('sharp',))


def test_the_rates_of_the_paper_are_those_of_its_networks():
    assert PaperSettings().learning_rates == (MASS_LEARNING_RATE, AGE_DISTANCE_LEARNING_RATE)
