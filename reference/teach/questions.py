"""The question pages: each a template whose code is run when the page is made."""

import contextlib
import html
import io
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup

from . import picture
from .mathml import typeset
from .render import environment

QUESTIONS = {
    "why-the-transpose": "Why the transpose?",
    "why-the-sum-over-the-batch": "Why the sum over the batch?",
    "where-one-over-n-goes": "Where does the 1/N go?",
    "why-p-minus-t": "Why do softmax and cross entropy together give p − t?",
    "what-delta-is": "What is δ?",
    "why-gradients-add": "Why do gradients add where paths meet?",
    "why-a-bias-before-batch-norm-has-gradient-0": "Why does a bias before batch norm have gradient 0?",
    "why-upstream-must-not-be-ones": "Why must the upstream gradient not be ones in a test?",
    "rounding-or-bug": "Is it rounding, or a bug?",
    "why-a-wrong-gradient-may-still-train": "Why may a wrong gradient still train?",
}


@dataclass(frozen=True)
class Question:
    """`answer`: its first sentence; `words`: what search finds it by."""

    answer: str
    words: str
    values: dict[str, Any] = field(default_factory=dict)


def question(name: str) -> Question:
    """What a question's template is rendered with."""
    source = environment().loader.get_source(environment(), f"questions/{name}.html")[0]  # type: ignore[union-attr]
    text = re.sub(r"<[^>]+>|\{[%{].*?[%}]\}", " ", source)
    lead = re.search(r'<p class="lead">(.*?)</p>', source, re.DOTALL)
    assert lead is not None
    shared: dict[str, Any] = {}
    values = {
        "m": m,
        "eq": eq,
        "run": lambda caller: run(str(caller()), shared),
        "curves": curves,
        "graph": graph,
        "shared": shared,
        "np": np,
    }
    return Question(
        " ".join(re.sub(r"<[^>]+>|\{\{ m\('|'\) \}\}", "", lead[1]).split()), " ".join(text.split()), values
    )


def m(text: str) -> Markup:
    """Mathematics inside a sentence."""
    return Markup(typeset(text))


def eq(*lines: str) -> Markup:
    """Mathematics on lines of its own."""
    return Markup('<div class="eq">' + "".join(f"<div>{typeset(line)}</div>" for line in lines) + "</div>")


def run(code: str, shared: dict[str, Any]) -> Markup:
    """Code, and what it prints when the page is made. One page's pieces share their names."""
    out = io.StringIO()
    code = code.strip("\n")
    with contextlib.redirect_stdout(out):
        exec(compile(code, "<page>", "exec"), shared)
    return Markup(
        f'<div class="run"><pre tabindex="0" aria-label="Code to run"><code>{html.escape(code)}</code></pre>'
        f'<pre class="out" tabindex="0" aria-label="What it prints">{html.escape(out.getvalue().rstrip())}</pre></div>'
    )


def curves(*args: Any, **options: Any) -> Markup:
    return Markup(picture.curves(*args, **options))


def graph(*args: Any, **options: Any) -> Markup:
    return Markup(picture.graph(*args, **options))
