"""Random architectures: chains, residuals, branches, shared layers, losses, fitted to one another by shape.

Every decision is one call choose(a, b, …), whose first option is the simplest. Who decides is open: hypothesis
(`strategies.py`), a seeded generator (`Drawn`), or a recorded list (`Redrawn`), which is what shrinking needs.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from manualbp import container, linear
from manualbp.base import Layer, registry, run
from manualbp.container import Container
from manualbp.graph import Graph
from manualbp.loss import Loss
from manualbp.operations import Operation
from manualbp.optim.base import Optimizer
from manualbp.sampling import Choose, Values

from . import graphs
from .case import Case
from .expression import parse

LARGEST = 600  # entries of an activation inside a network


class Drawn:
    """choose() by a seeded generator; `indices` is the record of what was chosen."""

    def __init__(self, seed: Sequence[int]) -> None:
        self.rng, self.indices = np.random.default_rng(seed), list[int]()

    def __call__(self, *options: Any) -> Any:
        self.indices.append(int(self.rng.integers(len(options))))
        return options[self.indices[-1]]


class Redrawn:
    """choose() by a record: an index that is too large is cut off, a missing one is 0, the simplest."""

    def __init__(self, indices: Sequence[int]) -> None:
        self.given, self.indices = list(indices), list[int]()

    def __call__(self, *options: Any) -> Any:
        i = len(self.indices)
        self.indices.append(min(self.given[i], len(options) - 1) if i < len(self.given) else 0)
        return options[self.indices[-1]]


def dyadic_only(choose: Choose) -> Choose:
    """Among floats, only those that are multiples of 1/64: the exact regime."""

    def chosen(*options: Any) -> Any:
        kept = [o for o in options if not isinstance(o, float) or (o * 64).is_integer()]
        return choose(*(kept or options))

    return chosen


def shape_of(choose: Choose, ranks: Sequence[int], exact: bool = False) -> tuple[int, ...]:
    """A shape of one of these ranks; in the exact regime often powers of two, so that means are exact."""
    sizes = (2, 1, 4, 3, 8) if exact else (2, 1, 3, 4, 5)
    return tuple(choose(*sizes) for _ in range(choose(*ranks)))


def single(choose: Choose, cls: type[Layer], exact: bool = False) -> tuple[Layer, tuple[int, ...]] | None:
    """A layer of this class with random options, and a shape that its first input may have."""
    if issubclass(cls, (Container, container.Select)):
        return _around(choose, cls, exact)
    for _ in range(10):
        shape = shape_of(choose, cls.ranks, exact)
        if (layer := cls.example(dyadic_only(choose) if exact else choose, shape)) is not None:
            return layer, shape
    return None


def case_of(choose: Choose, cls: type[Layer], exact: bool = False, dtype: str = "float64") -> Case | None:
    """A comparison of one layer of this class, alone. Exact where the class can be."""
    exact = exact and (cls.dyadic or issubclass(cls, Container))
    found = single(choose, cls, exact)
    return found and Case(*found, seed_of(choose), exact, dtype, 1.0 if exact else choose(1.0, 0.1, 10.0))


def seed_of(choose: Choose) -> int:
    """A seed for the values: four decisions, so that shrinking reaches 0."""
    return sum(choose(*range(16)) << 4 * i for i in range(6))


def _around(choose: Choose, cls: type[Layer], exact: bool) -> tuple[Layer, tuple[int, ...]]:
    """A container of this class around random layers."""
    shape = shape_of(choose, (2, 3, 4), exact)
    if cls is container.Select:
        return container.Select(choose(0, 1, -1)), shape
    if cls is container.Objective:
        return objective(choose, chain(choose, shape, exact), shape, exact), shape
    if cls is container.Sequential:
        return chain(choose, shape, exact), shape
    if cls is Graph:
        return graphs.graph(choose, shape, exact, plain, several=True), shape
    make = _wrapped if cls in (container.Residual, container.Repeat) else _branched
    return make(choose, cls, shape, exact, 1), shape


def output_shape(layer: Layer, shape: tuple[int, ...]) -> Any:
    """The shape of what a layer gives for a first input of this shape; a tuple of them for several outputs."""
    rng = np.random.default_rng(0)
    y, _ = run(layer, layer.init(rng), layer.sample(Values(rng), shape), rng)

    def of(tree: Any) -> Any:
        return tuple(map(of, tree)) if isinstance(tree, tuple) else np.shape(tree)

    return of(y)


@cache
def links(exact: bool = False) -> tuple[type[Layer], ...]:
    """The classes that can stand inside a chain."""
    return tuple(
        c for c in registry().values()
        if not issubclass(c, (Loss, Container, container.Select)) and not c.integer and (c.dyadic or not exact)
        and not (issubclass(c, Operation) and not c.in_networks)
    )  # fmt: skip


def chain(choose: Choose, shape: tuple[int, ...], exact: bool = False, depth: int = 2) -> Layer:
    """Layers that fit one another, each alone, wrapped in a container, or branched."""
    found: list[Layer] = []
    for _ in range(choose(1, 2, 3, 4)):
        found.append(_link(choose, shape, exact, depth))
        shape = output_shape(found[-1], shape)
    return container.Sequential(*found)


def _link(choose: Choose, shape: tuple[int, ...], exact: bool, depth: int) -> Layer:
    wrapping = (container.Residual, container.Repeat, container.Sum, container.Concat, Graph)
    cls = choose(None, None, None, None, None, *wrapping) if depth > 0 else None
    if cls is None:
        return plain(choose, shape, exact) or linear.Identity()
    if cls is Graph:
        return graphs.graph(choose, shape, exact, plain)
    make = _wrapped if cls in wrapping[:2] else _branched
    return make(choose, cls, shape, exact, depth - 1)


def plain(choose: Choose, shape: tuple[int, ...], exact: bool, cls: type[Layer] | None = None) -> Layer | None:
    """One layer that takes this shape, several inputs and outputs adapted to one; None if none was found."""
    fitting = [cls] if cls else [c for c in links(exact) if len(shape) in c.ranks]
    for _ in range(5 if fitting else 0):
        drawn = choose(*fitting)
        layer = drawn.link(dyadic_only(choose) if exact else choose, shape)
        if layer is None:
            continue
        guards = layer.before() if isinstance(layer, Operation) else (None,) * layer.arity
        if layer.arity > 1 or any(guards):
            before = [parse(guard) if guard else linear.Identity() for guard in guards]
            layer = container.Sequential(*before if layer.arity == 1 else [container.Parallel(*before)], layer)
        try:
            found = output_shape(layer, shape)
        except ValueError:  # its other inputs must differ from the first
            continue
        while found and isinstance(found[0], tuple):
            layer, found = container.Sequential(layer, container.Select(0)), found[0]
        if 0 < int(np.prod(found)) <= LARGEST:
            return layer
    return None


def _wrapped(choose: Choose, cls: type, shape: tuple[int, ...], exact: bool, depth: int) -> Layer:
    """A container whose body gives the shape it takes: a Linear brings the width back where it was changed."""
    body = _link(choose, shape, exact, depth)
    found = output_shape(body, shape)
    if found != shape and found and shape and found[:-1] == shape[:-1]:
        body = container.Sequential(body, linear.Linear(found[-1], shape[-1]))
    elif found != shape:
        body = linear.Linear(shape[-1], shape[-1]) if shape else linear.Identity()
    return cls(body, choose(2, 3, 1)) if cls is container.Repeat else cls(body)


def _branched(choose: Choose, cls: type, shape: tuple[int, ...], exact: bool, depth: int) -> Layer:
    """Two or three branches over one input; a branch that does not fit the first gives way to one that does."""
    branches = [_link(choose, shape, exact, depth) for _ in range(choose(2, 3))]
    if cls is container.Parallel:
        return cls(*branches)
    wanted = output_shape(branches[0], shape)
    other = linear.Identity() if wanted == shape else branches[0]
    fitted = [b if output_shape(b, shape) == wanted else other for b in branches]
    if cls is container.Concat and wanted:
        return cls(*fitted, dim=choose(-1, 0, len(wanted) - 1))
    return container.Sum(*fitted)  # of scalars there is no other


def objective(
    choose: Choose, model: Layer, shape: tuple[int, ...], exact: bool = False, cls: type[Loss] | None = None
) -> Layer:
    """A network and a loss that takes what it gives."""
    found = output_shape(model, shape)
    losses = [c for c in registry(Loss).values() if len(found) in c.ranks and (c.dyadic or not exact)]
    for _ in range(5):
        drawn = cls if cls and len(found) in cls.ranks else choose(*losses) if losses else None
        loss = drawn and drawn.example(dyadic_only(choose) if exact else choose, found)
        if loss is not None:
            before = getattr(loss, "after", None)
            return container.Objective(container.Sequential(model, parse(before)) if before else model, loss)
    return container.Objective(model, registry()["MSELoss"]())


def network(choose: Choose, exact: bool = False, cls: type | None = None) -> tuple[Layer, tuple[int, ...]]:
    """A network and its loss, and the shape of its input. The class, if it is that of a layer or a loss, is in it."""
    guest = cls if cls in links() else None
    shape = shape_of(
        choose, [r for r in (cls.ranks if cls and issubclass(cls, Layer) else ()) if r > 1] or (2, 3, 4), exact
    )
    parts = [chain(choose, shape, exact)] if guest is None or choose(False, True) else []
    found = output_shape(parts[0], shape) if parts else shape
    if guest is not None:
        if len(found) not in guest.ranks:
            parts, found = [], shape
        layer = plain(choose, found, exact, guest)
        parts += [layer] if layer is not None else [] if parts else [linear.Identity()]
    loss = cls if cls and issubclass(cls, Loss) else None
    return objective(choose, container.Sequential(*parts), shape, exact, loss), shape


def optimizer(choose: Choose, cls: type[Optimizer] | None = None) -> Optimizer:
    """An optimizer with random options."""
    drawn: type[Optimizer] = cls or choose(*registry(Optimizer).values())
    return drawn.example(choose)


def verification_case(choose: Choose, cls: Any, exact: bool = False, dtype: str = "float64") -> Case | None:
    """What `manualbp verify` draws: one layer alone or a network with its loss, and an optimizer."""
    chosen = optimizer(choose, cls if issubclass(cls, Optimizer) else None)
    joins = cls in links() or issubclass(cls, (Loss, Optimizer))
    if not joins or (issubclass(cls, Layer) and choose(False, True)):
        case = case_of(choose, cls, exact, dtype)
    else:
        exact = exact and (issubclass(cls, Optimizer) or cls.dyadic)
        case = Case(
            *network(choose, exact, cls), seed_of(choose), exact, dtype, 1.0 if exact else choose(1.0, 0.3, 3.0)
        )
    return case and replace(case, optimizer=chosen)
