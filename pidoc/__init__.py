# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Masses, mass maps and ages of star clusters from their light.

The modules, each of which imports only from those above it:

======================  ==========================================================================
``units``               constants, N-body units, the door through which quantities become numbers
``files``               files that appear whole or not at all, folders that one uses at a time
``processes``           how worker processes begin and end, and what they say
``notebook``            how objects look in notebooks
``cluster_model``       `ClusterModel`: what one simulated cluster is
``model_table``         cluster models from tables and from what people type
``photometry``          bolometric corrections, luminosities in a band, apparent flux
``snapshot``            `Snapshot`: the stars of a cluster at one age
``mock``                `observe` a snapshot: images of its light and of its mass
``catalogs``            what is known of globular clusters: Harris, VandenBerg, Baumgardt, the paper
``ps1``                 files of Pan-STARRS1, read and written
``ps1_map``             from its stacks in g and r to a map of the V light
``retrieval``           `fetch` the stacks of a cluster from its archive
``image_units``         calibration: from what pixels hold to apparent V flux
``image_input``         images as they come: files, CCDData, arrays
``image_sky``           centre, background, seeing
``image_grid``          the grid of the networks, and how light gets there
``image``               `prepare` any image of a cluster
``networks``            the two networks of the paper, and ours
``losses``              the perceptual loss, and the likelihood
``profiles``            profiles of mass and M/L about a centre on the sky
``domain``              is an image inside the training domain, and if not, in what?
``scaling``             maps, masses, ages and distances as numbers for networks, and back
``estimator``           `Estimator`: trained networks, arrays in, calibrated arrays out
``model_card``          what a model was trained on, its scores, its limits
``training``            `train`: from a training set to a model folder
``scores``              Eqs. 1, 2 and 4 and Table 2: predicted against true, streamed
``baselines``           null predictors, and the shot-noise floor
``evaluation``          `evaluate` a model: all scores in one `Report`, the paper's beside them
``plotting``            figures
``prediction_plot``     the picture of a prediction
``prediction``          `Prediction`: what a model says of one image, and its FITS file
``mapper``              `MassMapper`: from images to predictions
``survey``              many images: products, one table, processes, interruptions
``samp``                files to DS9, Aladin and TOPCAT
``real_clusters``       the paper's 17 clusters: predictions beside the literature
``real_clusters_plot``  figures of these
``simulation.stellar``  mass, luminosity, radius and type of a star at an age
``foreign``             snapshots that other codes have written
``simulation.initial``  positions, velocities and masses at the start
``simulation.tides``    tidal radius on a galactic orbit
``simulation.grid``     many cluster models that cover a space of initial conditions
``simulation.kernels``  potential, relaxation, orbit sampling: arrays in, arrays out
``simulation.ledger``   the energy ledger
``simulation.evolve``   the time loop
``simulation.run``      one run in a folder: snapshots, log, checkpoints
``simulation.many``     many of them at a time
``synthetic_sky``       files of Pan-STARRS1 of a sky that never was
``recipe``              `Recipe`: what a training set is made of
``training_set``        `TrainingSet`: many mock observations on disk
``scripts``             one thin ``main`` per command
======================  ==========================================================================

``import pidoc`` is light: its public names are loaded when they are first used.
"""

from importlib import import_module

__version__ = '0.1.dev0'

# also in CITATION.cff
__citation__ = f'''\
@software{{pidoc,
  title   = {{{{pidoc: masses, mass maps and ages of star clusters from their light}}}},
  author  = {{{{The pidoc developers}}}},
  version = {{{__version__}}},
  license = {{BSD-3-Clause}},
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

_HOME = {'ClusterModel': 'pidoc.cluster.model', 'MassMapper': 'pidoc.prediction.mapper',
         'Prediction': 'pidoc.prediction', 'Snapshot': 'pidoc.cluster.snapshot'}

__all__ = ['ClusterModel', 'MassMapper', 'Prediction', 'Snapshot', '__citation__', '__version__']


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    if name == 'Snapshot':
        # adds the formats of other codes to Snapshot.read
        import_module('pidoc.cluster.foreign')
    return getattr(import_module(_HOME[name]), name)


def __dir__():
    return sorted(set(globals()) | set(__all__))
