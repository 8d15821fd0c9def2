"""The catalogue's mistakes made on the very case that failed: which of them gives the wrong numbers back?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from manualbp.base import Array, Layer, flatten
from manualbp.container import Objective, Sequential
from manualbp.linear import Linear
from manualbp.loss import Loss

from ...faults import KNOWN, Fault, corrupt
from ...sides.record import walk
from ..evidence import Evidence
from .network import Network, Observed, recognised_each
from .seen import Finding, Found, Seen, near

FREE = ("B07", "B14", "B15")  # mistakes with a constant of their own: yours − right is a multiple of theirs
FUNCTION = "the function "  # what the key of a replay begins with that is another function, not a mistake
WHOLE = ("A05", "B05.first", "B05.last")  # mistakes that are made in all gradients, or in none
OF_MEANS = ("A01", "A02", "A03", "A06")  # mistakes in what a mean divides by, which a multiple of it may not be
SAME, FAR = 1e-9, 1e-3  # relative
Told = Mapping[str, Mapping[str, Array]]  # mistake -> name -> what it gives


def with_replays(evidence: Sequence[Evidence]) -> Iterator[tuple[Evidence, Mapping[str, Array]]]:
    """Each wrong tensor, with all that is inside the network, and what each mistake gives for it."""
    trials: dict[int, list[Evidence]] = {}
    for e in evidence:
        trials.setdefault(e.trial, []).append(e)
    cases = of_trials(trials)
    for e in evidence:
        case, network, told = cases[e.trial]
        here = {m: arrays[e.name] for m, arrays in told.items() if e.name in arrays and not refuted(m, e, arrays)}
        yield e if network is None else enriched(e, network, case), {**here, **e.replays()}


def refuted(mistake: str, e: Evidence, arrays: Mapping[str, Array]) -> bool:
    """Would the mistake, of which all gradients are one, make another of them wrong, and by far, that is right?"""
    if mistake.split(" ")[0] not in WHOLE:
        return False
    for name, value in arrays.items():
        right, given = (np.asarray(g.get(name, ()), float) for g in (e.grads, e.given))
        same = right.shape == given.shape == np.shape(value) and right.size and name != e.name
        if same and near(given, right, SAME) and not near(np.asarray(value, float), right, FAR):
            return True
    return False


def of_trials(trials: Mapping[int, Sequence[Evidence]]) -> dict[int, tuple[Observed, Network | None, Told]]:
    """What is recognised in every trial, unless its replays are known already."""
    cases = {key: Observed.of(of[0]) for key, of in trials.items()}
    networks = recognised_each({key: cases[key] for key, of in trials.items() if not any(e.replays() for e in of)})
    others = other_functions(trials, cases)
    found = {}
    for key, case in cases.items():
        network = networks.get(key)
        told = {} if network is None else mistaken(network, case)
        found[key] = case, network, told | others.get(key, {})
    return found


def mistaken(network: Network, case: Observed) -> dict[str, dict[str, Array]]:
    """Outputs and gradients with each mistake of the catalogue."""
    found: dict[str, dict[str, Array]] = {}
    with np.errstate(all="ignore"):
        for key, layer in corrupted(network.layer):
            try:
                found[key] = network.gradients(case, layer) | network.forward(case, layer)
            except Exception:  # a mistake may make shapes that fit nowhere
                continue
        if network.scale != 1 or all(np.all(d == 1) for d in case.dys):  # then it is no dy, or is 1 indeed
            found = {key: arrays for key, arrays in found.items() if not key.startswith("A07")}
        elif not any(isinstance(layer, Loss) for layer in walk(network.layer)):
            found["A07"] = network.gradients(case, None, tuple(np.ones_like(d) for d in case.dys))
    return {key: arrays for key, arrays in found.items() if key.split(" ")[0].split(".")[0] not in _untrue(network)}


def _untrue(network: Network) -> tuple[str, ...]:
    """Mistakes whose words are not true of it: of a multiple of a mean, and of gates in another order than torch's."""
    reordered = any(list(r.order) != sorted(r.order) for r in network.roles.values())
    return OF_MEANS * (network.scale != 1) + ("G01",) * reordered


def corrupted(layer: Layer) -> Iterator[tuple[str, Layer]]:
    """Faulty versions, under the id of the fault, and the path of the layer where only one of several has it."""
    for fault in KNOWN.values():
        each = list(_one_by_one(layer, fault))
        if each:
            yield fault.id, corrupt(layer, fault)
        if len(each) > 1:
            yield from ((f"{fault.id} in layer {path}", other) for path, other in each)


def _one_by_one(layer: Layer, fault: Fault) -> Iterator[tuple[str, Layer]]:
    """The same network with the mistake in one layer only."""
    if fault.applies(type(layer)):
        yield "", corrupt(layer, fault)
        return
    for name, child in layer.inside().items():
        for path, other in _one_by_one(child, fault):
            changed = layer.map_named(lambda n, same, other=other, name=name: other if n == name else same)
            yield f"{name}.{path}".rstrip("."), changed


def other_functions(trials: Mapping[int, Sequence[Evidence]], cases: Mapping[int, Observed]) -> dict[int, Told]:
    """The function that a wrong forward computes, if that is one that is known, with its gradients."""
    yours = {}
    for key, case in cases.items():
        wrong = {e.name: np.asarray(e.yours, float) for e in trials[key] if e.forward and e.name in case.ys}
        if wrong and all(y.size for y in wrong.values()):
            yours[key] = replace(case, ys={**case.ys, **wrong}, grads={})
    found = {}
    for key, network in recognised_each(yours).items():
        if network is not None and network.scale == 1:  # a number is a multiple of any other
            told = network.gradients(cases[key]) | network.forward(yours[key])
            without = " without a bias" * ("bias" in network.fixed and not network.fixed["bias"].any())
            found[key] = {FUNCTION + _title(network.layer) + without: told}
    return found


def _title(layer: Layer) -> str:
    """The same for all sizes."""
    if isinstance(layer, (Sequential, Objective)):
        return " → ".join(type(f).__name__ for f in walk(layer) if not getattr(f, "children", None))
    if not flatten(layer.init(np.random.default_rng(0))):
        return repr(layer)
    eps = getattr(layer, "eps", None)
    return type(layer).__name__ + (f" with ε = {eps:g}" if eps is not None else "")


def enriched(e: Evidence, network: Network, case: Observed) -> Evidence:
    """With what stands between the layers, unless a name is taken."""
    values, grads = inside(network, case)
    return replace(e, known={**values, **e.known}, grads={**grads, **e.grads})


def inside(network: Network, case: Observed) -> tuple[dict[str, Array], dict[str, Array]]:
    """What stands between the layers of a chain, z1, h1, z2, …, and the right gradients by these."""
    model, (params, x), dy = network.layer, network.data(case.arrays), network.scale * case.dys[0]
    if isinstance(model, Objective):
        y, _ = model.model.forward(params.get("model", {}), x[0])
        dy = model.loss.backward({}, model.loss.forward({}, (y, x[1]))[1], dy)[0][0]
        model, params, x = model.model, params.get("model", {}), x[0]
    if not isinstance(model, Sequential):
        return {}, {}
    y, caches = model.forward(params, x)
    values, grads = {}, {}
    for i, layer in reversed(list(enumerate(model.layers))):
        name = "z" if isinstance(layer, Linear) else "h"
        name += str(sum(isinstance(f, Linear) for f in model.layers[: i + 1]))
        values[name], grads[name] = y, dy
        dy, _ = layer.backward(params.get(str(i), {}), caches[i], dy)
        y = caches[i][0]
    return values, grads


def replay(s: Seen, told: Mapping[str, Array]) -> Found:
    """Mistakes that give these very numbers."""
    for key, value in told.items():
        value = np.asarray(value, float)
        if key.startswith(FUNCTION):
            if s.alike(value):
                yield _of_other_function(key.removeprefix(FUNCTION))
            continue
        id, _, where = key.partition(" ")
        relation = (KNOWN[id].relation if id in KNOWN else f"yours = what {id} gives") + f" ({where})" * bool(where)
        if s.alike(value):
            yield Finding(relation, id, 0.96 if where else 0.97)
        elif id in FREE and s.comparable and value.shape == s.right.shape and s.informative(s.residual):
            c = s.constant(s.residual, value - s.right)
            if c is not None and c > 0:
                yield Finding(relation, id, 0.94)


def _of_other_function(title: str) -> Finding:
    name = title.split("(")[0].split(" ")[0]
    fault = {"GELU": "C10", "HuberLoss": "A18", "SmoothL1Loss": "A18"}.get(name)
    text = f"Your function is {title}, which is not the one intended."
    return Finding(
        f"yours = that of {title}", fault, 0.9, "", text, f"write the forward that is meant, or mean {title}"
    )


__all__ = ["replay", "with_replays"]
