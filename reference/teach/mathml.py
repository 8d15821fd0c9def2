"""The mathematics of a docstring, written in Unicode, as MathML: nothing is added, nothing is left out.

What is a word stays text; what is an option or a class is set as code; everything else is mathematics.
"""

import html
import re
from collections.abc import Iterator

SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₕₖₗₘₙₚₛₜᵢⱼᵣᵤᵥᵦᵧᵩ", "0123456789+−=()aeoxhklmnpstijruvβγφ"))
SUPERSCRIPTS = dict(
    zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀᵅᵝᵞᵟ⸍", "0123456789+−=()abcdefghijklmnoprstuvwxyzTαβγδ/")
)
FUNCTIONS = {
    "log", "exp", "sin", "cos", "tan", "sinh", "cosh", "tanh", "max", "min", "erf", "sign", "sgn", "softmax",
    "sigmoid", "softplus", "expm1", "log1p", "mod", "arg", "argmax", "relu", "lr", "diag", "tr", "det", "trunc",
    "floor", "round", "clamp", "median", "Dropout", "Bernoulli", "E", "P", "U",
}  # fmt: skip
ENGLISH = {"round", "sign", "floor", "median"}  # functions before what they are taken of, else words
WORDS = {"a", "A", "I"}  # single letters that are words before a word
D_WORDS = {"do"}  # a gradient, unless a word follows
SHORT = {
    "an", "as", "at", "be", "by", "do", "go", "he", "if", "in", "is", "it", "me", "my", "no", "of", "on", "or",
    "so", "to", "up", "us", "we", "An", "As", "At", "By", "If", "In", "It", "No", "Of", "On", "So", "To", "We",
}  # fmt: skip
PUNCTUATION = set("(),.;:|[]{}…—–?!“”\"'")
STOPS, BEGUN = ",.;:", "(["  # a formula ends before them, and before the parenthesis of a word that follows
ENDED = STOPS + ")]"
BREAKS = "=←≈≤≥<>+−·⊙"
OPENS = BREAKS + "/,([{⊗∈;:"  # after it a sign belongs to what follows
CLOSES = {"(": ")", "⟨": "⟩", "[": "]", "{": "}"}
LONG = 14  # tokens from which on a run may be broken
COMBINING = "\u0300-\u036f"
SUB, SUP = "".join(SUBSCRIPTS), "".join(SUPERSCRIPTS)
TOKEN = re.compile(
    rf"(?P<space>\s+)|(?P<quoted>\"[^\"\s]*\"|\b_[A-Z]\w+|`[^`]+`|\btorch(?:\.\w+)+)|(?P<number>\d+(?:[.,]\d+)*)|"
    rf"(?P<latin>[A-Za-zÀ-ÿ](?:[A-Za-zÀ-ÿ]|’(?=[a-z])|'(?=s\b)|-(?=[a-z]))*(?:[A-Za-z0-9]*(?:_[A-Za-z0-9]+)+|\d+d?\b(?:'s\b)?)?[{COMBINING}]?)|"
    rf"(?P<greek>[Α-Ωα-ωϑϕℓ][{COMBINING}]?(?:_[A-Za-z0-9]+)?)|"
    rf"(?P<sub>[{SUB}]+)|(?P<sup>[{SUP}]+)|(?P<prime>[′″]+)|(?P<other>\+=|.)"
)


def tokens(text: str) -> list[tuple[str, str]]:
    """(kind, text): space, word, code, name, number, sub, sup, prime, other."""
    found = [(m.lastgroup or "", m[0]) for m in TOKEN.finditer(text)]
    return whole_roots([part for i in range(len(found)) for part in parted(kind_of(found, i), found[i][1])])


def whole_roots(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """With the words and options under a root as mathematics, since a word would end the formula that it stands in."""
    found = list(found)
    for i in [i for i, (_, text) in enumerate(found) if text == "√"]:
        for k in range(i + 1, end_of_radicand(found, i + 1)):
            kind, text = found[k]
            found[k] = ({"word": "name", "code": "option"}.get(kind, kind), text)
    return found


def end_of_radicand(found: list[tuple[str, str]], i: int) -> int:
    """Behind what the root before the i-th token is of: a thing, its brackets, or a function with its brackets."""
    if i + 1 < len(found) and found[i][0] in ("name", "word") and found[i + 1][1] == "(":
        i += 1
    closes, depth = CLOSES.get(found[i][1] if i < len(found) else ""), 0
    for k in range(i, len(found) if closes else 0):
        depth += (found[k][1] == found[i][1]) - (found[k][1] == closes)
        if not depth:
            return k + 1
    return min(i + 1, len(found))


def parted(kind: str, text: str) -> list[tuple[str, str]]:
    """xW is x times W."""
    return [("name", c) for c in text] if kind == "product" else [(kind, text)]


def kind_of(found: list[tuple[str, str]], i: int) -> str:
    kind, text = found[i]
    if kind == "greek":
        return "name"
    if kind == "quoted":
        return "code"
    if kind != "latin":
        return kind
    after = found[i + 1][0:2] if i + 1 < len(found) else ("", "")
    base = re.split(rf"[_{COMBINING}]", text)[0]
    if text in ENGLISH and (follows_a_word(found, i) or after[1] in ("", *ENDED) or two_letters(found, i)):
        return "word"
    if text in FUNCTIONS or (after[1] == "(" and text[0].isupper() and len(text) > 1):
        return "name"
    if "_" in text and not (len(base) == 1 or is_gradient(base)):
        return "code"
    if text in WORDS | D_WORDS:
        said = follows_a_word(found, i) or (text in D_WORDS and after_that(found, i))
        return "word" if said and not after_an_operator(found, i) else "name"
    if len(base) == 2 and text == base and text not in SHORT and not is_gradient(base):
        return "product"
    return "name" if len(base) == 1 or is_gradient(base) else "word"


def is_gradient(base: str) -> bool:
    """dx, dW, dγ."""
    return len(base) == 2 and base[0] == "d"


def after_an_operator(found: list[tuple[str, str]], i: int) -> bool:
    """y = a where …: no article stands there."""
    before = [text for kind, text in found[max(0, i - 2) : i] if kind != "space"]
    return bool(before) and before[-1] in "=←+−·/"


def after_that(found: list[tuple[str, str]], i: int) -> bool:
    """Those that do, …"""
    return [text for _, text in found[max(0, i - 2) : i]] == ["that", " "]


def two_letters(found: list[tuple[str, str]], i: int) -> bool:
    """Is the next thing a word as short as "of" or "in"?"""
    return [kind for kind, _ in found[i + 1 : i + 3]] == ["space", "latin"] and found[i + 2][1] in SHORT


def follows_a_word(found: list[tuple[str, str]], i: int) -> bool:
    """Is the next thing after one space a word of two letters or more, or a number, as in "a 0"?"""
    after = found[i + 1 : i + 3]
    if len(after) < 2 or after[0][1] != " ":
        return False
    return after[1][0] == "number" or (after[1][0] == "latin" and len(after[1][1]) > 2)


def closed(run: list[tuple[str, str]]) -> Iterator[str]:
    """A run of tokens as mathematics, and beside it what belongs to the words before and after."""
    run, after = list(run), list[tuple[str, str]]()
    while run and (run[0][0] == "space" or run[0][1] in ENDED):
        yield html.escape(run.pop(0)[1])
    while run and (run[-1][0] == "space" or run[-1][1] in STOPS + BEGUN):
        after.insert(0, run.pop())
    if any(kind != "other" or t not in PUNCTUATION for kind, t in run if kind != "space"):
        parts = [Row(part, goes_on=i > 0) for i, part in enumerate(broken(run))]
        yield "<wbr>".join(f"<math>{row.all()}</math>" for row in parts)
    else:
        yield from (html.escape(t) for _, t in run)
    yield from (gap(t) if kind == "space" else html.escape(t) for kind, t in after)


def typeset(text: str) -> str:
    """One line as HTML with MathML in it."""
    out, run = [], []

    def close() -> None:
        out.extend(closed(run))
        run.clear()

    found = tokens(text)
    for i, (kind, token) in enumerate(found):
        if run and token == "(" and aside(found, i):
            close()
        if kind in ("sub", "sup") and not run and out and not out[-1].startswith("<math"):
            low = "sub" if kind == "sub" else "sup"
            out.append(f"<{low}>{unscripted(token)}</{low}>")
        elif token == ":" and not (run and run[-1][1] == "="):  # a stop, not the sign of a ratio
            close()
            out.append(token)
        elif kind in ("word", "code") or (kind == "space" and len(token) > 1):
            close()
            out.append(gap(token) if kind == "space" else code(token) if kind == "code" else html.escape(token))
        else:
            run.append((kind, token))
    close()
    return "".join(out)


def aside(found: list[tuple[str, str]], i: int) -> bool:
    """Does a parenthesis hold words, behind a space: a remark on a formula, and no part of it?"""
    if i < 2 or found[i - 1][0] != "space" or found[i - 2][1] in OPENS:
        return False
    depth, words = 0, False
    for kind, text in found[i:]:
        depth += (text == "(") - (text == ")")
        words = words or kind == "word"
        if not depth:
            return words
    return words


def broken(run: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """A long run in the parts between which a line may break: before what stands between terms, in no parentheses."""
    if len(run) < LONG:
        return [run]
    parts, depth = [[run[0]]], (run[0][1] in "([{") - (run[0][1] in ")]}")
    for i, (kind, text) in enumerate(run[1:], 1):
        depth += (text in "([{") - (text in ")]}")
        if depth <= 0 and kind == "other" and text in BREAKS and run[i - 1][0] == "space" and len(parts[-1]) > 3:
            parts.append([])
        parts[-1].append((kind, text))
    return parts


def code(text: str) -> str:
    return f"<code>{html.escape(text.strip('`'))}</code>"


def prose(text: str) -> str:
    """Sentences as they are, with what stands in backticks as code, and t_L with an index."""

    def said(part: str) -> str:
        return re.sub(r"(?<![\w.])(\w)_([A-Za-z0-9])\b", r"\1<sub>\2</sub>", html.escape(part))

    return "".join(code(part) if part[:1] == "`" else said(part) for part in re.split(r"(`[^`]+`)", text))


def gap(space: str) -> str:
    """More than one space in a docstring parts two formulas; where a line is broken, the gap stays at its end."""
    return " " if len(space) == 1 else "\u2003"


class Row:
    """A run of mathematical tokens, read from left to right. `goes_on`: it is the next part of a longer one."""

    def __init__(self, run: list[tuple[str, str]], goes_on: bool = False) -> None:
        self.run = [t for t in run if t[0] != "space"]
        apart = [i - sum(t[0] == "space" for t in run[:i]) for i, t in enumerate(run) if run[i - 1][0] == "space" and i]
        self.apart = {i for i in apart if i and self.product(i)}
        self.before = set(apart)
        self.at, self.infix = 0, goes_on or (len(self.run) > 2 and self.run[0][1] != "−")

    def product(self, i: int) -> bool:
        """Are this thing and the one before factors, with nothing between but a space?"""
        before, now = self.run[i - 1], self.run[i]
        return (now[0] in ("name", "number") or now[1] in "∂√") and before[1] not in "=←<>≤≥≈+−·⊙⊗/∈(,;:|[{⟨∂√-"

    def all(self) -> str:
        out = []
        while self.at < len(self.run):
            out.append('<mspace width="0.22em"/>' * (self.at in self.apart) + self.scripted())
        return "".join(out)

    def next(self) -> tuple[str, str]:
        self.at += 1
        return self.run[self.at - 1]

    def peek(self) -> tuple[str, str]:
        return self.run[self.at] if self.at < len(self.run) else ("", "")

    def scripted(self) -> str:
        """One thing with what stands below and above it."""
        base = self.primary()
        below = above = ""
        while True:
            kind, text = self.peek()
            if kind == "sub" and not below:
                below = script(text, SUBSCRIPTS)
            elif text == "∞" and not below and self.run[self.at - 1][0] == "name" and self.at not in self.before:
                below = "<mi>∞</mi>"
            elif kind == "sup":
                above += script(text, SUPERSCRIPTS)
            elif kind == "prime":
                base = f'<mrow>{with_scripts(base, below, above)}<mo lspace="0" rspace="0">{text}</mo></mrow>'
                below = above = ""
            elif text == "_" and not below and self.at + 1 < len(self.run):
                self.next()
                below = self.inner() if self.peek()[1] in "({" else self.primary()
                continue
            elif text == "^" and self.at + 1 < len(self.run):
                self.next()
                above += self.inner() if self.peek()[1] == "(" else self.scripted()
                continue
            else:
                return with_scripts(base, below, above)
            self.next()

    def primary(self) -> str:
        kind, text = self.next()
        if kind == "number":
            return f"<mn>{text}</mn>"
        if kind == "name":
            return name(text)
        if kind in ("sub", "sup"):  # of nothing: shown as it is
            return f"<mtext>{text}</mtext>"
        if text == "√" and self.at < len(self.run):
            return f"<msqrt>{self.radicand()}</msqrt>"
        if kind == "option":
            return f"<mtext>{code(text)}</mtext>"
        if text in "½¼¾⅓⅔":
            return f"<mn>{text}</mn>"
        if text in "∂∞∅∇":
            return f"<mi>{text}</mi>"
        stretch = ' stretchy="false"' if text in "()[]{}|⌊⌋⌈⌉⟨⟩‖" else ""
        tight = ' lspace="0" rspace="0"' if text in "|‖" and not {self.at - 1, self.at} <= self.before else ""
        return f"<mo{stretch}{tight}{self.form(text)}>{html.escape(text)}</mo>"

    def form(self, text: str) -> str:
        """Whether an operator stands between two things or before one, where its place in the row does not say it."""
        if self.at == 1:
            return ' form="infix"' if text in BREAKS and self.infix else ""
        kind, before = self.run[self.at - 2]
        return ' form="prefix"' if text in "+−±" and kind == "other" and before in OPENS else ""

    def radicand(self) -> str:
        """What a root is of: what stands in parentheses, a thing in other brackets, or a function of what follows."""
        if self.peek()[1] == "(":
            return self.inner()
        end = self.at + end_of_radicand(self.run[self.at :], 0)
        out = [self.scripted()]
        while self.at < end:
            out.append(self.scripted())
        return "".join(out)

    def inner(self) -> str:
        """What stands in a pair of parentheses, without them: a root, an index or an exponent needs none."""
        _, opens = self.next()
        closes = CLOSES[opens]
        out, depth = [], 1
        while self.at < len(self.run):
            text = self.peek()[1]
            depth += (text == opens) - (text == closes)
            if depth == 0:
                self.next()
                break
            out.append(self.scripted())
        return f"<mrow>{''.join(out)}</mrow>"


def name(text: str) -> str:
    """A letter, a function, a gradient dx, each perhaps with an index behind an underscore."""
    base, _, index = text.partition("_")
    if is_gradient(base):
        made = f"<mrow><mi>d</mi><mi>{base[1:]}</mi></mrow>"
    else:
        letter = re.sub(f"[{COMBINING}]", "", base)
        upright = ' mathvariant="normal"' if len(letter) > 1 or letter in "ΣΠΦ" else ""
        made = f"<mi{upright}>{base}</mi>"
    return f"<msub>{made}<mrow>{letters(index)}</mrow></msub>" if index else made


def script(text: str, plain: dict[str, str]) -> str:
    """A run of sub- or superscripts; xi above is x with the index i, as in the exponent of softmax."""
    text = "".join(plain[c] for c in text)
    if re.fullmatch(r"−?[xz][ij]", text):
        minus = "<mo>−</mo>" if text[0] == "−" else ""
        return f"{minus}<msub><mi>{text[-2]}</mi><mi>{text[-1]}</mi></msub>"
    return letters(text)


def letters(text: str) -> str:
    return "".join(
        f"<mn>{part}</mn>" if part.isdigit() else f"<mi>{part}</mi>" if part.isalpha() else f"<mo>{part}</mo>"
        for part in re.findall(r"\d+|.", text)
    )


def with_scripts(base: str, below: str, above: str) -> str:
    if below and above:
        return f"<msubsup>{base}<mrow>{below}</mrow><mrow>{above}</mrow></msubsup>"
    if below:
        return f"<msub>{base}<mrow>{below}</mrow></msub>"
    return f"<msup>{base}<mrow>{above}</mrow></msup>" if above else base


def plain(text: str) -> str:
    """A line as the text content of its typeset form is, without spaces: what a test compares."""
    text = re.sub(r"_\{([^}]*)\}", r"_\1", text)
    keep = [t if k in ("code", "option") else t.replace("_", "") for k, t in tokens(text)]
    return re.sub(r"[\s^√()`]", "", unscripted("".join(keep)))


def unscripted(text: str) -> str:
    return "".join({**SUBSCRIPTS, **SUPERSCRIPTS}.get(c, c) for c in text)
