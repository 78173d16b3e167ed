# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Photometric calibration of images: from pixel values to apparent V flux.

`calibrate` derives, from a header and given options, the factor from pixel values to the apparent flux F = L
/ (4 pi d^2) [Lsun/kpc^2] in V, as defined in `pidoc.mock`. Units are parsed by `pidoc.image.pixel_units`,
names of bands by `pidoc.image.filters`, zero points by `pidoc.image.zero_points`. Everything that is missing
is reported in one error; assumptions are flagged.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from astropy import units as u

from pidoc.grid import APPARENT_FLUX
from pidoc.image.filters import band_named, band_of, FILTERS, old_colour
from pidoc.image.pixel_units import PER_AREA, pixel_unit, PixelUnit
from pidoc.image.zero_points import (
    AGREE,
    agreed,
    exposure_time,
    header_number,
    header_zero_points,
    magnitude_system,
    no_time,
    pivot_wavelength,
    strange_system,
    surface_factor,
)
from pidoc.photometry import apparent_flux, BANDS
from pidoc.units import as_quantity, scalar_value

__all__ = ['AB_MINUS_VEGA_V', 'MissingError', 'PixelCalibration', 'calibrate']

AB_MINUS_VEGA_V = FILTERS['V'].ab_minus_vega
"""V in AB minus V in Vega [mag]: Blanton & Roweis (2007, AJ 133, 734), table 1."""

# of the amplifier, which may have been applied
_GAINS = 'GAIN', 'EGAIN'
_STERADIAN = float((1.0 * u.arcsec**2).to_value(u.sr))       # in one arcsec^2
_PHOTOMETRIC = float((1.0 * u.MJy / u.sr).to_value(u.Jy / u.arcsec**2))


# -- the calibration ------------------------------------------------------------------------------


@dataclass(frozen=True)
class PixelCalibration:
    """The conversion of pixel values to apparent V flux, made by `calibrate`.

    Parameters
    ----------
    factor : float
        Apparent flux [Lsun/kpc^2] of one unit, per pixel, or per arcsec^2 if ``per_area``.
    per_area : bool
        Whether the flux of a pixel is proportional to its area.
    magnitudes : bool
        Whether pixels are in mag/arcsec^2; ``factor`` is then that of magnitude 0.
    band : str
        Band of the result: V, or ``target``.
    meta : dict
        Header keywords and values that describe the calibration.
    flags : tuple of str
    """

    factor: float
    per_area: bool = False
    magnitudes: bool = False
    band: str = 'V'
    meta: dict = field(default_factory=dict)
    flags: tuple = ()

    def linear(self, pixels):
        """Pixel values proportional to light: unchanged, unless they are magnitudes."""
        if not self.magnitudes:
            return pixels
        with np.errstate(over='ignore'):
            return 10.0 ** (-0.4 * pixels)

    def scale(self, areas):
        """Apparent flux of one (linear) unit in pixels of given areas [arcsec^2]."""
        return self.factor * areas if self.per_area else np.full_like(areas, self.factor)


class MissingError(ValueError):
    """Necessary information about an image is neither in its header nor given.

    Parameters
    ----------
    missing : list of tuple of str
        For each item: its name; the option that gives it; the meaning of the option; an error message for the
        case that nothing else is missing.
    name : str, optional
        Name of the image.
    """

    def __init__(self, missing, name='the image'):
        self.missing, self.name = tuple(missing), name
        if len(missing) == 1:
            super().__init__(missing[0][3])
            return
        *things, last = (thing for thing, _, _, _ in missing)
        options = ', '.join(f'{option} ({holds})' for _, option, holds, _ in missing)
        super().__init__(f'{name} lacks {", ".join(things)} and {last}: give {options}')

    def __reduce__(self):
        # pickle would pass the message to __init__
        return MissingError, (self.missing, self.name)


def calibrate(header, *, unit=None, zero_point=None, exposure=None, band=None, colour=None, extinction=None,
              target='V'):
    """Find the photometric calibration of an image.

    Parameters
    ----------
    header : mapping
        Header of the image; empty if there is none.
    unit : str or `~astropy.units.Unit`, optional
        Unit of the pixels; by default BUNIT, or counts without it.
    zero_point : `~astropy.units.Quantity`, optional
        Zero point of counts: magnitude of one unit of the pixels [mag, in the system of the band, or ABmag];
        by default from the header (`~pidoc.image.zero_points.header_zero_points`). If the header is
        ambiguous, the more common convention is assumed, and flagged.
    exposure : `~astropy.units.Quantity`, optional
        Exposure time, if ``zero_point`` is for one count per second, but the pixels are not.
    band : str, optional
        Band of the image; overrides that of the header (`~pidoc.image.filters.band_of`), with a flag.
    colour : `~astropy.units.Quantity`, optional
        V minus the magnitude in ``band`` [mag], for other bands than V. By default that of an old population
        (`~pidoc.image.filters.FILTERS`), reddened by ``extinction``, with a flag.
    extinction : `~astropy.units.Quantity`, optional
        A_V to correct for [mag]; by default none.
    target : str, optional
        Band of the result; other than V only for an image in the same band.

    Returns
    -------
    PixelCalibration

    Raises
    ------
    MissingError
        If something is missing; a ValueError that names everything missing.
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If an argument is of a wrong kind, or contradicts the header.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.image.calibration import calibrate
    >>> print(f"{calibrate({'BUNIT': 'adu', 'FILTER': 'V'}, zero_point=14.83 * u.mag).factor:.5f}")
    0.07958
    """
    _refuse(header)
    dimmed = 0.0 if extinction is None else scalar_value(extinction, u.mag, 'extinction', non_negative=True)
    pixels, missing = _pixels(header, unit, zero_point), []
    if pixels.kind != 'counts' and (zero_point is not None or exposure is not None):
        raise ValueError(f"zero_point and exposure are for counts: the image is in '{pixels.name}'")
    zero = _Zero()
    if pixels.kind == 'counts':
        zero = _zero_point(header, pixels, zero_point, exposure, missing)
    band, overruled = _band(header, band, missing)
    cards, flags = {}, zero.flags + (('band',) if overruled else ())
    if band is not None:
        shift, cards, noted = _to_target(band, colour, target, dimmed, missing)
        flags += noted
    if missing:
        raise MissingError(missing)
    if overruled:
        cards = cards | {'BANDHEAD': overruled}
    if pixels.kind == 'flux':
        zero = _Zero(-2.5 * math.log10(_jansky(header, pixels, band) / u.AB.to(u.Jy)), 'AB')
    elif pixels.kind == 'magnitude':
        zero = _Zero(0.0, magnitude_system(header))
    if zero.system is None and (zero.origin or pixels.kind == 'magnitude') and zero.origin != 'given':
        strange = strange_system(header)
        if strange:
            cards, flags = cards | {'SYSHEAD': strange}, (*flags, 'magnitude-system')
    system = zero.system or (FILTERS[band].system if band in FILTERS else None)
    if pixels.kind in ('apparent', 'surface'):
        factor, system = _of_luminosity(pixels, band, shift, target), zero.system or system
    else:
        factor = apparent_flux((zero.magnitude + shift + _to_system(band, system)) * u.mag,
                               target).to_value(APPARENT_FLUX)
    meta = {'IMGUNIT': pixels.name, 'IMGBAND': band, 'MAGSYS': system,
            'IMGZP': zero.magnitude if zero.origin else None, 'ZPFROM': zero.origin, 'COLOUR': None,
            'EXTCORR': dimmed} | cards | zero.cards
    return PixelCalibration(float(factor) * 10.0 ** (0.4 * dimmed), per_area=pixels.per_arcsec2 is not None,
                            magnitudes=pixels.kind == 'magnitude', band=target, meta=meta, flags=flags)


def _pixels(header, unit, zero_point):
    """The unit of the pixels."""
    card = header.get('BUNIT')
    if unit is None and hasattr(card, 'conflict'):
        raise ValueError(f'the header has BUNIT twice, with {card.conflict}: give unit')
    given = unit if unit is not None else (str(card or '').strip() or None)
    pixels = PixelUnit('counts', name='no unit') if given is None else pixel_unit(given)
    if pixels.name in ('dimensionless', '1', '1.0'):
        pixels = PixelUnit('counts', name='no unit')
    if pixels.kind == 'counts' and zero_point is None:
        webb = surface_factor(header, per_second=pixels.per_second)
        if webb is not None:
            return PixelUnit('flux', jansky=webb * _PHOTOMETRIC * pixels.scale, per_arcsec2=1.0,
                             name=pixels.name)
    return pixels


def _jansky(header, pixels, band):
    """One unit of a flux density, in Jy."""
    if not pixels.per_wavelength:
        return pixels.jansky
    pivot = pivot_wavelength(header)
    if not pivot and band not in FILTERS:
        raise ValueError(f"the unit '{pixels.name}' is per wavelength and needs a pivot wavelength: PHOTPLAM "
                         f"in the header, or one of the bands {', '.join(FILTERS)}; received '{band}'")
    return pixels.at_wavelength(pivot or FILTERS[band].pivot)


def _band(header, band, missing):
    """The band of the image, and that of its header if another one is given."""
    named = band_of(header)
    if band is None and named is None:
        missing.append(('the band', 'band', 'such as V',
                        'the image does not say its band: give band, such as V'))
    if band is None:
        return named, None
    if not isinstance(band, str) or not band_named(band):
        raise TypeError(f'band must be the name of a band, such as V, received {band!r}')
    band = band_named(band)
    return band, named if named not in (None, band) else None


def _to_target(band, colour, target, dimmed, missing):
    """Magnitude in the target band minus that in the band of the image, with cards and flags."""
    if band == target:
        if colour is not None:
            raise ValueError(f'colour must be left out where the image is in {target}, received {colour}')
        return 0.0, {}, ()
    if target != 'V':
        raise ValueError(f"an image in '{target}' is needed, received one in '{band}'")
    if colour is not None:
        value = scalar_value(colour, u.mag, 'colour')
        return value, {'COLOUR': value, 'COLFROM': 'given'}, ()
    if band not in FILTERS:
        missing.append(('the colour', 'colour', f'V - {band}',
                        f"the image is in '{band}', not in V: give colour, the magnitude V - {band} of "
                        'the cluster, or images in both g and r'))
        return math.nan, {}, ()
    value, error = old_colour(band, dimmed)
    return value, {'COLOUR': value, 'COLERR': error, 'COLFROM': 'old population'}, ('colour',)


def _to_system(band, system):
    """Offset of a magnitude from the given system to that of its band."""
    if band not in FILTERS or system == FILTERS[band].system:
        return 0.0
    its = FILTERS[band]
    if system == 'ST':
        # f_nu = f_lambda lambda^2 / c: AB - ST at a wavelength in Angstrom
        to_ab = 18.692 - 5.0 * math.log10(its.pivot)
        return to_ab + (0.0 if its.system == 'AB' else _to_system(band, 'AB'))
    if its.ab_minus_vega is None:
        raise ValueError(f'the zero point must be in the system of {its.name}, {its.system}, received '
                         f'{system}')
    return -its.ab_minus_vega


def _of_luminosity(pixels, band, shift, target):
    """Calibration of pixels in solar luminosities of their band: per pixel, or per arcsec^2."""
    if band not in BANDS:
        raise ValueError(f'an image in {pixels.name} must be in one of the bands {", ".join(BANDS)}, whose '
                         'Sun is known, received '
                         f"'{band}'")
    # (L / d^2) at 10 pc is Lsun of the band; the other band has another solar magnitude
    suns = 1.0 if band == target else 10.0 ** (-0.4 * (BANDS[band].solar_magnitude + shift
                                                       - BANDS[target].solar_magnitude))
    suns *= pixels.scale
    if pixels.kind == 'apparent':
        return suns
    # L = Sigma (theta d)^2, so F = Sigma theta^2 / (4 pi) at any distance
    return suns * float(PER_AREA.to(APPARENT_FLUX)) * _STERADIAN / (4.0 * math.pi)


# -- zero points ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Zero:
    """A zero point [mag], its system or None, its source, and cards and flags about it."""

    magnitude: float = 0.0
    system: str | None = None
    origin: str | None = None
    cards: dict = field(default_factory=dict)
    flags: tuple = ()


def _zero_point(header, pixels, zero_point, exposure, missing):
    """The zero point of counts, given or from the header."""
    try:
        found = header_zero_points(header, per_second=pixels.per_second)
        if 'PHOTFLAM' in found and pixels.name == 'no unit':
            raise ValueError('PHOTFLAM needs BUNIT, whether the pixels are per second: give unit or '
                             'zero_point')
    except ValueError as error:
        # gaps in the header do not matter if the zero point is given
        if zero_point is None:
            return _missing_zero_point(str(error), exposure, missing)
        found = {}
    if zero_point is not None:
        return _given(header, pixels, zero_point, exposure, found)
    if not found:
        return _missing_zero_point(
            f'an image in {pixels.name} needs a zero point, and its header has none of PHOTZP, MAGZERO, '
            'MAGZP, ZP, MAGZPT, FLUXMAG0, FPA.ZP with EXPTIME, PHOTFLAM with PHOTPLAM and others: give '
            'zero_point, the '
            'magnitude of one unit (with exposure, if it is of one count a second)', exposure, missing)
    if exposure is not None:
        raise ValueError('exposure goes with zero_point, received only exposure')
    first, other = agreed(found)
    cards, flags = {}, ()
    if other is not None and other.of == first.of:
        # of two exposure times
        return _missing_zero_point(str(no_time(header, first.keyword)), exposure, missing)
    if other is not None:
        # flagged, because the light is wrong by this factor if the assumption is
        cards = {'ZPREAD': first.of}
        if math.isfinite(other.magnitude):
            cards['ZPOTHER'] = other.magnitude
        flags += ('zero-point-reading',)
    gain = next(filter(None, (header_number(header, keyword) for keyword in _GAINS)), None)
    if gain and gain > 0.0 and abs(2.5 * math.log10(gain)) > AGREE and pixels.electrons:
        cards |= {'GAIN': gain}
        flags += ('gain',)
    return _Zero(first.magnitude - 2.5 * math.log10(pixels.scale), first.system, first.keyword, cards, flags)


def _missing_zero_point(sentence, exposure, missing):
    if exposure is not None:
        raise ValueError('exposure goes with zero_point, received only exposure')
    missing.append(('a zero point', 'zero_point', 'magnitude of one unit of the pixels', sentence))
    return _Zero()


def _given(header, pixels, zero_point, exposure, found):
    """A given zero point, compared with the header."""
    value, system = _magnitude(zero_point)
    if exposure is not None:
        if pixels.per_second:
            raise ValueError('exposure must be left out where the pixels are per second, received '
                             f'{exposure}')
        value += 2.5 * math.log10(scalar_value(exposure, u.s, 'exposure', positive=True))
    system = system or magnitude_system(header)
    if not found:
        return _Zero(value, system, 'given')
    try:
        readings = [its for its in agreed(found) if its is not None]
    except ValueError:
        readings = [its for each in found.values() for its in each]
    readings = [its for its in readings if math.isfinite(its.magnitude)]
    near = min(readings, key=lambda its: abs(its.magnitude - value))
    time = exposure_time(header)
    shift = 2.5 * math.log10(time) if time else 0.0
    off = [its for its in readings if abs(value + shift - its.magnitude) < 0.5]
    if exposure is None and abs(shift) > 1.0 and off and abs(near.magnitude - value) >= 0.5:
        raise ValueError(f'zero_point must be that of one unit of the pixels, {off[0].magnitude:.3f} mag by '
                         f'{off[0].keyword} in the header; received {value:.3f} mag, which looks like one '
                         f'count a second: then give exposure={time:g} s too')
    return _Zero(value, system, 'given', {'ZPHEADER': near.magnitude, 'ZPKEYWRD': near.keyword},
                 ('zero-point',) if abs(value - near.magnitude) > AGREE else ())


def _magnitude(zero_point):
    zero_point = as_quantity(zero_point, u.mag, 'zero_point')
    if isinstance(zero_point, u.Magnitude):
        if zero_point.unit.physical_unit != u.AB:
            raise ValueError(f'zero_point must be in mag or ABmag, received {zero_point}')
        system, zero_point = 'AB', zero_point.value * u.mag
    else:
        system = None
    return scalar_value(zero_point, u.mag, 'zero_point'), system


# -- traps ----------------------------------------------------------------------------------------


def _refuse(header):
    """Reject images that can never be calibrated."""
    text = ' '.join(str(value) for value in header.values()).lower()
    if 'hips2fits' in text:
        raise ValueError('an image of hips2fits has no photometry: its pixels have been rescaled on the '
                         'way, and how is lost. '
                         'Get the image from the survey itself')
