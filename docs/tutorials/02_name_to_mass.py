"""
From a cluster's name to its mass
=================================

Images of Pan-STARRS1, made into a map of the V light, made into a mass.

.. note::

   This page is built without a network. **The survey's archive is played by a server on this machine,
   and the cluster in its images is not NGC 5466**, but 20,000 synthetic stars of 12 Gyr, 16 kpc away, painted
   at its place on the sky, in the formats of the survey, with its noise and seeing. Everything else is as it
   would be. Leave out the part about the server and ``archive=``, and the real one is asked.
"""
# %%
# A survey on this machine
# ------------------------

import tempfile
from pathlib import Path

from pidoc.tests.ps1_sky import Server, Survey

folder = tempfile.TemporaryDirectory()
server = Server(Survey(Path(folder.name)))

# %%
# What is known
# -------------
#
# `pidoc.catalogs` has what people have measured: place, distance, reddening, and, where there are any, age,
# mass and M/L. M 53, NGC 5024 and "Pal 11" are names, too.

from pidoc.catalogs import cluster

known = cluster('NGC 5466')
known['name', 'position', 'distance', 'reddening', 'age', 'mass_to_light']

# %%
# Fetch
# -----
#
# `~pidoc.image.ps1.fetch` asks the archive which of its images show the place, gets cutouts in g and r with
# their weights and masks, and makes one map of V out of them: :doc:`/fetching` has the steps. Here astropy's
# cache is put aside for a moment, so that what the stand-in has sent does not stay there.

from astropy.config import set_temp_cache

from pidoc.image.ps1 import Archive, fetch

with set_temp_cache(folder.name):
    light = fetch('NGC 5466', archive=Archive(server=server.address))
server.close()
print(light.shape, light.unit)

# %%
# The header says what was done. ``FORM`` is that of the image files, ``PSF`` the seeing of g and r, measured
# on so many stars [arcsec], ``SKYSHARE`` the sky that is left, as a share of the light, and ``COVERAGE`` the
# share of pixels with data of their own:

for keyword in ('OBJECT', 'CELLG', 'FORMG', 'PSFG', 'PSFNUMG', 'PSFR', 'PSFNUMR', 'COLOUR', 'EBV', 'SKYSHARE',
                'COVERAGE'):
    value = light.meta[keyword]
    print(f'{keyword:9}', f'{value:.4g}' if isinstance(value, float) else value)

# %%
# Predict
# -------
#
# The distance is that of the catalogue, with an error of 2 %. With ``cluster='NGC 5466'`` instead, whatever
# the catalogues know is used, age and [Fe/H] too, and the summary says where it is from; and
# ``pidoc.predict('NGC 5466')`` does all of this page in one call.

from pidoc import MassMapper

mapper = MassMapper.from_pretrained()
prediction = mapper.predict(light, distance=known['distance'], distance_error=0.02 * known['distance'])
print(prediction.summary())
figure = prediction.plot()

# %%
# How much of it is true?
# -----------------------
#
# Of a real cluster nobody knows. Here we do: these are the stars that were painted.

from astropy import units as u

from pidoc.mock import observe
from pidoc.tests.ps1_sky import snapshot

truth = observe(snapshot(), distance=16 * u.kpc)
print(f'in the field: mass {truth.total_mass:.0f}, light {truth.luminosity:.0f}')
print(f'M/L {truth.mass_to_light:.2f}, age {truth.age:.0f}')

# %%
# These stars are a Plummer sphere that has never evolved as a cluster. It has kept all of its faint stars,
# neutron stars and black holes, which clusters lose, so that its M/L is higher than that of the simulated
# clusters from which the network has learned. An image does not show this, and no flag can tell: a prediction
# is as good as the simulations behind it.
#
# From the command line
# ---------------------
#
# .. code-block:: console
#
#    $ pidoc-fetch "NGC 5466"
#    $ pidoc-predict NGC_5466.fits --distance 16.0 --distance-error 0.3 --plot

folder.cleanup()
