# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The outputs with which a network describes a mixture of multivariate normal distributions.

For D variables and K components: K D means; K D natural logarithms of standard deviations s; with full
covariance K D (D - 1) / 2 numbers t below the diagonal; and for K > 1 logarithms of K weights. With u = (y -
m) / s for a component, z_i = u_i + sum_{j<i} t_ij u_j are independent standard normal variables, and the
density is the product of theirs divided by the product of the s (the Cholesky factor of the inverse of the
covariance; Williams 1996, Neural Computation 8, 843).
"""

import numpy as np

__all__ = ['COVARIANCES', 'Layout', 'LIMITS']

COVARIANCES = 'diagonal', 'full'

LIMITS = -5.0, 3.0
"""Limits of the logarithms of standard deviations."""


class Layout:
    """Positions of the outputs.

    Parameters
    ----------
    variables, components : int
    covariance : {'diagonal', 'full'}

    Raises
    ------
    ValueError
        If the covariance is not one of these.
    """

    def __init__(self, variables, components=1, covariance='diagonal'):
        if covariance not in COVARIANCES:
            raise ValueError(f'covariance must be one of {", ".join(COVARIANCES)}, received {covariance!r}')
        self.variables, self.components, self.full = variables, components, covariance == 'full'
        self.pairs = variables * (variables - 1) // 2 if self.full else 0
        self.size = components * (2 * variables + self.pairs) + (components if components > 1 else 0)
        self.rows, self.columns = np.tril_indices(variables, -1)

    def parts(self, output):
        """Means, logarithms of standard deviations, numbers below the diagonal, logarithms of weights.

        Parameters
        ----------
        output : array or tensor, shape (n, size)

        Returns
        -------
        tuple
            Shapes (n, K D), (n, K D), (n, K pairs), (n, K); the last is empty for one component.
        """
        ends = np.cumsum([self.components * n for n in (self.variables, self.variables, self.pairs)])
        return (output[:, :ends[0]], output[:, ends[0]:ends[1]], output[:, ends[1]:ends[2]],
                output[:, ends[2]:])

    def spread(self):
        """Positions of the numbers below the diagonal: a matrix of shape (pairs, D D) of zeros and ones."""
        spread = np.zeros((self.pairs, self.variables**2), dtype=np.float32)
        spread[np.arange(self.pairs), self.rows * self.variables + self.columns] = 1.0
        return spread

    def mixture(self, output):
        """The mixtures described by outputs of a network.

        Parameters
        ----------
        output : ndarray, shape (n, size)

        Returns
        -------
        weights : ndarray, shape (n, K)
        means : ndarray, shape (n, K, D)
        factors : ndarray, shape (n, K, D, D)
            Lower triangular L of the covariances L L^T.
        """
        number, shape = len(output), (len(output), self.components, self.variables)
        means, log_sd, below, logits = (np.asarray(part, dtype=float) for part in self.parts(output))
        sd = np.exp(np.clip(log_sd, *LIMITS)).reshape(shape)
        inverse = np.zeros((*shape, self.variables))
        inverse[..., range(self.variables), range(self.variables)] = 1.0
        if self.full:
            inverse[..., self.rows, self.columns] = below.reshape(number, self.components, self.pairs)
        factors = sd[..., np.newaxis] * np.linalg.inv(inverse)
        weights = np.ones((number, 1))
        if self.components > 1:
            weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True), means.reshape(shape), factors
