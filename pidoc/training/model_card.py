# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The model card: training data, scores and limits of a model (Mitchell+ 2019)."""

from pathlib import Path

import numpy as np

from pidoc.inference.domain import Domain
from pidoc.inference.features import FEATURES
from pidoc.inference.folder import read_card, write_card
from pidoc.io.files import replacing
from pidoc.networks.variables import OUTPUTS

__all__ = ['add_scores', 'card_text', 'epochs_of', 'settings_text', 'write_model_card']


def card_text(about, *, sha256=None):
    """A model card as a page of reStructuredText.

    Parameters
    ----------
    about : dict
        The ``about`` of ``model.json``.
    sha256 : dict, optional
        File of weights -> checksum.

    Returns
    -------
    str

    Examples
    --------
    >>> from pidoc.training import card_text
    >>> print(card_text({'name': 'mine', 'n_train': 24000}).splitlines()[0])
    Model card: mine
    """
    title = f'Model card: {about.get("name") or "without a name"}'
    lines = [title, '=' * len(title), '', about.get('description') or 'No description.', '',
             *_training(about), *_prior(about), *_limits(about), *_scores(about)]
    if sha256:
        lines += ['', 'Weights', '-------', '']
        lines += [f'- ``{name}``: SHA-256 ``{digest}``' for name, digest in sha256.items()]
    return '\n'.join(lines) + '\n'


def _training(about):
    recipe, settings = about.get('recipe', {}), about.get('settings', {})
    lines = ['Training', '--------', '',
             f'Training set ``{recipe.get("name", "unknown")}``: {about.get("n_train", 0)} training maps, '
             f'{about.get("n_validation", 0)} validation maps; {recipe.get("description", "")}. '
             'The whole recipe, with seeds, is in ``model.json``.', '']
    lines += [f'Settings: {settings_text(settings)}.', '']
    if 'vgg' in settings:
        lines += [f'Perceptual loss of the mass network: VGG16 with the weights {settings["vgg"]}.', '']
    lines += [f'Network {number}: {text}.' for number, text in enumerate(epochs_of(about), start=1)]
    lines += [f'Network {number} {text}.' for number, plan in enumerate(about.get('plans', []), start=1)
              for text in _went_on(plan)]
    return [*lines, '']


def settings_text(settings):
    """The settings of a training, as a list in words."""
    return ', '.join(f'{name} {_plain(value)}' for name, value in settings.items())


def epochs_of(about):
    """Summary of the training of each network: sentences without full stops."""
    for history in about.get('history', []):
        ours = 'val_likelihood' in history
        losses = history['val_likelihood' if ours else 'val_loss']
        yield (f'{len(losses)} epochs, best validation {"likelihood (-ln)" if ours else "loss"} '
               f'{min(losses):.4f} after epoch {int(np.argmin(losses)) + 1}')


def _went_on(plan):
    """How a training was continued after its end: sentences without subject and full stop."""
    for (_, before), (epoch, asked) in zip(plan, plan[1:], strict=False):
        yield f'was to be trained for {before} epochs, and from epoch {epoch + 1} on for {asked}'


def _plain(value):
    if value is None:
        return 'all'
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, dict):
        # a selection of maps
        return ' '.join(f'{name} {_plain(each)}' for name, each in value.items() if each) or 'all'
    return '-'.join(map(_plain, value)) if isinstance(value, (list, tuple)) else f'{value:g}'


def _prior(about):
    if not about.get('prior'):
        return []
    units = {name: each.unit or '' for name, each in OUTPUTS.items()}
    rows = [(name, *(f'{value:g}' for value in ends), units.get(name, ''))
            for name, ends in about['prior'].items()]
    return ['Prior', '-----', '', 'Distribution of the training maps, to which the posterior reverts where '
            'the image constrains little:', '',
            *simple_table(('quantity', '2.5 %', 'median', '97.5 %', 'unit'), rows), '']


def _limits(about):
    if not about.get('domain'):
        return ['Limits', '------', '', 'The training domain was not learned: no image counts as inside.', '']
    domain = Domain.from_dict(about['domain'])
    rows = []
    for feature in FEATURES:
        if feature.name in domain.ranges:
            low, high = (feature.outside(end) for end in domain.ranges[feature.name])
            text = f'{low:.3g} to {high:.3g} {feature.unit}'.rstrip()
            rows.append((feature.name, text, feature.description))
    return ['Limits', '------', '', 'Images outside any of these ranges, or unlike all images of the '
            'training in several quantities together, are flagged:', '',
            *simple_table(('quantity', 'range', 'what it is'), rows), '']


def _scores(about):
    if not about.get('scores'):
        return ['Scores', '------', '', 'Not yet scored: ``pidoc-evaluate --card`` does it.']
    scores = about['scores']
    rows = [tuple(_number(cell) for cell in row) for row in scores['rows']]
    return ['Scores', '------', '', scores['text'], '', *simple_table(scores['columns'], rows)]


def _number(cell):
    if isinstance(cell, str):
        return cell
    return '–' if cell is None else f'{cell:.3g}'


def simple_table(heads, rows):
    """Lines of a simple table of reStructuredText."""
    cells = [tuple(map(str, row)) for row in (heads, *rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(heads))]
    rule = '  '.join('=' * width for width in widths)
    lines = ['  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in cells]
    return [rule, lines[0], rule, *lines[1:], rule]


def write_model_card(folder):
    """Write ``CARD.rst`` of a model folder from its ``model.json``."""
    card = read_card(folder)
    with replacing(Path(folder) / 'CARD.rst') as new:
        new.write_text(card_text(card['about'], sha256=card['sha256']), encoding='utf-8')


def add_scores(folder, report, *, split, parts=None):
    """Add the main scores of a report to a model folder, and write its card again.

    Parameters
    ----------
    folder : path-like
    report : `~pidoc.evaluation.Report`
    split : str
        Split of the report.
    parts : sequence of str, optional
        Parts of the recipe that it is of, if not of the whole split.
    """
    card = read_card(folder)
    table = report.tables['scores']
    columns = [name for name in table.colnames[4:] if np.any(np.isfinite(table[name]))]
    rows = []
    for row in table:
        values = [None if not np.isfinite(row[name]) else float(f'{row[name]:.4g}') for name in columns]
        if any(row[name] == row[name] for name in columns if name not in ('paper', 'floor')):
            unit = f' [{row["unit"]}]' if row['unit'] else ''
            rows.append([str(row['text']) + unit, *values])
    which = '' if parts is None else f' ({", ".join(parts)})'
    card['about']['scores'] = {
        'text': f'On the {split} part of its training set, {report.meta["maps"]} maps{which} of simulations '
                'that it was not trained on.', 'columns': ['score', *columns], 'rows': rows}
    write_card(folder, card)
    write_model_card(folder)
