"""A tree of arrays: every function over it keeps its nesting, its order, and None where there is nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manualbp import (
    Linear,
    MSELoss,
    Objective,
    PairwiseDistance,
    Repeat,
    Residual,
    Sequential,
    Tanh,
    TripletMarginWithDistanceLoss,
)
from manualbp.tree import add, flatten, leaves, spelt, tree_map, tree_map_with_path, unflatten

NAMES = st.text("abc01_", min_size=1, max_size=3)
TREES = st.recursive(
    st.integers() | st.none(),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
)
PARAMS = st.recursive(
    st.dictionaries(NAMES, st.integers(), min_size=1, max_size=3),
    lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3),
)
NETWORK = Objective(Sequential(Linear(2, 3), Residual(Repeat(Linear(3, 3))), Tanh()), MSELoss())
PATHS = ["", "model", "model.0", "model.1", "model.1.body", "model.1.body.body", "model.2", "loss"]


def test_a_path_is_spelt_as_torch_and_python_do():
    assert spelt(("0", "weight")) == "0.weight"
    assert spelt((1, 0), "y") == "y[1][0]"
    assert flatten(("h", ("c", None)), "y") == {"y[0]": "h", "y[1][0]": "c", "y[1][1]": None}
    assert flatten({"0": {"weight": "W"}}) == {"0.weight": "W"}
    assert flatten("x", "x") == {"x": "x"}


@given(TREES)
def test_flatten_has_every_leaf_under_its_path(tree):
    assert list(flatten(tree, "t").items()) == [(spelt(path, "t"), leaf) for path, leaf in leaves(tree)]


@given(PARAMS)
def test_unflatten_is_the_inverse_of_flatten(params):
    assert unflatten(flatten(params)) == params


@given(TREES)
def test_maps_keep_nesting_and_none(tree):
    at = dict(leaves(tree))
    assert tree_map(lambda n: n, tree) == tree
    assert tree_map_with_path(lambda path, _: at[path], tree) == tree
    more = {path: None if n is None else n + 1 for path, n in at.items()}
    assert dict(leaves(tree_map(lambda n: n + 1, tree))) == more


@given(TREES)
def test_none_is_zero_of_a_sum(tree):
    assert add(tree, None) == add(None, tree) == tree
    assert add(tree, tree) == tree_map(lambda n: 2 * n, tree)


def test_add_takes_what_one_of_both_lacks():
    assert add({"W": 1, "b": None}, {"b": 2, "c": 3}) == {"W": 1, "b": 2, "c": 3}
    with pytest.raises(ValueError, match="zip"):
        add((1, 2), (1,))


def test_walk_gives_every_layer_with_the_path_of_its_parameters():
    found = dict(NETWORK.walk())
    assert list(found) == PATHS
    assert found[""] is NETWORK
    assert {name.rpartition(".")[0] for name in flatten(NETWORK.init(np.random.default_rng(0)))} <= found.keys()


def test_map_named_rebuilds_a_network_from_its_layers():
    seen = []

    def unchanged(name, layer):
        seen.append(name)
        return layer.map_named(unchanged)

    assert unchanged("", NETWORK) == NETWORK
    assert seen == [path.rpartition(".")[2] for path in PATHS]


def test_map_reaches_layers_that_are_options():
    loss = TripletMarginWithDistanceLoss(distance_function=PairwiseDistance(p=2.0))
    changed = loss.map(lambda layer: layer.replace(p=1.0))
    assert changed == TripletMarginWithDistanceLoss(distance_function=PairwiseDistance(p=1.0))
    assert [path for path, _ in loss.walk()] == ["", "distance_function"]
    assert Tanh().map(lambda layer: None) == Tanh()
