# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Grids of cluster models with different initial conditions."""

import math
from collections.abc import Mapping
from numbers import Real

import numpy as np
from scipy.stats import qmc

from pidoc.cluster.model import ClusterModel
from pidoc.cluster.table import field_value
from pidoc.simulation.tides import TidalField
from pidoc.units import plain_number, whole_number

__all__ = ['draw_models']

_MAX_TRIES = 100      # largest number of draws per model, before an error is raised


def draw_models(fields, number, *, seed, name='grid', max_filling=0.1):
    """Draw cluster models that cover a space of initial conditions uniformly.

    The values are from a Sobol' sequence (Joe & Kuo 2008) with a random shift (Cranley & Patterson 1976), so
    that a few models already cover the whole space, and the first n of a larger grid are the grid of n.

    Parameters
    ----------
    fields : mapping
        Fields of `~pidoc.ClusterModel`, with a mapping with ``low``, ``high`` and optionally ``scale='log'``
        for a value drawn between the two; one with ``choices`` for a value from a list; or a value for all
        models, in the form of `~pidoc.cluster.table.field_value`, with units. With ``of`` and the name of an
        earlier field, ``low`` and ``high`` are fractions of the value of that field. With a ``king_w0`` other
        than 'none' the profile is King's.
    number : int
        Number of models.
    seed : int
        Seed of the sequence. The k-th model has the seed 1000 ``seed`` + k.
    name : str, optional
        Prefix of their names: ``grid-000`` and so on.
    max_filling : float, optional
        Largest ratio of half-mass radius to tidal radius at birth; other models are rejected.

    Returns
    -------
    list of `~pidoc.ClusterModel`

    Raises
    ------
    ValueError
        If a field or a distribution is invalid, or nearly all models violate ``max_filling``.

    Examples
    --------
    >>> from pidoc.simulation.design import draw_models
    >>> fields = {'n_stars': {'low': 1e4, 'high': 1e5, 'scale': 'log'}, 'half_mass_radius': '2 pc'}
    >>> [model.n_stars for model in draw_models(fields, 3, seed=1)]
    [32495, 10276, 18273]
    """
    drawn = {field: _Distribution(field, spec, list(fields)[:k])
             for k, (field, spec) in enumerate(fields.items())}
    number = whole_number(number, 'number', at_least=1, floats=True)
    plain_number(max_filling, 'max_filling', above=0, below=1)
    sequence = qmc.Sobol(max(len(drawn), 1), scramble=False)
    shift = np.random.default_rng(seed).uniform(size=sequence.d)
    models = []
    for _ in range(_MAX_TRIES * int(number)):
        place = (sequence.random(1)[0] + shift) % 1.0
        values = {}
        for (field, distribution), share in zip(drawn.items(), place, strict=False):
            values[field] = distribution.at(share, values)
        if values.get('king_w0') is not None:
            values.setdefault('profile', 'king')
        k = len(models)
        model = ClusterModel(**{'seed': 1000 * seed + k, **values, 'name': f'{name}-{k:03d}'})
        if _filling(model) <= max_filling:
            models.append(model)
        if len(models) == number:
            return models
    raise ValueError(f'max_filling {max_filling:g} left {len(models)} of {number} models after '
                     f'{_MAX_TRIES * number} draws: the radii are too large for the orbits')


def _filling(model):
    tidal_radius = TidalField(model).tidal_radius(model.expected_total_mass.to_value('Msun'))
    return model.half_mass_radius.to_value('pc') / tidal_radius


class _Distribution:
    """Values of one field, as a function of a fraction between 0 and 1."""

    def __init__(self, field, spec, before):
        self.field, self.spec = field, spec
        known = isinstance(spec, Mapping) and (
            set(spec) == {'choices'} or {'low', 'high'} <= set(spec) <= {'low', 'high', 'scale', 'of'})
        if isinstance(spec, Mapping) and not known:
            raise ValueError(f'the distribution of {field} must have either choices, or low, high and '
                             f'perhaps scale and of, received {", ".join(sorted(spec)) or "nothing"}')
        self.log = isinstance(spec, Mapping) and spec.get('scale', 'linear') == 'log'
        self.of = spec.get('of') if isinstance(spec, Mapping) else None
        if self.of is not None and self.of not in before:
            raise ValueError(f'{field} must be a share of a field that stands before it, received '
                             f'{self.of!r}')
        if isinstance(spec, Mapping) and 'low' in spec:
            self._check_limits()
        if isinstance(spec, Mapping) and 'choices' in spec:
            if not isinstance(spec['choices'], (list, tuple)) or not spec['choices']:
                raise ValueError(f'the choices of {field} must be a list with at least one, '
                                 f'received {spec["choices"]!r}')
        if self.of is None:
            self.at(0.5, {})

    def _check_limits(self):
        low, high, scale = self.spec['low'], self.spec['high'], self.spec.get('scale', 'linear')
        if scale not in ('linear', 'log'):
            raise ValueError(f'the scale of {self.field} must be linear or log, received {scale!r}')
        numbers = all(isinstance(value, Real) and math.isfinite(value) for value in (low, high))
        if not (numbers and low < high and (scale == 'linear' or low > 0.0)):
            raise ValueError(f'low and high of {self.field} must be increasing numbers, for a log scale '
                             f'positive ones, received {low!r} and {high!r}')

    def at(self, share, values):
        """The value at a fraction of the distribution, given those of earlier fields."""
        spec = self.spec
        if not isinstance(spec, Mapping):
            return field_value(self.field, spec)
        if 'choices' in spec:
            return field_value(self.field, spec['choices'][int(share * len(spec['choices']))])
        low, high = spec['low'], spec['high']
        value = low * (high / low) ** share if self.log else low + share * (high - low)
        if self.of is not None:
            return value * values[self.of]
        if self.field in ('n_stars', 'seed'):
            value = round(value)
        return field_value(self.field, float(value) if isinstance(value, float) else value)
