"""What every layer obeys, one law a function, usable on a layer of your own.

    check_laws(MyLayer)                                  every law on random examples of the class
    check_equals_torch(Case(MyLayer(3), (2, 3)))         one law on one example; AssertionError says what is wrong

`python -m reference.laws NAME …` does the first for classes of this package.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings

from manualbp import container
from manualbp.base import Layer, flatten, registry, run, tree_map

from .compare.bound import EPS, FACTOR, distance, largest
from .compare.comparison import compare_case
from .compare.slopes import derivatives
from .draw.case import Case
from .draw.expression import names, parse
from .draw.strategies import cases
from .draw.trial import cast
from .sides import record
from .sides.hand import by_hand
from .sides.run import GRADIENT, Name, Run, leaves, named
from .twin.layers import CALL_OPTIONS, from_torch, to_torch


def check_equals_torch(case: Case) -> None:
    """Outputs, gradients and buffers are those of torch and autograd; names, too."""
    found = compare_case(case)
    told = [f"{t.name}: err {t.error:.3g}, bound {t.bound:.3g} {t.what} {t.worst()}" for t in found.wrong]
    assert not told, f"{case} differs from torch:\n  " + "\n  ".join(told)


def check_equals_differences(case: Case) -> None:
    """The gradient is the derivative of the layer's own forward: complex step, or differences in longdouble."""
    if not case.layer.is_gradient and (after := getattr(case.layer, "after", None)):
        case = replace(case, layer=container.Objective(parse(after), case.layer))
    parts = [part for part in record.walk(case.layer) if not getattr(part, "after", None)]
    deliberate = not all(part.is_gradient for part in parts)  # as the zero of a padding row
    if not case.exact and not deliberate:  # small integers lie on kinks, where there is no derivative
        params, x, dy = case.data()
        if not all(part.derives(given) for _, part, given, _ in record.inputs(case.layer, params, x, case.seed)):
            return
        told = [f"{d}" for d in derivatives(case.layer, params, x, dy, case.seed) if not d.ok]
        assert not told, f"{case}: backward is not the derivative of forward:\n  " + "\n  ".join(told)


def check_linear_in_dy(case: Case) -> None:
    """backward(2a − 4b) = 2 backward(a) − 4 backward(b), to the rounding of the sums; and backward keeps nothing.

    Run in longdouble, so that what cancels inside (a saturated softmax) has digits to spare below the case's own.
    """
    params, x, dy = (cast(tree, np.longdouble) for tree in case.data())
    _, cache = _forward(case, params, x)
    other = tree_map(lambda a: np.random.default_rng(1).standard_normal(np.shape(a)).astype(np.longdouble), dy)
    mixed = tree_map(lambda a: 2 * a, dy), tree_map(lambda a: 4 * a, other)
    whole = _named(case.layer.backward(params, cache, _minus(*mixed)))
    first, second = (_named(case.layer.backward(params, cache, d)) for d in (dy, other))
    for name, g in whole.items():
        if g is not None:
            a, b = first[name], second[name]
            assert a is not None
            assert b is not None
            room = largest(a) * 2 + largest(b) * 4 + _uncancelled(case, params, cache, dy, name)
            with np.errstate(invalid="ignore"):  # ∞ − ∞, as of a logarithm of 0
                error = distance(g, 2 * a - 4 * b)
            assert error <= FACTOR * 8 * EPS[case.dtype] * room, f"{case}: backward is not linear in dy: {name}"


def _uncancelled(case: Case, params: Any, cache: Any, dy: Any, name: Name) -> float:
    """The largest entry of the gradient under upstream gradients of random signs: its size before terms cancel."""
    rng = np.random.default_rng(2)
    found = 0.0
    for _ in range(4):
        signed = tree_map(lambda a: 6 * np.abs(a).max(initial=1) * rng.choice([-1.0, 1.0], np.shape(a)), dy)
        found = max(found, largest(_named(case.layer.backward(params, cache, cast(signed, np.longdouble)))[name]))
    return found + 6 * max((largest(np.asarray(d)) for d in leaves(dy, "").values() if d is not None), default=0.0)


def check_pure(case: Case) -> None:
    """Read-only arguments are enough, a second forward or backward gives the same, and nothing given is changed."""
    params, x, dy = (tree_map(_read_only, tree) for tree in case.data())
    y, cache = _forward(case, params, x)
    first = _copy(_named(case.layer.backward(params, cache, dy)))
    _same(case, first, _named(case.layer.backward(params, cache, dy)), "a second backward differs")
    again, _ = _forward(case, params, x)
    _same(case, leaves(y, "y"), leaves(again, "y"), "a second forward differs")
    other = replace(case, seed=case.seed + 1)
    _forward(other, *other.data()[:2])
    _same(case, first, _named(case.layer.backward(params, cache, dy)), "a forward on other data changes backward")


def check_gradients_alone(case: Case) -> None:
    """Those by the parameters alone, without dx, are those that backward gives, bit for bit."""
    params, x, dy = case.data()
    _, cache = _forward(case, params, x)
    both, alone = case.layer.backward(params, cache, dy)[1], case.layer.gradients(params, cache, dy)
    _same(case, flatten(both), flatten(alone), "gradients without dx differ from backward's")


def check_layouts(case: Case) -> None:
    """Fortran order and strides change nothing but the order of sums."""
    params, x, dy = case.data()
    told = by_hand(case.layer, params, x, dy, case.seed)
    for layout in (_fortran, _strided):
        other = by_hand(case.layer, *(tree_map(layout, tree) for tree in (params, x, dy)), case.seed)
        for name, a in told.items():
            if a is not None:
                b = other[name]
                room = 64 * EPS[case.dtype] * max(1.0, *(largest(v) for v in told.values() if v is not None)) * 16
                assert b is not None and distance(a, b) <= room, f"{case}: {name} depends on the layout in memory"  # noqa: PT018


def check_dtype_kept(case: Case) -> None:
    """float32 in, float32 out: outputs, gradients and buffers; longdouble likewise."""
    for dtype in (np.float32, np.longdouble):
        data = (cast(tree, dtype) for tree in case.data())
        with np.errstate(all="ignore"):
            found = by_hand(case.layer, *data, case.seed)
        wrong = {n: a.dtype for n, a in found.items() if a is not None and a.dtype.kind == "f" and a.dtype != dtype}
        assert not wrong, f"{case}: {np.dtype(dtype)} in, but {wrong}"


def check_shapes(case: Case) -> None:
    """dx mirrors x, the gradients mirror the parameters but for the buffers, and every real array has one."""
    params, x, dy = case.data()
    _, cache = _forward(case, params, x)
    dx, grads = case.layer.backward(params, cache, dy)
    for told, found, wanted in (
        ("dx", leaves(dx, "x"), leaves(x, "x")),
        ("dp", flatten(grads), {n: p for n, p in flatten(params).items() if n not in case.layer.buffer_names()}),
    ):
        assert found.keys() == wanted.keys(), f"{case}: {told} has {[*found]}, and there are {[*wanted]}"
        for name, a in wanted.items():
            kind, shape = getattr(a, "dtype", np.dtype(object)).kind, np.shape(found[name])
            assert found[name] is not None or kind != "f", f"{case}: {name} has no gradient"
            assert found[name] is None or shape == np.shape(a), f"{case}: the gradient of {name} has shape {shape}"


def check_repr(case: Case) -> None:
    """The printed form rebuilds the value, and equal values have equal hashes."""
    known = names() | {type(case.layer).__name__: type(case.layer)}
    again = eval(repr(case.layer), {"__builtins__": {}}, known)
    assert again == case.layer
    assert hash(again) == hash(case.layer)


def check_eval(case: Case) -> None:
    """eval() is idempotent, train() undoes it, and in evaluation nothing is drawn and no statistics move."""
    calm = case.layer.eval()
    assert calm.eval() == calm
    assert calm.train() == case.layer.train()
    assert not [part for part in record.walk(calm) if part.random and hasattr(part, "training")]  # others have no mode
    params, x, _ = case.data()
    _, cache = run(calm, params, x, np.random.default_rng(case.seed) if calm.random else None)
    _same(case, flatten(params), flatten(calm.track(params, cache)), "evaluation moves statistics")


def check_twin_returns(case: Case) -> None:
    """from_torch(to_torch(layer)) computes what the layer does, with parameters of the same names and values."""
    params, x, dy = case.data()
    layer, read = from_torch(to_torch(case.layer, params, case.dtype))
    call = {k: v for k, v in vars(case.layer).items() if type(layer) is type(case.layer) and k in CALL_OPTIONS}
    _same(case, flatten(params), flatten(read), "parameters come back changed")
    told, other = (by_hand(each, params, x, dy, case.seed) for each in (case.layer, layer.replace(**call)))
    _same(case, told, other, f"comes back as {layer}")


ALL = [*HealthCheck]

LAWS: tuple[Callable[[Case], None], ...] = (
    check_equals_torch, check_equals_differences, check_linear_in_dy, check_pure, check_layouts, check_dtype_kept,
    check_shapes, check_repr, check_eval, check_twin_returns, check_gradients_alone,
)  # fmt: skip
OF_TORCH = (check_equals_torch, check_twin_returns)  # laws that need a class of the same name in torch.nn


def check_laws(cls: type[Layer], examples: int = 50, laws: Any = None) -> None:
    """Every law on random examples of a class. AssertionError, with the smallest failing example, if one is broken."""
    known = cls.__module__.startswith("manualbp.")
    for law in laws or (LAWS if known else [law for law in LAWS if law not in OF_TORCH]):
        on_examples(cls, law, examples)


def on_examples(cls: type[Layer], law: Callable[[Case], None], examples: int = 50, dtype: str = "float64") -> None:
    """One law on random examples of a class, shrunk where it fails."""

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=ALL)
    @given(cases(cls, dtype=dtype))
    def every(case: Case) -> None:
        with np.errstate(all="ignore"):  # what overflows in an example is no fault
            law(case)

    every()


def _forward(case: Case, params: Any, x: Any) -> tuple[Any, tuple]:
    return run(case.layer, params, x, np.random.default_rng(case.seed))


def _named(pair: tuple[Any, Any]) -> Run:
    dx, grads = pair
    return named(GRADIENT, leaves(dx, "x") | flatten(grads))


def _minus(a: Any, b: Any) -> Any:
    if isinstance(a, tuple):
        return tuple(map(_minus, a, b))
    return None if a is None else np.asarray(a - b, dtype=a.dtype)


def _copy(run: Run) -> Run:
    return {name: None if a is None else np.array(a) for name, a in run.items()}


def _read_only(a: Any) -> Any:
    a = np.array(a)
    a.setflags(write=False)
    return a


def _fortran(a: Any) -> Any:
    return np.asarray(a, order="F")


def _strided(a: Any) -> Any:
    """The same numbers as every second entry of a larger array."""
    a = np.asarray(a)
    return np.stack([a, a], -1)[..., 0]


def _same(case: Case, a: Any, b: Any, told: str) -> None:
    assert a.keys() == b.keys(), f"{case}: {told}: {a.keys()} and {b.keys()}"
    for name in a:
        assert np.array_equal(*map(np.asarray, (a[name], b[name])), equal_nan=np.asarray(a[name]).dtype.kind == "f"), (
            f"{case}: {told}: {name}"
        )


def _main(arguments: list[str]) -> int:
    """`python -m reference.laws NAME …`: the laws, a line each."""
    failed = 0
    for name in arguments or registry():
        for law in LAWS:
            try:
                on_examples(registry()[name], law, 100)
                if law is check_equals_torch:
                    on_examples(registry()[name], law, 50, "float32")
            except BaseException as e:
                failed += 1
                print(f"FAILED {name} {law.__name__}: {type(e).__name__}: {str(e)[:1500]}")
        print(f"{name}: done")
    return failed > 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
