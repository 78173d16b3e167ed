# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Many images: lists, tables, and work that goes on whatever dies. The networks are those of `stand_in`."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Column, MaskedColumn, QTable, Table

import pidoc
from pidoc import MassMapper, Prediction
from pidoc.io.processes import scheduler_client, WorkLost
from pidoc.mock.mock import Mock
from pidoc.networks.variables import CONSTRAINTS
from pidoc.prediction import survey as module
from pidoc.prediction.known import checked
from pidoc.prediction.prediction import row_units
from pidoc.prediction.survey import ImageList, JOURNAL, survey
from pidoc.scripts.pidoc_predict import EXAMPLE
from pidoc.tests.stand_in import StandIn


class Deadly(StandIn):
    """Kills the process that works on a map whose brightest pixel is given; each time, or once."""

    def __init__(self, brightest, once=None):
        super().__init__()
        self.brightest, self.once = brightest, once

    def estimate(self, light, **known):
        if np.any(np.isclose(light.max(axis=(1, 2)), self.brightest, rtol=1e-5)):
            if self.once is None or not self.once.exists():
                if self.once is not None:
                    self.once.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().estimate(light, **known)


def mapper(estimator=None, sha256='abc'):
    return MassMapper(estimator or StandIn(), name='stand-in', sha256=sha256)


@pytest.fixture(scope='module')
def example():
    return Mock.read(EXAMPLE)


@pytest.fixture
def images(tmp_path, monkeypatch, example):
    """Five images, each a little brighter than the last; and a file that is none, in their midst."""
    monkeypatch.chdir(tmp_path)
    for k in range(5):
        scaled(example, 1 + 0.1 * k).write(tmp_path / f'{k}.fits')
    (tmp_path / 'bad.fits').write_text('no image')
    return ['0.fits', '1.fits', 'bad.fits', '2.fits', '3.fits', '4.fits']


def scaled(mock, factor):
    light = mock.light.copy()
    light.data = light.data * factor
    return Mock(**{**{name: getattr(mock, name) for name in mock.__dataclass_fields__}, 'light': light})


def run(images, *, model=None, **options):
    return survey(images, 'out', model=model or mapper(), progress=False, **options)


def journal():
    return [json.loads(line) for line in Path('out', JOURNAL).read_text().splitlines()]


def times():
    return {path.name: path.stat().st_mtime_ns for path in Path('out').glob('*.fits')}


# -- lists ----------------------------------------------------------------------------------------


def test_a_text_file(tmp_path):
    path = tmp_path / 'images.txt'
    path.write_text('# two of them\n\n a b.fits \ndeep/é.fits.gz\n', encoding='utf-8')
    images = ImageList.read(path)
    assert [images[k].file for k in range(len(images))] == ['a b.fits', 'deep/é.fits.gz']
    assert images[1].product == 'é-pidoc.fits' and images[1].options == {}


@pytest.mark.parametrize(('ending', 'text'), [
    ('csv', 'file,distance\na.fits,7.5\n'), ('tsv', 'file\tdistance\na.fits\t7.5\n'), ('txt', 'a.fits\n'),
    ('ecsv', '# %ECSV 1.0\n# ---\n# datatype:\n# - {name: file, datatype: string}\n'
             '# - {name: distance, datatype: float64}\nfile distance\na.fits 7.5\n')])
@pytest.mark.parametrize('mark', ['', '\ufeff'])
def test_with_the_mark_of_excel(tmp_path, ending, text, mark):
    (tmp_path / f'images.{ending}').write_text(mark + text, encoding='utf-8')
    image, = ImageList.read(tmp_path / f'images.{ending}')
    assert image.file == 'a.fits'
    assert image.options == ({} if ending == 'txt' else {'distance': 7.5 * u.kpc})


@pytest.mark.parametrize('name', ['File', 'FILE', 'filename', 'file_name', 'Filename', 'path', 'image',
                                  'fits_file'])
def test_a_column_that_is_perhaps_that_of_files(tmp_path, name):
    (tmp_path / 'a.csv').write_text(f'id,{name},distance\n1,a.fits,7\n')
    with pytest.raises(ValueError, match=f'must have a column "file", received id, {name}, distance: rename '
                                         f'"{name}"'):
        ImageList.read(tmp_path / 'a.csv')


@pytest.mark.parametrize('ending', ['ecsv', 'fits', 'vot', 'csv', 'tsv'])
def test_a_table(tmp_path, ending):
    table = Table({'file': ['a.fits', 'b.fits'], 'distance': [20.0, np.nan], 'seeing': [1.0, 2.0],
                   'zero_point': [25.0, 26.5], 'band': ['V', 'V'], 'hdu': [1, 2], 'ra': [250.0, 10.0],
                   'dec': [36.0, -70.0]})
    if ending != 'csv':
        table['distance'].unit, table['seeing'].unit = 'Mpc', 'arcmin'
    path = tmp_path / f'images.{ending}'
    table.write(path, format={'vot': 'votable', 'tsv': 'ascii.tab'}.get(ending))
    images = ImageList.read(path)
    first, second = images[0].options, images[1].options
    factor = (1, 1) if ending in ('csv', 'tsv') else (1000, 60)
    assert first['distance'].to_value(u.kpc) == pytest.approx(20 * factor[0]) and 'distance' not in second
    assert second['seeing'].to_value(u.arcsec) == pytest.approx(2 * factor[1])
    assert second['zero_point'] == 26.5 * u.mag and second['band'] == 'V' and second['hdu'] == 2
    assert (first['center'].ra.deg, first['center'].dec.deg) == pytest.approx((250, 36))


def test_all_that_may_be_known_of_a_cluster(tmp_path):
    path = tmp_path / 'images.csv'
    path.write_text('file,age,age_error,metallicity,metallicity_error,velocity_dispersion,'
                    'velocity_dispersion_error,dispersion_radius\na.fits,12.5,0.5,-1.98,0.1,1.6,0.2,20\n'
                    'b.fits,,,,,,,\n')
    images = ImageList.read(path)
    assert images[0].options == {
        'age': 12.5 * u.Gyr, 'age_error': 0.5 * u.Gyr, 'metallicity': -1.98, 'metallicity_error': 0.1,
        'velocity_dispersion': 1.6 * u.km / u.s, 'velocity_dispersion_error': 0.2 * u.km / u.s,
        'dispersion_radius': 20 * u.arcsec}
    assert images[1].options == {}


def test_distance_moduli_in_a_table(tmp_path):
    table = Table({'file': ['a.fits', 'b.fits'], 'distance': [15.0, np.nan] * u.mag,
                   'distance_error': [0.1, np.nan] * u.mag})
    table.write(tmp_path / 'images.ecsv')
    images = ImageList.read(tmp_path / 'images.ecsv')
    assert images[0].options == {'distance': 15 * u.mag, 'distance_error': 0.1 * u.mag}
    assert images[1].options == {}
    known = checked(images[0].options, [CONSTRAINTS['distance']])
    assert known == pytest.approx({'distance': 10.0, 'distance_error': 0.460517}, rel=1e-5)


def test_what_is_known_reaches_the_model(images):
    listed = ImageList(images[:2], options={'age': [9.5, np.nan], 'metallicity': [-1.5, -2.0]})
    model = mapper()
    rows = run(listed, model=model, options={'distance': 20 * u.kpc}, batch_size=2)
    (known,) = model.estimator.known
    np.testing.assert_array_equal(known['age'], [9.5, np.nan])
    np.testing.assert_array_equal(known['metallicity'], [-1.5, -2.0])
    assert list(rows['given']) == ['distance age metallicity', 'distance metallicity']
    assert Prediction.read('out/0-pidoc.fits').known == {'distance': 20 * u.kpc, 'age': 9.5 * u.Gyr,
                                                         'metallicity': -1.5}


def test_empty_cells_are_not_told(tmp_path):
    path = tmp_path / 'images.csv'
    path.write_text('file,distance,band,seeing\na.fits,,,\nb.fits,12,V,\n')
    images = ImageList.read(path)
    assert images[0].options == {} and images[1].options == {'distance': 12 * u.kpc, 'band': 'V'}


def test_columns_that_are_not_used_are_told(tmp_path, caplog):
    path = tmp_path / 'images.csv'
    path.write_text('file,distance_err,id\na.fits,1,7\n')
    ImageList.read(path)
    assert (f'{path}: columns that mean nothing here are not used: distance_err (did you mean '
            f'distance_error?), '
            'id; what is used: file, name, distance, distance_error, ') in caplog.text


@pytest.mark.parametrize(('name', 'text', 'message'), [
    ('a.txt', '# none\n', 'must name images, received none'),
    ('a.csv', 'image,distance\na.fits,1\n', 'must have a column "file", received image, distance'),
    ('a.csv', 'file,ra\na.fits,1\n', 'must have both ra and dec, or neither'),
    ('a.csv', 'file,distance\na.fits,far\n', "column distance of .* must hold numbers, received 'far'"),
    ('a.csv', 'file,ra,dec\na.fits,1:2:99,5\n', "column ra of .* must hold numbers, received '1:2:99'"),
    ('a.csv', 'file,distance\na.fits,1\n,2\n', 'must name a file in each row, received none in row 2'),
    ('a.txt', 'file, distance\na.fits, 7\n', "must have a path on each line, received 'file, distance': if "
     'it is a table, its name must end in .csv or .ecsv'),
    ('a.ecsv', '# %ECSV 1.0\n# ---\n# datatype:\n# - {name: file, datatype: string}\n'
     '# - {name: distance, unit: parsecs, datatype: float64}\nfile distance\na.fits 7\n',
     'column distance of .* must be in a unit like kpc, received parsecs'),
    ('a.ecsv', 'file\na.fits\n', 'cannot be read as a table'),
    ('a.csv', 'file,name\na.fits,x/y\n', "the name of an image must be of 1 to 200 characters .* 'x/y'"),
    ('a.csv', 'file\na/x.fits\nb/x.fits\n', 'x-pidoc.fits would be written twice: rename images')])
def test_lists_that_cannot_be_used(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        ImageList.read(tmp_path / name)


@pytest.mark.parametrize('mark', ['', '\N{BYTE ORDER MARK}'])
def test_lists_as_people_write_them(tmp_path, mark):
    """With comments, empty lines, blanks, quoted names, and gaps of all kinds."""
    (tmp_path / 'a.csv').write_text(
        mark + '# my clusters\nfile , distance,ra,dec, name\n\n'
        '"my, file.fits", 7.5, 16:41:41.2,-36:27:36,M 13\n'
        '# M 92\nb.fits, N/A, 250.5, 43.1,\nc.fits,-,,,\n', encoding='utf-8')
    first, second, third = ImageList.read(tmp_path / 'a.csv')
    assert (first.file, first.name, first.product) == ('my, file.fits', 'M 13', 'M 13-pidoc.fits')
    assert first.options['distance'] == 7.5 * u.kpc
    assert first.options['center'].ra.deg == pytest.approx(15.0 * (16 + 41 / 60 + 41.2 / 3600))
    assert first.options['center'].dec.deg == pytest.approx(-36.46)
    assert (second.file, second.name, second.product) == ('b.fits', '', 'b-pidoc.fits')
    assert set(second.options) == {'center'} and second.options['center'].ra.deg == pytest.approx(250.5)
    assert (third.name, third.product, third.options) == ('', 'c-pidoc.fits', {})
    (tmp_path / 'a.txt').write_text('# all\n"my file.fits"\n\n  b.fits\n')
    assert ImageList.read(tmp_path / 'a.txt').files == ['my file.fits', 'b.fits']


@pytest.mark.parametrize('ending', ['fits', 'vot', 'ecsv'])
def test_gaps_and_units_of_tables(tmp_path, ending):
    table = Table({'file': ['a.fits', 'b c.fits'], 'name': MaskedColumn(['M 13', ''], mask=[False, True]),
                   'distance': MaskedColumn([7100.0, 0.0], mask=[False, True], unit=u.pc),
                   'zero_point': Column([25.0, 26.0], unit=u.ABmag)})
    if ending != 'ecsv':
        # others have no magnitudes of a system
        table['zero_point'].unit = u.mag
    table.write(tmp_path / f'a.{ending}', **({'format': 'votable'} if ending == 'vot' else {}))
    first, second = ImageList.read(tmp_path / f'a.{ending}')
    assert first.name == 'M 13' and first.options['distance'].to_value(u.kpc) == pytest.approx(7.1)
    assert second.product == 'b c-pidoc.fits' and set(second.options) == {'zero_point'}
    assert second.options['zero_point'] == 26.0 * table['zero_point'].unit
    # of several numbers in a cell none is chosen
    Table({'file': ['a.fits'], 'distance': [[7.1, 8.0]]}).write(tmp_path / 'b.fits')
    with pytest.raises(ValueError, match='column distance of .* must hold one number in each row, receiv'):
        ImageList.read(tmp_path / 'b.fits')


def test_more_lists_that_cannot_be_used(tmp_path):
    with pytest.raises(FileNotFoundError):
        ImageList.read(tmp_path / 'none.ecsv')
    (tmp_path / 'a.txt').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(ValueError, match='must be a text file with a path on each line'):
        ImageList.read(tmp_path / 'a.txt')
    QTable({'file': ['a'], 'distance': [3] * u.s}).write(tmp_path / 'a.ecsv')
    with pytest.raises(ValueError, match='column distance of .* must be in a unit like kpc, received s'):
        ImageList.read(tmp_path / 'a.ecsv')
    Table({'file': np.array([], dtype=str)}).write(tmp_path / 'b.ecsv')
    with pytest.raises(ValueError, match='must name images, received none'):
        ImageList.read(tmp_path / 'b.ecsv')


# -- one process ----------------------------------------------------------------------------------


def test_the_table_is_that_of_the_predictions(images):
    listed = ImageList(images, options={'distance': [20, np.nan, 5, 30, 40, 50]})
    rows = run(listed, table='all.fits', batch_size=2,
               options={'distance': 10 * u.kpc, 'seeing': 1.1 * u.arcsec})
    assert list(rows['file']) == images
    assert rows.colnames == ['file', *row_units(), 'output', 'error']
    np.testing.assert_allclose(rows['distance'].to_value(u.kpc), [20, 10, np.nan, 30, 40, 50])
    assert [bool(error) for error in rows['error']] == [False, False, True, False, False, False]
    for row in rows[rows['error'] == '']:
        prediction = Prediction.read(row['output'])
        assert prediction.light.meta['PSFFWHM'] == 1.1
        for name, column in prediction.to_row().items():
            np.testing.assert_equal(getattr(row[name], 'value', row[name]),
                                    getattr(column[0], 'value', column[0]), err_msg=name)
    read = QTable.read('all.fits')
    assert read['age'].unit == u.Gyr and list(read['file']) == images
    assert read.meta['PIDOCVER'] == rows.meta['PIDOCVER']


def test_one_call_of_the_networks_for_a_batch(images):
    model = mapper()
    run(images, model=model, batch_size=4)
    assert model.estimator.batches == [3, 2]


def test_without_files(images):
    rows = run(images, products=False, table='t.ecsv')
    assert set(os.listdir('out')) == {JOURNAL} and set(rows['output']) == {''}
    assert len(QTable.read('t.ecsv')) == 6


def test_what_is_done_is_not_repeated(images):
    run(images[:4])
    before = times()
    model = mapper()
    rows = run(images, model=model, resume=True)
    assert sum(model.estimator.batches) == 2
    assert len(rows) == 6 and before.items() <= times().items()
    # the same as all at once
    again = survey(images, 'all', model=mapper(), progress=False)
    for name in ('file', 'total_mass', 'age_low_68', 'flags', 'error'):
        np.testing.assert_array_equal(rows[name], again[name])


def test_a_product_that_is_gone_or_cut_short_is_made_again(images):
    run(images)
    Path('out/0-pidoc.fits').unlink()
    whole = Path('out/1-pidoc.fits').read_bytes()
    Path('out/1-pidoc.fits').write_bytes(whole[:5000])
    model = mapper()
    run(images, model=model, resume=True)
    assert sum(model.estimator.batches) == 2 and Path('out/1-pidoc.fits').read_bytes() == whole


@pytest.mark.parametrize('change', ['image', 'options', 'model'])
def test_what_was_made_from_something_else_is_not_taken_for_done(images, example, change):
    run(images)
    if change == 'image':
        scaled(example, 7).write('3.fits', overwrite=True)
    options = {'options': {'distance': 3 * u.kpc}} if change == 'options' else {}
    options['model'] = mapper(sha256='other' if change == 'model' else 'abc')
    with pytest.raises(OSError, match='-pidoc.fits was made from another file, or with other'):
        run(images, resume=True, **options)
    run(images, resume=True, overwrite=True, **options)
    assert sum(options['model'].estimator.batches) == (1 if change == 'image' else 5)


def test_stopped_by_the_keyboard(images):
    done = []

    def report(item, error, summary):
        done.append(item.file)
        if len(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(images, table='t.ecsv', report=report, batch_size=1)
    assert list(QTable.read('t.ecsv')['file']) == images[:3]
    model = mapper()
    rows = run(images, model=model, table='t.ecsv', resume=True)
    # what failed is tried again
    assert sum(model.estimator.batches) == 3 and list(rows['file']) == images
    assert list(QTable.read('t.ecsv')['file']) == images


def test_a_journal_that_was_cut_short(images):
    run(images)
    text = Path('out', JOURNAL).read_bytes()
    # in the line of the last image, and what was begun stays ours
    Path('out', JOURNAL).write_bytes(b'[]\nnonsense\n' + text[:-200])
    model = mapper()
    assert list(run(images, model=model, resume=True)['file']) == images
    assert model.estimator.batches == [1]
    assert run(images, model=mapper(), resume=True)['error'].tolist().count('') == 5
    # nothing but whole lines, apart from the one that was cut
    with pytest.raises(json.JSONDecodeError):
        journal()


def test_rows_are_written_as_work_goes_on(images, monkeypatch):
    monkeypatch.setattr(module, '_TABLE_EVERY', 0.0)
    seen, ticks = [], iter(range(10**6))

    def report(item, error, summary):
        seen.append(len(QTable.read('t.ecsv')) if Path('t.ecsv').exists() else 0)
        time.sleep(0.02)

    monkeypatch.setattr(module.time, 'monotonic', lambda: 1000.0 * next(ticks))
    run(images, table='t.ecsv', report=report, batch_size=2)
    assert seen[0] == 0 and 2 <= seen[3] < 6


def test_nothing_is_replaced_unasked(images):
    run(images[:1])
    with pytest.raises(OSError, match='out/0-pidoc.fits exists: give overwrite to replace it'):
        run(images)
    # a product that is no work of this journal
    Path('out', JOURNAL).unlink()
    with pytest.raises(OSError, match='out/0-pidoc.fits exists: give overwrite to replace it'):
        run(images, resume=True)
    Path('t.csv').write_text('mine')
    with pytest.raises(OSError, match='t.csv exists: give overwrite to replace it'):
        run(images[1:], table='t.csv')
    assert Path('t.csv').read_text() == 'mine' and not Path('out/1-pidoc.fits').exists()


def test_plots(images):
    run(images[:1], plot=True)
    assert Path('out/0-pidoc.png').stat().st_size > 10_000
    Path('out/0-pidoc.fits').unlink()
    with pytest.raises(OSError, match='out/0-pidoc.png exists'):
        run(images[:1], plot=True)
    # a figure that is missing is made
    Path('out/0-pidoc.png').unlink()
    run(images[:1], plot=True, resume=True)
    assert Path('out/0-pidoc.png').exists()


@pytest.mark.parametrize(('options', 'message'), [
    ({'jobs': 0}, 'jobs must be a whole number, at least 1, received 0'),
    ({'batch_size': 1.5}, 'batch_size must be a whole number, at least 1, received 1.5'),
    ({'table': 't.txt'}, 'a table must end in .ecsv, .csv or .fits, received t.txt'),
    ({'products': False}, 'products or a table must be asked for, received neither'),
    ({'journal': False, 'resume': True}, 'resume needs the journal, received journal=False'),
    ({'model': 'none'}, "a model must be one of .*, or an existing folder, received 'none'")])
def test_options_that_cannot_be(images, options, message):
    with pytest.raises(ValueError, match=message):
        run(images, **options)
    assert not Path('out').exists()


def test_the_first_error_is_let_through(images):
    with pytest.raises(ValueError, match='bad.fits'):
        run(images, stop=True)


def test_a_disk_that_is_full_is_told_for_each(images, monkeypatch):
    def write(self, *args, **options):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Prediction, 'write', write)
    rows = run(images[:2])
    assert list(rows['error']) == ['[Errno 28] No space left on device'] * 2


def test_long_commands_are_cut(images):
    run(images[:1], command='pidoc-predict ' + 'x' * 10_000)
    command = Prediction.read('out/0-pidoc.fits').command
    assert len(command) == 2000 and command.endswith('x ...')


# -- many processes -------------------------------------------------------------------------------


def brightest(path):
    return float(Mock.read(path).light.data.max())


def same_numbers(rows, others):
    assert list(rows['file']) == list(others['file'])
    good = np.array(others['error'] == '')
    np.testing.assert_array_equal(rows['total_mass'][good].value, others['total_mass'][good].value)


@pytest.mark.slow
def test_processes_say_the_same(images):
    rows = run(images, jobs=2, batch_size=2)
    same_numbers(rows, survey(images, 'one', model=mapper(), progress=False))
    assert list(np.flatnonzero(rows['error'] != '')) == [2]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs a system that can kill')
def test_a_process_that_is_killed_takes_no_image_with_it(images, tmp_path):
    once = tmp_path / 'killed'
    rows = run(images, model=mapper(Deadly(brightest('1.fits'), once)), jobs=2, batch_size=3)
    assert once.exists()
    same_numbers(rows, survey(images, 'one', model=mapper(), progress=False))
    assert list(np.flatnonzero(rows['error'] != '')) == [2]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs a system that can kill')
def test_an_image_that_kills_is_told_and_stops_no_other(images):
    rows = run(images, model=mapper(Deadly(brightest('1.fits'))), jobs=2, batch_size=3)
    assert list(np.flatnonzero(rows['error'] != '')) == [1, 2]
    assert rows['error'][1] == 'a process that worked on it was killed, perhaps for lack of memory'
    # and is tried again
    rows = run(images, jobs=2, resume=True)
    assert list(np.flatnonzero(rows['error'] != '')) == [2]


def test_a_scheduler_that_lets_work_fall_ends_it(images, monkeypatch):
    """It is not the images' fault: they are not noted as failed."""
    def lost(function, tasks, **where):
        yield next(tasks)[0], None, WorkLost('the dask scheduler says: cancelled')

    monkeypatch.setattr(module, 'work', lost)
    with pytest.raises(WorkLost, match='the dask scheduler says: cancelled'):
        run(images, scheduler='tcp://127.0.0.1:9')
    assert {line['state'] for line in journal()} == {'begun'}


SCRIPT = """
from pathlib import Path
from pidoc.prediction.survey import survey
from pidoc.tests.prediction.test_survey import mapper
from pidoc.tests.stand_in import StandIn
import time

class Slow(StandIn):
    def estimate(self, light, **known):
        time.sleep(0.3)
        return super().estimate(light, **known)

if __name__ == '__main__':
    survey({images!r}, 'out', model=mapper(Slow()), table='t.ecsv', jobs={jobs}, batch_size=1, progress=False)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs a system that can kill')
@pytest.mark.parametrize('jobs', [1, 2])
def test_all_is_killed_and_goes_on(images, jobs):
    import subprocess
    import sys

    Path('run.py').write_text(SCRIPT.format(images=images, jobs=jobs))
    where = str(Path(pidoc.__file__).parents[1])
    child = subprocess.Popen([sys.executable, 'run.py'], env={**os.environ, 'PYTHONPATH': where})
    deadline = time.monotonic() + 120
    while not (Path('out', JOURNAL).exists() and '"done"' in Path('out', JOURNAL).read_text()):
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.02)
    child.kill()
    child.wait()
    time.sleep(1)
    assert not Path('out/4-pidoc.fits').exists() and not Path('t.ecsv').exists()
    before, model = times(), mapper()
    done = [line['product'] for line in journal() if line['state'] == 'done']
    rows = run(images, model=model, resume=True, table='t.ecsv')
    assert sum(model.estimator.batches) == 5 - len(done) < 5
    assert list(np.flatnonzero(rows['error'] != '')) == [2]
    same_numbers(rows, survey(images, 'one', model=mapper(), progress=False))
    assert {name: before[name] for name in done}.items() <= times().items()


@pytest.mark.slow
@pytest.mark.filterwarnings('default')
@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs a system that can kill')
def test_dask_and_a_worker_that_is_killed(images, tmp_path):
    distributed = pytest.importorskip('distributed')
    once = tmp_path / 'killed'
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True,
                                  dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        rows = run(images, model=mapper(Deadly(brightest('1.fits'), once)), scheduler=address, batch_size=2,
                   table='t.ecsv')
        assert once.exists()
        same_numbers(rows, survey(images, 'one', model=mapper(), progress=False))
        assert list(np.flatnonzero(rows['error'] != '')) == [2]
        # one that kills whoever takes it
        rows = survey(images, 'two', model=mapper(Deadly(brightest('1.fits'))), scheduler=address,
                      batch_size=2, progress=False)
    assert list(np.flatnonzero(rows['error'] != '')) == [1, 2]
    assert 'was killed' in rows['error'][1]


def test_no_scheduler_there():
    pytest.importorskip('distributed')
    import dask

    with dask.config.set({'distributed.comm.timeouts.connect': '0.2s'}), \
            pytest.raises(OSError, match='127.0.0.1:9'):
        scheduler_client('tcp://127.0.0.1:9')
