"""Since when a case fails: the search, the line that one version prints, and what cannot be installed."""

import json
import sys
from pathlib import Path

import pytest

from reference.versions import bisect, environment
from reference.versions.one import case_of, outcome

VERSIONS = ["2.9.1", "2.10.0", "2.11.0", "2.12.1", "2.13.0", "2.14.1"]


def told(since, missing=(), tried=None):
    """Torch that fails from a version on, and some that cannot be run."""

    def beside(version):
        if tried is not None:
            tried.append(version)
        late = VERSIONS.index(version) >= VERSIONS.index(since) if since else False
        verdict = "not run" if version in missing else "wrong" if late else "rounding"
        return {"version": version, "verdict": verdict, "what": ""}

    return beside


@pytest.mark.parametrize("since", VERSIONS[1:])
@pytest.mark.parametrize("missing", [(), ("2.9.1",), ("2.11.0", "2.12.1"), ("2.14.1",)])
def test_the_first_version_that_fails_is_found(since, missing):
    tried = []
    found = bisect.search(VERSIONS, told(since, missing, tried))
    left = [v for v in VERSIONS if v not in missing]
    first = next((v for v in left if VERSIONS.index(v) >= VERSIONS.index(since)), None)
    assert len(tried) == len(set(tried))
    if first is None or first == left[0]:
        assert found.change is None
    else:
        assert found.change[1]["version"] == first
        assert str(found) == f"wrong since torch {first}; beside {left[left.index(first) - 1]} rounding"


def test_where_the_ends_agree_nothing_between_is_tried():
    tried = []
    found = bisect.search(VERSIONS, told(None, (), tried))
    assert tried == ["2.9.1", "2.14.1"]
    assert str(found) == "it passes beside all of them"
    assert str(bisect.search(VERSIONS, told("2.9.1"))) == "it is wrong beside all of them"
    assert str(bisect.search(VERSIONS, told(None, VERSIONS))) == "it could be run beside none of them"


def test_one_version_prints_its_verdict():
    found = bisect.of_python(Path(sys.executable), "Case(Linear(2, 3), (4, 2), seed=5)")
    assert found["verdict"] in ("identical", "rounding")
    assert json.dumps(outcome("Case(Softmax(-1), (4, 1), seed=5)"))
    broken = bisect.of_python(Path(sys.executable), "Case(Linear(2, 3), (4, 7))")
    assert broken["verdict"] == "not run"
    assert "Linear(2, 3)" in broken["what"]


def test_what_is_no_case_or_no_python_with_torch_is_said():
    with pytest.raises(ValueError, match="a case is wanted"):
        case_of("Linear(2, 3)")
    found = bisect.of_python(Path("/bin/ls"), "Case(Linear(2, 3), (4, 2))")
    assert found["what"] == "it is no Python that has torch"


def test_what_cannot_be_installed_is_said(monkeypatch, tmp_path):
    def refused(python, *arguments, capture=False):
        return type("Done", (), {"returncode": 1, "stderr": "ERROR: No matching distribution found for torch==9.9"})

    monkeypatch.setattr(environment, "run", refused)
    monkeypatch.setattr(environment.venv, "create", lambda place, **options: place.mkdir(parents=True))
    found = bisect.beside("9.9", "Case(Linear(2, 3), (4, 2))", tmp_path)
    assert found["verdict"] == "not run"
    assert "torch 9.9 cannot be installed: No matching distribution" in found["what"]
    assert not (tmp_path / "9.9" / "whole").exists()


def test_versions_are_put_in_order():
    assert environment.in_order(["2.14.1", "2.9.1", "2.13.0"]) == ["2.9.1", "2.13.0", "2.14.1"]
    with pytest.raises(ValueError, match=r"--versions takes releases of torch, as in 2\.12\.0.*it got newest"):
        environment.in_order(["newest"])


def test_what_is_needed_leaves_torch_out():
    names = environment.needed("test")
    assert not any(n.startswith("torch") for n in names)
    assert {"numpy>=2.0", "pytest>=8"} <= set(names)
