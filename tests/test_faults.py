"""The tests are tested: each classic mistake, put into a layer, is seen by a generic law on random cases."""

import ast
import re
from pathlib import Path

import pytest

import reference.diagnose
from manualbp.activation import Tanh
from manualbp.base import registry
from manualbp.container import Repeat, Sequential
from manualbp.linear import Linear
from manualbp.optim import Optimizer
from reference import laws
from reference.audit import detected
from reference.audit.detected import examples, holds, pairs, runs
from reference.draw.case import Case
from reference.faults import KNOWN, LEFT_OUT, corrupt, faults, right

MOST = 200  # random cases until a mistake must have been seen

# Every entry of the catalogue but those of optimizers (H), which test_optim_faults.py has.
NUMBERS = {
    "A": (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 18, 20, 22, 23, 24),
    "B": (1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 17, 18, 19, 20),
    "C": (2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 15, 17, 18, 19, 20),
    "D": (1, 2, 3, 4, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19, 20, 21),
    "E": (1, 2, 3, 4, 6, 8, 10, 11, 12, 13, 15, 16, 17, 18, 20, 21, 22, *range(23, 45)),
    "F": (1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 15, 16),
    "J": range(1, 19),
    "G": (1, 2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 22, 23, *range(24, 32)),
    "T": tuple(range(1, 14)),
    "P": tuple(range(1, 11)),
}
CATALOGUE = {f"{letter}{n:02}" for letter, numbers in NUMBERS.items() for n in numbers}

pytestmark = pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")  # an empty tail cluster


FAULTS = [f for f in faults().values() if not f.id.startswith("H")]


def test_the_catalogue_is_complete():
    found, left_out = {f.id.split(".")[0] for f in FAULTS}, {id for id in LEFT_OUT if not id.startswith("H")}
    assert found | left_out == CATALOGUE
    assert not found & left_out
    assert len(found) >= 75


@pytest.mark.parametrize("fault", KNOWN.values(), ids=KNOWN.keys())
def test_an_entry_says_what_it_is(fault):
    for text in (fault.text, fault.relation, fault.remedy, fault.needs):
        assert text
    assert hasattr(laws, fault.law)
    assert fault.classes(), f"no class has the mistake {fault.id}"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.id)
def test_a_mistake_is_seen_and_the_right_layer_passes(fault):
    for name in fault.classes():
        seen(fault, name)


def seen(fault, name):
    """The law holds for the right layer on every case until it is broken by the faulty one."""
    if name in registry(Optimizer):
        assert detected.row(fault, MOST, name).detected
        return
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
    for layer in (wrong.layers[0], wrong.layers[1].body.layers[1]):
        assert isinstance(layer, Linear)
        assert type(layer) is not Linear
    assert type(wrong.layers[1].body.layers[0]) is Tanh
    assert right(wrong.layers[0]) == net.layers[0]
    assert registry()["Linear"] is Linear  # a faulty class does not enter the registry


def test_a_mistake_prints_as_the_layer_that_it_is_made_in():
    for fault in FAULTS:
        for name in fault.classes().keys() & registry():
            case = next(iter(examples(fault.on or name, 1)))
            assert repr(corrupt(case.layer, fault)) == repr(case.layer)


def test_the_matrix_has_a_column_for_every_check_and_shows_what_sees_a_mistake():
    row = detected.row(faults()["B01"], count=40)
    assert row.detected
    assert row.seen["reals"]
    assert row.seen["differences"]
    assert row.seen["dtype"] is None
    assert row.seen["shapes"] is None
    (cells,) = zip(*(column.cells for column in detected.table([row]).columns), strict=True)
    assert cells[:2] == ("B01", "Linear")
    assert "·" in cells


def test_the_right_layer_is_never_called_faulty():
    for name in ("Linear", "LayerNorm"):
        for case in examples(name, 20):
            assert all(check(case) for check in detected.CHECKS.values())


def test_a_mistake_that_a_diagnosis_names_is_a_class_of_the_catalogue():
    for path in Path(reference.diagnose.__file__).parent.rglob("*.py"):
        texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        ids = {text for text in texts if isinstance(text, str) and re.fullmatch(r"[A-HT]\d\d(\.\w+)?", text)}
        assert not ids - KNOWN.keys(), path


def test_a_crash_is_not_seen_by_a_check_but_writing_to_an_argument_is():
    class Crashes(Linear):
        def backward(self, params, cache, dy):
            raise ValueError("cannot reshape array")

    class WritesToDy(Linear):
        def backward(self, params, cache, dy):
            dx, grads = super().backward(params, cache, dy)
            dy *= 0
            return dx, grads

    crashes, writes = (Case(cls(2, 3), (4, 2)) for cls in (Crashes, WritesToDy))
    assert all(check(crashes) for check in detected.CHECKS.values())
    assert not detected.CHECKS["pure"](writes)
