"""Mistakes in optimizers, and in what is kept from one step to the next."""

import numpy as np

from manualbp.base import flatten, unflatten

from .base import Right, fault, right

LONG = 10**9  # steps after which no mean is biased any more


@fault("H01", "_Adam")
class NoBiasCorrection(Right):
    """The running means are taken as they are, though they begin at 0.

    Relation  the first step is (1 − β₁)/√(1 − β₂) = 3.16 times torch's, the second 4.25 times
    Remedy    divide m by 1 − β₁ᵗ and v by 1 − β₂ᵗ
    Needs     |g| ≫ ε
    """

    def rule(self, t, p, g, s):
        return super().rule(LONG, p, g, s)


@fault("H02", "_Adam")
class OneStepAhead(Right):
    """t is one more than the number of the step.

    Relation  the first step is 0.744 of torch's, the second 0.859
    Remedy    count before the correction, from 1: the first step has t = 1
    Needs     –
    """

    def rule(self, t, p, g, s):
        return super().rule(t + 1, p, g, s)


@fault("H03", "_Adam")
class CountsFromZero(Right):
    """t is one less than the number of the step, 0 at first.

    Relation  the first step divides 0 by 0
    Remedy    count before the correction, from 1: 1 − β⁰ = 0 is no divisor
    Needs     –
    """

    def rule(self, t, p, g, s):
        _, new = super().rule(t, p, g, s)
        m, v = (new[n] / (1 - np.asarray(b, p.dtype) ** (t - 1)) for n, b in zip(MOMENTS, self.betas, strict=True))
        return decayed(self, p) - self.lr * m / (np.sqrt(v) + self.eps), new


MOMENTS = ("exp_avg", "exp_avg_sq")


def decayed(opt, p):
    """p after the weight decay that stands beside the gradient."""
    return p * (1 - opt.lr * opt.weight_decay) if opt.decoupled_weight_decay else p


@fault("H04", "_Adam")
class EpsInsideRoot(Right):
    """ε stands inside the root.

    Relation  an entry's first step is |g|/√(g² + ε) of torch's: 1.0000 at |g| = 1, 0.995 at 10⁻³, 0.01 at 10⁻⁶
    Remedy    √v̂ + ε, not √(v̂ + ε): √ε is 10⁻⁴
    Needs     |g| from 10⁻³ down to 10⁻⁸
    """

    def rule(self, t, p, g, s):
        _, new = super().rule(t, p, g, s)
        v = new.get("max_exp_avg_sq", new["exp_avg_sq"]) / (1 - self.betas[1] ** t)
        m = new["exp_avg"] / (1 - self.betas[0] ** t)
        return decayed(self, p) - self.lr * m / np.sqrt(v + self.eps), new


@fault("H05", "_Adam")
class EpsBeforeCorrection(Right):
    """ε is added to √v before v is corrected.

    Relation  an entry's first step is 0.9997 of torch's at |g| = 10⁻³, 0.77 at 10⁻⁶, 0.06 at 10⁻⁸
    Remedy    √(v/(1 − β₂ᵗ)) + ε; the other is the paper's "ε̂", another number
    Needs     |g| ≤ 10⁻⁴
    """

    def rule(self, t, p, g, s):
        return right(self, eps=self.eps / (1 - self.betas[1] ** t) ** 0.5).rule(t, p, g, s)


@fault("H06", "_Adam")
class BetasSwapped(Right):
    """β₁ and β₂ stand in each other's place.

    Relation  the first step is torch's, the second 0.33 of it
    Remedy    betas = (β₁ of m, β₂ of v), and β₂ is the larger
    Needs     two steps
    """

    def rule(self, t, p, g, s):
        return right(self, betas=self.betas[::-1]).rule(t, p, g, s)


@fault("H07", "_Adam")
class CorrectedMomentsKept(Right):
    """The corrected means go into the state, and are corrected again at the next step.

    Relation  the first step is torch's, from the second on every one is wrong
    Remedy    keep m and v; m̂ and v̂ are for this step alone
    Needs     two steps
    """

    def rule(self, t, p, g, s):
        p, new = super().rule(t, p, g, s)
        return p, new | {n: new[n] / (1 - b**t) for n, b in zip(MOMENTS, self.betas, strict=True)}


@fault("H10", "AdamW")
class DecayAfterStep(Right):
    """The weights decay after the step.

    Relation  yours − torch's = lr λ · step
    Remedy    p ← (1 − lr λ)p first
    Needs     a large lr λ
    """

    def rule(self, t, p, g, s):
        p, new = right(self, weight_decay=0).rule(t, p, g, s)
        return p * (1 - self.lr * self.weight_decay), new


@fault("H11", "SGD")
class MomentumAsMean(Right):
    """Momentum is a mean of the gradients, not a sum.

    Relation  yours = (1 − μ) torch's
    Remedy    m ← μm + g; without 1 − μ
    Needs     μ > 0
    """

    def rule(self, t, p, g, s):
        if not self.momentum:
            return super().rule(t, p, g, s)
        g = self.descent(p, g)
        m = self.momentum * s.get("momentum_buffer", np.zeros_like(g)) + (1 - self.momentum) * g
        u = g + self.momentum * m if self.nesterov else m
        return p - self.lr * u, {"momentum_buffer": m}


@fault("H12", "SGD")
class NesterovAsClassical(Right):
    """Nesterov's momentum steps along m, as the classical one does.

    Relation  the first step is 1/(1 + μ) of torch's: 0.526
    Remedy    step along g + μm
    Needs     μ > 0
    """

    def rule(self, t, p, g, s):
        return right(self, nesterov=False).rule(t, p, g, s)


@fault("H13", "SGD")
class FirstStepDampened(Right):
    """The first gradient enters the momentum with 1 − dampening, as the later ones do.

    Relation  the first step is 1 − dampening of torch's
    Remedy    m₁ = g₁
    Needs     dampening > 0
    """

    def rule(self, t, p, g, s):
        return super().rule(t, p, g, {"momentum_buffer": np.zeros_like(p)} | s)


@fault("H15", "RMSprop")
class RMSpropEpsInsideRoot(Right):
    """ε stands inside the root.

    Relation  an entry's first step is 0.71 of torch's at |g| = 10⁻³, 0.01 at 10⁻⁵
    Remedy    √v + ε, not √(v + ε); Graves and TensorFlow have the latter
    Needs     |g| ≤ 10⁻³
    """

    def rule(self, t, p, g, s):
        _, new = super().rule(t, p, g, s)
        v = new["square_avg"] - (new["grad_avg"] ** 2 if self.centered else 0)
        u = self.descent(p, g) / np.sqrt(v + self.eps)
        if self.momentum:
            new["momentum_buffer"] = u = self.momentum * s["momentum_buffer"] + u
        return p - self.lr * u, new


@fault("H16", "RMSprop")
class StartsAtOne(Right):
    """v is 1 before the first step.

    Relation  an entry's first step is 0.1 |g| of torch's at α = 0.99, where |g| is small
    Remedy    v starts at 0; TensorFlow's first version had 1
    Needs     –
    """

    def start(self, p):
        return super().start(p) | {"square_avg": np.ones_like(p)}


@fault("H17.left", "RMSprop")
class MeanNotSubtracted(Right):
    """The centred form divides by √v, as the plain one does.

    Relation  every step is shorter than torch's
    Remedy    √(v − a²), a the mean of g
    Needs     centered=True
    """

    def rule(self, t, p, g, s):
        _, new = super().rule(t, p, g, s)
        return right(self, centered=False).rule(t, p, g, s)[0], new


@fault("H17.stale", "RMSprop")
class MeanOfBefore(Right):
    """The centred form subtracts the mean that there was before this gradient.

    Relation  the first steps are shorter than torch's
    Remedy    a ← αa + (1 − α)g first, then v − a²
    Needs     centered=True
    """

    def rule(self, t, p, g, s):
        _, new = super().rule(t, p, g, s)
        if not self.centered:
            return super().rule(t, p, g, s)
        u = self.descent(p, g) / (np.sqrt(new["square_avg"] - s["grad_avg"] ** 2) + self.eps)
        if self.momentum:
            new["momentum_buffer"] = u = self.momentum * s["momentum_buffer"] + u
        return p - self.lr * u, new


@fault("H19", "Adadelta")
class LateAccumulator(Right):
    """The updates' mean square takes each update in one step late.

    Relation  the first step is torch's, the later ones are shorter
    Remedy    a ← ρa + (1 − ρ)Δ² in the step that made Δ
    Needs     two steps
    """

    def rule(self, t, p, g, s):
        p, new = super().rule(t, p, g, s)
        return p, new | {"acc_delta": s.get("late", np.zeros_like(p)), "late": new["acc_delta"]}


@fault("H22", "Optimizer")
class NoneAsZeros(Right):
    """A parameter without a gradient is moved as if it had one of zeros.

    Relation  parameters that are not used move all the same
    Remedy    leave out what has no gradient, its state too
    Needs     a parameter without gradient; momentum or weight decay
    Equal     LBFGS: its step is given a closure, and takes all parameters for one
    """

    def step(self, params, grads, state):
        given, flat = flatten(grads), flatten(params)
        return super().step(
            params,
            unflatten({n: np.zeros_like(p) if given.get(n) is None else given[n] for n, p in flat.items()}),
            state,
        )


@fault("H23", "Optimizer")
class GroupsForgotten(Right):
    """Every parameter has the options of the optimizer itself.

    Relation  in each of the other groups by another factor
    Remedy    look up the group of each parameter
    Needs     two groups
    Equal     LBFGS: it takes all parameters for one, and has no groups
    """

    def of(self, name):
        return self


@fault("H26", "ASGD")
class MeanIsTheParameter(Right):
    """The mean is the parameter's own array, and both are written in place.

    Relation  the mean moves with the parameter: from the second step on it is p
    Remedy    make a new array, or copy
    Needs     two steps
    """

    def rule(self, t, p, g, s):
        eta, mu, a = float(s["eta"]), float(s["mu"]), s["ax"]
        g = self.descent(p, g)
        p *= 1 - self.lambd * eta
        p -= eta * g
        if mu == 1:
            a = p
        else:
            a += mu * (p - a)
        _, new = super().rule(t, p, g, s)
        return p, new | {"ax": a}
