# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""A sky of our own, seen by a Pan-STARRS1 of our own: skycells in the true formats, and a server of them."""

import http.server
import io
import math
import threading
from functools import lru_cache
from urllib.parse import parse_qs, urlsplit

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from pidoc.cluster.model import ClusterModel
from pidoc.cluster.snapshot import Snapshot
from pidoc.evaluation.synthetic_sky import painted
from pidoc.image.ps1 import files as ps1
from pidoc.photometry import apparent_flux, apparent_magnitude, band_luminosity
from pidoc.simulation.initial import initial_conditions
from pidoc.stellar import StellarEvolution

CENTER = SkyCoord(211.3637, 28.5344, unit='deg')        # that of NGC 5466
DISTANCE = 16.0 * u.kpc
PROJECTION = (212.4, 29.9)                              # where the plane of the skycells touches the sky
SEEING = {'g': 1.3, 'r': 1.1}                           # arcsec
EXPOSURE = {'g': 602.0, 'r': 880.0}                     # s
SIDE = 720                                              # pixels of the part of a skycell that is painted
METALLICITY = 0.0003
BETA = 2.5


@lru_cache(maxsize=2)
def snapshot(n_stars=20000, seed=3):
    """A cluster of 12 Gyr: a Plummer sphere of stars as they are at that age."""
    model = ClusterModel(n_stars=n_stars, half_mass_radius=4 * u.pc, metallicity=METALLICITY, seed=seed)
    start = initial_conditions(model)
    state = StellarEvolution(METALLICITY).state(start.mass, 12000.0)
    rng = np.random.default_rng(seed)
    height, azimuth = rng.uniform(-1, 1, n_stars), rng.uniform(0, 2 * np.pi, n_stars)
    flat = start.radius * np.sqrt(1 - height**2)
    return Snapshot({
        'x': flat * np.cos(azimuth) * u.pc, 'y': flat * np.sin(azimuth) * u.pc,
        'z': start.radius * height * u.pc, 'mass': state.mass * u.Msun,
        'luminosity': state.luminosity * u.Lsun, 'stellar_radius': state.radius * u.Rsun, 'kind': state.kind},
        12 * u.Gyr, model=model)


@lru_cache(maxsize=4)
def stars(band, field_stars=60):
    """Position on the sky and flux (magnitude 0 is 1) of the cluster's stars and of some in front of it."""
    cluster = snapshot()
    light = band_luminosity(cluster.stars['luminosity'], cluster.stars['temperature'], cluster.stars['kind'],
                            mass=cluster.stars['mass'], metallicity=METALLICITY, band=band,
                            correction='kurucz1992').to_value(u.Lsun)
    shines = light > 0
    far = DISTANCE.to_value(u.kpc)
    magnitude = apparent_magnitude(light[shines] / (4 * np.pi * far**2) * u.Lsun / u.kpc**2, band)
    place = [cluster.stars[axis].to_value(u.pc)[shines] / (1e3 * far) for axis in 'xy']
    # the field: outside the 40 arcsec that are measured, so that the truth is that of the cluster alone
    rng = np.random.default_rng(5)
    angle, radius = rng.uniform(0, 2 * np.pi, field_stars), rng.uniform(45, 85, field_stars)
    plane = WCS(naxis=2)
    plane.wcs.ctype = ['RA---TAN', 'DEC--TAN']
    plane.wcs.crval = [CENTER.ra.deg, CENTER.dec.deg]
    plane.wcs.cdelt = [-1 / 3600, 1 / 3600]
    plane.wcs.crpix = [1, 1]
    x = np.concatenate([place[0] / math.radians(1 / 3600), radius * np.cos(angle)])
    y = np.concatenate([place[1] / math.radians(1 / 3600), radius * np.sin(angle)])
    bright = rng.uniform(15.5, 17.5, field_stars) + (0.0 if band == 'r' else 0.6)
    flux = 10 ** (-0.4 * np.concatenate([magnitude.value, bright]))
    return plane.pixel_to_world(x, y), flux


def wcs_of(column=0):
    """Of a skycell whose first pixel is that many columns into the painted part."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ['RA---TAN', 'DEC--TAN']
    wcs.wcs.crval = PROJECTION
    wcs.wcs.cdelt = [6.94444461259988e-05] * 2
    wcs.wcs.pc = [[-1, 0], [0, 1]]
    wcs.wcs.crpix = [0, 0]
    wcs.wcs.radesys = 'FK5'
    x, y = wcs.world_to_pixel(CENTER)
    wcs.wcs.crpix = [SIDE // 2 - round(float(x)) - column, SIDE // 2 - round(float(y))]
    return wcs


@lru_cache(maxsize=4)
def clean(band):
    """Flux of the painted part of the sky, without noise."""
    image = painted(*stars(band), wcs_of(), SIDE, SEEING[band])
    image.setflags(write=False)
    return image


def v_by_star(relation, wcs, number, *, margin=60):
    """V map by another road: each star's own V by a relation, painted on the map's pixels and smoothed."""
    from scipy.ndimage import gaussian_filter

    (place, g), (_, r) = stars('g'), stars('r')
    x = -2.5 * np.log10(g / r)
    flux = g * 10 ** (-0.4 * np.polynomial.polynomial.polyval(x, ps1.RELATIONS[relation]))
    wide = wcs.deepcopy()
    wide.wcs.crpix = wide.wcs.crpix + margin
    image = painted(place, flux, wide, number + 2 * margin, max(SEEING.values()))
    image = gaussian_filter(image, 4, truncate=5)[margin:-margin, margin:-margin]
    return image * apparent_flux(0 * u.mag).value


def counts(band, *, exposure=None, noise=True, sky=0.0):
    """Counts and their variance: photons, and the sky (20 counts a second and pixel, subtracted)."""
    exposure = EXPOSURE[band] if exposure is None else exposure
    signal = clean(band) * 10 ** (0.4 * (25 + 2.5 * math.log10(exposure)))
    variance = signal + 20.0 * exposure
    rng = np.random.default_rng(ord(band))
    result = signal + sky + (rng.normal(size=signal.shape) * np.sqrt(variance) if noise else 0.0)
    return result, variance


class Survey:
    """Skycells by name: each has a range of columns of the painted part, and images of each kind."""

    def __init__(self, folder, *, cells=((59, 0, SIDE),), exposures=None, noise=True, holes=(), sky=0.0):
        self.folder, self.cells = folder, cells
        self.exposure = {}
        self.images = {}
        for cell, first, last in cells:
            for band in 'gr':
                exposure = (exposures or {}).get((cell, band), EXPOSURE[band])
                self.exposure[cell, band] = exposure
                pixels, variance = counts(band, exposure=exposure, noise=noise, sky=sky)
                mask = np.zeros(pixels.shape, dtype=int)
                for x, y, radius, bit in holes:
                    yy, xx = np.indices(mask.shape)
                    mask[np.hypot(xx - x, yy - y) <= radius] |= bit
                pixels = np.where(mask & 0x0008, np.nan, pixels)
                cut = slice(first, last)
                self.images[cell, band] = {'stack': pixels[:, cut], 'wt': variance[:, cut],
                                           'mask': mask[:, cut]}

    def filename(self, cell, band, kind):
        end = '' if kind == 'stack' else f'.{kind}'
        return (f'/rings.v3.skycell/1784/{cell:03d}/rings.v3.skycell.1784.{cell:03d}.stk.{band}.unconv{end}'
                '.fits')

    def find(self, filename):
        for cell, first, _ in self.cells:
            for band in 'gr':
                for kind in ('stack', 'wt', 'mask'):
                    if self.filename(cell, band, kind) == filename:
                        return cell, band, kind, first
        return None

    def listing(self, ra, dec, bands, kinds):
        """As ps1filenames.py answers: the skycell that the place is in; RA may be negative."""
        lines = ['projcell subcell ra dec filter mjd type filename shortname badflag']
        place = SkyCoord(ra, dec, unit='deg')
        x, y = wcs_of().world_to_pixel(place)
        for cell, first, last in self.cells:
            if not (first <= x < last and 0 <= y < SIDE):
                continue
            for band in bands:
                for kind in kinds:
                    name = self.filename(cell, band, kind.removeprefix('stack.'))
                    lines.append(f'1784 {cell} {CENTER.ra.deg - 360:.6f} {CENTER.dec.deg:.6f} {band} 0.0 '
                                 f'{kind} {name} {name.rsplit("/", 1)[1]} 0')
            # a place belongs to one skycell
            break
        return '\n'.join(lines) + '\n'

    def cutout(self, filename, ra, dec, size, *, exptime=True):
        """As fitscut.cgi answers: linear, NaN beyond the edge of the skycell."""
        cell, band, kind, first = self.find(filename)
        pixels = self.images[cell, band][kind]
        wcs = wcs_of(first)
        x, y = (round(float(value)) for value in wcs.world_to_pixel(SkyCoord(ra, dec, unit='deg')))
        left, low = x - size // 2, y - size // 2
        result = np.full((size, size), np.nan)
        ny, nx = pixels.shape
        a, b, c, d = max(left, 0), min(left + size, nx), max(low, 0), min(low + size, ny)
        if b > a and d > c:
            result[c - low:d - low, a - left:b - left] = pixels[c:d, a:b]
        wcs.wcs.crpix = wcs.wcs.crpix - [left, low]
        path = self.folder / f'cutout-{threading.get_ident()}.fits'
        ps1.write_cutout(path, result, wcs, band=band, skycell=f'skycell.1784.{cell:03d}', kind=kind,
                         exposure=self.exposure[cell, band] * u.s if exptime else None, overwrite=True)
        return path.read_bytes()

    def skycell(self, filename):
        """The whole file."""
        cell, band, kind, first = self.find(filename)
        path = self.folder / f'skycell-{threading.get_ident()}.fits'
        ps1.write_skycell(path, self.images[cell, band][kind], wcs_of(first), band=band, kind=kind,
                          skycell=f'skycell.1784.{cell:03d}', exposure=self.exposure[cell, band] * u.s,
                          overwrite=True)
        return path.read_bytes()


class Server:
    """The survey's services on a port of this machine; ``requests`` are the paths that were asked for.

    ``faults`` is a list of functions (handler, path) -> bool: the first that returns True has answered.
    """

    def __init__(self, survey):
        self.survey, self.requests, self.faults, self.exptime = survey, [], [], True
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.path)
                for fault in list(outer.faults):
                    if fault(self, self.path):
                        return
                body = outer.answer(self.path)
                if body is None:
                    self.send_error(404)
                    return
                self.reply(body)

            def reply(self, body, *, code=200, length=None, kind='application/octet-stream'):
                self.send_response(code)
                self.send_header('Content-Type', kind)
                if length is not False:
                    self.send_header('Content-Length', str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.http = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.address = f'http://127.0.0.1:{self.http.server_port}'
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={'poll_interval': 0.02})
        self.thread.start()

    def answer(self, path):
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == '/cgi-bin/ps1filenames.py':
            kinds = query.get('type', 'stack').split(',')
            return self.survey.listing(float(query['ra']), float(query['dec']), query['filters'],
                                       kinds).encode()
        if parts.path == '/cgi-bin/fitscut.cgi':
            if query.get('format') != 'fits' or self.survey.find(query['red']) is None:
                return b'<html>no such image</html>'
            return self.survey.cutout(query['red'], float(query['ra']), float(query['dec']),
                                      int(query['size']), exptime=self.exptime)
        return self.survey.skycell(parts.path) if self.survey.find(parts.path) else None

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def empty_fits():
    """Bytes of a FITS file with two HDUs and no image."""
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU()]).writeto(stream)
    return stream.getvalue()
