"""One law a test, over every class of the registry."""

import numpy as np
import pytest
from hypothesis import given, settings

from manualbp import BatchNorm1d, Linear, MaxPool2d, MaxUnpool2d, PoissonNLLLoss, Sequential
from manualbp.base import flatten, registry
from reference import laws
from reference.compare.slopes import derivatives
from reference.draw.case import Case
from reference.draw.strategies import cases, networks
from reference.twin.layers import from_torch, to_torch

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


@pytest.mark.parametrize("cls", CLASSES)
def test_buffers_are_those_of_torch(cls):
    @settings(max_examples=8)
    @given(cases(cls))
    def same(case):
        params, twin = flatten(case.data()[0]), to_torch(case.layer)
        learned = dict(twin.named_parameters()).keys()
        assert params.keys() & case.layer.buffer_names() == twin.state_dict().keys() - learned
        assert params.keys() - case.layer.buffer_names() == learned

    same()


class WithoutInputs(Linear):
    def backward(self, params, cache, dy):
        return None, super().backward(params, cache, dy)[1]


class WithoutBias(Linear):
    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return dx, {"weight": grads["weight"]}


class Undeclared(BatchNorm1d):
    buffers = ()


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (WithoutInputs(2, 3), "x has no gradient"),
        (WithoutBias(2, 3), r"dp has \['weight'\], and there are \['weight', 'bias'\]"),
        (Sequential(Linear(2, 2), WithoutBias(2, 3)), "dp has .*, and there are .*'1.bias'"),
        (Undeclared(2), "dp has .*, and there are .*'running_mean'"),
    ],
    ids=str,
)
def test_a_gradient_that_is_missing_breaks_the_law_of_shapes(layer, told):
    with pytest.raises(AssertionError, match=told):
        laws.check_shapes(Case(layer, (4, 2)))


def test_a_twin_inside_a_network_keeps_what_it_is_called_with():
    net = Sequential(
        MaxPool2d(2, padding=(0, 1), return_indices=True), MaxUnpool2d(2, padding=(0, 1), output_size=(2, 1))
    )
    assert from_torch(to_torch(net))[0] == net
