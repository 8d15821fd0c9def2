"""What is to be verified: how many random networks, of which classes, and on which sides."""

from dataclasses import dataclass

from manualbp.base import registry
from manualbp.optim.base import Optimizer

from .sides.backends import EAGER
from .sides.compiled import LIMIT
from .torches import HAND, Torches
from .twin.conventions import here


@dataclass(frozen=True)
class Plan:
    """What is to be verified. `layers`: names that every case must contain one of; empty: any."""

    cases: int = 2000
    seed: int = 0
    layers: tuple[str, ...] = ()
    regime: str = "both"
    dtype: str = "float64"
    device: str = "cpu"
    torch: str = EAGER
    against: str = HAND
    limit: float = LIMIT

    @property
    def torches(self) -> Torches:
        """The two sides of every case."""
        return Torches(self.torch, self.against, self.device, self.limit)


def classes_of(plan: Plan) -> list[type]:
    """The classes that a plan speaks of."""
    known = registry() | (registry(Optimizer) if plan.torches.plain else {})  # no compiler is asked to update
    known = {name: cls for name, cls in known.items() if here(name)}
    return [known[name] for name in plan.layers] if plan.layers else list(known.values())
