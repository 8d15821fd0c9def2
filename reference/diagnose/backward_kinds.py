"""The mistakes that are tried at a call: look-ups that write instead of add, masks, windows, factors, softmax."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from manualbp.base import Array

from ..faults import KNOWN
from .backward_calls import Call, Kind, differs, exchanged
from .calls import ENTRYWISE, OF_SOFTMAX
from .features.softmax import variants

BENT = (*ENTRYWISE.split(), "clamp", "clamp_min", "clamp_max", "maximum", "minimum")
MASKS = ("relu", "relu6", "clamp", "clamp_min", "clamp_max", "maximum", "minimum", "hardtanh")
LOOKS_UP = {"getitem": (0, 1), "embedding": (1, 0), "index_select": (0, 2)}  # the table, the index
PRODUCTS = ("mul", "rmul", "multiply", "div", "truediv", "true_divide", "divide")
CONVOLVES = {"conv1d": 1, "conv2d": 2, "conv3d": 3, "avg_pool1d": 1, "avg_pool2d": 2, "avg_pool3d": 3}
JOINS = ("cat", "concat", "concatenate", "stack", "hstack", "vstack")
MOST = 64  # windows that are followed one by one


def kinds(call: Call, calls: Sequence[Call]) -> Iterator[Kind]:
    """All that are tried at this call."""
    for kind in KINDS:
        yield from kind(call)
    yield from _of_slices(call, calls)


def _at_dy(call: Call) -> Iterator[Kind]:
    """A slope, or a mask, that looks at the gradient that arrives where it should look at the argument."""
    if call.name in BENT and call.differing == (0,) and call.args[0].shape == call.y.shape:
        what = "mask" if call.name in MASKS else "slope"
        text = f"The {what} of {{place}} is taken from the gradient that arrives, not from its argument."
        remedy = "keep x (or y) of forward in the cache, and look at that: dx = dy · f′(x), for relu dy · (x > 0)"
        change = exchanged(lambda c, dy: c.pulled(dy, at=dy))
        relation = "yours = dy ⊙ f′(dy) there, right = dy ⊙ f′(x)"
        yield Kind(f"at dy {call.name}", text, relation, remedy, change)


def _index(value: Any) -> Any:
    """An index of torch as one of NumPy."""
    if isinstance(value, tuple):
        return tuple(map(_index, value))
    return value.numpy() if isinstance(value, torch.Tensor) else value


def _by_numbers(index: Any) -> bool:
    return any(isinstance(i, torch.Tensor) and not i.is_floating_point() and i.dtype != torch.bool and i.ndim
               for i in (index if isinstance(index, tuple) else (index,)))  # fmt: skip


def _repeated(call: Call) -> Iterator[Kind]:
    """Rows looked up several times, of which backward writes one: dE[i] += dy in NumPy."""
    if call.name not in LOOKS_UP or len(call.args) <= max(LOOKS_UP[call.name]):
        return
    table, index = LOOKS_UP[call.name]
    if not differs(call.args[table]) or not _by_numbers(call.args[index]):
        return
    fault = KNOWN["F01"]
    axes = range(call.args[index].ndim) if isinstance(call.args[index], torch.Tensor) else ()
    for axis in (None, *(axes if len(axes) > 1 else ())):
        change = exchanged(partial(_written_once, table=table, index=index, axis=axis), table)
        told = "" if axis is None else f", each time for one place along axis {axis} of the index"
        text, relation = f"{fault.text} So it is in {{place}}.", f"yours = what dE[i] += dy gives in NumPy{told}"
        yield Kind(f"repeated {axis}", text, relation, fault.remedy, change, "F01")


def _written_once(call: Call, dy: torch.Tensor, table: int, index: int, axis: int | None) -> torch.Tensor:
    g, i = np.zeros(call.args[table].shape), _index(call.args[index])
    if call.name == "index_select" and call.args[1]:
        i = (*[slice(None)] * call.args[1], i)
    each = dy.numpy()
    if axis is None:
        g[i] += each
    for k in range(i.shape[axis] if axis is not None else 0):
        g[i.take(k, axis)] += each.take(k, axis)
    return torch.as_tensor(g, dtype=dy.dtype)


def _columns(call: Call) -> Iterator[Kind]:
    """d[:, t] -= 1 for d[np.arange(N), t] -= 1: whole columns in the place of one entry of each row."""
    if call.name not in ("cross_entropy", "log_softmax", "nll_loss", "getitem") or 0 not in call.differing:
        return
    text = "In {place} backward takes the columns of all targets in every row, not the one of its own target."
    remedy = "d[np.arange(N), t] -= 1: one entry of every row"
    relation = "yours = right with [:, t] for [arange(N), t] there"
    if call.name in ("nll_loss", "getitem"):
        two = call.name == "nll_loss" or (isinstance(call.args[1], tuple) and _by_numbers(call.args[1]))
        if two and call.args[0].ndim == 2:
            yield Kind("columns", text, relation, remedy, exchanged(_whole_columns))
    elif call.name == "log_softmax" or not call.options.get("label_smoothing"):
        change = exchanged(_softmax_less_columns) if call.name == "log_softmax" else _of_cross_entropy
        yield Kind("columns", text, relation, remedy, change)


def _whole_columns(call: Call, dy: torch.Tensor) -> torch.Tensor:
    right = call.pulled(dy)
    g = torch.zeros_like(right)
    for row in right:
        g[:, row != 0] = row[row != 0]
    return g


def _softmax_less_columns(call: Call, dy: torch.Tensor) -> torch.Tensor:
    axis = _axis(call)
    other = tuple(i for i in range(dy.ndim) if i != axis)
    columns = (dy != 0).any(dim=other, keepdim=True) if other else dy != 0
    return -dy.sum(axis, keepdim=True) * (call.y.exp() - columns.to(dy.dtype))


def _of_cross_entropy(func: Any, args: tuple, options: Any) -> Any:
    x, *rest = args
    if not differs(x) or options.get("label_smoothing"):
        return func(*args, **options)
    logs = exchanged(_softmax_less_columns)(F.log_softmax, (x, 1 if x.ndim > 1 else 0), {})
    return F.nll_loss(logs, *rest, **{n: v for n, v in options.items() if n != "label_smoothing"})


def _axis(call: Call) -> int:
    """Along which a softmax sums."""
    named = call.options.get("dim", call.args[1] if len(call.args) > 1 else -1)
    return int(named) % call.y.ndim


def _softmax(call: Call) -> Iterator[Kind]:
    """Other Jacobians of softmax or of its logarithm."""
    if call.name not in ("softmax", "log_softmax") or call.differing != (0,):
        return
    log, shape = call.name == "log_softmax", call.y.shape
    x = np.random.default_rng(0).standard_normal(shape)
    p = torch.softmax(torch.as_tensor(x), _axis(call)).numpy()
    for k, (fault, relation, _, text) in enumerate(variants(x, p, x, _axis(call), log)):
        fault = fault or OF_SOFTMAX.get(relation)
        said = f"{text or (KNOWN[fault].text if fault else '')} So it is in {{place}}."
        remedy = "dx = dy − softmax(x) Σ dy" if log else "dx = y(dy − Σ y dy)"
        yield Kind(
            f"softmax {relation} {fault}",
            said,
            f"{relation}, there",
            remedy,
            exchanged(partial(_variant, k, log)),
            fault,
        )


def _variant(k: int, log: bool, call: Call, dy: torch.Tensor) -> torch.Tensor:
    x, p = call.args[0].detach().numpy(), (call.y.exp() if log else call.y).detach().numpy()
    value: Array = list(variants(x, p, dy.numpy(), _axis(call), log))[k][2]
    return torch.as_tensor(value)


def _largest(call: Call) -> Iterator[Kind]:
    """log Σ exp whose maximum, which is subtracted first, has a gradient beside that of the rest."""
    if call.name != "logsumexp" or call.differing != (0,):
        return
    remedy = "the maximum cancels: the gradient is softmax(x) alone"
    for told, text, factors in (
        ("(softmax(x) + onehot(argmax))", "The maximum that is taken out counts, too", (1.0, 1.0)),
        ("(softmax(x) − onehot(argmax))", "The maximum that is taken out is counted on one side only", (1.0, -1.0)),
        ("onehot(argmax)", "The gradient is that of the maximum", (0.0, 1.0)),
    ):
        change = exchanged(partial(_with_largest, *factors))
        yield Kind(told, f"{text}, in {{place}}.", f"yours = {told} dy there, right = softmax(x) dy", remedy, change)


def _with_largest(soft: float, hard: float, call: Call, dy: torch.Tensor) -> torch.Tensor:
    x, axis = call.args[0].detach(), call.args[1] if len(call.args) > 1 else call.options["dim"]
    hot = (x == x.amax(axis, keepdim=True)).to(x.dtype)
    return soft * call.pulled(dy) + hard * hot * (dy if dy.ndim == x.ndim else dy.unsqueeze(axis))


def _factors(call: Call) -> Iterator[Kind]:
    """A factor, or a mask, that backward leaves out, or has twice."""
    if call.name not in PRODUCTS or len(call.args) != 2:
        return
    for i in call.differing if call.name in PRODUCTS[:3] else {0}.intersection(call.differing):
        if call.args[i].shape == call.y.shape:
            yield from _of_factor(call, i)


def _of_factor(call: Call, i: int) -> Iterator[Kind]:
    c, remedy = call.operands[1 - i], "dx = c · dy for y = c · x: the same factor as in forward"
    out, twice = exchanged(lambda c, dy: dy, i), exchanged(lambda c, dy: c.pulled(c.pulled(dy, i), i), i)
    text = f"In {{place}} backward leaves {c} out: dy passes to {call.operands[i]} as it is."
    yield Kind(f"without {c}", text, f"yours = right without {c} in the gradient of {call.text}", remedy, out)
    text = f"In {{place}} backward has {c} twice."
    yield Kind(f"twice {c}", text, f"yours = right with {c} twice in the gradient of {call.text}", remedy, twice)


def _counts(call: Call) -> Iterator[Kind]:
    """A mean that goes back as a sum, or a sum as a mean."""
    if call.name not in ("mean", "sum") or call.differing != (0,):
        return
    other = "sum" if call.name == "mean" else "mean"
    change = exchanged(partial(_counted, 1 if call.name == "mean" else -1))
    text = f"The gradient of {{place}} is that of a {other}, and it is a {call.name}."
    yield Kind(
        other,
        text,
        f"yours = right with a {other} for the {call.name} there",
        "a mean of n numbers has the slope 1/n",
        change,
    )


def _counted(power: int, call: Call, dy: torch.Tensor) -> torch.Tensor:
    return call.pulled(dy) * (call.args[0].numel() / call.y.numel()) ** power


def _masked(call: Call) -> Iterator[Kind]:
    """What is hidden forwards, and gets a gradient nevertheless."""
    operands = {"masked_fill": (0,), "where": (1, 2)}.get(call.name, ())
    for i in operands:
        if i in call.differing and call.args[i].shape == call.y.shape:
            text, remedy = (
                "The mask of {place} is left out in backward: what it hides gets a gradient, too.",
                "hide dy where the mask hides",
            )
            yield Kind(
                f"mask {i}",
                text,
                f"yours = right with dy for the gradient by {call.operands[i]} there",
                remedy,
                exchanged(lambda c, dy: dy, i),
            )


def _joined(call: Call) -> Iterator[Kind]:
    """One of several arrays that are joined, to which nothing goes back."""
    parts = call.args[0] if call.name in JOINS and isinstance(call.args[0], (list, tuple)) else ()
    for j in range(len(parts)):

        def cut(func: Any, args: tuple, options: Any, j: int = j) -> Any:
            return func([a.detach() if k == j else a for k, a in enumerate(args[0])], *args[1:], **options)

        text = f"In {{place}} nothing goes back to what stands at {j} in the list: it is taken for a constant."
        relation = f"yours = right with .detach() at {j} in the list there"
        yield Kind(f"joined {j}", text, relation, "split the gradient, and add each part where it belongs", cut)


def _windows(call: Call) -> Iterator[Kind]:
    """Windows that overlap, whose gradients are written where they should be added."""
    if 0 not in call.differing or (call.name not in CONVOLVES and call.func is not torch.Tensor.unfold):
        return
    yield from (_assigned(exchanged(partial(_last_window, order)), order) for order in (1, -1))


def _assigned(change: Any, order: int) -> Kind:
    which = "last" if order > 0 else "first"
    text = (
        "Where the windows of {place} overlap, backward writes the gradient of one of them, and does not add them up."
    )
    relation = f"yours = the part of the {which} window that sees an entry, right = the sum over all"
    return Kind(f"windows {order}", text, relation, "dx[window] += …, not =", change)


def _last_window(order: int, call: Call, dy: torch.Tensor) -> torch.Tensor:
    """Window by window: what a later one sees it writes."""
    g = torch.zeros_like(call.args[0])
    axes = _window_axes(call)
    places = list(product(*(range(dy.shape[i]) for i in axes)))[::order]
    if len(places) > MOST:
        raise ValueError("more windows than are followed")
    seen = _all_ones(call)
    for place in places:
        at: list[Any] = [slice(None)] * dy.ndim
        for axis, k in zip(axes, place, strict=True):
            at[axis] = k
        one = torch.zeros_like(dy)
        one[tuple(at)] = 1
        g = torch.where(seen.pulled(one) != 0, call.pulled(one * dy), g)
    return g


def _window_axes(call: Call) -> tuple[int, ...]:
    if call.func is torch.Tensor.unfold:
        return (int(call.args[1]) % call.args[0].ndim,)
    n = CONVOLVES[call.name]
    return tuple(range(call.y.ndim - n, call.y.ndim))


def _all_ones(call: Call) -> Call:
    """The same windows, each of ones."""
    args = (call.args[0], torch.ones_like(call.args[1]), *call.args[2:]) if "conv" in call.name else call.args
    return call._replace(args=args)


def _of_slices(call: Call, calls: Sequence[Call]) -> Iterator[Kind]:
    """Slices of one array, taken in a loop, that overlap: each turn writes its own."""
    turns = [c for c in calls if c.key == call.key] if call.name == "getitem" and call.differing == (0,) else []
    if len(turns) > 1 and all(t.args[0] is call.args[0] for t in turns):
        yield from (_assigned(partial(_turn, order), order) for order in (1, -1))


def _turn(order: int, func: Any, args: tuple, options: Any) -> Any:
    """One turn, whose gradient is lost where another one, that is later (order > 0) or earlier, writes as well."""
    x = args[0]
    before = getattr(x, "_turns", [])
    mine, x._turns = len(before), before
    seen = torch.zeros(x.shape, dtype=torch.bool)
    seen[args[1]] = True
    before.append(seen)

    def back(call: Call, dy: torch.Tensor) -> torch.Tensor:
        others = before[mine + 1 :] if order > 0 else before[:mine]
        return call.pulled(dy) * ~torch.stack([torch.zeros_like(seen), *others]).any(0)

    return exchanged(back)(func, args, options)


KINDS = (_at_dy, _repeated, _columns, _softmax, _largest, _factors, _counts, _masked, _joined, _windows)
