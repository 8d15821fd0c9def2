"""Inputs in dicts and lists, as {"params": {"W": …, "b": …}, "x": …} or {"x": …, "Ws": [W0, W1]}: each array in them is
an input of its own here; forward and backward are given them as they were put together, and give gradients so."""

import copy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .gradients import keyed, named
from .inputs import is_array, is_shape
from .subject import Arrays


@dataclass(frozen=True)
class Leaf:
    """The place of an array. name: of the input that it is."""

    name: str


@dataclass(frozen=True)
class Nested:
    """places: for every input as it was given, a `Leaf`, or dicts and lists with these in them. Empty where no input is
    a dict or a list of arrays."""

    places: Mapping[str, Any] = field(default_factory=dict)

    def leaves(self, name: str) -> tuple[str, ...]:
        """The arrays in an input, itself if it is one, or an option."""
        return tuple(leaf.name for leaf in _leaves(self.places[name])) if self.places else (name,)

    def outer(self, names: Sequence[str]) -> tuple[str, ...]:
        """The inputs as they were given that these arrays are in."""
        return tuple(o for o in self.places if {*self.leaves(o)} & {*names}) if self.places else tuple(names)

    def together(self, arrays: Mapping[str, Any]) -> Mapping[str, Any]:
        """Inputs as they were given, of arrays by name."""
        if not self.places:
            return arrays
        there = {n: place for n, place in self.places.items() if {*self.leaves(n)} <= {*arrays}}
        return {n: _filled(place, arrays) for n, place in there.items()}

    def gradients(self, found: Any, names: tuple[str, ...], arrays: Mapping[str, Any], none: Sequence[str]) -> Arrays:
        """Gradients by the name of each array, put together as the inputs are, or one after the other."""
        each: Arrays = {}
        outer = {n: self.places[n] for n in self.outer(names)} if self.places else {}
        alone = [*outer.values()] if len(outer) == 1 else []
        if outer and (_taken_apart(outer, found, each) or (alone and _taken_apart(alone, [found], each))):
            return each
        return named(found, names, arrays, none)


def nested(inputs: Mapping[str, Any]) -> tuple[Nested, dict[str, Any]]:
    """The inputs' places, and what each array in them is to be, by name: W of {"W": …}, W0 and W1 of Ws: […];
    with all that it is in, where two would be called so."""
    if not any(map(_holds_arrays, inputs.values())):
        return Nested(), dict(inputs)
    specs: dict[str, Any] = {}
    short = Counter(_name(path) for n, spec in inputs.items() for path in _paths(spec, (n,)))

    def placed(spec: Any, path: tuple[Any, ...]) -> Any:
        if _holds_arrays(spec):
            each = spec.items() if isinstance(spec, dict) else enumerate(spec)
            inside = {k: placed(part, (*path, k)) for k, part in each}
            return inside if isinstance(spec, dict) else type(spec)(inside.values())
        if len(path) > 1 and not (is_array(spec) or (is_shape(spec) and isinstance(path[-1], int))):
            return spec  # an option, as a stride of (2, 2)
        name = path[0] if len(path) == 1 else _name(path) if short[_name(path)] == 1 else "_".join(map(str, path))
        specs[name] = spec
        return Leaf(name)

    return Nested({n: placed(spec, (n,)) for n, spec in inputs.items()}), specs


def _paths(spec: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if _holds_arrays(spec):
        for k, part in spec.items() if isinstance(spec, dict) else enumerate(spec):
            yield from _paths(part, (*path, k))
    else:
        yield path


def _name(path: tuple[Any, ...]) -> str:
    """x itself, W for params["W"], W0 for Ws[0]: what it may be called where no other is called so."""
    if len(path) == 1 or isinstance(path[-1], str):
        return path[-1]
    above = path[-2]
    if not isinstance(above, str):
        return "_".join(map(str, path))
    return f"{above[:-1] if len(above) > 1 and above.endswith('s') else above}{path[-1]}"


def _holds_arrays(spec: Any) -> bool:
    """Is it a dict or a list with an array, or the shape of one, in it? A tuple of names is a shape itself."""
    if isinstance(spec, dict):
        return any(is_array(a) or _holds_arrays(a) for a in spec.values())
    if not isinstance(spec, (list, tuple)) or is_shape(spec):
        return False
    return any(is_array(a) or _holds_arrays(a) or (isinstance(a, tuple) and bool(a) and is_shape(a)) for a in spec)


def _leaves(place: Any) -> Iterator[Leaf]:
    if isinstance(place, Leaf):
        yield place
    for part in place.values() if isinstance(place, dict) else place if isinstance(place, (list, tuple)) else ():
        yield from _leaves(part)


def _filled(place: Any, arrays: Mapping[str, Any]) -> Any:
    if isinstance(place, Leaf):
        return arrays[place.name]
    if isinstance(place, dict):
        return {k: _filled(part, arrays) for k, part in place.items()}
    if isinstance(place, (list, tuple)):
        return type(place)(_filled(part, arrays) for part in place)
    return copy.deepcopy(place)


def _taken_apart(place: Any, found: Any, each: Arrays) -> bool:
    """Is what backward gives put together as the inputs are? Then its arrays are in `each`, by their names."""
    if isinstance(place, Leaf):
        each[place.name] = found
        return not isinstance(found, (dict, tuple))
    inside = list(place.values()) if isinstance(place, dict) else place
    if isinstance(found, Mapping) and isinstance(place, dict):
        own = keyed(found, tuple(place))
        parts = [own.get(k) for k in place]
        if not {*own} <= {*place}:
            return False
    else:
        parts = list(found) if isinstance(found, (tuple, list)) else []
    if len(parts) != len(inside):
        return False
    return all(_taken_apart(p, g, each) for p, g in zip(inside, parts) if g is not None and [*_leaves(p)])


def refused(inputs: Mapping[str, Any]) -> ValueError:
    """What to say of inputs in dicts and lists to an object, which is given each array by its name."""
    apart, specs = nested(inputs)
    n = next(n for n in apart.places if not isinstance(apart.places[n], Leaf))
    what = "dict" if isinstance(inputs[n], dict) else "list"
    return ValueError(
        f"inputs[{n!r}] is a {what} with arrays ({', '.join(apart.leaves(n))}), which functions take; an object or a "
        f"class is given each by its name, inputs={{{', '.join(f'{k!r}: …' for k in specs)}}}, and says where it keeps "
        f"it, set=lambda obj, name, array: …; one that keeps them in obj.params is made without them, as Net({{}})"
    )


__all__ = ["Leaf", "Nested", "nested", "refused"]
