#!/usr/bin/env python
"""Memory of ``pidoc-predict``: many images in one call, and one image larger than the allowed memory.

``python benchmarks/memory.py FOLDER --images 10000 --side 20000`` makes in the folder

- links to the packaged image, in the requested number, and runs the command on their list, once with the
  table only and once with all products (0.45 MB per image). Its resident memory is recorded: the values at a
  quarter, a half and the end show whether it grows with the number of images;
- an image of the requested side in float32 with a cluster in its centre, and the same compressed in tiles,
  and runs the command on each, with the centre given.

For each: the peak of the resident memory (ru_maxrss) of the process, which must be below 2 GB, and the
wall-clock seconds. The processes are those of the system's Python and import everything anew.
"""

import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from astropy.io import fits
from common import machine, parser, table

from pidoc.scripts.pidoc_predict import EXAMPLE

LIMIT = 2000.0  # MB
SCALE, CENTER = 0.4, (226.0, 28.5)


def watched(args, done):
    """Run a command; returns its peak memory [MB], seconds, and (fraction done, memory) over time."""
    start, seen = time.perf_counter(), []
    process = subprocess.Popen([sys.executable, '-m', 'pidoc.scripts.pidoc_predict', *map(str, args)])

    def look():
        while process.returncode is None:
            try:
                status = Path(f'/proc/{process.pid}/status').read_text(encoding='utf-8')
                seen.append((done(), int(status.split('VmRSS:')[1].split()[0]) / 1024.0))
            except (OSError, IndexError):
                break
            time.sleep(0.5)

    watcher = threading.Thread(target=look)
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    watcher.join()
    if process.returncode:
        raise SystemExit(f'the command ended with status {process.returncode}')
    return usage.ru_maxrss / 1024.0, time.perf_counter() - start, seen


def at(seen, share):
    """Memory when a share was done."""
    return next((memory for done, memory in seen if done >= share), seen[-1][1])


def many(folder, number, products):
    images = folder / 'images'
    images.mkdir(exist_ok=True)
    paths = [images / f'image_{k:06d}.fits' for k in range(number)]
    for path in paths:
        if not path.exists():
            path.symlink_to(EXAMPLE)
    (folder / 'list.txt').write_text('\n'.join(map(str, paths)) + '\n', encoding='utf-8')
    out = folder / ('products' if products else 'rows')
    journal = out / 'pidoc-predict.jsonl'

    def done():
        # two lines an image: begun and done
        return journal.read_bytes().count(b'"done"') / number if journal.exists() else 0.0

    return watched(
        [
            '--list',
            folder / 'list.txt',
            '-o',
            out,
            '--table',
            out / 'table.fits',
            '--overwrite',
            '--quiet',
            *([] if products else ['--table-only']),
        ],
        done,
    )


def make_large(path, side, *, tiles):
    """An image with a cluster in its middle, in which most is sky."""
    header = fits.Header(
        {
            'CTYPE1': 'RA---TAN',
            'CTYPE2': 'DEC--TAN',
            'CRVAL1': CENTER[0],
            'CRVAL2': CENTER[1],
            'CRPIX1': 0.5 * (side + 1),
            'CRPIX2': 0.5 * (side + 1),
            'CD1_1': -SCALE / 3600.0,
            'CD1_2': 0.0,
            'CD2_1': 0.0,
            'CD2_2': SCALE / 3600.0,
            'BUNIT': 'adu',
            'PHOTZP': 25.0,
            'FILTER': 'V',
        }
    )
    half = min(300, side // 2)
    y, x = np.indices((2 * half, 2 * half)) - half + 0.5
    stamp = (100.0 / (1.0 + (x**2 + y**2) / 20.0**2) ** 2).astype('>f4')
    middle = slice(side // 2 - half, side // 2 + half)
    if tiles:
        pixels = np.zeros((side, side), dtype='>f4')
        pixels[middle, middle] = stamp
        fits.CompImageHDU(pixels, header, compression_type='GZIP_1', quantize_level=0.0).writeto(
            path, overwrite=True
        )
        return
    for keyword, value in (
        ('NAXIS2', side),
        ('NAXIS1', side),
        ('NAXIS', 2),
        ('BITPIX', -32),
        ('SIMPLE', True),
    ):
        header.insert(0, (keyword, value))
    with open(path, 'wb') as stream:
        head = header.tostring().encode()
        stream.write(head)
        # what is not written is zero, and takes no room
        stream.truncate(len(head) + -(-4 * side**2 // 2880) * 2880)
        for k, row in enumerate(stamp):
            stream.seek(len(head) + 4 * ((middle.start + k) * side + middle.start))
            stream.write(row.tobytes())


def one(folder, side, tiles):
    path = folder / ('tiles.fits' if tiles else 'large.fits')
    # in a process of its own: a peak is never given back
    if os.fork() == 0:
        make_large(path, side, tiles=tiles)
        os._exit(0)
    os.wait()
    return watched(
        [
            path,
            '--center',
            f'{CENTER[0]} {CENTER[1]}',
            '--seeing',
            '1',
            '--distance',
            '20',
            '-o',
            folder,
            '--overwrite',
            '--quiet',
        ],
        lambda: 0.0,
    )


def main():
    made = parser(__doc__)
    made.add_argument('folder', type=Path)
    made.add_argument('--images', type=int, default=10_000, help='default: 10000')
    made.add_argument('--side', type=int, default=20_000, help='pixels of the large image, default: 20000')
    options = made.parse_args()
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    print(machine())
    row = table(
        [
            ('what', '44s'),
            ('quarter [MB]', '8.0f'),
            ('half', '8.0f'),
            ('all', '8.0f'),
            ('peak', '8.0f'),
            ('wall [s]', '8.0f'),
        ]
    )
    peaks = []
    for number, products in ((options.images, False), (options.images, True)):
        if number:
            peak, seconds, seen = many(folder, number, products)
            peaks.append(peak)
            row(
                f'{number} images, {"files and table" if products else "table only"}',
                *(at(seen, share) for share in (0.25, 0.5, 1.0)),
                peak,
                seconds,
            )
    for tiles in (False, True):
        if options.side:
            peak, seconds, _ = one(folder, options.side, tiles)
            peaks.append(peak)
            row(
                f'{options.side} x {options.side} pixels{", compressed in tiles" if tiles else ""}',
                '',
                '',
                '',
                peak,
                seconds,
            )
    return max(peaks) > LIMIT


if __name__ == '__main__':
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.exit(main())
