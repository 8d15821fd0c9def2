"""Where a recording is made: what its numbers may depend on, and what it must not touch."""

import os
import platform
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

import manualbp


def environment(device: str, dtype: str) -> dict[str, Any]:
    """What the last bits of a number may depend on."""
    found = {
        "manualbp": manualbp.__version__, "torch": torch.__version__, "numpy": np.__version__,
        "python": platform.python_version(), "platform": platform.platform(), "machine": platform.machine(),
        "threads": torch.get_num_threads(), "device": device, "dtype": dtype,
    }  # fmt: skip
    if device.startswith("cuda") and torch.cuda.is_available():
        found |= {"gpu": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    return found


def changed(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is another now, in words."""
    return [f"{n} {then.get(n, '–')} then, {now.get(n, '–')} now" for n in then | now if then.get(n) != now.get(n)]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it torch's random numbers begin at a seed; after it, all generators are as they were."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    of_python, of_numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([*devices]):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)


def relative(file: str, folder: Any) -> str:
    """The address of a file as seen from a folder, so that both can be moved together."""
    try:
        return os.path.relpath(os.path.abspath(file), os.path.abspath(folder))
    except ValueError:  # another drive
        return os.path.abspath(file)
