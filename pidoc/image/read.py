# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Open images of any kind: FITS files, CCDData, arrays; of large ones only the necessary part is read.

`opened` makes a `Source` from any of them, with header, shape and world coordinates, which reads boxes of
pixels with bad pixels and uncertainties.
"""

import logging
import os
import re
from contextlib import contextmanager, ExitStack
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import InverseVariance, NDData, NDUncertainty, StdDevUncertainty, VarianceUncertainty
from astropy.wcs import WCS

from pidoc.image.masks import MaskPlanes, planes_of
from pidoc.image.ps1.files import asinh_scaling, linear_counts
from pidoc.image.world import celestial_wcs, quiet
from pidoc.io.fits import card_value, check_beginning, checked, damage_of, open_regular

__all__ = ['Source', 'file_and_hdu', 'opened']

log = logging.getLogger(__name__)

_UNCERTAINTIES = {kind.__name__: kind for kind in (StdDevUncertainty, VarianceUncertainty, InverseVariance)}
# errors that astropy raises for headers it does not understand
_IMAGES = (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)
_UNREADABLE, _AMBIGUOUS = '(unreadable)', '(ambiguous)'
# their names in files
_TYPES = _UNCERTAINTIES | {kind().uncertainty_type.upper(): kind for kind in _UNCERTAINTIES.values()}
# and of extensions; others (IVAR, WHT, WEIGHT) are inverse variances
_NAMED = ({name: VarianceUncertainty for name in ('VAR', 'VARIANCE', 'STAT')}
          | {name: StdDevUncertainty for name in ('ERR', 'ERROR', 'SIGMA', 'RMS', 'STDDEV', 'UNC')})
# extensions that mask an image (MSK: Dark Energy Survey; BPM: Las Cumbres), and those that may or may not
_MASKS = ('MASK', 'DQ', 'MSK', 'BPM', 'BADPIX')
_PERHAPS_MASKS = ('FLAGS', 'QUALITY')
# weights and exposure times, 0 where there are no data; not errors, which some pipelines compute from the
# light itself, and which are then 0 wherever noise makes it negative
_DEPTHS = ('WHT', 'WGT', 'WEIGHT', 'IVAR', 'INVVAR', 'EXP', 'EXPOSURE', 'EXPMAP', 'COVERAGE', 'SAMP', 'TIME')
# extensions that accompany an image
_BESIDE = {*_MASKS, *_PERHAPS_MASKS, *_DEPTHS, *_NAMED, 'UNCERT', 'MASS', 'CTX', 'CON', 'PSF', 'SHARP',
           'TRUTH', 'SKY', 'SEGMENTATION'}
# the image among others, in order of precedence (DATA: ESO)
_MAIN = ('SCI', 'DATA')
_OTHER_MASK = ('give good_bits, if it has bits of good ones; if it is 0 where pixels are bad, give weight in '
               'its place, with good_bits of all its values if it belongs to the file')
_OTHER_DEPTH = 'give another center, or remove the extension from the file if it is wrong'
# SExtractor and SWarp mark pixels without data by a variance of 1e30
_NO_DEVIATION = 0.999e15
# share of the least coverage that a field needs in a box that is up to five times as large
_MOSTLY = 0.1


class Source:
    """An image that can be read in parts, made by `opened`.

    Attributes
    ----------
    name : str
        Name of the file, without folders, or of the type.
    part : str
        Number and name of the HDU; '' if it is not from a file.
    header : dict
        Keywords and values of the HDU, and of an empty primary HDU.
    shape : tuple of int
        Rows and columns.
    unit : str or `~astropy.units.Unit` or None
    wcs : `~astropy.wcs.WCS` or None
        None without a position on the sky.
    """

    def __init__(self, name, pixels, header, *, part='', unit=None, wcs=None, mask=None, uncertainty=None,
                 plane=None):
        self.name, self.part, self.header, self.unit = name, part, header, unit
        self.shape = tuple(pixels.shape[-2:])
        if len(pixels.shape) < 2 or 0 in pixels.shape:
            raise ValueError(f'an image must have two dimensions, received the shape {tuple(pixels.shape)} '
                             f'of {self}')
        self._pixels, self._leading = pixels, self._plane(pixels.shape, plane)
        self.wcs = wcs
        self._masks = [] if mask is None else [(mask, planes_of(mask.header, header))]
        self._uncertainty, self._marked, self._depths = uncertainty, {}, []

    def __str__(self):
        return f'{self.name}[{self.part}]' if self.part else self.name

    def _plane(self, shape, plane):
        """Indices of one image along the first axes, with 0 for axes of length 1."""
        long = [k for k, n in enumerate(shape[:-2]) if n > 1]
        chosen = () if plane is None else tuple(np.atleast_1d(plane).tolist())
        sizes = [shape[k] for k in long]
        if len(chosen) != len(long) or any(not (type(at) is int and 0 <= at < n)
                                           for at, n in zip(chosen, sizes)):
            if plane is None:
                raise ValueError(f'an image must have two dimensions, received the shape {tuple(shape)} of '
                                 f'{self}: choose one of {" x ".join(map(str, sizes))} images with plane')
            raise ValueError(f'plane must be one of {" x ".join(map(str, sizes)) or "no"} images of {self}, '
                             f'from 0, received {plane!r}')
        index = [0] * (len(shape) - 2)
        for k, at in zip(long, chosen):
            index[k] = at
        return tuple(index)

    def add_mask(self, source, planes=None):
        """Add a mask, a `Source` of the same shape, whose values mean `MaskPlanes`, or bad if not 0."""
        self._masks.append((source, MaskPlanes() if planes is None else planes))

    def forgive(self, good_bits):
        """Ignore some bits of all masks: see `MaskPlanes.forgiving`."""
        if not self._masks:
            raise ValueError(f'good_bits are of a mask, which {self} has not: give mask, received '
                             f'{good_bits!r}')
        self._masks = [(mask, planes.forgiving(good_bits)) for mask, planes in self._masks]

    def add_depth(self, source):
        """Add a `Source` of the same shape that is above 0 only where there are data."""
        self._depths.append(source)

    def set_uncertainty(self, source, kind):
        """Use another image as the uncertainty, of one of the three kinds of astropy."""
        self._uncertainty = source, kind

    def raw(self, box):
        """Values of a box, (first row, last row, first column, last column) exclusive, as native floats."""
        rows, columns = slice(*box[:2]), slice(*box[2:])
        with damage_of(self, strict=False):
            values = self._pixels[(*self._leading, rows, columns)]
        if values.dtype.kind not in 'fiub':
            raise TypeError(f'the pixels of {self} must be real numbers, received {values.dtype}')
        return np.array(values, dtype=float)

    def read(self, box):
        """Pixels of a box, bad pixels, and standard deviations or None."""
        pixels, scaling = self.raw(box), asinh_scaling(self.header)
        if scaling is not None:
            pixels = linear_counts(pixels, *scaling)
        bad, self._marked = ~np.isfinite(pixels), {}
        for mask, planes in self._masks:
            its = planes.bad(mask.raw(box))
            self._marked[f'the mask {mask}'] = its, _OTHER_MASK
            bad |= its
        for depth in self._depths:
            its = ~(depth.raw(box) > 0.0)
            self._marked[f'the extension {depth}'] = its, _OTHER_DEPTH
            bad |= its
        deviation = None
        if self._uncertainty is not None:
            source, kind = self._uncertainty
            deviation = _deviation(source.raw(box), kind, source)
            its = ~np.isfinite(deviation)
            self._marked[f'the weight {source}'] = its, 'give another weight'
            bad |= its
        return pixels, bad, deviation

    def check_marked(self, part=..., min_coverage=0.0):
        """Reject a mask or weight that leaves nothing of what was read last.

        Parameters
        ----------
        part : tuple of slice, optional
            Rows and columns, in those that were read, of a field with a margin about it.
        min_coverage : float, optional
            Share of the pixels of the field that must be good.

        Raises
        ------
        ValueError
            If so many pixels are bad by one of them that the field cannot have enough good ones.
        """
        for name, (bad, helps) in self._marked.items():
            share = np.mean(bad[part])
            if share > 1.0 - _MOSTLY * min_coverage or share == 1.0:
                raise ValueError(f'{name} of {self} must leave good pixels about the cluster, received '
                                 f'{100.0 * share:.3g} % that are bad by it: {helps}')


def _deviation(values, kind, source):
    if np.any(values < 0.0):
        raise ValueError(f'weights and uncertainties must not be negative, received {np.nanmin(values):g} '
                         f'in {source}')
    if kind is InverseVariance:
        with np.errstate(divide='ignore'):
            deviation = 1.0 / np.sqrt(values)
    else:
        deviation = values if kind is StdDevUncertainty else np.sqrt(values)
    # 0 means no data in any of them: no pixel is without noise
    return np.where((deviation > 0.0) & (deviation < _NO_DEVIATION), deviation, np.inf)


@contextmanager
def opened(image, *, hdu=None, unit=None, mask=None, weight=None, good_bits=None, plane=None,
           wcs_frame=None):
    """Open an image, for as long as the context lasts.

    Parameters
    ----------
    image : path-like, `~astropy.io.fits.HDUList`, image HDU, `~astropy.nddata.CCDData`, Quantity or array
        ``file.fits[HDU]`` is that HDU of a file, unless there is a file of this name.
    hdu : int or str or tuple, optional
        HDU of a file, by number or name as in astropy, or 'NAME,VERSION'. By default the only image that is
        not a mask, weight or other companion by its name, or the one named SCI or DATA.
    unit : str or `~astropy.units.Unit`, optional
        Unit of the pixels, if the header lacks it or is wrong.
    mask : array or path-like, optional
        Bad pixels by the convention of the mask's origin (`pidoc.image.masks.planes_of`), otherwise those
        that are not 0. In a file with several HDUs one is chosen by ``file.fits[HDU]``, number or name.
        Extensions MASK, DQ, MSK, BPM and BADPIX of a file and the mask of CCDData are used in addition, and
        pixels are bad where its weights or exposure times (WHT, IVAR, INVVAR, EXPOSURE, ...) are 0.
    weight : array or path-like or `~astropy.nddata.NDUncertainty`, optional
        An inverse variance in the units of the pixels, unless it is an uncertainty of another kind by its
        type or by the name of its HDU (VAR, VARIANCE, STAT; ERR, ERROR, SIGMA, RMS, STDDEV, UNC). Files as
        for ``mask``. Pixels of weight, variance or deviation 0, and of variance 1e30, are bad. By default the
        extension UNCERT of a file and the uncertainty of CCDData are used.
    good_bits : int, str or sequence of them, optional
        Sums of bits, or names of planes, of the masks, to be ignored.
    plane : int or tuple of int, optional
        The image to use in data with more dimensions, counted from 0 along each of the first axes longer than
        1, in numpy's order.
    wcs_frame : str, optional
        Frame of the world coordinates of a file, if its header is wrong or lacks it, one of
        `pidoc.image.world.FRAMES`; 'none' ignores the coordinates.

    Yields
    ------
    Source

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    TypeError
        If the type of the image is not supported.
    ValueError
        If a file is damaged or not a FITS file, has no image or several, or shapes do not match.
    """
    with ExitStack() as stack:
        source = _source(stack, image, hdu, unit, plane, wcs_frame)
        if mask is not None:
            other = _companion(stack, mask, source, hdu, 'mask')
            # the array was made here
            source.add_mask(other, planes_of(other.header, source.header) if other.header else None)
        if good_bits is not None:
            source.forgive(good_bits)
        if weight is not None:
            _add_weight(stack, source, weight, hdu)
        yield source


def _companion(stack, image, source, hdu, what):
    """Open a mask or weight, whose shape must be that of the image."""
    if isinstance(image, np.ndarray) and image.dtype == bool:
        image = image.astype(np.uint8)
    given = image
    image, chosen = file_and_hdu(image)
    try:
        try:
            other = _source(stack, image, chosen, None)
        except _Several:
            # of several, the one at the position of the image
            other = _source(stack, image, hdu if hdu is not None else _number(source.part), None)
    except _NoSuchHdu as error:
        raise ValueError(f'{what} must be one of the images of {error.name}, FILE[HDU]: {error.listed}; '
                         f'received {str(given)!r}') from None
    if other.shape != source.shape:
        raise ValueError(f'{what} must have the shape of the image, {source.shape}, received {other.shape}')
    return other


def file_and_hdu(image):
    """File and HDU of ``file.fits[HDU]``; anything else, and files of such a name, unchanged, with None.

    Examples
    --------
    >>> from pidoc.image.read import file_and_hdu
    >>> file_and_hdu('a.fits[1]'), file_and_hdu('a.fits[SCI,2]'), file_and_hdu('a.fits')
    (('a.fits', 1), ('a.fits', 'SCI,2'), ('a.fits', None))
    """
    if isinstance(image, (str, os.PathLike)) and not os.path.exists(image):
        match = re.fullmatch(r'(.+)\[([^\[\]]+)\]', os.fspath(image))
        if match:
            return match[1], int(match[2]) if match[2].isdigit() else match[2]
    return image, None


def _number(part):
    return int(part.split()[0]) if part else 0


def _add_weight(stack, source, weight, hdu):
    kind = InverseVariance
    if isinstance(weight, NDUncertainty):
        kind = _UNCERTAINTIES.get(type(weight).__name__)
        if kind is None:
            raise TypeError(f'weight must be of one of the kinds {", ".join(_UNCERTAINTIES)}, received '
                            f'{type(weight).__name__}')
        weight = np.asarray(weight.array)
    other = _companion(stack, weight, source, hdu, 'weight')
    if any(str(keyword).startswith('FPA.') for keyword in other.header):
        raise ValueError(f'{other} is of Pan-STARRS1, whose weights are variances: give '
                         'weight=VarianceUncertainty(...) of its '
                         'pixels')
    kind = _NAMED.get(str(other.header.get('EXTNAME', '')).strip().upper(), kind)
    kind = _TYPES.get(str(other.header.get('UTYPE', '')).strip(), kind)
    source.set_uncertainty(other, kind)


# -- kinds of images ------------------------------------------------------------------------------


def _source(stack, image, hdu, unit, plane=None, frame=None):
    if hasattr(image, 'light') and isinstance(image.light, NDData):
        image = image.light
    if isinstance(image, (str, os.PathLike)):
        file, its = file_and_hdu(image)
        if None not in (hdu, its) and hdu != its:
            raise ValueError(f'hdu must be left out where the file names one, {str(image)!r}, received '
                             f'{hdu!r}')
        return _of_file(stack, Path(file), its if hdu is None else hdu, unit, plane, frame)
    if isinstance(image, fits.HDUList):
        return _of_hdus(image, 'HDUList', hdu, unit, plane, frame)
    if isinstance(image, _IMAGES):
        return _of_hdus(fits.HDUList([image]), type(image).__name__, None, unit, plane, frame)
    if hdu is not None:
        raise ValueError(f'hdu is for FITS files, received hdu={hdu!r} with {type(image).__name__}')
    if frame is not None:
        raise ValueError(f'wcs_frame is for FITS files, received wcs_frame={frame!r} with '
                         f'{type(image).__name__}')
    if isinstance(image, NDData):
        return _of_nddata(image, unit, plane)
    if isinstance(image, u.Quantity):
        return Source('array', image.value, {}, unit=_one_unit(image.unit, unit), plane=plane)
    if isinstance(image, np.ndarray):
        if np.ma.isMaskedArray(image):
            return Source('array', image.data, {}, unit=unit, plane=plane,
                          mask=Source('mask', np.ma.getmaskarray(image), {}, plane=plane))
        return Source('array', image, {}, unit=unit, plane=plane)
    raise TypeError('an image must be a path, HDU, CCDData, Quantity or array, received '
                    f'{type(image).__name__}')


def _one_unit(its, given):
    if given is not None and u.Unit(given) != its:
        raise ValueError(f"unit must be left out where the image has one, '{its}', received '{given}'")
    return its


def _of_nddata(image, unit, plane):
    header = _header_of(image.meta)
    its = image.unit if image.unit is not None else unit
    uncertainty = None
    if image.uncertainty is not None:
        kind = _UNCERTAINTIES.get(type(image.uncertainty).__name__)
        if kind is None:
            raise TypeError('the uncertainty of the image must be of one of the kinds '
                            f'{", ".join(_UNCERTAINTIES)}, received '
                            f'{type(image.uncertainty).__name__}')
        uncertainty = Source('uncertainty', np.asarray(image.uncertainty.array), {}, plane=plane), kind
    mask = None
    if image.mask is not None:
        mask = Source('mask', np.broadcast_to(image.mask, image.data.shape), {}, plane=plane)
    if image.unit is not None:
        its = _one_unit(image.unit, unit)
    wcs = image.wcs if isinstance(image.wcs, WCS) and image.wcs.has_celestial else None
    return Source(type(image).__name__, np.asarray(image.data), header, unit=its,
                  wcs=None if wcs is None else wcs.celestial, mask=mask, uncertainty=uncertainty, plane=plane)


def _header_of(meta):
    """Keywords and values; None for a card without value; commentary as one text.

    Unreadable and contradictory values become a text that matches nothing else.
    """
    if not isinstance(meta, fits.Header):
        return {str(keyword): value for keyword, value in dict(meta).items()}
    header = {}
    for card in meta.cards:
        try:
            value = card_value(card.value)
        except fits.VerifyError:
            value = _UNREADABLE
        if card.keyword in ('HISTORY', 'COMMENT', ''):
            value = f'{header.get(card.keyword, "")} {value}'
        elif not _same(header.get(card.keyword, value), value):
            value = _Ambiguous.of(header[card.keyword], value)
        header[card.keyword] = value
    return header


def _same(one, other):
    """Whether two values of a card are equal, also if one is the text of the other, in capitals or not."""
    texts = [str(each).strip().lower() for each in (one, other)]
    if one == other or texts[0] == texts[1]:
        return True
    try:
        return float(texts[0]) == float(texts[1])
    except ValueError:
        return False


class _Ambiguous(str):
    """Stands for the ``values`` of a card that is there more than once; ``conflict`` is their text."""

    @classmethod
    def of(cls, before, value):
        result = cls(_AMBIGUOUS)
        result.values = (*getattr(before, 'values', (before,)), value)
        result.conflict = ' and '.join(f'{each!r}' for each in dict.fromkeys(result.values))
        return result


def _of_file(stack, path, hdu, unit, plane, frame):
    with damage_of(path.name, strict=False):
        # opened here, because astropy does not close files that it cannot read
        file = stack.enter_context(open_regular(path))
        check_beginning(file)
        file = stack.enter_context(checked(file))
        hdus = stack.enter_context(fits.open(file, memmap=False, lazy_load_hdus=False))
    return _of_hdus(hdus, path.name, hdu, unit, plane, frame)


class _Several(ValueError):
    """There is more than one image to choose from."""


class _NoSuchHdu(ValueError):
    """The HDU that was asked for is not one of the images of a file, which ``listed`` names."""

    def __init__(self, name, listed, hdu):
        self.name, self.listed = name, listed
        super().__init__(f'hdu must be one of the images of {name}: {listed}; received {hdu!r}')


def _of_hdus(hdus, name, hdu, unit, plane, frame):
    try:
        with quiet():
            return _of_sound_hdus(hdus, name, hdu, unit, plane, frame)
    except (AttributeError, IndexError, KeyError, fits.VerifyError) as reason:
        # astropy reports broken cards only when they are accessed
        text = ' '.join(str(reason).split()) or type(reason).__name__
        raise ValueError(f'{name} is damaged or cut short: {text}') from reason


def _of_sound_hdus(hdus, name, hdu, unit, plane, frame):
    number = _choose(hdus, name, hdu)
    chosen = hdus[number]
    header = _header_of(chosen.header)
    # checking .data would read it
    if chosen is not hdus[0] and not getattr(hdus[0], 'shape', ()):
        header = _header_of(hdus[0].header) | header
    part = f'{number} {chosen.name}'.strip()
    # one for all images, or one for each
    beside = {extra.name.upper(): Source(extra.name, _Section(extra), _header_of(extra.header),
                                         plane=plane if extra.shape[:-2] == chosen.shape[:-2] else None)
              for extra in _beside(hdus, chosen, f'{name}[{part}]')}
    uncertainty = None
    if 'UNCERT' in beside:
        kind = str(beside['UNCERT'].header.get('UTYPE', 'StdDevUncertainty')).strip()
        if kind not in _TYPES:
            raise ValueError('the extension UNCERT must be of one of the kinds '
                             f'{", ".join(_UNCERTAINTIES)}, received {kind}')
        uncertainty = beside.pop('UNCERT'), _TYPES[kind]
    source = Source(name, _Section(chosen), header, part=part, unit=unit, uncertainty=uncertainty,
                    plane=plane)
    for extra, its in beside.items():
        if extra in _DEPTHS:
            source.add_depth(its)
        else:
            source.add_mask(its, planes_of(its.header, header))
    source.wcs = celestial_wcs(chosen.header, hdus, source, frame=frame)
    return source


def _beside(hdus, chosen, name):
    """Masks, weights and uncertainty of an image; a note names those that are not used but may be masks."""
    for extra in (*_MASKS, *_DEPTHS, 'UNCERT', *_PERHAPS_MASKS):
        its = _of_version(hdus, extra, chosen)
        # Hubble's have no pixels where all would be the same
        if its is None or (extra in _DEPTHS and len(its.shape) < 2):
            continue
        if tuple(its.shape[-2:]) != tuple(chosen.shape[-2:]):
            log.warning('%s: the extension %s is not used: it has the shape %s, not that of the image, %s',
                        name, extra, tuple(its.shape), tuple(chosen.shape))
        elif extra in _PERHAPS_MASKS:
            log.warning('%s: the extension %s is not used, since its values can mean good pixels, too: give '
                        'it as the mask if they are bad', name, extra)
        else:
            yield its


def _of_version(hdus, name, chosen):
    """The companion of an image: the one with its EXTVER if there are several; or None."""
    found = [each for each in hdus
             if isinstance(each, _IMAGES) and each.name.upper() == name and each is not chosen]
    of_it = [each for each in found if each.ver == chosen.ver]
    return next(iter(of_it or found), None)


class _Section:
    """Pixels of an HDU, which are read on access."""

    def __init__(self, hdu):
        self.shape = tuple(hdu.shape)
        self._hdu = hdu

    def __getitem__(self, key):
        file = (self._hdu.fileinfo() or {}).get('file')
        if file is None:
            return self._hdu.data[key]
        if file.compression:
            # astropy reads parts of rows one by one, and for each unpacks the file from its beginning
            return self._hdu.section[(*key[:-1], slice(None))][..., key[-1]]
        return self._hdu.section[key]


def _choose(hdus, name, hdu):
    """Number of the HDU with the image."""
    images = [i for i, one in enumerate(hdus) if isinstance(one, _IMAGES) and len(one.shape) >= 2]
    listed = ', '.join(f'{i} {hdus[i].name}'.strip() for i in images) or 'none'
    if hdu is not None:
        try:
            number = hdus.index_of(_name_and_version(hdu, hdus))
            _ = hdus[number]
        except (KeyError, IndexError, TypeError):
            raise _NoSuchHdu(name, listed, hdu) from None
        number %= len(hdus)
        if number not in images:
            raise _NoSuchHdu(name, listed, hdu)
        return number
    if not images:
        raise ValueError(f'{name} has no image')
    main = [i for i in images if hdus[i].name.upper() not in _BESIDE] or images
    for its_name in _MAIN:
        named = [i for i in main if hdus[i].name.upper() == its_name]
        if len(named) == 1:
            return named[0]
    if len(main) > 1:
        raise _Several(f'{name} has several images, {listed}: choose one with hdu')
    return main[0]


def _name_and_version(hdu, hdus):
    """'NAME,VERSION' as astropy takes it, unless that is the name of an HDU; anything else unchanged."""
    match = re.fullmatch(r'(.+?)\s*,\s*(\d+)', hdu) if isinstance(hdu, str) else None
    if match is None or hdu.upper() in (each.name.upper() for each in hdus):
        return hdu
    return match[1], int(match[2])
