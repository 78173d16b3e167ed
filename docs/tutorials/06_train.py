"""
Build a training set and train a model
======================================

From a recipe to a network of your own, in a minute. The result is poor, because the training is short; a real
training differs in its size only.
"""
# %%
# A recipe
# --------
#
# A recipe is a small text that describes a training set: which clusters are simulated, at which ages they are
# observed, from which distances and directions, and how. Here there are three clusters of 1500 stars, one
# each for training, *validation* (which measures during the training how good the network is on other
# clusters), and *testing*. They must never be mixed: all images of one simulation show the same stars, and a
# network would only have to memorise them.

recipe_text = """
name = 'small'
description = 'three small clusters, for a tutorial'
seed = 1

[maps]
sharp = false

[[simulations]]
group = 'all'
base = 'MW15'
rows = [
    {name = 'one', n_stars = 1500, half_mass_radius = 2, seed = 11},
    {name = 'two', n_stars = 1500, half_mass_radius = 3, seed = 12},
    {name = 'three', n_stars = 1500, half_mass_radius = 2.5, seed = 13},
]
ages = [{start = 20, stop = 400, number = 12}]

[[part]]
name = 'train'
simulations = 'one'
split = 'train'
number = 160
distance = {low = 8, high = 40, scale = 'log'}
seeing = {low = 0.5, high = 1.5}
shift = 'random'
rotation = 'any'
direction = 'random'

[[part]]
name = 'validation'
simulations = 'two'
split = 'validation'
number = 104
distance = {low = 8, high = 40, scale = 'log'}
seeing = {low = 0.5, high = 1.5}
direction = 'random'

[[part]]
name = 'test'
simulations = 'three'
split = 'test'
number = 48
distance = {low = 8, high = 40, scale = 'log'}
seeing = {low = 0.5, high = 1.5}
direction = 'random'
"""

# %%
# Simulate and observe
# --------------------
#
# (`pidoc.training_set.simulate`, and the command below, run many simulations at a time.)

import tempfile
from pathlib import Path

from astropy import units as u

from pidoc.training_set import Recipe
from pidoc.simulation import run
from pidoc.training_set import TrainingSet

folder = tempfile.TemporaryDirectory()
path = Path(folder.name)
(path / 'small.toml').write_text(recipe_text)

recipe = Recipe.read(path / 'small.toml')
for name, (model, ages) in recipe.models.items():
    run(model, path / 'runs' / name, ages=ages * u.Myr)
maps = TrainingSet.build(recipe, path / 'set', simulations=path / 'runs', jobs=1)
print(len(maps), 'maps')

# %%
# Each row of the table describes a map. ``mass`` and ``luminosity`` are the true values in the field.

shown = maps.table['split', 'simulation', 'age', 'distance', 'seeing', 'mass', 'luminosity'][::60]
shown.round(2)
shown

# %%
# Train
# -----
#
# In an *epoch* each map is used once. Each step changes the parameters so as to decrease the *loss*, the
# negative logarithm of the likelihood of the true values. `~pidoc.training.Settings` has all settings; this
# network is far smaller than the packaged ones.

from pidoc.training import Settings, train

settings = Settings(epochs=12, batch_size=16, widths=(8, 16, 24, 32), learning_rate=0.002, seed=1)
estimator = train(maps, path / 'model', settings=settings, name='small', description='Made in a tutorial.')

# %%
# While both lines fall, the network improves on the other cluster, too. Where the training loss keeps falling
# and the validation loss does not, the network is overfitting. With a single cluster of 1500 stars this
# happens soon; more clusters help. The parameters with the lowest validation loss are kept.

from pidoc.plotting import plot_history

(history,) = estimator.about['history']
figure = plot_history({name: history[name] for name in ('loss', 'val_loss')})

# %%
# After the training the posterior is calibrated on the validation maps, so that its intervals have the
# nominal coverage, and the training domain is determined.
#
# Use it
# ------
#
# The model is a folder, whose path `~pidoc.MassMapper.from_pretrained` and the commands accept.

from pidoc import MassMapper

mapper = MassMapper.from_pretrained(path / 'model')
test = maps.split('test')
mock = test.mock(0)
print(mapper.predict(mock, distance=mock.distance).summary())
print(f'\ntruth: mass {mock.total_mass:.0f}, age {mock.age:.2f}')

# %%
# The scores on the test cluster, as for the packaged models, with baselines fitted on the same training maps:

from pidoc.evaluation import evaluate

report = evaluate(estimator, test, given=('distance',), training=maps.split('train'), minimum_maps=3)
scores = report.tables['scores']
chosen = [str(name).endswith('.sample') for name in scores['score']]
shown = scores['text', 'unit', 'distance', 'constant_ml', 'mean_profile'][chosen]
shown.round(2)
shown

# %%
# On the command line
# -------------------
#
# .. code-block:: console
#
#    $ pidoc-trainingset small.toml --simulate --simulations runs -o set
#    $ pidoc-train set -o model --name small --epochs 12
#    $ pidoc-evaluate model set --given distance -o report
#    $ pidoc-predict image.fits --model model
#
# :doc:`/training_sets` describes recipes, :doc:`/training` the network and the cost of a real training.
# :doc:`07_evaluate` explains the scores.

folder.cleanup()
