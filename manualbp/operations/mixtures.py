"""Three arrays in one sum, entry by entry: what would be two operations, as torch has it in one."""

from ..base import Array, Tree
from .base import Operation, alike, check_broadcast, gradient, partner, unreached


class Three(Operation, family=True):
    """y of a, b and c, which broadcast; da, db and dc are summed over the axes that each was repeated along."""

    arity = 3
    dyadic = True
    names = ("input", "tensor1", "tensor2")

    def f(self, a: Array, b: Array, c: Array) -> Array:
        raise NotImplementedError

    def df(self, a: Array, b: Array, c: Array, dy: Array) -> tuple[Array, Array, Array]:
        raise NotImplementedError

    def forward(self, params, x):
        a, b, c = alike(self.unpack(x, " ".join(self.names)))
        check_broadcast(self, (a, b, c))
        return self.f(a, b, c), (x, a, b, c)

    def backward(self, params, cache, dy):
        x, *operands = cache
        if dy is None:
            return unreached(x), {}
        return tuple(gradient(d, v) for d, v in zip(self.df(*operands, dy), x)), {}

    def sample(self, values, shape) -> Tree:
        second = partner(values, shape)
        third = second if values.rng.integers(2) else shape
        return values.real(shape), values.real(second), values.real(third)


class Lerp(Three):
    """From one array to another by a part of the way.

    Forward   y = a + w(b − a)
    Backward  ∂y/∂a = 1 − w,  ∂y/∂b = w,  ∂y/∂w = b − a:
              da = (1 − w) dy
              db = w dy
              dw = (b − a) dy,  each summed over the axes that it was repeated along
    Shapes    inputs: (a, b, w), which broadcast to y, or (a, b) where w is the number `weight`
    Errors    ValueError if the shapes do not broadcast
    Source    torch.lerp
    """

    weight: float | None = None

    calls = ("torch.lerp", "Tensor.lerp", "Tensor.lerp_")
    options = {"weight": (None, 0.5, 0.3)}
    names = ("input", "end", "weight")

    @property
    def arity(self) -> int:
        return 2 + (self.weight is None)

    def f(self, a, b, c):
        return a + c * (b - a)

    def df(self, a, b, c, dy):
        return (1 - c) * dy, c * dy, (b - a) * dy

    def forward(self, params, x):
        if self.weight is None:
            return super().forward(params, x)
        a, b = alike(self.unpack(x, "input end"))
        check_broadcast(self, (a, b))
        return self.f(a, b, self.weight), (x, a, b, self.weight)

    def sample(self, values, shape):
        return super().sample(values, shape)[: self.arity]


class Addcmul(Three):
    """A sum and a product.

    Forward   y = a + v bc
    Backward  ∂y/∂a = 1,  ∂y/∂b = vc,  ∂y/∂c = vb:
              da = dy
              db = v c dy
              dc = v b dy,  each summed over the axes that it was repeated along
    Shapes    inputs: (a, b, c), which broadcast to y; v is the number `value`
    Errors    ValueError if the shapes do not broadcast
    Source    torch.addcmul
    """

    value: float = 1

    calls = ("torch.addcmul", "Tensor.addcmul", "Tensor.addcmul_")
    options = {"value": (1, 0.5, -2)}

    def f(self, a, b, c):
        return a + self.value * (b * c)

    def df(self, a, b, c, dy):
        return dy, self.value * c * dy, self.value * b * dy
