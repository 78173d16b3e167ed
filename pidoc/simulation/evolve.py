# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The time loop: a cluster model is evolved, star by star, and yields snapshots.

`simulate` is the main function; `Simulation` is the same in steps, with checkpoints. Internally, lengths,
masses and times are in Henon units (`pidoc.units.HenonUnits` of the initial cluster), ages in Myr, and masses
of single stars in Msun, as in stellar evolution.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable
from numba import config, get_num_threads, set_num_threads

from pidoc.cluster.model import ClusterModel
from pidoc.cluster.snapshot import Snapshot
from pidoc.io.files import replacing
from pidoc.simulation import kernels
from pidoc.simulation.initial import initial_conditions, NO_BINARIES
from pidoc.simulation.kernels import Shells, Stars
from pidoc.simulation.ledger import Ledger
from pidoc.simulation.tides import check_tidally_bound, critical_energy, remaining_fraction, TidalField
from pidoc.stellar import StellarEvolution
from pidoc.units import G, HenonUnits, plain_number, to_value, whole_number

__all__ = ['CheckpointError', 'Numerics', 'Simulation', 'simulate']

log = logging.getLogger(__name__)

#: number of bodies below which a cluster has dissolved, since the Monte Carlo method is not applicable
DISSOLVED = 100
#: types of Hurley+ (2000): the first remnant, neutron star, black hole, massless remnant
NEUTRON_STAR, BLACK_HOLE, NO_REMNANT = 13, 14, 15
#: shortest step due to mass loss [Myr]: the death of a single star cannot be divided
MIN_MASS_LOSS_STEP = 0.01
#: half-mass relaxation time [Myr] above which steps are longer in proportion, and the largest factor
LONG_RELAXATION, MAX_STRETCH = 2000.0, 3.0
#: largest gap in the ledger, in units of the initial mass or energy; in clusters of fewer than 1000 stars the
#: fraction of ten of them, since one massive star may have as large an energy debt for a few steps
LEDGER_TOLERANCE = 0.01
LEDGER_TOLERANCE_STARS = 10
ESCAPE_CRITERIA = ('delayed', 'energy', 'apocentre')
#: tidal radii from which no star returns. Potential escapers pass the tidal radius itself and return: direct
#: integrations include them up to here (Aarseth 2003).
GONE = 2.0
#: reasons for the loss of a star, as recorded in the table of escapers
ESCAPE_REASONS = ('kick', 'ejection', 'tide')
_CHECKPOINT_FORMAT = 1
#: 1-D dispersion of the kicks of neutron stars from electron capture [km/s]: the default of COSMIC
ELECTRON_CAPTURE_KICK = 20.0
#: increased whenever the same model, seed and numerics give different numbers than before: a checkpoint
#: belongs to one version of the physics, and cannot be continued with another. A test monitors the sources.
PHYSICS = 3


class CheckpointError(ValueError):
    """A file is not a checkpoint of this program, or belongs to another run or another version of the
    physics; or a simulation cannot be stored in one."""


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """Numerical parameters, as distinct from the physical ones of `~pidoc.ClusterModel`.

    Parameters
    ----------
    theta_max : float
        Root mean square deflection [rad] of neighbours in one step, by all encounters together; zones of the
        cluster have correspondingly short steps.
    encounters : int
        Number of partners of a star in a step, among which the deflection is divided; up to 16 times as many
        if some stars are much heavier than the others (`pidoc.simulation.kernels.relax`).
    compensated : bool
        Increase all deflections to compensate on average for the slowest pairs, whose deflection is capped at
        180 degrees (`pidoc.simulation.kernels.relax`).
    relaxation_step : float
        Longest step, in units of the current half-mass relaxation time t_rh. Errors of steps add up over
        relaxation times, of which a rich cluster has few: if t_rh is longer than 2 Gyr, steps are longer in
        proportion to it, by up to a factor of three.
    mass_loss_step : float
        Largest fraction of the cluster's mass that its stars may lose in a step.
    escape : {'delayed', 'energy', 'apocentre'}
        Stars that are removed by the tide: those above the critical energy, after the delay of Fukushige &
        Heggie (2000), as in Giersz+ (2013), and soon from beyond two tidal radii; those above the N-dependent
        energy of Giersz+ (2008), at once; or those whose orbits reach the tidal radius, at once (Joshi, Nave
        & Rasio 2001).
    angular_momentum : {'kept', 'scaled'}
        Change of a star's angular momentum when the potential changes: kept if the change of energy permits
        it, or scaled with the speed (Stodolkiewicz 1982, and CMC: Rodriguez+ 2022), which is not correct for
        slow changes (`pidoc.simulation.kernels.resample`).

    Raises
    ------
    TypeError, ValueError
        If a value has a wrong type or is out of range.
    """

    theta_max: float = 1.0
    encounters: int = 1
    compensated: bool = True
    relaxation_step: float = 0.01
    mass_loss_step: float = 0.01
    escape: str = 'delayed'
    angular_momentum: str = 'kept'

    def __post_init__(self):
        for name in ('theta_max', 'relaxation_step', 'mass_loss_step'):
            plain_number(getattr(self, name), name, above=0)
        whole_number(self.encounters, 'encounters', at_least=1, floats=True)
        if self.escape not in ESCAPE_CRITERIA:
            raise ValueError(f'escape must be one of {", ".join(ESCAPE_CRITERIA)}, '
                             f'received {self.escape!r}')
        if self.angular_momentum not in ('kept', 'scaled'):
            raise ValueError(f'angular_momentum must be kept or scaled, received {self.angular_momentum!r}')
        if not isinstance(self.compensated, bool):
            raise TypeError(f'compensated must be True or False, received {self.compensated!r}')


def simulate(model: ClusterModel, *, ages: u.Quantity | str, seed: int | None = None,
             numerics: Numerics | None = None, threads: int = 1) -> Iterator[Snapshot]:
    """Evolve a cluster and yield its stars at the given ages.

    Parameters
    ----------
    model : `~pidoc.ClusterModel`
        Cluster to simulate; its seed is the seed of all random numbers.
    ages : `~astropy.units.Quantity`, shape (n,)
        Ages of the snapshots, increasing, from 0 to 15 Gyr.
    seed : int, optional
        Overrides the model's seed; the snapshots' model has it.
    numerics : `Numerics`, optional
        Accuracy parameters.
    threads : int, optional
        Number of threads; the result does not depend on it.

    Yields
    ------
    `~pidoc.cluster.snapshot.Snapshot`
        One for each age, as soon as it is reached. If the cluster dissolves, this is logged as a warning and
        the remaining ages are not yielded.

    Raises
    ------
    ValueError
        If ages are not increasing or not between 0 and 15 Gyr, or the cluster does not fit inside its
        tidal radius.
    `~pidoc.simulation.ledger.LedgerError`
        If mass or energy is not conserved.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc import ClusterModel
    >>> from pidoc.simulation import simulate
    >>> model = ClusterModel(n_stars=1000, imf='equal', galaxy=None, stellar_evolution=False)
    >>> for snapshot in simulate(model, ages=[0, 20] * u.Myr):
    ...     print(f'{snapshot.age.to(u.Myr):.0f}: {snapshot.n_stars} stars, {snapshot.total_mass:.0f}')
    0 Myr: 1000 stars, 1000 solMass
    20 Myr: 1000 stars, 1000 solMass
    """
    ages = check_ages(ages)
    if seed is not None:
        model = model.replace(seed=seed)
    simulation = Simulation(model, numerics=numerics, threads=threads)
    for age in ages:
        simulation.advance_to(age)
        if simulation.dissolved:
            log.warning('the cluster dissolved at %.1f Myr', simulation.age)
            return
        yield simulation.snapshot()


def check_ages(ages):
    """Check ages and convert them to floats in Myr.

    Raises
    ------
    ValueError
        If they are not increasing or not between 0 and 15 Gyr.
    """
    ages = np.atleast_1d(to_value(ages, u.Myr, 'ages', non_negative=True))
    if ages.ndim != 1 or ages.size == 0:
        raise ValueError(f'ages must be a list of at least one age, received shape {ages.shape}')
    if np.any(np.diff(ages) <= 0):
        k = int(np.argmax(np.diff(ages) <= 0))
        raise ValueError(f'ages must increase, received {ages[k]:g} Myr before {ages[k + 1]:g} Myr')
    if ages[-1] > 15000:
        raise ValueError(f'ages must not exceed 15000 Myr, received {ages[-1]:g} Myr')
    return ages


class Simulation:
    """A simulation of one cluster that can be advanced, inspected, saved and resumed.

    Parameters
    ----------
    model : `~pidoc.ClusterModel`
        Cluster to simulate.
    numerics : `Numerics`, optional
        Accuracy parameters.
    threads : int, optional
        Number of threads; the result does not depend on it.
    initial : `~pidoc.simulation.initial.InitialConditions`, optional
        Initial stars, overriding those of the model: masses [Msun], radii [pc], velocities [km/s], sorted by
        radius, and binaries.
    tracks : `~pidoc.stellar.StellarEvolution`, optional
        Stellar evolution, overriding the packaged tracks at the model's metallicity. Such a simulation cannot
        be saved, since checkpoints do not include tracks.

    Attributes
    ----------
    age : float
        Age [Myr].
    steps : int
        Global steps taken.
    ledger : `~pidoc.simulation.ledger.Ledger`
        Gains and losses, in Henon units.
    units : `~pidoc.units.HenonUnits`
        Units of the initial cluster.
    """

    def __init__(self, model, *, numerics=None, threads=1, initial=None, tracks=None):
        check_tidally_bound(model)
        self.model = model
        self.numerics = numerics or Numerics()
        self.threads = whole_number(threads, 'threads', at_least=1)
        self._tide = TidalField(model)
        self._has_other_tracks = tracks is not None
        self._tracks = tracks or StellarEvolution.of(model)
        self.age = 0.0
        self.steps = 0
        self._escapers = []
        self._step_start = 0.0
        self._begin(initial_conditions(model) if initial is None else initial)

    # ------------------------------------------------------------ start

    def _begin(self, initial):
        n_bodies = initial.mass.size
        kinetic = 0.5 * np.sum(initial.mass * (initial.v_r ** 2 + initial.v_t ** 2))
        mass = initial.mass.sum()
        # in virial equilibrium the energy is minus the kinetic energy, and it is -1/4 in Henon units
        self.units = HenonUnits(mass, HenonUnits(mass, 1.0).energy / (4.0 * kinetic))
        pairs = initial.binaries or NO_BINARIES
        # stars of a binary: the first has the number of the body, the second a number after all bodies
        single = initial.mass.copy()
        single[pairs.body] -= pairs.mass
        self.initial_mass = np.concatenate([single, pairs.mass])
        self.mass = self.initial_mass.copy()
        n = self.mass.size
        self.kind = self._tracks.mass(self.initial_mass, 0.0)[1]
        self._above_since = np.full(n, np.inf)
        self._stars = Stars(self.mass / mass, np.full(n, -1, dtype=np.int64), np.zeros(n), np.zeros(n))
        self._stars.partner[pairs.body] = np.arange(n_bodies, n)
        semi_major_axis = (pairs.semi_major_axis * u.au).to_value(u.pc) / self.units.length
        self._stars.binding[pairs.body] = (self._stars.mass[pairs.body] * self._stars.mass[n_bodies:]
                                           / (2.0 * semi_major_axis))
        self._stars.eccentricity[pairs.body] = pairs.eccentricity
        self._primordial = pairs.body.size > 0
        self._shells = Shells(initial.radius / self.units.length, initial.v_r / self.units.velocity,
                              initial.v_t / self.units.velocity, initial.mass / mass,
                              np.arange(n_bodies, dtype=np.int64), np.zeros(n_bodies), np.zeros(n_bodies))
        self._find_evolution_times()
        seed = np.random.SeedSequence([self.model.seed, 1]).generate_state(1, np.uint64)
        self._work = kernels.new_work(n, seed[0])
        self._refresh()
        self.ledger = Ledger(self._shells.m.sum(), self._energy)

    def _find_evolution_times(self):
        """Times at which each star starts and stops losing mass, and whether it is in the cluster."""
        self._inside = np.zeros(self.mass.size, dtype=bool)
        self._inside[self._present()] = True
        if self.model.stellar_evolution:
            self._starts = self._tracks.mass_loss_start(self.initial_mass)
            self._ends = self._tracks.remnant_time(self.initial_mass)

    def _refresh(self):
        """Update potential and energy after a change of the shells."""
        n = self._shells.r.size
        if n == 0:
            self._energy = 0.0
            return
        kernels.potential(self._shells, n, n)
        self._energy = kernels.total_energy(self._shells)

    # ------------------------------------------------------------ properties

    @property
    def n_bodies(self):
        """Number of bodies: single stars and binaries."""
        return self._shells.r.size

    @property
    def dissolved(self):
        """Whether too few stars are left."""
        return self.n_bodies < DISSOLVED

    @property
    def cluster_mass(self):
        """Mass of all stars in the cluster [Msun]."""
        return self._shells.m.sum() * self.units.mass

    @property
    def coulomb_logarithm(self):
        """ln(gamma N) for the present number of bodies, at least 1."""
        return max(1.0, math.log(self.model.coulomb_factor * self.n_bodies))

    @property
    def relaxation_time(self):
        """Half-mass relaxation time [Myr] (Spitzer 1987, eq. 2-63)."""
        sh = self._shells
        r_h = np.interp(0.5 * sh.cum[-1], sh.cum, sh.r)
        time = 0.138 * self.n_bodies * r_h ** 1.5 / math.sqrt(sh.cum[-1]) / self.coulomb_logarithm
        return time * self.units.time

    @property
    def tidal_radius(self):
        """Tidal radius [pc], infinite for an isolated cluster."""
        return self._tide.tidal_radius(self.cluster_mass)

    @property
    def virial_ratio(self):
        """Ratio of kinetic to absolute potential energy; 0.5 in equilibrium."""
        kinetic, gravity = kernels.shell_energy(self._shells, self.n_bodies)
        return -kinetic / gravity

    @property
    def energy_error(self):
        """Energy that is not due to a physical process, relative to the initial energy."""
        return self.ledger.energy_error(self._energy)

    @property
    def binding_energy(self):
        """Binding energy of the binaries of the cluster (Henon units)."""
        return float(self._stars.binding[self._shells.ident].sum())

    @property
    def binaries(self):
        """Table of the binaries of the cluster: id, partner, semi_major_axis, eccentricity."""
        stars, ident = self._stars, self._shells.ident
        first = ident[stars.partner[ident] >= 0]
        second = stars.partner[first]
        size = stars.mass[first] * stars.mass[second] / (2.0 * stars.binding[first]) * self.units.length
        table = QTable()
        table['id'], table['partner'] = first.astype(np.int32), second.astype(np.int32)
        table['semi_major_axis'] = (size * u.pc).to(u.au)
        table['eccentricity'] = stars.eccentricity[first]
        return table

    @property
    def escapers(self):
        """Table of the stars that left: age, id, mass, kind, reason, specific energy."""
        rows = self._escapers
        table = QTable()
        table['age'] = np.array([row[0] for row in rows], dtype=float) * u.Myr
        table['id'] = np.array([row[1] for row in rows], dtype=np.int32)
        table['mass'] = np.array([row[2] for row in rows], dtype=float) * u.Msun
        table['kind'] = np.array([row[3] for row in rows], dtype=np.int16)
        table['reason'] = np.array([ESCAPE_REASONS[int(row[4])] for row in rows], dtype='U8')
        table['energy'] = np.array([row[5] for row in rows], dtype=float) * u.km ** 2 / u.s ** 2
        return table

    # ------------------------------------------------------------ evolution

    def advance_to(self, age, *, each_step=None):
        """Evolve to an age [Myr], or until the cluster has dissolved.

        Parameters
        ----------
        age : float
            Not less than the present age [Myr].
        each_step : callable, optional
            Called with the simulation after each global step.

        Raises
        ------
        ValueError
            If the age is in the past.
        `~pidoc.simulation.ledger.LedgerError`
            If mass or energy is not conserved.
        """
        if not age >= self.age:
            raise ValueError(f'age must not be before the present {self.age:g} Myr, received {age:g}')
        before = get_num_threads()
        set_num_threads(min(self.threads, config.NUMBA_NUM_THREADS))
        try:
            while self.age < age and not self.dissolved:
                self._step(age)
                if each_step is not None:
                    each_step(self)
        finally:
            set_num_threads(before)
        tolerance = max(LEDGER_TOLERANCE, LEDGER_TOLERANCE_STARS / self.initial_mass.size)
        # the energy debt of stars (`kernels.resample`) is not an error, but settled in one of the next steps
        owed = self._work.tally[kernels.DEBT]
        self.ledger.check(self._shells.m.sum(), self._energy - owed, tolerance=tolerance)

    def _step(self, until):
        dt = min(self._longest_step(), until - self.age)
        if self.model.stellar_evolution:
            before = self._shells.m.sum()
            dt, born = self._evolve_stars(dt)
            if born.size:
                self._kick(born)
            self._expand(self._shells.m.sum() / before)
        last = dt >= until - self.age
        sh = self._shells
        heat = self._work.tally[kernels.HEAT]
        numerics = self.numerics
        kernels.advance(sh, self._stars, self._work, sh.r.size, dt / self.units.time,
                        self.coulomb_logarithm, numerics.theta_max, numerics.encounters, self.threads,
                        numerics.compensated, numerics.angular_momentum == 'scaled', self._primordial)
        heat = self._work.tally[kernels.HEAT] - heat
        energy = kernels.total_energy(sh)
        self.ledger.energy['binaries'] += heat
        self.ledger.energy['numerical'] += energy - self._energy - heat
        self._energy = energy
        self._step_start = self.age
        self.age = until if last else self.age + dt
        self._drop_absorbed()
        self._part_destroyed()
        self._remove_escapers()
        self.steps += 1

    def _longest_step(self):
        """Longest step that relaxation allows [Myr]."""
        time = self.relaxation_time
        return self.numerics.relaxation_step * time * min(MAX_STRETCH, max(1.0, time / LONG_RELAXATION))

    def _expand(self, ratio):
        """Expand the cluster immediately after mass loss; the next resampling would be one step late.

        A cluster with slow mass loss, uniform in radius, expands as r M = const (Hills 1980, ApJ 235, 986);
        then all velocities decrease as M, while angular momenta, radial actions and the virial ratio are
        constant. Local differences are left to the orbits.
        """
        before = self._energy
        kernels.expand(self._shells, ratio)
        self._energy = kernels.total_energy(self._shells)
        self.ledger.energy['stellar_evolution'] += self._energy - before

    def _book(self, channel):
        """Recompute the potential and record the change of energy."""
        before = self._energy
        self._refresh()
        self.ledger.energy[channel] += self._energy - before

    # ------------------------------------------------------------ stellar evolution

    def _evolve_stars(self, dt):
        """Age the stars by dt or, if they would lose too much mass, by less.

        Returns the step taken [Myr] and the stars that became neutron stars or black holes.
        """
        allowed = self.numerics.mass_loss_step * self.cluster_mass
        ageing = np.flatnonzero(self._inside & (self._ends > self.age) & (self._starts <= self.age + dt))
        while True:
            later = self.age + dt
            active = ageing[self._starts[ageing] <= later]
            if active.size == 0:
                return dt, active
            mass, kind = self._tracks.mass(self.initial_mass[active], later)
            lost = np.sum(self.mass[active] - mass)
            if lost <= allowed or dt <= MIN_MASS_LOSS_STEP:
                break
            dt = max(MIN_MASS_LOSS_STEP, dt * max(0.1, min(0.7, 0.9 * allowed / lost)))
        born = active[(kind >= NEUTRON_STAR) & (kind < NO_REMNANT) & (self.kind[active] < NEUTRON_STAR)]
        self._set_masses(active, mass, kind)
        return dt, born

    def _present(self):
        """Identities of all stars of the cluster, including companions."""
        ident = self._shells.ident
        companions = self._stars.partner[ident]
        return np.concatenate([ident, companions[companions >= 0]])

    def _set_masses(self, active, mass, kind):
        """Set new masses of stars; orbits of binaries expand with a (m1 + m2) constant."""
        stars, sh = self._stars, self._shells
        before = sh.m.sum()
        if np.any(kind == NO_REMNANT):
            self._separate(active[kind == NO_REMNANT])
            sh = self._shells
        carriers = np.flatnonzero(stars.partner >= 0)
        others = stars.partner[carriers]
        old = self.mass[carriers] * self.mass[others] * (self.mass[carriers] + self.mass[others])
        self.mass[active] = mass
        self.kind[active] = kind
        stars.mass[active] = mass / self.units.mass
        new = self.mass[carriers] * self.mass[others] * (self.mass[carriers] + self.mass[others])
        changed = new != old
        stars.binding[carriers[changed]] *= new[changed] / old[changed]
        kernels.weigh(sh, stars)
        if np.any(kind == NO_REMNANT):
            self._keep(sh.m > 0.0)
        self._book('stellar_evolution')
        self.ledger.mass['stellar_evolution'] += self._shells.m.sum() - before

    def _natal_kicks(self, born):
        """Natal kick velocities [km/s] of new neutron stars and black holes, shape (n, 3); some are zero.

        Maxwellian (Hobbs+ 2005). The kick of a black hole is reduced by the fraction of the ejecta that falls
        back (Fryer+ 2012, section 4.1), that of a neutron star from electron capture is from a narrower
        distribution: both as in COSMIC (Breivik+ 2020, section 2).
        """
        model = self.model
        of_neutron_star = self.kind[born] == NEUTRON_STAR
        rest = np.where(of_neutron_star, model.neutron_star_retention, model.black_hole_retention)
        sigma = np.where(of_neutron_star, *(kick.to_value(u.km / u.s) for kick in (
            model.neutron_star_kick, model.black_hole_kick)))
        if model.natal_kicks != 'full':
            initial = self.initial_mass[born]
            slow = of_neutron_star & self._tracks.electron_capture(initial)
            sigma[slow] = np.minimum(sigma[slow], ELECTRON_CAPTURE_KICK)
            sigma[~of_neutron_star] *= 1.0 - self._tracks.fallback(initial[~of_neutron_star])
        kicks = np.zeros((born.size, 3))
        for kick, star, share, speed in zip(kicks, born, rest, sigma, strict=True):
            rng = self._star_rng(star)
            if rng.uniform() >= share:
                kick[:] = rng.normal(scale=speed, size=3)
        return kicks

    def _star_rng(self, star):
        """Random numbers of one star, independent of time and thread."""
        return np.random.default_rng([self.model.seed, 2, int(star)])

    def _kick(self, born):
        """Apply natal kicks to new remnants; companions become single."""
        kicks = self._natal_kicks(born)
        moved = np.any(kicks != 0.0, axis=1)
        born, kicks = born[moved], kicks[moved] / self.units.velocity
        self._separate(born)
        sh = self._shells
        for (vx, vy, vz), k in zip(kicks, self._rows_of(born), strict=True):
            sh.vt[k] = math.hypot(sh.vt[k] + vx, vy)
            sh.vr[k] += vz
        self._book('kick')
        self._remove(self._specific_energy() >= 0.0, 'kick', only=born)

    def _rows_of(self, chosen):
        """Rows of some bodies among the shells, by one sort instead of a search for each."""
        ident = self._shells.ident
        order = np.argsort(ident)
        return order[np.searchsorted(ident, chosen, sorter=order)]

    def _separate(self, chosen):
        """Break up the binaries of some stars, all at once: both components continue as neighbours.

        Returns the rows of the first stars of these; the second ones are in the next rows.
        """
        sh, stars = self._shells, self._stars
        others = stars.partner[sh.ident]
        among = np.zeros(self.mass.size, dtype=bool)
        among[chosen] = True
        rows = np.flatnonzero((others >= 0) & (among[sh.ident] | among[others]))
        if rows.size == 0:
            return rows
        first, second = sh.ident[rows], others[rows]
        stars.partner[first] = -1
        stars.binding[first] = 0.0
        columns = {name: np.insert(column, rows + 1, column[rows]) for name, column in sh._asdict().items()}
        rows = rows + np.arange(rows.size)
        columns['ident'][rows + 1] = second
        columns['m'][rows], columns['m'][rows + 1] = stars.mass[first], stars.mass[second]
        self._shells = Shells(**columns)
        return rows

    def _drop_absorbed(self):
        """Remove the shells of stars that became companions in this step."""
        if np.any(self._shells.m <= 0.0):
            self._keep(self._shells.m > 0.0)
            self._book('numerical')

    def _part_destroyed(self):
        """Stars of binaries destroyed by encounters in this step become bodies, and fly apart."""
        ident = self._shells.ident
        destroyed = ident[self._stars.binding[ident] < 0.0]
        if destroyed.size == 0:
            return
        # in the order of the shells, like the rows below
        energy = -self._stars.binding[destroyed]
        rows = self._separate(destroyed)
        sh = self._shells
        m_1, m_2 = sh.m[rows], sh.m[rows + 1]
        # two shells at one radius have a mutual energy that a binary does not have
        energy += m_1 * m_2 / sh.r[rows]
        speed = np.sqrt(2.0 * energy * (m_1 + m_2) / (m_1 * m_2))
        rng = np.random.default_rng([self.model.seed, 5, self.steps])
        direction = rng.normal(size=(3, rows.size))
        x, y, z = direction / np.sqrt(np.sum(direction ** 2, axis=0)) * speed
        for where, share in ((rows, m_2 / (m_1 + m_2)), (rows + 1, -m_1 / (m_1 + m_2))):
            sh.vt[where] = np.hypot(sh.vt[where] + share * x, share * y)
            sh.vr[where] += share * z
        self._book('binaries')

    # ------------------------------------------------------------ escape

    def _specific_energy(self):
        """Energy of each body in the potential of all others."""
        energy = np.empty(self.n_bodies)
        kernels.specific_energy(self._shells, energy)
        return energy

    def _remove_escapers(self):
        """Remove bodies that are unbound or escape in the tidal field."""
        self._remove(self._specific_energy() >= 0.0, 'ejection')
        if not self._tide.isolated and not self.dissolved:
            self._remove(self._beyond_tide(), 'tide')
            # each removal reduces the tidal radius
            while self.numerics.escape != 'delayed' and self._remove(self._outside_tide(), 'tide'):
                pass

    def _beyond_tide(self):
        """Bodies that the tidal field removes in this step."""
        energy = self._specific_energy() * self.units.velocity ** 2
        mass, radius = self.cluster_mass, self.tidal_radius
        if self.numerics.escape == 'energy':
            gamma = math.exp(self.coulomb_logarithm) / self.n_bodies
            return energy > critical_energy(mass, radius, self.n_bodies, gamma=gamma)
        if self.numerics.escape == 'apocentre':
            return self._reaching(radius / self.units.length)
        return self._delayed_escape(energy, -1.5 * G * mass / radius)

    def _delayed_escape(self, energy, critical):
        """Potential escapers that leave in this step.

        The probability is from `remaining_fraction`, given that the star has remained since it first was
        above the critical energy: with time its orbit is increasingly likely to be a regular one that never
        escapes.

        A star beyond two tidal radii also leaves at the rate Omega, the only rate of motions there (Hill's
        equations): if it left at once, its probability would increase with the number of steps, in each of
        which it gets a new position.
        """
        rows = np.flatnonzero(energy > critical)
        waiting = self._shells.ident[rows]
        above = np.zeros(self._above_since.size, dtype=bool)
        above[waiting] = True
        np.copyto(self._above_since, np.inf, where=~above)
        since = np.minimum(self._above_since[waiting], self._step_start)
        self._above_since[waiting] = since
        excess = (energy[rows] - critical) / -critical
        frequency = self._tide.angular_frequency
        stay = (remaining_fraction(excess, frequency, self.age - since)
                / remaining_fraction(excess, frequency, self._step_start - since))
        stay[self._outside_tide(GONE)[rows]] *= math.exp(-frequency * (self.age - self._step_start))
        rng = np.random.default_rng([self.model.seed, 3, self.steps])
        gone = np.zeros(energy.size, dtype=bool)
        gone[rows] = rng.uniform(size=rows.size) > stay
        return gone

    def _outside_tide(self, tidal_radii=1.0):
        """Bodies outside a multiple of the tidal radius, and therefore above the critical energy."""
        return self._shells.r * self.units.length > tidal_radii * self.tidal_radius

    def _reaching(self, radius):
        """Bodies at or beyond a radius (Henon units) or with orbits that extend to it."""
        sh = self._shells
        k = int(np.searchsorted(sh.r, radius, side='right')) - 1
        phi = sh.phi[k] + sh.cum[k] * (1.0 / sh.r[k] - 1.0 / radius) if k >= 0 else sh.phi[0]
        barrier = phi + sh.m / np.maximum(sh.r, radius) + 0.5 * (sh.r * sh.vt / radius) ** 2
        return (sh.r >= radius) | (self._specific_energy() >= barrier)

    def _remove(self, gone, reason, only=None):
        """Remove bodies and their companions, record them, and return whether there were any."""
        sh, stars = self._shells, self._stars
        if only is not None:
            gone = gone & np.isin(sh.ident, only)
        if not gone.any():
            return False
        scale = self.units.velocity ** 2
        energy = self._specific_energy()
        for k in np.flatnonzero(gone):
            for star in (sh.ident[k], stars.partner[sh.ident[k]]):
                if star >= 0:
                    self._inside[star] = False
                    self._escapers.append((self.age, star, self.mass[star], self.kind[star],
                                           ESCAPE_REASONS.index(reason), energy[k] * scale))
        self.ledger.mass[reason] -= sh.m[gone].sum()
        self._keep(~gone)
        self._book('escape')
        return True

    def _keep(self, kept):
        """Remove the other shells; those outside of the first removed one move up."""
        first, count = int(np.argmin(kept)), int(np.count_nonzero(kept))
        if count == kept.size:
            return
        for column in self._shells:
            column[first:count] = column[first:][kept[first:]]
        self._shells = Shells(*(column[:count] for column in self._shells))

    # ------------------------------------------------------------ output

    def snapshot(self):
        """The present stars as a `~pidoc.cluster.snapshot.Snapshot`; binaries as two components."""
        sh, stars = self._shells, self._stars
        pairs = np.flatnonzero(stars.partner[sh.ident] >= 0)
        rows = np.concatenate([np.arange(sh.r.size), pairs])
        ident = np.concatenate([sh.ident, stars.partner[sh.ident[pairs]]])
        partner = stars.partner[ident]
        partner[sh.r.size:] = sh.ident[pairs]
        luminosity, stellar_radius = self._light(ident)
        table = QTable()
        table['id'] = ident.astype(np.int32)
        table['radius'] = sh.r[rows] * self.units.length * u.pc
        table['v_r'] = sh.vr[rows] * self.units.velocity * u.km / u.s
        table['v_t'] = sh.vt[rows] * self.units.velocity * u.km / u.s
        table['mass'] = self.mass[ident] * u.Msun
        table['initial_mass'] = self.initial_mass[ident] * u.Msun
        table['luminosity'] = luminosity * u.Lsun
        table['stellar_radius'] = stellar_radius * u.Rsun
        table['kind'] = self.kind[ident]
        table['partner'] = partner.astype(np.int32)
        return Snapshot(table, age=self.age * u.Myr, model=self.model, seed=self.model.seed)

    def _light(self, ident):
        """Luminosities and radii; those of the zero-age main sequence for stars without evolution."""
        state = self._tracks.state(self.initial_mass[ident],
                                   self.age if self.model.stellar_evolution else 0.0)
        return state.luminosity, state.radius

    # ------------------------------------------------------------ checkpoints

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint; a run resumed from it has the same result as without interruption.

        Parameters
        ----------
        path : path-like
            A NumPy ``.npz`` file, replaced atomically if it exists.

        Raises
        ------
        CheckpointError
            If the simulation does not have the packaged tracks.
        """
        if self._has_other_tracks:
            raise CheckpointError('a simulation can be saved only with the tracks that come with pidoc, '
                                  f'received {self._tracks!r} as tracks when it was made')
        meta = {'format': _CHECKPOINT_FORMAT, 'physics': PHYSICS, 'model': self.model.to_header().tostring(),
                'numerics': dataclasses.asdict(self.numerics), 'age': self.age.hex(),
                'steps': self.steps, 'primordial': self._primordial}
        arrays = {f'shells_{name}': column for name, column in self._shells._asdict().items()}
        arrays |= {f'stars_{name}': column for name, column in self._stars._asdict().items()}
        with replacing(path) as temporary, open(temporary, 'wb') as stream:
            np.savez(stream, meta=np.array(json.dumps(meta)), mass=self.mass, kind=self.kind,
                     above_since=self._above_since, initial_mass=self.initial_mass,
                     counter=self._work.counter, tally=self._work.tally, ledger=self.ledger.to_array(),
                     units=np.array([self.units.mass, self.units.length]),
                     escapers=np.array(self._escapers, dtype=float).reshape(-1, 6), **arrays)
            stream.flush()
            os.fsync(stream.fileno())

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, threads: int = 1) -> Simulation:
        """Resume a run from a checkpoint.

        Raises
        ------
        CheckpointError
            If the file is not a checkpoint, is damaged, or belongs to another version of the physics.
        """
        try:
            # opened here, since numpy does not close damaged files
            with open(path, 'rb') as stream, np.load(stream, allow_pickle=False) as archive:
                data = dict(archive)
            meta = json.loads(str(data['meta']))
            if meta['format'] != _CHECKPOINT_FORMAT:
                raise CheckpointError(f'{path} must be a checkpoint of format {_CHECKPOINT_FORMAT}, '
                                      f"received format {meta['format']}")
            # missing in checkpoints of the first version
            physics = meta.get('physics', 1)
            if physics != PHYSICS:
                raise CheckpointError(f'{path} must be a checkpoint of version {PHYSICS} of the physics, the '
                                      f'one of this pidoc, received version {physics}: the two halves of '
                                      'the run would not fit')
            model = ClusterModel.from_header(fits.Header.fromstring(meta['model']))
            return cls._restore(model, meta, data, threads)
        except (CheckpointError, FileNotFoundError):
            raise
        except Exception as error:
            # numpy and zipfile raise many kinds of errors for damaged files
            raise CheckpointError(f'{path} is not a complete checkpoint of a simulation: {error}') from error

    @classmethod
    def _restore(cls, model, meta, data, threads):
        self = cls.__new__(cls)
        self.model = model
        self.numerics = Numerics(**meta['numerics'])
        self.threads = whole_number(threads, 'threads', at_least=1)
        self._tide = TidalField(model)
        self._has_other_tracks = False
        self._tracks = StellarEvolution.of(model)
        self.age = float.fromhex(meta['age'])
        self.steps = meta['steps']
        self.units = HenonUnits(*map(float, data['units']))
        self.initial_mass, self.mass, self.kind = data['initial_mass'], data['mass'], data['kind']
        self._above_since = data['above_since']
        self._step_start = self.age
        self._shells = Shells(*(data[f'shells_{name}'] for name in Shells._fields))
        self._stars = Stars(*(data[f'stars_{name}'] for name in Stars._fields))
        self._primordial = meta['primordial']
        self._find_evolution_times()
        seed, calls = data['counter']
        self._work = kernels.new_work(self.mass.size, seed, data['tally'], calls)
        self._energy = kernels.total_energy(self._shells)
        self.ledger = Ledger.from_array(data['ledger'])
        self._escapers = [tuple(row) for row in data['escapers']]
        return self
