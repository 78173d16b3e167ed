# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Evaluation of a model: its scores, with those of the paper, of baselines, and of the shot-noise floor.

`evaluate` streams a set of mock observations through an estimator and returns a `Report`.
"""

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import QTable

from pidoc import __version__
from pidoc.evaluation.baselines import fit_baselines, shot_noise_floor, truth_of
from pidoc.evaluation.coverage import coverage_table, expected_coverage, simulation_ranks
from pidoc.evaluation.envelope import Envelope, known_of, observed
from pidoc.evaluation.limit import AGE_RANGE, population_limit
from pidoc.evaluation.scores import (
    AGE_EDGES,
    Comparison,
    coverage,
    distance_scores,
    edge_bias,
    groups_of,
    PIXEL_EDGES,
    pixel_scores,
    SCORES,
    TABLE_2,
    TABLE_2_COLUMNS,
    TOTAL_MASS_EDGES,
)
from pidoc.inference.calibration import IMAGE_ONLY
from pidoc.inference.estimates import ENDS, Interval
from pidoc.io.files import check_free, replacing
from pidoc.io.progress import ProgressBar
from pidoc.networks.variables import OUTPUTS
from pidoc.training.model_card import simple_table

__all__ = ['Report', 'channels_of', 'evaluate', 'known_values']

_MOST = 0.95               # share of true masses in the paper's range, above which its bins are used
_BATCH = 128               # maps read at a time
_OLD = AGE_RANGE[0]        # Gyr
# given besides the light -> whether a dispersion is
_LIMITS = {'limit: distance+age+metallicity': False,
           'limit: distance+age+metallicity+velocity_dispersion': True}
_RICHNESS = (0.0, 1e5, 5e5, np.inf)    # bins of the number of stars at birth


# -- running scores -------------------------------------------------------------------------------


class _Tally:
    """Running scores of one estimator."""

    def __init__(self, truth):
        self.truth = truth
        self.pixels = Comparison(PIXEL_EDGES, log=True, label='pixel mass', unit='Msun')
        self.columns = {'total_mass': np.full(truth['age'].size, np.nan)}
        self.groups = groups_of(truth['distance'], 'kpc')
        self.pixel_cover = None
        self.ranks = {}
        self.seconds = 0.0

    def add(self, rows, mass, guess):
        found = np.asarray(guess.mass, dtype=float)
        if found.shape != mass.shape:
            raise ValueError(f'a predictor must return mass maps of the shape {mass.shape}, '
                             f'received {found.shape}')
        self.pixels.add(found, mass, guess.log_mass_error)
        self.columns['total_mass'][rows] = found.sum(axis=(1, 2))
        for name, interval in guess.scalars.items():
            for part, values in zip(ENDS, (interval.value, *interval.ends), strict=True):
                if values is not None:
                    empty = np.full(self.truth['age'].size, np.nan)
                    whole = self.columns.setdefault(f'{name}.{part}', empty)
                    whole[rows] = values
        if guess.posterior is not None:
            here = {name: values[rows] for name, values in self.truth['scalars'].items()}
            ranks = simulation_ranks(guess.posterior, here)
            for name, values in (ranks | {'joint': expected_coverage(guess.posterior, here)}).items():
                self.ranks.setdefault(name, np.full(self.truth['age'].size, np.nan))[rows] = values
        if guess.log_mass_error is not None:
            self._cover_pixels(rows, found, mass, np.asarray(guess.log_mass_error, dtype=float))

    def _cover_pixels(self, rows, found, mass, half):
        """Numbers of pixels and of covered pixels, for each map and for each bin."""
        if self.pixel_cover is None:
            self.pixel_cover = np.zeros((2, self.truth['age'].size), dtype=np.int64)
        # pixels without mass are not in any bin
        with np.errstate(divide='ignore', invalid='ignore'):
            off = np.abs(np.log(found) - np.log(mass))
        low, high = 10.0 ** self.pixels.edges[[0, -1]]
        binned = (found >= low) & (found <= high)
        self.pixel_cover[0, rows] = np.count_nonzero(binned, axis=(1, 2))
        self.pixel_cover[1, rows] = np.count_nonzero(binned & (off <= half), axis=(1, 2))

    def value(self, name):
        """Predicted total_mass, mass_to_light, age and so on; None if not predicted."""
        if name == 'total_mass':
            return self.columns['total_mass']
        if name == 'mass_to_light':
            return self.columns['total_mass'] / self.truth['luminosity']
        return self.columns.get(f'{name.removesuffix("_own")}.value')

    def interval(self, name):
        """Value and interval of a scalar, as `~pidoc.inference.estimates.Interval`; None if not predicted."""
        if f'{name}.value' not in self.columns:
            return None
        return Interval(*(self.columns.get(f'{name}.{part}') for part in ENDS))

    def comparisons(self, edges):
        """Comparisons of the pixels and of each scalar: name -> `Comparison`."""
        found = {'pixel': self.pixels}
        for name, log_scale, label, unit in _SCALARS:
            values = self.value(name)
            if values is not None:
                key = name.removesuffix('_own')
                found[name] = Comparison(edges[key], log=log_scale, label=label, unit=unit)
                found[name].add(values, self.truth[_TRUTH[name]])
        return found

    def scores(self, edges, minimum_pixels, minimum_maps):
        scores = pixel_scores(self.pixels, minimum_pixels)
        for name, comparison in self.comparisons(edges).items():
            if name != 'pixel':
                each = comparison.scores(minimum_count=minimum_maps)
                scores |= {f'{name}.{key}': value for key, value in each.items()}
                scores[f'{name}.r_squared'] = comparison.r_squared()
                # over all maps, also those outside the bins
                p, t = self.value(name), self.truth[_TRUTH[name]]
                for key, scale in (('sample', p), ('sample_true', t)):
                    relative = 100.0 / scale if comparison.log else 1.0
                    scores[f'{name}.{key}'] = float(np.mean(np.abs(p - t) * relative))
        if 'distance.value' in self.columns:
            table = distance_scores(self.value('distance'), self.truth['distance'])
            scores['distance.mean'] = float(table['mean_absolute_error'].value.mean())
            for row in table:
                for name in TABLE_2_COLUMNS:
                    scores[f'distance.{row["distance"].value:g}kpc.{name}'] = float(row[name].value)
        if self.seconds:
            scores['time'] = 1e3 * self.seconds / self.truth['age'].size
        return scores

    def coverage(self):
        """Rows of the table of coverage, beginning with the quantity."""
        rows = []
        if self.pixel_cover is not None:
            for name, chosen in [('all', slice(None)), *self.groups]:
                number, inside = self.pixel_cover[:, chosen].sum(axis=1)
                share = 100.0 * inside / number if number else math.nan
                # pixels of a map are not independent: no error is given
                rows.append(('pixel_mass', name, int(number), share, math.nan, math.nan, math.nan))
        for name, true in self.truth['scalars'].items():
            interval = self.interval(name)
            known = np.isfinite(true)
            if interval is not None and interval.low_68 is not None and known.any():
                table = coverage([end[known] for end in interval.ends], true[known],
                                 distance=self.truth['distance'][known])
                rows += [(name, str(row['group']), int(row['n']), *(float(row[key].value) for key in _SHARES))
                         for row in table]
        return rows

    def bias(self):
        """Rows of the table of bias at the edges, in log10 for masses and M/L; also for age and distance."""
        rows = []
        for name, log_scale, label, unit in _SCALARS:
            values = self.value(name)
            if values is None:
                continue
            true = self.truth[_TRUTH[name]]
            if log_scale:
                values, true, unit = np.log10(values), np.log10(true), 'dex'
            paper = _paper_edges(true) if name == 'distance' else (math.nan, math.nan)
            rows.append((label, unit, float(np.mean(values - true)), *edge_bias(values, true), *paper))
        return rows

    def by_groups(self):
        """Rows of errors by distance, age, number of stars and simulation."""
        rows = []
        for column, unit in (('distance', 'kpc'), ('age', 'Gyr'), ('n_stars', 'stars'), ('simulation', '')):
            if column not in self.truth:
                continue
            values = self.truth[column]
            groups = _age_groups(values) if column == 'age' else groups_of(values, unit)
            if len(groups) < 2:
                continue
            rows += [(column, name, *self._group(chosen)) for name, chosen in groups]
        return rows

    def _group(self, chosen):
        numbers = [int(np.count_nonzero(chosen))]
        for name in ('total_mass', 'mass_to_light_own'):
            values, true = self.value(name), self.truth[_TRUTH[name]][chosen]
            if values is None:
                numbers += [math.nan, math.nan]
                continue
            values = values[chosen]
            numbers += [float(np.mean(100.0 * np.abs(values - true) / values)),
                        float(np.mean(np.log10(values / true)))]
        for name in ('age', 'distance'):
            values = self.value(name)
            off = np.full(1, np.nan) if values is None else values[chosen] - self.truth[name][chosen]
            numbers += [float(np.mean(np.abs(off))), float(np.mean(off))]
        return numbers

    def table(self):
        """One row per map."""
        table = QTable()
        more = {name: self.truth['scalars'][name] for name in OUTPUTS
                if name in self.truth['scalars'] and name not in (*self.truth, 'total_mass')}
        for name, values in (self.truth | more).items():
            if name != 'scalars':
                table[f'true_{name}'] = _with_unit(name, values)
        for name in (*_TRUTH, *OUTPUTS):
            values = self.value(name)
            if values is not None and name not in table.colnames:
                table[name] = _with_unit(name.removesuffix('_own'), values)
        for name, values in self.columns.items():
            name, _, end = name.partition('.')
            if end in ENDS[1:]:
                table[f'{name}_{end}'] = _with_unit(name, values)
        return table


def _with_unit(name, values):
    """Numbers with the unit of a quantity, if it has one."""
    unit = _UNITS.get(name) or (OUTPUTS[name].unit if name in OUTPUTS else '')
    return values * u.Unit(unit) if unit else values


# name, whether its error is relative, label, unit
_SCALARS = (
    ('total_mass', True, 'mass in the field', 'Msun'),
    ('total_mass_own', True, "mass in the field, the model's own number", 'Msun'),
    ('mass_to_light', True, 'M/L of the field, light of the true distance', 'Msun/Lsun'),
    ('mass_to_light_own', True, "M/L of the field, the model's own number", 'Msun/Lsun'),
    ('age', False, 'age', 'Gyr'),
    ('distance', False, 'distance', 'kpc'),
)
_TRUTH = {'total_mass': 'mass', 'total_mass_own': 'mass', 'mass_to_light': 'mass_to_light',
          'mass_to_light_own': 'mass_to_light', 'age': 'age', 'distance': 'distance'}
# quantities that are not outputs of a network
_UNITS = {'mass': 'solMass', 'luminosity': 'solLum'}
_SHARES = ('share_68', 'error_68', 'share_95', 'error_95')


def _paper_edges(distance):
    """Bias of the paper at the nearest and the farthest distance, for its own distances: Table 2."""
    found = {far: mean - far for far, mean, *_ in TABLE_2}
    return tuple(found.get(round(float(edge), 6), math.nan) for edge in (distance.min(), distance.max()))


def _age_groups(age):
    edges = np.array([0.0, 0.1, 1.0, 4.0, 8.0, 12.0, np.inf])
    place = np.searchsorted(edges, age, side='right') - 1
    names = [f'{low:g}-{high:g} Gyr' for low, high in zip(edges[:-1], edges[1:], strict=True)]
    names[-1] = f'above {edges[-2]:g} Gyr'
    return [(name, place == i) for i, name in enumerate(names) if np.any(place == i)]


def _edges(truth):
    """Bins of every scalar: the paper's if they contain the truth, else 19 over its range."""
    log_mass = np.log10(truth['mass'])
    inside = np.mean((log_mass >= TOTAL_MASS_EDGES[0]) & (log_mass <= TOTAL_MASS_EDGES[-1]))
    return {'total_mass': TOTAL_MASS_EDGES if inside >= _MOST else _over(log_mass),
            'mass_to_light': _over(np.log10(truth['mass_to_light'])), 'age': AGE_EDGES,
            'distance': np.linspace(0.0, 1.25 * truth['distance'].max(), 20)}


def _over(values):
    low, high = np.quantile(values, [0.005, 0.995])
    low, high = math.floor(20.0 * low) / 20.0, math.ceil(20.0 * high) / 20.0
    return np.linspace(low, max(high, low + 0.05), 20)


def evaluate(estimator, maps, *, given=('image',), training=None, regression=None, snapshots=None,
             minimum_pixels=100, minimum_maps=10, batch_size=64, seed=0, name='', progress=True):
    """Score an estimator on a set of mock observations, in batches.

    Parameters
    ----------
    estimator : object
        With ``estimate(light, *, known=None, pixel_scale=None, batch_size=64)``, which returns
        `~pidoc.inference.estimates.Estimates`, ``constraints`` and ``grid``.
    maps : TrainingSet
        Maps for the evaluation.
    given : sequence of str, optional
        Given properties: 'image' for none, or names of constraints joined by '+', such as
        'distance+age+metallicity'. Their values are the true ones with random errors of the default size.
    training : TrainingSet, optional
        The training part; with it baselines and the envelope are fitted and also scored.
    regression : TrainingSet, optional
        Other maps for the regression of the envelope, with fields like those of ``maps``: the M/L of a core
        is not that of a field that holds the cluster. By default the training part.
    snapshots : iterable of Snapshot, optional
        Snapshots of the simulations in ``maps``, for the shot-noise floor, at up to eight distances.
    minimum_pixels, minimum_maps : int, optional
        Least numbers in a bin that is used.
    batch_size : int, optional
        Maps per batch of the estimator.
    seed : int, optional
        Seed of the errors of given properties, and of the projections for the floor.
    name : str, optional
        Name of the model in the report.
    progress : bool, optional
        Show a progress bar, if there is a terminal.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If there are no maps, a given property is not one of the constraints, or an estimate is not finite.
    """
    given = tuple(given)
    if not len(maps):
        raise ValueError('an evaluation needs at least one map, received none')
    truth = truth_of(maps.table)
    known = {each: known_values(truth['scalars'], each, estimator.constraints, seed) for each in given}
    if not known:
        raise ValueError("given must be at least 'image', received nothing")
    edges, distance = _edges(truth), truth['distance']
    baselines = {} if training is None else fit_baselines(training)
    visual = maps.grid.band == 'V'
    envelope = None
    if training is not None and visual:
        envelope = Envelope.fit(training if regression is None else regression)
    tallies = {key: _Tally(truth) for key in (*given, *baselines)}
    seen = _compare(estimator, maps, tallies, known, baselines, batch_size, progress)
    columns = {key: tally.scores(edges, minimum_pixels, minimum_maps) for key, tally in tallies.items()}
    if snapshots is not None:
        columns['floor'] = shot_noise_floor(snapshots, distances=_few(distance) * u.kpc, grid=maps.grid,
                                            minimum_count=minimum_pixels, seed=seed)
    meta = {'model': name, 'maps': int(distance.size), 'given': ', '.join(given),
            'minimum_pixels': minimum_pixels, 'minimum_maps': minimum_maps, 'seed': seed,
            'pidoc': __version__}
    # networks of the paper have no such number
    vgg = getattr(estimator, 'about', {}).get('settings', {}).get('vgg')
    if vgg is not None:
        meta['perceptual_loss'] = vgg
    report = _report({key: tallies[key] for key in given}, columns, edges, meta)
    guesses = envelope.masses(*seen, known_of(maps.table, seed=seed)) if envelope else {}
    if visual:
        guesses |= _limits(maps, truth, seen[0], seed)
    rows = [*(row for key in given for row in _richness(key, truth, tallies[key])),
            *(row for name, masses in guesses.items() for row in _envelope_richness(name, truth, masses))]
    if rows:
        report.tables['richness'] = QTable(
            rows=rows, names=('estimate', 'stars', 'n', *_RICHNESS_COLUMNS),
            units=(None, None, None, *['%'] * len(_RICHNESS_COLUMNS)))
    return report


def _compare(estimator, maps, tallies, known, baselines, batch_size, progress):
    """Add the estimates of all maps to the tallies; returns what the envelope sees of each map in V."""
    scales, distance = maps.pixel_scales, maps.table['distance'].to_value(u.kpc)
    seen = np.full((2, len(maps)), np.nan)
    with ProgressBar(len(maps), 'evaluation', progress=progress, unit=' maps') as bar:
        for start in range(0, len(maps), _BATCH):
            rows = np.arange(start, min(start + _BATCH, len(maps)))
            light, mass = np.asarray(maps.light(rows)), np.asarray(maps.mass(rows), dtype=float)
            channels = channels_of(estimator, maps, rows, light)
            if maps.grid.band == 'V':
                seen[:, rows] = observed(light, scales[rows])
            for key, tally in tallies.items():
                begin = time.perf_counter()
                if key in baselines:
                    guess = baselines[key].estimate(light, distance=distance[rows])
                else:
                    guess = estimator.estimate(
                        channels, known={name: values[rows] for name, values in known[key].items()},
                        pixel_scale=scales[rows], batch_size=batch_size)
                    tally.seconds += time.perf_counter() - begin
                tally.add(rows, mass, guess)
            bar.update(len(rows))
    return seen


def _limits(maps, truth, flux, seed):
    """Masses in the field with the errors of `population_limit`, NaN for young clusters: name -> masses."""
    old = (truth['age'] > _OLD) & (truth['age'] <= AGE_RANGE[1]) & (flux > 0.0)
    models = [model for model, _ in maps.recipe.models.values()]
    if not models or not old.any() or 'metallicity' not in maps.table.colnames:
        return {}
    metallicity = np.asarray(maps.table['metallicity'], dtype=float)
    old &= np.isfinite(metallicity)
    light = np.log(4.0 * np.pi * truth['distance'] ** 2 * flux / truth['luminosity'], where=old,
                   out=np.zeros_like(flux))
    found = {}
    for name, dispersion in _LIMITS.items():
        errors = population_limit(models, truth['age'][old], metallicity[old], light[old],
                                  dispersion=dispersion, seed=seed)
        found[name] = np.full(flux.size, np.nan)
        found[name][old] = truth['mass'][old] * np.exp(errors)
    return found


def known_values(truths, given, constraints, seed=0):
    """Given properties of each map: the true values with random errors of the default size.

    Parameters
    ----------
    truths : dict
        Name -> true values, shape (n,).
    given : str
        'image', or names of constraints joined by '+'.
    constraints : sequence of `~pidoc.networks.variables.Constraint`
        Constraints of the model. Those known exactly, such as the seeing, are always given.
    seed : int, optional

    Returns
    -------
    dict
        As for `~pidoc.inference.estimator.Estimator.estimate`.

    Raises
    ------
    ValueError
        If a given property is not one of the constraints, or its true value is unknown.
    """
    names = [] if given == IMAGE_ONLY else given.split('+')
    usable = {each.name: each for each in constraints}
    for name in names:
        if name not in usable or name not in truths:
            raise ValueError(f"given must be '{IMAGE_ONLY}' or of "
                             f"{', '.join(name for name in usable if name in truths)}, "
                             f'joined by +, received {given!r}')
    found = {name: truths[name] for name, each in usable.items() if each.errors is None and name in truths}
    for name in names:
        each = usable[name]
        # the same errors in all modes
        rng = np.random.default_rng((seed, sum(name.encode())))
        found[name], found[f'{name}_error'] = replace(
            each, errors=(each.default_error, each.default_error)).measured(truths[name], rng)
    return found


def channels_of(estimator, maps, rows, light):
    """The channels of the estimator: light maps, and if it uses them the maps before smoothing."""
    wanted = estimator.grid.channels if hasattr(estimator, 'grid') else ()
    if all(channel.smoothed for channel in wanted):
        return light
    sharp = np.asarray(maps.sharp(rows))
    sharp = np.where(np.isfinite(sharp), sharp, light)
    return np.stack([light if channel.smoothed else sharp for channel in wanted], axis=-1)


_RICHNESS_COLUMNS = ('mass_error', 'mass_bias', 'mass_to_light_error', 'cluster_mass_error', 'share_68',
                     'share_95', 'cluster_share_68', 'cluster_share_95', 'field_share')


def _bins_of_richness(truth):
    """Names of the bins of the number of stars at birth, and the old maps in each."""
    if 'n_stars' not in truth:
        return
    for low, high in zip(_RICHNESS[:-1], _RICHNESS[1:], strict=True):
        here = (truth['age'] > _OLD) & (truth['n_stars'] > low) & (truth['n_stars'] <= high)
        if here.any():
            group = f'{low:.0e} to {high:.0e}' if np.isfinite(high) else f'above {low:.0e}'
            yield group.replace('e+0', 'e'), here


def _median_error(value, true):
    """Median absolute error and median bias [%] of a positive quantity."""
    off = np.log(value / true)
    return 100.0 * float(np.median(np.abs(np.expm1(off)))), 100.0 * float(np.expm1(np.median(off)))


def _richness(name, truth, tally):
    """Rows of median errors, and coverage of the mass in the field, for old clusters by number of stars."""
    mass, whole = tally.interval('total_mass'), tally.interval('cluster_mass')
    true = truth['mass']
    for group, here in _bins_of_richness(truth):
        values = tally.columns['total_mass'] if mass is None else mass.value
        row = list(_median_error(values[here], true[here]))
        for key in ('mass_to_light', 'cluster_mass'):
            interval, its = tally.interval(key), truth['scalars'].get(key)
            known = interval is not None and its is not None and np.isfinite(its[here]).all()
            row.append(_median_error(interval.value[here], its[here])[0] if known else math.nan)
        its = truth['scalars'].get('cluster_mass')
        row += [*_covered(mass, true, here), *_covered(whole, its, here),
                math.nan if its is None else 100.0 * float(np.median(true[here] / its[here]))]
        yield (name, group, int(np.count_nonzero(here)), *row)


def _covered(interval, true, here):
    """Shares of the true values in the 68 and 95 % intervals [%], NaN without one of them."""
    if interval is None or true is None or interval.ends[0] is None or not np.isfinite(true[here]).all():
        return math.nan, math.nan
    return [100.0 * float(np.mean((true[here] >= low[here]) & (true[here] <= high[here])))
            for low, high in (interval.ends[:2], interval.ends[2:])]


def _envelope_richness(name, truth, masses):
    """The same rows for estimates of only the mass in the field, where there is one."""
    for group, bin_ in _bins_of_richness(truth):
        here = bin_ & np.isfinite(masses)
        if here.any():
            errors = _median_error(masses[here], truth['mass'][here])
            yield (name, group, int(np.count_nonzero(here)), *errors,
                   *[math.nan] * (len(_RICHNESS_COLUMNS) - len(errors)))


def _few(distance):
    different = np.unique(distance)
    return different if different.size <= 8 else np.quantile(distance, np.linspace(0.05, 0.95, 8))


def _report(tallies, columns, edges, meta):
    """All tables of a report."""
    tables = {'scores': _score_table(columns)}
    rows = {'coverage': [], 'bias': [], 'groups': []}
    distances, comparisons, maps = [], {}, {}
    for mode, tally in tallies.items():
        rows['coverage'] += [(mode, *row) for row in tally.coverage()]
        rows['bias'] += [(mode, *row) for row in tally.bias()]
        rows['groups'] += [(mode, *row) for row in tally.by_groups()]
        distances += _table_2_rows(mode, tally)
        comparisons[mode] = tally.comparisons(edges)
        maps[mode] = tally.table()
        for by in ('predicted', 'true'):
            tables[f'pixels_by_{by}_{mode}'] = tally.pixels.bins(by=by)
        if tally.ranks:
            tables[f'ranks_{mode}'] = coverage_table(tally.ranks)
        for key in ('total_mass', 'mass_to_light', 'age'):
            if key in comparisons[mode]:
                tables[f'{key}_{mode}'] = comparisons[mode][key].bins()
    names = {'coverage': ('mode', 'quantity', 'group', 'n', 'share_68', 'error_68', 'share_95', 'error_95'),
             'bias': ('mode', 'quantity', 'unit', 'all', 'lowest_tenth', 'highest_tenth', 'paper_lowest',
                      'paper_highest'),
             'groups': ('mode', 'by', 'group', 'n', 'mass_error', 'mass_bias', 'mass_to_light_error',
                        'mass_to_light_bias', 'age_error', 'age_bias', 'distance_error', 'distance_bias')}
    units = {'coverage': (None,) * 4 + ('%',) * 4, 'bias': None,
             'groups': (None,) * 4 + ('%', 'dex', '%', 'dex', 'Gyr', 'Gyr', 'kpc', 'kpc')}
    for key, found in rows.items():
        if found:
            tables[key] = QTable(rows=found, names=names[key], units=units[key])
    if distances:
        tables['distances'] = QTable(
            rows=distances, units=(None, 'kpc', None, *['kpc'] * 6),
            names=('mode', 'distance', 'n', 'mean', 'standard_deviation', 'mean_absolute_error', 'paper_mean',
                   'paper_standard_deviation', 'paper_mean_absolute_error'))
    return Report(tables, comparisons, maps, meta)


def _table_2_rows(mode, tally):
    values = tally.value('distance')
    if values is None:
        return []
    paper = {row[0]: row[1:] for row in TABLE_2}
    return [(mode, float(row['distance'].value), int(row['n']),
             *(float(row[key].value) for key in TABLE_2_COLUMNS),
             *paper.get(round(float(row['distance'].value), 6), (math.nan,) * 3))
            for row in distance_scores(values, tally.truth['distance'])]


def _score_table(columns):
    table = QTable({'score': [row[0] for row in SCORES], 'text': [row[1] for row in SCORES],
                    'unit': [row[2] for row in SCORES], 'section': [row[4] for row in SCORES],
                    'paper': [math.nan if row[3] is None else row[3] for row in SCORES]})
    for name, scores in columns.items():
        table[name] = [float(scores.get(row[0], math.nan)) for row in SCORES]
    return table


# -- the report -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Report:
    """All scores of an evaluation, made by `evaluate`.

    Parameters
    ----------
    tables : dict
        Name -> `~astropy.table.QTable`. ``scores``: a row per score, with columns for the paper, each mode,
        each baseline and the floor, NaN for missing numbers. ``coverage``, ``distances`` (Table 2), ``bias``
        (at the edges), ``groups`` (errors by distance, age, number of stars, simulation); ``richness``
        (median errors of the mass in the field of clusters older than 9 Gyr by the number of stars, also for
        `pidoc.evaluation.envelope`); ``ranks_...`` (of the truth in its posterior, and ``joint``:
        `pidoc.evaluation.coverage`); and the bins of each quantity.
    comparisons : dict
        Mode -> quantity -> `Comparison`, for figures.
    maps : dict
        Mode -> table with a row for each map.
    meta : dict
        Settings of the evaluation.
    """

    tables: dict
    comparisons: dict
    maps: dict
    meta: dict

    def score(self, name, column):
        """One number of the table ``scores``.

        Parameters
        ----------
        name, column : str

        Returns
        -------
        float

        Raises
        ------
        KeyError
            If the score or column does not exist.
        """
        table = self.tables['scores']
        found = np.flatnonzero(table['score'] == name)
        if not found.size or column not in table.colnames[4:]:
            raise KeyError(f'no score {name!r} of {column!r}')
        return float(table[column][found[0]])

    def to_rst(self, *, figures=()):
        """The report as a page of reStructuredText.

        Parameters
        ----------
        figures : sequence of (str, str), optional
            File and caption of each figure.

        Returns
        -------
        str
        """
        title = f'Scores of {self.meta["model"]}' if self.meta.get('model') else 'Scores'
        lines = [title, '=' * len(title), '', _INTRODUCTION.format(**self.meta), '']
        if 'perceptual_loss' in self.meta:
            lines += [_REMARK.format(**self.meta), '']
        lines += _rst(_readable_scores(self.tables['scores']))
        for name, heading in _HEADINGS.items():
            if name in self.tables:
                lines += ['', heading, '-' * len(heading), '', *_rst(self.tables[name])]
        for file, caption in figures:
            lines += ['', f'.. figure:: {file}', '', f'   {caption}']
        return '\n'.join(lines) + '\n'

    def write(self, folder, *, overwrite=False, figures=()):
        """Write ``report.rst``, and each table as ``<name>.ecsv``; also ``maps_<mode>.ecsv``.

        Parameters
        ----------
        folder : path-like
            Created if needed.
        overwrite : bool, optional
            Replace existing files.
        figures : sequence, optional
            As for `to_rst`.

        Raises
        ------
        OSError
            If one of the files exists and ``overwrite`` is False; nothing is written then.
        """
        folder = Path(folder)
        tables = self.tables | {f'maps_{mode}': table for mode, table in self.maps.items()}
        write_report(folder, lambda: self.to_rst(figures=figures), tables, self.meta, overwrite=overwrite)


def write_report(folder, text, tables, meta, *, overwrite):
    """Write ``report.rst``, from a function, and tables as ``<name>.ecsv`` with meta; all or nothing."""
    names = ['report.rst', *(f'{name}.ecsv' for name in tables)]
    check_free(*(folder / name for name in names), overwrite=overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        written = table.copy()
        written.meta |= meta
        with replacing(folder / f'{name}.ecsv') as path:
            written.write(path, format='ascii.ecsv', overwrite=True)
    with replacing(folder / 'report.rst') as path:
        path.write_text(text(), encoding='utf-8')


_REMARK = """\
The mass network was trained with a perceptual loss: VGG16 with the weights {perceptual_loss}."""

_INTRODUCTION = """\
{maps} maps. A dash: no such number. Bins with fewer than {minimum_pixels} pixels or {minimum_maps} maps are
ignored. Given properties have the default errors of the constraints. "Eq. 2": relative to the predicted
value; "over the true": relative to the true one; "as released": the centre of the bin in place of the
predicted value, relative to the true one, as in the released code."""

_HEADINGS = {
    'richness': 'Mass in the field of clusters older than 9 Gyr, by the number of stars at birth',
    'distances': 'Distance (Table 2)', 'coverage': 'Coverage of the intervals', 'bias': 'Bias at the edges',
    'groups': 'Errors by group'}

_COLUMNS = {
    'text': 'score', 'paper': 'paper', 'image': 'image only', 'distance': 'distance given',
    'constant_ml': 'constant M/L, d known', 'constant_ml_distance': 'constant M/L and d',
    'mean_profile': 'mean profile, d known', 'floor': 'floor'}


def _readable_scores(table):
    """The table of scores without internal names and empty columns."""
    shown = QTable()
    unit = [f' [{each}]' if each else '' for each in table['unit']]
    shown['score'] = [text + each for text, each in zip(table['text'], unit, strict=True)]
    for name in table.colnames[4:]:
        shown[_COLUMNS.get(name, name)] = table[name]
    have = np.any([np.isfinite(table[name]) for name in table.colnames[5:]], axis=0)
    return shown[have]


def _rst(table):
    """Lines of a table with units."""
    units = [getattr(table[name], 'unit', None) for name in table.colnames]
    heads = [name if unit in (None, u.one) else f'{name} [{unit}]'
             for name, unit in zip(table.colnames, units, strict=True)]
    body = [[_text(row[name]) for name in table.colnames] for row in table]
    return simple_table(heads, body)


def _text(value):
    value = getattr(value, 'value', value)
    if isinstance(value, (float, np.floating)):
        if not math.isfinite(value):
            return '–'
        if abs(value) < 1e-9:
            return '0'
        return f'{value:.0f}' if abs(value) >= 1000 else f'{value:#.3g}'.rstrip('.')
    return str(value) or '–'
