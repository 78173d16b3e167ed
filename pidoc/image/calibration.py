# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The photometric calibration of images: from what is in their pixels to apparent V flux.

`calibrate` finds out, from a header and from what is given, by what a pixel has to be multiplied to hold the
apparent flux F = L / (4 pi d^2) [Lsun/kpc^2] in V that `pidoc.mock` explains. It guesses nothing: what it
cannot know it asks for.
"""

import math
import re
import warnings
from dataclasses import dataclass, field

import numpy as np
from astropy import units as u

from pidoc.grid import APPARENT_FLUX
from pidoc.photometry import apparent_flux, BANDS
from pidoc.units import scalar_value

__all__ = ['AB_MINUS_VEGA_V', 'PixelCalibration', 'PixelUnit', 'band_of', 'calibrate', 'header_zero_points',
           'pixel_unit']

AB_MINUS_VEGA_V = 0.02
"""V in AB minus V in Vega [mag]: Blanton & Roweis (2007, AJ 133, 734), table 1."""

# Of the Sun in FSPS (Conroy & Gunn 2010), whose Vega magnitudes `pidoc.photometry.BANDS` has
_AB_MINUS_VEGA = {'V': AB_MINUS_VEGA_V, 'I': 0.42, 'F606W': 0.08, 'F814W': 0.42}

AGREE = 0.05               # mag, within which two zero points are the same

_PER_AREA = u.Lsun / u.pc**2
_STERADIAN = float((1.0 * u.arcsec**2).to_value(u.sr))       # of one arcsec^2
_COUNTS = (u.adu, u.ct, u.electron, u.DN, u.one)
_NAMES = {
    'nanomaggy': '1e-9 mgy', 'nanomaggies': '1e-9 mgy', 'nmgy': '1e-9 mgy', 'maggy': 'mgy', 'maggies': 'mgy',
    'adu': 'adu', 'dn': 'DN', 'adus': 'adu', 'counts': 'ct', 'count': 'ct', 'electrons': 'electron',
    'e-': 'electron', 'e': 'electron', 'cts': 'ct', 'cps': 'ct/s', 'mjy': 'MJy', 'sec': 's', 'second': 's'}
_KNOWN = ('counts (adu, ct, electron; also per second), Jy, mJy, uJy, nJy, maggy, nanomaggy, each per '
          'pixel; MJy/sr, '
          'Jy/arcsec2, nanomaggy/arcsec2, mag/arcsec2, Lsun/pc2 per area; Lsun/kpc2 (apparent flux per '
          'pixel)')
# words in the name of a filter that are not the band
_NO_BAND = {'johnson', 'bessell', 'bessel', 'cousins', 'harris', 'kron', 'sdss', 'sloan', 'decam', 'ps1',
            'des', 'panstarrs', 'filter', 'band', 'gpc1', 'clear', 'open', 'none', 'empty', 'clear1l',
            'clear2l', 'clear1s', 'clear2s'}
_BAND_KEYWORDS = ('FILTER', 'FPA.FILTERID', 'FPA.FILTER', 'FILTER1', 'FILTER2', 'FILTNAM', 'FILTERID', 'BAND')


@dataclass(frozen=True)
class PixelUnit:
    """What a pixel holds.

    Parameters
    ----------
    kind : str
        'apparent' (Lsun/kpc^2 of the band per pixel), 'surface' (Lsun/pc^2), 'flux' (a flux density),
        'counts', or 'magnitude' (mag/arcsec^2).
    jansky : float
        Of kind 'flux': one unit in Jy.
    per_arcsec2 : float or None
        Where the unit is per area: the number of its areas in one arcsec^2. None: per pixel.
    per_second : bool
        Whether counts are per second.
    name : str
        The unit as it was given.
    """

    kind: str
    jansky: float = 1.0
    per_arcsec2: float = None
    per_second: bool = False
    name: str = ''


def pixel_unit(unit):
    """What a pixel of an image in a unit holds.

    Parameters
    ----------
    unit : str or `~astropy.units.Unit`
        As in BUNIT, or of astropy. Lsun/kpc^2 is the apparent flux of `pidoc.mock` in a pixel, while
        Lsun/pc^2 is a surface brightness: luminosity per area of the cluster.

    Returns
    -------
    PixelUnit

    Raises
    ------
    ValueError
        If the unit is not understood, or is none of an image.

    Examples
    --------
    >>> from pidoc.image.calibration import pixel_unit
    >>> pixel_unit('MJy/sr').kind, pixel_unit('nanomaggies').jansky
    ('flux', 3.6307805477010142e-06)
    """
    name = str(unit).strip() or 'dimensionless'
    unit = _parsed(unit, name)
    if unit == u.mag / u.arcsec**2:
        return PixelUnit('magnitude', per_arcsec2=1.0, name=name)
    if unit == APPARENT_FLUX:
        return PixelUnit('apparent', name=name)
    if unit == _PER_AREA:
        return PixelUnit('surface', per_arcsec2=1.0, name=name)
    for per_pixel in (u.one, u.pix**-1):
        plain = unit / per_pixel
        for counts in _COUNTS:
            if plain in (counts, counts / u.s):
                return PixelUnit('counts', per_second=plain == counts / u.s, name=name)
        for flux, jansky in ((u.Jy, 1.0), (u.mgy, float(u.AB.to(u.Jy)))):
            if plain.is_equivalent(flux):
                return PixelUnit('flux', jansky=float(plain.to(flux)) * jansky, name=name)
            if plain.is_equivalent(flux / u.sr):
                jansky *= float(plain.to(flux / u.arcsec**2))
                return PixelUnit('flux', jansky=jansky, per_arcsec2=1.0, name=name)
    raise ValueError(f"the unit of the image must be one of {_KNOWN}, received '{name}'")


def _parsed(unit, name):
    if isinstance(unit, u.UnitBase):
        return unit
    if not isinstance(unit, str):
        raise TypeError(f'unit must be a unit or its name, received {unit!r}')
    # names that astropy does not know, wherever they stand
    text = re.sub(r'[A-Za-z]+-?(?![\w(])', lambda word: _alias(word.group()), name)
    text = re.sub(r'/ *(S|sec)\b', '/s', text)
    if name == 'dimensionless':
        return u.one
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', u.UnitsWarning)
        for form in (text, name):
            try:
                return u.Unit(form)
            except (ValueError, TypeError):
                continue
    raise ValueError(f"the unit of the image must be one of {_KNOWN}, received '{name}'")


def _alias(word):
    if word in ('mJy', 'MJy'):
        return word
    return _NAMES.get(word.lower(), word)


# -- bands ----------------------------------------------------------------------------------------


def band_of(header):
    """Band that a header names: the first word of its filter that can be one.

    Parameters
    ----------
    header : mapping
        Looked into are FILTER, FPA.FILTERID, FPA.FILTER, FILTER1, FILTER2, FILTNAM, FILTERID and BAND.

    Returns
    -------
    str or None
        As it is written: V and v are two bands. None if no filter is named.

    Examples
    --------
    >>> from pidoc.image.calibration import band_of
    >>> band_of({'FILTER': 'r DECam SDSS c0002 6415.0 1480.0'}), band_of({'FILTER': 'Johnson V'}), band_of({})
    ('r', 'V', None)
    """
    for keyword in _BAND_KEYWORDS:
        for word in re.split(r'[^A-Za-z0-9]+', str(header.get(keyword) or '')):
            if word and not word.isdigit() and word.lower() not in _NO_BAND:
                return word
    return None


def _band(header, band):
    named = band_of(header)
    if band is None and named is None:
        raise ValueError('the image does not say its band: give band, such as V')
    if band is None:
        return named
    if not isinstance(band, str) or not band:
        raise TypeError(f'band must be the name of a band, such as V, received {band!r}')
    if named is not None and named != band:
        raise ValueError(f"band must be that of the image, '{named}' by its header, received '{band}'")
    return band


# -- zero points ----------------------------------------------------------------------------------


def header_zero_points(header, *, per_second=False):
    """Zero points that a header holds: magnitudes of one unit of the pixels of its image.

    PHOTZP, MAGZERO and MAGZP are of the pixels as they are. MAGZPT (DECam) and FPA.ZP (Pan-STARRS1) are of
    one count a second and need EXPTIME. PHOTFLAM with PHOTPLAM (Hubble) makes the AB magnitude of one
    electron a second -2.5 log10(PHOTFLAM) - 5 log10(PHOTPLAM) - 2.408 (ACS Data Handbook, section 5.1.1).

    Parameters
    ----------
    header : mapping
    per_second : bool, optional
        Whether the pixels are per second.

    Returns
    -------
    dict
        keyword: (zero point [mag], 'AB' or 'Vega' or None where the header does not say), in this order.

    Raises
    ------
    ValueError
        If a zero point is there, but not the exposure time or the wavelength that it needs.
    """
    system = _system(header)
    found = {}
    for keyword in ('PHOTZP', 'MAGZERO', 'MAGZP'):
        if _number(header, keyword) is not None:
            found[keyword] = _number(header, keyword), system
    for keyword, its in (('MAGZPT', system), ('FPA.ZP', 'AB')):
        value = _number(header, keyword)
        # elsewhere MAGZPT may be of anything: DECam's stands beside MAGZERO
        if value is not None and (keyword != 'MAGZPT' or 'MAGZERO' in found):
            found[keyword] = value + _exposure_term(header, keyword, per_second), its
    flam = _number(header, 'PHOTFLAM')
    if flam:
        pivot = _number(header, 'PHOTPLAM')
        if not pivot:
            raise ValueError('the header has PHOTFLAM but no PHOTPLAM: give zero_point')
        if flam < 0.0 or pivot < 0.0:
            raise ValueError(f'PHOTFLAM and PHOTPLAM must be positive, received {flam:g} and {pivot:g}')
        one = -2.5 * math.log10(flam) - 5.0 * math.log10(pivot) - 2.408
        found['PHOTFLAM'] = one + _exposure_term(header, 'PHOTFLAM', per_second), 'AB'
    return found


def _number(header, keyword):
    """A finite number, else None: PS1 writes 'NaN' where it knows none."""
    value = header.get(keyword)
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
        return None
    return float(value)


def _exposure_term(header, keyword, per_second):
    if per_second:
        return 0.0
    time = _number(header, 'EXPTIME')
    if not time or time < 0.0:
        raise ValueError(f'{keyword} is of one count a second and the header has no EXPTIME: give '
                         'zero_point, and exposure if '
                         'it is of one count a second')
    return 2.5 * math.log10(time)


def _system(header):
    for keyword in ('MAGSYS', 'PHOTSYS', 'ZPSYS'):
        text = str(header.get(keyword) or '').upper()
        if text.startswith('AB'):
            return 'AB'
        if text.startswith('VEGA'):
            return 'Vega'
    return None


def _zero_point(header, pixels, zero_point, exposure):
    """Zero point, system and where it is from; what the header has; flags."""
    try:
        found = header_zero_points(header, per_second=pixels.per_second)
        if 'PHOTFLAM' in found and pixels.name == 'no unit':
            raise ValueError('PHOTFLAM needs BUNIT, whether the pixels are per second: give unit or '
                             'zero_point')
    except ValueError:
        # what the header lacks does not matter where the zero point is given
        if zero_point is None:
            raise
        found = {}
    first = next(iter(found), None)
    if zero_point is None:
        if exposure is not None:
            raise ValueError('exposure goes with zero_point, received only exposure')
        if first is None:
            raise ValueError(f"an image in {pixels.name} needs a zero point, and its header has none of "
                             "PHOTZP, MAGZERO, MAGZP, "
                             'FPA.ZP with EXPTIME, PHOTFLAM with PHOTPLAM: give zero_point, the magnitude '
                             'of one '
                             'unit (with exposure, if it is of one count a second)')
        for keyword, (value, _) in found.items():
            if abs(value - found[first][0]) > AGREE:
                raise ValueError(f'the header has two zero points, {first} ({found[first][0]:.3f} mag) and '
                                 f'{keyword} '
                                 f'({value:.3f} mag): give zero_point')
        return *found[first], first, {}, ()
    value, system = _magnitude(zero_point)
    if exposure is not None:
        if pixels.per_second:
            raise ValueError('exposure must be left out where the pixels are per second, received '
                             f'{exposure}')
        value += 2.5 * math.log10(scalar_value(exposure, u.s, 'exposure', positive=True))
    flags, other = (), {}
    if first is not None:
        its = found[first][0]
        time = _number(header, 'EXPTIME')
        shift = 2.5 * math.log10(time) if time and time > 0.0 else 0.0
        if exposure is None and abs(shift) > 1.0 and abs(value + shift - its) < 0.5:
            raise ValueError(f'zero_point must be that of one unit of the pixels, {its:.3f} mag by {first} '
                             'in the header; '
                             f'received {value:.3f} mag, which looks like one count a second: then give '
                             f'exposure={time:g} s too')
        other = {'ZPHEADER': its, 'ZPKEYWRD': first}
        flags = ('zero-point',) if abs(value - its) > AGREE else ()
    return value, system or _system(header), 'given', other, flags


def _magnitude(zero_point):
    if isinstance(zero_point, u.Magnitude):
        if zero_point.unit.physical_unit != u.AB:
            raise ValueError(f'zero_point must be in mag or ABmag, received {zero_point}')
        system, zero_point = 'AB', zero_point.value * u.mag
    else:
        system = None
    return scalar_value(zero_point, u.mag, 'zero_point'), system


# -- the calibration ------------------------------------------------------------------------------


@dataclass(frozen=True)
class PixelCalibration:
    """How pixels become apparent V flux: made by `calibrate`.

    Parameters
    ----------
    factor : float
        Apparent flux [Lsun/kpc^2] of one unit: per pixel, or per arcsec^2 if ``per_area``.
    per_area : bool
        Whether the area of a pixel counts.
    magnitudes : bool
        Whether pixels are in mag/arcsec^2; ``factor`` is then that of magnitude 0.
    band : str
        Band of the result: V, or what was asked for.
    meta : dict
        Keywords and values that describe it.
    flags : tuple of str
    """

    factor: float
    per_area: bool = False
    magnitudes: bool = False
    band: str = 'V'
    meta: dict = field(default_factory=dict)
    flags: tuple = ()

    def linear(self, pixels):
        """What of the pixels is proportional to light: themselves, unless they are magnitudes."""
        if not self.magnitudes:
            return pixels
        with np.errstate(over='ignore'):
            return 10.0 ** (-0.4 * pixels)

    def scale(self, areas):
        """Apparent flux of one (linear) unit in pixels of given areas [arcsec^2]."""
        return self.factor * areas if self.per_area else np.full_like(areas, self.factor)


def calibrate(header, *, unit=None, zero_point=None, exposure=None, band=None, colour=None, extinction=None,
              target='V'):
    """Find the photometric calibration of an image.

    Parameters
    ----------
    header : mapping
        Its header; empty if there is none.
    unit : str or `~astropy.units.Unit`, optional
        Of its pixels; else BUNIT; else counts.
    zero_point : `~astropy.units.Quantity`, optional
        Of counts: magnitude of one unit of the pixels [mag, in the system of the band, or ABmag]; else from
        the header (`header_zero_points`).
    exposure : `~astropy.units.Quantity`, optional
        If ``zero_point`` is of one count a second, but the pixels are not: the exposure time.
    band : str, optional
        Else that of the header (`band_of`).
    colour : `~astropy.units.Quantity`, optional
        V minus the magnitude in ``band`` [mag], where this is not V.
    extinction : `~astropy.units.Quantity`, optional
        A_V, by which the light is made brighter [mag]; by default nothing is done.
    target : str, optional
        Band of the result. Other than V only for an image in that same band.

    Returns
    -------
    PixelCalibration

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If an argument is of a wrong kind, contradicts the header, or something is missing.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.image.calibration import calibrate
    >>> print(f"{calibrate({'BUNIT': 'adu', 'FILTER': 'V'}, zero_point=14.83 * u.mag).factor:.5f}")
    0.07958
    """
    _refuse(header)
    given = unit if unit is not None else (str(header.get('BUNIT') or '').strip() or None)
    pixels = PixelUnit('counts', name='no unit') if given is None else pixel_unit(given)
    if pixels.name in ('dimensionless', '1'):
        pixels = PixelUnit('counts', name='no unit')
    if pixels.kind != 'counts' and (zero_point is not None or exposure is not None):
        raise ValueError(f"zero_point and exposure are for counts: the image is in '{pixels.name}'")
    meta, flags = {'IMGUNIT': pixels.name}, ()
    zero, system, origin, other = 0.0, None, None, {}
    if pixels.kind == 'counts':
        zero, system, origin, other, flags = _zero_point(header, pixels, zero_point, exposure)
    elif pixels.kind == 'flux':
        zero, system = -2.5 * math.log10(pixels.jansky / u.AB.to(u.Jy)), 'AB'
    elif pixels.kind == 'magnitude':
        system = _system(header)
    band = _band(header, band)
    shift = _to_target(band, colour, target)
    if band in BANDS:
        system = system or BANDS[band].system
    if pixels.kind in ('apparent', 'surface'):
        factor = _of_luminosity(pixels, band, shift, target)
    else:
        if band in BANDS and system != BANDS[band].system:
            if band not in _AB_MINUS_VEGA:
                raise ValueError(f'the zero point must be in the system of {BANDS[band].name}, '
                                 f'{BANDS[band].system}, '
                                 f'received {system}')
            shift -= _AB_MINUS_VEGA[band]
        factor = apparent_flux((zero + shift) * u.mag, target).to_value(APPARENT_FLUX)
    dimmed = 0.0 if extinction is None else scalar_value(extinction, u.mag, 'extinction', non_negative=True)
    meta |= {'IMGBAND': band, 'MAGSYS': system, 'IMGZP': zero if origin else None, 'ZPFROM': origin,
             'COLOUR': None if colour is None else float(colour.to_value(u.mag)), 'EXTCORR': dimmed} | other
    return PixelCalibration(float(factor) * 10.0 ** (0.4 * dimmed), per_area=pixels.per_arcsec2 is not None,
                       magnitudes=pixels.kind == 'magnitude', band=target, meta=meta, flags=flags)


def _of_luminosity(pixels, band, shift, target):
    """Of pixels that count suns of their band: per pixel, or per arcsec^2."""
    if band not in BANDS:
        raise ValueError(f'an image in {pixels.name} must be in one of the bands {", ".join(BANDS)}, whose '
                         'Sun is known, received '
                         f"'{band}'")
    # (L / d^2) of 10 pc is Lsun of the band; in the other band it has another Sun
    suns = 1.0 if band == target else 10.0 ** (-0.4 * (BANDS[band].solar_magnitude + shift
                                                       - BANDS[target].solar_magnitude))
    if pixels.kind == 'apparent':
        return suns
    # L = Sigma (theta d)^2, and so F = Sigma theta^2 / (4 pi), whatever the distance
    return suns * float(_PER_AREA.to(APPARENT_FLUX)) * _STERADIAN / (4.0 * math.pi)


def _to_target(band, colour, target):
    """Magnitude in the target minus that in the band of the image."""
    if band == target:
        if colour is not None:
            raise ValueError(f'colour must be left out where the image is in {target}, received {colour}')
        return 0.0
    if target != 'V':
        raise ValueError(f"an image in '{target}' is needed, received one in '{band}'")
    if colour is None:
        raise ValueError(f"the image is in '{band}', not in V: give colour, the magnitude V - {band} of "
                         "the cluster, or images in "
                         'both g and r')
    return scalar_value(colour, u.mag, 'colour')


# -- traps ----------------------------------------------------------------------------------------


def _refuse(header):
    """What can never be calibrated."""
    text = ' '.join(str(value) for value in header.values()).lower()
    if 'hips2fits' in text:
        raise ValueError('an image of hips2fits has no photometry: its pixels have been rescaled on the '
                         'way, and how is lost. '
                         'Get the image from the survey itself')
