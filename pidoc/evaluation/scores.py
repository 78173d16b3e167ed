# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Scores of predicted against true values: Eqs. 1, 2 and 4 and Table 2 of Chardin & Bianchini (2021).

Inputs are plain numbers: Msun per pixel, Gyr, kpc. `Comparison` accumulates values in batches.
"""

import math

import numpy as np
from astropy import units as u
from astropy.table import QTable

from pidoc.units import plain_number

__all__ = ['AGE_EDGES', 'Comparison', 'PIXEL_EDGES', 'TOTAL_MASS_EDGES', 'coverage', 'distance_scores',
           'edge_bias', 'paper_numbers', 'r_squared']

PIXEL_EDGES = np.linspace(-2.0, 1.0, 50)
"""Edges of the 49 bins of predicted log10 of the mass per pixel [Msun], as in the authors' released code."""

TOTAL_MASS_EDGES = np.linspace(3.0, 4.5, 20)
"""Edges of the 19 bins of predicted log10 of the mass in the field [Msun], as in the released code."""

AGE_EDGES = np.linspace(0.0, 14.0, 20)
"""Edges of the 19 bins of predicted age [Gyr], as in the released code."""

_ABOVE = -1.0              # log10 of Msun per pixel: the paper's limit of "low mass bins"
_GROUPS = 12               # different values, at most, that form separate groups
_PIECE = 1 << 16           # values processed at a time


# -- functions of predicted and true --------------------------------------------------------------


def r_squared(predicted, true, *, form='residual'):
    """Coefficient of determination, in either form of Eq. 1.

    The paper equates the two forms. They agree only for a linear least-squares fit; for predictions of a
    network 'explained' measures their spread and can be 1, or more, while all of them are wrong.

    Parameters
    ----------
    predicted, true : array-like
        Arrays of the same shape.
    form : {'residual', 'explained'}, optional
        1 - sum (p - t)^2 / sum (t - <t>)^2, or sum (p - <t>)^2 / sum (t - <t>)^2.

    Returns
    -------
    float
        NaN if all true values are the same.

    Raises
    ------
    ValueError
        If the shapes differ, a value is not finite, or ``form`` is not one of these.

    Examples
    --------
    >>> from pidoc.evaluation.scores import r_squared
    >>> r_squared([3, 1, 2], [1, 2, 3]), r_squared([3, 1, 2], [1, 2, 3], form='explained')
    (-2.0, 1.0)
    """
    predicted, true = _pair(predicted, true)
    if form not in ('residual', 'explained'):
        raise ValueError(f'form must be residual or explained, received {form!r}')
    spread = float(np.sum((true - true.mean()) ** 2))
    if not spread > 0.0:
        return math.nan
    if form == 'explained':
        return float(np.sum((predicted - true.mean()) ** 2)) / spread
    return 1.0 - float(np.sum((predicted - true) ** 2)) / spread


def edge_bias(predicted, true, *, share=0.1):
    """Mean of predicted - true for the lowest and for the highest true values.

    Parameters
    ----------
    predicted, true : array-like
        Arrays of the same shape.
    share : float, optional
        Fraction of the values at each edge.

    Returns
    -------
    low, high : float

    Raises
    ------
    ValueError
        If the shapes differ, a value is not finite, or ``share`` is not above 0 and at most 0.5.
    """
    predicted, true = _pair(predicted, true)
    plain_number(share, 'share', above=0, at_most=0.5)
    residual = predicted - true
    low, high = np.quantile(true, [share, 1.0 - share])
    return float(residual[true <= low].mean()), float(residual[true >= high].mean())


def distance_scores(predicted, true):
    """Table 2: mean, standard deviation and mean absolute error of the distance for each true distance.

    Parameters
    ----------
    predicted, true : array-like
        Distances [kpc]. If there are more than 12 different true ones, eight bins of equal width are used
        instead.

    Returns
    -------
    `~astropy.table.QTable`
        ``distance`` (mean of the true ones in the group), ``n``, ``mean``, ``standard_deviation``,
        ``mean_absolute_error`` [kpc].

    Raises
    ------
    ValueError
        If the shapes differ or a value is not finite.
    """
    predicted, true = _pair(predicted, true)
    rows = []
    for _, chosen in groups_of(true, 'kpc'):
        given, found = true[chosen], predicted[chosen]
        rows.append((given.mean(), given.size, found.mean(), found.std(), np.abs(found - given).mean()))
    columns = list(zip(*rows, strict=True))
    names = ('distance', 'n', 'mean', 'standard_deviation', 'mean_absolute_error')
    return QTable({name: np.array(column) if name == 'n' else np.array(column) * u.kpc
                   for name, column in zip(names, columns, strict=True)})


def coverage(ends, true, *, distance=None):
    """Coverage of the 68 % and 95 % intervals, overall and for each distance.

    Parameters
    ----------
    ends : sequence of 4 array-like, shape (n,)
        Both ends of the 68 % intervals, and both of the 95 % intervals.
    true : array-like, shape (n,)
    distance : array-like, shape (n,), optional
        True distances [kpc], grouped as in `distance_scores`.

    Returns
    -------
    `~astropy.table.QTable`
        ``group`` ('all', then the distances), ``n``, ``share_68``, ``error_68``, ``share_95``, ``error_95``
        [%]. Errors are binomial, for independent maps; maps of one simulation are not fully independent.

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, or ends are not in order.

    Examples
    --------
    >>> from pidoc.evaluation.scores import coverage
    >>> ends = [9, 10, 11, 12], [11, 12, 13, 14], [8, 9, 10, 11], [12, 13, 14, 15]
    >>> shares = coverage(ends, [10.5, 11.5, 13.5, 18])
    >>> shares['share_68', 'share_95'][0]
    <Row index=0>
    share_68 share_95
       %        %
    float64  float64
    -------- --------
        50.0     75.0
    """
    inside = []
    for low, high in (ends[:2], ends[2:]):
        (low, value), (high, _) = _pair(low, true), _pair(high, true)
        if np.any(low > high):
            raise ValueError('the ends of an interval must be in order, received '
                             f'{np.count_nonzero(low > high)} of {value.size} that are not')
        inside.append((value >= low) & (value <= high))
    groups = [('all', np.ones(value.size, dtype=bool))]
    if distance is not None:
        _, distance = _pair(value, distance)
        groups += groups_of(distance, 'kpc')
    rows = [_shares(name, np.count_nonzero(chosen), *(np.count_nonzero(part[chosen]) for part in inside))
            for name, chosen in groups]
    return QTable(rows=rows, names=('group', 'n', 'share_68', 'error_68', 'share_95', 'error_95'),
                  units=(None, None, *['%'] * 4))


def _shares(name, number, *counts):
    row = [name, int(number)]
    for count in counts:
        share = count / number if number else math.nan
        row += [100.0 * share, 100.0 * math.sqrt(share * (1.0 - share) / number) if number else math.nan]
    return tuple(row)


def _pair(predicted, true):
    """Flat float arrays of equal length."""
    predicted, true = np.asarray(predicted, dtype=float), np.asarray(true, dtype=float)
    if predicted.shape != true.shape or not predicted.size:
        raise ValueError('predicted and true must have the same shape and not be empty, received '
                         f'{predicted.shape} and {true.shape}')
    for name, values in (('predicted', predicted), ('true', true)):
        if not np.all(np.isfinite(values)):
            bad = np.count_nonzero(~np.isfinite(values))
            raise ValueError(f'{name} must be finite, received {bad} values that are not')
    return predicted.ravel(), true.ravel()


def groups_of(values, unit):
    """Name and members of each group: one for each value if there are few, else eight bins."""
    values = np.asarray(values)
    different = np.unique(values)
    unit = f' {unit}' if unit else ''
    if values.dtype.kind in 'US' or different.size <= _GROUPS:
        return [(f'{value:g}{unit}' if values.dtype.kind != 'U' else str(value), values == value)
                for value in different]
    edges = np.linspace(different[0], different[-1], 9)
    index = np.clip(np.searchsorted(edges, values, side='right') - 1, 0, 7)
    return [(f'{edges[i]:.3g}-{edges[i + 1]:.3g}{unit}', index == i) for i in range(8) if np.any(index == i)]


# -- binned, accumulated --------------------------------------------------------------------------


class Comparison:
    """Predicted against true values of one quantity, accumulated in bins.

    Only the bins are kept in memory. Masses and ratios (``log=True``) are binned by log10 and have relative
    errors [%]; their residuals are in dex. Ages (``log=False``) have absolute errors, in their unit.

    In each bin of the *predicted* value there are three kinds of error:

    - ``error``: mean of abs(p - t) / p (Eq. 2), or of abs(p - t) (Eq. 4);
    - ``error_true``: mean of abs(p - t) / t;
    - ``error_released``: mean of abs(c - t) / t, or of abs(c - t), with c the centre of the bin: computed by
      the authors' released code, and the source of the paper's percentages.

    A true value of zero has no ``error_true``, no ``error_released`` and no residual in dex.

    Parameters
    ----------
    edges : array-like
        Increasing edges of the bins; of log10 of the values if ``log``.
    log : bool
        See above.
    label, unit : str, optional
        Name of the quantity in figures, and its unit.
    cells : int, optional
        Cells of the 2D histogram per bin.

    Raises
    ------
    ValueError
        If the edges are not increasing.

    Examples
    --------
    >>> from pidoc.evaluation.scores import Comparison
    >>> comparison = Comparison([0, 1, 2], log=True)
    >>> comparison.add([5, 50], [4, 60])
    >>> [float(value) for value in comparison.bins()['error'].value]
    [20.0, 20.0]
    """

    _SUMS = ('n', 'error', 'n_true', 'error_true', 'error_released', 'residual', 'square', 'covered')

    def __init__(self, edges, *, log, label='', unit='', cells=3):
        self.edges = np.array(edges, dtype=float)
        if self.edges.ndim != 1 or self.edges.size < 2 or not np.all(np.diff(self.edges) > 0.0):
            raise ValueError(f'edges must be at least two numbers that increase, received {edges!r}')
        self.log, self.label, self.unit = bool(log), label, unit
        number, self._cells = self.edges.size - 1, cells
        self._middles = 10.0**self.centers if self.log else self.centers
        self.fine_edges = np.interp(np.arange(cells * number + 1) / cells, np.arange(number + 1), self.edges)
        self.counts = np.zeros((self.fine_edges.size - 1,) * 2, dtype=np.int64)
        """2D histogram, [true, predicted]."""
        self.n = 0
        self._sums = {name: np.zeros(number) for name in self._SUMS}
        self._by_true = {name: np.zeros(number) for name in ('n', 'residual', 'square')}
        self._moments = np.zeros(6)
        self._zero = None

    @property
    def centers(self):
        """Centres of the bins."""
        return 0.5 * (self.edges[:-1] + self.edges[1:])

    def add(self, predicted, true, half=None):
        """Accumulate values.

        Parameters
        ----------
        predicted, true : array-like
            Arrays of the same shape: values, not their logarithms.
        half : array-like, optional
            Half-widths of an interval, of ln p if ``log``.

        Raises
        ------
        ValueError
            If the shapes differ, a value is not finite, or, with ``log``, negative.
        """
        p, t = _pair(predicted, true)
        if self.log and (p.min() < 0.0 or t.min() < 0.0):
            raise ValueError(f'values must not be negative, received {min(p.min(), t.min())}')
        if half is not None:
            half = np.ravel(np.asarray(half, dtype=float))
            if half.shape != p.shape or not np.all(half >= 0.0):
                bad = np.count_nonzero(~(half >= 0.0))
                raise ValueError(f'half must be {p.size} numbers that are not negative, received '
                                 f'{half.size}, {bad} of them NaN or negative')
        # in pieces that fit into the cache
        for start in range(0, p.size, _PIECE):
            piece = slice(start, start + _PIECE)
            self._gather(p[piece], t[piece], None if half is None else half[piece])

    def _gather(self, p, t, half):
        self.n += p.size
        with np.errstate(divide='ignore'):
            x, y = (np.log10(p), np.log10(t)) if self.log else (p, t)
        fine, fine_true = place_in(self.fine_edges, x), place_in(self.fine_edges, y)
        self._gather_histogram(fine, fine_true)
        # floor division keeps -1
        place, place_true = fine // self._cells, fine_true // self._cells
        both = np.isfinite(x) & np.isfinite(y)
        self._gather_moments(x[both], y[both])
        with np.errstate(invalid='ignore'):
            residual = x - y
        inside = both & (place_true >= 0)
        self._count(self._by_true, place_true[inside], n=1.0, residual=residual[inside],
                    square=residual[inside] ** 2)
        inside = place >= 0
        place = place[inside]
        if half is not None:
            width = half / math.log(10.0) if self.log else half
            self._count(self._sums, place, covered=np.abs(residual[inside]) <= width[inside])
        self._gather_errors(p[inside], t[inside], residual[inside], place)

    def _gather_errors(self, p, t, residual, place):
        center = self._middles[place]
        if not self.log:
            off = np.abs(p - t)
            self._count(self._sums, place, n=1.0, error=off, n_true=1.0, error_true=off,
                        error_released=np.abs(center - t), residual=residual, square=off**2)
            return
        off = np.abs(p - t)
        self._count(self._sums, place, n=1.0, error=100.0 * off / p)
        some = t > 0.0
        if not some.all():
            t, residual, place, center, off = (each[some] for each in (t, residual, place, center, off))
        self._count(self._sums, place, n_true=1.0, error_true=100.0 * off / t,
                    error_released=100.0 * np.abs(center - t) / t, residual=residual,
                    square=residual**2)

    @staticmethod
    def _count(sums, place, **values):
        for name, value in values.items():
            weights = None if np.ndim(value) == 0 else value
            sums[name] += np.bincount(place, weights=weights, minlength=sums[name].size)

    def _gather_histogram(self, column, row):
        size = self.counts.shape[0]
        inside = (column >= 0) & (row >= 0)
        cell = row[inside] * size + column[inside]
        self.counts += np.bincount(cell, minlength=size * size).reshape(size, size)

    def _gather_moments(self, x, y):
        if not x.size:
            return
        if self._zero is None:
            # sums relative to a value near the mean avoid cancellation
            self._zero = float(y.mean())
        x, y = x - self._zero, y - self._zero
        self._moments += (x.size, x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), ((x - y) ** 2).sum())

    def r_squared(self, *, form='residual'):
        """Eq. 1 for all values, in log10 if ``log``: see the function `r_squared`.

        Parameters
        ----------
        form : {'residual', 'explained'}, optional

        Returns
        -------
        float
            NaN without values.

        Raises
        ------
        ValueError
            If ``form`` is not one of these.
        """
        if form not in ('residual', 'explained'):
            raise ValueError(f'form must be residual or explained, received {form!r}')
        number, sum_x, sum_y, square_x, square_y, square = self._moments
        if not number:
            return math.nan
        mean = sum_y / number
        spread = square_y - number * mean**2
        if not spread > 0.0:
            return math.nan
        if form == 'explained':
            return float((square_x - 2.0 * mean * sum_x + number * mean**2) / spread)
        return float(1.0 - square / spread)

    def bins(self, *, by='predicted'):
        """Statistics of each bin.

        Parameters
        ----------
        by : {'predicted', 'true'}, optional
            Quantity of the bins. In bins of the true value there are only residuals, the paper's learning
            error; in bins of the predicted value they are its recovery uncertainty.

        Returns
        -------
        `~astropy.table.QTable`
            ``low``, ``high`` (edges), ``n``, ``residual`` (mean of predicted - true) and
            ``standard_deviation``; for the predicted value also ``error``, ``error_true``, ``error_released``
            and ``covered`` (coverage of the intervals, 0 if none were given). NaN in empty bins.

        Raises
        ------
        ValueError
            If ``by`` is not one of these.
        """
        if by not in ('predicted', 'true'):
            raise ValueError(f'by must be predicted or true, received {by!r}')
        sums = self._sums if by == 'predicted' else self._by_true
        table = QTable({'low': self.edges[:-1], 'high': self.edges[1:], 'n': sums['n'].astype(np.int64)})
        number = sums['n_true'] if by == 'predicted' else sums['n']
        table['residual'] = mean_of(sums['residual'], number)
        spread = mean_of(sums['square'], number) - table['residual'] ** 2
        table['standard_deviation'] = np.sqrt(np.maximum(spread, 0.0))
        if by == 'predicted':
            unit = u.percent if self.log else u.Unit(self.unit)
            table['error'] = mean_of(sums['error'], sums['n']) * unit
            for name in ('error_true', 'error_released'):
                table[name] = mean_of(sums[name], sums['n_true']) * unit
            table['covered'] = 100.0 * mean_of(sums['covered'], sums['n']) * u.percent
        table.meta['quantity'] = self.label
        return table

    def scores(self, *, minimum_count=1, above=None):
        """Means over bins with equal weights, and over all values in them.

        Parameters
        ----------
        minimum_count : int, optional
            Bins with fewer values are ignored: nearly empty ones would dominate the mean.
        above : float, optional
            Only bins with a centre above it.

        Returns
        -------
        dict
            ``bins``, ``bins_true``, ``bins_released`` (means over bins of the three errors), ``minimum`` and
            ``maximum`` (of the first), ``sample``, ``sample_true`` (means over values), ``n_bins``, ``n``
            (values in them) and ``share`` (fraction of all values).
        """
        chosen = self._sums['n'] >= max(minimum_count, 1)
        if above is not None:
            chosen &= self.centers > above
        sums = {name: values[chosen] for name, values in self._sums.items()}
        means = {name: mean_of(sums[name], sums['n' if name == 'error' else 'n_true'])
                 for name in ('error', 'error_true', 'error_released')}
        total, number = {name: values.sum() for name, values in sums.items()}, int(np.count_nonzero(chosen))
        some = number > 0
        return {
            'bins': _nanmean(means['error']), 'bins_true': _nanmean(means['error_true']),
            'bins_released': _nanmean(means['error_released']),
            'minimum': float(means['error'].min()) if some else math.nan,
            'maximum': float(means['error'].max()) if some else math.nan,
            'sample': float(mean_of(total['error'], total['n'])),
            'sample_true': float(mean_of(total['error_true'], total['n_true'])),
            'n_bins': number, 'n': int(total['n']), 'share': float(mean_of(total['n'], self.n))}


def place_in(edges, values):
    """Bin of each value, -1 outside; the last edge is in the last bin."""
    place = np.searchsorted(edges, values, side='right') - 1
    place[values == edges[-1]] = edges.size - 2
    place[place == edges.size - 1] = -1
    return place


def mean_of(total, number):
    total, number = np.asarray(total, dtype=float), np.asarray(number, dtype=float)
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)


def _nanmean(values):
    good = np.isfinite(values)
    return float(values[good].mean()) if good.any() else math.nan


def pixel_scores(pixels, minimum_count):
    scores = {f'pixel.{name}': value for name, value in pixels.scores(minimum_count=minimum_count).items()}
    above = pixels.scores(minimum_count=minimum_count, above=_ABOVE)
    scores |= {f'pixel_above.{name}': value for name, value in above.items()}
    scores['pixel.share'] *= 100.0
    scores['pixel.r_squared'] = pixels.r_squared()
    return scores


# -- the paper ------------------------------------------------------------------------------------


SCORES = (
    ('pixel.bins', 'pixel mass, all bins, Eq. 2', '%', 27.4, '4.1.2'),
    ('pixel.bins_true', 'pixel mass, all bins, over the true', '%', None, ''),
    ('pixel.bins_released', 'pixel mass, all bins, as released', '%', 27.4, '4.1.2'),
    ('pixel.minimum', 'pixel mass, best bin, Eq. 2', '%', 13.7, '4.1.2'),
    ('pixel.maximum', 'pixel mass, worst bin, Eq. 2', '%', 95.0, '4.1.2'),
    ('pixel.sample', 'pixel mass, mean over pixels, Eq. 2', '%', None, ''),
    ('pixel.sample_true', 'pixel mass, mean over pixels, over the true', '%', None, ''),
    ('pixel.share', 'pixels in the bins', '%', None, ''),
    ('pixel_above.bins', 'pixel mass, bins above -1, Eq. 2', '%', 17.6, '4.1.2'),
    ('pixel_above.bins_true', 'pixel mass, bins above -1, over the true', '%', None, ''),
    ('pixel_above.bins_released', 'pixel mass, bins above -1, as released', '%', 17.6, '4.1.2'),
    ('pixel_above.minimum', 'pixel mass, bins above -1, best, Eq. 2', '%', 13.7, '4.1.2'),
    ('pixel_above.maximum', 'pixel mass, bins above -1, worst, Eq. 2', '%', 22.1, '4.1.2'),
    ('pixel.r_squared', 'R2 of log pixel mass', '', 0.95, '3.2 (validation)'),
    ('total_mass.bins', 'mass in the field, bins, Eq. 2', '%', 15.6, '4.1.3'),
    ('total_mass.bins_true', 'mass in the field, bins, over the true', '%', None, ''),
    ('total_mass.bins_released', 'mass in the field, bins, as released', '%', 15.6, '4.1.3'),
    ('total_mass.minimum', 'mass in the field, best bin, Eq. 2', '%', 6.2, '4.1.3'),
    ('total_mass.maximum', 'mass in the field, worst bin, Eq. 2', '%', 43.5, '4.1.3'),
    ('total_mass.sample', 'mass in the field, mean over maps, Eq. 2', '%', None, ''),
    ('total_mass.sample_true', 'mass in the field, mean over maps, over the true', '%', None, ''),
    ('total_mass_own.sample', "mass in the field, the model's own number, mean over maps", '%', None, ''),
    ('mass_to_light.bins', 'M/L, light of the true distance, bins, Eq. 2', '%', 11.8, '4.1.3'),
    ('mass_to_light.bins_true', 'M/L, light of the true distance, bins, over the true', '%', None, ''),
    ('mass_to_light.bins_released', 'M/L, light of the true distance, bins, as released', '%', 11.8, '4.1.3'),
    ('mass_to_light.minimum', 'M/L, light of the true distance, best bin', '%', 5.1, '4.1.3'),
    ('mass_to_light.maximum', 'M/L, light of the true distance, worst bin', '%', 18.1, '4.1.3'),
    ('mass_to_light_own.bins', "M/L, the model's own number, bins, Eq. 2", '%', None, ''),
    ('mass_to_light_own.sample', "M/L, the model's own number, mean over maps", '%', None, ''),
    ('age.bins', 'age, bins, Eq. 4', 'Gyr', 1.26, '4.2.1'),
    ('age.bins_released', 'age, bins, as released', 'Gyr', 1.26, '4.2.1'),
    ('age.minimum', 'age, best bin, Eq. 4', 'Gyr', 0.33, '4.2.1'),
    ('age.maximum', 'age, worst bin, Eq. 4', 'Gyr', 1.64, '4.2.1'),
    ('age.sample', 'age, mean absolute error over maps', 'Gyr', None, ''),
    ('age.r_squared', 'R2 of age', '', 0.98, '3.2 (validation, with distance)'),
    ('distance.mean', 'distance, mean of the errors at each', 'kpc', 6.375, 'Table 2'),
    ('distance.sample', 'distance, mean absolute error over maps', 'kpc', None, ''),
    ('distance.r_squared', 'R2 of distance', '', 0.98, '3.2 (validation, with age)'),
    ('time', 'time a map', 'ms', 70.0, '4.1 (mass only)'),
)
"""Score, description, unit, the paper's value, its section."""

TABLE_2_COLUMNS = ('mean', 'standard_deviation', 'mean_absolute_error')
TABLE_2 = ((15.0, 20.3, 5.0, 5.6), (30.0, 35.2, 8.3, 7.4), (60.0, 60.6, 8.8, 6.5), (80.0, 77.6, 7.9, 6.0))
"""True distance, then mean, standard deviation and mean absolute error [kpc]."""


def paper_numbers():
    """The numbers of Chardin & Bianchini (2021) for comparison with scores.

    Its percentages are listed for two scores: Eq. 2 of the text, and the authors' released code.

    Returns
    -------
    `~astropy.table.QTable`
        ``score`` (its name in a `Report`), ``text``, ``value``, ``unit``, ``section``; the numbers of Table 2
        follow.

    Examples
    --------
    >>> from pidoc.evaluation.scores import paper_numbers
    >>> table = paper_numbers()
    >>> print(table['value'][table['score'] == 'pixel.bins'][0])
    27.4
    """
    rows = [row for row in SCORES if row[3] is not None]
    for distance, *numbers in TABLE_2:
        rows += [(f'distance.{distance:g}kpc.{name}', f'distance at {distance:g} kpc, {name}', 'kpc', number,
                  'Table 2') for name, number in zip(TABLE_2_COLUMNS, numbers, strict=True)]
    names = ('score', 'text', 'unit', 'value', 'section')
    return QTable(rows=rows, names=names)[['score', 'text', 'value', 'unit', 'section']]
