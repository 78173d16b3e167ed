#!/usr/bin/env python
# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Update all files that repeat the metadata of the project: ``write_metadata.py [--release X.Y]``.

The version and the address are constants in ``pidoc/__init__.py``; description, keywords, author, license
and Pythons stand in ``setup.cfg``, abstract and references in ``CITATION.cff``, the date of a release in
``CHANGES.rst``. From these ``codemeta.json`` and ``.zenodo.json`` are made, and version, date and address are
put into the other files. ``pidoc/tests/test_home.py`` fails until this was run. ``--release`` first sets
the version and, with today's date, the first heading of ``CHANGES.rst``.
"""

import argparse
import configparser
import datetime
import json
import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
WITH_ADDRESS = ('.github/ISSUE_TEMPLATE/config.yml', 'CITATION.cff', 'CODE_OF_CONDUCT.md', 'CONTRIBUTING.md',
                'README.md', 'setup.cfg')


def text_of(name):
    return (ROOT / name).read_text(encoding='utf-8')


def constant(name):
    """A string constant of ``pidoc/__init__.py``, which is not imported."""
    return re.search(rf"^{name} = '(.*)'$", text_of('pidoc/__init__.py'), flags=re.MULTILINE)[1]


def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read_string(text_of('setup.cfg'))
    return parser


def citation():
    return yaml.safe_load(text_of('CITATION.cff'))


def release_date():
    """The date of this version in the change log; None if it is not released."""
    version = re.escape(constant('__version__'))
    found = re.search(rf'^{version} \((\d{{4}}-\d\d-\d\d)\)$', text_of('CHANGES.rst'), flags=re.MULTILINE)
    return found and found[1]


def codemeta():
    """What ``codemeta.json`` holds: https://codemeta.github.io/terms."""
    metadata, address = setup_cfg()['metadata'], constant('__url__')
    (paper,) = citation()['references']
    released = release_date()
    return {
        '@context': 'https://doi.org/10.5063/schema/codemeta-2.0',
        '@type': 'SoftwareSourceCode',
        'name': metadata['name'],
        'description': metadata['description'],
        'version': constant('__version__'),
        **({'datePublished': released} if released else {}),
        'license': f'https://spdx.org/licenses/{metadata["license"]}',
        'codeRepository': address,
        'issueTracker': f'{address}/issues',
        'programmingLanguage': 'Python',
        'runtimePlatform': f'Python {setup_cfg()["options"]["python_requires"]}',
        'author': [{'@type': 'Organization', 'name': metadata['author']}],
        'keywords': metadata['keywords'].split(', '),
        'referencePublication': {
            '@type': 'ScholarlyArticle', 'name': paper['title'], '@id': f'https://doi.org/{paper["doi"]}',
            'author': [{'@type': 'Person', 'givenName': each['given-names'],
                        'familyName': each['family-names']} for each in paper['authors']]},
    }


def zenodo():
    """What ``.zenodo.json`` holds: https://developers.zenodo.org, "deposit metadata"."""
    metadata = setup_cfg()['metadata']
    return {
        'title': f'{metadata["name"]}: {metadata["description"]}',
        'description': citation()['abstract'],
        'version': constant('__version__'),
        'upload_type': 'software',
        'access_right': 'open',
        'license': metadata['license'],
        'creators': [{'name': metadata['author']}],
        'keywords': metadata['keywords'].split(', '),
        'related_identifiers': [{'identifier': each['doi'], 'relation': 'references', 'scheme': 'doi'}
                                for each in citation()['references']],
    }


def with_address(text):
    """A text with the address in place of the former one, which ``setup.cfg`` has."""
    return text.replace(setup_cfg()['metadata']['url'], constant('__url__'))


def with_version(text):
    """``CITATION.cff`` with the version and, for a release, the date."""
    released = release_date()
    text = re.sub(r'^date-released: .*\n', '', text, flags=re.MULTILINE)
    stamp = f'version: {constant("__version__")}\n' + (f'date-released: {released}\n' if released else '')
    return re.sub(r'^version: .*\n', stamp, text, flags=re.MULTILINE)


def expected(name):
    """What a file should hold, as text."""
    if name.endswith('.json'):
        made = {'codemeta.json': codemeta, '.zenodo.json': zenodo}[name]()
        return json.dumps(made, indent=2, ensure_ascii=False) + '\n'
    text = with_address(text_of(name))
    return with_version(text) if name == 'CITATION.cff' else text


FILES = ('codemeta.json', '.zenodo.json', *WITH_ADDRESS)


def release(version):
    """Set the version, and write it with today's date at the top of the change log."""
    if not re.fullmatch(r'\d+\.\d+(\.\d+)?', version):
        raise SystemExit(f'the version of a release must be like 0.2 or 0.2.1, received {version!r}')
    heading = f'{version} ({datetime.date.today()})'
    changes, found = re.subn(r'\A\S+ \(unreleased\)\n=+\n', f'{heading}\n{"=" * len(heading)}\n',
                             text_of('CHANGES.rst'))
    if not found:
        raise SystemExit('CHANGES.rst must begin with an unreleased section: not found')
    init = text_of('pidoc/__init__.py').replace(f"__version__ = '{constant('__version__')}'",
                                                f"__version__ = '{version}'")
    (ROOT / 'CHANGES.rst').write_text(changes, encoding='utf-8')
    (ROOT / 'pidoc/__init__.py').write_text(init, encoding='utf-8')


def main(args=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--release', metavar='X.Y', help='make a release with this version and today\'s date')
    version = parser.parse_args(args).release
    if version:
        release(version)
    # all first: setup.cfg says which address is the former one
    for name, text in {name: expected(name) for name in FILES}.items():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding='utf-8') != text:
            path.write_text(text, encoding='utf-8')
            print(f'{name} was written')
    return 0


if __name__ == '__main__':
    sys.exit(main())
