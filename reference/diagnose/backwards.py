"""Mistakes made inside of the function intended: one of its calls whose own backward is written in another way.

As in `calls` its torch code runs as it is, but for one place, or for all places of one kind. What gives all of your
gradients back, in every trial, is the mistake.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from ..draw.trial import Trial
from ..sides.clash import parsed_of, parts, span
from ..sides.function import Function
from ..sides.side import Side
from .backward_calls import Call, Kind, differs
from .backward_kinds import kinds
from .backward_states import of_states
from .calls import Key, Mistake, gives, site, suspect_of, theirs
from .evidence import Evidence, Suspect

MOST = 60  # places that are looked at
OF_NUMBERS = ("shape", "ndim", "size", "numel", "item")  # of a tensor, and none
UNREAD = re.compile(r"\boperand \d")  # where the code is not at hand there is no name for what is meant
EXPRESSIONS = (ast.BinOp, ast.AugAssign, ast.Call, ast.Subscript, ast.UnaryOp)


class Noted(TorchFunctionMode):
    """Notes every call by which a gradient goes back, and how often it is made."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        options = kwargs or {}
        y = func(*args, **options)
        if isinstance(y, torch.Tensor) and y.requires_grad and any(map(differs, _flat(args))):
            frame = theirs()
            self.calls.append(Call(site(func, frame), *_written(func, frame, args), func, args, options, y))
        return y

    def each(self) -> dict[Key, Call]:
        """One of every place, the last: the state that a loop begins with may be a constant."""
        return {c.key: c for c in self.calls}


def _flat(args: tuple) -> Iterator[Any]:
    """What is called with, and what stands in lists of it, as those of torch.cat."""
    for a in args:
        yield from a if isinstance(a, (list, tuple)) else (a,)


def _written(func: Any, frame: Any, args: tuple) -> tuple[str, tuple[str, ...]]:
    """The text of a call, and of its operands, as they stand in the code."""
    plain = f"torch's {getattr(func, '__name__', 'call').strip('_')}", tuple(f"operand {i}" for i in range(len(args)))
    if frame is None:
        return plain
    line, end, column, last = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    at = line, column, end, last
    node = next((n for n in ast.walk(parsed_of(frame)) if span(n) == at and isinstance(n, EXPRESSIONS)), None)
    if node is None:
        return plain
    operands = (node.value, node.slice) if isinstance(node, ast.Subscript) else parts(node, frame)
    told = tuple(ast.unparse(n) for n in operands)
    if isinstance(node, ast.BinOp) and _turned(node, frame, args):  # 2 * x calls x.mul(2)
        told = told[::-1]
    return ast.unparse(node), (*told, *plain[1][len(told) :])


def _turned(node: ast.BinOp, frame: Any, args: tuple) -> bool:
    """Does the right operand of the text come first in the call, since the left one is no tensor?"""
    values = frame.f_globals | frame.f_locals

    def of_tensors(n: ast.AST) -> bool:
        if isinstance(n, ast.Attribute) and n.attr in OF_NUMBERS:
            return False
        if isinstance(n, ast.Name):
            return isinstance(values.get(n.id), torch.Tensor)
        return any(map(of_tensors, ast.iter_child_nodes(n)))

    one = len(args) == 2 and isinstance(args[0], torch.Tensor) and not isinstance(args[1], torch.Tensor)
    return one and of_tensors(node.right) and not of_tensors(node.left)


def of_backwards(torch: Side | None, failed: Sequence[tuple[Trial, Sequence[Evidence]]]) -> tuple[Suspect, ...]:
    """The first of these mistakes that gives back all numbers of all trials of real numbers.

    failed: trials, with the wrong tensors of each
    """
    real = [(trial, of) for trial, of in failed if of and not trial.integers and not trial.large]
    real.sort(key=lambda pair: pair[0].size)
    if not isinstance(torch, Function) or not real or any(e.forward for _, of in real for e in of):
        return ()
    try:
        with np.errstate(all="ignore"):
            told = (m for m in _mistakes(torch, real) if not UNREAD.search(m.text))
            found = next((m for m in told if _gives(m, torch, real)), None)
    except Exception:  # code that takes no other backward: then there is no such mistake
        return ()
    return () if found is None else (suspect_of(found, [e for _, of in real for e in of]),)


def _gives(mistake: Mistake, torch: Function, real: Sequence[tuple[Trial, Sequence[Evidence]]]) -> bool:
    try:
        return all(gives(mistake, torch, *each) for each in real)
    except Exception:  # what it makes fits nowhere
        return False


def _mistakes(torch: Function, real: Sequence[tuple[Trial, Sequence[Evidence]]]) -> Iterator[Mistake]:
    """At one place each, then at all of a kind, then those of a state that goes round a loop."""
    with Noted() as noted:
        torch.run(real[-1][0])  # of several turns of a loop, if any is
    groups: dict[str, list[tuple[Call, Kind]]] = defaultdict(list)
    for call in list(noted.each().values())[:MOST]:
        for kind in kinds(call, noted.calls):
            groups[kind.group].append((call, kind))
            yield _at([call], kind)
    for of in groups.values():
        if len(of) > 1:
            yield _at([call for call, _ in of], of[0][1])
    yield from of_states(noted.calls)


def _at(calls: Sequence[Call], kind: Kind) -> Mistake:
    """The mistake at these places."""
    first, *rest = (c.key for c in calls)
    where = " and in ".join(dict.fromkeys(c.text for c in calls))
    return Mistake(
        first, kind.change, kind.text.replace("{place}", where), kind.relation, kind.remedy, kind.fault,
        frozenset(rest),
    )  # fmt: skip
