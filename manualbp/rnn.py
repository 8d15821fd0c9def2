"""Recurrent layers: their steps. Beside torch/nn/modules/rnn.py; `rnn_base.py` takes a step at every time."""

import numpy as np

from .base import add
from .elementary import sigmoid
from .rnn_base import _parts, _RNNBase

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

    Forward   (1)–(4) of the family, where (3) is  u = f(a + s),  f = tanh or ReLU
    Backward  (4′)–(1′) of the family. a and s enter as a sum, so (3′) is
              da = ds = f′ du;  tanh′ = 1 − u²,  ReLU′ = [u > 0]
    Shapes    x: input or (input[, h0[, lengths]]), y: (output, h_n); input: (T, N, input_size) or (T, input_size),
              output: (T, N, D·hidden_size), h0, h_n: (num_layers·D, N, hidden_size), D = 1 + bidirectional;
              batch_first: (N, T, …) of input and output;  lengths: (N,) integers, after None if no state is given
    Errors    ValueError if a shape differs from these, T = 0, or a length is not in 1 … T
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
    cancels = True  # 1 − u² near |u| = 1
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

    Forward   (1)–(4) of the family, where (3) cuts a + s into four parts i, f, g, o:
              i ← σ(i),  f ← σ(f),  g ← tanh g,  o ← σ(o)
              cₜ = f cₜ₋₁ + i g,  r = tanh cₜ,  u = o r
    Backward  (4′)–(1′) of the family, with (3′): cₜ reaches L through u and through step t+1, so
              dcₜ ← dcₜ + du ∂u/∂cₜ = dcₜ + du o (1 − r²)
              di = dcₜ g,  df = dcₜ cₜ₋₁,  dg = dcₜ i,  do = du r;  dcₜ₋₁ = dcₜ f
              and with σ′ = σ(1 − σ), tanh′ = 1 − tanh², since a and s enter as a sum
              da = ds = [di i(1 − i) | df f(1 − f) | dg (1 − g²) | do o(1 − o)]
    Shapes    x: input or (input[, (h0, c0)[, lengths]]), y: (output, (h_n, c_n));
              input: (T, N, input_size) or (T, input_size),
              output: (T, N, D·P), h0, h_n: (num_layers·D, N, P), c0, c_n: (num_layers·D, N, hidden_size),
              D = 1 + bidirectional, P = proj_size or hidden_size; batch_first: (N, T, …) of input and output;
              lengths: (N,) integers, after None if no state is given
    Errors    ValueError if a shape differs from these, T = 0, or a length is not in 1 … T
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

    cancels = True  # 1 − σ near σ = 1
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

    Forward   (1)–(4) of the family, where (3) cuts a and s into three parts each:
              r = σ(a_r + s_r),  z = σ(a_z + s_z),  n = tanh(a_n + r s_n),  u = (1 − z) n + z h
    Backward  (4′)–(1′) of the family, with (3′):
              dz = du (h − n),  dn = du (1 − z),  dh = du z
              da_n = dn (1 − n²);  s_n is multiplied by r, so  ds_n = da_n r,  dr = da_n s_n
              da_r = ds_r = dr r(1 − r),  da_z = ds_z = dz z(1 − z)
    Shapes    x: input or (input[, h0[, lengths]]), y: (output, h_n); input: (T, N, input_size) or (T, input_size),
              output: (T, N, D·hidden_size), h0, h_n: (num_layers·D, N, hidden_size), D = 1 + bidirectional;
              batch_first: (N, T, …) of input and output;  lengths: (N,) integers, after None if no state is given
    Errors    ValueError if a shape differs from these, T = 0, or a length is not in 1 … T
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

    cancels = True  # 1 − σ near σ = 1
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
