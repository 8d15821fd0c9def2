"""A layer by hand, with a mistake of the catalogue in it, in the place of a module of a torch model."""

import numpy as np
import torch
from torch import nn

from manualbp.base import flatten, run, unflatten


class Through(torch.autograd.Function):
    """The forward and the backward of a layer by hand."""

    @staticmethod
    def forward(ctx, layer, names, x, *params):
        given = unflatten({n: p.detach().numpy() for n, p in zip(names, params)})
        y, cache = run(layer, given, x.detach().numpy(), np.random.default_rng(0))
        ctx.kept = layer, given, cache, names
        return torch.tensor(np.array(y))

    @staticmethod
    def backward(ctx, dy):
        layer, given, cache, names = ctx.kept
        dx, grads = layer.backward(given, cache, dy.numpy().copy())
        each = (dx, *(flatten(grads).get(n) for n in names))
        return None, None, *(None if g is None else torch.tensor(np.array(g)) for g in each)


class ByHand(nn.Module):
    """A layer by hand as a module, with the parameters of the one that it replaces."""

    def __init__(self, layer, module):
        super().__init__()
        self.layer = layer
        for name, p in module.named_parameters():
            self.register_parameter(name, p)

    def forward(self, x):
        held = dict(self.named_parameters())
        return Through.apply(self.layer, (*held,), x, *held.values())


def with_fault(model, path, layer):
    """The model with a layer by hand at a path."""
    parent, _, last = path.rpartition(".")
    model.get_submodule(parent)._modules[last] = ByHand(layer, model.get_submodule(path))
