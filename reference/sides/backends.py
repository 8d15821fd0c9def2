"""The ways in which torch can run a network: as it is, by a backend of `torch.compile`, or exported."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch

from ..draw.expression import nearest

EAGER, EXPORT, INDUCTOR = "eager", "export", "inductor"  # the first: torch as it is, not Dynamo's backend of that name
TESTING = ("TESTING_ONLY", "minifier")  # in the names of backends that are tools of torch's own tests


def ways() -> tuple[str, ...]:
    """eager, export, and every backend that is registered here."""
    named = (b for b in torch._dynamo.list_backends(()) if b != EAGER and not any(word in b for word in TESTING))
    return (EAGER, EXPORT, *named)


def usable(way: str, option: str, device: str = "cpu") -> None:
    """A ValueError, with what can be done, for a way that torch cannot go here."""
    if way in (EAGER, EXPORT):
        return None
    if way not in torch._dynamo.list_backends(()):
        raise ValueError(f"{option} takes {', '.join(ways())}; it got {way}{nearest(way, ways())}")
    if way == INDUCTOR:
        return (_needs_cpp if device == "cpu" else _needs_triton)(option)
    try:
        with silent():
            compiled(torch.neg, way)(torch.zeros(2, device=device))
    except Exception as e:  # a backend of another package, or for another device
        raise ValueError(f"{option} {way} cannot be used here: {first_line(e)}") from e


def _needs_cpp(option: str) -> None:
    from torch._inductor import cpp_builder

    try:
        cpp_builder.get_cpp_compiler()
    except Exception as e:
        raise ValueError(
            f"{option} inductor needs a C++ compiler on the CPU, and none works here ({first_line(e)}): install g++ or "
            f"clang, or name one in CXX. Without one there are aot_eager and export"
        ) from e


def _needs_triton(option: str) -> None:
    from torch.utils._triton import has_triton

    if not has_triton():
        raise ValueError(
            f"{option} inductor needs Triton on a device other than the CPU, and there is none: install triton, or "
            f"take --torch aot_eager"
        )


def first_line(e: BaseException) -> str:
    """What an error says, in short."""
    lines = [line.strip() for line in str(e).splitlines() if line.strip()]
    told = " ".join(lines[: 2 if lines[:1] and lines[0].endswith(":") else 1])
    return f"{type(e).__name__}: {told:.200}" if told else type(e).__name__


def compiled(f: Callable[..., Any], backend: str) -> Callable[..., Any]:
    """f by torch.compile, for the shapes that it is called with."""
    return torch.compile(f, backend=backend, dynamic=False)


@contextmanager
def silent() -> Iterator[None]:
    """Without a compiler's advice: what it is about is counted."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # torch.export prints what it fails at
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
