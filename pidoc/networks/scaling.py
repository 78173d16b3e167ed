# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Conversion of maps and physical quantities to inputs and outputs of networks, and back.

Fluxes and masses span many decades and can be zero, or negative due to noise. They are compressed by y =
arcsinh(x / 2 s), which is ln(x / s) for x well above s and linear below (Lupton, Gunn & Szalay 1999).
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import numpy as np

from pidoc.networks.coordinates import Coordinates
from pidoc.networks.variables import Constraint, CONSTRAINTS, OUTPUTS, Variable
from pidoc.units import plain_number, whole_number

__all__ = ['COMPRESSIONS', 'PaperScaling', 'REDUCTIONS', 'Scaling', 'block_max', 'block_mean',
           'check_compression', 'reduced', 'soft_exp', 'soft_log']

def soft_log(values, floor):
    """Logarithm that is linear around zero: arcsinh(x / 2 s) (Lupton, Gunn & Szalay 1999).

    Parameters
    ----------
    values : float or ndarray
        Any finite numbers.
    floor : float
        s, positive; the result is ln(x / s) within 0.01 above 10 s.

    Returns
    -------
    float or ndarray

    Examples
    --------
    >>> from pidoc.networks.scaling import soft_log
    >>> print(f'{soft_log(1.0, 1e-3):.4f} {soft_log(0.0, 1e-3):.1f}')
    6.9078 0.0
    """
    return np.arcsinh(np.asarray(values) / (2.0 * floor))


def soft_exp(values, floor):
    """The inverse of `soft_log`: 2 s sinh(y)."""
    return 2.0 * floor * np.sinh(values)


@dataclass(frozen=True)
class _Compression:
    """Transformation of pixels to numbers of order one; ``s`` is the floor."""

    forward: Callable      # x, s -> y
    back: Callable         # y, s -> x
    steepness: Callable    # y -> d ln x / d y


COMPRESSIONS = {
    # d ln x / d y is coth y, which is 1 except near the floor
    'arcsinh': _Compression(soft_log, soft_exp, lambda y: 1.0 / np.tanh(np.maximum(y, 0.1))),
    'logarithm': _Compression(lambda x, s: np.log(np.maximum(x, s) / s), lambda y, s: s * np.exp(y),
                              np.ones_like),
}
"""Compressions of pixels: arcsinh(x / 2 s), or ln(x / s) with values below s clipped."""

REDUCTIONS = {'light': 'mean', 'sharp': 'max'}
"""Reductions of blocks of pixels to one number, by image of the light: mean, or brightest pixel."""


def block_mean(maps, block):
    """Means of blocks of pixels.

    Parameters
    ----------
    maps : ndarray, shape (..., ny, nx)
        Both sides must be multiples of ``block``.
    block : int
        Side of a block [pixels].

    Returns
    -------
    ndarray, shape (..., ny / block, nx / block)

    Raises
    ------
    ValueError
        If a side is not a multiple of ``block``.
    """
    return _in_blocks(maps, block).mean(axis=(-3, -1))


def block_max(maps, block):
    """The largest pixel of each block, like `block_mean`."""
    return _in_blocks(maps, block).max(axis=(-3, -1))


def _in_blocks(maps, block):
    maps = np.asarray(maps)
    if maps.ndim < 2 or maps.shape[-1] % block or maps.shape[-2] % block:
        raise ValueError(f'the sides of a map must be multiples of {block} pixels, received the shape '
                         f'{maps.shape}')
    *rest, height, width = maps.shape
    return maps.reshape(*rest, height // block, block, width // block, block)


def _enlarged(maps, block):
    """Interpolate block means to pixels, by cubic splines through the centres of the blocks."""
    if block == 1:
        return maps
    up, across = (_spline(number, block) for number in maps.shape[-2:])
    return up @ np.asarray(maps, dtype=np.float32) @ across.T


@lru_cache(maxsize=8)
def _spline(number, block):
    """Matrix from a column of blocks to pixels: splines are linear in their values."""
    from scipy.ndimage import map_coordinates

    # odd reflection continues the slope at the border
    margin = min(3, number - 1)
    columns = np.pad(np.eye(number), ((margin, margin), (0, 0)), mode='reflect', reflect_type='odd')
    place = margin + (np.arange(number * block) + 0.5) / block - 0.5
    matrix = [map_coordinates(column, [place], order=3, mode='mirror') for column in columns.T]
    return np.stack(matrix, axis=1).astype(np.float32)


class _Stored:
    """Conversion to and from the dictionary of a JSON file."""

    def to_dict(self):
        """Values for a JSON file."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_dict(cls, values):
        """The inverse of `to_dict`.

        Raises
        ------
        ValueError
            If a field is missing or unknown.
        """
        fields = set(cls.__dataclass_fields__)
        if set(values) != fields:
            raise ValueError(f'a scaling must have the fields {", ".join(sorted(fields))}, received '
                             f'{", ".join(sorted(values))}')
        return cls(**values)

    def _check(self, pairs):
        """Check that floors are positive, and pairs are a mean and a standard deviation."""
        for name in ('flux_floor', 'mass_floor'):
            plain_number(getattr(self, name), name, above=0)
        for mean, sd in pairs:
            if not (math.isfinite(mean) and math.isfinite(sd) and sd > 0.0):
                raise ValueError('a mean must be finite and a standard deviation positive, received '
                                 f'{mean!r} and {sd!r}')


@dataclass(frozen=True, kw_only=True)
class Scaling(_Stored):
    """Compression, standardisation and binning of maps and scalars, saved with a model.

    Parameters
    ----------
    block : int
        The network works on blocks of ``block`` x ``block`` pixels; since the maps are smoothed with a
        Gaussian with a standard deviation of 4 pixels, they have no finer structure.
    channels : tuple of str
        Images of the light, names of `REDUCTIONS`.
    flux_floor : float
        s for the fluxes [Lsun / kpc^2].
    mass_floor : float
        s for the masses per pixel [Msun].
    flux : tuple of tuples of float
        Mean and standard deviation of the compressed pixels of each channel.
    mass : tuple of float
        The same for the pixels of the mass map.
    compression : str
        Compression of pixels, one of `COMPRESSIONS`.
    outputs : tuple of `~pidoc.networks.variables.Variable`
        The scalars predicted by the network.
    constraints : tuple of `~pidoc.networks.variables.Constraint`
        Properties that it can be conditioned on.
    coordinates : `~pidoc.networks.coordinates.Coordinates` or None
        Coordinates in which the network predicts the scalars; None: the standardised scalars.
    """

    block: int = 4
    channels: tuple = ('light',)
    flux_floor: float = 1e-8
    mass_floor: float = 1e-3
    flux: tuple = ((6.0, 2.2),)
    mass: tuple = (5.0, 1.5)
    compression: str = 'arcsinh'
    outputs: tuple = tuple(OUTPUTS[name] for name in ('total_mass', 'mass_to_light', 'age', 'distance'))
    constraints: tuple = (CONSTRAINTS['distance'],)
    coordinates: Coordinates | None = None

    def __post_init__(self):
        whole_number(self.block, 'block', at_least=1, floats=True)
        check_compression(self.compression)
        if set(self.channels) - set(REDUCTIONS) or len(self.flux) != len(self.channels):
            raise ValueError(f'channels must be of {", ".join(REDUCTIONS)}, with a pair of flux for each, '
                             f'received {self.channels!r} and {len(self.flux)} pairs')
        self._check((*self.flux, self.mass))
        made = {'channels': tuple(self.channels), 'flux': tuple((float(a), float(b)) for a, b in self.flux),
                'mass': tuple(map(float, self.mass)),
                'outputs': tuple(_made(Variable, each) for each in self.outputs),
                'constraints': tuple(_made(Constraint, each) for each in self.constraints),
                'coordinates': self.coordinates and _made(Coordinates, self.coordinates)}
        for name, value in made.items():
            object.__setattr__(self, name, value)

    @property
    def code_width(self):
        """Number of inputs of the network for given properties."""
        return sum(each.width for each in self.constraints)

    @classmethod
    def fit(cls, light, mass, scalars, known, *, pooled=False, ties=True, outputs=OUTPUTS,
            constraints=CONSTRAINTS, **options):
        """Fit the scaling such that training data have mean 0 and standard deviation 1.

        Parameters
        ----------
        light : ndarray, shape (n, ny, nx, channels)
            Maps, or blocks already: the means differ only slightly.
        mass : ndarray, shape (n, ny, nx)
            The same.
        scalars, known : dict
            Name -> physical values, shape (n,), of the outputs and of the constraints.
        pooled : bool, optional
            One mean and one standard deviation for all scalars together, or for each separately.
        ties : bool, optional
            Whether the network predicts the scalars in fitted `coordinates`.
        outputs, constraints : dict, optional
            Variables by name.
        **options
            ``block``, ``channels``, ``flux_floor``, ``mass_floor``, ``compression``.

        Returns
        -------
        `Scaling`
        """
        flux = ((0.0, 1.0),) * np.shape(light)[-1]
        plain = cls(flux=flux, **options)
        made = [outputs[name].fitted(values) for name, values in scalars.items()]
        if pooled:
            numbers = np.concatenate([outputs[name].on_scale(values) for name, values in scalars.items()])
            mean, sd = _moments(numbers)
            made = [replace(each, mean=mean, sd=sd) for each in made]
        fitted = replace(
            plain, flux=tuple(_moments(plain._compressed(each, plain.flux_floor)) for each in _planes(light)),
            mass=_moments(plain.compressed_mass(mass)), outputs=tuple(made),
            constraints=tuple(constraints[name].fitted(values) for name, values in known.items()))
        if not ties:
            return fitted
        return replace(fitted, coordinates=Coordinates.fit(
            fitted.outputs, fitted.standardised(scalars), fitted.log_flux(light)))

    # -- inputs

    def image(self, light):
        """Image input of the network for light maps.

        Parameters
        ----------
        light : ndarray, shape (n, ny, nx, channels)
            Apparent flux per pixel [Lsun / kpc^2].

        Returns
        -------
        ndarray of float32, shape (n, ny / block, nx / block, channels)

        Raises
        ------
        ValueError
            If a pixel is not finite, a side not a multiple of ``block``, or the number of channels wrong.
        """
        return self.image_of_blocks(self.blocks(light))

    def blocks(self, light):
        """Light maps, shape (n, ny, nx, channels), in blocks: means, or the brightest pixels."""
        self._check_channels(light)
        made = [reduced(plane, self.block, name)
                for name, plane in zip(self.channels, _planes(light), strict=True)]
        return np.stack(made, axis=-1)

    def image_of_blocks(self, light):
        """`image` for maps that are blocks already."""
        if not np.all(np.isfinite(light)):
            raise ValueError('the pixels of a light map must be finite, received '
                             f'{np.count_nonzero(~np.isfinite(light))} that are not')
        self._check_channels(light)
        return np.stack([((self._compressed(plane, self.flux_floor) - mean) / sd).astype(np.float32)
                         for plane, (mean, sd) in zip(_planes(light), self.flux, strict=True)], axis=-1)

    def _check_channels(self, light):
        if np.ndim(light) != 4 or np.shape(light)[-1] != len(self.channels):
            raise ValueError(f'light must have the shape (n, ny, nx, {len(self.channels)}), with the '
                             f'channels {", ".join(self.channels)}, received {np.shape(light)}')

    def _compressed(self, values, floor):
        return COMPRESSIONS[self.compression].forward(values, floor)

    def compressed_mass(self, mass):
        """Masses per pixel [Msun], compressed."""
        return self._compressed(mass, self.mass_floor)

    def expanded_mass(self, values):
        """The inverse of `compressed_mass`, and the derivative of ln M by the compressed mass."""
        compression = COMPRESSIONS[self.compression]
        return compression.back(values, self.mass_floor), compression.steepness(values)

    def mass_of_blocks(self, mass):
        """Target of the network for mass maps in blocks, shape (n, ny, nx), [Msun per pixel]."""
        mean, sd = self.mass
        return ((self.compressed_mass(mass) - mean) / sd).astype(np.float32)[..., np.newaxis]

    def log_flux(self, light):
        """ln of the mean flux of light maps, shape (n, ny, nx, channels), or their blocks: shape (n,)."""
        mean = np.mean(light[..., 0], axis=(1, 2), dtype=float)
        return np.log(np.maximum(mean, self.flux_floor))

    def targets(self, scalars, light):
        """Target of the network for physical scalars, as for `standardised`, of light maps in blocks."""
        values = self.standardised(scalars)
        if self.coordinates is None:
            return values
        return self.coordinates.of(values, self.log_flux(light)).astype(np.float32)

    def standardised(self, scalars):
        """Physical scalars, name -> shape (n,), with mean 0 and standard deviation 1: shape (n, outputs)."""
        return np.stack([each.standardised(scalars[each.name]) for each in self.outputs],
                        axis=1).astype(np.float32)

    def code(self, known, number):
        """Code of the given properties, an input of the network.

        Parameters
        ----------
        known : dict
            Name of a constraint -> physical values, shape (n,), NaN if unknown; and name with ``_error`` ->
            their standard errors, NaN for the default.
        number : int
            n.

        Returns
        -------
        ndarray of float32, shape (n, `code_width`)
        """
        nothing = np.full(number, np.nan)
        return np.concatenate([each.encoded(known.get(each.name, nothing),
                                            known.get(f'{each.name}_error', nothing))
                               for each in self.constraints], axis=1)

    def without(self, code, name):
        """A code in which one constraint is unknown."""
        start = 0
        for each in self.constraints:
            if each.name == name:
                code = code.copy()
                code[:, start:start + each.width] = 0.0
            start += each.width
        return code

    # -- outputs

    def masses(self, output):
        """Mass maps from outputs of the network.

        Parameters
        ----------
        output : ndarray, shape (n, ny, nx, 2)
            Mean and ln of the standard deviation, of standardised compressed masses of blocks.

        Returns
        -------
        mean, error : ndarray of float32, shape (n, ny block, nx block)
            Compressed mass per pixel and its standard deviation.
        """
        mean, sd = self.mass
        value = _enlarged(mean + sd * output[..., 0], self.block)
        error = sd * np.exp(_enlarged(output[..., 1], self.block))
        return value, error


def reduced(plane, block, channel):
    """Blocks of the pixels of one channel, shape (n, ny, nx): their means or brightest pixels."""
    return (block_max if REDUCTIONS[channel] == 'max' else block_mean)(plane, block)


def check_compression(name):
    """Reject names that are not in `COMPRESSIONS`.

    Raises
    ------
    ValueError
        If it is unknown.
    """
    if name not in COMPRESSIONS:
        raise ValueError(f'compression must be one of {", ".join(COMPRESSIONS)}, received {name!r}')


def _made(kind, value):
    return value if isinstance(value, kind) else kind(**value)


def _planes(light):
    """The maps of each channel."""
    return list(np.moveaxis(np.asarray(light), -1, 0))


def _moments(values):
    return float(np.mean(values)), float(np.std(values))


# -- the paper's ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PaperScaling(_Stored):
    """Standardisation of the paper: log10 of the pixels; age and distance without a transformation.

    Chardin & Bianchini (2021), section 3.1.2; one mean and one standard deviation for all pixels of all maps,
    and one for age and distance *together*, as in the authors' released code, whose constants are the
    defaults. The paper's MSE of 0.03 at an R2 of 0.98 is consistent with that: for unit variance, R2 is
    nearly 1 - MSE.

    Parameters
    ----------
    flux_floor, mass_floor : float
        Lower limits [Lsun / kpc^2] and [Msun] per pixel, before the logarithm is taken.
    flux, mass : tuple of float
        Mean and standard deviation of log10 of the pixels.
    age, distance : tuple of float
        Mean and standard deviation [Gyr], [kpc]; the same two numbers if they are pooled.
    """

    flux_floor: float = 1e-8
    mass_floor: float = 1e-3
    flux: tuple = (-5.382, 0.970)
    mass: tuple = (-0.851, 0.449)
    age: tuple = (29.63, 32.40)
    distance: tuple = (29.63, 32.40)

    def __post_init__(self):
        pairs = ('flux', 'mass', 'age', 'distance')
        self._check(getattr(self, name) for name in pairs)
        for name in pairs:
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))

    @property
    def block(self):
        """Side of a block [pixels]: blocks are not used."""
        return 1

    @classmethod
    def fit(cls, maps, age, distance, *, pooled=True, **options):
        """Fit the scaling such that training data have mean 0 and standard deviation 1.

        Parameters
        ----------
        maps : iterable of (ndarray, ndarray)
            Light and mass maps, in batches.
        age, distance : ndarray, shape (n,)
            [Gyr], [kpc].
        pooled : bool, optional
            One mean and standard deviation for age and distance together, as by the authors, or for each.
        **options
            ``flux_floor``, ``mass_floor``.

        Returns
        -------
        `PaperScaling`
        """
        plain, sums = cls(**options), np.zeros((2, 3))
        for pair in maps:
            for total, values, floor in zip(sums, pair, (plain.flux_floor, plain.mass_floor), strict=True):
                logs = _log10(values, floor).astype(float)
                total += logs.size, logs.sum(), (logs**2).sum()
        means = sums[:, 1] / sums[:, 0]
        sds = np.sqrt(sums[:, 2] / sums[:, 0] - means**2)
        both = _moments(np.concatenate([age, distance]))
        labels = (both, both) if pooled else (_moments(age), _moments(distance))
        return cls(**{**asdict(plain), 'flux': (means[0], sds[0]), 'mass': (means[1], sds[1]),
                      'age': labels[0], 'distance': labels[1]})

    def image(self, light):
        """Input of the networks for light maps, shape (n, ny, nx), [Lsun / kpc^2].

        Returns
        -------
        ndarray of float32, shape (n, ny, nx, 1)

        Raises
        ------
        ValueError
            If a pixel is not finite.
        """
        if not np.all(np.isfinite(light)):
            raise ValueError('the pixels of a light map must be finite, received '
                             f'{np.count_nonzero(~np.isfinite(light))} that are not')
        return _standard(_log10(light, self.flux_floor), self.flux)[..., np.newaxis]

    def mass_image(self, mass):
        """Target of the mass network for mass maps, shape (n, ny, nx), [Msun per pixel]."""
        return _standard(_log10(mass, self.mass_floor), self.mass)[..., np.newaxis]

    def labels(self, age, distance):
        """Targets of the other network, shape (n, 2), for ages [Gyr] and distances [kpc]."""
        return np.stack([_standard(age, self.age), _standard(distance, self.distance)], axis=1)

    def log_masses(self, output):
        """The natural logarithm of the mass per pixel from the output of the mass network, (n, ny, nx, 1).

        Limited to 10 standard deviations above the mean, since outputs of a hardly trained network could
        otherwise overflow the sum.
        """
        mean, sd = self.mass
        return math.log(10.0) * (mean + sd * np.clip(np.asarray(output)[..., 0], -10.0, 10.0))

    def age_distance(self, output):
        """Ages [Gyr] and distances [kpc] from the output of the other network, shape (n, 2)."""
        output = np.asarray(output, dtype=float)
        return tuple(mean + sd * column for (mean, sd), column in zip((self.age, self.distance), output.T,
                                                                      strict=True))


def _log10(values, floor):
    return np.log10(np.maximum(values, floor))


def _standard(values, moments):
    mean, sd = moments
    return ((np.asarray(values) - mean) / sd).astype(np.float32)
