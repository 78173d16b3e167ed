# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Make the catalogues in ``pidoc/data`` from the files published by their authors.

    python tools/make_catalogs.py mwgc.dat vandenberg_2013_table2.csv baumgardt_2019_combined_table.txt

and, from the numbers below, Table 3 of Chardin & Bianchini (2021). See README.rst in that folder for origins
and terms. The same input gives identical bytes.
"""

import os
import re
import sys
from pathlib import Path

from astropy import units as u
from astropy.table import MaskedColumn, Table

from pidoc import catalogs

OUTPUT = Path(catalogs.__file__).parent / 'data'

_ARCSEC = u.mag / u.arcsec**2
_KMS = u.km / u.s

# Harris: for each part (column, first character, end, unit or type), positions in characters from 0.
_PARTS = (
    (('other_name', 12, 23, str), ('ra', 25, 36, 'hms'), ('dec', 38, 49, 'dms'), ('l', 52, 58, u.deg),
     ('b', 60, 66, u.deg), ('distance', 68, 73, u.kpc), ('galactocentric_distance', 74, 79, u.kpc),
     ('x', 80, 85, u.kpc), ('y', 86, 91, u.kpc), ('z', 92, 97, u.kpc)),
    (('fe_h', 13, 18, u.one), ('fe_h_weight', 19, 21, u.one), ('reddening', 24, 28, u.mag),
     ('v_hb', 29, 34, u.mag), ('distance_modulus', 35, 40, u.mag), ('v_total', 41, 46, u.mag),
     ('m_v', 47, 53, u.mag), ('u_b', 55, 60, u.mag), ('b_v', 62, 66, u.mag), ('v_r', 68, 72, u.mag),
     ('v_i', 74, 78, u.mag), ('spectral_type', 80, 84, str), ('ellipticity', 86, 90, u.one)),
    (('radial_velocity', 13, 19, _KMS), ('radial_velocity_error', 21, 25, _KMS), ('v_lsr', 27, 33, _KMS),
     ('velocity_dispersion', 37, 41, _KMS), ('velocity_dispersion_error', 44, 47, _KMS),
     ('concentration', 50, 54, u.one), ('core_collapsed', 56, 58, str), ('core_radius', 60, 64, u.arcmin),
     ('half_light_radius', 66, 70, u.arcmin), ('central_surface_brightness', 73, 78, _ARCSEC),
     ('log_central_density', 80, 85, u.one), ('log_core_relaxation_time', 88, 92, u.one),
     ('log_half_mass_relaxation_time', 93, 98, u.one)),
)
_NAME = slice(1, 10)
# Harris's entries are 0.00 if a relaxation time is unknown.
_ZERO_IS_BLANK = ('log_core_relaxation_time', 'log_half_mass_relaxation_time')

_DESCRIPTIONS = {
    'fe_h': '[Fe/H]', 'fe_h_weight': 'number of independent measurements', 'reddening': 'E(B-V)',
    'galactocentric_distance': 'the Sun being at 8.0 kpc', 'v_hb': 'V of the horizontal branch',
    'distance_modulus': 'apparent, (m-M)V', 'v_total': 'integrated V', 'm_v': 'absolute integrated V',
    'u_b': 'integrated, reddened', 'b_v': 'integrated, reddened', 'v_r': 'integrated, reddened',
    'v_i': 'integrated, reddened', 'ellipticity': '1 - b/a', 'concentration': 'log(r_t / r_c)',
    'core_collapsed': 'c: yes; c:: perhaps', 'central_surface_brightness': 'in V',
    'log_central_density': 'of Lsun/pc3', 'log_core_relaxation_time': 'of years',
    'log_half_mass_relaxation_time': 'of years',
}

# Baumgardt & Hilker: (column, first character, end, unit).
_BAUMGARDT = (
    ('ra', 14, 23, u.deg), ('dec', 25, 34, u.deg), ('distance', 36, 42, u.kpc),
    ('galactocentric_distance', 45, 51, u.kpc), ('mass', 54, 62, u.Msun), ('mass_error', 65, 73, u.Msun),
    ('v_total', 76, 81, u.mag), ('v_total_error', 84, 88, u.mag), ('mass_to_light', 90, 95, u.Msun / u.Lsun),
    ('mass_to_light_error', 98, 102, u.Msun / u.Lsun), ('core_radius', 104, 109, u.pc),
    ('half_light_radius', 112, 117, u.pc), ('half_mass_radius', 121, 126, u.pc),
    ('tidal_radius', 129, 135, u.pc),
    ('log_core_density', 138, 143, u.one), ('log_half_mass_density', 146, 151, u.one),
    ('log_core_surface_density', 155, 159, u.one), ('log_half_mass_surface_density', 162, 167, u.one),
    ('log_relaxation_time', 170, 175, u.one), ('mass_function_slope', 177, 182, u.one),
    ('remnant_fraction', 185, 189, u.one), ('velocity_dispersion', 192, 196, _KMS),
    ('escape_velocity', 199, 203, _KMS), ('anisotropy_core', 206, 211, u.one),
    ('anisotropy_half_mass', 213, 218, u.one))

# Chardin & Bianchini (2021), Table 3: L in the field, d, R_c, R_h, age (-: none given), [Fe/H], M/L and
# its error from the literature; d, age, M/L and log M in the field as predicted.
TABLE_3 = """\
NGC 5053    341.23 17.4 2.08 2.61 12.25 -2.27 2.60 0.59 16.8 13.7 1.756 2.78
Pal 11      681.17 13.4 1.19 1.46 -     -0.40 1.13 0.49 16.2 14.9 0.772 2.72
NGC 7492   1067.21 26.3 0.86 1.15 -     -1.78 1.40 0.41 21.9 15.1 1.022 3.04
NGC 5466   1876.25 16.0 1.43 2.30 12.50 -1.98 1.44 0.30 17.3  8.5 1.217 2.87
NGC 6517   2026.29 10.6 0.06 0.50 -     -1.23 2.27 0.67 30.1  4.5 6.995 4.15
NGC 4590   5224.34 10.3 0.58 1.51 12.00 -2.23 2.01 0.22 21.4  2.1 1.365 3.85
NGC 6638   7366.47  9.4 0.22 0.51 -     -0.95 1.34 0.35 12.4  0.4 1.755 4.11
NGC 6981   9888.63 17.0 0.46 0.93 11.50 -1.42 1.60 0.31 25.6  1.2 0.779 3.89
NGC 4147  10269.37 19.3 0.09 0.48 12.25 -1.80 1.66 0.41 27.6  0.4 1.190 4.09
NGC 7099  11351.31  8.1 0.06 1.03 13.00 -2.27 2.04 0.17 17.4 -1.9 1.094 4.09
NGC 6284  16612.68 15.3 0.07 0.66 -     -1.26 1.53 0.39 16.9  0.2 0.884 4.17
NGC 1904  25315.31 12.9 0.16 0.65 -     -1.60 1.47 0.15 17.0 -1.0 0.513 4.11
NGC 5634  32111.04 25.2 0.09 0.86 -     -1.88 1.91 0.46 26.7  1.8 0.412 4.12
NGC 5024  37269.46 17.9 0.35 1.31 12.25 -2.10 1.74 0.17 16.8 -0.5 0.241 3.95
NGC 7006  42293.77 41.2 0.17 0.44 11.25 -1.52 1.52 0.40 37.9  3.5 0.320 4.13
NGC 5694  50432.94 35.0 0.06 0.40 -     -1.98 2.08 0.42 27.3  1.9 0.272 4.1
NGC 6229  68421.00 30.5 0.12 0.36 -     -1.47 1.89 0.63 20.3  0.4 0.220 4.18
"""
RATIO = u.Msun / u.Lsun
COLUMNS = (
    ('field_luminosity', u.Lsun), ('distance', u.kpc), ('core_radius', u.arcmin),
    ('half_light_radius', u.arcmin), ('age', u.Gyr), ('fe_h', None), ('mass_to_light', RATIO),
    ('mass_to_light_error', RATIO),
    ('pidoc_distance', u.kpc), ('pidoc_age', u.Gyr), ('pidoc_mass_to_light', RATIO), ('pidoc_log_mass', None))


# -- the files as they are published ----------------------------------------------------------------


def harris_columns(path):
    """Harris's file as he publishes it (``mwgc.dat``), edition 2010, with ra and dec in degrees.

    Fields are cut out by their place in the line: rows are ragged, and blanks are missing values.
    """
    parts = _harris_parts(path)
    table = Table({'name': [line[_NAME].strip() for line in parts[0]]})
    for fields, lines in zip(_PARTS, parts, strict=True):
        for name, start, end, kind in fields:
            texts = [line[start:end].strip() for line in lines]
            table[name] = catalogs._column(texts, kind, name, table['name'], path)
            if name in _ZERO_IS_BLANK:
                table[name].mask |= table[name] == 0.0
            if name in _DESCRIPTIONS:
                table[name].description = _DESCRIPTIONS[name]
    table.meta = {'edition': 'December 2010',
                  'reference': 'Harris 1996, AJ 112, 1487 (2010 edition), '
                               'http://physwww.mcmaster.ca/~harris/Databases.html'}
    return table


def _harris_parts(path):
    """The rows of the three parts: those that begin with a name, after a line of column heads."""
    parts, rows = [], None
    for line in path.read_text(encoding='latin-1').expandtabs().splitlines():
        if re.match(r'\s+ID\s{2,}', line):
            rows = []
            parts.append(rows)
        elif line.startswith('___'):
            rows = None
        elif rows is not None and line.strip():
            # padded, so that a line that ends early has blank fields
            rows.append(line.ljust(110))
    names = [[line[_NAME].strip() for line in rows] for rows in parts]
    if len(parts) != 3 or not names[0]:
        raise ValueError(f"{path} is not Harris's catalogue: it must have three parts, received {len(parts)}")
    for number, other in enumerate(names[1:], start=2):
        if other != names[0]:
            wrong = sorted(set(other) ^ set(names[0])) or ['their order']
            raise ValueError(f'{path}: part {number} must have the clusters of part 1, differs in {wrong[0]}')
    return parts


def baumgardt_columns(path):
    """The combined table of Baumgardt & Hilker as they publish it (2019).

    Rows are ragged where errors are missing; fields are cut out by their place in the line.
    """
    lines = [line.ljust(220) for line in path.read_text(encoding='latin-1').splitlines() if line.strip()]
    if len(lines) < 3 or lines[0].split()[:3] != ['Cluster', 'RA', 'DEC']:
        raise ValueError(f'{path} is not the table of Baumgardt & Hilker: its first line must begin with '
                         f'Cluster RA DEC, received {lines[0].strip()[:40] if lines else "nothing"!r}')
    lines = lines[2:]
    table = Table({'name': [line[:13].strip() for line in lines]})
    for name, start, end, unit in _BAUMGARDT:
        texts = [line[start:end].strip() for line in lines]
        # a number that is not inside its field would be cut in two
        for row, line in enumerate(lines):
            if line[start - 1] != ' ' or line[end:end + 1].strip():
                raise ValueError(f'{path}: {name} of {table["name"][row]} must stand in characters '
                                 f'{start + 1} to {end}, received {line[start - 1:end + 1]!r}')
        table[name] = catalogs._column(texts, unit, name, table['name'], path)
    table.meta = {'edition': '2019',
                  'reference': 'Baumgardt & Hilker 2018, MNRAS 478, 1520; Baumgardt, Hilker, Sollima & '
                               'Bellini 2019, MNRAS 482, 5138'}
    return table


def vandenberg_columns(path):
    """Table 2 of VandenBerg et al. (2013) as comma-separated values, without a head.

    NGC number, other name, [Fe/H], age, its error, method, figure, range of ages, and five that are not kept.
    """
    rows = [line.split(',') for line in path.read_text(encoding='utf-8').splitlines() if line.strip()]
    for row in rows:
        if len(row) != 13:
            raise ValueError(f'{path}: a row must have 13 fields, received {len(row)}: {",".join(row)[:40]}')
    names = [f'NGC {row[0]}' if row[0] else _spaced(row[1]) for row in rows]
    table = Table({'name': names, 'other_name': [_spaced(row[1]) if row[0] else '' for row in rows]})
    ranges = [row[7].split('--') if row[7] else ['', ''] for row in rows]
    for name, texts, unit in (
            ('fe_h', [row[2] for row in rows], u.one), ('age', [row[3] for row in rows], u.Gyr),
            ('age_error', [row[4] for row in rows], u.Gyr), ('youngest', [ages[0] for ages in ranges], u.Gyr),
            ('oldest', [ages[-1] for ages in ranges], u.Gyr)):
        table[name] = catalogs._column(texts, unit, name, names, path)
    table.add_column([row[5] for row in rows], index=5, name='method')
    table.meta = {'reference': 'VandenBerg, Brogaard, Leaman & Casagrande 2013, ApJ 775, 134, table 2'}
    return table


def _spaced(name):
    """'M53' as 'M 53', 'Pal12' as 'Pal 12'; '47Tuc' as '47 Tuc'."""
    return re.sub(r'^([A-Za-z]+)(\d+)$|^(\d+)([A-Za-z]+)$',
                  lambda match: ' '.join(part for part in match.groups() if part), name)


# -- the tables of the package ----------------------------------------------------------------------


def table_3():
    rows = [line.split() for line in TABLE_3.splitlines()]
    table = Table({'name': [' '.join(row[:2]) for row in rows]})
    for index, (name, unit) in enumerate(COLUMNS, start=2):
        texts = [row[index] for row in rows]
        table[name] = MaskedColumn([0.0 if text == '-' else float(text) for text in texts],
                                   mask=[text == '-' for text in texts], unit=unit)
    table.meta = {'reference': 'Chardin & Bianchini 2021, Table 3'}
    return table


def write(table, filename):
    temporary = OUTPUT / f'{filename}.tmp'
    table.write(temporary, format='ascii.ecsv', overwrite=True)
    os.replace(temporary, OUTPUT / filename)
    print(f'{OUTPUT / filename}: {len(table)} rows')


def rounded(table):
    """Degrees to 1e-6, which is 4 milliarcsec and finer than any entry."""
    for name in ('ra', 'dec'):
        table[name][:] = table[name].round(6)
    return table


def main(harris, vandenberg, baumgardt):
    write(rounded(harris_columns(Path(harris))), 'harris2010.ecsv')
    write(vandenberg_columns(Path(vandenberg)), 'vandenberg2013.ecsv')
    write(baumgardt_columns(Path(baumgardt)), 'baumgardt2019.ecsv')
    write(table_3(), 'chardin2021_table3.ecsv')


if __name__ == '__main__':
    main(*sys.argv[1:])
