# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Evaluation of models: scores, baselines, reports, the paper's clusters."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'report': ['Report', 'evaluate'],
    'real_clusters': ['ClusterReport', 'compare'],
    'synthetic_sky': ['SyntheticArchive'],
})
