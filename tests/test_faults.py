"""The tests are tested: each classic mistake, put into a layer, is seen by a generic law on random cases."""

import pytest
import torch

from manualbp.activation import Tanh
from manualbp.base import registry
from manualbp.container import Repeat, Sequential
from manualbp.linear import Linear
from reference import kill, laws
from reference.faults import KNOWN, LEFT_OUT, corrupt, faults, right
from reference.kill import examples, holds, pairs, runs

MOST = 200  # random cases until a mistake must have been seen

# Every entry of the catalogue but those of optimizers (H).
CATALOGUE = ["A01", "A02", "A03", "A04", "A05", "A06", "A07", "A09", "A10", "A11", "A12", "A14", "A15", "A16", "A18", "A20", "A22", "A23", "B01", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B14", "B15", "B17", "C02", "C03", "C04", "C05", "C07", "C08", "C09", "C10", "C11", "C12", "C13", "C15", "C17", "C18", "C19", "C20", "D01", "D02", "D03", "D04", "D06", "D07", "D09", "D10", "D11", "D13", "D14", "D15", "D17", "D18", "E01", "E02", "E03", "E04", "E06", "E08", "E10", "E11", "E12", "E13", "E15", "E16", "E17", "E18", "E20", "F01", "F02", "F04", "F05", "F06", "F08", "F09", "F10", "F11", "F12", "F13", "F15", "F16", "G01", "G02", "G03", "G04", "G05", "G07", "G08", "G10", "G11", "G12", "G13", "G14", "G15", "G17", "G18", "G19"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


def of_layers():
    return [f for f in faults().values() if not f.id.startswith("H")]


def test_the_catalogue_is_complete():
    found = {id.split(".")[0] for id in KNOWN if not id.startswith("H")}
    assert found | set(LEFT_OUT) == set(CATALOGUE)
    assert not found & set(LEFT_OUT)
    assert len(found) >= 75


@pytest.mark.parametrize("fault", KNOWN.values(), ids=KNOWN.keys())
def test_an_entry_says_what_it_is(fault):
    for text in (fault.text, fault.relation, fault.remedy, fault.needs):
        assert text
    assert hasattr(laws, fault.law)
    assert fault.id.startswith("H") or fault.classes(), f"no class has the mistake {fault.id}"


@pytest.mark.parametrize("fault", of_layers(), ids=lambda f: f.id)
def test_a_mistake_is_seen_and_the_right_layer_passes(fault):
    for name in fault.classes():
        seen(fault, name)


def seen(fault, name):
    """The law holds for the right layer on every case until it is broken by the faulty one."""
    law = getattr(laws, fault.law)
    for case, faulty in pairs(fault, MOST, name):
        law(case)
        assert runs(faulty)
        if not holds(law, faulty):
            return
    pytest.fail(f"{fault} was not seen in {MOST} cases of {name}; it needs: {fault.needs}")


def test_a_mistake_stands_in_every_layer_that_can_have_it_however_deep():
    net = Sequential(Linear(2, 2), Repeat(Sequential(Tanh(), Linear(2, 2))))
    wrong = corrupt(net, faults()["B01"])
    assert repr(wrong) == repr(net)
    assert wrong != net
    assert all(
        type(f) is not Linear and type(f).__mro__[2] is Linear
        for f in (wrong.layers[0], wrong.layers[1].body.layers[1])
    )
    assert type(wrong.layers[1].body.layers[0]) is Tanh
    assert right(wrong.layers[0]) == net.layers[0]
    assert registry()["Linear"] is Linear  # a faulty class does not enter the registry


def test_a_mistake_prints_as_the_layer_that_it_is_made_in():
    for fault in of_layers():
        for name in fault.classes():
            case = next(iter(examples(fault.on or name, 1)))
            assert repr(corrupt(case.layer, fault)) == repr(case.layer)


def test_the_matrix_has_a_column_for_every_check_and_shows_what_sees_a_mistake():
    row = kill.row(faults()["B01"], count=20)
    assert row.detected
    assert row.seen["exact, =="]
    assert row.seen["differences"]
    assert row.seen["dtype"] is None
    assert row.seen["shapes"] is None
    (cells,) = zip(*(column.cells for column in kill.table([row]).columns), strict=True)
    assert cells[:2] == ("B01", "Linear")
    assert "·" in cells


def test_the_right_layer_is_never_called_faulty():
    for name in ("Linear", "LayerNorm"):
        for case in examples(name, 20):
            assert all(check(case) for check in kill.CHECKS.values())
