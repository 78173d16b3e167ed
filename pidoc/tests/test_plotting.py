# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Figures show what the tables say."""

import matplotlib as mpl
import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from pidoc.plotting import plot_run


def a_log(age=None):
    age = np.linspace(0, 14, 29) if age is None else np.asarray(age, dtype=float)
    rest = np.exp(-age / 10)
    table = QTable({'age': age * u.Gyr, 'n_stars': (5e4 * rest).astype(int),
                    'total_mass': 3e4 * rest ** 2 * u.Msun,
                    'mass_to_light': (0.02 + 0.15 * age) * u.Msun / u.Lsun})
    sizes = {'r_01': 0.2, 'r_10': 1, 'core_radius': 0.9, 'half_light_radius': 2.5, 'half_mass_radius': 3,
             'r_90': 9, 'tidal_radius': 60}
    for name, size in sizes.items():
        table[name] = size * (1 + age / 14) * u.pc
    table.meta['CLNAME'] = 'MW15'
    return table


def lines(axis):
    return {line.get_label(): line.get_xydata().T for line in axis.lines}


def test_the_lines_are_the_columns():
    log = a_log()
    content, radii, light = plot_run(log).axes
    age = log['age'].value
    drawn = lines(content)
    assert set(drawn) == {'stars: 50,000 at 0 Gyr', r'mass: 30,000 M$_\odot$ at 0 Gyr'}
    np.testing.assert_allclose(drawn['stars: 50,000 at 0 Gyr'], [age, log['n_stars'] / 50000])
    np.testing.assert_allclose(drawn[r'mass: 30,000 M$_\odot$ at 0 Gyr'],
                               [age, log['total_mass'].value / 30000])
    shown = {line.get_ydata()[0]: line for line in radii.lines}
    assert sorted(shown) == [0.2, 0.9, 1, 2.5, 3, 9, 60]
    np.testing.assert_allclose(shown[2.5].get_ydata(), log['half_light_radius'].value)
    assert shown[3].get_label() == 'half of the mass' and shown[0.9].get_label() == 'core'
    np.testing.assert_allclose(light.lines[0].get_ydata(), log['mass_to_light'].value)
    assert [axis.get_ylabel() for axis in (content, radii)] == ['remaining fraction', 'radius [pc]']
    assert light.get_xlabel() == 'age [Gyr]'
    assert radii.get_yscale() == light.get_yscale() == 'log'
    assert light.get_xlim() == (0, 14)


def test_any_unit():
    log = a_log()
    log['age'] = log['age'].to(u.Myr)
    log['half_mass_radius'] = log['half_mass_radius'].to(u.lyr)
    _, radii, light = plot_run(log).axes
    assert light.get_xlim() == pytest.approx((0, 14))
    assert min(abs(line.get_ydata()[0] - 3) for line in radii.lines) < 1e-9


def test_lines_differ_without_colour():
    """Those with a name of their own differ in dashes or by far in width."""
    for axis in plot_run(a_log()).axes[:2]:
        looks = [(line.get_linestyle(), line._unscaled_dash_pattern, round(line.get_linewidth()))
                 for line in axis.lines if not line.get_label().startswith('_')]
        assert len(set(map(str, looks))) == len(looks)


@pytest.mark.parametrize('age, scale, expected', [
    (np.linspace(0, 14, 141), None, 'linear'), (np.geomspace(0.001, 14, 50), None, 'log'),
    (np.linspace(0, 14, 141), 'log', 'log'), (np.geomspace(0.001, 14, 50), 'linear', 'linear'),
    ([0, *np.geomspace(0.001, 14, 50)], None, 'log')])
def test_scale_of_the_ages(age, scale, expected):
    axis = plot_run(a_log(age), age_scale=scale).axes[-1]
    assert axis.get_xscale() == expected
    assert axis.get_xlim()[0] == (min(x for x in age if x > 0) if expected == 'log' else age[0])


@pytest.mark.parametrize('age', [[0], [5], [0, 1], [1, 5], [0, 0.001]])
@pytest.mark.parametrize('scale', [None, 'log'])
def test_short_runs(age, scale, tmp_path):
    figure = plot_run(a_log(age), age_scale=scale)
    if len(age) == 1:
        assert figure.axes[0].lines[0].get_marker() == 'o'
    figure.savefig(tmp_path / 'short.png')


def test_an_isolated_cluster():
    log = a_log()
    log['tidal_radius'] = np.inf * u.pc
    assert 'tidal' not in lines(plot_run(log).axes[1])
    assert 'tidal' in lines(plot_run(a_log()).axes[1])


def test_the_name_is_the_title():
    assert plot_run(a_log()).get_suptitle() == 'MW15'
    log = a_log()
    log.meta['CLNAME'] = ''
    assert plot_run(log).get_suptitle() == ''


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match='log of a run must have at least one row, received an empty one'):
        plot_run(a_log()[:0])
    with pytest.raises(ValueError, match="age_scale must be linear or log, received 'sqrt'"):
        plot_run(a_log(), age_scale='sqrt')


def test_nothing_else_changes():
    """The figure belongs to the caller alone: no backend, no setting, and the table as it was."""
    settings, log = dict(mpl.rcParams), a_log()
    plot_run(log)
    assert dict(mpl.rcParams) == settings
    assert all(np.all(log[name] == a_log()[name]) for name in log.colnames)
