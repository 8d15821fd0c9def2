"""No test of the exercises touches the progress of who runs it."""

import pytest

from reference.teach import alone, judging


@pytest.fixture(autouse=True)
def _own_progress(request, tmp_path, monkeypatch):
    if request.module.__name__ in ("test_learn", "test_teacher"):
        monkeypatch.setenv("MANUALBP_PROGRESS", str(tmp_path / "kept" / "progress.json"))
        monkeypatch.chdir(tmp_path)


@pytest.fixture
def _in_this_process(monkeypatch):
    """What the process of its own would say, without starting one."""
    monkeypatch.setattr(alone, "judged", lambda exercise, path, *_: judging.judge(exercise, path))
