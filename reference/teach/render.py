"""Templates filled in, and numbers as pages print them."""

import math
from collections import Counter
from functools import cache
from typing import Any

import jinja2

from ..explain import number
from .mathml import prose

SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


@cache
def environment() -> jinja2.Environment:
    """Everything from outside is escaped; a name that a template misspells is an error."""
    env = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__ or "reference.teach"), autoescape=jinja2.select_autoescape(),
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    env.filters |= {"counted": lambda names: Counter(names).items()}
    env.filters |= {"number": plain, "power": power, "prose": prose, "thousands": "{:,}".format}
    return env


def rendered(template: str, **values: Any) -> str:
    return environment().get_template(template).render(**values)


def plain(value: float) -> str:
    """Ten decimals at most, with a minus sign instead of a hyphen."""
    return number(value).replace("-", "−")


def power(value: float) -> str:
    """1.25·10⁻³: what spans many orders of magnitude."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    digits, exponent = f"{value:.2e}".split("e")
    return f"{digits}·10{str(int(exponent)).translate(SUPERSCRIPTS)}"
