# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The metadata of the project are the same in all files that repeat them.

Clones have these files, source distributions some of them, wheels none: tests of missing files are skipped.
"""

import configparser
import datetime
import importlib.util
import re
from pathlib import Path

import pytest
import yaml

import pidoc

ROOT = Path(pidoc.__file__).parents[1]
FILES = ('codemeta.json', '.zenodo.json', '.github/ISSUE_TEMPLATE/config.yml', 'CITATION.cff',
         'CODE_OF_CONDUCT.md', 'CONTRIBUTING.md', 'README.md', 'setup.cfg')
# a folder with packages may have files of these names, too
CLONE = (ROOT / 'CITATION.cff').exists() and (ROOT / 'tools' / 'write_metadata.py').exists()

pytestmark = pytest.mark.skipif(not CLONE, reason='these files are in clones, not in wheels')


def text_of(name):
    path = ROOT / name
    if not path.exists():
        pytest.skip(f'{name} is in clones only')
    return path.read_text(encoding='utf-8')


def module_of(tool):
    """A module of the folder tools, by its name."""
    spec = importlib.util.spec_from_file_location(tool, ROOT / 'tools' / f'{tool}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def writer():
    return module_of('write_metadata')


@pytest.fixture
def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read_string(text_of('setup.cfg'))
    return parser


@pytest.mark.parametrize('name', FILES)
def test_files_are_as_write_metadata_writes_them(writer, name):
    assert text_of(name) == writer.expected(name)


def test_the_list_of_files_is_that_of_write_metadata(writer):
    assert set(FILES) == set(writer.FILES)


def copied(writer, folder, monkeypatch, *, version, changes):
    """Copies of the files that write_metadata works on, in a folder, with another version and address."""
    for name in (*FILES, 'pidoc/__init__.py', 'CHANGES.rst'):
        text = text_of(name)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
    init = folder / 'pidoc/__init__.py'
    text = init.read_text(encoding='utf-8').replace(f"'{pidoc.__version__}'", f"'{version}'")
    init.write_text(text.replace(f"'{pidoc.__url__}'", "'https://else.example/pidoc'"), encoding='utf-8')
    (folder / 'CHANGES.rst').write_text(changes, encoding='utf-8')
    monkeypatch.setattr(writer, 'ROOT', folder)


def test_write_metadata_puts_version_date_and_address_everywhere(writer, tmp_path, monkeypatch, capsys):
    copied(writer, tmp_path, monkeypatch, version='7.5', changes='7.5 (2031-02-03)\n====\n')
    assert writer.main([]) == 0
    assert capsys.readouterr().out.count(' was written\n') == len(FILES)
    # the second time nothing is left to do
    writer.main([])
    assert capsys.readouterr().out == ''
    codemeta, zenodo, citation = (yaml.safe_load((tmp_path / name).read_text(encoding='utf-8'))
                                  for name in ('codemeta.json', '.zenodo.json', 'CITATION.cff'))
    assert (codemeta['version'], codemeta['datePublished']) == ('7.5', '2031-02-03')
    assert codemeta['codeRepository'] == citation['repository-code'] == 'https://else.example/pidoc'
    assert (str(citation['version']), str(citation['date-released'])) == ('7.5', '2031-02-03')
    assert zenodo['version'] == '7.5'
    for name in FILES:
        assert pidoc.__url__ not in (tmp_path / name).read_text(encoding='utf-8')


def test_a_release_is_made_by_one_command(writer, tmp_path, monkeypatch):
    copied(writer, tmp_path, monkeypatch, version='7.5.dev0', changes='7.5 (unreleased)\n====\n\nNew\n')
    assert writer.main(['--release', '7.6']) == 0
    today = datetime.date.today()
    assert (tmp_path / 'CHANGES.rst').read_text(encoding='utf-8') == f'7.6 ({today})\n{"=" * 16}\n\nNew\n'
    assert "\n__version__ = '7.6'\n" in (tmp_path / 'pidoc/__init__.py').read_text(encoding='utf-8')
    citation = (tmp_path / 'CITATION.cff').read_text(encoding='utf-8')
    assert f'\nversion: 7.6\ndate-released: {today}\n' in citation
    # which it is now
    with pytest.raises(SystemExit, match='CHANGES.rst must begin with an unreleased section'):
        writer.main(['--release', '7.7'])
    with pytest.raises(SystemExit, match="like 0.2 or 0.2.1, received 'new'"):
        writer.main(['--release', 'new'])


def test_no_file_has_another_address_of_the_project():
    found = {host for name in FILES for host in re.findall(r'https?://[\w./-]*pidoc[\w./-]*', text_of(name))}
    assert found and all(each.startswith(pidoc.__url__) for each in found)


def test_the_version_is_in_one_place(setup_cfg):
    assert setup_cfg['metadata']['version'] == 'attr: pidoc.__version__'


def test_a_release_has_its_date_in_the_change_log():
    version, when = re.match(r'(\S+) \((.+)\)\n=+\n', text_of('CHANGES.rst')).groups()
    if 'dev' in pidoc.__version__:
        assert when == 'unreleased' and pidoc.__version__.startswith(f'{version}.dev')
    else:
        assert version == pidoc.__version__ and re.fullmatch(r'\d{4}-\d\d-\d\d', when)


def test_pythons_are_those_that_are_tested(setup_cfg):
    classifiers = setup_cfg['metadata']['classifiers'].split('\n')
    named = {line.rpartition(' ')[2] for line in classifiers if re.search(r':: 3\.\d+$', line)}
    tested = {each['python'] for each in matrix() if each['env'] == 'test'}
    assert named == tested
    oldest = setup_cfg['options']['python_requires'].removeprefix('>=')
    assert min(named, key=lambda text: int(text.split('.')[1])) == oldest


def matrix():
    """Pythons and environments that the workflow tests."""
    workflow = yaml.safe_load(text_of('.github/workflows/tests.yml'))
    return workflow['jobs']['tox']['strategy']['matrix']['include']


def test_the_workflow_runs_what_tox_has_and_all_that_a_change_must_pass():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text_of('tox.ini'))
    listed = {name.strip() for name in parser['tox']['env_list'].split(',')}
    assert listed == {each['env'] for each in matrix()}


def test_the_licence_at_the_top_is_that_of_the_folder_and_names_it():
    licence = text_of('LICENSE')
    assert licence.startswith(text_of('licenses/LICENSE.rst').rstrip())
    assert 'licenses/README.rst' in licence
    listed = text_of('licenses/README.rst')
    assert all(path.name in listed for path in (ROOT / 'licenses').glob('*_LICENSE.txt'))


def test_the_paper_cites_what_it_lists_and_shows_what_there_is():
    paper, entries = text_of('paper.md'), text_of('paper.bib')
    cited = set(re.findall(r'@(\w+\d{4})', paper))
    assert cited == set(re.findall(r'^@\w+\{(\w+),', entries, flags=re.MULTILINE))
    assert entries.count('\n  doi = {10.') == len(cited)
    figures = re.findall(r'\]\((docs/\S+\.png)\)', paper)
    assert figures and all((ROOT / figure).exists() for figure in figures)
    # what the journal asks for
    assert 750 <= len(paper.split()) <= 1750


def test_the_checklist_of_reviewers_names_what_there_is():
    page = text_of('docs/review.rst')
    named = set(re.findall(r'``([\w./-]+)``', page))
    ending = re.compile(r'/|\.(md|rst|cff|cfg|json|bib|ya?ml|ini)$')
    files = {name for name in named if ending.search(name)}
    assert len(files) > 20
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []
    assert set(re.findall(r'``tox -e (\w+)``', page)) <= {each['env'] for each in matrix()}


@pytest.mark.parametrize('name', ['bug', 'question', 'wrong-answer'])
def test_templates_of_issues_have_a_name_and_say_what_they_are_for(name):
    front = text_of(f'.github/ISSUE_TEMPLATE/{name}.md').split('---\n')[1]
    assert set(yaml.safe_load(front)) == {'name', 'about'}


def test_the_reference_lists_each_module_once():
    listed = re.findall(r'^   (pidoc\.[\w.]+)$', text_of('docs/api.rst'), flags=re.MULTILINE)
    modules = {'.'.join(path.relative_to(ROOT).with_suffix('').parts)
               for path in (ROOT / 'pidoc').rglob('*.py')
               if not {'tests', 'scripts'} & set(path.parts) and path.stem not in ('__init__', 'conftest')}
    assert sorted(listed) == sorted(set(listed))
    assert modules <= set(listed)
    assert all((ROOT / name.replace('.', '/')).is_dir() for name in set(listed) - modules)


def test_no_page_needs_a_script_that_sets_formulae():
    """Formulae are text: with one ``math`` directive, pages load MathJax from elsewhere."""
    text_of('docs/index.rst')
    sources = [path for folder, ending in (('docs', '.rst'), ('pidoc', '.py'), ('pidoc', '.rst'))
               for path in (ROOT / folder).rglob(f'*{ending}')]
    assert len(sources) > 200
    marks = (':' + 'math:', '.. ' + 'math::')
    assert [path for path in sources if any(mark in path.read_text(encoding='utf-8') for mark in marks)] == []


def test_scores_of_readme_and_docs_are_those_of_the_report():
    scores = module_of('write_scores')
    for name in scores.TABLES:
        assert text_of(name) == scores.expected(name), f'{name}: run tools/write_scores.py'
