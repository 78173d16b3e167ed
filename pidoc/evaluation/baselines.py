# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""References for scores: baselines from averages, and the shot-noise floor."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from astropy import units as u

from pidoc.evaluation.scores import Comparison, mean_of, PIXEL_EDGES, pixel_scores, place_in
from pidoc.grid import MapGrid
from pidoc.inference.estimates import Estimates, Interval
from pidoc.mock.observation import observe
from pidoc.training_set.truths import truths
from pidoc.units import to_value

__all__ = ['expected_mass_map', 'fit_baselines', 'shot_noise_floor']

_MAPS_FOR_PROFILE = 1000   # training maps for the mean profile
_BATCH = 128               # maps read at a time


# -- the truth ------------------------------------------------------------------------------------


def truth_of(table):
    """Columns of the table of a set as plain arrays."""
    units = {'mass': u.Msun, 'luminosity': u.Lsun, 'age': u.Gyr, 'distance': u.kpc}
    missing = [name for name in units if name not in table.colnames]
    if missing:
        raise ValueError(f'the table of a set must have the columns {", ".join(units)}, received none called '
                         f'{missing[0]}')
    truth = {name: np.asarray(table[name].to_value(unit), dtype=float) for name, unit in units.items()}
    for name, values in truth.items():
        if not (np.all(np.isfinite(values)) and (name == 'age' or np.all(values > 0.0))):
            raise ValueError(f'{name} of a set must be finite and positive, received {np.min(values)}')
    truth['mass_to_light'] = truth['mass'] / truth['luminosity']
    truth['scalars'] = truths(table)
    if 'n_stars' in table.colnames:
        truth['n_stars'] = np.asarray(table['n_stars'])
    if 'simulation' in table.colnames:
        truth['simulation'] = np.asarray(table['simulation'], dtype=str)
    return truth


# -- baselines ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _ConstantMassToLight:
    """Mass is light times a constant; the distance is known, or also a constant."""

    ratio: float
    age: float
    distance: float
    known: bool

    def estimate(self, light, *, distance):
        number = len(light)
        far = np.asarray(distance, dtype=float) if self.known else np.full(number, self.distance)
        scalars = {'age': Interval(np.full(number, self.age)),
                   'mass_to_light': Interval(np.full(number, self.ratio))}
        if not self.known:
            scalars['distance'] = Interval(far)
        # noise may have made pixels negative
        luminosity = np.maximum(light, 0.0) * (4.0 * math.pi * far[:, None, None] ** 2)
        return Estimates(self.ratio * luminosity, scalars=scalars)


@dataclass(frozen=True)
class _MeanProfile:
    """The mean mass profile of the training part, scaled to position, size and brightness of the light."""

    ratio: float
    age: float
    place: np.ndarray
    shape: np.ndarray

    def estimate(self, light, *, distance):
        number = len(light)
        total = self.ratio * 4.0 * math.pi * np.asarray(distance, dtype=float) ** 2
        mass = np.empty(light.shape)
        for i, image in enumerate(np.asarray(light, dtype=float)):
            separation, half = light_frame(image)
            mass[i] = np.interp(separation / half, self.place, self.shape)
            mass[i] *= total[i] * np.maximum(image, 0.0).sum() / mass[i].sum()
        return Estimates(mass, scalars={'age': Interval(np.full(number, self.age)),
                                        'mass_to_light': Interval(np.full(number, self.ratio))})


def fit_baselines(training, *, n_maps=_MAPS_FOR_PROFILE):
    """Fit simple predictors from averages, which any model must beat.

    Parameters
    ----------
    training : TrainingSet
        Only the training part.
    n_maps : int, optional
        Maps for the mean profile, evenly spaced in the part.

    Returns
    -------
    dict
        ``constant_ml``: mass is light times the geometric mean of M/L, with the true distance;
        ``constant_ml_distance``: the same with the median distance for all; ``mean_profile``: the mean
        profile of the mass, centred on the light and scaled to its half-light radius and luminosity, with the
        true distance. All predict the median age. They have a method ``estimate(light, distance=...)`` that
        returns `~pidoc.inference.estimates.Estimates`.

    Raises
    ------
    ValueError
        If the part has no maps.
    """
    if not len(training):
        raise ValueError('baselines need at least one map of the training part, received none')
    truth = truth_of(training.table)
    ratio = math.exp(np.mean(np.log(truth['mass_to_light'])))
    age, distance = float(np.median(truth['age'])), float(np.median(truth['distance']))
    place, shape = _mean_shape(training, n_maps)
    return {'constant_ml': _ConstantMassToLight(ratio, age, distance, True),
            'constant_ml_distance': _ConstantMassToLight(ratio, age, distance, False),
            'mean_profile': _MeanProfile(ratio, age, place, shape)}


def _mean_shape(training, n_maps):
    """Radii in half-light radii; mean there of mass per pixel over total mass, times that radius squared."""
    rows = _evenly(len(training), n_maps)
    edges = np.concatenate([np.linspace(0.0, 2.0, 41), np.geomspace(2.0, 40.0, 40)[1:]])
    total, number = np.zeros(edges.size - 1), np.zeros(edges.size - 1)
    for start in range(0, rows.size, _BATCH):
        chosen = rows[start:start + _BATCH]
        for light, mass in zip(training.light(chosen), training.mass(chosen), strict=True):
            separation, half = light_frame(np.asarray(light, dtype=float))
            place = place_in(edges, (separation / half).ravel())
            inside = place >= 0
            weights = np.asarray(mass, dtype=float).ravel()[inside]
            weights = weights * (half**2 / float(np.sum(mass, dtype=float)))
            pixels = np.bincount(place[inside], minlength=total.size)
            sums = np.bincount(place[inside], weights=weights, minlength=total.size)
            # all maps that contain the annulus have the same weight
            total += mean_of(sums, np.maximum(pixels, 1))
            number += pixels > 0
    have = number > 0
    return (0.5 * (edges[:-1] + edges[1:]))[have], total[have] / number[have]


def light_frame(image):
    """Separations from the centre of the light, and the half-light radius [pixels]."""
    light = np.maximum(image, 0.0)
    total = light.sum()
    if not (np.isfinite(total) and total > 0.0):
        raise ValueError(f'a light map must be finite, with light in it, received the sum {total}')
    y, x = np.indices(image.shape, dtype=float)
    separation = np.hypot(x - (x * light).sum() / total, y - (y * light).sum() / total)
    rings = np.cumsum(np.bincount(separation.astype(int).ravel(), weights=light.ravel()))
    half = np.interp(0.5 * total, np.concatenate([[0.0], rings]), np.arange(rings.size + 1.0))
    return separation, max(float(half), 1.0)


def _evenly(total, number):
    """Indices of evenly spaced rows of a set."""
    if number >= total:
        return np.arange(total)
    return np.unique(np.round(np.linspace(0, total - 1, number)).astype(int))


# -- the floor ------------------------------------------------------------------------------------


def expected_mass_map(snapshot, *, distance, grid=None):
    """Mass map of a snapshot, averaged over the directions of all stars: each star is a shell.

    The projected mass of a shell of radius r within a separation R < r is m [1 - (1 - R^2 / r^2)^(1/2)].

    Parameters
    ----------
    snapshot : Snapshot
        Snapshot, with its centre in the centre of the map.
    distance : `~astropy.units.Quantity`
    grid : `~pidoc.grid.MapGrid`, optional
        Pixels and smoothing of the map, as in `pidoc.mock.observe`; by default the paper's.

    Returns
    -------
    `~astropy.units.Quantity`
        Mass per pixel [Msun].

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If the distance has a wrong type or unit, or is invalid.
    """
    from scipy.ndimage import gaussian_filter

    grid = MapGrid() if grid is None else grid
    smoothing, shape, scale = grid.smoothing, grid.shape, grid.pixel_scale.to_value(u.rad)
    far = to_value(distance, u.pc, 'distance', positive=True)
    stars = snapshot.stars
    radius = stars['radius'].to_value(u.pc) / (far * scale)
    margin = math.ceil(5.0 * smoothing)
    edges, annulus, pixel = _annuli(shape, margin)
    inside = _projected_mass(radius, stars['mass'].to_value(u.Msun), edges)
    points = np.bincount(annulus, minlength=edges.size - 1)
    weights = (np.diff(inside) / np.maximum(points, 1))[annulus]
    seen = pixel >= 0
    ny, nx = shape[0] + 2 * margin, shape[1] + 2 * margin
    image = np.bincount(pixel[seen], weights=weights[seen], minlength=ny * nx).reshape(ny, nx)
    if smoothing:
        image = gaussian_filter(image, smoothing, mode='constant', truncate=5.0)
    return image[margin:ny - margin, margin:nx - margin] * u.Msun


def _projected_mass(radius, mass, edges):
    """Projected mass of shells within separations."""
    # shells with radii equal to half a per mille are merged
    group = np.floor(np.log(np.maximum(radius, 1e-12)) / 1e-3).astype(np.int64)
    _, group = np.unique(group, return_inverse=True)
    masses = np.bincount(group, weights=mass)
    radii = np.bincount(group, weights=radius) / np.bincount(group)
    result = np.empty(edges.size)
    for start in range(0, edges.size, 64):
        part = edges[start:start + 64, np.newaxis]
        share = np.clip(1.0 - (part / np.maximum(radii, 1e-12)) ** 2, 0.0, 1.0)
        result[start:start + 64] = (1.0 - np.sqrt(share)) @ masses
    return result


@lru_cache(maxsize=4)
def _annuli(shape, margin):
    """Edges of annuli half a pixel wide [pixels]; annulus and pixel (-1: none) of points on them."""
    ny, nx = shape[0] + 2 * margin, shape[1] + 2 * margin
    edges = np.arange(0.0, math.hypot(nx, ny) / 2 + 1.0, 0.5)
    middle = 0.5 * (edges[:-1] + edges[1:])
    points = 4 * np.ceil(math.pi * middle).astype(int)
    annulus = np.repeat(np.arange(middle.size), points)
    first = np.cumsum(points) - points
    # points of consecutive annuli start at different angles
    angle = 2.0 * np.pi * ((np.arange(annulus.size) - first[annulus] + 0.5) / points[annulus]
                           + 0.381966 * annulus)
    column = np.floor(middle[annulus] * np.cos(angle) + nx / 2).astype(int)
    row = np.floor(middle[annulus] * np.sin(angle) + ny / 2).astype(int)
    inside = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    return edges, annulus, np.where(inside, row * nx + column, -1)


def shot_noise_floor(snapshots, *, distances=(15, 30, 60, 80) * u.kpc, grid=None, minimum_count=100,
                     seed=0):
    """Errors of a perfect model that knows the smooth mass profile of every snapshot.

    A mass map contains a finite number of stars at random positions. `expected_mass_map` is used as the
    prediction, and a random projection of the same stars as the truth.

    Parameters
    ----------
    snapshots : iterable of Snapshot
    distances : `~astropy.units.Quantity`, optional
    grid : `~pidoc.grid.MapGrid`, optional
        Pixels and smoothing of the maps; by default the paper's.
    minimum_count : int, optional
        Pixels that a bin must have.
    seed : int, optional
        Seed of the projections.

    Returns
    -------
    dict
        Scores with the names of a `Report`: ``pixel.bins`` and so on, ``total_mass.sample``.

    Raises
    ------
    ValueError
        If there are no snapshots.
    """
    pixels = Comparison(PIXEL_EDGES, log=True)
    totals = []
    for snapshot in snapshots:
        for distance in np.atleast_1d(distances):
            mock = observe(snapshot, distance=distance, grid=grid, direction='random',
                           seed=seed + len(totals))
            expected = expected_mass_map(snapshot, distance=distance, grid=grid).value
            pixels.add(expected, mock.mass.data)
            totals.append((expected.sum(), mock.mass.data.sum()))
    if not totals:
        raise ValueError('the floor needs at least one snapshot, received none')
    found, true = np.array(totals).T
    scores = pixel_scores(pixels, minimum_count)
    scores['total_mass.sample'] = float(np.mean(100.0 * np.abs(found - true) / found))
    scores['total_mass.sample_true'] = float(np.mean(100.0 * np.abs(found - true) / true))
    return scores
