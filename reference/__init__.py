"""The same in torch.nn, where autograd supplies the truth, and everything that compares the two.

from reference import check_function, check_gradients, check_layer        your own gradient, checked
from reference import to_torch, from_torch                                a layer and its torch twin
from reference import networks, cases, layers                              random networks for your own tests
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .check import check_function as check_function
    from .check import check_gradients as check_gradients
    from .check import check_layer as check_layer
    from .check import check_optimizer as check_optimizer
    from .check import check_pointwise as check_pointwise
    from .compare.comparison import compare_passes as compare_passes
    from .declared import gradient_of as gradient_of
    from .draw.case import Case as Case
    from .draw.specs import SPD as SPD
    from .draw.specs import Between as Between
    from .draw.specs import Complex as Complex
    from .draw.specs import Constant as Constant
    from .draw.specs import Indices as Indices
    from .draw.specs import OneHot as OneHot
    from .draw.specs import Orthogonal as Orthogonal
    from .draw.specs import Positive as Positive
    from .draw.specs import Probabilities as Probabilities
    from .draw.specs import Sorted as Sorted
    from .draw.strategies import cases as cases
    from .draw.strategies import layers as layers
    from .draw.strategies import networks as networks
    from .golden.record import record as record
    from .golden.replay import replay as replay
    from .laws import LAWS as LAWS
    from .laws import OF_TORCH as OF_TORCH
    from .laws import check_laws as check_laws
    from .laws import on_examples as on_examples
    from .models import check_model as check_model
    from .report.report import Report as Report
    from .twin.layers import from_torch as from_torch
    from .twin.layers import to_torch as to_torch
    from .twin.optimizers import to_torch_optim as to_torch_optim

_PLACES = {
    "gradient_of": "declared", "compare_passes": "compare.comparison",
    "Case": "draw.case", "check_model": "models", "Report": "report.report",
    "record": "golden.record", "replay": "golden.replay",
    "from_torch": "twin.layers", "to_torch": "twin.layers", "to_torch_optim": "twin.optimizers",
} | dict.fromkeys(
    ("check_function", "check_gradients", "check_layer", "check_optimizer", "check_pointwise"), "check"
) | dict.fromkeys(
    ("Between", "Complex", "Constant", "Indices", "OneHot", "Orthogonal", "Positive", "Probabilities", "SPD", "Sorted"),
    "draw.specs",
) | dict.fromkeys(("LAWS", "OF_TORCH", "check_laws", "on_examples"), "laws") | dict.fromkeys(
    ("cases", "layers", "networks"), "draw.strategies"
)  # fmt: skip

__all__ = [
    "LAWS", "OF_TORCH", "SPD", "Between", "Case", "Complex", "Constant", "Indices", "OneHot", "Orthogonal", "Positive",
    "Probabilities", "Report", "Sorted", "cases", "check_function", "check_gradients", "check_laws", "check_layer",
    "check_model", "check_optimizer", "check_pointwise", "compare_passes", "from_torch", "gradient_of", "layers",
    "networks", "on_examples", "record", "replay", "to_torch", "to_torch_optim",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Imported when first asked for, so that `manualbp --help` does not wait for torch."""
    if name in _PLACES:
        return getattr(importlib.import_module(f".{_PLACES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What a shell completes, imported yet or not."""
    return __all__
