"""A tree of arrays: nested dicts, as parameters are, and nested tuples, as inputs and outputs are.

Its leaves are arrays, or None where there is nothing. A leaf is found by its path, the keys and positions that lead
to it, which is printed as torch's state_dict and Python do: ("0", "weight") is "0.weight", ("y", 1, 0) is "y[1][0]".

    leaves({"0": {"weight": W}})                 ((("0", "weight"), W),)
    flatten({"0": {"weight": W}})                {"0.weight": W}
    flatten((h, (c, None)), "y")                 {"y[0]": h, "y[1][0]": c, "y[1][1]": None}
    tree_map(np.zeros_like, params)              the same tree of zeros
    add(grads, more)                             both gradients of what is used twice
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]
Tree = Any  # an array, None, or a (nested) tuple of these; parameters are nested dicts
Params = dict[str, Any]  # nested: a child's name leads to its own Params, a parameter's name to its array


def leaves(tree: Tree | Params, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """(path, leaf) of every leaf in order, None among them."""
    if isinstance(tree, (dict, tuple)):
        for key, part in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(part, (*path, key))
    else:
        yield path, tree


def tree_map(f: Callable[[Any], Any], tree: Any) -> Any:
    """f(leaf) in the place of every leaf; None stays None."""
    if isinstance(tree, dict):
        return {name: tree_map(f, part) for name, part in tree.items()}
    if isinstance(tree, tuple):
        return tuple(tree_map(f, part) for part in tree)
    return None if tree is None else f(tree)


def tree_map_with_path(f: Callable[[Path, Any], Any], tree: Any, path: Path = ()) -> Any:
    """f(path, leaf) in the place of every leaf; None stays None."""
    if isinstance(tree, dict):
        return {name: tree_map_with_path(f, part, (*path, name)) for name, part in tree.items()}
    if isinstance(tree, tuple):
        return tuple(tree_map_with_path(f, part, (*path, i)) for i, part in enumerate(tree))
    return None if tree is None else f(path, tree)


def add(a: Any, b: Any) -> Any:
    """The sum of two gradients of the same nesting: where a value is used twice, its gradients add.

    A missing entry, or None, stands for zero.
    """
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, dict):
        return {name: add(a.get(name), b.get(name)) for name in a | b}
    if isinstance(a, tuple):
        return tuple(add(p, q) for p, q in zip(a, b, strict=True))
    return a + b


def spelt(path: Path, name: str = "") -> str:
    """A path as text, below a name: keys after dots, positions in brackets."""
    for key in path:
        name = f"{name}[{key}]" if isinstance(key, int) else f"{name}.{key}" if name else key
    return name


def flatten(tree: Tree | Params, name: str = "") -> dict[str, Any]:
    """Every leaf under its path as text: parameters have the names of torch's state_dict."""
    if not isinstance(tree, (dict, tuple)):
        return {name: tree}
    flat: dict[str, Any] = {}
    _flatten(tree, name, flat)
    return flat


def _flatten(tree: Any, name: str, flat: dict[str, Any]) -> None:
    named = isinstance(tree, dict)
    for key, part in tree.items() if named else enumerate(tree):
        path = f"{name}[{key}]" if not named else f"{name}.{key}" if name else key
        if isinstance(part, (dict, tuple)):
            _flatten(part, path, flat)
        else:
            flat[path] = part


def unflatten(flat: Mapping[str, Any]) -> Params:
    """Nested parameters of those named "0.weight": the inverse of `flatten`, for dicts."""
    params: Params = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        inner = params
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return params
