# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Synthetic survey files: model clusters with the light of real ones, in the format of Pan-STARRS1.

They replace real stacks that cannot be downloaded. `draw_cluster` draws the stars of a catalogued cluster: a
King (1966) model with its core radius and concentration, with the mass function of Kroupa (2001), at its age,
metallicity, total M_V, distance and reddening. `write_files` renders them with a PSF, adds noise, and writes
stacks, variances and masks in the format of the survey. `SyntheticArchive` provides these files to
`pidoc.image.ps1.retrieval.fetch` instead of the survey. Every file is marked as synthetic (SYNTHET).

Not included: mass segregation and other dynamical effects, binaries, foreground stars except for those needed
for the PSF, saturation, an over-subtracted sky.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from pidoc.catalogs import cluster as catalogued
from pidoc.catalogs import EXTINCTION_RATIO
from pidoc.cluster.king import core_radius, king_potential, king_radius
from pidoc.cluster.mass_function import MASS_FUNCTIONS
from pidoc.cluster.model import ClusterModel
from pidoc.cluster.quantities import power_law_slope
from pidoc.grid import MapGrid, tangent_plane
from pidoc.image.ps1 import files as ps1
from pidoc.image.ps1.retrieval import Archive, cutout_size, ServiceError
from pidoc.mock.psf import MOFFAT_BETA
from pidoc.photometry import apparent_magnitude, light_at
from pidoc.simulation.initial import kroupa_masses
from pidoc.stellar import StellarEvolution
from pidoc.units import to_value

__all__ = ['DEPTH', 'EXPOSURE', 'SKY', 'SyntheticArchive', 'SyntheticCluster', 'draw_cluster',
           'metal_fraction', 'painted', 'write_files']

EXPOSURE = {'g': 602.0 * u.s, 'r': 880.0 * u.s}
"""Exposure times of the stacks."""

SKY = {'g': 9.0, 'r': 20.0}
"""Counts per second and pixel of a subtracted sky, whose noise gives `DEPTH`."""

DEPTH = {'g': 23.3 * u.mag, 'r': 23.2 * u.mag}
"""5-sigma limits of point sources in stacks (Chambers et al. 2016, arXiv:1612.05560, table 11)."""

_EXTINCTION = {'g': 3.172 / 2.742, 'r': 2.271 / 2.742}
# A_g / A_V and A_r / A_V: Schlafly & Finkbeiner (2011, ApJ 737, 103), table 6, R_V = 3.1, V of Landolt

_FIELD = MapGrid().field_of_view[0]
_SCALE = ps1.PIXEL_SCALE.to_value(u.arcsec)
_REACH = 100.0             # arcsec from the centre, at least, within which stars are rendered
_FIELD_STARS = 60
_NEAREST = 45.0            # arcsec, at least, to these stars: outside the field
_CELL = '0000'             # no projection cell of the survey has this number
_GRID = 400_000            # masses in the integral of the mean light of a star


def metal_fraction(fe_h):
    """Mass fraction of metals for an [Fe/H]: the inverse of `pidoc.photometry.iron_abundance`.

    Parameters
    ----------
    fe_h : float

    Returns
    -------
    float

    Examples
    --------
    >>> print(f'{metal_fraction(0.0):.3f} {metal_fraction(-1.34):.4f}')
    0.020 0.0010
    """
    ratio = 10.0**fe_h * 0.02 / 0.70
    return 0.76 * ratio / (1.0 + 3.0 * ratio)


# -- stars ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticCluster:
    """Stars of a cluster in a square about its centre, made by `draw_cluster`.

    Parameters
    ----------
    name : str
        Name of the cluster with the same light.
    position : `~astropy.coordinates.SkyCoord`
    distance, age, reddening : `~astropy.units.Quantity`
    fe_h, king_w0 : float
    slope : float
        Slope of the mass function of its main-sequence stars from 0.2 to 0.8 Msun.
    number : int
        Number of stars of the whole cluster at birth.
    x, y : array
        Offsets to the east and the north [arcsec].
    mass, luminosity : array
        Mass [Msun], and V luminosity [Lsun].
    magnitude : dict
        'g' or 'r' -> apparent magnitudes, reddened; infinite for dark stars.
    """

    name: str
    position: SkyCoord
    distance: u.Quantity
    age: u.Quantity
    reddening: u.Quantity
    fe_h: float
    king_w0: float
    slope: float
    number: int
    x: np.ndarray
    y: np.ndarray
    mass: np.ndarray
    luminosity: np.ndarray
    magnitude: dict

    def inside(self, field_of_view=_FIELD):
        """Mask of stars in a square field about the centre: array of bool."""
        half = 0.5 * to_value(field_of_view, u.arcsec, 'field_of_view', positive=True)
        return (np.abs(self.x) < half) & (np.abs(self.y) < half)

    def content(self, field_of_view=_FIELD):
        """Mass and luminosity in V of the stars in a square field: two `~astropy.units.Quantity`."""
        here = self.inside(field_of_view)
        return float(self.mass[here].sum()) * u.Msun, float(self.luminosity[here].sum()) * u.Lsun


def draw_cluster(name, *, age=None, seed=0, field_of_view=_FIELD):
    """Draw the stars of a catalogued cluster.

    Neutron stars and black holes are not included; white dwarfs are. The number of stars is such that their
    mean total light is that of the catalogue; since stars are drawn, the light scatters about it.

    Parameters
    ----------
    name : str
        Name, as for `pidoc.catalogs.cluster`.
    age : `~astropy.units.Quantity`, optional
        Age; by default that of VandenBerg et al. (2013), or 12 Gyr without it.
    seed : int, optional
    field_of_view : `~astropy.units.Quantity`, optional
        Side of the field for which stars are drawn, with a margin. Those nearer to the centre than 100 arcsec
        do not depend on it.

    Returns
    -------
    SyntheticCluster

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If the cluster is not known, the catalogue lacks necessary data, or the age is invalid.
    """
    row = catalogued(name)
    entry = {key: _known(row, key) for key in ('m_v', 'distance', 'reddening', 'fe_h', 'concentration',
                                               'core_radius')}
    if age is None:
        age = 12.0 * u.Gyr if getattr(row['age'], 'mask', False) else u.Quantity(row['age'])
    years = to_value(age, u.Gyr, 'age', positive=True)
    rng = np.random.default_rng([seed, *str(row['name']).encode()])
    metals = metal_fraction(entry['fe_h'])
    tracks = StellarEvolution(metals)
    number = round(float(row['luminosity'].value) / _mean_light(tracks, 1e3 * years))
    w0 = king_potential(entry['concentration'])
    unit = 60.0 * entry['core_radius'] / core_radius(w0)
    x, y = _projected(unit * king_radius(rng.random(number), w0=w0), rng)
    side = to_value(field_of_view, u.arcsec, 'field_of_view', positive=True)
    away = np.maximum(np.abs(x), np.abs(y))
    # the inner ones first, so that they are the same in every field
    near = np.concatenate([np.flatnonzero(away < _REACH), np.flatnonzero(
        (away >= _REACH) & (away < 0.5 * cutout_size(side) * _SCALE + _REACH - 90.0))])
    stars = tracks.state(kroupa_masses(near.size, rng, lower=_LOW, upper=_HIGH), 1e3 * years)
    light = {band: _light(stars, metals, band) for band in 'Vgr'}
    far = 4.0 * math.pi * entry['distance'] ** 2
    magnitude = {}
    for band in 'gr':
        dark = light[band] <= 0.0
        magnitude[band] = np.full(dark.size, np.inf)
        magnitude[band][~dark] = apparent_magnitude(light[band][~dark] / far * u.Lsun / u.kpc**2, band).value
        magnitude[band] += _EXTINCTION[band] * EXTINCTION_RATIO * entry['reddening']
    slope, _ = power_law_slope(stars.mass[stars.kind <= 1], low=0.2, high=0.8)
    return SyntheticCluster(
        name=str(row['name']), position=row['position'], distance=entry['distance'] * u.kpc,
        age=years * u.Gyr, reddening=entry['reddening'] * u.mag, fe_h=entry['fe_h'], king_w0=w0, slope=slope,
        number=number, x=x[near], y=y[near], mass=stars.mass * (stars.kind < 13), luminosity=light['V'],
        magnitude=magnitude)


_LOW, _HIGH = (float(value) for value in ClusterModel().mass_limits.to_value(u.Msun))


def _known(row, key):
    if getattr(row[key], 'mask', False):
        raise ValueError(f'the catalogue must have {key} of {row["name"]}, it is blank there')
    return float(getattr(row[key], 'value', row[key]))


def _mean_light(tracks, age):
    """Mean V luminosity of a star of Kroupa's mass function [Lsun], at an age [Myr]."""
    from scipy.integrate import trapezoid

    # fine enough for hundreds of giants, which dominate the light
    masses = np.geomspace(_LOW, _HIGH, _GRID)
    number = MASS_FUNCTIONS['kroupa2001'].density(masses)
    light = _light(tracks.state(masses, age), tracks.metallicity, 'V')
    return float(trapezoid(number * light, masses) / trapezoid(number, masses))


def _light(stars, metals, band):
    """Luminosities in a band [Lsun], from Kurucz's atmospheres."""
    return light_at(stars, metallicity=metals, band=band, correction='kurucz1992').value


def _projected(radius, rng):
    """Two coordinates of positions at these radii in random directions."""
    height, azimuth = rng.uniform(-1.0, 1.0, radius.size), rng.uniform(0.0, 2.0 * math.pi, radius.size)
    flat = radius * np.sqrt(1.0 - height**2)
    return flat * np.cos(azimuth), flat * np.sin(azimuth)


# -- images ---------------------------------------------------------------------------------------


def painted(place, flux, wcs, side, seeing, *, fine=3):
    """Stars on a fine grid, convolved with a Moffat function of exponent 2.5, binned to pixels of a square.

    Parameters
    ----------
    place : `~astropy.coordinates.SkyCoord`
        Positions of the stars.
    flux : array
    wcs : `~astropy.wcs.WCS`
        World coordinates of the square; pixels of 0.25 arcsec.
    side : int
        Side of the square [pixels].
    seeing : float
        Full width at half maximum [arcsec].
    fine : int, optional
        Cells per side of a pixel.

    Returns
    -------
    array
        Flux per pixel [y, x]. Stars outside the square are ignored.
    """
    from scipy.signal import fftconvolve

    x, y = wcs.world_to_pixel(place)
    cells = _shared_out((x + 0.5) * fine - 0.5, (y + 0.5) * fine - 0.5, flux, side * fine)
    half = 40 * fine
    yy, xx = np.indices((2 * half + 1,) * 2) - half
    width = seeing / _SCALE * fine / (2.0 * math.sqrt(2.0 ** (1.0 / MOFFAT_BETA) - 1.0))
    kernel = (1.0 + (xx**2 + yy**2) / width**2) ** -MOFFAT_BETA
    image = fftconvolve(cells, kernel / kernel.sum(), mode='same')
    return image.reshape(side, fine, side, fine).sum(axis=(1, 3))


def _shared_out(x, y, flux, side):
    """Distribute light to the four nearest cells with bilinear weights, which conserve centroids."""
    left, low = np.floor(x).astype(int), np.floor(y).astype(int)
    cells = np.zeros((side, side))
    for column, across in ((left, left + 1 - x), (left + 1, x - left)):
        for row, along in ((low, low + 1 - y), (low + 1, y - low)):
            inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
            np.add.at(cells, (row[inside], column[inside]), (flux * across * along)[inside])
    return cells


def _skycell_wcs(position, side):
    """Pixels about a position, in a tangent plane with a distant tangent point, as in skycells."""
    away = position.icrs.spherical_offsets_by(0.9 * u.deg, 1.4 * u.deg)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ['RA---TAN', 'DEC--TAN']
    wcs.wcs.crval = [away.ra.deg, away.dec.deg]
    wcs.wcs.cdelt = [_SCALE / 3600.0] * 2
    wcs.wcs.pc = [[-1, 0], [0, 1]]
    wcs.wcs.crpix = [0, 0]
    wcs.wcs.radesys = 'FK5'
    x, y = wcs.world_to_pixel(position)
    wcs.wcs.crpix = [side // 2 - round(float(x)), side // 2 - round(float(y))]
    return wcs


def _places(cluster, x, y):
    """Positions on the sky of offsets to the east and the north [arcsec] in the tangent plane."""
    position = cluster.position.icrs
    return tangent_plane((position.ra.deg, position.dec.deg), (1, 1), 1.0).pixel_to_world(-x, y)


def write_files(cluster, folder, *, seeing=ps1.MEDIAN_SEEING, noise=True, seed=0, field_of_view=_FIELD,
                overwrite=False):
    """Write the survey's files of a cluster: stacks, variances and masks, and their list.

    Parameters
    ----------
    cluster : SyntheticCluster
    folder : path-like
        Created if needed.
    seeing : dict, optional
        'g' and 'r' -> full width at half maximum of the PSF.
    noise : bool, optional
        Add photon noise of stars and sky (`SKY`).
    seed : int, optional
        Seed of the noise, and of the foreground stars for the measurement of the PSF, which are outside the
        field.
    field_of_view : `~astropy.units.Quantity`, optional
        Side of the field; the files are larger.
    overwrite : bool, optional
        Replace existing files.

    Returns
    -------
    list of `~pathlib.Path`

    Raises
    ------
    OSError
        If a file exists and ``overwrite`` is False.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, *cluster.name.encode(), 1])
    field = to_value(field_of_view, u.arcsec, 'field_of_view', positive=True)
    side = cutout_size(field)
    wcs, skycell = _skycell_wcs(cluster.position, side), f'skycell.{_CELL}.000'
    radii = max(_NEAREST, math.sqrt(0.5) * field + 2.0), 0.5 * side * _SCALE - 5.0
    angle, away = rng.uniform(0.0, 2.0 * math.pi, _FIELD_STARS), rng.uniform(*radii, _FIELD_STARS)
    bright = rng.uniform(15.5, 17.5, _FIELD_STARS)
    place = _places(cluster, np.concatenate([cluster.x, away * np.cos(angle)]),
                    np.concatenate([cluster.y, away * np.sin(angle)]))
    lines = ['projcell subcell ra dec filter mjd type filename shortname badflag']
    paths = []
    for band in 'gr':
        magnitude = np.concatenate([cluster.magnitude[band], bright + (0.6 if band == 'g' else 0.0)])
        seconds = EXPOSURE[band].to_value(u.s)
        flux = painted(place, 10.0 ** (-0.4 * magnitude), wcs, side,
                       to_value(seeing[band], u.arcsec, 'seeing', positive=True))
        counts = flux * 10.0 ** (0.4 * (25.0 + 2.5 * math.log10(seconds)))
        # convolution may leave slightly negative values in empty areas
        variance = np.maximum(counts, 0.0) + SKY[band] * seconds
        if noise:
            counts = counts + rng.normal(size=counts.shape) * np.sqrt(variance)
        for kind, pixels in (('stack', counts), ('wt', variance), ('mask', np.zeros(counts.shape))):
            end = '' if kind == 'stack' else f'.{kind}'
            name = f'synthetic.{skycell}.stk.{band}.unconv{end}.fits'
            ps1.write_cutout(folder / name, pixels, wcs, band=band, skycell=skycell, kind=kind,
                             exposure=EXPOSURE[band], cards=_cards(cluster, field), overwrite=overwrite)
            ra, dec = cluster.position.icrs.ra.deg, cluster.position.icrs.dec.deg
            lines.append(f'0 0 {ra:.6f} {dec:.6f} {band} 0.0 {"stack" + end} /synthetic/{name} {name} 0')
            paths.append(folder / name)
    (folder / 'listing.txt').write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return [*paths, folder / 'listing.txt']


def _cards(cluster, field):
    mass, light = cluster.content(field * u.arcsec)
    where = f'in {field:g} arcsec'
    return [('SYNTHET', True, 'no image of the sky: made by pidoc'),
            ('OBJECT', f'{cluster.name} (synthetic)', 'a model with the light of this'),
            ('TRUEMASS', mass.value, f'[solMass] of the model, {where}'),
            ('TRUELUM', light.value, f'[solLum] in V, of the model, {where}'),
            ('TRUEDIST', cluster.distance.to_value(u.kpc), '[kpc] of the model'),
            ('TRUEAGE', cluster.age.to_value(u.Gyr), '[Gyr] of the model'),
            ('TRUEFEH', cluster.fe_h, '[Fe/H] of the model'),
            ('TRUESLOP', cluster.slope, 'of its mass function, 0.2 to 0.8 solMass'),
            ('TRUEEBV', cluster.reddening.to_value(u.mag), '[mag] E(B-V) of the model'),
            ('KINGW0', cluster.king_w0, 'central potential of its King model'),
            ('NSTARS', cluster.number, 'stars of the whole model at birth')]


@dataclass(frozen=True, kw_only=True)
class SyntheticArchive(Archive):
    """Files of `write_files` instead of the survey's services, without any download.

    Parameters
    ----------
    folder : path-like
        Folder with the files of one cluster.
    **options
        Options of `pidoc.image.ps1.retrieval.Archive`, which have no effect here.
    """

    folder: Path
    server: str = 'https://synthetic.invalid'
    offline: bool = True

    def listing(self, position, *, bands=('g', 'r'), kinds=('stack', 'stack.wt', 'stack.mask')):
        """See `pidoc.image.ps1.retrieval.Archive.listing`: no rows far from the cluster."""
        table = ps1.parse_listing((Path(self.folder) / 'listing.txt').read_text(encoding='utf-8'))
        place = SkyCoord(table['ra'], table['dec'], unit='deg')
        near = position.icrs.separation(place).arcsec < 0.5 * cutout_size(0.0) * _SCALE
        return table[near & np.isin(table['filter'], list(bands)) & np.isin(table['type'], list(kinds))]

    def cutout(self, filename, position, size):
        """See `pidoc.image.ps1.retrieval.Archive.cutout`: the whole file, which must have the requested size.

        Raises
        ------
        ServiceError
            If it is smaller.
        """
        path = Path(self.folder) / Path(filename).name
        side = min(fits.getval(path, f'NAXIS{axis}') for axis in (1, 2))
        if size > side:
            raise ServiceError(f'synthetic files have {side} pixels to a side, asked for were {size}')
        return path
