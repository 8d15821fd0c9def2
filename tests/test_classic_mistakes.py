"""Classic mistakes at one call get their name from the numbers they give, and other mistakes there do not."""

import re
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from people.mistakes_classic import MISTAKES, NOT_THESE

from reference import check_function


def report_of(person):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return check_function(*person.arguments, title=person.name, **person.options)


@pytest.mark.parametrize("person", [pytest.param(p, id=p.name) for p in MISTAKES])
def test_the_mistake_is_named_first(person):
    report = report_of(person)
    assert report.verdict == "wrong"
    assert re.search(person.says, report.suspects[0].text), report
    assert {s.fault for s in report.suspects if s.fault} <= set(person.ids.split())


@pytest.mark.parametrize("person", [pytest.param(p, id=p.name) for p in NOT_THESE])
def test_another_mistake_there_is_not_called_so(person):
    report = report_of(person)
    assert report.verdict == "wrong"
    assert not re.search(person.never, "\n".join(map(str, report.suspects))), report


def silu_back(factor):
    """The slope of x σ(x), in float32 inside, times a factor for each entry."""

    def back(dy, x):
        s = torch.sigmoid(x.float())
        return (factor(x) * dy.float() * s * (1 + x.float() * (1 - s))).to(x.dtype)

    return back


def one_row(x):
    factor = torch.ones(x.shape)
    factor[-1] = 1.04
    return factor


def check_silu(factor):
    return check_function(F.silu, silu_back(factor), against=F.silu, inputs={"x": ("N", "D")}, dtype="bfloat16")


def test_of_a_row_in_few_bits_is_said_by_how_much_it_is_off():
    report = check_silu(one_row)
    assert report.verdict == "wrong"
    (told,) = re.findall(r"what is at (-?\d+).* along axis 0 is ([\d.]+) times right \(± ([\d.]+)\)", str(report))
    assert told[0] in ("-1", "2")
    assert abs(float(told[1]) - 1.04) <= 4 * float(told[2])
    assert "throughout" not in str(report)


@pytest.mark.parametrize("factor", [lambda x: 1.04, lambda x: 1 + 0.06 * torch.arange(x.shape[1])])
def test_of_what_is_off_everywhere_no_row_is_said_to_be(factor):
    report = check_silu(factor)
    assert report.verdict == "wrong"
    assert "off as a whole" not in str(report)


def test_a_function_of_torch_is_called_by_its_name_and_not_by_the_check():
    report = check_function(
        lambda x: np.maximum(x, 0), lambda dy, x: dy * (dy > 0), against=torch.relu, inputs={"x": ("N", "D")}
    )
    assert "The mask of torch's relu is taken" in report.suspects[0].text
