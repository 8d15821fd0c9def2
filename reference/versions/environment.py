"""An environment of its own for one version of torch, with this project in it."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from ..twin.conventions import release

HERE = Path(__file__).parents[2]  # the folder of the packages manualbp and reference
NOT_KEPT = ("PIP_CONSTRAINT", "PYTHONPATH")  # of the environment that this process runs in


class NotInstalledError(ValueError):
    """A version that cannot be had here, with what pip says."""


@contextlib.contextmanager
def environment(version: str, kept: Path | None = None, extra: str = "") -> Iterator[Path]:
    """The Python beside which torch of this version is installed, up to 6 GB; removed again unless `kept` is the
    folder of those that stay. `extra`: of this project's extras one, as "test"."""
    with contextlib.ExitStack() as stack:
        place = kept / version if kept else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torch-")))
        python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
        if not (place / "whole").exists():
            venv.create(place, with_pip=True, clear=True)
            _install(python, version, extra)
            (place / "whole").touch()
        yield python


def run(python: Path, *arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """A command of that environment, with this project's packages in reach."""
    kept = {k: v for k, v in os.environ.items() if k not in NOT_KEPT}
    return subprocess.run(
        [python, *arguments], env=kept | {"PYTHONPATH": str(HERE)}, cwd=HERE, text=True, capture_output=capture,
        check=False,
    )  # fmt: skip


def _install(python: Path, version: str, extra: str) -> None:
    """torch first, and then what else the project needs: its own range of torch is not asked for."""
    for packages in ([f"torch=={version}"], needed(extra)):
        done = run(python, "-m", "pip", "install", "--quiet", *packages, capture=True)
        if done.returncode:
            told = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
            raise NotInstalledError(f"torch {version} cannot be installed: {told[-1].removeprefix('ERROR: ')}")


def needed(extra: str = "") -> list[str]:
    """What this project needs beside torch."""
    wanted = [r.partition(";") for r in metadata.requires("manualbp") or ()]
    taken = [r.strip() for r, _, when in wanted if not when or (extra and f"extra == '{extra}'" in when)]
    return [r for r in taken if not re.match(r"torch\b", r)]


def available() -> list[str]:
    """The released versions that pip can have here, the oldest first: of every minor version the last."""
    command = [sys.executable, "-m", "pip", "index", "versions", "torch"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("Available versions")), "")
    found: dict[tuple[int, ...], str] = {}
    for version in sorted(re.findall(r"\d+\.\d+\.\d+(?=,|$)", line), key=release):
        found[release(version)[:2]] = version
    if not found:
        raise ValueError("pip names no versions of torch here; name them, as in --versions 2.13.0,2.14.1")
    return list(found.values())


def in_order(versions: Sequence[str]) -> list[str]:
    """The oldest first; a ValueError shows what is no version."""
    odd = [v for v in versions if not re.fullmatch(r"\d+\.\d+(\.\d+)?", v)]
    if odd:
        raise ValueError(f"--versions takes releases of torch, as in 2.12.0,2.13.0,2.14.1; it got {', '.join(odd)}")
    return sorted(set(versions), key=release)
