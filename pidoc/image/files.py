# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Maps of light as FITS files, and the meaning of their keywords: `write_map`."""

from astropy.io import fits
from astropy.nddata import CCDData

from pidoc.io.files import check_free
from pidoc.io.fits import card, image_hdus, mask_hdu, place_of, write_hdus
from pidoc.mock.header import header_comments

__all__ = ['write_map']

_COMMENTS = {
    'IMGFMT': 'version of the format of these maps', 'OBJECT': 'name of the cluster',
    'SURVEY': 'where the images are from', 'IMAGE': 'file or type of the image',
    'IMAGEHDU': 'number and name of its HDU', 'IMGSCALE': '[arcsec] side of its pixels',
    'IMGUNIT': 'unit of its pixels', 'IMGBAND': 'band of it', 'MAGSYS': 'magnitude system of its zero point',
    'IMGZP': '[mag] magnitude of one unit', 'ZPFROM': 'where that is from',
    'ZPHEADER': '[mag] zero point of the header', 'ZPKEYWRD': 'its keyword',
    'CENFROM': 'how the centre is known', 'CENX': '[pixel] column of the centre', 'CENY': '[pixel] row',
    'CENRA': '[deg] of the middle of the map', 'CENDEC': '[deg] of the middle of the map',
    'SYNTHET': 'no image of the sky', 'TRUEMASS': '[solMass] of the model in the field',
    'TRUELUM': '[solLum] likewise, in V', 'TRUEDIST': '[kpc] of the model', 'TRUEAGE': '[Gyr] of the model',
    'TRUEFEH': '[Fe/H] of the model', 'TRUESLOP': 'of its mass function, 0.2 to 0.8 solMass',
    'TRUEEBV': '[mag] E(B-V) of the model',
    'DISTANCE': '[kpc] from the catalogue', 'SMOOTH': '[pixel] sigma of the smoothing',
    'SMOOTHBY': '[pixel] of which this was added here', 'PSFBETA': 'exponent of the Moffat function',
    'PSFBLUR': '[arcsec] FWHM that it was blurred with',
    'PSFMATCH': 'was a band convolved to the PSF of the other',
    'SEEFROM': 'how the PSF is known', 'SEESTARS': 'stars it was measured on',
    'SEESCAT': '[arcsec] scatter from star to star', 'BKGFROM': 'how the background is known',
    'BKGLEVEL': '[unit of the image] level that was subtracted', 'BKGERROR': 'its standard error',
    'BKGINNER': '[arcsec] radius it was measured from', 'BKGOUTER': '[arcsec] and to',
    'SKYLEFT': '[unit of the image] level that is left', 'SKYLEFTE': 'its standard error',
    'SKYLEVEL': '[per pixel] level of the sky that is left',
    'SKYERROR': '[per pixel] its standard error',
    'SKYSHARE': 'what it would be of the light in the field', 'RELATION': 'from g and r to V',
    'COLOUR': '[mag] that V was made with: V - band, or g - r',
    'COLERR': '[mag] its standard deviation', 'COLFROM': 'where it is from',
    'COLBV': '[mag] B - V of the field, without reddening', 'COLBVERR': '[mag] its standard error',
    'ZPREAD': 'what its keyword was taken for the magnitude of', 'ZPOTHER': '[mag] if it is not that',
    'SYSHEAD': 'card of the magnitude system, not understood',
    'BANDHEAD': 'band by the header of the image', 'GAIN': 'of the header, not applied',
    'COLFRAC': 'share of pixels with a colour of their own',
    'VCHECK': '[mag] V by the other relation minus this', 'EBV': '[mag] E(B-V)',
    'EBVFROM': 'where it is from', 'EXTCORR': '[mag] extinction that was corrected',
    'BADBITS': 'bits of the mask that make a pixel bad', 'BADNAMES': 'their names',
    'DOUBTFUL': 'share with SUSPECT, STARCORE, CONV.POOR',
    'MISSING': 'pixels without light that were found', 'NMISSING': 'how many',
    'STEPS': 'first columns or rows of another level, from 0',
    'NFOREGND': 'stars in front that were taken off',
    'FORELITE': 'their light, in that of the field',
    'STARLITE': 'share of the light in bright stars left in',
    'SATLIGHT': 'share of the light in saturated pixels',
    'COVERAGE': 'share of the field with data of its own',
    'FLAGS': 'see pidoc.image.IMAGE_FLAGS'}
for _b in 'GR':
    _COMMENTS |= {
        f'IMAGE{_b}': 'file or type of the image', f'IMAGEHD{_b}': 'number and name of its HDU',
        f'IMGUNIT{_b}': 'unit of its pixels', f'ZEROPT{_b}': '[mag] magnitude (AB) of one unit',
        f'ZPFROM{_b}': 'where that is from', f'EXPTIME{_b}': '[s] exposure time', f'CELL{_b}': 'skycells',
        f'FORM{_b}': 'skycell (asinh-scaled) or cutout (linear)', f'NCELL{_b}': 'number of skycells',
        f'WEIGHT{_b}': 'where the variance is from', f'PSF{_b}': '[arcsec] FWHM before matching',
        f'PSFBETA{_b}': 'exponent of the Moffat function', f'PSFNUM{_b}': 'stars it was measured on',
        f'PSFBY{_b}': 'how it is known', f'BKGFROM{_b}': 'how the background is known',
        f'ZPREAD{_b}': 'what its keyword was taken for the magnitude of', f'GAIN{_b}': 'of the header, not '
                                                                                       'applied',
        f'ZPOTHER{_b}': '[mag] if it is not that',
        f'SYSHEAD{_b}': 'card of the magnitude system, not understood',
        f'STEPS{_b}': 'first columns or rows of another level, from 0',
        f'BKGLEVE{_b}': '[unit of the image] level that was subtracted',
        f'MISSIN{_b}': 'pixels without light that were found', f'NMISS{_b}': 'how many',
        f'SKY{_b}': '[unit of the image] level that is left'}


def write_map(image, filename, *, overwrite=False):
    """Write a map as FITS: the light with all cards, and extensions SHARP, MASK and UNCERT.

    `astropy.nddata.CCDData.read` reads it back with unit, uncertainty, mask and world coordinates.

    Parameters
    ----------
    image : `~pidoc.image.light.Light`
        Map made by `pidoc.image.prepare`.
    filename : path-like
        File name, ending in .fits or .fits.gz.
    overwrite : bool, optional
        Replace an existing file.

    Raises
    ------
    OSError
        If the file exists and ``overwrite`` is False.
    """
    check_free(filename, overwrite=overwrite)
    maps, comments = {'': image}, header_comments() | _COMMENTS
    if getattr(image, 'sharp', None) is not None:
        maps['SHARP'] = CCDData(image.sharp, unit=image.unit)
    hdus = image_hdus(maps, image.wcs)
    for keyword, value in image.meta.items():
        if isinstance(value, float):
            # so that the comment has room
            value = float(f'{value:.8g}')
        hdus[0].header.append(card(keyword, value, comments.get(keyword, '')))
    if image.mask is not None:
        hdus.append(mask_hdu(image.mask, image.wcs))
    if image.uncertainty is not None:
        hdus.append(fits.ImageHDU(image.uncertainty.array, place_of(image.wcs), name='UNCERT'))
        hdus[-1].header['UTYPE'] = type(image.uncertainty).__name__
        hdus[-1].header['BUNIT'] = image.uncertainty.unit.to_string('fits')
    write_hdus(hdus, filename)
