# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""`Mock`: an image of the light, the true map of the mass, and all settings; as a FITS file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData

from pidoc.grid import Channel, MapGrid, MASS_PER_PIXEL
from pidoc.io.fits import (
    card,
    FitsProduct,
    image_hdus,
    image_of,
    mask_hdu,
    meta_of,
    place_of,
    wcs_of,
    WrongContentError,
)
from pidoc.io.html import html_table
from pidoc.mock.header import FORMAT_VERSION, header_comments

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ['Mock']


@dataclass(frozen=True, kw_only=True, eq=False)
class Mock(FitsProduct):
    """A mock observation, made by `observe` or read from a file.

    Parameters
    ----------
    light : `~astropy.nddata.CCDData`
        Apparent flux F = L / (4 pi d^2) per pixel [Lsun/kpc^2] with a world coordinate system; its ``meta``
        (keywords and values) records all settings. Masked pixels, if any, are in ``mask``.
    mass : `~astropy.nddata.CCDData`
        Mass per pixel [Msun], of stars and remnants, on the same grid; without a PSF.
    age, distance, psf_fwhm : `~astropy.units.Quantity`
        In Gyr, kpc and arcsec.
    simulation : str
        Name of the simulation.
    seed : int
        Seed of all random settings.
    band : str
        One of `pidoc.photometry.BANDS`.
    sharp : `~astropy.nddata.CCDData`, optional
        The image before smoothing, with the same coordinate system; NaN in bad pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy import units as u
    >>> from pidoc import Snapshot
    >>> from pidoc.mock import observe
    >>> x, y, z = np.random.default_rng(0).normal(size=(3, 1000)) * u.pc
    >>> stars = {'x': x, 'y': y, 'z': z, 'mass': np.full(1000, 0.5) * u.Msun,
    ...          'luminosity': np.full(1000, 0.25) * u.Lsun, 'temperature': np.full(1000, 5772.0) * u.K}
    >>> mock = observe(Snapshot(stars, 12 * u.Gyr), distance=30 * u.kpc)
    >>> mock
    <Mock of 160 x 160 pixels in V of no name: 12 Gyr, 30 kpc, seeing 1 arcsec, seed 0>
    >>> print(mock.total_mass.round(), mock.mass_to_light.round(1))
    495.0 solMass 2.2 solMass / solLum
    >>> [hdu.name for hdu in mock.to_hdulist()]
    ['PRIMARY', 'MASS', 'SHARP']
    """

    light: CCDData
    mass: CCDData
    age: u.Quantity
    distance: u.Quantity
    psf_fwhm: u.Quantity
    simulation: str = ''
    seed: int = 0
    band: str = 'V'
    sharp: CCDData | None = None

    def __repr__(self):
        ny, nx = self.light.shape
        return (f'<Mock of {nx} x {ny} pixels in {self.band} of {self.simulation or "no name"}: '
                f'{self.age:.4g}, {self.distance:.4g}, seeing {self.psf_fwhm:.3g}, seed {self.seed}>')

    def _repr_html_(self):
        ny, nx = self.light.shape
        return html_table(f'Mock of {self.simulation or "no name"}', [
            ('age', f'{self.age:.4g}'), ('distance', f'{self.distance:.4g}'), ('band', self.band),
            ('seeing', f'{self.psf_fwhm:.3g}'), ('pixels', f'{nx} x {ny}'),
            ('mass in the field', f'{self.total_mass:.4g}'), ('seed', self.seed)],
            images={'light': self.light.data, 'mass': self.mass.data})

    @property
    def header(self) -> fits.Header:
        """All settings: ``light.meta`` with comments (a new `~astropy.io.fits.Header`)."""
        comments = header_comments()
        return fits.Header([card(keyword, value, comments.get(keyword, ''))
                            for keyword, value in self.light.meta.items()])

    @property
    def grid(self) -> MapGrid:
        """Pixels, smoothing and band (`~pidoc.grid.MapGrid`)."""
        return MapGrid(shape=self.light.shape, pixel_scale=self.light.meta['PIXSCALE'] * u.arcsec,
                       smoothing=self.light.meta['SMOOTH'], channels=(Channel(self.band),))

    @property
    def total_mass(self) -> u.Quantity:
        """Mass in the field."""
        return float(np.sum(self.mass.data)) * MASS_PER_PIXEL

    @property
    def luminosity(self) -> u.Quantity:
        """Luminosity in the field in the band [Lsun]: the unmasked flux times 4 pi d^2."""
        good = self.light.data if self.light.mask is None else self.light.data[~self.light.mask]
        area = 4.0 * np.pi * self.distance.to_value(u.kpc) ** 2
        return float(np.nansum(good)) * area * u.Lsun

    @property
    def mass_to_light(self) -> u.Quantity:
        """Mass over luminosity in the field."""
        return self.total_mass / self.luminosity

    def to_hdulist(self, *, dtype: npt.DTypeLike = np.float32) -> fits.HDUList:
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
            If ``dtype`` is neither of the two.
        """
        maps = {'': self.light, 'MASS': self.mass} | ({} if self.sharp is None else {'SHARP': self.sharp})
        hdus = image_hdus(maps, self.light.wcs, dtype)
        hdus[0].header.extend(self.header, unique=True)
        if self.light.mask is not None:
            hdus.insert(1, mask_hdu(self.light.mask))
        return fits.HDUList(hdus)

    @classmethod
    def from_hdulist(cls, hdus: fits.HDUList) -> Mock:
        """The inverse of `to_hdulist`.

        Parameters
        ----------
        hdus : `~astropy.io.fits.HDUList`

        Returns
        -------
        Mock

        Raises
        ------
        ValueError
            If it is not a mock observation.
        """
        header = hdus[0].header
        if header.get('MOCKFMT') != FORMAT_VERSION or 'MASS' not in hdus:
            raise WrongContentError(f'a mock observation must have MOCKFMT = {FORMAT_VERSION} and the '
                                    'extension MASS: not found')
        wcs = wcs_of(header)
        mask = hdus['MASK'].data.astype(bool) if 'MASK' in hdus else None
        light = image_of(hdus[0], wcs=wcs, meta=meta_of(header, skip=place_of(wcs)), mask=mask)
        mass, sharp = (image_of(hdus[name], wcs=wcs) if name in hdus else None for name in ('MASS', 'SHARP'))
        return cls(
            light=light, mass=mass, sharp=sharp,
            age=header['AGE'] * u.Gyr, distance=header['DISTANCE'] * u.kpc,
            psf_fwhm=header['PSFFWHM'] * u.arcsec, simulation=header['SIMUL'], seed=header['MOCKSEED'],
            band=header['BAND'])
