# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""FITS files, checked when read and written atomically; images and tables as HDUs."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import os
import re
import shutil
import stat
import tempfile
import warnings
import zipfile
from contextlib import contextmanager, ExitStack
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits
from astropy.table import QTable
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import FITSFixedWarning, WCS

from pidoc.io.files import check_free, replacing

if TYPE_CHECKING:
    from typing import Self

    import numpy.typing as npt

__all__ = ['FitsProduct', 'WrongContentError', 'damage_of', 'opened_fits', 'read_table', 'write_hdus']

# of FITS, and of the compressions that astropy reads: gzip, zip, bzip2 and xz
_BEGINNINGS = (b'SIMPLE  =', b'\x1f\x8b', b'PK\x03\x04', b'BZh', b'\xfd7zXZ')
_BLOCK = 2880
_MOST_BLOCKS = 1000        # of a header: 36,000 cards
_MOST = 999                # axes, or columns of a table: FITS standard 4.0, sections 4.4.1 and 7.3.1
_BITPIX = (8, 16, 32, 64, -32, -64)
_LARGEST = 2**62           # bytes: larger offsets are not possible in a file
_MOST_UNPACKED = 2**34     # bytes of a file that was compressed, and no more than half of the free space
_AT_ONCE = 2**20           # bytes
_COUNT = re.compile(rb'^(NAXIS\d{0,3}|BITPIX|[PG]COUNT|TFIELDS) *= *([+-]?\d+) *(?:/|$)', re.MULTILINE)
_END = re.compile(rb'END {77}')
# keywords of the file structure, and those of world coordinates, which are written separately
_STRUCTURE = re.compile(r'SIMPLE|XTENSION|BITPIX|NAXIS|EXTEND|EXTNAME|[PG]COUNT|BUNIT|CHECKSUM|DATASUM|'
                        r'C(TYPE|RVAL|RPIX|DELT|UNIT)\d|PC\d_|CD\d_|WCSAXES|L(ON|AT)POLE|RADESYS|EQUINOX|MJDREF|'
                        r'B(SCALE|ZERO)|COMMENT|HISTORY|$')


# -- reading --------------------------------------------------------------------------------------


class WrongContentError(ValueError):
    """A valid file has another content than required."""


@contextmanager
def damage_of(name, error=ValueError, *, strict=True):
    """Convert errors in the block to errors about a damaged file.

    Parameters
    ----------
    name : object
        Name of the file in error messages.
    error : type, optional
        Class of exception to raise.
    strict : bool, optional
        Whether all warnings of astropy, except about world coordinates, are errors; otherwise only those
        about truncated files.

    Raises
    ------
    ``error``
        With "is damaged or cut short" and the reason; for a `WrongContentError` with its message.
    FileNotFoundError, IsADirectoryError, PermissionError
        Unchanged.

    Examples
    --------
    >>> from pidoc.io.fits import damage_of
    >>> with damage_of('a.fits'):
    ...     raise OSError('Empty or corrupt FITS file')
    Traceback (most recent call last):
    ...
    ValueError: a.fits is damaged or cut short: Empty or corrupt FITS file
    """
    try:
        with warnings.catch_warnings():
            # astropy only warns of a truncated file or a wrong checksum
            if strict:
                warnings.simplefilter('error', AstropyWarning)
                warnings.simplefilter('ignore', FITSFixedWarning)
            else:
                warnings.simplefilter('ignore')
                warnings.filterwarnings('error', '(?s).*truncated')
            yield
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except WrongContentError as wrong:
        raise error(f'{name}: {wrong}') from None
    except Exception as reason:
        # astropy raises many kinds of errors for invalid files
        text = ' '.join(str(reason).split()) or type(reason).__name__
        raise error(f'{name} is damaged or cut short: {text}') from reason


@contextmanager
def opened_fits(source, error=ValueError, *, name=None, checksum=True):
    """Context manager that opens a FITS file for reading; errors inside are errors about a damaged file.

    Parameters
    ----------
    source : path-like or binary file
    error : type, optional
        Class of exception to raise.
    name : str, optional
        Name of the file in error messages; by default its path.
    checksum : bool, optional
        Whether checksums are verified, if a file has any.

    Yields
    ------
    `~astropy.io.fits.HDUList`

    Raises
    ------
    ``error``, FileNotFoundError, IsADirectoryError, PermissionError
        As for `damage_of`.
    """
    with damage_of(name or getattr(source, 'name', source), error), ExitStack() as stack:
        # opened here, because astropy does not close files that it cannot read
        file = source if hasattr(source, 'read') else stack.enter_context(open_regular(source))
        check_beginning(file)
        check_headers(file)
        yield stack.enter_context(fits.open(file, memmap=False, checksum=checksum))


def check_beginning(file):
    """Reject a file that is neither FITS nor compressed, judged by its first bytes."""
    place = file.tell()
    start = file.read(40)
    file.seek(place)
    if not any(start.startswith(begin) or begin.startswith(start) for begin in _BEGINNINGS):
        raise WrongContentError(f'a FITS file must begin with SIMPLE, received {start!r}')


def open_regular(path):
    """Open a file to read its bytes, if it is a regular file: a FIFO or a device may have no end."""
    if not (stat.S_ISREG(os.stat(path).st_mode) or os.path.isdir(path)):
        raise WrongContentError('a FITS file must be a regular file, received a FIFO, socket or device')
    return open(path, 'rb')


def check_headers(file):
    """Reject headers that astropy would read very slowly, endlessly or wrongly.

    They have more axes or columns than the standard allows, no end, or lack mandatory keywords. Compressed
    files are unpacked on the fly.

    Parameters
    ----------
    file : binary file
        At its beginning, where it is left on return.

    Raises
    ------
    ValueError
    """
    place = file.tell()
    _check_stream(_unpacked(file))
    file.seek(place)


def checked(file):
    """Reject headers as `check_headers`, and give random access to what a compressed file holds.

    Every step back in a compressed file unpacks it again from its beginning, so it is unpacked once.

    Parameters
    ----------
    file : binary file
        At its beginning.

    Returns
    -------
    binary file
        The same; or, if it is compressed, a temporary file, which vanishes when it is closed.

    Raises
    ------
    WrongContentError
        If it holds more than 16 GiB, or than half of the free space for temporary files.
    ValueError
    """
    stream = _unpacked(file)
    if stream is file:
        check_headers(file)
        return file
    with tempfile.TemporaryFile() as copy:
        _check_stream(_Copied(stream, copy))
        copy.seek(0)
        # astropy does not open for reading what can be written to
        return open(os.dup(copy.fileno()), 'rb')


class _Copied:
    """A stream that is read forward, and what was read or skipped written to another file."""

    def __init__(self, stream, copy):
        self._stream, self._copy = stream, copy
        self._room = min(_MOST_UNPACKED, shutil.disk_usage(tempfile.gettempdir()).free // 2)

    def read(self, size):
        self._reserve(size)
        data = self._stream.read(size)
        self._copy.write(data)
        return data

    def seek(self, size, _):
        # before it is unpacked: a few kilobytes can hold terabytes
        self._reserve(size)
        while size and (data := self.read(min(size, _AT_ONCE))):
            size -= len(data)

    def _reserve(self, size):
        if self._copy.tell() + size > self._room:
            raise WrongContentError(f'a compressed file must hold at most {self._room / 2**30:.1f} GiB, '
                                    'received more: unpack it, or give more room for temporary files with '
                                    'TMPDIR')


def _check_stream(stream):
    while header := _header_bytes(stream):
        numbers = {key.decode(): int(value) for key, value in _COUNT.findall(header)}
        for keyword in ('NAXIS', 'TFIELDS'):
            if not 0 <= numbers.get(keyword, 0) <= _MOST:
                raise ValueError(f'{keyword} must be from 0 to {_MOST}, received {numbers[keyword]}')
        if numbers.get('BITPIX') not in _BITPIX:
            raise ValueError(f'BITPIX must be one of {", ".join(map(str, _BITPIX))}, received '
                             f'{numbers.get("BITPIX", "no number")}')
        for keyword in ('NAXIS', *(f'NAXIS{k + 1}' for k in range(numbers.get('NAXIS', 0)))):
            if numbers.get(keyword, -1) < 0:
                raise ValueError(f'{keyword} must be a whole number, received {numbers.get(keyword, "none")}')
        sizes = [numbers[f'NAXIS{k + 1}'] for k in range(numbers['NAXIS'])]
        values = numbers.get('GCOUNT', 1) * (numbers.get('PCOUNT', 0) + math.prod(sizes)) if sizes else 0
        data = -(-abs(numbers['BITPIX']) // 8 * values // _BLOCK) * _BLOCK
        if not 0 <= data < _LARGEST:
            break
        stream.seek(data, os.SEEK_CUR)


def _unpacked(file):
    """The bytes that astropy would read from a file."""
    place = file.tell()
    start = file.read(6)
    file.seek(place)
    if start.startswith(b'\x1f\x8b'):
        return gzip.GzipFile(fileobj=file)
    if start.startswith(b'BZh'):
        return bz2.BZ2File(file)
    if start == b'\xfd7zXZ\x00':
        return lzma.LZMAFile(file)
    if start.startswith(b'PK\x03\x04'):
        archive = zipfile.ZipFile(file)
        return archive.open(archive.namelist()[0])
    return file


def _header_bytes(stream):
    """The cards of the header that begins here, concatenated; empty if there is none."""
    blocks = []
    while block := stream.read(_BLOCK):
        if not blocks and not block.startswith((b'SIMPLE  =', b'XTENSION=')):
            if block.strip(b'\0 '):
                raise ValueError(f'an HDU must begin with SIMPLE or XTENSION, received {block[:20]!r}')
            return b''
        blocks.append(block)
        if _END.search(block):
            header = b''.join(blocks)
            return b'\n'.join(header[k:k + 80] for k in range(0, len(header), 80))
        if len(blocks) == _MOST_BLOCKS:
            raise ValueError(f'a header must end within {_MOST_BLOCKS * _BLOCK // 80} cards, received more')
    return b''


def read_table(path, name, error=ValueError):
    """Read a table of a FITS file, checked.

    Parameters
    ----------
    path : path-like
    name : str
        Name of the extension.
    error : type, optional
        Class of exception to raise.

    Returns
    -------
    `~astropy.table.QTable`
        In native byte order; the `~astropy.io.fits.Header` is ``meta['header']``.

    Raises
    ------
    ``error``, FileNotFoundError, IsADirectoryError, PermissionError
        As for `damage_of`.
    """
    with opened_fits(path, error) as hdus:
        return table_of(hdus[name])


def table_of(hdu):
    """The table of an HDU, in native byte order, with its header as ``meta['header']``."""
    table = QTable.read(hdu, mask_invalid=False)
    table.convert_bytestring_to_unicode()
    for column in table.colnames:
        # FITS data are big-endian, which not all libraries accept
        table[column] = native(table[column])
    # cards without a value are not None in the meta of astropy
    table.meta = {'header': hdu.header.copy()}
    return table


def image_of(hdu, **options):
    """`~astropy.nddata.CCDData` of an HDU, in the unit BUNIT; options are further arguments of CCDData."""
    # imports scipy, which not all FITS readers need
    from astropy.nddata import CCDData

    return CCDData(native(hdu.data), unit=hdu.header['BUNIT'], **options)


def native(array):
    """A copy in native byte order; FITS data are big-endian, which not all libraries accept."""
    return array.astype(array.dtype.newbyteorder('='))


def wcs_of(header):
    """World coordinates of a header, or None."""
    return WCS(header) if 'CTYPE1' in header else None


def meta_of(header, skip=()):
    """Keywords and values of a header, without those of file structure, world coordinates and ``skip``."""
    return {card.keyword: card_value(card.value) for card in header.cards
            if not (is_structure(card.keyword) or card.keyword in skip)}


def is_structure(keyword):
    """Whether a keyword belongs to the file structure or the world coordinates, not to the content."""
    return bool(_STRUCTURE.match(keyword))


def card_value(value):
    """Value of a card; None if it has none."""
    return None if isinstance(value, fits.card.Undefined) else value


# -- writing --------------------------------------------------------------------------------------


def write_hdus(hdus, filename, *, checksum=True, finish=None):
    """Write HDUs atomically, replacing an existing file; equal HDUs give identical bytes.

    Parameters
    ----------
    hdus : list of HDU
    filename : path-like
        The ending decides on compression.
    The ending determines the compression.
        Whether the HDUs get checksums.
    finish : callable, optional
        Called with the path of the temporary file before it is renamed.

    Raises
    ------
    OSError
        If the file cannot be written; nothing is left behind.
    """
    for hdu in hdus if checksum else ():
        # with a constant comment: astropy's own contains the time
        hdu.add_checksum(when='checksum of the HDU')
    with replacing(filename) as temporary:
        try:
            _write(fits.HDUList(hdus), temporary)
            if finish is not None:
                finish(temporary)
        except OSError as error:
            # numpy does not report why a write ended early
            why = '' if error.errno else '; the disk may be full'
            message = f'{filename} could not be written: {error}{why}'
            raise (OSError(error.errno, message) if error.errno else OSError(message)) from error


def _write(hdus, path):
    if path.suffix != '.gz':
        hdus.writeto(path, overwrite=True)
        return
    # gzip would store name and time
    with open(path, 'wb') as stream, gzip.GzipFile('', 'wb', fileobj=stream, mtime=0) as packed:
        hdus.writeto(packed)


def float_type(dtype):
    """Check the floating-point type of stored images: float32 or float64."""
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise ValueError(f'dtype must be float32 or float64, received {dtype}')
    return dtype


def image_hdus(images, wcs=None, dtype=np.float32):
    """HDUs of maps on one grid, the first one primary, each with unit and world coordinates.

    Parameters
    ----------
    images : dict
        Name of the extension ('': none) -> `~astropy.nddata.CCDData`.
    wcs : `~astropy.wcs.WCS`, optional
    dtype : dtype, optional
        `numpy.float32` or `numpy.float64`.

    Returns
    -------
    list of HDU
    """
    dtype, place, hdus = float_type(dtype), place_of(wcs), []
    for name, image in images.items():
        hdu = (fits.ImageHDU if hdus else fits.PrimaryHDU)(image.data.astype(dtype))
        if name:
            hdu.name = name
        hdu.header['BUNIT'] = (image.unit.to_string('fits'), 'per pixel')
        hdu.header.update(place)
        hdus.append(hdu)
    return hdus


def place_of(wcs):
    """Header with world coordinates, which can be None."""
    return fits.Header() if wcs is None else wcs.to_header()


def mask_hdu(mask, wcs=None):
    """Extension MASK: 1 where a pixel is masked."""
    return fits.ImageHDU(mask.astype(np.uint8), header=place_of(wcs), name='MASK')


def table_hdu(table, name):
    """Extension with a table."""
    hdu = fits.table_to_hdu(table)
    hdu.name = name
    return hdu


def card(keyword, value, comment=''):
    """A card, in ASCII; the comment is dropped if a long value leaves no room."""
    if isinstance(value, str):
        value = value.encode('ascii', 'replace').decode()
        comment = '' if len(value) + len(comment) > 60 else comment
    return fits.Card(keyword, value, comment)


class FitsProduct:
    """Base class of objects stored as one FITS file; subclasses have ``to_hdulist`` and ``from_hdulist``."""

    if TYPE_CHECKING:
        def to_hdulist(self, *, dtype: npt.DTypeLike = np.float32) -> fits.HDUList: ...

        @classmethod
        def from_hdulist(cls, hdus: fits.HDUList) -> Self: ...

    def write(self, filename: str | os.PathLike[str], *, overwrite: bool = False,
              dtype: npt.DTypeLike = np.float32) -> None:
        """Write a FITS file atomically; equal objects give identical bytes.

        Parameters
        ----------
        filename : path-like
            Ending in .fits or .fits.gz.
        overwrite : bool, optional
            Replace an existing file.
        dtype : dtype, optional
            Type of the images: `numpy.float32` (7 digits) or `numpy.float64` (exact).

        Raises
        ------
        OSError
            If the file exists and ``overwrite`` is False.
        ValueError
            If ``dtype`` is neither of the two.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> import pidoc
        >>> prediction = pidoc.predict(pidoc.example())
        >>> with TemporaryDirectory() as folder:
        ...     prediction.write(f'{folder}/example-pidoc.fits')
        ...     again = pidoc.Prediction.read(f'{folder}/example-pidoc.fits')
        >>> bool(again.total_mass == prediction.total_mass)
        True
        """
        check_free(filename, overwrite=overwrite)
        write_hdus(list(self.to_hdulist(dtype=dtype)), filename)

    @classmethod
    def read(cls, filename: str | os.PathLike[str]) -> Self:
        """Read a file written by `write`.

        Parameters
        ----------
        filename : path-like

        Returns
        -------
        object
            An instance of this class.

        Raises
        ------
        FileNotFoundError
            If the file does not exist.
        ValueError
            If the file is damaged, cut short, or has another content.
        """
        with opened_fits(filename) as hdus:
            return cls.from_hdulist(hdus)
