"""Hypothesis strategies for layers, inputs and whole architectures. Public: test your own code with them.

    @given(networks())                     a network and its loss, as a Case
    @given(cases(MyLayer))                 a layer of your own, with options and shapes from its `example`
    @given(layers(Conv2d))                 (layer, shape of its input)

Hypothesis draws the *structure* (classes, options, shapes); a drawn seed fills in the *values* (`Case.data`), since
hypothesis shrinks structure well and fills arrays badly (constant and symmetric ones are frequent).
"""

from collections.abc import Sequence
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from manualbp.base import Layer
from manualbp.optim.base import Optimizer
from manualbp.sampling import Choose

from ..draw import architectures
from .case import Case


def chooser(draw: Any) -> Choose:
    """choose(a, b, …) as hypothesis draws it: it shrinks towards a."""
    return lambda *options: draw(st.sampled_from(options))


@st.composite
def shapes(draw: Any, ranks: Sequence[int], exact: bool = False) -> tuple[int, ...]:
    """Shapes of these ranks; in the exact regime often powers of two, so that means are exact."""
    return architectures.shape_of(chooser(draw), ranks, exact)


@st.composite
def layers(draw: Any, cls: type[Layer], exact: bool = False) -> tuple[Layer, tuple[int, ...]]:
    """A layer of this class with random options, and a shape that its first input may have."""
    found = architectures.single(chooser(draw), cls, exact)
    assume(found)
    assert found
    return found


@st.composite
def cases(draw: Any, cls: type[Layer], exact: bool | None = None, dtype: str = "float64") -> Case:
    """A comparison of one layer of this class, alone."""
    exact = draw(st.booleans()) if exact is None else exact
    case = architectures.case_of(chooser(draw), cls, exact, dtype)
    assume(case)
    assert case
    return case


@st.composite
def networks(draw: Any, exact: bool | None = None, dtype: str = "float64", containing: type | None = None) -> Case:
    """A network (chains, residuals, branches, shared layers) with its loss; `containing`: a class that is in it."""
    exact = draw(st.booleans()) if exact is None else exact
    choose = chooser(draw)
    return Case(*architectures.network(choose, exact, containing), architectures.seed_of(choose), exact, dtype)


@st.composite
def optimizers(draw: Any, cls: type[Optimizer] | None = None) -> Optimizer:
    """An optimizer with random options."""
    return architectures.optimizer(chooser(draw), cls)
