# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Files of other codes: real ones against what those codes say of them, and small ones made here."""

import gzip
import logging
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import registry
from astropy.table import QTable, Table

import pidoc
from pidoc.cluster import foreign
from pidoc.cluster.snapshot import Snapshot
from pidoc.tests import shared_data
from pidoc.units import G, HenonUnits, KMS_IN_PC_PER_MYR

KMS = u.km / u.s
UNITS = HenonUnits(500.0, 2.0)


def shared(name):
    """A file of the simulations that are not part of the package, or a skip."""
    path = shared_data.shared('simulations', name)
    if path.suffix in ('.h5', '.hdf5', '.amuse'):
        pytest.importorskip('h5py')
    return path


def values(snapshot, *names):
    return np.column_stack([snapshot.stars[name].value for name in names])


def energies(snapshot):
    """Kinetic and potential energy [Msun km2 / s2], pair by pair."""
    mass = snapshot.stars['mass'].value
    place, velocity = values(snapshot, *'xyz'), values(snapshot, 'vx', 'vy', 'vz')
    distance = np.sqrt(np.sum((place[:, None] - place[None])**2, axis=2))
    first, second = np.triu_indices(mass.size, 1)
    potential = -G * np.sum(mass[first] * mass[second] / distance[first, second])
    return 0.5 * np.sum(mass * np.sum(velocity**2, axis=1)), potential


# -- real files -----------------------------------------------------------------------------------


class TestNbody6:
    """Against the log that NBODY6 wrote beside OUT3."""

    def test_the_snapshots_of_the_file(self):
        path = shared('nbody6/OUT3')
        times = foreign.ages(path)
        assert times.unit == u.Gyr
        # at N-body times 0, 10, 20, 30, 40, 60 ... of 2.232 Myr
        np.testing.assert_allclose(
            times.to_value(u.Myr) / 2.232,
            [0, 10, 20, 30, 40, 60, 80, 100, 120, 160, 240], rtol=2e-4)
        sizes = [len(snapshot) for snapshot in foreign.read_all(path)]
        assert sizes == [500, 500, 497, 485, 473, 446, 411, 381, 338, 223, 15]

    def test_units_by_the_virial_theorem(self):
        snapshot = Snapshot.read(shared('nbody6/OUT3'), at=0, center='origin')
        assert snapshot.total_mass.to_value(u.Msun) == pytest.approx(357.0, rel=1e-4)
        kinetic, potential = energies(snapshot)
        # the log's Q = 0.48 counts the tide: among the stars it is 1/2, for so it was set up
        assert -kinetic / potential == pytest.approx(0.5, abs=1e-5)
        unit = HenonUnits(357.00208, 2.0).energy
        assert (kinetic + potential) / unit == pytest.approx(-0.257437, abs=2e-6)

    def test_the_center_of_mass_of_a_pair_is_no_star(self):
        snapshot = Snapshot.read(shared('nbody6/OUT3'), at=3)
        # the log: T = 30., N = 485, KS = 1, M = 0.9650
        assert len(snapshot) == 485
        assert snapshot.total_mass.to_value(u.Msun) / 357.00208 == pytest.approx(0.9650, abs=5e-5)
        stars = snapshot.stars
        pair = stars[stars['partner'] >= 0]
        assert sorted(pair['id']) == sorted(pair['partner']) == [1, 2]
        apart = np.ptp(values(snapshot, *'xyz')[stars['partner'] >= 0], axis=0)
        assert 1e-3 < np.linalg.norm(apart) < 1e-2

    def test_the_density_center_that_is_measured_is_that_of_the_header(self, monkeypatch):
        path = shared('nbody6/OUT3')
        by_header = Snapshot.read(path, at=9)
        monkeypatch.setattr(foreign._Nbody, 'read', without_center(foreign._Nbody.read))
        measured = Snapshot.read(path, at=9)
        shift = values(measured, *'xyz')[0] - values(by_header, *'xyz')[0]
        moved = (values(Snapshot.read(path, at=9, center='origin'), *'xyz')[0]
                 - values(by_header, *'xyz')[0])
        # a few tenths of a parsec of a centre that has moved 6
        assert np.linalg.norm(moved) > 5.5
        assert np.linalg.norm(shift) < 0.5

    def test_by_time(self):
        path = shared('nbody6/OUT3')
        assert len(Snapshot.read(path, at=67 * u.Myr)) == 485
        assert len(Snapshot.read(path, at=-1)) == 15
        assert Snapshot.read(path, at=-1).meta['SRCINDEX'] == 10

    def test_without_a_choice(self):
        with pytest.raises(ValueError, match='holds 11 snapshots from 0 to 535.67 Myr: choose one'):
            Snapshot.read(shared('nbody6/OUT3'))

    def test_light_of_stars_that_did_not_evolve(self):
        path = shared('nbody6/OUT3')
        snapshot = Snapshot.read(path, at=3, metallicity=0.02, initial='mass')
        stars = snapshot.stars
        assert snapshot.meta['LIGHTSRC'] == 'pidoc' and snapshot.meta['LIGHTZ'] == 0.02
        np.testing.assert_array_equal(stars['initial_mass'], stars['mass'])
        from pidoc.stellar import StellarEvolution
        state = StellarEvolution(0.02).state(stars['mass'].value, snapshot.age.to_value(u.Myr))
        np.testing.assert_array_equal(stars['kind'], state.kind)
        # after 67 Myr the one of 8.2 Msun is a neutron star
        assert list(stars['kind'][stars['mass'] > 8 * u.Msun]) == [13]
        born = Snapshot.read(path, at=0)
        again = Snapshot.read(path, at=3, metallicity=0.02, initial=born)
        np.testing.assert_allclose(again.stars['luminosity'], stars['luminosity'], rtol=1e-5)

    def test_the_tail_is_another_format(self):
        with pytest.raises(ValueError, match=r'first record must have 16 bytes .*, received 12'):
            Snapshot.read(shared('nbody6/OUT33'), format='nbody6')

    def test_not_as_the_other_code(self):
        with pytest.raises(ValueError, match="one of nbody6: say format='nbody6'"):
            Snapshot.read(shared('nbody6/OUT3'), format='nbody6++')


def without_center(read):
    return lambda self, number: read(self, number)._replace(center=None)


@pytest.mark.parametrize(('name', 'myr', 'mass', 'rms'), [
    ('nbody6pp/conf.3_0', 0.0, 7574.08, 1.4479), ('nbody6pp/conf.3_20', 77.671, 6406.66, None)])
def test_nbody6pp(name, myr, mass, rms):
    snapshot = Snapshot.read(shared(name), center='origin')
    assert len(snapshot) == 12500
    assert snapshot.age.to_value(u.Myr) == pytest.approx(myr, abs=1e-3)
    assert snapshot.total_mass.to_value(u.Msun) == pytest.approx(mass, rel=2e-6)
    assert not snapshot._has_light and snapshot.meta['LIGHTSRC'] == 'none'
    if rms is not None:
        # virial equilibrium: <v2> = -2 E / M = G M / (2 R) with E = -1/4
        speed = np.sum(values(snapshot, 'vx', 'vy', 'vz')**2, axis=1)
        stars_mass = snapshot.stars['mass'].value
        assert np.sqrt(np.average(speed, weights=stars_mass)) == pytest.approx(
            2.0179 / np.sqrt(2.0), rel=0.01)


def test_the_header_of_nbody6pp():
    with foreign._opened(shared('nbody6pp/conf.3_20'), None, {}) as source:
        header = source._headers[0]
    np.testing.assert_allclose(header[[2, 3, 10, 11]], [8.0, 7574.08, 3.8836, 2.0179], rtol=2e-5)


def test_escapers_can_be_left_out():
    path = shared('nbody6pp/conf.3_20')
    near = Snapshot.read(path, max_radius=40 * u.pc)
    everything = Snapshot.read(path)
    assert near.stars['radius'].max() <= 40 * u.pc < everything.stars['radius'].max()
    assert len(near) == np.sum(everything.stars['radius'] <= 40 * u.pc)


class TestCmc:
    def test_initial_conditions(self):
        snapshot = Snapshot.read(shared('cmc/ci_input.hdf5'))
        # 10,000 objects, of which 1,967 are two stars; MCLUS of the file
        assert len(snapshot) == 11967
        assert snapshot.total_mass.to_value(u.Msun) == pytest.approx(6536.9275, rel=1e-7)
        stars = snapshot.stars
        assert np.sum(stars['partner'] >= 0) == 2 * 1967
        # RVIR = 1 pc of a Plummer sphere
        assert snapshot.half_mass_radius.to_value(u.pc) == pytest.approx(0.77, abs=0.03)
        np.testing.assert_array_equal(stars['initial_mass'], stars['mass'])
        # a star of 1 Msun has about 0.9 Rsun at birth
        sun = np.argmin(np.abs(stars['mass'].value - 1.0))
        assert stars['stellar_radius'][sun].value == pytest.approx(0.9, abs=0.05)

    def test_initial_conditions_in_virial_equilibrium(self):
        snapshot = Snapshot.read(shared('cmc/ci_input.hdf5'))
        mass, radius = snapshot.stars['mass'].value, snapshot.stars['radius'].value
        speed = np.sum(values(snapshot, 'vx', 'vy', 'vz')**2, axis=1)
        objects, first = np.unique(radius, return_index=True)
        weight = np.bincount(np.searchsorted(objects, radius), weights=mass)
        inside = np.cumsum(weight) - 0.5 * weight
        assert np.sum(mass * speed) / (G * np.sum(weight * inside / objects)) == pytest.approx(
            1.0, abs=0.02)

    def test_initial_conditions_of_another_size(self):
        path = shared('cmc/ci_input.hdf5')
        larger = Snapshot.read(path, length_unit=5 * u.pc).half_mass_radius
        ratio = larger / Snapshot.read(path).half_mass_radius
        assert ratio.value == pytest.approx(5.0)

    def test_light_at_birth(self):
        snapshot = Snapshot.read(shared('cmc/ci_input.hdf5'), metallicity=0.014)
        assert snapshot.meta['LIGHTSRC'] == 'pidoc'
        assert 0.001 < snapshot.mass_to_light.value < 0.1
        stars = snapshot.stars
        # brown dwarfs beside stars
        brown = stars['mass'] < 0.08 * u.Msun
        assert 0 < np.sum(brown) < 1000
        assert np.all((stars['luminosity'] < 1e-9 * u.Lsun) == brown)

    def test_ages(self):
        times = foreign.ages(shared('cmc/t5k.window.snapshots.h5')).to_value(u.Gyr)
        assert times.size == 15 and np.all(np.diff(times) > 0)
        np.testing.assert_allclose(times[[0, 1, 14]], [0.0, 0.25060146, 3.5000104])

    def test_the_units_that_are_beside_the_file(self):
        snapshot = Snapshot.read(shared('cmc/t5k.window.snapshots.h5'), at=0)
        assert snapshot.total_mass.to_value(u.Msun) == pytest.approx(3133.76, rel=1e-5)
        # it was set up with 3.2 pc
        assert snapshot.half_mass_radius.to_value(u.pc) == pytest.approx(3.2, abs=0.01)
        assert snapshot.meta['LIGHTSRC'] == 'file'

    def test_the_potential_is_that_of_the_file(self):
        h5py = pytest.importorskip('h5py')
        path = shared('cmc/t5k.window.snapshots.h5')
        stars = Snapshot.read(path, at=14).stars
        stars.sort('radius')
        mass, radius = stars['mass'].value, stars['radius'].value
        outside = np.cumsum((mass / radius)[::-1])[::-1] - mass / radius
        ours = dict(zip(stars['id'], -G * (np.cumsum(mass) / radius + outside)))
        with h5py.File(path) as groups:
            table = groups['14(t=3.5000104Gyr)'][...]
        table = table[table['binflag'] != 1]
        theirs = table['star_phi'] * HenonUnits(3133.76, 4.16357).velocity**2
        np.testing.assert_allclose([ours[name] for name in table['id']], theirs, rtol=1e-5)

    def test_a_binary(self):
        stars = Snapshot.read(shared('cmc/t5k.window.snapshots.h5'), at=-1).stars
        pair = stars[stars['partner'] >= 0]
        assert sorted(zip(pair['id'], pair['partner'], pair['kind'])) == [
            (1496, 2720, 1), (2720, 1496, 14)]
        np.testing.assert_allclose(np.sort(pair['mass'].value), [1.1319175, 26.0919176])
        # placed together, dark and bright
        assert np.ptp(pair['radius'].value) == 0.0 == np.ptp(pair['x'].value)
        np.testing.assert_allclose(np.sort(pair['luminosity'].value), [1e-10, 5.2189990], rtol=1e-7)

    def test_light_is_not_computed_twice(self):
        with pytest.raises(ValueError, match='has luminosities of its own: metallicity must not'):
            Snapshot.read(shared('cmc/t5k.window.snapshots.h5'), at=3, metallicity=0.001)


class TestAmuse:
    NAME = 'amuse/GMC_R2pcN20k_SE_T45Myr.amuse'

    def test_gas_and_stars(self):
        with pytest.raises(ValueError, match=r'2 sets of particles \(1: 6248 particles named gas; '
                                             r'2: 329 particles named Star\), and gas is not'):
            Snapshot.read(shared(self.NAME), age=4.5 * u.Myr)

    def test_gas(self):
        with pytest.raises(ValueError, match='must be a set of stars, received 1 .* which is gas'):
            Snapshot.read(shared(self.NAME), age=4.5 * u.Myr, particles=1)

    def test_stars(self):
        snapshot = Snapshot.read(shared(self.NAME), age=4.5 * u.Myr, particles=2)
        assert len(snapshot) == 329
        h5py = pytest.importorskip('h5py')
        with h5py.File(shared(self.NAME)) as groups:
            mass = groups['particles/0000000002/attributes/mass'][...].sum() * u.kg
        assert snapshot.total_mass.to_value(u.Msun) == pytest.approx(mass.to_value(u.Msun))
        assert 0.1 * u.pc < snapshot.half_mass_radius < 2 * u.pc

    def test_no_age(self):
        with pytest.raises(ValueError, match='does not say its age: give it as age='):
            Snapshot.read(shared(self.NAME), particles=2)
        with pytest.raises(ValueError, match='does not say its age$'):
            foreign.ages(shared(self.NAME), particles=2)


def test_hdf5_in_a_file_that_is_named_like_fits(tmp_path):
    (tmp_path / 'a.fits').write_bytes(b'\x89HDF\r\n\x1a\n' + bytes(100))
    with pytest.raises(ValueError, match='a.fits: a FITS file must begin with SIMPLE, received'):
        Snapshot.read(tmp_path / 'a.fits')


@pytest.mark.parametrize('name', ['nbody6/OUT33', 'nbody6/ESC', 'nbody6/fort.1', 'nbody6/logfile',
                                  'nbody6/input', 'cmc/plummer.lagrad.dat', 'cmc/ci_Params.ini'])
def test_what_is_no_snapshot_is_not_taken_for_one(name):
    path = shared(name)
    with pytest.raises(registry.IORegistryError, match='Format could not be identified'):
        Snapshot.read(path)
    with pytest.raises(ValueError, match='must be one of nbody6, .*received a file that is not'):
        foreign.ages(path)


# -- small files: NBODY6 --------------------------------------------------------------------------


def cluster(number=40, seed=1):
    """Masses of sum 1, places and velocities in N-body units, names."""
    rng = np.random.default_rng(seed)
    mass = rng.uniform(0.5, 1.5, number)
    return (mass / mass.sum(), rng.normal(size=(number, 3)), 0.5 * rng.normal(size=(number, 3)),
            np.arange(1, number + 1))


def record(data, order='<'):
    marker = struct.pack(order + 'i', len(data))
    return marker + data + marker


def nbody_bytes(times=(0.0,), *, stars=None, order='<', real='f4', layout='nbody6', pairs=0,
                center=(0.0, 0.0, 0.0), header=None):
    mass, place, velocity, names = stars or cluster()
    head = np.zeros(20)
    head[1], head[2], head[3], head[6:9] = pairs, UNITS.length, UNITS.mass, center
    head[10], head[11] = UNITS.time, UNITS.velocity
    head[list(header or {})] = list((header or {}).values())
    result = b''
    for model, time in enumerate(times):
        head[0] = time
        before = [np.full(mass.size, 7.0)] * 2 if layout == 'nbody6++' else []
        after = [np.full(mass.size, 9.0)] if layout == 'nbody6++' else []
        numbers = np.concatenate([head, mass, *before, place.ravel(), velocity.ravel(), *after])
        result += record(struct.pack(order + '4i', mass.size, model, 1, 20), order)
        result += record(numbers.astype(order + real).tobytes()
                         + names.astype(order + 'i4').tobytes(), order)
    return result


@pytest.fixture
def write(tmp_path):
    def write(data, name='file'):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path
    return write


@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('real', ['f4', 'f8'])
@pytest.mark.parametrize('layout', ['nbody6', 'nbody6++'])
def test_fortran_records_of_every_kind(write, order, real, layout):
    path = write(nbody_bytes([3.0], order=order, real=real, layout=layout))
    snapshot = Snapshot.read(path, center='origin')
    mass, place, velocity, names = cluster()
    assert snapshot.meta == {'SRCFMT': layout, 'SRCINDEX': 0, 'CENTRE': 'origin',
                             'LIGHTSRC': 'none'}
    assert snapshot.age.to_value(u.Myr) == pytest.approx(3.0 * UNITS.time, rel=1e-6)
    np.testing.assert_array_equal(snapshot.stars['id'], names)
    np.testing.assert_allclose(snapshot.stars['mass'].value, 500.0 * mass, rtol=1e-6)
    np.testing.assert_allclose(values(snapshot, *'xyz'), 2.0 * place, rtol=1e-6)
    np.testing.assert_allclose(values(snapshot, 'vx', 'vy', 'vz'), UNITS.velocity * velocity,
                               rtol=1e-6)


def test_an_open_file_and_a_compressed_one(write):
    data = nbody_bytes([3.0])
    path = write(data)
    with path.open('rb') as file:
        assert len(Snapshot.read(file)) == 40
    packed = write(gzip.compress(data), 'OUT3.gz')
    assert len(Snapshot.read(packed)) == len(Snapshot.read(packed, format='nbody6')) == 40
    cut = write(gzip.compress(data)[:-200], 'CUT.gz')
    with pytest.raises(ValueError, match='CUT.gz is damaged or cut short'):
        Snapshot.read(cut, format='nbody6')
    with pytest.raises(ValueError, match='CUT.gz is damaged or cut short'):
        foreign.ages(cut)
    with pytest.raises(ValueError, match='CUT.gz is damaged or cut short'):
        Snapshot.read(cut)
    # of no format that is known, and cut short
    noise = np.random.default_rng(1).bytes(10000)
    stub = write(gzip.compress(noise)[:-200], 'STUB.gz')
    with pytest.raises(registry.IORegistryError, match='could not be identified'):
        Snapshot.read(stub)
    with pytest.raises(ValueError, match='received a file that is not recognised'):
        foreign.ages(stub)


def test_the_center_is_that_of_the_header(write):
    stars = cluster()
    path = write(nbody_bytes(stars=stars, center=(0.5, -1.0, 2.0), real='f8'))
    snapshot = Snapshot.read(path)
    assert snapshot.meta['CENTRE'] == 'density'
    place = 2.0 * (stars[1] - [0.5, -1.0, 2.0])
    np.testing.assert_allclose(values(snapshot, *'xyz'), place, rtol=1e-12)
    # the inner half of the mass is at rest
    inner = snapshot.stars['radius'] <= snapshot.half_mass_radius * (1 + 1e-9)
    velocity, mass = values(snapshot, 'vx', 'vy', 'vz'), snapshot.stars['mass'].value
    inner_order = np.argsort(snapshot.stars['radius'])
    count = np.searchsorted(np.cumsum(mass[inner_order]), 0.5 * mass.sum()) + 1
    rows = inner_order[:count]
    assert np.sum(inner) in (count, count - 1)
    np.testing.assert_allclose(np.average(velocity[rows], axis=0, weights=mass[rows]), 0.0,
                               atol=1e-12)


def test_pairs(write):
    mass, place, velocity, names = cluster(41)
    # two pairs, of which the second is part of a hierarchy
    mass[-2:] = mass[0] + mass[1], 3.0 * (mass[2] + mass[3])
    names[-2:] = names[0] + 41, names[2] + 41
    path = write(nbody_bytes(stars=(mass, place, velocity, names), pairs=2))
    stars = Snapshot.read(path).stars
    assert len(stars) == 39
    assert list(stars['partner'][:4]) == [2, 1, -1, -1]
    assert np.all(stars['partner'][4:] == -1)


def test_ghosts_and_what_is_far_away_are_left_out(write):
    mass, place, velocity, names = cluster(41)
    mass[5], place[0] = 0.0, [50.0, 0.0, 0.0]
    mass[40] = mass[0] + mass[1]
    path = write(nbody_bytes(stars=(mass, place, velocity, names), pairs=1))
    assert len(Snapshot.read(path)) == 39
    near = Snapshot.read(path, max_radius=20 * u.pc).stars
    assert len(near) == 38 and 1 not in near['id']
    assert near['partner'][near['id'] == 2] == -1


@pytest.mark.parametrize(('at', 'number'), [
    (0, 0), (-1, 2), (np.int64(1), 1), (0.0 * u.Gyr, 0), (2.1 * UNITS.time * u.Myr, 1)])
def test_choice_of_a_snapshot(write, at, number):
    path = write(nbody_bytes([0.0, 2.0, 4.0]))
    assert Snapshot.read(path, at=at).meta['SRCINDEX'] == number


@pytest.mark.parametrize(('at', 'error', 'message'), [
    (None, ValueError, 'holds 3 snapshots from 0 to .* Myr: choose one with at='),
    (3, ValueError, 'at must be a number below 3, the number of snapshots in .*, received 3'),
    (-4, ValueError, 'at must be a number below 3'),
    (1 * u.Gyr, ValueError, r'at must lie within 0 to .* Myr, the times of .*, received 1.0 Gyr'),
    (1.5, TypeError, 'at must be an astropy Quantity in Myr, received 1.5')])
def test_a_choice_that_is_none(write, at, error, message):
    path = write(nbody_bytes([0.0, 2.0, 4.0]))
    with pytest.raises(error, match=message):
        Snapshot.read(path, at=at)


def test_a_file_cut_short(write, caplog):
    whole = nbody_bytes([0.0, 2.0, 4.0])
    path = write(whole[:-10])
    with caplog.at_level(logging.WARNING, logger='pidoc.cluster.foreign'):
        assert foreign.ages(path).size == 2
    assert 'is cut short after byte' in caplog.text
    with pytest.raises(ValueError, match='is cut short: it has no complete snapshot'):
        Snapshot.read(write(nbody_bytes()[:-10]))
    with pytest.raises(ValueError, match='its first record must have 16 bytes .* received None'):
        Snapshot.read(write(b''), format='nbody6')


def damaged(data, place, value):
    return data[:place] + struct.pack('<i', value) + data[place + 4:]


@pytest.mark.parametrize(('data', 'message'), [
    (damaged(nbody_bytes(), len(nbody_bytes()) - 4, 5), 'is damaged: the record at byte 24 does'),
    (nbody_bytes() + record(b'12345678'), 'must begin with a record of 16 bytes, received 8'),
    (record(struct.pack('<4i', 5, 1, 1, 20)) + record(bytes(100)),
     'not a file of nbody6, but one with 5 stars in a record of 100 bytes'),
    (record(struct.pack('<4i', -5, 1, 1, 20)) + record(bytes(100)), 'one with -5 stars'),
    (nbody_bytes(pairs=20), 'is damaged: 20 pairs among 40 particles'),
    (nbody_bytes(header={11: 5.0}), r'VSTAR must be the units of RBAR = 2 pc and ZMBAR = 500 Msun'),
    (nbody_bytes(header={2: 0.0}), 'must be the units of RBAR = 0 pc'),
    (nbody_bytes(header={10: np.nan}), 'received nan Myr'),
    (nbody_bytes(layout='nbody6++'), "but one of nbody6\\+\\+: say format='nbody6\\+\\+'"),
    (record(bytes(256)), 'received 256, as in Gadget files of galaxies'),
    (b'SIMPLE  =', 'its first record must have 16 bytes')])
def test_other_files_are_not_of_nbody6(write, data, message):
    with pytest.raises(ValueError, match=message):
        Snapshot.read(write(data), format='nbody6')


def test_names_must_be_unique(write):
    # as in a file of NBODY4, which has types where NBODY6++ has names
    mass, place, velocity, names = cluster()
    path = write(nbody_bytes(stars=(mass, place, velocity, 0 * names), layout='nbody6++'))
    with pytest.raises(ValueError, match='does not hold a valid snapshot: id must be unique'):
        Snapshot.read(path)


def test_only_ghosts(write):
    mass, place, velocity, names = cluster()
    with pytest.raises(ValueError, match='must have stars, received none with a mass'):
        Snapshot.read(write(nbody_bytes(stars=(0 * mass, place, velocity, names))))


# -- arguments of every format --------------------------------------------------------------------


@pytest.mark.parametrize(('arguments', 'error', 'message'), [
    ({'center': 'mass'}, ValueError, "center must be 'density' or 'origin', received 'mass'"),
    ({'max_radius': 3.0}, TypeError, 'max_radius must be an astropy Quantity in pc'),
    ({'max_radius': -3 * u.pc}, ValueError, 'max_radius must be positive'),
    ({'age': -3 * u.Gyr}, ValueError, 'age must not be negative'),
    ({'metallicity': 0.02}, ValueError, "no initial masses, .* 'mass' if .*, received None"),
    ({'metallicity': 0.02, 'initial': 'now'}, ValueError, "received 'now'"),
    ({'metallicity': 7.0, 'initial': 'mass'}, ValueError, 'metallicity must be between'),
    ({'metallicity': 0.02, 'initial': 'mass', 'age': 99 * u.Gyr}, ValueError,
     'stars without luminosities: age must be between'),
    ({'particles': 3}, TypeError, 'particles')])
def test_arguments(write, arguments, error, message):
    with pytest.raises(error, match=message):
        Snapshot.read(write(nbody_bytes()), format='nbody6', **arguments)


def test_the_age_can_be_told(write):
    snapshot = Snapshot.read(write(nbody_bytes([2.0])), age=3 * u.Gyr, seed=5)
    assert snapshot.age == 3 * u.Gyr and snapshot.seed == 5
    (only,) = foreign.read_all(write(nbody_bytes([2.0])), format='nbody6', age=3 * u.Gyr)
    assert only.age == 3 * u.Gyr


def test_initial_masses_of_another_snapshot(write):
    mass, place, velocity, names = cluster()
    born = Snapshot.read(write(nbody_bytes(stars=(mass, place, velocity, names)), 'born'))
    late = write(nbody_bytes([9.0], stars=(0.5 * mass[5:], place[5:], velocity[5:], names[5:])))
    stars = Snapshot.read(late, metallicity=0.001, initial=born, age=0.3 * u.Gyr).stars
    np.testing.assert_allclose(stars['initial_mass'].value, 500.0 * mass[5:], rtol=1e-6)
    np.testing.assert_allclose(stars['mass'].value, 250.0 * mass[5:], rtol=1e-6)
    from pidoc.stellar import StellarEvolution
    state = StellarEvolution(0.001).state(stars['initial_mass'].value, 300.0)
    np.testing.assert_array_equal(stars['kind'], state.kind)
    np.testing.assert_allclose(stars['luminosity'].value, state.luminosity)
    few = Snapshot.read(late)
    with pytest.raises(ValueError, match='a snapshot without 5 of them, id 1 first'):
        Snapshot.read(write(nbody_bytes(), 'all'), metallicity=0.001, initial=few)


def test_brown_dwarfs_are_dark(write, caplog):
    mass, place, velocity, names = cluster()
    mass[3] = 0.05 / 500.0
    path = write(nbody_bytes(stars=(mass, place, velocity, names)))
    with caplog.at_level(logging.INFO, logger='pidoc.cluster.foreign'):
        stars = Snapshot.read(path, metallicity=0.02, initial='mass', age=1 * u.Gyr).stars
    assert '1 stars below 0.08 Msun are taken as dark' in caplog.text
    assert stars['luminosity'][3] == 1e-10 * u.Lsun
    assert stars['mass'][3].value == pytest.approx(0.05, rel=1e-6)
    assert np.sum(stars['luminosity'] > 1e-9 * u.Lsun) == 39


def test_a_snapshot_without_light_says_so(write):
    snapshot = Snapshot.read(write(nbody_bytes()))
    with pytest.raises(ValueError, match='the light needs the columns luminosity'):
        _ = snapshot.v_luminosity


def test_what_was_read_can_be_stored(write, tmp_path):
    snapshot = Snapshot.read(write(nbody_bytes([1.0])), metallicity=0.001, initial='mass')
    snapshot.write(tmp_path / 'ours.fits', dtype=np.float64)
    again = Snapshot.read(tmp_path / 'ours.fits')
    assert again.meta == snapshot.meta
    np.testing.assert_array_equal(again.stars['luminosity'], snapshot.stars['luminosity'])


@pytest.mark.parametrize(('factor', 'message'), [
    ((1e7, 1.0), 'the median mass of its particles must be at most 1000 Msun'),
    ((1.0, 1e4), 'its half-mass radius must be at most 1000 pc, received'),
])
def test_galaxies(write, factor, message):
    mass, place, velocity, names = cluster()
    units = HenonUnits(500.0 * factor[0], 2.0 * factor[1])
    header = {2: units.length, 3: units.mass, 10: units.time, 11: units.velocity}
    with pytest.raises(ValueError, match=f'is not a star cluster: {message}'):
        Snapshot.read(write(nbody_bytes(header=header)))


def test_a_galaxy_of_small_stars():
    columns = {'mass': np.full(5, 100.0), 'radius': np.ones(5)}
    foreign._refuse_galaxies(columns, 'file')
    columns['mass'] = np.append(columns['mass'], 2e8)
    columns['radius'] = np.append(columns['radius'], 1.0)
    with pytest.raises(ValueError, match='its mass must be at most 1e'):
        foreign._refuse_galaxies(columns, 'file')


def test_formats_are_named(write):
    with pytest.raises(ValueError, match="must be one of nbody6, .*, table, received 'gadget'"):
        foreign.ages(write(nbody_bytes()), format='gadget')
    with pytest.raises(FileNotFoundError):
        foreign.ages('no such file')


def test_formats_come_with_the_package():
    code = 'from pidoc import Snapshot\nfrom astropy.io import registry\n' \
           'print(*registry.get_formats(Snapshot)["Format"])'
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                            check=True, cwd=Path(pidoc.__file__).parents[1])
    assert result.stdout.split() == sorted(['pidoc', *foreign._SOURCES])
    assert 'OUT3 of NBODY6' in registry.get_reader('nbody6', Snapshot).__doc__


def test_numbers_are_not_yet_a_format(write):
    with pytest.raises(registry.IORegistryError, match='could not be identified'):
        Snapshot.read(write('1 2 3\n4 5 6\n'))


def test_only_reading_is_recognised(tmp_path):
    snapshot = Snapshot({'x': [1] * u.pc, 'y': [1] * u.pc, 'z': [1] * u.pc, 'mass': [1] * u.Msun},
                        1 * u.Gyr)
    with pytest.raises(registry.IORegistryError, match='could not be identified'):
        snapshot.write(tmp_path / 'stars.csv')


# -- NBODY6++ in HDF5 -----------------------------------------------------------------------------


@pytest.fixture
def hdf5(tmp_path):
    h5py = pytest.importorskip('h5py')

    def create(name='file.h5'):
        return h5py.File(tmp_path / name, 'w')
    create.folder = tmp_path
    return create


NUMBERED = {'X1': '001 X1', 'X2': '002 X2', 'X3': '003 X3', 'V1': '004 V1', 'V2': '005 V2',
            'V3': '006 V3', 'M': '023 M', 'R*': '026 R*', 'L*': '027 L*', 'Teff*': '028 Teff*',
            'KW': '031 KW', 'Name': '032 Name', 'Type': '033 Type'}


def new_step(groups, number, time, *, scale=(1.0, 1.0, 1.0), triples=0):
    """As the newer NBODY6++ writes: 40 stars and the centre of mass of the first two."""
    mass, place, velocity, names = cluster(41)
    step = groups.create_group(f'Step#{number}')
    step.attrs['Time'] = np.float32(time)
    scalars = np.zeros(100, np.float32)
    scalars[[0, 2, 3, 10, 11, 69]] = time, UNITS.length, UNITS.mass, UNITS.time, \
        UNITS.velocity, triples
    step['000 Scalars'] = scalars
    kinds = np.zeros(41, np.int32)
    kinds[-1] = 1
    columns = {'M': 500.0 * mass * scale[0], 'R*': mass, 'L*': 2.0 * mass,
               'Teff*': 5000.0 + names, 'KW': np.ones(41, np.int32),
               'Name': names.astype(np.int32), 'Type': kinds}
    for axis in range(3):
        columns[f'X{axis + 1}'] = 2.0 * place[:, axis] * scale[1]
        columns[f'V{axis + 1}'] = UNITS.velocity * velocity[:, axis] * scale[2]
    for key, column in columns.items():
        step[NUMBERED[key]] = column
    # the second pair is of two stars of which one is taken, the third of one that is not there
    step['161 Bin Name1'] = np.array([1, 1, 7], np.int32)
    step['162 Bin Name2'] = np.array([2, 3, 99], np.int32)
    return step


def test_newer_nbody6pp(hdf5, caplog):
    with hdf5('snap.40_0.h5part') as groups:
        new_step(groups, 10, 20.0, triples=3)
        new_step(groups, 9, 18.0)
    path = hdf5.folder / 'snap.40_0.h5part'
    np.testing.assert_allclose(foreign.ages(path).to_value(u.Myr), [18 * UNITS.time,
                                                                    20 * UNITS.time], rtol=1e-6)
    with caplog.at_level(logging.WARNING, logger='pidoc.cluster.foreign'):
        snapshot = Snapshot.read(path, at=1, center='origin')
    assert 'the stars of 3 hierarchical triples are left out' in caplog.text
    mass, place, velocity, names = cluster(41)
    stars = snapshot.stars
    assert len(stars) == 40 and snapshot.meta['LIGHTSRC'] == 'file'
    assert list(stars['partner'][:3]) == [2, 1, -1]
    np.testing.assert_allclose(stars['mass'].value, 500.0 * mass[:40])
    np.testing.assert_allclose(values(snapshot, *'xyz'), 2.0 * place[:40])
    np.testing.assert_allclose(stars['temperature'].value, 5000.0 + names[:40])
    np.testing.assert_allclose(stars['luminosity'].value, 2.0 * mass[:40])


def test_nbody6pp_in_its_own_units(hdf5):
    with hdf5() as groups:
        new_step(groups, 0, 0.0, scale=(1 / 500.0, 0.5, 1 / UNITS.velocity))
    snapshot = Snapshot.read(hdf5.folder / 'file.h5', center='origin')
    mass, place, velocity, _ = cluster(41)
    np.testing.assert_allclose(snapshot.stars['mass'].value, 500.0 * mass[:40], rtol=1e-6)
    np.testing.assert_allclose(values(snapshot, *'xyz'), 2.0 * place[:40], rtol=1e-6)
    np.testing.assert_allclose(values(snapshot, 'vx', 'vy', 'vz'),
                               UNITS.velocity * velocity[:40], rtol=1e-6)


def old_step(groups, *, scale=500.0):
    """As the older NBODY6++ writes: 40 single stars and a pair apart by 10 AU."""
    mass, place, velocity, names = cluster()
    step = groups.create_group('Step#0')
    step.attrs['Time'] = 3.0
    columns = {'M': scale * mass, 'NAM': names.astype(np.int32), 'RS': mass, 'L': mass,
               'TE': 1e4 * mass, 'KW': np.ones(40, np.int32)}
    for axis in range(3):
        columns[f'X{axis + 1}'], columns[f'V{axis + 1}'] = place[:, axis], velocity[:, axis]
    for key, column in columns.items():
        step[key] = column
    pairs = step.create_group('Binaries')
    for key, value in {'M1': 3.0 * scale / 500.0, 'M2': scale / 500.0,
                       'XC1': 1.0, 'XC2': 2.0, 'XC3': 3.0, 'VC1': 0.0,
                       'VC2': 0.0, 'VC3': 0.0, 'XR1': 0.0, 'XR2': 10.0, 'XR3': 0.0, 'VR1': 0.0,
                       'VR2': 0.0, 'VR3': 8.0, 'RS1': 2.0, 'RS2': 1.0, 'L1': 50.0, 'L2': 1.0,
                       'TE1': 9e3, 'TE2': 5e3, 'KW1': 1, 'KW2': 1, 'NAM1': 101,
                       'NAM2': 102}.items():
        pairs[key] = np.array([value])
    return step


def test_older_nbody6pp(hdf5, caplog):
    with hdf5() as groups:
        old_step(groups).create_group('Mergers').attrs['N_MERGER'] = 1
    path = hdf5.folder / 'file.h5'
    with pytest.raises(ValueError, match='does not say its age: give it as age='):
        Snapshot.read(path)
    with pytest.raises(ValueError, match='does not say its age$'):
        foreign.ages(path)
    with caplog.at_level(logging.WARNING, logger='pidoc.cluster.foreign'):
        snapshot = Snapshot.read(path, time_unit=2 * u.Myr, center='origin')
    assert '1 hierarchical triples' in caplog.text
    assert snapshot.age.to_value(u.Myr) == pytest.approx(6.0)
    assert len(snapshot) == 42
    stars = snapshot.stars
    assert list(stars['partner'][-2:]) == [102, 101]
    np.testing.assert_allclose((stars['y'][-2:].to_value(u.AU) - (2 * u.pc).to_value(u.AU)),
                               [2.5, -7.5], rtol=1e-6)
    np.testing.assert_allclose(stars['vz'][-2:].value, [2.0, -6.0])
    np.testing.assert_allclose(stars['luminosity'][-2:].value, [50.0, 1.0])


def spoil(groups, what):
    step = old_step(groups, scale=1.0 if what == 'units' else 500.0)
    if what == 'mass':
        del step['M']
    elif what == 'time':
        del step.attrs['Time']
    elif what == 'pairs':
        del step['Binaries/TE1']
    elif what == 'steps':
        groups.move('Step#0', 'other')


@pytest.mark.parametrize(('what', 'message'), [
    ('mass', 'is not a file of NBODY6\\+\\+: /Step#0 has no mass'),
    ('time', '/Step#0 has no Time'),
    ('pairs', 'is damaged: its binaries have no temperature'),
    ('steps', 'no group is named Step#'),
    ('units', 'is in N-body units and does not say which: the sum of the')])
def test_other_files_are_not_of_nbody6pp(hdf5, what, message):
    with hdf5() as groups:
        spoil(groups, what)
    with pytest.raises(ValueError, match=message):
        Snapshot.read(hdf5.folder / 'file.h5', format='nbody6++', age=1 * u.Myr)


# -- PeTar ----------------------------------------------------------------------------------------


def petar_rows(row=20, *, scale=500.0):
    """Rows of numbers, their integer columns and the stars; velocities in pc/Myr."""
    mass, place, velocity, names = cluster()
    before = {20: 8, 21: 8, 24: 12, 25: 12, 34: 22, 35: 22}[row]
    rows = np.zeros((mass.size, row))
    rows[:, 0], rows[:, 1:4], rows[:, 4:7] = scale * mass, place, velocity
    integers = [7, before + 1, row - 1]
    rows[:, before + 1] = names
    if before == 22:
        rows[:, 12], rows[:, 15], rows[:, 21] = 1 + names % 2, 2.0 * mass, 100.0 * mass
        integers.append(12)
    return rows, integers


def petar_text(row=20, header=None, **options):
    rows, integers = petar_rows(row, **options)
    header = header or [0, len(rows), 12.5] + [1.0] * (6 if row in (21, 25, 35) else 0)
    lines = [' '.join(map(str, header))]
    for values_of_star in rows:
        lines.append(' '.join(str(int(value)) if number in integers else f'{value:.17e}'
                              for number, value in enumerate(values_of_star)))
    return '\n'.join(lines) + '\n'


def petar_bytes(row=20, **options):
    rows, integers = petar_rows(row, **options)
    data = rows.astype('<f8').view('<i8')
    data[:, integers] = rows[:, integers].astype('<i8')
    extra = [1.0] * (6 if row in (21, 25, 35) else 0)
    return struct.pack(f'<qqd{len(extra)}d', 0, len(rows), 12.5, *extra) + data.tobytes()


@pytest.mark.parametrize('row', [20, 24, 34, 21, 25, 35])
@pytest.mark.parametrize('make', [petar_text, petar_bytes])
def test_petar(write, make, row):
    path = write(make(row), 'data.3')
    snapshot = Snapshot.read(path, center='origin')
    mass, place, velocity, names = cluster()
    stars = snapshot.stars
    assert snapshot.meta['SRCFMT'] == 'petar'
    assert foreign.ages(path).to_value(u.Myr) == pytest.approx([12.5])
    np.testing.assert_array_equal(stars['id'], names)
    np.testing.assert_allclose(stars['mass'].value, 500.0 * mass)
    np.testing.assert_allclose(values(snapshot, *'xyz'), place)
    np.testing.assert_allclose(stars['vx'].to_value(u.pc / u.Myr), velocity[:, 0])
    assert 1.0 / KMS_IN_PC_PER_MYR == pytest.approx(0.9778, abs=1e-4)
    assert ('luminosity' in stars.colnames) == (row >= 34)
    if row >= 34:
        np.testing.assert_array_equal(stars['kind'], 1 + names % 2)
        np.testing.assert_allclose(stars['luminosity'].value, 100.0 * mass)
        np.testing.assert_allclose(stars['stellar_radius'].value, 2.0 * mass)


def test_petar_in_henon_units(write):
    path = write(petar_text(scale=1.0))
    with pytest.raises(ValueError, match='is not in solar masses .*: give mass_unit and length'):
        Snapshot.read(path)
    snapshot = Snapshot.read(path, mass_unit=500 * u.Msun, length_unit=2 * u.pc, center='origin')
    mass, place, velocity, _ = cluster()
    np.testing.assert_allclose(snapshot.stars['mass'].value, 500.0 * mass)
    np.testing.assert_allclose(values(snapshot, *'xyz'), 2.0 * place)
    np.testing.assert_allclose(values(snapshot, 'vx', 'vy', 'vz'), UNITS.velocity * velocity)
    assert snapshot.age.to_value(u.Myr) == pytest.approx(12.5 * UNITS.time)
    with pytest.raises(ValueError, match='needs both mass_unit and length_unit'):
        Snapshot.read(path, mass_unit=500 * u.Msun)


@pytest.mark.parametrize(('data', 'message'), [
    ('1 2\n', 'its first line must have 3 or 9 numbers'),
    ('0 2 naif\n1 2\n', 'its first line must have 3 or 9 numbers'),
    (petar_text(header=[0, 40, -1.0]), 'its time is -1.0'),
    (petar_text(header=[0, 41, 1.0]), 'is damaged or cut short: it must have 41 stars, received 40'),
    (petar_text()[:-300], 'is damaged or cut short'),
    (petar_text(header=[0, 0, 1.0]).splitlines()[0] + '\n1\n', 'must have 0 stars, received 1'),
    (petar_text(21, header=[0, 40, 1.0]), 'a star must have 20, 24, 34, received 21'),
    (petar_bytes()[:-8], 'not a file of PeTar, or cut short: its 6416 bytes'),
    (petar_bytes()[::-1], 'not a file of PeTar, or cut short'),
    (b'\x00', 'not a file of PeTar, or cut short: its 1 bytes')])
def test_other_files_are_not_of_petar(write, data, message):
    with pytest.raises(ValueError, match=message):
        Snapshot.read(write(data), format='petar')


# -- CMC ------------------------------------------------------------------------------------------

CMC_COLUMNS = [('id', 'i8'), ('m_MSUN', 'f8'), ('r', 'f8'), ('vr', 'f8'), ('vt', 'f8'),
               ('binflag', 'i8'), ('m0_MSUN', 'f8'), ('m1_MSUN', 'f8'), ('id0', 'i8'),
               ('id1', 'i8'), ('startype', 'i4'), ('luminosity_LSUN', 'f8'), ('radius_RSUN', 'f8'),
               ('bin_startype0', 'i4'), ('bin_startype1', 'i4'), ('bin_star_lum0_LSUN', 'f8'),
               ('bin_star_lum1_LSUN', 'f8'), ('bin_star_radius0_RSUN', 'f8'),
               ('bin_star_radius1_RSUN', 'f8')]


def cmc_table():
    """A mark, two stars, a binary, a mark."""
    table = np.full(5, -100, dtype=CMC_COLUMNS)
    for name, column in {
            'id': [0, 1, 2, 0, 0], 'm_MSUN': [0.0, 1.0, 2.0, 7.0, 0.0],
            'r': [1e-300, 0.5, 1.0, 2.0, 1e40], 'vr': [0.0, 0.1, -0.1, 0.2, 0.0],
            'vt': [0.0, 0.5, 0.6, 0.3, 0.0], 'binflag': [-100, -100, -100, 1, -100],
            'startype': [0, 1, 1, -100, 0], 'luminosity_LSUN': [0.0, 1.0, 16.0, -100.0, 0.0],
            'radius_RSUN': [0.0, 1.0, 2.0, -100.0, 0.0]}.items():
        table[name] = column
    for name, value in {'m0_MSUN': 4.0, 'm1_MSUN': 3.0, 'id0': 11, 'id1': 12, 'bin_startype0': 14,
                        'bin_startype1': 1, 'bin_star_lum0_LSUN': 1e-10, 'bin_star_lum1_LSUN': 80.0,
                        'bin_star_radius0_RSUN': 2e-5, 'bin_star_radius1_RSUN': 2.5}.items():
        table[name][3] = value
    return table


CONVERSION = """#!/bin/bash
outprefix=out
# code unit of mass (M_sun)
massunitmsun=500
lengthunitparsec=2.0
timeunitsmyr=40
cat $outprefix.dyn.dat
"""


def cmc_file(hdf5, *, keys=('0(t=0Gyr)', '1(t=0.5Gyr)'), table=None, conversion=CONVERSION):
    with hdf5('run.window.snapshots.h5') as groups:
        for key in keys:
            groups[key] = cmc_table() if table is None else table
    if conversion:
        (hdf5.folder / 'run.conv.sh').write_text(conversion)
    (hdf5.folder / 'other.conv.sh').write_text('massunitmsun=1\nlengthunitparsec=1\n')
    return hdf5.folder / 'run.window.snapshots.h5'


def test_cmc(hdf5):
    path = cmc_file(hdf5, keys=[f'{number}(t={number / 2}Gyr)' for number in range(12)])
    np.testing.assert_allclose(foreign.ages(path).to_value(u.Gyr), np.arange(12) / 2)
    snapshot = Snapshot.read(path, at=1)
    stars = snapshot.stars
    assert snapshot.is_spherical and snapshot.age == 0.5 * u.Gyr
    assert list(stars['id']) == [1, 2, 11, 12] and list(stars['partner']) == [-1, -1, 12, 11]
    np.testing.assert_allclose(stars['mass'].value, [1.0, 2.0, 4.0, 3.0])
    np.testing.assert_allclose(stars['radius'].value, [1.0, 2.0, 4.0, 4.0])
    np.testing.assert_allclose(stars['v_r'].value, UNITS.velocity * np.array([0.1, -0.1, 0.2, 0.2]))
    np.testing.assert_allclose(stars['v_t'].value, UNITS.velocity * np.array([0.5, 0.6, 0.3, 0.3]))
    np.testing.assert_allclose(stars['luminosity'].value, [1.0, 16.0, 1e-10, 80.0])
    np.testing.assert_allclose(stars['stellar_radius'].value, [1.0, 2.0, 2e-5, 2.5])
    assert list(stars['kind']) == [1, 1, 14, 1]
    assert len(Snapshot.read(path, at=1, max_radius=3 * u.pc)) == 2
    with pytest.raises(ValueError, match='metallicity must not be given, received 0.02'):
        Snapshot.read(path, at=1, metallicity=0.02)


def test_units_of_cmc(hdf5):
    path = cmc_file(hdf5, conversion=None)
    with pytest.raises(ValueError, match=r'units of .* are not known: .* ends in .conv.sh'):
        Snapshot.read(path, at=0)
    given = Snapshot.read(path, at=0, mass_unit=500 * u.Msun, length_unit=3 * u.pc)
    np.testing.assert_allclose(given.stars['radius'].value, [1.5, 3.0, 6.0, 6.0])
    path = cmc_file(hdf5, conversion='massunitmsun=5\n')
    with pytest.raises(ValueError, match='are not known'):
        Snapshot.read(path, at=0)


def test_times_of_cmc_in_code_units(hdf5):
    path = cmc_file(hdf5, keys=['0(t=0)', '1(t=2.5e-01)'])
    np.testing.assert_allclose(foreign.ages(path).to_value(u.Myr), [0.0, 10.0])
    times = foreign.ages(path, time_unit=8 * u.Myr)
    np.testing.assert_allclose(times.to_value(u.Myr), [0.0, 2.0])
    cmc_file(hdf5, keys=['0(t=0)', '1(t=0.25)'],
             conversion=CONVERSION.replace('timeunitsmyr', 'other'))
    with pytest.raises(ValueError, match='does not say its age'):
        Snapshot.read(path, at=1)


def cmc_initial(groups, *, pairs=True, attributes=True, index=1):
    def frame(name, columns):
        group = groups.create_group(name)
        group['block0_items'] = np.array([key.encode() for key in columns])
        group['block0_values'] = np.array(list(columns.values()), dtype=float).T
        return group
    stars = frame('CLUS_OBJ_DATA', {
        'id': [0, 1, 2, 0], 'k': [0, 1, 0, 0], 'm': [0, 0.4, 0.6, 0], 'Reff': [0, 1e-8, 3e-8, 0],
        'r': [1e-300, 0.5, 1.5, 1e40], 'vr': [0, 0.1, 0.2, 0], 'vt': [0, 0.3, 0.4, 0],
        'binind': [0, 0, index if pairs else 0, 0]})
    if attributes:
        stars['block0_values'].attrs['MCLUS'] = 10.0
        stars['block0_values'].attrs['RVIR'] = 2
    if pairs:
        frame('CLUS_BINARY_DATA', {
            'index': [0, 1], 'id1': [0, 2], 'k1': [0, 1], 'm1': [0, 0.35], 'Reff1': [0, 2e-8],
            'id2': [0, 7], 'k2': [0, 0], 'm2': [0, 0.25], 'Reff2': [0, 1e-8]})


def test_cmc_at_birth(hdf5):
    with hdf5() as groups:
        cmc_initial(groups)
    snapshot = Snapshot.read(hdf5.folder / 'file.h5', metallicity=0.02)
    stars = snapshot.stars
    assert snapshot.age == 0 * u.Gyr
    assert list(stars['id']) == [1, 2, 7] and list(stars['partner']) == [-1, 7, 2]
    np.testing.assert_allclose(stars['mass'].value, [4.0, 3.5, 2.5])
    np.testing.assert_allclose(stars['initial_mass'].value, [4.0, 3.5, 2.5])
    np.testing.assert_allclose(stars['radius'].value, [1.0, 3.0, 3.0])
    np.testing.assert_allclose(stars['v_r'][0].value, 0.1 * np.sqrt(G * 10.0 / 2.0))
    # the radii are those of the stellar evolution that was asked for
    assert 1.5 < stars['stellar_radius'][0].value < 3.5
    dark = Snapshot.read(hdf5.folder / 'file.h5')
    np.testing.assert_allclose(dark.stars['stellar_radius'].to_value(u.pc), [2e-8, 4e-8, 2e-8])


def test_cmc_at_birth_without_binaries_or_units(hdf5):
    with hdf5() as groups:
        cmc_initial(groups, pairs=False, attributes=False)
    path = hdf5.folder / 'file.h5'
    with pytest.raises(ValueError, match='does not say its units: give mass_unit and length_unit'):
        Snapshot.read(path)
    snapshot = Snapshot.read(path, mass_unit=10 * u.Msun, length_unit=1 * u.pc)
    assert len(snapshot) == 2 and np.all(snapshot.stars['partner'] == -1)


def test_a_damaged_file_of_cmc(hdf5):
    with hdf5() as groups:
        cmc_initial(groups, index=5)
    with pytest.raises(ValueError, match='a binary of CLUS_OBJ_DATA is not in CLUS_BINARY_DATA'):
        Snapshot.read(hdf5.folder / 'file.h5')


def test_other_files_are_not_of_cmc(hdf5):
    path = cmc_file(hdf5, table=np.zeros(3))
    with pytest.raises(ValueError, match=r'0\(t=0Gyr\) has no binflag, id, luminosity_LSUN'):
        Snapshot.read(path, at=0)
    with hdf5() as groups:
        groups['0'] = np.zeros(3)
    with pytest.raises(ValueError, match='must have CLUS_OBJ_DATA or tables named'):
        Snapshot.read(hdf5.folder / 'file.h5', format='cmc')


def test_hdf5_cut_short(hdf5, write):
    path = cmc_file(hdf5)
    cut = write(path.read_bytes()[:-500], 'cut.h5')
    for format in ('cmc', None):
        with pytest.raises(ValueError, match='cut.h5 .*damaged or cut short'):
            Snapshot.read(cut, format=format, at=0)
    with pytest.raises(ValueError, match='not an HDF5 file, or its beginning is lost'):
        Snapshot.read(write(path.read_bytes()[5:], 'tail.h5'), format='cmc')


def test_without_h5py(hdf5, monkeypatch):
    path = cmc_file(hdf5)
    monkeypatch.setitem(sys.modules, 'h5py', None)
    with pytest.raises(ImportError, match="HDF5 files need h5py: .* the extra 'all'"):
        Snapshot.read(path, at=0)


# -- AMUSE ----------------------------------------------------------------------------------------

BASE = "system.get('S.I.').base('{}')"
AMUSE_UNITS = {'mass': BASE.format('mass'), 'x': BASE.format('length'),
               'y': f"(0.5 * {BASE.format('length')} / 0.5)",
               'vx': f"(1000.0 * {BASE.format('length')} * ({BASE.format('time')}**-1))"}


def amuse_file(hdf5, **changes):
    """One set of stars; a change of a unit, or None to take the column away."""
    with hdf5() as groups:
        attributes = groups.create_group('particles/0000000001/attributes')
        if 'gas' in changes:
            gas = groups.create_group('particles/0000000002/attributes')
            gas['u'], gas['name'] = np.ones(4), np.array([b'gas'] * 4)
        for number, name in enumerate(('x', 'y', 'z', 'vx', 'vy', 'vz', 'mass')):
            unit = AMUSE_UNITS.get(name, AMUSE_UNITS['vx' if name[0] == 'v' else 'x'])
            unit = changes.get(name, unit)
            if unit is None:
                continue
            scale = {'mass': 2e30, 'vx': 1.0, 'vy': 1.0, 'vz': 1.0}.get(name, 3e16)
            attributes[name] = scale * (1.0 + number + np.arange(10.0))
            attributes[name].attrs['units'] = unit
    return hdf5.folder / 'file.h5'


def test_amuse(hdf5):
    snapshot = Snapshot.read(amuse_file(hdf5), age=5 * u.Myr, center='origin')
    stars = snapshot.stars
    assert snapshot.meta['SRCFMT'] == 'amuse' and list(stars['id']) == list(range(10))
    np.testing.assert_allclose(stars['x'].to_value(u.m), 3e16 * (1.0 + np.arange(10.0)))
    np.testing.assert_allclose(stars['vx'].value, 4.0 + np.arange(10.0))
    np.testing.assert_allclose(stars['mass'].to_value(u.kg), 2e30 * (7.0 + np.arange(10.0)))


@pytest.mark.parametrize(('changes', 'message'), [
    ({'y': None}, 'is not a star cluster: its particles have no y'),
    ({'mass': BASE.format('length')}, 'mass in .* must be in SI units that fit it'),
    ({'mass': '__import__("os").getcwd()'}, 'mass in .* must be in SI units'),
    ({'mass': 'generic_unit_system.mass'}, 'mass in .* must be in SI units'),
    ({'mass': ''}, "mass in .* must be in SI units that fit it, received ''")])
def test_other_amuse_files(hdf5, changes, message):
    with pytest.raises(ValueError, match=message):
        Snapshot.read(amuse_file(hdf5, **changes), age=1 * u.Myr)


def test_sets_of_amuse(hdf5):
    path = amuse_file(hdf5)
    with pytest.raises(ValueError, match=r'number of a set .*\(1: 10 particles\), received 2'):
        Snapshot.read(path, age=1 * u.Myr, particles=2)
    path = amuse_file(hdf5, gas=True)
    with pytest.raises(ValueError, match=r'2 sets .*\(1: 10 particles; 2: 4 particles named gas\), '
                                         'and gas is not stars: choose one'):
        Snapshot.read(path, age=1 * u.Myr)
    with pytest.raises(ValueError, match='must be a set of stars, received 2 .* it has u$'):
        Snapshot.read(path, age=1 * u.Myr, particles=2)
    assert len(Snapshot.read(path, age=1 * u.Myr, particles=1)) == 10
    with hdf5('empty.h5') as groups:
        groups['0'] = np.zeros(3)
    with pytest.raises(ValueError, match='is not an AMUSE file: it has no group particles'):
        Snapshot.read(hdf5.folder / 'empty.h5', format='amuse')


# -- tables ---------------------------------------------------------------------------------------


def star_table():
    mass, place, velocity, names = cluster(10)
    return QTable({
        'Name': names, 'x': place[:, 0] * u.kpc / 1000, 'y': place[:, 1] * u.pc,
        'z': place[:, 2] * u.pc, 'vx': velocity[:, 0] * u.m / u.s * 1000,
        'vy': velocity[:, 1] * KMS, 'vz': velocity[:, 2] * KMS, 'm': 10.0 * mass * u.Msun,
        'Lum': mass * u.Lsun, 'Teff': np.full(10, 5000.0) * u.K, 'KSTAR': np.ones(10),
        'colour': np.ones(10)})


@pytest.mark.parametrize('ending', ['ecsv', 'fits', 'hdf5', 'csv'])
def test_tables(tmp_path, ending):
    if ending == 'hdf5':
        pytest.importorskip('h5py')
    table = star_table()
    path = tmp_path / f'stars.{ending}'
    options, units = {'format': 'table'} if ending == 'fits' else {}, {}
    if ending == 'csv':
        table = Table(table)
        units = {'x': 'kpc', 'y': 'pc', 'z': u.pc, 'vx': 'm/s', 'vy': 'km/s', 'vz': 'km/s',
                 'mass': 'solMass', 'luminosity': 'solLum', 'temperature': 'K'}
        options['units'] = units
        table.write(path, format='ascii.csv')
    elif ending == 'hdf5':
        Table(table).write(path, path='stars', serialize_meta=True)
    else:
        table.write(path)
    snapshot = Snapshot.read(path, age=12 * u.Gyr, **options)
    mass, place, velocity, names = cluster(10)
    stars = snapshot.stars
    assert snapshot.meta == {'SRCFMT': 'table', 'SRCINDEX': 0, 'CENTRE': 'origin',
                             'LIGHTSRC': 'file'}
    np.testing.assert_array_equal(stars['id'], names)
    np.testing.assert_allclose(stars['mass'].value, 10.0 * mass)
    np.testing.assert_allclose(values(snapshot, *'xyz'), place)
    np.testing.assert_allclose(values(snapshot, 'vx', 'vy', 'vz'), velocity)
    assert set(stars['kind']) == {1}


def test_a_table_can_know_its_age_and_have_names_of_its_own(tmp_path):
    table = star_table()
    table.meta['age'] = 3 * u.Gyr
    table.rename_column('m', 'M_star')
    table.write(tmp_path / 'stars.ecsv')
    snapshot = Snapshot.read(tmp_path / 'stars.ecsv', columns={'mass': 'M_star'}, center='density')
    assert snapshot.age == 3 * u.Gyr and snapshot.meta['CENTRE'] == 'density'


def test_the_density_center_is_where_the_stars_are(tmp_path):
    rng = np.random.default_rng(3)
    place = np.vstack([rng.normal(size=(300, 3)), rng.uniform(-60, 60, size=(40, 3))])
    place += [5.0, 0.0, -7.0]
    table = QTable({name: place[:, axis] * u.pc for axis, name in enumerate('xyz')})
    table['mass'] = np.ones(340) * u.Msun
    table.write(tmp_path / 'stars.ecsv')
    moved = Snapshot.read(tmp_path / 'stars.ecsv', age=1 * u.Gyr, center='density')
    np.testing.assert_allclose(place[0] - values(moved, *'xyz')[0], [5.0, 0.0, -7.0], atol=0.3)
    few = table[:4]
    few.write(tmp_path / 'few.ecsv')
    moved = Snapshot.read(tmp_path / 'few.ecsv', age=1 * u.Gyr, center='density')
    np.testing.assert_allclose(values(moved, *'xyz').mean(axis=0), 0.0, atol=1e-12)


def test_partners_of_a_table_without_names(tmp_path):
    table = QTable({'r': [1.0, 5.0, 5.0] * u.pc, 'vr': [0.0] * 3 * KMS, 'vt': [1.0] * 3 * KMS,
                    'mass': [0.0, 1.0, 2.0] * u.Msun, 'partner': [-1, 2, 1]})
    table.write(tmp_path / 'stars.ecsv')
    stars = Snapshot.read(tmp_path / 'stars.ecsv', age=1 * u.Gyr).stars
    assert list(stars['id']) == [1, 2] and list(stars['partner']) == [2, 1]


@pytest.mark.parametrize(('change', 'options', 'message'), [
    (lambda t: t.rename_column('m', 'M_star'), {}, 'is not a table of stars: it must have mass'),
    (lambda t: t.remove_column('x'), {}, 'it must have mass and x, y, z or radius'),
    (lambda t: t.remove_column('y'), {}, 'it must have mass and x, y, z or radius'),
    (lambda t: t.remove_column('vy'), {}, 'does not hold a valid snapshot: .* vy not found'),
    (lambda t: t.add_column(t['m'], name='MASS'), {}, "two columns for mass, 'm' and 'MASS'"),
    (lambda t: t.replace_column('m', t['m'].value), {},
     r"columns of .* must have units, received none of 'm': give them, such as units={'mass': 'solMass'}"),
    (lambda t: [t.replace_column(name, t[name].value) for name in 'xmz'], {},
     r"none of .*'x', 'z', 'm'.*: give them, such as units=.*'x': 'pc', 'z': 'pc', 'mass': 'solMass'}"),
    (lambda t: t.replace_column('m', t['m'].value * u.pc), {},
     "the column 'm' of .* must have a unit that converts to solMass, received 'pc'"),
    (lambda t: t.replace_column('Name', t['Name'] + 0.5), {}, "'Name' of .* must be whole numbers"),
    (lambda t: None, {'columns': {'colour': 'colour'}}, "must give names of id, .*'colour'"),
    (lambda t: None, {'columns': {'mass': 'M'}}, "must name columns of .*, received 'M'"),
    (lambda t: None, {'units': {'initial_mass': 'kg'}}, "units must be of columns that are in"),
    (lambda t: None, {'table_format': 'nonsense'}, 'cannot be read as a table')])
def test_tables_that_are_refused(tmp_path, change, options, message):
    table = star_table()
    change(table)
    table.write(tmp_path / 'stars.ecsv')
    with pytest.raises(ValueError, match=message):
        Snapshot.read(tmp_path / 'stars.ecsv', age=1 * u.Gyr, **options)


def test_missing_values(write):
    path = write('x,y,z,mass\n1,2,3,1\n1,2,,1\n', 'stars.csv')
    units = {'x': 'pc', 'y': 'pc', 'z': 'pc', 'mass': 'solMass'}
    with pytest.raises(ValueError, match="'z' of .* must be complete, received 1 missing values"):
        Snapshot.read(path, age=1 * u.Gyr, units=units)


def test_several_tables_in_one_file(hdf5):
    with hdf5() as groups:
        groups['one'] = groups['two'] = np.zeros(3, dtype=[('x', 'f8')])
    with pytest.raises(ValueError, match='cannot be read as a table: .*multiple tables'):
        Snapshot.read(hdf5.folder / 'file.h5')


def test_a_file_of_a_galaxy(hdf5):
    with hdf5() as groups:
        groups.create_group('PartType0')
        groups.create_group('PartType4')
    with pytest.raises(ValueError, match='not a star cluster: PartType0, PartType4 are those of G'):
        Snapshot.read(hdf5.folder / 'file.h5')


def test_a_table_that_is_gone(tmp_path):
    path = tmp_path / 'gone.ecsv'
    with pytest.raises(FileNotFoundError):
        Snapshot.read(path, format='table')
    with pytest.raises(FileNotFoundError):
        foreign._read_table(str(path), None, {})


def test_numbers_that_are_too_large(tmp_path):
    (tmp_path / 'stars.csv').write_text('x,y,z,mass\n1,2,3,1\n1e999,2,3,1\n')
    with pytest.raises(ValueError, match='stars.csv cannot be read as a table: OverflowError .* in column x'):
        Snapshot.read(tmp_path / 'stars.csv', age=1 * u.Gyr)


@pytest.mark.parametrize('mark', ['', '# '])
def test_a_text_with_names_is_a_table(tmp_path, mark):
    """Whatever its columns are, if they have a mass and a place; the command needs no format."""
    path = tmp_path / 'stars.txt'
    path.write_text(f'{mark}r vr vt m\n1.5 2 3 0.8\n2.5 1 0 0.4\n')
    units = {'radius': 'pc', 'v_r': 'km/s', 'v_t': 'km/s', 'mass': 'solMass'}
    stars = Snapshot.read(path, age=1 * u.Gyr, units=units).stars
    np.testing.assert_allclose(stars['radius'].value, [1.5, 2.5])
    np.testing.assert_allclose(stars['mass'].value, [0.8, 0.4])


def test_luminosities_without_temperatures_are_replaced(tmp_path):
    """They give no V light, and may not stand in the way of those that do."""
    path = tmp_path / 'stars.csv'
    units = {'x': 'pc', 'y': 'pc', 'z': 'pc', 'mass': 'solMass', 'luminosity': 'solLum'}
    path.write_text('x,y,z,mass,lum\n0,0,1,0.8,123\n0,1,0,0.5,456\n')
    options = {'age': 5 * u.Gyr, 'units': units}
    dark = Snapshot.read(path, **options)
    with pytest.raises(ValueError, match='needs .* temperature or stellar_radius, .* or metallicity= when'):
        _ = dark.v_luminosity
    own = Snapshot.read(path, metallicity=0.001, initial='mass', **options)
    path.write_text('x,y,z,mass\n0,0,1,0.8\n0,1,0,0.5\n')
    units.pop('luminosity')
    without = Snapshot.read(path, metallicity=0.001, initial='mass', **options)
    assert own.meta['LIGHTSRC'] == 'pidoc'
    np.testing.assert_array_equal(own.stars['luminosity'], without.stars['luminosity'])
