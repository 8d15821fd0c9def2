"""What verification costs: the same cases verified, and what torch alone takes for them, case by case, as a ratio.

python tests/benchmarks/verification.py --cases 300

Torch alone: the twin of the network made, one pass forward and back, the same optimizer made and the same steps taken,
in float64, on numbers that are given. Verified: the numbers drawn, both sides, every array compared, updates included,
coverage goals. Processor time of one thread, in turns, so that other work on the machine counts little.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from reference.compare.comparison import compare
from reference.draw import goals
from reference.draw.architectures import Drawn
from reference.draw.case import Case
from reference.draw.steps import Steps, in_two_groups, of_network
from reference.draw.trial import Trial
from reference.plan import Plan, classes_of
from reference.sides.hand import Hand
from reference.sides.module import twin_of
from reference.sides.run import GRADIENT, of_role
from reference.sides.steps import TorchUpdates
from reference.verify import check, draw_case


def drawn(count: int, seed: int) -> list[Case]:
    """The cases that `manualbp verify` draws first."""
    plan = Plan(count, seed)
    cases = (draw_case(plan, classes_of(plan), i, Drawn((seed, i))) for i in range(count))
    return [case for case in cases if case is not None]


def given(case: Case) -> tuple[Trial, Steps]:
    """The numbers that torch is given."""
    trial = case.trial()
    found = compare(Hand(case.layer, case.seed), twin_of(case.layer, case.seed), trial)
    assert case.optimizer is not None
    return trial, of_network(trial, of_role(found.runs[0], GRADIENT), in_two_groups(case.optimizer), case.exact)


def torch_alone(case: Case, trial: Trial, steps: Steps) -> None:
    assert case.optimizer is not None
    twin_of(case.layer, case.seed).run(trial)
    TorchUpdates(in_two_groups(case.optimizer)).run(steps, np.float64)


def verified(case: Case) -> None:
    check(case, trial=goals.reached(case)[0])


def seconds(f, *arguments) -> float:
    start = time.process_time()
    f(*arguments)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = drawn(options.cases, options.seed)
    numbers = [given(case) for case in cases]
    ratios = []
    for turn in range(options.turns + 1):
        each = [(seconds(torch_alone, c, *n), seconds(verified, c)) for c, n in zip(cases, numbers, strict=True)]
        alone, both = map(sum, zip(*each, strict=True))
        if turn:  # the first one imports what torch imports late
            ratios.append(both / alone)
            print(f"torch alone {alone / len(cases) * 1e3:.2f} ms, verified {both / len(cases) * 1e3:.2f} ms a case")
    print(f"{len(cases)} cases: verified over torch alone {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
