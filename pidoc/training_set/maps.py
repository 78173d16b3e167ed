# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""From a snapshot and drawn parameters to one map: rescaling, observation, measurements."""

import math
from functools import lru_cache

import numpy as np
from astropy import units as u
from astropy.io.registry import IORegistryError

from pidoc import Snapshot
from pidoc.mock.observation import observe
from pidoc.mock.projection import star_light
from pidoc.photometry import light_at
from pidoc.training_set.files import TrainingSetError
from pidoc.training_set.recipe import conditions_of
from pidoc.training_set.sampler import condition_names

__all__ = ['MEASURED', 'map_conditions', 'measured_row', 'observe_map', 'populated_snapshot', 'read_snapshot',
           'rescaled_snapshot', 'whole_cluster']

_OLDEST = 13.9 * u.Gyr
_JITTER_ABOVE = 0.5     # Msun: lower limit of initial masses with jitter; lighter stars are faint

#: quantities of each map that are measured when it is made
MEASURED = {
    'age': (u.Gyr, 'age of the cluster'), 'mass': (u.Msun, 'in the field'),
    'luminosity': (u.Lsun, 'of the cluster in the field, without noise'),
    'n_stars': (None, 'initial number of the model, -1: not known'),
    'half_mass_radius0': (u.pc, 'initial one of the model'),
    'metallicity': (u.one, 'of the model'),
    'cluster_mass': (u.Msun, 'of the whole cluster'),
    'cluster_luminosity': (u.Lsun, 'of the whole cluster in V'),
    'cluster_half_mass_radius': (u.pc, 'of the whole cluster, in three dimensions'),
    'cluster_half_light_radius': (u.pc, 'of the whole cluster in V, on the sky'),
    'mass_function_slope': (u.one, 'of the whole cluster, from 0.2 to 0.8 solMass'),
    'dark_share': (u.one, 'of remnants in the mass of the cluster'),
    'black_hole_share': (u.one, 'of black holes in the mass of the cluster'),
    'central_dispersion': (u.km / u.s, 'of bright stars in 1/4 of the half-light radius'),
    'velocity_dispersion': (u.km / u.s, 'of bright stars in the dispersion_radius'),
    'b_v': (u.mag, 'B - V of the cluster in the field'),
}

#: aperture of the central dispersion, relative to the half-light radius
_CENTER = 0.25


def read_snapshot(path, options):
    try:
        return Snapshot.read(path, **options)
    except (OSError, ValueError, TypeError, IORegistryError) as error:
        raise TrainingSetError(f'the snapshot {path} cannot be read: {error}') from error


def populated_snapshot(snapshot, part, row):
    """The cluster of a map with the stars of its population, if the part has several."""
    if part.population is None:
        return snapshot
    try:
        return _repopulated(snapshot, *(float(row[name]) for name in part.population.drawn))
    except ValueError as error:
        raise TrainingSetError(f'[[part]] {part.name}: population: {error}') from error


@lru_cache(maxsize=1)
def _repopulated(snapshot, age_factor, metallicity, giant_mass_loss, flattening=0.0):
    older = snapshot.age * age_factor
    # the inverse factor is as probable, and avoids ages above that of the Universe
    age = older if older <= _OLDEST else snapshot.age / age_factor
    return snapshot.repopulated(age=age, metallicity=metallicity, giant_mass_loss=giant_mass_loss,
                                flattening=flattening)


def rescaled_snapshot(snapshot, part, row):
    """The rescaled cluster of a map, a form of data augmentation."""
    if not part.rescaling:
        return snapshot
    return snapshot.rescaled(
        stars=float(row['stars_kept']) if part.stars_kept else 1.0,
        size=float(row['size_factor']) if part.size_factor else 1.0,
        seed=np.random.SeedSequence(int(row['seed']), spawn_key=(2,)))


def grid_of(snapshot, recipe, part, row):
    """Grid of a map, and its seeing [arcsec], of the rescaled cluster."""
    grid, seeing = recipe.maps.grid, float(row['seeing'])
    if part.field is None:
        return grid, seeing
    distance = row['distance'] * u.kpc
    radius = (snapshot.projected_half_light_radius / distance).to(u.arcsec, u.dimensionless_angles())
    farthest = max(part.distance.choices or [part.distance.high]) * u.kpc
    grid = grid.holding(radius, distance=distance, farthest=farthest)
    return grid, max(seeing, float(grid.seeing_range[0].value))


def observe_map(snapshot, recipe, part, row, name):
    """The mock observation of a map."""
    maps, (grid, seeing) = recipe.maps, grid_of(snapshot, recipe, part, row)
    view = [row['view_x'], row['view_y'], row['view_z']]
    luminosities = None
    if part.light_jitter:
        luminosities = _jittered_light(snapshot, part.light_jitter, int(row['seed']), maps, name)
    return observe(
        snapshot, distance=row['distance'] * u.kpc, seeing=seeing * u.arcsec, grid=grid,
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


def _jittered_light(snapshot, amount, seed, maps, name):
    """Luminosities in the band with slightly changed initial masses of the stars; masses are unchanged.

    It prevents overfitting of the few giants that dominate the light of a simulation.
    """
    # imports numba
    from pidoc.stellar import StellarEvolution

    native, model = snapshot._native, snapshot.model
    if 'initial_mass' not in native or model is None or not model.stellar_evolution:
        raise TrainingSetError('light_jitter needs snapshots with initial_mass and a model whose stars '
                               f'evolve, those of {name} are others')
    light = star_light(snapshot, band=maps.band, correction=maps.correction)
    heavy = np.flatnonzero(native['initial_mass'] > _JITTER_ABOVE)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    evolution = StellarEvolution.of(model)
    mass = native['initial_mass'][heavy] * (1.0 + amount * rng.standard_normal(heavy.size))
    state = evolution.state(np.clip(mass, *evolution.mass_limits), snapshot.age.to_value(u.Myr))
    light[heavy] = light_at(state, metallicity=model.metallicity, band=maps.band, correction=maps.correction)
    return light


@lru_cache(maxsize=1)
def _whole_cluster(snapshot):
    """Quantities of the whole cluster, as plain numbers; NaN if the stars lack necessary columns."""
    kind, light = snapshot._native.get('kind'), snapshot.projected_half_light_radius
    row = {'cluster_mass': snapshot.total_mass.value, 'cluster_luminosity': snapshot.v_luminosity.value,
           'cluster_half_mass_radius': snapshot.half_mass_radius.value,
           'cluster_half_light_radius': light.value, 'mass_function_slope': snapshot.mass_function_slope()[0],
           'dark_share': np.nan, 'black_hole_share': np.nan, 'central_dispersion': np.nan}
    if kind is not None:
        dark = snapshot.remnant_masses
        row['dark_share'] = sum(dark.values()).value / row['cluster_mass']
        row['black_hole_share'] = dark['black_holes'].value / row['cluster_mass']
    if snapshot.has_velocities and light > 0.0:
        row['central_dispersion'] = snapshot.velocity_dispersion(_CENTER * light).value
    return {name: float(value) for name, value in row.items()}


def whole_cluster(snapshot, row, grid):
    """Quantities of the whole cluster of a map, from the snapshot before rescaling.

    Masses are scaled by the fraction of the stars, lengths by the size, velocities by the square root of
    their ratio (`~pidoc.cluster.snapshot.Snapshot.rescaled`): the random scatter of a subset is ignored.

    Parameters
    ----------
    snapshot : `~pidoc.Snapshot`
    row : mapping
        Row of `~pidoc.training_set.sampler.draw_maps`, with ``stars_kept``, ``size_factor`` and
        ``dispersion_radius`` if the part has them.
    grid : `~pidoc.grid.MapGrid`
        Its field is used for the colour, which is an average over all directions.

    Returns
    -------
    dict
        Plain numbers in the units of `MEASURED`.
    """
    share, size, radius = (float(row[name]) if name in row.dtype.names else default for name, default in (
        ('stars_kept', 1.0), ('size_factor', 1.0), ('dispersion_radius', np.nan)))
    faster = math.sqrt(share / size)
    found = dict(_whole_cluster(snapshot))
    found['cluster_mass'] *= share
    found['cluster_luminosity'] *= share
    found['cluster_half_mass_radius'] *= size
    found['cluster_half_light_radius'] *= size
    found['central_dispersion'] *= faster
    # on the sky, for the snapshot before rescaling
    arcsec = (u.arcsec * row['distance'] * u.kpc).to(u.pc, u.dimensionless_angles()) / size
    found['velocity_dispersion'] = found['b_v'] = np.nan
    if np.isfinite(radius) and snapshot.has_velocities:
        found['velocity_dispersion'] = faster * float(snapshot.velocity_dispersion(radius * arcsec).value)
    if snapshot.model is not None and 'stellar_radius' in snapshot._native:
        field = math.sqrt(grid.nx * grid.ny / math.pi) * grid.scale
        found['b_v'] = float(snapshot.colour(aperture=field * arcsec).value)
    return found


def measured_row(snapshot, mock):
    """Quantities of a map that are measured when it is made, of the rescaled cluster."""
    model = snapshot.model
    light = mock.light.meta.get('LUMTRUE')
    share, size = snapshot.meta.get('STARSHAR', 1.0), snapshot.meta.get('SIZEFACT', 1.0)
    return {
        'age': snapshot.age.to_value(u.Gyr), 'mass': mock.total_mass.value,
        'luminosity': mock.luminosity.value if light is None else light,
        'n_stars': -1 if model is None else round(share * model.n_stars),
        'half_mass_radius0': np.nan if model is None else size * model.half_mass_radius.to_value(u.pc),
        'metallicity': np.nan if model is None else model.metallicity,
        'seeing': mock.psf_fwhm.to_value(u.arcsec), 'pixel_scale': mock.grid.scale}
