"""
Predict on an image
===================

From an image of a cluster to its mass, with a trained network that comes with pidoc.
"""
# %%
# The whole of it
# ---------------
#
# .. ten lines begin

from astropy import units as u
from astropy.utils.data import get_pkg_data_filename

from pidoc import MassMapper

image = get_pkg_data_filename('data/example.fits', package='pidoc')
mapper = MassMapper.from_pretrained()
prediction = mapper.predict(image, distance=20 * u.kpc)

print(prediction.summary())
figure = prediction.plot()

# %%
# .. ten lines end
#
# The image is a mock observation of a simulated cluster, so that the truth is known. It is 40" to a side, in
# V. In the figure are, from left to right, the light that went in, the map of the mass that came out, and
# their ratio M/L; below, the numbers, and the mean of both maps in rings around the centre.
#
# In brackets are intervals of 68 %: of a hundred such clusters, the truth of some 68 is inside. Their
# coverage was calibrated on clusters that the network had never seen (:doc:`/training`).
#
# What has happened?
# ------------------
#
# A *network* is a function with some hundred thousand free parameters, here from an image to a map and four
# numbers. It was shown tens of thousands of images of simulated clusters, whose mass, age and distance are
# known, and its parameters were moved until its answers, and the errors that it gives to them, fitted
# (:doc:`/training`). It knows nothing of physics but what is in these images. So it can be right only about
# clusters like those, and :doc:`/limits` says which they are.
#
# What it looks at is how bright the cluster is, how its light falls off outwards, and how grainy it is: far
# away, the same light is spread more evenly, and an old cluster shines with few giants. The mass of faint
# stars and remnants is not seen. It is inferred, because simulated clusters of that light and that age have
# it.

from pidoc.mock import Mock

truth = Mock.read(image)
print(f'mass {truth.total_mass:.0f}, M/L {truth.mass_to_light:.2f}, age {truth.age:.0f}')

# %%
# How far is it?
# --------------
#
# Above the distance was given, as it is known for all clusters of the Milky Way, to some 2 %
# (``distance_error=`` says how well). Without it the network says a distance of its own, and everything else
# is less certain, because a mass goes with the square of the distance:

alone = mapper.predict(image)
for one in (prediction, alone):
    print(f'{"given" if "distance" in one.known else "from the image"}: {one.distance}')
    print(f'    mass {one.total_mass},  M/L {one.mass_to_light}')

# %%
# What goes with what
# -------------------
#
# The numbers are not independent: if the cluster is farther away, it is more massive. The model predicts
# their joint posterior, of which these are draws:

draws = alone.sample(1000)
figure = alone.plot_posterior()

# %%
# May I believe it?
# -----------------
#
# A network answers anything. Let the same image be that of a cluster at 300 kpc. The line *domain*, and the
# reasons below it, say that this is not what the network has learned from:

print(mapper.predict(image, distance=300 * u.kpc).summary())

# %%
# A prediction that is flagged is printed all the same, but should not be believed. One that is not flagged is
# not proven right by that: :doc:`/limits`.
#
# Keep it
# -------
#
# One FITS file holds everything. It opens in DS9 and TOPCAT; `~pidoc.prediction.Prediction.read` gives the
# prediction back.

import tempfile
from pathlib import Path

from astropy.io import fits

from pidoc import Prediction

folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / 'cluster-pidoc.fits'
prediction.write(path)
with fits.open(path) as hdus:
    print(*(hdu.name for hdu in hdus), sep=', ')
print(Prediction.read(path).total_mass)

# %%
# ``mass_profile`` is a table with units, as are the others:

profile = prediction.mass_profile['separation', 'mass', 'mass_error'][:5]
profile.round(3)
profile

# %%
folder.cleanup()

# %%
# From the command line, the same is
#
# .. code-block:: console
#
#    $ pidoc-predict cluster.fits --distance 20 --plot
#
# and for many images at a time `~pidoc.MassMapper.predict_many`. All that a prediction holds is on the
# page :doc:`/predicting`. If your image is not on the network's grid: :doc:`/auto_tutorials/03_own_image`.
