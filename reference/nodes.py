"""Every node of a model's graph alone: given what it was given in the model's own run, and the gradient that came back
to it there. So errors do not pile up, and the first node that is wrong has a name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from torch import nn

from manualbp.base import Layer, Params, flatten, run, tree_map, unflatten

from .compare.comparison import Tensor, within
from .draw.case import cast
from .sides.run import leaves
from .twin import randomness
from .twin.layers import array
from .twin.models import whole
from .twin.reading import Reader
from .twin.step import Step, tensors_in

PRECISIONS = ("float32", "float64", "longdouble")


@dataclass(frozen=True)
class Local:
    """One node: what it takes, as tensors, and the call that torch makes of them."""

    step: Step
    call: Callable[[Mapping[int, torch.Tensor]], Any]  # the same call on other tensors, by the id of those it had
    values: Mapping[int, torch.Tensor]  # what these were

    def again(self, dtype: torch.dtype, seed: int) -> tuple[dict[int, torch.Tensor], Any]:
        """Fresh leaves, and what the call gives on copies of them, which it may change in place."""
        fresh = {
            i: t.to(dtype, copy=True).requires_grad_() if t.is_floating_point() else t.clone()
            for i, t in self.values.items()
        }
        with torch.enable_grad(), randomness.shared(seed if self.step.layer.random else None):
            return fresh, self.call({i: t.clone() for i, t in fresh.items()})

    def tree(self, tensors: Any, values: Mapping[int, torch.Tensor], pick: Callable[[torch.Tensor], Any]) -> Any:
        if isinstance(tensors, torch.Tensor):
            return pick(values[id(tensors)]) if id(tensors) in values else pick(tensors)
        return None if tensors is None else tuple(self.tree(t, values, pick) for t in tensors)


class Recorder(Reader):
    """Notes of every node how to make the call again, and the gradient that comes back to what it gave."""

    def __init__(self, model: nn.Module, dtype: torch.dtype, draws: list, only: str) -> None:
        super().__init__(model, whole, dtype, draws, False)
        self.only = only
        self.locals: dict[str, Local] = {}
        self.upstream: dict[tuple[str, tuple[int, ...]], torch.Tensor] = {}

    def saved(self, tensors: list[torch.Tensor]) -> dict[int, torch.Tensor]:
        return {id(t): t.detach().clone() for t in tensors}

    def note(self, name: str, step: Step, again: Callable, before: Mapping[int, torch.Tensor]) -> None:
        if fnmatchcase(name, self.only):
            self.locals[name] = Local(step, again, before)

    def keep(self, name: str, y: Any, path: tuple[int, ...] = ()) -> None:
        super().keep(name, y, path)
        if isinstance(y, torch.Tensor) and y.requires_grad:
            y.register_hook(lambda g, key=(name, path): self.upstream.__setitem__(key, g.detach().clone()))


def check_nodes(
    recorder: Recorder, names: Sequence[str], layers: Mapping[str, Layer], seed: int
) -> tuple[tuple[Tensor, ...], str | None]:
    """Every noted node, compared; and the name of the first tensor that is wrong: forward in order, then backward."""
    each = {n: check_node(n, recorder, layers.get(n), seed) for n in names if n in recorder.locals}
    forward = [t for ts in each.values() for t in ts if not t.name.endswith(".grad")]
    back = [t for ts in reversed(each.values()) for t in ts if t.name.endswith(".grad")]
    return (*forward, *back), next((t.name for t in (*forward, *back) if not t.ok), None)


def check_node(name: str, recorder: Recorder, layer: Layer | None, seed: int) -> list[Tensor]:
    """One node with its true input and upstream gradient: the layer by hand, and torch's own call."""
    local = recorder.locals[name]
    layer = layer or local.step.layer
    own: dict[str, dict[str, Any]] = {}
    for dtype in (torch.float32, torch.float64):
        try:
            own[str(dtype).removeprefix("torch.")] = torch_side(name, local, recorder, dtype, seed)
        except RuntimeError:  # a float64 that the call names
            continue
    hand = {d: hand_side(name, layer, local, recorder, d, seed) for d in PRECISIONS}
    found = []
    for n in own["float64"]:
        runs = (hand["float32"].get(n), hand["float64"].get(n), hand["longdouble"].get(n),
                own.get("float32", {}).get(n), own["float64"][n])  # fmt: skip
        found.append(within(f"{name}: {n}", *runs, "float64"))
    return found


def torch_side(name: str, local: Local, recorder: Recorder, dtype: torch.dtype, seed: int) -> dict[str, Any]:
    fresh, y = local.again(dtype, seed)
    flat = {path: t for path, t in paths(y).items() if t.requires_grad}
    wanted = {i: t for i, t in fresh.items() if t.requires_grad}
    dy = [recorder.upstream.get((name, path), torch.zeros(())).to(dtype).expand(t.shape) for path, t in flat.items()]
    grads = torch.autograd.grad([*flat.values()], [*wanted.values()], dy, allow_unused=True) if flat and wanted else ()
    by_id = {i: torch.zeros_like(t) if g is None else g for (i, t), g in zip(wanted.items(), grads)}

    def gradient(tensors: Any) -> Any:
        if isinstance(tensors, torch.Tensor):
            return array(by_id[id(tensors)]) if id(tensors) in by_id else None
        return None if tensors is None else tuple(map(gradient, tensors))

    outputs = leaves(tree_map(lambda t: array(t), as_tuple(y)), "y")
    params = {f"{n}.grad": gradient(t) for n, t in local.step.params.items() if id(t) in by_id}
    uses = [id(t) for t in tensors_in((local.step.inputs, dict(local.step.params)))]
    if len(uses) > len(set(uses)):  # used twice in one call: torch gives the sum, by hand each has its own
        return outputs | params
    return outputs | leaves(gradient(local.step.inputs), "x", ".grad") | params


def hand_side(name: str, layer: Layer, local: Local, recorder: Recorder, dtype: str, seed: int) -> dict[str, Any]:
    x = cast(local.tree(local.step.inputs, local.values, array), np.dtype(dtype).type)
    flat = {n: local.tree(t, local.values, array) for n, t in local.step.params.items()}
    params: Params = cast(unflatten(flat), np.dtype(dtype).type)
    with np.errstate(all="ignore"):
        y, cache = run(layer, params, x, np.random.default_rng(seed))
        dx, grads = layer.backward(params, cache, upstream(y, name, recorder))
    return leaves(y, "y") | leaves(dx, "x", ".grad") | {f"{n}.grad": g for n, g in flatten(grads).items()}


def upstream(y: Any, name: str, recorder: Recorder, path: tuple[int, ...] = ()) -> Any:
    """The gradient that came back to each output, 0 where none did; None for integers."""
    if isinstance(y, tuple):
        return tuple(upstream(part, name, recorder, (*path, i)) for i, part in enumerate(y))
    y = np.asarray(y)
    if y.dtype.kind != "f":
        return None
    g = recorder.upstream.get((name, path))
    return np.zeros_like(y) if g is None else array(g).astype(y.dtype)


def paths(y: Any, path: tuple[int, ...] = ()) -> dict[tuple[int, ...], torch.Tensor]:
    """The tensors of an output by their places."""
    if isinstance(y, torch.Tensor):
        return {path: y}
    parts = enumerate(y) if isinstance(y, (tuple, list)) else ()
    return {p: t for i, part in parts for p, t in paths(part, (*path, i)).items()}


def as_tuple(y: Any) -> Any:
    return tuple(map(as_tuple, y)) if isinstance(y, (tuple, list)) else y
