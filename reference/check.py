"""Is a gradient that somebody derived by hand right, and if not, what is the mistake?

    check_gradients({"W": dW}, loss=…, at={"W": W})              numbers from any language
    check_function(forward, backward, against=…, inputs=…)       two functions, an object, an autograd.Function
    check_pointwise(f, df, against=…)                            an activation and its slope
    check_layer(MyLayer, against=…)                              a manualbp.Layer
    check_optimizer(step, against=torch.optim.Adam, lr=0.1)      an update rule

All give a `Report`: true where the gradient stands, printed as one screen.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from manualbp.base import Layer, Params, flatten, options_of, registry, run, unflatten

from .compare.bound import EPS
from .compare.comparison import within
from .compare.examine import LOOKS, examine, floor_of, floor_under, spread, truth_runs
from .compare.steps import check_step
from .diagnose import recognise
from .diagnose.diagnosis import explain
from .diagnose.evidence import Evidence
from .draw import architectures
from .draw.case import Case, cast
from .draw.plans import Inputs
from .draw.trial import Trial, numbers
from .report.report import Report
from .sides.arguments import calling
from .sides.bring import Brought, bring, constants
from .sides.record import inputs as layer_inputs
from .sides.run import leaves
from .sides.yours import OfLayer, Pointwise, rebuilt
from .twin import modules, randomness
from .twin.layers import from_torch, quiet, to_torch

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # torch's names of buffers that stand in evaluation
Spec = Any  # a shape ("N", "D") or (4, 3), an array, Indices, or a hypothesis strategy


def check_gradients(
    gradients: Mapping[str, Any], *, loss: Callable[..., torch.Tensor], at: Mapping[str, Any], title: str = "gradients"
) -> Report:
    """Gradients as numbers against autograd's gradients of a loss.

    gradients  arrays by name;  loss: torch code that takes the arrays of `at` as tensors, by position or by name
    at         where the gradients were taken: arrays by name; integers are passed on, too

    >>> check_gradients({"W": dW}, loss=lambda W: ((x @ W.T - t) ** 2).mean(), at={"W": W})
    """
    at = {n: np.asarray(a) for n, a in at.items()}
    if unknown := gradients.keys() - at.keys():
        raise ValueError(f"gradients of {', '.join(sorted(unknown))} are given, but `at` has only {', '.join(at)}")
    given = {n: np.asarray(g) for n, g in gradients.items()}
    truth = by_name(loss, tuple(at))
    trial, one = Trial(at), np.ones(())
    dtype = "float32" if all(g.dtype == np.float32 for g in given.values()) else "float64"
    found = truth_runs(truth, at, one)
    runs = {d: run.grads for d, run in found.items()}
    noise = spread(truth, Trial(cast(at, "float64")), one, found["float64"], LOOKS)
    floor = floor_of(trial, one, found[dtype], EPS[dtype])[1]
    tensors, evidence = [], []
    for n, g in given.items():
        right = runs["float64"][n]
        g = g if dtype == "float32" else np.asarray(g, float)
        allowed = noise.get(f"d{n}", 0.0) + floor_under(right, floor)
        t = within(f"d{n}", g, g, g, runs["float32"][n], right, dtype, allowed)
        tensors.append(t)
        if not t.ok:
            others = {k: a for k, a in runs["float64"].items() if a is not None}
            evidence.append(Evidence(n, g, np.asarray(right), t.bound, at, others, given, numbers(trial)))
    wrong = [t for t in tensors if not t.ok]
    if wrong:
        suspects, notes = explain(evidence, evidence)
        told = wrong[0].name, suspects, tuple(tensors), (), notes
        return Report(title, "wrong", "backward", *told, shown=str(trial))
    verdict = "vacuous" if all(t.power is None for t in tensors) else "rounding"
    verdict = "identical" if verdict == "rounding" and all(t.identical for t in tensors) else verdict
    return Report(title, verdict, None, None, (), tuple(tensors), shown=str(trial))


def by_name(f: Callable, names: tuple[str, ...]) -> Callable:
    """A function of positional tensors that calls f by position, or by name where f's own names are these."""
    call = calling(f, names, "loss")
    return lambda *tensors: call(dict(zip(names, tensors, strict=True)))


def check_function(
    forward: Any, backward: Callable | None = None, *, inputs: Mapping[str, Spec], against: Any = None,
    get: Callable | None = None, set: Callable | None = None, options: Mapping[str, float] | None = None,
    where: Callable | None = None, accumulates: bool = False, seed: int = 0, title: str | None = None,
) -> Report:  # fmt: skip
    """A forward and a backward against a function of torch, on random inputs of several sizes.

    forward   (x, w, b) -> y or y, cache;  or a class or object with forward and backward methods; or a
              torch.autograd.Function, its apply, or torch code around it
    backward  (dy, cache), (dy, x, w, b) or (dy) -> gradients in the order of the inputs, or a dict by name;
              left out: forward(x, …) gives (loss, gradients) at once
    inputs    name -> shape, with sizes by name (("N", "2*D")) or as numbers; or an array; Indices(("N",), below="C");
              Positive(("N",)), Between, Probabilities, Sorted, OneHot, Orthogonal, SPD, Complex; Constant(("N",)) for
              what is not differentiated; a hypothesis strategy; numbers, strings and flags are handed on. By name,
              where the names are those of forward, else in this order
    against   the function intended: torch code of the same inputs, or a torch.nn module. Left out: the differences of
              your own forward decide. If it returns (y, {"z": z}), what your cache and gradients call z is compared too
    get, set  for objects: where a gradient is, where a parameter goes: get(obj, name), set(obj, name, array)
    options   numbers that your function depends on, as {"p": 0.3}: a wrong factor may be one of them
    where     which sizes are possible: where=lambda s: s["D"] % 2 == 0
    accumulates  gradients are meant to be added up from call to call, as torch's are

    >>> check_function(affine_forward, affine_backward, against=torch.nn.functional.linear,
    ...                inputs={"x": ("N", "D"), "w": ("M", "D"), "b": ("M",)})
    """
    job = bring(
        forward, backward, inputs, _truth(against), get=get, put=set, options=options, where=where,
        accumulates=accumulates, seed=seed,
    )  # fmt: skip
    title = title or getattr(forward, "__name__", type(forward).__name__)
    report = examine(title, job.subject, job.truth, job.trials, job.options, recognise.of_function(job.truth))
    return _with_notes(report, job)


def _with_notes(report: Report, job: Brought) -> Report:
    """With what was found before anything was compared."""
    report = replace(report, notes=(*report.notes, *job.notes))
    if not job.differs:
        return report
    side = "forward" if report.verdict in ("identical", "rounding") else "both"
    told = f"y differs from `against` by up to {job.differs:.3g} of its largest entry"
    return replace(report, verdict="wrong", wrong_side=side, culprit="y", notes=(told, *report.notes))


def _truth(against: Any) -> Callable | None:
    """The function intended as torch code of positional tensors."""
    if isinstance(against, type) and issubclass(against, nn.Module):
        against = against()
    if isinstance(against, nn.Module):
        module = against

        def called(*x: Any) -> Any:
            real = next((t.dtype for t in x if t.is_floating_point()), torch.float64)
            return modules.call(module.to(real), x if len(x) > 1 else x[0])

        return called
    return against


def check_pointwise(f: Callable, df: Callable, *, against: Any = None, shape: Spec = ("N", "D"), **more: Any) -> Report:
    """An activation f and its slope df, entry by entry.

    >>> check_pointwise(np.tanh, lambda x: 1 - np.tanh(x) ** 2, against=torch.tanh)
    """
    subject, truth = Pointwise(f, df), _truth(against)
    title = more.pop("title", getattr(f, "__name__", "f"))
    inputs = Inputs({"x": shape}, constants=constants((f, df, against), {}))
    trials = [t for plan in inputs.plans(0) if (t := inputs.trial(plan)) is not None]
    return examine(title, subject, truth, trials, None, recognise.of_function(truth))


def check_layer(
    layer: Any, *, against: Any = None, examples: int = 10, seed: int = 0, shape: tuple[int, ...] | None = None
) -> Report:
    """A layer of your own: a manualbp.Layer class (random options and shapes from its `example`), or one layer.

    against   a torch.nn class or module of the same parameters; left out, and no class of torch.nn has its name: the
              differences of its own forward decide
    """
    cls = layer if isinstance(layer, type) else type(layer)
    found = _examples(layer, examples, seed, shape)
    reports = [_one_layer(case, cls, against) for case in found]
    return next((r for r in reports if not r), max(reports, key=lambda r: r.power or 0.0))


def _examples(layer: Any, examples: int, seed: int, shape: tuple[int, ...] | None) -> list[Case]:
    """Cases of a class, or of one layer, with real numbers and with small integers."""
    made: list[Case] = []
    for i in range(examples * 3):
        choose, exact = architectures.Drawn((seed, i)), i % 3 == 2
        if isinstance(layer, type):
            case = architectures.case_of(choose, layer, exact)
        else:
            ranks = layer.ranks
            case = Case(layer, shape or architectures.shape_of(choose, ranks), i, exact)
        if case is not None and len(made) < examples:
            made.append(case)
    if not made:
        raise ValueError(f"no example of {layer} could be drawn: its example(choose, shape) gives None for every shape")
    return made


def _one_layer(case: Case, cls: type, against: Any) -> Report:
    replay = recognise.of_layer(case) if cls.__name__ in registry() else None
    return on_case(case, case.layer, _twin(case.layer, against), replay)


def on_case(case: Case, layer: Layer, twin: nn.Module | None, replay: Any = None) -> Report:
    """The report on a layer, the case's own or another in its place, with the parameters and input of a case."""
    params, x, _ = case.data()
    options = {k: float(v) for k, v in options_of(case.layer).items() if isinstance(v, (int, float))}
    return on_layer(layer, params, x, Trial({}, integers=case.exact, seed=case.seed), twin, options, replay)


def on_layer(
    layer: Layer, params: Params, x: Any, trial: Trial, twin: nn.Module | None,
    options: Mapping[str, float] | None = None, replay: Any = None, title: str | None = None,
) -> Report:  # fmt: skip
    """A layer's forward and backward, on these parameters and inputs, beside a module with the same parameters."""
    buffers = [n for n, _ in twin.named_buffers()] if twin is not None else _buffers(layer, params, x, trial.seed)
    subject = OfLayer(layer, (params, x), trial.seed, buffers)
    inputs = {n: a for n, a in leaves(x, "x").items() if isinstance(a, (np.ndarray, np.generic))}
    arrays = {**inputs, **{n: p for n, p in flatten(params).items() if n not in buffers}}
    truth = None if twin is None else _as_function(twin, layer, params, x, tuple(inputs), trial.seed)
    return examine(title or repr(layer), subject, truth, [replace(trial, arrays=arrays)], options, replay)


def _buffers(layer: Layer, params: Params, x: Any, seed: int) -> list[str]:
    """Without a twin: what training moves, and what has the name of such a statistic."""
    _, cache = run(layer, params, x, np.random.default_rng(seed))
    moved, before = flatten(layer.track(params, cache)), flatten(params)
    return [n for n, a in moved.items() if a is not before[n] or n.rsplit(".")[-1] in STATISTICS]


def _twin(layer: Layer, against: Any) -> nn.Module | None:
    """The module to compare with; None if there is none of this name."""
    if isinstance(against, nn.Module):
        return against
    if isinstance(against, type):
        return against(**{k: v for k, v in options_of(layer).items() if k != "training"})
    name = type(layer).__name__
    return to_torch(layer) if hasattr(nn, name) or hasattr(modules, name) else None


def _as_function(
    module: nn.Module, layer: Layer, params: Params, x: Any, inputs: tuple[str, ...], seed: int
) -> Callable:
    """The module as a function of its inputs and parameters, by position. Its buffers are what `params` holds; what
    they are after the pass is returned beside the output."""
    buffers = {n for n, _ in module.named_buffers()}
    names = tuple(n for n in flatten(params) if n not in buffers)
    state = {n: torch.from_numpy(np.array(a)) for n, a in flatten(params).items() if n in buffers}

    def truth(*tensors: torch.Tensor) -> Any:
        real = next((t.dtype for t in tensors if t.is_floating_point()), torch.float64)
        kept = {n: t.to(real if t.is_floating_point() else t.dtype, copy=True) for n, t in state.items()}
        fresh = {**dict.fromkeys(leaves(x, "x")), **dict(zip(inputs, tensors))}
        given = rebuilt(x, {n: fresh[n] if n in inputs else a for n, a in leaves(x, "x").items()} | fresh, "x")
        held = kept | dict(zip(names, tensors[len(inputs) :]))
        with quiet(), randomness.shared(seed if layer.random else None):
            y = _functional(module.to(real), held, given)
        return (y, kept) if kept else y

    return truth


class _Called(nn.Module):
    """A module that takes its inputs as a layer does: a tuple of several."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return modules.call(self.inner, x)


def _functional(module: nn.Module, state: dict[str, torch.Tensor], x: Any) -> Any:
    """module(x) with these parameters and buffers instead of its own."""
    return torch.func.functional_call(_Called(module), {f"inner.{n}": t for n, t in state.items()}, (x,))


def check_model(model: nn.Module, sample: Any, seed: int = 0) -> list[Report]:
    """A torch model of supported layers, back-propagated by hand: one report of the whole, and one for each layer."""
    layer, params = from_torch(model)
    params, x = cast(params, float), cast(sample, float)
    found = [on_layer(layer, params, x, Trial({}, seed=seed), to_torch(layer, params), title="the whole model")]
    nested = flatten(params)
    for path, inner, given, _ in layer_inputs(layer, params, x, seed):
        own = unflatten({n.removeprefix(path + "."): p for n, p in nested.items() if n.startswith(path + ".")})
        own = own if path else params
        trial, title = Trial({}, seed=seed), f"{path or 'model'}: {inner}"
        found.append(on_layer(inner, own, given, trial, _twin(inner, None), title=title))
    return found


def check_optimizer(
    step: Callable, *, against: type[torch.optim.Optimizer], steps: int = 6, seed: int = 0, **options: Any
) -> Report:
    """An update rule against one of torch.optim, in lock-step on the same gradients.

    step  (p, g, state) -> p, state;  the state is what you like, None before the first step

    >>> check_optimizer(lambda p, g, s: (p - 0.1 * g, s), against=torch.optim.SGD, lr=0.1)
    """
    return check_step(step, against, steps, seed, options)
