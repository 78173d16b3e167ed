# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Inputs that observers have, each with the answer that they should get: one test for each kind.

All are the same cluster of stars with photon noise, stored, calibrated or spoiled in another way. The
network is that of `stand_in`, whose mass is twice the light.
"""

import bz2
import gzip
import re
import time

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits

from pidoc.networks.variables import OUTPUTS
from pidoc.prediction.mapper import MassMapper
from pidoc.tests.image_helpers import CENTER, expected, paint, stars, tan_wcs, truth, ZERO_POINT
from pidoc.tests.stand_in import StandIn

pytest.importorskip('reproject')
pytest.importorskip('photutils')

SIDE, SCALE, FWHM, SKY = 250, 0.4, 1.1, 1000.0
MIDDLE = SIDE // 2
DISTANCE = 15.0 * u.kpc
WCS = tan_wcs((SIDE, SIDE), SCALE)
INNER = np.s_[MIDDLE - 50:MIDDLE + 50, MIDDLE - 50:MIDDLE + 50]         # 40 arcsec, the field


def cluster(number=8000, radius=12.0, factor=10.0, seed=1):
    """Offsets and counts of stars, none of which is too bright for a cluster at 15 kpc."""
    east, north, counts = stars(number, radius=radius, seed=seed)
    return east, north, factor * np.minimum(counts, 5000.0)


def observed(sample, *, sky=SKY, wcs=WCS, shape=(SIDE, SIDE), fwhm=FWHM):
    """Counts above the sky, with the noise of both."""
    counts = paint(sample, wcs, shape, fwhm=fwhm)
    return (np.random.default_rng(7).poisson(counts + sky) - sky).astype('>f4')


SAMPLE = cluster()


@pytest.fixture(scope='module')
def base():
    pixels = observed(SAMPLE)
    pixels.flags.writeable = False
    return pixels


def header(wcs=WCS, **cards):
    """All that must be known; None leaves a card out."""
    result = wcs.to_header()
    result.update({'BUNIT': 'adu', 'FILTER': 'V', 'PHOTZP': ZERO_POINT.value})
    for name, value in cards.items():
        if value is None:
            del result[name]
        else:
            result[name] = value
    return result


def spoiled(pixels, where, value):
    pixels = pixels.copy()
    pixels[where] = value
    return pixels


class Answer:
    """What is said of an image: numbers, notes, and what the network was given."""

    def __init__(self, image, **options):
        self.mapper = MassMapper(StandIn())
        self.prediction = self.mapper.predict(image, **{'distance': DISTANCE, **options})
        self.meta = self.prediction.light.meta
        self.notes = self.meta['FLAGS'].split()
        self.mass = self.prediction.total_mass.to_value(u.Msun)
        self.map = self.prediction.light.data


@pytest.fixture(scope='module')
def right(base):
    """The answer to the image as it should be."""
    return Answer(fits.PrimaryHDU(base, header()))


def answer(pixels, *, options=None, **cards):
    return Answer(fits.PrimaryHDU(pixels, header(**cards)), **(options or {}))


def test_base(right):
    """The light by formula."""
    must = expected(truth(SAMPLE, fwhm=FWHM)).sum()
    assert right.map.sum() == pytest.approx(must, rel=0.01)
    assert right.mass == pytest.approx(2.0 * 4.0 * np.pi * 15.0**2 * must, rel=0.01)
    assert right.notes == [] and right.prediction.flag_names == ('no_domain',)


# -- calibration ----------------------------------------------------------------------------------


def test_photzp_of_one_count_per_second(base, right):
    """Both readings are common: which was taken is noted, and the other one is named."""
    cards = {'PHOTZP': ZERO_POINT.value - 2.5, 'EXPTIME': 10.0}
    wrong = answer(base, **cards)
    assert 'zero-point-reading' in wrong.notes
    assert wrong.meta['ZPREAD'] == 'one unit of the pixels'
    assert wrong.meta['ZPOTHER'] == pytest.approx(ZERO_POINT.value)
    good = answer(base, options={'zero_point': wrong.meta['ZPOTHER'] * u.mag}, **cards)
    assert good.mass == pytest.approx(right.mass) and 'zero-point-reading' not in good.notes
    # and where no cluster is as bright it is asked for
    with pytest.raises(ValueError, match='must be that of a cluster, .*: give zero_point=27.000 mag'):
        answer(base, PHOTZP=ZERO_POINT.value - 5.0, EXPTIME=100.0)


@pytest.mark.parametrize('cards', [
    *({'FILTER': name} for name in ('Vj', 'V', 'JV', 'bV', 'VBessel', 'BESS_V', 'V_HIGH', 'Photometric V')),
    {'FILTER': 'air', 'FILTER2': 'V'}])
def test_filter_vj(base, right, cards):
    found = answer(base, **cards)
    assert found.mass == pytest.approx(right.mass) and found.notes == []


def test_filter_of_an_unknown_name(base, right):
    """``band`` overrules the header, with a note where they differ."""
    found = answer(base, options={'band': 'V'}, FILTER='green glass')
    assert found.mass == pytest.approx(right.mass)
    found = answer(base, options={'band': 'V'}, FILTER='R')
    assert found.mass == pytest.approx(right.mass) and found.notes == ['band']


def test_magsys_of_an_unknown_word(base, right, caplog):
    found = answer(base, MAGSYS='FOO')
    assert found.mass == pytest.approx(right.mass) and found.notes == ['magnitude-system']
    assert "(MAGSYS = 'FOO', taken for Vega: give zero_point, in mag of the band or ABmag)" in caplog.text
    # and no less than AB, of which V is 0.02 mag fainter
    found = answer(base, MAGSYS='AB magnitudes')
    assert found.mass / right.mass == pytest.approx(10.0 ** (0.4 * 0.02), rel=0.01) and found.notes == []


def test_filter_f606w(base, right):
    """V - F606W = 0.25 +- 0.03 of old populations; or what is given."""
    found = answer(base, FILTER='F606W')
    assert found.mass / right.mass == pytest.approx(10.0 ** (-0.4 * 0.25), rel=1e-5)
    assert found.notes == ['colour'] and found.meta['COLERR'] == 0.03
    given = answer(base, options={'colour': 0.1 * u.mag}, FILTER='F606W')
    assert given.mass / right.mass == pytest.approx(10.0 ** (-0.4 * 0.1), rel=1e-5) and given.notes == []


# of V in AB minus Vega: Blanton & Roweis (2007), table 1
JANSKY = float(u.AB.to(u.Jy)) * 10.0 ** (-0.4 * (ZERO_POINT.value + 0.02))
PIVOT = 5510.0 * u.AA


@pytest.mark.parametrize(('unit', 'one', 'rel'), [
    ('MJY/SR', JANSKY / 1e6 / (SCALE * u.arcsec).to_value(u.rad) ** 2, 1e-3),
    ('MJy/sr', JANSKY / 1e6 / (SCALE * u.arcsec).to_value(u.rad) ** 2, 1e-3),
    ('3.631e-06 Jy', JANSKY / 3.631e-6, 1e-3),
    # by a pivot wavelength of the band that others may take for another one by 1 %
    ('erg/s/cm2/A', (JANSKY * u.Jy).to_value('erg / (s cm2 AA)', u.spectral_density(PIVOT)), 0.02),
    ('erg/s/cm^2/Angstrom', (JANSKY * u.Jy).to_value('erg / (s cm2 AA)', u.spectral_density(PIVOT)), 0.02)])
def test_unit_mjy_per_sr_capitals(base, right, unit, one, rel):
    """`one` is a count of the zero point in that unit."""
    found = answer((base * one).astype('>f4'), BUNIT=unit, PHOTZP=None)
    assert found.mass == pytest.approx(right.mass, rel=rel) and found.notes == []


@pytest.mark.parametrize('cards', [{'EQUINOX': 'J2000'}, {'RADESYS': 'fk5'}, {'RADESYS': 'J2000'},
                                   {'LATPOLE': '28.5'}, {'EQUINOX': 'J2000', 'RADESYS': None}])
def test_equinox_j2000(base, right, cards):
    found = answer(base, **cards)
    assert found.mass == pytest.approx(right.mass, rel=1e-5) and found.notes == []
    assert (found.meta['CENRA'], found.meta['CENDEC']) == pytest.approx(
        (right.meta['CENRA'], right.meta['CENDEC']), abs=1e-5)


# -- what is no light -----------------------------------------------------------------------------


@pytest.mark.parametrize('value', [-999.0, -32768.0, -99.0, 65535.0, 1e30])
def test_bad_column(base, right, value):
    """Missing, counted, and filled in so that nothing of it is seen."""
    found = answer(spoiled(base, np.s_[:, MIDDLE + 5], value))
    kind = 'cosmic' if value == 65535.0 else 'sentinel'
    assert found.meta['MISSING'].split()[1] == kind and found.meta['NMISSING'] <= SIDE
    assert found.mass == pytest.approx(right.mass, rel=0.02)
    assert np.abs(found.map - right.map).max() < 0.25 * right.map.max()


def test_half_the_field_zero(base, right):
    """The half that was seen as it is; the other one missing, and flagged."""
    found = answer(spoiled(base, np.s_[:, :MIDDLE - 5], 0.0), options={'center': CENTER})
    mask = found.prediction.light.mask
    assert found.meta['COVERAGE'] == pytest.approx(0.55, abs=0.01) and 'zero' in found.meta['MISSING']
    same = Answer(fits.PrimaryHDU(base, header()), center=CENTER)
    # beside the edge the mean of the smoothing has one side only
    seen = ~mask[:, 110:]
    np.testing.assert_allclose(found.map[:, 110:][seen], same.map[:, 110:][seen], atol=0.01 * same.map.max())
    assert 'gaps' in found.notes and {'filled', 'mostly_filled'} <= set(found.prediction.flag_names)


@pytest.mark.parametrize('value', [0.0, None])
def test_saturated_pixels(base, right, value):
    """Zero in the middle of stars, or a ceiling: their light is that of the wings."""
    ceiling = np.quantile(base, 0.999)
    found = answer(spoiled(base, base > ceiling, ceiling if value is None else value))
    assert 'saturated' in found.meta['MISSING'] and 'saturated' in found.notes
    assert found.mass == pytest.approx(right.mass, rel=0.03)


# -- the sky --------------------------------------------------------------------------------------


@pytest.mark.parametrize('share', [0.05, -0.05])
def test_sky_of_five_percent(base, right, share):
    """Noted, measured, given to the network with its error, and taken off on request."""
    level = share * float(base[INNER].mean())
    found = answer(base + np.float32(level))
    assert found.notes == ['background']
    error = found.meta['SKYERROR'] * found.map.size / found.map.sum()
    assert found.meta['SKYSHARE'] == pytest.approx(share, abs=3.0 * error) and error < 0.03
    (known,) = found.mapper.estimator.known
    assert known['sky_error'] == pytest.approx(error, rel=1e-4)
    better = answer(base + np.float32(level), options={'background': 'fit'})
    assert better.notes == [] and better.mass == pytest.approx(right.mass, rel=0.02)
    given = answer(base + np.float32(level), options={'background': level, 'sky_error': 0.1 * abs(level)})
    assert given.notes == [] and given.mass == pytest.approx(right.mass, rel=1e-4)
    assert given.meta['SKYERROR'] == pytest.approx(0.1 * abs(expected(level)) * 0.25**2 / SCALE**2, rel=1e-3)


def test_wide_cluster_zero_sky():
    """No note; and one where its own light is taken off by an annulus."""
    wide = cluster(30000, radius=70.0, seed=2)
    pixels = observed(wide)
    found = answer(pixels)
    # a larger field is used for it
    scale = found.meta['PIXSCALE']
    must = expected(truth(wide, fwhm=FWHM, scale=scale)).sum()
    assert scale > 0.25 and found.notes == [] and found.map.sum() == pytest.approx(must, rel=0.03)
    fitted = answer(pixels, options={'background': 'fit'})
    assert fitted.notes == [] and fitted.map.sum() == pytest.approx(must, rel=0.2)
    cut = answer(pixels, options={'background': (28.0, 45.0) * u.arcsec})
    # which is beside the field
    must = expected(truth(wide, fwhm=FWHM)).sum()
    assert cut.meta['PIXSCALE'] == 0.25
    assert cut.notes == ['background'] and cut.map.sum() < 0.75 * must


# -- stars ----------------------------------------------------------------------------------------


def test_star_v12(base, right):
    """A star that no cluster at 15 kpc has, 9 arcsec from the centre."""
    flux = 10.0 ** (0.4 * (ZERO_POINT.value - 12.0))
    star = paint((np.array([9.0]), np.array([0.0]), np.array([flux])), WCS, base.shape, fwhm=FWHM)
    found = answer((base + star).astype('>f4'))
    assert 'foreground-stars' in found.notes and found.meta['NFOREGND'] == 1
    assert found.mass == pytest.approx(right.mass, rel=0.03)
    light = expected(flux)
    assert found.meta['FORELITE'] == pytest.approx(light / (light + right.map.sum()), rel=0.2)


@pytest.mark.parametrize(('number', 'faintest', 'seed'), [(300, 100.0, 3), (60, 300.0, 4), (60, 300.0, 5),
                                                          (100, 100.0, 6), (1000, 30.0, 7), (30, 1000.0, 8)])
def test_field_stars_only(number, faintest, seed):
    """No cluster: noted, or refused where the brightest place is at the edge."""
    rng = np.random.default_rng(seed)
    east, north = rng.uniform(-55.0, 55.0, (2, number))
    pixels = observed((east, north, faintest * (1.0 + rng.pareto(0.75, number).clip(0.0, 250.0))))
    assert 'no-cluster' in answer(pixels, options={'center': CENTER}).notes
    try:
        notes = answer(pixels).notes
    except ValueError as error:
        notes = re.findall('which was found: give center or min_coverage', str(error))
    assert 'no-cluster' in notes or 'which was found: give center or min_coverage' in notes


def test_flux_over_100():
    """No age above that of the Universe, whatever comes out of the network."""
    ages = OUTPUTS['age'].physical(np.linspace(-100.0, 100.0, 201))
    assert np.all((ages >= 0.0) & (ages <= 14.0))


# -- other makers ---------------------------------------------------------------------------------


def test_rubin(base, right):
    """Planes that do not mean bad leave a pixel good; those that do, not."""
    planes = fits.Header()
    for bit, name in enumerate(('BAD', 'SAT', 'INTRP', 'CR', 'EDGE', 'DETECTED')):
        planes[f'HIERARCH MP_{name}'] = bit
    mask = np.where(base > 300.0, 32, 0).astype('i4')
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(base, header(), name='IMAGE'),
                         fits.ImageHDU(mask, planes, name='MASK'),
                         fits.ImageHDU(0.0 * base + SKY, name='VARIANCE')])
    found = Answer(hdus)
    assert found.mass == pytest.approx(right.mass) and found.notes == []
    assert found.prediction.mass.mask is None
    mask[100:110, 100:110] |= 1
    assert Answer(hdus).prediction.mass.mask.sum() == pytest.approx((10 * SCALE / 0.25) ** 2, rel=0.1)


@pytest.mark.parametrize('value', [300.0, 60.0, -60.0])
def test_ten_columns(base, right, value):
    """Of another level than all others: masked; and what may be an amplifier of its own is noted."""
    columns = np.s_[:, MIDDLE + 10:MIDDLE + 20]
    found = answer(spoiled(base, columns, base[columns] + value))
    assert found.mass == pytest.approx(right.mass, rel=0.02) and found.notes == ['gaps']
    assert found.meta['MISSING'].endswith(' cosmic') and 'STEPS' not in found.meta
    half = np.s_[MIDDLE + 10:]
    found = answer(spoiled(base, half, base[half] + 2.0 * value))
    assert 'steps' in found.notes and found.meta['STEPS'] == f'row {MIDDLE + 10}'
    # beside the field it does not matter
    half = np.s_[:, 20:]
    found = answer(spoiled(base, half, base[half] - value))
    assert 'steps' not in found.notes


@pytest.mark.parametrize('name', ['WHT', 'EXPOSURE', 'EXP'])
def test_no_exposure(base, right, name):
    """A gap, and a row of rejected pixels, which the weights alone tell of."""
    depth = np.full(base.shape, 100.0, dtype=np.float32)
    depth[:, MIDDLE - 30:MIDDLE - 22] = 0.0
    depth[MIDDLE + 5, MIDDLE - 20:MIDDLE + 20] = 0.0
    # interpolated by a pipeline
    pixels = np.where(depth > 0.0, base, np.float32(0.3 * base.max()))
    pixels += np.random.default_rng(2).normal(0.0, 30.0, base.shape) * (depth == 0.0)
    file = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels, header(), name='SCI'),
                         fits.ImageHDU(depth, name=name)])
    found = Answer(file)
    assert found.mass == pytest.approx(right.mass, rel=0.03) and found.notes == ['gaps']


def test_hubble_scale(right):
    """2048 x 2048 pixels of 0.05 arcsec: the centre is found in no time, and the light is the same."""
    wcs = tan_wcs((2048, 2048), 0.05)
    # fewer stars make the image in a second
    sample = cluster(2000, factor=40.0)
    image = fits.PrimaryHDU(observed(sample, sky=30.0, wcs=wcs, shape=(2048, 2048), fwhm=0.15), header(wcs))
    begin = time.process_time()
    found = Answer(image, seeing=0.15 * u.arcsec)
    assert time.process_time() - begin < 6.0
    center = found.meta['CENX'] * 0.05, found.meta['CENY'] * 0.05
    assert center == pytest.approx((51.2, 51.2), abs=2.0)
    must = expected(truth(sample, fwhm=0.5)).sum()
    assert found.map.sum() == pytest.approx(must, rel=0.02) and found.notes == []


# -- hostile --------------------------------------------------------------------------------------


def refused(image, message):
    begin = time.process_time()
    with pytest.raises(ValueError, match=message):
        Answer(image)
    assert time.process_time() - begin < 2.0


def test_singular_pc(base):
    cards = {'PC1_1': 1.0, 'PC1_2': 1.0, 'PC2_1': 1.0, 'PC2_2': 1.0 + 1e-9, 'CDELT1': -1e-4, 'CDELT2': 1e-4}
    refused(fits.PrimaryHDU(base, header(**cards)), 'make pixels without an area')


def block(*cards):
    """A header by its cards, and nothing behind it."""
    text = ''.join(f'{key:8}= {value:>20}'.ljust(80) for key, value in cards) + 'END'.ljust(80)
    return text.encode() + b' ' * (-len(text) % 2880)


BOMB = ('BITPIX', '8'), ('NAXIS', '2000000000')
BOMBS = {'naxis_bomb.fits.bz2': bz2.compress(block(('SIMPLE', 'T'), *BOMB)),
         'naxis_bomb.fits': block(('SIMPLE', 'T'), *BOMB),
         'naxis_bomb_second.fits.gz': gzip.compress(block(('SIMPLE', 'T'), ('BITPIX', '8'), ('NAXIS', '0'))
                                                    + block(('XTENSION', "'IMAGE   '"), *BOMB))}


@pytest.mark.parametrize('name', BOMBS)
def test_naxis_bomb(tmp_path, name):
    (tmp_path / name).write_bytes(BOMBS[name])
    refused(tmp_path / name, f'{name} is damaged or cut short: NAXIS must be from 0 to 999, received 2000')


@pytest.mark.parametrize(('cards', 'message'), [
    ({'NAXIS2': '0'}, 'damaged or cut short|has no image'),
    ({'NAXIS': 'T'}, 'NAXIS must be a whole number, received none'),
    ({'BITPIX': '17'}, 'BITPIX must be one of 8, 16, 32, 64, -32, -64, received 17'),
    ({'EXTNAME': "'a"}, 'damaged or cut short: Unparsable card .EXTNAME')])
def test_real_files_of_the_fuzz(tmp_path, base, cards, message):
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(base, header(), name='SCI')])
    hdus.writeto(tmp_path / 'a.fits')
    content = (tmp_path / 'a.fits').read_bytes()
    for key, value in cards.items():
        start = content.rindex(f'{key:8}='.encode())
        content = content[:start] + f'{key:8}= {value:>20}'.ljust(80).encode() + content[start + 80:]
    (tmp_path / 'a.fits').write_bytes(content)
    refused(tmp_path / 'a.fits', message)
