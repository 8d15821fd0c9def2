"""One pass forward and back, by hand and by autograd, under the same names.

y, y[0], y[1][0]        outputs                 x.grad, x[1].grad     gradients by the inputs
0.weight.grad           gradients by the parameters                   0.running_mean        buffers after the pass
"""

from typing import Any

import numpy as np
import torch

from manualbp.base import Array, Layer, Params, Tree, flatten, run

from ..twin import layers, modules, randomness
from ..twin.layers import quiet

Named = dict[str, Array | None]


def leaves(tree: Tree, name: str, end: str = "") -> Named:
    """The arrays of a (nested) tuple under the names "y[0]", "y[1][0]", …"""
    if isinstance(tree, tuple):
        return {k: v for i, t in enumerate(tree) for k, v in leaves(t, f"{name}[{i}]", end).items()}
    return {name + end: tree}


def of_output(name: str) -> bool:
    """Is it the name of the output, or of one of several?"""
    return name == "y" or name.startswith("y[")


def by_hand(layer: Layer, params: Params, x: Tree, dy: Tree, seed: int | None = None) -> Named:
    """What the layer's own forward, backward and track give."""
    rng = None if seed is None else np.random.default_rng(seed)
    y, cache = run(layer, params, x, rng)
    dx, grads = layer.backward(params, cache, dy)
    flat_grads = flatten(grads)
    moved = {k: v for k, v in flatten(layer.track(params, cache)).items() if k not in flat_grads}
    grads = {f"{name}.grad": g for name, g in flat_grads.items()}
    return leaves(y, "y") | leaves(dx, "x", ".grad") | grads | moved


def by_autograd(
    layer: Layer, params: Params, x: Tree, dy: Tree, seed: int | None = None, device: str = "cpu",
    module: torch.nn.Module | None = None,
) -> Named:  # fmt: skip
    """What the torch twin (or the module given) and autograd give, in the dtype of the parameters and inputs."""
    dtype = dtype_of(x, params)
    module = module or layers.to_torch(layer, params, dtype, device)
    inputs = to_tensors(x, device, requires_grad=True)
    with quiet(), randomness.shared(seed if layer.random else None):
        y = modules.call(module, inputs)
    y = _tuple(y)
    _backward(y, dy, device)
    found = {name: None if p.grad is None else layers.array(p.grad) for name, p in module.named_parameters()}
    grads: Named = {
        f"{name}.grad": np.zeros(tuple(p.shape), dtype) if found[name] is None else found[name]
        for name, p in module.named_parameters()
    }
    buffers = {name: layers.array(b) for name, b in module.state_dict().items() if name not in found}
    return leaves(_arrays(y), "y") | leaves(_input_gradients(inputs), "x", ".grad") | grads | buffers


def _backward(y: Any, dy: Tree, device: str) -> None:
    """autograd from every output that has an upstream gradient."""
    flat = [(t, dy_t) for t, dy_t in zip(_flat(y), _flat(dy), strict=True) if dy_t is not None]
    flat = [(t, torch.as_tensor(np.asarray(dy_t)).to(device)) for t, dy_t in flat if t.requires_grad]
    if flat:
        torch.autograd.backward([t for t, _ in flat], [dy_t for _, dy_t in flat])


def _tuple(y: Any) -> Any:
    """Named tuples and lists as tuples."""
    return tuple(map(_tuple, y)) if isinstance(y, (tuple, list)) else y


def _flat(tree: Any) -> list:
    return [leaf for t in tree for leaf in _flat(t)] if isinstance(tree, tuple) else [tree]


def _arrays(tree: Any) -> Tree:
    return tuple(map(_arrays, tree)) if isinstance(tree, tuple) else None if tree is None else layers.array(tree)


def _input_gradients(x: Any) -> Tree:
    if isinstance(x, tuple):
        return tuple(map(_input_gradients, x))
    if not isinstance(x, torch.Tensor) or not x.requires_grad:
        return None
    return layers.array(torch.zeros_like(x) if x.grad is None else x.grad)


def to_tensors(x: Tree, device: str = "cpu", requires_grad: bool = False) -> Any:
    """A tree of arrays as a tree of tensors; real ones can have a gradient."""
    if isinstance(x, tuple):
        return tuple(to_tensors(part, device, requires_grad) for part in x)
    if not isinstance(x, (np.ndarray, np.generic)):
        return x
    t = layers.tensor(np.asarray(x), device)
    return t.requires_grad_() if requires_grad and t.is_floating_point() else t


def dtype_of(*trees: Any) -> str:
    """The dtype of the first real array found: the one a pass runs in."""
    for tree in trees:
        parts = flatten(tree).values() if isinstance(tree, dict) else _flat(tree)
        for part in parts:
            if getattr(part, "dtype", np.dtype(int)).kind == "f":
                return part.dtype.name
    return "float64"
