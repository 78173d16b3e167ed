# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Bands of images: names of filters, and the transformation to V for old populations.

`FILTERS` has, for each band, V minus the magnitude in that band for the light of an old population: ages of
10 to 13.5 Gyr and the [Fe/H] of the clusters of Harris (2010), with the stars and atmospheres of this package
(`pidoc.photometry`). Its error is the scatter from cluster to cluster and, for bands outside those
atmospheres, that of a published relation between bands. ``tools/make_old_colours.py`` prints the numbers.
Dereddened, the integrated colours of Harris are B - V = 0.69, V - R = 0.45 and V - I = 0.92; these are 0.73,
0.46 and 0.94.
"""

import math
import re
from collections.abc import Callable, Set
from dataclasses import dataclass

__all__ = ['FILTERS', 'Filter', 'band_of', 'band_named', 'old_colour']


@dataclass(frozen=True)
class Filter:
    """A photometric band.

    Parameters
    ----------
    name : str
    system : str
        Default magnitude system: 'Vega' or 'AB'.
    ab_minus_vega : float or None
        AB magnitude minus Vega magnitude [mag].
    pivot : float
        Pivot wavelength [Angstrom], good to 1 %.
    v_minus : float
        V minus the magnitude in this band, in its system, for old populations [mag].
    error : float
        Standard deviation of ``v_minus`` [mag].
    extinction : float
        Extinction relative to V: Schlafly & Finkbeiner (2011, ApJ 737, 103), table 6, R_V = 3.1; G:
        Casagrande & VandenBerg (2018, MNRAS 479, L102); VIS: Cardelli et al. (1989) at its pivot wavelength.
    """

    name: str
    system: str
    ab_minus_vega: float | None
    pivot: float
    v_minus: float
    error: float
    extinction: float


# AB minus Vega: those of the Sun in FSPS (Conroy & Gunn 2010); V: Blanton & Roweis (2007, AJ 133, 734), table
# 1; G: zero points of Gaia EDR3 (Riello et al. 2021, A&A 649, A3).
# R, i from g and r, I: Tonry et al. (2012, ApJ 750, 99), table 6; F475W and F555W from B - V and V - I:
# Sirianni et al. (2005, PASP 117, 1049), table 22, with their zero points; G from V - I: Riello et al.
# (2021), table C.2.
FILTERS = {
    'B': Filter('Johnson B', 'Vega', -0.11, 4371.0, -0.73, 0.13, 1.322),
    'V': Filter('Johnson V', 'Vega', 0.02, 5478.0, 0.0, 0.0, 1.0),
    'R': Filter('Cousins R', 'Vega', 0.19, 6500.0, 0.46, 0.06, 0.791),
    'I': Filter('Cousins I', 'Vega', 0.42, 7880.0, 0.94, 0.09, 0.549),
    'g': Filter('Pan-STARRS1 g', 'AB', None, 4811.0, -0.26, 0.06, 1.157),
    'r': Filter('Pan-STARRS1 r', 'AB', None, 6156.0, 0.26, 0.05, 0.828),
    'i': Filter('Pan-STARRS1 i', 'AB', None, 7504.0, 0.49, 0.07, 0.613),
    'F475W': Filter('HST ACS/WFC F475W', 'Vega', -0.11, 4744.0, -0.45, 0.08, 1.192),
    'F555W': Filter('HST ACS/WFC F555W', 'Vega', -0.01, 5360.0, -0.05, 0.03, 1.018),
    'F606W': Filter('HST ACS/WFC F606W', 'Vega', 0.08, 5918.0, 0.25, 0.03, 0.901),
    'F814W': Filter('HST ACS/WFC F814W', 'Vega', 0.42, 8060.0, 0.98, 0.09, 0.557),
    'VIS': Filter('Euclid VIS', 'AB', None, 7150.0, 0.40, 0.07, 0.727),
    'G': Filter('Gaia G', 'Vega', 0.11, 6218.0, 0.23, 0.05, 0.789),
}
"""The bands: short name, `Filter`."""

# keywords, in order of precedence; the filter wheels of one instrument are consecutive
_KEYWORDS = (
    'FILTER', 'FPA.FILTERID', 'FPA.FILTER', *(f'FILTER{k}' for k in range(1, 7)),
    *(f'FILTER0{k}' for k in range(1, 7)), *(f'FILTER_{k}' for k in range(1, 5)),
    *(f'ESO INS FILT{k} NAME' for k in range(1, 7)), *(f'ESO INS FILT{k} ID' for k in range(1, 7)),
    'FILTNAM', 'FILTNAM1', 'FILTNAM2', 'FILTNAME', 'FILTERID', 'FILTER_ID', 'FILTERS', 'FILT', 'FILTID',
    'FLTRNM',
    'INSFILTE', 'INSFLNAM', 'DWFILNAM', 'FLT_ID', 'FILTA', 'FILTB',
    'WFFBAND', 'ALFLTNM', 'FAFLTNM', 'ACFILTER', 'PHOTMODE', 'BAND', 'BANDNAME',
    'BANDPASS')


@dataclass(frozen=True)
class _System:
    """Filters that are named by a rule of their own.

    Parameters
    ----------
    words : set of str
        Words by which a name is recognised as one of them, in lower case.
    whole : `re.Pattern`, optional
        Pattern by which a whole name is recognised, if it is not made of words.
    band : callable, optional
        The band: of the match of ``whole``, or of a list of its other words; without it, see `_known`.
    """

    words: Set[str] = frozenset()
    whole: re.Pattern | None = None
    band: Callable | None = None


_SYSTEMS = {
    'johnson': _System({'johnson', 'bessell', 'bessel', 'bess', 'bes', 'cousins', 'kron', 'kc', 'harris',
                        'high', 'special', 'photometric', 'landolt', 'johnsoncousins'}),
    'sloan': _System({'sdss', 'sloan', 'decam', 'des', 'ps1', 'panstarrs', 'pan', 'starrs', 'ps', 'gpc1',
                      'hsc', 'ztf', 'skymapper', 'lsst', 'megacam', 'gunn', 'thuan', 'omegacam', 'vst',
                      'kids'}),
    'gaia': _System({'gaia', 'gaiag'},
                    band=lambda words: 'G' if {word.lower() for word in words} <= {'g'} else words[-1]),
    # whose v is not Johnson's V
    'stromgren': _System({'stromgren', 'stroemgren', 'strom', 'strm'},
                         band=lambda words: words[0].lower() if words else None),
    'suprime': _System(whole=re.compile(r'W-S-([GRIZ])\+'), band=lambda match: match[1].lower()),
    'two in one': _System(whole=re.compile(r'[A-Za-z]\s*\+\s*[A-Za-z]|(?i:vis\W*n?ir)'),
                          band=lambda match: match[0])}
# other words in the name of a filter: elements in the beam
_OTHER = {'filter', 'band', 'standard', 'std', 'generic', 'broad', 'broadband', 'clear', 'clear1l', 'clear2l',
          'clear1s', 'clear2s', 'open', 'none', 'empty', 'air', 'free', 'blank', 'hole', 'no', 'nofilter',
          'unknown', 'undefined', 'null', 'eso', 'kpno', 'ctio', 'mosaic', 'ccd', 'new', 'acs', 'wfc', 'wfc1',
          'wfc2', 'wfc3', 'uvis', 'uvis1', 'uvis2', 'hrc', 'wfpc2', 'euc', 'euclid', 'ing', 'lbc', 'wfi',
          # 'ambiguous', 'unreadable': what pidoc.image.read puts for such cards
          'ambiguous', 'unreadable', 'mux', 'in', 'beam', 'gemini', 'gmos', 'hst', 'w'}
_HST = re.compile(r'f\d{3,4}(w|m|lp|n)')
# prefixes and suffixes: JV, Vj, bV, Rc, VBessel, and gp, zr, SDSSg
_FAMILY = r'(?i:johnson|bessell?|bess?|cousins|harris|kron|kc|high)'
_ONE_WORD = re.compile(rf'(?:{_FAMILY}|[Jjb])?([UBVRI])(?:{_FAMILY}|[jcbkJCB]|(?i:mag|band))?')
_ONE_SMALL_WORD = re.compile(r'(?:z|ps1|hsc)?([ugriz])(?:p|ps1|1|2)?')
_POLARISER = re.compile(r'pol\d+[a-z]*')
_ONE_WORD_OF_SLOAN = re.compile(r'(?:sdss|sloan)([ugriz])p?|([ugriz])p?(?:sdss|sloan)')


def band_named(text):
    """Short name of the band in a filter name.

    Parameters
    ----------
    text : str
        As written by observatories: 'V', 'Vj', 'JV', 'bV', 'BESS_V', 'V_HIGH', 'V#641', 'Photometric V',
        'SDSS g', 'gp', 'r.MP9601', 'f606w', 'EUC_VIS' ...

    Returns
    -------
    str or None
        One of `FILTERS` if it is known; else the first word that can be the name of a band, case-sensitive
        since V and v are two bands. None if there is none, as in 'air'.

    Examples
    --------
    >>> from pidoc.image.filters import band_named
    >>> band_named('BESS_V'), band_named('r DECam SDSS c0002 6415.0 1480.0'), band_named('Air')
    ('V', 'r', None)
    """
    plain = str(text).replace("'", '').strip()
    for system in _SYSTEMS.values():
        match = system.whole and system.whole.fullmatch(plain)
        if match:
            return system.band(match)
    words = [word for word in re.split(r'[^A-Za-z0-9]+', plain) if not word.isdigit() and word]
    low = {word.lower() for word in words}
    if low == {'n', 'a'}:
        return None
    # WFI writes BB#V/89, broad band; bB is a band
    words = [word for word in words if not (word == 'BB' or word.lower() in _OTHER
                                            or _POLARISER.fullmatch(word.lower()))]
    for system in _SYSTEMS.values():
        if system.band and low & system.words:
            return system.band([word for word in words if word.lower() not in system.words])
    johnson, sloan = (_SYSTEMS[name].words for name in ('johnson', 'sloan'))
    words = [word for word in words if word.lower() not in johnson | sloan]
    known = (_known(word, johnson=bool(low & johnson), sloan=bool(low & sloan)) for word in words)
    return next((band for band in known if band in FILTERS), next(iter(words), None))


def _known(word, *, johnson, sloan):
    """The known band that a word names; the word itself if it can be another band; else None."""
    low = word.lower()
    if _HST.fullmatch(low) or low == 'vis':
        return word.upper()
    match = _ONE_WORD_OF_SLOAN.fullmatch(low)
    if match:
        return match[1] or match[2]
    if sloan and not johnson:
        # other observatories write it in lower case
        match = _ONE_SMALL_WORD.fullmatch(low)
        return match[1] if match else None
    if johnson and len(word) == 1:
        # FORS has v_HIGH, and g_HIGH
        return word.upper() if low in 'ubvri' else low
    if word == 'G':
        return word
    for pattern in (_ONE_WORD, _ONE_SMALL_WORD):
        match = pattern.fullmatch(word)
        if match:
            return match[1]
    # in lower case, but with Johnson's
    return low[0].upper() if re.fullmatch('[bvri]j', low) else None


def band_of(header):
    """Band named by a header: the first of its filters that can be a band.

    Parameters
    ----------
    header : mapping
        Header. The keywords read are FILTER, FPA.FILTERID, FPA.FILTER, FILTER1 and so on, ESO INS FILT1 NAME
        and so on, FILTNAM, FILTERID, WFFBAND, PHOTMODE, BAND and others.

    Returns
    -------
    str or None
        As for `band_named`; a filter of a known band takes precedence over an unknown one. None if no filter
        is named.

    Examples
    --------
    >>> from pidoc.image.filters import band_of
    >>> band_of({'FILTER': 'Johnson V'}), band_of({'FILTER1': 'air', 'FILTER2': 'V'}), band_of({})
    ('V', 'V', None)
    """
    named = []
    for keyword in _KEYWORDS:
        if isinstance(header.get(keyword), str):
            # several names of one band are one
            its = {band_named(each) for each in getattr(header[keyword], 'values', (header[keyword],))}
            named += its - {None} if len(its) == 1 else []
    return next((name for name in named if name in FILTERS), next(iter(named), None))


def old_colour(band, extinction=0.0):
    """V minus the magnitude in a band, in its own system, for the light of an old population.

    Parameters
    ----------
    band : str
        One of `FILTERS`.
    extinction : float, optional
        A_V of the reddening [mag].

    Returns
    -------
    colour, error : float
        Colour and its error [mag].

    Raises
    ------
    ValueError
        If the band is not one of them.

    Examples
    --------
    >>> from pidoc.image.filters import old_colour
    >>> old_colour('F606W')
    (0.25, 0.03)
    """
    if band not in FILTERS:
        raise ValueError(f'band must be one of {", ".join(FILTERS)}, received {band!r}')
    its = FILTERS[band]
    red = extinction * (1.0 - its.extinction)
    # the reddening is uncertain by a tenth
    return its.v_minus + red, math.hypot(its.error, 0.1 * red)
