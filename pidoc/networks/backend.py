# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Keras without the messages of its backend at import; all imports of Keras are from here."""

import os
from contextlib import nullcontext

from pidoc.io.processes import hushed

# keep a level set by the user
with nullcontext() if 'TF_CPP_MIN_LOG_LEVEL' in os.environ else hushed():
    import keras
    from keras import layers, ops

__all__ = ['keras', 'layers', 'ops']
