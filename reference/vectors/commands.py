"""The command of this package, for `reference.cli`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

MISMATCH = 1


def vectors(
    out: Annotated[str, typer.Option("-o", "--out", metavar="FOLDER", help="Where the files go.")] = "vectors",
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="This class alone (repeatable).")] = None,
    seed: Annotated[
        int, typer.Option(help="Where the random numbers begin; the same seed, the same files.", min=0)
    ] = 0,
) -> None:
    """Test vectors for other languages: what goes into each layer, loss and optimizer, and what must come out.

    A JSON file for every class, with a safetensors file where numbers are not exact; schema.json says what is in them,
    examples/vectors/ reads them in C, Rust and JavaScript. Examples:

        manualbp vectors -o vectors/

        manualbp vectors -o vectors/ --only LayerNorm --only Adam
    """
    from ..draw.expression import nearest
    from . import files, make
    from .of_layers import MismatchError

    known = files.classes()
    for name in only or ():
        if name not in known:
            near = nearest(name, known) or f"; the README lists the {len(known)} that there are"
            raise ValueError(f"no layer, loss, operation or optimizer is called {name}{near}")
    names = list(dict.fromkeys(only)) if only else list(known)
    try:
        print(make.summary(make.write(Path(out), names, seed, Console(highlight=False))), f"in {out}")
    except MismatchError as e:
        print(f"{e}. No vectors of this class are written.")
        raise typer.Exit(MISMATCH) from None
