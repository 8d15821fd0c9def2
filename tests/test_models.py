"""Models of people's own, read by running them once, beside themselves."""

import dataclasses
import re
import warnings

import numpy as np
import pytest
import torch
from models import Does, LayerNorm, Residuals, Skip, samples
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.rnn import pack_padded_sequence

import manualbp as m
from manualbp.base import Layer, flatten, run
from reference import check_model, from_torch
from reference.chain import chain_of, explain_model
from reference.compare.comparison import compare_case
from reference.draw.case import Case
from reference.draw.expression import parse
from reference.faults import corrupt, faults
from reference.models import examine_model, prepared

NAMES = [*samples()]
SELF_MADE = re.compile(r"\[|detach|setitem")  # nodes that stand for no call: an entry of a tuple, what no_grad cuts off


def read(model, *sample):
    """The graph that is read, run on the sample: (graph, params, y)."""
    graph, params = from_torch(model, *sample)
    x = tuple(t.detach().numpy() for t in sample)
    y, _ = run(graph, params, x if len(x) > 1 else x[0], np.random.default_rng(0))
    return graph, params, y


def close(y, truth):
    return np.allclose(y, truth.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_model_equals_itself_by_hand(name, dtype):
    model, sample = samples()[name]
    report = check_model(model, *sample, dtype=dtype)
    assert report, str(report)
    found = {t.name for t in report.tensors}
    for parameter in dict(model.named_parameters()):
        assert {f"{parameter}.grad", f"d{parameter}"} & found, parameter
    for buffer in dict(model.named_buffers()):
        assert buffer in found


@pytest.mark.parametrize("name", NAMES)
def test_every_node_of_a_model_is_right_alone(name):
    model, sample = samples()[name]
    report = check_model(model, *sample, by_layer=True)
    assert report, str(report)
    assert report.nodes.keys() >= {n for n in report.graph.children() if not SELF_MADE.search(n)}


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_that_was_read_is_a_value(name):
    model, sample = samples()[name]
    graph, _ = from_torch(model, *sample)
    assert parse(repr(graph)) == graph
    assert hash(parse(repr(graph))) == hash(graph)


@pytest.mark.parametrize("name", NAMES)
def test_reading_changes_nothing_of_the_model(name):
    model, sample = samples()[name]
    before = {n: t.clone() for n, t in model.state_dict().items()}
    check_model(model, *sample)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert model.training


def test_a_class_is_known_by_itself_and_not_by_its_name():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(3, 4), LayerNorm(4), nn.Linear(4, 2)).double(), torch.randn(5, 3).double()
    graph, _, y = read(model, x)
    assert "LayerNorm" not in repr(graph)
    assert close(y, model(x))
    with pytest.raises(TypeError, match="LayerNorm by running it"):
        from_torch(model)


RELU, SHARED = nn.ReLU(), nn.Linear(3, 3)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(3, 4), RELU, nn.Linear(4, 2), RELU), nn.Sequential(SHARED, nn.Tanh(), SHARED),
        nn.Sequential(nn.Sequential(SHARED, nn.Tanh()), nn.Sequential(SHARED, RELU)),
    ],
    ids=["one ReLU", "one Linear", "one Linear in two blocks"],
)  # fmt: skip
def test_a_module_used_twice_in_a_sequential_is_there_twice(model):
    torch.manual_seed(1)
    model, x = model.double(), torch.randn(5, 3).double()
    for p in model.parameters():
        nn.init.uniform_(p, -0.5, 1.0)  # so that some of the last ReLU's inputs lie above 0
    layer, params = from_torch(model)
    y, _ = layer.forward(params, x.numpy())
    assert close(y, model(x))
    assert check_model(model, x)


def test_a_module_of_known_classes_needs_no_sample():
    layer, params = from_torch(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
    assert layer == m.Sequential(m.Linear(2, 3), m.ReLU())
    assert set(flatten(params)) == {"0.weight", "0.bias"}


def test_what_looks_like_a_known_class_but_is_not():
    class Sequential(nn.Sequential):
        def forward(self, x):
            return super().forward(x) + x

    class SiLU(nn.Module):
        def forward(self, x):
            return x * torch.sigmoid(1.5 * x)

    replaced = nn.Linear(3, 3)
    replaced.forward = lambda x: x * 2
    for model in (Sequential(nn.Linear(3, 3)), nn.Sequential(SiLU()), nn.Sequential(replaced)):
        model, x = model.double(), torch.randn(4, 3).double()
        assert close(read(model, x)[2], model(x))
        assert check_model(model, x)


@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.spectral_norm], ids=lambda f: f.__name__)
def test_norms_of_weights_by_hooks(norm):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and everywhere
        model = nn.Sequential(norm(nn.Linear(3, 4)), nn.Tanh()).double().eval()
    x = torch.randn(2, 3).double()
    assert close(read(model, x)[2], model(x))
    assert check_model(model, x)


def test_a_frozen_parameter_is_compared_and_said():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    model[0].weight.requires_grad_(False)
    report = check_model(model, torch.randn(2, 3))
    assert report
    assert any("0.weight" in note for note in report.notes)


@pytest.mark.parametrize("inexact", [nn.Hardsigmoid(), nn.Hardsigmoid(inplace=True), nn.CELU(1.3)], ids=str)
def test_where_torch_itself_is_inexact_it_is_said(inexact):
    report = check_model(nn.Sequential(nn.Linear(3, 4), inexact), torch.randn(5, 3), by_layer=True)
    assert report, str(report)
    assert any("float32's digits" in note for note in report.notes)


def test_strides_that_torch_mistakes_are_no_fault_of_the_model():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).to(memory_format=torch.channels_last)
    assert check_model(model, torch.randn(2, 3, 2, 1).to(memory_format=torch.channels_last))


class ByFunction(nn.Module):
    """A batch norm called as a function: its node names every parameter and buffer by itself."""

    def __init__(self):
        super().__init__()
        self.fc, self.bn = nn.Linear(4, 3), nn.BatchNorm1d(3)

    def forward(self, x):
        bn = self.bn
        return F.batch_norm(self.fc(x), bn.running_mean, bn.running_var, bn.weight, bn.bias, training=True)


@pytest.mark.parametrize("make", [ByFunction, Residuals], ids=lambda cls: cls.__name__)
def test_what_a_pass_moves_leaves_the_weights_of_the_step_after_it(make):
    torch.manual_seed(0)
    model = make().double()
    x = torch.randn(5, 4).double() if make is ByFunction else torch.randn(2, 3, 8, 8).double()
    graph, params = from_torch(model, x)
    y, cache = graph.forward(params, x.numpy())
    rule = m.optim.SGD(lr=0.5)
    stepped, _ = rule.step(params, graph.gradients(params, cache, np.cos(y)), rule.init(params))
    after, before = flatten(graph.track(stepped, cache)), flatten(stepped)
    model(x)
    for name, p in model.named_parameters():
        assert np.array_equal(after[name], before[name]), name
        assert not np.array_equal(after[name], p.detach().numpy()), name
    for name, b in model.named_buffers():
        if "num_batches" not in name:
            assert close(after[name], b), name


def test_a_module_that_counts_its_batches_is_taken_whole():
    graph, _ = from_torch(Residuals(), torch.randn(2, 3, 8, 8))
    assert graph.constants == ()
    assert [node.params for node in graph.layers if node.name == "blocks.0.bn1"] == [None]


def test_gradients_in_the_report_are_those_of_autograd():
    model, x = Skip().double(), torch.randn(3, 5).double()
    tensors = {t.name: t for t in check_model(model, x, seed=3).tensors}
    dy = torch.from_numpy(np.random.default_rng(4).standard_normal((3, 5)))
    model(x).backward(dy)
    assert close(tensors["up.weight.grad"].hand, model.up.weight.grad)
    assert np.array_equal(tensors["up.weight.grad"].torch, model.up.weight.grad.numpy())


# A wrong node is found, and named


class Wrong(Layer, family=True):
    """A layer whose gradient by its input is twice what it should be."""

    inner: Layer

    @property
    def random(self):
        return self.inner.random

    def forward(self, params, x, rng=None):
        return run(self.inner, params, x, rng)

    def backward(self, params, cache, dy):
        dx, grads = self.inner.backward(params, cache, dy)
        return m.tree_map(lambda d: 2 * d, dx), grads


@pytest.mark.parametrize(("name", "node"), [("gpt", "blocks.0.ln_2"), ("unet", "mid"), ("resnet", "blocks.1.bn1")])
def test_a_wrong_node_is_named(name, node):
    model, sample = samples()[name]

    def change(graph):
        return graph.map_named(lambda n, layer: Wrong(layer) if n == node else layer)

    report = examine_model(model, sample, {}, change=change)
    assert not report
    assert report.culprit is not None
    assert report.culprit.startswith(f"{node}, its d")
    assert report.wrong_side == "backward"
    assert [n for n, c in report.nodes.items() if c.wrong] == [node]
    assert f"✗ {node}" in str(report)


@pytest.mark.parametrize(("name", "node", "mistake"), [("unet", "mid", "B06"), ("resnet", "blocks.1.bn1", "D06")])
def test_a_mistake_of_the_catalogue_is_named_in_its_node(name, node, mistake):
    model, sample = samples()[name]

    def change(graph):
        return graph.map_named(lambda n, layer: corrupt(layer, faults()[mistake]) if n == node else layer)

    report = examine_model(model, sample, {}, change=change)
    assert report.culprit is not None
    assert report.culprit.startswith(node)
    assert report.suspects[0].fault == mistake


def test_a_node_whose_gradient_has_a_wrong_shape_is_named():
    """The gradient of what an Add broadcasts is not summed: what comes before it cannot go on."""
    model, sample = samples()["gpt"]

    def change(graph):
        return graph.map_named(lambda n, layer: corrupt(layer, faults()["J02"]) if n == "add" else layer)

    report = examine_model(model, sample, {}, change=change)
    assert report.verdict == "wrong"
    assert report.culprit == "add, its dx[1]"
    assert report.suspects[0].fault == "J02"


class Misshapen(Wrong, family=True):
    """A layer whose gradient by its input has an axis too many."""

    def backward(self, params, cache, dy):
        dx, grads = self.inner.backward(params, cache, dy)
        return np.stack([dx, dx, dx]), grads


@pytest.mark.parametrize(("name", "node"), [("resnet", "mean"), ("gpt", "norm"), ("vit", "head")])
def test_a_backward_pass_that_cannot_go_on_is_wrong_and_no_crash(name, node):
    model, sample = samples()[name]

    def change(graph):
        return graph.map_named(lambda n, layer: Misshapen(layer) if n == node else layer)

    report = examine_model(model, sample, {}, change=change)
    assert report.verdict == "wrong"
    assert report.culprit == f"{node}, its dx"
    assert any("by hand the whole model ends in" in note for note in report.notes)


def test_a_wrong_join_is_seen_although_every_node_is_right():
    def change(graph):
        nodes = list(graph.layers)
        nodes[-1] = dataclasses.replace(nodes[-1], inputs=("down", "down"))
        return graph.replace(layers=tuple(nodes))

    report = examine_model(Skip(), (torch.randn(3, 5),), {}, change=change)
    assert not report
    assert any("joined" in note for note in report.notes)


# What cannot be read says where, and what to do


def refusal(model, *sample, **kwargs):
    with pytest.raises((TypeError, ValueError)) as caught:
        from_torch(model, *sample, **kwargs)
    return str(caught.value)


def test_a_call_without_a_class_names_itself_its_place_and_the_class_to_write():
    text = refusal(nn.Sequential(Does(lambda x: torch.special.i0(x))), torch.randn(2, 4))
    for wanted in ("torch.special.i0", "in 0", "test_models.py", 'calls = ("torch.special.i0",)', "def backward"):
        assert wanted in text


def test_a_call_that_nothing_depends_on_is_no_obstacle():
    def f(x):
        torch.special.i0(x)
        return x + 1

    assert check_model(Does(f), torch.randn(2, 4))


def hooked(x):
    x.register_hook(lambda g: 2 * g)
    return x


def hooked_where_it_came_from(x):
    y = x * 2
    assert "Mul" in y.grad_fn.name()
    y.grad_fn.register_hook(lambda into, out: None)
    return y


def halved_when_saved(x):
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t / 2, lambda t: t):
        return x * x


def autocast(x):
    with torch.autocast("cpu"):
        return x @ x.T


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 3


def stale(x):
    part = x.detach()
    part.mul_(2)
    return x + 1


def through_data(x):
    x.data = x.data * 2
    return x


@pytest.mark.parametrize(
    ("f", "told"),
    [
        (hooked, "hook"), (hooked_where_it_came_from, "hook"), (halved_when_saved, "saved_tensors_hooks"),
        (autocast, "autocast"), (Doubled.apply, "backward of its own"), (stale, "changed in place"),
        (through_data, "x.data"),
    ],
    ids=lambda v: getattr(v, "__name__", None),
)  # fmt: skip
def test_what_would_be_passed_over_is_refused_with_its_place(f, told):
    text = refusal(Does(f), torch.randn(4, 4))
    assert told in text
    assert "test_models.py" in text or "in the model" in text


def test_what_nothing_depends_on_has_no_gradient_where_its_slope_is_infinite():
    """0 · ∞ would be NaN; autograd does not go there."""
    node = m.graph.Node
    steep = m.Sequential(m.Linear(2, 2), m.operations.Mul(other=float("inf")))
    graph = m.Graph(node("a", steep, "x"), node("b", m.Tanh(), "x"))
    params, x, dy = Case(graph, (3, 2)).data()
    dx, grads = graph.backward(params, graph.forward(params, x)[1], dy)
    assert np.array_equal(dx, dy * (1 - np.tanh(x) ** 2))
    assert [np.abs(g).max() for g in flatten(grads).values()] == [0.0, 0.0]
    assert not compare_case(Case(graph, (3, 2))).wrong


def test_a_parameter_changed_in_the_forward_pass():
    class Clipped(nn.Linear):
        def forward(self, x):
            with torch.no_grad():
                self.weight.clamp_(-1, 1)
            return super().forward(x)

    assert "changes the parameter weight" in refusal(Clipped(3, 3), torch.randn(2, 3))


def test_packed_sequences_are_refused_with_what_to_give():
    x, lengths = torch.randn(4, 3, 4), [4, 3, 1]
    rnn = nn.GRU(4, 2)
    for model, sample in (
        (Does(lambda x: rnn(pack_padded_sequence(x, lengths))[1]), x),
        (rnn, pack_padded_sequence(x, lengths)),
    ):
        with pytest.raises(TypeError, match=r"packed sequence.*Give the layer the padded sequences(.|\n)*in "):
            check_model(model, sample)


def test_backward_hooks_and_hooks_on_parameters():
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].register_full_backward_hook(lambda *a: None)
    assert "0 (Linear) has a backward hook" in refusal(model)
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].weight.register_hook(lambda g: g)
    assert "0.weight has a hook" in refusal(model)
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].weight.register_post_accumulate_grad_hook(lambda p: None)
    assert "0.weight has a hook" in refusal(model)


def test_models_that_a_run_by_hand_cannot_be_of():
    assert "model.float()" in refusal(nn.Linear(2, 2).bfloat16(), torch.randn(1, 2))
    mixed = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double(), Does(torch.tanh))
    assert "one floating dtype" in refusal(mixed, torch.randn(1, 2))
    assert "model.cpu()" in refusal(nn.Linear(2, 2, device="meta"), torch.randn(1, 2))
    assert "takes a torch.nn.Module" in refusal(F.relu, torch.randn(1, 2))


def test_a_sample_that_the_model_refuses():
    text = refusal(Skip(), torch.randn(3, 4))
    assert "float32 of shape (3, 4)" in text
    assert "Skip" in text
    assert "takes no such sample" in refusal(Skip(), torch.randn(3, 5), mask=None)
    assert "give it a sample" in refusal(Skip()) or "by running it" in refusal(Skip())


def test_nan_is_said_with_the_node_that_it_comes_from():
    report = check_model(Does(lambda x: torch.log(-x.abs()) + 1), torch.randn(2, 4))
    assert any("first comes out of log: Log()" in note for note in report.notes)


def test_a_lazy_module_that_was_never_called():
    assert "call it once" in refusal(nn.LazyLinear(3), torch.randn(1, 2))


def test_a_model_that_gives_another_result_at_the_second_call():
    calls = iter(range(100))

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, x):
            return self.fc(x) * next(calls)

    with pytest.raises(ValueError, match="second call"):
        check_model(Counting(), torch.randn(1, 2))


def test_a_value_that_is_read_is_noted():
    report = check_model(Does(lambda x: x * 2 if x.sum() > 1e9 else x * 3), torch.randn(2, 4))
    assert report
    assert any("__bool__" in note and "test_models.py" in note for note in report.notes)


def test_a_model_without_parameters_and_inputs_by_name():
    class Mean(nn.Module):
        def forward(self, *parts, scale=1.0, more=None):
            return scale * sum(parts) / len(parts) + more["bias"]

    a, b = torch.randn(2, 3), torch.randn(2, 3)
    report = check_model(Mean(), a, b, scale=2.0, more={"bias": torch.randn(3)})
    assert report
    assert {t.name for t in report.tensors} >= {"dparts[0]", "dparts[1]", "dmore['bias']"}


def test_one_class_makes_a_call_readable():
    from manualbp.operations import Operation

    K = np.arange(1, 30)
    SQUARES = np.cumprod(K.astype(float)) ** 2

    class Bessel(Operation):
        """y = Σₖ (x/2)²ᵏ/k!², a Bessel function."""

        calls = ("torch.i0",)

        def forward(self, params, x):
            return 1 + ((x[..., None] / 2) ** (2 * K) / SQUARES).sum(-1), (x,)

        def backward(self, params, cache, dy):
            (x,) = cache
            return dy * (K * (x[..., None] / 2) ** (2 * K - 1) / SQUARES).sum(-1), {}

    try:
        assert check_model(Does(torch.i0), torch.randn(2, 4))
    finally:
        Bessel.calls = ()


class Straight(torch.autograd.Function):
    """Rounded to steps, and the gradient straight through, by a factor."""

    @staticmethod
    def forward(ctx, x, step, factor=1.0):
        ctx.factor = factor
        return (x / step).round() * step

    @staticmethod
    def backward(ctx, g):
        return g * ctx.factor, None, None


def straight(slope):
    from manualbp.operations import Operation

    class StraightByHand(Operation):
        step: float
        factor: float = 1.0

        calls = ("Straight",)

        def forward(self, params, x):
            return np.rint(x / self.step) * self.step, ()

        def backward(self, params, cache, dy):
            return dy * self.factor * slope, {}

    return StraightByHand


def test_a_function_of_ones_own_is_read_by_an_operation_that_says_so():
    model = nn.Sequential(nn.Linear(4, 3), Does(lambda x: Straight.apply(x, 0.5) + Straight.apply(x, 0.25, 2.0)))
    x, own = torch.randn(3, 4), straight(1.0)
    model[1].fc = nn.Identity()
    try:
        report = check_model(model, x, by_layer=True)
    finally:
        own.calls = ()
    assert report, str(report)
    assert {"1.Straight", "1.Straight_1"} <= report.nodes.keys()
    assert any("check_function(Straight, against=" in note for note in report.notes)


def test_a_function_whose_backward_is_another_is_seen_in_its_node():
    own = straight(3.0)
    try:
        report = check_model(Does(lambda x: Straight.apply(x, 0.5).exp()), torch.randn(3, 4))
    finally:
        own.calls = ()
    assert report.verdict == "wrong"
    assert report.culprit == "Straight, its dx"


def test_a_function_without_a_class_names_what_can_be_done():
    text = refusal(Does(lambda x: Straight.apply(x, 0.5)), torch.randn(2, 4))
    for wanted in (
        "class StraightByHand(",
        'calls = ("Straight",)',
        "check_function(Straight, against=",
        "test_models",
    ):
        assert wanted in text


def test_a_wrong_variant_of_an_operation_is_not_what_a_call_is():
    class Wrong(m.operations.Mul):
        def backward(self, params, cache, dy):
            return dy, {}

    assert check_model(Does(lambda x: x * x), torch.randn(2, 4)), f"{Wrong} was read"


def test_an_output_that_is_a_dataclass():
    @dataclasses.dataclass
    class Output:
        hidden: torch.Tensor
        pooled: torch.Tensor
        extra: None = None

    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 2)

        def forward(self, x):
            h = self.fc(x)
            return Output(h, h.mean(0))

    report = check_model(Pooled(), torch.randn(4, 3))
    assert report
    assert {"y.hidden", "y.pooled"} <= {t.name for t in report.tensors}


def test_a_report_can_be_taken_for_the_list_that_it_once_was():
    report = check_model(nn.Linear(3, 2), np.random.default_rng(0).standard_normal((4, 3)))
    assert report[0] is report
    assert [r.verdict for r in report] == [report.verdict]


def test_evaluation_mode_is_read_as_it_is():
    torch.manual_seed(0)
    model = Residuals().double().eval()
    x = torch.randn(2, 3, 8, 8).double()
    graph, _, y = read(model, x)
    assert close(y, model(x))
    assert graph.train().children()["blocks.0.bn1"].training


# The chain rule of a model, written out


def test_the_chain_rule_has_every_step_and_where_gradients_meet():
    model, sample = samples()["resnet"]
    text = explain_model(model.double(), *sample)
    for name in from_torch(model, *(t.double() for t in sample))[0].children():
        assert name in text
    assert "2 gradients meet" in text
    assert "BatchNorm2d\n  Forward" in text
    lines = [line.split() for line in text.splitlines() if line.startswith("  blocks.0.add ")]
    assert lines[0][-3:-1] == [lines[0][-2]] * 2, lines  # the gradient's length, by hand and by torch


class Gated(nn.Module):
    """A value that a mask, a place and a detached copy are made of, too: these pass no gradient."""

    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 4)

    def forward(self, x):
        h = self.l(x) * (x > 0)
        place = h.argmax(1, keepdim=True)
        return h.gather(1, place) * place - (h + h.detach()) * (place > 1)


def test_what_passes_no_gradient_is_not_counted_where_gradients_meet():
    given = prepared(Gated(), (torch.randn(3, 4),), {})
    chain = chain_of(given)
    meets = {line.name: line.meets for line in chain.lines if line.meets}
    assert meets == {"mul": ("gather", "add")}
    assert chain.met_at_inputs == {}


def test_a_models_report_says_by_hand_and_not_yours():
    model, sample = samples()["unet"]

    def change(graph):
        return graph.map_named(lambda n, layer: corrupt(layer, faults()["B06"]) if n == "mid" else layer)

    report = examine_model(model, sample, {}, change=change, by_layer=True)
    assert "What the mistake looks like (yours: by hand):" in str(report)
    assert ": yours " not in str(report)


def test_one_step_is_shown_with_its_derivation_and_its_numbers():
    model, sample = samples()["skip"]
    text = explain_model(model, *sample, node="act")
    assert "dx = (1 − y²) dy" in text
    assert re.search(r"dx +3×7 +([\d.]+) +\1 ", text)  # the gradient's length, by hand and by torch
    with pytest.raises(ValueError, match="there are up, act, down"):
        explain_model(model, *sample, node="axt")


class Masked(nn.Module):
    """Its arguments have names that code between it and its caller may have, too."""

    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 4)

    def forward(self, x, m, model, cls=None):
        return self.l(x) * m * model


class Chosen(nn.Module):
    def __init__(self, places):
        super().__init__()
        self.l, self.places = nn.Linear(4, 4), places

    def forward(self, x):
        y = self.l(x)
        return y[self.places(y > 0)]


def test_an_argument_may_have_any_name():
    x, m, model = torch.randn(3, 4), torch.ones(3, 4), torch.ones(4)
    assert check_model(Masked(), x, m=m, model=model, cls="any", by_layer=True)
    assert from_torch(Masked(), x, m=m, model=model)


@pytest.mark.parametrize(
    "places",
    [torch.where, lambda c: c.nonzero(as_tuple=True), lambda c: tuple(torch.argwhere(c).T)],
    ids=["where", "nonzero", "argwhere"],
)
def test_places_that_a_condition_gives_are_the_samples(places):
    report = check_model(Chosen(places), torch.randn(3, 4), by_layer=True)
    assert report, str(report)
    assert any("reads a value of the sample" in note for note in report.notes)


@pytest.mark.parametrize(
    ("model", "indices"),
    [(nn.Embedding(5, 3, sparse=True), [1, 2, 1]), (nn.EmbeddingBag(5, 3, mode="sum", sparse=True), [[1, 2, 1]])],
    ids=["Embedding", "EmbeddingBag"],
)
def test_a_sparse_gradient_is_compared_as_an_array(model, indices):
    report = check_model(model, torch.tensor(indices), by_layer=True)
    assert report, str(report)
    assert report.nodes


@pytest.mark.parametrize("dtype", [torch.float32, np.float32, np.dtype("float32"), "float32"], ids=repr)
def test_a_precision_may_be_torchs_own(dtype):
    report = check_model(nn.Linear(4, 3), torch.randn(2, 4), dtype=dtype)
    assert all(t.hand.dtype == np.float32 for t in report.tensors)


def test_a_precision_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r'dtype=torch\.float16.* takes dtype="float64" or dtype="float32"'):
        check_model(nn.Linear(4, 3), torch.randn(2, 4), dtype=torch.float16)


def test_a_pattern_that_matches_no_node_gets_the_names():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    with pytest.raises(ValueError, match=r"no node of this model is called 'nope\.\*'; there are 0, 1"):
        check_model(model, torch.randn(2, 4), by_layer=True, only="nope.*")
    assert check_model(model, torch.randn(2, 4), by_layer=True, only="1").nodes.keys() == {"1"}
