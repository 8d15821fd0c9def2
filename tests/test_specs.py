"""What inputs may be, and what is said of those that are none, or on which nothing can be seen."""

import numpy as np
import pytest
import torch

from reference import Complex, Positive, Probabilities, Sorted, check_function


@pytest.mark.parametrize("kind", [Positive, Probabilities, Sorted, Complex])
def test_the_brackets_of_a_shape_are_forgotten(kind):
    with pytest.raises(ValueError, match="takes a shape") as told:
        kind("N", "D")
    assert f"""{kind.__name__}(("N", "D")); it got {kind.__name__}('N', 'D')""" in str(told.value)


def test_a_vacuous_check_says_why():
    steps = check_function(lambda x: (np.round(x), x), lambda dy, x: 0 * dy, against=torch.round, inputs={"x": ("N",)})
    assert steps.verdict == "vacuous"
    assert "goes in steps, of integers" in str(steps)
    constant = check_function(lambda x: (0 * x + 0.5, x), lambda dy, x: 0 * dy, inputs={"x": ("N",)})
    assert constant.verdict == "vacuous"
    assert "does not change with its inputs" in str(constant)
    assert "detach" not in str(constant)
