#!/usr/bin/env python
# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Do wheel and source distribution hold what they should, and nothing else? ``tools/check_dist.py DIST``.

Compared with the tree that this file is in: all modules, tables, recipes, models and test data are in both;
the licences and ``py.typed`` too; no caches, no compiled files, nothing pickled. Then the wheel is installed
in a new environment with ``lazy-loader`` alone: ``import pidoc`` and the help of a command have to work.
"""

import argparse
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNWANTED = ('*.py[cod]', '*/__pycache__/*', '*.pkl', '*.pickle', '*.joblib', '*/.*', '*.so',
            '*~', '*.orig', '*.log')
# at least these, so that an empty tree is found too
NEEDED = ('pidoc/__init__.py', 'pidoc/models/default/model.json', 'pidoc/models/default/network-0.npz',
          'pidoc/models/default/CARD.rst', 'pidoc/models/paper-range/model.json', 'pidoc/data/example.fits',
          'pidoc/data/recipes/table1.toml', 'pidoc/data/README.rst', 'pidoc/tests/__init__.py',
          'pidoc/py.typed')
SOURCE_ONLY = ('README.md', 'CHANGES.rst', 'CITATION.cff', 'pyproject.toml', 'setup.cfg', 'tox.ini',
               'MANIFEST.in', 'codemeta.json', 'paper.md', 'docs/index.rst', 'docs/conf.py',
               'benchmarks/common.py', 'tools/check_dist.py')


def of_the_package():
    """Paths of all files of the package in the tree, as they should be in a wheel."""
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / 'pidoc').rglob('*') if path.is_file()]
    return {name for name in files if not unwanted(name)} | set(NEEDED)


def licences():
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / 'licenses').iterdir() if path.is_file()}


def unwanted(name):
    return any(fnmatch(name, pattern) for pattern in UNWANTED)


def check_wheel(names):
    """Sentences about what is wrong with the contents of a wheel."""
    info = {name.split('/')[0] for name in names if '.dist-info/' in name}
    if len(info) != 1:
        return [f'one .dist-info must be there, received {sorted(info)}']
    (info,) = info
    found = [f'{name} is missing' for name in sorted(of_the_package() - names)]
    found += [f'{licence} is missing' for licence in sorted(licences())
              if not any(name.startswith(f'{info}/') and name.endswith(Path(licence).name) for name in names)]
    found += [f'{info}/{name} is missing' for name in ('METADATA', 'entry_points.txt', 'RECORD')
              if f'{info}/{name}' not in names]
    rest = {name for name in names if not name.startswith(f'{info}/')}
    return found + [f'{name} must not be there' for name in sorted(rest - of_the_package())]


def check_source(names):
    """Sentences about what is wrong with the contents of a source distribution."""
    wanted = of_the_package() | licences() | set(SOURCE_ONLY)
    found = [f'{name} is missing' for name in sorted(wanted - names)]
    return found + [f'{name} must not be there' for name in sorted(names) if unwanted(name)]


def check_installed(wheel):
    """Sentences about what does not work in an environment with the wheel and lazy-loader alone."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        programs = Path(folder, 'Scripts' if sys.platform == 'win32' else 'bin')
        for command in (['python', '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index', str(wheel)],
                        ['python', '-m', 'pip', 'install', '--quiet', 'lazy-loader'],
                        ['python', '-c', 'import pidoc, sys; print(pidoc.__version__); '
                                         'assert pidoc.__file__.startswith(sys.prefix)'],
                        ['pidoc-predict', '--version'], ['pidoc-predict', '--help']):
            done = subprocess.run([programs / command[0], *command[1:]], capture_output=True, text=True,
                                  cwd=folder)
            if done.returncode:
                yield f'{" ".join(command)} must end with status 0, received {done.returncode}: {done.stderr}'


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dist', type=Path, help='folder with one wheel and one .tar.gz')
    folder = parser.parse_args().dist
    try:
        (wheel,), (source,) = folder.glob('*.whl'), folder.glob('*.tar.gz')
    except ValueError:
        names = sorted(path.name for path in folder.iterdir())
        return f'{folder} must hold one wheel and one .tar.gz, received {names}'
    with zipfile.ZipFile(wheel) as archive:
        found = [f'{wheel.name}: {what}' for what in check_wheel(set(archive.namelist()))]
    with tarfile.open(source) as archive:
        names = {name.partition('/')[2] for name in archive.getnames() if '/' in name}
        found += [f'{source.name}: {what}' for what in check_source(names)]
    found += check_installed(wheel.resolve())
    print(*found, sep='\n', file=sys.stderr)
    if not found:
        print(f'{wheel.name} ({wheel.stat().st_size / 1e6:.1f} MB) and {source.name} '
              f'({source.stat().st_size / 1e6:.1f} MB) are whole')
    return int(bool(found))


if __name__ == '__main__':
    sys.exit(main())
