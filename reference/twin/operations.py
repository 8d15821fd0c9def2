"""The torch twin of an operation: the torch function of the same meaning, as a module."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812  (its name everywhere)

from .modules import Whole


class Operation(Whole):
    """A torch function of its inputs, with the options of the layer."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        super().__init__()
        self.name, self.options = name, options
        self.read = {n: entries(v) if n == "index" and isinstance(v, str) else v for n, v in options.items()}

    def forward(self, x: Any) -> Any:
        return TABLE[self.name](*(x if isinstance(x, tuple) else (x,)), **self.read)


def pair(f: Callable, second: str = "other") -> Callable:
    """f of two operands, of which a number may be given as an option."""

    def call(*x: Any, input: Any = None, **options: Any) -> Any:
        number = options.pop(second)
        inputs = list(x)
        a, b = (inputs.pop(0) if given is None else given for given in (input, number))
        return f(a, b, **options)

    return call


def squeeze(x: Any, dim: Any) -> Any:
    return x.squeeze() if dim is None else x.squeeze(dim)


def addmm(c: Any, a: Any, b: Any, **options: Any) -> Any:
    return torch.addmm(c, a, b, **options) if a.ndim == 2 else torch.baddbmm(c, a, b, **options)


def to(x: Any, dtype: str | None) -> Any:
    return x if dtype is None else x.to(getattr(torch, dtype))


def div(a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode is None:
        return a / b
    return torch.div(*tensors(a, b), rounding_mode=rounding_mode)


def tensors(a: Any, b: Any) -> tuple[Any, Any]:
    """Both as tensors: torch has no gradient of some functions of a number and a tensor."""
    return tuple(v if isinstance(v, torch.Tensor) else torch.tensor(v, dtype=o.dtype) for v, o in ((a, b), (b, a)))  # type: ignore


def attention(*x: Any, training: bool, dropout_p: float, **options: Any) -> Any:
    return F.scaled_dot_product_attention(*x, dropout_p=dropout_p if training else 0.0, **options)


def whole(sizes: Any) -> Any:
    """Lengths as a list, which torch wants."""
    return list(sizes) if isinstance(sizes, tuple) else sizes


def over(f: Callable) -> Callable:
    """f over all axes where dim is None, for functions of torch that want them named."""

    def call(x: Any, dim: Any, keepdim: bool) -> Any:
        return f(x, dim=tuple(range(x.ndim)) if dim is None else dim, keepdim=keepdim)

    return call


def entries(index: str) -> tuple:
    """The entries of an index that a text means; a name, which stands for a tensor, as it is."""
    named, read = [name.strip() for name in index.split(",")], {"s_": np.s_}
    return tuple(n if n.isidentifier() and n != "None" else eval(f"s_[{n}]", read) for n in named)


def place(index: tuple, arrays: tuple) -> tuple:
    """The index with tensors for its names."""
    left = list(arrays)
    return tuple(left.pop(0) if isinstance(n, str) else n for n in index)


def get_item(x: Any, *arrays: Any, index: tuple) -> Any:
    return x[place(index, arrays)]


def set_item(x: Any, *rest: Any, index: tuple, value: Any, accumulate: bool) -> Any:
    value, arrays = (rest[0], rest[1:]) if value is None else (x.new_tensor(value), rest)
    y = x.clone()
    if accumulate:  # torch's index_put takes arrays alone: every entry's number tells which are meant
        numbers = torch.arange(x.numel(), device=x.device).reshape(x.shape)[place(index, arrays)]
        value = value.reshape(value.shape[max(value.ndim - numbers.ndim, 0) :]).expand(numbers.shape)
        return y.reshape(-1).index_put((numbers,), value, accumulate=True).reshape(x.shape)
    y[place(index, arrays)] = value
    return y


def scatter(x: Any, index: Any, *source: Any, dim: int, value: Any) -> Any:
    return torch.scatter(x, dim, index, *source) if source else torch.scatter(x, dim, index, value)


def clamp(x: Any, lower: Any = None, upper: Any = None, *, min: Any, max: Any) -> Any:
    return torch.clamp(x, min if lower is None else lower, max if upper is None else upper)


def where(c: Any, *left: Any, input: Any, other: Any) -> Any:
    inputs = list(left)
    dtype = inputs[0].dtype if inputs else torch.float64
    a, b = (inputs.pop(0) if n is None else torch.tensor(n, dtype=dtype) for n in (input, other))
    return torch.where(c, a, b)


def transform(f: Callable) -> Callable:
    return lambda x, s, dim, norm: f(x, s, (dim,) if isinstance(dim, int) else dim, norm)


def signs(U: Any) -> Any:
    """Of every column the sign of its first entry of half the largest size or more: LAPACK leaves it open."""
    size = U.detach().abs()
    if not size.numel():
        return torch.ones_like(U)
    first = (size >= size.amax(-2, keepdim=True) / 2).int().argmax(-2, keepdim=True)
    return torch.where(U.detach().gather(-2, first) < 0, -1.0, 1.0).to(U.dtype)


def svd(A: Any, full_matrices: bool = True, *, driver: Any = None) -> Any:
    U, s, Vt = torch.linalg.svd(A, full_matrices, driver=driver)
    sign = signs(U) if U.shape[-1] == Vt.shape[-2] else torch.ones(1, 1)
    return torch.return_types.linalg_svd((U * sign, s, Vt * sign.mT))


def eigh(A: Any, UPLO: str = "L") -> Any:
    w, V = torch.linalg.eigh(A, UPLO)
    return torch.return_types.linalg_eigh((w, V * signs(V)))


SIGNED = {"torch.linalg.svd": svd, "torch.linalg.eigh": eigh}  # while a model is read its vectors have these signs


TABLE: dict[str, Callable] = {
    "Add": pair(lambda a, b, alpha: a + (b if alpha == 1 else alpha * b)),
    "Sub": pair(lambda a, b, alpha: a - (b if alpha == 1 else alpha * b)),
    "Mul": pair(lambda a, b: a * b),
    "Div": pair(div),
    "FloorDivide": pair(lambda a, b: div(a, b, "floor")),
    "Remainder": pair(lambda a, b: torch.remainder(*tensors(a, b))),
    "Pow": pair(lambda a, b: a**b, "exponent"),
    "Neg": torch.neg,
    "Exp": torch.exp,
    "Exp2": torch.exp2,
    "Log10": torch.log10,
    "Tan": torch.tan,
    "Atan": torch.atan,
    "Trunc": torch.trunc,
    "LogicalXor": torch.logical_xor,
    "IsNan": torch.isnan,
    "IsInf": torch.isinf,
    "Expm1": torch.expm1,
    "Sinh": torch.sinh,
    "Cosh": torch.cosh,
    "Asinh": torch.asinh,
    "Acosh": torch.acosh,
    "Atanh": torch.atanh,
    "Asin": torch.asin,
    "Acos": torch.acos,
    "Atan2": pair(lambda a, b: torch.atan2(*tensors(a, b))),
    "Hypot": pair(lambda a, b: torch.hypot(*tensors(a, b))),
    "Sinc": torch.sinc,
    "Erfc": torch.erfc,
    "Erfcx": torch.special.erfcx,
    "Erfinv": torch.erfinv,
    "LogNdtr": torch.special.log_ndtr,
    "Lgamma": torch.lgamma,
    "Xlogy": pair(lambda a, b: torch.xlogy(*tensors(a, b))),
    "Xlog1py": pair(lambda a, b: torch.special.xlog1py(*tensors(a, b))),
    "Entr": torch.special.entr,
    "CopySign": pair(lambda a, b: torch.copysign(*tensors(a, b))),
    "Fmod": pair(lambda a, b: torch.fmod(*tensors(a, b))),
    "Fmax": pair(lambda a, b: torch.fmax(*tensors(a, b))),
    "Fmin": pair(lambda a, b: torch.fmin(*tensors(a, b))),
    "NanToNum": torch.nan_to_num,
    "Log": torch.log,
    "Log2": torch.log2,
    "Log1p": torch.log1p,
    "Sqrt": torch.sqrt,
    "Rsqrt": torch.rsqrt,
    "Reciprocal": torch.reciprocal,
    "Square": torch.square,
    "Abs": torch.abs,
    "Sin": torch.sin,
    "Cos": torch.cos,
    "Erf": torch.erf,
    "Sign": torch.sign,
    "Floor": torch.floor,
    "Ceil": torch.ceil,
    "Round": torch.round,
    "Real": torch.real,
    "Imag": torch.imag,
    "Conj": torch.conj,
    "Modulus": torch.abs,
    "Angle": torch.angle,
    "ViewAsReal": lambda z: torch.view_as_real(z.resolve_conj()),
    "ViewAsComplex": lambda x: torch.view_as_complex(x.contiguous()),
    "Complex": torch.complex,
    "AsComplex": lambda x: x.to(x.dtype.to_complex()),
    "Fftn": transform(torch.fft.fftn),
    "Ifftn": transform(torch.fft.ifftn),
    "Rfftn": transform(torch.fft.rfftn),
    "Irfftn": transform(torch.fft.irfftn),
    "Reshape": torch.reshape,
    "Ravel": torch.flatten,
    "Squeeze": squeeze,
    "Unsqueeze": torch.unsqueeze,
    "Permute": torch.permute,
    "SwapAxes": torch.transpose,
    "Turned": lambda x, kind: getattr(x, kind),
    "MoveDim": torch.movedim,
    "Expand": lambda x, size: x.expand(size),
    "Tile": lambda x, repeats: x.repeat(repeats),
    "RepeatInterleave": torch.repeat_interleave,
    "Roll": torch.roll,
    "Flip": lambda x, dims: torch.flip(x, dims if isinstance(dims, tuple) else (dims,)),
    "Pad": lambda x, pad, value: F.pad(x, pad, value=value),
    "Tril": torch.tril,
    "Triu": torch.triu,
    "To": to,
    "Detach": torch.detach,
    "Matmul": torch.matmul,
    "Outer": torch.outer,
    "Affine": F.linear,
    "Addmm": addmm,
    "Einsum": lambda *x, equation: torch.einsum(equation, *x),
    "ScaledDotProductAttention": attention,
    "Cdist": torch.cdist,
    "GridSample": F.grid_sample,
    "AffineGrid": F.affine_grid,
    "GumbelSoftmax": lambda x, **options: F.gumbel_softmax(x, **options),
    "Inverse": torch.linalg.inv,
    "Solve": torch.linalg.solve,
    "SolveTriangular": torch.linalg.solve_triangular,
    "Cholesky": torch.linalg.cholesky,
    "Det": torch.linalg.det,
    "Slogdet": lambda x: tuple(torch.linalg.slogdet(x)),
    "Logdet": torch.logdet,
    "Svdvals": torch.linalg.svdvals,
    "Svd": lambda x, full_matrices: tuple(svd(x, full_matrices)),
    "Eigvalsh": torch.linalg.eigvalsh,
    "Eigh": lambda x, UPLO: tuple(eigh(x, UPLO)),
    "Qr": lambda x, mode: tuple(torch.linalg.qr(x, mode)),
    "Pinv": torch.linalg.pinv,
    "Lu": lambda x: tuple(torch.linalg.lu(x)),
    "MatrixExp": torch.matrix_exp,
    "Cat": lambda *x, dim: torch.cat(x, dim),
    "Stack": lambda *x, dim: torch.stack(x, dim),
    "Split": lambda x, split_size, dim: torch.split(x, whole(split_size), dim),
    "Chunk": torch.chunk,
    "Unbind": torch.unbind,
    "GetItem": get_item,
    "SetItem": set_item,
    "IndexSelect": lambda x, index, dim: torch.index_select(x, dim, index),
    "Lookup": F.embedding,
    "Gather": lambda x, index, dim: torch.gather(x, dim, index),
    "Scatter": scatter,
    "ScatterAdd": lambda x, index, src, dim: torch.scatter_add(x, dim, index, src),
    "SumOver": torch.sum,
    "Mean": torch.mean,
    "Var": torch.var,
    "Std": torch.std,
    "VarMean": torch.var_mean,
    "StdMean": torch.std_mean,
    "Diagonal": torch.diagonal,
    "IndexAdd": lambda x, index, source, dim, alpha: torch.index_add(x, dim, index, source, alpha=alpha),
    "Lerp": lambda a, b, *w, weight: torch.lerp(a, b, *w) if w else torch.lerp(a, b, weight),
    "Addcmul": torch.addcmul,
    "Amax": over(torch.amax),
    "Amin": over(torch.amin),
    "LogSumExp": over(torch.logsumexp),
    "Norm": lambda x, p, dim, keepdim: torch.linalg.vector_norm(x, p, dim, keepdim),
    "Prod": lambda x, dim, keepdim: x.prod() if dim is None else x.prod(dim, keepdim),
    "Cumsum": torch.cumsum,
    "Cumprod": torch.cumprod,
    "MaskedScatter": torch.masked_scatter,
    "Windows": lambda x, dimension, size, step: x.unfold(dimension, size, step),
    "Normalize": F.normalize,
    "Maximum": pair(lambda a, b: torch.maximum(*tensors(a, b))),
    "Minimum": pair(lambda a, b: torch.minimum(*tensors(a, b))),
    "Clamp": clamp,
    "Where": where,
    "MaskedFill": lambda x, mask, *v, value: x.masked_fill(mask, *v) if v else x.masked_fill(mask, value),
    "Max": torch.max,
    "Min": torch.min,
    "Sort": lambda x, dim, descending: torch.sort(x, dim=dim, descending=descending, stable=True),
    "Topk": torch.topk,
    "Median": torch.median,
    "NanMedian": torch.nanmedian,
    "MedianOfAll": torch.median,
    "NanMedianOfAll": torch.nanmedian,
    "Kthvalue": torch.kthvalue,
    "Cummax": torch.cummax,
    "Cummin": torch.cummin,
    "Eq": pair(lambda a, b: a == b),
    "Ne": pair(lambda a, b: a != b),
    "Lt": pair(lambda a, b: a < b),
    "Le": pair(lambda a, b: a <= b),
    "Gt": pair(lambda a, b: a > b),
    "Ge": pair(lambda a, b: a >= b),
    "LogicalAnd": torch.logical_and,
    "LogicalOr": torch.logical_or,
    "LogicalNot": torch.logical_not,
    "AnyOf": over(torch.any),
    "AllOf": over(torch.all),
    "Argmax": torch.argmax,
    "Argmin": torch.argmin,
    "Argsort": lambda x, dim, descending: torch.argsort(x, dim=dim, descending=descending, stable=True),
    "OneHot": F.one_hot,
}
