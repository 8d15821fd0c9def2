"""Options as JSON has them."""

import dataclasses
import math
from typing import Any

import numpy as np

from manualbp.base import Layer, expression, options_of
from manualbp.optim.base import Group, Optimizer


def plain(value: Any) -> Any:
    """A layer as its class and options, a tuple as a list, an infinity as "inf"; else Python's expression."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (Layer, Optimizer)) or dataclasses.is_dataclass(value):
        return {"class": type(value).__name__, "options": {n: plain(v) for n, v in options_of(value).items()}}
    if isinstance(value, Group):
        return {"names": value.names, "options": {n: plain(v) for n, v in value.options.items()}}
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {str(n): plain(v) for n, v in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else expression(value)
