"""Layers made of layers that follow from their options: what is inside is seen, corrupted and localised."""

import numpy as np
import pytest

from manualbp import Linear, MultiheadAttention, Sequential, Tanh
from manualbp.base import registry, run
from manualbp.composite import Composite
from reference.audit.detected import examples
from reference.faults import corrupt, faults
from reference.sides.record import inputs, walk

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


def test_each_changes_a_child_by_its_name():
    layer = MultiheadAttention(4, 2)
    other = layer.each(lambda name, child: child.replace(bias=False) if name == "out_proj" else child)
    assert not other.children()["out_proj"].bias
    assert other.children()["q_proj"] == layer.children()["q_proj"]
    assert layer.children()["out_proj"].bias


def test_options_changed_change_the_parts():
    layer = MultiheadAttention(4, 2, dropout=0.5)
    assert layer.random
    assert not layer.eval().random
    assert layer.replace(bias=False).children()["q_proj"] == Linear(4, 4, False)
