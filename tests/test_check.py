"""Somebody's own gradient: every way in, every verdict, which side is wrong, and the contracts."""

import json
import os
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import strategies as st

import manualbp as m
from reference import (
    Indices,
    check_function,
    check_gradients,
    check_layer,
    check_model,
    check_optimizer,
    check_pointwise,
)

AFFINE = {"x": ("N", "D"), "w": ("M", "D"), "b": ("M",)}


def forward(x, w, b):
    return x @ w.T + b, (x, w)


def backward(dy, cache):
    x, w = cache
    return dy @ w, dy.T @ x, dy.sum(0)


def affine(back=backward, front=forward, **more):
    return check_function(front, back, against=F.linear, inputs=AFFINE, **more)


def test_two_functions_that_are_right():
    report = affine()
    assert report
    assert report.verdict in ("identical", "rounding")
    assert report.wrong_side is None
    assert report.power < 1e-9


def test_a_wrong_backward_is_placed():
    report = affine(lambda dy, cache: (*backward(dy, cache)[:2], dy.mean(0)))
    assert not report
    assert (report.verdict, report.wrong_side, report.culprit) == ("wrong", "backward", "db")
    assert "db[" in str(report)


def test_a_right_backward_of_a_wrong_forward():
    report = affine(lambda dy, cache: tuple(2 * g for g in backward(dy, cache)), lambda *x: (2 * forward(*x)[0], x[:2]))
    assert (report.verdict, report.wrong_side, report.culprit) == ("wrong", "forward", "y")


def test_both_wrong():
    report = affine(backward, lambda *x: (2 * forward(*x)[0], x[:2]))
    assert report.wrong_side == "both"


def test_a_wrong_forward_does_not_hide_a_wrong_backward_elsewhere():
    """The forward fails at zero only, where the function has a limit, the backward everywhere."""

    def sinc(x):
        return np.sin(x) / x, x

    with np.errstate(all="ignore"):
        intended = lambda x: torch.sinc(x / torch.pi)  # noqa: E731
        report = check_function(sinc, lambda dy, x: dy * np.cos(x) / x, against=intended, inputs={"x": ("N", "D")})
    assert report.wrong_side == "both"
    assert "y is wrong in 3 of 24 entries" in str(report)


@pytest.mark.parametrize(
    ("front", "back", "intended", "told"),
    [
        (lambda x: np.tanh(2 * x), lambda x, y: 2 * (1 - y * y), torch.tanh, "of 2x, not of x"),
        (lambda x: np.log10(1 + x * x), lambda x, y: 2 * x / (1 + x * x) / np.log(10),
         lambda x: torch.log(1 + x * x), "The output is 1/ln 10 times"),
        (lambda x: np.tanh(x), lambda x, y: 1 - y * y, torch.sigmoid, "Your function is Tanh"),
    ],
)  # fmt: skip
def test_what_a_wrong_forward_computes(front, back, intended, told):
    report = check_function(
        lambda x: (front(x), x), lambda dy, x: dy * back(x, front(x)), against=intended, inputs={"x": ("N", "D")}
    )
    assert report.wrong_side == "forward"
    assert told in report.suspects[0].text


def test_an_input_may_be_called_y_as_the_output_is():
    report = check_function(
        lambda x, y: (x * y, (x, y)), lambda dy, c: (dy * c[1], 3 * dy * c[0]), against=torch.mul,
        inputs={"x": ("N", "D"), "y": ("N", "D")},
    )  # fmt: skip
    assert (report.wrong_side, report.culprit) == ("backward", "dy")
    assert report.suspects[0].relation.startswith("yours = 3 · right")
    assert "dy (input)" in report.suspects[0].evidence


def test_a_cap_that_is_left_out_is_not_called_a_threshold_of_softplus():
    report = check_function(
        lambda x: (np.maximum(4 * x, 0), x), lambda dy, x: 4 * dy * (x > 0), against=lambda x: F.relu6(4 * x),
        inputs={"x": ("N", "D")},
    )  # fmt: skip
    assert report.wrong_side == "forward"
    assert all(s.fault != "C11" for s in report.suspects)


def test_without_anything_to_compare_with_differences_of_the_own_forward_decide():
    assert check_function(forward, backward, inputs=AFFINE)
    report = check_function(forward, lambda dy, c: (dy @ c[1], dy.T @ c[0], dy.mean(0)), inputs=AFFINE)
    assert (report.wrong_side, report.culprit) == ("backward", "db")


@pytest.mark.parametrize(
    "back",
    [
        lambda dy, cache: dict(zip("xwb", backward(dy, cache))),
        lambda dy, x, w, b: backward(dy, (x, w)),
        lambda cache, dy: backward(dy, cache),
    ],
    ids=["dict", "inputs again", "cache first"],
)
def test_other_forms_of_a_backward(back):
    assert affine(back)


def test_a_loss_with_its_gradients_in_one_function():
    def mse(x, t):
        return ((x - t) ** 2).mean(), (2 * (x - t) / x.size, -2 * (x - t) / x.size)

    assert check_function(mse, against=F.mse_loss, inputs={"x": ("N", "D"), "t": ("N", "D")})


def test_integer_inputs_have_no_gradient():
    def loss(x, t):
        s = np.exp(x - x.max(1, keepdims=True))
        s /= s.sum(1, keepdims=True)
        return -np.log(s[np.arange(len(t)), t]).mean(), (s, t)

    def back(dy, cache):
        s, t = cache
        g = s.copy()
        g[np.arange(len(t)), t] -= 1
        return (dy * g / len(t)).astype(s.dtype)

    inputs = {"x": ("N", "C"), "t": Indices(("N",), below="C")}
    assert check_function(loss, back, against=F.cross_entropy, inputs=inputs)


class Layer:
    def __init__(self):
        self.params, self.grads = {}, {}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"].T

    def backward(self, dy):
        self.grads["W"] = dy.T @ self.x
        return dy @ self.params["W"]


class Attributes:
    def forward(self, x):
        self.x = x
        return x @ self.W.T

    def backward(self, dy):
        self.dW = dy.T @ self.x
        return dy @ self.W


@pytest.mark.parametrize("obj", [Layer, Attributes, Layer()], ids=["class", "attributes", "instance"])
def test_an_object_that_keeps_its_cache_and_gradients(obj):
    assert check_function(obj, against=F.linear, inputs={"x": ("N", "D"), "W": ("M", "D")})


def test_an_object_whose_gradient_is_not_found_says_where_it_was_looked_for():
    class Lost(Attributes):
        def backward(self, dy):
            return dy @ self.W

    with pytest.raises(ValueError, match=r"dW.*get=lambda"):
        check_function(Lost, against=F.linear, inputs={"x": ("N", "D"), "W": ("M", "D")})


def test_an_autograd_function():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, dy):
            return 2 * ctx.saved_tensors[0] * dy

    class Wrong(Square):
        @staticmethod
        def backward(ctx, dy):
            return ctx.saved_tensors[0] * dy

    assert check_function(Square, against=torch.square, inputs={"x": ("N", "D")})
    assert not check_function(Wrong, against=torch.square, inputs={"x": ("N", "D")})


def test_an_activation_and_its_slope():
    assert check_pointwise(np.tanh, lambda x: 1 - np.tanh(x) ** 2, against=torch.nn.Tanh())
    report = check_pointwise(np.tanh, lambda x: 1 - np.tanh(x), against=torch.tanh)
    assert report.wrong_side == "backward"


def test_another_choice_at_a_kink_is_a_convention():
    report = check_pointwise(lambda x: np.maximum(x, 0), lambda x: (x >= 0).astype(x.dtype), against=torch.relu)
    assert report.verdict == "convention"
    assert not report


def test_numbers_from_anywhere():
    rng = np.random.default_rng(0)
    x, t, W = rng.standard_normal((5, 3)), rng.standard_normal((5, 2)), rng.standard_normal((2, 3))
    right = 2 * (x @ W.T - t).T @ x / t.size
    xt, tt = torch.from_numpy(x), torch.from_numpy(t)

    def loss(W):
        return F.mse_loss(xt @ W.T, tt)

    assert check_gradients({"W": right}, loss=loss, at={"W": W})
    report = check_gradients({"W": right * 10}, loss=loss, at={"W": W})
    assert (report.verdict, report.culprit) == ("wrong", "dW")
    assert check_gradients({"W": right.T}, loss=loss, at={"W": W}).verdict == "wrong"


@pytest.mark.parametrize(("dtype", "by"), [(np.float64, 1e-9), (np.float32, 1e-4)])
def test_a_small_error_in_one_entry_is_caught_and_placed(dtype, by):
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((6, 4)).astype(dtype), rng.standard_normal((3, 4)).astype(dtype)
    xt = torch.from_numpy(x)

    def loss(w):
        return torch.tanh(xt.to(w.dtype) @ w.T).square().sum()

    y = np.tanh(x @ w.T)
    right = ((2 * y * (1 - y * y)).T @ x).astype(dtype)
    assert check_gradients({"w": right}, loss=loss, at={"w": w})
    for place in ((0, 0), (2, 3), (1, 2)):
        wrong = right.copy()
        wrong[place] *= 1 + by
        report = check_gradients({"w": wrong}, loss=loss, at={"w": w})
        assert report.verdict == "wrong"
        assert report.tensors[0].worst()[0] == place


def test_a_layer_of_ones_own():
    class Scale(m.Layer):
        """y = ax."""

        width: int = 3

        def init(self, rng, dtype=np.float64):
            return {"a": rng.standard_normal(self.width).astype(dtype)}

        def forward(self, params, x):
            return x * params["a"], (x,)

        def backward(self, params, cache, dy):
            axes = tuple(range(dy.ndim - 1))
            return dy * params["a"], {"a": (dy * cache[0]).sum(axes)}

        @classmethod
        def example(cls, choose, shape):
            return cls(shape[-1])

    class Wrong(Scale):
        def backward(self, params, cache, dy):
            return dy, super().backward(params, cache, dy)[1]

    assert check_layer(Scale)
    assert check_layer(Wrong).culprit == "dx"
    assert check_layer(m.LayerNorm)
    assert check_layer(m.Linear(3, 2), shape=(4, 3))


def test_an_upstream_gradient_must_stay():
    report = affine(lambda dy, cache: [backward(dy, cache), dy.__imul__(2)][0])
    assert (report.verdict, report.wrong_side) == ("wrong", "contract")
    assert "changes dy" in report.contracts[0]


def test_a_batch_of_one_that_is_refused_is_a_note():
    report = affine(lambda dy, cache: backward(np.squeeze(dy), cache))
    assert report
    assert any("your backward raised" in n and "N = 1" in n and "test_check.py, line" in n for n in report.notes)


def test_a_cache_outside_of_the_cache_is_found():
    kept = {}

    def front(x, w, b):
        kept["x"] = x
        return x @ w.T + b, w

    report = affine(lambda dy, w: (dy @ w, dy.T @ kept["x"], dy.sum(0)), front)
    assert (report.verdict, report.wrong_side) == ("wrong", "contract")
    assert "not all in the cache" in report.contracts[0]


def test_gradients_that_are_added_up_are_found():
    class Sums(Layer):
        def backward(self, dy):
            self.grads["W"] = self.grads.get("W", 0) + dy.T @ self.x
            return dy @ self.params["W"]

    report = check_function(Sums, against=F.linear, inputs={"x": ("N", "D"), "W": ("M", "D")})
    assert not report
    assert any("added up" in text or "left" in text for text in report.contracts) or report.wrong_side == "backward"


def test_a_dtype_that_drifts_is_told():
    report = check_pointwise(np.tanh, lambda x: (1 - np.tanh(x) ** 2).astype(np.float64), against=torch.tanh)
    assert report
    assert "float32" in report.notes[0]


def test_an_ignored_upstream_gradient_is_wrong():
    assert affine(lambda dy, cache: backward(np.ones_like(dy), cache)).wrong_side == "backward"


def test_intermediates_that_have_names_are_compared_and_the_first_culprit_is_told():
    def front(x, w):
        z = x @ w.T
        return np.tanh(z), {"z": z, "x": x, "w": w}

    def back(dy, cache):
        dz = dy * (1 - np.tanh(cache["z"]))  # the square is forgotten
        return {"z": dz, "x": dz @ cache["w"], "w": dz.T @ cache["x"]}

    def truth(x, w):
        z = x @ w.T
        return torch.tanh(z), {"z": z}

    report = check_function(front, back, against=truth, inputs={"x": ("N", "D"), "w": ("M", "D")})
    assert report.culprit == "dz"


def test_inputs_by_strategy_array_and_shape():
    x = st.integers(1, 4).map(lambda n: np.random.default_rng(n).standard_normal((n, 3)))
    assert check_function(forward, backward, against=F.linear, inputs={"x": x, "w": (2, 3), "b": np.array([1.0, -2.0])})


def test_an_update_rule():
    def adam(p, g, s):
        t, mean, square = s or (0, 0.0, 0.0)
        t, mean, square = t + 1, 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
        root = np.sqrt(square) / np.sqrt(1 - 0.999**t)
        return p - 0.01 / (1 - 0.9**t) * mean / (root + 1e-8), (t, mean, square)

    assert check_optimizer(adam, against=torch.optim.Adam, lr=0.01)
    assert not check_optimizer(lambda p, g, s: (p - 0.01 * g, s), against=torch.optim.Adam, lr=0.01)


def test_a_torch_model_by_hand():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.LayerNorm(4), torch.nn.Linear(4, 2))
    report = check_model(model, np.random.default_rng(0).standard_normal((5, 3)), by_layer=True)
    assert report
    assert list(report.nodes) == ["0", "1", "2", "3"]


def test_nothing_above_the_noise_is_vacuous():
    report = check_function(
        lambda x: (x * 0, None), lambda dy, c: dy * 0, against=lambda x: x * 0, inputs={"x": ("N",)}
    )
    assert report.verdict == "vacuous"
    assert not report


@pytest.mark.parametrize(
    ("inputs", "told"),
    [({"x": 3}, r"\(\"N\", \"D\"\)"), ({"x": [1.0]}, "Indices")],
)
def test_an_input_that_is_not_understood(inputs, told):
    with pytest.raises(ValueError, match=told):
        check_function(forward, backward, against=F.linear, inputs=inputs)


def test_a_report_in_every_form():
    report = affine(lambda dy, cache: (*backward(dy, cache)[:2], dy.mean(0)))
    assert json.loads(report.to_json())["culprit"] == "db"
    assert ElementTree.fromstring(report.to_junit()).get("failures") == "1"
    shown = ElementTree.fromstring(report._repr_html_())
    rows = {row[0].text: row for row in shown.iter("tr") if row[0].tag == "td"}
    assert rows.keys() == {"y", "dx", "dw", "✗ db"}
    assert rows["✗ db"].get("style") == "color: #cf222e"
    assert report.suspects[0].text in "".join(shown.itertext())


def test_pytest_shows_the_whole_report(tmp_path):
    text = (
        "import numpy as np, torch\nfrom reference import check_pointwise\n"
        "def test_it():\n    assert check_pointwise(np.tanh, lambda x: 1 - np.tanh(x), against=torch.tanh)\n"
    )
    (tmp_path / "test_it.py").write_text(text)
    arguments = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    found = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "First culprit: dx" in found.stdout


MINE = """
import numpy as np, torch, torch.nn.functional as F
from reference import gradient_of
def forward(x, w): return x @ w.T, (x, w)
@gradient_of(forward, against=F.linear, inputs={"x": ("N", "D"), "w": ("M", "D")})
def marked(dy, c): return dy @ c[1], dy.T @ c[0]
CHECKS = {"tanh": dict(f=np.tanh, df=lambda x: 1 - np.tanh(x), against=torch.tanh)}
model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh())
"""


def ran(monkeypatch, capsys, *arguments):
    from reference import cli

    monkeypatch.setattr(sys, "argv", ["manualbp", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out = capsys.readouterr()
    return end.value.code, out.out + out.err


def test_checks_of_a_file(monkeypatch, capsys, tmp_path):
    path = tmp_path / "mine_to_check.py"
    path.write_text(MINE)
    code, out = ran(monkeypatch, capsys, "check", path, "--json", tmp_path / "a.json", "--junit", tmp_path / "a.xml")
    assert code == 1
    assert "1 of 2 checks passed" in out
    assert set(json.loads((tmp_path / "a.json").read_text())) == {"tanh", "marked"}
    assert ran(monkeypatch, capsys, "check", f"{path}:marked")[0] == 0
    assert "did you mean marked" in ran(monkeypatch, capsys, "check", f"{path}:market")[1]
    files = "--json", tmp_path / "model.json", "--junit", tmp_path / "model.xml"
    code, out = ran(monkeypatch, capsys, "verify", f"{path}:model", "--shape", "4,3", *files)
    assert code == 0
    assert "Tanh()" in out
    assert "0.weight.grad" in out
    assert "the whole model" in json.loads((tmp_path / "model.json").read_text())
    assert "0.weight.grad" in (tmp_path / "model.xml").read_text()
    assert ran(monkeypatch, capsys, "verify", f"{path}:model")[0] == 2


@pytest.mark.parametrize("text", ["x = 1\n", "raise RuntimeError('no')\n"])
def test_a_file_with_nothing_to_check_or_an_error(monkeypatch, capsys, tmp_path, text):
    path = tmp_path / "empty_to_check.py"
    path.write_text(text)
    code, out = ran(monkeypatch, capsys, "check", path)
    assert code == 2
    assert "Traceback" not in out


def test_an_intermediate_may_have_any_name():
    def net(x, w):
        delta = x @ w
        return np.tanh(delta), {"x": x, "w": w, "delta": delta}

    def back(dy, cache):
        ddelta = dy * (1 - np.tanh(cache["delta"]) ** 2)
        return {"delta": ddelta, "x": ddelta @ cache["w"].T, "w": cache["x"].T @ ddelta}

    def truth(x, w):
        delta = x @ w
        return torch.tanh(delta), {"delta": delta}

    inputs = {"x": ("N", "D"), "w": ("D", "M")}
    assert check_function(net, back, against=truth, inputs=inputs)
    report = check_function(
        lambda x, w: (net(x, w)[0], net(x, w)[1] | {"delta": 2 * x @ w}), back, against=truth, inputs=inputs
    )
    assert report.culprit == "delta"
    assert report.wrong_side == "both"


RAISES = """
import numpy as np
import torch

def forward(x):
    return np.tanh(x), x

def typo(dy, x):
    return dy * (1 - np.tanh(xx) ** 2)

INPUTS = {"x": ("N", "D")}
CHECKS = {
    "misspelt": dict(forward=forward, backward=typo, against=torch.tanh, inputs=INPUTS),
    "right": dict(forward=forward, backward=lambda dy, x: dy / np.cosh(x) ** 2, against=torch.tanh, inputs=INPUTS),
}
"""


def test_a_check_that_raises_is_told_by_its_name_and_the_others_run(monkeypatch, capsys, tmp_path):
    path = tmp_path / "raises.py"
    path.write_text(RAISES)
    code, out = ran(monkeypatch, capsys, "check", path)
    assert code == 2
    assert "misspelt: error" in out
    assert "raises.py, line 9" in out
    assert "right: equal within rounding" in out
    assert "1 of 2 checks passed" in out


def test_where_torch_alone_gives_nan_it_is_torch_that_is_wrong():
    """where(x > 0, log x, 0) at 0: torch multiplies 0 by the infinite slope of the branch that is not taken."""

    def forward(x):
        return np.where(x > 0, np.log(np.where(x > 0, x, 1)), 0), x

    def truth(x):
        return torch.where(x > 0, torch.log(x), torch.zeros(()))

    x = np.array([0.5, 0.0, 2.0])
    report = check_function(
        forward, lambda dy, x: np.where(x > 0, dy / np.where(x > 0, x, 1), 0), against=truth, inputs={"x": x}
    )
    assert report
    assert report.wrong_side == "against"
    assert "NaN" in report.notes[0]
    wrong = check_function(
        forward, lambda dy, x: np.where(x > 0, 2 * dy / np.where(x > 0, x, 1), 0), against=truth, inputs={"x": x}
    )
    assert wrong.verdict == "wrong"


def test_a_gradient_that_is_cut_on_purpose_is_what_was_meant():
    """A forgotten detach gives the derivative of the forward all the same."""

    def forward(z, e):
        return 1.25 * ((z - e) ** 2).sum(), z - e

    def truth(z, e):
        return ((z.detach() - e) ** 2).sum() + 0.25 * ((z - e.detach()) ** 2).sum()

    inputs = {"z": ("N", "D"), "e": ("N", "D")}
    report = check_function(forward, lambda dy, d: (2.5 * dy * d, -2.5 * dy * d), against=truth, inputs=inputs)
    assert (report.verdict, report.wrong_side) == ("wrong", "backward")
    assert any("on purpose" in note for note in report.notes)
    assert check_function(forward, lambda dy, d: (0.5 * dy * d, -2 * dy * d), against=truth, inputs=inputs)
