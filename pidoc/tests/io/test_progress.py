# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Progress bars: where there is one, how wide it is, and messages above it."""

import logging

import pytest

from pidoc.io.progress import AboveBars, ProgressBar
from pidoc.tests.terminal import Terminal


@pytest.mark.parametrize('columns', [30, 40, 80, 120])
def test_a_bar_leaves_room_for_what_ctrl_c_shows(columns):
    terminal = Terminal()
    bar = ProgressBar(10, 'maps', progress=True, unit=' maps', file=terminal)
    bar.dynamic_ncols = lambda _: (columns - 1, 24)
    bar.update(5)
    bar.close()
    line, empty = terminal.lines()
    assert empty == '' and line.startswith('maps:  50%|') and len(line) + len('^C') < columns
    assert ('5/10' in line) == (columns > 62)
    # nothing is cut off
    assert line.endswith('maps/s]' if columns > 62 else '<00:00')


@pytest.mark.parametrize('progress, is_terminal', [(False, True), (True, False)])
def test_no_bar(progress, is_terminal):
    terminal = Terminal()
    terminal.isatty = lambda: is_terminal
    with ProgressBar(10, 'maps', progress=progress, file=terminal) as bar:
        bar.update(10)
    assert terminal.text == ''


def test_messages_are_above_the_bar():
    terminal = Terminal()
    log = logging.getLogger('pidoc.tests.progress')
    log.propagate = False
    log.addHandler(AboveBars(terminal))
    with ProgressBar(10, 'maps', progress=True, file=terminal) as bar:
        bar.update(3)
        log.warning('beware of %s', 'this')
        bar.update(7)
    first, second, empty = terminal.lines()
    assert first == 'beware of this' and second.startswith('maps: 100%|') and empty == ''
    # and without one
    log.warning('and of that')
    assert terminal.lines()[2] == 'and of that'
