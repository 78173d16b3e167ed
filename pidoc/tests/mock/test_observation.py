# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Mock observations: theorems about light and mass, other people's PSF drawing, statistics of the noise."""

import math
from dataclasses import fields

import numpy as np
import pytest
from astropy import units as u
from astropy.convolution import convolve, convolve_fft, Gaussian2DKernel
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.modeling.functional_models import Gaussian2D, Moffat2D
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.wcs import WCS
from scipy.integrate import trapezoid

from pidoc import ClusterModel, Snapshot
from pidoc.mock import header as header_module
from pidoc.mock import observation as mock
from pidoc.mock import projection, render
from pidoc.mock.conditions import Conditions
from pidoc.mock.mock import Mock
from pidoc.mock.observation import observe
from pidoc.photometry import apparent_flux, apparent_magnitude, band_luminosity

FLUX = u.Lsun / u.kpc**2
KPC = 1000.0 * math.radians(1.0 / 3600.0)      # pc that an arcsec is at 1 kpc
SIZE = 0.4                                     # arcsec: of the compact cluster below, at 10 kpc


def cartesian(places, luminosity=None, mass=None, **more):
    """Snapshot of stars of 6000 K at given places [pc]."""
    places = np.atleast_2d(np.asarray(places, dtype=float))
    number = len(places)
    stars = {name: column * u.pc for name, column in zip('xyz', places.T)}
    stars['mass'] = (np.full(number, 0.5) if mass is None else np.asarray(mass)) * u.Msun
    stars['luminosity'] = (np.ones(number) if luminosity is None else np.asarray(luminosity)) * u.Lsun
    stars['temperature'] = np.full(number, 6000.0) * u.K
    return Snapshot(stars, 12 * u.Gyr, **more)


def cluster(number=2000, size=SIZE * 10 * KPC, seed=0, **more):
    """Gaussian blob, its size in pc."""
    rng = np.random.default_rng(seed)
    return cartesian(rng.normal(0, size, (number, 3)), 10.0 ** rng.normal(0, 1, number),
                     rng.uniform(0.1, 2, number), **more)


def spherical(number=500, pairs=0, seed=0):
    rng = np.random.default_rng(seed)
    radius = rng.uniform(0.1, 1.0, number)
    partner = np.full(number, -1, dtype=np.int32)
    for i in range(pairs):
        partner[2 * i], partner[2 * i + 1] = 2 * i + 1, 2 * i
        radius[2 * i + 1] = radius[2 * i]
    still = np.zeros(number) * u.km / u.s
    return Snapshot({'radius': radius * u.pc, 'v_r': still, 'v_t': still, 'mass': np.ones(number) * u.Msun,
                     'luminosity': np.ones(number) * u.Lsun, 'temperature': np.full(number, 6e3) * u.K,
                     'id': np.arange(number), 'partner': partner}, 10 * u.Gyr, ClusterModel.named('MW15'),
                    seed=4)


@pytest.fixture(scope='module')
def blob():
    return cluster()


def total_flux(snapshot, distance):
    return (snapshot.v_luminosity / (4 * np.pi * distance**2)).to_value(FLUX)


def centroid(image):
    y, x = np.indices(image.shape)
    return np.sum(image * x) / image.sum(), np.sum(image * y) / image.sum()


# -- what is conserved ----------------------------------------------------------------------------


@pytest.mark.parametrize('options', [
    {}, {'smoothing': 0}, {'seeing': 0.5 * u.arcsec}, {'oversampling': 3}, {'shift': [3, -2] * u.arcsec},
    {'rotation': 33 * u.deg}, {'direction': [1, 2, -3]}, {'psf': Gaussian2D(1, 0, 0, 2, 3)},
    {'conditions': Conditions()}, {'pixel_scale': 0.5 * u.arcsec}, {'field_of_view': [50, 36] * u.arcsec}])
def test_light_and_mass_are_conserved(blob, options):
    seen = observe(blob, distance=10 * u.kpc, **options)
    assert seen.light.data.sum() == pytest.approx(total_flux(blob, 10 * u.kpc), rel=1e-6)
    assert seen.total_mass.value == pytest.approx(blob.total_mass.value, rel=1e-6)
    assert seen.luminosity.value == pytest.approx(blob.v_luminosity.value, rel=1e-6)
    assert seen.mass_to_light.value == pytest.approx(blob.mass_to_light.value, rel=1e-6)
    assert seen.light.data.min() >= 0.0 and seen.mass.data.min() >= 0.0
    assert seen.light.unit == FLUX and seen.mass.unit == u.Msun


@pytest.mark.parametrize('distance', [1.0, 10.0, 80.0, 1000.0])
def test_distances(distance):
    """Flux goes as 1 / d^2, and 1 pc is 206265 / d arcsec: two stars 8 arcsec apart at any distance."""
    half = 4.0 * KPC * distance
    pair = cartesian([[-half, 0, 0], [half, 0, 0]])
    seen = observe(pair, distance=distance * u.kpc, smoothing=0)
    assert seen.light.data.sum() * distance**2 == pytest.approx(total_flux(pair, 1 * u.kpc), rel=1e-9)
    columns = np.flatnonzero(seen.mass.data.sum(axis=0))
    # at x = 79.5 -+ 16: on the edge between two pixels, within which rounding decides
    assert np.all(np.abs(columns - [63.5, 95.5]) <= 0.5)
    assert seen.distance == distance * u.kpc


def test_sizes_go_as_the_inverse_distance():
    snapshot = cluster(20000, size=1.0)
    width = []
    for distance in (40, 80):
        mass = observe(snapshot, distance=distance * u.kpc, smoothing=0).mass.data.sum(axis=0)
        width.append(np.sqrt(np.average((np.arange(160) - 79.5) ** 2, weights=mass)))
    # 1 pc at 40 kpc; a pixel adds 1 / 12 to the variance
    assert np.sqrt(width[0] ** 2 - 1 / 12) == pytest.approx(1.0 / (40 * KPC * 0.25), rel=0.02)
    assert np.sqrt(width[0] ** 2 - 1 / 12) / np.sqrt(width[1] ** 2 - 1 / 12) == pytest.approx(2.0, rel=0.02)


def test_light_from_outside_the_field_falls_in():
    """A star 2 arcsec beyond the edge: its wing is that of the Moffat function, and no mass of it is seen."""
    star = cartesian([(22.125) * 10 * KPC, 0.125 * 10 * KPC, 0])
    seen = observe(star, distance=10 * u.kpc, smoothing=0)
    assert seen.total_mass == 0 * u.Msun
    alpha = 0.5 / np.sqrt(2 ** (1 / 2.5) - 1)
    column = np.arange(140, 160)
    distance = 22.125 - (column - 79.5) * 0.25
    expected = (1 + (distance / alpha) ** 2) ** -2.5 * 1.5 / (np.pi * alpha**2) * 0.25**2
    row = seen.light.data[80, 140:] / total_flux(star, 10 * u.kpc)
    np.testing.assert_allclose(row, expected, rtol=0.01)
    # and smoothing brings in mass from just outside
    near = observe(cartesian([20.5 * 10 * KPC, 0, 0]), distance=10 * u.kpc)
    assert 0.1 < near.total_mass.value / 0.5 < 0.4
    far = observe(cartesian([60 * 10 * KPC, 0, 0]), distance=10 * u.kpc)
    assert far.light.data.max() < 1e-12 * total_flux(star, 10 * u.kpc) and far.total_mass.value == 0.0


def test_the_age_and_the_name(blob):
    seen = observe(spherical(), distance=10 * u.kpc, seed=5)
    assert seen.age == 10 * u.Gyr and seen.simulation == 'MW15' and seen.seed == 5 and seen.band == 'V'
    assert seen.psf_fwhm == 1 * u.arcsec
    assert observe(blob, distance=10 * u.kpc).simulation == ''
    assert observe(blob, distance=10 * u.kpc, simulation='mine').simulation == 'mine'
    assert repr(seen) == ('<Mock of 160 x 160 pixels in V of MW15: 10 Gyr, 10 kpc, seeing 1 arcsec, seed 5>')


# -- the PSF and the smoothing --------------------------------------------------------------------


def test_the_psf_is_the_moffat_function():
    """One star in the middle of a pixel: half of the peak at half of the FWHM, beta = 2.5 in the wings."""
    star = cartesian([0.125 * 10 * KPC] * 2 + [0])
    seen = observe(star, distance=10 * u.kpc, smoothing=0, seeing=4 * u.arcsec)
    profile = seen.light.data[80, 80:]
    assert np.interp(8, np.arange(80), profile) / profile[0] == pytest.approx(0.5, abs=0.01)
    model = Moffat2D(1, 0, 0, 8 / np.sqrt(2 ** (1 / 2.5) - 1), 2.5)(np.arange(80), 0)
    np.testing.assert_allclose(profile / profile[0], model, rtol=0.02)


def test_light_is_convolved_and_mass_is_not():
    star = cartesian([0, 0, 0])
    seen = observe(star, distance=10 * u.kpc, smoothing=0)
    assert np.count_nonzero(seen.mass.data) == 1
    assert np.count_nonzero(seen.light.data > 1e-4 * seen.light.data.max()) > 100


def test_smoothing_is_astropys(blob):
    rough = observe(blob, distance=10 * u.kpc, smoothing=0)
    smooth = observe(blob, distance=10 * u.kpc)
    kernel = Gaussian2DKernel(4, x_size=41, y_size=41)
    for name in ('light', 'mass'):
        expected = convolve_fft(getattr(rough, name).data, kernel, boundary='fill')
        found = getattr(smooth, name).data
        # astropy sees nothing beyond the edge, where there are still wings of the PSF
        np.testing.assert_allclose(found[20:-20, 20:-20], expected[20:-20, 20:-20], rtol=1e-6,
                                   atol=1e-9 * expected.max())
    assert rough.light.data.max() > 2 * smooth.light.data.max()


@pytest.mark.parametrize('shape, smoothing', [((160, 160), 4.0), ((33, 101), 3.3), ((7, 40), 1.0)])
def test_strips_are_smoothed_as_the_whole(shape, smoothing):
    margin = math.ceil(5 * smoothing)
    frame = render.Frame(shape[1], shape[0], 0.25, 1, 3, margin)
    pixels = np.random.default_rng(0).exponential(size=frame.smoothed_shape)
    weights = np.exp(-0.5 * (np.arange(-margin, margin + 1) / smoothing) ** 2)
    whole = convolve(pixels, np.outer(weights, weights) / weights.sum() ** 2)
    np.testing.assert_allclose(frame.smooth_cut(pixels, smoothing), frame.cut(whole), rtol=1e-13)


def test_two_ways_to_smooth_agree(blob):
    """The light's smoothing is folded into the transform of the PSF, unless something comes in between."""
    folded = observe(blob, distance=10 * u.kpc).light.data
    after = observe(blob, distance=10 * u.kpc, conditions=Conditions()).light.data
    np.testing.assert_allclose(after, folded, rtol=1e-9, atol=1e-13 * folded.max())


@pytest.mark.parametrize('shape', [(21, 21), (31, 21), (1, 1)])
def test_a_kernel_array(shape):
    """Sources on a grid come out as the kernel, not flipped."""
    kernel = np.random.default_rng(0).uniform(size=shape)
    star = cartesian([0.125 * 10 * KPC] * 2 + [0])
    seen = observe(star, distance=10 * u.kpc, smoothing=0, psf=kernel)
    half = shape[0] // 2, shape[1] // 2
    found = seen.light.data[80 - half[0]:81 + half[0], 80 - half[1]:81 + half[1]]
    np.testing.assert_allclose(found / found.sum(), kernel / kernel.sum(), atol=1e-12)
    assert seen.light.meta['PSF'] == 'array' and seen.light.meta['PSFBETA'] is None


def test_models_and_kernels_of_astropy(blob):
    """The same Gaussian as a model, a kernel and an array, and its FWHM."""
    kernel = Gaussian2DKernel(3, x_size=41, y_size=41)
    options = dict(distance=10 * u.kpc, smoothing=0)
    seen = [observe(blob, **options, psf=psf) for psf in (kernel, kernel.array, Gaussian2D(1, 0, 0, 3, 3))]
    np.testing.assert_allclose(seen[0].light.data, seen[1].light.data, rtol=1e-12)
    np.testing.assert_allclose(seen[2].light.data, seen[1].light.data, atol=1e-5 * seen[1].light.data.max())
    assert [one.light.meta['PSF'] for one in seen] == ['Gaussian2DKernel', 'array', 'Gaussian2D']
    for one in seen:
        assert one.psf_fwhm.to_value(u.arcsec) == pytest.approx(2.3548 * 3 * 0.25, rel=0.01)


def test_photutils_draws_the_same():
    """Sub-pixels bring the image to that of photutils' drawing of every star at its own place."""
    datasets, psf = pytest.importorskip('photutils.datasets'), pytest.importorskip('photutils.psf')
    snapshot = cluster(60, size=2.0)
    sources = snapshot.stars
    x, y = (sources[name].to_value(u.pc) / (10 * KPC * 0.25) + 79.5 for name in 'xy')
    flux = sources['v_luminosity'].to_value(u.Lsun) / (4 * np.pi * 100)
    model = psf.CircularGaussianPRF(fwhm=6.0)
    drawn = datasets.make_model_image((160, 160), model, QTable({'x_0': x, 'y_0': y, 'flux': flux}),
                                      model_shape=(61, 61))
    error = []
    for fine in (1, 4, 8):
        seen = observe(snapshot, distance=10 * u.kpc, smoothing=0, oversampling=fine,
                       psf=Gaussian2D(1, 0, 0, 6 / 2.35482, 6 / 2.35482))
        error.append(np.abs(seen.light.data - drawn).max() / drawn.max())
    assert error[0] < 0.2 and error[1] < 0.04 and error[2] < 0.02


def test_photutils_models_are_taken():
    psf = pytest.importorskip('photutils.psf')
    star = cartesian([0.125 * 10 * KPC] * 2 + [0])
    seen = observe(star, distance=10 * u.kpc, smoothing=0, psf=psf.CircularGaussianPRF(fwhm=5.0))
    assert seen.psf_fwhm.to_value(u.arcsec) == pytest.approx(1.25, rel=0.02)
    assert seen.light.data.sum() == pytest.approx(total_flux(star, 10 * u.kpc), rel=1e-9)


# -- projection -----------------------------------------------------------------------------------


def where(snapshot, **options):
    """Place of the only star [arcsec right of and above the middle], to a pixel."""
    seen = observe(snapshot, distance=10 * u.kpc, smoothing=0, **options)
    return (np.array(centroid(seen.mass.data)) - 79.5) * 0.25


@pytest.mark.parametrize('direction, expected', [
    (None, (3, 6)), ([0, 0, 2], (3, 6)), ([0, 0, -1], (3, -6)), ([1, 0, 0], (-9, 6)), ([0, 1, 0], (3, -9)),
    ([0, -1, 0], (3, 9))])
def test_directions(direction, expected):
    star = cartesian(np.array([3, 6, 9]) * 10 * KPC)
    np.testing.assert_allclose(where(star, direction=direction), expected, atol=0.13)


@pytest.mark.parametrize('angle, expected', [(0, (3, 6)), (90, (-6, 3)), (180, (-3, -6)), (270, (6, -3)),
                                             (-90, (6, -3)), (45, (-2.12, 6.36))])
def test_rotation_is_counter_clockwise(angle, expected):
    star = cartesian(np.array([3, 6, 9]) * 10 * KPC)
    np.testing.assert_allclose(where(star, rotation=angle * u.deg), expected, atol=0.13)


def test_a_rotation_comes_before_the_shift():
    star = cartesian(np.array([3, 6, 9]) * 10 * KPC)
    np.testing.assert_allclose(where(star, rotation=90 * u.deg, shift=[1, 2] * u.arcsec), (-5, 5), atol=0.13)


def test_quarter_turns_turn_the_image(blob):
    straight = observe(blob, distance=10 * u.kpc)
    turned = observe(blob, distance=10 * u.kpc, rotation=90 * u.deg)
    # counter-clockwise with y upwards
    np.testing.assert_allclose(turned.light.data, np.rot90(straight.light.data, -1), rtol=1e-6,
                               atol=1e-12 * straight.light.data.max())


def test_every_rotation_to_z_is_one():
    for seed in range(20):
        vector, _ = mock._direction('random', np.random.SeedSequence(seed))
        matrix = projection._towards_z(vector)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1.0)
        np.testing.assert_allclose(matrix @ vector, [0, 0, 1], atol=1e-12)


def test_random_shifts_rotations_and_directions():
    shifts = np.array([mock._shift('random', np.random.SeedSequence(i))[0] for i in range(2000)])
    assert shifts.min() > -5 and shifts.max() < 5
    assert np.all(np.abs(shifts.mean(axis=0)) < 4 * 10 / np.sqrt(12 * 2000))
    assert np.all(np.abs(shifts.var(axis=0) / (100 / 12) - 1) < 0.1)
    turns = [mock._rotation('random', np.random.SeedSequence(i))[0] for i in range(2000)]
    angles, counts = np.unique(turns, return_counts=True)
    assert list(angles) == [0, 90, 180, 270] and np.all(np.abs(counts - 500) < 4 * np.sqrt(375))
    angles = np.array([mock._rotation('any', np.random.SeedSequence(i))[0] for i in range(2000)])
    assert abs(angles.mean() - 180) < 4 * 360 / np.sqrt(12 * 2000) and angles.max() > 350
    views = np.array([mock._direction('random', np.random.SeedSequence(i))[0] for i in range(2000)])
    np.testing.assert_allclose(np.linalg.norm(views, axis=1), 1.0)
    # isotropic: mean 0, second moments 1 / 3
    assert np.abs(views.mean(axis=0)).max() < 4 / np.sqrt(3 * 2000)
    np.testing.assert_allclose(views.T @ views / 2000, np.eye(3) / 3, atol=0.04)


def test_what_was_drawn_is_in_the_header(blob):
    options = dict(distance=10 * u.kpc, seed=8)
    seen = observe(blob, **options, shift='random', rotation='any', direction='random')
    meta = seen.light.meta
    again = observe(blob, **options, shift=[meta['SHIFTX'], meta['SHIFTY']] * u.arcsec,
                    rotation=meta['ROTANGLE'] * u.deg,
                    direction=[meta['VIEWX'], meta['VIEWY'], meta['VIEWZ']])
    np.testing.assert_allclose(again.light.data, seen.light.data, rtol=1e-9, atol=1e-15)
    assert (meta['SHIFTBY'], meta['ROTBY'], meta['VIEWBY']) == ('random', 'any', 'random')
    # asking for one of them does not change the others
    alone = observe(blob, **options, rotation='any')
    assert alone.light.meta['ROTANGLE'] == meta['ROTANGLE'] and alone.light.meta['SHIFTX'] == 0.0


def test_drawn_directions_are_those_of_their_numbers():
    """The half-angle formula against sine and cosine of the same random numbers."""
    number = 100_000
    snapshot = Snapshot({'radius': np.linspace(0.1, 5, number) * u.pc, 'v_r': np.zeros(number) * u.km / u.s,
                         'v_t': np.zeros(number) * u.km / u.s, 'mass': np.ones(number) * u.Msun}, 1 * u.Gyr)
    stream = np.random.SeedSequence(5)
    x, y = projection._Prepared(snapshot).project(snapshot, None, stream)
    rng = np.random.default_rng(stream)
    height, azimuth = rng.uniform(-1, 1, number), rng.uniform(0, 2 * np.pi, number)
    flat = np.linspace(0.1, 5, number) * np.sqrt(1 - height**2)
    np.testing.assert_allclose(x, flat * np.cos(azimuth), rtol=0, atol=1e-14)
    np.testing.assert_allclose(y, flat * np.sin(azimuth), rtol=0, atol=1e-14)


def test_spherical_snapshots_draw_their_directions():
    snapshot = spherical(pairs=50)
    own = observe(snapshot, distance=10 * u.kpc, smoothing=0)
    x, y = (snapshot.stars[name].to_value(u.pc) / (10 * KPC * 0.25) + 80 for name in 'xy')
    expected = np.histogram2d(y, x, bins=[np.arange(161)] * 2)[0]
    np.testing.assert_array_equal(own.mass.data, expected)
    drawn = [observe(snapshot, distance=40 * u.kpc, direction='random', seed=i, smoothing=0)
             for i in (1, 1, 2)]
    np.testing.assert_array_equal(drawn[0].mass.data, drawn[1].mass.data)
    assert np.any(drawn[0].mass.data != drawn[2].mass.data)
    assert drawn[0].light.meta['VIEWX'] is None
    prepared = projection.prepared_stars(snapshot)
    x, y = prepared.project(snapshot, (0, 0, 1), np.random.SeedSequence(3))
    # the components of a binary stay together; isotropic: <x^2 + y^2> = 2/3 r^2
    np.testing.assert_array_equal(x[0:100:2], x[1:100:2])
    assert np.mean((x**2 + y**2) / snapshot._radius**2) == pytest.approx(2 / 3, abs=0.06)


# -- bands ----------------------------------------------------------------------------------------


def test_bands_and_corrections():
    stars = spherical(50).stars
    snapshot = Snapshot(stars, 10 * u.Gyr, ClusterModel.named('MW15'))
    for band in 'BVgr':
        seen = observe(snapshot, distance=30 * u.kpc, band=band, correction='kurucz1992')
        expected = 50 * band_luminosity(1 * u.Lsun, 6000 * u.K, 1, mass=1 * u.Msun, metallicity=0.001,
                                        band=band, correction='kurucz1992')
        assert seen.luminosity.value == pytest.approx(expected.value, rel=2e-3)
        assert seen.band == band and seen.light.meta['BCORR'] == 'kurucz1992'
    rich = observe(snapshot, distance=30 * u.kpc, band='B', correction='kurucz1992', metallicity=0.02)
    poor = observe(snapshot, distance=30 * u.kpc, band='B', correction='kurucz1992')
    assert rich.luminosity < 0.99 * poor.luminosity and rich.light.meta['BCMETAL'] == 0.02


# -- the sky --------------------------------------------------------------------------------------


@pytest.mark.parametrize('center', [
    None, SkyCoord(250.42 * u.deg, 36.46 * u.deg), SkyCoord(0.0001 * u.deg, -60 * u.deg),
    SkyCoord(100 * u.deg, 90 * u.deg), SkyCoord(10 * u.deg, 20 * u.deg, frame='galactic')])
def test_the_tangent_plane(center):
    """The cluster's centre is at the given centre, north is up, east is left, stars at their places."""
    shift, star = [2, -3] * u.arcsec, np.array([4.125, 8.125, 0]) * 10 * KPC
    seen = observe(cartesian(star), distance=10 * u.kpc, center=center, shift=shift, smoothing=0)
    middle = (SkyCoord(0, 0, unit='deg') if center is None else center).icrs
    pixel = [79.5 + 2 / 0.25, 79.5 - 3 / 0.25]
    found = seen.light.wcs.pixel_to_world(*pixel)
    assert found.separation(middle) < 1e-6 * u.arcsec and found.frame.name == 'icrs'
    x, y = centroid(seen.mass.data)
    place = seen.mass.wcs.pixel_to_world(x, y)
    assert place.separation(middle).to_value(u.arcsec) == pytest.approx(np.hypot(4.125, 8.125), abs=0.13)
    # at a pole, east and north are those of the given meridian
    east, north = seen.light.wcs.pixel_to_world(pixel[0] - 20, pixel[1]), seen.light.wcs.pixel_to_world(
        pixel[0], pixel[1] + 20)
    assert north.separation(middle).to_value(u.arcsec) == pytest.approx(5, abs=1e-4)
    if abs(middle.dec.deg) < 89:
        assert middle.position_angle(north).wrap_at(180 * u.deg).deg == pytest.approx(0, abs=1e-3)
        assert middle.position_angle(east).deg == pytest.approx(90, abs=1e-2)


def test_a_field_that_is_not_square(blob):
    seen = observe(blob, distance=10 * u.kpc, field_of_view=[30, 20] * u.arcsec, pixel_scale=0.5 * u.arcsec)
    assert seen.light.shape == (40, 60) == seen.mass.shape
    square = observe(blob, distance=10 * u.kpc, field_of_view=30 * u.arcsec, pixel_scale=0.5 * u.arcsec)
    np.testing.assert_allclose(seen.light.data, square.light.data[10:50], rtol=1e-9, atol=1e-15)


# -- files ----------------------------------------------------------------------------------------


def test_round_trip_and_same_bytes(tmp_path):
    conditions = Conditions(bad_pixels=0.02, zero_point=26 * u.mag, exposure=100 * u.s)
    options = dict(distance=12 * u.kpc, shift='random', direction='random', seed=3, conditions=conditions,
                   center=SkyCoord(30 * u.deg, -40 * u.deg))
    seen = observe(spherical(), **options)
    seen.write(tmp_path / 'a.fits', dtype=np.float64)
    observe(spherical(), **options).write(tmp_path / 'b.fits', dtype=np.float64)
    assert (tmp_path / 'a.fits').read_bytes() == (tmp_path / 'b.fits').read_bytes()
    back = Mock.read(tmp_path / 'a.fits')
    for name in ('light', 'mass', 'sharp'):
        one, two = getattr(seen, name), getattr(back, name)
        np.testing.assert_array_equal(one.data, two.data)
        assert one.unit == two.unit and two.wcs.wcs.compare(one.wcs.wcs, tolerance=1e-12)
    np.testing.assert_array_equal(seen.light.mask, back.light.mask)
    for name in ('age', 'distance', 'psf_fwhm', 'simulation', 'seed', 'band'):
        assert getattr(back, name) == getattr(seen, name)
    assert back.light.meta == seen.light.meta
    back.write(tmp_path / 'c.fits', dtype=np.float64)
    assert (tmp_path / 'a.fits').read_bytes() == (tmp_path / 'c.fits').read_bytes()
    back.write(tmp_path / 'd.fits')
    np.testing.assert_allclose(Mock.read(tmp_path / 'd.fits').mass.data, seen.mass.data, rtol=1e-6)
    other = observe(spherical(), **{**options, 'seed': 4})
    assert np.any(other.mass.data != seen.mass.data)


def test_everything_that_was_chosen_is_in_the_file(tmp_path, blob):
    observe(spherical(), distance=12 * u.kpc, conditions=Conditions(sky=21 * u.mag / u.arcsec**2)).write(
        tmp_path / 'a.fits')
    with fits.open(tmp_path / 'a.fits') as hdus:
        header = hdus[0].header
        assert [hdu.name for hdu in hdus] == ['PRIMARY', 'MASS', 'SHARP']
        assert hdus['MASS'].header['BUNIT'] == 'solMass'
        assert WCS(hdus['MASS'].header).wcs.ctype[0] == 'RA---TAN'
        hdus.verify('exception')
    assert u.Unit(header['BUNIT']) == FLUX
    assert ClusterModel.from_header(header) == ClusterModel.named('MW15')
    comments = (header_module._COMMENTS | header_module.CONDITION_COMMENTS | header_module._STAR_COMMENTS)
    for keyword, comment in comments.items():
        assert header.comments[keyword] == comment and len(header.cards[keyword].image) == 80
    assert (header['SKYMAG'], header['DISTANCE'], header['SNAPSEED'], header['CONVENT']) == (
        21.0, 12.0, 4, 'apparent flux')
    assert header['SKYERR'] == header['CALERR'] == 0.0


def test_ccddata_reads_both_images(tmp_path):
    seen = observe(spherical(), distance=12 * u.kpc, conditions=Conditions(bad_pixels=0.01))
    seen.write(tmp_path / 'a.fits')
    light = CCDData.read(tmp_path / 'a.fits')
    assert light.unit == FLUX and light.wcs.wcs.ctype[1] == 'DEC--TAN'
    np.testing.assert_array_equal(light.mask, seen.light.mask)
    mass = CCDData.read(tmp_path / 'a.fits', hdu='MASS', hdu_mask=None)
    assert mass.unit == u.Msun and mass.data.sum() == pytest.approx(seen.total_mass.value, rel=1e-5)


def test_files_that_are_refused(tmp_path, blob):
    seen, path = observe(blob, distance=10 * u.kpc), tmp_path / 'a.fits'
    seen.write(path)
    with pytest.raises(OSError, match='exists: give overwrite=True'):
        seen.write(path)
    seen.write(path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ['a.fits']
    with pytest.raises(ValueError, match='dtype must be float32 or float64, received int16'):
        seen.write(tmp_path / 'b.fits', dtype=np.int16)
    with pytest.raises(FileNotFoundError):
        Mock.read(tmp_path / 'none.fits')
    whole = path.read_bytes()
    for name, content in (('short', whole[:len(whole) // 2]), ('text', b'not fits'), ('empty', b''),
                          ('altered', whole[:90000] + b'\xff\x00\xff\x00' + whole[90004:])):
        (tmp_path / f'{name}.fits').write_bytes(content)
        with pytest.raises(ValueError, match=f'{name}.fits(: a FITS file must| is damaged or cut short)'):
            Mock.read(tmp_path / f'{name}.fits')
    blob.write(tmp_path / 'snapshot.fits')
    with pytest.raises(ValueError, match='snapshot.fits: a mock observation must have MOCKFMT = 1 and'):
        Mock.read(tmp_path / 'snapshot.fits')


# -- conditions -----------------------------------------------------------------------------------

EMPTY = cartesian([1e6, 0, 0])      # its only star is far outside
SKY = 21.0 * u.mag / u.arcsec**2
DEEP = dict(zero_point=26 * u.mag, exposure=100 * u.s)
PER_PIXEL = apparent_flux(21 * u.mag).to_value(FLUX) * 0.25**2
ELECTRONS = 100 * 10 ** (0.4 * (26 - 21)) * 0.25**2


def empty(smoothing=0, seed=0, **conditions):
    return observe(EMPTY, distance=10 * u.kpc, smoothing=smoothing, conditions=Conditions(**conditions),
                   seed=seed).light


def test_extinction_dims_the_cluster(blob):
    clear, dim = (observe(blob, distance=10 * u.kpc, conditions=Conditions(extinction=a * u.mag))
                  for a in (0, 2.5))
    np.testing.assert_allclose(dim.light.data, clear.light.data / 10, rtol=1e-9, atol=1e-18)
    assert dim.total_mass == clear.total_mass


def test_the_sky():
    level = empty(sky=SKY, subtract_sky=False)
    np.testing.assert_allclose(level.data, PER_PIXEL, rtol=1e-12)
    # the magnitude of the sky in a square arcsec, back from the image
    assert apparent_magnitude(16 * level.data[0, 0] * level.unit).value == pytest.approx(21.0)
    np.testing.assert_allclose(empty(sky=SKY).data, 0.0, atol=1e-12 * PER_PIXEL)


def many_skies(blob, number=150, **conditions):
    """Light maps of many seeds, and that without anything wrong."""
    options = dict(distance=10 * u.kpc, field_of_view=12 * u.arcsec, pixel_scale=0.5 * u.arcsec,
                   smoothing=1.0)
    mocks = [observe(blob, conditions=Conditions(**conditions), seed=seed, **options)
             for seed in range(number)]
    clean = observe(blob, **options)
    assert all(np.array_equal(mock.mass.data, clean.mass.data) for mock in mocks)
    return np.array([mock.light.data for mock in mocks]), clean.light.data, mocks[0].light.meta


def test_a_level_of_the_sky_that_is_wrong(blob):
    """By the same in all pixels; its standard deviation is that share of the mean light."""
    light, clean, meta = many_skies(blob, sky_error=0.2)
    off = (light - clean) / clean.mean()
    np.testing.assert_allclose(np.std(off, axis=(1, 2)), 0, atol=1e-9)
    scatter = off.mean(axis=(1, 2))
    # a standard deviation is known to 1 / sqrt(2 n): 6 %; the smoothing takes a little light out of the field
    assert np.std(scatter) == pytest.approx(0.2, rel=0.2)
    assert np.mean(scatter) == pytest.approx(0, abs=3 * 0.2 / 150**0.5)
    assert (meta['SKYERR'], meta['CALERR']) == (0.2, 0.0)
    # the total is wrong by as much
    totals = light.sum(axis=(1, 2)) / clean.sum()
    assert np.std(totals) == pytest.approx(np.std(scatter))


def test_a_calibration_that_is_wrong(blob):
    light, clean, meta = many_skies(blob, calibration_error=0.1 * u.mag)
    ratio = light / clean
    np.testing.assert_allclose(np.std(ratio, axis=(1, 2)), 0, atol=1e-9)
    magnitudes = 2.5 * np.log10(ratio.mean(axis=(1, 2)))
    assert np.std(magnitudes) == pytest.approx(0.1, rel=0.2)
    assert np.mean(magnitudes) == pytest.approx(0, abs=3 * 0.1 / 150**0.5)
    assert (meta['SKYERR'], meta['CALERR']) == (0.0, 0.1)


def test_both_are_wrong_independently(blob):
    light, clean, _ = many_skies(blob, sky_error=0.2, calibration_error=100 * u.mmag)
    # what differs between pixels shows the calibration, their sum the sky
    factor = light.std(axis=(1, 2)) / clean.std()
    level = (light / factor[:, np.newaxis, np.newaxis] - clean).mean(axis=(1, 2)) / clean.mean()
    assert np.std(2.5 * np.log10(factor)) == pytest.approx(0.1, rel=0.2)
    assert np.std(level) == pytest.approx(0.2, rel=0.2)
    # 0 +- 1 / sqrt(n)
    assert abs(np.corrcoef(level, np.log(factor))[0, 1]) < 0.25


@pytest.mark.parametrize('angle', [0, 90, 200])
def test_an_uneven_sky(angle):
    light = empty(sky=SKY, sky_gradient=0.1, sky_angle=angle * u.deg).data / PER_PIXEL
    y, x = (np.indices((160, 160)) - 79.5) / 160
    slope = np.linalg.lstsq(np.column_stack([x.ravel(), y.ravel()]), light.ravel(), rcond=None)[0]
    np.testing.assert_allclose(slope, 0.1 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))]),
                               atol=1e-9)
    assert abs(light.mean()) < 1e-9


def test_photon_noise():
    """Mean and variance of electrons are both the sky's; skewness that of a Poisson distribution."""
    counts = empty(sky=SKY, **DEEP, subtract_sky=False).data / PER_PIXEL * ELECTRONS
    number = counts.size
    assert counts.mean() == pytest.approx(ELECTRONS, abs=4 * np.sqrt(ELECTRONS / number))
    assert counts.var() == pytest.approx(ELECTRONS, rel=4 * np.sqrt(2 / number))
    assert np.abs(counts - np.round(counts)).max() < 1e-6
    neighbours = np.corrcoef(counts[:, 1:].ravel(), counts[:, :-1].ravel())[0, 1]
    assert abs(neighbours) < 4 / np.sqrt(number)


def test_read_noise():
    counts = empty(**DEEP, read_noise=5.0).data / PER_PIXEL * ELECTRONS
    assert counts.mean() == pytest.approx(0.0, abs=4 * 5 / 160)
    assert counts.std() == pytest.approx(5.0, rel=4 / np.sqrt(2 * 160**2))


def test_noise_is_smoothed_with_the_light():
    """Uncorrelated noise smoothed by a Gaussian: its variance goes down by 4 pi sigma^2."""
    rough, smooth = (empty(smoothing, **DEEP, read_noise=5.0, sky=SKY).data for smoothing in (0, 4))
    assert rough.var() / smooth.var() == pytest.approx(4 * np.pi * 16, rel=0.25)
    assert abs(smooth.mean()) < 4 * rough.std() / 160


def test_noise_changes_with_the_seed_and_not_the_cluster(blob):
    options = dict(distance=10 * u.kpc, shift='random', conditions=Conditions(**DEEP, sky=SKY))
    one, two = observe(blob, **options, seed=1), observe(blob, **options, seed=2)
    assert np.any(one.light.data != two.light.data)
    clean = observe(blob, distance=10 * u.kpc, shift='random', seed=1)
    np.testing.assert_array_equal(one.mass.data, clean.mass.data)
    # on average, noise changes nothing
    assert one.light.data.sum() == pytest.approx(clean.light.data.sum(), rel=0.01)


def test_saturation():
    star = cartesian([0.125 * 10 * KPC] * 2 + [0], luminosity=[1e4])
    conditions = dict(zero_point=25 * u.mag, exposure=1000 * u.s)
    full = observe(star, distance=10 * u.kpc, smoothing=0, conditions=Conditions(**conditions))
    zero = apparent_flux(25 * u.mag).to_value(FLUX) / 1000
    seen = observe(star, distance=10 * u.kpc, smoothing=0,
                   conditions=Conditions(**conditions, saturation=6e4))
    expected = full.light.data / zero >= 6e4
    assert 10 < expected.sum() < 1000 and full.light.mask is None
    np.testing.assert_array_equal(seen.light.mask, expected)
    np.testing.assert_allclose(seen.light.data[expected], 6e4 * zero)
    np.testing.assert_array_equal(seen.light.data[~expected], full.light.data[~expected])


def test_bad_pixels():
    light = empty(bad_pixels=0.05, sky=SKY, subtract_sky=False)
    assert light.mask.mean() == pytest.approx(0.05, abs=4 * np.sqrt(0.05 / 160**2))
    np.testing.assert_array_equal(np.isnan(light.data), light.mask)
    chosen = np.zeros((160, 160), dtype=bool)
    chosen[10:13, 40] = True
    np.testing.assert_array_equal(empty(bad_pixels=chosen).mask, chosen)
    # smoothed, an even sky stays even: masked pixels are left out, not taken for dark
    for bad in (0.05, chosen):
        light = empty(4, bad_pixels=bad, sky=SKY, subtract_sky=False)
        assert light.mask.any()
        np.testing.assert_allclose(light.data, PER_PIXEL, rtol=1e-9)
    everything = np.ones((160, 160), dtype=bool)
    assert np.isnan(empty(4, bad_pixels=everything).data[80, 80])
    with pytest.raises(ValueError, match=r'map of bad_pixels must have the shape .* received \(3, 3\)'):
        empty(bad_pixels=np.zeros((3, 3), dtype=bool))


def test_a_table_of_field_stars(blob):
    table = QTable({'x': [-8, 5.1] * u.arcsec, 'y': [3.1, 6.1] * u.arcsec, 'magnitude': [15, 16] * u.mag})
    light = empty(field_stars=table, extinction=3 * u.mag).data
    assert light.sum() == pytest.approx(np.sum(apparent_flux(table['magnitude']).value), rel=2e-3)
    y, x = np.unravel_index(light.argmax(), light.shape)
    assert (x - 79.5) * 0.25 == pytest.approx(-8, abs=0.13)
    assert (y - 79.5) * 0.25 == pytest.approx(3.1, abs=0.13)
    # on top of the cluster
    clean, both = (observe(blob, distance=10 * u.kpc, conditions=Conditions(field_stars=t)).light.data
                   for t in (None, table))
    assert (both - clean).sum() == pytest.approx(light.sum(), rel=0.01)


def test_drawn_field_stars():
    """Numbers are Poisson, places even, magnitudes follow the slope; the wings of those outside come in."""
    frame = render.Frame(160, 160, 0.25, 1, 40, 20)
    conditions = Conditions(field_stars=5000 / u.arcmin**2, field_star_magnitudes=[15, 20] * u.mag)
    x, y, flux = conditions._field_star_fluxes(frame, 'V', np.random.default_rng(0))
    expected = 5000 * (frame.padded[0] * 0.25 / 60) ** 2
    assert x.size == pytest.approx(expected, abs=4 * np.sqrt(expected))
    for place in (x, y):
        assert np.abs(place).max() < 35 and place.var() == pytest.approx(70**2 / 12, rel=0.05)
    magnitude = apparent_magnitude(flux * FLUX).value
    assert 15 <= magnitude.min() and magnitude.max() <= 20
    for limit in (17.0, 19.0):
        share = (10 ** (0.3 * limit) - 10**4.5) / (10**6 - 10**4.5)
        error = np.sqrt(share * (1 - share) / x.size)
        assert np.mean(magnitude < limit) == pytest.approx(share, abs=4 * error)
    even = Conditions(field_stars=5000 / u.arcmin**2, field_star_slope=0.0)
    flux = even._field_star_fluxes(frame, 'V', np.random.default_rng(0))[2]
    magnitude = apparent_magnitude(flux * FLUX).value
    assert magnitude.mean() == pytest.approx(19, abs=4 * 10 / np.sqrt(12 * magnitude.size))
    mean = np.mean([empty(field_stars=500 / u.arcmin**2, field_star_magnitudes=[18, 20] * u.mag,
                          seed=i).data.mean() for i in range(40)])
    s = 0.3 * np.log(10)
    density = 500 / 3600 / 16
    m = np.linspace(18, 20, 2001)
    pdf = s * np.exp(s * m) / (np.exp(s * 20) - np.exp(s * 18))
    assert mean == pytest.approx(density * trapezoid(pdf * apparent_flux(m * u.mag).value, m), rel=0.1)


def test_options_may_be_texts(blob):
    texts = observe(blob, distance='10 kpc', seeing='0.8 arcsec', rotation='90 deg',
                    field_of_view='30 arcsec', pixel_scale='0.5 arcsec')
    same = observe(blob, distance=10 * u.kpc, seeing=0.8 * u.arcsec, rotation=90 * u.deg,
                   field_of_view=30 * u.arcsec, pixel_scale=0.5 * u.arcsec)
    np.testing.assert_array_equal(texts.light.data, same.light.data)
    assert texts.light.meta == same.light.meta


def test_conditions_may_be_texts():
    texts = Conditions(extinction='0.3 mag', sky='21.5 mag / arcsec2', sky_angle='30 deg',
                       zero_point='25 mag', exposure='1 min', calibration_error='0.02 mag',
                       field_stars='2 arcmin-2')
    same = Conditions(extinction=0.3 * u.mag, sky=21.5 * u.mag / u.arcsec**2, sky_angle=30 * u.deg,
                      zero_point=25 * u.mag, exposure=1 * u.min, calibration_error=0.02 * u.mag,
                      field_stars=2 * u.arcmin**-2)
    for field in fields(Conditions):
        assert np.all(getattr(texts, field.name) == getattr(same, field.name))


@pytest.mark.parametrize('options, error, message', [
    (dict(extinction='much'), ValueError, 'extinction must be a number with a unit, such as "5 mag"'),
    (dict(extinction=-1 * u.mag), ValueError, 'extinction must not be negative, received -1.0 mag'),
    (dict(extinction=[1, 2] * u.mag), ValueError, 'extinction must be a scalar'),
    (dict(sky=21 * u.mag), u.UnitConversionError, 'sky must have a unit'),
    (dict(exposure=0 * u.s, zero_point=25 * u.mag), ValueError, 'exposure must be positive'),
    (dict(exposure=1 * u.s), ValueError, 'zero_point and exposure go together'),
    (dict(read_noise=3), ValueError, 'read_noise and saturation need zero_point and exposure'),
    (dict(read_noise=-3), ValueError, 'read_noise must be a number, at least 0, received -3'),
    (dict(saturation=0), ValueError, 'saturation must be positive, received 0'),
    (dict(sky_gradient=0.1), ValueError, 'sky_gradient needs sky, received None'),
    (dict(sky_gradient=3, sky=SKY), ValueError, 'sky_gradient must be a number from -2 to 2, received 3'),
    (dict(sky_error=-0.1), ValueError, 'sky_error must be a number, at least 0, received -0.1'),
    (dict(sky_error=0.1 * u.mag), ValueError, 'sky_error must be a number, at least 0, received <Quantity'),
    (dict(calibration_error=-0.1 * u.mag), ValueError, 'calibration_error must not be negative, received'),
    (dict(calibration_error=0.05), TypeError, 'calibration_error must be an astropy Quantity in mag'),
    (dict(field_stars=3.0), TypeError, 'field_stars must be an astropy Quantity'),
    (dict(field_stars=QTable({'x': [1] * u.arcsec})), ValueError, 'magnitude, y, magnitude not found'),
    (dict(field_stars=QTable({'x': [1.0], 'y': [1.0], 'magnitude': [1.0]})), TypeError, 'x of field_stars'),
    (dict(field_star_magnitudes=[20, 10] * u.mag), ValueError, 'the brightest and the faintest'),
    (dict(bad_pixels=1.0), ValueError, 'bad_pixels must be at least 0 and below 1, received 1.0'),
    (dict(bad_pixels=np.zeros((160, 160))), TypeError, 'a map of bad_pixels must be boolean')])
def test_conditions_that_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        Conditions(**options)


@pytest.mark.parametrize('options, error, message', [
    (dict(distance=0 * u.kpc), ValueError, 'distance must be positive, received 0.0 kpc'),
    (dict(distance=10), TypeError, 'distance must be an astropy Quantity in kpc, received 10'),
    (dict(seeing=-1 * u.arcsec), ValueError, 'seeing must be positive'),
    (dict(field_of_view=40.1 * u.arcsec), ValueError, 'must be a whole number of pixels of 0.25'),
    (dict(field_of_view=[1, 2, 3] * u.arcsec), ValueError, 'field_of_view must be one angle or two'),
    (dict(shift='left'), ValueError, "shift must be a Quantity, 'random' or None, received 'left'"),
    (dict(shift=3 * u.arcsec), ValueError, 'shift must be two angles, received 3.0 arcsec'),
    (dict(rotation='left'), ValueError, "rotation must be a Quantity, .* received 'left'"),
    (dict(direction='up'), ValueError, "direction must be three numbers, 'random' or None, received 'up'"),
    (dict(direction=[0, 0, 0]), ValueError, r'direction must be three numbers, not all zero, received \[0'),
    (dict(smoothing=-1), ValueError, 'smoothing must be a number of pixels, at least 0, received -1'),
    (dict(oversampling=0), ValueError, 'oversampling must be a whole number, at least 1, received 0'),
    (dict(seed=-1), ValueError, 'seed must be a whole number, at least 0, received -1'),
    (dict(center=(1, 2)), TypeError, r'center must be one SkyCoord, received \(1, 2\)'),
    (dict(conditions='bad'), TypeError, "conditions must be Conditions or None, received 'bad'"),
    (dict(psf='sharp'), TypeError, 'psf must be an array, a Kernel2D or a model .* received str'),
    (dict(psf=np.ones((4, 5))), ValueError, r'an odd number of pixels in both, received the shape \(4, 5\)'),
    (dict(psf=np.zeros((3, 3))), ValueError, 'finite, with a positive sum, received 0.0'),
    (dict(psf=np.ones((3, 3)), oversampling=2), ValueError, 'oversampling needs the default PSF or a model'),
    (dict(band='z'), ValueError, 'band must be one of B, V, g, r, I, F606W, F814W, VIS'),
    (dict(correction='kurucz1992'), ValueError, "'kurucz1992' needs the metallicity, which")])
def test_options_that_are_refused(blob, options, error, message):
    with pytest.raises(error, match=message):
        observe(blob, **{'distance': 10 * u.kpc, **options})


def test_snapshots_that_are_refused():
    with pytest.raises(TypeError, match='snapshot must be a Snapshot, received str'):
        observe('MW15', distance=10 * u.kpc)
    dark = Snapshot({'x': [0] * u.pc, 'y': [0] * u.pc, 'z': [0] * u.pc, 'mass': [1] * u.Msun}, 1 * u.Gyr)
    with pytest.raises(ValueError, match='the light needs the columns luminosity .* received x, y, z, mass'):
        observe(dark, distance=10 * u.kpc)


def test_a_snapshot_is_not_changed_and_not_kept(blob):
    before = blob.stars
    observe(blob, distance=10 * u.kpc, rotation=180 * u.deg)
    for name in before.colnames:
        np.testing.assert_array_equal(before[name], blob.stars[name])
    count = len(projection._PREPARED)
    one = cluster(10)
    observe(one, distance=10 * u.kpc)
    assert len(projection._PREPARED) == count + 1
    del one
    assert len(projection._PREPARED) == count


def test_the_whole_range_of_distances_on_a_real_size():
    """A cluster with 3 pc across: all of its light from 1 kpc on is in fields that hold it."""
    snapshot = cluster(5000, size=1.0)
    for distance, side in ((1, 2000), (10, 200), (100, 40), (1000, 40)):
        scale = max(0.25, side / 400) * u.arcsec
        seen = observe(snapshot, distance=distance * u.kpc, field_of_view=side * u.arcsec, pixel_scale=scale)
        assert seen.total_mass.value == pytest.approx(snapshot.total_mass.value, rel=1e-6)


# -- the sharp image, given luminosities, and the light without what an observation suffers from


def test_the_sharp_image_becomes_the_smoothed_one(tmp_path):
    snapshot = spherical(pairs=50)
    same = {'distance': 20 * u.kpc, 'seed': 3}
    kept, plain = observe(snapshot, **same), observe(snapshot, keep_sharp=False, **same)
    peak = plain.light.data.max()
    np.testing.assert_allclose(kept.light.data, plain.light.data, rtol=1e-6, atol=1e-12 * peak)
    np.testing.assert_array_equal(kept.mass.data, plain.mass.data)
    assert plain.sharp is None
    # what it is: the image that is not smoothed
    unsmoothed = observe(snapshot, smoothing=0, **same).light
    np.testing.assert_allclose(kept.sharp.data, unsmoothed.data, atol=1e-12 * unsmoothed.data.max())
    assert kept.sharp.unit == mock.APPARENT_FLUX
    kept.write(tmp_path / 'kept.fits')
    again = Mock.read(tmp_path / 'kept.fits')
    np.testing.assert_array_equal(again.sharp.data, kept.sharp.data.astype(np.float32))
    plain.write(tmp_path / 'plain.fits')
    assert Mock.read(tmp_path / 'plain.fits').sharp is None


def test_noise_is_in_the_sharp_image_and_bad_pixels_are_holes():
    conditions = Conditions(sky=21 * u.mag / u.arcsec**2, zero_point=25 * u.mag, exposure=60 * u.s,
                            bad_pixels=0.1)
    # so far away that the sky makes the noise
    same = {'snapshot': spherical(pairs=50), 'distance': 5 * u.Mpc}
    noisy = observe(conditions=conditions, **same)
    np.testing.assert_array_equal(np.isnan(noisy.sharp.data), noisy.light.mask)
    # of independent noise a Gaussian of 4 pixels leaves 1 / (2 sqrt(pi) 4)
    quiet = observe(conditions=Conditions(), **same)
    sharp = np.nanstd(noisy.sharp.data - quiet.sharp.data)
    smooth = np.std(noisy.light.data - quiet.light.data)
    assert smooth / sharp == pytest.approx(1 / (2 * np.sqrt(np.pi) * 4) / np.sqrt(0.9), rel=0.25)


def test_given_luminosities_replace_those_of_the_columns():
    snapshot = spherical(pairs=20)
    own = snapshot.stars['v_luminosity']
    plain, same, double = (observe(snapshot, distance=20 * u.kpc, luminosities=light).light.data
                           for light in (None, own, 2 * own))
    np.testing.assert_allclose(same, plain, rtol=1e-12)
    np.testing.assert_allclose(double, 2 * plain, rtol=1e-12)
    with pytest.raises(ValueError, match=r'one of each of 500 stars, received the shape \(3,\)'):
        observe(snapshot, distance=20 * u.kpc, luminosities=[1, 2, 3] * u.Lsun)
    with pytest.raises(TypeError, match='luminosities must be an astropy Quantity'):
        observe(snapshot, distance=20 * u.kpc, luminosities=np.ones(40))


@pytest.mark.parametrize('smoothing', [0.0, 4.0])
def test_the_true_light_is_that_without_conditions(smoothing):
    snapshot = spherical(pairs=50)
    same = {'distance': 5 * u.kpc, 'smoothing': smoothing, 'shift': [3, -2] * u.arcsec}
    clean = observe(snapshot, **same)
    assert 'LUMTRUE' not in clean.light.meta
    conditions = Conditions(extinction=0.7 * u.mag, sky=20 * u.mag / u.arcsec**2, zero_point=24 * u.mag,
                            exposure=9 * u.s, field_stars=80 / u.arcmin**2)
    noisy = observe(snapshot, conditions=conditions, **same)
    assert noisy.light.meta['LUMTRUE'] == pytest.approx(clean.luminosity.value, rel=1e-9)
    assert noisy.luminosity.value != pytest.approx(clean.luminosity.value, rel=1e-2)
