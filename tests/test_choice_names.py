"""A choice at a kink or tie beside a gradient that is wrong: the wrong one is explained, the choice is not."""

import numpy as np
import torch

from reference import check_function


def top(x, k):
    chosen = np.argsort(-x, 1, kind="stable")[:, :k]
    return chosen, np.take_along_axis(x, chosen, 1)


def of_top(dw):
    def back(dy, x, w):
        chosen, _ = top(x, 2)
        dx = np.zeros_like(x)
        np.put_along_axis(dx, chosen, dy @ w.T, 1)
        return dx, dw(dy, x)

    return check_function(
        lambda x, w: top(x, 2)[1] @ w,
        back,
        against=lambda x, w: torch.topk(x, 2, dim=1).values @ w,
        inputs={"x": ("N", 4), "w": (2, "M")},
    )


def test_a_tie_is_not_explained_where_another_gradient_is_wrong():
    report = of_top(lambda dy, x: x[:, :2].T @ dy)
    assert report.verdict == "wrong"
    assert not any("dx" in s.evidence for s in report.suspects)
    assert "Note: dx is wrong" not in str(report)
    assert "dx differs only at kinks and ties, where it is another choice" in str(report)


def test_what_is_wrong_beside_a_tie_is_explained():
    report = of_top(lambda dy, x: -top(x, 2)[1].T @ dy)
    assert report.suspects[0].text == "The sign is wrong."


def test_a_tie_alone_is_still_told():
    report = of_top(lambda dy, x: top(x, 2)[1].T @ dy)
    assert report.verdict == "convention"
    assert "dx is wrong" in str(report)


def test_what_is_no_choice_at_a_kink_is_still_told():
    report = check_function(
        lambda x, z: np.maximum(x, 0) * z,
        lambda dy, x, z: (dy * z * np.where(x == 0, 3, x > 0), dy * x),
        against=lambda x, z: torch.relu(x) * z,
        inputs={"x": ("N", "D"), "z": ("N", "D")},
    )
    assert any("dx is wrong" in n for n in report.notes)


def clamped(x):
    return np.clip(x, -1, 1)


def test_only_kinks_are_off_so_that_no_other_slope_is_named():
    report = check_function(
        clamped,
        lambda dy, x: dy * ((x > -1) & (x < 1)),
        against=lambda x: torch.clamp(x, -1, 1),
        inputs={"x": ("N", "D")},
    )
    assert report.verdict == "convention"
    assert [s.fault for s in report.suspects] == ["C17"]


def test_straight_pieces_have_no_slope_at_the_output():
    report = check_function(
        lambda x: np.clip(x, 0, 6),
        lambda dy, x: dy * (x > 0),
        against=lambda x: torch.clamp(x, 0, 6),
        inputs={"x": ("N", "D")},
    )
    assert "C20" not in {str(s.fault).split(".")[0] for s in report.suspects}
