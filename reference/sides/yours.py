"""Everything that somebody's gradient may be brought as, one class a way in."""

from .arguments import positional
from .gradients import Arrays, as_arrays, as_tensor, named
from .objects import Object
from .of_layer import OfLayer, rebuilt
from .pair import LossAndGradient, Pair, Pointwise
from .subject import Subject
from .torch_code import AutogradFunction

__all__ = [
    "Arrays", "AutogradFunction", "LossAndGradient", "Object", "OfLayer", "Pair", "Pointwise", "Subject",
    "as_arrays", "as_tensor", "named", "positional", "rebuilt",
]  # fmt: skip
