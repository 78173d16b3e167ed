# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Convert any image of a cluster to light on the grid of a model: `prepare`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'files': ['write_map'],
    'preparation': ['IMAGE_FLAGS', 'SEEING_RANGE', 'prepare'],
})
