"""Layers made of layers: their forward and backward are the chain rule. Beside torch/nn/modules/container.py."""

from typing import Any

import numpy as np

from .base import REAL, Layer, Params, add, describe, run, tree_map


class Parent(Layer, family=True):
    """A layer with named children; their parameters are nested under their names."""

    def children(self) -> dict[str, Layer]:
        raise NotImplementedError

    def inside(self):
        return self.children()

    @property
    def random(self) -> bool:
        return any(child.random for child in self.children().values())

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Params:
        return _some({name: child.init(rng, dtype) for name, child in self.children().items()})

    def sample_params(self, values):
        return _some({name: child.sample_params(values) for name, child in self.children().items()})


class Container(Parent, family=True):
    """A layer whose children are among its options."""

    def sample(self, values, shape):
        x = next(iter(self.children().values())).sample(values, shape)
        return x[0] if isinstance(x, tuple) else x  # what several share, or what is added to, is one array

    def track(self, params, cache):
        moved = {
            name: child.track(params.get(name, {}), c)
            for (name, child), c in zip(self.children().items(), cache, strict=True)
        }
        return params | _some(moved)


def _some(params: Params) -> Params:
    """Without the children that have no parameters, as in torch's state_dict."""
    return {name: p for name, p in params.items() if p}


class Many(Container, family=True):
    """A container of any number of children, called "0", "1", … as torch does."""

    layers: tuple[Layer, ...]

    variadic = True

    def __init__(self, *layers: Layer) -> None:
        for layer in layers:
            if not isinstance(layer, Layer):
                raise TypeError(
                    f"{type(self).__name__} takes layers, as in {type(self).__name__}(Linear(2, 3), Tanh()); "
                    f"it got {describe(layer)}"
                )
        object.__setattr__(self, "layers", layers)

    def children(self):
        return {str(i): layer for i, layer in enumerate(self.layers)}

    def map_named(self, f):
        return self.replace(layers=tuple(f(name, layer) for name, layer in self.children().items()))


class Sequential(Many):
    """One layer after another.

    Forward   x₀ = x,  xₖ = fₖ(xₖ₋₁),  y = x_K
    Backward  ∂L/∂xₖ₋₁ = ∂L/∂xₖ · ∂fₖ/∂xₖ₋₁: from the last layer to the first, each turns the gradient by its
              output into that by its input
    Shapes    whatever its layers make of one another
    Errors    those of its layers; TypeError if an argument is no layer
    Source    the chain rule; torch.nn.Sequential
    """

    def sample(self, values, shape):
        return self.layers[0].sample(values, shape) if self.layers else values.real(shape)

    def forward(self, params, x, rng=None):
        caches = []
        for i, layer in enumerate(self.layers):
            x, cache = run(layer, params.get(str(i), {}), x, rng)
            caches.append(cache)
        return x, tuple(caches)

    def backward(self, params, cache, dy):
        return self._down_to(0, params, cache, dy)

    def gradients(self, params, cache, dy):
        first = next((i for i in range(len(self.layers)) if str(i) in params), None)  # below, nothing is learned
        if first is None:
            return {}
        dy, grads = self._down_to(first + 1, params, cache, dy)
        own = self.layers[first].gradients(params[str(first)], cache[first], dy)
        return _some({str(first): own}) | grads

    def _down_to(self, first: int, params: Params, cache: tuple, dy: Any) -> tuple[Any, Params]:
        """The gradient by the input of layer `first`, and by the parameters from there on."""
        grads: Params = {}
        for i in reversed(range(first, len(self.layers))):
            dy, grads[str(i)] = self.layers[i].backward(params.get(str(i), {}), cache[i], dy)
        return dy, _some(dict(reversed(grads.items())))


class Parallel(Many):
    """Every branch gets the same x; their outputs side by side in a tuple.

    Forward   y = (f₁(x), f₂(x), …)
    Backward  L depends on x through every branch, and where paths meet their gradients add:
              dx = Σₖ dyₖ · ∂fₖ/∂x
    Shapes    x: what every branch takes, y: a tuple, one entry a branch
    Errors    those of its branches
    Source    the multivariate chain rule
    """

    def sample(self, values, shape):
        if any(isinstance(f, Select) for f in self.layers):  # it takes a tuple, so that is what the branches share
            return self.layers[0].sample(values, shape)
        return super().sample(values, shape)

    def forward(self, params, x, rng=None):
        pairs = [run(f, params.get(str(k), {}), x, rng) for k, f in enumerate(self.layers)]
        return tuple(y for y, _ in pairs), tuple(cache for _, cache in pairs)

    def backward(self, params, cache, dy):
        dx, grads = None, {}
        for k, f in enumerate(self.layers):
            dx_k, grads[str(k)] = f.backward(params.get(str(k), {}), cache[k], dy[k])
            dx = add(dx, dx_k)
        return dx, _some(grads)


class Sum(Parallel):
    """The sum of what the branches make of the same x.

    Forward   y = Σₖ fₖ(x)
    Backward  ∂y/∂fₖ = 1: every branch gets dy whole;  dx = Σₖ dy · ∂fₖ/∂x
    Shapes    every branch gives an array of one shape, that of y
    Errors    ValueError if the branches' shapes differ
    Source    the multivariate chain rule
    """

    def forward(self, params, x, rng=None):
        ys, cache = super().forward(params, x, rng)
        if any(y.shape != ys[0].shape for y in ys):
            raise ValueError(f"{self} adds arrays of one shape; its branches gave {describe(ys)}")
        return sum(ys[1:], ys[0]), cache

    def backward(self, params, cache, dy):
        return super().backward(params, cache, (dy,) * len(self.layers))


class Concat(Parallel):
    """What the branches make of the same x, joined along one axis.

    Forward   y = [f₁(x) | f₂(x) | …] along axis dim
    Backward  every branch gets its own slice of dy;  dx = Σₖ dyₖ · ∂fₖ/∂x
    Shapes    the branches' outputs differ along dim at most
    Errors    ValueError if their shapes differ along another axis
    Source    the multivariate chain rule; torch.cat
    """

    dim: int = -1

    def __init__(self, *layers: Layer, dim: int = -1) -> None:
        super().__init__(*layers)
        object.__setattr__(self, "dim", dim)

    def forward(self, params, x, rng=None):
        ys, cache = super().forward(params, x, rng)
        if len({y.shape[: self.dim] + (y.shape[self.dim :][1:]) for y in ys}) > 1:
            raise ValueError(f"{self} joins arrays that differ along axis {self.dim} only; it got {describe(ys)}")
        return np.concatenate(ys, self.dim), (cache, tuple(y.shape[self.dim] for y in ys))

    def backward(self, params, cache, dy):
        inner, widths = cache
        ends = np.cumsum(widths)[:-1]
        return super().backward(params, inner, tuple(np.split(dy, ends, self.dim)))

    def track(self, params, cache):
        return super().track(params, cache[0])


class Residual(Container):
    """A layer with a bridge over it: its input is added to its output.

    Forward   y = x + f(x)
    Backward  dx = dy + dy · ∂f/∂x
    Shapes    f gives back the shape it takes
    Errors    ValueError if f changes the shape
    Source    He, Zhang, Ren, Sun 2015, arXiv:1512.03385, eq. 1
    """

    body: Layer

    def children(self):
        return {"body": self.body}

    def forward(self, params, x, rng=None):
        f, cache = run(self.body, params.get("body", {}), x, rng)
        if f.shape != x.shape:
            raise ValueError(f"{self} adds its input, {describe(x)}, to its body's output, {describe(f)}")
        return x + f, (cache,)

    def backward(self, params, cache, dy):
        dx, grads = self.body.backward(params.get("body", {}), cache[0], dy)
        return dy + dx, _some({"body": grads})

    def gradients(self, params, cache, dy):
        return _some({"body": self.body.gradients(params.get("body", {}), cache[0], dy)})


class Repeat(Container):
    """One layer with one set of parameters, applied several times: the plainest shared weights.

    Forward   x₀ = x,  xₖ = f(xₖ₋₁; θ),  y = x_times;  buffers that move with a pass do so from one to the next
    Backward  through the applications in reverse; θ is used in each, so its gradients add:  dθ = Σₖ dθₖ
    Shapes    f takes what it gives
    Errors    those of its body
    Source    the multivariate chain rule; in torch, the same module called again
    """

    body: Layer
    times: int = 2

    def children(self):
        return {"body": self.body}

    def forward(self, params, x, rng=None):
        caches, own = [], params.get("body", {})
        for _ in range(self.times):
            x, cache = run(self.body, own, x, rng)
            caches.append(cache)
            own = self.body.track(own, cache)
        return x, tuple(caches)

    def backward(self, params, cache, dy):
        total: Params = {}
        for c in reversed(cache):
            dy, grads = self.body.backward(params.get("body", {}), c, dy)
            total = add(total, grads)
        return dy, _some({"body": total})

    def track(self, params, cache):
        for c in cache:
            params = params | super().track(params, (c,))
        return params


class Select(Layer):
    """One entry of a tuple of arrays, as the output sequence of an LSTM.

    Forward   y = x[index]
    Backward  dx[index] = dy, every other entry does not reach L: 0
    Shapes    x: a (nested) tuple, y: its entry
    Errors    ValueError if x is no tuple or has no such entry
    Source    indexing
    """

    index: int = 0

    def forward(self, params, x):
        if not isinstance(x, tuple) or not -len(x) <= self.index < len(x):
            raise ValueError(f"{self} takes a tuple with an entry {self.index}; it got {describe(x)}")
        return x[self.index], (x,)

    def backward(self, params, cache, dy):
        (x,) = cache
        zeros = tree_map(lambda a: np.zeros_like(a) if a.dtype.char in REAL else None, x)
        return tuple(dy if i == self.index % len(x) else zero for i, zero in enumerate(zeros)), {}

    def sample(self, values, shape):
        return values.real(shape), values.real(shape)


class Objective(Container):
    """A network and its loss as one layer: what training differentiates.

    Forward   ŷ = f(x),  L = ℓ(ŷ, t)
    Backward  dŷ = dL · ∂ℓ/∂ŷ,  dx = dŷ · ∂f/∂x;  dL is 1 in training, and any number in a test
    Shapes    x: a tuple (x, t, …) of the network's input and whatever else the loss takes
    Errors    ValueError if x is no such tuple; those of network and loss
    Source    the chain rule
    """

    model: Layer
    loss: Layer

    def children(self):
        return {"model": self.model, "loss": self.loss}

    def sample(self, values, shape):
        x = self.model.sample(values, shape)
        prediction, _ = run(self.model, self.model.init(values.rng), x, values.rng)
        return x, *self.loss.sample(values, prediction.shape)[1:]

    def forward(self, params, x, rng=None):
        if not isinstance(x, tuple) or len(x) < 2:
            raise ValueError(f"{self} takes (input, target), got {describe(x)}")
        prediction, model = run(self.model, params.get("model", {}), x[0], rng)
        y, loss = run(self.loss, params.get("loss", {}), (prediction, *x[1:]), rng)
        return y, (model, loss)

    def backward(self, params, cache, dy):
        (dprediction, *rest), loss = self.loss.backward(params.get("loss", {}), cache[1], dy)
        dx, model = self.model.backward(params.get("model", {}), cache[0], dprediction)
        return (dx, *rest), _some({"model": model, "loss": loss})

    def gradients(self, params, cache, dy):
        (dprediction, *_), loss = self.loss.backward(params.get("loss", {}), cache[1], dy)
        return _some({"model": self.model.gradients(params.get("model", {}), cache[0], dprediction), "loss": loss})
