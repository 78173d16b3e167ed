# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""From stacks to a V map: a cluster goes through the survey's format and comes back."""

import math
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import VarianceUncertainty

from pidoc.grid import APPARENT_FLUX
from pidoc.image.preparation import prepare
from pidoc.image.ps1 import files as ps1
from pidoc.image.ps1.stacks import mosaic
from pidoc.mock.observation import observe
from pidoc.tests import ps1_sky as sky

pytest.importorskip('reproject')
pytest.importorskip('photutils')

READERS = {'stack': ps1.read_stack, 'wt': ps1.read_variance, 'mask': ps1.read_mask}
# a smaller map, with the seeing given, takes a quarter of the time
SMALL = {'seeing': {'g': 1.3 * u.arcsec, 'r': 1.1 * u.arcsec}, 'field_of_view': 20 * u.arcsec}


@pytest.fixture(autouse=True)
def _quiet_log(caplog):
    caplog.set_level('CRITICAL', logger='pidoc.image')


def stacks(survey, *, form='cutout', size=640):
    """Band -> stacks, through files in the survey's format."""
    result = {}
    for band in 'gr':
        result[band] = []
        for cell, *_ in survey.cells:
            read = {}
            for kind, reader in READERS.items():
                name = survey.filename(cell, band, kind)
                path = survey.folder / 'file.fits'
                path.write_bytes(survey.skycell(name) if form == 'skycell' else
                                 survey.cutout(name, sky.CENTER.ra.deg, sky.CENTER.dec.deg, size))
                read[kind] = reader(path)
            result[band].append(replace(read['stack'], variance=read['wt'][0], mask=read['mask'][0]))
    return result


def light_of(found, center=sky.CENTER, *, bad=ps1.BAD, **options):
    return prepare({band: mosaic(its, bad=bad) for band, its in found.items()}, center=center, **options)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('ps1')


@pytest.fixture(scope='module')
def clean(folder):
    """Stacks of one skycell without noise, and the map."""
    found = stacks(sky.Survey(folder, noise=False), form='skycell')
    return found, light_of(found)


@pytest.fixture(scope='module')
def noisy(folder):
    found = stacks(sky.Survey(folder))
    return found, light_of(found)


@pytest.fixture(scope='module')
def truth():
    """The same cluster as `observe` sees it in V, through the broader of the two seeings."""
    return observe(sky.snapshot(), distance=sky.DISTANCE, seeing=1.3 * u.arcsec, band='V',
                   correction='kurucz1992', oversampling=10, center=sky.CENTER)


def elements(image, side=10):
    """Sums over resolution elements of 2.5 arcsec."""
    number = image.shape[0] // side
    return image.reshape(number, side, number, side).sum(axis=(1, 3))


class TestRoundTrip:
    def test_where_and_what(self, clean, truth):
        image = clean[1]
        assert image.shape == truth.light.shape == (160, 160)
        assert image.unit == APPARENT_FLUX
        for place in ((0, 0), (80, 20), (159, 159)):
            here, there = image.wcs.pixel_to_world(*place), truth.light.wcs.pixel_to_world(*place)
            assert here.separation(there) < 0.001 * u.arcsec

    def test_light_is_kept(self, clean):
        """0.02 mag in each resolution element, 2 % in the field; the truth is the V of each star."""
        image = clean[1]
        expected = sky.v_by_star('kostov2018', image.wcs, 160)
        difference = -2.5 * np.log10(elements(image.data) / elements(expected))
        assert np.abs(difference).max() < 0.02
        assert np.std(difference) < 0.006
        assert image.data.sum() == pytest.approx(expected.sum(), rel=0.005)

    @pytest.mark.slow
    def test_light_is_kept_by_the_other_relation(self, clean):
        image = light_of(clean[0], relation='tonry2012')
        expected = sky.v_by_star('tonry2012', image.wcs, 160)
        difference = -2.5 * np.log10(elements(image.data) / elements(expected))
        assert np.abs(difference).max() < 0.02

    def test_beside_the_mock_observation(self, clean, truth):
        """`observe` has another relation, by which the cluster is 0.015 mag fainter; this is recorded."""
        image = clean[1]
        assert image.data.sum() == pytest.approx(truth.light.data.sum(), rel=0.02)
        # by that relation both roads to the truth meet
        expected = sky.v_by_star('tonry2012', image.wcs, 160)
        np.testing.assert_allclose(elements(expected), elements(truth.light.data), rtol=0.02)
        assert expected.sum() == pytest.approx(truth.light.data.sum(), rel=0.003)
        off = -2.5 * np.log10(image.data.sum() / truth.light.data.sum())
        assert image.meta['VCHECK'] == pytest.approx(-off, abs=0.004)

    def test_with_noise(self, noisy, clean, truth):
        image = noisy[1]
        assert image.data.sum() == pytest.approx(truth.light.data.sum(), rel=0.02)
        bright = elements(truth.light.data) > np.median(elements(truth.light.data))
        off = -2.5 * np.log10(elements(image.data)[bright] / elements(truth.light.data)[bright])
        assert np.abs(np.median(off)) < 0.02
        assert np.std(off) < 0.02
        # what noise does is what the uncertainty says, pixel by pixel
        assert 0.7 < np.std((image.data - clean[1].data) / image.uncertainty.array) < 1.4

    def test_a_cutout_and_a_skycell_are_the_same(self, noisy, folder):
        image = light_of(stacks(sky.Survey(folder), form='skycell'), **SMALL)
        again = light_of(noisy[0], **SMALL)
        np.testing.assert_allclose(image.data, again.data, rtol=1e-3, atol=1e-4 * again.data.max())

    def test_every_step_is_told(self, noisy):
        meta = noisy[1].meta
        assert meta['ZEROPTG'] == pytest.approx(25 + 2.5 * np.log10(602))
        assert meta['ZEROPTR'] == pytest.approx(25 + 2.5 * np.log10(880))
        assert meta['CONVENT'] == 'apparent flux' and meta['BAND'] == 'V' and meta['SUNMAG'] == 4.83
        assert meta['RELATION'] == 'kostov2018' and meta['PSFMATCH'] is True
        assert meta['PSFFWHM'] == meta['PSFG'] == pytest.approx(1.3, rel=0.01)
        assert meta['PSFR'] == pytest.approx(1.1, rel=0.01)
        assert meta['PSFBETA'] == meta['PSFBETAG'] == pytest.approx(sky.BETA, rel=0.05)
        assert meta['PSFNUMG'] > 10 and meta['PSFBYG'] == 'stars'
        assert meta['SMOOTH'] == 4.0 and meta['PIXSCALE'] == 0.25
        assert meta['EXTCORR'] == 0.0 and meta['FLAGS'] == ''
        assert 0.3 < meta['COLOUR'] < 0.5 and 0.3 < meta['COLFRAC'] < 1.0

    @pytest.mark.slow
    def test_a_sky_that_is_left(self, folder, clean):
        found = stacks(sky.Survey(folder, noise=False, sky=250.0))
        image = light_of(found)
        assert image.meta['FLAGS'] == 'background'
        # the cluster itself reaches there
        assert image.meta['SKYG'] - clean[1].meta['SKYG'] == pytest.approx(250, abs=5)
        assert image.data.sum() > 1.2 * clean[1].data.sum()
        better = light_of(found, background='annulus')
        assert better.meta['BKGFROMG'] == 'annulus'
        # what the annulus took of the cluster itself
        assert -0.1 < better.meta['SKYSHARE'] < 0.0
        assert better.data.sum() == pytest.approx(clean[1].data.sum(), rel=0.03)

    @pytest.mark.slow
    def test_the_center(self, clean):
        """A map about another place shows the same light there."""
        other = clean[1].wcs.pixel_to_world(79.5 + 16, 79.5 - 8)
        moved, whole = (light_of(clean[0], place, seeing=SMALL['seeing']) for place in (other, sky.CENTER))
        np.testing.assert_allclose(moved.data[30:130, 30:130], whole.data[22:122, 46:146], rtol=0.01)

    def test_no_stars(self, clean):
        """Then the survey's median is taken, and flagged."""
        noise = np.random.default_rng(0).normal(size=(200, 200)) + 5.0
        wcs = clean[0]['g'][0].wcs.deepcopy()
        x, y = wcs.world_to_pixel(sky.CENTER)
        wcs.wcs.crpix = wcs.wcs.crpix - [float(x) - 100, float(y) - 100]
        found = {band: [replace(clean[0][band][0], counts=noise, wcs=wcs, variance=None, mask=None)]
                 for band in 'gr'}
        image = light_of(found, field_of_view=20 * u.arcsec)
        assert image.meta['PSFBYG'] == image.meta['PSFBYR'] == 'median of the survey'
        assert image.meta['PSFG'] == 1.31 and image.meta['PSFR'] == 1.19
        assert 'seeing-unknown' in image.meta['FLAGS']


class TestMosaic:
    def test_one_stack_is_as_it_is(self, noisy):
        stack = noisy[0]['g'][0]
        image = mosaic([stack])
        np.testing.assert_array_equal(image.data, stack.counts)
        assert isinstance(image.uncertainty, VarianceUncertainty) and not image.mask.any()
        np.testing.assert_array_equal(image.uncertainty.array, stack.variance)
        assert image.wcs.pixel_to_world(3, 5).separation(stack.wcs.pixel_to_world(3, 5)) < 1e-6 * u.arcsec
        assert image.meta['EXPTIME'] == 602.0 and image.meta['FPA.FILTER'] == 'g'
        assert image.meta['WEIGHT'] == 'weight image' and image.meta['FORM'] == 'cutout'

    @pytest.mark.parametrize('form', ['cutout', 'skycell'])
    def test_two_skycells_that_split_the_cluster(self, folder, clean, form):
        """Their exposure times differ, so counts do not match at the seam, but flux does."""
        cells = ((59, 0, 365), (58, 350, sky.SIDE))
        split = stacks(sky.Survey(folder, noise=False, cells=cells,
                                  exposures={(58, 'g'): 300.0, (58, 'r'): 1500.0}), form=form)
        image = mosaic(split['g'])
        assert image.meta['NCELL'] == 2 and not image.mask.any()
        assert image.meta['CELL'] == 'skycell.1784.059 skycell.1784.058'
        whole = light_of(clean[0], **SMALL)
        np.testing.assert_allclose(light_of(split, **SMALL).data, whole.data, rtol=2e-3)
        # the other way round: the first stack is that to the right
        turned = {band: its[::-1] for band, its in split.items()}
        assert mosaic(turned['g']).shape == image.shape
        np.testing.assert_allclose(light_of(turned, **SMALL).data, whole.data, rtol=2e-3)

    @pytest.mark.slow
    def test_of_another_plane(self, clean):
        """The right half on pixels that are turned and shifted: counts per area are kept."""
        stack = clean[0]['r'][0]
        from reproject import reproject_exact

        turned = stack.wcs.deepcopy()
        cosine, sine = math.cos(0.2), math.sin(0.2)
        turned.wcs.pc = turned.wcs.pc @ [[cosine, -sine], [sine, cosine]]
        x, y = turned.world_to_pixel(sky.CENTER)
        turned.wcs.crpix = turned.wcs.crpix - [float(x) - 360.3, float(y) - 359.6]
        there, seen = reproject_exact((stack.counts, stack.wcs), turned, shape_out=stack.counts.shape)
        there[seen < 0.999] = np.nan
        half = stack.counts.copy()
        half[:, 330:] = np.nan
        image = mosaic([replace(stack, counts=half), replace(stack, counts=there, wcs=turned, variance=None)])
        left, low = (round(float(v)) for v in image.wcs.world_to_pixel(stack.wcs.pixel_to_world(0, 0)))
        part = image.data[low:low + 720, left:left + 720]
        assert np.isfinite(part[250:470, 250:470]).all() and image.meta['NCELL'] == 2
        assert part[250:470, 340:470].sum() == pytest.approx(stack.counts[250:470, 340:470].sum(), rel=1e-3)

    @pytest.mark.slow
    def test_masked_stars_and_gaps(self, folder, clean):
        """What is masked is filled with the mean of what is near; the mask says where."""
        holes = ((395, 300, 5, ps1.MASK_BITS['SAT']), (330, 420, 6, ps1.MASK_BITS['BLANK']),
                 (300, 340, 5, ps1.MASK_BITS['STARCORE']))
        found = stacks(sky.Survey(folder, noise=False, holes=holes))
        image = light_of(found)
        assert np.isfinite(image.data).all()
        assert image.mask.sum() == pytest.approx(math.pi * (5.5**2 + 6.5**2), rel=0.2)
        assert 1 - image.meta['COVERAGE'] == pytest.approx(image.mask.mean())
        assert mosaic(found['g']).meta['DOUBTFUL'] > 0
        assert image.data.sum() == pytest.approx(clean[1].data.sum(), rel=0.03)
        # away from them nothing changes
        y, x = np.nonzero(image.mask)
        yy, xx = np.indices(image.shape)
        far = np.min(np.hypot(yy[..., None] - y[::7], xx[..., None] - x[::7]), axis=-1) > 45
        np.testing.assert_allclose(image.data[far], clean[1].data[far], rtol=0.01)
        # with another choice of bits a star core is bad, too
        bits = ps1.BAD | ps1.MASK_BITS['STARCORE']
        assert light_of(found, bad=bits).mask.sum() > image.mask.sum() + 60
        assert 'STARCORE' in mosaic(found['g'], bad=bits).meta['BADNAMES']

    @pytest.mark.slow
    def test_without_weight_and_mask(self, noisy):
        found, full = noisy
        bare = {band: [replace(stack, variance=None, mask=None) for stack in found[band]] for band in 'gr'}
        image = light_of(bare)
        np.testing.assert_allclose(image.data, full.data, rtol=1e-3, atol=1e-3 * full.data.max())
        meta = mosaic(bare['g']).meta
        assert meta['WEIGHT'] == 'scatter of the sky' and 'DOUBTFUL' not in meta
        # far from the centre the sky makes nearly all of the noise
        ratio = image.uncertainty.array[:20, :20] / full.uncertainty.array[:20, :20]
        assert 0.7 < np.median(ratio) < 1.4

    def test_what_stacks_must_be(self, clean):
        stack = clean[0]['g'][0]
        with pytest.raises(ValueError, match='there must be a stack, received none'):
            mosaic([])
        with pytest.raises(ValueError, match='stacks must be of one band, g, received one of r'):
            mosaic([stack, clean[0]['r'][0]])
        with pytest.raises(ValueError, match='must have EXPTIME'):
            mosaic([replace(stack, exposure=None)])
        with pytest.raises(ValueError, match='must have data, received none in skycell.1784.059 that is not'):
            mosaic([replace(stack, mask=np.full(stack.counts.shape, ps1.MASK_BITS['SAT']))])
        with pytest.raises(ValueError, match=r'mask of skycell.1784.059 must have the shape \(720, 720\)'):
            replace(stack, mask=np.zeros((3, 3), dtype=int))

    def test_too_little_of_the_field(self, clean):
        stack = clean[0]['g'][0]
        counts = stack.counts.copy()
        counts[:, :380] = np.nan
        with pytest.raises(ValueError, match='must have good pixels in 50 % of the field, received'):
            light_of({'g': [replace(stack, counts=counts)], 'r': clean[0]['r']}, **SMALL)

    def test_no_light(self, clean):
        stack = clean[0]['r'][0]
        dark = replace(stack, counts=-np.abs(stack.counts) - 1)
        with pytest.raises(ValueError, match='the light in the field must be positive in both bands'):
            light_of({'g': clean[0]['g'], 'r': [dark]}, **SMALL)
