"""The commands of this package, for `reference.cli`."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

from ..report import terminal


def record(
    model: Annotated[str, typer.Argument(metavar="FILE.py:model", help="A torch.nn model of yours.")],
    out: Annotated[str, typer.Option("-o", "--out", metavar="FOLDER", help="Where the recording goes.")],
    shape: Annotated[
        list[str] | None, typer.Option(help="Shape of the model's input, as 8,3,32,32 (repeatable).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the input, of the upstream gradient, and of what is drawn.")] = 0,
    only: Annotated[str, typer.Option(help="Nodes and gradients whose names match, as 'layer3.*'.")] = "*",
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    light: Annotated[bool, typer.Option("--light", help="Checksums and projections in the place of arrays.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Record what a model gives here and now: a later torch, another device, a port is held beside it by replay.

    Inputs, parameters, upstream gradient, outputs, gradients and every step between, each with its bound, as JSON and
    safetensors in a folder. The code by hand runs beside it: the exit code is 1 where the two differ. Example:

        manualbp record net.py:model --shape 4,10 -o golden/
    """
    from . import at_terminal

    console = terminal.console(quiet)
    told = at_terminal.RecordRequest(model, tuple(shape or ()), seed, only, dtype, light)
    raise typer.Exit(at_terminal.record_file(told, out, console))


def replay(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A recording.")],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE.py:model | FILE.safetensors]",
            help="The model now, or numbers that another program wrote; left out: the file that was recorded.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Where torch computes: cpu, cuda, mps.")] = "cpu",
    torch: Annotated[
        str, typer.Option(help="How torch runs: eager, export, or a backend of torch.compile, as aot_eager, inductor.")
    ] = "eager",
    limit: Annotated[float, typer.Option(help="Seconds that it may take where it is compiled.", min=1)] = 120,
    by_hand: Annotated[bool, typer.Option("--by-hand", help="The code by hand in the place of the model.")] = False,
    json: Annotated[str | None, typer.Option(metavar="FILE", help="Write the figures here.")] = None,
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Write a JUnit report here.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="The summary line alone.")] = False,
) -> None:
    """Hold what is there now beside a recording: identical, rounding, or wrong, and the first node that is.

    The bounds are those of the recording, and so are the inputs, the parameters and the random numbers: what is held
    beside it is how the model computes, not how it is initialised. Examples:

        manualbp replay golden/

        manualbp replay golden/ net.py:model --device cuda

        manualbp replay golden/ --torch inductor

        manualbp replay golden/ written_by_a_port.safetensors
    """
    from ..report import files
    from . import at_terminal

    files.check_writable({"--json": json, "--junit": junit})
    console, way = terminal.console(quiet), at_terminal.Way(device, torch, limit)
    raise typer.Exit(at_terminal.replay_folder(folder, target, way, by_hand, console, json, junit))


def bar(console: Console, description: str) -> Callable[[Any], Any]:
    """A progress bar over what is gone through, on a terminal."""
    from rich.progress import track

    return lambda each: track(
        each, description=description, console=console, transient=True, disable=not console.is_terminal
    )
