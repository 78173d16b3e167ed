"""
Build a training set and train a model
======================================

From a recipe to a network of your own, in a minute. The result is poor, which is what a minute
gives; a real one differs in the numbers only.
"""
# %%
# A recipe
# --------
#
# A training set is described by a small text: which clusters are simulated, at which ages they are observed,
# from where, and how. These are three clusters of 1500 stars. One trains, one *validates* (tells during the
# training how good the network is on clusters that it has not seen), and one *tests*. They must never be
# mixed: stars of one simulation look alike in all of its images, and a network would only prove its memory.

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
# A row of the table is a map. ``mass`` and ``luminosity`` are those in the field: the truth.

shown = maps.table['split', 'simulation', 'age', 'distance', 'seeing', 'mass', 'luminosity'][::60]
shown.round(2)
shown

# %%
# Train
# -----
#
# In an *epoch* the network sees each map once. After each step its parameters move so as to make the answers
# that it has just given more likely: the *loss* is how unlikely they were. `~pidoc.training.Settings` has
# what can be chosen; this network is far smaller than the packaged ones.

from pidoc.training import Settings, train

settings = Settings(epochs=12, batch_size=16, widths=(8, 16, 24, 32), learning_rate=0.002, seed=1)
estimator = train(maps, path / 'model', settings=settings, name='small', description='Made in a tutorial.')

# %%
# While both lines fall, it learns something that holds for the other cluster too. Where the line of the
# training falls on and that of the validation does not, the network learns by heart. With a single cluster of
# 1500 stars it soon does; more clusters are what helps. Kept are the parameters of the best validation.

from pidoc.plotting import plot_history

(history,) = estimator.about['history']
figure = plot_history({name: history[name] for name in ('loss', 'val_loss')})

# %%
# After the training the posterior is calibrated on the validation maps, so that its intervals have the
# coverage that they claim, and the training domain is learned.
#
# Use it
# ------
#
# The model is a folder, which `~pidoc.MassMapper.from_pretrained` and the commands take by its path.

from pidoc import MassMapper

mapper = MassMapper.from_pretrained(path / 'model')
test = maps.split('test')
mock = test.mock(0)
print(mapper.predict(mock, distance=mock.distance).summary())
print(f'\ntruth: mass {mock.total_mass:.0f}, age {mock.age:.2f}')

# %%
# How good is it on the test cluster, all in all? The same scores as those of the packaged models, beside
# baselines fitted on the same training maps:

from pidoc.evaluation import evaluate

report = evaluate(estimator, test, given=('distance',), training=maps.split('train'), minimum_maps=3)
scores = report.tables['scores']
chosen = [str(name).endswith('.sample') for name in scores['score']]
shown = scores['text', 'unit', 'distance', 'constant_ml', 'mean_profile'][chosen]
shown.round(2)
shown

# %%
# From the command line
# ---------------------
#
# .. code-block:: console
#
#    $ pidoc-trainingset small.toml --simulate --simulations runs -o set
#    $ pidoc-train set -o model --name small --epochs 12
#    $ pidoc-evaluate model set --given distance -o report
#    $ pidoc-predict image.fits --model model
#
# :doc:`/training_sets` has all that a recipe can say, :doc:`/training` how the network works and what a real
# training takes. What the scores mean: :doc:`07_evaluate`.

folder.cleanup()
