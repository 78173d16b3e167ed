#!/usr/bin/env python
"""Make the table of stellar tracks that `pidoc.simulation.stellar` interpolates, and its test data.

The stars are evolved by COSMIC 4.3.3 (`pip install cosmic-popsynth==4.3.3`), one star at a time, by
the single-star formulae of Hurley, Pols & Tout (2000, MNRAS 315, 543), "SSE".  This script only runs
that program and arranges what it printed; pidoc needs it no more once the table is made:

    python tools/make_stellar_tracks.py table     -> pidoc/data/stellar_tracks.fits.gz
    python tools/make_stellar_tracks.py reference -> pidoc/tests/data/stellar_reference.fits

How the table is laid out is told in pidoc/data/README.rst; why it is so, below.

* A star's life is cut into phases, one for each stellar type in turn.  Within a phase the mass, the
  luminosity and the radius are stored at fixed fractions of the phase's duration.
* The fractions differ from type to type.  They are found from the tracks themselves: a node is added
  where linear interpolation between the nodes so far errs most, weighted by time.
* The grid of initial masses starts even in the logarithm and is then halved wherever its two ends
  disagree about the sequence of types, or where the star in the middle of an interval is not what
  interpolation in phase says it is.  Halving stops at `SMALLEST_STEP`; such an interval, too narrow
  to matter, is marked a jump and is not interpolated across.
"""
import argparse
import gzip
import io
import os
import pathlib
import warnings

import numpy as np
from astropy.io import fits

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / 'pidoc' / 'data' / 'stellar_tracks.fits.gz'
REFERENCE = ROOT / 'pidoc' / 'tests' / 'data' / 'stellar_reference.fits'

# What COSMIC 4.3.3 has as its own defaults, but for three things: no initial-final mass relation laid
# over the white dwarfs (ifflag = 0), no natal kicks (sigma = 0), and nothing that only binaries do
# matters. Vink winds with LBV-like mass loss: windflag = 3; Reimers' eta: neta; remnants of the
# "delayed" explosions of Fryer+ (2012): remnantflag = 4; pulsational pair instability after Marchant+
# (2018): pisn = -2; white dwarfs cool after Hurley & Shara (2003): wdflag = 1.
SETTINGS = dict(
    pts1=0.001, pts2=0.01, pts3=0.02, zsun=0.014,
    windflag=3, eddlimflag=0, neta=0.5, bwind=0.0, hewind=0.5, LBV_flag=1,
    ifflag=0, wdflag=1, rtmsflag=0, wd_mass_lim=1,
    remnantflag=4, fryer_mass_limit=0, fryer_fmix=1.0, fryer_mcrit_nsbh=5.75, mxns=3.0,
    rembar_massloss=0.5, pisn=-2, ppi_co_shift=0.0, ppi_extra_ml=0.0, ecsn=2.25, ecsn_mlow=1.6,
    aic=1, maltsev_mode=0, maltsev_fallback=0.5, maltsev_pf_prob=0.1,
    kickflag=1, sigma=0.0, bhflag=0, bhsigmafrac=1.0, sigmadiv=-20.0, ussn=1,
    polar_kick_angle=90.0, natal_kick_array=[[0.0] * 5, [0.0] * 5],
    mm_mu_ns=400.0, mm_mu_bh=200.0, bhspinflag=0, bhspinmag=0.0,
    beta=0.125, xi=0.5, acc2=1.5, alpha1=[1.0, 1.0], lambdaf=0.0, ce2stageflag=0, ceflag=0,
    cekickflag=2, cemergeflag=1, cehestarflag=0, qcflag=5, qcrit_array=[0.0] * 16,
    grflag=1, eddfac=10, gamma=-2, don_lim=-1, acc_lim=[-1, -1], smt_periastron_check=0,
    tflag=1, ST_tide=1, fprimc_array=[2.0 / 21.0] * 16, epsnov=0.001, bdecayfac=1, bconst=3000,
    ck=1000, rejuv_fac=1.0, rejuvflag=0, bhms_coll_flag=0, htpmb=1, ST_cr=1)
HEADER_SETTINGS = ('pts1', 'pts2', 'pts3', 'zsun', 'windflag', 'eddlimflag', 'neta', 'hewind',
                   'LBV_flag', 'ifflag', 'wdflag', 'rtmsflag', 'remnantflag', 'mxns',
                   'rembar_massloss', 'pisn', 'ecsn', 'ecsn_mlow', 'sigma', 'htpmb', 'ST_cr')

METALLICITIES = (0.0001, 0.00015, 0.0002, 0.0003, 0.0004, 0.0005, 0.0007, 0.001, 0.0015,
                 0.002, 0.003, 0.004, 0.006, 0.008, 0.01, 0.014, 0.02, 0.03)
LOWEST_MASS, HIGHEST_MASS = 0.08, 150.0      # Msun
AGE_LIMIT = 15000.0                          # Myr
WHOLE_LIFE = 18000.0     # Myr: stars that leave the main sequence later are followed no further
COARSE_STEP, FINE_STEP = 0.08, 0.035         # in ln(mass), below and above 0.6 Msun
# Where two neighbours differ in kind the gap is halved down to this. Above MASSIVE [Msun] COSMIC's
# own result scatters by a few per cent with its time step (a wind may take 1 % of a star in one
# step), and finer grids would only resolve that scatter.
SMALLEST_STEP, SMALLEST_MASSIVE_STEP, MASSIVE = 1e-4, 4e-3, 25.0
TOLERANCE = dict(time=1e-3, white_dwarf=2e-3, remnant=0.01, massive_remnant=0.05, duration=0.02,
                 track=0.02)
SHORTEST_PHASE = 1e-6    # of the age: what is shorter belongs to the phase before
N_NODES = 32
MASS_SCALE, LOG_L_SCALE, LOG_R_SCALE = 1.0 / 32767.0, 2e-4, 2e-4   # stored as 16-bit integers
COLUMNS = ['tphys', 'kstar_1', 'mass_1', 'lum_1', 'rad_1', 'tms_1']
FIRST_REMNANT = 10


# ---------------------------------------------------------------------------- running COSMIC
def evolve(mass, metallicity, end, every_step=True):
    """Evolve single stars to the ages `end` [Myr]: a list of arrays with the columns `COLUMNS`.

    `every_step` keeps each internal step of COSMIC, otherwise only the first and the last state.
    """
    from cosmic.evolve import Evolve
    from cosmic.sample.initialbinarytable import InitialBinaryTable

    mass = np.atleast_1d(np.asarray(mass, dtype=float))
    zero = np.zeros(len(mass))
    # A second star of no mass and type 15, no orbit: this is how COSMIC is told of a single star.
    stars = InitialBinaryTable.InitialBinaries(
        mass, zero, zero, zero - 1.0, zero + end, np.where(mass < 0.7, 0, 1), zero + 15,
        zero + metallicity)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        kwargs = dict(dtp=0.0) if every_step else {}
        _, steps, _, _ = Evolve.evolve(
            initialbinarytable=stars, BSEDict=SETTINGS, SSEDict={'stellar_engine': 'sse'},
            bpp_columns=COLUMNS, bcm_columns=COLUMNS, randomseed=1, **kwargs)
    values = steps[COLUMNS].to_numpy(dtype=float)
    first = np.flatnonzero(np.diff(steps['bin_num'].to_numpy(), prepend=-1))
    tracks = np.split(values, first[1:])
    assert len(tracks) == len(mass)
    return tracks


class Track:
    """The life of one star: kinds, ends of phases, and its steps in each phase."""

    def __init__(self, mass, steps, complete):
        self.mass = mass
        time, kind = steps[:, 0], steps[:, 1].astype(int)
        start = np.flatnonzero(np.diff(kind, prepend=-1))
        long_enough = np.diff(time[start], append=np.inf) > SHORTEST_PHASE * time[start]
        start = start[long_enough]
        if complete:
            assert kind[-1] >= FIRST_REMNANT, (mass, kind[-1])
            self.kinds = tuple(int(k) for k in kind[start])
            self.ends = time[start[1:]]
            self.remnant_mass = steps[-1, 2]
            assert self.kinds[-1] == kind[-1] and np.all(np.array(self.kinds[:-1]) < FIRST_REMNANT)
        else:
            assert np.all(kind == kind[0])
            self.kinds, self.ends, self.remnant_mass = (int(kind[0]),), steps[:1, 5], np.nan
        n_nuclear = len(self.ends)
        self.steps = []
        begin = np.append(0.0, self.ends)
        bounds = np.append(start, len(steps)) if not complete else start
        for k in range(n_nuclear):
            rows = steps[bounds[k]:bounds[k + 1]]
            fraction = (rows[:, 0] - begin[k]) / (self.ends[k] - begin[k])
            # Twice the same time: the later state is the one to keep.
            keep = np.append(np.diff(fraction) > 0, True)
            rows, fraction = rows[keep], fraction[keep]
            self.steps.append((fraction, np.stack(
                [rows[:, 2] / mass, np.log10(rows[:, 3]), np.log10(rows[:, 4])], axis=-1)))

    @property
    def complete(self):
        return self.kinds[-1] >= FIRST_REMNANT

    def at(self, phase, fraction):
        """Mass / initial mass, log luminosity, log radius at a fraction of a phase: (..., 3)."""
        x, y = self.steps[phase]
        return np.stack([np.interp(fraction, x, y[:, i]) for i in range(3)], axis=-1)


def make_tracks(mass, metallicity):
    """Tracks of these initial masses [Msun], each to its remnant unless it lives too long."""
    mass = np.atleast_1d(mass)
    life = np.array([rows[0, 5] for rows in evolve(mass, metallicity, 1.0)])
    complete = life < WHOLE_LIFE
    end = np.where(complete, 2.0 * WHOLE_LIFE, life * (1.0 - 1e-9))
    return [Track(m, rows, c)
            for m, rows, c in zip(mass, evolve(mass, metallicity, end), complete)]


# ---------------------------------------------------------------------------- the grid of masses
def disagreement(low, middle, high):
    """How far the middle star is from the mean of its neighbours, in units of `TOLERANCE`."""
    if not (low.complete and high.complete):
        return 0.0
    if not low.kinds == middle.kinds == high.kinds:
        return np.inf
    w = np.log(middle.mass / low.mass) / np.log(high.mass / low.mass)

    def mean(name):
        return (1.0 - w) * getattr(low, name) + w * getattr(high, name)

    def log_durations(track):
        return np.log(np.diff(track.ends, prepend=0.0))

    errors = []
    log_ends = (1.0 - w) * np.log(low.ends) + w * np.log(high.ends)
    errors.append(np.max(np.abs(log_ends - np.log(middle.ends))) / TOLERANCE['time'])
    durations = (1.0 - w) * log_durations(low) + w * log_durations(high) - log_durations(middle)
    share = np.diff(middle.ends, prepend=0.0) / middle.ends[-1]
    errors.append(np.max(np.abs(durations)[share > 1e-3]) / TOLERANCE['duration'])
    limit = TOLERANCE['white_dwarf']
    if middle.kinds[-1] > 12:
        name = 'massive_remnant' if middle.mass > MASSIVE else 'remnant'
        limit = TOLERANCE[name] * max(middle.remnant_mass, 1.0)
    errors.append(abs(mean('remnant_mass') - middle.remnant_mass) / limit)
    fraction = np.linspace(0.0, 1.0, 101)
    for k in np.flatnonzero(share > 1e-3):
        difference = ((1.0 - w) * low.at(k, fraction) + w * high.at(k, fraction)
                      - middle.at(k, fraction))
        errors.append(np.mean(np.abs(difference)) / TOLERANCE['track'])
    return max(errors)


def mass_grid(metallicity, log=print):
    """The tracks of one metallicity in order of mass, and which intervals are jumps."""
    edge = np.log(0.6)
    low = np.linspace(np.log(LOWEST_MASS), edge,
                      1 + int(np.ceil((edge - np.log(LOWEST_MASS)) / COARSE_STEP)))
    high = np.linspace(edge, np.log(HIGHEST_MASS),
                       1 + int(np.ceil((np.log(HIGHEST_MASS) - edge) / FINE_STEP)))
    mass = np.exp(np.append(low[:-1], high))
    mass[0], mass[-1] = LOWEST_MASS, HIGHEST_MASS
    done = {m: t for m, t in zip(mass, make_tracks(mass, metallicity))}
    todo = list(zip(mass[:-1], mass[1:]))
    jumps = set()
    used = set(mass)
    while todo:
        todo = [(a, b) for a, b in todo if done[a].complete and done[b].complete]
        middles = [np.sqrt(a * b) for a, b in todo]
        if not middles:
            break
        done.update(zip(middles, make_tracks(np.array(middles), metallicity)))
        halves = []
        for (a, b), m in zip(todo, middles):
            if disagreement(done[a], done[m], done[b]) <= 1.0:
                continue
            if np.log(b / a) <= (SMALLEST_MASSIVE_STEP if a > MASSIVE else SMALLEST_STEP):
                jumps.add(a)
                continue
            used.add(m)
            halves += [(a, m), (m, b)]
        todo = halves
    tracks = [done[m] for m in sorted(used)]
    # Halving tests the middle only; two ends that differ are a jump wherever they stand.
    jump = [t.mass in jumps or (t.complete and t.kinds != u.kinds)
            for t, u in zip(tracks[:-1], tracks[1:])] + [False]
    log(f'Z = {metallicity:g}: {len(tracks)} masses, {sum(jump)} jumps, {len(done)} stars evolved')
    return tracks, np.array(jump)


# ---------------------------------------------------------------------------- nodes within a phase
def choose_nodes(samples, n_nodes):
    """Fractions of a phase at which to store it: greedy, where the time-weighted error is largest.

    `samples` is a list of (fraction, values) of one stellar type.
    """
    # A fine common grid, crowded towards the ends where giants brighten and winds bite.
    step = np.geomspace(1e-4, 0.05, 120)
    fine = np.unique(np.concatenate([[0.0, 1.0], np.linspace(0.0, 1.0, 401), step, 1.0 - step]))
    scale = np.array([0.3, 1.0, 1.0])   # an error of 0.01 in log L weighs like one of 3 % in mass
    values = np.stack([np.stack([np.interp(fine, x, y[:, i]) for i in range(3)], axis=-1)
                       for x, y in samples]) / scale          # (track, fine, 3)
    width = np.gradient(fine)
    nodes = [0, len(fine) - 1]
    while len(nodes) < n_nodes:
        error = np.zeros(len(fine))
        for i in range(3):
            for track in values[:, :, i]:
                error += np.abs(np.interp(fine, fine[nodes], track[nodes]) - track)
        best, where = -1.0, None
        for a, b in zip(nodes[:-1], nodes[1:]):
            if b - a < 2:
                continue
            inside = slice(a + 1, b)
            total = np.sum(error[inside] * width[inside])
            if total > best:
                best, where = total, a + 1 + int(np.argmax(error[inside]))
        nodes = sorted(nodes + [where])
    return fine[nodes]


def all_nodes(grids):
    """Nodes of each nuclear-burning type, from the tracks of several metallicities: (10, N_NODES)."""
    samples = {kind: [] for kind in range(FIRST_REMNANT)}
    for tracks, _ in grids:
        for track in tracks[::3]:
            # A star as light as this never shows the end of its main sequence.
            if not track.complete:
                continue
            for kind, steps in zip(track.kinds, track.steps):
                samples[kind].append(steps)
    samples[0] = samples[0] + samples[1][:20]
    nodes = np.empty((FIRST_REMNANT, N_NODES))
    for kind, tracks in samples.items():
        nodes[kind] = (choose_nodes(tracks[::max(1, len(tracks) // 80)], N_NODES) if tracks
                       else np.linspace(0.0, 1.0, N_NODES))
    return nodes


# ---------------------------------------------------------------------------- files
def write_atomically(hdus, path):
    """Write a list of HDUs, gzipped if the name says so, the same bytes every time."""
    buffer = io.BytesIO()
    fits.HDUList(hdus).writeto(buffer)
    content = buffer.getvalue()
    if path.suffix == '.gz':
        packed = io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode='wb', compresslevel=9, mtime=0) as file:
            file.write(content)
        content = packed.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + '.tmp')
    temporary.write_bytes(content)
    os.replace(temporary, path)
    print(f'{path.name}: {len(content) / 1e6:.2f} MB')


def primary_hdu(what):
    """The primary HDU: origin and settings."""
    import cosmic

    header = fits.Header()
    header['OBJECT'] = (what, 'made by tools/make_stellar_tracks.py')
    header['PROGRAM'] = ('COSMIC ' + cosmic.__version__, 'computed the stars')
    header['METHOD'] = ('SSE', 'Hurley, Pols & Tout 2000, MNRAS 315, 543')
    header['AGE_MAX'] = (AGE_LIMIT, '[Myr] the tables hold to this age')
    header['MASS_LO'] = (LOWEST_MASS, '[Msun] lowest initial mass')
    header['MASS_HI'] = (HIGHEST_MASS, '[Msun] highest initial mass')
    for name in HEADER_SETTINGS:
        header['HIERARCH BSE ' + name] = (SETTINGS[name], 'setting of COSMIC')
    header['COMMENT'] = ('Every setting not named is as in COSMIC 4.3.3 and acts on binaries only, '
                         'or not at all.')
    for name in ('COARSE_STEP', 'FINE_STEP', 'SMALLEST_STEP', 'SMALLEST_MASSIVE_STEP', 'MASSIVE',
                 'SHORTEST_PHASE'):
        header['HIERARCH GRID ' + name] = (globals()[name], 'see make_stellar_tracks.py')
    for name, value in TOLERANCE.items():
        header['HIERARCH GRID TOLERANCE ' + name] = (value, 'see make_stellar_tracks.py')
    return fits.PrimaryHDU(header=header)


def table_hdus(number, metallicity, tracks, jump, nodes):
    """Two binary tables of one metallicity: its stars and their phases."""
    n_phases = np.array([len(t.ends) for t in tracks])
    stars = fits.BinTableHDU.from_columns([
        fits.Column('initial_mass', 'D', unit='solMass', array=[t.mass for t in tracks]),
        fits.Column('jump', 'L', array=jump),
        fits.Column('n_phases', 'I', array=n_phases),
        fits.Column('first_phase', 'J', array=np.cumsum(n_phases) - n_phases),
        fits.Column('remnant_kind', 'I',
                    array=[t.kinds[-1] if t.complete else -1 for t in tracks]),
        fits.Column('remnant_mass', 'D', unit='solMass', array=[t.remnant_mass for t in tracks]),
    ], name=f'STARS{number}')
    kinds = np.concatenate([t.kinds[:len(t.ends)] for t in tracks])
    values = np.concatenate([[t.at(k, nodes[kind]) for k, kind in enumerate(t.kinds[:len(t.ends)])]
                             for t in tracks])
    form = f'{nodes.shape[1]}I'

    def packed(name, i, scale, **keywords):
        whole = np.rint(values[:, :, i] / scale).astype(np.int16)
        return fits.Column(name, form, array=whole, **keywords)

    phases = fits.BinTableHDU.from_columns([
        fits.Column('kind', 'I', array=kinds),
        fits.Column('end', 'D', unit='Myr', array=np.concatenate([t.ends for t in tracks])),
        packed('mass_fraction', 0, MASS_SCALE),
        packed('log_luminosity', 1, LOG_L_SCALE, unit='dex(solLum)'),
        packed('log_radius', 2, LOG_R_SCALE, unit='dex(solRad)'),
    ], name=f'PHASES{number}')
    # Scales are written after the integers, so that astropy does not apply them to the input.
    for name, scale in (('mass_fraction', MASS_SCALE), ('log_luminosity', LOG_L_SCALE),
                        ('log_radius', LOG_R_SCALE)):
        column = phases.columns.names.index(name) + 1
        phases.header[f'TSCAL{column}'] = scale
        phases.header[f'TZERO{column}'] = 0.0
    for hdu in (stars, phases):
        hdu.header['Z'] = (metallicity, 'mass fraction of metals')
    return [stars, phases]


def make_table(metallicities, path):
    """Make and write the table."""
    grids = [mass_grid(z) for z in metallicities]
    nodes = all_nodes(grids)
    kinds = np.arange(FIRST_REMNANT)
    hdus = [primary_hdu('stellar tracks'), fits.BinTableHDU.from_columns([
        fits.Column('kind', 'I', array=kinds),
        fits.Column('fraction', f'{N_NODES}D', array=nodes)], name='NODES')]
    for number, (z, (tracks, jump)) in enumerate(zip(metallicities, grids)):
        hdus += table_hdus(number, z, tracks, jump, nodes)
    write_atomically(hdus, path)


def main():
    """Run one of the two tasks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('task', choices=['table'])
    parser.add_argument('--metallicity', type=float, nargs='*', default=METALLICITIES)
    arguments = parser.parse_args()
    make_table(tuple(arguments.metallicity), TABLE)


if __name__ == '__main__':
    main()
