# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The prediction for one image: `Prediction`, with its FITS file, table row and figure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.table import QTable, Table

from pidoc import __version__
from pidoc.grid import MapGrid, MASS_PER_PIXEL
from pidoc.inference.estimates import ENDS
from pidoc.inference.flags import decode_flags, OUTSIDE
from pidoc.inference.posterior import Posterior
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
from pidoc.networks.variables import CONSTRAINTS, OUTPUTS, Variable
from pidoc.prediction.known import UNITS as KNOWN_UNITS
from pidoc.prediction.measured import Measured
from pidoc.prediction.profiles import mass_profile, mass_to_light_profile
from pidoc.units import whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ['Prediction', 'row_units']

_FORMAT_VERSION = 2
_SETTLE = {'age', 'velocity_dispersion'}
_OPEN = ('neither age nor velocity dispersion is given: a rich old cluster looks like a younger, poorer '
         'one, and its mass is then too low; give the age of a globular cluster as 12 Gyr, within 1 Gyr')
_RATIO = u.Msun / u.Lsun
# keyword, which with an E is that of the error, and label of each quantity
_PARAMETERS = {
    'total_mass': ('TOTMASS', 'mass in the field'), 'luminosity': ('LUMINOS', 'luminosity in the field'),
    'mass_to_light': ('MTOL', 'M/L'), 'age': ('AGE', 'age'), 'distance': ('DIST', 'distance'),
    'metallicity': ('FEH', '[Fe/H]'), 'cluster_mass': ('CLMASS', 'mass of the cluster'),
    'half_mass_radius': ('RHALFM', 'half-mass radius'), 'half_light_radius': ('RHALFL', 'half-light radius'),
    'mass_function_slope': ('MFSLOPE', 'mass function slope'),
    'dark_share': ('DARKSHR', 'mass share of remnants'),
    'black_hole_share': ('BHSHARE', 'share of black holes'),
    'central_dispersion': ('SIGMA0', 'central dispersion'),
    'velocity_dispersion': ('SIGMAAP', 'aperture dispersion'), 'b_v': ('B_V', 'B - V')}
_UNITS = {'luminosity': u.Lsun} | {
    name: u.Unit(each.unit) if each.unit else u.one for name, each in OUTPUTS.items()}
# what is given in the place of a quantity
_GIVEN_AS = {'half_light_radius': 'effective_radius'}
_NEEDED = 'MASS', 'MASS_ERR', 'LIGHT', 'MASK', 'PARAMS', 'KNOWN', 'VARIABLES', 'POSTERIOR'


# -- the prediction -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction(FitsProduct):
    """The prediction of a model for one image: made by `pidoc.MassMapper`, or read from a file.

    Parameters
    ----------
    light : `~astropy.nddata.CCDData`
        The input map of the model, apparent flux F = L / (4 pi d^2) per pixel [Lsun/kpc^2]; its ``mask``
        has the pixels that were filled in.
    mass : `~astropy.nddata.CCDData`
        Mass per pixel [Msun] with the world coordinates and the mask of ``light``; its uncertainty is half of
        the width of the 68 % interval. Errors of neighbouring pixels are correlated.
    scalars : dict
        Name -> `~pidoc.prediction.Measured`, for those of `pidoc.networks.variables.OUTPUTS` that the model
        predicts. Each is also an attribute: ``total_mass`` and ``mass_to_light`` in the field, ``age``,
        ``distance``, ``metallicity`` ([Fe/H]), and for the whole cluster ``cluster_mass``,
        ``half_mass_radius``, ``half_light_radius``, ``mass_function_slope`` (0.2 to 0.8 Msun),
        ``dark_share`` (mass fraction of all remnants), ``black_hole_share``, ``central_dispersion``,
        ``velocity_dispersion`` (of bright stars, within the given ``dispersion_radius``) and ``b_v``, the
        integrated colour without reddening. ``luminosity`` [Lsun], in the field, is derived.
        The sum of ``mass`` agrees with ``total_mass`` within its error, not exactly.
    posterior : `~pidoc.inference.posterior.Posterior`
        Their joint posterior: see `sample`.
    known : dict
        What the prediction is conditioned on: name -> Quantity or number, with errors as ``<name>_error``.
    sources : dict
        Name -> source, for values from catalogues or the image.
    pixel_scale : `~astropy.units.Quantity`
        Side of a pixel.
    center : tuple of float
        x and y of the cluster's centre [pixel], about which profiles are computed.
    flags : int
        Bits of `pidoc.inference.flags.FLAGS`.
    reasons : tuple of str
        A sentence for each flag.
    name : str
        Name of the image.
    model, model_sha256 : str
        Name of the model, and the SHA-256 of its weights.
    note : str
        What must be known about the model, if anything: ``note`` of ``about`` in its ``model.json``.
    command : str
        The command that made the prediction, if any.

    Examples
    --------
    >>> from astropy.utils.data import get_pkg_data_filename
    >>> from pidoc import MassMapper
    >>> image = get_pkg_data_filename('data/example.fits', package='pidoc')
    >>> prediction = MassMapper.from_pretrained().predict(image)
    >>> print(*[*prediction.parameters()][:5], sep=', ')
    total_mass, luminosity, mass_to_light, age, distance
    >>> bool(prediction.age.low_95 < prediction.age < prediction.age.high_95)
    True
    >>> len(prediction.mass_profile), [hdu.name for hdu in prediction.to_hdulist()][:3]
    (25, ['MASS', 'MASS_ERR', 'ML'])
    """

    light: CCDData
    mass: CCDData
    scalars: dict[str, Measured]
    posterior: Posterior
    known: dict[str, Any]
    pixel_scale: u.Quantity
    center: tuple[float, float]
    sources: dict[str, str] = field(default_factory=dict)
    flags: int = 0
    reasons: tuple[str, ...] = ()
    name: str = ''
    model: str = ''
    model_sha256: str = ''
    note: str = ''
    command: str = ''

    # -- derived quantities

    def __getattr__(self, name: str) -> Measured:
        scalars = self.__dict__.get('scalars', {})
        if name in scalars:
            return scalars[name]
        if name in OUTPUTS:
            raise AttributeError(f'the model {self.model} does not predict {name}: it predicts '
                                 f'{", ".join(scalars)}')
        raise AttributeError(f'a Prediction has no attribute {name!r}')

    def __dir__(self):
        return [*super().__dir__(), *self.scalars]

    @property
    def distance_given(self) -> bool:
        """Whether the distance was given, not predicted."""
        return 'distance' in self.known

    def sample(self, number: int = 1000, *, seed: int = 0) -> QTable:
        """Joint draws from the posterior, including correlations such as that of mass with distance.

        Parameters
        ----------
        number : int, optional
        seed : int, optional

        Returns
        -------
        `~astropy.table.QTable`
            A column for each of ``scalars``, and ``luminosity`` in the field, which is total_mass divided by
            mass_to_light.

        Raises
        ------
        ValueError
            If ``number`` is no whole number above 0.

        Examples
        --------
        >>> from astropy.utils.data import get_pkg_data_filename
        >>> from pidoc import MassMapper
        >>> image = get_pkg_data_filename('data/example.fits', package='pidoc')
        >>> draws = MassMapper.from_pretrained().predict(image).sample(500)
        >>> len(draws), draws['total_mass'].unit
        (500, Unit("solMass"))
        """
        number = whole_number(number, 'number', at_least=1, floats=True)
        draws = {name: values[0] * _UNITS[name]
                 for name, values in self.posterior.sample(number, seed=seed).items()}
        draws['luminosity'] = (draws['total_mass'] / draws['mass_to_light']).to(u.Lsun)
        return QTable(draws)

    def plot_posterior(self, *, names: Sequence[str] | None = None, number: int = 2000,
                       seed: int = 0) -> Figure:
        """Corner plot of joint draws: `pidoc.plotting.posterior.plot_posterior`.

        Parameters
        ----------
        names : sequence of str, optional
            Which of ``scalars``; by default those of the field with age and distance.
        number, seed
            As for `sample`.

        Returns
        -------
        `~matplotlib.figure.Figure`
        """
        from pidoc.plotting.posterior import plot_posterior

        return plot_posterior(self, names=names, number=number, seed=seed)

    @property
    def band(self) -> str:
        """Band of the light."""
        return self.light.meta.get('BAND') or MapGrid().band

    @property
    def in_domain(self) -> bool:
        """Whether the image is inside the training domain of the model."""
        return not self.flags & OUTSIDE

    @property
    def flag_names(self) -> tuple[str, ...]:
        """Names of the flags that are set."""
        return decode_flags(self.flags)

    @property
    def luminosity(self) -> Measured:
        """`Measured` luminosity in the field [Lsun]: flux times 4 pi d^2, with the error of the distance."""
        flux = float(np.nansum(self.light.data, dtype=float))
        # a sky taken off may leave nothing
        ends = 4.0 * np.pi * max(flux, 0.0) * np.array(self.distance.in_unit(u.kpc)) ** 2
        return Measured(*(ends * u.Lsun))

    @property
    def surface_density(self) -> CCDData:
        """`~astropy.nddata.CCDData` of the mass per area on the sky [Msun/pc^2], at the ``distance``.

        The uncertainty is that of the mass alone.

        Examples
        --------
        >>> import pidoc
        >>> prediction = pidoc.predict(pidoc.example(), distance='20 kpc')
        >>> prediction.surface_density.unit, prediction.surface_density.shape
        (Unit("solMass / pc2"), (160, 160))
        """
        side = self.pixel_scale.to_value(u.rad) * self.distance.to_value(u.pc)
        unit = u.Msun / u.pc**2
        return CCDData(self.mass.data / side**2, unit=unit, wcs=self.mass.wcs, mask=_copy(self.mass.mask),
                       uncertainty=StdDevUncertainty(self.mass.uncertainty.array / side**2, unit=unit))

    @cached_property
    def mass_to_light_map(self) -> CCDData:
        """`~astropy.nddata.CCDData` of M/L per pixel [Msun/Lsun], at the ``distance``; NaN without light."""
        light = self._luminosities
        ratio = np.full(light.shape, np.nan, dtype=self.mass.data.dtype)
        np.divide(self.mass.data, light, out=ratio, where=light > 0.0, casting='same_kind')
        return CCDData(ratio, unit=_RATIO, wcs=self.mass.wcs, mask=_copy(self.mass.mask))

    @property
    def _luminosities(self):
        return self.light.data * (4.0 * np.pi * self.distance.to_value(u.kpc) ** 2)

    @cached_property
    def mass_profile(self) -> QTable:
        """`~astropy.table.QTable` of 25 rings about ``center``: see `pidoc.prediction.profiles.mass_profile`.

        Errors of pixels are taken as fully correlated, which gives the largest possible errors of the
        profile. Pixels that were filled in are excluded.

        Examples
        --------
        >>> import pidoc
        >>> prediction = pidoc.predict(pidoc.example(), distance='20 kpc')
        >>> profile = prediction.mass_profile
        >>> print(*profile.colnames[:5], sep=', ')
        separation_low, separation, separation_high, n_pixels, mass
        >>> bool(profile['mass'][0] > profile['mass'][-1])
        True
        """
        return mass_profile(self.mass.data * MASS_PER_PIXEL, center=self.center, pixel_scale=self.pixel_scale,
                            mask=self.mass.mask, errors=self.mass.uncertainty.array * MASS_PER_PIXEL,
                            correlated=True)

    @cached_property
    def mass_to_light_profile(self) -> QTable:
        """`~astropy.table.QTable` of 25 rings: see `pidoc.prediction.profiles.mass_to_light_profile`.

        At the ``distance``, with the errors of the mass as in ``mass_profile``.
        """
        return mass_to_light_profile(
            self.mass.data * MASS_PER_PIXEL, self._luminosities * u.Lsun, center=self.center,
            pixel_scale=self.pixel_scale, mask=self.mass.mask,
            mass_errors=self.mass.uncertainty.array * MASS_PER_PIXEL, correlated=True)

    def parameters(self) -> dict[str, Measured]:
        """All scalars by name: ``scalars`` and the luminosity in the field.

        Returns
        -------
        dict
            Name -> `Measured`.
        """
        return {name: getattr(self, name) for name in _PARAMETERS
                if name in self.scalars or name == 'luminosity'}

    @property
    def field_of_view(self) -> u.Quantity:
        """Width and height of the field (`~astropy.units.Quantity`, shape (2,), arcsec)."""
        return u.Quantity(self.mass.shape[::-1] * self.pixel_scale, u.arcsec)

    # -- display

    def __repr__(self):
        return (f'<Prediction of {self.name or "an image"} by {self.model or "a model"}: '
                f'mass {self.total_mass}, M/L {self.mass_to_light}, age {self.age}, '
                f'distance {self.distance}, '
                f'{"inside" if self.in_domain else "OUTSIDE"} the training domain>')

    def _repr_html_(self):
        return html_table(f'{self.name or "image"}, model {self.model}', self._lines(),
                          images={'light': self.light.data, 'mass': self.mass.data})

    def _lines(self):
        """Labels and texts of a summary."""
        lines = []
        for name, measured in self.parameters().items():
            label = {'luminosity': f'{self.band} luminosity', 'mass_to_light': f'M/L_{self.band}'}.get(
                name, _PARAMETERS[name][1])
            lines.append((label, f'{measured}{self._given_text(name)}'))
        width, height = self.field_of_view.value
        lines.append(('field', f'{width:.3g} x {height:.3g} arcsec'))
        lines.append(('domain', 'inside' if self.in_domain else 'OUTSIDE: do not trust these numbers'))
        names = ', '.join(self.flag_names)
        if names:
            lines.append(('flags', names))
        if 'velocity_dispersion' in self.scalars and not _SETTLE & set(self.known):
            lines.append(('note', _OPEN))
        if self.note:
            lines.append(('note', self.note))
        return lines

    def _given_text(self, name):
        """The given value, with its error and source."""
        name = _GIVEN_AS.get(name, name)
        if name not in self.known:
            return ''
        value, error = self.known[name], self.known.get(f'{name}_error')
        text = f'{value:.4g}' if error is None else f'{value:.4g} +- {error:.2g}'
        source = self.sources.get(name)
        return f'; given {text}{f", {source}" if source else ""}'

    def known_texts(self) -> dict:
        """What was known, in words.

        Returns
        -------
        dict
            Name -> value, standard error (the default one where none was given) and source.

        Examples
        --------
        >>> import pidoc
        >>> prediction = pidoc.predict(pidoc.example(), distance='20 kpc')
        >>> prediction.known_texts()
        {'distance': '20 ± 0.4 kpc, given'}
        """
        texts = {}
        for name, value in self.known.items():
            if name.endswith('_error'):
                continue
            constraint = CONSTRAINTS[name]
            number, error = _plain(name, value), self.known.get(f'{name}_error')
            text = f'{number:.4g}'
            if error is not None:
                text += f' ± {_plain(name, error):.2g}'
            elif constraint.errors is not None:
                text += f' ± {constraint.physical_error(number, constraint.default_error):.2g}'
            texts[name] = f'{text} {constraint.unit}'.rstrip() + f', {self.sources.get(name, "given")}'
        return texts

    def summary(self) -> str:
        """A text with the scalars, their 68 % intervals, the flags and the reasons for them.

        Returns
        -------
        str

        Examples
        --------
        >>> import pidoc
        >>> prediction = pidoc.predict(pidoc.example(), distance='20 kpc')
        >>> print(prediction.summary().splitlines()[0])
        example.fits  (model default)
        """
        lines = [f'{self.name or "image"}  (model {self.model or "without a name"})']
        lines += [f'  {label:<22} {text}' for label, text in self._lines()]
        return '\n'.join(lines + [f'    {reason}' for reason in self.reasons])

    def plot(self, *, ax: Axes | None = None, panel: str | None = None) -> Figure:
        """Figure of light, mass, M/L and profiles: `pidoc.plotting.prediction.plot_prediction`.

        Parameters
        ----------
        ax : `~matplotlib.axes.Axes`, optional
            Draw a single panel in these axes instead of a figure with all panels.
        panel : str, optional
            Which panel: 'light', 'mass', 'mass_to_light', 'numbers', 'mass_profile' or
            'mass_to_light_profile'; by default all panels, or with ``ax`` the mass.

        Returns
        -------
        `~matplotlib.figure.Figure`

        Raises
        ------
        ValueError
            If there is no such panel.

        Examples
        --------
        >>> import pidoc
        >>> prediction = pidoc.predict(pidoc.example(), distance='20 kpc')
        >>> prediction.plot(panel='mass').savefig('mass.pdf')                        # doctest: +SKIP
        """
        from pidoc.plotting.prediction import plot_prediction

        return plot_prediction(self, ax=ax, panel=panel)

    def to_row(self) -> QTable:
        """A table of one row, to be stacked with others by `astropy.table.vstack`.

        Returns
        -------
        `~astropy.table.QTable`
            ``name``, for each quantity the value, ``_low_68`` and so on, NaN if the model does not
            predict it; ``field_of_view`` (its width), ``given`` (the properties that were given),
            ``in_domain``, ``flags``, ``flag_names``, ``model``.

        Examples
        --------
        >>> import pidoc
        >>> prediction = pidoc.predict(pidoc.example(), distance='20 kpc')
        >>> row = prediction.to_row()
        >>> len(row), row.colnames[:3], str(row['given'][0])
        (1, ['name', 'total_mass', 'total_mass_low_68'], 'distance')
        """
        return QTable({name: [value] if unit is None else [value] * unit
                       for (name, value), unit in zip(self.row_values().items(), row_units().values(),
                                                      strict=True)})

    def row_values(self) -> dict[str, Any]:
        """The row of `to_row` as plain numbers and strings, in the units of `row_units`.

        Returns
        -------
        dict
        """
        row: dict[str, Any] = {'name': self.name}
        parameters = self.parameters()
        for name in _PARAMETERS:
            numbers = parameters[name].in_unit(_UNITS[name]) if name in parameters else [np.nan] * len(ENDS)
            row |= zip((_end_name(name, end) for end in ENDS), numbers, strict=True)
        return row | {'field_of_view': float(self.field_of_view[0].to_value(u.arcsec)),
                      'given': ' '.join(name for name in self.known if not name.endswith('_error')),
                      'in_domain': self.in_domain,
                      'flags': int(self.flags), 'flag_names': ' '.join(self.flag_names), 'model': self.model}

    # -- files

    def to_hdulist(self, *, dtype: npt.DTypeLike = np.float32) -> fits.HDUList:
        """Convert to FITS: MASS (the primary HDU), MASS_ERR, ML, LIGHT, MASK, and tables.

        The tables are PROFILE; PARAMS, the scalars with their intervals; KNOWN, what the prediction is
        conditioned on; VARIABLES and POSTERIOR, the joint posterior.

        Parameters
        ----------
        dtype : dtype, optional
            Type of the images: `numpy.float32` or `numpy.float64`.

        Returns
        -------
        `~astropy.io.fits.HDUList`

        Raises
        ------
        ValueError
            If ``dtype`` is another one.

        Examples
        --------
        >>> import pidoc
        >>> prediction = pidoc.predict(pidoc.example(), distance='20 kpc')
        >>> print(*[hdu.name for hdu in prediction.to_hdulist()])
        MASS MASS_ERR ML LIGHT MASK PROFILE PARAMS KNOWN VARIABLES POSTERIOR
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
        return fits.HDUList([*hdus, self._profile_hdu(), self._parameter_hdu(), self._known_hdu(),
                             *self._posterior_hdus()])

    def _cards(self):
        """Header of the primary HDU."""
        cards = [('PREDFMT', _FORMAT_VERSION, 'version of the format of predictions'),
                 ('PIDOCVER', __version__, 'version of pidoc'), ('OBJECT', self.name, 'the image'),
                 ('MODEL', self.model, 'the model'), ('MODELSHA', self.model_sha256),
                 ('PIXSCALE', self.pixel_scale.to_value(u.arcsec), '[arcsec] side of a pixel'),
                 ('CENTERX', self.center[0], '[pixel] centre of the profiles, from 0'),
                 ('CENTERY', self.center[1], '[pixel] centre of the profiles, from 0')]
        for name, measured in self.parameters().items():
            unit, (keyword, label) = _UNITS[name], _PARAMETERS[name]
            value, low, high, *_ = measured.in_unit(unit)
            # brackets at the beginning of a comment are a unit
            label = f'{name} {label}' if label.startswith('[') else label
            text = f'[{unit}] {label}'.removeprefix('[] ')
            cards += [(keyword, value, text),
                      (f'{keyword}E', 0.5 * (high - low),
                       f'[{unit}] half of its 68 % interval'.removeprefix('[] '))]
        cards += [('GIVEN', self.row_values()['given'], 'what was known'),
                  ('INDOMAIN', self.in_domain, 'is the image like those of the training'),
                  ('FLAGS', int(self.flags), 'bits of pidoc.inference.flags.FLAGS'),
                  ('FLAGNAME', ' '.join(self.flag_names))]
        cards += [(f'REASON{k}', text) for k, text in enumerate(self.reasons, start=1)]
        if self.note:
            cards.append(('NOTE', self.note))
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
        rows = [(name, *measured.in_unit(_UNITS[name]), str(_UNITS[name]))
                for name, measured in self.parameters().items()]
        return table_hdu(Table(rows=rows, names=('name', *ENDS, 'unit')), 'PARAMS')

    def _known_hdu(self):
        rows = [(name, _plain(name, value), str(KNOWN_UNITS.get(name) or ''), self.sources.get(name, ''))
                for name, value in self.known.items()]
        # such as the extinction, which is known of the light
        rows += [(name, np.nan, '', source) for name, source in self.sources.items()
                 if name not in self.known]
        table = Table(rows=rows or None, names=('name', 'value', 'unit', 'source'),
                      dtype=('U32', 'f8', 'U16', 'U64'))
        return table_hdu(table, 'KNOWN')

    def _posterior_hdus(self):
        posterior = self.posterior
        rows = [(each.name, each.unit, each.scale, each.mean, each.sd, *stretch)
                for each, stretch in zip(posterior.variables, posterior.stretch[0], strict=True)]
        names = ('name', 'unit', 'scale', 'mean', 'sd', 'stretch_68', 'stretch_95')
        number = len(posterior.weights[0])
        mixture = Table({'weight': posterior.weights[0], 'mean': posterior.means[0],
                         'factor': posterior.factors[0].reshape(number, -1)})
        return [table_hdu(Table(rows=rows, names=names), 'VARIABLES'), table_hdu(mixture, 'POSTERIOR')]

    @classmethod
    def from_hdulist(cls, hdus: fits.HDUList) -> Prediction:
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
        missing = set(_NEEDED) - {hdu.name for hdu in hdus}
        if header.get('PREDFMT') != _FORMAT_VERSION or missing:
            raise WrongContentError(f'a prediction must have PREDFMT = {_FORMAT_VERSION} and the extensions '
                                    f'{", ".join(_NEEDED)}: not found')
        wcs = wcs_of(header)
        mask = hdus['MASK'].data.astype(bool)
        mask = mask if mask.any() else None
        error = StdDevUncertainty(native(hdus['MASS_ERR'].data))
        reasons = [header[f'REASON{k}'] for k in range(1, len(header)) if f'REASON{k}' in header]
        return cls(
            light=image_of(hdus['LIGHT'], wcs=wcs, meta=meta_of(hdus['LIGHT'].header), mask=mask),
            mass=image_of(hdus['MASS'], wcs=wcs, mask=_copy(mask), uncertainty=error),
            scalars=_read_parameters(hdus['PARAMS'].data), known=_read_known(hdus['KNOWN'].data),
            sources={row['name']: row['source'] for row in hdus['KNOWN'].data if row['source']},
            posterior=_read_posterior(hdus['VARIABLES'].data, hdus['POSTERIOR'].data),
            pixel_scale=header['PIXSCALE'] * u.arcsec, center=(header['CENTERX'], header['CENTERY']),
            flags=header['FLAGS'], reasons=tuple(reasons), name=header['OBJECT'], model=header['MODEL'],
            model_sha256=header['MODELSHA'], note=header.get('NOTE', ''), command=header['COMMAND'])


def row_units() -> dict[str, u.UnitBase | None]:
    """Columns of `Prediction.to_row`, in order, with their units.

    Returns
    -------
    dict
        Name -> `~astropy.units.Unit`, or None without a unit.
    """
    columns = {'name': None}
    for name in _PARAMETERS:
        columns |= {_end_name(name, end): _UNITS[name] for end in ENDS}
    columns['field_of_view'] = u.arcsec
    return columns | dict.fromkeys(('given', 'in_domain', 'flags', 'flag_names', 'model'))


def _end_name(name, end):
    return name if end == 'value' else f'{name}_{end}'


def _read_parameters(rows):
    """`Measured` by name, except for derived quantities."""
    found = {}
    for row in rows:
        if row['name'] != 'luminosity':
            found[row['name']] = Measured(*(float(row[end]) * u.Unit(row['unit']) for end in ENDS))
    missing = {'total_mass', 'mass_to_light', 'age', 'distance'} - set(found)
    if missing:
        raise ValueError(f'the table PARAMS must have rows for {", ".join(sorted(missing))}: not found')
    return found


def _plain(name, value):
    """A known property as a number in its unit."""
    unit = KNOWN_UNITS.get(name)
    return float(value if unit is None else value.to_value(unit))


def _read_known(rows):
    return {row['name']: row['value'] * u.Unit(row['unit']) if row['unit'] else float(row['value'])
            for row in rows if np.isfinite(row['value'])}


def _read_posterior(variables, mixture):
    made = tuple(Variable(**{name: row[name] if name in ('name', 'unit', 'scale') else float(row[name])
                             for name in ('name', 'unit', 'scale', 'mean', 'sd')}) for row in variables)
    number, size = len(mixture), len(made)
    return Posterior(
        made, np.array(mixture['weight'], dtype=float).reshape(1, number),
        np.array(mixture['mean'], dtype=float).reshape(1, number, size),
        np.array(mixture['factor'], dtype=float).reshape(1, number, size, size),
        np.array([[row['stretch_68'], row['stretch_95']] for row in variables], dtype=float)[np.newaxis])


def _copy(mask):
    return None if mask is None else mask.copy()


def _meta_cards(meta):
    """Header cards of the metadata of the light, as far as FITS can store them."""
    cards = []
    for keyword, value in meta.items():
        known = value is None or isinstance(value, (str, bool, int, float, np.integer, np.floating, np.bool_))
        if not known or is_structure(keyword) or not re.fullmatch(r'[A-Z0-9_-]{1,8}', keyword):
            continue
        if isinstance(value, (float, np.floating)) and not np.isfinite(value):
            continue
        cards.append(card(keyword, value.item() if isinstance(value, np.generic) else value))
    return fits.Header(cards)


def checked_center(center, wcs, shape):
    """x and y of a centre: as given, else the reference point of the world coordinates, else the middle.

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
