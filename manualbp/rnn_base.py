"""One step, taken again at every time with the same weights: what RNN, LSTM and GRU share.

Beside RNNBase in torch/nn/modules/rnn.py.
"""

# pyright: reportAttributeAccessIssue=false
# (every class declares its options itself, since their order is torch's; the families read them)

import math
import operator
from typing import Any, ClassVar

import numpy as np

from .base import INTEGER, Array, Layer, Params, Tree, add, needs_rng, run, shape, uniform
from .dropout import Dropout

Form = tuple[int, bool]  # how inputs came: in a tuple of what length (0: the input by itself), with a state or without


class _Recurrent(Layer, family=True):
    """A state and the step that moves it.

    The input has a share  a = x W_ihᵀ + b_ih  in a step, the state a share  s = h W_hhᵀ + b_hh. A subclass gives
    its own equations:
    step(a, s, h, …)        -> (u, …), kept     u: the new h, before a projection if there is one; …: an LSTM's c
    step_back(kept, du, …)  -> da, ds, dh, …    dh without the path through s; None stands for 0
    """

    gates: ClassVar[int] = 1  # rows of the weights, in units of hidden_size
    states: ClassVar[str] = "h0"
    proj_size = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("input_size", "hidden_size", "num_layers"):
            if getattr(self, name, 1) < 1:
                raise ValueError(f"{self}: {name} must be 1 or more")
        if not 0 <= self.proj_size < self.hidden_size:
            raise ValueError(f"{self}: proj_size must be less than hidden_size, or 0 for no projection")
        if not 0 <= getattr(self, "dropout", 0) <= 1:
            raise ValueError(f"{self}: dropout is a probability, in [0, 1]")
        if getattr(self, "nonlinearity", "tanh") not in ("tanh", "relu"):
            raise ValueError(f"{self}: nonlinearity must be 'tanh' or 'relu'")

    def step(self, a: Array, s: Array, *state: Array) -> tuple[tuple[Array, ...], tuple]:
        raise NotImplementedError

    def step_back(self, kept: tuple, *dstate: Array | None) -> tuple:
        raise NotImplementedError

    def _lead(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The axes of a state but its last, for an input of this shape."""
        raise NotImplementedError

    @property
    def _widths(self) -> tuple[str, ...]:
        """The options that say how wide h is, and c."""
        return ("proj_size" if self.proj_size else "hidden_size", "hidden_size")[: len(self.states.split())]

    def _unpack(self, x: Tree, optional: str = "hx") -> tuple[Any, ...]:
        """Input, state, whatever else is optional, and how they came."""
        length = len(x) if isinstance(x, tuple) else 0
        x, hx, *others = self.unpack(x if length else (x,), "input", optional)
        return x, hx, *others, (length, hx is not None)

    def _state(self, hx: Tree, x: Array) -> tuple[Array, ...]:
        """The state as a tuple, 0 if it is None."""
        lead, names = self._lead(x.shape), self.states.split()
        if hx is None:
            return tuple(np.zeros((*lead, getattr(self, width)), x.dtype) for width in self._widths)
        state = (hx,) if len(names) == 1 else self.unpack(hx, self.states)
        for name, q, width in zip(names, state, self._widths, strict=True):
            text = f"({', '.join([*map(str, lead), width])}) as {name}"
            self.takes(shape(q) == (*lead, getattr(self, width)), q, text)
        return state

    def _draw(self, rng: np.random.Generator, dtype: Any, width: int, suffix: str = "") -> Params:
        """Parameters of a step whose input is so wide, in torch's order: U(±1/√hidden_size)."""
        H, P, rows = self.hidden_size, self.proj_size, self.gates * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, width), "weight_hh": (rows, P or H)}
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)} if self.bias else {}
        shapes |= {"weight_hr": (P, H)} if P else {}
        return {name + suffix: uniform(rng, 1 / math.sqrt(H), size, dtype) for name, size in shapes.items()}

    def _gradients(self, da: Array, ds: Array, x: Array, h: Array) -> Params:
        """Of the weights and biases in a = x W_ihᵀ + b_ih and s = h W_hhᵀ + b_hh."""
        axes = tuple(range(da.ndim - 1))
        weights = {"weight_ih": _product(da, x), "weight_hh": _product(ds, h)}
        if not self.bias:
            return weights
        db = da.sum(axes)
        return weights | {"bias_ih": db, "bias_hh": db if ds is da else ds.sum(axes)}

    @classmethod
    def example(cls, choose, shape):
        return cls(**{"input_size": shape[-1]} | {name: choose(*values) for name, values in cls.options.items()})

    def sample(self, values, shape):
        x = values.real(shape)
        hx = tuple(values.real(q.shape) for q in self._state(None, x))
        return x if values.rng.random() < 0.3 else (x, _alone(hx))


def _affine(x: Array, params: Params, of: str) -> Array:
    """x Wᵀ + b, as one product over all axes but the last."""
    W = params[f"weight_{of}"]
    y = (x.reshape(-1, x.shape[-1]) @ W.T).reshape(*x.shape[:-1], len(W))
    return y + params[f"bias_{of}"] if f"bias_{of}" in params else y


def _steps(lengths: Array | None, T: int) -> tuple[Array | None, Any]:
    """Is step t within sequence n, (T, N, 1); and the places of those that are, in the order of packed sequences."""
    if lengths is None:
        return None, ...
    live = np.arange(T)[:, None] < lengths
    longest = np.argsort(-lengths, kind="stable")
    t, k = np.nonzero(live[:, longest])
    return live[..., None], (t, longest[k])


def _at_rows(x: Array, rows: Any, to: tuple[int, ...]) -> Array:
    """An array of this shape with x at these places, and 0 elsewhere."""
    if rows is ...:
        return x
    y = np.zeros(to, x.dtype)
    y[rows] = x
    return y


def _where(live: Array, new: tuple, old: tuple) -> tuple:
    """The new state where its sequence goes on, else the old one; None stands for 0."""
    return tuple(np.where(live, p, 0 if q is None else q) for p, q in zip(new, old, strict=True))


def _through(da: Array, W: Array) -> Array:
    """da W, as one product: the gradient of x where a = x Wᵀ."""
    return (da.reshape(-1, len(W)) @ W).reshape(*da.shape[:-1], W.shape[1])


def _parts(a: Array, count: int) -> Array:
    """The last axis cut into so many equal parts, along a first axis. np.split takes longer than a step of an LSTM."""
    return a.reshape(*a.shape[:-1], count, a.shape[-1] // count).swapaxes(0, -2)


def _product(dq: Array, x: Array) -> Array:
    """Σ dqᵀ x over all axes but the last: the gradient of W where q = x Wᵀ."""
    return dq.reshape(-1, dq.shape[-1]).T @ x.reshape(-1, x.shape[-1])


def _alone(state: tuple[Any, ...]) -> Tree:
    """(h, c) as it is, but h by itself where there is no c: so torch takes and gives a state."""
    return state[0] if len(state) == 1 else state


def _mirror(dx: Array, dhx: tuple[Array, ...], form: Form) -> Tree:
    """Gradients nested as input and state came; lengths have none."""
    length, given = form
    return (dx, _alone(dhx) if given else None, None)[:length] if length else dx


class _RNNBase(_Recurrent, family=True):
    """A step taken at every time, in one or two directions, in one or several layers.

    Forward   one layer in one direction, from a state h₀ that is given or 0, for t = 1 … T:
              (1) aₜ = xₜ W_ihᵀ + b_ih
              (2) sₜ = hₜ₋₁ W_hhᵀ + b_hh
              (3) uₜ, … = step(aₜ, sₜ, hₜ₋₁, …), which every layer defines
              (4) hₜ = uₜ W_hrᵀ  with proj_size, else  hₜ = uₜ
              The other direction is the same on reversed time. A layer gives  y = [h→ | h←],  the next one takes
              its dropout. With lengths, a sequence of the batch ends after its own number of steps:
              (5) beyond it  hₜ, … = hₜ₋₁, …,  yₜ = 0;  the other direction begins at its end, with h₀
    Backward  hₜ reaches L by two paths: as output, and through step t+1. So, beginning with the gradient of the last
              state, for t = T … 1:
              (4′) dhₜ = dyₜ + (dhₜ from step t+1);  duₜ = dhₜ W_hr,  dW_hr = Σₜ dhₜᵀ uₜ
              (3′) daₜ, dsₜ, dhₜ₋₁, … = step_back(…, duₜ, …)
              (2′) dhₜ₋₁ ← dhₜ₋₁ + dsₜ W_hh;  dW_hh = Σₜ dsₜᵀ hₜ₋₁,  db_hh = Σₜ dsₜ
              (1′) dxₜ = daₜ W_ih;  dW_ih = Σₜ daₜᵀ xₜ,  db_ih = Σₜ daₜ
              (5′) beyond the end of a sequence  dhₜ₋₁, … = dhₜ, …,  daₜ = dsₜ = 0,  and dyₜ does not count
              Both directions read x, so their dx add.

    Dropout draws after layer 0, 1, …, the last but one, each time for an array of shape (T, N, width of y), whatever
    batch_first says; with lengths, as torch treats packed sequences, for one of shape (steps, width), in which the
    steps stand in the order of time, and at one time those of the longest sequence first.

    Names end in _l0, _l1, … for the layer, and _reverse. weight_ih: (gates·hidden_size, width of x), weight_hh:
    (gates·hidden_size, width of h), bias_ih, bias_hh: (gates·hidden_size,), weight_hr: (proj_size, hidden_size).
    """

    ranks = (2, 3)

    @property
    def random(self) -> bool:
        return self.num_layers > 1 and Dropout(self.dropout, self.training).random

    def _runs(self, layer: int) -> list[tuple[int, str, slice]]:
        """Of each direction: its place among the states, the end of its parameters' names, the order of its time."""
        forth, back = (f"_l{layer}", slice(None)), (f"_l{layer}_reverse", slice(None, None, -1))
        return [(2 * layer, *forth), (2 * layer + 1, *back)] if self.bidirectional else [(layer, *forth)]

    def init(self, rng, dtype=np.float64):
        params: Params = {}
        for layer in range(self.num_layers):
            width = (self.proj_size or self.hidden_size) * (1 + self.bidirectional) if layer else self.input_size
            for _, suffix, _ in self._runs(layer):
                params |= self._draw(rng, dtype, width, suffix)
        return params

    def forward(self, params, x, rng=None):
        rng = needs_rng(self, rng) if self.random else None
        drop = Dropout(self.dropout, self.training)
        x, hx, lengths, form = self._inputs(x)
        live, rows = _steps(lengths, len(x))
        ends, caches, masks = [], [], []
        for layer in range(self.num_layers):
            if layer:
                kept, m = run(drop, {}, x[rows], rng)
                x = _at_rows(kept, rows, x.shape)
                masks.append(m)
            ys = []
            for k, suffix, time in self._runs(layer):
                now = None if live is None else live[time]
                y, end, cache = self._scan(_of(params, suffix), x[time], now, *(q[k] for q in hx))
                ys.append(y[time])
                ends.append(end)
                caches.append(cache)
            x = np.concatenate(ys, -1) if self.bidirectional else ys[0]
        return (self._turn(x), _alone(_pile(ends))), (x.shape, tuple(masks), rows, tuple(caches), form)

    def backward(self, params, cache, dy):
        return self._back(params, cache, dy)

    def gradients(self, params, cache, dy):
        return self._back(params, cache, dy, of_input=False)[1]

    def _back(self, params: Params, cache: tuple, dy: Tree, of_input: bool = True) -> tuple[Tree, Params]:
        y_shape, masks, rows, caches, form = cache
        drop, (dy, d_ends) = Dropout(self.dropout, self.training), dy
        dx = np.zeros(y_shape, caches[-1][1].dtype) if dy is None else self._turn(dy)
        d_ends = d_ends if isinstance(d_ends, tuple) else (d_ends,) * len(self._widths)  # h's, or None for h and c
        grads: Params = {}
        dhx: list[tuple] = [()] * len(caches)
        for layer in reversed(range(self.num_layers)):
            if layer < len(masks):
                dx = _at_rows(drop.backward({}, masks[layer], dx[rows])[0], rows, dx.shape)
            dys, dxs = np.split(dx, 1 + self.bidirectional, -1), []
            for (k, suffix, time), dy in zip(self._runs(layer), dys, strict=True):
                d_end = (None if q is None else q[k] for q in d_ends)
                da, dhx[k], g = self._scan_back(_of(params, suffix), caches[k], dy[time], *d_end)
                if layer or of_input:
                    dxs.append(_through(da, params["weight_ih" + suffix])[time])  # (1′)
                grads |= {name + suffix: dq for name, dq in g.items()}
            dx = sum(dxs[1:], dxs[0]) if dxs else dx
        return _mirror(self._turn(dx), _pile(dhx), form), {name: grads[name] for name in params}

    def _inputs(self, x: Tree) -> tuple[Array, tuple[Array, ...], Array | None, Form]:
        """Input, time first, first state, lengths, and how they were given."""
        x, hx, lengths, form = self._unpack(x, "hx lengths")
        ok = len(shape(x)) in self.ranks and x.shape[-1] == self.input_size and self._turn(x).shape[0] > 0
        self.takes(ok, x, f"({'N, T' if self.batch_first else 'T, N'}, input_size) or (T, input_size) with T > 0")
        if lengths is not None:
            self.takes(x.ndim == 3 and shape(lengths) == self._lead(x.shape)[1:], lengths, "(N,) as lengths", INTEGER)
            if not ((lengths > 0) & (lengths <= len(self._turn(x)))).all():
                raise ValueError(f"{self} takes lengths from 1 to T = {len(self._turn(x))}; it got {lengths.tolist()}")
        return self._turn(x), self._state(hx, x), lengths, form

    def _lead(self, x_shape):
        N = x_shape[:-1][1 - self.batch_first :][:1] if len(x_shape) == 3 else ()
        return (self.num_layers * (1 + self.bidirectional), *N)

    def _turn(self, x: Array) -> Array:
        """To time first, and back."""
        return x.swapaxes(0, 1) if self.batch_first and x.ndim == 3 else x

    def _scan(self, W: Params, x: Array, live: Any, *state: Array) -> tuple[Array, tuple[Array, ...], tuple]:
        """One layer in one direction: outputs, last state, and what `_scan_back` reads. `live`: is a step within its
        sequence?"""
        h, u, kept = [state[0]], [], []
        W_hh, b_hh = np.ascontiguousarray(W["weight_hh"].T), W.get("bias_hh")
        for t, a in enumerate(_affine(x, W, "ih")):  # (1), at once for all t
            s = h[-1] @ W_hh if b_hh is None else h[-1] @ W_hh + b_hh  # (2)
            new, k = self.step(a, s, *state)  # (3)
            u.append(new[0])
            kept.append(k)
            new = (u[-1] @ W["weight_hr"].T if self.proj_size else u[-1], *new[1:])  # (4)
            state = new if live is None else _where(live[t], new, state)  # (5)
            h.append(state[0])
        h = np.stack(h)
        y = h[1:] if live is None else np.where(live, h[1:], 0)
        return y, state, (x, h, np.stack(u) if self.proj_size else None, tuple(kept), live)

    def _scan_back(self, W: Params, cache: tuple, dy: Array, *dstate: Array | None) -> tuple:
        """da, and the gradients of its first state and its parameters."""
        x, h, u, kept, live = cache
        das, dss, dhs = [], [], []
        for t in reversed(range(len(x))):
            now = None if live is None else live[t]
            dh = add(dy[t] if now is None else np.where(now, dy[t], 0), dstate[0])  # (4′)
            du = dh @ W["weight_hr"] if self.proj_size else dh
            da, ds, dh_k, *more = self.step_back(kept[t], du, *dstate[1:])  # (3′)
            if now is not None:
                da, ds, dh = _where(now, (da, ds, dh), (None,) * 3)  # (5′)
            new = (add(dh_k, ds @ W["weight_hh"]), *more)  # (2′)
            dstate = new if now is None else _where(now, new, dstate)
            das.append(da)
            dss.append(ds)
            dhs.append(dh)
        da = np.stack(das[::-1])
        ds = da if all(map(operator.is_, das, dss)) else np.stack(dss[::-1])
        grads = self._gradients(da, ds, x, h[:-1])
        if self.proj_size:
            grads |= {"weight_hr": _product(np.stack(dhs[::-1]), u)}
        return da, dstate, grads

    def sample(self, values, shape):
        x, given = super().sample(values, shape), values.rng.random() < 0.4 and len(shape) == 3
        if not given:
            return x
        first, *state = x if isinstance(x, tuple) else (x, None)
        T, *N = self._turn(first).shape[:-1]
        return first, *state, values.integers(1, T + 1, tuple(N))

    @classmethod
    def example(cls, choose, shape):
        options = {"input_size": shape[-1]} | {name: choose(*values) for name, values in cls.options.items()}
        if options["num_layers"] == 1:
            options["dropout"] = 0.0  # torch warns of any other
        if "proj_size" in options:
            options["proj_size"] = min(options["proj_size"], options["hidden_size"] - 1)
        return cls(**options)


def _of(params: Params, suffix: str) -> Params:
    """The parameters of one layer and direction, without that end of their names."""
    return {name.removesuffix(suffix): p for name, p in params.items() if name.endswith(suffix)}


def _pile(states: list[tuple]) -> tuple[Array, ...]:
    """One state for every layer and direction -> h of all, c of all."""
    return tuple(map(np.stack, zip(*states, strict=True)))
