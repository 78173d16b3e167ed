# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Stellar evolution: mass, luminosity, radius and type of a single star at an age.

`StellarEvolution` interpolates tracks of single stars computed by COSMIC 4.3.3 with the formulae of Hurley,
Pols & Tout (2000, MNRAS 315, 543; "SSE"). The table, its origin and the settings are described in
``pidoc/data/README.rst``; it is made by ``tools/make_stellar_tracks.py``.

Interpolation is *in phase*. A star's life is a sequence of stellar types, each from one age to another.
Between two stars of neighbouring initial mass with the same sequence, the logarithms of the ages at which a
type ends are interpolated linearly in the logarithm of the initial mass, and mass, luminosity and radius are
interpolated at the same fraction of a type's duration. So the tip of one star's giant branch is only averaged
with the tip of another's. Across the few narrow gaps where neighbours differ in sequence, or where a quantity
is discontinuous, the values of the nearer star are used.

Interpolation between two metallicities of the table is done in the same way, once, in the constructor,
linearly in log Z, at the initial masses of both, for the initial phases that both sequences have in common;
later phases are those of the nearer metallicity (in log Z). The same applies to the mass loss of giants.

Stars up to 5 Msun are tabulated only at the seven metallicities of the models to which the formulae were
fitted (Pols et al. 1998, MNRAS 298, 525). At other metallicities the formulae have giants up to 700 K too
cool or 400 K too hot, with up to 1.6 times the mass loss of those on either side, and correspondingly
different cores: polynomials in log Z that oscillate between the fitted points.

Neutron stars and black holes are from the "delayed" or the "rapid" explosions of Fryer+ (2012, ApJ 749, 91),
as in COSMIC: the table has the remnants of both, and the fraction of the ejecta that falls back, by which a
natal kick is reduced.

All numbers in this module are plain floats: Msun, Myr, Lsun, Rsun.
"""
from collections import namedtuple
from contextlib import nullcontext
from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np
from astropy.io import fits
from numba import njit

__all__ = ['StellarEvolution', 'StellarState', 'remnant_luminosity_and_radius']

StellarState = namedtuple('StellarState', 'mass luminosity radius kind')
StellarState.__doc__ = """State of stars at an age: arrays of one shape.

mass [Msun], luminosity [Lsun], radius [Rsun] and kind, the type of Hurley, Pols & Tout (2000, their
section 1): 0, 1 main sequence (below and above 0.7 Msun), 2 Hertzsprung gap, 3 first giant branch, 4 core
helium burning, 5, 6 early and thermally pulsing asymptotic giant branch, 7, 8, 9 naked helium star on its
main sequence, Hertzsprung gap and giant branch, 10, 11, 12 helium, carbon-oxygen and oxygen-neon white
dwarf, 13 neutron star, 14 black hole, 15 no remnant.
"""

TABLE = 'stellar_tracks.fits'
GIANT_MASS_LOSS = 0.5        # Reimers' eta if none is given
FIRST_REMNANT = 10
FIRST_COLLAPSED = 13         # neutron stars, black holes, massless remnants
#: explosion: its columns of the table, kind and mass of the remnant and fallback fraction
EXPLOSIONS = {'delayed': ('remnant_kind', 'remnant_mass', 'fallback'),
              'rapid': ('rapid_kind', 'rapid_mass', 'rapid_fallback')}
WD_COOLING_BREAK = 9000.0    # Myr, Hurley & Shara (2003), below their eq. 1
DARK = 1e-10                 # Lsun, and Rsun for massless remnants: the lower limit of SSE


# ---------------------------------------------------------------------------- remnants
@njit(cache=True)
def _remnant(mass, kind, age, metallicity):
    """Luminosity and radius of a remnant `age` Myr after it formed; see the public function."""
    if kind == 15:
        return DARK, DARK
    if kind == 14:
        return DARK, 4.24e-6 * mass
    if kind == 13:
        return 0.02 * mass**0.67 / max(age, 0.1)**2, 1.4e-5
    baryons = 4.0 if kind == 10 else 16.0
    if age < WD_COOLING_BREAK:
        luminosity = 300.0 * mass * metallicity**0.4 / (baryons * (age + 0.1))**1.18
    else:
        luminosity = (300.0 * (9000.1 * baryons)**5.3 * mass * metallicity**0.4
                      / (baryons * (age + 0.1))**6.48)
    limit = 1.38 if kind == 12 else 1.44
    ratio = (limit / mass)**(2.0 / 3.0)
    radius = min(0.1, 0.0115 * np.sqrt(max(1.48204e-6, ratio - 1.0 / ratio)))
    return luminosity, radius


def remnant_luminosity_and_radius(mass, kind, age, metallicity):
    """Luminosity [Lsun] and radius [Rsun] of a white dwarf, neutron star or black hole.

    Parameters
    ----------
    mass : float
        Mass [Msun].
    kind : int
        10 to 15, see `StellarState`.
    age : float
        Time since the formation of the remnant [Myr].
    metallicity : float
        Mass fraction of metals of the progenitor.

    Returns
    -------
    luminosity, radius : float

    Raises
    ------
    ValueError
        If ``kind`` is not a remnant.

    Notes
    -----
    White dwarfs cool by the modified Mestel law of Hurley & Shara (2003, ApJ 589, 179, the text after their
    eq. 1), with a break at 9 Gyr and A = 4 for helium, A = 16 for carbon-oxygen and, as in COSMIC, for
    oxygen-neon; their radius is eq. 91 of Hurley, Pols & Tout (2000) with a Chandrasekhar mass of 1.44 Msun
    (1.38 for oxygen-neon). Neutron stars follow eq. 93 with the exponent of the mass rounded to 0.67, and
    have 10 km; black holes have their Schwarzschild radius, and 1e-10 Lsun instead of zero.

    Examples
    --------
    >>> luminosity, radius = remnant_luminosity_and_radius(0.6, 11, 1000.0, 0.02)
    >>> print(f'{luminosity:.2e} {radius:.4f}')
    4.12e-04 0.0128
    """
    if kind < FIRST_REMNANT or kind > 15:
        raise ValueError(f'kind must be that of a remnant, 10 to 15, received {kind}')
    return _remnant(float(mass), int(kind), float(age), float(metallicity))


# ---------------------------------------------------------------------------- kernels
_Table = namedtuple('_Table', 'log_mass first_bin bins_per_log jump n_phases log_end kinds row nodes '
                              'values remnant_mass fallback electron_capture')
_Table.__doc__ = """Tracks of one metallicity as arrays, for stars i, phases k and remnants.

log_mass[i]: logarithms of the initial masses, with first_bin and bins_per_log to find one quickly;
jump[i]: no interpolation between i and i + 1; n_phases[i]; log_end[i, k]: logarithm of the age at the end of
a phase, inf past the last; kinds[i, k]: types, that of the remnant after the last phase, -1 for none;
row[i, k]: where in values; nodes[kind, n]: fractions of a phase; values[row, n, quantity]: mass / initial
mass, ln luminosity, ln radius; remnant_mass[i]; fallback[i]; electron_capture[i]: 1 if the neutron star came
from it.
"""


# The small functions have single arrays as arguments: passing a whole table takes longer than their work.
@njit(cache=True)
def _neighbours(log_mass, grid, first_bin, bins_per_log, jump):
    """Two masses of the grid and the weight of the second; the nearer one twice across a jump."""
    bin_ = int((log_mass - grid[0]) * bins_per_log)
    i = first_bin[min(max(bin_, 0), len(first_bin) - 1)]
    while i < len(grid) - 2 and grid[i + 1] <= log_mass:
        i += 1
    w = min(1.0, max(0.0, (log_mass - grid[i]) / (grid[i + 1] - grid[i])))
    if jump[i]:
        i = i if w < 0.5 else i + 1
        return i, i, 0.0
    return i, i + 1, w


@njit(cache=True)
def _log_end(i, j, w, k, log_end):
    """Logarithm of the age at which phase k ends."""
    return (1.0 - w) * log_end[i, k] + w * log_end[j, k]


@njit(cache=True)
def _phase(age, i, j, w, n_phases, log_end):
    """Number of the phase at an age, and its first and last age (the last inf for a remnant)."""
    if age <= 0.0:
        return 0, 0.0, np.exp(_log_end(i, j, w, 0, log_end))
    n = min(n_phases[i], n_phases[j])
    log_age = np.log(age)
    log_begin = -np.inf
    for k in range(n):
        log_finish = _log_end(i, j, w, k, log_end)
        if log_age < log_finish:
            begin = np.exp(log_begin) if k > 0 else 0.0
            return k, begin, np.exp(log_finish)
        log_begin = log_finish
    return n, np.exp(log_begin), np.inf


@njit(cache=True)
def _node(fraction, nodes):
    """Interval of the nodes that contains a fraction, and the position in it."""
    low, high = 0, len(nodes) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if nodes[middle] <= fraction:
            low = middle
        else:
            high = middle
    return low, min(1.0, (fraction - nodes[low]) / (nodes[low + 1] - nodes[low]))


@njit(cache=True)
def _sample(values, a, b, low, x, w, quantity):
    """Bilinear interpolation between two nodes of a phase, and between the two stars."""
    first = values[a, low, quantity] * (1.0 - x) + values[a, low + 1, quantity] * x
    second = values[b, low, quantity] * (1.0 - x) + values[b, low + 1, quantity] * x
    return first * (1.0 - w) + second * w


@njit(cache=True)
def _states(initial_mass, age, metallicity, table, mass, luminosity, radius, kind):
    (grid, first_bin, bins_per_log, jump, n_phases, log_end, kinds, row, nodes, values,
     remnant_mass, _, _) = table
    for s in range(len(initial_mass)):
        i, j, w = _neighbours(np.log(initial_mass[s]), grid, first_bin, bins_per_log, jump)
        k, begin, end = _phase(age[s], i, j, w, n_phases, log_end)
        kind[s] = kinds[i, k]
        if kind[s] >= FIRST_REMNANT:
            mass[s] = (1.0 - w) * remnant_mass[i] + w * remnant_mass[j]
            luminosity[s], radius[s] = _remnant(mass[s], kind[s], age[s] - begin, metallicity)
        else:
            low, x = _node((age[s] - begin) / (end - begin), nodes[kind[s]])
            a, b = row[i, k], row[j, k]
            mass[s] = initial_mass[s] * _sample(values, a, b, low, x, w, 0)
            luminosity[s] = np.exp(_sample(values, a, b, low, x, w, 1))
            radius[s] = np.exp(_sample(values, a, b, low, x, w, 2))


@njit(cache=True)
def _masses(initial_mass, age, table, mass, kind):
    (grid, first_bin, bins_per_log, jump, n_phases, log_end, kinds, row, nodes, values,
     remnant_mass, _, _) = table
    for s in range(len(initial_mass)):
        i, j, w = _neighbours(np.log(initial_mass[s]), grid, first_bin, bins_per_log, jump)
        k, begin, end = _phase(age[s], i, j, w, n_phases, log_end)
        kind[s] = kinds[i, k]
        if kind[s] >= FIRST_REMNANT:
            mass[s] = (1.0 - w) * remnant_mass[i] + w * remnant_mass[j]
        else:
            low, x = _node((age[s] - begin) / (end - begin), nodes[kind[s]])
            mass[s] = initial_mass[s] * _sample(values, row[i, k], row[j, k], low, x, w, 0)


@njit(cache=True)
def _remnant_times(initial_mass, table, time):
    for s in range(len(initial_mass)):
        i, j, w = _neighbours(np.log(initial_mass[s]), table.log_mass, table.first_bin,
                              table.bins_per_log, table.jump)
        n = table.n_phases[i]
        if table.n_phases[j] != n or table.kinds[i, n] < FIRST_REMNANT:
            time[s] = np.inf
        else:
            time[s] = np.exp(_log_end(i, j, w, n - 1, table.log_end))


@njit(cache=True)
def _loss_start(i, j, w, tolerance, table):
    """Age at which the mass has decreased by a fraction ``tolerance``; inf if it never does."""
    begin = 0.0
    for k in range(min(table.n_phases[i], table.n_phases[j])):
        end = np.exp(_log_end(i, j, w, k, table.log_end))
        nodes = table.nodes[table.kinds[i, k]]
        before = 1.0
        for n in range(len(nodes)):
            mass = ((1.0 - w) * table.values[table.row[i, k], n, 0]
                    + w * table.values[table.row[j, k], n, 0])
            if mass < 1.0 - tolerance:
                fraction = 0.0
                if n > 0:
                    x = (before - 1.0 + tolerance) / (before - mass)
                    fraction = nodes[n - 1] + x * (nodes[n] - nodes[n - 1])
                return begin + fraction * (end - begin)
            before = mass
        begin = end
    if table.kinds[i, table.n_phases[i]] >= FIRST_REMNANT:
        return begin
    return np.inf


@njit(cache=True)
def _loss_starts(initial_mass, tolerance, table, time):
    for s in range(len(initial_mass)):
        i, j, w = _neighbours(np.log(initial_mass[s]), table.log_mass, table.first_bin,
                              table.bins_per_log, table.jump)
        time[s] = _loss_start(i, j, w, tolerance, table)


@njit(cache=True)
def _interpolate(initial_mass, table, quantity, values):
    """Interpolate a quantity of the stars of a table to other initial masses."""
    for s in range(len(initial_mass)):
        i, j, w = _neighbours(np.log(initial_mass[s]), table.log_mass, table.first_bin,
                              table.bins_per_log, table.jump)
        values[s] = (1.0 - w) * quantity[i] + w * quantity[j]


# ---------------------------------------------------------------------------- the table
def _table(mass, *arrays):
    """A `_Table` from these arrays, with an index by mass."""
    log_mass = np.log(mass)
    n_bins = 4 * len(mass)
    bins_per_log = float(n_bins / (log_mass[-1] - log_mass[0]))
    edges = log_mass[0] + np.arange(n_bins) / bins_per_log
    first_bin = np.clip(np.searchsorted(log_mass, edges, side='right') - 1, 0, len(mass) - 2)
    return _Table(log_mass, first_bin, bins_per_log, *arrays)


def _read(hdus, number, explosion):
    """Tracks of the block with this number in the file, and the remnants of an explosion."""
    n_stars = hdus['BLOCKS'].data['n_stars']
    first = np.sum(n_stars[:number])
    stars = hdus['STARS'].data
    remnant_kind, remnant_mass, fallback = EXPLOSIONS[explosion]
    first_phase = np.sum(stars['n_phases'][:first], dtype=np.int64)
    stars = stars[first:first + n_stars[number]]
    n_phases = stars['n_phases'].astype(np.int64)
    here = slice(first_phase, first_phase + n_phases.sum())
    column = np.arange(n_phases.max() + 1)
    present = column < n_phases[:, None]
    row = np.where(present, (np.cumsum(n_phases) - n_phases)[:, None] + column, 0)
    phases = hdus['PHASES'].data[here]
    kinds = np.where(present, phases['kind'].astype(np.int64)[row], -1)
    kinds[np.arange(len(kinds)), n_phases] = stars[remnant_kind]
    duration = phases['duration'].astype(float)[row]
    log_end = np.where(present, np.log(np.cumsum(duration, axis=1)), np.inf)
    image = hdus['VALUES']
    scale = np.array([image.header[f'SCALE{plane}'] for plane in (1, 2, 3)])
    scale[1:] *= np.log(10.0)
    values = np.ascontiguousarray(np.moveaxis(image.section[:, here], 0, -1) * scale)
    return _table(stars['initial_mass'].astype(float), stars['jump'].astype(bool), n_phases, log_end,
                  kinds, row, hdus['NODES'].data['fraction'].astype(float),
                  values.astype(np.float32), stars[remnant_mass].astype(float),
                  stars[fallback].astype(float), stars['electron_capture'].astype(float))


def _interval(log_mass, table):
    """Index of the interval of a table that contains each mass."""
    i = np.searchsorted(table.log_mass, log_mass, side='right') - 1
    return np.clip(i, 0, len(table.log_mass) - 2)


_Stars = namedtuple('_Stars', 'number log_end kinds values remnant_mass fallback electron_capture')


def _at(log_mass, table, width):
    """Interpolate to other initial masses, in phase like the kernels, padded to `width` phases."""
    i = _interval(log_mass, table)
    step = table.log_mass[i + 1] - table.log_mass[i]
    w = np.clip((log_mass - table.log_mass[i]) / step, 0.0, 1.0)
    whole = table.jump[i] | (w == 0.0) | (w == 1.0)
    nearer = np.where(w < 0.5, i, i + 1)
    i, j = np.where(whole, nearer, i), np.where(whole, nearer, i + 1)
    w = np.where(whole, 0.0, w)
    number = np.minimum(table.n_phases[i], table.n_phases[j])
    missing = np.arange(table.log_end.shape[1]) >= number[:, None]
    log_end = np.where(missing, np.inf, _blend(table.log_end[i], table.log_end[j], w[:, None]))
    kinds = np.where(missing, -1, table.kinds[i])
    star = np.arange(len(number))
    # next to a star whose track is incomplete, the remnant is not known
    known = table.n_phases[i] == table.n_phases[j]
    kinds[star, number] = np.where(known, table.kinds[i, number], -1)
    values = _blend(table.values[table.row[i]], table.values[table.row[j]], w[:, None, None, None])
    remnant = [_blend(x[i], x[j], w) for x in (table.remnant_mass, table.fallback, table.electron_capture)]
    more = (0, width + 1 - log_end.shape[1])
    return _Stars(number, np.pad(log_end, ((0, 0), more), constant_values=np.inf),
                  np.pad(kinds, ((0, 0), more), constant_values=-1),
                  np.pad(values, ((0, 0), more, (0, 0), (0, 0))), *remnant)


def _blend(first, second, weight):
    """Linear interpolation; `weight` is that of `second`, and 0 keeps infinities."""
    with np.errstate(invalid='ignore'):
        return np.where(weight == 0.0, first, first * (1.0 - weight) + second * weight)


def _family(kinds):
    """Types, with one number for the main sequence, one for white dwarfs, one for collapsed stars."""
    families = np.array([-1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10, 13, 13, 15])
    return families[np.asarray(kinds) + 1]


def _between(first, second, weight, heaviest_ns):
    """Tracks between two metallicities, with `weight` for the second.

    At every initial mass of either table: initial phases that both sequences of types have in common are
    interpolated; later phases are those of the nearer metallicity, with the same ratios to the age at which
    they begin. The remnant's mass and the fallback are interpolated between two white dwarfs, and between two
    neutron stars or black holes, which are separated at `heaviest_ns` [Msun].
    """
    log_mass = np.union1d(first.log_mass, second.log_mass)
    width = max(first.log_end.shape[1], second.log_end.shape[1]) - 1
    one, two = _at(log_mass, first, width), _at(log_mass, second, width)
    near = one if weight < 0.5 else two
    same = np.logical_and.accumulate(_family(one.kinds) == _family(two.kinds), axis=1)
    common = same & (near.kinds >= 0) & (near.kinds < FIRST_REMNANT)
    log_end = _blend(one.log_end, two.log_end, weight)
    star = np.arange(len(log_mass))
    last = np.sum(common, axis=1) - 1
    shift = log_end[star, last] - near.log_end[star, last]
    log_end = np.where(common, log_end, near.log_end + shift[:, None])
    values = np.where(common[:, :, None, None], _blend(one.values, two.values, weight), near.values)
    # later phases start from the interpolated mass
    left = values[star, last, -1, 0] / near.values[star, last, -1, 0]
    values[..., 0] *= np.where(common, 1.0, left[:, None])[:, :, None]
    remnant = [_family(x.kinds[star, x.number]) for x in (one, two)]
    alike = (remnant[0] == remnant[1]) & (remnant[0] >= FIRST_REMNANT)
    remnant_mass, fallback = (
        np.where(alike, _blend(getattr(one, name), getattr(two, name), weight), getattr(near, name))
        for name in ('remnant_mass', 'fallback'))
    last_mass = np.exp(log_mass) * values[star, near.number - 1, -1, 0]
    remnant_mass = np.minimum(remnant_mass, last_mass)
    kinds = near.kinds.copy()
    collapsed = alike & (remnant[0] == _family(13))
    kinds[collapsed, near.number[collapsed]] = np.where(remnant_mass[collapsed] > heaviest_ns, 14, 13)
    middle = 0.5 * (log_mass[:-1] + log_mass[1:])
    differ = np.any(kinds[:-1] != kinds[1:], axis=1) & (near.number[:-1] > 1)
    jump = differ | first.jump[_interval(middle, first)] | second.jump[_interval(middle, second)]
    row = star[:, None] * (width + 1) + np.arange(width + 1)
    return _table(np.exp(log_mass), np.append(jump, False), near.number, log_end, kinds, row,
                  first.nodes, values.astype(np.float32).reshape(-1, *values.shape[2:]), remnant_mass,
                  fallback, near.electron_capture)


def _limits(values):
    return values.min(), values.max()


def _within(values, value, name):
    """Check that a number is within the values of a table."""
    low, high = _limits(values)
    if not low <= float(value) <= high:
        raise ValueError(f'{name} must be between {low:g} and {high:g}, received {value:g}')
    return float(value)


def _interpolated(grid, value, table_at, scale, heaviest_ns):
    """Tracks at a value, interpolated linearly in `scale` between those of `table_at` on a sorted grid."""
    upper = int(np.searchsorted(grid, value))
    if grid[upper] == value:
        return table_at(value)
    low, high = grid[upper - 1:upper + 1]
    weight = (scale(value) - scale(low)) / (scale(high) - scale(low))
    return _between(table_at(low), table_at(high), weight, heaviest_ns)


def _joined(light, heavy):
    """Join tables of light and of heavy stars; the last and the first star have the same mass."""
    width = max(light.log_end.shape[1], heavy.log_end.shape[1])

    def both(name, fill=None):
        parts = [getattr(light, name)[:-1], getattr(heavy, name)]
        if fill is not None:
            parts = [np.pad(x, ((0, 0), (0, width - x.shape[1])), constant_values=fill) for x in parts]
        return np.concatenate(parts)

    heavy = heavy._replace(row=heavy.row + len(light.values))
    return _table(np.exp(both('log_mass')), both('jump'), both('n_phases'), both('log_end', np.inf),
                  both('kinds', -1), both('row', 0), light.nodes,
                  np.concatenate([light.values, heavy.values]),
                  *(both(name) for name in ('remnant_mass', 'fallback', 'electron_capture')))


class StellarEvolution:
    """Evolution of single stars of one metallicity.

    Parameters
    ----------
    metallicity : float
        Mass fraction of metals, within 0.0001 to 0.03, the range of the table.
    table : path-like, optional
        Another table made by ``tools/make_stellar_tracks.py``, with other settings of COSMIC.
    explosion : {'delayed', 'rapid'}, optional
        The explosions of Fryer+ (2012), which determine masses and types of neutron stars and black holes.
    giant_mass_loss : float, optional
        Reimers' eta, the mass loss of giants of up to 5 Msun, within 0.1 to 0.5, the range of the table; by
        default 0.5.

    Attributes
    ----------
    metallicity : float
    explosion : str
    giant_mass_loss : float
    mass_limits : tuple of float
        Lowest and highest initial mass of the table [Msun].
    age_limit : float
        Upper limit of ages in the table [Myr].

    Raises
    ------
    ValueError
        If the metallicity or ``giant_mass_loss`` is outside the table; if ``explosion`` is not one of the
        two; if ``table`` has another layout.

    Notes
    -----
    All methods take arrays that broadcast and return arrays of the broadcast shape (numpy scalars for
    scalars). Initial masses outside ``mass_limits`` and ages that are negative, beyond ``age_limit`` or NaN
    raise `ValueError`.

    Examples
    --------
    >>> stars = StellarEvolution(0.001)
    >>> state = stars.state([0.5, 1.0, 5.0, 30.0], 12000.0)
    >>> print(state.kind)
    [ 0 11 11 14]
    """

    def __init__(self, metallicity, *, table=None, explosion='delayed', giant_mass_loss=None):
        if explosion not in EXPLOSIONS:
            raise ValueError(f'explosion must be one of {", ".join(EXPLOSIONS)}, received {explosion!r}')
        source = as_file(files('pidoc') / 'data' / TABLE) if table is None else nullcontext(table)
        with source as path, fits.open(path) as hdus:
            if 'BLOCKS' not in hdus:
                raise ValueError(f'{path} has no table BLOCKS: it was made by an older '
                                 'make_stellar_tracks.py, make it again')
            header, blocks = hdus[0].header, hdus['BLOCKS'].data
            self.explosion = explosion
            self.age_limit = float(header['AGE_MAX'])
            self.mass_limits = (float(header['MASS_LO']), float(header['MASS_HI']))
            light = blocks['heaviest'] < self.mass_limits[1]
            winds = blocks['giant_mass_loss'][light]
            if giant_mass_loss is None:
                giant_mass_loss = np.clip(GIANT_MASS_LOSS, *_limits(winds))
            self.metallicity = _within(blocks['metallicity'], metallicity, 'metallicity')
            self.giant_mass_loss = _within(winds, giant_mass_loss, 'giant_mass_loss')
            self._table = self._read_blocks(hdus, blocks, light)

    def _read_blocks(self, hdus, blocks, light):
        """The tracks of this metallicity and mass loss; `light`: the blocks with different mass loss."""
        z, eta, heaviest_ns = blocks['metallicity'], blocks['giant_mass_loss'], hdus[0].header['BSE mxns']

        def block(chosen):
            return _read(hdus, int(np.flatnonzero(chosen)[0]), self.explosion)

        def at_metallicity(chosen, table_at):
            return _interpolated(np.unique(z[chosen]), self.metallicity, table_at, np.log, heaviest_ns)

        def light_stars(metallicity):
            chosen = light & (z == metallicity)
            return _interpolated(np.unique(eta[chosen]), self.giant_mass_loss,
                                 lambda loss: block(chosen & (eta == loss)), float, heaviest_ns)

        return _joined(at_metallicity(light, light_stars),
                       at_metallicity(~light, lambda metallicity: block(~light & (z == metallicity))))

    @classmethod
    def of(cls, model):
        """The stellar evolution of a cluster model.

        Parameters
        ----------
        model : `~pidoc.ClusterModel`
            Model, whose metallicity, mass loss of giants and supernovae are used.

        Returns
        -------
        StellarEvolution

        Examples
        --------
        >>> from pidoc import ClusterModel
        >>> StellarEvolution.of(ClusterModel(natal_kicks='rapid')).explosion
        'rapid'
        """
        # full kicks are for remnants of delayed explosions
        return _evolution(cls, model.metallicity, model.giant_mass_loss,
                          'rapid' if model.natal_kicks == 'rapid' else 'delayed')

    def __repr__(self):
        return f'{type(self).__name__}({self.metallicity:g}, giant_mass_loss={self.giant_mass_loss:g})'

    def _check_mass(self, initial_mass):
        mass = np.asarray(initial_mass, dtype=float)
        low, high = self.mass_limits
        if mass.size and not (mass.min() >= low and mass.max() <= high):
            bad = mass[~((mass >= low) & (mass <= high))].flat[0]
            raise ValueError(f'initial_mass must be between {low:g} and {high:g} Msun, '
                             f'received {bad:g}')
        return mass

    def _check_age(self, age):
        age = np.asarray(age, dtype=float)
        if age.size and not (age.min() >= 0.0 and age.max() <= self.age_limit):
            bad = age[~((age >= 0.0) & (age <= self.age_limit))].flat[0]
            raise ValueError(f'age must be between 0 and {self.age_limit:g} Myr, received {bad:g}')
        return age

    def state(self, initial_mass, age):
        """Mass, luminosity, radius and type at an age.

        Parameters
        ----------
        initial_mass : array-like of float
            Mass on the zero-age main sequence [Msun].
        age : array-like of float
            Age [Myr].

        Returns
        -------
        StellarState
            mass [Msun], luminosity [Lsun], radius [Rsun], kind.
        """
        mass, age = self._of_one_shape(initial_mass, age)
        shape = mass.shape
        out = [np.empty(mass.size) for _ in range(3)] + [np.empty(mass.size, dtype=np.int16)]
        _states(mass.ravel(), age.ravel(), self.metallicity, self._table, *out)
        return StellarState(*(x.reshape(shape)[()] for x in out))

    def mass(self, initial_mass, age):
        """Mass and type only, faster than `state`.

        Parameters
        ----------
        initial_mass, age : array-like of float
            As for `state`.

        Returns
        -------
        mass : array of float
            Mass [Msun].
        kind : array of int16
            Type, see `StellarState`.
        """
        initial, age = self._of_one_shape(initial_mass, age)
        mass, kind = np.empty(initial.size), np.empty(initial.size, dtype=np.int16)
        _masses(initial.ravel(), age.ravel(), self._table, mass, kind)
        return mass.reshape(initial.shape)[()], kind.reshape(initial.shape)[()]

    def _of_one_shape(self, initial_mass, age):
        """Check and broadcast masses and ages to new arrays, since kernels do not accept broadcast ones."""
        arrays = self._check_mass(initial_mass), self._check_age(age)
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
        return [np.array(np.broadcast_to(array, shape)) for array in arrays]

    def remnant_time(self, initial_mass):
        """Age at which a star becomes a white dwarf, a neutron star, a black hole, or a massless remnant.

        Parameters
        ----------
        initial_mass : array-like of float
            Mass on the zero-age main sequence [Msun].

        Returns
        -------
        array of float
            Age [Myr]; inf for a star that outlives the table.
        """
        return self._of_stars(_remnant_times, initial_mass, self._table)

    def mass_loss_start(self, initial_mass, *, tolerance=1e-4):
        """Age before which a star's mass is within a fraction ``tolerance`` of its initial mass.

        Parameters
        ----------
        initial_mass : array-like of float
            Mass on the zero-age main sequence [Msun].
        tolerance : float, optional
            Fraction of the initial mass, above 0 and below 1.

        Returns
        -------
        array of float
            Age [Myr]; inf for a star that keeps its mass until the end of the table.
        """
        if not 0.0 < tolerance < 1.0:
            raise ValueError(f'tolerance must be between 0 and 1, received {tolerance:g}')
        return self._of_stars(_loss_starts, initial_mass, float(tolerance), self._table)

    def fallback(self, initial_mass):
        """Fraction of the ejecta that falls back onto a neutron star or black hole.

        Parameters
        ----------
        initial_mass : array-like of float
            Mass on the zero-age main sequence [Msun].

        Returns
        -------
        array of float
            From 0 to 1 (direct collapse to a black hole); 0 for stars without such a remnant, and for neutron
            stars from electron capture.

        Notes
        -----
        Fryer et al. (2012, ApJ 749, 91), eq. 15-16 and 18-19, with the masses of star and carbon-oxygen core
        just before the explosion; "rapid" with a proto-neutron star of 1.1 Msun, as in COSMIC.

        Examples
        --------
        >>> print(StellarEvolution(0.001).fallback([5.0, 10.0, 25.0, 60.0]).round(2))
        [0.   0.02 0.58 1.  ]
        """
        return self._of_stars(_interpolate, initial_mass, self._table, self._table.fallback)

    def electron_capture(self, initial_mass):
        """Whether stars become a neutron star by electron capture.

        Parameters
        ----------
        initial_mass : array-like of float
            Mass on the zero-age main sequence [Msun].

        Returns
        -------
        array of bool
        """
        return self._of_stars(_interpolate, initial_mass, self._table, self._table.electron_capture) > 0.5

    def _of_stars(self, kernel, initial_mass, *arguments):
        """One number for each star, computed by a kernel; initial masses are checked."""
        mass = self._check_mass(initial_mass)
        values = np.empty(mass.size)
        kernel(mass.ravel(), *arguments, values)
        return values.reshape(mass.shape)[()]


@lru_cache(maxsize=128)
def _evolution(kind, metallicity, giant_mass_loss, explosion):
    """Cached, since tables take some tenths of a second to interpolate, and are needed repeatedly."""
    return kind(metallicity, giant_mass_loss=giant_mass_loss, explosion=explosion)
