"""Averages of the parameters over the course of a training. Beside torch/optim/swa_utils.py.

state = SWA().init(params);  state = SWA().update(state, params)  after every step that is to count
params = update_bn(net, state["module"], batches)                 where there is batch normalisation
"""

import dataclasses
from collections.abc import Iterable
from typing import Any, dataclass_transform

import numpy as np

from ..base import Array, Layer, Params, as_call, flatten, run, unflatten
from ..batchnorm import _BatchNorm

BUFFERS = _BatchNorm.buffers  # of a network these are the only ones, and an average has no network to ask


@dataclass_transform(frozen_default=True)
class Average:
    """A running average: a subclass gives `mean(a, p, n)`, the average of n + 1 arrays from that of n. The state
    is {"n_averaged": n, "module": averages}; flattened it is the state_dict of torch's AveragedModel.

    Buffers are taken over from the last parameters, or with use_buffers averaged like the rest.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, repr=False)(cls)

    def mean(self, a: Array, p: Array, n: int) -> Array:
        raise NotImplementedError

    def init(self, params: Params) -> dict[str, Any]:
        return {"n_averaged": np.array(0), "module": params}

    def update(self, state: dict[str, Any], params: Params) -> dict[str, Any]:
        n, averages = int(state["n_averaged"]), flatten(state["module"])

        def updated(name: str, p: Array) -> Array:
            if n == 0 or not (self.use_buffers or name.split(".")[-1] not in BUFFERS):
                return p.copy()
            if p.dtype.kind == "f":
                return np.asarray(self.mean(averages[name], p, n))
            # A count: torch takes the mean in float32 and cuts off what is no whole number.
            return np.asarray(self.mean(averages[name].astype("f"), p.astype("f"), n)).astype(p.dtype)

        new = {name: updated(name, p) for name, p in flatten(params).items()}
        return {"n_averaged": np.array(n + 1), "module": unflatten(new)}

    def __repr__(self) -> str:
        return as_call(self)


class SWA(Average):
    """The plain mean of all parameters so far.

    Rule      a ← a + (p − a)/(n + 1),  n: how many a is the mean of;  so  a = (p₁ + … + pₙ₊₁)/(n + 1)
    Source    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson 2018, arXiv:1803.05407, algorithm 1;
              torch.optim.swa_utils.AveragedModel, get_swa_avg_fn
    """

    use_buffers: bool = False

    def mean(self, a, p, n):
        return a + (p - a) / (n + 1)


class EMA(Average):
    """A mean in which the last parameters count most.

    Rule      a ← βa + (1 − β)p,  β: decay;  p itself at first
    Errors    ValueError unless decay in [0, 1]
    Source    Polyak, Juditsky 1992, with exponential weights; torch.optim.swa_utils.AveragedModel, get_ema_avg_fn
    """

    decay: float = 0.999
    use_buffers: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.decay <= 1:
            raise ValueError(f"{self} needs decay in [0, 1]")

    def mean(self, a, p, n):
        return self.decay * a + (1 - self.decay) * p


def update_bn(net: Layer, params: Params, batches: Iterable[Any], rng: np.random.Generator | None = None) -> Params:
    """The parameters with the running statistics of all batch normalisations made anew: the plain mean, over the
    batches, of what the network with these parameters makes of each.

    Averaged weights give other activations than any of the weights that they are the average of, so no statistics
    gathered on the way fit them.
    Source    torch.optim.swa_utils.update_bn
    """
    net, start = _counting(net.train()), {}
    norms = {path for path, layer in net.walk() if isinstance(layer, _BatchNorm)}
    for name, p in flatten(params).items():
        path, _, last = name.rpartition(".")
        if last in BUFFERS and path in norms:
            p = np.ones_like(p) if last == "running_var" else np.zeros_like(p)
        start[name] = p
    params = unflatten(start)
    for x in batches:
        _, cache = run(net, params, x, rng)
        params = net.track(params, cache)
    return params


def _counting(net: Layer) -> Layer:
    """The same network, whose batch normalisations take the plain mean of all batches."""
    net = net.map(_counting)
    return net.replace(momentum=None) if isinstance(net, _BatchNorm) else net
