"""Random graphs: chains that fork and meet, values and modules used again, weights that other nodes compute."""

from collections.abc import Callable
from typing import Any

import numpy as np

from manualbp.base import Layer, registry, run
from manualbp.graph import Graph, Node
from manualbp.linear import Linear
from manualbp.loss import Loss
from manualbp.operations import Cdist
from manualbp.operations.linalg import OfMatrix
from manualbp.sampling import Choose, Values

Shape = tuple[int, ...]
Plain = Callable[[Choose, Shape, bool], "Layer | None"]


class Drawing:
    """A graph while it is drawn: its nodes, and the shape of every value that is one array."""

    def __init__(self, choose: Choose, exact: bool, plain: Plain, inputs: dict[str, Shape]) -> None:
        self.choose, self.exact, self.plain = choose, exact, plain
        self.shapes, self.nodes, self.parameters = dict(inputs), list[Node](), dict[str, Shape]()

    def value(self, wanted: Callable[[Shape], bool] = lambda shape: True) -> str | None:
        """One of the values whose shape is wanted, the latest first."""
        names = [name for name, shape in reversed(self.shapes.items()) if wanted(shape)]
        return self.choose(*names) if names else None

    def add(self, layer: Layer, inputs: Any, shape: Shape, params: Any = None) -> None:
        """One more node, unless it would be large or empty."""
        if 0 < int(np.prod(shape)) <= 600:
            name = f"v{len(self.nodes)}"
            self.nodes.append(Node(name, layer, inputs, params))
            self.shapes[name] = shape

    def step(self) -> None:
        self.choose(self.layer, self.meet, self.layer, self.again, self.weigh)()

    def layer(self) -> None:
        """A layer of any class on any value."""
        name = self.value()
        assert name is not None
        if (layer := self.plain(self.choose, self.shapes[name], self.exact)) is not None:
            self.add(layer, name, gives(layer, (self.shapes[name],)))

    def meet(self) -> None:
        """A layer that takes several values of one shape; sometimes the same twice, sometimes a bare parameter."""
        first = self.value()
        assert first is not None
        shape = self.shapes[first]
        second = self.value(lambda other: other == shape)
        if self.choose(False, False, True):
            second = f"p{len(self.parameters)}"
            self.parameters[second] = shape
        layer = joining(self.choose, shape, self.exact)
        if layer is not None:
            self.add(layer, (first, second), gives(layer, (shape, shape)))

    def again(self) -> None:
        """An earlier node's layer, with its parameters, on another value of the shape it takes."""
        nodes = [n for n in self.nodes if isinstance(n.inputs, str) and n.params is None]
        if nodes:
            old = self.choose(*nodes)
            name = self.value(lambda other: other == self.shapes[old.inputs])
            self.add(old.layer, name, self.shapes[old.name], old.name)

    def weigh(self) -> None:
        """A Linear whose weight is a value of the graph."""
        name, weight = self.value(lambda s: len(s) > 1), self.value(lambda s: len(s) == 2)
        if name is None or weight is None or self.shapes[weight][1] != self.shapes[name][-1]:
            return
        out, n = self.shapes[weight]
        layer = Linear(n, out, bias=False)
        self.add(layer, name, (*self.shapes[name][:-1], out), (("weight", weight),))


APART = (Loss, Cdist, OfMatrix)


def joining(choose: Choose, shape: Shape, exact: bool) -> Layer | None:
    """A layer of two inputs that may have this shape both."""
    # A loss wants targets, which a value of the graph is not; and a matrix there need have no inverse.
    found = [
        c for c in registry().values()
        if c.arity == 2 and not issubclass(c, APART) and len(shape) in c.ranks and (c.dyadic or not exact)
    ]  # fmt: skip
    for _ in range(5 if found else 0):
        layer = choose(*found).example(choose, shape)
        sample = None if layer is None else layer.sample(Values(np.random.default_rng(0)), shape)
        real = isinstance(sample, tuple) and all(getattr(a, "dtype", None) == np.float64 for a in sample)
        if layer is not None and real and tuple(map(np.shape, sample)) == (shape, shape) and takes_any(layer, shape):
            return layer
    return None


def takes_any(layer: Layer, shape: Shape) -> bool:
    """Has it a value for numbers of either sign? A loss may want probabilities."""
    rng = np.random.default_rng(0)
    params = layer.init(rng)
    try:
        with np.errstate(all="ignore"):
            ys = [run(layer, params, tuple(rng.standard_normal((2, *shape))), rng)[0] for _ in range(12)]
    except ValueError:
        return False
    return all(np.isfinite(y).all() for y in ys)


def gives(layer: Layer, shapes: tuple[Shape, ...]) -> Shape:
    """The shape of what a layer gives for inputs of these shapes; (0,) if it takes no such values."""
    rng = np.random.default_rng(0)
    x = tuple(Values(rng).real(shape) for shape in shapes)
    try:
        y, _ = run(layer, layer.init(rng), x if len(x) > 1 else x[0], rng)
    except ValueError:
        return (0,)
    return np.shape(y) if isinstance(y, np.ndarray) and y.dtype.kind == "f" else (0,)


def graph(choose: Choose, shape: Shape, exact: bool, plain: Plain, several: bool = False) -> Graph:
    """A graph over an input of this shape. `several`: perhaps with two inputs and two outputs."""
    inputs = {"x": shape, "z": shape} if several and choose(False, True) else {"x": shape}
    drawing = Drawing(choose, exact, plain, inputs)
    for _ in range(choose(2, 3, 4, 5, 6)):
        drawing.step()
    last = drawing.nodes[-1].name if drawing.nodes else "x"
    outputs = (last, drawing.value()) if several and choose(False, True) else last
    used = {name for node in drawing.nodes for name in (node.inputs if isinstance(node.inputs, tuple) else ())}
    bare = tuple((name, n) for name, n in drawing.parameters.items() if name in used)
    return Graph(*drawing.nodes, inputs=tuple(inputs), outputs=outputs, parameters=bare)
