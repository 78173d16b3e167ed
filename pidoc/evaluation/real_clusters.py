# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The clusters of Chardin & Bianchini (2021, section 5): light in the field, predictions, literature.

`fetch_all` makes their maps from the survey's files; `compare` predicts from each, with a model conditioned
on the image only and on more and more known properties, and compares everything with the paper's Table 3 in a
`ClusterReport`.
"""

import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import QTable

from pidoc import __version__
from pidoc.catalogs import paper_table
from pidoc.evaluation.envelope import TYPICAL_RATIO
from pidoc.evaluation.report import _rst, write_report
from pidoc.grid import MapGrid
from pidoc.image.ps1.retrieval import (
    fetch,
    find_target,
    NotInCacheError,
    ServiceError,
    suited_grid,
)
from pidoc.io.progress import ProgressBar
from pidoc.units import plain_number

__all__ = ['ASSUMED_AGE', 'HOW', 'OLD', 'PAPER_RANGE', 'ClusterReport', 'compare', 'fetch_all',
           'suited_grids']

log = logging.getLogger(__name__)

PAPER_RANGE = (300.0, 5000.0) * u.Lsun
"""Light in the field of the paper's training maps, above 11 Gyr, 10 to 40 kpc (its section 5)."""

OLD = 11.0 * u.Gyr
"""Age above which maps of a training set are compared with globular clusters, as in the paper."""

ASSUMED_AGE = 12.0 * u.Gyr
"""Assumed age of clusters without an age in the literature, as in the paper."""

_PAPER_FIELD = MapGrid().field_of_view[0]
_NEAR = 1.5                # factor in distance of training maps that are compared with a cluster
_FEWEST = 10               # least number of them
#: given properties in each mode, if the model can use them
_MODES = {'image': (), 'distance': ('distance',), 'known': ('distance', 'age', 'metallicity'),
          'slope': ('distance', 'age', 'metallicity', 'mass_function_slope'),
          'dispersion': ('distance', 'age', 'metallicity', 'velocity_dispersion')}
HOW = {'image': 'From the image only', 'distance': "With Harris's distance",
        'known': "With Harris's distance and [Fe/H] and the age",
        'slope': 'With all this and the slope of the mass function',
        'dispersion': "With Harris's distance and [Fe/H], the age and the central velocity dispersion"}
"""Headings of the modes."""
_AGE_ERROR, _ASSUMED_ERROR, _IRON_ERROR, _SLOPE_ERROR = 0.75, 1.0, 0.15, 0.2     # Gyr, Gyr, dex, none
_QUANTITIES = (('mass_to_light', u.Msun / u.Lsun), ('age', u.Gyr), ('distance', u.kpc),
               ('total_mass', u.Msun))
_ENDS = ('', '_low_68', '_high_68', '_low_95', '_high_95')


def suited_grids(mapper):
    """Grids whose fields hold the clusters of the paper's Table 3, as far as a model knows such distances.

    Parameters
    ----------
    mapper : `~pidoc.prediction.mapper.MassMapper`

    Returns
    -------
    dict
        Name -> `~pidoc.grid.MapGrid`.
    """
    options, found = mapper.with_field({}), {}
    farthest = np.inf * u.kpc if options['farthest'] is None else options['farthest']
    for row in paper_table():
        name, far = str(row['name']), u.Quantity(float(_plain(row['distance'])), u.kpc)
        found[name] = suited_grid(find_target(name, offline=True), options['grid'], farthest, distance=far)
    return found


def fetch_all(archive, *, names=None, grids=None, progress=False):
    """Make maps of clusters from the survey's files; failures are listed, not raised.

    After the survey has failed to answer once, only the cache is used.

    Parameters
    ----------
    archive : `~pidoc.image.ps1.retrieval.Archive` or callable
        An archive, or a function from the name of a cluster to an archive.
    names : sequence of str, optional
        Names of clusters; by default the paper's 17.
    grids : dict, optional
        Name -> `~pidoc.grid.MapGrid` of its map; by default 40 x 40 arcsec, as in the paper.
    progress : bool, optional
        Show a progress bar, if there is a terminal.

    Returns
    -------
    images : dict
        Name -> `~astropy.nddata.CCDData` from `pidoc.image.ps1.retrieval.fetch`.
    missing : dict
        Name -> reason of the failure.
    """
    names = [str(name) for name in paper_table()['name']] if names is None else names
    images, missing = {}, {}
    with ProgressBar(len(names), 'images', progress=progress, unit=' clusters') as bar:
        for name in names:
            try:
                images[name] = fetch(name, archive=archive(name) if callable(archive) else archive,
                                     grid=None if grids is None else grids[name])
            except (ServiceError, NotInCacheError, ValueError) as error:
                missing[name] = ' '.join(str(error).split())
                log.info('%s: %s', name, missing[name])
                if isinstance(error, ServiceError) and not callable(archive):
                    archive = replace(archive, offline=True, refresh=False)
            bar.update(1)
    return images, missing


def compare(mapper, images, *, distance_error=0.02, training=None, missing=None):
    """Predict from maps of the paper's clusters and compare the results with the literature.

    A cluster is *out of range* if its light in the field, at Harris's distance, is outside that of all
    training maps of clusters older than 11 Gyr at 2/3 to 3/2 of its distance, for a network that sees larger
    pixels as a larger distance (`pidoc.networks.variables.ZOOM`). Without a training set the
    range is the paper's, 300 to 5000 Lsun.

    Parameters
    ----------
    mapper : `~pidoc.prediction.mapper.MassMapper`
    images : dict
        Name -> map, as from `fetch_all`.
    distance_error : float, optional
        Relative standard error of Harris's distances.
    training : `~astropy.table.QTable`, optional
        Rows of the training maps, with ``age``, ``distance`` and ``luminosity``, as
        ``TrainingSet.table``.
    missing : dict, optional
        Name -> reason why there is no map, for the report.

    Returns
    -------
    ClusterReport

    Raises
    ------
    ValueError
        If there are no maps, or one is for a cluster that is not in the paper's Table 3.
    """
    paper = paper_table()
    known = [str(name) for name in paper['name']]
    strange = [name for name in images if name not in known]
    if strange or not images:
        raise ValueError("images must be of clusters of the paper's Table 3, received "
                         f'{strange[0] if strange else "none"}')
    plain_number(distance_error, 'distance_error', above=0, below=1)
    rows = [known.index(name) for name in known if name in images]
    table = _literature(paper[rows])
    maps = [images[name] for name in table['name']]
    _add_light(table, maps, paper[rows])
    _add_range(table, training, [each.meta['PIXSCALE'] / mapper.grid.scale for each in maps])
    predictions = {}
    known = _known(table, maps, distance_error)
    usable = {each.name for each in mapper.estimator.constraints}
    for mode in [mode for mode, names in _MODES.items() if usable.issuperset(names)]:
        given = {name: values for name, values in known.items() if name.removesuffix('_error') in _MODES[mode]
                 or name == 'dispersion_radius' and mode == 'dispersion'}
        predictions[mode] = list(mapper.predict_many(maps, **given))
        _add_predictions(table, mode, predictions[mode])
    synthetic = any(each.meta.get('SYNTHET') for each in maps)
    shown = None
    if training is not None:
        shown = QTable({name: training[name] for name in ('age', 'distance', 'luminosity')})
    table.meta = {'model': mapper.name, 'model_sha256': mapper.sha256, 'pidoc': __version__,
                  'distance_error': distance_error, 'synthetic': synthetic,
                  'range': 'paper' if training is None else 'training set'}
    return ClusterReport(table, predictions, dict(missing or {}), shown)


def _literature(paper):
    """Known properties of the clusters, from the paper's Table 3."""
    table = QTable({'name': [str(name) for name in paper['name']]})
    mask = np.array(np.broadcast_to(getattr(paper['age'], 'mask', False), len(paper)))
    age = np.where(mask, ASSUMED_AGE.value, np.asarray(_plain(paper['age'])))
    table['literature_age'] = age * u.Gyr
    table['age_assumed'] = mask
    table['distance'] = np.asarray(_plain(paper['distance'])) * u.kpc
    table['fe_h'] = np.asarray(_plain(paper['fe_h']))
    for name in ('mass_to_light', 'mass_to_light_error'):
        table[f'literature_{name}'] = np.asarray(_plain(paper[name])) * u.Msun / u.Lsun
    for name in ('pidoc_distance', 'pidoc_age', 'pidoc_mass_to_light', 'pidoc_log_mass'):
        unit = getattr(paper[name], 'unit', None) or u.one
        table[name.replace('pidoc_', 'paper_')] = np.asarray(_plain(paper[name])) * unit
    return table


def _known(table, maps, distance_error):
    """Known properties of each cluster: names of arguments of `MassMapper.predict_many` -> lists."""
    from pidoc.catalogs import known

    catalogued = [known(str(name)) for name in table['name']]
    rows = [each.get('velocity_dispersion') for each in catalogued]
    slopes = [_slope(image, each.get('mass_function_slope')) for image, each in
              zip(maps, catalogued, strict=True)]
    assumed = np.asarray(table['age_assumed'])
    return {
        'distance': list(table['distance']), 'distance_error': list(distance_error * table['distance']),
        'age': list(table['literature_age']),
        'age_error': list(np.where(assumed, _ASSUMED_ERROR, _AGE_ERROR) * u.Gyr),
        'metallicity': [float(value) for value in table['fe_h']],
        'metallicity_error': [_IRON_ERROR] * len(table),
        'mass_function_slope': [slope for slope, _ in slopes],
        'mass_function_slope_error': [error for _, error in slopes],
        'velocity_dispersion': [None if row is None else row.value for row in rows],
        'velocity_dispersion_error': [None if row is None else row.error for row in rows],
        'dispersion_radius': [None if row is None else row.radius for row in rows]}


def _slope(image, catalogued):
    """Slope of the mass function and its error: a stand-in has its own."""
    if 'TRUESLOP' in image.meta:
        return image.meta['TRUESLOP'], _SLOPE_ERROR
    return (None, None) if catalogued is None else (float(catalogued.value), float(catalogued.error))


def _plain(column):
    column = getattr(column, 'unmasked', column)
    return getattr(column, 'value', column)


def _add_light(table, maps, paper):
    """Luminosities in the field at Harris's distances, corrected for extinction and uncorrected."""
    flux = np.array([np.nansum(each.data, dtype=float) for each in maps])
    table['field_of_view'] = [each.shape[1] * each.meta['PIXSCALE'] for each in maps] * u.arcsec
    table['luminosity'] = 4.0 * math.pi * flux * table['distance'].to_value(u.kpc) ** 2 * u.Lsun
    table['extinction'] = [each.meta['EXTCORR'] for each in maps] * u.mag
    table['luminosity_seen'] = table['luminosity'] * 10.0 ** (-0.4 * table['extinction'].value)
    table['paper_luminosity'] = np.asarray(_plain(paper['field_luminosity'])) * u.Lsun
    low, high = PAPER_RANGE.value
    light = table['paper_luminosity'].value
    table['in_paper_range'] = (light >= low) & (light <= high)
    if all('TRUEMASS' in each.meta for each in maps):
        mass, light = (np.array([each.meta[key] for each in maps]) for key in ('TRUEMASS', 'TRUELUM'))
        table['true_mass'], table['true_luminosity'] = mass * u.Msun, light * u.Lsun
        table['true_mass_to_light'] = mass / light * u.Msun / u.Lsun


def _add_range(table, training, zoom):
    """The light in the field of old training clusters about each distance, as a network sees it."""
    low = np.full(len(table), PAPER_RANGE[0].value)
    high = np.full(len(table), PAPER_RANGE[1].value)
    if training is not None:
        old = training['age'] >= OLD
        far, light = training['distance'][old].to_value(u.kpc), training['luminosity'][old].to_value(u.Lsun)
        for k, distance in enumerate(table['distance'].to_value(u.kpc) * zoom):
            near = light[np.abs(np.log(far / distance)) <= math.log(_NEAR)]
            if near.size < _FEWEST:
                raise ValueError(f'the training set must have {_FEWEST} maps of clusters older than {OLD} at '
                                 f'2/3 to 3/2 of {distance:g} kpc, received {near.size}')
            low[k], high[k] = near.min(), near.max()
    table['range_low'], table['range_high'] = low * u.Lsun, high * u.Lsun
    table['in_range'] = (table['luminosity'] >= table['range_low']) & (
        table['luminosity'] <= table['range_high'])


def _add_predictions(table, mode, predictions):
    for name, unit in _QUANTITIES:
        numbers = np.array([getattr(each, name).in_unit(unit) for each in predictions])
        for end, column in zip(_ENDS, numbers.T, strict=True):
            table[f'{name}{end}.{mode}'] = column * unit
    table[f'in_domain.{mode}'] = [bool(each.in_domain) for each in predictions]
    table[f'flags.{mode}'] = [' '.join(each.flag_names) for each in predictions]


# -- the report -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ClusterReport:
    """Predictions for the paper's clusters and literature values, made by `compare`.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        One row per cluster. ``field_of_view``; ``luminosity`` of the field with Harris's distance,
        ``luminosity_seen`` without a correction for extinction, ``paper_luminosity`` of 40 x 40 arcsec;
        ``range_low``, ``range_high``, ``in_range``;
        literature; ``mass_to_light``, ``age``, ``distance`` and ``total_mass`` with the ends of their
        intervals, ``in_domain`` and ``flags``, each with ``.image``, ``.distance`` and so on; the paper's
        predictions (``paper_...``); for synthetic maps ``true_mass`` and so on.
    predictions : dict
        Mode of given properties, 'image', 'distance', 'known' (also age and [Fe/H]), 'slope' (of the mass
        function, too) or 'dispersion' (in its place), if the model can use them -> list of
        `~pidoc.prediction.Prediction`.
    missing : dict
        Name -> reason why there is no map of a cluster.
    training : `~astropy.table.QTable` or None
        Age, distance and luminosity of the training maps.
    """

    table: QTable
    predictions: dict
    missing: dict
    training: QTable = None

    @property
    def modes(self):
        """Modes of given properties: 'image' and so on, in this order."""
        return tuple(self.predictions)

    @staticmethod
    def given(mode):
        """Given properties in a mode: tuple of str, names of `~pidoc.networks.variables.CONSTRAINTS`."""
        return _MODES[mode]

    @property
    def synthetic(self):
        """Whether the images are synthetic."""
        return bool(self.table.meta['synthetic'])

    @property
    def title(self):
        """Title of the report."""
        what = 'SYNTHETIC stand-ins of the paper\'s clusters' if self.synthetic else "The paper's clusters"
        return f'{what}, model {self.table.meta["model"] or "without a name"}'

    def caught(self):
        """Number of clusters flagged as outside the training domain, in and out of range.

        Returns
        -------
        `~astropy.table.QTable`
            Rows 'out of range' and 'in range': ``n``, and ``flagged_image`` and so on for each mode.
        """
        inside = np.asarray(self.table['in_range'])
        rows = []
        for label, chosen in (('out of range', ~inside), ('in range', inside)):
            flagged = [chosen & ~np.asarray(self.table[f'in_domain.{mode}']) for mode in self.modes]
            rows.append((label, int(chosen.sum()), *(int(each.sum()) for each in flagged)))
        return QTable(rows=rows, names=('clusters', 'n', *(f'flagged_{mode}' for mode in self.modes)))

    def names(self, *, in_range, in_domain, mode):
        """Clusters in or out of range that are predicted as inside or outside the domain: list of str."""
        chosen = (np.asarray(self.table['in_range']) == in_range) & (
            np.asarray(self.table[f'in_domain.{mode}']) == in_domain)
        return [str(name) for name in self.table['name'][chosen]]

    def agreement(self):
        """Agreement of predictions with the literature, and for stand-ins with their true values.

        Returns
        -------
        `~astropy.table.QTable`
            A row for each mode, quantity and group of clusters ('in domain': not flagged): ``n``, mean
            absolute and mean difference of predicted and known value, in per cent of the known one, but in
            Gyr for ages; number of clusters whose known value is inside the 68 % and 95 % intervals, to which
            its own standard errors (one and two of them) are added in quadrature where the table has them.
        """
        table = self.table
        known = [('M/L, literature', 'mass_to_light', 'literature_mass_to_light'),
                 ('age, literature', 'age', 'literature_age'), ('distance, Harris', 'distance', 'distance')]
        if self.synthetic:
            known += [('M/L of the stand-in', 'mass_to_light', 'true_mass_to_light'),
                      ('mass in the field of the stand-in', 'total_mass', 'true_mass')]
        rows = []
        for mode in self.modes:
            inside = np.asarray(table[f'in_domain.{mode}'])
            groups = [('all', np.ones(len(table), dtype=bool)), ('not flagged', inside),
                      ('in range', np.asarray(table['in_range']))]
            for label, name, true in known:
                if name in self.given(mode):
                    continue
                for group, chosen in groups:
                    rows.append((mode, label, group, *_agreement(table[chosen], name, mode, true)))
        names = ('mode', 'quantity', 'clusters', 'n', 'error', 'bias', 'in_68', 'in_95')
        return QTable(rows=rows, names=names)

    def to_rst(self, *, figures=()):
        """The report as a page of reStructuredText.

        Parameters
        ----------
        figures : sequence of (str, str), optional
            File and caption of each figure.

        Returns
        -------
        str
        """
        lines = [self.title, '=' * len(self.title), '', *self._introduction()]
        for heading, text, rows in (
                ('Light in the field', _LIGHT, self._light()),
                *((HOW[mode], _TEXTS[mode].format(**self.table.meta), self._predicted(mode))
                  for mode in self.modes),
                ('Do the flags catch what is out of range?', self._verdict(), self.caught()),
                ('Agreement', _AGREEMENT + self._envelope(), self.agreement())):
            lines += ['', heading, '-' * len(heading), '', text, '', *_rst(rows)]
        for file, caption in figures:
            lines += ['', f'.. figure:: {file}', '', f'   {self._mark()}{caption}']
        return '\n'.join(lines) + '\n'

    def _envelope(self):
        """What no network has: the same M/L for all clusters."""
        off = 100.0 * (TYPICAL_RATIO / self.table['literature_mass_to_light'].value - 1.0)
        return (f'\nWith M/L = {TYPICAL_RATIO:g} for all {len(off)}, the error for the M/L of the literature '
                f'is {np.mean(np.abs(off)):.1f}\nand the bias {np.mean(off):.1f} per cent.')

    def write(self, folder, *, overwrite=False, figures=()):
        """Write ``report.rst``, and ``clusters.ecsv``, ``caught.ecsv`` and ``agreement.ecsv``.

        Parameters
        ----------
        folder : path-like
            Created if needed.
        overwrite : bool, optional
            Replace existing files.
        figures : sequence, optional
            As for `to_rst`.

        Raises
        ------
        OSError
            If one of the files exists and ``overwrite`` is False; nothing is written then.
        """
        folder = Path(folder)
        tables = {'clusters': self.table, 'caught': self.caught(), 'agreement': self.agreement()}
        write_report(folder, lambda: self.to_rst(figures=figures), tables, self.table.meta,
                     overwrite=overwrite)

    # -- its parts

    def _mark(self):
        return 'SYNTHETIC images. ' if self.synthetic else ''

    def _introduction(self):
        table, lines = self.table, []
        if self.synthetic:
            lines += [_SYNTHETIC, '']
        weights = table.meta['model_sha256']
        which = f', weights ``{weights[:16]}``' if weights else ''
        lines.append(f"{len(table)} of the 17 clusters of Chardin & Bianchini (2021, Table 3), model "
                     f"``{table.meta['model']}``{which}.")
        if self.missing:
            lines += ['', 'Not there:', '']
            lines += [f'- {name}: ``{why}``' for name, why in self.missing.items()]
        return lines

    def _light(self):
        table = self.table
        shown = QTable({'cluster': table['name'], 'd [kpc]': table['distance'].value,
                        'field [arcsec]': table['field_of_view'].value,
                        'A_V [mag]': table['extinction'].value, 'L [Lsun]': table['luminosity'].value,
                        'L as seen': table['luminosity_seen'].value})
        if self.synthetic:
            shown['L, true'] = table['true_luminosity'].value
        shown['L, paper'] = table['paper_luminosity'].value
        if np.all(table['field_of_view'] == _PAPER_FIELD):
            shown['as seen / paper'] = (table['luminosity_seen'] / table['paper_luminosity']).value
        shown['training, lowest'] = table['range_low'].value
        shown['highest'] = table['range_high'].value
        shown['in range'] = ['yes' if each else 'no' for each in table['in_range']]
        return shown

    def _predicted(self, mode):
        table = self.table
        shown = QTable({'cluster': table['name']})
        shown['M/L'] = [_interval(row, 'mass_to_light', mode) for row in table]
        shown['literature'] = [f'{row["literature_mass_to_light"].value:.2f} +- '
                               f'{row["literature_mass_to_light_error"].value:.2f}' for row in table]
        if self.synthetic:
            shown['stand-in'] = [f'{row["true_mass_to_light"].value:.2f}' for row in table]
        shown['paper'] = [f'{value:.2f}' for value in table['paper_mass_to_light'].value]
        shown['age [Gyr]'] = [_interval(row, 'age', mode, '.1f') for row in table]
        shown['known'] = [f'{"(" if row["age_assumed"] else ""}{row["literature_age"].value:g}'
                          f'{")" if row["age_assumed"] else ""}' for row in table]
        if mode == 'image':
            shown['d [kpc]'] = [_interval(row, 'distance', mode, '.1f') for row in table]
            shown['Harris'] = [f'{value:g}' for value in table['distance'].value]
        mass = np.log10(table[f'total_mass.{mode}'].value)
        shown['log M'] = [f'{value:.2f}' for value in mass]
        shown['domain'] = [row[f'flags.{mode}'] if not row[f'in_domain.{mode}'] else 'inside'
                           for row in table]
        return shown

    def _verdict(self):
        """Sentences on the clusters that the flags detect."""
        out = int((~np.asarray(self.table['in_range'])).sum())
        own = self.table.meta['range'] == 'training set'
        of = 'of the training set' if own else "of the paper's training"
        text = [f'{out} of {len(self.table)} clusters have a light in the field that no map {of} older than '
                f'{OLD.value:g} Gyr has at their distance.']
        for mode in self.modes:
            how = HOW[mode]
            caught = self.names(in_range=False, in_domain=False, mode=mode)
            missed = self.names(in_range=False, in_domain=True, mode=mode)
            false = self.names(in_range=True, in_domain=False, mode=mode)
            number = f'{len(caught)} of these {out}' if caught else f'none of these {out}'
            text.append(f'{how}, {number} {"is" if len(caught) == 1 else "are"} flagged'
                        + (f'; not {", ".join(missed)}.' if missed and caught else '.'))
            if false:
                text.append(f'Also flagged, though in range: {", ".join(false)}.')
        return '\n'.join(text)


def _agreement(table, name, mode, known):
    """Number, mean absolute error, bias, and coverage of the known value by 68 % and 95 % intervals."""
    if not len(table):
        return 0, math.nan, math.nan, 0, 0
    value, true = table[f'{name}.{mode}'], table[known]
    error = table[f'{known}_error'] if f'{known}_error' in table.colnames else 0.0 * true
    off = (value - true).value
    if name != 'age':
        off = 100.0 * off / true.value
    held = []
    for share, number in ((68, 1.0), (95, 2.0)):
        low, high = (table[f'{name}_{end}_{share}.{mode}'] for end in ('low', 'high'))
        end = np.where(true < value, low, high)
        held.append(int(np.sum(np.abs(value - true) <= np.hypot(end - value, number * error))))
    return len(table), float(np.mean(np.abs(off))), float(np.mean(off)), *held


def _interval(row, name, mode, digits='.2f'):
    value, low, high = (row[f'{name}{end}.{mode}'].value for end in _ENDS[:3])
    return f'{value:{digits}} ({low:{digits}}-{high:{digits}})'


_SYNTHETIC = """\
**The images are synthetic.** They have the light of the real clusters, not their appearance: King models with
the core radius, concentration, M_V, [Fe/H], distance and reddening of Harris (2010), of single stars with the
mass function of Kroupa (2001) at the age of the literature, without mass segregation, in one realisation
each, and written in the format of Pan-STARRS1 stacks (`pidoc.evaluation.synthetic_sky`). The results are not
measurements of real clusters. The true M/L is that of the stars, not that of the literature."""

_LIGHT = """\
V luminosity in the field at Harris's distance, corrected for extinction; "as seen" is without that
correction; that of the paper is in 40" x 40". The last columns: the range of training maps older than 11 Gyr
at 2/3 to 3/2 of the distance, or as far as a cluster looks in a larger field (without a training set, the
paper's range for all)."""

_IMAGE = """\
In brackets the 68 % interval. Ages in brackets are assumed. "paper" is pi-DOC's own prediction from the real
images. M/L of the literature: Baumgardt et al. (2020); age: VandenBerg et al. (2013), both from the paper's
Table 3."""

_TEXTS = {
    'image': _IMAGE,
    'distance': "Conditioned on Harris's distances, with a relative error of {distance_error:g}.",
    'known': 'Conditioned on these, on the ages with an error of 0.75 Gyr (assumed ones: 1 Gyr), and on '
             '[Fe/H] with 0.15 dex.',
    'slope': 'Conditioned on all this and on the slope of the mass function from 0.2 to 0.8 Msun: that of '
             'the catalogues, with an error of 0.3, or of a stand-in its own, with 0.2.',
    'dispersion': 'Conditioned on distance, age, [Fe/H] and the central velocity dispersion of the '
                  'catalogues, of the real cluster.'}

_AGREEMENT = """\
Mean error and bias (predicted - known) in per cent, for ages in Gyr; number of clusters whose known value is
inside their intervals, to which the error of the M/L of the literature is added in quadrature. "not flagged"
are those inside the training domain by the flags of the model."""
