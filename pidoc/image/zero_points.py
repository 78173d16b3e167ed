# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Zero points in image headers: the keywords of different observatories, and the units they refer to.

A keyword is ambiguous if the exposure time is not one second: its magnitude may be that of one unit of the
pixels, or of one unit per second. `header_zero_points` returns all readings of all keywords, and `agreed` the
one that they have in common.
"""

import math
import re
from dataclasses import dataclass

import numpy as np
from astropy import units as u

__all__ = ['AGREE', 'KEYWORDS', 'Reading', 'agreed', 'exposure_time', 'header_number', 'header_zero_points',
           'magnitude_system', 'no_time', 'pivot_wavelength', 'strange_system', 'surface_factor']

AGREE = 0.05
"""Magnitude difference within which two zero points are the same."""

PIXEL, SECOND = 'one unit of the pixels', 'one unit a second'

# Magnitudes, and the unit each refers to: one of these two, or both, the more common one first.
_MAGNITUDES = {
    'PHOTZP': (PIXEL, SECOND),              # ESO phase 3: of the pixels; ambiguous elsewhere
    'MAGZERO': (PIXEL, SECOND),             # DECam: of the pixels, beside MAGZPT
    'MAGZP': (PIXEL, SECOND),               # ZTF, 2MASS, WISE
    'IMAGEZPT': (PIXEL, SECOND),            # PTF
    'ZP': (PIXEL, SECOND), 'ZPT': (PIXEL, SECOND), 'ZEROPT': (PIXEL, SECOND), 'ZEROPNT': (PIXEL, SECOND),
    'ZEROPOIN': (PIXEL, SECOND), 'ZEROPOINT': (PIXEL, SECOND), 'ZPTMAG': (PIXEL, SECOND), 'MAG_ZP': (PIXEL,
                                                                                                     SECOND),
    'MAGZEROP': (PIXEL, SECOND), 'PHOT_ZP': (PIXEL, SECOND), 'ZPAPPROX': (PIXEL, SECOND), 'ZP_MAG': (PIXEL,
                                                                                                     SECOND),
    # CASU, DECam: per second
    'MAG_ZERO': (PIXEL, SECOND), 'ABMAGZP': (PIXEL, SECOND), 'MAGZPT': (SECOND, PIXEL),
    'ESO QC ZPOINT': (SECOND, PIXEL), 'ESO QC MAGZPT': (SECOND, PIXEL), 'ESO QC PHOTZP': (PIXEL, SECOND),
    'ESO QC ZP': (SECOND, PIXEL), 'PHOT_C': (SECOND, PIXEL), 'L1ZP': (SECOND, PIXEL),     # CFHT, LCO
    'FPA.ZP': (SECOND,)}                    # Pan-STARRS1
# always in AB
_AB = ('ABMAGZP', 'FPA.ZP')
_EXPOSURES = ('EXPTIME', 'EXPOSURE', 'XPOSURE', 'EFFEXPTM', 'TEXPTIME', 'EXP_TIME', 'TOTEXPT', 'TEXP',
              'ITIME', 'INTTIME', 'ELAPTIME')
_SYSTEM_CARDS = ('MAGSYS', 'PHOTSYS', 'ZPSYS', 'MAGSYSTEM', 'PHOTSYST')
# words of each system; Johnson's and its like are magnitudes relative to Vega
_SYSTEMS = {
    'AB': re.compile(r'(?<![A-Z])M?_?AB(?!S)|SDSS|PAN-?STARRS|\bPS1\b', re.IGNORECASE),
    'Vega': re.compile(r'VEGA|JOHNSON|LANDOLT|BESSELL|COUSINS|STETSON|UBVRI', re.IGNORECASE),
    'ST': re.compile(r'\bST(MAGS?)?\b', re.IGNORECASE)}
# in lower case: what says nothing, or that magnitudes are those usual for the band
_NO_SYSTEM = ('', 'mag', 'mags', 'none', 'unknown', 'undefined', 'null', 'n/a', 'na', '-', 'standard')
# SDSS writes numbers as text
_NUMBER = re.compile(r'\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?:s|secs?|seconds?|mag)?\s*')
_WAVELENGTHS = 1000.0, 300_000.0      # Angstrom; in nm those of visible light are less, in micron all
_AB_JANSKY = float(u.AB.to(u.Jy))
_OTHERS = ('PHOTFNU', 'PHOTFLAM with PHOTPLAM', 'PHOTMJSR', 'FLUXMAG0', 'FLUX20', 'NMGY')

KEYWORDS = (*_MAGNITUDES, *_OTHERS)
"""The recognised keywords."""


@dataclass(frozen=True)
class Reading:
    """One interpretation of a zero-point keyword.

    Parameters
    ----------
    keyword : str
    magnitude : float
        Magnitude of one unit of the pixels.
    system : str or None
        'AB' or 'Vega', or None if the header does not say.
    of : str
        The assumed meaning of its value: the magnitude of one unit of the pixels, or of one unit per second.
    """

    keyword: str
    magnitude: float
    system: str
    of: str = PIXEL


def header_number(header, keyword):
    """A finite number of a header, else None: PS1 writes 'NaN' for unknown values.

    Text that is a number, with s or mag as its unit, counts as one. A card that is there more than once has
    none, unless its numbers agree.
    """
    numbers = _numbers(header, keyword)
    return numbers[0] if len(numbers) == 1 else None


def _numbers(header, keyword):
    """The different finite numbers of the cards of a keyword."""
    value, found = header.get(keyword), []
    # what pidoc.image.read puts for several cards
    for each in getattr(value, 'values', (value,)) if isinstance(value, str) else (value,):
        if isinstance(each, str):
            match = _NUMBER.fullmatch(each)
            each = float(match[1]) if match else None
        if isinstance(each, bool) or not isinstance(each, (int, float, np.number)) or not math.isfinite(each):
            continue
        if not any(math.isclose(each, other, rel_tol=1e-6) for other in found):
            found.append(float(each))
    return found


def exposure_time(header):
    """The exposure time [s] of a header, else None."""
    times = _times(header)[1]
    return times[0] if len(times) == 1 else None


def _times(header):
    """Keyword and values [s] of the exposure time: several if the cards of the keyword differ."""
    for keyword in _EXPOSURES:
        times = [time for time in _numbers(header, keyword) if time > 0.0]
        if times and 2.5 * math.log10(max(times) / min(times)) < AGREE:
            times = times[:1]
        if times:
            return keyword, times
    return 'EXPTIME', []


def no_time(header, keyword):
    """The error where a keyword needs the exposure time."""
    card, times = _times(header)
    what = f'{card} twice, with {" and ".join(f"{time:g}" for time in times)}' if times else f'no {card}'
    return ValueError(f'{keyword} is of one count a second and the header has {what}: give zero_point, and '
                      'exposure if it is of one count a second')


def header_zero_points(header, *, per_second=False):
    """Zero points of a header: magnitudes of one unit of the pixels of its image.

    Keywords with magnitudes are in `KEYWORDS`: PHOTZP, MAGZERO, MAGZP, ZP, ZPT, MAGZPT and so on may refer to
    one unit of the pixels or to one per second; FPA.ZP (Pan-STARRS1) refers to one count per second. PHOTFLAM
    with PHOTPLAM (Hubble) gives the AB magnitude of one electron per second -2.5 log10(PHOTFLAM) - 5
    log10(PHOTPLAM) - 2.408 (ACS Data Handbook, section 5.1.1); PHOTFNU is its flux density [Jy]. FLUXMAG0
    (Hyper Suprime-Cam) is the flux of magnitude 0, FLUX20 (SDSS) that of magnitude 20, NMGY (SDSS) the
    nanomaggies of one count.

    Parameters
    ----------
    header : mapping
    per_second : bool, optional
        Whether the pixels are per second.

    Returns
    -------
    dict
        Keyword -> list of `Reading`, the more common one first.

    Raises
    ------
    ValueError
        If the exposure time or the wavelength that a zero point requires is missing.

    Examples
    --------
    >>> from pidoc.image.zero_points import header_zero_points
    >>> [its.magnitude for its in header_zero_points({'ZP': 25.0, 'EXPTIME': 100.0})['ZP']]
    [25.0, 30.0]
    """
    system, found = magnitude_system(header), {}
    for keyword, readings in _MAGNITUDES.items():
        value = header_number(header, keyword)
        # some pipelines write 0 if it was not measured
        if value is not None and value != 0.0:
            found[keyword] = _readings(header, keyword, value, 'AB' if keyword in _AB else system, readings,
                                       per_second)
    for keyword, zero in (('PHOTFNU', _of_photfnu(header)), ('PHOTFLAM', _of_photflam(header))):
        if zero is not None:
            found[keyword] = _readings(header, keyword, zero, 'AB', (SECOND,), per_second)
    for keyword, zero in (('FLUXMAG0', lambda flux: 2.5 * math.log10(flux)),
                          ('FLUX20', lambda flux: 20.0 + 2.5 * math.log10(flux)),
                          ('NMGY', lambda flux: 22.5 - 2.5 * math.log10(flux))):
        value = header_number(header, keyword)
        if value is not None and value > 0.0:
            found[keyword] = [Reading(keyword, zero(value), 'AB')]
    return found


def _readings(header, keyword, value, system, readings, per_second):
    """All readings of a magnitude; only one if the pixels are per second or the exposure is one second.

    With two exposure times there are two readings of a second.
    """
    times = _times(header)[1]
    if per_second:
        return [Reading(keyword, value, system, SECOND)]
    if not times and readings == (SECOND,):
        raise no_time(header, keyword)
    if not times:
        # the more common reading, if it is of a second, cannot be computed
        unknown = [Reading(keyword, math.nan, system, SECOND)] if readings[0] == SECOND else []
        return [Reading(keyword, value, system), *unknown]
    later = {PIXEL: [value], SECOND: [value + 2.5 * math.log10(time) for time in times]}
    if all(abs(each - value) < AGREE for each in later[SECOND]):
        readings = readings[:1]
    return [Reading(keyword, each, system, of) for of in readings for each in later[of]]


def _of_photfnu(header):
    value = header_number(header, 'PHOTFNU')
    return None if value is None or value <= 0.0 else -2.5 * math.log10(value / _AB_JANSKY)


def _of_photflam(header):
    flam = header_number(header, 'PHOTFLAM')
    if not flam:
        return None
    if flam < 0.0:
        raise ValueError(f'PHOTFLAM must be positive, received {flam:g}: give zero_point')
    pivot = pivot_wavelength(header)
    if pivot is None:
        raise ValueError('the header has PHOTFLAM but no PHOTPLAM: give zero_point')
    return -2.5 * math.log10(flam) - 5.0 * math.log10(pivot) - 2.408


def pivot_wavelength(header):
    """The pivot wavelength PHOTPLAM of a header [Angstrom], or None.

    Raises
    ------
    ValueError
        If it cannot be in Angstrom.
    """
    value = header_number(header, 'PHOTPLAM')
    if not value:
        return None
    if not _WAVELENGTHS[0] <= value <= _WAVELENGTHS[1]:
        raise ValueError('PHOTPLAM must be in Angstrom, from {:g} to {:g}, received {:g}: correct the '
                         'header, or give zero_point'.format(*_WAVELENGTHS, value))
    return value


def magnitude_system(header):
    """The magnitude system of a header: 'AB', 'Vega', 'ST' or None."""
    return _system(header)[0]


def strange_system(header):
    """The card that names the magnitude system, if its word is not understood or means two: text or None."""
    return _system(header)[1]


def _system(header):
    for keyword in _SYSTEM_CARDS:
        text = str(header.get(keyword) or '').strip()
        if text.lower() in _NO_SYSTEM:
            continue
        its = [system for system, words in _SYSTEMS.items() if words.search(text)]
        return (its[0], None) if len(its) == 1 else (None, f'{keyword} = {text!r}')
    return None, None


def surface_factor(header, *, per_second):
    """Surface brightness [MJy/sr] of one unit of the pixels from PHOTMJSR (Webb), or None.

    PHOTMJSR is that of one data number per second.

    Raises
    ------
    ValueError
        If it requires the exposure time, and the header has none.
    """
    value = header_number(header, 'PHOTMJSR')
    if value is None or value <= 0.0:
        return None
    if per_second:
        return value
    time = exposure_time(header)
    if time is None:
        raise no_time(header, 'PHOTMJSR')
    return value / time


def agreed(found):
    """The zero point that the keywords of a header agree on, and its alternative.

    Parameters
    ----------
    found : dict
        Result of `header_zero_points`, not empty.

    Returns
    -------
    first : Reading
    other : Reading or None
        The alternative reading, if all keywords have it too. Its magnitude is NaN if it requires the exposure
        time, which the header does not have.

    Raises
    ------
    ValueError
        If they do not agree.

    Examples
    --------
    >>> from pidoc.image.zero_points import agreed, header_zero_points
    >>> header = {'MAGZERO': 30.12, 'MAGZPT': 25.109, 'EXPTIME': 101.0}
    >>> first, other = agreed(header_zero_points(header))
    >>> first.magnitude, other
    (30.12, None)
    """
    keywords = iter(found)
    first = next(keywords)
    common = list(found[first])
    for keyword in keywords:
        left = [its for its in common
                if any(abs(its.magnitude - other.magnitude) <= AGREE for other in found[keyword])]
        if not left:
            raise ValueError(f'the header has two zero points, {first} ({common[0].magnitude:.3f} mag) and '
                             f'{keyword} ({found[keyword][0].magnitude:.3f} mag): give zero_point')
        common = left
    return common[0], common[1] if len(common) > 1 else None
