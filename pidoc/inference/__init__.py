# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What trained networks say of arrays of light, with calibrated posteriors, and where they may be trusted."""

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
