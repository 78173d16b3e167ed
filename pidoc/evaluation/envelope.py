# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Back-of-the-envelope estimates of masses in the field, without a network.

Light times a mass-to-light ratio from known properties of the cluster, by four methods:

==============  =========================================================================================
``ml2``         M/L = 2 in V, typical of clusters of the Milky Way; uses the distance
``population``  M/L of a stellar population (`pidoc.cluster.population`); uses distance, age, [Fe/H]
``regression``  ln M/L, linear in ln age, its square, the logarithms of half-light radius and distance, and
                [Fe/H], fitted to a training set; uses the same properties
``virial``      M/L of the Plummer model with the central dispersion sigma and the half-light radius R of the
                cluster, 64 / (3 pi) sigma^2 R / (G L) (Dejonghe 1987, MNRAS 224, 13); uses these, the
                distance and the total light of the cluster
==============  =========================================================================================
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from astropy import units as u

from pidoc.evaluation.baselines import light_frame
from pidoc.photometry import iron_abundance
from pidoc.units import G

__all__ = ['Envelope', 'KNOWN_ERRORS', 'known_of', 'TYPICAL_RATIO']

#: standard errors of known properties: ln distance, age [Gyr], [Fe/H], ln dispersion
KNOWN_ERRORS = {'distance': 0.02, 'age': 0.75, 'iron': 0.15, 'dispersion': 0.05}
TYPICAL_RATIO = 2.0         # M/L in V of the Milky Way's clusters
_VIRIAL = 64.0 / (3.0 * np.pi)    # for a Plummer model and its central dispersion
_YOUNGEST = 5.0            # Gyr, of clusters in the regression, if there are enough
_FEWEST = 100              # least number of such maps
_LIMITS = {'age': (0.1, 14.0), 'iron': (-2.3, 0.17)}
#: of the table of ratios of populations: [Fe/H] and ages [Gyr]
_IRON = np.array([-2.25, -1.95, -1.65, -1.35, -1.05, -0.75, -0.35, 0.0, 0.15])
_AGES = np.array([0.1, 0.3, 1.0, 2.0, 4.0, 6.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0])


def known_of(table, *, errors=KNOWN_ERRORS, seed=0):
    """Properties of the clusters of a set that an observer may know: the truth with measurement errors.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table of a `~pidoc.training_set.TrainingSet`.
    errors : dict, optional
        Standard errors, with the keys of `KNOWN_ERRORS`; properties without an error are known exactly.
    seed : int, optional
        Seed of the errors.

    Returns
    -------
    dict
        Arrays ``distance`` [kpc], ``age`` [Gyr], ``iron`` ([Fe/H]), and if the set has them ``dispersion``
        [km/s], ``radius`` (projected half-light radius, pc) and ``luminosity`` (of the cluster, Lsun).
    """
    rng = np.random.default_rng(seed)
    true = {'distance': table['distance'].to_value(u.kpc), 'age': table['age'].to_value(u.Gyr)}
    if 'metallicity' in table.colnames and np.all(np.isfinite(table['metallicity'])):
        true['iron'] = iron_abundance(table['metallicity'])
    names = {'dispersion': 'central_dispersion', 'radius': 'cluster_half_light_radius',
             'luminosity': 'cluster_luminosity'}
    if set(names.values()) <= set(table.colnames):
        true |= {name: np.asarray(table[column].value, dtype=float) for name, column in names.items()}
    known = {}
    for name, values in true.items():
        values = np.array(values, dtype=float)
        noise = errors.get(name, 0.0) * rng.normal(size=values.size)
        known[name] = values * np.exp(noise) if name in ('distance', 'dispersion') else values + noise
        if name in _LIMITS:
            known[name] = np.clip(known[name], *_LIMITS[name])
    return known


def observed(light, scale):
    """Flux in the field [Lsun/kpc^2] and half-light radius [arcsec] of light maps (n, ny, nx).

    The side of a pixel [arcsec] is that of all of them, or of each.
    """
    flux = np.maximum(np.asarray(light, dtype=float), 0.0).sum(axis=(1, 2))
    half = np.array([light_frame(np.asarray(image, dtype=float))[1] for image in light])
    return flux, half * scale


@dataclass(frozen=True)
class Envelope:
    """Estimates of the mass in the field, made by `Envelope.fit`.

    Parameters
    ----------
    coefficients : ndarray of shape (6,) or None
        Coefficients of the regression: a constant, ln age, its square, ln half-light radius [pc], ln distance
        [kpc], [Fe/H]; None if the set does not have the metallicity.
    """

    coefficients: np.ndarray

    @classmethod
    def fit(cls, training, *, n_maps=4000):
        """Fit the regression.

        Parameters
        ----------
        training : `~pidoc.training_set.TrainingSet`
            Its training part; only maps older than 5 Gyr, if there are a hundred.
        n_maps : int, optional
            Number of maps, evenly spaced in the part.

        Returns
        -------
        Envelope
        """
        table = training.table
        rows = np.arange(len(table))
        old = np.flatnonzero(table['age'].to_value(u.Gyr) > _YOUNGEST)
        if old.size >= _FEWEST:
            rows = old
        rows = rows[::max(1, -(-rows.size // n_maps))]
        known = known_of(table[rows], errors={})
        if 'iron' not in known:
            return cls(None)
        half = np.concatenate([observed(training.light(piece), training.pixel_scales[piece])[1]
                               for piece in np.array_split(rows, max(1, rows.size // 256))])
        ratio = (table['mass'] / table['luminosity'])[rows].to_value(u.Msun / u.Lsun)
        coefficients, *_ = np.linalg.lstsq(_terms(known, half), np.log(ratio), rcond=None)
        return cls(coefficients)

    def masses(self, flux, half, known):
        """Masses in the field by each method that the known properties allow.

        Parameters
        ----------
        flux, half : array of shape (n,)
            For light maps: flux in the field [Lsun/kpc^2], half-light radius there [arcsec].
        known : dict
            Result of `known_of`.

        Returns
        -------
        dict
            Name -> masses [Msun].
        """
        luminosity = 4.0 * np.pi * known['distance'] ** 2 * flux
        found = {'ml2': TYPICAL_RATIO * luminosity}
        if 'iron' in known:
            found['population'] = _population_ratio(known['age'], known['iron']) * luminosity
        if 'iron' in known and self.coefficients is not None:
            found['regression'] = np.exp(_terms(known, half) @ self.coefficients) * luminosity
        if 'dispersion' in known:
            ratio = _VIRIAL * known['dispersion'] ** 2 * known['radius'] / (G * known['luminosity'])
            found['virial'] = ratio * luminosity
        return found


def _terms(known, half):
    """Terms of the regression, shape (n, 6)."""
    size = np.radians(half / 3600.0) * 1e3 * known['distance']
    age = np.log(known['age'])
    return np.stack([np.ones_like(age), age, age**2, np.log(size), np.log(known['distance']), known['iron']],
                    axis=1)


def _population_ratio(age, iron):
    """M/L in V of stellar populations, interpolated in a table."""
    from scipy.interpolate import RegularGridInterpolator

    table = RegularGridInterpolator((_IRON, np.log(_AGES)), _population_table(), bounds_error=False,
                                    fill_value=None)
    return np.exp(table(np.stack([iron, np.log(age)], axis=-1)))


@lru_cache(maxsize=1)   # takes seconds, and is the same for all models and sets
def _population_table():
    """ln M/L in V at `_IRON` and `_AGES`."""
    from scipy.optimize import brentq

    from pidoc.cluster.population import population_mass_to_light

    rows = []
    for iron in _IRON:
        metallicity = brentq(lambda z, iron=iron: iron_abundance(z) - iron, 1e-5, 0.05)
        ratio = population_mass_to_light(_AGES * u.Gyr, np.clip(metallicity, 1e-4, 0.03))
        rows.append(np.log(ratio.value))
    return np.array(rows)
