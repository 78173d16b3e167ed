# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The numerical heart of the Monte Carlo code: arrays in, arrays out.

Henon units throughout (G = 1; initial mass 1, initial energy -1/4).  A cluster is a set of
spherical shells, one a star (or a binary), sorted by radius.  One step (`advance`) is

1. `zone_boundary`    which inner stars relax too fast for this step: they take two half steps
                      of their own first (recursively), inside their own radius;
2. `relax`            neighbours meet: one encounter stands for all the encounters of the step
                      (Henon 1971); binaries meet single stars and harden;
3. `form_binaries`    three neighbours may form a binary;
4. `resample`         every star gets a new place on its orbit, with a probability proportional
                      to the time it spends there, in the potential of the old places; then the
                      potential is computed anew and energies and velocities follow it.

References
----------
Henon 1971, Ap&SS 13, 284 and 14, 151; Stodolkiewicz 1982, AcA 32, 63; Joshi, Rasio & Portegies
Zwart 2000, ApJ 540, 969; Freitag & Benz 2001, A&A 375, 711; Morscher+ 2013, ApJ 763, L15;
Rodriguez+ 2022, ApJS 258, 22.
"""

import math
from collections import namedtuple

import numpy as np
from numba import njit, prange

__all__ = ['Shells', 'Stars', 'Work', 'advance', 'draw_radius', 'form_binaries', 'new_work',
           'next_key', 'potential', 'relax', 'resample', 'shell_energy', 'stream', 'total_energy', 'uniform',
           'zone_boundary']

#: Dynamical state, sorted by radius; `ident` points into `Stars`.
Shells = namedtuple('Shells', 'r vr vt m ident phi cum')
#: What belongs to a star for life, by identity: its mass, the companion it carries (-1: none), the
#: binding energy of that pair.
Stars = namedtuple('Stars', 'mass partner binding')
#: Scratch arrays of `resample`, the random-number counter (seed, calls), and the tallies.
Work = namedtuple('Work', 'energy ang_mom r_new phi_at_new phi_at_old buffer r_coarse phi_coarse '
                          'counter tally')

#: Entries of ``Work.tally``.
HEAT, FORMED, HARDENED, DEBT, RESAMPLED, BELOW_BOUND, TRIALS = range(7)
N_TALLY = 7

#: Stars in the smallest zone and in the smallest block of `zone_boundary`.
MIN_ZONE = 32
#: No step is shorter than this many times radius / velocity: orbits are sampled, not followed.
MIN_CROSSINGS = 1.0
#: Largest part of its kinetic energy that a star gives to another that would have none.
MAX_PAYMENT = 0.2
#: Neighbours on either side that define the local density and velocity dispersion.
HALF_WINDOW = 12
#: Hardness (binding energy in units of the local m sigma^2) above which a binary is formed.
MIN_HARDNESS = 1.0
#: Zones inside zones, each with half the step of the one around it.
MAX_DEPTH = 40
#: Every 32nd shell is kept apart: searches through these stay in the cache of the processor.
COARSE_BITS = 5
#: Largest deflection parameter of `_compensation`, beyond which nearly every pair is capped, and steps to it.
MAX_PARAMETER, TABLE_STEPS = 3.5, 1024
#: Zones larger than this are resampled by all threads.
MIN_PARALLEL = 4000

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
    """A fresh key for one kernel call: ``counter`` is (seed, number of calls so far)."""
    counter[1] += _ONE
    return _mix(_mix(counter[0]) + counter[1] * _GOLDEN)


@njit(cache=True, inline='always')
def stream(key, i):
    """State of the random stream of star ``i`` in the call ``key``.

    Counter-based (SplitMix64: Steele, Lea & Flood 2014), so that the numbers a star gets depend on
    neither the number of threads nor on when the run was interrupted.
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
    """Fill ``cum`` and ``phi`` of the innermost ``n`` shells.

    Between shells k and k + 1 the potential is ``phi[k] + cum[k] (1 / r[k] - 1 / r)``, with
    ``cum[k]`` the mass of shells 0 .. k (Henon 1971).  If ``n`` is less than ``total``, shell n
    and its potential are kept: the mass inside it must not have changed.
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

    A star does not feel itself, so that the potential energy is half the sum of m (phi + m / r).
    """
    kinetic = 0.0
    gravity = 0.0
    for k in range(n):
        kinetic += 0.5 * sh.m[k] * (sh.vr[k] * sh.vr[k] + sh.vt[k] * sh.vt[k])
        gravity += 0.5 * sh.m[k] * (sh.phi[k] + sh.m[k] / sh.r[k])
    return kinetic, gravity


@njit(cache=True)
def total_energy(sh):
    """Total energy of the cluster, without what is locked up in binaries."""
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
    """How many of the innermost ``n`` shells need a step shorter than ``dt``.

    A block of neighbours may be deflected by ``theta_max`` in a step, so it needs

        dt <= theta_max^2 <w^2>^(3/2) / (8 pi nu coulomb <(m1 + m2)^2>)

    the local relaxation time of Joshi+ (2000), with nu the number density and w the relative speed.
    Blocks hold at least 32 stars and grow outwards.

    Returns
    -------
    inner : int
        The outer edge of the outermost block that needs a shorter step (0: none).
    step : float
        The shortest step that any block needs.
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
    """Turn the relative velocity by the angle b about a random azimuth psi (Henon 1971, eq. 15)."""
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

    The tail is that of Heggie (1975, MNRAS 173, 729) for hard binaries; its mean is the 0.4 of
    Spitzer (1987, Dynamical Evolution of Globular Clusters, section 6.1).
    """
    return u ** (-1.0 / 3.5) - 1.0


@njit(cache=True, inline='always')
def _widest_binary(stars, i, j):
    """Which of two bodies is the (wider) binary: its identity, or -1 if both are single."""
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
    """Change the relative velocity v_j - v_i by (dx, dy, dz); the centre of mass moves on as it did.

    The tangential velocity of j lies at the angle phi from that of i.
    """
    mass = sh.m[i] + sh.m[j]
    fi, fj = sh.m[j] / mass, sh.m[i] / mass
    jx, jy = sh.vt[j] * math.cos(phi), sh.vt[j] * math.sin(phi)
    _store_velocity(sh, i, sh.vt[i] - fi * dx, -fi * dy, sh.vr[i] - fi * dz)
    _store_velocity(sh, j, jx + fj * dx, jy + fj * dy, sh.vr[j] + fj * dz)


def _compensation_table():
    """`_compensation` at equal steps of the parameter."""
    y = np.linspace(0.0, 6.0, 60_001)
    part = 3.0 * y * y * np.exp(-0.5 * y * y)
    capped = np.concatenate((np.zeros(1), np.cumsum(part[1:] + part[:-1]) * 0.5 * y[1]))
    parameter = np.arange(1, TABLE_STEPS + 1) * (MAX_PARAMETER / TABLE_STEPS)
    return np.concatenate((np.ones(1), np.interp(parameter, capped, y) ** 3 / parameter))


_COMPENSATION = _compensation_table()


@njit(cache=True, inline='always')
def _compensation(parameter):
    """By how much to raise sin^2(b / 2) of all pairs to make up for those that are capped.

    Relative speeds w of dispersion s (one component) are Maxwellian, y = w / s; uncapped, sin^2(b / 2) is
    A / y^3 with the parameter A.  What velocities gain in an encounter goes as w^2 sin^2(b / 2): the factor
    c solves <y^2 min(1, c A / y^3)> = <A / y>.  With t^3 = c A the left side is

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
    """Dispersion (one component) of the relative velocities of neighbours, of the shells first .. n - 1."""
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


@njit(cache=True)
def relax(sh, stars, work, first, n, dt, coulomb, encounters, compensated):
    """Encounters between neighbours among the shells ``first`` .. ``n`` - 1.

    Two stars of masses m1, m2 and relative velocity w are deflected by the angle b with

        sin^2(b / 2) = min(1, 2 pi (m1 + m2)^2 nu coulomb dt / w^3)

    (Henon 1971, eq. 16; Stodolkiewicz 1982; Joshi+ 2000, eq. 9): the mean effect of all encounters
    in dt.  The angle between their planes of motion is random.  The cap makes slow pairs relax
    too little, by some 20 % for mean deflections of 0.7: ``compensated``, all deflections are raised by
    what it takes away on average (`_compensation`).  A step may also be divided among ``encounters``
    partners in turn, from one to four shells away.
    """
    for k in range(first, n):
        work.buffer[k] = _local_density(sh.r, k, n)
    # not needed before `resample`
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
        for block in range(start, n - stride, 2 * stride):
            for k in range(block, min(block + stride, n - stride)):
                _encounter(sh, stars, work, k, k + stride, work.buffer[k], part, coulomb,
                           stream(key, k), spread[k])


@njit(cache=True)
def _encounter(sh, stars, work, i, j, density, dt, coulomb, state, spread):
    """The encounter of shells i and j that stands for all of their encounters in dt; see `relax`.

    ``spread`` is the dispersion of relative velocities for `_compensation`, 0: none.

    If one of the two is a binary, a close encounter (pericentre within two semi-major axes, with
    gravitational focusing) may take place instead and harden it: `_relative_energy_gain`.  Of two
    binaries the wider one does.
    """
    m1, m2 = sh.m[i], sh.m[j]
    mass = m1 + m2
    state, u = uniform(state)
    phi = 2.0 * math.pi * u
    wx = sh.vt[j] * math.cos(phi) - sh.vt[i]
    wy = sh.vt[j] * math.sin(phi)
    wz = sh.vr[j] - sh.vr[i]
    w2 = wx * wx + wy * wy + wz * wz
    if mass <= 0.0 or w2 <= 0.0:
        return
    w = math.sqrt(w2)
    binary = _widest_binary(stars, sh.ident[i], sh.ident[j])
    if binary >= 0 and m1 > 0.0 and m2 > 0.0:
        reach = 2.0 * _semi_major_axis(stars, binary)
        rate = density * w * math.pi * reach * reach * (1.0 + 2.0 * mass / (reach * w2))
        state, u = uniform(state)
        if u < 1.0 - math.exp(-rate * dt):
            state, u = uniform(state)
            gain = _relative_energy_gain(u) * stars.binding[binary]
            stars.binding[binary] += gain
            work.tally[HEAT] += gain
            work.tally[HARDENED] += 1.0
            w = math.sqrt(w2 + 2.0 * gain * mass / (m1 * m2))
            state, nx, ny, nz = _direction(state)
            _share_momentum(sh, i, j, phi, nx * w - wx, ny * w - wy, nz * w - wz)
            return
    state, u = uniform(state)
    sin2 = 2.0 * math.pi * mass * mass * density * coulomb * dt / (w2 * w)
    if spread > 0.0:
        sin2 *= _compensation(sin2 * w2 * w / spread ** 3)
    sin2 = min(1.0, sin2)
    cos_b = 1.0 - 2.0 * sin2
    sin_b = 2.0 * math.sqrt(sin2 * (1.0 - sin2))
    nx, ny, nz = _scatter(wx, wy, wz, cos_b, sin_b, 2.0 * math.pi * u)
    _share_momentum(sh, i, j, phi, nx - wx, ny - wy, nz - wz)


# ---------------------------------------------------------------- binaries out of three stars


@njit(cache=True, inline='always')
def _formation_rate(m_pair, m_all, density, v, hardness):
    """Rate at which two stars form a binary harder than ``hardness`` (Morscher+ 2013, eq. 1).

    With the mean relative velocity v = sqrt(6) sigma and hardness 1 the rate is 0.75 of the
    0.75 x 3 nu^2 m^5 / sigma^9 a triple of Goodman & Hut (1993, ApJ 403, 271) for equal masses.
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
    """Neighbours three by three: two of them may form a binary and the third takes the energy.

    The rate is `_formation_rate` averaged over the three possible pairs.  The binding energy is the
    hardness times the local m sigma^2.  The absorbed star stays behind as a shell without mass until
    the end of the global step.  Stars of existing binaries do not take part.
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
    """Make a binary of two of the shells k, k + 1, k + 2; energy and momentum are conserved."""
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
    # b moves to the place of a in the field of the others; the mutual energy of a and b goes
    reach = max(sh.r[a], sh.r[b])
    moved = sh.m[b] * (sh.phi[a] + sh.m[a] / sh.r[a] - sh.phi[b] - sh.m[b] / sh.r[b]
                       + sh.m[b] / reach)
    m_all = m_ab + sh.m[c]
    mu = m_ab * sh.m[c] / m_all
    w2 = (cx - x) ** 2 + (cy - y) ** 2 + (sh.vr[c] - z) ** 2
    w2 += 2.0 * (internal + binding - moved) / mu
    state, nx, ny, nz = _direction(state)
    w = math.sqrt(max(w2, 0.0))
    comx, comy = (m_ab * x + sh.m[c] * cx) / m_all, (m_ab * y + sh.m[c] * cy) / m_all
    comz = (m_ab * z + sh.m[c] * sh.vr[c]) / m_all
    f = sh.m[c] / m_all
    _store_velocity(sh, a, comx - f * w * nx, comy - f * w * ny, comz - f * w * nz)
    f = m_ab / m_all
    _store_velocity(sh, c, comx + f * w * nx, comy + f * w * ny, comz + f * w * nz)
    stars.partner[sh.ident[a]] = sh.ident[b]
    stars.binding[sh.ident[a]] = binding
    work.tally[HEAT] += binding
    work.tally[FORMED] += 1.0
    sh.m[a] = m_ab
    sh.m[b] = 0.0


# ---------------------------------------------------------------- orbits


def new_work(n, seed, tally=None, calls=0):
    """Scratch space for up to ``n`` shells and the random numbers of ``seed`` after some calls."""
    coarse = (n >> COARSE_BITS) + 1
    return Work(*(np.zeros(n) for _ in range(6)), np.zeros(coarse), np.zeros(coarse),
                np.array([seed, calls], dtype=np.uint64),
                np.zeros(N_TALLY) if tally is None else tally)


@njit(cache=True, inline='always')
def _shell_below(r, r_coarse, x, low, high):
    """Index of the last shell at or inside ``x``, known to lie between low (-1: none) and high."""
    a, b = low >> COARSE_BITS, ((high - 1) >> COARSE_BITS) + 1
    while b - a > 1:
        middle = (a + b) >> 1
        if r_coarse[middle] <= x:
            a = middle
        else:
            b = middle
    low, high = max(low, a << COARSE_BITS), min(high, b << COARSE_BITS)
    while high - low > 1:
        middle = (low + high) >> 1
        if r[middle] <= x:
            low = middle
        else:
            high = middle
    return low


@njit(cache=True, inline='always')
def _phi_at(r, phi, cum, k, x):
    """Potential at x, between shells k and k + 1 (k = -1: inside all shells)."""
    if k < 0:
        return phi[0]
    return phi[k] + cum[k] * (1.0 / r[k] - 1.0 / x)


@njit(cache=True, inline='always')
def _pericentre(r, phi, cum, r_coarse, phi_coarse, energy, j2, at):
    """Pericentre and the shell below it, of an orbit that can be at shell ``at``.

    Between shells the radial motion is Keplerian, so the turning point solves a quadratic in 1/r.
    """
    a, b = -1, (at >> COARSE_BITS) + 1
    while b - a > 1:
        middle = (a + b) >> 1
        x = r_coarse[middle]
        if 2.0 * (energy - phi_coarse[middle]) - j2 / (x * x) < 0.0:
            a = middle
        else:
            b = middle
    low, high = max(-1, a << COARSE_BITS), min(at, b << COARSE_BITS)
    while high - low > 1:
        middle = (low + high) >> 1
        if 2.0 * (energy - phi[middle]) - j2 / (r[middle] * r[middle]) < 0.0:
            low = middle
        else:
            high = middle
    if low < 0:
        room = 2.0 * (energy - phi[0])
        return (math.sqrt(j2 / room) if room > 0.0 else r[at]), -1
    depth = energy - phi[low] - cum[low] / r[low]
    root = math.sqrt(max(0.0, cum[low] * cum[low] + 2.0 * j2 * depth))
    x = j2 / (cum[low] + root)
    return min(max(x, r[low]), r[at]), low


@njit(cache=True, inline='always')
def _apocentre(r, phi, cum, r_coarse, phi_coarse, n, energy, j2, at, own):
    """Apocentre and the shell below it; an orbit that leaves the last shell is Keplerian there.

    Outside of its place the star does not feel its own mass ``own``; ``energy`` includes the
    potential of the star itself at its place.
    """
    energy = energy + own / r[at]
    a, b = at >> COARSE_BITS, ((n - 1) >> COARSE_BITS) + 1
    while b - a > 1:
        middle = (a + b) >> 1
        x = r_coarse[middle]
        if 2.0 * (energy - phi_coarse[middle] - own / x) - j2 / (x * x) < 0.0:
            b = middle
        else:
            a = middle
    low, high = max(at, a << COARSE_BITS), min(n, b << COARSE_BITS)
    while high - low > 1:
        middle = (low + high) >> 1
        x = r[middle]
        if 2.0 * (energy - phi[middle] - own / x) - j2 / (x * x) < 0.0:
            high = middle
        else:
            low = middle
    depth = energy - phi[low] - cum[low] / r[low]
    if depth >= 0.0:
        return np.inf, low
    mass = cum[low] - own
    x = (mass + math.sqrt(max(0.0, mass * mass + 2.0 * j2 * depth))) / (-2.0 * depth)
    if high < n:
        x = min(x, r[high])
    return max(x, r[low]), low


@njit(cache=True, inline='always')
def _slope(mass, x, j2):
    """Derivative of v_r^2 with respect to r, with ``mass`` inside of x."""
    return -2.0 * mass / (x * x) + 2.0 * j2 / (x * x * x)


@njit(cache=True)
def draw_radius(r, phi, cum, r_coarse, phi_coarse, n, limit, energy, ang_mom, at, own, state):
    """A radius on an orbit with probability proportional to the time spent there, dr / abs(v_r).

    Henon's (1971) substitution r = r_p + (r_a - r_p) s^2 (3 - 2 s) makes the density in s finite at
    both turning points; s is drawn by rejection (Joshi+ 2000, section 2.4).  In an inner zone the orbit
    is only followed up to ``limit``, the radius of the first shell outside: the part of the time that it
    spends inside is what counts.

    Parameters
    ----------
    r, phi, cum : array
        Shells, their potential and the mass inside, of at least ``n`` shells.
    r_coarse, phi_coarse : array
        Every 32nd of them.
    n : int
        Shells that the orbit may be among.
    limit : float
        Outer edge of the zone (infinite for the whole cluster).
    energy, ang_mom : float
        Specific energy (in the potential ``phi`` of all shells) and angular momentum.
    at : int
        The shell that this star is now.
    own : float
        Its mass, which it does not feel.
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
        The largest density met in units of the assumed bound (above 1: the bound was too low).
    """
    j2 = ang_mom * ang_mom
    r_p, k_p = _pericentre(r, phi, cum, r_coarse, phi_coarse, energy, j2, at)
    r_a, k_a = _apocentre(r, phi, cum, r_coarse, phi_coarse, n, energy, j2, at, own)
    state, u = uniform(state)
    sign = 1.0 if u < 0.5 else -1.0
    span = r_a - r_p
    if not span > 1e-10 * r_p or r_a == limit:
        return r[at], phi[at] + own / r[at], sign, 0, 0.0
    slope_p = _slope(cum[k_p] if k_p >= 0 else 0.0, r_p, j2)
    s_max = 1.0
    cubic = True
    v2 = 0.0
    if r_a > limit:
        k_a = n - 1
        v2 = 2.0 * (energy - _phi_at(r, phi, cum, k_a, limit)) - j2 / (limit * limit)
        v2 += 2.0 * own * (1.0 / r[at] - 1.0 / limit)
    if v2 <= 0.0:
        g_end = math.sqrt(12.0 * span / max(-_slope(cum[k_a] - own, r_a, j2), 1e-300))
    else:
        slope = _slope(cum[k_a] - own, limit, j2)
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
    bound = 1.2 * max(g_start, g_end)
    excess = 0.0
    x = r[at]
    phi_x = phi[at] + own / x
    felt = energy + own / x
    trials = 0
    while trials < 500:
        trials += 1
        state, u = uniform(state)
        s = u * s_max
        if cubic:
            x = r_p + span * s * s * (3.0 - 2.0 * s)
            jacobian = 6.0 * span * s * (1.0 - s)
        else:
            x = r_p + span * s * s
            jacobian = 2.0 * span * s
        k = _shell_below(r, r_coarse, x, k_p, k_a + 1)
        phi_x = _phi_at(r, phi, cum, k, x) + own / max(x, r[at])
        v2 = 2.0 * (felt - phi_x) - j2 / (x * x)
        if v2 <= 0.0:
            continue
        g = jacobian / math.sqrt(v2)
        excess = max(excess, g / bound)
        state, u = uniform(state)
        if u * bound <= g:
            break
    return x, phi_x, sign, trials, excess


@njit(cache=True)
def _new_place(sh, work, n, limit, key, k):
    x, phi_x, sign, trials, excess = draw_radius(sh.r, sh.phi, sh.cum, work.r_coarse, work.phi_coarse,
                                                 n, limit, work.energy[k], work.ang_mom[k], k,
                                                 sh.m[k], stream(key, k))
    work.r_new[k] = x
    work.phi_at_new[k] = phi_x
    work.phi_at_old[k] = sign
    work.buffer[k] = trials if excess <= 1.0 else -trials


@njit(cache=True)
def _new_places(sh, work, n, limit, key):
    for k in range(n):
        _new_place(sh, work, n, limit, key, k)


@njit(cache=True, parallel=True)
def _new_places_parallel(sh, work, n, limit, key):
    for k in prange(n):
        _new_place(sh, work, n, limit, key, np.int64(k))


@njit(cache=True)
def _reorder(values, order, buffer, n):
    for k in range(n):
        buffer[k] = values[order[k]]
    for k in range(n):
        values[k] = buffer[k]


@njit(cache=True)
def resample(sh, work, n, threads, scaled):
    """New radii for the innermost ``n`` shells, the new potential, and velocities that follow it.

    The specific energy of a star changes by half the change of potential at its old and its new place
    (Stodolkiewicz 1982; Joshi+ 2000, section 2.5).  The mutual energy of old and new shells is the same
    from either side, so that the total energy is conserved to rounding.  The velocities that go with the
    new energies: `_follow_potential`.
    """
    total = sh.r.size
    limit = sh.r[n] if n < total else np.inf
    for k in range(n):
        work.energy[k] = 0.5 * (sh.vr[k] ** 2 + sh.vt[k] ** 2) + sh.phi[k]
        work.ang_mom[k] = sh.r[k] * sh.vt[k]
    for c in range(((n - 1) >> COARSE_BITS) + 1):
        work.r_coarse[c] = sh.r[c << COARSE_BITS]
        work.phi_coarse[c] = sh.phi[c << COARSE_BITS]
    key = next_key(work.counter)
    if threads > 1 and n >= MIN_PARALLEL:
        _new_places_parallel(sh, work, n, limit, key)
    else:
        _new_places(sh, work, n, limit, key)
    for k in range(n):
        work.tally[TRIALS] += abs(work.buffer[k])
        work.tally[BELOW_BOUND] += 1.0 if work.buffer[k] < 0.0 else 0.0
        # the sign was parked in phi_at_old, which is needed below
        sh.vr[k] = work.phi_at_old[k]
    work.tally[RESAMPLED] += n
    r_old = sh.r[:n].copy()
    phi_old = sh.phi[:n].copy()
    m_old = sh.m[:n].copy()
    order = np.argsort(work.r_new[:n])
    for k in range(n):
        sh.r[k] = work.r_new[order[k]]
    _reorder(sh.m, order, work.buffer, n)
    _reorder(sh.vr, order, work.buffer, n)
    ident = sh.ident[:n].copy()
    for k in range(n):
        sh.ident[k] = ident[order[k]]
    potential(sh, n, total)
    inside = -1
    for k in range(n):
        while inside + 1 < n and sh.r[inside + 1] <= r_old[k]:
            inside += 1
        shift = _phi_at(sh.r, sh.phi, sh.cum, inside, r_old[k]) - phi_old[k]
        own = m_old[k]
        work.phi_at_old[k] = shift + own / max(r_old[k], work.r_new[k]) - own / r_old[k]
        # from here on without the star's own potential
        work.energy[k] += own / r_old[k]
    _follow_potential(sh, work, order, n, scaled)


@njit(cache=True)
def _follow_potential(sh, work, order, n, scaled):
    """Velocities at the new places from the corrected energies; see `resample`.

    A star keeps its angular momentum, and its radial motion takes up the change of energy, unless that is
    more than the radial motion has: then both components are scaled alike, as Stodolkiewicz (1982) and
    Rodriguez+ (2022) do for all stars (``scaled``).  The rule is blind to the sign of the change.  Most of
    the change is the noise of a potential of n stars; if only stars that lose energy gave up angular
    momentum, or were kept from losing, noise would make orbits more radial or more circular, and heat the
    core.  Scaling all stars moves angular momentum outwards while a cluster expands.

    A star that would have no kinetic energy keeps that of the old potential, and the next stars pay
    (``DEBT`` is what is still owed).
    """
    debt = work.tally[DEBT]
    for k in range(n):
        old = order[k]
        phi = sh.phi[k] + sh.m[k] / sh.r[k]
        shift = work.phi_at_old[old] + phi - work.phi_at_new[old]
        vt = work.ang_mom[old] / sh.r[k]
        # in the old potential, and in the new one
        radial = max(0.0, 2.0 * (work.energy[old] - work.phi_at_new[old]) - vt * vt)
        before = radial + vt * vt
        after = 2.0 * (work.energy[old] + 0.5 * shift - phi)
        if after <= 0.0:
            debt += 0.5 * sh.m[k] * (before - after)
            after = before
        elif debt > 0.0 and sh.m[k] > 0.0:
            paid = min(debt, MAX_PAYMENT * 0.5 * sh.m[k] * after)
            after -= 2.0 * paid / sh.m[k]
            debt -= paid
        if before > 0.0 and (scaled or radial < abs(after - before)):
            factor = after / before
            radial *= factor
            vt *= math.sqrt(factor)
        else:
            radial = max(0.0, after - vt * vt)
        sh.vt[k] = vt
        sh.vr[k] = math.copysign(math.sqrt(radial), sh.vr[k])
    work.tally[DEBT] = debt


# ---------------------------------------------------------------- the step


@njit(cache=True)
def advance(sh, stars, work, n, dt, coulomb, theta_max, encounters, threads, compensated, scaled):
    """Advance the innermost ``n`` shells by ``dt``, with shorter steps where relaxation is fast.

    The inner zone takes two steps of dt / 2, each of which may divide again; meanwhile its stars stay
    inside the first shell outside of it, so that the mass inside every other shell is constant.  Then
    all n stars get new places on their whole orbits.  So a star is relaxed like the inner zone for the
    share of its time that it spends there: the weights that unequal steps need (Henon 1971), without
    rejecting any.

    Numba cannot keep recursive functions on disk, hence the stack of zones: ``size`` and ``inner`` of
    each, and how many of its inner half steps are ``left`` (-1: the inner zone is not yet known).
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
            relax(sh, stars, work, inner[depth], size[depth], step, coulomb, encounters, compensated)
            form_binaries(sh, stars, work, inner[depth], size[depth], step)
            resample(sh, work, size[depth], threads, scaled)
        depth -= 1
