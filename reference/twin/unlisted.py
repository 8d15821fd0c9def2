"""Parameters that a model uses and does not list: where they are kept, and how they would be listed."""

import torch
from torch import nn

from .passes import OF_MODULES, held_in

NOWHERE = (
    "a tensor comes from nowhere: a parameter that model.named_parameters() does not list, as one made in forward, or "
    "what a function gave that is not torch's"
)
KEPT = {
    list: "in the place of a Python list use nn.ModuleList for modules, nn.ParameterList for parameters",
    tuple: "in the place of a Python tuple use nn.ModuleList for modules, nn.ParameterList for parameters",
    dict: "in the place of a Python dict use nn.ModuleDict for modules, nn.ParameterDict for parameters",
    torch.Tensor: "make it one, as in self.w = nn.Parameter(torch.randn(3, 4))",
    nn.Module: "assign the module itself, as in self.inner = module",
}


def why(model: nn.Module, t: torch.Tensor) -> str:
    """What a tensor with a gradient is that no call gave, and what to do."""
    for path, m in model.named_modules():
        for name, value in vars(m).items():
            found = None if name in OF_MODULES else next((p for p, other in held_in(value, name) if other is t), None)
            if found is not None:
                kept = next(text for kind, text in KEPT.items() if isinstance(value, kind))
                where = f"{path}.{found}" if path else found
                return f"{where} is no parameter that model.parameters() lists, so no optimizer would train it: {kept}"
    return NOWHERE
