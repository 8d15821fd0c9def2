"""`manualbp vectors`: the vectors of every class, or of some, into a folder."""

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from . import files
from .choose import vectors
from .read import Vector, read


def write(folder: Path, names: Sequence[str], seed: int, console: Console) -> list[Vector]:
    """The vectors of these classes, written. What is done when Ctrl-C ends it stays, and is listed."""
    files.usable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    counts, made = kept(folder), list[Vector]()
    files.write_manifest(folder, counts, seed)
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # torch's advice, and what a mistake makes of numbers
            bar = track(names, "vectors", console=console, transient=True, disable=not console.is_terminal)
            for name in bar:
                cls = files.classes()[name]
                found = vectors(cls, seed)
                files.write_class(folder, cls, found, seed)
                counts[name] = len(found)
                made += found
    finally:
        files.write_manifest(folder, counts, seed)
    return made


def kept(folder: Path) -> dict[str, int]:
    """The classes whose vectors are there already."""
    return {p.stem: len(read(p)) for p in sorted(folder.glob("*.json")) if p.stem in files.classes()}


def summary(made: Sequence[Vector]) -> str:
    """What was written, in a line."""
    count = Counter(v.result for v in made)
    flags = {id for v in made for id in v.flags}
    numbers = sum(e.array.size for v in made for entries in v.sections.values() for e in entries.values())
    return (
        f"{len(made)} vectors of {len({v.cls for v in made})} classes, {numbers:,} numbers: "
        f"{sum(v.exact for v in made)} exact (==), {count['acceptable']} on a kink or tie (acceptable), "
        f"{len(flags)} mistakes of the catalogue shown"
    )
