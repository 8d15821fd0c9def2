"""Training in mini-batches: `fit`, and a model's value over many examples: `predict`, `evaluate`.

objective = Objective(model, CrossEntropyLoss())
done = fit(objective, objective.init(rng), Adam(), (x, t), epochs=10, batch_size=32, rng=rng)
y = predict(model, done.params["model"], x_new)
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .base import Array, Layer, Params, Tree, describe, flatten, run, tree_map
from .checkpoint import Checkpoint, FilePath, matched, save_checkpoint
from .container import Objective
from .optim.base import Optimizer
from .tree import leaves


def fit(
    objective: Layer, params: Params, optimizer: Optimizer, data: Tree, *, epochs: int, batch_size: int,
    rng: np.random.Generator, state: Checkpoint | None = None, on_step: Callable[[Checkpoint], object] | None = None,
    checkpoint: FilePath | None = None, progress: bool = True,
) -> Checkpoint:  # fmt: skip
    """Train until so many epochs are done in all; every epoch takes the examples in a new random order.

    objective    usually Objective(model, loss); its value must be one number. It is run in the mode that it is in
    data         a (nested) tuple of arrays, examples along the first axis of each: (x, t) for an Objective
    state        go on from here, to the bit as if there had been no break; `params` then only says what is expected,
                 and `rng` is set back. Another optimizer is allowed, so a learning rate may change between calls
    on_step      called after every step with the `Checkpoint` reached; training stops where it returns True
    checkpoint   a file that is written after every epoch, and where training stops. Ctrl-C stops it after the last
                 whole step, and what was done is returned
    progress     show a bar, if there is a terminal

    ValueError if data are empty, of unequal length, or hold NaN or infinity (the place is named).
    """
    n = _examples(data, "data")
    _positive(epochs=epochs, batch_size=batch_size)
    now = saved = _begin(params, optimizer, rng, state, n, checkpoint)
    losses = np.concatenate([now.losses, np.zeros(max(epochs - now.epoch, 0) * -(-n // batch_size))])
    try:
        with _bar(progress) as bar:
            task = bar.add_task("", total=epochs * n)
            while now.epoch < epochs:
                now = _step(objective, optimizer, data, now, rng, batch_size, losses)
                bar.update(task, completed=now.epoch * n + now.done, description=f"loss {now.losses[-1]:.4g}")
                if checkpoint is not None and not now.done:
                    save_checkpoint(checkpoint, now)
                    saved = now
                if on_step is not None and on_step(now) is True:
                    break
    except KeyboardInterrupt:
        rng.bit_generator.state = now.rng  # a step that was not finished may have drawn numbers
    if checkpoint is not None and now is not saved:
        save_checkpoint(checkpoint, now)
    return now


def _begin(
    params: Params, optimizer: Optimizer, rng: np.random.Generator, state: Checkpoint | None, n: int,
    path: FilePath | None,
) -> Checkpoint:  # fmt: skip
    """Where training starts: at the parameters given, or at a state that fits them and the data."""
    if state is None:
        if path is not None and Path(path).exists():
            raise FileExistsError(
                f"{path} exists: go on from it with fit(…, state=load_checkpoint({str(path)!r})), or remove it first"
            )
        return Checkpoint(_settled(params), _settled(optimizer.init(params)), rng.bit_generator.state)
    matched(flatten(state.params), flatten(params), "state")
    if state.order is not None and len(state.order) != n:
        raise ValueError(f"state stopped amid an epoch of {len(state.order)} examples; data holds {n}")
    rng.bit_generator.state = state.rng
    return replace(state, params=_settled(state.params), state=_settled(state.state))


def _step(
    objective: Layer, optimizer: Optimizer, data: Tree, now: Checkpoint, rng: np.random.Generator, size: int,
    losses: Array,
) -> Checkpoint:  # fmt: skip
    """One batch: loss, gradient, update, statistics. `losses` has room for all; its entries so far never change."""
    order = rng.permutation(_length(data)) if now.order is None else now.order
    batch, passes = _rows(data, order[now.done : now.done + size]), []

    def gradient(params: Params) -> tuple[Any, Params]:
        loss, cache = run(objective, params, batch, rng)
        if np.ndim(loss):
            raise ValueError(f"{objective} must give one number, as with reduction='mean'; it gave {describe(loss)}")
        passes.append((loss, cache))
        return loss, objective.gradients(params, cache, np.ones_like(loss))

    asked: Any = gradient if optimizer.by_closure else gradient(now.params)[1]
    params, state = optimizer.step(now.params, asked, now.state)
    for _, cache in passes:
        params = objective.track(params, cache)
    losses[k := len(now.losses)] = passes[0][0]
    done = (now.done + size) if now.done + size < len(order) else 0
    return Checkpoint(
        _settled(params), _settled(state), rng.bit_generator.state,
        now.epoch + (not done), done, order if done else None, losses[: k + 1],
    )  # fmt: skip


def predict(model: Layer, params: Params, x: Tree, *, batch_size: int = 256) -> Tree:
    """The model's value for every example of x, in evaluation mode, batch by batch.

    Examples lie along the first axis of every input and of every output. ValueError as in `fit`.
    """
    n, model = _examples(x, "x"), model.eval()
    _positive(batch_size=batch_size)
    batches = (_rows(x, slice(i, i + batch_size)) for i in range(0, n, batch_size))
    return _joined([run(model, params, batch, None)[0] for batch in batches])


def evaluate(objective: Objective, params: Params, data: tuple, *, batch_size: int = 256) -> float:
    """The loss over all of data = (x, t, …) in evaluation mode: of the whole, not a mean of the batches' losses."""
    _examples(data, "data")
    x, *rest = objective.unpack(data, "input target", "more " * max(len(data) - 2, 0))
    prediction = predict(objective.model, params.get("model", {}), x, batch_size=batch_size)
    loss, _ = run(objective.loss.eval(), params.get("loss", {}), (prediction, *rest), None)
    return float(loss)


def _joined(parts: list[Tree]) -> Tree:
    """The outputs of all batches as one."""
    if isinstance(parts[0], tuple):
        return tuple(_joined(list(of_one)) for of_one in zip(*parts, strict=True))
    return None if parts[0] is None else np.concatenate(parts)


def _rows(data: Tree, rows: Any) -> Tree:
    """These examples of every array."""
    return tree_map(lambda a: a[rows], data)


def _length(data: Tree) -> int:
    return next(len(a) for _, a in leaves(data) if a is not None)


def _examples(data: Tree, name: str) -> int:
    """How many examples data hold; a ValueError if that is unclear or none, or if a number is NaN or infinite."""
    found = {place: a for place, a in flatten(data, name).items() if a is not None}
    for place, a in found.items():
        if not isinstance(a, np.ndarray) or a.ndim == 0:
            raise ValueError(f"{place} must be an array with examples along its first axis; it is {describe(a)}")
    lengths = {place: len(a) for place, a in found.items()}
    if not lengths or len(set(lengths.values())) > 1 or 0 in lengths.values():
        told = ", ".join(f"{place} holds {n}" for place, n in lengths.items()) or f"{name} has no array"
        raise ValueError(f"{name} must hold examples, as many in every array; {told}")
    for place, a in found.items():
        if a.dtype.kind in "fc" and not (finite := np.isfinite(a)).all():
            i = tuple(map(int, np.argwhere(~finite)[0]))
            raise ValueError(f"{place}{list(i)} is {a[i]}: {int((~finite).sum())} of {a.size} numbers are not finite")
    return next(iter(lengths.values()))


def _positive(**sizes: int) -> None:
    for name, n in sizes.items():
        if not isinstance(n, int | np.integer) or n < 1:
            raise ValueError(f"{name} must be an integer from 1 on, not {n}")


def _settled(tree: Any) -> Any:
    """Arrays in C order, as a file gives them back: a BLAS may round a transposed one differently."""
    return tree_map(lambda a: np.asarray(a, order="C") if isinstance(a, np.ndarray) else a, tree)


def _bar(wanted: bool) -> Progress:
    """A progress bar in a terminal, none in a file or a pipe."""
    console = Console(stderr=True)
    columns = BarColumn(), MofNCompleteColumn(), TextColumn("examples  {task.description}"), TimeRemainingColumn()
    return Progress(*columns, console=console, disable=not (wanted and console.is_terminal))
