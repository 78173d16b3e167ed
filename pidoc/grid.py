# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The grid of the maps, `MapGrid`: pixels, smoothing, channels of light and their bands; units of the maps.

Every model, training set and mock has a grid. The default is that of Chardin & Bianchini (2021): 40 arcsec on
160 x 160 pixels of 0.25 arcsec, in V, smoothed with a Gaussian of 4 pixels.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

from pidoc.photometry import BANDS
from pidoc.units import plain_number, scalar_value, to_value

if TYPE_CHECKING:
    from typing import Any

    from astropy.nddata import CCDData

__all__ = ['APPARENT_FLUX', 'Channel', 'FIELDS', 'GAUSSIAN_END', 'MASS_PER_PIXEL', 'MapGrid', 'tangent_plane']

APPARENT_FLUX = u.Lsun / u.kpc**2
"""Unit of the light map: F = L / (4 pi d^2), per pixel."""

MASS_PER_PIXEL = u.Msun
"""Unit of the mass map, per pixel."""

GAUSSIAN_END = 5.0
"""Truncation radius of the Gaussian of the smoothing, in standard deviations."""

FIELDS = 1.0, 1.6, 2.5, 4.0
"""Widths of the fields of `MapGrid.holding`, relative to that of the grid."""

_MOST_PIXELS = 8192        # per side
_SEEING = np.array([2.0, 6.0])    # pixels
_WHOLE = 1e-6              # negligible relative difference from a whole number of pixels
_SAME = 1e-3               # negligible relative difference of pixel scales


def tangent_plane(position, shape, scale, *, shift=(0.0, 0.0)):
    """World coordinates of square pixels, north up and east to the left.

    Parameters
    ----------
    position : tuple of float
        Right ascension and declination [deg], ICRS, of the centre.
    shape : tuple of int
        Rows and columns.
    scale : float
        Side of a pixel [arcsec].
    shift : tuple of float, optional
        Offset of the position, to the right of and above the centre [arcsec].

    Returns
    -------
    `~astropy.wcs.WCS`
    """
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ['RA---TAN', 'DEC--TAN']
    wcs.wcs.cunit = ['deg', 'deg']
    wcs.wcs.crval = position
    wcs.wcs.cdelt = [-scale / 3600.0, scale / 3600.0]
    wcs.wcs.crpix = [(n + 1) / 2 + move / scale for n, move in zip(reversed(shape), shift)]
    wcs.wcs.radesys = 'ICRS'
    wcs.array_shape = shape
    return wcs


@dataclass(frozen=True)
class Channel:
    """One image of the light in a map.

    Parameters
    ----------
    band : str, optional
        One of `pidoc.photometry.BANDS`.
    smoothed : bool, optional
        Whether it is smoothed like the mass map, or only by the PSF.

    Raises
    ------
    ValueError
        If the band is not known.

    Examples
    --------
    >>> from pidoc.grid import Channel, MapGrid
    >>> print(MapGrid(channels=(Channel('r'), Channel('r', smoothed=False))))
    160 x 160 pixels of 0.25 arcsec in r, r (sharp), smoothed with 4 pixels
    """

    band: str = 'V'
    smoothed: bool = True

    def __post_init__(self):
        if self.band not in BANDS:
            raise ValueError(f'band must be one of {", ".join(BANDS)}, received {self.band!r}')


@dataclass(frozen=True, kw_only=True)
class MapGrid:
    """Pixels, smoothing and channels of maps of light and mass.

    Parameters
    ----------
    shape : tuple of int, optional
        Rows and columns.
    pixel_scale : `~astropy.units.Quantity`, optional
        Side of a pixel.
    smoothing : float, optional
        Standard deviation of the Gaussian that smooths the maps [pixels].
    channels : tuple of `Channel`, optional
        The images of the light, in the order of the input of the networks.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If a value has a wrong type or is invalid.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.grid import MapGrid
    >>> print(MapGrid())
    160 x 160 pixels of 0.25 arcsec in V, smoothed with 4 pixels
    >>> MapGrid.of_field(160 * u.arcsec, pixel_scale=1 * u.arcsec, smoothing=1.0).shape
    (160, 160)
    """

    shape: tuple[int, int] = (160, 160)
    pixel_scale: u.Quantity = 0.25 * u.arcsec
    smoothing: float = 4.0
    channels: tuple[Channel, ...] = (Channel(),)

    def __post_init__(self):
        shape = tuple(self.shape)
        if len(shape) != 2 or not all(isinstance(n, Integral) and 1 <= n <= _MOST_PIXELS for n in shape):
            raise ValueError(f'shape must be two whole numbers from 1 to {_MOST_PIXELS}, received '
                             f'{self.shape!r}')
        scale = scalar_value(self.pixel_scale, u.arcsec, 'pixel_scale', positive=True)
        plain_number(self.smoothing, 'smoothing', at_least=0, of='pixels')
        if self.smoothing > max(shape):
            raise ValueError(f'smoothing must be of no more pixels than the map has, {max(shape)}, received '
                             f'{self.smoothing:g}')
        channels = tuple(self.channels)
        if not channels or not all(isinstance(channel, Channel) for channel in channels):
            raise ValueError(f'channels must be at least one Channel, received {self.channels!r}')
        for name, value in (('shape', tuple(map(int, shape))), ('pixel_scale', scale * u.arcsec),
                            ('smoothing', float(self.smoothing)), ('channels', channels)):
            object.__setattr__(self, name, value)

    def __str__(self):
        lights = ', '.join(each.band + ('' if each.smoothed else ' (sharp)') for each in self.channels)
        blur = f'smoothed with {self.smoothing:g} pixels' if self.smoothing else 'not smoothed'
        return f'{self.nx} x {self.ny} pixels of {self.scale:g} arcsec in {lights}, {blur}'

    @classmethod
    def of_field(cls, field_of_view: u.Quantity | str | None = None, *,
                 pixel_scale: u.Quantity | str | None = None, smoothing: float | None = None,
                 band: str | None = None, grid: MapGrid | None = None) -> MapGrid:
        """A grid with a given angular size; other properties are those of another grid.

        Parameters
        ----------
        field_of_view : `~astropy.units.Quantity`, optional
            One angle, or two: width and height. It must be a whole number of pixels.
        pixel_scale : `~astropy.units.Quantity`, optional
            Side of a pixel.
        smoothing : float, optional
            Standard deviation of the Gaussian [pixels].
        band : str, optional
            Band of the only channel of light.
        grid : `MapGrid`, optional
            The other grid; by default ``MapGrid()``.

        Returns
        -------
        MapGrid

        Raises
        ------
        TypeError, `~astropy.units.UnitConversionError`, ValueError
            As for `MapGrid`; or if the field is not a whole number of pixels.

        Examples
        --------
        >>> from astropy import units as u
        >>> from pidoc.grid import MapGrid
        >>> print(MapGrid.of_field(40 * u.arcsec, pixel_scale=0.5 * u.arcsec, band='r'))
        80 x 80 pixels of 0.5 arcsec in r, smoothed with 4 pixels
        """
        grid = cls() if grid is None else grid
        changes: dict[str, Any] = {} if smoothing is None else {'smoothing': smoothing}
        if band is not None:
            changes['channels'] = (Channel(band),)
        if field_of_view is None and pixel_scale is None:
            return replace(grid, **changes)
        scale = grid.scale if pixel_scale is None else scalar_value(pixel_scale, u.arcsec, 'pixel_scale',
                                                                    positive=True)
        field = grid.field_of_view if field_of_view is None else field_of_view
        angles = np.atleast_1d(to_value(field, u.arcsec, 'field_of_view', positive=True))
        if angles.shape not in ((1,), (2,)):
            raise ValueError(f'field_of_view must be one angle or two, received {field}')
        number = angles / scale
        if np.any(np.abs(number - np.round(number)) > _WHOLE * number) or np.any(number < 0.5):
            raise ValueError(f'field_of_view must be a whole number of pixels of {scale:g} arcsec, received '
                             f'{field}')
        if number.max() > _MOST_PIXELS:
            raise ValueError(f'field_of_view must be of at most {_MOST_PIXELS} pixels to a side, received '
                             f'{number.max():.4g}')
        nx, ny = int(round(number[0])), int(round(number[-1]))
        return replace(grid, shape=(ny, nx), pixel_scale=scale * u.arcsec, **changes)

    @property
    def ny(self) -> int:
        """Number of rows."""
        return self.shape[0]

    @property
    def nx(self) -> int:
        """Number of columns."""
        return self.shape[1]

    @property
    def scale(self) -> float:
        """Side of a pixel as a plain number [arcsec]."""
        return float(self.pixel_scale.value)

    @property
    def field_of_view(self) -> u.Quantity:
        """Width and height."""
        return [self.nx, self.ny] * self.pixel_scale

    @property
    def reach(self) -> float:
        """Half of the diagonal as a plain number [arcsec]."""
        return 0.5 * math.hypot(self.nx, self.ny) * self.scale

    @property
    def seeing_range(self) -> u.Quantity:
        """Best and worst seeing (FWHM) that networks learn from: 2 and 6 pixels.

        For pixels of 0.25 arcsec these are 0.5 and 1.5 arcsec, as in Chardin & Bianchini (2021), table 1.
        """
        return _SEEING * self.pixel_scale

    @property
    def band(self) -> str:
        """Band of the first channel."""
        return self.channels[0].band

    def wcs(self, position: tuple[float, float], *, margin: int = 0,
            shift: tuple[float, float] = (0.0, 0.0)) -> WCS:
        """Tangent plane with a given tangent point, north up and east to the left.

        Parameters
        ----------
        position : tuple of float
            Right ascension and declination [deg], ICRS.
        margin : int, optional
            Margin around the grid [pixels].
        shift : tuple of float, optional
            Offset of the position, to the right of and above the centre of the grid [arcsec].

        Returns
        -------
        `~astropy.wcs.WCS`
        """
        shape = self.ny + 2 * margin, self.nx + 2 * margin
        return tangent_plane(position, shape, self.scale, shift=shift)

    def holds(self, image: CCDData) -> bool:
        """Whether an image is a map on this grid already, judged by shape, unit, pixels, band and smoothing.

        Parameters
        ----------
        image : `~astropy.nddata.CCDData`
            Properties that are not in its world coordinates and ``meta`` (PIXSCALE, BAND, SMOOTH) are assumed
            to be those of the grid.

        Returns
        -------
        bool
        """
        if image.shape != self.shape or image.unit is None or not image.unit.is_equivalent(APPARENT_FLUX):
            return False
        scale = _scale_of(image)
        if scale is not None and abs(scale / self.scale - 1.0) > _SAME:
            return False
        return (image.meta.get('BAND', self.band) == self.band
                and image.meta.get('SMOOTH', self.smoothing) == self.smoothing)

    def resized(self, image: CCDData) -> MapGrid | None:
        """The grid of a map that differs from this one only in the pixel scale; None if it differs in more.

        Parameters
        ----------
        image : `~astropy.nddata.CCDData`
            For another pixel scale its ``meta`` must have its smoothing [pixels] (SMOOTH).

        Returns
        -------
        MapGrid or None
        """
        if self.holds(image):
            return self
        scale = _scale_of(image)
        if scale is None or image.meta.get('SMOOTH') is None:
            return None
        grid = replace(self, pixel_scale=scale * u.arcsec)
        return grid if grid.holds(image) else None

    def holding(self, radius: u.Quantity, *, largest: u.Quantity = np.inf * u.arcsec,
                distance: u.Quantity | None = None, farthest: u.Quantity = np.inf * u.kpc) -> MapGrid:
        """The grid with as many pixels and a field that is twice as wide as a radius.

        Parameters
        ----------
        radius : `~astropy.units.Quantity`
            Half-light radius of a cluster.
        largest : `~astropy.units.Quantity`, optional
            Largest width of the field.
        distance, farthest : `~astropy.units.Quantity`, optional
            Distance to the cluster, if it is known, and the largest that it may have for a network, to which
            larger pixels are a larger distance (`pidoc.networks.variables.ZOOM`).

        Returns
        -------
        MapGrid
            With the smallest of `FIELDS` times the field of this one that is wide enough, or else the largest
            of them that is allowed.

        Examples
        --------
        >>> from astropy import units as u
        >>> from pidoc.grid import MapGrid
        >>> print(MapGrid().holding(45 * u.arcsec))
        160 x 160 pixels of 0.625 arcsec in V, smoothed with 4 pixels
        """
        width = self.field_of_view.min()
        if distance is not None:
            largest = min(largest, farthest / distance * width)
        wide_enough = [factor for factor in FIELDS if factor * width >= 2.0 * radius][:1]
        allowed = [factor for factor in FIELDS if factor == 1.0 or factor * width <= largest]
        factor = min([*wide_enough, allowed[-1]])
        return replace(self, pixel_scale=factor * self.pixel_scale)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and texts, for JSON; the pixel scale is in arcsec.

        Returns
        -------
        dict

        Examples
        --------
        >>> from pidoc.grid import MapGrid
        >>> MapGrid().to_dict()['shape'], MapGrid.from_dict(MapGrid().to_dict()) == MapGrid()
        ([160, 160], True)
        """
        return {'shape': list(self.shape), 'pixel_scale': self.scale, 'smoothing': self.smoothing,
                'channels': [asdict(channel) for channel in self.channels]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MapGrid:
        """The inverse of `to_dict`.

        Parameters
        ----------
        values : dict

        Returns
        -------
        MapGrid

        Raises
        ------
        ValueError
            If a field is missing, unknown or invalid.
        """
        try:
            return cls(**{**values, 'pixel_scale': u.Quantity(values['pixel_scale'], u.arcsec),
                          'channels': tuple(Channel(**channel) for channel in values['channels'])})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError('a grid must have shape, pixel_scale, smoothing and channels, received '
                             f'{values!r}: {error}') from error


def _scale_of(image):
    """Side of a pixel [arcsec], by the world coordinates or the header; None if neither has it."""
    if image.wcs is not None and image.wcs.has_celestial:
        return float(np.mean(proj_plane_pixel_scales(image.wcs))) * 3600.0
    scale = image.meta.get('PIXSCALE')
    return None if scale is None else float(scale)
