"""Numbers in the formats of kernels: float16, and bfloat16, which NumPy knows through ml_dtypes.

Trials hold such numbers exactly, in float64, where the function intended is evaluated on them; what is judged sees them
in its own format, and what it gives is widened again.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from manualbp.base import Array, Tree, tree_map

from .run import flat
from .subject import Around, Subject

if TYPE_CHECKING:  # where torch is not installed, numbers are rounded all the same
    import torch

LOW = ("float16", "bfloat16")
FORMATS = ("float64", "float32", *LOW)
TF32 = "TF32"  # float32 cut to 10 bits behind the point, in which GPUs multiply matrices; nothing is stored in it
UNIT = {"float32": 2.0**-24, "float16": 2.0**-11, TF32: 2.0**-11, "bfloat16": 2.0**-8}  # half a last place of 1
LEAST = {"float16": 2.0**-24, TF32: 2.0**-136, "bfloat16": 2.0**-133}  # the smallest number above 0


def checked(dtype: str | None) -> str | None:
    """dtype, if it is one of those that a check can be made in."""
    if dtype is not None and dtype not in FORMATS:
        raise ValueError(f'dtype is {dtype!r}; it takes {", ".join(FORMATS)}, as dtype="bfloat16"')
    return dtype


def numpy_dtype(name: str) -> np.dtype:
    """NumPy's dtype of a format."""
    if name != "bfloat16":
        return np.dtype(name)
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16)


def is_bfloat16(a: Any) -> bool:
    return getattr(getattr(a, "dtype", None), "name", "") == "bfloat16"


def bits_of(t: "torch.Tensor") -> Array:
    """A bfloat16 tensor as an array, on the same memory."""
    import torch

    return t.view(torch.int16).numpy().view(numpy_dtype("bfloat16"))


def tensor_of(a: Array) -> "torch.Tensor":
    """An array as a tensor on the same memory."""
    import torch

    return torch.from_numpy(a.view(np.int16)).view(torch.bfloat16) if is_bfloat16(a) else torch.from_numpy(a)


def widened(a: Any) -> Any:
    """float16 and bfloat16 as float64; other numbers stay."""
    if a is None:
        return None
    a = np.asarray(a)
    return a.astype(np.float64) if a.dtype.name in LOW else a


def rounded(a: Any, dtype: str) -> Any:
    """Real numbers rounded to a format, in float64."""
    a = np.asarray(a)
    if a.dtype.kind != "f":
        return a
    with np.errstate(all="ignore"):
        if dtype == TF32:
            return _ten_bits(a.astype(np.float32)).astype(np.float64)
        return a.astype(numpy_dtype(dtype)).astype(np.float64)


def _ten_bits(a: Array) -> Array:
    """float32 rounded to the nearest with 13 bits less; what is infinite or NaN stays."""
    bits = (a.view(np.int32) + 2**12) & -(2**13)
    return np.where(np.isfinite(a), bits.view(np.float32), a)


def narrowed(a: Any, dtype: str) -> Array:
    """Real numbers in a format, laid out in memory as they are."""
    a = np.asarray(a)
    if a.dtype.kind != "f":
        return a
    with np.errstate(all="ignore"):
        low = a.astype(numpy_dtype(dtype))
    if a.flags.c_contiguous or any(s < 0 for s in a.strides):
        return low
    steps = [s // a.itemsize for s in a.strides]
    memory = np.zeros(1 + sum((n - 1) * s for n, s in zip(a.shape, steps)), low.dtype)
    laid = as_strided(memory, a.shape, [s * low.itemsize for s in steps])
    laid[...] = low
    return laid


class Narrow(Around):
    """A subject that is run in a format of few bits: float64 goes in, exactly such numbers, and float64 comes out.

    formats  of inputs that have another one of their own
    """

    def __init__(self, inner: Subject, format: str, formats: Mapping[str, str]) -> None:
        super().__init__(inner)
        self.format, self.formats = format, formats

    def around(self, inner):
        return Narrow(inner, self.format, self.formats)

    def forward(self, arrays):
        given = {n: narrowed(a, self.formats.get(n, self.format)) for n, a in arrays.items()}
        y, cache = self.inner.forward(given)
        for n, a in arrays.items():
            _write_back(a, given[n])
        return tree_map(widened, y), cache

    def backward(self, dy, cache):
        given = tree_map(lambda a: narrowed(a, self.format), dy)
        grads = self.inner.backward(given, cache)
        for a, low in zip(flat(dy), flat(given)):
            _write_back(a, low)
        return {n: widened(g) for n, g in grads.items()}

    def moved(self, cache):
        return {n: widened(a) for n, a in self.inner.moved(cache).items()}


def _write_back(a: Any, low: Any) -> None:
    """What was written into the narrow copy is seen in what was given."""
    if isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.flags.writeable:
        now = low.astype(np.float64)
        if not np.array_equal(now, narrowed(a, low.dtype.name).astype(np.float64), equal_nan=True):
            a[...] = now


def all_rounded(tree: Tree, dtype: str) -> Tree:
    """The same, of all that stands in a tree."""
    return tree_map(lambda a: rounded(a, dtype), tree)
