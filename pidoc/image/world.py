# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""World coordinates from image headers: `celestial_wcs`.

Some headers have cards that wcslib silently ignores, which gives positions in a wrong frame, or that it
rejects: EQUINOX = 'J2000', RADESYS = 'fk5', numbers in quotation marks, CUNIT3 = 'micron'. Unambiguous ones
are corrected here. For others ``frame`` can be given.
"""

import math
import re
import warnings
from contextlib import contextmanager

from astropy import log as astropy_log
from astropy import units as u
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

__all__ = ['FRAMES', 'celestial_wcs', 'check_pixels', 'quiet']

FRAMES = ('icrs', 'fk5', 'fk4', 'galactic', 'none')
"""Values of ``frame``: the frame of the world coordinates; 'none' ignores them."""

_AXIS_NUMBER = re.compile(r'(PC|CD)\d+_\d+|PV\d+_\d+|(CRPIX|CRVAL|CDELT|CROTA)\d+')
# keywords with a default if they cannot be read
_OPTIONAL = ('LONPOLE', 'LATPOLE', 'EQUINOX', 'EPOCH')
_EPOCH = re.compile(r'[JB]?\s*(\d{4}(\.\d*)?)', re.IGNORECASE)
_FIRST_YEAR = 1000.0       # of an equinox: 0 and 1 stand for one that is not set
# RADESYS in letters and digits, as found in headers
_SYSTEMS = {'ICRS': 'ICRS', 'ICRF': 'ICRS', 'ICRF2': 'ICRS', 'ICRF3': 'ICRS', 'FK5': 'FK5', 'J2000': 'FK5',
            'FK5J2000': 'FK5', 'J20000': 'FK5', 'FK4': 'FK4', 'B1950': 'FK4', 'FK4B1950': 'FK4',
            'FK4NOE': 'FK4-NO-E'}
_SKY = re.compile(r'RA|DEC|.{0,2}L(ON|AT)', re.IGNORECASE)
_EQUINOXES = {'fk5': 2000.0, 'fk4': 1950.0}
_NAMES = {True: ('GLON', 'GLAT'), False: ('RA--', 'DEC-')}

_MOST_OBLONG = 5.0         # ratio of the sides of a pixel
_LEAST_ANGLE = 20.0        # degrees between the axes of the pixels


def celestial_wcs(header, hdus, source, *, frame=None):
    """Celestial world coordinates of an HDU.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
    hdus : `~astropy.io.fits.HDUList`
        The file, which may have tables of the distortion.
    source : object
        Its text names the image in error messages; its ``header`` is a mapping of the cards.
    frame : str, optional
        One of `FRAMES`: the coordinates are in that frame, in degrees, overriding RADESYS, EQUINOX and the
        units of the axes. 'none': there are no world coordinates.

    Returns
    -------
    `~astropy.wcs.WCS` or None
        None without a position on the sky.

    Raises
    ------
    ValueError
        If they cannot be interpreted.
    """
    if frame is not None and frame not in FRAMES:
        raise ValueError(f'wcs_frame must be one of {", ".join(FRAMES)}, received {frame!r}')
    if frame == 'none':
        return None
    cards = _put_right(header, frame)
    try:
        with quiet():
            wcs = WCS(cards, fobj=hdus if len(hdus) > 1 else None)
    except Exception as error:
        # wcslib raises many kinds of errors
        raise ValueError(f'the world coordinates of {source} are not understood: '
                         f'{" ".join(str(error).split())}: '
                         "give wcs_frame, that they are in, or 'none'") from error
    if not wcs.has_celestial:
        return None
    axes = wcs.wcs.lng + 1, wcs.wcs.lat + 1
    _check_axes(axes, source)
    if set(axes) != {1, 2}:
        raise ValueError(f'the world coordinates of {source} must have the sky along the first two axes, '
                         f'received axes {min(axes)} and {max(axes)}')
    try:
        wcs_to_celestial_frame(wcs.celestial)
    except ValueError:
        raise ValueError(f'the world coordinates of {source} must be in a frame that astropy knows, received '
                         f'{", ".join(wcs.celestial.wcs.ctype)} and RADESYS '
                         f'{source.header.get("RADESYS")!r}: give wcs_frame, that they are in') from None
    return wcs.celestial


@contextmanager
def quiet():
    """Suppress warnings and log messages of astropy about headers that are not quite standard."""
    level = astropy_log.level
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', AstropyWarning)
        # it reports SIP coefficients without -SIP in CTYPE, which it uses
        astropy_log.setLevel('WARNING')
        try:
            yield
        finally:
            astropy_log.setLevel(level)


# -- standard cards -------------------------------------------------------------------------------


def _put_right(header, frame):
    """A copy of the header with cards corrected to the standard."""
    cards = header.copy()
    for keyword in dict.fromkeys(header):
        value = _value(cards, keyword)
        if keyword in ('EQUINOX', 'EPOCH') and _unset(value):
            cards.remove(keyword, remove_all=True)
            continue
        if not isinstance(value, str):
            continue
        if re.fullmatch(r'CTYPE\d+', keyword):
            cards[keyword] = value.upper()
        elif re.fullmatch(r'CUNIT\d+', keyword):
            _set_unit(cards, keyword, value)
        elif keyword in _OPTIONAL:
            match = _EPOCH.fullmatch(value.strip())
            number = _number(match[1] if match else value)
            if number is None:
                del cards[keyword]
            else:
                cards[keyword] = number
        elif keyword in ('RADESYS', 'RADECSYS'):
            cards[keyword] = _SYSTEMS.get(re.sub(r'[^A-Z0-9]', '', value.upper()), value)
    if frame is not None:
        _set_frame(cards, frame)
    return cards


def _unset(value):
    """Whether it is a number that is not a year."""
    year = _number(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None
    return year is not None and abs(year) < _FIRST_YEAR


def _value(cards, keyword):
    """A value, or None if it cannot be read."""
    try:
        return cards[keyword]
    except (fits.VerifyError, ValueError):
        return None


def _number(text):
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _set_unit(cards, keyword, value):
    """Set a unit in standard spelling; wcslib rejects some that astropy accepts."""
    for text in (value, value.lower(), value.lower().rstrip('s')):
        try:
            cards[keyword] = u.Unit(text).to_string('fits')
            return
        except (ValueError, TypeError):
            continue
    if not _SKY.match(str(_value(cards, f'CTYPE{keyword[5:]}'))):
        # unimportant
        del cards[keyword]


def _set_frame(cards, frame):
    """Set the given frame, with coordinates in degrees."""
    for keyword in ('RADECSYS', 'EQUINOX', 'EPOCH', 'RADESYS'):
        cards.remove(keyword, ignore_missing=True, remove_all=True)
    if frame != 'galactic':
        cards['RADESYS'] = frame.upper()
    if frame in _EQUINOXES:
        cards['EQUINOX'] = _EQUINOXES[frame]
    for keyword in [key for key in cards if re.fullmatch(r'CTYPE\d+', key)]:
        kind = str(_value(cards, keyword))
        for names in _NAMES.values():
            if kind[:4] in names:
                cards[keyword] = _NAMES[frame == 'galactic'][names.index(kind[:4])] + kind[4:]
                cards[f'CUNIT{keyword[5:]}'] = 'deg'


# -- checks ---------------------------------------------------------------------------------------


def _check_axes(axes, source):
    """Check keywords for which wcslib silently assumes 0, 1 or half a matrix if they are missing."""
    numbers = {keyword for keyword, value in source.header.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)}
    for i in axes:
        for choice in ((f'CRPIX{i}',), (f'CRVAL{i}',), (f'CDELT{i}', *(f'CD{i}_{j}' for j in axes))):
            if numbers.isdisjoint(choice):
                for keyword in choice:
                    if source.header.get(keyword) is not None:
                        raise _not_a_number(keyword, source)
                raise ValueError(f'the world coordinates of {source} must have {" or ".join(choice)}, a '
                                 'number: not found')
    for keyword, value in source.header.items():
        # text in keywords with a default was corrected; NaN was not
        spoiled = keyword in _OPTIONAL and (not isinstance(value, str) or value.startswith('('))
        if (spoiled or _AXIS_NUMBER.fullmatch(keyword)) and keyword not in numbers:
            raise _not_a_number(keyword, source)
        # 999: as by default
        if keyword == 'LONPOLE' and keyword in numbers and abs(value) > 360.0 and value != 999.0:
            raise ValueError(f'LONPOLE of {source} must be from -360 to 360 degrees, received {value!r}')


def _not_a_number(keyword, source):
    value = source.header[keyword]
    received = f'{value.conflict}, since it is there twice' if hasattr(value, 'conflict') else repr(value)
    return ValueError(f'{keyword} of {source} must be a number, received {received}: correct the header, or '
                      "give wcs_frame='none' and pixel_scale")


def check_pixels(sides, angle, source):
    """Reject pixels that are far from square, before anything is resampled.

    Parameters
    ----------
    sides : array of 2
        Sides of a pixel [arcsec].
    angle : float
        Angle between them [degrees].
    source : object
        Its text names the image.

    Raises
    ------
    ValueError
        If one side is more than 5 times the other one, or they are less than 20 degrees apart.
    """
    if not (min(sides) > 0.0 and angle > 1e-4):
        raise ValueError(f'the world coordinates of {source} make pixels without an area')
    if max(sides) > _MOST_OBLONG * min(sides) or angle < _LEAST_ANGLE:
        raise ValueError(f'the pixels of {source} must be about square, received sides of {sides[0]:.3g} and '
                         f'{sides[1]:.3g} arcsec, {angle:.3g} degrees apart, by its world coordinates')
