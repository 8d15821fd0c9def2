"""Random models as people write them: values and modules used again, paths that part and meet, calls in place on
either side of a sum or product. What is read is what the model computes, or the model is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from reference import check_model
from reference.models import ModelReport

OUT_OF_PLACE = ("tanh", "relu", "add", "sub", "mul", "linear", "norm", "view")
IN_PLACE = ("relu_", "sigmoid_", "add_", "sub_", "mul_", "double_", "write_")
OF_TWO = {"add", "sub", "mul", "add_", "sub_", "mul_"}


class Program(nn.Module):
    """Steps (what, i, j) on the values so far, of which x is the first: in place, value i is another from then on."""

    def __init__(self, steps: list[tuple[str, int, int]]) -> None:
        super().__init__()
        self.steps, self.linear, self.norm = steps, nn.Linear(4, 4), nn.LayerNorm(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = [x * 1]  # the sample itself is left as it is
        for what, i, j in self.steps:
            values.append(self.step(what, values[i], values[j]))
        return torch.stack([v.reshape(3, 4) for v in values[-2:]])

    def step(self, what: str, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        if what in ("linear", "norm"):
            return getattr(self, what)(a)
        if what == "view":
            return a.view(3, 4)
        if what == "double_":
            return a.mul_(2)
        if what == "write_":
            a[0] = b[1]
            return a
        return getattr(a, what)(*[b] * (what in OF_TWO))


def program(rng: np.random.Generator) -> list[tuple[str, int, int]]:
    kinds = [OUT_OF_PLACE[rng.integers(len(OUT_OF_PLACE))] for _ in range(rng.integers(3, 8))]
    kinds += [IN_PLACE[rng.integers(len(IN_PLACE))] for _ in range(rng.integers(1, 3))]
    shuffled = rng.permutation(kinds).tolist()
    return [(what, int(rng.integers(k + 1)), int(rng.integers(k + 1))) for k, what in enumerate(shuffled)]


def allowed(model: nn.Module, x: torch.Tensor) -> bool:
    """Does autograd take it? It refuses where a number that it kept was overwritten."""
    try:
        model(x.clone().requires_grad_()).sum().backward()
    except RuntimeError:
        return False
    return True


def read_or_refused(model: nn.Module, x: torch.Tensor, seed: int) -> ModelReport | None:
    """The report; None where the model is refused for what it changes in place."""
    try:
        return check_model(model, x, seed=seed)
    except TypeError as e:
        if "in place" in str(e):
            return None
        raise


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_a_model_with_calls_in_place_is_read_as_it_computes(first):
    verified, seen = 0, set()
    for seed in range(first, first + 100):
        torch.manual_seed(seed)
        model, x = Program(program(np.random.default_rng(seed))).double(), torch.randn(3, 4).double()
        if not allowed(model, x):
            continue
        report = read_or_refused(model, x, seed)
        if report is None:
            continue
        assert report or report.verdict == "vacuous", (model.steps, report)  # a − a is 0, and so is what follows
        verified += bool(report)
        seen |= {what for what, _, _ in model.steps} if report else set()
    assert verified > 40
    assert seen == {*OUT_OF_PLACE, *IN_PLACE}
