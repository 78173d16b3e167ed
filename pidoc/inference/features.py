# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Physical quantities of light maps that define the training domain: `~pidoc.inference.features.features`."""

import math
from dataclasses import dataclass

import numpy as np

from pidoc.grid import MapGrid
from pidoc.units import plain_number

__all__ = ['FEATURES', 'Feature', 'features', 'GIVEN', 'on_scale']

_CHUNK = 32                # maps processed at a time, which fit into the cache
_TINY = 1e-6               # lower limit of fractions and ratios before taking the logarithm
_PARSEC = math.radians(1.0 / 3600.0) * 1e3    # in one arcsec at one kpc


@dataclass(frozen=True)
class Feature:
    """A quantity of an image.

    Parameters
    ----------
    name, description, unit : str
    log : bool
        Whether its range is in its logarithm.
    from_zero : bool
        Whether its range begins at 0, because no value is too small.
    """

    name: str
    description: str
    unit: str = ''
    log: bool = True
    from_zero: bool = False

    def inside(self, value):
        """The value on the scale of ranges."""
        return np.log10(np.maximum(value, 1e-30)) if self.log else value

    def outside(self, number):
        return 10.0**number if self.log else number


FEATURES = (
    Feature('total_flux', 'flux in the field', 'Lsun/kpc2'),
    Feature('flux_2', 'share of the flux within 2" of the peak', log=False),
    Feature('flux_5', 'share of the flux within 5" of the peak', log=False),
    Feature('flux_10', 'share of the flux within 10" of the peak', log=False),
    Feature('half_light_radius', 'radius of half of the flux in the field', 'arcsec'),
    Feature('contrast', 'ratio of the brightness within 2" of the peak to that at the edge'),
    Feature('clumpiness', 'rms of structure of about 1", over the mean'),
    Feature('granularity', 'share of a typical star in the flux, from the scatter within rings'),
    Feature('asymmetry', 'share of the flux within 10" that changes in half a turn', log=False),
    Feature('sharpness', 'ratio of structure in single pixels to that of 1": smoothing and PSF'),
    Feature('noise', 'scatter near the edge, in a pixel', 'Lsun/kpc2'),
    # training maps are seldom centred as well as images are
    Feature('offset', 'distance of the peak from the middle of the field', 'arcsec', log=False,
            from_zero=True),
    Feature('sharp_scatter', 'rms of what the smoothing took away, over the mean'),
    Feature('seeing', 'full width at half maximum of the PSF', 'arcsec', log=False),
    Feature('pixel_scale', 'side of a pixel', 'arcsec', log=False),
    Feature('distance', 'distance that was given', 'kpc'),
    Feature('luminosity', 'luminosity in the field at that distance', 'Lsun'),
    Feature('size', 'radius of half of the light in the field at that distance', 'pc'),
    Feature('age', 'age that was given', 'Gyr', log=False),
    Feature('metallicity', '[Fe/H] that was given', log=False),
    Feature('velocity_dispersion', 'velocity dispersion that was given', 'km/s'),
    Feature('b_v', 'colour B - V that was given', 'mag', log=False),
    Feature('mass_function_slope', 'slope of the mass function that was given', log=False),
)
"""The quantities, in this order. The last eleven are used only if they are known."""

_BY_NAME = {feature.name: feature for feature in FEATURES}

GIVEN = 'age', 'metallicity', 'velocity_dispersion', 'b_v', 'mass_function_slope'
"""Quantities that are not measured in the image, but given."""


def features(light, *, sharp=None, pixel_scale=MapGrid.pixel_scale.value, seeing=None, distance=None):
    """Measure the quantities of `FEATURES`.

    "Brightest place" is the maximum of the map after smoothing with a Gaussian of 3", which is insensitive to
    single giants. Structure of 1" is the map minus itself smoothed with a Gaussian of 1". The granularity is
    the sum over annuli of 1.5" to 12" of the squared scatter of that structure in the annulus, divided by the
    flux of the annuli: as in surface brightness fluctuations (Tonry & Schneider 1988) this is the flux of a
    typical star, up to a factor that depends on the PSF. Relative to the flux of the field it is about one
    over the number of luminous stars.

    Parameters
    ----------
    light : ndarray, shape (n, ny, nx)
        Apparent flux per pixel [Lsun/kpc^2], smoothed as in training, finite; even numbers of pixels, at
        least 16.
    sharp : ndarray, shape (n, ny, nx), optional
        The same before smoothing.
    pixel_scale : float, optional
        [arcsec].
    seeing, distance : ndarray of shape (n,) or float, optional
        [arcsec] and [kpc]; NaN if not known.

    Returns
    -------
    dict
        Name -> float array of shape (n,), in the units of `FEATURES`; NaN if not known, as for all of
        `GIVEN`, and in maps without flux.

    Raises
    ------
    ValueError
        If a shape is invalid, a pixel of ``light`` not finite, or ``pixel_scale`` not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from pidoc.inference.features import features
    >>> y, x = np.indices((160, 160)) - 79.5
    >>> light = 1e-4 * np.exp(-0.5 * (x**2 + y**2) / 16**2)
    >>> found = features(light[np.newaxis])
    >>> print(f"{found['total_flux'][0]:.4f}, {found['half_light_radius'][0]:.1f} arcsec")
    0.1608, 4.8 arcsec
    """
    light = np.asarray(light)
    if light.ndim != 3 or min(light.shape[1:]) < 16 or light.shape[1] % 2 or light.shape[2] % 2:
        raise ValueError('light must have the shape (n, ny, nx) with even numbers of pixels, at least 16, '
                         f'received {light.shape}')
    if not np.all(np.isfinite(light)):
        raise ValueError('the pixels of light must be finite, received '
                         f'{np.count_nonzero(~np.isfinite(light))} that are not')
    if sharp is not None and np.shape(sharp) != light.shape:
        raise ValueError(f'sharp must have the shape of light, {light.shape}, received {np.shape(sharp)}')
    plain_number(pixel_scale, 'pixel_scale', above=0, of='arcsec')
    number = len(light)
    found = {feature.name: np.full(number, np.nan) for feature in FEATURES}
    for name, values in (('seeing', seeing), ('distance', distance)):
        if values is not None:
            found[name][:] = values
    found['pixel_scale'][:] = pixel_scale
    rulers = _rulers(light.shape[1:], pixel_scale)
    for start in range(0, number, _CHUNK):
        part = slice(start, start + _CHUNK)
        shining = np.flatnonzero(np.sum(light[part], axis=(1, 2), dtype=float) > 0.0)
        if shining.size:
            unsmoothed = None if sharp is None else np.asarray(sharp[part])[shining]
            measured = _measure(light[part][shining], unsmoothed, pixel_scale, rulers)
            for name, values in measured.items():
                found[name][start + shining] = values
    found['luminosity'] = 4.0 * np.pi * found['distance']**2 * found['total_flux']
    found['size'] = _PARSEC * found['distance'] * found['half_light_radius']
    return found


def on_scale(measured, names):
    """Quantities on the scales of their ranges.

    Parameters
    ----------
    measured : dict
        Result of `features`.
    names : sequence of str

    Returns
    -------
    ndarray, shape (n, len(names))
    """
    return np.column_stack([_BY_NAME[name].inside(np.asarray(measured[name], dtype=float)) for name in names])


def _rulers(shape, pixel_scale):
    """Quantities that depend only on the grid: smoothing matrices, for blocks of 2 x 2 pixels."""
    side = 2.0 * pixel_scale
    return [[_smoothing(n // 2, sigma / side) for n in shape] for sigma in (1.0, 3.0)]


def _smoothing(number, sigma):
    place = np.arange(number)
    matrix = np.exp(-0.5 * ((place[:, np.newaxis] - place) / sigma) ** 2)
    return (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32)


def _measure(light, sharp, pixel_scale, rulers):
    """Features of maps with flux."""
    number, pixels = len(light), light.shape[1] * light.shape[2]
    total = light.sum(axis=(1, 2), dtype=float)
    mean = total / pixels
    full = (light / mean[:, np.newaxis, np.newaxis]).astype(np.float32)
    # smoothing with 1" loses nothing in blocks of 0.5"
    blocks = 0.25 * (full[:, ::2, ::2] + full[:, 1::2, ::2] + full[:, ::2, 1::2] + full[:, 1::2, 1::2])
    (rows, columns), (wide_rows, wide_columns) = rulers
    structure = blocks - rows @ blocks @ columns.T
    power = np.maximum(np.mean(structure**2, axis=(1, 2), dtype=float), _TINY**2)
    curvature = _curvature(full)
    edge = _edge(blocks.shape[1:], 2.0 * pixel_scale)
    near_edge = structure.reshape(number, -1)[:, edge]
    found = {'total_flux': total, 'clumpiness': np.sqrt(power),
             'sharpness': np.sqrt(np.mean(curvature**2, axis=(1, 2), dtype=float) / power),
             'noise': 1.4826 * np.median(np.abs(near_edge), axis=1) * mean}
    wide = (wide_rows @ blocks @ wide_columns.T).reshape(number, -1)
    peaks = np.column_stack(np.unravel_index(wide.argmax(axis=1), blocks.shape[1:]))
    middle = (np.array(blocks.shape[1:]) - 1) / 2
    centers = peaks + _vertex(wide.reshape(blocks.shape), peaks)
    found['offset'] = np.hypot(*(centers - middle).T) * 2.0 * pixel_scale
    found |= _radial(blocks, structure, centers, 2.0 * pixel_scale)
    outside = np.median(blocks.reshape(number, -1)[:, edge], axis=1)
    inside = found['flux_2'] * blocks[0].size / (np.pi * (1.0 / pixel_scale) ** 2)
    found['contrast'] = inside / np.maximum(outside, 1e-4)
    if sharp is not None:
        found['sharp_scatter'] = np.sqrt(np.mean((sharp - light) ** 2, axis=(1, 2), dtype=float)) / mean
    return found


def _vertex(maps, peaks):
    """From the brightest pixel to the maximum of the parabolas through it and its neighbours, [y, x]."""
    moved = np.zeros(peaks.shape)
    each = np.arange(len(maps))
    for axis in (0, 1):
        step = np.eye(2, dtype=int)[axis]
        inner = (peaks[:, axis] > 0) & (peaks[:, axis] < maps.shape[1 + axis] - 1)
        k, place = each[inner], peaks[inner]
        below, here, above = (maps[k, *(place + d * step).T].astype(float) for d in (-1, 0, 1))
        bend = below - 2.0 * here + above
        shift = np.divide(0.5 * (below - above), bend, out=np.zeros_like(bend), where=bend < 0.0)
        moved[inner, axis] = np.clip(shift, -0.5, 0.5)
    return moved


def _curvature(full):
    """Discrete Laplace operator at every second pixel."""
    inner = full[:, 1:-1:2, 1:-1:2]
    return (full[:, 1:-1:2, :-2:2] + full[:, 1:-1:2, 2::2] + full[:, :-2:2, 1:-1:2] + full[:, 2::2, 1:-1:2]
            - 4.0 * inner)


def _edge(shape, side):
    """Indices of the blocks within 5" of the edge of the field."""
    width = max(1, min(round(5.0 / side), min(shape) // 4))
    ring = np.ones(shape, dtype=bool)
    ring[width:-width, width:-width] = False
    return np.flatnonzero(ring)


def _radial(blocks, structure, centers, side):
    """Features about the brightest position; blocks have a mean of 1."""
    names = ('flux_2', 'flux_5', 'flux_10', 'half_light_radius', 'granularity', 'asymmetry')
    found = {name: np.empty(len(blocks)) for name in names}
    rows, columns = (np.arange(n, dtype=np.float32) for n in blocks.shape[1:])
    first, last = 1.5 / side, 12.0 / side
    for k, (center, block) in enumerate(zip(centers, blocks, strict=True)):
        away = np.sqrt((rows - center[0])[:, np.newaxis] ** 2 + (columns - center[1]) ** 2).ravel()
        ring = (away + 0.5).astype(np.intp)
        flux, number = np.bincount(ring, block.ravel()), np.bincount(ring)
        share = np.cumsum(flux) / block.size
        reach = (np.arange(share.size) + 0.5) * side
        for radius in (2, 5, 10):
            found[f'flux_{radius}'][k] = np.interp(radius, reach, share)
        # after sky subtraction the fraction need not increase everywhere
        found['half_light_radius'][k] = np.interp(0.5, np.maximum.accumulate(share), reach)
        number = np.maximum(number, 1)
        profile = np.bincount(ring, structure[k].ravel()) / number
        annulus = np.flatnonzero((away > first) & (away < last))
        scatter = structure[k].ravel()[annulus] - np.interp(
            away[annulus], np.bincount(ring, away) / number, profile)
        ringed = block.ravel()[annulus].sum(dtype=float)
        found['granularity'][k] = np.sum(scatter**2) / ringed / block.size if ringed > 0.0 else np.nan
        around = block[tuple(_about(*each, 10.0 / side) for each in zip(center, block.shape, strict=True))]
        found['asymmetry'][k] = 0.5 * np.abs(around - around[::-1, ::-1]).sum() / np.abs(around).sum()
    found['half_light_radius'] = np.maximum(found['half_light_radius'], 0.1 * side)
    found['granularity'] = np.maximum(found['granularity'], _TINY**2)
    return found


def _about(center, number, half):
    """The pixels within a distance of a centre that have a counterpart opposite to it."""
    # rounded to half a pixel, so that a rotation needs no interpolation
    twice = round(2.0 * center)
    first = max(math.ceil(0.5 * twice - half), 0, twice - number + 1)
    return slice(first, twice - first + 1)
