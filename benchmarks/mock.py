# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Cost of one mock observation, compared with drawing the same stars one by one with photutils.

    python benchmarks/mock.py                 # about a minute; needs photutils

50,000 stars of a Plummer sphere with r_h = 3.2 pc at 20 kpc, 160 x 160 pixels, light and mass, PSF and
smoothing; one core. photutils draws only the light, without smoothing, each star at its exact position with
the same Moffat function out to the same radius. The images are compared; they differ because stars are moved
to the centres of (sub-)pixels, and because photutils evaluates the Moffat function at the centres of pixels.
"""

import os

for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'):
    os.environ[name] = '1'

import math  # noqa: E402
import time  # noqa: E402

import numpy as np  # noqa: E402
from astropy import units as u  # noqa: E402
from astropy.table import QTable  # noqa: E402
from common import aged_cluster, least, machine, parser, table  # noqa: E402
from scipy.ndimage import gaussian_filter  # noqa: E402

from pidoc.mock.conditions import Conditions  # noqa: E402
from pidoc.mock.observation import observe  # noqa: E402

DISTANCE = 20.0 * u.kpc


def drawn_by_photutils(stars, fwhm=4.0):
    """The image, and the seconds that it took."""
    from photutils.datasets import make_model_image
    from photutils.psf import MoffatPSF

    core = 0.5 * fwhm / math.sqrt(2.0**0.4 - 1.0)
    pc_per_pixel = 0.25 * math.radians(1 / 3600) * DISTANCE.to_value(u.pc)
    x, y = (stars[axis].to_value(u.pc) / pc_per_pixel + 79.5 for axis in 'xy')
    flux = stars['v_luminosity'].to_value(u.Lsun) / (4.0 * np.pi * DISTANCE.to_value(u.kpc) ** 2)
    reach = 2 * math.ceil(core * math.sqrt(5e-4 ** (-1 / 1.5) - 1.0)) + 1
    # those that reach the field
    near = (flux > 0.0) & (np.maximum(np.abs(x - 79.5), np.abs(y - 79.5)) < 80 + reach // 2 - 1)
    table = QTable({'x_0': x, 'y_0': y, 'flux': flux})[near]
    start = time.process_time()
    image = make_model_image((160, 160), MoffatPSF(alpha=core, beta=2.5), table, model_shape=(reach, reach))
    return image, time.process_time() - start


def main():
    how = parser(__doc__, repeats=40)
    how.add_argument('--stars', type=int, default=50_000)
    how = how.parse_args()
    cluster = aged_cluster(how.stars)
    noisy = Conditions(sky=21 * u.mag / u.arcsec**2, zero_point=25 * u.mag, exposure=60 * u.s, read_noise=5)
    print(f'{machine()}; {how.clock} time, {how.stars} stars')
    row = table([('', '34s'), ('ms/mock', '8.2f')])
    for label, options in (
            ('seeing 0.5', {'seeing': 0.5 * u.arcsec}), ('seeing 1.0', {}),
            ('seeing 1.5', {'seeing': 1.5 * u.arcsec}), ('all directions anew', {'direction': 'random'}),
            ('g band, model atmospheres', {'band': 'g', 'correction': 'kurucz1992'}),
            ('4 x 4 sub-pixels', {'oversampling': 4}), ('sky, photon and read noise', {'conditions': noisy}),
            ('the same, all directions anew', {'conditions': noisy, 'direction': 'random'})):
        seeds = iter(range(how.repeats + 1))
        took = 1e3 * least(lambda options=options, seeds=seeds: observe(
            cluster, distance=DISTANCE, shift='random', rotation='random', seed=next(seeds), **options),
            how.repeats, how.clock)
        if label == 'seeing 1.0':
            ours = took
        row(label, took)
    image, seconds = drawn_by_photutils(cluster.stars)
    row('photutils, light only', 1e3 * seconds)
    print(f'ratio: {1e3 * seconds / ours:.0f}')
    for fine in (1, 4):
        found = observe(cluster, distance=DISTANCE, smoothing=0, oversampling=fine).light.data
        inner = np.s_[20:-20, 20:-20]
        sharp, smooth = (np.std(a[inner] - b[inner]) / b[inner].mean() for a, b in (
            (found, image), (gaussian_filter(found, 4), gaussian_filter(image, 4))))
        print(f'difference of the images, {fine} x {fine} sub-pixels: rms {sharp:.4f} of the mean, smoothed '
              f'{smooth:.4f}; total {found[inner].sum() / image[inner].sum() - 1:+.4f}')


if __name__ == '__main__':
    main()
