# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The layout of the package: arrows only go down a list, heavy imports stay where they belong."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import pidoc
from pidoc._moved import MOVED

# The wings of the house, and the modules inside them, each of which imports only from those above it. A
# package stands after its modules: it may pass them on. A new module gets its place here, and its wing one in
# the docstring of the package.
WINGS = {
    'units': (),
    'photometry': (),
    'grid': (),
    'stellar': (),
    'catalogs': (),
    'io': ('files', 'schema', 'fits', 'processes', 'progress', 'html'),
    'plotting': ('style', 'run', 'history', 'maps', 'comparison', 'profiles', 'distances', 'prediction',
                 'posterior', 'coverage', 'real_clusters'),
    'cluster': ('mass_function', 'king', 'population', 'quantities', 'model', 'table', 'snapshot', 'foreign'),
    'simulation': ('initial', 'tides', 'design', 'kernels', 'ledger', 'evolve', 'run', 'many'),
    'mock': ('psf', 'header', 'conditions', 'render', 'projection', 'mock', 'observation'),
    'image': ('light', 'files', 'pixel_units', 'filters', 'zero_points', 'calibration', 'ps1.files', 'masks',
              'world', 'read', 'steps', 'missing', 'sky', 'psf', 'stars', 'resample', 'two_bands',
              'preparation', 'ps1.stacks', 'ps1.retrieval', 'ps1'),
    'training_set': ('truths', 'recipe', 'files', 'sources', 'sampler', 'maps', 'shards', 'build', 'stream',
                     'dataset'),
    'networks': ('orientation', 'variables', 'mixture', 'coordinates', 'scaling', 'shapes', 'forward',
                 'backend', 'layers', 'paper', 'cluster', 'losses'),
    'inference': ('estimates', 'calibration', 'posterior', 'curvature', 'folder', 'estimator', 'features',
                  'flags', 'likeness', 'domain'),
    'training': ('model_card', 'settings', 'state', 'data', 'device', 'loop', 'ours', 'papers', 'likeness',
                 'validation', 'checks', 'fit'),
    'prediction': ('profiles', 'known', 'measured', 'prediction', 'mapper', 'survey', 'samp'),
    'evaluation': ('scores', 'baselines', 'envelope', 'limit', 'coverage', 'report', 'synthetic_sky',
                   'real_clusters'),
    'scripts': ('command', 'pidoc_simulate', 'pidoc_mock', 'pidoc_fetch', 'pidoc_predict', 'pidoc_evaluate',
                'pidoc_trainingset', 'pidoc_train'),
}
ORDER = ('_moved', *(name for wing, rooms in WINGS.items()
                     for name in (*(f'{wing}.{room}' for room in rooms), wing)))

# Nothing but the named parts of the package imports these, anywhere in a file ...
ONLY_IN = {'numba': ('simulation', 'stellar'), 'keras': ('networks.backend',)}
# ... and these only inside a function, but for the named parts.
NOT_AT_TOP = {
    'matplotlib': ('plotting',),
    'corner': (),
    'scipy': ('simulation', 'stellar'),
    'tensorflow': (),
    'astroquery': (),
    'reproject': (),
    'h5py': (),
}
# These bring Keras: the same holds for them.
KERAS = tuple(f'networks.{name}' for name in ('backend', 'layers', 'paper', 'cluster', 'losses'))
HEAVY = ('numba', 'matplotlib', 'scipy', 'tensorflow', 'keras', 'astroquery', 'reproject', 'h5py')

ROOT = Path(pidoc.__file__).parent
# the public names, and the modules that they come from
PUBLIC = {name: getattr(pidoc, name).__module__.removeprefix('pidoc.')
          for name in pidoc.__all__ if not name.startswith('_')}


def modules():
    """Name below pidoc -> path of every module, without the tests and the package itself."""
    found = {}
    for path in ROOT.rglob('*.py'):
        parts = path.relative_to(ROOT).with_suffix('').parts
        if 'tests' in parts or parts in [('__init__',), ('conftest',)]:
            continue
        found['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = path
    return found


class Imports(ast.NodeVisitor):
    """Collect what a module imports: (dotted name, is it inside a function, line)."""

    def __init__(self, source, name, *, is_package=False):
        # the package that relative imports start from
        self.package = ['pidoc', *name.split('.')]
        if not is_package:
            self.package.pop()
        self.depth = 0
        self.found = []
        self.visit(ast.parse(source))

    def visit_FunctionDef(self, node):
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef

    def visit_If(self, node):
        # what only a checker of types imports is never loaded
        hidden = getattr(node.test, 'id', '') == 'TYPE_CHECKING'
        self.depth += hidden
        for each in node.body:
            self.visit(each)
        self.depth -= hidden
        for each in node.orelse:
            self.visit(each)

    def visit_Import(self, node):
        self.found += [(alias.name, self.depth > 0, node.lineno) for alias in node.names]

    def visit_ImportFrom(self, node):
        base = self.package[:len(self.package) - node.level + 1] if node.level else []
        base = '.'.join([*base, *([node.module] if node.module else [])])
        for alias in node.names:
            self.found.append((f'{base}.{alias.name}', self.depth > 0, node.lineno))


def internal(imported):
    """The listed module that an imported name comes from; None if from none of them."""
    parts = imported.split('.')
    if parts[0] != 'pidoc':
        return None
    if len(parts) > 1 and parts[1] in PUBLIC:
        parts = ['pidoc', *PUBLIC[parts[1]].split('.')]
    parts = parts[1:]
    # by its first name: then it breaks the order under its name of now
    for size in range(len(parts), 0, -1):
        if '.'.join(parts[:size]) in MOVED:
            parts = [*MOVED['.'.join(parts[:size])].split('.'), *parts[size:]]
            break
    while parts and '.'.join(parts) not in ORDER:
        parts.pop()
    return '.'.join(parts) or None


def violations(name, source, *, is_package=False):
    """Sentences about every import of a module that breaks a rule."""
    part = name.split('.')[0]
    for imported, in_function, line in Imports(source, name, is_package=is_package).found:
        top, target = imported.split('.')[0], internal(imported)
        where = f'pidoc.{name}, line {line}, imports {imported}'
        if target is not None and ORDER.index(target) >= ORDER.index(name):
            yield f'{where}: {target} does not stand above it'
        if top in ONLY_IN and not {part, name} & set(ONLY_IN[top]):
            yield f'{where}: only for {", ".join(ONLY_IN[top])}'
        if top in NOT_AT_TOP and part not in NOT_AT_TOP[top] and not in_function:
            yield f'{where}: only inside a function'
        if target in KERAS and not (name in KERAS or part == 'training' or in_function):
            yield f'{where}: it brings Keras, only inside a function'


def test_every_module_has_its_place():
    assert sorted(set(modules()) - set(ORDER)) == []


def test_the_docstring_is_the_same_map():
    rows = re.findall(r'^``(\w+)``\n((?:    .+\n)+)', pidoc.__doc__, flags=re.MULTILINE)
    modules = {wing: ' '.join(text.split()).partition('Modules: ')[2].rstrip('.') for wing, text in rows}
    assert {wing: tuple(names.replace(',', ' ').split()) for wing, names in modules.items()} == WINGS
    assert [wing for wing, _ in rows] == list(WINGS)


def test_the_page_of_the_api_has_the_same_order():
    page = Path(pidoc.__file__).resolve().parents[1] / 'docs' / 'api.rst'
    if not page.exists():
        pytest.skip('the documentation is not here')
    internals = page.read_text(encoding='utf-8').split('\nInternals\n')[1]
    listed = re.findall(r'^   pidoc\.(\S+)$', internals, flags=re.MULTILINE)
    for wing, rooms in WINGS.items():
        here = [name.removeprefix(f'{wing}.') for name in listed if name.startswith(f'{wing}.')]
        assert here == [room for room in rooms if room in here], wing


@pytest.mark.parametrize(('old', 'new'), sorted(MOVED.items()))
def test_modules_that_moved_are_found_by_their_first_names(old, new):
    assert import_module(f'pidoc.{old}') is import_module(f'pidoc.{new}')
    assert new in ORDER and old not in ORDER


@pytest.mark.parametrize('name', sorted(modules()))
def test_imports_of(name):
    path = modules()[name]
    source = path.read_text(encoding='utf-8')
    assert list(violations(name, source, is_package=path.name == '__init__.py')) == []


@pytest.mark.parametrize(('name', 'source', 'rule'), [
    ('units', 'from pidoc.cluster.snapshot import Snapshot', 'does not stand above it'),
    ('units', 'from pidoc import snapshot', 'does not stand above it'),
    ('units', 'from pidoc import ClusterModel', 'does not stand above it'),
    ('units', 'import pidoc.simulation.evolve', 'does not stand above it'),
    ('units', 'from . import cluster_model', 'does not stand above it'),
    ('units', 'from .simulation.kernels import step', 'does not stand above it'),
    ('units', 'def f():\n    from pidoc import plotting', 'does not stand above it'),
    ('cluster.snapshot', 'if True:\n    import pidoc.cluster.snapshot', 'does not stand above it'),
    ('simulation.initial', 'from .evolve import simulate', 'does not stand above it'),
    ('simulation.initial', 'from ..scripts import draw', 'does not stand above it'),
    ('simulation.initial', 'from pidoc.simulation import anything', 'does not stand above it'),
    ('cluster.snapshot', 'def f():\n    import numba', 'only for simulation'),
    ('plotting.run', 'from numba import njit', 'only for simulation'),
    ('cluster.snapshot', 'import numpy, scipy.spatial', 'only inside a function'),
    ('cluster.snapshot', 'try:\n    import matplotlib\nexcept ImportError:\n    pass', 'only inside'),
    ('plotting.run', 'class A:\n    import scipy', 'only inside a function'),
    ('networks.cluster', 'import keras', 'only for networks.backend'),
    ('networks.forward', 'from pidoc.networks.shapes import check\nfrom keras import ops', 'only for'),
    ('inference.estimator', 'from pidoc.networks.paper import LAST', 'it brings Keras, only inside'),
    ('networks.cluster', 'import tensorflow as tf', 'only inside a function'),
    ('simulation.run', 'import matplotlib.pyplot as plt', 'only inside a function'),
    ('grid', 'if TYPE_CHECKING:\n    import os\nelse:\n    import matplotlib', 'only inside a function')])
def test_the_walk_finds(name, source, rule):
    (found,) = violations(name, source)
    assert found.startswith(f'pidoc.{name}, line')
    assert rule in found


@pytest.mark.parametrize(('name', 'source'), [
    ('cluster.snapshot', 'import pidoc\nfrom pidoc import __version__, ClusterModel, units'),
    ('cluster.snapshot', 'async def f():\n    from scipy.spatial import cKDTree\n    import matplotlib'),
    ('cluster.snapshot', 'from ..units import G\nfrom .. import photometry'),
    ('simulation.kernels', 'import numba\nfrom scipy import special\nfrom . import tides'),
    ('plotting.run', 'from matplotlib import pyplot'),
    ('grid', 'if TYPE_CHECKING:\n    from matplotlib.figure import Figure'),
    ('networks.backend', 'import keras\nfrom keras import layers'),
    ('networks.cluster', 'from pidoc.networks.layers import activated'),
    ('training.fit', 'from pidoc.networks.backend import keras'),
    ('inference.estimator', 'def f():\n    from pidoc.networks.paper import LAST'),
    ('simulation.run', 'def f():\n    from pidoc.plotting import draw'),
    ('scripts.pidoc_simulate', 'from pidoc.simulation import anything')])
def test_the_walk_lets_pass(name, source):
    assert list(violations(name, source)) == []


def test_the_walk_resolves_imports_of_a_package():
    source = 'from .evolve import simulate\nfrom . import run\nfrom ..units import G'
    assert list(violations('simulation', source, is_package=True)) == []
    (found,) = violations('simulation', 'from ..scripts import draw', is_package=True)
    assert 'imports pidoc.scripts.draw' in found


def loaded_by(statement):
    """The heavy packages that a statement loads in a new interpreter."""
    code = f'import sys\n{statement}\nprint(*[name for name in {HEAVY} if name in sys.modules])'
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                            check=True, cwd=ROOT.parent)
    return result.stdout.split()


def test_import_pidoc_is_light():
    assert loaded_by('import pidoc; pidoc.__version__') == []


def test_the_public_names_are_light():
    # scipy comes with astropy.nddata, which images are made of
    assert set(loaded_by('from pidoc import *')) <= {'scipy'}


def test_the_light_test_can_fail():
    assert loaded_by('import scipy') == ['scipy']


def test_public_names_are_found_and_listed():
    assert set(PUBLIC) < set(pidoc.__all__) and dir(pidoc) == sorted(pidoc.__all__)
    for name in pidoc.__all__:
        assert getattr(pidoc, name) is not None
    with pytest.raises(AttributeError, match='No pidoc attribute MassPainter'):
        _ = pidoc.MassPainter


def test_the_citation_is_that_of_the_file():
    entries = re.split(r'^@', pidoc.__citation__, flags=re.M)[1:]
    assert [entry.split('{')[0] for entry in entries] == ['software', 'article']
    # BibTeX closes what it opens
    assert all(entry.count('{') == entry.count('}') for entry in entries)
    assert f'version = {{{pidoc.__version__}}}' in entries[0]
    file = Path(pidoc.__file__).parents[1] / 'CITATION.cff'
    if not file.exists():
        pytest.skip('CITATION.cff is in clones, not in wheels')
    flat = ' '.join(file.read_text(encoding='utf-8').split())
    assert f'version: {pidoc.__version__} ' in flat
    for field in ('title', 'volume', 'pages', 'year'):
        value = re.search(field + r'\s*= \{+(.*?)\}+,\n', entries[1], flags=re.S)[1]
        assert ' '.join(value.split()) in flat
    for name in re.search(r'author  = \{(.*?)\}', entries[1])[1].split(' and '):
        family, given = name.split(', ')
        assert f'family-names: {family} given-names: {given}' in flat
