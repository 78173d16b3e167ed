# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The command ``pidoc-mock``: what is typed, what comes back."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable

import pidoc
from pidoc import ClusterModel, Snapshot
from pidoc.mock.conditions import Conditions
from pidoc.mock.mock import Mock
from pidoc.mock.observation import observe
from pidoc.photometry import BANDS, CORRECTIONS
from pidoc.scripts import pidoc_mock
from pidoc.scripts.pidoc_mock import main


@pytest.fixture
def snapshot(tmp_path):
    rng = np.random.default_rng(0)
    number = 100
    place = rng.normal(0, 0.3, (3, number)) * u.pc
    stars = dict(zip('xyz', place)) | {
        'mass': rng.uniform(0.1, 1, number) * u.Msun, 'luminosity': rng.uniform(0, 9, number) * u.Lsun,
        'temperature': np.full(number, 5e3) * u.K}
    one = Snapshot(stars, 11 * u.Gyr, ClusterModel.named('MW15'))
    one.write(tmp_path / 'one.fits', dtype=np.float64)
    return one


def test_what_comes_out_is_what_observe_makes(tmp_path, snapshot, capsys):
    args = [str(tmp_path / 'one.fits'), '--distance', '20', '30000pc', '--seeing', '0.5', '1.5', '-o',
            str(tmp_path / 'mocks'), '--random', '--seed', '7', '--dtype', 'float64']
    assert main(args) == 0
    output, errors = capsys.readouterr()
    assert errors == ''
    names = ['one-20kpc-0.5', 'one-20kpc-1.5', 'one-30kpc-0.5', 'one-30kpc-1.5']
    assert sorted(path.name for path in (tmp_path / 'mocks').iterdir()) == [f'{name}.fits' for name in names]
    lines = output.splitlines()
    assert lines[0].split() == 'age [Gyr] d [kpc] mass [Msun] light [Lsun] M/L file'.split()
    for i, name in enumerate(names):
        found = Mock.read(tmp_path / 'mocks' / f'{name}.fits')
        expected = observe(snapshot, distance=(20, 30)[i // 2] * u.kpc, seeing=(0.5, 1.5)[i % 2] * u.arcsec,
                           shift='random', rotation='random', direction='random', seed=7 + i)
        np.testing.assert_array_equal(found.light.data, expected.light.data)
        np.testing.assert_array_equal(found.mass.data, expected.mass.data)
        assert found.light.meta == expected.light.meta
        age, distance, mass, _, ratio, path = lines[1 + i].split()
        assert (age, distance, path) == ('11.000', f'{found.distance.value:.2f}',
                                         str(tmp_path / 'mocks' / f'{name}.fits'))
        assert float(mass) == pytest.approx(found.total_mass.value, abs=0.06)
        assert float(ratio) == pytest.approx(found.mass_to_light.value, abs=6e-4)


PLACES = ('x=pc', 'y=pc', 'z=pc', 'mass=solMass')


class TestOtherFiles:
    """Tables with columns that are named, folders of runs, errors in the words of the command."""

    def table(self, tmp_path, text, name='stars.dat'):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    def mass(self, args, capsys):
        """Mass [Msun] in the field of a mock."""
        status = main([*args, '--distance', '10', '-o', 'out.fits', '--overwrite', '--quiet'])
        output, errors = capsys.readouterr()
        assert (status, errors) == (0, '')
        return Mock.read('out.fits').total_mass.value

    units = ['--column-unit', 'mass=solMass', 'x=pc', 'y=pc', 'z=pc', '--age', '12', '--evolve-stars',
             '0.001',
             '--masses-are-initial']

    @pytest.mark.parametrize('text', [
        'X Y Z m\n0 0 0 0.8\n0.1 0 0 0.5\n', '# X Y Z m\n0 0 0 0.8\n0.1 0 0 0.5\n'])
    def test_columns_by_name(self, tmp_path, monkeypatch, capsys, text):
        monkeypatch.chdir(tmp_path)
        args = [self.table(tmp_path, text), '--column', 'mass=m', 'x=X', '--column', 'y=Y', 'z=Z',
                *self.units]
        assert self.mass(args, capsys) == pytest.approx(1.3, rel=1e-3)

    def test_columns_by_number(self, tmp_path, monkeypatch, capsys):
        """As snapshots of Monte Carlo codes come, without a line of names."""
        monkeypatch.chdir(tmp_path)
        path = self.table(tmp_path, '7 0 0 0 0.8\n8 0.1 0 0 0.5\n')
        args = [path, '--column', 'mass=5', 'x=2', 'y=3', 'z=4', *self.units]
        assert self.mass(args, capsys) == pytest.approx(1.3, rel=1e-3)

    def test_a_fits_table(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        QTable({'M': [0.8, 0.5] * u.Msun, 'x': [0, 0.1] * u.pc, 'y': [0, 0] * u.pc, 'z': [0,
                                                                                          0] * u.pc}).write(
            'stars.fits')
        args = ['stars.fits', '--column', 'mass=M', '--age', '12', '--evolve-stars', '0.001',
                '--masses-are-initial']
        assert self.mass(args, capsys) == pytest.approx(1.3, rel=1e-3)

    def test_binaries_of_mocca(self, tmp_path, monkeypatch, capsys):
        """Two stars in one row: both count, at the same place."""
        monkeypatch.chdir(tmp_path)
        path = self.table(tmp_path, '# im r vr vt ikb ik1 ik2 sm1 sm2 slum1 slum2 rad1 rad2\n'
                                    '1 0.1 0 1 0 1 0 0.8 0 1.5 0 1 0\n2 0.2 0 1 1 1 13 0.5 1.4 0.1 0 0.5 '
                                    '1e-5\n')
        units = ['mass=solMass', 'radius=pc', 'v_r=km/s', 'v_t=km/s', 'luminosity=solLum',
                 'stellar_radius=solRad']
        args = [path, '--column', 'id=im', '--column-unit', *units, '--age', '12']
        assert self.mass(args, capsys) == pytest.approx(0.8 + 0.5 + 1.4, rel=1e-3)

    def test_a_run(self, tmp_path, snapshot, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        for number, age in enumerate((1, 5, 12)):
            (tmp_path / 'run' / 'snapshots').mkdir(parents=True, exist_ok=True)
            Snapshot(snapshot.stars, age * u.Gyr, snapshot.model).write(
                tmp_path / 'run' / 'snapshots' / f'snapshot_{number:05}.fits')
        for args, ages in (([], [1, 5, 12]), (['--at', '-1'], [12]), (['--at', '1'], [5]), (['--at',
                                                                                             '4.4 Gyr'],
                                                                                            [5])):
            assert main(['run', *args, '--distance', '10', '-o', 'mocks', '--quiet', '--overwrite']) == 0
            assert sorted(Mock.read(path).age.value for path in (tmp_path / 'mocks').iterdir()) == ages
            for path in (tmp_path / 'mocks').iterdir():
                path.unlink()
        assert main(['run', '--at', '3', '--distance', '10']) == 2
        errors = capsys.readouterr().err
        assert '--at must be a number below 3, the number of snapshots in run, received 3' in errors

    @pytest.mark.parametrize(('text', 'args', 'message'), [
        ('X Y Z m\n0 0 0 1\n', ['--column', 'mass=m', 'x=X', 'y=Y', 'z=Z'],
         "must have units, received none of .*'Z'.*: give them, such as --column-unit .*mass=solMass"),
        ('x y z mass luminosity\n0 0 0 1 2\n', [],
         "none of 'x', 'y', 'z', 'mass', 'luminosity': give them, such as --column-unit x=pc y=pc z=pc "
         'mass=solMass luminosity=solLum$'),
        ('# r vr vt m\n1 2 3 4\n', [],
         "none of 'r', 'vr', 'vt', 'm': .* radius=pc v_r='km / s' v_t='km / s' mass=solMass$"),
        ('x y z m lum\n0 0 0 1 2\n',
         ['--age', '12', '--column-unit', 'x=pc', 'y=pc', 'z=pc', 'mass=solMass', 'luminosity=solLum'],
         'received .*luminosity.*: give them with --column, or --evolve-stars Z, with which stars are'),
        ('1 2 3\n', [], 'received a file that is not recognised: give --format, or for a table its columns'),
        ('u v w\n1 2 3\n', [], 'received a file that is not recognised'),
        ('X Y Z m\n0 0 0 1\n', ['--column', 'mass=n'],
         "--column must name columns of .*stars.dat, which are X, Y, Z, m, received 'n'"),
        ('mass_now\n1\n', ['--column', 'mass=mas_now'], "received 'mas_now': did you mean mass_now"),
        ('0 0 0 1\n', ['--column', 'mass=5'], "which are numbers from 1 to 4, received '5'"),
        ('X Y Z m\n0 0 0 1\n', ['--column', 'weight=m'], "must give names of id, .*, received 'weight'"),
        ('x y z mass\n0 0 0 1\n', ['--column-unit', *PLACES], 'does not say its age: give it as --age'),
        ('x y z mass\n0 0 0 1\n', ['--column-unit', *PLACES, '--age', '12', '--evolve-stars', '0.001'],
         'give --masses-are-initial if the simulation had')])
    def test_errors(self, tmp_path, monkeypatch, capsys, text, args, message):
        monkeypatch.chdir(tmp_path)
        assert main([self.table(tmp_path, text), *args, '--distance', '10']) == 2
        errors = capsys.readouterr().err
        assert errors.startswith('pidoc-mock: ') and errors.count('\n') == 1
        assert re.search(message, errors), errors

    def test_an_empty_folder(self, tmp_path, capsys):
        assert main([str(tmp_path), '--distance', '10']) == 2
        errors = capsys.readouterr().err
        assert 'must be a file, or the folder of a run with snapshots in it: none found' in errors

    def test_a_column_without_its_name(self, capsys):
        with pytest.raises(SystemExit):
            main(['x.dat', '--column', 'mass', '--distance', '10'])
        assert "must be like mass=m, received 'mass'" in capsys.readouterr().err


def test_every_option_is_observes(tmp_path, snapshot, capsys):
    path = tmp_path / 'x.fits'
    assert main([str(tmp_path / 'one.fits'), '--distance', '10', '--seeing', '2arcsec', '--direction=1,0,-1',
                 '--rotation', '30', '--shift=1,-2', '--center', '250.42 36.46', '--field-of-view', '30',
                 '--pixel-scale', '0.5', '--smoothing', '2', '--oversampling', '2', '--band', 'g',
                 '--correction', 'kurucz1992', '--metallicity', '0.01', '--extinction', '0.3', '--sky', '21',
                 '--sky-gradient', '0.1', '--zero-point', '25', '--exposure', '1 min', '--read-noise', '4',
                 '--saturation', '1e5',
                 '--field-stars', '3', '--bad-pixels', '0.01', '--seed', '4', '-o', str(path), '--quiet',
                 '--dtype', 'float64']) == 0
    assert capsys.readouterr() == ('', '')
    expected = observe(
        snapshot, distance=10 * u.kpc, seeing=2 * u.arcsec, direction=[1, 0, -1], rotation=30 * u.deg,
        shift=[1, -2] * u.arcsec, center=SkyCoord(250.42, 36.46, unit='deg'), field_of_view=30 * u.arcsec,
        pixel_scale=0.5 * u.arcsec, smoothing=2, oversampling=2, band='g', correction='kurucz1992',
        metallicity=0.01,
        conditions=Conditions(
            extinction=0.3 * u.mag, sky=21 * u.mag / u.arcsec**2, sky_gradient=0.1, zero_point=25 * u.mag,
            exposure=60 * u.s, read_noise=4, saturation=1e5, field_stars=3 / u.arcmin**2, bad_pixels=0.01),
        seed=4)
    found = Mock.read(path)
    assert found.light.meta == expected.light.meta
    np.testing.assert_array_equal(found.light.data, expected.light.data)
    for name in ('crval', 'crpix', 'cdelt'):
        np.testing.assert_allclose(getattr(found.light.wcs.wcs, name), getattr(expected.light.wcs.wcs, name))


def test_a_center_in_hours(tmp_path, snapshot):
    for i, text in enumerate(('16h41m40.8s +36d27m36s', '250.42, 36.46')):
        assert main([str(tmp_path / 'one.fits'), '--distance', '10', '--center', text, '--quiet', '-o',
                     str(tmp_path / f'{i}.fits')]) == 0
        wcs = Mock.read(tmp_path / f'{i}.fits').light.wcs
        np.testing.assert_allclose(wcs.wcs.crval, [250.42, 36.46], atol=1e-9)


def test_the_same_command_makes_the_same_bytes_and_replaces_nothing(tmp_path, snapshot, capsys):
    path = tmp_path / 'a.fits'
    args = [str(tmp_path / 'one.fits'), '--distance', '10', '-o', str(path), '--quiet', '--random']
    assert main(args) == 0
    before = path.read_bytes()
    assert main(args) == 2
    assert capsys.readouterr().err == f'pidoc-mock: {path} exists: give --overwrite to replace it\n'
    assert main([*args, '--overwrite']) == 0 and path.read_bytes() == before
    assert main([*args, '--overwrite', '--seed', '1']) == 0 and path.read_bytes() != before


@pytest.mark.parametrize('args, message', [
    (['--distance', 'far'], "argument --distance: must be a number .kpc., received 'far'"),
    (['--distance', 'nan'], "argument --distance: must be finite, received 'nan'"),
    (['--distance', '3 arcsec'], "argument --distance: must be a number .kpc., received '3 arcsec'"),
    (['--distance', '-1'], 'distance must be positive, received -1.0 kpc'),
    ([], 'the following arguments are required: --distance'),
    (['--distance', '10', '--shift', '3'], "argument --shift: must be 2 numbers with commas, received '3'"),
    (['--distance', '10', '--shift', 'a,b'], "must be 2 numbers with commas, received 'a,b'"),
    (['--distance', '10', '--center', 'M 13'], "--center must be the RA and Dec .* received 'M 13'"),
    (['--distance', '10', '--center', '5'], "--center must be the RA and Dec .* received '5'"),
    (['--distance', '10', '--random', '--shift', '1,1'], '--random draws shift, rotation and direction'),
    (['--distance', '10', '--exposure', '5'], '--zero-point and --exposure go together'),
    (['--distance', '10', '--band', 'g'], "correction 'reed1998' knows the band V only"),
    (['--distance', '10', '20', '-o', 'x.fits'], '--output must be a folder, for 2 observations'),
    (['--distance', '10', '10'], 'one-10kpc-1.fits would be written twice')])
def test_errors_are_one_line(tmp_path, snapshot, capsys, args, message):
    status = None
    try:
        status = main([str(tmp_path / 'one.fits'), '--quiet', *args])
    except SystemExit as stop:
        # what argparse itself finds
        status = stop.code
    output, errors = capsys.readouterr()
    assert status == 2 and output == ''
    assert errors.startswith('pidoc-mock: ') and errors.count('\n') == 1
    assert re.search(message, errors)
    assert [path.name for path in tmp_path.iterdir()] == ['one.fits']


def test_snapshots_of_other_codes(tmp_path, capsys):
    """A table without luminosities: they come from the masses, an age and a metallicity."""
    rng = np.random.default_rng(0)
    table = QTable(dict(zip('xyz', rng.normal(0, 0.3, (3, 50)) * u.pc)) | {'mass': np.full(50, 0.7) * u.Msun})
    table.write(tmp_path / 'others.ecsv')
    args = [str(tmp_path / 'others.ecsv'), '--distance', '10', '--quiet', '-o', str(tmp_path)]
    assert main([*args, '--age', '12']) == 2
    assert 'received x, y, z, mass, id: give them with --column' in capsys.readouterr().err
    assert main([*args, '--format', 'table', '--age', '12', '--evolve-stars', '0.001',
                 '--masses-are-initial']) == 0
    found = Mock.read(tmp_path / 'others.ecsv-10kpc-1.fits')
    one = Snapshot.read(tmp_path / 'others.ecsv', age=12 * u.Gyr, metallicity=0.001, initial='mass')
    expected = observe(one, distance=10 * u.kpc)
    np.testing.assert_allclose(found.light.data, expected.light.data, rtol=1e-6)
    assert found.age == 12 * u.Gyr and expected.luminosity.value > 1.0
    with pytest.raises(SystemExit):
        main([*args, '--at', 'noon'])
    assert "argument --at: must be a number or a time, received 'noon'" in capsys.readouterr().err
    # the reader is given its name
    for which, value in (('-1', -1), ('500Myr', 500 * u.Myr)):
        options = pidoc_mock._parser().parse_args([*args, '--at', which])
        assert pidoc_mock._reader_options(options) == {'at': value}


def test_files_that_are_no_snapshots(tmp_path, capsys):
    (tmp_path / 'bad.fits').write_bytes(b'nothing')
    assert main([str(tmp_path / 'bad.fits'), '--distance', '10', '--quiet']) == 2
    assert re.match(r'pidoc-mock: .*bad.fits: a FITS file must begin with SIMPLE', capsys.readouterr().err)
    assert main([str(tmp_path / 'none.fits'), '--distance', '10', '--quiet']) == 2
    assert 'none.fits' in capsys.readouterr().err
    with pytest.raises(OSError, match='none.fits'):
        main([str(tmp_path / 'none.fits'), '--distance', '10', '--quiet', '--debug'])


def test_interrupted(tmp_path, snapshot, capsys, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr('pidoc.mock.observation.observe', interrupt)
    assert main([str(tmp_path / 'one.fits'), '--distance', '10', '--quiet']) == 130
    assert 'interrupted' in capsys.readouterr().err


def test_help_is_light_and_has_units():
    code = ('import sys\nfrom pidoc.scripts.pidoc_mock import main\ntry:\n    main(["--help"])\n'
            'except SystemExit as stop:\n    assert stop.code == 0\n'
            'print([name for name in ("numba", "matplotlib", "scipy") if name in sys.modules])')
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True,
                            cwd=Path(pidoc.__file__).parents[1])
    *text, loaded = result.stdout.splitlines()
    assert loaded == '[]'
    text = ' '.join(' '.join(text).split())
    for words in ('distance to the cluster [kpc]',
                  "side of a pixel [arcsec] (default: the paper's)", 'exposure time [s]',
                  'brightness of the sky, which is subtracted [mag/arcsec2]'):
        assert words in text


def test_the_entry_point():
    result = subprocess.run([sys.executable, '-m', 'pidoc.scripts.pidoc_mock', '--version'],
                            capture_output=True, text=True, check=True, cwd=Path(pidoc.__file__).parents[1])
    assert result.stdout == f'pidoc {pidoc.__version__}\n'


def test_choices_are_those_of_the_photometry():
    assert pidoc_mock._BANDS == tuple(BANDS) and pidoc_mock._CORRECTIONS == CORRECTIONS
