# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Configuration of the documentation, which builds with and without a network (tox -e docs)."""

import builtins
import pydoc
import re
import sys
from pathlib import Path
from urllib.request import urlopen

import pidoc

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

project = 'pidoc'
author = 'The pidoc developers'
project_copyright = '2026, the pidoc developers'
version = release = pidoc.__version__

extensions = ['sphinx_automodapi.automodapi', 'numpydoc', 'pytest_doctestplus.sphinx.doctestplus',
              'sphinx_gallery.gen_gallery', 'sphinx.ext.intersphinx']
exclude_patterns = ['_build', 'tutorials']
default_role = 'obj'
# of blocks that do not say it; examples with >>> are Python all the same
highlight_language = 'shell'
automodapi_toctreedirnm = 'api'
automodapi_inheritance_diagram = False
# the pages of modules are written below
autosummary_generate = False
# what automodapi lists of a module, where it is not all objects
MODULE_OPTIONS = {
    'pidoc.prediction': [':inherited-members:', ':skip: Measured'],
    'pidoc.prediction.prediction': [':inherited-members:', ':include-all-objects:'],
    'pidoc.mock': [':inherited-members:', ':include-all-objects:'],
    'pidoc.mock.mock': [':inherited-members:', ':include-all-objects:'],
    'pidoc.image.ps1': [],
    'pidoc.simulation.evolve': [],
    'pidoc.simulation.run': [],
    'pidoc.simulation.many': [],
    'pidoc.training_set': [],
    'pidoc.training': [],
    'pidoc.evaluation': [],
    'pidoc.plotting': [],
}
numpydoc_show_class_members = False
# types are in words in the docstrings; those of schemas hold rules of many lines
autodoc_typehints = 'none'
# defaults as they are written
autodoc_preserve_defaults = True
# members in the table of contents of a page, without the class
toc_object_entries_show_parents = 'hide'

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

# documentation of others that names link to
OTHERS = {
    'astropy': 'https://docs.astropy.org/en/stable/',
    'distributed': 'https://distributed.dask.org/en/stable/',
    'matplotlib': 'https://matplotlib.org/stable/',
    'msgspec': 'https://jcristharif.com/msgspec/',
    'numpy': 'https://numpy.org/doc/stable/',
    'photutils': 'https://photutils.readthedocs.io/en/stable/',
    'python': 'https://docs.python.org/3/',
    'reproject': 'https://reproject.readthedocs.io/en/stable/',
    'scipy': 'https://docs.scipy.org/doc/scipy/',
}
# Keras publishes no list of its objects
KERAS = {
    'Model': 'models/model/#model-class',
    'Model.fit': 'models/model_training_apis/#fit-method',
    'applications': 'applications/',
    'losses.Loss': 'losses/',
    'src.losses.loss.Loss': 'losses/',
    'utils.PyDataset': 'utils/python_utils/#pydataset-class',
    'utils.set_random_seed': 'utils/python_utils/#setrandomseed-function',
}


def reachable(address):
    """Whether another documentation answers: without a network there are no links to it."""
    try:
        with urlopen(f'{address}objects.inv', timeout=5) as answer:
            return answer.read(18) == b'# Sphinx inventory'
    except OSError:
        return False


intersphinx_mapping = {name: (address, None) for name, address in OTHERS.items() if reachable(address)}
# each reference must lead somewhere; without a network, those to others cannot
nitpicky = True
nitpick_ignore_regex = [(r'py:.*', rf'{name}(\..*)?') for name in OTHERS.keys() - intersphinx_mapping.keys()]
if 'python' not in intersphinx_mapping:
    nitpick_ignore_regex.append((r'py:.*', rf'({"|".join(sorted(sys.stdlib_module_names))})(\..*)?'))
    nitpick_ignore_regex.append((r'py:.*', '|'.join(dir(builtins))))
# not on a page: a type variable, and base classes
nitpick_ignore = [('py:obj', 'pidoc.io.schema.T'), ('py:class', 'pidoc.networks.scaling._Stored'),
                  ('py:class', 'tqdm.std.tqdm')]

html_theme = 'pydata_sphinx_theme'
html_title = f'{project} {release}'
html_theme_options = {
    'logo': {'text': project},
    'header_links_before_dropdown': 6,
    'navbar_align': 'left',
    # a field with its words does not fit beside the links
    'navbar_persistent': ['search-button'],
    'navigation_depth': 3,
    'show_toc_level': 2,
    'secondary_sidebar_items': ['page-toc'],
    'footer_start': ['copyright'],
    'footer_end': [],
    'pygments_light_style': 'tango',
    'pygments_dark_style': 'monokai',
}
html_sidebars = {'index': []}
html_copy_source = False
html_static_path = ['_static']
html_css_files = ['pidoc.css']


def listed_modules():
    """Modules in the tables of docs/api.rst: those for users, and the internals."""
    text = (DOCS / 'api.rst').read_text(encoding='utf-8')
    return [re.findall(r'^   (pidoc\.[\w.]+)$', part, flags=re.MULTILINE)
            for part in text.split('\nInternals\n')]


def missing_modules():
    """Modules of the package that docs/api.rst does not name."""
    root = Path(pidoc.__file__).parent
    named = sum(listed_modules(), [])
    paths = (path.relative_to(root.parent).with_suffix('').parts for path in root.rglob('*.py'))
    return sorted('.'.join(parts) for parts in paths
                  if not {'tests', 'scripts', '__init__', 'conftest'} & set(parts)
                  and '.'.join(parts) not in named)


def write_module_pages(app, config):
    """A page for each module of docs/api.rst, before the list of pages is made."""
    folder = DOCS / 'api' / 'modules'
    folder.mkdir(parents=True, exist_ok=True)
    users, internals = listed_modules()
    for name in users + internals:
        options = MODULE_OPTIONS.get(name, [':include-all-objects:'])
        lines = [name, '=' * len(name), '', f'.. automodapi:: {name}',
                 *(f'   {option}' for option in (':no-heading:', ':headings: -^', *options)), '']
        path, text = folder / f'{name}.rst', '\n'.join(lines)
        # an unchanged page is not read again
        if not path.exists() or path.read_text(encoding='utf-8') != text:
            path.write_text(text, encoding='utf-8')


def drop_table_of_formats(app, what, name, obj, options, lines):
    """Cut the table that astropy's I/O registry appends: numpydoc takes it for an exception."""
    for index, line in enumerate(lines):
        if line.strip() == 'The available built-in formats are:':
            del lines[index:]
            break


def link_to_keras(app, env, node, content):
    """Resolve names of Keras."""
    from docutils import nodes

    package, _, name = node.get('reftarget', '').partition('.')
    if package == 'keras' and name in KERAS:
        return nodes.reference('', '', content, internal=False, refuri=f'https://keras.io/api/{KERAS[name]}')
    return None


def link_to_definition(app, env, node, content):
    """Resolve names as users import them, such as ``pidoc.MassMapper``, and names without a module."""
    from sphinx.util.nodes import make_refnode

    target = node.get('reftarget', '')
    wanted, objects = located(target), env.get_domain('py').objects
    last = target if not target.startswith('pidoc.') else target.rpartition('.')[2]
    names = [name for name in objects if name.startswith('pidoc.') and name.endswith(f'.{last}')
             and (last == target or located(name) is wanted)]
    # a name may be on the pages of several modules, but must be of one thing
    if node.get('refdomain') != 'py' or not names or len({id(located(name)) for name in names}) > 1:
        return None
    entry = objects[min(names, key=len)]
    return make_refnode(app.builder, node['refdoc'], entry.docname, entry.node_id, content)


def located(name):
    found = pydoc.locate(name)
    return getattr(found, '__func__', found)


def describe_data(app, what, name, obj, options, lines):
    """Describe data by the words below its definition, not by those of its class, wherever it is."""
    from sphinx.pycode import ModuleAnalyzer

    if what != 'data' or not getattr(type(obj), '__module__', '').startswith('astropy.'):
        return
    own = name.rpartition('.')[2]
    for module in [each for each in sys.modules if each.startswith('pidoc.') and
                   getattr(sys.modules[each], own, None) is obj]:
        words = ModuleAnalyzer.for_module(module).find_attr_docs().get(('', own))
        if words:
            lines[:] = words
            return


def setup(app):
    from sphinx.util import logging

    app.connect('config-inited', write_module_pages)
    app.connect('missing-reference', link_to_keras)
    app.connect('missing-reference', link_to_definition)
    app.connect('autodoc-process-docstring', describe_data, priority=400)
    # before numpydoc, whose priority is the default 500
    app.connect('autodoc-process-docstring', drop_table_of_formats, priority=400)
    for name in missing_modules():
        logging.getLogger(__name__).warning('%s is not in api.rst', name)
