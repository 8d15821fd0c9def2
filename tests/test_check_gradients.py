"""Gradients as numbers: complex arrays, integers, kinks, gradients that are None."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from reference import check_gradients

RNG = np.random.default_rng(11)
X = RNG.standard_normal((4, 3)) + 1j * RNG.standard_normal((4, 3))
W = RNG.standard_normal((3, 2)) + 1j * RNG.standard_normal((3, 2))
LOGITS, LABELS = RNG.standard_normal((4, 3)), np.array([0, 2, 1, 2])


def power(w):
    """The mean of |XW|²."""
    return (torch.as_tensor(X).to(w.dtype) @ w).abs().square().mean()


def weighted(w, b):
    return ((torch.as_tensor(X) @ w).abs().square() * b).sum()


def of_power(w):
    """∂L/∂Re + i ∂L/∂Im."""
    return 2 * X.conj().T @ (X @ w) / 8


def of_cross_entropy(x):
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    return (p - np.eye(3)[LABELS]) / 4


def test_complex_numbers_are_judged_in_torchs_convention():
    report = check_gradients({"w": of_power(W)}, loss=power, at={"w": W})
    assert report.verdict in ("identical", "rounding")
    assert report.power < 1e-12
    narrow = W.astype(np.complex64)
    assert check_gradients({"w": of_power(W).astype(np.complex64)}, loss=power, at={"w": narrow}).dtype == "float32"


@pytest.mark.parametrize("wrong", [np.conj, np.real, lambda g: g / 2, lambda g: 1j * g])
def test_a_wrong_gradient_by_complex_numbers(wrong):
    assert check_gradients({"w": wrong(of_power(W))}, loss=power, at={"w": W}).verdict == "wrong"


def test_complex_and_real_numbers_in_one_loss():
    b = RNG.standard_normal(2)
    y = X @ W
    right = {"dw": 2 * X.conj().T @ (y * b), "db": (abs(y) ** 2).sum(0)}
    assert check_gradients(right, loss=weighted, at={"w": W, "b": b})
    assert check_gradients(right | {"db": right["db"] * 2}, loss=weighted, at={"w": W, "b": b}).culprit == "db"


def test_a_complex_gradient_by_real_numbers_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"the gradient of b is complex, and at\['b'\] is not.*db\.real"):
        check_gradients({"db": np.ones(2) + 0j}, loss=lambda b: (b * b).sum(), at={"b": np.ones(2)})


def test_a_loss_that_is_complex_is_refused():
    with pytest.raises(ValueError, match=r"loss gives a complex number.*real"):
        check_gradients({"w": W}, loss=lambda w: w.sum(), at={"w": W})


def test_integers_by_which_a_gradient_is_given_are_real_numbers():
    w = np.array([[1, -2], [3, 0]])
    for g in (2 * w, 2.0 * w):
        assert check_gradients({"w": g}, loss=lambda w: (w * w).sum(), at={"w": w}).verdict == "identical"
    assert check_gradients({"w": 3 * w}, loss=lambda w: (w * w).sum(), at={"w": w}).verdict == "wrong"
    assert check_gradients({"w": 0 * w}, loss=lambda w: (w * w).sum(), at={"w": w}).verdict == "wrong"


@pytest.mark.parametrize("none", [None, np.zeros(4), np.zeros(4, int)])
def test_nothing_is_right_for_labels(none):
    given = {"dx": of_cross_entropy(LOGITS), "dt": none}
    assert check_gradients(given, loss=lambda x, t: F.cross_entropy(x, t), at={"x": LOGITS, "t": LABELS})


def test_a_gradient_by_labels_is_refused_with_the_words_of_the_loss():
    given = {"dx": of_cross_entropy(LOGITS), "dt": np.ones(4)}
    with pytest.raises(ValueError, match="your loss raised"):
        check_gradients(given, loss=lambda x, t: F.cross_entropy(x, t), at={"x": LOGITS, "t": LABELS})


def test_none_is_a_gradient_of_zero():
    at = {"a": np.array([1.5, 2.5]), "b": np.array([0.5, 1.5])}
    assert check_gradients({"a": at["b"], "b": None}, loss=lambda a, b: (a * b.detach()).sum(), at=at)
    report = check_gradients({"a": at["b"], "b": None}, loss=lambda a, b: (a * b).sum(), at=at)
    assert report.verdict == "wrong"
    assert report.culprit == "db"


@pytest.mark.parametrize(("slope", "verdict"), [(0.0, "identical"), (1.0, "convention"), (10.0, "wrong")])
def test_integers_lie_on_kinks(slope, verdict):
    w = np.array([-1.0, 0.0, 2.0, 0.0])
    given = {"w": np.where(w == 0, slope, w > 0)}
    assert check_gradients(given, loss=lambda w: torch.relu(w).sum(), at={"w": w}).verdict == verdict


def test_a_half_is_no_size_by_chance():
    report = check_gradients({"w": of_power(W) / 2}, loss=power, at={"w": W})
    assert report.suspects[0].relation == "yours = ½ · right"
    assert not report.suspects[0].fault
