# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Catalogues: known rows, the files as they are published, names, the paper's selection."""

import http.server
import importlib.util
import io
import re
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Galactic, SkyCoord
from astropy.io.votable.tree import Field, Resource, TableElement, VOTableFile
from astropy.table import QTable, Table

import pidoc
from pidoc import catalogs
from pidoc.tests import shared_data

shared = partial(shared_data.shared, 'catalogs')


@pytest.fixture(scope='module')
def maker():
    """The tool that makes the packaged tables, or a skip."""
    path = Path(pidoc.__file__).resolve().parents[1] / 'tools' / 'make_catalogs.py'
    if not path.exists():
        pytest.skip('tools/ is not part of the installed package')
    spec = importlib.util.spec_from_file_location('make_catalogs', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blank(value):
    """Whether a value of a table is masked."""
    return bool(getattr(value, 'mask', False))


def assert_same(first, second):
    """A table of the tool, with ra and dec, is the packaged one."""
    first = catalogs._with_position(QTable(first))
    assert first.colnames == second.colnames
    for name in first.colnames:
        if name == 'position':
            assert first[name].separation(second[name]).max() < 0.01 * u.arcsec
            continue
        a, b = first[name], second[name]
        np.testing.assert_array_equal(np.asarray(getattr(a, 'mask', False) | np.zeros(len(a), bool)),
                                      np.asarray(getattr(b, 'mask', False) | np.zeros(len(b), bool)), name)
        if getattr(a, 'unit', None) is not None:
            assert a.unit == b.unit, name
            a, b = a.value, b.value
        hidden = getattr(a, 'mask', np.zeros(len(a), bool))
        assert np.all(np.asarray(a)[~hidden] == np.asarray(b)[~hidden]), name


class TestHarris:
    def test_rows_are_what_the_file_says(self):
        table = catalogs.harris()
        assert len(table) == len(set(table['name'])) == 157
        rows = {row['name']: row for row in table}
        row = rows['NGC 5466']
        assert row['position'].separation(SkyCoord('14h05m27.29s +28d32m04.0s')) < 0.01 * u.arcsec
        assert row['distance'] == 16.0 * u.kpc
        assert row['reddening'] == 0.0 * u.mag and not blank(row['reddening'])
        assert row['fe_h'] == -1.98
        assert row['core_radius'] == 1.43 * u.arcmin
        assert row['half_light_radius'] == 2.30 * u.arcmin
        assert row['concentration'] == 1.04
        assert row['velocity_dispersion'] == 1.7 * u.km / u.s
        assert blank(row['u_b'])
        assert row['b_v'] == 0.67 * u.mag

    def test_blanks_do_not_shift_what_follows(self):
        rows = {row['name']: row for row in catalogs.harris()}
        # no dispersion: v_LSR and c are six blanks apart
        assert rows['Whiting 1']['concentration'] == 0.55
        assert blank(rows['Whiting 1']['velocity_dispersion'])
        # only the very end of the line is there
        assert rows['Ko 2']['log_half_mass_relaxation_time'] == 7.70
        assert blank(rows['Ko 2']['log_core_relaxation_time'])
        assert blank(rows['Ko 2']['radial_velocity'])
        # the line ends after the velocities
        assert rows['Pyxis']['v_lsr'] == 20.7 * u.km / u.s
        assert blank(rows['Pyxis']['half_light_radius'])
        # [Fe/H] is blank, its weight is not
        assert blank(rows['Ko 2']['fe_h'])
        assert rows['Ko 2']['fe_h_weight'] == 0
        assert rows['Ko 2']['reddening'] == 0.08 * u.mag
        # a blank radius in the middle; a relaxation time of 0.00 is none
        assert blank(rows['Liller 1']['half_light_radius'])
        assert rows['Liller 1']['central_surface_brightness'] == 24.00 * u.mag / u.arcsec**2
        assert blank(rows['Liller 1']['log_half_mass_relaxation_time'])

    def test_negative_zero_degrees(self):
        rows = {row['name']: row for row in catalogs.harris()}
        assert rows['Pal 5']['position'].dec.deg == pytest.approx(-(6 / 60 + 41.8 / 3600), abs=1e-5)

    def test_columns_belong_together(self):
        """Independent relations between columns hold in every row, so none is shifted."""
        table = catalogs.harris()
        galactic = table['position'].transform_to(Galactic())
        place = SkyCoord(l=table['l'], b=table['b'], frame='galactic')
        # Galactic coordinates have two decimals; two entries of the source are older than the positions
        apart = galactic.separation(place).arcmin
        assert table['name'][apart > 1.2].tolist() == ['Whiting 1', 'Pal 15']
        assert apart.max() < 14.0
        # M_V,t = V_t - (m-M)V
        difference = (table['v_total'] - table['distance_modulus'] - table['m_v']).value
        assert np.nanmax(np.abs(difference.filled(0.0))) < 0.016
        # |Z| = R sin b
        height = table['distance'] * np.sin(table['b'])
        assert np.abs((height - table['z']).value).max() < 0.11
        # a core is not larger than the half-light radius by much, c is log(r_t / r_c) between 0.5 and 3
        assert 0.5 <= table['concentration'].min() and table['concentration'].max() < 3.0

    def test_extinction_ratio_is_that_of_the_distances(self):
        table = catalogs.harris()
        modulus = table['distance_modulus'] - catalogs.EXTINCTION_RATIO * table['reddening']
        distance = 10.0 ** (0.2 * modulus.value - 2.0)
        ratio = distance / table['distance'].value
        assert np.abs(ratio - 1.0).max() < 0.02

    def test_a_copy_is_given(self):
        catalogs.harris()['distance'][:] = 0.0 * u.kpc
        assert catalogs.harris()['distance'].min() > 2.0 * u.kpc

    def test_reading_the_published_file_gives_the_packaged_table(self, maker):
        assert_same(maker.harris_columns(shared('mwgc_harris2010.dat')), catalogs.harris())


HEAD = ('   ID        Name           RA   DEC         L       B     R_Sun  R_gc    X     Y     Z\n\n'
        ' NGC 104    47 Tuc       00 24 05.67  -72 04 52.6   305.89  -44.89    4.5   7.4   1.9  -2.6  -3.1\n'
        '________\n')
MIDDLE = ('   ID       [Fe/H] wt  E(B-V) V_HB (m-M)V V_t   M_V,t   U-B   B-V   V-R   V-I  spt   ellip\n\n'
          ' NGC 104     -0.72 10   0.04 14.06 13.37  3.95  -9.42   0.37  0.88  0.53  1.14  G4    0.09\n'
          '________\n')
END = ('    ID         v_r   +/-    v_LSR    sig_v  +/-    c        r_c   r_h    mu_V   rho_0 lg(tc) '
       'lg(th)\n\n'
       ' NGC 104      -18.0   0.1   -26.7    11.0   0.3   2.07      0.36  3.17   14.38   4.88   7.84  9.55\n'
       '________\n')


class TestHarrisFile:
    def write(self, tmp_path, text):
        path = tmp_path / 'mwgc.dat'
        path.write_text(text)
        return path

    def test_one_row(self, maker, tmp_path):
        table = QTable(maker.harris_columns(self.write(tmp_path, HEAD + MIDDLE + END)))
        assert table['other_name'].tolist() == ['47 Tuc']
        assert table['half_light_radius'][0] == 3.17 * u.arcmin
        assert table.meta['edition'] == 'December 2010'

    def test_a_part_is_missing(self, maker, tmp_path):
        with pytest.raises(ValueError, match='must have three parts, received 2'):
            maker.harris_columns(self.write(tmp_path, HEAD + MIDDLE))

    def test_something_else(self, maker, tmp_path):
        with pytest.raises(ValueError, match="is not Harris's catalogue"):
            maker.harris_columns(self.write(tmp_path, 'hello\n'))

    def test_parts_differ(self, maker, tmp_path):
        with pytest.raises(ValueError, match='part 3 must have the clusters of part 1, differs in NGC 10'):
            maker.harris_columns(self.write(tmp_path, HEAD + MIDDLE + END.replace('NGC 104', 'NGC 107')))

    def test_a_shifted_row(self, maker, tmp_path):
        shifted = MIDDLE.replace('     -0.72 10', '   -0.72 10  ')
        with pytest.raises(ValueError, match="fe_h of NGC 104 must be a number, received '.72 1'"):
            maker.harris_columns(self.write(tmp_path, HEAD + shifted + END))

    def test_a_bad_angle(self, maker, tmp_path):
        with pytest.raises(ValueError, match="ra of NGC 104 must be a number, received '00 74 05.67'"):
            maker.harris_columns(self.write(tmp_path, HEAD.replace('00 24', '00 74') + MIDDLE + END))

    def test_no_position(self, maker, tmp_path):
        head = HEAD.replace('00 24 05.67', ' ' * 11)
        with pytest.raises(ValueError, match='NGC 104 must have a position, received none'):
            maker.harris_columns(self.write(tmp_path, head + MIDDLE + END))


class TestBaumgardt:
    def test_rows(self):
        table = catalogs.baumgardt()
        assert len(table) == 154
        rows = {row['name']: row for row in table}
        row = rows['NGC 5053']
        assert row['mass'] == 5.65e4 * u.Msun and row['mass_error'] == 1.33e4 * u.Msun
        assert row['mass_to_light'] == 1.66 * u.Msun / u.Lsun
        assert row['half_light_radius'] == 13.41 * u.pc and row['half_mass_radius'] == 19.01 * u.pc
        # errors that are blank
        row = rows['Ter 2']
        assert row['mass'] == 3.32e4 * u.Msun and blank(row['mass_error'])
        assert row['v_total'] == 14.3 * u.mag
        assert row['mass_to_light'] == 1.8 * u.Msun / u.Lsun and blank(row['mass_to_light_error'])
        assert row['core_radius'] == 0.08 * u.pc and row['anisotropy_half_mass'] == -0.11
        # and the one value that is nan
        assert blank(rows['NGC 2419']['log_half_mass_surface_density'])

    def test_radii_are_in_order(self):
        table = catalogs.baumgardt()
        light, mass, edge = (table[f'{name}_radius'].value for name in ('half_light', 'half_mass', 'tidal'))
        # omega Centauri's 3.50 pc is a slip of the source
        assert table['name'][~(light < mass)].tolist() == ['NGC 5139']
        assert np.all(mass < edge)

    def test_the_published_file_gives_the_packaged_table(self, maker):
        path = shared('baumgardt_2019_combined_table.txt')
        assert_same(maker.baumgardt_columns(path), catalogs.baumgardt())

    def test_beside_the_paper_of_2018(self):
        """Masses of VizieR's table of Baumgardt & Hilker (2018) agree: a shifted row would not."""
        lines = [line.split('\t') for line in shared('bh2018_mass.tsv').read_text().splitlines()
                 if line and not line.startswith('#')]
        head = lines[0]
        found = []
        for line in lines[3:]:
            row = catalogs.cluster(line[head.index('Cluster')])
            found.append(row['mass'].to_value(u.Msun) / float(line[head.index('Mass')]))
        # not the same models; half agree to 15 per cent
        assert len(found) > 100
        assert np.median(np.abs(np.log(found))) < 0.15

    @pytest.mark.parametrize(('text', 'message'), [
        ('', "must begin with Cluster RA DEC, received 'nothing'"),
        (' Cluster RA DEC\n units\n', 'is not the table of Baumgardt'),
        (' Cluster RA DEC\n units\nNGC 104          6.02363  -72.08128    4.43\n',
         'ra of NGC 104 must stand in characters 15 to 23')])
    def test_something_else(self, maker, tmp_path, text, message):
        path = tmp_path / 'table.txt'
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            maker.baumgardt_columns(path)


class TestVandenberg:
    def test_rows(self):
        table = catalogs.vandenberg()
        assert len(table) == 55
        rows = {row['name']: row for row in table}
        row = rows['NGC 5466']
        assert row['age'] == 12.5 * u.Gyr and row['age_error'] == 0.25 * u.Gyr and row['method'] == 'V'
        assert row['youngest'] == 12.25 * u.Gyr and row['oldest'] == 12.5 * u.Gyr
        assert rows['NGC 4590']['youngest'] == rows['NGC 4590']['oldest'] == 12.0 * u.Gyr
        assert blank(rows['NGC 288']['youngest']) and rows['NGC 288']['age'] == 11.5 * u.Gyr
        assert rows['NGC 5024']['other_name'] == 'M 53'
        assert rows['Pal 12']['age'] == 9.0 * u.Gyr

    def test_the_published_file_gives_the_packaged_table(self, maker):
        assert_same(maker.vandenberg_columns(shared('vandenberg_2013_table2.csv')), catalogs.vandenberg())

    def test_ragged_rows_are_refused(self, maker, tmp_path):
        path = tmp_path / 'table.csv'
        path.write_text('104,47Tuc,-0.76,11.75\n')
        with pytest.raises(ValueError, match='a row must have 13 fields, received 4: 104'):
            maker.vandenberg_columns(path)

    def test_the_ages_belong_to_the_clusters(self):
        """M_V and the Galactocentric distance of that paper, not kept, are Harris's (2010)."""
        for line in shared('vandenberg_2013_table2.csv').read_text().splitlines():
            fields = line.split(',')
            row = catalogs.cluster(f'NGC {fields[0]}' if fields[0] else fields[1])
            assert float(row['m_v'].value) == pytest.approx(float(fields[10]), abs=0.09)


# -- the edition of 1997 ----------------------------------------------------------------------------

OLD = (('ID', 'Name', 'RAJ2000', 'DEJ2000', 'Rsun', 'E(B-V)', '(m-M)V', 'MVt', '[Fe/H]', 'c', 'Rc', 'Rh'),
       ('NGC 104', '47 Tuc', '00 24 05.2', '-72 04 51', 4.3, 0.05, 13.32, -9.37, -0.76, 2.04, 0.37, 2.79),
       ('Pal 1', '', '03 33 23.0', '+79 34 50', 9.7, 0.15, 15.40, -1.88, -0.80, 1.50, 0.32, 0.48),
       ('Made up', '', '05 00 00.0', '-00 30 00', 20.0, 0.1, np.nan, -5.0, np.nan, np.nan, np.nan, np.nan))


def votable(rows=OLD):
    """What VizieR sends: names with brackets, other identifiers, nan for what is missing."""
    tree = VOTableFile()
    resource = Resource(name='VII/202')
    tree.resources.append(resource)
    table = TableElement(tree, name='VII/202/catalog', ID='VII_202_catalog')
    resource.tables.append(table)
    for name, value in zip(rows[0], rows[1], strict=True):
        kind = {'datatype': 'char', 'arraysize': '*'} if isinstance(value, str) else {'datatype': 'float'}
        table.fields.append(Field(tree, name=name, ID=re.sub(r'\W', '_', name), **kind))
    table.create_arrays(len(rows) - 1)
    for row, values in enumerate(rows[1:]):
        table.array[row] = tuple(values)
    stream = io.BytesIO()
    tree.to_xml(stream)
    return stream.getvalue()


@pytest.fixture
def vizier(monkeypatch, tmp_path):
    """A server in VizieR's place: it answers with its attribute ``body``; ``asked`` are the requests."""
    from astroquery.vizier import VizierClass

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.server.asked.append(self.rfile.read(int(self.headers['Content-Length'])).decode())
            self.send_response(200)
            self.send_header('Content-Length', str(len(self.server.body)))
            self.end_headers()
            self.wfile.write(self.server.body)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.asked, server.body = [], votable()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(VizierClass, '_server_to_url',
                        lambda self, return_type='votable': f'http://127.0.0.1:{server.server_port}/{return_type}')
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.filterwarnings('default')
class Test1997:
    def test_what_is_asked_and_read(self, vizier):
        table = catalogs.harris1997(cache=False)
        assert '-source=VII/202' in vizier.asked[0]
        # all rows and all columns: the defaults stop at 50 and leave out Rh
        assert '-out.max=unlimited' in vizier.asked[0]
        assert '-out.all' in vizier.asked[0]
        assert table.meta['edition'] == 'May 1997 (VizieR VII/202)'
        assert len(table) == 3
        assert table['position'][0].separation(SkyCoord('00h24m05.2s -72d04m51s')) < 0.01 * u.arcsec
        assert table['position'][2].dec.deg == pytest.approx(-0.5)
        assert float(table['distance'][0].to_value(u.kpc)) == pytest.approx(4.3)
        assert float(table['fe_h'][1]) == pytest.approx(-0.80)
        assert float(table['half_light_radius'][1].to_value(u.arcmin)) == pytest.approx(0.48)
        assert blank(table['half_light_radius'][2]) and blank(table['fe_h'][2])

    def test_no_table(self, vizier):
        vizier.body = b'<?xml version="1.0"?><VOTABLE version="1.4"></VOTABLE>'
        with pytest.raises(ValueError, match='VizieR must answer with'):
            catalogs.harris1997(cache=False)

    def test_a_page_of_html(self, vizier):
        vizier.body = b'<html>down for maintenance</html>'
        with pytest.raises(ValueError, match='VizieR must answer with the table VII/202, received no table'):
            catalogs.harris1997(cache=False)

    def test_damaged(self, vizier):
        vizier.body = vizier.body[:len(vizier.body) // 2]
        with pytest.raises(ValueError, match='VizieR must answer with'):
            catalogs.harris1997(cache=False)

    def test_another_table(self, vizier):
        vizier.body = votable([row[:3] for row in OLD])
        with pytest.raises(ValueError, match='must have the columns of VII/202, DEJ2000, Rsun, MVt not'):
            catalogs.harris1997(cache=False)

    def test_nobody_answers(self, vizier, monkeypatch):
        from astroquery.vizier import VizierClass
        # a port that nobody listens to
        monkeypatch.setattr(VizierClass, '_server_to_url', lambda self, return_type='': 'http://127.0.0.1:9/')
        with pytest.raises(ConnectionError, match='VizieR does not answer'):
            catalogs.harris1997(cache=False)

    def test_the_recorded_reply(self):
        lines = [line.split('\t') for line in shared('harris_vii202_catalog.tsv').read_text().splitlines()
                 if line.strip() and not line.startswith('#')]
        # under the names: units, and a line of dashes
        reply = Table(rows=lines[3:], names=lines[0])
        table = catalogs._with_position(QTable(catalogs._harris1997_columns(reply, 'the reply')))
        assert len(table) == 147
        rows = {row['name']: row for row in table}
        # the 1997 edition, not that of 2010: 17.0 against 16.0 kpc and so on
        assert rows['NGC 288']['distance'] == 8.1 * u.kpc
        assert catalogs.cluster('NGC 288')['distance'] == 8.9 * u.kpc
        assert blank(rows['Pal 1']['u_b']) and rows['Pal 1']['b_v'] == 0.96 * u.mag
        difference = (table['v_total'] - table['distance_modulus'] - table['m_v']).value
        assert np.abs(difference.filled(0.0)).max() < 0.02

    @pytest.mark.remote_data
    def test_the_live_service(self):
        table = catalogs.harris1997(cache=False)
        assert len(table) == 147
        assert table['half_light_radius'].mask.sum() > 0


# -- one table ----------------------------------------------------------------------------------------


class TestCluster:
    @pytest.mark.parametrize(('names', 'expected'), [
        (('NGC 5466', 'ngc5466', 'NGC_5466', ' NGC  5466 ', 'NGC 05466'), 'NGC 5466'),
        (('M 53', 'M53', 'Messier 53', 'm 053', 'NGC 5024'), 'NGC 5024'),
        (('Pal 11', 'Palomar 11', 'PAL11'), 'Pal 11'),
        (('omega Cen', 'ω Cen', 'Omega Centauri'), 'NGC 5139'),
        (('47 Tuc', '47 Tucanae'), 'NGC 104'),
        (('Ter 2', 'Terzan 2', 'HP 3'), 'Terzan 2'),
        (('Djorg 1', 'Djor 1', 'Djorgovski 1'), 'Djorg 1'),
        (('ESO 452-SC11', 'ESO452-SC11', '1636-283'), '1636-283'),
        (('ESO280-SC06', 'ESO 280-SC06', 'ESO-SC06'), 'ESO-SC06'),
        (('2MASS-GC01', '2MS-GC01'), '2MS-GC01'),
        (('IC 1276', 'Pal 7'), 'IC 1276'),
        (('Koposov 1', 'Ko 1'), 'Ko 1'),
        (('Rup 106', 'Ruprecht 106'), 'Rup 106'),
        (('Lyngå 7', 'BH184', 'BH 184'), 'Lynga 7'),
        (('Crater', 'Laevens 1', 'Crater 1', 'Crater I', 'PSO J174.0675-10.8774'), 'Crater'),
        (('w Cen', 'ω Centauri', 'Caldwell 80', 'ome Cen'), 'NGC 5139'),
        (('N5466', 'N 5466', 'NGC 5466 cluster', 'Cl NGC 5466', 'NGC 5466 (globular cluster)'), 'NGC 5466'),
        (('NAME Pyxis Cluster', 'Pyxis'), 'Pyxis'), (('FSR 1716', 'VVV-GC05'), 'FSR 1716'),
        (('Hercules cluster', 'the great Hercules cluster', 'MESSIER 013'), 'NGC 6205'),
        # of the IAU; some of these designations are older than the positions of today
        (('C1403+287', 'C 1403+287', 'c1403+287', '1403+287'), 'NGC 5466'),
        (('C2059+160', 'C2059+159'), 'NGC 7006'), (('C1746-203',), 'NGC 6440'), (('C1800-300',), 'NGC 6522'),
        (('C1801-300',), 'NGC 6528'), (('C1513+000',), 'Pal 5'), (('C0021-723',), 'NGC 104')])
    def test_names(self, names, expected):
        assert {str(catalogs.cluster(name)['name']) for name in names} == {expected}

    def test_every_name_leads_to_its_own_cluster(self):
        for table in (catalogs.harris(), catalogs.baumgardt()):
            for row in table:
                found = catalogs.cluster(row['name'])
                # Terzan 1 of Harris is 42" off, the others are at most 7"
                assert found['position'].separation(row['position']) < 45 * u.arcsec
        for row in catalogs.harris():
            if row['other_name']:
                assert catalogs.cluster(row['other_name'])['name'] == row['name']

    def test_catalogues_meet(self):
        row = catalogs.cluster('NGC 5053')
        assert row['distance'] == 17.4 * u.kpc and row['model_distance'] == 17.2 * u.kpc
        assert row['age'] == 12.25 * u.Gyr
        assert row['mass_to_light'] == 1.66 * u.Msun / u.Lsun
        assert row['half_light_radius'] == 2.61 * u.arcmin and row['model_half_light_radius'] == 13.41 * u.pc

    def test_luminosity(self):
        # M_V = -6.98: 10^(0.4 (4.83 + 6.98))
        light = catalogs.cluster('NGC 5466')['luminosity'].to_value(u.Lsun)
        assert float(light) == pytest.approx(52966.3, rel=1e-5)

    def test_what_harris_lacks(self):
        table = catalogs.clusters()
        assert isinstance(table, QTable)
        assert len(table) == 159
        assert table['name'][157:].tolist() == ['Crater', 'FSR 1716']
        row = catalogs.cluster('Crater')
        assert blank(row['distance']) and blank(row['luminosity']) and row['model_distance'] == 145 * u.kpc
        assert row['position'].ra.deg == pytest.approx(174.0675)
        assert (~table['age'].mask).sum() == 55
        assert (~table['mass'].mask).sum() == 154

    def test_unknown_names(self):
        with pytest.raises(ValueError, match="received 'NGC 5467': did you mean .*NGC 5466"):
            catalogs.cluster('NGC 5467')
        with pytest.raises(ValueError, match="received 'the Moon'$"):
            catalogs.cluster('the Moon')
        with pytest.raises(TypeError, match='name must be a text, received 5466'):
            catalogs.cluster(5466)


class TestKnown:
    def test_a_cluster_that_all_tables_have(self):
        known = catalogs.known('NGC 5466')
        assert list(known) == ['position', 'distance', 'age', 'metallicity', 'velocity_dispersion', 'b_v',
                               'mass_function_slope', 'effective_radius', 'extinction']
        assert all(its.name == name for name, its in known.items())
        position = known['position']
        assert position.value.separation(SkyCoord('14h05m27.29s +28d32m04.0s')) < 0.01 * u.arcsec
        assert position.error == 1 * u.arcsec
        distance = known['distance']
        assert distance.value == 16.9 * u.kpc and distance.source == 'Baumgardt et al. 2019'
        assert distance.error.to_value(u.kpc) == pytest.approx(0.05 * 16.9)
        age = known['age']
        assert age.value == 12.5 * u.Gyr and age.source == 'VandenBerg et al. 2013'
        assert age.error.to_value(u.Gyr) == pytest.approx(np.hypot(0.25, 0.75))
        assert known['metallicity'].value == -1.98 and known['metallicity'].error == 0.15
        assert known['metallicity'].source == 'Harris 1996 (2010 edition)'
        dispersion = known['velocity_dispersion']
        assert dispersion.value == 1.6 * u.km / u.s and dispersion.source == 'Baumgardt et al. 2019'
        assert dispersion.error.to_value(u.km / u.s) == pytest.approx(np.hypot(0.16, 0.05))
        # its core radius of 7.39 pc at 16.9 kpc
        assert dispersion.radius.to_value(u.arcsec) == pytest.approx(7.39 / 16900 * 206264.8, rel=1e-6)
        assert known['b_v'].value == 0.67 * u.mag and known['b_v'].source == 'Harris 1996 (2010 edition)'
        # E(B-V) of 0.00 is not without an error
        assert known['b_v'].error.to_value(u.mag) == pytest.approx(np.hypot(0.05, 0.01))
        slope = known['mass_function_slope']
        assert slope.value == -1.07 and slope.error == 0.3 and slope.source == 'Baumgardt et al. 2019'
        # 10.74 pc at 16.9 kpc; 2.30 arcmin of Harris
        radius = known['effective_radius']
        assert radius.value.to_value(u.arcsec) == pytest.approx(10.74 / 16900 * 206264.8, rel=1e-6)
        assert float(radius.error / radius.value) == pytest.approx(0.1)
        assert radius.source == 'Baumgardt et al. 2019'
        assert known['extinction'].value == 0 * u.mag
        assert known['extinction'].error.to_value(u.mag) == pytest.approx(0.031)

    def test_extinction(self):
        extinction = catalogs.known('NGC 6440')['extinction']
        assert extinction.value.to_value(u.mag) == pytest.approx(3.1 * 1.07)
        assert extinction.error.to_value(u.mag) == pytest.approx(0.31 * 1.07)
        assert extinction.source == 'Harris 1996 (2010 edition)'
        # a colour of 1.97, red as its light is by dust
        assert catalogs.known('NGC 6440')['b_v'].value.to_value(u.mag) == pytest.approx(1.97 - 1.07)
        assert catalogs.known('NGC 6440')['b_v'].error.to_value(u.mag) == pytest.approx(np.hypot(0.05, 0.107))

    def test_the_colour_is_that_of_the_populations_of_the_simulator(self):
        from pidoc.cluster.population import population_mass_to_light

        table = catalogs.clusters()
        red = table['reddening'].filled(9 * u.mag).to_value(u.mag)
        colour = table['b_v'].filled(np.nan * u.mag).to_value(u.mag) - red
        iron = table['fe_h'].filled(np.nan).value
        for metallicity, low, high in ((0.00014, -2.3, -1.9), (0.0005, -1.7, -1.4), (0.003, -0.9, -0.6)):
            light = [1 / population_mass_to_light(12.5 * u.Gyr, metallicity, band=band,
                                                  correction='kurucz1992').value for band in 'BV']
            ours = 5.48 - 4.83 - 2.5 * np.log10(light[0] / light[1])
            seen = colour[(red < 0.2) & (iron > low) & (iron < high)]
            assert np.isfinite(seen).sum() >= 5
            # the error that `known` gives to it
            assert ours == pytest.approx(np.nanmedian(seen), abs=0.05)

    def test_where_the_catalogues_disagree_errors_are_as_large(self):
        # 6.9 and 5.5 kpc
        distance = catalogs.known('Terzan 5')['distance']
        assert distance.value == 5.5 * u.kpc and distance.error.to_value(u.kpc) == pytest.approx(0.7)
        # 4.0 and 11.1 km/s
        dispersion = catalogs.known('NGC 2419')['velocity_dispersion']
        assert dispersion.value == 11.1 * u.km / u.s
        assert dispersion.error.to_value(u.km / u.s) == pytest.approx(3.55)
        # 68.8 and 138.6 arcsec
        radius = catalogs.known('M 3')['effective_radius']
        assert radius.value.to_value(u.arcsec) == pytest.approx(68.83, abs=0.01)
        assert radius.error.to_value(u.arcsec) == pytest.approx(0.5 * (138.6 - 68.83), abs=0.01)
        assert catalogs.known('Terzan 1')['position'].error.to_value(u.arcsec) == pytest.approx(42, abs=1)

    def test_what_one_table_lacks(self):
        # no place in Baumgardt's
        ko = catalogs.known('Ko 2')
        assert ko['distance'].value == 34.7 * u.kpc
        assert ko['distance'].source == 'Harris 1996 (2010 edition)'
        assert ko['distance'].error.to_value(u.kpc) == pytest.approx(0.05 * 34.7)
        # no [Fe/H], no dispersion, and not old
        assert list(ko) == ['position', 'distance', 'effective_radius', 'extinction']
        assert ko['effective_radius'].value == 0.21 * u.arcmin
        assert ko['effective_radius'].error == 0.2 * ko['effective_radius'].value
        # none in Harris's
        crater = catalogs.known('Crater 1')
        assert list(crater) == ['position', 'distance', 'velocity_dispersion', 'mass_function_slope',
                                'effective_radius']
        assert crater['effective_radius'].value.to_value(u.arcsec) == pytest.approx(
            19.03 / 145000 * 206264.8, rel=1e-6)
        assert crater['distance'].value == 145 * u.kpc
        assert crater['position'].source == 'Baumgardt et al. 2019'
        # no age
        assert catalogs.known('M 80')['age'].value == 12.5 * u.Gyr
        assert catalogs.known('M 80')['age'].error == 1.0 * u.Gyr
        assert catalogs.known('M 80')['age'].source == 'assumed, old cluster'

    def test_no_dispersion_of_an_assumed_mass(self):
        """Where nobody measured velocities, a dispersion is the light again, by an assumed M/L."""
        for row in catalogs.clusters():
            if blank(row['mass_error']):
                assert not {'velocity_dispersion', 'mass_function_slope'} & set(catalogs.known(row['name']))
            else:
                assert catalogs.known(row['name'])['velocity_dispersion'].source == 'Baumgardt et al. 2019'

    def test_a_measured_dispersion(self, monkeypatch):
        """Harris's, with his error and his core radius, where there is no model."""
        table, rows = catalogs._index()
        table = table.copy()
        table['mass_error'].mask[rows['ngc5466']] = True
        monkeypatch.setattr(catalogs, '_index', lambda: (table, rows))
        dispersion = catalogs.known('NGC 5466')['velocity_dispersion']
        assert dispersion.value == 1.7 * u.km / u.s and dispersion.error == 0.2 * u.km / u.s
        assert dispersion.source == 'Harris 1996 (2010 edition)'
        assert dispersion.radius.to_value(u.arcsec) == pytest.approx(60 * 1.43)

    def test_all_clusters(self):
        every = [catalogs.known(name) for name in catalogs.clusters()['name']]
        for known in every:
            assert {'position', 'distance'} <= set(known)
            for its in known.values():
                assert its.error > 0 * its.error.unit, its
        assert sum(known['age'].source.startswith('Vanden') for known in every if 'age' in known) == 55
        assert sum('age' not in known for known in every) == 7
        assert sum('metallicity' in known for known in every) == 152

    def test_the_error_of_a_distance_is_that_of_the_catalogues(self):
        table = catalogs.clusters()
        table = table[~(table['model_distance'].mask | table['distance'].mask)]
        ratio = (table['model_distance'] / table['distance']).unmasked
        assert 0.6 < np.mean(np.abs(np.log(ratio)) < 0.05) < 0.75

    def test_unknown(self):
        with pytest.raises(ValueError, match="name must be .*, received 'C1403\\+250'"):
            catalogs.known('C1403+250')


class TestPaper:
    def test_table_3(self):
        table = catalogs.paper_table()
        assert len(table) == 17
        assert table['name'][0] == 'NGC 5053' and table['name'][-1] == 'NGC 6229'
        # sorted by the luminosity in the field, as printed
        assert np.all(np.diff(table['field_luminosity'].value) > 0)
        # M/L times the luminosity in the field is the mass in the field, so no row of it is shifted
        mass = np.log10(table['pidoc_mass_to_light'].value * table['field_luminosity'].value)
        off = np.abs(mass - table['pidoc_log_mass'])
        # those whose printed distance changes the luminosity by more than rounding
        assert np.sum(off < 0.02) >= 15

    def test_its_literature_is_in_the_catalogues(self):
        for row in catalogs.paper_table():
            found = catalogs.cluster(row['name'])
            for name in ('distance', 'core_radius', 'half_light_radius'):
                assert found[name] == row[name]
            assert found['fe_h'] == row['fe_h']
            if row['name'] == 'NGC 7006':
                assert not blank(row['age']) and blank(found['age'])
            else:
                assert blank(row['age']) == blank(found['age'])
                assert blank(row['age']) or found['age'] == row['age']

    def test_what_the_rule_selects(self):
        rule = set(catalogs.paper_selection()['name'])
        paper = set(catalogs.paper_table()['name'])
        assert len(rule) == 25
        assert rule & paper == {'NGC 4147', 'NGC 4590', 'NGC 5053', 'NGC 5466', 'NGC 6981', 'NGC 7492',
                                'Pal 11'}
        rows = {name: catalogs.cluster(name) for name in paper - rule}
        near = {name for name, row in rows.items() if row['distance'] < 10 * u.kpc}
        bright = {name for name, row in rows.items() if row['luminosity'] >= 1e5 * u.Lsun}
        assert near == {'NGC 6638', 'NGC 7099'}
        assert bright | near == set(rows) and not bright & near
        # the brightest of them, and one that misses by rounding
        assert max(bright, key=lambda name: rows[name]['luminosity']) == 'NGC 5024'
        assert float(rows['NGC 7006']['luminosity'].to_value(u.Lsun)) == pytest.approx(1e5, rel=1e-9)

    def test_limits(self):
        every = catalogs.paper_selection(luminosity=1e9 * u.Lsun, nearest=0 * u.kpc, farthest=1 * u.Mpc,
                                         declination=-90 * u.deg)
        # Harris has no luminosity of one
        assert set(catalogs.harris()['name']) - set(every['name']) == {'GLIMPSE02'}
        assert len(catalogs.paper_selection(declination=0 * u.deg)) == sum(
            catalogs.paper_selection()['position'].dec.deg > 0)

    @pytest.mark.parametrize(('options', 'error', 'message'), [
        ({'luminosity': 0 * u.Lsun}, ValueError, 'luminosity must be positive, received 0'),
        ({'luminosity': 1e5}, TypeError, 'luminosity must be an astropy Quantity in solLum'),
        ({'nearest': 50 * u.kpc, 'farthest': 20 * u.kpc}, ValueError, 'nearest must not be larger than far'),
        ({'declination': 3 * u.kpc}, u.UnitConversionError, 'declination must have a unit that converts')])
    def test_bad_limits(self, options, error, message):
        with pytest.raises(error, match=message):
            catalogs.paper_selection(**options)
