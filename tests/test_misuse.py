"""Bad input gets a sentence: what was given, what is taken, the right call, and the user's own line where it raised."""

import math
import re
import traceback

import numpy as np
import pytest
import torch

from manualbp import Tanh
from reference import (
    SPD,
    Between,
    Constant,
    Indices,
    Positive,
    check_function,
    check_gradients,
    check_layer,
    check_model,
    check_pointwise,
)

ND = {"x": ("N", "D")}
XW = {"x": ("N", "D"), "W": ("D", "M")}


def square(x):
    return x * x, x


def back(dy, x):
    return 2 * dy * x


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * x


def check(forward=square, backward=back, against=torch.square, inputs=ND, **more):
    return check_function(forward, backward, against=against, inputs=inputs, **more)


def numbers(gradients, at=None, loss=lambda W: (W**2).sum()):
    return check_gradients(gradients, loss=loss, at={"W": np.ones(3)} if at is None else at)


def in_float64(W):
    return torch.ones(3, 3).double() @ W


def linear(backward, forward=lambda x, w: (x @ w.T, (x, w)), against=torch.nn.functional.linear, **more):
    """x wᵀ, whose sizes all differ, with backward(dy, cache)."""
    inputs = {"inputs": {"x": ("N", "D"), "w": ("M", "D")}} | more
    return check_function(forward, backward, against=against, **inputs)


def linear_back(dy, cache):
    x, w = cache
    return dy @ w, dy.T @ x


class NoBackward:
    def forward(self, x):
        return x


def affine(backward):
    """backward(dy, x, W) of x @ W."""
    return check(lambda x, W: x @ W, lambda dy, x, W: backward(dy, x, W), lambda x, W: x @ W, XW)


class Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, W):
        ctx.save_for_backward(x, W)
        return x @ W

    @staticmethod
    def backward(ctx, dy):
        x, W = ctx.saved_tensors
        return dy.mm(W), x.T @ dy


def batch_norm(x, g):
    return torch.nn.functional.batch_norm(x, None, None, g, None, True)


def taken_from(stack, dy, W):
    return dy @ stack.pop(), W


CLASHES = {
    "no transpose": (
        lambda: affine(lambda dy, x, W: (dy @ W, x.T @ dy)),
        r"dy @ W does not fit together: dy has the shape \(3, 2\) = \(N, M\) and W has the shape \(5, 2\) = \(D, M\).*"
        r"Is a transpose missing.*test_misuse\.py, line \d+.*runs only where D = M: forward runs on others",
    ),
    "the other factor": (
        lambda: affine(lambda dy, x, W: (dy @ W.T, x @ dy)),
        r"x @ dy does not fit together: x has the shape \(3, 5\) = \(N, D\) and dy has.*they are 5 and 3",
    ),
    "a method": (
        lambda: affine(lambda dy, x, W: (dy.dot(W), x.T @ dy)),
        r"dy.dot\(W\) does not fit together.*transpose",
    ),
    "einsum": (
        lambda: affine(lambda dy, x, W: (np.einsum("nm,md->nd", dy, W), x.T @ dy)),
        r"np.einsum\('nm,md->nd', dy, W\) does not fit together: dy has the shape \(3, 2\) = \(N, M\)",
    ),
    "an axis lost": (
        lambda: check(backward=lambda dy, x: dy * x / x.sum(1)),
        r"dy \* x / x.sum\(1\) does not fit together.*With keepdims=True it is \(3, 1\)",
    ),
    "a function of NumPy": (
        lambda: check(backward=lambda dy, x: np.add(dy, x.T)),
        r"np.add\(dy, x.T\) does not fit together: dy has the shape \(3, 5\) = \(N, D\) and x.T has the shape \(5, 3\)",
    ),
    "tensors": (
        lambda: check_function(Affine, against=torch.matmul, inputs=XW),
        r"dy.mm\(W\) does not fit together: dy has the shape \(3, 2\) = \(N, M\)",
    ),
    "the cache, and not what other readings of the call make of it": (
        lambda: linear(lambda dy, c: (dy @ c[1].T, dy.T @ c[0])),
        r"dy @ c\[1\].T does not fit together: dy has the shape \(3, 2\) = \(N, M\) and c\[1\].T has the shape "
        r"\(5, 2\) = \(D, M\).*so its gradient must, too$",
    ),
    "the function intended": (
        lambda: check(against=lambda x: x @ x),
        r"`against` raised RuntimeError: x @ x does not fit",
    ),
    "arguments in a list": (
        lambda: check(lambda x: (x.reshape(*x.shape[:1], 2, -1), x), backward=lambda dy, x: dy.reshape(x.shape)),
        r"your forward raised ValueError: cannot reshape array of size 15",
    ),
    "what takes all of these shapes is no clash": (
        lambda: check_function(
            lambda x, g: (x - x.mean(0)) * g,
            lambda dy, x, g: dy,
            against=batch_norm,
            inputs={"x": (1, "D"), "g": ("D",)},
        ),
        "`against` raised ValueError: Expected more than 1 value per channel",
    ),
    "singular is no clash": (
        lambda: check(backward=lambda dy, x: np.linalg.solve(0 * x.T @ x, x.T)),
        "Singular matrix",
    ),
    "what is taken away is not looked at again": (
        lambda: affine(lambda dy, x, W: taken_from([x, W], dy, W)),
        r"your backward raised ValueError: matmul.*return dy @ stack.pop\(\), W",
    ),
}


MISUSES = {
    "forward returns None": (lambda: check(lambda x: None), "forward returns None"),
    "forward returns a string": (lambda: check(lambda x: "y"), "forward gives str y where an array is wanted"),
    "forward is a number": (lambda: check(3), "forward is to be a function.*it is 3"),
    "backward is a number": (lambda: check(backward=3), "backward is to be a function.*it is 3"),
    "backward returns a string": (lambda: check(backward=lambda dy, x: "dx"), "backward gives str dx where an array"),
    "a name misspelt in forward": (lambda: check(lambda x: (xx, x)), r"your forward raised NameError.*line \d+.*xx, x"),  # noqa: F821
    "against is a string": (lambda: check(against="square"), "against is to be a function of torch"),
    "against returns None": (lambda: check(against=lambda x: None), "`against` gives None where a tensor is wanted"),
    "against of two": (lambda: check(against=lambda x, y: x), r"against takes 2 arguments \(x, y\).*has 1 \(x\)"),
    "against of one size": (lambda: check(against=lambda x: x @ x), "raised RuntimeError.*only where N = D"),
    "inputs in a list": (lambda: check(inputs=[("N", "D")]), "takes shapes by name"),
    "a shape in a list": (lambda: check(inputs={"x": ["N", "D"]}), r"inputs\['x'\] is list.*Indices"),
    "an array of strings": (lambda: check(inputs={"x": np.array(["a"])}), "numbers are wanted"),
    "a negative length": (lambda: check(inputs={"x": ("N", -2)}), "lengths are 0 or more"),
    "a matrix of one axis": (lambda: check(inputs={"x": SPD(("N",))}), "matrices have two at least"),
    "where is a string": (lambda: check(where="D % 2"), "takes a function, as where=lambda s"),
    "where of no size": (lambda: check(where=lambda s: s["K"] > 1), "where asks for the size 'K'; the sizes are N, D"),
    "where of other names": (
        lambda: linear(linear_back, where=lambda a, b: True),
        r"where takes \(a, b\).*lambda s: s",
    ),
    "where that raises": (
        lambda: linear(linear_back, where=lambda s: 1 // 0),
        r"your where raised ZeroDivisionError.*line \d+.*on N = 3, D = 5, M = 2",
    ),
    "a length that is none": (
        lambda: check(inputs={"x": ("N", "D-9")}),
        r"inputs\['x'\] has the length 'D-9', which is below 1 for all sizes",
    ),
    "an argument too many": (
        lambda: linear(lambda dy, c, reg: linear_back(dy, c)),
        r"too many values.*backward\(dy, c, reg\) was called as .*reg is none of these.*lambda dy, c: backward\(dy, ",
    ),
    "two arguments too many": (
        lambda: linear(lambda dy, c, reg, beta: linear_back(dy, c)),
        r"backward\(dy, c, reg, beta\) was called as .*reg and beta are none of these: say",
    ),
    "a learning rate beside the cache, where an input could stand": (
        lambda: check(backward=lambda dy, cache, lr: 2 * dy * cache),
        r"backward\(dy, cache, lr\) is not understood.*lr is none of these.*lambda dy, cache: backward\(dy, cache, lr=",
    ),
    "a learning rate without a cache": (
        lambda: check(backward=lambda lr, dy, y: 2 * dy * y),
        r"backward\(lr, dy, y\) is not understood.*lr is none of these.*lambda dy, y: backward\(…, dy, y\)",
    ),
    "forward and backward exchanged": (
        lambda: linear(lambda x, w: (x @ w.T, (x, w)), linear_back),
        r"they are exchanged. The forward goes first, check_function\(forward, backward",
    ),
    "exchanged, with the inputs for a cache": (
        lambda: linear(lambda x, w: x @ w.T, lambda dy, x, w: (dy @ w, dy.T @ x)),
        r"forward takes \(dy, x, w\), and backward takes \(x, w\): they are exchanged",
    ),
    "a gradient that is several arrays": (
        lambda: linear(lambda dy, c: (dy @ c[1], (dy, c))),
        r"arrays of the shapes \(3, 5\), \(3, 2\), \(3, 5\), \(2, 5\), in a tuple.*\(dx \(3, 5\), dw \(2, 5\)\)",
    ),
    "a seed below 0": (lambda: check(seed=-1), "seed is -1; it takes a whole number, 0 or more"),
    "a class without a backward": (
        lambda: check(NoBackward, None, lambda x: x),
        r"NoBackward has forward\(x\) and no backward: it takes a method backward\(dy\)",
    ),
    "a module as a forward": (
        lambda: check(torch.nn.Linear(3, 2), None),
        r"the torch.nn module Linear.*check_model\(nn",
    ),
    "a module of fewer inputs": (
        lambda: linear(linear_back, against=torch.nn.Linear(5, 2)),
        r"takes input, and `inputs` has 2 \(x, w\).*against=torch.nn.functional.linear",
    ),
    "inputs in a dict for an object": (
        lambda: check(Tanh(), None, torch.tanh, {"p": {"W": ("D",)}, "x": ("N", "D")}),
        r"inputs\['p'\] is a dict with arrays \(W\).*inputs=\{'W': …, 'x': …\}.*set=lambda obj.*as Net\(\{\}\)",
    ),
    "integers alone": (
        lambda: linear(linear_back, inputs={"x": np.ones((2, 3), int), "w": np.ones((4, 3), int)}),
        r"x, w are of integers, which have no gradient.*x.astype\(float\)",
    ),
    "a slope of dy": (
        lambda: check_pointwise(np.tanh, lambda dy, x: dy, against=torch.tanh),
        r"df takes \(dy, x\); check_pointwise takes functions of x alone.*check_function\(f, backward",
    ),
    "a slope that is a number": (lambda: check_pointwise(np.tanh, 1.0), "df is 1.0; it takes a function of x"),
    "a loss in NumPy": (
        lambda: numbers({"W": np.ones(3)}, loss=lambda W: np.sum(W, axis=0)),
        r"your loss raised TypeError.*It is NumPy code, and torch code is wanted",
    ),
    "options in a list": (lambda: check(options=[1]), "takes numbers by name"),
    "a slope that raises": (lambda: check_pointwise(np.tanh, lambda x: 1 / "x", against=torch.tanh), r"line \d+"),
    "against is a class of arguments": (
        lambda: check(against=torch.nn.Linear),
        r"Linear is a class that takes in_features, out_features.*nn.Linear\(3, 2\)",
    ),
    "an instance of an autograd function": (lambda: check(Square.__new__(Square), None), r"check_function\(Square, "),
    "Between of a shape first": (
        lambda: Between(("N", "D"), 0, 1),
        r"as Between\(0, 1.*got Between\(\('N', 'D'\), 0, 1\)",
    ),
    "Between of no shape": (lambda: Between(0, 1, 4), r"and a shape, as .*it got Between\(0, 1, 4\)"),
    "Between of ends alone": (lambda: Between(0, 1), r"and a shape, as Between\(0, 1, .*it got Between\(0, 1\)"),
    "Between of one end": (lambda: Between(1), r"the highest and a shape.*it got Between\(1\)"),
    "Positive of nothing": (lambda: Positive(), r"Positive takes a shape, as .*it got Positive\(\)"),
    "Indices below nothing": (lambda: Indices(("N",)), r"below=\"C\"\); it got Indices\(\('N',\)\)"),
    "Indices below an array": (lambda: Indices(("N",), [3]), r"below=\"C\"\); it got Indices\(\('N',\), \[3\]\)"),
    "Constant of nothing": (lambda: Constant(), r"Constant takes a shape"),
    "Between of ends that fall": (lambda: Between(1, 0, ("N",)), "the lowest number, the highest"),
    "Positive of a number": (
        lambda: Positive(4),
        r"Positive takes a shape, as Positive\(\(\"N\", \"D\"\)\); it got Positive\(4",
    ),
    "a layer against a class of other options": (
        lambda: check_layer(Tanh(), against=torch.nn.Linear),
        r"against=Linear does not take the options of Tanh\(\), which are none.*against=nn.Linear\(3, 2\)",
    ),
    "a layer against a function": (
        lambda: check_layer(Tanh(), against=torch.tanh),
        r"check_layer takes a torch.nn class or module.*check_function",
    ),
    "a module as a layer": (lambda: check_layer(torch.nn.Linear(3, 2)), r"module Linear.*check_model\(nn"),
    "a module's class as a layer": (lambda: check_layer(torch.nn.Linear), r"module Linear.*check_model\(nn"),
    "a function as a layer": (lambda: check_layer(lambda x: x), r"it got the function <lambda>.*check_function\("),
    "a loss of three": (
        lambda: check_gradients({"W": np.ones(3)}, loss=lambda W: W**2, at={"W": np.ones(3)}),
        r"loss gives a tensor of shape \(3,\), and one number is wanted",
    ),
    "gradients that are one array": (
        lambda: numbers(np.ones(3)),
        r"gradients are float64 of shape \(3,\).*\{\"W\": dW\}",
    ),
    "gradients that are one tensor": (lambda: numbers(torch.ones(3)), r"gradients are float32 of shape \(3,\)"),
    "at that is one array": (lambda: numbers({"W": np.ones(3)}, np.ones(3)), r"`at` is float64.*at=\{\"W\": W\}"),
    "no gradients": (lambda: numbers({}), r"the gradients are dict \{\}; arrays by name are taken"),
    "a gradient that is a string": (lambda: numbers({"W": "abc"}), "the gradient of W is str abc, where an array"),
    "a gradient that is None": (lambda: numbers({"W": None}), "the gradient of W is None, where an array"),
    "a gradient of unequal rows": (lambda: numbers({"W": [[1.0], [1.0, 2.0]]}), "the gradient of W is list"),
    "a gradient of another name": (lambda: numbers({"V": np.ones(3)}), "of V are given.*only W.*one of W, dW, W_grad"),
    "a gradient of another precision than `at`": (
        lambda: numbers({"W": np.ones(3, np.float32)}, loss=lambda W: in_float64(W).sum()),
        "dtype is that of the gradients, float32.*though W is float64: give gradients of float64",
    ),
    "a loss that raises": (
        lambda: check_gradients({"W": np.ones(3)}, loss=lambda W: (W @ W @ W).sum(), at={"W": np.ones(3)}),
        r"your loss raised RuntimeError.*test_misuse\.py, line \d+",
    ),
}


@pytest.mark.parametrize("name", MISUSES)
def test_a_misuse_gets_a_sentence(name):
    call, told = MISUSES[name]
    with pytest.raises(ValueError, match=f"(?s){told}"):
        call()


def test_an_argument_that_is_none_shows_the_right_call():
    with pytest.raises(TypeError, match=r"has no argument agains, but against. Call it as check_function\(forward, b"):
        check_function(square, back, agains=torch.square, inputs=ND)
    with pytest.raises(TypeError, match=r"check_function lacks inputs: call it as .*inputs=\{"):
        check_function(square, back, against=torch.square)
    with pytest.raises(TypeError, match="takes forward and backward by their place, and all else by name; it got 3"):
        check_function(square, back, torch.square, inputs=ND)
    with pytest.raises(TypeError, match=r"check_model lacks model: call it as check_model\(model, x\)"):
        check_model()
    assert check_model(torch.nn.Linear(3, 2), torch.ones(4, 3))


def test_a_constant_has_no_row():
    inputs = {"x": Constant(("N", "D")), "w": ("M", "D")}
    for back in (linear_back, lambda dy, c: (None, dy.T @ c[0])):
        report = linear(back, inputs=inputs)
        assert report
        assert [t.name for t in report.tensors] == ["y", "dw"]


def test_where_may_name_the_sizes():
    assert linear(linear_back, where=lambda N, M: N > M).trials > 5


def test_functions_of_one_number_are_called_entry_by_entry():
    report = check_pointwise(math.tanh, lambda x: 1 - math.tanh(x) ** 2, against=torch.tanh)
    assert report
    assert "f and df take one number at a time" in str(report)
    assert not check_pointwise(math.tanh, lambda x: 1 - math.tanh(x), against=torch.tanh)
    assert check_pointwise(lambda x: x if x > 0 else 0.0, lambda x: 1.0 if x > 0 else 0.0, against=torch.relu)


@pytest.mark.parametrize("name", CLASHES)
def test_shapes_that_clash_are_told_with_the_users_own_expression(name):
    call, told = CLASHES[name]
    try:
        said = str(call())  # it runs where a size is 1: then it is a note
    except ValueError as e:
        said = str(e)
    assert re.search(f"(?s){told}", said), said
    assert ("gufunc" in said) == ("taken away" in name)


def test_a_wrong_index_is_no_matter_of_sizes():
    with pytest.raises(ValueError, match="IndexError: too many indices") as caught:
        check(backward=lambda dy, x: dy * x[:, :, 0])
    assert "where=" not in str(caught.value)
    with pytest.raises(ValueError, match="where=lambda"):
        check(lambda x: (x.reshape(-1, 77), x))


def test_numbers_that_are_refused_are_no_matter_of_sizes():
    def in_the_unit_interval(x):
        raise ValueError("x must be between 0 and 1, in steps of a third")

    with pytest.raises(ValueError, match=r"say what numbers are taken, as Positive\(…\), Between"):
        check(in_the_unit_interval)


def lines_of(error):
    return [(frame.filename, frame.name) for frame in traceback.extract_tb(error.__traceback__)]


def test_the_users_own_lines_are_all_that_is_shown():
    with pytest.raises(ValueError, match="your backward raised") as caught:
        affine(lambda dy, x, W: (dy @ W, x.T @ dy))
    shown = lines_of(caught.value)
    assert [file for file, _ in shown[:-1]] == [__file__] * (len(shown) - 1)
    assert shown[-1][1] == "called"  # who raises it
    cause = caught.value.__cause__
    assert lines_of(cause) == [(__file__, "<lambda>"), (__file__, "<lambda>")]
    assert caught.value.__suppress_context__


def test_an_error_of_the_project_itself_keeps_its_lines(monkeypatch):
    monkeypatch.setattr("reference.judge.passed", lambda *_: np.ones(3) + np.ones(4))
    with pytest.raises(ValueError, match="broadcast") as caught:
        check()
    assert any(file.endswith("judge.py") for file, _ in lines_of(caught.value))


def test_a_gradient_in_nested_lists_is_an_array():
    assert check(backward=lambda dy, x: (2 * dy * x).tolist())


def test_an_output_of_another_shape_is_the_forwards_fault():
    assert check(lambda x: ((x * x).sum(1), x), lambda dy, x: 2 * dy[:, None] * x).wrong_side in ("forward", "both")


def test_a_gradient_of_another_shape_beside_a_wrong_output_is_wrong_and_no_error():
    report = check(lambda x: (3 * x * x, x), lambda dy, x: (2 * dy * x).sum(0))
    assert (report.verdict, report.wrong_side) == ("wrong", "both")


def test_a_gradient_of_another_shape_is_wrong_and_no_error():
    report = check(backward=lambda dy, x: (2 * dy * x).sum(0))
    assert (report.verdict, report.wrong_side) == ("wrong", "backward")


@pytest.mark.parametrize("name", ["W", "dW", "W_grad", "grad_W", "W.grad"])
def test_a_gradient_may_be_called_as_a_backward_calls_it(name):
    assert numbers({name: 2 * np.ones(3)})
    assert not numbers({name: np.ones(3)})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parameters_and_tensors_with_a_history_are_numbers(dtype):
    W = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=dtype))
    assert numbers({"W": 2 * W}, {"W": W})
    assert not numbers({"W": 3 * W}, {"W": W})


def test_gradients_as_numbers_have_no_forward():
    report = numbers({"W": 3 * np.ones(3)})
    assert report.wrong_side == "gradients"
    assert "forward" not in str(report).splitlines()[1]
