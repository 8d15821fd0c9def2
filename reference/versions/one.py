"""One case beside the torch that is installed, as a line of JSON: `python -m reference.versions.one "Case(…)"`."""

import json
import sys

import torch

from ..draw.case import Case
from ..draw.expression import parse
from ..report.screen import place_of
from ..verify import check


def case_of(text: str) -> Case:
    """The case that a text is; a ValueError for any other."""
    case = parse(text)
    if not isinstance(case, Case):
        raise ValueError(f'a case is wanted, as in "Case(Linear(2, 3), (4, 2), seed=1)"; it got {text}')
    return case


def outcome(text: str) -> dict[str, str]:
    """The verdict, and the first tensor that differs."""
    found = check(case_of(text))
    first = found.wrong[0] if found.wrong else None
    return {
        "torch": torch.__version__,
        "verdict": found.verdict,
        "what": f"{first.name}: {place_of(first)}" if first else "",
    }


if __name__ == "__main__":
    print(json.dumps(outcome(sys.argv[1])))
