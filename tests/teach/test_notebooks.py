"""The notebooks run from top to bottom, and give what is kept in them."""

import re
from pathlib import Path

import pytest
from notebook import cells, codes, run

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"
NUMBER = re.compile(r"-?\b\d+(?:\.\d+)?(?:e[+-]\d+)?\b")
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def printed(outputs: list) -> str:
    return "".join("".join(o["text"]) for o in outputs if o["output_type"] == "stream")


def words(text: str) -> list[str]:
    """What is printed without its numbers."""
    return NUMBER.sub("#", text).split()


def numbers(text: str) -> list[float]:
    return [float(n) for n in NUMBER.findall(text)]


def test_there_are_the_four():
    assert [p.stem for p in NOTEBOOKS] == ["digits", "find_the_bug", "gpt_block", "worked_example"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_gives_what_is_kept_in_it(path):
    found = run(path)
    kept = [c["outputs"] for c in codes(path)]
    assert [words(printed(o)) for o in found] == [words(printed(o)) for o in kept]
    if path.stem != "find_the_bug":  # whose report shows rounding, which is another machine's own
        for now, before in zip(found, kept, strict=True):
            assert numbers(printed(now)) == pytest.approx(numbers(printed(before)), rel=1e-3, abs=1e-12)
    assert [len(o) for o in found] == [len(o) for o in kept]
    assert "False" not in "".join(map(printed, found))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_begins_with_a_heading_and_says_what_it_does(path):
    first = cells(path)[0]
    assert first["cell_type"] == "markdown"
    assert first["source"][0].startswith("# ")
    assert all(c["execution_count"] == n for n, c in enumerate(codes(path), 1))


def test_the_answers_to_the_bugs_come_after_all_of_them_and_are_folded():
    found = cells(FOLDER / "find_the_bug.ipynb")
    at = next(i for i, c in enumerate(found) if "".join(c["source"]).startswith("## The answers"))
    assert (
        sum("_backward(dy" in "".join(c["source"]) or "_backward(dL" in "".join(c["source"]) for c in found[:at]) == 5
    )
    assert not any(c.get("outputs") for c in found[:at])
    checks = [c for c in found[at:] if "check_function(" in "".join(c["source"])]
    assert len(checks) == 5
    assert all(c["outputs"] and c["metadata"]["jupyter"]["outputs_hidden"] for c in checks)
