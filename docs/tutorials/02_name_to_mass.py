"""
From a cluster's name to its mass
=================================

From images of Pan-STARRS1 to a V-band map, and to a mass.

.. note::

   This page is built without internet. **A server on this machine stands in for the survey's archive, and
   the cluster in its images is not NGC 5466**, but 20,000 synthetic stars of 12 Gyr at 16 kpc, drawn at its
   position, in the formats of the survey, with its noise and seeing. Everything else is the same as with the
   real archive. To use that, leave out the server and ``archive=``.
"""
# %%
# A local survey
# --------------

import tempfile
from pathlib import Path

from pidoc.tests.ps1_sky import Server, Survey

folder = tempfile.TemporaryDirectory()
server = Server(Survey(Path(folder.name)))

# %%
# Known properties
# ----------------
#
# `pidoc.catalogs` has published values: position, distance, reddening, and, where available, age,
# mass and M/L. Names such as M 53, NGC 5024 and "Pal 11" are recognised.

from pidoc.catalogs import cluster

known = cluster('NGC 5466')
known['name', 'position', 'distance', 'reddening', 'age', 'mass_to_light']

# %%
# Fetch
# -----
#
# `~pidoc.image.ps1.fetch` finds the images that cover the position, downloads cutouts in g and r with their
# weights and masks, and combines them into a V-band map: :doc:`/fetching` has the steps. Here a temporary
# cache is used, so that the synthetic images do not stay in astropy's.

from astropy.config import set_temp_cache

from pidoc.image.ps1 import Archive, fetch

with set_temp_cache(folder.name):
    light = fetch('NGC 5466', archive=Archive(server=server.address))
server.close()
print(light.shape, light.unit)

# %%
# The header records the processing. ``FORM`` is the form of the image files, ``PSF`` the seeing in g and r
# [arcsec], ``PSFNUM`` the number of stars that it was measured on, ``SKYSHARE`` the residual sky as a share
# of the light, and ``COVERAGE`` the share of pixels with data:

for keyword in ('OBJECT', 'CELLG', 'FORMG', 'PSFG', 'PSFNUMG', 'PSFR', 'PSFNUMR', 'COLOUR', 'EBV', 'SKYSHARE',
                'COVERAGE'):
    value = light.meta[keyword]
    print(f'{keyword:9}', f'{value:.4g}' if isinstance(value, float) else value)

# %%
# Predict
# -------
#
# The distance is Harris's, 16.0 kpc, with an error of 2 %. With ``cluster='NGC 5466'`` instead, all known
# properties from the catalogues are used, including age and [Fe/H], and the summary gives their sources; the
# distance is then that of Baumgardt & Vasiliev (2021), 16.9 kpc.
# ``pidoc.predict('NGC 5466')`` does all of this page in one call.

from pidoc import MassMapper

mapper = MassMapper.from_pretrained()
prediction = mapper.predict(light, distance=known['distance'], distance_error=0.02 * known['distance'])
print(prediction.summary())
figure = prediction.plot()

# %%
# Comparison with the truth
# -------------------------
#
# For a real cluster the truth is unknown. Here we know it from the stars that were drawn:

from astropy import units as u

from pidoc.mock import observe
from pidoc.tests.ps1_sky import snapshot

truth = observe(snapshot(), distance=16 * u.kpc)
print(f'in the field: mass {truth.total_mass:.0f}, light {truth.luminosity:.0f}')
print(f'M/L {truth.mass_to_light:.2f}, age {truth.age:.0f}')

# %%
# These stars are a Plummer sphere that has not evolved dynamically. It has kept all of its faint stars,
# neutron stars and black holes, which clusters lose, so that its M/L is higher than that of the simulated
# clusters in the training set. An image does not show this, and no flag can reveal it: a prediction
# is as good as the simulations behind it.
#
# On the command line
# -------------------
#
# .. code-block:: console
#
#    $ pidoc-fetch "NGC 5466" --field-of-view auto
#    $ pidoc-predict NGC_5466.fits --distance 16.0 --distance-error 0.3 --plot

folder.cleanup()
