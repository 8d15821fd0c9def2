"""Layers made of layers that follow from their options: what is inside is seen, corrupted and localised."""

from typing import Any

import numpy as np
import pytest
import torch

from manualbp import (
    Linear,
    MultiheadAttention,
    Sequential,
    Tanh,
    Transformer,
    TransformerEncoder,
    TransformerEncoderLayer,
)
from manualbp.base import registry, run
from manualbp.composite import Composite
from reference.audit.detected import examples
from reference.compare.comparison import compare_case
from reference.draw.case import Case
from reference.faults import corrupt, faults
from reference.sides.record import inputs, walk
from reference.twin.layers import from_torch, to_torch

COMPOSITES = sorted(name for name, cls in registry().items() if issubclass(cls, Composite))


@pytest.mark.parametrize("name", COMPOSITES)
def test_the_record_has_what_a_composite_is_made_of_before_itself(name):
    for case in examples(name, 5):
        params, x, _ = case.data()
        noted = inputs(case.layer, params, x, case.seed)
        *inside, (path, layer, _, y) = noted
        assert (path, layer) == ("", case.layer)
        expected, _ = run(case.layer, params, x, np.random.default_rng(case.seed))
        assert str(y) == str(expected)
        assert inside
        assert all(path for path, *_ in inside)


def test_a_mistake_in_a_part_changes_nothing_else():
    layer = Sequential(MultiheadAttention(4, 2), Tanh())
    wrong = corrupt(layer, faults()["B01"])  # Linear's
    assert repr(wrong) == repr(layer)
    mistaken = [part for part in walk(wrong) if isinstance(part, Linear) and type(part) is not Linear]
    assert len(mistaken) == 4
    assert type(wrong.layers[0]) is MultiheadAttention
    assert all(type(part) is not Linear for part in walk(wrong.eval().train()) if isinstance(part, Linear))
    assert all(type(part) is Linear for part in walk(layer) if isinstance(part, Linear))


def test_map_named_changes_a_child_by_its_name():
    layer = MultiheadAttention(4, 2)
    other = layer.map_named(lambda name, child: child.replace(bias=False) if name == "out_proj" else child)
    assert not other.children()["out_proj"].bias
    assert other.children()["q_proj"] == layer.children()["q_proj"]
    assert layer.children()["out_proj"].bias


def test_options_changed_change_the_parts():
    layer = MultiheadAttention(4, 2, dropout=0.5)
    assert layer.random
    assert not layer.eval().random
    assert layer.replace(bias=False).children()["q_proj"] == Linear(4, 4, False)


def test_a_transformer_shows_its_parts_by_the_names_of_torch():
    layer = Transformer(4, 2, 1, 2, 3)
    params = layer.init(np.random.default_rng(0))
    x = np.ones((3, 2, 4)), np.ones((5, 2, 4))
    paths = [path for path, *_ in inputs(layer, params, x, 0)]
    assert "decoder.layers.1.multihead_attn.k_proj" in paths
    assert paths.index("encoder.layers.0.norm1") < paths.index("encoder.layers.0") < paths.index("decoder.layers.0")
    assert paths[-1] == ""


def test_the_comparison_is_with_the_equations_and_not_with_the_fast_path_of_torch(monkeypatch):
    def refused(*given):
        raise AssertionError("the fast path")

    monkeypatch.setattr(torch, "_transformer_encoder_layer_fwd", refused)
    layer = TransformerEncoder(TransformerEncoderLayer(4, 2, batch_first=True, training=False), 2)
    assert compare_case(Case(layer, (2, 3, 4))).verdict == "rounding"
    module = to_torch(layer, layer.init(np.random.default_rng(0)))
    with pytest.raises(AssertionError, match="fast path"), torch.no_grad():
        module(torch.ones(2, 3, 4, dtype=torch.float64))


def test_a_causal_mask_is_recognised_as_in_torch():
    layer = TransformerEncoder(TransformerEncoderLayer(4, 2, training=False), 1)
    rng = np.random.default_rng(0)
    params, x = layer.init(rng), rng.standard_normal((3, 2, 4))
    real = np.where(np.triu(np.ones((3, 3)), 1) == 1, -np.inf, 0.0)
    for mask in (real, np.isinf(real)):
        (y, cache), (z, _) = (f.forward(params, (x, mask)) for f in (layer, layer.replace(is_causal=False)))
        assert np.allclose(y, z, rtol=0, atol=1e-14)
        (dx, dmask), _ = layer.backward(params, cache, np.ones_like(y))
        assert dx.shape == x.shape
        assert dmask is None or not dmask.any()


def test_a_module_whose_parts_were_changed_is_not_read_as_what_it_was():
    module = torch.nn.TransformerEncoderLayer(4, 2)
    module.norm2 = torch.nn.LayerNorm(4, eps=0.1)
    with pytest.raises(TypeError, match=r"norm2"):
        from_torch(module)


@pytest.mark.parametrize("custom", [{}, {"custom_encoder": TransformerEncoder(TransformerEncoderLayer(4, 1), 2)}])
def test_a_transformer_is_read_from_torch(custom):
    layer = Transformer(4, 2, 1, 1, 5, activation="gelu", norm_first=True, bias=False, **custom)
    read: Any = from_torch(to_torch(layer))[0]
    assert read.children() == layer.children()
    assert read == layer or custom


def test_the_layers_of_a_stack_begin_with_the_same_numbers_and_those_of_a_transformer_do_not():
    rng = np.random.default_rng(0)
    stack = TransformerEncoder(TransformerEncoderLayer(4, 2), 2).init(rng)["layers"]
    assert (stack["0"]["linear1"]["weight"] == stack["1"]["linear1"]["weight"]).all()
    layers = Transformer(4, 2, 2, 2).init(rng)["encoder"]["layers"]
    assert (layers["0"]["linear1"]["weight"] != layers["1"]["linear1"]["weight"]).all()
