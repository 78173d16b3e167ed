# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""A terminal for progress bars."""


class Terminal:
    """A stream that says it is a terminal, and keeps what was written."""

    encoding = 'utf-8'

    def __init__(self):
        self.text = ''

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True

    def lines(self):
        """What is left on the terminal: each line was overwritten from its beginning."""
        found = []
        for line in self.text.split('\n'):
            shown = ''
            for piece in line.split('\r'):
                shown = piece + shown[len(piece):]
            found.append(shown.rstrip())
        return found
