"""Products that sum over an axis: of matrices, with a weight, by Einstein's convention, in attention."""

from typing import Any, ClassVar

import numpy as np

from ..base import Array, Layer, describe, shape, unbroadcast
from ..linear import rows
from .base import Operation, broadcastable, conj, partner


def product(a: Array, b: Array) -> Array:
    """ab over the last axis of a and the last but one of b. Under one matrix b, all rows of a are one matrix."""
    if b.ndim == 2 and a.ndim > 2:
        return (rows(a) @ b).reshape(*a.shape[:-1], b.shape[-1])
    return a @ b


def back(a: Array, b: Array, dy: Array) -> tuple[Array, Array]:
    """The gradients of `product`: da = dy bᵀ,  db = aᵀ dy,  each summed over the axes that it was repeated along; of
    complex matrices with the conjugates of a and b."""
    a, b = conj(a), conj(b)
    da = product(dy, b.swapaxes(-1, -2))
    if b.ndim == 2 and a.ndim > 2:  # the sum over the batch is one over rows
        return da, rows(a).T @ rows(dy)
    return unbroadcast(da, a.shape), unbroadcast(a.swapaxes(-1, -2) @ dy, b.shape)


def check_product(layer: Layer, a: Any, b: Any) -> None:
    """ValueError unless ab exists."""
    layer.takes(len(shape(a)) > 0, a, "(*, A, B) or (B) as first input")
    text = f"(*, {a.shape[-1]}, C) or ({a.shape[-1]}) as second input, beside {describe(a)}"
    fits = len(shape(b)) > 0 and a.shape[-1] == shape(b)[-2:][0] and broadcastable((a.shape[:-2], shape(b)[:-2]))
    layer.takes(fits, b, text)


class Matmul(Operation):
    """The product of matrices; axes before the last two are a batch and broadcast.

    Forward   yᵢⱼ = Σₖ aᵢₖ bₖⱼ                            y = ab
    Backward  ∂yᵢⱼ/∂aᵢₖ = bₖⱼ,  ∂yᵢⱼ/∂bₖⱼ = aᵢₖ;  sum each over the index that it lacks:
              daᵢₖ = Σⱼ dyᵢⱼ bₖⱼ                          da = dy bᵀ
              dbₖⱼ = Σᵢ aᵢₖ dyᵢⱼ                          db = aᵀ dy
              and over the axes of the batch that a or b was repeated along
    Shapes    a: (*, A, B), b: (*, B, C), y: (*, A, C); a vector (B) as a is one row, as b one column, which y lacks
    Errors    ValueError if the axes that are summed over differ, or the batches do not broadcast
    Source    torch.matmul; mm, bmm, mv and dot are cases of it
    """

    arity = 2
    ranks = (1, 2, 3, 4)
    dyadic = True
    of_complex = True
    guards = (None, "SwapAxes(-1, -2)")  # x xᵀ exists for every x
    calls = (
        "torch.matmul", "Tensor.matmul", "Tensor.__matmul__", "Tensor.__rmatmul__", "torch.mm", "Tensor.mm",
        "torch.bmm", "Tensor.bmm", "torch.mv", "Tensor.mv", "torch.dot", "Tensor.dot", "torch.linalg.matmul",
    )  # fmt: skip

    def forward(self, params, x):
        a, b = self.unpack(x, "x1 x2")
        check_product(self, a, b)
        row, column = a.ndim == 1, b.ndim == 1
        y = product(a[None] if row else a, b[:, None] if column else b)
        axes = (-2,) * row + (-1,) * column
        return y.squeeze(axes), (a, b, y.shape)

    def backward(self, params, cache, dy):
        a, b, y_shape = cache
        row, columns = np.atleast_2d(a), b[:, None] if b.ndim == 1 else b
        da, db = back(row, columns, dy.reshape(y_shape))
        return (da.reshape(a.shape), db.reshape(b.shape)), {}

    def sample(self, values, shape):
        size = int(values.rng.integers(1, 5))
        if values.rng.integers(6) == 0:
            return values.real(shape), values.real(shape[-1:])
        if len(shape) == 1:
            return values.real(shape), values.real((*(2, 3)[: values.rng.integers(3)], shape[0], size))
        return values.real(shape), values.real((*partner(values, shape[:-2]), shape[-1], size))


class Outer(Operation):
    """Every entry of one vector times every entry of another.

    Forward   yᵢⱼ = aᵢ bⱼ
    Backward  ∂yᵢⱼ/∂aᵢ = bⱼ,  ∂yᵢⱼ/∂bⱼ = aᵢ;  sum each over the index that it lacks:
              daᵢ = Σⱼ dyᵢⱼ bⱼ        da = dy b
              dbⱼ = Σᵢ dyᵢⱼ aᵢ        db = dyᵀ a
    Shapes    a: (A), b: (B), y: (A, B)
    Errors    ValueError if an input is no vector
    Source    torch.outer
    """

    arity = 2
    ranks = (1,)
    dyadic = True
    of_complex = True
    calls = ("torch.outer", "Tensor.outer", "torch.ger")

    def forward(self, params, x):
        a, b = self.unpack(x, "x1 x2")
        for v in (a, b):
            self.takes(len(shape(v)) == 1, v, "(A)")
        return a[:, None] * b, (a, b)

    def backward(self, params, cache, dy):
        a, b = cache
        return (dy @ conj(b), dy.T @ conj(a)), {}

    def sample(self, values, shape):
        return values.real(shape), values.real((int(values.rng.integers(1, 5)),))


class Affine(Operation):
    """The layer Linear as a function: weight and bias are inputs.

    Forward   yₙₒ = Σᵢ xₙᵢ Wₒᵢ + bₒ                       y = xWᵀ + b
    Backward  ∂yₙₒ/∂xₙᵢ = Wₒᵢ,  ∂yₙₒ/∂Wₒᵢ = xₙᵢ,  ∂yₙₒ/∂bₒ = 1;  sum each over the indices it lacks:
              dxₙᵢ = Σₒ dyₙₒ Wₒᵢ      dx = dy W
              dWₒᵢ = Σₙ dyₙₒ xₙᵢ      dW = dyᵀ x
              dbₒ  = Σₙ dyₙₒ          db = Σₙ dy
    Shapes    inputs: (x, W) or (x, W, b);  x: (*, I), W: (O, I), b: (O), y: (*, O)
    Errors    ValueError if the shapes differ from these
    Source    torch.nn.functional.linear
    """

    arity = 2
    ranks = (1, 2, 3, 4)
    dyadic = True
    calls = ("torch.nn.functional.linear",)

    def forward(self, params, x):
        x, W, b = self.unpack(x, "x weight", "bias")
        self.takes(len(shape(x)) > 0, x, "(*, I) as x")
        fits = len(shape(W)) == 2 and shape(W)[-1] == x.shape[-1]
        self.takes(fits, W, f"(O, {x.shape[-1]}) as weight, beside x {describe(x)}")
        y = product(x, W.T)
        if b is not None:
            self.takes(shape(b) == (len(W),), b, f"({len(W)}) as bias")
        return (y if b is None else y + b), (x, W, b)

    def backward(self, params, cache, dy):
        x, W, b = cache
        dx, dW = product(dy, W).reshape(x.shape), rows(dy).T @ rows(x)
        return ((dx, dW) if b is None else (dx, dW, rows(dy).sum(0))), {}

    def sample(self, values, shape):
        out = int(values.rng.integers(1, 6))
        return (values.real(shape), values.real((out, shape[-1])), values.real((out,)))[
            : 3 if values.rng.integers(3) else 2
        ]


class Addmm(Operation):
    """A product of matrices, and something added.

    Forward   y = βc + α ab
    Backward  ∂y/∂c = β;  the rest as in Matmul, for the gradient α dy:
              dc = β dy, summed over the axes that c was repeated along
              da = α dy bᵀ
              db = α aᵀ dy
    Shapes    inputs: (c, a, b);  a: (A, B), b: (B, C), or both with one more axis in front, y: (A, C), and c broadcasts
              to y
    Errors    ValueError if the shapes differ from these
    Source    torch.addmm, torch.baddbmm; the layer Conv1D of GPT-2 is one
    """

    beta: float = 1
    alpha: float = 1

    arity = 3
    ranks = (2, 3)
    dyadic = True
    of_complex = True
    options = {"beta": (1, 0.5, 2), "alpha": (1, 0.5, -2)}
    calls = ("torch.addmm", "Tensor.addmm", "torch.baddbmm", "Tensor.baddbmm")

    def forward(self, params, x):
        c, a, b = self.unpack(x, "input mat1 mat2")
        check_product(self, a, b)
        self.takes(a.ndim == len(shape(b)) > 1, b, f"as many axes as mat1, {describe(a)}")
        y = a @ b
        self.takes(len(shape(c)) <= y.ndim and broadcastable((shape(c), y.shape)), c, f"that broadcasts to {y.shape}")
        return self.beta * c + self.alpha * y, (c, a, b)

    def backward(self, params, cache, dy):
        c, a, b = cache
        da, db = back(a, b, self.alpha * dy)
        return (unbroadcast(self.beta * dy, c.shape), da, db), {}

    def sample(self, values, shape):
        last = int(values.rng.integers(1, 5))
        added = ((*shape[:-1], last), (last,), (shape[-2], 1))[values.rng.integers(3)]
        return values.real(added), values.real(shape), values.real((*shape[:-2], shape[-1], last))


class Einsum(Operation):
    """Sums of products, told by letters: which axes are multiplied, which are summed over, which stay.

    Forward   y[out] = Σ x₁[i₁] x₂[i₂] …  over every letter that `out` has not, as in "bik,bjk->bij"
    Backward  y is linear in every input:  ∂y[out]/∂xₖ[iₖ] = the product of the others, so
              dxₖ[iₖ] = Σ dy[out] Πₗ≠ₖ xₗ[iₗ]  over every letter that iₖ has not: an Einstein sum, too, in which a
              letter that iₖ alone has is repeated; of a letter twice in iₖ only the diagonal has a gradient
    Shapes    an axis for every letter, of one length wherever the letter stands; … for a batch, which broadcasts
    Errors    ValueError for another number of inputs, of axes, or lengths that differ
    Source    torch.einsum; Einstein 1916, Die Grundlage der allgemeinen Relativitätstheorie, section 5
    """

    equation: str

    dyadic = True
    of_complex = True
    ranks = (2,)
    calls = ("torch.einsum",)
    cases: ClassVar[dict[str, tuple[str, ...]]] = {  # equation -> the shapes of further inputs for a first (A, B)
        "ij,jk->ik": ("B3",),
        "ik,jk->ij": ("2B",),
        "ij,ij->": ("AB",),
        "ij->ji": (),
        "ij->j": (),
        "ij,j": ("B",),
        "i...,ij->j...": ("A2",),
        "...j,...j->...": ("AB",),
        "ij,ik,il->jkl": ("A2", "A3"),
        "...i,ji->...j": ("3B",),
    }

    @property
    def arity(self) -> int:
        return self.equation.count(",") + 1

    def letters(self, x: tuple) -> tuple[list[str], str]:
        """The letters of every input and of the output, ellipses written out in capitals."""
        left, arrow, out = self.equation.replace(" ", "").partition("->")
        terms = left.split(",")
        if len(terms) != len(x):
            raise ValueError(f"{self} takes {len(terms)} inputs; it got {describe(x)}")
        free = [c for c in map(chr, range(ord("A"), ord("Z") + 1)) if c not in self.equation]
        more = [a.ndim - len(t.replace("...", "")) for t, a in zip(terms, x)]
        widest = max((n for t, n in zip(terms, more) if "..." in t), default=0)
        if any(n < 0 or (n and "..." not in t) for t, n in zip(terms, more)) or widest > len(free):
            raise ValueError(f"{self} takes an axis for every letter; it got {describe(x)}")
        batch = "".join(free[:widest])
        full = [t.replace("...", batch[widest - n :]) for t, n in zip(terms, more)]
        if not arrow:
            once = sorted(c for c in set("".join(full)) - set(batch) if left.count(c) == 1)
            return full, batch + "".join(once)
        return full, out.replace("...", batch)

    def forward(self, params, x):
        inputs = x if isinstance(x, tuple) else (x,)
        for a in inputs:
            self.takes(True, a, "(*)")
        terms, out = self.letters(inputs)
        lengths = [(c, n) for t, a in zip(terms, inputs) for c, n in zip(t, a.shape)]
        sizes = {c: max(n for d, n in lengths if d == c) for c, _ in lengths}
        if any(n not in (1, sizes[c]) for c, n in lengths):
            raise ValueError(f"{self} takes one length for every letter; it got {describe(inputs)}")
        wide = tuple(np.broadcast_to(a, [sizes[c] for c in t]) for t, a in zip(terms, inputs))
        y = np.einsum(f"{','.join(terms)}->{out}", *wide, optimize=len(wide) > 1)
        return np.asarray(y), (wide, terms, out, tuple(a.shape for a in inputs))

    def backward(self, params, cache, dy):
        wide, terms, out, shapes = cache
        grads = [unbroadcast(self.of(k, wide, terms, out, dy), to) for k, to in enumerate(shapes)]
        return (grads[0] if len(grads) == 1 else tuple(grads)), {}

    def of(self, k: int, wide: tuple, terms: list[str], out: str, dy: Array) -> Array:
        """dxₖ before it is summed over what was repeated."""
        own = "".join(dict.fromkeys(terms[k]))  # every letter once
        others = [(t, conj(a)) for i, (t, a) in enumerate(zip(terms, wide)) if i != k]
        alone = [c for c in own if c not in out and not any(c in t for t, _ in others)]
        sizes = dict(zip(terms[k], wide[k].shape))
        factors = [(out, dy), *others, *((c, np.ones(sizes[c], dy.dtype)) for c in alone)]
        told = f"{','.join(t for t, _ in factors)}->{own}"
        d = np.einsum(told, *(a for _, a in factors), optimize=len(factors) > 1)
        if own == terms[k]:
            return d
        dx = np.zeros(wide[k].shape, dy.dtype)
        np.einsum(f"{terms[k]}->{own}", dx)[...] = d  # a view of the diagonal
        return dx

    @classmethod
    def example(cls, choose, shape):
        square = ("ii->i", "ii", "ij,jk,ki->") if shape[0] == shape[1] else ()
        return cls(choose(*cls.cases, *square))

    def sample(self, values, shape):
        sizes = dict(zip("AB", shape))
        further = self.cases.get(self.equation, ("AB", "AB") if self.equation.count(",") == 2 else ())
        others = [values.real(tuple(sizes.get(c) or int(c) for c in other)) for other in further]
        return (values.real(shape), *others) if others else values.real(shape)
