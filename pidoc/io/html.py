# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Representation of objects in notebooks."""

import base64
import html
from io import BytesIO

import numpy as np

__all__ = ['html_table', 'thumbnail']

_SIDE = 160                # pixels of a thumbnail, at most about so many
_DECADES = 3.5             # below the brightest pixel that are shown


def html_table(caption, rows, *, images=None):
    """A table of two columns, for ``_repr_html_``.

    Parameters
    ----------
    caption : str
    rows : iterable of (object, object)
        Left and right column; text is escaped, so that names of files cannot contain markup.
    images : dict of str to ndarray, optional
        Maps to show below it as thumbnails, by name.

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
    table = f'<table><caption>{html.escape(str(caption))}</caption>{cells}</table>'
    if not images:
        return table
    shown = ' '.join(f'<img src="{thumbnail(data)}" alt="{html.escape(name)}" title="{html.escape(name)}" />'
                     for name, data in images.items())
    return f'<div>{table}{shown}</div>'


def thumbnail(data):
    """A small logarithmic picture of a map, as a data URI.

    Parameters
    ----------
    data : array-like, shape (ny, nx)
        A map of light or mass; pixels that are not above 0 are dark.

    Returns
    -------
    str
        A PNG image, beginning with 'data:image/png;base64,'.
    """
    # a large import that only notebooks need
    from matplotlib.image import imsave

    data = np.asarray(data, dtype=float)
    data = data[tuple(slice(None, None, max(1, round(size / _SIDE))) for size in data.shape)]
    good = np.where(np.isfinite(data) & (data > 0.0), data, 0.0)
    top = good.max(initial=0.0) or 1.0
    shown = np.log10(np.maximum(good / top, 10.0**-_DECADES))
    stream = BytesIO()
    imsave(stream, shown, vmin=-_DECADES, vmax=0.0, cmap='magma', origin='lower', format='png')
    return f'data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}'
