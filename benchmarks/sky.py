#!/usr/bin/env python
# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Levels of the sky that are found in images of clusters without one, and with 5 % of their light.

    python benchmarks/sky.py

The images are stand-ins of the paper's 17 clusters in the g band of Pan-STARRS1
(`pidoc.evaluation.synthetic_sky`), 180, 90 and 44 arcsec wide with a field of 40, and with the field that
holds each cluster. Printed are the share of the sky that `pidoc.image.prepare` finds in the light of the
field, its error, and a star where it is noted.
"""

import logging
import tempfile

import numpy as np
from astropy import units as u
from astropy.nddata import CCDData
from common import table

from pidoc import MassMapper
from pidoc.evaluation.real_clusters import suited_grids
from pidoc.evaluation.synthetic_sky import draw_cluster, write_files
from pidoc.grid import MapGrid
from pidoc.image import prepare
from pidoc.image.ps1.files import PIXEL_SCALE, read_stack

FRAMES = {'180"': 720, '90"': 360, '44"': 176}       # pixels
LEVEL = 0.05                                           # of the light in the field
WIDEST = 160 * u.arcsec


def levels(cluster, stack, grid):
    """Share of the sky found, its error, and whether it is noted, without a sky and with one."""
    half = 0.5 * grid.field_of_view[0] / PIXEL_SCALE
    ny, nx = stack.counts.shape
    middle = tuple(slice(round(float(0.5 * n - half)), round(float(0.5 * n + half))) for n in (ny, nx))
    mean = np.nanmean(stack.counts[middle])
    zero_point = stack.base_zero_point + 2.5 * np.log10(stack.exposure.to_value(u.s))
    found = []
    for share in (0.0, LEVEL):
        image = CCDData(stack.counts + share * mean, unit=u.adu, wcs=stack.wcs)
        light = prepare(image, grid=grid, band='g', center=cluster.position, extinction=0.0 * u.mag,
                        zero_point=zero_point * u.mag)
        error = light.meta['SKYERROR'] * light.data.size / abs(light.data.sum())
        found.append((light.meta['SKYSHARE'], error, 'background' in light.meta['FLAGS'].split()))
    return found


def main():
    logging.disable(logging.WARNING)
    grids = suited_grids(MassMapper.from_pretrained())
    columns = [f'{frame}{sky}' for frame in (*FRAMES, 'auto') for sky in ('', ' + 5 %')]
    line = table([('cluster', '9s'), *((name, '15s') for name in columns)])
    noted = np.zeros(len(columns), dtype=int)
    for name in grids:
        cluster = draw_cluster(name, field_of_view=WIDEST)
        with tempfile.TemporaryDirectory() as folder:
            path = write_files(cluster, folder, field_of_view=WIDEST)[0]
            found = []
            for size in FRAMES.values():
                found += levels(cluster, read_stack(path, center=cluster.position, size=size), MapGrid())
            found += levels(cluster, read_stack(path), grids[name])
        line(name, *(f'{share:+.3f} {error:.3f} {"*" if note else " "}' for share, error, note in found))
        noted += [note for *_, note in found]
    line('noted', *map(str, noted))


if __name__ == '__main__':
    main()
