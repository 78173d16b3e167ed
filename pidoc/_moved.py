# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Import hook for modules that have moved into a sub-package, under their former names."""

import importlib
import sys
from importlib.machinery import ModuleSpec

__all__ = ['MOVED', 'MovedFinder']

MOVED = {
    'files': 'io.files', 'processes': 'io.processes', 'notebook': 'io.html',
    'cluster_model': 'cluster.model', 'model_table': 'cluster.table', 'snapshot': 'cluster.snapshot',
    'foreign': 'cluster.foreign', 'simulation.stellar': 'stellar', 'simulation.grid': 'simulation.design',
    'image_input': 'image.read', 'image_units': 'image.calibration', 'image_sky': 'image.sky',
    'image_grid': 'image.resample', 'ps1': 'image.ps1.files', 'ps1_map': 'image.ps1.stacks',
    'retrieval': 'image.ps1.retrieval', 'recipe': 'training_set.recipe', 'losses': 'networks.losses',
    'scaling': 'networks.scaling', 'estimator': 'inference.estimator', 'domain': 'inference.domain',
    'model_card': 'training.model_card', 'mapper': 'prediction.mapper', 'profiles': 'prediction.profiles',
    'survey': 'prediction.survey', 'samp': 'prediction.samp', 'scores': 'evaluation.scores',
    'baselines': 'evaluation.baselines', 'real_clusters': 'evaluation.real_clusters',
    'synthetic_sky': 'evaluation.synthetic_sky', 'prediction_plot': 'plotting.prediction',
    'real_clusters_plot': 'plotting.real_clusters',
}
"""Former name -> present name, both below ``pidoc``."""


class MovedFinder:
    """An import hook that returns the present module for the former name."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        package, _, rest = name.partition('.')
        return ModuleSpec(name, MovedFinder) if package == 'pidoc' and rest in MOVED else None

    @staticmethod
    def create_module(spec):
        """None: the import system creates an empty module, which `exec_module` replaces."""

    @staticmethod
    def exec_module(module):
        name = module.__name__
        sys.modules[name] = importlib.import_module(f'pidoc.{MOVED[name.partition(".")[2]]}')
