"""What wrong numbers look like.

A feature is a function of one `Seen`, a wrong tensor of one trial, and yields findings: relations that give the wrong
numbers back within the bound. `diagnosis` joins those of all tensors and trials.

    number     yours = c · right, and what c equals        kind       missing, NaN, rounded
    place      right numbers at wrong places               shape      of another shape
                                                           support    wrong at some entries only
    slope      activations: another slope                  residual   a term too many or missing
    product    products and sums of other factors          chain      of three matrices, or a matrix and a vector
    norm, softmax   other formulas
    network, layers   the function recognised as a network;  replay   the catalogue's mistakes made in it
    regions    which entries are wrong, in words
"""

from ..features import chain, kind, norm, number, place, product, residual, shape, slope, softmax, support

MODULES = kind, shape, number, place, slope, softmax, norm, product, chain, residual, support
FEATURES = tuple(feature for module in MODULES for feature in module.FEATURES)
OF_ROUNDING = kind.FEATURES + number.FEATURES + norm.FEATURES + support.FEATURES  # where all that is wrong is faint
CHEAP = kind.FEATURES + shape.FEATURES + number.FEATURES + support.FEATURES  # also for tensors of many entries

__all__ = ["CHEAP", "FEATURES", "OF_ROUNDING"]
