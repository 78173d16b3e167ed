# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The user API has type hints, which mypy checks (tox -e typing)."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest

import pidoc

CLASSES = {'cluster.model': ['ClusterModel'], 'cluster.snapshot': ['Snapshot'], 'grid': ['MapGrid'],
           'mock': ['Mock'], 'prediction': ['MassMapper', 'Measured', 'Prediction']}
FUNCTIONS = {
    'catalogs': ['cluster', 'clusters', 'known'], 'image': ['prepare'], 'image.ps1': ['fetch'],
    'mock': ['observe'], 'prediction': ['predict', 'pretrained_models'],
    'simulation': ['run', 'run_many', 'simulate'], 'units': ['scalar_value', 'to_value']}
# what a registry of astropy makes is typed for checkers only
WITHOUT = {('Snapshot', 'read'), ('Snapshot', 'write')}


def described():
    """(name, callable or property) of every public function, and of the public methods of the classes."""
    for module, names in FUNCTIONS.items():
        for name in names:
            yield name, getattr(import_module(f'pidoc.{module}'), name)
    for module, names in CLASSES.items():
        for name in names:
            kind = getattr(import_module(f'pidoc.{module}'), name)
            for member in sorted(set(dir(kind)) - set(dir(object)) | {'__init__'}):
                owner = next((each for each in kind.__mro__ if member in vars(each)), None)
                ours = owner is not None and owner.__module__.startswith('pidoc.')
                private = member.startswith('_') and member != '__init__'
                if ours and not private and (name, member) not in WITHOUT:
                    yield f'{name}.{member}', vars(owner)[member]


def functions_of(what):
    """The functions behind a method, a property or a cached property; none behind a field."""
    if isinstance(what, (classmethod, staticmethod)):
        what = what.__func__
    for attribute in ('fget', 'func'):
        what = getattr(what, attribute, None) or what
    return [what] if inspect.isfunction(what) else []


@pytest.mark.parametrize('what', [pytest.param(what, id=name) for name, what in described()])
def test_arguments_and_results_have_hints(what):
    for function in functions_of(what):
        # the four limits of Measured are made in a loop
        if function.__name__ == '<lambda>':
            continue
        signature = inspect.signature(function)
        bare = [each.name for each in signature.parameters.values()
                if each.annotation is each.empty and each.name not in ('self', 'cls')]
        assert bare == []
        assert signature.return_annotation is not signature.empty


def test_the_walk_finds_methods_and_functions():
    names = {name for name, _ in described()}
    assert {'MassMapper.predict', 'Prediction.sample', 'ClusterModel.named', 'Snapshot.colour', 'Mock.write',
            'simulate', 'prepare'} <= names
    assert len(functions_of(vars(pidoc.Prediction)['mass_profile'])) == 1


def test_the_package_says_that_it_has_hints():
    assert (Path(pidoc.__file__).parent / 'py.typed').exists()
