"""
Your own image
==============

Convert an image from another telescope, with other units and pixels, into the input of the network.
"""
# %%
# An image
# --------
#
# As an example: a simulated cluster at the position of Pal 13, observed by a telescope with pixels of 0.4",
# rotated by 30 degrees, in counts, on a sky of 21.5 mag/arcsec\ :sup:`2`.

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from pidoc import ClusterModel
from pidoc.mock import Conditions
from pidoc.mock import observe
from pidoc.photometry import apparent_flux
from pidoc.simulation import simulate

(snapshot,) = simulate(ClusterModel(n_stars=8000, half_mass_radius=2 * u.pc, seed=4), ages=[0.3] * u.Gyr)

place = SkyCoord(346.6852, 12.7712, unit='deg')
sky = Conditions(sky=21.5 * u.mag / u.arcsec**2, zero_point=25 * u.mag, exposure=300 * u.s)
seen = observe(snapshot, distance=25 * u.kpc, seeing=1.1 * u.arcsec, pixel_scale=0.4 * u.arcsec, smoothing=0,
               field_of_view=80 * u.arcsec, rotation=30 * u.deg, shift=[6, -4] * u.arcsec, center=place,
               conditions=sky, seed=1)

# %%
# As an observatory would deliver it: counts, and a header with the zero point, the magnitude of one count.

import tempfile
from pathlib import Path

from astropy.io import fits

folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / 'cluster.fits'
counts = seen.light.data / apparent_flux(31.2 * u.mag).to_value(seen.light.unit)
header = seen.light.wcs.to_header()
header['BUNIT'] = 'adu'
header['PHOTZP'] = 31.2
fits.writeto(path, counts.astype('float32'), header)

# %%
# Missing information
# -------------------
#
# `~pidoc.image.prepare` guesses nothing that would change a mass. This header does not give the band:

from pidoc.image import prepare

try:
    prepare(path)
except ValueError as error:
    print(error)

# %%
# :doc:`/image_messages` has a table of all such errors.
#
# On the grid
# -----------
#
# With the band given, it calibrates the counts, finds the cluster, subtracts the sky measured in an annulus
# around it, and resamples the light to 160 x 160 pixels of 0.25", north up, smoothed like the training maps.
# ``seeing`` is given because this image has no isolated stars to measure it on.

light = prepare(path, band='V', background='annulus', seeing=1.1 * u.arcsec)
print(light.shape, light.unit)
for keyword in ('IMGUNIT', 'IMGSCALE', 'IMGZP', 'ZPFROM', 'CENFROM', 'CENRA', 'CENDEC', 'BKGFROM',
                'BKGLEVEL', 'COVERAGE'):
    value = light.meta[keyword]
    print(f'{keyword:9}', f'{value:.7g}' if isinstance(value, float) else value)
print('flags:', light.meta['FLAGS'] or 'none')

# %%
# To check this, the same stars are observed directly on that grid, without noise, about the measured centre:

found = SkyCoord(light.meta['CENRA'], light.meta['CENDEC'], unit='deg')
east, north = (angle.to(u.arcsec) for angle in found.spherical_offsets_to(place))
direct = observe(snapshot, distance=25 * u.kpc, seeing=1.1 * u.arcsec, rotation=30 * u.deg,
                 shift=u.Quantity([-east, north]))
print(f'light of both: {light.data.sum() / direct.light.data.sum():.3f}')

from matplotlib.figure import Figure

figure = Figure(figsize=(10, 3.2), layout='constrained')
for axis, title, data in zip(figure.subplots(1, 3), ('counts', 'prepared', 'observed on the grid'),
                             (counts, light.data, direct.light.data), strict=True):
    shown = axis.imshow(np.arcsinh(data / np.percentile(data, 90)), origin='lower', cmap='cividis')
    axis.set_title(f'{title}, {data.shape[1]} x {data.shape[0]} pixels')
    figure.colorbar(shown, ax=axis, label='arcsinh of the light')

# %%
# Predict
# -------
#
# `MassMapper.predict <pidoc.prediction.MassMapper.predict>` does all this by itself: it passes further
# options on to `~pidoc.image.prepare`. The age is given, too: a young cluster of few stars looks much like an
# old one in a single band. (It has only 8000 stars, so that it is simulated quickly; the training has 20,000
# or more.)

from pidoc import MassMapper

mapper = MassMapper.from_pretrained()
prediction = mapper.predict(path, band='V', background='annulus', seeing=1.1 * u.arcsec, distance=25 * u.kpc,
                            age=0.3 * u.Gyr, age_error=0.1 * u.Gyr)
print(prediction.summary())
print(f'\ntruth: mass {direct.total_mass:.0f}, M/L {direct.mass_to_light:.2f}, age {direct.age:.1f}')

# %%
# The same on the command line:
#
# .. code-block:: console
#
#    $ pidoc-predict cluster.fits --band V --annulus --seeing 1.1 --distance 25 --age 0.3 \
#          --age-error 0.1 --plot

folder.cleanup()
