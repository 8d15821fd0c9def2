"""Every class of torch.nn is here or on the list of what is not yet, with its reason."""

import inspect

import pytest
from torch import nn

from manualbp.base import options_of, registry

CONTAINERS = "holds modules or parameters, computes nothing"
LATER = "not written yet"
EXCLUDED = {
    "Module": CONTAINERS,
    "Container": CONTAINERS,
    "ModuleList": CONTAINERS,
    "ModuleDict": CONTAINERS,
    "ParameterList": CONTAINERS,
    "ParameterDict": CONTAINERS,
    "Parameter": CONTAINERS,
}


def torch_classes():
    return {n for n, c in vars(nn).items() if inspect.isclass(c) and issubclass(c, nn.Module)}


def test_every_class_of_torch_is_covered_or_excluded_with_a_reason():
    assert torch_classes() - registry().keys() - EXCLUDED.keys() == set()


def test_no_exclusion_is_out_of_date():
    assert EXCLUDED.keys() & registry().keys() == set()


@pytest.mark.parametrize("name", sorted(registry().keys() & torch_classes()))
def test_options_are_those_of_torch_in_name_order_and_default(name):
    cls, twin = registry()[name], getattr(nn, name)
    if cls.variadic or "args" in inspect.signature(twin.__init__).parameters:
        pytest.skip("made from *args: torch has no names to compare")
    dropped = {"self", "device", "dtype", "inplace", "size_average", "reduce"}
    given = {n: p.default for n, p in inspect.signature(twin.__init__).parameters.items() if n not in dropped}
    ours = {n: p.default for n, p in inspect.signature(cls).parameters.items()}
    assert list(ours)[: len(given)] == list(given)
    assert {n: ours[n] for n in given} == given
    assert options_of
