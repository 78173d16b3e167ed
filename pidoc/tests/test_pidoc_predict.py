# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The command ``pidoc-predict``: what is typed, what comes back. The networks are those of `stand_in`."""

import subprocess
import sys
import types

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable

import pidoc
from pidoc import mapper as module
from pidoc import Prediction
from pidoc.domain import Domain, features
from pidoc.mock import Mock
from pidoc.scripts import pidoc_predict
from pidoc.scripts.pidoc_predict import _center, EXAMPLE, main
from pidoc.tests.stand_in import StandIn
from pidoc.tests.test_prediction import same


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
    estimator = types.ModuleType('pidoc.estimator')
    estimator.Estimator = StandIn
    monkeypatch.setitem(sys.modules, 'pidoc.estimator', estimator)
    monkeypatch.setattr(module, '_MODELS', tmp_path / 'models')
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
    assert EXAMPLE.stat().st_size < 300_000
    mock = Mock.read(EXAMPLE)
    assert (mock.age, mock.distance, mock.psf_fwhm) == (11 * u.Gyr, 20 * u.kpc, 1 * u.arcsec)
    assert mock.light.shape == mock.mass.shape == (160, 160)
    # an old cluster: Baumgardt et al. (2020) have M/L_V of 1.4 to 2.5
    assert 1.4 < mock.mass_to_light.value < 2.5


def test_what_is_told(capsys):
    assert main([str(EXAMPLE), '--distance', '20000pc', '--distance-error', '1', '--seeing', '1.2', '--quiet',
                 '-o', 'a.fits', '--model', 'other']) == 0
    assert capsys.readouterr() == ('', '')
    prediction = Prediction.read('a.fits')
    assert prediction.distance_given and prediction.model == 'other'
    assert prediction.distance.in_unit(u.kpc)[:2] == pytest.approx([20, 20 * np.exp(-0.05)])
    assert prediction.light.meta['PSFFWHM'] == 1.2
    assert prediction.flag_names == ('no_domain',)


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
    assert sorted(path.name for path in tmp_path.glob('*pidoc*')) == ['b-pidoc.fits', 'example-pidoc.fits']
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
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['example-pidoc.fits']
    assert len(QTable.read('all.ecsv')) == 1


def test_only_bad_files(tmp_path, capsys):
    assert main(['none.fits', '--table', 'all.ecsv']) == 2
    assert not (tmp_path / 'all.ecsv').exists()


def test_nothing_is_replaced_unasked(tmp_path, capsys):
    assert main(['--example', '--quiet']) == 0
    before = (tmp_path / 'example-pidoc.fits').read_bytes()
    for more, name in (([], 'example-pidoc.fits'), (['-o', 'x', '--table', 'models/other/model.json'], None),
                       (['-o', 'x', '--table', 'all.csv'], 'all.csv')):
        (tmp_path / 'all.csv').write_text('mine')
        assert main(['--example', *more]) == 2
        error = capsys.readouterr().err
        if name:
            assert error == f'pidoc-predict: {name} exists: say --overwrite to replace it\n'
        else:
            assert error.startswith('pidoc-predict: --table must end in .ecsv, .csv or .fits, received ')
    assert not (tmp_path / 'x').exists() and (tmp_path / 'all.csv').read_text() == 'mine'
    assert main(['--example', '--quiet', '--overwrite']) == 0
    assert (tmp_path / 'example-pidoc.fits').read_bytes() != before      # the command is in it
    assert main(['--example', '--quiet', '--table', 'all.csv', '--overwrite']) == 0
    assert (tmp_path / 'all.csv').read_text().startswith('name,total_mass')


@pytest.mark.parametrize(('args', 'message'), [
    ([], 'either images or --example must be given, received neither'),
    (['a.fits', '--example'], 'either images or --example must be given, received both'),
    (['a.fits', 'b/a.fits'], 'a-pidoc.fits would be written twice: rename images of the same name'),
    (['a.fits', 'b.fits', '-o', 'c.fits'], '--output must be a folder, for 2 images, received c.fits'),
    (['--example', '--model', 'best'], "a model must be one of default, other, or a folder, received 'best'"),
    (['--example', '--center', '12 95'], '--center must be the RA and Dec of the cluster')])
def test_errors_on_one_line(args, message, capsys):
    assert main(args) == 2
    output, errors = capsys.readouterr()
    assert output == '' and errors.startswith(f'pidoc-predict: {message}') and errors.count('\n') == 1


@pytest.mark.parametrize(('args', 'message'), [
    (['x', '--distance', 'far'], "must be a number [kpc], received 'far'"),
    (['x', '--distance', '3 s'], "must be a number [kpc], received '3 s'"),
    (['x', '--seeing', 'nan'], "must be finite, received 'nan'")])
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
        def predict(self, image, **told):
            seen.update(told)
            return module.MassMapper(StandIn()).predict(Mock.read(EXAMPLE))

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
    told = ['image.fits', '--center', 'Pal 11', '--seeing', '1.2', '--quiet']
    assert main([*told, '-o', 'plain.fits']) == 0
    assert main([*told, '-o', 'freed.fits', '--extinction', 'catalogue']) == 0
    plain, freed = (Prediction.read(name).light for name in ('plain.fits', 'freed.fits'))
    assert freed.data.sum() / plain.data.sum() == pytest.approx(10 ** (0.4 * 3.1 * 0.35), rel=1e-5)
    assert freed.meta['EBV'] == 0.35 and freed.meta['EBVFROM'] == 'Harris 1996 (2010 edition)'
    assert freed.meta['EXTCORR'] == pytest.approx(3.1 * 0.35) and 'EBV' not in plain.meta


@pytest.mark.parametrize('args', [['--extinction', 'dust'], ['--extinction', '1 kpc']])
def test_extinction_is_a_number_or_the_catalogue(args, capsys):
    with pytest.raises(SystemExit):
        main(['x.fits', *args])
    assert 'must be a number [mag], received' in capsys.readouterr().err


def test_centres():
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
        assert hdus['LIGHT'].header['AGE'] == 11 and hdus[0].header['AGE'] == 9


def test_libraries_are_kept_quiet(capfd):
    with pidoc_predict._hushed():
        subprocess.run([sys.executable, '-c', 'import sys; sys.stderr.write("oneDNN is on")'], check=True)
    assert capfd.readouterr() == ('', '')
    # but not when they fail
    with pytest.raises(ImportError, match='no keras'):
        fail_to_load()
    assert capfd.readouterr().err == 'cannot open x.so'


def fail_to_load():
    with pidoc_predict._hushed():
        subprocess.run([sys.executable, '-c', 'import sys; sys.stderr.write("cannot open x.so")'], check=True)
        raise ImportError('no keras')
