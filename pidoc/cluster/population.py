# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Stellar populations without dynamics: their mass-to-light ratio."""

import numpy as np
from astropy import units as u

from pidoc.cluster.mass_function import mass_function
from pidoc.photometry import light_at
from pidoc.stellar import StellarEvolution
from pidoc.units import to_value

__all__ = ['population_mass_to_light']

_COARSE, _FINE = 3000, 60_000   # cells of initial mass: in total, and for giants, whose masses hardly differ
_GIANT, _WHITE_DWARF, _NEUTRON_STAR = 2, 10, 13


def population_mass_to_light(age, metallicity, *, imf='kroupa2001', mass_limits=(0.1, 50) * u.Msun,
                             remnants=True, band='V', correction='reed1998', **tracks):
    """Mass-to-light ratio of a simple stellar population, without dynamical evolution.

    The mass function is integrated over the packaged tracks. Neutron stars and black holes, most of which
    leave a cluster at birth, are excluded.

    Parameters
    ----------
    age : `~astropy.units.Quantity`
        Age or ages.
    metallicity : float
        Mass fraction Z of metals.
    imf : str, float or `~pidoc.cluster.mass_function.MassFunction`, optional
        As for `~pidoc.ClusterModel`.
    mass_limits : `~astropy.units.Quantity`, optional
        Lowest and highest initial mass.
    remnants : bool, optional
        Whether to include white dwarfs in the mass; otherwise only living stars are.
    band, correction : str, optional
        As for `pidoc.photometry.band_luminosity`.
    **tracks
        Passed on to `pidoc.stellar.StellarEvolution`.

    Returns
    -------
    `~astropy.units.Quantity`
        In Msun / Lsun (of the band), with the shape of ``age``.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If an argument has a wrong type or unit, or is invalid.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.cluster.population import population_mass_to_light
    >>> ratio = population_mass_to_light(12 * u.Gyr, 0.001)
    >>> bool(1.5 < ratio.value < 3.0)
    True
    """
    ages = to_value(age, u.Myr, 'age', positive=True)
    low, high = to_value(mass_limits, u.Msun, 'mass_limits', positive=True)
    evolution = StellarEvolution(metallicity, **tracks)
    heaviest = _NEUTRON_STAR if remnants else _WHITE_DWARF
    ratios = []
    for each in np.ravel(ages):
        edges = _cells(evolution, each, low, high)
        share = np.diff(mass_function(imf).cumulative(edges, low, high))
        stars = evolution.state(np.sqrt(edges[1:] * edges[:-1]), each)
        light = light_at(stars, metallicity=metallicity, band=band, correction=correction).value
        ratios.append(share @ (stars.mass * (stars.kind < heaviest)) / (share @ light))
    return np.reshape(ratios, np.shape(ages)) * u.Msun / u.Lsun


def _cells(evolution, age, low, high):
    """Edges of cells of initial mass, narrow from the end of the main sequence to the youngest remnants."""
    edges = np.geomspace(low, high, _COARSE)
    kind = evolution.state(edges, age).kind
    first = np.searchsorted(kind >= _GIANT, True)
    last = np.searchsorted(kind >= _WHITE_DWARF, True)
    first, last = max(first - 2, 0), min(last + 2, edges.size - 1)
    return np.unique(np.concatenate([edges, np.linspace(edges[first], edges[last], _FINE)]))
