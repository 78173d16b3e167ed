# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Mock observations: an image of a snapshot's light and the map of its mass, `observe`.

The convention of the light map, called *apparent flux*: a pixel holds F = L / (4 pi d^2) in Lsun/kpc^2, the
sum over the stars whose light falls in it, L in units of the Sun's luminosity in the band. It is a flux per
pixel, not per area on the sky. Chardin & Bianchini (2021) train on its logarithm.
"""

import math
import warnings
import weakref
from collections import namedtuple
from dataclasses import dataclass
from functools import cached_property, lru_cache
from numbers import Integral, Real
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable, Table
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from pidoc import __version__
from pidoc.cluster.model import ClusterModel
from pidoc.io.html import html_table
from pidoc.photometry import apparent_flux, band_luminosity, BANDS
from pidoc.cluster.snapshot import Snapshot, write_hdus
from pidoc.units import to_value

__all__ = ['APPARENT_FLUX', 'Conditions', 'MASS_PER_PIXEL', 'Mock', 'mock_header', 'observe',
           'star_light']

APPARENT_FLUX = u.Lsun / u.kpc**2
"""Unit of the light map: F = L / (4 pi d^2), per pixel."""

MASS_PER_PIXEL = u.Msun
"""Unit of the mass map, per pixel."""

_BETA = 2.5                # of the Moffat function: Trujillo et al. (2001), as in Chardin & Bianchini (2021)
_WINGS = 5e-4              # share of a star's light that its wings would have beyond where they are cut
_MAX_SHIFT = 5.0           # arcsec, of a random shift: Chardin & Bianchini (2021), section 2.2
_GAUSSIAN_END = 5.0        # where the Gaussian of the smoothing is cut, in its standard deviations
_SUBPIXELS = 7             # to a side, that the PSF is integrated over a pixel with
_STRIP = 40                # pixels that are smoothed together: fast, with the margins of the usual smoothing
_ARCSEC = math.radians(1.0 / 3600.0)
_FORMAT_VERSION = 1


# -- what the paper leaves out --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """What an observation suffers from, beyond the seeing. By default, nothing.

    Everything acts on the light alone, in this order: extinction (of the cluster), field stars, the PSF, sky,
    photon noise, read noise, saturation, subtraction of the sky, bad pixels, and last the smoothing.

    Parameters
    ----------
    extinction : `~astropy.units.Quantity`, optional
        Of the cluster's light in the band [mag]; field stars are given as they are seen.
    sky : `~astropy.units.Quantity`, optional
        Surface brightness of the sky [mag/arcsec^2], in the system of the band.
    sky_gradient : float, optional
        By how much the sky changes across the width of the field, as a fraction of ``sky``.
    sky_angle : `~astropy.units.Quantity`, optional
        Direction in which it grows, counter-clockwise from the x axis.
    subtract_sky : bool, optional
        Take ``sky`` off again at the end, as pipelines do: noise and gradient are left.
    zero_point : `~astropy.units.Quantity`, optional
        Magnitude of a source that makes one electron a second. With ``exposure`` it brings photon noise.
    exposure : `~astropy.units.Quantity`, optional
        Exposure time.
    read_noise : float, optional
        Standard deviation in a pixel [electrons].
    saturation : float, optional
        Electrons that a pixel can hold; those that are full are masked.
    field_stars : `~astropy.units.Quantity` or `~astropy.table.QTable`, optional
        Either their mean number per area [1/arcmin^2], spread evenly, their number Poisson; or a table with
        columns x and y [arcsec] from the centre of the field and magnitude [mag].
    field_star_magnitudes : `~astropy.units.Quantity`, optional
        Brightest and faintest apparent magnitude of those that are drawn.
    field_star_slope : float, optional
        s of their numbers, dN/dm ~ 10^(s m); 0.6 is that of an endless even distribution in space.
    bad_pixels : float or array of bool, optional
        Share of pixels that are masked, drawn; or a map of them [y, x].

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If a value is impossible, or something about electrons is asked for without ``zero_point`` and
        ``exposure``, or a gradient without ``sky``.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.mock.observation import Conditions
    >>> conditions = Conditions(sky=21.5 * u.mag / u.arcsec**2, zero_point=25 * u.mag, exposure=60 * u.s)
    """

    extinction: u.Quantity = 0.0 * u.mag
    sky: u.Quantity = None
    sky_gradient: float = 0.0
    sky_angle: u.Quantity = 0.0 * u.deg
    subtract_sky: bool = True
    zero_point: u.Quantity = None
    exposure: u.Quantity = None
    read_noise: float = 0.0
    saturation: float = None
    field_stars: object = None
    field_star_magnitudes: u.Quantity = (14.0, 24.0) * u.mag
    field_star_slope: float = 0.3
    bad_pixels: object = 0.0

    def __post_init__(self):
        _scalar(self.extinction, u.mag, 'extinction', non_negative=True)
        _scalar(self.sky_angle, u.deg, 'sky_angle')
        if self.sky is not None:
            _scalar(self.sky, u.mag / u.arcsec**2, 'sky')
        if self.zero_point is not None:
            _scalar(self.zero_point, u.mag, 'zero_point')
        if self.exposure is not None:
            _scalar(self.exposure, u.s, 'exposure', positive=True)
        for name, low in (('sky_gradient', -2.0), ('read_noise', 0.0), ('field_star_slope', -np.inf)):
            value = getattr(self, name)
            if not (isinstance(value, Real) and math.isfinite(value) and value >= low):
                raise ValueError(f'{name} must be a number, at least {low:g}, received {value!r}')
        if self.sky_gradient > 2.0:
            raise ValueError(f'sky_gradient must be at most 2, received {self.sky_gradient!r}')
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
        limits = to_value(self.field_star_magnitudes, u.mag, 'field_star_magnitudes')
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
            _scalar(self.field_stars, u.arcmin**-2, 'field_stars', non_negative=True)

    # what follows works on plain arrays, in apparent flux per pixel

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
        """The image with sky and noise, and which of its pixels are to be masked. ``light`` is lost."""
        level = 0.0
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
        bad = self._bad_pixels(frame, rng)
        if bad is not None:
            light[bad] = np.nan
            masked |= bad
        return light, masked

    def _bad_pixels(self, frame, rng):
        if np.ndim(self.bad_pixels) == 0:
            return rng.uniform(size=frame.smoothed_shape) < self.bad_pixels if self.bad_pixels else None
        chosen = np.asarray(self.bad_pixels)
        if chosen.shape != (frame.ny, frame.nx):
            raise ValueError(f'the map of bad_pixels must have the shape {(frame.ny, frame.nx)}, '
                             f'received {chosen.shape}')
        return np.pad(chosen, frame.margin)

    def _meta(self):
        """Every option: keyword and value."""
        table, drawn = isinstance(self.field_stars, Table), np.ndim(self.bad_pixels) == 0
        bright, faint = self.field_star_magnitudes.to_value(u.mag)
        values = (
            self.extinction.to_value(u.mag), _plain(self.sky, u.mag / u.arcsec**2), self.sky_gradient,
            self.sky_angle.to_value(u.deg), bool(self.subtract_sky), _plain(self.zero_point, u.mag),
            _plain(self.exposure, u.s), self.read_noise, self.saturation,
            None if table else _plain(self.field_stars, u.arcmin**-2),
            len(self.field_stars) if table else None, float(bright), float(faint), self.field_star_slope,
            float(self.bad_pixels) if drawn else None, None if drawn else int(np.sum(self.bad_pixels)))
        return dict(zip([name for name in _CONDITION_COMMENTS if name != 'LUMTRUE'], values, strict=True))


def _plain(quantity, unit):
    return None if quantity is None else float(quantity.to_value(unit))


def _scalar(quantity, unit, name, **rules):
    value = to_value(quantity, unit, name, **rules)
    if not isinstance(value, float):
        raise ValueError(f'{name} must be a scalar, received an array of shape {value.shape}')
    return value


# -- the product ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Mock:
    """A mock observation: made by `observe`, or read from a file.

    Parameters
    ----------
    light : `~astropy.nddata.CCDData`
        Apparent flux F = L / (4 pi d^2) per pixel [Lsun/kpc^2] with a world coordinate system; its ``meta``
        (keywords and values) tells how it was made. Masked pixels, if any, are in ``mask``.
    mass : `~astropy.nddata.CCDData`
        Mass per pixel [Msun], of everything that has mass, on the same grid; without a PSF.
    age, distance, psf_fwhm : `~astropy.units.Quantity`
        In Gyr, kpc and arcsec.
    simulation : str
        Name of the simulation.
    seed : int
        Seed of what was drawn.
    band : str
        One of `pidoc.photometry.BANDS`.
    sharp : `~astropy.nddata.CCDData`, optional
        The image before the smoothing, with the same coordinate system; NaN where a pixel is bad.
    """

    light: CCDData
    mass: CCDData
    age: u.Quantity
    distance: u.Quantity
    psf_fwhm: u.Quantity
    simulation: str = ''
    seed: int = 0
    band: str = 'V'
    sharp: CCDData = None

    def __repr__(self):
        ny, nx = self.light.shape
        return (f'<Mock of {nx} x {ny} pixels in {self.band} of {self.simulation or "no name"}: '
                f'{self.age:.4g}, {self.distance:.4g}, seeing {self.psf_fwhm:.3g}, seed {self.seed}>')

    def _repr_html_(self):
        ny, nx = self.light.shape
        return html_table(f'Mock of {self.simulation or "no name"}', [
            ('age', f'{self.age:.4g}'), ('distance', f'{self.distance:.4g}'), ('band', self.band),
            ('seeing', f'{self.psf_fwhm:.3g}'), ('pixels', f'{nx} x {ny}'),
            ('mass in the field', f'{self.total_mass:.4g}'), ('seed', self.seed)])

    @property
    def header(self):
        """How it was made, ``light.meta`` with comments (a new `~astropy.io.fits.Header`)."""
        comments = _comments()
        return fits.Header([_card(keyword, value, comments.get(keyword, ''))
                            for keyword, value in self.light.meta.items()])

    @property
    def total_mass(self):
        """Mass in the field."""
        return float(np.sum(self.mass.data)) * MASS_PER_PIXEL

    @property
    def luminosity(self):
        """Luminosity in the field in the band [Lsun]: the flux that is not masked times 4 pi d^2."""
        good = self.light.data if self.light.mask is None else self.light.data[~self.light.mask]
        area = 4.0 * np.pi * self.distance.to_value(u.kpc) ** 2
        return float(np.nansum(good)) * area * u.Lsun

    @property
    def mass_to_light(self):
        """Mass over luminosity in the field."""
        return self.total_mass / self.luminosity

    def to_hdulist(self, *, dtype=np.float32):
        """The mock as FITS: the light with all cards, its mask if it has one, and extensions MASS and SHARP.

        Parameters
        ----------
        dtype : dtype, optional
            `numpy.float32` (7 digits) or `numpy.float64` (exact).

        Returns
        -------
        `~astropy.io.fits.HDUList`

        Raises
        ------
        ValueError
            If ``dtype`` is another one.
        """
        dtype = np.dtype(dtype)
        if dtype not in (np.float32, np.float64):
            raise ValueError(f'dtype must be float32 or float64, received {dtype}')
        place = self.light.wcs.to_header()
        hdus = [fits.PrimaryHDU(self.light.data.astype(dtype))]
        if self.light.mask is not None:
            hdus.append(fits.ImageHDU(self.light.mask.astype(np.uint8), name='MASK'))
        maps = {'MASS': self.mass} if self.sharp is None else {'MASS': self.mass, 'SHARP': self.sharp}
        hdus += [fits.ImageHDU(image.data.astype(dtype), name=name) for name, image in maps.items()]
        for hdu, image in zip([hdus[0], *hdus[-len(maps):]], [self.light, *maps.values()], strict=True):
            hdu.header['BUNIT'] = (image.unit.to_string('fits'), 'per pixel')
            hdu.header.update(place)
        hdus[0].header.extend(self.header, unique=True)
        return fits.HDUList(hdus)

    def write(self, filename, *, overwrite=False, dtype=np.float32):
        """Write a FITS file: complete or not at all; the same mock makes the same bytes.

        Parameters
        ----------
        filename : path-like
            Ending in .fits or .fits.gz.
        overwrite : bool, optional
            Replace a file of that name.
        dtype : dtype, optional
            See `to_hdulist`.

        Raises
        ------
        OSError
            If the file exists and ``overwrite`` is False.
        ValueError
            If ``dtype`` is none of the two.
        """
        filename = Path(filename)
        if filename.exists() and not overwrite:
            raise OSError(f'{filename} exists: say overwrite=True to replace it')
        write_hdus(list(self.to_hdulist(dtype=dtype)), filename)

    @classmethod
    def read(cls, filename):
        """Read what `write` wrote.

        Parameters
        ----------
        filename : path-like

        Returns
        -------
        Mock

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, cut short, or not a mock observation.
        """
        try:
            with warnings.catch_warnings():
                # astropy warns of a short file or a wrong checksum, and goes on
                warnings.simplefilter('error', AstropyWarning)
                # opened here, because astropy does not close what it cannot read
                with open(filename, 'rb') as file, fits.open(file, memmap=False, checksum=True) as hdus:
                    return cls._from_hdulist(hdus, filename)
        except FileNotFoundError:
            raise
        except (OSError, EOFError, TypeError, KeyError, fits.VerifyError, AstropyWarning) as error:
            raise ValueError(f'{filename} is damaged or cut short: {error}') from error

    @classmethod
    def _from_hdulist(cls, hdus, name):
        header = hdus[0].header
        if header.get('MOCKFMT') != _FORMAT_VERSION or 'MASS' not in hdus:
            raise ValueError(f'{name} is not a mock observation, or cut short: it must have MOCKFMT = '
                             f'{_FORMAT_VERSION} and an extension MASS')
        wcs = WCS(header)
        skip = {*wcs.to_header(), 'BUNIT', 'CHECKSUM', 'DATASUM', 'EXTEND'}
        meta = {card.keyword: _value(card.value) for card in header.copy(strip=True).cards
                if card.keyword not in skip}
        mask = hdus['MASK'].data.astype(bool) if 'MASK' in hdus else None
        light = CCDData(_native(hdus[0].data), unit=header['BUNIT'], wcs=wcs, meta=meta, mask=mask)
        mass, sharp = (CCDData(_native(hdus[name].data), unit=hdus[name].header['BUNIT'], wcs=wcs)
                       if name in hdus else None for name in ('MASS', 'SHARP'))
        return cls(
            light=light, mass=mass, sharp=sharp,
            age=header['AGE'] * u.Gyr, distance=header['DISTANCE'] * u.kpc,
            psf_fwhm=header['PSFFWHM'] * u.arcsec, simulation=header['SIMUL'], seed=header['MOCKSEED'],
            band=header['BAND'])


def _native(array):
    return array.astype(array.dtype.newbyteorder('='))


def _card(keyword, value, comment):
    """A card, without its comment where a long value leaves no room for it."""
    crowded = isinstance(value, str) and len(value) + len(comment) > 60
    return fits.Card(keyword, value, '' if crowded else comment)


def _value(value):
    """Of a card: None where it has none."""
    return None if isinstance(value, fits.card.Undefined) else value


# -- observe --------------------------------------------------------------------------------------


def observe(snapshot, *, distance, seeing=1.0 * u.arcsec, field_of_view=40.0 * u.arcsec,
            pixel_scale=0.25 * u.arcsec, shift=None, rotation=None, direction=None, psf=None, smoothing=4.0,
            band='V', correction='reed1998', metallicity=None, luminosities=None, centre=None, oversampling=1,
            conditions=None, keep_sharp=False, simulation=None, seed=0):
    """Observe a snapshot: an image of its light, and the map of its mass.

    After section 2.2 of Chardin & Bianchini (2021), whose values are the defaults. Stars are projected on the
    sky, all at the cluster's distance, and put into the pixels they fall on; light is convolved with the PSF,
    mass is not; both are smoothed. Stars outside the field scatter their light into it.

    Parameters
    ----------
    snapshot : Snapshot
    distance : `~astropy.units.Quantity`
        Of the cluster.
    seeing : `~astropy.units.Quantity`, optional
        Full width at half maximum of the default PSF, a Moffat function with beta = 2.5 that is integrated
        over the pixels and cut where 5e-4 of the light is further out.
    field_of_view : `~astropy.units.Quantity`, optional
        One angle, or two: width and height. A whole number of pixels.
    pixel_scale : `~astropy.units.Quantity`, optional
        Angle that a pixel covers.
    shift : `~astropy.units.Quantity` or 'random', optional
        Where the cluster's centre is, to the right of and above the middle of the field. 'random': both
        evenly from -5 to 5 arcsec.
    rotation : `~astropy.units.Quantity` or 'random' or 'any', optional
        Angle by which the cluster is turned counter-clockwise about the line of sight. 'random': 0, 90, 180
        or 270 degrees; 'any': every angle.
    direction : array-like of 3 or 'random', optional
        Where the observer stands, seen from the cluster, in the snapshot's coordinates; by default on the z
        axis, x to the right and y up. 'random': anywhere; of a spherical snapshot the directions of all stars
        are drawn anew.
    psf : array or `~astropy.convolution.Kernel2D` or `~astropy.modeling.Model`, optional
        Another PSF: values in pixels about the middle of an odd number of them, or a model of astropy or
        photutils about (0, 0), parameters in pixels, which is evaluated at the middle of pixels out to half
        the field. Its total is made 1. ``seeing`` is then not looked at.
    smoothing : float, optional
        Standard deviation in pixels of the Gaussian that both maps are smoothed with; 0: not at all.
    band, correction : str, optional
        As in `pidoc.photometry.band_luminosity`.
    metallicity : float, optional
        For corrections that need it; by default the model's.
    luminosities : `~astropy.units.Quantity`, optional
        Of the stars in the band [Lsun of the band], in the order of the snapshot, instead of what follows
        from its columns.
    centre : `~astropy.coordinates.SkyCoord`, optional
        Where the cluster's centre is on the sky; by default RA = Dec = 0 (ICRS). North is up, east to the
        left.
    oversampling : int, optional
        Sub-pixels, to a side of a pixel, that stars are put into. With 1 they move to the middle of pixels.
    conditions : Conditions, optional
        Sky, noise, field stars and so on.
    keep_sharp : bool, optional
        Keep the image before the smoothing too, as ``sharp``.
    simulation : str, optional
        Name of the simulation; by default the model's.
    seed : int, optional
        Of everything that is drawn.

    Returns
    -------
    Mock

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If an argument is of a wrong kind or unit, or impossible.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.cluster.snapshot import Snapshot
    >>> from pidoc.mock.observation import observe
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
    far = _scalar(distance, u.kpc, 'distance', positive=True)
    fine = _whole(oversampling, 'oversampling', 1)
    seed = _whole(seed, 'seed', 0)
    streams = np.random.SeedSequence(seed).spawn(4)
    shift_at, shift_mode = _shift(shift, streams[0])
    angle, turn_mode = _rotation(rotation, streams[1])
    toward, view_mode = _direction(direction, streams[2])
    scale = _scalar(pixel_scale, u.arcsec, 'pixel_scale', positive=True)
    width, height = _pixels(field_of_view, scale)
    kernel = _kernel(psf, seeing, scale, fine, max(width, height))
    frame = _Frame(width, height, scale, fine, kernel.side // 2, _gaussian_margin(smoothing))

    prepared = _prepare(snapshot)
    x, y = prepared.project(snapshot, toward, streams[2] if view_mode == 'random' else None)
    x, y = _turned(x, y, angle)
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

    wcs = _wcs(frame, centre, shift_at)
    name = simulation if simulation is not None else getattr(snapshot.model, 'name', '')
    view = {
        'SIMUL': name, 'AGE': float(snapshot.age.to_value(u.Gyr)), 'DISTANCE': far, 'BAND': band,
        'BCORR': correction, 'BCMETAL': metallicity, 'SMOOTH': float(smoothing), 'SHIFTX': shift_at[0],
        'SHIFTY': shift_at[1], 'SHIFTBY': shift_mode, 'ROTANGLE': angle, 'ROTBY': turn_mode,
        'VIEWBY': view_mode, 'MOCKSEED': seed}
    if view_mode == 'given' or not snapshot.is_spherical:
        view.update(zip(('VIEWX', 'VIEWY', 'VIEWZ'), toward))
    meta = _meta(view, frame, kernel, conditions) | prepared.meta
    if conditions is not None:
        meta['LUMTRUE'] = truth * 4.0 * math.pi * far**2 / seen
    return Mock(light=CCDData(image, unit=APPARENT_FLUX, wcs=wcs, meta=meta, mask=mask),
                mass=CCDData(mass, unit=MASS_PER_PIXEL, wcs=wcs), age=snapshot.age, distance=far * u.kpc,
                psf_fwhm=kernel.fwhm * u.arcsec, simulation=name, seed=seed, band=band,
                sharp=CCDData(sharp, unit=APPARENT_FLUX, wcs=wcs) if keep_sharp else None)


def star_light(snapshot, *, band='V', correction='reed1998', metallicity=None):
    """Luminosities of the stars of a snapshot in a band, worked out once.

    Parameters
    ----------
    snapshot : Snapshot
    band, correction, metallicity
        As for `observe`.

    Returns
    -------
    `~astropy.units.Quantity`
        In Lsun of the band, a new array each time.

    Raises
    ------
    TypeError, ValueError
        If the snapshot lacks what is needed.
    """
    return _prepare(snapshot).light(snapshot, band, correction, metallicity).copy() * u.Lsun


def mock_header(n_pixels, pixel_scale, *, shift, simulation, age, distance, seeing, band, correction,
                smoothing, oversampling, rotation, view, seed, conditions=None):
    """Header and world coordinates of a mock with the default PSF whose maps were kept without them.

    Parameters
    ----------
    n_pixels, pixel_scale : int, float
        To a side of the field; arcsec.
    shift, simulation, age, distance, seeing, band, correction, smoothing, oversampling, rotation, seed
        What `observe` was told, as plain numbers in arcsec, Gyr, kpc and degrees.
    view : array-like of 3
        Direction of the observer, NaN where it was drawn.
    conditions : Conditions, optional

    Returns
    -------
    meta : dict
        As ``light.meta`` of a `Mock`.
    wcs : `~astropy.wcs.WCS`
    """
    frame = _Frame(n_pixels, n_pixels, pixel_scale, oversampling, 0, 0)
    drawn = any(math.isnan(value) for value in view)
    header = {
        'SIMUL': simulation, 'AGE': float(age), 'DISTANCE': float(distance), 'BAND': band,
        'BCORR': correction, 'SMOOTH': float(smoothing), 'SHIFTX': float(shift[0]), 'SHIFTY': float(shift[1]),
        'SHIFTBY': 'given', 'ROTANGLE': float(rotation), 'ROTBY': 'given',
        'VIEWBY': 'random' if drawn else 'given', 'MOCKSEED': seed}
    if not drawn:
        header.update(zip(('VIEWX', 'VIEWY', 'VIEWZ'), _direction(view, None)[0]))
    kernel = _Named('Moffat', float(seeing))
    return _meta(header, frame, kernel, conditions), _wcs(frame, None, shift)


def _given_light(luminosities, number):
    value = to_value(luminosities, u.Lsun, 'luminosities', non_negative=True)
    if np.shape(value) != (number,):
        raise ValueError(f'luminosities must be one of each of {number} stars, received the shape '
                         f'{np.shape(value)}')
    return value


def _image(sky, frame, kernel, smoothing, band, conditions, stream, keep_sharp):
    """From light in cells to the image, its mask, the image before smoothing, and the cluster's flux in it.

    The last two are None where they are not asked for, or nothing but the image itself.
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
    # the mean over good pixels only
    share = frame.smooth_cut((~masked).astype(float), smoothing)
    total = frame.smooth_cut(np.where(masked, 0.0, image), smoothing)
    result = np.full(share.shape, np.nan)
    np.divide(total, share, out=result, where=share > 1e-12)
    return result, mask if mask.any() else None, sharp, truth


# -- options --------------------------------------------------------------------------------------


def _whole(value, name, low):
    if isinstance(value, bool) or not isinstance(value, Integral) or value < low:
        raise ValueError(f'{name} must be a whole number, at least {low}, received {value!r}')
    return int(value)


def _shift(shift, stream):
    """Arcsec to the right and up, and who chose them."""
    if shift is None:
        return (0.0, 0.0), 'given'
    if isinstance(shift, str):
        if shift != 'random':
            raise ValueError(f"shift must be a Quantity, 'random' or None, received {shift!r}")
        return tuple(np.random.default_rng(stream).uniform(-_MAX_SHIFT, _MAX_SHIFT, 2).tolist()), 'random'
    value = to_value(shift, u.arcsec, 'shift')
    if np.shape(value) != (2,):
        raise ValueError(f'shift must be two angles, received {shift}')
    return tuple(value.tolist()), 'given'


def _rotation(rotation, stream):
    """Degrees, and who chose them."""
    if rotation is None:
        return 0.0, 'given'
    if isinstance(rotation, str):
        rng = np.random.default_rng(stream)
        if rotation == 'random':
            return 90.0 * int(rng.integers(4)), rotation
        if rotation == 'any':
            return float(rng.uniform(0.0, 360.0)), rotation
        raise ValueError(f"rotation must be a Quantity, 'random', 'any' or None, received {rotation!r}")
    return _scalar(rotation, u.deg, 'rotation'), 'given'


def _direction(direction, stream):
    """Unit vector towards the observer, and who chose it."""
    if direction is None:
        return (0.0, 0.0, 1.0), 'given'
    if isinstance(direction, str):
        if direction != 'random':
            raise ValueError(f"direction must be three numbers, 'random' or None, received {direction!r}")
        rng = np.random.default_rng(stream)
        height, azimuth = rng.uniform(-1.0, 1.0), rng.uniform(0.0, 2.0 * np.pi)
        flat = math.sqrt(1.0 - height**2)
        return (flat * math.cos(azimuth), flat * math.sin(azimuth), height), 'random'
    vector = np.asarray(direction, dtype=float)
    length = np.linalg.norm(vector) if vector.shape == (3,) else np.nan
    if not (np.isfinite(length) and length > 0.0):
        raise ValueError(f'direction must be three numbers, not all zero, received {direction!r}')
    return tuple((vector / length).tolist()), 'given'


def _pixels(field_of_view, scale):
    """Numbers of columns and rows."""
    angles = np.atleast_1d(to_value(field_of_view, u.arcsec, 'field_of_view', positive=True))
    if angles.shape not in ((1,), (2,)):
        raise ValueError(f'field_of_view must be one angle or two, received {field_of_view}')
    number = angles / scale
    if np.any(np.abs(number - np.round(number)) > 1e-6 * number) or np.any(number < 0.5):
        raise ValueError(f'field_of_view must be a whole number of pixels of {scale:g} arcsec, '
                         f'received {field_of_view}')
    number = np.round(number).astype(int)
    return int(number[0]), int(number[-1])


def _gaussian_margin(smoothing):
    if not (isinstance(smoothing, Real) and math.isfinite(smoothing) and smoothing >= 0.0):
        raise ValueError(f'smoothing must be a number of pixels, not negative, received {smoothing!r}')
    return math.ceil(_GAUSSIAN_END * smoothing)


def _wcs(frame, centre, shift):
    """Tangent plane that touches the sky at the cluster's centre, north up and east to the left."""
    if centre is None:
        place = (0.0, 0.0)
    elif isinstance(centre, SkyCoord) and centre.isscalar:
        place = (centre.icrs.ra.deg, centre.icrs.dec.deg)
    else:
        raise TypeError(f'centre must be one SkyCoord, received {centre!r}')
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ['RA---TAN', 'DEC--TAN']
    wcs.wcs.cunit = ['deg', 'deg']
    wcs.wcs.crval = place
    wcs.wcs.cdelt = [-frame.scale / 3600.0, frame.scale / 3600.0]
    wcs.wcs.crpix = [(n + 1) / 2 + move / frame.scale for n, move in zip((frame.nx, frame.ny), shift)]
    wcs.wcs.radesys = 'ICRS'
    wcs.array_shape = (frame.ny, frame.nx)
    return wcs


def _meta(view, frame, kernel, conditions):
    """Every option of `observe`: keyword and value."""
    band = BANDS[view['BAND']]
    values = view | {
        'MOCKFMT': _FORMAT_VERSION, 'PIDOCVER': __version__, 'CONVENT': 'apparent flux',
        'BANDNAME': band.name, 'MAGSYS': band.system, 'SUNMAG': band.solar_magnitude,
        'PSF': kernel.name, 'PSFFWHM': kernel.fwhm, 'PSFBETA': _BETA if kernel.name == 'Moffat' else None,
        'PIXSCALE': frame.scale, 'OVERSAMP': frame.fine}
    meta = {keyword: values.get(keyword) for keyword in _COMMENTS}
    return meta if conditions is None else meta | conditions._meta()


# keyword: comment, in the order of the header
_COMMENTS = {
    'MOCKFMT': 'version of the format of mock observations',
    'PIDOCVER': 'version of pidoc',
    'CONVENT': 'F = L / (4 pi d^2) per pixel',
    'SIMUL': 'name of the simulation',
    'AGE': '[Gyr] age of the cluster',
    'DISTANCE': '[kpc] distance of the cluster',
    'BAND': 'letter of the band',
    'BANDNAME': 'the band',
    'MAGSYS': 'magnitude system of the band',
    'SUNMAG': '[mag] absolute magnitude of the Sun in the band',
    'BCORR': 'bolometric correction',
    'BCMETAL': 'metallicity told for it, else that of the model',
    'PSF': 'point spread function',
    'PSFFWHM': '[arcsec] its full width at half maximum',
    'PSFBETA': 'beta of a Moffat PSF',
    'SMOOTH': '[pixel] sigma of the smoothing of both maps',
    'PIXSCALE': '[arcsec] side of a pixel',
    'OVERSAMP': 'sub-pixels to a side of a pixel',
    'SHIFTX': '[arcsec] of the cluster to the right',
    'SHIFTY': '[arcsec] of the cluster upwards',
    'SHIFTBY': 'given or drawn',
    'ROTANGLE': '[deg] rotation, counter-clockwise',
    'ROTBY': 'given or drawn',
    'VIEWX': 'direction of the observer, none: drawn anew',
    'VIEWY': 'direction of the observer',
    'VIEWZ': 'direction of the observer',
    'VIEWBY': 'given or drawn',
    'MOCKSEED': 'seed of the mock observation',
}
_CONDITION_COMMENTS = {
    'EXTINCT': '[mag] extinction in the band',
    'SKYMAG': '[mag/arcsec2] brightness of the sky',
    'SKYGRAD': 'change of the sky over the width of the field',
    'SKYANGLE': '[deg] from the x axis, where it grows',
    'SKYSUB': 'is the sky subtracted',
    'ZEROPT': '[mag] of one electron a second',
    'EXPOSURE': '[s] exposure time',
    'RDNOISE': '[electron] read noise',
    'SATURATE': '[electron] that a pixel holds',
    'FSDENS': '[1/arcmin2] density of field stars',
    'FSTABLE': 'field stars in a given table',
    'FSBRIGHT': '[mag] brightest field star that is drawn',
    'FSFAINT': '[mag] faintest field star that is drawn',
    'FSSLOPE': 'slope of their log numbers in magnitude',
    'BADFRAC': 'share of bad pixels',
    'BADMAP': 'bad pixels in a given map',
    'LUMTRUE': '[Lsun] cluster in the field, without all this',
}
_STAR_COMMENTS = {
    'SNAPSEED': "seed of the snapshot's directions",
    'NSNAP': 'stars in the snapshot',
}


@lru_cache(maxsize=1)
def _comments():
    model = {card.keyword: card.comment for card in ClusterModel().to_header().cards}
    return _COMMENTS | _CONDITION_COMMENTS | _STAR_COMMENTS | model


# -- stars ----------------------------------------------------------------------------------------


class _Prepared:
    """Plain arrays of a snapshot, and its luminosities in what bands were asked for.

    It must not hold on to the snapshot, which is the key that it is kept under.
    """

    def __init__(self, snapshot):
        self.spherical = snapshot.is_spherical
        self.mass = snapshot._native['mass']
        self._radius = snapshot._radius
        self._first = _first_of_pair(snapshot._partner_row)
        self._place = None
        self.metallicity = None if snapshot.model is None else snapshot.model.metallicity
        self._light = {}
        self.meta = {'SNAPSEED': snapshot.seed, 'NSNAP': snapshot.n_stars}
        if snapshot.model is not None:
            self.meta |= {card.keyword: _value(card.value) for card in snapshot.model.to_header().cards}
        self.meta = snapshot.meta | self.meta

    def light(self, snapshot, band, correction, metallicity):
        """Luminosities in a band [Lsun of the band]."""
        if metallicity is None:
            metallicity = self.metallicity
        key = band, correction, metallicity
        if key not in self._light:
            native = snapshot._native
            if 'luminosity' not in native or snapshot._temperature is None:
                missing = 'temperature' if 'luminosity' in native else 'luminosity'
                raise ValueError('the light of a snapshot needs the columns luminosity and either '
                                 f'temperature or stellar_radius: no {missing} received')
            if correction == 'kurucz1992' and metallicity is None:
                raise ValueError("correction 'kurucz1992' needs the metallicity, which a snapshot without a "
                                 'model does not tell: give metallicity')
            self._light[key] = band_luminosity(
                native['luminosity'] * u.Lsun, snapshot._temperature * u.K, native.get('kind', 1),
                mass=native['mass'] * u.Msun, metallicity=metallicity, band=band,
                correction=correction).to_value(u.Lsun)
        return self._light[key]

    def project(self, snapshot, toward, stream):
        """x to the right and y up [pc], seen from a direction, or with directions drawn from a stream."""
        if self.spherical and stream is not None:
            return self._draw(np.random.default_rng(stream))
        if self._place is None:
            columns = snapshot._coordinates if self.spherical else snapshot._native
            self._place = np.array([columns[name] for name in 'xyz'])
        if toward == (0.0, 0.0, 1.0):
            return self._place[0], self._place[1]
        return _towards_z(toward)[:2] @ self._place

    def _draw(self, rng):
        # many a time, and so in place: height from -1 to 1, and the tangent of half an azimuth
        height, tangent = rng.random((2, self._radius.size))
        height *= 2.0
        height -= 1.0
        tangent *= np.pi
        if self._first is not None:
            height, tangent = height[self._first], tangent[self._first]
        np.tan(tangent, out=tangent)
        flat = np.multiply(height, height, out=height)
        np.subtract(1.0, flat, out=flat)
        np.sqrt(flat, out=flat)
        flat *= self._radius
        # cos a = 2 / (1 + t^2) - 1 and sin a = 2 t / (1 + t^2): one function instead of two
        cosine = np.multiply(tangent, tangent)
        cosine += 1.0
        np.divide(2.0, cosine, out=cosine)
        sine = np.multiply(tangent, cosine, out=tangent)
        cosine -= 1.0
        cosine *= flat
        sine *= flat
        return cosine, sine


# Snapshots do not change: what was worked out once holds as long as they live.
_PREPARED = weakref.WeakKeyDictionary()


def _prepare(snapshot):
    if snapshot not in _PREPARED:
        _PREPARED[snapshot] = _Prepared(snapshot)
    return _PREPARED[snapshot]


def _first_of_pair(partner_row):
    """Row of the component of a binary that comes first; of a single star its own; None if there is none."""
    if partner_row is None:
        return None
    rows = np.arange(partner_row.size)
    return np.where(partner_row >= 0, np.minimum(rows, partner_row), rows)


def _towards_z(vector):
    """The smallest rotation that takes a unit vector to the z axis (Rodrigues)."""
    a, b, c = vector
    if c < -1.0 + 1e-12:
        return np.diag([1.0, -1.0, -1.0])
    f = 1.0 / (1.0 + c)
    return np.array([[1.0 - a * a * f, -a * b * f, -a], [-a * b * f, 1.0 - b * b * f, -b], [a, b, c]])


def _turned(x, y, angle):
    """Counter-clockwise by degrees; quarter turns without rounding."""
    angle %= 360.0
    if angle % 90.0 == 0.0:
        return ((x, y), (-y, x), (-x, -y), (y, -x))[int(angle // 90.0)]
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return cosine * x - sine * y, sine * x + cosine * y


# -- pixels ---------------------------------------------------------------------------------------


class _Frame:
    """The field with a margin for what falls into it: cells are pixels, or sub-pixels, of field and margin.

    The field has a margin as wide as the smoothing reaches, and this again one as wide as the PSF does.
    """

    def __init__(self, nx, ny, scale, fine, reach, margin):
        self.nx, self.ny, self.scale, self.fine, self.reach, self.margin = nx, ny, scale, fine, reach, margin
        self.padded = tuple((n + 2 * margin) * fine + 2 * reach for n in (nx, ny))
        self.smoothed_shape = (ny + 2 * margin, nx + 2 * margin)

    @cached_property
    def transformed(self):
        """Rows and columns with the empty ones at the ends, which make Fourier transforms fast."""
        from scipy import fft

        return tuple(fft.next_fast_len(n, real=True) for n in self.padded[::-1])

    def cells(self, x, y):
        """Numbers of the cells of those places that are inside, from arcsec off the middle, and which are."""
        width, height = self.padded
        column, row = self._line(x, width), self._line(y, height)
        within = column >= 0.0
        for also in (column < width, row >= 0.0, row < height):
            within &= also
        inside = np.flatnonzero(within)
        row *= self.transformed[1]
        row += column
        return row[inside].astype(np.intp), inside

    def _line(self, place, length):
        """Rows or columns, as whole floats."""
        line = place * (self.fine / self.scale)
        line += 0.5 * length
        return np.floor(line, out=line)

    def histogram(self, cells, weights):
        """Sum of weights in each cell [row, column], with empty ones at the ends: see ``transformed``."""
        height, width = self.transformed
        # of no weights at all it makes integers
        sums = np.bincount(cells, weights, height * width).astype(float, copy=False)
        return sums.reshape(height, width)

    def blocks(self, cells):
        """Cells without the margin of the PSF, summed up to pixels."""
        width, height = self.padded
        return self._sum(cells[self.reach:height - self.reach, self.reach:width - self.reach])

    def _sum(self, cells):
        if self.fine == 1:
            return cells
        height, width = (n // self.fine for n in cells.shape)
        return cells.reshape(height, self.fine, width, self.fine).sum(axis=(1, 3))

    def convolve(self, cells, kernel, smoothing):
        """Cells convolved with a kernel, as pixels; and smoothed, if smoothing is not None.

        Not smoothed, the margin that the smoothing needs is still there.
        """
        from scipy import fft

        folded = smoothing is not None and self.fine == 1
        width, height = self.padded
        transfer = _transfer(kernel.values, kernel.side, cells.shape, smoothing if folded else 0.0)
        spectrum = fft.rfft2(cells)
        spectrum *= transfer
        skip = self.reach + self.margin if folded else self.reach
        # back again, along the lines that are wanted only
        spectrum = fft.ifft(spectrum, axis=0, norm='forward', overwrite_x=True)
        lines = fft.irfft(spectrum[skip:height - skip], cells.shape[1], norm='forward')
        # rounding must not make light negative
        image = np.maximum(lines[:, skip:width - skip], 0.0)
        image *= 1.0 / cells.size
        if folded:
            return image
        image = self._sum(image)
        return image if smoothing is None else self.smooth(image, smoothing)

    def smooth(self, pixels, smoothing):
        """Pixels with the margin, smoothed and without it."""
        return self.smooth_cut(pixels, smoothing) if smoothing else np.ascontiguousarray(pixels)

    def smooth_cut(self, pixels, smoothing):
        half = np.empty((self.ny, pixels.shape[1]))
        for rows, margins, band in _strips(self.ny, smoothing):
            np.matmul(band, pixels[margins], out=half[rows])
        result = np.empty((self.ny, self.nx))
        for columns, margins, band in _strips(self.nx, smoothing):
            result[:, columns] = half[:, margins] @ band.T
        return result

    def smoothed_sum(self, pixels, smoothing):
        """Sum of pixels with the margin after they are smoothed and cut, without smoothing them."""
        if not smoothing:
            return float(pixels.sum())
        return float(_shares(self.ny, smoothing) @ pixels @ _shares(self.nx, smoothing))

    def cut(self, pixels):
        """Pixels without the margin of the smoothing."""
        return pixels[self.margin:self.margin + self.ny, self.margin:self.margin + self.nx].copy()

    def along(self, angle):
        """Distance from the middle in a direction, in widths of the field, of pixels with the margin."""
        y, x = np.indices(self.smoothed_shape, dtype=float)
        height, width = self.smoothed_shape
        x, y = x - 0.5 * (width - 1), y - 0.5 * (height - 1)
        return (x * math.cos(angle) + y * math.sin(angle)) / self.nx


@lru_cache(maxsize=16)
def _gaussian(smoothing):
    """Weights of the pixels of a Gaussian, cut and of sum 1."""
    margin = _gaussian_margin(smoothing)
    if not margin:
        return np.ones(1)
    weights = np.exp(-0.5 * (np.arange(-margin, margin + 1) / smoothing) ** 2)
    return weights / weights.sum()


@lru_cache(maxsize=16)
def _band(number, smoothing):
    """The matrix that smooths a column of pixels and takes its margins off."""
    weights = _gaussian(smoothing)
    matrix = np.zeros((number, number + weights.size - 1))
    for row in range(number):
        matrix[row, row:row + weights.size] = weights
    return matrix


@lru_cache(maxsize=16)
def _shares(number, smoothing):
    """Which share of each pixel, margins included, is still there after the smoothing and the cut."""
    return _band(number, smoothing).sum(axis=0)


def _strips(number, smoothing):
    """Pieces of a column: what is asked of it, the same with margins, and the matrix in between.

    The matrix of the whole column holds zeros for the most part.
    """
    margin = _gaussian_margin(smoothing)
    for start in range(0, number, _STRIP):
        size = min(_STRIP, number - start)
        yield slice(start, start + size), slice(start, start + size + 2 * margin), _band(size, smoothing)


@lru_cache(maxsize=16)
def _transfer(values, side, shape, smoothing):
    """Transform of a kernel about cell (0, 0), times that of the smoothing; real where it is symmetric."""
    from scipy import fft

    kernel = np.frombuffer(values).reshape(-1, side)
    half = kernel.shape[0] // 2, side // 2
    cells = np.zeros(shape)
    cells[:kernel.shape[0], :side] = kernel
    result = fft.rfft2(np.roll(cells, (-half[0], -half[1]), axis=(0, 1)))
    if smoothing:
        weights = _gaussian(smoothing)
        lines = []
        for length in shape:
            line = np.zeros(length)
            line[:weights.size] = weights
            lines.append(fft.fft(np.roll(line, -(weights.size // 2))).real)
        result *= lines[0][:, np.newaxis] * lines[1][:result.shape[1]]
    symmetric = np.abs(result.imag).max() < 1e-13
    return np.ascontiguousarray(result.real) if symmetric else result


# -- point spread functions -----------------------------------------------------------------------


_Named = namedtuple('_Named', 'name fwhm')
"""What a header tells of a PSF."""


class _Kernel:
    """A square PSF on cells: bytes of its values, cells to a side, FWHM [arcsec], name."""

    def __init__(self, array, fwhm, name):
        self.values, self.side = array.tobytes(), array.shape[1]
        self.fwhm, self.name = fwhm, name


def _kernel(psf, seeing, scale, fine, pixels):
    """The kernel of whatever ``psf`` is."""
    if psf is None:
        return _moffat(_scalar(seeing, u.arcsec, 'seeing', positive=True), scale / fine)
    if callable(psf) and hasattr(psf, 'param_names'):
        half = fine * (pixels // 2)
        line = np.arange(-half, half + 1) / fine
        array, name = psf(*np.meshgrid(line, line)), type(psf).__name__
    else:
        if fine > 1:
            raise ValueError('oversampling needs the default PSF or a model of one, received an array')
        array = getattr(psf, 'array', psf)
        name = 'array' if isinstance(psf, np.ndarray) else type(psf).__name__
    if not isinstance(array, np.ndarray):
        raise TypeError('psf must be an array, a Kernel2D or a model of astropy or photutils, received '
                        f'{type(psf).__name__}')
    array = _square(np.asarray(getattr(array, 'value', array), dtype=float))
    return _Kernel(array / array.sum(), _half_width(array) * scale / fine, name)


def _square(array):
    """Checked, and with zeros around where it is not square."""
    if array.ndim != 2 or any(n % 2 == 0 for n in array.shape):
        raise ValueError('a PSF must be an array of two dimensions with an odd number of pixels in both, '
                         f'received the shape {array.shape}')
    if not (np.all(np.isfinite(array)) and array.sum() > 0.0):
        raise ValueError(f'a PSF must be finite, with a positive sum, received {array.sum()}')
    side = max(array.shape)
    return np.pad(array, [((side - n) // 2,) * 2 for n in array.shape])


@lru_cache(maxsize=32)
def _moffat(fwhm, cell):
    """Moffat function integrated over cells, by the midpoint rule."""
    core = 0.5 * fwhm / math.sqrt(2.0 ** (1.0 / _BETA) - 1.0)
    # light beyond R: (1 + (R / core)^2)^(1 - beta)
    half = math.ceil(core * math.sqrt(_WINGS ** (1.0 / (1.0 - _BETA)) - 1.0) / cell)
    # one quadrant, in sub-pixels; the others are its mirror images
    line = np.arange(half + 1)
    inside = (np.arange(_SUBPIXELS) + 0.5) / _SUBPIXELS - 0.5
    place = ((line[:, np.newaxis] + inside).ravel() * cell / core) ** 2
    values = 1.0 + place[:, np.newaxis] + place
    # to the power of -2.5, faster
    values = 1.0 / (values * values * np.sqrt(values))
    array = values.reshape(line.size, _SUBPIXELS, line.size, _SUBPIXELS).sum(axis=(1, 3))
    array = np.pad(array, (half, 0), mode='reflect')
    return _Kernel(array / array.sum(), fwhm, 'Moffat')


def _half_width(array):
    """FWHM in pixels: diameter of the circle as large as what is above half of the maximum."""
    from scipy.ndimage import map_coordinates

    peak = np.array(np.unravel_index(array.argmax(), array.shape))
    # only what is near the maximum matters
    near = math.ceil(2.0 * math.sqrt(np.sum(array > 0.5 * array.max()) / math.pi)) + 2
    half = min(near, *peak, *(np.array(array.shape) - 1 - peak))
    fine = max(1, min(20, 500 // max(half, 1)))
    line = np.arange(-half * fine, half * fine + 1) / fine
    values = map_coordinates(array, np.meshgrid(line + peak[0], line + peak[1], indexing='ij'), order=3)
    return 2.0 * math.sqrt(np.sum(values > 0.5 * array.max()) / math.pi) / fine
