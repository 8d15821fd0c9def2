"""A solution judged in a process of its own: it may loop, print, or end its process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import IO

from .exercise import Exercise
from .judgement import ERROR, LATE, Judgement
from .judging import BEGUN

LIMIT = 60.0  # seconds
NEVER = Event()
PRINTED = 10_000_000  # bytes from which on it is a loop that prints


def judged(exercise: Exercise, solution: Path, limit: float = LIMIT, stop: Event = NEVER) -> Judgement:
    """The judgement of a solution. stop: set where nobody waits for it any more."""
    if not solution.is_file():
        raise ValueError(f"there is no file {solution}")
    with tempfile.TemporaryDirectory() as folder:
        answer, printed = Path(folder) / "answer.json", Path(folder) / "printed.txt"
        with printed.open("wb") as out:
            process = started(exercise, solution, answer, out)
            try:
                endless = waited(process, answer.with_name(BEGUN), printed, limit, stop)
            finally:
                ended(process)
        if endless:
            return Judgement(LATE, said=(f"{endless}. Is there a loop without an end?",))
        lines = printed.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if not answer.exists():
            last = lines[-1] if lines else "nothing was printed"
            text = f"The process ended with code {process.returncode} before it was judged: {last}"
            return Judgement(ERROR, said=(text,))
        found = Judgement.of(json.loads(answer.read_text(encoding="utf-8")))
    return with_print(found, lines)


def started(exercise: Exercise, solution: Path, answer: Path, out: IO[bytes]) -> subprocess.Popen:
    command = [sys.executable, "-m", "reference.teach.judging", str(exercise.path), str(solution), str(answer)]
    here = str(Path(__file__).parents[2])
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))}
    return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env,
                            start_new_session=True)  # fmt: skip


def waited(process: subprocess.Popen, begun: Path, printed: Path, limit: float, stop: Event) -> str:
    """Why it is not waited for any longer; "" where it ended by itself. What is imported before it begins is not its
    time."""
    end = None
    while process.poll() is None and not stop.is_set():
        if end is None and begun.exists():
            end = time.monotonic() + limit
        if end is not None and time.monotonic() > end:
            return f"It did not end within {limit:g} seconds"
        if printed.stat().st_size > PRINTED:
            return f"It prints more than {PRINTED // 10**6} million letters"
        time.sleep(0.02)
    return ""


def ended(process: subprocess.Popen) -> None:
    """The process and its children."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):  # it ends just now
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.wait()


def with_print(found: Judgement, lines: list[str]) -> Judgement:
    """What the solution printed is said, and judged no further."""
    if not lines:
        return found
    text = f"It prints: {lines[0][:100]}" + (f" … ({len(lines)} lines in all)" if len(lines) > 1 else "")
    return replace(found, said=(*found.said, text))
