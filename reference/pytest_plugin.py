"""In pytest, a failing `assert check_…(…)` shows the whole report: pytest itself cuts a long value short."""

from collections.abc import Generator, Iterator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Generator[None, Any, Any]:
    told = yield
    if call.excinfo is not None and call.excinfo.errisinstance(AssertionError):
        told.sections += [("manualbp", str(report)) for report in _failed(call.excinfo.traceback[-1].frame.f_locals)]
    return told


def _failed(values: dict[str, Any]) -> Iterator[Any]:
    """The reports among the values of the failing function, and of the assertion itself, that do not stand.

    By the name of the class, so that tests which check nothing do not wait for torch."""
    for value in {id(v): v for v in values.values()}.values():
        if type(value).__module__ == "reference.report.report" and not value.stands:
            yield value
