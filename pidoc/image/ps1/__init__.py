# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Pan-STARRS1: its files, and `fetch`, which downloads the stacks of a cluster."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'retrieval': ['Archive', 'NotInCacheError', 'ServiceError', 'fetch'],
})
