"""What a layer is: a value with two pure functions, `forward` and `backward`.

Letters used throughout the package
    x, y        input and output of a layer          t       target of a loss
    W, b        weight and bias                      g       an upstream gradient after scaling
    dq          ∂L/∂q for any quantity q, of q's shape; so dy comes in and dx goes out
    N, C, T, D  batch, channels or classes, time, width
    L           the scalar loss whose gradient is wanted
    ⟨q⟩, Σq     mean and sum of q over the axes that the text names
    δᵢⱼ         1 if i = j, else 0                    ⊙       product entry by entry
"""

import copy
import dataclasses
import html
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, ClassVar, Self, dataclass_transform

import numpy as np

from .sampling import Choose, Values
from .tree import Params as Params
from .tree import Path, leaves, spelt, tree_map_with_path
from .tree import Tree as Tree
from .tree import add as add
from .tree import flatten as flatten
from .tree import tree_map as tree_map
from .tree import unflatten as unflatten

Array = np.ndarray

REAL = "fdgFDGO"  # float32, float64, longdouble, their complex twins, and objects that compute (certificates)
INTEGER = "bBhHiIlLqQ?"


@dataclass_transform(frozen_default=True)
class Layer:
    """A value: its fields are the options of the torch.nn class of the same name. Every subclass is a frozen
    dataclass without saying so. `class Family(Layer, family=True)` is a base that is no layer by itself.

    params   = layer.init(rng, dtype)                  nested dict of arrays, torch's names and layouts
    y, cache = layer.forward(params, x)                cache: a tuple of what backward reads
    dx, dp   = layer.backward(params, cache, dy)       dx mirrors x (None where no gradient exists), dp mirrors params
    dp       = layer.gradients(params, cache, dy)      the same dp, where nobody asks for dx
    params   = layer.track(params, cache)              moved statistics, where a layer has them
    """

    family: ClassVar[bool] = True
    random: bool | property = False  # does forward need a Generator: forward(params, x, rng)?
    buffers: ClassVar[tuple[str, ...]] = ()  # names among its parameters of what `track` moves and no gradient does

    # What random examples of this class look like; `reference.draw.strategies` reads these, nothing else does.
    ranks: ClassVar[tuple[int, ...]] = (1, 2, 3, 4)  # of its first input
    arity: ClassVar[int] = 1  # real inputs that must be given
    integer: ClassVar[bool] = False  # its first input holds indices
    dyadic: ClassVar[bool] = False  # rounds nothing when data are small integers (for some options at least)
    analytic: ClassVar[bool] = True  # its forward is analytic where it is smooth, so the complex step applies
    is_gradient: bool | property = True  # is what backward gives the derivative of forward? A padding row's 0 is not
    cancels: ClassVar[bool] = False  # terms cancel in it or its twin: what is near 0 may be noise
    of_complex: ClassVar[bool] = False  # has it a gradient by complex numbers? Most meet them in the complex step only
    options: ClassVar[Mapping[str, tuple]] = {}  # a field's name -> values worth trying

    variadic: ClassVar[bool] = False  # made as Class(*layers, …): it has an __init__ of its own

    def __init_subclass__(cls, family: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.family = family
        dataclasses.dataclass(frozen=True, repr=False, init=not cls.variadic)(cls)

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            if isinstance(value := getattr(self, f.name), list):
                object.__setattr__(self, f.name, tuple(value))

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Params:
        """Parameters as torch initialises them by default, drawn from `rng`. Buffers are among them."""
        return {}

    def forward(self, params: Params, x: Tree) -> tuple[Tree, tuple]:
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def backward(self, params: Params, cache: tuple, dy: Tree) -> tuple[Tree, Params]:
        raise NotImplementedError(f"{type(self).__name__}.backward")

    def gradients(self, params: Params, cache: tuple, dy: Tree) -> Params:
        """What backward gives by the parameters alone: in training nobody asks for dx of the first layer, which can
        cost as much as dW."""
        return self.backward(params, cache, dy)[1]

    def track(self, params: Params, cache: tuple) -> Params:
        """The parameters with the running statistics moved by one forward pass. Most layers have none."""
        return params

    def inside(self) -> dict[str, "Layer"]:
        """The layers among its options, by name."""
        nested = {name: option for name, option in options_of(self).items() if isinstance(option, (Layer, tuple))}
        return {spelt(path): value for path, value in leaves(nested) if isinstance(value, Layer)}

    def map_named(self, f: Callable[[str, "Layer"], "Layer"]) -> Self:
        """The same layer with f(name, layer) in the place of every layer inside it."""

        def changed(path: Path, value: Any) -> Any:
            return f(spelt(path), value) if isinstance(value, Layer) else value

        return self.replace(**tree_map_with_path(changed, options_of(self)))

    def map(self, f: Callable[["Layer"], "Layer"]) -> Self:
        """The same layer with f(layer) in the place of every layer inside it."""
        return self.map_named(lambda _, layer: f(layer))

    def walk(self, path: str = "") -> Iterator[tuple[str, "Layer"]]:
        """(path, layer) of this layer, whose path is "", and of every layer inside it and inside these."""
        yield path, self
        for name, layer in self.inside().items():
            yield from layer.walk(f"{path}.{name}" if path else name)

    def buffer_names(self) -> set[str]:
        """The names of its buffers, and of those of every layer inside it, as `flatten` gives them."""
        return {f"{path}.{name}" if path else name for path, layer in self.walk() for name in layer.buffers}

    def train(self, mode: bool = True) -> Self:
        """The same layer in training mode: another value, this one stays as it is."""
        switched = self.map(lambda layer: layer.train(mode))
        return switched.replace(training=mode) if "training" in options_of(self) else switched

    def eval(self) -> Self:
        """The same layer in evaluation mode."""
        return self.train(False)

    def replace(self, **changes: Any) -> Self:
        """The same layer with some options changed."""
        other = copy.copy(self)
        for name, value in changes.items():
            if name not in options_of(self):
                raise TypeError(f"{type(self).__name__} has no option {name!r}; it has {', '.join(options_of(self))}")
            object.__setattr__(other, name, value)
        return other

    @classmethod
    def example(cls, choose: Choose, shape: tuple[int, ...]) -> "Layer | None":
        """A random layer of this class that takes a first input of this shape; None if there is none."""
        return cls(**{name: choose(*values) for name, values in cls.options.items()})

    @classmethod
    def link(cls, choose: Choose, shape: tuple[int, ...]) -> "Layer | None":
        """The same for a place in a chain, where a layer may need another before it to take one array."""
        return cls.example(choose, shape)

    def sample(self, values: Values, shape: tuple[int, ...]) -> Tree:
        """A random input whose first array has this shape."""
        return values.real(shape) if self.arity == 1 else tuple(values.real(shape) for _ in range(self.arity))

    def sample_params(self, values: Values) -> Params:
        """Random parameters, none left at a value (0 or 1) that hides a mistake."""
        return tree_map(lambda p: values.real(p.shape), self.init(values.rng))

    def derives(self, x: Tree) -> bool:
        """Is what backward gives the derivative of forward at this input? Some, like torch, let the gradient pass
        where forward is held at a bound."""
        return True

    def takes(self, ok: bool, x: Any, shape: str, kinds: str = REAL) -> None:
        """Raise a ValueError that shows layer, call and remedy unless `ok` and x is an array of such a dtype.

        `shape` is written with the names of fields: "(N, *, in_features)".
        """
        if ok and isinstance(x, (np.ndarray, np.generic)) and x.dtype.char in kinds:
            return
        kind = "real numbers (float32, float64)" if kinds == REAL else "integers" if kinds == INTEGER else "numbers"
        known = [f"{n} = {expression(v)}" for n, v in options_of(self).items() if n in shape]
        where = f", where {', '.join(known)}" if known else ""
        raise ValueError(f"{self} takes an array of {kind} of shape {shape}{where}; it got {describe(x)}")

    def unpack(self, x: Any, needed: str, optional: str = "") -> tuple:
        """The inputs in a tuple, None for each optional one left out; a ValueError if their number is wrong."""
        least = needed.count(" ") + 1
        most = least + (optional.count(" ") + 1 if optional else 0)
        if not isinstance(x, tuple) or not least <= len(x) <= most:
            left_out = "".join(f"[, {name}]" for name in optional.split())
            raise ValueError(f"{self} takes a tuple ({', '.join(needed.split())}{left_out}); it got {describe(x)}")
        return x + (None,) * (most - len(x))

    def __repr__(self) -> str:
        return as_call(self)

    def _repr_html_(self) -> str:
        """In a notebook: the layer, and its derivation to unfold."""
        text = html.escape(inspect.getdoc(type(self)) or "")
        return f"<details><summary><code>{html.escape(repr(self))}</code></summary><pre>{text}</pre></details>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # hypothesis and IPython would print the dataclass's fields otherwise


def options_of(value: Any) -> dict[str, Any]:
    """The fields of a layer or optimizer with their values."""
    return {name: getattr(value, name) for name in field_names(type(value))}


@cache
def field_names(cls: type) -> tuple[str, ...]:
    """The options of a class of layers or optimizers."""
    return tuple(f.name for f in dataclasses.fields(cls))


def as_call(value: Any) -> str:
    """The call that rebuilds a layer or optimizer; options at their defaults are left out."""
    parts = []
    for f in dataclasses.fields(value):
        given = getattr(value, f.name)
        if f.name == "layers" and isinstance(value, Layer) and value.variadic:
            parts += map(expression, given)
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            parts.append(expression(given))
        elif given != f.default:
            parts.append(f"{f.name}={expression(given)}")
    return f"{type(value).__name__}({', '.join(parts)})"


def expression(value: Any) -> str:
    """Python text that gives the value back. Plain repr() would print inf, which is no expression."""
    if isinstance(value, tuple):
        return f"({', '.join(map(expression, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, (float, np.floating)):
        return repr(float(value)) if math.isfinite(value) else f'float("{value}")'
    return repr(value)


def describe(x: Any) -> str:
    """An input in an error message: dtype and shape, or what it is instead."""
    if isinstance(x, (np.ndarray, np.generic)):
        return f"{x.dtype} of shape {x.shape}"
    if isinstance(x, tuple):
        return f"a tuple ({', '.join(map(describe, x))})"
    return "None" if x is None else f"{type(x).__name__} {str(x)[:60]}"


def shape(x: Any) -> tuple[int, ...]:
    """x.shape, or () for what is no array, so that a check of a shape can be written before that of the type."""
    return getattr(x, "shape", ())


def registry(of: type = Layer) -> dict[str, type]:
    """Every layer class of this package by name; families are left out."""

    def below(cls: type) -> Iterator[type]:
        for sub in cls.__subclasses__():
            yield sub
            yield from below(sub)

    found = {c.__name__: c for c in below(of) if c.__module__.startswith("manualbp.") and not c.family}
    return dict(sorted(found.items()))


def run(layer: Layer, params: Params, x: Tree, rng: np.random.Generator | None) -> tuple[Tree, tuple]:
    """layer.forward, with the generator for those layers only that draw from one."""
    draws = rng is not None and layer.random
    return layer.forward(params, x, rng) if draws else layer.forward(params, x)


def needs_rng(layer: Layer, rng: np.random.Generator | None) -> np.random.Generator:
    """The generator, or a ValueError that shows the right call where a random layer was given none."""
    if rng is None:
        raise ValueError(
            f"{layer} draws random numbers in training: call forward(params, x, np.random.default_rng(0)), "
            f"or layer.eval().forward(params, x) for its value without them"
        )
    return rng


def unbroadcast(g: Array, to: tuple[int, ...]) -> Array:
    """The gradient of an array of shape `to` that was broadcast to g's shape: Σ over the axes it was repeated along."""
    if g.shape == to:
        return g
    g = g.sum(axis=tuple(range(g.ndim - len(to)))) if g.ndim > len(to) else g
    axes = tuple(i for i, n in enumerate(to) if n == 1 and g.shape[i] != 1)
    return g.sum(axis=axes, keepdims=True) if axes else g


def uniform(rng: np.random.Generator, bound: float, shape: tuple[int, ...], dtype: Any) -> Array:
    """U(−bound, bound): torch's default initialisation of most weights."""
    return rng.uniform(-bound, bound, shape).astype(dtype)
