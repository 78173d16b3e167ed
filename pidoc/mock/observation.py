# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Mock observations: an image of a snapshot's light and the map of its mass, `observe`.

The convention of the light map, called *apparent flux*: the value of a pixel is F = L / (4 pi d^2) in
Lsun/kpc^2, the sum over the stars whose light falls in it, with L in units of the Sun's luminosity in the
band. It is a flux per pixel, not per area on the sky. Chardin & Bianchini (2021) train on its logarithm.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData

from pidoc.cluster.quantities import unit_vector
from pidoc.cluster.snapshot import Snapshot
from pidoc.grid import APPARENT_FLUX, MapGrid, MASS_PER_PIXEL
from pidoc.mock.conditions import Conditions
from pidoc.mock.header import mock_meta
from pidoc.mock.mock import Mock
from pidoc.mock.projection import prepared_stars, turned
from pidoc.mock.psf import Named, psf_kernel
from pidoc.mock.render import Frame, gaussian_margin
from pidoc.units import as_distance, as_quantity, scalar_value, to_value, whole_number

if TYPE_CHECKING:
    from typing import Any

    import numpy.typing as npt

__all__ = ['mock_header', 'observe']

_MAX_SHIFT = 5.0           # arcsec, of a random shift: Chardin & Bianchini (2021), section 2.2
_ARCSEC = math.radians(1.0 / 3600.0)


def observe(snapshot: Snapshot, *, distance: u.Quantity | str, seeing: u.Quantity | str = 1.0 * u.arcsec,
            grid: MapGrid | None = None, field_of_view: u.Quantity | str | None = None,
            pixel_scale: u.Quantity | str | None = None, smoothing: float | None = None,
            band: str | None = None, shift: u.Quantity | str | None = None,
            rotation: u.Quantity | str | None = None, direction: npt.ArrayLike | None = None, psf: Any = None,
            correction: str = 'reed1998', metallicity: float | None = None,
            luminosities: u.Quantity | None = None, center: SkyCoord | None = None, oversampling: int = 1,
            conditions: Conditions | None = None, keep_sharp: bool = True, simulation: str | None = None,
            seed: int = 0) -> Mock:
    """Observe a snapshot: an image of its light, and the map of its mass.

    Based on section 2.2 of Chardin & Bianchini (2021), whose values are the defaults. Stars are projected on
    the sky, all at the cluster's distance, and binned into pixels; the light is convolved with the PSF, the
    mass is not; both are smoothed. Stars outside the field scatter light into it.

    Parameters
    ----------
    snapshot : Snapshot
    distance : `~astropy.units.Quantity`
        Distance to the cluster.
    seeing : `~astropy.units.Quantity`, optional
        Full width at half maximum of the default PSF, a Moffat function with beta = 2.5 that is integrated
        over the pixels and truncated at the radius that contains all but 5e-4 of the light.
    grid : `~pidoc.grid.MapGrid`, optional
        Pixels, smoothing and band; by default those of the paper.
    field_of_view, pixel_scale, smoothing, band : optional
        Override those of ``grid``: see `~pidoc.grid.MapGrid.of_field`. Both maps are smoothed, or none with
        0.
    shift : `~astropy.units.Quantity` or 'random', optional
        Position of the cluster's centre, to the right of and above the centre of the field. 'random': both
        are uniform from -5 to 5 arcsec.
    rotation : `~astropy.units.Quantity` or 'random' or 'any', optional
        Angle of a counter-clockwise rotation of the cluster about the line of sight. 'random': 0, 90, 180 or
        270 degrees; 'any': any angle.
    direction : array-like of 3 or 'random', optional
        Direction to the observer, in the snapshot's coordinates; by default the z axis, with x to the right
        and y up. 'random': isotropic; in a spherical snapshot the directions of all stars are drawn anew.
    psf : array or `~astropy.convolution.Kernel2D` or `~astropy.modeling.Model`, optional
        Another PSF: values in pixels, with an odd number of pixels and the PSF in the central one, or a model
        of astropy or photutils about (0, 0), with parameters in pixels, which is evaluated at the centres of
        pixels out to half the field. It is normalised to a total of 1. ``seeing`` is then ignored.
    correction : str, optional
        See `pidoc.photometry.band_luminosity`.
    metallicity : float, optional
        Metallicity for corrections that depend on it; by default the model's.
    luminosities : `~astropy.units.Quantity`, optional
        Luminosities of the stars in the band [Lsun of the band], in the order of the snapshot, overriding
        those from its columns.
    center : `~astropy.coordinates.SkyCoord`, optional
        Position of the cluster's centre on the sky; by default RA = Dec = 0 (ICRS). North is up, east to the
        left.
    oversampling : int, optional
        Sub-pixels, per side of a pixel, into which stars are binned. With 1 they move to pixel centres.
    conditions : Conditions, optional
        Sky, noise, field stars and other conditions.
    keep_sharp : bool, optional
        Keep the image before smoothing too, as ``sharp``, which some models require.
    simulation : str, optional
        Name of the simulation; by default the model's.
    seed : int, optional
        Seed of all random settings.

    Returns
    -------
    Mock

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If an argument has a wrong type or unit, or is invalid.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.cluster import Snapshot
    >>> from pidoc.mock import observe
    >>> stars = {'x': [0, 0.5] * u.pc, 'y': [0, 0] * u.pc, 'z': [0, 3] * u.pc, 'mass': [0.8, 1.4] * u.Msun,
    ...          'luminosity': [30, 0] * u.Lsun, 'temperature': [5000, 5000] * u.K, 'kind': [3, 13]}
    >>> mock = observe(Snapshot(stars, 12 * u.Gyr), distance=10 * u.kpc)
    >>> print(mock.light.shape, mock.light.unit, f'{mock.total_mass:.3f}')
    (160, 160) solLum / kpc2 2.200 solMass
    """
    if not isinstance(snapshot, Snapshot):
        raise TypeError(f'snapshot must be a Snapshot, received {type(snapshot).__name__}')
    if conditions is not None and not isinstance(conditions, Conditions):
        raise TypeError(f'conditions must be Conditions or None, received {conditions!r}')
    far = scalar_value(as_distance(distance), u.kpc, 'distance', positive=True)
    fine = whole_number(oversampling, 'oversampling', at_least=1)
    seed = whole_number(seed, 'seed', at_least=0)
    streams = np.random.SeedSequence(seed).spawn(4)
    shift_at, shift_mode = _shift(shift, streams[0])
    angle, turn_mode = _rotation(rotation, streams[1])
    toward, view_mode = _direction(direction, streams[2])
    grid = MapGrid.of_field(field_of_view, pixel_scale=pixel_scale, smoothing=smoothing, band=band, grid=grid)
    smoothing, band = grid.smoothing, grid.band
    kernel = psf_kernel(psf, seeing, grid.scale, fine, max(grid.shape))
    frame = Frame(grid.nx, grid.ny, grid.scale, fine, kernel.side // 2, gaussian_margin(smoothing))

    prepared = prepared_stars(snapshot)
    x, y = prepared.project(snapshot, toward, streams[2] if view_mode == 'random' else None)
    x, y = turned(x, y, angle)
    # on the tangent plane: the tangent of the angle from the centre
    arcsec = 1.0 / (1e3 * far * _ARCSEC)
    cells, inside = frame.cells(x * arcsec + shift_at[0], y * arcsec + shift_at[1])
    if luminosities is None:
        light = prepared.light(snapshot, band, correction, metallicity) / (4.0 * np.pi * far**2)
    else:
        light = _given_light(luminosities, snapshot.n_stars) / (4.0 * np.pi * far**2)
    seen = 1.0 if conditions is None else 10.0 ** (-0.4 * conditions.extinction.to_value(u.mag))
    if seen != 1.0:
        light = light * seen
    sky = frame.histogram(cells, light[inside])
    mass = frame.smooth(frame.blocks(frame.histogram(cells, prepared.mass[inside])), smoothing)
    image, mask, sharp, truth = _image(sky, frame, kernel, smoothing, band, conditions, streams[3],
                                       keep_sharp)

    wcs = grid.wcs(_position(center), shift=shift_at)
    name = simulation if simulation is not None else getattr(snapshot.model, 'name', '')
    view = {
        'SIMUL': name, 'AGE': float(snapshot.age.to_value(u.Gyr)), 'DISTANCE': far, 'BAND': band,
        'BCORR': correction, 'BCMETAL': metallicity, 'SMOOTH': smoothing, 'SHIFTX': shift_at[0],
        'SHIFTY': shift_at[1], 'SHIFTBY': shift_mode, 'ROTANGLE': angle, 'ROTBY': turn_mode,
        'VIEWBY': view_mode, 'MOCKSEED': seed}
    if view_mode == 'given' or not snapshot.is_spherical:
        view.update(zip(('VIEWX', 'VIEWY', 'VIEWZ'), toward))
    meta = mock_meta(view, frame, kernel, conditions) | prepared.meta
    if conditions is not None:
        meta['LUMTRUE'] = truth * 4.0 * math.pi * far**2 / seen
    return Mock(light=CCDData(image, unit=APPARENT_FLUX, wcs=wcs, meta=meta, mask=mask),
                mass=CCDData(mass, unit=MASS_PER_PIXEL, wcs=wcs), age=snapshot.age, distance=far * u.kpc,
                psf_fwhm=kernel.fwhm * u.arcsec, simulation=name, seed=seed, band=band,
                sharp=CCDData(sharp, unit=APPARENT_FLUX, wcs=wcs) if keep_sharp else None)


def mock_header(grid, *, shift, simulation, age, distance, seeing, correction, oversampling, rotation, view,
                seed, conditions=None):
    """Header and world coordinates of a mock with the default PSF whose maps were stored without them.

    Parameters
    ----------
    grid : `~pidoc.grid.MapGrid`
    shift, simulation, age, distance, seeing, correction, oversampling, rotation, seed
        Arguments of `observe`, as plain numbers in arcsec, Gyr, kpc and degrees.
    view : array-like of 3
        Direction of the observer, NaN if it was drawn.
    conditions : Conditions, optional

    Returns
    -------
    meta : dict
        Same as ``light.meta`` of a `Mock`.
    wcs : `~astropy.wcs.WCS`
    """
    frame = Frame(grid.nx, grid.ny, grid.scale, oversampling, 0, 0)
    drawn = any(math.isnan(value) for value in view)
    header = {
        'SIMUL': simulation, 'AGE': float(age), 'DISTANCE': float(distance), 'BAND': grid.band,
        'BCORR': correction, 'SMOOTH': grid.smoothing, 'SHIFTX': float(shift[0]), 'SHIFTY': float(shift[1]),
        'SHIFTBY': 'given', 'ROTANGLE': float(rotation), 'ROTBY': 'given',
        'VIEWBY': 'random' if drawn else 'given', 'MOCKSEED': seed}
    if not drawn:
        header.update(zip(('VIEWX', 'VIEWY', 'VIEWZ'), _direction(view, None)[0]))
    kernel = Named('Moffat', float(seeing))
    return mock_meta(header, frame, kernel, conditions), grid.wcs(_position(None), shift=shift)


def _given_light(luminosities, number):
    value = to_value(luminosities, u.Lsun, 'luminosities', non_negative=True)
    if np.shape(value) != (number,):
        raise ValueError(f'luminosities must be one of each of {number} stars, received the shape '
                         f'{np.shape(value)}')
    return value


def _image(sky, frame, kernel, smoothing, band, conditions, stream, keep_sharp):
    """From light in cells to the image, its mask, the image before smoothing, and the cluster's flux in it.

    The last two are None if not requested, or if there are no conditions.
    """
    if conditions is None:
        if not keep_sharp:
            return frame.convolve(sky, kernel, smoothing), None, None, None
        pixels = frame.convolve(sky, kernel, None)
        return frame.smooth(pixels, smoothing), None, frame.cut(pixels), None
    rng = np.random.default_rng(stream)
    pixels = frame.convolve(sky, kernel, None)
    truth = frame.smoothed_sum(pixels, smoothing)
    if conditions.field_stars is not None:
        x, y, flux = conditions._field_star_fluxes(frame, band, rng)
        cells, inside = frame.cells(x, y)
        pixels = frame.convolve(sky + frame.histogram(cells, flux[inside]), kernel, None)
    image, masked = conditions._degrade(pixels, frame, band, rng)
    sharp, mask = frame.cut(image) if keep_sharp else None, frame.cut(masked)
    if not smoothing:
        return image, mask if mask.any() else None, sharp, truth
    if not masked.any():
        return frame.smooth_cut(image, smoothing), None, sharp, truth
    # mean over good pixels only
    share = frame.smooth_cut((~masked).astype(float), smoothing)
    total = frame.smooth_cut(np.where(masked, 0.0, image), smoothing)
    result = np.full(share.shape, np.nan)
    np.divide(total, share, out=result, where=share > 1e-12)
    return result, mask if mask.any() else None, sharp, truth


def _shift(shift, stream):
    """Arcsec to the right and up, and the mode: given or random."""
    if shift is None:
        return (0.0, 0.0), 'given'
    if isinstance(shift, str) and shift == 'random':
        return tuple(np.random.default_rng(stream).uniform(-_MAX_SHIFT, _MAX_SHIFT, 2).tolist()), 'random'
    value = to_value(_quantity(shift, u.arcsec, 'shift', "'random'"), u.arcsec, 'shift')
    if np.shape(value) != (2,):
        raise ValueError(f'shift must be two angles, received {shift}')
    return tuple(value.tolist()), 'given'


def _rotation(rotation, stream):
    """Degrees, and the mode: given or random."""
    if rotation is None:
        return 0.0, 'given'
    if isinstance(rotation, str) and rotation in ('random', 'any'):
        rng = np.random.default_rng(stream)
        turn = 90.0 * int(rng.integers(4)) if rotation == 'random' else float(rng.uniform(0.0, 360.0))
        return turn, rotation
    return scalar_value(_quantity(rotation, u.deg, 'rotation', "'random', 'any'"), u.deg, 'rotation'), 'given'


def _quantity(given, unit, name, words):
    """What is given, if not one of some words, as a quantity."""
    try:
        return as_quantity(given, unit, name)
    except ValueError:
        raise ValueError(f'{name} must be a Quantity, {words} or None, received {given!r}') from None


def _direction(direction, stream):
    """Unit vector towards the observer, and the mode: given or random."""
    if direction is None:
        return (0.0, 0.0, 1.0), 'given'
    if isinstance(direction, str):
        if direction != 'random':
            raise ValueError(f"direction must be three numbers, 'random' or None, received {direction!r}")
        rng = np.random.default_rng(stream)
        height, azimuth = rng.uniform(-1.0, 1.0), rng.uniform(0.0, 2.0 * np.pi)
        flat = math.sqrt(1.0 - height**2)
        return (flat * math.cos(azimuth), flat * math.sin(azimuth), height), 'random'
    return tuple(unit_vector(direction).tolist()), 'given'


def _position(center):
    """Right ascension and declination [deg] of the cluster's centre."""
    if center is None:
        return 0.0, 0.0
    if isinstance(center, SkyCoord) and center.isscalar:
        return center.icrs.ra.deg, center.icrs.dec.deg
    raise TypeError(f'center must be one SkyCoord, received {center!r}')
