"""Docstrings as pages show them: sections, lines, numbers, and mathematics typeset from Unicode."""

import pytest

from manualbp.base import registry
from manualbp.optim.base import Optimizer
from reference.teach import docstring, mathml, source

CLASSES = {**registry(), **registry(Optimizer)}


def test_typesetting():
    assert mathml.typeset("y = xWᵀ") == (
        "<math><mi>y</mi><mo>=</mo><mi>x</mi><msup><mi>W</mi><mrow><mi>T</mi></mrow></msup></math>"
    )
    assert mathml.typeset("so yᵢ is one") == "so <math><msub><mi>y</mi><mrow><mi>i</mi></mrow></msub></math> is one"
    assert "<msqrt><mi>v̂</mi></msqrt>" in mathml.typeset("√v̂ + ε")
    assert "<code>label_smoothing</code>" in mathml.typeset("s = label_smoothing")
    assert mathml.typeset("a sum over a < b").startswith("a sum over <math>")
    assert "&lt;" in mathml.typeset("a < b")
    assert mathml.typeset("(a list)").startswith("(")
    assert mathml.typeset("the option `where`") == "the option <code>where</code>"
    assert mathml.prose("t₁ … t_L, `t_L`") == "t₁ … t<sub>L</sub>, <code>t_L</code>"
    assert mathml.prose("over `dim`, a < b") == "over <code>dim</code>, a &lt; b"
    assert "<mo>+=</mo>" in mathml.typeset("dz += dX")
    assert mathml.typeset("the other way round, with a sign too many") == "the other way round, with a sign too many"
    assert "sign</mi>" in mathml.typeset("dx = sign d · dy")


def test_docstrings_are_read_by_their_headings():
    doc = docstring.read(CLASSES["Linear"])
    assert doc.summary == "Multiply the last axis by a matrix and add a bias."
    assert [s.heading for s in doc.sections] == ["Forward", "Backward", "Shapes", "Errors", "Source"]
    backward = doc.get("Backward")
    assert backward is not None
    assert len(backward.lines) == 4


class Broken:
    """What it is.

    Forward   z = x                                                                                               (0)
              (1) a sum that is so long that it does not fit into this line of the docstring and has to go on in the
              next one, and ends
              y = Σ z,
              which is a number
    Track     in training  n ← n + 1;
              else it stays
    Errors    none

    A subclass says what, and f(x). It is of use.
    """


def test_sentences_that_were_broken_for_want_of_room_are_one_line_and_prose_is_none():
    doc = docstring.read(Broken)
    forward, track, _ = doc.sections
    assert [line.text.split()[0] for line in forward.lines] == ["z", "(1)", "y"]
    assert forward.lines[1].text.endswith("in the next one, and ends")
    assert forward.lines[2].text == "y = Σ z, which is a number"
    assert [line.text for line in track.lines] == ["in training  n ← n + 1;", "else it stays"]
    assert (doc.summary, doc.prose) == ("What it is.", "It is of use.")


@pytest.mark.parametrize(
    ("text", "number", "rest"),
    [
        ("dx = dy W   (4)", "(4)", "dx = dy W"),
        ("(8′) do = dy W_o", "(8′)", "do = dy W_o"),
        ("2. H is never made", "2.", "H is never made"),
        ("(1)–(4) of _RNNBase", "", "(1)–(4) of _RNNBase"),
        ("as Conv1d's (1)", "", "as Conv1d's (1)"),
        ("the matrices in (2) to (5), which", "", "the matrices in (2) to (5), which"),
    ],
)
def test_the_number_of_a_line_is_told_from_one_that_it_mentions(text, number, rest):
    assert source.parted(text) == (number, rest)


def test_numbers_in_comments():
    steps = source.steps(CLASSES["Conv2d"])
    assert list(source.mentioned("(3) to (5)", steps)) == ["(3)", "(4)", "(5)"]
    assert list(source.mentioned("(7′) to (6′)", steps)) == ["(6′)", "(7′)"]
    assert list(source.mentioned("Conv1d's (4), as ever", steps)) == ["(4)"]
    assert list(source.mentioned("MaxPool1d's (4)", steps)) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    {
        "p ← p − μ/(√v̂ + ε) m̂, long": '<mo form="infix">−</mo><mi>μ</mi>',  # the beginning of a broken part
        "g ← −g": '<mo>←</mo><mo form="prefix">−</mo>',
        "σ(−2u)": '(</mo><mo form="prefix">−</mo>',
        "a − b": "<mo>−</mo>",
        "they are constants: dx = rg": "constants: <math>",
        "with rows, m = 1": "rows, <math>",
        "Σ_{c≠k} h_c": "<mrow><mi>c</mi><mo>≠</mo><mi>k</mi></mrow>",
        "c_(k+1) − 1": "<msub><mi>c</mi><mrow><mrow><mi>k</mi><mo>+</mo><mn>1</mn></mrow></mrow></msub>",
        "ρ∞ = 2": "<msub><mi>ρ</mi><mrow><mi>∞</mi></mrow></msub>",
        "p = ±∞": "±</mo><mi>∞</mi>",
        "log v̂": '<mi mathvariant="normal">log</mi><mspace width="0.22em"/><mi>v̂</mi>',
        "max|g|": '<mo stretchy="false" lspace="0" rspace="0">|</mo><mi>g</mi>',
        "[h→ | h←]": '<mo stretchy="false">|</mo>',
        "of those that do, one": "that do, one",
        "y = a,   z = b": ",\u2003<math>",
        "√(running_var + ε)": "<msqrt><mrow><mtext><code>running_var</code></mtext><mo>+</mo><mi>ε</mi></mrow></msqrt>",
        "√(rows/columns)": '<msqrt><mrow><mi mathvariant="normal">rows</mi><mo>/</mo><mi mathvariant="normal">columns<',
        "√max(1, rows) + 1": 'rows</mi><mo stretchy="false">)</mo></msqrt><mo>+</mo><mn>1</mn></math>',
        "√⟨q²⟩ s": '⟨</mo><msup><mi>q</mi><mrow><mn>2</mn></mrow></msup><mo stretchy="false">⟩</mo></msqrt>',
        "√v̂ + ε": "<msqrt><mi>v̂</mi></msqrt><mo>+</mo>",
        "is a 0 on it": "is a <math><mn>0</mn></math> on",
        "those of x (see it)": "<math><mi>x</mi></math> (see",
        "b c (0 where b": "<mi>c</mi></math> <math>",
        "d + (h from step t)": "<mo>+</mo><mo stretchy",
    }.items(),
)
def test_signs_stops_and_indices(text, wanted):
    assert wanted in mathml.typeset(text)
