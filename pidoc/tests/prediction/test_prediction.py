# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""`Prediction`: what follows from it, and its file."""

import os
import warnings
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.table import QTable, Table, vstack
from astropy.wcs import WCS
from matplotlib.figure import Figure

from pidoc.inference.flags import flag_bits
from pidoc.inference.posterior import Posterior
from pidoc.networks.variables import OUTPUTS
from pidoc.prediction.measured import Measured
from pidoc.prediction.prediction import checked_center, Prediction, row_units


def a_wcs(crpix=(81.0, 79.0)):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ['RA---TAN', 'DEC--TAN']
    wcs.wcs.cunit = ['deg', 'deg']
    wcs.wcs.crval = (250.42, 36.46)
    wcs.wcs.cdelt = [-0.25 / 3600, 0.25 / 3600]
    wcs.wcs.crpix = crpix
    wcs.wcs.radesys = 'ICRS'
    return wcs


def measured(value, sd, unit):
    """Normal in its logarithm."""
    return Measured(*value * np.exp(sd * np.array([0, -1, 1, -2, 2])) * unit)


def a_posterior():
    """Normal; the total mass of one draw is the larger the farther it is, with a correlation of 0.6."""
    variables = (replace(OUTPUTS['total_mass'], mean=np.log(500.0), sd=2.0),
                 replace(OUTPUTS['mass_to_light'], mean=0.5, sd=0.5),
                 replace(OUTPUTS['age'], scale='linear', mean=9.0, sd=4.0),
                 replace(OUTPUTS['distance'], mean=3.0, sd=1.0))
    physical = dict(zip(['total_mass', 'mass_to_light', 'age', 'distance'], [5000.0, 1.6, 11.0, 20.0],
                        strict=True))
    means = np.array([each.standardised(physical[each.name]) for each in variables])
    factors = np.diag(np.array([0.1, 0.05, 1.0, 0.02]) / [each.sd for each in variables])
    factors[3, 0], factors[3, 3] = 0.6 * 0.02, 0.8 * 0.02
    return Posterior.of(variables, np.ones((1, 1)), means[None, None], factors[None, None])


def a_prediction(*, bad=(), **changes):
    """A Gaussian of light with M/L rising outwards, at 20 kpc."""
    y, x = np.indices((160, 160)) - 79.5
    light = (1e-3 * np.exp(-(x**2 + y**2) / 800) + 1e-6).astype(np.float32)
    ratio = (1.0 + 0.02 * np.hypot(x, y)).astype(np.float32)
    mass = (ratio * light * 4 * np.pi * 20.0**2).astype(np.float32)
    mask = None
    if bad:
        mask = np.zeros(light.shape, bool)
        mask[bad] = True
    wcs = a_wcs()
    values = {
        'light': CCDData(light, unit=u.Lsun / u.kpc**2, wcs=wcs, mask=mask, meta={
            'PSFFWHM': 1.1, 'SIMUL': 'a simulation', 'VIEWX': None, 'MOCKSEED': 4, 'SKYSUB': True}),
        'mass': CCDData(mass, unit=u.Msun, wcs=wcs, mask=mask, uncertainty=StdDevUncertainty(0.3 * mass)),
        'scalars': {'total_mass': measured(5000.0, 0.1, u.Msun),
                    'mass_to_light': measured(1.6, 0.05, u.Msun / u.Lsun),
                    'age': Measured(*[11, 10, 12, 9, 13] * u.Gyr), 'distance': measured(20.0, 0.02, u.kpc)},
        'posterior': a_posterior(),
        'known': {'distance': 20 * u.kpc, 'distance_error': 0.4 * u.kpc, 'metallicity': -1.5},
        'sources': {'distance': 'Harris 1996'}, 'pixel_scale': 0.25 * u.arcsec, 'center': (80.0, 78.0),
        'flags': flag_bits('seeing', 'filled'), 'reasons': ('seeing: too large', 'filled: 3 of 9 pixels'),
        'name': 'NGC 0.fits', 'model': 'default', 'model_sha256': 'ab' * 32,
        'command': 'pidoc-predict ' + 'a' * 90}
    return Prediction(**values | changes)


def same(one, other, *, rtol=0.0):
    for name in ('light', 'mass'):
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(a.data, b.data, rtol=rtol)
        assert a.unit == b.unit and a.data.dtype == b.data.dtype
        assert (a.mask is None) == (b.mask is None)
        if a.mask is not None:
            np.testing.assert_array_equal(a.mask, b.mask)
        for key in ('crval', 'crpix', 'cdelt'):
            np.testing.assert_allclose(getattr(a.wcs.wcs, key), getattr(b.wcs.wcs, key), rtol=1e-12)
    np.testing.assert_allclose(one.mass.uncertainty.array, other.mass.uncertainty.array, rtol=rtol)
    assert set(one.light.meta) == set(other.light.meta)
    for key, value in one.light.meta.items():
        # a card holds 16 digits
        expected = pytest.approx(value, rel=1e-14) if isinstance(value, float) else value
        assert other.light.meta[key] == expected, key
    for name in ('known', 'sources', 'pixel_scale', 'center', 'flags', 'reasons', 'name', 'model',
                 'model_sha256', 'command'):
        assert getattr(one, name) == getattr(other, name), name
    assert list(one.scalars) == list(other.scalars)
    for name, value in one.scalars.items():
        assert value.unit == other.scalars[name].unit
        assert value.in_unit(value.unit) == other.scalars[name].in_unit(value.unit), name
    assert one.posterior.variables == other.posterior.variables
    for name in ('weights', 'means', 'factors', 'stretch'):
        np.testing.assert_array_equal(getattr(one.posterior, name), getattr(other.posterior, name))

# -- what follows ---------------------------------------------------------------------------------


def test_luminosity():
    prediction = a_prediction()
    total = prediction.light.data.sum(dtype=float)
    assert prediction.luminosity.to_value(u.Lsun) == pytest.approx(4 * np.pi * 20**2 * total)
    # as the square of the distance
    value, _, high, low, _ = prediction.luminosity.in_unit(u.Lsun)
    assert (high / value, low / value) == pytest.approx((np.exp(0.04), np.exp(-0.08)))


def test_surface_density():
    prediction = a_prediction(bad=(3, 4))
    density = prediction.surface_density
    side = 20e3 * u.pc * (0.25 * u.arcsec).to_value(u.rad)
    total = np.sum(density.data) * density.unit * side**2
    assert total.to_value(u.Msun) == pytest.approx(prediction.mass.data.sum(dtype=float), rel=1e-5)
    np.testing.assert_allclose(density.uncertainty.array, 0.3 * density.data, rtol=1e-5)
    assert density.mask[3, 4] and density.mask.sum() == 1


def test_mass_to_light_map():
    light = a_prediction().light.copy()
    light.data[0, 0], light.data[0, 1] = 0.0, -1e-9
    ratio = a_prediction(light=light).mass_to_light_map
    y, x = np.indices((160, 160)) - 79.5
    expected = 1.0 + 0.02 * np.hypot(x, y)
    expected[0, :2] = np.nan
    np.testing.assert_allclose(ratio.data, expected, rtol=1e-5)
    assert ratio.unit == u.Msun / u.Lsun


def test_profiles():
    prediction = a_prediction(center=(79.5, 79.5), bad=(0, 0))
    profile, ratio = prediction.mass_profile, prediction.mass_to_light_profile
    assert len(profile) == len(ratio) == 25
    np.testing.assert_allclose(profile['mass_error'], 0.3 * profile['mass'], rtol=1e-5)
    np.testing.assert_allclose(ratio['mass_to_light_error'], 0.3 * ratio['mass_to_light'], rtol=1e-5)
    # 1 + 0.02 r [pixel], by the light of a ring
    middle = 1 + 0.02 * ratio['separation'].to_value(u.arcsec) / 0.25
    np.testing.assert_allclose(ratio['mass_to_light'].value, middle, rtol=0.06)
    assert profile['n_pixels'].sum() == 160**2 - 1
    moved = a_prediction(center=(100.0, 79.5)).mass_profile
    assert moved['mass'][0] < 0.8 * profile['mass'][0]


def test_domain():
    assert not a_prediction().in_domain
    assert a_prediction(flags=flag_bits('filled', 'preparation')).in_domain
    assert a_prediction().flag_names == ('seeing', 'filled')


def test_scalars_are_attributes():
    prediction = a_prediction()
    assert prediction.age is prediction.scalars['age'] and 'age' in dir(prediction)
    assert list(prediction.parameters()) == ['total_mass', 'luminosity', 'mass_to_light', 'age', 'distance']
    with pytest.raises(AttributeError, match='the model default does not predict dark_share: it predicts '
                                             'total_mass, mass_to_light, age, distance'):
        prediction.dark_share  # noqa: B018
    with pytest.raises(AttributeError, match="a Prediction has no attribute 'colour'"):
        prediction.colour  # noqa: B018


def test_all_quantities_that_a_model_may_predict():
    """Each has a place in the table, in the header, and in the picture's list."""
    more = {name: Measured(*[0.5, 0.4, 0.6, 0.3, 0.7] * (u.Unit(each.unit) if each.unit else u.one))
            for name, each in OUTPUTS.items()}
    prediction = a_prediction(scalars=more)
    row, header = prediction.row_values(), prediction.to_hdulist()[0].header
    for name in OUTPUTS:
        assert (row[name], row[f'{name}_low_95']) == (0.5, 0.3), name
    assert (header['FEH'], header['FEHE']) == (0.5, pytest.approx(0.1))
    assert header.comments['FEH'] == 'metallicity [Fe/H]' and header.comments['SIGMA0'].startswith('[km / s]')
    assert len({card.keyword for card in header.cards if card.value == 0.5}) >= len(OUTPUTS)
    assert '[Fe/H]                 0.50 (0.40 to 0.60); given -1.5' in prediction.summary()
    text = ''.join(text.get_text() for axis in prediction.plot().axes for text in axis.texts)
    assert '[Fe/H]: 0.50 (0.40 to 0.60), given' in text and 'dark share: 0.50 (0.40 to 0.60)\n' in text


def test_the_distance_was_given_or_not():
    assert a_prediction().distance_given
    assert not a_prediction(known={'age': 3 * u.Gyr}).distance_given


# -- draws ----------------------------------------------------------------------------------------


def test_joint_draws():
    prediction = a_prediction()
    draws = prediction.sample(4000, seed=3)
    assert isinstance(draws, QTable) and len(draws) == 4000
    assert draws.colnames == ['total_mass', 'mass_to_light', 'age', 'distance', 'luminosity']
    units = {name: draws[name].unit for name in draws.colnames}
    assert units == {'total_mass': u.Msun, 'mass_to_light': u.Msun / u.Lsun, 'age': u.Gyr, 'distance': u.kpc,
                     'luminosity': u.Lsun}
    np.testing.assert_allclose(draws['luminosity'], draws['total_mass'] / draws['mass_to_light'])
    for name, value in prediction.scalars.items():
        quantiles = np.quantile(draws[name], [0.5, 0.158655, 0.841345, 0.02275, 0.97725])
        numbers = value.in_unit(draws[name].unit)
        # the error of a quantile of 95 % is 0.044 standard deviations
        np.testing.assert_allclose(quantiles.value, numbers, atol=0.2 * (numbers[2] - numbers[0]))
    mass, distance = np.log(draws['total_mass'].value), np.log(draws['distance'].value)
    assert np.corrcoef(mass, distance)[0, 1] == pytest.approx(0.6, abs=0.05)
    assert abs(np.corrcoef(mass, draws['age'].value)[0, 1]) < 0.08


def test_draws_have_a_seed():
    one, again, other = (a_prediction().sample(5, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one['age'], again['age'])
    assert np.all(one['age'] != other['age'])
    assert len(a_prediction().sample()) == 1000


@pytest.mark.parametrize('number', [0, 2.5, 'many'])
def test_numbers_of_draws(number):
    with pytest.raises(ValueError, match='number must be a whole number, at least 1, received'):
        a_prediction().sample(number)


# -- shown ----------------------------------------------------------------------------------------


def test_what_is_shown():
    prediction = a_prediction(name='<b>.fits')
    text = prediction.summary()
    assert text.splitlines()[0] == '<b>.fits  (model default)'
    for part in ('5000 (4524 to 5526) solMass', '1.60 (1.52 to 1.68) solMass / solLum',
                 '11.0 (10.0 to 12.0) Gyr',
                 '20.00 (19.60 to 20.40) kpc; given 20 kpc +- 0.4 kpc, Harris 1996', 'seeing, filled',
                 'OUTSIDE: do not trust these numbers', '    seeing: too large'):
        assert part in text
    assert len(text.splitlines()) < 24
    page = prediction._repr_html_()
    assert '&lt;b&gt;.fits' in page and '<b>' not in page and '5000 (4524 to 5526)' in page
    assert 'OUTSIDE' in repr(prediction) and 'inside' in repr(a_prediction(flags=0))
    assert 'flags' not in a_prediction(flags=0, reasons=()).summary()


def test_rows_of_a_table(tmp_path):
    rows = [a_prediction().to_row(), a_prediction(name='b', flags=0, known={}).to_row()]
    table = vstack(rows)
    table.write(tmp_path / 'all.ecsv')
    again = QTable.read(tmp_path / 'all.ecsv')
    assert list(again['name']) == ['NGC 0.fits', 'b'] and list(again['in_domain']) == [False, True]
    assert again['flag_names'][0] == 'seeing filled'
    assert list(again['given'].filled('')) == ['distance metallicity', '']
    # what this model does not predict
    assert again['cluster_mass'].unit == u.Msun and np.all(np.isnan(again['cluster_mass_low_68']))
    assert again['total_mass'].unit == u.Msun and again['mass_to_light'].unit == u.Msun / u.Lsun
    np.testing.assert_allclose(again['age_low_68'], [10, 10] * u.Gyr)
    np.testing.assert_allclose(again['total_mass_high_95'], [5000 * np.exp(0.2)] * 2 * u.Msun)


def test_the_picture(tmp_path):
    figure = a_prediction(bad=(5, 6)).plot()
    figure.savefig(tmp_path / 'a.png', dpi=50)
    assert (tmp_path / 'a.png').stat().st_size > 10_000
    axes = {axis.get_ylabel() or 'text': axis for axis in figure.axes}
    drawn = axes['mass [M$_\\odot$ per pixel]'].lines[0].get_xydata().T
    profile = a_prediction(bad=(5, 6)).mass_profile
    np.testing.assert_allclose(drawn, [profile['separation'].value, profile['mass'].value])
    said = ''.join(text.get_text() for axis in figure.axes for text in axis.texts)
    assert 'OUTSIDE the training domain' in said and 'mass in the field: 5000 (4524 to 5526)' in said
    assert 'distance: 20.00 (19.60 to 20.40) kpc, given\n' in said
    assert 'age: 11.0 (10.0 to 12.0) Gyr\n' in said
    maps = [axis.images[0] for axis in figure.axes if axis.images]
    np.testing.assert_allclose(maps[1].get_array(), a_prediction().mass.data)
    # zero is the centre
    assert maps[0].get_extent() == pytest.approx((-20.125, 19.875, -19.625, 20.375))


PANELS = {'light': 'y [arcsec]', 'mass': 'y [arcsec]', 'mass_to_light': 'y [arcsec]', 'numbers': '',
          'mass_profile': 'mass [M$_\\odot$ per pixel]', 'mass_to_light_profile': 'M/L$_V$'}


@pytest.mark.parametrize('panel', [None, *PANELS])
def test_one_panel_in_axes_of_ones_own(panel):
    whole = Figure()
    ax, other = whole.subplots(1, 2)
    assert a_prediction().plot(ax=ax, panel=panel) is whole
    # and perhaps a bar of colours
    assert whole.axes[:2] == [ax, other] and not other.has_data()
    assert ax.get_ylabel().startswith(PANELS[panel or 'mass'])
    if panel in (None, 'mass'):
        np.testing.assert_allclose(ax.images[0].get_array(), a_prediction().mass.data)


def test_one_panel_in_a_figure_of_its_own():
    figure = a_prediction().plot(panel='mass_profile')
    (axis,) = figure.axes
    np.testing.assert_allclose(axis.lines[0].get_ydata(), a_prediction().mass_profile['mass'].value)


def test_there_is_no_such_panel():
    with pytest.raises(ValueError, match="panel must be one of light, mass, .*, received 'age'"):
        a_prediction().plot(panel='age')


def _bars(figure):
    """Label, ends and arrows of each colour bar, and what its map shows."""
    bars = [axis.images[0].colorbar for axis in figure.axes if axis.images]
    return [(bar.ax.get_xlabel(), (bar.norm.vmin, bar.norm.vmax), bar.extend,
             np.asarray(bar.mappable.get_array())) for bar in bars]


def test_colour_bars_span_what_the_maps_span_and_have_units():
    prediction = a_prediction()
    light, mass, ratio = _bars(prediction.plot())
    for (label, ends, arrows, _), data in ((light, prediction.light.data), (mass, prediction.mass.data)):
        assert ends == pytest.approx((data.min(), data.max())) and arrows == 'neither'
        assert label.endswith('per pixel]')
    # the farthest one per cent is beyond, which arrows say
    assert ratio[0] == 'M/L$_V$ [M$_\\odot$/L$_\\odot$]' and ratio[2] == 'both'
    assert ratio[1] == pytest.approx(tuple(np.percentile(ratio[3], [1, 99])))
    # three and a half decades, where a map has more
    prediction.light.data[:9] = 1e-9
    prediction.light.data[9:12] = -1e-5
    _, ends, arrows, shown = _bars(prediction.plot())[0]
    assert ends == pytest.approx((prediction.light.data.max() * 10**-3.5, prediction.light.data.max()))
    assert arrows == 'min' and shown.min() > 0.0


def _said(prediction):
    figure = prediction.plot()
    (text,) = [text for axis in figure.axes for text in axis.texts]
    figure.draw_without_rendering()
    inside = text.get_window_extent()
    # the layout of matplotlib 3.8 is off by two pixels
    assert inside.y0 >= -2.0 and inside.x0 >= 0.0
    # beside it are the profiles
    profiles = [axis for axis in figure.axes if axis.get_xlabel() == 'separation [arcsec]']
    assert inside.x1 <= min(axis.get_tightbbox().x0 for axis in profiles)
    return ' '.join(text.get_text().split())


def test_the_picture_says_what_was_known_subtracted_and_masked():
    said = _said(a_prediction(bad=np.s_[5:7, 6:9], sources={'distance': 'Harris 1996'}))
    assert 'known: distance 20 ± 0.4 kpc, Harris 1996' in said and 'known: [Fe/H] -1.5 ± 0.15, given' in said
    assert 'seeing: 1.1 arcsec (header)' in said and 'masked: 6 of 25600 pixels (hatched)' in said
    assert 'sky' not in said and 'in front' not in said
    said = _said(a_prediction(known={}))
    assert 'known: nothing but the image' in said and 'masked: nothing' in said


@pytest.mark.parametrize(('cards', 'words'), [
    ({'BKGFROM': 'none', 'BKGLEVEL': 0.0, 'SKYLEVEL': 1e-6, 'SKYERROR': 2e-6},
     'sky: nothing subtracted sky that is left: 1.0 ± 2.0 % of the light'),
    ({'BKGFROM': 'annulus', 'BKGLEVEL': 118.25, 'BKGERROR': 0.5, 'IMGUNIT': 'adu'},
     'sky: 118.25 ± 0.5 adu a pixel subtracted (annulus)'),
    ({'BKGFROM': 'given', 'BKGLEVEL': 3.0, 'BKGERROR': None, 'IMGUNIT': 'no unit'},
     'sky: 3 a pixel subtracted (given)'),
    ({'BKGFROMG': 'given', 'BKGLEVEG': 3.0, 'IMGUNITG': 'ct', 'BKGFROMR': 'none', 'BKGLEVER': 0.0},
     'sky in g: 3 ct a pixel subtracted (given) sky in r: nothing subtracted'),
    ({'NFOREGND': 2, 'FORELITE': 0.184}, 'stars in front, taken off: 2, with 18.4 % of the light'),
    ({'STARLITE': 0.25}, 'bright star left in, with 25.0 % of the light'),
    ({'MISSING': '5 zero', 'MISSINR': '7 dead'},
     'pixels without light, found: 5 zero pixels without light, found: 7 dead'),
    ({'EXTCORR': 0.062}, 'extinction taken off: A$_V$ = 0.06 mag, Harris 1996 (2010 edition)'),
    ({'FLAGS': 'gaps seeing-worse'}, 'preparation: gaps, seeing-worse'),
])
def test_the_picture_says_what_was_done_to_the_image(cards, words):
    prediction = a_prediction(flags=flag_bits('preparation'),
                              sources={'extinction': 'Harris 1996 (2010 edition)'})
    prediction.light.meta.update(cards)
    assert words in _said(prediction)


def test_a_picture_without_light(tmp_path):
    dark = a_prediction()
    dark.light.data[:] = -1e-9
    dark.light.data[0, 0] = 1e-3
    dark.plot().savefig(tmp_path / 'dark.png', dpi=40)


# -- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(('bad', 'changes'), [
    ((), {}), ((5, 6), {}), ((), {'known': {}, 'sources': {}}),
    ((), {'known': {'age': 12.5 * u.Gyr, 'metallicity': -2.0, 'metallicity_error': 0.1,
                    'velocity_dispersion': 4 * u.km / u.s, 'dispersion_radius': 20 * u.arcsec},
          'sources': {'age': 'VandenBerg et al. 2013', 'metallicity': 'x' * 40}}),
    # of the light
    ((), {'sources': {'distance': 'Harris 1996', 'extinction': 'Harris 1996'}})])
def test_round_trip(tmp_path, bad, changes):
    prediction = a_prediction(bad=bad, **changes)
    prediction.write(tmp_path / 'a.fits')
    again = Prediction.read(tmp_path / 'a.fits')
    same(prediction, again)
    again.write(tmp_path / 'b.fits')
    assert (tmp_path / 'a.fits').read_bytes() == (tmp_path / 'b.fits').read_bytes()
    assert list(tmp_path.glob('.*')) == []


def test_draws_from_a_file(tmp_path):
    """Of a posterior with two components that a calibration has stretched."""
    plain = a_posterior()
    factors = np.concatenate([plain.factors, 2 * plain.factors], axis=1)
    posterior = Posterior(plain.variables, np.array([[0.7, 0.3]]),
                          np.concatenate([plain.means, plain.means + 0.1], axis=1), factors,
                          np.tile([1.5, 2.5], (1, 4, 1)))
    prediction = a_prediction(posterior=posterior)
    prediction.write(tmp_path / 'a.fits')
    again = Prediction.read(tmp_path / 'a.fits')
    same(prediction, again)
    one, other = prediction.sample(50, seed=4), again.sample(50, seed=4)
    for name in one.colnames:
        np.testing.assert_array_equal(one[name], other[name])
    # not those of the other posterior
    assert not np.any(one['age'] == a_prediction().sample(50, seed=4)['age'])


def test_round_trip_without_a_place_on_the_sky(tmp_path):
    prediction = a_prediction()
    for image in (prediction.light, prediction.mass):
        image.wcs = None
    prediction.write(tmp_path / 'a.fits.gz', dtype=np.float64)
    again = Prediction.read(tmp_path / 'a.fits.gz')
    assert again.mass.wcs is None and again.mass.data.dtype == np.float64
    np.testing.assert_array_equal(again.mass.data, prediction.mass.data)


def test_many_reasons(tmp_path):
    reasons = tuple(f'quantity{k}: {"x" * 150} is {k}' for k in range(22))
    a_prediction(reasons=reasons).write(tmp_path / 'a.fits')
    assert Prediction.read(tmp_path / 'a.fits').reasons == reasons


def test_what_is_to_be_known_of_a_model_is_in_the_file_and_in_the_summary(tmp_path):
    a_prediction(note='for old clusters only').write(tmp_path / 'a.fits')
    again = Prediction.read(tmp_path / 'a.fits')
    assert again.note == 'for old clusters only'
    lines = [line.split(maxsplit=1) for line in again.summary().splitlines()]
    assert ['note', 'for old clusters only'] in lines
    assert 'note' not in a_prediction().summary()


def test_the_file(tmp_path):
    prediction = a_prediction(bad=(5, 6))
    prediction.write(tmp_path / 'a.fits')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with fits.open(tmp_path / 'a.fits', checksum=True) as hdus:
            hdus.verify('exception')
            names = [hdu.name for hdu in hdus]
            header = hdus[0].header
            params = QTable.read(hdus['PARAMS'])
            profile = QTable.read(hdus['PROFILE'])
            known, variables, mixture = (Table.read(hdus[name], mask_invalid=False)
                                         for name in ('KNOWN', 'VARIABLES', 'POSTERIOR'))
            ratio, mask = hdus['ML'].data, hdus['MASK'].data
            light, headers = hdus['LIGHT'].header, [hdu.header for hdu in hdus]
    assert names == ['MASS', 'MASS_ERR', 'ML', 'LIGHT', 'MASK', 'PROFILE', 'PARAMS', 'KNOWN', 'VARIABLES',
                     'POSTERIOR']
    for each in headers:
        keywords = [keyword for keyword in each if keyword not in ('', 'COMMENT', 'HISTORY')]
        assert len(set(keywords)) == len(keywords)
    assert header['PREDFMT'] == 2 and header['GIVEN'] == 'distance metallicity'
    assert header['TOTMASS'] == pytest.approx(5000) and (header.comments['TOTMASS'] ==
                                                          '[solMass] mass in the field')
    assert header['TOTMASSE'] == pytest.approx(5000 * np.sinh(0.1))
    assert header['AGE'] == 11 and header['AGEE'] == 1 and header['DIST'] == pytest.approx(20)
    assert header['MODEL'] == 'default' and header['MODELSHA'] == 'ab' * 32
    assert header['COMMAND'] == prediction.command and header['REASON1'] == 'seeing: too large'
    assert header['FLAGNAME'] == 'seeing filled' and header['INDOMAIN'] is False
    assert list(params['name']) == ['total_mass', 'luminosity', 'mass_to_light', 'age', 'distance']
    assert list(params['unit']) == ['solMass', 'solLum', 'solMass / solLum', 'Gyr', 'kpc']
    assert params['low_95'][3] == 9
    assert [tuple(row)[:3] for row in known] == [('distance', 20, 'kpc'), ('distance_error', 0.4, 'kpc'),
                                                 ('metallicity', -1.5, '')]
    assert known['source'][0] == 'Harris 1996' and known['source'][2] == ''
    assert list(variables['scale']) == ['logarithm', 'logarithm', 'linear', 'logarithm']
    assert list(variables['stretch_95']) == [2, 2, 2, 2] and list(mixture['weight']) == [1]
    np.testing.assert_array_equal(mixture['factor'].reshape(1, 4, 4), prediction.posterior.factors[0])
    np.testing.assert_allclose(profile['mass'], prediction.mass_profile['mass'])
    assert profile['mass_to_light'].unit == u.Msun / u.Lsun and profile['separation'].unit == u.arcsec
    np.testing.assert_allclose(ratio, prediction.mass_to_light_map.data)
    assert mask[5, 6] == 1 and mask.sum() == 1
    assert light['PSFFWHM'] == 1.1 and light['BUNIT'] == 'solLum kpc-2'


def test_other_programs_read_it(tmp_path):
    """DS9, Aladin and jdaviz want world coordinates and a name in each image; TOPCAT units of columns."""
    prediction = a_prediction(bad=(5, 6))
    prediction.write(tmp_path / 'a.fits')
    with fits.open(tmp_path / 'a.fits') as hdus:
        hdus.verify('exception')
        assert isinstance(prediction.to_hdulist(), fits.HDUList)
        for hdu in hdus:
            assert hdu.header['EXTNAME'] == hdu.name != ''
            if not hdu.is_image:
                continue
            wcs = WCS(hdu.header)
            assert wcs.has_celestial and wcs.array_shape == (160, 160)
            there = wcs.pixel_to_world(80, 78)
            assert (there.ra.deg, there.dec.deg) == pytest.approx((250.42, 36.46))
            if hdu.name != 'MASK':
                assert u.Unit(hdu.header['BUNIT'], format='fits') in (u.Msun, u.Msun / u.Lsun,
                                                                      u.Lsun / u.kpc**2)
        columns = hdus['PROFILE'].columns
        assert all(u.Unit(column.unit, format='fits') for column in columns
                   if column.unit and column.name != 'number')
        units = {column.name: column.unit for column in columns}
        assert units['separation'] == 'arcsec' and units['mass'] == 'solMass'
        assert not any('O' in column.format or 'P' in column.format for hdu in hdus if not hdu.is_image
                       for column in hdu.columns)


def test_plain_rows():
    prediction = a_prediction()
    row, values = prediction.to_row(), prediction.row_values()
    assert list(values) == row.colnames == list(row_units())
    for name, unit in row_units().items():
        assert row[name].unit == unit if unit else not hasattr(row[name][0], 'unit')
        assert type(values[name]) in (str, bool, int, float)
        np.testing.assert_equal(getattr(row[name][0], 'value', row[name][0]), values[name])


def test_astropy_reads_it(tmp_path):
    prediction = a_prediction(bad=(5, 6))
    prediction.write(tmp_path / 'a.fits')
    mass = CCDData.read(tmp_path / 'a.fits', hdu_uncertainty='MASS_ERR')
    np.testing.assert_array_equal(mass.data, prediction.mass.data)
    np.testing.assert_array_equal(mass.uncertainty.array, prediction.mass.uncertainty.array)
    assert mass.mask[5, 6] and mass.unit == u.Msun
    ra, dec = mass.wcs.wcs_pix2world(80.0, 78.0, 0)
    assert (float(ra), float(dec)) == pytest.approx((250.42, 36.46))


def test_what_a_header_cannot_hold(tmp_path):
    prediction = a_prediction(name='Größe.fits')
    prediction.light.meta.update({
        'long keyword': 1, 'LIST': [1, 2], 'BAD': np.nan, 'HISTORY': 'x', 'N': np.int64(3)})
    prediction.write(tmp_path / 'a.fits')
    again = Prediction.read(tmp_path / 'a.fits')
    assert again.name == 'Gr??e.fits' and again.light.meta['N'] == 3
    assert not {'long keyword', 'LIST', 'BAD', 'HISTORY'} & set(again.light.meta)


def test_no_file_is_replaced_unasked(tmp_path):
    path = tmp_path / 'a.fits'
    path.write_text('mine')
    with pytest.raises(OSError, match='a.fits exists: give overwrite=True'):
        a_prediction().write(path)
    assert path.read_text() == 'mine'
    a_prediction().write(path, overwrite=True)
    assert Prediction.read(path).name == 'NGC 0.fits'
    with pytest.raises(ValueError, match='dtype must be float32 or float64, received int16'):
        a_prediction().write(path, overwrite=True, dtype=np.int16)


def test_nothing_half_written_stays(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError('no space left')

    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(OSError, match='no space left'):
        a_prediction().write(tmp_path / 'a.fits')
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_prediction(tmp_path):
    with pytest.raises(FileNotFoundError):
        Prediction.read(tmp_path / 'none.fits')
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / 'b.fits')
    with pytest.raises(ValueError, match='b.fits: a prediction must have PREDFMT = 2 and the extensions'):
        Prediction.read(tmp_path / 'b.fits')
    a_prediction().write(tmp_path / 'a.fits')
    whole = (tmp_path / 'a.fits').read_bytes()
    (tmp_path / 'c.fits').write_bytes(whole[:len(whole) // 2])
    with pytest.raises(ValueError, match='c.fits'):
        Prediction.read(tmp_path / 'c.fits')
    changed = bytearray(whole)
    changed[20000] ^= 255
    (tmp_path / 'd.fits').write_bytes(changed)
    with pytest.raises(ValueError, match='d.fits is damaged or cut short'):
        Prediction.read(tmp_path / 'd.fits')
    hdus = a_prediction().to_hdulist()
    del hdus['KNOWN']
    with pytest.raises(ValueError, match='must have PREDFMT = 2 and the extensions MASS, .* KNOWN'):
        Prediction.from_hdulist(hdus)
    hdus = a_prediction().to_hdulist()
    hdus['PARAMS'].data = hdus['PARAMS'].data[:3]
    with pytest.raises(ValueError, match='the table PARAMS must have rows for age, distance: not found'):
        Prediction.from_hdulist(hdus)


# -- the centre -----------------------------------------------------------------------------------


def test_the_center():
    shape = (160, 160)
    assert checked_center(None, None, shape) == (79.5, 79.5)
    assert checked_center(None, a_wcs(), shape) == (80.0, 78.0)
    assert checked_center(None, a_wcs((-300.0, 20.0)), shape) == (79.5, 79.5)
    assert checked_center((3, 4.5), a_wcs(), shape) == (3.0, 4.5)
    # one pixel north
    there = SkyCoord(250.42, 36.46 + 0.25 / 3600, unit='deg')
    assert checked_center(there, a_wcs(), shape) == pytest.approx((80.0, 79.0), abs=1e-3)
    with pytest.raises(ValueError, match='center must be on the map, .* pixels, received column 200'):
        checked_center((200, 3), None, shape)
    with pytest.raises(ValueError, match='column and row for a map without world coord.* received <SkyCoord'):
        checked_center(there, None, shape)
    with pytest.raises(ValueError, match="center must be a SkyCoord, or column and row, .* received 'M 13'"):
        checked_center('M 13', a_wcs(), shape)


def test_a_prediction_is_not_changed_by_what_is_asked():
    prediction = a_prediction(bad=(5, 6))
    before = prediction.mass.data.copy(), prediction.light.data.copy()
    prediction.surface_density.data[:] = 0
    prediction.surface_density.mask[:] = True
    prediction.to_hdulist()[0].data[:] = 0
    np.testing.assert_array_equal(prediction.mass.data, before[0])
    np.testing.assert_array_equal(prediction.light.data, before[1])
    assert prediction.mass.mask.sum() == 1
    assert replace(prediction, command='x').command == 'x'
