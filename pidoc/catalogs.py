# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Catalogues of globular clusters: Harris, VandenBerg et al., Baumgardt & Hilker, and the paper's Table 3.

==========================  =========================================================================
`harris`                    Harris (1996, 2010 edition): positions, distances, light, structure
`harris1997`                the edition of May 1997, VizieR VII/202
`vandenberg`                VandenBerg et al. (2013): ages
`baumgardt`                 Baumgardt & Hilker: masses, mass-to-light ratios, radii
`paper_table`               Chardin & Bianchini (2021), Table 3
`clusters`, `cluster`       `harris`, `vandenberg` and `baumgardt` combined; search by name
`known`                     known properties of a named cluster: values with errors and sources
==========================  =========================================================================

All but `harris1997` are packaged. Values that are blank in the source are masked.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.coordinates import FK4, Latitude, Longitude, SkyCoord
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils.masked import Masked

from pidoc.units import SOLAR_MV, to_value

if TYPE_CHECKING:
    from astropy.table import Row

__all__ = ['EXTINCTION_RATIO', 'Known', 'baumgardt', 'cluster', 'cluster_at', 'clusters', 'harris',
           'harris1997',
           'known', 'paper_selection', 'paper_table', 'vandenberg']

EXTINCTION_RATIO = 3.1
"""A_V / E(B-V) of Harris's distances; his (m-M)V is not corrected for extinction."""

_HARRIS_1997 = 'VII/202'
_ARCSEC = u.mag / u.arcsec**2
_KMS = u.km / u.s

# names of the columns at VizieR, reduced to letters and digits
_VIZIER = {
    'glon': ('l', u.deg), 'glat': ('b', u.deg), 'rsun': ('distance', u.kpc),
    'rgc': ('galactocentric_distance', u.kpc), 'x': ('x', u.kpc), 'y': ('y', u.kpc), 'z': ('z', u.kpc),
    'feh': ('fe_h', u.one), 'ebv': ('reddening', u.mag), 'vhb': ('v_hb', u.mag),
    'mmv': ('distance_modulus', u.mag), 'vt': ('v_total', u.mag), 'mvt': ('m_v', u.mag),
    'ubt': ('u_b', u.mag), 'bvt': ('b_v', u.mag), 'vrt': ('v_r', u.mag), 'vit': ('v_i', u.mag),
    'vr': ('radial_velocity', _KMS), 'evr': ('radial_velocity_error', _KMS), 'vlsr': ('v_lsr', _KMS),
    'c': ('concentration', u.one), 'rc': ('core_radius', u.arcmin), 'rh': ('half_light_radius', u.arcmin),
    'muv': ('central_surface_brightness', _ARCSEC), 'logrhoc': ('log_central_density', u.one),
    'logtc': ('log_core_relaxation_time', u.one), 'logth': ('log_half_mass_relaxation_time', u.one)}


# -- the tables -----------------------------------------------------------------------------------


def harris() -> QTable:
    """Harris's catalogue of 157 globular clusters of the Milky Way, edition of December 2010.

    Harris (1996, AJ 112, 1487), 2010 edition. Please cite it as "Harris 1996 (2010 edition)".

    Returns
    -------
    `~astropy.table.QTable`
        One row per cluster: ``name``, ``other_name``, ``position`` (`~astropy.coordinates.SkyCoord`),
        ``distance``, ``reddening`` E(B-V), ``m_v``, ``core_radius`` and ``half_light_radius`` [arcmin]
        and others, each with its unit. Blank values are masked.

    Examples
    --------
    >>> from pidoc.catalogs import harris
    >>> table = harris()
    >>> len(table), int(table['half_light_radius'].mask.sum())
    (157, 5)
    """
    return _packaged('harris2010.ecsv')


def vandenberg() -> QTable:
    """Ages of 55 globular clusters: VandenBerg, Brogaard, Leaman & Casagrande (2013, ApJ 775, 134), table 2.

    Returns
    -------
    `~astropy.table.QTable`
        ``name``, ``other_name``, ``fe_h``, ``age``, ``age_error`` [Gyr], ``method`` (V, H or A), ``youngest``
        and ``oldest`` (the published range; masked if there is none).

    Examples
    --------
    >>> from pidoc.catalogs import vandenberg
    >>> ages = vandenberg()
    >>> print(len(ages), f"{ages['age'].min():.2f} to {ages['age'].max():.2f}")
    55 9.00 Gyr to 13.00 Gyr
    """
    return _packaged('vandenberg2013.ecsv')


def baumgardt() -> QTable:
    """Masses, mass-to-light ratios and radii of 154 globular clusters: Baumgardt & Hilker, version of 2019.

    Baumgardt & Hilker (2018, MNRAS 478, 1520); Baumgardt, Hilker, Sollima & Bellini (2019, MNRAS 482, 5138).
    From N-body models fitted to velocities, surface densities and mass functions.

    Returns
    -------
    `~astropy.table.QTable`
        ``name``, ``position``, ``distance``, ``mass``, ``mass_to_light`` (in V) with errors, ``core_radius``,
        ``half_light_radius`` (both projected), ``half_mass_radius`` and ``tidal_radius`` [pc] and others.
        Without an error the mass is based on an assumed M/L.

    Examples
    --------
    >>> from pidoc.catalogs import baumgardt
    >>> table = baumgardt()
    >>> print(len(table), table['mass'].unit, table['mass_to_light'].unit)
    154 solMass solMass / solLum
    """
    return _packaged('baumgardt2019.ecsv')


def paper_table() -> QTable:
    """Table 3 of Chardin & Bianchini (2021): 17 clusters, with literature values and pi-DOC's predictions.

    Returns
    -------
    `~astropy.table.QTable`
        ``name``; ``field_luminosity``, the luminosity in the field of 40" x 40"; ``distance``,
        ``core_radius``, ``half_light_radius``, ``age`` (masked where missing), ``fe_h``,
        ``mass_to_light`` with its error, from the literature; ``pidoc_distance``, ``pidoc_age``,
        ``pidoc_mass_to_light``, ``pidoc_log_mass`` (log10 of Msun in the field), predicted.

    Notes
    -----
    Its age of NGC 7006 is not in VandenBerg et al. (2013), the reference it gives.

    Examples
    --------
    >>> from pidoc.catalogs import paper_table
    >>> table = paper_table()
    >>> print(len(table), table['name'][0], table['pidoc_mass_to_light'][0])
    17 NGC 5053 1.756 solMass / solLum
    """
    return _packaged('chardin2021_table3.ecsv')


@lru_cache(maxsize=8)
def _stored(filename):
    with as_file(files('pidoc') / 'data' / filename) as path:
        table = QTable.read(path, format='ascii.ecsv')
    for name in table.colnames:
        if table[name].dtype.kind == 'U' and hasattr(table[name], 'filled'):
            # a blank text remains a blank text
            table[name] = table[name].filled('')
    return _with_position(table)


def _packaged(filename):
    return _stored(filename).copy()


def _with_position(table):
    """The table with ``ra`` and ``dec`` [deg, ICRS] combined into ``position``."""
    if 'ra' in table.colnames:
        index = table.colnames.index('ra')
        position = SkyCoord(table['ra'], table['dec'])
        table.remove_columns(['ra', 'dec'])
        table.add_column(position, index=index, name='position')
    return table


# -- the edition of 1997, from VizieR ---------------------------------------------------------------


def harris1997(*, cache=True):
    """Harris's catalogue, edition of May 1997, downloaded from VizieR (VII/202) through astroquery.

    VizieR has no later edition. Use `harris` unless you need this one.

    Parameters
    ----------
    cache : bool, optional
        Whether to use astroquery's cache, which keeps replies for a week.

    Returns
    -------
    `~astropy.table.QTable`
        147 rows with the columns of `harris` that this edition has; ``meta['edition']`` is
        'May 1997 (VizieR VII/202)'.

    Raises
    ------
    ConnectionError
        If VizieR does not answer.
    ValueError
        If the reply is not the catalogue.
    """
    import requests
    from astroquery import cache_conf
    from astroquery.exceptions import TableParseError
    from astroquery.vizier import Vizier

    # on an instance, because by default columns are left out and there are at most 50 rows
    vizier = Vizier(columns=['**'], row_limit=-1)
    try:
        with cache_conf.set_temp('cache_active', cache and cache_conf.cache_active):
            tables = vizier.get_catalogs(_HARRIS_1997)
    except (requests.RequestException, TimeoutError) as error:
        raise ConnectionError(f'VizieR does not answer: {error}') from error
    except TableParseError as error:
        raise ValueError(f'VizieR must answer with a VOTable, received something else: {error}') from error
    # None for a reply without a table, such as an HTML page
    if not tables:
        raise ValueError(f'VizieR must answer with the table {_HARRIS_1997}, received no table')
    return _with_position(QTable(_harris1997_columns(tables[0], 'VizieR')))


def _harris1997_columns(source, where):
    keys = {re.sub(r'[^a-z0-9]', '', name.lower()): name for name in source.colnames}
    missing = [name for name in ('ID', 'RAJ2000', 'DEJ2000', 'Rsun', 'MVt') if name.lower() not in keys]
    if missing:
        raise ValueError(f'{where} must have the columns of {_HARRIS_1997}, {", ".join(missing)} not found')

    def texts(key):
        column = source[keys[key]]
        mask = np.ma.getmaskarray(column)
        return ['' if hidden or str(value) == 'nan' else str(value).strip()
                for value, hidden in zip(column, mask, strict=True)]

    names = texts('id')
    table = Table({'name': names, 'other_name': texts('name') if 'name' in keys else [''] * len(names)})
    for name, key, kind in (('ra', 'raj2000', 'hms'), ('dec', 'dej2000', 'dms')):
        table[name] = _column(texts(key), kind, name, names, where)
    for key, (name, unit) in _VIZIER.items():
        if key in keys:
            table[name] = _column(texts(key), unit, name, names, where)
    table.meta = {'edition': 'May 1997 (VizieR VII/202)',
                  'reference': 'Harris 1996, AJ 112, 1487 (1997 edition)'}
    return table


def _column(texts, kind, name, clusters, path):
    """A column of one field; blank values are masked."""
    if kind is str:
        return texts
    values = np.zeros(len(texts))
    for row, text in enumerate(texts):
        if not text:
            continue
        try:
            if isinstance(kind, str):
                values[row] = _sexagesimal(text) * (15.0 if kind == 'hms' else 1.0)
            else:
                values[row] = float(text)
        except ValueError:
            raise ValueError(f'{path}: {name} of {clusters[row]} must be a number, '
                             f'received {text!r}') from None
    unit = u.deg if isinstance(kind, str) else kind
    blank = [not text or values[row] != values[row] for row, text in enumerate(texts)]
    if name in ('ra', 'dec') and any(blank):
        raise ValueError(f'{path}: {clusters[blank.index(True)]} must have a position, received none')
    if name in ('ra', 'dec'):
        return Column(values, unit=unit)
    return MaskedColumn(np.where(blank, 0.0, values), mask=blank, unit=None if unit == u.one else unit)


def _sexagesimal(text):
    """Whole units of '-26 34 57.4'; the sign also counts for -00."""
    first, *rest = text.split()
    value = sum(float(part) / 60.0**power for power, part in enumerate([first.lstrip('+-'), *rest]))
    if len(rest) != 2 or any(not 0.0 <= float(part) < 60.0 for part in rest):
        raise ValueError(text)
    return -value if first.startswith('-') else value


# -- combined table, searched by name ---------------------------------------------------------------


# names that are missing in the tables, or written differently there
_ALIASES = {
    'NGC 104': ('47 Tucanae',), 'NGC 5139': ('Omega Centauri', 'w Cen', 'w Centauri', 'ome Cen'),
    'Pal 14': ('Arp 1',), 'Pal 4': ('UGC 6268',), 'NGC 6205': ('Hercules', 'Great Hercules'),
    'Crater': ('Laevens 1', 'Crater 1', 'Crater I', 'PSO J174.0675-10.8774'),
    'Pyxis': ('Pyxis 1',), 'Eridanus': ('Eridanus 1',), 'FSR 1716': ('VVV-GC05',),
    '1636-283': ('ESO 452-SC11', 'ESO 452-11'), 'ESO-SC06': ('ESO 280-SC06', 'ESO 280-06'),
    '2MS-GC01': ('2MASS-GC01',), '2MS-GC02': ('2MASS-GC02',), 'GLIMPSE01': ('GLIMPSE-C01',),
    'GLIMPSE02': ('GLIMPSE-C02',), 'Lynga 7': ('BH 184',), 'Djorg 2': ('ESO 456-SC38',),
}
# words with several spellings
_WORDS = {
    'palomar': 'pal', 'messier': 'm', 'terzan': 'ter', 'djorgovski': 'djor', 'djorg': 'djor',
    'ruprecht': 'rup', 'koposov': 'ko', 'kop': 'ko', 'arpmadore': 'am', 'tonantzintla': 'ton',
    'lil': 'liller', 'whi': 'whiting', 'eri': 'eridanus', 'pyx': 'pyxis', 'hauteprovence': 'hp', 'n': 'ngc',
    'pismi': 'pismis', 'esosc': 'eso', 'tz': 'ter', 'ldg': 'laevens', 'cald': 'caldwell',
}
# Moore (1995, Sky & Telescope 90, 12, 38), as far as they are globular clusters of the Milky Way
_CALDWELL = {
    25: 2419, 42: 7006, 47: 6934, 66: 5694, 73: 1851, 78: 6541, 79: 3201, 80: 5139, 81: 6352, 84: 5286,
    86: 6397, 87: 1261, 93: 6752, 104: 362, 105: 4833, 106: 104, 107: 6101, 108: 4372}
# prefixes and suffixes of names
_AROUND = re.compile(r'^(name|cl|gcl|the)\b\*?\s*|\(?\b(globular( cluster)?|star cluster|cluster|gc)\)?$')
_IAU = re.compile(r'c?\s*(\d\d)(\d\d)\s*([+-])\s*(\d{3})')


def _key(name):
    """Normalised name: without case, blanks, accents and leading zeros."""
    plain = unicodedata.normalize('NFKD', name.strip().lower().replace('ω', 'omega'))
    plain = _AROUND.sub('', _AROUND.sub('', plain).strip()) or plain
    plain = re.sub(r'[^a-z0-9]', '', plain.encode('ascii', 'ignore').decode())
    match = re.fullmatch(r'([a-z]+)0*(\d.*)', plain)
    if match:
        plain = _WORDS.get(match[1], match[1]) + match[2]
    return plain


@lru_cache(maxsize=1)
def _index():
    """The table of all clusters, and normalised name -> row."""
    base, ages, models = harris(), vandenberg(), baumgardt()
    names, rows, where = _names(base, models)
    number = len(names)
    table = QTable({'name': names})
    table['other_name'] = [*base['other_name'], *[''] * (number - len(base))]
    last = [where.index(row) for row in range(len(base), number)]
    ra, dec = (np.concatenate([getattr(base['position'], axis).deg,
                               getattr(models['position'][last], axis).deg]) for axis in ('ra', 'dec'))
    table['position'] = SkyCoord(Longitude(ra, u.deg), Latitude(dec, u.deg))
    apart = np.full(number, _POSITION_ERROR)
    apart[where] = np.maximum(apart[where], table['position'][where].separation(models['position']).arcsec)
    table['position_error'] = apart * u.arcsec
    first = np.arange(len(base))
    for name in ('distance', 'distance_modulus', 'reddening', 'b_v', 'fe_h', 'v_total', 'm_v',
                 'concentration', 'core_radius', 'half_light_radius', 'velocity_dispersion',
                 'velocity_dispersion_error'):
        table[name] = _spread(base[name], first, number)
    table['luminosity'] = 10.0 ** (0.4 * (SOLAR_MV - table['m_v'].to_value(u.mag))) * u.Lsun
    aged = [rows[_key(name)] for name in ages['name']]
    for name in ('age', 'age_error'):
        table[name] = _spread(ages[name], aged, number)
    for name in ('mass', 'mass_error', 'mass_to_light', 'mass_to_light_error', 'half_mass_radius',
                 'mass_function_slope', 'distance', 'core_radius', 'half_light_radius',
                 'velocity_dispersion'):
        new = f'model_{name}' if name in table.colnames else name
        table[new] = _spread(models[name], where, number)
    table.meta = {'sources': {
        'age': ages.meta['reference'],
        'mass, mass_to_light, half_mass_radius, mass_function_slope, model_': models.meta['reference'],
        'the others': base.meta['reference']}}
    return table, rows


def _names(base, models):
    """Names of all clusters, those of Harris first; normalised name -> row; rows of Baumgardt's models."""
    names = list(base['name'])
    # first, since names of the catalogues take precedence
    rows = {f'caldwell{number}': names.index(f'NGC {ngc}') for number, ngc in _CALDWELL.items()}
    for row, (name, other) in enumerate(zip(base['name'], base['other_name'], strict=True)):
        for word in (name, other, *_ALIASES.get(name, ())):
            if word:
                rows[_key(word)] = row
    where = []
    for name in models['name']:
        row = rows.get(_key(name))
        if row is None:
            row = len(names)
            names.append(str(name))
            for word in (name, *_ALIASES.get(name, ())):
                rows[_key(word)] = row
        where.append(row)
    return names, rows, where


def _spread(column, rows, number):
    """Put a column into given rows of a longer one, masked elsewhere."""
    unit = getattr(column, 'unit', None) or u.one
    values, mask = np.zeros(number), np.ones(number, dtype=bool)
    hidden = getattr(column, 'mask', False)
    plain = column.filled(0.0) if hasattr(column, 'filled') else column
    values[rows] = np.asarray(getattr(plain, 'unmasked', plain), dtype=float)
    mask[rows] = hidden
    return Masked(values, mask=mask) * unit


def clusters() -> QTable:
    """All clusters of Harris (2010), with ages and masses from the other catalogues, and clusters only there.

    Returns
    -------
    `~astropy.table.QTable`
        ``name``, ``other_name``, ``position``, ``distance``, ``reddening``, ``b_v``, ``fe_h``,
        ``v_total``, ``m_v``, ``core_radius``, ``half_light_radius`` [arcmin], ``velocity_dispersion`` and
        others from Harris (2010); ``luminosity`` in V, from ``m_v``; ``age`` from VandenBerg et al. (2013);
        ``mass``, ``mass_to_light``, ``half_mass_radius``, ``mass_function_slope`` and ``model_distance``,
        ``model_core_radius``, ``model_half_light_radius`` [pc], ``model_velocity_dispersion`` from Baumgardt
        & Hilker;
        ``position_error``: separation of the two positions, at least 1". Masked where a catalogue
        has no value.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.catalogs import clusters
    >>> table = clusters()
    >>> near = table['distance'].filled(1000 * u.kpc) < 3 * u.kpc
    >>> print(*table['name'][near], sep=', ')
    NGC 6121, NGC 6397
    """
    return _index()[0].copy()


def cluster(name: str) -> Row:
    """The row of `clusters` for a cluster, by any of its names.

    Parameters
    ----------
    name : str
        Such as NGC 5466, ngc5466, N5466, M 53, Messier 53, Pal 11, Palomar 11, omega Cen, w Cen, Caldwell 80,
        or the IAU designation from the B1950 position, such as C1403+287.

    Returns
    -------
    `~astropy.table.Row`

    Raises
    ------
    TypeError
        If ``name`` is not a text.
    ValueError
        If no cluster has this name.

    Examples
    --------
    >>> from pidoc.catalogs import cluster
    >>> row = cluster('M 53')
    >>> print(row['name'], row['distance'], row['age'])
    NGC 5024 17.9 kpc 12.25 Gyr
    """
    if not isinstance(name, str):
        raise TypeError(f'name must be a text, received {name!r}')
    table, rows = _index()
    row = rows.get(_key(name))
    if row is None:
        row = _at_position(name)
    if row is None:
        near = difflib.get_close_matches(_key(name), rows, n=3, cutoff=0.7)
        near = list(dict.fromkeys(table['name'][rows[key]] for key in near))
        hint = f': did you mean {" or ".join(near)}' if near else ''
        raise ValueError('name must be that of a globular cluster in the catalogues, '
                         f'received {name!r}{hint}')
    return table.copy()[row]


def cluster_at(position, *, within=1 * u.arcmin):
    """The row of `clusters` for the cluster at a position.

    Parameters
    ----------
    position : `~astropy.coordinates.SkyCoord`
        One position.
    within : `~astropy.units.Quantity`, optional
        Largest separation from the cluster.

    Returns
    -------
    `~astropy.table.Row` or None
        None if there is none.

    Examples
    --------
    >>> from astropy.coordinates import SkyCoord
    >>> from pidoc.catalogs import cluster_at
    >>> print(cluster_at(SkyCoord('13h12m55s +18d10m06s'))['name'])
    NGC 5024
    """
    limit = to_value(within, u.arcsec, 'within', positive=True)
    table = _index()[0]
    apart = table['position'].separation(position).arcsec
    nearest = int(np.argmin(apart))
    return table[[nearest]][0] if apart[nearest] <= limit else None


@lru_cache(maxsize=1)
def _positions_1950():
    return _index()[0]['position'].transform_to(FK4(equinox='B1950'))


def _at_position(name):
    """Row of the cluster with an IAU designation: C, hours, minutes, degrees and tenths of B1950; else None.

    Designations keep old positions: a difference of one in the last digit is the same cluster.
    """
    match = _IAU.fullmatch(name.strip().lower())
    if not match:
        return None
    minute = 60 * int(match[1]) + int(match[2])
    tenth = int(match[4]) * (-1 if match[3] == '-' else 1)
    places = _positions_1950()
    # digits are truncated, not rounded
    minutes, tenths = np.trunc(60.0 * places.ra.hour), np.trunc(10.0 * places.dec.deg)
    off = np.maximum(np.abs((minutes - minute + 720) % 1440 - 720), np.abs(tenths - tenth))
    row = int(np.argmin(off))
    return row if off[row] <= 1 else None


# -- known properties -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """One known property of a cluster.

    Parameters
    ----------
    name : str
        Name of the property, see `known`.
    value : `~astropy.units.Quantity` or `~astropy.coordinates.SkyCoord`
    error : `~astropy.units.Quantity`
        Standard deviation.
    source : str
        Source of the value, as a short citation.
    radius : `~astropy.units.Quantity`, optional
        Radius on the sky [arcsec] within which the value applies; None for the whole cluster.
    """

    name: str
    value: object
    error: u.Quantity
    source: str
    radius: u.Quantity = None


_HARRIS, _MODELS = 'Harris 1996 (2010 edition)', 'Baumgardt et al. 2019'
_VANDENBERG, _ASSUMED = 'VandenBerg et al. 2013', 'assumed, old cluster'
_POSITION_ERROR = 1.0              # arcsec, at least
_DISTANCE_ERROR = 0.05             # of the distance: two thirds of the clusters differ by less, see the tests
_AGE_SYSTEMATIC = 0.75             # Gyr: of the distance and the abundances, not in VandenBerg's errors
_OLD = (12.5, 1.0)                 # Gyr, assumed age and error of an undated cluster
_IRON_ERROR = 0.15                 # dex
_DISPERSION_ERROR = 0.1            # of the dispersion
_DISPERSION_ROUNDING = 0.05        # km/s: printed with one decimal
_COLOUR_ERROR = 0.05               # mag, of an integrated colour, and of the atmospheres
_EXTINCTION_ERROR = 0.1            # of the extinction
_REDDENING_ERROR = 0.01            # mag of E(B-V), at least
_RADIUS_ERROR, _OTHER_RADIUS_ERROR = 0.1, 0.2     # relative: of Baumgardt's models, and of Harris
_SLOPE_ERROR = 0.3                 # of the mass function: fitted to star counts of some, else by the models
# younger than 10 Gyr in the literature, without an age in these tables: Whiting 1 (Carraro et al. 2007), Pal
# 1 (Rosenberg et al. 1998), AM 4 (Carraro 2009), Ko 1 and 2 (Paust et al. 2014), BH 176 (Davoust et al.
# 2011), Crater (Weisz et al. 2016)
_NOT_OLD = ('Whiting 1', 'Pal 1', 'AM 4', 'Ko 1', 'Ko 2', 'BH 176', 'Crater')


def known(name: str) -> dict[str, Known]:
    """Known properties of a named cluster: values with errors and sources.

    ``position`` is Harris's, with the separation from Baumgardt's, at least 1", as its error. ``distance`` is
    Baumgardt's, else Harris's; neither has errors: 5 % is assumed, or half of the difference between the two
    if that is more. ``age`` is VandenBerg's, with 0.75 Gyr of systematic error added in quadrature; otherwise
    12.5 +- 1 Gyr, with the source "assumed", except for the seven clusters that are known to be younger.
    ``metallicity`` is [Fe/H] of Harris, with an error of 0.15 dex. ``velocity_dispersion`` is the central one
    along the line of sight: from Baumgardt's models, if they are based on velocities, with 10 % or half of
    the difference to Harris's if that is more; else Harris's with his error. It applies to the core:
    ``radius`` is the core radius. ``b_v`` is Harris's integrated colour, corrected for reddening, with 0.05
    mag and a tenth of the reddening. ``mass_function_slope`` (0.2 to 0.8 Msun, whole cluster) is that of
    Baumgardt's models, if they are based on velocities; the table has no errors, 0.3 is assumed.
    ``effective_radius``, the projected half-light radius as an angle, is that of Baumgardt's models at their
    distance, with 10 %, or half of the difference to Harris's if that is more; else Harris's, with 20 %.
    ``extinction`` is A_V = 3.1 E(B-V) of Harris, with 10 %, at least that of 0.01 mag in E(B-V).

    Parameters
    ----------
    name : str
        Any name that `cluster` accepts.

    Returns
    -------
    dict of str to Known
        ``position`` (its value a `~astropy.coordinates.SkyCoord`), ``distance`` [kpc], ``age`` [Gyr],
        ``metallicity`` [dimensionless, dex], ``velocity_dispersion`` [km/s], ``b_v`` [mag],
        ``mass_function_slope`` [dimensionless], ``effective_radius`` [arcsec], ``extinction`` [mag], if they
        are known.

    Raises
    ------
    TypeError, ValueError
        As for `cluster`.

    Examples
    --------
    >>> from pidoc.catalogs import known
    >>> for its in known('NGC 5466').values():
    ...     if its.name != 'position':
    ...         print(f'{its.name}: {its.value:.2f} +- {its.error:.2f} ({its.source})')
    distance: 16.90 kpc +- 0.84 kpc (Baumgardt et al. 2019)
    age: 12.50 Gyr +- 0.79 Gyr (VandenBerg et al. 2013)
    metallicity: -1.98 +- 0.15 (Harris 1996 (2010 edition))
    velocity_dispersion: 1.60 km / s +- 0.17 km / s (Baumgardt et al. 2019)
    b_v: 0.67 mag +- 0.05 mag (Harris 1996 (2010 edition))
    mass_function_slope: -1.07 +- 0.30 (Baumgardt et al. 2019)
    effective_radius: 131.08 arcsec +- 13.11 arcsec (Baumgardt et al. 2019)
    extinction: 0.00 mag +- 0.03 mag (Harris 1996 (2010 edition))
    """
    row = cluster(name)
    by_harris = _value(row, 'distance', u.kpc) is not None
    found = [Known('position', row['position'], row['position_error'], _HARRIS if by_harris else _MODELS)]
    for its in (_distance(row), _age(row), _metallicity(row), _dispersion(row), _colour(row),
                _slope(row), _radius(row), _extinction(row)):
        if its is not None:
            found.append(its)
    return {its.name: its for its in found}


def _value(row, name, unit=u.one):
    """A number, or None if it is masked."""
    value = row[name]
    return None if value.mask else float(value.unmasked.to_value(unit))


def _distance(row):
    first, second = _value(row, 'model_distance', u.kpc), _value(row, 'distance', u.kpc)
    value, source = (first, _MODELS) if first is not None else (second, _HARRIS)
    if value is None:
        return None
    apart = 0.0 if None in (first, second) else 0.5 * abs(first - second)
    return Known('distance', value * u.kpc, max(_DISTANCE_ERROR * value, apart) * u.kpc, source)


def _age(row):
    value = _value(row, 'age', u.Gyr)
    if value is not None:
        error = math.hypot(_value(row, 'age_error', u.Gyr), _AGE_SYSTEMATIC)
        return Known('age', value * u.Gyr, error * u.Gyr, _VANDENBERG)
    if row['name'] in _NOT_OLD:
        return None
    return Known('age', _OLD[0] * u.Gyr, _OLD[1] * u.Gyr, _ASSUMED)


def _metallicity(row):
    value = _value(row, 'fe_h')
    return None if value is None else Known('metallicity', value * u.one, _IRON_ERROR * u.one, _HARRIS)


def _dispersion(row):
    model = _value(row, 'model_velocity_dispersion', _KMS)
    if _value(row, 'mass_error', u.Msun) is None:
        # based on a mass from the light with an assumed M/L: not a measurement
        model = None
    measured = _value(row, 'velocity_dispersion', _KMS)
    if model is not None:
        apart = 0.0 if measured is None else 0.5 * abs(measured - model)
        error = max(math.hypot(_DISPERSION_ERROR * model, _DISPERSION_ROUNDING), apart)
        core = _value(row, 'model_core_radius', u.pc) / _value(row, 'model_distance', u.pc) * u.rad
        return Known('velocity_dispersion', model * _KMS, error * _KMS, _MODELS, core.to(u.arcsec))
    if measured is None:
        return None
    error = _value(row, 'velocity_dispersion_error', _KMS) or _DISPERSION_ERROR * measured
    core = _value(row, 'core_radius', u.arcsec)
    return Known('velocity_dispersion', measured * _KMS, error * _KMS, _HARRIS,
                 None if core is None else core * u.arcsec)


def _colour(row):
    seen, red = _value(row, 'b_v', u.mag), _value(row, 'reddening', u.mag)
    if seen is None or red is None:
        return None
    error = math.hypot(_COLOUR_ERROR, max(_EXTINCTION_ERROR * red, _REDDENING_ERROR))
    return Known('b_v', (seen - red) * u.mag, error * u.mag, _HARRIS)


def _slope(row):
    value = _value(row, 'mass_function_slope')
    if value is None or _value(row, 'mass_error', u.Msun) is None:
        return None
    return Known('mass_function_slope', value * u.one, _SLOPE_ERROR * u.one, _MODELS)


def _radius(row):
    length, far = _value(row, 'model_half_light_radius', u.pc), _value(row, 'model_distance', u.pc)
    other = _value(row, 'half_light_radius', u.arcsec)
    if length is None or far is None:
        return None if other is None else Known('effective_radius', other * u.arcsec,
                                                _OTHER_RADIUS_ERROR * other * u.arcsec, _HARRIS)
    angle = (length / far * u.rad).to_value(u.arcsec)
    apart = 0.0 if other is None else 0.5 * abs(other - angle)
    return Known('effective_radius', angle * u.arcsec, max(_RADIUS_ERROR * angle, apart) * u.arcsec, _MODELS)


def _extinction(row):
    red = _value(row, 'reddening', u.mag)
    if red is None:
        return None
    error = max(_EXTINCTION_ERROR * red, _REDDENING_ERROR)
    return Known('extinction', EXTINCTION_RATIO * red * u.mag, EXTINCTION_RATIO * error * u.mag, _HARRIS)


def paper_selection(*, luminosity=1e5 * u.Lsun, nearest=10 * u.kpc, farthest=100 * u.kpc,
                    declination=-30 * u.deg):
    """Clusters selected by the rule of Chardin & Bianchini (2021, section 5), from Harris (2010).

    Parameters
    ----------
    luminosity : `~astropy.units.Quantity`, optional
        Upper limit of the V luminosity; the Sun's M_V is `pidoc.units.SOLAR_MV`.
    nearest, farthest : `~astropy.units.Quantity`, optional
        Limits of the distance, inclusive.
    declination : `~astropy.units.Quantity`, optional
        Lower limit of the declination.

    Returns
    -------
    `~astropy.table.QTable`
        The selected rows of `clusters`.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If a limit has another unit, is not finite, or excludes everything.

    Notes
    -----
    The rule does not give the 17 clusters of the paper's Table 3: see the page Catalogues.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.catalogs import paper_selection
    >>> print(*paper_selection(luminosity=2000 * u.Lsun)['name'], sep=', ')
    Whiting 1, Pal 1, Ko 2, Ko 1, AM 4
    """
    light = to_value(luminosity, u.Lsun, 'luminosity', positive=True)
    near = to_value(nearest, u.kpc, 'nearest', non_negative=True)
    far = to_value(farthest, u.kpc, 'farthest', positive=True)
    south = to_value(declination, u.deg, 'declination')
    if near > far:
        raise ValueError(f'nearest must not be larger than farthest, received {nearest} and {farthest}')
    table = clusters()
    distance = table['distance'].filled(-1 * u.kpc).to_value(u.kpc)
    bright = table['luminosity'].filled(np.inf * u.Lsun).to_value(u.Lsun)
    chosen = (bright < light) & (distance >= near) & (distance <= far) & (table['position'].dec.deg > south)
    return table[chosen]
