"""What was not derived by hand is no solution, shapes are told in words, and numbers in digits that differ."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from solutions import RIGHT

from reference.teach import by_engine, by_hand, digits, judging, learn, shapes
from reference.teach.exercise import find, known
from reference.teach.judgement import BORROWED, WRONG, Judgement

BLOCKED = """
import importlib.util, sys
here = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "torch" else here(name, *rest)
for name in ("torch", "safetensors", "hypothesis", "ml_dtypes", "filelock"):
    sys.modules[name] = None
from reference.cli import main
main()
"""


def judged(folder: Path, name: str, code: str) -> Judgement:
    path = folder / f"{name}.py"
    path.write_text(f"import numpy as np\n{known()[name].stub}\n{code}", encoding="utf-8")
    return judging.judge(find(name), path)


@pytest.fixture(params=[by_engine, by_hand])
def _either(request, monkeypatch):
    """With torch, and as if it were not installed."""
    monkeypatch.setattr(judging, "judge_of_checks", lambda: request.param.judged)


MATMUL = """
def loss(A, B, dY): return (forward(A, B)[0] * dY).sum()
def backward(dY, cache):
    A, B = cache
    dA, dB = np.zeros_like(A), np.zeros_like(B)
    for g, a, f in ((dA, A, lambda a: loss(a, B, dY)), (dB, B, lambda b: loss(A, b, dY))):
        for place in np.ndindex(a.shape):
            moved = a.copy()
            moved[place] += 0.001
            g[place] = (f(moved) - f(a)) / 0.001
    return dA, dB
"""
ONE_BY_ONE = """
import math
def slope(v): return (math.tanh(v + 1e-5) - math.tanh(v - 1e-5)) / 2e-5
def one(v): return math.tanh(v)
def df(x):
    g = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        g[place] = (one(x[place] + 1e-4) - one(x[place] - 1e-4)) / 2e-4
    return g
"""
NOT_BY_HAND = [
    ("tanh", "def df(x): return (f(x + 1e-5) - f(x - 1e-5)) / 2e-5", "df calls f again, close beside the point"),
    ("tanh", "def g(u): return np.tanh(u)\ndef df(x): return (g(x + 0.01) - g(x)) / 0.01", "df calls g again"),
    ("tanh", ONE_BY_ONE, "df calls one again"),
    ("matmul", MATMUL, "backward calls"),
    ("tanh", "def df(x): return f(x + 1e-20j).imag / 1e-20", "works with complex numbers"),
    ("tanh", "import torch\ndef df(x): return 1", "imports torch. Here everything is written by hand"),
    ("tanh", "from torch.nn import functional as F", "imports torch"),
    ("tanh", "torch = __import__('torch')", "imports torch"),
    ("tanh", "import jax.numpy as jnp", "imports jax"),
    ("tanh", "from autograd import grad", "imports autograd"),
    ("tanh", "from manualbp import Tanh", "imports manualbp"),
]


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize(("name", "code", "text"), NOT_BY_HAND)
def test_what_is_not_derived_by_hand_is_said_and_not_counted(tmp_path, name, code, text):
    found = judged(tmp_path, name, code)
    assert found.outcome == BORROWED
    assert text in found.said[0]
    assert learn.Progress().after(found) == learn.Progress()


IN_PLACE = [
    ("tanh", "def df(x): return (np.tanh(x + 1e-3) - np.tanh(x - 1e-3)) / 2e-3"),
    ("tanh", "def df(x): return (np.tanh(x + 1e-5) - np.tanh(x - 1e-5)) / 2e-5"),
    ("tanh", "def df(x): return (np.tanh(x + 1e-7) - np.tanh(x)) / 1e-7"),
    ("silu", "def df(x):\n    h = 1e-6\n    return ((x + h) / (1 + np.exp(-x - h)) - x / (1 + np.exp(-x))) / h"),
    ("residual", """
def backward(dy, cache):
    (x,) = cache
    h = 1e-5
    return dy * ((x + h + np.tanh(x + h)) - (x - h + np.tanh(x - h))) / (2 * h)"""),
]  # fmt: skip


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize(("name", "code"), IN_PLACE)
def test_a_quotient_in_place_is_known_by_its_noise(tmp_path, name, code):
    found = judged(tmp_path, name, code)
    assert found.outcome == BORROWED
    assert "digits, with noise behind: they come from differences of the forward pass" in found.said[0]


NO_QUOTIENTS = [
    ("gelu", RIGHT["gelu"].replace("* C *", "* 0.79788 *"), "constant cut short"),
    ("tanh", "def df(x): return (np.tanh(x + 1e-2) - np.tanh(x - 1e-2)) / 2e-2", "is it a difference quotient"),
    (
        "tanh",
        "def df(x):\n    t = np.tanh(x.astype(np.float32))\n    return (1 - t * t).astype(float) * (1 + 0 * x)",
        "float32",
    ),
]


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize(("name", "code", "text"), NO_QUOTIENTS)
def test_what_has_no_noise_is_wrong_and_called_no_quotient(tmp_path, name, code, text):
    found = judged(tmp_path, name, code)
    assert found.outcome == WRONG
    assert text in found.mistakes[0].text


@pytest.mark.parametrize("name", [n for n in RIGHT if n not in ("momentum", "adam")])
def test_a_right_solution_has_no_noise(tmp_path, name):
    judged(tmp_path, name, RIGHT[name])
    module = judging.loaded(tmp_path / f"{name}.py")
    for given in find(name).checks.values():
        assert not digits.noisy({k: getattr(module, v) if isinstance(v, str) else v for k, v in given.items()})


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("sigmoid", "def f(x): return 1 / (1 + np.exp(-x))\ndef df(x): return f(x) * f(-x)"),
        ("tanh", "def df(x): return 4 / (np.exp(x) + np.exp(-x)) ** 2"),
        ("tanh", "def df(x):\n    e = np.exp(2 * x)\n    return 1 - ((e - 1) / (e + 1)) ** 2"),
        ("silu", "def s(x): return 1 / (1 + np.exp(-x))\ndef df(x): return s(x) * (1 + x * (1 - s(x)))"),
        (
            "layernorm",
            RIGHT["layernorm"].replace("d.mean(-1, keepdims=True)", "d.sum(-1, keepdims=True) / d.shape[-1]"),
        ),
    ],
)
def test_other_ways_to_be_right_are_right(tmp_path, name, code):
    assert judged(tmp_path, name, code) == Judgement("right")


AFFINE = RIGHT["affine"]
CLASHES = [
    (
        "affine",
        AFFINE.replace("x @ W.T + b", "x @ W + b"),
        "x @ W does not fit together: x has the shape (3, 5) and W has the shape (2, 5). A product of matrices needs "
        "the last axis of x and the last but one of W of one length; they are 5 and 2. Is a transpose missing",
    ),
    ("affine", AFFINE.replace("dy @ W,", "dy @ W.T,"), "dy @ W.T does not fit together: dy has the shape (3, 2)"),
    (
        "softmax",
        RIGHT["softmax"].replace("e.sum(axis=-1, keepdims=True)", "e.sum(axis=-1)"),
        "Did e.sum(axis=-1) lose an axis in a sum or a mean? With keepdims=True it is (3, 1).",
    ),
    (
        "mlp",
        RIGHT["mlp"].replace("return dz", "dz += dy\n    return dz"),
        "dz += dy does not fit together: dz has the shape (3, 2) and dy has the shape (3, 7). Entry by entry",
    ),
    ("affine", AFFINE.replace("dy.T @ x", "np.dot(dy, x)"), "np.dot(dy, x) does not fit together: dy has the shape"),
]


@pytest.mark.parametrize(("name", "code", "text"), CLASHES)
def test_shapes_that_clash_are_told_with_the_learners_own_expression(tmp_path, name, code, text):
    found = judged(tmp_path, name, code)
    assert found.outcome == WRONG
    assert text in found.where
    assert "gufunc" not in found.where


SHAPES = [
    (
        "dy.sum(axis=1)",
        "db has the shape (3,) = (N,), wanted is (2,) = (M,), that of b",
        "a sum over the wrong axis|over axis 1 of dy",
    ),
    ("dy.sum(axis=0, keepdims=True)", "db has the shape (1, 2), wanted is (2,)", "as keepdims=True leaves it"),
    ("dy", "db has the shape (3, 2) = (N, M), wanted is (2,) = (M,)", "axis"),
]


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize(("db", "where", "text"), SHAPES)
def test_a_wrong_shape_is_told_in_letters_with_its_likely_cause(tmp_path, db, where, text):
    found = judged(tmp_path, "affine", AFFINE.replace("dy.sum(axis=0)", db))
    assert where in found.where
    assert re.search(text, found.mistakes[0].text)


def test_the_likely_cause_of_a_shape():
    for shape, wanted, text in (
        ((3, 1), (3,), "length 1 is left"), ((3,), (3, 1), "has lost an axis"), ((2, 3), (3, 2), "is transposed"),
        ((), (4,), "is one number"), ((2, 3, 4), (3, 4), "too many"), ((3,), (2, 3), "lacks an axis"),
        ((4, 3), (2, 3), "another length"),
    ):  # fmt: skip
        assert text in (shapes.likely("dx", shape, wanted) or "")
    assert shapes.likely("dx", (2, 3), (2, 3)) is None


def test_two_numbers_are_printed_apart():
    assert judging.apart(1.5, 2.5) == ("1.5", "2.5")
    assert judging.apart(0.1, np.nextafter(0.1, 1)) == ("0.10000000000000001", "0.10000000000000002")


@pytest.mark.usefixtures("_either")
def test_float32_answers_are_seen_to_differ(tmp_path):
    code = "def df(x): return (1 - np.tanh(x) ** 2).astype(np.float32)"
    found = judged(tmp_path, "tanh", code)
    assert found.outcome == WRONG
    yours, right = found.where.split(": yours ")[1].split(" (")[0].split(", right ")
    assert yours != right
    assert "float32 inside" in found.mistakes[0].text


@pytest.mark.parametrize(("code", "exit_code"), [("", 3), ("def df(x): return x", 1), (RIGHT["tanh"], 0), ("x = (", 2)])
def test_without_torch_and_what_comes_with_it_a_learner_is_judged(tmp_path, code, exit_code):
    script = tmp_path / "blocked.py"
    script.write_text(BLOCKED)
    (tmp_path / "tanh.py").write_text(f"{known()['tanh'].stub}\n{code}", encoding="utf-8")
    env = {"PYTHONPATH": str(Path(learn.__file__).parents[2]), "MANUALBP_PROGRESS": str(tmp_path / "progress.json")}
    command = [sys.executable, str(script), "learn", "tanh", "tanh.py"]
    out = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=60, check=False)
    assert out.returncode == exit_code, out.stderr
