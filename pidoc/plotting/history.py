# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Training history."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from pidoc.plotting.style import BLUE, DASHED, DOTTED, draw_line, VERMILION

__all__ = ['plot_history']

def plot_history(history, *, loss='loss', r_squared='r_squared'):
    """Loss and coefficient of determination against the epoch (Chardin & Bianchini 2021, Fig. 3).

    Parameters
    ----------
    history : dict
        Name -> values, one per epoch, as in ``keras.callbacks.History.history``; names that begin with
        ``val_`` are for the validation set. Or title -> such a dict, for several networks in columns.
    loss, r_squared : str, optional
        Names of the two. Missing ones are not drawn.

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    ValueError
        If there is no loss, or a history has lists of different lengths.

    Examples
    --------
    >>> from pidoc.plotting import plot_history
    >>> figure = plot_history({'loss': [2.0, 1.0, 0.5], 'val_loss': [2.1, 1.2, 0.9]})
    >>> [axis.get_xlabel() for axis in figure.axes]
    ['epoch']
    """
    columns = history if history and all(isinstance(v, Mapping) for v in history.values()) else {'': history}
    for each in columns.values():
        _check_history(each, loss)
    both = any(name in each for each in columns.values() for name in (r_squared, f'val_{r_squared}'))
    figure = Figure(figsize=(4.6 * len(columns) + 0.4, 5.6 if both else 3.6), layout='constrained')
    axes = figure.subplots(1 + both, len(columns), sharex='col', squeeze=False)
    for column, (title, each) in zip(axes.T, columns.items(), strict=True):
        column[0].set_title(title)
        _draw_epochs(column[0], each, loss)
        column[0].set_ylabel(loss.replace('_', ' '))
        if all(np.all(np.asarray(each[name]) > 0.0) for name in (loss, f'val_{loss}') if name in each):
            column[0].set_yscale('log')
        column[0].legend(frameon=False)
        if both:
            _draw_epochs(column[1], each, r_squared)
            column[1].set_ylabel(r'$R^2$')
            column[1].set_ylim(0.0, 1.02)
            for level in (0.7, 0.8, 0.9):
                column[1].axhline(level, color='grey', lw=0.8, ls=DOTTED)
        column[-1].set_xlabel('epoch')
    return figure


def _check_history(history, loss):
    if loss not in history:
        received = ', '.join(map(repr, history)) or 'nothing'
        raise ValueError(f'a history must have {loss!r}, received {received}')
    lengths = {len(values) for values in history.values()}
    if len(lengths) > 1 or lengths == {0}:
        raise ValueError('a history must have a value for each epoch under every name, received '
                         f'{min(lengths)} to {max(lengths)}')


def _draw_epochs(axis, history, name):
    for key, colour, dashes, label in ((name, VERMILION, '-', 'training'),
                                       (f'val_{name}', BLUE, DASHED, 'validation')):
        if key in history:
            values = np.asarray(history[key], dtype=float)
            draw_line(axis, np.arange(1, values.size + 1), values, colour, dashes, label, width=1.6)
            if len(history[key]) == 1:
                axis.lines[-1].set_marker('o')
