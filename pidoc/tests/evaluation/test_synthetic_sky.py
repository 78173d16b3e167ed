# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Synthetic files: King's structure, the light of the catalogue, noise and reddening, what is marked."""

import math

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable
from astropy.utils.masked import Masked

from pidoc import catalogs
from pidoc.evaluation import synthetic_sky
from pidoc.evaluation.synthetic_sky import (
    DEPTH,
    draw_cluster,
    EXPOSURE,
    metal_fraction,
    SKY,
    SyntheticArchive,
    write_files,
)
from pidoc.image.files import write_map
from pidoc.image.ps1 import files as ps1
from pidoc.image.ps1.retrieval import fetch, ServiceError
from pidoc.photometry import iron_abundance


@pytest.fixture(scope='module')
def cluster():
    return draw_cluster('NGC 4147')


@pytest.fixture(scope='module')
def folder(cluster, tmp_path_factory):
    result = tmp_path_factory.mktemp('synthetic')
    write_files(cluster, result)
    return result


@pytest.fixture(scope='module')
def image(folder):
    pytest.importorskip('reproject')
    return fetch('NGC 4147', archive=SyntheticArchive(folder=folder))


@pytest.mark.parametrize('fe_h', [-2.27, -0.4, 0.0])
def test_metals(fe_h):
    assert iron_abundance(metal_fraction(fe_h)) == pytest.approx(fe_h, abs=1e-9)


def test_the_mean_light_of_a_star():
    """The integral over the mass function, against stars that are drawn."""
    from pidoc.simulation.initial import kroupa_masses
    from pidoc.stellar import StellarEvolution

    tracks = StellarEvolution(0.0005)
    masses = kroupa_masses(1_000_000, np.random.default_rng(1), lower=synthetic_sky._LOW,
                           upper=synthetic_sky._HIGH)
    light = synthetic_sky._light(tracks.state(masses, 12000.0), 0.0005, 'V')
    error = light.std() / math.sqrt(light.size)
    assert synthetic_sky._mean_light(tracks, 12000.0) == pytest.approx(light.mean(), abs=4 * error)


def test_half_of_the_light_is_where_harris_has_it(cluster):
    """His half-light radius is no input: of NGC 4147 it follows from core radius, concentration and M_V."""
    row = catalogs.cluster('NGC 4147')
    half = 60 * float(row['half_light_radius'].value)
    inside = np.hypot(cluster.x, cluster.y) < half
    share = cluster.luminosity[inside].sum() / float(row['luminosity'].value)
    assert share == pytest.approx(0.5, abs=0.08)


def test_magnitudes_are_reddened():
    """A_V = 3.1 E(B-V) comes back by way of g and r, to 0.03 mag for E(B-V) = 1."""
    by = {band: 3.1 * value for band, value in synthetic_sky._EXTINCTION.items()}
    assert by['g'] - 0.498 * (by['g'] - by['r']) == pytest.approx(3.1, abs=0.03)


def test_same_seed_same_stars(cluster):
    again, other = draw_cluster('ngc4147'), draw_cluster('NGC 4147', seed=1)
    np.testing.assert_array_equal(again.x, cluster.x)
    np.testing.assert_array_equal(again.magnitude['r'], cluster.magnitude['r'])
    assert other.number == cluster.number and other.x.size != cluster.x.size


def test_the_depth_is_the_surveys():
    """5 sigma of a point source, by the noise-equivalent area of a Gaussian, 4 pi sigma^2."""
    for band, depth in DEPTH.items():
        sigma = ps1.MEDIAN_SEEING[band].to_value(u.arcsec) / 0.25 / math.sqrt(8 * math.log(2))
        noise = math.sqrt(4 * math.pi * sigma**2 * SKY[band] * EXPOSURE[band].value)
        found = 25 + 2.5 * math.log10(EXPOSURE[band].value / (5 * noise))
        assert found == pytest.approx(depth.value, abs=0.1)


def test_light_comes_through_the_files(cluster, image):
    mass, light = cluster.content()
    found = image.data.sum() * 4 * math.pi * image.meta['DISTANCE'] ** 2
    # the smoothing takes light over the edge, and the V of stars is by Kurucz, of maps by Kostov & Bonev
    assert found == pytest.approx(light.value, rel=0.05)
    assert image.meta['TRUEMASS'] == pytest.approx(mass.value)
    # Kroupa's slopes of -1.3 and -2.3 below and above 0.5 Msun
    assert image.meta['TRUESLOP'] == pytest.approx(cluster.slope) and -2.0 < cluster.slope < -1.5
    assert image.meta['PSFBYG'] == 'stars'
    assert image.meta['PSFG'] == pytest.approx(1.31, rel=0.05)
    assert image.meta['EBV'] == float(catalogs.cluster('NGC 4147')['reddening'].value)


def test_every_file_says_that_it_is_synthetic(folder, image, tmp_path):
    names = sorted(path.name for path in folder.glob('*.fits'))
    assert len(names) == 6 and all(name.startswith('synthetic.') for name in names)
    for name in names:
        header = fits.getheader(folder / name)
        assert header['SYNTHET'] is True and header['OBJECT'] == 'NGC 4147 (synthetic)'
    assert image.meta['OBJECT'] == 'NGC 4147 (synthetic)' and 'synthetic' in image.meta['SURVEY']
    write_map(image, tmp_path / 'map.fits')
    assert fits.getheader(tmp_path / 'map.fits')['SYNTHET'] is True


def test_without_noise(cluster, tmp_path):
    paths = write_files(cluster, tmp_path / 'clean', noise=False)
    assert paths[-1].name == 'listing.txt' and all(path.exists() for path in paths)
    stack = ps1.read_stack(paths[0])
    assert stack.truth['SYNTHET'] and abs(np.median(stack.counts[:20])) < 100
    with pytest.raises(OSError, match='exists: give overwrite=True'):
        write_files(cluster, tmp_path / 'clean')


def test_a_larger_field(cluster, tmp_path):
    """The files are as large as fetched ones; the inner stars are the same."""
    wide = draw_cluster('NGC 4147', field_of_view=100 * u.arcsec)
    inner = np.maximum(np.abs(cluster.x), np.abs(cluster.y)) < 100
    np.testing.assert_array_equal(wide.x[:inner.sum()], cluster.x)
    np.testing.assert_array_equal(wide.mass[:inner.sum()], cluster.mass)
    assert np.abs(wide.x).max() > 120 and np.abs(cluster.x).max() < 100
    paths = write_files(wide, tmp_path, noise=False, field_of_view=100 * u.arcsec)
    # 100 and 20 arcsec to either side, in pixels of 0.25
    assert fits.getval(paths[0], 'NAXIS1') == 960
    mass, light = wide.content(100 * u.arcsec)
    assert fits.getval(paths[0], 'TRUEMASS') == pytest.approx(mass.value)
    assert mass > cluster.content()[0]
    stack = ps1.read_stack(paths[0])
    # stars for the PSF are outside the field, so that its light is that of the cluster
    middle = np.s_[280:680, 280:680]
    g = wide.inside(100 * u.arcsec)
    flux = np.sum(10 ** (-0.4 * (wide.magnitude['g'][g] - 25))) * EXPOSURE['g'].value
    assert stack.counts[middle].sum() == pytest.approx(flux, rel=0.03)
    archive = SyntheticArchive(folder=tmp_path)
    assert archive.cutout(f'/synthetic/{paths[0].name}', wide.position, 960) == paths[0]


def test_the_archive_asks_nobody(cluster, folder):
    archive = SyntheticArchive(folder=folder)
    assert archive.offline
    assert len(archive.listing(cluster.position)) == 6
    assert len(archive.listing(cluster.position, bands='g', kinds=('stack',))) == 1
    assert len(archive.listing(SkyCoord(10, 10, unit='deg'))) == 0
    with pytest.raises(ServiceError, match='have 720 pixels to a side, asked for were 900'):
        archive.cutout(next(folder.glob('*.stk.g.unconv.fits')), cluster.position, 900)


def test_what_the_catalogue_lacks(monkeypatch):
    row = QTable({'name': ['Nobody 1'], 'm_v': Masked([0.0], mask=[True]) * u.mag})[0]
    monkeypatch.setattr(synthetic_sky, 'catalogued', lambda name: row)
    with pytest.raises(ValueError, match='the catalogue must have m_v of Nobody 1, it is blank there'):
        draw_cluster('Nobody 1')
