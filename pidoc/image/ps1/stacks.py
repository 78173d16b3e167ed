# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Combine stacks of Pan-STARRS1 to images for `pidoc.image.prepare`: `mosaic`."""

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData, VarianceUncertainty
from astropy.wcs.utils import proj_plane_pixel_area

from pidoc.image.ps1.files import BAD, flags, MASK_BITS

__all__ = ['mosaic']

_DOUBTFUL = MASK_BITS['STARCORE'] | MASK_BITS['SUSPECT'] | MASK_BITS['CONV.POOR']
_WHOLE = 1e-3              # pixels, negligible difference from a whole number


def mosaic(stacks, *, bad=BAD):
    """Combine the stacks of a band to one image.

    It is in counts, on the pixels of the first stack. Each pixel is taken from the first stack that covers
    it; stacks in another projection are resampled by overlap area (`reproject.reproject_exact`). For a stack
    without a variance, the scatter of its sky is used.

    Parameters
    ----------
    stacks : list of `pidoc.image.ps1.files.Stack`
        Skycells, or parts of them, of one band.
    bad : int, optional
        Bits of the masks that make a pixel bad.

    Returns
    -------
    `~astropy.nddata.CCDData`
        In counts, with mask, variance and world coordinates. ``meta`` has the cards for its calibration
        (EXPTIME, FPA.ZP, FPA.FILTER), and its origin.

    Raises
    ------
    ValueError
        If there is no stack, one is of another band or has no exposure time, or none has data.
    """
    if not stacks:
        raise ValueError('there must be a stack, received none')
    first = stacks[0]
    for stack in stacks:
        if stack.band != first.band:
            raise ValueError(f'stacks must be of one band, {first.band}, received one of {stack.band}')
    corner, shape = _frame(stacks)
    wcs = _shifted(first.wcs, corner)
    counts, variance, used = np.full(shape, np.nan), np.full(shape, np.nan), []
    for stack in stacks:
        factor = 10.0 ** (0.4 * (first.zero_point - stack.zero_point).value)
        values, spread = _on(wcs, shape, stack, *_counts(stack, bad))
        new = np.isnan(counts) & np.isfinite(values) & np.isfinite(spread)
        if new.any():
            counts[new], variance[new] = (factor * values)[new], (factor**2 * spread)[new]
            used.append(stack)
    if not used:
        raise ValueError(f'stacks must have data, received none in {first.skycell or first.band} that is not '
                         'masked')
    wcs.array_shape = shape
    return CCDData(counts, unit='adu', wcs=wcs, mask=np.isnan(counts),
                   uncertainty=VarianceUncertainty(variance), meta=_meta(first, used, bad))


def _counts(stack, bad):
    """Counts and their variance, NaN where a bit of ``bad`` is set."""
    counts = stack.counts if stack.mask is None else np.where(stack.mask & bad, np.nan, stack.counts)
    good = np.isfinite(counts)
    if stack.variance is not None or not good.any():
        return counts, counts if stack.variance is None else stack.variance
    middle = np.median(counts[good])
    return counts, np.full(counts.shape, (1.4826 * np.median(np.abs(counts[good] - middle))) ** 2)


def _meta(first, used, bad):
    masks = [stack.mask for stack in used if stack.mask is not None]
    meta = {
        'EXPTIME': first.exposure.value, 'FPA.ZP': first.base_zero_point, 'FPA.FILTER': first.band,
        'CELL': ' '.join(stack.skycell for stack in used), 'NCELL': len(used), 'FORM': first.form,
        'WEIGHT': 'scatter of the sky' if used[0].variance is None else 'weight image',
        'BADBITS': bad, 'BADNAMES': ' '.join(flags(bad))}
    if masks:
        meta['DOUBTFUL'] = float(np.mean([np.mean((mask & _DOUBTFUL) != 0) for mask in masks]))
    for stack in used:
        meta |= stack.truth
    return meta


# -- pixels ---------------------------------------------------------------------------------------


def _shifted(wcs, corner):
    """World coordinates of an array that begins at a given row and column."""
    wcs = wcs.deepcopy()
    wcs.wcs.crpix = wcs.wcs.crpix - np.array(corner[::-1])
    return wcs


def _frame(stacks):
    """First row and column, in pixels of the first stack, and shape of the array that contains all stacks."""
    low, high = np.zeros(2), np.array(stacks[0].counts.shape, dtype=float)
    for stack in stacks[1:]:
        ny, nx = stack.counts.shape
        places = stack.wcs.pixel_to_world([-0.5, nx - 0.5, -0.5, nx - 0.5], [-0.5, -0.5, ny - 0.5, ny - 0.5])
        corners = np.array(stacks[0].wcs.world_to_pixel(places))[::-1] + 0.5
        low, high = np.minimum(low, corners.min(axis=1)), np.maximum(high, corners.max(axis=1))
    low, high = np.floor(low + _WHOLE).astype(int), np.ceil(high - _WHOLE).astype(int)
    return tuple(low.tolist()), tuple((high - low).tolist())


def _on(wcs, shape, stack, *images):
    """Images of a stack on the pixels of another plane; NaN where they do not cover a pixel."""
    at = np.array(wcs.world_to_pixel(stack.wcs.pixel_to_world(*_corners(stack.counts.shape))))
    row, column = (int(np.round(value[0])) for value in at[::-1])
    if np.abs(at - np.add(_corners(stack.counts.shape), [[column], [row]])).max() < _WHOLE:
        # the same projection, like other skycells of a projection cell
        return [_pasted(image, shape, row, column) for image in images]
    return [_reprojected(image, stack.wcs, wcs, shape) for image in images]


def _corners(shape):
    """Columns and rows of three corners."""
    ny, nx = shape
    return np.array([[0.0, nx - 1.0, 0.0], [0.0, 0.0, ny - 1.0]])


def _pasted(image, shape, row, column):
    result = np.full(shape, np.nan)
    ny, nx = image.shape
    result[row:row + ny, column:column + nx] = image
    return result


def _reprojected(image, own, wcs, shape):
    """Resample by overlap area, conserving the sum of pixels with other areas."""
    from reproject import reproject_exact

    result, footprint = reproject_exact((image, own), wcs, shape_out=shape)
    middle = wcs.pixel_to_world(0.5 * (shape[1] - 1), 0.5 * (shape[0] - 1))
    ratio = _pixel_area(wcs, middle) / _pixel_area(own, middle)
    return np.where(footprint > 0.999, result * ratio, np.nan)


def _pixel_area(wcs, place):
    """Solid angle of a pixel of a tangent plane [deg^2]: that at the tangent point times cos^3."""
    origin = SkyCoord(*wcs.wcs.crval, unit='deg', frame=place.frame.name)
    return proj_plane_pixel_area(wcs) * np.cos(place.separation(origin).rad) ** 3
