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
from pidoc.networks.variables import Product, Variable

__all__ = ['Posterior']

_STEPS = 60                # most steps towards a quantile, and the change that ends them
_EXACT = 1e-7
_ROUNDING = 1e-9          # variance of a standardised scalar
_TABLE = np.linspace(-6.0, 6.0, 49)              # normal scores of a table for draws
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
        Factors L of the covariances L L^T.
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

    def scaled(self, name, factor):
        """The posterior of a multiple of a scalar whose scale is the logarithm.

        Parameters
        ----------
        name : str
        factor : ndarray, shape (n,)
            Positive.

        Returns
        -------
        Posterior

        Raises
        ------
        ValueError
            If the scale of the scalar is another one.
        """
        j = self.names.index(name)
        variable = self.variables[j]
        if variable.scale != 'logarithm':
            raise ValueError(f'only a scalar with the scale logarithm can be scaled, {name} has '
                             f'{variable.scale}')
        means = self.means.copy()
        means[:, :, j] += np.log(factor)[:, np.newaxis] / variable.sd
        return replace(self, means=means)

    def conditioned(self, measurements):
        """Condition on independent measurements of some scalars.

        Bayes' theorem in closed form: a normal measurement updates each component as in a Kalman filter
        (Kalman 1960) and multiplies its weight by the probability of the measurement.

        Parameters
        ----------
        measurements : dict
            Name of a scalar, or a `~pidoc.networks.variables.Product` of several -> values and their standard
            errors, each of shape (n,), NaN without a measurement: standardised ones of a scalar, the
            logarithm of a product.

        Returns
        -------
        Posterior
            Not stretched: it needs a calibration of its own.
        """
        with np.errstate(divide='ignore'):
            means, log_weights = self.means.copy(), np.log(self.weights)
        covariance = self.factors @ np.swapaxes(self.factors, -1, -2)
        for quantity, (value, error) in measurements.items():
            line, constant = self._line(quantity)
            known = np.isfinite(value) & np.isfinite(error)
            off = np.where(known[:, np.newaxis], value[:, np.newaxis] - constant - means @ line, 0.0)
            along = covariance @ line
            expected = along @ line + np.where(known, error, 1.0)[:, np.newaxis] ** 2
            gain = np.where(known[:, np.newaxis, np.newaxis], along / expected[..., np.newaxis], 0.0)
            log_weights -= np.where(known[:, np.newaxis], 0.5 * (np.log(expected) + off**2 / expected), 0.0)
            means = means + gain * off[..., np.newaxis]
            covariance = covariance - (gain[..., :, np.newaxis] * gain[..., np.newaxis, :]
                                       * expected[..., np.newaxis, np.newaxis])
        weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
        # rounding must not make a variance negative
        covariance = covariance + _ROUNDING * np.eye(len(self.variables))
        return self.of(self.variables, weights / weights.sum(axis=1, keepdims=True), means,
                       np.linalg.cholesky(covariance))

    def _line(self, quantity):
        """Coefficients, shape (D,), and constant of a scalar or a product in the standardised scalars."""
        if isinstance(quantity, Product):
            return quantity.line(self.variables)
        return np.eye(len(self.variables))[self.names.index(quantity)], 0.0

    # -- marginals

    def margin(self, quantity):
        """The marginal posterior of one scalar, or of a product of several.

        Parameters
        ----------
        quantity : str or `~pidoc.networks.variables.Product`

        Returns
        -------
        Posterior
            Not stretched for a product.
        """
        line, constant = self._line(quantity)
        mean = (self.means @ line + constant)[..., np.newaxis]
        sd = np.sqrt(np.sum((line @ self.factors) ** 2, axis=-1))[..., np.newaxis, np.newaxis]
        if isinstance(quantity, Product):
            return self.of([Variable(name=quantity.name, scale='logarithm')], self.weights, mean, sd)
        j = self.names.index(quantity)
        return Posterior((self.variables[j],), self.weights, mean, sd, self.stretch[:, j:j + 1])

    @cached_property
    def _components(self):
        """Weights, means and standard deviations of the marginals, shapes (n, 1, K), (n, D, K), (n, D, K)."""
        return (self.weights[:, np.newaxis], np.swapaxes(self.means, 1, 2),
                np.swapaxes(np.sqrt(np.sum(self.factors**2, axis=-1)), 1, 2))

    def _scores_at(self, values):
        """Normal scores of standardised values, shape (n, D), in the marginals."""
        from scipy.special import log_ndtr, logsumexp, ndtri_exp

        weights, means, sds = self._components
        away = (values[..., np.newaxis] - means) / sds
        # with the logarithms of the weights, one of which may be tiny where its component is all there is
        with np.errstate(divide='ignore'):
            log_weights = np.log(weights)
        below, above = (logsumexp(log_ndtr(sign * away) + log_weights, axis=-1) for sign in (1.0, -1.0))
        # from the nearer tail, to avoid cancellation
        return np.where(below < above, ndtri_exp(np.minimum(below, -1e-300)),
                        -ndtri_exp(np.minimum(above, -1e-300)))

    def _values_at(self, scores):
        """Standardised values with normal scores, shape (n, D, m), in the marginals.

        Newton's method on the nearer tail, in an interval that is halved where a step would leave it or is
        not less than half of the last one (``rtsafe`` of Press+ 2007, Numerical Recipes, section 9.4).
        """
        from scipy.special import ndtr

        weights, means, sds = (each[:, :, np.newaxis] for each in self._components)
        # from below for negative scores: the distribution is mirrored for others
        side = np.where(scores > 0.0, -1.0, 1.0)
        wanted = ndtr(side * scores)
        means = side[..., np.newaxis] * means
        at = means + (side * scores)[..., np.newaxis] * sds
        # a quantile of a mixture is between those of its components
        low, high = at.min(axis=-1), at.max(axis=-1)
        value, last = np.clip(np.sum(weights * at, axis=-1), low, high), np.full(low.shape, np.inf)
        found = np.zeros(low.shape, dtype=bool)
        for _ in range(_STEPS):
            away = (value[..., np.newaxis] - means) / sds
            share = np.sum(weights * ndtr(away), axis=-1)
            low, high = np.where(share < wanted, value, low), np.where(share < wanted, high, value)
            density = np.sum(weights * np.exp(-0.5 * away**2) / sds, axis=-1) / np.sqrt(2.0 * np.pi)
            # in the logarithm of the share, which is less curved in a tail
            with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
                step = share * np.log(wanted / share) / density
            # each on its own, so that one map does not change another
            found |= (np.abs(step) <= _EXACT) | (high - low <= _EXACT)
            if np.all(found):
                break
            fast = (value + step >= low) & (value + step <= high) & (np.abs(step) < 0.5 * np.abs(last))
            last = np.where(fast, step, 0.5 * (low + high) - value)
            value = np.where(found, value, value + last)
        return side * value

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
        true = np.stack([each.standardised(scalars[each.name]) for each in self.variables], axis=1)
        return self._scores_at(true)

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

    def intervals(self):
        """Median and intervals of every scalar.

        Returns
        -------
        dict
            Name -> `~pidoc.inference.estimates.Interval` with physical values, shape (n,).
        """
        ends = self._values_at(_stretched(_ENDS, self.stretch[..., np.newaxis, :]))
        return {each.name: Interval(*each.physical(each.mean + each.sd * ends[:, j].T))
                for j, each in enumerate(self.variables)}

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
        for i in range(len(self)):
            component = rng.choice(len(self.weights[i]), size=number, p=self.weights[i])
            normal = rng.normal(size=(number, len(self.variables)))
            draws = self.means[i, component] + np.einsum('nij,nj->ni', self.factors[i, component], normal)
            stretch = self[i]._stretching()
            for j, each in enumerate(self.variables):
                value = _between(draws[:, j], *stretch[j])
                found[each.name][i] = each.physical(each.mean + each.sd * value)
        return found

    def _stretching(self):
        """For one map, standardised values of each variable before and after stretching, tabulated."""
        scores = np.tile(_TABLE, (1, len(self.variables), 1))
        before, after = self._values_at(scores), self._values_at(
            _stretched(scores, self.stretch[..., np.newaxis, :]))
        return list(zip(before[0], after[0], strict=True))


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
    one, two = np.moveaxis(np.asarray(stretch), -1, 0)
    size = np.abs(scores)
    return np.sign(scores) * np.where(size < 1.0, one * size, one + (two - one) * (size - 1.0))
