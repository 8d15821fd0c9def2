"""Code as people write it: right code passes, wrong code does not, and nothing false is said about it."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from people import (
    alone,
    courses,
    far,
    frameworks,
    functions,
    mistakes,
    mistakes_further,
    mistakes_inside,
    mistakes_of_shape,
    nested,
    objects,
    objects_in_torch,
    pairs,
    shapes,
    sizes,
    strangers,
    trials,
)

from reference import check_function

ROOT = Path(__file__).parents[1]
MODULES = (
    alone, far, pairs, nested, objects, objects_in_torch, functions, shapes, trials, sizes, strangers, courses,
    frameworks, mistakes_further,
)  # fmt: skip
OF_MISTAKES = mistakes, mistakes_further, mistakes_inside, mistakes_of_shape
MISTAKES = [person for module in OF_MISTAKES for person in module.MISTAKES]
PEOPLE = [person for module in MODULES for person in module.PEOPLE]


def told(person):
    """The report, and all that is read in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return check_function(*person.arguments, title=person.name, **person.options)


def marked(person):
    marks = [pytest.mark.xfail(strict=True, reason=person.todo)] if person.todo else []
    return pytest.param(person, id=person.name, marks=marks)


@pytest.mark.parametrize("person", [marked(p) for p in PEOPLE])
def test_people(person):
    if person.verdict == "error":
        with pytest.raises(ValueError, match=f"(?s){person.says}"):
            told(person)
        return
    report = told(person)
    if person.verdict == "right":
        assert report.verdict in ("identical", "rounding"), report
    else:
        assert report.verdict == person.verdict, report
    if person.side:
        assert report.wrong_side == person.side, report
    if person.says:
        assert re.search(person.says, str(report)), report
    if person.never:
        assert not re.search(person.never, "\n".join(map(str, report.suspects))), report


def test_the_corpus_is_large_and_has_both_kinds():
    assert len({p.name for p in PEOPLE}) == len(PEOPLE) >= 100
    assert sum(p.verdict == "right" for p in PEOPLE) >= 60
    assert sum(p.verdict == "wrong" for p in PEOPLE) >= 30


def test_a_check_leaves_nothing_behind(tmp_path):
    text = """
import numpy as np, torch
from hypothesis import strategies as st
from reference import check_function
x = st.integers(1, 4).map(lambda n: np.ones((n, 3)))
assert check_function(np.tanh, lambda dy, x: dy * (1 - np.tanh(x) ** 2), against=torch.tanh, inputs={"x": x})
"""
    path = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", text], cwd=tmp_path, env=path, check=True)
    assert not list(tmp_path.iterdir())


def test_float32_inside_is_coarse_where_differences_decide():
    assert check_function(alone.in_float32, alone.float32_back, inputs=alone.XW).verdict == "coarse"
    assert check_function(alone.in_float32, alone.float32_back, inputs=alone.XW, dtype="float32")


FALSE = "Your function is|bridge|residual block"  # sentences that would be false of every mistake here


def explained(person):
    """Is it named or explained by a true fact? And the names that are false."""
    report = told(person)
    assert report.verdict in ("wrong", "coarse"), report
    text = "\n".join(s.text for s in report.suspects)
    false = [s.fault for s in report.suspects if s.fault and not re.fullmatch(person.ids or "-", s.fault.split(".")[0])]
    return bool(re.search(person.says, str(report))), false + re.findall(FALSE, text)


@pytest.mark.parametrize("person", [marked(p) for p in MISTAKES])
def test_no_false_name(person):
    _, false = explained(person)
    assert not false


def test_mistakes_outside_of_the_catalogue_are_explained():
    missed = [p.name for p in MISTAKES if not explained(p)[0]]
    n = len(MISTAKES)
    print(f"{n - len(missed)} of {n} mistakes outside of the catalogue named or explained; not: {missed}")
    assert len(missed) <= n / 3
