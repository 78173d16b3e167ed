# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Predictions of trained networks from light maps, as arrays, with calibrated posteriors.

An `Estimator` is one network or a small ensemble with its scaling and calibration: the content of a model
folder. A `PaperEstimator` has the same interface for the two networks of the paper.
"""

import functools
import hashlib
import math
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pidoc.grid import MapGrid
from pidoc.inference.calibration import Calibration, given_names, LOW_MASS, PIXEL_MASS
from pidoc.inference.curvature import Curvature, NEEDED
from pidoc.inference.estimates import Estimates
from pidoc.inference.folder import (
    check_characters,
    FORMAT,
    ModelFolderError,
    read_card,
    read_weights,
    set_weights,
    weight_files,
    write_card,
    write_weights,
)
from pidoc.inference.posterior import Posterior
from pidoc.networks.forward import ClusterForward
from pidoc.networks.mixture import Layout
from pidoc.networks.orientation import turned, turned_back
from pidoc.networks.scaling import PaperScaling, Scaling
from pidoc.networks.variables import Constraint, CONSTRAINTS, OUTPUTS, ZOOM, zoomed
from pidoc.units import whole_number

__all__ = ['Estimator', 'PaperEstimator']

FAINTEST = 1e-2            # Msun per pixel: less massive pixels are excluded from a calibration
_NEAREST = 0.1             # kpc: lower limit for a linear output
_SHAPE = 0.05              # least fraction of the variance of a pixel that is independent of the total mass
_WEIGHTS = 'network-{}.npz'


class Estimator:
    """One network, or an ensemble, with its scaling and calibration.

    Parameters
    ----------
    networks : list
        `~pidoc.networks.forward.ClusterForward`, as made by `load`, or `keras.Model` from
        `pidoc.networks.cluster_network`.
    scaling : `~pidoc.networks.scaling.Scaling`
        Scaling of inputs and outputs.
    calibration : `Calibration`, optional
        Calibration of the posteriors; by default none.
    config : dict
        Arguments of `~pidoc.networks.cluster_network`, to build the networks again.
    posterior : dict, optional
        ``components`` and ``covariance`` of the predicted mixtures: `pidoc.networks.mixture.Layout`.
        Optionally ``constraints``: scalars on which posteriors are conditioned in closed form
        (`Posterior.conditioned`), not by the network, as arguments of `~pidoc.networks.variables.Constraint`;
        and ``curvature``: M/L of populations by age and [Fe/H], as arguments of
        `~pidoc.inference.curvature.Curvature`.
    about : dict, optional
        Further content of model.json: name, description, training recipe, domain, scores.
    turns : int, optional
        Number of orientations of each map, 1 to 8; the posterior is the mixture of those for all of them.
    grid : `~pidoc.grid.MapGrid`, optional
        Grid of the maps; by default the paper's, with the number of pixels that the networks take.

    Raises
    ------
    ValueError
        If there is no network, ``turns`` is out of range, ``grid`` has another number of pixels, or a
        constraint needs other scalars.
    """

    kind = 'cluster'
    """Kind of the model in model.json."""

    _scaling, _precision = Scaling, np.float16
    every = 1
    """Step in rows and columns of the pixels used in a calibration."""

    def __init__(self, networks, scaling, *, config, calibration=None, posterior=None, about=None, turns=1,
                 grid=None):
        if not networks:
            raise ValueError('an estimator needs at least one network, received none')
        self.networks = list(networks)
        self.scaling = scaling
        self.calibration = calibration or Calibration()
        self.config = dict(config)
        self.posterior = dict(posterior or {'components': 1, 'covariance': 'diagonal'})
        self._measured = tuple(Constraint(**each) for each in self.posterior.get('constraints', ()))
        for each in self._measured:
            if each.product:
                each.product.line(self.outputs)
        curvature = self.posterior.get('curvature')
        self._curvature = curvature and Curvature(**curvature)
        missing = NEEDED - {each.name for each in self.outputs}
        if curvature and missing:
            raise ValueError(f'a curvature needs the outputs {", ".join(sorted(NEEDED))}, received none of '
                             f'{", ".join(sorted(missing))}')
        self.about = dict(about or {})
        self.turns = whole_number(turns, 'turns', at_least=1, at_most=8, floats=True)
        self.grid = self._grid(grid)
        self._layout = Layout(len(self.outputs), self.posterior['components'], self.posterior['covariance'])

    def _grid(self, grid):
        height, width, _ = self.config['shape']
        shape = height * self.scaling.block, width * self.scaling.block
        if grid is None:
            return MapGrid(shape=shape)
        if grid.shape != shape:
            raise ValueError(f'the grid must have the {shape[1]} x {shape[0]} pixels that the networks take, '
                             f'received {grid}')
        return grid

    @property
    def outputs(self):
        """The predicted scalars (tuple of `~pidoc.networks.variables.Variable`)."""
        return self.scaling.outputs

    @property
    def constraints(self):
        """Properties that can be given (tuple of `~pidoc.networks.variables.Constraint`)."""
        return (*self._measured, *self.scaling.constraints)

    def replace(self, **changes):
        """The same networks with another calibration, about, turns or grid."""
        kept = {'calibration': self.calibration, 'about': self.about, 'turns': self.turns, 'grid': self.grid,
                'posterior': self.posterior}
        return type(self)(self.networks, self.scaling, config=self.config, **{**kept, **changes})

    # -- estimates

    def estimate(self, light, *, known=None, pixel_scale=None, batch_size=64):
        """Predict mass maps and posteriors from light maps.

        Parameters
        ----------
        light : ndarray, shape (n, ny, nx), or (n, ny, nx, channels)
            Apparent flux per pixel [Lsun / kpc^2], the channels of ``grid``; finite.
        known : dict, optional
            Name of one of `constraints` -> values, shape (n,), in its unit, NaN if unknown; and the name with
            ``_error`` -> their standard errors, in the same unit, NaN for the default.
        pixel_scale : float or ndarray of shape (n,), optional
            Side of a pixel of each map [arcsec]; by default that of ``grid``. For others the model sees the
            same cluster at another distance: `pidoc.networks.variables.ZOOM`.
        batch_size : int, optional
            Number of maps per batch.

        Returns
        -------
        `Estimates`

        Raises
        ------
        ValueError
            If the shape is not that of ``grid``, a pixel is not finite, a map has no light, a pixel scale is
            not positive, or a given property is not a constraint of this model, or invalid.
        """
        light = self._checked(light)
        known = checked_known(known or {}, self.constraints, len(light))
        zoom = self._zoom(pixel_scale, len(light))
        if zoom is not None:
            light = light / (zoom**2).reshape(-1, *[1] * (light.ndim - 1))
            known = zoomed(known, zoom)
        parts = [self._batch(light[k:k + batch_size], _some(known, slice(k, k + batch_size)))
                 for k in range(0, len(light), batch_size)]
        posterior = Posterior.joined([part.posterior for part in parts])
        if zoom is not None:
            for name in set(ZOOM) & set(posterior.names):
                posterior = posterior.scaled(name, zoom ** -ZOOM[name])
        tension = {name: np.concatenate([part.tension[name] for part in parts]) for name in parts[0].tension}
        return Estimates(np.concatenate([part.mass for part in parts]),
                         np.concatenate([part.log_mass_error for part in parts]), posterior.intervals(),
                         posterior, tension, np.concatenate([part.encoding for part in parts]))

    def encode(self, light, *, batch_size=64):
        """How maps appear to the first network.

        These are averages of its maps of features at all scales, over pixels and orientations, which depend
        on the image only.

        Parameters
        ----------
        light, batch_size
            As for `estimate`, with the pixels of ``grid``.

        Returns
        -------
        ndarray of float32, shape (n, k)
            None of the networks of the paper has such averages: k is 0 then.

        Raises
        ------
        ValueError
            As `estimate`.
        """
        light = self._checked(light)
        return np.concatenate([self._encoding(light[k:k + batch_size])
                               for k in range(0, len(light), batch_size)])

    def _encoding(self, light):
        code = self.scaling.code({}, len(light))
        *_, encoding = self._in_blocks(self.scaling.blocks(light), code, [])
        return encoding

    def _zoom(self, pixel_scale, number):
        """Side of a pixel over that of ``grid``, shape (n,); None if all are those of ``grid``."""
        if pixel_scale is None:
            return None
        scales = np.broadcast_to(np.asarray(pixel_scale, dtype=float), number)
        if not np.all((scales > 0.0) & np.isfinite(scales)):
            raise ValueError(f'pixel_scale must be positive and finite, received {pixel_scale}')
        return None if np.all(scales == self.grid.scale) else scales / self.grid.scale

    def _checked(self, light):
        light = np.asarray(light)
        number = self.config['shape'][-1]
        if number == 1 and light.ndim == 3:
            light = light[..., np.newaxis]
        if light.shape[1:] != (*self.grid.shape, number) or len(light) == 0:
            raise ValueError(f'light must have the shape (n, {", ".join(map(str, self.grid.shape))}'
                             f'{"" if number == 1 else f", {number}"}), received {light.shape}')
        if not np.all(np.isfinite(light)):
            raise ValueError('the pixels of a light map must be finite, received '
                             f'{np.count_nonzero(~np.isfinite(light))} that are not')
        totals = light.sum(axis=(1, 2), dtype=float).reshape(len(light), -1).min(axis=1)
        if np.any(totals <= 0.0):
            raise ValueError('the flux in a light map must be positive, received '
                             f'{totals.min():.3g} Lsun / kpc2 in map {int(np.argmin(totals))}')
        return light

    def _batch(self, light, known):
        names = self.given(known, len(light))
        code = self.scaling.code(known, len(light))
        given = [each for each in self.scaling.constraints
                 if each.errors is not None and np.isfinite(known.get(each.name, np.nan)).any()]
        output, posteriors, encoding = self._in_blocks(
            self.scaling.blocks(light), code, [self.scaling.without(code, each.name) for each in given])
        posterior = self._conditioned(posteriors[0], known)
        free_total = self._free_total(output, posteriors[0], names)
        output, shift = self._with_total(output, free_total, posterior, names)
        factor = self.calibration.at(names, PIXEL_MASS)[:, 0]
        mass, log_error = self._mass(*self.scaling.masses(output), factor)
        mass *= np.exp(shift).astype(np.float32)[:, np.newaxis, np.newaxis]
        tension = {each.name: self._tension(each, known, self._conditioned(other, known))
                   for each, other in zip(given, posteriors[1:], strict=True)}
        for each in self._measured:
            if np.isfinite(known.get(each.name, np.nan)).any():
                other = self._conditioned(posteriors[0], {**known, each.name: np.full(len(light), np.nan)})
                tension[each.name] = self._tension(each, known, other)
        for each in self.constraints:
            if each.errors is not None:
                tension.setdefault(each.name, np.full(len(light), np.nan))
        return Estimates(mass, log_error, posterior=self._calibrated(posterior, names), tension=tension,
                         encoding=encoding)

    def _conditioned(self, posterior, known):
        """Condition a posterior on those constraints that are not inputs of the network."""
        nothing = np.full(len(posterior), np.nan)
        measurements = {}
        for each in self._measured:
            values = known.get(each.name, nothing)
            if np.isfinite(values).any():
                # a product is measured on its own scale
                variable = each if each.product else self.outputs[posterior.names.index(each.name)]
                measurements[each.product or each.name] = each.measurement(
                    variable, values, known.get(f'{each.name}_error', nothing))
        if self._curvature is None:
            return posterior.conditioned(measurements) if measurements else posterior
        # what depends on M/L is compared with the M/L at the given age and [Fe/H]
        last = {name: measurements.pop(name) for name in [*measurements] if name in self._curvature.exponents}
        if measurements:
            posterior = self._curvature.bent(posterior, posterior.conditioned(measurements))
        return posterior.conditioned(last) if last else posterior

    def _free_total(self, output, free, names):
        """Intervals of the total mass and the sum of the map before conditioning, if there is any."""
        if not self._measured:
            return None
        mass, _ = self._expected(*self.scaling.masses(output))
        return self._total(free, names), mass.sum(axis=(1, 2), dtype=float)

    def _total(self, posterior, names):
        return self._calibrated(posterior.margin('total_mass'), names).intervals()['total_mass']

    def _with_total(self, output, free_total, posterior, names):
        """The map output with the remaining error of the total mass, and ln of the required sum of the map.

        If a posterior is conditioned in closed form, the map output of the network does not change: it is
        rescaled to the mass of the posterior.
        """
        if free_total is None:
            return output, np.zeros(len(output))
        before, total = free_total
        after = self._total(posterior, names)
        shift = np.log(after.value / total)
        widths = [0.5 * np.log(each.high_68 / each.low_68) / self.scaling.mass[1] for each in (before, after)]
        square = np.exp(2.0 * output[..., 1])
        less = (widths[0] ** 2 - widths[1] ** 2)[:, np.newaxis, np.newaxis]
        square = np.maximum(square - less, _SHAPE * square)
        return np.stack([output[..., 0], 0.5 * np.log(square)], axis=-1), shift

    def given(self, known, number):
        """Given properties of each map, in the form of `~pidoc.inference.calibration.given_names`."""
        there = {each.name: np.isfinite(np.broadcast_to(known.get(each.name, np.nan), number))
                 for each in self.constraints if each.errors is not None}
        return [given_names([name for name, known_here in there.items() if known_here[k]])
                for k in range(number)]

    def _calibrated(self, posterior, names):
        low = self.calibration.low_mass and 'cluster_mass' in posterior.names
        mass = _predicted_mass(posterior) if low else None
        factors = [self.calibration.at(names, name, mass) for name in posterior.names]
        return posterior.stretched(np.stack(factors, axis=1))

    def _tension(self, constraint, known, posterior):
        """Difference, in standard deviations, between a given value and the posterior without it."""
        values = known[constraint.name]
        without = [[name for name in each.split('+') if name != constraint.name]
                   for each in self.given(known, len(values))]
        if constraint.product is None and constraint.name not in posterior.names:
            return np.full(len(values), np.nan)
        posterior = posterior.margin(constraint.product or constraint.name)
        posterior = self._calibrated(posterior, list(map(given_names, without)))
        found = posterior.intervals()[constraint.name]
        here, low, high = (constraint.on_scale(each) for each in (found.value, found.low_68, found.high_68))
        error = constraint.scale_error(values, known.get(f'{constraint.name}_error',
                                                         np.full(len(values), np.nan)))
        off = constraint.on_scale(values) - here
        width = np.where(off > 0.0, high - here, here - low)
        return off / np.hypot(width, error)

    def normal_scores(self, light, mass, scalars, *, known, batch_size=64):
        """Normal scores of the truth in the predicted distributions, before calibration.

        Parameters
        ----------
        light, batch_size
            As for `estimate`; the maps can also be blocks already.
        mass : ndarray
            True maps in the blocks of ``light``. Pixels below 0.01 Msun are excluded.
        scalars : dict
            Name -> true physical values, shape (n,).
        known : list of dict
            As for `estimate`, for each choice of what is given. The networks see each map once for all
            choices that do not differ in their inputs.

        Returns
        -------
        list of dict
            For each choice: name of a scalar -> scores, shape (n,), and `PIXEL_MASS` -> scores of pixels,
            flat.
        masses : list of ndarray
            For each choice the predicted masses of the clusters [Msun], if the networks predict it.
        """
        found, masses = [([], []) for _ in known], [[] for _ in known]
        for k in range(0, len(light), batch_size):
            rows = slice(k, k + batch_size)
            blocks, seen = self._blocks(light[rows]), {}
            for given, (scores, pixels), mass_of in zip(known, found, masses, strict=True):
                some = _some(given, rows)
                code = self.scaling.code(some, len(blocks))
                key = code.tobytes()
                uncalibrated = [''] * len(blocks)
                if key not in seen:
                    output, (free,), _ = self._in_blocks(blocks, code, [])
                    seen[key] = output, free, self._free_total(output, free, uncalibrated)
                output, free, free_total = seen[key]
                posterior = self._conditioned(free, some)
                output, shift = self._with_total(output, free_total, posterior, uncalibrated)
                shift = shift[:, np.newaxis, np.newaxis] / self.scaling.mass[1]
                scores.append(posterior.normal_scores(_some(scalars, rows)))
                pixels.append(self._pixel_scores(output, shift, np.asarray(mass[rows])))
                if 'cluster_mass' in posterior.names:
                    mass_of.append(_predicted_mass(posterior))
        return [self._scores(*each) for each in found], [np.concatenate(each) for each in masses if each]

    def _scores(self, scores, pixels):
        names = [each.name for each in self.outputs]
        return {PIXEL_MASS: np.concatenate(pixels),
                **dict(zip(names, np.concatenate(scores).T, strict=True))}

    def _pixel_scores(self, output, shift, mass):
        mean, sd = self.scaling.mass
        off = self.scaling.compressed_mass(mass) - (mean + sd * (output[..., 0] + shift))
        return (off / (sd * np.exp(output[..., 1])))[mass > FAINTEST]

    def _blocks(self, light):
        light = np.asarray(light)
        if light.shape[1:3] == tuple(self.config['shape'][:2]):
            return light
        return self.scaling.blocks(light)

    def _in_blocks(self, blocks, code, others):
        """Map output (n, y, x, 2), averaged over networks and orientations, posteriors by code, encoding."""
        image = self.scaling.image_of_blocks(blocks)
        # all orientations in one batch
        seen = np.concatenate([turned(image, turn) for turn in range(self.turns)])
        codes = [np.tile(each, (self.turns, 1)) for each in (code, *others)]
        maps, scalars, encodings = [], [], []
        for network in self.networks:
            output, scalar, encoding = _outputs(network, seen, codes)
            encodings.append(encoding)
            output = np.asarray(output, dtype=np.float32).reshape(self.turns, *image.shape[:3], 2)
            maps += [turned_back(each, turn) for turn, each in enumerate(output)]
            scalars += list(scalar.reshape(self.turns, len(image), len(codes), -1))
        output = np.stack(_mean_of([m[..., 0] for m in maps], [m[..., 1] for m in maps]), axis=-1)
        log_flux = self.scaling.log_flux(blocks)
        encoding = encodings[0].reshape(self.turns, len(image), -1).mean(axis=0)
        return output, [self._mixture([each[:, k] for each in scalars], log_flux)
                        for k in range(len(codes))], encoding

    def _mixture(self, outputs, log_flux):
        """The mixture, with equal weights, of the posteriors of networks and orientations."""
        parts = [self._layout.mixture(output) for output in outputs]
        weights, means, factors = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
        if self.scaling.coordinates is not None:
            means, factors = self.scaling.coordinates.back(means, factors, log_flux)
        return Posterior.of(self.outputs, weights / len(parts), means, factors)

    def _mass(self, mean, sd, factor):
        """Expected mass per pixel, and the 68 % half-width of its logarithm."""
        mass, steep = self._expected(mean, sd)
        return (mass.astype(np.float32),
                (factor[:, np.newaxis, np.newaxis] * sd * steep).astype(np.float32))

    def _expected(self, mean, sd):
        """Expected mass per pixel, and the derivative of ln M by the compressed mass."""
        mass, steep = self.scaling.expanded_mass(mean)
        return np.maximum(mass * np.exp(0.5 * np.minimum(sd, 1.0) ** 2), 0.0), steep

    # -- files

    def save(self, folder, *, overwrite=False):
        """Write a model folder: ``model.json`` and the weights of each network.

        Parameters
        ----------
        folder : path-like
            Created if needed.
        overwrite : bool, optional
            Whether to replace an existing model.

        Raises
        ------
        FileExistsError
            If a model exists and ``overwrite`` is not set.
        ValueError
            If a weight is not finite, or a text of ``about`` has control characters.
        """
        folder = Path(folder)
        check_characters({'about': self.about})
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / 'model.json'
        if target.exists() and not overwrite:
            raise FileExistsError(f'{folder} holds a model already: give overwrite=True to replace it')
        before = _weights_of(target)
        sums = dict(self._write(folder, k, before) for k in range(len(self.networks)))
        kind = {} if self.kind == 'cluster' else {'kind': self.kind}
        write_card(folder, {'format': FORMAT, **kind, 'about': self.about, 'turns': self.turns,
                            'grid': self.grid.to_dict(), 'config': self.config,
                            'scaling': self.scaling.to_dict(), 'calibration': self.calibration.factors,
                            **self._low_mass(), 'posterior': self.posterior, 'sha256': sums})
        for name in before - set(sums):
            (folder / name).unlink(missing_ok=True)

    def _low_mass(self):
        low = self.calibration
        return {'low_mass': {'factors': low.low_mass, 'limit': low.limit}} if low.low_mass else {}

    def _write(self, folder, k, before):
        """Write the weights of a network, next to those of an existing model; returns name and SHA-256."""
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
        """Read a model folder and verify its checksums.

        Parameters
        ----------
        folder : path-like

        Returns
        -------
        `Estimator`
            A `PaperEstimator` for the networks of the paper.

        Raises
        ------
        ModelFolderError
            If there is no model, or it is damaged.
        """
        folder = Path(folder)
        card = read_card(folder)
        paths = weight_files(folder, card)
        kinds = {each.kind: each for each in (Estimator, PaperEstimator)}
        try:
            kind = kinds.get(card.get('kind', 'cluster'))
            if kind is None:
                raise ValueError(f'its kind must be one of {", ".join(kinds)}, received {card["kind"]!r}')
            networks = kind._networks(card['config'], paths)
            return kind(networks, kind._scaling.from_dict(card['scaling']), config=card['config'],
                        calibration=_calibration(card), about=card['about'], turns=card['turns'],
                        posterior=card['posterior'], grid=MapGrid.from_dict(card['grid']))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelFolderError(f'{folder} holds no model that this version reads: {error}') from error

    @staticmethod
    def _networks(config, paths):
        return [ClusterForward(read_weights(path), config) for path in paths]


class PaperEstimator(Estimator):
    """The two networks of Chardin & Bianchini (2021): mass map; age and distance.

    They predict no errors. Intervals have the same width for all maps, in ln M, in the age, in ln d: that of
    the calibration, whose factors apply to a standard deviation of 1. A given distance replaces the predicted
    one and converts the light in the M/L to a luminosity, as in section 4.1.3; it cannot change the mass.

    Parameters
    ----------
    networks : list of `keras.Model`
        `~pidoc.networks.paper_mass_network` and `~pidoc.networks.paper_age_distance_network`.
    scaling : `~pidoc.networks.scaling.PaperScaling`
    config : dict
        ``shape``: (height, width, 1).
    calibration, posterior, about, turns, grid
        As for `Estimator`; only one orientation is used.

    Raises
    ------
    ValueError
        If there are not two networks, or ``turns`` is not 1.
    """

    kind = 'paper'
    # half precision could make a variance of the normalisation zero
    _scaling, _precision = PaperScaling, np.float32
    # neighbouring pixels are not independent
    every = 4
    outputs = (OUTPUTS['total_mass'], OUTPUTS['mass_to_light'],
               replace(OUTPUTS['age'], scale='linear'), OUTPUTS['distance'])
    constraints = (CONSTRAINTS['distance'],)

    def __init__(self, networks, scaling, *, config, calibration=None, posterior=None, about=None, turns=1,
                 grid=None):
        if len(networks) != 2 or turns != 1:
            raise ValueError('the networks of the paper must be two, with one orientation (turns), received '
                             f'{len(networks)} and {turns!r} turns')
        super().__init__(networks, scaling, config=config, calibration=calibration, posterior=posterior,
                         about=about, grid=grid)

    def _values(self, light, known):
        """ln of the mass per pixel, and `outputs` on their scales, shape (n, 4)."""
        light = np.asarray(light).reshape(len(light), *self.grid.shape)
        image = self.scaling.image(light)
        mass, other = (np.asarray(network.predict_on_batch(image)) for network in self.networks)
        log_mass = self.scaling.log_masses(mass)
        age, own = self.scaling.age_distance(other)
        own = np.maximum(own, _NEAREST)
        distance = known.get('distance', np.full(len(light), np.nan))
        used = np.where(np.isfinite(distance), distance, own)
        log_total = np.log(np.exp(log_mass).sum(axis=(1, 2), dtype=float))
        log_light = np.log(4.0 * math.pi * used**2 * light.sum(axis=(1, 2), dtype=float))
        return log_mass, np.stack([log_total, log_total - log_light, age, np.log(own)], axis=1)

    def _encoding(self, light):
        return np.empty((len(light), 0), dtype=np.float32)

    def _plain(self, values):
        """Posteriors with a standard deviation of 1 in each scalar."""
        means = values[:, np.newaxis]
        factors = np.broadcast_to(np.eye(means.shape[-1]), (*means.shape, means.shape[-1]))
        return Posterior.of(self.outputs, np.ones((len(values), 1)), means, factors.copy())

    def _batch(self, light, known):
        log_mass, values = self._values(light, known)
        names = self.given(known, len(light))
        posterior = self._calibrated(self._plain(values), names)
        distance = known.get('distance', np.full(len(light), np.nan))
        given = np.isfinite(distance)
        error = self.constraints[0].scale_error(distance, known.get('distance_error', distance * np.nan))
        # the predicted distance adds no information to it
        posterior.means[given, 0, 3] = np.log(distance[given])
        posterior.factors[given, 0, 3, 3] = error[given]
        posterior.stretch[given, 3] = 1.0, 2.0
        half = self.calibration.at(names, PIXEL_MASS)[:, 0, np.newaxis, np.newaxis].astype(np.float32)
        return Estimates(np.exp(log_mass).astype(np.float32), np.broadcast_to(half, log_mass.shape),
                         posterior=posterior, tension={'distance': np.full(len(light), np.nan)},
                         encoding=self._encoding(light))

    def normal_scores(self, light, mass, scalars, *, known, batch_size=64):
        """Errors of ln M and of the scalars on their scales: `Estimator.normal_scores` for a width of 1."""
        return [self._errors(light, mass, scalars, each, batch_size) for each in known], []

    def _errors(self, light, mass, scalars, known, batch_size):
        parts, pixels = [], []
        for k in range(0, len(light), batch_size):
            rows = slice(k, k + batch_size)
            log_mass, values = self._values(np.asarray(light[rows]), _some(known, rows))
            thin = np.s_[:, ::self.every, ::self.every]
            true = np.asarray(mass[rows])[thin]
            # faint pixels are excluded
            off = np.log(np.maximum(true, self.scaling.mass_floor)) - log_mass[thin]
            pixels.append(off[true > FAINTEST])
            parts.append(self._plain(values).normal_scores(_some(scalars, rows)))
        return self._scores(parts, pixels)

    @staticmethod
    def _networks(config, paths):
        from pidoc.networks.paper import paper_age_distance_network, paper_mass_network

        networks = [paper_mass_network(**config), paper_age_distance_network(**config)]
        for network, path in zip(networks, paths, strict=True):
            set_weights(network, path)
        return networks


def checked_known(known, constraints, number):
    """Check the given properties of n maps, and convert them to arrays.

    Parameters
    ----------
    known : dict
        As for `Estimator.estimate`.
    constraints : sequence of `~pidoc.networks.variables.Constraint`
    number : int
        n.

    Returns
    -------
    dict
        Copies of the arrays.

    Raises
    ------
    ValueError
        If a name is not one of the constraints, a shape is wrong, a value that must be positive is not, or an
        error is not positive or has no value.
    """
    names = {}
    for each in constraints:
        names[each.name] = each
        if each.errors is not None:
            names[f'{each.name}_error'] = each
    found = {}
    for name, values in known.items():
        if name not in names:
            raise ValueError(f'a known property must be one of {", ".join(names)}, received {name!r}')
        values = np.array(values, dtype=float)
        if values.shape != (number,):
            raise ValueError(f'{name} must have the shape ({number},), received {values.shape}')
        positive = names[name].relative or name.endswith('_error')
        if np.any(np.isinf(values)) or (positive and np.any(values <= 0.0)):
            raise ValueError(f'{name} must be {"positive and " if positive else ""}finite, received '
                             f'{np.nanmin(values):g} {names[name].unit}'.rstrip())
        found[name] = values
    for name in set(found) - {each.name for each in constraints}:
        value = found.get(name.removesuffix('_error'), np.full(number, np.nan))
        if np.any(np.isfinite(found[name]) & np.isnan(value)):
            raise ValueError(f'{name} needs {name.removesuffix("_error")}, received it alone')
    return found


def _some(known, rows):
    return {name: values[rows] for name, values in known.items()}


def _calibration(card):
    low = card.get('low_mass') or {}
    return Calibration(card['calibration'], low.get('factors', {}), low.get('limit', LOW_MASS))


def _predicted_mass(posterior):
    return posterior.margin('cluster_mass').intervals()['cluster_mass'].value


def _outputs(network, image, codes):
    """Mass map with the first code, scalars with each, shape (n, codes, scalars), and the encoding."""
    if isinstance(network, ClusterForward):
        return network.predict_with(image, codes)
    each = [_with_averages(network).predict_on_batch([image, code]) for code in codes]
    scalars = np.stack([np.asarray(scalars, dtype=float) for _, scalars, *_ in each], axis=1)
    return each[0][0], scalars, np.concatenate([np.asarray(average, dtype=np.float32)
                                                for average in each[0][2:]], axis=1)


@functools.lru_cache(maxsize=4)
def _with_averages(network):
    """The same network of Keras, whose averages are outputs, too."""
    from pidoc.networks.backend import keras

    averages = [layer.output for layer in network.layers if layer.name.startswith('average')]
    return keras.Model(network.inputs, [*network.outputs, *averages])


def _weights_of(path):
    """Names of the weights in an existing model.json, if there is one."""
    try:
        names = set(read_card(path.parent)['sha256'])
    except ModelFolderError:
        return set()
    return {name for name in names if Path(name).name == name and (path.parent / name).is_file()}


def _mean_of(means, log_sds):
    """Mean and ln sd of a mixture, with equal weights, of normal distributions."""
    means, log_sds = np.stack(means), np.stack(log_sds)
    mean = means.mean(axis=0)
    variance = np.mean(np.exp(2.0 * log_sds) + (means - mean) ** 2, axis=0)
    return mean, 0.5 * np.log(variance)
