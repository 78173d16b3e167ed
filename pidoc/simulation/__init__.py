# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""From a cluster model to snapshots: the only place that imports numba."""

from pidoc.simulation.evolve import CheckpointError, Numerics, Simulation, simulate
from pidoc.simulation.ledger import Ledger, LedgerError

__all__ = ['CheckpointError', 'Ledger', 'LedgerError', 'Numerics', 'Simulation', 'simulate']
