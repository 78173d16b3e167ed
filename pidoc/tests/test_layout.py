# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The layout of the package: arrows only go down a list, heavy imports stay where they belong."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pidoc

# A module imports only from those above it. A package stands after its modules: it may pass
# them on. A new module gets its place here and in the docstring of the package.
ORDER = (
    'units',
    'files',
    'processes',
    'notebook',
    'cluster_model',
    'model_table',
    'photometry',
    'snapshot',
    'mock',
    'catalogs',
    'ps1',
    'ps1_map',
    'retrieval',
    'image_units',
    'image_input',
    'image_sky',
    'image_grid',
    'image',
    'networks',
    'losses',
    'profiles',
    'domain',
    'scaling',
    'estimator',
    'model_card',
    'training',
    'scores',
    'baselines',
    'evaluation',
    'plotting',
    'prediction_plot',
    'prediction',
    'mapper',
    'survey',
    'samp',
    'real_clusters',
    'real_clusters_plot',
    'simulation.stellar',
    'foreign',
    'simulation.initial',
    'simulation.tides',
    'simulation.grid',
    'simulation.kernels',
    'simulation.ledger',
    'simulation.evolve',
    'simulation.run',
    'simulation.many',
    'simulation',
    'synthetic_sky',
    'recipe',
    'training_set',
    'scripts.command',
    'scripts.pidoc_simulate',
    'scripts.pidoc_mock',
    'scripts.pidoc_fetch',
    'scripts.pidoc_predict',
    'scripts.pidoc_evaluate',
    'scripts.pidoc_trainingset',
    'scripts.pidoc_train',
    'scripts',
)

# Nothing but the named parts of the package imports these, anywhere in a file ...
ONLY_IN = {'numba': ('simulation',)}
# ... and these only inside a function, but for the named parts.
NOT_AT_TOP = {
    'matplotlib': ('plotting',),
    'scipy': ('simulation',),
    'keras': ('networks', 'losses', 'training'),
    'tensorflow': (),
    'astroquery': (),
    'reproject': (),
    'h5py': (),
}
HEAVY = ('numba', 'matplotlib', 'scipy', 'tensorflow', 'keras', 'astroquery', 'reproject', 'h5py')

ROOT = Path(pidoc.__file__).parent


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
    if len(parts) > 1 and parts[1] in pidoc._HOME:
        parts = pidoc._HOME[parts[1]].split('.')
    parts = parts[1:]
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
        if top in ONLY_IN and part not in ONLY_IN[top]:
            yield f'{where}: only for {", ".join(ONLY_IN[top])}'
        if top in NOT_AT_TOP and part not in NOT_AT_TOP[top] and not in_function:
            yield f'{where}: only inside a function'


def test_every_module_has_its_place():
    assert sorted(set(modules()) - set(ORDER)) == []


def test_the_docstring_is_the_same_map():
    named = re.findall(r'^``([\w.]+)``', pidoc.__doc__, flags=re.MULTILINE)
    expected = [name for name in ORDER if name != 'simulation' and not name.startswith('scripts.')]
    assert named == expected


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
    ('snapshot', 'if True:\n    import pidoc.cluster.snapshot', 'does not stand above it'),
    ('simulation.initial', 'from .evolve import simulate', 'does not stand above it'),
    ('simulation.initial', 'from ..scripts import draw', 'does not stand above it'),
    ('simulation.initial', 'from pidoc.simulation import anything', 'does not stand above it'),
    ('snapshot', 'def f():\n    import numba', 'only for simulation'),
    ('plotting', 'from numba import njit', 'only for simulation'),
    ('snapshot', 'import numpy, scipy.spatial', 'only inside a function'),
    ('snapshot', 'try:\n    import matplotlib\nexcept ImportError:\n    pass', 'only inside'),
    ('plotting', 'class A:\n    import scipy', 'only inside a function'),
    ('plotting', 'import keras', 'only inside a function'),
    ('networks', 'import tensorflow as tf', 'only inside a function'),
    ('simulation.run', 'import matplotlib.pyplot as plt', 'only inside a function')])
def test_the_walk_finds(name, source, rule):
    (found,) = violations(name, source)
    assert found.startswith(f'pidoc.{name}, line')
    assert rule in found


@pytest.mark.parametrize(('name', 'source'), [
    ('snapshot', 'import pidoc\nfrom pidoc import __version__, ClusterModel, units'),
    ('snapshot', 'async def f():\n    from scipy.spatial import cKDTree\n    import matplotlib'),
    ('snapshot', 'from .units import G\nfrom . import photometry'),
    ('simulation.kernels', 'import numba\nfrom scipy import special\nfrom . import tides'),
    ('plotting', 'from matplotlib import pyplot'),
    ('networks', 'import keras\nfrom keras import layers'),
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
    assert set(pidoc._HOME) < set(pidoc.__all__) <= set(dir(pidoc))
    for name in pidoc.__all__:
        assert getattr(pidoc, name) is not None
    with pytest.raises(AttributeError, match="module 'pidoc' has no attribute 'MassPainter'"):
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
