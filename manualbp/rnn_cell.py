"""One step of a recurrent layer by itself. Beside torch/nn/modules/rnn.py."""

# pyright: reportAttributeAccessIssue=false
# (every class declares its options itself, since their order is torch's; the family reads them)

import numpy as np

from .base import add, shape
from .rnn import GRU, LSTM, RNN
from .rnn_base import _affine, _alone, _mirror, _Recurrent


class _RNNCellBase(_Recurrent, family=True):
    """One time of a recurrent layer: (1) to (3) of RNN, and (3′) to (1′) back."""

    ranks = (1, 2)
    options = {"hidden_size": (1, 2, 3, 5), "bias": (True, False)}

    def init(self, rng, dtype=np.float64):
        return self._draw(rng, dtype, self.input_size)

    def _lead(self, x_shape):
        return x_shape[:-1]

    def forward(self, params, x):
        x, hx, form = self._unpack(x)
        self.takes(
            len(shape(x)) in self.ranks and x.shape[-1] == self.input_size, x, "(N, input_size) or (input_size,)"
        )
        hx = self._state(hx, x)
        y, kept = self.step(_affine(x, params, "ih"), _affine(hx[0], params, "hh"), *hx)
        return _alone(y), (kept, x, hx[0], form)

    def backward(self, params, cache, dy):
        kept, x, h, form = cache
        dh, *more = dy if isinstance(dy, tuple) else (dy,)
        da, ds, dh, *more = self.step_back(kept, np.zeros(h.shape, h.dtype) if dh is None else dh, *more)
        dh = add(dh, ds @ params["weight_hh"])
        return _mirror(da @ params["weight_ih"], (dh, *more), form), self._gradients(da, ds, x, h)


class RNNCell(_RNNCellBase):
    """One step of an RNN.

    Forward   a = x W_ihᵀ + b_ih,  s = h W_hhᵀ + b_hh,  y = f(a + s),  f = tanh or ReLU
    Backward  da = ds = f′ dy;  dx = da W_ih,  dh = ds W_hh;  dW_ih = Σ daᵀx,  dW_hh = Σ dsᵀh,  db = Σ da
    Shapes    x: input or (input, h); input: (N, input_size), h, y: (N, hidden_size), or all without N
    Errors    ValueError if a shape differs from these
    Source    torch.nn.RNNCell
    """

    input_size: int
    hidden_size: int
    bias: bool = True
    nonlinearity: str = "tanh"

    dyadic = True
    cancels = RNN.cancels
    options = {**_RNNCellBase.options, "nonlinearity": ("tanh", "relu")}
    step, step_back = RNN.step, RNN.step_back


class LSTMCell(_RNNCellBase):
    """One step of an LSTM.

    Forward   a = x W_ihᵀ + b_ih,  s = h W_hhᵀ + b_hh,  y = (h′, c′) of (3) of LSTM, from a, s and c
    Backward  da = ds of (3′) of LSTM, from dy = (dh′, dc′);  dx = da W_ih,  dh = ds W_hh,  dc by (3′)
    Shapes    x: input or (input, (h, c)), y: (h′, c′); input: (N, input_size), h, c, h′, c′: (N, hidden_size), or all
              without N
    Errors    ValueError if a shape differs from these
    Source    that of LSTM; torch.nn.LSTMCell
    """

    input_size: int
    hidden_size: int
    bias: bool = True

    gates, states, cancels, _g = LSTM.gates, LSTM.states, LSTM.cancels, LSTM._g
    step, step_back = LSTM.step, LSTM.step_back


class GRUCell(_RNNCellBase):
    """One step of a GRU.

    Forward   a = x W_ihᵀ + b_ih,  s = h W_hhᵀ + b_hh,  y = u of (3) of GRU, from a, s and h
    Backward  da, ds and a part of dh by (3′) of GRU, from du = dy;  dx = da W_ih,  dh ← dh + ds W_hh
    Shapes    x: input or (input, h); input: (N, input_size), h, y: (N, hidden_size), or all without N
    Errors    ValueError if a shape differs from these
    Source    that of GRU; torch.nn.GRUCell
    Caveat    that of GRU
    """

    input_size: int
    hidden_size: int
    bias: bool = True

    gates, cancels = GRU.gates, GRU.cancels
    step, step_back = GRU.step, GRU.step_back
