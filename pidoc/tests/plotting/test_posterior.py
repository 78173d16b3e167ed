# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The corner plot of a posterior shows its draws."""

import io

import numpy as np
import pytest
from astropy import units as u
from matplotlib.figure import Figure

from pidoc.networks.variables import OUTPUTS
from pidoc.plotting.posterior import _LABELS, plot_posterior
from pidoc.tests.prediction.test_prediction import a_prediction

pytest.importorskip('corner')


def rendered(figure):
    stream = io.BytesIO()
    figure.savefig(stream, format='png', dpi=40)
    assert stream.getvalue()[:4] == b'\x89PNG'
    return figure


def square(figure):
    number = round(len(figure.axes) ** 0.5)
    return np.array(figure.axes).reshape(number, number)


def test_draws_two_at_a_time():
    prediction = a_prediction(name='M 13')
    figure = rendered(prediction.plot_posterior(number=800, seed=5))
    assert type(figure) is Figure and figure._suptitle.get_text() == 'M 13'
    axes, draws = square(figure), prediction.sample(800, seed=5)
    names = ['total_mass', 'mass_to_light', 'age', 'distance']
    assert [axis.get_xlabel() for axis in axes[-1]] == [_LABELS[name] for name in names]
    assert [axis.get_ylabel() for axis in axes[1:, 0]] == [_LABELS[name] for name in names[1:]]
    columns = {name: np.log10(draws[name].value) if name == 'total_mass' else draws[name].value
               for name in names}
    # points outside the contours are drawn one by one, all of them before these cover them
    for row, column in ((1, 0), (3, 0), (3, 2)):
        points = np.array(axes[row, column].lines[0].get_xydata())
        np.testing.assert_allclose(points, np.stack([columns[names[column]], columns[names[row]]], axis=1))
    # 16, 50 and 84 %
    for k, name in enumerate(names):
        shown = [line.get_xdata()[0] for line in axes[k, k].lines]
        np.testing.assert_allclose(shown, np.quantile(columns[name], [0.16, 0.5, 0.84]), rtol=1e-6)


def test_names_that_are_asked_for():
    prediction = a_prediction(name='')
    figure = rendered(plot_posterior(prediction, names=('luminosity', 'distance'), number=300))
    axes = square(figure)
    assert axes.shape == (2, 2) and axes[1, 0].get_xlabel() == 'log luminosity [L$_\\odot$]'
    draws = prediction.sample(300)
    points = np.array(axes[1, 0].lines[0].get_xydata())
    np.testing.assert_allclose(points[:, 0], np.log10(draws['luminosity'].to_value(u.Lsun)))


@pytest.mark.parametrize('names', [['age'], [], ['age', 'colour'], ['metallicity', 'age']])
def test_names_that_cannot_be_shown(names):
    with pytest.raises(ValueError, match='names must be two or more of total_mass, mass_to_light, age, '
                                         r'distance, luminosity, received \['):
        plot_posterior(a_prediction(), names=names, number=50)


def test_every_quantity_has_a_label():
    assert set(_LABELS) == {*OUTPUTS, 'luminosity'}
