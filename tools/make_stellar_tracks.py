#!/usr/bin/env python
"""Make the table of stellar tracks that `pidoc.stellar` interpolates, and its test data.

The stars are evolved by COSMIC 4.3.3 (`pip install cosmic-popsynth==4.3.3`), one star at a time, by
the single-star formulae of Hurley, Pols & Tout (2000, MNRAS 315, 543), "SSE".  This script only runs
that program and arranges what it printed; pidoc needs it no more once the table is made:

    python tools/make_stellar_tracks.py table     -> pidoc/data/stellar_tracks.fits
    python tools/make_stellar_tracks.py reference -> pidoc/tests/data/stellar_reference.fits

With other settings of COSMIC, those of a run of CMC for instance (benchmarks/validation.py cmc --tracks):

    python tools/make_stellar_tracks.py table --metallicity 0.001 --output cmc_tracks.fits \
        --set zsun=0.014 pts1=0.05 pts2=0.01 pts3=0.02 ecsn=2.5 ecsn_mlow=1.4

The layout of the table is described in pidoc/data/README.rst; the reasons for it below.

* Giants: the formulae are polynomials in log Z through models of seven metallicities (Pols et al. 1998,
  MNRAS 298, 525). Between those the polynomials of the giants' radii swing: a giant of 1000 Lsun has 4190 K
  at Z = 0.001, 3350 K at 0.002, 3900 K at 0.004, 4330 K at 0.0052 and 3590 K at 0.0092. So light stars are
  evolved at the seven only, with several winds of giants, and interpolated in phase between them. Heavy
  stars, whose winds and black holes follow Z more closely, are evolved at many metallicities.
* A star's life is cut into phases, one for each stellar type in turn.  Within a phase the mass, the
  luminosity and the radius are stored at fixed fractions of the phase's duration.
* The fractions differ from type to type.  They are found from the tracks themselves: a node is added
  where linear interpolation between the nodes so far errs most, weighted by time and light.
* The grid of initial masses starts even in the logarithm and is then halved wherever its two ends
  disagree about the sequence of types, or where the star in the middle of an interval is not what
  interpolation in phase says it is.  Halving stops at `SMALLEST_STEP`; such an interval, too narrow
  to matter, is marked a jump and is not interpolated across.
* Stars that leave neutron stars or black holes are evolved once more with the "rapid" explosions of
  Fryer+ (2012). COSMIC prints the star before it explodes, and from that the published formulae give the
  fraction that falls back; its natal kicks, which it scales by that fraction, agree (the tests compare).
"""
import argparse
import contextlib
import importlib.metadata
import os
import pathlib
import tempfile
import warnings

import numpy as np
from astropy.io import fits

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / 'pidoc' / 'data' / 'stellar_tracks.fits'
VERSION = '4.3.3'    # of COSMIC
REFERENCE = ROOT / 'pidoc' / 'tests' / 'data' / 'stellar_reference.fits'

# What COSMIC 4.3.3 has as its own defaults, but for four things:
# - ifflag = 0: no initial-final mass relation of 1995 laid over the white dwarfs;
# - zsun = 0.02: COSMIC measures the metallicity from zsun not in winds only but also in the fits of
#   SSE, whose zero point is 0.02. With its default 0.014 a star of 1 Msun at Z = 0.02 would live
#   12.18 Gyr on the main sequence, where Hurley+ (2000) have 11.00;
# - steps 5 (pts2) and 20 times (pts3) finer, without which white dwarfs of 4-7 Msun stars scatter by
#   0.005 Msun;
# - no natal kicks (sigma = 0), which are the simulation's business.
# So winds are Vink's with LBV-like mass loss (windflag = 3) and Reimers' (neta), explosions the
# "delayed" ones of Fryer+ (2012; remnantflag = 4), pulsational pair instability that of Marchant+ (2018;
# pisn = -2), and white dwarfs cool after Hurley & Shara (2003; wdflag = 1).
SETTINGS = dict(
    pts1=0.001, pts2=0.002, pts3=0.001, zsun=0.02,
    windflag=3, eddlimflag=0, neta=0.3, bwind=0.0, hewind=0.5, LBV_flag=1,
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
# COSMIC's default too: shorter steps for heavy stars, (from, to [Msun], factor)
STEP_MODIFIERS = [(40, 70, 0.3), (70, np.inf, 0.1)]

# Of the models that the formulae of SSE were fitted to: Pols et al. (1998)
FITTED = (0.0001, 0.0003, 0.001, 0.004, 0.01, 0.02, 0.03)
METALLICITIES = (
    0.0001, 0.00015, 0.0002, 0.0003, 0.0005, 0.0007, 0.001, 0.0013, 0.0017, 0.002, 0.0027, 0.0035,
    0.004, 0.005, 0.006, 0.008, 0.01, 0.012, 0.014, 0.017, 0.02, 0.024, 0.027, 0.03)
GIANT_MASS_LOSS = (0.1, 0.2, 0.3, 0.4, 0.5)   # Reimers' eta
LIGHT = 5.0      # Msun: stars up to this one are evolved at FITTED and with each GIANT_MASS_LOSS
LOWEST_MASS, HIGHEST_MASS = 0.08, 150.0      # Msun
AGE_LIMIT = 15000.0                          # Myr
WHOLE_LIFE = 18000.0     # Myr: stars that leave the main sequence later are followed no further
# Steps in ln(mass), each from a mass [Msun] on. The finest is for giants of old clusters: a star is bright
# and yellow in the last seventh of its time on the asymptotic giant branch, for 0.05 Myr, and interpolation
# between stars 4 per cent apart made that two to three times as long.
STEPS = {LOWEST_MASS: 0.08, 0.6: 0.04, 0.77: 0.01, 1.1: 0.04}
# Where two neighbours differ in kind the gap is halved down to this. Above MASSIVE [Msun] COSMIC's
# own result scatters by a few per cent with its time step (a wind may take 1 % of a star in one
# step), and finer grids would only resolve that scatter.
SMALLEST_STEP, SMALLEST_MASSIVE_STEP, MASSIVE = 1e-4, 4e-3, 18.0
TOLERANCE = dict(time=1e-3, white_dwarf=2e-3, remnant=0.02, fallback=0.01, duration=0.02, track=0.02)
MASSIVE_TOLERANCE = 5.0  # times that above MASSIVE
SHORTEST_PHASE = 1e-6    # of the age: what is shorter belongs to the phase before
N_NODES = 22
NODE_METALLICITIES = (0.0001, 0.001, 0.02)
SEED = 20260801
# Random stars of the reference: at any age, or after the main sequence; at any metallicity, or at one
# of those at which light stars are.
N_REFERENCE = {'any': 900, 'any_on_grid': 900, 'evolved': 400, 'evolved_on_grid': 800}
N_METALLICITIES, REFERENCE_ON_GRID = 12, (0.0003, 0.001, 0.02)
REFERENCE_MASS_LOSS = (0.1, 0.17, 0.3, 0.45)
POPULATIONS = ((0.0003, 0.5), (0.001, 0.3), (0.02, 0.15))   # metallicity, eta
POPULATION_AGES = (100.0, 1000.0, 5000.0, 10000.0, 13000.0)   # Myr
POPULATION_MASSES = (0.1, 50.0)    # Msun
MASS_SCALE, LOG_L_SCALE, LOG_R_SCALE = 1.0 / 32767.0, 5e-4, 8e-4   # stored as 16-bit integers
COLUMNS = ['tphys', 'kstar_1', 'mass_1', 'lum_1', 'rad_1', 'tms_1']
FIRST_REMNANT, FIRST_COLLAPSED, BLACK_HOLE = 10, 13, 14
EXPLOSION_COLUMNS = ['evol_type', 'SN_1', 'mass_1', 'massc_co_layer_1', 'kstar_1']
EXPLODES, ELECTRON_CAPTURE = 15, 2     # evol_type and SN_1 of COSMIC
DELAYED, RAPID = 4, 3                  # remnantflag of COSMIC


# ---------------------------------------------------------------------------- running COSMIC
def run_cosmic(mass, metallicity, end, every_step=False, **settings):
    """COSMIC's tables of events, of steps and of kicks of single stars evolved to the ages `end` [Myr].

    `every_step` keeps each internal step, otherwise only the first and the last state; `settings` are in
    place of those of `SETTINGS`.
    """
    from cosmic.evolve import Evolve
    from cosmic.sample.initialbinarytable import InitialBinaryTable
    from schwimmbad import SerialPool

    mass = np.atleast_1d(np.asarray(mass, dtype=float))
    zero = np.zeros(len(mass))
    # A second star of no mass and type 15, no orbit: this is how COSMIC takes a single star.
    stars = InitialBinaryTable.InitialBinaries(
        mass, zero, zero, zero - 1.0, zero + end, np.where(mass < 0.7, 0, 1), zero + 15,
        zero + metallicity)
    # COSMIC leaves a file fort.99 where it runs.
    with (warnings.catch_warnings(), tempfile.TemporaryDirectory() as scratch,
          contextlib.chdir(scratch)):
        warnings.simplefilter('ignore')
        kwargs = dict(dtp=0.0) if every_step else {}
        events, steps, _, kicks = Evolve.evolve(
            initialbinarytable=stars, pool=SerialPool(), BSEDict=SETTINGS | settings,
            dt_mass_modifiers=STEP_MODIFIERS, SSEDict={'stellar_engine': 'sse'},
            bpp_columns=EXPLOSION_COLUMNS, bcm_columns=COLUMNS, randomseed=1, **kwargs)
    return events, steps, kicks


@contextlib.contextmanager
def changed_settings(**settings):
    """Other `SETTINGS` for a while."""
    before = SETTINGS.copy()
    SETTINGS.update(settings)
    try:
        yield
    finally:
        SETTINGS.update(before)


def evolve(mass, metallicity, end, every_step=True):
    """Evolve single stars to the ages `end` [Myr]: a list of arrays with the columns `COLUMNS`."""
    mass = np.atleast_1d(mass)
    _, steps, _ = run_cosmic(mass, metallicity, end, every_step)
    values = steps[COLUMNS].to_numpy(dtype=float)
    first = np.flatnonzero(np.diff(steps['bin_num'].to_numpy(), prepend=-1))
    tracks = np.split(values, first[1:])
    assert len(tracks) == len(mass)
    return tracks


def fallback(explosion, mass, core):
    """Share of the ejecta that falls back, of stars of `mass` with a carbon-oxygen `core` [Msun] at the end.

    Fryer+ (2012, ApJ 749, 91): "delayed" (eq. 18 and 19) or "rapid" (eq. 15 and 16), where COSMIC takes a
    proto-neutron star of 1.1 Msun (Giacobbo & Mapelli 2020, ApJ 891, 141, eq. 6) in place of 1 Msun.
    """
    mass, core = np.asarray(mass, dtype=float), np.asarray(core, dtype=float)
    if explosion == RAPID:
        ejected = mass - 1.1
        slope = 0.25 - 1.275 / ejected
        ranges = [core <= 2.5, core <= 6.0, core <= 7.0, core <= 11.0]
        values = [0.2 / ejected, (0.286 * core - 0.514) / ejected, 1.0, 1.0 + slope * (core - 11.0)]
    else:
        ejected = mass - np.select([core <= 3.5, core <= 6.0, core <= 11.0], [1.2, 1.3, 1.4], 1.6)
        slope = 0.133 - 0.093 / ejected
        ranges = [core < 2.5, core < 3.5, core < 11.0]
        values = [0.2 / ejected, (0.5 * core - 1.05) / ejected, 1.0 + slope * (core - 11.0)]
    return np.clip(np.select(ranges, values, 1.0), 0.0, 1.0)


def explode(tracks, metallicity):
    """Add the share that falls back and the remnant of a rapid explosion to tracks that end in a collapse."""
    collapsed = np.flatnonzero([t.kinds[-1] >= FIRST_COLLAPSED for t in tracks])
    if not collapsed.size:
        return
    metallicity = np.broadcast_to(metallicity, len(tracks))[collapsed]
    tracks = [tracks[i] for i in collapsed]
    events, steps, _ = run_cosmic([t.mass for t in tracks], metallicity, 2.0 * WHOLE_LIFE, remnantflag=RAPID)
    before = events[events['evol_type'] == EXPLODES].groupby('bin_num').first()
    last = steps.groupby('bin_num').last()
    for number, track in enumerate(tracks):
        track.rapid_kind = int(last['kstar_1'][number])
        track.rapid_mass = float(last['mass_1'][number])
        if track.kinds[-1] > BLACK_HOLE:
            continue
        star = before.loc[number]
        track.electron_capture = bool(star['SN_1'] == ELECTRON_CAPTURE)
        if not track.electron_capture:
            track.fallback, track.rapid_fallback = (
                float(fallback(flag, star['mass_1'], star['massc_co_layer_1'])) for flag in (DELAYED, RAPID))


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
        # What `explode` changes for stars that collapse
        self.rapid_kind, self.rapid_mass = self.kinds[-1], self.remnant_mass
        self.fallback = self.rapid_fallback = 0.0
        self.electron_capture = False
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

    @property
    def sequence(self):
        """What must be the same of two stars between which to interpolate."""
        return *self.kinds, self.rapid_kind, self.electron_capture

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
    tracks = [Track(m, rows, c)
              for m, rows, c in zip(mass, evolve(mass, metallicity, end), complete)]
    explode(tracks, metallicity)
    return tracks


# ---------------------------------------------------------------------------- the grid of masses
def disagreement(low, middle, high):
    """How far the middle star is from the mean of its neighbours, in units of `TOLERANCE`."""
    if not (low.complete and high.complete):
        return 0.0 if low.kinds[0] == high.kinds[0] else np.inf
    if not low.sequence == middle.sequence == high.sequence:
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
    for name in ('remnant_mass', 'rapid_mass'):
        limit = TOLERANCE['white_dwarf']
        if middle.kinds[-1] >= FIRST_COLLAPSED:
            limit = TOLERANCE['remnant'] * max(getattr(middle, name), 1.0)
        errors.append(abs(mean(name) - getattr(middle, name)) / limit)
    errors += [abs(mean(name) - getattr(middle, name)) / TOLERANCE['fallback']
               for name in ('fallback', 'rapid_fallback')]
    fraction = np.linspace(0.0, 1.0, 101)
    for k in np.flatnonzero(share > 1e-3):
        difference = ((1.0 - w) * low.at(k, fraction) + w * high.at(k, fraction)
                      - middle.at(k, fraction))
        errors.append(np.mean(np.abs(difference)) / TOLERANCE['track'])
    return max(errors) / (MASSIVE_TOLERANCE if middle.mass > MASSIVE else 1.0)


def first_masses(lowest, highest):
    """Masses [Msun] even in the logarithm, with the `STEPS`."""
    edges = [*(mass for mass in STEPS if lowest < mass < highest), highest]
    pieces, low = [[lowest]], lowest
    for high in edges:
        step = STEPS[max(mass for mass in STEPS if mass <= low)]
        pieces.append(np.geomspace(low, high, 1 + int(np.ceil(np.log(high / low) / step)))[1:])
        low = high
    return np.concatenate(pieces)


def mass_grid(metallicity, lowest, highest, log=print):
    """The tracks of one metallicity in order of mass, and which intervals are jumps."""
    mass = first_masses(lowest, highest)
    done = {m: t for m, t in zip(mass, make_tracks(mass, metallicity))}
    todo = list(zip(mass[:-1], mass[1:]))
    jumps = set()
    used = set(mass)
    while todo:
        todo = [(a, b) for a, b in todo
                if done[a].complete and done[b].complete or done[a].kinds[0] != done[b].kinds[0]]
        middles = [np.sqrt(a * b) for a, b in todo]
        if not middles:
            break
        done.update(zip(middles, make_tracks(np.array(middles), metallicity)))
        halves = []
        for (a, b), m in zip(todo, middles):
            if disagreement(done[a], done[m], done[b]) <= 1.0:
                continue
            coarse = a > MASSIVE or not done[a].complete
            if np.log(b / a) <= (SMALLEST_MASSIVE_STEP if coarse else SMALLEST_STEP):
                jumps.add(a)
                continue
            used.add(m)
            halves += [(a, m), (m, b)]
        todo = halves
    tracks = [done[m] for m in sorted(used)]
    # Halving tests the middle only; two ends that differ are a jump wherever they stand.
    jump = [t.mass in jumps or t.kinds[0] != u.kinds[0] or (t.complete and t.sequence != u.sequence)
            for t, u in zip(tracks[:-1], tracks[1:])] + [False]
    log(f'Z = {metallicity:g}, eta = {SETTINGS["neta"]:g}: {len(tracks)} masses from {lowest:g} Msun, '
        f'{sum(jump)} jumps, {len(done)} stars evolved')
    return tracks, np.array(jump)


# ---------------------------------------------------------------------------- nodes within a phase
def fine_fractions():
    """Fractions of a phase, crowded towards the ends where giants brighten and winds bite."""
    step = np.geomspace(1e-4, 0.05, 120)
    return np.unique(np.concatenate([[0.0, 1.0], np.linspace(0.0, 1.0, 401), step, 1.0 - step]))


def time_and_light(log_luminosity, width):
    """Weights of steps `width` in the fraction of a phase: half by time, half by light emitted.

    By time alone the tip of a giant branch, where a star is shortly but shines most, would be drawn by
    a chord.
    """
    light = 10.0**log_luminosity
    return 0.5 + 0.5 * light / np.sum(light * width, axis=-1, keepdims=True)


def choose_nodes(samples, n_nodes):
    """Fractions of a phase at which to store it: greedy, where the weighted error is largest.

    `samples` is a list of (fraction, values) of one stellar type.
    """
    fine = fine_fractions()
    scale = np.array([0.3, 1.0, 1.0])   # an error of 0.01 in log L weighs like one of 3 % in mass
    values = np.stack([np.stack([np.interp(fine, x, y[:, i]) for i in range(3)], axis=-1)
                       for x, y in samples]) / scale          # (track, fine, 3)
    width = np.gradient(fine)
    weight = time_and_light(values[:, :, 1], width)
    nodes = [0, len(fine) - 1]
    while len(nodes) < n_nodes:
        error = np.zeros(len(fine))
        for i in range(3):
            for track, w in zip(values[:, :, i], weight):
                error += w * np.abs(np.interp(fine, fine[nodes], track[nodes]) - track)
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


def all_nodes():
    """Nodes of each nuclear-burning type, from tracks of three metallicities: (10, N_NODES)."""
    samples = {kind: [] for kind in range(FIRST_REMNANT)}
    for z in NODE_METALLICITIES:
        for track in make_tracks(np.geomspace(0.8, HIGHEST_MASS, 90), z):
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
    """Write a list of HDUs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + '.tmp')
    fits.HDUList(hdus).writeto(temporary, overwrite=True)
    os.replace(temporary, path)
    print(f'{path.name}: {path.stat().st_size / 1e6:.2f} MB')


def primary_hdu(what):
    """The primary HDU: origin and settings."""
    header = fits.Header()
    header['OBJECT'] = (what, 'made by tools/make_stellar_tracks.py')
    header['PROGRAM'] = ('COSMIC ' + VERSION, 'computed the stars')
    header['METHOD'] = ('SSE', 'Hurley, Pols & Tout 2000, MNRAS 315, 543')
    header['AGE_MAX'] = (AGE_LIMIT, '[Myr] the tables hold to this age')
    header['MASS_LO'] = (LOWEST_MASS, '[Msun] lowest initial mass')
    header['MASS_HI'] = (HIGHEST_MASS, '[Msun] highest initial mass')
    header['MASS_MID'] = (LIGHT, '[Msun] up to which there are several BSE neta')
    for name, value in SETTINGS.items():
        scalar = isinstance(value, (int, float))
        header['HIERARCH BSE ' + name] = value if scalar else str(np.ravel(value).tolist())
    header['COMMENT'] = f'BSE: settings of COSMIC. Steps modified (Msun, Msun, factor): {STEP_MODIFIERS}'
    for name in ('SMALLEST_STEP', 'SMALLEST_MASSIVE_STEP', 'MASSIVE',
                 'MASSIVE_TOLERANCE', 'SHORTEST_PHASE'):
        header['HIERARCH GRID ' + name] = (globals()[name], 'see make_stellar_tracks.py')
    for mass, step in STEPS.items():
        header[f'HIERARCH GRID STEP {mass:g}'] = (step, 'in ln(mass), from this mass [Msun] on')
    for name, value in TOLERANCE.items():
        header['HIERARCH GRID TOLERANCE ' + name] = (value, 'see make_stellar_tracks.py')
    return fits.PrimaryHDU(header=header)


def fitted(values, fine, nodes):
    """Values at nodes whose interpolation is closest to `values`, log luminosities at `fine`.

    A chord of a giant branch lies above it. So the least squares, weighted by time and light; the ends
    are kept.
    """
    hats = np.stack([np.interp(fine, nodes, unit) for unit in np.eye(len(nodes))], axis=-1)
    width = np.gradient(fine)
    root = np.sqrt(width * time_and_light(values, width))
    ends = values[0] * hats[:, 0] + values[-1] * hats[:, -1]
    inner, *_ = np.linalg.lstsq(hats[:, 1:-1] * root[:, None], (values - ends) * root, rcond=None)
    return np.concatenate([values[:1], inner, values[-1:]])


def sampled(track, nodes):
    """Mass fraction, log luminosity, log radius of each phase at its nodes: (phases, 3, nodes)."""
    fine = fine_fractions()
    scale = np.array([MASS_SCALE, LOG_L_SCALE, LOG_R_SCALE])
    values = np.array([track.at(k, nodes[track.kinds[k]]).T for k in range(len(track.ends))])
    for k in range(len(track.ends)):
        values[k, 1] = fitted(track.at(k, fine)[:, 1], fine, nodes[track.kinds[k]])
    return np.rint(values / scale[:, None]).astype(np.int16)


def make_blocks(light, heavy, giant_mass_loss, nodes):
    """Blocks of stars of one metallicity and wind: rows of the index, tracks, jumps, values at the nodes.

    `light` are the metallicities of stars up to `LIGHT`, `heavy` those of the others.
    """
    blocks = [(z, eta, LOWEST_MASS, LIGHT) for z in light for eta in giant_mass_loss]
    blocks += [(z, SETTINGS['neta'], LIGHT, HIGHEST_MASS) for z in heavy]
    index, tracks, jumps, values = [], [], [], []
    for z, eta, lowest, highest in blocks:
        with changed_settings(neta=eta):
            new, jump = mass_grid(z, lowest, highest)
        values += [sampled(t, nodes) for t in new]
        for track in new:
            del track.steps     # else all steps of all stars are kept in memory
        tracks += new
        jumps.append(jump)
        index.append((z, eta, highest, len(new)))
    return index, tracks, np.concatenate(jumps), np.concatenate(values)


def make_table(light, heavy, giant_mass_loss, path):
    """Make and write the table."""
    nodes = all_nodes()
    index, tracks, jumps, values = make_blocks(light, heavy, giant_mass_loss, nodes)
    names = ('metallicity', 'giant_mass_loss', 'heaviest', 'n_stars')
    blocks = fits.BinTableHDU.from_columns(
        [fits.Column(name, form, unit=unit, array=list(column)) for name, form, unit, column in
         zip(names, 'DDDJ', (None, None, 'solMass', None), zip(*index))], name='BLOCKS')
    kinds = fits.BinTableHDU.from_columns([
        fits.Column('kind', 'B', array=np.arange(FIRST_REMNANT)),
        fits.Column('fraction', f'{nodes.shape[1]}D', array=nodes)], name='NODES')
    stars = fits.BinTableHDU.from_columns([
        fits.Column('initial_mass', 'D', unit='solMass', array=[t.mass for t in tracks]),
        fits.Column('jump', 'L', array=jumps),
        fits.Column('n_phases', 'B', array=[len(t.ends) for t in tracks]),
        fits.Column('remnant_kind', 'I', array=[t.kinds[-1] if t.complete else -1 for t in tracks]),
        fits.Column('remnant_mass', 'E', unit='solMass', array=[t.remnant_mass for t in tracks]),
        fits.Column('fallback', 'E', array=[t.fallback for t in tracks]),
        fits.Column('rapid_kind', 'I', array=[t.rapid_kind if t.complete else -1 for t in tracks]),
        fits.Column('rapid_mass', 'E', unit='solMass', array=[t.rapid_mass for t in tracks]),
        fits.Column('rapid_fallback', 'E', array=[t.rapid_fallback for t in tracks]),
        fits.Column('electron_capture', 'L', array=[t.electron_capture for t in tracks]),
    ], name='STARS')
    phases = fits.BinTableHDU.from_columns([
        fits.Column('kind', 'B', array=np.concatenate([t.kinds[:len(t.ends)] for t in tracks])),
        fits.Column('duration', 'E', unit='Myr',
                    array=np.concatenate([np.diff(t.ends, prepend=0.0) for t in tracks])),
    ], name='PHASES')
    # (quantity, phase, node): neighbours along a row are alike, and Rice's code is made for that
    image = fits.CompImageHDU(values.transpose(1, 0, 2), name='VALUES',
                              compression_type='RICE_1', tile_shape=(1, 64, nodes.shape[1]))
    for plane, (name, scale) in enumerate([('mass / initial mass', MASS_SCALE),
                                           ('log10(luminosity/Lsun)', LOG_L_SCALE),
                                           ('log10(radius/Rsun)', LOG_R_SCALE)], start=1):
        image.header[f'PLANE{plane}'] = name
        image.header[f'SCALE{plane}'] = (scale, 'times the integer')
    write_atomically([primary_hdu('stellar tracks'), blocks, kinds, stars, phases, image], path)


# ---------------------------------------------------------------------------- reference
def final_states(mass, metallicity, age):
    """Mass, luminosity, radius and kind at an age: (n, 4), one run of COSMIC to that age each."""
    rows = [steps[-1] for steps in evolve(mass, metallicity, age, every_step=False)]
    rows = np.array(rows)
    assert np.allclose(rows[:, 0], age)
    return rows[:, [2, 3, 4, 1]]


def kroupa_number(mass):
    """Relative number of stars per Msun, Kroupa (2001, eq. 2)."""
    return np.where(mass < 0.5, mass**-1.3, 0.5 * mass**-2.3)


def masses_at(age, metallicity, tracks):
    """Initial masses [Msun] of stars that are at this age in every part of every later phase.

    From the ages at which stars pass a fraction of a phase, inverted for the mass: roughly with the
    `tracks`, then with new ones between the masses so found. A sum over these masses sees the short
    bright phases that a grid even in mass would miss.
    """
    complete = [t for t in tracks if t.complete]
    log_mass = np.log([t.mass for t in complete])
    turn_off, dying = (np.exp(np.interp(-np.log(age), -np.log([f(t) for t in complete]), log_mass))
                       for f in (end_of_main_sequence, lambda t: t.ends[-1]))
    tracks = make_tracks(np.linspace(0.998 * turn_off, 1.03 * dying, 80), metallicity)
    edge = np.geomspace(1e-5, 0.5, 90)     # the tip of a giant branch is steep
    fraction = np.unique(np.concatenate([edge, 1.0 - edge, np.linspace(0.0, 1.0, 60)]))
    found = []
    # White dwarfs are bright when they are young.
    dead = [t for t in tracks if t.complete]
    for delay in np.append(0.0, np.geomspace(1e-3, 1000.0, 80)):
        ages = np.log([t.ends[-1] + delay for t in dead])
        if ages[-1] < np.log(age) < ages[0]:
            found.append(np.exp(np.interp(-np.log(age), -ages, np.log([t.mass for t in dead]))))
    for kind in range(2, FIRST_REMNANT):
        passing = []
        for track in tracks:
            if track.complete and kind in track.kinds:
                k = track.kinds.index(kind)
                begin = track.ends[k - 1]
                passing.append((track.mass, begin + fraction * (track.ends[k] - begin)))
        if len(passing) > 1:
            mass = np.log([m for m, _ in passing])
            ages = np.log([t for _, t in passing])
            for i in range(len(fraction)):
                if ages[-1, i] < np.log(age) < ages[0, i]:
                    found.append(np.exp(np.interp(-np.log(age), -ages[:, i], mass)))
    return np.array(found)


def population(metallicity, age, tracks):
    """Mass [Msun] and luminosity [Lsun] per star of a Kroupa population, integrated with COSMIC."""
    low, high = POPULATION_MASSES
    mass = np.unique(np.concatenate([np.geomspace(low, high, 1500), [0.5],
                                     masses_at(age, metallicity, tracks)]))
    state = final_states(mass, metallicity, age)
    number = kroupa_number(mass)
    stars = np.trapezoid(number, mass)
    return [np.trapezoid(number * state[:, i], mass) / stars for i in (0, 1)]


def end_of_main_sequence(track):
    """Age [Myr] at which types 0 and 1 are over."""
    return track.ends[0]


def random_stars(rng):
    """Random stars, one row each: sample, initial mass, metallicity, eta, age, and what became of them."""
    sample = np.repeat(list(N_REFERENCE), list(N_REFERENCE.values()))
    n = len(sample)
    evolved = np.char.startswith(sample, 'evolved')
    on_grid = np.char.endswith(sample, 'on_grid')
    # Light enough to be near its end at 15 Gyr, if it is to be evolved
    lowest = np.where(evolved, 0.95, LOWEST_MASS)
    mass = lowest * (HIGHEST_MASS / lowest)**rng.uniform(size=n)
    z = METALLICITIES[0] * (METALLICITIES[-1] / METALLICITIES[0])**rng.uniform(size=N_METALLICITIES)
    z = np.where(on_grid, rng.choice(REFERENCE_ON_GRID, size=n), rng.choice(z, size=n))
    eta = np.where(mass < LIGHT, rng.choice(REFERENCE_MASS_LOSS, size=n), SETTINGS['neta'])
    when = rng.uniform(size=n)
    rows = []
    for loss in np.unique(eta):
        here = eta == loss
        with changed_settings(neta=loss):
            rows += rows_of_stars(sample[here], mass[here], z[here], loss, when[here], evolved[here])
    return rows


def rows_of_stars(sample, mass, z, eta, when, evolved):
    """Rows of `random_stars` of one eta, at ages set by `when` (0 to 1)."""
    tracks = make_tracks(mass, z)
    begin = np.array([end_of_main_sequence(t) for t in tracks])
    end = np.array([t.ends[-1] for t in tracks])
    age = np.where(evolved, begin + when * (end - begin), AGE_LIMIT**when)
    keep = np.flatnonzero(age <= AGE_LIMIT)
    state = final_states(mass[keep], z[keep], age[keep])
    return [(sample[i], mass[i], z[i], eta, age[i], *x[:3], int(x[3]), begin[i],
             end[i] if tracks[i].complete else np.inf, tracks[i].remnant_mass)
            for i, x in zip(keep, state)]


def make_reference(path):
    """Random stars that are on no grid, and integrals over a population."""
    rows = random_stars(np.random.default_rng(SEED))
    names = ('sample', 'initial_mass', 'metallicity', 'giant_mass_loss', 'age', 'mass', 'luminosity',
             'radius', 'kind', 'main_sequence_end', 'remnant_time', 'remnant_mass')
    forms = ('16A', 'D', 'D', 'D', 'D', 'D', 'D', 'D', 'I', 'D', 'D', 'D')
    units = (None, 'solMass', None, None, 'Myr', 'solMass', 'solLum', 'solRad', None, 'Myr', 'Myr', 'solMass')
    stars = fits.BinTableHDU.from_columns(
        [fits.Column(n, f, unit=u, array=list(a))
         for n, f, u, a in zip(names, forms, units, zip(*rows))], name='STARS')
    stars.header['SEED'] = (SEED, 'of numpy.random.default_rng')
    totals = []
    for z, eta in POPULATIONS:
        with changed_settings(neta=eta):
            tracks = make_tracks(np.geomspace(0.7, 20.0, 100), z)
            totals += [(z, eta, age, *population(z, age, tracks)) for age in POPULATION_AGES]
    names = ('metallicity', 'giant_mass_loss', 'age', 'mass', 'luminosity')
    units = (None, None, 'Myr', 'solMass', 'solLum')
    totals = fits.BinTableHDU.from_columns(
        [fits.Column(n, 'D', unit=u, array=list(a)) for n, u, a in zip(names, units, zip(*totals))],
        name='POPULATION')
    totals.header['MASS_LO'] = (POPULATION_MASSES[0], '[Msun] of the Kroupa (2001) mass function')
    totals.header['MASS_HI'] = (POPULATION_MASSES[1], '[Msun]')
    write_atomically([primary_hdu('reference stars'), stars, totals], path)


def setting(text):
    """NAME=VALUE, of a setting that is a number."""
    name, _, value = text.partition('=')
    if not isinstance(SETTINGS.get(name), (int, float)) or name in ('remnantflag', 'neta'):
        raise argparse.ArgumentTypeError(f'{name} is not one of the settings that can be changed')
    return name, type(SETTINGS[name])(value)


def main():
    """Run one of the two tasks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('task', choices=['table', 'reference'])
    parser.add_argument('--metallicity', type=float, nargs='+', help='make a table of these only')
    parser.add_argument('--giant-mass-loss', type=float, nargs='+', default=GIANT_MASS_LOSS, metavar='ETA',
                        help="make a table of these values of Reimers' eta only")
    parser.add_argument('--set', type=setting, nargs='+', default=[], metavar='NAME=VALUE',
                        help="settings of COSMIC in place of the table's")
    parser.add_argument('--output', type=pathlib.Path, help='of the table, if it is not for the package')
    arguments = parser.parse_args()
    found = importlib.metadata.version('cosmic-popsynth')
    if found != VERSION:
        parser.error(f'COSMIC must be {VERSION}, found {found}')
    if arguments.set and not (arguments.task == 'table' and arguments.output):
        parser.error('--set needs the task table and --output: the table of the package has its own settings')
    SETTINGS.update(arguments.set)
    if arguments.task == 'table':
        make_table(arguments.metallicity or FITTED, arguments.metallicity or METALLICITIES,
                   arguments.giant_mass_loss, arguments.output or TABLE)
    else:
        make_reference(REFERENCE)


if __name__ == '__main__':
    main()
