"""
Evaluate a model
================

How large are the errors of a network, and are its error estimates right? The packaged model is applied to a
cluster that is not in its training set.
"""
# %%
# A test set
# ----------
#
# A new cluster of 20,000 stars, from 50 Myr to 1 Gyr, observed 96 times. A real evaluation needs thousands of
# maps of several clusters of all ages (:doc:`/against_the_paper`, :doc:`/models`); this one only shows
# how it is done, and its numbers are those of one young cluster.

import tempfile
from pathlib import Path

from astropy import units as u

from pidoc.training_set import Recipe
from pidoc.simulation import run
from pidoc.training_set import TrainingSet

folder = tempfile.TemporaryDirectory()
path = Path(folder.name)
(path / 'trial.toml').write_text("""
name = 'trial'
seed = 5

[maps]
sharp = true

[[simulations]]
group = 'new'
base = 'MW15'
rows = [{name = 'new', n_stars = 20000, half_mass_radius = 3, seed = 77}]
ages = [50, 100, 200, 400, 700, 1000]

[[part]]
name = 'test'
simulations = 'new'
split = 'test'
number = 96
distance = [10, 20, 40, 80]
seeing = {low = 0.5, high = 1.5}
shift = 'random'
direction = 'random'
""")
recipe = Recipe.read(path / 'trial.toml')
(model, ages), = recipe.models.values()
run(model, path / 'runs' / 'new', ages=ages * u.Myr)
maps = TrainingSet.build(recipe, path / 'set', simulations=path / 'runs', jobs=1).split('test')
print(len(maps), 'maps')

# %%
# Evaluate
# --------
#
# `~pidoc.evaluation.evaluate` predicts twice: from the image only, and with the distance given with an
# error of 2 %. With ``training=`` it also evaluates baselines, which use no network.

from pidoc import MassMapper
from pidoc.evaluation import evaluate

mapper = MassMapper.from_pretrained()
report = evaluate(mapper.estimator, maps, given=('image', 'distance'), name=mapper.name, minimum_maps=3)

# %%
# Scores
# ------
#
# Means over all maps or pixels, those of masses in per cent of the predicted ones. The column *paper* has the
# paper's values, for other clusters; NaN means that it gives none. There are many more scores, which the page
# :doc:`/evaluation` explains.

scores = report.tables['scores']
chosen = [str(name).endswith('.sample') for name in scores['score']]
shown = scores['text', 'unit', 'paper', 'image', 'distance'][chosen]
shown.round(2)
shown

# %%
# Predicted against true
# ----------------------
#
# The upper panels show the number of maps in the plane of predicted and true values; on the line both are
# equal. The strips show means and standard deviations of the residuals: one for a given true value, the other
# for a given predicted one.

from pidoc.plotting import plot_comparison

comparisons = report.comparisons['distance']
figure = plot_comparison(comparisons['total_mass'], comparisons['mass_to_light'])

# %%
# Without a distance
# ------------------

from pidoc.plotting import plot_distances

table = report.maps['image']
figure = plot_distances(table['distance'], table['true_distance'], n_bins=30)

# %%
# Coverage
# --------
#
# 68 % intervals should contain the truth in 68 % of cases, and 95 % intervals in 95 %. With 96 maps of one
# cluster only large deviations can be seen, since all these maps show the same stars and their errors are
# correlated.

coverage = report.tables['coverage']
shown = coverage['mode', 'quantity', 'n', 'share_68', 'share_95'][coverage['group'] == 'all']
shown.round(1)
shown

# %%
# Which maps were flagged?

predictions = list(mapper.predict_many([maps.mock(k) for k in range(0, len(maps), 4)]))
flagged = sum(not one.in_domain for one in predictions)
print(f'{flagged} of {len(predictions)} maps are outside the training domain')

# %%
# On the command line
# -------------------
#
# .. code-block:: console
#
#    $ pidoc-evaluate models/mine sets/trial --given image distance -o report
#
# writes the full report: a page, the paper's figures, and tables of all maps.

report.write(path / 'report')
print(*sorted(each.name for each in (path / 'report').iterdir()), sep='\n')
folder.cleanup()
