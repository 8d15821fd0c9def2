"""Mistakes made inside of the function intended: another slope in one of its calls, or nothing goes back through one.

Its torch code runs as it is, but for one place whose backward is otherwise: a call, or every turn of a call in a loop.
What gives all of your gradients back, in every trial, is the mistake.
"""

import ast
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from manualbp.activation import Elementwise
from manualbp.base import Array

from ..draw.trial import Trial
from ..faults import KNOWN
from ..sides.clash import expression, parts
from ..sides.function import Function
from ..sides.gradients import array
from ..sides.raised import is_foreign
from ..sides.run import GRADIENT, OUTPUT, of_role
from ..sides.side import Side
from .evidence import Evidence, Suspect
from .features.seen import Seen, near
from .features.slope import ANY, MISTAKES, activations, slopes

MOST = 40  # places that are looked at
SCORE = 0.9
SAME, FAR = 1e-9, 1e-6  # relative: gradients that are right, and that may be
ENTRYWISE = (  # functions that have a slope; and softmax, whose Jacobian is taken for one
    "abs celu elu erf exp exp2 expm1 gelu hardsigmoid hardswish hardtanh leaky_relu log log10 log1p log2 logsigmoid "
    "mish pow reciprocal relu relu6 rsqrt selu sigmoid silu softmax softplus softsign sqrt square tanh tanhshrink"
)
MASKS = ("tril", "triu", "scaled_dot_product_attention")
MOVED = {1: "off by one, to the right", -1: "off by one, to the left", 10**6: "left out"}
OF_SOFTMAX = {"y(1 − y)": "C13"}
Key = tuple[str, Any, int]  # the function that is called, and where: the code, and how far into it
Change = Callable[[Callable, tuple, Mapping[str, Any]], Any]


class Place(NamedTuple):
    """A place in the code: its text, its operands that are differentiated, by their position; and what goes in and
    comes out at first, where that is entry by entry."""

    key: Key
    text: str
    operands: Mapping[int, str]
    entries: tuple[Array, Array] | None


class Mistake(NamedTuple):
    """What is made otherwise at a place, and what is said of it."""

    key: Key
    change: Change
    text: str
    relation: str
    remedy: str
    fault: str | None = None
    also: frozenset[Key] = frozenset()  # other places where it is made, too
    mode: Callable[[], TorchFunctionMode] | None = None  # in the place of a change at one call after the other


class Places(TorchFunctionMode):
    """Notes the places by which a gradient goes back, and those where a causal mask is made."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[Key, Place | None] = {}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        y = func(*args, **(kwargs or {}))
        frame = theirs()
        key = site(func, frame)
        counts = isinstance(y, torch.Tensor) and (y.requires_grad or key[0] in MASKS)
        if counts and not _in_place(key[0]) and (key not in self.found or self._adds(key, args)):
            self.found[key] = _place(key, frame, args, y)
        return y

    def _adds(self, key: Key, args: tuple) -> bool:
        """Is more differentiated than before? A state that a loop begins with may be a constant."""
        place = self.found[key]
        return place is not None and sum(map(_differs, args)) > len(place.operands)

    def each(self) -> list[Place]:
        """All of them, and which one it is where the same stands at several."""
        found = [p for p in self.found.values() if p is not None]
        total, seen = Counter(p.text for p in found), Counter[str]()
        for i, p in enumerate(found):
            seen[p.text] += 1
            if total[p.text] > 1:
                found[i] = p._replace(text=f"{p.text} ({seen[p.text]} of {total[p.text]})")
        return found


class Otherwise(TorchFunctionMode):
    """Torch code with another backward at one place."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__()
        self.mistake = mistake

    def __torch_function__(self, func, types, args=(), kwargs=None):
        options = kwargs or {}
        key = site(func, theirs())
        here = key == self.mistake.key or key in self.mistake.also
        return self.mistake.change(func, args, options) if here else func(*args, **options)


def theirs() -> FrameType | None:
    """The user's own line that is run; None where that is the check itself, of a function of torch."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and is_foreign(frame.f_code.co_filename):
        if frame.f_code is Function.run.__code__:
            return None
        frame = frame.f_back
    return frame


def site(func: Callable, frame: FrameType | None) -> Key:
    name = getattr(func, "__name__", "")
    return (name, None, 0) if frame is None else (name, frame.f_code, frame.f_lasti)


def _in_place(name: str) -> bool:
    return name.startswith("__i") or (name.endswith("_") and not name.endswith("__"))


def _place(key: Key, frame: FrameType | None, args: tuple, y: torch.Tensor) -> Place | None:
    """None for what is no operation of its own, as an index is."""
    x, differ = args[0] if args else None, {i for i, a in enumerate(args) if _differs(a)}
    text, operands = f"torch's {key[0]}", {i: f"operand {i}" for i in differ}
    if frame is not None:
        line, end, column, last = list(frame.f_code.co_positions())[frame.f_lasti // 2]
        if (node := expression(frame, (line, column, end, last))) is None:
            return None
        text = ast.unparse(node)
        operands = {i: ast.unparse(n) for i, n in enumerate(parts(node, frame)) if i in differ}
    entrywise = key[0].strip("_") in ENTRYWISE.split() and len(differ) == 1
    alike = isinstance(x, torch.Tensor) and x.shape == y.shape
    return Place(key, text, operands, (np.array(array(x)), np.array(array(y))) if entrywise and alike else None)


def _differs(a: Any) -> bool:
    return isinstance(a, torch.Tensor) and a.requires_grad


def of_calls(torch: Side | None, failed: Sequence[tuple[Trial, Sequence[Evidence]]]) -> tuple[Suspect, ...]:
    """The first mistake inside of the torch code that gives back all numbers of all trials of real numbers.

    failed: trials, with the wrong tensors of each
    """
    real = [(trial, of) for trial, of in failed if of and not trial.integers and not trial.large]
    real.sort(key=lambda pair: pair[0].size)
    if not isinstance(torch, Function) or not real:
        return ()
    kinds = _of_masks if any(e.forward for _, of in real for e in of) else _mistakes
    try:
        with np.errstate(all="ignore"):
            with Places() as places:
                torch.run(real[-1][0])  # of several turns of a loop, if any is
            found = (m for p in places.each()[:MOST] for m in kinds(p))
            mistake = next((m for m in found if all(gives(m, torch, *each) for each in real)), None)
    except Exception:  # code that takes no other backward: then there is no such mistake
        return ()
    return () if mistake is None else (suspect_of(mistake, [e for _, of in real for e in of]),)


def gives(mistake: Mistake, torch: Function, trial: Trial, wrong: Sequence[Evidence]) -> bool:
    """Are these your outputs and gradients, those that are right, too?"""
    with mistake.mode() if mistake.mode else Otherwise(mistake):
        run = torch.run(trial)
    outputs, grads = of_role(run, OUTPUT), of_role(run, GRADIENT)
    known = {e.name for e in wrong if not e.forward}
    # a tensor whose pieces of evidence are of other trials is wrong here, too
    given = {n: wrong[0].given.get(n, g) for n, g in wrong[0].grads.items()}
    others = [
        (_bare(n), g if near(given[n], g, FAR) else given[n]) for n, g in wrong[0].grads.items() if n not in known
    ]
    return all(Seen(e).alike(outputs[e.name] if e.forward else grads[_bare(e.name)]) for e in wrong) and all(
        near(grads[n], g, SAME) or not g.any() for n, g in others
    )


def _bare(name: str) -> str:
    """The name of an input that is called as an output is."""
    return name.removesuffix(" (input)")


def suspect_of(m: Mistake, wrong: Sequence[Evidence]) -> Suspect:
    names = ", ".join(dict.fromkeys("d" * (not e.forward) + e.name for e in wrong))
    evidence = f"{names}: made in `against` it gives {len(wrong)} of {len(wrong)} wrong tensors within the bound"
    return Suspect(m.fault, m.text, m.relation, m.remedy, "", evidence, SCORE, any(e.forward for e in wrong))


def _mistakes(place: Place) -> Iterator[Mistake]:
    yield from _of_masks(place)
    yield from _of_paths(place) if place.key[0] not in MASKS[:2] else ()
    if place.entries is not None:
        yield from _of_slopes(place, *place.entries)


def _of_masks(place: Place) -> Iterator[Mistake]:
    """A causal mask whose diagonal is moved by one, or out of sight; or the triangle of a matrix."""
    masks = place.key[0] not in MASKS[:2] or not place.operands  # a mask is not differentiated, a matrix is
    for by, said in MOVED.items() if place.key[0] in MASKS else ():

        def moved(func: Callable, args: tuple, options: Mapping[str, Any], by: int = by) -> Any:
            if func.__name__ in MASKS[:2]:
                x, diagonal, *_ = (*args, options.get("diagonal", 0))
                return func(x, diagonal + by)
            if not options.get("is_causal"):
                return func(*args, **options)
            shown = torch.ones(args[0].shape[-2], args[1].shape[-2], dtype=torch.bool).tril(by)
            return func(*args, **{**options, "is_causal": False, "attn_mask": shown})

        one = by in (1, -1)
        text = f"The {'causal mask' if masks else 'triangle'} of {place.text} is {said}."
        fault = "G15" if one and masks else None
        remedy = KNOWN["G15"].remedy if fault else "the same entries forward and back"
        where = f"moved by {by:+}".replace("-", "−") if one else "out of sight"
        yield Mistake(place.key, moved, text, f"yours = right with its diagonal {where}", remedy, fault)


def _of_paths(place: Place) -> Iterator[Mistake]:
    """Nothing goes back through a call, or to one of its operands."""

    def closed(func: Callable, args: tuple, options: Mapping[str, Any]) -> Any:
        return func(*args, **options).detach()

    text = f"Nothing goes back through {place.text}: it is taken for a constant."
    yield Mistake(place.key, closed, text, f"yours = right with ({place.text}).detach()", "add what comes by it")
    for i, operand in place.operands.items() if len(place.operands) > 1 else ():

        def cut(func: Callable, args: tuple, options: Mapping[str, Any], i: int = i) -> Any:
            return func(*(a.detach() if k == i else a for k, a in enumerate(args)), **options)

        text = f"In {place.text} nothing goes back to {operand}: it is taken for a constant."
        relation, remedy = f"yours = right with {operand}.detach() there", f"add what comes by {operand}"
        if list(place.operands.values()).count(operand) > 1:
            text = f"In {place.text} only one of the factors {operand} gets a gradient, and the other is the same."
            relation = f"yours = right with .detach() at one {operand} there"
        yield Mistake(place.key, cut, text, relation, remedy)


def _of_slopes(place: Place, x: Array, y: Array) -> Iterator[Mistake]:
    """Another slope of a function that acts entry by entry."""
    f = next((g for g in activations() if near(np.asarray(g.f(x)), y, SAME)), None)
    known: dict[bytes, dict[str, Array]] = {}  # values are the same in every run

    def slope_of(x: Array, y: Array, told: str) -> Array:
        if (key := x.tobytes()) not in known:
            known[key] = dict(slopes(f, x, y))
        return known[key][told]

    for told in dict(slopes(f, x, y)):

        def sloped(func: Callable, args: tuple, options: Mapping[str, Any], told: str = told) -> Any:
            x, y = args[0], func(*args, **options)
            slope = torch.tensor(slope_of(np.array(array(x)), np.array(array(y)), told), dtype=y.dtype)
            return y.detach() + slope * (x - x.detach())

        yield Mistake(place.key, sloped, *_said(told, f, place))


def _said(told: str, f: Elementwise | None, place: Place) -> tuple[str, str, str, str | None]:
    """Of another slope: text, relation, remedy, and the mistake of the catalogue that it is."""
    what, fault = f"the slope of {place.text}", ANY.get(told) or MISTAKES.get((told, type(f).__name__))
    if place.key[0] == "softmax":
        what, fault = f"the Jacobian of {place.text}", OF_SOFTMAX.get(told)
    relation = f"yours has {told} for {what}; x its argument, y its value"
    if fault is not None:
        return f"{KNOWN[fault].text} So it is in {place.text}.", relation, KNOWN[fault].remedy, fault
    symbols = [f"{n} its {of}" for n, of in (("x", "argument"), ("y", "value")) if n in told]
    text = f"T{what[1:]} is " + ("left out." if told == "1" else f"taken to be {', '.join([told, *symbols])}.")
    return text, relation, "differentiate it as forward computes it", None
