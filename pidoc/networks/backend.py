# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Keras, without what its backend writes to the terminal when it starts; the only place that imports it."""

import os
from contextlib import nullcontext

from pidoc.io.processes import hushed

# who has set a level wants to see what there is at that level
with nullcontext() if 'TF_CPP_MIN_LOG_LEVEL' in os.environ else hushed():
    import keras
    from keras import layers, ops

__all__ = ['keras', 'layers', 'ops']
