"""Products of three matrices, or of a matrix and a vector: of other factors, transposed, or one path of two."""

import itertools
from collections.abc import Iterator

import numpy as np

from manualbp.base import Array

from .seen import Finding, Found, Seen

MOST = 400  # entries of a factor
FACTORS = 4  # arrays that are multiplied with one another
PLAIN = (1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # coefficients that are no accident


def chain(s: Seen) -> Found:
    """yours = c · A B C, or c · A v."""
    if not s.comparable or s.right.ndim not in (1, 2) or s.multiple is not None or s.right.size < 3:
        return
    tried = dict(_of_vectors(s) if s.right.ndim == 1 else _of_matrices(s))
    yours = [(c, n) for n, a in tried.items() if (c := _coefficient(s, s.yours, a)) and s.informative(a)]
    if not yours:
        return
    right = _right(s, tried)
    for c, n in yours:
        relation = f"yours = {_times(c, n)}" + f", right = {right}" * bool(right)
        text = f"The gradient is {_times(c, n)}" + f" where it is {right}" * bool(right) + "."
        yield Finding(relation, None, 0.8 if right else 0.6, "", text, "compare with your derivation, factor by factor")


def _right(s: Seen, tried: dict[str, Array]) -> str:
    """What right is: one of these products, or the sum of two."""
    for n, a in tried.items():
        if c := _coefficient(s, s.right, a):
            return _times(c, n)
    for (n, a), (m, b) in itertools.combinations(tried.items(), 2):
        if s.is_right(s.scale * (a + b)):
            return f"{n} + {m}"
    return ""


def _coefficient(s: Seen, whole: Array, a: Array) -> float | None:
    """c with whole = c · a times the upstream gradient of a number, if c is a plain one."""
    c = s.constant(whole, a)
    c = None if c is None else c / s.scale
    return next((p for p in PLAIN if c is not None and abs(c - p) <= 1e-9), None)


def _times(c: float, n: str) -> str:
    return {1.0: "", -1.0: "−", 0.5: "½ · ", -0.5: "−½ · "}.get(c, f"{c:g} · ".replace("-", "−")) + n


def _turned(s: Seen) -> list[tuple[str, Array]]:
    """Matrices known, as they are and transposed."""
    known = [(n, a) for n, a in s.known.items() if a.ndim == 2 and a.size <= MOST][:FACTORS]
    return [(n + t, a.T if t else a) for n, a in known for t in ("", "ᵀ")]


def _of_vectors(s: Seen) -> Iterator[tuple[str, Array]]:
    vectors = [(n, v) for n, v in s.known.items() if v.ndim == 1 and v.size <= MOST]
    for (n, a), (m, v) in itertools.product(_turned(s), vectors):
        if a.shape == (s.right.size, v.size):
            yield f"{n} {m}", a @ v


def _of_matrices(s: Seen) -> Iterator[tuple[str, Array]]:
    for (n, a), (m, b) in itertools.product(_turned(s), repeat=2):
        if a.shape[1] != b.shape[0] or a.shape[0] != s.right.shape[0]:
            continue
        for k, c in _turned(s):
            if (b.shape[1], s.right.shape[1]) == c.shape and np.isfinite(product := a @ b @ c).all():
                yield f"{n} {m} {k}", product


FEATURES = (chain,)
