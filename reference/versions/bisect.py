"""Since which version of torch a case fails: the case run beside the oldest, the newest, and as few between as do."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..twin.conventions import release
from .environment import NotInstalledError, environment, run

Outcome = dict[str, str]  # version, verdict, what


@dataclass(frozen=True)
class Found:
    """The outcome beside every version that was tried, the oldest first."""

    outcomes: tuple[Outcome, ...]

    @property
    def ran(self) -> list[Outcome]:
        return [o for o in self.outcomes if o["verdict"] != "not run"]

    @property
    def change(self) -> tuple[Outcome, Outcome] | None:
        """The two versions that stand side by side and of which one passes alone."""
        pairs = zip(self.ran, self.ran[1:])
        return next(((a, b) for a, b in pairs if passes(a) != passes(b)), None)

    def __str__(self) -> str:
        if not self.ran:
            return "it could be run beside none of them"
        if (change := self.change) is None:
            word = "passes" if passes(self.ran[0]) else f"is {self.ran[0]['verdict']}"
            return f"it {word} beside all of them"
        before, since = change
        return f"{since['verdict']} since torch {since['version']}; beside {before['version']} {before['verdict']}"


def passes(outcome: Outcome) -> bool:
    return outcome["verdict"] in ("identical", "rounding", "vacuous")


def search(versions: Sequence[str], beside: Callable[[str], Outcome]) -> Found:
    """The ends first; where they differ, the middle of what is left, until two neighbours differ. What cannot be run
    is left out."""
    left, done = list(versions), dict[str, Outcome]()

    def tried(version: str) -> Outcome:
        done[version] = done.get(version) or beside(version)
        return done[version]

    def usable(order: Iterable[str]) -> str | None:
        """The first of them that runs; those before it are dropped."""
        for version in order:
            if tried(version)["verdict"] != "not run":
                return version
            left.remove(version)
        return None

    low, high = usable(list(left)), usable(list(reversed(left)))
    while low and high and passes(done[low]) != passes(done[high]):
        between = left[left.index(low) + 1 : left.index(high)]
        if not between:
            break
        middle = between[len(between) // 2]
        if tried(middle)["verdict"] == "not run":
            left.remove(middle)
        elif passes(done[middle]) == passes(done[low]):
            low = middle
        else:
            high = middle
    return Found(tuple(sorted(done.values(), key=lambda o: release(o["version"]))))


def beside(version: str, text: str, kept: Path | None = None) -> Outcome:
    """The case beside a version that is installed for it."""
    try:
        with environment(version, kept) as python:
            return of_python(python, text, version)
    except NotInstalledError as e:
        return {"version": version, "verdict": "not run", "what": str(e)}


def of_python(python: Path, text: str, version: str = "") -> Outcome:
    """The case beside the torch of an environment that is there."""
    if run(python, "-c", "import torch", capture=True).returncode:
        return {"version": version or str(python), "verdict": "not run", "what": "it is no Python that has torch"}
    done = run(python, "-m", "reference.versions.one", text, capture=True)
    if done.returncode:
        last = (done.stderr.strip() or "it ended without a word").splitlines()[-1]
        return {"version": version or str(python), "verdict": "not run", "what": last}
    told = json.loads(done.stdout.splitlines()[-1])
    return {"version": version or told["torch"], "verdict": told["verdict"], "what": told["what"]}


def of_pythons(paths: list[str], case: str) -> Found:
    """What each environment says of a case, by the version of its torch."""
    if missing := [p for p in paths if not Path(p).is_file()]:
        raise ValueError(f"--python takes the Python of an environment, as old/bin/python; {missing[0]} is no file")
    told = [of_python(p, case) for p in dict.fromkeys(Path(p).absolute() for p in paths)]
    return Found(tuple(sorted(told, key=lambda o: release(o["version"]))))
