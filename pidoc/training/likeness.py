# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Altered maps, which do not belong to a training set, and a small network that learns to recognise them."""

import numpy as np
from astropy import units as u
from astropy.stats import gaussian_fwhm_to_sigma

from pidoc.grid import APPARENT_FLUX
from pidoc.inference.features import features
from pidoc.inference.likeness import appearance, Likeness
from pidoc.io.progress import ProgressBar
from pidoc.networks.backend import keras
from pidoc.networks.variables import zoomed
from pidoc.photometry import apparent_flux
from pidoc.training.data import seen
from pidoc.training_set.files import CHUNK

__all__ = ['encodings_of', 'features_of', 'learn_likeness']

#: quantities of the appearance, and what it depends on
_NAMES = ('total_flux', 'flux_2', 'flux_5', 'flux_10', 'half_light_radius', 'contrast', 'clumpiness',
          'granularity', 'asymmetry', 'sharpness', 'noise', 'offset', 'sharp_scatter', 'seeing', 'distance')
_MAPS = 3000               # whose images are altered; three times as many give quantities
_UNITS, _EPOCHS, _BATCH = 64, 25, 256
_LEAST = 1e-3              # least standard deviation of a number of an encoding


def learn_likeness(maps, measured, estimator, *, seed=0, progress=False):
    """Train a `Likeness` on the maps of a set and on altered ones.

    The altered ones are the same light 5 to 300 times brighter or fainter; two clusters in one field, 6 to 16
    arcsec apart, of which the second has 0.2 to 5 times the light of the first; stars on an empty sky; and
    quantities each of which, or the encoding, is that of another map. Each is used with and without its
    distance.

    Parameters
    ----------
    maps : `~pidoc.training_set.dataset.TrainingSet`
        The training part.
    measured : dict
        Results of `~pidoc.inference.features` for these maps.
    estimator : `~pidoc.inference.estimator.Estimator`
        The trained network, for the encoding of maps.
    seed : int, optional
    progress : bool, optional

    Returns
    -------
    `~pidoc.inference.likeness.Likeness`
    """
    rng = np.random.default_rng(seed)
    names = [name for name in _NAMES if np.isfinite(np.asarray(measured[name], dtype=float)).all()]
    rows = np.sort(rng.permutation(len(maps))[:3 * _MAPS])
    # in a fixed order, which the random numbers follow
    usual = {name: np.asarray(measured[name], dtype=float)[rows]
             for name in dict.fromkeys([*names, 'distance'])}
    usual['encoding'] = encodings_of(maps[rows], estimator, progress=progress)
    altered = [_mixed(usual, rng)]
    some = maps[np.sort(rng.permutation(len(maps))[:_MAPS])]
    altered += [features_of(some, lambda *images, alter=alter: alter(*images, rng), estimator,
                            progress=progress) for alter in (_other_light, _two_clusters, _only_stars)]
    middle, spread = _mean_and_spread(usual, names)
    untrained = Likeness(names, middle, spread, [(np.zeros((middle.size + 1, 1)), [0.0])])
    kinds = [np.concatenate([untrained.inputs(each, distance=given) for given in (True, False)])
             for each in (usual, *altered)]
    return Likeness(names, middle, spread, _trained(kinds, seed))


def encodings_of(maps, estimator, *, progress=False):
    """The encoding of the maps of a set.

    Parameters
    ----------
    maps : `~pidoc.training_set.dataset.TrainingSet`
    estimator : `~pidoc.inference.estimator.Estimator`

    Returns
    -------
    ndarray, shape (n, k)
    """
    return np.concatenate([_encoded(estimator, light, sharp)
                           for light, sharp, _ in _pieces(maps, progress)])


def features_of(maps, alter=None, estimator=None, *, progress=False):
    """The quantities of the maps of a set as a network sees them, or of altered images of them.

    Parameters
    ----------
    maps : `~pidoc.training_set.dataset.TrainingSet`
    alter : callable, optional
        From the smoothed and the sharp images, shape (2, n, y, x), the seeing of each [arcsec] and the grid
        to other images. Without sharp ones it gets the smoothed ones twice. Results without light are left
        out.
    estimator : `~pidoc.inference.estimator.Estimator`, optional
        If given, the result has an ``encoding``, shape (n, k).
    progress : bool, optional

    Returns
    -------
    dict
        As of `~pidoc.inference.features`.
    """
    parts = []
    for light, sharp, known in _pieces(maps, progress):
        if alter is not None:
            light, sharp = alter(np.stack([light, sharp]).astype(float), known['seeing'], maps.grid)
            bright = light.sum(axis=(1, 2)) > 0.0
            light, sharp, known = light[bright], sharp[bright], {k: v[bright] for k, v in known.items()}
        found = features(light, sharp=sharp if maps.has_sharp else None, pixel_scale=maps.grid.scale, **known)
        if estimator is not None:
            found['encoding'] = _encoded(estimator, light, sharp)
        parts.append(found)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _pieces(maps, progress):
    """Light, sharp light, and seeing and distance, of a few maps at a time."""
    read = {image: seen(maps, image) for image in ('light', *['sharp'] * maps.has_sharp)}
    with ProgressBar(len(maps), 'domain', progress=progress, unit=' maps', leave=False) as bar:
        for k in range(0, len(maps), CHUNK):
            rows = slice(k, k + CHUNK)
            table, light = maps.table[rows], read['light'](rows)
            known = zoomed({'seeing': table['seeing'].to_value(u.arcsec),
                            'distance': table['distance'].to_value(u.kpc)}, maps.zoom[rows])
            sharp = read['sharp'](rows) if maps.has_sharp else light
            yield light, np.where(np.isfinite(sharp), sharp, light), known
            bar.update(len(table))


def _encoded(estimator, light, sharp):
    return estimator.encode(np.stack([light if channel.smoothed else sharp
                                      for channel in estimator.grid.channels], axis=-1))


def _mean_and_spread(usual, names):
    values = appearance(usual, names, usual['encoding'].shape[1])
    spread = values.std(axis=0)
    # numbers of the encoding that are nearly always 0 would otherwise decide
    spread[len(names):] = np.maximum(spread[len(names):], _LEAST)
    return values.mean(axis=0), np.where(spread > 0.0, spread, 1.0)


def _trained(kinds, seed):
    """Layers of a classifier of the first kind against all others, each of the same weight."""
    keras.utils.set_random_seed(seed)
    inputs = np.concatenate(kinds).astype(np.float32)
    numbers = [len(each) for each in kinds]
    altered = np.repeat([0.0, *np.ones(len(kinds) - 1)], numbers).astype(np.float32)
    share = np.array([len(kinds) - 1, *np.ones(len(kinds) - 1)]) / numbers
    weights = np.repeat(share * numbers[0], numbers).astype(np.float32)
    dense = [keras.layers.Dense(units, activation=activation)
             for units, activation in ((_UNITS, 'relu'), (_UNITS, 'relu'), (1, None))]
    network = keras.Sequential([keras.Input(inputs.shape[1:]), dense[0], keras.layers.Dropout(0.1), dense[1],
                                keras.layers.Dropout(0.1), dense[2]])
    network.compile('adam', keras.losses.BinaryCrossentropy(from_logits=True))
    network.fit(inputs, altered[:, np.newaxis], sample_weight=weights, epochs=_EPOCHS, batch_size=_BATCH,
                verbose=0)
    return [tuple(keras.ops.convert_to_numpy(each) for each in (layer.kernel, layer.bias)) for layer in dense]


# -- what does not belong to the set ------------------------------------------------------------------------


def _other_light(images, seeing, grid, rng):
    """The same appearance with more or less light than it can have."""
    factor = np.exp(rng.uniform(np.log(5.0), np.log(300.0), images.shape[1]))
    factor **= rng.choice([-1.0, 1.0], factor.size)
    return images * factor[:, np.newaxis, np.newaxis]


def _mixed(usual, rng):
    """Each quantity, and the encoding as a whole, from another map."""
    return {name: rng.permutation(values) for name, values in usual.items()}


def _two_clusters(images, seeing, grid, rng):
    """Each image with that of another map, moved and of comparable light."""
    light = images[0].sum(axis=(1, 2))
    other = rng.permutation(images.shape[1])
    share = np.exp(rng.uniform(np.log(0.2), np.log(5.0), other.size))
    share *= light / np.maximum(light[other], 1e-30)
    away = rng.uniform(6.0, 16.0, other.size) / grid.scale
    angle = rng.uniform(0.0, 2.0 * np.pi, other.size)
    both = images.copy()
    for k, second in enumerate(other):
        steps = np.rint(away[k] * np.array([np.sin(angle[k]), np.cos(angle[k])])).astype(int)
        rows, columns = (np.clip(np.arange(n) - step, 0, n - 1)
                         for n, step in zip(images.shape[2:], steps, strict=True))
        both[:, k] += share[k] * images[:, second][:, rows[:, np.newaxis], columns]
    return both


def _only_stars(images, seeing, grid, rng):
    """10 to 300 stars over 2 to 8 mag, the brightest of 13 to 18 mag, half of the images with noise."""
    from scipy.ndimage import gaussian_filter

    made = np.zeros(images.shape)
    shape = images.shape[2:]
    for k in range(images.shape[1]):
        number = round(np.exp(rng.uniform(np.log(10.0), np.log(300.0))))
        magnitude = (rng.uniform(13.0, 18.0)
                     + rng.uniform(2.0, 8.0) * rng.uniform(size=number) ** rng.uniform(0.3, 1.0))
        place = tuple(rng.integers(0, n, number) for n in shape)
        stars = np.zeros(shape)
        np.add.at(stars, place, apparent_flux(magnitude * u.mag, grid.band).to_value(APPARENT_FLUX))
        stars = gaussian_filter(stars, seeing[k] * gaussian_fwhm_to_sigma / grid.scale)
        noise = np.exp(rng.uniform(np.log(1e-3), np.log(1.0))) * stars.mean() * rng.integers(0, 2)
        made[1, k] = stars + noise * rng.normal(size=shape)
        made[0, k] = gaussian_filter(made[1, k], grid.smoothing)
    return made
