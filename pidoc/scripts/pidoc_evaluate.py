# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""``pidoc-evaluate``: score a model on a set of mock observations from the command line."""

import logging
import sys
from pathlib import Path

from pidoc.io.files import replacing
from pidoc.scripts.command import above_zero, add_quiet_and_debug, BAD, Parser, run

__all__ = ['main']

log = logging.getLogger(__name__)

_EPILOG = """\
FOLDER gets report.rst, the report; each of its tables as .ecsv; maps_<given>.ecsv with a row for each map;
and figures.

The report compares the scores of the model with the paper's and with those of baselines fitted to the
training part of the set; with --snapshots also with the shot-noise floor.

With --clusters a model is applied to the 17 clusters of the paper's Table 3, with images from Pan-STARRS1, or
only from the cache with --offline. MODEL is then "default" unless it is given; with SET, the training range
is shown. With --stand-ins the images are SYNTHETIC: models with the light of the real clusters.

examples:
  pidoc-evaluate models/mine sets/table1 -o scores
  pidoc-evaluate models/mine sets/default --given image distance distance+age+metallicity -o scores
  pidoc-evaluate models/mine sets/table1 --snapshots runs/MW15/snapshots/*00.fits -o scores
  pidoc-evaluate --clusters default sets/default -o table3
  pidoc-evaluate --clusters --stand-ins -o synthetic3
"""
_MAIN = ('pixel.bins', 'pixel_above.bins', 'total_mass.bins', 'mass_to_light.bins',
         'mass_to_light_own.sample', 'age.bins', 'distance.mean', 'time')
_EXAMPLES = 4


def main(args=None):
    """Evaluate a model; the command ``pidoc-evaluate``: see `pidoc.scripts.command.run`."""
    return run(_parser(), _evaluate, args, interrupted='the report is written at the end only')


def _parser():
    parser = Parser('pidoc-evaluate', epilog=_EPILOG,
                    description='Score a model on mock observations not used in its training.')
    parser.add_argument('model', metavar='MODEL', type=Path, nargs='?', help='folder of the model')
    parser.add_argument('set', metavar='SET', type=Path, nargs='?', help='folder of the training set')
    parser.add_argument('-o', '--output', metavar='FOLDER', type=Path, required=True,
                        help='folder of the report')
    parser.add_argument('--split', default='test', help='part of the set (default: test)')
    parser.add_argument('--parts', metavar='NAME', nargs='+',
                        help="only the maps of these parts of the set's recipe (default: all)")
    parser.add_argument('--given', metavar='WHAT', nargs='+', default=['image'],
                        help='given properties: image (none), or constraints joined by +, such as '
                             'distance+age+metallicity; one or more (default: image)')
    parser.add_argument('--maps', metavar='N', type=above_zero, help='only N maps, evenly spaced in the part')
    parser.add_argument('--snapshots', metavar='FILE', nargs='+', type=Path,
                        help='some dozens of snapshots of the simulations of this part, for the floor')
    parser.add_argument('--seed', type=int, default=0,
                       help='seed of the errors of the given properties (default: 0)')
    parser.add_argument('--card', action='store_true',
                        help='write the main scores to the model folder and its card')
    parser.add_argument('--no-baselines', action='store_true', help='without baselines')
    real = parser.add_argument_group("the paper's clusters")
    real.add_argument('--clusters', action='store_true', help="apply the model to the paper's 17 clusters")
    real.add_argument('--stand-ins', action='store_true', help='use synthetic images with their light')
    real.add_argument('--field-of-view', choices=('paper', 'auto'), default='paper',
                      help='field of the maps: 40 arcsec, as in the paper, or "auto", 40 to 160 arcsec as '
                           'the cluster needs, as in predictions (default: paper)')
    real.add_argument('--offline', action='store_true', help='use only images in the cache')
    real.add_argument('--server', metavar='URL', help="address of the survey's services")
    parser.add_argument('--no-figures', action='store_true', help='tables only')
    parser.add_argument('--overwrite', action='store_true', help='replace an existing report')
    add_quiet_and_debug(parser, quiet='print nothing')
    return parser


def _evaluate(options):
    _check(options)
    if options.clusters:
        return _clusters(options)
    # slow imports, which the help must not wait for
    from pidoc import Snapshot
    from pidoc.evaluation.report import evaluate
    from pidoc.inference.estimator import Estimator
    from pidoc.training.model_card import add_scores
    from pidoc.training_set.dataset import TrainingSet

    page = options.output / 'report.rst'
    if page.exists() and not options.overwrite:
        raise OSError(f'{page} exists: give --overwrite to replace it')
    everything = TrainingSet.read(options.set)
    maps = _lit(_some(_of_parts(everything.split(options.split), options.parts), options.maps))
    training = None if options.no_baselines else _training(everything, options)
    estimator = Estimator.load(options.model)
    snapshots = None if options.snapshots is None else map(Snapshot.read, options.snapshots)
    like = None if training is None else _like(everything, maps, options.split)
    regression = None if like is None else _lit(like)
    report = evaluate(estimator, maps, given=options.given, training=training, regression=regression,
                      snapshots=snapshots, seed=options.seed, name=options.model.name,
                      progress=not options.quiet)
    options.output.mkdir(parents=True, exist_ok=True)
    figures = [] if options.no_figures else _figures(report, estimator, maps, options)
    report.write(options.output, overwrite=options.overwrite, figures=figures)
    if options.card:
        add_scores(options.model, report, split=options.split, parts=options.parts)
    if not options.quiet:
        _print_main(report, page)


def _check(options):
    """Raise an error if options contradict each other."""
    if not options.clusters:
        given = [f'--{name.replace("_", "-")}' for name in ('stand_ins', 'offline', 'server')
                 if getattr(options, name)]
        given += ['--field-of-view'] * (options.field_of_view != 'paper')
        if given:
            raise ValueError(f'{given[0]} is for --clusters')
        if options.set is None:
            raise ValueError('MODEL and SET must be given, or --clusters')
        return
    defaults = vars(_parser().parse_args(['--clusters', '-o', 'x']))
    for name in ('split', 'parts', 'given', 'maps', 'snapshots', 'card', 'no_baselines'):
        if getattr(options, name) != defaults[name]:
            raise ValueError(f'--{name.replace("_", "-")} is not for --clusters')
    if options.stand_ins and (options.offline or options.server):
        raise ValueError('--stand-ins needs no images: --offline and --server must be left out')


# -- the paper's clusters -------------------------------------------------------------------------


def _clusters(options):
    """The clusters of the paper's Table 3; nothing is written if none of them is available."""
    from pidoc.evaluation.real_clusters import compare
    from pidoc.prediction.mapper import MassMapper

    page = options.output / 'report.rst'
    if page.exists() and not options.overwrite:
        raise OSError(f'{page} exists: give --overwrite to replace it')
    training = None
    if options.set is not None:
        from pidoc.training_set.dataset import TrainingSet

        maps = TrainingSet.read(options.set)
        training = maps.split('train').table if 'train' in set(maps.table['split']) else maps.table
    mapper = MassMapper.from_pretrained(str(options.model or 'default'))
    images, missing = _images(options, mapper)
    for name, why in missing.items():
        log.warning('%s: %s', name, why)
    if not images:
        raise OSError(f'none of the {len(missing)} clusters is in the cache, and the survey does not answer: '
                      'nothing was written (--stand-ins runs on synthetic images)')
    report = compare(mapper, images, training=training, missing=missing)
    options.output.mkdir(parents=True, exist_ok=True)
    figures = [] if options.no_figures else _cluster_figures(report, options)
    report.write(options.output, overwrite=options.overwrite, figures=figures)
    if not options.quiet:
        print(report.title)
        for row in report.caught():
            flagged = ', '.join(f'{row[f"flagged_{mode}"]} ({mode})' for mode in report.modes)
            print(f'{row["n"]:3d} {row["clusters"]:<13} flagged: {flagged}')
        print(f'the rest is in {page}')
    return BAD if missing else 0


def _images(options, mapper):
    """Maps of the clusters, and the reasons where they are missing."""
    from pidoc.evaluation.real_clusters import fetch_all, suited_grids
    from pidoc.image.ps1.retrieval import Archive

    grids = suited_grids(mapper) if options.field_of_view == 'auto' else None
    if not options.stand_ins:
        server = {'server': options.server.rstrip('/')} if options.server else {}
        return fetch_all(Archive(offline=options.offline, **server), grids=grids, progress=not options.quiet)
    from tempfile import TemporaryDirectory

    from astropy import units as u

    from pidoc.catalogs import paper_table
    from pidoc.evaluation.real_clusters import ASSUMED_AGE
    from pidoc.evaluation.synthetic_sky import draw_cluster, SyntheticArchive, write_files

    known = paper_table()
    ages = {str(name): ASSUMED_AGE if getattr(age, 'mask', False) else float(age.value) * u.Gyr
            for name, age in zip(known['name'], known['age'], strict=True)}
    with TemporaryDirectory(prefix='pidoc-synthetic-') as folder:
        def archive(name):
            its = Path(folder) / name
            how = {'seed': options.seed}
            if grids is not None:
                how['field_of_view'] = grids[name].field_of_view[0]
            write_files(draw_cluster(name, age=ages[name], **how), its, **how)
            return SyntheticArchive(folder=its)

        return fetch_all(archive, grids=grids, progress=not options.quiet)


def _cluster_figures(report, options):
    from pidoc.evaluation.real_clusters import HOW
    from pidoc.plotting.real_clusters import plot_light, plot_literature, plot_predictions

    drawn = [('light', plot_light(report), 'V luminosity in the field against age, as Fig. 10. '
              'Open: out of range.')]
    for mode in report.modes:
        how = HOW[mode][0].lower() + HOW[mode][1:]
        shown = ['M/L', *(name for name in ('age', 'distance') if name not in report.given(mode))]
        drawn += [
            (f'literature_{mode}', plot_literature(report, mode),
             f'Predicted {", ".join(shown)} against the literature, and residuals, as Fig. 11; {how}. Red: '
             "the five of the paper's range; open: flagged; crosses: what the paper predicted from the real "
             'images.'),
            (f'predictions_{mode}', plot_predictions(report, mode), 'Light and predicted mass of the four '
             f'clusters with the least light, as Fig. 12; {how}.')]
    made = []
    for name, figure, caption in drawn:
        with replacing(options.output / f'{name}.png') as path:
            figure.savefig(path, dpi=60 if name.startswith('predictions') else 85)
        made.append((f'{name}.png', caption))
    return made


def _of_parts(maps, names):
    import numpy as np

    if names is None:
        return maps
    there = sorted(set(map(str, maps.table['part'])))
    if unknown := sorted(set(names) - set(there)):
        raise ValueError(f'--parts must be of {", ".join(there)}, received {", ".join(unknown)}')
    return maps[np.flatnonzero(np.isin(maps.table['part'], names))]


def _some(maps, number):
    import numpy as np

    if number is None or number >= len(maps):
        return maps
    return maps[np.unique(np.round(np.linspace(0, len(maps) - 1, number)).astype(int))]


def _training(everything, options):
    """The training part; None, with a warning, if there is none or if it is the part that is scored."""
    if options.split == 'train' or 'train' not in set(everything.table['split']):
        log.warning('no baselines: the set has no training part besides the one that is scored')
        return None
    return _lit(everything.split('train'))


def _lit(maps):
    """The maps with light; all others are refused by predictions."""
    from pidoc.training_set.dataset import has_light

    good = has_light(maps)
    return maps if good.all() else maps[good]


def _like(everything, maps, split):
    """Maps of another split with fields like those that are scored, for the regression of the envelope.

    Those of the training part, or of the validation part if only it has such fields; None if neither has.
    """
    import numpy as np

    of_part = {part.name: part.field or '' for part in everything.recipe.parts}
    fields = np.array([of_part[str(name)] for name in everything.table['part']])
    wanted = {of_part[str(name)] for name in maps.table['part']}
    for other in [name for name in ('train', 'validation') if name != split]:
        rows = np.flatnonzero(np.isin(fields, list(wanted)) & (everything.table['split'] == other))
        if wanted == set(fields[rows]):
            return everything[rows]
    return None


# -- figures --------------------------------------------------------------------------------------


def _figures(report, estimator, maps, options):
    """Write all figures; returns names and captions."""
    from pidoc.plotting.comparison import plot_comparison

    made = []
    for mode in report.comparisons:
        said = 'the image only' if mode == 'image' else f'the image and {mode.replace("+", ", ")}'
        found = report.comparisons[mode]
        panels = [('pixels', ('pixel',), 'True against predicted mass of all pixels, as Fig. 5'),
                  ('totals', ('total_mass', 'mass_to_light'),
                   'True against predicted mass in the field and M/L, as Fig. 6'),
                  ('ages', ('age',), 'True against predicted age, as Fig. 8')]
        for name, keys, caption in panels:
            chosen = [found[key] for key in keys if key in found and found[key].counts.any()]
            if chosen:
                drawn = plot_comparison(*chosen, minimum_count=5)
                made.append(_save(drawn, name, mode, said, caption, options))
        if 'distance' in found:
            made.append(_save(*_distances(report, mode, found['distance']), mode, said,
                              'Predicted distances, as Fig. 9', options))
        made += _examples(estimator, maps, mode, said, options)
    ranks = {mode: report.tables[f'ranks_{mode}'] for mode in report.comparisons
             if f'ranks_{mode}' in report.tables}
    if ranks:
        from pidoc.plotting.coverage import plot_coverage

        caption = 'Ranks of the truth in its posterior (SBC), and jointly (TARP, black), less the diagonal'
        made.append(_save(plot_coverage(ranks), 'ranks', 'all', 'what is above each panel', caption, options))
    return made


def _save(figure, name, mode, said, caption, options):
    path = options.output / f'{name}_{mode}.png'
    temporary = path.with_name(f'.{path.name}')
    figure.savefig(temporary, format='png', dpi=120)
    temporary.replace(path)
    return path.name, f'{caption}; from {said}.'


def _distances(report, mode, comparison):
    import numpy as np

    from pidoc.plotting.comparison import plot_comparison
    from pidoc.plotting.distances import plot_distances

    table = report.maps[mode]
    if np.unique(table['true_distance'].value).size <= 8:
        return plot_distances(table['distance'], table['true_distance']), 'distances'
    return plot_comparison(comparison, minimum_count=5), 'distances'


def _examples(estimator, maps, mode, said, options):
    """Maps and profiles of some clusters, as Figs. 4 and 7."""
    import numpy as np
    from astropy import units as u

    from pidoc.evaluation.report import channels_of, known_values
    from pidoc.grid import APPARENT_FLUX, MASS_PER_PIXEL
    from pidoc.plotting.maps import plot_maps
    from pidoc.plotting.profiles import plot_profiles
    from pidoc.prediction.profiles import mass_profile, mass_to_light_profile
    from pidoc.training_set.truths import truths

    rows = _example_rows(maps.table)
    light, mass, table = maps.light(rows), maps.mass(rows) * MASS_PER_PIXEL, maps.table[rows]
    known = known_values(truths(table), mode, estimator.constraints)
    estimates = estimator.estimate(channels_of(estimator, maps, rows, light), known=known,
                                   pixel_scale=maps.pixel_scales[rows])
    found, light = np.asarray(estimates.mass) * MASS_PER_PIXEL, light * APPARENT_FLUX
    labels = {'true_age': table['age'], 'true_distance': table['distance']}
    for name, unit in (('age', u.Gyr), ('distance', u.kpc)):
        if name in estimates.scalars:
            labels[f'predicted_{name}'] = estimates.scalars[name].value * unit
    scales = maps.pixel_scales[rows] * u.arcsec
    drawn = plot_maps(light, mass, found, pixel_scale=scales, **labels)
    made = [_save(drawn, 'examples', mode, said, 'Light, true mass and predicted mass, as Fig. 4', options)]

    profiles = [[], [], [], []]
    for i, row in enumerate(table):
        same = {'pixel_scale': scales[i], 'center': _center(row, scales[i], light.shape[1:])}
        for j, each in enumerate((mass[i], found[i])):
            profiles[j].append(mass_profile(each, **same))
            profiles[2 + j].append(mass_to_light_profile(each, light[i], distance=row['distance'], **same))
    labels = [f'{age:.1f} Gyr, {distance:.0f} kpc' for age, distance in
              zip(table['age'].to_value(u.Gyr), table['distance'].to_value(u.kpc), strict=True)]
    caption = 'Profiles of mass and M/L of the same clusters, true (solid) and predicted (dashed), as Fig. 7'
    drawn = plot_profiles(*profiles, labels=labels)
    return [*made, _save(drawn, 'profiles', mode, said, caption, options)]


def _example_rows(table):
    """One map at each of up to four distances, ages through the range."""
    import numpy as np

    distance, age = (np.asarray(table[name].value) for name in ('distance', 'age'))
    different = np.unique(distance)
    chosen = different[np.unique(np.round(np.linspace(0, different.size - 1, _EXAMPLES)).astype(int))]
    ages = np.quantile(age, np.linspace(0.2, 0.95, chosen.size))
    rows = []
    for far, wanted in zip(chosen, ages, strict=True):
        here = np.flatnonzero(distance == far)
        rows.append(int(here[np.abs(age[here] - wanted).argmin()]))
    return np.array(rows)


def _center(row, scale, shape):
    """The centre of the cluster in pixels; the middle if the set records no shift."""
    from astropy import units as u

    middle = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    if 'shift_x' not in row.colnames:
        return middle
    step = scale.to_value(u.arcsec)
    return tuple(place + row[name].to_value(u.arcsec) / step
                 for place, name in zip(middle, ('shift_x', 'shift_y'), strict=True))


def _print_main(report, page):
    import numpy as np

    table = report.tables['scores']
    # without the baselines, for which a terminal is too narrow
    columns = ['paper', *report.meta['given'].split(', '), *['floor'] * ('floor' in table.colnames)]
    rows = [[f'{report.meta["maps"]} maps', *columns]]
    for row in table[np.isin(table['score'], _MAIN)]:
        if np.isfinite([row[name] for name in columns[1:]]).any():
            rows.append([f'{row["text"]} [{row["unit"]}]',
                         *(f'{row[name]:.3g}' if np.isfinite(row[name]) else '-' for name in columns)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for label, *texts in rows:
        print('  '.join([label.ljust(widths[0]), *map(str.rjust, texts, widths[1:])]))
    if 'richness' in report.tables:
        _print_richness(report.tables['richness'])
    print(f'baselines and all else: {page}')


def _print_richness(table):
    print('\nclusters older than 9 Gyr, by their number of stars at birth: median error and bias of the mass '
          'in the field [%],\nmedian errors of M/L and of the mass of the cluster [%], coverage of the 68 '
          'and 95 % intervals of the mass [%]')
    for row in table:
        numbers = [row[name].value for name in table.colnames[3:]]
        print(f'{row["estimate"]:<50} {row["stars"]:<12} {row["n"]:5d} '
              + ' '.join('      -' if number != number else f'{number:7.1f}' for number in numbers))


if __name__ == '__main__':
    sys.exit(main())
