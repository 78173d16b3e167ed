# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Networks: the two of the paper and ours, their losses, and the scaling of inputs and outputs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'forward': ['ClusterForward'],
    'paper': ['AGE_DISTANCE_LEARNING_RATE', 'DROPOUT', 'MASS_LEARNING_RATE', 'paper_age_distance_network',
              'paper_mass_network'],
    'cluster': ['cluster_network'],
    'losses': ['GaussianNLL', 'PerceptualLoss'],
    'scaling': ['PaperScaling', 'Scaling'],
})
