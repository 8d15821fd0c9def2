"""What is checked, in one form: named arrays go in, an output and named gradients come out.

Each way in is one class: `pair` (two functions, loss and gradients, a slope), `objects`, `torch_code` (an
autograd.Function and what is differentiated through one), `of_layer`. `bring` chooses among them.
"""

from typing import Any

from manualbp.base import Tree

Arrays = dict[str, Any]


class Subject:
    """forward(arrays) -> y, cache;  backward(dy, cache) -> gradients by name. `names`: of the inputs, in order."""

    names: tuple[str, ...]
    stateful = False  # does it keep its cache in itself?
    of_torch = False  # is its arithmetic torch's?
    no_upstream = False  # is its output a loss, whose gradients it gives without a dy?
    keeps = False  # does it keep its cache in a global, since backward takes none?
    remade = False  # does every forward make its object anew?
    goes_on = False  # does it go on with the last object all the same?
    accumulates = False  # is it meant to add its gradients up from call to call?
    random = False  # does it draw random numbers?
    format: str | None = None  # float16 or bfloat16 where it is run in that alone
    reuses = False  # may its backward write over what it saved, as autograd watches over?
    kept: tuple[str, ...] = ()  # inputs whose gradients it keeps in itself

    def without(self, name: str) -> "Subject | None":
        """The same where an input needs no gradient, if it can be told so."""
        return None

    def fresh(self) -> "Subject":
        """The same with nothing of an earlier call in it."""
        return self

    def forward(self, arrays: Arrays) -> tuple[Tree, Any]:
        raise NotImplementedError

    def backward(self, dy: Tree, cache: Any) -> Arrays:
        raise NotImplementedError

    def moved(self, cache: Any) -> Arrays:
        """Buffers after a forward pass, by name."""
        return {}

    def innermost(self) -> "Subject":
        """What stands in all that is around it."""
        return self


class Around(Subject):
    """A subject inside another, which changes what goes in or comes out."""

    def __init__(self, inner: Subject) -> None:
        self.inner, self.names = inner, inner.names
        self.stateful, self.of_torch, self.no_upstream = inner.stateful, inner.of_torch, inner.no_upstream
        self.remade, self.keeps = inner.remade, inner.keeps
        self.accumulates, self.reuses, self.random = inner.accumulates, inner.reuses, inner.random
        self.format, self.kept = inner.format, inner.kept

    def without(self, name):
        inner = self.inner.without(name)
        return None if inner is None else self.around(inner)

    def around(self, inner: Subject) -> Subject:
        """The same around another subject."""
        raise NotImplementedError

    def fresh(self) -> Subject:
        return self.around(self.inner.fresh())

    def forward(self, arrays):
        return self.inner.forward(arrays)

    def backward(self, dy, cache):
        return self.inner.backward(dy, cache)

    def moved(self, cache):
        return self.inner.moved(cache)

    def innermost(self):
        return self.inner.innermost()
