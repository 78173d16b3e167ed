#!/usr/bin/env python
"""A direct N-body reference for the Monte Carlo simulator: a cluster of two kinds of stars.

The code is independent of pidoc on purpose. It needs numpy, numba, astropy (for the table) and,
for ``--self-test`` alone, scipy.

Method
    Fourth-order Hermite scheme with individual, block-wise time steps: Makino & Aarseth 1992,
    PASJ 44, 141. The corrector's position uses the coefficient 7/6 of Kokubo, Yoshinaga & Makino
    1998, MNRAS 297, 1067, which makes it the compact form of Hut, Makino & McMillan 1995, ApJ
    443, L93. It is applied twice, P(EC)^2: for the same number of force evaluations the energy of
    a circular binary then drifts 30 times less, that of an eccentric one about the same. eta =
    0.005 keeps the error near 1e-7 until hard binaries form. Softening is zero: the Coulomb
    logarithm of the Monte Carlo method counts close encounters as point masses meet them, and the
    adaptive steps resolve such encounters.

Model
    Isolated Plummer sphere after Aarseth, Henon & Wielen 1974, A&A 37, 183 (no outer cut-off),
    stars of mass 1 and ``--mass-ratio`` placed without regard to mass; scaled to G = M = 1, E =
    -1/4, 2K = |W| exactly, barycentre at rest.

Output
    Once per ``--interval``: Lagrange radii of each kind about the density centre of Casertano &
    Hut 1985, ApJ 298, 80 (mass density, 6 neighbours), their density-weighted core radius, the
    most tightly bound pair, and the relative energy error. A Lagrange radius is that of a
    fraction of *all* stars of the kind, escapers included: star number k by distance holds the
    fraction (k - 1/2) / n, with linear interpolation. An error above 1e-4 stops the program.

    A run ends early, and says so, once a pair is bound by more than ``--stop-binding`` kT, where
    kT = 1/(6 N) is 2/3 of the mean initial kinetic energy of a star: from then on the binary
    heats the core, and its close triple encounters spoil the energy. Such stops thin out the
    seeds at late times: a mean over seeds is fair only up to the first.

Examples
    python benchmarks/direct_nbody.py --self-test
    python benchmarks/direct_nbody.py --seeds 1-5 --output two_mass_nbody.ecsv
"""

import argparse
import logging
import os
import sys
import time
from dataclasses import dataclass

import numba
import numpy as np

log = logging.getLogger('direct_nbody')

PLUMMER_HALF_MASS_RADIUS = 3 * np.pi / 16 / np.sqrt(2 ** (2 / 3) - 1)  # 0.7686 in Henon units
NEIGHBOURS = 6
MAXIMUM_STEP = 2.0 ** -4
MINIMUM_STEP = 2.0 ** -44  # smallest step exactly added to times below 2^8 in double precision
ENERGY_TOLERANCE = 1e-4


class EnergyError(RuntimeError):
    """Energy is not conserved well enough for the result to be used."""


# --- Integrator ---------------------------------------------------------------------------------


NEVER_ZERO = 1e-60  # lost in rounding beside any distance squared but a star's from itself


# error_model='numpy' drops the test for division by zero, which would keep the loop scalar
@numba.njit(fastmath=True, error_model='numpy')
def force(i, mass, pos, vel, acc, jerk):
    """Store acceleration and jerk of star i, from all others, in acc[:] and jerk[:]; G = 1."""
    x, y, z = pos[0], pos[1], pos[2]
    u, v, w = vel[0], vel[1], vel[2]
    xi, yi, zi, ui, vi, wi = x[i], y[i], z[i], u[i], v[i], w[i]
    ax = ay = az = jx = jy = jz = 0.0
    for j in range(mass.size):
        dx, dy, dz = x[j] - xi, y[j] - yi, z[j] - zi
        du, dv, dw = u[j] - ui, v[j] - vi, w[j] - wi
        inverse2 = 1 / (dx * dx + dy * dy + dz * dz + NEVER_ZERO)
        pull = mass[j] * inverse2 * np.sqrt(inverse2)
        rate = 3 * (dx * du + dy * dv + dz * dw) * inverse2
        ax += pull * dx
        ay += pull * dy
        az += pull * dz
        jx += pull * (du - rate * dx)
        jy += pull * (dv - rate * dy)
        jz += pull * (dw - rate * dz)
    acc[0], acc[1], acc[2] = ax, ay, az
    jerk[0], jerk[1], jerk[2] = jx, jy, jz


@numba.njit
def _block_step(wanted, largest):
    """The largest power of two that is at most both arguments."""
    step = largest
    while step > wanted and step > MINIMUM_STEP:
        step /= 2
    return step


@numba.njit
def _aarseth_step(eta, a, j, s, c):
    """Makino & Aarseth 1992, eq. 7, from the norms of acceleration and its three derivatives."""
    above, below = a * s + j * j, j * c + s * s
    return np.sqrt(eta * above / below) if below > 0 else np.inf


@numba.njit
def start(mass, pos, vel, eta, largest):
    """Accelerations, jerks and first steps of all stars, all at time 0."""
    n = mass.size
    acc, jerk, step = np.empty((3, n)), np.empty((3, n)), np.empty(n)
    a, j = np.empty(3), np.empty(3)
    for i in range(n):
        force(i, mass, pos, vel, a, j)
        acc[:, i], jerk[:, i] = a, j
        norm = np.sqrt(np.sum(j * j))
        # no higher derivatives yet: start cautiously, as Makino & Aarseth do
        step[i] = _block_step(0.25 * eta * np.sqrt(np.sum(a * a)) / norm if norm > 0 else np.inf,
                              largest)
    return acc, jerk, step


@numba.njit(fastmath=True, error_model='numpy')
def _predict(now, last, pos, vel, acc, jerk, x, v):
    """Taylor series of all stars from their own times to `now`, into x and v."""
    for k in range(3):
        for j in range(last.size):
            dt = now - last[j]
            x[k, j] = pos[k, j] + dt * (vel[k, j] + dt / 2 * (acc[k, j] + dt / 3 * jerk[k, j]))
            v[k, j] = vel[k, j] + dt * (acc[k, j] + dt / 2 * jerk[k, j])


@numba.njit
def advance(mass, pos, vel, acc, jerk, last, step, until, eta, largest, corrections):
    """Integrate, in place, up to `until` (a multiple of `largest`: all stars arrive together).

    `last` is the time of each star's data, `step` its time step. Returns the number of star steps.
    """
    n = mass.size
    x, v = np.empty((3, n)), np.empty((3, n))
    new_acc, new_jerk = np.empty((3, n)), np.empty((3, n))
    a, j = np.empty(3), np.empty(3)
    active = np.empty(n, np.int64)
    count = 0
    while True:
        now = np.inf
        for i in range(n):
            now = min(now, last[i] + step[i])
        if now > until:
            return count
        m = 0
        for i in range(n):
            if last[i] + step[i] == now:
                active[m] = i
                m += 1
        _predict(now, last, pos, vel, acc, jerk, x, v)
        for _ in range(corrections):
            for i in active[:m]:
                force(i, mass, x, v, a, j)
                for k in range(3):
                    new_acc[k, i], new_jerk[k, i] = a[k], j[k]
            for i in active[:m]:
                dt = step[i]
                for k in range(3):
                    v[k, i] = vel[k, i] + dt / 2 * (acc[k, i] + new_acc[k, i]) + dt * dt / 12 * (
                        jerk[k, i] - new_jerk[k, i])
                    x[k, i] = pos[k, i] + dt / 2 * (vel[k, i] + v[k, i]) + dt * dt / 12 * (
                        acc[k, i] - new_acc[k, i])
        for i in active[:m]:
            dt = step[i]
            a2 = j2 = s2 = c2 = 0.0
            for k in range(3):
                change = acc[k, i] - new_acc[k, i]
                snap = (-6 * change - dt * (4 * jerk[k, i] + 2 * new_jerk[k, i])) / dt ** 2
                crackle = (12 * change + 6 * dt * (jerk[k, i] + new_jerk[k, i])) / dt ** 3
                a2 += new_acc[k, i] ** 2
                j2 += new_jerk[k, i] ** 2
                s2 += (snap + dt * crackle) ** 2
                c2 += crackle ** 2
                pos[k, i], vel[k, i] = x[k, i], v[k, i]
                acc[k, i], jerk[k, i] = new_acc[k, i], new_jerk[k, i]
            last[i] = now
            wanted = _aarseth_step(eta, np.sqrt(a2), np.sqrt(j2), np.sqrt(s2), np.sqrt(c2))
            if wanted < dt:
                step[i] = _block_step(wanted, dt)
            elif wanted >= 2 * dt and 2 * dt <= largest and now % (2 * dt) == 0:
                step[i] = 2 * dt  # at most doubled, and only where the longer block begins
        count += m


class Cluster:
    """Stars under integration: masses (n,), positions and velocities (3, n), all at `time`."""

    def __init__(self, mass, pos, vel, *, eta=0.005, largest=MAXIMUM_STEP, corrections=2):
        self.mass, self.pos, self.vel = (np.array(q, float, order='C') for q in (mass, pos, vel))
        self.eta, self.largest, self.corrections = eta, largest, corrections
        self.acc, self.jerk, self.step = start(self.mass, self.pos, self.vel, eta, largest)
        self.last = np.zeros(self.mass.size)
        self.time, self.star_steps = 0.0, 0
        self.first_energy = self.energy()

    def energy(self):
        return kinetic_energy(self.mass, self.vel) + potential_energy(self.mass, self.pos)

    def energy_error(self):
        """(E - E0) / |E0|."""
        return (self.energy() - self.first_energy) / abs(self.first_energy)

    def integrate(self, until):
        """Advance to `until`, and check the energy."""
        if until % self.largest:
            raise ValueError(f'until must be a multiple of {self.largest}, received {until}')
        self.star_steps += advance(
            self.mass, self.pos, self.vel, self.acc, self.jerk, self.last, self.step, until,
            self.eta, self.largest, self.corrections)
        self.time = until
        error = self.energy_error()
        if not abs(error) <= ENERGY_TOLERANCE:  # a NaN must fail too
            raise EnergyError(f'relative energy error must be at most {ENERGY_TOLERANCE:g}, '
                              f'received {error:.2e} at time {until:g} (eta = {self.eta:g})')


# --- Diagnostics --------------------------------------------------------------------------------


def kinetic_energy(mass, vel):
    return 0.5 * np.sum(mass * vel ** 2)


@numba.njit(inline='always')
def _square_apart(q, i, j):
    return (q[0, i] - q[0, j]) ** 2 + (q[1, i] - q[1, j]) ** 2 + (q[2, i] - q[2, j]) ** 2


@numba.njit
def potential_energy(mass, pos):
    total = 0.0
    for i in range(mass.size):
        for j in range(i):
            total -= mass[i] * mass[j] / np.sqrt(_square_apart(pos, i, j))
    return total


@numba.njit
def local_density(mass, pos):
    """Mass density around each star from its 6 nearest neighbours (Casertano & Hut 1985).

    The star itself and the farthest neighbour do not count: 5 stars in the sphere to the sixth.
    """
    n = mass.size
    density = np.empty(n)
    distance2 = np.empty(n)
    for i in range(n):
        for j in range(n):
            distance2[j] = _square_apart(pos, i, j)
        distance2[i] = np.inf
        nearest = np.argsort(distance2)[:NEIGHBOURS]
        inside = np.sum(mass[nearest[:-1]])
        density[i] = inside / (4 / 3 * np.pi * distance2[nearest[-1]] ** 1.5)
    return density


def center_and_core_radius(mass, pos):
    """Density centre (3,) and core radius (Casertano & Hut 1985).

    Both are means weighted with the density itself, not with its square as in NBODY6.
    """
    density = local_density(mass, pos)
    center = pos @ density / density.sum()
    distance = np.linalg.norm(pos - center[:, None], axis=0)
    return center, density @ distance / density.sum()


def lagrange_radius(distance, fraction):
    """Distance that holds `fraction` of stars of equal mass; see the module docstring."""
    middle = (np.arange(distance.size) + 0.5) / distance.size
    return np.interp(fraction, middle, np.sort(distance))


@numba.njit
def largest_binding_energy(mass, pos, vel):
    """Binding energy of the tightest pair, as if it were alone; 0 when no pair is bound."""
    largest = 0.0
    for i in range(mass.size):
        for j in range(i):
            distance = np.sqrt(_square_apart(pos, i, j))
            speed2 = _square_apart(vel, i, j)
            reduced = mass[i] * mass[j] / (mass[i] + mass[j])
            largest = max(largest, mass[i] * mass[j] / distance - 0.5 * reduced * speed2)
    return largest


# --- Model --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TwoKinds:
    """n stars; heavy ones are `ratio` times the light ones, about `fraction` of the mass in all."""

    n: int = 1024
    ratio: float = 5.0
    fraction: float = 0.2

    @property
    def n_heavy(self):
        return round(self.n * self.fraction / (self.ratio * (1 - self.fraction) + self.fraction))

    @property
    def masses(self):
        """(n,), summing to 1; heavy stars first."""
        mass = np.where(np.arange(self.n) < self.n_heavy, self.ratio, 1.0)
        return mass / mass.sum()

    @property
    def heavy_fraction(self):
        """Fraction of the mass in heavy stars, as realised with whole stars."""
        return self.masses[:self.n_heavy].sum()

    def relaxation_time(self, gamma):
        """Initial half-mass relaxation time, Spitzer 1987, eq. 2-63; mean mass 1/n, G = M = 1."""
        return 0.138 * self.n * PLUMMER_HALF_MASS_RADIUS ** 1.5 / np.log(gamma * self.n)


def directions(n, rng):
    z, angle = rng.uniform(-1, 1, n), rng.uniform(0, 2 * np.pi, n)
    s = np.sqrt(1 - z * z)
    return np.array([s * np.cos(angle), s * np.sin(angle), z])


def _plummer_speed_fraction(n, rng):
    """Speeds in units of the escape speed: density q^2 (1 - q^2)^(7/2), by rejection."""
    found = np.empty(0)
    while found.size < n:
        q, height = rng.uniform(0, 1, 4 * n), rng.uniform(0, 0.1, 4 * n)
        found = np.append(found, q[height < q ** 2 * (1 - q ** 2) ** 3.5])
    return found[:n]


def plummer(mass, rng):
    """Positions and velocities (3, n) of a Plummer model, scaled to E = -1/4 and 2K = |W|."""
    n = mass.size
    radius = 1 / np.sqrt(rng.uniform(0, 1, n) ** (-2 / 3) - 1)
    pos = radius * directions(n, rng)
    speed = _plummer_speed_fraction(n, rng) * np.sqrt(2) * (1 + radius ** 2) ** -0.25
    vel = speed * directions(n, rng)
    pos -= (pos @ mass)[:, None]
    vel -= (vel @ mass)[:, None]
    pos *= -2 * potential_energy(mass, pos)
    vel *= np.sqrt(0.25 / kinetic_energy(mass, vel))
    return pos, vel


# --- Runs ---------------------------------------------------------------------------------------


def record(cluster, kinds, seed):
    """One row of the table."""
    center, core = center_and_core_radius(cluster.mass, cluster.pos)
    distance = np.linalg.norm(cluster.pos - center[:, None], axis=0)
    heavy, light = distance[:kinds.n_heavy], distance[kinds.n_heavy:]
    binding = largest_binding_energy(cluster.mass, cluster.pos, cluster.vel)
    return {'seed': seed, 'time': cluster.time,
            'r10_heavy': lagrange_radius(heavy, 0.1), 'r50_heavy': lagrange_radius(heavy, 0.5),
            'r10_light': lagrange_radius(light, 0.1), 'r50_light': lagrange_radius(light, 0.5),
            'core_radius': core, 'binding': binding * 6 * kinds.n,
            'energy_error': cluster.energy_error()}


def _largest_error(rows):
    return max(abs(row['energy_error']) for row in rows)


def run(kinds, seed, *, end, interval, eta, stop_binding):
    """Rows of one seed, up to `end` or to the first pair bound by more than `stop_binding` kT."""
    began = time.perf_counter()
    pos, vel = plummer(kinds.masses, np.random.default_rng(seed))
    cluster = Cluster(kinds.masses, pos, vel, eta=eta)
    rows = [record(cluster, kinds, seed)]
    why = 'end'
    while cluster.time < end:
        cluster.integrate(cluster.time + interval)
        rows.append(record(cluster, kinds, seed))
        if len(rows) % 10 == 0:
            log.info('seed %d t %.2f r50 heavy %.3f light %.3f core %.3f binding %.1f kT dE/E %.1e '
                     '%.2e steps %.0f s', seed, cluster.time, rows[-1]['r50_heavy'],
                     rows[-1]['r50_light'], rows[-1]['core_radius'], rows[-1]['binding'],
                     rows[-1]['energy_error'], cluster.star_steps, time.perf_counter() - began)
        if rows[-1]['binding'] > stop_binding:
            why = 'binary'
            break
    log.info('seed %d stopped (%s) at t %.2f after %.0f s, largest |dE/E| %.1e', seed, why,
             cluster.time, time.perf_counter() - began, _largest_error(rows))
    return rows, why


COLUMNS = {  # name: (precision it is stored with, description)
    'seed': ('d', 'random seed (numpy default_rng) of the initial conditions'),
    'time': ('.10g', 'Henon time units'),
    'r10_heavy': ('.4f', 'radius of 10 % of the heavy stars'),
    'r50_heavy': ('.4f', 'radius of half the heavy stars'),
    'r10_light': ('.4f', 'radius of 10 % of the light stars'),
    'r50_light': ('.4f', 'radius of half the light stars'),
    'core_radius': ('.4f', 'density-weighted core radius, Casertano & Hut 1985'),
    'binding': ('.1f', 'binding energy of the tightest pair in kT = 1/(6 N)'),
    'energy_error': ('.1e', '(E - E0) / |E0|'),
}


def write_table(rows, meta, path):
    """ECSV, through a temporary file beside it."""
    from astropy.table import Column, Table

    table = Table(meta=meta)
    for name, (precision, description) in COLUMNS.items():
        kind = type(rows[0][name])
        values = [kind(format(row[name], precision)) for row in rows]
        table[name] = Column(values, description=description)
    temporary = f'{path}.tmp'
    table.write(temporary, format='ascii.ecsv', overwrite=True)
    os.replace(temporary, path)


def metadata(kinds, args, runs):
    gamma = args.gamma
    return {
        'title': 'Isolated Plummer model of two kinds of stars, direct N-body, G = M = 1, E = -1/4',
        'command': 'python benchmarks/direct_nbody.py ' + ' '.join(args.command),
        'method': '4th-order Hermite, block time steps, P(EC)^2, no softening',
        'n_stars': kinds.n, 'n_heavy': kinds.n_heavy, 'mass_ratio': kinds.ratio,
        'heavy_mass_fraction': float(round(kinds.heavy_fraction, 6)),
        'eta': args.eta, 'maximum_step': MAXIMUM_STEP, 'stop_binding_kT': args.stop_binding,
        'half_mass_radius': float(round(PLUMMER_HALF_MASS_RADIUS, 6)),
        'relaxation_time': float(round(kinds.relaxation_time(gamma), 4)),
        'relaxation_time_definition':
            f'Spitzer 1987 eq. 2-63: 0.138 N rh^1.5 / ln({gamma:g} N), '
            'rh of the analytic Plummer model, mean stellar mass',
        'radii': 'about the density centre (Casertano & Hut 1985, mass density, 6 neighbours); '
                 'fractions of all stars of the kind, escapers included',
        'seeds': [run['seed'] for run in runs],
        'end_times': [run['time'] for run in runs],
        'stopped_by': [run['why'] for run in runs],
        'largest_energy_errors': [run['error'] for run in runs],
    }


def run_all(args):
    kinds = TwoKinds(args.n, args.mass_ratio, args.heavy_fraction)
    t_rh = kinds.relaxation_time(args.gamma)
    end = np.ceil(args.relaxation_times * t_rh / args.interval) * args.interval
    log.info('N %d, %d heavy, mass fraction %.4f, t_rh %.3f, end %.2f, eta %g', kinds.n,
             kinds.n_heavy, kinds.heavy_fraction, t_rh, end, args.eta)
    rows, runs = [], []
    for seed in args.seeds:
        new, why = run(kinds, seed, end=end, interval=args.interval, eta=args.eta,
                       stop_binding=args.stop_binding)
        rows += new
        runs.append({'seed': seed, 'time': float(new[-1]['time']), 'why': why,
                     'error': float(f'{_largest_error(new):.1e}')})
        write_table(rows, metadata(kinds, args, runs), args.output)  # after each seed: none is lost


# --- Self-test ----------------------------------------------------------------------------------


def _kepler(eccentricity, **settings):
    """Two bodies of masses 0.6 and 0.4 with semi-major axis 1, at apocentre; the period is 2 pi."""
    mass = np.array([0.6, 0.4])
    share = np.array([-0.4, 0.6])
    pos, vel = np.zeros((3, 2)), np.zeros((3, 2))
    pos[0] = share * (1 + eccentricity)
    vel[1] = share * np.sqrt((1 - eccentricity) / (1 + eccentricity))
    return Cluster(mass, pos, vel, **settings)


def _scale_time(cluster, factor):
    """The same orbit run through `factor` times as fast, so that a period is a round number."""
    return Cluster(cluster.mass * factor ** 2, cluster.pos, cluster.vel * factor, eta=cluster.eta,
                   largest=cluster.largest, corrections=cluster.corrections)


def _check(name, value, limit):
    passed = bool(abs(value) < limit)
    print(f'{"ok  " if passed else "FAIL"} {name}: {value:.2e} (limit {limit:g})')
    return passed


def test_kepler():
    cluster = _scale_time(_kepler(0.9, eta=0.005), 2 * np.pi)  # period 1
    first = cluster.pos.copy()
    cluster.integrate(10.0)
    closure = np.abs(cluster.pos - first).max()
    return [_check('Kepler orbit, e = 0.9, 10 periods: energy', cluster.energy_error(), 1e-6),
            _check('Kepler orbit, e = 0.9, 10 periods: closure', closure, 1e-4)]


def test_order():
    """With constant steps the error after one period must fall 16-fold when the step is halved."""
    errors = []
    for step in (2.0 ** -6, 2.0 ** -7):
        cluster = _scale_time(_kepler(0.3, eta=1e9, largest=step), 2 * np.pi)
        first = cluster.pos.copy()
        cluster.integrate(1.0)
        errors.append(np.abs(cluster.pos - first).max())
    return [_check('order of convergence - 4', np.log2(errors[0] / errors[1]) - 4, 0.15)]


def test_against_dop853():
    from scipy.integrate import solve_ivp

    rng = np.random.default_rng(4)
    mass = np.array([5, 1, 1, 1, 5, 1.0])
    mass /= mass.sum()
    pos, vel = plummer(mass, rng)

    def slope(_, y):
        x, v = y.reshape(2, 3, -1)
        apart = x[:, None, :] - x[:, :, None]
        cube = np.sum(apart ** 2, axis=0) ** 1.5
        np.fill_diagonal(cube, 1)
        return np.concatenate([v, np.sum(mass * apart / cube, axis=2)]).ravel()

    first = np.concatenate([pos, vel]).ravel()
    answer = solve_ivp(slope, (0, 3), first, method='DOP853', rtol=1e-13, atol=1e-14)
    positions, velocities = answer.y[:, -1].reshape(2, 3, -1)
    cluster = Cluster(mass, pos, vel, eta=1e-4)
    cluster.integrate(3.0)
    name = 'six bodies against DOP853, t = 3: '
    return [_check(name + 'position', np.abs(cluster.pos - positions).max(), 1e-8),
            _check(name + 'velocity', np.abs(cluster.vel - velocities).max(), 1e-8)]


def test_plummer():
    kinds = TwoKinds(n=20000)
    mass = kinds.masses
    pos, vel = plummer(mass, np.random.default_rng(5))
    kinetic, potential = kinetic_energy(mass, vel), potential_energy(mass, pos)
    distance = np.linalg.norm(pos, axis=0)
    order = np.argsort(distance)
    half = np.interp(0.5, np.cumsum(mass[order]), distance[order])
    spread = np.sqrt(np.sum(vel ** 2, axis=0)[distance < 0.1].mean() / 3)
    return [_check('Plummer: E + 1/4', kinetic + potential + 0.25, 1e-12),
            _check('Plummer: 2K/|W| - 1', 2 * kinetic / -potential - 1, 1e-12),
            # 4 sigma of the median of 20000 radii
            _check('Plummer: half-mass radius / analytic - 1',
                   half / PLUMMER_HALF_MASS_RADIUS - 1, 0.03),
            # sigma^2(0) = M / (6 a) with a = 3 pi / 16
            _check('Plummer: central dispersion / analytic - 1',
                   spread / np.sqrt(16 / 18 / np.pi) - 1, 0.12)]


def test_cluster():
    kinds = TwoKinds(n=256)
    cluster = Cluster(kinds.masses, *plummer(kinds.masses, np.random.default_rng(6)))
    cluster.integrate(5.0)
    drift = np.abs(cluster.vel @ cluster.mass).max()
    return [_check('256 stars, t = 5: energy', cluster.energy_error(), 1e-5),
            _check('256 stars, t = 5: momentum', drift, 1e-5)]


def test_energy_alarm():
    """Far too long steps must be refused, not recorded."""
    kinds = TwoKinds(n=64)
    cluster = Cluster(kinds.masses, *plummer(kinds.masses, np.random.default_rng(7)), eta=10.0)
    try:
        cluster.integrate(20.0)
    except EnergyError as error:
        print(f'ok   alarm: {error}')
        return [True]
    print('FAIL alarm: a run with eta = 10 was accepted')
    return [False]


def test_density_center():
    """A cluster moved aside has its centre there and the same core radius."""
    mass = TwoKinds().masses
    pos, _ = plummer(mass, np.random.default_rng(8))
    center, core = center_and_core_radius(mass, pos)
    moved, same = center_and_core_radius(mass, pos + 3.0)
    return [_check('density centre moves with the stars', np.abs(moved - center - 3).max(), 1e-12),
            _check('core radius stays', same - core, 1e-12),
            _check('density centre near the origin', np.abs(center).max(), 0.1)]


def test_diagnostics():
    kepler = _kepler(0.5)
    binding = largest_binding_energy(kepler.mass, kepler.pos, kepler.vel)
    return [_check('binding energy of a pair - m1 m2 / 2a', binding - 0.12, 1e-12),
            _check('half of 0, 1, 2, 3 - 1.5',
                   lagrange_radius(np.array([3, 0, 2, 1.0]), 0.5) - 1.5, 1e-12),
            _check('Plummer half-mass radius / a - 1.305',  # the value every textbook gives
                   PLUMMER_HALF_MASS_RADIUS * 16 / 3 / np.pi - 1.305, 5e-4)]


def self_test():
    tests = (test_kepler, test_order, test_against_dop853, test_plummer, test_cluster,
             test_energy_alarm, test_density_center, test_diagnostics)
    return all([passed for test in tests for passed in test()])


def _seeds(text):
    first, _, last = text.partition('-')
    return list(range(int(first), int(last or first) + 1))


def main(args=None):
    command = sys.argv[1:] if args is None else list(args)
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--self-test', action='store_true', help='check the integrator and leave')
    add('--n', type=int, default=1024, help='stars')
    add('--mass-ratio', type=float, default=5.0, help='heavy : light')
    add('--heavy-fraction', type=float, default=0.2, help='of the total mass')
    add('--seeds', type=_seeds, default=_seeds('1-5'), help='one seed or a range, 1-5')
    add('--relaxation-times', type=float, default=4.0, help='length of a run')
    add('--gamma', type=float, default=0.11, help='ln(gamma N) of the relaxation time')
    add('--interval', type=float, default=0.5, help=f'between rows, a multiple of {MAXIMUM_STEP}')
    add('--eta', type=float, default=0.005, help='accuracy parameter of the time step')
    add('--stop-binding', type=float, default=100.0, help='kT at which a binary ends the run')
    add('--output', default='two_mass_nbody.ecsv', help='the table (ECSV), replaced if there')
    args = parser.parse_args(command)
    args.command = command
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    if args.self_test:
        return 0 if self_test() else 1
    run_all(args)
    return 0


if __name__ == '__main__':
    sys.exit(main())
