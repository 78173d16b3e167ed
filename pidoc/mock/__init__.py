# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Mock observations of snapshots: an image of the light and the map of the mass, `observe`.

The convention of the light map, called *apparent flux*: the value of a pixel is F = L / (4 pi d^2) in
Lsun/kpc^2, the sum over the stars whose light falls in it, with L in units of the Sun's luminosity in the
band. It is a flux per pixel, not per area on the sky. Chardin & Bianchini (2021) train on its logarithm.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'conditions': ['Conditions'],
    'mock': ['Mock'],
    'projection': ['star_light'],
    'observation': ['APPARENT_FLUX', 'MASS_PER_PIXEL', 'mock_header', 'observe'],
})
