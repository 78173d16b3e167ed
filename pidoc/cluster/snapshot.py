# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The stars of a cluster at one age: `Snapshot`."""

from __future__ import annotations

import re
from functools import cached_property
from io import BytesIO
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.io import fits, registry
from astropy.table import QTable, Table

from pidoc import __version__
from pidoc.cluster.mass_function import EqualMasses, MassFunction
from pidoc.cluster.model import ClusterModel
from pidoc.cluster.quantities import (
    escape_speed,
    half_separation,
    power_law_slope,
    relaxation_time,
    share_within,
    sight_moment,
    unit_vector,
)
from pidoc.io.files import check_free
from pidoc.io.fits import float_type, opened_fits, table_hdu, table_of, write_hdus
from pidoc.io.html import html_table
from pidoc.photometry import band_luminosity, BANDS, effective_temperature, v_luminosity
from pidoc.units import plain_number, scalar_value, SOLAR_MV, to_value, whole_number

if TYPE_CHECKING:
    import os
    from typing import Any

    import numpy.typing as npt

__all__ = ['Snapshot', 'SnapshotRead', 'SnapshotWrite']

_SPHERICAL = {'radius': u.pc, 'v_r': u.km / u.s, 'v_t': u.km / u.s}
_PLACE = {'x': u.pc, 'y': u.pc, 'z': u.pc}
_VELOCITY = {'vx': u.km / u.s, 'vy': u.km / u.s, 'vz': u.km / u.s}
_STELLAR = {
    'mass': u.Msun, 'initial_mass': u.Msun, 'luminosity': u.Lsun, 'stellar_radius': u.Rsun,
    'temperature': u.K,
}
_UNITS = {**_SPHERICAL, **_PLACE, **_VELOCITY, **_STELLAR}
_INTEGERS = {'id': np.int32, 'kind': np.int16, 'partner': np.int32}
_SIGNED = ('v_r', *_PLACE, *_VELOCITY)
_SHARED = ('radius', 'v_r', 'v_t')  # by both components of a binary

_MAIN_SEQUENCE = (0, 1)
_HEAVIEST_DWARF = 0.8      # Msun: the end of the mass function that is flattened
_REMNANTS = {'white_dwarfs': (10, 11, 12), 'neutron_stars': (13,), 'black_holes': (14,)}

# neighbours for the local density (Casertano & Hut 1985 prefer six)
_NEIGHBOURS = 6

_FORMAT_VERSION = 1
_CARDS = {
    'PIDOCFMT': 'version of the pidoc snapshot format',
    'PIDOCVER': 'version of pidoc that wrote this file',
    'AGE': '[Gyr] age of the cluster',
    'SNAPSEED': 'seed of the angles on the sky',
}
_MODEL_CARDS = tuple(ClusterModel().to_header())
# added or removed by FITS tools, not part of the content
_FILE_CARDS = ('EXTNAME', 'CHECKSUM', 'DATASUM', 'DATE', 'COMMENT', 'HISTORY', '')


# keywords of FITS tables
_TABLE_CARD = re.compile(
    r'SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|GROUPS|EXTEND|TFIELDS|THEAP|T[A-Z]{3,4}\d+|END'
)


class SnapshotRead(registry.UnifiedReadWrite):
    """Read a snapshot from a file.

    Formats are those registered for `Snapshot` with `astropy.io.registry`; this package has 'pidoc', the FITS
    table written by `Snapshot.write`. The format is detected from the file unless ``format`` is given.

    Parameters
    ----------
    filename : path-like
    format : str, optional

    Returns
    -------
    Snapshot

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is damaged, cut short, or not a snapshot.
    `~astropy.io.registry.IORegistryError`
        If the format is not recognised.
    """

    def __init__(self, instance, cls):
        super().__init__(instance, cls, 'read', registry=None)

    def __call__(self, *args, **kwargs):
        return self.registry.read(self._cls, *args, **kwargs)


class SnapshotWrite(registry.UnifiedReadWrite):
    """Write the snapshot to a file.

    One FITS binary table with units, readable by astropy and TOPCAT; age, model, seed and the version of
    pidoc are in its header. For a spherical snapshot the spherical coordinates are stored: the seed
    reproduces the Cartesian ones. The file is written atomically.

    Parameters
    ----------
    filename : path-like
        Ending in .fits or .fits.gz.
    overwrite : bool, optional
        Replace an existing file.
    dtype : dtype, optional
        `numpy.float32` (7 digits) or `numpy.float64` (exact).

    Raises
    ------
    OSError
        If the file exists and ``overwrite`` is False.
    ValueError
        If ``dtype`` is neither of the two.
    """

    def __init__(self, instance, cls):
        super().__init__(instance, cls, 'write', registry=None)

    def __call__(self, *args, **kwargs):
        self.registry.write(self._instance, *args, **kwargs)


class Snapshot:
    """Stars of a cluster at one age.

    Positions and velocities are either spherical (``radius``, ``v_r``, ``v_t``), as from the Monte Carlo
    simulator, or Cartesian (``x y z``, with or without ``vx vy vz``), relative to the cluster's centre. The
    other kind is derived: Cartesian from spherical coordinates by drawing isotropic directions from the seed.
    If a table has both, the Cartesian ones are used. Snapshots are immutable.

    Parameters
    ----------
    stars : `~astropy.table.Table` or dict
        One row per star, columns with units: a position, ``mass``, and any of

        - ``initial_mass``, ``luminosity``, ``stellar_radius``, ``temperature`` (by default from the
          previous two);
        - ``id`` (unique integers; by default 0, 1, 2 ...);
        - ``kind``: stellar type of Hurley, Pols & Tout (2000), 0 to 15 (by default all stars are luminous);
        - ``partner``: the ``id`` of the other component of a binary, -1 if single (the default).
          Both components have the same ``radius``, ``v_r`` and ``v_t``, and get the same direction.
    age : `~astropy.units.Quantity`
        Age of the cluster.
    model : ClusterModel, optional
        The simulated model.
    seed : int, optional
        Seed of the directions.
    meta : dict, optional
        Further header cards: strings, numbers or booleans with FITS keywords as names.

    Raises
    ------
    TypeError, `~astropy.units.UnitConversionError`, ValueError
        If a column is missing, unknown, has the wrong unit or type, or has invalid values.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.cluster import Snapshot
    >>> stars = {'x': [1, 0, 0] * u.pc, 'y': [0, 2, 0] * u.pc, 'z': [0, 0, 4] * u.pc,
    ...          'mass': [1, 1, 1] * u.Msun}
    >>> snapshot = Snapshot(stars, 12 * u.Gyr)
    >>> print(snapshot.total_mass, snapshot.half_mass_radius)
    3.0 solMass 1.5 pc
    """

    if TYPE_CHECKING:
        @classmethod
        def read(cls, filename: str | os.PathLike[str], *, format: str | None = None,
                 **options: Any) -> Snapshot: ...

        def write(self, filename: str | os.PathLike[str], *, format: str | None = None,
                  overwrite: bool = False, dtype: npt.DTypeLike = np.float32) -> None: ...
    else:
        read = registry.UnifiedReadWriteMethod(SnapshotRead)
        write = registry.UnifiedReadWriteMethod(SnapshotWrite)

    # for a rescaled one: the original snapshot, and the selected rows
    _origin = None

    def __init__(self, stars: Table | dict[str, Any], age: u.Quantity | str,
                 model: ClusterModel | None = None, seed: int = 0, *,
                 meta: dict[str, Any] | None = None) -> None:
        self.age = scalar_value(age, u.Gyr, 'age', non_negative=True) * u.Gyr
        self.model = _model(model)
        self.seed = whole_number(seed, 'seed', at_least=0)
        self._meta_header = _meta_header(meta or {})
        self._native = _columns(stars)
        self._partner_row = _partner_rows(self._native)

    @property
    def meta(self) -> dict[str, Any]:
        """Further header cards, as a new dict."""
        return dict(self._meta_header)

    @property
    def is_spherical(self) -> bool:
        """Whether spherical coordinates were given and the Cartesian ones are drawn."""
        return 'x' not in self._native

    @property
    def n_stars(self) -> int:
        """Number of stars, including both components of binaries."""
        return self._native['mass'].size

    def __len__(self) -> int:
        return self.n_stars

    def __repr__(self):
        name = self.model.name if self.model is not None and self.model.name else 'no model'
        return f'<Snapshot of {self.n_stars} stars at {self.age:.4g} ({name})>'

    def _repr_html_(self):
        name = f' of {self.model.name}' if self.model is not None and self.model.name else ''
        return html_table(f'Snapshot{name}', [
            ('age', f'{self.age:.4g}'), ('stars', self.n_stars), ('mass', f'{self.total_mass:.4g}'),
            ('half-mass radius', f'{self.half_mass_radius:.4g}'),
            ('columns', ', '.join(self._native))])

    # -- stars ------------------------------------------------------------------------------------

    @cached_property
    def _coordinates(self):
        """Spherical and Cartesian coordinates as plain arrays, in pc and km/s."""
        if self.is_spherical:
            return _draw_directions(self._native, self._partner_row, self.seed)
        return _spherical(self._native)

    @cached_property
    def _temperature(self):
        """Effective temperatures [K]: as given, or from luminosity and radius; None if unknown."""
        if 'temperature' in self._native:
            return self._native['temperature']
        if not {'luminosity', 'stellar_radius'} <= self._native.keys():
            return None
        light, size = (self._native[name] for name in ('luminosity', 'stellar_radius'))
        return effective_temperature(light * u.Lsun, size * u.Rsun).value

    @cached_property
    def _light(self):
        """V luminosity of every star [Lsun]."""
        self._check_light()
        kind = self._native.get('kind', 1)
        luminosity, temperature = self._native['luminosity'] * u.Lsun, self._temperature * u.K
        return v_luminosity(luminosity, temperature, kind).to_value(u.Lsun)

    @property
    def _has_light(self):
        return 'luminosity' in self._native and self._temperature is not None

    def _check_light(self):
        if not self._has_light:
            raise ValueError('the light needs the columns luminosity and either temperature or '
                             f'stellar_radius, received {", ".join(self._native)}: give them, or metallicity='
                             ' when reading a file, with which stars are computed from their initial masses')

    @property
    def stars(self) -> QTable:
        """All given and derived columns (a new `~astropy.table.QTable`).

        ``id``, ``x y z radius`` [pc], ``vx vy vz v_r v_t`` [km/s] if known, and the stellar
        columns, with ``temperature`` [K] = 5772 (L / R^2)^(1/4) and ``v_luminosity`` [Lsun].
        """
        table = QTable()
        columns = {**self._native, **self._coordinates}
        if self._temperature is not None:
            columns['temperature'] = self._temperature
        for name in ('id', *_UNITS, 'kind', 'partner'):
            if name in columns:
                unit = _UNITS.get(name)
                table[name] = columns[name].copy() if unit is None else columns[name] * unit
        if self._has_light:
            table['v_luminosity'] = self._light * u.Lsun
        return table

    def rescaled(self, *, stars: float = 1.0, size: float = 1.0,
                 seed: int | np.random.SeedSequence = 0) -> Snapshot:
        """A cluster with the same structure, but a different number of stars or size.

        Lengths are multiplied by ``size`` and velocities by the square root of (new mass / mass) / ``size``,
        which conserves the virial ratio (homology; Binney & Tremaine 2008, section 4.8.3). The dynamical age
        of the result, in relaxation times, is not that of a cluster simulated with its number and size.

        Parameters
        ----------
        stars : float, optional
            Fraction of the single stars and binaries that are kept, drawn at random. Above 1, up to 2, all
            are kept, and some are duplicated, with a new ``id`` and direction on the sky.
        size : float, optional
        seed : int or `~numpy.random.SeedSequence`, optional
            Seed of the selection.

        Returns
        -------
        Snapshot
            With the unchanged model, which it no longer matches, and the cards STARSHAR and SIZEFACT in its
            ``meta``.

        Raises
        ------
        ValueError
            If ``stars`` is not above 0 and at most 2, or leaves no star; if it is above 1 and stars have
            given directions, so that duplicates would be at the same position; or if ``size`` is not
            positive.

        Examples
        --------
        >>> from astropy import units as u
        >>> from pidoc.cluster import Snapshot
        >>> cluster = Snapshot({'x': [1, 0] * u.pc, 'y': [0, 2] * u.pc, 'z': [0, 0] * u.pc,
        ...                     'mass': [1, 1] * u.Msun}, 12 * u.Gyr)
        >>> cluster.rescaled(size=1.5).half_mass_radius
        <Quantity 1.5 pc>
        """
        plain_number(stars, 'stars', above=0, at_most=2)
        plain_number(size, 'size', above=0)
        kept, twins = self._some(min(stars, 1.0), seed), np.arange(0)
        if stars > 1.0:
            twins = self._twins(stars - 1.0, seed)
        rows = np.concatenate([kept, twins])
        native = {name: column[rows] for name, column in self._native.items()}
        if twins.size and 'id' in native:
            shift = int(native['id'].max()) + 1
            for name in {'id', 'partner'} & native.keys():
                theirs = native[name][kept.size:]
                theirs[theirs >= 0] += shift
        faster = np.sqrt(native['mass'].sum() / self._native['mass'].sum() / size)
        for name in native:
            if name in ('radius', *_PLACE):
                native[name] = native[name] * size
            elif name in ('v_r', 'v_t', *_VELOCITY):
                native[name] = native[name] * faster
        other = self._changed(native, self._partners_of(kept, twins),
                              STARSHAR=float(stars), SIZEFACT=float(size))
        other._origin = self, rows
        return other

    def _changed(self, native, partner_row, *, age=None, model=None, **cards):
        """A snapshot derived from this one, whose columns were checked already."""
        other = object.__new__(type(self))
        other.age, other.model = self.age if age is None else age, self.model if model is None else model
        other.seed, other._meta_header = self.seed, _meta_header(self.meta | cards)
        other._native, other._partner_row = native, partner_row
        return other

    def repopulated(self, *, age: u.Quantity | str | None = None, metallicity: float | None = None,
                    giant_mass_loss: float | None = None, flattening: float = 0.0,
                    seed: int | np.random.SeedSequence = 0) -> Snapshot:
        """The same cluster with stars of another age, metallicity, mass loss of giants or mass function.

        Each star keeps its initial mass and its position; mass, luminosity, radius and type are taken from
        the tracks (`pidoc.stellar.StellarEvolution`) of the other population. Neutron stars and black holes
        are unchanged, and no star becomes one. Velocities are multiplied by the square root of the ratio of
        the masses, which conserves the virial ratio. The structure remains that of the simulated cluster at
        its own age, so changes of age should be small compared with the time scale of structural changes.

        For a flatter mass function light stars are removed at random: of initial masses m below 0.8 Msun a
        fraction (m / 0.8 Msun)^flattening is kept; binaries by their more massive star. The slope
        (`mass_function_slope`) becomes larger by ``flattening``. The structure remains, although a cluster
        that was born so would have evolved otherwise.

        Parameters
        ----------
        age : `~astropy.units.Quantity`, optional
        metallicity : float, optional
            Mass fraction Z of metals.
        giant_mass_loss : float, optional
            Reimers' eta.
        flattening : float, optional
            Change of the slope of the mass function below 0.8 Msun, at least 0.
        seed : int or `~numpy.random.SeedSequence`, optional
            Seed of the selection.

        Returns
        -------
        Snapshot
            Its model has the new metallicity and mass loss, its ``meta`` the age of the structure [Gyr] as
            the card DYNAGE, and a flattening as FLATTEN.

        Raises
        ------
        TypeError, `~astropy.units.UnitConversionError`, ValueError
            If an argument has a wrong type or unit or is outside the tracks, or if the stars have no initial
            masses and types, or do not evolve.

        Examples
        --------
        >>> from astropy import units as u
        >>> from pidoc import ClusterModel
        >>> from pidoc.cluster import Snapshot
        >>> stars = {'x': [1, 0] * u.pc, 'y': [0, 2] * u.pc, 'z': [0, 0] * u.pc, 'kind': [1, 0],
        ...          'mass': [0.9, 0.5] * u.Msun, 'initial_mass': [0.9, 0.5] * u.Msun}
        >>> cluster = Snapshot(stars, 12 * u.Gyr, ClusterModel(metallicity=0.01))
        >>> cluster.repopulated(metallicity=0.0001).stars['kind'].tolist()
        [11, 0]
        """
        # imports numba
        from pidoc.stellar import FIRST_COLLAPSED, StellarEvolution

        plain_number(flattening, 'flattening', at_least=0)
        native, model = self._native, self.model
        if not {'initial_mass', 'kind'} <= native.keys() or model is None or not model.stellar_evolution:
            raise ValueError('stars must have initial_mass and kind, and a model whose stars evolve, to be '
                             f'those of another population, received {", ".join(native)} and {model!r}')
        at = self.age if age is None else scalar_value(age, u.Gyr, 'age', non_negative=True) * u.Gyr
        given = {'metallicity': metallicity, 'giant_mass_loss': giant_mass_loss}
        model = model.replace(**{name: value for name, value in given.items() if value is not None})
        evolution = StellarEvolution.of(model)
        state = evolution.state(np.clip(native['initial_mass'], *evolution.mass_limits), at.to_value(u.Myr))
        alive = (native['kind'] < FIRST_COLLAPSED) & (state.kind < FIRST_COLLAPSED)
        changed = {name: column for name, column in native.items() if name != 'temperature'}
        for name, values in (('mass', state.mass), ('kind', state.kind), ('luminosity', state.luminosity),
                             ('stellar_radius', state.radius)):
            before = native.get(name, np.zeros_like(values))
            changed[name] = np.where(alive, values, before).astype(before.dtype)
        partner_row = self._partner_row
        if flattening:
            kept = self._flattened(flattening, seed)
            changed = {name: column[kept] for name, column in changed.items()}
            partner_row = self._partners_of(kept)
        faster = np.sqrt(changed['mass'].sum() / native['mass'].sum())
        for name in {'v_r', 'v_t', *_VELOCITY} & changed.keys():
            changed[name] = changed[name] * faster
        cards = {'FLATTEN': float(flattening)} if flattening else {}
        return self._changed(changed, partner_row, age=at, model=model, DYNAGE=self.age.to_value(u.Gyr),
                             **cards)

    def _flattened(self, flattening, seed):
        """Rows of the stars that are left of a flatter mass function."""
        heavier = self._native['initial_mass']
        chance = np.random.default_rng(seed).random(self.n_stars)
        if self._partner_row is not None:
            rows = np.arange(self.n_stars)
            other = np.where(self._partner_row >= 0, self._partner_row, rows)
            heavier, chance = np.maximum(heavier, heavier[other]), chance[np.minimum(rows, other)]
        return np.flatnonzero(chance < (heavier / _HEAVIEST_DWARF) ** flattening)

    def _some(self, share, seed, at_least=1):
        """Rows of a random fraction of the stars; both components of a binary are kept or removed."""
        if share == 1.0:
            return np.arange(self.n_stars)
        rows = np.arange(self.n_stars)
        first = rows if self._partner_row is None else np.where(
            self._partner_row >= 0, np.minimum(rows, self._partner_row), rows)
        systems = np.flatnonzero(first == rows)
        number = round(share * systems.size)
        if number < at_least:
            raise ValueError(f'stars must leave at least one of {systems.size}, received {share!r}')
        kept = np.zeros(self.n_stars, dtype=bool)
        kept[np.random.default_rng(seed).choice(systems, number, replace=False, shuffle=False)] = True
        return np.flatnonzero(kept[first])

    def _partners_of(self, *groups):
        """Rows of the companions in a snapshot of given rows, by group; binaries are complete in each."""
        if self._partner_row is None:
            return None
        found, start = [], 0
        for rows in groups:
            place = np.full(self.n_stars, -1)
            place[rows] = start + np.arange(rows.size)
            partner = self._partner_row[rows]
            found.append(np.where(partner >= 0, place[partner], -1))
            start += rows.size
        return np.concatenate(found)

    def _twins(self, share, seed):
        """Rows of a random fraction of the stars, to be duplicated."""
        if not self.is_spherical:
            raise ValueError('stars must be at most 1 where stars have directions: a second one would stand '
                             'at the place of the first')
        return self._some(share, seed, at_least=0)

    def as_stored(self, *, dtype: npt.DTypeLike = np.float32) -> Snapshot:
        """The snapshot as written to and read from a file, without a file: numbers are rounded as by `write`.

        Parameters
        ----------
        dtype : dtype, optional
            As for `write`.

        Returns
        -------
        Snapshot

        Raises
        ------
        ValueError
            If ``dtype`` is neither float32 nor float64.

        Examples
        --------
        >>> from astropy import units as u
        >>> from pidoc.cluster import Snapshot
        >>> cluster = Snapshot({'x': [1, 0] * u.pc, 'y': [0, 2] * u.pc, 'z': [0, 0] * u.pc,
        ...                     'mass': [0.1, 1] * u.Msun}, 12 * u.Gyr)
        >>> print(cluster.as_stored().stars['mass'][0])
        0.10000000149011612 solMass
        """
        stream = BytesIO()
        fits.HDUList([fits.PrimaryHDU(), _table_hdu(self, dtype)]).writeto(stream)
        stream.seek(0)
        return _read_fits(stream)

    # -- global quantities ------------------------------------------------------------------------

    @property
    def total_mass(self) -> u.Quantity:
        """Mass of all stars and remnants."""
        return float(self._native['mass'].sum()) * u.Msun

    def lagrangian_radii(self, fractions: npt.ArrayLike) -> u.Quantity:
        """Radii about the origin that contain given fractions of the total mass.

        Interpolated linearly in the cumulative mass between consecutive stars.

        Parameters
        ----------
        fractions : float or array-like
            Fractions, above 0 and at most 1.

        Returns
        -------
        `~astropy.units.Quantity`
            Three-dimensional radii [pc], with the shape of ``fractions``.

        Raises
        ------
        ValueError
            If a fraction is out of range.

        Examples
        --------
        >>> from astropy import units as u
        >>> from pidoc.cluster import Snapshot
        >>> stars = {'radius': [1, 2, 3, 4] * u.pc, 'v_r': [0, 1, 0, 1] * u.km / u.s,
        ...          'v_t': [1, 0, 1, 0] * u.km / u.s, 'mass': [1, 1, 1, 1] * u.Msun, 'kind': [1, 1, 11, 14]}
        >>> cluster = Snapshot(stars, 12 * u.Gyr)
        >>> print(cluster.lagrangian_radii([0.25, 0.5]))
        [1. 2.] pc
        """
        fractions = np.asarray(fractions, dtype=float)
        bad = ~((fractions > 0.0) & (fractions <= 1.0))
        if bad.any():
            raise ValueError(
                f'fractions must be above 0 and at most 1, received {fractions[bad].flat[0]}'
            )
        return self._radii_of(self._native['mass'], fractions) * u.pc

    def _radii_of(self, weight, fractions):
        cumulative = np.cumsum(weight[self._order])
        if not cumulative[-1] > 0.0:
            return np.full(np.shape(fractions), np.nan)
        return np.interp(fractions * cumulative[-1], cumulative, self._radius[self._order])

    @property
    def _radius(self):
        """Distances from the origin [pc]; for a spherical snapshot without drawing directions."""
        return self._native['radius'] if self.is_spherical else self._coordinates['radius']

    @cached_property
    def _order(self):
        return np.argsort(self._radius, kind='stable')

    @property
    def half_mass_radius(self) -> u.Quantity:
        """Three-dimensional radius that contains half of the mass."""
        return self.lagrangian_radii(0.5)

    @property
    def v_luminosity(self) -> u.Quantity:
        """Total V luminosity, in solar luminosities of V."""
        return float(self._light.sum()) * u.Lsun

    @property
    def mass_to_light(self) -> u.Quantity:
        """Total mass divided by V luminosity."""
        return self.total_mass / self.v_luminosity

    @property
    def half_light_radius(self) -> u.Quantity:
        """Three-dimensional (not projected) radius that contains half of the V luminosity."""
        return float(self._radii_of(self._light, 0.5)) * u.pc

    @property
    def projected_half_mass_radius(self) -> u.Quantity:
        """Projected half-mass radius, averaged over all directions.

        Stars are projected as shells (`pidoc.cluster.quantities.half_separation`): nothing is drawn.
        """
        return self._half_separation(self._native['mass']) * u.pc

    @property
    def projected_half_light_radius(self) -> u.Quantity:
        """Projected half-light radius in V, averaged over all directions.

        This is what observers call the half-light radius; `half_light_radius` is three-dimensional. Stars are
        projected as shells (`pidoc.cluster.quantities.half_separation`): nothing is drawn.
        """
        return self._half_separation(self._light) * u.pc

    def _half_separation(self, weight):
        return half_separation(self._radius[self._order], weight[self._order])

    def mass_function_slope(self, *, limits: u.Quantity = (0.2, 0.8) * u.Msun,
                            aperture: u.Quantity | str | None = None,
                            direction: npt.ArrayLike | None = None) -> tuple[float, float]:
        """Slope of the mass function of main-sequence stars, dN/dm ~ m^slope, and its standard error.

        Unbinned maximum likelihood (`pidoc.cluster.quantities.power_law_slope`). Limits and sign are those of
        Sollima & Baumgardt (2017): Salpeter's slope is -2.35. Components of a binary are two stars, and
        without ``kind`` all stars are treated as main-sequence stars.

        Parameters
        ----------
        limits : `~astropy.units.Quantity`, optional
            Lowest and highest mass.
        aperture : `~astropy.units.Quantity`, optional
            Projected radius within which stars are included [pc]; by default all are.
        direction : array-like of 3, optional
            Direction to the observer, for the aperture. By default each star has the weight of its
            probability to be inside, over all directions.

        Returns
        -------
        slope, error : float
            The error is for one sample with as many stars. Both are NaN if there are none.

        Raises
        ------
        TypeError, `~astropy.units.UnitConversionError`, ValueError
            If an argument has a wrong type or unit, or is invalid.
        """
        masses = np.asarray(to_value(limits, u.Msun, 'limits', positive=True))
        if masses.shape != (2,) or not masses[0] < masses[1]:
            raise ValueError(f'limits must be two masses in increasing order, received {limits}')
        kind = self._native.get('kind')
        rows = np.arange(self.n_stars) if kind is None else np.flatnonzero(np.isin(kind, _MAIN_SEQUENCE))
        inside = None if aperture is None else self._inside(rows, _aperture(aperture), direction)
        return power_law_slope(self._native['mass'][rows], low=masses[0], high=masses[1], weight=inside)

    @property
    def remnant_masses(self) -> dict[str, u.Quantity]:
        """Mass of ``white_dwarfs``, ``neutron_stars`` and ``black_holes`` (dict).

        Raises
        ------
        ValueError
            If the stars have no ``kind``.

        Examples
        --------
        >>> from astropy import units as u
        >>> from pidoc.cluster import Snapshot
        >>> stars = {'radius': [1, 2, 3, 4] * u.pc, 'v_r': [0, 1, 0, 1] * u.km / u.s,
        ...          'v_t': [1, 0, 1, 0] * u.km / u.s, 'mass': [1, 1, 1, 1] * u.Msun, 'kind': [1, 1, 11, 14]}
        >>> cluster = Snapshot(stars, 12 * u.Gyr)
        >>> for name, mass in cluster.remnant_masses.items():
        ...     print(name, mass)
        white_dwarfs 1.0 solMass
        neutron_stars 0.0 solMass
        black_holes 1.0 solMass
        """
        if 'kind' not in self._native:
            raise ValueError(f'remnant_masses needs the column kind, received {", ".join(self._native)}')
        by_kind = np.bincount(self._native['kind'], weights=self._native['mass'], minlength=16)
        return {name: float(by_kind[list(kinds)].sum()) * u.Msun for name, kinds in _REMNANTS.items()}

    def colour(self, bands: tuple[str, str] = ('B', 'V'), *,
               aperture: u.Quantity | str | None = None) -> u.Quantity:
        """Integrated colour of the cluster, without reddening.

        From the atmospheres of `pidoc.photometry` ('kurucz1992').

        Parameters
        ----------
        bands : tuple of str, optional
            Two of `pidoc.photometry.BANDS`.
        aperture : `~astropy.units.Quantity`, optional
            Projected radius within which stars are included [pc], weighted by the probability to be inside
            over all directions; by default all are.

        Returns
        -------
        `~astropy.units.Quantity`
            Magnitude in the first band minus that in the second; NaN without any light.

        Raises
        ------
        TypeError, `~astropy.units.UnitConversionError`, ValueError
            If an argument has a wrong type or unit, or is invalid, or the stars have no luminosities, or
            there is no model with the metallicity.

        Examples
        --------
        >>> from astropy import units as u
        >>> from pidoc import ClusterModel
        >>> from pidoc.cluster import Snapshot
        >>> sun = {'x': [1] * u.pc, 'y': [0] * u.pc, 'z': [0] * u.pc, 'mass': [1] * u.Msun, 'kind': [1],
        ...        'luminosity': [1] * u.Lsun, 'stellar_radius': [1] * u.Rsun}
        >>> print(Snapshot(sun, 4.6 * u.Gyr, ClusterModel(metallicity=0.02)).colour().round(1))
        0.7 mag
        """
        if self.model is None or not self._has_light:
            raise ValueError('a colour needs a model, for the metallicity, and stars with luminosity and '
                             f'stellar_radius, received {self.model!r} and {", ".join(self._native)}')
        first, second = (self._band_light(band) for band in bands)
        if aperture is not None:
            inside = self._inside(slice(None), _aperture(aperture), None)
            first, second = first * inside, second * inside
        if not second.sum() > 0.0:
            return np.nan * u.mag
        suns = BANDS[bands[0]].solar_magnitude - BANDS[bands[1]].solar_magnitude
        return (suns - 2.5 * np.log10(first.sum() / second.sum())) * u.mag

    def _band_light(self, band):
        """Luminosity of every star in a band [Lsun of the band], from the atmospheres."""
        if band not in self._bands:
            native = self._native
            self._bands[band] = band_luminosity(
                native['luminosity'] * u.Lsun, self._temperature * u.K, native.get('kind', 1),
                mass=native['mass'] * u.Msun, metallicity=self.model.metallicity, band=band,
                correction='kurucz1992').to_value(u.Lsun)
        return self._bands[band]

    @cached_property
    def _bands(self):
        return {}

    def velocity_dispersion(self, aperture: u.Quantity | str, *,
                            faintest: u.Quantity | str | None = 3.5 * u.mag,
                            direction: npt.ArrayLike | None = None) -> u.Quantity:
        """Line-of-sight velocity dispersion of bright stars in an aperture about the centre.

        Root mean square relative to the systemic velocity, so that rotation is included. Each star has the
        same weight, as for spectra of single stars, not of integrated light. A binary counts as one star,
        with the total light and the velocity of its centre of mass. It is an average over all directions
        (`pidoc.cluster.quantities.sight_moment`), or for a given one.

        Parameters
        ----------
        aperture : `~astropy.units.Quantity`
            Radius of the aperture [pc].
        faintest : `~astropy.units.Quantity` or None, optional
            Absolute magnitude in V of the faintest stars that are included. The default selects giants and
            subgiants of old clusters, to the main-sequence turn-off, and the upper main sequence of young
            ones. None: all objects with a mass, including remnants.
        direction : array-like of 3, optional
            Direction to the observer. By default the mean square is over all directions, with stars weighted
            by the probability to be inside.

        Returns
        -------
        `~astropy.units.Quantity`
            In km/s; NaN if there are no such stars.

        Raises
        ------
        TypeError, `~astropy.units.UnitConversionError`, ValueError
            If an argument has a wrong type or unit, or is invalid; if there are no velocities, or with
            ``faintest`` no luminosities.

        Examples
        --------
        >>> from astropy import units as u
        >>> from pidoc.cluster import Snapshot
        >>> stars = {'radius': [1, 2, 3, 4] * u.pc, 'v_r': [0, 1, 0, 1] * u.km / u.s,
        ...          'v_t': [1, 0, 1, 0] * u.km / u.s, 'mass': [1, 1, 1, 1] * u.Msun, 'kind': [1, 1, 11, 14]}
        >>> cluster = Snapshot(stars, 12 * u.Gyr)
        >>> print(cluster.velocity_dispersion(10 * u.pc, faintest=None).round(3))    # a third of v^2
        0.577 km / s
        """
        separation = _aperture(aperture)
        if not self.has_velocities:
            raise ValueError('velocity_dispersion needs velocities, received the columns '
                             f'{", ".join(self._native)}')
        if faintest is None:
            rows = np.flatnonzero(self._of_bodies(self._native['mass']) > 0.0)
        else:
            least = 10.0 ** (0.4 * (SOLAR_MV - scalar_value(faintest, u.mag, 'faintest')))
            rows = np.flatnonzero(self._of_bodies(self._light) >= least)
        inside = self._inside(rows, separation, direction)
        number = inside.sum()
        if direction is None:
            radius, v_r, v_t = self._spherical_motion(rows)
            square = sight_moment(radius, v_r, v_t, separation).sum()
        else:
            square = inside @ (unit_vector(direction) @ self._velocities(rows)) ** 2
        return (float(np.sqrt(square / number)) if number > 0.0 else np.nan) * u.km / u.s

    def escape_velocity(self, *, radius: u.Quantity | str = 0.0 * u.pc) -> u.Quantity:
        """Escape speed from the stars alone, without a tidal field.

        From the potential averaged over the sphere of the given radius
        (`pidoc.cluster.quantities.escape_speed`).

        Parameters
        ----------
        radius : `~astropy.units.Quantity`, optional
            Distances from the centre [pc]; by default the centre itself, where stars exactly there are
            excluded.

        Returns
        -------
        `~astropy.units.Quantity`
            In km/s, with the shape of ``radius``.

        Raises
        ------
        TypeError, `~astropy.units.UnitConversionError`, ValueError
            If ``radius`` has a wrong type or unit, or is negative.

        Examples
        --------
        >>> from astropy import units as u
        >>> from pidoc.cluster import Snapshot
        >>> stars = {'radius': [1, 2, 3, 4] * u.pc, 'v_r': [0, 1, 0, 1] * u.km / u.s,
        ...          'v_t': [1, 0, 1, 0] * u.km / u.s, 'mass': [1, 1, 1, 1] * u.Msun, 'kind': [1, 1, 11, 14]}
        >>> cluster = Snapshot(stars, 12 * u.Gyr)
        >>> print(cluster.escape_velocity(radius=5 * u.pc).round(4))
        0.083 km / s
        """
        at = to_value(radius, u.pc, 'radius', non_negative=True)
        order = self._order
        speed = escape_speed(self._radius[order], self._native['mass'][order], at)
        return speed * u.km / u.s

    @property
    def relaxation_time(self) -> u.Quantity:
        """Half-mass relaxation time [Myr] of Spitzer (1987), eq. 2-63, as for `~pidoc.ClusterModel`.

        For all bodies with a mass, with binaries as single bodies. Gamma of the Coulomb logarithm is that of
        the model. Without a model it is that of equal masses if all stars have the same mass, otherwise that
        of a spectrum (`pidoc.cluster.quantities.relaxation_time`).
        """
        mass = self._native['mass']
        number = np.count_nonzero(self._of_bodies(mass) > 0.0)
        return relaxation_time(number, mass.sum(), self.half_mass_radius.value,
                               gamma=self._coulomb_factor) * u.Myr

    @property
    def _coulomb_factor(self):
        if self.model is not None:
            return self.model.coulomb_factor
        mass = self._native['mass']
        equal = np.all(mass[mass > 0.0] == mass.max())
        return (EqualMasses if equal else MassFunction).coulomb_gamma

    @property
    def has_velocities(self) -> bool:
        """Whether the stars have velocities."""
        return self.is_spherical or 'vx' in self._native

    def _of_bodies(self, values):
        """Values of single stars; for a binary the sum in its first row and -1 in its second."""
        mate = self._partner_row
        if mate is None:
            return values
        result = values + np.where(mate >= 0, values[mate], 0.0)
        result[(mate >= 0) & (mate < np.arange(mate.size))] = -1.0
        return result

    def _inside(self, rows, separation, direction):
        """Probabilities that stars are within a projected separation, over all directions or for one."""
        if direction is None:
            return share_within(self._radius[rows], separation)
        towards = unit_vector(direction)
        columns = self._coordinates if self.is_spherical else self._native
        place = np.array([columns[name][rows] for name in _PLACE])
        across = place - np.outer(towards, towards @ place)
        return (np.sum(across**2, axis=0) <= separation**2).astype(float)

    def _spherical_motion(self, rows):
        """Radius, radial and tangential velocity of bodies."""
        if self.is_spherical:
            return [self._native[name][rows] for name in _SPHERICAL]
        columns = {name: self._native[name][rows] for name in _PLACE}
        columns |= zip(_VELOCITY, self._velocities(rows))
        return _spherical(columns).values()

    def _velocities(self, rows):
        """Cartesian velocities of bodies; for binaries those of the centre of mass."""
        columns = self._coordinates if self.is_spherical else self._native
        velocity = np.array([columns[name][rows] for name in _VELOCITY])
        if self.is_spherical or self._partner_row is None:
            return velocity
        pair = np.flatnonzero(self._partner_row[rows] >= 0)
        one, other = rows[pair], self._partner_row[rows[pair]]
        mass = self._native['mass']
        share = mass[other] / (mass[one] + mass[other])
        second = np.array([columns[name][other] for name in _VELOCITY])
        velocity[:, pair] += share * (second - velocity[:, pair])
        return velocity

    def quantities(self, *, aperture: u.Quantity | str | None = None) -> dict[str, Any]:
        """Global quantities of the cluster, in one row.

        Parameters
        ----------
        aperture : `~astropy.units.Quantity`, optional
            Projected radius of the aperture [pc] for quantities measured in a field; by default the projected
            half-light radius, or without luminosities the projected half-mass radius.

        Returns
        -------
        dict
            In this order: ``age``, ``n_stars``, ``total_mass``, ``half_mass_radius``,
            ``projected_half_mass_radius``, ``relaxation_time``, ``escape_velocity`` (from the centre);
            with luminosities ``v_luminosity``, ``mass_to_light``, ``projected_half_light_radius``;
            ``mass_function_slope`` and ``..._error`` of the whole cluster, ``aperture``,
            ``aperture_mass_function_slope`` and ``..._error``; with luminosities and velocities
            ``velocity_dispersion`` in the aperture; with stellar types ``white_dwarf_mass``,
            ``neutron_star_mass``, ``black_hole_mass`` and their shares of the total mass,
            ``white_dwarf_share`` and so on. Values are quantities, or plain numbers if dimensionless.

        Raises
        ------
        TypeError, `~astropy.units.UnitConversionError`, ValueError
            If the aperture has a wrong type or unit, or is invalid.

        Examples
        --------
        >>> from astropy import units as u
        >>> from pidoc.cluster import Snapshot
        >>> stars = {'radius': [1, 2, 3] * u.pc, 'v_r': [0, 1, 0] * u.km / u.s, 'v_t': [1, 0, 1] * u.km / u.s,
        ...          'mass': [0.3, 0.6, 0.6] * u.Msun, 'kind': [1, 1, 11]}
        >>> row = Snapshot(stars, 12 * u.Gyr).quantities()
        >>> print(f"{row['escape_velocity']:.3f}, {row['white_dwarf_share']:.1f}")
        0.083 km / s, 0.4
        """
        names = ['age', 'n_stars', 'total_mass', 'half_mass_radius', 'projected_half_mass_radius',
                 'relaxation_time']
        lit = ['v_luminosity', 'mass_to_light', 'projected_half_light_radius'] if self._has_light else []
        row = {name: getattr(self, name) for name in names}
        row['escape_velocity'] = self.escape_velocity()
        row |= {name: getattr(self, name) for name in lit}
        row['mass_function_slope'], row['mass_function_slope_error'] = self.mass_function_slope()
        if aperture is None:
            aperture = row[f'projected_half_{"light" if lit else "mass"}_radius']
        row['aperture'] = _aperture(aperture) * u.pc
        slope = self.mass_function_slope(aperture=aperture)
        row['aperture_mass_function_slope'], row['aperture_mass_function_slope_error'] = slope
        if lit and self.has_velocities:
            row['velocity_dispersion'] = self.velocity_dispersion(aperture)
        if 'kind' in self._native:
            masses = {name[:-1]: mass for name, mass in self.remnant_masses.items()}
            row |= {f'{name}_mass': mass for name, mass in masses.items()}
            row |= {f'{name}_share': float(mass / self.total_mass) for name, mass in masses.items()}
        return row

    @cached_property
    def core_radius(self) -> u.Quantity:
        """Density radius of Casertano & Hut (1985): density-weighted mean distance from the density centre.

        The density around a star is that of its six nearest neighbours, without the sixth and the star
        itself. A spherical snapshot has only radii: there it is that of the shell between its third
        neighbours inwards and outwards in radius, about the origin. Binaries are single bodies.

        Raises
        ------
        ValueError
            If there are fewer than seven bodies.
        """
        mass = self._of_bodies(self._native['mass'])
        bodies = mass >= 0.0
        if np.count_nonzero(bodies) <= _NEIGHBOURS:
            raise ValueError(f'core_radius needs at least 7 stars, received {self.n_stars}')
        if self.is_spherical:
            order = self._order[bodies[self._order]]
            radius = self._radius[order]
            density = _shell_density(radius, mass[order])
        else:
            mass = mass[bodies]
            place = np.column_stack([self._native[name][bodies] for name in _PLACE])
            density = _neighbour_density(place, mass)
            center = np.average(place, axis=0, weights=density)
            radius = np.sqrt(np.sum((place - center) ** 2, axis=1))
        return float(np.average(radius, weights=density)) * u.pc

    def summary(self) -> dict[str, Any]:
        """One row of the log of a run.

        Returns
        -------
        dict
            ``age``, ``n_stars`` (a plain integer), ``total_mass``, ``r_10``, ``half_mass_radius``
            and ``r_90`` (with 10, 50, 90 per cent of the mass), ``core_radius``; if the stars have
            luminosities, ``v_luminosity``, ``mass_to_light`` and ``half_light_radius``.
        """
        r_10, r_50, r_90 = self.lagrangian_radii([0.1, 0.5, 0.9])
        row = {
            'age': self.age, 'n_stars': self.n_stars, 'total_mass': self.total_mass, 'r_10': r_10,
            'half_mass_radius': r_50, 'r_90': r_90, 'core_radius': self.core_radius,
        }
        if self._has_light:
            for name in ('v_luminosity', 'mass_to_light', 'half_light_radius'):
                row[name] = getattr(self, name)
        return row


# -- checks ---------------------------------------------------------------------------------------


def _model(model):
    if model is not None and not isinstance(model, ClusterModel):
        raise TypeError(f'model must be a ClusterModel or None, received {model!r}')
    return model


def _meta_header(meta):
    """The further cards as a header, which raises errors now rather than when writing."""
    header = fits.Header()
    for keyword, value in meta.items():
        if not (isinstance(keyword, str) and _is_keyword(keyword)):
            raise ValueError(
                'a keyword of meta must be up to 8 of A-Z, 0-9, _ and -, and not one that FITS '
                f'or snapshots use, received {keyword!r}'
            )
        if not isinstance(value, (str, Real)):
            raise TypeError(
                f'meta[{keyword!r}] must be a string, a number or a boolean, received {value!r}'
            )
        header[keyword] = value
    return header


def _is_keyword(text):
    plain = re.fullmatch(r'[A-Z0-9_-]{1,8}', text)
    taken = text in (*_CARDS, *_MODEL_CARDS, *_FILE_CARDS) or _TABLE_CARD.fullmatch(text)
    return plain and not taken


def _columns(stars):
    """Check the table and convert it to read-only plain arrays in the units of this module."""
    table = QTable(stars, copy=False)
    # derived columns of a table from `Snapshot.stars` are ignored
    names = [name for name in table.colnames if name != 'v_luminosity']
    unknown = [name for name in names if name not in (*_UNITS, *_INTEGERS)]
    if unknown:
        raise ValueError(
            f'columns must be among {", ".join((*_INTEGERS, *_UNITS))}, received {unknown[0]!r}'
        )
    if not len(table):
        raise ValueError('a snapshot must have at least one star, received an empty table')
    names = _wanted_names(names)
    columns = {}
    for name in names:
        if name in _INTEGERS:
            columns[name] = _integers(table[name], name)
        else:
            # copies: the snapshot must not change with the original table
            signed = name in _SIGNED
            columns[name] = to_value(table[name], _UNITS[name], name, non_negative=not signed)
    columns.setdefault('id', np.arange(len(table), dtype=np.int32))
    _check_values(columns)
    for column in columns.values():
        column.flags.writeable = False
    return columns


def _wanted_names(names):
    """The columns to keep, with only one kind of coordinates."""
    cartesian = any(name in names for name in _PLACE)
    if cartesian:
        needed = [*_PLACE, *(_VELOCITY if any(name in names for name in _VELOCITY) else ())]
        dropped = tuple(_SPHERICAL)
    else:
        needed, dropped = list(_SPHERICAL), ()
    missing = [name for name in (*needed, 'mass') if name not in names]
    if missing:
        raise ValueError(
            'stars must have a mass and either radius, v_r and v_t or x, y and z (and all of vx, '
            f'vy and vz or none): {", ".join(missing)} not found'
        )
    return [name for name in names if name not in dropped]


def _integers(column, name):
    values = np.asarray(column)
    if values.dtype.kind not in 'iu':
        raise TypeError(f'{name} must be integers, received an array of {values.dtype}')
    limits = np.iinfo(_INTEGERS[name])
    if values.min() < limits.min or values.max() > limits.max:
        raise ValueError(
            f'{name} must lie within {limits.min} to {limits.max}, '
            f'received {values.min()} to {values.max()}'
        )
    return values.astype(_INTEGERS[name])


def _check_values(columns):
    # a fast check first, since usually all values are valid
    ordered = np.sort(columns['id'])
    if np.any(ordered[1:] == ordered[:-1]):
        values, counts = np.unique(columns['id'], return_counts=True)
        raise ValueError(f'id must be unique, received {values[counts > 1][0]} more than once')
    kind = columns.get('kind')
    if kind is not None and (kind.min() < 0 or kind.max() > 15):
        raise ValueError(f'kind must be 0 to 15, received {kind.min()} to {kind.max()}')


def _partner_rows(columns):
    """Row of each star's companion, -1 if single; checked to be mutual and at the same position."""
    partner = columns.get('partner')
    if partner is None or np.all(partner == -1):
        return None
    order = np.argsort(columns['id'])
    sorted_id = columns['id'][order]
    binary = np.flatnonzero(partner != -1)
    found = np.minimum(np.searchsorted(sorted_id, partner[binary]), sorted_id.size - 1)
    absent = sorted_id[found] != partner[binary]
    if absent.any():
        raise ValueError(f'partner must be the id of a star, received {partner[binary][absent][0]}')
    other = order[found]
    strange = (partner[other] != columns['id'][binary]) | (other == binary)
    if strange.any():
        raise ValueError(
            'the partner of a star must have that star as its own, received '
            f'{partner[binary][strange][0]} for star {columns["id"][binary][strange][0]}'
        )
    for name in _SHARED:
        if name in columns and np.any(columns[name][binary] != columns[name][other]):
            apart = columns['id'][binary][columns[name][binary] != columns[name][other]][0]
            raise ValueError(
                f'{name} must be the same for both components of a binary, star {apart} differs'
            )
    rows = np.full(partner.size, -1)
    rows[binary] = other
    return rows


def _aperture(separation):
    return scalar_value(separation, u.pc, 'aperture', positive=True)


# -- coordinates and densities --------------------------------------------------------------------


def _draw_directions(columns, partner_row, seed):
    """Cartesian from spherical coordinates: isotropic directions, also of the tangential velocity."""
    rng = np.random.default_rng(seed)
    number = columns['radius'].size
    cos_theta = rng.uniform(-1.0, 1.0, number)
    phi = rng.uniform(0.0, 2.0 * np.pi, number)
    psi = rng.uniform(0.0, 2.0 * np.pi, number)
    if partner_row is not None:
        rows = np.arange(number)
        # both components get the direction of the first
        first = np.where(partner_row >= 0, np.minimum(rows, partner_row), rows)
        cos_theta, phi, psi = cos_theta[first], phi[first], psi[first]
    sin_theta, cos_phi, sin_phi = np.sqrt(1.0 - cos_theta**2), np.cos(phi), np.sin(phi)
    outwards = np.array([sin_theta * cos_phi, sin_theta * sin_phi, cos_theta])
    southwards = np.array([cos_theta * cos_phi, cos_theta * sin_phi, -sin_theta])
    eastwards = np.array([-sin_phi, cos_phi, np.zeros(number)])
    sideways = np.cos(psi) * southwards + np.sin(psi) * eastwards
    place = columns['radius'] * outwards
    velocity = columns['v_r'] * outwards + columns['v_t'] * sideways
    return dict(zip((*_PLACE, *_VELOCITY), (*place, *velocity)))


def _spherical(columns):
    """Radius, and radial and tangential velocities if there are any."""
    place = np.array([columns[name] for name in _PLACE])
    radius = np.sqrt(np.sum(place**2, axis=0))
    result = {'radius': radius}
    if 'vx' in columns:
        velocity = np.array([columns[name] for name in _VELOCITY])
        # a star at the origin has no radial direction: its velocity is tangential
        outwards = np.divide(place, radius, out=np.zeros_like(place), where=radius > 0.0)
        result['v_r'] = np.sum(outwards * velocity, axis=0)
        result['v_t'] = np.sqrt(np.sum((velocity - result['v_r'] * outwards) ** 2, axis=0))
    return result


def _neighbour_density(place, mass):
    """Mass density about each star: its first five neighbours in the sphere of the sixth."""
    from scipy.spatial import cKDTree

    distance, neighbour = cKDTree(place).query(place, k=_NEIGHBOURS + 1)
    # column 0 is the star itself, or another at the same position
    inside = np.sum(mass[neighbour[:, 1:-1]], axis=1)
    return _density(inside, distance[:, -1] ** 3)


def _shell_density(radius, mass):
    """Mass density about each star of a list sorted by radius: four stars in a shell of six spaces.

    The stars between its third neighbours inwards and outwards, excluding itself: (n - 1) / n of the expected
    number of stars in such a shell, which is corrected for. The innermost and outermost three use the shell
    of the nearest star with three neighbours on either side.
    """
    half = _NEIGHBOURS // 2
    cumulative = np.concatenate(([0.0], np.cumsum(mass)))
    middle = np.clip(np.arange(radius.size), half, radius.size - 1 - half)
    low, high = middle - half, middle + half
    inside = cumulative[high] - cumulative[low + 1] - mass[middle]
    share = (_NEIGHBOURS - 2) / (_NEIGHBOURS - 1)
    return _density(inside / share, radius[high] ** 3 - radius[low] ** 3)


def _density(mass, cube):
    """Mass over 4 pi / 3 times the cube; a volume of zero (stars at one position) is excluded."""
    density = np.zeros_like(mass)
    np.divide(mass, 4.0 / 3.0 * np.pi * cube, out=density, where=cube > 0.0)
    return density


# -- FITS -----------------------------------------------------------------------------------------


def _write_fits(snapshot, filename, *, overwrite=False, dtype=np.float32):
    check_free(filename, overwrite=overwrite)
    write_hdus([fits.PrimaryHDU(), _table_hdu(snapshot, dtype)], filename)


def _table_hdu(snapshot, dtype):
    dtype = float_type(dtype)
    table = Table()
    for name, column in snapshot._native.items():
        table[name] = column if name in _INTEGERS else column.astype(dtype)
        table[name].unit = _UNITS.get(name)
    hdu = table_hdu(table, 'SNAPSHOT')
    values = (_FORMAT_VERSION, __version__, snapshot.age.to_value(u.Gyr), snapshot.seed)
    for (keyword, comment), value in zip(_CARDS.items(), values):
        hdu.header[keyword] = (value, comment)
    if snapshot.model is not None:
        hdu.header.extend(snapshot.model.to_header())
    hdu.header.extend(snapshot._meta_header)
    return hdu


def _read_fits(source):
    """Read a snapshot written by `_write_fits`, from a path or an open file."""
    name = getattr(source, 'name', source)
    with opened_fits(source) as hdus:
        is_ours = len(hdus) > 1 and 'PIDOCFMT' in hdus[1].header
        stars = table_of(hdus[1]) if is_ours else None
    if stars is None:
        raise ValueError(
            f'{name} is not a pidoc snapshot, or cut short: the first extension must be a table '
            'with the keyword PIDOCFMT'
        )
    try:
        return _from_header_and_table(stars.meta['header'].copy(strip=True), stars)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{name} does not hold a valid snapshot: {error}') from error


def _from_header_and_table(header, stars):
    if header['PIDOCFMT'] != _FORMAT_VERSION:
        raise ValueError(
            f'its format must be version {_FORMAT_VERSION}, the one this pidoc knows, '
            f'received {header["PIDOCFMT"]!r}'
        )
    missing = [keyword for keyword in _CARDS if keyword not in header]
    if missing:
        raise ValueError(f'its header must have {", ".join(missing)}: not found')
    model = ClusterModel.from_header(header) if _MODEL_CARDS[0] in header else None
    ours = {*_CARDS, *_MODEL_CARDS, *_FILE_CARDS}
    meta = {card.keyword: card.value for card in header.cards if card.keyword not in ours}
    return Snapshot(stars, header['AGE'] * u.Gyr, model, header['SNAPSEED'], meta=meta)


def _is_fits(origin, path, fileobj, *args, **kwargs):
    if fileobj is not None:
        start = fileobj.tell()
        signature = fileobj.read(9)
        fileobj.seek(start)
        if signature == b'SIMPLE  =':
            return True
    # accept damaged files, since their errors are better than "unknown format"
    return str(path).lower().endswith(('.fits', '.fits.gz'))


# before other formats, by which a file may be named like FITS
registry.register_reader('pidoc', Snapshot, _read_fits, priority=1)
registry.register_writer('pidoc', Snapshot, _write_fits)
registry.register_identifier('pidoc', Snapshot, _is_fits)
