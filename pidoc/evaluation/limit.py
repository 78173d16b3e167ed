# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The least error of masses in the field that M/L of stellar populations allows: `population_limit`.

A cluster's light, distance, age and [Fe/H], all measured with errors, do not give its mass: the mass function
and the wind of giants change M/L, and no image shows them.
"""

from functools import lru_cache

import numpy as np
from astropy import units as u

from pidoc.evaluation.envelope import KNOWN_ERRORS
from pidoc.photometry import iron_abundance

__all__ = ['AGE_RANGE', 'population_limit']

AGE_RANGE = (9.0, 14.0)
"""Ages of clusters like those of the Milky Way [Gyr]."""

_AGES = np.array([9.0, 10.5, 12.0, 14.0])
_METALLICITIES = (1e-4, 3e-4, 1e-3, 2e-3, 4e-3, 1e-2, 3e-2)      # Z
_FEWEST = 4000              # least number of populations that a cluster is compared with


def population_limit(models, ages, metallicities, light_errors, *, dispersion=False, errors=KNOWN_ERRORS,
                     seed=0):
    """Errors of the best estimate of the mass in the field from light, distance, age and [Fe/H].

    Each cluster gets the M/L of a population with the mass function and the wind of giants of a model that
    is drawn at random. Its mass is estimated from what is measured by the median of the posterior (Bayes'
    theorem), for which the models and the distributions of ages, [Fe/H] and errors are known exactly. So no
    estimate of these clusters can have a smaller median error, unless an image shows what M/L they have. Not
    included are the number of giants, which an image shows in part, and all dynamics: loss of light stars,
    black holes, segregation.

    Parameters
    ----------
    models : sequence of `~pidoc.ClusterModel`
        Clusters with mass functions and winds as they may be.
    ages : ndarray of shape (n,)
        [Gyr], in `AGE_RANGE`.
    metallicities : ndarray of shape (n,)
        Mass fractions Z.
    light_errors : ndarray of shape (n,)
        ln of the measured over the true light in the field, for the true distance.
    dispersion : bool, optional
        Whether a velocity dispersion is known too, and all that the virial theorem needs besides: the mass
        is proportional to its square and to the distance.
    errors : dict, optional
        As for `pidoc.evaluation.envelope.known_of`.
    seed : int, optional

    Returns
    -------
    ndarray of shape (n,)
        ln of the estimated over the true mass.

    Raises
    ------
    ValueError
        If there are no models, or an age is outside the range.

    Examples
    --------
    Of one population, of which age and [Fe/H] are known well, only the distance is uncertain: 2 % of it are
    4 % of the mass, and the median of the errors is 0.67 of that.

    >>> import numpy as np
    >>> from pidoc import ClusterModel
    >>> from pidoc.evaluation.limit import population_limit
    >>> known = {'distance': 0.02, 'age': 0.01, 'iron': 0.01, 'dispersion': 0.05}
    >>> errors = population_limit([ClusterModel()], np.full(2000, 12.0), np.full(2000, 0.001), np.zeros(2000),
    ...                           errors=known)
    >>> print(f'{np.median(np.abs(errors)):.3f}')
    0.027
    """
    ages, metallicities = np.asarray(ages, dtype=float), np.asarray(metallicities, dtype=float)
    if not len(models):
        raise ValueError('population_limit needs models of clusters, received none')
    if ages.size and (ages.min() < AGE_RANGE[0] or ages.max() > AGE_RANGE[1]):
        raise ValueError('ages must be {:g} to {:g} Gyr, received {:g} to {:g}'.format(
            *AGE_RANGE, ages.min(), ages.max()))
    rng = np.random.default_rng(seed)
    table, kinds = _ratios(models)
    iron = iron_abundance(metallicities)

    def drawn(rows):
        """What differs between clusters, and is not seen: shape (4, n)."""
        kind = kinds[rng.integers(len(kinds), size=rows.size)]
        ratio = _interpolated(table, kind, ages[rows], metallicities[rows])
        far = errors['distance'] * rng.normal(size=rows.size)
        return ratio, ages[rows], iron[rows], far

    own = drawn(np.arange(ages.size))
    many = np.tile(np.arange(ages.size), -(-_FEWEST // max(ages.size, 1)))
    others = drawn(many)
    # ln of true mass over measured light; increasing, so that medians are sums of weights
    excess = others[0] - 2.0 * others[3] - rng.choice(np.asarray(light_errors, dtype=float), many.size)
    order = np.argsort(excess)
    excess, others = excess[order], [each[order] for each in others]
    light = np.asarray(light_errors, dtype=float) + 2.0 * own[3]
    measured = [own[1] + errors['age'] * rng.normal(size=ages.size),
                own[2] + errors['iron'] * rng.normal(size=ages.size)]
    width = 2.0 * errors['dispersion']
    virial = own[0] + own[3] + width * rng.normal(size=ages.size) - light
    found = np.empty(ages.size)
    for k in range(ages.size):
        chi2 = ((others[1] - measured[0][k]) / errors['age']) ** 2
        chi2 += ((others[2] - measured[1][k]) / errors['iron']) ** 2
        if dispersion:
            chi2 += ((excess + others[3] - virial[k]) / width) ** 2
        weight = np.cumsum(np.exp(-0.5 * (chi2 - chi2.min())))
        found[k] = excess[np.searchsorted(weight, 0.5 * weight[-1])]
    return found + light - own[0]


def _ratios(models):
    """ln M/L of each kind of population at `_AGES` and `_METALLICITIES`, and the kind of each model."""
    winds = np.array([model.giant_mass_loss for model in models], dtype=float)
    nodes = np.unique([winds.min(), 0.5 * (winds.min() + winds.max()), winds.max()]).round(6)
    nearest = np.abs(winds[:, None] - nodes).argmin(axis=1)
    names = [(str(model.imf), float(nodes[k])) for model, k in zip(models, nearest, strict=True)]
    kinds = tuple(sorted(set(names)))
    return _tables(kinds), np.array([kinds.index(each) for each in names])


@lru_cache(maxsize=4)       # takes a second for each kind
def _tables(kinds):
    from pidoc.cluster.population import population_mass_to_light

    return np.log([[population_mass_to_light(_AGES * u.Gyr, each, imf=imf, giant_mass_loss=wind).value
                    for each in _METALLICITIES] for imf, wind in kinds])


def _interpolated(table, kind, ages, metallicities):
    """ln M/L, linear in the logarithms of age and Z."""
    from scipy.interpolate import RegularGridInterpolator

    axes = np.arange(len(table)), np.log(_METALLICITIES), np.log(_AGES)
    if len(table) == 1:     # an axis needs two points
        axes, table = (np.arange(2), *axes[1:]), np.repeat(table, 2, axis=0)
    at = np.stack([kind, np.log(np.clip(metallicities, *_METALLICITIES[::len(_METALLICITIES) - 1])),
                   np.log(ages)], axis=-1)
    return RegularGridInterpolator(axes, table)(at)
