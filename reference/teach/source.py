"""The code of a class, each line tied to the line of the derivation that it computes.

A step number, as (4) in a comment, ties where there is one. Otherwise a line belongs to what it shares most rare
letters with, and above all to the line that begins with what it assigns.
"""

import inspect
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FunctionType

from . import docstring
from .docstring import DERIVATION, Doc
from .mathml import SUBSCRIPTS, SUPERSCRIPTS

LEFT_OUT = {"example", "sample", "sample_params", "init", "takes", "derives", "like"}
SPOKEN = {
    'params["weight"]': "W", 'params["bias"]': "b", '"weight":': "dW", '"bias":': "db", ".T": "ᵀ", ".swapaxes": "ᵀ",
    ".sum(": "Σ", "add.at": "Σ", ".mean(": "⟨", "np.exp": "e", "np.sqrt": "√", "np.abs": "|", "xhat": "x̂", "x_hat": "x̂",
    "mu": "μ", "sigmoid": "σ", "var": "σ²", "alpha": "α", "beta": "β", "gamma": "γ", "eps": "ε", "delta": "δ",
    "lambd": "λ",
    "self.lr": "lr", "weight_decay": "λ", "exp_avg_sq": "v", "exp_avg": "m", "b1": "β₁", "b2": "β₂", "normal_cdf": "Φ",
    "np.sign": "sign", "expm1": "e", "np.log": "log", "log_softmax": "log", "** 2": "²", "momentum": "μ",
}  # fmt: skip
PLAIN = str.maketrans({c: None for c in [*SUBSCRIPTS, *SUPERSCRIPTS, "′"] if c not in "ᵀ²"})
ALIKE, HINT = 0.5, 0.15  # what a line of code shares with its step: without, and with the same thing on the left
LEFT = re.compile(r"(∂?)([A-Za-zΑ-ωϕℓ]+[\u0300-\u036f]?)[₀-ₜᵢ-ᵪⱼ′]*(?:_[a-z]+)?\s*(?:=|←|\+=)")
LETTER = re.compile(r"[A-Za-zΑ-ωϕℓ]+[\u0300-\u036f]?[ᵀ²]?|[Σ∂⟨√|²]")


@dataclass(frozen=True)
class Step:
    """One thing that a derivation says: `key` is its id on the page, `number` what the docstring calls it, as (4) or
    (3′), or nothing."""

    key: str
    heading: str
    of: str
    text: str
    indent: int
    number: str


@dataclass(frozen=True)
class Code:
    """One line of code and the keys of the steps that it belongs to."""

    text: str
    ties: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """A method, or a function that a method calls."""

    title: str
    lines: tuple[Code, ...]


def families(cls: type) -> list[type]:
    """The class and the bases that share its derivation, up to what every layer is."""
    return [c for c in cls.__mro__ if c.__module__.startswith("manualbp.") and not c.__module__.endswith(".base")]


def docs(cls: type) -> list[tuple[type, Doc]]:
    """The docstrings of the class and its families; one that a class has taken over from its family counts once."""
    found: list[tuple[type, Doc]] = []
    for c in families(cls):
        doc = docstring.read(c)
        if doc.summary and all(doc != other for _, other in found):
            found.append((c, doc))
    return found


def steps(cls: type) -> list[Step]:
    """Every line of the derivation of the class and of its families; what is said twice is taken once."""
    found: dict[tuple[str, str], Step] = {}
    for c, doc in docs(cls):
        for section in (s for h in DERIVATION if (s := doc.get(h))):
            for line in section.lines:
                number, text = parted(line.text)
                step = Step(f"s{len(found) + 1}", section.heading, c.__name__, text, line.indent, number)
                found.setdefault((section.heading, f"{number}{text}"), step)
    return list(found.values())


def parted(text: str) -> tuple[str, str]:
    """A line's own number, which stands at its beginning, or at its end behind a gap, and the rest."""
    at_start, at_end = re.match(r"(\(\d+′?\)|\d\.) +", text), re.search(r" {2,}(\(\d+′?\))$", text)
    number = at_start or at_end
    return (number[1], (text[: number.start()] + text[number.end() :]).rstrip()) if number else ("", text)


def listings(cls: type) -> list[Listing]:
    """The methods that compute, from the class itself to its families, then the functions of the same file that they
    call."""
    derivation, seen, functions = steps(cls), set(), {}
    found = []
    for c in families(cls):
        for name, f in c.__dict__.items():
            if not isinstance(f, FunctionType) or name in LEFT_OUT or name.startswith("__") or name in seen:
                continue
            seen.add(name)
            found.append(listing(name, f, derivation))
            module = inspect.getmodule(c)
            called = {n: vars(module).get(n) for n in f.__code__.co_names}
            functions |= {
                n: g for n, g in called.items() if isinstance(g, FunctionType) and g.__module__ == c.__module__
            }
    return found + [listing(name, f, derivation) for name, f in functions.items()]


def listing(name: str, f: FunctionType, derivation: Sequence[Step]) -> Listing:
    text = textwrap.dedent(inspect.getsource(f)).rstrip()
    quoted = re.compile(r'^( +)"""(?:.|\n)*?"""\n', re.MULTILINE)
    text = quoted.sub("", text, count=1)
    way = "Forward" if name in FORWARD else "Backward" if goes_back(name) else ""
    aims = [s for s in derivation if not way or s.heading in (way, "Rule")]
    return Listing(name, tuple(Code(line, tuple(tied(line, name, aims, derivation))) for line in text.splitlines()))


FORWARD = {"forward", "f", "w", "evaluate", "value", "step"}
BACKWARD = {"backward", "gradients", "df", "dw", "slope", "slopes"}
RETURNED = {"rule": "p", "value": "v", "gradients": "dW"}  # what a method gives; else dx or y
NO_STEP = ("def ", "@", "if ", "elif ", "for ", "with ", "else", "raise ", "self.takes", "self.check", "try", "except")
COMPUTES = re.compile(r"[-+*/@]|\w\(")


def goes_back(method: str) -> bool:
    return method in BACKWARD or method.endswith(("_back", "_backward")) or method.startswith("through_")


def tied(line: str, method: str, aims: Sequence[Step], every: Sequence[Step]) -> Iterator[str]:
    """The keys of the steps that a line of code belongs to."""
    code, _, comment = line.partition("  # ")
    if numbers := set(mentioned(comment, every)):
        yield from (s.key for s in every if s.number in numbers)
        return
    if method.startswith("_") or code.lstrip().startswith(NO_STEP) or not COMPUTES.search(code):
        return
    spoken, target = letters_of_code(code), assigned(code, method)
    every_letters = [letters(s.text) for s in aims]
    scores = {s.key: score(spoken, have, every_letters) for s, have in zip(aims, every_letters)}
    scores = {s.key: scores[s.key] + 0.35 * (target in left_sides(s.text)) for s in aims if
              scores[s.key] >= (HINT if target in left_sides(s.text) else ALIKE)}  # fmt: skip
    if scores:
        yield max(scores, key=lambda key: scores[key])


MENTION = re.compile(r"(?:(\w+?)(?:\dd)?'s )?\((\d+)(′?)\)(?: to \((\d+)′?\))?")


def mentioned(comment: str, derivation: Sequence[Step]) -> Iterator[str]:
    """The numbers in a comment, and those between in "(3) to (7)", or back in "(7′) to (3′)"; of "Conv1d's (4)" only
    where this is the derivation of such a class."""
    classes = {re.sub(r"\dd$", "", s.of) for s in derivation}
    for cls, first, prime, last in MENTION.findall(comment):
        low, high = sorted((int(first), int(last or first)))
        if not cls or cls in classes:
            yield from (f"({n}{prime})" for n in range(low, high + 1))


def left_sides(text: str) -> set[str]:
    """What a step gives: the letters before = and ←; ∂L/∂x gives dx."""
    found = set()
    for match in LEFT.finditer(text):
        found |= {"d" + letter.translate(PLAIN) if match[1] else letter.translate(PLAIN) for letter in [match[2]]}
    return found


def score(code: set[str], step: set[str], every: list[set[str]]) -> float:
    """The share of letters in common, rare ones worth more."""

    def worth(letter: str) -> float:
        return math.log(1 + len(every) / (1 + sum(letter in each for each in every)))

    total = sum(map(worth, code | step))
    return sum(map(worth, code & step)) / total if total else 0.0


def letters(text: str) -> set[str]:
    """The letters of a line of a derivation, without indices."""
    return {m.translate(PLAIN) for m in LETTER.findall(text.replace("dx/d", "")) if len(m) <= 3}


def letters_of_code(code: str) -> set[str]:
    """The letters of a line of code, in the docstring's spelling."""
    found = {spoken for written, spoken in SPOKEN.items() if written in code}
    for word in re.findall(r"[A-Za-z_]\w*", re.sub(r'"[^"]*"', "", code)):
        found |= {part for part in (*word.split("_"), word) if len(part) <= 2 and part not in ("np", "if", "in", "or")}
    return found


def assigned(code: str, method: str) -> str:
    """What the line gives: the name before =, or dx or y where it returns."""
    match = re.match(r"\s*([A-Za-z_]\w*)(?:, \w+)* [-+*]?= ", code)
    if match:
        return match[1].split("_")[-1] if match[1] != "grads" else "dW"
    given = RETURNED.get(method, "dx" if goes_back(method) else "y" if method in FORWARD else "")
    return given if code.lstrip().startswith("return") else ""
