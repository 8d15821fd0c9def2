"""Gradients by name, in whatever form a backward gives them, and arrays of whatever is given."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from manualbp.base import Tree, describe

from .formats import bits_of, is_bfloat16, tensor_of
from .subject import Arrays

SPELLINGS = ("{}", "d{}", "{}_grad", "grad_{}", "d_{}", "{}.grad", "grad{}", "g_{}", "d{}_", "∂{}", "{}_g")


def spelled(name: str) -> tuple[str, ...]:
    """How the gradient of an input may be called."""
    return tuple(s.format(name) for s in SPELLINGS)


def keyed(found: Mapping[str, Any], names: Sequence[str]) -> Arrays:
    """The gradients of these names under their own names; what belongs to none keeps its key."""
    keys: dict[str, str] = {}
    for n in names:
        each = [k for k in spelled(n) if k in found]
        each = each or [k for k in found if isinstance(k, str) and k.lower() in map(str.lower, spelled(n))]
        if len({*each}) == 1 and each[0] not in keys and (each[0] == n or each[0] not in names):
            keys[each[0]] = n
        elif n in found:
            keys[n] = n
    return {keys.get(k, k): g for k, g in found.items()}


def named(found: Any, names: Sequence[str], arrays: Mapping[str, Any], constant: Sequence[str] = ()) -> Arrays:
    """Gradients by name, whether they came as a dict, in the order of the inputs, or as one array; in dicts and lists
    inside of these, if they fit the inputs one for one.

    constant: inputs that are not to be differentiated; a backward may leave them out, as integers
    """
    each = found.values() if isinstance(found, Mapping) else found if isinstance(found, (tuple, list)) else ()
    if any(map(_holds_arrays, each)):
        return _spread(found, names, arrays)
    if isinstance(found, Mapping):
        return _known(keyed(found, names), names, arrays)
    if (fields := getattr(found, "_fields", None)) and {*keyed(dict.fromkeys(fields), names)} <= {*names}:
        return keyed(found._asdict(), names)
    each = tuple(found) if isinstance(found, (tuple, list)) and not _is_one_array(found, names, arrays) else (found,)
    real = tuple(n for n in names if is_real(arrays.get(n, 0.0)))
    given = tuple(g for g in each if g is not None)  # None stands for numbers and flags among the inputs, too
    for order in (names, real, tuple(n for n in real if n not in constant)):
        if len(order) in (len(each), len(given)):
            return dict(zip(order, each if len(each) == len(order) else given))
    raise ValueError(_of_other_number(len(each), names, names[-1]))


def _of_other_number(given: int, names: Sequence[str], one: str) -> str:
    return (
        f"backward gives {given} gradient{'s' * (given != 1)}; the inputs are {', '.join(names)}: one for each "
        f"is wanted, in this order or by name as {{{', '.join(f'{n!r}: …' for n in names)}}}. For an input that has "
        f"none return None, or declare it: inputs={{…, {one!r}: Constant(…)}}"
    )


def _holds_arrays(part: Any) -> bool:
    """Is it a dict, a list or a tuple with arrays in it?"""
    inside = isinstance(part, (Mapping, tuple, list))
    return inside and any(isinstance(a, (np.ndarray, torch.Tensor)) for a in leaves_of(part))


def _spread(found: Any, names: Sequence[str], arrays: Mapping[str, Any]) -> Arrays:
    """Gradients in nested dicts, tuples and lists: by name, where a key is that of an input; the others in order, if
    they are of the shapes of the inputs that are left."""
    own: Arrays = {}
    others: list[Any] = []

    def gather(part: Any) -> None:
        if isinstance(part, Mapping):
            for k, g in keyed(part, names).items():
                if k in names and k not in own and not _holds_arrays(g):
                    own[k] = g
                else:
                    gather(g)
        elif _holds_arrays(part):
            for p in part:
                gather(p)
        else:
            others.append(part)

    gather(found)
    left = [n for n in names if n not in own]
    for order in (left, [n for n in left if is_real(arrays.get(n, 0.0))]):
        each = list(zip(order, others))
        if len(order) == len(others) and all(g is None or np.shape(g) == np.shape(arrays[n]) for n, g in each):
            return own | dict(each)
    shapes = ", ".join(str(tuple(np.shape(g))) for g in leaves_of(found))
    wanted = ", ".join(f"d{n} {tuple(np.shape(arrays[n]))}" for n in names)
    raise ValueError(
        f"backward gives arrays of the shapes {shapes}, in a tuple, list or dict inside of another; one for each input "
        f"is wanted, in this order or by name: ({wanted})"
    )


def _is_one_array(found: Any, names: Sequence[str], arrays: Mapping[str, Any]) -> bool:
    """Are these nested lists of numbers, the one gradient that there is?"""
    real = [n for n in names if is_real(arrays.get(n, 0.0))]
    if not isinstance(found, list) or len(real) != 1 or any(isinstance(a, (np.ndarray, torch.Tensor)) for a in found):
        return False
    try:
        return np.shape(found) == np.shape(arrays.get(real[0]))
    except ValueError:  # of unequal lengths
        return False


def numeric(value: Any, whose: str) -> None:
    """A ValueError unless all that stands in a value is numbers, or None where there is no gradient."""
    for a in leaves_of(value):
        try:
            kind = "f" if isinstance(a, torch.Tensor) or is_bfloat16(a) else np.asarray(a).dtype.kind
        except ValueError:  # lists of unequal lengths
            kind = "O"
        if a is not None and kind not in "fciub":
            raise ValueError(f"{whose} gives {describe(a)} where an array is wanted")


def _known(found: Arrays, names: Sequence[str], arrays: Mapping[str, Any]) -> Arrays:
    """The same, unless none of the names is among the keys: then they are called otherwise."""
    if not found or {*found} & {*names}:
        return found
    n = next((n for n in names if is_real(arrays.get(n, 0.0))), names[0])
    raise ValueError(
        f"backward gives a dict with the keys {', '.join(map(str, found))}; the inputs are {', '.join(names)}. "
        f"Call the gradient of {n} one of {', '.join(spelled(n)[:5])}"
    )


def is_real(a: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a.is_floating_point()
    return np.asarray(a).dtype.kind in "fc" or is_bfloat16(a)


def array(a: Any) -> Any:
    """A tensor as an array, on the same memory; what is none stays."""
    if not isinstance(a, torch.Tensor):
        return a
    t = a.detach().cpu().resolve_conj().resolve_neg()
    return bits_of(t) if t.dtype == torch.bfloat16 else t.numpy()


def arrays_of(tree: Any) -> Any:
    """The same, of all that stands in lists, tuples and dicts."""
    if isinstance(tree, Mapping):
        return {k: arrays_of(a) for k, a in tree.items()}
    if hasattr(tree, "_fields"):
        return type(tree)(*map(arrays_of, tree))
    return type(tree)(map(arrays_of, tree)) if isinstance(tree, (tuple, list)) else array(tree)


def as_tensor(a: Any) -> torch.Tensor:
    """A copy as a tensor that gathers a gradient if it is real."""
    t = tensor_of(np.array(a))
    return t.requires_grad_() if t.is_floating_point() else t


def shared(a: Any) -> torch.Tensor:
    """A tensor on the memory of an array, so that what is written into it is seen; a copy where that cannot be."""
    if isinstance(a, torch.Tensor):
        return a
    a = np.asarray(a)
    usable = a.flags.writeable and all(s >= 0 for s in a.strides)
    return tensor_of(a if usable else np.array(a))


def upstream_of(y: Tree, dy: Tree) -> Tree:
    """dy as tensors of the shape and dtype that the outputs have, as autograd gives it."""
    if isinstance(y, tuple):
        return tuple(map(upstream_of, y, dy))
    return shared(dy).reshape(y.shape).to(y) if isinstance(y, torch.Tensor) else shared(dy)


def as_arrays(y: Any) -> Tree:
    """Outputs of torch code as a tree of arrays of their own."""
    if isinstance(y, (tuple, list)):
        return tuple(map(as_arrays, y))
    return None if y is None else np.array(array(y)) if isinstance(y, torch.Tensor) else np.asarray(y)


def plain(y: Any) -> Tree:
    """Outputs in lists, named tuples and dicts as a tuple; lists of numbers, as tolist() gives them, as an array."""
    if is_listed(y):
        return np.asarray(y, float)
    if isinstance(y, Mapping):
        return tuple(plain(part) for part in y.values())
    return tuple(map(plain, y)) if isinstance(y, (tuple, list)) else y


def is_listed(y: Any) -> bool:
    """Is it an array in (nested) lists of Python's numbers?"""
    if not isinstance(y, list) or not y or not all(type(a) in (int, float) for a in leaves_of(y)):
        return False
    try:
        return bool(np.shape(y))
    except ValueError:  # of unequal lengths
        return False


def like(dy: Any, y: Any) -> Any:
    """dy, a tuple of them, in the container that y is: a dict, a list or a named tuple."""
    if isinstance(y, Mapping):
        return {k: like(d, part) for (k, part), d in zip(y.items(), dy, strict=True)}
    if is_listed(y):
        return dy
    if hasattr(y, "_fields"):
        return type(y)(*(like(d, part) for d, part in zip(dy, y, strict=True)))
    if isinstance(y, (tuple, list)):
        return type(y)(like(d, part) for d, part in zip(dy, y, strict=True))
    return dy


def leaves_of(tree: Any) -> Iterator[Any]:
    """All that is no container."""
    if isinstance(tree, Mapping):
        tree = tuple(tree.values())
    if isinstance(tree, (tuple, list)):
        for part in tree:
            yield from leaves_of(part)
    else:
        yield tree
