"""Everything that somebody's gradient may be brought as, one class a way in."""

from .arguments import positional
from .gradients import Arrays, as_arrays, as_tensor, flat, named
from .objects import Object
from .of_layer import OfLayer, rebuilt
from .pair import LossAndGradient, Pair, Pointwise
from .subject import FORWARD, Subject, of_gradient
from .torch_code import AutogradFunction

__all__ = [
    "FORWARD", "Arrays", "AutogradFunction", "LossAndGradient", "Object", "OfLayer", "Pair", "Pointwise", "Subject",
    "as_arrays", "as_tensor", "flat", "named", "of_gradient", "positional", "rebuilt",
]  # fmt: skip
