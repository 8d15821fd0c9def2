"""The worked example of a textbook page: two inputs, two hidden neurons, one output, all sigmoid, one sample.

The page assumes the activations 0.59, 0.60 and 0.70 without weights that give them. Here the weights from the input
are chosen, the three biases are solved for, and from there on nothing is assumed: every number is computed twice, by
hand and by autograd, and shown beside the page's own. Only the column "text" is written down.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from manualbp.activation import Sigmoid
from manualbp.base import Params, Tree, flatten
from manualbp.container import Sequential
from manualbp.linear import Linear
from manualbp.loss import MSELoss
from manualbp.optim import SGD

from .report import terminal
from .twin.layers import to_torch

NET = Sequential(Linear(2, 2), Sigmoid(), Linear(2, 1), Sigmoid())
X, Y, LR = np.array([0.05, 0.10]), np.array([0.75]), 0.5
HIDDEN, OUTPUT = np.array([0.59, 0.60]), np.array([0.70])  # the activations that the text assumes
CHOSEN = {"W11": 0.15, "W21": 0.20, "W12": 0.25, "W22": 0.30}  # free: the biases make up for any choice
TEXTS = {"W31": 0.40, "W41": 0.45}

PLACES: dict[str, tuple[str, tuple[int, ...]]] = {  # the text's W_ij leads from i to j, torch's weight[j, i] too
    "W11": ("0.weight", (0, 0)),
    "W21": ("0.weight", (0, 1)),
    "W12": ("0.weight", (1, 0)),
    "W22": ("0.weight", (1, 1)),
    "B1": ("0.bias", (0,)),
    "B2": ("0.bias", (1,)),
    "W31": ("2.weight", (0, 0)),
    "W41": ("2.weight", (0, 1)),
    "B3": ("2.bias", (0,)),
}

# What is shown, in the text's order: stage -> lines of "quantity | its formula | the text's number, as printed there".
STAGES = {
    "Forward": """
        Z_h1 | X1 W11 + X2 W21 + B1    |
        A_h1 | sigmoid(Z_h1)           | 0.59
        Z_h2 | X1 W12 + X2 W22 + B2    |
        A_h2 | sigmoid(Z_h2)           | 0.60
        Z_o1 | A_h1 W31 + A_h2 W41 + B3|
        A_o1 | sigmoid(Z_o1)           | 0.70
        L    | ½ (Y − A_o1)²           |""",
    "Output: error": """
        ∂L/∂A_o1 | −(Y − A_o1)               | -0.05
        δ_o1     | ∂L/∂A_o1 · A (1 − A)| -0.0105""",
    "Output: gradients": """
        ∂L/∂W31 | δ_o1 A_h1 | -0.006195
        ∂L/∂W41 | δ_o1 A_h2 | -0.0063
        ∂L/∂B3  | δ_o1      |""",
    "Output: update": """
        W31 new | W31 − α ∂L/∂W31 | 0.4030975
        W41 new | W41 − α ∂L/∂W41 |
        B3 new  | B3 − α ∂L/∂B3   |""",
    "Hidden: errors": """
        ∂L/∂A_h1 | W31 δ_o1, W31 old        | -0.0042
        δ_h1     | ∂L/∂A_h1 · A (1 − A)| -0.00101
        ∂L/∂A_h2 | W41 δ_o1, W41 old        | -0.004725
        δ_h2     | ∂L/∂A_h2 · A (1 − A)| -0.001134""",
    "Hidden: gradients": """
        ∂L/∂W11 | δ_h1 X1 | -0.0000505
        ∂L/∂W21 | δ_h1 X2 |
        ∂L/∂B1  | δ_h1    |
        ∂L/∂W12 | δ_h2 X1 |
        ∂L/∂W22 | δ_h2 X2 |
        ∂L/∂B2  | δ_h2    |""",
    "Hidden: update": """
        W11 new | W11 − α ∂L/∂W11 |
        W21 new | W21 − α ∂L/∂W21 |
        B1 new  | B1 − α ∂L/∂B1   |
        W12 new | W12 − α ∂L/∂W12 |
        W22 new | W22 − α ∂L/∂W22 |
        B2 new  | B2 − α ∂L/∂B2   |""",
    "Input: gradients": """
        ∂L/∂X1 | W11 δ_h1 + W12 δ_h2 |
        ∂L/∂X2 | W21 δ_h1 + W22 δ_h2 |""",
}

NOTES = """
The text rounds early: its δ_h1 ≈ {δ.text} is {δ_exact}, and it goes on with the rounded number, so its
∂L/∂W11 ≈ {W11.text} is {W11_exact}. Its other numbers are exact.

The text's loss is ½ (Y − A)². nn.MSELoss is (Y − A)², without the ½: its gradients are twice these. Both sides here
take ½ · MSELoss: PyTorch by multiplying, by hand by giving MSELoss.backward the upstream gradient ∂L/∂MSE = ½.

The text's W_ij leads from i to j, input first. nn.Linear stores (out, in): W21, from X2 to h1, is 0.weight[0, 1]. In
W31 and W41 the first digit numbers neurons: h1 is the third, h2 the fourth.

The text's target [0.01, 0.99] has two entries, its network one output; as the text does, one target, {Y}, replaces
them.

The text updates W31 and W41 before it takes the error back through them. It must use, and does use, the old values
there: all gradients belong to one point.

The text assumes the activations 0.59, 0.60 and 0.70. Here the weights from the input are chosen, and the biases
B = ln(A / (1 − A)) − Σ W A_in make a real forward pass arrive at exactly these.
"""


@dataclass(frozen=True)
class NumberRow:
    """One number of the first step. `text` is "" where the text gives none."""

    stage: str
    quantity: str
    formula: str
    by_hand: float
    pytorch: float
    text: str

    @property
    def rounded(self) -> bool:
        """Does the text print another number than the one computed, in the ten decimals shown?"""
        return bool(self.text) and float(self.text) != float(number(self.by_hand))


@dataclass(frozen=True)
class LossAfter:
    """The loss after so many steps, on both sides."""

    steps: int
    by_hand: float
    pytorch: float


def start() -> Params:
    """The parameters: weights chosen or the text's, biases solved for. σ(WA + B) = A′ gives B = ln(A′/(1−A′)) − WA."""
    given = CHOSEN | TEXTS
    first = np.array([[given["W11"], given["W21"]], [given["W12"], given["W22"]]])
    second = np.array([[given["W31"], given["W41"]]])

    def logit(a):
        return np.log(a / (1 - a))

    return {
        "0": {"weight": first, "bias": logit(HIDDEN) - first @ X},
        "2": {"weight": second, "bias": logit(OUTPUT) - second @ HIDDEN},
    }


class ExampleByHand:
    """manualbp's side. A step is Sequential's chain rule spelled out, so that what lies between can be shown."""

    def __init__(self) -> None:
        self.params, self.optimizer = start(), SGD(lr=LR)
        self.state = self.optimizer.init(self.params)

    def step(self) -> dict[str, float]:
        x, outs, caches, grads = X, [], {}, {}
        for name, layer in NET.children().items():
            x, caches[name] = layer.forward(self.params.get(name, {}), x)
            outs.append(x)
        mse, cache = MSELoss().forward({}, (x, Y))
        (dx, _), _ = MSELoss().backward({}, cache, np.array(0.5))  # L = ½ · MSE, so the upstream gradient is ½
        douts = [dx]
        for name, layer in reversed(NET.children().items()):
            dx, grads[name] = layer.backward(self.params.get(name, {}), caches[name], dx)
            douts.insert(0, dx)
        self.params, self.state = self.optimizer.step(self.params, grads, self.state)
        return _named(outs, 0.5 * mse, douts, flatten(grads), flatten(self.params))


class ExampleByAutograd:
    """PyTorch's side: the twin of the network in torch.nn, every gradient from autograd."""

    def __init__(self) -> None:
        self.net = to_torch(NET, start())
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=LR)

    def step(self) -> dict[str, float]:
        values = [torch.tensor(X, requires_grad=True)]
        for module in self.net.children():
            values.append(module(values[-1]))
            values[-1].retain_grad()
        loss = 0.5 * torch.nn.MSELoss()(values[-1], torch.tensor(Y))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        outs, douts = [v.detach() for v in values[1:]], [v.grad for v in values]
        parameters = dict(self.net.named_parameters())
        grads, new = {n: p.grad for n, p in parameters.items()}, {n: p.detach() for n, p in parameters.items()}
        return _named(outs, loss.detach(), douts, grads, new)


def _named(outs: list, loss: Tree, douts: list, grads: dict, new: dict) -> dict[str, float]:
    """Arrays or tensors of one step under the text's names. outs: what the four layers gave; douts: ∂L/∂ of the
    input and of each of these; grads and new: under torch's names."""
    (z_h, a_h, z_o, a_o), (dx, dz_h, da_h, dz_o, da_o) = outs, douts
    values = {"L": loss, "Z_o1": z_o[0], "A_o1": a_o[0], "δ_o1": dz_o[0], "∂L/∂A_o1": da_o[0]}
    for j in (0, 1):
        values |= {f"Z_h{j + 1}": z_h[j], f"A_h{j + 1}": a_h[j]}
        values |= {f"δ_h{j + 1}": dz_h[j], f"∂L/∂A_h{j + 1}": da_h[j], f"∂L/∂X{j + 1}": dx[j]}
    for symbol, (name, index) in PLACES.items():
        values |= {f"∂L/∂{symbol}": grads[name][index], f"{symbol} new": new[name][index]}
    return {symbol: float(value) for symbol, value in values.items()}


def given() -> list[tuple[str, float, str, str]]:
    """(symbol, value, where torch keeps it, where it comes from) of everything that the example starts with."""
    rows = [(f"X{i + 1}", float(x), f"x[{i}]", "text") for i, x in enumerate(X)]
    rows += [("Y", float(Y[0]), "target[0]", "text, in place of [0.01, 0.99]"), ("α", LR, "lr", "text")]
    flat = flatten(start())
    for symbol, (name, index) in PLACES.items():
        source = "text" if symbol in TEXTS else "chosen" if symbol in CHOSEN else "solved for"
        rows.append((symbol, float(flat[name][index]), f"{name}[{', '.join(map(str, index))}]", source))
    return rows


def first_step() -> list[NumberRow]:
    """Every number of the first step, in the text's order."""
    hand, autograd = ExampleByHand().step(), ExampleByAutograd().step()
    rows = []
    for stage, lines in STAGES.items():
        for line in lines.strip().splitlines():
            quantity, formula, text = (part.strip() for part in line.split("|"))
            rows.append(NumberRow(stage, quantity, formula, hand[quantity], autograd[quantity], text))
    return rows


def losses(steps: int) -> Iterator[LossAfter]:
    """The loss before the first step and after each: both sides train on their own, from the same start."""
    hand, autograd = ExampleByHand(), ExampleByAutograd()
    for done in range(steps + 1):
        yield LossAfter(done, hand.step()["L"], autograd.step()["L"])


def notes() -> list[str]:
    """Where the text simplifies, in words; the numbers in them are computed."""
    row = {r.quantity: r for r in first_step()}
    filled = NOTES.format(δ=row["δ_h1"], δ_exact=number(row["δ_h1"].by_hand), W11=row["∂L/∂W11"],
                          W11_exact=number(row["∂L/∂W11"].by_hand), Y=number(Y[0]))  # fmt: skip
    return [" ".join(note.split()) for note in filled.split("\n\n")]


def number(value: float) -> str:
    """Ten decimals at most, and never 5e-05: the text writes its numbers out."""
    return np.format_float_positional(value, precision=10, trim="-")


def explain(steps: int = 1, console: Console | None = None) -> None:
    """Print the worked example, then the loss of `steps` steps if they are more than one."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1; it is {steps}")
    console, rows = console or terminal.console(), first_step()
    console.print(f"\n{NET}, {SGD(lr=LR)}, L = ½ MSELoss\n", highlight=False)
    console.print(_given_table())
    console.print(_step_table(rows))
    off = max(abs(row.by_hand - row.pytorch) for row in rows)
    console.print(f"{len(rows)} numbers; by hand and by autograd they differ by {off:.1e} at most.\n", highlight=False)
    console.print(_note_table())
    if steps > 1:
        console.print(_loss_table(list(losses(steps))))


def _table(title: str, **columns: str) -> Table:
    """A table without lines, its columns given by heading and side."""
    table = Table(title=f"[bold]{title}[/]", title_justify="left", title_style="", box=None, padding=(0, 2, 0, 0))
    for heading, side in columns.items():
        table.add_column(heading.replace("_", " "), justify=side, overflow="fold", header_style="dim")
    return table


def _given_table() -> Table:
    table = _table("Given", _="left", value="right", in_torch="left", taken_from="left")
    for symbol, value, place, source in given():
        table.add_row(symbol, number(value), escape(place), source)
    return table


def _step_table(rows: list[NumberRow]) -> Table:
    table = _table("\nStep 1", _="left", formula="left", by_hand="right", PyTorch="right", text="right")
    table.caption, table.caption_justify = "~ rounded by the text: see note 1\n", "left"
    stage = None
    for row in rows:
        if row.stage != stage:
            stage = row.stage
            table.add_row()
            table.add_row("", f"[bold cyan]{stage}[/]")
        text = f"[yellow]~ {row.text}[/]" if row.rounded else row.text
        table.add_row(row.quantity, row.formula, number(row.by_hand), number(row.pytorch), text)
    return table


def _note_table() -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1, 1, 0))
    for i, note in enumerate(notes(), 1):
        table.add_row(f"[bold]{i}[/]", note)
    return table


def _loss_table(history: list[LossAfter], lines: int = 20) -> Table:
    """The history, thinned to so many lines: the first, the last, and evenly between."""
    shown = sorted({round(i) for i in np.linspace(0, len(history) - 1, min(lines, len(history)))})
    table = _table("Loss by step", after="right", by_hand="right", PyTorch="right", difference="right")
    for i in shown:
        at = history[i]
        table.add_row(str(at.steps), f"{at.by_hand:.12f}", f"{at.pytorch:.12f}", f"{at.by_hand - at.pytorch:.1e}")
    return table
