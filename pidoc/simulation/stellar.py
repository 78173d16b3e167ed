# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Stellar evolution: mass, luminosity, radius and type of a single star at an age.

`StellarEvolution` interpolates tracks of single stars that COSMIC 4.3.3 computed with the formulae of
Hurley, Pols & Tout (2000, MNRAS 315, 543; "SSE"). The table, its origin and the settings are described
in ``pidoc/data/README.rst``; ``tools/make_stellar_tracks.py`` makes it.

Interpolation is *in phase*. A star's life is a sequence of stellar types, each from one age to another.
Between two stars of neighbouring initial mass with the same sequence, the logarithms of the ages at which
a type ends are interpolated linearly in the logarithm of the initial mass, and mass, luminosity and
radius are compared at the same fraction of a type's duration. So the tip of one star's giant branch is
only ever averaged with the tip of another's. Across the few narrow gaps where neighbours differ in
sequence, or where something jumps, the nearer star is taken whole.

Between two metallicities of the table the same is done once, in the constructor, linearly in log Z, at
every initial mass where the two agree in sequence; elsewhere the nearer metallicity (in log Z) is taken.

Numbers are plain floats here: Msun, Myr, Lsun, Rsun.
"""
from collections import namedtuple
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

TABLE = 'stellar_tracks.fits.gz'
FIRST_REMNANT = 10
WD_COOLING_BREAK = 9000.0    # Myr, Hurley & Shara (2003), below their eq. 1
DARK = 1e-10                 # Lsun and, of what left no remnant, Rsun: the floor that SSE uses


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
    """Luminosity [Lsun] and radius [Rsun] of one white dwarf, neutron star or black hole.

    Parameters
    ----------
    mass : float
        Mass [Msun].
    kind : int
        10 to 15, see `StellarState`.
    age : float
        Time since the remnant formed [Myr].
    metallicity : float
        Mass fraction of metals of the star it came from.

    Returns
    -------
    luminosity, radius : float

    Raises
    ------
    ValueError
        If `kind` is not that of a remnant.

    Notes
    -----
    White dwarfs cool by the modified Mestel law of Hurley & Shara (2003, ApJ 589, 179, the text after
    their eq. 1), which breaks at 9 Gyr and takes helium as A = 4, carbon-oxygen and, as COSMIC has it,
    oxygen-neon as A = 16; their radius is eq. 91 of Hurley, Pols & Tout (2000) with a Chandrasekhar mass
    of 1.44 Msun (1.38 for oxygen-neon). Neutron stars follow eq. 93 with the exponent of the mass rounded
    to 0.67, and have 10 km; black holes have their Schwarzschild radius, and 1e-10 Lsun in place of none.

    Examples
    --------
    >>> luminosity, radius = remnant_luminosity_and_radius(0.6, 11, 1000.0, 0.02)
    >>> print(f'{luminosity:.2e} {radius:.4f}')
    4.11e-04 0.0127
    """
    if kind < FIRST_REMNANT or kind > 15:
        raise ValueError(f'kind must be that of a remnant, 10 to 15, received {kind}')
    return _remnant(float(mass), int(kind), float(age), float(metallicity))


# ---------------------------------------------------------------------------- kernels
@njit(cache=True)
def _place(log_mass, grid, first_bin, bins_per_log):
    """Index of the grid mass at or below, and the fraction of the way to the next."""
    i = first_bin[min(max(int((log_mass - grid[0]) * bins_per_log), 0), len(first_bin) - 1)]
    while i < len(grid) - 2 and grid[i + 1] <= log_mass:
        i += 1
    return i, min(1.0, max(0.0, (log_mass - grid[i]) / (grid[i + 1] - grid[i])))


@njit(cache=True)
def _neighbours(log_mass, grid, first_bin, bins_per_log, jump):
    """Two grid masses and the weight of the second; the nearer one twice across a jump."""
    i, w = _place(log_mass, grid, first_bin, bins_per_log)
    if jump[i]:
        i = i if w < 0.5 else i + 1
        return i, i, 0.0
    return i, i + 1, w


@njit(cache=True)
def _phase(age, i, j, w, n_phases, log_end):
    """Number of the phase at an age, and its first and last age (the last inf for a remnant)."""
    begin = 0.0
    n = min(n_phases[i], n_phases[j])
    if age <= 0.0:
        return 0, 0.0, np.exp((1.0 - w) * log_end[i, 0] + w * log_end[j, 0])
    log_age = np.log(age)
    log_begin = -np.inf
    for k in range(n):
        log_finish = (1.0 - w) * log_end[i, k] + w * log_end[j, k]
        if log_age < log_finish:
            if k > 0:
                begin = np.exp(log_begin)
            return k, begin, np.exp(log_finish)
        log_begin = log_finish
    return n, np.exp(log_begin), np.inf


@njit(cache=True)
def _node(fraction, nodes):
    """Interval of the nodes that holds a fraction, and the position in it."""
    low, high = 0, len(nodes) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if nodes[middle] <= fraction:
            low = middle
        else:
            high = middle
    return low, min(1.0, (fraction - nodes[low]) / (nodes[low + 1] - nodes[low]))


@njit(cache=True)
def _sample(values, a, b, low, x, w, column):
    """Bilinear: between two nodes of a phase, and between the two stars."""
    first = values[a, low, column] * (1.0 - x) + values[a, low + 1, column] * x
    second = values[b, low, column] * (1.0 - x) + values[b, low + 1, column] * x
    return first * (1.0 - w) + second * w


@njit(cache=True)
def _states(initial_mass, age, metallicity, table, mass, luminosity, radius, kind):
    (grid, first_bin, bins_per_log, jump, n_phases, log_end, kinds, row, nodes, values,
     remnant_mass) = table
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
     remnant_mass) = table
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
    grid, first_bin, bins_per_log, jump, n_phases, log_end, kinds = table[:7]
    for s in range(len(initial_mass)):
        i, j, w = _neighbours(np.log(initial_mass[s]), grid, first_bin, bins_per_log, jump)
        n = n_phases[i]
        if n_phases[j] != n or kinds[i, n] < FIRST_REMNANT:
            time[s] = np.inf
        else:
            time[s] = np.exp((1.0 - w) * log_end[i, n - 1] + w * log_end[j, n - 1])


@njit(cache=True)
def _loss_starts(initial_mass, tolerance, table, time):
    (grid, first_bin, bins_per_log, jump, n_phases, log_end, kinds, row, nodes, values,
     remnant_mass) = table
    for s in range(len(initial_mass)):
        i, j, w = _neighbours(np.log(initial_mass[s]), grid, first_bin, bins_per_log, jump)
        time[s] = np.inf
        begin = 0.0
        for k in range(min(n_phases[i], n_phases[j])):
            end = np.exp((1.0 - w) * log_end[i, k] + w * log_end[j, k])
            where = nodes[kinds[i, k]]
            before = 1.0
            for low in range(len(where)):
                here = (values[row[i, k], low, 0] * (1.0 - w) + values[row[j, k], low, 0] * w)
                if here < 1.0 - tolerance:
                    x = 0.0
                    if low > 0:
                        x = (before - 1.0 + tolerance) / (before - here)
                        x = where[low - 1] + x * (where[low] - where[low - 1])
                    time[s] = begin + x * (end - begin)
                    break
                before = here
            if time[s] < np.inf:
                break
            begin = end
        if time[s] == np.inf and kinds[i, n_phases[i]] >= FIRST_REMNANT:
            time[s] = begin


# ---------------------------------------------------------------------------- the table
class _Tracks:
    """Tracks of one metallicity as the kernels want them, padded to rectangles."""

    def __init__(self, mass, jump, n_phases, log_end, kinds, row, nodes, values, remnant_mass):
        grid = np.log(mass)
        n_bins = 4 * len(grid)
        bins_per_log = n_bins / (grid[-1] - grid[0])
        edges = grid[0] + np.arange(n_bins) / bins_per_log
        first_bin = np.clip(np.searchsorted(grid, edges, side='right') - 1, 0, len(grid) - 2)
        self.mass = mass
        self.arrays = (grid, first_bin, float(bins_per_log), jump, n_phases, log_end, kinds, row,
                       nodes, values, remnant_mass)

    @classmethod
    def from_hdus(cls, hdus, number):
        """Tracks of the metallicity with this number in the table."""
        stars, phases = hdus[f'STARS{number}'].data, hdus[f'PHASES{number}'].data
        n_phases = stars['n_phases'].astype(np.int64)
        longest = n_phases.max()
        column = np.arange(longest + 1)
        row = stars['first_phase'].astype(np.int64)[:, None] + column
        present = column < n_phases[:, None]
        row = np.where(present, row, 0)
        kinds = np.where(present, phases['kind'].astype(np.int64)[row], -1)
        kinds[np.arange(len(kinds)), n_phases] = stars['remnant_kind']
        log_end = np.where(present, np.log(phases['end'].astype(float))[row], np.inf)
        values = np.stack([phases['mass_fraction'],
                           phases['log_luminosity'] * np.log(10.0),
                           phases['log_radius'] * np.log(10.0)], axis=-1).astype(np.float32)
        return cls(stars['initial_mass'].astype(float), stars['jump'].astype(bool), n_phases, log_end,
                   kinds, row, hdus['NODES'].data['fraction'].astype(float), values,
                   stars['remnant_mass'].astype(float))


class StellarEvolution:
    """Evolution of single stars of one metallicity.

    Parameters
    ----------
    metallicity : float
        Mass fraction of metals, within the table's 0.0001 to 0.03.

    Attributes
    ----------
    metallicity : float
    mass_limits : tuple of float
        Lowest and highest initial mass of the table [Msun].
    age_limit : float
        The table holds to this age [Myr].

    Raises
    ------
    ValueError
        If the metallicity is outside the table.

    Notes
    -----
    All methods take arrays that broadcast and return arrays of the broadcast shape (numpy scalars for
    scalars). Initial masses outside `mass_limits` and ages that are negative, beyond `age_limit` or not
    a number raise `ValueError`.

    Examples
    --------
    >>> stars = StellarEvolution(0.001)
    >>> state = stars.state([0.5, 1.0, 5.0, 30.0], 12000.0)
    >>> print(state.kind)
    [ 0 11 11 14]
    """

    def __init__(self, metallicity):
        metallicity = float(metallicity)
        with as_file(files('pidoc') / 'data' / TABLE) as path, fits.open(path) as hdus:
            table_z = np.array([hdu.header['Z'] for hdu in hdus if hdu.name.startswith('STARS')])
            if not table_z[0] <= metallicity <= table_z[-1]:
                raise ValueError(f'metallicity must be between {table_z[0]:g} and {table_z[-1]:g}, '
                                 f'received {metallicity:g}')
            header = hdus[0].header
            self.metallicity = metallicity
            self.age_limit = float(header['AGE_MAX'])
            self.mass_limits = (float(header['MASS_LO']), float(header['MASS_HI']))
            number = int(np.argmin(np.abs(np.log(table_z / metallicity))))
            self._table = _Tracks.from_hdus(hdus, number).arrays

    def __repr__(self):
        return f'{type(self).__name__}({self.metallicity:g})'

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
        mass, age = np.broadcast_arrays(self._check_mass(initial_mass), self._check_age(age))
        shape = mass.shape
        out = [np.empty(mass.size) for _ in range(3)] + [np.empty(mass.size, dtype=np.int16)]
        _states(mass.ravel(), age.ravel(), self.metallicity, self._table, *out)
        return StellarState(*(x.reshape(shape)[()] for x in out))

    def mass(self, initial_mass, age):
        """Mass and type only, which is faster than `state`.

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
        initial, age = np.broadcast_arrays(self._check_mass(initial_mass), self._check_age(age))
        mass, kind = np.empty(initial.size), np.empty(initial.size, dtype=np.int16)
        _masses(initial.ravel(), age.ravel(), self._table, mass, kind)
        return mass.reshape(initial.shape)[()], kind.reshape(initial.shape)[()]

    def remnant_time(self, initial_mass):
        """Age at which a star becomes a white dwarf, a neutron star, a black hole, or nothing.

        Parameters
        ----------
        initial_mass : array-like of float
            Mass on the zero-age main sequence [Msun].

        Returns
        -------
        array of float
            Age [Myr]; inf for a star that outlives the table.
        """
        mass = self._check_mass(initial_mass)
        time = np.empty(mass.size)
        _remnant_times(mass.ravel(), self._table, time)
        return time.reshape(mass.shape)[()]

    def mass_loss_start(self, initial_mass, *, tolerance=1e-4):
        """Age before which a star's mass is within a fraction `tolerance` of its initial mass.

        Parameters
        ----------
        initial_mass : array-like of float
            Mass on the zero-age main sequence [Msun].
        tolerance : float, optional
            Fraction of the initial mass.

        Returns
        -------
        array of float
            Age [Myr]; inf for a star that keeps its mass beyond the end of the table.
        """
        mass = self._check_mass(initial_mass)
        time = np.empty(mass.size)
        _loss_starts(mass.ravel(), float(tolerance), self._table, time)
        return time.reshape(mass.shape)[()]
