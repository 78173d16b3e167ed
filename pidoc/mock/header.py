# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The header of a mock observation with all settings: keywords, values and comments."""

from functools import lru_cache

from pidoc import __version__
from pidoc.cluster.model import ClusterModel
from pidoc.mock.psf import MOFFAT_BETA
from pidoc.photometry import BANDS

__all__ = ['CONDITION_COMMENTS', 'FORMAT_VERSION', 'header_comments', 'mock_meta']

FORMAT_VERSION = 1


def mock_meta(view, frame, kernel, conditions):
    """Keywords and values of all options of `observe`."""
    band = BANDS[view['BAND']]
    values = view | {
        'MOCKFMT': FORMAT_VERSION, 'PIDOCVER': __version__, 'CONVENT': 'apparent flux',
        'BANDNAME': band.name, 'MAGSYS': band.system, 'SUNMAG': band.solar_magnitude,
        'PSF': kernel.name, 'PSFFWHM': kernel.fwhm,
        'PSFBETA': MOFFAT_BETA if kernel.name == 'Moffat' else None,
        'PIXSCALE': frame.scale, 'OVERSAMP': frame.fine}
    meta = {keyword: values.get(keyword) for keyword in _COMMENTS}
    return meta if conditions is None else meta | conditions._meta()


# keyword: comment, in the order of the header
_COMMENTS = {
    'MOCKFMT': 'version of the format of mock observations',
    'PIDOCVER': 'version of pidoc',
    'CONVENT': 'F = L / (4 pi d^2) per pixel',
    'SIMUL': 'name of the simulation',
    'AGE': '[Gyr] age of the cluster',
    'DISTANCE': '[kpc] distance of the cluster',
    'BAND': 'letter of the band',
    'BANDNAME': 'the band',
    'MAGSYS': 'magnitude system of the band',
    'SUNMAG': '[mag] absolute magnitude of the Sun in the band',
    'BCORR': 'bolometric correction',
    'BCMETAL': 'metallicity given for it, else of the model',
    'PSF': 'point spread function',
    'PSFFWHM': '[arcsec] its full width at half maximum',
    'PSFBETA': 'beta of a Moffat PSF',
    'SMOOTH': '[pixel] sigma of the smoothing of both maps',
    'PIXSCALE': '[arcsec] side of a pixel',
    'OVERSAMP': 'sub-pixels to a side of a pixel',
    'SHIFTX': '[arcsec] of the cluster to the right',
    'SHIFTY': '[arcsec] of the cluster upwards',
    'SHIFTBY': 'given or drawn',
    'ROTANGLE': '[deg] rotation, counter-clockwise',
    'ROTBY': 'given or drawn',
    'VIEWX': 'direction of the observer, none: drawn anew',
    'VIEWY': 'direction of the observer',
    'VIEWZ': 'direction of the observer',
    'VIEWBY': 'given or drawn',
    'MOCKSEED': 'seed of the mock observation',
}
CONDITION_COMMENTS = {
    'EXTINCT': '[mag] extinction in the band',
    'SKYMAG': '[mag/arcsec2] brightness of the sky',
    'SKYGRAD': 'change of the sky over the width of the field',
    'SKYANGLE': '[deg] from the x axis, where it grows',
    'SKYSUB': 'is the sky subtracted',
    'SKYERR': 'error of its level, in mean light of a pixel',
    'CALERR': '[mag] error of the calibration',
    'ZEROPT': '[mag] of one electron a second',
    'EXPOSURE': '[s] exposure time',
    'RDNOISE': '[electron] read noise',
    'SATURATE': '[electron] that a pixel holds',
    'FSDENS': '[1/arcmin2] density of field stars',
    'FSTABLE': 'field stars in a given table',
    'FSBRIGHT': '[mag] brightest field star that is drawn',
    'FSFAINT': '[mag] faintest field star that is drawn',
    'FSSLOPE': 'slope of their log numbers in magnitude',
    'BADFRAC': 'share of bad pixels',
    'BADMAP': 'bad pixels in a given map',
    'LUMTRUE': '[Lsun] cluster in the field, without all this',
}
_STAR_COMMENTS = {
    'SNAPSEED': "seed of the snapshot's directions",
    'NSNAP': 'stars in the snapshot',
}


@lru_cache(maxsize=1)
def header_comments():
    model = {card.keyword: card.comment for card in ClusterModel().to_header().cards}
    return _COMMENTS | CONDITION_COMMENTS | _STAR_COMMENTS | model
