#!/usr/bin/env python
# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Put the scores of the packaged model into the tables of README and docs.

The numbers are those of the reports in ``docs/reports`` that ``pidoc-evaluate`` writes. Each table stands
between two comments that name it; the sentences around them are written by hand.
``pidoc/tests/test_home.py`` fails until this was run.
"""

import sys
from pathlib import Path

from astropy.table import Table

ROOT = Path(__file__).resolve().parents[1]
REPORT = 'docs/reports/default/report.rst'
CLUSTERS = 'docs/reports/clusters-default/report.rst'
OLD = 'Mass in the field of clusters older than 9 Gyr'
ALL = 'Scores of default'
KNOWN = {
    'nothing': 'image',
    'distance': 'distance',
    'distance, age': 'distance+age',
    'distance, age, [Fe/H]': 'distance+age+metallicity',
    'these and the slope of the mass function': 'distance+age+metallicity+mass_function_slope',
    'distance, velocity dispersion': 'distance+velocity_dispersion',
    'distance, age, [Fe/H], velocity dispersion': 'distance+age+metallicity+velocity_dispersion',
    'all these and the slope': 'distance+age+metallicity+velocity_dispersion+mass_function_slope',
}
ENVELOPE = {
    'envelope: M/L = 2, distance': 'ml2',
    'envelope: regression on age, [Fe/H], radius, distance': 'regression',
    'envelope: virial, distance and dispersion': 'virial',
}
LIMIT = {
    'limit: distance, age, [Fe/H]': 'limit: distance+age+metallicity',
    'limit: these and the dispersion': 'limit: distance+age+metallicity+velocity_dispersion',
}
SCORES = {
    'mass per pixel, all bins, Eq. 2 [%]': 'pixel mass, all bins, Eq. 2 [%]',
    'mass per pixel, bins above log M = -1, Eq. 2 [%]': 'pixel mass, bins above -1, Eq. 2 [%]',
    "mass in the field, the model's own number [%]":
        "mass in the field, the model's own number, mean over maps [%]",
    "M/L, the model's own number [%]": "M/L, the model's own number, mean over maps [%]",
    'age [Gyr]': 'age, mean absolute error over maps [Gyr]',
    'distance [kpc]': 'distance, mean absolute error over maps [kpc]',
}
CHOICES = {'image only': 'image only', 'distance given': 'distance given',
           'and dispersion': 'distance+velocity_dispersion',
           'and age and [Fe/H]': 'distance+age+metallicity+velocity_dispersion'}
MODES = {'nothing': 'image', 'distance': 'distance', 'distance, age, [Fe/H]': 'known',
         'these and the slope of the mass function': 'slope',
         'distance, age, [Fe/H], velocity dispersion': 'dispersion'}


def table_under(heading, report=REPORT):
    """The first table under a heading of a report that begins with these words."""
    lines = (ROOT / report).read_text(encoding='utf-8').splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith(heading))
    rules = [k for k in range(start, len(lines)) if lines[k].startswith('=') and ' ' in lines[k]]
    return Table.read(lines[rules[0]:rules[2] + 1], format='ascii.rst', fill_values=[('–', 'nan')])


def by_stars():
    """Rows of the table by the number of stars: what is known -> the rows of its bins."""
    table = table_under(OLD)
    return {title: table[table['estimate'] == name] for title, name in (KNOWN | ENVELOPE | LIMIT).items()}


def covered(row):
    if row['estimate'] not in KNOWN.values():
        return ''
    return f', {row["share_68 [%]"]:.0f}/{row["share_95 [%]"]:.0f}'


def readme_table():
    """Error and coverage in three bins, as Markdown."""
    lines = ['', '| known | up to 10^5 stars | to 5 x 10^5 | above |', '|---|---|---|---|']
    for title, bins in by_stars().items():
        cells = (f'{row["mass_error [%]"]:.0f} %{covered(row)}' for row in bins)
        lines.append(f'| {title} | {" | ".join(cells)} |')
    return [*lines, '']


def in_columns(header, rows):
    """A simple table of reStructuredText."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = '  '.join('=' * width for width in widths)
    body = ['  '.join(map(str.ljust, row, widths)).rstrip() for row in (header, *rows)]
    return ['', rule, body[0], rule, *body[1:], rule, '']


def page_by_stars():
    """Error, bias and coverage in three bins, and the error of the whole mass."""
    rows = []
    for title, bins in by_stars().items():
        cells = [f'{row["mass_error [%]"]:.0f} %, {round(row["mass_bias [%]"]):+d}{covered(row)}'
                 .replace('-', '−') for row in bins]
        whole = [f'{row["cluster_mass_error [%]"]:.0f}' for row in bins if title in KNOWN]
        rows.append([title.removeprefix('envelope: '), *cells, ', '.join(whole) + ' %' if whole else '–'])
    return in_columns(['known', 'up to 10⁵ stars', 'to 5 × 10⁵', 'above', 'whole mass'], rows)


def page_over_all():
    """Means over all maps of the test part, whatever their age."""
    table = table_under(ALL)
    rows = [[title, *(table[table['score'] == name][column][0] for column in CHOICES.values())]
            for title, name in SCORES.items()]
    return in_columns(['score', *CHOICES], [[str(cell) for cell in row] for row in rows])


def page_of_clusters():
    """The paper's clusters: M/L against the literature and against the stand-ins, and the stand-ins' mass."""
    table = table_under('Agreement', CLUSTERS)
    rows = []
    for title, mode in MODES.items():
        of = {(row['quantity'], row['clusters']): row for row in table if row['mode'] == mode}
        published, own, mass = (of[name, 'all'] for name in (
            'M/L, literature', 'M/L of the stand-in', 'mass in the field of the stand-in'))
        unflagged = of.get(('M/L, literature', 'not flagged'), {'n': 0})
        rows.append([title, f'{published["error"]:.0f} %, {published["bias"]:+.0f}'.replace('-', '−'),
                     *(f'{row["in_95"]:d}' for row in (published, own, mass)), f'{unflagged["n"]:d}'])
    return in_columns(['known', 'M/L, literature', 'within 95 %', 'own M/L', 'own mass', 'not flagged'], rows)


TABLES = {
    'README.md': {'scores': ('<!-- {} -->', readme_table)},
    'docs/against_the_paper.rst': {'scores by stars': ('.. {}', page_by_stars),
                                   'scores over all': ('.. {}', page_over_all)},
    'docs/real_clusters.rst': {'scores of clusters': ('.. {}', page_of_clusters)},
}


def expected(name):
    """What a file should hold, as text."""
    text = (ROOT / name).read_text(encoding='utf-8')
    for title, (comment, make) in TABLES[name].items():
        begin, end = (comment.format(f'{title}: {word}') for word in ('begin', 'end'))
        before, rest = text.split(f'{begin}\n')
        text = '\n'.join([f'{before}{begin}', *make(), f'{end}{rest.split(end)[1]}'])
    return text


def main():
    for name in TABLES:
        path, text = ROOT / name, expected(name)
        if path.read_text(encoding='utf-8') != text:
            path.write_text(text, encoding='utf-8')
            print(f'{name} was written')
    return 0


if __name__ == '__main__':
    sys.exit(main())
