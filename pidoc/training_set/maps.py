# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""From a snapshot and what was drawn to one map: rescaled, observed, measured."""

from functools import lru_cache

import numpy as np
from astropy import units as u
from astropy.io.registry import IORegistryError

from pidoc import Snapshot
from pidoc.mock.observation import observe
from pidoc.mock.projection import star_light
from pidoc.photometry import band_luminosity
from pidoc.training_set.files import TrainingSetError
from pidoc.training_set.recipe import conditions_of
from pidoc.training_set.sampler import condition_names
from pidoc.units import SOLAR_TEFF

__all__ = ['MEASURED', 'map_conditions', 'measured_row', 'observe_map', 'read_snapshot', 'rescaled_snapshot']

_JITTER_ABOVE = 0.5     # Msun: initial masses whose light is given play; lighter stars hardly shine

#: Numbers of each map that are known when it is made.
MEASURED = {
    'age': (u.Gyr, 'age of the cluster'), 'mass': (u.Msun, 'in the field'),
    'luminosity': (u.Lsun, 'of the cluster in the field, without noise'),
    'n_stars': (None, 'initial number of the model, -1: not known'),
    'half_mass_radius0': (u.pc, 'initial one of the model'),
    'metallicity': (u.one, 'of the model'),
}


def read_snapshot(path, options):
    try:
        return Snapshot.read(path, **options)
    except (OSError, ValueError, TypeError, IORegistryError) as error:
        raise TrainingSetError(f'the snapshot {path} cannot be read: {error}') from error


def rescaled_snapshot(snapshot, part, row):
    """The cluster of a map: with more than what was simulated a network learns less by heart."""
    if not part.rescaling:
        return snapshot
    return snapshot.rescaled(
        stars=float(row['stars_kept']) if part.stars_kept else 1.0,
        size=float(row['size_factor']) if part.size_factor else 1.0,
        seed=np.random.SeedSequence(int(row['seed']), spawn_key=(2,)))


def observe_map(snapshot, recipe, part, row, name):
    maps = recipe.maps
    view = [row['view_x'], row['view_y'], row['view_z']]
    luminosities = None
    if part.light_jitter:
        luminosities = _jittered_light(snapshot, part.light_jitter, int(row['seed']), maps, name)
    return observe(
        snapshot, distance=row['distance'] * u.kpc, seeing=row['seeing'] * u.arcsec, grid=maps.grid,
        shift=[row['shift_x'], row['shift_y']] * u.arcsec, rotation=row['rotation'] * u.deg,
        direction='random' if np.isnan(view[0]) else view, correction=maps.correction,
        luminosities=luminosities, oversampling=maps.oversampling, conditions=map_conditions(part, row),
        keep_sharp=maps.sharp, simulation=name, seed=int(row['seed']))


def map_conditions(part, row):
    """`~pidoc.mock.Conditions` of a map."""
    if part.conditions is None:
        return None
    drawn = {name: float(getattr(row[name], 'value', row[name])) for name in condition_names(part)}
    return conditions_of(part.conditions | drawn)


@lru_cache(maxsize=4)
def _evolution(metallicity):
    # it brings numba
    from pidoc.stellar import StellarEvolution

    return StellarEvolution(metallicity)


def _jittered_light(snapshot, amount, seed, maps, name):
    """Luminosities in the band of stars whose initial masses were a little other ones; masses stay.

    A network must not learn by heart the few giants that give a simulation its light.
    """
    native, model = snapshot._native, snapshot.model
    if 'initial_mass' not in native or model is None or not model.stellar_evolution:
        raise TrainingSetError('light_jitter needs snapshots with initial_mass and a model whose stars '
                               f'evolve, those of {name} are others')
    light = star_light(snapshot, band=maps.band, correction=maps.correction)
    heavy = np.flatnonzero(native['initial_mass'] > _JITTER_ABOVE)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    evolution = _evolution(model.metallicity)
    mass = native['initial_mass'][heavy] * (1.0 + amount * rng.standard_normal(heavy.size))
    state = evolution.state(np.clip(mass, *evolution.mass_limits), snapshot.age.to_value(u.Myr))
    # as a snapshot does it
    flux = np.divide(state.luminosity, state.radius**2, out=np.zeros_like(mass), where=state.radius > 0.0)
    light[heavy] = band_luminosity(
        state.luminosity * u.Lsun, SOLAR_TEFF * flux**0.25 * u.K, state.kind, mass=state.mass * u.Msun,
        metallicity=model.metallicity, band=maps.band, correction=maps.correction)
    return light


def measured_row(snapshot, mock):
    model = snapshot.model
    light = mock.light.meta.get('LUMTRUE')
    share, size = snapshot.meta.get('STARSHAR', 1.0), snapshot.meta.get('SIZEFACT', 1.0)
    return {
        'age': snapshot.age.to_value(u.Gyr), 'mass': mock.total_mass.value,
        'luminosity': mock.luminosity.value if light is None else light,
        'n_stars': -1 if model is None else round(share * model.n_stars),
        'half_mass_radius0': np.nan if model is None else size * model.half_mass_radius.to_value(u.pc),
        'metallicity': np.nan if model is None else model.metallicity}
