"""Mistakes in recurrent layers: order of gates, paths through time, the wrong state."""

import numpy as np

from manualbp.base import add, tree_map

from .base import Right, fault


class _Permuted(Right):
    """A recurrent layer whose gates' gradients come out in another order."""

    order: tuple[int, ...]

    def step_back(self, kept, *dstate):
        da, ds, *rest = super().step_back(kept, *dstate)
        return *(self.reordered(q) for q in (da, ds)), *rest

    def reordered(self, q):
        parts = np.split(q, len(self.order), -1)
        return np.concatenate([parts[i] for i in self.order], -1)


@fault("G01", "LSTM", "LSTMCell")
class GatesReordered(_Permuted):
    """The gates are taken in the order i, f, o, g.

    Relation  blocks of rows of your gradients are torch's in another order
    Remedy    torch stores i, f, g, o
    Needs     –
    """

    order = 0, 1, 3, 2


@fault("G01.gru", "GRU", "GRUCell")
class GruGatesReordered(_Permuted):
    """The gates are taken in the order z, r, n.

    Relation  blocks of rows of your gradients are torch's in another order
    Remedy    torch stores r, z, n
    Needs     –
    """

    order = 1, 0, 2


@fault("G02", "_RNNBase")
class NoTimePath(Right):
    """The gradient does not pass from a step to the one before it.

    Relation  yours = the sum of the gradients of single steps; equal where there is one step only
    Remedy    dhₜ = dyₜ + (dhₜ from step t + 1): h reaches the loss as output and through the next step
    Needs     more than one step
    """

    def _scan_back(self, W, cache, dy, *dstate):
        x, h, u, kept, live = cache
        das, total = [], {}
        for t in reversed(range(len(x))):
            one = x[t : t + 1], h[t : t + 2], *(q if q is None else q[t : t + 1] for q in (u, kept, live))
            da, dhx, grads = super()._scan_back(W, one, dy[t : t + 1], *dstate)
            das.append(da)
            total, dstate = add(total, grads), (None, *dhx[1:])
        return np.concatenate(das[::-1]), dhx, total


@fault("G03", "LSTM")
class NoCellPath(Right):
    """The gradient by the cell does not pass from a step to the one before it.

    Relation  yours lacks the path c_{t−1} → c_t; equal where there is one step only
    Remedy    dcₜ = du o(1 − tanh²cₜ) + (dcₜ from step t + 1)
    Needs     more than one step, or an upstream gradient by c_n
    """

    def step_back(self, kept, du, dc):
        return super().step_back(kept, du, None)


@fault("G04", "_RNNBase")
class AssignedNotAdded(Right):
    """The gradients of the weights are those of the step t = 0, which is written last.

    Relation  yours = the contribution of one step, torch's = the sum over all
    Remedy    dW += in the loop over time
    Needs     more than one step
    """

    def _gradients(self, da, ds, x, h):
        return super()._gradients(da[:1], ds[:1], x[:1], h[:1])


@fault("G05", "GRU", "GRUCell")
class ResetLeftOut(Right):
    """The reset gate r multiplies s_n = W_hn h + b_hn in forward, and is left out on the way back to it.

    Relation  your gradients by W_hn, b_hn and h lack the factor r in each term of the sum over steps and samples
    Remedy    s_n is multiplied by r as a whole, its bias too: ds_n = da_n r
    Needs     –
    """

    def step_back(self, kept, *dstate):
        da, ds, *rest = super().step_back(kept, *dstate)
        n = da.shape[-1] // 3
        return da, np.concatenate([ds[..., : 2 * n], da[..., 2 * n :]], -1), *rest


@fault("G07", "LSTM", "LSTMCell")
class CellForItsTanh(Right):
    """The slope of tanh cₜ is written as 1 − cₜ².

    Relation  the path through cₜ has (1 − c²)/(1 − tanh²c) times torch's factor
    Remedy    dcₜ += du o(1 − r²) with r = tanh cₜ
    Needs     –
    """

    def step_back(self, kept, du, dc):
        (_, c, r), (i, f, g, o) = kept, np.split(kept[0], 4, -1)
        return super().step_back(kept, du, add(dc, du * o * (r * r - (f * c + i * g) ** 2)))


@fault("G08", "LSTM", "LSTMCell")
class NewCellForOld(Right):
    """The gradient of the forget gate uses the new cell instead of the old one.

    Relation  the block of the forget gate has cₜ in the place of cₜ₋₁
    Remedy    cₜ = f cₜ₋₁ + i g, so df = dcₜ cₜ₋₁
    Needs     –
    """

    def step_back(self, kept, *dstate):
        (gates, c, r), (i, f, g, _) = kept, np.split(kept[0], 4, -1)
        return super().step_back((gates, f * c + i * g, r), *dstate)


@fault("G10", "_Recurrent")
class StateWithoutGradient(Right):
    """The first state gets no gradient although it was given.

    Relation  yours is missing, torch's is not
    Remedy    return what the loop over time ends with: dh₀, and dc₀ of an LSTM
    Needs     a first state among the inputs
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return (dx[0], *tree_map(lambda g: None, dx[1:])) if isinstance(dx, tuple) else dx, grads


@fault("G11", "GRU", "GRUCell")
class NoCarryPath(Right):
    """The gradient does not pass along z h, the part of the old state that is kept.

    Relation  yours lacks one path from hₜ to hₜ₋₁
    Remedy    u = (1 − z) n + z h, so dh = du z beside the paths through the gates
    Needs     more than one step, or a first state among the inputs
    """

    def step_back(self, kept, *dstate):
        da, ds, dh, *rest = super().step_back(kept, *dstate)
        return da, ds, np.zeros_like(dh), *rest


@fault("G20", "_RNNBase")
class NewStateForOld(Right):
    """The gradient by the recurrent weight takes the state that the step gives instead of the one that it was given.

    Relation  dW_hh has hₜ in the place of hₜ₋₁
    Remedy    sₜ = hₜ₋₁ W_hhᵀ, so dW_hh = Σₜ dsₜᵀ hₜ₋₁
    Needs     –
    """

    def _scan_back(self, W, cache, *dy):
        x, h, *rest = cache
        return super()._scan_back(W, (x, np.concatenate([h[1:], h[-1:]]), *rest), *dy)


@fault("G21", "RNN")
class BackByTheWeightItself(Right):
    """The gradient goes back in time by the transposed recurrent weight, as forward has it, not by the weight itself.

    Relation  yours has W_hhᵀ in the place of W_hh on the way from a step to the one before it
    Remedy    what multiplies by Wᵀ on the way there multiplies by W on the way back
    Needs     more than one step, or a first state among the inputs; hidden_size above 1
    """

    def _scan_back(self, W, *rest):
        return super()._scan_back({**W, "weight_hh": W["weight_hh"].T}, *rest)


@fault("G22", "RNN")
class SlopeAtTheOldState(Right):
    """The slope of the activation is taken at the state before the step instead of after it.

    Relation  yours has 1 − hₜ₋₁² in the place of 1 − hₜ²
    Remedy    tanh′(zₜ) = 1 − tanh²zₜ = 1 − hₜ²: an index that is one too small
    Needs     –
    """

    def _scan_back(self, W, cache, *dy):
        x, h, u, _, live = cache
        return super()._scan_back(W, (x, h, u, tuple((q,) for q in h[:-1]), live), *dy)


@fault("G23", "RNN", "RNNCell")
class NoSlopeInTime(Right):
    """The slope of the activation is left out in every step.

    Relation  yours has 1 in the place of 1 − hₜ²
    Remedy    da = (1 − hₜ²) dhₜ before anything else of the step
    Needs     –
    """

    def step_back(self, kept, *dstate):
        (du,) = dstate
        return du, du, None


class _OtherGates(Right):
    """An LSTM step with one of the formulas of its gates or its cell otherwise."""

    def step_back(self, kept, du, dc):
        (_, c, r), (i, f, g, o) = kept, np.split(kept[0], 4, -1)
        right, _, dh, d_old = super().step_back(kept, du, dc)
        dc = add(dc, du * o * (1 - r * r))
        blocks = dict(zip("ifgo", np.split(right, 4, -1))) | self.otherwise(i, f, g, o, c, r, du, dc)
        da = np.concatenate([blocks[gate] for gate in "ifgo"], -1)
        return da, da, dh, self.old_cell(i, d_old, dc)

    def otherwise(self, i, f, g, o, c, r, du, dc):
        """The blocks of da that are otherwise, by the gate's letter."""
        return {}

    def old_cell(self, i, d_old, dc):
        return d_old


@fault("G24", "LSTM", "LSTMCell")
class CellPathWithoutOutputGate(Right):
    """On the way from h to the cell the output gate is left out.

    Relation  the path through cₜ has (1 − tanh²c) in the place of o(1 − tanh²c)
    Remedy    h = o tanh c, so dc += dh o(1 − tanh²c)
    Needs     –
    """

    def step_back(self, kept, du, dc):
        o, r = np.split(kept[0], 4, -1)[3], kept[2]
        return super().step_back(kept, du, add(dc, du * (1 - o) * (1 - r * r)))


@fault("G25", "LSTM", "LSTMCell")
class InputAndForgetGateExchanged(_OtherGates):
    """The gradients of the input and the forget gate take each other's factor.

    Relation  di has cₜ₋₁ in the place of g, df has g in the place of cₜ₋₁
    Remedy    cₜ = f cₜ₋₁ + i g, so df = dc cₜ₋₁ and di = dc g
    Needs     –
    """

    def otherwise(self, i, f, g, o, c, r, du, dc):
        return {"i": dc * c * i * (1 - i), "f": dc * g * f * (1 - f)}


@fault("G26", "LSTM", "LSTMCell")
class CandidateAsGate(_OtherGates):
    """The slope of the candidate g is taken for that of a sigmoid.

    Relation  the block of g has g(1 − g) in the place of 1 − g²
    Remedy    g = tanh(…), so its slope is 1 − g²; σ(1 − σ) is for i, f and o alone
    Needs     –
    """

    def otherwise(self, i, f, g, o, c, r, du, dc):
        return {"g": dc * i * g * (1 - g)}


@fault("G27", "LSTM", "LSTMCell")
class OutputGateWithoutSlope(_OtherGates):
    """The slope of the output gate's sigmoid is left out.

    Relation  the block of o has 1 in the place of o(1 − o)
    Remedy    da_o = do o(1 − o) with do = dh tanh c
    Needs     –
    """

    def otherwise(self, i, f, g, o, c, r, du, dc):
        return {"o": du * r}


@fault("G28", "LSTM", "LSTMCell")
class InputGateForForget(_OtherGates):
    """The gradient goes to the old cell through the input gate instead of the forget gate.

    Relation  dcₜ₋₁ has i in the place of f
    Remedy    cₜ = f cₜ₋₁ + i g, so dcₜ₋₁ = dcₜ f
    Needs     more than one step, or a first cell among the inputs
    """

    def old_cell(self, i, d_old, dc):
        return dc * i


@fault("G29", "_RNNBase")
class LengthsIgnored(Right):
    """The steps beyond the end of a sequence are computed as all others.

    Relation  yours = torch's for sequences that all have T steps
    Remedy    beyond its end a sequence keeps its state, and its output is 0
    Needs     lengths, one at least less than T
    """

    def _scan(self, W, x, live, *state):
        return super()._scan(W, x, None, *state)


@fault("G30", "_RNNBase")
class GradientOfThePadding(Right):
    """The upstream gradient at steps beyond the end of a sequence counts, as if the last output were repeated there.

    Relation  yours = torch's for dy whose last step has the sum of those beyond it added
    Remedy    outputs beyond the end are the constant 0: mask dy before it enters the loop over time
    Needs     lengths, one at least less than T
    """

    def _scan_back(self, W, cache, dy, *dstate):
        live = cache[-1]
        if live is not None and live[0].all():
            dstate = add(np.where(live, 0, dy).sum(0), dstate[0]), *dstate[1:]
        return super()._scan_back(W, cache, dy, *dstate)


@fault("G31", "_RNNBase")
class OtherDirectionFromThePadding(Right):
    """The other direction begins at step T, so that it reads the padding of a shorter sequence first.

    Relation  yours = torch's for the direction that goes forth; the other begins with another state
    Remedy    reverse every sequence within its own length: the state at its last step is h₀
    Needs     lengths, one at least less than T, and two directions
    """

    def _scan(self, W, x, live, *state):
        return super()._scan(W, x, live if live is None or live[0].all() else None, *state)
