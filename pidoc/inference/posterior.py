# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The joint posterior of all scalars for a set of maps: `Posterior`.

A mixture of multivariate normal distributions in scaled variables (`pidoc.networks.variables`), whose
marginals are stretched by a calibration. The stretching is monotonic in each variable, so that the
dependences between variables (the copula) are those predicted by the network.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pidoc.inference.estimates import Interval

__all__ = ['Posterior']

_REACH = 10.0             # standard deviations on either side of a mixture that are tabulated
_NODES = 301
_ROUNDING = 1e-9          # variance of a standardised scalar
_ENDS = np.array([0.0, -1.0, 1.0, -2.0, 2.0])    # normal scores of the median, of 68.27 % and of 95.45 %


@dataclass(frozen=True, eq=False)
class Posterior:
    """Joint posteriors for n maps.

    Parameters
    ----------
    variables : tuple of `~pidoc.networks.variables.Variable`
        The D scalars.
    weights : ndarray, shape (n, K)
        Weights of the components of each mixture; their sum is 1.
    means : ndarray, shape (n, K, D)
        Means, standardised.
    factors : ndarray, shape (n, K, D, D)
        Lower triangular factors L of the covariances L L^T.
    stretch : ndarray, shape (n, D, 2)
        Values to which the normal scores 1 and 2 of each variable are mapped: (1, 2) has no effect.
    """

    variables: tuple
    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    stretch: np.ndarray

    @classmethod
    def of(cls, variables, weights, means, factors):
        """Posteriors without stretching."""
        number, _, size = means.shape
        return cls(tuple(variables), weights, means, factors, np.tile([1.0, 2.0], (number, size, 1)))

    def __len__(self):
        return len(self.weights)

    def __getitem__(self, rows):
        """The posteriors for some maps."""
        return replace(self, **{name: np.atleast_1d(getattr(self, name)[rows]) if isinstance(rows, slice)
                                else getattr(self, name)[np.atleast_1d(rows)]
                                for name in ('weights', 'means', 'factors', 'stretch')})

    @classmethod
    def joined(cls, parts):
        """Concatenate a list of posteriors."""
        return cls(parts[0].variables, *(np.concatenate([getattr(part, name) for part in parts])
                                         for name in ('weights', 'means', 'factors', 'stretch')))

    @property
    def names(self):
        """Names of the scalars."""
        return tuple(each.name for each in self.variables)

    def stretched(self, stretch):
        """The posterior with another ``stretch``."""
        return replace(self, stretch=np.asarray(stretch, dtype=float))

    def conditioned(self, measurements):
        """Condition on independent measurements of some scalars.

        Bayes' theorem in closed form: a normal measurement updates each component as in a Kalman filter
        (Kalman 1960) and multiplies its weight by the probability of the measurement.

        Parameters
        ----------
        measurements : dict
            Name of a scalar -> standardised values and their standard errors, each of shape (n,); NaN without
            a measurement.

        Returns
        -------
        Posterior
            Not stretched: it needs a calibration of its own.
        """
        means, log_weights = self.means.copy(), np.log(self.weights)
        covariance = self.factors @ np.swapaxes(self.factors, -1, -2)
        for name, (value, error) in measurements.items():
            j = self.names.index(name)
            known = np.isfinite(value) & np.isfinite(error)
            off = np.where(known[:, np.newaxis], value[:, np.newaxis] - means[:, :, j], 0.0)
            expected = covariance[:, :, j, j] + np.where(known, error, 1.0)[:, np.newaxis] ** 2
            gain = np.where(known[:, np.newaxis, np.newaxis],
                            covariance[:, :, :, j] / expected[..., np.newaxis], 0.0)
            log_weights -= np.where(known[:, np.newaxis], 0.5 * (np.log(expected) + off**2 / expected), 0.0)
            means = means + gain * off[..., np.newaxis]
            covariance = covariance - (gain[..., :, np.newaxis] * gain[..., np.newaxis, :]
                                       * expected[..., np.newaxis, np.newaxis])
        weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
        # rounding must not make a variance negative
        covariance = covariance + _ROUNDING * np.eye(len(self.variables))
        return self.of(self.variables, weights / weights.sum(axis=1, keepdims=True), means,
                       np.linalg.cholesky(covariance))

    # -- marginals

    def margin(self, name):
        """The marginal posterior of one scalar.

        Parameters
        ----------
        name : str

        Returns
        -------
        Posterior
        """
        j = self.names.index(name)
        sd = np.sqrt(np.sum(self.factors[:, :, j] ** 2, axis=-1))
        return Posterior((self.variables[j],), self.weights, self.means[:, :, j:j + 1],
                         sd[..., np.newaxis, np.newaxis], self.stretch[:, j:j + 1])

    @cached_property
    def _margins(self):
        """Standardised values and their normal scores, each of shape (n, D, nodes)."""
        from scipy.special import log_ndtr, logsumexp, ndtri_exp

        mean = self.means                                                  # n, K, D
        sd = np.sqrt(np.sum(self.factors**2, axis=-1))
        weights = self.weights[..., np.newaxis]
        middle = np.sum(weights * mean, axis=1)
        spread = np.sqrt(np.sum(weights * (sd**2 + (mean - middle[:, np.newaxis]) ** 2), axis=1))
        # more nodes where components may be narrow
        place = np.sinh(np.linspace(-1.0, 1.0, _NODES) * np.arcsinh(5.0 * _REACH)) / 5.0
        values = middle[..., np.newaxis] + spread[..., np.newaxis] * place   # n, D, nodes
        away = (values[:, np.newaxis] - mean[..., np.newaxis]) / sd[..., np.newaxis]
        shares = np.log(weights)[..., np.newaxis]
        below, above = (logsumexp(log_ndtr(sign * away) + shares, axis=1) for sign in (1.0, -1.0))
        # from the nearer tail, to avoid cancellation
        scores = np.where(below < above, ndtri_exp(np.minimum(below, -1e-300)),
                          -ndtri_exp(np.minimum(above, -1e-300)))
        return values, np.maximum.accumulate(scores, axis=-1)

    def normal_scores(self, scalars):
        """Normal scores Phi^-1(F) of physical values in their marginals, before stretching.

        For a calibrated posterior, those of the truth have a standard normal distribution.

        Parameters
        ----------
        scalars : dict
            Name -> physical values, shape (n,), for all scalars.

        Returns
        -------
        ndarray, shape (n, D)
        """
        values, scores = self._margins
        found = np.empty(values.shape[:2])
        for j, variable in enumerate(self.variables):
            true = variable.standardised(scalars[variable.name])
            for i, value in enumerate(true):
                found[i, j] = _between(value, values[i, j], scores[i, j])
        return found

    def ranks(self, scalars):
        """Posterior probability below physical values: uniform for true values and a calibrated posterior.

        Parameters
        ----------
        scalars : dict
            As for `normal_scores`.

        Returns
        -------
        ndarray, shape (n, D)
        """
        from scipy.special import ndtr

        scores = self.normal_scores(scalars)
        one, two = np.moveaxis(self.stretch, -1, 0)
        size = np.abs(scores)
        size = np.where(size < one, size / one, 1.0 + (size - one) / (two - one))
        return ndtr(np.sign(scores) * size)

    def _at_scores(self, i, j, wanted):
        """Physical values for one map at normal scores, after stretching."""
        values, scores = self._margins
        return self.variables[j].physical(
            self.variables[j].mean + self.variables[j].sd * _between(
                _stretched(wanted, self.stretch[i, j]), scores[i, j], values[i, j]))

    def intervals(self):
        """Median and intervals of every scalar.

        Returns
        -------
        dict
            Name -> `~pidoc.inference.estimates.Interval` with physical values, shape (n,).
        """
        found = {}
        for j, name in enumerate(self.names):
            ends = np.stack([self._at_scores(i, j, _ENDS) for i in range(len(self))], axis=1)
            found[name] = Interval(*ends)
        return found

    # -- draws

    def sample(self, number, *, seed=0):
        """Draw joint samples.

        Parameters
        ----------
        number : int
            Number of samples for each map.
        seed : int, optional

        Returns
        -------
        dict
            Name -> physical values, shape (n, number).
        """
        rng = np.random.default_rng(seed)
        found = {name: np.empty((len(self), number)) for name in self.names}
        values, scores = self._margins
        for i in range(len(self)):
            component = rng.choice(len(self.weights[i]), size=number, p=self.weights[i])
            normal = rng.normal(size=(number, len(self.variables)))
            draws = self.means[i, component] + np.einsum('nij,nj->ni', self.factors[i, component], normal)
            for j, name in enumerate(self.names):
                found[name][i] = self._at_scores(i, j, np.interp(draws[:, j], values[i, j], scores[i, j]))
        return found


def _between(x, nodes, values):
    """Linear interpolation and extrapolation."""
    found = np.interp(x, nodes, values)
    for end, near in ((0, 1), (-1, -2)):
        slope = (values[near] - values[end]) / (nodes[near] - nodes[end])
        beyond = x < nodes[0] if end == 0 else x > nodes[-1]
        found = np.where(beyond, values[end] + slope * (x - nodes[end]), found)
    return found


def _stretched(scores, stretch):
    """Normal scores after calibration: 0, 1 and 2 map to 0 and both of ``stretch``; linear in between."""
    one, two = stretch
    size = np.abs(scores)
    return np.sign(scores) * np.where(size < 1.0, one * size, one + (two - one) * (size - 1.0))
