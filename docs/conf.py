# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Configuration of the documentation, which builds without a network (tox -e docs)."""

import sys
from pathlib import Path

import pidoc

sys.path.insert(0, str(Path(__file__).parent))

project = 'pidoc'
author = 'The pidoc developers'
project_copyright = '2026, the pidoc developers'
version = release = pidoc.__version__

extensions = ['sphinx_automodapi.automodapi', 'numpydoc', 'pytest_doctestplus.sphinx.doctestplus',
              'sphinx_gallery.gen_gallery']
exclude_patterns = ['_build', 'tutorials']
default_role = 'obj'
automodapi_toctreedirnm = 'api'
automodapi_inheritance_diagram = False
numpydoc_show_class_members = False
# types are in words in the docstrings; those of schemas hold rules of many lines
autodoc_typehints = 'none'

# the scripts in tutorials run, and become pages in auto_tutorials
sphinx_gallery_conf = {
    'examples_dirs': 'tutorials',
    'gallery_dirs': 'auto_tutorials',
    'filename_pattern': '.',
    'within_subsection_order': 'FileNameSortKey',
    'image_scrapers': ('tutorial_figures.scraper',),
    'abort_on_example_error': True,
    'download_all_examples': False,
    'show_signature': False,
    'write_computation_times': False,
}

html_theme = 'alabaster'
html_theme_options = {'description': pidoc.__doc__.splitlines()[0], 'fixed_sidebar': True}
html_sidebars = {'**': ['about.html', 'navigation.html', 'searchbox.html']}


def missing_modules():
    """Modules of the package that docs/api.rst does not name."""
    root = Path(pidoc.__file__).parent
    named = (Path(__file__).parent / 'api.rst').read_text(encoding='utf-8').split()
    paths = (path.relative_to(root.parent).with_suffix('').parts for path in root.rglob('*.py'))
    return sorted('.'.join(parts) for parts in paths
                  if not {'tests', 'scripts', '__init__', 'conftest'} & set(parts)
                  and '.'.join(parts) not in named)


def drop_table_of_formats(app, what, name, obj, options, lines):
    """Cut the table that astropy's I/O registry appends: numpydoc takes it for an exception."""
    for index, line in enumerate(lines):
        if line.strip() == 'The available built-in formats are:':
            del lines[index:]
            break


def setup(app):
    from sphinx.util import logging

    # before numpydoc, whose priority is the default 500
    app.connect('autodoc-process-docstring', drop_table_of_formats, priority=400)
    for name in missing_modules():
        logging.getLogger(__name__).warning('%s is not in api.rst', name)
