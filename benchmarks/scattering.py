#!/usr/bin/env python
# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Three and four stars scattered one by one, beside the recipes of `pidoc.simulation.kernels`.

    python benchmarks/scattering.py stars                      # binaries and single stars (1 min)
    python benchmarks/scattering.py binaries --number 100      # two binaries of equal masses (1 min)

A binary of semi-major axis 1 and a thermal eccentricity meets a star, or a tighter binary, with a pericentre
of up to 2 semi-major axes (weighted with the cross-section). Orbits are integrated with Hermite's scheme of
fourth order (Makino & Aarseth 1992), with steps that all stars share, until all that is left recedes unbound.
What does not end within 10^6 steps, or does not conserve energy to 2 % of the binding energy, is left out.
"""

import argparse
import math
import time

import numpy as np
from numba import njit

from pidoc.simulation.kernels import (
    DESTROYED,
    exchange_section,
    GAIN_OF_FOUR,
    ionisation_section,
    LOSS,
    mean_gain,
    STRONG,
    WIDENING,
)

REACH, ACCURACY, MAX_STEPS = 2.0, 0.03, 1_000_000
#: Masses of the binary's stars and of the third one, and squares of the velocity over that of the softness 1.
MASSES = ((1.0, 1.0, 1.0), (1.0, 1.0, 0.3), (1.0, 0.3, 1.0), (1.0, 1.0, 3.0), (1.0, 1.0, 10.0))
SOFTNESS = (0.02, 0.1, 0.3, 0.5, 0.8, 1.2, 2.0, 4.0, 10.0)
#: Semi-major axes of the tighter of two binaries, and softness.
PAIRS = ((1.0, 0.03), (1.0, 0.3), (0.3, 0.03), (0.1, 0.03))


# ---------------------------------------------------------------- integration


@njit(cache=True)
def derivatives(m, x, v, acc, jerk):
    """Fill accelerations and their derivatives; the shortest time scale of any two stars."""
    shortest = np.inf
    acc[:], jerk[:] = 0.0, 0.0
    for p in range(m.size):
        for q in range(p):
            r2 = w2 = dw = 0.0
            for c in range(3):
                d, w = x[q, c] - x[p, c], v[q, c] - v[p, c]
                r2 += d * d
                w2 += w * w
                dw += d * w
            cube = r2 * math.sqrt(r2)
            for c in range(3):
                a = (x[q, c] - x[p, c]) / cube
                j = (v[q, c] - v[p, c]) / cube - 3.0 * dw / r2 * a
                acc[p, c] += m[q] * a
                acc[q, c] -= m[p] * a
                jerk[p, c] += m[q] * j
                jerk[q, c] -= m[p] * j
            shortest = min(shortest, r2 / w2, cube / (m[p] + m[q]))
    return math.sqrt(shortest)


@njit(cache=True)
def binding(m, x, v, p, q):
    """Binding energy of two stars about each other."""
    mu = m[p] * m[q] / (m[p] + m[q])
    return m[p] * m[q] / math.sqrt(np.sum((x[p] - x[q]) ** 2)) - 0.5 * mu * np.sum((v[p] - v[q]) ** 2)


@njit(cache=True)
def tightest(m, x, v):
    """Companion of each star (-1: none) if the tightest pairs are binaries."""
    mate = np.full(m.size, -1)
    for _ in range(m.size // 2):
        best, first, second = 0.0, -1, -1
        for p in range(m.size):
            for q in range(p):
                if mate[p] < 0 and mate[q] < 0 and binding(m, x, v, p, q) / (m[p] * m[q]) > best:
                    best, first, second = binding(m, x, v, p, q) / (m[p] * m[q]), p, q
        if first >= 0:
            mate[first], mate[second] = second, first
    return mate


@njit(cache=True)
def is_over(m, x, v):
    """Whether all binaries and single stars recede from one another, unbound and far apart."""
    mate = tightest(m, x, v)
    mass, place, speed, size = m.copy(), x.copy(), v.copy(), np.ones(m.size)
    for p in range(m.size):
        q = mate[p]
        if q > p:
            mass[p] = m[p] + m[q]
            place[p], speed[p] = (m[p] * x[p] + m[q] * x[q]) / mass[p], (m[p] * v[p] + m[q] * v[q]) / mass[p]
            size[p] = max(1.0, m[p] * m[q] / binding(m, x, v, p, q))
    bodies = 0
    for p in range(m.size):
        bodies += mate[p] < 0 or mate[p] > p
        for q in range(p):
            if (mate[p] < 0 or mate[p] > p) and (mate[q] < 0 or mate[q] > q):
                d, w = place[p] - place[q], speed[p] - speed[q]
                r = math.sqrt(np.sum(d * d))
                if (np.sum(d * w) <= 0.0 or r < 6.0 * max(size[p], size[q])
                        or 0.5 * np.sum(w * w) <= (mass[p] + mass[q]) / r):
                    return False
    return bodies > 1


@njit(cache=True)
def total_energy(m, x, v):
    energy = 0.0
    for p in range(m.size):
        energy += 0.5 * m[p] * np.sum(v[p] ** 2)
        for q in range(p):
            energy -= m[p] * m[q] / math.sqrt(np.sum((x[p] - x[q]) ** 2))
    return energy


@njit(cache=True)
def integrate(m, x, v):
    """To the end; the change of energy, or infinity if there was no end."""
    before = total_energy(m, x, v)
    acc, jerk, acc_1, jerk_1 = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    x_1, v_1 = np.zeros_like(x), np.zeros_like(x)
    scale = derivatives(m, x, v, acc, jerk)
    for step in range(MAX_STEPS):
        dt = ACCURACY * scale
        for p in range(m.size):
            for c in range(3):
                x_1[p, c] = x[p, c] + dt * (v[p, c] + dt * (acc[p, c] / 2.0 + dt * jerk[p, c] / 6.0))
                v_1[p, c] = v[p, c] + dt * (acc[p, c] + dt * jerk[p, c] / 2.0)
        for _ in range(2):
            derivatives(m, x_1, v_1, acc_1, jerk_1)
            for p in range(m.size):
                for c in range(3):
                    v_1[p, c] = (v[p, c] + dt / 2.0 * (acc[p, c] + acc_1[p, c])
                                 + dt * dt / 12.0 * (jerk[p, c] - jerk_1[p, c]))
                    x_1[p, c] = (x[p, c] + dt / 2.0 * (v[p, c] + v_1[p, c])
                                 + dt * dt / 12.0 * (acc[p, c] - acc_1[p, c]))
        scale = derivatives(m, x_1, v_1, acc, jerk)
        x[:], v[:] = x_1, v_1
        if step % 50 == 49 and is_over(m, x, v):
            return total_energy(m, x, v) - before
    return np.inf


# ---------------------------------------------------------------- one experiment


def turned(rng):
    """Two perpendicular unit vectors, isotropic."""
    first, second = rng.normal(size=(2, 3))
    first /= np.linalg.norm(first)
    second -= first * (first @ second)
    return first, second / np.linalg.norm(second)


def orbit(mass, size, rng):
    """Relative place and velocity in a binary of random phase, orientation and thermal eccentricity."""
    e, mean = min(math.sqrt(rng.uniform()), 0.995), rng.uniform(0.0, 2.0 * math.pi)
    anomaly = mean
    for _ in range(100):
        anomaly -= (anomaly - e * math.sin(anomaly) - mean) / (1.0 - e * math.cos(anomaly))
    cosine, sine, minor = math.cos(anomaly), math.sin(anomaly), math.sqrt(1.0 - e * e)
    along, across = turned(rng)
    rate = math.sqrt(mass / size) / (1.0 - e * cosine)
    return (size * ((cosine - e) * along + minor * sine * across),
            rate * (minor * cosine * across - sine * along))


def scatter(m, sizes, w, rng):
    """Send the first binary and the rest (a star or a binary) at each other; masses, places, velocities."""
    m = np.asarray(m)
    x, v = np.zeros((m.size, 3)), np.zeros((m.size, 3))
    for k, size in enumerate(sizes):
        p, q = 2 * k, 2 * k + 1
        d, u = orbit(m[p] + m[q], size, rng)
        x[p], x[q] = -m[q] / (m[p] + m[q]) * d, m[p] / (m[p] + m[q]) * d
        v[p], v[q] = -m[q] / (m[p] + m[q]) * u, m[p] / (m[p] + m[q]) * u
    mass = m.sum()
    b = REACH * math.sqrt((1.0 + 2.0 * mass / (REACH * w * w)) * rng.uniform())
    far = max(15.0 * REACH, 1.2 * b if w * w * b > mass else 0.0)
    across = b * w / far
    inwards = math.sqrt(w * w + 2.0 * mass / far - across ** 2)
    share = np.where(np.arange(m.size) < 2, -m[2:].sum(), m[:2].sum()) / mass
    x[:, 0] += share * far
    v[:, 0] -= share * inwards
    v[:, 1] += share * across
    return m, x, v, integrate(m, x, v)


def experiments(m, sizes, w, number):
    """Outcomes of many: companions and binding energies of the stars, over the first sum of these."""
    rng = np.random.default_rng(1)
    first = sum(m[2 * k] * m[2 * k + 1] / (2.0 * size) for k, size in enumerate(sizes))
    found = []
    for _ in range(number):
        masses, x, v, error = scatter(m, sizes, w, rng)
        if abs(error) < 0.02 * first:
            mate = tightest(masses, x, v)
            energy = [binding(masses, x, v, p, q) / first for p, q in enumerate(mate) if q > p]
            found.append((mate, sum(energy)))
    return found


def softness_velocity(m, soft):
    return math.sqrt(soft * 0.75 * (m[0] + m[1]))


def stars(number):
    """Binaries and single stars: mean gain of those that survive, exchanges, and destruction."""
    print('masses, softness, cases: gain of E (error), recipe; first and second star exchanged, recipe; '
          'destroyed, recipe')
    for m in MASSES:
        for soft in SOFTNESS if m == MASSES[0] else SOFTNESS[1::2]:
            w = softness_velocity(m, soft)
            found = experiments(m, (1.0,), w, number)
            gain = np.array([energy - 1.0 for mate, energy in found if mate.max() >= 0])
            shares = [np.mean([mate[2] == stays for mate, _ in found]) for stays in (1, 0)]
            lost = np.mean([mate.max() < 0 for mate, _ in found])
            first, second = recipe_exchange(m, soft)
            print(f'{m}, {soft:5.2f}, {len(found)}: {gain.mean():+.3f} '
                  f'({gain.std() / gain.size ** 0.5:.3f}), {recipe_gain(m, soft):+.3f}; '
                  f'{shares[0]:.2f} {shares[1]:.2f}, {first:.2f} {second:.2f}; '
                  f'{lost:.3f}, {recipe_loss(m, soft):.3f}', flush=True)


def energies(m, soft):
    """Kinetic over binding energy, and the cross-section within two semi-major axes."""
    w2 = softness_velocity(m, soft) ** 2
    ratio = 0.5 * (m[0] + m[1]) * m[2] / sum(m) * w2 / (0.5 * m[0] * m[1])
    return ratio, 4.0 * math.pi * (1.0 + sum(m) / w2)


def recipe_gain(m, soft):
    ratio, _ = energies(m, soft)
    q = 2.0 * m[2] / (m[0] + m[1])
    if soft >= 1.0:
        return 1.0 / (1.0 + WIDENING * min(1.0, q) / math.sqrt(soft)) - 1.0
    gain = max(1.0 - LOSS * soft, 1.0 - ratio) * (1.0 + mean_gain(q)) - 1.0
    return STRONG * (1.0 - soft * soft) * gain


def recipe_exchange(m, soft):
    _, within = energies(m, soft)
    w2 = softness_velocity(m, soft) ** 2
    sections = np.array([exchange_section(*m, 1.0, w2), exchange_section(m[1], m[0], m[2], 1.0, w2)])
    strong = STRONG * (1.0 + soft) * within
    return sections / max(strong, sections.sum()) * STRONG * max(0.0, 1.0 - soft * soft)


def recipe_loss(m, soft):
    ratio, within = energies(m, soft)
    section = ionisation_section(m[0] + m[1], m[2], 1.0, softness_velocity(m, soft) ** 2, ratio)
    return min(1.0, section / within) if soft >= 1.0 else 0.0


def binaries(number):
    """Two binaries of equal masses: how often the wider one is destroyed, mean gain of both energies."""
    print('smaller semi-major axis, softness, cases: destroyed, recipe; gain of both energies (error), '
          'recipe')
    m = (1.0,) * 4
    for size, soft in PAIRS:
        found = experiments(m, (1.0, size), softness_velocity(m, soft), number)
        alone = np.mean([np.sum(mate < 0) >= 2 for mate, _ in found])
        gain = np.array([energy - 1.0 for _, energy in found])
        share = DESTROYED * math.sqrt(2.0 * size / (1.0 + size)) * (1.0 - soft ** 2)
        hard, wide = 1.0 - LOSS * soft, 1.0 / (1.0 + 1.0 / size)
        expected = (share * (hard * (1.0 + GAIN_OF_FOUR) - 1.0)
                    + (1.0 - share) * wide * STRONG * (hard * (1.0 + mean_gain(2.0)) - 1.0))
        print(f'{size:.2f}, {soft:.2f}, {len(found)}: {alone:.2f}, {share:.2f}; {gain.mean():+.3f} '
              f'({gain.std() / gain.size ** 0.5:.3f}), {expected:+.3f}', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=('stars', 'binaries'))
    parser.add_argument('--number', type=int, default=300, help='experiments of each kind (default: 300)')
    args = parser.parse_args()
    start = time.process_time()
    {'stars': stars, 'binaries': binaries}[args.what](args.number)
    print(f'{time.process_time() - start:.0f} s of processor time')


if __name__ == '__main__':
    main()
