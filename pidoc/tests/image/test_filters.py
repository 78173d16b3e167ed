# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Names of filters, and the colours of old populations beside clusters and isochrones."""

import numpy as np
import pytest
from astropy import units as u

from pidoc import catalogs
from pidoc.cluster.population import population_mass_to_light
from pidoc.image.filters import band_named, band_of, FILTERS, old_colour
from pidoc.photometry import BANDS

NAMES = {
    'V': ['V', 'Vj', 'VJ', 'vj', 'JV', 'bV', 'Vb', 'VBessel', 'Vbessell', 'VBESSEL', 'BESS_V', 'V_BESS',
          'V_BESSELL', 'Bessell-V',
          'BessellV', 'V_HIGH', 'v_HIGH', 'Photometric V', 'Johnson V', 'JOHNSON-V', 'JohnsonV', 'JOHNSON_V',
          'Harris V',
          'V Harris k1004', 'Cousins V', 'Kron V', 'V#641', 'V/89', 'V_ESO', 'V-band', 'Vband', 'Vmag',
          'W-J-V', 'V.MP9501',
          'V 5438/984', 'KPNO V', 'V (Johnson)', 'Generic V', 'V Filter', 'Bes V', 'BB#V/89_ESO843'],
    'B': ['B', 'bB', 'Bj', 'B_BESS', 'b_HIGH', 'BESSEL-B', 'BB#B/123_ESO878'],
    'R': ['R', 'Rc', 'RC', 'R_SPECIAL', 'Cousins R', 'W-C-RC', 'BB#Rc/162_ESO844'],
    'I': ['I', 'Ic', 'I_BESS', 'Bessell I', 'BB#I/203_ESO879'],
    'g': ['g', 'SDSS g', 'g_SDSS', 'SDSS-G', 'gp', "g'", 'SloanG', 'GSDSS', 'g.MP9401', 'HSC-G', 'g.00000',
          'g_G0301', 'zg', 'ZTF_g', 'g DECam SDSS c0001 4720.0 1520.0', 'Pan-STARRS g',
          'g_HIGH', 'g_HIGH+115', 'W-S-G+'],
    'r': ['r', 'rp', 'r.MP9601', 'HSC-R2', 'r_G0303', 'zr', 'SLOAN-R', 'r DECam SDSS c0002 6415.0 1480.0'],
    'i': ['i', 'ip', 'HSC-I2', 'i.MP9702', 'W-S-I+'],
    'F475W': ['F475W', 'f475w'], 'F555W': ['F555W', 'WFPC2 F555W'],
    'F606W': ['F606W', 'f606w', 'F606W;CLEAR2L', 'CLEAR1L;F606W'], 'F814W': ['F814W'],
    'VIS': ['VIS', 'EUC_VIS', 'Euclid VIS', 'vis'], 'G': ['G', 'Gaia G', 'GAIA_G', 'GaiaG', 'Gaia']}


class TestNames:
    @pytest.mark.parametrize(('band', 'name'), [(band, name) for band,
                                                names in NAMES.items() for name in names])
    def test_known(self, band, name):
        assert band_named(name) == band

    @pytest.mark.parametrize('name', ['Air', 'clear', 'OPEN', 'none', '', 'n/a', 'blank', 'no filter', '12',
                                      'POL60V', 'POL0UV',
                                      'CLEAR1S;POL120V', 'BB'])
    def test_nothing_in_the_way(self, name):
        assert band_named(name) is None

    @pytest.mark.parametrize(('name', 'band'), [
        ('v', 'v'), ('b', 'b'), ('Stromgren v', 'v'), ('Ks', 'Ks'), ('F502N', 'F502N'), ('U', 'U'), ('z',
                                                                                                     'z'),
        ('Gaia BP', 'BP'),
        ('BV', 'BV'), ('VR', 'VR'), ('V+R', 'V+R'), ('g+r', 'g+r'), ('vis-nir', 'vis-nir'), ('V_STRM', 'v'),
        ('MB#516/16_ESO870', 'MB')])
    def test_other_bands_stay_what_they_are(self, name, band):
        assert band_named(name) == band and band not in FILTERS


@pytest.mark.parametrize(('cards', 'band'), [
    ({'FILTER': 'V'}, 'V'), ({'FPA.FILTERID': 'g.00000'}, 'g'), ({'BAND': 'r   '}, 'r'),
    ({'FILTER1': 'CLEAR1L', 'FILTER2': 'F606W'}, 'F606W'), ({'FILTER1': 'air', 'FILTER2': 'V'}, 'V'),
    ({'FILTER': 'POL0', 'FILTER2': 'V'}, 'V'), ({'ESO INS FILT1 NAME': 'v_HIGH'}, 'V'), ({'WFFBAND': 'V'},
                                                                                         'V'),
    ({'PHOTMODE': 'ACS WFC1 F606W MJD#52600'}, 'F606W'), ({'FILTER': None}, None), ({}, None), ({'FILTER': 5},
                                                                                                None),
    ({'FILTER': 'Clear', 'BAND': 'B'}, 'B'), ({'FILTER': 'Ha'}, 'Ha'), ({'DWFILNAM': 'V'}, 'V'),
    ({'FILTER1': 'CLEAR1S', 'FILTER2': 'POL60V'}, None),
    ({'FILTER1': 'F606W', 'FILTER2': 'POL60V'}, 'F606W')])
def test_named_by_headers(cards, band):
    assert band_of(cards) == band


class TestOldColours:
    def test_of_the_atmospheres(self):
        """Populations of three metallicities and two ages are within two of the errors."""
        def magnitudes(band, metallicity):
            ratio = population_mass_to_light([10, 13] * u.Gyr, metallicity, band=band,
                                             correction='kurucz1992')
            return BANDS[band].solar_magnitude + 2.5 * np.log10(ratio.value)

        for metallicity in (0.0002, 0.001, 0.005):
            v = magnitudes('V', metallicity)
            for band in set(BANDS) - {'V'}:
                colour, error = old_colour(band)
                assert np.all(np.abs(v - magnitudes(band, metallicity) - colour) < 2.0 * error), (band,
                                                                                                  metallicity)

    def test_of_clusters(self):
        """Harris's integrated colours, freed from reddening: the mean and the scatter."""
        table = catalogs.harris()
        near = table['reddening'] < 0.3 * u.mag
        for column, sign, band in (('b_v', -1.0, 'B'), ('v_r', 1.0, 'R'), ('v_i', 1.0, 'I')):
            seen = ~table[column].mask & near
            red = table['reddening'][seen].value * catalogs.EXTINCTION_RATIO
            colour = sign * table[column][seen].unmasked.value - red * (1.0 - FILTERS[band].extinction)
            assert np.mean(colour) == pytest.approx(FILTERS[band].v_minus, abs=0.05)
            assert np.std(colour) == pytest.approx(FILTERS[band].error, abs=0.04)

    def test_redder_bands_are_brighter(self):
        """In AB, where a flat spectrum has the colour 0, the spectrum of an old population rises redwards."""
        bands = sorted(FILTERS, key=lambda name: FILTERS[name].pivot)
        wave = np.log([FILTERS[name].pivot for name in bands])
        offset = FILTERS['V'].ab_minus_vega
        rising = [FILTERS[name].v_minus + offset - (FILTERS[name].ab_minus_vega or 0.0) for name in bands]
        # Gaia's G and Euclid's VIS are so wide that they reach into the bands beside them
        narrow = [colour for name, colour in zip(bands, rising, strict=True) if name not in ('G', 'VIS')]
        assert np.all(np.diff(narrow) > -0.02), dict(zip(bands, rising, strict=True))
        assert np.polyfit(wave, rising, 1)[0] == pytest.approx(1.9, abs=0.3)

    def test_reddened(self):
        """A_V = 1 mag: E(B-V) = 0.32 mag, E(V-I) = 0.45 mag."""
        plain, red = old_colour('B'), old_colour('B', 1.0)
        assert red[0] - plain[0] == pytest.approx(-0.322) and red[1] == pytest.approx(np.hypot(0.13, 0.0322))
        assert old_colour('I', 1.0)[0] - old_colour('I')[0] == pytest.approx(0.451)
        assert old_colour('V', 1.0) == (0.0, 0.0)

    def test_unknown(self):
        with pytest.raises(ValueError, match="band must be one of B, V, .*, received 'F435W'"):
            old_colour('F435W')
