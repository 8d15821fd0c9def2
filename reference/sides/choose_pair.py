"""Which form a forward and a backward are written in, found by running them: the first that runs and fits."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch

from .forms import CACHE, OF_INPUT, RATE, UPSTREAM, CallForm, forms, taken
from .given import GivenCode
from .gradients import leaves_of, plain
from .pair import Pair, tensors_of
from .raised import RefusedError
from .subject import Subject
from .tried import BUGS, copies, fails_on, ran, tried


def pair_of(
    given: GivenCode, call: Callable, arrays: Mapping[str, Any], outputs: int | None, draws: list[dict[str, Any]]
) -> Subject:
    """The first form in which both run and give gradients of the inputs' shapes; else one whose gradients have other
    shapes, if it runs on all that is drawn first. One that runs on some of it alone is read by accident."""
    assert given.backward is not None
    if not callable(given.backward):
        raise ValueError(f"backward is to be a function, as backward(dy, cache); it is {given.backward!r}")
    errors: list[RefusedError] = []
    misfits: list[Pair] = []
    for subject in _read(given, call, arrays, outputs, errors):
        fits = ran(subject, arrays)
        if fits is True:
            return subject
        if fits is False:
            misfits.append(subject)
        elif isinstance(fits, BUGS):
            raise RefusedError("backward", fits) from fits
        else:
            errors.append(RefusedError("backward", fits, _as_called(given, subject.form)))
    for subject in misfits:
        if (error := fails_on(subject, draws)) is None:
            return subject
        errors.append(RefusedError("backward", error, _as_called(given, subject.form)))
    raise _first(errors, given)


def _read(
    given: GivenCode, call: Callable, arrays: Mapping[str, Any], outputs: int | None, errors: list[RefusedError]
) -> Iterator[Pair]:
    """The two in every form that they may be written in, of arrays and of tensors. errors: what forward raised."""
    assert given.backward is not None
    for tensors in (False, True):
        found, error = tried(call, tensors_of(copies(arrays)) if tensors else arrays, copied=not tensors)
        if error is not None:
            errors.append(RefusedError("forward", error))
            continue
        if not tensors and any(isinstance(a, torch.Tensor) for a in leaves_of(found)):
            continue
        if found is None:
            raise ValueError("forward returns None: it is to return its output, or its output and a cache")
        for form in _likely(forms(found, given.backward, given.outer, outputs), found, outputs):
            yield Pair(call, given.backward, given.names, form, tensors, given.constant, given.nested)


def _likely(every: Iterable[CallForm], found: Any, outputs: int | None) -> Iterator[CallForm]:
    """Those with as many outputs as the function intended; all, if there are none."""
    every = list(every)

    def several(form: CallForm) -> int:
        y = plain(form.parted(found)[0])
        return len(y) if isinstance(y, tuple) else 1

    yield from [form for form in every if outputs in (None, several(form))] or every


def _first(errors: list[RefusedError], given: GivenCode) -> Exception:
    """The error that says most: of the run on tensors, if arrays were refused as no tensors."""
    if not errors:
        return ValueError(_unread(given))
    first = errors[0]
    if "ensor" in str(first.error) and len(errors) > 1:
        first = errors[1]
    return first


def _as_called(given: GivenCode, form: CallForm) -> str:
    """How backward was called, where its own names do not say what they are; and which of them is one too many."""
    takes = taken(given.backward) or []
    unknown = [p for p in takes if p not in given.outer and not (CACHE.match(p) or UPSTREAM.match(p))]
    if not unknown or len(takes) < 3:
        return ""
    called = ", ".join(role.removesuffix(OF_INPUT) for role in form.roles)
    return f"backward({', '.join(takes)}) was called as backward({called}). {_taken(given)}{_surplus(takes, unknown)}"


def _taken(given: GivenCode) -> str:
    return (
        f"It takes (dy, cache), where the cache is what forward returns beside its output; or "
        f"(dy, {', '.join(given.outer)}); or one of both alone"
    )


def _surplus(takes: list[str], unknown: list[str]) -> str:
    """How to hand on what is neither dy, the cache nor an input."""
    surplus = unknown if any(map(CACHE.match, takes)) else [p for p in unknown if RATE.match(p)]
    if not surplus:
        return ""
    kept = [p for p in takes if p not in surplus]
    behind = takes.index(kept[-1]) if kept else -1
    given = (p if p in kept else f"{p}=…" if i > behind else "…" for i, p in enumerate(takes))
    one, value = ("is", "its value") if len(surplus) == 1 else ("are", "their values")
    call = f"lambda {', '.join(kept)}: backward({', '.join(given)})"
    return f"; {' and '.join(surplus)} {one} none of these: say {value}, {call}"


def _unread(given: GivenCode) -> str:
    takes = taken(given.backward) or ["…"]
    unknown = [p for p in takes if p not in given.outer and not (CACHE.match(p) or UPSTREAM.match(p))]
    return f"backward({', '.join(takes)}) is not understood. {_taken(given)}{_surplus(takes, unknown)}"
