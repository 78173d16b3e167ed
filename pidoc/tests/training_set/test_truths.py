# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""True values of all quantities, from the table of a set."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from pidoc.networks.variables import CONSTRAINTS, OUTPUTS
from pidoc.photometry import iron_abundance
from pidoc.training_set.truths import truths


def a_table():
    """Three maps, in other units than those of the variables."""
    return QTable({
        'mass': [2.0, 4.0, 6.0] * u.Msun, 'luminosity': [1.0, 4.0, 2.0] * u.Lsun,
        'cluster_mass': [1e3, 2e3, 3e3] * u.kg * u.Msun.to(u.kg),
        'cluster_half_mass_radius': [1e-3, 2e-3, 3e-3] * u.kpc,
        'cluster_half_light_radius': [0.5, 1.0, 1.5] * u.pc, 'mass_function_slope': [-1.0, 0.0, 0.5],
        'dark_share': [0.1, 0.2, 0.3], 'black_hole_share': [0.0, 0.01, np.nan],
        'central_dispersion': [1e3, 2e3, 3e3] * u.m / u.s,
        'velocity_dispersion': [1.0, np.nan, 2.0] * u.km / u.s, 'b_v': [500.0, 800.0, -100.0] * u.mmag,
        'age': [100.0, 5000.0, 12000.0] * u.Myr, 'distance': [3e3, 2e4, 1e5] * u.pc,
        'dispersion_radius': [0.5, 1.0, 2.0] * u.arcmin, 'seeing': [1.0, 1.5, 0.5] * u.arcsec,
        'sky_error': [0.01, np.nan, 0.2], 'metallicity': [0.02, 0.001, 0.001]})


def test_all_variables_have_a_truth():
    """Every output, and every constraint, in its own unit."""
    found = truths(a_table())
    assert set(found) == set(OUTPUTS) | set(CONSTRAINTS)
    expected = {
        'total_mass': [2, 4, 6], 'mass_to_light': [2, 1, 3], 'cluster_mass': [1e3, 2e3, 3e3],
        'half_mass_radius': [1, 2, 3], 'half_light_radius': [0.5, 1, 1.5],
        'mass_function_slope': [-1, 0, 0.5], 'dark_share': [0.1, 0.2, 0.3],
        'black_hole_share': [0, 0.01, np.nan], 'central_dispersion': [1, 2, 3],
        'velocity_dispersion': [1, np.nan, 2], 'b_v': [0.5, 0.8, -0.1], 'age': [0.1, 5, 12],
        'distance': [3, 20, 100], 'effective_radius': [206.26481 / 6, 206.26481 / 20, 206.26481 * 1.5 / 100],
        'dispersion_radius': [30, 60, 120], 'seeing': [1, 1.5, 0.5], 'sky_error': [0.01, np.nan, 0.2],
        'metallicity': [0, iron_abundance(0.001), iron_abundance(0.001)]}
    for name, values in found.items():
        assert type(values) is np.ndarray and values.dtype == float, name
        np.testing.assert_allclose(values, expected[name], rtol=1e-7, atol=5e-3 * (name == 'metallicity'),
                                   err_msg=name)


def test_the_metallicity_is_that_of_iron():
    table = a_table()
    table['metallicity'] = [1e-4, np.nan, 0.03]
    np.testing.assert_array_equal(truths(table)['metallicity'],
                                  [iron_abundance(1e-4), np.nan, iron_abundance(0.03)])


def test_what_a_set_does_not_have():
    table = a_table()
    table['dark_share'] = np.nan
    table['velocity_dispersion'] = [np.nan] * 3 * u.km / u.s
    table['metallicity'] = np.nan
    table.remove_columns(['seeing', 'sky_error', 'cluster_mass'])
    missing = {'dark_share', 'velocity_dispersion', 'metallicity', 'seeing', 'sky_error', 'cluster_mass'}
    assert set(truths(table)) == (set(OUTPUTS) | set(CONSTRAINTS)) - missing
    assert set(truths(table['mass', 'luminosity'])) == {'total_mass', 'mass_to_light'}


def test_values_are_copies():
    table = a_table()
    truths(table)['distance'][0] = 99.0
    assert table['distance'][0] == 3 * u.kpc


def test_a_unit_that_does_not_fit():
    table = a_table()
    table['age'] = [1.0, 2.0, 3.0] * u.pc
    with pytest.raises(u.UnitConversionError, match="'pc' .* and 'Gyr' .* are not convertible"):
        truths(table)
