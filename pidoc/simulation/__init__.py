# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Simulation of cluster models to snapshots; the only package that imports numba."""

from pidoc.simulation.evolve import CheckpointError, Numerics, simulate, Simulation
from pidoc.simulation.ledger import Ledger, LedgerError
from pidoc.simulation.many import run_many
from pidoc.simulation.run import read_log, run, RunFolderError

__all__ = ['CheckpointError', 'Ledger', 'LedgerError', 'Numerics', 'RunFolderError', 'Simulation',
           'read_log', 'run', 'run_many', 'simulate']
