"""Is a gradient that somebody derived by hand right, and if not, what is the mistake?

    check_gradients({"W": dW}, loss=…, at={"W": W})              numbers from any language
    check_function(forward, backward, against=…, inputs=…)       two functions, an object, an autograd.Function
    check_pointwise(f, df, against=…)                            an activation and its slope
    check_layer(MyLayer, against=…)                              a manualbp.Layer
    check_optimizer(step, against=torch.optim.Adam, lr=0.1)      an update rule, or an optimizer class
    check_model(model, x)                                        a torch model, back-propagated by hand

All give a `Report`: true where the gradient stands, printed as one screen.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from manualbp.base import Layer, flatten, options_of, registry, tree_map

from .diagnose import replays
from .draw import architectures
from .draw.case import Case
from .draw.trial import Trial
from .golden.written import gradients_in, is_path, places_in
from .judge import judge, judge_numbers
from .judge_evidence import Judged
from .judge_updates import judge_step
from .report.report import Report
from .sides import mistaken, numbers
from .sides.around import pairs
from .sides.backends import EAGER, usable
from .sides.bring import Brought, bring, bring_pointwise
from .sides.candidate import Candidate, Numbers
from .sides.compiled import Compiled, function_side
from .sides.complex import InPairs, LayerOfPairs, has_complex
from .sides.devices import CPU
from .sides.function import Function
from .sides.hand import Hand
from .sides.module import given_module, twin_of
from .sides.raised import for_users
from .sides.side import Side
from .sides.yours import OfLayer
from .twin import modules
from .twin.conventions import as_in

Spec = Any  # a shape ("N", "D") or (4, 3), an array, Indices, or a hypothesis strategy


@for_users
def check_gradients(
    gradients: Mapping[str, Any] | Any, *, loss: Callable[..., torch.Tensor] | None = None,
    at: Mapping[str, Any] | Any, title: str = "gradients",
) -> Report:  # fmt: skip
    """Gradients as numbers against autograd's gradients of a loss.

    gradients  arrays or tensors by name, {"W": …}, or as you call them, {"dW": …}; they are judged in their dtype.
               By complex numbers: in torch's convention, ∂L/∂Re + i ∂L/∂Im
    loss       torch code that takes the arrays of `at` as tensors of this dtype, by position or by name; left out
               where `at` is a recording: the gradients recorded are the right ones, with their bounds
    at         where the gradients were taken: arrays by name. Integers are passed on, as labels are; those by which a
               gradient is given are taken for real numbers

    Each may be the path of a safetensors file in the place of a dict, or of a folder that `manualbp record` wrote.

    >>> check_gradients({"W": dW}, loss=lambda W: ((x @ W.T - t) ** 2).mean(), at={"W": W})
    >>> check_gradients("from_my_c_program.safetensors", at="golden/")
    """
    gradients = gradients_in(gradients)
    if loss is None:
        if not is_path(at):
            raise ValueError(f"the loss is missing: {numbers.RIGHT}; without one `at` is the folder of a recording")
        from .golden.replay import gradients_beside  # which imports this file, by way of models

        return gradients_beside(gradients, at, title)
    given = numbers.brought(gradients, places_in(at), loss)
    torch = Function(given.loss, only=tuple(given.gradients))
    judged = Judged(Numbers(given.gradients, given.dtype), None, torch)
    report = judge_numbers(title, judged, Trial(given.at, dy=np.ones(())).cast(given.dtype))
    return replace(report, wrong_side="gradients") if report.wrong_side else report


@for_users
def check_function(
    forward: Any, backward: Callable | None = None, *, inputs: Mapping[str, Spec], against: Any = None,
    get: Callable | None = None, set: Callable | None = None, options: Mapping[str, float] | None = None,
    where: Callable | None = None, accumulates: bool = False, dtype: str | None = None, device: str = CPU,
    seed: int = 0, title: str | None = None, torch: str = EAGER,
) -> Report:  # fmt: skip
    """A forward and a backward against a function of torch, on random inputs of several sizes.

    forward   (x, w, b) -> y or y, cache;  or a class or object with forward and backward methods; or a
              torch.autograd.Function, its apply, or torch code around it
    backward  (dy, cache), (dy, x, w, b) or (dy) -> gradients in the order of the inputs, or a dict by name;
              left out: forward(x, …) gives (loss, gradients) at once, or (y, back), where back(dy) gives them
    inputs    name -> shape, with sizes by name (("N", "2*D")) or as numbers; or an array; Indices(("N",), below="C");
              Positive(("N",)), Between, Probabilities, Sorted, OneHot, Orthogonal, SPD, Complex; Constant(("N",)) for
              what is not differentiated; a hypothesis strategy; dicts and lists of these, as {"params": {"W": …}} or
              {"Ws": […]}, with gradients put together alike; numbers, strings, flags are handed on. By name, where the
              names are those of forward, else in this order
    against   the function intended: torch code of the same inputs, or a torch.nn module. Left out: the differences of
              your own forward decide. If it returns (y, {"z": z}), what your cache and gradients call z is compared too
    get, set  for objects: where a gradient is, where a parameter goes: get(obj, name), set(obj, name, array)
    options   numbers that your function depends on, as {"p": 0.3}: a wrong factor may be one of them
    where     which sizes are possible: where=lambda s: s["D"] % 2 == 0, or of those that it names, lambda N, D: N > D
    accumulates  gradients are meant to be added up from call to call, as torch's are
    dtype     the precision that it is made for and judged in: "float64", "float32", "float16", "bfloat16"; left out:
              float64, or that of the arrays in `inputs`
    device    where it computes, as "cuda": it is given tensors there, laid out as its inputs would be; `against` stays
              on the CPU
    torch     how `against` runs: "eager", as it is, or a backend of torch.compile, as "inductor"

    >>> check_function(affine_forward, affine_backward, against=torch.nn.functional.linear,
    ...                inputs={"x": ("N", "D"), "w": ("M", "D"), "b": ("M",)})
    """
    mistaken.class_only(forward)
    usable(torch, "check_function(…, torch=…)")
    title = title or getattr(forward, "__name__", type(forward).__name__)
    job = bring(
        forward, backward, inputs, _truth(against, inputs), get=get, put=set, options=options, where=where,
        accumulates=accumulates, seed=seed, dtype=dtype, device=device,
    )  # fmt: skip
    return _of(title, job, torch)


def _of(title: str, job: Brought, torch: str) -> Report:
    """The report on what was brought, with what was found before anything was compared."""
    intended, low = None if job.truth is None else function_side(job.truth, torch), job.precision.eager(job.truth)
    judged = Judged(Candidate(job.subject), job.subject, intended, job.options, low=low)
    return _with_notes(judge(title, judged, job.trials), job)


def _with_notes(report: Report, job: Brought) -> Report:
    """With what was found before anything was compared, and without the gradients of constants: there are none."""
    tensors = tuple(t for t in report.tensors if not (t.is_gradient and t.of.path in job.constants))
    report = replace(report, tensors=tensors, notes=(*report.notes, *job.notes))
    if not job.differs:
        return report
    side = "forward" if report.verdict in ("identical", "rounding") else "both"
    return replace(report, verdict="wrong", wrong_side=side, culprit="y", notes=(job.differs, *report.notes))


def _truth(against: Any, inputs: Any) -> Callable | None:
    """The function intended as torch code of positional tensors."""
    if isinstance(against, type) and issubclass(against, nn.Module):
        against = mistaken.module_of(against)
    if isinstance(against, nn.Module):
        mistaken.module_of_other_inputs(module := against, inputs)

        def called(*x: Any) -> Any:
            real = next((t.dtype for t in x if t.is_floating_point()), torch.float64)
            return modules.call(module.to(real), x if len(x) > 1 else x[0])

        return called
    return against


@for_users
def check_pointwise(
    f: Callable, df: Callable, *, against: Any = None, shape: Spec = ("N", "D"), dtype: str | None = None,
    seed: int = 0, title: str | None = None,
) -> Report:  # fmt: skip
    """An activation f and its slope df, entry by entry. dtype: as check_function takes it.

    >>> check_pointwise(np.tanh, lambda x: 1 - np.tanh(x) ** 2, against=torch.tanh)
    """
    truth, title = _truth(against, {"x": shape}), title or getattr(f, "__name__", "f")
    return _of(title, bring_pointwise(f, df, truth, shape, against, seed, dtype), EAGER)


@for_users
def check_layer(
    layer: Any, *, against: Any = None, examples: int = 10, seed: int = 0, shape: tuple[int, ...] | None = None,
    torch: str = EAGER,
) -> Report:  # fmt: skip
    """A layer of your own: a manualbp.Layer class (random options and shapes from its `example`), or one layer.

    against   a torch.nn class or module of the same parameters; left out, and no class of torch.nn has its name: the
              differences of its own forward decide
    torch     how `against` runs: "eager", as it is, "export", or a backend of torch.compile, as "inductor"
    """
    mistaken.layer_only(layer)
    usable(torch, "check_layer(…, torch=…)")
    found = _examples(layer, examples, seed, shape)
    reports = [on_case(case, torch=_twin(case.layer, case.seed, against, torch)) for case in found]
    return next((r for r in reports if not r.stands), max(reports, key=lambda r: r.power or 0.0))


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


def on_case(case: Case, layer: Layer | None = None, torch: Side | None = None, title: str | None = None) -> Report:
    """The report on a layer, the case's own or another in its place, with the numbers of a case."""
    return on_layer(as_in(layer or case.layer), case.trial(), torch, case.layer, title)


def on_layer(
    layer: Layer, trial: Trial, torch: Side | None, right: Layer | None = None, title: str | None = None
) -> Report:
    """A layer's forward and backward on a trial, beside another side or by its own differences. `right`: the layer
    that was meant, in which the catalogue's mistakes are made to explain what is wrong."""
    buffers = tuple(sorted(layer.buffer_names() & flatten(trial.params).keys()))
    trial = replace(trial, buffers=buffers)
    title = title or repr(layer)
    options = {k: float(v) for k, v in options_of(layer).items() if isinstance(v, (int, float))}
    if has_complex(trial):
        layer, right, torch = LayerOfPairs(layer, trial), None, InPairs(torch, trial) if torch else None
        trial = trial.map(lambda tree: tree_map(pairs, tree))
    subject = OfLayer(layer, (trial.params, trial.x), trial.seed, buffers)
    known = right is not None and type(right).__name__ in registry()
    replay = partial(replays.of_layer, right, trial.seed) if known else None
    return judge(title, Judged(Hand(layer, trial.seed), subject, torch, options, replay), [trial])


def _twin(layer: Layer, seed: int, against: Any, way: str) -> Side | None:
    """The side to compare with; None if there is none of this name."""
    name = type(layer).__name__
    if against is None and not (hasattr(nn, name) or hasattr(modules, name)):
        return None
    twin = twin_of(layer, seed) if against is None else given_module(against, layer, seed)
    return twin if way == EAGER else Compiled(twin.make, twin.seed, cut=twin.cut, backend=way)


@for_users
def check_optimizer(step: Any, *, against: Any = None, steps: int = 12, seed: int = 0, **options: Any) -> Report:
    """An update rule against another, in lock-step on the same gradients.

    step     (p, g, state) -> p, state;  the state is what you like, None before the first step; without a state
             (p, g) -> p;  lists or dicts of arrays in the place of p and g;  in place, with nothing returned
             an object, a class or a function that makes one: update(params, grads), or of the params and then
             step(grads), or step() after .grads, or .grad of each parameter, was set
             a torch.optim.Optimizer class, or a function that makes one of the parameters
    against  a torch.optim.Optimizer class, torch's or another;  or a rule in any form that step may have
    steps    how many are compared, the last one on large gradients: more than a warm-up lasts
    options  of `against`, handed on to a class or a function that is checked where it takes options of these names

    >>> check_optimizer(lambda p, g, s: (p - 0.1 * g, s), against=torch.optim.SGD, lr=0.1)
    >>> check_optimizer(MyLion, against=their_lion_step, lr=0.1)
    """
    return judge_step(step, against, steps, seed, options)


def __getattr__(name: str) -> Any:
    """`check_model` was here once; its file imports this one."""
    if name == "check_model":
        from .models import check_model

        return check_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
