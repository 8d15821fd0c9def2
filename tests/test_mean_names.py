"""What a factor of one size is called: which way round it is, and over which axis a mean is taken."""

import numpy as np
import torch.nn.functional as F  # noqa: N812

from reference import Indices, check_function


def log_probabilities(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return np.log(e / e.sum(1, keepdims=True))


def of_steps(factor):
    """Cross-entropy over N sequences of T steps, divided by N, with the gradient times a factor of N and T."""

    def loss(x, y):
        n, t = np.ogrid[: len(x), : x.shape[2]]
        lp = log_probabilities(x)
        d = np.exp(lp)
        d[n, y, t] -= 1
        return -lp[n, y, t].sum() / len(x), d * factor(len(x), x.shape[2])

    return check_function(
        loss,
        against=lambda x, y: F.cross_entropy(x, y, reduction="sum") / len(x),
        inputs={"x": ("N", "C", "T"), "y": Indices(("N", "T"), "C")},
    )


def test_a_division_by_steps_too_many_is_not_called_one_too_few():
    report = of_steps(lambda n, t: 1 / (n * t))
    assert "yours = 1/T · right" in report.suspects[0].relation
    assert "A06" not in {s.fault for s in report.suspects}
    assert "batch only" not in str(report)
    assert "by the number of steps or places, too" in report.suspects[0].remedy


def test_steps_that_are_not_divided_by_are_told_without_what_the_loss_does():
    first = of_steps(lambda n, t: t / n).suspects[0]
    assert first.fault == "A06"
    assert first.text.startswith("The gradient is T times what it should be, as where a mean")


def of_weight(mean, inputs, forward=lambda x, w: x * w):
    return check_function(
        forward,
        lambda dy, x, w: (dy * w, mean(dy * x)),
        against=forward,
        inputs=inputs,
    )


STEPS = {"x": ("N", "T", "D"), "w": ("D",)}


def test_a_mean_over_steps_is_not_called_one_over_the_batch():
    first = of_weight(lambda g: g.sum(0).mean(0), STEPS).suspects[0]
    assert (first.fault, first.text) == ("A03", "A mean over T stands where a sum should.")


def test_a_mean_over_the_first_axis_is_one_over_the_batch():
    first = of_weight(lambda g: g.mean(0).sum(0), STEPS).suspects[0]
    assert (first.fault, first.text) == ("D10", "A mean over the batch stands where a sum should.")


def test_a_mean_over_all_axes_but_one_is_called_no_more_than_a_mean():
    first = of_weight(lambda g: g.mean((0, 1)), STEPS).suspects[0]
    assert first.text == "A mean stands where a sum should."


def test_a_bias_that_is_averaged_over_steps_is_not_averaged_over_the_batch():
    report = check_function(
        lambda x, w: x + w,
        lambda dy, x, w: (dy, dy.sum(0).mean(0)),
        against=lambda x, w: x + w,
        inputs=STEPS,
    )
    assert report.suspects[0].text == "A mean over T stands where a sum should."
    assert "batch" not in report.suspects[0].text
