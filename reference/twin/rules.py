"""Operations whose arguments need a look: an index, a dtype, another tensor's shape, numbers in place of tensors."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from .step import Step, UnknownCallError, make

CASTS = {
    "float": torch.float32, "double": torch.float64, "long": torch.int64, "int": torch.int32, "bool": torch.bool,
    "half": torch.float16, "bfloat16": torch.bfloat16, "cfloat": torch.complex64, "cdouble": torch.complex128,
}  # fmt: skip


def to(name: str, dtype: torch.dtype, x: Any, /, *rest: Any, **options: Any) -> Step:
    """x.to(dtype), x.float(), x.type_as(other): a floating dtype is that of the whole graph."""
    wanted = CASTS.get(name.rsplit(".")[-1])
    for value in (*rest, *options.values()):
        wanted = value if isinstance(value, torch.dtype) else value.dtype if isinstance(value, torch.Tensor) else wanted
    if wanted is None or wanted == x.dtype:
        return Step(make("Identity"), x)
    if wanted == dtype.to_complex():
        return Step(make("AsComplex"), x)
    if x.is_complex() and not wanted.is_complex:
        raise UnknownCallError("of complex numbers as real ones the imaginary part is lost: write z.real")
    if wanted.is_complex or (wanted.is_floating_point and wanted != dtype):
        raise UnknownCallError(f"a graph has one floating dtype, here {dtype}, so nothing in it becomes {wanted}")
    return Step(make("To", dtype=wanted), x)


def shaped(cls: str, option: str) -> Callable[..., Step]:
    """Operations that take sizes, spread, as a tuple, or as another tensor's."""

    def rule(name: str, dtype: torch.dtype, x: Any, /, *rest: Any, **options: Any) -> Step:
        given = list(rest) or list(options.values())
        sizes = given[0] if len(given) == 1 and not isinstance(given[0], int) else given
        if isinstance(sizes, torch.dtype):
            raise UnknownCallError("another dtype for the same bits is no operation on numbers")
        sizes = sizes.shape if isinstance(sizes, torch.Tensor) and name.endswith("_as") else sizes
        return Step(make(cls, **{option: tuple(int(n) for n in sizes)}), x)

    return rule


def indexed(index: Any) -> tuple[str, tuple[torch.Tensor, ...]]:
    """What stands between brackets, as text, with names for the arrays in it, and these."""
    parts, tensors = [], []
    for i in index if isinstance(index, tuple) else (index,):
        if i is None or i is Ellipsis:
            parts.append("None" if i is None else "...")
        elif isinstance(i, slice):
            ends = ["" if n is None else str(int(n)) for n in (i.start, i.stop, i.step)]
            parts.append(":".join(ends if i.step is not None else ends[:2]))
        elif isinstance(i, int) and not isinstance(i, bool):
            parts.append(str(i))
        elif isinstance(i, (torch.Tensor, list, range)):
            parts.append(f"i{len(tensors)}")
            tensors.append(i if isinstance(i, torch.Tensor) else torch.tensor(list(i)))
        else:
            raise UnknownCallError(f"{i!r:.40} as an index has no meaning here")
    return ", ".join(parts), tuple(tensors)


def get_item(name: str, dtype: torch.dtype, x: Any, /, index: Any) -> Step:
    text, tensors = indexed(index)
    return Step(make("GetItem", index=text), (x, *tensors) if tensors else x)


def select(name: str, dtype: torch.dtype, x: Any, /, dim: int, index: Any) -> Step:
    return get_item(name, dtype, x, (*(slice(None),) * (dim % x.ndim), int(index)))


def narrow(name: str, dtype: torch.dtype, x: Any, /, dim: int, start: Any, length: Any) -> Step:
    return get_item(name, dtype, x, (*(slice(None),) * (dim % x.ndim), slice(int(start), int(start) + int(length))))


def set_item(name: str, dtype: torch.dtype, x: Any, /, index: Any, value: Any, accumulate: bool = False) -> Step:
    text, tensors = indexed(index)
    if isinstance(value, torch.Tensor):
        return Step(make("SetItem", index=text, accumulate=accumulate), (x, value, *tensors))
    number = value if isinstance(value, complex) else float(value)
    layer = make("SetItem", index=text, value=number, accumulate=accumulate)
    return Step(layer, (x, *tensors) if tensors else x)


def index_put(name: str, dtype: torch.dtype, x: Any, /, indices: Any, values: Any, accumulate: bool = False) -> Step:
    return set_item(name, dtype, x, tuple(indices), values, accumulate)


def repeat_interleave(
    name: str, dtype: torch.dtype, x: Any, /, repeats: Any, dim: int | None = None, *, output_size: int | None = None
) -> Step:
    """As often for all entries, or for each as a tensor says: then the slices of these numbers."""
    if not isinstance(repeats, torch.Tensor):
        return Step(make("RepeatInterleave", repeats=repeats, dim=dim), x)
    n = x.numel() if dim is None else x.shape[dim]
    index = torch.arange(n).repeat_interleave(repeats.expand(n) if repeats.numel() == 1 else repeats)
    if dim is not None:
        return Step(make("IndexSelect", dim=dim), (x, index))
    places = torch.unravel_index(index, x.shape)
    return Step(make("GetItem", index=", ".join(f"i{d}" for d in range(x.ndim))), (x, *places))


def filled(value: float | None) -> Callable[..., Step]:
    """x.fill_(value), x.zero_(): every entry replaced, so that x no longer counts."""

    def rule(name: str, dtype: torch.dtype, x: Any, /, *rest: Any, **options: Any) -> Step:
        return set_item(name, dtype, x, ..., next(iter((*rest, *options.values())), value))

    return rule


def flatten(name: str, dtype: torch.dtype, x: Any, /, start_dim: int = 0, end_dim: int = -1) -> Step:
    if x.is_floating_point():
        return Step(make("Ravel", start_dim=start_dim, end_dim=end_dim), x)
    return Step(make("Reshape", shape=tuple(torch.flatten(x, start_dim, end_dim).shape)), x)


def unflatten(name: str, dtype: torch.dtype, x: Any, /, dim: int, sizes: Any) -> Step:
    return Step(make("Reshape", shape=tuple(torch.unflatten(x, dim, sizes).shape)), x)


def interpolate(
    name: str, dtype: torch.dtype, x: Any, /, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: Any = None, recompute_scale_factor: Any = None, antialias: bool = False,
) -> Step:  # fmt: skip
    options = {"size": size, "scale_factor": scale_factor, "mode": mode, "align_corners": align_corners}
    return Step(make("Upsample", **options, recompute_scale_factor=recompute_scale_factor, antialias=antialias), x)


def extreme(two: str, along: str, over: str) -> Callable[..., Step]:
    """torch.max and min: of two tensors, along an axis with the places, or over all."""

    def rule(name: str, dtype: torch.dtype, x: Any, /, *rest: Any, **options: Any) -> Step:
        other = options.get("other", rest[0] if rest else None)
        if isinstance(other, torch.Tensor):
            return Step(make(two), (x, other))
        if not rest and not options:
            return Step(make(over), x)
        return Step(make(along, **dict(zip(("dim", "keepdim"), rest)) | options), x)

    return rule


def middle(along: str, over: str) -> Callable[..., Step]:
    """torch.median and nanmedian: along an axis with the places, or over all."""

    def rule(name: str, dtype: torch.dtype, x: Any, /, *rest: Any, **options: Any) -> Step:
        given = dict(zip(("dim", "keepdim"), rest)) | options
        return Step(make(along if given else over, **given), x)

    return rule


def spread_of(cls: str) -> Callable[..., Step]:
    """Variance and standard deviation: `unbiased` is a correction of 1, as is the default."""

    def rule(name: str, dtype: torch.dtype, x: Any, /, *rest: Any, **options: Any) -> Step:
        names = ("unbiased",) if rest and isinstance(rest[0], bool) else ("dim", "unbiased", "keepdim")
        given = dict(zip(names, rest)) | options
        unbiased = given.pop("unbiased", None)
        if given.get("correction", 0) is None:
            del given["correction"]
        return Step(make(cls, **given | ({} if unbiased is None else {"correction": int(unbiased)})), x)

    return rule


def norm(name: str, dtype: torch.dtype, x: Any, /, *rest: Any, **options: Any) -> Step:
    """torch.norm's p and torch.linalg's ord; of matrices other norms than the entries' are none here."""
    given = dict(zip(("p", "dim", "keepdim"), rest)) | options
    p = given.pop("ord", given.pop("p", None))
    if isinstance(p, str) and p != "fro":
        raise UnknownCallError(f"the matrix norm {p!r} has no class here")
    if name == "torch.linalg.norm" and "ord" in options and x.ndim > 1 and given.get("dim") is None and p is not None:
        raise UnknownCallError("torch.linalg.norm of a matrix, with an order, has no class here")
    return Step(
        make("Norm", **{k: v for k, v in given.items() if v is not None}, p=2.0 if p in (None, "fro") else p), x
    )


def pad(name: str, dtype: torch.dtype, x: Any, /, pad: Any, mode: Any = "constant", value: Any = None) -> Step:
    """Zeros or another constant; the other modes are layers."""
    if name == "torch.constant_pad_nd":
        mode, value = "constant", 0.0 if mode == "constant" else mode
    if mode == "constant":
        return Step(make("Pad", pad=tuple(pad), value=float(value or 0.0)), x)
    kind = {"reflect": "Reflection", "replicate": "Replication", "circular": "Circular"}[mode]
    return Step(make(f"{kind}Pad{len(pad) // 2}d", padding=tuple(pad)), x)


def clamp(name: str, dtype: torch.dtype, x: Any, /, *rest: Any, **options: Any) -> Step:
    """Bounds that are numbers are options, bounds that are tensors inputs."""
    names = ("max",) if "max" in name else ("min",) if "min" in name else ("min", "max")
    given = dict(zip(names, rest)) | options
    numbers = {k: v for k, v in given.items() if not isinstance(v, torch.Tensor) and v is not None}
    tensors = [given.get(k) if isinstance(given.get(k), torch.Tensor) else None for k in ("min", "max")]
    while tensors and tensors[-1] is None:
        tensors.pop()
    return Step(make("Clamp", **numbers), (x, *tensors) if tensors else x)


def where(name: str, dtype: torch.dtype, /, *args: Any, **options: Any) -> Step:
    """torch.where(c, a, b), and a.where(c, b): numbers stand for a or b as options."""
    given = dict(zip(("condition", "input", "other"), args)) | {k: v for k, v in options.items() if k != "self"}
    if isinstance(given["input"], torch.Tensor) and given["input"].dtype == torch.bool and name == "Tensor.where":
        given["condition"], given["input"] = given["input"], given["condition"]
    numbers = {k: float(v) for k, v in given.items() if not isinstance(v, torch.Tensor)}
    tensors = tuple(given[k] for k in ("condition", "input", "other") if k not in numbers)
    return Step(make("Where", **numbers), tensors if len(tensors) > 1 else tensors[0])


def svd(name: str, dtype: torch.dtype, A: Any, /, full_matrices: bool = True, *, driver: Any = None) -> Step:
    if full_matrices and A.shape[-1] != A.shape[-2]:
        raise UnknownCallError(
            "U and V with columns that A says nothing of have no gradient: full_matrices=False, or torch.linalg.svdvals"
        )
    return Step(make("Svd", full_matrices=full_matrices), A)


def topk(
    name: str, dtype: torch.dtype, x: Any, /, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Step:
    return Step(make("Topk", k=k, dim=dim, largest=largest), x)


def cdist(name: str, dtype: torch.dtype, x1: Any, x2: Any, p: float = 2.0, compute_mode: Any = None) -> Step:
    return Step(make("Cdist", p=float(p)), (x1, x2))


def of_parts(complex_class: str, real_class: str) -> Callable[..., Step]:
    """What is one thing of complex numbers and another of real ones."""

    def rule(name: str, dtype: torch.dtype, x: Any, /) -> Step:
        return Step(make(complex_class if x.is_complex() else real_class), x)

    return rule


def transform(cls: str, axes: str) -> Callable[..., Step]:
    """A Fourier transform along one axis, with its length n, along two, or along several."""
    first, along = ("n", (-1,)) if axes == "one" else ("s", (-2, -1) if axes == "two" else None)

    def rule(name: str, dtype: torch.dtype, x: Any, /, *rest: Any, **options: Any) -> Step:
        given = {"dim": along} | dict(zip((first, "dim", "norm"), rest)) | options
        dim, s = (given.get(n) if given.get(n) is None else tuple(_several(given[n])) for n in ("dim", first))
        return Step(make(cls, s=s, dim=dim, norm=given.get("norm")), x)

    return rule


def _several(value: Any) -> Any:
    return value if isinstance(value, (tuple, list)) else (value,)


TRANSFORMS = {
    f"{kind}{end}": transform(f"{kind.capitalize()}n", axes)
    for kind in ("fft", "ifft", "rfft", "irfft")
    for end, axes in (("", "one"), ("2", "two"), ("n", "all"))
}


def one_hot(name: str, dtype: torch.dtype, x: Any, /, num_classes: int = -1) -> Step:
    """As many classes as are given, or as the sample has."""
    return Step(make("OneHot", num_classes=int(x.max()) + 1 if num_classes == -1 else num_classes), x)


RULES: Mapping[str, Callable[..., Step]] = {
    **dict.fromkeys(("to", "type", "type_as", *CASTS), to),
    **dict.fromkeys(("reshape", "view", "view_as", "reshape_as"), shaped("Reshape", "shape")),
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), shaped("Expand", "size")),
    **dict.fromkeys(("clamp", "clip", "clamp_min", "clamp_max"), clamp),
    **dict.fromkeys(("norm", "vector_norm"), norm),
    **TRANSFORMS,
    **dict.fromkeys(("abs", "absolute", "__abs__"), of_parts("Modulus", "Abs")),
    **dict.fromkeys(("conj", "conj_physical"), of_parts("Conj", "Identity")),
    "real": of_parts("Real", "Identity"), "one_hot": one_hot,
    "index_put": index_put, "index_put_": index_put, "repeat_interleave": repeat_interleave,
    "repeat": shaped("Tile", "repeats"), "permute": shaped("Permute", "dims"), "__getitem__": get_item,
    "__setitem__": set_item, "select": select, "narrow": narrow, "max": extreme("Maximum", "Max", "Amax"),
    "min": extreme("Minimum", "Min", "Amin"), "var": spread_of("Var"), "std": spread_of("Std"), "pad": pad,
    "where": where, "zero": filled(0.0), "fill": filled(None), "copy": filled(None),
    "median": middle("Median", "MedianOfAll"), "nanmedian": middle("NanMedian", "NanMedianOfAll"),
    "svd": svd, "topk": topk, "cdist": cdist, "constant_pad_nd": pad,
    "interpolate": interpolate, "flatten": flatten, "ravel": flatten, "unflatten": unflatten,
}  # fmt: skip
