# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""From images to predictions: `MassMapper`, `Prediction`, and lists of images."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'profiles': ['half_mass_radius', 'mass_profile', 'mass_to_light_profile'],
    'measured': ['Measured'],
    'prediction': ['Prediction'],
    'mapper': ['MassMapper', 'predict', 'pretrained_models'],
    'survey': ['ImageList'],
    'samp': ['send'],
})
