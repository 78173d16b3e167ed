# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Masks of images: the values that mean that a pixel is bad.

Most observatories also store in a mask that a pixel belongs to a detected star, is near an edge, or was
interpolated. `planes_of` recognises the kind of mask from its header and that of the image; `MaskPlanes.bad`
returns the unusable pixels.
"""

import re
from dataclasses import dataclass, field

import numpy as np

__all__ = ['MaskPlanes', 'planes_of']

# Names of planes that make a pixel bad (Rubin and Hyper Suprime-Cam: MP_ cards).
# Not among them: DETECTED, INTRP (interpolated), EDGE (no detection there), SUSPECT.
_SPOILING = {'BAD', 'SAT', 'CR', 'NO_DATA', 'UNMASKEDNAN', 'STREAK', 'VIGNETTED', 'OUT_OF_FIELD', 'BADPIX',
             'SATURATED', 'COSMIC', 'COSMIC_RAY', 'DEAD', 'HOT', 'NODATA', 'BAD_PIXEL', 'DO_NOT_USE', 'SPIKE'}

# ACS and WFC3 Data Handbooks, sections on DQ arrays; good are 32 and 64, a CTE tail and warm
_HST = {0: 'LOST', 1: 'FILLED', 2: 'BADPIX', 3: 'MASKED', 4: 'HOT', 5: 'CTE', 6: 'WARM', 7: 'BADCOL',
        8: 'SATURATED', 9: 'BADREF', 10: 'TRAP', 11: 'ATODSAT', 12: 'CRDRIZ', 13: 'CRREJ', 14: 'USER'}
# jwst-pipeline.readthedocs.io, "Data Quality Flags": all unusable pixels have the first bit, too
_JWST = {0: 'DO_NOT_USE', 1: 'SATURATED', 2: 'JUMP_DET', 3: 'DROPOUT', 4: 'OUTLIER', 5: 'PERSISTENCE',
         6: 'AD_FLOOR', 7: 'CHARGELOSS', 8: 'UNRELIABLE_ERROR', 10: 'DEAD', 11: 'HOT', 12: 'WARM',
         13: 'LOW_QE'}
# Morganson et al. (2018, PASP 130, 074501), table 5
_DES = {0: 'BPM', 1: 'SATURATE', 2: 'INTERP', 3: 'BADAMP', 4: 'CRAY', 5: 'STAR', 6: 'TRAIL', 7: 'EDGEBLEED',
        8: 'SSXTALK', 9: 'EDGE', 10: 'STREAK', 11: 'SUSPECT', 12: 'FIXED', 13: 'NEAREDGE', 14: 'TAPEBUMP'}
# NOAO Data Handbook, Community Pipeline: bits until version 3.5, codes since then
_DECAM_BITS = {0: 'BAD', 1: 'SATURATED', 2: 'INTERPOLATED', 4: 'COSMIC', 6: 'BLEED', 7: 'TRANSIENT'}
_DECAM_CODES = {1: 'BAD', 2: 'NO_VALUE', 3: 'SATURATED', 4: 'BLEED', 5: 'COSMIC', 6: 'LOW_WEIGHT',
                7: 'DIFFERENCE', 8: 'STREAK'}


@dataclass(frozen=True)
class MaskPlanes:
    """The meaning of the values of a mask.

    Parameters
    ----------
    origin : str
        Observatory or pipeline of the mask.
    names : dict
        Number of a bit, or value if ``codes``, -> name.
    good : frozenset of int
        Numbers of bits, or codes, of usable pixels.
    codes : bool, optional
        Whether each pixel has one code, instead of a sum of bits.
    """

    origin: str = 'any'
    names: dict = field(default_factory=dict)
    good: frozenset = frozenset()
    codes: bool = False

    def forgiving(self, good_bits):
        """The same, with further bits regarded as good.

        Parameters
        ----------
        good_bits : int, str or sequence of them
            Sums of values of bits (or codes), or names of planes.

        Returns
        -------
        MaskPlanes

        Raises
        ------
        TypeError, ValueError
            If one is neither a positive whole number nor the name of a plane of this mask.
        """
        numbers = {name.upper(): number for number, name in self.names.items()}
        more = set()
        for each in _each(good_bits):
            if isinstance(each, str) and not each.isdigit():
                if each.upper() not in numbers:
                    known = ', '.join(sorted(numbers)) or 'which has no names'
                    raise ValueError(f'good_bits must be values or names of planes of the mask, {known}, '
                                     f'received {each!r}')
                more.add(numbers[each.upper()])
            else:
                value = int(each)
                if value < 1:
                    raise ValueError(f'good_bits must be above 0, received {value}')
                more |= {value} if self.codes else {k for k in range(value.bit_length()) if value >> k & 1}
        return MaskPlanes(self.origin, self.names, self.good | more, self.codes)

    def bad(self, values):
        """Find bad pixels.

        Parameters
        ----------
        values : `~numpy.ndarray` of float
            Values of the mask; NaN is bad.

        Returns
        -------
        `~numpy.ndarray` of bool
        """
        if not self.good:
            return ~(values == 0.0)
        strange = ~np.isfinite(values) | (values < 0.0) | (values != np.floor(values))
        whole = np.where(strange, 0.0, values).astype(np.int64)
        if self.codes:
            spoiled = (whole != 0) & ~np.isin(whole, list(self.good))
        else:
            spoiled = (whole & ~np.int64(sum(1 << k for k in self.good))) != 0
        return strange | spoiled


def _each(good_bits):
    """The values and names in an argument."""
    if isinstance(good_bits, str):
        return [word for word in re.split(r'[,\s]+', good_bits) if word]
    if isinstance(good_bits, (int, np.integer)) and not isinstance(good_bits, bool):
        return [good_bits]
    if isinstance(good_bits, (list, tuple, set, frozenset)) and all(
            isinstance(each, (str, int, np.integer)) and not isinstance(each, bool) for each in good_bits):
        return list(good_bits)
    raise TypeError(f'good_bits must be whole numbers or names of planes, received {good_bits!r}')


def planes_of(header, image_header=None):
    """Find the meaning of the values of a mask from its header and that of its image.

    Known are masks with cards MP_<plane> (Rubin, Hyper Suprime-Cam), of Hubble, JWST, the Dark Energy Survey
    and DECam's Community Pipeline. In any other mask all values other than 0 are bad.

    Parameters
    ----------
    header : mapping
        Header of the mask.
    image_header : mapping, optional
        Header of the image, used for keywords that the mask lacks.

    Returns
    -------
    MaskPlanes

    Examples
    --------
    >>> import numpy as np
    >>> from pidoc.image.masks import planes_of
    >>> planes = planes_of({'MP_BAD': 0, 'MP_DETECTED': 5})
    >>> planes.bad(np.array([0.0, 1.0, 32.0, 33.0])).tolist()
    [False, True, False, True]
    """
    named = {}
    for keyword, value in header.items():
        if re.fullmatch(r'MP_\w+', str(keyword)) and isinstance(value, (int, np.integer)) and 0 <= value < 63:
            named[int(value)] = keyword[3:]
    if named:
        # planes without a card count as good
        good = frozenset(range(63)) - {k for k, name in named.items() if name.upper() in _SPOILING}
        return MaskPlanes('MP_ cards', named, good)
    about = {**(image_header or {}), **{key: value for key, value in header.items() if value is not None}}
    telescope, instrument = (str(about.get(key) or '').upper() for key in ('TELESCOP', 'INSTRUME'))
    if telescope == 'HST':
        return MaskPlanes('HST', _HST, frozenset({5, 6}))
    if telescope == 'JWST':
        return MaskPlanes('JWST', _JWST, frozenset(range(1, 63)))
    if str(about.get('DES_EXT') or '').upper() == 'MASK' or str(about.get('EXTNAME') or '').upper() == 'MSK':
        return MaskPlanes('DES', _DES, frozenset({2, 5, 8, 11, 12, 13, 14}))
    if instrument == 'DECAM':
        version = re.match(r'V?(\d+)\.(\d+)', str(about.get('PLVER') or ''))
        if version and tuple(map(int, version.groups())) >= (3, 5):
            return MaskPlanes('DECam', _DECAM_CODES, codes=True)
        return MaskPlanes('DECam before version 3.5', _DECAM_BITS, frozenset({2}))
    return MaskPlanes()
