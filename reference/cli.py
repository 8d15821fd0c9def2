"""`manualbp …` in a terminal. Every command ends with a code: 0 identical, 1 mismatch, 2 usage or error, 3 vacuous,
130 interrupted by Ctrl-C."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from .draw.expression import nearest, parse
from .golden import commands as golden
from .report import terminal
from .teach import commands as teach
from .vectors import commands as vectors
from .versions import commands as versions

if TYPE_CHECKING:
    from .plan import Plan

IDENTICAL, MISMATCH, ERROR, VACUOUS, INTERRUPTED = 0, 1, 2, 3, 130
FEW = 10  # names that a message lists
CODES = {
    "identical": IDENTICAL, "rounding": IDENTICAL, "wrong": MISMATCH, "coarse": MISMATCH, "vacuous": VACUOUS,
    "interrupted": INTERRUPTED,
}  # fmt: skip

app = typer.Typer(
    help="Backpropagation by hand, verified against PyTorch's autograd.",
    no_args_is_help=True, add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False,
)  # fmt: skip
errors = Console(stderr=True, highlight=False)


def _print_version(asked: bool) -> None:
    if asked:
        from manualbp import __version__

        print(f"manualbp {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


@app.command()
def verify(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(metavar="[FILE.py:model]", help="A torch.nn model of yours, back-propagated by hand."),
    ] = None,
    cases: Annotated[int, typer.Option(help="How many random networks.", min=1)] = 2000,
    seed: Annotated[int, typer.Option(help="Where the random numbers begin; another seed, other networks.")] = 0,
    layer: Annotated[list[str] | None, typer.Option(help="Only cases with this class in them (repeatable).")] = None,
    regime: Annotated[str, typer.Option(help="exact (==, no rounding), real (derived bound), or both.")] = "both",
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    device: Annotated[str, typer.Option(help="Where torch computes: cpu, cuda, mps.")] = "cpu",
    torch: Annotated[
        str, typer.Option(help="How torch runs: eager, export, or a backend of torch.compile, as aot_eager, inductor.")
    ] = "eager",
    against: Annotated[
        str, typer.Option(help="The other side: hand, or another way to run torch, with the one by hand as judge.")
    ] = "hand",
    limit: Annotated[float, typer.Option(help="Seconds that one network may take where it is compiled.", min=1)] = 120,
    case: Annotated[str | None, typer.Option(help="One case, as a mismatch printed it.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes.", min=1)] = 2,
    json: Annotated[str | None, typer.Option(metavar="FILE", help="Write the figures here.")] = None,
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Write a JUnit report here.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="The summary line alone.")] = False,
    shape: Annotated[
        list[str] | None, typer.Option(help="Shape of the model's input, as 8,3,32,32 (repeatable).")
    ] = None,
    only: Annotated[str, typer.Option(help="Of a model the nodes whose names match, as 'layer3.*'.")] = "*",
    on: Annotated[str | None, typer.Option(help="A campaign, on processes, dask or ray.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Of a cluster that exists, as tcp://10.0.0.1:8786.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="FOLDER", help="Keep a campaign here; go on with it.")] = None,
    task: Annotated[int | None, typer.Option(help="Networks of one task of a campaign (500).", min=1)] = None,
    html: Annotated[str | None, typer.Option(metavar="FILE", help="Write a page of the figures here.")] = None,
) -> None:
    """Back-propagate random networks by hand and by autograd, and compare every number.

    Outputs, gradients, buffers, optimizer updates and their state. Example:

        manualbp verify --cases 500 --layer LSTM --layer LayerNorm --seed 7

    With FILE.py:model, the model in that file (made of supported layers) is back-propagated by hand, layer by layer;
    its input is drawn of the shape --shape 8,3,32,32, or taken from `sample` in the same file: a tensor, a tuple of
    arguments, a dict of arguments by name, or a function that gives one of these:

        manualbp verify net.py:model --shape 4,10

    Compiled, and one torch against another, with the side by hand as judge:

        manualbp verify --torch aot_eager --cases 200

        manualbp verify --torch inductor --against eager --layer LayerNorm

    A campaign of any size keeps what is done in a folder, and goes on there after whatever ended it:

        manualbp verify --cases 1000000 --on dask --scheduler tcp://10.0.0.1:8786 --resume run/

    What the figures say:

    - err/bound: the largest difference over what rounding can make of it; beyond 1 the two sides differ.

    - power: the smallest relative fault that would have been seen, in the median of the cases.

    - blind: the share of all entries of gradients so small beside the bound that they could be 0 unnoticed.

    - vacuous: networks in which no gradient rises above the noise, so that they prove nothing; exit code 3 if all are.
    """
    from . import verify_model
    from .campaign import command
    from .plan import Plan, classes_of
    from .sides import backends
    from .torches import HAND, Torches

    choose("--regime", regime, ("both", "exact", "real"))
    choose("--dtype", dtype, ("float64", "float32"))
    usable(device, dtype)
    for option, way in (("--torch", torch), ("--against", against)):
        if way != HAND or option == "--torch":
            backends.usable(way, option, device)
    if torch == against:
        fail(f"--torch {torch} --against {against} compares torch with itself; --against takes hand or another way")
    console, torches = terminal.console(quiet), Torches(torch, against, device, limit)
    out = command.Out(console, json, junit, html)
    if (model or case) and (given := [n for n in (on, scheduler, resume, html) if n]):
        fail(f"{model or 'a --case'} is one comparison, no campaign: --on, --scheduler, --resume and --html go without "
             f"it; it got {', '.join(given)}")  # fmt: skip
    if model is not None:
        raise typer.Exit(verify_model.run(model, shape or (), seed, console, json, junit, only, dtype, torches))
    if case is not None:
        raise typer.Exit(one_case(case, torches))
    for name in layer or ():
        choose("--layer", name, sorted(c.__name__ for c in classes_of(Plan())))
    plan = Plan(cases, seed, tuple(layer or ()), regime, dtype, device, torch, against, limit)
    if not any((on, scheduler, resume, task)):
        raise typer.Exit(CODES[command.run(plan, jobs, out)])
    choose("--on", on or "processes", command.NAMES)
    how = command.How(on or "processes", jobs, scheduler, resume, task, given_of(context, plan))
    raise typer.Exit(CODES[command.campaign(plan, how, out)])


def given_of(context: typer.Context, plan: "Plan") -> set[str]:
    """The fields of a plan whose options were given, and not left as they are."""
    options = {name: {"layers": "layer"}.get(name, name) for name in vars(plan)}
    sources = {name: context.get_parameter_source(option) for name, option in options.items()}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def one_case(text: str, torches: Any) -> int:
    """The comparison of one case, tensor by tensor; of compiled networks also who is wrong."""
    from .draw.case import Case
    from .report import screen
    from .verify import check

    given = parse(text)
    if not isinstance(given, Case):
        raise ValueError(f'--case takes a Case, as in --case "Case(Linear(2, 3), (4, 2), seed=1)"; it got {text}')
    console, sides = terminal.console(), torches.sides(given)
    found = check(given, sides)
    screen.one(console, given, found, torches.names)
    if not torches.plain:
        screen.of_compiler(console, given, found, sides, torches)
    return CODES[found.verdict]


@app.command()
def check(
    target: Annotated[str, typer.Argument(metavar="FILE.py | MODULE:NAME", help="Where the checks are declared.")],
    json: Annotated[str | None, typer.Option(metavar="FILE", help="Write the reports here.")] = None,
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Write a JUnit report here.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="A line for each check.")] = False,
) -> None:
    """Check gradients of your own: is each right, and if not, what is the mistake?

    The file lists them in a table CHECKS, or marks functions with @reference.gradient_of:

        CHECKS = {"affine": dict(forward=f, backward=b, against=F.linear, inputs={"x": ("N", "D"), "w": ("M", "D")})}

    Example:

        manualbp check my_layers.py
    """
    from . import declared

    raise typer.Exit(declared.run(target, json, junit, terminal.console(), quiet))


@app.command()
def explain(
    model: Annotated[
        str | None, typer.Argument(metavar="[FILE.py:model]", help="A torch.nn model of yours: its chain rule.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Go on for this many updates.", min=1)] = 1,
    html: Annotated[str | None, typer.Option(metavar="FILE", help="Write it as a page to play with, here.")] = None,
    shape: Annotated[list[str] | None, typer.Option(help="Shape of a model's input, as 8,3,32 (repeatable).")] = None,
    node: Annotated[str | None, typer.Option(help="Of a model this step, with its derivation; or this module.")] = None,
    only: Annotated[str, typer.Option(help="Of a model the steps whose names match, as 'layer3.*'.")] = "*",
    picture: Annotated[str | None, typer.Option(metavar="FILE.svg", help="Draw a model, here.")] = None,
) -> None:
    """The worked example: a 2-2-1 network, every number by hand, by PyTorch, and in the text.

    With FILE.py:model, the chain rule of the model in that file: every step forward with its formula, the gradient
    that comes back to it by hand and by PyTorch, and where gradients meet. Examples:

        manualbp explain --steps 1000

        manualbp explain --html example.html

        manualbp explain net.py:model --shape 4,10 --node layer1.0

        manualbp explain net.py:model --shape 4,10 --picture graph.svg --html page.html

    A long model is folded by module; --only 'layer3.*' unfolds. --html makes a page to unfold, --picture a drawing.
    """
    if model is not None:
        from . import verify_model

        print(verify_model.explained(model, shape or (), node, only, picture, html))
        return None
    if picture:
        fail("--picture draws a model of yours: manualbp explain FILE.py:model --picture graph.svg")
    if html:
        from .teach.example_page import write

        return write(html)
    from .explain import explain as show

    return show(steps)


for _command in (
    teach.learn, teach.book, golden.record, golden.replay, vectors.vectors, versions.bisect,
):  # fmt: skip
    app.command()(_command)


def choose(option: str, value: str, allowed: Any) -> None:
    """End with a message that shows the nearest allowed value, or all where they are few, unless `value` is one."""
    if value not in allowed:
        near = nearest(value, allowed)
        if len(allowed) > FEW:
            fail(f"no {option} is called {value}{near or f'; the README lists the {len(allowed)} that there are'}")
        fail(f"{option} takes {', '.join(allowed)}; it got {value}{near}")


def usable(device: str, dtype: str) -> None:
    """End with a message unless torch can compute in this dtype on this device."""
    from .sides import devices

    try:
        devices.usable(device, dtype, f"--device {device}")
    except ValueError as e:
        fail(str(e))


def fail(message: str) -> None:
    """One paragraph on the error stream, and the exit code of a usage error."""
    errors.print(f"manualbp: {message}", markup=False, soft_wrap=True)
    raise typer.Exit(ERROR)


def main() -> None:
    """The entry point: no traceback ever reaches the terminal."""
    try:
        sys.exit(app(standalone_mode=False))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ModuleNotFoundError as e:
        missing = e.name or str(e)
        errors.print(
            f"manualbp: this needs {missing}, which is not installed here: pip install {missing}", markup=False
        )
    except Exception as e:
        of_click = getattr(e, "format_message", None)  # it names the option
        text = of_click() if of_click else str(e) or type(e).__name__
        if text:  # where no command is given, the help is printed, and nothing is left to say
            errors.print(f"manualbp: {text}", markup=False, soft_wrap=True)
    sys.exit(ERROR)


if __name__ == "__main__":
    main()
