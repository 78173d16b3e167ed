# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Parse units of image pixels, in the spellings found in practice: `pixel_unit`."""

import math
import re
import warnings
from dataclasses import dataclass

from astropy import units as u

from pidoc.grid import APPARENT_FLUX

__all__ = ['COUNTS', 'PER_AREA', 'PixelUnit', 'pixel_unit']

PER_AREA = u.Lsun / u.pc**2
"""Unit of luminosity per area of the cluster."""

COUNTS = (u.adu, u.ct, u.electron, u.DN, u.photon, u.one)
"""Units of pixels that need a zero point."""

_PER_WAVELENGTH = u.erg / u.s / u.cm**2 / u.AA
_LIGHT_SPEED = 2.99792458e18       # Angstrom / s
_KNOWN = ('counts (adu, ct, electron; also per second), Jy, mJy, uJy, nJy, maggy, nanomaggy, erg/s/cm2/A, '
          'erg/s/cm2/Hz, each per pixel; MJy/sr, Jy/arcsec2, nanomaggy/arcsec2, erg/s/cm2/A/arcsec2, '
          'mag/arcsec2, Lsun/pc2 per area; Lsun/kpc2 (apparent flux per pixel)')
# consisting of several words
_PHRASES = (
    (r'\be\^-', 'electron'), (r'\bcount\s+rate\b', 'ct/s'), (r'\bper\s+second\b', '/s'), (r'\bper\b', '/'),
    (r'\b(?:data|digital)\s+(?:numbers?|units?)\b', 'DN'),
    (r'\b(?:sq|square)\.?[\s_]*(arcsec|arcseconds?|degrees?|deg|pc|parsecs?|kpc)\b', r'\1**2'),
    (r'\bsq(arcsec|deg|pc|kpc)\b', r'\1**2'), (r'\b(arcsec|arcseconds?)\s+squared\b', r'\1**2'),
    (r'\b(nano|micro|milli|mega)\s+(jy|jansky)', r'\1\2'), (r'^\((.*)\)$', r'\1'),
    (r'\^\s*', '**'), (r'\*\*\s*\+', '**'), ('\N{SUPERSCRIPT TWO}', '**2'), ('\N{ANGSTROM SIGN}|\u00c5',
                                                                             'Angstrom'),
    ('\N{MICRO SIGN}|\N{GREEK SMALL LETTER MU}', 'u'))
# words in lower case
_WORDS = {
    'nanomaggy': 'nmgy', 'nanomaggies': 'nmgy', 'nmgy': 'nmgy', 'maggy': 'mgy', 'maggies': 'mgy',
    'mgy': 'mgy', 'adu': 'adu', 'adus': 'adu', 'dn': 'DN', 'dns': 'DN', 'counts': 'ct', 'count': 'ct',
    'cts': 'ct',
    'ct': 'ct', 'cps': 'ct/s', 'electrons': 'electron', 'electron': 'electron', 'elec': 'electron',
    'e-': 'electron', 'e': 'electron', 'el': 'electron', 'photoelectrons': 'electron',
    'photoelectron': 'electron', 'photons': 'photon',
    'photon': 'photon',
    'sec': 's', 'second': 's', 'seconds': 's', 's': 's', 'secs': 's', 'jansky': 'Jy', 'janskys': 'Jy',
    'jy': 'Jy',
    'mujy': 'uJy', 'microjy': 'uJy', 'microjansky': 'uJy', 'ujy': 'uJy', 'njy': 'nJy', 'nanojy': 'nJy',
    'nanojansky': 'nJy', 'millijansky': 'mJy', 'millijy': 'mJy',
    'megajansky': 'MJy', 'megajy': 'MJy', 'kjy': 'kJy',
    'flam': 'erg/s/cm**2/AA', 'sr': 'sr', 'str': 'sr', 'ster': 'sr', 'steradian': 'sr',
    'pixel': 'pix', 'pixels': 'pix', 'pix': 'pix', 'px': 'pix',
    'arcsec': 'arcsec', 'arcsecond': 'arcsec', 'arcseconds': 'arcsec', 'asec': 'arcsec', 'arcmin': 'arcmin',
    'deg': 'deg', 'mag': 'mag', 'mags': 'mag', 'magnitude': 'mag', 'magnitudes': 'mag',
    'lsun': 'Lsun', 'lsol': 'Lsun', 'l_sun': 'Lsun', 'sollum': 'Lsun', 'pc': 'pc', 'parsec': 'pc',
    'parsecs': 'pc', 'kpc': 'kpc',
    'erg': 'erg', 'ergs': 'erg', 'a': 'AA', 'aa': 'AA', 'ang': 'AA', 'angstrom': 'AA', 'angstroms': 'AA',
    'hz': 'Hz', 'hertz': 'Hz', 'cm': 'cm', 'm': 'm', 'w': 'W', 'watt': 'W', 'watts': 'W', 'um': 'um',
    'micron': 'um',
    'microns': 'um', 'nm': 'nm', 'mm': 'mm'}
# squares written without a sign
_POWERS = {f'{unit}{power}': f'{_WORDS[unit]}**({power})'
           for unit in ('arcsec', 'pc', 'kpc', 'cm', 'm', 'deg', 'arcmin', 's', 'sec', 'sr', 'pix', 'pixel',
                        'a', 'aa',
                        'hz', 'angstrom')
           for power in ('2', '-1', '-2')}
_WORD = re.compile(r'(?<![\d.])[A-Za-z][A-Za-z_]*(?:-(?![\w(]))?(?:-?\d)?')
_NUMBER = re.compile(r'^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?!\d|\*\*)\*?\s*(.*)$', re.DOTALL)
_POWER_OF_TEN = re.compile(r'^\s*10\s*\*\*\s*\(?\s*([+-]?\d+)\s*\)?\s*\*?\s*(.*)$', re.DOTALL)

# in lower case
_NO_UNIT = ('', 'n/a', 'na', 'none', 'unknown', 'null', 'undefined')


@dataclass(frozen=True)
class PixelUnit:
    """The unit of a pixel.

    Parameters
    ----------
    kind : str
        'apparent' (Lsun/kpc^2 of the band per pixel), 'surface' (Lsun/pc^2), 'flux' (a flux density),
        'counts', or 'magnitude' (mag/arcsec^2).
    jansky : float
        For kind 'flux': one unit in Jy; see `at_wavelength`.
    per_arcsec2 : float or None
        Number of the unit's areas in one arcsec^2, if the unit is per area. None: per pixel.
    per_second : bool
        Whether counts are per second.
    per_wavelength : bool
        Whether ``jansky`` is in erg/s/cm2/A instead.
    electrons : bool
        Whether counts are electrons.
    scale : float
        For counts or solar luminosities: how many of them one unit is.
    name : str
        The unit as given.
    """

    kind: str
    jansky: float = 1.0
    per_arcsec2: float | None = None
    per_second: bool = False
    per_wavelength: bool = False
    electrons: bool = False
    scale: float = 1.0
    name: str = ''

    def at_wavelength(self, pivot):
        """One unit in Jy, from f_nu = f_lambda lambda^2 / c at a pivot wavelength [Angstrom]."""
        if not self.per_wavelength:
            return self.jansky
        return float((self.jansky * pivot**2 / _LIGHT_SPEED * u.erg / u.s / u.cm**2 / u.Hz).to_value(u.Jy))


def pixel_unit(unit):
    """Parse the unit of an image.

    Parameters
    ----------
    unit : str or `~astropy.units.Unit`
        As in BUNIT, in upper or lower case and optionally with a number ('3.631e-06 Jy'), or a unit of
        astropy. Lsun/kpc^2 is the apparent flux of `pidoc.mock` in a pixel, while Lsun/pc^2 is a surface
        brightness: luminosity per area of the cluster.

    Returns
    -------
    PixelUnit

    Raises
    ------
    TypeError
        If it is neither a unit nor a text.
    ValueError
        If the unit is not understood, or not a unit of images.

    Examples
    --------
    >>> from pidoc.image.pixel_units import pixel_unit
    >>> pixel_unit('MJY/SR').kind, pixel_unit('nanomaggies').jansky
    ('flux', 3.6307805477010142e-06)
    """
    name = str(unit).strip()
    if name.lower() in _NO_UNIT:
        name = 'dimensionless'
    parsed = _parsed(unit, name)
    for kind, its in (('magnitude', u.mag / u.arcsec**2), ('apparent', APPARENT_FLUX), ('surface', PER_AREA)):
        scale = _scale(parsed, its)
        if scale is not None and (kind != 'magnitude' or scale == 1.0):
            return PixelUnit(kind, per_arcsec2=None if kind == 'apparent' else 1.0, scale=scale, name=name)
    for plain in (parsed, parsed * u.pix):
        for counts in COUNTS:
            for per_second, its in ((False, counts), (True, counts / u.s)):
                scale = _scale(plain, its)
                # a number alone is not a unit
                if scale is not None and (scale == 1.0 or counts != u.one):
                    return PixelUnit('counts', per_second=per_second, electrons=counts == u.electron,
                                     scale=scale, name=name)
        for flux, jansky, by_wavelength in ((u.Jy, 1.0, False), (u.mgy, float(u.AB.to(u.Jy)), False),
                                            (_PER_WAVELENGTH, 1.0, True)):
            for area, per in ((None, u.one), (1.0, u.arcsec**2)):
                scale = _scale(plain, flux / per)
                if scale is not None:
                    return PixelUnit('flux', jansky=scale * jansky, per_arcsec2=area,
                                     per_wavelength=by_wavelength, name=name)
    raise ValueError(f"the unit of the image must be one of {_KNOWN}, received '{name}'")


def _scale(unit, other):
    """One unit in terms of another; None if they are not convertible."""
    if not unit.is_equivalent(other):
        return None
    # units of counts are equivalent only to themselves; luminosities and areas to many
    scale = float(unit.to(other))
    if other in (APPARENT_FLUX, PER_AREA) and unit != other and not _has_number(unit, other):
        return None
    return scale


def _has_number(unit, other):
    """Whether a unit is a multiple of another one: 10 Lsun/pc2, but not Lsun/Mpc2."""
    return {str(base) for base in unit.bases} == {str(base) for base in other.bases}


def _parsed(unit, name):
    if isinstance(unit, u.UnitBase):
        return unit
    if not isinstance(unit, str):
        raise TypeError(f'unit must be a unit or its name, received {unit!r}')
    if name == 'dimensionless':
        return u.one
    for text in (_spelled(name), name):
        parsed = _read(text)
        if parsed is not None:
            return parsed
    if re.match(r'MJY(?![A-Za-z])', name):
        raise ValueError(f"the unit of the image must be mJy or MJy, received '{name}', which may be both: "
                         f"give "
                         'unit')
    raise ValueError(f"the unit of the image must be one of {_KNOWN}, received '{name}'")


def _read(text):
    """Parse a unit, with a number before it, in any format of astropy; None if it is not one."""
    if text is None:
        return None
    number = 1.0
    for pattern, value in ((_POWER_OF_TEN, lambda found: 10.0 ** int(found)), (_NUMBER, float)):
        match = pattern.match(text)
        if match and match[2]:
            number, text = value(match[1]), match[2]
            break
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', u.UnitsWarning)
        try:
            unit = u.Unit(text)
        except (ValueError, TypeError):
            return None
    if not (math.isfinite(number) and number > 0.0):
        return None
    return unit if number == 1.0 else u.Unit(number * unit)


def _spelled(name):
    """Translate a name to astropy's spelling; None if a word is ambiguous."""
    text = name
    for pattern, by in _PHRASES:
        text = re.sub(pattern, by, text, flags=re.IGNORECASE)
    per_area = re.search(r'/\s*\(?\s*sr|sr\s*(?:\*\*)?\s*\(?-1|/\s*ster', text, flags=re.IGNORECASE)
    words = []

    def spell(match):
        word = match.group()
        if word in ('mJy', 'MJy', 'mjy', 'Mjy'):
            words.append(word)
            return word[0] + 'Jy'
        if word == 'MJY':
            # in upper case, only surface brightnesses are in millions
            words.append(word if per_area else None)
            return 'MJy'
        if len(word) == 2 and word in ('mm', 'Mm'):
            return word
        low = word.lower()
        return _WORDS.get(low) or _POWERS.get(low) or word

    text = _WORD.sub(spell, text)
    return None if None in words else text
