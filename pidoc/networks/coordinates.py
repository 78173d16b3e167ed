# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Coordinates in which a network describes the scalars of a map: `Coordinates`.

Most of a cluster's properties are tied to each other by physics that no network needs to learn:

* the mass in the field is M/L times the luminosity, L = 4 pi d^2 F for the flux F in the image;
* a radius is an angle times the distance;
* by the virial theorem the square of a velocity dispersion is proportional to G M / r (Spitzer 1987,
  *Dynamical Evolution of Globular Clusters*, section 1.2).

In logarithms these are linear. The coordinates are what the ties leave over, for instance the field mass
divided by M/L, d^2 and F; they are then made uncorrelated, with mean 0 and standard deviation 1 in the
training set. That also leaves to the network only what, for example, M/L differs from its linear regression
on age and [Fe/H]. A mixture of normal distributions in them is one in the scalars.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ['Coordinates', 'exponents_of', 'FLUX', 'TIES']

FLUX = 'flux'
"""The flux in the image, among the `TIES`."""

TIES = {
    'total_mass': {'mass_to_light': 1.0, 'distance': 2.0, FLUX: 1.0},
    'cluster_mass': {'mass_to_light': 1.0, 'distance': 2.0, FLUX: 1.0},
    'half_mass_radius': {'distance': 1.0},
    'half_light_radius': {'distance': 1.0},
    'central_dispersion': {'cluster_mass': 0.5, 'half_mass_radius': -0.5},
    'velocity_dispersion': {'cluster_mass': 0.5, 'half_mass_radius': -0.5},
}
"""Scalar -> exponents of other scalars, and of the flux, to which it is nearly proportional."""

_RIDGE = 1e-8      # variance that is added: for a scalar that is the same in all maps, or follows from others


def exponents_of(name):
    """Exponents with which scalars depend on one of them, directly or by others, after `TIES`.

    Parameters
    ----------
    name : str

    Returns
    -------
    dict
        Scalar -> exponent other than 0; for ``name`` itself 1.

    Examples
    --------
    >>> from pidoc.networks.coordinates import exponents_of
    >>> exponents_of('half_mass_radius')
    {'half_mass_radius': 1.0, 'central_dispersion': -0.5, 'velocity_dispersion': -0.5}
    """
    found = {name: 1.0}
    # a scalar comes after those that it is tied to
    for scalar, ties in TIES.items():
        exponent = sum(power * found.get(other, 0.0) for other, power in ties.items())
        if exponent:
            found[scalar] = exponent
    return found


@dataclass(frozen=True)
class Coordinates:
    """Linear coordinates z = A y - b ln F - c for standardised scalars y and the flux F of an image.

    Parameters
    ----------
    matrix : sequence of sequences of float, shape (D, D)
        A.
    flux, offset : sequence of float, shape (D,)
        b and c.

    Raises
    ------
    ValueError
        If a shape is wrong, a number is not finite, or the matrix has no inverse.

    Examples
    --------
    >>> import numpy as np
    >>> from pidoc.networks.coordinates import Coordinates
    >>> mass = Coordinates(np.eye(1), np.ones(1), np.zeros(1))
    >>> print(mass.of(np.array([[5.0]]), np.array([3.0])))
    [[2.]]
    """

    matrix: tuple
    flux: tuple
    offset: tuple

    def __post_init__(self):
        matrix, flux, offset = self._arrays
        size = offset.size
        if matrix.shape != (size, size) or flux.shape != (size,) or offset.shape != (size,):
            raise ValueError('coordinates must have a square matrix and two vectors of its size, received '
                             f'shapes {matrix.shape}, {flux.shape}, {offset.shape}')
        if not np.all(np.isfinite(matrix)) or not np.all(np.isfinite([flux, offset])):
            raise ValueError('coordinates must have finite numbers, received others')
        if np.linalg.matrix_rank(matrix) < size:
            raise ValueError('the matrix of coordinates must have an inverse, received one of rank '
                             f'{np.linalg.matrix_rank(matrix)} for {size} scalars')
        for name, array in zip(('matrix', 'flux', 'offset'), self._arrays, strict=True):
            object.__setattr__(self, name, _tuples(array.tolist()))

    @cached_property
    def _arrays(self):
        return tuple(np.array(each, dtype=float) for each in (self.matrix, self.flux, self.offset))

    @cached_property
    def _inverse(self):
        return np.linalg.inv(self._arrays[0])

    @classmethod
    def fit(cls, variables, standardised, log_flux):
        """Coordinates in which the scalars of a training set are uncorrelated, after `TIES`.

        Parameters
        ----------
        variables : sequence of `~pidoc.networks.variables.Variable`
            The D scalars. Ties are of those on a logarithmic scale.
        standardised : ndarray, shape (n, D)
        log_flux : ndarray, shape (n,)
            ln F.

        Returns
        -------
        Coordinates
        """
        matrix, flux = _tied(variables)
        left = standardised @ matrix.T - np.outer(log_flux, flux)
        spread = np.cov(left.T).reshape(matrix.shape) + _RIDGE * np.eye(len(matrix))
        # upper triangular: each scalar is compared with those after it, among them age, distance and [Fe/H]
        whitening = np.linalg.inv(np.linalg.cholesky(spread[::-1, ::-1]))[::-1, ::-1]
        return cls(whitening @ matrix, whitening @ flux, whitening @ left.mean(axis=0))

    def of(self, standardised, log_flux):
        """Coordinates of standardised scalars.

        Parameters
        ----------
        standardised : ndarray, shape (n, D)
        log_flux : ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (n, D)
        """
        matrix, flux, offset = self._arrays
        return standardised @ matrix.T - np.outer(log_flux, flux) - offset

    def back(self, means, factors, log_flux):
        """Means and factors of normal distributions of the standardised scalars from those in coordinates.

        Parameters
        ----------
        means : ndarray, shape (n, K, D)
        factors : ndarray, shape (n, K, D, D)
            L of covariances L L^T.
        log_flux : ndarray, shape (n,)

        Returns
        -------
        means, factors : ndarray
        """
        _, flux, offset = self._arrays
        shift = np.outer(log_flux, flux) + offset
        return (means + shift[:, np.newaxis]) @ self._inverse.T, self._inverse @ factors


def _tuples(values):
    return tuple(map(_tuples, values)) if isinstance(values, list) else values


def _tied(variables):
    """Matrix and coefficients of the flux that divide by what the `TIES` say, for standardised scalars."""
    place = {each.name: k for k, each in enumerate(variables) if each.scale == 'logarithm'}
    matrix, flux = np.eye(len(variables)), np.zeros(len(variables))
    for name, ties in TIES.items():
        if name not in place or not set(ties) <= {*place, FLUX}:
            continue
        here = variables[place[name]].sd
        for other, exponent in ties.items():
            if other == FLUX:
                flux[place[name]] = exponent / here
            else:
                matrix[place[name], place[other]] = -exponent * variables[place[other]].sd / here
    return matrix, flux
