"""
What each constraint is worth
=============================

An image leaves much open. What does it help to know the distance, the age, [Fe/H], a velocity dispersion?
"""
# %%
# A cluster of which everything is known
# --------------------------------------
#
# The image that comes with pidoc is a mock observation, so that the truth can be looked up. Its velocity
# dispersion is not in the file; it is taken from the simulation here.

from astropy import units as u
from astropy.utils.data import get_pkg_data_filename

from pidoc import MassMapper
from pidoc.mock import Mock

image = get_pkg_data_filename('data/example.fits', package='pidoc')
truth = Mock.read(image)
print(f'mass {truth.total_mass:.0f}, M/L {truth.mass_to_light:.2f}, age {truth.age:.0f}, '
      f'distance {truth.distance:.0f}, [Fe/H] -1.34')

# %%
# More and more is known
# ----------------------
#
# Errors are the default ones: 2 % of the distance, 0.75 Gyr, 0.15 in [Fe/H]. From the image alone the
# intervals are wide, and they should be: in one band an old rich cluster looks much like a young poor one.

mapper = MassMapper.from_pretrained()
known = {'nothing': {},
         'the distance': {'distance': 20 * u.kpc},
         'and the age': {'distance': 20 * u.kpc, 'age': 11 * u.Gyr},
         'and [Fe/H]': {'distance': 20 * u.kpc, 'age': 11 * u.Gyr, 'metallicity': -1.34}}
predictions = {name: mapper.predict(image, **values) for name, values in known.items()}
for name, each in predictions.items():
    print(f'{name:13} mass {each.total_mass},  M/L {each.mass_to_light}')

# %%
# What remains
# ------------
#
# The joint posterior with nothing but the image, and with all three: the long valleys are what cannot be
# decided from light in one band.

figure = predictions['nothing'].plot_posterior()

# %%

figure = predictions['and [Fe/H]'].plot_posterior()

# %%
# If something is wrong
# ---------------------
#
# Let the distance be 40 kpc, and the age 1 Gyr. Where what is given does not go with the image and everything
# else, the flag ``tension`` says which, and by how much.

print(mapper.predict(image, distance=40 * u.kpc, age=1 * u.Gyr, age_error=0.2 * u.Gyr).summary())

# %%
# From the command line
# ---------------------
#
# .. code-block:: console
#
#    $ pidoc-predict cluster.fits --distance 20 --age 11 --metallicity -1.34
#    $ pidoc-predict cluster.fits --cluster "NGC 5466"
#
# The second takes whatever the catalogues know, and says where it is from. How good predictions are with each
# of these, by the number of stars, is on the page :doc:`/models`.
