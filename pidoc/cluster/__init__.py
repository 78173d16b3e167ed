# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Star clusters: the model, the stars at one age, and the snapshots of other codes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'model': ['ClusterModel'],
    'table': ['read_models'],
    'foreign': ['Snapshot', 'ages', 'read_all'],
})
