"""Where torch itself is off, and by how much: the reason for each exception in the twins."""

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from manualbp import Hardsigmoid


def test_hardsigmoid_multiplies_by_a_sixth_rounded_to_float32():
    x = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    F.hardsigmoid(x).sum().backward()
    assert x.grad is not None
    assert x.grad.item() == float(np.float32(1) / np.float32(6))
    layer = Hardsigmoid()
    _, cache = layer.forward({}, np.array([0.3]))
    assert layer.backward({}, cache, np.array([1.0]))[0].item() == 1 / 6
