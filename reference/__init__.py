"""The same in torch.nn, where autograd supplies the truth, and everything that compares the two.

from reference import check_function, check_gradients, check_layer        your own gradient, checked
from reference import to_torch, from_torch                                a layer and its torch twin
from reference.strategies import networks                                 random networks for your own tests
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .case import Case as Case
    from .check import check_function as check_function
    from .check import check_gradients as check_gradients
    from .check import check_layer as check_layer
    from .check import check_model as check_model
    from .check import check_optimizer as check_optimizer
    from .check import check_pointwise as check_pointwise
    from .checks import gradient_of as gradient_of
    from .laws import check_laws as check_laws
    from .trial import Indices as Indices
    from .twin import from_torch as from_torch
    from .twin import to_torch as to_torch
    from .verdict import Report as Report

PLACES = {
    "gradient_of": "checks",
    "Case": "case", "check_laws": "laws", "Indices": "trial", "Report": "verdict",
    "from_torch": "twin", "to_torch": "twin",
} | dict.fromkeys(
    ("check_function", "check_gradients", "check_layer", "check_model", "check_optimizer", "check_pointwise"), "check"
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """Imported when first asked for, so that `manualbp --help` does not wait for torch."""
    if name in PLACES:
        return getattr(importlib.import_module(f".{PLACES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
