# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Light of stars: bolometric corrections, luminosities in a band, apparent flux.

Three bolometric corrections have names:

==================  ==============================================  ===========  ==========  ==========
name                correction                                      solar M_bol  L_V of Sun  bands
==================  ==============================================  ===========  ==========  ==========
``reed1998``        Reed (1998), from the temperature only, as in   4.74         0.920       V
                    Chardin & Bianchini (2021) and Heggie (2014)
``reed1998-solar``  the same, correct for the Sun                   4.65         1           V
``kurucz1992``      from Teff, log g, [Fe/H]: Kurucz (1992);        4.65         1           all
                    white dwarfs: Bergeron et al. (1995)
==================  ==============================================  ===========  ==========  ==========

The bands of ``kurucz1992``: BC_V and B - V are in Kurucz's table; g and r of Pan-STARRS1 follow from B and V
by the relations of Tonry et al. (2012); I (Cousins), F606W and F814W of ACS/WFC on HST, and VIS of Euclid are
V minus synthetic colours from the spectra of Castelli & Kurucz (2003, IAU Symp. 210, A20)
(``data/README.rst``). Their V - I and that of Kurucz's table agree to 0.02 mag from 4250 to 12,000 K.

A correction is only defined together with the bolometric magnitude of the Sun. Reed's relation gives BC =
-0.180 for the Sun and therefore, with the 4.74 of the IAU (2015), M_V = 4.92 and L_V = 0.920. The correct M_V
of the Sun requires M_bol = 4.83 - 0.180 = 4.650. The two differ by a common factor: with ``reed1998-solar``
all luminosities are 8.7 per cent larger and all M/L_V 8.0 per cent smaller than with ``reed1998``.
"""

from collections import namedtuple
from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np
from astropy import units as u

from pidoc.units import as_quantity, SOLAR_MBOL, SOLAR_MV, SOLAR_TEFF, to_value

__all__ = ['BANDS', 'Band', 'CORRECTIONS', 'DARK_KINDS', 'apparent_flux', 'apparent_magnitude',
           'atmosphere', 'band_luminosity', 'bolometric_correction', 'effective_temperature',
           'iron_abundance', 'johnson_to_ps1', 'light_at', 'ps1_to_johnson', 'v_luminosity',
           'white_dwarf_atmosphere']

Band = namedtuple('Band', 'name system solar_magnitude source')
Band.__doc__ = """A band: name, magnitude system, absolute magnitude of the Sun, and its source."""

BANDS = {
    'B': Band('Johnson B', 'Vega', 5.48, 'Binney & Merrifield 1998, table 2.1'),
    'V': Band('Johnson V', 'Vega', SOLAR_MV, 'Binney & Merrifield 1998, table 2.1'),
    'g': Band('Pan-STARRS1 g', 'AB', 5.03, 'Willmer 2018, ApJS 236, 47'),
    'r': Band('Pan-STARRS1 r', 'AB', 4.64, 'Willmer 2018, ApJS 236, 47'),
    'I': Band('Cousins I', 'Vega', 4.10, 'FSPS, Conroy & Gunn 2010, ApJ 712, 833'),
    'F606W': Band('HST ACS/WFC F606W', 'Vega', 4.64, 'FSPS, Conroy & Gunn 2010, ApJ 712, 833'),
    'F814W': Band('HST ACS/WFC F814W', 'Vega', 4.10, 'FSPS, Conroy & Gunn 2010, ApJ 712, 833'),
    'VIS': Band('Euclid VIS', 'AB', 4.59, 'FSPS, Conroy & Gunn 2010, ApJ 712, 833'),
}
"""The bands: short name, `Band`."""

CORRECTIONS = ('reed1998', 'reed1998-solar', 'kurucz1992')
"""Names of the bolometric corrections."""

DARK_KINDS = (13, 14, 15)
"""Stellar types (Hurley, Pols & Tout 2000) without light: neutron star, black hole, no remnant."""

_WHITE_DWARFS = (10, 11, 12)
_REDDER = ('I', 'F606W', 'F814W', 'VIS')    # colours are V minus these, in the order of the tables

# Reed (1998), eq. 5, highest power first, in X = log10(T / 10^4 K).
_REED = (-8.499, 13.421, -8.131, -3.901, -0.438)

_SOLAR_LOG_G = 4.438    # nominal solar mass parameter and radius, IAU 2015 resolution B3

# Tonry et al. (2012), ApJ 750, 99, eq. 6 and table 6, in x = g - r: B - g and V - r, lowest power first.
_TONRY_B = (0.212, 0.556, 0.034)
_TONRY_V = (0.005, 0.462, 0.013)

# temperatures [K] to which BC is extrapolated beyond the ends of the tables
_EXTRAPOLATE = (2000.0, 1e6)


def bolometric_correction(temperature):
    """Bolometric correction in V of a star of a given effective temperature.

    Reed (1998), eq. 5, a quartic in the logarithm of 10^-4 T (Giersz & Heggie 2003 note this correction to
    T): BC = M_bol - M_V. It is one relation for dwarfs and giants of every metallicity, fitted to stars of
    spectral types O to M; outside (below 3000 K, above 50,000 K) it keeps falling, so that such stars become
    faint rather than bright.

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
        If ``temperature`` is not a temperature, or not positive and finite.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.photometry import bolometric_correction
    >>> print(f'{bolometric_correction(1e4 * u.K):.3f}')
    -0.438 mag
    """
    value = to_value(temperature, u.K, 'temperature', positive=True)
    return np.polyval(_REED, np.log10(value) - 4.0) * u.mag


def effective_temperature(luminosity, radius):
    """Effective temperature of stars, from the law of Stefan and Boltzmann.

    Parameters
    ----------
    luminosity, radius : `~astropy.units.Quantity`
        Bolometric luminosity and radius, scalars or arrays.

    Returns
    -------
    `~astropy.units.Quantity`
        Broadcast shape of the arguments, in K; 0 where the radius or the luminosity is.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If a quantity has the wrong unit, or is negative or not finite.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.photometry import effective_temperature
    >>> print(effective_temperature([1.0, 100.0] * u.Lsun, [1.0, 25.0] * u.Rsun).round())
    [5772. 3651.] K
    """
    light, size = np.broadcast_arrays(to_value(luminosity, u.Lsun, 'luminosity', non_negative=True),
                                      to_value(radius, u.Rsun, 'radius', non_negative=True))
    flux = np.divide(light, size**2, out=np.zeros(size.shape), where=size > 0.0)
    return SOLAR_TEFF * flux**0.25 * u.K


def v_luminosity(luminosity, temperature, kind):
    """Luminosity in V, in units of the Sun's luminosity in V.

    M_V = 4.74 - 2.5 log10(L / Lsun) - BC and L_V = 10^(0.4 (4.83 - M_V)), with the zero points of
    `pidoc.units`. Reed's scale of BC requires a solar M_bol that is brighter by about 0.09 mag, as does that
    of Kurucz (1992): with 4.74 the Sun has M_V = 4.92, so L_V = 0.92. The factor is common to all stars.

    Parameters
    ----------
    luminosity : `~astropy.units.Quantity`
        Bolometric luminosity, scalar or array.
    temperature : `~astropy.units.Quantity`
        Effective temperature; ignored for dark objects.
    kind : int or array of int
        Stellar type (Hurley, Pols & Tout 2000). Neutron stars (13), black holes (14) and massless
        remnants (15) are dark.

    Returns
    -------
    `~astropy.units.Quantity`
        Broadcast shape of the three arguments, in Lsun (of V).

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If a quantity has the wrong unit, a luminosity is negative, a type is not one of 0 to 15, or the
        temperature of a luminous star is not positive and finite.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.photometry import v_luminosity
    >>> print(v_luminosity([1.0, 1.0] * u.Lsun, 5772 * u.K, [1, 14]))
    [0.92030562 0.        ] solLum
    """
    light, heat, _, shines = _shining(luminosity, temperature, kind)
    result = np.zeros(light.shape)
    correction = np.polyval(_REED, np.log10(heat) - 4.0)
    result[shines] = light[shines] * 10.0 ** (0.4 * (SOLAR_MV - SOLAR_MBOL + correction))
    return result * u.Lsun


def band_luminosity(luminosity, temperature, kind, *, mass=None, metallicity=None, band='V',
                    correction='reed1998'):
    """Luminosity in a band, in units of the Sun's luminosity in that band.

    M_band = M_bol,Sun - 2.5 log10(L / Lsun) - BC_V (+ B - V ...) and L_band = 10^(0.4 (M_Sun,band - M_band)),
    with the Sun's magnitudes of `BANDS` and the corrections described at the top of `pidoc.photometry`.

    Parameters
    ----------
    luminosity, temperature : `~astropy.units.Quantity`
        Bolometric luminosity and effective temperature, as in `v_luminosity`.
    kind : int or array of int
        Stellar type: neutron stars, black holes and massless remnants are dark, white dwarfs (10, 11, 12)
        have their own atmospheres in 'kurucz1992'.
    mass : `~astropy.units.Quantity`, optional
        Mass of the stars, required by 'kurucz1992' for the gravity.
    metallicity : float, optional
        Mass fraction of metals; required by 'kurucz1992'.
    band : str, optional
        One of `BANDS`. Other than V only with 'kurucz1992'.
    correction : str, optional
        One of `CORRECTIONS`.

    Returns
    -------
    `~astropy.units.Quantity`
        Broadcast shape of the arguments, in Lsun (of the band).

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If an argument is missing, unknown, invalid or has a wrong unit.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.photometry import band_luminosity
    >>> light = band_luminosity(1 * u.Lsun, 5772 * u.K, 1, mass=1 * u.Msun, metallicity=0.02,
    ...                         correction='kurucz1992')
    >>> print(f'{light:.3f}')
    1.000 solLum
    """
    if band not in BANDS:
        raise ValueError(f'band must be one of {", ".join(BANDS)}, received {band!r}')
    if correction not in CORRECTIONS:
        raise ValueError(f'correction must be one of {", ".join(CORRECTIONS)}, received {correction!r}')
    if correction != 'kurucz1992':
        if band != 'V':
            raise ValueError(f"correction {correction!r} knows the band V only, received {band!r}: "
                             "take 'kurucz1992'")
        light = v_luminosity(luminosity, temperature, kind)
        return light if correction == 'reed1998' else light / _reed_sun()
    if mass is None or metallicity is None:
        missing = 'mass' if mass is None else 'metallicity'
        raise TypeError(f"correction 'kurucz1992' needs the mass and the metallicity: no {missing} received")
    luminosity, heat, kind, shines = _shining(luminosity, temperature, kind)
    mass = np.broadcast_to(to_value(mass, u.Msun, 'mass', non_negative=True), luminosity.shape)[shines]
    result = np.zeros(luminosity.shape)
    result[shines] = _kurucz_light(luminosity[shines], heat, kind[shines], mass,
                                   iron_abundance(metallicity), band)
    return result * u.Lsun


def light_at(state, *, metallicity, band='V', correction='reed1998'):
    """Luminosity in a band of stars with these masses, luminosities and radii.

    Parameters
    ----------
    state : `~pidoc.stellar.StellarState`
        Mass [Msun], luminosity [Lsun], radius [Rsun] and kind of the stars.
    metallicity : float
        Mass fraction of metals.
    band, correction : str, optional
        As in `band_luminosity`.

    Returns
    -------
    `~astropy.units.Quantity`
        In Lsun (of the band), in the shape of the masses.

    Raises
    ------
    ValueError
        If an argument is unknown or invalid.

    Examples
    --------
    >>> from pidoc.photometry import light_at
    >>> from pidoc.stellar import StellarEvolution
    >>> sun = StellarEvolution(0.02).state(1.0, 4600.0)
    >>> print(f'{light_at(sun, metallicity=0.02, correction="kurucz1992"):.2f}')
    0.96 solLum
    """
    light = state.luminosity * u.Lsun
    heat = effective_temperature(light, state.radius * u.Rsun)
    return band_luminosity(light, heat, state.kind, mass=state.mass * u.Msun, metallicity=metallicity,
                           band=band, correction=correction)


def _shining(luminosity, temperature, kind):
    """Check and broadcast: luminosity [Lsun], temperature [K] of luminous stars, kind, luminous or not."""
    light = to_value(luminosity, u.Lsun, 'luminosity', non_negative=True)
    temperature = as_quantity(temperature, u.K, 'temperature')
    kind = np.asarray(kind)
    if kind.dtype.kind not in 'iu' or np.any((kind < 0) | (kind > 15)):
        raise ValueError(f'kind must be integers from 0 to 15, received {_outside(kind)}')
    light, heat, kind = np.broadcast_arrays(light, temperature, kind, subok=True)
    shines = ~np.isin(kind, DARK_KINDS) & (light > 0.0)
    return light, to_value(heat[shines], u.K, 'temperature', positive=True), kind, shines


def _outside(kind):
    """The first value that is not a stellar type, for the error message."""
    if kind.dtype.kind not in 'iu':
        return f'an array of {kind.dtype}'
    return int(kind[(kind < 0) | (kind > 15)].flat[0])


def _kurucz_light(luminosity, heat, kind, mass, iron, band):
    """Luminosities in the band, from plain arrays of luminous stars."""
    if np.any(mass <= 0.0):
        raise ValueError(f'the mass of a star that shines must be positive, received {mass.min()} solMass')
    log_g = _SOLAR_LOG_G + np.log10(mass / luminosity) + 4.0 * np.log10(heat / SOLAR_TEFF)
    dwarf = np.isin(kind, _WHITE_DWARFS)
    correction, colour = np.empty(luminosity.shape), np.empty(luminosity.shape)
    correction[~dwarf], colour[~dwarf] = _stars(heat[~dwarf], log_g[~dwarf], iron)
    correction[dwarf], of_dwarfs = _white_dwarfs(heat[dwarf], log_g[dwarf])
    colour[dwarf] = of_dwarfs[:, 0]
    # the corrections of white dwarfs are relative to a solar M_bol of 4.74
    zero = np.where(dwarf, SOLAR_MBOL, SOLAR_MV + _kurucz_sun())
    magnitude = v = zero - 2.5 * np.log10(luminosity) - correction
    if band == 'B':
        magnitude = v + colour
    elif band in ('g', 'r'):
        magnitude = _to_ps1(v + colour, v)['gr'.index(band)]
    elif band in _REDDER:
        column = _REDDER.index(band)
        colour[~dwarf] = _redder(heat[~dwarf], log_g[~dwarf], iron)[:, column]
        colour[dwarf] = of_dwarfs[:, 1 + column]
        magnitude = v - colour
    return 10.0 ** (0.4 * (BANDS[band].solar_magnitude - magnitude))


@lru_cache(maxsize=1)
def _reed_sun():
    """L_V of the Sun with 'reed1998'."""
    return v_luminosity(1.0 * u.Lsun, SOLAR_TEFF * u.K, 1).value


@lru_cache(maxsize=1)
def _kurucz_sun():
    """BC_V of the Sun in the table of Kurucz."""
    return float(_stars(np.array([SOLAR_TEFF]), np.array([_SOLAR_LOG_G]), 0.0)[0][0])


# -- model atmospheres ----------------------------------------------------------------------------


def iron_abundance(metallicity):
    """[Fe/H] of a mass fraction of metals, relative to 0.02 for the Sun.

    [Fe/H] = log10((Z / X) / (0.02 / 0.70)) with X = 0.76 - 3 Z, the hydrogen of the models of Pols et al.
    (1998) and of Hurley, Pols & Tout (2000); all metals are assumed to scale with iron.

    Parameters
    ----------
    metallicity : float or array-like
        Mass fraction of metals, above 0 and below 0.1.

    Returns
    -------
    float or ndarray

    Raises
    ------
    ValueError
        If it is out of range.

    Examples
    --------
    >>> from pidoc.photometry import iron_abundance
    >>> print(f'{iron_abundance(0.02):.2f} {iron_abundance(0.001):.2f}')
    0.00 -1.34
    """
    values = np.asarray(metallicity, dtype=float)
    bad = ~((values > 0.0) & (values < 0.1))
    if bad.any():
        received = float(values[bad][0]) if values.ndim else metallicity
        raise ValueError(f'metallicity must be above 0 and below 0.1, received {received!r}')
    iron = np.log10(values / (0.76 - 3.0 * values) * 0.70 / 0.02)
    return iron if values.ndim else float(iron)


def atmosphere(temperature, log_gravity, iron):
    """Bolometric correction in V and colour B - V of a star with a normal atmosphere.

    Kurucz (1992, IAU Symp. 149, 225), linear in log Teff, log g and [Fe/H]. The table covers 3500 to 50,000
    K, log g from 0 to 5, [Fe/H] from -3 to 0.3. BC is extrapolated to 2000 K parallel to Reed's relation, and
    to 10^6 K linearly in log Teff. All other values are constant beyond the ends.

    Parameters
    ----------
    temperature : `~astropy.units.Quantity`
        Effective temperature, scalar or array.
    log_gravity : float or array-like
        log10 of the surface gravity in cm/s^2.
    iron : float
        [Fe/H].

    Returns
    -------
    correction, colour : `~astropy.units.Quantity`
        BC_V and B - V in mag, with the broadcast shape of the first two arguments.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If an argument has the wrong unit or is not finite.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.photometry import atmosphere
    >>> correction, colour = atmosphere(5750 * u.K, 4.5, 0.0)
    >>> print(f'{correction:.3f} {colour:.3f}')
    -0.188 mag 0.681 mag
    """
    iron = to_value(u.Quantity(iron), u.one, 'iron')
    return _in_magnitudes(lambda heat, gravity: _stars(heat, gravity, iron), temperature, log_gravity)


def white_dwarf_atmosphere(temperature, log_gravity):
    """Bolometric correction in V and colour B - V of a white dwarf with a hydrogen atmosphere.

    Bergeron, Wesemael & Beauchamp (1995, PASP 107, 1047): 1500 to 100,000 K, log g from 7 to 9; BC is
    extrapolated to 10^6 K. For parameters and results see `atmosphere`. The scale requires a solar M_bol of
    4.74.

    Parameters
    ----------
    temperature : `~astropy.units.Quantity`
    log_gravity : float or array-like

    Returns
    -------
    correction, colour : `~astropy.units.Quantity`
    """
    def function(heat, log_g):
        correction, colours = _white_dwarfs(heat, log_g)
        return correction, colours[:, 0]

    return _in_magnitudes(function, temperature, log_gravity)


def _in_magnitudes(function, temperature, log_gravity):
    heat = to_value(temperature, u.K, 'temperature', positive=True)
    gravity = to_value(u.Quantity(log_gravity), u.one, 'log_gravity')
    heat, gravity = np.broadcast_arrays(heat, gravity)
    correction, colour = function(np.atleast_1d(heat), np.atleast_1d(gravity))
    return correction.reshape(heat.shape) * u.mag, colour.reshape(heat.shape) * u.mag


@lru_cache(maxsize=1)
def _tables():
    """Cubes of BC_V and colours [mag] and their axes, the temperature as log10 [K]."""
    from astropy.io import fits

    result = {}
    with as_file(files('pidoc') / 'data' / 'atmospheres.fits') as path, fits.open(path) as hdus:
        for name in ('STARS', 'WHITE_DWARFS', 'COLOURS'):
            axes = hdus[f'{name}_AXES'].data
            axes = {axis: np.array(axes[axis][0], dtype=float) for axis in axes.names}
            axes['temperature'] = np.log10(axes['temperature'])
            result[name] = np.array(hdus[name].data, dtype=float) / 1000.0, axes
    return result


def _stars(heat, log_g, iron):
    """BC_V and B - V [mag] from plain one-dimensional arrays and one [Fe/H]."""
    plane, axes = _at_iron('STARS', iron)
    end = axes['temperature'][0]
    carried, values = _in_the_plane(plane, axes, np.maximum(heat, 10.0**end), log_g)
    beyond = np.clip(np.log10(heat), np.log10(_EXTRAPOLATE[0]), end)
    return carried + np.polyval(_REED, beyond - 4.0) - np.polyval(_REED, end - 4.0), values[:, 1]


def _redder(heat, log_g, iron):
    """V minus each of the `_REDDER` [mag]."""
    return _in_the_plane(*_at_iron('COLOURS', iron), heat, log_g)[1]


def _white_dwarfs(heat, log_g):
    """BC_V, and B - V and V minus each of the `_REDDER` [mag]."""
    carried, values = _in_the_plane(*_tables()['WHITE_DWARFS'], heat, log_g)
    return carried, values[:, 1:]


def _at_iron(name, iron):
    """A table at one [Fe/H], which the stars of a cluster share, and its axes."""
    cube, axes = _tables()[name]
    low, weight = _place(axes['fe_h'], np.clip(iron, axes['fe_h'][0], axes['fe_h'][-1]))
    return (1.0 - weight) * cube[low] + weight * cube[low + 1], axes


def _in_the_plane(plane, axes, heat, log_g):
    """Bilinear interpolation of plane[log T, log g, column] in log T and log g.

    The first column is extrapolated beyond the ends of the temperatures, the others are constant there.
    """
    nodes, gravities = axes['temperature'], axes['log_g']
    low, high = np.log10(_EXTRAPOLATE)
    heat = np.clip(np.log10(heat), min(low, nodes[0]), high)
    row, along = _place(nodes, heat)
    column, across = _place(gravities, np.clip(log_g, gravities[0], gravities[-1]))
    across = across[:, np.newaxis]
    below, above = ((1.0 - across) * plane[i, column] + across * plane[i, column + 1]
                    for i in (row, row + 1))
    carried = below[:, 0] + along * (above[:, 0] - below[:, 0])
    return carried, below + np.clip(along, 0.0, 1.0)[:, np.newaxis] * (above - below)


def _place(nodes, value):
    """The interval of a value, and the position in it; the last interval is used beyond the ends."""
    low = np.clip(np.searchsorted(nodes, value, side='right') - 1, 0, len(nodes) - 2)
    return low, (value - nodes[low]) / (nodes[low + 1] - nodes[low])


# -- bands ----------------------------------------------------------------------------------------


def ps1_to_johnson(g, r):
    """Johnson B and V (Vega) from PS1 g and r (AB).

    Tonry et al. (2012, ApJ 750, 99), eq. 6 with the quadratic columns of table 6; x = g - r:
    B = g + 0.212 + 0.556 x + 0.034 x^2 (scatter 0.032 mag), V = r + 0.005 + 0.462 x + 0.013 x^2 (0.012 mag).
    It is for stars. Since it is not linear in flux, it should not be applied to the sum of stars of different
    colour if hundredths of a magnitude matter.

    Parameters
    ----------
    g, r : `~astropy.units.Quantity`
        In mag.

    Returns
    -------
    B, V : `~astropy.units.Quantity`
        In mag.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If a magnitude has another unit or is not finite.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.photometry import ps1_to_johnson
    >>> b, v = ps1_to_johnson(5.03 * u.mag, 4.64 * u.mag)
    >>> print(f'{b:.2f} {v:.2f}')
    5.46 mag 4.83 mag
    """
    g, r = to_value(g, u.mag, 'g'), to_value(r, u.mag, 'r')
    x = g - r
    return (g + np.polyval(_TONRY_B[::-1], x)) * u.mag, (r + np.polyval(_TONRY_V[::-1], x)) * u.mag


def johnson_to_ps1(b, v):
    """PS1 g and r (AB) from Johnson B and V (Vega): the exact inverse of `ps1_to_johnson`.

    The difference of its two equations, B - V = 0.207 + 1.094 x + 0.021 x^2, is solved for x = g - r.

    Parameters
    ----------
    b, v : `~astropy.units.Quantity`
        In mag; B - V above -14.

    Returns
    -------
    g, r : `~astropy.units.Quantity`
        In mag.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If a magnitude has another unit or is not finite, or no g - r has this B - V.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.photometry import johnson_to_ps1
    >>> g, r = johnson_to_ps1(5.48 * u.mag, 4.83 * u.mag)
    >>> print(f'{g:.2f} {r:.2f}')
    5.04 mag 4.64 mag
    """
    g, r = _to_ps1(to_value(b, u.mag, 'b'), to_value(v, u.mag, 'v'))
    return g * u.mag, r * u.mag


def _to_ps1(b, v):
    c = _TONRY_B[0] - _TONRY_V[0] - (b - v)
    # B - V = (B - g) + (g - r) - (V - r)
    half = 0.5 * (1.0 + _TONRY_B[1] - _TONRY_V[1])
    a = _TONRY_B[2] - _TONRY_V[2]
    square = half**2 - a * c
    if np.any(square < 0.0):
        raise ValueError(f'b - v must be above -14 mag, received {np.min(b - v)} mag')
    x = -c / (half + np.sqrt(square))
    r = v - np.polyval(_TONRY_V[::-1], x)
    return r + x, r


def apparent_flux(magnitude, band='V'):
    """Apparent flux F = L / (4 pi d^2) of a source of given apparent magnitude, without extinction.

    L is in units of the Sun's luminosity in the band, so F = 10^(-0.4 (m - M_Sun - 10)) / 4 pi in Lsun/kpc^2:
    at 1 kpc the distance modulus is 10.

    Parameters
    ----------
    magnitude : `~astropy.units.Quantity`
        Apparent magnitude, in the system of the band.
    band : str, optional
        One of `BANDS`.

    Returns
    -------
    `~astropy.units.Quantity`
        In Lsun/kpc^2.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If the magnitude has another unit or is not finite, or the band is unknown.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.photometry import apparent_flux
    >>> print(f'{apparent_flux(14.83 * u.mag):.5f}')
    0.07958 solLum / kpc2
    """
    value = to_value(magnitude, u.mag, 'magnitude')
    return 10.0 ** (-0.4 * (value - _solar(band) - 10.0)) / (4.0 * np.pi) * u.Lsun / u.kpc**2


def apparent_magnitude(flux, band='V'):
    """Apparent magnitude of a flux F = L / (4 pi d^2): the inverse of `apparent_flux`.

    Parameters
    ----------
    flux : `~astropy.units.Quantity`
        Positive.
    band : str, optional
        One of `BANDS`.

    Returns
    -------
    `~astropy.units.Quantity`
        In mag.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If the flux has another unit, is not positive or not finite, or the band is unknown.

    Examples
    --------
    >>> import math
    >>> from astropy import units as u
    >>> from pidoc.photometry import apparent_magnitude
    >>> sun_at_10_pc = 1 * u.Lsun / (4 * math.pi * (10 * u.pc)**2)
    >>> print(apparent_magnitude(sun_at_10_pc).round(2))
    4.83 mag
    """
    value = to_value(flux, u.Lsun / u.kpc**2, 'flux', positive=True)
    return (_solar(band) + 10.0 - 2.5 * np.log10(4.0 * np.pi * value)) * u.mag


def _solar(band):
    if band not in BANDS:
        raise ValueError(f'band must be one of {", ".join(BANDS)}, received {band!r}')
    return BANDS[band].solar_magnitude
