# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Radial profiles of maps on the sky: mass and mass-to-light ratio, and the half-mass radius.

Everything here is on the sky: a *separation* is an angle from the centre, seen in projection.
"""


import numpy as np
from astropy import units as u
from astropy.table import QTable

from pidoc.grid import MapGrid
from pidoc.units import scalar_value, to_value, whole_number

__all__ = ['half_mass_radius', 'mass_profile', 'mass_to_light_profile']


def mass_profile(mass_map, *, center=None, pixel_scale=MapGrid.pixel_scale, n_bins=25, bin_width=None,
                 mask=None, errors=None, correlated=False):
    """Mean mass per pixel in rings about a centre (Chardin & Bianchini 2021, Eq. 3).

    Parameters
    ----------
    mass_map : `~astropy.units.Quantity`
        Mass per pixel, [y, x].
    center : (float, float), optional
        x and y of the centre in pixels, the middle of the first pixel at (0, 0); by default the middle of the
        map.
    pixel_scale : `~astropy.units.Quantity`, optional
        Angle that a pixel covers.
    n_bins : int, optional
        Number of rings, of equal width.
    bin_width : `~astropy.units.Quantity`, optional
        Width of a ring. By default the rings just hold the map. Of the paper's field this is 1.12 arcsec
        about its middle, 1.3 arcsec with a usual shift; the paper says about 1.2 arcsec. Pixels beyond the
        last ring are left out.
    mask : array of bool, optional
        True for pixels to exclude. Pixels whose mass is NaN are excluded, too.
    errors : `~astropy.units.Quantity`, optional
        Standard error of each pixel.
    correlated : bool, optional
        Whether errors of pixels are added linearly, as fully correlated, or in quadrature, as independent. A
        smoothed map is in between.

    Returns
    -------
    `~astropy.table.QTable`
        A row for each ring: ``separation_low``, ``separation`` (its middle), ``separation_high``
        [arcsec], ``n_pixels``, ``mass`` (mean per pixel), ``surface_density`` [Msun/arcsec2] and
        ``cumulative_mass`` (sum of the good pixels in this ring and those inside it). With ``errors`` also
        ``mass_error``, ``surface_density_error``, ``cumulative_mass_error``. A ring without pixels has NaN.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If an argument is of a wrong kind, unit or shape, or impossible.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy import units as u
    >>> from pidoc.prediction import mass_profile
    >>> profile = mass_profile(np.full((160, 160), 0.5) * u.Msun)
    >>> len(profile), profile['mass'][0], profile['cumulative_mass'][-1]
    (25, <Quantity 0.5 solMass>, <Quantity 12800. solMass>)
    """
    mass, good = _map(mass_map, u.Msun, 'mass_map', mask)
    error = _errors(errors, u.Msun, 'errors', mass.shape, good)
    scale, separation = _separation(mass.shape, center, pixel_scale)
    edges, ring = _rings(separation, good, n_bins, bin_width)
    table, number = _frame(edges, ring)
    total, total_error = _sums(mass, error, good, ring, number.size, correlated)
    cumulative = np.cumsum(total)
    per_arcsec = 1.0 / scale**2
    mean = _ratio(total, number)
    table['mass'] = mean * u.Msun
    table['surface_density'] = mean * per_arcsec * u.Msun / u.arcsec**2
    table['cumulative_mass'] = cumulative * u.Msun
    if errors is not None:
        mean_error = _ratio(total_error, number)
        table['mass_error'] = mean_error * u.Msun
        table['surface_density_error'] = mean_error * per_arcsec * u.Msun / u.arcsec**2
        table['cumulative_mass_error'] = _cumulative_error(total_error, correlated) * u.Msun
    return table


def mass_to_light_profile(mass_map, light_map, *, distance=None, center=None, pixel_scale=MapGrid.pixel_scale,
                          n_bins=25, bin_width=None, mask=None, mass_errors=None, light_errors=None,
                          correlated=False):
    """Mass over light in rings about a centre (Chardin & Bianchini 2021, section 4.1.4 and Fig. 7).

    The ratio of the sums in a ring, not the mean of the ratios of pixels, which faint pixels would dominate.

    Parameters
    ----------
    mass_map : `~astropy.units.Quantity`
        Mass per pixel, [y, x].
    light_map : `~astropy.units.Quantity`
        Luminosity per pixel, or apparent flux L / (4 pi d^2) per pixel; then ``distance`` is needed.
    distance : `~astropy.units.Quantity`, optional
        Distance to the cluster.
    center, pixel_scale, n_bins, bin_width, mask, correlated
        As in `mass_profile`. Pixels whose mass or light is NaN are excluded.
    mass_errors, light_errors : `~astropy.units.Quantity`, optional
        Standard errors of the pixels of either map; those of mass and light are assumed to be independent.

    Returns
    -------
    `~astropy.table.QTable`
        ``separation_low``, ``separation``, ``separation_high`` [arcsec], ``n_pixels``, ``mass_to_light``
        [Msun/Lsun] and ``cumulative_mass_to_light`` (of everything up to the ring's end); with errors also
        ``mass_to_light_error`` and ``cumulative_mass_to_light_error``. NaN where the sum of the light is not
        positive.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        As in `mass_profile`; if the maps differ in shape; if the light is a flux and ``distance`` is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy import units as u
    >>> from pidoc.prediction import mass_to_light_profile
    >>> light = np.ones((4, 4)) * u.Lsun
    >>> mass_to_light_profile(light * 2 * u.Msun / u.Lsun, light, n_bins=2)['mass_to_light']
    <Quantity [2., 2.] solMass / solLum>
    """
    mass, good_mass = _map(mass_map, u.Msun, 'mass_map', mask)
    light, good_light = _luminosity(light_map, distance, mask, mass.shape)
    good = good_mass & good_light
    mass_error = _errors(mass_errors, u.Msun, 'mass_errors', mass.shape, good)
    light_error = _light_errors(light_errors, light_map, distance, mass.shape, good)
    _, separation = _separation(mass.shape, center, pixel_scale)
    edges, ring = _rings(separation, good, n_bins, bin_width)
    table, number = _frame(edges, ring)
    masses, mass_sd = _sums(mass, mass_error, good, ring, number.size, correlated)
    lights, light_sd = _sums(light, light_error, good, ring, number.size, correlated)
    unit = u.Msun / u.Lsun
    ratio, summed = _ratio(masses, lights), _ratio(np.cumsum(masses), np.cumsum(lights))
    table['mass_to_light'] = ratio * unit
    table['cumulative_mass_to_light'] = summed * unit
    if mass_errors is not None or light_errors is not None:
        table['mass_to_light_error'] = np.hypot(mass_sd, ratio * light_sd) / np.abs(lights) * unit
        sums = np.cumsum(lights)
        table['cumulative_mass_to_light_error'] = np.hypot(
            _cumulative_error(mass_sd, correlated),
            summed * _cumulative_error(light_sd, correlated)) / np.abs(sums) * unit
    return table


def half_mass_radius(mass_map, *, center=None, pixel_scale=MapGrid.pixel_scale, mask=None):
    """Half-mass radius on the sky: the separation from a centre that contains half of the mass in the map.

    For a cluster larger than the field this is less than its projected half-mass radius. The mass of a pixel
    is placed at its middle. Masked pixels get the mean of the good pixels at the same distance from the
    centre, to within a pixel.

    Parameters
    ----------
    mass_map, center, pixel_scale, mask
        As in `mass_profile`.

    Returns
    -------
    `~astropy.units.Quantity`
        An angle [arcsec].

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        As in `mass_profile`; if the sum of the mass is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy import units as u
    >>> from pidoc.prediction import half_mass_radius
    >>> y, x = np.indices((160, 160)) - 79.5
    >>> radius = half_mass_radius(np.exp(-0.5 * (x**2 + y**2) / 12**2) * u.Msun)
    >>> print(f'{radius:.1f}')  # 12 pixels times (2 ln 2)^(1/2)
    3.5 arcsec
    """
    mass, good = _map(mass_map, u.Msun, 'mass_map', mask)
    scale, separation = _separation(mass.shape, center, pixel_scale)
    if not good.all():
        mass = _filled(mass, good, np.floor(separation / scale).astype(int))
    order = np.argsort(separation, axis=None, kind='stable')
    place, each = separation.ravel()[order], mass.ravel()[order]
    total = each.sum()
    if not total > 0.0:
        raise ValueError(f'the sum of mass_map must be positive, received {total} Msun')
    # pixels equally far are one step; half of a step lies inside its own place
    place, first = np.unique(place, return_index=True)
    steps = np.add.reduceat(each, first)
    inside = np.cumsum(steps) - 0.5 * steps
    return float(np.interp(0.5 * total, inside, place)) * u.arcsec


# -- the way in -----------------------------------------------------------------------------------


def _map(values, unit, name, mask):
    """Plain numbers, 0 where a pixel does not count, and where it does."""
    if not isinstance(values, u.Quantity):
        raise TypeError(f'{name} must be an astropy Quantity in {unit}, received {type(values).__name__}')
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f'{name} must have two dimensions, received the shape {values.shape}')
    try:
        plain = np.array(values.to_value(unit), dtype=float)
    except u.UnitConversionError:
        raise u.UnitConversionError(f'{name} must have a unit that converts to {unit}, received '
                                    f"'{values.unit}'") from None
    good = ~np.isnan(plain)
    if mask is not None:
        good &= ~_mask(mask, plain.shape)
    if not good.any():
        raise ValueError(f'{name} must have a pixel that counts, received {plain.size} masked ones')
    if not np.isfinite(plain[good]).all():
        raise ValueError(f'{name} must not be infinite where it is not masked')
    plain[~good] = 0.0
    return plain, good


def _mask(mask, shape):
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(f'mask must be boolean, received {mask.dtype}')
    if mask.shape != shape:
        raise ValueError(f'mask must have the shape of the map, {shape}, received {mask.shape}')
    return mask


def _errors(errors, unit, name, shape, good):
    """Plain numbers, 0 where a pixel does not count or no errors were given."""
    if errors is None:
        return np.zeros(shape)
    if np.shape(errors) != shape:
        raise ValueError(f'{name} must have the shape of the map, {shape}, received {np.shape(errors)}')
    if not isinstance(errors, u.Quantity):
        raise TypeError(f'{name} must be an astropy Quantity in {unit}, received {type(errors).__name__}')
    to_value(errors[good], unit, name, non_negative=True)
    return np.where(good, errors.to_value(unit), 0.0)


def _luminosity(light_map, distance, mask, shape):
    """Light map as luminosity [Lsun]."""
    if isinstance(light_map, u.Quantity) and light_map.shape != shape:
        raise ValueError(f'light_map must have the shape of mass_map, {shape}, received {light_map.shape}')
    return _map(_to_luminosity(light_map, distance), u.Lsun, 'light_map', mask)


def _to_luminosity(light, distance):
    if not (isinstance(light, u.Quantity) and light.unit.is_equivalent(u.Lsun / u.kpc**2)):
        return light
    if distance is None:
        raise ValueError(f"a light_map in '{light.unit}' is a flux: distance must be given, received None")
    return light * (4.0 * np.pi * (to_value(distance, u.kpc, 'distance', positive=True) * u.kpc) ** 2)


def _light_errors(errors, light_map, distance, shape, good):
    if isinstance(errors, u.Quantity) and errors.unit.is_equivalent(light_map.unit):
        errors = _to_luminosity(errors, distance)
    return _errors(errors, u.Lsun, 'light_errors', shape, good)


def _separation(shape, center, pixel_scale):
    """Side of a pixel, and how far every pixel is from the centre [arcsec]."""
    scale = scalar_value(pixel_scale, u.arcsec, 'pixel_scale', positive=True)
    if center is None:
        center = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    place = np.asarray(center, dtype=float)
    if place.shape != (2,) or not np.isfinite(place).all():
        raise ValueError(f'center must be two numbers, x and y in pixels, received {center!r}')
    y, x = np.indices(shape, dtype=float)
    return scale, scale * np.hypot(x - place[0], y - place[1])


def _rings(separation, good, n_bins, bin_width):
    """Edges of the rings, and the ring of each pixel: -1 if it does not count."""
    n_bins = whole_number(n_bins, 'n_bins', at_least=1)
    if bin_width is None:
        # a map of one pixel at the centre has no extent
        width = separation.max() / n_bins or 1.0
    else:
        width = to_value(bin_width, u.arcsec, 'bin_width', positive=True)
    edges = width * np.arange(n_bins + 1)
    ring = np.minimum(np.floor(separation / width).astype(int), n_bins)
    if bin_width is None:
        ring = np.minimum(ring, n_bins - 1)
    ring[(ring == n_bins) | ~good] = -1
    return edges, ring


# -- sums -----------------------------------------------------------------------------------------


def _frame(edges, ring):
    """Columns that every profile has, and the numbers of pixels as floats."""
    number = np.bincount(ring[ring >= 0], minlength=edges.size - 1)
    table = QTable({'separation_low': edges[:-1] * u.arcsec,
                    'separation': 0.5 * (edges[:-1] + edges[1:]) * u.arcsec,
                    'separation_high': edges[1:] * u.arcsec, 'n_pixels': number})
    return table, number.astype(float)


def _sums(values, errors, good, ring, n_bins, correlated):
    """Sum of each ring, and its error."""
    inside = good & (ring >= 0)
    total = np.bincount(ring[inside], weights=values[inside], minlength=n_bins)
    if correlated:
        return total, np.bincount(ring[inside], weights=errors[inside], minlength=n_bins)
    return total, np.sqrt(np.bincount(ring[inside], weights=errors[inside] ** 2, minlength=n_bins))


def _cumulative_error(errors, correlated):
    return np.cumsum(errors) if correlated else np.sqrt(np.cumsum(errors**2))


def _ratio(above, below):
    """NaN where the lower one is not positive."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0.0)


def _filled(mass, good, ring):
    number = np.bincount(ring[good], minlength=ring.max() + 1)
    total = np.bincount(ring[good], weights=mass[good], minlength=ring.max() + 1)
    have = np.flatnonzero(number)
    mean = np.interp(np.arange(number.size), have, total[have] / number[have])
    return np.where(good, mass, mean[ring])
