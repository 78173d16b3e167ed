# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The commands as the system runs them: killed, without room, without a home, in strange places.

The real processes; those that load TensorFlow or simulate are slow.
"""

import ast
import ctypes
import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u

import pidoc
from pidoc import MassMapper, Prediction
from pidoc.scripts.pidoc_predict import EXAMPLE
from pidoc.tests.stand_in import StandIn

ROOT = Path(pidoc.__file__).parent
ROOM = ['PATH', 'OMP_NUM_THREADS', 'TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS']
kills = pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs a system that can kill')
linux = pytest.mark.skipif(sys.platform != 'linux', reason='needs the capabilities and limits of Linux')

RECIPE = f"""
name = 'tiny'
seed = 3
[maps]
shard = 24
field_of_view = 8.0
[[simulations]]
group = 'all'
ages = [10.0, 20.0]
rows = [{{name = 'a', n_stars = 300}}]
[[part]]
name = 'maps'
draw = 'product'
simulations = 'all'
splits = {{train = 48, validation = 120}}
distance = {[10.0 + 0.5 * k for k in range(84)]}
seeing = 1.0
"""


def command(name, *args):
    return [sys.executable, '-m', f'pidoc.scripts.pidoc_{name}', *map(str, args)]


def surroundings(**changes):
    """Hardly any environment."""
    kept = {name: os.environ[name] for name in ROOM if name in os.environ}
    return kept | {'PYTHONPATH': str(ROOT.parent), 'PYTHONDONTWRITEBYTECODE': '1'} | changes


def obey():
    """Let permissions count for root, too: without CAP_DAC_OVERRIDE (PR_CAPBSET_DROP is 24)."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)


def finish(*args, size=None, **changes):
    """Run a command to its end; what is left of the environment is no home that can be written."""

    def begin():
        obey()
        if size:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    environment = {'HOME': '/proc/nowhere', **changes}
    return subprocess.run(
        command(*args),
        env=surroundings(**environment),
        preexec_fn=begin,
        capture_output=True,
        text=True,
        timeout=600,
    )


def refused(result, name, *parts):
    """That a command ended with one line that has these parts."""
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f'pidoc-{name}: ') and all(part in line for part in parts), line


def went_well(result):
    """That a command ended well, and that nobody but matplotlib missed a home."""
    lines = [line for line in result.stderr.splitlines() if 'matplotlib' not in line.lower()]
    assert (result.returncode, lines) == (0, [])


def kill_when(args, there, *, log):
    """Start a command and kill it as soon as something is there; whether it was still at work."""
    with open(log, 'w') as stream:
        child = subprocess.Popen(
            command(*args), env=surroundings(HOME=os.environ.get('HOME', '/')), stdout=stream, stderr=stream
        )
        deadline = time.monotonic() + 500
        while child.poll() is None and not there():
            assert time.monotonic() < deadline
            time.sleep(0.002)
        alive = child.poll() is None
        child.kill()
        child.wait()
    return alive


def digests(folder, pattern='**/*'):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.glob(pattern)
        if path.is_file() and path.name != '.lock'
    }


def hidden(folder):
    """Temporary files that were left."""
    return [path.name for path in folder.rglob('.*') if path.name != '.lock']


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A recipe, its simulation and its set, made by the commands."""
    folder = tmp_path_factory.mktemp('place')
    (folder / 'tiny.toml').write_text(RECIPE, encoding='utf-8')
    result = finish(
        'trainingset',
        folder / 'tiny.toml',
        '--simulate',
        '--simulations',
        folder / 'runs',
        '-o',
        folder / 'set',
        '--jobs',
        '1',
        '--quiet',
    )
    went_well(result)
    return folder


# -- killed ---------------------------------------------------------------------------------------


@kills
@pytest.mark.slow
def test_simulate_is_killed_again_and_again(tmp_path):
    args = ['simulate', 'MW15', '--n-stars', '3000', '--end', '0.3', '--snapshots', '6', '--quiet', '-o']
    folder, log = tmp_path / 'killed', tmp_path / 'log'
    killed = 0
    for name in (
        'model.fits',
        'snapshots/snapshot_00001.fits',
        'snapshots/snapshot_00003.fits',
        'log.fits',
        'quicklook.png',
    ):
        for path in folder.rglob('snapshot_*'):
            # what is waited for must be new
            path.unlink()
        killed += kill_when([*args, folder], (folder / name).exists, log=log)
    assert killed >= 2
    for target in (folder, tmp_path / 'whole'):
        assert finish(*args, target).returncode == 0
    assert digests(folder) == digests(tmp_path / 'whole')
    assert hidden(folder) == []


@kills
@pytest.mark.slow
@pytest.mark.parametrize('streamed', [False, True])
def test_a_build_is_killed_at_each_of_its_files(place, tmp_path, streamed):
    args = ['trainingset', place / 'tiny.toml', '--jobs', '1', '--quiet']
    args += ['--simulate'] if streamed else ['--simulations', place / 'runs']
    whole = tmp_path / 'whole' if streamed else place / 'set'
    if streamed:
        went_well(finish(*args, '-o', whole))
    args += ['-o', tmp_path / 'set']
    killed = 0
    for number in (1, 3, 5):
        killed += kill_when(
            args, lambda: len(list(tmp_path.glob('set/*-0*.fits'))) >= number, log=tmp_path / 'log'
        )
    assert killed >= 2
    refused(finish('trainingset', '--check', '-o', tmp_path / 'set'), 'trainingset', 'is not complete')
    assert finish(*args).returncode == 0
    assert digests(tmp_path / 'set') == digests(whole)
    assert hidden(tmp_path / 'set') == []


@kills
@pytest.mark.slow
def test_a_training_is_killed(place, tmp_path):
    pytest.importorskip('tensorflow')
    args = ['train', place / 'set', '--epochs', '3', '--batch-size', '6', '--widths', '4,8', '--quiet', '-o']
    folder = tmp_path / 'killed'
    states = []

    def next_epoch():
        path = folder / 'work' / 'state-0.npz'
        time_of = path.stat().st_mtime_ns if path.exists() else 0
        if time_of and time_of not in states:
            states.append(time_of)
            return True
        return False

    assert kill_when([*args, folder], next_epoch, log=tmp_path / 'log'), (tmp_path / 'log').read_text()
    assert not (folder / 'model.json').exists()
    refused(finish('predict', '--example', '--model', folder), 'predict', 'holds no model')
    for target in (folder, tmp_path / 'whole'):
        result = finish(*args, target)
        assert result.returncode == 0, result.stderr
    # json: numbers are written with all digits
    assert digests(folder, '*.npz') == digests(tmp_path / 'whole', '*.npz')
    assert (folder / 'model.json').read_text() == (tmp_path / 'whole' / 'model.json').read_text()


WRITER = """
from pidoc import MassMapper
from pidoc.scripts.pidoc_predict import EXAMPLE
from pidoc.tests.stand_in import StandIn

prediction = MassMapper(StandIn()).predict(EXAMPLE)
while True:
    prediction.write('out.fits', overwrite=True)
"""


@kills
@pytest.mark.slow
def test_a_file_that_is_written_when_the_process_is_killed(tmp_path):
    """It is the old one or the new one; what is left over has another name."""
    expected = MassMapper(StandIn()).predict(EXAMPLE).total_mass.value
    rng = np.random.default_rng(0)
    for _ in range(6):
        child = subprocess.Popen([sys.executable, '-c', WRITER], cwd=tmp_path, env=surroundings())
        while not (tmp_path / 'out.fits').exists():
            assert child.poll() is None
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.3))
        child.kill()
        child.wait()
        assert Prediction.read(tmp_path / 'out.fits').total_mass.value == expected
        (tmp_path / 'out.fits').unlink()
    assert all(name.endswith('.out.fits') for name in hidden(tmp_path))


# -- places ---------------------------------------------------------------------------------------


@linux
@pytest.mark.slow
@pytest.mark.parametrize('locale', ['C', 'POSIX', 'de_DE.UTF-8', 'tr_TR.ISO-8859-9'])
def test_simulate_and_mock_in_a_strange_place(tmp_path, locale):
    """No home, another language, blanks and letters that are not ASCII."""
    folder = tmp_path / 'Läufe von M 13' / 'α β'
    result = finish(
        'simulate',
        'MW15',
        '--n-stars',
        '300',
        '--end',
        '0.02',
        '--snapshots',
        '2',
        '--quiet',
        '-o',
        folder,
        LC_ALL=locale,
    )
    went_well(result)
    result = finish(
        'mock',
        folder / 'snapshots' / 'snapshot_00001.fits',
        '--distance',
        '10',
        '-o',
        tmp_path / 'Beobachtung é',
        LC_ALL=locale,
    )
    went_well(result)
    assert len(list((tmp_path / 'Beobachtung é').glob('*.fits'))) == 1


@linux
@pytest.mark.slow
def test_predict_in_a_strange_place(tmp_path):
    pytest.importorskip('tensorflow')
    folder = tmp_path / 'Ergebnisse ü' / 'x y'
    result = finish('predict', EXAMPLE, '--plot', '-o', folder, '--table', folder / 'alle ß.ecsv', LC_ALL='C')
    went_well(result)
    assert sorted(path.suffix for path in folder.iterdir() if path.suffix != '.jsonl') == [
        '.ecsv',
        '.fits',
        '.png',
    ]
    assert Prediction.read(folder / 'example-pidoc.fits').in_domain


@linux
@pytest.mark.slow
def test_folders_that_are_read_only(place, tmp_path):
    closed = tmp_path / 'closed'
    closed.mkdir()
    closed.chmod(0o555)
    denied = 'Permission denied'
    refused(
        finish('simulate', 'MW15', '--n-stars', '300', '--end', '0.02', '-o', closed / 'run'),
        'simulate',
        denied,
    )
    refused(
        finish('mock', next(place.glob('runs/a/snapshots/*.fits')), '--distance', '10', '-o', closed / 'm'),
        'mock',
        denied,
    )
    refused(
        finish('trainingset', place / 'tiny.toml', '--simulations', place / 'runs', '-o', closed / 'set'),
        'trainingset',
        denied,
    )
    assert list(closed.iterdir()) == []


@linux
@pytest.mark.slow
def test_predict_into_a_folder_that_is_read_only(tmp_path):
    pytest.importorskip('tensorflow')
    (tmp_path / 'closed').mkdir()
    (tmp_path / 'closed').chmod(0o555)
    refused(finish('predict', '--example', '-o', tmp_path / 'closed'), 'predict', 'Permission denied')
    assert list((tmp_path / 'closed').iterdir()) == []


@linux
@pytest.mark.slow
def test_no_room(place, tmp_path):
    """No file may grow beyond some kB: the write fails on its way, as on a full disk."""
    build = ['trainingset', place / 'tiny.toml', '--simulations', place / 'runs', '--jobs', '1']
    build += ['-o', tmp_path / 'set', '--quiet']
    refused(
        finish(
            'simulate',
            'MW15',
            '--n-stars',
            '3000',
            '--end',
            '0.02',
            '--snapshots',
            '2',
            '-o',
            tmp_path / 'run',
            '--quiet',
            size=30_000,
        ),
        'simulate',
        'could not be written',
        'continues when',
    )
    refused(
        finish(*build, size=30_000),
        'trainingset',
        'could not be written',
        'continues when',
    )
    streamed = ['trainingset', place / 'tiny.toml', '--simulate', '--jobs', '2', '-o', tmp_path / 'streamed']
    refused(
        finish(*streamed, '--quiet', size=30_000),
        'trainingset',
        'could not be written',
        'continues when',
    )
    refused(
        finish(
            'mock',
            next(place.glob('runs/a/snapshots/*.fits')),
            '--distance',
            '10',
            '-o',
            tmp_path / 'm',
            size=30_000,
        ),
        'mock',
        'could not be written',
    )
    assert hidden(tmp_path) == [] and not list(tmp_path.glob('m/*')) and not list(tmp_path.glob('set/*.fits'))
    # and with room it goes on
    assert finish(*build).returncode == 0
    assert digests(tmp_path / 'set') == digests(place / 'set')


@linux
def test_no_home_and_no_network(tmp_path):
    """The catalogue is there; the survey is not, and that is said on one line.

    Older astropy says before that there is no place for a cache.
    """
    result = finish('fetch', 'NGC 5466', '-o', tmp_path / 'f.fits', '--offline')
    *before, line = result.stderr.splitlines()
    assert result.returncode == 2
    assert all('Remote data cache could not be accessed' in text for text in before)
    assert line.startswith('pidoc-fetch: ') and 'is not in the cache' in line


SHARING = """
import sys
from pidoc.image.ps1.retrieval import Archive
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.config import set_temp_cache

with set_temp_cache(sys.argv[1]):
    archive = Archive(server=sys.argv[2])
    for _ in range(20):
        print(len(archive.listing(SkyCoord(211.3637, 28.5344, unit='deg'))))
        archive = Archive(server=sys.argv[2], refresh=True)
"""


@pytest.mark.slow
def test_many_processes_share_a_cache(tmp_path):
    from pidoc.tests import ps1_sky

    server = ps1_sky.Server(ps1_sky.Survey(tmp_path))
    (tmp_path / 'cache').mkdir()
    children = []
    try:
        children = [
            subprocess.Popen(
                [sys.executable, '-c', SHARING, tmp_path / 'cache', server.address],
                text=True,
                env=surroundings(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for _ in range(4)
        ]
        for child in children:
            output, errors = child.communicate(timeout=300)
            assert (child.returncode, errors, output.split()) == (0, '', ['6'] * 20)
    finally:
        for child in children:
            child.kill()
            child.communicate()
        server.close()


# -- nothing is executed --------------------------------------------------------------------------


def calls():
    """(module, line, dotted name, keywords) of each call in the package, its tests left out."""
    for path in ROOT.rglob('*.py'):
        if 'tests' in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Call):
                yield (
                    path.relative_to(ROOT),
                    node.lineno,
                    ast.unparse(node.func),
                    {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords},
                )


def risky(name, keywords):
    """What could run, unpickle or unpack what is in a file."""
    last = name.rsplit('.', 1)[-1]
    if name in ('np.load', 'numpy.load', 'np.lib.format.open_memmap', 'numpy.lib.format.open_memmap'):
        return keywords.get('allow_pickle', 'False') != 'False'
    if last == 'load_model':
        return keywords.get('safe_mode', 'True') != 'True'
    return (
        name in ('eval', 'exec', 'compile', '__import__', 'os.system', 'os.popen')
        or last in ('extractall', 'extract', 'unpack_archive', 'enable_unsafe_deserialization', 'unsafe_load')
        or (name.split('.')[0] in ('pickle', 'dill', 'joblib', 'marshal', 'shelve', 'cloudpickle', 'yaml'))
        or (keywords.get('shell', 'False') != 'False')
    )


PIPES = {('io/processes.py', 'pickle.dumps'), ('io/processes.py', 'pickle.loads')}


def test_nothing_in_a_file_can_be_executed():
    found = [(str(module), line, name) for module, line, name, keywords in calls() if risky(name, keywords)]
    # what a process and its own workers send to each other comes from no file
    assert [each for each in found if each[::2] not in PIPES] == []


@pytest.mark.parametrize(
    ('name', 'keywords'),
    [
        ('np.load', {'allow_pickle': 'True'}),
        ('eval', {}),
        ('pickle.loads', {}),
        ('archive.extractall', {}),
        ('keras.saving.load_model', {'safe_mode': 'False'}),
        ('subprocess.run', {'shell': 'True'}),
        ('yaml.load', {}),
    ],
)
def test_the_search_finds(name, keywords):
    assert risky(name, keywords)


def test_objects_in_arrays_are_refused(tmp_path):
    """A file of weights and a checkpoint that hold a pickle: it is not opened."""
    from pidoc.inference.folder import ModelFolderError, read_weights
    from pidoc.simulation.evolve import CheckpointError, Simulation

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'trapped'),)

    path = tmp_path / 'a.npz'
    np.savez(path, meta=np.array([Trap()], dtype=object))
    with pytest.raises(ModelFolderError, match='a.npz is damaged: .* must be of real numbers'):
        read_weights(path)
    with pytest.raises(
        CheckpointError, match='a.npz is not a complete checkpoint .*Object arrays cannot be loaded'
    ):
        Simulation.load(path)
    assert not (tmp_path / 'trapped').exists()


def test_tables_with_tags_of_python_are_refused(tmp_path):
    """The header of ECSV is YAML, which could name things to call."""
    trap = f'!!python/object/apply:os.mkdir ["{tmp_path / "trapped"}"]'
    text = (
        '# %ECSV 1.0\n# ---\n# datatype:\n# - {name: x, datatype: float64}\n'
        f'# meta: {trap}\n# schema: astropy-2.0\nx\n1.0\n'
    )
    (tmp_path / 'a.ecsv').write_text(text)
    with pytest.raises(ValueError, match='a.ecsv'):
        pidoc.Snapshot.read(tmp_path / 'a.ecsv', age=1 * u.Gyr)
    assert not (tmp_path / 'trapped').exists()


@pytest.mark.parametrize('name', ['../a.npz', '/tmp/a.npz', 'a/../../b.npz'])
def test_a_model_cannot_name_files_elsewhere(tmp_path, name):
    from pidoc.inference.estimator import Estimator
    from pidoc.inference.folder import ModelFolderError, write_card

    card = {
        'format': 2,
        'about': {},
        'turns': 1,
        'config': {},
        'scaling': {},
        'calibration': {},
        'grid': {},
        'posterior': {},
        'sha256': {name: '0' * 64},
    }
    write_card(tmp_path, card)
    with pytest.raises(ModelFolderError, match='the weights .* are missing'):
        Estimator.load(tmp_path)
