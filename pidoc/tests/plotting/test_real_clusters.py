# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Figures of the paper's clusters: rendered, and what is in them."""

import io

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from pidoc.evaluation.real_clusters import compare
from pidoc.plotting.real_clusters import plot_light, plot_literature, plot_predictions
from pidoc.prediction.mapper import MassMapper
from pidoc.tests.evaluation.test_real_clusters import domain, light_of, NAMES
from pidoc.tests.stand_in import StandIn


def report(*, synthetic=True, training=None, names=NAMES):
    mapper = MassMapper(StandIn(), domain=domain(8000.0), name='formulae')
    return compare(mapper, {name: light_of(name, synthetic=synthetic) for name in names}, training=training)


def rendered(figure):
    stream = io.BytesIO()
    figure.savefig(stream, format='png', dpi=50)
    assert stream.getvalue()[:4] == b'\x89PNG'
    return figure


def titles(figure):
    return '' if figure._suptitle is None else figure._suptitle.get_text()


def test_light():
    found = report()
    figure = rendered(plot_light(found))
    assert titles(figure) == 'SYNTHETIC images'
    points = [each.get_offsets() for each in figure.axes[0].collections if len(each.get_offsets())]
    assert sorted(len(each) for each in points)[-2:] == sorted(
        [int(found.table['in_range'].sum()), int((~found.table['in_range']).sum())])


def test_light_with_a_training_set():
    rng = np.random.default_rng(1)
    training = QTable({'age': rng.uniform(0, 14, 5000) * u.Gyr, 'distance': rng.uniform(8, 45, 5000) * u.kpc,
                       'luminosity': rng.uniform(300, 5000, 5000) * u.Lsun})
    figure = rendered(plot_light(report(training=training, synthetic=False)))
    assert titles(figure) == ''
    assert max(len(each.get_offsets()) for each in figure.axes[0].collections) == 4000


@pytest.mark.parametrize(('mode', 'panels'), [
    ('image', ['M/L', 'age', 'distance']), ('distance', ['M/L', 'age']), ('known', ['M/L']),
    ('dispersion', ['M/L'])])
def test_literature(mode, panels):
    figure = rendered(plot_literature(report(), mode))
    shown = [axis.get_ylabel() for axis in figure.axes]
    # residuals below
    assert shown == [f'{name}, predicted' for name in panels] + ['literature - predicted'] * len(panels)
    assert titles(figure) == 'SYNTHETIC images'


def test_literature_of_another_mode():
    with pytest.raises(ValueError, match="mode must be one of image, .*, dispersion, received 'both'"):
        plot_literature(report(names=['Pal 11']), 'both')


def test_predictions():
    figure = rendered(plot_predictions(report(), 'distance'))
    assert len(figure.axes) == 8
    said = [axis.get_title().split('\n')[0] for axis in figure.axes[:4]]
    assert said == ['NGC 5053', 'Pal 11', 'NGC 7492', 'NGC 5466']
    assert len(rendered(plot_predictions(report(names=['Pal 11']), 'image')).axes) == 2
