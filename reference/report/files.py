"""Reports and verifications as files: JSON for a machine, JUnit for a build server. Nothing is computed here."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ..compare.tensor import Tensor


def as_json(value: Any) -> str:
    return json.dumps(value, indent=2, default=str)


def figure(value: float) -> float | str:
    """A number that JSON has: it knows no infinity."""
    return value if math.isfinite(value) else str(value)


def of_tensor(t: Tensor) -> dict[str, Any]:
    """A tensor's figures, and the place of its worst entry."""
    return {
        "name": t.name, "error": figure(t.error), "bound": t.bound, "ratio": figure(t.ratio), "power": t.power,
        "blind": t.blind, "ok": t.ok, "what": t.what, "worst": t.worst(),
    }  # fmt: skip


@dataclass(frozen=True)
class TestCase:
    """One test case of a JUnit file; `failure`: what is wrong, in a line and in full."""

    __test__ = False  # pytest gathers what is called Test…

    classname: str
    name: str
    failure: tuple[str, str] | None = None


def junit_suite(name: str, cases: Iterable[TestCase]) -> ElementTree.Element:
    cases = list(cases)
    failures = sum(case.failure is not None for case in cases)
    suite = ElementTree.Element("testsuite", name=name, tests=str(len(cases)), failures=str(failures))
    for case in cases:
        element = ElementTree.SubElement(suite, "testcase", classname=case.classname, name=case.name)
        if case.failure is not None:
            ElementTree.SubElement(element, "failure", message=case.failure[0]).text = case.failure[1]
    return suite


def junit(suites: Iterable[ElementTree.Element]) -> ElementTree.Element:
    root = ElementTree.Element("testsuites")
    root.extend(suites)
    return root


def write(json_file: str | None, junit_file: str | None, value: Any, suite: ElementTree.Element) -> None:
    """Both files, where they are asked for."""
    if json_file:
        Path(json_file).write_text(as_json(value) + "\n")
    if junit_file:
        ElementTree.ElementTree(suite).write(junit_file, encoding="utf-8", xml_declaration=True)


def check_writable(options: Mapping[str, str | None]) -> None:
    """A ValueError, before any work is done, for a file that cannot be written. Each is opened, and left as it was."""
    for option, path in options.items():
        if not path:
            continue
        there, folder = Path(path).exists(), Path(path).parent
        try:
            Path(path).open("a").close()
        except OSError as e:
            why = str(e.strerror).lower() if folder.is_dir() else f"there is no folder {folder}"
            raise ValueError(f"{option} {path} cannot be written: {why}") from None
        if not there:
            Path(path).unlink()
