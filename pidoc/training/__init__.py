# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Training: from a training set to a model folder, `train`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'settings': ['PaperSettings', 'Selection', 'Settings'],
    'state': ['TrainingError'],
    'fit': ['calibrate', 'train'],
    'model_card': ['card_text', 'write_model_card'],
})
