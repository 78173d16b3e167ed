# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Calibration of a joint posterior: ranks of the truth (SBC) and expected coverage (TARP)."""

import numpy as np

__all__ = ['coverage_table', 'expected_coverage', 'simulation_ranks']

_LEVELS = np.linspace(0.0, 1.0, 41)


def _complete(posterior, truths):
    """True values of all scalars; NaN for scalars that the set does not have."""
    nothing = np.full(len(posterior), np.nan)
    return {name: np.asarray(truths.get(name, nothing), dtype=float) for name in posterior.names}


def simulation_ranks(posterior, truths):
    """Ranks of the truth in its posterior, for each scalar: simulation-based calibration.

    They are uniform if the posterior is calibrated over its prior (Talts et al. 2018, arXiv:1804.06788).

    Parameters
    ----------
    posterior : `~pidoc.inference.posterior.Posterior`
    truths : dict
        Name -> true physical values, shape (n,).

    Returns
    -------
    dict
        Name -> ranks from 0 to 1, shape (n,); NaN if the truth is unknown.
    """
    truths = _complete(posterior, truths)
    ranks = posterior.ranks(truths)
    return {name: np.where(np.isfinite(truths[name]), ranks[:, j], np.nan)
            for j, name in enumerate(posterior.names)}


def expected_coverage(posterior, truths, *, number=200, seed=0):
    """Credibility, for each map, of the smallest ball about a random point that contains the truth: TARP.

    It is the fraction of posterior draws that are nearer to a random reference point than the truth is; over
    many maps these fractions are uniform if the *joint* posterior is calibrated (Lemos et al. 2023,
    arXiv:2302.03026).

    Parameters
    ----------
    posterior : `~pidoc.inference.posterior.Posterior`
    truths : dict
        As for `simulation_ranks`. Scalars whose truth is unknown for any map are excluded.
    number : int, optional
        Number of draws for each map.
    seed : int, optional
        Seed of the draws and of the reference points.

    Returns
    -------
    ndarray, shape (n,)
    """
    names = [each for each in posterior.variables
             if each.name in truths and np.all(np.isfinite(truths[each.name]))]
    draws = posterior.sample(number, seed=seed)
    place = np.stack([each.standardised(draws[each.name]) for each in names], axis=-1)     # n, number, D
    true = np.stack([each.standardised(truths[each.name]) for each in names], axis=-1)     # n, D
    rng = np.random.default_rng((seed, 1))
    # reference points are drawn from other maps, where clusters are
    reference = true[rng.permutation(len(true))] + 0.1 * rng.normal(size=true.shape)
    nearer = np.linalg.norm(place - reference[:, np.newaxis], axis=-1)
    reach = np.linalg.norm(true - reference, axis=-1)
    return np.mean(nearer < reach[:, np.newaxis], axis=1)


def coverage_table(ranks):
    """Deviations of ranks from a uniform distribution.

    Parameters
    ----------
    ranks : dict
        Name -> ranks from 0 to 1, NaN if there is none.

    Returns
    -------
    `~astropy.table.Table`
        ``quantity``, ``n``, ``mean`` (1/2 if unbiased), ``largest`` (the largest difference between the
        cumulative distribution of the ranks and the diagonal: Kolmogorov & Smirnov), and the same for each
        level.
    """
    from astropy.table import Table

    rows = []
    for name, values in ranks.items():
        good = np.sort(values[np.isfinite(values)])
        if good.size:
            share = np.searchsorted(good, _LEVELS, side='right') / good.size
            rows.append((name, good.size, float(good.mean()), float(np.abs(share - _LEVELS).max()), share))
    return Table(rows=rows, names=('quantity', 'n', 'mean', 'largest', 'share'))
