"""What a check of somebody's gradient found: true if it stands, and on one screen what is wrong if not."""

from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from ..compare.comparison import GOOD
from ..compare.tensor import Tensor
from ..diagnose.evidence import Suspect
from . import files, notebook

SAYS = {
    "identical": "identical, bit for bit",
    "rounding": "equal within rounding",
    "wrong": "wrong",
    "convention": "another convention at a kink or tie: defensible, but not torch's",
    "coarse": "coarse: right to a few digits, not to the precision that it was judged in, which is no pass",
    "error": "error: this check could not be run",
    "vacuous": "vacuous: nothing above the noise was compared, so this says nothing",
}
SIDES = {
    "forward": "The backward pass is right for this forward, but the forward is not the function intended.",
    "backward": "The forward is as intended; the backward pass is wrong.",
    "both": "The forward is not the function intended, and the backward pass is not its derivative either.",
    "gradients": "The gradients given are not those of this loss.",
    "against": "The other side is wrong: what was judged is the derivative of its own forward.",
    "compiled": "What the compiler made is wrong: torch without it agrees with the side by hand.",
    "eager": "Torch as it is is wrong, without a compiler: what one made agrees with the side by hand.",
    "update": "The update is not that of the rule intended.",
    "now": "What is there now is wrong: a third side agrees with the recording.",
    "recording": "The recording is wrong: a third side agrees with what is there now.",
    "contract": "The numbers of a single clean call are right; how the functions behave is not.",
}


@dataclass(frozen=True)
class Report:
    """The outcome of a check. `bool(report)`: does the gradient stand?

    verdict     "identical" "rounding" "wrong" "coarse" "convention" "vacuous", or "error": it could not be run
    wrong_side  "forward" "backward" "both" "gradients" "against" "update" "now" "recording" "contract", or
                None
    culprit     the first tensor that is wrong while what it was made from is right
    suspects    the mistakes that explain it, the likeliest first
    tensors     every array of the trial shown, compared
    contracts   what the functions do that they must not
    dtype       the precision that it was judged in
    digits      how many are right, where it is coarse
    """

    title: str
    verdict: str
    wrong_side: str | None = None
    culprit: str | None = None
    suspects: tuple[Suspect, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    contracts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    trials: int = 1
    shown: str = ""
    dtype: str = "float64"
    digits: int | None = None

    @property
    def stands(self) -> bool:
        """Is what was checked right?"""
        return self.verdict in GOOD

    def __bool__(self) -> bool:
        return self.stands

    @property
    def said(self) -> tuple[str, str]:
        """What the two sides are called where both numbers are shown."""
        return "yours", "right"

    @property
    def ratio(self) -> float:
        """The largest err/bound."""
        return max((t.ratio for t in self.tensors), default=0.0)

    @property
    def power(self) -> float | None:
        """The smallest relative fault that every visible tensor would have shown."""
        return max((t.power for t in self.tensors if t.power is not None), default=None)

    def __str__(self) -> str:
        lines = [f"{self.title}: {SAYS[self.verdict]}{f', in {self.dtype}' * (self.dtype != 'float64')}"]
        if self.wrong_side:
            lines.append(SIDES[self.wrong_side])
        lines += [f"  {text}" for text in self.contracts]
        if self.tensors:
            lines += ["", *self._table()]
        lines += self._worst()
        if self.suspects:
            whose = "" if self.said[0] == "yours" else f" (yours: {self.said[0]})"
            lines += [
                "",
                f"What the mistake looks like{whose}:",
                *(f"{i}. {s}" for i, s in enumerate(self.suspects[:3], 1)),
            ]
        elif self.verdict == "wrong" and self.wrong_side != "contract":
            lines += ["", "No known mistake explains this; the facts above are what is certain."]
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes), ""])

    def _table(self) -> list[str]:
        width = max(len(t.name) for t in self.tensors)
        head = f"  {'':{width}}  {'err':>9} {'bound':>9} {'err/bound':>10} {'power':>9}   ({self.shown})"
        rows = [
            f"{' ' if t.ok else '✗'} {t.name:{width}}  {t.error:9.2g} {t.bound:9.2g} {_ratio(t):>10} "
            f"{_figure(t.power):>9}{'   ' * bool(t.what)}{t.what}"
            for t in self.tensors
        ]
        return [head, *rows]

    def _worst(self) -> list[str]:
        t = next((t for t in self.tensors if t.name == self.culprit and not t.ok), None)
        if t is None or t.what or (worst := t.worst()) is None:
            return []
        where, yours, right = worst
        place = f"[{', '.join(map(str, where))}]" if where else ""
        told = f"{self.said[0]} {yours:.17g}, {self.said[1]} {right:.17g}"
        return [f"First culprit: {self.culprit}, worst at {self.culprit}{place}: {told}"]

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        side = [SIDES[self.wrong_side]] if self.wrong_side else []
        return notebook.of_report(self, SAYS[self.verdict], [*side, *self.contracts, *self._worst()])

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "title": self.title, "verdict": self.verdict, "verified": self.stands, "wrong_side": self.wrong_side,
            "culprit": self.culprit, "contracts": list(self.contracts), "suspects": [vars(s) for s in self.suspects],
            "dtype": self.dtype, "digits": self.digits,
            "trials": self.trials, "shown": self.shown, "tensors": list(map(files.of_tensor, self.tensors)),
            "notes": list(self.notes),
        }  # fmt: skip

    def to_json(self) -> str:
        return files.as_json(self.to_dict())

    def junit_suite(self) -> ElementTree.Element:
        """One test suite with one test case a tensor, and one for the contracts."""
        wrong = {t.name: f"err {t.error:.3g}, bound {t.bound:.3g} {t.what}" for t in self.tensors if not t.ok}
        wrong |= {"contract": "; ".join(self.contracts)} if self.contracts else {}
        names = [*(t.name for t in self.tensors), "contract"]
        failures = {n: (message, str(self)) for n, message in wrong.items()}
        return files.junit_suite(self.title, (files.TestCase(self.title, n, failures.get(n)) for n in names))

    def to_junit(self) -> str:
        return ElementTree.tostring(self.junit_suite(), encoding="unicode")


def _ratio(t: Tensor) -> str:
    return "identical" if t.identical else f"{t.ratio:.3g}"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.0e}"
