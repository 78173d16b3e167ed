# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""`Light`: a map of light, also with the light before smoothing."""

import gzip
import os
import warnings
import zlib

import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData

from pidoc.io.html import html_table

__all__ = ['Light', 'sharp_of']

_HEAD = 1 << 15           # bytes within which the first header of our files has `_OURS`
_OURS = b'CONVENT ='      # a keyword of every map of light


class Light(CCDData):
    """A map of light: a `~astropy.nddata.CCDData` that can also hold the light before smoothing.

    Parameters
    ----------
    *args, **kwargs
        As for `~astropy.nddata.CCDData`.
    sharp : ndarray, optional
        The light before smoothing, in the same unit and of the same shape, NaN where there are no data; None
        if there is only the smoothed map. Files have it as the extension SHARP.
    """

    def __init__(self, *args, sharp=None, **kwargs):
        super().__init__(*args, **kwargs)
        if sharp is not None and np.shape(sharp) != self.shape:
            raise ValueError(f'sharp must have the shape of the map, {self.shape}, received '
                             f'{np.shape(sharp)}')
        self.sharp = sharp

    def _repr_html_(self):
        meta, size = self.meta, ' x '.join(map(str, reversed(self.shape)))
        rows = [('band', meta.get('BAND')), ('pixels', size), ('unit', self.unit),
                ('seeing [arcsec]', meta.get('PSFFWHM')), ('zero point', meta.get('ZPFROM')),
                ('flags', meta.get('FLAGS'))]
        return html_table(f'Light of {meta.get("OBJECT") or meta.get("IMAGE") or "an image"}',
                          [(name, value) for name, value in rows if value not in (None, '')],
                          images={'light': self.data})


def sharp_of(path):
    """Read the light before smoothing from a file of a `Light` or of a mock observation.

    Parameters
    ----------
    path : path-like
        Any file; of files not written by pidoc only the beginning is read.

    Returns
    -------
    ndarray or None
    """
    try:
        with gzip.open(path) if os.fspath(path).endswith('.gz') else open(path, 'rb') as file:
            if _OURS not in file.read(_HEAD):
                return None
        with warnings.catch_warnings():
            # errors are reported by the next reader
            warnings.simplefilter('ignore')
            hdus = fits.open(path)
        with hdus:
            return np.array(hdus['SHARP'].data, dtype=float) if 'SHARP' in hdus else None
    except (OSError, EOFError, TypeError, zlib.error):
        return None
