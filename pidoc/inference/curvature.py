# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Masses for given ages and [Fe/H], of which M/L is no linear function: `Curvature`."""

from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from astropy import units as u

from pidoc.networks.coordinates import exponents_of
from pidoc.photometry import iron_abundance

__all__ = ['Curvature', 'NEEDED']

NEEDED = {'mass_to_light', 'age', 'metallicity'}
"""Scalars that a posterior must have."""

_NODES = 5          # of Gauss-Hermite quadrature, in each of two dimensions
_AGES = (0.05, 0.1, 0.3, 0.6, 1.0, 2.0, 3.5, 5.0, 7.0, 9.0, 10.0, 11.0, 12.0, 13.0, 13.5, 14.0)     # Gyr
_METALLICITIES = (1e-4, 2e-4, 3.5e-4, 6e-4, 1e-3, 1.7e-3, 3e-3, 5e-3, 7e-3, 1e-2, 1.4e-2, 2e-2, 3e-2)   # Z


@dataclass(frozen=True, kw_only=True)
class Curvature:
    """M/L of populations by age and [Fe/H], for posteriors in which ln M/L is linear in both.

    In a normal distribution the mean of ln M/L is a linear function of age and [Fe/H] on their scales. If
    measurements move these, it moves along a line: the linear regression, for the width of the distribution
    before, of a function that is curved. What that misses is known from populations:

        E'[ln Y] - E[ln Y] - b (m' - m),

    where Y is the M/L of a population, m the means of age and [Fe/H] and b the coefficients of the regression
    of ln Y on them, in the distribution before; dashes mark that after the measurements. Where nothing is
    measured this is zero. Expectations are computed by Gauss-Hermite quadrature (Abramowitz & Stegun 1972,
    Eq. 25.4.46) with five nodes in each dimension.

    Parameters
    ----------
    ages : sequence of float, shape (m,)
        [Gyr], increasing.
    metallicities : sequence of float, shape (n,)
        [Fe/H], increasing.
    log_mass_to_light : sequence of sequences of float, shape (m, n)
        ln of the M/L of populations; a constant factor has no effect.

    Raises
    ------
    ValueError
        If a shape is wrong, a number is not finite, or the ages or metallicities do not increase.

    Examples
    --------
    >>> from pidoc.inference.curvature import Curvature
    >>> populations = Curvature(ages=[1.0, 10.0], metallicities=[-2.0, 0.0],
    ...                         log_mass_to_light=[[-0.9, -0.8], [0.6, 0.9]])
    >>> populations.exponents['total_mass'], populations.exponents['central_dispersion']
    (1.0, 0.5)
    """

    ages: tuple
    metallicities: tuple
    log_mass_to_light: tuple

    def __post_init__(self):
        axes = [np.array(each, dtype=float) for each in (self.ages, self.metallicities)]
        table = np.array(self.log_mass_to_light, dtype=float)
        if table.shape != tuple(axis.size for axis in axes) or min(table.shape) < 2:
            raise ValueError('log_mass_to_light must have a row for each age and a column for each '
                             f'metallicity, two at least, received the shape {table.shape}')
        if not all(np.all(np.isfinite(each)) for each in (*axes, table)):
            raise ValueError('a curvature must have finite numbers, received others')
        if axes[0][0] <= 0.0 or any(np.any(np.diff(axis) <= 0.0) for axis in axes):
            raise ValueError('ages must be positive, and ages and metallicities increase, received '
                             f'{self.ages} and {self.metallicities}')

    @classmethod
    def of_populations(cls, band='V'):
        """That of the packaged tracks with Kroupa's (2001) mass function; takes some seconds.

        Parameters
        ----------
        band : str, optional
            Band of the light, one of `pidoc.photometry.BANDS`.

        Returns
        -------
        Curvature
        """
        from pidoc.cluster.population import population_mass_to_light

        light = {'band': band, 'correction': 'reed1998' if band == 'V' else 'kurucz1992'}
        ratios = [population_mass_to_light(_AGES * u.Gyr, each, **light).value for each in _METALLICITIES]
        return cls(ages=_AGES, metallicities=iron_abundance(_METALLICITIES).tolist(),
                   log_mass_to_light=np.log(ratios).T.round(4).tolist())

    @cached_property
    def exponents(self):
        """Scalars that are proportional to a power of M/L: name -> exponent."""
        return exponents_of('mass_to_light')

    @cached_property
    def _table(self):
        from scipy.interpolate import RegularGridInterpolator

        return RegularGridInterpolator((np.log(self.ages), np.array(self.metallicities)),
                                       np.array(self.log_mass_to_light))

    def at(self, ages, metallicities):
        """ln M/L of populations; beyond the table, at its edge.

        Parameters
        ----------
        ages, metallicities : ndarray
            [Gyr] and [Fe/H], of the same shape.

        Returns
        -------
        ndarray
        """
        ages = np.clip(ages, self.ages[0], self.ages[-1])
        metallicities = np.clip(metallicities, self.metallicities[0], self.metallicities[-1])
        return self._table(np.stack([np.log(ages), metallicities], axis=-1))

    def bent(self, before, after):
        """A posterior after measurements, with what its linear relations miss.

        Parameters
        ----------
        before, after : `~pidoc.inference.posterior.Posterior`
            Without and with the measurements, of the same components.

        Returns
        -------
        Posterior
        """
        mean, expected, slope = self._line(before)
        moved, found, _ = self._line(after)
        missed = found - expected - np.sum(slope * (moved - mean), axis=-1)
        means = after.means.copy()
        for j, variable in enumerate(after.variables):
            means[:, :, j] += self.exponents.get(variable.name, 0.0) * missed / variable.sd
        return replace(after, means=means)

    def _line(self, posterior):
        """Means of age and [Fe/H], shape (n, K, 2), that of ln M/L, and its regression on them."""
        places = [posterior.names.index(name) for name in ('age', 'metallicity')]
        mean = posterior.means[:, :, places]
        factor = posterior.factors[:, :, places]
        factor = np.linalg.cholesky(np.einsum('nkij,nklj->nkil', factor, factor))
        nodes, weights = _quadrature()
        # sums without BLAS, whose threads cost more than they gain here
        points = mean[:, :, np.newaxis] + np.einsum('qj,nkij->nkqi', nodes, factor)
        values = self.at(*(variable.physical(variable.mean + variable.sd * points[..., k])
                           for k, variable in enumerate(posterior.variables[j] for j in places)))
        expected = np.einsum('nkq,q->nk', values, weights)
        slope = np.einsum('nkq,q,qj->nkj', values, weights, nodes)
        slope = np.linalg.solve(np.swapaxes(factor, -1, -2), slope[..., np.newaxis])
        return mean, expected, slope[..., 0]

    def to_dict(self):
        """Content for a JSON file."""
        return {'ages': list(self.ages), 'metallicities': list(self.metallicities),
                'log_mass_to_light': [list(row) for row in self.log_mass_to_light]}


@cache
def _quadrature():
    """Nodes, shape (q, 2), and weights of the standard normal distribution in two dimensions."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights = weights / weights.sum()
    pairs = np.stack(np.meshgrid(nodes, nodes, indexing='ij'), axis=-1).reshape(-1, 2)
    return pairs, np.outer(weights, weights).ravel()
