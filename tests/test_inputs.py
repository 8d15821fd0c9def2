"""What a model is called with, and what it makes for itself: no tensor at all, arrays, caches that are still empty,
sizes that are tensors."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from models import Does
from torch import nn
from torch.nn.utils.rnn import pad_sequence

import manualbp as m
from manualbp.base import flatten
from reference import check_model
from reference.models import examine_model
from reference.twin.step import UnknownCallError, make


class Drawing(nn.Module):
    """A generator that draws what it starts from."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))

    def forward(self, n):
        return self.net(torch.randn(n, 4))


class Spelling(nn.Module):
    """Words in, not tensors."""

    def __init__(self):
        super().__init__()
        self.letters, self.out = nn.Embedding(26, 3), nn.Linear(3, 2)

    def forward(self, words):
        return torch.stack(
            [self.out(self.letters(torch.tensor([ord(c) - 97 for c in word])).mean(0)) for word in words]
        )


class Factors(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(2, 4))

    def forward(self):
        return (self.a @ self.b).square().mean()


@pytest.mark.parametrize(
    ("model", "sample"), [(Drawing(), (6,)), (Spelling(), (["sea", "sky"],)), (Factors(), ())], ids=lambda v: str(v)[:9]
)
def test_a_model_without_a_tensor_among_its_inputs(model, sample):
    report = check_model(model, *sample, by_layer=True)
    assert report, str(report)
    assert len([t for t in report.tensors if t.is_gradient]) == len([*model.parameters()])


def test_a_graph_without_inputs_is_a_layer_like_others():
    node = m.graph.Node
    graph = m.Graph(node("y", m.operations.Matmul(), ("a", "b")), inputs=(), parameters=(("a", (3, 2)), ("b", (2, 4))))
    params = graph.init(np.random.default_rng(0))
    y, cache = graph.forward(params, ())
    dx, grads = graph.backward(params, cache, np.ones_like(y))
    assert dx == ()
    assert np.allclose(flatten(grads)["a"], np.ones((3, 4)) @ params["b"].T)


def test_a_crash_of_the_run_by_hand_is_no_verdict_on_the_model(monkeypatch):
    def broken(*_):
        raise IndexError("tuple index out of range")

    monkeypatch.setattr(m.Graph, "_down", broken)
    with pytest.raises(RuntimeError, match=r"ends in IndexError: tuple index .* a fault of manualbp itself"):
        examine_model(Does(torch.tanh), (torch.randn(3, 4),), {})


class Growing(nn.Module):
    """Keys in a cache that starts empty, as generation has it."""

    def __init__(self):
        super().__init__()
        self.k, self.q = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        keys = torch.tensor([], dtype=x.dtype)
        for part in x.split(2, 1):
            keys = torch.cat([keys, self.k(part)], dim=-2)
        return self.q(x) @ keys.mT


def test_an_empty_cache_counts_for_nothing_in_cat():
    report = check_model(Growing(), torch.randn(2, 5, 4), by_layer=True)
    assert report, str(report)
    for parts in ([(0,), (2, 3)], [(2, 3), (0,)], [(0,), (0,)], [(0,), (0, 3), (2, 3), (0,)]):
        x = tuple(np.ones(n) for n in parts)
        y, cache = m.operations.Cat(0).forward({}, x)
        assert y.shape == torch.cat([torch.from_numpy(a) for a in x]).shape
        dx, _ = m.operations.Cat(0).backward({}, cache, y)
        assert [d.shape for d in dx] == parts


class Lengths(nn.Module):
    """A mask by the longest of some lengths, and padding by a number that is a tensor."""

    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 4)
        self.register_buffer("pad", torch.tensor(2))

    def forward(self, x, n):
        places = torch.arange(n.max())
        mask = (places < n[:, None]) * torch.full((2, 1), n.min()) + torch.zeros(n.max()) + torch.ones(len(n), n.max())
        y = self.l(x) * mask[..., None] * torch.linspace(0, n.max(), 4)
        return F.pad(y, (self.pad, self.pad - 1), mode="reflect"), F.pad(y, (self.pad, 0))


def test_a_tensor_as_a_size_is_a_number_of_the_sample():
    report = check_model(Lengths(), torch.randn(2, 5, 4), torch.tensor([3, 5]), by_layer=True)
    assert report, str(report)
    assert any("torch.arange reads a value of the sample" in note for note in report.notes)


def test_named_tuples_stay_named():
    def f(x):
        r, e = torch.aminmax(x), x.max(1)
        return (x - r.min) / (r.max - r.min) + e.values[:, None]

    report = check_model(Does(f), torch.randn(3, 4), by_layer=True)
    assert report, str(report)


class Arrays(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(3, 2)

    def forward(self, a):
        return self.l(torch.from_numpy(a).float())


def test_a_model_that_wants_an_array_is_told_what_to_give():
    with pytest.raises(
        ValueError, match="An array of NumPy in a sample is handed over as a tensor: make a tensor of it"
    ):
        check_model(Arrays(), np.ones((4, 3)))


class Following(nn.Module):
    """A teacher that follows in forward."""

    def __init__(self):
        super().__init__()
        self.student, self.teacher = nn.Linear(4, 3), nn.Linear(4, 3).requires_grad_(False)

    def forward(self, x):
        with torch.no_grad():
            for s, t in zip(self.student.parameters(), self.teacher.parameters(), strict=True):
                t.mul_(0.9).add_(s, alpha=0.1)
        return (self.student(x) - self.teacher(x)).square().sum()


def test_a_parameter_that_follows_another_in_forward_is_told_a_way_on():
    with pytest.raises(
        TypeError, match=r"mul_ changes the parameter teacher\.weight .*: change it after the step, .* buffer"
    ):
        check_model(Following(), torch.randn(2, 4))


COUNTS = torch.tensor([2, 0, 3])
CALLS = {
    "as often as each says": lambda x: torch.repeat_interleave(x, COUNTS, dim=0),
    "…, counted before": lambda x: x.repeat_interleave(COUNTS, dim=0, output_size=5),
    "…, over all entries": lambda x: x.repeat_interleave(torch.arange(12)) * 2,
    "…, once for all": lambda x: x.repeat_interleave(COUNTS[:1], dim=-1),
    "by one number": lambda x: x.repeat_interleave(2, dim=1) + x.repeat_interleave(2).sum(),
    "classes as many as there are": lambda x: F.one_hot(x.argmax(1)) * x.sum(1, keepdim=True),
    "one row of weights": lambda x: F.linear(x, x[0].exp()),
    "padded": lambda x: pad_sequence([x[0], x[1, :2], x[2, :3].exp()], batch_first=True, padding_value=0.5),
    "padded, in time, to the left": lambda x: pad_sequence([x, x[1:]], padding_side="left"),
    "padded integers": lambda x: x * pad_sequence([x[0].argsort(), x[1, :2].argsort()])[:, 0],
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("call", CALLS)
def test_calls_whose_sizes_the_sample_says(call, dtype):
    report = check_model(Does(CALLS[call]), torch.randn(3, 4), by_layer=True, dtype=dtype)
    assert report, str(report)


def test_a_refusal_of_the_checks_own_gives_no_advice_on_samples():
    draws = iter([1, 2, 2, 2])

    def f(x):
        for _ in range(next(draws)):
            x = x * torch.rand(4)
        return x

    with pytest.raises(ValueError, match=r"seed its own decisions\.$"):
        check_model(Does(f), torch.randn(3, 4))


def test_an_option_that_a_class_refuses_makes_a_call_unknown_and_no_error_of_the_model():
    with pytest.raises(UnknownCallError, match="padding"):
        make("ReflectionPad1d", padding="nothing")


class Grouped(nn.Module):
    """Experts on consecutive rows, in one call that torch has for float32 alone."""

    def __init__(self):
        super().__init__()
        self.up = nn.Parameter(torch.randn(3, 4, 8))

    def forward(self, x, ends):
        return torch._grouped_mm(x, self.up, offs=ends)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_product_by_groups_of_rows(dtype):
    model, x, ends = Grouped(), torch.randn(8, 4), torch.tensor([3, 3, 8], dtype=torch.int32)
    report = check_model(model, x, ends, by_layer=True, dtype=dtype)
    assert report, str(report)
    y = next(t for t in report.tensors if t.name == "y")
    assert np.allclose(y.hand, model(x, ends).detach().numpy(), rtol=1e-4, atol=1e-4)
