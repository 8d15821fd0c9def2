"""A small example of a class, run by hand and by PyTorch when the page is made."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import manualbp
from manualbp.base import Layer, expression, flatten, options_of, registry
from manualbp.optim.base import Optimizer

from ..sides.hand import Hand
from ..sides.module import twin_of
from ..sides.run import GRADIENT, OUTPUT, leaves, of_role
from . import torch_text
from .choice import numbers_of, seed_of, small_case

STEPS = 3
NO_STEP = {"LBFGS": "its step calls the loss", "SparseAdam": "it takes sparse gradients"}


@dataclass(frozen=True)
class Number:
    """One array of both sides."""

    name: str
    by_hand: str
    pytorch: str
    difference: str


@dataclass(frozen=True)
class Example:
    """Code that can be run, and what both sides gave. `into`, `out`: shapes of what goes in and out; `back`: what has
    a gradient."""

    code: str
    torch_code: str
    numbers: tuple[Number, ...]
    into: Mapping[str, tuple[int, ...]]
    out: Mapping[str, tuple[int, ...]]
    back: tuple[str, ...] = ()


def of_layer(cls: type[Layer]) -> Example | None:
    """The example of a layer or loss."""
    case = small_case(cls)
    if case is None:
        return None
    layer, trial = case.layer, numbers_of(case)
    seed = seed_of(layer)
    runs = Hand(layer, seed).run(trial), twin_of(layer, seed).run(trial)
    hand, autograd = ({str(name): a for name, a in run.items()} for run in runs)
    numbers = tuple(compared(name, hand[name], autograd.get(name)) for name in hand if hand[name] is not None)
    params, x = trial.params, trial.x
    out, back = of_role(runs[0], OUTPUT), of_role(runs[0], GRADIENT)
    return Example(hand_code(layer, params, x, trial.dy), torch_text.code(layer, trial), numbers,
                   shapes(leaves(x, "x") | flatten(params)), shapes(out), tuple(back))  # fmt: skip


def shapes(named: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(a) for name, a in named.items() if a is not None}


def compared(name: str, a: Any, b: Any) -> Number:
    a = np.asarray(a)
    if b is None:
        return Number(name, shown(a), "–", "")
    b = np.asarray(b)
    off = float(not np.array_equal(a, b))
    if a.dtype.kind in "fc":
        with np.errstate(invalid="ignore"):
            off = float(np.max(np.abs(np.nan_to_num(a - b)), initial=0.0))
    return Number(name, shown(a), shown(b), f"{off:.0e}" if off else "0")


def shown(a: Any) -> str:
    """At most a dozen numbers of an array, in four digits."""
    flat = np.ravel(a)
    text = ", ".join(f"{v + 0.0:.4g}" if flat.dtype.kind in "fc" else str(v) for v in flat[:12])
    return (text + (", …" if flat.size > 12 else "")).replace("-", "−")


def literal(tree: Any) -> str:
    """Python text that gives arrays back."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f'"{name}": {literal(value)}' for name, value in tree.items()) + "}"
    if isinstance(tree, tuple):
        return f"({', '.join(map(literal, tree))}{',' * (len(tree) == 1)})"
    if tree is None:
        return "None"
    a = np.asarray(tree)
    text = re.sub(r"-0\.0\b", "0.0", repr(a.tolist()))
    text = re.sub(r"\b(nan|inf)\b", r"np.\1", text)
    if 0 in a.shape:
        return f"np.zeros({a.shape}, {a.dtype.name!r})"
    return f"np.array({text})" if a.dtype.kind in "fibc" and a.dtype != np.int32 else f"np.array({text}, {a.dtype})"


def hand_code(layer: Layer, params: Any, x: Any, dy: Any) -> str:
    """What a reader types to get the column by hand."""
    text = expression(layer)
    own = vars(sys.modules[type(layer).__module__])
    written = sorted(set(re.findall(r"\b([A-Z]\w*)\(", text)))
    names = {name: (registry() | own).get(name) or getattr(manualbp, name) for name in written}
    rng = ", np.random.default_rng(0)" if layer.random else ""
    return "\n".join([
        "import numpy as np", *imports(names), "", f"layer = {text}",
        f"params = {literal(params)}", f"x = {literal(x)}", f"dy = {literal(dy)}", "",
        f"y, cache = layer.forward(params, x{rng})", "dx, grads = layer.backward(params, cache, dy)",
    ])  # fmt: skip


def imports(names: Mapping[str, Any]) -> list[str]:
    """Where these classes come from: the operations have a place of their own."""
    places: dict[str, list[str]] = {}
    for name, cls in names.items():
        own = cls.__module__.split(".")[1]
        places.setdefault("manualbp" if hasattr(manualbp, name) else f"manualbp.{own}", []).append(name)
    return [f"from {place} import {', '.join(found)}" for place, found in sorted(places.items())]


def of_optimizer(cls: type[Optimizer]) -> Example | None:
    """Three steps of an optimizer on one small matrix."""
    if cls.__name__ in NO_STEP:
        return None
    opt: Any = cls()
    p = np.array([[0.5, -0.3], [0.8, 0.1]])
    grads = [np.array(g) for g in ([[0.2, -0.1], [0.4, 0.3]], [[0.1, 0.2], [-0.3, 0.4]], [[-0.2, 0.1], [0.2, 0.1]])]
    weight = torch.nn.Parameter(torch.tensor(p))
    options = {n: v for n, v in options_of(opt).items() if n != "groups"}
    other = getattr(torch.optim, cls.__name__)([weight], **options)
    params, state, numbers = {"weight": p}, opt.init({"weight": p}), []
    for t, g in enumerate(grads, 1):
        params, state = opt.step(params, {"weight": g}, state)
        weight.grad = torch.tensor(g)
        other.step()
        numbers.append(compared(f"p after step {t}", params["weight"], weight.detach().numpy()))
    code = "\n".join([
        "import numpy as np", f"from manualbp.optim import {cls.__name__}", "", f"opt = {opt!r}",
        f"p = {literal(p)}", f"grads = {', '.join(map(literal, grads))}", "",
        'params = {"weight": p}', "state = opt.init(params)",
        "for g in grads:", '    params, state = opt.step(params, {"weight": g}, state)',
    ])  # fmt: skip
    torch_text = "\n".join([
        "import torch", "",
        "weight = torch.nn.Parameter(torch.tensor(p))", f"opt = torch.optim.{cls.__name__}([weight])",
        "for g in grads:", "    weight.grad = torch.tensor(g)", "    opt.step()",
    ])  # fmt: skip
    return Example(code, torch_text, tuple(numbers), {"p": p.shape, "g": p.shape}, {"p": p.shape})
