"""What an optimizer is: a value with a rule for one array, lifted once to nested parameters.

    state = opt.init(params)
    params, state = opt.step(params, grads, state)

Letters used throughout
    p, g        a parameter and its gradient           t       the number of the step: 1, 2, …
    lr, λ       learning rate and weight decay         ε       eps, what keeps a divisor from 0
    m, v        running means of g and of g²           μ       momentum
All operations act entry by entry unless said otherwise.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Self, dataclass_transform

import numpy as np

from ..base import Array, Params, as_call, describe, expression, field_names, flatten, options_of, shape, unflatten
from ..sampling import Choose

Slots = dict[str, Any]  # the state of one array, under torch's names: {"exp_avg": m, "exp_avg_sq": v}
State = dict[str, Slots]  # of every parameter that has had a gradient, under its dotted name

NOT_NEGATIVE = ("lr", "eps", "weight_decay", "momentum", "lr_decay", "initial_accumulator_value", "momentum_decay")


class Group:
    """Options that parameters of certain names have for themselves: Group("*.bias", weight_decay=0.0).

    The first group whose pattern (as in a shell: * ? [abc]) matches a parameter's dotted name has it.
    """

    def __init__(self, names: str, **options: Any) -> None:
        self.names, self.options = names, {name: plain(value) for name, value in options.items()}

    def __repr__(self) -> str:
        return f"Group({', '.join([repr(self.names)] + [f'{k}={expression(v)}' for k, v in self.options.items()])})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Group) and (self.names, self.options) == (other.names, other.options)

    def __hash__(self) -> int:
        return hash((self.names, tuple(sorted(self.options.items()))))


@dataclass_transform(frozen_default=True)
class Optimizer:
    """A value: its fields are the options of the torch.optim class of the same name. Every subclass is a frozen
    dataclass without saying so, and gives two functions of one array:

    start(p)           -> its state before the first step, under torch's names
    rule(t, p, g, s)   -> p, s: the t-th step (t = 1, 2, …) of parameter p with gradient g and state s

    What a rule returns shares no memory with what it was given, so that arrays may be reused by who owns them.
    """

    family: ClassVar[bool] = True
    counted: ClassVar[bool] = True  # does torch keep the number of the step in its state?
    sparse: ClassVar[bool] = False  # does it take Rows as gradients (made dense, unless it overrides `gradient`)?
    by_closure: ClassVar[bool] = False  # is step given a closure in the place of gradients?
    by_rows: ClassVar[bool] = False  # are its gradients Rows?

    # What random examples of this class look like; `reference` reads these.
    ranks: ClassVar[tuple[int, ...]] = (0, 1, 2, 3, 4, 5)  # of the parameters that it moves
    dyadic: ClassVar[bool] = False  # rounds nothing when data are small integers and options dyadic
    options: ClassVar[Mapping[str, tuple]] = {}  # a field's name -> values worth trying, the simplest first

    def __init_subclass__(cls, family: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.family = family
        dataclasses.dataclass(frozen=True, repr=False)(cls)

    def __post_init__(self) -> None:
        for name, value in options_of(self).items():
            if isinstance(value, (list, tuple, np.generic)):
                object.__setattr__(self, name, plain(value))
            if name in NOT_NEGATIVE and isinstance(value, (int, float)):
                self.needs(value >= 0, f"{name} ≥ 0")
        for b in getattr(self, "betas", ()):
            self.needs(0 <= b < 1, "betas in [0, 1)")
        for group in getattr(self, "groups", ()):
            self.replace(**{"groups": ()} | group.options)

    def needs(self, ok: bool, what: str) -> None:
        """Raise a ValueError that shows the optimizer and what it needs, unless `ok`."""
        if not ok:
            raise ValueError(f"{self} needs {what}")

    def start(self, p: Array) -> Slots:
        return {}

    def rule(self, t: int, p: Array, g: Array, s: Slots) -> tuple[Array, Slots]:
        raise NotImplementedError

    def init(self, params: Params) -> State:
        """The state before the first step: none. An array's own begins when its first gradient comes, as in torch,
        so parameters that never get one keep no state, and parameters may be added later."""
        return {}

    def step(self, params: Params, grads: Params, state: State) -> tuple[Params, State]:
        """Every parameter that has a gradient, moved by its group's rule; the rest (buffers too) as they were."""
        new, new_state, groups = flatten(params), dict(state), dict[int, Self]()
        with np.errstate(all="ignore"):  # as in torch, what leaves the range of numbers becomes inf or nan
            for name, g in flatten(grads).items():
                if g is not None:
                    p, i = self.checked(name, new, g), self.group_of(name)
                    opt = groups[i] = groups.get(i) or self.of(name)
                    s = state.get(name) or {"step": 0, **opt.start(p)}
                    t = s["step"] + 1
                    p, moved = opt.rule(t, p, opt.gradient(name, g), s)
                    new[name] = np.asarray(p)  # arithmetic makes scalars of 0-d arrays
                    new_state[name] = {"step": t, **{k: _array(v) for k, v in moved.items()}} if moved else {"step": t}
        return unflatten(new), new_state

    def checked(self, name: str, params: Mapping[str, Array], g: Any) -> Array:
        """The parameter of that name; a ValueError if it does not fit its gradient."""
        p = params.get(name)
        if p is None:
            raise ValueError(f"{self} got a gradient of {name!r}; the parameters are {', '.join(params)}")
        if shape(g) != p.shape or g.dtype != p.dtype or p.dtype.kind not in "fO":
            raise ValueError(
                f"{self} moves real parameters by gradients of the same shape and dtype; "
                f"{name!r} is {describe(p)}, its gradient {describe(g)}"
            )
        return p

    def gradient(self, name: str, g: Any) -> Any:
        """The gradient as the rule takes it: an array, made of the given rows where that is allowed."""
        if isinstance(g, (np.ndarray, np.generic)):
            return g
        if not self.sparse:
            raise ValueError(f"{self} takes arrays as gradients, SparseAdam takes Rows; that of {name!r} is Rows")
        return g.dense()

    def descent(self, p: Array, g: Array) -> Array:
        """The gradient of what is to become smaller: −g if maximize; λp more for a penalty of ½λp²."""
        g = -g if self.maximize else g
        decay = self.weight_decay
        return g + decay * p if decay else g

    def group_of(self, name: str) -> int:
        """The number of the group that the parameter belongs to; len(groups) if none is its own."""
        if not (groups := getattr(self, "groups", ())):
            return 0
        return next((i for i, group in enumerate(groups) if fnmatchcase(name, group.names)), len(groups))

    def in_group(self, i: int) -> Self:
        """This optimizer with the options of the i-th group."""
        groups = getattr(self, "groups", ())
        return self.replace(groups=(), **groups[i].options) if i < len(groups) else self

    def of(self, name: str) -> Self:
        """This optimizer with the options of the group that the parameter belongs to."""
        return self.in_group(self.group_of(name))

    def replace(self, **changes: Any) -> Self:
        """The same optimizer with some options changed, as in opt.replace(lr=0.01)."""
        known = field_names(type(self))
        for name in changes:
            if name not in known:
                raise TypeError(f"{type(self).__name__} has no option {name!r}; it has {', '.join(known)}")
        return dataclasses.replace(self, **changes)

    @classmethod
    def example(cls, choose: Choose) -> Self:
        """A random optimizer of this class."""
        return cls(**{name: choose(*values) for name, values in cls.options.items()})

    def state_dict(self, state: State, names: Iterable[str]) -> dict[str, Any]:
        """The state in the structure of torch's optimizer.state_dict(), with arrays in the place of tensors.

        `names` are the trainable parameters in torch's order. Torch numbers them group by group; here the groups
        stand in their order, the parameters of no group last, and a group without parameters is left out.
        """
        names, groups, numbers = list(names), [], {}
        for i in range(len(getattr(self, "groups", ())) + 1):
            if own := [name for name in names if self.group_of(name) == i]:
                numbers |= {name: n for n, name in enumerate(own, len(numbers))}
                groups.append(
                    self.in_group(i).plain_options() | {"params": [numbers[name] for name in own], "param_names": own}
                )
        kept = {numbers[name]: self.to_slots(s) for name, s in state.items()}
        return {"state": {n: s for n, s in sorted(kept.items()) if s}, "param_groups": groups}

    def load_state_dict(self, saved: Mapping[str, Any], names: Iterable[str] = ()) -> tuple[Self, State]:
        """Optimizer and state from what torch's (or this) `state_dict()` gave: the saved options replace these.

        `names` are the parameters in torch's order, needed where the saved groups do not name their own.
        """
        names, at, options = list(names), {}, []
        known = set(options_of(self)) - {"groups"}
        for group in saved["param_groups"]:
            own = group.get("param_names") or [names[n] for n in group["params"]]
            at |= dict(zip(group["params"], own, strict=True))
            options.append((own, {k: plain(v) for k, v in group.items() if k in known}))
        begun = {n: s for n, s in saved["state"].items() if s.get("step", 1) > 0}  # Adagrad's is made before
        return self._regrouped(options), {at[n]: self.from_slots(s) for n, s in begun.items()}

    def _regrouped(self, options: list[tuple[list[str], dict[str, Any]]]) -> Self:
        """This optimizer with the given options for the given names: in its own groups where these divide the
        names in the same way, else in a group for each name outside of the last one."""
        mine: tuple[Group, ...] = getattr(self, "groups", ())
        places = [{self.group_of(name) for name in own} for own, _ in options]
        if all(len(place) == 1 for place in places) and len(set().union(*places)) == len(places):
            given = dict(zip((place.pop() for place in places), (o for _, o in options), strict=True))
            base = given.get(len(mine), {})
            groups = [(group.names, given.get(i, group.options)) for i, group in enumerate(mine)]
        else:
            base = options[-1][1]
            groups = [(_literal(name), o) for own, o in options[:-1] for name in own]
        own = options_of(self) | base
        groups = tuple(Group(p, **{k: v for k, v in o.items() if own[k] != v}) for p, o in groups)
        return self.replace(**base, **({"groups": groups} if groups else {}))

    def plain_options(self) -> dict[str, Any]:
        """The options as torch keeps them in a group."""
        return {name: value for name, value in options_of(self).items() if name != "groups"}

    def to_slots(self, s: Slots) -> Slots:
        """One array's state as torch keeps it."""
        return {k: float(v) if k == "step" else v for k, v in s.items() if k != "step" or self.counted}

    def from_slots(self, s: Mapping[str, Any]) -> Slots:
        """One array's state from torch's: the number of the step is counted here for all of them."""
        return {"step": int(s.get("step", 0))} | {k: v for k, v in s.items() if k != "step" and v is not None}

    def __repr__(self) -> str:
        return as_call(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


def plain(value: Any) -> Any:
    """An option as Python has it: NumPy's own scalars would turn float32 into float64, and lists have no hash."""
    if isinstance(value, list | tuple):
        return tuple(map(plain, value))
    return value.item() if isinstance(value, np.generic) else value


def _array(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, np.generic) else value


def _literal(name: str) -> str:
    """The pattern that matches this name only."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
