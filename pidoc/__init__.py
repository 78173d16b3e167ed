# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Masses, mass maps and ages of star clusters from their light.

Sub-packages in order of dependence: each imports only from those above it, and its modules only from those
before them.

``units``
    Constants, N-body units, conversion of quantities to plain numbers.

``photometry``
    Bolometric corrections, luminosities in a band, apparent flux.

``grid``
    `MapGrid`, the pixels and channels of the maps, and their units.

``stellar``
    Mass, luminosity, radius and type of a star at an age.

``catalogs``
    What is known of globular clusters: Harris, VandenBerg, Baumgardt, the paper.

``io``
    Atomic files; tables and their schema; tasks in processes or on dask; progress bars; HTML for notebooks.
    Modules: files, schema, fits, processes, progress, html.

``plotting``
    Figures, one module for each kind; nothing is computed here.
    Modules: style, run, history, maps, comparison, profiles, distances, prediction, posterior,
    coverage, real_clusters.

``cluster``
    `ClusterModel`, what one simulated cluster is; `Snapshot`, its stars at one age; other codes.
    Modules: mass_function, king, population, quantities, model, table, snapshot, foreign.

``simulation``
    From a model to snapshots, with the time loop and one run, or many, in folders.
    Modules: initial, tides, design, kernels, ledger, evolve, run, many.

``mock``
    `observe` a snapshot: an image of its light and the map of its mass.
    Modules: psf, header, conditions, render, projection, mock, observation.

``image``
    `prepare` any image of a cluster; Pan-STARRS1 stacks, and `fetch` for them.
    Modules: light, files, pixel_units, filters, zero_points, calibration, ps1.files, masks, world,
    read, steps, missing, sky, psf, stars, resample, two_bands, preparation, ps1.stacks, ps1.retrieval,
    ps1.

``training_set``
    `Recipe` and `TrainingSet`, many mock observations on disk.
    Modules: truths, recipe, files, sources, sampler, maps, shards, build, stream, dataset.

``networks``
    The two networks of the paper, and ours, in Keras and numpy; losses; maps and scalars as numbers for them.
    Modules: orientation, variables, mixture, coordinates, scaling, shapes, forward, backend, layers,
    paper, cluster, losses.

``inference``
    `Estimator`, arrays in, calibrated arrays out; `Domain`, what it was trained on.
    Modules: estimates, calibration, posterior, curvature, folder, estimator, features, flags, likeness,
    domain.

``training``
    `train`, from a training set to a model folder and its card.
    Modules: model_card, settings, state, data, device, loop, ours, papers, likeness, validation, checks, fit.

``prediction``
    `MassMapper`, from images to predictions; `Prediction`, its FITS file; lists of images.
    Modules: profiles, known, measured, prediction, mapper, survey, samp.

``evaluation``
    Scores beside the paper and baselines, in a `Report`; the paper's 17 clusters.
    Modules: scores, baselines, envelope, limit, coverage, report, synthetic_sky, real_clusters.

``scripts``
    One thin ``main`` per command.
    Modules: command, pidoc_simulate, pidoc_mock, pidoc_fetch, pidoc_predict, pidoc_evaluate,
    pidoc_trainingset, pidoc_train.

``import pidoc`` is light: its public names are loaded when they are first used.
"""

import sys
from typing import TYPE_CHECKING

import lazy_loader

from pidoc._moved import MovedFinder

# tools/write_metadata.py writes them wherever else they stand
__version__ = '0.2'
# ".example" belongs to nobody (RFC 2606): the project has no public address yet
__url__ = 'https://pidoc.example'

# also in CITATION.cff
__citation__ = f'''\
@software{{pidoc,
  title   = {{{{pidoc: masses, mass maps and ages of star clusters from their light}}}},
  author  = {{{{The pidoc developers}}}},
  version = {{{__version__}}},
  license = {{BSD-3-Clause}},
  url     = {{{__url__}}},
}}
@article{{chardin2021,
  title   = {{{{Predicting Images for the Dynamics Of stellar Clusters (pi-DOC): a deep learning framework to
             predict mass, distance and age of globular clusters}}}},
  author  = {{Chardin, Jonathan and Bianchini, Paolo}},
  journal = {{MNRAS}},
  volume  = {{504}},
  pages   = {{5656}},
  year    = {{2021}},
}}
'''

__getattr__, _, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'cluster.model': ['ClusterModel'],
    # where the formats of other codes are added to Snapshot.read
    'cluster.foreign': ['Snapshot'],
    'io.files': ['example'],
    'prediction.mapper': ['MassMapper', 'predict'],
    'prediction.prediction': ['Prediction'],
})
if TYPE_CHECKING:
    # "as" marks them as exported
    from pidoc.cluster.foreign import Snapshot as Snapshot
    from pidoc.cluster.model import ClusterModel as ClusterModel
    from pidoc.io.files import example as example
    from pidoc.prediction.mapper import MassMapper as MassMapper
    from pidoc.prediction.mapper import predict as predict
    from pidoc.prediction.prediction import Prediction as Prediction

__all__ += ['__citation__', '__url__', '__version__']


def __dir__() -> list[str]:
    return sorted(__all__)


if MovedFinder not in sys.meta_path:
    sys.meta_path.append(MovedFinder)
