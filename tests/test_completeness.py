"""Every class of torch.nn is here or on the list of what is not yet, with its reason."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

from manualbp.base import registry
from reference.twin.layers import RENAMED, from_torch


def listed(reason, names):
    return dict.fromkeys(names.split(), reason)


EXCLUDED = (
    listed(
        "holds modules or parameters, computes nothing",
        "Module Container ModuleList ModuleDict ParameterList ParameterDict",
    )
    | listed("a base class of torch's own", "RNNBase RNNCellBase")
    | listed("another name of NLLLoss, deprecated in torch", "NLLLoss2d")
    | listed("spreads a module over processes; its numbers are those of what it spreads", "DataParallel")
    | listed(
        "becomes its namesake at the first call: sizes are options here, and no layer changes",
        "LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d LazyConv1d LazyConv2d LazyConv3d LazyConvTranspose1d "
        "LazyConvTranspose2d LazyConvTranspose3d LazyInstanceNorm1d LazyInstanceNorm2d LazyInstanceNorm3d LazyLinear",
    )
)


def torch_classes():
    return {n for n, c in vars(nn).items() if inspect.isclass(c) and issubclass(c, nn.Module)}


def test_every_class_of_torch_is_covered_or_excluded_with_a_reason():
    assert torch_classes() - registry().keys() - EXCLUDED.keys() == set()


def test_no_exclusion_is_out_of_date():
    assert EXCLUDED.keys() & registry().keys() == set()


def _by_name(default):
    """torch's default activation is a function, here it is the name that torch takes too."""
    return default.__name__ if inspect.isfunction(default) else default


@pytest.mark.parametrize("name", sorted(registry().keys() & torch_classes()))
def test_options_are_those_of_torch_in_name_order_and_default(name):
    cls, twin = registry()[name], getattr(nn, name)
    if cls.variadic or "args" in inspect.signature(twin.__init__).parameters:
        pytest.skip("made from *args: torch has no names to compare")
    dropped = {"self", "device", "dtype", "inplace", "size_average", "reduce", "_weight", "_freeze", "options"}
    dropped |= {"_random_samples"}  # of FractionalMaxPool: numbers drawn, here by the Generator that forward is given
    dropped |= {"min_value", "max_value"}  # of Hardtanh, deprecated in torch
    dropped |= {"enable_nested_tensor", "mask_check"}  # of TransformerEncoder: they choose how, and change no number
    dropped |= {"process_group"}  # of SyncBatchNorm, here on one process
    given = {n: _by_name(p.default) for n, p in inspect.signature(twin.__init__).parameters.items() if n not in dropped}
    ours = {RENAMED.get((name, n), n): p.default for n, p in inspect.signature(cls).parameters.items()}
    assert list(ours)[: len(given)] == list(given)
    assert {n: ours[n] for n in given} == given


LAZY = [n for n in sorted(torch_classes()) if n.startswith("Lazy") and n.removeprefix("Lazy") in registry()]


@pytest.mark.parametrize("name", LAZY)
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
def test_a_lazy_module_is_what_it_becomes_at_the_first_call(name):
    of_linear = name == "LazyLinear"
    module = getattr(nn, name)(*[3] * of_linear) if "Norm" in name or of_linear else getattr(nn, name)(3, 2)
    with pytest.raises(TypeError, match=r"call it once"):
        from_torch(module)
    rank = 2 if of_linear else 2 + int(name[-2])
    x = torch.rand((2, 4, 5, 5, 5)[:rank])
    y = module(x)
    layer, params = from_torch(module)
    assert type(layer).__name__ == name.removeprefix("Lazy")
    assert np.allclose(layer.forward(params, x.numpy())[0], y.detach().numpy(), atol=1e-5)
