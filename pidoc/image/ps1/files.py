# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The files of the Pan-STARRS1 survey: stacks, their variance and mask images, read and written.

A stack comes in two forms. A *skycell*, 0.4 degrees wide, is tile-compressed and asinh-scaled, with old
world-coordinate keywords (``PC001001``) and without a named frame. A *cutout*, made by the survey's cutout
service, is uncompressed and linear. Both are in counts, and the magnitude of a count follows from the
exposure time (Waters et al. 2020, ApJS 251, 4, and the survey's pages at MAST):

    m_AB = 25 + 2.5 log10(EXPTIME) - 2.5 log10(counts)

`pidoc.image.ps1.retrieval` fetches them and makes a V map of a cluster.
"""

import math
from dataclasses import dataclass, field
from numbers import Real

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from pidoc.io.files import check_free
from pidoc.io.fits import opened_fits, write_hdus, WrongContentError
from pidoc.photometry import _TONRY_V
from pidoc.units import to_value

__all__ = ['BAD', 'MASK_BITS', 'MEDIAN_SEEING', 'PIXEL_SCALE', 'RELATIONS', 'SOUTHERN_LIMIT', 'Stack',
           'asinh_counts', 'asinh_scaling', 'flags', 'linear_counts', 'parse_listing', 'ps1_to_v',
           'read_mask', 'read_stack', 'read_variance', 'skycell_wcs', 'write_cutout', 'write_skycell']

PIXEL_SCALE = 0.25 * u.arcsec
"""Side of a pixel."""

SOUTHERN_LIMIT = -30.0 * u.deg
"""Southern declination limit of the survey (Chambers et al. 2016, arXiv:1612.05560)."""

MEDIAN_SEEING = {'g': 1.31 * u.arcsec, 'r': 1.19 * u.arcsec}
"""Median full width at half maximum of stars in stacks (Chambers et al. 2016, arXiv:1612.05560)."""

MASK_BITS = {
    'DETECTOR': 0x0001, 'FLAT': 0x0002, 'DARK': 0x0004, 'BLANK': 0x0008, 'CTE': 0x0010, 'SAT': 0x0020,
    'LOW': 0x0040, 'SUSPECT': 0x0080, 'CR': 0x0100, 'SPIKE': 0x0200, 'GHOST': 0x0400, 'STREAK': 0x0800,
    'STARCORE': 0x1000, 'CONV.BAD': 0x2000, 'CONV.POOR': 0x4000}
"""Bits of the mask images. The bit 0x8000 is a mark of the pipeline without meaning for the pixel."""

BAD = 0x217f
"""Bits of unusable pixels: MASK.VALUE of the survey's own pipeline, DETECTOR to LOW, CR and CONV.BAD."""

RELATIONS = {
    'kostov2018': (-0.020, -0.498, -0.008),
    # V - r converted to V - g
    'tonry2012': (_TONRY_V[0], _TONRY_V[1] - 1.0, _TONRY_V[2]),
}
"""V - g = c0 + c1 x + c2 x^2, x = g - r, by Kostov & Bonev (2018, Bulg. Astron. J. 28, 3) and by Tonry et al.
(2012, ApJ 750, 99), table 6."""

_A = 2.5 / np.log(10.0)     # of asinh magnitudes (Lupton, Gunn & Szalay 1999, AJ 118, 1406)
_BLANK = 32767
_LISTING = ('projcell', 'subcell', 'ra', 'dec', 'filter', 'mjd', 'type', 'filename', 'shortname')


# -- pixels ---------------------------------------------------------------------------------------


def linear_counts(stored, softening, offset):
    """Counts from the asinh-scaled pixels of a skycell.

    counts = BOFFSET + 2 BSOFTEN sinh(stored / a), a = 2.5 / ln 10.

    Parameters
    ----------
    stored : array
        Pixels, after BSCALE and BZERO.
    softening, offset : float
        BSOFTEN and BOFFSET of the header.

    Returns
    -------
    array
    """
    return offset + 2.0 * softening * np.sinh(np.asarray(stored, dtype=float) / _A)


def asinh_scaling(header):
    """Softening and offset of an asinh-scaled image.

    Parameters
    ----------
    header : mapping

    Returns
    -------
    tuple of float or None
        BSOFTEN and BOFFSET; None for a linear image.

    Raises
    ------
    ValueError
        If only one of the two is there, or is a number.
    """
    found = [header.get(keyword) for keyword in ('BSOFTEN', 'BOFFSET')]
    numbers = [float(value) for value in found
               if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)]
    if not numbers:
        return None
    if len(numbers) == 1:
        raise ValueError('an asinh-scaled image must have both BSOFTEN and BOFFSET, received only one of '
                         'them')
    return tuple(numbers)


def asinh_counts(counts, softening, offset):
    """The inverse of `linear_counts`."""
    return _A * np.arcsinh((np.asarray(counts, dtype=float) - offset) / (2.0 * softening))


def ps1_to_v(g, r):
    """Johnson V (Vega) from PS1 g and r (AB): Kostov & Bonev (2018, Bulg. Astron. J. 28, 3).

    V = g - 0.020 - 0.498 x - 0.008 x^2 with x = g - r, fitted to Stetson's (2000) standard stars. For a cross
    check see `pidoc.photometry.ps1_to_johnson`, by Tonry et al. (2012); the two differ by 0.01 mag at x = 0.5
    and by 0.025 mag at x = 0.

    Parameters
    ----------
    g, r : `~astropy.units.Quantity`
        Magnitudes.

    Returns
    -------
    `~astropy.units.Quantity`
        In mag.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If a magnitude has another unit or is not finite.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.image.ps1.files import ps1_to_v
    >>> print(f"{ps1_to_v(15.5 * u.mag, 15.0 * u.mag):.3f}")
    15.229 mag
    """
    g, r = to_value(g, u.mag, 'g'), to_value(r, u.mag, 'r')
    return (g + np.polyval(RELATIONS['kostov2018'][::-1], g - r)) * u.mag


def flags(value):
    """Names of the bits of a value of a mask image, in order.

    Examples
    --------
    >>> from pidoc.image.ps1.files import flags
    >>> flags(0x8120)
    ['SAT', 'CR']
    """
    return [name for name, bit in MASK_BITS.items() if int(value) & bit]


# -- reading --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Stack:
    """A linear stack image with its companions, made by `read_stack`.

    Parameters
    ----------
    counts : array
        Linear counts [y, x]; NaN where there are no data.
    wcs : `~astropy.wcs.WCS`
    exposure : `~astropy.units.Quantity` or None
        Exposure time; None if the header has none.
    base_zero_point : float
        Magnitude of one count per second, FPA.ZP: 25 in stacks.
    band : str
        'g', 'r', 'i', 'z' or 'y'.
    skycell : str
    form : str
        'skycell' (asinh-scaled in the file) or 'cutout'.
    truth : dict
        Cards SYNTHET and TRUE... of a synthetic image (SYNTHET), which is not of the sky; otherwise empty.
    variance : array, optional
        Variance of the counts, on the same pixels. By default the scatter of the sky is used.
    mask : array of int, optional
        Bits, see `MASK_BITS`, on the same pixels.

    Raises
    ------
    ValueError
        If the variance or the mask has another shape.
    """

    counts: np.ndarray
    wcs: WCS
    exposure: u.Quantity
    base_zero_point: float
    band: str
    skycell: str
    form: str
    truth: dict = field(default_factory=dict)
    variance: np.ndarray | None = None
    mask: np.ndarray | None = None

    def __post_init__(self):
        for name in ('variance', 'mask'):
            value = getattr(self, name)
            if value is not None and value.shape != self.counts.shape:
                raise ValueError(f'{name} of {self.skycell or "a stack"} must have the shape '
                                 f'{self.counts.shape}, received {value.shape}')

    @property
    def zero_point(self):
        """AB magnitude of one count.

        Raises
        ------
        ValueError
            If the exposure time is not known.
        """
        if self.exposure is None:
            raise ValueError(f'the stack {self.skycell or "without a name"} must have EXPTIME, which its '
                             'zero point is made of: received none')
        return (self.base_zero_point + 2.5 * np.log10(self.exposure.to_value(u.s))) * u.mag


def read_stack(filename, *, center=None, size=None):
    """Read a stack, a skycell or a cutout, into linear counts.

    Parameters
    ----------
    filename : path-like
    center : `~astropy.coordinates.SkyCoord`, optional
        Read only a part about this position.
    size : int, optional
        Side of that part [pixels].

    Returns
    -------
    Stack

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a FITS file, cut short, or not a stack of the survey; images of hips2fits have lost their
        scaling and are rejected. Also if the requested part is outside.
    """
    data, header = _image(filename, center, size)
    _check_is_stack(header, filename)
    data, form = _linear(data, header, filename)
    name = str(header.get('SKYCELL', '')).strip()
    return Stack(counts=data, wcs=skycell_wcs(header), exposure=_exposure(header, filename),
                 base_zero_point=float(header.get('FPA.ZP', 25.0)), skycell=name, form=form,
                 band=str(header['FPA.FILTER']).strip()[:1], truth=_truth(header))


def read_variance(filename, *, center=None, size=None):
    """Read a ``.wt`` image, which has the variance of the counts in spite of its name.

    Parameters
    ----------
    filename, center, size
        As for `read_stack`.

    Returns
    -------
    variance : array
        NaN without data.
    wcs : `~astropy.wcs.WCS`

    Raises
    ------
    FileNotFoundError, ValueError
        As for `read_stack`.
    """
    data, header = _image(filename, center, size)
    data, _ = _linear(data, header, filename)
    return np.where(data > 0.0, data, np.nan), skycell_wcs(header)


def read_mask(filename, *, center=None, size=None):
    """Read a mask image. The cutout service converts 0 to NaN, which is reversed.

    Parameters
    ----------
    filename, center, size
        As for `read_stack`.

    Returns
    -------
    mask : array of int
        See `MASK_BITS`; without the bit 0x8000, which has no meaning for the pixel.
    wcs : `~astropy.wcs.WCS`

    Raises
    ------
    FileNotFoundError, ValueError
        As for `read_stack`; or if a value is not a combination of 16 bits.
    """
    data, header = _image(filename, center, size)
    data = np.where(np.isnan(data), 0.0, data)
    if np.any((data < 0) | (data > 0xffff) | (data != np.floor(data))):
        raise ValueError(f'{filename} must be a mask of 16 bits, received a value of '
                         f'{data[(data < 0) | (data > 0xffff) | (data != np.floor(data))][0]:g}')
    return data.astype(np.int32) & 0x7fff, skycell_wcs(header)


def _image(filename, center, size):
    """Data [y, x] as floats and header, of the first HDU with an image; or a part of it."""
    with opened_fits(filename, checksum=False) as hdus:
        for hdu in hdus:
            if hdu.is_image and hdu.header.get('NAXIS') == 2:
                return _part(hdu, center, size)
    raise ValueError(f'{filename} must hold an image, received none')


def _linear(data, header, filename):
    """Linear pixels, after reversing an asinh scaling in the header, and the form of the file."""
    try:
        scaling = asinh_scaling(header)
    except ValueError as error:
        raise ValueError(f'{filename}: {error}') from None
    return (data, 'cutout') if scaling is None else (linear_counts(data, *scaling), 'skycell')


def _part(hdu, center, size):
    header = hdu.header.copy()
    if center is None:
        return np.array(hdu.data, dtype=float), header
    x, y = skycell_wcs(header).world_to_pixel(center)
    ny, nx = hdu.shape
    column, row = int(np.round(float(x))), int(np.round(float(y)))
    left, low = max(column - size // 2, 0), max(row - size // 2, 0)
    right, high = min(column + size // 2, nx), min(row + size // 2, ny)
    if right <= left or high <= low:
        raise WrongContentError(f'the position {center.to_string()} is outside the image')
    header['CRPIX1'] -= left
    header['CRPIX2'] -= low
    # .section, so that only some tiles of a compressed skycell are unpacked
    return np.array(hdu.section[low:high, left:right], dtype=float), header


def _truth(header):
    if not header.get('SYNTHET', False):
        return {}
    return {name: header[name] for name in header if name == 'SYNTHET' or name.startswith('TRUE')}


def _check_is_stack(header, filename):
    if any('hips2fits' in str(line).lower() for line in header.get('HISTORY', ())):
        raise ValueError(f'{filename} comes from hips2fits, which loses the scaling of the pixels: fetch the '
                         'stack or a cutout of the survey itself')
    missing = [name for name in ('FPA.FILTER', 'CTYPE1', 'CRVAL1') if name not in header]
    if missing:
        raise ValueError(f'{filename} is not a stack of Pan-STARRS1: it must have {" and ".join(missing)}')


def _exposure(header, filename):
    if 'EXPTIME' not in header:
        return None
    try:
        seconds = float(header['EXPTIME'])
    except (TypeError, ValueError):
        seconds = np.nan
    if not (np.isfinite(seconds) and seconds > 0.0):
        raise ValueError(f"{filename}: EXPTIME must be positive, received {header['EXPTIME']!r}")
    return seconds * u.s


def skycell_wcs(header):
    """World coordinates of a header of the survey, with keywords like PC001001, in FK5.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`

    Returns
    -------
    `~astropy.wcs.WCS`
    """
    card = fits.Header()
    for name in ('CTYPE1', 'CTYPE2', 'CRVAL1', 'CRVAL2', 'CRPIX1', 'CRPIX2', 'CDELT1', 'CDELT2', 'CUNIT1',
                 'CUNIT2', 'PC1_1', 'PC1_2', 'PC2_1', 'PC2_2', 'RADESYS'):
        if name in header:
            card[name] = header[name]
    for i in (1, 2):
        for j in (1, 2):
            if f'PC00{i}00{j}' in header:
                card[f'PC{i}_{j}'] = header[f'PC00{i}00{j}']
    card.setdefault('RADESYS', 'FK5')
    return WCS(card)


def parse_listing(text):
    """Parse the survey's list of files: one row per file.

    Parameters
    ----------
    text : str

    Returns
    -------
    `~astropy.table.Table`
        ``projcell``, ``subcell``, ``ra``, ``dec``, ``filter``, ``mjd``, ``type`` (stack, stack.wt,
        stack.mask), ``filename`` (with its folder) and ``shortname``; without rows outside the survey.

    Raises
    ------
    ValueError
        If the text is something else, such as an HTML page.
    """
    lines = [line.split() for line in text.strip().splitlines()]
    if not lines or tuple(lines[0][:len(_LISTING)]) != _LISTING:
        raise ValueError(f'a list of files must begin with {" ".join(_LISTING[:3])} ..., '
                         f'received {text.strip()[:60]!r}')
    for line in lines[1:]:
        if len(line) != len(lines[0]):
            raise ValueError(f'a row of the list of files must have {len(lines[0])} fields, received '
                             f'{" ".join(line)[:80]!r}')
    columns = list(zip(*lines[1:], strict=True)) or [()] * len(lines[0])
    table = Table()
    kinds = {'projcell': int, 'subcell': int, 'ra': float, 'dec': float, 'mjd': float}
    for name, values in zip(lines[0], columns, strict=True):
        try:
            table[name] = np.array(values, dtype=kinds.get(name, str))
        except ValueError:
            raise ValueError(f'{name} in the list of files must be numbers, received {values[:3]}') from None
    return table


# -- writing --------------------------------------------------------------------------------------


def write_skycell(filename, pixels, wcs, *, band, skycell, exposure=None, kind='stack', softening=None,
                  cards=(), overwrite=False):
    """Write pixels in the format of a full skycell: tile-compressed, 16 bits, in HDU 1.

    The counts of a stack are asinh-scaled (see `linear_counts`), a variance linearly, a mask not at all.

    Parameters
    ----------
    filename : path-like
    pixels : array
        Counts, variance of the counts, or bits [y, x]; NaN where there are no data.
    wcs : `~astropy.wcs.WCS`
        A tangent plane, written with keywords like PC001001, and without RADESYS.
    band : str
        'g', 'r', 'i', 'z' or 'y'.
    skycell : str
        Such as skycell.1784.059.
    exposure : `~astropy.units.Quantity`, optional
        Exposure time.
    kind : str, optional
        'stack', 'wt' or 'mask'.
    softening : float, optional
        BSOFTEN; by default the robust standard deviation of the pixels about their median.
    cards : iterable of tuple, optional
        Keyword, value and comment of further cards.
    overwrite : bool, optional
        Replace an existing file.

    Raises
    ------
    OSError
        If the file exists and ``overwrite`` is False.
    ValueError
        If ``kind`` is not one of these.
    """
    _check_kind(kind)
    header = _header(wcs, band, skycell, exposure, cards, old=True)
    values = np.asarray(pixels, dtype=float)
    if kind == 'mask':
        stored, scaling = np.nan_to_num(values).astype(np.uint16), {}
    else:
        extra = {}
        if kind == 'stack':
            middle = float(np.nanmedian(values))
            if softening is None:
                softening = max(1.4826 * float(np.nanmedian(np.abs(values - middle))), 1e-6)
            extra = {'BSOFTEN': softening, 'BOFFSET': middle}
            values = asinh_counts(values, softening, middle)
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        scale = max((high - low) / 65000.0, 1e-12)
        zero = 0.5 * (low + high)
        stored = np.where(np.isnan(values), _BLANK, np.round((values - zero) / scale)).astype(np.int16)
        scaling = {'BZERO': zero, 'BSCALE': scale, **extra, 'BLANK': _BLANK, 'ZBLANK': _BLANK}
    image = fits.CompImageHDU(stored, header, compression_type='RICE_1', tile_shape=(1, stored.shape[1]))

    def finish(path):
        # astropy scales by its own cards; here the table keeps those of the survey
        with fits.open(path, mode='update', disable_image_compression=True) as hdus:
            for name, value in scaling.items():
                hdus[1].header[name] = value

    check_free(filename, overwrite=overwrite)
    write_hdus([fits.PrimaryHDU(), image], filename, checksum=False, finish=finish)


def write_cutout(filename, pixels, wcs, *, band, skycell, exposure=None, kind='stack', cards=(),
                 overwrite=False):
    """Write pixels in the format of the survey's cutout service: linear, 32-bit floats, in HDU 0.

    For parameters and errors see `write_skycell`. In a mask, 0 becomes NaN, as from the service.
    """
    _check_kind(kind)
    values = np.asarray(pixels, dtype=np.float32)
    if kind == 'mask':
        values = np.where(values == 0.0, np.float32(np.nan), values)
    header = _header(wcs, band, skycell, exposure, cards, old=True)
    header['RADESYS'] = ('FK5', 'added by fitscut')
    check_free(filename, overwrite=overwrite)
    write_hdus([fits.PrimaryHDU(values, header)], filename, checksum=False)


def _check_kind(kind):
    if kind not in ('stack', 'wt', 'mask'):
        raise ValueError(f"kind must be 'stack', 'wt' or 'mask', received {kind!r}")


def _header(wcs, band, skycell, exposure, cards, *, old):
    header = fits.Header()
    scale = np.sqrt(np.abs(np.linalg.det(wcs.pixel_scale_matrix)))
    matrix = wcs.pixel_scale_matrix / scale
    for axis, kind in ((1, 'RA---TAN'), (2, 'DEC--TAN')):
        header[f'CTYPE{axis}'] = kind
        header[f'CRVAL{axis}'] = wcs.wcs.crval[axis - 1]
        header[f'CRPIX{axis}'] = wcs.wcs.crpix[axis - 1]
        header[f'CDELT{axis}'] = scale
    for i in (1, 2):
        for j in (1, 2):
            header[f'PC00{i}00{j}' if old else f'PC{i}_{j}'] = matrix[i - 1, j - 1]
    header['STK_TYPE'] = 'DEEP_STACK'
    header['SKYCELL'] = skycell
    header['TESS_ID'] = 'RINGS.V3'
    header['HIERARCH FPA.TELESCOPE'] = 'PS1'
    header['HIERARCH FPA.FILTER'] = f'{band}.00000'
    header['HIERARCH FPA.ZP'] = (25.0, 'Magnitude zero point')
    if exposure is not None:
        header['EXPTIME'] = (to_value(exposure, u.s, 'exposure', positive=True), 'Exposure time (sec)')
    header.extend(cards)
    return header
