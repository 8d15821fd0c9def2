"""Bad input gets one paragraph: the layer as an expression, what it takes, what it got. Never a silent wrong number."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import manualbp as m
from manualbp.base import registry, tree_map
from manualbp.optim import SGD
from reference.draw.expression import parse
from reference.laws import on_examples
from reference.sides.record import walk
from reference.twin.layers import from_torch, to_torch

F64 = np.ones


def told(call, error=ValueError):
    with pytest.raises(error) as caught:
        call()
    text = str(caught.value)
    assert "\n\n" not in text
    return text


def test_a_wrong_shape_shows_layer_call_and_sizes():
    layer = m.Linear(3, 2)
    text = told(lambda: layer.forward(layer.init(np.random.default_rng(0)), F64((4, 5))))
    assert "Linear(3, 2)" in text
    assert "in_features = 3" in text
    assert "(4, 5)" in text


def test_a_tuple_where_one_array_is_taken():
    assert "a tuple (" in told(lambda: m.Tanh().forward({}, (F64(3), F64(3))))


def test_one_array_where_a_tuple_is_taken():
    assert "(input, target)" in told(lambda: m.MSELoss().forward({}, F64(3)))


@pytest.mark.parametrize("x", [np.arange(3), np.ones(3, np.float16), [1.0, 2.0], None, "abc"], ids=repr)
def test_what_is_no_array_of_real_numbers(x):
    assert "float32, float64" in told(lambda: m.Tanh().forward({}, x))


@pytest.mark.parametrize("name", sorted(registry()))
def test_every_layer_names_itself_when_its_input_has_another_shape(name):
    """Eight axes are too many for every layer that counts them; the others say no to what is no array."""

    def law(case):
        params, x, _ = case.data()
        wrong = tree_map(lambda a: np.asarray(a).reshape((1,) * (8 - np.ndim(a)) + np.shape(a)), x)
        for bad in (wrong, "no array", None):
            text = refusal(case.layer, params, bad)
            assert bad is wrong if text is None else any(type(part).__name__ in text for part in walk(case.layer))

    on_examples(registry()[name], law, 5)


def refusal(layer, params, x):
    """The message of the ValueError, None if x was taken."""
    try:
        m.base.run(layer, params, x, np.random.default_rng(0))
    except ValueError as e:
        return str(e)
    return None


def test_layers_inside_a_container_must_be_layers():
    assert "Sequential(Linear(2, 3), Tanh())" in told(lambda: m.Sequential(m.Linear(1, 1), np.tanh), TypeError)


def test_an_option_that_does_not_exist():
    assert "momentum" in told(lambda: SGD().replace(momentun=0.9), TypeError)


def test_a_module_without_a_layer_is_named_with_what_is_supported():
    class Own(nn.Module):
        pass

    text = told(lambda: from_torch(nn.Sequential(nn.Linear(2, 2), Own())), TypeError)
    assert "Own" in text
    assert "it reads torch.nn's own classes" in text


def test_missing_and_surplus_parameters_are_named():
    layer = m.Linear(2, 2)
    params = layer.init(np.random.default_rng(0))
    text = told(lambda: to_torch(layer, {"weight": params["weight"], "wieght": params["weight"]}), RuntimeError)
    assert "bias" in text
    assert "wieght" in text


def test_an_unknown_name_in_an_expression_suggests_the_nearest():
    assert "did you mean LayerNorm" in told(lambda: parse("Sequential(Layernorm(3))"))
    assert "column" in told(lambda: parse("Linear(2,"))
    assert "no call of a layer" in told(lambda: parse("[x for x in (1, 2)]"))


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: np.stack([a, a], -1)[..., 0]])
def test_any_layout_in_memory_works(layout):
    layer, rng = m.Linear(3, 2), np.random.default_rng(0)
    params, x = layer.init(rng), rng.standard_normal((4, 3))
    y, _ = layer.forward(params, x)
    z, _ = layer.forward(params, layout(x))
    assert np.allclose(y, z, rtol=0, atol=1e-15)


def test_manualbp_needs_no_torch():
    code = "import sys; sys.modules['torch'] = None; import manualbp, manualbp.checkpoint, manualbp.training"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_reference_without_torch_says_what_to_install():
    code = "import sys; sys.modules['torch'] = None; sys.argv[1:] = ['verify']; from reference.cli import main; main()"
    found = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert found.returncode == 2
    assert "pip install torch" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_torch_module_of_another_dtype_is_refused_or_kept():
    _, params = from_torch(nn.Linear(2, 2, dtype=torch.float64))
    assert params["weight"].dtype == np.float64
