"""An array by a checksum and a few projections: identical by the one, within rounding or wrong by the others.

    p = Σ ± aᵢ          signs from a fixed generator, the sum exact up to one rounding (math.fsum)
    |p − p′| ≤ 8 ‖b‖₂    b: what every entry may be off

For differences dᵢ with |dᵢ| ≤ bᵢ, which know nothing of the signs, Hoeffding's inequality gives
P(|Σ ± dᵢ| > t ‖b‖₂) ≤ 2 exp(−t²/2): at t = 8 less than 3·10⁻¹⁴. One entry that is off by δ moves every projection by
exactly δ; entries that are all off by δ move it by δ √n times a number that is normal in the limit, so that several
projections never miss it.
"""

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from manualbp.base import Array

from ..compare.bound import largest
from ..compare.tensor import NOTHING, Tensor, different
from ..sides.run import Name

PROJECTIONS = 4
DEVIATIONS = 8.0


@dataclass(frozen=True)
class Sketch:
    """What is kept of an array.

    checksum     of its bytes, shape and dtype; places: of where it is not finite, "" where it is finite throughout
    projections  of its finite entries, empty where they are no real numbers
    spread       ‖b‖₂ of what its entries may be off;  largest: its largest finite magnitude
    """

    shape: tuple[int, ...]
    dtype: str
    checksum: str
    places: str = ""
    projections: tuple[float, ...] = ()
    spread: float = 0.0
    largest: float = 0.0


def sketch(a: Array, allowed: Any = 0.0) -> Sketch:
    """The sketch of an array whose entries may be off by `allowed`, one number or one for each."""
    a = np.asarray(a)
    if a.dtype.kind != "f":
        return Sketch(a.shape, a.dtype.name, checksum(a))
    return Sketch(a.shape, a.dtype.name, checksum(a), _places(a), projections(a), _norm(allowed, a.shape), largest(a))


def _norm(allowed: Any, shape: tuple[int, ...]) -> float:
    """‖b‖₂, without an overflow in the squares."""
    b = np.broadcast_to(np.asarray(allowed, float), shape)
    return (top := largest(b)) and top * math.sqrt(float(np.sum((b / top) ** 2)))


def checksum(a: Any) -> str:
    """Of shape, dtype and bytes, on every machine the same; −0 counts as 0."""
    a = np.asarray(a)
    plain = a + a.dtype.type(0) if a.dtype.kind in "fc" else a
    little = np.ascontiguousarray(plain, a.dtype.newbyteorder("<"))
    return hashlib.blake2b(f"{a.shape}{a.dtype.name}".encode() + little.tobytes(), digest_size=16).hexdigest()


def _places(a: Array) -> str:
    if np.isfinite(a).all():
        return ""
    return checksum(np.stack([np.isnan(a), np.isposinf(a), np.isneginf(a)]))


def projections(a: Array) -> tuple[float, ...]:
    """Sums of all finite entries with the signs of a fixed generator, exact up to one rounding."""
    flat = np.ravel(np.where(np.isfinite(a), a, 0)).astype(np.float64)
    try:
        return tuple(math.fsum((flat * signs).tolist()) for signs in _signs(flat.size))
    except OverflowError:
        return (math.inf,) * PROJECTIONS


@lru_cache(maxsize=8)
def _signs(n: int) -> tuple[Array, ...]:
    """n signs for each projection, out of the generator's raw bits, which no version of NumPy changes."""

    def drawn(k: int) -> Array:
        raw = np.random.PCG64(k).random_raw(n // 64 + 1).astype("<u8")
        return 1 - 2 * np.unpackbits(raw.view(np.uint8))[:n].astype(np.int8)

    return tuple(map(drawn, range(PROJECTIONS)))


def as_sketched(of: Name, now: Array, kept: Sketch) -> Tensor:
    """An array of today beside the sketch of one: its projections are what is compared."""
    if (now.shape, now.dtype.name) != (kept.shape, kept.dtype):
        told = f"{now.dtype} of shape {now.shape} now, {kept.dtype} of shape {kept.shape} in the recording"
        return different(of, now, None, told)
    if checksum(now) == kept.checksum:
        power = 2.0**-52 if kept.projections and kept.largest else None
        return Tensor(of, now, None, 0.0, 0.0, True, power, 0.0)
    if not kept.projections:
        return different(of, now, None, "other integers or flags than in the recording")
    if _places(now) != kept.places:
        return different(of, now, None, "NaN or an infinity in other places than in the recording")
    mine, theirs = (np.asarray(p) for p in (projections(now), kept.projections))
    if not np.isfinite(mine + theirs).all():
        return Tensor(of, now, None, 0.0, 0.0, False, None, 1.0, NOTHING)
    bound = DEVIATIONS * kept.spread + np.finfo(float).eps * largest(theirs)
    error, there = largest(mine - theirs), np.count_nonzero(now)
    seen = np.count_nonzero(np.abs(now) > bound)
    power = bound / kept.largest if seen else None
    return Tensor(of, now, None, error, bound, False, power, 1 - seen / there if there else 0.0)
