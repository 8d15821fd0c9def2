"""Where torch has changed a convention, by hand stands today's, and beside an older torch the older one."""

import inspect
import itertools

import numpy as np
import pytest
import torch

from manualbp import (
    BatchNorm1d,
    CosineEmbeddingLoss,
    HingeEmbeddingLoss,
    Linear,
    LinearCrossEntropyLoss,
    MarginRankingLoss,
    Objective,
    PairwiseDistance,
    Sequential,
    TripletMarginLoss,
    TripletMarginWithDistanceLoss,
    registry,
)
from manualbp.loss_margin import Hinged
from manualbp.operations import Clamp
from manualbp.optim import LBFGS, Adam, Muon
from reference.compare.comparison import compare_case, compare_passes
from reference.draw.case import Case
from reference.laws import on_examples
from reference.twin.conventions import (
    CLAMP,
    CLASSES_SINCE,
    CONVENTIONS,
    OPTIONS_SINCE,
    _later,
    as_in,
    at_stake,
    differing,
    has,
    here,
    known_options,
    minimising,
)  # fmt: skip
from reference.twin.layers import to_torch

ONE, ZERO = np.ones(1), np.zeros(1)
AT_A_KINK = [
    (Clamp(0.0, 1.0), (ONE,)),
    (HingeEmbeddingLoss(), (ONE, -ONE)),
    (MarginRankingLoss(), (ONE, ONE, ONE)),
    (CosineEmbeddingLoss(), (np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array(-1.0))),
    (TripletMarginLoss(p=1.0, eps=0.0), (ZERO, ONE, -2 * ONE)),
    (TripletMarginWithDistanceLoss(PairwiseDistance(1.0, 0.0)), (ZERO, ONE, -2 * ONE)),
]
kinks = pytest.mark.parametrize(("layer", "x"), AT_A_KINK, ids=lambda value: type(value).__name__)


def gradient(layer, x):
    y, cache = layer.forward({}, x)
    return np.asarray(layer.backward({}, cache, np.ones_like(y))[0][0])


@kinks
def test_at_a_bound_of_clamp_by_hand_has_the_subgradient_of_least_norm(layer, x):
    assert not gradient(layer, x).any()
    assert gradient(as_in(layer, "2.13.0"), x).any()


@kinks
def test_this_torch_takes_at_the_bound_what_the_table_says(layer, x):
    tensors = [torch.tensor(a, requires_grad=True) for a in x]
    to_torch(layer)(*tensors).backward()
    np.testing.assert_array_equal(tensors[0].grad, gradient(as_in(layer), x))


@pytest.mark.parametrize("bounds", [*itertools.product((None, -1.0, 0.0), (None, 0.0, -1.0))][1:], ids=str)
def test_clamp_has_the_gradients_of_this_torch_at_every_kink(bounds):
    x, one = np.array([-1.0, 0.0, 1.0]), np.ones(3)
    arrays = tuple(None if b is None else np.full(3, b) for b in bounds)
    for layer, given in ((Clamp(*bounds), (x,)), (Clamp(), (x, *arrays))):
        tensors = [None if a is None else torch.tensor(a, requires_grad=True) for a in given]
        torch.clamp(*tensors, *(bounds if len(given) == 1 else ())).sum().backward()
        layer = as_in(layer)
        _, cache = layer.forward({}, given if len(given) > 1 else x)
        dx, _ = layer.backward({}, cache, one)
        for d, t in zip(dx if isinstance(dx, tuple) else (dx,), tensors):
            assert (d is None) == (t is None)
            assert d is None or d.tolist() == (np.zeros(3) if t.grad is None else t.grad).tolist()


def test_every_layer_with_a_hinge_is_in_the_table():
    assert {name for name, cls in registry().items() if issubclass(cls, Hinged)} | {"Clamp"} == set(CLAMP.classes)


def test_a_version_has_the_conventions_of_its_release():
    assert differing("2.13.0+cpu") == (CLAMP,)
    assert differing("2.14.0") == differing("2.15.1+cu130") == differing("3.0") == ()
    for convention in CONVENTIONS:
        assert convention.classes
        assert convention.since in str(convention)
        assert convention.source in str(convention)


def test_a_layer_deep_inside_takes_the_convention_and_prints_as_before():
    net = Objective(Sequential(Linear(2, 2)), TripletMarginLoss())
    older = as_in(net, "2.13")
    assert repr(older) == repr(net)
    assert older != net
    assert older.loss.above(np.zeros(1)).all()
    assert older.model == net.model
    assert as_in(net, "2.14") == net
    assert "TripletMarginLoss" in registry()
    assert registry()["TripletMarginLoss"] is TripletMarginLoss


def test_a_convention_is_at_stake_where_a_case_lies_on_the_kink():
    on, beside = Case(MarginRankingLoss(), (40,), 3, exact=True), Case(MarginRankingLoss(), (40,), 3)
    assert at_stake(on, "2.13") == (CLAMP,)
    assert at_stake(beside, "2.13") == at_stake(on, "2.14") == at_stake(Case(Linear(2, 3), (4, 2)), "2.13") == ()
    assert not compare_case(on).wrong


@pytest.mark.parametrize("name", CLAMP.classes)
def test_a_case_that_differs_from_this_torch_has_a_convention_at_stake(name):
    other = "2.14" if differing() else "2.13"  # than that of the torch that is installed
    counts = {True: 0, False: 0}

    def law(case):
        params, x, dy = case.data()
        differs = bool(compare_passes(as_in(case.layer, other), params, x, dy, case.seed, case.exact).wrong)
        assert not differs or at_stake(case, "2.13")
        counts[differs] += 1

    on_examples(registry()[name], law, 60)
    assert counts[False]
    assert counts[True] or name not in ("HingeEmbeddingLoss", "MarginRankingLoss")


def test_options_that_a_torch_has_not_yet_are_left_out_at_their_defaults():
    assert "maximize" not in known_options(LBFGS(), "2.13")
    assert known_options(LBFGS(maximize=True), "2.13")["maximize"]
    assert "maximize" in known_options(LBFGS(), "2.14")
    assert "maximize" in known_options(Adam(), "2.13")
    assert minimising(LBFGS(maximize=True), "2.13") == LBFGS()
    assert minimising(LBFGS(maximize=True), "2.14") == LBFGS(maximize=True)
    assert minimising(Adam(maximize=True), "2.13") == Adam(maximize=True)


def test_what_came_to_torch_later_is_left_out_at_its_default_and_not_drawn_else():
    assert "bias" in known_options(BatchNorm1d(3), "2.12.0")
    assert "bias" not in known_options(BatchNorm1d(3), "2.11.0")
    assert known_options(BatchNorm1d(3, bias=False), "2.11.0")["bias"] is False
    network = Sequential(Linear(2, 3), BatchNorm1d(3))
    assert has(network, "2.10.0")
    assert not has(Sequential(network, BatchNorm1d(3, bias=False)), "2.10.0")
    assert has(Sequential(network, BatchNorm1d(3, bias=False)), "2.12.0")
    assert not has(Objective(network, LinearCrossEntropyLoss(3, 2)), "2.12.0")
    assert has(Adam(), "2.6.0")
    assert not has(Adam(decoupled_weight_decay=True), "2.6.0")
    assert not has(Muon(), "2.8.0")
    assert has(LBFGS(maximize=True), "2.8.0")  # where −f is minimised instead


@pytest.mark.parametrize("name", CLASSES_SINCE)
def test_a_class_that_came_later_is_in_this_torch_if_the_table_says_so(name):
    assert (hasattr(torch.nn, name) or hasattr(torch.optim, name)) == here(name)


@pytest.mark.parametrize(("name", "option"), OPTIONS_SINCE)
def test_an_option_that_came_later_is_in_this_torch_if_the_table_says_so(name, option):
    cls = getattr(torch.nn, name, None) or getattr(torch.optim, name)
    takes = any(option in inspect.signature(base.__init__).parameters for base in cls.__mro__[:3])
    assert takes == (not _later(name, torch.__version__))
