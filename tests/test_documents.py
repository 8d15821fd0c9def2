"""What is written about the project is true: README blocks run, examples run, the coverage table is today's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
QUICK = {name: ["--quick"] for name in ("digits.py", "gpt.py", "resnet.py")}


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_python_block_of_the_readme_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})


def test_the_readme_has_blocks_and_both_commands():
    assert BLOCKS
    assert "manualbp verify" in README
    assert "pytest" in README


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(path, tmp_path):
    if path.name == "triton_kernel.py":
        pytest.importorskip("triton")
    command, around = [sys.executable, path, *QUICK.get(path.name, [])], os.environ | {"TRITON_INTERPRET": "1"}
    found = subprocess.run(command, cwd=tmp_path, env=around, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-3000:]
    assert found.stdout.strip()


def test_the_readme_shows_what_the_example_prints():
    """But for its numbers, whose last digits are the machine's."""
    shown = README.partition("<!-- mistakes -->")[2].split("```")[1]
    path = ROOT / "examples" / "check_your_own.py"
    printed = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True).stdout
    told = [re.sub(r"[-+]?\d[\d.]*(e[-+]?\d+)?", "#", text).split() for text in (shown, printed)]
    assert told[0] == told[1]


def test_the_coverage_table_is_that_of_the_registry():
    from reference.audit.readme import markdown

    start, end = "<!-- coverage -->\n", "<!-- /coverage -->"
    assert README.split(start)[1].split(end)[0] == markdown(), "python -m reference.audit.readme README.md"


def test_no_file_and_no_function_is_too_long():
    import ast

    for path in [*ROOT.glob("manualbp/**/*.py"), *ROOT.glob("reference/**/*.py")]:
        text = path.read_text()
        assert len(text.splitlines()) <= 420, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                assert lines <= 40, f"{path.name}: {node.name} has {lines} lines"


DOCUMENTED = ("Forward", "Backward", "Shapes", "Errors", "Source")


def test_every_layer_states_formula_derivation_shapes_errors_and_source():
    from manualbp.base import registry

    for name, cls in registry().items():
        text = cls.__doc__ or ""
        for heading in DOCUMENTED:
            assert re.search(rf"^ *{heading} ", text, re.M), f"{name} has no line {heading}"
