"""What JAX, autograd and MyGrad make of the test vectors, each in an environment of its own that is removed again.

    python -m reference.audit.frameworks             the vectors of every class are made first
    python -m reference.audit.frameworks vectors/    those that are there

Of every vector that a framework has the function for: are outputs and gradients the expected ones, within the bound,
those of another convention at a kink, or wrong? As Markdown: a table of figures, and one of conventions.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ..vectors import files, make
from ..vectors.beside.__main__ import NOT_THERE, RAISES
from ..vectors.read import CONVENTION, EXACT, WITHIN, WRONG

ROOT = Path(__file__).parents[2]
RUNS = (("jax", "float64"), ("jax", "float32"), ("autograd", "float64"), ("mygrad", "float64"))
SHOWN = (EXACT, WITHIN, CONVENTION, WRONG, RAISES, NOT_THERE)
Found = dict[str, Any]  # framework, version, dtype, rows of (id, class, verdict, what differs)


def beside(name: str, dtypes: Sequence[str], folder: Path) -> Iterator[Found]:
    """What one framework makes of the vectors of a folder."""
    environment = {k: v for k, v in os.environ.items() if k != "PIP_CONSTRAINT"} | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as place:
        venv.create(place, with_pip=True)
        python = Path(place) / ("Scripts" if os.name == "nt" else "bin") / "python"
        called = [python, "-m", "pip", "install", "--quiet", name, "numpy", "safetensors"]
        subprocess.run(called, env=environment, check=True)
        for dtype in dtypes:
            run = [python, "-m", "reference.vectors.beside", name, dtype, str(folder.absolute())]
            told = subprocess.run(run, env=environment, cwd=place, check=True, capture_output=True, text=True)
            yield json.loads(told.stdout)


def markdown(found: Sequence[Found]) -> str:
    """Figures, and what each makes of a kink."""
    titles = [f"{f['framework']} {f['version']}, {f['dtype']}" for f in found]
    lines = [f"| | {' | '.join(titles)} |", f"|---|{'---:|' * len(found)}"]
    for shown in SHOWN:
        counts = [sum(row[2] == shown for row in f["rows"]) for f in found]
        lines.append(f"| {shown} | {' | '.join(map(str, counts))} |")
    classes = [len({row[1] for row in f["rows"] if row[2] != NOT_THERE}) for f in found]
    lines.append(f"| classes tried | {' | '.join(map(str, classes))} |")
    return "\n".join([*lines, "", *differing(found)])


def differing(found: Sequence[Found]) -> Iterator[str]:
    """A line for every class that a framework has otherwise, or that raises there."""
    yield "| class | beside | verdict | vectors | first |"
    yield "|---|---|---|---:|---|"
    for f in found:
        rows = [row for row in f["rows"] if row[2] in (CONVENTION, WRONG, RAISES)]
        count = Counter((row[1], row[2]) for row in rows)
        first = {(row[1], row[2]): f"{row[0]}: {row[3]}" for row in reversed(rows)}
        for (cls, verdict), n in sorted(count.items(), key=lambda item: (item[0][1], item[0][0])):
            yield f"| `{cls}` | {f['framework']}, {f['dtype']} | {verdict} | {n} | {first[cls, verdict]} |"


def main(arguments: list[str]) -> int:
    if len(arguments) > 1 or any(a.startswith("-") for a in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    if arguments and not (Path(arguments[0]) / files.MANIFEST).is_file():
        print(f"{arguments[0]} holds no vectors: manualbp vectors -o {arguments[0]} writes them", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as place:
        folder = Path(arguments[0]) if arguments else Path(place) / "vectors"
        if not arguments:
            make.write(folder, list(files.classes()), 0, Console(stderr=True))
        try:
            names = dict.fromkeys(name for name, _ in RUNS)
            found = [f for n in names for f in beside(n, [dtype for m, dtype in RUNS if m == n], folder)]
        except subprocess.CalledProcessError as e:
            print(f"{' '.join(map(str, e.cmd[1:4]))} failed: {e.stderr or 'see above'}", file=sys.stderr)
            return 2
    print(markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
