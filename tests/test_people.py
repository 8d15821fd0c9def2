"""Code as people write it: right code passes, wrong code does not, and nothing false is said about it."""

import re
import warnings

import numpy as np
import pytest
from people import functions, mistakes, objects, pairs, shapes

from reference import check_function

PEOPLE = [*pairs.PEOPLE, *objects.PEOPLE, *functions.PEOPLE, *shapes.PEOPLE]


def told(person):
    """The report, and all that is read in it."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
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


FALSE = "Your function is|bridge|residual block"  # sentences that would be false of every mistake here


def explained(person):
    """Is it named or explained by a true fact? And the names that are false."""
    report = told(person)
    assert report.verdict == "wrong", report
    text = "\n".join(s.text for s in report.suspects)
    false = [s.fault for s in report.suspects if s.fault and not re.fullmatch(person.ids or "-", s.fault.split(".")[0])]
    return bool(re.search(person.says, str(report))), false + re.findall(FALSE, text)


@pytest.mark.parametrize("person", [marked(p) for p in mistakes.MISTAKES])
def test_no_false_name(person):
    _, false = explained(person)
    assert not false


def test_mistakes_outside_of_the_catalogue_are_explained():
    missed = [p.name for p in mistakes.MISTAKES if not explained(p)[0]]
    n = len(mistakes.MISTAKES)
    print(f"{n - len(missed)} of {n} mistakes outside of the catalogue named or explained; not: {missed}")
    assert len(missed) <= n / 3
