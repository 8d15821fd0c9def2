"""One law a test, over every class of the registry."""

import numpy as np
import pytest
from hypothesis import given, settings

from manualbp import PoissonNLLLoss
from manualbp.base import registry
from reference import laws
from reference.compare.slopes import derivatives
from reference.draw.strategies import cases, networks

CLASSES = [pytest.param(cls, id=name) for name, cls in registry().items()]


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__.removeprefix("check_"))
def test_law(law, cls):
    laws.on_examples(cls, law, settings().max_examples)


@pytest.mark.parametrize("cls", CLASSES)
def test_equals_torch_in_float32(cls):
    laws.on_examples(cls, laws.check_equals_torch, settings().max_examples, "float32")


@given(networks())
def test_random_networks_equal_torch(case):
    laws.check_equals_torch(case)


@given(networks(exact=False))
def test_random_networks_equal_differences(case):
    laws.check_equals_differences(case)


@given(cases(registry()["Linear"]))
def test_a_case_is_rebuilt_by_its_text(case):
    from reference.draw.expression import parse

    assert parse(repr(case)) == case


def test_a_gradient_beyond_double_precision_is_no_fault_of_backward():
    x = np.array([800.0, 0.5]), np.array([1.0, 2.0])
    found = derivatives(PoissonNLLLoss(reduction="sum"), {}, x, np.array(1.5))
    assert [str(d.name) for d in found] == ["dx[1]"]
    assert all(d.ok for d in found)
