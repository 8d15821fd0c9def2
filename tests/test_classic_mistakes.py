"""Classic mistakes at one call get their name from the numbers they give, and other mistakes there do not."""

import re
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from people.mistakes_classic import MISTAKES, NOT_THESE

from reference import check_function, check_optimizer


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


def make_adamod(lr=0.02, b1=0.8, b2=0.95, b3=0.9, eps=1e-7):
    """Adam whose rate is held below its own running mean."""

    def adamod(p, g, state):
        m, v, s, t = state or (0 * p, 0 * p, 0 * p, 0)
        t = t + 1
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        rate = lr / (np.sqrt(v / (1 - b2**t)) + eps)
        s = b3 * s + (1 - b3) * rate
        return p - np.minimum(rate, s) * m / (1 - b1**t), (m, v, s, t)

    return adamod


def other_adamod(mistake, lr=0.02, b1=0.8, b2=0.95, b3=0.9, eps=1e-7):
    """The same as a class of one's own would have it, with a mistake."""

    def step(p, g, state):
        m, v, bound, t = state if state is not None else (np.zeros_like(p),) * 3 + (0,)
        first, second = (b2, b1) if mistake == "swapped" else (b1, b2)
        m, t = first * m + (1 - first) * g, t + 1
        v = second * v + (1 - second) * g**2
        corrected = v if mistake == "biased" else v / (1 - second**t)
        rate = lr / np.sqrt(corrected + eps) if mistake == "inside" else lr / (np.sqrt(corrected) + eps)
        bound = b3 * bound + (1 - b3) * rate
        return p - np.minimum(rate, bound) * (m if mistake == "plain" else m / (1 - first**t)), (m, v, bound, t)

    return step


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        ("swapped", "b2 and b1 in each other's place"),
        ("biased", r"with v where it has v / \(1 - b2 \*\* t\)"),
        ("plain", r"with .* \* m where it has .* \* m / \(1 - b1 \*\* t\)"),
        ("inside", r"np.sqrt\(v / \(1 - b2 \*\* t\) \+ eps\) where it has np.sqrt\(v / \(1 - b2 \*\* t\)\) \+ eps"),
    ],
)
def test_a_rule_that_is_a_function_names_the_line_that_differs(mistake, says):
    report = check_optimizer(other_adamod(mistake), against=make_adamod())
    assert report.verdict == "wrong"
    assert re.search(says, report.suspects[0].text), report


def test_a_rule_without_a_mistake_passes_beside_a_function():
    assert check_optimizer(other_adamod(""), against=make_adamod())


def test_what_no_one_change_explains_is_not_explained_by_one():
    def rule(p, g, state):
        v = 0 * p if state is None else 0.7 * state + np.abs(g)
        return p - 0.013 * g / (1 + v), v

    report = check_optimizer(rule, against=make_adamod())
    assert report.verdict == "wrong"
    assert not report.suspects, report


def test_a_rule_that_ends_in_nan_is_not_right_to_some_digits():
    def grown(p, g, v):
        v = 0.0 if v is None else v
        v = v - 0.1 * np.sign(v - g * g) * g * g
        return p - 0.01 * g / (np.sqrt(v) + 1e-3), v

    def other(p, g, v):
        v = 0.0 if v is None else v
        v = v + 0.1 * np.sign(v - g * g) * g * g
        return p - 0.01 * g / (np.sqrt(v) + 1e-3), v

    report = check_optimizer(other, against=grown)
    assert report.verdict == "wrong"
    assert not any(s.rounding for s in report.suspects)
