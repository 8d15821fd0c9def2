"""A solution judged by hand-written layers alone, where torch is not installed.

What is meant is a layer of manualbp, or a formula differentiated by the complex step. A mistake is named as it is where
torch stands beside: by the relation of the wrong numbers to the right ones, or because a mistake of the catalogue, made
in that layer, gives the very numbers of the solution.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from manualbp.base import Array, Layer, flatten, tree_map

from ..compare.bound import distance, largest, measured
from ..diagnose.diagnosis import diagnose, of_side
from ..diagnose.evidence import Evidence
from ..diagnose.features.replay import WHOLE
from ..draw.specs import Indices
from ..draw.trial import Trial, cast, numbers
from ..faults import KNOWN, Fault, corrupt
from ..sides.record import walk
from .judgement import CONVENTION, RIGHT, WRONG, Judgement, Mistake
from .judging import RIGHT_SLOPE, SURE, apart, trials
from .shapes import likely, of_gradient

OF_SEVERAL = ("B17",)  # mistakes that one layer by itself cannot have
PIECES = 4  # of evidence for each array, each from a trial of other sizes
TINY = 1e-30  # the complex step: no difference is taken, so nothing cancels
Numbers = dict[str, Array]


@dataclass(frozen=True)
class Off:
    """A number that is not as it should be, on one trial."""

    trial: Trial
    yours: Numbers
    right: Numbers
    wrong: dict[str, float]  # how far rounding can take each of these apart
    layer: Layer | None


def judged(name: str, given: Mapping[str, Any]) -> Judgement:
    """The judgement of one check of an exercise."""
    if "step" in given:
        return of_step(given)
    check = as_pair(given) if "df" in given else given
    tried = trials(check["inputs"])
    off, said = [found for trial in tried if (found := compared(check, trial))], written(check, tried[0])
    if not off:
        return Judgement(WRONG, "contract", said=said) if said else Judgement(RIGHT)
    outcome = CONVENTION if all(o.trial.integers for o in off) else WRONG
    names = {n for o in off for n in o.wrong}
    forward, back = any(n[0] == "y" for n in names), any(n[0] == "d" for n in names)
    side = None if outcome == CONVENTION else "both" if forward and back else "output" if forward else "backward"
    found = of_side(diagnose(few([e for i, o in enumerate(off) for e in evidence(check, o, i)])), side)
    named = tuple(Mistake(s.fault, s.text.split(RIGHT_SLOPE)[0], s.relation) for s in found if s.score >= SURE)
    return Judgement(outcome, side, where(off[0]), (named or of_shape(off[0]))[:1], said)


def written(check: Mapping[str, Any], trial: Trial) -> tuple[str, ...]:
    """What the solution writes into that is not its own, in a sentence."""
    inputs = {n: np.array(a) for n, a in trial.arrays.items()}
    with np.errstate(all="ignore"):
        y, cache = check["forward"](*inputs.values())
        if changed := next((n for n, a in trial.arrays.items() if not np.array_equal(a, inputs[n])), None):
            return (f"forward changes its input {changed} in place",)
        dy = upstream(y, trial.seed)
        kept = [np.array(d) for d in leaves(dy)]
        check["backward"](dy, cache)
    if not all(np.array_equal(a, b) for a, b in zip(kept, leaves(dy))):
        return ("backward changes dy in place: who called it still needs it",)
    changed = next((n for n, a in trial.arrays.items() if not np.array_equal(a, inputs[n])), None)
    return (f"backward changes the input {changed} in place",) if changed else ()


def as_pair(given: Mapping[str, Any]) -> dict[str, Any]:
    """f and df as a forward and a backward."""
    f, df, layer = given["f"], given["df"], given.get("layer")
    meant = {"truth": given["truth"]} if layer is None else {"layer": lambda x: (layer, {}, x)}
    return {
        "forward": lambda x: (f(x), x), "backward": lambda dy, x: dy * df(x), "inputs": {"x": ("N", "D")},
    } | meant  # fmt: skip


def compared(check: Mapping[str, Any], trial: Trial) -> Off | None:
    """Both sides on one trial; None where they agree."""
    runs = {d: meant(check, cast(trial.arrays, d), trial.seed) for d in ("float32", "float64", "longdouble")}
    (right, layer), yours = runs["float64"], of_solution(check, trial)
    wrong = {}
    for name, r in right.items():
        h32, h80 = runs["float32"][0][name], runs["longdouble"][0][name]
        bound = measured(largest(r), "float64", h32, r, h80, h32, r)
        g = yours.get(name)
        if g is None or g.shape != r.shape or lost(g, r) or not distance(g, r) <= bound:
            wrong[name] = bound
    return Off(trial, yours, right, wrong, layer) if wrong else None


def lost(g: Array, r: Array) -> bool:
    """Is an entry infinite or NaN that should be a number? No distance tells."""
    return bool((np.isfinite(r) & ~np.isfinite(g)).any())


def upstream(y: Any, seed: int) -> Any:
    """Random numbers of the output's shape: ones would hide that they are not used, and those from which the inputs
    were drawn that they are mixed up."""
    rng = np.random.default_rng((seed, 1))
    return tree_map(lambda a: np.asarray(rng.standard_normal(np.shape(a))).astype(np.asarray(a).dtype), y)


def meant(
    check: Mapping[str, Any], arrays: Mapping[str, Any], seed: int, layer: Layer | None = None
) -> tuple[Numbers, Layer | None]:
    """Outputs and gradients as they should be, and the layer that they are of; with another layer in its place, its."""
    if "layer" not in check:
        return by_complex_step(check["truth"], arrays, seed), None
    own, params, x = check["layer"](*arrays.values())
    used: Any = layer or own
    y, cache = used.forward(params, x)
    dx, grads = used.backward(params, cache, upstream(y, seed))
    pairs = [*zip(leaves(x), leaves(dx)), *((a, flatten(grads).get(n)) for n, a in flatten(params).items())]
    found = {f"d{n}": np.asarray(g) for n, a in arrays.items() for b, g in pairs if b is a and g is not None}
    return of_output(y) | found, used


def by_complex_step(truth: Any, arrays: Mapping[str, Any], seed: int) -> Numbers:
    """∂(Σ dy y)/∂x, one entry of x after the other."""
    y = truth(*arrays.values())
    dy, found = upstream(y, seed), {}
    for name, a in arrays.items():
        if a.dtype.kind != "f":
            continue
        g = np.zeros_like(a)
        for place in np.ndindex(a.shape):
            moved = a.astype(np.result_type(a, np.complex64))
            moved[place] += 1j * TINY
            g[place] = (dy * truth(*(arrays | {name: moved}).values()).imag).sum() / TINY
        found[f"d{name}"] = g
    return of_output(y) | found


def of_solution(check: Mapping[str, Any], trial: Trial) -> Numbers:
    """What the learner's functions give."""
    with np.errstate(all="ignore"):
        y, cache = check["forward"](*(np.array(a) for a in trial.arrays.values()))
        grads = check["backward"](upstream(y, trial.seed), cache)
    real = [n for n, spec in check["inputs"].items() if not isinstance(spec, Indices)]
    each = grads if isinstance(grads, (tuple, list)) else (grads,)
    order = real if len(each) == len(real) else list(check["inputs"])
    pairs = grads.items() if isinstance(grads, Mapping) else zip(order, each)
    return of_output(y) | {f"d{n}": np.asarray(g, float) for n, g in pairs if n in real}


def of_output(y: Any) -> Numbers:
    each = leaves(y)
    return {"y" if len(each) == 1 else f"y[{i}]": np.asarray(a) for i, a in enumerate(each)}


def leaves(tree: Any) -> list[Any]:
    return [leaf for part in tree for leaf in leaves(part)] if isinstance(tree, tuple) else [tree]


def evidence(check: Mapping[str, Any], off: Off, number: int) -> Iterator[Evidence]:
    """What is known of every wrong array of a trial."""
    y = {n: a for n, a in off.right.items() if n[0] == "y"}
    dy = leaves(upstream(tuple(y.values()), off.trial.seed) if len(y) > 1 else upstream(off.right["y"], off.trial.seed))
    known = {n: np.asarray(a) for n, a in off.trial.arrays.items()} | y
    known |= {n.replace("y", "dy", 1): np.asarray(d) for n, d in zip(y, dy)}
    right, yours = ({n[1:]: a for n, a in found.items() if n[0] == "d"} for found in (off.right, off.yours))
    made = cache(partial(mistaken, check, off))
    for name, bound in off.wrong.items():
        forward, given = name[0] == "y", off.yours.get(name, np.zeros(0))
        yield Evidence(name if forward else name[1:], given, off.right[name], bound, known, right, yours,
                       numbers(off.trial), partial(of_name, made, name), forward, number)  # fmt: skip


def few(found: list[Evidence]) -> list[Evidence]:
    """The first pieces of every array: more trials make a name no surer."""
    return [e for i, e in enumerate(found) if sum(e.name == other.name for other in found[:i]) < PIECES]


def mistaken(check: Mapping[str, Any], off: Off) -> dict[str, Numbers]:
    """What every mistake that can be made in the layer gives on this trial."""
    classes = {c.__name__ for layer in walk(off.layer) for c in type(layer).__mro__} if off.layer else set()
    alone = off.layer is not None and not off.layer.inside()
    return {
        fault.id: found for fault in KNOWN.values()
        if classes & set(fault.of) and not (alone and fault.id in OF_SEVERAL)
        and (found := with_mistake(check, off, fault)) is not None and not refuted(fault.id, found, off)
    }  # fmt: skip


def refuted(id: str, found: Numbers, off: Off) -> bool:
    """Would the mistake, of which all gradients are one, make some wrong that are right?"""
    return id in WHOLE and any(
        n[0] == "d" and n not in off.wrong and not alike(g, off.right[n]) for n, g in found.items()
    )


def with_mistake(check: Mapping[str, Any], off: Off, fault: Fault) -> Numbers | None:
    """The numbers with this mistake in the layer; on copies, as some write in place."""
    assert off.layer is not None
    copies = {n: np.array(a) for n, a in off.trial.arrays.items()}
    try:
        with np.errstate(all="ignore"):
            return meant(check, copies, off.trial.seed, corrupt(off.layer, fault))[0]
    except Exception:  # a mistake may make shapes that fit nowhere
        return None


def of_name(made: Callable[[], dict[str, Numbers]], name: str) -> dict[str, Array]:
    return {id: found[name] for id, found in made().items() if name in found}


def alike(a: Array | None, b: Array | None) -> bool:
    return a is not None and b is not None and a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-9, atol=1e-12))


def where(off: Off) -> str:
    """The first wrong array, and its worst entry."""
    name = next(iter(off.wrong))
    yours, right = off.yours.get(name), off.right[name]
    if yours is None:
        return f"{name} is missing, wanted is the shape {right.shape} ({off.trial})"
    if yours.shape != right.shape:
        return of_gradient(name, yours.shape, right.shape, str(off.trial))
    place = np.unravel_index(np.argmax(np.abs(np.nan_to_num(yours - right, nan=np.inf))), right.shape)
    index = f"[{', '.join(map(str, map(int, place)))}]" if place else ""
    given, wanted = apart(yours[place], right[place])
    return f"{name}{index}: yours {given}, right {wanted} ({off.trial})"


def of_shape(off: Off) -> tuple[Mistake, ...]:
    """What a wrong shape comes from, probably."""
    name = next(iter(off.wrong))
    yours = off.yours.get(name)
    told = None if yours is None else likely(name, yours.shape, off.right[name].shape)
    return (Mistake(None, told),) if told else ()


def of_step(given: Mapping[str, Any], steps: int = 6) -> Judgement:
    """An update rule beside an optimizer of manualbp, in lock-step on the same gradients."""
    rng, optimizer = np.random.default_rng(0), given["optimizer"]
    start = rng.standard_normal(5)
    grads = [rng.standard_normal(5) for _ in range(steps)]
    right, yours = course(optimizer, start, grads), own_course(given["step"], start, grads)
    k = next((k for k in range(steps) if not alike(yours[k], right[k])), None)
    if k is None:
        return Judgement(RIGHT)
    named = [
        Mistake(f.id, f.text, f.relation) for f in KNOWN.values()
        if f.applies(type(optimizer)) and same_course(course(corrupt(optimizer, f), start, grads), yours)
    ]  # fmt: skip
    shown = f"p after step {k + 1}: yours {yours[k]}, right {right[k]}"
    return Judgement(WRONG, None, shown, tuple(named[:1]))


def course(optimizer: Any, p: Array, grads: list[Array]) -> list[Array]:
    """The parameter after every step, by hand."""
    params, history = {"p": p}, []
    state = optimizer.init(params)
    try:
        with np.errstate(all="ignore"):
            for g in grads:
                params, state = optimizer.step(params, {"p": g}, state)
                history.append(params["p"])
    except Exception:  # a mistake may divide by zero
        return []
    return history


def own_course(step: Any, p: Array, grads: list[Array]) -> list[Array]:
    """The parameter after every step of the solution."""
    state, history = None, []
    for g in grads:
        p, state = step(np.array(p), np.array(g), state)
        history.append(np.array(p, float))
    return history


def same_course(a: list[Array], b: list[Array]) -> bool:
    return len(a) == len(b) and all(map(alike, a, b))
