# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""`Likeness`: how much the appearance of a map is that of the training maps rather than of altered ones."""

from dataclasses import dataclass

import numpy as np

from pidoc.inference.features import on_scale

__all__ = ['Likeness', 'appearance']

_LIMIT = 6.0               # standard deviations beyond which all values are equal
_DIGITS = 4                # in files


@dataclass(frozen=True, eq=False)
class Likeness:
    """A small network that separates training maps from altered ones, by their appearance.

    Outlier exposure (Hendrycks, Mazeika & Dietterich 2019): it learns from examples of what does not belong
    to the set (`pidoc.training.likeness`). It sees the `~pidoc.inference.features` of a map and, if there is
    one, its encoding by the network that predicts (`~pidoc.inference.estimator.Estimator.encode`). These are
    standardised; a distance that is not given is 0 there, and the last input says whether it is given.

    Parameters
    ----------
    names : sequence of str
        Names of `FEATURES`.
    middle, spread : array_like, shape (n,)
        Mean and standard deviation of the training maps: of the features on the scale of their ranges, then
        of the logarithm of 1 plus each number of the encoding.
    layers : sequence of pair of array_like
        Kernel and bias of the dense layers, with ReLU between them; the last has one output.

    Raises
    ------
    ValueError
        If the shapes do not fit each other.
    """

    names: tuple
    middle: np.ndarray
    spread: np.ndarray
    layers: tuple

    def __post_init__(self):
        for name, value in (('names', tuple(self.names)), ('middle', np.asarray(self.middle, dtype=float)),
                            ('spread', np.asarray(self.spread, dtype=float)),
                            ('layers', tuple((np.asarray(kernel, dtype=float), np.asarray(bias, dtype=float))
                                             for kernel, bias in self.layers))):
            object.__setattr__(self, name, value)
        sizes = [self.middle.size + 1, *(bias.size for _, bias in self.layers)]
        fit = all(kernel.shape == pair for (kernel, _), pair in
                  zip(self.layers, zip(sizes[:-1], sizes[1:], strict=True), strict=True))
        if not (fit and sizes[-1] == 1 and self.middle.shape == self.spread.shape and self.n_encoding >= 0):
            raise ValueError(f'the layers must lead from at least {len(self.names)} quantities, and whether '
                             'there is a distance, to one number, received '
                             f'{[kernel.shape for kernel, _ in self.layers]}')

    @property
    def n_encoding(self):
        """How many numbers of an encoding it takes."""
        return self.middle.size - len(self.names)

    def inputs(self, measured, *, distance=True):
        """Inputs of the network.

        Parameters
        ----------
        measured : dict
            Result of `~pidoc.inference.features`, and ``encoding``, shape (n, n_encoding), if any is needed.
        distance : bool, optional
            Whether to use the distances that are known.

        Returns
        -------
        ndarray, shape (n, len(middle) + 1)

        Raises
        ------
        ValueError
            If the encoding is that of another network.
        """
        if not distance:
            measured = measured | {'distance': np.full(len(measured['total_flux']), np.nan)}
        values = (appearance(measured, self.names, self.n_encoding) - self.middle) / self.spread
        values = np.clip(np.where(np.isfinite(values), values, 0.0), -_LIMIT, _LIMIT)
        return np.column_stack([values, np.isfinite(np.asarray(measured['distance'], dtype=float))])

    def scores(self, inputs):
        """The logarithm of the odds that a map is an altered one.

        Parameters
        ----------
        inputs : ndarray, shape (n, len(middle) + 1)
            See `inputs`.

        Returns
        -------
        ndarray, shape (n,)
        """
        for kernel, bias in self.layers[:-1]:
            inputs = np.maximum(inputs @ kernel + bias, 0.0)
        kernel, bias = self.layers[-1]
        return (inputs @ kernel + bias)[:, 0]

    def most_unlike(self, inputs):
        """The quantity that raises the score of each map most, compared with its mean in training.

        Parameters
        ----------
        inputs : ndarray, shape (n, len(middle) + 1)

        Returns
        -------
        list of str
            'encoding' stands for all numbers of the encoding.
        """
        columns = {name: k for k, name in enumerate(self.names)}
        if self.n_encoding:
            columns['encoding'] = slice(len(self.names), self.middle.size)
        drops = np.empty((len(inputs), len(columns)))
        whole = self.scores(inputs)
        for k, column in enumerate(columns.values()):
            usual = inputs.copy()
            usual[:, column] = 0.0
            drops[:, k] = whole - self.scores(usual)
        return [[*columns][k] for k in np.argmax(drops, axis=1)]

    def to_dict(self):
        """As plain numbers, for JSON.

        Returns
        -------
        dict
        """
        return {'names': list(self.names), 'middle': _short(self.middle), 'spread': _short(self.spread),
                'layers': [[_short(kernel), _short(bias)] for kernel, bias in self.layers]}

    @classmethod
    def from_dict(cls, values):
        """The inverse of `to_dict`.

        Parameters
        ----------
        values : dict

        Returns
        -------
        Likeness

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is incomplete or damaged.
        """
        return cls(values['names'], values['middle'], values['spread'], values['layers'])


def appearance(measured, names, n_encoding):
    """Features and encoding of maps, before they are standardised.

    Parameters
    ----------
    measured : dict
        See `Likeness.inputs`.
    names : sequence of str
    n_encoding : int

    Returns
    -------
    ndarray, shape (n, len(names) + n_encoding)

    Raises
    ------
    ValueError
        If the encoding has another size.
    """
    values = on_scale(measured, names)
    if not n_encoding:
        return values
    encoding = np.asarray(measured.get('encoding', np.empty((len(values), 0))), dtype=float)
    if encoding.shape != (len(values), n_encoding):
        raise ValueError(f'encoding must have the shape ({len(values)}, {n_encoding}), received '
                         f'{encoding.shape}: it must be that of the network that the domain belongs to')
    return np.column_stack([values, np.log1p(np.maximum(encoding, 0.0))])


def _short(numbers):
    return np.vectorize(lambda number: float(f'{number:.{_DIGITS}g}'))(numbers).tolist()
