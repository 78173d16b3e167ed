# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Convert any image of a cluster to the input of the networks: `prepare`.

The result is always a map of the apparent V flux F = L / (4 pi d^2) per pixel [Lsun/kpc^2], on the pixels of
a `pidoc.grid.MapGrid` about the cluster's centre, north up, smoothed: the same as the light map of
`pidoc.mock`.
"""

from __future__ import annotations

import difflib
import inspect
import logging
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.nddata import StdDevUncertainty
from astropy.wcs.utils import skycoord_to_pixel

from pidoc import __version__
from pidoc.grid import APPARENT_FLUX, GAUSSIAN_END, MapGrid, tangent_plane
from pidoc.image.calibration import calibrate, MissingError
from pidoc.image.light import Light
from pidoc.image.missing import (
    find_cosmic_rays,
    find_flat_tops,
    find_missing,
    Missing,
    smoothed_over,
    without_sides,
)
from pidoc.image.pixel_units import COUNTS, pixel_unit
from pidoc.image.ps1.files import MEDIAN_SEEING, RELATIONS
from pidoc.image.psf import KERNEL_REACH, measure_psf, Psf, rebuilt_cores
from pidoc.image.read import opened
from pidoc.image.resample import Layer, pixel_areas
from pidoc.image.sky import (
    background_in_annulus,
    concentration,
    find_center,
    fit_sky,
    half_light_radius,
    SkyFit,
)
from pidoc.image.stars import BRIGHTEST_GIANT, find_compact, find_stars
from pidoc.image.two_bands import combine
from pidoc.image.world import check_pixels
from pidoc.mock.psf import MOFFAT_BETA
from pidoc.photometry import apparent_flux, apparent_magnitude, BANDS, ps1_to_johnson
from pidoc.units import as_distance, as_quantity, scalar_value, to_value

if TYPE_CHECKING:
    from typing import Any

__all__ = ['IMAGE_FLAGS', 'SEEING_RANGE', 'check_options', 'farthest_of', 'prepare']

log = logging.getLogger(__name__)

SEEING_RANGE = MapGrid().seeing_range
"""Best and worst seeing of the training data for the default grid: 0.5 and 1.5 arcsec."""

IMAGE_FLAGS = {
    'seeing-unknown': 'the seeing was neither given nor could be measured',
    'seeing-worse': 'the seeing is worse than the range that was asked for',
    'zero-point': 'the zero point that was given differs from that of the header',
    'zero-point-reading': 'the zero point of the header may be that of one unit of the pixels or of one unit '
                          'a second',
    'magnitude-system': 'the header names a magnitude system that is not known: that usual for the band was '
                        'taken',
    'gain': 'the pixels are electrons and the header has a GAIN: its zero point was taken for one of an '
            'electron, not of an ADU',
    'band': 'the band that was given is not that of the header',
    'colour': 'the image is not in V, and no colour was given: that of an old population stands in',
    'colour-range': 'g - r of the field is that of no cluster: the bands may be exchanged, or a zero point '
                    'wrong',
    'catalogue': 'the field is brighter than the whole cluster that the catalogue has there',
    'no-cluster': 'no concentration of the light at the centre is seen: it may be that of field stars alone',
    'gaps': 'more than 1 % of the pixels of the field are masked',
    'saturated': 'saturated pixels have 1 % of the light in the field or more: what the wings of their stars '
                 'say of it, or nothing where the PSF is not known',
    'foreground-stars': 'stars in front of the cluster, brighter than its own can be, were taken off: their '
                        'cores are masked',
    'bright-star': 'a star, or other compact light, is brighter than the stars of the cluster can be, or '
                   'dominates the light, and was left in',
    'background': 'beside a model of the cluster there is a level of the sky, above or below 0, of 3.5 % of '
                  'the light in the field or more, or half of the light may be such a level',
    'steps': 'the level of the image jumps between two columns or rows of the field, as between amplifiers '
             'of a detector',
    'coarse-pixels': 'the pixels of the image are larger than four of the map: 1 arcsec for a field of 40',
    'no-sky-position': 'the image has no world coordinates: those of the map are made up',
    'no-light': 'the light in the field is not positive',
}
"""Possible flags in ``meta['FLAGS']``, with descriptions."""

_FORMAT_VERSION = 2
# keywords of bands, zero points and exposure times
_PHOTOMETRIC = re.compile(r'FILT|BAND|FLT|PHOT|ZP|ZERO|MAGSYS|FLUX|EXPT|EXP_T|XPOSURE')
_COARSE = 4.0                          # pixels of the map, side of a pixel of the image, if flagged
_SURROUNDINGS = 90.0                   # arcsec from the centre, within which stars and sky are measured
_LARGEST = 4096                        # pixels per side that are searched or measured at once
_LARGEST_PIXEL = 3600.0                # arcsec: larger ones mean coordinates without or with a wrong unit
_SMALLEST_IMAGE = 1.0                  # arcsec: smaller ones have a wrong scale; no cluster is so small
_CENTER_WIDTH = 20.0                   # arcsec, least diameter of the aperture for the centroid
_ANNULUS = 0.75                        # inner radius of the default annulus, relative to the outer one
_BESIDE = 1.1                          # least outer radius of it, relative to the extent of the field
_WIDER = 1.5                           # times the extent of the field, least radius of the sky measurement
_OUTERMOST = 150.0                     # arcsec, largest radius of the default annulus
_SKY_SHARE = 0.035                     # share of the residual sky in the light of the field, if flagged
_SIGNIFICANT = 2.6                     # standard deviations of the residual sky, if flagged
_UNCERTAIN = 0.3                       # error of a fitted sky, relative to the light in the field, at most
_SAME_CLUSTER = 30.0 * u.arcsec        # separation within which it is the catalogued cluster
_SATURATED_SHARE = 0.01               # share of saturated pixels in the light of the field, if flagged
_STEP_SHARE = 0.02                     # light of a step through the middle of the field, relative, if flagged
_COMPACT = 1.5, 2.1, 3.0, 4.2, 6.0     # arcsec, radii in which the light of stars of any PSF is measured
_COMPACT_SHARE = 0.05                  # share of the light in what is too bright for the cluster, if flagged
# of a star-like cluster: arcsec from a given centre, at most, and share of the light besides other stars in
# front within a radius [arcsec], at least
_IS_CLUSTER, _MOST, _WITHIN = 5.0, 0.5, 3.0
_DOMINANT, _ALONE = 0.15, 6.3          # share of the light, and flux ratio to the next, of a dominant star
_REDDER = {'r': -0.6, 'R': -0.6, 'i': -1.0, 'I': -1.2}       # magnitude minus V of red giants
_SEEN, _SEEN_FOUND = 3.5, 4.5          # standard deviations of a concentration, at a given or found centre
_TRUST = 0.7                           # weight of a given seeing against the measured PSF
_REBUILT = 0.1                         # relative error of the light of a reconstructed saturated pixel
_ENOUGH = 50_000                       # pixels that suffice for a median
# mag: the scatter of the relation from g - r, 0.034 (Tonry et al. 2012), zero points,
# and a difference of 0.03 to 0.08 from model atmospheres
_B_V_ERROR = 0.07
# g - r [mag] of the youngest and of the most metal-rich clusters, that of E(B-V) = 1, and E(B-V) if not given
_BLUEST, _REDDEST, _RED, _MOST_DUST = -0.35, 0.95, 0.9, 0.7
_UNKNOWN, _MEDIAN = 'unknown', 'median of the survey'
_BRIGHTEST = 2.0                       # magnitude: brighter than any cluster
# mag/arcsec^2: brighter than the centre of any globular cluster, 14.2 in V
_BRIGHTEST_SURFACE = 13.5
_BRIGHTER = 0.5                        # mag by which the field must not be brighter than the cluster


def prepare(image: Any, *, grid: MapGrid | None = None, hdu: Any = None, unit: Any = None,
            zero_point: Any = None, exposure: Any = None, band: str | None = None, pixel_scale: Any = None,
            center: Any = None, seeing: Any = None, seeing_range: u.Quantity | str | None = 'training',
            background: Any = None, sky_error: Any = None, mask: Any = None, weight: Any = None,
            good_bits: Any = None, colour: Any = None, extinction: Any = None, relation: str = 'kostov2018',
            distance: u.Quantity | str | None = None, field_of_view: u.Quantity | str | None = None,
            farthest: u.Quantity | str | None = None,
            output_pixel_scale: u.Quantity | str | None = None, smoothing: float | None = None,
            min_coverage: float = 0.5, plane: int | tuple[int, ...] | None = None,
            wcs_frame: str | None = None, **unknown: Any) -> Light:
    """Convert any image of a cluster to a map of its light on the grid of the networks.

    Steps: pixels are calibrated to apparent flux (`pidoc.image.calibration.calibrate`), the background is
    subtracted, the PSF is measured on stars, the pixels are resampled to the new grid by overlap area
    (`reproject.reproject_exact`), which conserves flux, two bands are combined into one
    (`pidoc.image.two_bands.combine`), and the map is smoothed. Masked pixels are excluded from the weighted
    mean of the smoothing. Files of `pidoc.mock.Mock.write` and results of this function are returned
    unchanged.

    Parameters
    ----------
    image : path-like, `~astropy.nddata.CCDData`, HDU, Quantity, array or dict
        A FITS file or image data. Two images, ``{'g': ..., 'r': ...}``, in the bands of Pan-STARRS1 are
        combined into V; options can be such dictionaries, too. Of large files only the part about ``center``
        is read.
    grid : `~pidoc.grid.MapGrid`, optional
        Grid of the map, by default ``MapGrid()``. The image must be in the band of its first channel, unless
        that is V, to which other bands are transformed.
    hdu : int or str or tuple, optional
        HDU of a file; by default the only image that is not a mask or weight.
    unit : str or `~astropy.units.Unit`, optional
        Unit of the pixels, overriding BUNIT; see `pidoc.image.pixel_units.pixel_unit`.
    zero_point : `~astropy.units.Quantity`, optional
        Magnitude of one unit of the pixels [mag or ABmag]; by default from the header. For this and the next
        three see `pidoc.image.calibration.calibrate`.
    exposure : `~astropy.units.Quantity`, optional
        Exposure time [s], if ``zero_point`` is of one unit per second.
    band : str, optional
        Band of the image, overriding the header.
    colour : `~astropy.units.Quantity`, optional
        V minus the magnitude in ``band`` [mag]; by default that of an old population.
    extinction : `~astropy.units.Quantity` or 'catalogue', optional
        Extinction to correct for in the band of the grid (A_V) [mag]; by default none. 'catalogue', if
        ``center`` is a name: 3.1 E(B-V) of Harris (2010), `pidoc.catalogs.EXTINCTION_RATIO`.
    pixel_scale : `~astropy.units.Quantity`, optional
        Side of a pixel [arcsec], for an image without world coordinates.
    center : `~astropy.coordinates.SkyCoord`, str, tuple of float or callable, optional
        Position of the cluster: coordinates; a name in `pidoc.catalogs`; column and row (0-based); or a
        function like those of `photutils.centroids`, which takes the array and its ``mask`` and returns
        column and row. By default the cluster is searched for (`pidoc.image.sky.find_center`); an image that
        is on the grid already is not shifted.
    seeing : `~astropy.units.Quantity`, optional
        FWHM of the PSF [arcsec]; by default measured (`pidoc.image.psf.measure_psf`). For stacks of
        Pan-STARRS1 with too few isolated stars, the median of the survey is used, and flagged.
    seeing_range : `~astropy.units.Quantity`, optional
        Best and worst seeing of the training data [arcsec]. Better seeing is degraded to the best one with a
        Gaussian, worse seeing is flagged. By default that of the grid, 2 and 6 pixels of the map
        (`pidoc.grid.MapGrid.seeing_range`). None: unchanged.
    background : None, 'fit', 'annulus', two radii or a level, optional
        None: nothing is subtracted. 'fit': the level fitted together with a model of the cluster, which may
        fill the image (`pidoc.image.sky.fit_sky`). 'annulus': the level in the largest annulus about the
        field that fits on the image, for images much larger than the cluster. Two angles: inner and outer
        radius. A Quantity in the unit of the image: that level. The residual sky and its error are in
        ``meta['SKYLEVEL']`` and ``meta['SKYERROR']``, in the unit of the map, per pixel.
    sky_error : float or `~astropy.units.Quantity`, optional
        Standard error of a given level [unit of the image].
    mask, weight, good_bits : optional
        See `pidoc.image.read.opened`.
    relation : str, optional
        Transformation from g and r to V, one of `pidoc.image.ps1.files.RELATIONS`. The difference to the
        other one is recorded.
    distance : `~astropy.units.Quantity`, optional
        Distance to the cluster, or distance modulus [mag]; by default from the catalogue, for a catalogued
        cluster at the centre. Stars brighter than any star of the cluster are subtracted
        (`pidoc.image.stars`), and flagged; other compact light that is as bright is flagged, and so is what
        looks like a star but has most of the light at a given ``center``: it may be the cluster.
    field_of_view, output_pixel_scale : `~astropy.units.Quantity`, optional
        Override those of the grid: one angle, or width and height; side of a pixel. The field 'auto' has as
        many pixels as the grid, and is the smallest of a few that is twice as wide as the half-light radius
        of the cluster, by the catalogue or else by the image, and no larger than the image
        (`pidoc.grid.MapGrid.holding`). For a map of `pidoc.mock` it is that of the map.
    farthest : `~astropy.units.Quantity`, optional
        For the field 'auto': largest distance that the cluster may have for a network, to which larger pixels
        are a larger distance (`pidoc.networks.variables.ZOOM`); by default any.
    smoothing : float, optional
        Overrides that of the grid: standard deviation of the Gaussian [pixels of the map]; 0 for no
        smoothing.
    min_coverage : float, optional
        Share of the field that must have good pixels.
    plane, wcs_frame : optional
        The image to use in data with more than two dimensions, and the frame of missing or wrong world
        coordinates; see `pidoc.image.read.opened`.

    Returns
    -------
    `~pidoc.image.light.Light`
        A `~astropy.nddata.CCDData` with a TAN WCS; ``sharp``: the light before smoothing, unless the image
        was smoothed already; ``mask``: pixels of which less than half was observed; ``uncertainty``: the
        standard deviation of a pixel of the map, if the image has one. ``meta`` records every step;
        ``meta['FLAGS']`` has the names of `IMAGE_FLAGS` that apply, separated by blanks.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If an argument is invalid, contradictory, missing or unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy import units as u
    >>> from pidoc.image import prepare
    >>> y, x = np.mgrid[:100, :100] - 49.5
    >>> counts = 1e4 * np.exp(-(x**2 + y**2) / 200)
    >>> light = prepare(counts, unit='adu', zero_point=25 * u.mag, band='V', pixel_scale=0.5 * u.arcsec,
    ...                 center=(49.5, 49.5), seeing=1 * u.arcsec)
    >>> print(light.shape, light.unit, light.meta['FLAGS'])
    (160, 160) solLum / kpc2 no-sky-position
    """
    check_options(unknown)
    if not (grid is None or isinstance(grid, MapGrid)):
        raise TypeError(f'grid must be a MapGrid, received {grid!r}')
    if output_pixel_scale is not None:
        scalar_value(output_pixel_scale, u.arcsec, 'output_pixel_scale', positive=True)
    farthest, field_of_view = farthest_of(field_of_view, farthest, output_pixel_scale)
    grid = MapGrid.of_field(field_of_view, pixel_scale=output_pixel_scale, smoothing=smoothing, grid=grid)
    if relation not in RELATIONS:
        raise ValueError(f'relation must be one of {", ".join(RELATIONS)}, received {relation!r}')
    _range(seeing_range, grid)
    if not (isinstance(min_coverage, Real) and 0.0 <= min_coverage <= 1.0):
        raise ValueError(f'min_coverage must be from 0 to 1, received {min_coverage!r}')
    if isinstance(background, Mapping):
        background = {name: _background_of(its) for name, its in background.items()}
    else:
        background = _background_of(background)
    extinction, dust = _extinction(extinction, center, grid)
    options = {
        'hdu': hdu, 'unit': unit, 'pixel_scale': pixel_scale, 'background': background, 'seeing': seeing,
        'sky_error': _sky_error_of(sky_error, background),
        'mask': mask, 'weight': weight, 'good_bits': good_bits, 'zero_point': zero_point,
        'exposure': exposure, 'colour': colour, 'extinction': extinction, 'freed': bool(dust),
        'matched': False, 'distance': distance, 'plane': plane, 'wcs_frame': wcs_frame,
        'farthest': farthest, 'seeing_range': seeing_range, 'min_coverage': min_coverage}
    if isinstance(image, Mapping):
        plane, around, meta, flags = _two_bands(image, grid, center, band, relation, options)
    else:
        options.update(band=band, target=grid.band)
        layer = _measured(image, grid, center, options)
        best, _ = _range(seeing_range, layer.grid)
        plane, around, meta, flags = layer.put(layer.grid, best), layer.around, layer.meta, layer.flags
    sun = BANDS[grid.band]
    meta |= {'BANDNAME': sun.name, 'SUNMAG': sun.solar_magnitude} | dust
    grid = replace(grid, pixel_scale=meta['PIXSCALE'] * u.arcsec)
    return _product(plane, around, meta, flags, _range(seeing_range, grid)[1], min_coverage)


# -- options --------------------------------------------------------------------------------------


def check_options(names, *, others=()):
    """Reject unknown options of `prepare`, with a suggestion.

    Parameters
    ----------
    names : iterable of str
    others : iterable of str, optional
        Options of the calling function, for the suggestion.

    Raises
    ------
    TypeError
        If one of the options does not exist.
    """
    ours = [each for each in inspect.signature(prepare).parameters if each not in ('image', 'unknown')]
    for name in names:
        if name in ours:
            continue
        all_names = [*ours, *(other for other in others if other not in ours)]
        near = difflib.get_close_matches(name, all_names, n=1, cutoff=0.6)
        if near:
            raise TypeError(f'an image has no option {name!r}: did you mean {near[0]}?')
        raise TypeError(f'an image has no option {name!r}, it has {", ".join(all_names)}')


def farthest_of(field_of_view, farthest, output_pixel_scale):
    """Farthest distance and given field, from options of `prepare`.

    Parameters
    ----------
    field_of_view, farthest, output_pixel_scale
        As for `prepare`.

    Returns
    -------
    farthest : float or None
        [kpc]; None if the field is not to be chosen.
    field : `~astropy.units.Quantity` or None
        A given field.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If they are invalid or do not go together.
    """
    if not (isinstance(field_of_view, str) and field_of_view == 'auto'):
        if farthest is not None:
            raise ValueError(f"farthest goes with field_of_view='auto', received {farthest} without it")
        return None, field_of_view
    if output_pixel_scale is not None:
        raise ValueError("output_pixel_scale must be left out with field_of_view='auto', received "
                         f'{output_pixel_scale}')
    if farthest is None:
        return math.inf, None
    return scalar_value(farthest, u.kpc, 'farthest', positive=True), None


def _range(seeing_range, grid):
    """Best and worst seeing [arcsec]."""
    if seeing_range is None:
        return 0.0, math.inf
    if isinstance(seeing_range, str) and seeing_range == 'training':
        seeing_range = grid.seeing_range
    value = to_value(seeing_range, u.arcsec, 'seeing_range', non_negative=True)
    if np.shape(value) != (2,) or value[0] > value[1]:
        raise ValueError(f'seeing_range must be two angles, the smaller one first, received {seeing_range}')
    return float(value[0]), float(value[1])


def _extinction(given, center, grid):
    """A_V, and cards about its source if that is the catalogue."""
    if not isinstance(given, str):
        return given, {}
    if given != 'catalogue':
        try:
            return as_quantity(given, u.mag, 'extinction'), {}
        except ValueError:
            raise ValueError(f"extinction must be a magnitude or 'catalogue', received {given!r}") from None
    if not isinstance(center, str):
        raise ValueError("extinction='catalogue' needs center to be the name of a cluster, received "
                         f'{center!r}')
    if grid.band != 'V':
        raise ValueError("extinction='catalogue' is that in V: give that in the band of the grid, "
                         f"'{grid.band}'")
    from pidoc.catalogs import cluster, EXTINCTION_RATIO

    row = cluster(center)
    if getattr(row['reddening'], 'mask', False):
        raise ValueError(f'the reddening of {row["name"]} is in no catalogue here: give extinction')
    red = float(row['reddening'].value)
    return EXTINCTION_RATIO * red * u.mag, {'EBV': red, 'EBVFROM': 'Harris 1996 (2010 edition)'}


# -- measuring ------------------------------------------------------------------------------------


def _measured(image, grid, center, options):
    """Open an image, find all that must be known, and read the pixels needed: `Layer`."""
    given = {name: options[name]
            for name in ('zero_point', 'exposure', 'band', 'colour', 'extinction', 'target')}
    with opened(image, hdu=options['hdu'], unit=options['unit'], mask=options['mask'],
                weight=options['weight'], good_bits=options['good_bits'], plane=options['plane'],
                wcs_frame=options['wcs_frame']) as source:
        if options['freed'] and source.header.get('EXTCORR'):
            raise ValueError(f'{source} is freed from extinction already, EXTCORR in its header: leave '
                             'extinction out')
        calibration = _calibrated(source, options['pixel_scale'], given)
        found = _Found(source, calibration, options['pixel_scale'], options['seeing'])
        if options['farthest'] is not None:
            grid = found.own_grid(grid)
        found.place(center, grid)
        if options['farthest'] is not None and not found.on_grid:
            grid = found.suited_grid(grid, options['farthest'], options['distance'], options['background'])
        box, wide = found.boxes(grid, options)
        pixels, bad, deviation, missing = found.read(wide)
        cut = slice(box[0] - wide[0], box[1] - wide[0]), slice(box[2] - wide[2], box[3] - wide[2])
        source.check_marked(cut, min_coverage=options['min_coverage'])
    if calibration.magnitudes:
        pixels = calibration.linear(pixels)
        if deviation is not None:
            deviation = deviation * pixels * 0.4 * math.log(10.0)
        bad |= ~np.isfinite(pixels)
    if bad.all():
        raise ValueError(f'{source} has no good pixel where the cluster is')
    here = found.middle[0] - wide[2], found.middle[1] - wide[0]
    around = _Surroundings(pixels, bad, here, found.scale, grid, missing.noise if missing.noisy else 0.0,
                           calibration.meta['IMGUNIT'], found.position if found.positioned else None)
    level, left, sky = _background(options['background'], options['sky_error'], around)
    if found.ours and sky['BKGFROM'] == 'none':
        # maps made by pidoc have no background
        left, sky = None, {}
    psf, stars = found.psf(*smoothed_over(pixels, bad, missing.kinds['cosmic']))
    found.find_rays(pixels, bad, missing, psf, stars)
    bad |= missing.mask
    # from a given width one cannot see that stars are trailed
    find_flat_tops(pixels, bad, missing, psf.fwhm / found.scale if psf.n_stars else math.nan)
    bad |= missing.mask
    pixels, lost = _rebuilt(pixels, bad, deviation, missing, psf.scaled(1.0 / found.scale), level, cut)
    part = found.wcs[box[0]:box[1], box[2]:box[3]]
    areas = np.full(pixels[cut].shape, found.scale**2)
    if calibration.per_area:
        areas = pixel_areas(part, areas.shape, grid.wcs(found.position)) * grid.scale**2
    factor = calibration.scale(areas)
    unit = float(np.median(factor)) / found.scale**2
    left = None if left is None else SkyFit(left.level * unit, left.error * unit)
    front, noted = {}, ()
    if not (found.on_grid or found.ours):
        pixels, front, noted = _foreground(pixels, bad, psf.scaled(1.0 / found.scale), around, level, cut,
                                           found.brightest(options['distance'], float(np.median(factor))),
                                           centered=found.origin != 'found')
    flux = np.where(bad[cut], np.nan, (pixels[cut] - level) * factor)
    scatter = _scatter(pixels[~bad]) * float(np.median(factor))
    flags = found.flags + calibration.flags + noted + _quality_flags(found.scale, grid, stars, lost)
    if not found.is_cluster(pixels, bad, here):
        flags += ('no-cluster',)
    least = _STEP_SHARE * 2.0 * abs(np.nanmean(np.where(bad[cut], np.nan, pixels[cut] - level)))
    steps = _steps_in([its for its in missing.steps if abs(its[2]) > least], cut, wide)
    if steps:
        front, flags = front | {'STEPS': steps}, (*flags, 'steps')
    return Layer(flux, bad[cut], None if deviation is None else deviation[cut] * factor, scatter, part, grid,
                 found.scale, found.position, found.on_grid, psf, found.smoothed, left,
                 found.meta() | sky | stars | lost | front, flags)


def _scatter(values):
    """Standard deviation of values without outliers, from some of them if there are many."""
    some = values[::max(1, values.size // _ENOUGH)]
    return 1.4826 * float(np.median(np.abs(some - np.median(some))))


def _quality_flags(scale, grid, stars, lost):
    """Flags of the seeing, the size of the pixels [arcsec] and the saturated light."""
    return (('seeing-unknown',) * (stars.get('SEEFROM') in (_UNKNOWN, _MEDIAN))
            + ('coarse-pixels',) * (scale > _COARSE * grid.scale + 1e-6)
            + ('saturated',) * (lost.get('SATLIGHT', 0.0) > _SATURATED_SHARE))


def _rebuilt(pixels, bad, deviation, missing, psf, level, cut):
    """Replace saturated stars by their PSF, so that their pixels are good; with cards of missing pixels.

    Without a PSF saturated pixels remain bad.
    """
    cores = missing.kinds['saturated']
    counts = missing.counts(cut)
    if not counts:
        return pixels, {}
    cards = {'MISSING': missing.text(cut), 'NMISSING': sum(counts.values())}
    if cores[cut].any():
        known = np.zeros(cores.shape, dtype=bool)
        if psf.known:
            # fitted in its wings, which a given width does not describe
            measured = psf if psf.n_stars else measure_psf(pixels, bad, expected=psf.fwhm)
            pixels, known = rebuilt_cores(pixels, bad, cores, measured if measured.known else psf)
            bad &= ~known
        if deviation is not None:
            deviation[known] = np.hypot(deviation[known], _REBUILT * np.abs(pixels[known]))
        light = float(np.sum((pixels - level)[cut][~bad[cut]]))
        its = float(np.sum((pixels - level)[cut][cores[cut]]))
        cards['SATLIGHT'] = abs(its / light) if light else 0.0
    return pixels, cards


def _steps_in(steps, cut, wide):
    """The steps of the level in the field, as text, counted from the first pixel of the image; or ''."""
    axes = {'row': 0, 'column': 1}
    return ', '.join(f'{name} {at + wide[2 * axes[name]]}' for name, at, _ in steps
                     if cut[axes[name]].start < at < cut[axes[name]].stop)


def _calibrated(source, pixel_scale, given):
    """The calibration of an image; all that is missing, including its scale, is reported at once."""
    no_scale = source.wcs is None and pixel_scale is None
    unscaled = [('a scale', 'pixel_scale', 'side of a pixel',
                 f'{source} has no world coordinates: give pixel_scale, the side of a pixel')] * no_scale
    try:
        calibration = calibrate(source.header, unit=source.unit, **given)
    except MissingError as error:
        raise MissingError(_noted([*error.missing, *unscaled], source.header), str(source)) from None
    if unscaled:
        raise MissingError(unscaled)
    return calibration


def _noted(missing, header):
    """Missing items of a calibration, with the cards that could have them but are there twice."""
    (thing, option, holds, message), *others = missing
    twice = ', '.join(f'{keyword} twice, with {value.conflict}' for keyword, value in header.items()
                      if hasattr(value, 'conflict') and _PHOTOMETRIC.search(keyword)
                      and f'{keyword} twice' not in message)
    if not twice:
        return missing
    return [(thing, option, f'{holds}; the header has {twice}', f'{message}; the header has {twice}'),
            *others]


def _foreground(pixels, bad, psf, around, level, cut, brightest, *, centered):
    """Subtract stars brighter than any of the cluster, and mask them; returns pixels, cards, flags.

    What is as bright but no star of the PSF stays, and so does all without a distance: it is flagged. So does
    what has most of the light at a centre that was given: a cluster may be as compact as a star.
    """
    total = float(np.sum((pixels - level)[cut][~bad[cut]]))
    if total <= 0.0:
        return pixels, {}, ()
    cards, flags = {}, ()
    least = _DOMINANT * total / _ALONE if brightest is None else brightest
    stars = find_stars(pixels, bad, psf, least, level) if psf.known else ()
    if stars and brightest is None:
        if stars.model(pixels.shape)[1][cut].any() and _dominates(stars.flux, total):
            return pixels, {'STARLITE': float(stars.flux[0] / total)}, ('bright-star',)
        stars = ()
    elif stars and centered:
        stars, its = _without_cluster(stars, pixels, bad, around, level, cut, total)
        if its:
            cards, flags = {'STARLITE': its}, ('bright-star',)
    if stars:
        light, cores = stars.model(pixels.shape)
        share = float(np.sum(light[cut]) / total)
        pixels, bad[cores] = pixels - light, True
        cards |= {'NFOREGND': len(stars), 'FORELITE': share}
        if cores[cut].any() or share > _SATURATED_SHARE:
            flags = ('foreground-stars', *flags)
    left = _compact_share(pixels, bad, around, level, cut, least, total, alone=brightest is None)
    return (pixels, cards, flags) if left is None else (pixels, cards | {'STARLITE': left},
                                                        (*flags, 'bright-star'))


def _without_cluster(stars, pixels, bad, around, level, cut, total):
    """The stars but those near the centre with most of the light besides others, and its share or None."""
    near = np.hypot(stars.x - around.here[0], stars.y - around.here[1]) * around.scale < _IS_CLUSTER
    if not near.any():
        return stars, None
    # the brightest is the first; a core may be fitted by several
    first = int(np.argmax(near))
    apart = np.hypot(stars.x - stars.x[first], stars.y - stars.y[first]) * around.scale
    others = stars.some(apart > _WITHIN)
    light = (pixels - level - others.model(pixels.shape)[0])[cut]
    down, right = np.ogrid[:light.shape[0], :light.shape[1]]
    away = np.hypot(right + cut[1].start - stars.x[first], down + cut[0].start - stars.y[first])
    good = ~bad[cut]
    its = float(np.sum(light[good & (away * around.scale < _WITHIN)]))
    return (others, its / total) if its > _MOST * float(np.sum(light[good])) else (stars, None)


def _compact_share(pixels, bad, around, level, cut, least, total, *, alone):
    """Share of the light in the field of compact light that no star of the cluster is as bright as; or None.

    Without a distance it must dominate the light, 2 mag above all other compact light.
    """
    here = around.here[0] - cut[1].start, around.here[1] - cut[0].start
    radii = [size / around.scale for size in _COMPACT if size >= around.scale]
    if not radii:
        # all would be smaller than a pixel
        return None
    its = find_compact(pixels[cut], bad[cut], radii, here, least, level=level, noise=around.noise)
    if not its:
        return None
    fluxes = [flux for *_, flux in its]
    if not alone:
        return sum(fluxes) / total if sum(fluxes) > _COMPACT_SHARE * total else None
    return fluxes[0] / total if _dominates(fluxes, total) else None


def _dominates(fluxes, total):
    """Whether the first of these sources has much of the light, and much more than the second."""
    first, second = (*fluxes[:2], 0.0)[:2]
    return first > _DOMINANT * total and first > _ALONE * second


class _Found:
    """The properties of an image, determined step by step."""

    def __init__(self, source, calibration, pixel_scale, seeing=None):
        self.source, self.calibration, self.header = source, calibration, source.header
        self.seeing = seeing
        self.ours = str(self.header.get('CONVENT') or '') == 'apparent flux'
        self.flags = tuple(str(self.header.get('FLAGS') or '').split()) if self.ours else ()
        self._set_wcs(pixel_scale)
        self.smoothed, self._last = 0.0, None
        if self.ours:
            pixel = float(self.header.get('PIXSCALE') or self.scale)
            self.smoothed = float(self.header.get('SMOOTH') or 0.0) * pixel

    def _set_wcs(self, pixel_scale):
        """Set the world coordinates, and the side of a pixel [arcsec]."""
        self.wcs = self.source.wcs
        given = None
        if pixel_scale is not None:
            given = scalar_value(pixel_scale, u.arcsec, 'pixel_scale', positive=True)
        ny, nx = self.source.shape
        if self.wcs is None:
            self.wcs = tangent_plane((0.0, 0.0), (ny, nx), given)
            self.flags += ('no-sky-position',)
            self.scale = given
            self._check_extent('pixel_scale', 'give another pixel_scale')
            return
        corners = np.array([0.0, 1.0, 0.0]) + 0.5 * (nx - 1), np.array([0.0, 0.0, 1.0]) + 0.5 * (ny - 1)
        places = self.wcs.pixel_to_world(*corners)
        if not (np.all(np.isfinite(places.spherical.lon)) and np.all(np.isfinite(places.spherical.lat))):
            raise ValueError(f'the world coordinates of {self.source} give no position for its middle')
        sides = places[0].separation(places[1:]).arcsec
        turn = (places[0].position_angle(places[2]) - places[0].position_angle(places[1])).rad
        check_pixels(sides, math.degrees(math.asin(min(1.0, abs(math.sin(turn))))), self.source)
        self.scale = math.sqrt(sides[0] * sides[1] * abs(math.sin(turn)))
        if self.scale > _LARGEST_PIXEL:
            raise ValueError(f'the pixels of {self.source} must be smaller than a degree, received '
                             f'{self.scale / 3600.0:.3g} degrees by its world coordinates')
        self._check_extent('its world coordinates', "correct them, or give wcs_frame='none' and pixel_scale")
        if given is not None and abs(given / self.scale - 1.0) > 0.02:
            raise ValueError(f'pixel_scale must be that of the world coordinates, {self.scale:.4g} arcsec, '
                             'or be left out; '
                             f'received {pixel_scale}')

    def _check_extent(self, origin, helps):
        extent = max(self.source.shape) * self.scale
        if extent < _SMALLEST_IMAGE:
            raise ValueError(f'{self.source} must be at least {_SMALLEST_IMAGE:g} arcsec wide, received '
                             f'{extent:.3g} arcsec, with pixels of {self.scale:.3g} arcsec by {origin}: '
                             f'{helps}')

    @property
    def positioned(self):
        return 'no-sky-position' not in self.flags

    # position of the cluster

    def place(self, center, grid):
        """Column and row of the centre, degrees, and their source."""
        shape = self.source.shape
        self.on_grid = center is None and shape == grid.shape and abs(self.scale / grid.scale - 1.0) < 1e-4
        if self.on_grid:
            self.middle, self.origin = tuple(0.5 * (n - 1) for n in reversed(shape)), 'grid'
        elif isinstance(center, (SkyCoord, str)):
            self.middle, self.origin = self._on_sky(center)
        elif center is None or callable(center):
            self.middle, self.origin = self._searched(center)
        else:
            self.middle, self.origin = self._in_pixels(center), 'pixel'
        inside = all(-0.5 <= at <= n - 0.5 for at, n in zip(self.middle, reversed(shape)))
        if not inside:
            raise ValueError(f'center must be on the image, which has {shape[1]} x {shape[0]} pixels, '
                             f'received {center}, which is '
                             f'at column {self.middle[0]:.1f}, row {self.middle[1]:.1f}')
        place = self.wcs.pixel_to_world(*self.middle).icrs
        self.position = float(place.ra.deg), float(place.dec.deg)

    def _on_sky(self, center):
        origin = 'given'
        if isinstance(center, str):
            from pidoc.catalogs import cluster

            center, origin = cluster(center)['position'], center
        if not center.isscalar:
            raise ValueError(f'center must be one position, received {center.size}')
        if not self.positioned:
            raise ValueError(f'{self.source} has no world coordinates: center must be column and row, '
                             f'received {center}')
        x, y = (float(v) for v in skycoord_to_pixel(center, self.wcs))
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError(f'center must be on the image, received {center}')
        return (x, y), origin

    @staticmethod
    def _in_pixels(center):
        try:
            x, y = (float(v) for v in center)
        except (TypeError, ValueError):
            raise TypeError('center must be a SkyCoord, the name of a cluster, column and row, or a '
                            'function, '
                            f'received {center!r}') from None
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError(f'center must be finite, received {center!r}')
        return x, y

    def _searched(self, center):
        shape = self.source.shape
        if max(shape) > _LARGEST:
            raise ValueError(f'an image of more than {_LARGEST} pixels to a side is not searched: give '
                             'center, received '
                             f'{shape[1]} x {shape[0]} pixels')
        pixels, bad, _, _ = self.read((0, shape[0], 0, shape[1]))
        # a hundredth is enough to find something in
        self.source.check_marked(min_coverage=0.1)
        pixels = self.calibration.linear(pixels)
        bad |= ~np.isfinite(pixels)
        if center is None:
            return find_center(pixels, bad, least=max(_CENTER_WIDTH / self.scale, 6.0)), 'found'
        found = np.asarray(center(np.where(bad, 0.0, pixels), mask=bad), dtype=float)
        if found.shape != (2,) or not np.all(np.isfinite(found)):
            raise ValueError(f'center must return column and row, received {found} from {center!r}')
        return (float(found[0]), float(found[1])), getattr(center, '__name__', 'function')

    # the field

    def own_grid(self, grid):
        """That of a map made by pidoc which differs from a grid only in its pixel scale; else the grid."""
        own = self.source.shape == grid.shape and self.header.get('SMOOTH') == grid.smoothing
        return replace(grid, pixel_scale=self.scale * u.arcsec) if self.ours and own else grid

    def suited_grid(self, grid, farthest, distance, background):
        """The grid with the smallest field that holds the cluster, and that the image holds.

        No cluster looks farther than a distance [kpc], and an annulus of the background is outside the field.
        """
        (ny, nx), (x, y) = self.source.shape, self.middle
        largest = (2.0 * min(x, y, nx - 1 - x, ny - 1 - y) + 1.0) * self.scale * u.arcsec
        if isinstance(background, tuple):
            largest = min(largest, math.sqrt(2.0) * background[0] * u.arcsec)
        elif isinstance(background, str) and background == 'annulus':
            largest /= math.sqrt(2.0) * _BESIDE
        away = self._distance(distance)
        limits = {'largest': largest, 'distance': None if away is None else away * u.kpc,
                  'farthest': farthest * u.kpc}
        widest = grid.holding(np.inf * u.arcsec, **limits)
        if widest == grid:
            return grid
        return grid.holding(self._half_light_radius(widest.reach) * u.arcsec, **limits)

    def _half_light_radius(self, largest):
        """By the catalogue, or else within a circle in the image [arcsec]."""
        row = _catalogued(self.position) if self.positioned else None
        if row is not None and not getattr(row['half_light_radius'], 'mask', False):
            return float(row['half_light_radius'].to_value(u.arcsec))
        box = self._box(largest)
        pixels, bad, _, _ = self.read(box)
        pixels = self.calibration.linear(pixels)
        center = self.middle[0] - box[2], self.middle[1] - box[0]
        return half_light_radius(pixels, bad | ~np.isfinite(pixels), center, self.scale, largest=largest)

    def is_cluster(self, pixels, bad, here):
        """Whether the light is concentrated, the catalogue has a cluster there, or it is a map of ours."""
        if self.ours or self.on_grid or (self.positioned and _catalogued(self.position) is not None):
            return True
        seen = concentration(pixels, bad, here, self.scale, outermost=_SURROUNDINGS)
        return not seen < (_SEEN_FOUND if self.origin == 'found' else _SEEN)

    def brightest(self, distance, factor):
        """Flux [unit of the pixels] of the brightest possible star of the cluster, or None."""
        away = self._distance(distance)
        if away is None:
            return None
        modulus = 5.0 * math.log10(100.0 * away)
        magnitude = BRIGHTEST_GIANT + _REDDER.get(self.calibration.meta['IMGBAND'], 0.0) + modulus
        return apparent_flux(magnitude * u.mag, self.calibration.band).to_value(APPARENT_FLUX) / factor

    def _distance(self, given):
        """A given distance, or that of the catalogue [kpc]; None if neither is known."""
        if given is not None:
            return scalar_value(as_distance(given), u.kpc, 'distance', positive=True)
        row = _catalogued(self.position) if self.positioned else None
        if row is None or getattr(row['distance'], 'mask', False):
            return None
        return float(row['distance'].to_value(u.kpc))

    # reading pixels

    def read(self, box):
        """Pixels of a box, bad pixels, standard deviations or None, and missing pixels."""
        if self._last is None or self._last[0] != box:
            pixels, bad, deviation = self.source.read(box)
            missing = self._missing(pixels, bad)
            bad |= missing.mask
            self._find_brightest_rays(pixels, bad, missing)
            self._last = box, (pixels, bad, deviation, missing)
        return self._last[1]

    def _find_brightest_rays(self, pixels, bad, missing):
        """Mark cosmic rays before the PSF, centre and field are determined, which many of them spoil.

        They are none if nothing but them looks like stars.
        """
        rays = without_sides(pixels, bad, missing)
        if rays.any():
            psf, cards = self.psf(*smoothed_over(pixels, bad, rays | missing.kinds['cosmic']))
            if psf.known:
                self.find_rays(pixels, bad, missing, psf, cards)
                bad |= missing.mask

    def _missing(self, pixels, bad):
        """Find unmarked pixels without data; none in maps made by pidoc."""
        if self.ours or self.calibration.magnitudes:
            return Missing.none(pixels.shape)
        return find_missing(pixels, bad, header=self.header)

    def boxes(self, grid, options):
        """First and last rows and columns of the map, and of the larger part for measurements."""
        shape = self.source.shape
        if self.on_grid:
            return ((0, shape[0], 0, shape[1]),) * 2
        # of the smoothing, and of the degrading of too good seeing
        margin = GAUSSIAN_END * max(grid.smoothing * grid.scale, 1.0)
        if options['matched']:
            margin += KERNEL_REACH
        need = grid.reach + 1.42 * margin + 2.0 * self.scale
        wish = max(need, _SURROUNDINGS, _WIDER * grid.reach)
        background = options['background']
        if isinstance(background, str):
            wish = max(wish, _OUTERMOST)
        elif isinstance(background, tuple):
            wish = max(wish, background[1])
        wish = max(need, min(wish, 0.5 * _LARGEST * self.scale))
        return self._box(need), self._box(wish)

    def _box(self, reach):
        box = []
        # margin for distorted or oblong pixels
        for at, n in zip(reversed(self.middle), self.source.shape):
            half = reach / self.scale + 2.0
            box += [max(0, math.floor(at - half)), min(n, math.ceil(at + half) + 1)]
        return tuple(box)

    def find_rays(self, pixels, bad, missing, psf, cards):
        """Add cosmic rays, by the PSF and its cards, to what is missing."""
        # if the given seeing were too large, stars would be sharper than it
        trust = 1.0 if cards['SEEFROM'] == 'stars' else _TRUST
        find_cosmic_rays(pixels, bad, missing, trust * psf.fwhm / self.scale)

    def psf(self, pixels, bad):
        """The PSF [arcsec], and cards about it."""
        if self.seeing is not None:
            width = scalar_value(self.seeing, u.arcsec, 'seeing', positive=True)
            return Psf(fwhm=width), {'SEEFROM': 'given'}
        if self.ours and self.header.get('PSFFWHM') is not None:
            width, beta = self.header['PSFFWHM'], self.header.get('PSFBETA') or MOFFAT_BETA
            origin = self.header.get('SEEFROM') or 'header'
            return Psf(fwhm=float(width), beta=float(beta)), {'SEEFROM': origin}
        if self.smoothed > 0.0:
            return Psf(fwhm=math.nan), {'SEEFROM': _UNKNOWN}
        psf = measure_psf(pixels, bad, expected=max(1.0 / self.scale, 1.5)).scaled(self.scale)
        cards = {'SEESTARS': psf.n_stars}
        if psf.known:
            return psf, cards | {'SEEFROM': 'stars', 'SEESCAT': psf.scatter, 'PSFBETA': psf.beta}
        band = self.calibration.meta['IMGBAND']
        if band in MEDIAN_SEEING and any(str(keyword).startswith('FPA.') for keyword in self.header):
            return Psf(fwhm=MEDIAN_SEEING[band].to_value(u.arcsec)), cards | {'SEEFROM': _MEDIAN}
        return psf, cards | {'SEEFROM': _UNKNOWN}

    def meta(self):
        """Cards about the image."""
        ra, dec = self.position if self.positioned else (None, None)
        cards = {
            'IMGFMT': _FORMAT_VERSION, 'PIDOCVER': __version__, 'CONVENT': 'apparent flux',
            'IMAGE': self.source.name, 'IMAGEHDU': self.source.part or None, 'IMGSCALE': self.scale,
            'CENFROM': self.origin, 'CENX': self.middle[0], 'CENY': self.middle[1], 'CENRA': ra,
            'CENDEC': dec}
        cards |= self.calibration.meta
        if self.ours and self.on_grid:
            # an unchanged map keeps the cards of its header
            cards |= _cards(self.header)
        return cards | {'BAND': self.calibration.band}


# keywords of files and world coordinates
_PLUMBING = re.compile(r'SIMPLE|XTENSION|BITPIX|NAXIS|EXTEND|EXTNAME|[PG]COUNT|BUNIT|CHECKSUM|DATASUM|'
                       r'C(TYPE|RVAL|RPIX|DELT|UNIT)|PC\d|WCSAXES|L(ON|AT)POLE|RADESYS|MJDREF|'
                       r'COMMENT|HISTORY|$')


def _cards(header):
    """Keywords that describe the image, with their values."""
    return {keyword: value for keyword, value in header.items()
            if value is not None and keyword != 'FLAGS' and not _PLUMBING.match(keyword)}


def _background_of(given):
    """Parse ``background``: None, 'annulus', two radii [arcsec], or a level (number or Quantity)."""
    if given is None or (isinstance(given, str) and given in ('annulus', 'fit')):
        return given
    if isinstance(given, str):
        try:
            given = as_quantity(given, u.arcsec, 'background')
        except ValueError:
            raise ValueError("background must be None, 'annulus', 'fit', two radii or a level, received "
                             f"{given!r}") from None
    if isinstance(given, Real) or (isinstance(given, u.Quantity) and given.isscalar):
        if not np.isfinite(given):
            raise ValueError(f'background must be finite, received {given}')
        return given
    try:
        radii = u.Quantity(given)
    except TypeError:
        raise TypeError("background must be None, 'annulus', 'fit', two radii or a level, "
                        f"received {given!r}") from None
    radii = to_value(radii, u.arcsec, 'background', non_negative=True)
    if radii.shape != (2,) or radii[0] >= radii[1]:
        raise ValueError(f'the radii of the background must be two, the smaller one first, received {given}')
    return tuple(radii.tolist())


def _sky_error_of(given, background):
    """The error of a given level, which is required with it."""
    if given is None:
        return None
    levels = background.values() if isinstance(background, Mapping) else [background]
    if any(level is None or isinstance(level, (str, tuple)) for level in levels):
        raise ValueError(f'sky_error goes with a level of the background, received {given} without one')
    for error in given.values() if isinstance(given, Mapping) else [given]:
        value = getattr(error, 'value', error)
        if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 <= value < math.inf:
            raise ValueError(f'sky_error must be a finite number, at least 0, received {error!r}')
    return given


def _background(given, error, image):
    """Level to subtract [unit of the pixels], residual sky (`SkyFit` or None), and cards."""
    if given is None:
        left = image.sky()
        return 0.0, left, {'BKGFROM': 'none', 'BKGLEVEL': 0.0} | _left_cards(left)
    if isinstance(given, str) and given == 'fit':
        left = image.sky()
        if left is None:
            raise ValueError("background='fit' needs at least three annuli about the centre, received fewer "
                             'on the image: give a level')
        return left.level, SkyFit(0.0, left.error), {'BKGFROM': 'fit', 'BKGLEVEL': left.level,
                                                     'BKGERROR': left.error}
    if not isinstance(given, (str, tuple)):
        level = float(getattr(given, 'value', given))
        if isinstance(given, u.Quantity) and not _same_unit(given.unit, image.unit):
            raise ValueError(f"the level of the background must be in the unit of the image, '{image.unit}', "
                             f"received {given}")
        left = None if error is None else SkyFit(0.0, float(getattr(error, 'value', error)))
        return level, left, {'BKGFROM': 'given', 'BKGLEVEL': level,
                             'BKGERROR': None if left is None else left.error}
    inner, outer = _farthest(image) if isinstance(given, str) else given
    level, its = background_in_annulus(image.pixels, image.bad, image.here, inner / image.scale,
                                       outer / image.scale)
    left = image.sky(level)
    return level, left, {'BKGFROM': 'annulus', 'BKGLEVEL': level, 'BKGERROR': its, 'BKGINNER': inner,
                         'BKGOUTER': outer} | _left_cards(left)


def _left_cards(left):
    return {} if left is None else {'SKYLEFT': left.level, 'SKYLEFTE': left.error}


def _farthest(image):
    """Radii [arcsec] of the annulus farthest from the cluster that fits on the image."""
    (ny, nx), here, reach = image.pixels.shape, image.here, image.grid.reach
    outermost = max(_OUTERMOST, _WIDER * reach)
    outer = min(min(here[0], here[1], nx - 1 - here[0], ny - 1 - here[1]) * image.scale, outermost)
    if outer < _BESIDE * reach:
        raise ValueError(f'the annulus of the background must lie outside the field, {reach:.1f} arcsec from '
                         f'the centre, but the image only reaches {outer:.1f} arcsec: give two '
                         'radii, or a level')
    return max(_ANNULUS * outer, reach), outer


@dataclass(frozen=True, eq=False)
class _Surroundings:
    """The part about the cluster in which the sky is measured."""

    pixels: np.ndarray
    bad: np.ndarray
    here: tuple                # column and row of the centre
    scale: float               # arcsec
    grid: MapGrid
    noise: float
    unit: str
    position: tuple            # degrees, or None

    def sky(self, level=0.0):
        """The level of the sky after subtraction of ``level``: `SkyFit` or None."""
        reach = 0.5 * min(self.grid.nx, self.grid.ny) * self.grid.scale
        return fit_sky(self.pixels - level, self.bad, self.here, self.scale, noise=self.noise, reach=reach,
                       outermost=max(_SURROUNDINGS, _WIDER * reach),
                       known=None if self.position is None else _king(self.position))


def _king(position):
    """Core radius [arcsec] and concentration of the cluster at a position, if they are in the catalogue."""
    row = _catalogued(position)
    if row is None or any(getattr(row[name], 'mask', False) for name in ('core_radius', 'concentration')):
        return None
    return float(row['core_radius'].to_value(u.arcsec)), float(row['concentration'])


# cached, since several steps use it
@lru_cache(maxsize=16)
def _catalogued(position):
    """The cluster of the catalogue at a position, or None."""
    from pidoc.catalogs import cluster_at

    return cluster_at(SkyCoord(*position, unit='deg'), within=_SAME_CLUSTER)


def _same_unit(given, its):
    if its == 'no unit':
        return given in COUNTS
    return replace(pixel_unit(given), name='') == replace(pixel_unit(its), name='')


# -- two bands ------------------------------------------------------------------------------------


# beginning of keywords of one image in the header of V, followed by the letter of the band
_OF_BAND = {'IMAGE': 'IMAGE', 'IMAGEHDU': 'IMAGEHD', 'IMGUNIT': 'IMGUNIT', 'IMGZP': 'ZEROPT',
            'ZPFROM': 'ZPFROM', 'SEEFROM': 'PSFBY', 'SEESTARS': 'PSFNUM', 'BKGFROM': 'BKGFROM',
            'BKGLEVEL': 'BKGLEVE', 'SKYLEFT': 'SKY', 'ZPREAD': 'ZPREAD', 'ZPOTHER': 'ZPOTHER',
            'GAIN': 'GAIN', 'SYSHEAD': 'SYSHEAD', 'STEPS': 'STEPS', 'MISSING': 'MISSIN',
            'NMISSING': 'NMISS'}
# keywords that do not apply to V
_NOT_OF_V = {*_OF_BAND, 'SKYLEFTE', 'SEESCAT', 'BKGERROR', 'PSFFWHM', 'PSFBETA'}


def _two_bands(images, grid, center, band, relation, options):
    """V from g and r: plane, residual sky, cards, flags."""
    if sorted(images) != ['g', 'r']:
        raise ValueError(f"images in two bands must be {{'g': ..., 'r': ...}}, received "
                         f"{sorted(map(str, images))}")
    if band is not None or options['colour'] is not None:
        raise ValueError('band and colour must be left out where images in both g and r are given, received '
                         f'{band!r} and {options["colour"]}')
    if grid.band != 'V':
        raise ValueError(f"images in g and r make V: the grid must be in V, received one in '{grid.band}'")
    chosen = [options['hdu'], options['plane']]
    if not any(isinstance(each, Mapping) for each in chosen) and _is_same(images['g'], images['r']):
        raise ValueError(f"images in 'g' and 'r' must be two, received {images['g']} as both: give the other "
                         'one, or its hdu or plane')
    layers = {}
    for name in 'rg':
        its = options | {'band': name, 'target': name, 'extinction': None, 'matched': True}
        for option in ('zero_point', 'exposure', 'mask', 'weight', 'good_bits', 'background', 'sky_error',
                       'seeing', 'hdu', 'unit', 'plane', 'wcs_frame', 'pixel_scale'):
            if isinstance(options[option], Mapping):
                its[option] = options[option].get(name)
        layers[name] = _measured(images[name], grid, center, its)
        # the field is chosen once
        grid, options = layers[name].grid, options | {'farthest': None}
        if 'band' in layers[name].flags:
            raise ValueError(f"the image in '{name}' must be in that band, received one in "
                             f"'{layers[name].meta['BANDHEAD']}' by its header")
        if center is None and not layers[name].on_grid:
            if not layers[name].meta['CENRA']:
                raise ValueError('images in two bands without world coordinates need center, received None')
            center = SkyCoord(*layers[name].position, unit='deg')
    g, r = layers['g'], layers['r']
    plane, around, meta = combine(g, r, grid, _range(options['seeing_range'], grid)[0], relation)
    dimmed = 0.0
    if options['extinction'] is not None:
        dimmed = scalar_value(options['extinction'], u.mag, 'extinction', non_negative=True)
        meta |= {'COLBV': _intrinsic_b_v(meta['COLOUR'], dimmed), 'COLBVERR': _B_V_ERROR}
    bright = 10.0 ** (0.4 * dimmed)
    plane = replace(plane, total=plane.total * bright, sharp=_times(plane.sharp, bright),
                    variance=None if plane.variance is None else plane.variance * bright**2)
    meta |= {'BAND': 'V', 'IMGBAND': 'g+r', 'EXTCORR': dimmed} | _of_bands(g, r)
    common = {keyword: value for keyword, value in r.meta.items() if keyword not in _NOT_OF_V}
    around = None if around is None else SkyFit(around.level * bright, around.error * bright)
    flags = dict.fromkeys(g.flags + r.flags)
    if not _BLUEST <= meta['COLOUR'] <= _reddest(dimmed if options['extinction'] is not None else None):
        flags['colour-range'] = None
    return plane, around, common | meta, tuple(flags)


def _is_same(one, other):
    """Whether two images are one file."""
    return (isinstance(one, (str, os.PathLike)) and isinstance(other, (str, os.PathLike))
            and os.path.realpath(one) == os.path.realpath(other))


def _reddest(extinction):
    """Reddest g - r of a cluster [mag], with an extinction A_V or what it may be without one."""
    from pidoc.catalogs import EXTINCTION_RATIO

    return _REDDEST + _RED * (_MOST_DUST if extinction is None else extinction / EXTINCTION_RATIO)


def _intrinsic_b_v(g_r, extinction):
    """B - V of the field [mag] from g - r and A_V, which must be known for it."""
    from pidoc.catalogs import EXTINCTION_RATIO

    b, v = ps1_to_johnson(g_r * u.mag, 0.0 * u.mag)
    return round(float((b - v).to_value(u.mag)) - extinction / EXTINCTION_RATIO, 3)


def _times(values, factor):
    return None if values is None else values * factor


def _of_bands(g, r):
    """Cards of each band."""
    cards = {}
    for letter, layer in (('G', g), ('R', r)):
        cards |= {f'{begin}{letter}': layer.meta.get(keyword) for keyword, begin in _OF_BAND.items()}
        if layer.psf.known:
            cards |= {f'PSF{letter}': layer.psf.fwhm, f'PSFBETA{letter}': layer.psf.beta}
    return cards


def _sky_is_left(meta, light):
    """Whether a sky level was left in, or wrongly subtracted, that is significant and matters."""
    share = meta.get('SKYSHARE')
    if share is not None and abs(share) > _SKY_SHARE and (
            abs(meta['SKYLEVEL']) > _SIGNIFICANT * meta['SKYERROR']):
        return True
    # unknown where little but one level is visible, which the faintest pixels also have
    unknown = share is None or meta['SKYERROR'] * light.size > 0.25 * abs(np.sum(light))
    return (meta.get('BKGFROM') == 'none' and unknown
            and np.percentile(light, 5.0) * light.size > 0.5 * np.sum(light))


# -- is it a cluster ------------------------------------------------------------------------------


def _too_bright(magnitude, area, meta):
    """Check whether the field is brighter than the catalogued cluster there.

    Parameters
    ----------
    magnitude : float
        Magnitude of the field, in the band of the map.
    area : float
        Area of the field [arcsec^2].
    meta : dict
        Cards of the map.

    Raises
    ------
    ValueError
        If no cluster is as bright, or if this one is not and the zero point is ambiguous.
    """
    there = meta['BAND'], magnitude
    if magnitude < _BRIGHTEST:
        raise ValueError('the light in the field must be that of a cluster, received {} = {:.2f}: check unit '
                         'and zero_point'.format(*there))
    two = meta.get('ZPOTHER') is not None
    if two and magnitude + 2.5 * math.log10(area) < _BRIGHTEST_SURFACE:
        raise ValueError('the light in the field must be that of a cluster, received {} = {:.2f} with {}'
                         .format(*there, _reading(meta, magnitude)))
    row = _of_known_magnitude(meta)
    if row is None or magnitude + meta['EXTCORR'] > float(row['v_total'].value) - _BRIGHTER:
        return False
    if two:
        raise ValueError('the light in the field must be less than that of {}, V = {:.2f}, received {} = '
                         '{:.2f} '
                         'with {}'.format(row['name'], row['v_total'].value, *there, _reading(meta,
                                                                                              magnitude)))
    return True


def _reading(meta, magnitude):
    """How the zero point was interpreted, and the alternative."""
    other = magnitude + meta['ZPOTHER'] - meta['IMGZP']
    return (f'{meta["ZPFROM"]} as that of {meta["ZPREAD"]}, while it is {other:.2f} if that is not so: give '
            f'zero_point={meta["ZPOTHER"]:.3f} mag, that of one unit of the pixels')


def _of_known_magnitude(meta):
    """The catalogued cluster at the position of a V map, if its magnitude is known."""
    if meta['BAND'] != 'V' or meta.get('CENRA') is None or meta.get('SYNTHET'):
        return None
    if meta.get('IMGUNIT') not in (None, 'no unit') and pixel_unit(meta['IMGUNIT']).kind == 'apparent':
        # a mock observation can have any position
        return None
    from pidoc.catalogs import cluster_at

    row = cluster_at(SkyCoord(meta['CENRA'], meta['CENDEC'], unit='deg'))
    return None if row is None or row['v_total'].mask else row


# -- the product ----------------------------------------------------------------------------------


def _product(plane, around, meta, flags, worst, min_coverage):
    """The map as CCDData, after final checks."""
    mask = ~(plane.seen >= 0.5) | ~np.isfinite(plane.total)
    coverage = 1.0 - float(np.mean(mask))
    if coverage < min_coverage or mask.all():
        raise ValueError(f'the image must have good pixels in {100 * min_coverage:.0f} % of the field, '
                         f'received {100 * coverage:.0f} % {_about(meta)}')
    flags = list(flags)
    total = float(np.sum(plane.total[~mask]))
    if total <= 0.0:
        flags.append('no-light')
    else:
        magnitude = float(apparent_magnitude(total * APPARENT_FLUX, meta['BAND']).value)
        if _too_bright(magnitude, float(np.sum(~mask)) * meta['PIXSCALE']**2, meta):
            flags.append('catalogue')
    if meta['PSFFWHM'] is not None and meta['PSFFWHM'] > worst * (1.0 + 1e-6):
        flags.append('seeing-worse')
    if coverage < 0.99:
        flags.append('gaps')
    if around is not None:
        area = meta['PIXSCALE'] ** 2
        meta |= {'SKYLEVEL': around.level * area, 'SKYERROR': around.error * area}
        if total != 0.0:
            meta['SKYSHARE'] = meta['SKYLEVEL'] * float(np.sum(~mask)) / abs(total)
            _check_fit(meta, meta['SKYERROR'] * float(np.sum(~mask)) / abs(total))
    if _sky_is_left(meta, plane.total[~mask]):
        flags.append('background')
    flags = [flag for flag in IMAGE_FLAGS if flag in flags]
    if meta.get('MISSING'):
        log.warning('%s: pixels without light, taken for missing: %s', meta.get('IMAGE', 'image'),
                    meta['MISSING'])
    for flag in flags:
        log.warning('%s: %s%s', meta.get('IMAGE', 'image'), IMAGE_FLAGS[flag], _details(flag, meta))
    meta = meta | {'COVERAGE': coverage, 'FLAGS': ' '.join(flags)}
    uncertainty = None if plane.variance is None else StdDevUncertainty(np.sqrt(plane.variance))
    return Light(plane.total, unit=APPARENT_FLUX, wcs=plane.wcs, meta=meta, uncertainty=uncertainty,
                 mask=mask if mask.any() else None, sharp=plane.sharp)


def _check_fit(meta, error):
    """Reject a fitted level of the sky whose error, relative to the light in the field, is too large."""
    if error > _UNCERTAIN and 'fit' in (meta.get(f'BKGFROM{band}') for band in ('', 'G', 'R')):
        raise ValueError(f'the level of the sky must be known to {100 * _UNCERTAIN:.0f} % of the light in '
                         f"the field, received {100 * error:.0f} % by background='fit', which cannot tell it "
                         'from light of the cluster in an image that is small for it: give a level, and '
                         'sky_error')


def _about(meta):
    """Position of the field, the stars masked in it, and the options that help."""
    found = meta['CENFROM'] == 'found'
    stars = f', {meta["NFOREGND"]} stars in front of it masked' if meta.get('NFOREGND') else ''
    return (f'about column {meta["CENX"]:.1f}, row {meta["CENY"]:.1f}{", which was found" if found else ""}'
            f'{stars}: give {"center or " if found else ""}min_coverage')


def _details(flag, meta):
    """Details of a flag; '' if its card belongs to one of two bands."""
    if flag == 'zero-point-reading' and meta.get('ZPOTHER') is not None:
        return (f' ({meta["ZPFROM"]} was taken for that of {meta["ZPREAD"]}, {meta["IMGZP"]:.3f} mag; else '
                f'{meta["ZPOTHER"]:.3f} mag)')
    if flag == 'magnitude-system' and meta.get('SYSHEAD'):
        return (f' ({meta["SYSHEAD"]}, taken for {meta["MAGSYS"]}: give zero_point, in mag of the band or '
                'ABmag)')
    if flag == 'band':
        return f' (in {meta["BANDHEAD"]}, taken for {meta["IMGBAND"]})'
    if flag == 'steps' and meta.get('STEPS'):
        return f' (at {meta["STEPS"]})'
    if flag == 'colour-range' and meta.get('COLOUR') is not None:
        return f' (g - r = {meta["COLOUR"]:.2f} mag)'
    if flag == 'colour':
        return f' (V - {meta["IMGBAND"]} = {meta["COLOUR"]:.2f} +- {meta["COLERR"]:.2f} mag)'
    return ''
