"""What a check of a function of a million numbers costs: python tests/benchmarks/check_cost.py

In forward and backward passes of the slower side, the candidate or torch, and in the memory of such a pass: at its
peak, with the data that both take and without them. Each line is a process.
"""

import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from rich.console import Console
from rich.table import Table

from reference import check_function

DRAW = np.random.default_rng(0).standard_normal


def affine(x: Any, w: Any, b: Any) -> Any:
    return x @ w.T + b, (x, w)


def affine_back(dy: Any, cache: Any) -> Any:
    x, w = cache
    return dy @ w, dy.T @ x, dy.sum(0)


def doubled(dy: Any, cache: Any) -> Any:
    dx, dw, db = affine_back(dy, cache)
    return dx, 2 * dw, db


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    s = e / e.sum(-1, keepdims=True)
    return s, s


def softmax_back(dy: Any, s: Any) -> Any:
    return s * (dy - (dy * s).sum(-1, keepdims=True))


def tanh(x: Any) -> Any:
    return (y := np.tanh(x)), y


def tanh_back(dy: Any, y: Any) -> Any:
    return dy * (1 - y * y)


Line = tuple[Callable, Callable, Callable | None, dict[str, tuple[int, ...]]]  # forward, backward, against, shapes
AFFINE, X = {"x": (1000, 1000), "w": (200, 1000), "b": (200,)}, {"x": (1000, 1000)}
LINES: dict[str, Line] = {
    "affine": (affine, affine_back, F.linear, AFFINE),
    "affine, dw doubled": (affine, doubled, F.linear, AFFINE),
    "affine, by its own forward": (affine, affine_back, None, AFFINE),
    "affine, dw doubled, by its own forward": (affine, doubled, None, AFFINE),
    "softmax": (softmax, softmax_back, lambda x: F.softmax(x, -1), X),
    "softmax, diagonal only": (softmax, lambda dy, s: s * (1 - s) * dy, lambda x: F.softmax(x, -1), X),
    "tanh": (tanh, tanh_back, torch.tanh, X),
    "tanh, a wrong slope": (tanh, lambda dy, y: dy * (1 - y), torch.tanh, X),
    "tanh, a wrong forward": (lambda x: tanh(2 * x), tanh_back, torch.tanh, X),
}


def peak() -> int:
    """Bytes that this process has taken at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def passes(name: str) -> dict[str, float]:
    """Seconds and bytes of a pass of the slower side."""
    forward, backward, against, shapes = LINES[name]
    arrays = {n: DRAW(s) for n, s in shapes.items()}
    dy = DRAW(np.shape(forward(*arrays.values())[0]))
    tensors, upstream = [torch.tensor(a, requires_grad=True) for a in arrays.values()], torch.tensor(dy)

    def by_hand() -> None:
        backward(dy, forward(*arrays.values())[1])

    def by_torch() -> None:
        if against:
            against(*tensors).backward(upstream)

    start = peak()
    seconds = [statistics.median(_time(side) for _ in range(9)) for side in (by_hand, by_torch)]
    return {"seconds": max(seconds), "bytes": peak() - start}


def check(name: str) -> dict[str, Any]:
    """Seconds of a check, the median of three, its bytes, and what it says."""
    forward, backward, against, shapes = LINES[name]
    arrays = {n: DRAW(s) for n, s in shapes.items()}

    def checked(inputs: dict[str, Any]) -> dict[str, Any]:
        report = check_function(forward, backward, against=against, inputs=inputs)
        return {"verdict": report.verdict, "suspect": report.suspects[0].fault if report.suspects else None}

    checked({n: a[tuple(slice(0, 6) for _ in a.shape)] for n, a in arrays.items()})  # imports and first calls
    start = peak()
    seconds = statistics.median(_time(lambda: checked(arrays)) for _ in range(3))
    return checked(arrays) | {"seconds": seconds, "bytes": peak() - start}


def _time(f: Callable) -> float:
    before = time.perf_counter()
    f()
    return time.perf_counter() - before


def main() -> None:
    torch.set_num_threads(1)
    if len(sys.argv) > 2:
        print(json.dumps({"pass": passes, "check": check}[sys.argv[1]](sys.argv[2])))
        return
    table = Table("function", "verdict", "suspect", "a pass", "passes of a check", "memory", "without data")
    for name in LINES:
        one, whole = (_of_process(kind, name) for kind in ("pass", "check"))
        data = 8 * sum(map(math.prod, LINES[name][-1].values()))
        memory = ((whole["bytes"] + more) / (one["bytes"] + more) for more in (data, 0))
        cells = f"{whole['seconds'] / one['seconds']:.1f}", *(f"{ratio:.1f}" for ratio in memory)
        table.add_row(name, whole["verdict"], whole["suspect"] or "–", f"{1e3 * one['seconds']:.0f} ms", *cells)
    Console().print(table)


def _of_process(kind: str, name: str) -> dict[str, Any]:
    out = subprocess.run([sys.executable, __file__, kind, name], capture_output=True, text=True, check=True).stdout
    return json.loads(out)


if __name__ == "__main__":
    main()
