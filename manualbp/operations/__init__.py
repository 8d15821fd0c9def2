"""What a model computes between its layers: the functions of torch as layers without parameters.

    from manualbp.operations import Add, Matmul, Reshape

Tensor arguments of the torch function are the inputs, in its order; all others are options under torch's names:
torch.add(a, 2) is Add(other=2) of a, torch.sub(1, a) is Sub(input=1) of a, torch.matmul(a, b) is Matmul() of (a, b).
Every class says in `calls` which functions and methods of torch it is. In-place calls are the same operations, and that
somebody reads the changed tensor is a question of order, not of gradients.
"""

from .arithmetic import Add, Div, FloorDivide, Mul, Neg, Pow, Remainder, Sub
from .attention import ScaledDotProductAttention
from .base import Operation
from .functions import (
    Abs,
    Ceil,
    Cos,
    Erf,
    Exp,
    Expm1,
    Floor,
    Log,
    Log1p,
    Log2,
    Reciprocal,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Sqrt,
    Square,
)  # fmt: skip
from .products import Addmm, Affine, Einsum, Matmul, Outer
from .shape import (
    Detach,
    Expand,
    Flip,
    MoveDim,
    Pad,
    Permute,
    Ravel,
    RepeatInterleave,
    Reshape,
    Roll,
    Squeeze,
    SwapAxes,
    Tile,
    To,
    Tril,
    Triu,
    Turned,
    Unsqueeze,
)  # fmt: skip

__all__ = [
    "Abs", "Add", "Addmm", "Affine", "Ceil", "Cos", "Detach", "Div", "Einsum", "Erf", "Exp", "Expand", "Expm1", "Flip",
    "Floor", "FloorDivide", "Log", "Log1p", "Log2", "Matmul", "MoveDim", "Mul", "Neg", "Operation", "Outer", "Pad",
    "Permute", "Pow", "Ravel", "Reciprocal", "Remainder", "RepeatInterleave", "Reshape", "Roll", "Round", "Rsqrt",
    "ScaledDotProductAttention", "Sign", "Sin", "Sqrt", "Square", "Squeeze", "Sub", "SwapAxes", "Tile", "To", "Tril",
    "Triu", "Turned", "Unsqueeze",
]  # fmt: skip
