"""Whether the gradient of torch code is cut, or changed, on purpose."""

import sys

import torch
from torch.overrides import TorchFunctionMode


class Cuts(TorchFunctionMode):
    """Notes whether code of torch gives another gradient than its forward's: detach, .data, no_grad, the rows of an
    embedding that are left out or scaled by how often they occur."""

    found = False

    def __torch_function__(self, func, types, args=(), kwargs=None):
        options = kwargs or {}
        cut = func in (torch.Tensor.detach, torch.detach, torch.Tensor.data.__get__)
        without = not torch.is_grad_enabled() and not _inside_function()
        rows = options.get("padding_idx") is not None or bool(options.get("scale_grad_by_freq"))
        self.found |= cut or without or rows
        return func(*args, **options)


def _inside_function() -> bool:
    """Is this called by the forward of a torch.autograd.Function, which always runs without gradients?"""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name == "forward" and frame.f_code.co_varnames[:1] == ("ctx",):
            return True
        frame = frame.f_back
    return False
