"""`verify` and `check_layer` are one engine: on the same numbers they say the same of every class, right or wrong."""

import pytest

from manualbp import Embedding
from manualbp.base import registry
from reference.check import on_case
from reference.compare.comparison import compare
from reference.draw import architectures
from reference.draw.case import Case
from reference.faults import corrupt, faults
from reference.sides.hand import Hand
from reference.sides.module import twin_of
from reference.twin.conventions import as_in

GOOD = ("identical", "rounding", "vacuous")


def cases(cls, count=2):
    """Real numbers, and small integers."""
    drawn = (architectures.case_of(architectures.Drawn((11, i)), cls, i % 2 == 1) for i in range(4 * count))
    return [case for case in drawn if case is not None][:count]


def by_both(case, layer):
    """What `verify` finds wrong, and the report of `check_layer`."""
    found = compare(Hand(as_in(layer), case.seed), twin_of(case.layer, case.seed), case.trial())
    return found.wrong, on_case(case, layer, torch=twin_of(case.layer, case.seed))


@pytest.mark.parametrize("cls", registry().values(), ids=lambda cls: cls.__name__)
def test_right_layers(cls):
    for case in cases(cls):
        wrong, report = by_both(case, case.layer)
        assert not wrong
        assert report.verdict in GOOD, report


@pytest.mark.parametrize("fault", faults().values(), ids=lambda fault: fault.id)
def test_wrong_layers(fault):
    for case in cases(registry().get(next(iter(fault.classes())), registry()["Linear"])):
        wrong, report = by_both(case, corrupt(case.layer, fault))
        if not report.contracts:  # of what is kept from call to call `verify` knows nothing
            assert bool(wrong) == (report.verdict not in GOOD), report


def test_a_derivative_where_torch_means_another_gradient_is_wrong():
    """The gradient of a padding row is 0 on purpose, so that it is torch's does not make torch wrong."""
    case = Case(Embedding(2, 4, padding_idx=1), (9,), seed=2)
    report = on_case(case, corrupt(case.layer, faults()["F02"]), torch=twin_of(case.layer))
    assert report.verdict == "wrong"
    assert report.wrong_side == "backward"
