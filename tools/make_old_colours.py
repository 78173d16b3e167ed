# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Print V minus other bands for the light of old populations, the numbers of `pidoc.image.filters`.

    python tools/make_old_colours.py

Kroupa populations of 10, 12.5 and 13.5 Gyr with the packaged tracks and atmospheres
(`pidoc.cluster.population`), each at the [Fe/H] of every cluster of Harris (2010). Bands that are not in the
atmospheres follow from the integrated colours by relations between the magnitudes of stars:

- R and i: Tonry et al. (2012, ApJ 750, 99), table 6, in g - r;
- F475W from B - V and F555W from V - I: Sirianni et al. (2005, PASP 117, 1049), table 22, whose zero points
  are subtracted (26.168 and 25.724 mag, table 10);
- G from V - I: Riello et al. (2021, A&A 649, A3), table C.2.
"""

import numpy as np
from astropy import units as u

from pidoc.catalogs import harris
from pidoc.cluster.population import population_mass_to_light
from pidoc.photometry import BANDS, iron_abundance

METALLICITIES = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
AGES = [10.0, 12.5, 13.5] * u.Gyr


def magnitudes(band):
    """Magnitudes of a population of a solar mass, [metallicity, age]."""
    light = [population_mass_to_light(AGES, each, band=band, correction='kurucz1992').value
             for each in METALLICITIES]
    return BANDS[band].solar_magnitude + 2.5 * np.log10(light)


def main():
    """Print mean and scatter of V minus each band."""
    iron = np.array([iron_abundance(each) for each in METALLICITIES])
    clusters = harris()['fe_h']
    clusters = np.array(clusters[~clusters.mask])
    v, colours = magnitudes('V'), {}
    for band in BANDS:
        at = v - magnitudes(band)
        colours[band] = np.array([np.interp(clusters, iron, at[:, k]) for k in range(len(AGES))])
    g_r, b_v, v_i = colours['r'] - colours['g'], -colours['B'], colours['I']
    colours['R'] = colours['r'] - np.polyval([-0.029, -0.108, -0.137], g_r)
    colours['i'] = v_i + np.polyval([-0.018, -0.136, -0.366], g_r)
    colours['F475W'] = -b_v + np.polyval([0.032, 0.389, 26.146 - 26.168], b_v)
    colours['F555W'] = np.polyval([0.043, -0.088, 25.719 - 25.724], v_i)
    colours['G'] = -np.polyval([-0.002939, 0.03656, -0.2483, -0.02809, -0.01597], v_i)
    for band, each in colours.items():
        print(f'V - {band:6} {each.mean():6.3f} +- {each.std():.3f} mag')


if __name__ == '__main__':
    main()
