# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The archive of Pan-STARRS1, played by a server of our own: what is asked, what is made of the answers."""

import json
import time
from functools import partial

import numpy as np
import pytest
from astropy import units as u
from astropy.config import set_temp_cache
from astropy.coordinates import SkyCoord
from astropy.nddata import VarianceUncertainty
from astropy.table import Table
from astropy.utils import data as astropy_data

from pidoc.evaluation.synthetic_sky import draw_cluster, SyntheticArchive, write_files
from pidoc.image.preparation import prepare
from pidoc.image.ps1 import files as ps1
from pidoc.image.ps1 import retrieval
from pidoc.image.ps1.retrieval import (
    Archive,
    fetch,
    fetch_stacks,
    find_target,
    NotInCacheError,
    ServiceError,
)
from pidoc.photometry import apparent_magnitude
from pidoc.tests import ps1_sky as sky
from pidoc.tests import shared_data

NGC5466 = sky.CENTER
SMALL = {'seeing': {'g': 1.3 * u.arcsec, 'r': 1.1 * u.arcsec}, 'field_of_view': 20 * u.arcsec}


shared = partial(shared_data.shared, 'responses')


@pytest.fixture(scope='module')
def survey(tmp_path_factory):
    return sky.Survey(tmp_path_factory.mktemp('survey'))


@pytest.fixture(scope='module')
def split(tmp_path_factory):
    """The cluster is on the seam of two skycells."""
    return sky.Survey(tmp_path_factory.mktemp('split'), cells=((59, 0, 365), (58, 350, sky.SIDE)))


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / 'cache'
    folder.mkdir()
    with set_temp_cache(folder):
        yield folder


@pytest.fixture
def server(survey, cache):
    result = sky.Server(survey)
    yield result
    result.close()


@pytest.fixture
def waits(monkeypatch):
    """How long was waited before each new attempt, without waiting."""
    found = []
    monkeypatch.setattr(retrieval.time, 'sleep', found.append)
    return found


def archive(server, **options):
    return Archive(server=server.address, **{'retries': 0, 'timeout': 20 * u.s, **options})


class TestArchive:
    def test_listing(self, server, survey):
        table = archive(server).listing(NGC5466)
        assert len(table) == 6
        assert set(table['type']) == {'stack', 'stack.wt', 'stack.mask'}
        assert table['filename'][0] == survey.filename(59, 'g', 'stack')
        assert server.requests == ['/cgi-bin/ps1filenames.py?ra=211.363700&dec=28.534400&filters=gr'
                                   '&type=stack,stack.wt,stack.mask']

    def test_cutout(self, server, survey):
        name = survey.filename(59, 'g', 'stack')
        path = archive(server).cutout(name, NGC5466, 300)
        assert server.requests == ['/cgi-bin/fitscut.cgi?ra=211.363700&dec=28.534400&size=300&format=fits'
                                   f'&red={name}']
        stack = ps1.read_stack(path)
        assert stack.counts.shape == (300, 300) and stack.form == 'cutout'
        x, y = stack.wcs.world_to_pixel(NGC5466)
        assert abs(x - 150) < 1 and abs(y - 150) < 1

    def test_skycell(self, server, survey):
        name = survey.filename(59, 'r', 'stack')
        stack = ps1.read_stack(archive(server).skycell(name))
        assert server.requests == [name]
        assert stack.form == 'skycell' and stack.counts.shape == (sky.SIDE, sky.SIDE)

    def test_nothing_is_asked_twice(self, server):
        first = archive(server).listing(NGC5466)
        again = archive(server).listing(NGC5466)
        assert len(server.requests) == 1
        assert first.pformat() == again.pformat()
        archive(server, refresh=True).listing(NGC5466)
        assert len(server.requests) == 2

    @pytest.mark.parametrize('address', ['http://ps1images.stsci.edu', 'ftp://a', 'file:///etc', 'https://',
                                         '', 3, 'http://127.0.0.1.example.org',
                                         'http://localhost@example.org'])
    def test_only_https_is_asked(self, address):
        with pytest.raises(ValueError, match='server must be an address of https, or of this machine, rec'):
            Archive(server=address)

    @pytest.mark.parametrize('elsewhere', ['http://example.org/x', 'ftp://example.org/x'])
    def test_nobody_is_sent_on_out_of_https(self, server, waits, elsewhere):
        def send_on(handler, path):
            handler.send_response(302)
            handler.send_header('Location', elsewhere)
            handler.end_headers()
            return True

        server.faults.append(send_on)
        with pytest.raises(ServiceError, match=f'it sends on to {elsewhere}, which is not https'):
            archive(server, retries=3).listing(NGC5466)
        assert len(server.requests) == 1 and waits == []

    def test_a_redirect_within_the_service_is_followed(self, server):
        def send_on(handler, path):
            if path.startswith('/moved'):
                return False
            server.faults.remove(send_on)
            handler.send_response(302)
            handler.send_header('Location', f'{server.address}{path}')
            handler.end_headers()
            return True

        server.faults.append(send_on)
        assert len(archive(server).listing(NGC5466)) == 6

    def test_offline(self, server):
        with pytest.raises(NotInCacheError, match=r'ps1filenames.py\?ra=.* is not in the cache, and must'):
            archive(server, offline=True).listing(NGC5466)
        assert server.requests == []
        archive(server).listing(NGC5466)
        assert len(archive(server, offline=True).listing(NGC5466)) == 6
        assert len(server.requests) == 1

    def test_astropy_may_forbid_it_too(self, server):
        with (astropy_data.conf.set_temp('allow_internet', False),
              pytest.raises(NotInCacheError, match='is not in the cache')):
            archive(server).listing(NGC5466)

    def test_the_cache_is_astropys(self, server):
        archive(server).listing(NGC5466)
        assert astropy_data.get_cached_urls() == [server.address + server.requests[0]]

    def test_exposure(self, server, survey):
        name = survey.filename(59, 'g', 'stack')
        asked = []
        server.faults.append(lambda handler, path: asked.append(handler.headers.get('Range')))
        assert archive(server).exposure(name) == 602 * u.s
        # the beginning of the file is enough
        assert asked == ['bytes=0-57599']
        assert archive(server, offline=True).exposure(name) == 602 * u.s

    @pytest.mark.parametrize(('options', 'error', 'message'), [
        ({'timeout': 0 * u.s}, ValueError, 'timeout must be positive, received 0'),
        ({'timeout': 'long'}, ValueError, 'timeout must be a number with a unit, such as "5 s"'),
        ({'timeout': 60}, TypeError, 'timeout must be an astropy Quantity in s, received 60'),
        ({'backoff': -1 * u.s}, ValueError, 'backoff must not be negative'),
        ({'retries': -1}, ValueError, 'retries must be a whole number, not negative, received -1'),
        ({'retries': 1.5}, ValueError, 'retries must be a whole number, not negative, received 1.5'),
        ({'form': 'warp'}, ValueError, "form must be 'cutout' or 'skycell', received 'warp'"),
        ({'offline': True, 'refresh': True}, ValueError, 'offline and refresh exclude each other')])
    def test_options(self, options, error, message):
        with pytest.raises(error, match=message):
            Archive(**options)

    def test_times_may_be_texts(self):
        archive = Archive(timeout='1 min', backoff='0.5 s')
        assert (archive.timeout, archive.backoff) == (60 * u.s, 0.5 * u.s)


def once(*answers):
    """A fault that answers the first requests, one after the other, and none after them."""
    left = list(answers)

    def fault(handler, path):
        if not left:
            return False
        left.pop(0)(handler)
        return True
    return fault


class TestFailures:
    def test_it_is_asked_again_after_longer_and_longer(self, server, waits):
        server.faults.append(once(*[lambda handler: handler.send_error(503)] * 3))
        table = archive(server, retries=4, backoff=2 * u.s).listing(NGC5466)
        assert len(table) == 6
        assert waits == [2.0, 4.0, 8.0]
        assert len(server.requests) == 4

    def test_the_service_is_down(self, server, waits):
        server.faults.append(lambda handler, path: handler.send_error(503) or True)
        with pytest.raises(ServiceError, match=r'ps1filenames.py\?.* answers 503 Service Unavailable'):
            archive(server, retries=2).listing(NGC5466)
        assert len(server.requests) == 3

    def test_what_will_not_change_is_not_asked_again(self, server, survey, waits):
        with pytest.raises(ServiceError, match='nothing.fits answers 404 Not Found'):
            archive(server, retries=5).skycell('/rings.v3.skycell/nothing.fits')
        assert len(server.requests) == 1 and waits == []

    def test_nobody_is_there(self, cache, waits):
        with pytest.raises(ServiceError, match='Connection refused'):
            Archive(server='http://127.0.0.1:9', retries=1).listing(NGC5466)
        assert waits == [2.0]

    def test_no_answer_in_time(self, server):
        server.faults.append(lambda handler, path: time.sleep(0.6))
        begin = time.monotonic()
        with pytest.raises(ServiceError, match='timed out'):
            archive(server, timeout=0.1 * u.s).listing(NGC5466)
        assert time.monotonic() - begin < 0.55

    def test_a_page_of_html(self, server, survey, waits):
        """It comes with status 200, and must not get into the cache."""
        page = b'<!DOCTYPE html><html><body>Internal error</body></html>'
        name = survey.filename(59, 'g', 'stack')
        server.faults.append(once(lambda handler: handler.reply(page), lambda handler: handler.reply(page)))
        with pytest.raises(ServiceError, match='a FITS file must be the answer, received a page of HTML'):
            archive(server, retries=1).cutout(name, NGC5466, 100)
        assert astropy_data.get_cached_urls() == []
        assert ps1.read_stack(archive(server).cutout(name, NGC5466, 100)).counts.shape == (100, 100)

    def test_a_list_that_is_html(self, server):
        server.faults.append(lambda handler, path: handler.reply(b'<html>sorry</html>') or True)
        with pytest.raises(ServiceError, match="must begin with projcell subcell ra ..., received '<html>"):
            archive(server).listing(NGC5466)

    @pytest.mark.parametrize('announced', [True, False])
    def test_cut_short(self, server, survey, waits, announced):
        """With the length announced or not; the second attempt is whole."""
        name = survey.filename(59, 'g', 'stack')

        def half(handler):
            body = server.answer(handler.path)
            handler.reply(body[:len(body) // 2], length=len(body) if announced else False)

        server.faults.append(once(half))
        with pytest.raises(ServiceError, match='cut short'):
            archive(server).cutout(name, NGC5466, 100)
        assert astropy_data.get_cached_urls() == []
        server.faults[:] = [once(half)]
        path = archive(server, retries=1).cutout(name, NGC5466, 100)
        assert np.isfinite(ps1.read_stack(path).counts).all()
        assert waits == [2.0]

    def test_a_header_cut_short(self, server, survey):
        server.faults.append(lambda handler, path: handler.reply(server.answer(path)[:3000]) or True)
        with pytest.raises(ServiceError, match='the header is cut short: 3000 bytes'):
            archive(server).exposure(survey.filename(59, 'g', 'stack'))

    def test_a_header_without_an_image(self, server, survey):
        server.faults.append(lambda handler, path: handler.reply(sky.empty_fits()) or True)
        with pytest.raises(ServiceError, match='the file must hold an image, received none'):
            archive(server).exposure(survey.filename(59, 'g', 'stack'))

    def test_a_header_of_html(self, server, survey):
        server.faults.append(lambda handler, path: handler.reply(b'<html>') or True)
        with pytest.raises(ServiceError, match="a FITS file must be the answer, received b'<html>'"):
            archive(server).exposure(survey.filename(59, 'g', 'stack'))

    def test_no_temporary_files_are_left(self, server, survey, monkeypatch, tmp_path):
        folder = tmp_path / 'temporary'
        folder.mkdir()
        monkeypatch.setattr('tempfile.tempdir', str(folder))
        archive(server).listing(NGC5466)
        server.faults.append(lambda handler, path: handler.reply(b'nothing') or True)
        with pytest.raises(ServiceError, match="received b'nothing'"):
            archive(server).skycell(survey.filename(59, 'g', 'stack'))
        assert list(folder.iterdir()) == []


class TestFetchStacks:
    def test_one_skycell(self, server, survey):
        found = fetch_stacks(NGC5466, archive=archive(server))
        assert [len(found[band]) for band in 'gr'] == [1, 1]
        stack = found['g'][0]
        # a list, and three images of each band
        assert len(server.requests) == 7
        assert stack.counts.shape == stack.variance.shape == stack.mask.shape == (720, 720)
        assert stack.exposure == 602 * u.s and found['r'][0].exposure == 880 * u.s

    def test_neighbours(self, split, cache):
        server = sky.Server(split)
        try:
            found = fetch_stacks(NGC5466, archive=archive(server))
            assert [stack.skycell for stack in found['g']] == ['skycell.1784.059', 'skycell.1784.058']
            # the list of the middle, eight about it, and six images of each skycell
            assert sum('ps1filenames' in path for path in server.requests) == 9
            assert sum('fitscut' in path for path in server.requests) == 12
            assert 0.4 < np.isfinite(found['g'][0].counts).mean() < 0.6
        finally:
            server.close()

    def test_skycells(self, server):
        found = fetch_stacks(NGC5466, archive=archive(server, form='skycell'))
        cut = fetch_stacks(NGC5466, archive=archive(server))
        for band in 'gr':
            whole, part = found[band][0], cut[band][0]
            assert whole.form == 'skycell' and part.form == 'cutout'
            np.testing.assert_allclose(whole.counts, part.counts, rtol=2e-4, atol=0.5)
            np.testing.assert_array_equal(whole.mask, part.mask)

    def test_cutouts_without_an_exposure_time(self, server):
        server.exptime = False
        found = fetch_stacks(NGC5466, archive=archive(server), bands=('g',))
        assert found['g'][0].exposure == 602 * u.s
        assert server.requests[-1].endswith('stk.g.unconv.fits') and 'fitscut' not in server.requests[-1]

    def test_none_anywhere(self, server, monkeypatch):
        server.exptime = False
        monkeypatch.setattr(Archive, 'exposure', lambda self, filename: None)
        with pytest.raises(ValueError, match='the stack skycell.1784.059 must have EXPTIME'):
            fetch('NGC 5466', archive=archive(server), **SMALL)

    def test_without_weight_and_mask(self, server, caplog):
        server.faults.append(lambda handler, path: 'filenames' in path and (handler.reply(
            b'\n'.join(line for line in server.answer(path).split(b'\n')
                       if b'.wt' not in line and b'.mask' not in line)) or True))
        found = fetch_stacks(NGC5466, archive=archive(server), bands=('r',))
        assert found['r'][0].variance is None and found['r'][0].mask is None
        assert 'stk.r.unconv.fits has no wt image' in caplog.text and 'has no mask image' in caplog.text

    def test_south_of_the_survey(self, server):
        with pytest.raises(ValueError, match='north of -30 deg, received a declination of -72.081 deg'):
            fetch_stacks(SkyCoord(6.02, -72.081, unit='deg'), archive=archive(server))
        assert server.requests == []

    def test_off_the_survey(self, server):
        with pytest.raises(ValueError, match=r'has no stack in g at 00h40m.*: the place is off the survey'):
            fetch_stacks(SkyCoord(10.0, 20.0, unit='deg'), archive=archive(server))

    def test_no_data(self, server, monkeypatch):
        monkeypatch.setattr(server, 'answer', _blank(server.answer))
        with pytest.raises(ValueError, match='the stacks in g have no data at 14h05m'):
            fetch_stacks(NGC5466, archive=archive(server))

    def test_mast_when_the_list_is_down(self, server, monkeypatch, caplog):
        server.faults.append(lambda handler, path: 'filenames' in path and (handler.send_error(503) or True))
        asked = _mast(monkeypatch, [f'rings.v3.skycell.1784.059.stk.{band}.unconv{kind}.fits'
                                    for band in 'gri' for kind in ('', '.wt', '.mask', '.exp')])
        found = fetch_stacks(NGC5466, archive=archive(server))
        assert len(found['g']) == len(found['r']) == 1 and found['g'][0].mask is not None
        assert 'answers 503 Service Unavailable: asking MAST' in caplog.text
        assert asked['obs_collection'] == 'PS1' and asked['filters'] == ['g', 'r']


def _blank(answer):
    """Cutouts all of NaN."""
    def changed(path):
        body = answer(path)
        if 'fitscut' not in path:
            return body
        start = body.index(b'END' + 77 * b' ')
        start = -(-start // 2880) * 2880
        return body[:start] + np.full((len(body) - start) // 4, np.nan, dtype='>f4').tobytes()
    return changed


def _mast(monkeypatch, names, *, error=None):
    """MAST as astroquery shows it: observations, then their products."""
    from astroquery.mast import Observations

    asked = {}

    def query_criteria(**criteria):
        if error is not None:
            raise error
        asked.update(criteria)
        seen = Table({'obsid': ['1'], 'obs_collection': ['PS1']})
        return seen if names else seen[:0]

    monkeypatch.setattr(Observations, 'query_criteria', query_criteria, raising=False)
    monkeypatch.setattr(Observations, 'get_product_list', lambda seen: Table(
        {'obsID': ['1'] * len(names), 'productFilename': names}), raising=False)
    return asked


class TestMast:
    def test_products(self, monkeypatch):
        names = [f'rings.v3.skycell.1784.059.{end}.fits' for end in (
            'stk.g.unconv', 'stk.g.unconv.wt', 'stk.i.unconv', 'wrp.g', 'stk.g.unconv')]
        _mast(monkeypatch, names)
        table = retrieval.mast_listing(NGC5466)
        assert table['filename'].tolist() == [f'/rings.v3.skycell/1784/059/{name}' for name in names[:2]]
        assert table['type'].tolist() == ['stack', 'stack.wt']
        assert table['subcell'].tolist() == [59, 59]

    def test_products_in_the_recorded_form(self, monkeypatch):
        """The columns that are used are in a reply of the real service."""
        recorded = json.loads(shared('mast/products.json').read_text())
        assert 'productFilename' in recorded['data'][0]
        seen = json.loads(shared('mast/caom.json').read_text())['data'][0]
        assert {'obs_collection', 'filters', 'dataproduct_type', 'obsid'} <= set(seen)

    def test_nothing(self, monkeypatch):
        _mast(monkeypatch, [])
        assert len(retrieval.mast_listing(NGC5466)) == 0

    def test_down(self, monkeypatch):
        import requests
        _mast(monkeypatch, [], error=requests.ConnectionError('no route'))
        with pytest.raises(ServiceError, match='MAST does not answer: no route'):
            retrieval.mast_listing(NGC5466)


class _Reply:
    def __init__(self, content):
        self.content = content

    def json(self):
        return self.content

    def raise_for_status(self):
        pass


class TestFindTarget:
    def test_names(self):
        target = find_target('M 53')
        assert target.name == 'NGC 5024'
        assert target.distance == 17.9 * u.kpc and target.reddening == 0.02 * u.mag
        assert target.position.separation(SkyCoord('13h12m55.25s +18d10m05.4s')) < 0.01 * u.arcsec
        # in Baumgardt's table alone
        assert find_target('Crater').reddening is None

    def test_positions(self):
        near = SkyCoord('13h12m55.5s +18d10m05s')
        target = find_target(near)
        assert target.name == 'NGC 5024' and target.reddening == 0.02 * u.mag
        assert target.position.separation(near) < 1e-6 * u.arcsec
        far = find_target(SkyCoord(10.0, 20.0, unit='deg'))
        assert far.name == '00h40m00.0s +20d00m00.0s' and far.reddening is None and far.distance is None

    def test_other_names_from_mast(self, monkeypatch):
        from astroquery.mast import utils
        asked = []

        def request(url, params=None):
            asked.append((url, params['name']))
            # as the service answers: see responses/mast/resolver.json
            return _Reply({'resolvedCoordinate': [{'searchString': 'm1', 'resolver': 'NED', 'ra': 83.63311,
                                                   'decl': 22.01448, 'canonicalName': 'MESSIER 001'}]})

        monkeypatch.setattr(utils, '_simple_request', request)
        target = find_target('M1')
        assert target.name == 'M1' and target.reddening is None
        assert target.position.ra.deg == pytest.approx(83.63311)
        assert 'M1' in str(asked[0][1])

    def test_the_recorded_reply(self, monkeypatch):
        from astroquery.mast import utils
        content = json.loads(shared('mast/resolver.json').read_text())
        monkeypatch.setattr(utils, '_simple_request', lambda url, params=None: _Reply(content))
        assert find_target('M101').position.separation(SkyCoord(210.8023, 54.3489, unit='deg')) < 5 * u.arcsec

    def test_nobody_knows(self, monkeypatch):
        from astroquery.mast import utils
        monkeypatch.setattr(utils, '_simple_request', lambda url, params=None: _Reply({}))
        with pytest.raises(ValueError, match="received 'nowhere'; nor does MAST know it: Could not resolve"):
            find_target('nowhere')

    def test_nobody_answers(self, monkeypatch):
        import requests
        from astroquery.mast import utils

        def request(url, params=None):
            raise requests.ConnectionError('no route')

        monkeypatch.setattr(utils, '_simple_request', request)
        with pytest.raises(ServiceError, match='and MAST, which may know it, does not answer: no route'):
            find_target('nowhere')

    def test_offline(self):
        with pytest.raises(ValueError, match=r"received 'nowhere' \(and offline excludes MAST\)"):
            find_target('nowhere', offline=True)

    @pytest.mark.parametrize('wrong', [5466, None, SkyCoord([1, 2], [3, 4], unit='deg')])
    def test_something_else(self, wrong):
        with pytest.raises(TypeError, match='target must be a name or one SkyCoord, received'):
            find_target(wrong)


class TestFetch:
    def test_a_name(self, server):
        image = fetch('ngc5466', archive=archive(server), **SMALL)
        assert image.shape == (80, 80)
        meta = image.meta
        assert meta['OBJECT'] == 'NGC 5466' and meta['DISTANCE'] == 16.0
        # Harris says 0.00
        assert meta['EBV'] == 0.0 and meta['EBVFROM'] == 'Harris 1996 (2010 edition)'
        again = fetch('NGC 5466', archive=archive(server, offline=True), **SMALL)
        np.testing.assert_array_equal(image.data, again.data)
        red = fetch('NGC 5466', archive=archive(server, offline=True), reddening=0.1 * u.mag, **SMALL)
        assert red.data.sum() / image.data.sum() == pytest.approx(10 ** (0.4 * 0.31))
        assert red.meta['EBVFROM'] == 'given'
        plain = fetch('NGC 5466', archive=archive(server, offline=True), extinction=False, **SMALL)
        assert plain.meta['EBVFROM'] == 'not corrected'
        # without the reddening the colour of the cluster is not known
        assert 'COLBV' not in plain.meta
        assert red.meta['COLBV'] == pytest.approx(meta['COLBV'] - 0.1, abs=0.002)
        assert meta['SURVEY'] == 'Pan-STARRS1 stacks' and meta['FORMG'] == 'cutout' and meta['NCELLR'] == 1
        assert (meta['EXPTIMEG'], meta['EXPTIMER']) == (602, 880) and meta['BADBITS'] == ps1.BAD

    def test_a_field_that_holds_the_cluster(self, server):
        """Its half-light radius is 2.3 arcmin."""
        how = {'seeing': SMALL['seeing'], 'field_of_view': 'auto'}
        # 16 kpc away
        image = fetch('NGC 5466', archive=archive(server), **how, farthest=28 * u.kpc)
        assert image.shape == (160, 160) and image.meta['PIXSCALE'] == pytest.approx(0.4)
        image = fetch('NGC 5466', archive=archive(server), **how, farthest=28 * u.kpc, distance='20 kpc')
        assert image.meta['PIXSCALE'] == pytest.approx(0.25)
        with pytest.raises(ValueError, match="farthest goes with field_of_view='auto', received 70"):
            fetch('NGC 5466', archive=archive(server), farthest=70 * u.kpc)

    def test_reddening_that_nobody_knows(self, server):
        place = SkyCoord(211.4, 28.6, unit='deg')
        with pytest.raises(ValueError, match='the reddening of 14h05m36.0s .* is in no catalogue here: give'):
            fetch(place, archive=archive(server))
        with pytest.raises(ValueError, match='reddening must not be negative'):
            fetch(place, archive=archive(server), reddening=-0.1 * u.mag)
        with pytest.raises(ValueError, match='reddening is not used without extinction, received 0.1 mag'):
            fetch(place, archive=archive(server), extinction=False, reddening=0.1 * u.mag)
        assert server.requests == []

    @pytest.mark.slow
    def test_the_whole_way(self, split, cache):
        """Two skycells, cutouts, noise, the PSF from stars: what comes out is the cluster's light."""
        from pidoc.mock.observation import observe
        server = sky.Server(split)
        try:
            image = fetch('NGC 5466', archive=archive(server))
        finally:
            server.close()
        truth = observe(sky.snapshot(), distance=sky.DISTANCE, seeing=1.3 * u.arcsec, band='V',
                        correction='kurucz1992', oversampling=8, center=sky.CENTER)
        assert image.data.sum() == pytest.approx(truth.light.data.sum(), rel=0.02)
        luminosity = image.data.sum() * 4 * np.pi * image.meta['DISTANCE'] ** 2
        assert luminosity == pytest.approx(truth.luminosity.value, rel=0.02)


# V of the light in 40", of these stars; seeing of g and r; flags
SKIES = [
    ('NGC 4147', 10.9826, (1.6, 0.9), 'seeing-worse'),
    ('NGC 5053', 13.6867, (1.31, 1.19), ''),
    *(pytest.param(*row, marks=pytest.mark.slow) for row in [
        ('NGC 2419', 11.8133, (1.31, 1.19), ''), ('NGC 4147', 10.9818, (1.0, 1.5), 'seeing-worse'),
        ('NGC 4147', 10.9819, (1.2, 1.2), ''), ('NGC 5466', 12.6819, (1.31, 1.19), ''),
        ('Pal 11', 11.9286, (1.31, 1.19), ''), ('NGC 5024', 9.7263, (1.31, 1.19), ''),
        ('Pal 5', 16.8569, (1.31, 1.19), ''), ('NGC 6517', 7.4317, (1.31, 1.19), ''),
        ('NGC 5904', 8.1849, (1.31, 1.19), '')])]


@pytest.mark.parametrize(('name', 'magnitude', 'seeing', 'noted'), SKIES)
def test_both_ways_to_a_map_are_one(name, magnitude, seeing, noted, tmp_path):
    """Stand-ins of clusters by `fetch`, and their files by `prepare`: the same light, seeing and flags."""
    cluster = draw_cluster(name)
    write_files(cluster, tmp_path, seeing=dict(zip('gr', seeing * u.arcsec)))
    fetched = fetch(name, archive=SyntheticArchive(folder=tmp_path))
    files = {kind: {band: next(tmp_path.glob(f'*.stk.{band}.unconv{kind}.fits')) for band in 'gr'}
             for kind in ('', '.wt', '.mask')}
    prepared = prepare(files[''], center=cluster.position, extinction=3.1 * cluster.reddening,
                       weight={band: VarianceUncertainty(ps1.read_variance(path)[0])
                               for band, path in files['.wt'].items()},
                       mask={band: ps1.read_mask(path)[0] & ps1.BAD for band, path in files['.mask'].items()})
    found = apparent_magnitude(fetched.data.sum() * fetched.unit).value
    assert found == pytest.approx(magnitude, abs=0.006)
    np.testing.assert_allclose(prepared.data, fetched.data, rtol=1e-6)
    np.testing.assert_allclose(prepared.uncertainty.array, fetched.uncertainty.array, rtol=1e-6)
    assert prepared.meta['FLAGS'] == fetched.meta['FLAGS'] == noted
    for keyword in ('PSFFWHM', 'PSFG', 'PSFR', 'COLOUR', 'SKYSHARE', 'EXTCORR'):
        assert prepared.meta[keyword] == pytest.approx(fetched.meta[keyword], rel=1e-6)
    assert (fetched.meta['PSFG'], fetched.meta['PSFR']) == pytest.approx(seeing, rel=0.01)


@pytest.mark.remote_data
class TestLive:
    def test_a_cluster(self, tmp_path):
        with set_temp_cache(tmp_path):
            image = fetch('NGC 5466')
        assert image.shape == (160, 160) and np.isfinite(image.data).all()
        luminosity = np.sum(image.data) * 4 * np.pi * 16.0**2
        # Chardin & Bianchini (2021), Table 3: 1876 Lsun
        assert 900 < luminosity < 4000

    def test_mast(self):
        assert len(retrieval.mast_listing(NGC5466)) >= 2

    def test_resolver(self):
        place = SkyCoord(210.8023, 54.3489, unit='deg')
        assert find_target('M 101').position.separation(place) < 1 * u.arcmin
