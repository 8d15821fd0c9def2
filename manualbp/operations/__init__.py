"""What a model computes between its layers: the functions of torch as layers without parameters.

    from manualbp.operations import Add, Matmul, Reshape

Tensor arguments of the torch function are the inputs, in its order; all others are options under torch's names:
torch.add(a, 2) is Add(other=2) of a, torch.sub(1, a) is Sub(input=1) of a, torch.matmul(a, b) is Matmul() of (a, b).
Every class says in `calls` which functions and methods of torch it is; rsub and the __r…__ methods have their operands
swapped. In-place calls are the same operations: that somebody reads the changed tensor is a question of order, not of
gradients.
"""

from .angles import Acos, Asin, Atan2, Hypot, Sinc
from .arithmetic import Add, Div, FloorDivide, Mul, Neg, Pow, Remainder, Sub
from .attention import ScaledDotProductAttention
from .base import Operation
from .chance import GumbelSoftmax
from .choice import Clamp, MaskedFill, Max, Maximum, Min, Minimum, Sort, Topk, Where
from .comparison import AllOf, AnyOf, Argmax, Argmin, Argsort, Eq, Ge, Gt, Le, Lt, Ne, OneHot
from .complex import Angle, AsComplex, Complex, Conj, Imag, Modulus, Real, ViewAsComplex, ViewAsReal
from .constants import Detach, To
from .copies import Expand, Flip, Pad, RepeatInterleave, Roll, Tile, Tril, Triu, Windows
from .decompositions import Eigh, Eigvalsh, Lu, MatrixExp, Pinv, Qr, Svd, Svdvals
from .distances import Cdist
from .entropies import Entr, Xlog1py, Xlogy
from .exponentials import Exp, Exp2, Expm1, Log, Log1p, Log2, Log10, Reciprocal, Rsqrt, Sqrt
from .fourier import Fftn, Ifftn, Irfftn, Rfftn
from .functions import Abs, Atan, Ceil, Cos, Erf, Floor, Round, Sign, Sin, Square, Tan, Trunc
from .grids import AffineGrid, GridSample
from .hyperbolic import Acosh, Asinh, Atanh, Cosh, Sinh
from .indexing import GetItem, IndexAdd, IndexSelect, Lookup, SetItem
from .joining import Cat, Chunk, Split, Stack, Unbind
from .linalg import Cholesky, Det, Inverse, Logdet, Slogdet, Solve, SolveTriangular
from .logic import IsInf, IsNan, LogicalAnd, LogicalNot, LogicalOr, LogicalXor
from .missing import Fmax, Fmin, NanToNum
from .mixtures import Addcmul, Lerp
from .normal import Erfc, Erfcx, Erfinv, Lgamma, LogNdtr
from .order import Cummax, Cummin, Kthvalue, Median, MedianOfAll, NanMedian, NanMedianOfAll
from .products import Addmm, Affine, Einsum, Matmul, Outer
from .reductions import Amax, Amin, Cumprod, Cumsum, LogSumExp, Mean, Norm, Normalize, Prod, SumOver
from .scatter import Gather, MaskedScatter, Scatter, ScatterAdd
from .shape import Diagonal, MoveDim, Permute, Ravel, Reshape, Squeeze, SwapAxes, Turned, Unsqueeze
from .signs import CopySign, Fmod
from .spread import Std, StdMean, Var, VarMean

__all__ = [
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "Addcmul",
    "Addmm",
    "Affine",
    "AffineGrid",
    "AllOf",
    "Amax",
    "Amin",
    "Angle",
    "AnyOf",
    "Argmax",
    "Argmin",
    "Argsort",
    "AsComplex",
    "Asin",
    "Asinh",
    "Atan",
    "Atan2",
    "Atanh",
    "Cat",
    "Cdist",
    "Ceil",
    "Cholesky",
    "Chunk",
    "Clamp",
    "Complex",
    "Conj",
    "CopySign",
    "Cos",
    "Cosh",
    "Cummax",
    "Cummin",
    "Cumprod",
    "Cumsum",
    "Det",
    "Detach",
    "Diagonal",
    "Div",
    "Eigh",
    "Eigvalsh",
    "Einsum",
    "Entr",
    "Eq",
    "Erf",
    "Erfc",
    "Erfcx",
    "Erfinv",
    "Exp",
    "Exp2",
    "Expand",
    "Expm1",
    "Fftn",
    "Flip",
    "Floor",
    "FloorDivide",
    "Fmax",
    "Fmin",
    "Fmod",
    "Gather",
    "Ge",
    "GetItem",
    "GridSample",
    "Gt",
    "GumbelSoftmax",
    "Hypot",
    "Ifftn",
    "Imag",
    "IndexAdd",
    "IndexSelect",
    "Inverse",
    "Irfftn",
    "IsInf",
    "IsNan",
    "Kthvalue",
    "Le",
    "Lerp",
    "Lgamma",
    "Log",
    "Log1p",
    "Log2",
    "Log10",
    "LogNdtr",
    "LogSumExp",
    "Logdet",
    "LogicalAnd",
    "LogicalNot",
    "LogicalOr",
    "LogicalXor",
    "Lookup",
    "Lt",
    "Lu",
    "MaskedFill",
    "MaskedScatter",
    "Matmul",
    "MatrixExp",
    "Max",
    "Maximum",
    "Mean",
    "Median",
    "MedianOfAll",
    "Min",
    "Minimum",
    "Modulus",
    "MoveDim",
    "Mul",
    "NanMedian",
    "NanMedianOfAll",
    "NanToNum",
    "Ne",
    "Neg",
    "Norm",
    "Normalize",
    "OneHot",
    "Operation",
    "Outer",
    "Pad",
    "Permute",
    "Pinv",
    "Pow",
    "Prod",
    "Qr",
    "Ravel",
    "Real",
    "Reciprocal",
    "Remainder",
    "RepeatInterleave",
    "Reshape",
    "Rfftn",
    "Roll",
    "Round",
    "Rsqrt",
    "ScaledDotProductAttention",
    "Scatter",
    "ScatterAdd",
    "SetItem",
    "Sign",
    "Sin",
    "Sinc",
    "Sinh",
    "Slogdet",
    "Solve",
    "SolveTriangular",
    "Sort",
    "Split",
    "Sqrt",
    "Square",
    "Squeeze",
    "Stack",
    "Std",
    "StdMean",
    "Sub",
    "SumOver",
    "Svd",
    "Svdvals",
    "SwapAxes",
    "Tan",
    "Tile",
    "To",
    "Topk",
    "Tril",
    "Triu",
    "Trunc",
    "Turned",
    "Unbind",
    "Unsqueeze",
    "Var",
    "VarMean",
    "ViewAsComplex",
    "ViewAsReal",
    "Where",
    "Windows",
    "Xlog1py",
    "Xlogy",
]
