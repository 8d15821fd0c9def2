"""Checks of functions of many numbers: few passes, and the mistake named on a corner of the data."""

import numpy as np
import pytest
import torch.nn.functional as F  # noqa: N812

import manualbp as m
from reference import check_function
from reference.check import on_layer
from reference.compare.differences import MANY, ON_A_LINE
from reference.diagnose.evidence import Evidence
from reference.draw.case import Case
from reference.draw.trial import LARGE, SMALL, Trial, corner

rng = np.random.default_rng(5)
X, W, B = rng.standard_normal((400, 300)), rng.standard_normal((100, 300)), rng.standard_normal(100)
AFFINE = {"x": X, "w": W, "b": B}


class Counted:
    """x Wᵀ + b with a backward of choice, counting its calls."""

    def __init__(self, wrong=lambda dx, dw, db: (dx, dw, db)):
        self.calls, self.wrong = 0, wrong

    def forward(self, x, w, b):
        self.calls += x.shape == X.shape
        return x @ w.T + b, (x, w)

    def backward(self, dy, cache):
        self.calls += len(cache[0]) == len(X)
        x, w = cache
        return self.wrong(dy @ w, dy.T @ x, dy.sum(0))


def check(counted, against=F.linear):
    return check_function(counted.forward, counted.backward, against=against, inputs=AFFINE)


def test_a_right_function_is_run_a_few_times():
    assert sum(a.size for a in AFFINE.values()) > LARGE
    right = Counted()
    assert check(right)
    assert right.calls <= 20
    assert check(by_itself := Counted(), against=None)
    assert by_itself.calls <= 40


def test_a_mistake_is_named_on_a_corner():
    wrong = Counted(lambda dx, dw, db: (dx, dw, db / 2))
    report = check(wrong)
    assert (report.verdict, report.culprit) == ("wrong", "db")
    assert "½" in report.suspects[0].relation or "2" in report.suspects[0].relation
    assert wrong.calls <= 20
    forgotten = check_function(
        lambda x, t: (((x - t) ** 2).mean(), (x, t)), lambda dy, c: (2 * dy * (c[0] - c[1]), -2 * dy * (c[0] - c[1])),
        against=F.mse_loss, inputs={"x": X, "t": X[::-1].copy()},
    )  # fmt: skip
    assert forgotten.suspects[0].fault == "A01"
    assert "120000 entries" in forgotten.notes[0]


def test_a_function_of_one_size_only_gets_its_verdict():
    def forward(x, w, b):
        assert x.shape == X.shape
        return x @ w.T + b, (x, w)

    report = check_function(forward, Counted(lambda *g: (g[0], -g[1], g[2])).backward, against=F.linear, inputs=AFFINE)
    assert (report.verdict, report.culprit) == ("wrong", "dw")
    assert report.suspects


def test_without_torch_many_entries_are_tried_on_a_line():
    assert X.size > MANY
    report = check(Counted(lambda dx, dw, db: (dx, dw * (1 + 1e-6), db)), against=None)
    assert (report.verdict, report.culprit) == ("wrong", "dw")
    assert ON_A_LINE in str(report)


def test_a_corner_keeps_what_belongs_together():
    labels = np.arange(400) % 100
    small = corner(Trial({"x": X, "w": W, "t": labels}, {"N": 400, "D": 300, "C": 100, "k": 2}))
    (n, d), (c, other) = small.arrays["x"].shape, small.arrays["w"].shape
    assert d == other
    assert len({n, d, c}) == 3
    assert max(n, d, c) <= max(SMALL)
    assert small.sizes == {"N": n, "D": d, "C": c, "k": 2}
    assert small.arrays["t"].shape == (n,)
    assert small.arrays["t"].max() < c


def test_a_verdict_is_not_lost_with_its_explanation(monkeypatch):
    def broken(evidence: list[Evidence]) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr("reference.diagnose.diagnosis.diagnose", broken)
    report = check(Counted(lambda *g: (-g[0], *g[1:])))
    assert (report.verdict, report.suspects) == ("wrong", ())
    assert "ZeroDivisionError: on purpose" in report.notes[0]


@pytest.mark.parametrize("place", [(0, 0), (399, 299), (17, 123)])
def test_a_single_entry_among_many(place):
    def tilted(dx, dw, db):
        if dx.shape == X.shape:
            dx[place] *= 1 + 1e-9
        return dx, dw, db

    report = check(Counted(tilted))
    t = next(t for t in report.tensors if t.name == "dx")
    assert (report.verdict, t.worst()[0]) == ("wrong", place)
    assert f"one of 120000 entries, at [{place[0]}, {place[1]}]" in report.notes[0]
    assert "1e-09 of what is right" in report.notes[0]


def test_statistics_that_stand_are_no_parameters():
    layer = m.BatchNorm1d(3, training=False)
    assert on_layer(layer, Case(layer, (1, 3)).trial(), None)
