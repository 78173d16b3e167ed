# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Predictions of trained networks from arrays of light, calibrated posteriors, and the training domain."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'estimates': ['Estimates', 'Interval'],
    'calibration': ['Calibration'],
    'posterior': ['Posterior'],
    'folder': ['ModelFolderError'],
    'estimator': ['Estimator', 'PaperEstimator'],
    'features': ['FEATURES'],
    'flags': ['FLAGS', 'decode_flags', 'flag_bits', 'flag_table'],
    'domain': ['Domain', 'Verdict'],
})
