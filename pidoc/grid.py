# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The units of the maps: apparent flux and mass, per pixel."""

from astropy import units as u

__all__ = ['APPARENT_FLUX', 'MASS_PER_PIXEL']

APPARENT_FLUX = u.Lsun / u.kpc**2
"""Unit of the light map: F = L / (4 pi d^2), per pixel."""

MASS_PER_PIXEL = u.Msun
"""Unit of the mass map, per pixel."""
