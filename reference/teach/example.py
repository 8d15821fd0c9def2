"""The 2-2-1 network of `reference.explain` number by number, with and without a mistake in it.

Each line is one formula, from which the page's numbers, its formulas and its JavaScript come. That they are the same
as those of the layers written by hand, and of autograd, is tested.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from ..explain import STAGES, given
from .formula import SUFFIX, Formula, spoken

PARAMETERS = ("W11", "W21", "B1", "W12", "W22", "B2", "W31", "W41", "B3")

# quantity = formula, in the order of the text: a stage of `explain` after the other.
STEP = """
Z_h1 = X1*W11 + X2*W21 + B1
A_h1 = sigmoid(Z_h1)
Z_h2 = X1*W12 + X2*W22 + B2
A_h2 = sigmoid(Z_h2)
Z_o1 = A_h1*W31 + A_h2*W41 + B3
A_o1 = sigmoid(Z_o1)
L = 0.5*(Y - A_o1)**2
dA_o1 = -(Y - A_o1)
δ_o1 = dA_o1*A_o1*(1 - A_o1)
dW31 = δ_o1*A_h1
dW41 = δ_o1*A_h2
dB3 = δ_o1
W31_new = W31 - α*dW31
W41_new = W41 - α*dW41
B3_new = B3 - α*dB3
dA_h1 = W31*δ_o1
δ_h1 = dA_h1*A_h1*(1 - A_h1)
dA_h2 = W41*δ_o1
δ_h2 = dA_h2*A_h2*(1 - A_h2)
dW11 = δ_h1*X1
dW21 = δ_h1*X2
dB1 = δ_h1
dW12 = δ_h2*X1
dW22 = δ_h2*X2
dB2 = δ_h2
W11_new = W11 - α*dW11
W21_new = W21 - α*dW21
B1_new = B1 - α*dB1
W12_new = W12 - α*dW12
W22_new = W22 - α*dW22
B2_new = B2 - α*dB2
dX1 = W11*δ_h1 + W12*δ_h2
dX2 = W21*δ_h1 + W22*δ_h2
"""
FORMULAS = {n.strip(): Formula(f.strip()) for n, f in (line.split(" = ") for line in STEP.strip().splitlines())}

# Why each number is what it is: by the beginning of its name, the longest that fits.
WHY = {
    "Z": "What comes in, each input times its weight, and the bias. X reaches the loss only through this sum.",
    "A": "The activation: σ(Z) = 1/(1 + e⁻ᶻ) lies between 0 and 1. Its slope will be A(1 − A).",
    "L": "How far the output is from the target. The ½ is there so that the 2 of the square's slope cancels.",
    "dA_o": "The slope of ½(Y − A)² by A. It is negative where the output is too small: a larger A makes L smaller.",
    "δ_o": "Chain rule: A depends on Z with the slope A(1 − A), so ∂L/∂Z is ∂L/∂A times that. δ is short for ∂L/∂Z.",
    "dW3": "Z changes by A as its weight changes by 1, so the weight's gradient is δ times what came in through it.",
    "dW4": "The same with the other activation: a weight's gradient is δ behind it times the activation before it.",
    "dB": "Z changes by 1 as the bias changes by 1, so the bias's gradient is δ itself.",
    "W": "One step of gradient descent: against the gradient, of length α.",
    "B": "The bias takes the same step with its own gradient.",
    "dA_h": "Z of the output changes by the weight as A changes by 1. The weight is the old one: all gradients belong "
    "to the same point.",
    "δ_h": "As at the output: through σ, with the slope A(1 − A) of this neuron.",
    "dW": "δ of the neuron that the weight leads to, times the input that it comes from.",
    "dX": "The input feeds both hidden neurons. Where paths meet on the way back, their gradients add.",
}


@dataclass(frozen=True)
class Line:
    """One line of the step: `quantity = formula`, and why."""

    quantity: str
    formula: Formula
    stage: str

    @property
    def why(self) -> str:
        return WHY[max((start for start in WHY if self.quantity.startswith(start)), key=len)]


@dataclass(frozen=True)
class Mistake:
    """A classic mistake: what is written in place of the right formulas, and how it shows itself."""

    id: str
    title: str
    shows: str
    text: str

    @cached_property
    def changes(self) -> dict[str, Formula]:
        pairs = (line.split(" = ") for line in self.text.strip().split("; "))
        return {n.strip(): Formula(f.strip()) for n, f in pairs}


MISTAKES = (
    Mistake(
        "sign",
        "The error the wrong way round: Y − A in place of A − Y",
        "Every gradient has the wrong sign, so every update climbs: the loss grows.",
        "dA_o1 = Y - A_o1",
    ),
    Mistake(
        "ascent",
        "The update adds the gradient",
        "All gradients are right; the loss grows all the same, since each step goes up the slope.",
        "; ".join(f"{p}_new = {p} + α*d{p}" for p in PARAMETERS),
    ),
    Mistake(
        "double",
        "A factor 2: the slope of (Y − A)² for that of ½(Y − A)²",
        "Every gradient is twice what it should be. It trains like a doubled α, here even faster: the curve alone "
        "shows nothing.",
        "dA_o1 = -2*(Y - A_o1)",
    ),
    Mistake(
        "no-slope-out",
        "The slope of σ is left out at the output",
        "δ at the output is too large by a factor of 1/(A(1 − A)), about 4.8. It still trains, and faster. With a "
        "cross-entropy loss this would be right, since there the slope cancels.",
        "δ_o1 = dA_o1",
    ),
    Mistake(
        "no-slope-hidden",
        "The slope of σ is left out in the hidden layer",
        "The hidden gradients are about four times too large; the output's are right in the first step.",
        "δ_h1 = dA_h1; δ_h2 = dA_h2",
    ),
    Mistake(
        "slope-twice",
        "σ is applied again in its own slope: σ(A)(1 − σ(A))",
        "Each δ is off by some per cent: too little to see in a loss curve.",
        "δ_o1 = dA_o1*sigmoid(A_o1)*(1 - sigmoid(A_o1)); δ_h1 = dA_h1*sigmoid(A_h1)*(1 - sigmoid(A_h1)); "
        "δ_h2 = dA_h2*sigmoid(A_h2)*(1 - sigmoid(A_h2))",
    ),
    Mistake(
        "slope-of-z",
        "The slope with Z in place of A: Z(1 − Z)",
        "Z(1 − Z) is 0 at Z = 1 and negative beyond. Training moves Z of the output towards 1 and stays there, at "
        "A = σ(1) ≈ 0.731, for every target above that.",
        "δ_o1 = dA_o1*Z_o1*(1 - Z_o1); δ_h1 = dA_h1*Z_h1*(1 - Z_h1); δ_h2 = dA_h2*Z_h2*(1 - Z_h2)",
    ),
    Mistake(
        "new-weights",
        "The error goes back through weights that are already updated",
        "The hidden gradients are off by less than one per cent. It trains; only a comparison number by number "
        "shows it.",
        "dA_h1 = W31_new*δ_o1; dA_h2 = W41_new*δ_o1",
    ),
    Mistake(
        "swapped",
        "The weights of the way back are exchanged",
        "Each hidden neuron gets the blame of the other, as with a matrix that was not transposed. Where the weights "
        "are alike it hardly shows.",
        "dA_h1 = W41*δ_o1; dA_h2 = W31*δ_o1",
    ),
    Mistake(
        "no-weight",
        "The weight is left out on the way back",
        "Both hidden neurons get all the blame, whatever their share in the output.",
        "dA_h1 = δ_o1; dA_h2 = δ_o1",
    ),
    Mistake(
        "z-for-a",
        "The weight's gradient takes Z where it needs A",
        "What came in through the weight is the activation. With Z only the two gradients of W₃₁ and W₄₁ are wrong.",
        "dW31 = δ_o1*Z_h1; dW41 = δ_o1*Z_h2",
    ),
    Mistake(
        "transposed",
        "The gradient of the first matrix is not transposed",
        "∂L/∂W₂₁ and ∂L/∂W₁₂ have changed places. Shapes cannot tell, since the matrix is square.",
        "dW21 = δ_h2*X1; dW12 = δ_h1*X2",
    ),
    Mistake(
        "bias-forgotten",
        "The biases are never updated",
        "Right gradients, and three parameters that stay where they are. It trains, only more slowly.",
        "B1_new = B1; B2_new = B2; B3_new = B3",
    ),
    Mistake(
        "bias-as-weight",
        "The bias's gradient is multiplied by an input, as a weight's is",
        "The inputs are small here, so the hidden biases nearly stand still.",
        "dB1 = δ_h1*X1; dB2 = δ_h2*X1; dB3 = δ_o1*A_h1",
    ),
    Mistake(
        "one-path",
        "Where two paths meet, only one gradient is kept",
        "∂L/∂X is wrong. No parameter depends on it in this network, so the loss curve is the same to the last digit; "
        "in a deeper one all layers before would be wrong.",
        "dX1 = W11*δ_h1; dX2 = W21*δ_h1",
    ),
)


def lines() -> list[Line]:
    """The lines of the step, each with its stage."""
    stages = [stage for stage, text in STAGES.items() for _ in text.strip().splitlines()]
    return [Line(n, f, stage) for (n, f), stage in zip(FORMULAS.items(), stages, strict=True)]


def start() -> dict[str, float]:
    """What the example starts with: inputs, target, α, parameters."""
    return {name: value for name, value, _, _ in given()}


def step(values: Mapping[str, float], mistake: Mistake | None = None) -> dict[str, float]:
    """Every number of one step from these values."""
    v = dict(values)
    for name, formula in (FORMULAS | (mistake.changes if mistake else {})).items():
        v[name] = formula(v)
    return v


def losses(values: Mapping[str, float], mistake: Mistake | None = None, updates: int = 1000) -> Iterator[float]:
    """The loss before the first update and after each."""
    v = dict(values)
    for _ in range(updates + 1):
        found = step(v, mistake)
        yield found["L"]
        v |= {p: found[p + SUFFIX] for p in PARAMETERS}


def rows() -> list[str]:
    """The names of the lines as `explain` has them."""
    return [spoken(n) for n in FORMULAS]
