# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The paper's clusters beside the literature: what is compared, what a report says, what is not there."""

import math

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData
from astropy.table import QTable

from pidoc import catalogs
from pidoc.catalogs import paper_table
from pidoc.evaluation import real_clusters
from pidoc.evaluation.real_clusters import compare, fetch_all, HOW, suited_grids
from pidoc.grid import APPARENT_FLUX
from pidoc.image.ps1.retrieval import Archive, NotInCacheError, ServiceError
from pidoc.inference.domain import Domain
from pidoc.prediction.mapper import MassMapper
from pidoc.tests.stand_in import AGE, DISTANCE, RATIO, StandIn

PAPER = paper_table()
NAMES = [str(name) for name in PAPER['name']]


def light_of(name, *, synthetic=True, extinction=0.5):
    """A round map with the luminosity of the paper's column as seen, at Harris's distance."""
    row = PAPER[NAMES.index(name)]
    y, x = np.mgrid[:160, :160] - 79.5
    values = 1 / (1 + (x**2 + y**2) / 20**2)
    total = row['field_luminosity'].value * 10 ** (0.4 * extinction)
    values *= total / (4 * math.pi * row['distance'].value ** 2) / values.sum()
    meta = {'OBJECT': name, 'PIXSCALE': 0.25, 'SMOOTH': 4.0, 'BAND': 'V', 'PSFFWHM': 1.2,
            'EXTCORR': extinction}
    if synthetic:
        meta |= {'SYNTHET': True, 'TRUEMASS': 2.5 * total, 'TRUELUM': total}
    return CCDData(values, unit=APPARENT_FLUX, meta=meta)


def domain(most):
    """Inside up to a luminosity, which is known with the distance only."""
    names = ('total_flux', 'flux_5', 'contrast', 'granularity', 'distance')
    reference = {name: np.zeros(3) for name in names}
    return Domain({'luminosity': (0.0, math.log10(most))}, reference, {'image': np.inf, 'distance': np.inf})


@pytest.fixture(scope='module')
def report():
    mapper = MassMapper(StandIn(), domain=domain(20000.0), name='formulae')
    return compare(mapper, {name: light_of(name) for name in NAMES}, missing={})


def test_light(report):
    table = report.table
    np.testing.assert_allclose(table['luminosity_seen'].value, PAPER['field_luminosity'].value, rtol=1e-6)
    np.testing.assert_allclose(table['luminosity'] / table['luminosity_seen'], 10**0.2, rtol=1e-9)
    assert table['true_mass_to_light'].unit == u.Msun / u.Lsun
    np.testing.assert_allclose(table['true_mass_to_light'].value, 2.5)


def test_the_papers_five(report):
    """Its section 5: NGC 5053, Pal 11, NGC 7492, NGC 5466 and NGC 6517."""
    assert set(report.table['name'][report.table['in_paper_range']]) == {
        'NGC 5053', 'Pal 11', 'NGC 7492', 'NGC 5466', 'NGC 6517'}


def test_ages_that_nobody_has_are_assumed(report):
    table = report.table
    assumed = set(table['name'][table['age_assumed']])
    assert 'Pal 11' in assumed and 'NGC 5466' not in assumed and len(assumed) == 9
    assert np.all(table['literature_age'][table['age_assumed']] == 12 * u.Gyr)
    assert table['literature_age'][NAMES.index('NGC 7099')] == 13 * u.Gyr


def test_predictions(report):
    table = report.table
    np.testing.assert_allclose(table['mass_to_light.image'].value, RATIO)
    np.testing.assert_allclose(table['age.distance'].value, AGE)
    np.testing.assert_allclose(table['distance.image'].value, DISTANCE)
    np.testing.assert_allclose(table['distance.distance'].value, table['distance'].value)
    width = np.log(table['distance_high_68.distance'] / table['distance.distance'])
    np.testing.assert_allclose(width, 0.02)


def test_what_is_given_in_each_mode():
    names, estimator = ['NGC 5053', 'Pal 11', 'NGC 5466'], StandIn()
    images = {name: light_of(name) for name in names}
    images['NGC 5053'].meta['TRUESLOP'] = -1.6
    found = compare(MassMapper(estimator), images)
    assert found.modes == ('image', 'distance', 'known', 'slope', 'dispersion') == tuple(HOW)
    nothing, distance, both, counted, everything = estimator.known
    known = {name for name in nothing if np.isfinite(nothing[name]).any()}
    assert known == {'seeing'}
    rows = [NAMES.index(name) for name in found.table['name']]
    for each in (distance, both, counted, everything):
        np.testing.assert_allclose(each['distance'], PAPER['distance'].value[rows])
        np.testing.assert_allclose(each['distance_error'], 0.02 * each['distance'])
    assert np.all(np.isnan(distance['age'])) and np.all(np.isnan(distance['metallicity']))
    for each in (both, counted, everything):
        np.testing.assert_allclose(each['age'], found.table['literature_age'].value)
        # Pal 11 has none
        np.testing.assert_allclose(each['age_error'], np.where(found.table['age_assumed'], 1.0, 0.75))
        np.testing.assert_allclose(each['metallicity'], PAPER['fe_h'][rows])
        np.testing.assert_allclose(each['metallicity_error'], 0.15)
    assert set(both['age_error']) == {0.75, 1.0} and np.all(np.isnan(both['velocity_dispersion']))
    assert np.all(np.isnan([both['mass_function_slope'], everything['mass_function_slope']]))
    for k, name in enumerate(found.table['name']):
        # of a stand-in it is its own
        slope = catalogs.known(str(name))['mass_function_slope'].value if k else -1.6
        assert counted['mass_function_slope'][k] == pytest.approx(float(slope))
        assert counted['mass_function_slope_error'][k] == (0.3 if k else 0.2)
        its = catalogs.known(str(name))['velocity_dispersion']
        assert everything['velocity_dispersion'][k] == pytest.approx(its.value.to_value(u.km / u.s))
        assert everything['velocity_dispersion_error'][k] == pytest.approx(its.error.to_value(u.km / u.s))
        assert everything['dispersion_radius'][k] == pytest.approx(its.radius.to_value(u.arcsec))


def test_only_what_the_model_can_use(monkeypatch):
    monkeypatch.setattr(StandIn, 'constraints', StandIn.constraints[:1])
    found = compare(MassMapper(StandIn()), {'Pal 11': light_of('Pal 11')})
    assert found.modes == ('image', 'distance')
    assert found.caught().colnames == ['clusters', 'n', 'flagged_image', 'flagged_distance']
    assert 'velocity dispersion' not in found.to_rst() and "With Harris's distance" in found.to_rst()


def test_range_and_flags(report):
    """The light is not flagged without a distance; with it above 20,000 Lsun."""
    bright = report.table['luminosity'].value
    assert np.all(report.table['in_range'] == (bright <= 5000))
    found = report.caught()
    out = int((bright > 5000).sum())
    assert list(found['n']) == [out, 17 - out] and list(found['flagged_image']) == [0, 0]
    assert list(found['flagged_distance']) == [int((bright > 20000).sum()), 0]
    missed = report.names(in_range=False, in_domain=True, mode='distance')
    assert len(missed) == out - (bright > 20000).sum() and 0 < len(missed) < out
    text = report.to_rst()
    assert f'From the image only, none of these {out} are flagged.' in text
    assert f'are flagged; not {", ".join(missed)}.' in text


def test_range_of_a_training_set():
    mapper = MassMapper(StandIn(), name='formulae')
    far, light = np.repeat([10.0, 17.0, 90.0], 10), np.tile(np.geomspace(100, 2000, 10), 3)
    training = QTable({'age': np.full(30, 12.0) * u.Gyr, 'distance': far * u.kpc,
                       'luminosity': light * u.Lsun})
    training['luminosity'][20:] *= 100
    images = {name: light_of(name, synthetic=False) for name in ('NGC 5053', 'NGC 5466', 'NGC 6981')}
    found = compare(mapper, images, training=training)
    assert list(found.table['in_range']) == [True, False, False]
    assert found.table['range_high'][0] == 2000 * u.Lsun and not found.synthetic
    assert 'no map of the training set older' in found.to_rst()
    assert 'SYNTHETIC' not in found.to_rst() and 'synthetic' not in found.to_rst()
    # young clusters do not count
    training['age'] = 5 * u.Gyr
    with pytest.raises(ValueError, match='10 maps of clusters older than 11.0 Gyr at 2/3 to 3/2 of 17.4'):
        compare(mapper, images, training=training)


def test_agreement(report):
    table = report.agreement()
    row = table[(table['mode'] == 'image') & (table['quantity'] == 'M/L of the stand-in')
                & (table['clusters'] == 'all')][0]
    assert row['error'] == pytest.approx(20.0) and row['bias'] == pytest.approx(-20.0)
    # ln(2.5 / 2) = 0.22: outside 68 % (0.05) and 95 % (0.12)
    assert row['in_68'] == row['in_95'] == 0
    row = table[(table['mode'] == 'distance') & (table['quantity'] == 'age, literature')
                & (table['clusters'] == 'all')][0]
    assert row['bias'] == pytest.approx(9.0 - report.table['literature_age'].value.mean())
    assert row['in_95'] == int((report.table['literature_age'].value <= 11.5).sum())
    # M/L of 2.00 (1.81 to 2.25), and the errors of the literature
    row = table[(table['mode'] == 'image') & (table['quantity'] == 'M/L, literature')
                & (table['clusters'] == 'all')][0]
    true, error = (report.table[f'literature_mass_to_light{end}'].value for end in ('', '_error'))
    low, high = (report.table[f'mass_to_light{end}.image'].value for end in ('_low_95', '_high_95'))
    reach = np.hypot(np.where(true < 2.0, 2.0 - low, high - 2.0), 2.0 * error)
    assert row['in_95'] == np.sum(np.abs(true - 2.0) <= reach) > np.sum((low <= true) & (true <= high))
    # nothing is held against what was given
    assert not np.any((table['mode'] == 'distance') & (table['quantity'] == 'distance, Harris'))
    assert set(table['quantity'][table['mode'] == 'known']) == {
        'M/L, literature', 'M/L of the stand-in', 'mass in the field of the stand-in'}


def test_report(report, tmp_path):
    report.write(tmp_path / 'new', figures=[('light.png', 'Light.')])
    text = (tmp_path / 'new' / 'report.rst').read_text(encoding='utf-8')
    assert text.startswith("SYNTHETIC stand-ins of the paper's clusters, model formulae\n===")
    # the means of abs(2 / M/L - 1), 2 / M/L - 1 of Table 3
    assert 'error for the M/L of the literature is 24.6\nand the bias 19.8 per cent' in text
    assert '**The images are synthetic.**' in text and '   SYNTHETIC images. Light.' in text
    table = QTable.read(tmp_path / 'new' / 'clusters.ecsv')
    assert table.meta['synthetic'] is True and table.meta['model'] == 'formulae' and len(table) == 17
    assert {path.name for path in (tmp_path / 'new').iterdir()} == {
        'report.rst', 'clusters.ecsv', 'caught.ecsv', 'agreement.ecsv'}
    with pytest.raises(OSError, match='exists: give overwrite=True'):
        report.write(tmp_path / 'new')
    report.write(tmp_path / 'new', overwrite=True)


def test_report_is_rst(report):
    publish_string = pytest.importorskip('docutils.core').publish_string
    # not by its name, for which docutils 0.22 has another argument
    writer = pytest.importorskip('docutils.writers.null').Writer()

    text = report.to_rst().replace('`pidoc.evaluation.synthetic_sky`', 'pidoc.evaluation.synthetic_sky')
    publish_string(text, writer=writer, settings_overrides={'halt_level': 2, 'report_level': 2})


@pytest.mark.parametrize(('images', 'options', 'message'), [
    ({}, {}, "images must be of clusters of the paper's Table 3, received none"),
    ({'NGC 104': None}, {}, "images must be of clusters of the paper's Table 3, received NGC 104"),
    ({'Pal 11': None}, {'distance_error': 0.0},
     'distance_error must be a number above 0 and below 1, received 0.0')])
def test_impossible(images, options, message):
    with pytest.raises(ValueError, match=message):
        compare(MassMapper(StandIn()), images, **options)


class TestFetchAll:
    def test_what_is_not_there_is_told(self, monkeypatch):
        asked = []

        def fetch(name, *, archive, grid):
            assert grid is None
            asked.append((name, archive.offline))
            if name == 'Pal 11':
                raise ServiceError('nobody\nanswers')
            if archive.offline:
                raise NotInCacheError('not in the cache')
            return name.lower()

        monkeypatch.setattr(real_clusters, 'fetch', fetch)
        images, missing = fetch_all(Archive(), names=['NGC 5053', 'Pal 11', 'NGC 7492'])
        assert images == {'NGC 5053': 'ngc 5053'}
        assert missing == {'Pal 11': 'nobody answers', 'NGC 7492': 'not in the cache'}
        # after it has not answered, nobody waits for it seventeen times
        assert asked == [('NGC 5053', False), ('Pal 11', False), ('NGC 7492', True)]

    def test_an_archive_for_each(self, monkeypatch):
        monkeypatch.setattr(real_clusters, 'fetch', lambda name, *, archive, grid: (archive, grid))
        images, missing = fetch_all(lambda name: f'archive of {name}')
        assert list(images) == NAMES and images['Pal 11'] == ('archive of Pal 11', None) and missing == {}

    def test_fields_that_hold_them(self, monkeypatch):
        """Half-light radii of Harris: 2.61, 1.46, 0.48 and 0.36 arcmin; the last two are far away."""
        mapper = MassMapper(StandIn())
        grids = suited_grids(mapper)
        assert list(grids) == NAMES
        width = {name: grid.field_of_view[0].value for name, grid in grids.items()}
        names = 'NGC 5053', 'Pal 11', 'NGC 4147', 'NGC 6229'
        assert [width[name] for name in names] == [160, 160, 64, 64]
        monkeypatch.setattr(mapper, 'with_field',
                            lambda options: {'grid': mapper.grid, 'farthest': 30 * u.kpc})
        width = {name: grid.field_of_view[0].value for name, grid in suited_grids(mapper).items()}
        assert (width['NGC 5053'], width['NGC 4147'], width['NGC 6229']) == (64, 40, 40)
        monkeypatch.setattr(real_clusters, 'fetch', lambda name, *, archive, grid: grid)
        assert fetch_all(None, grids=grids)[0] == grids
