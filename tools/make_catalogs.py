# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Make the catalogues in ``pidoc/data`` from the files that their authors publish.

    python tools/make_catalogs.py mwgc.dat vandenberg_2013_table2.csv baumgardt_2019_combined_table.txt

and, from the numbers below, Table 3 of Chardin & Bianchini (2021). See README.rst in that folder for origins
and terms. The same files make the same bytes.
"""

import os
import sys
from pathlib import Path

from astropy import units as u
from astropy.table import MaskedColumn, Table

from pidoc import catalogs

OUTPUT = Path(catalogs.__file__).parent / 'data'

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
    write(rounded(catalogs._harris_columns(Path(harris))), 'harris2010.ecsv')
    write(catalogs._vandenberg_columns(Path(vandenberg)), 'vandenberg2013.ecsv')
    write(catalogs._baumgardt_columns(Path(baumgardt)), 'baumgardt2019.ecsv')
    write(table_3(), 'chardin2021_table3.ecsv')


if __name__ == '__main__':
    main(*sys.argv[1:])
