# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Make ``pidoc/data/atmospheres.fits``: bolometric corrections and colours of stars and white dwarfs.

    python tools/make_atmospheres.py Kurucz.dat wdhyd.dat ck04models libs VISriz.pb

The first two are those of AMUSE (https://www.amusecode.org), where they came with the stellar evolution
code of J. R. Hurley: Kurucz (1992) in ``src/amuse/community/mmc/data/static/Kurucz.dat`` and Bergeron,
Wesemael & Beauchamp (1995) in ``data/mmc/wdhyd.dat``. Of their columns BC_V, B - V and, of white dwarfs,
V - I are kept.

The redder colours are worked out here from spectra, those of Castelli & Kurucz (2003, IAU Symp. 210, A20) as
the Space Telescope Science Institute distributes them (folder ``ck04models``, one FITS file a temperature),
seen through V, I, and ACS/WFC F606W and F814W as pyphot 2.1.1 has them (its folder ``libs``: transmissions,
and the spectrum of Vega of CALSPEC), and through VIS of Euclid (``filt/euclid/VISriz.pb`` of
https://github.com/lephare-photoz/lephare-data: mirrors, filter and detector). Vega has V = I = 0.03
(Bessell 1990) and is 0 for HST; VIS is AB. White dwarfs get the colours of HST and Euclid from their V - I,
as stars of log g = 5 have them.

The same input gives identical bytes.
"""

import os
import sys
from pathlib import Path

import numpy as np
from astropy.io import fits

OUTPUT = Path(__file__).parents[1] / 'pidoc' / 'data' / 'atmospheres.fits'
#: Bands: file of the transmission in pyphot, magnitude of Vega
VEGA_BANDS = {'V': ('ground_johnson_v.csv', 0.03), 'I': ('ground_cousins_i.csv', 0.03),
              'F606W': ('hst_acs_wfc_f606w.csv', 0.0), 'F814W': ('hst_acs_wfc_f814w.csv', 0.0)}
REDDER = ('I', 'F606W', 'F814W', 'VIS')
IRON = {-2.5: 'm25', -2.0: 'm20', -1.5: 'm15', -1.0: 'm10', -0.5: 'm05', 0.0: 'p00', 0.2: 'p02', 0.5: 'p05'}
LIGHT_SPEED = 2.99792458e18    # Angstrom/s


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


class Band:
    """A transmission for photons, and the zero point of its magnitudes."""

    def __init__(self, wave, photons):
        self.wave, self.photons = wave, photons
        self.zero = 0.0

    @classmethod
    def read(cls, path):
        """One of the files of pyphot, of whatever kind of detector."""
        lines = path.read_text().splitlines()
        energy = any(line.startswith('# DETECTOR') and 'energy' in line for line in lines)
        wave, response = np.array([line.split(',') for line in lines
                                   if line and not line.startswith(('#', 'WAVELENGTH'))], dtype=float).T
        return cls(wave, response / wave if energy else response)

    def magnitude(self, wave, flux):
        """Magnitude of a spectrum F_lambda."""
        flux = np.interp(self.wave, wave, flux)
        return self.zero - 2.5 * np.log10(np.trapezoid(flux * self.photons * self.wave, self.wave))

    def set_ab(self):
        """AB: 3631 Jy at all wavelengths are of magnitude 0."""
        self.zero = -self.magnitude(self.wave, 3.631e-20 * LIGHT_SPEED / self.wave**2)
        return self

    def set_vega(self, wave, flux, magnitude):
        """Vega has this magnitude."""
        self.zero = magnitude - self.magnitude(wave, flux)
        return self


def bands(libs, vis):
    """All bands by name."""
    vega = fits.getdata(libs / 'alpha_lyr_stis_011.fits')
    vega = vega['WAVELENGTH'], vega['FLUX']
    found = {name: Band.read(libs / 'ascii_sources' / file).set_vega(*vega, magnitude)
             for name, (file, magnitude) in VEGA_BANDS.items()}
    return found | {'VIS': Band(*np.loadtxt(vis).T).set_ab()}


def colours(folder, every):
    """V minus each of the redder bands: axes and cube [iron, temperature, log g, band].

    If there is no model of so low a gravity, that of the lowest available one is used.
    """
    heats = sorted(int(path.stem.split('_')[1]) for path in (folder / 'ckp00').glob('*.fits'))
    gravity = np.arange(0.0, 5.1, 0.5)
    cube = np.full((len(IRON), len(heats), len(gravity), len(REDDER)), np.nan)
    for i, name in enumerate(IRON.values()):
        for j, heat in enumerate(heats):
            spectra = fits.getdata(folder / f'ck{name}' / f'ck{name}_{heat}.fits')
            for k, log_g in enumerate(gravity):
                flux = spectra[f'g{10 * log_g:02.0f}'].astype(float)
                if flux.any():
                    seen = {band: it.magnitude(spectra['WAVELENGTH'], flux) for band, it in every.items()}
                    cube[i, j, k] = [seen['V'] - seen[band] for band in REDDER]
            lowest = np.flatnonzero(np.isfinite(cube[i, j, :, 0]))[0]
            cube[i, j, :lowest] = cube[i, j, lowest]
    if np.isnan(cube).any():
        raise ValueError('a model of the grid has no spectrum')
    return {'fe_h': (np.array(list(IRON)), ''), 'temperature': (np.array(heats, dtype=float), 'K'),
            'log_g': (gravity, '')}, cube


def of_white_dwarfs(colour, cube):
    """The redder colours of white dwarfs of these V - I."""
    sequence = cube[0, :, -1]
    order = np.argsort(sequence[:, 0])
    return np.stack([colour, *(np.interp(colour, sequence[order, 0], sequence[order, band])
                               for band in range(1, len(REDDER)))], axis=-1)


def hdus(name, axes, cube, planes, source):
    """The cube in millimagnitudes, and a table of its axes."""
    image = fits.ImageHDU(np.round(1000.0 * cube).astype(np.int16), name=name)
    image.header['BUNIT'] = 'mmag'
    image.header['SOURCE'] = source
    image.header['PLANES'] = (planes, 'along the first FITS axis')
    columns = [fits.Column(axis, f'{len(values)}D', array=[values], unit=unit)
               for axis, (values, unit) in axes.items()]
    return [image, fits.BinTableHDU.from_columns(columns, name=f'{name}_AXES')]


def main(stars, white_dwarfs, models, libs, vis):
    (iron, heat, gravity), cube = grid(np.loadtxt(stars), 3, [3, 5])
    rows = np.loadtxt(white_dwarfs, comments='T')     # its header is the last line
    (wd_heat, wd_gravity), wd_cube = grid(rows, 2, [2, 4, 5, 6])
    axes, redder = colours(Path(models), bands(Path(libs), vis))
    wd_cube = np.concatenate([wd_cube[..., :2], of_white_dwarfs(wd_cube[..., 2] + wd_cube[..., 3], redder)],
                             axis=-1)
    names = ','.join(f'V-{band}' for band in REDDER)
    primary = fits.PrimaryHDU()
    primary.header['ORIGIN'] = ('AMUSE, data/mmc', 'Apache License 2.0; COLOURS: made here')
    primary.header['COMMENT'] = 'Made by tools/make_atmospheres.py; see README.rst in this folder.'
    every = fits.HDUList([
        primary,
        *hdus('STARS', {'fe_h': (iron, ''), 'temperature': (heat, 'K'), 'log_g': (gravity, '')},
              cube, 'BC_V,B-V', 'Kurucz 1992, IAU Symp. 149, 225'),
        *hdus('WHITE_DWARFS', {'temperature': (wd_heat, 'K'), 'log_g': (wd_gravity, '')},
              wd_cube, f'BC_V,B-V,{names}', 'Bergeron, Wesemael & Beauchamp 1995, PASP 107, 1047'),
        *hdus('COLOURS', axes, redder, names, 'spectra of Castelli & Kurucz 2003, IAU Symp. 210, A20')])
    temporary = OUTPUT.with_name(OUTPUT.name + '.tmp')
    every.writeto(temporary, overwrite=True)
    os.replace(temporary, OUTPUT)
    print(f'{OUTPUT.name}: {OUTPUT.stat().st_size / 1e3:.0f} kB')


if __name__ == '__main__':
    main(*sys.argv[1:])
