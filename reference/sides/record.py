"""What every layer inside a network was given and gave: the same network, made of layers that write it down."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np

from manualbp.base import Layer, Params, Tree, run, tree_map
from manualbp.container import Container, Parent
from manualbp.tree import leaves

FEW = 4.0  # last bits that a sum whose terms cancel may be off by

Record = tuple[str, Layer, Tree, Tree]  # path, layer, its input, its output


def inputs(layer: Layer, params: Params, x: Tree, seed: int | None = None) -> list[Record]:
    """What every layer that is no container was given and gave."""
    log: list[Record] = []
    run(spied(layer, log.append), params, x, None if seed is None else np.random.default_rng(seed))
    return log


def spied(layer: Layer, note: Callable[[Record], None], classes: Collection[str] | None = None) -> Layer:
    """The same network, which notes (path, layer, x, y) of every layer that is no container, or is of these classes, in
    the order in which their outputs come: what a composite is made of stands before it."""

    def noting(path: str, part: Layer, inside: Layer) -> Layer:
        return Spy(part, inside, note, path) if classes is None or type(part).__name__ in classes else inside

    return _within(layer, noting)


class Spy(Layer, family=True):
    """A layer that notes what it is given before it hands it on, to itself or to itself made of such layers."""

    layer: Layer
    running: Layer
    note: Callable[[Record], None]
    path: str

    @property
    def random(self) -> bool:
        return bool(self.layer.random)

    def forward(self, params, x, rng=None):
        y, cache = run(self.running, params, x, rng)
        self.note((self.path, self.layer, x, y))
        return y, cache

    def backward(self, params, cache, dy):
        return self.running.backward(params, cache, dy)


def _within(layer: Layer, change: Callable[[str, Layer, Layer], Layer], path: str = "") -> Layer:
    """The same network, every layer in it that is no container changed by its path, itself, and itself with all inside
    it changed: a composite, and what it is made of."""
    if not isinstance(layer, Parent):
        return change(path, layer, layer)
    changed = layer.map_named(lambda name, inner: _within(inner, change, f"{path}.{name}" if path else name))
    return changed if isinstance(layer, Container) else change(path, layer, changed)


class Noisy(Layer, family=True):
    """A layer whose results are off by their last bits, entry by entry, since one side rounds where the other does not.

    What cancels inside itself is off by the last bits of what went in, and its input by its own: that is the noise
    which cancelling terms leave where their sum is near 0. Several inputs stay as they are: some of them are labels."""

    layer: Layer
    rng: Any
    eps: float

    @property
    def random(self) -> bool:
        return bool(self.layer.random)

    def forward(self, params, x, rng=None):
        cancels = self.layer.cancels
        near = self.off(x, np.abs(x)) if cancels and real(x) else x
        y, cache = run(self.layer, params, near, rng)
        return self.noise(y, x, top(x) if cancels else None), (cache, x)

    def backward(self, params, cache, dy):
        dx, grads = self.layer.backward(params, cache[0], dy)
        size = top(dy) * (1 + top(cache[1])) * (1 + top(params)) if self.layer.cancels else None
        return self.noise(dx, dy, size), self.noise(grads, dy, size)

    def track(self, params, cache):
        return self.layer.track(params, cache[0])

    def noise(self, results, given, size):
        """`results`, off by the last bits of numbers of this size; None: of their own, where they were computed."""
        if size is not None:
            return tree_map(lambda a: self.off(a, size) if real(a) else a, results)
        given = np.concatenate([np.zeros(1), *(np.ravel(a) for _, a in leaves(given) if real(a))])

        def rounded(a: Any) -> Any:
            whole = not real(a) or np.array_equal(a, np.round(a))
            return a if whole else self.off(a, np.where(np.isin(a, given), 0.0, np.abs(a)))

        return tree_map(rounded, results)

    def off(self, a, size):
        """Beside a; or 0, where a is itself no more than such noise: the other side may have nothing there."""
        noise = self.eps * size
        near = a + noise * self.rng.choice([-1.0, 1.0], np.shape(a))
        nothing = (np.abs(a) <= FEW * noise) & self.rng.choice([True, False], np.shape(a))
        return np.asarray(np.where(nothing, 0.0, near), a.dtype)


def real(a: Any) -> bool:
    return isinstance(a, (np.ndarray, np.generic)) and a.dtype.kind == "f"


def noisy(layer: Layer, rng: np.random.Generator, eps: float) -> Layer:
    """The same network with such noise in every layer."""
    return _within(layer, lambda _, part, inside: Noisy(inside, rng, eps))


def top(tree: Any) -> float:
    """The largest finite magnitude of the real arrays of a tree."""
    arrays = [np.asarray(0.0 if a is None else a) for _, a in leaves(tree)]
    return max((float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a in arrays if a.dtype.kind == "f"), default=0.0)


def walk(layer: Layer) -> Iterator[Layer]:
    """The layer and every layer inside it."""
    return (inner for _, inner in layer.walk())
