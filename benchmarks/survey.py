#!/usr/bin/env python
"""Cost of a survey: ``pidoc-predict --list`` on a thousand images and more, extrapolated to a million.

``python benchmarks/survey.py FOLDER --images 1000``: makes the images there (mocks of one cluster, each with
another distance, seeing and orientation), then runs the command in a separate process, in three ways: with a
file for each image; with the table only; and again with --resume when all is done. For each: wall-clock and
processor seconds, including the start; the peak memory of the largest process; bytes on disk; and for a
million images the processor hours and the bytes, as start + 10^6 (time - start) / images; when all is done
nothing is loaded, and the start is excluded.

The start is measured with one image. Unlike real images, these mocks are on the grid and need no preparation.
With ``--raw`` they are images of 250 x 250 pixels of 0.4 arcsec in counts, with noise, which have to be
calibrated, centred and put on the grid.
"""

import json
import os
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from common import aged_cluster, machine, parser, peak_memory, spent, table

MILLION = 10**6
RAW = {'band': 'V', 'unit': 'adu', 'zero_point': 25.0}


def make_images(folder, number, raw):
    """Mock images, their list and its path. Existing ones are kept."""
    path = folder / 'images.ecsv'
    if path.exists() and len(Table.read(path)) == number:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    cluster = aged_cluster(50_000)
    rows = []
    for k in range(number):
        rng = np.random.default_rng(k)
        distance, seeing = rng.uniform(10, 60) * u.kpc, rng.uniform(0.6, 1.4) * u.arcsec
        file = folder / f'image_{k:07d}.fits'
        if not file.exists():
            (_write_raw if raw else _write)(cluster, file, distance, seeing, k)
        rows.append({'file': str(file), 'distance': distance, 'distance_error': 0.03 * distance})
        if raw:
            rows[-1] |= {'seeing': seeing} | RAW
    images = Table(rows)
    images.write(path, overwrite=True)
    return path


def _write(cluster, file, distance, seeing, seed):
    from pidoc.mock.observation import observe

    mock = observe(cluster, distance=distance, seeing=seeing, direction='random', shift='random', seed=seed)
    mock.write(file)


def _write_raw(cluster, file, distance, seeing, seed):
    from pidoc.mock.conditions import Conditions
    from pidoc.mock.observation import observe
    from pidoc.photometry import apparent_magnitude

    noise = Conditions(sky=21 * u.mag / u.arcsec**2, zero_point=25 * u.mag, exposure=60 * u.s, read_noise=5)
    mock = observe(cluster, distance=distance, seeing=seeing, direction='random', seed=seed, smoothing=0,
                   field_of_view=100 * u.arcsec, pixel_scale=0.4 * u.arcsec, conditions=noise)
    unit = apparent_magnitude(1 * mock.light.unit).value
    counts = 10 ** (0.4 * (RAW['zero_point'] - unit)) * mock.light.data
    fits.PrimaryHDU(counts.astype(np.float32), mock.light.wcs.to_header()).writeto(file)


def run(folder, images, name, *options):
    """The command in a process of its own: what it took."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, __file__, '--one', '--list', images, '-o', folder / name, '--quiet', *options]
    done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'the command must end with status 0, received {done.returncode}: {done.stderr}')
    return json.loads(done.stdout.splitlines()[-1])


def one(args):
    """The command, and what it took."""
    from pidoc.scripts.pidoc_predict import main as predict

    start = spent()
    status = predict(args)
    print(json.dumps(spent(start) | {'peak': peak_memory()}))
    return status


def size(path):
    """Bytes of what is in a folder, or of a file."""
    return sum(file.stat().st_size for file in path.rglob('*')) if path.is_dir() else path.stat().st_size


def rows(folder, number):
    """Reading a journal of so many images, making the table, writing it: seconds of the processor, memory."""
    from pidoc.prediction.survey import _How, _Survey, ImageList, JOURNAL

    lines = (json.loads(text) for text in open(folder / 'work' / 'files' / JOURNAL, encoding='utf-8'))
    done = next(line for line in lines if line['state'] == 'done')
    target = folder / 'rows'
    target.mkdir(exist_ok=True)
    images = ImageList([f'/survey/field_{k // 1000:04d}/image_{k:07d}.fits' for k in range(number)])
    with open(target / JOURNAL, 'w', encoding='utf-8') as stream:
        for product in images.products:
            stream.write(json.dumps(done | {'product': product}) + '\n')
    work = _Survey(images, _How('default', '', str(target), {}), None, True)
    row = table([('', '18s'), ('processor s', '8.1f'), ('peak MB', '7.0f')])
    row('before', 0.0, peak_memory())
    start = spent()
    there = work._there()
    work._offsets[:] = [there[product][0] for product in images.products]
    row('read the journal', spent(start)['processor'], peak_memory())
    with work.opened():
        start = spent()
        made = work._rows()
        row('rows', spent(start)['processor'], peak_memory())
    for ending in ('fits', 'ecsv'):
        start, work.table = spent(), target / f'rows.{ending}'
        work._write_table(made)
        row(ending, spent(start)['processor'], peak_memory())
    return 0


def main():
    if sys.argv[1:2] == ['--one']:
        return one(sys.argv[2:])
    how = parser(__doc__)
    how.add_argument('folder', type=Path)
    how.add_argument('--images', type=int, default=1000)
    how.add_argument('--jobs', type=int, default=1)
    how.add_argument('--raw', action='store_true', help='images that have to be prepared')
    how.add_argument('--rows', type=int, metavar='N',
                     help='instead: the table of N images, after a run whose journal is in the folder')
    options = how.parse_args()
    print(machine())
    if options.rows:
        return rows(options.folder, options.rows)
    # elsewhere: a process that this one starts would count the memory that it takes as its own
    with get_context('spawn').Pool(1) as pool:
        images = pool.apply(make_images, (options.folder / ('raw' if options.raw else 'grid'), options.images,
                                          options.raw))
    single = options.folder / 'one.ecsv'
    Table.read(images)[:1].write(single, overwrite=True)
    work = options.folder / ('work-raw' if options.raw else 'work')
    out = ('--jobs', options.jobs, '--overwrite')
    start = run(work, single, 'start', '--table-only', '--table', work / 'start.fits', '--overwrite')
    row = table([('', '18s'), ('images', '7d'), ('wall s', '8.1f'), ('processor s', '11.1f'),
                 ('ms/image', '8.1f'), ('peak MB', '7.0f'), ('kB/image', '8.1f'), ('10^6: hours', '11.1f'),
                 ('10^6: GB', '8.1f')])
    row('start', 1, start['wall'], start['processor'], '', start['peak'], '', '', '')
    for label, more in (('files and table', ()), ('resumed, all done', ('--resume',)),
                        ('table only', ('--table-only',))):
        target = work / f'{label.split()[0]}.fits'
        name = 'files' if label != 'table only' else 'table'
        took = run(work, images, name, '--table', target, *out, *more)
        begin = 0.0 if '--resume' in more else start['processor']
        each = (took['processor'] - begin) / options.images
        disk = (size(work / name) + size(target)) / options.images
        row(label, options.images, took['wall'], took['processor'], 1e3 * each, took['peak'], disk / 1e3,
            (begin + MILLION * each) / 3600, MILLION * disk / 1e9)
    return 0


if __name__ == '__main__':
    # one core is measured, and many processes share them
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    sys.exit(main())
