# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Representation of objects in notebooks."""

import html

__all__ = ['html_table']


def html_table(caption, rows):
    """A table of two columns, for ``_repr_html_``.

    Parameters
    ----------
    caption : str
    rows : iterable of (object, object)
        Left and right column; text is escaped, so that names of files cannot contain markup.

    Returns
    -------
    str

    Examples
    --------
    >>> from pidoc.io.html import html_table
    >>> html_table('a < b', [('age', '12 Gyr')])
    '<table><caption>a &lt; b</caption><tr><td>age</td><td>12 Gyr</td></tr></table>'
    """
    cells = ''.join(f'<tr><td>{html.escape(str(left))}</td><td>{html.escape(str(right))}</td></tr>'
                    for left, right in rows)
    return f'<table><caption>{html.escape(str(caption))}</caption>{cells}</table>'
