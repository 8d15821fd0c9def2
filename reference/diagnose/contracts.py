"""What a forward and a backward must not do, whatever their numbers are."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from manualbp.base import Array, tree_map

from ..compare.bound import distance, largest
from ..compare.coarse import shorter
from ..compare.nudge import FACTOR, LOOKS, moved
from ..compare.tensor import near, same
from ..draw.trial import Trial, cast, corner
from ..sides.formats import UNIT
from ..sides.raised import in_words
from ..sides.run import flat
from ..sides.yours import Arrays, Subject
from .passes import AGAIN, behind, copied, grows, inputs_of, kept_of, other_inputs, upstream


@dataclass(frozen=True)
class Broken:
    """A contract that is broken, in a sentence, and the mistake of the catalogue that this is, if it is one. note: the
    numbers are right all the same, so that no verdict depends on it."""

    text: str
    fault: str | None = None
    note: bool = False


def broken_contracts(subject: Subject, trials: Sequence[Trial]) -> tuple[Broken, ...]:
    """What is not as it must be, of which there is one for each contract at most."""
    trial = next((t for t in trials if not t.integers), trials[0])
    laws = [_arguments, _second_backward, _adds_up, _needed, _stale_cache, _aliases, _reused, _dtype, _layout]
    if trial.large:
        if _runs(subject, small := corner(trial)):
            trial = small
        else:
            laws = [_arguments, _aliases]
    return tuple(told for law in laws if (told := _tried(law, subject, trial)))


def _runs(subject: Subject, trial: Trial) -> bool:
    """Does it take inputs of these sizes, too?"""
    try:
        with np.errstate(all="ignore"):
            fresh = subject.fresh()
            y, cache = fresh.forward(inputs_of(trial))
            fresh.backward(upstream(fresh, y), cache)
    except Exception:
        return False
    return True


def _tried(law: Callable[[Subject, Trial], Broken | None], subject: Subject, trial: Trial) -> Broken | None:
    try:
        with np.errstate(all="ignore"):
            return law(subject.fresh(), trial)
    except Exception as e:
        return Broken(f"an error where {law.__doc__}: {in_words(e, trial.sizes)}", note=True)


def _differ(a: Arrays, b: Arrays, room: float = 0.0) -> str | None:
    """The first gradient that is not the same twice, or farther off than `room`."""
    return next((n for n in a if a[n] is not None and not near(a[n], b.get(n), room)), None)


def _arguments(subject: Subject, trial: Trial) -> Broken | None:
    """the arguments are watched"""
    arrays = inputs_of(trial)
    y, cache = subject.forward(arrays)
    if name := _differ(dict(trial.arrays), arrays):
        return Broken(f"forward changes its input {name} in place", "C20" if same(arrays[name], y) else None)
    dy = upstream(subject, y)
    before, kept = tree_map(np.array, dy), tree_map(np.array, y)
    subject.backward(dy, cache)
    if any(not np.array_equal(a, b) for a, b in zip(flat(before), flat(dy))):
        return Broken("backward changes dy in place: who called it still needs it")
    if name := _differ(dict(trial.arrays), arrays):
        watched = ", which autograd watches over" if subject.reuses else ""
        return Broken(f"backward changes the input {name} in place{watched}", note=subject.reuses)
    pairs = [(a, b) for a, b in zip(flat(kept), flat(y)) if b is not None]
    if any(not same(a, b) for a, b in pairs):
        return Broken("backward changes the output of forward in place", note=subject.reuses)
    return None


def _second_backward(subject: Subject, trial: Trial) -> Broken | None:
    """backward is called twice"""
    if subject.accumulates:
        return None
    y, cache = subject.forward(inputs_of(trial))
    dy = upstream(subject, y)
    first = kept_of(subject.backward(copied(dy), cache))
    second = kept_of(subject.backward(copied(dy), cache))
    if not (name := _differ(first, second, _room(subject, first, trial, dy))):
        return None
    twice = dy if subject.no_upstream else tree_map(lambda a: 2 * a, dy)
    third = kept_of(subject.backward(twice, cache))
    step, factor = second[name] - first[name], 1 if subject.no_upstream else 2
    of_zero = not subject.no_upstream or np.allclose(step, first[name])
    added = of_zero and np.allclose(third[name] - second[name], factor * step)
    if added and grows(subject, dy, cache, third, step, name):
        return Broken(f"gradients are added up and never set to zero: a second backward adds to d{name}", "B08")
    return Broken(f"a second backward gives another d{name}: it draws anew, or writes over what it saved", note=True)


def _adds_up(subject: Subject, trial: Trial) -> Broken | None:
    """two backward passes are made without a zero between them"""
    if not subject.accumulates:
        return None
    found = []
    for k in range(2):
        if not k or not subject.remade:
            y, cache = subject.forward(inputs_of(trial))
        found.append(kept_of(subject.backward(upstream(subject, y), cache)))
    once, twice = found
    kept = [n for n in subject.kept or once if once.get(n) is not None and np.any(once[n])]
    same = [n for n in kept if np.array_equal(once[n], twice[n])]
    if not same or (not subject.kept and len(same) < len(kept)):
        return None
    told = ", ".join(f"d{n}" for n in same)
    return Broken(f"accumulates=True, but a second backward does not add to {told}: it writes over the first")


BUGS = (UnboundLocalError, TypeError, AttributeError, IndexError, KeyError)  # no refusals, which are notes


def _needed(subject: Subject, trial: Trial) -> Broken | None:
    """an input needs no gradient"""
    y, cache = subject.forward(inputs_of(trial))
    dy = upstream(subject, y)
    grads = kept_of(subject.backward(copied(dy), cache))
    named = [n for n in subject.names if grads.get(n) is not None]
    for name in named if len(named) > 1 else ():
        frozen = subject.without(name)
        if frozen is None:
            return None
        try:
            _, cache = frozen.forward(inputs_of(trial))
            found = frozen.backward(copied(dy), cache)
        except Exception as e:
            told = f"where {name} needs no gradient (needs_input_grad) it raises {in_words(e, trial.sizes)}"
            return Broken(told, note=not isinstance(e, BUGS))
        room = _room(frozen, grads, trial, dy)
        for n in named:
            if n == name:
                continue
            off = np.inf if found.get(n) is None else distance(grads[n], np.asarray(found[n]))
            if not off <= room and not off <= _noise(subject, trial, dy, n, grads[n]):
                return Broken(f"where {name} needs no gradient (needs_input_grad), d{n} is another, or none")
    return None


def _stale_cache(subject: Subject, trial: Trial) -> Broken | None:
    """forward runs on other data before"""
    other = other_inputs(trial)
    y, cache = subject.forward(inputs_of(trial))
    dy = upstream(subject, y)
    right = kept_of(subject.backward(copied(dy), cache))
    if not subject.stateful:
        room = _room(subject, right, trial, dy)
        y, cache = subject.forward(inputs_of(trial))
        again = kept_of(subject.backward(copied(dy), cache))
        if name := _differ(right, again, room):
            return Broken(_VARIES.format(name))
        changed = behind(subject, trial, other, dy)
        if name := _differ(right, changed, room):
            for _ in range(AGAIN):
                same = behind(subject, trial, inputs_of(trial), dy), behind(subject, trial, other, dy)
                if varies := _differ(right, same[0], room) or _differ(changed, same[1], room):
                    return Broken(_VARIES.format(varies))
            told = f"d{name} changes if forward runs on other data before backward: it is not all in the cache"
            return Broken(told, "B10", note=subject.keeps)
        name = _differ(right, again)
        return Broken(_IN_ANOTHER_ORDER.format(name), note=True) if name else None
    if subject.accumulates:
        return None
    other = {n: inputs_of(trial)[n] if subject.remade and n in subject.kept else a for n, a in other.items()}
    if subject.remade and _differ(right, _after(subject, inputs_of(trial), trial, dy)):
        return None  # it adds up, or moves its parameters
    if name := _differ(right, _after(subject, other, trial, dy)):
        return Broken(f"after another forward and backward d{name} is another: something is left of the last")
    return None


_VARIES = (
    "d{} is another in a second pass on the same numbers: backward draws random numbers, or something is left of the "
    "last pass"
)
_IN_ANOTHER_ORDER = (
    "d{} differs by rounding from pass to pass: its sums are made in another order every time, as by atomic additions"
)


def _after(subject: Subject, other: Arrays, trial: Trial, dy: Any) -> Arrays:
    """The gradients after the same object has gone forward and back on other inputs."""
    used = subject.fresh()
    used.backward(copied(dy), used.forward(other)[1])
    used.innermost().goes_on = True
    return kept_of(used.backward(copied(dy), used.forward(inputs_of(trial))[1]))


def _aliases(subject: Subject, trial: Trial) -> Broken | None:
    """the memory of the gradients is looked at"""
    arrays = inputs_of(trial)
    y, cache = subject.forward(arrays)
    grads = {n: g for n, g in subject.backward(upstream(subject, y), cache).items() if isinstance(g, np.ndarray)}
    names = list(grads)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            if np.shares_memory(grads[a], grads[b]) and not np.array_equal(grads[a], grads[b]):
                return Broken(f"d{a} and d{b} share memory: to change one changes the other", note=True)
        for b, x in arrays.items():
            if np.shares_memory(grads[a], x):
                told = f"d{a} shares memory with the input {b}: an update in place would change it"
                return Broken(told, note=True)
    return None


def _reused(subject: Subject, trial: Trial) -> Broken | None:
    """another call is made after one"""
    if subject.stateful:  # the gradients that an object keeps in itself are its own
        y, _ = subject.forward(inputs_of(trial))
        kept = tree_map(np.array, y)
        subject.forward(other_inputs(trial))
        if all(same(a, b) for a, b in zip(flat(kept), flat(y)) if b is not None):
            return None
        return Broken("the next forward writes over the output of the last: its memory is used again", note=True)
    y, cache = subject.forward(inputs_of(trial))
    dy = upstream(subject, y)
    first = dict(subject.backward(copied(dy), cache))
    before, kept = kept_of(first), tree_map(np.array, y)
    _, cache = subject.forward(inputs_of(trial))
    subject.backward(tree_map(lambda a: -2 * a, dy) if not subject.no_upstream else dy, cache)
    if name := _differ(before, first):
        return Broken(f"the next backward writes over d{name} of the last: state shares its memory with a gradient")
    if any(not same(a, b) for a, b in zip(flat(kept), flat(y)) if b is not None):
        return Broken("the next forward writes over the output of the last: state shares its memory with y")
    return None


def _dtype(subject: Subject, trial: Trial) -> Broken | None:
    """float32 goes in"""
    if subject.format is not None or not trial.real:
        return None
    arrays = cast(inputs_of(trial), np.float32)
    y, cache = subject.forward(arrays)
    grads = subject.backward(cast(upstream(subject, y), np.float32), cache)
    for n, g in grads.items():
        if isinstance(g, np.ndarray) and g.dtype.kind == "f" and g.dtype != np.float32 and n in trial.arrays:
            return Broken(f"float32 goes in, but d{n} comes out as {g.dtype}", note=True)
    return None


SUMMED = 16.0  # last places that a sum in another order may be off, in a format of few bits
LAYOUTS = {
    "transposed in memory (Fortran order)": lambda a: np.array(a, order="F"),
    "strided, as every second entry of an array is": lambda a: np.repeat(a[..., None], 2, -1)[..., 0],
}


def _layout(subject: Subject, trial: Trial) -> Broken | None:
    """memory is laid out otherwise"""
    y, cache = subject.forward(inputs_of(trial))
    dy = upstream(subject, y)
    right, refused = kept_of(subject.backward(copied(dy), cache)), None
    rooms = {n: _room(subject, {n: g}, trial, dy) for n, g in right.items()}
    constant = tree_map(lambda a: np.full(np.shape(a), 0.75), dy)
    again = subject.fresh()
    _, cache = again.forward(inputs_of(trial))
    of_constant = right if subject.no_upstream else kept_of(again.backward(copied(constant), cache))
    for told, arrays, laid, wanted in _laid_out(subject, trial, dy, constant, right, of_constant):
        try:
            again = subject.fresh()
            z, cache = again.forward(arrays)
            found = again.backward(laid, cache)
        except Exception as e:
            refused = refused or Broken(f"{told} is refused: {in_words(e, trial.sizes)}", note=True)
            continue
        pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(flat(y), flat(z))]
        off = [(a, b) for a, b in pairs if not near(a, b, _of_output(subject, a, trial))]
        if off and max(distance(a, b) for a, b in off) > _noise_of_output(subject, trial, y):
            return Broken(f"y is another for {told}")
        for n, g in wanted.items():
            off = 0.0 if g is None else distance(g, np.asarray(found[n]))
            if g is not None and off > rooms[n] and off > _noise(subject, trial, laid, n, g):
                return Broken(f"d{n} is another for {told}")
    return refused


def _laid_out(
    subject: Subject, trial: Trial, dy: Any, constant: Any, right: Arrays, of_constant: Arrays
) -> Iterator[tuple[str, Arrays, Any, Arrays]]:
    """The same numbers, inputs or dy laid out otherwise: in words, inputs, dy, and the gradients that must come out."""
    for told, laid in LAYOUTS.items():
        if not subject.random:  # numbers that are drawn like x are drawn in the order of its memory
            arrays = {n: laid(a) for n, a in inputs_of(trial).items()}
            yield f"an input that is {told}", arrays, copied(dy), right
        if not subject.no_upstream:
            yield f"a dy that is {told}", inputs_of(trial), tree_map(laid, dy), right
    if not subject.no_upstream:
        told = "a dy that is one number broadcast (stride 0), as after y.sum()"
        yield told, inputs_of(trial), tree_map(_broadcast, constant), of_constant


def _broadcast(a: Any) -> Any:
    """The first number, in the shape of a, without memory of its own for the others."""
    return as_strided(np.array(a.flat[:1]), a.shape, (0,) * a.ndim) if np.size(a) else a


def _largest(right: Arrays, dy: Any) -> float:
    return max((largest(np.asarray(a)) for a in (*right.values(), *flat(dy)) if a is not None), default=0.0)


def _room(subject: Subject, right: Arrays, trial: Trial, dy: Any) -> float:
    """Strides change the order of sums, nothing else: 2¹⁰ ε of the largest number about, and less of a shorter format,
    where that is the subject's own, or all its gradients are of it inside."""
    grads = [g for g in right.values() if g is not None and g.dtype.kind == "f" and g.any()]
    if (format := subject.format or (shorter(grads, trial.real) if grads else None)) is not None:
        return SUMMED * UNIT[format] * _largest(right, dy)
    about = [a for a in [*right.values(), *inputs_of(trial).values(), *flat(dy)] if a is not None]
    eps = max((np.finfo(a.dtype).eps for a in about if a.dtype.kind == "f"), default=0.0)
    return 2.0**10 * eps * max(1.0, *(largest(a) for a in about if a.dtype.kind == "f"))


def _of_output(subject: Subject, y: Any, trial: Trial) -> float:
    """The same of an output, whose conditioning is not known: half of the digits."""
    y = np.asarray(y)
    if y.dtype.kind != "f":
        return 0.0
    eps = UNIT[subject.format] if subject.format else float(max(np.finfo(a.dtype).eps for a in (y, *trial.real)))
    short = UNIT["float32"] if shorter([y], trial.real) else 0.0
    return max(SUMMED * max(eps, short), eps**0.5) * max(1.0, largest(y))


def _noise_of_output(subject: Subject, trial: Trial, y: Any) -> float:
    """How far y moves when the inputs do by their last bits."""
    moves = [0.0]
    for _, z, _ in _moved_passes(subject, trial):
        moves += [distance(np.asarray(a), np.asarray(b)) for a, b in zip(flat(y), flat(z)) if b is not None]
    return FACTOR * max(moves)


def _moved_passes(subject: Subject, trial: Trial) -> Iterator[tuple[Subject, Any, Any]]:
    """Forward passes on inputs moved by their last bits: who made it, its output, its cache."""
    rng = np.random.default_rng(trial.seed)
    for _ in range(LOOKS):
        again = subject.fresh()
        yield again, *again.forward({n: moved(rng, a) for n, a in inputs_of(trial).items()})


def _noise(subject: Subject, trial: Trial, dy: Any, name: str, right: Array) -> float:
    """How far a gradient moves when the inputs do by their last bits: what an ill-conditioned function makes of sums in
    another order may be more than the room."""
    plain = tree_map(lambda a: np.array(a, order="C"), dy)  # in the layout that `right` is of
    passes = _moved_passes(subject, trial)
    return FACTOR * max(distance(right, np.asarray(s.backward(copied(plain), c)[name])) for s, _, c in passes)
