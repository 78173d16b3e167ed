# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The command pidoc-fetch, in process, against an archive of our own."""

import numpy as np
import pytest
from astropy.config import set_temp_cache
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData

from pidoc.scripts import pidoc_fetch
from pidoc.scripts.pidoc_fetch import main
from pidoc.tests import ps1_sky as sky


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    result = sky.Server(sky.Survey(tmp_path_factory.mktemp('survey')))
    yield result
    result.close()


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp('cache')


@pytest.fixture
def run(server, cache, tmp_path, monkeypatch):
    """The command with what makes it quick: a small map and a given seeing."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        with set_temp_cache(cache):
            return main([*args, '--server', server.address, '--retries', '0', '--seeing', '1.3', '1.1arcsec',
                         '--field-of-view', '20'])
    return call


def test_a_cluster(run, server, capsys, tmp_path):
    assert run('NGC 5466') == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ['cluster', 'L']
    assert line.startswith('NGC 5466') and line.endswith('NGC_5466.fits')
    image = CCDData.read(tmp_path / 'NGC_5466.fits')
    assert image.shape == (80, 80)
    luminosity = image.data.sum() * 4 * np.pi * 16.0**2
    assert int(line.split()[2]) == pytest.approx(luminosity, abs=1)
    assert image.header['PSFBYG'] == 'given' and image.header['SMOOTH'] == 4.0
    # the second time nobody is asked, not even for another product
    asked = len(server.requests)
    assert run('ngc5466', '--offline', '--no-extinction', '--relation', 'tonry2012', '--smoothing', '0',
               '-o', 'maps/sharp.fits', '--quiet') == 0
    assert capsys.readouterr().out == ''
    other = CCDData.read(tmp_path / 'maps' / 'sharp.fits')
    assert other.header['EBVFROM'] == 'not corrected' and other.header['RELATION'] == 'tonry2012'
    assert other.data.max() > 2 * image.data.max()
    assert len(server.requests) == asked


def test_one_bad_cluster_does_not_stop_the_others(run, capsys, tmp_path):
    assert run('Pal 11', 'NGC 5466', '47 Tuc', '-o', 'out') == 2
    printed = capsys.readouterr()
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['NGC_5466.fits']
    assert len(printed.out.splitlines()) == 2


def test_what_is_told_of_them(run, caplog):
    run('M 30', '47 Tuc', 'nowhere', '--offline')
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith('M 30: http') and 'is not in the cache' in lines[0]
    assert lines[1].startswith('47 Tuc: Pan-STARRS1 has seen the sky north of -30 deg')
    assert lines[2].startswith("nowhere: name must be that of a globular cluster in the catalogues, received")


@pytest.mark.parametrize(('args', 'message'), [
    (['47 Tuc'], 'Pan-STARRS1 has seen the sky north of -30 deg, received a declination of -72.081 deg'),
    (['10.0 20.0'], 'the reddening of 00h40m00.0s +20d00m00.0s is in no catalogue here: give '
     '--reddening, or say --no-extinction'),
    (['10.0 20.0', '--reddening', '0.1'], 'Pan-STARRS1 has no stack in g at'),
    (['NGC 5466', 'M 53', '-o', 'one.fits'], '--output must be a folder, for 2 clusters, received one.fits'),
    (['NGC 5466', 'NGC  5466'], 'NGC_5466.fits would be written twice: name each cluster once'),
    (['NGC 5466', '--reddening', '0.1', '--no-extinction'], '--reddening and --no-extinction exclude'),
    (['NGC 5466', '--offline', '--refresh'], 'offline and refresh exclude each other, received both'),
    (['NGC 5466', '--timeout', '0'], 'timeout must be positive, received 0'),
    (['M 53', '--reddening', '-1'], 'reddening must not be negative, received -1')])
def test_errors_are_one_line(run, capsys, tmp_path, args, message):
    assert run(*args) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith('pidoc-fetch: ') and message in printed.err
    assert len(printed.err.splitlines()) == 1 and printed.out == ''
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(('args', 'message'), [
    (['NGC 5466', '--seeing', '1.3', 'broad'], "--seeing: must be a number [arcsec], received 'broad'"),
    (['NGC 5466', '--reddening', 'nan'], "argument --reddening: must be finite, received 'nan'"),
    (['NGC 5466', '--relation', 'jester'], "argument --relation: invalid choice: 'jester'"),
    ([], 'the following arguments are required: CLUSTER')])
def test_bad_arguments(capsys, args, message):
    with pytest.raises(SystemExit, match='2'):
        main(args)
    assert message in capsys.readouterr().err


def test_files_are_not_replaced(run, server, capsys, tmp_path):
    (tmp_path / 'NGC_5466.fits').write_text('mine')
    asked = len(server.requests)
    assert run('NGC 5466') == 2
    assert 'NGC_5466.fits exists: give --overwrite to replace it' in capsys.readouterr().err
    assert (tmp_path / 'NGC_5466.fits').read_text() == 'mine' and len(server.requests) == asked
    assert run('NGC 5466', '--overwrite') == 0
    assert CCDData.read(tmp_path / 'NGC_5466.fits').shape == (80, 80)


def test_debug_shows_where(run):
    with pytest.raises(ValueError, match='north of -30'):
        run('47 Tuc', '--debug')


@pytest.mark.parametrize(('text', 'expected'), [
    ('211.3637 28.5344', (211.3637, 28.5344)), ('211.3637, -28.5344', (211.3637, -28.5344)),
    ('14h05m27.3s +28d32m04s', (211.36375, 28.534444)), ('14 05 27.3 +28 32 04', (211.36375, 28.534444))])
def test_positions(text, expected):
    found = pidoc_fetch._target(text)
    assert found.separation(SkyCoord(*expected, unit='deg')).arcsec < 0.01


@pytest.mark.parametrize('name', ['NGC 5466', '47 Tuc', '1636-283', '2MASS-GC01', 'M 53'])
def test_names_are_not_positions(name):
    assert pidoc_fetch._target(name) == name


def test_help(capsys):
    with pytest.raises(SystemExit, match='0'):
        main(['--help'])
    text = capsys.readouterr().out
    assert 'pidoc-fetch "NGC 5466"' in text
    with pytest.raises(SystemExit, match='0'):
        main(['--version'])


def test_the_relations_are_those_of_the_library():
    from pidoc.image.ps1.files import RELATIONS
    assert pidoc_fetch._RELATIONS == tuple(RELATIONS)
