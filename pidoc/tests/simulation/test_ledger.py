# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
import numpy as np
import pytest

from pidoc.simulation.ledger import ENERGY_CHANNELS, Ledger, LedgerError, MASS_CHANNELS


@pytest.fixture
def ledger():
    book = Ledger(2.0, -0.5)
    book.mass['tide'] -= 0.25
    book.mass['stellar_evolution'] -= 0.5
    book.energy['binaries'] += 0.1
    book.energy['numerical'] += 0.003
    return book


def test_errors_are_what_the_physical_channels_do_not_explain(ledger):
    assert ledger.mass_error(1.25) == 0.0
    assert ledger.mass_error(1.27) == pytest.approx(0.01)
    assert ledger.energy_error(-0.4) == pytest.approx(0.0)
    assert ledger.energy_error(-0.397) == pytest.approx(0.006)


def test_check_names_the_book_and_the_gap(ledger):
    ledger.check(1.25, -0.397, tolerance=0.01)
    with pytest.raises(LedgerError, match='mass ledger must close to 0.01 of the initial mass, '
                                          'received a gap of 0.025'):
        ledger.check(1.3, -0.4, tolerance=0.01)
    with pytest.raises(LedgerError, match='the energy ledger .* a gap of 0.2'):
        ledger.check(1.25, -0.3, tolerance=0.01)
    with pytest.raises(LedgerError, match='received a gap of nan'):
        ledger.check(np.nan, -0.4, tolerance=0.01)


def test_array_round_trip(ledger):
    values = ledger.to_array()
    assert values.size == 2 + len(MASS_CHANNELS) + len(ENERGY_CHANNELS)
    again = Ledger.from_array(values)
    assert (again.mass, again.energy) == (ledger.mass, ledger.energy)
    assert again.initial_energy == -0.5


def test_errors_do_not_depend_on_the_type_of_the_numbers():
    """Those of a resumed run are plain floats, whose `sum` Python rounds in another way since 3.12."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        of_numpy = Ledger(1.0, -0.25)
        of_numpy.mass = dict(zip(MASS_CHANNELS, rng.normal(size=len(MASS_CHANNELS)), strict=True))
        of_numpy.energy = dict(zip(ENERGY_CHANNELS, rng.normal(size=len(ENERGY_CHANNELS)), strict=True))
        plain = Ledger.from_array([float(value) for value in of_numpy.to_array()])
        assert plain.mass_error(1.0) == of_numpy.mass_error(1.0)
        assert plain.energy_error(-0.2) == of_numpy.energy_error(-0.2)
