# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""From a cluster model to snapshots: the only place that imports numba."""
