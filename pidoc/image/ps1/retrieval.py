# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Fetch images of a cluster from the archive of Pan-STARRS1 and make a map of its V light: `fetch`.

`Archive` requests lists of files, cutouts and skycells from the survey's services at MAST, with timeouts and
retries. Complete downloads are kept in astropy's cache.
"""

from __future__ import annotations

import http.client
import logging
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.utils import data as astropy_data

from pidoc import __version__, catalogs
from pidoc.grid import MapGrid
from pidoc.image.preparation import farthest_of, prepare
from pidoc.image.ps1.files import (
    BAD,
    parse_listing,
    PIXEL_SCALE,
    read_mask,
    read_stack,
    read_variance,
    SOUTHERN_LIMIT,
)
from pidoc.image.ps1.stacks import mosaic
from pidoc.io.files import replacing
from pidoc.io.fits import opened_fits
from pidoc.units import as_distance, as_quantity, scalar_value, to_value

if TYPE_CHECKING:
    from typing import Any

    from pidoc.image.light import Light

__all__ = ['Archive', 'NotInCacheError', 'ServiceError', 'Target', 'fetch', 'fetch_stacks', 'find_target',
           'mast_listing']

log = logging.getLogger(__name__)

_BANDS = ('g', 'r')
_KINDS = ('stack', 'stack.wt', 'stack.mask')
_READERS = {'stack': read_stack, 'stack.wt': read_variance, 'stack.mask': read_mask}
_MARGIN = 20.0                    # arcsec about a field, from which light is smoothed into it
_SIZE = 720                       # pixels of a cutout: 3 arcmin, to include stars and sky
_HEAD = 20 * 2880                 # bytes that are downloaded for a header
_FITS = b'SIMPLE  ='
_WAIT_NO_MORE = (408, 425, 429, 500, 502, 503, 504)     # temporary HTTP errors


class ServiceError(OSError):
    """A service does not answer, or not with the requested data."""


class _UnsafeError(ServiceError):
    """A service redirects to an unsafe address."""


class NotInCacheError(OSError):
    """A file is not in the cache and cannot be downloaded."""


# -- the archive ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Archive:
    """The services of the survey.

    Parameters
    ----------
    server : str, optional
        Address: https, except for one on this machine.
    timeout : `~astropy.units.Quantity`, optional
        Time to wait for a reply.
    retries : int, optional
        Number of further attempts when a service fails or a file is cut short.
    backoff : `~astropy.units.Quantity`, optional
        Wait before the first retry, doubled before each further one.
    offline : bool, optional
        Use only files in the cache.
    refresh : bool, optional
        Download again what is in the cache.
    form : str, optional
        'cutout', or 'skycell' for whole skycells (about 100 MB each).

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If an option is invalid.
    """

    server: str = 'https://ps1images.stsci.edu'
    timeout: u.Quantity = 60.0 * u.s
    retries: int = 4
    backoff: u.Quantity = 2.0 * u.s
    offline: bool = False
    refresh: bool = False
    form: str = 'cutout'

    def __post_init__(self):
        if not (isinstance(self.server, str) and _is_safe(self.server)):
            raise ValueError('server must be an address of https, or of this machine, received '
                             f'{self.server!r}')
        object.__setattr__(self, 'timeout', as_quantity(self.timeout, u.s, 'timeout'))
        object.__setattr__(self, 'backoff', as_quantity(self.backoff, u.s, 'backoff'))
        to_value(self.timeout, u.s, 'timeout', positive=True)
        to_value(self.backoff, u.s, 'backoff', non_negative=True)
        if isinstance(self.retries, bool) or not isinstance(self.retries, int) or self.retries < 0:
            raise ValueError(f'retries must be a whole number, not negative, received {self.retries!r}')
        if self.form not in ('cutout', 'skycell'):
            raise ValueError(f"form must be 'cutout' or 'skycell', received {self.form!r}")
        if self.offline and self.refresh:
            raise ValueError('offline and refresh exclude each other, received both')

    def listing(self, position, *, bands=_BANDS, kinds=_KINDS):
        """List the files of the skycell at a position.

        Parameters
        ----------
        position : `~astropy.coordinates.SkyCoord`
        bands, kinds : sequence of str, optional

        Returns
        -------
        `~astropy.table.Table`
            As from `pidoc.image.ps1.files.parse_listing`; no rows outside the survey.

        Raises
        ------
        ServiceError, NotInCacheError
        """
        url = self._address('/cgi-bin/ps1filenames.py', **_place(position), filters=''.join(bands),
                            type=','.join(kinds))
        return parse_listing(self._get(url, _check_listing).read_text(encoding='utf-8'))

    def cutout(self, filename, position, size):
        """Fetch a square part of a skycell.

        Parameters
        ----------
        filename : str
            Name of the skycell, with its folder.
        position : `~astropy.coordinates.SkyCoord`
            Centre of the part.
        size : int
            Side of the part [pixels].

        Returns
        -------
        `~pathlib.Path`
            Path in the cache.

        Raises
        ------
        ServiceError, NotInCacheError
        """
        url = self._address('/cgi-bin/fitscut.cgi', **_place(position), size=size, format='fits',
                            red=filename)
        return self._get(url, _check_fits)

    def skycell(self, filename):
        """Fetch a whole skycell; for parameters, result and errors see `cutout`."""
        return self._get(self.server + filename, _check_fits)

    def exposure(self, filename):
        """Exposure time of a stack, from the header of its skycell, of which only the beginning is
        downloaded.

        Parameters
        ----------
        filename : str

        Returns
        -------
        `~astropy.units.Quantity` or None
            None if it is not there either.

        Raises
        ------
        ServiceError, NotInCacheError
        """
        path = self._get(f'{self.server}{filename}#header', _check_header, most=_HEAD)
        header = _image_header(path.read_bytes())
        return header['EXPTIME'] * u.s if 'EXPTIME' in header else None

    def _address(self, path, **query):
        return f'{self.server}{path}?{urlencode(query, safe="/,")}'

    def _get(self, url, check, *, most=None):
        """The checked content of an address, from the cache or the service."""
        if not self.refresh and (path := _cached(url)):
            return path
        if self.offline or not astropy_data.conf.allow_internet:
            raise NotInCacheError(f'{url} is not in the cache, and must not be downloaded (offline)')
        wait, last = self.backoff.to_value(u.s), None
        for attempt in range(self.retries + 1):
            if attempt:
                log.info('%s: asked again in %.1f s', last, wait)
                time.sleep(wait)
                wait *= 2.0
            try:
                return self._ask(url, check, most)
            except urllib.error.HTTPError as error:
                last = ServiceError(f'{url} answers {error.code} {error.reason}')
                error.close()
                if error.code not in _WAIT_NO_MORE:
                    break
            except _UnsafeError as error:
                raise ServiceError(f'{url}: {error}') from None
            except (OSError, ValueError, EOFError, http.client.HTTPException) as error:
                last = ServiceError(f'{url}: {getattr(error, "reason", error)}')
        raise last

    def _ask(self, url, check, most):
        """One request; incomplete files are not added to the cache."""
        headers = {'User-Agent': f'pidoc/{__version__}'}
        if most is not None:
            headers['Range'] = f'bytes=0-{most - 1}'
        request = urllib.request.Request(url.split('#')[0], headers=headers)
        with NamedTemporaryFile(prefix='pidoc-', delete=False) as file:
            path = Path(file.name)
            try:
                opener = urllib.request.build_opener(_OnlySafe)
                with opener.open(request, timeout=self.timeout.to_value(u.s)) as reply:
                    promised = reply.headers.get('Content-Length')
                    while chunk := reply.read(min(1 << 18, (most or 1 << 62) - file.tell()) or 1):
                        file.write(chunk)
                        if most is not None and file.tell() >= most:
                            break
                    length = file.tell()
                if most is None and promised is not None and length != int(promised):
                    raise ValueError(f'cut short: {length} of {promised} bytes')
                file.close()
                check(path)
                return _keep(url, path)
            finally:
                file.close()
                os.unlink(path)


def _cached(url):
    """The cached file of an address, or None."""
    try:
        # no source, so only from the cache
        return Path(astropy_data.download_file(url, cache=True, sources=[]))
    except KeyError:
        return None


def _keep(url, path):
    """Put a copy of a file into the cache, atomically for concurrent readers."""
    known = _cached(url)
    if known is None:
        return Path(astropy_data.import_file_to_cache(url, str(path), replace=False))
    # astropy would first remove the old one, and leave a gap
    with replacing(known) as temporary:
        shutil.copyfile(path, temporary)
    return known


def _is_safe(url):
    """Whether the connection cannot be tampered with."""
    parts = urlsplit(url)
    here = parts.hostname in ('localhost', '127.0.0.1', '::1')
    return bool(parts.hostname) and (parts.scheme == 'https' or (parts.scheme == 'http' and here))


class _OnlySafe(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but not out of https."""

    def redirect_request(self, request, file, code, message, headers, address):
        if not _is_safe(address) or (request.type == 'https' and not address.startswith('https:')):
            raise _UnsafeError(f'it sends on to {address}, which is not https')
        return super().redirect_request(request, file, code, message, headers, address)


def _place(position):
    # equal digits give equal addresses, which are the names in the cache
    return {'ra': f'{position.icrs.ra.deg:.6f}', 'dec': f'{position.icrs.dec.deg:.6f}'}


def _check_listing(path):
    parse_listing(path.read_text(encoding='utf-8', errors='replace'))


def _check_fits(path):
    """Check that a file is a complete FITS file."""
    with open(path, 'rb') as file:
        start = file.read(200)
    if not start.startswith(_FITS):
        page = b'<html' in start.lower() or b'<!doctype' in start.lower()
        raise ValueError('a FITS file must be the answer, received '
                         f'{"a page of HTML" if page else repr(start[:40])}')
    with opened_fits(path, name='the FITS file', checksum=False) as hdus:
        for hdu in hdus:
            hdu.data   # noqa: B018


def _check_header(path):
    _image_header(path.read_bytes())


def _image_header(content):
    """Header of the image in HDU 0 or 1 of a FITS file, from its first bytes."""
    if not content.startswith(_FITS):
        raise ValueError(f'a FITS file must be the answer, received {content[:40]!r}')
    start = 0
    for _ in range(2):
        for end in range(start + 2880, len(content) + 1, 2880):
            cards = [content[i:i + 80] for i in range(end - 2880, end, 80)]
            if any(card.rstrip() == b'END' for card in cards):
                break
        else:
            raise ValueError(f'the header is cut short: {len(content)} bytes')
        header = fits.Header.fromstring(content[start:end])
        if header.get('NAXIS', 0) > 0:
            return header
        start = end
    raise ValueError('the file must hold an image, received none')


# -- MAST through astroquery ------------------------------------------------------------------------


def mast_listing(position, *, bands=_BANDS, kinds=_KINDS):
    """Files of the skycells about a position, from MAST's list of observations, through astroquery.

    Used instead of `Archive.listing` when the survey's own service does not answer.

    Parameters
    ----------
    position : `~astropy.coordinates.SkyCoord`
    bands, kinds : sequence of str, optional

    Returns
    -------
    `~astropy.table.Table`
        Columns ``projcell``, ``subcell``, ``filter``, ``type``, ``filename``.

    Raises
    ------
    ServiceError
        If MAST does not answer.
    """
    import requests
    from astroquery.exceptions import RemoteServiceError
    from astroquery.mast import Observations

    rows = []
    try:
        seen = Observations.query_criteria(coordinates=position, radius=1 * u.arcsec, obs_collection='PS1',
                                           filters=list(bands), dataproduct_type='image')
        if len(seen):
            products = Observations.get_product_list(seen)
            rows = [str(name) for name in products['productFilename']]
    except (requests.RequestException, RemoteServiceError, TimeoutError) as error:
        raise ServiceError(f'MAST does not answer: {error}') from error
    found = {}
    pattern = re.compile(r'rings\.v3\.skycell\.(\d{4})\.(\d{3})\.stk\.([grizy])\.unconv(\.wt|\.mask)?\.fits')
    for name in rows:
        match = pattern.fullmatch(name)
        if match and match[3] in bands and f'stack{match[4] or ""}' in kinds:
            found[name] = (int(match[1]), int(match[2]), match[3], f'stack{match[4] or ""}',
                           f'/rings.v3.skycell/{match[1]}/{match[2]}/{name}')
    names = ('projcell', 'subcell', 'filter', 'type', 'filename')
    return Table(rows=[found[name] for name in sorted(found)] or None, names=names,
                 dtype=(int, int, str, str, str))


# -- targets ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """A cluster to be fetched.

    Parameters
    ----------
    name : str
    position : `~astropy.coordinates.SkyCoord`
    reddening, distance, half_light_radius : `~astropy.units.Quantity` or None
        E(B-V), distance and half-light radius from the catalogue.
    """

    name: str
    position: SkyCoord
    reddening: u.Quantity = None
    distance: u.Quantity = None
    half_light_radius: u.Quantity = None


def find_target(target, *, offline=False):
    """Find a cluster: by name in the catalogues, then by name at MAST, or by position.

    Parameters
    ----------
    target : str or `~astropy.coordinates.SkyCoord`
        A name, or the centre of the map. For a position within 10 arcsec of a catalogued cluster, the
        reddening and distance of that are used.
    offline : bool, optional
        Without any download.

    Returns
    -------
    Target

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If the name is not known.
    ServiceError
        If MAST does not answer.
    """
    if isinstance(target, SkyCoord) and target.isscalar:
        table = catalogs.clusters()
        apart = target.icrs.separation(table['position'])
        row = table[int(np.argmin(apart))]
        if apart.min() < 10 * u.arcsec:
            return replace(_of_catalogue(row), position=target.icrs)
        return Target(name=target.icrs.to_string('hmsdms', precision=1), position=target.icrs)
    if not isinstance(target, str):
        raise TypeError(f'target must be a name or one SkyCoord, received {target!r}')
    try:
        return _of_catalogue(catalogs.cluster(target))
    except ValueError as unknown:
        if offline:
            raise ValueError(f'{unknown} (and offline excludes MAST)') from None
        return Target(name=target, position=_resolve(target, unknown))


def _of_catalogue(row):
    known = {}
    for name in ('reddening', 'distance', 'half_light_radius'):
        value = row[name]
        known[name] = None if getattr(value, 'mask', False) else u.Quantity(float(value.value), value.unit)
    return Target(name=str(row['name']), position=row['position'], **known)


def _resolve(name, unknown):
    """The position from MAST's name service, through astroquery."""
    import requests
    from astroquery.exceptions import ResolverError
    from astroquery.mast import utils

    try:
        return utils.resolve_object(name)
    except ResolverError as error:
        raise ValueError(f'{unknown}; nor does MAST know it: {error}') from error
    except (requests.RequestException, TimeoutError) as error:
        raise ServiceError(f'{unknown}; and MAST, which may know it, does not answer: {error}') from error


# -- stacks -----------------------------------------------------------------------------------------


def fetch_stacks(position, *, archive=None, grid=None, bands=_BANDS):
    """Fetch the stacks that cover a field, with their variance and mask images.

    The skycell of the centre comes first; if it does not cover the whole field, neighbouring skycells are
    fetched, too.

    Parameters
    ----------
    position : `~astropy.coordinates.SkyCoord`
    archive : Archive, optional
    grid : `~pidoc.grid.MapGrid`, optional
        The field to be covered, by default ``MapGrid()``; the cutouts are larger.
    bands : sequence of str, optional

    Returns
    -------
    dict
        Band -> list of `pidoc.image.ps1.files.Stack`.

    Raises
    ------
    ValueError
        If the position is outside the survey, or a file is not as expected.
    ServiceError, NotInCacheError
        If a service does not answer, or something is not in the cache.
    """
    archive = Archive() if archive is None else archive
    side = max((MapGrid() if grid is None else grid).field_of_view.to_value(u.arcsec))
    if position.icrs.dec <= SOUTHERN_LIMIT:
        raise ValueError(f'Pan-STARRS1 has seen the sky north of {SOUTHERN_LIMIT.value:g} deg, received '
                         f'a declination of {position.icrs.dec.deg:.3f} deg')
    wide = side + _MARGIN
    size = cutout_size(side)
    result, neighbours = {}, None
    middle = _cells(archive, position, bands)
    for band in bands:
        if not middle[band]:
            raise ValueError(f'Pan-STARRS1 has no stack in {band} at {position.icrs.to_string("hmsdms")}: '
                             'the place is off the survey')
        found = {name: _stack(archive, files, position, size) for name, files in middle[band].items()}
        if not _covers(list(found.values()), position, wide):
            if neighbours is None:
                neighbours = [_cells(archive, place, bands) for place in _around(position, wide)]
            for cells in neighbours:
                for name, files in cells[band].items():
                    if name not in found:
                        found[name] = _stack(archive, files, position, size)
        result[band] = [stack for stack in found.values() if stack is not None]
        if not result[band]:
            raise ValueError(f'the stacks in {band} have no data at {position.icrs.to_string("hmsdms")}')
    return result


def cutout_size(side):
    """Pixels per side of the cutouts for a field with a side [arcsec]."""
    return max(_SIZE, int(2.0 * (side + _MARGIN) / PIXEL_SCALE.to_value(u.arcsec)))


def _cells(archive, position, bands):
    """Band -> skycell -> kind -> file, for the skycells at a position."""
    try:
        table = archive.listing(position, bands=bands)
    except ServiceError as error:
        log.warning('%s: asking MAST', error)
        table = mast_listing(position, bands=bands)
    cells = {band: {} for band in bands}
    for row in table:
        if row['filter'] in bands and row['type'] in _KINDS:
            name = int(row['projcell']), int(row['subcell'])
            cells[str(row['filter'])].setdefault(name, {})[str(row['type'])] = str(row['filename'])
    return {band: {name: files for name, files in found.items() if 'stack' in files}
            for band, found in cells.items()}


def _stack(archive, files, position, size):
    """A stack with its companions; None if it has no data at all."""
    read = {}
    for kind, filename in files.items():
        if archive.form == 'cutout':
            read[kind] = _READERS[kind](archive.cutout(filename, position, size))
        else:
            read[kind] = _READERS[kind](archive.skycell(filename), center=position, size=size)
    for kind in _KINDS[1:]:
        if kind not in read:
            log.warning('%s has no %s image', files['stack'], kind.removeprefix('stack.'))
    stack = read['stack']
    if not np.isfinite(stack.counts).any():
        return None
    if stack.exposure is None:
        stack = replace(stack, exposure=archive.exposure(files['stack']))
    if not stack.skycell:
        match = re.search(r'skycell\.\d{4}\.\d{3}', files['stack'])
        stack = replace(stack, skycell=match[0] if match else '')
    variance = read['stack.wt'][0] if 'stack.wt' in read else None
    mask = read['stack.mask'][0] if 'stack.mask' in read else None
    return replace(stack, variance=variance, mask=mask)


def _covers(found, position, side):
    """Whether a first skycell has nearly every pixel of a square."""
    if not found or found[0] is None:
        return False
    stack = found[0]
    x, y = (float(value) for value in stack.wcs.world_to_pixel(position))
    half = 0.5 * side / PIXEL_SCALE.to_value(u.arcsec)
    ny, nx = stack.counts.shape
    if x - half < 0 or y - half < 0 or x + half > nx - 1 or y + half > ny - 1:
        return False
    part = stack.counts[int(y - half):int(y + half) + 1, int(x - half):int(x + half) + 1]
    return np.isfinite(part).mean() > 0.999


def _around(position, side):
    """Eight positions on the edge of a square."""
    half = 0.5 * side * u.arcsec
    for east in (-1, 0, 1):
        for north in (-1, 0, 1):
            if east or north:
                yield position.spherical_offsets_by(east * half, north * half)


# -- the complete retrieval ---------------------------------------------------------------------------


def fetch(target: str | SkyCoord, *, archive: Archive | None = None, extinction: Any = True,
          reddening: float | None = None, bad: Any = BAD, grid: MapGrid | None = None,
          field_of_view: u.Quantity | str | None = None, output_pixel_scale: u.Quantity | str | None = None,
          farthest: u.Quantity | str | None = None, distance: u.Quantity | str | None = None,
          smoothing: float | None = None, **options: Any) -> Light:
    """Fetch a map of the V light of a cluster from Pan-STARRS1.

    The survey's stacks in g and r are fetched (`fetch_stacks`), combined (`pidoc.image.ps1.stacks.mosaic`)
    and converted to a map (`pidoc.image.prepare`).

    Parameters
    ----------
    target : str or `~astropy.coordinates.SkyCoord`
        See `find_target`.
    archive : Archive, optional
    extinction : bool, optional
        Correct for extinction, A_V = 3.1 E(B-V), with the E(B-V) of Harris (2010).
    reddening : `~astropy.units.Quantity`, optional
        E(B-V) to use instead.
    bad : int, optional
        Bits of the survey's masks that make a pixel bad.
    grid, field_of_view, farthest, distance, output_pixel_scale, smoothing, **options
        Options of `pidoc.image.prepare`, such as ``seeing``, ``background`` and ``relation``; a dictionary
        with ``'g'`` and ``'r'`` if they differ. The field 'auto' is chosen by the half-light radius of the
        catalogue: that of the grid for clusters without.

    Returns
    -------
    `~astropy.nddata.CCDData`
        See `pidoc.image.prepare`.

    Raises
    ------
    ValueError
        If the cluster is not known or not in the survey; if its reddening is not known, not given, and
        ``extinction`` is not False; if a file is not as expected.
    ServiceError, NotInCacheError
        If a service does not answer, or something is not in the cache.

    Examples
    --------
    >>> from pidoc.image.ps1 import fetch
    >>> image = fetch('NGC 5466')                                              # doctest: +REMOTE_DATA
    """
    archive = Archive() if archive is None else archive
    far, field_of_view = farthest_of(field_of_view, farthest, output_pixel_scale)
    grid = MapGrid.of_field(field_of_view, pixel_scale=output_pixel_scale, smoothing=smoothing, grid=grid)
    known = find_target(target, offline=archive.offline)
    if far is not None:
        grid = suited_grid(known, grid, far * u.kpc, distance=distance)
    colour, source = _reddening(known, extinction, reddening)
    stacks = fetch_stacks(known.position, archive=archive, grid=grid)
    images = {band: mosaic(its, bad=bad) for band, its in stacks.items()}
    # none is not 0: an unknown reddening leaves the colour unknown
    dust = catalogs.EXTINCTION_RATIO * colour * u.mag if extinction else None
    light = prepare(images, center=known.position, extinction=dust, grid=grid, distance=distance, **options)
    light.meta |= _about(known, images) | {'EBV': colour, 'EBVFROM': source}
    return light


def suited_grid(known, grid, farthest, *, distance=None):
    """The grid whose field holds a cluster: `~pidoc.grid.MapGrid.holding`.

    Parameters
    ----------
    known : Target
    grid : `~pidoc.grid.MapGrid`
    farthest : `~astropy.units.Quantity`
        As for `pidoc.image.prepare`.
    distance : `~astropy.units.Quantity`, optional
        By default that of the catalogue.

    Returns
    -------
    `~pidoc.grid.MapGrid`
        For clusters without a half-light radius in the catalogue the grid itself.
    """
    if known.half_light_radius is None:
        return grid
    distance = known.distance if distance is None else as_distance(distance)
    return grid.holding(known.half_light_radius, distance=distance, farthest=farthest)


def _reddening(known, extinction, reddening):
    """E(B-V) as a number, and its source."""
    if not extinction:
        if reddening is not None:
            raise ValueError(f'reddening is not used without extinction, received {reddening}')
        return 0.0, 'not corrected'
    if reddening is not None:
        return scalar_value(reddening, u.mag, 'reddening', non_negative=True), 'given'
    if known.reddening is None:
        raise ValueError(f'the reddening of {known.name} is in no catalogue here: give reddening, or say '
                         'extinction=False')
    return float(known.reddening.value), 'Harris 1996 (2010 edition)'


def _about(known, images):
    """Keywords and values that describe the target."""
    meta = {'OBJECT': known.name, 'SURVEY': 'Pan-STARRS1 stacks'}
    if known.distance is not None:
        meta['DISTANCE'] = known.distance.to_value(u.kpc)
    for band, image in images.items():
        meta |= {f'{keyword}{band.upper()}': image.meta[keyword]
                 for keyword in ('EXPTIME', 'CELL', 'NCELL', 'FORM', 'WEIGHT')}
        meta |= {keyword: value for keyword, value in image.meta.items()
                 if keyword in ('BADBITS', 'BADNAMES', 'SYNTHET') or keyword.startswith('TRUE')}
    doubtful = [image.meta['DOUBTFUL'] for image in images.values() if 'DOUBTFUL' in image.meta]
    if doubtful:
        meta['DOUBTFUL'] = float(np.mean(doubtful))
    if 'SYNTHET' in meta:
        meta |= {'OBJECT': f'{known.name} (synthetic)',
                 'SURVEY': 'synthetic, in the format of Pan-STARRS1'}
    return meta
