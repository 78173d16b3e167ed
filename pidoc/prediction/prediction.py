# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""What a model says of one image: `Prediction`, its FITS file, row of a table and picture."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.table import QTable, Table

from pidoc import __version__
from pidoc.grid import MapGrid, MASS_PER_PIXEL
from pidoc.inference.flags import decode_flags, OUTSIDE
from pidoc.io.fits import (
    card,
    FitsProduct,
    image_hdus,
    image_of,
    is_structure,
    mask_hdu,
    meta_of,
    native,
    table_hdu,
    wcs_of,
    WrongContentError,
)
from pidoc.io.html import html_table
from pidoc.prediction.profiles import mass_profile, mass_to_light_profile

__all__ = ['Measured', 'Prediction', 'row_units']

__doctest_requires__ = {'Prediction': ['tensorflow']}

_FORMAT_VERSION = 1
_RATIO = u.Msun / u.Lsun
# quantity: unit, keyword
_PARAMETERS = {'total_mass': (u.Msun, 'TOTMASS'), 'luminosity': (u.Lsun, 'LUMINOS'),
               'mass_to_light': (_RATIO, 'MTOL'), 'age': (u.Gyr, 'AGE'), 'distance': (u.kpc, 'DISTANCE')}
_ENDS = ('value', 'low_68', 'high_68', 'low_95', 'high_95')


# -- one number -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """A quantity with the intervals in which the truth is with 68 % and with 95 %.

    Parameters
    ----------
    value, low_68, high_68, low_95, high_95 : `~astropy.units.Quantity`
        Scalars of one dimension, in order.

    Raises
    ------
    ValueError
        If they are not in order.

    Examples
    --------
    >>> from astropy import units as u
    >>> from pidoc.prediction.prediction import Measured
    >>> age = Measured(*[12.0, 11.5, 12.6, 11.0, 13.1] * u.Gyr)
    >>> print(age)
    12.0 (11.5 to 12.6) Gyr
    >>> age.error
    <Quantity 0.55 Gyr>
    """

    value: u.Quantity
    low_68: u.Quantity
    high_68: u.Quantity
    low_95: u.Quantity
    high_95: u.Quantity

    def __post_init__(self):
        ends = self.in_unit(self.unit)
        if not ends[3] <= ends[1] <= ends[0] <= ends[2] <= ends[4]:
            raise ValueError('an interval must be in order, 95 % about 68 % about the value, received '
                             f'{", ".join(map(str, ends))}')

    def __str__(self):
        value, low, high, *_ = self.in_unit(self.unit)
        digits = _digits(value, high - low)
        return f'{value:{digits}} ({low:{digits}} to {high:{digits}}) {self.unit}'

    @property
    def unit(self):
        """Unit of the value."""
        return self.value.unit

    @property
    def error(self):
        """Half of the width of the 68 % interval."""
        return 0.5 * (self.high_68 - self.low_68)

    def in_unit(self, unit):
        """Value, low and high end of 68 %, low and high end of 95 %, as plain numbers.

        Parameters
        ----------
        unit : unit-like

        Returns
        -------
        list of float
        """
        return [float(getattr(self, end).to_value(unit)) for end in _ENDS]


def _digits(value, width):
    """Format in which the first two digits of the width can be seen."""
    if not (np.isfinite(width) and width > 0.0):
        return '.4g'
    if max(abs(value), width) >= 1e5:
        return '.3e'
    return f'.{max(0, 1 - int(np.floor(np.log10(width))))}f'


# -- the prediction -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction(FitsProduct):
    """What a model says of an image: made by `pidoc.MassMapper`, or read from a file.

    Parameters
    ----------
    light : `~astropy.nddata.CCDData`
        The map that the model has seen, apparent flux F = L / (4 pi d^2) per pixel [Lsun/kpc^2]; its ``mask``
        has the pixels that were filled in.
    mass : `~astropy.nddata.CCDData`
        Mass per pixel [Msun] with the world coordinates and the mask of ``light``; its uncertainty is half of
        the width of the 68 % interval. Errors of pixels near each other go together.
    total_mass, mass_to_light : `Measured`
        Mass in the field [Msun], and over the luminosity in the field [Msun/Lsun]. Networks estimate them
        for themselves: the sum of ``mass`` agrees with the former within its error, not to all digits.
    age, distance : `Measured`
        [Gyr] and [kpc].
    distance_given : bool
        Whether the distance was told, or is the model's own.
    pixel_scale : `~astropy.units.Quantity`
        Side of a pixel.
    center : tuple of float
        x and y of the cluster's centre [pixel], about which profiles are.
    flags : int
        Bits of `pidoc.inference.flags.FLAGS`.
    reasons : tuple of str
        A sentence for each.
    name : str
        Of the image.
    model, model_sha256 : str
        Name of the model, and the SHA-256 of its weights.
    command : str
        The command that made it, if one did.

    Examples
    --------
    >>> from astropy.utils.data import get_pkg_data_filename
    >>> from pidoc import MassMapper
    >>> image = get_pkg_data_filename('data/example.fits', package='pidoc')
    >>> prediction = MassMapper.from_pretrained().predict(image)
    >>> print(*prediction.parameters(), sep=', ')
    total_mass, luminosity, mass_to_light, age, distance
    >>> bool(prediction.age.low_95 < prediction.age.value < prediction.age.high_95)
    True
    >>> len(prediction.mass_profile), [hdu.name for hdu in prediction.to_hdulist()][:3]
    (25, ['MASS', 'MASS_ERR', 'ML'])
    """

    light: CCDData
    mass: CCDData
    total_mass: Measured
    mass_to_light: Measured
    age: Measured
    distance: Measured
    distance_given: bool
    pixel_scale: u.Quantity
    center: tuple
    flags: int = 0
    reasons: tuple = ()
    name: str = ''
    model: str = ''
    model_sha256: str = ''
    command: str = ''

    # -- what follows from it

    @property
    def band(self):
        """Band of the light."""
        return self.light.meta.get('BAND') or MapGrid().band

    @property
    def in_domain(self):
        """Whether the image is like those that the model was trained on."""
        return not self.flags & OUTSIDE

    @property
    def flag_names(self):
        """Names of the flags that are set."""
        return decode_flags(self.flags)

    @property
    def luminosity(self):
        """`Measured` luminosity in the field [Lsun]: flux times 4 pi d^2, as uncertain as the distance."""
        flux = float(np.nansum(self.light.data, dtype=float))
        return Measured(*(4.0 * np.pi * flux * np.array(self.distance.in_unit(u.kpc)) ** 2 * u.Lsun))

    @property
    def surface_density(self):
        """`~astropy.nddata.CCDData` of the mass per area on the sky [Msun/pc^2], at the ``distance``.

        The uncertainty is that of the mass alone.
        """
        side = (self.pixel_scale.to_value(u.rad) * self.distance.value).to_value(u.pc)
        unit = u.Msun / u.pc**2
        return CCDData(self.mass.data / side**2, unit=unit, wcs=self.mass.wcs, mask=_copy(self.mass.mask),
                       uncertainty=StdDevUncertainty(self.mass.uncertainty.array / side**2, unit=unit))

    @cached_property
    def mass_to_light_map(self):
        """`~astropy.nddata.CCDData` of M/L per pixel [Msun/Lsun], at the ``distance``; NaN without light."""
        light = self._luminosities
        ratio = np.full(light.shape, np.nan, dtype=self.mass.data.dtype)
        np.divide(self.mass.data, light, out=ratio, where=light > 0.0, casting='same_kind')
        return CCDData(ratio, unit=_RATIO, wcs=self.mass.wcs, mask=_copy(self.mass.mask))

    @property
    def _luminosities(self):
        return self.light.data * (4.0 * np.pi * self.distance.value.to_value(u.kpc) ** 2)

    @cached_property
    def mass_profile(self):
        """`~astropy.table.QTable` of 25 rings about ``center``: see `pidoc.prediction.profiles.mass_profile`.

        Errors are those of pixels that all err together: the largest that they can be. Pixels that were
        filled in do not count.
        """
        return mass_profile(self.mass.data * MASS_PER_PIXEL, center=self.center, pixel_scale=self.pixel_scale,
                            mask=self.mass.mask, errors=self.mass.uncertainty.array * MASS_PER_PIXEL,
                            correlated=True)

    @cached_property
    def mass_to_light_profile(self):
        """`~astropy.table.QTable` of 25 rings: see `pidoc.prediction.profiles.mass_to_light_profile`.

        At the ``distance``, with the errors of the mass as in ``mass_profile``.
        """
        return mass_to_light_profile(
            self.mass.data * MASS_PER_PIXEL, self._luminosities * u.Lsun, center=self.center,
            pixel_scale=self.pixel_scale, mask=self.mass.mask,
            mass_errors=self.mass.uncertainty.array * MASS_PER_PIXEL, correlated=True)

    def parameters(self):
        """The numbers by name: total_mass, luminosity, mass_to_light, age and distance.

        Returns
        -------
        dict
            Of `Measured`.
        """
        return {name: getattr(self, name) for name in _PARAMETERS}

    # -- shown

    def __repr__(self):
        return (f'<Prediction of {self.name or "an image"} by {self.model or "a model"}: '
                f'mass {self.total_mass}, M/L {self.mass_to_light}, age {self.age}, '
                f'distance {self.distance}, '
                f'{"inside" if self.in_domain else "OUTSIDE"} the training domain>')

    def _repr_html_(self):
        return html_table(f'{self.name or "image"}, model {self.model}', self._lines())

    def _lines(self):
        """Labels and texts of a summary."""
        lines = [('mass in the field', str(self.total_mass)), ('V luminosity', str(self.luminosity)),
                 (f'M/L_{self.band}', str(self.mass_to_light)), ('age', str(self.age)),
                 ('distance', f'{self.distance}{", given" if self.distance_given else ""}')]
        names = ', '.join(self.flag_names)
        lines.append(('domain', 'inside' if self.in_domain else 'OUTSIDE: do not trust these numbers'))
        if names:
            lines.append(('flags', names))
        return lines

    def summary(self):
        """What a terminal shows: the numbers with their 68 % intervals, the flags and why they are set.

        Returns
        -------
        str
        """
        lines = [f'{self.name or "image"}  (model {self.model or "without a name"})']
        lines += [f'  {label:<18} {text}' for label, text in self._lines()]
        return '\n'.join(lines + [f'    {reason}' for reason in self.reasons])

    def plot(self):
        """Figure of light, mass, M/L and profiles: `pidoc.plotting.prediction.plot_prediction`.

        Returns
        -------
        `~matplotlib.figure.Figure`
        """
        from pidoc.plotting.prediction import plot_prediction

        return plot_prediction(self)

    def to_row(self):
        """A table of one row, to be stacked with others by `astropy.table.vstack`.

        Returns
        -------
        `~astropy.table.QTable`
            ``name``, for each of `parameters` the value, ``_low_68`` and so on; ``distance_given``,
            ``in_domain``, ``flags``, ``flag_names``, ``model``.
        """
        return QTable({name: [value] if unit is None else [value] * unit
                       for (name, value), unit in zip(self.row_values().items(), row_units().values(),
                                                      strict=True)})

    def row_values(self):
        """The row of `to_row` as plain numbers and strings, in the units of `row_units`.

        Returns
        -------
        dict
        """
        row = {'name': self.name}
        for name, measured in self.parameters().items():
            numbers = measured.in_unit(_PARAMETERS[name][0])
            row |= zip((_end_name(name, end) for end in _ENDS), numbers, strict=True)
        return row | {'distance_given': bool(self.distance_given), 'in_domain': self.in_domain,
                      'flags': int(self.flags), 'flag_names': ' '.join(self.flag_names), 'model': self.model}

    # -- files

    def to_hdulist(self, *, dtype=np.float32):
        """As FITS: MASS (the primary HDU), MASS_ERR, ML, LIGHT, MASK, and the tables PROFILE and PARAMS.

        Parameters
        ----------
        dtype : dtype, optional
            Of the images: `numpy.float32` or `numpy.float64`.

        Returns
        -------
        `~astropy.io.fits.HDUList`

        Raises
        ------
        ValueError
            If ``dtype`` is another one.
        """
        error = CCDData(self.mass.uncertainty.array, unit=MASS_PER_PIXEL)
        hdus = image_hdus({'MASS': self.mass, 'MASS_ERR': error, 'ML': self.mass_to_light_map,
                           'LIGHT': self.light}, self.mass.wcs, dtype)
        # how astropy names the kind of an uncertainty
        hdus[1].header['UTYPE'] = ('StdDevUncertainty', 'half of the 68 % interval')
        hdus[0].header.extend(self._cards(), unique=True)
        hdus[3].header.extend(_meta_cards(self.light.meta), unique=True)
        mask = np.zeros(self.mass.shape, bool) if self.mass.mask is None else self.mass.mask
        hdus.append(mask_hdu(mask, self.mass.wcs))
        hdus[-1].header['COMMENT'] = '1: masked or not finite in the image, filled in for the model'
        return fits.HDUList([*hdus, self._profile_hdu(), self._parameter_hdu()])

    def _cards(self):
        """Header of the primary HDU."""
        cards = [('PREDFMT', _FORMAT_VERSION, 'version of the format of predictions'),
                 ('PIDOCVER', __version__, 'version of pidoc'), ('OBJECT', self.name, 'the image'),
                 ('MODEL', self.model, 'the model'), ('MODELSHA', self.model_sha256),
                 ('PIXSCALE', self.pixel_scale.to_value(u.arcsec), '[arcsec] side of a pixel'),
                 ('CENTERX', self.center[0], '[pixel] centre of the profiles, from 0'),
                 ('CENTERY', self.center[1], '[pixel] centre of the profiles, from 0')]
        for name, measured in self.parameters().items():
            unit, keyword = _PARAMETERS[name]
            value, low, high, *_ = measured.in_unit(unit)
            text = f'[{unit}] {name.replace("_", " ")}'
            cards += [(keyword, value, text),
                      (f'{keyword[:7]}E', 0.5 * (high - low), f'[{unit}] half of its 68 % interval')]
        cards += [('DISTGIVN', bool(self.distance_given), 'was the distance given'),
                  ('INDOMAIN', self.in_domain, 'is the image like those of the training'),
                  ('FLAGS', int(self.flags), 'bits of pidoc.inference.flags.FLAGS'),
                  ('FLAGNAME', ' '.join(self.flag_names))]
        cards += [(f'REASON{k}', text) for k, text in enumerate(self.reasons, start=1)]
        cards.append(('COMMAND', self.command))
        return fits.Header([card(*each) for each in cards])

    def _profile_hdu(self):
        profile, ratio = self.mass_profile, self.mass_to_light_profile
        table = QTable({name: profile[name] for name in profile.colnames})
        for name in ratio.colnames:
            if name not in table.colnames:
                table[name] = ratio[name]
        return table_hdu(table, 'PROFILE')

    def _parameter_hdu(self):
        rows = [(name, *measured.in_unit(_PARAMETERS[name][0]), str(_PARAMETERS[name][0]))
                for name, measured in self.parameters().items()]
        return table_hdu(Table(rows=rows, names=('name', *_ENDS, 'unit')), 'PARAMS')

    @classmethod
    def from_hdulist(cls, hdus):
        """The inverse of `to_hdulist`.

        Parameters
        ----------
        hdus : `~astropy.io.fits.HDUList`

        Returns
        -------
        Prediction

        Raises
        ------
        ValueError
            If it is not a prediction.
        """
        header = hdus[0].header
        missing = {'MASS', 'MASS_ERR', 'LIGHT', 'MASK', 'PARAMS'} - {hdu.name for hdu in hdus}
        if header.get('PREDFMT') != _FORMAT_VERSION or missing:
            raise WrongContentError(f'a prediction must have PREDFMT = {_FORMAT_VERSION} and the extensions '
                                    'MASS, MASS_ERR, LIGHT, MASK and PARAMS: not found')
        wcs = wcs_of(header)
        mask = hdus['MASK'].data.astype(bool)
        mask = mask if mask.any() else None
        error = StdDevUncertainty(native(hdus['MASS_ERR'].data))
        reasons = [header[f'REASON{k}'] for k in range(1, len(header)) if f'REASON{k}' in header]
        return cls(
            light=image_of(hdus['LIGHT'], wcs=wcs, meta=meta_of(hdus['LIGHT'].header), mask=mask),
            mass=image_of(hdus['MASS'], wcs=wcs, mask=_copy(mask), uncertainty=error),
            **_read_parameters(hdus['PARAMS'].data), distance_given=bool(header['DISTGIVN']),
            pixel_scale=header['PIXSCALE'] * u.arcsec, center=(header['CENTERX'], header['CENTERY']),
            flags=header['FLAGS'], reasons=tuple(reasons), name=header['OBJECT'], model=header['MODEL'],
            model_sha256=header['MODELSHA'], command=header['COMMAND'])


def row_units():
    """Columns of `Prediction.to_row` in order, and their units.

    Returns
    -------
    dict
        Name to `~astropy.units.Unit`, or None where there is none.
    """
    columns = {'name': None}
    for name, (unit, _) in _PARAMETERS.items():
        columns |= {_end_name(name, end): unit for end in _ENDS}
    return columns | dict.fromkeys(('distance_given', 'in_domain', 'flags', 'flag_names', 'model'))


def _end_name(name, end):
    return name if end == 'value' else f'{name}_{end}'


def _read_parameters(rows):
    """`Measured` by name, but for what is worked out."""
    found = {}
    for row in rows:
        if row['name'] != 'luminosity':
            found[row['name']] = Measured(*(float(row[end]) * u.Unit(row['unit']) for end in _ENDS))
    missing = set(_PARAMETERS) - {'luminosity'} - set(found)
    if missing:
        raise ValueError(f'the table PARAMS must have rows for {", ".join(sorted(missing))}: not found')
    return found


def _copy(mask):
    return None if mask is None else mask.copy()


def _meta_cards(meta):
    """What is told of the light, as far as a header can hold it."""
    cards = []
    for keyword, value in meta.items():
        known = value is None or isinstance(value, (str, bool, int, float, np.integer, np.floating, np.bool_))
        if not known or is_structure(keyword) or not re.fullmatch(r'[A-Z0-9_-]{1,8}', keyword):
            continue
        if isinstance(value, (float, np.floating)) and not np.isfinite(value):
            continue
        cards.append(card(keyword, value.item() if isinstance(value, np.generic) else value))
    return fits.Header(cards)


def measured_from_log(value, half_68, half_95, unit):
    """`Measured` from the natural logarithm and half-widths of its intervals."""
    ends = np.exp([value, value - half_68, value + half_68, value - half_95, value + half_95])
    return Measured(*(ends * unit))


def measured_age(value, half_68, half_95):
    """`Measured` age from Gyr; no end of it is below 0."""
    ends = np.maximum([value, value - half_68, value + half_68, value - half_95, value + half_95], 0.0)
    return Measured(*(ends * u.Gyr))


def checked_center(center, wcs, shape):
    """x and y of a centre: the given one, else the reference point of world coordinates, else the middle.

    Parameters
    ----------
    center : None, `~astropy.coordinates.SkyCoord` or (float, float)
    wcs : `~astropy.wcs.WCS` or None
    shape : (int, int)

    Returns
    -------
    tuple of float

    Raises
    ------
    ValueError
        If it is not on the map, or a position but there are no world coordinates.
    """
    ny, nx = shape
    if center is None:
        if wcs is not None and wcs.has_celestial:
            x, y = (float(at) - 1.0 for at in wcs.wcs.crpix)
            if 0.0 <= x <= nx - 1 and 0.0 <= y <= ny - 1:
                return x, y
        return 0.5 * (nx - 1), 0.5 * (ny - 1)
    if isinstance(center, str):
        raise ValueError('center must be a SkyCoord, or column and row, for a map that is on the grid '
                         f'already, received {center!r}')
    if hasattr(center, 'icrs'):
        if wcs is None or not wcs.has_celestial:
            raise ValueError('center must be column and row for a map without world coordinates, received '
                             f'{center}')
        x, y = (float(at) for at in wcs.world_to_pixel(center))
    else:
        x, y = (float(at) for at in center)
    if not (0.0 <= x <= nx - 1 and 0.0 <= y <= ny - 1):
        raise ValueError(f'center must be on the map, which has {nx} x {ny} pixels, received column {x:.1f}, '
                         f'row {y:.1f}')
    return x, y
