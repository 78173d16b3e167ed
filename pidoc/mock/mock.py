# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""`Mock`: an image of light, the map of mass behind it, and how they were made; as a FITS file."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from pidoc.cluster.snapshot import write_hdus
from pidoc.grid import Channel, MapGrid, MASS_PER_PIXEL
from pidoc.io.html import html_table
from pidoc.mock.header import card_value, FORMAT_VERSION, header_card, header_comments

__all__ = ['Mock']

@dataclass(frozen=True, kw_only=True, eq=False)
class Mock:
    """A mock observation: made by `observe`, or read from a file.

    Parameters
    ----------
    light : `~astropy.nddata.CCDData`
        Apparent flux F = L / (4 pi d^2) per pixel [Lsun/kpc^2] with a world coordinate system; its ``meta``
        (keywords and values) tells how it was made. Masked pixels, if any, are in ``mask``.
    mass : `~astropy.nddata.CCDData`
        Mass per pixel [Msun], of everything that has mass, on the same grid; without a PSF.
    age, distance, psf_fwhm : `~astropy.units.Quantity`
        In Gyr, kpc and arcsec.
    simulation : str
        Name of the simulation.
    seed : int
        Seed of what was drawn.
    band : str
        One of `pidoc.photometry.BANDS`.
    sharp : `~astropy.nddata.CCDData`, optional
        The image before the smoothing, with the same coordinate system; NaN where a pixel is bad.
    """

    light: CCDData
    mass: CCDData
    age: u.Quantity
    distance: u.Quantity
    psf_fwhm: u.Quantity
    simulation: str = ''
    seed: int = 0
    band: str = 'V'
    sharp: CCDData = None

    def __repr__(self):
        ny, nx = self.light.shape
        return (f'<Mock of {nx} x {ny} pixels in {self.band} of {self.simulation or "no name"}: '
                f'{self.age:.4g}, {self.distance:.4g}, seeing {self.psf_fwhm:.3g}, seed {self.seed}>')

    def _repr_html_(self):
        ny, nx = self.light.shape
        return html_table(f'Mock of {self.simulation or "no name"}', [
            ('age', f'{self.age:.4g}'), ('distance', f'{self.distance:.4g}'), ('band', self.band),
            ('seeing', f'{self.psf_fwhm:.3g}'), ('pixels', f'{nx} x {ny}'),
            ('mass in the field', f'{self.total_mass:.4g}'), ('seed', self.seed)])

    @property
    def header(self):
        """How it was made, ``light.meta`` with comments (a new `~astropy.io.fits.Header`)."""
        comments = header_comments()
        return fits.Header([header_card(keyword, value, comments.get(keyword, ''))
                            for keyword, value in self.light.meta.items()])

    @property
    def grid(self):
        """Pixels, smoothing and band (`~pidoc.grid.MapGrid`)."""
        return MapGrid(shape=self.light.shape, pixel_scale=self.light.meta['PIXSCALE'] * u.arcsec,
                       smoothing=self.light.meta['SMOOTH'], channels=(Channel(self.band),))

    @property
    def total_mass(self):
        """Mass in the field."""
        return float(np.sum(self.mass.data)) * MASS_PER_PIXEL

    @property
    def luminosity(self):
        """Luminosity in the field in the band [Lsun]: the flux that is not masked times 4 pi d^2."""
        good = self.light.data if self.light.mask is None else self.light.data[~self.light.mask]
        area = 4.0 * np.pi * self.distance.to_value(u.kpc) ** 2
        return float(np.nansum(good)) * area * u.Lsun

    @property
    def mass_to_light(self):
        """Mass over luminosity in the field."""
        return self.total_mass / self.luminosity

    def to_hdulist(self, *, dtype=np.float32):
        """The mock as FITS: the light with all cards, its mask if it has one, and extensions MASS and SHARP.

        Parameters
        ----------
        dtype : dtype, optional
            `numpy.float32` (7 digits) or `numpy.float64` (exact).

        Returns
        -------
        `~astropy.io.fits.HDUList`

        Raises
        ------
        ValueError
            If ``dtype`` is another one.
        """
        dtype = np.dtype(dtype)
        if dtype not in (np.float32, np.float64):
            raise ValueError(f'dtype must be float32 or float64, received {dtype}')
        place = self.light.wcs.to_header()
        hdus = [fits.PrimaryHDU(self.light.data.astype(dtype))]
        if self.light.mask is not None:
            hdus.append(fits.ImageHDU(self.light.mask.astype(np.uint8), name='MASK'))
        maps = {'MASS': self.mass} if self.sharp is None else {'MASS': self.mass, 'SHARP': self.sharp}
        hdus += [fits.ImageHDU(image.data.astype(dtype), name=name) for name, image in maps.items()]
        for hdu, image in zip([hdus[0], *hdus[-len(maps):]], [self.light, *maps.values()], strict=True):
            hdu.header['BUNIT'] = (image.unit.to_string('fits'), 'per pixel')
            hdu.header.update(place)
        hdus[0].header.extend(self.header, unique=True)
        return fits.HDUList(hdus)

    def write(self, filename, *, overwrite=False, dtype=np.float32):
        """Write a FITS file: complete or not at all; the same mock makes the same bytes.

        Parameters
        ----------
        filename : path-like
            Ending in .fits or .fits.gz.
        overwrite : bool, optional
            Replace a file of that name.
        dtype : dtype, optional
            See `to_hdulist`.

        Raises
        ------
        OSError
            If the file exists and ``overwrite`` is False.
        ValueError
            If ``dtype`` is none of the two.
        """
        filename = Path(filename)
        if filename.exists() and not overwrite:
            raise OSError(f'{filename} exists: say overwrite=True to replace it')
        write_hdus(list(self.to_hdulist(dtype=dtype)), filename)

    @classmethod
    def read(cls, filename):
        """Read what `write` wrote.

        Parameters
        ----------
        filename : path-like

        Returns
        -------
        Mock

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, cut short, or not a mock observation.
        """
        try:
            with warnings.catch_warnings():
                # astropy warns of a short file or a wrong checksum, and goes on
                warnings.simplefilter('error', AstropyWarning)
                # opened here, because astropy does not close what it cannot read
                with open(filename, 'rb') as file, fits.open(file, memmap=False, checksum=True) as hdus:
                    return cls._from_hdulist(hdus, filename)
        except FileNotFoundError:
            raise
        except (OSError, EOFError, TypeError, KeyError, fits.VerifyError, AstropyWarning) as error:
            raise ValueError(f'{filename} is damaged or cut short: {error}') from error

    @classmethod
    def _from_hdulist(cls, hdus, name):
        header = hdus[0].header
        if header.get('MOCKFMT') != FORMAT_VERSION or 'MASS' not in hdus:
            raise ValueError(f'{name} is not a mock observation, or cut short: it must have MOCKFMT = '
                             f'{FORMAT_VERSION} and an extension MASS')
        wcs = WCS(header)
        skip = {*wcs.to_header(), 'BUNIT', 'CHECKSUM', 'DATASUM', 'EXTEND'}
        meta = {card.keyword: card_value(card.value) for card in header.copy(strip=True).cards
                if card.keyword not in skip}
        mask = hdus['MASK'].data.astype(bool) if 'MASK' in hdus else None
        light = CCDData(_native(hdus[0].data), unit=header['BUNIT'], wcs=wcs, meta=meta, mask=mask)
        mass, sharp = (CCDData(_native(hdus[name].data), unit=hdus[name].header['BUNIT'], wcs=wcs)
                       if name in hdus else None for name in ('MASS', 'SHARP'))
        return cls(
            light=light, mass=mass, sharp=sharp,
            age=header['AGE'] * u.Gyr, distance=header['DISTANCE'] * u.kpc,
            psf_fwhm=header['PSFFWHM'] * u.arcsec, simulation=header['SIMUL'], seed=header['MOCKSEED'],
            band=header['BAND'])


def _native(array):
    return array.astype(array.dtype.newbyteorder('='))
