# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Sets of mock observations on disk, for the training of networks: `Recipe` and `TrainingSet`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'recipe': ['Recipe', 'RecipeError'],
    'files': ['TrainingSetError'],
    'sources': ['simulate'],
    'dataset': ['TrainingSet'],
})
