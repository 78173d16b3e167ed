# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Numerical kernels of the Monte Carlo code: arrays in, arrays out.

Henon units throughout (G = 1; initial mass 1, initial energy -1/4).  A cluster is a set of
spherical shells, one for each star (or binary), sorted by radius.  A step (`advance`) is

1. `zone_boundary`    inner stars that relax too fast for this step first take two half steps
                      of their own (recursively), inside their own radius;
2. `relax`            neighbours have encounters: one represents all encounters of the step
                      (Henon 1971); binaries have encounters with single stars and binaries, in
                      which they harden, widen, exchange stars or are destroyed;
3. `form_binaries`    three neighbours may form a binary, and the two innermost bodies become one if
                      they are bound to each other (`catch_innermost`);
4. `resample`         every star gets a new position on its orbit, with a probability proportional
                      to the time it spends there, in the potential of the old positions; then the
                      potential is computed again and energies and velocities are updated.

References
----------
Henon 1971, Ap&SS 13, 284 and 14, 151; Stodolkiewicz 1982, AcA 32, 63; Joshi, Rasio & Portegies
Zwart 2000, ApJ 540, 969; Freitag & Benz 2001, A&A 375, 711; Morscher+ 2013, ApJ 763, L15;
Rodriguez+ 2022, ApJS 258, 22.  For encounters with binaries: Heggie 1975, MNRAS 173, 729; Hut 1983, ApJ
268, 342; Mikkola 1983, MNRAS 203, 1107; Stodolkiewicz 1986, AcA 36, 19; Heggie, Hut & McMillan 1996, ApJ
467, 359.
"""

import math
from collections import namedtuple

import numpy as np
from numba import njit, prange

__all__ = ['Shells', 'Stars', 'Work', 'advance', 'catch_innermost', 'draw_radius', 'exchange_section',
           'expand', 'fill_field', 'form_binaries', 'ionisation_section', 'mean_gain', 'new_work', 'next_key',
           'potential', 'relax', 'resample', 'shell_energy', 'specific_energy', 'stream', 'total_energy',
           'uniform', 'weigh', 'zone_boundary']

#: Dynamical state, sorted by radius; `ident` points into `Stars`.
Shells = namedtuple('Shells', 'r vr vt m ident phi cum')
#: permanent properties of stars, by identity: mass, companion (-1: none), binding energy of the pair
#: (negative: destroyed in this step, and the energy with which its stars will separate) and its eccentricity
Stars = namedtuple('Stars', 'mass partner binding eccentricity')
#: scratch arrays of `resample`; the shells in the layout for searches (`fill_field`: a row of ``nodes`` is a
#: shell, ``coarse`` has radius and potential of every 32nd); the random-number counter (seed, calls), and the
#: tallies
Work = namedtuple('Work', 'energy ang_mom r_new phi_at_new phi_at_old buffer m_old radial after '
                          'ident_old place order before nodes coarse guide size counter tally')
#: columns of ``Work.nodes``: radius of a shell, its inverse, potential, mass inside
R, INVERSE, PHI, CUM = range(4)

#: entries of ``Work.tally``
HEAT, FORMED, HARDENED, DEBT, RESAMPLED, BELOW_BOUND, TRIALS = range(7)
N_TALLY = 7

#: Stars in the smallest zone and in the smallest block of `zone_boundary`.
MIN_ZONE = 32
#: shortest step, in units of radius / velocity: orbits are sampled, not integrated
MIN_CROSSINGS = 1.0
#: largest fraction of its kinetic energy that a star gives to another that would have none
MAX_PAYMENT = 0.2
#: Neighbours on either side that define the local density and velocity dispersion.
HALF_WINDOW = 12
#: Hardness (binding energy in units of the local m sigma^2) above which a binary is formed.
MIN_HARDNESS = 1.0
#: binary and single star within two semi-major axes (`_strong_encounter`): fraction of strong encounters of
#: hard binaries; their mean energy gain; loss as a fraction of the hardness; from our own scattering
#: experiments (``benchmarks/scattering.py``), like the widening of soft ones
STRONG, GAIN, LOSS, WIDENING = 0.72, 0.4, 0.65, 0.2
#: two binaries: fraction of encounters of similar ones that destroy the wider one, and the energy gain of the
#: other (Mikkola 1983; Stodolkiewicz 1986)
DESTROYED, GAIN_OF_FOUR = 0.88, 0.516
#: hardness above which the two innermost bodies, bound only to each other, are a binary
CAUGHT = 10.0
#: nested zones, each with half the step of the one around it
MAX_DEPTH = 40
#: every 32nd shell is stored separately: searches through these stay in the cache of the processor
COARSE_BITS = 5
#: largest deflection parameter of `_compensation`, beyond which nearly every pair is capped, and its steps
MAX_PARAMETER, TABLE_STEPS = 3.5, 1024
#: number of shells per part of the guide: 4
GUIDE_BITS = 2
#: stars whose searches are interleaved, and the variables of each
BLOCK = 64
LANE = np.dtype([(name, np.float64) for name in (
    'energy', 'own', 'j2', 'r_at', 'r_p', 'span', 's_max', 'bound', 'felt', 'jacobian', 'radius', 'phi',
    'sign', 'excess')] + [(name, np.int64) for name in ('at', 'low', 'high', 'k', 'k_p', 'k_a', 'trials',
                                                            'cubic')] + [('state', np.uint64)])
#: largest squared deflection of a pair of a heavy and a light star, relative to the mean over all pairs,
#: before the heavy one gets another partner; largest number of partners
SPECTRUM, MAX_PARTNERS = 2.0, 16
#: trials of a star, after which the last one is accepted
MAX_TRIALS = 500
#: stars between two old shells, up to which they are sorted by insertion
MAX_CROWD = 64
#: larger zones are resampled by all threads, in parts of at least so many stars
MIN_PARALLEL, PART = 4000, 512
#: phases of `resample`
DRAW, SETTLE, SHIFT, KINETIC, VELOCITY = range(5)
N_PHASES = 5

# ---------------------------------------------------------------- random numbers

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S11, _S27, _S30, _S31 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31)
_ONE = np.uint64(1)


@njit(cache=True, inline='always')
def _mix(z):
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@njit(cache=True)
def next_key(counter):
    """A new key for one kernel call: ``counter`` is (seed, number of previous calls)."""
    counter[1] += _ONE
    return _mix(_mix(counter[0]) + counter[1] * _GOLDEN)


@njit(cache=True, inline='always')
def stream(key, i):
    """State of the random stream of star ``i`` in the call with ``key``.

    Counter-based (SplitMix64: Steele, Lea & Flood 2014), so that the random numbers of a star depend neither
    on the number of threads nor on interruptions of the run.
    """
    return _mix(key ^ _mix(np.uint64(i) * _GOLDEN + _MIX_1))


@njit(cache=True, inline='always')
def uniform(state):
    """New state and a uniform deviate in the open interval (0, 1)."""
    state = state + _GOLDEN
    return state, (np.float64(_mix(state) >> _S11) + 0.5) * 1.1102230246251565e-16


@njit(cache=True, inline='always')
def _direction(state):
    """New state and a unit vector, isotropic."""
    state, u = uniform(state)
    state, v = uniform(state)
    z = 2.0 * u - 1.0
    s = math.sqrt(1.0 - z * z)
    a = 2.0 * math.pi * v
    return state, s * math.cos(a), s * math.sin(a), z


# ---------------------------------------------------------------- potential of the shells


@njit(cache=True)
def potential(sh, n, total):
    """Fill ``cum`` and ``phi`` for the innermost ``n`` shells.

    Between shells k and k + 1 the potential is ``phi[k] + cum[k] (1 / r[k] - 1 / r)``, with
    ``cum[k]`` the mass of shells 0 .. k (Henon 1971).  If ``n`` is less than ``total``, shell n
    and its potential are unchanged: the mass inside it must be constant.
    """
    mass = 0.0
    for k in range(n):
        mass += sh.m[k]
        sh.cum[k] = mass
    if n == total:
        sh.phi[n - 1] = -mass / sh.r[n - 1]
    else:
        sh.phi[n - 1] = sh.phi[n] - mass * (1.0 / sh.r[n - 1] - 1.0 / sh.r[n])
    for k in range(n - 2, -1, -1):
        sh.phi[k] = sh.phi[k + 1] - sh.cum[k] * (1.0 / sh.r[k] - 1.0 / sh.r[k + 1])


@njit(cache=True)
def shell_energy(sh, n):
    """Kinetic and potential energy of the innermost ``n`` shells.

    Without self-interaction, the potential energy is half the sum of m (phi + m / r).
    """
    kinetic = 0.0
    gravity = 0.0
    for k in range(n):
        kinetic += 0.5 * sh.m[k] * (sh.vr[k] * sh.vr[k] + sh.vt[k] * sh.vt[k])
        gravity += 0.5 * sh.m[k] * (sh.phi[k] + sh.m[k] / sh.r[k])
    return kinetic, gravity


@njit(cache=True)
def specific_energy(sh, energy):
    """Energy of each body in the potential of all others."""
    for k in range(sh.r.size):
        energy[k] = 0.5 * (sh.vr[k] * sh.vr[k] + sh.vt[k] * sh.vt[k]) + sh.phi[k] + sh.m[k] / sh.r[k]


@njit(cache=True)
def weigh(sh, stars):
    """Masses of the shells from those of the stars, including companions."""
    for k in range(sh.r.size):
        ident = sh.ident[k]
        other = stars.partner[ident]
        sh.m[k] = stars.mass[ident]
        if other >= 0:
            sh.m[k] += stars.mass[other]


@njit(cache=True)
def expand(sh, ratio):
    """Radii increase and velocities decrease by the ``ratio`` of the masses: r M and r v are constant."""
    for k in range(sh.r.size):
        sh.r[k] /= ratio
        sh.vr[k] *= ratio
        sh.vt[k] *= ratio
        sh.phi[k] *= ratio


@njit(cache=True)
def total_energy(sh):
    """Total energy of the cluster, without the binding energy of binaries."""
    kinetic, gravity = shell_energy(sh, sh.r.size)
    return kinetic + gravity


# ---------------------------------------------------------------- relaxation


@njit(cache=True, inline='always')
def _volume(r):
    return 4.0 / 3.0 * math.pi * r * r * r


@njit(cache=True, inline='always')
def _local_density(r, k, n):
    """Number density around shell k from the shells 12 places inside and outside of it.

    ``(count - 1) / volume`` is unbiased for randomly placed stars.
    """
    lo = k - HALF_WINDOW
    hi = k + HALF_WINDOW
    if hi > n - 1:
        hi = n - 1
    if lo < 0:
        return hi / _volume(r[hi])
    return (hi - lo - 1.0) / (_volume(r[hi]) - _volume(r[lo]))


@njit(cache=True)
def zone_boundary(sh, n, dt, coulomb, theta_max):
    """Number of innermost shells, of ``n``, that need a step shorter than ``dt``.

    The largest deflection of a block of neighbours in a step is ``theta_max``, so it needs

        dt <= theta_max^2 <w^2>^(3/2) / (8 pi nu coulomb <(m1 + m2)^2>)

    the local relaxation time of Joshi+ (2000), with nu the number density and w the relative speed.
    Blocks hold at least 32 stars and grow outwards.

    Returns
    -------
    inner : int
        Outer edge of the outermost block that needs a shorter step (0: none).
    step : float
        Shortest step required by any block.
    """
    inner = 0
    start = 0
    shortest = np.inf
    while start < n:
        end = start + max(MIN_ZONE, start // 16)
        if end + MIN_ZONE > n:
            end = n
        m1 = 0.0
        m2 = 0.0
        v2 = 0.0
        for k in range(start, end):
            m1 += sh.m[k]
            m2 += sh.m[k] * sh.m[k]
            v2 += sh.vr[k] * sh.vr[k] + sh.vt[k] * sh.vt[k]
        count = float(end - start)
        inside = _volume(sh.r[start]) if start > 0 else 0.0
        density = (count - 1.0) / (_volume(sh.r[end - 1]) - inside)
        w2 = 2.0 * v2 / count
        pair2 = 2.0 * m2 / count + 2.0 * (m1 / count) ** 2
        step = theta_max ** 2 * w2 ** 1.5 / (8.0 * math.pi * density * coulomb * pair2)
        step = max(step, MIN_CROSSINGS * sh.r[end - 1] / math.sqrt(v2 / count))
        if step < shortest:
            shortest = step
        if step < dt:
            inner = end
        start = end
    return inner, shortest


@njit(cache=True, inline='always')
def _scatter(wx, wy, wz, cos_b, sin_b, psi):
    """Rotate the relative velocity by the angle b about a random azimuth psi (Henon 1971, eq. 15)."""
    wp = math.sqrt(wx * wx + wy * wy)
    w = math.sqrt(wp * wp + wz * wz)
    c = sin_b * math.cos(psi)
    s = sin_b * math.sin(psi)
    if wp < 1e-12 * w:
        return w * c, w * s, wz * cos_b
    ax, ay = wy * w / wp, -wx * w / wp
    bx, by, bz = -wx * wz / wp, -wy * wz / wp, wp
    return wx * cos_b + ax * c + bx * s, wy * cos_b + ay * c + by * s, wz * cos_b + bz * s


@njit(cache=True, inline='always')
def _semi_major_axis(stars, ident):
    other = stars.partner[ident]
    return stars.mass[ident] * stars.mass[other] / (2.0 * stars.binding[ident])


@njit(cache=True, inline='always')
def _relative_energy_gain(u):
    """Relative gain of binding energy in a close encounter, p(x) = 3.5 (1 + x)^-4.5.

    The power law is that of Heggie (1975, MNRAS 173, 729) for hard binaries; its mean is the 0.4 of
    Spitzer (1987, Dynamical Evolution of Globular Clusters, section 6.1).
    """
    return u ** (-1.0 / 3.5) - 1.0


@njit(cache=True, inline='always')
def _widest_binary(stars, i, j):
    """The (wider) binary of two bodies: its identity, or -1 if both are single."""
    if stars.partner[i] < 0 and stars.partner[j] < 0:
        return -1
    if stars.partner[j] < 0:
        return i
    if stars.partner[i] < 0:
        return j
    return i if _semi_major_axis(stars, i) >= _semi_major_axis(stars, j) else j


@njit(cache=True, inline='always')
def _store_velocity(sh, k, vx, vy, vz):
    sh.vt[k] = math.sqrt(vx * vx + vy * vy)
    sh.vr[k] = vz


@njit(cache=True, inline='always')
def _share_momentum(sh, i, j, phi, dx, dy, dz):
    """Change the relative velocity v_j - v_i by (dx, dy, dz); momentum is conserved.

    The angle of the tangential velocity of j relative to that of i is phi.
    """
    mass = sh.m[i] + sh.m[j]
    fi, fj = sh.m[j] / mass, sh.m[i] / mass
    jx, jy = sh.vt[j] * math.cos(phi), sh.vt[j] * math.sin(phi)
    _store_velocity(sh, i, sh.vt[i] - fi * dx, -fi * dy, sh.vr[i] - fi * dz)
    _store_velocity(sh, j, jx + fj * dx, jy + fj * dy, sh.vr[j] + fj * dz)


def _compensation_table():
    """``_compensation`` at equal steps of the parameter."""
    y = np.linspace(0.0, 6.0, 60_001)
    part = 3.0 * y * y * np.exp(-0.5 * y * y)
    capped = np.concatenate((np.zeros(1), np.cumsum(part[1:] + part[:-1]) * 0.5 * y[1]))
    parameter = np.arange(1, TABLE_STEPS + 1) * (MAX_PARAMETER / TABLE_STEPS)
    return np.concatenate((np.ones(1), np.interp(parameter, capped, y) ** 3 / parameter))


_COMPENSATION = _compensation_table()


@njit(cache=True, inline='always')
def _compensation(parameter):
    """Factor for sin^2(b / 2) of all pairs that compensates for the capped ones.

    Relative speeds w of dispersion s (one component) are Maxwellian, y = w / s; uncapped, sin^2(b / 2) is A /
    y^3 with the parameter A. The squared change of velocity is proportional to w^2 sin^2(b / 2): the factor c
    solves <y^2 min(1, c A / y^3)> = <A / y>. With t^3 = c A the left side is

        sqrt(2 / pi) 3 int_0^t y^2 exp(-y^2 / 2) dy,

    the right side sqrt(2 / pi) A.
    """
    place = parameter * (TABLE_STEPS / MAX_PARAMETER)
    if place >= TABLE_STEPS:
        return _COMPENSATION[TABLE_STEPS]
    k = int(place)
    return _COMPENSATION[k] + (place - k) * (_COMPENSATION[k + 1] - _COMPENSATION[k])


@njit(cache=True)
def _local_dispersions(sh, first, n, out):
    """Dispersion (one component) of the relative velocities of neighbours, for the shells first .. n - 1."""
    lo = max(0, first - HALF_WINDOW)
    hi = lo
    v2 = 0.0
    for k in range(first, n):
        while hi < min(n, k + HALF_WINDOW + 1):
            v2 += sh.vr[hi] * sh.vr[hi] + sh.vt[hi] * sh.vt[hi]
            hi += 1
        while lo < k - HALF_WINDOW:
            v2 -= sh.vr[lo] * sh.vr[lo] + sh.vt[lo] * sh.vt[lo]
            lo += 1
        out[k] = math.sqrt(2.0 / 3.0 * max(v2, 0.0) / (hi - lo))


@njit(cache=True, inline='always')
def _is_pair(stars, who):
    """Whether a body is a binary, and not two stars that will separate at the end of the step."""
    return stars.partner[who] >= 0 and stars.binding[who] > 0.0


@njit(cache=True, inline='always')
def ionisation_section(m_pair, m_third, a, w2, ratio):
    """Cross-section for the destruction of a soft binary; ``ratio`` is K / E of ``_strong_encounter``.

    Fast stars: 40 pi / 3 m3^2 a / (m12 w^2) (Hut 1983), for equal masses 40 / 9 pi a^2 (v_c / w)^2.  It is
    zero for K < E: the factor is 1 - E / K. That, another one for stars slower than the orbit, and the limit
    of 2 pi a^2 (a heavy star farther away attracts both equally) fit our own scattering experiments
    (``benchmarks/scattering.py``).
    """
    if ratio <= 1.0:
        return 0.0
    orbit = m_pair / (a * w2)
    section = 40.0 * math.pi / 3.0 * m_third * m_third * a / (m_pair * w2)
    section *= (1.0 - 1.0 / ratio) / (1.0 + 1.5 * orbit ** 4)
    return section / (1.0 + section / (2.0 * math.pi * a * a))


@njit(cache=True)
def exchange_section(m_out, m_stays, m_in, a, w2):
    """Cross-section for the replacement of ``m_out`` in a hard binary by another star.

    Heggie, Hut & McMillan (1996): a fit to scattering experiments of all masses, in the limit w << v_c.
    """
    m_pair, mass = m_out + m_stays, m_out + m_stays + m_in
    x, y = m_out / m_pair, m_in / mass
    fit = (3.70 + 7.49 * x - 1.89 * y - 15.49 * x * x - 2.93 * x * y - 2.92 * y * y + 3.07 * x ** 3
           + 13.15 * x * x * y - 5.23 * x * y * y + 3.12 * y ** 3)
    shape = (((m_stays + m_in) / mass) ** (1.0 / 6.0) * (m_in / (m_out + m_in)) ** 3.5
             * (mass / m_pair) ** (1.0 / 3.0) * (m_out + m_in) / mass)
    return 0.5 * math.pi * mass * a / w2 * shape * math.exp(fit)


@njit(cache=True)
def _fly_apart(sh, i, j, phi, m_i, m_j, energy, state):
    """Shells i and j separate in a random direction with a relative energy; masses may have been exchanged.

    Momentum is conserved; the angle of the tangential velocity of j relative to that of i is phi.
    """
    mass = sh.m[i] + sh.m[j]
    f, g = sh.m[i] / mass, sh.m[j] / mass
    x = f * sh.vt[i] + g * sh.vt[j] * math.cos(phi)
    y = g * sh.vt[j] * math.sin(phi)
    z = f * sh.vr[i] + g * sh.vr[j]
    w = math.sqrt(2.0 * energy * mass / (m_i * m_j))
    state, nx, ny, nz = _direction(state)
    f, g = m_j / mass * w, m_i / mass * w
    _store_velocity(sh, i, x - f * nx, y - f * ny, z - f * nz)
    _store_velocity(sh, j, x + g * nx, y + g * ny, z + g * nz)
    sh.m[i], sh.m[j] = m_i, m_j
    return state


@njit(cache=True, inline='always')
def _cost_of_moving(sh, i, j, mass):
    """Increase of the cluster's potential energy if a mass moves from shell j to shell i."""
    return mass * (sh.phi[i] + sh.m[i] / sh.r[i] - sh.phi[j] - sh.m[j] / sh.r[j]
                   + mass / max(sh.r[i], sh.r[j]))


@njit(cache=True, inline='always')
def _set_pair(stars, who, partner, binding, state):
    """Make two stars a binary with a thermal eccentricity."""
    state, u = uniform(state)
    stars.partner[who], stars.binding[who] = partner, binding
    stars.eccentricity[who] = math.sqrt(u)
    return state


@njit(cache=True, inline='always')
def mean_gain(q):
    """Mean gain of binding energy in a strong encounter with a body of q times the mean mass of the pair."""
    return GAIN * q ** (1.0 / 3.0 if q < 1.0 else 2.0 / 3.0)


@njit(cache=True, inline='always')
def _tail(state, gain):
    """A factor above 1 with a power law of the mean 1 + gain; p(x) = 3.5 x^-4.5 for 0.4 (Heggie 1975)."""
    state, u = uniform(state)
    return state, u ** (-gain / (1.0 + gain))


@njit(cache=True)
def _strong_encounter(sh, stars, i, j, phi, w2, density, dt, state):
    """An encounter of a binary with another body within two semi-major axes, if one occurs in dt.

    The (wider) binary has the mass m12, the semi-major axis a and the binding energy E, the other body the
    mass m3; w is their relative velocity, K its kinetic energy. The softness is r = w^2 / v_s^2 with v_s^2 =
    0.75 m12 / a, for equal masses the critical velocity of Hut & Bahcall (1983), r = K / E.

    *Hard* (r < 1): of the encounters within 2 a the fraction 0.72 (1 - r^2) is strong. The new binding energy
    has Heggie's (1975) power law above (1 - 0.65 r) E, or above its lower limit E - K. For equal masses it is
    1.4 times that on average (Spitzer 1987), for others the gain of 0.4 is multiplied by q^(1/3), q = 2 m3 /
    m12, or for q > 1 by q^(2/3). So hard binaries harden, those of r > 0.44 widen (Heggie's law). A single
    star may replace a component: `exchange_section`.

    *Soft*: the binary is destroyed with the cross-section of `ionisation_section`. The stars separate with
    half of the remaining energy, at most half of the former binding energy. In other encounters it widens by
    20 % / sqrt(r), times q if that is less than 1. Encounters at larger distances have no effect. A binary
    that is wider than the mean distance of the surrounding bodies, which are then between its stars, is
    always destroyed.

    *Two binaries*: 88 % of close encounters of similar ones destroy the wider one; the other absorbs both
    energies and, on average, 0.516 of their sum in addition, which the bodies gain (Mikkola 1983;
    Stodolkiewicz 1986), half of it the two released stars. That happens in a fraction sqrt(2 a2 / (a + a2))
    of encounters with one of a smaller semi-major axis a2. In the others this one acts like a single star.

    Numbers without a reference, including 0.72, 0.65 and 20 %, are from our own scattering experiments
    (``benchmarks/scattering.py``).

    Returns
    -------
    state : uint64
        Random stream.
    gain : float
        Energy gain of the bodies; minus infinity if nothing happens.
    """
    if not _is_pair(stars, sh.ident[i]) or (_is_pair(stars, sh.ident[j]) and _semi_major_axis(
            stars, sh.ident[j]) > _semi_major_axis(stars, sh.ident[i])):
        b, s = j, i
    else:
        b, s = i, j
    who, other = sh.ident[b], sh.ident[s]
    m_b, m_s, bound = sh.m[b], sh.m[s], stars.binding[who]
    mass = m_b + m_s
    a = _semi_major_axis(stars, who)
    energy = 0.5 * m_b * m_s / mass * w2
    soft = w2 * a / (0.75 * m_b)
    within = 4.0 * math.pi * a * a * (1.0 + mass / (a * w2))
    four = False
    if _is_pair(stars, other):
        small = _semi_major_axis(stars, other)
        state, u = uniform(state)
        four = u < DESTROYED * math.sqrt(2.0 * small / (a + small))
    fatal = 0.0
    section = within
    if soft < 1.0:
        section *= (1.0 if four else STRONG) * (1.0 - soft * soft)
    else:
        fatal = ionisation_section(m_b, m_s, a, w2, energy / bound)
        section = max(within, fatal)
    state, u = uniform(state)
    if u >= 1.0 - math.exp(-density * math.sqrt(w2) * section * dt):
        return state, -np.inf
    q = m_s / (0.5 * m_b)
    if soft >= 1.0:
        among_others = a * density ** (1.0 / 3.0) > 1.0 and energy > bound
        return _soft_encounter(sh, stars, i, j, who, phi, energy, soft, q,
                               1.0 if among_others else fatal / section, state)
    if four:
        all_bound = bound + stars.binding[other]
        left = all_bound - energy
        state, factor = _tail(state, GAIN_OF_FOUR)
        binding = max((1.0 - LOSS * soft) * all_bound, left) * factor
        state = _set_pair(stars, other, stars.partner[other], binding, state)
        inside = 0.5 * (binding - left)
        return _destroy(sh, stars, i, j, who, phi, energy, binding - left, inside, state)
    left = bound - energy
    state, factor = _tail(state, mean_gain(q))
    binding = max((1.0 - LOSS * soft) * bound, left) * factor
    if stars.partner[other] < 0:
        strong = STRONG * (1.0 + soft) * within
        state, done = _exchange(sh, stars, b, s, i, j, phi, w2, strong, binding, binding - left, state)
        if done:
            return state, binding - bound
    state = _set_pair(stars, who, stars.partner[who], binding, state)
    return _fly_apart(sh, i, j, phi, sh.m[i], sh.m[j], binding - left, state), binding - bound


@njit(cache=True)
def _soft_encounter(sh, stars, i, j, who, phi, energy, soft, q, fatal, state):
    """A soft binary is destroyed, with the probability ``fatal``, or widens."""
    bound = stars.binding[who]
    left = bound - energy
    state, u = uniform(state)
    if u < fatal:
        return _destroy(sh, stars, i, j, who, phi, energy, -left, 0.5 * min(-left, bound), state)
    state, u = uniform(state)
    binding = max(bound * u ** (WIDENING * min(1.0, q) / math.sqrt(soft)), left)
    state = _set_pair(stars, who, stars.partner[who], binding, state)
    return _fly_apart(sh, i, j, phi, sh.m[i], sh.m[j], binding - left, state), binding - bound


@njit(cache=True)
def _destroy(sh, stars, i, j, who, phi, before, after, inside, state):
    """Mark a binary as destroyed; a fraction ``inside`` of the energy ``after`` is that of its stars."""
    stars.binding[who] = -inside
    return _fly_apart(sh, i, j, phi, sh.m[i], sh.m[j], after - inside, state), after - inside - before


@njit(cache=True)
def _exchange(sh, stars, b, s, i, j, phi, w2, within, binding, energy, state):
    """Possibly replace a component of the binary in shell b by the star of shell s; returns whether."""
    one, third = sh.ident[b], sh.ident[s]
    two, a = stars.partner[one], _semi_major_axis(stars, one)
    m_1, m_2, m_3 = stars.mass[one], stars.mass[two], stars.mass[third]
    first = exchange_section(m_1, m_2, m_3, a, w2)
    second = exchange_section(m_2, m_1, m_3, a, w2)
    state, u = uniform(state)
    u *= max(within, first + second)
    if u >= first + second:
        return state, False
    out, stays = (one, two) if u < first else (two, one)
    m_new = stars.mass[stays] + m_3
    energy -= _cost_of_moving(sh, b, s, m_new - sh.m[b])
    if energy <= 0.0:
        return state, False
    stars.partner[one], stars.binding[one], stars.eccentricity[one] = -1, 0.0, 0.0
    state = _set_pair(stars, stays, third, binding, state)
    sh.ident[b], sh.ident[s] = stays, out
    m_out = stars.mass[out]
    state = _fly_apart(sh, i, j, phi, m_new if i == b else m_out, m_new if j == b else m_out, energy, state)
    return state, True


@njit(cache=True)
def relax(sh, stars, work, first, n, dt, coulomb, encounters, compensated, threads=1, primordial=False):
    """Encounters between neighbours among the shells ``first`` .. ``n`` - 1.

    Two stars of masses m1, m2 and relative velocity w are deflected by the angle b with

        sin^2(b / 2) = min(1, 2 pi (m1 + m2)^2 nu coulomb dt / w^3)

    (Henon 1971, eq. 16; Stodolkiewicz 1982; Joshi+ 2000, eq. 9): the mean effect of all encounters in dt. The
    angle between their planes of motion is random. The cap reduces the relaxation of slow pairs too much, by
    some 20 % for mean deflections of 0.7: if ``compensated``, all deflections are increased by the mean loss
    (``_compensation``). A step may also be divided among ``encounters`` partners in turn, from one to four
    shells away: ``_partners`` times as many if stars are much heavier than others.

    Unbound bodies have no encounters: they would leave within a crossing time, although an inner zone keeps
    them until the end of the step. (With encounters on their way few black holes leave, since the energy that
    should eject them heats the core: three times as many remain for 12 Gyr.)

    In clusters with ``primordial`` binaries all binaries have encounters as in ``_strong_encounter``; in
    those without, the few binaries formed by three stars only harden.
    """
    encounters *= _partners(sh, first, n)
    for k in range(first, n):
        work.buffer[k] = _local_density(sh.r, k, n)
    # free until `resample`
    spread = work.r_new
    if compensated:
        _local_dispersions(sh, first, n, spread)
    else:
        spread[first:n] = 0.0
    part = dt / encounters
    for turn in range(encounters):
        key = next_key(work.counter)
        stride = 1 + (turn >> 1) % 4
        start = first + (stride if turn & 1 else 0)
        if threads > 1 and n - start >= MIN_PARALLEL:
            _meet_parallel(sh, stars, work, key, start, n - stride, stride, part, coulomb, primordial)
        else:
            _meet(sh, stars, work, key, start, n - stride, stride, part, coulomb, primordial)
        # summed in a fixed order, independent of threads
        for block in range(start, n - stride, 2 * stride):
            for k in range(block, min(block + stride, n - stride)):
                if work.after[k] > -np.inf:
                    work.tally[HEAT] += work.after[k]
                    work.tally[HARDENED] += 1.0


@njit(cache=True)
def _partners(sh, first, n):
    """Number of partners among which a heavy star divides its encounters with light ones in a step.

    Steps are as long as typical pairs allow. A heavy star whose deflection by a light one would be many times
    larger gives too little energy in total, and that to one star, which it ejects. The squared deflection is
    proportional to (m1 + m2)^2; the heavy one is that of mass <m^3> / <m^2>.
    """
    m1, m2, m3 = 0.0, 0.0, 0.0
    for k in range(first, n):
        m = sh.m[k]
        m1 += m
        m2 += m * m
        m3 += m * m * m
    if m2 <= 0.0:
        return 1
    count = float(n - first)
    heavy = m3 / m2 + m1 / count
    typical = 2.0 * (m2 / count + (m1 / count) ** 2)
    return int(min(MAX_PARTNERS, max(1.0, math.ceil(heavy * heavy / (SPECTRUM * typical)))))


@njit(cache=True)
def _meet(sh, stars, work, key, first, last, stride, dt, coulomb, primordial):
    """Encounters of shells with those ``stride`` farther out, alternating with as many that are skipped."""
    for block in range(first, last, 2 * stride):
        for k in range(block, min(block + stride, last)):
            work.after[k] = _encounter(sh, stars, k, k + stride, work.buffer[k], dt, coulomb, stream(key, k),
                                       work.r_new[k], primordial)


@njit(cache=True, parallel=True)
def _meet_parallel(sh, stars, work, key, first, last, stride, dt, coulomb, primordial):
    size = 2 * stride * PART
    for part in prange((last - first + size - 1) // size):
        start = first + np.int64(part) * size
        _meet(sh, stars, work, key, start, min(start + size, last), stride, dt, coulomb, primordial)


@njit(cache=True, inline='always')
def _is_unbound(sh, k):
    """Whether a body is unbound: it leaves at the end of the step, and has no further encounters."""
    return 0.5 * (sh.vr[k] * sh.vr[k] + sh.vt[k] * sh.vt[k]) + sh.phi[k] + sh.m[k] / sh.r[k] > 0.0


@njit(cache=True)
def _encounter(sh, stars, i, j, density, dt, coulomb, state, spread, primordial=False):
    """The encounter of shells i and j that represents all of their encounters in dt; see `relax`.

    ``spread`` is the dispersion of relative velocities for ``_compensation``, 0: none.

    If one of the two is a binary, a close encounter (pericentre within two semi-major axes, with
    gravitational focusing) may take place instead and harden it: ``_relative_energy_gain``.  Of two
    binaries the wider one does.  In clusters with ``primordial`` ones it is a ``_strong_encounter``.
    Returns the energy gained by that; minus infinity if there was none.
    """
    m1, m2 = sh.m[i], sh.m[j]
    mass = m1 + m2
    if _is_unbound(sh, i) or _is_unbound(sh, j):
        return -np.inf
    state, u = uniform(state)
    phi = 2.0 * math.pi * u
    wx = sh.vt[j] * math.cos(phi) - sh.vt[i]
    wy = sh.vt[j] * math.sin(phi)
    wz = sh.vr[j] - sh.vr[i]
    w2 = wx * wx + wy * wy + wz * wz
    if mass <= 0.0 or w2 <= 0.0:
        return -np.inf
    w = math.sqrt(w2)
    whole = m1 > 0.0 and m2 > 0.0
    if primordial and whole and (_is_pair(stars, sh.ident[i]) or _is_pair(stars, sh.ident[j])):
        state, gain = _strong_encounter(sh, stars, i, j, phi, w2, density, dt, state)
        if gain > -np.inf:
            return gain
    binary = -1 if primordial else _widest_binary(stars, sh.ident[i], sh.ident[j])
    if binary >= 0 and whole:
        reach = 2.0 * _semi_major_axis(stars, binary)
        rate = density * w * math.pi * reach * reach * (1.0 + 2.0 * mass / (reach * w2))
        state, u = uniform(state)
        if u < 1.0 - math.exp(-rate * dt):
            state, u = uniform(state)
            gain = _relative_energy_gain(u) * stars.binding[binary]
            stars.binding[binary] += gain
            w = math.sqrt(w2 + 2.0 * gain * mass / (m1 * m2))
            state, nx, ny, nz = _direction(state)
            _share_momentum(sh, i, j, phi, nx * w - wx, ny * w - wy, nz * w - wz)
            return gain
    state, u = uniform(state)
    sin2 = 2.0 * math.pi * mass * mass * density * coulomb * dt / (w2 * w)
    if spread > 0.0:
        sin2 *= _compensation(sin2 * w2 * w / spread ** 3)
    sin2 = min(1.0, sin2)
    cos_b = 1.0 - 2.0 * sin2
    sin_b = 2.0 * math.sqrt(sin2 * (1.0 - sin2))
    nx, ny, nz = _scatter(wx, wy, wz, cos_b, sin_b, 2.0 * math.pi * u)
    _share_momentum(sh, i, j, phi, nx - wx, ny - wy, nz - wz)
    return -np.inf


# ---------------------------------------------------------------- three-body binary formation


@njit(cache=True, inline='always')
def _formation_rate(m_pair, m_all, density, v, hardness):
    """Rate at which two stars form a binary harder than ``hardness`` (Morscher+ 2013, eq. 1).

    With the mean relative velocity v = sqrt(6) sigma and hardness 1 the rate is 0.75 of the
    0.75 x 3 nu^2 m^5 / sigma^9 per triple of Goodman & Hut (1993, ApJ 403, 271) for equal masses.
    """
    return (math.sqrt(2.0) * math.pi ** 2 * density ** 2 * m_pair ** 5 / v ** 9
            * hardness ** -5.5 * (1.0 + 2.0 * hardness) * (1.0 + 2.0 * hardness * m_all / m_pair))


@njit(cache=True)
def _draw_hardness(m_pair, m_all, u):
    """Hardness of a new binary: the inverse of the rate's dependence on it, by bisection."""
    target = u * _formation_rate(m_pair, m_all, 1.0, 1.0, MIN_HARDNESS)
    low, high = MIN_HARDNESS, 100.0 * MIN_HARDNESS
    for _ in range(40):
        middle = math.sqrt(low * high)
        if _formation_rate(m_pair, m_all, 1.0, 1.0, middle) > target:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high)


@njit(cache=True, inline='always')
def _mean_squares(sh, k, n):
    """Mean m v^2 and mean v^2 of the 2 x 12 shells around shell k."""
    lo = max(0, k - HALF_WINDOW)
    hi = min(n, k + HALF_WINDOW + 1)
    mv2 = 0.0
    v2 = 0.0
    for i in range(lo, hi):
        square = sh.vr[i] * sh.vr[i] + sh.vt[i] * sh.vt[i]
        v2 += square
        mv2 += sh.m[i] * square
    return mv2 / (hi - lo), v2 / (hi - lo)


@njit(cache=True)
def form_binaries(sh, stars, work, first, n, dt):
    """Groups of three neighbours: two of them may form a binary, and the third receives the energy.

    The rate is ``_formation_rate`` averaged over the three possible pairs.  The binding energy is the
    hardness times the local m sigma^2.  The absorbed star remains as a shell without mass until
    the end of the global step.  Stars of existing binaries are excluded.
    """
    key = next_key(work.counter)
    state, u = uniform(stream(key, n))
    k = first + int(3.0 * u)
    while k + 2 < n:
        state = stream(key, k)
        if _all_single(sh, stars, k):
            density = _local_density(sh.r, k + 1, n)
            mv2, v2 = _mean_squares(sh, k + 1, n)
            v = math.sqrt(2.0 * v2)
            m_all = sh.m[k] + sh.m[k + 1] + sh.m[k + 2]
            rates = np.empty(3)
            for lonely in range(3):
                rates[lonely] = _formation_rate(m_all - sh.m[k + lonely], m_all, density, v,
                                                MIN_HARDNESS) / 3.0
            state, u = uniform(state)
            if u < 1.0 - math.exp(-rates.sum() * dt):
                state, u = uniform(state)
                u *= rates.sum()
                lonely = 0 if u < rates[0] else (1 if u < rates[0] + rates[1] else 2)
                state, u = uniform(state)
                hardness = _draw_hardness(m_all - sh.m[k + lonely], m_all, u)
                _bind(sh, stars, work, state, k, lonely, hardness * mv2 / 3.0)
        k += 3


@njit(cache=True, inline='always')
def _all_single(sh, stars, k):
    for i in range(k, k + 3):
        if sh.m[i] <= 0.0 or stars.partner[sh.ident[i]] >= 0:
            return False
    return True


@njit(cache=True)
def _bind(sh, stars, work, state, k, lonely, binding):
    """Make a binary of two of the shells k, k + 1, k + 2; energy and momentum are conserved.

    No binary is formed if the third has less energy to exchange than required to bring the two to one radius,
    mainly the mutual energy of their shells, which is large for black holes in a small cluster.
    """
    c = k + lonely
    a = k + (1 if lonely == 0 else 0)
    b = k + (1 if lonely == 2 else 2)
    state, u1 = uniform(state)
    state, u2 = uniform(state)
    phi_b, phi_c = 2.0 * math.pi * u1, 2.0 * math.pi * u2
    bx, by = sh.vt[b] * math.cos(phi_b), sh.vt[b] * math.sin(phi_b)
    cx, cy = sh.vt[c] * math.cos(phi_c), sh.vt[c] * math.sin(phi_c)
    m_ab = sh.m[a] + sh.m[b]
    reduced = sh.m[a] * sh.m[b] / m_ab
    internal = 0.5 * reduced * ((bx - sh.vt[a]) ** 2 + by ** 2 + (sh.vr[b] - sh.vr[a]) ** 2)
    x = (sh.m[a] * sh.vt[a] + sh.m[b] * bx) / m_ab
    y = sh.m[b] * by / m_ab
    z = (sh.m[a] * sh.vr[a] + sh.m[b] * sh.vr[b]) / m_ab
    # b moves to the radius of a in the field of the others; the mutual energy of a and b vanishes
    reach = max(sh.r[a], sh.r[b])
    moved = sh.m[b] * (sh.phi[a] + sh.m[a] / sh.r[a] - sh.phi[b] - sh.m[b] / sh.r[b]
                       + sh.m[b] / reach)
    m_all = m_ab + sh.m[c]
    mu = m_ab * sh.m[c] / m_all
    w2 = (cx - x) ** 2 + (cy - y) ** 2 + (sh.vr[c] - z) ** 2
    w2 += 2.0 * (internal + binding - moved) / mu
    if w2 <= 0.0:
        return
    state, nx, ny, nz = _direction(state)
    w = math.sqrt(w2)
    comx, comy = (m_ab * x + sh.m[c] * cx) / m_all, (m_ab * y + sh.m[c] * cy) / m_all
    comz = (m_ab * z + sh.m[c] * sh.vr[c]) / m_all
    f = sh.m[c] / m_all
    _store_velocity(sh, a, comx - f * w * nx, comy - f * w * ny, comz - f * w * nz)
    f = m_ab / m_all
    _store_velocity(sh, c, comx + f * w * nx, comy + f * w * ny, comz + f * w * nz)
    _set_pair(stars, sh.ident[a], sh.ident[b], binding, state)
    work.tally[HEAT] += binding
    work.tally[FORMED] += 1.0
    sh.m[a] = m_ab
    sh.m[b] = 0.0


@njit(cache=True)
def catch_innermost(sh, stars, work, n):
    """Make the two innermost bodies a binary if they are bound to each other, not by the cluster.

    Among a few bodies much heavier than the others, mainly black holes, encounters with the light ones remove
    energy from two until their shells are far inside all others. There is no density for the rates of
    three-body formation or close encounters, and the two would sink for ever: a binary that shells cannot
    represent. It is made one when its binding energy is ``CAUGHT`` times that of a body of the same mass with
    the dispersion of the surrounding shells. No other shell is between them, so that joining them moves
    nothing else, and their relative energy becomes the binding energy. If one of them is a binary already, or
    was one at the beginning of the step, they have an encounter at once: ``_resolve_triple``.
    """
    i, j = _first_with_mass(sh, -1, n), n
    if i < n:
        j = _first_with_mass(sh, i, n)
    if j >= n:
        return
    _, v2 = _mean_squares(sh, min(2 * HALF_WINDOW, n - 1), n)
    least = CAUGHT * 0.5 * (sh.m[i] + sh.m[j]) * v2 / 3.0
    bound = sh.m[i] * sh.m[j] / sh.r[j]
    if bound < least:
        return
    state, u = uniform(stream(next_key(work.counter), n))
    phi = 2.0 * math.pi * u
    w2 = (sh.vt[j] * math.cos(phi) - sh.vt[i]) ** 2 + (sh.vt[j] * math.sin(phi)) ** 2
    w2 += (sh.vr[j] - sh.vr[i]) ** 2
    mass = sh.m[i] + sh.m[j]
    binding = bound - 0.5 * sh.m[i] * sh.m[j] / mass * w2
    if binding < least or w2 <= 0.0:
        return
    if stars.partner[sh.ident[i]] < 0 and stars.partner[sh.ident[j]] < 0:
        _join(sh, i, j, phi)
        _set_pair(stars, sh.ident[i], sh.ident[j], binding, state)
        work.tally[HEAT] += binding
        work.tally[FORMED] += 1.0
    else:
        gain = _resolve_triple(sh, stars, i, j, phi, w2, binding, least, state)
        if gain == 0.0:
            return
        work.tally[HEAT] += gain
        work.tally[HARDENED] += 1.0
    potential(sh, n, sh.r.size)


@njit(cache=True)
def _resolve_triple(sh, stars, i, j, phi, w2, binding, least, state):
    """A binary and a body that are bound with the energy ``binding``: one of the three is ejected.

    The energy of the three is negative, so that they cannot all separate (Heggie 1975). The remaining binary
    has all of it, plus the gain in a strong encounter of hard binaries. Of two binaries the less bound one is
    treated as the binary, the other as a body. Stars of a destroyed one that still share a shell become a
    binary again.

    Returns the energy gain of the bodies; 0 if they are not bound by ``least``.
    """
    b, s = i, j
    who, other = sh.ident[i], sh.ident[j]
    if stars.partner[who] < 0 or (stars.partner[other] >= 0 and stars.binding[other] < stars.binding[who]):
        b, s = j, i
        who, other = other, who
    before = stars.binding[who]
    if before + binding < least:
        return 0.0
    state, factor = _tail(state, mean_gain(sh.m[s] / (0.5 * sh.m[b])))
    after = (before + binding) * factor
    mass = sh.m[i] + sh.m[j]
    energy = 0.5 * sh.m[i] * sh.m[j] / mass * w2 + after - before
    if before > 0.0 and stars.partner[other] < 0:
        a = _semi_major_axis(stars, who)
        state, done = _exchange(sh, stars, b, s, i, j, phi, w2, 4.0 * math.pi * a * mass / w2, after, energy,
                                state)
        if done:
            return after - before
    state = _set_pair(stars, who, stars.partner[who], after, state)
    _fly_apart(sh, i, j, phi, sh.m[i], sh.m[j], energy, state)
    return after - before


@njit(cache=True, inline='always')
def _first_with_mass(sh, k, n):
    """The first shell with mass after shell k; n if there is none."""
    k += 1
    while k < n and sh.m[k] <= 0.0:
        k += 1
    return k


@njit(cache=True)
def _join(sh, i, j, phi):
    """Shell i absorbs the mass and the momentum of shell j, at the radius of shell j."""
    mass = sh.m[i] + sh.m[j]
    f, g = sh.m[i] / mass, sh.m[j] / mass
    _store_velocity(sh, i, f * sh.vt[i] + g * sh.vt[j] * math.cos(phi), g * sh.vt[j] * math.sin(phi),
                    f * sh.vr[i] + g * sh.vr[j])
    for k in range(i, j):
        sh.r[k] = sh.r[j]
    sh.m[i], sh.m[j] = mass, 0.0


# ---------------------------------------------------------------- orbits


def new_work(n, seed, tally=None, calls=0):
    """Scratch arrays for up to ``n`` shells, and the random numbers of ``seed`` after some calls."""
    return Work(*(np.zeros(n) for _ in range(9)), *(np.zeros(n, dtype=np.int64) for _ in range(3)),
                np.zeros(n + 2, dtype=np.int64), np.zeros((n, 4)), np.zeros(((n >> COARSE_BITS) + 1, 2)),
                np.zeros((n >> GUIDE_BITS) + 3, dtype=np.int32), np.zeros(2),
                np.array([seed, calls], dtype=np.uint64),
                np.zeros(N_TALLY) if tally is None else tally)


@njit(cache=True)
def fill_field(work, r, phi, cum, n):
    """Copy the innermost ``n`` shells to the layout for searches.

    The guide divides x / (x + a), with a the radius of the middle shell, into equal parts that contain four
    shells on average, and gives the first shell of each.
    """
    scale = r[n >> 1]
    parts = max(1, n >> GUIDE_BITS)
    work.size[0], work.size[1] = scale, parts
    filled = 0
    for k in range(n):
        x = r[k]
        work.nodes[k, R] = x
        work.nodes[k, INVERSE] = 1.0 / x
        work.nodes[k, PHI] = phi[k]
        work.nodes[k, CUM] = cum[k]
        if k & ((1 << COARSE_BITS) - 1) == 0:
            work.coarse[k >> COARSE_BITS, R] = x
            work.coarse[k >> COARSE_BITS, 1] = phi[k]
        part = _part_of_guide(work, x)
        while filled <= part:
            work.guide[filled] = k
            filled += 1
    while filled < parts + 2:
        work.guide[filled] = n
        filled += 1


@njit(cache=True, inline='always')
def _part_of_guide(work, x):
    """The part of the guide with a radius; also monotonic after rounding, in this form of x / (x + a)."""
    return int((1.0 - work.size[0] / (x + work.size[0])) * work.size[1])


@njit(cache=True, inline='always')
def _phi_at(nodes, k, x):
    """Potential at x, between shells k and k + 1 (k = -1: inside all shells)."""
    if k < 0:
        return nodes[0, PHI]
    return nodes[k, PHI] + nodes[k, CUM] * (nodes[k, INVERSE] - 1.0 / x)


@njit(cache=True, inline='always')
def _is_beyond(x, phi, lane):
    """Whether v_r^2 is negative at a shell inside of the star."""
    return 2.0 * (lane.energy - phi) - lane.j2 / (x * x) < 0.0


@njit(cache=True, inline='always')
def _is_beyond_outside(x, phi, lane):
    """Whether v_r^2 is negative at a shell outside of the star, without its self-interaction."""
    return 2.0 * (lane.felt - phi - lane.own / x) - lane.j2 / (x * x) < 0.0


@njit(cache=True)
def _find_pericentres(work, lanes, count):
    """Find the last shell inside the pericentre of each orbit (-1: none), ``k_p``, by bisection.

    All lanes take one step, then all the next: no branch depends on the results, and the processor works on
    many of them at once. First among every 32nd shell, then between two of these.
    """
    width = 2
    for i in range(count):
        lanes[i].low, lanes[i].high = -1, (lanes[i].at >> COARSE_BITS) + 1
        width = max(width, lanes[i].high + 1)
    while width > 1:
        for i in range(count):
            lane = lanes[i]
            low, high = lane.low, lane.high
            middle = (low + high) >> 1
            c = max(middle, 0)
            beyond = _is_beyond(work.coarse[c, R], work.coarse[c, 1], lane)
            lane.low = middle if beyond else low
            lane.high = high if beyond or high - low < 2 else middle
        width = (width + 1) >> 1
    for i in range(count):
        lanes[i].low = max(-1, lanes[i].low << COARSE_BITS)
        lanes[i].high = min(lanes[i].at, lanes[i].high << COARSE_BITS)
    for _ in range(COARSE_BITS + 1):
        for i in range(count):
            lane = lanes[i]
            low, high = lane.low, lane.high
            middle = (low + high) >> 1
            c = max(middle, 0)
            beyond = _is_beyond(work.nodes[c, R], work.nodes[c, PHI], lane)
            open_ = high - low > 1
            lane.low = middle if beyond and open_ else low
            lane.high = middle if open_ and not beyond else high
    for i in range(count):
        lanes[i].k_p = lanes[i].low


@njit(cache=True)
def _find_apocentres(work, n, lanes, count):
    """Find the last shell inside the apocentre of each orbit, ``k_a``; see ``_find_pericentres``."""
    width = 2
    last = ((n - 1) >> COARSE_BITS) + 1
    for i in range(count):
        lanes[i].low, lanes[i].high = lanes[i].at >> COARSE_BITS, last
        width = max(width, last - lanes[i].low)
    while width > 1:
        for i in range(count):
            lane = lanes[i]
            low, high = lane.low, lane.high
            middle = (low + high) >> 1
            beyond = _is_beyond_outside(work.coarse[middle, R], work.coarse[middle, 1], lane)
            open_ = high - low > 1
            lane.low = middle if open_ and not beyond else low
            lane.high = middle if open_ and beyond else high
        width = (width + 1) >> 1
    for i in range(count):
        lanes[i].low = max(lanes[i].at, lanes[i].low << COARSE_BITS)
        lanes[i].high = min(n, lanes[i].high << COARSE_BITS)
    for _ in range(COARSE_BITS):
        for i in range(count):
            lane = lanes[i]
            low, high = lane.low, lane.high
            middle = (low + high) >> 1
            beyond = _is_beyond_outside(work.nodes[middle, R], work.nodes[middle, PHI], lane)
            open_ = high - low > 1
            lane.low = middle if open_ and not beyond else low
            lane.high = middle if open_ and beyond else high
    for i in range(count):
        lanes[i].k_a = lanes[i].low


@njit(cache=True)
def _find_shells(work, lanes, active, count):
    """Find the last shell at or inside the radius of each active lane, ``k``; see ``_find_pericentres``.

    The guide limits the range of the search.
    """
    width = 2
    for j in range(count):
        lane = lanes[active[j]]
        part = _part_of_guide(work, lane.radius)
        lane.low = np.int64(work.guide[part]) - 1
        lane.high = np.int64(work.guide[part + 1])
        width = max(width, lane.high - lane.low)
    while width > 1:
        for j in range(count):
            lane = lanes[active[j]]
            low, high = lane.low, lane.high
            middle = (low + high) >> 1
            inside = work.nodes[max(middle, 0), R] <= lane.radius
            open_ = high - low > 1
            lane.low = middle if open_ and inside else low
            lane.high = middle if open_ and not inside else high
        width = (width + 1) >> 1
    for j in range(count):
        lane = lanes[active[j]]
        lane.k = min(max(lane.low, lane.k_p), lane.k_a)


@njit(cache=True, inline='always')
def _pericentre(nodes, lane):
    """Pericentre of an orbit whose last shell inside of it is known.

    Between shells the radial motion is Keplerian, so the turning point solves a quadratic in 1/r.
    """
    low, j2 = lane.k_p, lane.j2
    if low < 0:
        room = 2.0 * (lane.energy - nodes[0, PHI])
        return math.sqrt(j2 / room) if room > 0.0 else lane.r_at
    r_low, mass = nodes[low, R], nodes[low, CUM]
    depth = lane.energy - nodes[low, PHI] - mass / r_low
    root = math.sqrt(max(0.0, mass * mass + 2.0 * j2 * depth))
    x = j2 / (mass + root)
    return min(max(x, r_low), lane.r_at)


@njit(cache=True, inline='always')
def _apocentre(nodes, n, lane):
    """Apocentre of an orbit whose last shell inside of it is known; outside of all shells it is Keplerian.

    Outside of its position the star has no self-interaction; ``felt`` is the energy that includes the
    potential of the star itself at its position.
    """
    low, j2 = lane.k_a, lane.j2
    r_low = nodes[low, R]
    depth = lane.felt - nodes[low, PHI] - nodes[low, CUM] / r_low
    if depth >= 0.0:
        return np.inf
    mass = nodes[low, CUM] - lane.own
    x = (mass + math.sqrt(max(0.0, mass * mass + 2.0 * j2 * depth))) / (-2.0 * depth)
    if low + 1 < n:
        x = min(x, nodes[low + 1, R])
    return max(x, r_low)


@njit(cache=True, inline='always')
def _slope(mass, x, j2):
    """Derivative of v_r^2 with respect to r, with ``mass`` inside x."""
    return -2.0 * mass / (x * x) + 2.0 * j2 / (x * x * x)


@njit(cache=True)
def _set_orbit(work, lane, energy, ang_mom, at, own, state):
    """Set the orbit on which a lane draws a radius."""
    lane.at, lane.energy, lane.own, lane.j2 = at, energy, own, ang_mom * ang_mom
    lane.r_at = work.nodes[at, R]
    lane.felt = energy + own / lane.r_at
    lane.trials, lane.excess = 0, 0.0
    lane.state, u = uniform(state)
    lane.sign = 1.0 if u < 0.5 else -1.0


@njit(cache=True)
def _begin(work, n, limit, lane):
    """Turning points of an orbit, and the bound of the density; False if the star is not moved."""
    nodes, own, j2, energy, r_at, k_p, k_a = (work.nodes, lane.own, lane.j2, lane.energy, lane.r_at, lane.k_p,
                                              lane.k_a)
    r_p, r_a = _pericentre(nodes, lane), _apocentre(nodes, n, lane)
    span = r_a - r_p
    if not span > 1e-10 * r_p or r_a == limit:
        lane.radius, lane.phi, lane.k = r_at, nodes[lane.at, PHI] + own / r_at, lane.at
        return False
    slope_p = _slope(nodes[k_p, CUM] if k_p >= 0 else 0.0, r_p, j2)
    s_max = 1.0
    cubic = True
    v2 = 0.0
    if r_a > limit:
        k_a = n - 1
        v2 = 2.0 * (energy - _phi_at(nodes, k_a, limit)) - j2 / (limit * limit)
        v2 += 2.0 * own * (1.0 / r_at - 1.0 / limit)
    mass = nodes[k_a, CUM] - own
    if v2 <= 0.0:
        g_end = math.sqrt(12.0 * span / max(-_slope(mass, r_a, j2), 1e-300))
    else:
        slope = _slope(mass, limit, j2)
        beyond = -v2 / slope if slope < 0.0 else np.inf
        cubic = beyond < limit
        if cubic:
            span = limit + beyond - r_p
            s_max = 0.5 - math.sin(math.asin(1.0 - 2.0 * (limit - r_p) / span) / 3.0)
            g_end = 6.0 * span * s_max * (1.0 - s_max) / math.sqrt(v2)
        else:
            span = limit - r_p
            g_end = 2.0 * span / math.sqrt(v2)
    steep = 12.0 if cubic else 4.0
    g_start = math.sqrt(steep * span / slope_p) if slope_p > 0.0 else 0.0
    lane.bound = 1.2 * max(g_start, g_end)
    lane.r_p, lane.span, lane.s_max, lane.cubic, lane.k_a = r_p, span, s_max, cubic, k_a
    return True


@njit(cache=True)
def _try_radius(lane):
    """Draw a radius."""
    lane.trials += 1
    lane.state, u = uniform(lane.state)
    s = u * lane.s_max
    if lane.cubic:
        x = lane.r_p + lane.span * s * s * (3.0 - 2.0 * s)
        lane.jacobian = 6.0 * lane.span * s * (1.0 - s)
    else:
        x = lane.r_p + lane.span * s * s
        lane.jacobian = 2.0 * lane.span * s
    lane.radius = x


@njit(cache=True)
def _is_taken(nodes, lane):
    """Whether the drawn radius is accepted, with a probability proportional to the density there."""
    x = lane.radius
    lane.phi = _phi_at(nodes, lane.k, x) + lane.own / max(x, lane.r_at)
    v2 = 2.0 * (lane.felt - lane.phi) - lane.j2 / (x * x)
    taken = lane.trials >= MAX_TRIALS
    if v2 > 0.0:
        g = lane.jacobian / math.sqrt(v2)
        lane.excess = max(lane.excess, g / lane.bound)
        lane.state, u = uniform(lane.state)
        taken |= u * lane.bound <= g
    return taken


@njit(cache=True)
def _draw(work, n, limit, lanes, active, count):
    """`draw_radius` for some orbits in parallel; ``active`` is scratch."""
    _find_pericentres(work, lanes, count)
    _find_apocentres(work, n, lanes, count)
    left = 0
    for i in range(count):
        active[left] = i
        left += _begin(work, n, limit, lanes[i])
    while left > 0:
        for j in range(left):
            _try_radius(lanes[active[j]])
        _find_shells(work, lanes, active, left)
        count, left = left, 0
        for j in range(count):
            active[left] = active[j]
            left += not _is_taken(work.nodes, lanes[active[j]])


@njit(cache=True)
def draw_radius(work, n, limit, energy, ang_mom, at, own, state):
    """Draw a radius on an orbit with probability proportional to the time spent there, dr / abs(v_r).

    Henon's (1971) substitution r = r_p + (r_a - r_p) s^2 (3 - 2 s) makes the density in s finite at both
    turning points; s is drawn by rejection (Joshi+ 2000, section 2.4). In an inner zone only the part of the
    orbit inside ``limit``, the radius of the first shell outside, is used.

    Parameters
    ----------
    work : Work
        Shells, their potential and the mass inside, for at least ``n`` shells (`fill_field`).
    n : int
        Number of shells in the range of the orbit.
    limit : float
        Outer edge of the zone (infinite for the whole cluster).
    energy, ang_mom : float
        Specific energy (in the potential of all shells) and angular momentum.
    at : int
        The present shell of the star.
    own : float
        Its mass, for the self-interaction.
    state : uint64
        Random stream.

    Returns
    -------
    radius, phi_there : float
        The new radius and the (old) potential of the other stars there.
    sign : float
        Sign of the radial velocity.
    trials : int
        Number of trials of the rejection.
    excess : float
        The largest density in units of the assumed bound (above 1: the bound was too low).
    """
    lanes = np.zeros(1, dtype=LANE)
    lane = lanes[0]
    _set_orbit(work, lane, energy, ang_mom, at, own, state)
    _draw(work, n, limit, lanes, np.zeros(1, dtype=np.int64), 1)
    return lane.radius, lane.phi, lane.sign, lane.trials, lane.excess


@njit(cache=True)
def _new_places(sh, work, n, limit, key, first, last):
    """`draw_radius` for the shells ``first`` .. ``last`` - 1, in blocks of stars.

    The stars of a block take each step of the search in turn, so that memory latency of one is hidden by
    computations of others.
    """
    lanes = np.zeros(BLOCK, dtype=LANE)
    active = np.zeros(BLOCK, dtype=np.int64)
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        for i in range(count):
            k = start + i
            _set_orbit(work, lanes[i], work.energy[k], work.ang_mom[k], k, sh.m[k], stream(key, k))
        _draw(work, n, limit, lanes, active, count)
        for i in range(count):
            lane = lanes[i]
            k = start + i
            work.r_new[k] = lane.radius
            work.phi_at_new[k] = lane.phi
            work.phi_at_old[k] = lane.sign
            work.buffer[k] = lane.trials if lane.excess <= 1.0 else -lane.trials
            work.place[k] = lane.k


@njit(cache=True)
def _sort_places(work, n):
    """Sort the new radii: indices into ``work.order`` and radii into ``work.buffer``.

    Each new radius is known to be between two old shells: counting these sorts all but neighbours.
    """
    before, order, sorted_r = work.before, work.order, work.buffer
    before[:n + 2] = 0
    for k in range(n):
        before[work.place[k] + 2] += 1
    crowded = False
    for k in range(1, n + 2):
        crowded |= before[k] > MAX_CROWD
        before[k] += before[k - 1]
    for k in range(n):
        c = work.place[k] + 1
        order[before[c]] = k
        sorted_r[before[c]] = work.r_new[k]
        before[c] += 1
    if crowded:
        # now before[c] is the start of the next interval
        start = 0
        for c in range(n + 1):
            end = before[c]
            if end - start > MAX_CROWD:
                inner = np.argsort(sorted_r[start:end])
                order[start:end] = order[start:end][inner]
                sorted_r[start:end] = sorted_r[start:end][inner]
            start = end
    tie = False
    for k in range(1, n):
        x, who = sorted_r[k], order[k]
        i = k
        while i > 0 and sorted_r[i - 1] > x:
            sorted_r[i], order[i] = sorted_r[i - 1], order[i - 1]
            i -= 1
        sorted_r[i], order[i] = x, who
        tie |= i > 0 and sorted_r[i - 1] == x
    if tie:
        # equal radii are rare: in the order of a plain sort
        order[:n] = np.argsort(work.r_new[:n])


@njit(cache=True)
def _settle(sh, work, first, last):
    """Radii, masses and identities of the shells ``first`` .. ``last`` - 1 in the new order."""
    for k in range(first, last):
        old = work.order[k]
        sh.r[k] = work.r_new[old]
        sh.m[k] = work.m_old[old]
        sh.ident[k] = work.ident_old[old]
        # the sign was stored in phi_at_old, which is needed next
        sh.vr[k] = work.phi_at_old[old]


@njit(cache=True)
def _find_shift(sh, work, n, first, last):
    """Change of potential at old positions; from here on energies are without the star's own part."""
    nodes = work.nodes
    inside, above = -1, n
    while above - inside > 1:
        middle = (inside + above) >> 1
        if sh.r[middle] <= nodes[first, R]:
            inside = middle
        else:
            above = middle
    for k in range(first, last):
        r_old = nodes[k, R]
        while inside + 1 < n and sh.r[inside + 1] <= r_old:
            inside += 1
        if inside < 0:
            phi = sh.phi[0]
        else:
            phi = sh.phi[inside] + sh.cum[inside] * (1.0 / sh.r[inside] - nodes[k, INVERSE])
        shift = phi - nodes[k, PHI]
        own = work.m_old[k]
        work.phi_at_old[k] = shift + own / max(r_old, work.r_new[k]) - own / r_old
        work.energy[k] += own / r_old


@njit(cache=True)
def _find_kinetic(sh, work, first, last):
    """Twice the specific kinetic energies at the new positions, in the old and in the new potential.

    They overwrite energies and potentials, which are no longer needed.
    """
    for k in range(first, last):
        old = work.order[k]
        phi = sh.phi[k] + sh.m[k] / sh.r[k]
        shift = work.phi_at_old[old] + phi - work.phi_at_new[old]
        vt = work.ang_mom[old] / sh.r[k]
        radial = max(0.0, 2.0 * (work.energy[old] - work.phi_at_new[old]) - vt * vt)
        sh.vt[k] = vt
        work.radial[k] = radial
        work.after[k] = 2.0 * (work.energy[old] + 0.5 * shift - phi)


@njit(cache=True)
def _pay(sh, work, n):
    """Energy debt of stars that would have negative kinetic energy: it is settled by the next stars."""
    debt = work.tally[DEBT]
    for k in range(n):
        if work.after[k] <= 0.0:
            before = work.radial[k] + sh.vt[k] * sh.vt[k]
            debt += 0.5 * sh.m[k] * (before - work.after[k])
            work.after[k] = before
        elif debt > 0.0 and sh.m[k] > 0.0:
            paid = min(debt, MAX_PAYMENT * 0.5 * sh.m[k] * work.after[k])
            work.after[k] -= 2.0 * paid / sh.m[k]
            debt -= paid
    work.tally[DEBT] = debt


@njit(cache=True)
def _set_velocities(sh, work, scaled, first, last):
    """Velocities for those kinetic energies; see `resample`."""
    for k in range(first, last):
        vt, radial, after = sh.vt[k], work.radial[k], work.after[k]
        before = radial + vt * vt
        if before > 0.0 and (scaled or radial < abs(after - before)):
            factor = after / before
            radial *= factor
            sh.vt[k] = vt * math.sqrt(factor)
        else:
            radial = max(0.0, after - vt * vt)
        sh.vr[k] = math.copysign(math.sqrt(radial), sh.vr[k])


@njit(cache=True)
def _part(phase, sh, work, n, limit, key, scaled, first, last):
    """One phase of `resample` for some of the shells; the result does not depend on the division."""
    if phase == DRAW:
        _new_places(sh, work, n, limit, key, first, last)
    elif phase == SETTLE:
        _settle(sh, work, first, last)
    elif phase == SHIFT:
        _find_shift(sh, work, n, first, last)
    elif phase == KINETIC:
        _find_kinetic(sh, work, first, last)
    else:
        _set_velocities(sh, work, scaled, first, last)


@njit(cache=True, parallel=True)
def _parts(phase, sh, work, n, limit, key, scaled):
    size = max(PART, n >> 8)
    for part in prange((n + size - 1) // size):
        first = np.int64(part) * size
        _part(phase, sh, work, n, limit, key, scaled, first, min(first + size, n))


@njit(cache=True)
def resample(sh, work, n, threads, scaled):
    """New radii for the innermost ``n`` shells, the new potential, and updated velocities.

    The specific energy of a star changes by half the change of potential at its old and its new position
    (Stodolkiewicz 1982; Joshi+ 2000, section 2.5).  The mutual energy of old and new shells is the same
    from either side, so that the total energy is conserved to rounding.

    A star keeps its angular momentum, and its radial motion takes up the change of energy, unless that is
    more than the radial motion has: then both components are scaled by the same factor, as for all stars in
    Stodolkiewicz (1982) and Rodriguez+ (2022) (``scaled``). The rule does not depend on the sign of the
    change. Most of the change is the noise of a potential of n stars; if only stars that lose energy gave up
    angular momentum, or were kept from losing, noise would make orbits more radial or more circular, and heat
    the core. Scaling all stars moves angular momentum outwards while a cluster expands.

    A star that would have negative kinetic energy keeps that of the old potential, and the next stars
    compensate (``DEBT`` is the remaining debt).
    """
    total = sh.r.size
    limit = sh.r[n] if n < total else np.inf
    for k in range(n):
        work.energy[k] = 0.5 * (sh.vr[k] ** 2 + sh.vt[k] ** 2) + sh.phi[k]
        work.ang_mom[k] = sh.r[k] * sh.vt[k]
        work.m_old[k] = sh.m[k]
        work.ident_old[k] = sh.ident[k]
    fill_field(work, sh.r, sh.phi, sh.cum, n)
    key = next_key(work.counter)
    for phase in range(N_PHASES):
        if phase == SETTLE:
            for k in range(n):
                work.tally[TRIALS] += abs(work.buffer[k])
                work.tally[BELOW_BOUND] += 1.0 if work.buffer[k] < 0.0 else 0.0
            work.tally[RESAMPLED] += n
            _sort_places(work, n)
        elif phase == SHIFT:
            potential(sh, n, total)
        elif phase == VELOCITY:
            _pay(sh, work, n)
        if threads > 1 and n >= MIN_PARALLEL:
            _parts(phase, sh, work, n, limit, key, scaled)
        else:
            _part(phase, sh, work, n, limit, key, scaled, 0, n)


# ---------------------------------------------------------------- the step


@njit(cache=True)
def advance(sh, stars, work, n, dt, coulomb, theta_max, encounters, threads, compensated, scaled,
            primordial=False):
    """Advance the innermost ``n`` shells by ``dt``, with shorter steps where relaxation is fast.

    The inner zone takes two steps of dt / 2, each of which may be divided again; meanwhile its stars remain
    inside the first shell outside of it, so that the mass inside every other shell is constant. Then all n
    stars get new positions on their whole orbits. So a star is relaxed like the inner zone for the fraction
    of its time that it spends there: this gives the weights that unequal steps require (Henon 1971), without
    any rejection.

    Numba cannot cache recursive functions on disk, hence the stack of zones: ``size`` and ``inner`` of each,
    and the number of its inner half steps ``left`` (-1: the inner zone is not yet known).
    """
    size = np.zeros(MAX_DEPTH, dtype=np.int64)
    inner = np.zeros(MAX_DEPTH, dtype=np.int64)
    left = np.zeros(MAX_DEPTH, dtype=np.int64)
    depth = 0
    size[0], left[0] = n, -1
    while depth >= 0:
        step = dt / 2.0 ** depth
        if left[depth] < 0:
            inner[depth] = 0
            if depth < MAX_DEPTH - 1:
                inner[depth], _ = zone_boundary(sh, size[depth], step, coulomb, theta_max)
            left[depth] = 2 if inner[depth] > 0 else 0
        if left[depth] > 0:
            left[depth] -= 1
            depth += 1
            size[depth], left[depth] = inner[depth - 1], -1
            continue
        if inner[depth] < size[depth]:
            met = work.tally[FORMED] + work.tally[HARDENED]
            relax(sh, stars, work, inner[depth], size[depth], step, coulomb, encounters, compensated,
                  threads, primordial)
            form_binaries(sh, stars, work, inner[depth], size[depth], step)
            if work.tally[FORMED] + work.tally[HARDENED] > met:
                # masses may have been exchanged
                potential(sh, size[depth], sh.r.size)
            resample(sh, work, size[depth], threads, scaled)
            catch_innermost(sh, stars, work, size[depth])
        depth -= 1
