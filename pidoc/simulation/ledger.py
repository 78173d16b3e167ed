# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What a run gained and lost, by channel, and whether the books close."""

import numpy as np

__all__ = ['ENERGY_CHANNELS', 'MASS_CHANNELS', 'Ledger', 'LedgerError']

#: Where mass goes: winds and deaths of stars; stars that a birth kick, a binary or the tide removed.
MASS_CHANNELS = ('stellar_evolution', 'kick', 'ejection', 'tide')
#: Where energy comes from and goes to: mass lost by stars; birth kicks; encounters of binaries; what escapers
#: take away; what the numerical scheme gained or lost.
ENERGY_CHANNELS = ('stellar_evolution', 'kick', 'binaries', 'escape', 'numerical')


class LedgerError(RuntimeError):
    """The books of a simulation do not close."""


class Ledger:
    """Mass and energy of a cluster at the start, and each gain and loss since.

    Units are the caller's, the same throughout. Energy is that of the stars as bodies, without what is
    locked up in binaries: their hardening is a gain, their destruction a loss.

    Parameters
    ----------
    mass, energy : float
        At the start.
    """

    def __init__(self, mass, energy):
        self.initial_mass = float(mass)
        self.initial_energy = float(energy)
        self.mass = dict.fromkeys(MASS_CHANNELS, 0.0)
        self.energy = dict.fromkeys(ENERGY_CHANNELS, 0.0)

    def mass_error(self, mass):
        """Mass that is not accounted for, relative to the initial mass."""
        return (mass - self.initial_mass - sum(self.mass.values())) / self.initial_mass

    def energy_error(self, energy):
        """Energy that no physical channel accounts for, relative to the initial energy."""
        physical = sum(v for k, v in self.energy.items() if k != 'numerical')
        return (energy - self.initial_energy - physical) / abs(self.initial_energy)

    def check(self, mass, energy, *, tolerance):
        """Compare with the state of the cluster.

        Raises
        ------
        LedgerError
            If mass or energy is off by more than ``tolerance`` of its initial value, or not finite.
        """
        for name, error in (('mass', self.mass_error(mass)), ('energy', self.energy_error(energy))):
            if not abs(error) <= tolerance:
                raise LedgerError(f'the {name} ledger must close to {tolerance:g} of the initial {name}, '
                                  f'received a gap of {error:.3g}')

    def to_array(self):
        """All entries as one array; `from_array` reads it back."""
        return np.array([self.initial_mass, self.initial_energy, *self.mass.values(),
                         *self.energy.values()])

    @classmethod
    def from_array(cls, values):
        """The ledger that `to_array` wrote."""
        ledger = cls(*values[:2])
        entries = iter(values[2:])
        for book in (ledger.mass, ledger.energy):
            for channel in book:
                book[channel] = float(next(entries))
        return ledger
