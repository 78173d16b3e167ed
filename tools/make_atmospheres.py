# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Make ``pidoc/data/atmospheres.fits``: bolometric corrections and B - V of stars and white dwarfs.

    python tools/make_atmospheres.py Kurucz.dat wdhyd.dat

The two tables are those of AMUSE (https://www.amusecode.org), where they came with the stellar evolution
code of J. R. Hurley: Kurucz (1992) in ``src/amuse/community/mmc/data/static/Kurucz.dat`` and Bergeron,
Wesemael & Beauchamp (1995) in ``data/mmc/wdhyd.dat``. Of their columns BC_V and B - V are kept. The same
tables make the same bytes.
"""

import os
import sys
from pathlib import Path

import numpy as np
from astropy.io import fits

OUTPUT = Path(__file__).parents[1] / 'pidoc' / 'data' / 'atmospheres.fits'


def grid(rows, n_axes, columns):
    """Axes, and the wanted columns as a cube over them [axis 0, axis 1 ..., column]."""
    axes = [np.unique(rows[:, i]) for i in range(n_axes)]
    shape = tuple(map(len, axes))
    if len(rows) != np.prod(shape):
        raise ValueError(f'the rows must fill a grid of {shape}, received {len(rows)}')
    where = tuple(np.searchsorted(axis, rows[:, i]) for i, axis in enumerate(axes))
    cube = np.full((*shape, len(columns)), np.nan)
    cube[where] = rows[:, columns]
    if np.isnan(cube).any():
        raise ValueError('a point of the grid has no row')
    return axes, cube


def hdus(name, axes, cube, source):
    """The cube in millimagnitudes, and a table of its axes."""
    image = fits.ImageHDU(np.round(1000.0 * cube).astype(np.int16), name=name)
    image.header['BUNIT'] = 'mmag'
    image.header['SOURCE'] = source
    image.header['PLANES'] = ('BC_V,B-V', 'along the first FITS axis')
    columns = [fits.Column(axis, f'{len(values)}D', array=[values], unit=unit)
               for axis, (values, unit) in axes.items()]
    return [image, fits.BinTableHDU.from_columns(columns, name=f'{name}_AXES')]


def main(stars, white_dwarfs):
    (iron, heat, gravity), cube = grid(np.loadtxt(stars), 3, [3, 5])
    rows = np.loadtxt(white_dwarfs, comments='T')     # its header is the last line
    (wd_heat, wd_gravity), wd_cube = grid(rows, 2, [2, 4])
    primary = fits.PrimaryHDU()
    primary.header['ORIGIN'] = ('AMUSE, data/mmc', 'Apache License 2.0')
    primary.header['COMMENT'] = 'Made by tools/make_atmospheres.py; see README.rst in this folder.'
    every = fits.HDUList([
        primary,
        *hdus('STARS', {'fe_h': (iron, ''), 'temperature': (heat, 'K'), 'log_g': (gravity, '')},
              cube, 'Kurucz 1992, IAU Symp. 149, 225'),
        *hdus('WHITE_DWARFS', {'temperature': (wd_heat, 'K'), 'log_g': (wd_gravity, '')},
              wd_cube, 'Bergeron, Wesemael & Beauchamp 1995, PASP 107, 1047')])
    temporary = OUTPUT.with_name(OUTPUT.name + '.tmp')
    every.writeto(temporary, overwrite=True)
    os.replace(temporary, OUTPUT)
    print(f'{OUTPUT.name}: {OUTPUT.stat().st_size / 1e3:.0f} kB')


if __name__ == '__main__':
    main(*sys.argv[1:])
