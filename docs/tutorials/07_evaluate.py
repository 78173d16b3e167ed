"""
Evaluate a model
================

How wrong is a network, and does it know how wrong it is? The packaged model, on a cluster that it has never
seen.
"""
# %%
# Something to ask it about
# -------------------------
#
# A new cluster of 20,000 stars, from 50 Myr to 1 Gyr, observed 96 times. A real evaluation takes thousands of
# maps of several clusters of all ages (:doc:`/against_the_paper`, :doc:`/models`); this one is here to show
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
# Ask
# ---
#
# `~pidoc.evaluation.evaluate` does so twice: with nothing but the image, and with the distance given with an
# error of 2 %. With ``training=`` baselines answer, too: what does one know without any network?

from pidoc import MassMapper
from pidoc.evaluation import evaluate

mapper = MassMapper.from_pretrained()
report = evaluate(mapper.estimator, maps, given=('image', 'distance'), name=mapper.name, minimum_maps=3)

# %%
# Scores
# ------
#
# Means over all maps or pixels, those of masses in per cent of the predicted ones. Beside these two is
# what the paper reports, of other clusters; NaN: it does not say. There are many more scores, and the page
# :doc:`/evaluation` tells what each is for.

scores = report.tables['scores']
chosen = [str(name).endswith('.sample') for name in scores['score']]
shown = scores['text', 'unit', 'paper', 'image', 'distance'][chosen]
shown.round(2)
shown

# %%
# Predicted against true
# ----------------------
#
# Above, each map is a count in the plane of predicted and true mass; on the line both are the same. The
# strips hold the means of the residuals, and their standard deviations. Each strip tells something else: for
# a true value, how far off is the prediction; and for a predicted one, how far off is the truth?

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
# Does it know how wrong it is?
# -----------------------------
#
# Intervals of 68 % should cover 68 % of the truths, and those of 95 %, 95 %. Here 96 maps of one cluster can
# show no more than whether they are far from it, for all these maps show the same stars: where one is off,
# all are, to the same side.

coverage = report.tables['coverage']
shown = coverage['mode', 'quantity', 'n', 'share_68', 'share_95'][coverage['group'] == 'all']
shown.round(1)
shown

# %%
# And where was it warned?

predictions = list(mapper.predict_many([maps.mock(k) for k in range(0, len(maps), 4)]))
flagged = sum(not one.in_domain for one in predictions)
print(f'{flagged} of {len(predictions)} maps are outside the training domain')

# %%
# From the command line
# ---------------------
#
# .. code-block:: console
#
#    $ pidoc-evaluate models/mine sets/trial --given image distance -o report
#
# writes the whole report, with the paper's figures, tables of all maps, and a page.

report.write(path / 'report')
print(*sorted(each.name for each in (path / 'report').iterdir()), sep='\n')
folder.cleanup()
