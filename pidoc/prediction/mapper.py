# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""From images to predictions: `MassMapper`."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.nddata import CCDData, StdDevUncertainty

from pidoc.grid import APPARENT_FLUX, MapGrid, MASS_PER_PIXEL
from pidoc.image.light import sharp_of
from pidoc.inference.domain import Domain, Verdict
from pidoc.inference.features import features, GIVEN
from pidoc.inference.flags import flag_bits
from pidoc.io.html import html_table
from pidoc.mock.mock import Mock
from pidoc.networks.variables import OUTPUTS, zoomed
from pidoc.prediction.known import checked as checked_known
from pidoc.prediction.known import KNOWN, LIMITS, UNITS
from pidoc.prediction.measured import Measured
from pidoc.prediction.prediction import checked_center, Prediction
from pidoc.units import as_quantity, to_value, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from astropy.coordinates import SkyCoord

    from pidoc.inference.estimator import Estimator
    from pidoc.training_set import TrainingSet

__all__ = ['MassMapper', 'fill_pixels', 'model_checksum', 'predict', 'pretrained_models']

log = logging.getLogger(__name__)

_MODELS = Path(__file__).parents[1] / 'models'
_OWN = "or a folder of your own: MassMapper.from_pretrained('path/to/folder')"
_MOSTLY = 0.1              # share of filled pixels from which on it is flagged
_TENSION = 3.0             # standard deviations between what is given and the image that are flagged
_OF_IMAGES = 'the images in g and r'
_WIDEST = 10.0             # error of ln M at which its exponential is cut
_CALIBRATION = 0.1         # of ln of the light, that M/L times it may be off the mass for its calibration


def pretrained_models() -> list[str]:
    """Names of the packaged models.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from pidoc.prediction import pretrained_models
    >>> 'default' in pretrained_models()
    True
    """
    return sorted(path.parent.name for path in _MODELS.glob('*/model.json'))


def folder_of(model):
    """The folder of a packaged model, or the given folder."""
    folder = Path(model)
    if str(model) in pretrained_models():
        return _MODELS / str(model)
    if not folder.is_dir():
        names = ', '.join(pretrained_models()) or '(none is packaged)'
        raise ValueError(f'a model must be one of {names}, or an existing folder, received '
                         f'{os.fspath(model)!r}')
    return folder


def model_checksum(model: str | os.PathLike[str]) -> str:
    """The checksum of a model's weights, as recorded in its predictions, without loading a network.

    Parameters
    ----------
    model : str or path-like
        As for `MassMapper.from_pretrained`.

    Returns
    -------
    str

    Raises
    ------
    `~pidoc.inference.folder.ModelFolderError`, ValueError
        If there is no such model.

    Examples
    --------
    >>> from pidoc.prediction.mapper import model_checksum
    >>> len(model_checksum('default'))
    64
    """
    from pidoc.inference.folder import read_card

    return _one_checksum(read_card(folder_of(model))['sha256'])


class Models(dict):
    """Descriptions of models by their names, made by `MassMapper.list`."""

    def __str__(self):
        width = max(map(len, self), default=0)
        lines = [f'{name:<{width}}  {description}' for name, description in self.items()]
        return '\n'.join([*lines, _OWN])

    __repr__ = __str__

    def _repr_html_(self):
        return html_table(f'Models of MassMapper.from_pretrained, {_OWN}', self.items())


class MassMapper:
    """A trained model: from images of clusters to maps of their mass, M/L, age and distance.

    Parameters
    ----------
    estimator : `~pidoc.inference.estimator.Estimator`
        The networks.
    domain : `~pidoc.inference.domain.Domain`, optional
        Their training domain. Without it no prediction counts as inside.
    name, sha256 : str, optional
        Name and checksum of the model, for the headers of its predictions.
    note : str, optional
        What users of the model must know, for each of its predictions.

    Examples
    --------
    >>> from astropy import units as u
    >>> from astropy.utils.data import get_pkg_data_filename
    >>> from pidoc import MassMapper
    >>> mapper = MassMapper.from_pretrained()
    >>> image = get_pkg_data_filename('data/example.fits', package='pidoc')
    >>> prediction = mapper.predict(image, distance=20 * u.kpc)
    >>> prediction.mass.shape, str(prediction.mass.unit), prediction.in_domain
    ((160, 160), 'solMass', True)
    >>> print(f'mass {prediction.total_mass}, age {prediction.age}')
    mass ... (... to ...) solMass, age ... (... to ...) Gyr
    """

    def __init__(self, estimator: Estimator, *, domain: Domain | None = None, name: str = '',
                 sha256: str = '', note: str = '') -> None:
        self.estimator, self.domain, self.name, self.sha256 = estimator, domain, name, sha256
        self.note = note

    def __repr__(self):
        return f'<MassMapper {self.name or "without a name"}: {self.grid}>'

    @property
    def grid(self) -> MapGrid:
        """Pixels, smoothing and band of the maps that the model takes (`~pidoc.grid.MapGrid`)."""
        return self.estimator.grid

    @classmethod
    def list(cls) -> Models:
        """Names and descriptions of the packaged models; no network is loaded.

        Returns
        -------
        Models
            A dict of name to description; printed, it also shows how to load a folder of your own.

        Examples
        --------
        >>> from pidoc import MassMapper
        >>> print(MassMapper.list())
        default      ...
        paper-range  ...
        or a folder of your own: MassMapper.from_pretrained('path/to/folder')
        """
        from pidoc.inference.folder import read_card

        return Models((name, read_card(_MODELS / name)['about']['description'])
                      for name in pretrained_models())

    @classmethod
    def from_pretrained(cls, model: str | os.PathLike[str] = 'default') -> MassMapper:
        """Load a packaged model, or one from a folder.

        Parameters
        ----------
        model : str or path-like, optional
            A name of `pretrained_models`, or a folder with ``model.json`` and weights. Names take precedence;
            for a folder of the same name give ``./name``.

        Returns
        -------
        MassMapper

        Raises
        ------
        `~pidoc.inference.folder.ModelFolderError`, ValueError
            If there is no such model, or its weights do not have the recorded checksum.

        Examples
        --------
        >>> from pidoc import MassMapper
        >>> mapper = MassMapper.from_pretrained('paper-range')
        >>> mapper.name, mapper.grid.shape
        ('paper-range', (160, 160))
        """
        return cls._from_folder(folder_of(model))

    @classmethod
    def _from_folder(cls, folder):
        from pidoc.inference.estimator import Estimator
        from pidoc.inference.folder import read_card

        estimator, card = Estimator.load(folder), read_card(folder)
        about = card['about']
        domain = Domain.from_dict(about['domain']) if about.get('domain') else None
        return cls(estimator, domain=domain, name=str(about.get('name') or folder.resolve().name),
                   sha256=_one_checksum(card['sha256']), note=str(about.get('note') or ''))

    @classmethod
    def fit(cls, training_set: TrainingSet, folder: str | os.PathLike[str], **options: Any) -> MassMapper:
        """Train a model and load it: see `pidoc.training.train`.

        Parameters
        ----------
        training_set : `~pidoc.training_set.TrainingSet`
        folder : path-like
            Folder of the model. An interrupted training there is resumed.
        **options
            Passed on to `pidoc.training.train`.

        Returns
        -------
        MassMapper
        """
        from pidoc.training.fit import train

        train(training_set, folder, **options)
        return cls._from_folder(Path(folder))

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the model to a folder that `from_pretrained` can read.

        Parameters
        ----------
        folder : path-like
            Created if needed.
        overwrite : bool, optional
            Replace an existing model.

        Raises
        ------
        FileExistsError
            If there is one and ``overwrite`` is False.
        """
        from pidoc.training.model_card import write_model_card

        domain = None if self.domain is None else self.domain.to_dict()
        about = {**self.estimator.about, 'name': self.name, 'domain': domain}
        self.estimator.replace(about=about).save(folder, overwrite=overwrite)
        write_model_card(folder)

    # -- predictions

    def predict(self, x: Any, *, distance: u.Quantity | str | None = None,
                distance_error: u.Quantity | str | None = None, age: u.Quantity | str | None = None,
                age_error: u.Quantity | str | None = None, metallicity: float | None = None,
                metallicity_error: float | None = None, velocity_dispersion: u.Quantity | str | None = None,
                velocity_dispersion_error: u.Quantity | str | None = None,
                dispersion_radius: u.Quantity | str | None = None, b_v: u.Quantity | str | None = None,
                b_v_error: u.Quantity | str | None = None, mass_function_slope: float | None = None,
                mass_function_slope_error: float | None = None,
                effective_radius: u.Quantity | str | None = None,
                effective_radius_error: u.Quantity | str | None = None, cluster: str | None = None,
                seeing: u.Quantity | str | None = None, center: SkyCoord | tuple[float, float] | None = None,
                **options: Any) -> Prediction:
        """Predict from one image, conditioned on the known properties of the cluster.

        Parameters
        ----------
        x : path-like, HDU, `~astropy.io.fits.HDUList`, `~astropy.nddata.CCDData`, Quantity or Mock
            An image in the band of the model, V for the packaged ones. An image that is on the model's
            ``grid`` already, with pixels of any size (a `~pidoc.mock.Mock`; an array or CCDData of that shape
            in Lsun/kpc^2), is used unchanged: apparent flux per pixel, smoothed. If a model also uses the
            light before smoothing, it must be a Mock or a `~pidoc.image.light.Light` that has it. Any other
            image is prepared by `pidoc.image.prepare`. The true age and distance of a mock are not used.
        distance : `~astropy.units.Quantity`, optional
            Distance to the cluster, if known. It makes all other predictions much more certain, and lets
            `pidoc.image.prepare` subtract stars that are too bright for the cluster.
        age : `~astropy.units.Quantity`, optional
            Age of the cluster, if known independently of this image.
        metallicity : float, optional
            [Fe/H] of the cluster, if known.
        velocity_dispersion, dispersion_radius : `~astropy.units.Quantity`, optional
            Velocity dispersion along the line of sight of bright stars, and the radius (an angle) about the
            centre within which it was measured.
        b_v : `~astropy.units.Quantity`, optional
            Integrated colour B - V of the cluster [mag], corrected for reddening.
        mass_function_slope : float, optional
            Slope of the mass function of main-sequence stars of the whole cluster from 0.2 to 0.8 Msun,
            dN/dm ~ m^slope (Salpeter: -2.35), from counts of stars.
        effective_radius : `~astropy.units.Quantity`, optional
            Half-light radius of the whole cluster on the sky (an angle), from a profile that reaches further
            than the image: it improves the mass of the whole cluster.
        distance_error, age_error, velocity_dispersion_error, b_v_error, effective_radius_error : \
`~astropy.units.Quantity`, optional
            Standard errors; by default 2 %, 0.75 Gyr, 5 %, 0.03 mag, 10 %.
        metallicity_error, mass_function_slope_error : float, optional
            By default 0.15 and 0.2.
        cluster : str, optional
            Name of a cluster of the Milky Way. The properties above that the model can use, ``center`` and
            ``extinction`` are taken from the catalogues (`pidoc.catalogs.known`) if they are not given.
        seeing : `~astropy.units.Quantity`, optional
            Full width at half maximum of the PSF; by default that of the image.
        center : `~astropy.coordinates.SkyCoord` or (x, y), optional
            Position of the cluster. For an image that is on the grid already it is only the centre of the
            profiles, by default the reference point of the world coordinates if it is in the image, else the
            middle.
        **options
            Passed on to `pidoc.image.prepare`. ``field_of_view`` is 'auto' by default: it always has as many
            pixels as the model takes, for which the cluster is seen as at another distance
            (`pidoc.networks.variables.ZOOM`).

        Returns
        -------
        `~pidoc.prediction.Prediction`
            Pixels that are masked or not finite are filled in for the model (`fill_pixels`), masked in the
            result, and flagged.

        Raises
        ------
        OSError, TypeError, `~astropy.units.UnitConversionError`, ValueError
            If the image cannot be read or used, the model cannot be conditioned on a given property,
            or an argument is invalid.

        Examples
        --------
        >>> import pidoc
        >>> from pidoc import MassMapper
        >>> mapper = MassMapper.from_pretrained()
        >>> alone = mapper.predict(pidoc.example())
        >>> with_more = mapper.predict(pidoc.example(), distance='20 kpc', age='12 Gyr', metallicity=-1.58)
        >>> bool(with_more.total_mass.error < 0.7 * alone.total_mass.error)
        True
        >>> with_more.known_texts()['age']
        '12 ± 0.75 Gyr, given'
        """
        known = self._known({
            'distance': distance, 'distance_error': distance_error, 'age': age, 'age_error': age_error,
            'metallicity': metallicity, 'metallicity_error': metallicity_error,
            'velocity_dispersion': velocity_dispersion,
            'velocity_dispersion_error': velocity_dispersion_error, 'dispersion_radius': dispersion_radius,
            'b_v': b_v, 'b_v_error': b_v_error, 'mass_function_slope': mass_function_slope,
            'mass_function_slope_error': mass_function_slope_error, 'effective_radius': effective_radius,
            'effective_radius_error': effective_radius_error})
        return self._predict([self._ready(x, cluster, seeing, center, known, options)])[0]

    def _ready(self, x, cluster, seeing, center, known, options):
        """An image on the grid, and its known properties."""
        if options:
            from pidoc.image.preparation import check_options

            check_options(options, others=(*KNOWN, 'cluster'))
        sources = {}
        if cluster is not None:
            known, sources, center, options = self._from_catalogues(x, cluster, known, center, options)
        distance = None if 'distance' not in known else known['distance'] * UNITS['distance']
        image = self._input(x, seeing, center, distance, options)
        usable = {each.name for each in self.estimator.constraints}
        if 'b_v' in usable - set(known) and image.b_v:
            known = known | dict(zip(('b_v', 'b_v_error'), image.b_v, strict=True))
            sources['b_v'] = _OF_IMAGES
        return image, known, sources

    def _from_catalogues(self, x, cluster, given, center, options):
        """Properties from catalogues where none are given, with the sources."""
        from pidoc import catalogs

        found, usable = catalogs.known(cluster), {each.name for each in self.estimator.constraints}
        known, sources = dict(given), {}
        for name, its in found.items():
            if name in usable and name not in given:
                known[name] = _number_of(its.value, name)
                known[f'{name}_error'] = _number_of(its.error, name)
                sources[name] = its.source
                if its.radius is not None:
                    known['dispersion_radius'] = its.radius.to_value(u.arcsec)
        raw = not isinstance(x, Mock) and self._on_grid(x) is None
        if raw and center is None:
            center = found['position'].value
        if raw and 'extinction' in found and 'extinction' not in options and self.grid.band == 'V':
            options = options | {'extinction': found['extinction'].value}
            sources['extinction'] = found['extinction'].source
        return known, sources, center, options

    def _known(self, given):
        return checked_known(given, self.estimator.constraints, model=self.name)

    def predict_many(self, images: Iterable[Any], *, seeing: Any = None, center: Any = None,
                     batch_size: int = 64, return_errors: bool = False,
                     **options: Any) -> Iterator[Prediction | Exception]:
        """Predict from many images, in batches.

        Parameters
        ----------
        images : iterable
            Images as for `predict`.
        seeing, center : optional
            As in `predict`: one value for all images, or a list with one for each (for the seeing also an
            array with a unit), in which None or NaN means unknown.
        batch_size : int, optional
            Images that are processed together.
        return_errors : bool, optional
            Yield the exception in place of the prediction if an image cannot be used, and continue.
        **options
            Known properties of the clusters and ``cluster`` as in `predict`; others are passed on to
            `pidoc.image.prepare`. Each is one value for all images, or a list with one for each, in which
            None means not given.

        Yields
        ------
        `~pidoc.prediction.Prediction`
            Or, with ``return_errors``, an exception, in the order of the images.

        Raises
        ------
        OSError, TypeError, `~astropy.units.UnitConversionError`, ValueError
            As `predict`; if ``batch_size`` is below 1, or a list is not as long as there are images.

        Examples
        --------
        >>> import pidoc
        >>> from pidoc import MassMapper
        >>> images = [pidoc.example(), 'nowhere.fits', pidoc.example()]
        >>> for each in MassMapper.from_pretrained().predict_many(images, distance=['20 kpc', None, None],
        ...                                                       return_errors=True):
        ...     print(each if isinstance(each, Exception) else each.distance_given)
        True
        [Errno 2] No such file or directory: 'nowhere.fits'
        False
        """
        batch_size = whole_number(batch_size, 'batch_size', at_least=1, floats=True)
        given = {name: options.pop(name) for name in KNOWN if name in options}
        own = {'cluster': options.pop('cluster', None), 'seeing': seeing, 'center': center}
        each = _one_each(images, own, given, options)
        while chunk := list(itertools.islice(each, batch_size)):
            results = [self._attempt(item, return_errors) for item in chunk]
            good = [k for k, result in enumerate(results) if not isinstance(result, Exception)]
            for k, prediction in zip(good, self._predict_batch([results[k] for k in good], return_errors),
                                     strict=True):
                results[k] = prediction
            yield from results

    def _predict_batch(self, ready, return_errors):
        """Predictions, or the exception if one cannot be made."""
        if not ready:
            return []
        try:
            return self._predict(ready)
        except Exception as error:
            if not return_errors:
                raise
            if len(ready) == 1:
                return [error]
            # one bad image must not affect the others
            return [result for each in ready for result in self._predict_batch([each], return_errors)]

    def _attempt(self, item, return_errors):
        """The input of `_predict` for one image, or the exception that was raised."""
        x, cluster, seeing, center, given, options = item
        try:
            return self._ready(x, cluster, seeing, center, self._known(given), options)
        except Exception as error:
            if not return_errors:
                raise
            return error

    # -- images

    def _input(self, x, seeing, center, distance, options):
        """An image on the grid, without bad pixels."""
        if isinstance(x, Prediction):
            raise TypeError('an image must be given, received a Prediction: its light is in prediction.light')
        name = _name(x)
        sharp = None
        if isinstance(x, Mock):
            x, sharp = x.light, None if x.sharp is None else x.sharp.data
        light = self._on_grid(x)
        if light is not None and options:
            raise ValueError(f'{", ".join(sorted(options))} must be left out for a map that is on the grid '
                             'already')
        if light is None:
            from pidoc.image.preparation import prepare

            light = prepare(x, center=center, distance=distance, **self.with_field(options),
                            **({} if seeing is None else {'seeing': seeing}))
            if self.grid.resized(light) is None:
                raise ValueError(f'{name or "the image"} must have {self.grid.nx} x {self.grid.ny} pixels, '
                                 f'smoothed with {self.grid.smoothing:g} pixels, for this model, received '
                                 f'{light.shape[1]} x {light.shape[0]} pixels, smoothed with '
                                 f'{light.meta["SMOOTH"]:g}: leave out output_pixel_scale and smoothing')
            sharp = None
            # the map has been put about the centre, but for one that came on the grid
            center = center if light.meta.get('CENFROM') == 'grid' else None
        if self._sharp and sharp is None:
            sharp = getattr(light, 'sharp', None)
            if sharp is None and isinstance(x, (str, os.PathLike)):
                sharp = sharp_of(x)
        if self._sharp and np.shape(sharp) != light.shape:
            raise ValueError(f'the model {self.name} must see the light before the smoothing, too, and '
                             f'{name or "the image"} does not hold it: give the image itself, or a Mock made '
                             'with keep_sharp=True')
        place = checked_center(center, light.wcs, light.shape)
        return _Input.of(light, sharp, name or str(light.meta.get('OBJECT') or ''), seeing, place,
                         self.grid.resized(light).scale)

    def with_field(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options of `pidoc.image.prepare` for a map with as many pixels as the model takes.

        Parameters
        ----------
        options : dict
            Options that are given; ``field_of_view`` is 'auto' if it is not.

        Returns
        -------
        dict
            With ``grid``, and for 'auto' ``farthest``: no field is chosen in which a cluster would look
            farther away than those of the training.

        Raises
        ------
        TypeError, `~astropy.units.UnitConversionError`, ValueError
            If ``field_of_view`` is invalid.
        """
        field = options.get('field_of_view')
        if 'output_pixel_scale' in options:
            return options | {'grid': self.grid}
        if field is None or (isinstance(field, str) and field == 'auto'):
            ranges = {} if self.domain is None else self.domain.ranges
            farthest = 10.0 ** ranges['distance'][1] * u.kpc if 'distance' in ranges else None
            return {'farthest': farthest} | options | {'grid': self.grid, 'field_of_view': 'auto'}
        field = as_quantity(field, u.arcsec, 'field_of_view')
        width = np.ravel(to_value(field, u.arcsec, 'field_of_view', positive=True))[0]
        grid = MapGrid.of_field(field, pixel_scale=width / self.grid.nx * u.arcsec, grid=self.grid)
        return {name: value for name, value in options.items() if name != 'field_of_view'} | {'grid': grid}

    @property
    def _sharp(self):
        """Whether the model uses the light before smoothing."""
        return any(not channel.smoothed for channel in self.grid.channels)

    def _on_grid(self, x):
        """The map itself if it is on the grid of the model, with any pixel scale; None if not."""
        if isinstance(x, u.Quantity) and x.ndim == 2:
            x = CCDData(x)
        return x if isinstance(x, CCDData) and self.grid.resized(x) is not None else None

    # -- the work

    def _predict(self, ready):
        """Predictions of a batch."""
        inputs, given, sources = zip(*ready, strict=True)
        known = self._columns(inputs, given)
        estimates = self.estimator.estimate(np.stack([each.channels(self.grid) for each in inputs]),
                                            known=known,
                                            pixel_scale=np.array([each.scale for each in inputs]))
        verdicts = self._verdicts(inputs, known, estimates.encoding)
        return [self._prediction(k, each, estimates, verdict, given[k], sources[k])
                for k, (each, verdict) in enumerate(zip(inputs, verdicts, strict=True))]

    def _columns(self, inputs, given):
        """Known properties of all images: name -> array."""
        rows = [{**known, 'seeing': each.seeing, 'sky_error': each.sky_error}
                for each, known in zip(inputs, given, strict=True)]
        names = [name for constraint in self.estimator.constraints
                 for name in (constraint.name, f'{constraint.name}_error')[:1 + bool(constraint.errors)]]
        return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}

    def _verdicts(self, inputs, known, encoding):
        if self.domain is None:
            reason = 'no_domain: the model folder does not say what the model was trained on'
            unknown = Verdict(flag_bits('no_domain'), (reason,))
            return [unknown] * len(inputs)
        scales = np.array([each.scale for each in inputs])
        # as the model sees them
        zoom = scales / self.grid.scale
        area = (zoom**2)[:, np.newaxis, np.newaxis]
        sharp = np.stack([each.sharp for each in inputs]) / area if self._sharp else None
        seen = zoomed({'seeing': np.array([each.seeing for each in inputs]), **known}, zoom)
        measured = features(np.stack([each.light for each in inputs]) / area, sharp=sharp,
                            pixel_scale=self.grid.scale, seeing=seen['seeing'], distance=seen.get('distance'))
        given = {name: known[name] for each in GIVEN for name in (each, f'{each}_error') if name in known}
        verdicts = self.domain.check(measured | given | {'pixel_scale': scales, 'encoding': encoding})
        return [verdict if each.scale == self.grid.scale else self._of_other_pixels(verdict)
                for each, verdict in zip(inputs, verdicts, strict=True)]

    def _of_other_pixels(self, verdict):
        """A verdict whose reasons say that angles, fluxes and distances are those that the model sees."""
        seen = f', as seen with pixels of {self.grid.scale:g} arcsec'
        return replace(verdict, reasons=tuple(
            reason if reason.startswith('pixel_scale: ') else reason + seen for reason in verdict.reasons))

    def _prediction(self, k, each, estimates, verdict, known, sources):
        flags, reasons = each.flags()
        mass = np.asarray(estimates.mass[k])
        # half of the interval from M exp(-s) to M exp(s)
        error = mass * np.sinh(np.minimum(estimates.log_mass_error[k], _WIDEST))
        mask = each.bad if each.bad.any() else None
        wcs = each.map.wcs
        scalars = {name: Measured(*([i.value[k], *(end[k] for end in i.ends)] * u.Unit(OUTPUTS[name].unit)))
                   for name, i in estimates.scalars.items()}
        tension = {name: float(value[k]) for name, value in estimates.tension.items()}
        more, why = _disagreements(scalars, each, mass, tension, known)
        return Prediction(
            light=CCDData(each.light, unit=APPARENT_FLUX, wcs=wcs, meta=dict(each.map.meta), mask=mask),
            mass=CCDData(mass, unit=MASS_PER_PIXEL, wcs=wcs, mask=None if mask is None else mask.copy(),
                         uncertainty=StdDevUncertainty(error)),
            scalars=scalars, posterior=estimates.posterior[k],
            known={name: value if UNITS[name] is None else value * UNITS[name]
                   for name, value in known.items()}, sources=sources,
            pixel_scale=each.scale * u.arcsec, center=each.center,
            flags=verdict.flags | flags | more, reasons=(*verdict.reasons, *reasons, *why), name=each.name,
            model=self.name, model_sha256=self.sha256, note=self.note)


def _number_of(quantity, name):
    """A quantity of a catalogue as a plain number."""
    return float(quantity.to_value(UNITS[name] or u.dimensionless_unscaled))


def _disagreements(scalars, each, mass, tension, known):
    """Flags and reasons for results that contradict each other."""
    names, reasons = [], []
    for name, off in tension.items():
        if abs(off) > _TENSION:
            names.append('tension')
            reasons.append(f'tension: {name} was given as {known[name]:g} {UNITS[name] or ""}'.rstrip()
                           + f', {abs(off):.1f} standard deviations {"above" if off > 0 else "below"} what '
                           'follows from the image and the other given properties')
    *_, low, high = scalars['total_mass'].in_unit(u.Msun)
    light = 4.0 * np.pi * scalars['distance'].to_value(u.kpc) ** 2 * float(each.light.sum(dtype=float))
    # what may be wrong with the light
    spare = np.exp(_TENSION * (0.0 if np.isnan(each.sky_error) else each.sky_error) + _CALIBRATION)
    for other, what, room in (
            (float(mass.sum(dtype=float)), 'the mass map adds up to', 1.0),
            (light * scalars['mass_to_light'].value, 'M/L times the light in the field is', spare)):
        if not low / room <= other <= high * room:
            names.append('inconsistent')
            reasons.append(f'inconsistent: {what} {other:.4g} solMass, outside the 95 % interval of the '
                           f'mass in the field, {low:.4g} to {high:.4g} solMass')
    return flag_bits(*names), reasons


def predict(x: Any, *, model: str | os.PathLike[str] = 'default', **options: Any) -> Prediction:
    """Predict from an image, or from the name of a cluster, in one call.

    Parameters
    ----------
    x : path-like, image or str
        An image as for `MassMapper.predict`; or the name of a cluster of the Milky Way, whose Pan-STARRS1
        images are fetched (`pidoc.image.ps1.retrieval.fetch`) and whose known properties are taken from
        catalogues.
    model : str or path-like, optional
        As for `MassMapper.from_pretrained`.
    **options
        Known properties and other options, as for `MassMapper.predict`.

    Returns
    -------
    `~pidoc.Prediction`

    Raises
    ------
    OSError, TypeError, `~astropy.units.UnitConversionError`, ValueError
        As `MassMapper.predict`; if a text is neither a file nor the name of a cluster; or if the images
        cannot be fetched.

    Examples
    --------
    >>> import pidoc
    >>> prediction = pidoc.predict('NGC 5466')                            # doctest: +REMOTE_DATA
    >>> prediction = pidoc.predict('m13.fits', cluster='M 13', zero_point='25 mag')        # doctest: +SKIP
    """
    mapper = MassMapper.from_pretrained(model)
    if isinstance(x, str) and not _is_path(x):
        from pidoc.image.ps1.retrieval import fetch

        field: dict[str, Any] = {name: options.pop(name) for name in ('field_of_view', 'farthest')
                                 if name in options}
        try:
            image = fetch(x, distance=options.get('distance'), **mapper.with_field(field))
        except ValueError as error:
            raise ValueError(f'an image must be a file or the name of a cluster, received {x!r}: '
                             f'{error}') from error
        return mapper.predict(image, **{'cluster': x, **options})
    return mapper.predict(x, **options)


def _is_path(text):
    """Whether a text is a path: the file exists, or it looks like one."""
    return os.path.exists(text) or os.sep in text or text.lower().endswith(
        ('.fits', '.fit', '.fts', '.gz', '.fz', '.bz2'))


# -- images ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Input:
    """A map on the grid, with its bad pixels filled in."""

    map: CCDData
    light: np.ndarray
    sharp: np.ndarray
    bad: np.ndarray
    seeing: float
    sky_error: float
    center: tuple
    name: str
    scale: float

    @classmethod
    def of(cls, light, sharp, name, seeing, center, scale):
        values = np.array((light.data * light.unit).to_value(APPARENT_FLUX), dtype=np.float32)
        bad = ~np.isfinite(values)
        if light.mask is not None:
            bad |= np.asarray(light.mask, dtype=bool)
        values = fill_pixels(values, bad)
        total = float(values.sum(dtype=float))
        if not total > 0.0:
            raise ValueError(f'the flux in the field must be positive, received {total:.3g} Lsun / kpc2 in '
                             f'{name or "the image"}')
        if seeing is not None:
            width = to_value(seeing, u.arcsec, 'seeing', positive=True)
        else:
            width = light.meta.get('PSFFWHM')
            width = np.nan if width is None else float(width)
        if sharp is not None:
            sharp = np.asarray((sharp * light.unit).to_value(APPARENT_FLUX), dtype=np.float32)
            sharp = np.where(np.isfinite(sharp) & ~bad, sharp, values)
        # of mocks in the mean light of a pixel, of images in the light of one
        error = light.meta.get('SKYERR') or float(light.meta.get('SKYERROR') or np.nan) * values.size / total
        return cls(light, values, sharp, bad, width, error, center, name, scale)

    @property
    def b_v(self):
        """B - V [mag] of the field and its standard error, of images in two bands; None without."""
        meta = self.map.meta
        found = meta.get('COLBV'), meta.get('COLBVERR')
        # a header may say anything
        if not all(isinstance(each, Real) for each in found) or 'background' in str(meta.get('FLAGS') or ''):
            return None
        low, high = LIMITS['b_v']
        return found if low < found[0] < high and 0.0 < found[1] < high else None

    def channels(self, grid):
        """The input of the network, of shape (ny, nx, channels)."""
        return np.stack([self.light if channel.smoothed else self.sharp for channel in grid.channels],
                        axis=-1)

    def flags(self):
        """Flags and reasons for the image, apart from its domain."""
        names, reasons = [], []
        share = float(np.mean(self.bad))
        if share > 0.0:
            names.append('filled')
            reasons.append(f'filled: {np.count_nonzero(self.bad)} of {self.bad.size} pixels were masked or '
                           'not finite')
        if share > _MOSTLY:
            names.append('mostly_filled')
            reasons.append(f'mostly_filled: {100 * share:.0f} % of the pixels were filled in')
        noted = str(self.map.meta.get('FLAGS') or '')
        if noted:
            names.append('preparation')
            reasons.append(f'preparation: {noted} (see "Your own image" in the documentation)')
        return flag_bits(*names), reasons


def fill_pixels(values, bad):
    """Fill pixels in, smoothly from the good pixels around them.

    The filled pixels solve Laplace's equation: each is the mean of its neighbours, so that gaps have no edges
    and no structure of their own.

    Parameters
    ----------
    values : ndarray of float
        Two-dimensional.
    bad : ndarray of bool
        Of the same shape.

    Returns
    -------
    ndarray
        A copy.

    Raises
    ------
    ValueError
        If no pixel is good.

    Examples
    --------
    >>> import numpy as np
    >>> from pidoc.prediction.mapper import fill_pixels
    >>> fill_pixels(np.array([[2.0, np.nan, np.nan, 3.5]]), np.array([[False, True, True, False]]))
    array([[2. , 2.5, 3. , 3.5]])
    """
    values, bad = np.array(values), np.asarray(bad, dtype=bool)
    number = int(np.count_nonzero(bad))
    if number == bad.size:
        raise ValueError(f'an image must have a good pixel, received {number} that are masked or not finite')
    if number:
        values[bad] = _harmonic(values, bad, number)
    return values


_PAIRS = [(one, other) for pair in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1]))
          for one, other in (pair, pair[::-1])]


def _harmonic(values, bad, number):
    """Values of the bad pixels, each the mean of its neighbours."""
    from scipy.sparse import csc_array, diags_array
    from scipy.sparse.linalg import spsolve

    place = np.full(bad.shape, -1)
    place[bad] = np.arange(number)
    neighbors, known, rows, columns = np.zeros(number), np.zeros(number), [], []
    for one, other in _PAIRS:
        here, there = place[one], place[other]
        edge, inside = (here >= 0) & (there < 0), (here >= 0) & (there >= 0)
        neighbors += np.bincount(here[here >= 0], minlength=number)
        known += np.bincount(here[edge], weights=values[other][edge], minlength=number)
        rows.append(here[inside])
        columns.append(there[inside])
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    links = csc_array((np.ones(rows.size), (rows, columns)), shape=(number, number))
    return spsolve((diags_array(neighbors) - links).tocsc(), known)


def _name(x):
    """The name of an image, or an empty string."""
    if isinstance(x, (str, os.PathLike)):
        return Path(x).name
    if isinstance(x, Mock):
        return x.simulation
    meta = getattr(x, 'meta', None)
    return str(meta.get('OBJECT') or '') if isinstance(meta, Mapping) else ''


# -- many ----------------------------------------------------------------------------------------


def _one_each(images, own, given, options):
    """Yield each image with seeing and center, known properties, and options: one for all, or a list."""
    every = own | given | options
    many = {name for name, values in every.items() if _is_many(name, values, name in options)}
    rest = {name: iter(every[name]) if name in many else itertools.repeat(every[name]) for name in every}
    end = object()
    number = -1
    for number, x in enumerate(images):
        values = {name: next(rest[name], end) for name in every}
        for name, value in values.items():
            if value is end:
                raise ValueError(f'{name} must have a value for each image, received {number}')
        yield (x, *(values[name] for name in own), {name: values[name] for name in given},
               {name: values[name] for name in options if name not in many or values[name] is not None})
    for name in many:
        if next(rest[name], end) is not end:
            raise ValueError(f'{name} must have a value for each image, received {len(every[name])} for '
                             f'{number + 1} images')


def _is_many(name, values, is_option):
    """Whether there is a value for each image."""
    if isinstance(values, list):
        return True
    # an array or a tuple may be one option for all
    if is_option or np.ndim(values) != 1:
        return False
    return isinstance(values, (u.Quantity, np.ndarray)) or (isinstance(values, tuple) and name != 'center')


def _one_checksum(sums):
    """Checksum of the weights: of one file, or for several files the SHA-256 of their checksums in order."""
    if len(sums) == 1:
        return next(iter(sums.values()))
    return hashlib.sha256(''.join(sums[name] for name in sorted(sums)).encode()).hexdigest()
