# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Light of stars in Johnson V: bolometric corrections and V-band luminosities."""

import numpy as np
from astropy import units as u

from pidoc.units import SOLAR_MBOL, SOLAR_MV, to_value

__all__ = ['DARK_KINDS', 'bolometric_correction', 'v_luminosity']

DARK_KINDS = (13, 14, 15)
"""Stellar types (Hurley, Pols & Tout 2000) without light: neutron star, black hole, no remnant."""

# Reed (1998), eq. 5, highest power first, in X = log10(T / 10^4 K).
_REED = (-8.499, 13.421, -8.131, -3.901, -0.438)


def bolometric_correction(temperature):
    """Bolometric correction in V of a star of a given effective temperature.

    Reed (1998), eq. 5, a quartic in the logarithm of 10^-4 T (Giersz & Heggie 2003 note that its
    T should read so): BC = M_bol - M_V. One relation for dwarfs and giants of every metallicity.
    It was fitted to stars of spectral types O to M; cooler and hotter than these (below 3000 K,
    above 50,000 K) it keeps falling, so that such stars come out faint rather than bright.

    Parameters
    ----------
    temperature : `~astropy.units.Quantity`
        Effective temperature, scalar or array.

    Returns
    -------
    `~astropy.units.Quantity`
        Same shape, in mag; about -0.18 for the Sun.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If ``temperature`` is no temperature, or not positive and finite.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.photometry import bolometric_correction
    >>> print(f'{bolometric_correction(1e4 * u.K):.3f}')
    -0.438 mag
    """
    value = to_value(temperature, u.K, 'temperature', positive=True)
    return np.polyval(_REED, np.log10(value) - 4.0) * u.mag


def v_luminosity(luminosity, temperature, kind):
    """Luminosity in V, in units of the Sun's luminosity in V.

    M_V = 4.74 - 2.5 log10(L / Lsun) - BC and L_V = 10^(0.4 (4.83 - M_V)), with the zero points of
    `pidoc.units`. Reed's scale of BC belongs to a solar M_bol some 0.09 mag brighter, as does that
    of Kurucz (1992): with 4.74 the Sun comes out at M_V = 4.92, so L_V = 0.92. The factor is
    common to all stars.

    Parameters
    ----------
    luminosity : `~astropy.units.Quantity`
        Bolometric luminosity, scalar or array.
    temperature : `~astropy.units.Quantity`
        Effective temperature; not looked at where the star is dark.
    kind : int or array of int
        Stellar type (Hurley, Pols & Tout 2000). Neutron stars (13), black holes (14) and massless
        remnants (15) are dark.

    Returns
    -------
    `~astropy.units.Quantity`
        Shape of the three arguments broadcast, in Lsun (of V).

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If a quantity has the wrong unit, a luminosity is negative, a type is none of 0 to 15, or
        the temperature of a star that shines is not positive and finite.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.photometry import v_luminosity
    >>> print(v_luminosity([1.0, 1.0] * u.Lsun, 5772 * u.K, [1, 14]))
    [0.92030562 0.        ] solLum
    """
    light = to_value(luminosity, u.Lsun, 'luminosity', non_negative=True)
    if not isinstance(temperature, u.Quantity):
        to_value(temperature, u.K, 'temperature')
    kind = np.asarray(kind)
    if kind.dtype.kind not in 'iu' or np.any((kind < 0) | (kind > 15)):
        raise ValueError(f'kind must be integers from 0 to 15, received {_outside(kind)}')
    light, heat, kind = np.broadcast_arrays(light, temperature, kind, subok=True)
    shines = ~np.isin(kind, DARK_KINDS) & (light > 0.0)
    result = np.zeros(light.shape)
    correction = bolometric_correction(heat[shines]).to_value(u.mag)
    result[shines] = light[shines] * 10.0 ** (0.4 * (SOLAR_MV - SOLAR_MBOL + correction))
    return result * u.Lsun


def _outside(kind):
    """The first value that is no stellar type, to be shown."""
    if kind.dtype.kind not in 'iu':
        return f'an array of {kind.dtype}'
    return int(kind[(kind < 0) | (kind > 15)].flat[0])
