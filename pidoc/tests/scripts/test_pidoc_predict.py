# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The command ``pidoc-predict``: what is typed, what comes back. The networks are those of `stand_in`."""

import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable

import pidoc
from pidoc import Prediction
from pidoc.inference.domain import Domain
from pidoc.inference.features import features
from pidoc.inference.folder import read_card
from pidoc.mock.mock import Mock
from pidoc.networks.variables import CONSTRAINTS
from pidoc.prediction import mapper as module
from pidoc.prediction.known import checked
from pidoc.prediction.survey import _loaded, JOURNAL
from pidoc.scripts import pidoc_predict
from pidoc.scripts.pidoc_predict import _center, _given, _parser, EXAMPLE, main
from pidoc.tests.prediction.test_prediction import same
from pidoc.tests.prediction.test_samp import hub
from pidoc.tests.stand_in import StandIn


@pytest.fixture(scope='module')
def domain():
    """Of maps like that of the example, for a file."""
    light = Mock.read(EXAMPLE).light.data
    rng = np.random.default_rng(0)
    many = np.array([light * factor + rng.uniform(-1e-6, 1e-6) for factor in rng.uniform(0.2, 5, 80)])
    measured = features(many, distance=rng.uniform(10, 40, 80), seeing=rng.uniform(0.5, 1.5, 80))
    return Domain.fit(measured, measured).to_dict()


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch, domain):
    """Two models of stand-ins: one knows maps like that of the example, the other does not say."""
    estimator = types.ModuleType('pidoc.inference.estimator')
    estimator.Estimator, estimator.read_card = StandIn, read_card
    monkeypatch.setitem(sys.modules, 'pidoc.inference.estimator', estimator)
    monkeypatch.setattr(module, '_MODELS', tmp_path / 'models')
    _loaded.cache_clear()
    monkeypatch.setenv('TF_CPP_MIN_LOG_LEVEL', '3')
    monkeypatch.chdir(tmp_path)
    StandIn().save(tmp_path / 'models' / 'default', {'name': 'default', 'domain': domain})
    StandIn().save(tmp_path / 'models' / 'other', {'name': 'other'})


def test_the_example(tmp_path, capsys):
    assert main(['--example', '-o', 'out']) == 0
    output, errors = capsys.readouterr()
    assert errors == ''
    lines = output.splitlines()
    assert lines[0] == 'example.fits  (model default)' and len(lines) < 24
    text = ' '.join(output.split())
    for part in ('mass in the field', 'V luminosity', 'M/L_V 2.00 (1.90 to 2.10) solMass / solLum',
                 'age 9.0 (8.0 to 10.0) Gyr', 'distance 25 (20 to 31) kpc', 'domain inside',
                 'written to out/example-pidoc.fits'):
        assert part in text
    prediction = Prediction.read(tmp_path / 'out' / 'example-pidoc.fits')
    assert prediction.command == 'pidoc-predict --example -o out'
    same(pidoc.MassMapper.from_pretrained().predict(EXAMPLE),
         type(prediction)(**{**vars(prediction), 'command': ''}))


def test_the_packaged_example():
    assert EXAMPLE.stat().st_size < 400_000
    mock = Mock.read(EXAMPLE)
    assert (mock.age, mock.distance, mock.psf_fwhm) == (12 * u.Gyr, 20 * u.kpc, 1 * u.arcsec)
    assert mock.light.shape == mock.mass.shape == (160, 160)
    # in the field; of whole old clusters, Baumgardt et al. (2020) have M/L_V of 1.4 to 2.5
    assert 1.3 < mock.mass_to_light.value < 2.5


def test_what_is_told(capsys):
    assert main([str(EXAMPLE), '--distance', '20000pc', '--distance-error', '1', '--seeing', '1.2', '--quiet',
                 '-o', 'a.fits', '--model', 'other']) == 0
    assert capsys.readouterr() == ('', '')
    prediction = Prediction.read('a.fits')
    assert prediction.distance_given and prediction.model == 'other'
    assert prediction.distance.in_unit(u.kpc)[:2] == pytest.approx([20, 20 * np.exp(-0.05)])
    assert prediction.light.meta['PSFFWHM'] == 1.2
    assert prediction.flag_names == ('no_domain',)


def test_all_that_may_be_known(capsys):
    assert main([str(EXAMPLE), '--distance', '20', '--age', '9500Myr', '--age-error', '1.5', '--metallicity',
                 '-1.98', '--metallicity-error', '0.1', '--velocity-dispersion', '1.6',
                 '--velocity-dispersion-error', '200 m/s', '--dispersion-radius', '20', '-o', 'a.fits']) == 0
    output, errors = capsys.readouterr()
    assert errors == ''
    known = {'distance': 20 * u.kpc, 'age': 9.5 * u.Gyr, 'age_error': 1.5 * u.Gyr, 'metallicity': -1.98,
             'metallicity_error': 0.1, 'velocity_dispersion': 1.6 * u.km / u.s,
             'velocity_dispersion_error': 0.2 * u.km / u.s, 'dispersion_radius': 20 * u.arcsec}
    prediction = Prediction.read('a.fits')
    assert list(prediction.known) == list(known)
    for name, value in known.items():
        np.testing.assert_allclose(u.Quantity(prediction.known[name]), value, rtol=1e-12, err_msg=name)
    text = ' '.join(output.split())
    assert 'kpc; given 20 kpc' in text and 'Gyr; given 9.5 Gyr +- 1.5 Gyr' in text and 'domain inside' in text


def test_tension_is_told(capsys):
    assert main(['--example', '--age', '1', '--age-error', '0.5']) == 0
    output = capsys.readouterr().out
    assert 'OUTSIDE: do not trust these numbers' in output
    # (1 - 9) / hypot(1, 0.5)
    assert 'tension: age was given as 1 Gyr, 7.2 standard deviations below what follows from ' in output


def test_known_and_not_all_that_it_needs(capsys):
    for more, message in ((['--velocity-dispersion', '5'], '--velocity-dispersion needs --dispersion-radius'),
                          (['--age-error', '1'], '--age-error needs --age, received 1 alone'),
                          (['--age', '50'], '--age must be from 0.0001 to 20 Gyr, received 50.0 Gyr'),
                          (['--metallicity', '-20'], '--metallicity must be from -5 to 1, received -20.0')):
        assert main(['--example', '-o', 'out', *more]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f'pidoc-predict: {EXAMPLE}: {message}') and error.count('\n') == 1
    assert not Path('out', 'example-pidoc.fits').exists()


def image(path, *, band='V', zero_point=25.0, scale=0.4, factor=1.0, **cards):
    """An image of a round cluster in counts, 60 arcsec wide, with a position."""
    side = round(60.0 / scale)
    y, x = (np.mgrid[:side, :side] - (side - 1) / 2) * scale
    counts = factor * 500.0 * scale**2 / (1 + (x**2 + y**2) / 36.0)**2
    header = fits.Header({
        'CTYPE1': 'RA---TAN', 'CTYPE2': 'DEC--TAN', 'CRVAL1': 150.0, 'CRVAL2': 20.0, 'CRPIX1': (side + 1) / 2,
        'CRPIX2': (side + 1) / 2, 'CDELT1': -scale / 3600, 'CDELT2': scale / 3600})
    header.update({'FILTER': band, 'PHOTZP': zero_point} | cards)
    fits.PrimaryHDU(counts.astype('f4'), header).writeto(path, overwrite=True)
    return path


def light(args):
    """V light of the field [Lsun/kpc2] of the image of one prediction."""
    assert main([*args, '--quiet', '-o', 'out.fits', '--overwrite', '--seeing', '1']) == 0
    return float(Prediction.read('out.fits').light.data.sum())


class TestWhatIsKnown:
    """Options of the preparation, each with the light that must come out."""

    def test_two_bands(self):
        """V of g - r = 0.5: V = g - 0.020 - 0.498 x - 0.008 x^2, Kostov & Bonev (2018)."""
        v = light([image('v.fits')])
        image('g.fits', band='g', zero_point=25.0)
        # other pixels, another zero point and 0.5 mag brighter
        image('r.fits', band='r', zero_point=26.0, scale=0.3, factor=10**(0.4 * 1.5))
        both = light(['--image', 'g=g.fits', '--image', 'r=r.fits'])
        assert both / v == pytest.approx(10**(0.4 * (0.020 + 0.498 * 0.5 + 0.008 * 0.25)), rel=2e-3)
        given = light(['--image', 'g=g.fits', '--image', 'r=r.fits', '--zero-point', 'g=24,r=25'])
        assert given / both == pytest.approx(10**0.4, rel=1e-4)
        assert light(['--image', 'g=g.fits', '--image', 'r=r.fits', '--relation', 'tonry2012']) != both
        main(['--image', 'g=g.fits', '--image', 'r=r.fits', '--quiet', '-o', 'out'])
        assert Prediction.read('out/g+r-pidoc.fits').name == 'g+r'

    def test_masks_of_two_bands(self):
        image('g.fits', band='g')
        image('r.fits', band='r', scale=0.3)
        files = ['--image', 'g=g.fits', '--image', 'r=r.fits']
        both = light(files)
        for band, bit in (('g', 1), ('r', 2)):
            values = np.zeros(fits.getdata(f'{band}.fits').shape, dtype=np.int16)
            values[:, values.shape[1] // 2] = bit
            fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(values, name='M'),
                          fits.ImageHDU(np.full(values.shape, 4.0), name='VAR')]).writeto(f'{band}-more.fits')
        masked = [*files, '--mask', 'g=g-more.fits[M],r=r-more.fits[M]']
        # gaps are as good as filled by the smoothing
        for good, low, high in (([], 0.98, 0.999), (['--good-bits', 'g=1,r=1'], 0.98, 0.999),
                                (['--good-bits', 'g=1,r=2'], 1.0 - 1e-6, 1.0 + 1e-6)):
            assert low < light([*masked, *good]) / both < high
        weighted = [*files, '--weight', 'g=g-more.fits[VAR],r=r-more.fits[VAR]']
        assert light(weighted) == pytest.approx(both, rel=1e-3)

    def test_one_band(self):
        image('g.fits', band='', zero_point=25.0)
        assert light(['--image', 'V=g.fits']) == pytest.approx(light([image('v.fits')]))

    def test_options(self):
        v = light([image('v.fits')])
        assert light([image('r.fits', band='r'), '--colour', '0.3']) / v == pytest.approx(10**(-0.4 * 0.3))
        assert light(['r.fits', '--band', 'JV']) == pytest.approx(v)
        assert light(['v.fits', '--center', '74.5 74.5 pix']) == pytest.approx(v, rel=1e-3)
        assert light(['v.fits', '--center', '74.5, 74.5 pixels', '--seeing-range', '0.1', '3',
                      '--min-coverage',
                      '0.9']) == pytest.approx(v, rel=1e-3)
        with fits.open('v.fits') as hdus:
            data, header = hdus[0].data, hdus[0].header
            fits.PrimaryHDU(np.stack([data, 2 * data]), header).writeto('cube.fits')
        assert light(['cube.fits', '--plane', '1']) / v == pytest.approx(2.0, rel=1e-3)
        image('frame.fits', RADESYS='GAPPT')
        assert light(['frame.fits', '--wcs-frame', 'fk5']) == pytest.approx(v, rel=1e-3)
        assert light(['frame.fits', '--wcs-frame', 'none', '--pixel-scale', '0.4']) == pytest.approx(v,
                                                                                                     rel=1e-3)

    def test_the_field_of_view(self):
        """A square of side s holds as much of 1 / (1 + r^2 / a^2)^2 as its integral says."""
        y, x = np.mgrid[:4000, :4000] * 0.01 + 0.005
        profile = 1 / (1 + (x**2 + y**2) / 36.0)**2
        v = light([image('v.fits')])
        for field in ('16', '0.5arcmin', '40', 'auto'):
            side = {'0.5arcmin': 30.0, 'auto': 40.0}.get(field) or float(field)
            share = profile[:round(side * 50), :round(side * 50)].sum() / profile[:2000, :2000].sum()
            assert light(['v.fits', '--field-of-view', field]) / v == pytest.approx(share, rel=0.02)
            assert Prediction.read('out.fits').pixel_scale.value == pytest.approx(side / 160)
        Path('list.csv').write_text('file,field_of_view\nv.fits,20\n')
        assert main(['--list', 'list.csv', '-o', 'out', '--quiet', '--seeing', '1']) == 0
        assert Prediction.read('out/v-pidoc.fits').pixel_scale.value == pytest.approx(0.125)

    @pytest.mark.parametrize(('args', 'message'), [
        (['--image', 'g=a.fits', '--image', 'g=b.fits'], '--image must be of two bands, received g and g'),
        (['--image', 'V=a.fits', '--band', 'V'], '--band must be left out with --image, which gives it, '
                                                 'received V'),
        (['--image', 'g=a.fits', '--example'], 'must be given, received --image and --example'),
        (['a.fits', '--center', 'x 3 pix'], '--center must be column and row from 0, like "180 190 pix", '
                                            'received')])
    def test_refused(self, args, message, capsys):
        assert main(args) == 2
        assert message in capsys.readouterr().err

    @pytest.mark.parametrize(('args', 'message'), [
        (['--image', 'a.fits'], "must be a band and a file, like g=a.fits, received 'a.fits'"),
        (['a.fits', '--plane', 'x'], "must be a number from 0, or several like 0:3, received 'x'"),
        (['a.fits', '--zero-point', 'g=1,g=2'], "must be of g and of r, received 'g=1,g=2'")])
    def test_not_understood(self, args, message, capsys):
        with pytest.raises(SystemExit):
            main(args)
        assert message in capsys.readouterr().err

    def test_all_that_is_missing_by_the_names_of_the_options(self, capsys):
        fits.PrimaryHDU(np.ones((90, 90))).writeto('bare.fits')
        assert main(['bare.fits']) == 2
        assert capsys.readouterr().err == (
            'pidoc-predict: bare.fits: bare.fits[0 PRIMARY] lacks a zero point, the band and a '
            'scale: give --zero-point (magnitude of one unit of the pixels), --band (such as V), '
            '--pixel-scale (side of a pixel)\n')

    def test_another_ending(self, tmp_path):
        assert main(['--example', '--quiet', '-o', 'x.fit']) == 0
        assert (tmp_path / 'x.fit').is_file() and Prediction.read('x.fit').total_mass.value > 0


def test_a_folder_for_a_model(tmp_path, capsys):
    assert main([str(EXAMPLE), '--model', str(tmp_path / 'models' / 'other')]) == 0
    assert 'OUTSIDE: do not trust these numbers' in capsys.readouterr().out


def test_why_it_is_outside(capsys):
    assert main([str(EXAMPLE), '--distance', '500']) == 0
    output = capsys.readouterr().out
    assert 'OUTSIDE' in output and 'distance: distance that was given is 500 kpc, above' in output


def test_plot(tmp_path):
    (tmp_path / 'example-pidoc.png').write_text('mine')
    assert main(['--example', '--plot', '--quiet']) == 2
    assert (tmp_path / 'example-pidoc.png').read_text() == 'mine'
    assert main(['--example', '--plot', '--quiet', '--overwrite']) == 0
    assert (tmp_path / 'example-pidoc.png').stat().st_size > 20_000
    assert not list(tmp_path.rglob('.*'))


def test_table(tmp_path, capsys):
    Mock.read(EXAMPLE).write('b.fits.gz')
    assert main([str(EXAMPLE), 'b.fits.gz', '--table', 'deep/all.ecsv', '--distance', '20']) == 0
    assert sorted(path.name for path in tmp_path.glob('*pidoc*')) == ['b-pidoc.fits', 'example-pidoc.fits',
                                                                      JOURNAL]
    table = QTable.read('deep/all.ecsv')
    assert list(table['name']) == ['example.fits', 'b.fits.gz']
    assert table['total_mass'][0] == table['total_mass'][1] and table['total_mass'].unit == u.Msun
    np.testing.assert_allclose(table['distance'].to_value('kpc'), 20)
    assert not [path for path in tmp_path.rglob('.*')]


@pytest.mark.parametrize('name', ['t.csv', 't.fits'])
def test_other_tables(name):
    assert main(['--example', '--table', name, '--quiet']) == 0
    assert QTable.read(name)['age'][0] in (9.0, 9 * u.Gyr)


def test_one_bad_file_does_not_stop_the_others(tmp_path, capsys):
    (tmp_path / 'bad.fits').write_text('no image')
    assert main(['bad.fits', str(EXAMPLE), 'none.fits', '-o', 'out', '--table', 'all.ecsv']) == 2
    output, errors = capsys.readouterr()
    lines = errors.splitlines()
    assert lines[0].startswith('pidoc-predict: bad.fits: ')
    assert lines[1].startswith('pidoc-predict: none.fits: ')
    assert len(lines) == 2 and 'example.fits' in output
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['example-pidoc.fits', JOURNAL]
    table = QTable.read('all.ecsv')
    assert list(table['file']) == ['bad.fits', str(EXAMPLE), 'none.fits']
    # astropy masks empty strings
    assert list(table['error'].mask) == [False, True, False]
    assert 'No such file' in table['error'][2] and np.isnan(table['total_mass'][2])
    assert list(table['output'].filled('')) == ['', 'out/example-pidoc.fits', '']


def test_only_bad_files(tmp_path, capsys):
    assert main(['none.fits', '--table', 'all.ecsv']) == 2
    table = QTable.read('all.ecsv')
    assert len(table) == 1 and 'No such file' in table['error'][0]


def test_nothing_is_replaced_unasked(tmp_path, capsys):
    assert main(['--example', '--quiet']) == 0
    before = (tmp_path / 'example-pidoc.fits').read_bytes()
    for more, name in (([], 'example-pidoc.fits'), (['-o', 'x', '--table', 'models/other/model.json'], None),
                       (['-o', 'x', '--table', 'all.csv'], 'all.csv')):
        (tmp_path / 'all.csv').write_text('mine')
        assert main(['--example', *more]) == 2
        error = capsys.readouterr().err
        if name:
            assert error == f'pidoc-predict: {name} exists: give --overwrite to replace it\n'
        else:
            assert error.startswith('pidoc-predict: a table must end in .ecsv, .csv or .fits, received ')
    assert not (tmp_path / 'x').exists() and (tmp_path / 'all.csv').read_text() == 'mine'
    assert main(['--example', '--quiet', '--overwrite']) == 0
    assert (tmp_path / 'example-pidoc.fits').read_bytes() != before      # the command is in it
    assert main(['--example', '--quiet', '--table', 'all.csv', '--overwrite']) == 0
    assert (tmp_path / 'all.csv').read_text().startswith('file,name,total_mass')


@pytest.mark.parametrize(('args', 'message'), [
    ([], 'images, --image, --list or --example must be given, received none'),
    (['a.fits', '--example'], 'images, --image, --list or --example must be given, received images and '
                              '--example'),
    (['--list', 'a.txt', '--example'], 'images, --image, --list or --example must be given, received --list '
                                       'and'),
    (['--list', 'a.txt'], '[Errno 2] No such file or directory'),
    (['a.fits', '--table-only'], '--table-only needs --table, received none'),
    (['a.fits', '--table', 'a.ecsv', '--table-only', '--samp'],
     '--samp is for the files of at most 20 images, received 1 without files'),
    ([*(f'{k}.fits' for k in range(21)), '--samp'],
     '--samp is for the files of at most 20 images, received 21'),
    (['a.fits', 'b/a.fits'], 'a-pidoc.fits would be written twice: rename images of the same name'),
    (['a.fits', '-o', 'c.png'], '--output must be a folder, or for one image a file that ends in .fits or '
                                '.fits.gz, received c.png'),
    (['a.fits', '-o', 'c.fits.fz'], '--output must be a folder, or for one image a file that ends in '),
    (['a.fits', 'b.fits', '-o', 'c.fits'], '--output must be a folder, for 2 images, received c.fits'),
    (['--example', '--model', 'best'], "a model must be one of default, other, or an existing folder, "
                                        "received 'best'"),
    (['--example', '--center', '12 95'], '--center must be the RA and Dec of the cluster')])
def test_errors_on_one_line(args, message, capsys):
    assert main(args) == 2
    output, errors = capsys.readouterr()
    assert output == '' and errors.startswith(f'pidoc-predict: {message}') and errors.count('\n') == 1


@pytest.mark.parametrize('name', ['a.fits', 'a.fits.gz', 'a.fit', 'results.2'])
def test_the_output_is_a_file_or_a_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(['--example', '--quiet', '-o', name]) == 0
    path = Path(name) / 'example-pidoc.fits' if name == 'results.2' else Path(name)
    assert Prediction.read(path).mass.shape == (160, 160)


@pytest.mark.parametrize(('args', 'must'), [
    (['--distance', '14.5mag', '--distance-error', '0.1 mag'], (7.943282, 0.365802)),
    (['--distance', '15 mag', '--distance-error', '0.2'], (10.0, 0.2)),
    (['--distance', '10000pc', '--distance-error', '0.1mag'], (10.0, 0.460517))])
def test_distance_moduli(args, must):
    options = _parser().parse_args(['x', *args])
    known = checked(_given(options), [CONSTRAINTS['distance']])
    assert (known['distance'], known['distance_error']) == pytest.approx(must, rel=1e-5)


@pytest.mark.parametrize(('args', 'message'), [
    (['x', '--distance', '1e5mag'], "must be finite, received '1e5mag'"),
    (['x', '--distance', '14 ABmag'], "must be a number [kpc], received '14 ABmag'"),
    (['x', '--distance', 'far'], "must be a number [kpc], received 'far'"),
    (['x', '--distance', '3 s'], "must be a number [kpc], received '3 s'"),
    (['x', '--seeing', 'nan'], "must be finite, received 'nan'"),
    (['x', '--age', '3 kpc'], "must be a number [Gyr], received '3 kpc'"),
    (['x', '--velocity-dispersion', '3 pc'], "must be a number [km/s], received '3 pc'"),
    (['x', '--metallicity', 'poor'], "--metallicity: invalid float value: 'poor'"),
    (['x', '--jobs', '0'], "must be a whole number, at least 1, received '0'")])
def test_numbers_with_units(args, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(args)
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_debug():
    with pytest.raises(FileNotFoundError):
        main(['none.fits', '--debug'])


def test_what_goes_to_the_preparation(monkeypatch):
    seen = {}

    class Mapper:
        def predict_many(self, images, *, batch_size, return_errors, **known):
            seen.update(known)
            return [module.MassMapper(StandIn()).predict(Mock.read(EXAMPLE))]

    monkeypatch.setattr(module.MassMapper, 'from_pretrained', lambda name: Mapper())
    assert main(['x.fits', '--zero-point', '25', '--exposure', '1min', '--extinction', '0.1', '--pixel-scale',
                 '0.4', '--band', 'V', '--unit', 'adu', '--hdu', '2', '--annulus', '--center', 'NGC 5466',
                 '--quiet']) == 0
    assert seen == {'zero_point': 25 * u.mag, 'exposure': 60 * u.s, 'extinction': 0.1 * u.mag,
                    'pixel_scale': 0.4 * u.arcsec, 'band': 'V', 'unit': 'adu', 'hdu': 2, 'center': 'NGC 5466',
                    'background': 'annulus'}


def test_extinction_of_the_catalogue(tmp_path):
    """A round cluster somewhere on the sky; the light comes out brighter by 3.1 E(B-V) of Pal 11."""
    pytest.importorskip('reproject')
    y, x = np.mgrid[:200, :200] - 99.5
    header = fits.Header({'CTYPE1': 'RA---TAN', 'CTYPE2': 'DEC--TAN', 'CRVAL1': 296.31, 'CRVAL2': -8.007222,
                          'CRPIX1': 100.5, 'CRPIX2': 100.5, 'CDELT1': -0.25 / 3600, 'CDELT2': 0.25 / 3600,
                          'FILTER': 'V', 'BUNIT': 'adu', 'PHOTZP': 26.0})
    fits.PrimaryHDU(100 / (1 + (x**2 + y**2) / 30**2), header).writeto('image.fits')
    options = ['image.fits', '--center', 'Pal 11', '--seeing', '1.2', '--quiet']
    assert main([*options, '-o', 'plain.fits']) == 0
    assert main([*options, '-o', 'freed.fits', '--extinction', 'catalogue']) == 0
    plain, freed = (Prediction.read(name).light for name in ('plain.fits', 'freed.fits'))
    assert freed.data.sum() / plain.data.sum() == pytest.approx(10 ** (0.4 * 3.1 * 0.35), rel=1e-5)
    assert freed.meta['EBV'] == 0.35 and freed.meta['EBVFROM'] == 'Harris 1996 (2010 edition)'
    assert freed.meta['EXTCORR'] == pytest.approx(3.1 * 0.35) and 'EBV' not in plain.meta


@pytest.mark.parametrize('args', [['--extinction', 'dust'], ['--extinction', '1 kpc']])
def test_extinction_is_a_number_or_the_catalogue(args, capsys):
    with pytest.raises(SystemExit):
        main(['x.fits', *args])
    assert 'must be a number [mag], received' in capsys.readouterr().err


def test_centers():
    for text in ('250.42 36.46', '250.42, 36.46', '16h41m40.8s +36d27m36s'):
        there = _center(text)
        assert (there.ra.deg, there.dec.deg) == pytest.approx((250.42, 36.46))
    assert _center('NGC 6205') == 'NGC 6205' and _center(None) is None


def test_version_and_help(capsys):
    for option, text in (('--version', pidoc.__version__), ('--help', 'pidoc-predict --example')):
        with pytest.raises(SystemExit) as stop:
            main([option])
        assert stop.value.code == 0 and text in capsys.readouterr().out


def test_help_loads_nothing_heavy():
    code = (f'import sys\nfrom {pidoc_predict.__name__} import main\n'
            'try:\n    main(["--help"])\nexcept SystemExit:\n    print("loaded:", [name for name in '
            '("astropy.units", "numpy", "scipy", "keras") if name in sys.modules])')
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert 'loaded: []' in result.stdout


def test_the_file_is_for_everyone(tmp_path):
    main(['--example', '--quiet', '--distance', '20'])
    with fits.open(tmp_path / 'example-pidoc.fits') as hdus:
        assert hdus[0].header['COMMAND'] == 'pidoc-predict --example --quiet --distance 20'
        assert hdus[0].header['BUNIT'] == 'solMass' and hdus[0].data.shape == (160, 160)
        # the truth of the mock stays beside the light, and is not taken for the result
        assert hdus['LIGHT'].header['AGE'] == 12 and hdus[0].header['AGE'] == 9


# -- many images ----------------------------------------------------------------------------------


def test_a_list(capsys):
    (Mock.read(EXAMPLE)).write('b.fits')
    with open('images.csv', 'w', encoding='utf-8') as stream:
        stream.write(f'file,name,distance,distance_error\n{EXAMPLE},far,30,2\nb.fits,near,,\nnone.fits,no,10,\n')
    assert main(['--list', 'images.csv', '-o', 'out', '--table', 'out/all.ecsv', '--distance', '12']) == 2
    output, errors = capsys.readouterr()
    assert output == '3 images, 1 failed, 0 outside the training domain; out/all.ecsv\n'
    assert errors.startswith('pidoc-predict: none.fits: ') and errors.count('\n') == 1
    table = QTable.read('out/all.ecsv')
    assert list(table['name'][:2]) == ['far', 'near']
    assert table['distance'][:2].to_value('kpc') == pytest.approx([30, 12])
    assert Prediction.read('out/far-pidoc.fits').name == 'far'
    # what failed is tried again, and nothing else
    before = {name: Path('out', f'{name}-pidoc.fits').stat().st_mtime_ns for name in ('far', 'near')}
    Mock.read(EXAMPLE).write('none.fits')
    assert main(['--list', 'images.csv', '-o', 'out', '--table', 'out/all.ecsv', '--distance', '12',
                 '--resume']) == 0
    assert capsys.readouterr().out.startswith('3 images, 0 failed')
    assert before == {name: Path('out', f'{name}-pidoc.fits').stat().st_mtime_ns for name in before}
    assert QTable.read('out/all.ecsv')['error'].mask.all()


def test_a_table_and_no_files(tmp_path, capsys):
    Path('images.txt').write_text(f'# one image\n\n{EXAMPLE}\n', encoding='utf-8')
    assert main(['--list', 'images.txt', '--table-only', '--table', 'all.fits', '--quiet']) == 0
    assert capsys.readouterr() == ('', '')
    assert not list(tmp_path.glob('*-pidoc.fits')) and QTable.read('all.fits')['age'][0] == 9 * u.Gyr


def test_samp(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv('SAMP_HUB', f'std-lockurl:{(tmp_path / "none").as_uri()}')
    assert main(['--example', '--samp']) == 2
    assert capsys.readouterr() == ('', 'pidoc-predict: no SAMP hub runs: start DS9, Aladin or TOPCAT first\n')
    assert not (tmp_path / 'example-pidoc.fits').exists()
    with hub(tmp_path, monkeypatch) as viewer:
        assert main(['--example', '--samp', '--table', 'all.fits']) == 0
    output = capsys.readouterr().out
    assert output.count('sent to            a viewer') == 2
    assert viewer.got == {('image.load.fits', (tmp_path / 'example-pidoc.fits').as_uri()),
                          ('table.load.fits', (tmp_path / 'all.fits').as_uri())}


def test_masks_and_weights(tmp_path, capsys):
    """Of a file with several HDUs; the note on what is missing."""
    from pidoc.tests.image_helpers import paint, stars, tan_wcs

    wcs = tan_wcs((150, 150), 0.4)
    pixels = np.random.default_rng(0).normal(0.0, 20.0, (150, 150))
    pixels += 20.0 * paint(stars(2000), wcs, (150, 150))
    pixels[:, 70] = -999.0
    mask = np.where(np.arange(150) == 80, 33, 32) * np.ones((150, 150), dtype=np.int16)
    header = wcs.to_header()
    header.update({'FILTER': 'V', 'PHOTZP': 25.0})
    fits.PrimaryHDU(pixels, header).writeto('a.fits')
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(mask, name='M'),
                  fits.ImageHDU(0.0 * pixels + 400.0, name='VAR')]).writeto('b.fits')
    assert main(['a.fits', '--mask', 'b.fits[M]', '--good-bits', '32', '--weight', 'b.fits[VAR]',
                 '--center', '226.0 28.5', '--seeing', '1']) == 0
    light = Prediction.read('a-pidoc.fits').light
    assert light.meta['MISSING'].endswith('sentinel (-999)') and light.meta['COVERAGE'] < 1.0
    assert main(['a.fits', '--good-bits', '32', '--overwrite']) == 2
    error = capsys.readouterr().err
    assert '--good-bits are of a mask, which a.fits[0 PRIMARY] has not: give --mask' in error


class TestSky:
    @pytest.fixture(autouse=True)
    def _image(self, tmp_path):
        """A cluster on a sky of 300 counts."""
        from pidoc.tests.image_helpers import paint, stars, tan_wcs

        wcs = tan_wcs((180, 180), 0.5)
        pixels = np.random.default_rng(0).normal(300.0, 3.0, (180, 180))
        pixels += 5.0 * paint(stars(2000), wcs, (180, 180))
        header = wcs.to_header()
        header.update({'FILTER': 'V', 'PHOTZP': 25.0})
        fits.PrimaryHDU(pixels, header).writeto('a.fits')

    @pytest.mark.parametrize(('options', 'origin'), [
        (['--sky', '300', '--sky-error', '2'], 'given'), (['--sky', 'fit'], 'fit'),
        (['--annulus'], 'annulus'),
        (['--annulus', '32', '0.7 arcmin'], 'annulus')])
    def test_is_taken_off(self, options, origin):
        assert main(['a.fits', '--center', '226.0 28.5', '--seeing', '1', *options]) == 0
        meta = Prediction.read('a-pidoc.fits').light.meta
        assert meta['BKGFROM'] == origin and meta['BKGLEVEL'] == pytest.approx(300.0, abs=3.0)
        if origin == 'given':
            assert meta['BKGERROR'] == 2.0
        if len(options) == 3:
            assert (meta['BKGINNER'], meta['BKGOUTER']) == (32.0, pytest.approx(42.0))

    @pytest.mark.parametrize(('options', 'message'), [
        (['--sky', '300', '--annulus'], 'only one of --sky and --annulus can be given, received both'),
        (['--annulus', '30'], '--annulus must have two radii or none, received 1'),
        (['--sky-error', '3'], '--sky-error goes with a level of the background, received 3.0 without one')])
    def test_refused(self, options, message, capsys):
        assert main(['a.fits', '--seeing', '1', *options]) == 2
        assert message in capsys.readouterr().err

    def test_no_number(self, capsys):
        with pytest.raises(SystemExit):
            main(['a.fits', '--sky', 'dark'])
        assert "--sky: must be a number, received 'dark'" in capsys.readouterr().err
