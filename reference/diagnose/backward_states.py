"""Mistakes of values: a derivative taken at another value than forward has there, or with another factor.

h[t − 1]   at t = 0 is the last state of the loop, h[−1], in a list or an array
stale      what stands before an activation, or a norm, in the place of what stands behind it, and the reverse
factors    one of two operands gets its gradient without the scale that both have
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from .backward_calls import Call, differs, going_back
from .calls import Key, Mistake, site, theirs

DEEP = 4  # calls back from a value to what it was made of
MOST = 300  # other values that are tried
Slot = tuple[Key, int]  # a place and one of its operands
Values = Callable[[int], torch.Tensor]
SCALES = {"mul": 1, "rmul": 1, "div": -1, "truediv": -1, "true_divide": -1}


def of_states(calls: Sequence[Call]) -> Iterator[Mistake]:
    """All that are tried in this run, every turn of its loops noted."""
    yield from _of_loops(calls)
    yield from _of_uses(calls)
    yield from _of_scales(calls)
    yield from _of_means(calls)
    yield from _of_other_values(calls)


def derived_at(func: Callable, args: tuple, options: Mapping[str, Any], at: Mapping[int, Callable]) -> Any:
    """The call, whose derivatives are taken with other values for some operands: what `at` gives for each, when it is
    known."""
    y = func(*(a.detach() if isinstance(a, torch.Tensor) else a for a in args), **options)

    def back(dy: torch.Tensor, i: int) -> torch.Tensor:
        values = tuple(at[k]() if k in at else a for k, a in enumerate(args))
        return Call(("", None, 0), "", (), func, values, options, y).pulled(dy, i)

    for i, a in enumerate(args):
        if differs(a):
            y = going_back(a, y, partial(back, i=i))
    return y


@dataclass
class Loop:
    """A state that goes round a loop: what gives it, and where it is taken in."""

    gives: Key
    slots: list[Slot] = field(default_factory=list)
    text: str = ""


class Wrapped(TorchFunctionMode):
    """In the first turn derivatives are taken at the last state, not at the one that the loop begins with."""

    def __init__(self, loops: Sequence[Loop]) -> None:
        super().__init__()
        self.slots: dict[Key, dict[int, Key]] = defaultdict(dict)
        for loop in loops:
            for key, i in loop.slots:
                self.slots[key][i] = loop.gives
        self.states = {loop.gives for loop in loops}
        self.last: dict[Key, torch.Tensor] = {}
        self.begun: set[Key] = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        key, options = site(func, theirs()), kwargs or {}
        if key in self.slots and key not in self.begun:
            self.begun.add(key)
            y = derived_at(func, args, options, {i: partial(self.last.get, k) for i, k in self.slots[key].items()})
        else:
            y = func(*args, **options)
        if key in self.states:
            self.last[key] = y.detach()
        return y


def _of_loops(calls: Sequence[Call]) -> Iterator[Mistake]:
    loops = list(_loops(calls))
    for of in ([[loop] for loop in loops] + [loops]) if len(loops) > 1 else [loops] * bool(loops):
        where = " and ".join(dict.fromkeys(loop.text for loop in of))
        text = f"At the first step backward takes the last state, h[−1], for the one before it: so it is in {where}."
        relation = "yours = right with the last state for the initial one in the derivatives of the first step"
        remedy = "h[t − 1] at t = 0 is h[−1], the last: keep the initial state, too, as h[0] of T + 1 states"
        yield Mistake(of[0].gives, _as_it_is, text, relation, remedy, mode=partial(Wrapped, of))


def _as_it_is(func: Callable, args: tuple, options: Mapping[str, Any]) -> Any:
    return func(*args, **options)


def _loops(calls: Sequence[Call]) -> Iterator[Loop]:
    """Values that one turn gives and the next takes in, while the first takes another."""
    turns: dict[Key, list[Call]] = defaultdict(list)
    made = {id(c.y): c.key for c in calls}
    for c in calls:
        turns[c.key].append(c)
    found: dict[Key, Loop] = {}
    for key, of in turns.items():
        for i in range(len(of[0].args)) if len(of) > 1 else ():
            gives = [made.get(id(c.args[i])) for c in of]
            (state, *others) = set(gives[1:])
            if others or state is None or gives[0] == state or not isinstance(of[0].args[i], torch.Tensor):
                continue
            if len(turns[state]) == len(of) and all(b.args[i] is a.y for a, b in zip(turns[state], of[1:])):
                found.setdefault(state, Loop(state, text=of[0].text)).slots.append((key, i))
    yield from found.values()


class Elsewhere(TorchFunctionMode):
    """At one place derivatives are taken with another value of the run for one operand."""

    def __init__(self, slot: Slot, other: Slot, before: bool) -> None:
        super().__init__()
        self.slot, self.other, self.before = slot, other, before
        self.value: torch.Tensor | None = None

    def __torch_function__(self, func, types, args=(), kwargs=None):
        key, options = site(func, theirs()), kwargs or {}
        if key == self.other[0] and self.other[1] >= 0:
            self.value = args[self.other[1]].detach()
        if key != self.slot[0]:
            y = func(*args, **options)
        else:
            now = self.value
            y = derived_at(func, args, options, {self.slot[1]: lambda: now if self.before else self.value})
        if key == self.other[0] and self.other[1] < 0:
            self.value = y.detach()
        return y


def _of_other_values(calls: Sequence[Call]) -> Iterator[Mistake]:
    """Another value of the same shape, that this one was made of, or that was made of it."""
    made, count, first = {id(c.y): c for c in calls}, Counter(c.key for c in calls), dict[Key, Call]()
    for c in calls:
        first.setdefault(c.key, c)
    tried = 0
    for c in first.values():
        for i, a in enumerate(c.args):
            if not isinstance(a, torch.Tensor) or not a.is_floating_point() or a.ndim == 0:
                continue
            for other, text, before in (*_before(a, made), *_after(a, calls, count)):
                if (tried := tried + 1) > MOST:
                    return
                told = f"In {c.text} backward takes {text} where forward has {c.operands[i]}."
                relation = f"yours = right with {text} for {c.operands[i]} in the derivative of {c.text}"
                remedy = f"keep {c.operands[i]} of forward in the cache, and use that"
                mode = partial(Elsewhere, (c.key, i), other, before)
                yield Mistake(c.key, _as_it_is, told, relation, remedy, mode=mode)


def _before(a: torch.Tensor, made: Mapping[int, Call]) -> Iterator[tuple[Slot, str, bool]]:
    """What a value was made of."""
    level = [a]
    for _ in range(DEEP):
        makers = [made[id(t)] for t in level if id(t) in made]
        level = []
        for m in makers:
            for k, t in enumerate(m.args):
                if isinstance(t, torch.Tensor) and t.shape == a.shape and t.is_floating_point():
                    level.append(t)
                    yield (m.key, k), m.operands[k], True


def _after(a: torch.Tensor, calls: Sequence[Call], count: Mapping[Key, int]) -> Iterator[tuple[Slot, str, bool]]:
    """What was made of it, where that is made once."""
    for c in calls:
        if any(t is a for t in c.args) and c.y.shape == a.shape and count[c.key] == 1:
            yield (c.key, -1), c.text, False


class OneUse(TorchFunctionMode):
    """Of all places that take a value one alone gives it a gradient."""

    def __init__(self, others: Sequence[Slot]) -> None:
        super().__init__()
        self.others = set(others)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        key = site(func, theirs())
        cut = (a.detach() if (key, i) in self.others and differs(a) else a for i, a in enumerate(args))
        return func(*cut, **(kwargs or {}))


def _of_uses(calls: Sequence[Call]) -> Iterator[Mistake]:
    """A value that is used three times or more, of which one use is counted."""
    uses: dict[int, dict[Slot, Call]] = defaultdict(dict)
    for c in calls:
        for i in c.differing:
            uses[id(c.args[i])].setdefault((c.key, i), c)
    for of in uses.values():
        of = {slot: c for slot, c in of.items() if slot[0][1] is not None}  # what stands in their code
        for slot, c in of.items() if len(of) > 2 else ():
            what = c.operands[slot[1]]
            text = f"Of the {len(of)} places that take {what} only {c.text} gives it a gradient."
            relation = f"yours = right with {what}.detach() at all places but {c.text}"
            mode = partial(OneUse, [s for s in of if s != slot])
            yield Mistake(c.key, _as_it_is, text, relation, "gradients by several paths add up", mode=mode)


class OneScaled(TorchFunctionMode):
    """One operand of a place gets its gradient times a power of a constant that stands at another place."""

    def __init__(self, slot: Slot, scale: Slot, power: int) -> None:
        super().__init__()
        self.slot, self.scale, self.power, self.c = slot, scale, power, 1.0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        key, options = site(func, theirs()), kwargs or {}
        if key == self.scale[0]:
            self.c = float(args[self.scale[1]]) ** self.power
        if key != self.slot[0]:
            return func(*args, **options)
        i = self.slot[1]
        y = func(*(a.detach() if k == i else a for k, a in enumerate(args)), **options)
        call = Call(key, "", (), func, args, options, y)
        return going_back(args[i], y, lambda dy: self.c * call.pulled(dy, i))


def _of_scales(calls: Sequence[Call]) -> Iterator[Mistake]:
    """A factor behind a product, of which one operand's gradient knows nothing."""
    scales = {c.key: (c, 1 - c.differing[0]) for c in calls if c.name in SCALES and len(c.args) == 2 and
              len(c.differing) == 1 and _is_number(c.args[1 - c.differing[0]])}  # fmt: skip
    for c in {
        c.key: c for c in calls if c.name in ("matmul", "einsum", "mul", "bmm") and len(c.differing) == 2
    }.values():
        for i, (s, k), power in ((i, s, p) for i in c.differing for s in scales.values() for p in (-1, 1)):
            word = "without" if power * SCALES[s.name] < 0 else "twice with"
            operand = c.operands[i]
            text = (
                f"In {c.text} the gradient of {operand}, and of no other operand, comes {word} the factor of {s.text}."
            )
            relation = f"yours = right with the gradient of {operand} in {c.text} {word} the factor of {s.text}"
            yield Mistake(c.key, _as_it_is, text, relation, "both operands get the same dz, with the factor in it",
                          mode=partial(OneScaled, (c.key, i), (s.key, k), power))  # fmt: skip


def _is_number(a: Any) -> bool:
    return isinstance(a, (int, float)) or (isinstance(a, torch.Tensor) and a.numel() == 1)


class Divided(TorchFunctionMode):
    """What is a sum divided by a number goes back as divided by how many entries are summed, or rows of them."""

    def __init__(self, slot: Key, summed: Key, rows: bool) -> None:
        super().__init__()
        self.slot, self.summed, self.rows, self.n = slot, summed, rows, 1

    def __torch_function__(self, func, types, args=(), kwargs=None):
        key, options = site(func, theirs()), kwargs or {}
        if key == self.summed:
            self.n = len(args[0]) if self.rows else args[0].numel()
        if key != self.slot:
            return func(*args, **options)
        n = self.n
        return going_back(args[0], func(args[0].detach(), *args[1:], **options), lambda dy: dy / n)


def _of_means(calls: Sequence[Call]) -> Iterator[Mistake]:
    """A mean with weights, or of what a mask keeps, whose gradient is that of a plain mean."""
    made = {id(c.y): c for c in calls}
    for c in {c.key: c for c in calls if SCALES.get(c.name) == -1 and 0 in c.differing}.values():
        of = made.get(id(c.args[0]))
        if of is None or of.name != "sum" or c.y.numel() != 1 or not differs(of.args[0]):
            continue
        for rows in (False, True):
            what = f"the {'length' if rows else 'number of all entries'} of what is summed"
            text = f"Backward divides by {what}, where {c.text} divides by {c.operands[1]}."
            relation = f"yours = right with {what} for {c.operands[1]} in the gradient"
            remedy = f"divide by {c.operands[1]}, as forward does: the sum of the weights, or how many are kept"
            yield Mistake(c.key, _as_it_is, text, relation, remedy, mode=partial(Divided, c.key, of.key, rows))
