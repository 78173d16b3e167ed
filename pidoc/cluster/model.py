# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Definition of a simulated star cluster: `ClusterModel`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.io import fits

from pidoc.cluster.mass_function import mass_function
from pidoc.cluster.quantities import relaxation_time
from pidoc.io.html import html_table
from pidoc.units import plain_number, scalar_value, to_value, whole_number

if TYPE_CHECKING:
    from typing import Any

    from pidoc.cluster.mass_function import MassFunction

__all__ = ['ClusterModel']

PROFILES = ('plummer', 'king')
BINARY_PERIODS = ('log-uniform', 'duquennoy1991')
GALAXIES = ('miholics2014', 'logarithmic')
NATAL_KICKS = ('delayed', 'rapid', 'full')

_NAME_LENGTH = 60  # fits one FITS card
_CARD_LENGTH = 64  # of a text and its comment
_N_STARS = {'at_least': 100, 'at_most': 4_000_000}
_METALLICITY = {'at_least': 0.0001, 'at_most': 0.03}
_KING_W0 = {'at_least': 1.0, 'at_most': 12.0}
_STAR_MASS = (0.08, 150.0)
_COULOMB_GAMMA = {'above': 0, 'at_most': 1}
_GIANT_MASS_LOSS = {'at_least': 0.1, 'at_most': 0.5}

# field: (unit, may it be None, may it be zero)
_QUANTITIES = {
    'half_mass_radius': (u.pc, False, False),
    'galactocentric_distance': (u.kpc, True, False),
    'perigalacticon': (u.kpc, True, False),
    'circular_velocity': (u.km / u.s, False, False),
    'neutron_star_kick': (u.km / u.s, False, True),
    'black_hole_kick': (u.km / u.s, False, True),
}

_FLOATS = ('metallicity', 'king_w0', 'binary_fraction', 'giant_mass_loss', 'neutron_star_retention',
           'black_hole_retention', 'coulomb_gamma')

# (keyword, field, comment), in the order of the header; mass_limits has two cards. A comment of at most 41
# characters leaves room for the longest number.
_CARDS = (
    ('CLNAME', 'name', 'name'),
    ('NSTARS', 'n_stars', 'initial number of stars'),
    ('PROFILE', 'profile', 'initial density profile'),
    ('KINGW0', 'king_w0', 'central potential W0 of the King profile'),
    ('RHALF0', 'half_mass_radius', '[pc] initial half-mass radius'),
    ('METALZ', 'metallicity', 'metallicity Z (mass fraction)'),
    ('IMF', 'imf', 'initial mass function'),
    ('IMFMIN', None, '[solMass] lowest initial mass'),
    ('IMFMAX', None, '[solMass] highest initial mass'),
    ('BINFRAC', 'binary_fraction', 'initial fraction of binaries'),
    ('BINPER', 'binary_periods', 'initial periods of binaries'),
    ('GALAXY', 'galaxy', 'galaxy model, none if isolated'),
    ('RGAL', 'galactocentric_distance', '[kpc] galactocentric distance (largest)'),
    ('RPERI', 'perigalacticon', '[kpc] perigalacticon, none if circular'),
    ('VCIRC', 'circular_velocity', '[km/s] Vcirc of the logarithmic galaxy'),
    ('STELEVOL', 'stellar_evolution', 'do the stars evolve'),
    ('GIANTETA', 'giant_mass_loss', 'Reimers eta, mass loss of giants'),
    ('KICKS', 'natal_kicks', 'supernovae and kicks of remnants'),
    ('NSKICK', 'neutron_star_kick', '[km/s] neutron star kick, 1-D dispersion'),
    ('BHKICK', 'black_hole_kick', '[km/s] black hole kick, 1-D dispersion'),
    ('NSRETAIN', 'neutron_star_retention', 'fraction of neutron stars without kick'),
    ('BHRETAIN', 'black_hole_retention', 'fraction of black holes without kick'),
    ('COULFAC', 'coulomb_gamma', 'gamma of ln(gamma N), none: that of the IMF'),
    ('SIMSEED', 'seed', 'seed of the simulation'),
)

# values for headers written before the card was introduced
_BEFORE = {'BINFRAC': 0.0, 'BINPER': 'log-uniform', 'GIANTETA': 0.5, 'KICKS': 'full'}

_NAMED_RADII = {'MW15-R1.6': 1.6, 'MW15': 3.2, 'MW15-R4': 4.0}


@dataclass(frozen=True, kw_only=True, eq=False)
class ClusterModel:
    """The initial conditions and the physics of one simulated star cluster.

    Immutable, compared by value, checked on creation. Quantities can have any compatible unit; they are
    stored in the units given below. An isolated cluster has neither a galaxy nor a galactocentric distance:
    setting one of them to None sets both.

    Parameters
    ----------
    name : str
        Name: printable ASCII without surrounding blanks, at most 60 characters.
    n_stars : int
        Initial number of stars, 100 to 4 x 10^6, including both components of binaries. Below some 1000 the
        Monte Carlo method is a poor approximation.
    profile : {'plummer', 'king'}
        Initial density profile: Plummer (1911) or King (1966).
    king_w0 : float or None
        Dimensionless central potential, 1 to 12; only for ``profile='king'``.
    half_mass_radius : `~astropy.units.Quantity`
        Initial half-mass radius of the profile [pc].
    metallicity : float
        Mass fraction Z of metals, 0.0001 to 0.03 (the range of Hurley et al. 2000).
    imf : str, float or `~pidoc.cluster.mass_function.MassFunction`
        Initial mass function: 'kroupa2001' (Kroupa 2001), 'baumgardt2023' (Baumgardt et al. 2023), 'equal'
        (stars of one mass), or a broken power law, given by its slopes and the masses [Msun] between them,
        such as '-0.3 -1.65 -2.3 @ 0.4 1'. Stored as a text.
    mass_limits : `~astropy.units.Quantity` or None
        Lowest and highest initial mass [Msun], 0.08 to 150. None: 0.1 and 50, but 1 and 1 for 'equal', which
        requires two equal masses (or one scalar).
    binary_fraction : float
        Primordial binary fraction: binaries as a fraction of single stars plus binaries, 0 to 0.5.
    binary_periods : {'log-uniform', 'duquennoy1991'}
        Distribution of the periods of primordial binaries, between contact and the hard/soft boundary:
        uniform in the logarithm, or log-normal (Duquennoy & Mayor 1991). Eccentricities are thermal, mass
        ratios uniform (`pidoc.simulation.initial.primordial_binaries`).
    galaxy : {'miholics2014', 'logarithmic', None}
        The Milky Way of Miholics, Webb & Sills (2014), a logarithmic potential, or none (isolated).
    galactocentric_distance : `~astropy.units.Quantity` or None
        Radius of the circular orbit, or the apogalacticon if ``perigalacticon`` is given [kpc].
    perigalacticon : `~astropy.units.Quantity` or None
        Smallest distance from the galactic centre [kpc]; None: a circular orbit.
    circular_velocity : `~astropy.units.Quantity`
        Circular velocity of ``galaxy='logarithmic'`` [km/s]; ignored for others.
    stellar_evolution : bool
        Whether to include stellar evolution.
    giant_mass_loss : float
        Reimers' eta, the strength of the wind of red giants, 0.1 to 0.5 (Galactic clusters: 0.477 +- 0.070,
        McDonald & Zijlstra 2015).
    natal_kicks : {'delayed', 'rapid', 'full'}
        Supernova model, which determines remnant masses and kicks. The delayed and the rapid explosions of
        Fryer et al. (2012) have different remnant masses; the kick of a black hole is reduced by the fraction
        of the ejecta that falls back, and neutron stars of electron-capture supernovae have a dispersion of
        20 km/s. 'full': remnants of delayed explosions, with full kicks for all.
    neutron_star_kick, black_hole_kick : `~astropy.units.Quantity`
        1-D dispersion of the Maxwellian kick velocity [km/s], before any reduction (265 km/s: Hobbs et al.
        2005). A remnant is retained if it is bound to the cluster at that velocity.
    neutron_star_retention, black_hole_retention : float
        Fraction born without a kick, 0 to 1, for any supernova model.
    coulomb_gamma : float or None
        Factor gamma of the Coulomb logarithm ln(gamma N) of relaxation, above 0 and at most 1. None: that of
        the mass function, 0.11 for equal masses, otherwise that of
        `~pidoc.cluster.mass_function.MassFunction`.
    seed : int
        Seed of all random draws of the simulation, not negative.

    Raises
    ------
    TypeError
        If a length or a speed has no unit; or if the name is not a text.
    `~astropy.units.UnitConversionError`
        If a quantity has the wrong dimension.
    ValueError
        If a value is out of its range, or inconsistent with another.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc import ClusterModel
    >>> model = ClusterModel(n_stars=20000, half_mass_radius=2.5 * u.pc)
    >>> print(f'{model.expected_total_mass:.0f}, {model.relaxation_time:.0f}')
    12205 solMass, 213 Myr
    """

    name: str = ''
    n_stars: int = 50000
    profile: str = 'plummer'
    king_w0: float | None = None
    half_mass_radius: u.Quantity = 3.2 * u.pc
    metallicity: float = 0.001
    imf: str | float | MassFunction = 'kroupa2001'
    # None becomes that of the mass function
    mass_limits: u.Quantity = None
    binary_fraction: float = 0.0
    binary_periods: str = 'log-uniform'
    galaxy: str | None = 'miholics2014'
    galactocentric_distance: u.Quantity | None = 15 * u.kpc
    perigalacticon: u.Quantity | None = None
    circular_velocity: u.Quantity = 220 * u.km / u.s
    stellar_evolution: bool = True
    giant_mass_loss: float = 0.5
    natal_kicks: str = 'delayed'
    neutron_star_kick: u.Quantity = 265 * u.km / u.s
    black_hole_kick: u.Quantity = 265 * u.km / u.s
    neutron_star_retention: float = 0.0
    black_hole_retention: float = 0.0
    coulomb_gamma: float | None = None
    seed: int = 0

    def __post_init__(self):
        _check_name(self.name)
        _check_choice(self.profile, PROFILES, 'profile')
        _check_choice(self.binary_periods, BINARY_PERIODS, 'binary_periods')
        self._set('imf', str(mass_function(self.imf)))
        _check_choice(self.natal_kicks, NATAL_KICKS, 'natal_kicks')
        if self.galaxy is not None:
            _check_choice(self.galaxy, GALAXIES, 'galaxy')
        self._set('n_stars', whole_number(self.n_stars, 'n_stars', **_N_STARS))
        self._set('seed', whole_number(self.seed, 'seed', at_least=0))
        self._set('metallicity', plain_number(self.metallicity, 'metallicity', **_METALLICITY))
        self._set('giant_mass_loss',
                  plain_number(self.giant_mass_loss, 'giant_mass_loss', **_GIANT_MASS_LOSS))
        self._set('binary_fraction',
                  plain_number(self.binary_fraction, 'binary_fraction', at_least=0, at_most=0.5))
        for name in ('neutron_star_retention', 'black_hole_retention'):
            self._set(name, plain_number(getattr(self, name), name, at_least=0, at_most=1))
        if self.coulomb_gamma is not None:
            self._set('coulomb_gamma', plain_number(self.coulomb_gamma, 'coulomb_gamma', **_COULOMB_GAMMA))
        if not isinstance(self.stellar_evolution, (bool, np.bool_)):
            raise TypeError('stellar_evolution must be True or False, '
                            f'received {self.stellar_evolution!r}')
        self._set('stellar_evolution', bool(self.stellar_evolution))
        for name, (unit, optional, zero) in _QUANTITIES.items():
            if not (optional and getattr(self, name) is None):
                number = scalar_value(getattr(self, name), unit, name, positive=not zero, non_negative=zero)
                self._set(name, _frozen(number * unit))
        self._set_king_w0()
        self._set_mass_limits()
        self._set_orbit()

    def _set(self, name, value):
        object.__setattr__(self, name, value)

    def _set_king_w0(self):
        if self.profile == 'king':
            if self.king_w0 is None:
                raise ValueError("profile 'king' needs king_w0, received None")
            self._set('king_w0', plain_number(self.king_w0, 'king_w0', **_KING_W0))
        elif self.king_w0 is not None:
            raise ValueError(f"king_w0 is for profile 'king' only, received {self.king_w0!r} "
                             f'with profile {self.profile!r}')

    def _set_mass_limits(self):
        one_mass = self.mass_function.one_mass
        if self.mass_limits is None:
            low, high = self.mass_function.default_limits
        else:
            low, high = _limits(self.mass_limits, scalar_allowed=one_mass)
        if one_mass and low != high:
            raise ValueError(f"mass_limits must be the same mass twice for imf 'equal', "
                             f'received {low} and {high} solMass')
        if not (one_mass or low < high):
            raise ValueError('mass_limits must be in increasing order, '
                             f'received {low} and {high} solMass')
        if low < _STAR_MASS[0] or high > _STAR_MASS[1]:
            raise ValueError(f'mass_limits must lie within {_STAR_MASS[0]} to {_STAR_MASS[1]} '
                             f'solMass, received {low} and {high} solMass')
        self._set('mass_limits', _frozen([low, high] * u.Msun))

    def _set_orbit(self):
        if self.galaxy is None or self.galactocentric_distance is None:
            if self.perigalacticon is not None:
                raise ValueError('perigalacticon must be None for an isolated cluster, '
                                 f'received {self.perigalacticon}')
            self._set('galaxy', None)
            self._set('galactocentric_distance', None)
        elif self.perigalacticon is not None and self.perigalacticon > self.galactocentric_distance:
            raise ValueError('perigalacticon must not exceed galactocentric_distance '
                             f'({self.galactocentric_distance}), received {self.perigalacticon}')

    @classmethod
    def named(cls, name: str) -> ClusterModel:
        """A named model.

        Parameters
        ----------
        name : {'MW15-R1.6', 'MW15', 'MW15-R4'}
            50,000 stars with Z = 0.001 in a Plummer sphere of half-mass radius 1.6, 3.2 or 4.0 pc,
            on a circular orbit at 15 kpc in the Milky Way of Miholics, Webb & Sills (2014).

        Returns
        -------
        ClusterModel

        Raises
        ------
        ValueError
            If there is no model with that name.

        Examples
        --------
        >>> from pidoc import ClusterModel
        >>> ClusterModel.named('MW15-R4').half_mass_radius
        <Quantity 4. pc>
        """
        if name not in _NAMED_RADII:
            raise ValueError(f'the name must be one of {", ".join(_NAMED_RADII)}, '
                             f'received {name!r}')
        return cls(name=name, n_stars=50000, metallicity=0.001, profile='plummer',
                   half_mass_radius=_NAMED_RADII[name] * u.pc, galaxy='miholics2014',
                   galactocentric_distance=15 * u.kpc)

    def replace(self, **changes: Any) -> ClusterModel:
        """A copy with some fields changed, which is checked like a new model.

        Parameters
        ----------
        **changes
            New values of fields. If ``imf`` changes and ``mass_limits`` are not given, they are reset to the
            default; so is ``king_w0`` if ``profile`` is no longer 'king'.

        Returns
        -------
        ClusterModel

        Raises
        ------
        TypeError
            If there is no such field.
        ValueError
            If the result is not a valid model, or if only one of ``galaxy`` and ``galactocentric_distance``
            is given for an isolated model.

        Examples
        --------
        >>> from pidoc import ClusterModel
        >>> ClusterModel.named('MW15').replace(seed=7).seed
        7
        """
        if str(mass_function(changes.get('imf', self.imf))) != self.imf:
            changes.setdefault('mass_limits', None)
        if changes.get('profile', self.profile) != 'king':
            changes.setdefault('king_w0', None)
        orbit = [changes.get(name) is not None for name in ('galaxy', 'galactocentric_distance')]
        if self.isolated and orbit[0] != orbit[1]:
            raise ValueError('an isolated model needs both galaxy and galactocentric_distance to '
                             f'get an orbit, received {changes.get("galaxy")} and '
                             f'{changes.get("galactocentric_distance")}')
        return dataclasses.replace(self, **changes)

    @property
    def n_bodies(self) -> int:
        """Initial number of bodies, single stars and binaries (int)."""
        return self.n_stars - round(self.n_stars * self.binary_fraction / (1.0 + self.binary_fraction))

    @property
    def isolated(self) -> bool:
        """Whether the cluster has no tidal field."""
        return self.galaxy is None

    @property
    def mass_function(self) -> MassFunction:
        """The initial mass function as an object (`~pidoc.cluster.mass_function.MassFunction`)."""
        return mass_function(self.imf)

    @property
    def mean_mass(self) -> u.Quantity:
        """Mean initial mass of a star, from the mass function (`~astropy.units.Quantity`, Msun)."""
        return self.mass_function.mean_mass(*self.mass_limits.to_value(u.Msun)) * u.Msun

    @property
    def expected_total_mass(self) -> u.Quantity:
        """Expected total initial mass, ``n_stars`` times `mean_mass` (Msun).

        A realisation differs from it by 1.2 % (1 sigma) for 50,000 stars of the default mass function.

        Examples
        --------
        >>> from pidoc import ClusterModel
        >>> print(ClusterModel(n_stars=50_000).expected_total_mass.round(-2))
        30500.0 solMass
        """
        return self.n_stars * self.mean_mass

    @property
    def coulomb_factor(self) -> float:
        """gamma of the Coulomb logarithm ln(gamma N): ``coulomb_gamma``, or that of the mass function."""
        return self.mass_function.coulomb_gamma if self.coulomb_gamma is None else self.coulomb_gamma

    @property
    def relaxation_time(self) -> u.Quantity:
        """Initial half-mass relaxation time (Myr).

        Spitzer (1987), eq. 2-63, with binaries as single bodies: `pidoc.cluster.quantities.relaxation_time`.
        """
        return relaxation_time(
            self.n_bodies, self.n_stars * self.mean_mass.to_value(u.Msun),
            self.half_mass_radius.to_value(u.pc), gamma=self.coulomb_factor) * u.Myr

    def to_header(self) -> fits.Header:
        """The model as FITS header cards, with units in the comments.

        Returns
        -------
        `~astropy.io.fits.Header`
            Numbers with too many digits for a FITS card are written as strings. Fields that are None have an
            undefined value.

        Examples
        --------
        >>> from pidoc import ClusterModel
        >>> header = ClusterModel.named('MW15').to_header()
        >>> header['RHALF0'], header.comments['RHALF0']
        (3.2, '[pc] initial half-mass radius')
        """
        limits = dict(zip(('IMFMIN', 'IMFMAX'), self.mass_limits, strict=True))
        header = fits.Header()
        for keyword, field, comment in _CARDS:
            value = _card_value(limits[keyword] if field is None else getattr(self, field))
            header[keyword] = (value, comment if _leaves_room(value, comment) else '')
        return header

    @classmethod
    def from_header(cls, header: fits.Header) -> ClusterModel:
        """Read the model from a header written by `to_header`, without loss.

        Parameters
        ----------
        header : `~astropy.io.fits.Header`
            It may have other cards as well. Fields that were added later may be missing: then natal kicks are
            full, and the factor of the Coulomb logarithm is 0.02 for a spectrum of masses, unless a run
            recorded another.

        Returns
        -------
        ClusterModel

        Raises
        ------
        ValueError
            If a mandatory card is missing, or the values are not a valid model.

        Examples
        --------
        >>> from pidoc import ClusterModel
        >>> model = ClusterModel.named('MW15')
        >>> ClusterModel.from_header(model.to_header()) == model
        True
        """
        known = {keyword: header[keyword] for keyword, _, _ in _CARDS if keyword in header}
        cards = {**_BEFORE, 'COULFAC': _gamma_before(header), **known}
        missing = [keyword for keyword, _, _ in _CARDS if keyword not in cards]
        if missing:
            raise ValueError('the header of a cluster model must hold '
                             f'{", ".join(missing)}: not found')
        fields = {field: _field_value(cards[keyword], field)
                  for keyword, field, _ in _CARDS if field is not None}
        limits = [_float_card(cards[keyword], 'mass_limits') for keyword in ('IMFMIN', 'IMFMAX')]
        return cls(mass_limits=limits * u.Msun, **fields)

    def _key(self):
        """The fields as plain, hashable values in their stored units."""
        values = (getattr(self, field.name) for field in dataclasses.fields(self))
        return tuple(tuple(np.ravel(v.value)) if isinstance(v, u.Quantity) else v for v in values)

    def _repr_html_(self):
        fields = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return html_table(f'ClusterModel {self.name}'.rstrip(), [
            (name, value) for name, value in fields if name != 'name' and value is not None])

    def __eq__(self, other):
        return self._key() == other._key() if isinstance(other, ClusterModel) else NotImplemented

    def __hash__(self):
        return hash(self._key())


def _check_name(name):
    if not isinstance(name, str):
        raise TypeError(f'name must be a string, received {name!r}')
    if name != name.strip() or not (name.isascii() and name.isprintable()):
        raise ValueError('name must be printable ASCII without surrounding blanks, '
                         f'received {name!r}')
    length = len(name) + name.count("'")
    if length > _NAME_LENGTH:
        raise ValueError(f'name must have at most {_NAME_LENGTH} characters, apostrophes counting '
                         f'twice, received {length}')


def _check_choice(value, choices, name):
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f'{name} must be one of {", ".join(choices)}, received {value!r}')


def _limits(value, *, scalar_allowed):
    masses = np.asarray(to_value(value, u.Msun, 'mass_limits', positive=True))
    if scalar_allowed and masses.ndim == 0:
        return float(masses), float(masses)
    if masses.shape != (2,):
        raise ValueError('mass_limits must be two masses, '
                         f'received an array of shape {masses.shape}')
    return float(masses[0]), float(masses[1])


def _frozen(quantity):
    """Make the array of a quantity read-only: ``model.half_mass_radius *= 2`` must fail."""
    quantity.flags.writeable = False
    return quantity


def _card_value(value):
    """Value of a field in the header: exact, even if a card cannot hold all digits of a number."""
    if isinstance(value, u.Quantity):
        value = float(value.value)
    if isinstance(value, float) and fits.Card.fromstring(str(fits.Card('X', value))).value != value:
        return repr(value)
    return value


def _leaves_room(value, comment):
    """Whether a card has room for a comment: the digits of a mass function may fill it."""
    return not isinstance(value, str) or len(value) + len(comment) <= _CARD_LENGTH


def _field_value(value, field):
    """Inverse of `_card_value`; an undefined card is None."""
    if value is None:
        return None
    if field in _QUANTITIES:
        return _float_card(value, field) * _QUANTITIES[field][0]
    if field in _FLOATS:
        return _float_card(value, field)
    return value


def _gamma_before(header):
    """``coulomb_gamma`` for older headers: runs recorded it among their numerical parameters."""
    value = header.get('COULGAM')
    if value is None and header.get('IMF') != 'equal':
        value = 0.02
    return value


def _float_card(value, field):
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f'{field} must be a number in the header, received {value!r}') from None
