# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Corner plot of the joint posterior of a prediction."""

import numpy as np

__all__ = ['plot_posterior']

_USUAL = 'total_mass', 'mass_to_light', 'age', 'distance', 'metallicity'
_LABELS = {
    'total_mass': 'log mass in field [M$_\\odot$]', 'luminosity': 'log luminosity [L$_\\odot$]',
    'mass_to_light': 'M/L [M$_\\odot$/L$_\\odot$]', 'age': 'age [Gyr]', 'distance': 'distance [kpc]',
    'metallicity': '[Fe/H]', 'cluster_mass': 'log cluster mass [M$_\\odot$]',
    'half_mass_radius': 'r$_{hm}$ [pc]', 'half_light_radius': 'R$_{hl}$ [pc]',
    'mass_function_slope': 'slope of mass function', 'dark_share': 'share of remnants',
    'black_hole_share': 'share of black holes', 'central_dispersion': '$\\sigma_0$ [km/s]',
    'velocity_dispersion': '$\\sigma$ [km/s]', 'b_v': 'B $-$ V [mag]'}
_LOGARITHMIC = 'total_mass', 'luminosity', 'cluster_mass'


def plot_posterior(prediction, *, names=None, number=2000, seed=0):
    """Corner plot of draws from the joint posterior, with the histogram of each quantity.

    Parameters
    ----------
    prediction : `~pidoc.prediction.Prediction`
    names : sequence of str, optional
        Quantities to plot; by default those of the field with age, distance and [Fe/H].
    number : int, optional
        Number of draws.
    seed : int, optional

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    ValueError
        If a name is not one of the quantities.

    Examples
    --------
    >>> from pidoc.prediction import Prediction
    >>> Prediction.read('m13-pidoc.fits').plot_posterior().savefig('m13.pdf')  # doctest: +SKIP
    """
    import corner
    from matplotlib.figure import Figure

    draws = prediction.sample(number, seed=seed)
    names = [name for name in _USUAL if name in draws.colnames] if names is None else list(names)
    unknown = set(names) - set(draws.colnames)
    if unknown or len(names) < 2:
        raise ValueError(f'names must be two or more of {", ".join(draws.colnames)}, received {names}')
    columns = [np.log10(draws[name].value) if name in _LOGARITHMIC else draws[name].value for name in names]
    size = 1.0 + 1.9 * len(names)
    figure = corner.corner(np.stack(columns, axis=1), labels=[_LABELS[name] for name in names],
                           quantiles=(0.16, 0.5, 0.84), fig=Figure(figsize=(size, size)))
    figure.suptitle(prediction.name or None)
    return figure
