"""Failures that are alike: one bucket for each signature, with its smallest case."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from manualbp.base import Layer

from ..sides.run import UPDATE
from ..tally import Failure


class Signature(NamedTuple):
    """What two failures must share to be taken for one.

    side          which is wrong: "backward", "forward", "both", "against", "update", or "unknown"
    culprit       the class that has the first wrong tensor
    relation      the mistake that it looks like, or its algebra without numbers
    architecture  the classes of the shrunk network
    """

    verdict: str
    side: str
    culprit: str
    relation: str
    architecture: str


@dataclass(frozen=True)
class Bucket:
    signature: Signature
    smallest: Failure
    count: int


def buckets(failures: Iterable[Failure]) -> list[Bucket]:
    """The fullest first."""
    alike: dict[Signature, list[Failure]] = defaultdict(list)
    for failure in failures:
        alike[signature(failure)].append(failure)
    found = [Bucket(s, min(them, key=_size), len(them)) for s, them in alike.items()]
    return sorted(found, key=lambda b: (-b.count, b.signature))


def signature(failure: Failure) -> Signature:
    case, wrong = failure.case, failure.comparison.wrong
    updates = bool(wrong) and all(t.of.role == UPDATE for t in wrong)
    culprit = type(case.optimizer).__name__ if updates else _owner(case.layer, [t.of.path for t in wrong])
    side = "update" if updates else failure.report.wrong_side or "unknown"
    return Signature(failure.comparison.verdict, side, culprit, _relation(failure), architecture(case.layer))


def architecture(layer: Layer) -> str:
    """The classes of a network, nested as they are, without their options."""

    def classes(node: ast.AST) -> list[str]:
        inside = [name for child in ast.iter_child_nodes(node) for name in classes(child)]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return [f"{node.func.id}({', '.join(inside)})" if inside else node.func.id]
        return inside

    return ", ".join(classes(ast.parse(repr(layer), mode="eval")))


def _owner(layer: Layer, paths: Iterable[str]) -> str:
    """The class inside a network that has the first of these tensors which is a part's, else that of the whole."""
    parts = dict(layer.walk())
    for path in paths:
        while path := path.rpartition(".")[0]:
            if path in parts:
                return type(parts[path]).__name__
    return type(layer).__name__


def _relation(failure: Failure) -> str:
    suspect = next(iter(failure.report.suspects), None)
    return re.sub(r"\d[\d.e+-]*", "#", suspect.relation) if suspect else "none known"


def _size(failure: Failure) -> tuple[int, int, str]:
    text = repr(failure.case)
    return text.count("("), len(text), text
