"""
Simulate a cluster
==================

Simulate a cluster from its birth to any age: stellar evolution, encounters, mass segregation and escape.
"""
# %%
# The model
# ---------
#
# A `~pidoc.cluster.ClusterModel` holds the initial conditions: here 5000 stars, with half of their mass
# within 2 pc, on a circular orbit 8 kpc from the centre of the galaxy. Everything else has a default, those
# of the paper.

from astropy import units as u

from pidoc import ClusterModel

model = ClusterModel(name='small', n_stars=5000, half_mass_radius=2 * u.pc,
                     galactocentric_distance=8 * u.kpc, seed=1)
print(f'mass about {model.expected_total_mass:.0f}, relaxes in {model.relaxation_time:.0f}')

# %%
# Run it
# ------
#
# `~pidoc.simulation.run.run` simulates it in a folder and writes a snapshot at each age. After an
# interruption, the same call resumes the run. (The first run on a machine also compiles the code, which takes
# up to a minute.)

import tempfile
from pathlib import Path

import numpy as np

from pidoc.simulation import run

folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / 'small'
log = run(model, path, ages=np.linspace(0, 500, 11) * u.Myr)
shown = log['age', 'n_stars', 'total_mass', 'half_mass_radius', 'mass_to_light'][::2]
shown.round(3)
shown

# %%
# Evolution
# ---------
#
# The log has a row for each snapshot. Massive stars explode or shed their envelopes within the first tens of
# Myr; the cluster loses a quarter to a third of its mass, and expands. Light comes from few massive stars,
# mass from many faint ones, so that M/L grows by two orders of magnitude as the former die. Stars also
# exchange energy in encounters: heavy stars sink to the centre, as the half-light radius (dashed) shows in
# comparison with the half-mass radius, and light ones escape.

from pidoc.plotting import plot_run

figure = plot_run(log, age_scale='linear')

# %%
# Changes of energy are recorded by channel. What is unaccounted for is the energy error, here relative to the
# initial energy. :doc:`/validation` compares the code with theory, N-body integrations and other codes.

print(f"{abs(log['energy_error']).max():.1e}")

# %%
# The stars
# ---------
#
# A `~pidoc.cluster.Snapshot` holds all stars at one age, with units. A spherical simulation has radii and
# two components of the velocity; directions are drawn when they are needed.

from pidoc import Snapshot

snapshot = Snapshot.read(path / 'snapshots' / 'snapshot_00010.fits')
print(snapshot)
print(f'half of the mass within {snapshot.half_mass_radius:.2f}, '
      f'half of the light within {snapshot.half_light_radius:.2f}')
stars = snapshot.stars
shown = stars['x', 'y', 'z', 'mass', 'luminosity', 'temperature', 'kind'][-3:]
shown.round(3)
shown

# %%
# ``kind`` is the stellar type in the numbering of Hurley et al. (2000): 0 and 1 are the main sequence, 2 to 9
# giants and naked helium stars, 10 to 12 white dwarfs, 13 neutron stars, 14 black holes. A
# Hertzsprung-Russell diagram:

from matplotlib.figure import Figure

shining = stars['luminosity'] > 0
dwarfs = (stars['kind'] >= 10) & shining
alive = (stars['kind'] < 10) & shining
figure = Figure(figsize=(5, 4.4), layout='constrained')
axis = figure.subplots()
for chosen, marker, colour, label in ((alive, '.', '#0072B2', 'nuclear burning'),
                                      (dwarfs, 'x', '#D55E00', 'white dwarfs')):
    temperature, luminosity = stars['temperature'][chosen].value, stars['luminosity'][chosen].value
    axis.plot(temperature, luminosity, marker, color=colour, ms=4, label=label)
axis.set(xscale='log', yscale='log', xlabel='temperature [K]', ylabel=r'luminosity [L$_\odot$]')
axis.set_xticks([4000, 10000, 40000], labels=['4000', '10000', '40000'])
axis.set_xticks([], minor=True)
axis.invert_xaxis()
_ = axis.legend(frameon=False)

# %%
# On the command line
# -------------------
#
# .. code-block:: console
#
#    $ pidoc-simulate --n-stars 5000 --half-mass-radius 2 --galactocentric-distance 8 --seed 1 \
#          --end 0.5 --snapshots 11 -o small
#
# :doc:`/simulating` describes many clusters at a time, resuming, and the files of a run;
# :doc:`/monte_carlo` has the physics. The next step is an image: :doc:`05_mocks`.

folder.cleanup()
