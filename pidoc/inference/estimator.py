# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What trained networks say of light maps: arrays in, arrays out, with calibrated intervals.

An `Estimator` is one network or a small ensemble with its scaling and calibration: what a model folder holds.
A `PaperEstimator` is the two networks of the paper, which serve the same purpose.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from pidoc.io.files import replacing
from pidoc.networks.scaling import block_mean, PaperScaling, SCALARS, Scaling, soft_exp, soft_log

__all__ = ['Calibration', 'Estimates', 'Estimator', 'Interval', 'ModelFolderError', 'PaperEstimator']

FORMAT = 1
MODES = ('image', 'distance')
"""The two modes: from the image only, and with the distance given."""

QUANTITIES = ('log_mass', 'log_total_mass', 'log_mass_to_light', 'age', 'log_distance')
"""Whose intervals are calibrated: ln of the mass per pixel, and the scalars."""

_FAINTEST = 1e-2           # Msun per pixel: fainter pixels do not count in a calibration
_NEAREST = 0.1             # kpc: a linear output may fall below
_MIDDLE = 30.0             # kpc: where the factors of a calibration hold
_SMALLEST_MISS = 1e-2      # standard deviations
_DISTANCE_ERROR = 0.02     # relative, of Milky Way clusters (Baumgardt & Vasiliev 2021), if none is given
_WEIGHTS = 'network-{}.npz'


class ModelFolderError(ValueError):
    """A folder holds no model, or a damaged one."""


@dataclass(frozen=True)
class Interval:
    """Estimates of one scalar for n maps: values, and half-widths of their 68 % and 95 % intervals."""

    value: np.ndarray
    half_68: np.ndarray
    half_95: np.ndarray


@dataclass(frozen=True)
class Estimates:
    """What networks say of n light maps.

    Parameters
    ----------
    mass : ndarray of float32, shape (n, ny, nx)
        Mass per pixel [Msun].
    log_mass_error : ndarray of float32, shape (n, ny, nx)
        Half-width of the 68 % interval of its natural logarithm.
    scalars : dict
        Of `Interval`: ``log_total_mass`` (ln of the mass in the field [Msun]), ``log_mass_to_light`` (ln of
        M/L_V in the field), ``age`` [Gyr], ``log_distance`` (ln kpc).
    """

    mass: np.ndarray
    log_mass_error: np.ndarray
    scalars: dict

    def __len__(self):
        return len(self.mass)


@dataclass(frozen=True)
class Calibration:
    """How much wider than the networks say intervals must be, measured on validation simulations.

    Split conformal prediction (Lei+ 2018, section 2.2): the half-width of an interval is the quantile of
    abs(estimate - truth) / sd over maps that were not trained on, times sd. Locally weighted (their section
    5.2): networks are surer of themselves at some distances than at others, so each sd is first multiplied by
    (d / 30 kpc)^slope, with d the distance that they find.

    Parameters
    ----------
    factors : dict
        mode -> quantity -> (68 %, 95 %) factors on the standard deviation at 30 kpc.
    slopes : dict, optional
        mode -> quantity -> slope; by default 0.
    distances : tuple of float, optional
        The nearest and the farthest distance [kpc] at which it was measured: it is as there beyond them.

    Raises
    ------
    ValueError
        If factors are not positive and increasing, slopes not finite, or the distances not in order.
    """

    factors: dict = field(default_factory=lambda: {
        mode: {name: (1.0, 2.0) for name in QUANTITIES} for mode in MODES})
    slopes: dict = field(default_factory=lambda: {mode: dict.fromkeys(QUANTITIES, 0.0) for mode in MODES})
    distances: tuple = (_MIDDLE, _MIDDLE)

    def __post_init__(self):
        near, far = self.distances
        if not 0.0 < near <= far < math.inf:
            raise ValueError('the distances of a calibration must be positive and in order, received '
                             f'{near!r} and {far!r} kpc')
        for mode in MODES:
            for name in QUANTITIES:
                low, high = self.factors[mode][name]
                if not 0.0 < low <= high < math.inf:
                    raise ValueError(f'the factors of {name} ({mode}) must be positive and increasing, '
                                     f'received {low!r} and {high!r}')
                if not math.isfinite(self.slopes[mode][name]):
                    raise ValueError(f'the slope of {name} ({mode}) must be finite, received '
                                     f'{self.slopes[mode][name]!r}')

    def at(self, mode, name, log_distance):
        """Factors on the standard deviations of one quantity.

        Parameters
        ----------
        mode, name : str
            Of `MODES` and `QUANTITIES`.
        log_distance : ndarray, shape (n,)
            ln of the distance [kpc] that networks find.

        Returns
        -------
        ndarray, shape (n, 2)
            For 68 and 95 %.
        """
        trend = _trend(self.slopes[mode][name], log_distance, self.distances)
        return trend[:, np.newaxis] * np.array(self.factors[mode][name])

    @classmethod
    def fit(cls, misses, distances):
        """Slopes by least squares of ln(score) against ln(d), then factors by `quantiles`.

        Parameters
        ----------
        misses : dict
            mode -> quantity -> scores abs(estimate - truth) / sd, and ln of the distance [kpc] that networks
            find in the same maps: `Estimator.misses`.
        distances : tuple of float
            The nearest and the farthest distance of the maps [kpc].

        Returns
        -------
        Calibration

        Raises
        ------
        ValueError
            As `quantiles` and the calibration itself.
        """
        factors, slopes = ({mode: {} for mode in misses} for _ in range(2))
        for mode, found in misses.items():
            for name, (scores, log_distance) in found.items():
                slope = _slope(scores, np.clip(log_distance, *np.log(distances)))
                slopes[mode][name] = slope
                factors[mode][name] = cls.quantiles(scores / _trend(slope, log_distance, distances))
        return cls(factors, slopes, tuple(distances))

    @staticmethod
    def quantiles(scores):
        """Factors from scores abs(estimate - truth) / sd: conformal quantiles for 68 % and 95 %.

        Parameters
        ----------
        scores : ndarray
            At least 100 of them.

        Returns
        -------
        tuple of float

        Raises
        ------
        ValueError
            If there are too few, or one is not finite.
        """
        scores = np.sort(np.ravel(scores))
        if scores.size < 100 or not np.all(np.isfinite(scores)):
            raise ValueError('a calibration needs at least 100 scores, all finite, received '
                             f'{scores.size}, {np.count_nonzero(~np.isfinite(scores))} not finite')
        ranks = [min(math.ceil((scores.size + 1) * share), scores.size) for share in (0.6827, 0.9545)]
        return tuple(float(scores[rank - 1]) for rank in ranks)


def _slope(scores, log_distance):
    """Least squares of ln(score) against ln(d); 0 where the distances are the same within 10 %."""
    away = log_distance - np.mean(log_distance, dtype=float)
    if np.std(away) < 0.1:
        return 0.0
    # a miss of nothing at all would count without limit
    return float(np.mean(away * np.log(np.maximum(scores, _SMALLEST_MISS))) / np.mean(away**2))


def _trend(slope, log_distance, distances):
    """(d / 30 kpc)^slope, as at the ends beyond the distances [kpc] of the calibration."""
    return np.exp(slope * (np.clip(log_distance, *np.log(distances)) - math.log(_MIDDLE)))


class Estimator:
    """One network, or several that were trained alike, with what belongs to them.

    Parameters
    ----------
    networks : list of `keras.Model`
        Of `pidoc.networks.cluster_network`.
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
    """

    kind = 'cluster'
    """What model.json calls it."""

    _scaling, _precision, _every = Scaling, np.float16, 1

    def __init__(self, networks, scaling, *, config, calibration=None, about=None, turns=1):
        if not networks:
            raise ValueError('an estimator needs at least one network, received none')
        if turns not in range(1, 9):
            raise ValueError(f'turns must be a whole number from 1 to 8, received {turns!r}')
        self.networks = list(networks)
        self.scaling = scaling
        self.calibration = calibration or Calibration()
        self.config = dict(config)
        self.about = dict(about or {})
        self.turns = turns

    @property
    def map_shape(self):
        """Height and width of the maps [pixels]."""
        height, width, _ = self.config['shape']
        return height * self.scaling.block, width * self.scaling.block

    def replace(self, **changes):
        """The same networks with another calibration, about or turns."""
        kept = {'calibration': self.calibration, 'about': self.about, 'turns': self.turns}
        return type(self)(self.networks, self.scaling, config=self.config, **{**kept, **changes})

    # -- estimates

    def estimate(self, light, *, distance=None, distance_error=None, batch_size=64):
        """Masses, M/L, ages and distances of light maps.

        Parameters
        ----------
        light : ndarray, shape (n, ny, nx)
            Apparent flux per pixel [Lsun / kpc^2], smoothed as in training; finite.
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
            If the shape is another than `map_shape`, a pixel is not finite, no light is in a map, or a
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
        if light.ndim != 3 or light.shape[1:] != self.map_shape or len(light) == 0:
            raise ValueError(f'light must have the shape (n, {self.map_shape[0]}, {self.map_shape[1]}), '
                             f'received {light.shape}')
        if not np.all(np.isfinite(light)):
            raise ValueError('the pixels of a light map must be finite, received '
                             f'{np.count_nonzero(~np.isfinite(light))} that are not')
        totals = light.sum(axis=(1, 2), dtype=float)
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
            Of compressed masses, arcsinh(M / 2 s).
        mean, sd : ndarray, shape (n, 4)
            Of `~pidoc.networks.scaling.SCALARS`.
        """
        distance, error = _distances(distance, distance_error, len(light))
        parts = [self._in_blocks(self._blocks(light[k:k + batch_size]), distance[k:k + batch_size],
                                 error[k:k + batch_size]) for k in range(0, len(light), batch_size)]
        output, mean, sd = (np.concatenate(each) for each in zip(*parts, strict=True))
        centre, width = self.scaling.mass
        return centre + width * output[..., 0], width * np.exp(output[..., 1]), mean, sd

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
        thin = np.s_[:, ::self._every, ::self._every]
        mass = np.asarray(mass)[thin]
        scores = np.abs(self._compressed(mass) - map_mean[thin]) / map_sd[thin]
        named = self._named(mean, sd)
        log_distance, _ = named['log_distance']
        counted = mass > _FAINTEST
        found = {'log_mass': (scores[counted], np.repeat(log_distance, counted.sum(axis=(1, 2))))}
        truth = named_scalars(scalars, np.zeros_like(scalars))
        for name, (value, width) in named.items():
            found[name] = np.abs(value - truth[name][0]) / width, log_distance
        return found

    def _compressed(self, mass):
        """Masses per pixel as `raw` has them."""
        return soft_log(mass, self.scaling.mass_floor)

    @staticmethod
    def _named(mean, sd):
        return named_scalars(mean, sd)

    def _blocks(self, light):
        light = np.asarray(light)
        if light.shape[1:] == tuple(self.config['shape'][:2]):
            return light
        return block_mean(light, self.scaling.block)

    def _in_blocks(self, blocks, distance, error):
        """Mean over networks and orientations, in blocks: map output (n, y, x, 2), scalar mean and sd."""
        image = self.scaling.image_of_blocks(blocks)
        told = self.scaling.known_distance(distance, error)
        maps, scalars = [], []
        for network in self.networks:
            for turn in range(self.turns):
                seen = np.ascontiguousarray(turned(image, turn))
                output, scalar = network.predict_on_batch([seen, told])
                maps.append(_turned_back(np.asarray(output, dtype=np.float32), turn))
                scalars.append(np.asarray(scalar, dtype=float))
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
        mass = soft_exp(mean, self.scaling.mass_floor) * np.exp(0.5 * np.minimum(sd, 1.0) ** 2)
        # d ln M / d y = coth y, which is 1 but near the floor
        steep = 1.0 / np.tanh(np.maximum(mean, 0.1))
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
        # a folder without model.json is no model: nothing half-written is ever read
        target.unlink(missing_ok=True)
        sums = {}
        for k, network in enumerate(self.networks):
            path = folder / _WEIGHTS.format(k)
            write_weights(network, path, dtype=self._precision)
            sums[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        kind = {} if self.kind == 'cluster' else {'kind': self.kind}
        text = json.dumps({'format': FORMAT, **kind, 'about': self.about, 'turns': self.turns,
                           'config': self.config, 'scaling': self.scaling.to_dict(),
                           'calibration': asdict(self.calibration), 'sha256': sums}, indent=1)
        with replacing(target) as new:
            new.write_text(text + '\n', encoding='utf-8')

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
            networks = kind._networks(card['config'], len(card['sha256']))
            for network, name in zip(networks, card['sha256'], strict=True):
                read_weights(network, folder / name)
            return kind(networks, kind._scaling.from_dict(card['scaling']), config=card['config'],
                        calibration=Calibration(**card['calibration']), about=card['about'],
                        turns=card['turns'])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFolderError(f'{folder} holds no model that this version reads: {error}') from error


    @staticmethod
    def _networks(config, number):
        from pidoc.networks.cluster import cluster_network

        return [cluster_network(**config) for _ in range(number)]


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
    calibration, about, turns
        As for `Estimator`; the networks look at each map once.

    Raises
    ------
    ValueError
        If there are not two networks, or ``turns`` is not 1.
    """

    kind = 'paper'
    # half precision could lose a variance of the normalisation; pixels beside each other are no two trials
    _scaling, _precision, _every = PaperScaling, np.float32, 4

    def __init__(self, networks, scaling, *, config, calibration=None, about=None, turns=1):
        if len(networks) != 2 or turns != 1:
            raise ValueError('the networks of the paper are two, and look at each map once, received '
                             f'{len(networks)} and {turns!r} turns')
        super().__init__(networks, scaling, config=config, calibration=calibration, about=about)

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
    def _networks(config, number):
        from pidoc.networks.cluster import paper_age_distance_network, paper_mass_network

        return [build(**config) for build in (paper_mass_network, paper_age_distance_network)][:number]


def read_card(folder):
    """model.json of a model folder, without loading a network.

    Raises
    ------
    ModelFolderError
        If it is missing, damaged or of another format.
    """
    path = Path(folder) / 'model.json'
    try:
        card = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise ModelFolderError(f'{folder} holds no model: there is no model.json') from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelFolderError(f'{path} is damaged: {error}') from error
    if not isinstance(card, dict) or card.get('format') != FORMAT:
        raise ModelFolderError(f'{path} must be of format {FORMAT}, received '
                               f'{card.get("format") if isinstance(card, dict) else type(card).__name__}')
    missing = {'about', 'turns', 'config', 'scaling', 'calibration', 'sha256'} - set(card)
    if missing or not isinstance(card['sha256'], dict) or not card['sha256']:
        raise ModelFolderError(f'{path} lacks {", ".join(sorted(missing)) or "the checksums of weights"}')
    for name in ('about', 'config', 'scaling', 'calibration'):
        if not isinstance(card[name], dict):
            raise ModelFolderError(f'{path} must have a table of {name}, received {card[name]!r}')
    return card


def write_weights(network, path, *, dtype=np.float16):
    """Write the weights of a network as a compressed file of numpy, atomically.

    Parameters
    ----------
    network : `keras.Model`
    path : `~pathlib.Path`
    dtype : dtype, optional
        Half precision is 3 digits more than training leaves significant, at half the size.
    """
    arrays = {f'{k:03d} {weight.path}': np.asarray(value, dtype=dtype)
              for k, (weight, value) in enumerate(zip(network.weights, network.get_weights(), strict=True))}
    with replacing(path) as new, open(new, 'wb') as file:
        np.savez_compressed(file, **arrays)


def read_weights(network, path):
    """Give a network the weights that `write_weights` wrote.

    Raises
    ------
    ModelFolderError
        If the file is damaged, or of another network.
    """
    try:
        with open(path, 'rb') as file, np.load(file, allow_pickle=False) as arrays:
            values = [arrays[name].astype(np.float32) for name in sorted(arrays.files)]
    except Exception as error:
        # numpy and zipfile have many kinds of errors for damaged files
        raise ModelFolderError(f'{path} is damaged: {error}') from error
    shapes = [tuple(weight.shape) for weight in network.weights]
    if [value.shape for value in values] != shapes:
        raise ModelFolderError(f'{path} holds the weights of another network: {len(values)} arrays, where '
                               f'{len(shapes)} of given shapes are needed')
    network.set_weights(values)


def named_scalars(mean, sd):
    """Value and standard deviation of the scalars of `QUANTITIES`, from those of `~pidoc.networks.scaling.SCALARS`."""
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


def turned(maps, turn):
    """Maps (n, y, x, c) in one of the eight orientations of a square."""
    if turn >= 4:
        maps = maps[:, :, ::-1]
    return np.rot90(maps, turn % 4, axes=(1, 2))


def _turned_back(maps, turn):
    maps = np.rot90(maps, -(turn % 4), axes=(1, 2))
    return maps[:, :, ::-1] if turn >= 4 else maps
