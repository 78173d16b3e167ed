# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Configuration of the documentation, which builds without a network (tox -e docs)."""

from pathlib import Path

import pidoc

project = 'pidoc'
author = 'The pidoc developers'
project_copyright = '2026, the pidoc developers'
version = release = pidoc.__version__

extensions = ['sphinx_automodapi.automodapi', 'numpydoc']
exclude_patterns = ['_build']
default_role = 'obj'
automodapi_toctreedirnm = 'api'
automodapi_inheritance_diagram = False
numpydoc_show_class_members = False

html_theme = 'alabaster'
html_theme_options = {'description': pidoc.__doc__.splitlines()[0], 'fixed_sidebar': True}
html_sidebars = {'**': ['about.html', 'navigation.html', 'searchbox.html']}


def missing_modules():
    """Modules of the package that docs/api.rst does not name."""
    root = Path(pidoc.__file__).parent
    named = (Path(__file__).parent / 'api.rst').read_text(encoding='utf-8').split()
    paths = (path.relative_to(root.parent).with_suffix('').parts for path in root.rglob('*.py'))
    return sorted('.'.join(parts) for parts in paths
                  if not {'tests', 'scripts', '__init__'} & set(parts)
                  and '.'.join(parts) not in named)


def setup(app):
    from sphinx.util import logging

    for name in missing_modules():
        logging.getLogger(__name__).warning('%s is not in api.rst', name)
