# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""True values of the predicted and of the given quantities of networks, from the table of a set."""

import numpy as np
from astropy import units as u

from pidoc.photometry import iron_abundance

__all__ = ['truths']

_COLUMNS = {
    'total_mass': 'mass', 'cluster_mass': 'cluster_mass', 'half_mass_radius': 'cluster_half_mass_radius',
    'half_light_radius': 'cluster_half_light_radius', 'mass_function_slope': 'mass_function_slope',
    'dark_share': 'dark_share', 'black_hole_share': 'black_hole_share',
    'central_dispersion': 'central_dispersion', 'velocity_dispersion': 'velocity_dispersion', 'b_v': 'b_v',
    'age': 'age', 'distance': 'distance', 'dispersion_radius': 'dispersion_radius', 'seeing': 'seeing',
    'sky_error': 'sky_error',
}
#: units of plain numbers that differ from those of the table
_UNITS = {'total_mass': u.Msun, 'cluster_mass': u.Msun, 'half_mass_radius': u.pc, 'half_light_radius': u.pc,
          'central_dispersion': u.km / u.s, 'velocity_dispersion': u.km / u.s, 'age': u.Gyr,
          'b_v': u.mag, 'distance': u.kpc, 'dispersion_radius': u.arcsec, 'seeing': u.arcsec}


def truths(table):
    """True values, as plain numbers in the units of `pidoc.networks.variables`.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table of a `~pidoc.training_set.TrainingSet`.

    Returns
    -------
    dict
        Name -> array of shape (n,), for quantities that are in the table and finite in any row.
        ``metallicity`` is [Fe/H].
    """
    found = {}
    for name, column in _COLUMNS.items():
        if column in table.colnames:
            values = table[column]
            found[name] = np.array(values.to_value(_UNITS[name]) if name in _UNITS else values, dtype=float)
    if {'half_light_radius', 'distance'} <= set(found):
        length, far = found['half_light_radius'] * u.pc, found['distance'] * u.kpc
        found['effective_radius'] = (length / far).to_value(u.arcsec, u.dimensionless_angles())
    found['mass_to_light'] = (table['mass'] / table['luminosity']).to_value(u.Msun / u.Lsun)
    if 'sky_error' in found:
        # the logarithm is undefined for an exactly known sky
        found['sky_error'][found['sky_error'] <= 0.0] = np.nan
    if 'metallicity' in table.colnames:
        found['metallicity'] = _iron(np.asarray(table['metallicity'], dtype=float))
    return {name: values for name, values in found.items() if np.any(np.isfinite(values))}


def _iron(metallicity):
    """[Fe/H] for each Z, NaN if there is none."""
    known = np.isfinite(metallicity)
    iron = np.full(metallicity.shape, np.nan)
    iron[known] = iron_abundance(metallicity[known])
    return iron
