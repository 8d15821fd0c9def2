"""How often does a check call a right gradient wrong? `python tests/benchmarks/false_alarms.py --functions 10000`

Each function is a random layer or network of the project with its hand-written backward, given to the checker as
somebody's own: with torch as what was intended, a third by the differences of its own forward. Among them what looks
wrong and is not: a bias before BatchNorm, LayerNorm over one or two entries, softmax of one class, saturated sigmoids,
huge and tiny scales, float32, small integers.
"""

import argparse
import warnings
from collections import Counter

import numpy as np
import torch
from rich.progress import track

import manualbp as m
from manualbp.base import registry
from reference.check import on_case
from reference.draw.architectures import Drawn, case_of, network, seed_of
from reference.draw.case import Case
from reference.sides import record
from reference.sides.module import twin_of

ODD = (
    (m.Sequential(m.Linear(3, 4), m.BatchNorm1d(4)), (5, 3)),
    (m.LayerNorm(1), (4, 1)),
    (m.LayerNorm(2), (4, 2)),
    (m.Sequential(m.Linear(3, 1), m.Softmax(-1)), (4, 3)),
    (m.Sequential(m.Linear(3, 4), m.Sigmoid(), m.Sigmoid()), (5, 3)),
    (m.Sequential(m.Linear(3, 4), m.Tanh(), m.Linear(4, 2), m.LogSoftmax(-1)), (5, 3)),
)


def drawn(i: int) -> Case | None:
    """The i-th function: a class in its turn, alone or in a network, or one of the odd ones."""
    choose, classes = Drawn((4242, i)), list(registry().values())
    scale, dtype = choose(1.0, 1e-3, 30.0, 0.1), choose("float64", "float64", "float32")
    if i % 7 == 0:
        layer, shape = ODD[choose(*range(len(ODD)))]
        return Case(layer, shape, i, dtype=dtype, scale=scale)
    if i % 7 < 5:
        return case_of(choose, classes[i % len(classes)], exact=choose(False, False, True), dtype=dtype)
    return Case(*network(choose), seed_of(choose), dtype=dtype, scale=min(scale, 1.0))


def has_derivative(case: Case) -> bool:
    """Is backward the derivative of forward, on these data and in every layer? Torch's choice is not always."""
    params, x, _ = case.data()
    inside = record.inputs(case.layer, params, x, case.seed)
    return not case.exact and all(part.is_gradient and part.derives(given) for _, part, given, _ in inside)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--functions", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    counts: dict[bool, Counter] = {False: Counter(), True: Counter()}
    for i in track(range(given.first, given.first + given.functions)):
        if (case := drawn(i)) is not None and np.prod(case.shape) < 500:
            alone = i % 3 == 0 and has_derivative(case)
            report = on_case(case, torch=None if alone else twin_of(case.layer, case.seed))
            counts[alone][report.verdict] += 1
            if report.verdict in ("wrong", "convention"):
                print(f"FALSE ALARM {i}: {case!r}\n{report}")
    for way, found in zip(("beside torch", "by differences alone"), (counts[False], counts[True])):
        alarms = found["wrong"] + found["convention"]
        print(f"{way}: {alarms} false alarms in {sum(found.values())} right functions: {dict(found)}")


if __name__ == "__main__":
    main()
