"""How often right kernels of few bits are called wrong, and how often wrong ones are seen.

    python tests/benchmarks/low_precision.py [--draws 60] [--dtype bfloat16] [--seed 0]

LayerNorm, RMSNorm, softmax, attention, SwiGLU and cross entropy, on inputs of scale 0.05, 1 and 5. Right kernels are
torch's own, one that is written step by step, and one that computes in float32 inside. The faults are put into the
first gradient: one of its rows off by 3 %, all of it off by 1 %.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from reference.compare.low import Low, compare_low
from reference.draw.trial import Trial
from reference.sides.eager import Eager, Rounding
from reference.sides.formats import rounded
from reference.sides.function import Function
from reference.sides.run import GRADIENT, Name, Run
from reference.sides.side import Side

SCALES = (0.05, 1.0, 5.0)


def layer_norm(x, w, b):
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + 1e-5) * w + b


def rms_norm(x, w):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * w


def softmax(x):
    e = torch.exp(x - x.detach().amax(-1, keepdim=True))
    return e / e.sum(-1, keepdim=True)


def attention(q, k, v):
    return softmax(q @ k.mT / q.shape[-1] ** 0.5) @ v


def swiglu(a, b):
    return a / (1 + torch.exp(-a)) * b


def cross_entropy(x, t):
    top = x.detach().amax(-1, keepdim=True)
    return (torch.log(torch.exp(x - top).sum(-1)) + top[:, 0] - x.gather(-1, t[:, None])[:, 0]).mean()


@dataclass(frozen=True)
class Operation:
    """The function intended, the same step by step, and inputs of it."""

    name: str
    intended: Callable
    steps: Callable
    draw: Callable


def operations() -> list[Operation]:
    def normed(rng, n, d, scale):
        return scale * rng.standard_normal((n, d)), 1 + 0.5 * rng.standard_normal(d), rng.standard_normal(d)

    def heads(rng, n, d, scale):
        return tuple(scale * rng.standard_normal((2, n, d)) for _ in range(3))

    def classes(rng, n, d, scale):
        return scale * rng.standard_normal((n, d)), rng.integers(0, d, n)

    return [
        Operation("LayerNorm", lambda x, w, b: F.layer_norm(x, w.shape, w, b), layer_norm, normed),
        Operation("RMSNorm", lambda x, w: F.rms_norm(x, w.shape, w, 1e-6), rms_norm, lambda *a: normed(*a)[:2]),
        Operation("softmax", lambda x: F.softmax(x, -1), softmax, lambda *a: normed(*a)[:1]),
        Operation("attention", F.scaled_dot_product_attention, attention, heads),
        Operation("SwiGLU", lambda a, b: F.silu(a) * b, swiglu, lambda *a: heads(*a)[:2]),
        Operation("cross entropy", F.cross_entropy, cross_entropy, classes),
    ]


def in_float32(f: Callable) -> Callable:
    """f computed in float32, its result rounded to what goes in."""

    def call(*x):
        return f(*(t.float() if t.is_floating_point() else t for t in x)).to(x[0].dtype)

    return call


@dataclass(frozen=True)
class Faulty(Side):
    """A side with the first gradient off by a factor."""

    of: Side
    factor: Any
    dtype: str

    def run(self, trial: Trial) -> Run:
        first = Name(GRADIENT, next(iter(trial.arrays)))
        found = self.of.run(trial)
        return found | {first: rounded(found[first] * self.factor, self.dtype)}


def one_row(g):
    """3 % in the row of the median norm."""
    rows = np.linalg.norm(g, axis=-1)
    return np.where(rows == np.sort(rows, None)[rows.size // 2], 1.03, 1.0)[..., None]


FAULTS = {"one row off by 3 %": one_row, "all off by 1 %": lambda g: 1.01}


def draws(op: Operation, count: int, dtype: str, seed: int) -> Iterator[tuple[Trial, Low, dict[str, Side]]]:
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        n, d = int(rng.integers(4, 33)), int(rng.integers(8, 65))
        arrays = op.draw(rng, n, d, SCALES[i % len(SCALES)])
        low = Low(dtype, (Eager(op.intended, format=dtype), Rounding(op.intended, format=dtype)))
        trial = Trial({f"x{k}": np.asarray(a) for k, a in enumerate(arrays)}, seed=i)
        y = np.asarray(Function(op.intended).outputs(trial))
        right = {"eager": op.intended, "step by step": op.steps, "float32 inside": in_float32(op.intended)}
        sides: dict[str, Side] = {k: Eager(f, format=dtype) for k, f in right.items()}
        yield low.rounded(Trial(trial.x, seed=i, dy=rng.standard_normal(y.shape))), low, sides


def measured(op: Operation, count: int, dtype: str, seed: int) -> Counter:
    """How many were judged, called wrong, seen, inconclusive."""
    found: Counter = Counter()
    golden = Function(op.intended)
    for i, (trial, low, sides) in enumerate(draws(op, count, dtype, seed)):
        for name, side in sides.items():
            wrong = compare_low(side, golden, low, trial).wrong
            found[name, "judged"] += 1
            found[name, "wrong"] += bool(wrong)
            for t in wrong:
                print(f"  {op.name}, draw {i}, {name}: {t.name} err/bound {t.ratio:.3g} {t.what}", flush=True)
        base, of = list(sides.values())[i % len(sides)], Name(GRADIENT, next(iter(trial.arrays)))
        for name, factor in FAULTS.items():
            seen = compare_low(Faulty(base, factor(golden.run(trial)[of]), dtype), golden, low, trial)
            first = next(t for t in seen.tensors if t.of == of)
            if first.ok:
                told = f"unseen in draw {i}, scale {SCALES[i % len(SCALES)]}, power {first.power or 0:.0%}"
                print(f"  {op.name}, {name}: {told}", flush=True)
            found[name, "judged"] += 1
            found[name, "seen"] += not first.ok
            found[name, "inconclusive"] += first.ok and first.power is None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    total: Counter = Counter()
    for op in operations():
        found = measured(op, asked.draws, asked.dtype, asked.seed)
        total += found
        print(f"{op.name:14}", *told(found), sep="  ", flush=True)
    print(f"{'all':14}", *told(total), sep="  ")


def told(found: Counter) -> Iterator[str]:
    right = [n for n, what in found if what == "judged" and n not in FAULTS]
    yield f"right called wrong {sum(found[n, 'wrong'] for n in right)} of {sum(found[n, 'judged'] for n in right)}"
    for name in FAULTS:
        seen, n, unknown = (found[name, what] for what in ("seen", "judged", "inconclusive"))
        rest = f"{unknown} inconclusive, {seen / max(n - unknown, 1):.1%} of the rest"
        yield f"{name}: seen {seen} of {n} ({seen / n:.1%}; {rest})"


if __name__ == "__main__":
    main()
