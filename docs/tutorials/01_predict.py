"""
Predict on an image
===================

From an image of a cluster to its mass, with one of the trained networks in pidoc.
"""
# %%
# In ten lines
# ------------
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
# V. The figure shows, from left to right, the input light, the predicted mass map, and their ratio M/L;
# below, the predicted scalars, and radial profiles of both maps.
#
# In brackets are 68 % intervals: for about 68 of a hundred such clusters, the truth is inside. Their
# coverage was calibrated on clusters that the network was not trained on (:doc:`/training`).
#
# How it works
# ------------
#
# A *network* is a function with some 700,000 free parameters, here from an image to a map and the joint
# distribution of 14 numbers. It was trained on tens of thousands of images of simulated clusters, whose mass,
# age and distance are known: its parameters were adjusted until its predictions, and the errors that it
# assigns to them, fitted (:doc:`/training`). Apart from a few relations, such as mass = M/L times luminosity
# and the M/L of stellar populations, all that it knows is in these images. So its predictions are valid only
# for similar clusters; :doc:`/limits` describes them.
#
# It uses how bright the cluster is, how its light falls off outwards, and how grainy it is: at a larger
# distance, the same light is smoother, and the light of an old cluster comes from few giants. The mass of
# faint stars and remnants is not seen. It is inferred from simulated clusters with this light and age.

from pidoc.mock import Mock

truth = Mock.read(image)
print(f'mass {truth.total_mass:.0f}, M/L {truth.mass_to_light:.2f}, age {truth.age:.0f}')

# %%
# Without a distance
# ------------------
#
# Above, the distance was given. It is known for the clusters of the Milky Way, to some 2 to 5 %
# (``distance_error=`` sets the error). Without it the network predicts the distance, and everything else
# is less certain, because the mass scales with the square of the distance:

alone = mapper.predict(image)
for one in (prediction, alone):
    print(f'{"given" if "distance" in one.known else "from the image"}: {one.distance}')
    print(f'    mass {one.total_mass},  M/L {one.mass_to_light}')

# %%
# Correlations
# ------------
#
# The predicted quantities are correlated: if the cluster is farther away, it is more massive. The model
# predicts their joint posterior, from which samples can be drawn:

draws = alone.sample(1000)
figure = alone.plot_posterior()

# %%
# Is it reliable?
# ---------------
#
# A network returns a prediction for any input. Suppose that the same image were of a cluster at 300 kpc. The
# line *domain*, and the reasons below it, show that this is outside the training domain:

print(mapper.predict(image, distance=300 * u.kpc).summary())

# %%
# A flagged prediction is still printed, but should not be trusted. The absence of flags does not prove that a
# prediction is right: see :doc:`/limits`.
#
# Save it
# -------
#
# One FITS file holds everything. It opens in DS9 and TOPCAT; `~pidoc.prediction.Prediction.read` reads it.

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
# ``mass_profile`` is a table with units, like the other profiles:

profile = prediction.mass_profile['separation', 'mass', 'mass_error'][:5]
profile.round(3)
profile

# %%
folder.cleanup()

# %%
# The same on the command line:
#
# .. code-block:: console
#
#    $ pidoc-predict cluster.fits --distance 20 --plot
#
# `~pidoc.MassMapper.predict_many` processes many images. The contents of a prediction are described on the
# page :doc:`/predicting`. If your image is not on the network's grid, see
# :doc:`/auto_tutorials/03_own_image`.
