"""The README's table of what is covered, made from the registry: `python -m reference.audit.readme README.md`."""

import sys
from pathlib import Path

from torch import nn, optim

from manualbp.base import Layer, registry
from manualbp.optim.base import Optimizer

START, END = "<!-- coverage -->\n", "<!-- /coverage -->"


def markdown() -> str:
    """One row a file: its classes, those that torch has by the same name first."""
    rows: dict[str, list[str]] = {}
    for place, of in ((nn, Layer), (optim, Optimizer)):
        for name, cls in registry(of).items():
            file = cls.__module__.replace(".", "/") + ".py"
            rows.setdefault(file, []).append(f"`{name}`" if hasattr(place, name) else f"*`{name}`*")
    lines = [f"| [{file}]({file}) | {', '.join(names)} |" for file, names in sorted(rows.items())]
    torch_has = [sum(hasattr(nn, n) for n in registry()), sum(hasattr(optim, n) for n in registry(Optimizer))]
    told = (
        f"{torch_has[0]} classes of torch.nn and {torch_has[1]} of torch.optim; *italic*: torch has no such class.\n\n"
    )
    return told + "| file | classes |\n|---|---|\n" + "\n".join(lines) + "\n"


def main(path: str) -> None:
    text = Path(path).read_text()
    before, rest = text.split(START)
    Path(path).write_text(before + START + markdown() + END + rest.split(END)[1])


if __name__ == "__main__":
    main(sys.argv[1])
