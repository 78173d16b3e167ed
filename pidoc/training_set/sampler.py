# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Parameters of each map of a training set that are drawn before it is made."""

import hashlib

import numpy as np
from astropy import units as u

from pidoc.training_set.files import TrainingSetError
from pidoc.training_set.recipe import CONDITION_UNITS, Values

__all__ = ['DRAWN', 'condition_names', 'draw_maps', 'own_columns']

#: parameters of each map that are drawn before it is made
DRAWN = {
    'number': (None, 'of the map in its part'), 'snapshot': (None, 'number of the snapshot, from 0'),
    'distance': (u.kpc, 'of the cluster'), 'seeing': (u.arcsec, 'full width at half maximum of the PSF'),
    'shift_x': (u.arcsec, 'of the cluster to the right'), 'shift_y': (u.arcsec, 'of the cluster upwards'),
    'rotation': (u.deg, 'counter-clockwise'),
    'view_x': (u.one, 'direction of the observer, NaN: from the seed'),
    'view_y': (u.one, 'direction of the observer'), 'view_z': (u.one, 'direction of the observer'),
    'seed': (None, 'of everything else that is drawn'),
}
_INTEGERS = ('number', 'snapshot', 'seed', 'n_stars')


def _key_of(name):
    """A number that represents a name in a seed."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], 'big')


def condition_names(part):
    return [name for name in CONDITION_UNITS if name in (part.conditions or {})]


def own_columns(part):
    """Columns that not every part has."""
    population = ['population', *part.population.drawn] if part.population else []
    return [*part.own, *condition_names(part), *population, *(['pixel_scale'] if part.field else ())]


def draw_maps(recipe, part, sources):
    """All maps of a part: a structured array, one row per map, sorted by split, simulation and snapshot."""
    counts = np.array([len(source.paths) for source in sources])
    key = _key_of(part.name)
    pairs = _product(recipe, part, counts, key) if part.product else None
    number = part.number if pairs is None else len(pairs[0])
    own = part.own | {name: part.conditions[name] for name in condition_names(part)}
    dtype = [(name, np.int64 if name in _INTEGERS else np.float64) for name in DRAWN]
    rows = np.zeros(number, [*dtype, *((name, np.float64) for name in own_columns(part)), ('split', np.int8),
                             ('source', np.int32)])
    start = np.concatenate([[0], np.cumsum(counts)])
    for k in range(number):
        rng = np.random.default_rng(np.random.SeedSequence(recipe.seed, spawn_key=(key, k)))
        row = rows[k]
        row['number'], row['seed'] = k, rng.integers(2**62)
        if pairs is None:
            row['source'], row['snapshot'] = _one_of(rng, part.evenly, counts, start)
            row['distance'], row['seeing'] = part.distance.draw(rng), part.seeing.draw(rng)
        row['shift_x'], row['shift_y'] = _draw_shift(part.shift, rng)
        row['rotation'] = _draw_rotation(part.rotation, rng)
        view = (np.nan,) * 3 if part.direction == 'random' else part.direction.draw(rng)
        row['view_x'], row['view_y'], row['view_z'] = view
        for name, values in own.items():
            row[name] = values.draw(rng)
        if part.population:
            row['population'] = rng.integers(part.population.number)
    if pairs is not None:
        for name, values in zip(('source', 'snapshot', 'distance', 'seeing'), pairs, strict=True):
            rows[name] = values
    if part.population:
        names = [_key_of(source.name) for source in sources]
        _draw_populations(rows, part.population, names, recipe.seed, key)
    begin = 0
    for which, size in enumerate(part.splits.values()):
        rows['split'][begin:None if size is None else begin + size] = which
        begin += size or 0
    order = ('number', *(['population'] if part.population else ()), 'snapshot', 'source', 'split')
    return rows[np.lexsort([rows[name] for name in order])]


def _draw_populations(rows, population, sources, seed, key):
    """Fill in the parameters of each map's population, which is common to maps of a snapshot."""
    for row in rows:
        numbers = int(row['snapshot']), int(row['population'])
        rng = np.random.default_rng(np.random.SeedSequence(
            seed, spawn_key=(key, sources[row['source']], *numbers)))
        for name, values in population.drawn.items():
            row[name] = values.draw(rng)


def _product(recipe, part, counts, key):
    """Source, snapshot, distance and seeing of each map, drawn without replacement."""
    distances, seeings = part.distance.choices, part.seeing.choices
    each = len(distances) * len(seeings)
    total = int(counts.sum()) * each
    if part.number is None:
        chosen = np.arange(total)
    elif part.number > total:
        raise TrainingSetError(f'recipe {recipe.name}, [[part]] {part.name}: must have at most as many maps '
                               f'as there are snapshots x distances x seeings, {total}, received '
                               f'{part.number}')
    else:
        rng = np.random.default_rng(np.random.SeedSequence(recipe.seed, spawn_key=(key,)))
        chosen = rng.choice(total, part.number, replace=False)
    snapshot, rest = np.divmod(chosen, each)
    start = np.concatenate([[0], np.cumsum(counts)])
    source = np.searchsorted(start, snapshot, side='right') - 1
    return (source, snapshot - start[source], np.array(distances)[rest // len(seeings)],
            np.array(seeings)[rest % len(seeings)])


def _one_of(rng, evenly, counts, start):
    """A random simulation and one of its snapshots."""
    if evenly:
        source = int(rng.integers(len(counts)))
        return source, int(rng.integers(counts[source]))
    snapshot = int(rng.integers(start[-1]))
    source = int(np.searchsorted(start, snapshot, side='right')) - 1
    return source, snapshot - int(start[source])


def _draw_shift(shift, rng):
    if shift == 'random':
        return tuple(rng.uniform(-5.0, 5.0, 2))
    return shift.draw(rng) if shift.choices else (shift.draw(rng), shift.draw(rng))


def _draw_rotation(rotation, rng):
    if isinstance(rotation, Values):
        return rotation.draw(rng)
    return 90.0 * rng.integers(4) if rotation == 'random' else rng.uniform(0.0, 360.0)
