# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What trained networks say of light maps: arrays in, arrays out, with calibrated intervals.

An `Estimator` is one network or a small ensemble with its scaling and calibration: what a model folder holds.
A `PaperEstimator` is the two networks of the paper, which serve the same purpose.
"""

import hashlib
import json
import math
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pidoc.grid import MapGrid
from pidoc.inference.calibration import Calibration, MODES, QUANTITIES
from pidoc.inference.estimates import Estimates, Interval
from pidoc.inference.folder import (
    FORMAT,
    ModelFolderError,
    read_card,
    read_weights,
    set_weights,
    write_weights,
)
from pidoc.io.files import replacing
from pidoc.networks.forward import ClusterForward
from pidoc.networks.orientation import turned, turned_back
from pidoc.networks.scaling import PaperScaling, SCALARS, Scaling
from pidoc.units import whole_number

__all__ = ['Estimator', 'PaperEstimator']

FAINTEST = 1e-2            # Msun per pixel: fainter pixels do not count in a calibration
_NEAREST = 0.1             # kpc: a linear output may fall below
_DISTANCE_ERROR = 0.02     # relative, of Milky Way clusters (Baumgardt & Vasiliev 2021), if none is given
_WEIGHTS = 'network-{}.npz'


class Estimator:
    """One network, or several that were trained alike, with what belongs to them.

    Parameters
    ----------
    networks : list
        `~pidoc.networks.forward.ClusterForward`, which is what `load` makes, or `keras.Model` of
        `pidoc.networks.cluster_network`.
    scaling : `~pidoc.networks.scaling.Scaling`
        Of their inputs and outputs.
    calibration : `Calibration`, optional
        By default none: the factors are 1 and 2.
    config : dict
        Arguments of `~pidoc.networks.cluster_network`, from which the networks can be built again.
    about : dict, optional
        All else that model.json shall hold: name, description, training recipe, domain, scores.
    turns : int, optional
        In how many orientations each map is looked at, 1 to 8; the estimates are averaged.
    grid : `~pidoc.grid.MapGrid`, optional
        Of the maps; by default the paper's, with as many pixels as the networks take.

    Raises
    ------
    ValueError
        If there is no network, ``turns`` is out of range, or ``grid`` has another number of pixels.
    """

    kind = 'cluster'
    """What model.json calls it."""

    _scaling, _precision = Scaling, np.float16
    every = 1
    """Every how many pixels of a row, and of a column, counts in a calibration."""

    def __init__(self, networks, scaling, *, config, calibration=None, about=None, turns=1, grid=None):
        if not networks:
            raise ValueError('an estimator needs at least one network, received none')
        self.networks = list(networks)
        self.scaling = scaling
        self.calibration = calibration or Calibration()
        self.config = dict(config)
        self.about = dict(about or {})
        self.turns = whole_number(turns, 'turns', at_least=1, at_most=8, floats=True)
        self.grid = self._grid(grid)

    def _grid(self, grid):
        height, width, _ = self.config['shape']
        shape = height * self.scaling.block, width * self.scaling.block
        if grid is None:
            return MapGrid(shape=shape)
        if grid.shape != shape:
            raise ValueError(f'the grid must have the {shape[1]} x {shape[0]} pixels that the networks take, '
                             f'received {grid}')
        return grid

    def replace(self, **changes):
        """The same networks with another calibration, about, turns or grid."""
        kept = {'calibration': self.calibration, 'about': self.about, 'turns': self.turns, 'grid': self.grid}
        return type(self)(self.networks, self.scaling, config=self.config, **{**kept, **changes})

    # -- estimates

    def estimate(self, light, *, distance=None, distance_error=None, batch_size=64):
        """Masses, M/L, ages and distances of light maps.

        Parameters
        ----------
        light : ndarray, shape (n, ny, nx), or (n, ny, nx, channels)
            Apparent flux per pixel [Lsun / kpc^2], smoothed as in training; finite. With several channels,
            those of ``grid``, in the second form.
        distance : ndarray, shape (n,), optional
            [kpc]; NaN, or None for all: not known.
        distance_error : ndarray, shape (n,), optional
            Standard deviation [kpc]; NaN, or None for all: 2 %.
        batch_size : int, optional
            Maps that the networks see at a time.

        Returns
        -------
        `Estimates`

        Raises
        ------
        ValueError
            If the shape is not that of ``grid``, a pixel is not finite, no light is in a map, or a
            distance or its error is not positive.
        """
        light = self._checked(light)
        distance, error = _distances(distance, distance_error, len(light))
        parts = [self._batch(light[k:k + batch_size], distance[k:k + batch_size], error[k:k + batch_size])
                 for k in range(0, len(light), batch_size)]
        scalars = {name: Interval(*(np.concatenate([getattr(part.scalars[name], key) for part in parts])
                                    for key in ('value', 'half_68', 'half_95')))
                   for name in QUANTITIES[1:]}
        return Estimates(np.concatenate([part.mass for part in parts]),
                         np.concatenate([part.log_mass_error for part in parts]), scalars)

    def _checked(self, light):
        light = np.asarray(light)
        number = self.config['shape'][-1]
        shape = self.grid.shape if number == 1 else (*self.grid.shape, number)
        if light.shape[1:] != shape or len(light) == 0:
            raise ValueError(f'light must have the shape (n, {", ".join(map(str, shape))}), received '
                             f'{light.shape}')
        if not np.all(np.isfinite(light)):
            raise ValueError('the pixels of a light map must be finite, received '
                             f'{np.count_nonzero(~np.isfinite(light))} that are not')
        totals = light.sum(axis=(1, 2), dtype=float).reshape(len(light), -1).min(axis=1)
        if np.any(totals <= 0.0):
            raise ValueError('the flux in a light map must be positive, received '
                             f'{totals.min():.3g} Lsun / kpc2 in map {int(np.argmin(totals))}')
        return light

    def _batch(self, light, distance, error):
        output, mean, sd = self._in_blocks(self._blocks(light), distance, error)
        given = np.isfinite(distance)
        named = named_scalars(mean, sd)
        factors = self._factors(given, named['log_distance'][0])
        mass, log_error = self._mass(*self.scaling.masses(output), factors['log_mass'][:, 0])
        intervals = {}
        for name, (value, width) in named.items():
            low, high = factors[name].T
            intervals[name] = Interval(value, low * width, high * width)
        intervals['log_distance'] = _combined(intervals['log_distance'], distance, error, given)
        return Estimates(mass, log_error, intervals)

    def raw(self, light, *, distance=None, distance_error=None, batch_size=64):
        """Means and standard deviations before calibration, in blocks: what a calibration is made from.

        Parameters
        ----------
        light, distance, distance_error, batch_size
            As for `estimate`; the maps may be in blocks already.

        Returns
        -------
        map_mean, map_sd : ndarray, shape (n, ny / block, nx / block)
            Of masses compressed as `~pidoc.networks.scaling.Scaling.compressed_mass` does it.
        mean, sd : ndarray, shape (n, 4)
            Of `~pidoc.networks.scaling.SCALARS`.
        """
        distance, error = _distances(distance, distance_error, len(light))
        parts = [self._in_blocks(self._blocks(light[k:k + batch_size]), distance[k:k + batch_size],
                                 error[k:k + batch_size]) for k in range(0, len(light), batch_size)]
        output, mean, sd = (np.concatenate(each) for each in zip(*parts, strict=True))
        center, width = self.scaling.mass
        return center + width * output[..., 0], width * np.exp(output[..., 1]), mean, sd

    def misses(self, light, mass, scalars, *, distance=None, distance_error=None, batch_size=64):
        """How many standard deviations the estimates are off: what a calibration is made from.

        Parameters
        ----------
        light, distance, distance_error, batch_size
            As for `raw`.
        mass : ndarray
            True maps in the blocks of ``light``. Pixels below 0.01 Msun do not count.
        scalars : ndarray, shape (n, 4)
            True `~pidoc.networks.scaling.SCALARS`.

        Returns
        -------
        dict
            Of each of `QUANTITIES`: abs(estimate - truth) / sd, and ln of the distance [kpc] that the
            networks find in the same map, both flat.
        """
        map_mean, map_sd, mean, sd = self.raw(light, distance=distance, distance_error=distance_error,
                                              batch_size=batch_size)
        thin = np.s_[:, ::self.every, ::self.every]
        mass = np.asarray(mass)[thin]
        scores = np.abs(self._compressed(mass) - map_mean[thin]) / map_sd[thin]
        named = self._named(mean, sd)
        log_distance, _ = named['log_distance']
        counted = mass > FAINTEST
        found = {'log_mass': (scores[counted], np.repeat(log_distance, counted.sum(axis=(1, 2))))}
        truth = named_scalars(scalars, np.zeros_like(scalars))
        for name, (value, width) in named.items():
            found[name] = np.abs(value - truth[name][0]) / width, log_distance
        return found

    def _compressed(self, mass):
        """Masses per pixel as `raw` has them."""
        return self.scaling.compressed_mass(mass)

    @staticmethod
    def _named(mean, sd):
        return named_scalars(mean, sd)

    def _blocks(self, light):
        light = np.asarray(light)
        if light.shape[1:3] == tuple(self.config['shape'][:2]):
            return light
        return self.scaling.blocks(light)

    def _in_blocks(self, blocks, distance, error):
        """Mean over networks and orientations, in blocks: map output (n, y, x, 2), scalar mean and sd."""
        image = self.scaling.image_of_blocks(blocks)
        # all orientations are one batch
        seen = np.concatenate([turned(image, turn) for turn in range(self.turns)])
        known = np.tile(self.scaling.known_distance(distance, error), (self.turns, 1))
        maps, scalars = [], []
        for network in self.networks:
            output, scalar = network.predict_on_batch([seen, known])
            output = np.asarray(output, dtype=np.float32).reshape(self.turns, *image.shape[:3], 2)
            maps += [turned_back(each, turn) for turn, each in enumerate(output)]
            scalars += list(np.asarray(scalar, dtype=float).reshape(self.turns, len(image), -1))
        number = len(SCALARS)
        mean, log_sd = _mixture(np.stack([s[:, :number] for s in scalars]),
                                np.stack([s[:, number:] for s in scalars]))
        mean, sd = self.scaling.unstandardised(np.concatenate([mean, log_sd], axis=1))
        map_mean, map_log_sd = _mixture(np.stack([m[..., 0] for m in maps]),
                                        np.stack([m[..., 1] for m in maps]))
        return np.stack([map_mean, map_log_sd], axis=-1), mean, sd

    def _factors(self, given, log_distance):
        """Factors of each map, by whether its distance is given: quantity -> (n, 2)."""
        found = {}
        for name in QUANTITIES:
            image, known = (self.calibration.at(mode, name, log_distance) for mode in MODES)
            found[name] = np.where(given[:, np.newaxis], known, image)
        return found

    def _mass(self, mean, sd, factor):
        """Expected mass per pixel, and the 68 % half-width of its logarithm."""
        mass, steep = self.scaling.expanded_mass(mean)
        mass = mass * np.exp(0.5 * np.minimum(sd, 1.0) ** 2)
        return (np.maximum(mass, 0.0).astype(np.float32),
                (factor[:, np.newaxis, np.newaxis] * sd * steep).astype(np.float32))

    # -- files

    def save(self, folder, *, overwrite=False):
        """Write a model folder: ``model.json`` and the weights of each network.

        Parameters
        ----------
        folder : path-like
            Made if need be.
        overwrite : bool, optional
            Whether a model that is there may be replaced.

        Raises
        ------
        FileExistsError
            If there is one and ``overwrite`` is not set.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / 'model.json'
        if target.exists() and not overwrite:
            raise FileExistsError(f'{folder} holds a model already: give overwrite=True to replace it')
        before = _weights_of(target)
        sums = dict(self._write(folder, k, before) for k in range(len(self.networks)))
        kind = {} if self.kind == 'cluster' else {'kind': self.kind}
        text = json.dumps({'format': FORMAT, **kind, 'about': self.about, 'turns': self.turns,
                           'grid': self.grid.to_dict(), 'config': self.config,
                           'scaling': self.scaling.to_dict(),
                           'calibration': asdict(self.calibration), 'sha256': sums}, indent=1)
        with replacing(target) as new:
            new.write_text(text + '\n', encoding='utf-8')
        for name in before - set(sums):
            (folder / name).unlink(missing_ok=True)

    def _write(self, folder, k, before):
        """Write the weights of a network, beside those of a model that is there: its name and its SHA-256."""
        name = _WEIGHTS.format(k)
        with TemporaryDirectory(dir=folder, prefix='.') as other:
            path = Path(other) / name
            write_weights(self.networks[k], path, dtype=self._precision)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if name in before and hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                name = _WEIGHTS.format(f'{k}-{digest[:8]}')
            path.replace(folder / name)
        return name, digest

    @classmethod
    def load(cls, folder):
        """Read a model folder, its checksums verified.

        Parameters
        ----------
        folder : path-like

        Returns
        -------
        `Estimator`
            A `PaperEstimator` if the folder holds the networks of the paper.

        Raises
        ------
        ModelFolderError
            If there is no model, or weights are missing or damaged.
        """
        folder = Path(folder)
        card = read_card(folder)
        for name, digest in card['sha256'].items():
            path = folder / name
            if Path(name).name != name or not path.is_file():
                raise ModelFolderError(f'{folder}: the weights {name} are missing')
            if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                raise ModelFolderError(f'{path} is damaged: its SHA-256 is not that in model.json')
        kinds = {each.kind: each for each in (Estimator, PaperEstimator)}
        try:
            kind = kinds.get(card.get('kind', 'cluster'))
            if kind is None:
                raise ValueError(f'its kind must be one of {", ".join(kinds)}, received {card["kind"]!r}')
            networks = kind._networks(card['config'], [folder / name for name in card['sha256']])
            return kind(networks, kind._scaling.from_dict(card['scaling']), config=card['config'],
                        calibration=Calibration(**card['calibration']), about=card['about'],
                        turns=card['turns'],
                        # older folders do not say: the paper's
                        grid=MapGrid.from_dict(card['grid']) if 'grid' in card else None)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFolderError(f'{folder} holds no model that this version reads: {error}') from error

    @staticmethod
    def _networks(config, paths):
        return [ClusterForward(read_weights(path), config) for path in paths]


class PaperEstimator(Estimator):
    """The two networks of Chardin & Bianchini (2021): mass map; age and distance.

    They give no widths. Intervals have the same width for all maps, in ln M, in the age, in ln d: that of
    the calibration, whose factors are on a standard deviation of 1. A distance that is given replaces their
    own and turns the light of the M/L into a luminosity, as in section 4.1.3; the mass they cannot change.

    Parameters
    ----------
    networks : list of `keras.Model`
        `~pidoc.networks.paper_mass_network` and `~pidoc.networks.paper_age_distance_network`.
    scaling : `~pidoc.networks.scaling.PaperScaling`
    config : dict
        ``shape``: (height, width, 1).
    calibration, about, turns, grid
        As for `Estimator`; the networks look at each map once.

    Raises
    ------
    ValueError
        If there are not two networks, or ``turns`` is not 1.
    """

    kind = 'paper'
    # half precision could lose a variance of the normalisation
    _scaling, _precision = PaperScaling, np.float32
    # pixels beside each other are no two trials
    every = 4

    def __init__(self, networks, scaling, *, config, calibration=None, about=None, turns=1, grid=None):
        if len(networks) != 2 or turns != 1:
            raise ValueError('the networks of the paper are two, and look at each map once, received '
                             f'{len(networks)} and {turns!r} turns')
        super().__init__(networks, scaling, config=config, calibration=calibration, about=about, grid=grid)

    def raw(self, light, *, distance=None, distance_error=None, batch_size=64):
        """Estimates before calibration, as `Estimator.raw` but in other quantities.

        Parameters
        ----------
        light, distance, distance_error, batch_size
            As for `Estimator.estimate`.

        Returns
        -------
        map_mean, map_sd : ndarray, shape (n, ny, nx)
            ln of the mass per pixel [Msun], and ones.
        mean, sd : ndarray, shape (n, 4)
            Of `QUANTITIES` but the first, and ones.
        """
        distance, _ = _distances(distance, distance_error, len(light))
        parts = [self._values(light[k:k + batch_size], distance[k:k + batch_size])
                 for k in range(0, len(light), batch_size)]
        log_mass, mean = (np.concatenate(each) for each in zip(*parts, strict=True))
        return log_mass, np.broadcast_to(np.float32(1.0), log_mass.shape), mean, np.ones_like(mean)

    def _values(self, light, distance):
        image = self.scaling.image(light)
        mass, other = (np.asarray(network.predict_on_batch(image)) for network in self.networks)
        log_mass = self.scaling.log_masses(mass)
        age, own = self.scaling.age_distance(other)
        own = np.maximum(own, _NEAREST)
        used = np.where(np.isfinite(distance), distance, own)
        log_total = np.log(np.exp(log_mass).sum(axis=(1, 2), dtype=float))
        log_light = np.log(4.0 * math.pi * used**2 * np.asarray(light).sum(axis=(1, 2), dtype=float))
        return log_mass, np.stack([log_total, log_total - log_light, age, np.log(own)], axis=1)

    def _batch(self, light, distance, error):
        log_mass, mean = self._values(light, distance)
        given = np.isfinite(distance)
        named = self._named(mean, mean)
        factors = self._factors(given, named['log_distance'][0])
        scalars = {name: Interval(value, *factors[name].T) for name, (value, _) in named.items()}
        scalars['log_distance'] = _combined(scalars['log_distance'], distance, error, given)
        half = factors['log_mass'][:, 0, np.newaxis, np.newaxis].astype(np.float32)
        return Estimates(np.exp(log_mass).astype(np.float32), np.broadcast_to(half, log_mass.shape), scalars)

    def _compressed(self, mass):
        # those that are faint do not count
        return np.log(np.maximum(mass, self.scaling.mass_floor))

    @staticmethod
    def _named(mean, sd):
        return {name: (mean[:, k], sd[:, k]) for k, name in enumerate(QUANTITIES[1:])}

    @staticmethod
    def _networks(config, paths):
        from pidoc.networks.paper import paper_age_distance_network, paper_mass_network

        networks = [paper_mass_network(**config), paper_age_distance_network(**config)]
        for network, path in zip(networks, paths, strict=True):
            set_weights(network, path)
        return networks


def _weights_of(path):
    """Names of the weights of the model.json that is there, if any."""
    try:
        names = set(read_card(path.parent)['sha256'])
    except ModelFolderError:
        return set()
    return {name for name in names if Path(name).name == name and (path.parent / name).is_file()}


def named_scalars(mean, sd):
    """Value and standard deviation of the scalars of `QUANTITIES`, from those of `SCALARS`."""
    named = {}
    for k, name in enumerate(SCALARS):
        if name == 'root_age':
            named['age'] = age_from_root(mean[:, k], sd[:, k])
        else:
            named[name] = mean[:, k], sd[:, k]
    return named


def age_from_root(root, sd):
    """Mean and standard deviation of the age [Gyr] from those of its square root, taken as normal.

    E[x^2] = m^2 + s^2; var[x^2] = 4 m^2 s^2 + 2 s^4. Where the root is negative the age is that of 0.
    """
    root = np.maximum(root, 0.0)
    return root**2 + sd**2, np.sqrt(4.0 * root**2 * sd**2 + 2.0 * sd**4)


def _distances(distance, error, number):
    """Distances [kpc] and their relative errors of n maps, NaN where the distance is not known."""
    distance = np.full(number, np.nan) if distance is None else np.array(distance, dtype=float)
    error = np.full(number, np.nan) if error is None else np.array(error, dtype=float)
    for name, values in (('distance', distance), ('distance_error', error)):
        if values.shape != (number,):
            raise ValueError(f'{name} must have the shape ({number},), received {values.shape}')
        if np.any(values <= 0.0) or np.any(np.isinf(values)):
            raise ValueError(f'{name} must be positive and finite, received {np.nanmin(values):g} kpc')
    relative = np.where(np.isnan(error), _DISTANCE_ERROR, error / distance)
    return distance, relative


def _combined(estimate, distance, error, given):
    """The given distance where there is one: the network's own adds nothing to it."""
    value = np.where(given, np.log(np.where(given, distance, 1.0)), estimate.value)
    return Interval(value, np.where(given, error, estimate.half_68),
                    np.where(given, 2.0 * error, estimate.half_95))


def _mixture(means, log_sds):
    """Mean and ln sd of an even mixture of normal distributions along the first axis."""
    mean = means.mean(axis=0)
    variance = np.mean(np.exp(2.0 * log_sds) + (means - mean) ** 2, axis=0)
    return mean, 0.5 * np.log(variance)
