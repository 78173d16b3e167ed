# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Models of other grids than the paper's: trained, saved, loaded, and given their own test mocks."""

import numpy as np
import pytest
from astropy import units as u

from pidoc import MassMapper, Snapshot
from pidoc.grid import Channel, MapGrid
from pidoc.inference.folder import read_card
from pidoc.mock.observation import observe
from pidoc.simulation.run import run
from pidoc.training.fit import Settings, train
from pidoc.training_set.dataset import TrainingSet
from pidoc.training_set.recipe import Recipe

GRIDS = {
    'wide': ({'field_of_view': 160, 'pixel_scale': 1.0},
             MapGrid(pixel_scale=1 * u.arcsec)),
    'red': ({'band': 'r', 'correction': 'kurucz1992', 'field_of_view': 32, 'pixel_scale': 0.5},
            MapGrid(shape=(64, 64), pixel_scale=0.5 * u.arcsec, channels=(Channel('r'),))),
    'sharper': ({'smoothing': 1.0, 'field_of_view': 32, 'pixel_scale': 0.5},
                MapGrid(shape=(64, 64), pixel_scale=0.5 * u.arcsec, smoothing=1.0)),
}


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """Three small clusters at two ages."""
    folder = tmp_path_factory.mktemp('runs')
    for model, ages in recipe().models.values():
        run(model, folder / model.name, ages=ages * u.Myr, progress=False)
    return folder


def recipe(**maps):
    def part(split, number):
        return {'name': split, 'simulations': split, 'split': split, 'number': number, 'distance': [8, 30],
                'seeing': 1.0, 'direction': 'random'}

    rows = [{'name': name, 'n_stars': 500, 'half_mass_radius': 2.0, 'seed': seed}
            for seed, name in enumerate(('train', 'validation', 'test'))]
    return Recipe({'name': 'grids', 'seed': 1, 'maps': maps,
                   'simulations': [{'group': 'all', 'ages': [5, 100], 'rows': rows}],
                   'part': [part('train', 160), part('validation', 160), part('test', 20)]})


@pytest.mark.slow
@pytest.mark.parametrize('name', sorted(GRIDS))
def test_a_model_predicts_the_mocks_of_its_own_grid(name, runs, tmp_path):
    maps, grid = GRIDS[name]
    made = TrainingSet.build(recipe(**maps), tmp_path / 'set', simulations=runs, jobs=1, progress=False)
    assert made.grid == grid
    train(made, tmp_path / 'model', settings=Settings(epochs=1, widths=(4, 4, 4), seed=1), progress=False)
    assert MapGrid.from_dict(read_card(tmp_path / 'model')['grid']) == grid
    mapper = MassMapper.from_pretrained(tmp_path / 'model')
    assert mapper.grid == grid
    test = made.split('test')
    predictions = [mapper.predict(test.mock(k), distance=test.table['distance'][k]) for k in range(len(test))]
    assert all(each.mass.shape == grid.shape and each.pixel_scale == grid.pixel_scale for each in predictions)
    assert {each.band for each in predictions} == {grid.band}
    # after one epoch maps and scalars need not agree yet
    assert np.mean([set(each.flag_names) <= {'inconsistent'} for each in predictions]) > 0.5
    # profiles, figures and files are on the same grid
    reach = predictions[0].mass_profile['separation_high'][-1].to_value(u.arcsec)
    assert reach == pytest.approx(np.hypot(*grid.shape) / 2 * grid.scale, rel=0.2)
    predictions[0].plot()
    predictions[0].write(tmp_path / 'a.fits')
    assert type(predictions[0]).read(tmp_path / 'a.fits').pixel_scale == grid.pixel_scale
    # what is on another grid does not pass for one of these
    snapshot = Snapshot.read(runs / 'train' / 'snapshots' / 'snapshot_00000.fits')
    other = observe(snapshot, distance=20 * u.kpc, pixel_scale=0.3 * u.arcsec, field_of_view=48 * u.arcsec)
    assert mapper.grid.holds(test.mock(0).light) and not mapper.grid.holds(other.light)
