# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""A small run for the tests of runs."""

import functools
from pathlib import Path

from astropy import units as u

from pidoc import ClusterModel
from pidoc.simulation import evolve, Numerics, run

MODEL = ClusterModel(name='small', n_stars=300, half_mass_radius=1 * u.pc, seed=3)
AGES = [0, 5, 10, 20] * u.Myr
FEW_STEPS = Numerics(relaxation_step=0.1, mass_loss_step=0.04)
ALWAYS = 0 * u.s
TRACKS = functools.cache(evolve.StellarEvolution.of)


def start(folder, model=MODEL, **options):
    return run(model, folder, **{'ages': AGES, 'numerics': FEW_STEPS, 'progress': False, **options})


def contents(folder):
    """Bytes of all files of a run, by name; of the picture only that it is there (see `hurry`)."""
    paths = (path for path in sorted(Path(folder).rglob('*')) if path.is_file() and path.name != '.lock')
    return {path.relative_to(folder).as_posix(): b'' if path.suffix == '.png' else path.read_bytes()
            for path in paths}


def hurry(monkeypatch):
    """Do once what is slow and always the same: a picture (an earlier run has a real one), the tracks."""
    class Sketch:
        def savefig(self, path, **options):
            path.write_bytes(b'a sketch')

    monkeypatch.setattr('pidoc.plotting.run.plot_run', lambda table: Sketch())
    monkeypatch.setattr(evolve.StellarEvolution, 'of', TRACKS)
