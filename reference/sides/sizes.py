"""Which sizes are possible: lengths of 0 or more, and what somebody's `where` says of them."""

import inspect
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from manualbp.base import describe

from ..draw.plans import LARGEST
from ..draw.specs import entries, names_in, size
from .arguments import required
from .raised import in_words, line_of

RIGHT = "where=lambda s: s['D'] % 2 == 0"
Where = Callable[..., Any]


def possible(specs: Mapping[str, Any], where: Any) -> Where | None:
    """Of sizes by name: can arrays be as long, and are the sizes as they are wanted? None if all are possible. A
    ValueError where no sizes are, or where that cannot be asked."""
    if where is not None and not callable(where):
        raise ValueError(f"where is {describe(where)}; it takes a function, as {RIGHT}")
    computed = [e for spec in specs.values() for e in entries(spec) if isinstance(e, str) and not e.isidentifier()]
    for name, spec in specs.items():
        _sometimes_positive(name, spec)
    asked = None if where is None else _asked(where, list(dict.fromkeys(n for e in _all(specs) for n in names_in(e))))
    if not computed:
        return asked
    return lambda sizes: all(size(e, sizes) >= 0 for e in computed) and (asked is None or asked(sizes))


def _all(specs: Mapping[str, Any]) -> list[Any]:
    return [e for spec in specs.values() for e in entries(spec)]


def _sometimes_positive(name: str, spec: Any) -> None:
    """A ValueError for a length, as "D-9", that is none for all sizes that are drawn."""
    for entry in entries(spec):
        names = list(dict.fromkeys(names_in(entry)))
        if not names or entry in names:
            continue
        drawn = itertools.product(range(1, LARGEST + 1), repeat=min(len(names), 4))
        if not any(size(entry, dict(zip(names, itertools.cycle(each)))) > 0 for each in drawn):
            raise ValueError(
                f"inputs[{name!r}] has the length {entry!r}, which is below 1 for all sizes that are drawn, from 1 to "
                f'{LARGEST}: give the shorter length the name, as "{names[0]}" here and "{names[0]} + 9" elsewhere'
            )


def _asked(where: Where, names: list[str]) -> Where:
    """`where` of sizes by name, called with all of them or with those that it names."""
    own = required(where)
    by_name = own and {*own} <= {*names}
    if not by_name and not _takes_one(where):
        raise ValueError(
            f"where takes ({', '.join(own or ())}); it is given the sizes by name, as {RIGHT}, or those that it names, "
            f"as where=lambda D: D % 2 == 0: the sizes are {', '.join(names) or 'all given as numbers'}"
        )

    def asked(sizes: Mapping[str, int]) -> Any:
        try:
            return where(**{n: sizes[n] for n in own}) if by_name and own else where(sizes)
        except KeyError:
            raise
        except Exception as e:
            given = ", ".join(f"{n} = {sizes[n]}" for n in names)
            raise ValueError(
                f"your where raised {in_words(e)}{line_of(e)} on {given}. It is given the sizes by name: {RIGHT}"
            ) from e

    return asked


def _takes_one(where: Where) -> bool:
    try:
        inspect.signature(where).bind({})
    except TypeError:
        return False
    except ValueError:  # it does not say what it takes
        return True
    return True
