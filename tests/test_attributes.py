"""What a model keeps beside its parameters and buffers, of any precision: tables, caches, lists; what it lists not."""

import collections
import functools

import pytest
import torch
from models import Does
from torch import nn

from reference import check_model


class Tables(nn.Module):
    """Tensors that are no buffers, each in the precision that somebody made it in."""

    def __init__(self, dtype):
        super().__init__()
        self.linear, self.scale = nn.Linear(4, 4), torch.rand(4, dtype=dtype) + 1
        self.tables, self.named = [4 * torch.eye(4, dtype=dtype) + 1], {"shift": torch.rand(4, dtype=dtype)}
        self.mean, self.seen = torch.zeros(4, dtype=dtype), []

    def forward(self, x):
        self.seen.append(x)
        self.mean += x.detach().mean(0)
        A = self.tables[0]
        y = torch.tanh(self.linear(x) / self.scale) @ A / torch.linalg.det(A)
        return torch.linalg.solve(A, y.T).T + self.named["shift"] / 3 - self.mean / len(self.seen)


class Holding(nn.Module):
    """Its own parameters in a list, too, and a cache that a gradient goes through."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.cache = nn.Parameter(torch.randn(4, 4)), nn.Linear(4, 4), torch.zeros(2, 5, 4)
        self.register_buffer("scale", torch.rand(4))
        self.both = [self.a, self.b.weight, self.scale]

    def forward(self, x):
        self.cache = self.cache.to(x)
        self.cache[:, 1:4] = self.b(x) * self.both[2]
        return x @ self.both[0] + self.cache[:, 1:4] @ self.both[1]


@pytest.mark.parametrize("own", [torch.float64, torch.float32])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_parameters_in_a_second_place_and_a_cache(own, dtype):
    model, x = Holding().to(own), torch.randn(2, 3, 4, dtype=own)
    for _ in range(2):
        report = check_model(model, x, dtype=dtype, by_layer=True)
        assert report, str(report)
    assert {"da", "b.weight.grad"} <= {t.name for t in report.tensors}
    assert not model.cache.any()


TABLE = torch.rand(4) + 1
CAST = {
    "type": lambda x: torch.exp(x.type(torch.FloatTensor)) * 3,
    "its name": lambda x: torch.exp(x.type("torch.FloatTensor")) * 3,
    "double": lambda x: torch.exp(x.double()) * 3,
    "a global": lambda x: torch.exp(x) / TABLE,
    "NumPy": lambda x: torch.exp(x) / torch.from_numpy(TABLE.numpy() / 3),
    "float64": lambda x: torch.cat([x, torch.ones(1, 4, dtype=torch.float64) / 3]).exp(),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("own", [torch.float64, torch.float32])
def test_tensors_in_plain_attributes_are_of_the_precision_of_the_run(own, dtype):
    for model in (Tables(own), Tables(own).double()):
        x = torch.randn(3, 4, dtype=model.linear.weight.dtype)
        report = check_model(model, x, by_layer=True, dtype=dtype)
        assert report, str(report)
        assert report.ratio < 1
        assert model.mean.dtype == model.scale.dtype == own
        assert (model.seen, model.mean.any()) == ([], False)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("f", CAST)
def test_a_precision_that_is_named_is_that_of_the_run(f, dtype):
    report = check_model(Does(CAST[f]), torch.randn(3, 4), by_layer=True, dtype=dtype)
    assert report, str(report)


class Unlisted(nn.Module):
    def __init__(self, kept):
        super().__init__()
        self.first, self.kept = nn.Linear(4, 4), kept

    def forward(self, x):
        inner = self.kept["a"] if isinstance(self.kept, dict) else self.kept[0]
        return self.first(x @ inner if isinstance(inner, torch.Tensor) else inner(x))


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ([nn.Linear(4, 4)], r"kept\[0\]\.weight is no parameter .*: in the place of a Python list use nn.ModuleList"),
        ({"a": nn.Sequential(nn.Linear(4, 4))}, r"kept\['a'\]\.0\.weight is no parameter .* use nn\.ModuleDict"),
        ((nn.Parameter(torch.randn(4, 4)),), r"kept\[0\] is no parameter .*tuple use .* nn\.ParameterList"),
        (torch.randn(1, 4, 4, requires_grad=True), r"kept is no parameter .*: make it one, as in self\.w = nn\.Param"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_parameter_that_is_not_listed_is_told_with_its_place(kept, told, dtype):
    with pytest.raises(TypeError, match=told) as e:
        check_model(Unlisted(kept).to(dtype), torch.randn(4, 4, dtype=dtype))
    assert "One class" not in str(e.value)
    assert "test_attributes.py" in str(e.value)


class Mixing(nn.Module):
    def __init__(self, dtype):
        super().__init__()
        self.inner, self.tables = nn.Linear(4, 4), [torch.rand(4, 4, dtype=dtype) + 1]

    def forward(self, x):
        return self.inner(x) @ self.tables[0]


@pytest.mark.parametrize("own", [torch.float64, torch.float32])
@pytest.mark.parametrize("way", ["aot_eager", "export"])
def test_a_compiler_gets_plain_attributes_in_the_precision_of_the_run(own, way):
    for dtype in ("float64", "float32"):
        assert check_model(Mixing(own), torch.randn(3, 4), dtype=dtype, torch=way)


class Kept(nn.Module):
    """Modules in a plain list that have no parameters."""

    def __init__(self):
        super().__init__()
        self.first, self.kept = nn.Linear(4, 4), [nn.BatchNorm1d(4, affine=False), nn.ReLU(), nn.Dropout(0.2)]

    def forward(self, x):
        x = self.first(x)
        for module in self.kept:
            x = module(x)
        return x


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_a_module_counts_in_a_plain_list_stays_as_it_is(dtype):
    model = Kept()
    assert check_model(model, torch.randn(5, 4), dtype=dtype, by_layer=True)
    assert not model.kept[0].running_mean.any()
    assert model.kept[0].num_batches_tracked == 0


@functools.lru_cache
def angles(n):
    return torch.arange(n).float().cos()


class Everything(nn.Module):
    """What a training loop may count on: numbers, sets, dicts in dicts, modules that forward makes, modes, a table."""

    def __init__(self):
        super().__init__()
        self.linear, self.drop, self.late = nn.Linear(4, 4), nn.Dropout(), None
        self.step, self.name, self.seen, self.recent = 0, "new", {0}, collections.deque([1], maxlen=2)
        self.counts = {"a": [0], "b": {"n": 0}}

    @functools.cache  # noqa: B019
    def scale(self):
        return torch.ones(4) * 2

    def forward(self, x):
        self.step += 1
        self.name = f"after {self.step}"
        self.seen.add(self.step)
        self.recent.append(self.step)
        self.counts["a"][0] += 1
        self.counts["b"]["n"] += 1
        self.drop.eval()
        if self.late is None:
            self.late = nn.Tanh()
        return self.late(self.linear(self.drop(x))) * angles(4) * self.scale() * self.step


def test_a_model_stays_as_it_is_in_all_its_attributes():
    model, x = Everything(), torch.randn(3, 4)
    report = check_model(model, x, by_layer=True)
    assert report, str(report)
    assert (model.step, model.name, model.seen, [*model.recent]) == (0, "new", {0}, [1])
    assert (model.counts, model.late, model.drop.training) == ({"a": [0], "b": {"n": 0}}, None, True)
    assert "late" not in model._modules
    assert model(x).dtype == torch.float32
    assert model.step == 1
