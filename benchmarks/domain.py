#!/usr/bin/env python
"""Fraction of images that a model flags: ``python benchmarks/domain.py MODEL SET``.

Fractions of images that are flagged as outside the training domain: unchanged maps of the test part, and
images that should be flagged: the light 100 times brighter or fainter; two clusters in one field, as bright
as they come, and equally bright; field stars on an empty sky; of kinds that the domain has no examples of,
shuffled pixels and a smooth exponential disc; and maps that are 10 times brighter, first all of them (most
then look like another cluster of the training set), then those that are brighter at their distance than the
model's range of luminosities. From the image only, with the distance, and with age and [Fe/H] given too, if
the model can use them.
"""

import argparse

import numpy as np
from astropy import units as u
from common import table as shown
from scipy.ndimage import gaussian_filter

from pidoc import MassMapper
from pidoc.evaluation.report import known_values
from pidoc.grid import APPARENT_FLUX
from pidoc.image.light import Light
from pidoc.networks.variables import zoomed
from pidoc.photometry import apparent_flux
from pidoc.prediction.known import KNOWN, UNITS
from pidoc.training.data import seen
from pidoc.training_set.dataset import TrainingSet
from pidoc.training_set.truths import truths

GIVEN = 'image', 'distance', 'distance+age+metallicity'


def shuffled(light, sharp, rng):
    """The same pixels, shuffled."""
    order = rng.permutation(light[0].size)
    return [maps.reshape(len(maps), -1)[:, order].reshape(maps.shape) for maps in (light, sharp)]


def doubled(light, sharp, rng):
    """Another cluster 12" away in the same field."""
    other = rng.permutation(len(light))
    return [maps + np.roll(maps[other], 48, axis=2) for maps in (light, sharp)]


def twins(light, sharp, rng):
    """Another cluster of the same light 12" away."""
    total = light.sum(axis=(1, 2), keepdims=True)
    return [maps * total for maps in doubled(light / total, sharp / total, rng)]


def field_stars(light, sharp, rng, smoothing=4.0):
    """Stars of V 15 to 21 on an empty sky, seen with 1"."""
    star = np.zeros(light.shape)
    for image in star:
        number = rng.integers(20, 90)
        rows, columns = rng.integers(0, light.shape[1], (2, number))
        magnitude = rng.uniform(15.0, 21.0, number) * u.mag
        np.add.at(image, (rows, columns), apparent_flux(magnitude).to_value(APPARENT_FLUX))
    seen = gaussian_filter(star, (0, 1.7, 1.7))
    return gaussian_filter(star, (0, np.hypot(1.7, smoothing), np.hypot(1.7, smoothing))), seen


def disc(light, sharp, rng):
    """An inclined exponential disc with the light of each cluster."""
    y, x = np.indices(light.shape[1:]) - 0.5 * (light.shape[1] - 1)
    made = np.empty(light.shape)
    for k, total in enumerate(light.sum(axis=(1, 2), dtype=float)):
        angle, axis, scale = rng.uniform(0.0, np.pi), rng.uniform(0.2, 0.7), rng.uniform(12.0, 40.0)
        along = x * np.cos(angle) + y * np.sin(angle)
        across = (y * np.cos(angle) - x * np.sin(angle)) / axis
        made[k] = np.exp(-np.hypot(along, across) / scale)
        made[k] *= total / made[k].sum()
    return gaussian_filter(made, (0, 4.0, 4.0)), made


KINDS = {
    'as they are': lambda light, sharp, rng: (light, sharp),
    '100 times the light': lambda light, sharp, rng: (100.0 * light, 100.0 * sharp),
    '1/100 of the light': lambda light, sharp, rng: (0.01 * light, 0.01 * sharp),
    'pixels in another order': shuffled,
    'two clusters': doubled,
    'two, equally bright': twins,
    'field stars only': field_stars,
    'a smooth disc': disc,
    '10 times the light': lambda light, sharp, rng: (10.0 * light, 10.0 * sharp),
}


def flagged(mapper, light, sharp, known):
    """Which images are outside."""
    images = [Light(one, unit=APPARENT_FLUX, sharp=other, meta={'PSFFWHM': float(seeing)})
              for one, other, seeing in zip(light, sharp, known['seeing'], strict=True)]
    given = {name: [value if UNITS[name] is None else value * UNITS[name] for value in values.tolist()]
             for name, values in known.items() if name in KNOWN}
    return np.array([isinstance(each, Exception) or not each.in_domain
                     for each in mapper.predict_many(images, return_errors=True, **given)])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', help='name or folder of a model')
    parser.add_argument('set', help='folder of its training set')
    parser.add_argument('--maps', type=int, default=600, help='of the test part, evenly through it')
    options = parser.parse_args()
    mapper = MassMapper.from_pretrained(options.model)
    maps = TrainingSet.read(options.set).split('test')
    maps = maps[np.unique(np.linspace(0, len(maps) - 1, options.maps).astype(int))]
    light = seen(maps, 'light')().astype(float)
    sharp = seen(maps, 'sharp')().astype(float) if maps.has_sharp else light
    sharp = np.where(np.isfinite(sharp), sharp, light)
    usable = {each.name for each in mapper.estimator.constraints}
    given = [each for each in GIVEN if each == 'image' or usable.issuperset(each.split('+'))]
    brightest = 10.0 ** mapper.domain.ranges['luminosity'][1]
    beyond = 10.0 * maps.table['luminosity'].to_value(u.Lsun) > brightest
    rows, true = [], truths(maps.table)
    for kind, change in KINDS.items():
        images = change(light, sharp, np.random.default_rng(0))
        known = [zoomed(known_values(true, each, mapper.estimator.constraints), maps.zoom) for each in given]
        found = [flagged(mapper, *images, {'seeing': true['seeing'] / maps.zoom} | each) for each in known]
        rows.append((kind, len(maps), *(f'{100 * each.mean():.1f} %' for each in found)))
    rows.append((f'these, above {brightest:.2g} Lsun', np.count_nonzero(beyond),
                 *(f'{100 * each[beyond].mean():.1f} %' for each in found)))
    shown([('images', '28s'), ('maps', '6d'), *((each, '>26s') for each in given)], rows)


if __name__ == '__main__':
    main()
