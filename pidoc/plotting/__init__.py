# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Figures, one module for each kind; they draw results without computing any."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'run': ['plot_run'],
    'history': ['plot_history'],
    'maps': ['plot_maps'],
    'comparison': ['plot_comparison'],
    'profiles': ['plot_profiles'],
    'distances': ['plot_distances'],
    'prediction': ['plot_prediction'],
    'real_clusters': ['plot_light', 'plot_literature', 'plot_predictions'],
})
