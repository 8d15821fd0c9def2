"""Update rules as people write them, each as something that begins with parameters and is given gradients step by step.

step(p, g, state) -> p, state        a function of one array; (p, g) -> p; in place, with nothing returned
step(params, grads, state)           a function of lists or dicts of arrays
Rule(lr=0.1).update(params, grads)   an object or a class: all arrays, or an object for each, see `rule_objects`
Rule(params, lr=0.1).step(grads)     the same with parameters of its own; step() where .grads or p.grad are set
update(params), update_params(layer) parameters that carry their gradients, or layers that do
init(p), update(g, state, p)         what is to be added, and the state
class Rule(torch.optim.Optimizer)    see `rule_torch`;  any of these may be made by a function of none or of params
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..draw.steps import Flat
from .arguments import POSITIONAL, parameters
from .raised import in_words, line_of

PLURAL = ("params", "parameters", "weights", "ps", "grads", "gradients", "variables")
APART = (
    "Every array has a state of its own here; if the rule keeps one elsewhere, all arrays share it: return it, or give "
    "a function that makes the rule, check_optimizer(lambda: make_rule(…), against=…)"
)
BUILT_IN = ("builtins", "numpy")
FORMS = (
    "step(p, g, state) -> p, state (None at first);  an object with update(params, grads) or step(grads);  "
    "a torch.optim.Optimizer class"
)


Shapes = dict[tuple[int, ...], tuple[int, ...]]


class Running:
    """A rule on its way: `step` with the next gradients, `read` the parameters, `write` others in their place."""

    def step(self, grads: Mapping[str, Any], rate: float = 1.0) -> None:
        raise NotImplementedError

    def read(self) -> Flat:
        raise NotImplementedError

    def write(self, params: Flat) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Rule:
    """A rule that can be begun with any parameters, as often as one likes; `form` says how it is called."""

    begin: Callable[[Flat], Running]
    form: str
    torch: bool = False


class KeptArrays(Running):
    """Parameters that are kept here, as arrays by name. reshaped: shapes that became others."""

    def __init__(self, params: Flat) -> None:
        self.params = {n: np.array(p) for n, p in params.items()}
        self.reshaped: Shapes = {}

    def read(self) -> Flat:
        return {n: np.array(p) for n, p in self.params.items()}

    def write(self, params: Flat) -> None:
        for n, p in params.items():
            self.params[n] = np.array(p)

    def take(self, name: str, p: Any) -> None:
        """A new value, which is to be an array of the same shape: one of as many entries is taken, and remembered."""
        kept = self.params[name]
        p = kept if p is None else np.asarray(p.detach().numpy() if isinstance(p, torch.Tensor) else p)
        if p.shape != kept.shape and p.size == kept.size and p.dtype.kind in "fiu":
            self.reshaped[kept.shape] = p.shape
            p = p.reshape(kept.shape)
        if p.shape != kept.shape or p.dtype.kind not in "fiu":
            raise ValueError(f"a parameter of shape {kept.shape} became {p.dtype} of shape {p.shape}")
        self.params[name] = p if p.dtype == kept.dtype else p.astype(kept.dtype)


class OneByOne(KeptArrays):
    """A function of one array, with a state of its own for each."""

    def __init__(self, call: Callable, first: Callable[[], Any], params: Flat) -> None:
        super().__init__(params)
        self.call, self.state = call, {n: first() for n in params}

    def step(self, grads: Mapping[str, Any], rate: float = 1.0) -> None:
        for n, g in grads.items():
            if g is not None:
                result = self.call(self.params[n], g, self.state[n])
                pair = tuple(result) if isinstance(result, list) and len(result) == 2 else result
                p, self.state[n] = parted(pair, self.state[n])
                self.take(n, p)


class Together(KeptArrays):
    """A function of all arrays at once, as a list or a dict."""

    def __init__(self, call: Callable, first: Callable[[], Any], kind: type, params: Flat) -> None:
        super().__init__(params)
        self.call, self.state, self.kind = call, first(), kind

    def step(self, grads: Mapping[str, Any], rate: float = 1.0) -> None:
        names = [n for n, g in grads.items() if g is not None]
        given = held(self.kind, {n: self.params[n] for n in names})
        result = self.call(given, held(self.kind, {n: grads[n] for n in names}), self.state)
        new, self.state = parted(result, self.state)
        for n, p in zip(names, contents(given if new is None else new, names), strict=True):
            self.take(n, p)


def reshaped(running: Running) -> Shapes:
    """Shapes of parameters that became other ones."""
    return getattr(running, "reshaped", {})


def held(kind: type, arrays: Mapping[str, Any]) -> Any:
    return dict(arrays) if kind is dict else list(arrays.values())


def contents(found: Any, names: list[str]) -> list[Any]:
    """The arrays of a list or dict, in the order of the names."""
    if isinstance(found, Mapping):
        return [found[n] for n in names]
    if isinstance(found, (list, tuple)) and len(found) == len(names):
        return list(found)
    raise ValueError(f"{len(names)} arrays were given, and what came back is {type(found).__name__}")


def parted(result: Any, state: Any) -> tuple[Any, Any]:
    """New parameters and state of what a rule returned: both, the parameters alone, or nothing."""
    if isinstance(result, tuple) and len(result) == 2:
        return result
    if isinstance(result, tuple) and len(result) > 2:
        return result[0], result[1:]
    return result, state


def candidates(step: Any, options: Mapping[str, Any], name: str) -> Iterator[Rule]:
    """The ways in which a rule may be meant to be called, the likeliest first."""
    from .rule_objects import of_object  # they need what stands here
    from .rule_torch import of_torch

    if not is_rule(step) or isinstance(step, torch.nn.Module):
        own = [n for n in dir(step) if not n.startswith("_")] if type(step).__module__ not in BUILT_IN else []
        has = f" (it has {', '.join(own[:6])})" if own and not isinstance(step, torch.nn.Module) else ""
        raise ValueError(f"{repr(step)[:60]} is no rule{has}; taken are {FORMS}")
    if isinstance(step, torch.optim.Optimizer):
        raise ValueError(
            f"{name} is a torch optimizer that has its parameters already: give its class, or a function that makes "
            f"one, check_optimizer(lambda params: {type(step).__name__}(params, …), against=…)"
        )
    if isinstance(step, type) and issubclass(step, torch.optim.Optimizer):
        yield of_torch(step, options)
    elif isinstance(step, type) or _is_object(step):
        yield from of_object(step, options, name)
    else:
        yield from _of_function(step, options, name)


def is_rule(step: Any) -> bool:
    """May it be a rule: is there anything to call?"""
    return callable(step) or any(callable(getattr(step, n, None)) for n in ("step", "update", "update_params"))


def _is_object(step: Any) -> bool:
    return not inspect.isroutine(step) and not isinstance(step, functools.partial)


_TOO_MANY = (
    "{0} takes ({1}), and a rule is called as step(p, g, state): bind what is constant, check_optimizer(lambda p, g, "
    "state: {2}(p, g, …), against=…), or give it as an option of the same name"
)


def _makers(call: Callable, own: Sequence[inspect.Parameter], options: Mapping[str, Any], name: str) -> Iterator[Rule]:
    """Functions that make an optimizer, of the parameters if they take any."""
    from .rule_objects import made_by
    from .rule_torch import made_as_torch

    of_params = any(p.default is p.empty for p in own) or bool(own and own[0].name in PLURAL)
    if of_params:
        yield made_as_torch(call)
    yield from made_by(call, options, name, of_params)


def _of_function(step: Callable, options: Mapping[str, Any], name: str) -> Iterator[Rule]:
    """Functions that are a rule, or make one."""
    found = parameters(step)
    if found is None or any(p.kind is p.VAR_POSITIONAL for p in found):
        yield from _called(lambda p, g, s: step(p, g, s), ["p", "g", "state"], "step(p, g, state)")
        return
    own = [p for p in found if p.name not in options and p.kind in POSITIONAL]
    anything = any(p.kind is p.VAR_KEYWORD for p in found)
    handed = dict(options) if anything else {p.name: options[p.name] for p in found if p.name in options}
    required = [p for p in own if p.default is p.empty]
    of_class = isinstance(step, functools.partial) and isinstance(step.func, type)
    if of_class or (len(required) <= 1 and len(own) < 2):
        yield from _makers(functools.partial(step, **handed) if required else step, own, options, name)
        return
    more = [p.name for p in found if p.default is p.empty and p.name not in options and p.kind is p.KEYWORD_ONLY]
    if len(required) > 3 or more:
        takes = ", ".join([p.name for p in required] + more)
        raise ValueError(_TOO_MANY.format(name, takes, getattr(step, "__name__", "step")))
    states = _states_of(own)
    names = [p.name for p in (*own[:2], *states)]
    swapped = is_gradient(names[0]) and not is_gradient(names[1])
    yield from _called(_as_rule(step, states, handed, swapped), names, f"step({', '.join(names)})")


def is_gradient(name: str) -> bool:
    """Does an argument's name say that it is a gradient?"""
    name = name.lower().lstrip("_")
    return name in ("g", "gs", "dw", "dp", "dx", "dtheta", "dparams", "dweights") or "grad" in name


def _states_of(own: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """The arguments behind p and g that are a state: the first if it has no default, or an empty one; else those that
    begin with 0, as in step(p, g, v=0.0)."""
    first = own[2].default if own[2:] else 0
    if first is inspect.Parameter.empty or first is None or isinstance(first, (dict, list)):
        return own[2:3]
    return [p for p in own[2:] if type(p.default) in (int, float) and p.default == 0]


def _as_rule(step: Callable, states: list[inspect.Parameter], handed: dict[str, Any], swapped: bool) -> Callable:
    """step as a function of (p, g, state), the options that it names handed on."""

    def call(p: Any, g: Any, state: Any) -> Any:
        first = (g, p) if swapped else (p, g)
        if not states or (state is None and states[0].default is not states[0].empty):
            return step(*first, **handed)
        if states[0].default == 0:
            several = state if len(states) > 1 and isinstance(state, (tuple, list)) else (state,)
            return step(*first, **{q.name: part for q, part in zip(states, several)}, **handed)
        return step(*first, state, **handed)

    return call


def _called(call: Callable, names: list[str], form: str) -> Iterator[Rule]:
    firsts: list[Callable[[], Any]] = [lambda: None, dict, float] if len(names) > 2 else [lambda: None]
    single = [Rule(lambda params, f=f: OneByOne(call, f, params), form) for f in firsts]
    many = [
        Rule(lambda params, f=f, k=k: Together(call, f, k, params), f"{form} with a {k.__name__} of arrays")
        for k in (list, dict)
        for f in firsts
    ]
    plural = any(n.lower() in PLURAL for n in names[:2])
    yield from (*many, *single) if plural else (*single, *many)
    for f in firsts:
        yield Rule(lambda params, f=f: OneByOne(_of_tensors(call), f, params), f"{form} of tensors")


def _of_tensors(call: Callable) -> Callable:
    """A rule that is written with torch tensors, which share the memory of the arrays."""
    return lambda p, g, state: call(torch.from_numpy(p), torch.from_numpy(np.asarray(g)), state)


def recognised(
    step: Any, options: Mapping[str, Any], params: Flat, grads: Sequence[Mapping[str, Any]], name: str
) -> Rule:
    """The first way of calling a rule that moves these parameters; a ValueError with what it said if there is none."""
    told, still, moved = None, None, None
    for rule in candidates(step, options, name):
        try:
            with np.errstate(all="ignore"):
                running = rule.begin(params)
                for g in grads:
                    running.step({n: np.array(a) for n, a in g.items()})
                after = running.read()
        except Exception as e:
            told = told or (rule, e)
            continue
        if all(np.array_equal(after[n], params[n]) for n in params):
            still = still or rule
        elif not reshaped(running):
            return rule
        else:
            moved = moved or rule
    if found := moved or still:
        return found
    assert told is not None
    rule, e = told
    hint = f". {APART}" if "broadcast" in str(e) and len(params) > 1 else ""
    raise ValueError(f"{name}, called as {rule.form}, raised {in_words(e)}{line_of(e)}{hint}. Taken are {FORMS}") from e
