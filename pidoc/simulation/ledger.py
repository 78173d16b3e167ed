# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Gains and losses of a run by channel, and the check of their sum."""

from math import fsum

import numpy as np

__all__ = ['ENERGY_CHANNELS', 'MASS_CHANNELS', 'Ledger', 'LedgerError']

#: mass loss: winds and deaths of stars; stars removed by a birth kick, a binary or the tide
MASS_CHANNELS = ('stellar_evolution', 'kick', 'ejection', 'tide')
#: energy changes: mass loss of stars; birth kicks; encounters of binaries; energy of escapers; gains and
#: losses of the numerical scheme
ENERGY_CHANNELS = ('stellar_evolution', 'kick', 'binaries', 'escape', 'numerical')


class LedgerError(RuntimeError):
    """The ledger of a simulation does not balance."""


class Ledger:
    """Mass and energy of a cluster at the start, and all gains and losses since.

    Units are arbitrary, but consistent. Energy is that of the stars as bodies, without the binding energy of
    binaries: their hardening is a gain, their destruction a loss.

    Parameters
    ----------
    mass, energy : float
        Initial values.
    """

    def __init__(self, mass, energy):
        self.initial_mass = float(mass)
        self.initial_energy = float(energy)
        self.mass = dict.fromkeys(MASS_CHANNELS, 0.0)
        self.energy = dict.fromkeys(ENERGY_CHANNELS, 0.0)

    def mass_error(self, mass):
        """Mass that is not accounted for, relative to the initial mass."""
        return (mass - self.initial_mass - fsum(self.mass.values())) / self.initial_mass

    def energy_error(self, energy):
        """Energy that is not due to a physical channel, relative to the initial energy."""
        # exact: `sum` rounds otherwise in a resumed run, whose numbers are of another type
        physical = fsum(v for k, v in self.energy.items() if k != 'numerical')
        return (energy - self.initial_energy - physical) / abs(self.initial_energy)

    def check(self, mass, energy, *, tolerance):
        """Compare the ledger with the state of the cluster.

        Raises
        ------
        LedgerError
            If the difference of mass or energy exceeds ``tolerance`` of its initial value, or is not finite.
        """
        for name, error in (('mass', self.mass_error(mass)), ('energy', self.energy_error(energy))):
            if not abs(error) <= tolerance:
                raise LedgerError(f'the {name} ledger must close to {tolerance:g} of the initial {name}, '
                                  f'received a gap of {error:.3g}')

    def to_array(self):
        """All entries as one array, for `from_array`."""
        return np.array([self.initial_mass, self.initial_energy, *self.mass.values(),
                         *self.energy.values()])

    @classmethod
    def from_array(cls, values):
        """The ledger from the result of `to_array`."""
        ledger = cls(*values[:2])
        entries = iter(values[2:])
        for book in (ledger.mass, ledger.energy):
            for channel in book:
                book[channel] = float(next(entries))
        return ledger
