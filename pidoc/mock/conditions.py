# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Observing conditions other than the seeing: sky, noise, field stars, extinction, bad pixels."""

from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.table import QTable, Table

from pidoc.grid import APPARENT_FLUX
from pidoc.mock.header import CONDITION_COMMENTS
from pidoc.photometry import apparent_flux
from pidoc.units import as_quantity, plain_number, scalar_value, to_value

__all__ = ['Conditions']

_QUANTITIES = {
    'extinction': (u.mag, {'non_negative': True}), 'sky_angle': (u.deg, {}),
    'calibration_error': (u.mag, {'non_negative': True}), 'sky': (u.mag / u.arcsec**2, {}),
    'zero_point': (u.mag, {}), 'exposure': (u.s, {'positive': True})}
_OPTIONAL = ('sky', 'zero_point', 'exposure')


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """Observing conditions other than the seeing. By default the image is ideal.

    They affect only the light, in this order: extinction (of the cluster), field stars, the PSF, sky, photon
    noise, read noise, saturation, subtraction of the sky, errors of its level and of the calibration, bad
    pixels, and finally the smoothing.

    Parameters
    ----------
    extinction : `~astropy.units.Quantity`, optional
        Extinction of the cluster's light in the band [mag]; field stars have apparent magnitudes.
    sky : `~astropy.units.Quantity`, optional
        Surface brightness of the sky [mag/arcsec^2], in the system of the band.
    sky_gradient : float, optional
        Change of the sky across the width of the field, as a fraction of ``sky``.
    sky_angle : `~astropy.units.Quantity`, optional
        Direction in which the sky increases, counter-clockwise from the x axis.
    subtract_sky : bool, optional
        Subtract ``sky`` at the end, as pipelines do: noise and gradient remain.
    sky_error : float, optional
        Standard error of the subtracted level, in units of the mean light of a pixel of the field; the actual
        error is drawn.
    calibration_error : `~astropy.units.Quantity`, optional
        Standard error of the zero point, or of the extinction, of the image [mag]; the actual error is drawn.
    zero_point : `~astropy.units.Quantity`, optional
        Magnitude of a source of one electron per second. With ``exposure`` it gives photon noise.
    exposure : `~astropy.units.Quantity`, optional
        Exposure time.
    read_noise : float, optional
        Read noise of a pixel, its standard deviation [electrons].
    saturation : float, optional
        Full well of a pixel [electrons]; saturated pixels are masked.
    field_stars : `~astropy.units.Quantity` or `~astropy.table.QTable`, optional
        Either their mean number per area [1/arcmin^2], for a uniform Poisson distribution; or a table with
        columns x and y [arcsec] from the centre of the field and magnitude [mag].
    field_star_magnitudes : `~astropy.units.Quantity`, optional
        Brightest and faintest apparent magnitude of drawn field stars.
    field_star_slope : float, optional
        Slope s of their number counts, dN/dm ~ 10^(s m); 0.6 for an infinite uniform distribution in space.
    bad_pixels : float or array of bool, optional
        Share of pixels that are masked, drawn at random; or a map of them [y, x].

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If a value is invalid, if electrons are involved without ``zero_point`` and ``exposure``, or if there
        is a gradient without ``sky``.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.mock import Conditions
    >>> conditions = Conditions(sky=21.5 * u.mag / u.arcsec**2, zero_point=25 * u.mag, exposure=60 * u.s)
    """

    extinction: u.Quantity = 0.0 * u.mag
    sky: u.Quantity | None = None
    sky_gradient: float = 0.0
    sky_angle: u.Quantity = 0.0 * u.deg
    subtract_sky: bool = True
    sky_error: float = 0.0
    calibration_error: u.Quantity = 0.0 * u.mag
    zero_point: u.Quantity | None = None
    exposure: u.Quantity | None = None
    read_noise: float = 0.0
    saturation: float | None = None
    field_stars: object = None
    field_star_magnitudes: u.Quantity = (14.0, 24.0) * u.mag
    field_star_slope: float = 0.3
    bad_pixels: object = 0.0

    def __post_init__(self):
        for name, (unit, rules) in _QUANTITIES.items():
            value = getattr(self, name)
            if not (value is None and name in _OPTIONAL):
                value = as_quantity(value, unit, name)
                scalar_value(value, unit, name, **rules)
                object.__setattr__(self, name, value)
        plain_number(self.sky_error, 'sky_error', at_least=0)
        plain_number(self.sky_gradient, 'sky_gradient', at_least=-2, at_most=2)
        plain_number(self.read_noise, 'read_noise', at_least=0)
        plain_number(self.field_star_slope, 'field_star_slope')
        if self.saturation is not None and not self.saturation > 0.0:
            raise ValueError(f'saturation must be positive, received {self.saturation!r}')
        if self.sky_gradient and self.sky is None:
            raise ValueError('sky_gradient needs sky, received None')
        if (self.zero_point is None) != (self.exposure is None):
            raise ValueError('zero_point and exposure go together, received only one of them')
        if self.exposure is None and (self.read_noise or self.saturation is not None):
            raise ValueError('read_noise and saturation need zero_point and exposure, received neither')
        self._check_field_stars()
        if np.ndim(self.bad_pixels) == 0 and not 0.0 <= self.bad_pixels < 1.0:
            raise ValueError(f'bad_pixels must be at least 0 and below 1, received {self.bad_pixels!r}')
        if np.ndim(self.bad_pixels) > 0 and np.asarray(self.bad_pixels).dtype != bool:
            raise TypeError('a map of bad_pixels must be boolean, received '
                            f'{np.asarray(self.bad_pixels).dtype}')

    def _check_field_stars(self):
        magnitudes = as_quantity(self.field_star_magnitudes, u.mag, 'field_star_magnitudes')
        object.__setattr__(self, 'field_star_magnitudes', magnitudes)
        limits = to_value(magnitudes, u.mag, 'field_star_magnitudes')
        if np.shape(limits) != (2,) or not limits[0] < limits[1]:
            raise ValueError('field_star_magnitudes must be the brightest and the faintest, received '
                             f'{self.field_star_magnitudes}')
        if isinstance(self.field_stars, Table):
            missing = [name for name in ('x', 'y', 'magnitude') if name not in self.field_stars.colnames]
            if missing:
                raise ValueError('a table of field_stars must have x, y and magnitude, '
                                 f'{", ".join(missing)} not found')
            table = QTable(self.field_stars)
            for name, unit in (('x', u.arcsec), ('y', u.arcsec), ('magnitude', u.mag)):
                to_value(table[name], unit, f'{name} of field_stars')
        elif self.field_stars is not None:
            density = as_quantity(self.field_stars, u.arcmin**-2, 'field_stars')
            scalar_value(density, u.arcmin**-2, 'field_stars', non_negative=True)
            object.__setattr__(self, 'field_stars', density)

    # below: plain arrays, in apparent flux per pixel

    def _field_star_fluxes(self, frame, band, rng):
        """Positions on the frame's fine grid and fluxes of the field stars."""
        if isinstance(self.field_stars, Table):
            table = QTable(self.field_stars)
            x, y = (to_value(table[name], u.arcsec, name) for name in 'xy')
            magnitude = table['magnitude']
        else:
            density = self.field_stars.to_value(u.arcsec**-2)
            width, height = (n * frame.scale / frame.fine for n in frame.padded)
            number = rng.poisson(density * width * height)
            x, y = (rng.uniform(-0.5, 0.5, number) * side for side in (width, height))
            low, high = 10.0 ** (self.field_star_slope * self.field_star_magnitudes.to_value(u.mag))
            share = rng.uniform(size=number)
            if self.field_star_slope == 0.0:
                bright, faint = self.field_star_magnitudes.to_value(u.mag)
                magnitude = (bright + share * (faint - bright)) * u.mag
            else:
                magnitude = np.log10(low + share * (high - low)) / self.field_star_slope * u.mag
        return x, y, apparent_flux(magnitude, band).to_value(APPARENT_FLUX)

    def _degrade(self, light, frame, band, rng):
        """The image with sky and noise, and the mask of bad pixels. ``light`` is overwritten."""
        level, mean = 0.0, float(np.mean(frame.cut(light)))
        if self.sky is not None:
            per_arcsec = self.sky.to_value(u.mag / u.arcsec**2) * u.mag
            level = apparent_flux(per_arcsec, band).to_value(APPARENT_FLUX) * frame.scale**2
            light += level
            if self.sky_gradient:
                light += level * self.sky_gradient * frame.along(self.sky_angle.to_value(u.rad))
        masked = np.zeros(light.shape, dtype=bool)
        if self.exposure is not None:
            zero = apparent_flux(self.zero_point, band).to_value(APPARENT_FLUX)
            electrons = self.exposure.to_value(u.s) / zero
            light *= electrons
            light[:] = rng.poisson(light)
            if self.read_noise:
                light += self.read_noise * rng.standard_normal(light.shape, dtype=np.float32)
            if self.saturation is not None:
                masked = light >= self.saturation
                light[masked] = self.saturation
            light /= electrons
        if self.subtract_sky:
            light -= level
        self._miscalibrate(light, mean, rng)
        bad = self._bad_pixels(frame, rng)
        if bad is not None:
            light[bad] = np.nan
            masked |= bad
        return light, masked

    def _miscalibrate(self, light, mean, rng):
        """Add errors of the sky level and of the zero point."""
        if self.sky_error:
            light += self.sky_error * mean * rng.normal()
        wrong = self.calibration_error.to_value(u.mag)
        if wrong:
            light *= 10.0 ** (0.4 * wrong * rng.normal())

    def _bad_pixels(self, frame, rng):
        if np.ndim(self.bad_pixels) == 0:
            return rng.uniform(size=frame.smoothed_shape) < self.bad_pixels if self.bad_pixels else None
        chosen = np.asarray(self.bad_pixels)
        if chosen.shape != (frame.ny, frame.nx):
            raise ValueError(f'the map of bad_pixels must have the shape {(frame.ny, frame.nx)}, '
                             f'received {chosen.shape}')
        return np.pad(chosen, frame.margin)

    def _meta(self):
        """Keywords and values of all options."""
        table, drawn = isinstance(self.field_stars, Table), np.ndim(self.bad_pixels) == 0
        bright, faint = self.field_star_magnitudes.to_value(u.mag)
        values = (
            self.extinction.to_value(u.mag), _plain(self.sky, u.mag / u.arcsec**2), self.sky_gradient,
            self.sky_angle.to_value(u.deg), bool(self.subtract_sky), self.sky_error,
            self.calibration_error.to_value(u.mag), _plain(self.zero_point, u.mag),
            _plain(self.exposure, u.s), self.read_noise, self.saturation,
            None if table else _plain(self.field_stars, u.arcmin**-2),
            len(self.field_stars) if table else None, float(bright), float(faint), self.field_star_slope,
            float(self.bad_pixels) if drawn else None, None if drawn else int(np.sum(self.bad_pixels)))
        return dict(zip([name for name in CONDITION_COMMENTS if name != 'LUMTRUE'], values, strict=True))


def _plain(quantity, unit):
    return None if quantity is None else float(quantity.to_value(unit))
