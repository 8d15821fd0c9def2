"""What is said of right numbers at wrong places: which blocks change places, which step is left."""

import numpy as np
import torch

from reference import check_function


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def of_four_gates(order):
    """A step whose gates stand as input, output, update, forget, with its four gradients in this order."""

    def forward(a, c0):
        i, o, g, f = np.split(a, 4, axis=1)
        return sigmoid(o) * np.tanh(sigmoid(f) * c0 + sigmoid(i) * np.tanh(g))

    def back(dh, a, c0):
        i, o, g, f = np.split(a, 4, axis=1)
        i, o, g, f = sigmoid(i), sigmoid(o), np.tanh(g), sigmoid(f)
        tc = np.tanh(f * c0 + i * g)
        dc = dh * o * (1 - tc**2)
        each = (dc * g * i * (1 - i), dh * tc * o * (1 - o), dc * i * (1 - g**2), dc * c0 * f * (1 - f))
        return np.concatenate([each[k] for k in order], 1), dc * f

    def against(a, c0):
        i, o, g, f = a.chunk(4, 1)
        return o.sigmoid() * torch.tanh(f.sigmoid() * c0 + i.sigmoid() * g.tanh())

    return check_function(forward, back, against=against, inputs={"a": ("N", "4*H"), "c0": ("N", "H")})


def test_gates_that_change_places_are_told_without_an_order_that_theirs_need_not_be():
    report = of_four_gates((0, 3, 2, 1))
    assert report.suspects[0].text == "Blocks 1 and 3 of the 4 along axis 1 change places."
    assert "i, f" not in str(report)


def test_three_gates_that_change_places_are_no_pair():
    assert of_four_gates((1, 2, 0, 3)).suspects[0].text == "The 4 blocks along axis 1 change places."


def lstm_step(x, h, c, W, U, b):
    """With the gates as input, forget, output, update, which is not torch's order."""
    i, f, o, g = np.split(x @ W + h @ U + b, 4, 1)
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
    new = f * c + i * g
    return (o * np.tanh(new), new), (i, f, o, g)


def lstm_back(dh, dnew, x, h, c, W, U, b):
    (_, new), (i, f, o, g) = lstm_step(x, h, c, W, U, b)
    tc = np.tanh(new)
    dc = dnew + dh * o * (1 - tc**2)
    da = np.hstack((dc * c * f * (1 - f), dc * g * i * (1 - i), dh * tc * o * (1 - o), dc * i * (1 - g * g)))
    return da @ W.T, da @ U.T, dc * f, x.T @ da, h.T @ da, da.sum(0)


def lstm_right(x, h, c, W, U, b):
    i, f, o, g = (x @ W + h @ U + b).chunk(4, 1)
    new = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * new.tanh(), new


def test_a_step_of_another_order_is_not_told_that_of_torch():
    report = check_function(
        lambda *inputs: lstm_step(*inputs)[0],
        lstm_back,
        against=lstm_right,
        inputs={
            "x": ("N", "D"),
            "h": ("N", "H"),
            "c": ("N", "H"),
            "W": ("D", "4*H"),
            "U": ("H", "4*H"),
            "b": ("4*H",),
        },
    )
    assert "i, f, g, o" not in str(report)
    assert "Blocks 0 and 1 of the 4" in report.suspects[0].text


def of_step(k):
    return check_function(
        lambda x, w: x @ w,
        lambda dy, x, w: (dy @ w.T, x[:, k].T @ dy[:, k]),
        against=lambda x, w: x @ w,
        inputs={"x": ("B", "T", "D"), "w": ("D", "M")},
    )


def test_the_last_step_is_not_called_the_first():
    first = of_step(-1).suspects[0]
    assert (first.fault, first.text) == (None, "Only the last along axis 1 is counted where all are summed.")
    assert "t = 0" not in str(of_step(-1))


def test_the_first_step_alone_is_what_a_loop_backwards_leaves_that_assigns():
    first = of_step(0).suspects[0]
    assert first.fault == "G04"
    assert first.text.startswith("Only the first along axis 1 is counted where all are summed, as where")
