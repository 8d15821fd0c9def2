"""The device that a kernel is made for: what it is given goes there, and what it gives comes back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from manualbp.base import tree_map

from .gradients import array, shared
from .run import flat
from .subject import Around, Subject

CPU = "cpu"


def usable(device: str, dtype: str | None, option: str) -> None:
    """A ValueError unless torch can compute in this dtype on this device. option: as which it was given."""
    try:
        torch.zeros(1, device=device, dtype=getattr(torch, dtype or "float64")).add(1)
    except (RuntimeError, AssertionError, TypeError) as e:
        told = str(e).splitlines()[0]
        raise ValueError(f"torch cannot use {option} with {dtype or 'float64'} here: {told}") from None


class SubjectOnDevice(Around):
    """A subject whose tensors live on a device. Arrays go in and come out, laid out there as they are here; what is
    written into them there is seen here."""

    def __init__(self, inner: Subject, device: str) -> None:
        super().__init__(inner)
        self.device = device

    def around(self, inner):
        return SubjectOnDevice(inner, self.device)

    def forward(self, arrays):
        given = {n: moved(a, self.device) for n, a in arrays.items()}
        y, cache = self.inner.forward(given)
        _written(arrays, given)
        return y, (cache, arrays, given)

    def backward(self, dy, cache):
        kept, arrays, given = cache
        upstream = tree_map(lambda d: moved(d, self.device), dy)
        grads = self.inner.backward(upstream, kept)
        _written(arrays, given)
        for here, tensor in zip(flat(dy), flat(upstream)):
            _back(here, tensor)
        return grads

    def moved(self, cache):
        return self.inner.moved(cache[0])


def moved(a: Any, device: str) -> Any:
    """A tensor on a device with the steps between entries that the array has: a broadcast axis stays one of step 0."""
    if a is None:
        return None
    t = shared(a)
    if not t.numel():
        return t.to(device)
    reach = 1 + sum((n - 1) * step for n, step in zip(t.shape, t.stride()))
    return t.as_strided((reach,), (1,)).to(device, copy=True).as_strided(t.shape, t.stride())


def _written(arrays: Mapping[str, Any], given: Mapping[str, torch.Tensor]) -> None:
    for n, tensor in given.items():
        _back(arrays[n], tensor)


def _back(a: Any, tensor: Any) -> None:
    """What was written into the tensor is seen in the array that it was made of."""
    if isinstance(a, np.ndarray) and a.flags.writeable:
        a[...] = array(tensor)
