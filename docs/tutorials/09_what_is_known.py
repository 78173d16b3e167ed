"""
The value of what is known
==========================

An image leaves much open. How much does it help to know the distance, the age, [Fe/H], a velocity dispersion,
the slope of the mass function, the half-light radius?
"""
# %%
# A cluster of which everything is known
# --------------------------------------
#
# The example image is a mock observation, so that the truth is known. Its velocity dispersion (of bright
# stars within 20" of the centre), the slope of its mass function, the half-light radius of the whole cluster
# and its mass, 201,000 solar masses, are not in the file; they are from the same simulation.

from astropy import units as u

import pidoc
from pidoc import MassMapper
from pidoc.mock import Mock

image = pidoc.example()
truth = Mock.read(image)
print(f'mass {truth.total_mass:.0f}, M/L {truth.mass_to_light:.2f}, age {truth.age:.0f}, '
      f'distance {truth.distance:.0f}, [Fe/H] -1.58')

# %%
# One property after the other
# ----------------------------
#
# Errors are the default ones: 2 % of the distance, 0.75 Gyr, 0.15 in [Fe/H], 5 % of the dispersion, 0.2 in
# the slope, 10 % of the radius. From the image alone the intervals are wide, and they should be: in one band
# an old cluster looks much like a younger one of lower mass. The image of 40" holds a fifth of the cluster's
# mass, and the radius says how much is outside.

mapper = MassMapper.from_pretrained()
properties = {'distance': 20 * u.kpc, 'age': 12 * u.Gyr, 'metallicity': -1.58, 'b_v': 0.65 * u.mag,
              'velocity_dispersion': 4.5 * u.km / u.s, 'mass_function_slope': -0.95,
              'effective_radius': 46 * u.arcsec}


def line(name, prediction):
    return (f'{name:23} mass {prediction.total_mass}, of the cluster {prediction.cluster_mass}, '
            f'M/L {prediction.mass_to_light}')


known, predictions = {}, [mapper.predict(image)]
print(line('nothing', predictions[0]))
for name, value in properties.items():
    known[name] = value
    if name == 'velocity_dispersion':
        known['dispersion_radius'] = 20 * u.arcsec
    predictions.append(mapper.predict(image, **known))
    print(line(f'and {name}', predictions[-1]))

# %%
# What remains
# ------------
#
# The joint posterior from the image only, and with all of it: the long ridges are degeneracies that one band
# cannot break.

figure = predictions[0].plot_posterior()

# %%

figure = predictions[-1].plot_posterior()

# %%
# If something is wrong
# ---------------------
#
# Let the distance be 60 kpc. Where what is given is at odds with the image and with all else that is given,
# the flag ``tension`` names it, and says by how much.

print(mapper.predict(image, distance=60 * u.kpc, age=12 * u.Gyr).summary())

# %%
# On the command line
# -------------------
#
# .. code-block:: console
#
#    $ pidoc-predict cluster.fits --distance 20 --age 12 --metallicity -1.58
#    $ pidoc-predict cluster.fits --cluster "NGC 5466"
#
# The second takes all that the catalogues know, and names the sources. Scores with each of these, by the
# number of stars, are on the page :doc:`/models`.
