"""Recurrent layers: one step, taken again at every time with the same weights. Beside torch/nn/modules/rnn.py."""

# pyright: reportAttributeAccessIssue=false
# (every class declares its options itself, since their order is torch's; the families read them)

import math
import operator
from typing import Any, ClassVar

import numpy as np

from .base import Array, Layer, Params, Tree, add, needs_rng, run, shape, uniform
from .dropout import Dropout
from .elementary import sigmoid

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

    def _unpack(self, x: Tree) -> tuple[Any, Tree, Form]:
        length = len(x) if isinstance(x, tuple) else 0
        x, hx = self.unpack(x, "input", "hx") if length else (x, None)
        return x, hx, (length, hx is not None)

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


def _through(da: Array, W: Array) -> Array:
    """da W, as one product: the gradient of x where a = x Wᵀ."""
    return (da.reshape(-1, len(W)) @ W).reshape(*da.shape[:-1], W.shape[1])


def _parts(a: Array, count: int) -> Array:
    """The last axis cut into so many equal parts, along a first axis. np.split takes longer than a step of an LSTM."""
    return a.reshape(*a.shape[:-1], count, -1).swapaxes(0, -2)


def _product(dq: Array, x: Array) -> Array:
    """Σ dqᵀ x over all axes but the last: the gradient of W where q = x Wᵀ."""
    return dq.reshape(-1, dq.shape[-1]).T @ x.reshape(-1, x.shape[-1])


def _alone(state: tuple[Any, ...]) -> Tree:
    """(h, c) as it is, but h by itself where there is no c: so torch takes and gives a state."""
    return state[0] if len(state) == 1 else state


def _mirror(dx: Array, dhx: tuple[Array, ...], form: Form) -> Tree:
    """Gradients nested as input and state came."""
    length, given = form
    return (dx, _alone(dhx) if given else None)[:length] if length else dx


class _RNNBase(_Recurrent, family=True):
    """A step taken at every time, in one or two directions, in one or several layers.

    One layer in one direction, from a state h₀ that is given or 0, for t = 1 … T:
      (1)  aₜ = xₜ W_ihᵀ + b_ih
      (2)  sₜ = hₜ₋₁ W_hhᵀ + b_hh
      (3)  uₜ, … = step(aₜ, sₜ, hₜ₋₁, …)
      (4)  hₜ = uₜ W_hrᵀ  with proj_size, else  hₜ = uₜ
    The other direction is the same on reversed time. A layer gives  y = [h→ | h←],  the next one takes Dropout(y).

    hₜ reaches L by two paths: as output, and through step t+1. So, beginning with the gradient of the last state,
    for t = T … 1:
      (4′) dhₜ = dyₜ + (dhₜ from step t+1);  duₜ = dhₜ W_hr,  dW_hr = Σₜ dhₜᵀ uₜ
      (3′) daₜ, dsₜ, dhₜ₋₁, … = step_back(…, duₜ, …)
      (2′) dhₜ₋₁ ← dhₜ₋₁ + dsₜ W_hh;  dW_hh = Σₜ dsₜᵀ hₜ₋₁,  db_hh = Σₜ dsₜ
      (1′) dxₜ = daₜ W_ih;  dW_ih = Σₜ daₜᵀ xₜ,  db_ih = Σₜ daₜ
    Both directions read x, so their dx add. Dropout draws after layer 0, 1, …, the last but one, each time for an
    array of shape (T, N, width of y), whatever batch_first says.

    Names end in _l0, _l1, … for the layer, and _reverse. weight_ih: (gates·hidden_size, width of x), weight_hh:
    (gates·hidden_size, width of h), bias_ih, bias_hh: (gates·hidden_size,), weight_hr: (proj_size, hidden_size).
    """

    ranks = (2, 3)

    @property
    def random(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
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
        x, hx, form = self._inputs(x)
        ends, caches, masks = [], [], []
        for layer in range(self.num_layers):
            if layer:
                x, m = run(drop, {}, x, rng)
                masks.append(m)
            ys = []
            for k, suffix, time in self._runs(layer):
                y, end, cache = self._scan(_of(params, suffix), x[time], *(q[k] for q in hx))
                ys.append(y[time])
                ends.append(end)
                caches.append(cache)
            x = np.concatenate(ys, -1) if self.bidirectional else ys[0]
        return (self._turn(x), _alone(_pile(ends))), (x.shape, tuple(masks), tuple(caches), form)

    def backward(self, params, cache, dy):
        return self._back(params, cache, dy)

    def gradients(self, params, cache, dy):
        return self._back(params, cache, dy, of_input=False)[1]

    def _back(self, params: Params, cache: tuple, dy: Tree, of_input: bool = True) -> tuple[Tree, Params]:
        y_shape, masks, caches, form = cache
        drop, (dy, d_ends) = Dropout(self.dropout, self.training), dy
        dx = np.zeros(y_shape, caches[-1][1].dtype) if dy is None else self._turn(dy)
        d_ends = d_ends if isinstance(d_ends, tuple) else (d_ends,) * len(self._widths)  # h's, or None for h and c
        grads: Params = {}
        dhx: list[tuple] = [()] * len(caches)
        for layer in reversed(range(self.num_layers)):
            if layer < len(masks):
                dx, _ = drop.backward({}, masks[layer], dx)
            dys, dxs = np.split(dx, 1 + self.bidirectional, -1), []
            for (k, suffix, time), dy in zip(self._runs(layer), dys, strict=True):
                d_end = (None if q is None else q[k] for q in d_ends)
                da, dhx[k], g = self._scan_back(_of(params, suffix), caches[k], dy[time], *d_end)
                if layer or of_input:
                    dxs.append(_through(da, params["weight_ih" + suffix])[time])  # (1′)
                grads |= {name + suffix: dq for name, dq in g.items()}
            dx = sum(dxs[1:], dxs[0]) if dxs else dx
        return _mirror(self._turn(dx), _pile(dhx), form), {name: grads[name] for name in params}

    def _inputs(self, x: Tree) -> tuple[Array, tuple[Array, ...], Form]:
        """Input and first state, time first, and how they were given."""
        x, hx, form = self._unpack(x)
        ok = len(shape(x)) in self.ranks and x.shape[-1] == self.input_size and self._turn(x).shape[0] > 0
        self.takes(ok, x, f"({'N, T' if self.batch_first else 'T, N'}, input_size) or (T, input_size) with T > 0")
        return self._turn(x), self._state(hx, x), form

    def _lead(self, x_shape):
        N = x_shape[:-1][1 - self.batch_first :][:1] if len(x_shape) == 3 else ()
        return (self.num_layers * (1 + self.bidirectional), *N)

    def _turn(self, x: Array) -> Array:
        """To time first, and back."""
        return x.swapaxes(0, 1) if self.batch_first and x.ndim == 3 else x

    def _scan(self, W: Params, x: Array, *state: Array) -> tuple[Array, tuple[Array, ...], tuple]:
        """One layer in one direction: outputs, last state, and what `_scan_back` reads."""
        h, u, kept = [state[0]], [], []
        W_hh, b_hh = np.ascontiguousarray(W["weight_hh"].T), W.get("bias_hh")
        for a in _affine(x, W, "ih"):  # (1), at once for all t
            s = h[-1] @ W_hh if b_hh is None else h[-1] @ W_hh + b_hh  # (2)
            state, k = self.step(a, s, *state)  # (3)
            u.append(state[0])
            kept.append(k)
            state = (u[-1] @ W["weight_hr"].T if self.proj_size else u[-1], *state[1:])  # (4)
            h.append(state[0])
        h = np.stack(h)
        return h[1:], state, (x, h, np.stack(u) if self.proj_size else None, tuple(kept))

    def _scan_back(self, W: Params, cache: tuple, dy: Array, *dstate: Array | None) -> tuple:
        """da, and the gradients of its first state and its parameters."""
        x, h, u, kept = cache
        das, dss, dhs = [], [], []
        for dy_t, k in zip(dy[::-1], kept[::-1], strict=True):
            dh = add(dy_t, dstate[0])  # (4′)
            da, ds, dh_k, *more = self.step_back(k, dh @ W["weight_hr"] if self.proj_size else dh, *dstate[1:])  # (3′)
            dstate = (add(dh_k, ds @ W["weight_hh"]), *more)  # (2′)
            das.append(da)
            dss.append(ds)
            dhs.append(dh)
        da = np.stack(das[::-1])
        ds = da if all(map(operator.is_, das, dss)) else np.stack(dss[::-1])
        grads = self._gradients(da, ds, x, h[:-1])
        if self.proj_size:
            grads |= {"weight_hr": _product(np.stack(dhs[::-1]), u)}
        return da, dstate, grads

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


_OPTIONS = {
    "hidden_size": (1, 2, 3, 5),
    "num_layers": (1, 2, 3),
    "bias": (True, False),
    "batch_first": (False, True),
    "dropout": (0.0, 0.5, 0.3),
    "bidirectional": (False, True),
    "training": (True, False),
}


class RNN(_RNNBase):
    """Elman's network: the state is one layer's output of input and last state.

    Forward   (1)–(4) of _RNNBase, where (3) is  u = f(a + s),  f = tanh or ReLU
    Backward  (4′)–(1′) of _RNNBase. a and s enter as a sum, so (3′) is
              da = ds = f′ du;  tanh′ = 1 − u²,  ReLU′ = [u > 0]
    Shapes    x: input or (input, h0), y: (output, h_n); input: (T, N, input_size) or (T, input_size),
              output: (T, N, D·hidden_size), h0, h_n: (num_layers·D, N, hidden_size), D = 1 + bidirectional;
              batch_first: (N, T, …) of input and output
    Errors    ValueError if a shape differs from these, or T = 0
    Source    Elman 1990, Cognitive Science 14, 179–211; torch.nn.RNN
    Caveat    ReLU has no derivative at 0; torch takes 0
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    nonlinearity: str = "tanh"
    bias: bool = True
    batch_first: bool = False
    dropout: float = 0.0
    bidirectional: bool = False
    training: bool = True

    dyadic = True
    options = _OPTIONS | {"nonlinearity": ("tanh", "relu")}

    def step(self, a, s, *state):
        u = np.tanh(a + s) if self.nonlinearity == "tanh" else np.maximum(a + s, 0)
        return (u,), (u,)

    def step_back(self, kept, *dstate):
        (u,), (du,) = kept, dstate
        da = (1 - u * u if self.nonlinearity == "tanh" else u > 0) * du
        return da, da, None


class LSTM(_RNNBase):
    """Long short-term memory: a second state c, which gates write, keep and read.

    Forward   (1)–(4) of _RNNBase, where (3) cuts a + s into four parts i, f, g, o:
              i ← σ(i),  f ← σ(f),  g ← tanh g,  o ← σ(o)
              cₜ = f cₜ₋₁ + i g,  r = tanh cₜ,  u = o r
    Backward  (4′)–(1′) of _RNNBase, with (3′): cₜ reaches L through u and through step t+1, so
              dcₜ ← dcₜ + du ∂u/∂cₜ = dcₜ + du o (1 − r²)
              di = dcₜ g,  df = dcₜ cₜ₋₁,  dg = dcₜ i,  do = du r;  dcₜ₋₁ = dcₜ f
              and with σ′ = σ(1 − σ), tanh′ = 1 − tanh², since a and s enter as a sum
              da = ds = [di i(1 − i) | df f(1 − f) | dg (1 − g²) | do o(1 − o)]
    Shapes    x: input or (input, (h0, c0)), y: (output, (h_n, c_n)); input: (T, N, input_size) or (T, input_size),
              output: (T, N, D·P), h0, h_n: (num_layers·D, N, P), c0, c_n: (num_layers·D, N, hidden_size),
              D = 1 + bidirectional, P = proj_size or hidden_size; batch_first: (N, T, …) of input and output
    Errors    ValueError if a shape differs from these, or T = 0
    Source    Hochreiter, Schmidhuber 1997, Neural Computation 9, 1735–1780; Gers, Schmidhuber, Cummins 2000, ibid. 12,
              2451–2471 (the gate f); Sak, Senior, Beaufays 2014, arXiv:1402.1128 (projection); torch.nn.LSTM
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    dropout: float = 0.0
    bidirectional: bool = False
    proj_size: int = 0
    training: bool = True

    gates = 4
    states = "h0 c0"
    options = _OPTIONS | {"proj_size": (0, 1, 2)}

    @property
    def _g(self) -> slice:
        """The place of g among the four."""
        return slice(2 * self.hidden_size, 3 * self.hidden_size)

    def step(self, a, s, *state):
        c, z = state[1], a + s
        gates = sigmoid(z)  # of all four at once, then g's is overwritten
        gates[..., self._g] = np.tanh(z[..., self._g])
        i, f, g, o = _parts(gates, 4)
        c_t = f * c + i * g
        r = np.tanh(c_t)
        return (o * r, c_t), (gates, c, r)

    def step_back(self, kept, *dstate):
        (gates, c, r), (du, dc) = kept, dstate
        i, f, g, o = _parts(gates, 4)
        dc = add(dc, du * o * (1 - r * r))
        dgates = np.concatenate([dc * g, dc * c, dc * i, du * r], -1)  # di, df, dg, do
        slopes = gates * (1 - gates)  # σ′ of all four at once, then tanh′ for g
        slopes[..., self._g] = 1 - g * g
        da = dgates * slopes
        return da, da, None, dc * f


class GRU(_RNNBase):
    """A gated recurrent unit: the state is a mean, weighted by z, of itself and of a proposal n.

    Forward   (1)–(4) of _RNNBase, where (3) cuts a and s into three parts each:
              r = σ(a_r + s_r),  z = σ(a_z + s_z),  n = tanh(a_n + r s_n),  u = (1 − z) n + z h
    Backward  (4′)–(1′) of _RNNBase, with (3′):
              dz = du (h − n),  dn = du (1 − z),  dh = du z
              da_n = dn (1 − n²);  s_n is multiplied by r, so  ds_n = da_n r,  dr = da_n s_n
              da_r = ds_r = dr r(1 − r),  da_z = ds_z = dz z(1 − z)
    Shapes    x: input or (input, h0), y: (output, h_n); input: (T, N, input_size) or (T, input_size),
              output: (T, N, D·hidden_size), h0, h_n: (num_layers·D, N, hidden_size), D = 1 + bidirectional;
              batch_first: (N, T, …) of input and output
    Errors    ValueError if a shape differs from these, or T = 0
    Source    Cho et al. 2014, arXiv:1406.1078, eqs. 5–8; torch.nn.GRU
    Caveat    the paper resets before the product, W(r h); torch after it, r(W h + b)
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    dropout: float = 0.0
    bidirectional: bool = False
    training: bool = True

    gates = 3
    options = _OPTIONS

    def step(self, a, s, *state):
        (h,) = state
        (a_r, a_z, a_n), (s_r, s_z, s_n) = _parts(a, 3), _parts(s, 3)
        r, z = sigmoid(a_r + s_r), sigmoid(a_z + s_z)
        n = np.tanh(a_n + r * s_n)
        return ((1 - z) * n + z * h,), (r, z, n, h, s_n)

    def step_back(self, kept, *dstate):
        (r, z, n, h, s_n), (du,) = kept, dstate
        dz, dn = du * (h - n), du * (1 - z)
        da_n = dn * (1 - n * n)
        da_r, da_z = da_n * s_n * r * (1 - r), dz * z * (1 - z)
        return np.concatenate([da_r, da_z, da_n], -1), np.concatenate([da_r, da_z, da_n * r], -1), du * z
